//! The pages of prefix pools.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{Hold, NewPool, PoolName, PrefixLength, PrefixPool, Refusal};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::PrefixPoolId;
use crate::ipam::space::Space;
use crate::net::{Address, Cidr};
use crate::web::form::{Field, Form, Tick};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

const LIST: &str = "/ipam/prefixes";
/// Prefixes held back that a page shows.
const SHOWN: i64 = 500;

/// Every page of prefix pools.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    vec![
        Route::get("/ipam/prefixes", read, index),
        Route::post("/ipam/prefixes", manage, create),
        Route::get("/ipam/prefixes/{id}", read, show),
        Route::post("/ipam/prefixes/{id}/deletion", manage, delete),
        Route::post("/ipam/prefixes/{id}/release", manage, release),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolForm {
    name: Field,
    cidr: Field,
    delegated: Field,
}

impl PoolForm {
    fn parse(&mut self) -> Option<NewPool> {
        let (name, cidr) = (self.name.parse::<PoolName>(), self.cidr.parse::<Cidr>());
        let delegated = self.delegated.parse_optional::<PrefixLength>();
        let delegated = delegated.map(|length| length.unwrap_or(PrefixLength::USUAL));
        Some(NewPool { name: name?, cidr: cidr?, delegated: delegated? })
    }

    fn reject(&mut self, refusal: &Refusal) {
        match refusal.field() {
            Some("name") => self.name.reject(refusal),
            Some("delegated") => self.delegated.reject(refusal),
            _ => self.cidr.reject(refusal),
        }
    }
}

#[derive(Template)]
#[template(path = "ipam/prefixes/index.html")]
struct IndexPage {
    shell: Shell,
    pools: Vec<PrefixPool>,
    form: PoolForm,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, form: PoolForm) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        Ok(Self {
            pools: super::list(&mut tx, by.tenant()).await?,
            shell: by.shell(&mut tx, LIST).await?,
            may_manage: by.may(Right::ManageAddresses),
            form,
        })
    }
}

/// How full a pool is, for people.
fn used(pool: &PrefixPool) -> String {
    let percent = pool.used_percent();
    if percent > 0.0 && percent < 0.1 {
        "less than 0.1 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

async fn index(by: Operator) -> Answer {
    let form = PoolForm { delegated: Field::holding(&PrefixLength::USUAL), ..PoolForm::default() };
    ok(&IndexPage::new(&by, form).await?)
}

async fn create(by: Operator, form: Form<PoolForm>) -> Answer {
    let mut form = form.0;
    let Some(new) = form.parse() else { return invalid(&IndexPage::new(&by, form).await?) };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    match super::create(&mut space, &new).await {
        Ok(pool) => {
            space.close().await?;
            change.commit().await?;
            Ok(flash::done(&format!("{LIST}/{}", pool.id), format!("{} added", pool.name)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(space);
            drop(change);
            form.reject(&refusal);
            invalid(&IndexPage::new(&by, form).await?)
        }
    }
}

#[derive(Template)]
#[template(path = "ipam/prefixes/show.html")]
struct ShowPage {
    shell: Shell,
    pool: PrefixPool,
    holds: Vec<Hold>,
    may_manage: bool,
    /// Whether to ask before it is deleted.
    asking: bool,
    error: Option<String>,
}

impl ShowPage {
    async fn new(by: &Operator, id: PrefixPoolId) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let pool = super::get(&mut tx, by.tenant(), id).await?.ok_or(Error::NotFound)?;
        Ok(Self {
            holds: super::holds(&mut tx, id, SHOWN).await?,
            shell: by.shell(&mut tx, LIST).await?,
            may_manage: by.may(Right::ManageAddresses),
            asking: false,
            error: None,
            pool,
        })
    }
}

async fn show(by: Operator, id: web::Path<PrefixPoolId>) -> Answer {
    ok(&ShowPage::new(&by, *id).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeletionForm {
    confirmed: Tick,
}

async fn delete(by: Operator, id: web::Path<PrefixPoolId>, form: Form<DeletionForm>) -> Answer {
    let page = ShowPage::new(&by, *id).await?;
    if !form.0.confirmed.0 {
        return ok(&ShowPage { asking: true, ..page });
    }
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    match super::delete(&mut space, *id).await {
        Ok(pool) => {
            space.close().await?;
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} deleted", pool.name)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing(_)) => Err(Error::NotFound),
        Err(refusal) => {
            let page = ShowPage { error: Some(refusal.to_string()), ..page };
            respond(StatusCode::CONFLICT, &page)
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReleaseForm {
    prefix: String,
}

async fn release(by: Operator, id: web::Path<PrefixPoolId>, form: Form<ReleaseForm>) -> Answer {
    // A pool of another tenant is none.
    ShowPage::new(&by, *id).await?;
    let network: Address = form.0.prefix.parse().map_err(|_| Error::NotFound)?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    match super::release(&mut space, *id, network).await {
        Ok(cidr) => {
            space.close().await?;
            change.commit().await?;
            Ok(flash::done(&format!("{LIST}/{id}"), format!("{cidr} is free again")))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(_) => Err(Error::NotFound),
    }
}
