//! `/api/v1/network/ipv4-lifecycle` and `ipv6-lifecycle`: the same calls for both families, by the
//! same functions.

mod call;
mod shapes;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::openapi::{self, path::Operation as Described};
use utoipa::{IntoParams, OpenApi as _};

use super::state::{Operation, State};
use super::types::{Filter, Sort, SubscriberId, Which};
use super::{Refusal, list};
use crate::api::{self, Answer, Body, Json, Once, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::text::ByName;
use crate::web::list as pages;

use call::Errors;
pub use call::{Answered, Asked, Look, Net, Stopped, answer, look, measure};
pub use shapes::{
    AllocateRequest, LifecycleList, LifecycleMetrics, LifecycleResult, OperationRequest,
    OutsideCall, PoolStats, Utilization,
};

/// Every call on assignments.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    let mut routes = vec![
        Route::get("/api/v1/network/ipv4-lifecycle", read, list_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/allocate", manage, allocate_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/activate", manage, activate_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/suspend", manage, suspend_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/reactivate", manage, reactivate_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/revoke", manage, revoke_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/retry", manage, retry_ipv4),
        Route::post("/api/v1/network/ipv4-lifecycle/fail", manage, fail_ipv4),
        Route::get("/api/v1/network/ipv4-lifecycle/metrics", read, metrics_ipv4),
        Route::get("/api/v1/network/ipv4-lifecycle/{subscriber_id}", read, get_ipv4),
    ];
    let six = Net::V6;
    let step = |path, operation| {
        let call = move |request: HttpRequest, by: Operator, body: Body| {
            step(six, operation, request, by, body)
        };
        Route::post(path, manage, call)
    };
    routes.extend([
        Route::get(
            "/api/v1/network/ipv6-lifecycle",
            read,
            move |by: Operator, params: web::Query<ListParams>| all(six, by, params),
        ),
        Route::post(
            "/api/v1/network/ipv6-lifecycle/allocate",
            manage,
            move |request: HttpRequest, by: Operator, body: Body| allocate(six, request, by, body),
        ),
        step("/api/v1/network/ipv6-lifecycle/activate", Operation::Activate),
        step("/api/v1/network/ipv6-lifecycle/suspend", Operation::Suspend),
        step("/api/v1/network/ipv6-lifecycle/reactivate", Operation::Reactivate),
        step("/api/v1/network/ipv6-lifecycle/revoke", Operation::Revoke),
        step("/api/v1/network/ipv6-lifecycle/retry", Operation::Retry),
        step("/api/v1/network/ipv6-lifecycle/fail", Operation::Fail),
        Route::get("/api/v1/network/ipv6-lifecycle/metrics", read, move |by: Operator| {
            measured(six, by)
        }),
        Route::get(
            "/api/v1/network/ipv6-lifecycle/{subscriber_id}",
            read,
            move |by: Operator, id: web::Path<String>, params: web::Query<WhoseParams>| {
                one(six, by, id, params)
            },
        ),
    ]);
    routes
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::InvalidTransition { .. }
            | Refusal::PoolExhausted(_)
            | Refusal::AddressUnavailable(_)
            | Refusal::AlreadyAllocated { .. }
            | Refusal::Ambiguous(_) => StatusCode::CONFLICT,
            Refusal::Stale => StatusCode::PRECONDITION_FAILED,
            Refusal::AddressNotInPool(_) | Refusal::Field { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of an address, the beginning of a holder's name, or a subscriber's id.
    #[param(required = false)]
    q: String,
    /// A state; `any` for all; without it all but `revoked`.
    #[param(required = false)]
    state: String,
    /// `user`, `phone`, `host` or `external`; without it all.
    #[param(required = false)]
    subscriber_kind: String,
    /// For IPv6 `address`, which it is without a word, or `prefix`.
    #[param(required = false)]
    kind: String,
    /// `address`, `holder` or `since`, with `-` before it the other way round.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 a page.
    #[param(required = false)]
    size: String,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhoseParams {
    /// `user`, `phone`, `host` or `external`, if several have this id.
    #[param(required = false)]
    subscriber_kind: String,
    /// For IPv6 `address` or `prefix`, if there are both.
    #[param(required = false)]
    kind: String,
    /// The role, if there are several.
    #[param(required = false)]
    role: String,
}

async fn all(net: Net, by: Operator, params: web::Query<ListParams>) -> Answer {
    let mut errors = Errors::new();
    let mut wrong = |field: &str, why: String| drop(errors.insert(field.to_owned(), why));
    let which = match params.state.as_str() {
        "" => Which::Current,
        "any" => Which::Any,
        state => state.parse::<State>().map_or_else(
            |error| {
                wrong("state", error.to_string());
                Which::Any
            },
            Which::In,
        ),
    };
    let sort = Sort::asked(&params.sort);
    if sort.is_none() {
        wrong("sort", "there is no such order".to_owned());
    }
    let kind = shapes::holder_kind(&params.subscriber_kind, &mut errors);
    let families = net.meant(&params.kind, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    // Of IPv6 a list is of addresses or of prefixes; without a word of addresses.
    let family = families.first().copied();
    let filter = Filter { search: params.q.trim().to_owned(), which, family, kind };
    let at = pages::stretch(&params.page, pages::size(&params.size));
    let mut tx = by.read().await?;
    let (marks, sort) = (&by.state().bookmarks, sort.unwrap_or_default());
    let (found, total) = list(&mut tx, marks, by.tenant(), &filter, sort, at).await?;
    let mut assignments = Vec::with_capacity(found.len());
    for assignment in &found {
        assignments.push(LifecycleResult::brief(&by, assignment));
    }
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &LifecycleList { assignments, total, page, size })
}

async fn one(
    net: Net,
    by: Operator,
    id: web::Path<String>,
    params: web::Query<WhoseParams>,
) -> Answer {
    let params = params.into_inner();
    // What cannot be anybody's id is nobody's.
    if id.parse::<SubscriberId>().is_err() {
        return Err(Problem::not_found("assignment"));
    }
    let look = Look {
        subscriber_id: id.into_inner(),
        subscriber_kind: params.subscriber_kind,
        kind: params.kind,
        role: params.role,
    };
    let (version, result) = call::look(net, &by, look).await?;
    api::tagged(StatusCode::OK, version, &result)
}

async fn measured(net: Net, by: Operator) -> Answer {
    api::json(StatusCode::OK, &call::measure(net, &by).await?)
}

/// The answer of an operation, now or again.
fn dressed(answered: Answered) -> HttpResponse {
    let Answered { status, body, again } = answered;
    let answer = HttpResponse::build(status).content_type("application/json").body(body);
    if again { api::replayed(answer) } else { answer }
}

async fn allocate(net: Net, request: HttpRequest, by: Operator, body: Body) -> Answer {
    let once = Once::of(&request, by.state(), &by.id(), &body.0)?;
    let Json(asked) = api::parse::<AllocateRequest>(request.headers(), &body.0)?;
    Ok(dressed(call::answer(net, &by, &once, Asked::Allocate(Box::new(asked))).await?))
}

async fn step(
    net: Net,
    operation: Operation,
    request: HttpRequest,
    by: Operator,
    body: Body,
) -> Answer {
    let once = Once::of(&request, by.state(), &by.id(), &body.0)?;
    let Json(asked) = api::parse::<OperationRequest>(request.headers(), &body.0)?;
    Ok(dressed(call::answer(net, &by, &once, Asked::Step(operation, Box::new(asked))).await?))
}

/// List IPv4 assignments
#[utoipa::path(get, path = "/api/v1/network/ipv4-lifecycle", operation_id = "listIpv4Lifecycle", tag = "IPv4 lifecycle",
    params(ListParams), responses((status = 200, body = LifecycleList), (status = 422, body = Problem)))]
