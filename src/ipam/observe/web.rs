//! The pages of what is seen: sweeps, a subnet's panel, the name of an address, leases.

mod address;
pub mod leases;

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::leases::FILE_LIMIT;
use super::types::{KeepDays, Minutes, PerSecond, Settings, Sweep, SweepState};
use super::{Refusal, queries, sweep};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::{SubnetId, SweepId};
use crate::ipam::subnets::{self, Subnet};
use crate::probe::icmp::Pinger;
use crate::time::Timestamp;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond, see_other};

/// Bytes of leases that may be pasted.
const PASTE_LIMIT: usize = 8 << 20;
/// Where these pages are in the sidebar.
const NAV: &str = "/ipam/observe";

/// Every page of observation.
pub fn routes() -> Vec<Route> {
    let (read, reserve, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::ReserveAddresses),
        Access::Page(Right::ManageAddresses),
    );
    vec![
        Route::get("/ipam/observe", read, index),
        Route::get("/ipam/observe/sweeps", read, sweeps),
        Route::post("/ipam/observe/sweeps/{sweep}/stop", manage, stop),
        Route::get("/ipam/observe/subnets/{id}", read, subnet),
        Route::post("/ipam/observe/subnets/{id}", manage, configure),
        Route::get("/ipam/observe/subnets/{id}/panel", read, panel),
        Route::get("/ipam/observe/subnets/{id}/progress", read, progress),
        Route::post("/ipam/observe/subnets/{id}/sweeps", manage, start),
        Route::get("/ipam/observe/leases", manage, leases::page),
        Route::post("/ipam/observe/leases", manage, leases::import)
            .limit(PASTE_LIMIT)
            .uploads(FILE_LIMIT),
        Route::get("/ipam/observe/{address}", read, address::show),
        Route::post("/ipam/observe/{address}/name", reserve, address::name),
        Route::post("/ipam/observe/{address}/hostname", reserve, address::take_name),
    ]
}

/// Why this machine sends no pings; nothing when it can.
fn unable() -> Option<String> {
    Pinger::new(0).err().map(|error| error.to_string())
}

// All sweeps

#[derive(Template)]
#[template(path = "ipam/observe/index.html", blocks = ["sweeps"])]
struct IndexPage {
    shell: Shell,
    now: Timestamp,
    sweeps: Vec<Sweep>,
    regular: Vec<(SubnetId, String, i64, Option<Timestamp>)>,
    unable: Option<String>,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let newest = Page { offset: 0, limit: 50 };
        Ok(Self {
            shell: by.shell(&mut tx, NAV).await?,
            now: by.state().clock.now(),
            sweeps: queries::list(&mut tx, by.tenant(), None, newest).await?,
            regular: queries::regular(&mut tx, by.tenant()).await?,
            unable: None,
            may_manage: by.may(Right::ManageAddresses),
        })
    }

    fn is_moving(&self) -> bool {
        self.sweeps.iter().any(|sweep| sweep.state.is_under_way())
    }
}

async fn index(by: Operator) -> Answer {
    let page = IndexPage::new(&by).await?;
    ok(&IndexPage { unable: unable(), ..page })
}

async fn sweeps(by: Operator) -> Answer {
    ok(&IndexPage::new(&by).await?.as_sweeps())
}

// One subnet

#[derive(Default, Deserialize)]
#[serde(default)]
struct SettingsForm {
    minutes: Field,
    pace: Field,
    keep_days: Field,
}

impl SettingsForm {
    fn of(settings: &Settings) -> Self {
        let minutes = settings.minutes.map(|minutes| minutes.to_string()).unwrap_or_default();
        Self {
            minutes: Field::holding(&minutes),
            pace: Field::holding(&settings.pace),
            keep_days: Field::holding(&settings.keep_days),
        }
    }

    fn parse(&mut self) -> Option<Settings> {
        let minutes = self.minutes.parse_optional::<Minutes>();
        let pace = self.pace.parse::<PerSecond>();
        let keep_days = self.keep_days.parse::<KeepDays>();
        let minutes = minutes?.map(|minutes| minutes.0);
        Some(Settings { minutes, pace: pace?.0, keep_days: keep_days?.0 })
    }
}

