//! The machine: which states there are, which may follow which, and which operation may be done in
//! which. Pure; everything that changes an assignment asks it.

use std::fmt;
use std::str::FromStr;

/// Where an assignment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It wants an address and has none yet.
    Pending,
    /// The address is its own, but not in use yet.
    Allocated,
    /// The address is in use.
    Active,
    /// The holder may not use the address for now.
    Suspended,
    /// It is ending: outside systems are being told.
    Revoking,
    /// It has ended. The end of this row; the address may have another life in another.
    Revoked,
    /// Something went wrong; somebody must decide.
    Failed,
}

/// Not a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use pending, allocated, active, suspended, revoking, revoked or failed")]
pub struct BadState;

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Allocated,
        Self::Active,
        Self::Suspended,
        Self::Revoking,
        Self::Revoked,
        Self::Failed,
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Allocated => "allocated",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
            Self::Failed => "failed",
        }
    }

    /// The states that may follow this one: fourteen steps in all, and no others.
    pub fn next(self) -> &'static [Self] {
        use State::{Active, Allocated, Failed, Pending, Revoked, Revoking, Suspended};
        match self {
            Pending => &[Allocated, Failed],
            Allocated => &[Active, Failed, Revoking],
            Active => &[Suspended, Revoking, Failed],
            Suspended => &[Active, Revoking, Failed],
            Revoking => &[Revoked, Failed],
            Revoked => &[],
            Failed => &[Pending],
        }
    }

    /// Whether whatever is in this state surely has an address or a prefix.
    pub fn has_address(self) -> bool {
        !matches!(self, Self::Pending | Self::Failed)
    }

    /// Whether `next` may follow.
    pub fn may_become(self, next: Self) -> bool {
        self.next().contains(&next)
    }

    /// Whether nothing may follow.
    pub fn is_terminal(self) -> bool {
        self.next().is_empty()
    }

    /// What a person may do with an assignment in this state, the likeliest first.
    pub fn operations(self) -> Vec<Operation> {
        let all = Operation::ALL.into_iter();
        all.filter(|operation| operation.by_people() && operation.allowed_in(self)).collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = BadState;

    fn from_str(text: &str) -> Result<Self, BadState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(BadState)
    }
}

impl TryFrom<String> for State {
    type Error = BadState;

    fn try_from(text: String) -> Result<Self, BadState> {
        text.parse()
    }
}

impl serde::Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something done with an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// It gets an address.
    Allocate,
    /// The address is taken into use.
    Activate,
    /// The holder may not use the address for now.
    Suspend,
    /// The holder may use it again.
    Reactivate,
    /// It begins to end.
    Revoke,
    /// It has ended.
    Complete,
    /// What failed is tried again.
    Retry,
    /// It cannot go on.
    Fail,
}

