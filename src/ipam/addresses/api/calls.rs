//! Changing one address.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::shapes::{ApiAddress, Errors, Given, NewHolder, current, field, named, until};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::Operator;
use crate::id::ClaimId;
use crate::ipam::addresses::job::{Job, perform};
use crate::ipam::addresses::{Edit, Hostname, Note};
use crate::net::{Address, Mac};
use crate::text::Line;

/// What is to be different; what is left out stays, an empty text clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressPatch {
    /// What the machine is called.
    hostname: Option<String>,
    /// Its interface.
    mac: Option<String>,
    /// What it is.
    platform: Option<String>,
    /// Who made it.
    manufacturer: Option<String>,
    /// Why it is reserved; only while it is.
    description: Option<String>,
    /// Why it is in quarantine; only while it is.
    reason: Option<String>,
    /// When a reservation or a quarantine ends by itself: a moment (RFC 3339) or a day.
    until: Option<String>,
    /// Why, for the history.
    why: Option<String>,
}

/// A reservation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Why.
    #[schema(example = "Lobby phone, opens 1 Dec")]
    note: String,
    /// When it ends by itself: a moment (RFC 3339) or a day, which it includes.
    #[schema(example = "2026-12-01")]
    until: Option<String>,
}

/// A quarantine.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineOrder {
    /// Why.
    reason: String,
    /// When it ends by itself: a moment (RFC 3339) or a day, which it includes.
    until: Option<String>,
}

/// Somebody who gets an address, and what is known of the machine.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Who.
    holder: NewHolder,
    /// What the machine is called.
    hostname: Option<String>,
    /// Its interface.
    mac: Option<String>,
    /// What it is.
    platform: Option<String>,
    /// Who made it.
    manufacturer: Option<String>,
    /// Why, for the history.
    why: Option<String>,
}

/// What may be said of a release.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AddressRelease {
    /// Why, for the history.
    #[schema(example = "The printer is gone")]
    why: Option<String>,
}

/// How a conflict is decided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Whose claim it is about: its id.
    claim: String,
    /// `keep`: the holder keeps the address and the claim is dropped; `give`: the claimant gets it.
    decision: String,
}

/// Does it, and answers what the address is then.
async fn done(request: &HttpRequest, by: &Operator, address: Address, job: &Job) -> Answer {
    done_for(request, by, address, job, &Line::default()).await
}

/// As [`done`]; `why` is for the history.
async fn done_for(
    request: &HttpRequest,
    by: &Operator,
    address: Address,
    job: &Job,
    why: &Line<500>,
) -> Answer {
    let stamp = api::if_match(request.headers())?;
    perform(by, address, stamp, job, why).await?;
    let found = current(&mut by.read().await?, by.tenant(), address).await;
    match found {
        Ok(found) => api::tagged(StatusCode::OK, found.version, &found),
        // An orphan that is released is nowhere at all.
        Err(problem) if problem.status == 404 => {
            Ok(actix_web::HttpResponse::build(StatusCode::NO_CONTENT).finish())
        }
        Err(problem) => Err(problem),
    }
}

fn fine<T>(value: T, errors: Errors) -> Result<T, Problem> {
    if errors.is_empty() { Ok(value) } else { Err(Problem::invalid(errors)) }
}

/// Change an address
///
/// With `If-Match` it is changed only if nobody else changed it since it was read (412).
#[utoipa::path(patch, path = "/api/v1/addresses/{address}", operation_id = "updateAddress", tag = "Addresses",
    request_body = AddressPatch,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn update_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    patch: Json<AddressPatch>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let AddressPatch {
        hostname,
        mac,
        platform,
        manufacturer,
        description,
        reason,
        until: end,
        why,
    } = patch.0;
    let why = field::<Line<500>>("why", why, &mut errors).unwrap_or_default();
    let edit = Edit {
        hostname: field::<Hostname>("hostname", hostname, &mut errors),
        mac: match mac.as_deref() {
            Some("") => Some(None),
            _ => field::<Mac>("mac", mac, &mut errors).map(Some),
        },
        platform: field::<Line<100>>("platform", platform, &mut errors),
        manufacturer: field::<Line<100>>("manufacturer", manufacturer, &mut errors),
        description: field::<Line<500>>("description", description, &mut errors),
        reason: field::<Line<500>>("reason", reason, &mut errors),
        until: end.map(|end| until(Some(end), by.zone(), &mut errors)),
    };
    let job = fine(Job::Edit(edit), errors)?;
    done_for(&request, &by, address, &job, &why).await
}

