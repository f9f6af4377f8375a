//! Hosts: servers, gateways, printers and other machines whose addresses follow what is written
//! here. Saving, changing or deleting one moves its addresses in the same transaction.
//!
//! What a host names it holds or, where somebody else does, claims: that is a conflict with two
//! sides. Who loses when a conflict is decided names the address no longer (`let_go`).

pub mod api;
mod queries;
mod standing;
mod types;
pub mod web;

use serde_json::{Value, json};

use super::addresses::{self, Claimed, Holder, HolderKind, Record, Tenure};
use super::space::Space;
use super::subnets;
use crate::audit::{Event, Page};
use crate::db::{self, Result, Tx};
use crate::id::{AssignmentId, HostId, TenantId};
use crate::net::{self, Address, Range};
use crate::web::Error;

pub use standing::{Interface, Party, Standing, counts, list_standing, standing};
pub use types::{BadHostName, Host, HostName, Only, Sort, Spec};

/// Why a host cannot be saved as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another host is called so.
    #[error("another host is called {0}")]
    NameTaken(HostName),
    /// Its two interfaces have one address.
    #[error("the management controller needs an address of its own")]
    SameAddress,
    /// An address no machine may have.
    #[error("{address} is the {what} address of {subnet}")]
    Never {
        /// The field.
        field: &'static str,
        /// Which.
        address: Address,
        /// What it is instead.
        what: &'static str,
        /// Where.
        subnet: String,
    },
    /// It has an address under an assignment.
    #[error("{host} has {address} by an assignment; revoke that at /lifecycle/{assignment} first")]
    Assigned {
        /// Which host.
        host: HostName,
        /// Which address.
        address: Address,
        /// Which assignment.
        assignment: AssignmentId,
    },
    /// There is no such host.
    #[error("there is no such host")]
    Missing,
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed this host meanwhile")]
    Stale(Box<Host>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Refusal {
    /// The field it is about.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::NameTaken(_) => Some("hostname"),
            Self::SameAddress => Some("bmc_ip"),
            Self::Never { field, .. } => Some(field),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// A host as saved, and the addresses it names that others have.
#[derive(Debug)]
pub struct Saved {
    /// The host.
    pub host: Host,
    /// For each such address a sentence about both claimants.
    pub conflicts: Vec<String>,
}

/// Adds a host. Its addresses are its own if they are free.
pub async fn create(space: &mut Space<'_>, spec: &Spec) -> Outcome<Saved> {
    unused(space, spec, None).await?;
    fits(space, spec, [None, None]).await?;
    let id: HostId = space.new_id()?;
    queries::insert(space, id, spec).await?;
    let conflicts = claim(space, id, spec).await?;
    space.record(Event::new("host.created", &spec.hostname, &id).after(describe(spec)));
    let host = stored(space, id).await?;
    Ok(Saved { host, conflicts })
}

/// Changes a host that is still at `version` (`None`: whatever the version). Addresses it no
/// longer names are freed, new ones claimed.
pub async fn update(
    space: &mut Space<'_>,
    id: HostId,
    version: Option<i64>,
    spec: &Spec,
) -> Outcome<Saved> {
    let old = stored(space, id).await?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    if old.spec == *spec {
        return Ok(Saved { host: old, conflicts: Vec::new() });
    }
    unused(space, spec, Some(id)).await?;
    fits(space, spec, [old.spec.primary_ip, old.spec.bmc_ip]).await?;
    queries::update(space, id, spec).await?;
    let (before, after) = (interfaces(id, &old.spec), interfaces(id, spec));
    for ((before, holder), (after, _)) in before.into_iter().zip(after) {
        if let Some(address) = before.filter(|_| before != after) {
            withdraw(space, address, &holder).await?;
        }
    }
    if old.spec.hostname != spec.hostname {
        // Addresses it does not name, but has by an assignment, say the name too.
        for (_, holder) in interfaces(id, spec) {
            addresses::rename(space, &holder).await.map_err(fault)?;
        }
    }
    let conflicts = claim(space, id, spec).await?;
    let event = Event::new("host.changed", &spec.hostname, &id);
    space.record(event.before(describe(&old.spec)).after(describe(spec)));
    let host = stored(space, id).await?;
    Ok(Saved { host, conflicts })
}

/// Removes a host and frees its addresses. Returns what it was.
pub async fn delete(space: &mut Space<'_>, id: HostId) -> Outcome<Host> {
    let old = stored(space, id).await?;
    let (tenant, host) = (space.tenant(), old.spec.hostname.clone());
    let itself = Holder::host(id, &host.hostname());
    let assigned = addresses::any_assigned(space.tx(), tenant, &itself).await?;
    if let Some((address, assignment)) =
        assigned.and_then(|record| Some((record.address, record.assignment?)))
    {
        return Err(Refusal::Assigned { host, address, assignment });
    }
    for (address, holder) in interfaces(id, &old.spec) {
        if let Some(address) = address {
            withdraw(space, address, &holder).await?;
        }
    }
    queries::delete(space, id).await?;
    space.record(Event::new("host.deleted", &old.spec.hostname, &id).before(describe(&old.spec)));
    Ok(old)
}

async fn stored(space: &mut Space<'_>, id: HostId) -> Outcome<Host> {
    let tenant = space.tenant();
    queries::get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}

/// The addresses a host names, and what it holds each as.
fn interfaces(id: HostId, spec: &Spec) -> [(Option<Address>, Holder); 2] {
    let name = spec.hostname.hostname();
    [(spec.primary_ip, Holder::host(id, &name)), (spec.bmc_ip, Holder::bmc(id, &name))]
}

/// Refused if another host has the name.
async fn unused(space: &mut Space<'_>, spec: &Spec, own: Option<HostId>) -> Outcome<()> {
    let tenant = space.tenant();
    match queries::named(space.tx(), tenant, &spec.hostname.key()).await? {
        Some(other) if Some(other) != own => Err(Refusal::NameTaken(spec.hostname.clone())),
        _ => Ok(()),
    }
}

/// Refused if no machine may have one of the addresses. Those it has already, it keeps: a subnet
/// may have been laid around them since.
async fn fits(space: &mut Space<'_>, spec: &Spec, known: [Option<Address>; 2]) -> Outcome<()> {
    let tenant = space.tenant();
    if spec.primary_ip.is_some() && spec.primary_ip == spec.bmc_ip {
        return Err(Refusal::SameAddress);
    }
    for (field, address) in [("primary_ip", spec.primary_ip), ("bmc_ip", spec.bmc_ip)] {
        let Some(address) = address.filter(|address| !known.contains(&Some(*address))) else {
            continue;
        };
        let subnet = subnets::around(space.tx(), tenant, address).await?;
        let Some(subnet) = subnet else { continue };
        let never = subnet.cidr.never().into_iter().find(|(never, _)| *never == address);
        if let Some((_, what)) = never {
            let subnet = addresses::label(&subnet);
            return Err(Refusal::Never { field, address, what, subnet });
        }
    }
    Ok(())
}

fn tenures(id: HostId, spec: &Spec) -> [(Option<Address>, Tenure); 2] {
    let [(primary, host), (bmc, controller)] = interfaces(id, spec);
    let tenure = |holder, mac| Tenure {
        holder,
        hostname: spec.hostname.hostname(),
        mac,
        platform: spec.device_type.clone(),
        manufacturer: spec.manufacturer.clone(),
    };
    [(primary, tenure(host, spec.nic_mac)), (bmc, tenure(controller, spec.bmc_mac))]
}

async fn claim(space: &mut Space<'_>, id: HostId, spec: &Spec) -> Outcome<Vec<String>> {
    let mut conflicts = Vec::new();
    for (address, tenure) in tenures(id, spec) {
        let Some(address) = address else { continue };
        match addresses::claim(space, address, &tenure).await.map_err(fault)? {
            Claimed::Held(_) => {}
            Claimed::Conflict(record) => conflicts.push(format!(
                "{address} is {}: {}; {} claims it too",
                record.status,
                record.keeper(),
                tenure.holder
            )),
        }
    }
    Ok(conflicts)
}

/// Claims what a stored host names once more, as when it was saved: nothing changes where all is
/// as it should be. Returns what it holds.
pub(super) async fn settle(space: &mut Space<'_>, host: &Host) -> Outcome<Vec<Record>> {
    let mut held = Vec::new();
    for (address, tenure) in tenures(host.id, &host.spec) {
        let Some(address) = address else { continue };
        if let Claimed::Held(record) =
            addresses::claim(space, address, &tenure).await.map_err(fault)?
        {
            held.push(record);
        }
    }
    Ok(held)
}

/// A host lost an address to another in a conflict, and names it no longer. Others than hosts have
/// no settings that could name one.
pub(super) async fn let_go(
    space: &mut Space<'_>,
    address: Address,
    loser: Option<&Holder>,
    to: &str,
) -> Result<()> {
    let Some(loser) = loser.filter(|loser| loser.kind.is_host()) else { return Ok(()) };
    let Ok(id) = loser.id.parse::<HostId>() else { return Ok(()) };
    let tenant = space.tenant();
    let Some(old) = queries::get(space.tx(), tenant, id).await? else { return Ok(()) };
    let mut spec = old.spec.clone();
    let field = if loser.kind == HolderKind::Bmc { &mut spec.bmc_ip } else { &mut spec.primary_ip };
    if *field != Some(address) {
        return Ok(());
    }
    *field = None;
    queries::update(space, id, &spec).await?;
    let event = Event::new("host.changed", &spec.hostname, &id);
    let event = event.before(describe(&old.spec)).after(describe(&spec));
    space.record(event.note(format!("{address} went to {to}")));
    Ok(())
}

async fn withdraw(space: &mut Space<'_>, address: Address, holder: &Holder) -> Outcome<()> {
    addresses::withdraw(space, address, holder).await.map_err(fault)
}

/// A claim is never refused: whatever else goes wrong is a fault.
fn fault(refusal: addresses::Refusal) -> Refusal {
    match refusal {
        addresses::Refusal::Fault(error) => Refusal::Fault(error),
        other => Refusal::Fault(sqlx::Error::Protocol(other.to_string()).into()),
    }
}

/// One host of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: HostId) -> Result<Option<Host>> {
    queries::get(tx, tenant, id).await
}

/// The host called `name`, if there is one.
pub async fn named(tx: &mut Tx, tenant: TenantId, name: &HostName) -> Result<Option<HostId>> {
    queries::named(tx, tenant, &name.key()).await
}

/// What a search for hosts looks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pattern: String,
    mac: String,
    /// A part of an address can mean as many ranges; those not needed are the first again.
    ranges: [Option<Range>; 4],
    only: Only,
}

