//! Templates of a tenant's own: every version ever saved is kept, the newest counts, and one
//! without a text is the return to the built-in template. What would break a phone is not saved.

pub mod api;
pub mod legacy;
mod queries;
pub mod web;

use serde_json::json;

pub use super::context::PLACEHOLDERS as PLACES;
use super::engine::{Broken, Compiled, SOURCE_LIMIT};
use super::render::{BuiltIn, base};
use super::subject::{KeyFacts, LineFacts, Subject};
use super::{context, load};
use crate::audit::{Change, Event};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones::settings::Resolved;
use crate::phones::{self, KeyKind, MODELS, Model, Vendor};
use crate::text::Line;
use crate::time::{Timestamp, Zone};
use crate::web::Error;

/// Who saved a version, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1.
    pub version: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// A version with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose phones it is for.
    pub vendor: Vendor,
    /// A built-in template's name, or a model's.
    pub name: String,
    /// Its text; none is the return to the built-in one.
    pub content: Option<String>,
    /// Who saved it.
    pub version: Version,
}

/// Why a template cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no file of that name to make.
    #[error("there is no such template")]
    Missing,
    /// It is broken for every phone, or for the one named.
    #[error("{}{broken}", phone.as_deref().map(|phone| format!("{phone}: ")).unwrap_or_default())]
    Broken {
        /// The phone.
        phone: Option<String>,
        /// What is wrong.
        broken: Broken,
    },
    /// It is the built-in template's text.
    #[error("this is the built-in template; go back to it instead")]
    Same,
    /// Somebody changed it meanwhile.
    #[error("somebody changed this template meanwhile; look at what it is now, then save again")]
    Stale,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// The newest version of every template the tenant ever had of its own.
pub async fn current(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Row>> {
    queries::current(tx, tenant).await
}

/// Every version of one template, the newest first.
pub async fn versions(
    tx: &mut Tx,
    tenant: TenantId,
    vendor: Vendor,
    name: &str,
) -> Result<Vec<Row>> {
    queries::versions(tx, tenant, vendor, name).await
}

/// The models that get their file from the template called `name`, if it is the tenant's own.
pub fn models(vendor: Vendor, name: &str) -> Vec<&'static Model> {
    if let Some(built_in) = BuiltIn::find(vendor, name) {
        return MODELS.iter().filter(|model| built_in.is_for(model)).collect();
    }
    Model::find(vendor, name).into_iter().collect()
}

/// The tenant's phones that get a file from this template, `most` at most.
pub async fn phones_of(
    tx: &mut Tx,
    tenant: TenantId,
    vendor: Vendor,
    name: &str,
    most: usize,
) -> Result<Vec<Mac>> {
    let models = models(vendor, name);
    let phones = queries::phones(tx, tenant, vendor).await?;
    let uses = |model: &str| models.iter().any(|known| known.name == model);
    let found = phones.into_iter().filter(|(_, model)| uses(model)).map(|(mac, _)| mac);
    Ok(found.take(most).collect())
}

/// A text that made a well-formed file for every phone that uses it, when it was looked at.
pub struct Checked<'a> {
    of: (Vendor, &'a str),
    source: &'a str,
}

/// Whether `source` makes a well-formed file for every model it is for and every phone that uses
/// it, whatever people are called. That takes its time where there are many phones, so it is done
/// before a change begins: nobody waits for it who writes.
pub async fn check<'a>(
    tx: &mut Tx,
    tenant: TenantId,
    (vendor, name): (Vendor, &'a str),
    source: &'a str,
    base_url: &str,
) -> std::result::Result<Checked<'a>, Refusal> {
    let built_in = base(vendor, name).ok_or(Refusal::Missing)?;
    if source == built_in.source() {
        return Err(Refusal::Same);
    }
    if source.len() > SOURCE_LIMIT {
        let what = format!("use at most {SOURCE_LIMIT} bytes");
        return Err(Refusal::Broken { phone: None, broken: Broken { line: None, what } });
    }
    let compiled = Compiled::of(source, built_in.format)
        .map_err(|broken| Refusal::Broken { phone: None, broken })?;
    for model in models(vendor, name) {
        for subject in samples(model) {
            compiled.run_checked(context::of(&subject)).map_err(|broken| Refusal::Broken {
                phone: Some(format!("for a {model}")),
                broken,
            })?;
        }
    }
    for mac in phones_of(tx, tenant, vendor, name, usize::MAX).await? {
        let Some(phone) = phones::get(tx, tenant, mac).await? else { continue };
        let subject = load::hidden(tx, tenant, &phone, base_url).await?;
        compiled.run_checked(context::of(&subject)).map_err(|broken| Refusal::Broken {
            phone: Some(format!("for {} ({mac})", phone.title())),
            broken,
        })?;
    }
    Ok(Checked { of: (vendor, name), source })
}

