//! What is seen in the network: sweeps, names, leases.
//!
//! Whatever looks (a sweep, a DHCP server's leases, a script) hands what it saw to [`seen()`], the
//! one place that decides what follows. A sweep is a row of the table `sweep`: pages and calls put
//! it there or ask it to stop, and one of the serving processes does it ([`Runner`]).

mod ageing;
pub mod api;
pub mod leases;
mod names;
mod queries;
mod runner;
mod seen;
mod sweep;
mod types;
pub mod web;

use crate::audit::Page;
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::{SubnetId, SweepId, TenantId};

pub use ageing::tidy;
pub use api::Paths;
pub use names::{Named, name_of};
pub use runner::Runner;
pub use seen::seen;
pub use sweep::{MOST, Refusal, schedule, settings, start, stop};
pub use types::{Found, Settings, Sighting, Sweep, SweepState, What};

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// The tenant's sweeps, of one subnet if one is named, the newest first, and how many there are.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: Option<SubnetId>,
    page: Page,
) -> Result<(Vec<Sweep>, i64)> {
    let sweeps = queries::list(tx, tenant, subnet, page).await?;
    Ok((sweeps, queries::count(tx, tenant, subnet).await?))
}

/// One sweep.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: SweepId) -> Result<Option<Sweep>> {
    queries::get(tx, tenant, id).await
}
