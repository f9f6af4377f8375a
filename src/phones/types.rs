//! What a phone is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::settings::{Layer, is_dialled};
use crate::id::{ProfileId, SubnetId, UserId};
use crate::models::{Model, Vendor};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::text::Line;
use crate::time::Timestamp;
use crate::users::lines;

/// What a key of a phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Takes a line.
    Line,
    /// Shows whether a number is busy or rings, calls it, and picks up what rings there.
    Blf,
    /// Calls a number.
    SpeedDial,
    /// Parks a call in a slot, and shows whether one is parked there.
    Park,
}

/// Not something a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose line, blf, speed_dial or park")]
pub struct BadKeyKind;

impl KeyKind {
    /// Everything a key can do.
    pub const ALL: [Self; 4] = [Self::Line, Self::Blf, Self::SpeedDial, Self::Park];

    /// The word stored, and used in calls and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Blf => "blf",
            Self::SpeedDial => "speed_dial",
            Self::Park => "park",
        }
    }
}

impl FromStr for KeyKind {
    type Err = BadKeyKind;

    fn from_str(text: &str) -> Result<Self, BadKeyKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(BadKeyKind)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key watches or dials: 1 to 20 digits, `*` and `#`, perhaps a `+` first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled(String);

/// Nothing that can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 20 digits, * and #, perhaps a + first")]
pub struct BadDialled;

impl FromStr for Dialled {
    type Err = BadDialled;

    fn from_str(text: &str) -> Result<Self, BadDialled> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let fits = (1..=20).contains(&digits.len()) && digits.bytes().all(is_dialled);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadDialled) }
    }
}

impl fmt::Display for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line of a phone: the number it registers, and what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneLine {
    /// 1 is the first.
    pub line: u8,
    /// Whose extension.
    pub user: UserId,
    /// That extension.
    pub number: ExtensionNumber,
    /// What the person is called.
    pub name: String,
    /// What the phone writes beside it; empty is the number.
    pub label: Line<40>,
}

/// A key of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneKey {
    /// 1 is the first.
    pub position: u8,
    /// What it does.
    pub kind: KeyKind,
    /// The line it uses.
    pub line: u8,
    /// What it watches or dials; none for a line.
    pub value: Option<Dialled>,
    /// What the phone writes beside it.
    pub label: Line<40>,
}

/// A phone as stored, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    /// Its hardware address, which is its name.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: Line<60>,
    /// The site it says itself; may be empty.
    pub site: Line<60>,
    /// Where it stands.
    pub whereabouts: Whereabouts,
    /// Where its static address is taken from.
    pub subnet: Option<SubnetId>,
    /// Whatever else there is to say.
    pub notes: Line<500>,
    /// The profile it chose.
    pub profile: Option<ProfileId>,
    /// Its lines, in their order.
    pub lines: Vec<PhoneLine>,
    /// Its keys, in their order.
    pub keys: Vec<PhoneKey>,
    /// What it says itself of its settings.
    pub settings: Layer,
    /// Its static address: the one IPAM says it holds.
    pub address: Option<Address>,
    /// Until when one fetch by its plain file names is answered.
    pub enrol_until: Option<Timestamp>,
    /// Counts changes, for two editors.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What it last fetched and said of itself.
    pub seen: Seen,
}

impl Phone {
    /// Who made it.
    pub fn vendor(&self) -> Vendor {
        self.model.vendor
    }

    /// What people read where it is named: its label, else who has its first line, else its MAC.
    pub fn title(&self) -> String {
        let first = self.lines.first().map(|line| (line.number, line.name.as_str()));
        lines::title(self.label.as_str(), first, self.mac)
    }
}

/// Where a phone stands, and who says so: itself, else its subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The site; empty when nobody says one.
    pub site: Line<100>,
    /// The subnet that says it; none when the phone does.
    pub subnet: Option<SubnetId>,
}

impl Whereabouts {
    /// Who says it, as calls name them; none when nobody does.
    pub fn origin(&self) -> Option<&'static str> {
        match self.subnet {
            _ if self.site.is_empty() => None,
            Some(_) => Some("subnet"),
            None => Some("phone"),
        }
    }
}

/// What a phone last fetched and said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When it last fetched a file of its own.
    pub at: Option<Timestamp>,
    /// From where.
    pub from: Option<Address>,
    /// Which.
    pub file: String,
    /// That file's revision.
    pub revision: String,
    /// The revision of its model's common file it fetched last; empty while that is not known.
    pub common: String,
    /// How it introduced itself.
    pub user_agent: String,
    /// The model it says it is.
    pub model: String,
    /// Its firmware.
    pub firmware: String,
}

