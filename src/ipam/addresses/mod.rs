//! Addresses: taking, reserving, releasing them, and who holds them.
//!
//! Whoever holds an address holds it alone. Another who wants it (a host whose settings name it, a
//! machine seen with it) becomes a *claim* beside it, a conflict that people resolve; when the
//! holder goes, the oldest claim takes its place, for that machine uses the address already.

pub mod api;
pub mod bulk;
mod claims;
mod deep;
mod holders;
pub mod job;
mod list;
pub mod places;
mod queries;
mod refusal;
mod rows;
mod standing;
mod take;
mod tenancy;
mod types;
pub mod web;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::class::{Kind, Status};
use super::space::Space;
use super::subnets::Subnet;
use crate::audit::Event;
use crate::db::Tx;
use crate::id::TenantId;
use crate::net::{Address, Range};
use crate::time::Timestamp;

pub(super) use claims::vacate;
pub use claims::{Claimed, claim, end, expire, forget_seen, note_seen, resolve, withdraw};
pub use deep::Known;
pub(super) use holders::erase;
pub use holders::{leave, rename};
pub use list::{
    Entry, FEW, Filter, Listing, Sort, Stats, Stream, begins, counts, list, list_known,
};
pub use queries::held_by;
pub(super) use queries::{after, among, user_name, within};
pub use refusal::{Outcome, Refusal};
pub use standing::{Standing, is_static, standing};
pub use take::{MOST_TAKEN, assign, full_static, take, take_lowest};
use take::{givable, takable};
pub use tenancy::{any_assigned, unassign, user_named};
pub use types::{
    BadHolderKind, BadHostname, BadNote, Claim, Edit, Ending, Holder, HolderKind, Hostname, Note,
    Purpose, Record, Reserver, Seen, Tenure, Wish,
};

/// An address of the tenant that has a row.
pub async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> crate::db::Result<Option<Record>> {
    queries::get(tx, tenant, address).await
}

/// Those of these addresses that somebody has, that are reserved or in quarantine.
pub async fn taken(
    tx: &mut Tx,
    tenant: TenantId,
    addresses: &[Address],
) -> crate::db::Result<HashSet<Address>> {
    let records = queries::among(tx, tenant, addresses).await?;
    let taken = records.into_iter().filter(|record| record.status != Status::Available);
    Ok(taken.map(|record| record.address).collect())
}

