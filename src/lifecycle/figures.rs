//! The figures of the life cycle: for calls, for Prometheus, for the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::state::State;
use super::types::Family;
use super::{counts, effects, queries};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::Stats;
use crate::ipam::{prefixes, subnets, tally};
use crate::tenants;
use crate::time::Timestamp;

/// Seconds after which an address that is allocated, but never was taken into use, is a leak.
pub const LEAK_AFTER: i64 = 24 * 60 * 60;
/// Pools told of at most; the fullest first.
const MOST_POOLS: usize = 500;

/// How full a pool is: the static addresses of a subnet, or a prefix pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PoolFigure {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub range: String,
    /// Addresses, or for prefixes /64s, in all.
    pub total: f64,
    /// Those that somebody has or that are kept from use.
    pub used: f64,
    /// Used of all, in per cent.
    pub utilization_percent: f64,
}

/// Everything counted of one family in a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Assignments in each state; every state is there.
    pub states: BTreeMap<String, i64>,
    /// Allocated, but not active, for more than a day.
    pub leaks: i64,
    /// The fullest pools.
    pub pools: Vec<PoolFigure>,
    /// How many pools there are.
    pub pool_count: i64,
    /// What they have in all.
    pub total: f64,
    /// What is used of it.
    pub used: f64,
    /// Whether the tenant has `NetBox` switched on.
    pub netbox: bool,
    /// Live assignments that `NetBox` has.
    pub integrated: i64,
}

impl Figures {
    fn new() -> Self {
        let states = State::ALL.map(|state| (state.as_str().to_owned(), 0));
        Self { states: states.into(), ..Self::default() }
    }

    /// Assignments in a state.
    pub fn of(&self, state: State) -> i64 {
        self.states.get(state.as_str()).copied().unwrap_or(0)
    }

    /// Used of all, in per cent.
    pub fn utilization_percent(&self) -> f64 {
        percent(self.used, self.total)
    }

    fn add_pool(&mut self, pool: PoolFigure) {
        self.pool_count += 1;
        self.total += pool.total;
        self.used += pool.used;
        self.pools.push(pool);
    }

    fn trim(&mut self) {
        self.pools.sort_by(|a, b| b.utilization_percent.total_cmp(&a.utilization_percent));
        self.pools.truncate(MOST_POOLS);
    }
}

/// `part` of `whole`, in per cent; nothing of nothing is 0.
pub(super) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

/// A count as a float. Beyond 2^53 it is rounded, which no figure shows.
fn float(count: i128) -> f64 {
    const HALF: i128 = 1 << 31;
    let (mut rest, mut scale, mut sum) = (count, 1.0, 0.0);
    while rest != 0 {
        sum += i32::try_from(rest % HALF).map_or(0.0, f64::from) * scale;
        rest /= HALF;
        scale *= 2_147_483_648.0;
    }
    sum
}

/// The figures of one tenant, by family.
pub(super) async fn of_tenant(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
) -> Result<BTreeMap<&'static str, Figures>> {
    let mut all: BTreeMap<&'static str, Figures> =
        Family::ALL.map(|family| (family.as_str(), Figures::new())).into();
    for count in counts(tx, tenant).await? {
        if let Some(figures) = all.get_mut(count.family.as_str()) {
            *figures.states.entry(count.state.as_str().to_owned()).or_default() += count.entries;
        }
    }
    let before = now.plus(-LEAK_AFTER);
    for (of, family, count) in queries::count_lingering(tx, State::Allocated, before).await? {
        if let Some(figures) = all.get_mut(family.as_str()).filter(|_| of == tenant) {
            figures.leaks = count;
        }
    }
    let on = effects::switched_on(tx, tenant).await?.contains(&"NetBox");
    for (family, count) in queries::integrated(tx, tenant).await? {
        if let Some(figures) = all.get_mut(family.as_str()) {
            figures.integrated = count;
        }
    }
    for figures in all.values_mut() {
        figures.netbox = on;
    }
    pools(tx, tenant, &mut all).await?;
    all.values_mut().for_each(Figures::trim);
    Ok(all)
}

async fn pools(
    tx: &mut Tx,
    tenant: TenantId,
    all: &mut BTreeMap<&'static str, Figures>,
) -> Result<()> {
    let counted = tally::of_subnets(tx, tenant).await?;
    for subnet in subnets::all(tx, tenant).await? {
        let Some(counts) = counted.get(&subnet.id) else { continue };
        let stats = Stats::of(counts);
        let used = float(stats.allocated + stats.reserved + stats.quarantine);
        let total = used + float(stats.available);
        if total <= 0.0 {
            continue;
        }
        let family = Family::of(subnet.cidr.network());
        if let Some(figures) = all.get_mut(family.as_str()) {
            figures.add_pool(PoolFigure {
                name: subnet.name.to_string(),
                range: subnet.cidr.to_string(),
                utilization_percent: percent(used, total),
                total,
                used,
            });
        }
    }
    for pool in prefixes::list(tx, tenant).await? {
        let (total, free) = (float(pool.size().into()), float(pool.free.into()));
        if let Some(figures) = all.get_mut(Family::Prefix.as_str()) {
            figures.add_pool(PoolFigure {
                name: pool.name.to_string(),
                range: pool.cidr.to_string(),
                utilization_percent: percent(total - free, total),
                total,
                used: total - free,
            });
        }
    }
    Ok(())
}

