//! The outbox over REST.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Call, Filter, Refusal};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::CallId;
use crate::time::Timestamp;
use crate::web::list;

/// Every call about calls.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    vec![
        Route::get("/api/v1/outbox", read, index),
        Route::get("/api/v1/outbox/{call}", read, show),
        Route::post("/api/v1/outbox/{call}/retry", manage, retry),
        Route::post("/api/v1/outbox/{call}/drop", manage, give_up),
    ]
}

/// A call to a system outside.
#[derive(Serialize, ToSchema)]
pub struct ApiCall {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: CallId,
    /// `radius`, `dhcp` or `netbox`.
    pub system: &'static str,
    /// Whose it is: a kind of thing and its id.
    #[schema(example = "address/10.20.5.17")]
    pub subject: String,
    /// What it is, for people.
    pub label: String,
    /// `waiting`, `sending`, `done`, `replaced` (by a newer one), `dead` (it failed too often) or
    /// `dropped` (somebody gave it up).
    pub state: &'static str,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last; empty if nothing did.
    pub error: String,
    /// What came of it; empty until it is over.
    pub answer: String,
    /// When it is tried next, while it waits; RFC 3339, UTC.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// When it was ordered; RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was over; RFC 3339, UTC.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

impl From<Call> for ApiCall {
    fn from(call: Call) -> Self {
        let waits = call.state == super::CallState::Waiting;
        Self {
            id: call.id,
            system: call.system.as_str(),
            subject: call.subject,
            label: call.label,
            state: call.state.as_str(),
            attempts: call.attempts,
            error: call.error,
            answer: call.answer,
            next_at: waits.then_some(call.next_at),
            created_at: call.created_at,
            ended_at: call.ended_at,
        }
    }
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
pub struct CallList {
    /// The calls of this page, the newest first.
    pub calls: Vec<ApiCall>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Calls a page.
    pub size: i64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of what a call is, or of whose.
    #[param(required = false)]
    q: String,
    /// `radius`, `dhcp` or `netbox`.
    #[param(required = false)]
    system: String,
    /// A state.
    #[param(required = false)]
    state: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 calls a page.
    #[param(required = false)]
    size: String,
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
) -> Result<Option<T>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("not accepted: {field}"))
            .field(field, &error)
    })
}

/// The outbox
///
/// What is to be said to systems outside, and how it went.
#[utoipa::path(get, path = "/api/v1/outbox", operation_id = "listOutbox", tag = "Outside systems", params(ListParams),
    responses((status = 200, description = "A page", body = CallList), (status = 422, description = "An unknown word", body = Problem)))]
async fn index(by: Operator, query: web::Query<ListParams>) -> Answer {
    let filter = Filter {
        system: word("system", &query.system)?,
        state: word("state", &query.state)?,
        search: query.q.trim().to_owned(),
    };
    let at = list::stretch(&query.page, list::size(&query.size));
    let (calls, total) = super::list(&mut by.read().await?, by.tenant(), &filter, at).await?;
    let calls = calls.into_iter().map(Into::into).collect();
    api::json(
        StatusCode::OK,
        &CallList { calls, total, page: at.offset / at.limit + 1, size: at.limit },
    )
}

/// One call
#[utoipa::path(get, path = "/api/v1/outbox/{call}", operation_id = "getOutboxCall", tag = "Outside systems",
    params(("call" = String, Path, description = "Its id")),
    responses((status = 200, description = "The call", body = ApiCall), (status = 404, description = "No such call", body = Problem)))]
async fn show(by: Operator, id: web::Path<CallId>) -> Answer {
    let call = super::queries::get(&mut by.read().await?, by.tenant(), *id).await?;
    api::json(StatusCode::OK, &ApiCall::from(call.ok_or_else(|| Problem::not_found("call"))?))
}

/// Try again
///
/// A call that waits or is dead is tried at once, as if it had never been tried.
#[utoipa::path(post, path = "/api/v1/outbox/{call}/retry", operation_id = "retryOutboxCall", tag = "Outside systems",
    params(("call" = String, Path, description = "Its id")),
    responses((status = 200, description = "It is tried", body = ApiCall), (status = 404, description = "No such call", body = Problem),
        (status = 409, description = "It is over, or a later one was made", body = Problem)))]
async fn retry(by: Operator, id: web::Path<CallId>) -> Answer {
    let mut change = by.change().await?;
    super::retry(&mut change, by.state().vault.entropy(), *id).await?;
    change.commit().await?;
    show(by, id).await
}

/// Why a call is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DropRequest {
    /// 1 to 200 characters.
    #[serde(default)]
    reason: String,
}

/// Give up
///
/// A call that waits or is dead is not made.
#[utoipa::path(post, path = "/api/v1/outbox/{call}/drop", operation_id = "dropOutboxCall", tag = "Outside systems",
    params(("call" = String, Path, description = "Its id")), request_body = DropRequest,
    responses((status = 200, description = "It is given up", body = ApiCall), (status = 404, description = "No such call", body = Problem),
        (status = 409, description = "It is over", body = Problem), (status = 422, description = "No reason", body = Problem)))]
async fn give_up(by: Operator, id: web::Path<CallId>, body: Json<DropRequest>) -> Answer {
    let mut change = by.change().await?;
    super::give_up(&mut change, *id, &body.0.reason).await?;
    change.commit().await?;
    show(by, id).await
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(error) => error.into(),
            Refusal::Missing => Self::not_found("call"),
            Refusal::Over(_) | Refusal::Overtaken => {
                Self::new(StatusCode::CONFLICT, refusal.to_string())
            }
            Refusal::Reason => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "not accepted: reason").field("reason", &refusal)
            }
        }
    }
}

/// What `OpenAPI` knows of these calls.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(index, show, retry, give_up),
    components(schemas(ApiCall, CallList, DropRequest)),
    tags((name = "Outside systems", description = "What RADIUS, DHCP and NetBox are told, and how that goes."))
)]
pub struct Paths;
