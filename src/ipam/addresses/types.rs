//! What is known of an address.

use crate::id::{AssignmentId, ClaimId, HostId, SubnetId};
use crate::ipam::class::{Class, Kind, Status};
use crate::net::{Address, Mac};
use crate::text::Line;
use crate::time::Timestamp;

/// A host name: letters, digits, `-`, `_` and `.`, at most 253 (RFC 1035 2.3.4); may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// Not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use letters, digits, dots and hyphens, at most 253 characters")]
pub struct BadHostname;

impl std::str::FromStr for Hostname {
    type Err = BadHostname;

    fn from_str(text: &str) -> Result<Self, BadHostname> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let text = text.trim();
        if text.len() <= 253 && text.chars().all(plain) && !text.starts_with(['-', '.']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadHostname)
        }
    }
}

impl TryFrom<String> for Hostname {
    type Error = BadHostname;

    fn try_from(text: String) -> Result<Self, BadHostname> {
        text.parse()
    }
}

impl std::fmt::Display for Hostname {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Hostname {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The form in which it is compared and searched.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// Whether both may be one machine's: a name without a domain may be of any.
    pub fn agrees(&self, other: &Self) -> bool {
        let (one, two) = (self.key(), other.key());
        let (one, two) = (one.trim_end_matches('.'), two.trim_end_matches('.'));
        let bare =
            |name: &str, full: &str| full.split_once('.').is_some_and(|(own, _)| own == name);
        one == two || bare(one, two) || bare(two, one)
    }

    /// What lists sort by; the last byte there is for none.
    pub fn sort(&self) -> Vec<u8> {
        if self.is_empty() { vec![u8::MAX] } else { self.key().into_bytes() }
    }
}

/// What sort of thing holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderKind {
    /// A host, with its own interface.
    Host,
    /// A host's baseboard management controller.
    Bmc,
    /// A phone.
    Phone,
    /// A person.
    User,
    /// Someone Patchbay does not know.
    External,
}

/// Not a kind of holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use host, bmc, phone, user or external")]
pub struct BadHolderKind;

impl HolderKind {
    const ALL: [Self; 5] = [Self::Host, Self::Bmc, Self::Phone, Self::User, Self::External];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Bmc => "bmc",
            Self::Phone => "phone",
            Self::User => "user",
            Self::External => "external",
        }
    }

    /// Whether it is one of a host's two interfaces, which the host's own settings name.
    pub fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::Bmc)
    }
}

impl std::str::FromStr for HolderKind {
    type Err = BadHolderKind;

    fn from_str(text: &str) -> Result<Self, BadHolderKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(BadHolderKind)
    }
}

/// Who holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What sort of thing.
    pub kind: HolderKind,
    /// Its id; for someone external whatever they are known by.
    pub id: String,
    /// What a person calls it.
    pub name: String,
}

