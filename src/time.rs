//! Time as a parameter: whoever needs the time is given a [`Clock`].

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Serialize;

/// A moment: whole seconds since 1970-01-01T00:00:00Z.
///
/// Shown as RFC 3339 in UTC; [`Timestamp::local`] shows it to a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `seconds` later (earlier, when negative).
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Whole seconds from `earlier` to this moment.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment as a clock on the wall of `zone` shows it: `2026-11-20 16:05`.
    pub fn local(self, zone: &Zone) -> String {
        jiff::Timestamp::from_second(self.0).map_or_else(
            |_| self.0.to_string(),
            |moment| moment.to_zoned(zone.0.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An IANA time zone, e.g. `Europe/Lisbon`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// When the day begins in this zone.
    pub fn midnight(&self, day: jiff::civil::Date) -> Option<Timestamp> {
        let begin = day.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp(begin.timestamp().as_second()))
    }

    /// Seconds east of Greenwich that its clocks are ahead at `at`.
    pub fn offset(&self, at: Timestamp) -> i32 {
        let moment = jiff::Timestamp::from_second(at.0).unwrap_or_default();
        self.0.to_offset(moment).seconds()
    }

    /// When its clocks are put forward or back from `from` until before `until`, and how many
    /// seconds east of Greenwich they are ahead from then on.
    pub fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, i32)> {
        let Ok(begin) = jiff::Timestamp::from_second(from.0.saturating_sub(1)) else {
            return Vec::new();
        };
        let changes = self.0.following(begin);
        let changes = changes
            .map(|change| (Timestamp(change.timestamp().as_second()), change.offset().seconds()));
        changes.take_while(|(at, _)| *at < until).collect()
    }
}

/// The text names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use a time zone's IANA name, such as Europe/Lisbon or UTC")]
pub struct BadZone;

impl std::str::FromStr for Zone {
    type Err = BadZone;

    fn from_str(name: &str) -> Result<Self, BadZone> {
        TimeZone::get(name).map(Self).map_err(|_| BadZone)
    }
}

impl TryFrom<String> for Zone {
    type Error = BadZone;

    fn try_from(name: String) -> Result<Self, BadZone> {
        name.parse()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

/// Where the time comes from. Tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
        Self(Arc::new(|| Timestamp(jiff::Timestamp::now().as_second())))
    }

    /// A clock that shows whatever `read` returns.
    pub fn of(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_and_in_a_zone() {
        let moment = Timestamp(1_700_000_000);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20Z");
        let zone = "America/New_York".parse().unwrap();
        assert_eq!(moment.local(&zone), "2023-11-14 17:13");
    }

    #[test]
    fn a_zone_is_an_iana_name() {
        assert_eq!("Europe/Lisbon".parse::<Zone>().unwrap().to_string(), "Europe/Lisbon");
        for bad in ["", "Mars/Olympus", "+01:00", "Europe/Lisbon\n"] {
            assert_eq!(bad.parse::<Zone>(), Err(BadZone), "{bad:?}");
        }
    }
}
