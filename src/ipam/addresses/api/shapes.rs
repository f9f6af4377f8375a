//! Addresses as JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Problem;
use crate::audit;
use crate::db::{self, Tx};
use crate::id::{ClaimId, SubnetId, TenantId};
use crate::ipam::addresses::places::Place;
use crate::ipam::addresses::{
    Claim, Holder, HolderKind, Hostname, Record, Standing, Stats, Tenure, claims_on,
};
use crate::ipam::class::Kind;
use crate::ipam::space::Gap;
use crate::net::{Address, Mac};
use crate::text::Line;
use crate::time::{Timestamp, Zone};

/// The subnet around an address.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiPlace {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: SubnetId,
    /// What it is called.
    pub name: String,
    /// Its addresses.
    #[schema(example = "10.20.5.0/24")]
    pub cidr: String,
}

impl From<&Place> for ApiPlace {
    fn from(place: &Place) -> Self {
        Self { id: place.id, name: place.name.clone(), cidr: place.cidr.to_string() }
    }
}

/// Who holds an address.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiHolder {
    /// `host`, `bmc`, `phone`, `user` or `external`.
    pub kind: String,
    /// Its id; for someone external whatever they are known by.
    pub id: String,
    /// What a person calls it.
    pub name: String,
}

impl From<&Holder> for ApiHolder {
    fn from(holder: &Holder) -> Self {
        let (kind, id) = (holder.kind.as_str().to_owned(), holder.id.clone());
        Self { kind, id, name: holder.name.clone() }
    }
}

/// Someone else who wants an address, or was seen with it.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiClaim {
    /// Its id, a UUID, for `resolve`.
    #[schema(value_type = String, format = Uuid)]
    pub id: ClaimId,
    /// Who; none for a machine that was merely seen.
    pub holder: Option<ApiHolder>,
    /// The interface it was seen with.
    pub mac: Option<String>,
    /// The name it was seen with, if it is the name that differs from what is written.
    pub hostname: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<&Claim> for ApiClaim {
    fn from(claim: &Claim) -> Self {
        Self {
            id: claim.id,
            holder: claim.tenure.as_ref().map(|tenure| (&tenure.holder).into()),
            mac: claim.mac.map(|mac| mac.to_string()),
            hostname: Some(claim.hostname.to_string()).filter(|name| !name.is_empty()),
            created_at: claim.created_at.to_string(),
        }
    }
}

/// One address.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiAddress {
    /// `address`.
    #[schema(example = "address")]
    pub kind: String,
    /// The address.
    #[schema(example = "10.20.5.13")]
    pub address: String,
    /// `available`, `allocated`, `reserved` or `quarantine`.
    pub status: String,
    /// `static` or `dhcp`: how it is given.
    #[serde(rename = "type")]
    pub given: String,
    /// The smallest subnet around it; none for an orphan.
    pub subnet: Option<ApiPlace>,
    /// Whether it was seen of late.
    pub active: bool,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub last_seen: Option<String>,
    /// Whether two claim it.
    pub conflict: bool,
    /// Who else claims it.
    pub claims: Vec<ApiClaim>,
    /// May be empty.
    pub hostname: String,
    /// Such as `00:15:65:aa:bb:cc`.
    pub mac: Option<String>,
    /// May be empty.
    pub platform: String,
    /// May be empty.
    pub manufacturer: String,
    /// Who holds it.
    pub holder: Option<ApiHolder>,
    /// Why it is reserved; empty otherwise.
    pub description: String,
    /// By whom it is reserved; empty otherwise.
    pub reserved_by: String,
    /// Why it is in quarantine; empty otherwise.
    pub reason: String,
    /// When a reservation or a quarantine ends by itself: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Since when it has its status: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// What the `ETag` says; 0 while nothing is stored of it.
    pub version: i64,
}

impl ApiAddress {
    /// An address with a row.
    pub fn row(record: &Record, place: Option<ApiPlace>, claims: &[Claim]) -> Self {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            kind: "address".to_owned(),
            address: record.address.to_string(),
            status: record.status.to_string(),
            given: record.kind.to_string(),
            subnet: place,
            active: record.active,
            last_seen: time(record.last_seen),
            conflict: record.conflict,
            claims: claims.iter().map(Into::into).collect(),
            hostname: record.hostname.to_string(),
            mac: record.mac.map(|mac| mac.to_string()),
            platform: record.platform.to_string(),
            manufacturer: record.manufacturer.to_string(),
            holder: record.holder.as_ref().map(Into::into),
            description: record.description.to_string(),
            reserved_by: record.reserved_by.clone(),
            reason: record.reason.to_string(),
            until: time(record.until),
            since: time(Some(record.since)),
            version: record.stamp(),
        }
    }

    /// An address nothing is stored of.
    fn free(address: Address, kind: Kind, place: Option<ApiPlace>) -> Self {
        let record = Record::new(address, 0, None, kind, Timestamp::default());
        Self { since: None, version: 0, ..Self::row(&record, place, &[]) }
    }
}

