//! Phones: devices known by their MAC, the lines and keys they have, and their settings.
//!
//! A phone's static address is not a fact of its own: it is the address that IPAM says the phone
//! holds. A number rings one phone, because Asterisk keeps one contact for a number. Every writing
//! operation takes the tenant's addresses with it ([`Space`]), because what a phone is called
//! stands at its address too.

mod address;
pub mod api;
mod check;
pub mod import;
mod layer_form;
pub mod legacy;
mod list;
mod people;
pub mod profiles;
mod queries;
mod refusal;
pub mod settings;
pub mod told;
mod types;
pub mod web;

use serde_json::{Map, Value, json};

use crate::audit::{self, Change, Event};
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::{TenantId, UserId};
use crate::ipam::addresses::{self, places};
use crate::ipam::space::Space;
use crate::lifecycle;
use crate::net::{Address, Mac};
use crate::secrets::{self, Vault, VaultError};
use crate::users::lines;
use crate::web::Error;

pub use crate::models::{BadModel, BadVendor, Kind, MODELS, Model, Vendor};
pub use address::tenure;
pub use list::{Filter, Listed, ListedLine, Only, Sort, Totals, list, sites, totals};
pub use profiles::resolved;
pub use refusal::{Outcome, Refusal, Refusals, Sorted};
pub use types::{
    BadDialled, BadKeyKind, Dialled, Edit, KeyKind, Keys, NewLine, NewPhone, Phone, PhoneKey,
    PhoneLine, Seen, Spec, Static, Whereabouts,
};

/// Every page and call about phones that this part of the program answers.
pub fn routes() -> Vec<Route> {
    let parts = [
        web::routes(),
        profiles::web::routes(),
        api::routes(),
        profiles::api::routes(),
        legacy::routes(),
    ];
    parts.into_iter().flatten().collect()
}

/// One phone of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Option<Phone>> {
    queries::get(tx, tenant, mac).await
}

/// The phone that rings for a user of the tenant.
pub async fn of_user(tx: &mut Tx, tenant: TenantId, user: UserId) -> Result<Option<Phone>> {
    match queries::phone_of(tx, tenant, user).await? {
        Some(mac) => queries::get(tx, tenant, mac).await,
        None => Ok(None),
    }
}

/// The phone whose provisioning URL has this token.
pub async fn by_token(tx: &mut Tx, token: &str) -> Result<Option<(TenantId, Mac)>> {
    queries::by_token_hash(tx, secrets::fingerprint(token.as_bytes())).await
}

/// What a phone signs in to Patchbay with. For its own files, and the one page that shows it.
pub async fn secrets(
    tx: &mut Tx,
    vault: &Vault,
    tenant: TenantId,
    mac: Mac,
) -> std::result::Result<Option<Keys>, Error> {
    let Some((token, http, web)) = queries::sealed(tx, tenant, mac).await? else {
        return Ok(None);
    };
    Ok(Some(Keys {
        token: open(vault, "token", tenant, mac, &token)?,
        http_password: open(vault, "http", tenant, mac, &http)?,
        web_password: open(vault, "web", tenant, mac, &web)?,
    }))
}

fn open(
    vault: &Vault,
    what: &str,
    tenant: TenantId,
    mac: Mac,
    sealed: &[u8],
) -> std::result::Result<String, VaultError> {
    let plain = vault.unseal(&place(what, tenant, mac), sealed)?;
    String::from_utf8(plain).map_err(|_| VaultError::Sealed)
}

/// Where a secret of a phone belongs: sealed for one, it opens for no other.
fn place(what: &str, tenant: TenantId, mac: Mac) -> String {
    format!("phone/{what}/{tenant}/{}", mac.hex())
}

fn generate(vault: &Vault) -> std::io::Result<Keys> {
    let entropy = vault.entropy();
    Ok(Keys {
        token: entropy.text(32)?,
        http_password: entropy.text(24)?,
        web_password: entropy.text(16)?,
    })
}

fn seal(
    vault: &Vault,
    tenant: TenantId,
    mac: Mac,
    keys: &Keys,
) -> std::result::Result<queries::Sealed, VaultError> {
    let seal = |what, text: &str| vault.seal(&place(what, tenant, mac), text.as_bytes());
    Ok(queries::Sealed {
        token: seal("token", &keys.token)?,
        token_hash: secrets::fingerprint(keys.token.as_bytes()),
        http_password: seal("http", &keys.http_password)?,
        web_password: seal("web", &keys.web_password)?,
    })
}

