//! Profiles: settings for many phones at once. Under a phone's own settings lie those of the
//! profile it chose, of its model, of the site it stands at and of all phones of its tenant.

pub mod api;
mod queries;
mod types;
pub mod web;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::settings::{BadSetting, Layer, Origin, Resolved, Setting};
use super::told::{self, Served};
use super::types::Phone;
use crate::audit::{Change, Event};
use crate::db::{Result, Tx};
use crate::id::{ProfileId, TenantId};
use crate::secrets::Vault;
use crate::tenants;
use crate::web::Error;

pub use types::{BadProfileName, Profile, ProfileName, Scope, Spec};

/// Why a profile cannot be saved as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another is called so.
    #[error("another profile is called {0}")]
    NameTaken(ProfileName),
    /// Another is for the same phones.
    #[error("{by} is for {scope} already; change that one")]
    ScopeTaken {
        /// For whom.
        scope: String,
        /// The other one.
        by: String,
    },
    /// A site without a name.
    #[error("enter the site's name as it stands at its phones or subnets")]
    NoSite,
    /// A setting that is none, or cannot hold that.
    #[error("{1}")]
    Setting(String, BadSetting),
    /// Phones chose it.
    #[error("{0} chose it; give them another profile first")]
    Chosen(String),
    /// There is no such profile.
    #[error("there is no such profile")]
    Missing,
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed this profile meanwhile")]
    Stale(Box<Profile>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Refusal {
    /// The field it is about: `name`, `scope`, `site` or the key of a setting.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::NameTaken(_) => Some("name"),
            Self::ScopeTaken { .. } | Self::Chosen(_) => Some("scope"),
            Self::NoSite => Some("site"),
            Self::Setting(key, _) => Some(key),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// One profile of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: ProfileId) -> Result<Option<Profile>> {
    queries::get(tx, tenant, id).await
}

/// All profiles of a tenant, the weakest layer first.
pub async fn all(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Profile>> {
    queries::all(tx, tenant).await
}

/// The profiles that phones choose, by name: id and name.
pub async fn choices(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(String, String)>> {
    queries::choices(tx, tenant).await
}

/// How many phones each profile lays settings under; those of none are left out.
pub async fn uses(tx: &mut Tx, tenant: TenantId) -> Result<HashMap<String, i64>> {
    Ok(queries::uses(tx, tenant).await?.into_iter().collect())
}

/// The layers under a phone's own settings, the weakest first.
pub async fn under(tx: &mut Tx, tenant: TenantId, phone: &Phone) -> Result<Vec<(Origin, Layer)>> {
    let (site, model) = (phone.whereabouts.site.key(), phone.model.key());
    let rows = queries::under(tx, tenant, site, model, phone.profile).await?;
    let mut layers: [Option<(Origin, Layer)>; 4] = [None, None, None, None];
    for row in rows {
        let rank = rank(&row.scope);
        let Some(place) = layers.get_mut(rank) else { continue };
        let origin = || (Origin::Profile(row.name), Layer::new());
        place.get_or_insert_with(origin).1.insert(row.key, row.value);
    }
    Ok(layers.into_iter().flatten().collect())
}

/// What counts where no profile says anything: a profile lies at the bottom as far as it knows.
fn under_profile() -> Resolved {
    Resolved::of(&[])
}

fn rank(scope: &str) -> usize {
    match scope {
        "tenant" => 0,
        "site" => 1,
        "model" => 2,
        _ => 3,
    }
}

/// Every setting's value for a phone of the tenant, and where it comes from.
pub async fn resolved(tx: &mut Tx, tenant: TenantId, phone: &Phone) -> Result<Resolved> {
    let under = under(tx, tenant, phone).await?;
    let mut layers: Vec<(Origin, &Layer)> =
        under.iter().map(|(origin, layer)| (origin.clone(), layer)).collect();
    layers.push((Origin::Phone, &phone.settings));
    Ok(Resolved::of(&layers).fit(phone.model))
}

/// What profiles say of what Asterisk is told.
pub(super) struct Telling(HashMap<(String, usize, String), Layer>);

impl Telling {
    /// Whether they say nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The layers under the phone that has a number, the weakest first.
    pub(super) fn of<'s>(&'s self, line: &'s Served) -> impl Iterator<Item = &'s Layer> {
        let keys = [
            String::new(),
            line.site_key.clone(),
            format!("{}/{}", line.vendor, line.model),
            line.profile_id.clone().unwrap_or_default(),
        ];
        keys.into_iter()
            .enumerate()
            // A phone without a site is at none, and one without a profile chose none.
            .filter(|(rank, key)| *rank == 0 || !key.is_empty())
            .filter_map(|(rank, key)| self.0.get(&(line.tenant_id.clone(), rank, key)))
    }
}

pub(super) async fn telling(tx: &mut Tx, tenant: Option<TenantId>) -> Result<Telling> {
    let mut layers: HashMap<(String, usize, String), Layer> = HashMap::new();
    for row in queries::telling(tx, tenant).await? {
        let rank = rank(&row.scope);
        let key = if rank == 3 { row.id } else { row.scope_key };
        layers.entry((row.tenant_id, rank, key)).or_default().insert(row.key, row.value);
    }
    Ok(Telling(layers))
}

/// Makes a profile. Whoever changes phones of the tenant waits until the change ends.
pub async fn create(change: &mut Change, vault: &Vault, spec: &Spec) -> Outcome<Profile> {
    let tenant = change.tenant();
    tenants::lock(change, tenant).await?;
    allowed(change.tx(), tenant, None, spec).await?;
    let before = told::of_tenant(change.tx(), tenant).await?;
    let id = ProfileId::from(vault.entropy().id(change.at()).map_err(Error::from)?);
    queries::insert(change, id, spec).await?;
    let event = Event::new("profile.created", &spec.name, &id).after(describe(spec));
    record(change, event, &before).await?;
    queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}

/// Changes a profile that is still at `version` (`None`: whatever the version).
pub async fn update(
    change: &mut Change,
    id: ProfileId,
    version: Option<i64>,
    spec: &Spec,
) -> Outcome<Profile> {
    let tenant = change.tenant();
    tenants::lock(change, tenant).await?;
    let old = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    if old.spec == *spec {
        return Ok(old);
    }
    allowed(change.tx(), tenant, Some(id), spec).await?;
    if spec.scope != Scope::Chosen {
        unchosen(change.tx(), tenant, id).await?;
    }
    let before = told::of_tenant(change.tx(), tenant).await?;
    queries::update(change, id, spec).await?;
    let event = Event::new("profile.changed", &spec.name, &id);
    record(change, event.before(describe(&old.spec)).after(describe(spec)), &before).await?;
    queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}

/// Removes a profile that no phone chose. Returns what it was.
pub async fn delete(change: &mut Change, id: ProfileId) -> Outcome<Profile> {
    let tenant = change.tenant();
    tenants::lock(change, tenant).await?;
    let old = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    unchosen(change.tx(), tenant, id).await?;
    let before = told::of_tenant(change.tx(), tenant).await?;
    queries::delete(change, id).await?;
    let event = Event::new("profile.deleted", &old.spec.name, &id).before(describe(&old.spec));
    record(change, event, &before).await?;
    Ok(old)
}

/// Notes an event, which affects Asterisk if it is told something else than `before`.
async fn record(change: &mut Change, event: Event, before: &told::ToldOf) -> Result<()> {
    let tenant = change.tenant();
    let differs = *before != told::of_tenant(change.tx(), tenant).await?;
    change.record(if differs { event.affects_asterisk() } else { event });
    Ok(())
}

async fn unchosen(tx: &mut Tx, tenant: TenantId, id: ProfileId) -> Outcome<()> {
    match queries::chosen_by(tx, tenant, id).await? {
        0 => Ok(()),
        1 => Err(Refusal::Chosen("1 phone".to_owned())),
        phones => Err(Refusal::Chosen(format!("{phones} phones"))),
    }
}

async fn allowed(
    tx: &mut Tx,
    tenant: TenantId,
    own: Option<ProfileId>,
    spec: &Spec,
) -> Outcome<()> {
    if matches!(&spec.scope, Scope::Site(site) if site.is_empty()) {
        return Err(Refusal::NoSite);
    }
    for (key, value) in &spec.settings {
        Setting::find(key)
            .and_then(|setting| {
                let value = setting.parse(value)?;
                match spec.scope {
                    Scope::Model(model) => setting.fits(model, &value),
                    _ => Ok(()),
                }
            })
            .map_err(|why| Refusal::Setting(key.clone(), why))?;
    }
    match queries::rival(tx, tenant, own, spec).await? {
        Some((_, true)) => Err(Refusal::NameTaken(spec.name.clone())),
        Some((by, false)) => Err(Refusal::ScopeTaken { scope: spec.scope.to_string(), by }),
        None => Ok(()),
    }
}

fn describe(spec: &Spec) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), spec.name.to_string().into());
    fields.insert("for".to_owned(), spec.scope.to_string().into());
    for (key, value) in &spec.settings {
        fields.insert(key.clone(), value.clone().into());
    }
    Value::Object(fields)
}