/// Who else claims an address, the oldest claim first.
pub async fn claims_on(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> crate::db::Result<Vec<Claim>> {
    queries::claims(tx, tenant, address).await
}

/// The claims on the addresses of a range, in their order, at most `limit`.
pub async fn claims_within(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    limit: i64,
) -> crate::db::Result<Vec<Claim>> {
    queries::claims_within(tx, tenant, range, limit).await
}

/// Writes a changed row and notes it.
pub(super) async fn change(
    space: &mut Space<'_>,
    old: &Record,
    mut new: Record,
    action: &'static str,
) -> Outcome<Record> {
    new.version = old.version + 1;
    new.updated_at = space.at();
    space.update(old, &new).await?;
    space.record(event(action, &new).before(describe(old)).after(describe(&new)));
    // Seldom anything: not a part of every future that changes an address.
    Box::pin(holders::follow(space, old, &new)).await?;
    Ok(new)
}

fn yours(record: &Record, by: &Reserver) -> Outcome<()> {
    let reserved = record.status == Status::Reserved;
    if by.anybodys || (reserved && record.reserved_by == by.name) {
        return Ok(());
    }
    let whose = if reserved { "they or an operator" } else { "an operator" };
    let (address, status, by) = (record.address, record.status, record.keeper());
    Err(Refusal::NotYours { address, status, by, whose })
}

/// Whether what should end by itself has not ended already.
fn to_come(
    address: Address,
    status: Status,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Outcome<()> {
    match until {
        Some(until) if until <= now => {
            let why = "that time is over; choose a later one, or none";
            Err(Refusal::Field { address, status, field: "until", why })
        }
        _ => Ok(()),
    }
}

/// Refuses if the address is no longer as it was when its `stamp` was read (0: it was free).
pub async fn unchanged(space: &mut Space<'_>, address: Address, stamp: Option<i64>) -> Outcome<()> {
    let Some(stamp) = stamp else { return Ok(()) };
    let (tenant, now) = (space.tenant(), space.at());
    let record = queries::get(space.tx(), tenant, address).await?;
    if record.as_ref().map_or(0, Record::stamp) == stamp {
        return Ok(());
    }
    let gone = || Record { version: 0, ..Record::new(address, 0, None, Kind::Static, now) };
    Err(Refusal::Stale(Box::new(record.unwrap_or_else(gone))))
}

/// Gives a reserved or allocated address back. It is free, or its oldest claimant's.
pub async fn release(space: &mut Space<'_>, address: Address, by: &Reserver) -> Outcome<()> {
    let tenant = space.tenant();
    let old = queries::get(space.tx(), tenant, address).await?;
    let status = old.as_ref().map_or(Status::Available, |old| old.status);
    legal(address, status, Status::Available)?;
    let old = old.ok_or(Refusal::Missing("address"))?;
    releasable(&old, by)?;
    let action = match status {
        Status::Quarantine => "address.quarantine_ended",
        _ => "address.released",
    };
    claims::vacate(space, &old, action, None).await
}

/// Whether somebody may give back what is held. What a host names is the host's as long as it does.
fn releasable(record: &Record, by: &Reserver) -> Outcome<()> {
    yours(record, by)?;
    tenancy::unassigned(record)?;
    if record.is_named_by_host() {
        return Err(Refusal::Field {
            address: record.address,
            status: record.status,
            field: "holder",
            why: "a host names it; change or delete the host",
        });
    }
    Ok(())
}

fn legal(address: Address, from: Status, to: Status) -> Outcome<()> {
    if from.may_become(to) {
        return Ok(());
    }
    let hint = match (from, to) {
        (Status::Quarantine, Status::Quarantine) => ": it is in quarantine already",
        (Status::Quarantine, _) => ": end the quarantine first",
        (Status::Allocated, Status::Reserved) => ": release it first",
        (Status::Available, Status::Available) => ": it is free already",
        _ => "",
    };
    Err(Refusal::Illegal { address, from, to, hint })
}

/// Takes an address out of use, whatever it was, with the reason. Who held it becomes a claimant.
pub async fn quarantine(
    space: &mut Space<'_>,
    address: Address,
    reason: &Note,
    until: Option<Timestamp>,
) -> Outcome<Record> {
    let tenant = space.tenant();
    let old = queries::get(space.tx(), tenant, address).await?;
    let now = space.at();
    to_come(address, Status::Quarantine, until, now)?;
    let mark = |record: &mut Record| {
        record.clear(Status::Quarantine, now);
        record.reason = reason.line();
        record.until = until;
    };
    let Some(old) = old else {
        let (subnet, kind) = givable(space, address).await?;
        let id = space.ids(1).await?;
        let mut record = Record::new(address, id, Some(subnet.id), kind, now);
        mark(&mut record);
        space.add(&record).await?;
        space.record(event("address.quarantined", &record).after(describe(&record)));
        return Ok(record);
    };
    legal(address, old.status, Status::Quarantine)?;
    tenancy::unassigned(&old)?;
    let mut new = old.clone();
    if let Some(tenure) = old.tenure() {
        claims::note(space, &mut new, Ok(&tenure)).await?;
    }
    mark(&mut new);
    change(space, &old, new, "address.quarantined").await
}

/// Changes what is known of an address that is still at `version` (`None`: whatever the version).
pub async fn edit(
    space: &mut Space<'_>,
    address: Address,
    version: Option<i64>,
    edit: &Edit,
    by: &Reserver,
) -> Outcome<Record> {
    let tenant = space.tenant();
    let old = queries::get(space.tx(), tenant, address).await?;
    let old = old.ok_or_else(|| nothing_known(address))?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    yours(&old, by)?;
    let mut new = old.clone();
    edit.clone().write_to(&mut new);
    if new == old {
        return Ok(old);
    }
    if old.until != new.until {
        to_come(address, old.status, new.until, space.at())?;
    }
    allowed(&old, &new)?;
    change(space, &old, new, "address.changed").await
}

fn nothing_known(address: Address) -> Refusal {
    Refusal::Field {
        address,
        status: Status::Available,
        field: "address",
        why: "reserve or allocate it before you describe it",
    }
}

/// Whether somebody may say of an address why it is reserved, or in quarantine.
fn describable(address: Address, record: Option<&Record>, by: &Reserver) -> Outcome<()> {
    let record = record.ok_or_else(|| nothing_known(address))?;
    yours(record, by)?;
    let status = record.status;
    if matches!(status, Status::Reserved | Status::Quarantine) {
        return Ok(());
    }
    let why = "only a reserved address has a description";
    Err(Refusal::Field { address, status, field: "description", why })
}

/// Whether each changed field is one the status has.
fn allowed(old: &Record, new: &Record) -> Outcome<()> {
    let refuse =
        |field, why| Err(Refusal::Field { address: old.address, status: old.status, field, why });
    if old.description != new.description && old.status != Status::Reserved {
        return refuse("description", "only a reserved address has a description");
    }
    if old.status == Status::Reserved && new.description.is_empty() {
        return refuse("description", "say why it is reserved");
    }
    if old.reason != new.reason && old.status != Status::Quarantine {
        return refuse("reason", "only an address in quarantine has a reason");
    }
    if old.status == Status::Quarantine && new.reason.is_empty() {
        return refuse("reason", "say why it is in quarantine");
    }
    if old.until != new.until && !matches!(old.status, Status::Reserved | Status::Quarantine) {
        return refuse("until", "only a reservation or a quarantine ends by itself");
    }
    let machine = |record: &Record| {
        (record.hostname.clone(), record.mac, record.platform.clone(), record.manufacturer.clone())
    };
    let of_host = old.holder.as_ref().is_some_and(|holder| {
        matches!(holder.kind, HolderKind::Host | HolderKind::Bmc | HolderKind::Phone)
    });
    if machine(old) != machine(new) && of_host {
        return refuse("hostname", "these fields are its holder's; change them there");
    }
    Ok(())
}

/// `name (10.20.5.0/24)`, for sentences.
pub(super) fn label(subnet: &Subnet) -> String {
    format!("{} ({})", subnet.name, subnet.cidr)
}

pub(super) fn event(action: &'static str, record: &Record) -> Event {
    Event::new(action, &record.address, &record.address)
}

/// An address as the audit log keeps it.
pub(super) fn describe(record: &Record) -> Value {
    let mut fields = json!({ "status": record.status, "type": record.kind });
    let mut put = |name: &str, value: String| {
        if let Some(fields) = fields.as_object_mut().filter(|_| !value.is_empty()) {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("hostname", record.hostname.to_string());
    put("mac", record.mac.map(|mac| mac.to_string()).unwrap_or_default());
    put("platform", record.platform.to_string());
    put("manufacturer", record.manufacturer.to_string());
    put(
        "holder",
        record
            .holder
            .as_ref()
            .map(|holder| format!("{} {holder}", holder.kind.as_str()))
            .unwrap_or_default(),
    );
    put("description", record.description.to_string());
    put("reserved_by", record.reserved_by.clone());
    put("reason", record.reason.to_string());
    put("until", record.until.map(|until| until.to_string()).unwrap_or_default());
    put("conflict", if record.conflict { "yes".to_owned() } else { String::new() });
    fields
}