#[derive(Template)]
#[template(path = "ipam/observe/subnet.html", blocks = ["panel", "progress"])]
struct SubnetPage {
    shell: Shell,
    now: Timestamp,
    subnet: Subnet,
    sweeps: Vec<Sweep>,
    form: SettingsForm,
    next: Option<Timestamp>,
    error: Option<String>,
    unable: Option<String>,
    may_manage: bool,
}

impl SubnetPage {
    async fn new(by: &Operator, id: SubnetId) -> Result<Self, Error> {
        let (mut tx, tenant) = (by.read().await?, by.tenant());
        let subnet = subnets::get(&mut tx, tenant, id).await?.ok_or(Error::NotFound)?;
        let settings = sweep::settings(&mut tx, tenant, id).await?;
        let newest = Page { offset: 0, limit: 5 };
        let regular = queries::regular(&mut tx, tenant).await?;
        let next = regular.into_iter().find(|(subnet, ..)| *subnet == id);
        Ok(Self {
            shell: by.shell(&mut tx, NAV).await?,
            now: by.state().clock.now(),
            sweeps: queries::list(&mut tx, tenant, Some(id), newest).await?,
            form: SettingsForm::of(&settings),
            next: next.and_then(|(.., next)| next),
            error: None,
            unable: None,
            may_manage: by.may(Right::ManageAddresses),
            subnet,
        })
    }

    /// The newest sweep, if it is not over.
    fn moving(&self) -> Option<&Sweep> {
        self.sweeps.first().filter(|sweep| sweep.state.is_under_way())
    }
}

async fn subnet(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let page = SubnetPage::new(&by, *id).await?;
    ok(&SubnetPage { unable: unable(), ..page })
}

/// The panel alone, for the page of the subnet.
async fn panel(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let page = SubnetPage { unable: unable(), ..SubnetPage::new(&by, *id).await? };
    ok(&page.as_panel())
}

async fn progress(by: Operator, id: web::Path<SubnetId>) -> Answer {
    ok(&SubnetPage::new(&by, *id).await?.as_progress())
}

fn here(id: &SubnetId) -> String {
    format!("/ipam/observe/subnets/{id}")
}

async fn start(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut change = by.change().await?;
    match super::start(&mut change, by.state().vault.entropy(), *id).await {
        Ok(_) => {
            change.commit().await?;
            Ok(see_other(&here(&id)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing(_)) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            let status = match refusal {
                Refusal::UnderWay(_) | Refusal::Over => StatusCode::CONFLICT,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            refuse(&by, *id, status, &refusal).await
        }
    }
}

async fn refuse(by: &Operator, id: SubnetId, status: StatusCode, refusal: &Refusal) -> Answer {
    let page = SubnetPage::new(by, id).await?;
    respond(status, &SubnetPage { error: Some(refusal.to_string()), unable: unable(), ..page })
}

async fn configure(by: Operator, id: web::Path<SubnetId>, form: Form<SettingsForm>) -> Answer {
    let mut form = form.0;
    let Some(settings) = form.parse() else {
        let page = SubnetPage::new(&by, *id).await?;
        return invalid(&SubnetPage { form, ..page });
    };
    let mut change = by.change().await?;
    match sweep::schedule(&mut change, *id, &settings).await {
        Ok(()) => {
            let changed = change.commit_if_any().await?;
            Ok(flash::done_if(changed, &here(&id), "Saved"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing(_)) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            form.minutes.reject(&refusal);
            let page = SubnetPage::new(&by, *id).await?;
            invalid(&SubnetPage { form, ..page })
        }
    }
}

async fn stop(by: Operator, id: web::Path<SweepId>) -> Answer {
    let mut change = by.change().await?;
    match super::stop(&mut change, *id).await {
        Ok(sweep) => {
            change.commit().await?;
            Ok(see_other(&here(&sweep.subnet)))
        }
        Err(Refusal::Over) => {
            drop(change);
            let sweep = super::get(&mut by.read().await?, by.tenant(), *id).await?;
            let sweep = sweep.ok_or(Error::NotFound)?;
            Ok(flash::done(&here(&sweep.subnet), "The sweep was over already"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(_) => Err(Error::NotFound),
    }
}