/// Not an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use activate, suspend, reactivate, revoke, retry or fail")]
pub struct BadOperation;

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 8] = [
        Self::Allocate,
        Self::Activate,
        Self::Suspend,
        Self::Reactivate,
        Self::Revoke,
        Self::Complete,
        Self::Retry,
        Self::Fail,
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Activate => "activate",
            Self::Suspend => "suspend",
            Self::Reactivate => "reactivate",
            Self::Revoke => "revoke",
            Self::Complete => "complete",
            Self::Retry => "retry",
            Self::Fail => "fail",
        }
    }

    /// Where it leads.
    pub fn target(self) -> State {
        match self {
            Self::Allocate => State::Allocated,
            Self::Activate | Self::Reactivate => State::Active,
            Self::Suspend => State::Suspended,
            Self::Revoke => State::Revoking,
            Self::Complete => State::Revoked,
            Self::Retry => State::Pending,
            Self::Fail => State::Failed,
        }
    }

    /// Whether it may be done in a state: the step must be one of the machine's, and two that lead
    /// to the same state are still two. What is suspended is reactivated, not activated.
    pub fn allowed_in(self, state: State) -> bool {
        let its_own = match self {
            Self::Activate => state == State::Allocated,
            Self::Reactivate => state == State::Suspended,
            _ => true,
        };
        its_own && state.may_become(self.target())
    }

    /// Whether people ask for it with an assignment at hand. The others follow by themselves.
    pub fn by_people(self) -> bool {
        !matches!(self, Self::Allocate | Self::Complete)
    }

    /// What a button says.
    pub fn label(self) -> &'static str {
        match self {
            Self::Allocate => "Allocate",
            Self::Activate => "Activate",
            Self::Suspend => "Suspend",
            Self::Reactivate => "Reactivate",
            Self::Revoke => "Revoke",
            Self::Complete => "Complete",
            Self::Retry => "Retry",
            Self::Fail => "Mark as failed",
        }
    }

    /// What was done, for a sentence.
    pub fn done(self) -> &'static str {
        match self {
            Self::Allocate => "allocated",
            Self::Activate => "activated",
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Revoke => "revoked",
            Self::Complete => "completed",
            Self::Retry => "tried again",
            Self::Fail => "marked as failed",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = BadOperation;

    fn from_str(text: &str) -> Result<Self, BadOperation> {
        let known = Self::ALL.into_iter().find(|operation| operation.as_str() == text);
        known.filter(|operation| operation.by_people()).ok_or(BadOperation)
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Active, Allocated, Failed, Pending, Revoked, Revoking, Suspended};
    use super::*;

    /// The table as the specification has it.
    const LEGAL: [(State, State); 14] = [
        (Pending, Allocated),
        (Pending, Failed),
        (Allocated, Active),
        (Allocated, Failed),
        (Allocated, Revoking),
        (Active, Suspended),
        (Active, Revoking),
        (Active, Failed),
        (Suspended, Active),
        (Suspended, Revoking),
        (Suspended, Failed),
        (Revoking, Revoked),
        (Revoking, Failed),
        (Failed, Pending),
    ];

    #[test]
    fn of_49_steps_14_are_legal_and_35_are_not() {
        let (mut legal, mut illegal) = (0, 0);
        for from in State::ALL {
            for to in State::ALL {
                let known = LEGAL.contains(&(from, to));
                assert_eq!(from.may_become(to), known, "{from} -> {to}");
                if known { legal += 1 } else { illegal += 1 }
            }
        }
        assert_eq!((legal, illegal), (14, 35));
    }

    #[test]
    fn only_revoked_is_the_end_and_words_lead_back() {
        let ends: Vec<State> = State::ALL.into_iter().filter(|state| state.is_terminal()).collect();
        assert_eq!(ends, [Revoked]);
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("Active".parse::<State>(), Err(BadState));
        for operation in Operation::ALL {
            let known = operation.as_str().parse();
            assert_eq!(known.ok(), operation.by_people().then_some(operation));
        }
    }

    #[test]
    fn an_operation_is_guarded_besides_its_step() {
        let allowed = |operation: Operation| -> Vec<State> {
            State::ALL.into_iter().filter(|state| operation.allowed_in(*state)).collect()
        };
        assert_eq!(allowed(Operation::Allocate), [Pending]);
        assert_eq!(allowed(Operation::Activate), [Allocated]);
        assert_eq!(allowed(Operation::Suspend), [Active]);
        assert_eq!(allowed(Operation::Reactivate), [Suspended]);
        assert_eq!(allowed(Operation::Revoke), [Allocated, Active, Suspended]);
        assert_eq!(allowed(Operation::Complete), [Revoking]);
        assert_eq!(allowed(Operation::Retry), [Failed]);
        assert_eq!(allowed(Operation::Fail), [Pending, Allocated, Active, Suspended, Revoking]);
        assert_eq!(
            Suspended.operations(),
            [Operation::Reactivate, Operation::Revoke, Operation::Fail]
        );
        assert!(Revoked.operations().is_empty());
    }
}
