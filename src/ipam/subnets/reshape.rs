//! Splitting a subnet into smaller ones, and making one of several.

use super::change::{create_told, dissolve, reshaped, update};
use super::homes::Homes;
use super::types::{PoolKind, Pools, Spec, Subnet};
use super::{Effects, Outcome, Refusal, queries, spec};
use crate::id::SubnetId;
use crate::ipam::addresses;
use crate::ipam::class::Status;
use crate::ipam::space::Space;
use crate::net::{self, Address, Cidr, Range};

/// Most pieces a subnet is split into at once.
const MOST: usize = 256;

/// One of the subnets a split makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What is laid down of it.
    pub spec: Spec,
    /// Addresses in use that it takes over.
    pub held: i64,
}

/// What splitting a subnet into blocks of `length` makes. Each piece gets its part of the pools
/// and of the exclusions; the subnet itself stays around them as a frame that gives out nothing.
pub async fn pieces(
    space: &mut Space<'_>,
    id: SubnetId,
    length: u8,
) -> Outcome<(Subnet, Vec<Piece>)> {
    let tenant = space.tenant();
    let subnet = queries::get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let refuse = |why: String| Refusal::Field { field: "length", why };
    let inside = queries::children(space.tx(), tenant, Some(id)).await?;
    if !inside.is_empty() {
        return Err(refuse(format!("{} has subnets inside already; split those", subnet.name)));
    }
    let blocks = subnet.cidr.split(length).filter(|_| length > subnet.cidr.length());
    let blocks: Vec<Cidr> = blocks
        .ok_or_else(|| refuse(format!("choose a longer prefix than /{}", subnet.cidr.length())))?
        .take(MOST + 1)
        .collect();
    if blocks.len() > MOST {
        return Err(refuse(format!(
            "that would be more than {MOST} subnets; choose a shorter prefix"
        )));
    }
    let pools = queries::pools(space.tx(), id).await?;
    let whole = spec(&subnet, &pools);
    let mut all = Vec::new();
    for cidr in blocks {
        let held = space.held_in(cidr.range(), Some(id)).await?;
        all.push(Piece { spec: part(&whole, cidr)?, held });
    }
    Ok((subnet, all))
}

/// What a part of a subnet has of what is laid down of the whole.
fn part(whole: &Spec, cidr: Cidr) -> Outcome<Spec> {
    let own = |ranges: &[Range]| -> Vec<Range> {
        let never: Vec<Range> =
            cidr.never().into_iter().map(|(address, _)| Range::single(address)).collect();
        let inside: Vec<Range> =
            ranges.iter().filter_map(|range| range.intersection(cidr.range())).collect();
        net::subtract(&inside, &never)
    };
    let pools = |pools: &Pools| match pools {
        Pools::Rest => Pools::Rest,
        Pools::These(ranges) => Pools::These(own(ranges)),
    };
    let name = format!("{} {cidr}", whole.name);
    let name = name.parse().map_err(|_| Refusal::Field {
        field: "length",
        why: "the pieces' names would be too long; give the subnet a shorter name first".to_owned(),
    })?;
    Ok(Spec {
        name,
        cidr,
        gateway: whole.gateway.filter(|gateway| cidr.usable().contains(*gateway)),
        statics: pools(&whole.statics),
        dhcp: pools(&whole.dhcp),
        excluded: own(&whole.excluded),
        ..whole.clone()
    })
}

/// Splits a subnet as [`pieces`] says; with what it did to addresses in use.
pub async fn split(
    space: &mut Space<'_>,
    id: SubnetId,
    length: u8,
    force: bool,
) -> Outcome<(Vec<Subnet>, Effects)> {
    let (subnet, parts) = pieces(space, id, length).await?;
    let whole = spec(&subnet, &queries::pools(space.tx(), id).await?);
    let mut effects = Effects::default();
    let gateway = whole.gateway;
    let lost = gateway.filter(|at| !parts.iter().any(|part| part.spec.gateway == Some(*at)));
    effects.forbidden.extend(lost.map(|gateway| format!("{gateway} (the gateway)")));
    let mut made = Vec::new();
    for piece in &parts {
        let (part, told) = create_told(space, &piece.spec, true, true).await?;
        effects.add(told);
        made.push(part);
    }
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    let none = || Pools::These(Vec::new());
    let frame =
        Spec { statics: none(), dhcp: none(), excluded: Vec::new(), gateway: None, ..whole };
    update(space, id, None, &frame, true, true).await?;
    Ok((made, effects))
}

