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
mod rows;
mod standing;
mod tenancy;
mod types;
pub mod web;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::class::{Kind, Status};
use super::space::{Source, Space, pool_of};
use super::subnets::{self, Subnet};
use crate::audit::Event;
use crate::db::Tx;
use crate::id::{AssignmentId, PoolId, SubnetId, TenantId};
use crate::net::{Address, Range};
use crate::time::Timestamp;
use crate::web::Error;

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
pub use standing::{Standing, is_static, standing};
pub use tenancy::{any_assigned, unassign, user_named};
pub use types::{
    BadHolderKind, BadHostname, BadNote, Claim, Edit, Ending, Holder, HolderKind, Hostname, Note,
    Purpose, Record, Reserver, Seen, Tenure, Wish,
};

/// Most addresses taken at once.
pub const MOST_TAKEN: u32 = 1_024;

/// Why something cannot be done with an address.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody has it.
    #[error("{address} is {status}: {by}")]
    Taken {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// Who holds or keeps it.
        by: String,
    },
    /// Nobody may have it.
    #[error("{address} is the {what} address of {subnet} and is never given out")]
    Never {
        /// Which.
        address: Address,
        /// What it is instead.
        what: &'static str,
        /// Where.
        subnet: String,
    },
    /// Not enough are free.
    #[error("{subnet} has no {wanted} free: {free} left")]
    Full {
        /// Where.
        subnet: String,
        /// What was asked for.
        wanted: String,
        /// How many there are.
        free: i128,
    },
    /// It lies in no subnet.
    #[error("{0} lies in no subnet; create one around it first")]
    NoSubnet(Address),
    /// It is not where it was looked for.
    #[error("{address} is not in {subnet}")]
    Elsewhere {
        /// Which.
        address: Address,
        /// Where it was looked for.
        subnet: String,
    },
    /// The status does not allow it.
    #[error("{address} is {from} and cannot become {to}{hint}")]
    Illegal {
        /// Which.
        address: Address,
        /// What it is.
        from: Status,
        /// What it should become.
        to: Status,
        /// What to do first.
        hint: &'static str,
    },
    /// Somebody else reserved it, or it is not reserved at all.
    #[error("{address} is {status}: {by}; only {whose} may change that")]
    NotYours {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// Whose it is.
        by: String,
        /// Who may.
        whose: &'static str,
    },
    /// It is held under an assignment.
    #[error(
        "{address} is assigned to {by}; only that assignment can end it: revoke it at /lifecycle/{assignment}"
    )]
    Assigned {
        /// Which.
        address: Address,
        /// Who holds it.
        by: String,
        /// Under which.
        assignment: AssignmentId,
    },
    /// A field that the status does not have.
    #[error("{address} is {status}: {why}")]
    Field {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such user.
    #[error("there is no user with this id")]
    NoHolder,
    /// There is no such subnet, pool or claim.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed {} meanwhile", .0.address)]
    Stale(Box<Record>),
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
            Self::Field { field, .. } => Some(field),
            Self::NoHolder => Some("holder"),
            Self::Taken { .. }
            | Self::Assigned { .. }
            | Self::Never { .. }
            | Self::NoSubnet(_)
            | Self::Elsewhere { .. } => Some("address"),
            Self::Full { .. } => Some("count"),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

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

/// Takes addresses out of a subnet or a pool for a purpose: the lowest free ones, or the one
/// wished for. All that were asked for, or none.
pub async fn take(
    space: &mut Space<'_>,
    source: Source,
    wish: &Wish,
    purpose: &Purpose,
    by: &Reserver,
) -> Outcome<Vec<Record>> {
    let tenant = space.tenant();
    let subnet = match source {
        Source::Subnet(id) => subnets::get(space.tx(), tenant, id).await?,
        Source::Pool(id) => subnets::of_pool(space.tx(), tenant, id).await?,
    };
    let kind = if matches!(source, Source::Pool(_)) { "pool" } else { "subnet" };
    let subnet = subnet.ok_or(Refusal::Missing(kind))?;
    to_come(subnet.cidr.network(), Status::Reserved, until(purpose), space.at())?;
    match *wish {
        Wish::This(address) if !subnet.cidr.contains(address) => {
            Err(Refusal::Elsewhere { address, subnet: label(&subnet) })
        }
        Wish::This(address) => Ok(vec![assign(space, address, purpose, by).await?]),
        Wish::Next { count, contiguous } => {
            let pieces = next_free(space, &subnet, source, count, contiguous).await?;
            occupy(space, subnet.id, pieces, purpose, by).await
        }
    }
}

/// Takes the lowest free address of all static pools, of IPv4 or of IPv6, and says of which pool it
/// is; none when none is free.
pub async fn take_lowest(
    space: &mut Space<'_>,
    v6: bool,
    purpose: &Purpose,
    by: &Reserver,
) -> Outcome<Option<(Record, PoolId)>> {
    let Some(gap) = space.lowest_static_gap(v6).await? else { return Ok(None) };
    let first = gap.range.first();
    to_come(first, Status::Reserved, until(purpose), space.at())?;
    let piece = Range::single(first);
    space.take_out(&gap, piece).await?;
    let taken = occupy(space, gap.subnet, vec![piece], purpose, by).await?;
    Ok(taken.into_iter().next().map(|record| (record, gap.pool)))
}

/// The lowest free addresses, taken out of their gaps.
async fn next_free(
    space: &mut Space<'_>,
    subnet: &Subnet,
    source: Source,
    count: u32,
    contiguous: bool,
) -> Outcome<Vec<Range>> {
    let mut pieces = Vec::new();
    let count = count.clamp(1, MOST_TAKEN);
    let mut left = count;
    while left > 0 {
        let size = if contiguous { left } else { 1 };
        let Some(gap) = space.first_gap(source, size).await? else {
            let taken = if contiguous { 0 } else { count - left };
            return Err(full(space, subnet, source, count, contiguous, taken).await?);
        };
        let some = u128::from(left).min(gap.range.size());
        let last = gap.range.first().plus(some - 1).unwrap_or(gap.range.last());
        let piece = Range::new(gap.range.first(), last).unwrap_or(gap.range);
        space.take_out(&gap, piece).await?;
        pieces.push(piece);
        left -= u32::try_from(some).unwrap_or(left);
    }
    Ok(pieces)
}

/// Why the static pools of a subnet have no address left; none if they have.
pub async fn full_static(
    space: &mut Space<'_>,
    subnet: SubnetId,
) -> crate::db::Result<Option<Refusal>> {
    let (tenant, source) = (space.tenant(), Source::Subnet(subnet));
    let Some(subnet) = subnets::get(space.tx(), tenant, subnet).await? else { return Ok(None) };
    if space.first_gap(source, 1).await?.is_some() {
        return Ok(None);
    }
    full(space, &subnet, source, 1, false, 0).await.map(Some)
}

async fn full(
    space: &mut Space<'_>,
    subnet: &Subnet,
    source: Source,
    count: u32,
    contiguous: bool,
    taken: u32,
) -> crate::db::Result<Refusal> {
    let wanted = match (count, contiguous) {
        (0 | 1, _) => "address".to_owned(),
        (count, false) => format!("{count} addresses"),
        (count, true) => format!("{count} addresses in a row"),
    };
    // What this change has taken so far is given back when it is refused.
    let mut free = i128::from(taken);
    for gap in space.static_gaps(source).await? {
        free += i128::try_from(gap.range.size()).unwrap_or(i128::MAX);
    }
    Ok(Refusal::Full { subnet: label(subnet), wanted, free })
}

/// Writes the rows of addresses just taken out of their gaps.
async fn occupy(
    space: &mut Space<'_>,
    subnet: SubnetId,
    pieces: Vec<Range>,
    purpose: &Purpose,
    by: &Reserver,
) -> Outcome<Vec<Record>> {
    let purpose = known(space, purpose).await?;
    let addresses: Vec<Address> = pieces.iter().flat_map(|piece| piece.iter()).collect();
    let (first, now) = (space.ids(addresses.len()).await?, space.at());
    let mut taken = Vec::new();
    for (address, id) in addresses.into_iter().zip(first..) {
        let mut record = Record::new(address, id, Some(subnet), Kind::Static, now);
        fill(&mut record, &purpose, &by.name, now);
        space.record(event(action(&purpose), &record).after(describe(&record)));
        taken.push(record);
    }
    space.add_all(&taken).await?;
    Ok(taken)
}

/// A holder's name as Patchbay knows it.
async fn known(space: &mut Space<'_>, purpose: &Purpose) -> Outcome<Purpose> {
    let mut known = purpose.clone();
    let (Purpose::Allocate(tenure) | Purpose::Assign(tenure, _)) = &mut known else {
        return Ok(known);
    };
    if tenure.holder.kind == HolderKind::User {
        let tenant = space.tenant();
        let name = queries::user_name(space.tx(), tenant, &tenure.holder.id).await?;
        tenure.holder.name = name.ok_or(Refusal::NoHolder)?;
    }
    Ok(known)
}

fn fill(record: &mut Record, purpose: &Purpose, by: &str, now: Timestamp) {
    match purpose {
        Purpose::Reserve { note, until } => {
            record.clear(Status::Reserved, now);
            record.description = note.line();
            by.clone_into(&mut record.reserved_by);
            record.until = *until;
        }
        Purpose::Allocate(tenure) => record.occupy(tenure, now),
        Purpose::Assign(tenure, assignment) => {
            record.occupy(tenure, now);
            record.assignment = Some(*assignment);
        }
    }
}

fn action(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::Reserve { .. } => "address.reserved",
        Purpose::Allocate(_) | Purpose::Assign(..) => "address.allocated",
    }
}

