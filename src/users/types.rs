//! What a user is: a person with an extension.

use std::fmt;
use std::str::FromStr;

use validator::ValidateEmail as _;

use crate::id::UserId;
use crate::numbering::ExtensionNumber;
use crate::secrets::Entropy;
use crate::text::{ByName, is_invisible};
use crate::time::Timestamp;

/// A person's name as phones show it: 1 to 60 characters and at most 79 bytes (Asterisk keeps no
/// more of a caller's name), nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPersonName {
    /// Nothing there.
    #[error("enter a name")]
    Empty,
    /// Too long.
    #[error("use at most 60 characters (79 bytes), phones show no more")]
    Long,
    /// Line breaks, control or direction characters.
    #[error("leave out line breaks and invisible characters")]
    Invisible,
    /// Blanks at an end.
    #[error("leave out blanks at the beginning and the end")]
    Blanks,
}

impl FromStr for PersonName {
    type Err = BadPersonName;

    fn from_str(text: &str) -> Result<Self, BadPersonName> {
        if text.trim().is_empty() {
            Err(BadPersonName::Empty)
        } else if text.chars().any(is_invisible) {
            Err(BadPersonName::Invisible)
        } else if text.trim() != text {
            Err(BadPersonName::Blanks)
        } else if text.chars().count() > 60 || text.len() > 79 {
            Err(BadPersonName::Long)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl TryFrom<String> for PersonName {
    type Error = BadPersonName;

    fn try_from(text: String) -> Result<Self, BadPersonName> {
        text.parse()
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PersonName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are searched and sorted.
    pub(super) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// An e-mail address (the HTML standard's rule), at most 254 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// Not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("enter an e-mail address, such as ann@example.com")]
pub struct BadEmail;

impl FromStr for Email {
    type Err = BadEmail;

    fn from_str(text: &str) -> Result<Self, BadEmail> {
        let plain = text.len() <= 254 && !text.chars().any(is_invisible);
        if plain && text.validate_email() { Ok(Self(text.to_owned())) } else { Err(BadEmail) }
    }
}

impl TryFrom<String> for Email {
    type Error = BadEmail;

    fn try_from(text: String) -> Result<Self, BadEmail> {
        text.parse()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Email {
    /// The form in which addresses are compared.
    pub(super) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// What a phone registers with: 24 characters of `[A-Za-z0-9]` (142 bits), made by Patchbay, so
/// that it is inert wherever it is written.
#[derive(Clone)]
pub struct SipSecret(String);

impl SipSecret {
    /// A new one.
    pub fn generate(entropy: &Entropy) -> std::io::Result<Self> {
        entropy.text(24).map(Self)
    }

    /// One that was sealed.
    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The secret itself. For the one place it is shown, or hashed into a digest.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SipSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipSecret")
    }
}

/// A user as stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// Their id.
    #[sqlx(try_from = "String")]
    pub id: UserId,
    /// What they are called.
    #[sqlx(try_from = "String")]
    pub name: PersonName,
    /// Where they get mail.
    #[sqlx(try_from = "String")]
    pub email: Email,
    /// Their number.
    #[sqlx(try_from = "i64")]
    pub number: ExtensionNumber,
    /// Whether their phone may register after the next Apply.
    pub enabled: bool,
    /// Counts changes, for two editors.
    pub version: i64,
    /// When they were added.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
    /// When their secret was made.
    pub secret_at: Timestamp,
}

/// Someone to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What they are called.
    pub name: PersonName,
    /// Where they get mail.
    pub email: Email,
    /// The number wished for; without one the lowest free number is taken.
    pub number: Option<ExtensionNumber>,
}

/// What is to be different. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The new name.
    pub name: Option<PersonName>,
    /// The new address.
    pub email: Option<Email>,
    /// The new number.
    pub number: Option<ExtensionNumber>,
    /// Whether the phone may register.
    pub enabled: Option<bool>,
}

impl Edit {
    /// Writes what is to be different into `user`.
    pub(super) fn write_to(self, user: &mut User) {
        let Self { name, email, number, enabled } = self;
        user.name = name.unwrap_or_else(|| user.name.clone());
        user.email = email.unwrap_or_else(|| user.email.clone());
        user.number = number.unwrap_or(user.number);
        user.enabled = enabled.unwrap_or(user.enabled);
    }
}

/// Which users a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of the name, the address or the number.
    pub search: String,
    /// Only those enabled, or only those not.
    pub enabled: Option<bool>,
}

impl Filter {
    /// Whether everybody is meant.
    pub fn is_empty(&self) -> bool {
        self.search.is_empty() && self.enabled.is_none()
    }
}

/// How many users a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Totals {
    /// In all.
    pub all: i64,
    /// Of them, those that may not telephone.
    pub disabled: i64,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Number,
    NumberDown,
    Name,
    NameDown,
    Email,
    EmailDown,
    Created,
    CreatedDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Number, "number"),
        (Self::NumberDown, "-number"),
        (Self::Name, "name"),
        (Self::NameDown, "-name"),
        (Self::Email, "email"),
        (Self::EmailDown, "-email"),
        (Self::Created, "created"),
        (Self::CreatedDown, "-created"),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_typed_or_refused() {
        for good in [
            "Ann",
            "O'Neil, \"Bob\" <b>",
            "Zoë Пётр 李雷 🚀",
            "Bob; --; ;-- x",
            "Bob\\",
            "=1+1",
            "${EXTEN}",
        ] {
            assert_eq!(good.parse::<PersonName>().unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("", BadPersonName::Empty),
            (" ", BadPersonName::Empty),
            ("a\nb", BadPersonName::Invisible),
            ("a\0", BadPersonName::Invisible),
            ("a\u{202e}b", BadPersonName::Invisible),
            (" a", BadPersonName::Blanks),
            (&"x".repeat(61), BadPersonName::Long),
            (&"é".repeat(40), BadPersonName::Long),
        ] {
            assert_eq!(bad.parse::<PersonName>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        assert!("ann.o'neil+x@example.com".parse::<Email>().is_ok());
        for bad in [
            "",
            "ann",
            "a@b,c@d",
            "a b@example.com",
            "@x",
            &format!("{}@example.com", "a".repeat(250)),
        ] {
            assert_eq!(bad.parse::<Email>(), Err(BadEmail), "{bad:?}");
        }
    }
}
