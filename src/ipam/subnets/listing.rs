//! Lists of subnets: the tree in the order of addresses, or what a search finds, with counts.

use super::queries::{self, Looked};
use super::types::{Subnet, Vlan};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::{self, Stats};
use crate::ipam::tally::{self, Counts, Scope};
use crate::net::{self, Address, Cidr, Family, Range};

/// Most branches that may be closed at once.
pub const MOST_CLOSED: usize = 50;

/// Which subnets a list shows. Nothing set: all of them, as a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Part of a name or a site, a VLAN, an address, part of one, a CIDR or a range.
    pub search: String,
    /// Only those of this site, whatever its case.
    pub site: String,
    /// Only those of this VLAN.
    pub vlan: Option<Vlan>,
    /// Only those of this family.
    pub family: Option<Family>,
    /// Only those directly inside this one.
    pub parent: Option<SubnetId>,
    /// Only those that hold this address.
    pub contains: Option<Address>,
    /// Branches of the tree of which only the root shows.
    pub closed: Vec<SubnetId>,
}

impl Filter {
    /// Whether the list is the tree.
    pub fn is_tree(&self) -> bool {
        *self == Self { closed: self.closed.clone(), ..Self::default() }
    }

    /// The address searched for, if it is one.
    pub fn address(&self) -> Option<Address> {
        self.search.parse().ok()
    }
}

/// The addresses of a subnet, those of smaller ones inside included, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In static pools and held by nobody.
    pub free: i128,
    /// Held.
    pub used: i128,
    /// Kept, with a note.
    pub reserved: i128,
    /// Out of use.
    pub quarantine: i128,
    /// Free for a DHCP server to give.
    pub dhcp: i128,
}

impl Usage {
    /// Out of counts by class.
    pub fn of(counts: &Counts) -> Self {
        let Stats { available, allocated, reserved, quarantine, dhcp, .. } = Stats::of(counts);
        Self { free: available, used: allocated, reserved, quarantine, dhcp }
    }

    /// All that somebody or something may have.
    pub fn total(&self) -> i128 {
        self.free + self.dhcp + self.taken()
    }

    /// All that is not free.
    pub fn taken(&self) -> i128 {
        self.used + self.reserved + self.quarantine
    }

    /// How much of the total a part is, in hundredths; something is at least one.
    pub fn percent(&self, part: i128) -> i64 {
        let total = self.total();
        if total == 0 || part == 0 {
            return 0;
        }
        i64::try_from(part * 100 / total).unwrap_or(100).max(1)
    }

    /// How much is not free, in hundredths.
    pub fn utilisation(&self) -> i64 {
        self.percent(self.taken())
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The subnet.
    pub subnet: Subnet,
    /// How many of the subnets above it in the list, or before its page, it lies in.
    pub depth: usize,
    /// How many subnets lie directly inside.
    pub children: i64,
    /// Its addresses.
    pub usage: Usage,
}

/// A page of a list and how many lines it has in all.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    let (subnets, total) = if filter.is_tree() {
        tree(tx, tenant, &filter.closed, page).await?
    } else if let Some(looked) = Looked::of(filter, meaning(filter)) {
        let total = queries::count(tx, tenant, &looked).await?;
        (queries::page(tx, tenant, &looked, page).await?, total)
    } else {
        (Vec::new(), 0)
    };
    let around = match subnets.first() {
        Some(first) if filter.is_tree() => path(tx, tenant, first).await?,
        _ => Vec::new(),
    };
    Ok((lines(tx, tenant, subnets, &around).await?, total))
}

