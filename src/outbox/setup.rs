//! How each system is reached: set up by a tenant's administrators, off until they switch it on.
//! What may be reached at all is for those of the installation ([`allow`]).

mod nas;
mod queries;
mod types;

use serde_json::{Value, json};

use super::{System, mirror};
use crate::audit::{self, Change, Event};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::outside::Key;
use crate::outside::guard::{Allowance, Allowed};
use crate::secrets::Vault;
use crate::time::Timestamp;
use crate::web::Error;

pub use nas::{
    Nas, NewNas, add as add_nas, edit as edit_nas, get as nas, list as nases, reachable,
    remove as remove_nas,
};
pub use types::{
    BadKeyText, DhcpSetup, FilterName, KeyText, NetboxSetup, RadiusSetup, Settings, SuspendBy,
    UserName,
};

/// How a system stands with a tenant.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether calls are made.
    pub enabled: bool,
    /// Where it is and how it is spoken to.
    pub settings: Settings,
    /// Whether a secret is stored.
    pub has_secret: bool,
    /// Counts changes, for two editors.
    pub version: i64,
    sealed: Vec<u8>,
}

/// What is to be different.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Whether calls are made.
    pub enabled: bool,
    /// Where it is and how it is spoken to.
    pub settings: Settings,
    /// A new secret; `None` leaves the one there is, an empty one removes it.
    pub secret: Option<Key>,
}

/// Why a setup cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody changed it meanwhile.
    #[error("somebody changed these settings meanwhile; this is what they are now")]
    Stale,
    /// Something is missing to switch it on.
    #[error("{1}")]
    Needs(&'static str, &'static str),
    /// A NAS with the address.
    #[error("{0} is in the list already")]
    Known(std::net::IpAddr),
    /// No such thing.
    #[error("it is not in the list any more")]
    Missing,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// How a system stands with a tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, system: System) -> Result<Setup> {
    let row = queries::get(tx, tenant, system).await?;
    let Some(row) = row else {
        let settings = Settings::of(system);
        return Ok(Setup {
            enabled: false,
            settings,
            has_secret: false,
            version: 0,
            sealed: Vec::new(),
        });
    };
    Ok(Setup {
        enabled: row.enabled,
        settings: Settings::parse(system, &row.settings)?,
        has_secret: !row.secret.is_empty(),
        version: row.version,
        sealed: row.secret,
    })
}

impl Setup {
    /// The secret.
    pub fn secret(
        &self,
        vault: &Vault,
        tenant: TenantId,
        system: System,
    ) -> std::result::Result<Key, Error> {
        if self.sealed.is_empty() {
            return Ok(Key::default());
        }
        Ok(Key::from(unsealed(vault, &place(tenant, system), &self.sealed)?))
    }
}

/// Where a system's secret belongs.
fn place(tenant: TenantId, system: System) -> String {
    format!("outside/{tenant}/{system}")
}

pub(super) fn unsealed(
    vault: &Vault,
    place: &str,
    sealed: &[u8],
) -> std::result::Result<String, Error> {
    let plain = vault.unseal(place, sealed)?;
    String::from_utf8(plain).map_err(|_| Error::Vault(crate::secrets::VaultError::Sealed))
}

/// Saves how a system is reached, if it still is at `version`.
pub async fn configure(
    change: &mut Change,
    vault: &Vault,
    version: i64,
    edit: &Edit,
) -> std::result::Result<(), Refusal> {
    let (tenant, system) = (change.tenant(), edit.settings.system());
    crate::tenants::lock(change, tenant).await?;
    let old = get(change.tx(), tenant, system).await?;
    if old.version != version {
        return Err(Refusal::Stale);
    }
    let sealed = match &edit.secret {
        None => old.sealed.clone(),
        Some(secret) if secret.is_empty() => Vec::new(),
        Some(secret) => {
            vault.seal(&place(tenant, system), secret.expose().as_bytes()).map_err(Error::from)?
        }
    };
    if edit.enabled {
        complete(change.tx(), tenant, edit, !sealed.is_empty()).await?;
    }
    if old.enabled == edit.enabled && old.settings == edit.settings && edit.secret.is_none() {
        return Ok(());
    }
    let (text, now) = (edit.settings.text(), change.at());
    queries::put(change.tx(), tenant, system, (edit.enabled, &text, &sealed), now).await?;
    if edit.settings.is_elsewhere(&old.settings) || (edit.enabled && !old.enabled) {
        // Another server, or one nobody wrote to for a while: it is told everything.
        mirror::forget(change.tx(), tenant, system).await?;
    }
    let title = system.title();
    change.record(
        Event::new("outside.configured", &title, &system)
            .before(described(&old.settings, old.enabled, old.has_secret, false))
            .after(described(
                &edit.settings,
                edit.enabled,
                !sealed.is_empty(),
                edit.secret.is_some(),
            )),
    );
    Ok(())
}