async fn list_ipv4(by: Operator, params: web::Query<ListParams>) -> Answer {
    all(Net::V4, by, params).await
}

/// Allocate an IPv4 address
///
/// To a user, a phone, a host, or somebody known elsewhere by an id. The lowest free address of the
/// pool, of the subnet, or of any static pool; or the one that is requested. With an
/// `Idempotency-Key` header (up to 200 printable characters) a repeated request gets the first one's
/// answer, for a day.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/allocate", operation_id = "allocateIpv4", tag = "IPv4 lifecycle",
    request_body = AllocateRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 201, body = LifecycleResult), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn allocate_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    allocate(Net::V4, request, by, body).await
}

/// Activate an IPv4 assignment
///
/// From `allocated`. RADIUS is told only with `send_coa`.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/activate", operation_id = "activateIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn activate_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Activate, request, by, body).await
}

/// Suspend an IPv4 assignment
///
/// From `active`, with a reason. RADIUS is told unless `send_coa` is false.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/suspend", operation_id = "suspendIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn suspend_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Suspend, request, by, body).await
}

/// Reactivate an IPv4 assignment
///
/// From `suspended` only. RADIUS is told unless `send_coa` is false.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/reactivate", operation_id = "reactivateIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn reactivate_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Reactivate, request, by, body).await
}

