//! Where phones enrol, and each phone's window for it.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{NAV, PathMac};
use crate::auth::{Operator, Right};
use crate::id::SubnetId;
use crate::provision::Provisioner;
use crate::provision::queries::pages::{self, Place};
use crate::provision::windows::{self, Length};
use crate::web::form::Form;
use crate::web::{Answer, Error, Shell, flash, ok};

#[derive(Template)]
#[template(path = "provision/enrolment.html")]
struct EnrolmentPage {
    shell: Shell,
    url: String,
    places: Vec<Place>,
    may_manage: bool,
}

pub(super) async fn page(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    ok(&EnrolmentPage {
        shell: by.shell(&mut tx, NAV).await?,
        url: by.state().phones_url.clone(),
        places: pages::places(&mut tx, by.tenant()).await?,
        may_manage: by.may(Right::ManagePhones),
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ChoiceForm {
    id: Vec<String>,
}

pub(super) async fn choose(by: Operator, form: Form<ChoiceForm>) -> Answer {
    let ids: Result<Vec<SubnetId>, _> = form.0.id.iter().map(|id| id.parse()).collect();
    let ids = ids.map_err(|_| Error::BadRequest("choose subnets from the list"))?;
    let mut change = by.change().await?;
    let places = pages::places(change.tx(), by.tenant()).await?;
    if ids.iter().any(|id| places.iter().all(|place| place.id != *id)) {
        return Err(Error::NotFound);
    }
    windows::choose(&mut change, &ids).await?;
    let changed = change.commit_if_any().await?;
    Ok(flash::done_if(changed, "/phones/enrolment", "Saved"))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WindowForm {
    /// How long; nothing closes it.
    length: String,
}

pub(super) async fn window(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<PathMac>,
    form: Form<WindowForm>,
) -> Answer {
    let (mac, back) = (mac.0, format!("/phones/{}/requests", mac.0.hex()));
    let mut change = by.change().await?;
    if form.0.length.is_empty() {
        if !windows::close(&mut change, mac).await? {
            return Err(Error::NotFound);
        }
        change.commit().await?;
        return Ok(flash::done(&back, "The enrolment window is closed"));
    }
    let length = form.0.length.parse::<Length>();
    let length = length.map_err(|_| Error::BadRequest("choose 15 minutes, 1 hour or 24 hours"))?;
    let until = provisioner.open_window(change, mac, length).await?.ok_or(Error::NotFound)?;
    Ok(flash::done(&back, format!("Open until {}", until.local(by.zone()))))
}