impl Holder {
    /// Whether both are the same one, whatever it is called.
    pub fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id == other.id
    }

    /// What it is and what it is called, as in `phone 1000 Ann`.
    pub fn described(&self) -> String {
        format!("{} {self}", self.kind.as_str())
    }

    /// The page about it, if there is one.
    pub fn link(&self) -> Option<String> {
        match self.kind {
            HolderKind::Host | HolderKind::Bmc => Some(format!("/ipam/hosts/{}", self.id)),
            HolderKind::User => Some(format!("/users/{}", self.id)),
            HolderKind::Phone => Some(format!("/phones/{}", self.id)),
            HolderKind::External => None,
        }
    }

    /// The holder a host's own interface makes.
    pub fn host(id: HostId, name: &Hostname) -> Self {
        Self { kind: HolderKind::Host, id: id.to_string(), name: name.to_string() }
    }

    /// The holder a host's management controller makes.
    pub fn bmc(id: HostId, name: &Hostname) -> Self {
        Self { kind: HolderKind::Bmc, id: id.to_string(), name: name.to_string() }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            HolderKind::Bmc => write!(f, "{} (management)", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

/// Who holds an address, and what is known of the machine that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Who.
    pub holder: Holder,
    /// What the machine is called.
    pub hostname: Hostname,
    /// Its interface.
    pub mac: Option<Mac>,
    /// What it is.
    pub platform: Line<100>,
    /// Who made it.
    pub manufacturer: Line<100>,
}

impl Tenure {
    /// Of a holder of whose machine nothing is known.
    pub fn of(holder: Holder) -> Self {
        Self {
            holder,
            hostname: Hostname::default(),
            mac: None,
            platform: Line::default(),
            manufacturer: Line::default(),
        }
    }
}

/// An address with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Record {
    pub address: Address,
    pub id: i64,
    pub subnet: Option<SubnetId>,
    pub status: Status,
    pub kind: Kind,
    pub active: bool,
    pub conflict: bool,
    pub hostname: Hostname,
    pub mac: Option<Mac>,
    pub platform: Line<100>,
    pub manufacturer: Line<100>,
    pub holder: Option<Holder>,
    pub description: Line<500>,
    pub reserved_by: String,
    pub reason: Line<500>,
    pub until: Option<Timestamp>,
    pub since: Timestamp,
    pub last_seen: Option<Timestamp>,
    pub seen_mac: Option<Mac>,
    pub assignment: Option<AssignmentId>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Record {
    /// An address of which nothing is known yet.
    pub fn new(
        address: Address,
        id: i64,
        subnet: Option<SubnetId>,
        kind: Kind,
        now: Timestamp,
    ) -> Self {
        Self {
            address,
            id,
            subnet,
            status: Status::Available,
            kind,
            active: false,
            conflict: false,
            hostname: Hostname::default(),
            mac: None,
            platform: Line::default(),
            manufacturer: Line::default(),
            holder: None,
            description: Line::default(),
            reserved_by: String::new(),
            reason: Line::default(),
            until: None,
            since: now,
            last_seen: None,
            seen_mac: None,
            assignment: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether the holder is a host, whose own settings name the address: it is given back there.
    pub fn is_named_by_host(&self) -> bool {
        self.assignment.is_none()
            && self.holder.as_ref().is_some_and(|holder| holder.kind.is_host())
    }

    /// What it counts as.
    pub fn class(&self) -> Class {
        Class::row(self.status, self.kind, self.active, self.conflict)
    }

    /// What two editors compare: another after every change, and another again when the address
    /// was free meanwhile.
    pub fn stamp(&self) -> i64 {
        self.id << 20 | (self.version & 0xf_ffff)
    }

    /// What a search looks through, in lower case.
    pub fn search(&self) -> String {
        let mac = self.mac.map(Mac::hex).unwrap_or_default();
        let holder = self.holder.as_ref().map(|holder| holder.name.as_str()).unwrap_or_default();
        let hostname = self.hostname.to_string();
        let holder = if holder == hostname { "" } else { holder };
        let parts =
            [hostname.as_str(), &mac, holder, self.description.as_str(), self.reason.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n").to_lowercase()
    }

    /// Forgets who holds it and why, and everything known of the machine.
    pub(in crate::ipam) fn clear(&mut self, status: Status, now: Timestamp) {
        *self = Self {
            id: self.id,
            status,
            active: self.active,
            conflict: self.conflict,
            last_seen: self.last_seen,
            seen_mac: self.seen_mac,
            version: self.version,
            created_at: self.created_at,
            ..Self::new(self.address, self.id, self.subnet, self.kind, now)
        };
    }

    /// Puts somebody in possession.
    pub(super) fn occupy(&mut self, tenure: &Tenure, now: Timestamp) {
        self.clear(Status::Allocated, now);
        self.describe(tenure);
    }

    /// Writes down what is known of the holder and its machine.
    pub(super) fn describe(&mut self, tenure: &Tenure) {
        let Tenure { holder, hostname, mac, platform, manufacturer } = tenure.clone();
        self.holder = Some(holder);
        self.hostname = hostname;
        self.mac = mac;
        self.platform = platform;
        self.manufacturer = manufacturer;
    }

    /// Who holds it, and what is known of the machine.
    pub(super) fn tenure(&self) -> Option<Tenure> {
        let holder = self.holder.clone()?;
        Some(Tenure {
            holder,
            hostname: self.hostname.clone(),
            mac: self.mac,
            platform: self.platform.clone(),
            manufacturer: self.manufacturer.clone(),
        })
    }

    /// Who stands in the way, for a sentence.
    pub fn keeper(&self) -> String {
        match (&self.holder, self.status) {
            (Some(holder), _) => format!("{} {holder}", holder.kind.as_str()),
            (None, Status::Reserved) => format!("{} ({})", self.reserved_by, self.description),
            (None, Status::Quarantine) => format!("quarantine ({})", self.reason),
            (None, _) => "somebody".to_owned(),
        }
    }
}

/// Someone else who wants an address, or was seen with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its id.
    pub id: ClaimId,
    /// The address.
    pub address: Address,
    /// Who; none for a machine that was merely seen.
    pub tenure: Option<Tenure>,
    /// The interface it was seen with.
    pub mac: Option<Mac>,
    /// The name it was seen with, if it is the name that differs from what is written.
    pub hostname: Hostname,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a machine that was merely seen is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its interface.
    pub mac: Option<Mac>,
    /// Its name, if it is the name that differs from what is written; else empty.
    pub hostname: Hostname,
}

impl Seen {
    /// What tells one from another.
    pub(super) fn key(&self) -> String {
        if self.hostname.is_empty() {
            self.mac.map(Mac::hex).unwrap_or_default()
        } else {
            format!("name {}", self.hostname.key())
        }
    }
}

impl Claim {
    /// Who it is, for a sentence.
    pub fn claimant(&self) -> String {
        match (&self.tenure, self.mac) {
            (Some(tenure), _) => tenure.holder.described(),
            (None, _) if !self.hostname.is_empty() => format!("seen as {}", self.hostname),
            (None, Some(mac)) => format!("seen as {mac}"),
            (None, None) => "seen in use".to_owned(),
        }
    }

    /// The machine, if it was merely seen.
    pub fn seen(&self) -> Option<Seen> {
        let seen = || Seen { mac: self.mac, hostname: self.hostname.clone() };
        self.tenure.is_none().then(seen)
    }
}

/// What an address is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be kept, with the reason, perhaps until some time.
    Reserve {
        /// Why; never empty.
        note: Note,
        /// When the reservation ends by itself.
        until: Option<Timestamp>,
    },
    /// For somebody to hold.
    Allocate(Tenure),
    /// For somebody to hold under an assignment, which alone can end it.
    Assign(Tenure, AssignmentId),
}

/// What becomes of an address whose assignment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is free, or its oldest claimant's.
    Free,
    /// It is in quarantine until then.
    Quarantine(Note, Timestamp),
    /// It is reserved.
    Keep(Note),
}

/// Why an address is reserved or in quarantine: 1 to 500 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(Line<500>);

/// Why a note is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// Nothing there.
    #[error("say why: the next person will want to know")]
    Empty,
    /// Not a line.
    #[error(transparent)]
    Line(#[from] crate::text::BadLine),
}

impl std::str::FromStr for Note {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let line: Line<500> = text.parse()?;
        if line.is_empty() { Err(BadNote::Empty) } else { Ok(Self(line)) }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Note {
    /// The line itself.
    pub fn line(&self) -> Line<500> {
        self.0.clone()
    }
}

/// Which addresses someone asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// So many free ones, the lowest; one after the other if `contiguous`.
    Next {
        /// How many, 1 to 1024.
        count: u32,
        /// Whether without anything between.
        contiguous: bool,
    },
    /// This one.
    This(Address),
}

/// Who does something to reservations: their own, or anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserver {
    /// The operator's name.
    pub name: String,
    /// Whether others' reservations may be touched as well.
    pub anybodys: bool,
}

/// What is to be different of an address that somebody holds or keeps. `None` leaves a field as
/// it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Edit {
    pub hostname: Option<Hostname>,
    pub mac: Option<Option<Mac>>,
    pub platform: Option<Line<100>>,
    pub manufacturer: Option<Line<100>>,
    pub description: Option<Line<500>>,
    pub reason: Option<Line<500>>,
    pub until: Option<Option<Timestamp>>,
}

impl Edit {
    /// Writes what is to be different into `record`.
    pub(super) fn write_to(self, record: &mut Record) {
        let Self { hostname, mac, platform, manufacturer, description, reason, until } = self;
        record.hostname = hostname.unwrap_or_else(|| record.hostname.clone());
        record.mac = mac.unwrap_or(record.mac);
        record.platform = platform.unwrap_or_else(|| record.platform.clone());
        record.manufacturer = manufacturer.unwrap_or_else(|| record.manufacturer.clone());
        record.description = description.unwrap_or_else(|| record.description.clone());
        record.reason = reason.unwrap_or_else(|| record.reason.clone());
        record.until = until.unwrap_or(record.until);
    }
}
