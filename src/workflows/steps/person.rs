//! Steps about the person: added, disabled, enabled, gone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::phone::Disconnected;
use super::{Done, Place, Trouble, addresses};
use crate::audit::Change;
use crate::id::UserId;
use crate::ipam::space::Space;
use crate::lifecycle::Release;
use crate::users::{self, Edit};
use crate::workflows::input::What;
use crate::workflows::queries;
use crate::workflows::types::StepName;
use crate::{lifecycle, phones};

/// Who was added.
#[derive(Serialize, Deserialize)]
pub(super) struct Created {
    pub user: UserId,
    extension: String,
}

/// Whether they were enabled before.
#[derive(Serialize, Deserialize)]
struct Enabled {
    user: UserId,
    before: bool,
}

pub(super) fn noted(value: &impl Serialize) -> Done<Value> {
    serde_json::to_value(value).map_err(|error| Trouble::Fault(std::io::Error::from(error).into()))
}

pub(super) async fn create(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let wanted = place.provision()?;
    // The secret is for the phone, which gets it with its file; people reveal it on the user's page.
    let (user, _) = users::create(change, &place.state.vault, &wanted.person).await?;
    queries::set_subject(change.tx(), place.run, &format!("user/{}", user.id)).await?;
    noted(&Created { user: user.id, extension: user.number.to_string() })
}

pub(super) async fn undo_create(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let Some(created) = place.step.saved::<Created>() else { return Ok(()) };
    match users::delete(change, &place.state.vault, created.user).await {
        Ok(_) | Err(users::Refusal::Missing) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

pub(super) async fn set_enabled(
    change: &mut Change,
    place: &Place<'_>,
    enabled: bool,
) -> Done<Value> {
    let user = place.user(change).await?;
    let edit = Edit { enabled: Some(enabled), ..Edit::default() };
    users::edit(change, &place.state.vault, user.id, None, &edit).await?;
    noted(&Enabled { user: user.id, before: user.enabled })
}

pub(super) async fn undo_enabled(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let Some(Enabled { user, before }) = place.step.saved() else { return Ok(()) };
    let edit = Edit { enabled: Some(before), ..Edit::default() };
    match users::edit(change, &place.state.vault, user, None, &edit).await {
        Ok(_) | Err(users::Refusal::Missing) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// They leave for good, and all they have with them, in one.
pub(super) async fn end(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let What::Deprovision { keep_addresses, delete_phone, .. } = place.input.what else {
        return Err(Trouble::Refused("this step is of another workflow".to_owned()));
    };
    let release = if keep_addresses { Release::Keep } else { Release::Free };
    let user = place.user(change).await?;
    let tenant = change.tenant();
    let phone = place.noted::<Option<Disconnected>>(StepName::DisconnectPhone).flatten();
    // One that others have lines on stays theirs.
    let phone = phone.filter(|phone| phone.alone).and_then(|phone| phone.mac());
    let phone = match phone {
        Some(mac) => phones::get(change.tx(), tenant, mac).await?,
        None => None,
    };
    let phone = phone.filter(|phone| phone.lines.is_empty());
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let mut ended = Vec::new();
    let mut holders = vec![addresses::of_user(&user)];
    holders.extend(phone.as_ref().map(addresses::of_phone));
    for holder in &holders {
        for one in lifecycle::of_holder(space.tx(), tenant, holder).await? {
            ended.extend(one.held().map(|held| held.to_string()));
            addresses::revoke(&mut space, &one, release).await?;
        }
    }
    if let Some(phone) = phone.filter(|_| delete_phone) {
        phones::delete(&mut space, phone.mac).await?;
    }
    space.close().await?;
    users::delete(change, &place.state.vault, user.id).await?;
    Ok(json!({ "ended": ended }))
}