/// An address as it is now; a problem if nobody is ever given it.
pub async fn current(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> Result<ApiAddress, Problem> {
    let standing = super::super::standing(tx, tenant, address).await?;
    let place = standing.subnet().map(|subnet| ApiPlace {
        id: subnet.id,
        name: subnet.name.to_string(),
        cidr: subnet.cidr.to_string(),
    });
    match &standing {
        Standing::Row(record, _) => {
            Ok(ApiAddress::row(record, place, &claims(tx, tenant, record).await?))
        }
        Standing::Free(_, kind) => Ok(ApiAddress::free(address, *kind, place)),
        Standing::Loose(_) => Ok(ApiAddress::free(address, Kind::Static, place)),
        Standing::Never(..) | Standing::Nowhere => {
            let why = standing.obstacle(address).map(|refusal| refusal.to_string());
            Err(Problem::new(actix_web::http::StatusCode::NOT_FOUND, why.unwrap_or_default()))
        }
    }
}

/// The claims on an address in conflict.
pub async fn claims(tx: &mut Tx, tenant: TenantId, record: &Record) -> db::Result<Vec<Claim>> {
    if record.conflict { claims_on(tx, tenant, record.address).await } else { Ok(Vec::new()) }
}

/// Free addresses in a row.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiGap {
    /// `free`.
    #[schema(example = "free")]
    pub kind: String,
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
    /// How many, at most 2^63 - 1.
    pub count: i64,
    /// `static` or `dhcp`: who gives them.
    #[serde(rename = "type")]
    pub given: String,
    /// The subnet they belong to.
    pub subnet: Option<ApiPlace>,
}

impl ApiGap {
    /// A gap of a pool.
    pub fn of(gap: &Gap, place: Option<ApiPlace>) -> Self {
        Self {
            kind: "free".to_owned(),
            first: gap.range.first().to_string(),
            last: gap.range.last().to_string(),
            count: i64::try_from(gap.range.size()).unwrap_or(i64::MAX),
            given: gap.kind.to_string(),
            subnet: place,
        }
    }
}

/// A line of the list: an address, or free ones in a row.
#[derive(Clone, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a page has at most 200 lines")]
pub enum ApiEntry {
    /// An address.
    Address(ApiAddress),
    /// Free ones.
    Free(ApiGap),
}

/// What the matching addresses are; each at most 2^63 - 1.
#[derive(Serialize, ToSchema)]
pub struct AddressStats {
    /// In static pools and held by nobody.
    pub available: i64,
    /// Held.
    pub allocated: i64,
    /// Kept, with a note.
    pub reserved: i64,
    /// Out of use.
    pub quarantine: i64,
    /// Free for a DHCP server to give.
    pub dhcp: i64,
    /// Of them all, seen of late.
    pub active: i64,
    /// Of them all, claimed by two.
    pub conflicts: i64,
}

impl From<&Stats> for AddressStats {
    fn from(stats: &Stats) -> Self {
        let whole = |count: i128| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            available: whole(stats.available),
            allocated: whole(stats.allocated),
            reserved: whole(stats.reserved),
            quarantine: whole(stats.quarantine),
            dhcp: whole(stats.dhcp),
            active: whole(stats.active),
            conflicts: whole(stats.conflicts),
        }
    }
}

/// A page of addresses.
#[derive(Serialize, ToSchema)]
pub struct AddressList {
    /// The lines of this page.
    pub entries: Vec<ApiEntry>,
    /// How many lines there are in all; with `more` at least so many.
    pub total: i64,
    /// Whether the search is for a word so common that its matches were not counted: then only the
    /// first `total` are listed, and the statistics are all 0.
    pub more: bool,
    /// This page, from 1.
    pub page: i64,
    /// Lines a page.
    pub size: i64,
    /// What the matching addresses are.
    pub stats: AddressStats,
}

/// One field that changed.
#[derive(Serialize, ToSchema)]
pub struct AddressChange {
    /// Which.
    pub field: String,
    /// What it was; empty when there was nothing.
    pub before: String,
    /// What it became; empty when there is nothing.
    pub after: String,
}

/// Something that happened to an address.
#[derive(Serialize, ToSchema)]
pub struct AddressEvent {
    /// When: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who did it.
    pub actor: String,
    /// What, such as `address.reserved`.
    pub action: String,
    /// Why, in the doer's words; may be empty.
    pub note: String,
    /// What changed.
    pub changes: Vec<AddressChange>,
}

