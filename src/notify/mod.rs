//! Telling phones to fetch their files anew, or to restart.
//!
//! A run tells some phones, in waves, so that they do not all come at once. Its row belongs to
//! whichever process wrote its name into it; when that one dies its lease runs out, and another goes
//! on where it stopped. What is written before Asterisk is asked (`sending`) and after (`sent`) tells
//! a phone that was told from one of which that is not known: such a one is told again to fetch,
//! which does no harm, but not to restart.
//!
//! Asterisk calls a NOTIFY sent although nobody is there to receive it. So it is asked first who is.

pub mod api;
mod event;
mod outdated;
mod queries;
mod runner;
mod types;
pub mod web;

use crate::audit::{Change, Event, Page};
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::{NotificationId, TenantId};
use crate::net::Mac;
use crate::phones::{self, Vendor};
use crate::secrets::Vault;
use crate::web::Error;

pub use event::event;
pub use outdated::{Compared, Outdated, compare, outdated, revision};
pub use runner::{Runner, tell_now};
pub use types::{
    BadKind, BadPause, BadWaveSize, Kind, New, Pause, PhoneState, State, Telling, Told, WaveSize,
};

/// Most phones of one run.
pub const MOST: usize = 20_000;

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// Why no run was begun.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody to tell.
    #[error("choose the phones to be told")]
    Nobody,
    /// Too many.
    #[error("tell at most {MOST} phones at a time")]
    TooMany,
    /// Not a phone of the tenant.
    #[error("there is no phone {0}")]
    Missing(Mac),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Begins a run; whichever process does runs takes it a moment later.
pub async fn begin(
    change: &mut Change,
    vault: &Vault,
    new: &New,
) -> std::result::Result<NotificationId, Refusal> {
    let tenant = change.tenant();
    let mut phones = new.phones.clone();
    phones.sort_unstable();
    phones.dedup_by(|a, b| a.0 == b.0);
    match phones.len() {
        0 => return Err(Refusal::Nobody),
        1..=MOST => {}
        _ => return Err(Refusal::TooMany),
    }
    let known = queries::macs(change.tx(), tenant).await?;
    if let Some((stranger, _)) = phones.iter().find(|(mac, _)| !known.contains(mac)) {
        return Err(Refusal::Missing(*stranger));
    }
    let now = change.at();
    let id = NotificationId::from(vault.entropy().id(now).map_err(Error::from)?);
    let actor = change.actor().name.clone();
    queries::insert(change.tx(), tenant, id, new, &actor, now).await?;
    queries::add_phones(change.tx(), id, &phones, new.wave_size).await?;
    let subject = match phones.as_slice() {
        [(mac, _)] => mac.to_string(),
        many => format!("{} phones", many.len()),
    };
    let action = match new.kind {
        Kind::Resync => "phones.told_to_fetch",
        Kind::Reboot => "phones.told_to_restart",
    };
    change.record(Event::new(action, &subject, &id).note(new.reason.clone()));
    Ok(id)
}

/// Ends a run before its next wave; false when it is over already, or there is none.
pub async fn stop(change: &mut Change, id: NotificationId) -> Result<bool> {
    let tenant = change.tenant();
    let stopped = queries::stop(change.tx(), tenant, id).await?;
    if stopped {
        change.record(Event::new("phones.telling_stopped", &"phones", &id));
    }
    Ok(stopped)
}

/// The tenant's runs, the newest first, and how many there are.
pub async fn list(tx: &mut Tx, tenant: TenantId, page: Page) -> Result<(Vec<Telling>, i64)> {
    let runs = queries::list(tx, tenant, page).await?;
    Ok((runs, queries::count(tx, tenant).await?))
}

/// One run.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: NotificationId) -> Result<Option<Telling>> {
    queries::get(tx, tenant, id).await
}

/// Why a phone would not restart though it is told to; only Poly's are asked.
async fn never_restarts(
    tx: &mut Tx,
    tenant: TenantId,
    phone: &queries::Reachable,
) -> Result<Option<&'static str>> {
    if phone.vendor != Vendor::Polycom {
        return Ok(None);
    }
    let restarts = restarts(tx, tenant, phone.mac).await?.is_some_and(|(_, restarts)| restarts);
    Ok(event(phone.vendor, Kind::Reboot, restarts).err())
}

/// Who made a phone, and whether it is to restart when it is told of a new file.
async fn restarts(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Option<(Vendor, bool)>> {
    let Some(phone) = phones::get(tx, tenant, mac).await? else { return Ok(None) };
    let settings = phones::resolved(tx, tenant, &phone).await?;
    Ok(Some((phone.vendor(), settings.get("notify.reboot") == "reboot")))
}

/// The phones of a run: those that could not be told first, then in the order of the waves.
pub async fn phones(
    tx: &mut Tx,
    tenant: TenantId,
    id: NotificationId,
    page: Page,
) -> Result<Vec<Told>> {
    queries::phones(tx, tenant, id, page).await
}