/// What the job finds, for every instance to show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// By tenant's id, then family.
    pub tenants: BTreeMap<String, BTreeMap<String, Figures>>,
}

/// The figures of every tenant.
pub(super) async fn of_all(tx: &mut Tx, now: Timestamp) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for tenant in tenants::all(tx).await? {
        let figures = of_tenant(tx, tenant.id, now).await?;
        let figures = figures.into_iter().map(|(family, all)| (family.to_owned(), all));
        snapshot.tenants.insert(tenant.id.to_string(), figures.collect());
    }
    Ok(snapshot)
}

/// A figure: its name and its labels.
type Figure = (&'static str, Vec<(&'static str, String)>);

/// What is shown. Whatever was shown before and is no more, such as the fill of a pool that was
/// removed or renamed, must not stay as it was.
static SHOWN: Mutex<BTreeSet<Figure>> = Mutex::new(BTreeSet::new());

/// Puts the figures where `/metrics` shows them. Those that are not there any more are 0.
pub(super) fn publish(snapshot: &Snapshot) {
    let mut now = BTreeMap::new();
    for (tenant, families) in &snapshot.tenants {
        for (family, figures) in families {
            gather(tenant, family, figures, &mut now);
        }
    }
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, labels) in shown.iter().filter(|figure| !now.contains_key(*figure)) {
        metrics::gauge!(*name, labels).set(0.0);
    }
    for ((name, labels), value) in &now {
        metrics::gauge!(*name, labels).set(*value);
    }
    *shown = now.into_keys().collect();
}

/// The figures of a family in a tenant.
fn gather(tenant: &str, family: &str, figures: &Figures, all: &mut BTreeMap<Figure, f64>) {
    let v4 = family == Family::Ipv4.as_str();
    let kind = if family == Family::Prefix.as_str() { "prefix" } else { "address" };
    let labels = [("tenant_id", tenant.to_owned()), ("kind", kind.to_owned())];
    let mut gauge =
        |[v4_name, v6_name]: [&'static str; 2], more: &[(&'static str, String)], value: f64| {
            let labels = labels.iter().chain(more).cloned().collect();
            all.insert((if v4 { v4_name } else { v6_name }, labels), value);
        };
    for (state, count) in &figures.states {
        let names = ["ipv4_lifecycle_state_total", "ipv6_lifecycle_state_total"];
        gauge(names, &[("state", state.clone())], float((*count).into()));
    }
    let leaks = ["ipv4_prefix_leak_total", "ipv6_prefix_leak_total"];
    gauge(leaks, &[], float(figures.leaks.into()));
    let used = ["ipv4_utilization_percent", "ipv6_utilization_percent"];
    gauge(used, &[], figures.utilization_percent());
    let integrated = ["ipv4_netbox_integrated_count", "ipv6_netbox_integrated_count"];
    gauge(integrated, &[], float(figures.integrated.into()));
    for pool in &figures.pools {
        let names = ["ipv4_pool_utilization_percent", "ipv6_pool_utilization_percent"];
        let more = [("pool", pool.name.clone()), ("range", pool.range.clone())];
        gauge(names, &more, pool.utilization_percent);
    }
    let on = vec![("tenant_id", tenant.to_owned())];
    all.insert(("netbox_enabled", on), if figures.netbox { 1.0 } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_more_is_not_shown_as_it_was() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let pool = |name: &str| PoolFigure {
            name: name.to_owned(),
            range: "10.0.0.0/24".to_owned(),
            total: 100.0,
            used: 95.0,
            utilization_percent: 95.0,
        };
        let with = |pools: Vec<PoolFigure>| {
            let figures = Figures { pools, ..Figures::new() };
            let families = BTreeMap::from([("ipv4".to_owned(), figures)]);
            Snapshot { tenants: BTreeMap::from([("t".to_owned(), families)]) }
        };
        metrics::with_local_recorder(&recorder, || {
            publish(&with(vec![pool("Old"), pool("Kept")]));
            publish(&with(vec![pool("New"), pool("Kept")]));
        });
        let shown = recorder.handle().render();
        for (name, value) in [("Old", 0), ("Kept", 95), ("New", 95)] {
            let line = format!(r#"pool="{name}",range="10.0.0.0/24"}} {value}"#);
            assert!(shown.contains(&line), "{line}: {shown}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn counts_become_floats_without_loss() {
        for (count, known) in [(0, 0.0), (1, 1.0), (1 << 40, 1_099_511_627_776.0), (-7, -7.0)] {
            assert_eq!(float(count), known);
        }
        assert_eq!(float(1 << 64), 18_446_744_073_709_551_616.0);
        assert_eq!(percent(1.0, 4.0), 25.0);
        assert_eq!(percent(1.0, 0.0), 0.0);
    }
}
