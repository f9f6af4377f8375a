//! What a profile is.

use std::fmt;
use std::str::FromStr;

use crate::id::ProfileId;
use crate::models::Model;
use crate::phones::settings::Layer;
use crate::text::{BadLine, Line};
use crate::time::Timestamp;

/// What a profile is called: 1 to 60 characters, unique in the tenant whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileName(Line<60>);

/// Why a profile's name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfileName {
    /// Nothing there.
    #[error("enter a name, such as Reception")]
    Empty,
    /// Not a line.
    #[error(transparent)]
    Line(#[from] BadLine),
}

impl FromStr for ProfileName {
    type Err = BadProfileName;

    fn from_str(text: &str) -> Result<Self, BadProfileName> {
        let line: Line<60> = text.parse()?;
        if line.is_empty() { Err(BadProfileName::Empty) } else { Ok(Self(line)) }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ProfileName {
    /// The form in which it is compared and sorted.
    pub fn key(&self) -> String {
        self.0.key()
    }
}

/// Whose settings a profile lays down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All phones of the tenant.
    Tenant,
    /// Those at a site.
    Site(Line<60>),
    /// Those of a model.
    Model(&'static Model),
    /// Those that choose it.
    Chosen,
}

impl Scope {
    /// The word stored, and used in calls.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Site(_) => "site",
            Self::Model(_) => "model",
            Self::Chosen => "chosen",
        }
    }

    /// The site in lower case or the model's key; empty for the others.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Site(site) => site.key(),
            Self::Model(model) => model.key(),
            Self::Tenant | Self::Chosen => String::new(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("all phones"),
            Self::Site(site) => write!(f, "phones at {site}"),
            Self::Model(model) => write!(f, "{model}"),
            Self::Chosen => f.write_str("phones that choose it"),
        }
    }
}

/// What is laid down of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it is called.
    pub name: ProfileName,
    /// Whose settings it lays down.
    pub scope: Scope,
    /// The settings it says something of.
    pub settings: Layer,
}

/// A profile as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its id.
    pub id: ProfileId,
    /// What is laid down of it.
    pub spec: Spec,
    /// Counts changes, for two editors.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
