//! Telling phones: what is outdated, whom to tell, and how far it is.

use std::collections::HashSet;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Kind, New, Pause, Telling, Told, WaveSize};
use super::{Compared, Outdated, Refusal, compare, outdated};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::NotificationId;
use crate::net::Mac;
use crate::web::form::{Field, Form, Tick};
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, flash, ok, respond, see_other};

/// The page's address.
const HOME: &str = "/phones/notify";
/// Outdated phones listed one by one.
const LISTED: usize = 200;
/// How long a page may take to compare files.
const GLANCE: Duration = Duration::from_millis(500);
/// Bytes a form may have: every MAC of 10,000 phones.
const FORM: usize = 512 << 10;

/// Every page about telling phones.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::EditPhones),
        Access::Page(Right::ManagePhones),
    );
    vec![
        Route::get("/phones/notify", read, index),
        Route::get("/phones/notify/compared", read, compared),
        Route::post("/phones/notify", manage, create).limit(FORM),
        Route::get("/phones/notify/{notification}", read, show),
        Route::get("/phones/notify/{notification}/progress", read, progress),
        Route::post("/phones/notify/{notification}/stop", manage, stop),
        Route::post("/phones/{mac}/notify", edit, one),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IndexQuery {
    size: String,
    page: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NotifyForm {
    /// Those chosen one by one.
    mac: Vec<String>,
    /// All whose file is another now.
    outdated: Tick,
    kind: Field,
    wave_size: Field,
    pause: Field,
    /// The newest change there was when the page was first shown.
    upto: String,
}

impl NotifyForm {
    fn usual() -> Self {
        Self {
            kind: Field::holding(&Kind::Resync),
            wave_size: Field::holding(&WaveSize::default()),
            pause: Field::holding(&Pause::default()),
            ..Self::default()
        }
    }
}

#[derive(Template)]
#[template(path = "phones/notify/index.html", blocks = ["comparing"])]
struct IndexPage {
    shell: Shell,
    form: NotifyForm,
    chosen: HashSet<String>,
    outdated: Vec<Outdated>,
    total: usize,
    unreachable: usize,
    compared: Compared,
    /// Whether somebody waited for the comparison on this page.
    waited: bool,
    runs: Vec<Telling>,
    pager: Pager,
    may_manage: bool,
    error: Option<String>,
}

impl IndexPage {
    async fn new(
        by: &Operator,
        form: NotifyForm,
        query: &IndexQuery,
        error: Option<String>,
    ) -> Result<Self, Error> {
        let upto = form.upto.parse().ok();
        let compared = compare(by.state(), by.tenant(), upto, GLANCE).await?;
        let mut outdated = outdated(by.state(), by.tenant()).await?;
        let total = outdated.len();
        let unreachable = outdated.iter().filter(|phone| !phone.reachable).count();
        outdated.truncate(LISTED);
        let mut tx = by.read().await?;
        let at = list::stretch(&query.page, list::size(&query.size));
        let (runs, count) = super::list(&mut tx, by.tenant(), at).await?;
        Ok(Self {
            shell: by.shell(&mut tx, "/phones").await?,
            chosen: form.mac.iter().cloned().collect(),
            form,
            outdated,
            total,
            unreachable,
            compared,
            waited: false,
            runs,
            pager: Pager::new(HOME, Vec::new(), at, count),
            may_manage: by.may(Right::ManagePhones),
            error,
        })
    }
}

async fn index(by: Operator, query: web::Query<IndexQuery>) -> Answer {
    ok(&IndexPage::new(&by, NotifyForm::usual(), &query, None).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ComparedQuery {
    upto: String,
}

/// The notice about the comparison, for whoever waits for it: what is typed on the page stays.
async fn compared(by: Operator, query: web::Query<ComparedQuery>) -> Answer {
    let form = NotifyForm { upto: query.0.upto, ..NotifyForm::usual() };
    let mut page = IndexPage::new(&by, form, &IndexQuery::default(), None).await?;
    page.waited = true;
    ok(&page.as_comparing())
}

async fn create(by: Operator, form: Form<NotifyForm>) -> Answer {
    let mut form = form.0;
    let kind = form.kind.parse::<Kind>();
    let (wave_size, pause) = (form.wave_size.parse::<WaveSize>(), form.pause.parse::<Pause>());
    let macs: Result<Vec<Mac>, _> = form.mac.iter().map(|mac| mac.parse::<Mac>()).collect();
    let macs = macs.map_err(|_| Error::BadRequest("choose phones from the list"))?;
    let (Some(kind), Some(wave_size), Some(pause)) = (kind, wave_size, pause) else {
        return refuse(&by, form, None).await;
    };
    let upto = form.upto.parse().ok();
    if form.outdated.0 && compare(by.state(), by.tenant(), upto, GLANCE).await?.left > 0 {
        let wait = "not all files are compared yet; wait until they are, or choose phones";
        return refuse(&by, form, Some(wait.to_owned())).await;
    }
    let all = outdated(by.state(), by.tenant()).await?;
    let revision = |mac: &Mac| {
        let known = all.iter().find(|phone| phone.mac == *mac);
        known.map(|phone| phone.revision.clone()).unwrap_or_default()
    };
    let phones = if form.outdated.0 {
        all.iter().map(|phone| (phone.mac, phone.revision.clone())).collect()
    } else {
        macs.iter().map(|mac| (*mac, revision(mac))).collect()
    };
    let reason = if form.outdated.0 { "their files are others now" } else { "" };
    let new = New { kind, reason: reason.to_owned(), phones, wave_size, pause };
    let mut change = by.change().await?;
    match super::begin(&mut change, &by.state().vault, &new).await {
        Ok(id) => {
            change.commit().await?;
            Ok(see_other(&format!("{HOME}/{id}")))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing(_)) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            refuse(&by, form, Some(refusal.to_string())).await
        }
    }
}

async fn refuse(by: &Operator, form: NotifyForm, error: Option<String>) -> Answer {
    let page = IndexPage::new(by, form, &IndexQuery::default(), error).await?;
    respond(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

#[derive(Deserialize)]
struct OneForm {
    kind: String,
}

/// One phone, from its own page.
async fn one(by: Operator, mac: web::Path<String>, form: Form<OneForm>) -> Answer {
    let mac: Mac = mac.parse().map_err(|_| Error::NotFound)?;
    let kind: Kind = form
        .0
        .kind
        .parse()
        .map_err(|_| Error::BadRequest("choose whether it fetches or restarts"))?;
    let new = New {
        kind,
        reason: String::new(),
        phones: vec![(mac, super::revision(by.state(), by.tenant(), mac).await?)],
        wave_size: WaveSize::default(),
        pause: Pause::default(),
    };
    let mut change = by.change().await?;
    match super::begin(&mut change, &by.state().vault, &new).await {
        Ok(id) => {
            change.commit().await?;
            Ok(see_other(&format!("{HOME}/{id}")))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(_) => Err(Error::NotFound),
    }
}

#[derive(Template)]
#[template(path = "phones/notify/show.html", blocks = ["progress"])]
struct ShowPage {
    shell: Shell,
    run: Telling,
    phones: Vec<Told>,
    pager: Pager,
    may_manage: bool,
}

impl ShowPage {
    async fn new(by: &Operator, id: NotificationId, query: &IndexQuery) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let run = super::get(&mut tx, by.tenant(), id).await?.ok_or(Error::NotFound)?;
        let at = list::stretch(&query.page, list::size(&query.size));
        let phones = super::phones(&mut tx, by.tenant(), id, at).await?;
        Ok(Self {
            shell: by.shell(&mut tx, "/phones").await?,
            pager: Pager::new("", Vec::new(), at, run.phones),
            may_manage: by.may(Right::ManagePhones),
            run,
            phones,
        })
    }
}

async fn show(
    by: Operator,
    id: web::Path<NotificationId>,
    query: web::Query<IndexQuery>,
) -> Answer {
    ok(&ShowPage::new(&by, *id, &query).await?)
}

/// The part that changes while it goes on.
async fn progress(
    by: Operator,
    id: web::Path<NotificationId>,
    query: web::Query<IndexQuery>,
) -> Answer {
    ok(&ShowPage::new(&by, *id, &query).await?.as_progress())
}

async fn stop(by: Operator, id: web::Path<NotificationId>) -> Answer {
    let mut change = by.change().await?;
    super::get(change.tx(), by.tenant(), *id).await?.ok_or(Error::NotFound)?;
    super::stop(&mut change, *id).await?;
    let changed = change.commit_if_any().await?;
    let said = "No more phones are told; those told already are not called back";
    Ok(flash::done_if(changed, &format!("{HOME}/{id}"), said))
}
