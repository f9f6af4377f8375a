//! Which phone rings for whom, and what a phone's row repeats of its people. Phones are a feature
//! of their own, but what a line says of a person changes when the person does.

use super::queries;
use crate::audit::{Change, Event};
use crate::db::{Result, Tx};
use crate::id::{TenantId, UserId};
use crate::ipam::addresses::{self, Holder, HolderKind};
use crate::ipam::space::Space;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::secrets::Vault;

/// The phone that rings for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rings {
    /// The phone.
    pub mac: Mac,
    /// What people read where it is named.
    pub title: String,
    /// Which of its lines it is.
    pub line: i64,
}

/// What people read where a phone is named: its label, else who has its first line, else its MAC.
pub fn title(label: &str, first: Option<(ExtensionNumber, &str)>, mac: Mac) -> String {
    match first {
        _ if !label.is_empty() => label.to_owned(),
        Some((number, name)) => format!("{number} {name}"),
        None => mac.to_string(),
    }
}

/// What a phone holds addresses as.
pub fn holder(mac: Mac, title: String) -> Holder {
    Holder { kind: HolderKind::Phone, id: mac.hex(), name: title }
}

/// The phone that rings for a user of the tenant.
pub async fn rings(tx: &mut Tx, tenant: TenantId, user: UserId) -> Result<Option<Rings>> {
    let Some((mac, line)) = queries::line_of(tx, tenant, user).await? else { return Ok(None) };
    let Some(label) = queries::phone_label(tx, mac).await? else { return Ok(None) };
    let first = queries::people_of(tx, mac).await?.into_iter().next();
    let first = first.as_ref().map(|person| (person.number, person.name.as_str()));
    Ok(Some(Rings { mac, title: title(&label, first, mac), line }))
}

/// Writes anew what a phone's row repeats of its lines, after they or their people changed.
/// Returns what the phone is called now.
pub async fn follow(tx: &mut Tx, mac: Mac) -> Result<String> {
    let label = queries::phone_label(tx, mac).await?.unwrap_or_default();
    let people = queries::people_of(tx, mac).await?;
    let first = people.first().map(|person| (person.number, person.name.as_str()));
    let title = title(&label, first, mac);
    let words: Vec<String> = people
        .iter()
        .map(|person| format!("{} {} {}", person.number, person.name, person.label).to_lowercase())
        .collect();
    // By the name, not the number: the numbers have a column of their own.
    let sort = match first {
        Some((_, name)) if label.is_empty() => name.to_lowercase(),
        _ => title.to_lowercase(),
    };
    queries::set_people(tx, mac, words.join("\n"), first.map(|(number, _)| number), sort).await?;
    Ok(title)
}

/// A user's name or number changed: so did what their phone is called.
pub(super) async fn renamed(change: &mut Change, vault: &Vault, user: UserId) -> Result<()> {
    let tenant = change.tenant();
    match queries::line_of(change.tx(), tenant, user).await? {
        Some((mac, _)) => retitle(change, vault, mac).await.map(drop),
        None => Ok(()),
    }
}

/// A user is gone, and with them the line `mac` had of theirs.
pub(super) async fn left(change: &mut Change, vault: &Vault, mac: Mac, who: &str) -> Result<()> {
    let title = retitle(change, vault, mac).await?;
    queries::touch_phone(change, mac).await?;
    let note = format!("{who} was deleted");
    change.record(Event::new("phone.line_freed", &title, &mac.hex()).note(note));
    Ok(())
}

/// The phone's row and its addresses say what it is called now.
async fn retitle(change: &mut Change, vault: &Vault, mac: Mac) -> Result<String> {
    let title = follow(change.tx(), mac).await?;
    let mut space = Space::open(change, vault.entropy()).await?;
    let renamed = addresses::rename(&mut space, &holder(mac, title.clone())).await;
    renamed.map_err(|refusal| match refusal {
        addresses::Refusal::Fault(crate::web::Error::Database(error)) => error,
        other => sqlx::Error::Protocol(other.to_string()),
    })?;
    space.close().await?;
    Ok(title)
}
