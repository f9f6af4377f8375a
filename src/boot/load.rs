//! What a template may know of one phone, out of the database.

use super::book::Entry;
use super::render::{self, Templates};
use super::subject::{KeyFacts, LineFacts, Subject};
use super::{Part, contacts, queries, templates};
use crate::db::{Db, Result, Tx};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones::{self, Phone, Vendor};
use crate::secrets::Vault;
use crate::state::State;
use crate::tenants;
use crate::time::Zone;
use crate::users;
use crate::web::Error;

/// Where phones reach Patchbay, without a slash at the end.
pub fn base_url(state: &State) -> &str {
    &state.phones_url
}

/// The host of an URL, without port or brackets.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// What templates know of the tenant's phone, reached at `base_url`. Holds its secrets.
pub async fn subject(
    tx: &mut Tx,
    vault: &Vault,
    tenant: TenantId,
    mac: Mac,
    base_url: &str,
) -> std::result::Result<Option<Subject>, Error> {
    let Some(phone) = phones::get(tx, tenant, mac).await? else { return Ok(None) };
    let Some(keys) = phones::secrets(tx, vault, tenant, mac).await? else { return Ok(None) };
    let mut subject = hidden(tx, tenant, &phone, base_url).await?;
    for (facts, line) in subject.lines.iter_mut().zip(&phone.lines) {
        if let Some(secret) = users::secret(tx, vault, tenant, line.user).await? {
            secret.expose().clone_into(&mut facts.sip_secret);
        }
    }
    subject.url = format!("{base_url}/provision/{}", keys.token);
    subject.http_password = keys.http_password;
    subject.web_password = keys.web_password;
    Ok(Some(subject))
}

/// As [`subject`] for a phone at hand, with every secret hidden: for previews and checks.
pub async fn hidden(
    tx: &mut Tx,
    tenant: TenantId,
    phone: &Phone,
    base_url: &str,
) -> Result<Subject> {
    let of = tenants::get(tx, tenant).await?;
    let settings = phones::resolved(tx, tenant, phone).await?;
    let lines = phone.lines.iter().map(|line| LineFacts {
        line: line.line,
        sip_user: of.endpoint(line.number),
        sip_secret: String::new(),
        number: line.number.to_string(),
        name: line.name.clone(),
        label: line.label.to_string(),
    });
    let keys = phone.keys.iter().map(|key| {
        let value = key.value.as_ref().map(ToString::to_string).unwrap_or_default();
        let label = if key.label.is_empty() { value.clone() } else { key.label.to_string() };
        KeyFacts { position: key.position, kind: key.kind, line: key.line, value, label }
    });
    let server = match settings.get("sip.server") {
        "" => host(base_url),
        server => server,
    };
    let subject = Subject {
        mac: phone.mac,
        model: phone.model,
        label: phone.title(),
        lines: lines.collect(),
        keys: keys.collect(),
        server: server.to_owned(),
        zone: settings.get("time.zone").parse::<Zone>().unwrap_or(of.time_zone),
        settings,
        address: phone.address,
        url: format!("{base_url}/provision/-"),
        http_user: phone.mac.hex(),
        http_password: String::new(),
        web_password: String::new(),
    };
    Ok(subject.masked())
}

/// The templates in force for a tenant. A text that was compiled before is not compiled again.
pub async fn in_force(tx: &mut Tx, tenant: TenantId) -> Result<Templates> {
    let own = templates::current(tx, tenant).await?;
    Ok(Templates::new(own.into_iter().filter_map(|row| Some((row.vendor, row.name, row.content?)))))
}

/// What tells the files a phone would get now from those it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Of the phone's own file.
    pub own: String,
    /// Of the file its model has in common; empty when that says nothing the phone's own does not.
    pub common: String,
}

/// The revisions of what a phone would get now: when they differ from those of what it fetched, there
/// is something new for it. None for no such phone, or while its template is broken.
pub async fn revisions(
    tx: &mut Tx,
    vault: &Vault,
    tenant: TenantId,
    mac: Mac,
    base_url: &str,
) -> std::result::Result<Option<Revisions>, Error> {
    let Some(subject) = subject(tx, vault, tenant, mac, base_url).await? else { return Ok(None) };
    let templates = in_force(tx, tenant).await?;
    let revision = |part: Part| -> Option<String> {
        render::render(&subject, part, &templates).ok().map(|made| made.revision)
    };
    let common = says_more(subject.model.vendor).then(|| revision(Part::Common)).flatten();
    let common = common.unwrap_or_default();
    Ok(revision(Part::Own).map(|own| Revisions { own, common }))
}

/// Whether the file a model has in common says what its phones' own files do not. The others' only
/// leads to their own file, which repeats it, so they may never ask for it again.
fn says_more(vendor: Vendor) -> bool {
    matches!(vendor, Vendor::Yealink | Vendor::Zultys | Vendor::Polycom | Vendor::Snom)
}

/// The audit log's head, and whether something that files are made of was changed after `since`.
pub async fn moved(db: &Db, since: i64) -> Result<(i64, bool)> {
    let head = queries::head(db).await?;
    if since < 0 || head < since {
        return Ok((head, true));
    }
    let moved = head != since && queries::touched(db, since, head).await?.is_some();
    Ok((head, moved))
}

/// The newest change up to `head` of something that files are made of; 0 when there was none.
pub async fn touched(db: &Db, head: i64) -> Result<i64> {
    Ok(queries::touched(db, 0, head).await?.unwrap_or(0))
}

/// The company's phone book: everybody whose number is enabled, then places outside, by their names.
pub async fn entries(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Entry>> {
    contacts::entries(tx, tenant).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_registers_at_the_host_of_its_url() {
        for (url, expected) in [
            ("https://pbx.example.com", "pbx.example.com"),
            ("http://10.0.0.5:8080/x", "10.0.0.5"),
            ("http://[2001:db8::1]:8080", "2001:db8::1"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
