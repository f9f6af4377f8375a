//! What is seen, and how one looks.

use crate::id::{SubnetId, SweepId};
use crate::ipam::addresses::Hostname;
use crate::net::{Address, Mac};
use crate::time::Timestamp;

/// Seconds of a day.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// What is known of an address at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It answered, or somebody saw it in use.
    Present,
    /// It was asked and did not answer.
    Silent,
    /// A DHCP server leases it, until then if it has an end.
    Leased(Option<Timestamp>),
    /// A DHCP client found another machine there.
    Declined,
    /// The DHCP server has it back.
    Ended,
    /// DNS calls it so, which says nothing of whether it is in use.
    Named,
}

/// One address, seen or not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub address: Address,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub what: What,
    /// The interface it was seen with.
    pub mac: Option<Mac>,
    /// What the machine calls itself; may be empty.
    pub hostname: Hostname,
}

impl Sighting {
    /// Of an address of which nothing more is known.
    pub fn new(address: Address, at: Timestamp, what: What) -> Self {
        Self { address, at, what, mac: None, hostname: Hostname::default() }
    }
}

/// What came of sightings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Found {
    /// Addresses in use.
    pub seen: usize,
    /// Those of them that were not known to be in use.
    pub new: usize,
    /// Addresses that were in use and are not any more.
    pub gone: usize,
    /// Addresses where what was seen differs from what is written, and did not before.
    pub conflicts: usize,
    /// Addresses that a lease now holds.
    pub leased: usize,
    /// Addresses whose lease is over.
    pub ended: usize,
    /// Addresses in use that lie in no subnet.
    pub orphans: usize,
}

/// How a sweep stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepState {
    /// It waits for its turn.
    Queued,
    /// It is under way.
    Running,
    /// Every address was asked.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on.
    Failed,
    /// The program that did it ended before it did.
    Interrupted,
}

/// Not a state of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use queued, running, done, stopped, failed or interrupted")]
pub struct BadSweepState;

impl SweepState {
    const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Done, Self::Stopped, Self::Failed, Self::Interrupted];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it is not over.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// The class of the sign beside it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Done => "on",
            Self::Queued | Self::Stopped => "off",
            Self::Running => "half",
            Self::Failed | Self::Interrupted => "bad",
        }
    }
}

impl TryFrom<String> for SweepState {
    type Error = BadSweepState;

    fn try_from(text: String) -> Result<Self, BadSweepState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(BadSweepState)
    }
}

/// One look at every address of a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Sweep {
    pub id: SweepId,
    pub subnet: SubnetId,
    /// What the subnet is called, with its addresses.
    pub label: String,
    pub state: SweepState,
    pub pace: i64,
    pub total: i64,
    pub asked: i64,
    pub seen: i64,
    pub stopping: bool,
    pub actor: String,
    pub runner: String,
    pub lease_until: Timestamp,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub error: String,
}

impl Sweep {
    /// How long it took, or has taken until `now`: `11 min`.
    pub fn took(&self, now: &Timestamp) -> String {
        let Some(started) = self.started_at else { return String::new() };
        let seconds = self.finished_at.unwrap_or(*now).since(started).max(0);
        if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
    }

    /// Seconds that are left at the pace it goes, roughly.
    pub fn left(&self) -> String {
        let seconds = (self.total - self.asked) / self.pace.max(1);
        match seconds {
            0..20 => "a few seconds".to_owned(),
            20..120 => format!("about {seconds} s"),
            _ => format!("about {} min", seconds / 60),
        }
    }
}

/// How a subnet is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Minutes from one sweep to the next; `None` is only when somebody asks.
    pub minutes: Option<i64>,
    /// Pings a second.
    pub pace: i64,
    /// Days without an answer after which an address that nobody holds is forgotten.
    pub keep_days: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { minutes: None, pace: 100, keep_days: 7 }
    }
}

/// A whole number within bounds, for forms.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $error:ident, $least:literal..=$most:literal, $sentence:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub i64);

        /// Not such a number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($sentence)]
        pub struct $error;

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let number = text.parse().ok().filter(|number| ($least..=$most).contains(number));
                number.map(Self).ok_or($error)
            }
        }
    };
}

number!(
    /// Minutes from one sweep to the next.
    Minutes, BadMinutes, 5..=10_080, "use 5 to 10080 minutes (a week), or leave it empty"
);
number!(
    /// Pings a second.
    PerSecond, BadPerSecond, 1..=1_000, "use 1 to 1000 pings a second"
);
number!(
    /// Days an address is remembered.
    KeepDays, BadKeepDays, 1..=365, "use 1 to 365 days"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!("5".parse(), Ok(Minutes(5)));
        for bad in ["4", "10081", "", "x", "1e3", "-5"] {
            assert_eq!(bad.parse::<Minutes>(), Err(BadMinutes), "{bad}");
        }
        assert_eq!("1001".parse::<PerSecond>(), Err(BadPerSecond));
        assert_eq!("0".parse::<KeepDays>(), Err(BadKeepDays));
    }

    #[test]
    fn states_come_back_from_their_words() {
        for state in SweepState::ALL {
            assert_eq!(state.as_str().to_owned().try_into(), Ok(state));
        }
        assert_eq!(SweepState::try_from("over".to_owned()), Err(BadSweepState));
    }
}
