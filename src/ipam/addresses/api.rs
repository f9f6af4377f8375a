//! Addresses over REST: the same rules as the pages, because both call the same functions.

mod bulk;
mod calls;
mod read;
mod shapes;
mod take;

use actix_web::http::{Method, StatusCode};

use super::Refusal;
use super::web::status_of;
use crate::api::Problem;
use crate::auth::Right;
use crate::auth::access::{Access, Route};

/// Every call about addresses.
pub fn routes() -> Vec<Route> {
    let (look, reserve, manage) = (
        Access::Api(Right::Read),
        Access::Api(Right::ReserveAddresses),
        Access::Api(Right::ManageAddresses),
    );
    vec![
        Route::get("/api/v1/addresses", look, read::list_addresses),
        Route::post("/api/v1/addresses/bulk", reserve, bulk::change_addresses),
        Route::get("/api/v1/addresses/{address}", look, read::get_address),
        Route::get("/api/v1/addresses/{address}/history", look, read::get_address_history),
        Route::new(Method::PATCH, "/api/v1/addresses/{address}", reserve, calls::update_address),
        Route::post("/api/v1/addresses/{address}/reserve", reserve, calls::reserve_address),
        Route::post("/api/v1/addresses/{address}/release", reserve, calls::release_address),
        Route::post("/api/v1/addresses/{address}/quarantine", manage, calls::quarantine_address),
        Route::post("/api/v1/addresses/{address}/allocate", manage, calls::allocate_address),
        Route::post("/api/v1/addresses/{address}/resolve", manage, calls::resolve_address),
        Route::post("/api/v1/subnets/{id}/next-free", reserve, take::take_from_subnet),
        Route::post("/api/v1/pools/{id}/next-free", reserve, take::take_from_pool),
    ]
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = status_of(&refusal);
        match &refusal {
            Refusal::Fault(_) => {}
            Refusal::Stale(now) => {
                let keeper =
                    if now.version == 0 { "free".to_owned() } else { now.status.to_string() };
                return Self::new(status, format!("{refusal}; it is now {keeper}"));
            }
            _ => {
                let problem = Self::new(status, refusal.to_string());
                return match refusal.field() {
                    Some(field) => problem.field(field, &refusal),
                    None => problem,
                };
            }
        }
        match refusal {
            Refusal::Fault(error) => error.into(),
            other => Self::new(StatusCode::CONFLICT, other.to_string()),
        }
    }
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    read::list_addresses,
    read::get_address,
    read::get_address_history,
    calls::update_address,
    calls::reserve_address,
    calls::release_address,
    calls::quarantine_address,
    calls::allocate_address,
    calls::resolve_address,
    bulk::change_addresses,
    take::take_from_subnet,
    take::take_from_pool
))]
pub struct Paths;
