//! What pages and calls about addresses share.

use crate::auth::{Operator, Right};
use crate::ipam::addresses::Reserver;
use crate::time::{Timestamp, Zone};
use crate::web::form::Field;

/// Whose reservations an operator may touch.
pub fn reserver(by: &Operator) -> Reserver {
    Reserver { name: by.name().to_string(), anybodys: by.may(Right::ManageAddresses) }
}

/// How long ago something was, as people say it.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    const UNITS: [(i64, &str, &str); 5] = [
        (365 * 86_400, "year", "years"),
        (30 * 86_400, "month", "months"),
        (86_400, "day", "days"),
        (3_600, "hour", "hours"),
        (60, "minute", "minutes"),
    ];
    let seconds = now.since(then);
    for (unit, one, many) in UNITS {
        match seconds / unit {
            ..=0 => {}
            1 => return format!("1 {one} ago"),
            count => return format!("{count} {many} ago"),
        }
    }
    "just now".to_owned()
}

/// The last day of something that ends at `until`, or the very moment if that is not midnight.
pub fn last_day(until: Timestamp, zone: &Zone) -> String {
    let shown = until.local(zone);
    if !shown.ends_with(" 00:00") {
        return shown;
    }
    let before = until.plus(-1).local(zone);
    before.split(' ').next().unwrap_or_default().to_owned()
}

/// The day itself, for an input that takes only days.
pub fn day(until: Timestamp, zone: &Zone) -> String {
    last_day(until, zone).split(' ').next().unwrap_or_default().to_owned()
}

/// When the day somebody names is over; nothing typed is `Some(None)`.
pub fn end_of_day(field: &mut Field, zone: &Zone) -> Option<Option<Timestamp>> {
    if field.value.is_empty() {
        return Some(None);
    }
    let date = field.value.parse::<jiff::civil::Date>().ok();
    let end = date.and_then(|day| day.tomorrow().ok()).and_then(|day| zone.midnight(day));
    if end.is_none() {
        field.reject(&"use a date such as 2026-11-20");
    }
    end.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_said_in_the_largest_unit() {
        let at = |seconds: i64| ago(Timestamp(1_000_000_000), Timestamp(1_000_000_000 - seconds));
        let told = [0, 59, 60, 7_200, 86_400, 3 * 86_400, 45 * 86_400, 800 * 86_400].map(at);
        assert_eq!(
            told,
            [
                "just now",
                "just now",
                "1 minute ago",
                "2 hours ago",
                "1 day ago",
                "3 days ago",
                "1 month ago",
                "2 years ago"
            ]
        );
    }

    #[test]
    fn a_day_ends_when_the_next_begins_where_the_tenant_is() {
        let zone: Zone = "Europe/Lisbon".parse().unwrap();
        let mut field = Field::from("2026-07-01".to_owned());
        let end = end_of_day(&mut field, &zone).flatten().unwrap();
        assert_eq!(end.to_string(), "2026-07-01T23:00:00Z");
        assert_eq!(
            (last_day(end, &zone), day(end, &zone)),
            ("2026-07-01".into(), "2026-07-01".into())
        );
        assert_eq!(last_day(end.plus(-60), &zone), "2026-07-01 23:59");
        assert_eq!(end_of_day(&mut Field::from("1 July".to_owned()), &zone), None);
    }
}
