//! What an assignment is.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::state::State;
use crate::id::AssignmentId;
use crate::id::PrefixPoolId;
use crate::ipam::addresses::{Holder, HolderKind, Hostname, Tenure};
use crate::ipam::prefixes::PrefixLength;
use crate::ipam::space::Source;
use crate::net::{Address, Cidr, Mac, Range};
use crate::text::{ByName, Line};
use crate::time::Timestamp;

/// What an assignment gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A delegated IPv6 prefix.
    Prefix,
}

/// Not a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use ipv4, ipv6 or prefix")]
pub struct BadFamily;

impl Family {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Prefix];

    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Prefix => "prefix",
        }
    }

    /// What a person calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Prefix => "IPv6 prefix",
        }
    }

    /// That of an address.
    pub fn of(address: Address) -> Self {
        match address.family() {
            crate::net::Family::V4 => Self::Ipv4,
            crate::net::Family::V6 => Self::Ipv6,
        }
    }
}

impl FromStr for Family {
    type Err = BadFamily;

    fn from_str(text: &str) -> Result<Self, BadFamily> {
        Self::ALL.into_iter().find(|family| family.as_str() == text).ok_or(BadFamily)
    }
}

impl TryFrom<String> for Family {
    type Error = BadFamily;

    fn try_from(text: String) -> Result<Self, BadFamily> {
        text.parse()
    }
}

/// By what a subscriber is known: 1 to 64 of `A-Z a-z 0-9 . _ : @ + -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(String);

/// Not a subscriber's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 64 letters, digits and . _ : @ + -")]
pub struct BadSubscriberId;

impl FromStr for SubscriberId {
    type Err = BadSubscriberId;

    fn from_str(text: &str) -> Result<Self, BadSubscriberId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:@+".contains(c);
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadSubscriberId)
        }
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody has an address for: 1 to 32 of `a-z 0-9 _ -`. One of each is live at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(String);

/// Not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 32 small letters, digits, _ and -, such as primary")]
pub struct BadRole;

impl Default for Role {
    fn default() -> Self {
        Self("primary".to_owned())
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if (1..=32).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadRole)
        }
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
        f.write_str(&self.0)
    }
}

impl Role {
    /// Whether it is the one nobody names.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What whoever calls wants remembered: a JSON object of at most 32 entries and 8 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Map<String, Value>);

/// Why metadata are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// Something else than an object.
    #[error("send an object")]
    Form,
    /// Too much.
    #[error("use at most 32 entries and 8 KiB, with keys of at most 64 characters")]
    Large,
    /// A stored row that is no object.
    #[error("stored metadata are not JSON")]
    Stored,
}

impl Metadata {
    /// Reads what somebody sent.
    pub fn read(value: Value) -> Result<Self, BadMetadata> {
        let Value::Object(entries) = value else { return Err(BadMetadata::Form) };
        Self(entries).checked()
    }

    fn checked(self) -> Result<Self, BadMetadata> {
        let keys = self.0.len() <= 32 && self.0.keys().all(|key| key.chars().count() <= 64);
        if keys && self.to_string().len() <= 8 << 10 { Ok(self) } else { Err(BadMetadata::Large) }
    }

    /// These on top of those there are.
    pub fn merged(&self, new: &Self) -> Result<Self, BadMetadata> {
        let mut all = self.clone();
        all.0.extend(new.0.clone());
        all.checked()
    }

    /// The text of an entry.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    /// Every entry, for people.
    pub fn entries(&self) -> Vec<(String, String)> {
        let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.0.iter().map(|(key, value)| (key.clone(), show(value))).collect()
    }

    /// As JSON.
    pub fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Adds a text; too much of it is left out.
    pub(super) fn put(&mut self, key: &str, text: &str) {
        self.0.insert(key.to_owned(), Value::from(text));
    }
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

impl TryFrom<String> for Metadata {
    type Error = BadMetadata;

    fn try_from(text: String) -> Result<Self, BadMetadata> {
        serde_json::from_str(&text).map(Self).map_err(|_| BadMetadata::Stored)
    }
}

/// What an assignment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// One address.
    Address(Address),
    /// A whole prefix.
    Prefix(Cidr),
}

impl Leased {
    /// The first address of it.
    pub fn first(self) -> Address {
        match self {
            Self::Address(address) => address,
            Self::Prefix(cidr) => cidr.network(),
        }
    }

    /// All addresses of it.
    pub fn range(self) -> Range {
        match self {
            Self::Address(address) => Range::single(address),
            Self::Prefix(cidr) => cidr.range(),
        }
    }
}

impl fmt::Display for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(cidr) => cidr.fmt(f),
        }
    }
}

/// What becomes of the address when a revocation completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It goes back to its pool, after the quarantine if the tenant has one.
    Free,
    /// It is kept: reserved, until somebody releases it.
    Keep,
}

impl Release {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Keep => "keep",
        }
    }

    pub(super) fn stored(text: &str) -> Option<Self> {
        [Self::Free, Self::Keep].into_iter().find(|release| release.as_str() == text)
    }
}

