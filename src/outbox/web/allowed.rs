//! Whom systems may be at all, for administrators of the installation.

use askama::Template;
use serde::Deserialize;

use super::systems::NAV;
use crate::auth::Operator;
use crate::outbox::System;
use crate::outbox::setup;
use crate::outside::guard::Allowance;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok};

/// This page.
const HERE: &str = "/settings/outside/allowed";

/// What is typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AllowForm {
    system: Field,
    target: Field,
}

impl AllowForm {
    fn parse(&mut self) -> Option<(System, Allowance)> {
        let system = self.system.parse::<System>();
        let target = self.target.parse::<Allowance>();
        Some((system?, target?))
    }
}

#[derive(Template)]
#[template(path = "outbox/allowed.html")]
struct AllowedPage {
    shell: Shell,
    list: Vec<(System, Allowance)>,
    form: AllowForm,
}

impl AllowedPage {
    async fn new(by: &Operator, form: AllowForm) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        Ok(Self {
            shell: by.shell(&mut tx, NAV).await?,
            list: setup::allowances(&mut tx).await?,
            form,
        })
    }
}

pub async fn index(by: Operator) -> Answer {
    ok(&AllowedPage::new(&by, AllowForm::default()).await?)
}

pub async fn allow(by: Operator, form: Form<AllowForm>) -> Answer {
    let mut form = form.0;
    let Some((system, target)) = form.parse() else {
        return invalid(&AllowedPage::new(&by, form).await?);
    };
    let mut change = by.change().await?;
    setup::allow(&mut change, system, &target).await?;
    let changed = change.commit_if_any().await?;
    Ok(flash::done_if(changed, HERE, &format!("{} may be at {target}", system.title())))
}

pub async fn disallow(by: Operator, form: Form<AllowForm>) -> Answer {
    let mut form = form.0;
    let Some((system, target)) = form.parse() else {
        return invalid(&AllowedPage::new(&by, form).await?);
    };
    let mut change = by.change().await?;
    setup::disallow(&mut change, system, &target).await?;
    let changed = change.commit_if_any().await?;
    Ok(flash::done_if(changed, HERE, &format!("{} may no longer be at {target}", system.title())))
}
