//! The rule by which a time zone's clocks are put forward and back, for phones that know no zones.
//!
//! Found from the changes themselves in the years ahead, where every zone with a rule keeps it: so
//! it is what holds today, unless a government has said otherwise for the next year or two. Zones
//! whose changes follow no such rule (Morocco's follow the moon) have none.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use jiff::civil::{Date, DateTime};

use crate::time::{Timestamp, Zone};

/// Years looked at: all 28 ways a year can begin.
const YEARS: std::ops::Range<i16> = 2037..2065;
const DAY: i32 = 86_400;

/// How a zone's clocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Seconds east of Greenwich in winter.
    pub offset: i32,
    /// What happens in summer.
    pub summer: Option<Summer>,
}

/// When clocks are ahead of winter's, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summer {
    /// Seconds.
    pub save: i32,
    /// When it begins.
    pub start: Change,
    /// When it ends.
    pub end: Change,
}

/// The day and time of a change, the same every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// 1 is January.
    pub month: i8,
    /// Which of the weekdays in that month, from 1; 5 is the last.
    pub week: i8,
    /// 0 is Sunday.
    pub weekday: i8,
    /// Seconds after midnight by the clocks before the change; may be a day or more.
    pub seconds: i32,
}

/// The rule of `zone`.
pub fn rule(zone: &Zone) -> Rule {
    static KNOWN: LazyLock<RwLock<HashMap<String, Rule>>> = LazyLock::new(RwLock::default);
    let name = zone.to_string();
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
    known.unwrap_or_else(|| {
        let rule = find(zone);
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(name, rule);
        rule
    })
}

fn find(zone: &Zone) -> Rule {
    let (from, until) = (new_year(YEARS.start), new_year(YEARS.end));
    let first = zone.offset(from);
    let mut before = first;
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    for (at, offset) in zone.changes(from, until) {
        let save = offset - before;
        if save == 0 {
            continue;
        }
        let list = if save > 0 { &mut forward } else { &mut back };
        list.push((wall(at, before), save.abs()));
        before = offset;
    }
    let saves = forward.iter().chain(&back).map(|(_, save)| *save);
    let save = forward.first().map_or(0, |(_, save)| *save);
    let even = saves.into_iter().all(|other| other == save);
    let offset = if back.first() < forward.first() { first - save } else { first };
    let summer = || {
        let (start, end) = (yearly(&forward)?, yearly(&back)?);
        even.then_some(Summer { save, start, end })
    };
    match summer() {
        Some(summer) => Rule { offset, summer: Some(summer) },
        None => Rule { offset: first, summer: None },
    }
}

fn new_year(year: i16) -> Timestamp {
    let day = Date::new(year, 1, 1).unwrap_or_default();
    Timestamp(day.duration_since(Date::new(1970, 1, 1).unwrap_or_default()).as_secs())
}

/// What clocks `offset` seconds ahead show.
fn wall(at: Timestamp, offset: i32) -> DateTime {
    let moment = jiff::Timestamp::from_second(at.0 + i64::from(offset)).unwrap_or_default();
    jiff::tz::TimeZone::UTC.to_datetime(moment)
}

/// The one rule that all of these follow, one of them in each year.
fn yearly(changes: &[(DateTime, i32)]) -> Option<Change> {
    let each_year = changes.iter().map(|(at, _)| at.year()).eq(YEARS);
    // What is no weekday's turn in the month may be the day after one: "Saturday at 24:00".
    let days = [0, -1, 1];
    days.into_iter().find_map(|shift| shifted(changes, shift)).filter(|_| each_year)
}

fn shifted(changes: &[(DateTime, i32)], shift: i32) -> Option<Change> {
    let mut found: Option<Change> = None;
    let mut places = [true; 5];
    for (at, _) in changes {
        let day = at.date().checked_add(jiff::Span::new().days(shift)).ok()?;
        let time = at.time();
        let seconds = i32::from(time.hour()) * 3600
            + i32::from(time.minute()) * 60
            + i32::from(time.second());
        let change = Change {
            month: day.month(),
            week: 0,
            weekday: day.weekday().to_sunday_zero_offset(),
            seconds: seconds - shift * DAY,
        };
        if found.is_some_and(|found| found != change) {
            return None;
        }
        found = Some(change);
        for (place, possible) in (1_i8..).zip(&mut places) {
            let here = match place {
                5 => day.day() + 7 > day.days_in_month(),
                place => (day.day() - 1) / 7 + 1 == place,
            };
            *possible &= here;
        }
    }
    let week = (1_i8..).zip(places).find(|(_, possible)| *possible)?.0;
    found.map(|change| Change { week, ..change })
}

impl Change {
    /// The first day of the month it can be; of the last week, none.
    pub fn first_day(self) -> Option<i8> {
        (self.week < 5).then_some((self.week - 1) * 7 + 1)
    }

    /// 1 is Monday, 7 is Sunday.
    pub fn weekday_from_monday(self) -> i8 {
        if self.weekday == 0 { 7 } else { self.weekday }
    }

    /// The hour for phones that can only be told whole hours of that same day.
    pub fn hour(self) -> i32 {
        (self.seconds / 3600).clamp(0, 23)
    }