fn described(settings: &Settings, enabled: bool, has_secret: bool, renewed: bool) -> Value {
    let mut value = settings.described();
    if let Some(object) = value.as_object_mut() {
        object.insert("enabled".into(), enabled.into());
        let secret = match (has_secret, renewed) {
            (true, true) => json!("(hidden, new)"),
            (true, false) => audit::masked(),
            (false, _) => Value::Null,
        };
        object.insert("secret".into(), secret);
    }
    value
}

async fn complete(
    tx: &mut Tx,
    tenant: TenantId,
    edit: &Edit,
    has_secret: bool,
) -> std::result::Result<(), Refusal> {
    match &edit.settings {
        Settings::Radius(radius) => {
            if nas::list(tx, tenant).await?.is_empty() {
                return Err(Refusal::Needs("enabled", "add a NAS first, then switch RADIUS on"));
            }
            if radius.suspend == SuspendBy::Filter && radius.suspended_filter.is_empty() {
                return Err(Refusal::Needs(
                    "suspended_filter",
                    "name the filter for suspended sessions, or end them instead",
                ));
            }
        }
        Settings::Dhcp(dhcp) => {
            if dhcp.v4.is_none() && dhcp.v6.is_none() {
                return Err(Refusal::Needs(
                    "v4",
                    "say where Kea is for IPv4, IPv6 or both, then switch DHCP on",
                ));
            }
        }
        Settings::Netbox(netbox) => {
            if netbox.url.is_none() {
                return Err(Refusal::Needs("url", "say where NetBox is, then switch it on"));
            }
            if !has_secret {
                return Err(Refusal::Needs("secret", "NetBox needs an API token that may write"));
            }
        }
    }
    Ok(())
}

// What may be reached at all

/// What an administrator of the installation allowed for a kind of system.
pub async fn allowed(tx: &mut Tx, system: System) -> Result<Allowed> {
    let list = queries::allowed(tx).await?;
    let of_it = list.into_iter().filter(|(known, _)| *known == system);
    Ok(Allowed::from(of_it.map(|(_, allowance)| allowance).collect::<Vec<_>>()))
}

/// Everything allowed.
pub async fn allowances(tx: &mut Tx) -> Result<Vec<(System, Allowance)>> {
    queries::allowed(tx).await
}

/// Lets a kind of system be at a private host.
pub async fn allow(change: &mut Change, system: System, target: &Allowance) -> Result<()> {
    let now = change.at();
    if queries::allow(change.tx(), system, target, now).await? {
        let what = format!("{} at {target}", system.title());
        change.record(Event::new("outside.allowed", &what, &system));
    }
    Ok(())
}

/// No longer lets it.
pub async fn disallow(change: &mut Change, system: System, target: &Allowance) -> Result<()> {
    if queries::disallow(change.tx(), system, target).await? {
        let what = format!("{} at {target}", system.title());
        change.record(Event::new("outside.disallowed", &what, &system));
    }
    Ok(())
}

// How far a system was compared with what it should hold

/// Every tenant that has the system on, with the newest change compared and when it was last
/// looked at itself.
pub async fn switched_on(tx: &mut Tx, system: System) -> Result<Vec<(TenantId, i64, Timestamp)>> {
    queries::switched_on(tx, system).await
}

/// Notes how far it was compared.
pub async fn compared(tx: &mut Tx, tenant: TenantId, system: System, seq: i64) -> Result<()> {
    queries::compared(tx, tenant, system, seq).await
}

/// Notes that the system itself was looked at.
pub async fn checked(tx: &mut Tx, tenant: TenantId, system: System, at: Timestamp) -> Result<()> {
    queries::checked(tx, tenant, system, at).await
}