/// Every subnet a list shows, whatever the page and whichever branches are closed.
pub async fn matching(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<Vec<Subnet>> {
    if filter.is_tree() {
        return queries::all(tx, tenant).await;
    }
    match Looked::of(filter, meaning(filter)) {
        Some(looked) => {
            queries::page(tx, tenant, &looked, Page { offset: 0, limit: i64::MAX }).await
        }
        None => Ok(Vec::new()),
    }
}

/// The first subnets directly in one, at most `limit`, and how many there are in all.
pub async fn first_children(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubnetId,
    limit: i64,
) -> Result<(Vec<Line>, i64)> {
    let subnets = queries::first_children(tx, tenant, id, limit).await?;
    let total = queries::count_children(tx, tenant, id).await?;
    Ok((lines(tx, tenant, subnets, &[]).await?, total))
}

/// The addresses searched for, at most four ranges; none if it is words that are searched.
fn meaning(filter: &Filter) -> Option<Vec<Range>> {
    let mut ranges = net::ranges_matching(&filter.search)?;
    ranges.truncate(4);
    Some(ranges)
}

/// The subnets around one, the largest first.
pub async fn path(tx: &mut Tx, tenant: TenantId, subnet: &Subnet) -> Result<Vec<Subnet>> {
    let mut path = Vec::new();
    let mut parent = subnet.parent;
    while let Some(id) = parent {
        let Some(subnet) = queries::get(tx, tenant, id).await? else { break };
        parent = subnet.parent;
        path.push(subnet);
    }
    path.reverse();
    Ok(path)
}

/// A page of the tree. A closed branch hides one stretch of it; what lies between such stretches
/// is counted, and read where the page reaches it.
async fn tree(
    tx: &mut Tx,
    tenant: TenantId,
    closed: &[SubnetId],
    page: Page,
) -> Result<(Vec<Subnet>, i64)> {
    let mut ends: Vec<Cidr> = Vec::new();
    for id in closed.iter().take(MOST_CLOSED) {
        ends.extend(queries::get(tx, tenant, *id).await?.map(|subnet| subnet.cidr));
    }
    ends.sort_unstable();
    let mut after: Option<Address> = None;
    let mut stretches = Vec::new();
    for cidr in ends {
        if after.is_none_or(|after| after < cidr.network()) {
            stretches.push((after, Some(cidr)));
            after = Some(cidr.last());
        }
    }
    stretches.push((after, None));
    let (mut all, mut total, mut skip) = (Vec::new(), 0, page.offset);
    for (after, until) in stretches {
        let here = queries::count_stretch(tx, tenant, after, until).await?;
        let left = page.limit - i64::try_from(all.len()).unwrap_or(page.limit);
        if skip < here && left > 0 {
            let part = Page { offset: skip, limit: left };
            all.extend(queries::stretch(tx, tenant, after, until, part).await?);
        }
        skip = (skip - here).max(0);
        total += here;
    }
    Ok((all, total))
}

/// Adds depths and counts.
pub async fn lines(
    tx: &mut Tx,
    tenant: TenantId,
    subnets: Vec<Subnet>,
    around: &[Subnet],
) -> Result<Vec<Line>> {
    let ids: Vec<SubnetId> = subnets.iter().map(|subnet| subnet.id).collect();
    let inside = queries::numbers_inside(tx, tenant, &ids).await?;
    let children = |id: SubnetId| inside.get(&id).copied().unwrap_or(0);
    let alone: Vec<Scope> = ids.iter().map(|id| Scope::subnet(*id)).collect();
    let alone = tally::of_many(tx, tenant, &alone).await?;
    let mut over: Vec<Cidr> = around.iter().map(|subnet| subnet.cidr).collect();
    let mut lines = Vec::new();
    for (subnet, own) in subnets.into_iter().zip(alone) {
        while over.pop_if(|cidr| !cidr.covers(subnet.cidr)).is_some() {}
        let depth = over.len();
        over.push(subnet.cidr);
        let children = children(subnet.id);
        let usage = if children == 0 {
            Usage::of(&own)
        } else {
            Usage::of(&within(tx, tenant, subnet.cidr).await?)
        };
        lines.push(Line { subnet, depth, children, usage });
    }
    Ok(lines)
}

/// The counts of a subnet with others inside. No gap crosses the end of a subnet, so whole blocks
/// count exactly; only the smallest subnets must be looked into.
pub async fn within(tx: &mut Tx, tenant: TenantId, cidr: Cidr) -> Result<Counts> {
    match tally::inside(tx, tenant, cidr.range()).await? {
        (counts, [None, None]) => Ok(counts),
        _ => addresses::counts(tx, tenant, cidr.range()).await,
    }
}

/// The counts of one subnet.
pub async fn usage(tx: &mut Tx, tenant: TenantId, subnet: &Subnet, leaf: bool) -> Result<Usage> {
    let counts = if leaf {
        tally::of(tx, tenant, &Scope::subnet(subnet.id)).await?
    } else {
        within(tx, tenant, subnet.cidr).await?
    };
    Ok(Usage::of(&counts))
}

/// The sites there are, in their order, at most 500.
pub async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    queries::sites(tx, tenant).await
}

/// The largest branches, for closing them all.
pub async fn branches(tx: &mut Tx, tenant: TenantId) -> Result<Vec<SubnetId>> {
    queries::branches(tx, tenant, i64::try_from(MOST_CLOSED).unwrap_or(0)).await
}
