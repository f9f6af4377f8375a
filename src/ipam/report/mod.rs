//! Reports: what is used, by whom, and what is odd; on the screen, in files and on paper.
//!
//! How full subnets are comes from the counts kept with them; lists of addresses are queries over
//! the rows there are. A report is rows of its own type here, cells of a `tables::Table` on pages,
//! paper and in files, and JSON in the API.

mod api;
mod ask;
mod content;
mod files;
mod queries;
mod tables;
mod types;
mod web;

use std::collections::BTreeMap;

use crate::audit::{self, Page};
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{self, Claim, Stats};
use crate::ipam::subnets;
use crate::ipam::tally;
use crate::net::{Address, Family, Range};
use crate::time::Timestamp;

use queries::Which;

pub use api::Paths;
pub use types::{Filter, Line, Person, Place, Report, SiteUse, SubnetUse, Use};

/// Rows a report on paper has at most.
pub const MOST_PRINTED: i64 = 20_000;

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    let mut routes = web::routes();
    routes.extend(api::routes());
    routes
}

/// How full each subnet is.
pub async fn utilisation(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<Vec<SubnetUse>> {
    let mut counts = tally::of_subnets(tx, tenant).await?;
    let site = |subnet: &subnets::Subnet| {
        filter.site.as_ref().is_none_or(|site| *site == subnet.site.key())
    };
    let wanted = |subnet: &subnets::Subnet| {
        filter.within.is_none_or(|within| within.covers(subnet.cidr.range()))
            && filter.family.is_none_or(|family| family == subnet.cidr.family())
            && site(subnet)
    };
    let subnets = subnets::all(tx, tenant).await?;
    let mut uses: Vec<SubnetUse> = subnets
        .into_iter()
        .filter(wanted)
        .map(|subnet| SubnetUse {
            usage: usage(&counts.remove(&subnet.id).unwrap_or_default()),
            subnet,
        })
        .collect();
    sort(&mut uses, filter.order);
    Ok(uses)
}

fn usage(counts: &tally::Counts) -> Use {
    let Stats { available, allocated, reserved, quarantine, dhcp, .. } = Stats::of(counts);
    Use { available, allocated, reserved, quarantine, dhcp }
}

/// The fullest first, or what has the least left; those alike stay in the order of addresses.
fn sort(uses: &mut [SubnetUse], order: &str) {
    match order {
        "name" => uses.sort_by_key(|one| one.subnet.name.key()),
        "site" => uses.sort_by_key(|one| one.subnet.site.key()),
        "used" => uses.sort_by_key(|one| std::cmp::Reverse(one.usage.permille())),
        "free" => uses.sort_by_key(|one| one.usage.available),
        _ => {}
    }
}

/// How full the subnets of each site are.
pub async fn sites(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<Vec<SiteUse>> {
    let by_address = Filter { order: "", ..filter.clone() };
    let mut sites: BTreeMap<String, SiteUse> = BTreeMap::new();
    for one in utilisation(tx, tenant, &by_address).await? {
        let site = sites.entry(one.subnet.site.key()).or_insert_with(|| SiteUse {
            site: one.subnet.site.to_string(),
            subnets: 0,
            usage: Use::default(),
        });
        site.subnets += 1;
        site.usage += one.usage;
    }
    let mut sites: Vec<SiteUse> = sites.into_values().collect();
    match filter.order {
        "used" => sites.sort_by_key(|one| std::cmp::Reverse(one.usage.permille())),
        "free" => sites.sort_by_key(|one| one.usage.available),
        _ => {}
    }
    Ok(sites)
}

/// A page of the addresses that are reserved, and how many there are.
pub async fn reservations(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    listed(tx, tenant, Which::Reserved, filter, page).await
}

/// What each person keeps, who keeps most first.
pub async fn people(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    now: Timestamp,
) -> Result<Vec<Person>> {
    queries::people(tx, tenant, filter, now).await
}

/// A page of the addresses two claim, and how many there are.
pub async fn conflicts(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    let (mut lines, total) = listed(tx, tenant, Which::Conflicts, filter, page).await?;
    let mut claims: BTreeMap<Address, Vec<Claim>> = BTreeMap::new();
    for family in [Family::V4, Family::V6] {
        let mut own = lines.iter().map(|line| line.address).filter(|a| a.family() == family);
        let first = own.next();
        let range = first.and_then(|first| Range::new(first, own.next_back().unwrap_or(first)));
        let Some(range) = range else { continue };
        for claim in addresses::claims_within(tx, tenant, range, i64::MAX).await? {
            claims.entry(claim.address).or_default().push(claim);
        }
    }
    for line in &mut lines {
        line.claims = claims.remove(&line.address).unwrap_or_default();
    }
    Ok((lines, total))
}

/// A page of the addresses that are held and were not seen of late, and how many there are.
pub async fn inactive(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    listed(tx, tenant, Which::Inactive, filter, page).await
}

/// A page of the addresses that lie in no subnet, and how many there are.
pub async fn orphans(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    listed(tx, tenant, Which::Orphans, filter, page).await
}

async fn listed(
    tx: &mut Tx,
    tenant: TenantId,
    which: Which,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Line>, i64)> {
    let lines = queries::list(tx, tenant, which, filter, page).await?;
    Ok((lines, queries::count(tx, tenant, which, filter).await?))
}

/// The sites subnets have, one spelling of each.
pub async fn known_sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    queries::sites(tx, tenant).await
}

/// Whether any address of the tenant was ever seen.
pub async fn anything_seen(tx: &mut Tx, tenant: TenantId) -> Result<bool> {
    queries::anything_seen(tx, tenant).await
}

/// What became of an address, the newest first, whether it is free now or its subnet gone, and how
/// many changes there were.
pub async fn history(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
    page: Page,
) -> Result<(Vec<audit::Record>, i64)> {
    audit::about(tx, tenant, "address.", &address.to_string(), page).await
}
