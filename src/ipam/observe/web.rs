//! The pages of what is seen: sweeps, a subnet's panel, the name of an address, leases.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::leases::{self, FILE_LIMIT, Summary};
use super::names::{self, Named};
use super::types::{KeepDays, Minutes, PerSecond, Settings, Sweep, SweepState};
use super::{Refusal, queries, sweep};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::{SubnetId, SweepId};
use crate::ipam::addresses::{self, Claim, Edit, Hostname, Record};
use crate::ipam::space::Space;
use crate::ipam::subnets::{self, Subnet};
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::probe::icmp::Pinger;
use crate::time::Timestamp;
use crate::web::form::{Field, Form};
use crate::web::sheet::{Source, Spool, Upload};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond, see_other};

/// Bytes of leases that may be pasted.
const PASTE_LIMIT: usize = 8 << 20;
/// Where these pages are in the sidebar.
const NAV: &str = "/ipam/subnets";

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
        Route::get("/ipam/observe/leases", manage, leases_page),
        Route::post("/ipam/observe/leases", manage, import).limit(PASTE_LIMIT).uploads(FILE_LIMIT),
        Route::get("/ipam/observe/{address}", read, show),
        Route::post("/ipam/observe/{address}/name", reserve, name),
        Route::post("/ipam/observe/{address}/hostname", reserve, take_name),
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

/// The panel alone, for other pages to put in.
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

// One address

#[derive(Template)]
#[template(path = "ipam/observe/address.html", blocks = ["answer"])]
struct AddressPage {
    shell: Shell,
    address: Address,
    record: Option<Record>,
    claims: Vec<Claim>,
    subnet: Option<Subnet>,
    named: Option<Named>,
    error: Option<String>,
    may_ask: bool,
}

impl AddressPage {
    async fn new(by: &Operator, address: Address) -> Result<Self, Error> {
        let (mut tx, tenant) = (by.read().await?, by.tenant());
        Ok(Self {
            shell: by.shell(&mut tx, "/ipam/addresses").await?,
            address,
            record: addresses::get(&mut tx, tenant, address).await?,
            claims: addresses::claims_on(&mut tx, tenant, address).await?,
            subnet: subnets::around(&mut tx, tenant, address).await?,
            named: None,
            error: None,
            may_ask: by.may(Right::ReserveAddresses),
        })
    }

    /// The name found, if it is not what is written.
    fn offer(&self) -> Option<(&Hostname, i64)> {
        match (&self.named, &self.record) {
            (Some(Named::Called(name)), Some(record)) if name.key() != record.hostname.key() => {
                Some((name, record.version))
            }
            _ => None,
        }
    }
}

/// An address in a path; what is none is not there.
fn address_of(path: &str) -> Result<Address, Error> {
    path.parse().map_err(|_| Error::NotFound)
}

async fn show(by: Operator, path: web::Path<String>) -> Answer {
    ok(&AddressPage::new(&by, address_of(&path)?).await?)
}

async fn look_up(by: &Operator, tx: Tx, address: Address) -> Result<Named, Error> {
    let mut tx = tx;
    let servers = names::servers(&mut tx, by.tenant(), address).await?;
    // Whoever waits for an answer keeps no snapshot of the database open.
    drop(tx);
    Ok(super::name_of(by.state().vault.entropy(), address, &servers).await)
}

async fn name(request: HttpRequest, by: Operator, path: web::Path<String>) -> Answer {
    let address = address_of(&path)?;
    let tx = by.read().await?;
    let named = look_up(&by, tx, address).await?;
    let page = AddressPage { named: Some(named), ..AddressPage::new(&by, address).await? };
    if request.headers().contains_key("hx-request") { ok(&page.as_answer()) } else { ok(&page) }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NameForm {
    hostname: Field,
    version: i64,
}

async fn take_name(by: Operator, path: web::Path<String>, form: Form<NameForm>) -> Answer {
    let address = address_of(&path)?;
    let mut form = form.0;
    let Some(hostname) = form.hostname.parse::<Hostname>() else {
        let error = form.hostname.error;
        return invalid(&AddressPage { error, ..AddressPage::new(&by, address).await? });
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let edit = Edit { hostname: Some(hostname), ..Edit::default() };
    let edited =
        addresses::edit(&mut space, address, Some(form.version), &edit, &reserver(&by)).await;
    match edited {
        Ok(_) => {
            space.close().await?;
            let changed = change.commit_if_any().await?;
            let path = format!("/ipam/observe/{address}");
            Ok(flash::done_if(changed, &path, "Saved as its host name"))
        }
        Err(addresses::Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(space);
            drop(change);
            let status = match refusal {
                addresses::Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
                addresses::Refusal::NotYours { .. } => StatusCode::CONFLICT,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let error = Some(refusal.to_string());
            respond(status, &AddressPage { error, ..AddressPage::new(&by, address).await? })
        }
    }
}

// Leases

#[derive(Template)]
#[template(path = "ipam/observe/leases.html")]
struct LeasesPage {
    shell: Shell,
    summary: Option<Summary>,
    done: bool,
    text: String,
    kept: String,
    error: Option<String>,
}

impl LeasesPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let shell = by.shell(&mut by.read().await?, NAV).await?;
        let (text, kept) = (String::new(), String::new());
        Ok(Self { shell, summary: None, done: false, text, kept, error: None })
    }

    fn awaits(&self) -> bool {
        !self.done && self.summary.as_ref().is_some_and(|summary| summary.leases > 0)
    }
}

async fn leases_page(by: Operator) -> Answer {
    ok(&LeasesPage::new(&by).await?)
}

/// `lease` or `leases`.
pub fn leases_word(count: &usize) -> &'static str {
    if *count == 1 { "lease" } else { "leases" }
}

/// The content of what was sent.
async fn content(source: &Source) -> Result<Vec<u8>, Error> {
    match source {
        Source::Text(text) => Ok(text.clone().into_bytes()),
        Source::File(file) => Ok(tokio::fs::read(file.path()).await?),
    }
}

async fn import(by: Operator, mut upload: Upload) -> Answer {
    let spool = Spool::of(by.state());
    let mut page = LeasesPage::new(&by).await?;
    let Some(source) = upload.source(&spool, by.id())? else {
        page.error = Some(
            "the file is no longer here: a checked file is kept for one hour, and used once; choose it again"
                .to_owned(),
        );
        return invalid(&page);
    };
    let content = content(&source).await?;
    let mut change = by.change().await?;
    match leases::import(&mut change, by.state().vault.entropy(), &content).await {
        Ok(summary) if upload.is_confirmed() && summary.leases > 0 => {
            change.commit().await?;
            (page.summary, page.done) = (Some(summary), true);
        }
        Ok(summary) => {
            drop(change);
            page.summary = Some(summary);
            match source {
                Source::Text(text) => page.text = text,
                Source::File(file) if page.awaits() => page.kept = spool.keep(file, by.id())?,
                Source::File(_) => {}
            }
        }
        Err(leases::Refusal::Fault(error)) => return Err(error),
        Err(refusal) => {
            drop(change);
            page.error = Some(refusal.to_string());
            if let Source::Text(text) = source {
                page.text = text;
            }
            return invalid(&page);
        }
    }
    ok(&page)
}