/// Makes one subnet of several that lie beside each other and together are one block. The first
/// keeps its name and words; the others' pools and addresses become its own. If the block is a
/// subnet around them already, that one takes them back.
pub async fn merge(
    space: &mut Space<'_>,
    ids: &[SubnetId],
    force: bool,
) -> Outcome<(Subnet, Effects)> {
    let refuse = |why: &str| Refusal::Field { field: "ids", why: why.to_owned() };
    let tenant = space.tenant();
    let mut parts = Vec::new();
    for id in ids {
        parts.push(queries::get(space.tx(), tenant, *id).await?.ok_or(Refusal::Missing)?);
    }
    parts.sort_by_key(|subnet| subnet.cidr);
    parts.dedup_by_key(|subnet| subnet.id);
    let ranges = net::normalised(parts.iter().map(|subnet| subnet.cidr.range()).collect());
    let whole = match ranges.as_slice() {
        [range] if parts.len() > 1 => match net::cover(*range).as_slice() {
            [cidr] => Some(*cidr),
            _ => None,
        },
        _ => None,
    };
    let whole = whole.ok_or_else(|| refuse("choose subnets that lie beside each other and together are one block, such as 10.0.0.0/25 and 10.0.0.128/25"))?;
    let Some(first) = parts.first().cloned() else { return Err(Refusal::Missing) };
    if parts.iter().any(|subnet| subnet.parent != first.parent) {
        return Err(refuse("choose subnets with the same subnet around them"));
    }
    let frame = match first.parent {
        Some(parent) => queries::get(space.tx(), tenant, parent).await?,
        None => None,
    };
    let keep = frame.filter(|frame| frame.cidr == whole).unwrap_or(first);
    let mut specs = Vec::new();
    for part in &parts {
        specs.push(spec(part, &queries::pools(space.tx(), part.id).await?));
    }
    let own = spec(&keep, &queries::pools(space.tx(), keep.id).await?);
    let together = joined(own, whole, &specs);
    let mut forbidden = edges(space, whole, &parts).await?;
    parts.retain(|part| part.id != keep.id);
    let before = Homes::of(space, &[whole.range()]).await?;
    dissolve(space, &parts, &keep).await?;
    let (subnet, mut effects) = reshaped(space, &keep, &together, true, true, &before).await?;
    forbidden.retain(|address| !effects.forbidden.contains(address));
    effects.forbidden.extend(forbidden);
    if effects.harm() && !force {
        return Err(Refusal::Harm(effects));
    }
    parts.push(subnet.clone());
    before.tell(space, &parts).await?;
    Ok((subnet, effects))
}

/// The addresses in use that are a network or broadcast address of the whole and were none of
/// their part.
async fn edges(space: &mut Space<'_>, whole: Cidr, parts: &[Subnet]) -> Outcome<Vec<String>> {
    let tenant = space.tenant();
    let mut found = Vec::new();
    for (never, _) in whole.never() {
        let known = |part: &Subnet| part.cidr.never().iter().any(|(known, _)| *known == never);
        if parts.iter().any(known) {
            continue;
        }
        let record = addresses::get(space.tx(), tenant, never).await?;
        let held = record.filter(|record| {
            record.status != Status::Available
                && parts.iter().any(|part| record.subnet == Some(part.id))
        });
        found.extend(held.map(|record| record.address.to_string()));
    }
    Ok(found)
}

/// What is laid down of all of them together, in the words of `own`.
fn joined(own: Spec, cidr: Cidr, parts: &[Spec]) -> Spec {
    let gateways: Vec<Address> = parts.iter().filter_map(|part| part.gateway).collect();
    let gateway = own.gateway.or_else(|| gateways.first().copied());
    // The other routers may well still be there: nobody is given their addresses unasked.
    let others = gateways.into_iter().filter(|other| Some(*other) != gateway).map(Range::single);
    let mut excluded: Vec<Range> = parts.iter().flat_map(|part| part.excluded.clone()).collect();
    excluded.extend(others);
    let excluded = net::normalised(excluded);
    let pools = |kind: PoolKind, of: fn(&Spec) -> &Pools| {
        if parts.iter().all(|part| *of(part) == Pools::Rest) {
            return Pools::Rest;
        }
        let all = parts.iter().flat_map(Spec::pools);
        let ranges: Vec<Range> =
            all.filter(|(own, ..)| *own == kind).map(|(_, range, _)| range).collect();
        Pools::These(net::subtract(&ranges, &excluded))
    };
    let statics = pools(PoolKind::Static, |part| &part.statics);
    let dhcp = pools(PoolKind::Dhcp, |part| &part.dhcp);
    Spec { cidr, gateway, statics, dhcp, excluded, ..own }
}
