//! Tenants: each with its own numbers, time zone, users and operators. The default tenant runs
//! the installation; with no other tenant nothing of this shows.

mod queries;
mod types;
pub mod web;

use serde_json::json;

use crate::audit::{Change, Event};
use crate::auth::{self, OperatorError, OperatorName, Role};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::secrets::Vault;
use crate::time::Zone;
use crate::web::Error;

pub use types::{Slug, Tenant, TenantName};

/// All tenants, the default one first.
pub async fn all(tx: &mut Tx) -> Result<Vec<Tenant>> {
    queries::all(tx).await
}

/// One tenant.
pub async fn get(tx: &mut Tx, id: TenantId) -> Result<Tenant> {
    queries::get(tx, id).await
}

/// Makes whoever else allocates numbers or addresses in the tenant wait until this change ends.
/// What was read of the tenant before may be old by then.
pub async fn lock(change: &mut Change, id: TenantId) -> Result<()> {
    change.tx().turn(&id.to_string()).await
}

/// As [`lock`], for whoever gives out numbers: the range of them.
pub async fn lock_numbers(change: &mut Change) -> Result<ExtensionRange> {
    let id = change.tenant();
    lock(change, id).await?;
    Ok(queries::get(change.tx(), id).await?.range())
}

/// What an administrator may change of a tenant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called.
    pub name: TenantName,
    /// Where its clocks are.
    pub time_zone: Zone,
    /// The numbers it may give out.
    pub range: ExtensionRange,
}

/// Why a tenant cannot be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// Another tenant is called so.
    #[error("another tenant is called {0}")]
    NameTaken(TenantName),
    /// Another tenant has the prefix.
    #[error("another tenant has the prefix {0}")]
    SlugTaken(Slug),
    /// Numbers in use would lie outside.
    #[error(
        "{count} numbers in use would lie outside, the first is {first}; delete or renumber those users first"
    )]
    Strands {
        /// How many.
        count: i64,
        /// The lowest of them.
        first: ExtensionNumber,
    },
    /// Somebody changed it meanwhile.
    #[error(
        "somebody changed the settings meanwhile; these are the new ones, make your change again"
    )]
    Stale,
    /// Its first administrator cannot be created.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for TenantError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Changes the settings of the change's tenant, if they are still those of `version`.
pub async fn configure(
    change: &mut Change,
    version: i64,
    new: &Settings,
) -> std::result::Result<(), TenantError> {
    let id = change.tenant();
    lock(change, id).await?;
    let old = get(change.tx(), id).await?;
    if old.version != version {
        return Err(TenantError::Stale);
    }
    if let Some((count, first)) = queries::outside(change.tx(), id, new.range).await? {
        return Err(TenantError::Strands { count, first });
    }
    if queries::name_taken(change.tx(), id, &new.name).await? {
        return Err(TenantError::NameTaken(new.name.clone()));
    }
    queries::update(change.tx(), id, new).await?;
    let event = Event::new("tenant.configured", &new.name, &id)
        .before(describe(&old.settings()))
        .after(describe(new));
    change.record(if old.range() == new.range { event } else { event.affects_asterisk() });
    Ok(())
}

/// Creates a tenant and its first administrator; returns the token of the administrator's link.
pub async fn create(
    change: &mut Change,
    vault: &Vault,
    slug: &Slug,
    new: &Settings,
    admin: &OperatorName,
) -> std::result::Result<String, TenantError> {
    let now = change.at();
    let id = TenantId::from(vault.entropy().id(now).map_err(Error::from)?);
    if queries::name_taken(change.tx(), id, &new.name).await? {
        return Err(TenantError::NameTaken(new.name.clone()));
    }
    if !queries::insert(change.tx(), id, slug, new, now).await? {
        return Err(TenantError::SlugTaken(slug.clone()));
    }
    change.record(
        Event::new("tenant.created", &new.name, &id).after(describe(new)).affects_asterisk(),
    );
    let operator = auth::create(change, vault, id, admin, Role::Admin).await?;
    Ok(auth::invite(change, vault, operator).await?)
}

fn describe(settings: &Settings) -> serde_json::Value {
    json!({
        "name": settings.name.to_string(),
        "time_zone": settings.time_zone.to_string(),
        "extensions": settings.range.to_string(),
    })
}
