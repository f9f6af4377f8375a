//! What a call is.

use std::fmt;

use crate::id::CallId;
use crate::time::Timestamp;

/// A kind of system outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Servers that hold sessions.
    Radius,
    /// Kea.
    Dhcp,
    /// NetBox.
    Netbox,
}

/// Not a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use radius, dhcp or netbox")]
pub struct BadSystem;

impl System {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Radius, Self::Dhcp, Self::Netbox];

    /// The word stored and in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Radius => "radius",
            Self::Dhcp => "dhcp",
            Self::Netbox => "netbox",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Radius => "RADIUS",
            Self::Dhcp => "DHCP",
            Self::Netbox => "NetBox",
        }
    }
}

impl std::str::FromStr for System {
    type Err = BadSystem;

    fn from_str(text: &str) -> Result<Self, BadSystem> {
        Self::ALL.into_iter().find(|system| system.as_str() == text).ok_or(BadSystem)
    }
}

impl TryFrom<String> for System {
    type Error = BadSystem;

    fn try_from(text: String) -> Result<Self, BadSystem> {
        text.parse()
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose a call is: a kind of thing and its id, `assignment/0192…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    /// The kind of thing an assignment is.
    pub const ASSIGNMENT: &str = "assignment";

    /// The thing of that kind with that id.
    pub fn new(kind: &str, id: &impl ToString) -> Self {
        Self(format!("{kind}/{}", id.to_string()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// It is to be made, at once or after a while.
    Waiting,
    /// It is being made.
    Sending,
    /// It was made.
    Done,
    /// A newer one about the same address took its place.
    Replaced,
    /// It failed too often, or in a way that time does not mend.
    Dead,
    /// Somebody gave it up.
    Dropped,
}

/// Not a state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use waiting, sending, done, replaced, dead or dropped")]
pub struct BadCallState;

impl CallState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Sending, Self::Done, Self::Replaced, Self::Dead, Self::Dropped];

    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Replaced => "replaced",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }

    /// The word shown.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dead => "failed",
            Self::Dropped => "given up",
            other => other.as_str(),
        }
    }

    /// The class of the sign beside it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Done => "on",
            Self::Replaced | Self::Dropped => "off",
            Self::Waiting | Self::Sending => "half",
            Self::Dead => "bad",
        }
    }
}

impl std::str::FromStr for CallState {
    type Err = BadCallState;

    fn from_str(text: &str) -> Result<Self, BadCallState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(BadCallState)
    }
}

impl TryFrom<String> for CallState {
    type Error = BadCallState;

    fn try_from(text: String) -> Result<Self, BadCallState> {
        text.parse()
    }
}

/// A call, as lists and pages show it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Call {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: CallId,
    /// To which system.
    #[sqlx(try_from = "String")]
    pub system: System,
    /// Whose it is.
    pub subject: String,
    /// What a person calls it.
    pub label: String,
    /// How it stands.
    #[sqlx(try_from = "String")]
    pub state: CallState,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last; empty if nothing did.
    pub error: String,
    /// What came of it; empty until it is over.
    pub answer: String,
    /// When it is tried next, while it waits.
    pub next_at: Timestamp,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl Call {
    /// Whether somebody can try it again, or give it up.
    pub fn is_open(&self) -> bool {
        matches!(self.state, CallState::Waiting | CallState::Dead)
    }

    /// The page about whose it is, if there is one.
    pub fn link(&self) -> Option<String> {
        let (kind, id) = self.subject.split_once('/')?;
        match kind {
            "address" => Some(format!("/ipam/addresses/{id}")),
            "subnet" => Some(format!("/ipam/subnets/{id}")),
            Subject::ASSIGNMENT => Some(format!("/lifecycle/{id}")),
            _ => None,
        }
    }
}

/// Which calls a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only to this system.
    pub system: Option<System>,
    /// Only in this state.
    pub state: Option<CallState>,
    /// Part of what it is called, or the beginning of whose it is.
    pub search: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for system in System::ALL {
            assert_eq!(system.as_str().parse(), Ok(system));
        }
        for state in CallState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
