//! Subnets: which addresses there are, where, and which of them may be given out.

pub mod api;
mod bulk;
mod change;
mod homes;
mod listing;
mod map;
mod queries;
mod reshape;
mod types;
pub mod web;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::db::{Result, Tx};
use crate::id::{PoolId, SubnetId, TenantId};
use crate::ipam::prefixes;
use crate::net::{self, Address, BadRange, Cidr, Family, Range};
use crate::web::Error;

pub use bulk::create_all;
pub use change::{create, create_told, delete, update};
pub use listing::{
    Filter, Line as Listed, Usage, branches, first_children, lines, list, matching, path, sites,
    usage,
};
pub use map::{Block, Cell, Map, What, cells_of, map, short};
pub use reshape::{Piece, merge, pieces, split};
pub use types::{
    BadDnsServers, BadPoolKind, BadSubnetName, BadVlan, DnsServers, Pool, PoolKind, Pools, Spec,
    Subnet, SubnetName, Vlan,
};

/// Addresses of a kind that are named in a sentence.
const NAMED: usize = 50;

/// What a change would do to addresses that somebody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Those that would lie in no subnet.
    pub orphaned: Vec<String>,
    /// Those that would no longer lie in the pool they are given from.
    pub stranded: Vec<String>,
    /// Those that would be a network or broadcast address, or the gateway.
    pub forbidden: Vec<String>,
    /// How many would go to another subnet, and to which.
    pub moved: Vec<(String, i64)>,
    /// How many more there are than are listed.
    pub more: usize,
}

impl Effects {
    /// Whether somebody would lose by it.
    pub fn harm(&self) -> bool {
        !(self.orphaned.is_empty() && self.stranded.is_empty() && self.forbidden.is_empty())
    }

    /// Whether no address in use is touched.
    pub fn is_nothing(&self) -> bool {
        !self.harm() && self.moved.is_empty()
    }

    /// What would happen, a sentence for each thing. Of very many addresses the first are named.
    pub fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (what, addresses) in [
            ("in no subnet any more", &self.orphaned),
            ("in use, but no longer in their pool", &self.stranded),
            ("in use, but would be a network or broadcast address or the gateway", &self.forbidden),
        ] {
            let named: Vec<&str> = addresses.iter().take(NAMED).map(String::as_str).collect();
            if !named.is_empty() {
                all.push(format!("{what}: {}", named.join(", ")));
            }
        }
        let more = self.unnamed().len() + self.more;
        if more > 0 {
            all.push(format!("and {more} more"));
        }
        all.extend(
            self.moved.iter().map(|(subnet, count)| format!("{count} in use go to {subnet}")),
        );
        all
    }

    /// Those who would lose, but for whom the sentences have no room.
    pub fn unnamed(&self) -> Vec<&str> {
        let lists = [&self.orphaned, &self.stranded, &self.forbidden];
        lists.into_iter().flat_map(|list| list.iter().skip(NAMED)).map(String::as_str).collect()
    }
}

/// Why a subnet cannot be made or changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another subnet is called so.
    #[error("another subnet is called {0}")]
    NameTaken(SubnetName),
    /// Another subnet has these addresses.
    #[error("{cidr} is {name} already")]
    Exists {
        /// The addresses.
        cidr: Cidr,
        /// Whose they are.
        name: SubnetName,
    },
    /// It lies inside or around others, which nobody asked for.
    #[error("{cidr} overlaps {others}; say that it is to be nested if that is meant")]
    Overlaps {
        /// The addresses.
        cidr: Cidr,
        /// Which others, with their names.
        others: String,
    },
    /// A field does not fit.
    #[error("{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Somebody would lose an address by it.
    #[error("addresses are in use: {}", .0.sentences().join("; "))]
    Harm(Effects),
    /// There is no such subnet.
    #[error("there is no such subnet")]
    Missing,
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed this subnet meanwhile")]
    Stale(Box<Subnet>),
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
            Self::NameTaken(_) => Some("name"),
            Self::Exists { .. } | Self::Overlaps { .. } => Some("cidr"),
            Self::Field { field, .. } => Some(field),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// One subnet of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: SubnetId) -> Result<Option<Subnet>> {
    queries::get(tx, tenant, id).await
}

/// The subnet of a pool.
pub async fn of_pool(tx: &mut Tx, tenant: TenantId, pool: PoolId) -> Result<Option<Subnet>> {
    queries::of_pool(tx, tenant, pool).await
}

