//! Which phones would get another file now than they fetched last: their own, or the one their model
//! has in common.
//!
//! To know that, each file is rendered. What came of it is kept with the number of the newest change
//! there was, so that it is done again only when something changed that files are made of; and it is
//! done in pieces, so that with very many phones nobody waits for all of them.

use std::time::Duration;

use tokio::time::Instant;

use super::queries;
use crate::audit;
use crate::boot::{self, Revisions};
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

/// How far files are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The newest change of which it is asked.
    pub upto: i64,
    /// Phones whose files were not compared since.
    pub left: i64,
}

/// Renders files that may have changed, for no longer than `patience`. `upto` is a change of which
/// it is asked; none is the newest. Whoever keeps to one comes to an end, however much is changed
/// meanwhile: the phones compared longest ago come first.
pub async fn compare(
    state: &State,
    tenant: TenantId,
    upto: Option<i64>,
    patience: Duration,
) -> Result<Compared, Error> {
    let until = Instant::now() + patience;
    let head = audit::head(&mut state.read().await?).await?;
    let upto = upto.map_or(head, |upto| upto.min(head));
    let touched = boot::touched(&state.db, upto).await?;
    let doubtful = queries::uncompared(&mut state.read().await?, tenant, touched).await?;
    let mut left = doubtful.len();
    for batch in doubtful.chunks(BATCH) {
        if Instant::now() >= until {
            break;
        }
        let mut known = Vec::with_capacity(batch.len());
        for mac in batch {
            known.push((*mac, revisions(state, tenant, *mac).await?));
        }
        let mut tx = state.db.write().await?;
        queries::put_revisions(&mut tx, &known, head).await?;
        tx.commit().await?;
        left -= batch.len();
    }
    Ok(Compared { upto, left: i64::try_from(left).unwrap_or(i64::MAX) })
}

async fn revisions(state: &State, tenant: TenantId, mac: Mac) -> Result<Revisions, Error> {
    let (mut tx, url) = (state.read().await?, boot::base_url(state));
    let would = boot::revisions(&mut tx, &state.vault, tenant, mac, url).await?;
    Ok(would.unwrap_or_default())
}

/// The revision of the file a phone would get for itself now; empty when it would get none.
pub async fn revision(state: &State, tenant: TenantId, mac: Mac) -> Result<String, Error> {
    Ok(revisions(state, tenant, mac).await?.own)
}
