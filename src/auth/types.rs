//! Who may operate Patchbay, and what they may do.

use std::fmt;
use std::str::FromStr;

use crate::id::{OperatorId, TenantId, TokenId};
use crate::time::Timestamp;

/// What someone signs in as: 2 to 40 of `a-z 0-9 . _ -`, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorName(String);

/// Not a name to sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 2 to 40 small letters, digits, dots, hyphens or underscores, a letter first")]
pub struct BadOperatorName;

impl FromStr for OperatorName {
    type Err = BadOperatorName;

    fn from_str(text: &str) -> Result<Self, BadOperatorName> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let letter_first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if (2..=40).contains(&text.len()) && letter_first && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadOperatorName)
        }
    }
}

impl TryFrom<String> for OperatorName {
    type Error = BadOperatorName;

    fn try_from(text: String) -> Result<Self, BadOperatorName> {
        text.parse()
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OperatorName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Users, phones, addresses, Apply.
    Operator,
    /// Renames users and gives them new secrets.
    Helpdesk,
    /// Reads everything but secrets.
    Auditor,
}

/// Not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose admin, operator, helpdesk or auditor")]
pub struct BadRole;

impl Role {
    /// All roles, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Helpdesk, Self::Auditor];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Helpdesk => "helpdesk",
            Self::Auditor => "auditor",
        }
    }

    /// Whether the role includes the right.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::EditUsers | Right::EditPhones | Right::ReserveAddresses => self != Self::Auditor,
            Right::ManageUsers
            | Right::ManagePhones
            | Right::ManageAddresses
            | Right::Reveal
            | Right::Apply => matches!(self, Self::Admin | Self::Operator),
            Right::ReadAudit => matches!(self, Self::Admin | Self::Auditor),
            Right::Administer => self == Self::Admin,
        }
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

impl TryFrom<String> for Role {
    type Error = BadRole;

    fn try_from(text: String) -> Result<Self, BadRole> {
        text.parse()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// See everything but secrets and the audit log.
    Read,
    /// Rename users, give them new secrets.
    EditUsers,
    /// Create, delete, disable and import users.
    ManageUsers,
    /// Say what a phone is called and its keys do, let it fetch its file, restart it.
    EditPhones,
    /// Everything else about phones but templates: add, remove, give lines and addresses.
    ManagePhones,
    /// See a SIP secret again.
    Reveal,
    /// Take addresses, reserve them, and release what one has reserved oneself.
    ReserveAddresses,
    /// Everything else about subnets, addresses and hosts.
    ManageAddresses,
    /// Press the button.
    Apply,
    /// Read the audit log.
    ReadAudit,
    /// Operators, tokens, tenants, settings.
    Administer,
}

/// A password someone chooses: 12 characters or more, at most 256 bytes, not one everybody tries.
#[derive(Clone)]
pub struct NewPassword(String);

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too short.
    #[error("use at least 12 characters; four random words are good")]
    Short,
    /// Too long.
    #[error("use at most 256 bytes")]
    Long,
    /// Easily guessed.
    #[error("this is among the first that are tried; choose another")]
    Common,
    /// Contains the name it belongs to.
    #[error("leave your name and the product's out of it")]
    Name,
}

impl NewPassword {
    /// Checks a password for the operator called `name`.
    pub fn parse(text: &str, name: &OperatorName) -> Result<Self, BadPassword> {
        let lower = text.to_lowercase();
        if text.chars().count() < 12 {
            return Err(BadPassword::Short);
        }
        if text.len() > 256 {
            return Err(BadPassword::Long);
        }
        if lower.contains(name.as_str()) || lower.contains("patchbay") {
            return Err(BadPassword::Name);
        }
        if is_common(&lower) { Err(BadPassword::Common) } else { Ok(Self(text.to_owned())) }
    }

    /// The password itself, for hashing.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword")
    }
}

/// Few different characters, a run along the alphabet or keyboard, or a usual word stretched.
fn is_common(lower: &str) -> bool {
    const ROWS: [&str; 5] = [
        "0123456789012345678901234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjklzxcvbnm",
        "1q2w3e4r5t6y7u8i9o0p",
        "98765432109876543210",
    ];
    const WORDS: [&str; 12] = [
        "password",
        "passw0rd",
        "letmein",
        "welcome",
        "administrator",
        "changeme",
        "asterisk",
        "iloveyou",
        "trustno1",
        "monkey",
        "dragon",
        "football",
    ];
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let rest = WORDS.iter().fold(lower.to_owned(), |text, word| text.replace(word, ""));
    let rest = rest.trim_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    letters.len() < 5 || rest.chars().count() < 3 || ROWS.iter().any(|row| row.contains(lower))
}

/// What a token is for, in its owner's words: 1 to 60 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLabel(String);

/// Not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("say what it is for, in 1 to 60 characters")]
pub struct BadTokenLabel;

impl FromStr for TokenLabel {
    type Err = BadTokenLabel;

    fn from_str(text: &str) -> Result<Self, BadTokenLabel> {
        let fits = (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadTokenLabel) }
    }
}

impl fmt::Display for TokenLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operator as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Account {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: OperatorId,
    /// The tenant it belongs to.
    #[sqlx(try_from = "String")]
    pub tenant_id: TenantId,
    /// What it signs in as.
    #[sqlx(try_from = "String")]
    pub name: OperatorName,
    /// What it may do.
    #[sqlx(try_from = "String")]
    pub role: Role,
    /// Whether it may not sign in.
    pub disabled: bool,
    /// Whether a password has been chosen.
    pub has_password: bool,
    /// Counts changes, for two editors.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last did something.
    pub last_seen_at: Option<Timestamp>,
}

/// An API token as listed; the token itself is known only to whoever got it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Token {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: TokenId,
    /// Whose it is.
    pub operator: String,
    /// What it is for.
    pub label: String,
    /// What it may do, at most what its owner may.
    #[sqlx(try_from = "String")]
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_sign_in() {
        for bad in ["a", "", "Ann", "1ann", "ann smith", "ann\n", "äbc", &"a".repeat(41)] {
            assert_eq!(bad.parse::<OperatorName>(), Err(BadOperatorName), "{bad:?}");
        }
        assert!("m.silva-2".parse::<OperatorName>().is_ok());
    }

    #[test]
    fn passwords_everybody_tries_are_refused() {
        let name: OperatorName = "ann".parse().unwrap();
        let refused = |text: &str| NewPassword::parse(text, &name).err();
        assert_eq!(refused("short"), Some(BadPassword::Short));
        assert_eq!(refused(&"x".repeat(300)), Some(BadPassword::Long));
        assert_eq!(refused("ann-is-the-best"), Some(BadPassword::Name));
        for common in
            ["aaaaaaaaaaaaaa", "password12345!", "123456789012", "Administrator1", "qwertyuiopas"]
        {
            assert_eq!(refused(common), Some(BadPassword::Common), "{common}");
        }
        assert_eq!(refused("correct horse battery staple"), None);
        assert_eq!(refused("пароль очень длинный"), None);
    }

    #[test]
    fn rights_grow_with_the_role() {
        assert!(Role::Auditor.may(Right::ReadAudit) && !Role::Auditor.may(Right::EditUsers));
        assert!(Role::Helpdesk.may(Right::EditUsers) && !Role::Helpdesk.may(Right::Reveal));
        assert!(Role::Operator.may(Right::Apply) && !Role::Operator.may(Right::Administer));
        assert!(Role::Admin.may(Right::Administer));
    }
}
