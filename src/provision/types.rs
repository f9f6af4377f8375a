//! What a request for a boot file is, and what came of it.

use std::fmt;
use std::str::FromStr;

use actix_web::web::Bytes;

use crate::boot::Part;
use crate::id::{SubnetId, TenantId};
use crate::net::{Address, Mac};
use crate::text::is_invisible;
use crate::time::Timestamp;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The file was sent.
    Served,
    /// The phone has it already.
    Unchanged,
    /// The file as last rendered was sent, because the database could not be asked.
    Aged,
    /// Whoever asked may not have it.
    Refused,
    /// There is no such phone, or no such file for it.
    Unknown,
    /// There is no such file, and phones of its make do well without.
    Unneeded,
    /// By its plain name a file is sent once, and only for a while.
    Locked,
    /// Too many wrong guesses.
    Throttled,
    /// A placeholder in the URL was not filled in.
    Placeholder,
    /// The file cannot be rendered; the last good one was sent if there is one.
    Broken,
    /// The phone put something.
    Uploaded,
}

/// Not an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such outcome; choose one of the list")]
pub struct BadOutcome;

impl Outcome {
    /// All of them, in the order they are offered.
    pub const ALL: [Self; 11] = [
        Self::Served,
        Self::Unchanged,
        Self::Aged,
        Self::Broken,
        Self::Refused,
        Self::Unknown,
        Self::Unneeded,
        Self::Locked,
        Self::Throttled,
        Self::Placeholder,
        Self::Uploaded,
    ];

    /// The word of it that is stored, and whether the file was needed.
    pub fn stored(self) -> (&'static str, bool) {
        match self {
            Self::Unneeded => (Self::Unknown.as_str(), false),
            other => (other.as_str(), true),
        }
    }

    /// What [`Outcome::stored`] gave.
    pub fn restored(word: &str, needed: bool) -> Result<Self, BadOutcome> {
        match word.parse()? {
            Self::Unknown if !needed => Ok(Self::Unneeded),
            outcome => Ok(outcome),
        }
    }

    /// The word shown, and used in calls.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Unchanged => "unchanged",
            Self::Aged => "aged",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Unneeded => "unneeded",
            Self::Locked => "locked",
            Self::Throttled => "throttled",
            Self::Placeholder => "placeholder",
            Self::Broken => "broken",
            Self::Uploaded => "uploaded",
        }
    }

    /// How the word is coloured.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Served | Self::Unchanged | Self::Uploaded => "on",
            Self::Aged | Self::Placeholder | Self::Locked => "half",
            Self::Unneeded => "off",
            Self::Refused | Self::Unknown | Self::Throttled | Self::Broken => "bad",
        }
    }

    /// Whether the phone got what it asked for.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Served | Self::Unchanged | Self::Aged | Self::Uploaded)
    }
}

impl FromStr for Outcome {
    type Err = BadOutcome;

    fn from_str(text: &str) -> Result<Self, BadOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(BadOutcome)
    }
}

impl TryFrom<String> for Outcome {
    type Error = BadOutcome;

    fn try_from(text: String) -> Result<Self, BadOutcome> {
        text.parse()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request, as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When.
    pub at: Timestamp,
    /// Whose phone, or whose subnet it came from; none while it is nobody's.
    pub tenant: Option<TenantId>,
    /// The MAC it was about.
    pub mac: Option<Mac>,
    /// From where.
    pub address: Address,
    /// How the phone introduced itself; at most 200 characters, none invisible.
    pub user_agent: String,
    /// The file asked for, never a token; likewise.
    pub path: String,
    /// What came of it.
    pub outcome: Outcome,
    /// By what it was let in, or why it was not.
    pub how: String,
    /// Which revision was sent; may be empty.
    pub revision: String,
    /// Bytes sent, or taken.
    pub bytes: i64,
}

/// What a request says of a known phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub mac: Mac,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: Address,
    /// The file of its own it now has, and that file's revision.
    pub own: Option<(String, String)>,
    /// The revision of its model's common file it now has.
    pub common: Option<String>,
    /// How it introduced itself.
    pub user_agent: String,
    /// The model it says it is.
    pub model: String,
    /// Its firmware.
    pub firmware: String,
}

/// A rendered file, to be kept for when it cannot be rendered any more.
#[derive(Clone)]
pub struct Kept {
    /// Whose phone.
    pub tenant: TenantId,
    /// Which.
    pub mac: Mac,
    /// The file's name.
    pub name: String,
    /// The file.
    pub file: File,
    /// When it was rendered.
    pub at: Timestamp,
}

/// A file as a phone gets it. Holds secrets: never printed.
#[derive(Clone)]
pub struct File {
    /// Its MIME type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// What tells it from its other versions.
    pub revision: String,
    /// Whether it holds secrets.
    pub secret: bool,
    /// Which of a phone's files it is.
    pub part: Part,
}

/// A phone nobody has added that asked for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Whose subnet it is in.
    pub tenant: TenantId,
    /// Its MAC.
    pub mac: Mac,
    /// Its maker, or empty.
    pub vendor: String,
    /// What it says it is; the catalogue's word for it if there is one.
    pub model: String,
    /// Its firmware.
    pub firmware: String,
    /// How it introduced itself.
    pub user_agent: String,
    /// From where it asked.
    pub address: Address,
    /// In which subnet that is.
    pub subnet: SubnetId,
    /// For what.
    pub path: String,
    /// When.
    pub at: Timestamp,
    /// How often since it was last written down.
    pub times: i64,
}

/// Text from outside, fit to be stored: nothing invisible, and not more than 200 characters.
pub fn inert(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).take(200).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_as_they_are_written() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            let (word, needed) = outcome.stored();
            assert_eq!(Outcome::restored(word, needed), Ok(outcome));
        }
        assert_eq!("".parse::<Outcome>(), Err(BadOutcome));
    }

    #[test]
    fn text_from_outside_is_one_short_visible_line() {
        assert_eq!(inert(" a\r\n\0b\u{202e}c "), "abc");
        assert_eq!(inert(&"x".repeat(500)).len(), 200);
    }
}
