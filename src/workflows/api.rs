//! `/api/v1/workflows`.

mod shapes;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::types::{Filter, Kind, Run, Status};
use super::{Outcome, Refusal, may_apply, may_begin};
use crate::api::{self, Answer, Body, Json, Once, Problem};
use crate::audit::Change;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::WorkflowId;
use crate::web::list;

pub use shapes::{Workflow, WorkflowList, WorkflowRequest, WorkflowStep};

/// Every call on workflows.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageUsers));
    vec![
        Route::get("/api/v1/workflows", read, index),
        Route::post("/api/v1/workflows", manage, create),
        Route::get("/api/v1/workflows/{workflow}", read, show),
        Route::post("/api/v1/workflows/{workflow}/retry", manage, retry),
        Route::post("/api/v1/workflows/{workflow}/cancel", manage, cancel),
    ]
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.to_string();
        match refusal {
            Refusal::Fault(error) => error.into(),
            Refusal::Missing => Self::not_found("workflow"),
            Refusal::Fields(errors) => Self::invalid(errors),
            Refusal::Busy { .. } | Refusal::NotNow { .. } => Self::new(StatusCode::CONFLICT, said),
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those that stand so.
    #[param(required = false)]
    status: String,
    /// `provision`, `suspend`, `resume` or `deprovision`.
    #[param(required = false)]
    kind: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 a page.
    #[param(required = false)]
    size: String,
}

/// List workflows
///
/// The newest first, without their steps.
#[utoipa::path(get, path = "/api/v1/workflows", operation_id = "listWorkflows", tag = "Workflows", params(ListParams),
    responses((status = 200, body = WorkflowList), (status = 422, body = Problem)))]
async fn index(by: Operator, params: web::Query<ListParams>) -> Answer {
    let mut errors = super::Errors::new();
    let mut filter = Filter::default();
    if !params.status.is_empty() {
        match params.status.parse::<Status>() {
            Ok(status) => filter.status = Some(status),
            Err(error) => drop(errors.insert("status".to_owned(), error.to_string())),
        }
    }
    if !params.kind.is_empty() {
        match params.kind.parse::<Kind>() {
            Ok(kind) => filter.kind = Some(kind),
            Err(error) => drop(errors.insert("kind".to_owned(), error.to_string())),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let at = list::stretch(&params.page, list::size(&params.size));
    let (runs, total) = super::list(&mut by.read().await?, by.tenant(), filter, at).await?;
    let workflows = runs.iter().map(|run| Workflow::of(run, &[])).collect();
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &WorkflowList { workflows, total, page, size })
}

/// Refused to those who may not do everything a workflow does.
fn allowed(by: &Operator) -> Result<(), Problem> {
    if may_begin(by) { Ok(()) } else { Err(Problem::forbidden()) }
}

/// The answer, now or again.
#[expect(clippy::unnecessary_wraps, reason = "it is what a repeated request is dressed by")]
fn dressed(status: StatusCode, body: Vec<u8>) -> Answer {
    Ok(HttpResponse::build(status).content_type("application/json").body(body))
}

/// Begin a workflow
///
/// Adds a person with everything they need, suspends them, lets them go on, or lets them go: in
/// steps, all or nothing. It goes on by itself; look how it stands. When a required step fails,
/// what was done is undone. 409: one for the same person is not over. With an `Idempotency-Key`
/// header (up to 200 printable characters) a repeated request gets the first one's answer, for a day.
#[utoipa::path(post, path = "/api/v1/workflows", operation_id = "beginWorkflow", tag = "Workflows",
    request_body = WorkflowRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 202, body = Workflow), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(request: HttpRequest, by: Operator, body: Body) -> Answer {
    allowed(&by)?;
    let Body(body) = body;
    let once = Once::of(&request, by.state(), &by.id(), &body)?;
    if let Some(answer) = once.earlier(dressed).await? {
        return Ok(answer);
    }
    let Json(asked) = api::parse::<WorkflowRequest>(request.headers(), &body)?;
    let mut change = by.change().await?;
    let vault = &by.state().vault;
    let run = match super::begin(&mut change, vault, &asked.into(), may_apply(&by)).await {
        Ok(run) => run,
        // What stands in the way may be what the same request did a moment ago.
        Err(refusal) => {
            drop(change);
            return once.earlier(dressed).await?.ok_or_else(|| refusal.into());
        }
    };
    let body = shown(&mut change, &by, &run).await?;
    let body = serde_json::to_vec(&body).map_err(|error| Problem::fault(&error))?;
    if !once.keep(&mut change, StatusCode::ACCEPTED, &body).await? {
        drop(change);
        let earlier = once.earlier(dressed).await?;
        return earlier.ok_or_else(|| Problem::bad_request("send the request again"));
    }
    change.commit().await?;
    dressed(StatusCode::ACCEPTED, body)
}

async fn shown(change: &mut Change, by: &Operator, run: &Run) -> Result<Workflow, Problem> {
    let found = super::get(change.tx(), by.tenant(), run.id).await?;
    let (run, steps) = found.ok_or_else(|| Problem::not_found("workflow"))?;
    Ok(Workflow::of(&run, &steps))
}

/// Get a workflow
#[utoipa::path(get, path = "/api/v1/workflows/{workflow}", operation_id = "getWorkflow", tag = "Workflows",
    params(("workflow" = String, Path, description = "Its id")),
    responses((status = 200, body = Workflow), (status = 404, body = Problem)))]
async fn show(by: Operator, id: web::Path<String>) -> Answer {
    let Ok(id) = id.parse::<WorkflowId>() else { return Err(Problem::not_found("workflow")) };
    let found = super::get(&mut by.read().await?, by.tenant(), id).await?;
    let (run, steps) = found.ok_or_else(|| Problem::not_found("workflow"))?;
    api::json(StatusCode::OK, &Workflow::of(&run, &steps))
}

/// Retry a workflow
///
/// It goes on at the step that failed; when everything was undone, it begins anew; when something
/// could not be undone, the undoing goes on. Steps that are done are not done again. 409: there is nothing to try again,
/// or another for the same person is not over.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow}/retry", operation_id = "retryWorkflow", tag = "Workflows",
    params(("workflow" = String, Path, description = "Its id")),
    responses((status = 202, body = Workflow), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn retry(by: Operator, id: web::Path<String>) -> Answer {
    let Ok(id) = id.parse() else { return Err(Problem::not_found("workflow")) };
    allowed(&by)?;
    let mut change = by.change().await?;
    let run = super::retry(&mut change, id).await;
    finish(&by, change, run).await
}

/// Cancel a workflow
///
/// What was done is undone. 409: it is over.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow}/cancel", operation_id = "cancelWorkflow", tag = "Workflows",
    params(("workflow" = String, Path, description = "Its id")),
    responses((status = 202, body = Workflow), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn cancel(by: Operator, id: web::Path<String>) -> Answer {
    let Ok(id) = id.parse() else { return Err(Problem::not_found("workflow")) };
    allowed(&by)?;
    let mut change = by.change().await?;
    let run = super::cancel(&mut change, id).await;
    finish(&by, change, run).await
}

async fn finish(by: &Operator, mut change: Change, run: Outcome<Run>) -> Answer {
    let shown = shown(&mut change, by, &run?).await?;
    change.commit().await?;
    api::json(StatusCode::ACCEPTED, &shown)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(index, create, show, retry, cancel))]
pub struct Paths;
