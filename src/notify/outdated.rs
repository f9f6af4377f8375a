//! Which phones would get another file now than they fetched last.
//!
//! To know that, each file is rendered. What came of it is kept with the number of the newest change
//! there was, so that it is done again only when something changed; and it is done in pieces, so
//! that with very many phones nobody waits for all of them.

use std::time::Duration;

use tokio::time::Instant;

use super::queries;
use crate::audit;
use crate::boot;
use crate::id::TenantId;
use crate::net::Mac;
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// Phones whose revisions are written down together.
const BATCH: usize = 64;

/// A phone whose file is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// Which.
    pub mac: Mac,
    /// What people call it.
    pub title: String,
    /// The revision it would get now.
    pub revision: String,
    /// When it fetched its file last.
    pub fetched_at: Timestamp,
    /// Whether one of its numbers is registered, so that it can be told.
    pub reachable: bool,
}

/// The tenant's phones whose file is another now than they fetched last, as far as that is known.
pub async fn outdated(state: &State, tenant: TenantId) -> Result<Vec<Outdated>, Error> {
    Ok(queries::outdated(&mut state.read().await?, tenant).await?)
}

/// Renders files that may have changed, for no longer than `patience`; how many are left.
pub async fn compare(state: &State, tenant: TenantId, patience: Duration) -> Result<i64, Error> {
    let until = Instant::now() + patience;
    let mut tx = state.read().await?;
    let head = audit::head(&mut tx).await?;
    let doubtful = queries::uncompared(&mut tx, tenant, head).await?;
    drop(tx);
    let mut left = doubtful.len();
    for batch in doubtful.chunks(BATCH) {
        if Instant::now() >= until {
            break;
        }
        let mut known = Vec::with_capacity(batch.len());
        for mac in batch {
            known.push((*mac, revision(state, tenant, *mac).await?));
        }
        let mut tx = state.db.write().await?;
        queries::put_revisions(&mut tx, &known, head).await?;
        tx.commit().await?;
        left -= batch.len();
    }
    Ok(i64::try_from(left).unwrap_or(i64::MAX))
}

/// The revision of the file a phone would get now; empty when it would get none.
pub async fn revision(state: &State, tenant: TenantId, mac: Mac) -> Result<String, Error> {
    let (mut tx, url) = (state.read().await?, boot::base_url(state));
    let revision = boot::own_revision(&mut tx, &state.vault, tenant, mac, url).await?;
    Ok(revision.unwrap_or_default())
}