    /// `02:00:00`; at most the day's last second.
    pub fn time(self) -> String {
        let seconds = self.seconds.clamp(0, DAY - 1);
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn posix(self) -> String {
        let (sign, seconds) = (if self.seconds < 0 { "-" } else { "" }, self.seconds.abs());
        format!(
            "M{}.{}.{}/{sign}{:02}:{:02}:{:02}",
            self.month,
            self.week,
            self.weekday,
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

impl Rule {
    /// As POSIX writes it: `STD-1DST-2,M3.5.0/02:00:00,M10.5.0/03:00:00`.
    pub fn posix(self) -> String {
        let west = |offset: i32| {
            // POSIX counts westwards.
            let (sign, seconds) = (if offset > 0 { "-" } else { "" }, offset.abs());
            match seconds / 60 % 60 {
                0 => format!("{sign}{}", seconds / 3600),
                minutes => format!("{sign}{}:{minutes:02}", seconds / 3600),
            }
        };
        let standard = west(self.offset);
        match self.summer {
            None => format!("STD{standard}"),
            Some(Summer { save, start, end }) => format!(
                "STD{standard}DST{},{},{}",
                west(self.offset + save),
                start.posix(),
                end.posix()
            ),
        }
    }

    /// `+01:00`.
    pub fn gmt(self) -> String {
        let (sign, seconds) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs());
        format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
    }

    /// `+1`, `+5:30`.
    pub fn hours(self) -> String {
        let (sign, seconds) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs());
        match seconds / 60 % 60 {
            0 => format!("{sign}{}", seconds / 3600),
            minutes => format!("{sign}{}:{minutes:02}", seconds / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posix(zone: &str) -> String {
        rule(&zone.parse().unwrap()).posix()
    }

    #[test]
    fn the_rule_is_what_the_time_zone_database_says_of_the_years_ahead() {
        for (zone, expected) in [
            ("UTC", "STD0"),
            ("Europe/Lisbon", "STD0DST-1,M3.5.0/01:00:00,M10.5.0/02:00:00"),
            ("Europe/Berlin", "STD-1DST-2,M3.5.0/02:00:00,M10.5.0/03:00:00"),
            // Ireland's law has winter time as the exception; its clocks go like Britain's.
            ("Europe/Dublin", "STD0DST-1,M3.5.0/01:00:00,M10.5.0/02:00:00"),
            ("America/New_York", "STD5DST4,M3.2.0/02:00:00,M11.1.0/02:00:00"),
            ("America/Phoenix", "STD7"),
            ("America/St_Johns", "STD3:30DST2:30,M3.2.0/02:00:00,M11.1.0/02:00:00"),
            ("Australia/Sydney", "STD-10DST-11,M10.1.0/02:00:00,M4.1.0/03:00:00"),
            ("Australia/Lord_Howe", "STD-10:30DST-11,M10.1.0/02:00:00,M4.1.0/02:00:00"),
            ("Asia/Kolkata", "STD-5:30"),
            ("Asia/Kathmandu", "STD-5:45"),
            ("Asia/Beirut", "STD-2DST-3,M3.5.0/00:00:00,M10.5.0/00:00:00"),
            // The Friday before the last Sunday.
            ("Asia/Jerusalem", "STD-2DST-3,M3.4.4/26:00:00,M10.5.0/02:00:00"),
            ("America/Santiago", "STD4DST3,M9.1.6/24:00:00,M4.1.6/24:00:00"),
            ("Pacific/Auckland", "STD-12DST-13,M9.5.0/02:00:00,M4.1.0/03:00:00"),
        ] {
            assert_eq!(posix(zone), expected, "{zone}");
        }
        assert_eq!(rule(&"Africa/Casablanca".parse().unwrap()).summer, None);
    }

    #[test]
    fn every_zone_has_a_rule_that_gives_its_clocks_back() {
        for name in jiff::tz::db().available() {
            let zone: Zone = name.as_str().parse().unwrap();
            let rule = rule(&zone);
            let Some(summer) = rule.summer else { continue };
            assert!(summer.save > 0 && summer.save <= 7200, "{name}");
            let tz = jiff::tz::TimeZone::posix(&rule.posix()).unwrap();
            for day in 0..(366 * 2) {
                let at = new_year(2041).plus(day * 86_400 + 43_200);
                let moment = jiff::Timestamp::from_second(at.0).unwrap();
                assert_eq!(tz.to_offset(moment).seconds(), zone.offset(at), "{name} {at}");
            }
        }
    }

    #[test]
    fn vendors_ways_of_writing_it() {
        let berlin = rule(&"Europe/Berlin".parse().unwrap());
        assert_eq!((berlin.gmt().as_str(), berlin.hours().as_str()), ("+01:00", "+1"));
        let summer = berlin.summer.unwrap();
        assert_eq!((summer.start.first_day(), summer.start.weekday_from_monday()), (None, 7));
        assert_eq!((summer.start.hour(), summer.start.time().as_str()), (2, "02:00:00"));
        let kolkata = rule(&"Asia/Kolkata".parse().unwrap());
        assert_eq!((kolkata.gmt().as_str(), kolkata.hours().as_str()), ("+05:30", "+5:30"));
        let santiago = rule(&"America/Santiago".parse().unwrap()).summer.unwrap();
        assert_eq!((santiago.start.hour(), santiago.start.time().as_str()), (23, "23:59:59"));
        assert_eq!(santiago.start.first_day(), Some(1));
    }
}
