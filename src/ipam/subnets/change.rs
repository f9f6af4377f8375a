//! Making, changing and deleting subnets, and what becomes of the addresses in them.

use super::types::{Pool, PoolKind, Spec, Subnet};
use super::{Effects, Outcome, Refusal, describe, label, queries, spec};
use crate::audit::Event;
use crate::id::SubnetId;
use crate::ipam::addresses::{self, Record};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::Space;
use crate::net::{self, Range};

/// Addresses listed at most when somebody would lose by a change.
const LISTED: usize = 50;
/// Rows looked at for that.
const LOOKED_AT: i64 = 100_000;

/// What lies around and inside a block.
struct Place {
    parent: Option<Subnet>,
    /// The subnets that would lie directly inside.
    children: Vec<Subnet>,
}

/// Finds where a block belongs; `own` is the subnet that is being moved there.
async fn place(space: &mut Space<'_>, spec: &Spec, own: Option<SubnetId>) -> Outcome<Place> {
    let tenant = space.tenant();
    let (first, range) = (spec.cidr.network(), spec.cidr.range());
    let mut parent = super::around(space.tx(), tenant, first).await?;
    while let Some(candidate) = parent {
        if candidate.cidr == spec.cidr && Some(candidate.id) != own {
            return Err(Refusal::Exists { cidr: spec.cidr, name: candidate.name });
        }
        if candidate.cidr.covers(spec.cidr) && Some(candidate.id) != own {
            parent = Some(candidate);
            break;
        }
        parent = match candidate.parent {
            Some(parent) => queries::get(space.tx(), tenant, parent).await?,
            None => None,
        };
    }
    let inside = queries::inside(space.tx(), tenant, range).await?;
    let outer = |subnet: &Subnet| subnet.parent.filter(|parent| Some(*parent) != own);
    let above = parent.as_ref().map(|parent| parent.id);
    let own_parent = |subnet: &Subnet| own.is_some() && subnet.parent == own;
    let direct = |subnet: &Subnet| own_parent(subnet) || outer(subnet) == above;
    let children = inside.into_iter().filter(|subnet| Some(subnet.id) != own && direct(subnet));
    Ok(Place { parent, children: children.collect() })
}

fn meant(spec: &Spec, place: &Place, known: &[SubnetId], nest: bool) -> Outcome<()> {
    let others =
        place.parent.iter().chain(&place.children).filter(|subnet| !known.contains(&subnet.id));
    let others: Vec<String> = others.map(label).collect();
    if nest || others.is_empty() {
        return Ok(());
    }
    let more = others.len().saturating_sub(5);
    let mut named = others.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        named = format!("{named} and {more} more");
    }
    Err(Refusal::Overlaps { cidr: spec.cidr, others: named })
}

async fn named(space: &mut Space<'_>, spec: &Spec, own: Option<SubnetId>) -> Outcome<()> {
    let tenant = space.tenant();
    match queries::named(space.tx(), tenant, &spec.name.key()).await? {
        Some(other) if Some(other) != own => Err(Refusal::NameTaken(spec.name.clone())),
        _ => Ok(()),
    }
}

pub(super) fn fits(spec: &Spec) -> Outcome<()> {
    match spec.fault() {
        Some((field, why)) => Err(Refusal::Field { field, why }),
        None => Ok(()),
    }
}

/// Makes a subnet. One that lies inside or around others must be meant to (`nest`); addresses in
/// use there become its own.
pub async fn create(
    space: &mut Space<'_>,
    spec: &Spec,
    nest: bool,
    force: bool,
) -> Outcome<Subnet> {
    fits(spec)?;
    named(space, spec, None).await?;
    let place = place(space, spec, None).await?;
    meant(spec, &place, &[], nest)?;
    let effects = gained(space, spec, place.parent.as_ref()).await?;
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    let id: SubnetId = space.new_id()?;
    let parent = place.parent.as_ref().map(|parent| parent.id);
    if !queries::insert(space, id, spec, parent).await? {
        return Err(Refusal::Exists { cidr: spec.cidr, name: spec.name.clone() });
    }
    for child in &place.children {
        queries::set_parent(space, child.id, Some(id)).await?;
    }
    lay(space, id, spec).await?;
    space.adopt(spec.cidr.range(), parent, Some(id)).await?;
    let subnet = stored(space, id).await?;
    let mut touched = vec![&subnet];
    touched.extend(&place.parent);
    space.refill_all(&touched).await?;
    space.record(Event::new("subnet.created", &label(&subnet), &id).after(describe(spec)));
    Ok(subnet)
}