/// An assignment as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Assignment {
    pub id: AssignmentId,
    pub family: Family,
    pub state: State,
    pub live: bool,
    pub leased: Option<Leased>,
    pub pool: Option<String>,
    pub holder: Holder,
    pub role: Role,
    pub hostname: Hostname,
    pub mac: Option<Mac>,
    pub reason: Line<500>,
    pub release: Option<Release>,
    pub metadata: Metadata,
    pub since: Timestamp,
    pub allocated_at: Option<Timestamp>,
    pub activated_at: Option<Timestamp>,
    pub suspended_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Assignment {
    /// The address or prefix, if it has one now; a life that is over has none.
    pub fn held(&self) -> Option<Leased> {
        self.leased.filter(|_| self.live && self.state != State::Pending)
    }

    /// What a person calls it: `10.20.5.11 for user Ann`.
    pub fn label(&self) -> String {
        let what = match self.leased {
            Some(leased) => leased.to_string(),
            None => format!("an {}", self.family.label()),
        };
        format!("{what} for {} {}", self.holder.kind.as_str(), self.holder)
    }
}

/// Where an address or prefix is to come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Wherever there is one: the lowest free of the tenant.
    #[default]
    Anywhere,
    /// A subnet or one of its pools.
    Addresses(Source),
    /// A prefix pool.
    Prefixes(PrefixPoolId),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Address or prefix.
    pub family: Family,
    /// Who is to have it, and what is known of their machine. The name of a user or a host is
    /// looked up.
    pub tenure: Tenure,
    /// What for.
    pub role: Role,
    /// Where from.
    pub from: Origin,
    /// This address or prefix, and no other.
    pub wish: Option<Leased>,
    /// How long a prefix; without it as long as its pool says.
    pub length: Option<PrefixLength>,
}

/// How outside systems are to be told, and what is to be remembered.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// The name of the session, as the NAS knows it; without it the one said before, or the
    /// holder's id.
    pub username: Option<SubscriberId>,
    /// The NAS; without it the one said before, or the tenant's own.
    pub nas: Option<Address>,
    /// Whether RADIUS is told; none is as the operation usually does.
    pub radius: Option<bool>,
    /// Whether `NetBox` is told.
    pub netbox: Option<bool>,
    /// Merged on top of what is remembered.
    pub metadata: Metadata,
}

/// Something to do with an assignment that is there.
#[derive(Clone, Debug)]
pub enum Step {
    /// Take it into use.
    Activate,
    /// Take it out of use for now.
    Suspend(Line<500>),
    /// Let it be used again.
    Reactivate,
    /// End it.
    Revoke(Release),
    /// Try again what failed.
    Retry,
    /// It cannot go on: why.
    Fail(Line<500>),
}

/// How a subscriber's assignment is named.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The subscriber.
    pub id: SubscriberId,
    /// What sort of thing it is; without it whichever is known by the id.
    pub kind: Option<HolderKind>,
    /// What for; without it the only one there is.
    pub role: Option<Role>,
}

/// In which states assignments are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All but those that are over.
    #[default]
    Current,
    /// Every one.
    Any,
    /// Those in this state.
    In(State),
}

impl Which {
    /// Its name in the URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Any => "any",
            Self::In(state) => state.as_str(),
        }
    }

    /// What is called so; anything else is [`Which::Current`].
    pub fn named(name: &str) -> Self {
        match name {
            "any" => Self::Any,
            name => name.parse().map_or(Self::Current, Self::In),
        }
    }

    /// Whether it has this state.
    pub fn has(self, state: State) -> bool {
        match self {
            Self::Current => state != State::Revoked,
            Self::Any => true,
            Self::In(one) => one == state,
        }
    }
}

/// Which assignments a list shows. Empty means any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of an address, or the beginning of a holder's name, or the holder's id.
    pub search: String,
    /// In which states.
    pub which: Which,
    /// Only this family.
    pub family: Option<Family>,
    /// Only such holders.
    pub kind: Option<HolderKind>,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    Address,
    AddressDown,
    Holder,
    HolderDown,
    Since,
    #[default]
    SinceDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Holder, "holder"),
        (Self::HolderDown, "-holder"),
        (Self::Since, "since"),
        (Self::SinceDown, "-since"),
    ];
}

/// How many assignments there are of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Address or prefix.
    pub family: Family,
    /// Whose.
    pub kind: HolderKind,
    /// Where in their lives.
    pub state: State,
    /// How many.
    pub entries: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_roles_are_plain_words() {
        for good in ["ann@example.com", "C-4711", "00:15:65:aa:bb:cc", "a"] {
            assert_eq!(good.parse::<SubscriberId>().unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a/b", "é", "<b>", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<SubscriberId>(), Err(BadSubscriberId), "{bad:?}");
            assert_eq!(bad.parse::<Role>(), Err(BadRole), "{bad:?}");
        }
        assert!(Role::default().is_usual());
    }

    #[test]
    fn metadata_are_an_object_and_not_too_much() {
        let one = Metadata::read(json!({ "a": 1, "b": "x" })).unwrap();
        let two = Metadata::read(json!({ "b": "y" })).unwrap();
        assert_eq!(one.merged(&two).unwrap().to_string(), r#"{"a":1,"b":"y"}"#);
        assert_eq!(Metadata::try_from(one.to_string()), Ok(one));
        for bad in [json!([]), json!("x"), json!(null)] {
            assert_eq!(Metadata::read(bad), Err(BadMetadata::Form));
        }
        assert_eq!(Metadata::read(json!({ "a": "x".repeat(9000) })), Err(BadMetadata::Large));
        let many: Map<String, Value> = (0..33).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(Metadata::read(Value::Object(many)), Err(BadMetadata::Large));
    }
}
