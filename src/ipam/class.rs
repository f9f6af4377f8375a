//! What an address is, in the few words that lists filter and count by.

use std::fmt;
use std::str::FromStr;

/// Who may use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nobody holds it. It has a row only if it was seen in use all the same.
    Available,
    /// Somebody holds it.
    Allocated,
    /// Kept for somebody, with a note that says why.
    Reserved,
    /// Not to be given out, with a reason.
    Quarantine,
}

impl Status {
    /// Every status, in the order lists name them.
    pub const ALL: [Self; 4] = [Self::Available, Self::Allocated, Self::Reserved, Self::Quarantine];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Allocated => "allocated",
            Self::Reserved => "reserved",
            Self::Quarantine => "quarantine",
        }
    }

    /// Whether an address may go from this status to `next`. What somebody holds must be released
    /// before another gets it, and a quarantine must be ended first.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Allocated, Available, Quarantine, Reserved};
        matches!(
            (self, next),
            (Available, Allocated | Reserved | Quarantine)
                | (Reserved, Available | Allocated | Quarantine)
                | (Allocated, Available | Quarantine)
                | (Quarantine, Available)
        )
    }
}

/// How an address reaches whoever uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Given by hand, for good.
    Static,
    /// Given by a DHCP server.
    Dhcp,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Static, Self::Dhcp];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dhcp => "dhcp",
        }
    }
}

macro_rules! words {
    ($($name:ident, $error:ident, $sentence:literal;)*) => {$(
        /// Not one of the words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($sentence)]
        pub struct $error;

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or($error)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

words! {
    Status, BadStatus, "use available, allocated, reserved or quarantine";
    Kind, BadKind, "use static or dhcp";
}

/// Status, kind, whether it was seen of late, and whether two claim it: the unit of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

impl Class {
    const GAP: u8 = 4;

    /// Of an address with a row.
    pub fn row(status: Status, kind: Kind, active: bool, conflict: bool) -> Self {
        let status = match status {
            Status::Available => 0,
            Status::Allocated => 1,
            Status::Reserved => 2,
            Status::Quarantine => 3,
        };
        let kind = u8::from(kind == Kind::Dhcp);
        Self(status * 8 + kind * 4 + u8::from(active) * 2 + u8::from(conflict))
    }

    /// Of the addresses of a gap.
    pub fn gap(kind: Kind) -> Self {
        Self(Self::GAP * 8 + u8::from(kind == Kind::Dhcp) * 4)
    }

    /// As databases store it.
    pub fn as_i64(self) -> i64 {
        i64::from(self.0)
    }

    /// Every class there is.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::GAP * 8).map(Self).chain(Kind::ALL.map(Self::gap))
    }

    /// The status; a gap of a static pool is available, DHCP's space has none.
    pub fn status(self) -> Option<Status> {
        match self.0 / 8 {
            0 => Some(Status::Available),
            1 => Some(Status::Allocated),
            2 => Some(Status::Reserved),
            3 => Some(Status::Quarantine),
            _ => (self.kind() == Kind::Static).then_some(Status::Available),
        }
    }

    /// How it is given.
    pub fn kind(self) -> Kind {
        if self.0 & 4 == 0 { Kind::Static } else { Kind::Dhcp }
    }

    /// Whether it was seen of late.
    pub fn is_active(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether two claim it.
    pub fn is_conflict(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it is a gap rather than a row.
    pub fn is_gap(self) -> bool {
        self.0 / 8 == Self::GAP
    }
}

/// A set of classes, as one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classes(i64);

impl Classes {
    /// Those that `wanted` says yes to.
    pub fn of(wanted: impl Fn(Class) -> bool) -> Self {
        Self(Class::all().filter(|class| wanted(*class)).fold(0, |bits, class| bits | 1 << class.0))
    }

    /// As a parameter of a statement.
    pub fn bits(self) -> i64 {
        self.0
    }

    /// Whether `class` is one of them.
    pub fn contains(self, class: Class) -> bool {
        self.0 & (1 << class.0) != 0
    }

    /// Only those `wanted` says yes to.
    #[must_use]
    pub fn only(self, wanted: impl Fn(Class) -> bool) -> Self {
        Self::of(|class| self.contains(class) && wanted(class))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<i64> for Class {
    type Error = BadStatus;

    fn try_from(number: i64) -> Result<Self, BadStatus> {
        Self::all().find(|class| class.as_i64() == number).ok_or(BadStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_says_what_it_was_made_of() {
        for status in Status::ALL {
            for kind in Kind::ALL {
                for (active, conflict) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let class = Class::row(status, kind, active, conflict);
                    assert_eq!(Class::try_from(class.as_i64()), Ok(class));
                    assert_eq!(class.status(), Some(status));
                    assert_eq!(
                        (class.kind(), class.is_active(), class.is_conflict()),
                        (kind, active, conflict)
                    );
                    assert!(!class.is_gap());
                }
            }
        }
        assert_eq!(Class::gap(Kind::Static).status(), Some(Status::Available));
        assert_eq!(Class::gap(Kind::Dhcp).status(), None);
        assert_eq!(Class::all().count(), 34);
    }

    #[test]
    fn nine_of_the_sixteen_transitions_are_allowed() {
        use Status::{Allocated, Available, Quarantine, Reserved};
        let allowed = [
            (Available, Allocated),
            (Available, Reserved),
            (Available, Quarantine),
            (Allocated, Available),
            (Allocated, Quarantine),
            (Reserved, Available),
            (Reserved, Allocated),
            (Reserved, Quarantine),
            (Quarantine, Available),
        ];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from} to {to}");
            }
        }
    }
}