async fn stored(space: &mut Space<'_>, id: SubnetId) -> Outcome<Subnet> {
    let tenant = space.tenant();
    queries::get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}

/// Writes the pools of a subnet that has none.
async fn lay(space: &mut Space<'_>, id: SubnetId, spec: &Spec) -> Outcome<()> {
    let pools = drawn(space, spec)?;
    Ok(queries::add_pools(space, pools.iter().map(|pool| (id, pool))).await?)
}

/// The pools of what is laid down.
pub(super) fn drawn(space: &Space<'_>, spec: &Spec) -> Outcome<Vec<Pool>> {
    let pools = spec.pools().into_iter();
    let pools =
        pools.map(|(kind, range, derived)| Ok(Pool { id: space.new_id()?, kind, range, derived }));
    pools.collect()
}

/// What a new subnet does to the addresses it takes over.
async fn gained(space: &mut Space<'_>, spec: &Spec, parent: Option<&Subnet>) -> Outcome<Effects> {
    let mut effects = Effects::default();
    let tenant = space.tenant();
    for (never, _) in spec.cidr.never() {
        let record = addresses::get(space.tx(), tenant, never).await?;
        effects.forbidden.extend(
            record
                .filter(|record| record.status != Status::Available)
                .map(|r| r.address.to_string()),
        );
    }
    if let Some(parent) = parent {
        let count = space.held_in(spec.cidr.range(), Some(parent.id)).await?;
        if count > 0 {
            effects.moved.push((spec.name.to_string(), count));
        }
    }
    Ok(effects)
}

/// Changes a subnet that is still at `version`: its words, its pools, even its addresses. Somebody
/// who would lose an address by it stands in the way unless `force`.
pub async fn update(
    space: &mut Space<'_>,
    id: SubnetId,
    version: Option<i64>,
    new: &Spec,
    nest: bool,
    force: bool,
) -> Outcome<(Subnet, Effects)> {
    let old = stored(space, id).await?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    let pools = queries::pools(space.tx(), id).await?;
    let before = spec(&old, &pools);
    if before == *new {
        return Ok((old, Effects::default()));
    }
    fits(new)?;
    named(space, new, Some(id)).await?;
    let place = place(space, new, Some(id)).await?;
    let tenant = space.tenant();
    let inside = queries::children(space.tx(), tenant, Some(id)).await?;
    let known: Vec<SubnetId> =
        old.parent.into_iter().chain(inside.iter().map(|child| child.id)).collect();
    meant(new, &place, &known, nest)?;
    let effects = lost(space, &old, &pools, new, place.parent.as_ref()).await?;
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    let parent = place.parent.as_ref().map(|parent| parent.id);
    space.drain(id).await?;
    queries::update(space, id, new, parent).await?;
    queries::remove_pools(space, id).await?;
    lay(space, id, new).await?;
    if old.cidr != new.cidr {
        for child in inside.iter().filter(|child| !new.cidr.covers(child.cidr)) {
            queries::set_parent(space, child.id, old.parent).await?;
        }
        for child in &place.children {
            queries::set_parent(space, child.id, Some(id)).await?;
        }
        for left in net::subtract(&[old.cidr.range()], &[new.cidr.range()]) {
            space.adopt(left, Some(id), old.parent).await?;
        }
        for gained in net::subtract(&[new.cidr.range()], &[old.cidr.range()]) {
            space.adopt(gained, parent, Some(id)).await?;
        }
    }
    let subnet = stored(space, id).await?;
    let mut touched = vec![subnet.clone()];
    if old.cidr != new.cidr {
        let mut around: Vec<SubnetId> = old.parent.into_iter().chain(parent).collect();
        around.dedup();
        for parent in around {
            touched.push(stored(space, parent).await?);
        }
    }
    space.refill_all(&touched.iter().collect::<Vec<_>>()).await?;
    let event = Event::new("subnet.changed", &label(&subnet), &id);
    space.record(event.before(describe(&before)).after(describe(new)));
    Ok((subnet, effects))
}