/// Adds a phone, with lines and a static address if wished. Everything that stands in the way is
/// said at once.
pub async fn create(space: &mut Space<'_>, vault: &Vault, new: &NewPhone) -> Outcome<Phone> {
    let (tenant, mac, mut spec) = (space.tenant(), new.mac, new.spec.clone());
    spec.lines.sort_by_key(|line| line.line);
    spec.keys.sort_by_key(|key| key.position);
    let wrong = check::new(space, mac, &mut spec, new.address).await?;
    if !wrong.is_empty() {
        return Err(Refusals(wrong));
    }
    let keys = generate(vault).map_err(|error| Refusal::Fault(error.into()))?;
    let sealed = seal(vault, tenant, mac, &keys)?;
    if !queries::insert(space, mac, &spec, sealed).await? {
        return Err(Refusal::MacTaken { mac, ours: false }.into());
    }
    queries::add_rest(space, mac, &spec).await?;
    lines::follow(space.tx(), mac).await?;
    let mut phone = stored(space, mac).await?;
    if address::settle(space, &phone, Some(new.address)).await? {
        phone = stored(space, mac).await?;
    }
    let told = !told::of_phone(space.tx(), tenant, mac).await?.is_empty();
    let after = describe(space.tx(), tenant, &phone).await?;
    let event = Event::new("phone.created", &phone.title(), &mac.hex()).after(after);
    space.record(if told { event.affects_asterisk() } else { event });
    Ok(phone)
}

async fn stored(space: &mut Space<'_>, mac: Mac) -> Outcome<Phone> {
    let tenant = space.tenant();
    Ok(queries::get(space.tx(), tenant, mac).await?.ok_or(Refusal::Missing)?)
}

/// Changes a phone that is still at `version` (`None`: whatever the version). What the edit does
/// not name stays as it is.
pub async fn update(
    space: &mut Space<'_>,
    mac: Mac,
    version: Option<i64>,
    edit: &Edit,
) -> Outcome<Phone> {
    let tenant = space.tenant();
    let old = stored(space, mac).await?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)).into());
    }
    let before_spec = Spec::of(&old);
    let mut spec = before_spec.clone();
    edit.write_to(&mut spec);
    let wrong = check::changed(space, &old, &mut spec, edit.address).await?;
    if !wrong.is_empty() {
        return Err(Refusals(wrong));
    }
    let told = told::of_phone(space.tx(), tenant, mac).await?;
    let before = describe(space.tx(), tenant, &old).await?;
    if spec != before_spec {
        queries::update(space, mac, &spec).await?;
        queries::set_rest(space, mac, &spec).await?;
        lines::follow(space.tx(), mac).await?;
    }
    let between = stored(space, mac).await?;
    let moved = address::settle(space, &between, edit.address).await?;
    if spec == before_spec && !moved {
        return Ok(old);
    }
    if spec == before_spec {
        queries::touch(space, mac).await?;
    }
    let phone = stored(space, mac).await?;
    let after = describe(space.tx(), tenant, &phone).await?;
    let event = Event::new("phone.changed", &phone.title(), &mac.hex()).before(before).after(after);
    let differs = told != told::of_phone(space.tx(), tenant, mac).await?;
    space.record(if differs { event.affects_asterisk() } else { event });
    Ok(phone)
}

/// Adds a phone, or changes the one that has the MAC; whether it was added.
pub async fn register(
    space: &mut Space<'_>,
    vault: &Vault,
    mac: Mac,
    edit: &Edit,
) -> Outcome<(Phone, bool)> {
    let tenant = space.tenant();
    if queries::get(space.tx(), tenant, mac).await?.is_some() {
        return Ok((update(space, mac, None, edit).await?, false));
    }
    Ok((add(space, vault, mac, edit).await?, true))
}

/// Adds a phone of which an edit says what it is.
async fn add(space: &mut Space<'_>, vault: &Vault, mac: Mac, edit: &Edit) -> Outcome<Phone> {
    let model = edit.model.ok_or(Refusal::Missing)?;
    let mut spec = Spec::new(model);
    edit.write_to(&mut spec);
    let new = NewPhone { mac, spec, address: edit.address.unwrap_or(Static::None) };
    create(space, vault, &new).await
}

