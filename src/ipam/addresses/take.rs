//! Taking addresses: the lowest that are free, or the one that is wished for.

use super::types::{HolderKind, Purpose, Record, Reserver, Wish};
use super::{Outcome, Refusal, change, describe, event, label, queries, standing, to_come, yours};
use crate::id::{PoolId, SubnetId};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{Source, Space, pool_of};
use crate::ipam::subnets::{self, Subnet};
use crate::net::{Address, Range};
use crate::time::Timestamp;

/// Most addresses taken at once.
pub const MOST_TAKEN: u32 = 1_024;

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
pub(super) async fn givable(space: &mut Space<'_>, address: Address) -> Outcome<(Subnet, Kind)> {
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

/// Whether somebody may take an address that has a row.
pub(super) fn takable(old: &Record, to: Status, by: &Reserver) -> Outcome<()> {
    if old.status == Status::Allocated || !old.status.may_become(to) {
        let (address, status) = (old.address, old.status);
        return Err(Refusal::Taken { address, status, by: old.keeper() });
    }
    if old.status == Status::Reserved { yours(old, by) } else { Ok(()) }
}

fn until(purpose: &Purpose) -> Option<Timestamp> {
    match purpose {
        Purpose::Reserve { until, .. } => *until,
        Purpose::Allocate(_) | Purpose::Assign(..) => None,
    }
}
