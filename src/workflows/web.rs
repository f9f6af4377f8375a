//! Pages about workflows.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Filter, Kind, Run, Status, Step, StepStatus};
use super::{Outcome, Refusal, may_begin};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::WorkflowId;
use crate::ipam::web::ago;
use crate::time::Timestamp;
use crate::users;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, flash, fragment, ok, respond};

mod form;
mod said;

/// The list's address.
const LIST: &str = "/lifecycle/workflows";
/// The sidebar's item.
const AT: &str = "/lifecycle";

/// Every page about workflows.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageUsers));
    vec![
        Route::get("/lifecycle/workflows", read, index),
        Route::get("/lifecycle/workflows/table", read, table),
        Route::get("/lifecycle/workflows/new", manage, form::new),
        Route::post("/lifecycle/workflows", manage, form::create),
        Route::get("/lifecycle/workflows/{workflow}", read, show),
        Route::get("/lifecycle/workflows/{workflow}/progress", read, progress),
        Route::post("/lifecycle/workflows/{workflow}/retry", manage, retry),
        Route::post("/lifecycle/workflows/{workflow}/cancel", manage, cancel),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    status: String,
    kind: String,
    size: String,
    page: String,
}

#[derive(Template)]
#[template(path = "workflows/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    filter: Filter,
    runs: Vec<Run>,
    pager: Pager,
    may_manage: bool,
    now: Timestamp,
}

impl IndexPage {
    async fn new(by: &Operator, query: &ListQuery) -> Result<Self, Error> {
        let filter = Filter { status: query.status.parse().ok(), kind: query.kind.parse().ok() };
        let at = list::stretch(&query.page, list::size(&query.size));
        let mut tx = by.read().await?;
        let (runs, total) = super::list(&mut tx, by.tenant(), filter, at).await?;
        let kept = vec![
            ("status", filter.status.map_or("", Status::as_str).to_owned()),
            ("kind", filter.kind.map_or("", Kind::as_str).to_owned()),
        ];
        Ok(Self {
            shell: by.shell(&mut tx, AT).await?,
            pager: Pager::new(LIST, kept, at, total),
            may_manage: may_begin(by),
            now: by.state().clock.now(),
            filter,
            runs,
        })
    }

    fn ago(&self, at: &Timestamp) -> String {
        ago(self.now, *at)
    }

    fn is_kind(&self, kind: &Kind) -> bool {
        self.filter.kind == Some(*kind)
    }

    fn is_status(&self, status: &Status) -> bool {
        self.filter.status == Some(*status)
    }

    fn is_moving(&self) -> bool {
        self.runs.iter().any(|run| run.status.is_under_way())
    }
}

async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    ok(&IndexPage::new(&by, &query).await?)
}

async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, &query).await?;
    fragment(&page.as_table(), &page.pager)
}

#[derive(Template)]
#[template(path = "workflows/show.html", blocks = ["progress"])]
struct ShowPage {
    shell: Shell,
    run: Run,
    steps: Vec<Step>,
    /// Where they are, while they are here.
    user: Option<String>,
    may_manage: bool,
    /// Why what was just asked for was not done.
    refused: Option<String>,
}

impl ShowPage {
    async fn new(by: &Operator, id: WorkflowId, refused: Option<String>) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let found = super::get(&mut tx, by.tenant(), id).await?;
        let (run, steps) = found.ok_or(Error::NotFound)?;
        let shell = by.shell(&mut tx, AT).await?;
        let user = match run.user() {
            Some(id) => users::get(&mut tx, by.tenant(), id).await?,
            None => None,
        };
        let user = user.map(|user| format!("/users/{}", user.id));
        Ok(Self { shell, run, steps, user, may_manage: may_begin(by), refused })
    }

    fn done(&self) -> usize {
        self.steps.iter().filter(|step| step.status == StepStatus::Done).count()
    }

    /// What the state of the run means, as a sentence.
    fn meaning(&self) -> &'static str {
        match self.run.status {
            Status::Pending => "It begins in a moment.",
            Status::Running => "It goes on by itself; you may leave this page.",
            Status::Completed => "Everything is done.",
            Status::PartiallyCompleted => {
                "Everything is done but what may fail. Try again to have the rest done."
            }
            Status::Failed => {
                "It waits for you: try again to go on at the step that failed, or cancel it to have what was done undone."
            }
            Status::RollingBack => "What was done is being undone; you may leave this page.",
            Status::RollbackFailed => {
                "Something could not be undone, and what stands below it is left as it is. Try again when the cause is gone."
            }
            Status::RolledBack | Status::Timeout => "Everything that was done is undone.",
        }
    }
}

async fn show(by: Operator, id: web::Path<WorkflowId>) -> Answer {
    ok(&ShowPage::new(&by, *id, None).await?)
}

/// The part that changes while it goes on.
async fn progress(by: Operator, id: web::Path<WorkflowId>) -> Answer {
    ok(&ShowPage::new(&by, *id, None).await?.as_progress())
}

async fn retry(by: Operator, id: web::Path<WorkflowId>) -> Answer {
    if !may_begin(&by) {
        return Err(Error::Forbidden);
    }
    let mut change = by.change().await?;
    let outcome = super::retry(&mut change, *id).await;
    finish(&by, *id, change, outcome, "It goes on").await
}

async fn cancel(by: Operator, id: web::Path<WorkflowId>) -> Answer {
    if !may_begin(&by) {
        return Err(Error::Forbidden);
    }
    let mut change = by.change().await?;
    let outcome = super::cancel(&mut change, *id).await;
    finish(&by, *id, change, outcome, "What was done is being undone").await
}

async fn finish(
    by: &Operator,
    id: WorkflowId,
    change: crate::audit::Change,
    outcome: Outcome<Run>,
    said: &str,
) -> Answer {
    match outcome {
        Ok(_) => {
            change.commit().await?;
            Ok(flash::done(&format!("{LIST}/{id}"), said))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            let page = ShowPage::new(by, id, Some(refusal.to_string())).await?;
            respond(StatusCode::CONFLICT, &page)
        }
    }
}