/// Removes a phone. Its lines are free at once, and so is its address unless outside systems must be
/// told first. Returns what it was.
pub async fn delete(space: &mut Space<'_>, mac: Mac) -> Outcome<Phone> {
    let tenant = space.tenant();
    let old = stored(space, mac).await?;
    let told = !told::of_phone(space.tx(), tenant, mac).await?.is_empty();
    let before = describe(space.tx(), tenant, &old).await?;
    let why = format!("{} was deleted", old.title());
    let holder = lines::holder(mac, old.title());
    let ended = lifecycle::leave(space, &holder, &why).await;
    ended.map_err(|refusal| Refusal::Fault(refusal.into_fault()))?;
    addresses::leave(space, &holder, &why).await?;
    queries::delete(space, mac).await?;
    let event = Event::new("phone.deleted", &old.title(), &mac.hex()).before(before);
    space.record(if told { event.affects_asterisk() } else { event });
    Ok(old)
}

/// Gives a phone a new provisioning URL and a new password for it. The old ones work no longer, so
/// the phone must be told by hand.
pub async fn renew(change: &mut Change, vault: &Vault, mac: Mac) -> Outcome<Keys> {
    let tenant = change.tenant();
    let phone = queries::get(change.tx(), tenant, mac).await?.ok_or(Refusal::Missing)?;
    let web = secrets(change.tx(), vault, tenant, mac).await.map_err(Refusal::Fault)?;
    let web_password = web.map(|keys| keys.web_password).unwrap_or_default();
    let fresh = generate(vault).map_err(|error| Refusal::Fault(error.into()))?;
    let keys = Keys { web_password, ..fresh };
    let sealed = seal(vault, tenant, mac, &keys)?;
    queries::set_access(change, mac, sealed.token, sealed.token_hash, sealed.http_password).await?;
    let event = Event::new("phone.token_renewed", &phone.title(), &mac.hex());
    change.record(event.after(json!({ "token": audit::masked() })));
    Ok(keys)
}

/// Shows what a phone signs in with once more, which is noted.
pub async fn reveal(change: &mut Change, vault: &Vault, mac: Mac) -> Outcome<Keys> {
    let tenant = change.tenant();
    let phone = queries::get(change.tx(), tenant, mac).await?.ok_or(Refusal::Missing)?;
    let keys = secrets(change.tx(), vault, tenant, mac).await.map_err(Refusal::Fault)?;
    change.record(Event::new("phone.secret_revealed", &phone.title(), &mac.hex()));
    Ok(keys.ok_or(Refusal::Missing)?)
}

/// A phone as the audit log keeps it, each setting a field of its own.
async fn describe(tx: &mut Tx, tenant: TenantId, phone: &Phone) -> Result<Value> {
    let subnet = places::one(tx, tenant, phone.subnet).await?;
    let profile = match phone.profile {
        Some(id) => profiles::get(tx, tenant, id).await?,
        None => None,
    };
    let mut fields = Map::new();
    let mut put = |name: &str, text: String| {
        if !text.is_empty() {
            fields.insert(name.to_owned(), text.into());
        }
    };
    put("model", phone.model.to_string());
    put("label", phone.label.to_string());
    put("site", phone.site.to_string());
    put(
        "subnet",
        subnet.map(|place| format!("{} ({})", place.name, place.cidr)).unwrap_or_default(),
    );
    put("notes", phone.notes.to_string());
    put("profile", profile.map(|profile| profile.spec.name.to_string()).unwrap_or_default());
    put("address", phone.address.map(|address: Address| address.to_string()).unwrap_or_default());
    for line in &phone.lines {
        let label = beside(line.label.as_str());
        put(&format!("line {}", line.line), format!("{} {}{label}", line.number, line.name));
    }
    for key in &phone.keys {
        let value = key.value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
        let label = beside(key.label.as_str());
        let said = format!("{}{value} on line {}{label}", key.kind, key.line);
        put(&format!("key {}", key.position), said);
    }
    for (key, value) in &phone.settings {
        put(key, value.clone());
    }
    Ok(Value::Object(fields))
}

fn beside(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!(" ({label})") }
}