/// What is laid down of a phone, but for its MAC and its static address.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in the phone")]
pub struct Spec {
    pub model: &'static Model,
    pub label: Line<60>,
    pub site: Line<60>,
    pub subnet: Option<SubnetId>,
    pub notes: Line<500>,
    pub profile: Option<ProfileId>,
    pub lines: Vec<NewLine>,
    pub keys: Vec<PhoneKey>,
    pub settings: Layer,
}

impl Spec {
    /// A phone of which nothing but its model is known.
    pub fn new(model: &'static Model) -> Self {
        Self {
            model,
            label: Line::default(),
            site: Line::default(),
            subnet: None,
            notes: Line::default(),
            profile: None,
            lines: Vec::new(),
            keys: Vec::new(),
            settings: Layer::new(),
        }
    }

    /// What is laid down of `phone`.
    pub fn of(phone: &Phone) -> Self {
        let phone = phone.clone();
        Self {
            model: phone.model,
            label: phone.label,
            site: phone.site,
            subnet: phone.subnet,
            notes: phone.notes,
            profile: phone.profile,
            lines: phone.lines.into_iter().map(NewLine::from).collect(),
            keys: phone.keys,
            settings: phone.settings,
        }
    }

    /// Label, site, model and notes as a search looks through them.
    pub(super) fn search(&self) -> String {
        let model = format!("{} {}", self.model, self.model.name);
        let parts = [self.label.as_str(), self.site.as_str(), &model, self.notes.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n").to_lowercase()
    }
}

/// A line to be given to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// 1 is the first.
    pub line: u8,
    /// Whose extension.
    pub user: UserId,
    /// What the phone writes beside it; empty is the number.
    pub label: Line<40>,
}

impl From<PhoneLine> for NewLine {
    fn from(line: PhoneLine) -> Self {
        Self { line: line.line, user: line.user, label: line.label }
    }
}

/// Which static address a phone is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Static {
    /// None.
    None,
    /// The next free one of its subnet, unless it has one there already.
    Next,
    /// This one.
    This(Address),
}

/// A phone to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPhone {
    /// Its hardware address.
    pub mac: Mac,
    /// What is laid down of it.
    pub spec: Spec,
    /// Its static address.
    pub address: Static,
}

/// What is to be different. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in the phone")]
pub struct Edit {
    pub model: Option<&'static Model>,
    pub label: Option<Line<60>>,
    pub site: Option<Line<60>>,
    pub subnet: Option<Option<SubnetId>>,
    pub notes: Option<Line<500>>,
    pub profile: Option<Option<ProfileId>>,
    pub lines: Option<Vec<NewLine>>,
    pub keys: Option<Vec<PhoneKey>>,
    /// Settings by their keys; `None` is as the profiles say.
    pub settings: BTreeMap<String, Option<String>>,
    pub address: Option<Static>,
}

impl Edit {
    /// Writes what is to be different into `spec`; the address is no part of it.
    pub(super) fn write_to(&self, spec: &mut Spec) {
        let put = self.clone();
        spec.model = put.model.unwrap_or(spec.model);
        spec.label = put.label.unwrap_or_else(|| spec.label.clone());
        spec.site = put.site.unwrap_or_else(|| spec.site.clone());
        spec.subnet = put.subnet.unwrap_or(spec.subnet);
        spec.notes = put.notes.unwrap_or_else(|| spec.notes.clone());
        spec.profile = put.profile.unwrap_or(spec.profile);
        spec.lines = put.lines.unwrap_or_else(|| spec.lines.clone());
        spec.keys = put.keys.unwrap_or_else(|| spec.keys.clone());
        for (key, value) in put.settings {
            match value {
                Some(value) => drop(spec.settings.insert(key, value)),
                None => drop(spec.settings.remove(&key)),
            }
        }
        spec.lines.sort_by_key(|line| line.line);
        spec.keys.sort_by_key(|key| key.position);
    }
}

/// What a phone signs in to Patchbay with, and what its own web pages ask for.
#[derive(Clone)]
pub struct Keys {
    /// What stands in its provisioning URL: 32 of `[A-Za-z0-9]`.
    pub token: String,
    /// With what it may also sign in for its files.
    pub http_password: String,
    /// What its own web pages ask an administrator for.
    pub web_password: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_dialled_is_dialled() {
        for good in ["1000", "*8", "#1", "+351210000000"] {
            assert_eq!(good.parse::<Dialled>().unwrap().to_string(), good);
        }
        for bad in ["", "+", "1000@host", "10 00", "1;2", "a", "٣", &"1".repeat(21)] {
            assert_eq!(bad.parse::<Dialled>(), Err(BadDialled), "{bad:?}");
        }
    }
}
