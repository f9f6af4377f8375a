//! Making, changing and deleting subnets, and what becomes of the addresses in them.

use super::homes::{Homes, Told};
use super::queries::InUse;
use super::types::{Pool, PoolKind, Spec, Subnet};
use super::{Effects, Outcome, Refusal, describe, label, queries, spec};
use crate::audit::Event;
use crate::id::SubnetId;
use crate::ipam::addresses;
use crate::ipam::class::{Kind, Status};
use crate::ipam::prefixes::{self, PrefixPool};
use crate::ipam::space::Space;
use crate::net::{self, Address, Family, Range};

/// Addresses listed at most when somebody would lose by a change.
const LISTED: usize = 100_000;

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

/// Refused if the subnet lies in a prefix pool, or would give out addresses of one: what is
/// delegated is somebody else's to number.
pub(super) fn beside(spec: &Spec, prefixes: &[PrefixPool]) -> Outcome<()> {
    for pool in prefixes {
        let range = pool.cidr.range();
        let gives = |(kind, given, _): &(PoolKind, Range, bool)| {
            kind.gives().is_some() && given.overlaps(range)
        };
        let inside = spec.cidr.range().overlaps(range) && !spec.cidr.covers(pool.cidr);
        if inside || spec.cidr == pool.cidr || spec.pools().iter().any(gives) {
            let why = format!(
                "{} has addresses of the prefix pool {} ({})",
                spec.cidr, pool.name, pool.cidr
            );
            return Err(Refusal::Field { field: "cidr", why });
        }
    }
    Ok(())
}

/// The prefix pools a subnet may not touch.
async fn prefix_pools(space: &mut Space<'_>, spec: &Spec) -> Outcome<Vec<PrefixPool>> {
    if spec.cidr.family() == Family::V4 {
        return Ok(Vec::new());
    }
    let tenant = space.tenant();
    Ok(prefixes::list(space.tx(), tenant).await?)
}

/// Makes a subnet. One that lies inside or around others must be meant to (`nest`); addresses in
/// use there become its own.
pub async fn create(
    space: &mut Space<'_>,
    spec: &Spec,
    nest: bool,
    force: bool,
) -> Outcome<Subnet> {
    create_told(space, spec, nest, force).await.map(|(subnet, _)| subnet)
}

