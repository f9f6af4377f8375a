//! Taking the next free addresses.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{ApiAddress, ApiPlace, Errors, Given, NewHolder, claims, field, until};
use crate::api::{self, Answer, Body, Json, Once, Problem};
use crate::auth::{Operator, Right};
use crate::id::{PoolId, SubnetId};
use crate::ipam::addresses::{MOST_TAKEN, Note, Purpose, Wish, places, take};
use crate::ipam::space::{Source, Space};
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::time::Zone;

/// What is asked for. Without a holder the addresses are reserved, with one allocated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NextFree {
    /// How many, 1 to 1024; without it one.
    #[schema(example = 1)]
    count: Option<u32>,
    /// Whether one after the other, without anything between.
    contiguous: Option<bool>,
    /// This one, if it is free, instead of the lowest.
    address: Option<String>,
    /// Why they are reserved.
    #[schema(example = "Lobby phone, opens 1 Dec")]
    note: Option<String>,
    /// When the reservation ends by itself: a moment (RFC 3339) or a day, which it includes.
    until: Option<String>,
    /// Who gets them.
    holder: Option<NewHolder>,
    /// What the holder's machine is called.
    hostname: Option<String>,
    /// Its interface.
    mac: Option<String>,
}

/// What was taken.
#[derive(Serialize, ToSchema)]
pub struct TakenAddresses {
    /// The addresses, in their order.
    pub addresses: Vec<ApiAddress>,
}

impl NextFree {
    fn parse(self, zone: &Zone) -> Result<(Wish, Purpose), Problem> {
        let mut errors = Errors::new();
        let wished = field::<Address>("address", self.address, &mut errors);
        let count = self.count.unwrap_or(1);
        if !(1..=MOST_TAKEN).contains(&count) {
            errors.insert("count".to_owned(), format!("take 1 to {MOST_TAKEN} at once"));
        }
        if wished.is_some() && count > 1 {
            errors.insert("count".to_owned(), "a certain address is only one".to_owned());
        }
        let until = until(self.until, zone, &mut errors);
        let purpose = if self.holder.is_some() {
            let (hostname, mac) = (self.hostname, self.mac);
            let given = Given { holder: self.holder, hostname, mac, ..Given::default() };
            if self.note.is_some() {
                errors.insert("note".to_owned(), "only a reservation has a note".to_owned());
            }
            if until.is_some() {
                errors.insert("until".to_owned(), "only a reservation ends by itself".to_owned());
            }
            given.tenure(&mut errors).map(Purpose::Allocate)
        } else {
            for (name, text) in [("hostname", &self.hostname), ("mac", &self.mac)] {
                if text.is_some() {
                    errors.insert(name.to_owned(), "say who holds it, too".to_owned());
                }
            }
            let note = field::<Note>("note", Some(self.note.unwrap_or_default()), &mut errors);
            note.map(|note| Purpose::Reserve { note, until })
        };
        let next = Wish::Next { count, contiguous: self.contiguous.unwrap_or(false) };
        match purpose {
            Some(purpose) if errors.is_empty() => Ok((wished.map_or(next, Wish::This), purpose)),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// Take the next free addresses of a subnet
///
/// All that are asked for, or none. With an `Idempotency-Key` header (up to 200 printable
/// characters) a repeated request gets the first one's answer, for a day.
#[utoipa::path(post, path = "/api/v1/subnets/{id}/next-free", operation_id = "takeFromSubnet", tag = "Addresses",
    request_body = NextFree,
    params(("id" = String, Path, description = "The subnet's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 201, body = TakenAddresses), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn take_from_subnet(
    request: HttpRequest,
    by: Operator,
    id: web::Path<SubnetId>,
    body: Body,
) -> Answer {
    next_free(&request, &by, Source::Subnet(*id), &body.0).await
}

/// Take the next free addresses of a pool
///
/// As from a subnet.
#[utoipa::path(post, path = "/api/v1/pools/{id}/next-free", operation_id = "takeFromPool", tag = "Addresses",
    request_body = NextFree,
    params(("id" = String, Path, description = "The pool's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 201, body = TakenAddresses), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn take_from_pool(
    request: HttpRequest,
    by: Operator,
    id: web::Path<PoolId>,
    body: Body,
) -> Answer {
    next_free(&request, &by, Source::Pool(*id), &body.0).await
}

/// The answer, now or again.
#[expect(clippy::unnecessary_wraps, reason = "it is what a repeated request is dressed by")]
fn dressed(status: StatusCode, body: Vec<u8>) -> Answer {
    Ok(HttpResponse::build(status).content_type("application/json").body(body))
}

async fn next_free(request: &HttpRequest, by: &Operator, source: Source, body: &[u8]) -> Answer {
    let once = Once::of(request, by.state(), &by.id(), body)?;
    if let Some(answer) = once.earlier(dressed).await? {
        return Ok(answer);
    }
    let Json(asked) = api::parse::<NextFree>(request.headers(), body)?;
    let (wish, purpose) = asked.parse(by.zone())?;
    if matches!(purpose, Purpose::Allocate(_)) && !by.may(Right::ManageAddresses) {
        return Err(Problem::forbidden());
    }
    let mut change = by.change().await?;
    // Asked before others have to wait.
    let tenant = by.tenant();
    let mut known = match source {
        Source::Subnet(id) => places::named(change.tx(), tenant, &[id]).await?,
        Source::Pool(_) => Vec::new(),
    };
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let taken = match take(&mut space, source, &wish, &purpose, &reserver(by)).await {
        Ok(taken) => taken,
        Err(refusal) => {
            drop(space);
            drop(change);
            // What stands in the way may be what the same request did a moment ago.
            return once.earlier(dressed).await?.ok_or_else(|| refusal.into());
        }
    };
    let mut addresses = Vec::with_capacity(taken.len());
    let ids: Vec<SubnetId> = taken.iter().filter_map(|record| record.subnet).collect();
    if ids.iter().any(|id| !known.iter().any(|place| place.id == *id)) {
        known = places::named(space.tx(), tenant, &ids).await?;
    }
    for record in &taken {
        let place = known.iter().find(|place| Some(place.id) == record.subnet);
        let claims = claims(space.tx(), tenant, record).await?;
        addresses.push(ApiAddress::row(record, place.map(ApiPlace::from), &claims));
    }
    space.close().await?;
    let body = serde_json::to_vec(&TakenAddresses { addresses });
    let body = body.map_err(|error| Problem::fault(&error))?;
    if !once.keep(&mut change, StatusCode::CREATED, &body).await? {
        drop(change);
        let earlier = once.earlier(dressed).await?;
        return earlier.ok_or_else(|| Problem::bad_request("send the request again"));
    }
    change.commit().await?;
    dressed(StatusCode::CREATED, body)
}
