//! Who is where: users, numbers, phones, MACs, addresses and subnets, put together.
//!
//! What is wrong with one line may depend on all others, and lists must be searched, sorted and
//! counted in milliseconds; so the map is a table, made anew when anything it is made of changed.
//! A small one is made anew before it is shown; a large one is a moment behind.

mod derive;
mod queries;
mod types;

use crate::audit::{self, Page};
use crate::db::{Result, Tx, unavailable};
use crate::id::TenantId;
use crate::net::Address;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::state::State;
use crate::tenants;
use crate::time::Timestamp;

use derive::{Deriving, Facts};
pub use types::{Filter, Flag, Flags, Row, Sort, Stats};

/// Seconds after which it is made anew although nothing changed: time alone makes phones silent.
const MINUTE: i64 = 60;
/// Lines up to which it is made anew before it is shown.
const SMALL: i64 = 2_000;
/// Lines that are compared and written at once.
const PIECE: usize = 256;

/// Of what it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    audit_seq: i64,
    changes: i64,
    at: Timestamp,
    stats: Stats,
}

impl Made {
    fn is_stale(&self, (audit_seq, changes): (i64, i64), now: Timestamp) -> bool {
        (self.audit_seq, self.changes) != (audit_seq, changes) || now.since(self.at) >= MINUTE
    }
}

/// Makes every tenant's map anew that is not up to date.
pub async fn refresh_all(state: &State) -> Result<()> {
    let mut tx = state.read().await?;
    let tenants = tenants::all(&mut tx).await?;
    let of = (audit::head(&mut tx).await?, super::queries::feed(&mut tx).await?.changes);
    let mut old = Vec::new();
    for tenant in tenants {
        let made = queries::made(&mut tx, tenant.id).await?;
        if made.is_none_or(|made| made.is_stale(of, state.clock.now())) {
            old.push(tenant.id);
        }
    }
    drop(tx);
    for tenant in old {
        refresh_large(state, tenant).await?;
    }
    Ok(())
}

/// Makes a tenant's map anew.
pub async fn refresh(state: &State, tenant: TenantId) -> Result<()> {
    let (now, mut tx) = (state.clock.now(), state.read().await?);
    let (made, facts) = look(&mut tx, tenant, now).await?;
    drop(tx);
    make(state, tenant, made, &facts).await.map(drop)
}

/// Makes a tenant's map anew that may be large: what is read for it is not kept by the connections
/// that pages use.
async fn refresh_large(state: &State, tenant: TenantId) -> Result<()> {
    let now = state.clock.now();
    // Those who take all there is may take long: the map does not wait for them.
    let Ok(mut long) = state.db.read_long().await else { return refresh(state, tenant).await };
    let (made, facts) = look(long.tx(), tenant, now).await?;
    long.end().await?;
    let lines = make(state, tenant, made, &facts).await?;
    drop(facts);
    if lines > SMALL
        && let Err(error) = state.db.relax().await
    {
        tracing::warn!(%error, "the memory of a large map could not be given back yet");
    }
    Ok(())
}

/// What it is to be made of.
async fn look(tx: &mut Tx, tenant: TenantId, now: Timestamp) -> Result<(Made, Facts)> {
    let (audit_seq, changes) = (audit::head(tx).await?, super::queries::feed(tx).await?.changes);
    let facts = queries::facts(tx, tenant).await?;
    Ok((Made { audit_seq, changes, at: now, stats: Stats::default() }, facts))
}

/// Makes it; how many lines it has.
async fn make(state: &State, tenant: TenantId, mut made: Made, facts: &Facts) -> Result<i64> {
    let map = Deriving::new(facts, made.at);
    made.stats = Stats::of(map.rows());
    let mut tx = state.db.write().await?;
    if queries::make(&mut tx, tenant, &made).await? {
        replace(&mut tx, tenant, map.rows()).await?;
        tx.commit().await?;
    }
    Ok(made.stats.entries)
}

/// Writes what is different, a piece after the other: neither map is in memory as a whole.
async fn replace(tx: &mut Tx, tenant: TenantId, mut rows: impl Iterator<Item = Row>) -> Result<()> {
    let mut after = String::new();
    loop {
        let new: Vec<Row> = rows.by_ref().take(PIECE).collect();
        let last = new.last().filter(|_| new.len() == PIECE).map(|row| row.place.clone());
        let old = queries::between(tx, tenant, &after, last.as_deref()).await?;
        queries::replace(tx, tenant, &old, &new).await?;
        let Some(last) = last else { return Ok(()) };
        after = last;
    }
}

/// Makes a small map anew if it is not up to date. While the database takes no writes, what there
/// is must do.
async fn up_to_date(state: &State, tenant: TenantId) -> Result<()> {
    let mut tx = state.read().await?;
    let of = (audit::head(&mut tx).await?, super::queries::feed(&mut tx).await?.changes);
    let made = queries::made(&mut tx, tenant).await?;
    drop(tx);
    let (small, old) = made.map_or((true, true), |made| {
        (made.stats.entries <= SMALL, made.is_stale(of, state.clock.now()))
    });
    if !(small && old) {
        return Ok(());
    }
    match refresh(state, tenant).await {
        Err(error) if unavailable(&error) => {
            tracing::warn!(%error, "the map of phones is shown as it was");
            Ok(())
        }
        outcome => outcome,
    }
}

/// A page of the map, and how many lines the filter matches.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Row>, i64)> {
    let (rows, found) = queries::list(tx, tenant, filter, sort, page).await?;
    if let Some(found) = found {
        return Ok((rows, found));
    }
    let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    // A page that is not full is the last: it tells how many there are.
    let all = if (1..page.limit).contains(&shown) || (shown == 0 && page.offset == 0) {
        page.offset + shown
    } else {
        count(tx, tenant, filter).await?
    };
    Ok((rows, all))
}

/// How many lines a filter lets through; without a search that was counted when the map was made.
async fn count(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<i64> {
    let stats = stats(tx, tenant).await?;
    match (filter.search.trim(), filter.flag, filter.present) {
        ("", None, None) => Ok(stats.entries),
        ("", None, Some(true)) => Ok(stats.present),
        ("", None, Some(false)) => Ok(stats.entries - stats.present),
        ("", Some(flag), None) => Ok(stats.with(flag)),
        _ => queries::count(tx, tenant, filter).await,
    }
}

/// How many there are of what.
pub async fn stats(tx: &mut Tx, tenant: TenantId) -> Result<Stats> {
    Ok(queries::made(tx, tenant).await?.map(|made| made.stats).unwrap_or_default())
}

/// The snapshot to read the map from.
pub async fn read(state: &State, tenant: TenantId) -> Result<Tx> {
    up_to_date(state, tenant).await?;
    state.read().await
}

/// The lines of a number.
pub async fn of_number(tx: &mut Tx, tenant: TenantId, number: ExtensionNumber) -> Result<Vec<Row>> {
    queries::of_number(tx, tenant, number).await
}

/// The lines of a device.
pub async fn of_mac(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Vec<Row>> {
    queries::of_mac(tx, tenant, mac).await
}

/// The lines of those that are at an address, or should be.
pub async fn of_address(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<Vec<Row>> {
    queries::of_address(tx, tenant, address).await
}
