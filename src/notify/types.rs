//! What a run is.

use std::fmt;
use std::str::FromStr;

use crate::id::NotificationId;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::time::Timestamp;

/// What phones are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To fetch their files anew.
    Resync,
    /// To restart.
    Reboot,
}

/// Nothing phones are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose resync or reboot")]
pub struct BadKind;

impl Kind {
    /// The word stored, and used in calls.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resync => "resync",
            Self::Reboot => "reboot",
        }
    }

    /// What they do then.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Resync => "fetch their files",
            Self::Reboot => "restart",
        }
    }
}

impl FromStr for Kind {
    type Err = BadKind;

    fn from_str(word: &str) -> Result<Self, BadKind> {
        [Self::Resync, Self::Reboot].into_iter().find(|kind| kind.as_str() == word).ok_or(BadKind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A whole number within bounds.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $error:ident, $least:literal..=$most:literal, $usual:literal, $sentence:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(i64);

        /// Not such a number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($sentence)]
        pub struct $error;

        impl $name {
            /// The number.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $error;

            fn try_from(number: i64) -> Result<Self, $error> {
                if ($least..=$most).contains(&number) { Ok(Self(number)) } else { Err($error) }
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                text.parse::<i64>().map_err(|_| $error)?.try_into()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($usual)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Phones told at once.
    WaveSize, BadWaveSize, 1..=500, 50, "use 1 to 500 phones"
);
number!(
    /// Seconds from one wave to the next.
    Pause, BadPause, 1..=3_600, 10, "use 1 to 3600 seconds"
);

/// A run to be begun.
#[derive(Clone, Debug)]
pub struct New {
    /// What they are told.
    pub kind: Kind,
    /// Why, in a few words; may be empty.
    pub reason: String,
    /// Whom, each with the revision it ought to fetch; that may be empty.
    pub phones: Vec<(Mac, String)>,
    /// How many at once.
    pub wave_size: WaveSize,
    /// From one wave to the next.
    pub pause: Pause,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a process that does it.
    Queued,
    /// It is under way.
    Running,
    /// Everybody was told, or cannot be.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

/// Not a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such state")]
pub struct BadState;

impl State {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Stopped, Self::Failed];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
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
            Self::Failed => "bad",
        }
    }
}

impl TryFrom<String> for State {
    type Error = BadState;

    fn try_from(word: String) -> Result<Self, BadState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(BadState)
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Its id.
    pub id: NotificationId,
    /// What phones are told.
    pub kind: Kind,
    /// Why.
    pub reason: String,
    /// Who began it.
    pub actor: String,
    /// How it stands.
    pub state: State,
    /// Phones told at once.
    pub wave_size: i64,
    /// Seconds from one wave to the next.
    pub pause: i64,
    /// Whether it is to stop.
    pub stopping: bool,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When the next wave is due.
    pub next_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// What is in its way.
    pub error: String,
    /// Phones in all.
    pub phones: i64,
    /// Phones told.
    pub sent: i64,
    /// Phones that could not be told.
    pub failed: i64,
    /// Phones that fetched a file of their own after they were told.
    pub fetched: i64,
}

impl Telling {
    /// Phones that are still to be told.
    pub fn waiting(&self) -> i64 {
        (self.phones - self.sent - self.failed).max(0)
    }

    /// How long it still takes, roughly.
    pub fn left(&self) -> String {
        let waves = (self.waiting() + self.wave_size - 1) / self.wave_size.max(1);
        match (waves - 1).max(0) * self.pause {
            0..20 => "a few seconds".to_owned(),
            seconds @ 20..120 => format!("about {seconds} s"),
            seconds => format!("about {} min", seconds / 60),
        }
    }
}

/// How a phone of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneState {
    /// Its wave is still to come.
    Waiting,
    /// Asterisk is being asked.
    Sending,
    /// Asterisk sent it.
    Sent,
    /// It could not be told.
    Failed,
}

impl PhoneState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Sending, Self::Sent, Self::Failed];

    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl TryFrom<String> for PhoneState {
    type Error = BadState;

    fn try_from(word: String) -> Result<Self, BadState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(BadState)
    }
}

/// A phone of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub mac: Mac,
    /// What people call it; empty when there is no such phone any more.
    pub title: String,
    /// The number it was told through.
    pub number: Option<ExtensionNumber>,
    /// How it stands.
    pub state: PhoneState,
    /// When it was told.
    pub sent_at: Option<Timestamp>,
    /// The revision it ought to fetch; may be empty.
    pub revision: String,
    /// Why it could not be told.
    pub error: String,
    /// When it last fetched a file of its own, and that file's revision.
    pub fetched: Option<(Timestamp, String)>,
}

impl Told {
    /// Whether it fetched its file after it was told.
    pub fn has_fetched(&self) -> bool {
        matches!((&self.fetched, self.sent_at), (Some((at, _)), Some(sent)) if *at >= sent)
    }

    /// What a person reads of how it stands, and the class of the sign beside it.
    pub fn says(&self) -> (&'static str, &'static str) {
        match self.state {
            PhoneState::Waiting => ("waits", "off"),
            PhoneState::Sending => ("is being told", "half"),
            PhoneState::Failed => ("not told", "bad"),
            PhoneState::Sent if self.has_fetched() => ("has fetched", "on"),
            PhoneState::Sent => ("told", "half"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_numbers_keep_to_their_bounds() {
        for kind in [Kind::Resync, Kind::Reboot] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for state in State::ALL {
            assert_eq!(state.as_str().to_owned().try_into(), Ok(state));
        }
        for state in PhoneState::ALL {
            assert_eq!(state.as_str().to_owned().try_into(), Ok(state));
        }
        assert_eq!((WaveSize::default().get(), Pause::default().get()), (50, 10));
        for bad in ["0", "501", "", "x", "-1", "1.5"] {
            assert_eq!(bad.parse::<WaveSize>(), Err(BadWaveSize), "{bad}");
        }
        assert_eq!("3601".parse::<Pause>(), Err(BadPause));
    }
}
