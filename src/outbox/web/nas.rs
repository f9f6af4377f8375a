//! The servers that hold sessions.

use std::net::IpAddr;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::systems::{NAV, SystemPage};
use crate::auth::Operator;
use crate::id::NasId;
use crate::net::Address;
use crate::outbox::System;
use crate::outbox::setup::{self, KeyText, Nas, NewNas, Refusal};
use crate::text::Line;
use crate::web::form::{Field, Form, Secret, Tick};
use crate::web::{Answer, Error, Shell, flash, invalid, ok};

/// Where RADIUS is set up.
const LIST: &str = "/settings/outside/radius";

/// What is typed of a NAS.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NasForm {
    pub(super) name: Field,
    pub(super) address: Field,
    pub(super) port: Field,
    pub(super) fallback: Tick,
    pub(super) secret: Secret,
}

/// A port.
struct Port(u16);

#[derive(Debug, thiserror::Error)]
#[error("use 1 to 65535; 3799 is usual")]
struct BadPort;

impl std::str::FromStr for Port {
    type Err = BadPort;

    fn from_str(text: &str) -> Result<Self, BadPort> {
        text.parse().ok().filter(|port| *port > 0).map(Self).ok_or(BadPort)
    }
}

impl NasForm {
    /// An empty one.
    pub(super) fn new(fallback: bool) -> Self {
        Self { port: Field::holding(&3799), fallback: Tick(fallback), ..Self::default() }
    }

    fn of(nas: &Nas) -> Self {
        Self {
            name: Field::holding(&nas.name),
            address: Field::holding(&nas.address),
            port: Field::holding(&nas.port),
            fallback: Tick(nas.fallback),
            secret: Secret::default(),
        }
    }

    fn parse(&mut self) -> Option<NewNas> {
        let name = self.name.parse::<Line<60>>();
        let address = self.address.parse::<Address>().map(Address::ip);
        let port = self.port.parse::<Port>();
        let secret = if self.secret.value.is_empty() {
            Some(None)
        } else {
            let typed = self.secret.value.parse::<KeyText>();
            typed.map(|text| Some(text.key())).map_err(|error| self.secret.reject(&error)).ok()
        };
        Some(NewNas {
            name: name?,
            address: address?,
            port: port?.0,
            fallback: self.fallback.0,
            secret: secret?,
        })
    }

    fn reject(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Needs(..) => self.secret.reject(refusal),
            _ => self.address.reject(refusal),
        }
    }
}

pub async fn add(by: Operator, form: Form<NasForm>) -> Answer {
    let mut form = form.0;
    let Some(new) = form.parse() else {
        return invalid(&SystemPage::new(&by, System::Radius).await?.refusing(form));
    };
    let mut change = by.change().await?;
    match setup::add_nas(&mut change, &by.state().vault, &new).await {
        Ok(_) => {
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} is added", name(&new))))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            form.reject(&refusal);
            invalid(&SystemPage::new(&by, System::Radius).await?.refusing(form))
        }
    }
}

fn name(new: &NewNas) -> String {
    if new.name.is_empty() { IpAddr::to_string(&new.address) } else { new.name.to_string() }
}

#[derive(Template)]
#[template(path = "outbox/nas.html")]
struct NasPage {
    shell: Shell,
    id: NasId,
    form: NasForm,
}

impl NasPage {
    async fn new(by: &Operator, id: NasId) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let nas = setup::nas(&mut tx, by.tenant(), id).await?.ok_or(Error::NotFound)?;
        Ok(Self { shell: by.shell(&mut tx, NAV).await?, id, form: NasForm::of(&nas) })
    }
}

pub async fn show(by: Operator, id: web::Path<NasId>) -> Answer {
    ok(&NasPage::new(&by, *id).await?)
}

pub async fn save(by: Operator, id: web::Path<NasId>, form: Form<NasForm>) -> Answer {
    let mut form = form.0;
    let page = NasPage::new(&by, *id).await?;
    let Some(new) = form.parse() else { return invalid(&NasPage { form, ..page }) };
    let mut change = by.change().await?;
    match setup::edit_nas(&mut change, &by.state().vault, *id, &new).await {
        Ok(()) => {
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} is saved", name(&new))))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            form.reject(&refusal);
            invalid(&NasPage { form, ..page })
        }
    }
}

pub async fn remove(by: Operator, id: web::Path<NasId>) -> Answer {
    let mut change = by.change().await?;
    match setup::remove_nas(&mut change, *id).await {
        Ok(()) => {
            change.commit().await?;
            Ok(flash::done(LIST, "The NAS is removed"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(_) => Err(Error::NotFound),
    }
}
