//! How long a revoked address is kept out of use.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::LIST;
use crate::auth::{Operator, Right};
use crate::ipam::space::Space;
use crate::lifecycle::{Refusal, quarantine, set_quarantine};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SettingsForm {
    quarantine: Field,
    version: i64,
}

#[derive(Template)]
#[template(path = "lifecycle/settings.html")]
struct SettingsPage {
    shell: Shell,
    form: SettingsForm,
    admin: bool,
    error: Option<String>,
}

impl SettingsPage {
    async fn new(by: &Operator, form: Option<SettingsForm>) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let (hours, version) = quarantine(&mut tx, by.tenant()).await?;
        let known = SettingsForm { quarantine: Field::holding(&hours), version };
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            form: form.unwrap_or(known),
            admin: by.may(Right::Administer),
            error: None,
        })
    }
}

pub(super) async fn show(by: Operator) -> Answer {
    ok(&SettingsPage::new(&by, None).await?)
}

pub(super) async fn save(by: Operator, form: Form<SettingsForm>) -> Answer {
    let mut form = form.0;
    let text = form.quarantine.value.clone();
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let hours = text.parse::<i64>().ok().filter(|_| plain).unwrap_or(-1);
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    match set_quarantine(&mut space, hours, form.version).await {
        Ok(()) => {
            space.close().await?;
            change.commit().await?;
            Ok(flash::done("/lifecycle/settings", "Saved"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal @ Refusal::Stale) => {
            drop(space);
            drop(change);
            let page = SettingsPage::new(&by, None).await?;
            let page = SettingsPage { error: Some(refusal.to_string()), ..page };
            respond(StatusCode::PRECONDITION_FAILED, &page)
        }
        Err(refusal) => {
            drop(space);
            drop(change);
            form.quarantine.reject(&refusal);
            invalid(&SettingsPage::new(&by, Some(form)).await?)
        }
    }
}
