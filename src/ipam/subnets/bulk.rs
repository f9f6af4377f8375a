//! Very many subnets at once: where each belongs is found in one pass, and each is filled once,
//! however many lie beside it.

use std::collections::{BTreeSet, HashMap};

use super::change::{beside, drawn, fits};
use super::types::{Pool, Spec, Subnet};
use super::{Effects, Outcome, Refusal, describe, label, queries};
use crate::audit::Event;
use crate::id::SubnetId;
use crate::ipam::addresses;
use crate::ipam::class::Status;
use crate::ipam::prefixes;
use crate::ipam::space::{Laid, Space};
use crate::net::{Cidr, Range};

/// A subnet in the tree of all there will be.
struct Node {
    cidr: Cidr,
    /// Which of the new ones it is.
    new: Option<usize>,
    /// What it is now, if it is there.
    old: Option<Subnet>,
    id: SubnetId,
    parent: Option<usize>,
    inside: Vec<Range>,
}

/// Makes subnets, nested as their addresses say. All of them, or none: then with what stands in
/// the way of which.
pub async fn create_all(space: &mut Space<'_>, specs: &[Spec]) -> Outcome<Vec<(usize, Refusal)>> {
    let tenant = space.tenant();
    let known = queries::all(space.tx(), tenant).await?;
    let mut refused = clashes(specs, &known);
    let pools = prefixes::list(space.tx(), tenant).await?;
    for (at, spec) in specs.iter().enumerate() {
        refused.extend(beside(spec, &pools).err().map(|refusal| (at, refusal)));
    }
    let any = space.any().await?;
    if any {
        refused.extend(harmed(space, specs).await?);
    }
    if specs.is_empty() || !refused.is_empty() {
        return Ok(refused);
    }
    let tree = grow(space, specs, known)?;
    let laid = write(space, specs, &tree).await?;
    for node in &tree {
        let parent = node.parent.and_then(|at| tree.get(at)).map(|parent| parent.id);
        match &node.old {
            Some(old) if old.parent != parent => {
                queries::set_parent(space, node.id, parent).await?;
            }
            None if any => space.adopt(node.cidr.range(), parent, Some(node.id)).await?,
            _ => {}
        }
    }
    space.fill(&laid).await?;
    for laid in laid.iter().filter(|laid| laid.fresh) {
        let spec = super::spec(&laid.subnet, &laid.pools);
        let event = Event::new("subnet.created", &label(&laid.subnet), &laid.subnet.id);
        space.record(event.after(describe(&spec)));
    }
    Ok(Vec::new())
}

/// What cannot be, whatever is in use.
fn clashes(specs: &[Spec], known: &[Subnet]) -> Vec<(usize, Refusal)> {
    let mut names: BTreeSet<String> = known.iter().map(|subnet| subnet.name.key()).collect();
    let mut blocks: HashMap<Cidr, _> =
        known.iter().map(|subnet| (subnet.cidr, &subnet.name)).collect();
    let mut refused = Vec::new();
    for (at, spec) in specs.iter().enumerate() {
        if let Err(refusal) = fits(spec) {
            refused.push((at, refusal));
        }
        if !names.insert(spec.name.key()) {
            refused.push((at, Refusal::NameTaken(spec.name.clone())));
        }
        if let Some(name) = blocks.insert(spec.cidr, &spec.name) {
            refused.push((at, Refusal::Exists { cidr: spec.cidr, name: name.clone() }));
        }
    }
    refused
}

/// Whose network or broadcast address somebody has.
async fn harmed(space: &mut Space<'_>, specs: &[Spec]) -> Outcome<Vec<(usize, Refusal)>> {
    let tenant = space.tenant();
    let mut refused = Vec::new();
    for (at, spec) in specs.iter().enumerate() {
        let mut effects = Effects::default();
        for (never, _) in spec.cidr.never() {
            let record = addresses::get(space.tx(), tenant, never).await?;
            let held = record.filter(|record| record.status != Status::Available);
            effects.forbidden.extend(held.map(|record| record.address.to_string()));
        }
        if effects.harm() {
            refused.push((at, Refusal::Harm(effects)));
        }
    }
    Ok(refused)
}

/// Everything there will be in the order of addresses, larger before smaller, and what lies in
/// what.
fn grow(space: &Space<'_>, specs: &[Spec], known: Vec<Subnet>) -> Outcome<Vec<Node>> {
    let mut tree: Vec<Node> = Vec::with_capacity(known.len() + specs.len());
    for (at, spec) in specs.iter().enumerate() {
        let id = space.new_id()?;
        tree.push(Node {
            cidr: spec.cidr,
            new: Some(at),
            old: None,
            id,
            parent: None,
            inside: Vec::new(),
        });
    }
    for old in known {
        let (cidr, id) = (old.cidr, old.id);
        tree.push(Node { cidr, new: None, old: Some(old), id, parent: None, inside: Vec::new() });
    }
    tree.sort_by_key(|node| node.cidr);
    let mut around: Vec<usize> = Vec::new();
    for at in 0..tree.len() {
        let Some(cidr) = tree.get(at).map(|node| node.cidr) else { break };
        while let Some(top) = around.last() {
            if tree.get(*top).is_some_and(|node| node.cidr.covers(cidr)) {
                break;
            }
            around.pop();
        }
        let parent = around.last().copied();
        if let Some(node) = tree.get_mut(at) {
            node.parent = parent;
        }
        if let Some(parent) = parent.and_then(|parent| tree.get_mut(parent)) {
            parent.inside.push(cidr.range());
        }
        around.push(at);
    }
    Ok(tree)
}

/// Writes the new subnets and their pools; all that must be filled.
async fn write(space: &mut Space<'_>, specs: &[Spec], tree: &[Node]) -> Outcome<Vec<Laid>> {
    let mut laid = Vec::new();
    let mut around = BTreeSet::new();
    for node in tree {
        let Some(spec) = node.new.and_then(|at| specs.get(at)) else { continue };
        let parent = node.parent.and_then(|at| tree.get(at));
        if parent.is_some_and(|parent| parent.old.is_some()) {
            around.extend(node.parent);
        }
        laid.push(Laid {
            subnet: made(space, spec, node.id, parent.map(|parent| parent.id)),
            pools: drawn(space, spec)?,
            inside: node.inside.clone(),
            fresh: true,
        });
    }
    queries::insert_all(space, &laid.iter().map(|laid| &laid.subnet).collect::<Vec<_>>()).await?;
    let pools = laid.iter().flat_map(|laid| laid.pools.iter().map(|pool| (laid.subnet.id, pool)));
    queries::add_pools(space, pools).await?;
    for node in around.into_iter().filter_map(|at| tree.get(at)) {
        let Some(subnet) = node.old.clone() else { continue };
        let pools: Vec<Pool> = queries::pools(space.tx(), subnet.id).await?;
        laid.push(Laid { subnet, pools, inside: node.inside.clone(), fresh: false });
    }
    Ok(laid)
}

fn made(space: &Space<'_>, spec: &Spec, id: SubnetId, parent: Option<SubnetId>) -> Subnet {
    let now = space.at();
    let Spec { name, cidr, vlan, gateway, site, dns, description, .. } = spec.clone();
    Subnet {
        id,
        name,
        cidr,
        parent,
        vlan,
        gateway,
        site,
        dns,
        description,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
