//! The list of calls, and one subject's.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use crate::auth::{Operator, Right};
use crate::id::CallId;
use crate::outbox::{self, Call, CallState, Filter, Refusal, Subject, System};
use crate::web::form::{Field, Form};
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, flash, fragment, ok, respond};

/// What the list's URL says.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    q: String,
    system: String,
    state: String,
    page: String,
    size: String,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        Filter {
            system: self.system.parse().ok(),
            state: self.state.parse().ok(),
            search: self.q.trim().to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "outbox/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    calls: Vec<Call>,
    pager: Pager,
    open: i64,
    dead: i64,
    on: Vec<System>,
    may_manage: bool,
    may_administer: bool,
    error: Option<String>,
    /// The reason typed for a call that could not be given up.
    reason: Field,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let (mut tx, tenant) = (by.read().await?, by.tenant());
        let at = list::stretch(&query.page, list::size(&query.size));
        let (calls, total) = outbox::list(&mut tx, tenant, &query.filter(), at).await?;
        let (open, dead) = outbox::totals(&mut tx, tenant).await?;
        let mut on = Vec::new();
        for system in System::ALL {
            if outbox::is_on(&mut tx, tenant, system).await? {
                on.push(system);
            }
        }
        let parameters = vec![
            ("q", query.q.clone()),
            ("system", query.system.clone()),
            ("state", query.state.clone()),
        ];
        Ok(Self {
            shell: by.shell(&mut tx, "/outbox").await?,
            pager: Pager::new("/outbox", parameters, at, total),
            query,
            calls,
            open,
            dead,
            on,
            may_manage: by.may(Right::ManageAddresses),
            may_administer: by.may(Right::Administer),
            error: None,
            reason: Field::default(),
        })
    }

    /// Whether something may change by itself soon.
    fn is_moving(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.state, CallState::Waiting | CallState::Sending))
    }
}

pub async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    ok(&IndexPage::new(&by, query.into_inner()).await?)
}

pub async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}

#[derive(Template)]
#[template(path = "outbox/of.html")]
struct OfPart {
    shell: Shell,
    /// Where it is fetched again.
    path: String,
    calls: Vec<Call>,
}

impl OfPart {
    fn is_moving(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.state, CallState::Waiting | CallState::Sending))
    }
}

/// How one subject's calls stand: part of a page, for whichever page the subject is on.
pub async fn of(by: Operator, path: web::Path<(String, String)>) -> Answer {
    let (kind, id) = path.into_inner();
    let plain = |text: &str| {
        text.len() <= 60
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte))
    };
    if !plain(&kind) || !plain(&id) {
        return Err(Error::NotFound);
    }
    let mut tx = by.read().await?;
    let calls = outbox::of(&mut tx, by.tenant(), &Subject::new(&kind, &id)).await?;
    ok(&OfPart {
        shell: by.shell(&mut tx, "").await?,
        path: format!("/outbox/of/{kind}/{id}"),
        calls,
    })
}

/// Where a button on the list leads back to, and what was typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct CallForm {
    reason: Field,
    list: String,
    system: String,
}

impl CallForm {
    /// The list as it was, never another site.
    fn list(&self) -> &str {
        if self.list == "/outbox" || self.list.starts_with("/outbox?") {
            &self.list
        } else {
            "/outbox"
        }
    }
}

pub async fn retry(by: Operator, id: web::Path<CallId>, form: Form<CallForm>) -> Answer {
    let mut change = by.change().await?;
    match outbox::retry(&mut change, by.state().vault.entropy(), *id).await {
        Ok(call) => {
            change.commit().await?;
            Ok(flash::done(form.0.list(), format!("“{}” is tried again", call.label)))
        }
        Err(refusal) => {
            drop(change);
            refuse(&by, form.0, refusal).await
        }
    }
}

pub async fn retry_all(by: Operator, form: Form<CallForm>) -> Answer {
    let system: System =
        form.0.system.parse().map_err(|_| Error::BadRequest("use radius, dhcp or netbox"))?;
    let mut change = by.change().await?;
    let count = outbox::retry_all(&mut change, system).await?;
    change.commit_if_any().await?;
    Ok(flash::done_if(
        count > 0,
        form.0.list(),
        &format!("{count} calls to {} are tried again", system.title()),
    ))
}

pub async fn give_up(by: Operator, id: web::Path<CallId>, form: Form<CallForm>) -> Answer {
    let mut change = by.change().await?;
    match outbox::give_up(&mut change, *id, &form.0.reason.value).await {
        Ok(call) => {
            change.commit().await?;
            Ok(flash::done(form.0.list(), format!("“{}” is given up", call.label)))
        }
        Err(refusal) => {
            drop(change);
            refuse(&by, form.0, refusal).await
        }
    }
}

async fn refuse(by: &Operator, form: CallForm, refusal: Refusal) -> Answer {
    let status = match refusal {
        Refusal::Fault(error) => return Err(error),
        Refusal::Missing => return Err(Error::NotFound),
        Refusal::Over(_) | Refusal::Overtaken => StatusCode::CONFLICT,
        Refusal::Reason => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let query = form.list().split_once('?').map(|(_, query)| query).unwrap_or_default();
    let query = serde_html_form::from_str(query).unwrap_or_default();
    let page = IndexPage::new(by, query).await?;
    respond(status, &IndexPage { error: Some(refusal.to_string()), reason: form.reason, ..page })
}