impl Search {
    fn of(text: &str, only: Only) -> Self {
        if text.is_empty() {
            return Self { only, ..Self::default() };
        }
        let mac = net::mac_part(text).map(|digits| format!("%{digits}%")).unwrap_or_default();
        let found = net::ranges_matching(text).unwrap_or_default();
        let range = |n: usize| found.get(n).or(found.first()).copied();
        Self {
            pattern: format!("%{}%", db::literal(&text.to_lowercase())),
            mac,
            ranges: [range(0), range(1), range(2), range(3)],
            only,
        }
    }
}

/// Every host after `after` in the order in which they were made, at most `limit`.
pub(super) async fn after(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<HostId>,
    limit: i64,
) -> Result<Vec<Host>> {
    queries::after(tx, tenant, after, limit).await
}

/// A page of hosts, and how many match: part of a name, an address, a MAC in any notation, or
/// what is written of it.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    search: &str,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Host>, i64)> {
    list_only(tx, tenant, search, Only::All, sort, page).await
}

/// As [`list`], of some hosts only.
pub async fn list_only(
    tx: &mut Tx,
    tenant: TenantId,
    search: &str,
    only: Only,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Host>, i64)> {
    let search = Search::of(search.trim(), only);
    let hosts = queries::list(tx, tenant, &search, sort, page).await?;
    Ok((hosts, queries::count(tx, tenant, &search).await?))
}

/// The hosts after the one called `after` in the order of their names, at most `limit`.
pub async fn after_name(
    tx: &mut Tx,
    tenant: TenantId,
    search: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Host>> {
    queries::after_name(tx, tenant, &Search::of(search.trim(), Only::All), after, limit).await
}

fn describe(spec: &Spec) -> Value {
    let show = |address: Option<Address>| address.map(|address| address.to_string());
    json!({
        "hostname": spec.hostname.to_string(),
        "primary_ip": show(spec.primary_ip),
        "nic_mac": spec.nic_mac.map(|mac| mac.to_string()),
        "bmc_ip": show(spec.bmc_ip),
        "bmc_mac": spec.bmc_mac.map(|mac| mac.to_string()),
        "device_type": spec.device_type.to_string(),
        "manufacturer": spec.manufacturer.to_string(),
        "description": spec.description.to_string(),
    })
}
