//! What a tenant is.

use std::fmt;
use std::str::FromStr;

use super::Settings;
use crate::id::TenantId;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::time::Zone;

/// What a tenant is called: 1 to 60 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantName(String);

/// Not a tenant's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 60 characters")]
pub struct BadTenantName;

impl FromStr for TenantName {
    type Err = BadTenantName;

    fn from_str(text: &str) -> Result<Self, BadTenantName> {
        let fits = (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadTenantName) }
    }
}

impl TryFrom<String> for TenantName {
    type Error = BadTenantName;

    fn try_from(text: String) -> Result<Self, BadTenantName> {
        text.parse()
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands before a tenant's numbers in Asterisk (`<slug>-1000`): 2 to 16 of `a-z 0-9`,
/// beginning with a letter, and no word that Patchbay uses there itself. The default tenant has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug(String);

/// Not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use 2 to 16 small letters or digits, a letter first; not \"patchbay\", \"internal\" or \"none\""
)]
pub struct BadSlug;

/// What would be called as something of Patchbay's own in Asterisk is: its templates and canaries
/// begin with `patchbay-`, as does a tenant's context, `patchbay-internal` is where the default tenant
/// dials, and `patchbay-none` where nobody does.
const TAKEN: [&str; 3] = ["patchbay", "internal", "none"];

impl FromStr for Slug {
    type Err = BadSlug;

    fn from_str(text: &str) -> Result<Self, BadSlug> {
        let letter_first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let fits = (2..=16).contains(&text.len()) && !TAKEN.contains(&text);
        if letter_first && plain && fits { Ok(Self(text.to_owned())) } else { Err(BadSlug) }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Tenant {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: TenantId,
    /// Its prefix in Asterisk, empty for the default tenant.
    pub slug: String,
    /// What it is called.
    #[sqlx(try_from = "String")]
    pub name: TenantName,
    /// Where its clocks are.
    #[sqlx(try_from = "String")]
    pub time_zone: Zone,
    #[sqlx(try_from = "i64")]
    first_extension: ExtensionNumber,
    #[sqlx(try_from = "i64")]
    last_extension: ExtensionNumber,
    /// Counts changes of its settings, for two editors.
    pub version: i64,
}

impl Tenant {
    /// The numbers it may give out. The schema keeps the ends in order.
    pub fn range(&self) -> ExtensionRange {
        ExtensionRange::spanning(self.first_extension, self.last_extension)
    }

    /// What stands before its numbers in Asterisk: nothing for the default tenant, else
    /// `<slug>-`.
    pub fn prefix(&self) -> String {
        if self.slug.is_empty() { String::new() } else { format!("{}-", self.slug) }
    }

    /// What the phone with `number` is called in Asterisk, and signs in as.
    pub fn endpoint(&self, number: ExtensionNumber) -> String {
        format!("{}{number}", self.prefix())
    }

    /// What of it can be changed.
    pub fn settings(&self) -> Settings {
        Settings { name: self.name.clone(), time_zone: self.time_zone.clone(), range: self.range() }
    }
}

#[cfg(test)]
impl Tenant {
    /// The default tenant, for the tests of whoever needs one.
    pub(crate) fn sample() -> Self {
        Self {
            id: TenantId::DEFAULT,
            slug: String::new(),
            name: TenantName("Default".to_owned()),
            time_zone: Zone::default(),
            first_extension: 1000.try_into().unwrap(),
            last_extension: 1999.try_into().unwrap(),
            version: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_safe_in_a_section_name() {
        assert!("acme2".parse::<Slug>().is_ok());
        for bad in [
            "a",
            "",
            "2acme",
            "ac-me",
            "ACME",
            "acme]",
            "patchbay",
            "internal",
            "none",
            "aaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(bad.parse::<Slug>(), Err(BadSlug), "{bad:?}");
        }
    }
}