/// As [`create`]; says what it did to addresses in use.
pub async fn create_told(
    space: &mut Space<'_>,
    spec: &Spec,
    nest: bool,
    force: bool,
) -> Outcome<(Subnet, Effects)> {
    fits(spec)?;
    beside(spec, &prefix_pools(space, spec).await?)?;
    named(space, spec, None).await?;
    let place = place(space, spec, None).await?;
    meant(spec, &place, &[], nest)?;
    let effects = gained(space, spec, place.parent.as_ref()).await?;
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    let before = Homes::of(space, &[spec.cidr.range()]).await?;
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
    if let Some(parent) = parent {
        space.carve(parent, spec.cidr.range()).await?;
    }
    space.refill(&subnet).await?;
    space.record(Event::new("subnet.created", &label(&subnet), &id).after(describe(spec)));
    before.tell(space, std::slice::from_ref(&subnet)).await?;
    Ok((subnet, effects))
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

/// What a new subnet does to the addresses it takes over, which are those of `parent`.
async fn gained(space: &mut Space<'_>, spec: &Spec, parent: Option<&Subnet>) -> Outcome<Effects> {
    let mut effects = Effects::default();
    let tenant = space.tenant();
    let from = parent.map(|parent| parent.id);
    // Who has the gateway around it already keeps it: nothing is different.
    let known = parent.and_then(|parent| parent.gateway);
    let gateway = spec.gateway.filter(|gateway| known != Some(*gateway));
    let never = spec.cidr.never().into_iter().map(|(never, _)| never);
    for address in never.chain(gateway) {
        let record = addresses::get(space.tx(), tenant, address).await?;
        // A router is a host, and may have the gateway.
        let router = gateway == Some(address);
        let taken = record.filter(|record| {
            record.status != Status::Available
                && record.subnet == from
                && !(router && record.is_named_by_host())
        });
        effects.forbidden.extend(taken.map(|record| record.address.to_string()));
    }
    let count = space.held_in(spec.cidr.range(), from).await?;
    if count > 0 {
        effects.moved.push((format!("{} ({})", spec.name, spec.cidr), count));
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
    named(space, new, Some(id)).await?;
    let ranges = [old.cidr.range(), new.cidr.range()];
    let homes =
        if old.cidr == new.cidr { Homes::default() } else { Homes::of(space, &ranges).await? };
    let (subnet, effects) = reshaped(space, &old, new, nest, force, &homes).await?;
    homes.tell(space, std::slice::from_ref(&subnet)).await?;
    Ok((subnet, effects))
}

/// Makes of a subnet what is laid down anew; `homes` is where the addresses concerned were before.
pub(super) async fn reshaped(
    space: &mut Space<'_>,
    old: &Subnet,
    new: &Spec,
    nest: bool,
    force: bool,
    homes: &Homes,
) -> Outcome<(Subnet, Effects)> {
    fits(new)?;
    beside(new, &prefix_pools(space, new).await?)?;
    let (tenant, id) = (space.tenant(), old.id);
    let pools = queries::pools(space.tx(), id).await?;
    let inside = queries::children(space.tx(), tenant, Some(id)).await?;
    let moves = old.cidr != new.cidr;
    let around = match old.parent {
        Some(parent) if moves => Some(stored(space, parent).await?),
        _ => None,
    };
    let mut effects = lost(space, old, &pools, new, around.as_ref()).await?;
    let mut touched: Vec<SubnetId> = Vec::new();
    space.drain(id).await?;
    if moves {
        // Taken out of the tree, and put in again where it now belongs.
        lift(space, old).await?;
        let place = place(space, new, Some(id)).await?;
        let known: Vec<SubnetId> =
            old.parent.into_iter().chain(inside.iter().map(|child| child.id)).collect();
        meant(new, &place, &known, nest)?;
        let own = homes.of_subnet(id);
        effects.add(gained_besides(space, new, place.parent.as_ref(), &own).await?);
        let parent = place.parent.as_ref().map(|parent| parent.id);
        queries::update(space, id, new, parent).await?;
        for child in &place.children {
            queries::set_parent(space, child.id, Some(id)).await?;
        }
        space.adopt(new.cidr.range(), parent, Some(id)).await?;
        touched.extend(old.parent.into_iter().chain(parent));
        touched.dedup();
    } else {
        queries::update(space, id, new, old.parent).await?;
    }
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    queries::remove_pools(space, id).await?;
    lay(space, id, new).await?;
    let subnet = stored(space, id).await?;
    let mut refilled = vec![subnet.clone()];
    for id in touched {
        refilled.push(stored(space, id).await?);
    }
    space.refill_all(&refilled.iter().collect::<Vec<_>>()).await?;
    let event = Event::new("subnet.changed", &label(&subnet), &id);
    let event = event.before(describe(&spec(old, &pools))).after(describe(new));
    let told = Told::of(space).await?;
    space.record(told.event(event, &old.site.key(), &new.site.key()));
    Ok((subnet, effects))
}

/// Takes a subnet out of the tree: what lies in it belongs to the one around it. Its row stays.
async fn lift(space: &mut Space<'_>, subnet: &Subnet) -> Outcome<()> {
    let tenant = space.tenant();
    for child in queries::children(space.tx(), tenant, Some(subnet.id)).await? {
        queries::set_parent(space, child.id, subnet.parent).await?;
    }
    Ok(space.adopt(subnet.cidr.range(), Some(subnet.id), subnet.parent).await?)
}

/// As [`gained`], without the addresses the subnet had before it moved.
async fn gained_besides(
    space: &mut Space<'_>,
    spec: &Spec,
    parent: Option<&Subnet>,
    own: &[Address],
) -> Outcome<Effects> {
    let mut effects = gained(space, spec, parent).await?;
    let kept = own.iter().filter(|address| spec.cidr.contains(**address)).count();
    let own: Vec<String> = own.iter().map(ToString::to_string).collect();
    effects.forbidden.retain(|address| !own.contains(address));
    for (_, count) in &mut effects.moved {
        *count -= i64::try_from(kept).unwrap_or(*count);
    }
    effects.moved.retain(|(_, count)| *count > 0);
    Ok(effects)
}

/// The ranges of the pools of a kind, without what is excluded from them.
fn given(pools: &[(PoolKind, Range)], kind: PoolKind) -> Vec<Range> {
    let of = |wanted| -> Vec<Range> {
        pools.iter().filter(|(kind, _)| *kind == wanted).map(|(_, range)| *range).collect()
    };
    net::subtract(&of(kind), &of(PoolKind::Excluded))
}

/// What a change does to the addresses a subnet has; `around` takes those it leaves behind.
async fn lost(
    space: &mut Space<'_>,
    old: &Subnet,
    pools: &[Pool],
    new: &Spec,
    around: Option<&Subnet>,
) -> Outcome<Effects> {
    let tenant = space.tenant();
    let held = queries::in_use(space.tx(), tenant, old).await?;
    let before: Vec<_> = pools.iter().map(|pool| (pool.kind, pool.range)).collect();
    let after: Vec<_> = new.pools().into_iter().map(|(kind, range, _)| (kind, range)).collect();
    let within = |ranges: &[Range], address| ranges.iter().any(|range| range.contains(address));
    let pool = |pools: &[(PoolKind, Range)]| {
        (given(pools, PoolKind::Static), given(pools, PoolKind::Dhcp))
    };
    let ((statics_before, dhcp_before), (statics_after, dhcp_after)) =
        (pool(&before), pool(&after));
    let stranded = |address, kind| match kind {
        Kind::Static => within(&statics_before, address) && !within(&statics_after, address),
        Kind::Dhcp => {
            within(&dhcp_before, address)
                && !within(&dhcp_after, address)
                && !within(&statics_after, address)
        }
    };
    let never: Vec<_> = new.cidr.never().into_iter().map(|(address, _)| address).collect();
    let gateway = new.gateway.filter(|gateway| old.gateway != Some(*gateway));
    let mut effects = Effects::default();
    let mut moved = 0;
    for InUse { address, kind, of_host } in held {
        if !new.cidr.contains(address) {
            match around {
                Some(_) => moved += 1,
                None => effects.list(address, |effects| &mut effects.orphaned),
            }
        } else if never.contains(&address) || (gateway == Some(address) && !of_host) {
            effects.list(address, |effects| &mut effects.forbidden);
        } else if stranded(address, kind) {
            effects.list(address, |effects| &mut effects.stranded);
        }
    }
    if let Some(around) = around.filter(|_| moved > 0) {
        effects.moved.push((label(around), moved));
    }
    Ok(effects)
}

impl Effects {
    /// Adds an address to one of the lists, while they are short.
    fn list(&mut self, address: Address, into: impl Fn(&mut Self) -> &mut Vec<String>) {
        if self.orphaned.len() + self.stranded.len() + self.forbidden.len() >= LISTED {
            self.more += 1;
        } else {
            into(self).push(address.to_string());
        }
    }

    /// Adds what else happens.
    pub(super) fn add(&mut self, other: Self) {
        self.orphaned.extend(other.orphaned);
        self.stranded.extend(other.stranded);
        self.forbidden.extend(other.forbidden);
        self.moved.extend(other.moved);
        self.more += other.more;
    }
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
    let effects = removal(space, &old).await?;
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    let before = Homes::of(space, &[old.cidr.range()]).await?;
    lift(space, &old).await?;
    remove(space, &old, effects.sentences().join("; ")).await?;
    if let Some(parent) = old.parent {
        let parent = stored(space, parent).await?;
        space.refill(&parent).await?;
    }
    before.tell(space, std::slice::from_ref(&old)).await?;
    Ok(effects)
}

/// Removes a subnet that has been taken out of the tree.
async fn remove(space: &mut Space<'_>, old: &Subnet, note: String) -> Outcome<()> {
    let pools = queries::pools(space.tx(), old.id).await?;
    space.drain(old.id).await?;
    queries::remove_pools(space, old.id).await?;
    queries::delete(space, old.id).await?;
    let event = Event::new("subnet.deleted", &label(old), &old.id);
    space.record(event.before(describe(&spec(old, &pools))).note(note));
    Ok(())
}

/// Dissolves subnets into one beside or around them: theirs is its own from now on. Its gaps are
/// wrong until it is changed to cover them all.
pub(super) async fn dissolve(
    space: &mut Space<'_>,
    parts: &[Subnet],
    into: &Subnet,
) -> Outcome<()> {
    let tenant = space.tenant();
    for part in parts {
        for child in queries::children(space.tx(), tenant, Some(part.id)).await? {
            queries::set_parent(space, child.id, Some(into.id)).await?;
        }
        space.adopt(part.cidr.range(), Some(part.id), Some(into.id)).await?;
        remove(space, part, format!("merged into {}", label(into))).await?;
    }
    Ok(())
}

/// What deleting a subnet does to its addresses.
async fn removal(space: &mut Space<'_>, old: &Subnet) -> Outcome<Effects> {
    let tenant = space.tenant();
    let mut effects = Effects::default();
    let around = match old.parent {
        Some(parent) => Some(stored(space, parent).await?),
        None => None,
    };
    if let Some(around) = around {
        let count = space.held_in(old.cidr.range(), Some(old.id)).await?;
        if count > 0 {
            effects.moved.push((label(&around), count));
        }
        for (never, _) in around.cidr.never() {
            let record = addresses::get(space.tx(), tenant, never).await?;
            let own = record.filter(|record| record.subnet == Some(old.id));
            if let Some(record) = own.filter(|record| record.status != Status::Available) {
                effects.list(record.address, |effects| &mut effects.forbidden);
            }
        }
        return Ok(effects);
    }
    for in_use in queries::in_use(space.tx(), tenant, old).await? {
        effects.list(in_use.address, |effects| &mut effects.orphaned);
    }
    Ok(effects)
}
