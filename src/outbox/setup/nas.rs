//! The servers that hold sessions.

use std::net::IpAddr;

use serde_json::json;

use super::{Refusal, queries, unsealed};
use crate::audit::{self, Change, Event};
use crate::db::{Result, Tx};
use crate::id::{NasId, TenantId};
use crate::outside::{Key, radius};
use crate::secrets::Vault;
use crate::text::Line;
use crate::web::Error;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nas {
    /// Its id.
    pub id: NasId,
    /// What people call it.
    pub name: Line<60>,
    /// Its address.
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Whether it is asked when an order names none.
    pub fallback: bool,
    pub(super) sealed: Vec<u8>,
}

/// What one is to be.
#[derive(Clone, Debug)]
pub struct NewNas {
    /// What people call it.
    pub name: Line<60>,
    /// Its address.
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Whether it is asked when an order names none.
    pub fallback: bool,
    /// What both sides sign with; `None` leaves it as it is.
    pub secret: Option<Key>,
}

fn place(tenant: TenantId, id: NasId) -> String {
    format!("outside-nas/{tenant}/{id}")
}

/// All of a tenant's, by name.
pub async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Nas>> {
    queries::nases(tx, tenant).await
}

/// One of a tenant's.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: NasId) -> Result<Option<Nas>> {
    Ok(list(tx, tenant).await?.into_iter().find(|nas| nas.id == id))
}

impl Nas {
    /// With its secret, to be spoken to.
    pub fn open(&self, vault: &Vault, tenant: TenantId) -> std::result::Result<radius::Nas, Error> {
        let secret = Key::from(unsealed(vault, &place(tenant, self.id), &self.sealed)?);
        Ok(radius::Nas { ip: self.address, port: self.port, secret })
    }
}

/// The one at `address`, or without one the one asked by default; a sentence if there is none.
pub fn reachable(list: &[Nas], address: Option<IpAddr>) -> std::result::Result<&Nas, String> {
    match address {
        Some(address) => list
            .iter()
            .find(|nas| nas.address == address)
            .ok_or_else(|| format!("no NAS with the address {address} is known; add it under Settings, Outside systems")),
        None => list.iter().find(|nas| nas.fallback).ok_or_else(|| {
            "the session names no NAS, and none is asked by default; choose one under Settings, Outside systems".to_owned()
        }),
    }
}

fn described(new: &NewNas, renewed: bool) -> serde_json::Value {
    json!({
        "name": new.name.as_str(),
        "address": new.address.to_string(),
        "port": new.port,
        "default": new.fallback,
        "secret": if renewed { json!("(hidden, new)") } else { audit::masked() },
    })
}

/// Adds one. The first is asked by default.
pub async fn add(
    change: &mut Change,
    vault: &Vault,
    new: &NewNas,
) -> std::result::Result<NasId, Refusal> {
    let (tenant, now) = (change.tenant(), change.at());
    crate::tenants::lock(change, tenant).await?;
    let first = list(change.tx(), tenant).await?.is_empty();
    let new = NewNas { fallback: new.fallback || first, ..new.clone() };
    let secret = new.secret.clone().unwrap_or_default();
    if secret.is_empty() {
        return Err(Refusal::Needs(
            "secret",
            "enter the secret that is set on the NAS for this machine",
        ));
    }
    let id = NasId::from(vault.entropy().id(now).map_err(Error::from)?);
    let sealed = vault.seal(&place(tenant, id), secret.expose().as_bytes()).map_err(Error::from)?;
    if new.fallback {
        queries::no_fallback(change.tx(), tenant).await?;
    }
    if !queries::add_nas(change.tx(), tenant, id, &new, &sealed, now).await? {
        return Err(Refusal::Known(new.address));
    }
    change.record(Event::new("nas.added", &label(&new), &id).after(described(&new, true)));
    Ok(id)
}

/// Changes one.
pub async fn edit(
    change: &mut Change,
    vault: &Vault,
    id: NasId,
    new: &NewNas,
) -> std::result::Result<(), Refusal> {
    let tenant = change.tenant();
    crate::tenants::lock(change, tenant).await?;
    let all = list(change.tx(), tenant).await?;
    let old = all.iter().find(|nas| nas.id == id).ok_or(Refusal::Missing)?;
    if all.iter().any(|nas| nas.id != id && nas.address == new.address) {
        return Err(Refusal::Known(new.address));
    }
    let sealed = match &new.secret {
        Some(secret) => {
            vault.seal(&place(tenant, id), secret.expose().as_bytes()).map_err(Error::from)?
        }
        None => old.sealed.clone(),
    };
    if new.fallback && !old.fallback {
        queries::no_fallback(change.tx(), tenant).await?;
    }
    queries::set_nas(change.tx(), tenant, id, new, &sealed).await?;
    let before = NewNas {
        name: old.name.clone(),
        address: old.address,
        port: old.port,
        fallback: old.fallback,
        secret: None,
    };
    change.record(
        Event::new("nas.changed", &label(new), &id)
            .before(described(&before, false))
            .after(described(new, new.secret.is_some())),
    );
    Ok(())
}

/// Removes one.
pub async fn remove(change: &mut Change, id: NasId) -> std::result::Result<(), Refusal> {
    let tenant = change.tenant();
    let old = get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    queries::remove_nas(change.tx(), tenant, id).await?;
    change.record(Event::new("nas.removed", &format!("{} {}", old.name, old.address), &id));
    Ok(())
}

fn label(new: &NewNas) -> String {
    format!("{} {}", new.name, new.address)
}