/// Every subnet of the tenant in the order of their addresses, larger ones before those inside.
pub async fn all(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Subnet>> {
    queries::all(tx, tenant).await
}

/// Every subnet that lies in a range.
pub async fn inside(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<Vec<Subnet>> {
    queries::inside(tx, tenant, range).await
}

/// The subnets directly inside one, or those inside none.
pub async fn children(
    tx: &mut Tx,
    tenant: TenantId,
    parent: Option<SubnetId>,
) -> Result<Vec<Subnet>> {
    queries::children(tx, tenant, parent).await
}

/// The smallest subnet around an address.
pub async fn around(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<Option<Subnet>> {
    let mut subnet = queries::before(tx, tenant, address).await?;
    // Subnets nest: whichever holds the address is this one or one around it.
    while let Some(candidate) = subnet {
        if candidate.cidr.contains(address) {
            return Ok(Some(candidate));
        }
        subnet = match candidate.parent {
            Some(parent) => queries::get(tx, tenant, parent).await?,
            None => None,
        };
    }
    Ok(None)
}

/// The pools of a subnet, in the order of their addresses.
pub async fn pools(tx: &mut Tx, subnet: SubnetId) -> Result<Vec<Pool>> {
    queries::pools(tx, subnet).await
}

/// The pools of every subnet of the tenant.
pub async fn all_pools(tx: &mut Tx, tenant: TenantId) -> Result<HashMap<SubnetId, Vec<Pool>>> {
    let mut pools: HashMap<SubnetId, Vec<Pool>> = HashMap::new();
    for (subnet, pool) in queries::all_pools(tx, tenant).await? {
        pools.entry(subnet).or_default().push(pool);
    }
    Ok(pools)
}

pub(super) async fn ranges_inside(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubnetId,
) -> Result<Vec<Range>> {
    queries::ranges_inside(tx, tenant, id).await
}

/// The first blocks of `length` bits under `within` that no subnet and no prefix pool has and in
/// which nobody has an address, at most `count`. A subnet that has others inside is only a frame:
/// what is free in it counts as free.
pub async fn free_blocks(
    tx: &mut Tx,
    tenant: TenantId,
    within: Cidr,
    length: u8,
    count: usize,
) -> Result<Vec<Cidr>> {
    let inside = queries::inside(tx, tenant, within.range()).await?;
    let frames: std::collections::HashSet<SubnetId> =
        inside.iter().filter_map(|subnet| subnet.parent).collect();
    let taken =
        inside.iter().filter(|subnet| subnet.cidr != within && !frames.contains(&subnet.id));
    let mut taken: Vec<Range> = taken.map(|subnet| subnet.cidr.range()).collect();
    if within.family() == Family::V6 {
        let pools = prefixes::list(tx, tenant).await?;
        taken.extend(pools.iter().map(|pool| pool.cidr.range()));
    }
    let mut held = Held::default();
    let mut free = Vec::new();
    for block in net::free_blocks(within, &taken, length) {
        if free.len() >= count {
            break;
        }
        if !held.any_in(tx, tenant, block, within).await? {
            free.push(block);
        }
    }
    Ok(free)
}

/// Addresses somebody has, read some at a time as blocks are asked about in their order: of a
/// crowded network each is read once, of an empty one nothing.
#[derive(Default)]
struct Held {
    addresses: Vec<Address>,
    /// Up to here all are known.
    until: Option<Address>,
}

impl Held {
    const AT_ONCE: i64 = 1_000;

    async fn any_in(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        block: Cidr,
        within: Cidr,
    ) -> Result<bool> {
        let (first, last) = (block.network(), block.last());
        if self.until.is_none_or(|until| until < last) {
            let ends = (first, within.last());
            self.addresses = queries::held_between(tx, tenant, ends, Self::AT_ONCE).await?;
            let full = i64::try_from(self.addresses.len()).is_ok_and(|n| n == Self::AT_ONCE);
            let end = self.addresses.last().copied().filter(|_| full);
            self.until = Some(end.unwrap_or(within.last()));
        }
        let at = self.addresses.partition_point(|address| *address < first);
        Ok(self.addresses.get(at).is_some_and(|address| *address <= last))
    }
}

/// What a subnet was laid down as.
pub fn spec(subnet: &Subnet, pools: &[Pool]) -> Spec {
    let laid = |kind: PoolKind| {
        let own: Vec<&Pool> = pools.iter().filter(|pool| pool.kind == kind).collect();
        if own.iter().any(|pool| pool.derived) {
            Pools::Rest
        } else {
            Pools::These(own.into_iter().map(|pool| pool.range).collect())
        }
    };
    let Pools::These(excluded) = laid(PoolKind::Excluded) else {
        return Spec::new(subnet.name.clone(), subnet.cidr);
    };
    Spec {
        name: subnet.name.clone(),
        cidr: subnet.cidr,
        vlan: subnet.vlan,
        gateway: subnet.gateway,
        site: subnet.site.clone(),
        dns: subnet.dns.clone(),
        description: subnet.description.clone(),
        statics: laid(PoolKind::Static),
        dhcp: laid(PoolKind::Dhcp),
        excluded,
    }
}

/// Pools as a person types them.
pub fn show(pools: &Pools) -> String {
    match pools {
        Pools::Rest => String::new(),
        Pools::These(ranges) if ranges.is_empty() => "none".to_owned(),
        Pools::These(ranges) => net::show_ranges(ranges),
    }
}

/// Reads pools as typed; for forms and files alike.
pub fn read_pools(text: &str) -> std::result::Result<Pools, BadRange> {
    text.parse()
}

fn label(subnet: &Subnet) -> String {
    format!("{} ({})", subnet.name, subnet.cidr)
}

/// A subnet as the audit log keeps it.
fn describe(spec: &Spec) -> Value {
    json!({
        "name": spec.name.to_string(),
        "cidr": spec.cidr.to_string(),
        "vlan": spec.vlan.map(Vlan::as_i64),
        "gateway": spec.gateway.map(|gateway| gateway.to_string()),
        "site": spec.site.to_string(),
        "dns": spec.dns.to_string(),
        "description": spec.description.to_string(),
        "static_pools": show(&spec.statics),
        "dhcp_pools": show(&spec.dhcp),
        "excluded": net::show_ranges(&spec.excluded),
    })
}