/// Revoke an IPv4 assignment
///
/// From `allocated`, `active` or `suspended`. It is `revoking` until outside systems were told, then
/// `revoked`. The address goes back to its pool, after the tenant's quarantine if there is one; with
/// `release_to_pool` false it is kept, reserved. To revoke what is revoked changes nothing and is
/// no error.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/revoke", operation_id = "revokeIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn revoke_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Revoke, request, by, body).await
}

/// Retry a failed IPv4 assignment
///
/// It is allocated again: the address it has kept or had, or if that is not free another of its
/// pool. A session it had is ended unless `send_disconnect` is false.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/retry", operation_id = "retryIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn retry_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Retry, request, by, body).await
}

/// Mark an IPv4 assignment as failed
///
/// What was not in use yet gives its address back; what was keeps it until somebody decides.
#[utoipa::path(post, path = "/api/v1/network/ipv4-lifecycle/fail", operation_id = "failIpv4", tag = "IPv4 lifecycle",
    request_body = OperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn fail_ipv4(request: HttpRequest, by: Operator, body: Body) -> Answer {
    step(Net::V4, Operation::Fail, request, by, body).await
}

/// Count IPv4 assignments
///
/// How many are in each state, how full the pools are, and how many addresses were allocated for a
/// day without being used.
#[utoipa::path(get, path = "/api/v1/network/ipv4-lifecycle/metrics", operation_id = "measureIpv4", tag = "IPv4 lifecycle",
    responses((status = 200, body = LifecycleMetrics)))]
async fn metrics_ipv4(by: Operator) -> Answer {
    measured(Net::V4, by).await
}

/// Get a subscriber's IPv4 assignment
///
/// The live one; without one the last there was.
#[utoipa::path(get, path = "/api/v1/network/ipv4-lifecycle/{subscriber_id}", operation_id = "getIpv4", tag = "IPv4 lifecycle",
    params(("subscriber_id" = String, Path, description = "The subscriber's id"), WhoseParams),
    responses((status = 200, body = LifecycleResult), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn get_ipv4(by: Operator, id: web::Path<String>, params: web::Query<WhoseParams>) -> Answer {
    one(Net::V4, by, id, params).await
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(
    list_ipv4,
    allocate_ipv4,
    activate_ipv4,
    suspend_ipv4,
    reactivate_ipv4,
    revoke_ipv4,
    retry_ipv4,
    fail_ipv4,
    metrics_ipv4,
    get_ipv4
))]
struct Paths;

/// These calls for the `OpenAPI` document: those of IPv6 are described by those of IPv4, whose
/// functions they are.
pub fn document() -> openapi::OpenApi {
    let mut document = Paths::openapi();
    let four: Vec<_> = document.paths.paths.clone().into_iter().collect();
    for (path, mut item) in four {
        let operations = [&mut item.get, &mut item.post];
        operations.into_iter().flatten().for_each(sixth);
        document.paths.paths.insert(path.replace("ipv4", "ipv6"), item);
    }
    document
}

fn sixth(operation: &mut Described) {
    let change = |text: &mut Option<String>| {
        if let Some(text) = text {
            *text = text.replace("IPv4", "IPv6").replace("Ipv4", "Ipv6");
        }
    };
    change(&mut operation.operation_id);
    change(&mut operation.summary);
    change(&mut operation.description);
    for tag in operation.tags.iter_mut().flatten() {
        *tag = tag.replace("IPv4", "IPv6");
    }
}
