//! Contacts: people and places outside, for the phone book beside the users.

pub mod api;
pub mod import;
mod queries;
mod types;
pub mod web;

use serde_json::{Value, json};

use super::book::Entry;
use crate::audit::{Change, Event, Page};
use crate::db::{Result, Tx};
use crate::id::{ContactId, TenantId};
use crate::secrets::Vault;
use crate::web::Error;

pub use types::{BadContactName, Contact, ContactName, Number, Spec};

/// Why a contact cannot be saved as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is the same already.
    #[error("{0} is in the phone book with this number already")]
    Taken(ContactName),
    /// There is no such contact.
    #[error("there is no such contact")]
    Missing,
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed this contact meanwhile")]
    Stale(Box<Contact>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

type Outcome<T> = std::result::Result<T, Refusal>;

/// A page of contacts and how many match `search` (part of the name or number).
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    search: &str,
    page: Page,
) -> Result<(Vec<Contact>, i64)> {
    let contacts = queries::list(tx, tenant, search, page).await?;
    Ok((contacts, queries::count(tx, tenant, search).await?))
}

/// One contact of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: ContactId) -> Result<Option<Contact>> {
    queries::get(tx, tenant, id).await
}

/// The phone book: everybody whose number is enabled and every contact, by name.
pub async fn entries(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Entry>> {
    let rows = queries::entries(tx, tenant).await?;
    Ok(rows.into_iter().map(|(name, number)| Entry { name, number }).collect())
}

/// Adds a contact.
pub async fn create(change: &mut Change, vault: &Vault, spec: &Spec) -> Outcome<Contact> {
    let tenant = change.tenant();
    let id = ContactId::from(vault.entropy().id(change.at()).map_err(Error::from)?);
    if !queries::insert(change, tenant, id, spec).await? {
        return Err(Refusal::Taken(spec.name.clone()));
    }
    change.record(Event::new("contact.created", &spec.name, &id).after(describe(spec)));
    let (name, number) = (spec.name.clone(), Number(spec.number.clone()));
    Ok(Contact { id, name, number, version: 1 })
}

/// Changes a contact that is still at `version` (`None`: whatever the version).
pub async fn update(
    change: &mut Change,
    id: ContactId,
    version: Option<i64>,
    spec: &Spec,
) -> Outcome<Contact> {
    let tenant = change.tenant();
    let old = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    let before = Spec { name: old.name.clone(), number: old.number.0.clone() };
    if before == *spec {
        return Ok(old);
    }
    if queries::taken(change.tx(), tenant, id, spec).await? {
        return Err(Refusal::Taken(spec.name.clone()));
    }
    if !queries::update(change, tenant, id, old.version, spec).await? {
        return Err(Refusal::Stale(Box::new(old)));
    }
    let event = Event::new("contact.changed", &spec.name, &id);
    change.record(event.before(describe(&before)).after(describe(spec)));
    let (name, number) = (spec.name.clone(), Number(spec.number.clone()));
    Ok(Contact { id, name, number, version: old.version + 1 })
}

/// Removes a contact.
pub async fn delete(change: &mut Change, id: ContactId) -> Outcome<Contact> {
    let tenant = change.tenant();
    let old = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if !queries::delete(change, tenant, id).await? {
        return Err(Refusal::Missing);
    }
    let spec = Spec { name: old.name.clone(), number: old.number.0.clone() };
    change.record(Event::new("contact.deleted", &old.name, &id).before(describe(&spec)));
    Ok(old)
}

fn describe(spec: &Spec) -> Value {
    json!({ "name": spec.name.to_string(), "number": spec.number.to_string() })
}
