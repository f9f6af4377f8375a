//! What a contact is: somebody outside who can be called from the phone book.

use std::fmt;
use std::str::FromStr;

use crate::id::ContactId;
use crate::phones::{BadDialled, Dialled};
use crate::text::{BadLine, Line};

/// What a contact is called: 1 to 60 characters, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactName(Line<60>);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContactName {
    /// Nothing there.
    #[error("enter a name")]
    Empty,
    /// Not a line.
    #[error(transparent)]
    Line(#[from] BadLine),
}

impl FromStr for ContactName {
    type Err = BadContactName;

    fn from_str(text: &str) -> Result<Self, BadContactName> {
        let line: Line<60> = text.parse()?;
        if line.is_empty() { Err(BadContactName::Empty) } else { Ok(Self(line)) }
    }
}

impl TryFrom<String> for ContactName {
    type Error = BadContactName;

    fn try_from(text: String) -> Result<Self, BadContactName> {
        text.parse()
    }
}

impl fmt::Display for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ContactName {
    /// The form in which names are searched, compared and sorted.
    pub(super) fn key(&self) -> String {
        self.0.key()
    }
}

/// A number that is dialled, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(pub Dialled);

impl TryFrom<String> for Number {
    type Error = BadDialled;

    fn try_from(text: String) -> Result<Self, BadDialled> {
        text.parse().map(Self)
    }
}

/// A contact as stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Contact {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: ContactId,
    /// What it is called.
    #[sqlx(try_from = "String")]
    pub name: ContactName,
    /// What phones dial.
    #[sqlx(try_from = "String")]
    pub number: Number,
    /// Counts changes, for two editors.
    pub version: i64,
}

/// A contact to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it is called.
    pub name: ContactName,
    /// What phones dial.
    pub number: Dialled,
}
