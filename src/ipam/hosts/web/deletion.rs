//! Deleting hosts: first shown, then done.

use askama::Template;
use serde::Deserialize;

use super::super::standing::Standing;
use super::super::types::Host;
use super::super::{Refusal, list_standing};
use super::LIST;
use crate::auth::Operator;
use crate::id::HostId;
use crate::ipam::space::Space;
use crate::web::form::{Form, Tick};
use crate::web::list;
use crate::web::{Answer, Error, Shell, flash, ok, see_other};

#[derive(Template)]
#[template(path = "ipam/hosts/deletion.html")]
struct DeletionPage {
    shell: Shell,
    hosts: Vec<(Host, Standing)>,
    list: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct DeletionForm {
    id: Vec<String>,
    confirmed: Tick,
    /// The list to go back to, with its filters.
    list: String,
}

/// Deletes one host or many: first shows which, and only when confirmed does it.
pub(super) async fn delete(by: Operator, form: Form<DeletionForm>) -> Answer {
    let ids: Result<Vec<HostId>, _> = form.0.id.iter().map(|id| id.parse::<HostId>()).collect();
    let ids = ids.map_err(|_| Error::BadRequest("choose hosts from the list"))?;
    let list = list::back(&form.0.list, LIST);
    if ids.is_empty() {
        return Ok(see_other(list));
    }
    if form.0.confirmed.0 {
        return delete_all(&by, ids, list).await;
    }
    let mut tx = by.read().await?;
    let mut hosts = Vec::new();
    for id in ids {
        hosts.extend(super::super::get(&mut tx, by.tenant(), id).await?);
    }
    let standings = list_standing(&mut tx, by.tenant(), &hosts).await?;
    let hosts = hosts.into_iter().zip(standings).collect();
    let shell = by.shell(&mut tx, LIST).await?;
    ok(&DeletionPage { shell, hosts, list: list.to_owned() })
}

async fn delete_all(by: &Operator, mut ids: Vec<HostId>, list: &str) -> Answer {
    ids.sort_unstable();
    ids.dedup();
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let mut deleted = Vec::new();
    for id in ids {
        match super::super::delete(&mut space, id).await {
            Ok(host) => deleted.push(host),
            // Gone already is as good.
            Err(Refusal::Missing) => {}
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal @ Refusal::Assigned { .. }) => {
                return Err(Error::Conflict(refusal.to_string()));
            }
            Err(_) => return Err(Error::NotFound),
        }
    }
    space.close().await?;
    change.commit_if_any().await?;
    Ok(match deleted.as_slice() {
        [] => see_other(list),
        [host] => flash::done(list, format!("{} deleted", host.spec.hostname)),
        many => flash::done(list, format!("{} hosts deleted", many.len())),
    })
}
