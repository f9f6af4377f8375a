//! Many phones at once: deleting them, and giving them a profile or a site. First shown, then done.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::LIST;
use crate::auth::Operator;
use crate::id::ProfileId;
use crate::ipam::space::Space;
use crate::net::Mac;
use crate::phones::refusal::Sorted;
use crate::phones::types::{Edit, Phone};
use crate::phones::{delete as delete_phone, get, profiles, update};
use crate::text::{Line, grouped};
use crate::web::form::{Field, Form, Tick};
use crate::web::list;
use crate::web::{Answer, Error, Shell, flash, ok, respond, see_other};

#[derive(Template)]
#[template(path = "phones/deletion.html")]
struct DeletionPage {
    shell: Shell,
    phones: Vec<Phone>,
    list: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ChosenForm {
    id: Vec<String>,
    confirmed: Tick,
    /// The list to go back to, with its filters.
    list: String,
    /// `keep`, `none` or a profile's id.
    profile: Field,
    site: Field,
    set_site: Tick,
}

impl ChosenForm {
    /// The phones chosen, each once.
    fn macs(&self) -> Result<Vec<Mac>, Error> {
        let macs: Result<Vec<Mac>, _> = self.id.iter().map(|id| id.parse::<Mac>()).collect();
        let mut macs = macs.map_err(|_| Error::BadRequest("choose phones from the list"))?;
        macs.sort_unstable();
        macs.dedup();
        Ok(macs)
    }
}

async fn chosen(by: &Operator, macs: &[Mac]) -> Result<Vec<Phone>, Error> {
    let mut tx = by.read().await?;
    let mut phones = Vec::new();
    for mac in macs {
        phones.extend(get(&mut tx, by.tenant(), *mac).await?);
    }
    Ok(phones)
}

/// Deletes one phone or many: first shows which, and only when confirmed does it.
pub(super) async fn delete(by: Operator, form: Form<ChosenForm>) -> Answer {
    let (macs, list) = (form.0.macs()?, list::back(&form.0.list, LIST));
    if macs.is_empty() {
        return Ok(see_other(list));
    }
    if !form.0.confirmed.0 {
        let phones = chosen(&by, &macs).await?;
        let shell = by.shell(&mut by.read().await?, LIST).await?;
        return ok(&DeletionPage { shell, phones, list: list.to_owned() });
    }
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let mut deleted = Vec::new();
    for mac in macs {
        match delete_phone(&mut space, mac).await {
            Ok(phone) => deleted.push(phone),
            // Gone already is as good.
            Err(refusals) => {
                if let Sorted::Fault(error) = refusals.sorted() {
                    return Err(error);
                }
            }
        }
    }
    space.close().await?;
    change.commit_if_any().await?;
    Ok(match deleted.as_slice() {
        [] => see_other(list),
        [phone] => flash::done(list, format!("{} deleted", phone.title())),
        many => flash::done(list, format!("{} phones deleted", many.len())),
    })
}

#[derive(Template)]
#[template(path = "phones/bulk.html")]
struct BulkPage {
    shell: Shell,
    phones: Vec<Phone>,
    profiles: Vec<(String, String)>,
    form: ChosenForm,
    list: String,
}

/// Gives many phones a profile or a site.
pub(super) async fn change(by: Operator, form: Form<ChosenForm>) -> Answer {
    let mut form = form.0;
    let (macs, list) = (form.macs()?, list::back(&form.list, LIST).to_owned());
    if macs.is_empty() {
        return Ok(see_other(&list));
    }
    let edit = if form.confirmed.0 { understood(&mut form) } else { None };
    let Some(edit) = edit else {
        let status =
            if form.confirmed.0 { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        return bulk_page(&by, &macs, form, list, status).await;
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let mut changed: i64 = 0;
    for mac in &macs {
        match update(&mut space, *mac, None, &edit).await {
            Ok(_) => changed += 1,
            Err(refusals) => match refusals.sorted() {
                Sorted::Fault(error) => return Err(error),
                Sorted::Missing | Sorted::Stale(_) => {}
                Sorted::Fields(fields) => {
                    drop(space);
                    drop(change);
                    for refusal in &fields {
                        form.profile.reject(refusal);
                    }
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    return bulk_page(&by, &macs, form, list, status).await;
                }
            },
        }
    }
    space.close().await?;
    change.commit_if_any().await?;
    let noun = if changed == 1 { "phone" } else { "phones" };
    Ok(flash::done(&list, format!("{} {noun} changed", grouped(&changed))))
}

/// What is to be different; none when something was not understood.
fn understood(form: &mut ChosenForm) -> Option<Edit> {
    let profile = match form.profile.value.as_str() {
        "" | "keep" => Some(None),
        "none" => Some(Some(None)),
        _ => form.profile.parse::<ProfileId>().map(|id| Some(Some(id))),
    };
    let site = if form.set_site.0 { form.site.parse::<Line<60>>().map(Some) } else { Some(None) };
    let (profile, site) = (profile?, site?);
    if profile.is_none() && site.is_none() {
        form.profile.reject(&"choose a profile, or tick the site");
        return None;
    }
    Some(Edit { site, profile, ..Edit::default() })
}

async fn bulk_page(
    by: &Operator,
    macs: &[Mac],
    form: ChosenForm,
    list: String,
    status: StatusCode,
) -> Answer {
    let phones = chosen(by, macs).await?;
    let mut tx = by.read().await?;
    let profiles = profiles::choices(&mut tx, by.tenant()).await?;
    let shell = by.shell(&mut tx, LIST).await?;
    respond(status, &BulkPage { shell, phones, profiles, form, list })
}
