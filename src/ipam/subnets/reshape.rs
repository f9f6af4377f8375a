//! Splitting a subnet into smaller ones, and making one of several.

use super::change::{create, update};
use super::types::{Pools, Spec, Subnet};
use super::{Effects, Outcome, Refusal, queries, spec};
use crate::id::SubnetId;
use crate::ipam::space::Space;
use crate::net::{self, Cidr, Range};

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

/// Splits a subnet as [`pieces`] says.
pub async fn split(
    space: &mut Space<'_>,
    id: SubnetId,
    length: u8,
    force: bool,
) -> Outcome<Vec<Subnet>> {
    let (subnet, parts) = pieces(space, id, length).await?;
    let mut made = Vec::new();
    let pools = queries::pools(space.tx(), id).await?;
    for piece in &parts {
        made.push(create(space, &piece.spec, true, force).await?);
    }
    let whole = spec(&subnet, &pools);
    let gateway = whole
        .gateway
        .filter(|gateway| !parts.iter().any(|piece| piece.spec.cidr.contains(*gateway)));
    let none = || Pools::These(Vec::new());
    let frame = Spec { statics: none(), dhcp: none(), excluded: Vec::new(), gateway, ..whole };
    update(space, id, None, &frame, true, true).await?;
    Ok(made)
}

/// Makes one subnet of several that lie beside each other and together are one block. The first
/// keeps its name and words; the others' pools and addresses become its own.
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
    let (Some(first), true) = (
        parts.first(),
        parts.iter().all(|subnet| Some(subnet.parent) == parts.first().map(|p| p.parent)),
    ) else {
        return Err(refuse("choose subnets with the same subnet around them"));
    };
    let mut together = spec(first, &queries::pools(space.tx(), first.id).await?);
    together.cidr = whole;
    for other in parts.iter().skip(1) {
        let more = spec(other, &queries::pools(space.tx(), other.id).await?);
        together.statics = union(together.statics, more.statics, first.cidr, other.cidr);
        together.dhcp = union(together.dhcp, more.dhcp, first.cidr, other.cidr);
        together.excluded.extend(more.excluded);
        together.gateway = together.gateway.or(more.gateway);
    }
    let (keep, frame) = match super::around(space.tx(), tenant, whole.network()).await? {
        // The block around them is a subnet already: it takes them back.
        _ if first.parent.is_some() => {
            let parent = first.parent.ok_or(Refusal::Missing)?;
            let parent = queries::get(space.tx(), tenant, parent).await?.ok_or(Refusal::Missing)?;
            if parent.cidr == whole { (parent.id, Some(parent)) } else { (first.id, None) }
        }
        _ => (first.id, None),
    };
    if let Some(frame) = frame {
        together.name = frame.name;
    }
    for part in parts.iter().filter(|part| part.id != keep) {
        // Nobody loses by it: the whole takes every address over below.
        super::change::delete(space, part.id, None, true).await?;
    }
    update(space, keep, None, &together, true, force).await
}

/// The pools of two subnets as one's.
fn union(a: Pools, b: Pools, of_a: Cidr, of_b: Cidr) -> Pools {
    match (a, b) {
        (Pools::Rest, Pools::Rest) => Pools::Rest,
        (a, b) => {
            let ranges = |pools: Pools, cidr: Cidr| match pools {
                Pools::Rest => vec![cidr.usable()],
                Pools::These(ranges) => ranges,
            };
            let mut all = ranges(a, of_a);
            all.extend(ranges(b, of_b));
            Pools::These(all)
        }
    }
}