/// Takes exactly this address for a purpose, if it is free.
pub async fn assign(
    space: &mut Space<'_>,
    address: Address,
    purpose: &Purpose,
    by: &Reserver,
) -> Outcome<Record> {
    let purpose = known(space, purpose).await?;
    let to = match purpose {
        Purpose::Reserve { .. } => Status::Reserved,
        Purpose::Allocate(_) | Purpose::Assign(..) => Status::Allocated,
    };
    let now = space.at();
    to_come(address, to, until(&purpose), now)?;
    let tenant = space.tenant();
    let old = queries::get(space.tx(), tenant, address).await?;
    let place = givable(space, address).await?;
    if let Some(old) = old {
        takable(&old, to, by)?;
        let mut new = old.clone();
        fill(&mut new, &purpose, &by.name, now);
        return change(space, &old, new, action(&purpose)).await;
    }
    let (subnet, kind) = place;
    let id = space.ids(1).await?;
    let mut record = Record::new(address, id, Some(subnet.id), kind, now);
    fill(&mut record, &purpose, &by.name, now);
    space.add(&record).await?;
    space.record(event(action(&purpose), &record).after(describe(&record)));
    Ok(record)
}

/// The subnet of an address and how it is given there; refused if nobody may have it.
async fn givable(space: &mut Space<'_>, address: Address) -> Outcome<(Subnet, Kind)> {
    let tenant = space.tenant();
    let subnet = subnets::around(space.tx(), tenant, address).await?;
    let subnet = subnet.ok_or(Refusal::NoSubnet(address))?;
    let pools = subnets::pools(space.tx(), subnet.id).await?;
    if let Some(what) = standing::never(&subnet, &pools, address) {
        return Err(Refusal::Never { address, what, subnet: label(&subnet) });
    }
    let kind = pool_of(&subnet, &pools, address).map_or(Kind::Static, |(_, kind)| kind);
    Ok((subnet, kind))
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

/// Whether somebody may take an address that has a row.
fn takable(old: &Record, to: Status, by: &Reserver) -> Outcome<()> {
    if old.status == Status::Allocated || !old.status.may_become(to) {
        let (address, status) = (old.address, old.status);
        return Err(Refusal::Taken { address, status, by: old.keeper() });
    }
    if old.status == Status::Reserved { yours(old, by) } else { Ok(()) }
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

fn until(purpose: &Purpose) -> Option<Timestamp> {
    match purpose {
        Purpose::Reserve { until, .. } => *until,
        Purpose::Allocate(_) | Purpose::Assign(..) => None,
    }
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