impl From<&audit::Record> for AddressEvent {
    fn from(event: &audit::Record) -> Self {
        let changes = event.changes().into_iter();
        Self {
            at: event.at.to_string(),
            actor: event.actor.clone(),
            action: event.action.clone(),
            note: event.note.clone(),
            changes: changes
                .map(|(field, before, after)| AddressChange { field, before, after })
                .collect(),
        }
    }
}

/// What happened to an address, the newest first.
#[derive(Serialize, ToSchema)]
pub struct AddressHistory {
    /// The events of this page.
    pub events: Vec<AddressEvent>,
    /// This page, from 1.
    pub page: i64,
    /// Events a page.
    pub size: i64,
}

/// Someone to be given an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHolder {
    /// `user`, or `external` for someone Patchbay does not know. A host's addresses are in its own
    /// settings.
    kind: String,
    /// The user's id; for someone external whatever they are known by, without it the name.
    id: Option<String>,
    /// What someone external is called.
    name: Option<String>,
}

/// What is wrong with which field.
pub type Errors = BTreeMap<String, String>;

/// Parses a field; its error joins the others.
pub fn field<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<String>,
    errors: &mut Errors,
) -> Option<T> {
    let text = text?;
    text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
}

/// A moment, or the end of a day of the tenant's; nothing, or an empty text, is none.
pub fn until(text: Option<String>, zone: &Zone, errors: &mut Errors) -> Option<Timestamp> {
    let text = text.filter(|text| !text.trim().is_empty())?;
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(moment.as_second()));
    }
    let mut field = text.into();
    let end = crate::ipam::web::end_of_day(&mut field, zone).flatten();
    if end.is_none() {
        let why = "use a moment such as 2026-11-20T16:00:00Z, or a day such as 2026-11-20";
        errors.insert("until".to_owned(), why.to_owned());
    }
    end
}

/// What a body says of a holder and its machine.
#[derive(Default)]
pub struct Given {
    pub holder: Option<NewHolder>,
    pub hostname: Option<String>,
    pub mac: Option<String>,
    pub platform: Option<String>,
    pub manufacturer: Option<String>,
}

impl Given {
    /// The tenure this comes to; its errors join the others.
    pub fn tenure(self, errors: &mut Errors) -> Option<Tenure> {
        let holder = holder(self.holder, errors);
        let hostname = field::<Hostname>("hostname", self.hostname, errors);
        let mac = self.mac.filter(|mac| !mac.is_empty());
        let mac = field::<Mac>("mac", mac, errors);
        let platform = field::<Line<100>>("platform", self.platform, errors);
        let manufacturer = field::<Line<100>>("manufacturer", self.manufacturer, errors);
        Some(Tenure {
            holder: holder?,
            hostname: hostname.unwrap_or_default(),
            mac,
            platform: platform.unwrap_or_default(),
            manufacturer: manufacturer.unwrap_or_default(),
        })
    }
}

fn holder(holder: Option<NewHolder>, errors: &mut Errors) -> Option<Holder> {
    let mut refuse = |why: &str| {
        errors.insert("holder".to_owned(), why.to_owned());
        None
    };
    let Some(NewHolder { kind, id, name }) = holder else { return refuse("say who gets it") };
    let line = |text: Option<String>| text.unwrap_or_default().parse::<Line<100>>();
    match (kind.as_str(), line(id), line(name)) {
        ("user", Ok(id), _) if !id.is_empty() => {
            Some(Holder { kind: HolderKind::User, id: id.to_string(), name: String::new() })
        }
        ("user", ..) => refuse("give the user's id"),
        ("external", Ok(id), Ok(name)) if !name.is_empty() => {
            let id = if id.is_empty() { name.to_string() } else { id.to_string() };
            Some(Holder { kind: HolderKind::External, id, name: name.to_string() })
        }
        ("external", ..) => refuse("give a name of at most 100 characters"),
        _ => refuse("use the kind user or external; a host's addresses are in its own settings"),
    }
}

/// The address a path names.
pub fn named(text: &str) -> Result<Address, Problem> {
    text.parse().map_err(|_| Problem::not_found("address"))
}

/// Whether a status is one of those there are; for parameters.
pub fn word<T: FromStr<Err: Display>>(name: &str, text: &str, errors: &mut Errors) -> Option<T> {
    field(name, Some(text.to_owned()).filter(|text| !text.is_empty()), errors)
}

/// `true` or `false`, or nothing.
pub fn yes(name: &str, text: &str, errors: &mut Errors) -> Option<bool> {
    match text {
        "" => None,
        "true" => Some(true),
        "false" => Some(false),
        _ => {
            errors.insert(name.to_owned(), "use true or false".to_owned());
            None
        }
    }
}