/// What a change does to the addresses a subnet has.
async fn lost(
    space: &mut Space<'_>,
    old: &Subnet,
    pools: &[Pool],
    new: &Spec,
    parent: Option<&Subnet>,
) -> Outcome<Effects> {
    let tenant = space.tenant();
    let records = addresses::within(space.tx(), tenant, old.cidr.range(), LOOKED_AT).await?;
    let records = records
        .into_iter()
        .filter(|record| record.subnet == Some(old.id) && record.status != Status::Available);
    let of = |pools: &[(PoolKind, Range)]| -> Vec<Range> {
        pools
            .iter()
            .filter(|(kind, _)| *kind == PoolKind::Static)
            .map(|(_, range)| *range)
            .collect()
    };
    let statics_before = of(&pools.iter().map(|pool| (pool.kind, pool.range)).collect::<Vec<_>>());
    let statics_after =
        of(&new.pools().into_iter().map(|(kind, range, _)| (kind, range)).collect::<Vec<_>>());
    let within = |ranges: &[Range], record: &Record| {
        ranges.iter().any(|range| range.contains(record.address))
    };
    let never: Vec<_> = new.cidr.never().into_iter().map(|(address, _)| address).collect();
    let mut effects = Effects::default();
    let mut moved = 0;
    for record in records {
        let name = record.address.to_string();
        let full =
            effects.orphaned.len() + effects.stranded.len() + effects.forbidden.len() >= LISTED;
        let mut list =
            |into: &mut Vec<String>| if full { effects.more += 1 } else { into.push(name.clone()) };
        if !new.cidr.contains(record.address) {
            match parent.filter(|parent| parent.cidr.contains(record.address)) {
                Some(_) => moved += 1,
                None => list(&mut effects.orphaned),
            }
        } else if never.contains(&record.address) {
            list(&mut effects.forbidden);
        } else if record.kind == Kind::Static
            && within(&statics_before, &record)
            && !within(&statics_after, &record)
        {
            list(&mut effects.stranded);
        }
    }
    if let Some(parent) = parent.filter(|_| moved > 0) {
        effects.moved.push((label(parent), moved));
    }
    let mut gains = gained(space, new, parent).await?;
    gains.forbidden.retain(|address| !effects.forbidden.contains(address));
    effects.forbidden.extend(gains.forbidden);
    effects.moved.extend(gains.moved);
    Ok(effects)
}

/// Deletes a subnet. Its addresses go to the subnet around it; without one, those in use would lie
/// in no subnet, and that must be meant (`force`). Smaller subnets inside stay.
pub async fn delete(
    space: &mut Space<'_>,
    id: SubnetId,
    version: Option<i64>,
    force: bool,
) -> Outcome<Effects> {
    let old = stored(space, id).await?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    let tenant = space.tenant();
    let pools = queries::pools(space.tx(), id).await?;
    let effects = removal(space, &old).await?;
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    for child in queries::children(space.tx(), tenant, Some(id)).await? {
        queries::set_parent(space, child.id, old.parent).await?;
    }
    space.drain(id).await?;
    space.adopt(old.cidr.range(), Some(id), old.parent).await?;
    queries::remove_pools(space, id).await?;
    queries::delete(space, id).await?;
    if let Some(parent) = old.parent {
        let parent = stored(space, parent).await?;
        space.refill(&parent).await?;
    }
    let event =
        Event::new("subnet.deleted", &label(&old), &id).before(describe(&spec(&old, &pools)));
    space.record(event.note(effects.sentences().join("; ")));
    Ok(effects)
}

/// What deleting a subnet does to its addresses.
async fn removal(space: &mut Space<'_>, old: &Subnet) -> Outcome<Effects> {
    let tenant = space.tenant();
    let mut effects = Effects::default();
    if let Some(parent) = old.parent {
        let count = space.held_in(old.cidr.range(), Some(old.id)).await?;
        let parent = stored(space, parent).await?;
        if count > 0 {
            effects.moved.push((label(&parent), count));
        }
        return Ok(effects);
    }
    for record in addresses::within(space.tx(), tenant, old.cidr.range(), LOOKED_AT).await? {
        if record.subnet != Some(old.id) || record.status == Status::Available {
            continue;
        }
        if effects.orphaned.len() < LISTED {
            effects.orphaned.push(record.address.to_string());
        } else {
            effects.more += 1;
        }
    }
    Ok(effects)
}