/// Made-up phones: one with everything and the most awkward names, one with nothing.
fn samples(model: &'static Model) -> [Subject; 2] {
    const AWKWARD: &str = "A & \"B\" <c> 'd' ]]> = # ; %";
    let line = |line: u8| LineFacts {
        line,
        sip_user: "1000".to_owned(),
        sip_secret: "secret".to_owned(),
        number: "1000".to_owned(),
        name: AWKWARD.to_owned(),
        label: AWKWARD.to_owned(),
    };
    let kinds = [KeyKind::Line, KeyKind::Blf, KeyKind::SpeedDial, KeyKind::Park];
    let key = |(position, kind): (u8, KeyKind)| KeyFacts {
        position,
        kind,
        line: 1,
        value: if kind == KeyKind::Line { String::new() } else { "*8#".to_owned() },
        label: AWKWARD.to_owned(),
    };
    let full = Subject {
        mac: crate::net::Mac::EXAMPLE,
        model,
        label: AWKWARD.to_owned(),
        lines: (1..=model.lines).map(line).collect(),
        keys: (1..=model.keys).zip(kinds.into_iter().cycle()).map(key).collect(),
        settings: Resolved::of(&[]),
        server: "pbx.example.com".to_owned(),
        zone: "Europe/Lisbon".parse().unwrap_or_default(),
        address: None,
        url: "https://pbx.example.com/provision/token".to_owned(),
        http_user: "user".to_owned(),
        http_password: "password".to_owned(),
        web_password: "password".to_owned(),
    };
    let empty = Subject {
        label: String::new(),
        lines: Vec::new(),
        keys: Vec::new(),
        zone: Zone::default(),
        ..full.clone()
    };
    [full, empty]
}

/// Makes a text the version after the tenant's version `version` (0: it has none yet).
async fn put(
    change: &mut Change,
    (vendor, name): (Vendor, &str),
    version: i64,
    content: Option<String>,
    note: &Line<200>,
) -> std::result::Result<i64, Refusal> {
    let tenant = change.tenant();
    let newest = queries::versions(change.tx(), tenant, vendor, name).await?;
    let newest = newest.first().map_or(0, |row| row.version.version);
    if newest != version {
        return Err(Refusal::Stale);
    }
    let (next, own) = (version + 1, content.is_some());
    if !queries::insert(change, tenant, (vendor, name), next, content, note.as_str()).await? {
        return Err(Refusal::Stale);
    }
    let label = format!("{vendor}/{name}");
    let action = if own { "boot_template.saved" } else { "boot_template.reset" };
    let event = Event::new(action, &label, &label)
        .before(json!({ "version": version }))
        .after(json!({ "version": next, "own": own }));
    change.record(event.note(note.as_str()));
    Ok(next)
}

/// Saves a template of the tenant's own over its version `version` (0: it has none yet). Returns
/// the new version.
pub async fn save(
    change: &mut Change,
    checked: &Checked<'_>,
    version: i64,
    note: &Line<200>,
) -> std::result::Result<i64, Refusal> {
    put(change, checked.of, version, Some(checked.source.to_owned()), note).await
}

/// The text of version `wanted` of a template.
pub async fn text_of(
    tx: &mut Tx,
    tenant: TenantId,
    (vendor, name): (Vendor, &str),
    wanted: i64,
) -> std::result::Result<String, Refusal> {
    base(vendor, name).ok_or(Refusal::Missing)?;
    let versions = queries::versions(tx, tenant, vendor, name).await?;
    let old = versions.into_iter().find(|row| row.version.version == wanted);
    old.and_then(|row| row.content).ok_or(Refusal::Missing)
}

/// Puts the text of version `wanted` in force again, as a new version.
pub async fn restore(
    change: &mut Change,
    checked: &Checked<'_>,
    wanted: i64,
) -> std::result::Result<i64, Refusal> {
    let newest = newest(change, checked.of).await?.version.version;
    let note = format!("version {wanted} again").parse().unwrap_or_default();
    save(change, checked, newest, &note).await
}

/// Puts the built-in template in force again, as a new version if it is not in force.
pub async fn reset(
    change: &mut Change,
    (vendor, name): (Vendor, &str),
) -> std::result::Result<i64, Refusal> {
    base(vendor, name).ok_or(Refusal::Missing)?;
    let newest = newest(change, (vendor, name)).await?;
    if newest.content.is_none() {
        return Ok(newest.version.version);
    }
    let note = "back to the built-in template".parse().unwrap_or_default();
    put(change, (vendor, name), newest.version.version, None, &note).await
}

async fn newest(
    change: &mut Change,
    (vendor, name): (Vendor, &str),
) -> std::result::Result<Row, Refusal> {
    let tenant = change.tenant();
    let versions = queries::versions(change.tx(), tenant, vendor, name).await?;
    versions.into_iter().next().ok_or(Refusal::Missing)
}
