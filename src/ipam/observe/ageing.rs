//! What is forgotten when it was not seen for long.

use std::collections::BTreeMap;

use super::runner::{actor, refused};
use super::types::{DAY, Settings, Sighting, What};
use super::{queries, seen, sweep};
use crate::id::TenantId;
use crate::ipam::addresses;
use crate::ipam::class::Status;
use crate::ipam::space::Space;
use crate::net::Address;
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// Addresses that are forgotten in one transaction, and such transactions before the next minute.
const AT_ONCE: i64 = 100;
const MOST_ROUNDS: usize = 100;
/// Days a sweep's row is kept.
const KEPT_DAYS: i64 = 30;

/// Ends leases that are over, calls inactive what was not seen for days, forgets addresses nobody
/// holds that stay silent, and sweeps of long ago. Run now and then; safe to run anywhere at once.
pub async fn tidy(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    for _ in 0..MOST_ROUNDS {
        let over = queries::over(&mut state.read().await?, now, AT_ONCE).await?;
        for (tenant, addresses) in by_tenant(&over) {
            let mut change = state.change(&actor(tenant)).await?;
            let mut space = Space::open(&mut change, state.vault.entropy()).await?;
            let mut ended = Vec::new();
            for address in addresses {
                if queries::drop_lease(space.tx(), tenant, address, now).await? {
                    ended.push(Sighting::new(address, now, What::Ended));
                }
            }
            seen(&mut space, &ended).await.map_err(refused)?;
            space.close().await?;
            change.commit_seen().await?;
        }
        if over.is_empty() {
            break;
        }
    }
    let days = (Settings::default().keep_days, DAY);
    for _ in 0..MOST_ROUNDS {
        let aged = queries::aged(&mut state.read().await?, now, days, AT_ONCE).await?;
        for (tenant, addresses) in by_tenant(&aged) {
            let mut change = state.change(&actor(tenant)).await?;
            let mut space = Space::open(&mut change, state.vault.entropy()).await?;
            for address in addresses {
                age(&mut space, address, now).await.map_err(refused)?;
            }
            space.close().await?;
            change.commit_seen().await?;
        }
        if aged.is_empty() {
            break;
        }
    }
    let mut tx = state.db.write().await?;
    queries::forget_sweeps(&mut tx, now.plus(-KEPT_DAYS * DAY)).await?;
    Ok(tx.commit().await?)
}

fn by_tenant(pairs: &[(TenantId, Address)]) -> BTreeMap<TenantId, Vec<Address>> {
    let mut all: BTreeMap<TenantId, Vec<Address>> = BTreeMap::new();
    for (tenant, address) in pairs {
        all.entry(*tenant).or_default().push(*address);
    }
    all
}

/// An address was not seen for days.
async fn age(space: &mut Space<'_>, address: Address, now: Timestamp) -> addresses::Outcome<()> {
    let tenant = space.tenant();
    let Some(record) = addresses::get(space.tx(), tenant, address).await? else { return Ok(()) };
    let days = match record.subnet {
        Some(subnet) => sweep::settings(space.tx(), tenant, subnet).await?.keep_days,
        None => Settings::default().keep_days,
    };
    // It may have been seen since it was found old.
    if record.last_seen.is_none_or(|last| now.since(last) <= days * DAY) {
        return Ok(());
    }
    if record.status == Status::Available {
        return addresses::end(space, address).await;
    }
    seen(space, &[Sighting::new(address, now, What::Silent)]).await.map(drop)
}