/// Reserve an address
#[utoipa::path(post, path = "/api/v1/addresses/{address}/reserve", operation_id = "reserveAddress", tag = "Addresses",
    request_body = Reservation,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn reserve_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    body: Json<Reservation>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let note = field::<Note>("note", Some(body.0.note), &mut errors);
    let until = until(body.0.until, by.zone(), &mut errors);
    let job = fine(note.map(|note| Job::Reserve { note, until }), errors)?;
    let job = job.ok_or_else(|| Problem::bad_request("say why"))?;
    done(&request, &by, address, &job).await
}

/// Release an address
///
/// A reserved or allocated one is free again, or its oldest claimant's; a quarantine ends.
#[utoipa::path(post, path = "/api/v1/addresses/{address}/release", operation_id = "releaseAddress", tag = "Addresses",
    request_body = Option<AddressRelease>,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 204), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn release_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    body: Json<AddressRelease>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let why = field::<Line<500>>("why", body.0.why, &mut errors).unwrap_or_default();
    let job = fine(Job::Release, errors)?;
    done_for(&request, &by, address, &job, &why).await
}

/// Put an address in quarantine
///
/// Whoever holds it becomes a claimant, and gets it back when the quarantine ends.
#[utoipa::path(post, path = "/api/v1/addresses/{address}/quarantine", operation_id = "quarantineAddress", tag = "Addresses",
    request_body = QuarantineOrder,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn quarantine_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    body: Json<QuarantineOrder>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let reason = field::<Note>("reason", Some(body.0.reason), &mut errors);
    let until = until(body.0.until, by.zone(), &mut errors);
    let job = fine(reason.map(|reason| Job::Quarantine { reason, until }), errors)?;
    let job = job.ok_or_else(|| Problem::bad_request("say why"))?;
    done(&request, &by, address, &job).await
}

/// Give an address to somebody
#[utoipa::path(post, path = "/api/v1/addresses/{address}/allocate", operation_id = "allocateAddress", tag = "Addresses",
    request_body = Allocation,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn allocate_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    body: Json<Allocation>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let Allocation { holder, hostname, mac, platform, manufacturer, why } = body.0;
    let why = field::<Line<500>>("why", why, &mut errors).unwrap_or_default();
    let given = Given { holder: Some(holder), hostname, mac, platform, manufacturer };
    let job = fine(given.tenure(&mut errors).map(Job::Allocate), errors)?;
    let job = job.ok_or_else(|| Problem::bad_request("say who gets it"))?;
    done_for(&request, &by, address, &job, &why).await
}

/// Decide a conflict
#[utoipa::path(post, path = "/api/v1/addresses/{address}/resolve", operation_id = "resolveAddress", tag = "Addresses",
    request_body = Resolution,
    params(("address" = String, Path, description = "The address"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn resolve_address(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    body: Json<Resolution>,
) -> Answer {
    let address = named(&address)?;
    let mut errors = Errors::new();
    let claim = field::<ClaimId>("claim", Some(body.0.claim), &mut errors);
    let give = match body.0.decision.as_str() {
        "keep" => false,
        "give" => true,
        _ => {
            errors.insert("decision".to_owned(), "use keep or give".to_owned());
            false
        }
    };
    let job = fine(claim.map(|claim| Job::Resolve { claim, give }), errors)?;
    let job = job.ok_or_else(|| Problem::bad_request("name the claim"))?;
    done(&request, &by, address, &job).await
}
