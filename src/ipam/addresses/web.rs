//! The pages of addresses.

mod act;
mod bulk;
mod form;
mod index;
mod lines;
mod show;
mod take;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use super::types::{Record, Reserver};
use super::{HolderKind, Refusal};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::ipam::class::Status;
use crate::net::Address;
use crate::web::Error;

/// Where the list is.
const LIST: &str = "/ipam/addresses";

/// Every page of addresses.
pub fn routes() -> Vec<Route> {
    let (read, reserve, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::ReserveAddresses),
        Access::Page(Right::ManageAddresses),
    );
    vec![
        Route::get(LIST, read, index::index),
        Route::get("/ipam/addresses/table", read, index::table),
        Route::get("/ipam/addresses/take", reserve, take::form),
        Route::post("/ipam/addresses/take", reserve, take::take),
        Route::post("/ipam/addresses/bulk", reserve, bulk::bulk).limit(4 << 20),
        Route::get("/ipam/addresses/{address}", read, show::show),
        Route::get("/ipam/addresses/{address}/row", read, lines::row),
        Route::get("/ipam/addresses/{address}/edit", reserve, act::edit_form),
        Route::post("/ipam/addresses/{address}/edit", reserve, act::edit),
        Route::get("/ipam/addresses/{address}/reserve", reserve, act::reserve_form),
        Route::post("/ipam/addresses/{address}/reserve", reserve, act::reserve),
        Route::get("/ipam/addresses/{address}/release", reserve, act::release_form),
        Route::post("/ipam/addresses/{address}/release", reserve, act::release),
        Route::get("/ipam/addresses/{address}/quarantine", manage, act::quarantine_form),
        Route::post("/ipam/addresses/{address}/quarantine", manage, act::quarantine),
        Route::get("/ipam/addresses/{address}/allocate", manage, act::allocate_form),
        Route::post("/ipam/addresses/{address}/allocate", manage, act::allocate),
        Route::get("/ipam/addresses/{address}/resolve", manage, act::resolve_form),
        Route::post("/ipam/addresses/{address}/resolve", manage, act::resolve),
    ]
}

/// What can be done with one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Edit,
    Reserve,
    Release,
    Quarantine,
    Allocate,
    Resolve,
}

impl Act {
    /// Its last word in a URL.
    fn word(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Quarantine => "quarantine",
            Self::Allocate => "allocate",
            Self::Resolve => "resolve",
        }
    }

    /// What a button that begins it says.
    fn label(self, status: Status) -> &'static str {
        match (self, status) {
            (Self::Edit, _) => "Edit",
            (Self::Reserve, _) => "Reserve",
            (Self::Release, Status::Quarantine) => "End quarantine",
            (Self::Release, _) => "Release",
            (Self::Quarantine, _) => "Quarantine",
            (Self::Allocate, _) => "Give to",
            (Self::Resolve, _) => "Resolve",
        }
    }
}

/// What somebody may do about addresses.
#[derive(Clone, Debug)]
struct Rights {
    reserve: bool,
    manage: bool,
    by: Reserver,
}

impl Rights {
    fn of(by: &Operator) -> Self {
        Self {
            reserve: by.may(Right::ReserveAddresses),
            manage: by.may(Right::ManageAddresses),
            by: crate::ipam::web::reserver(by),
        }
    }

    /// What can be done with an address, the likeliest first.
    fn acts(&self, record: Option<&Record>) -> Vec<Act> {
        let status = record.map_or(Status::Available, |record| record.status);
        let (reserve, manage) = (self.reserve, self.manage);
        let mine = manage || record.is_some_and(|record| record.reserved_by == self.by.name);
        let edit = !record.and_then(|record| record.holder.as_ref()).is_some_and(|holder| {
            matches!(holder.kind, HolderKind::Host | HolderKind::Bmc | HolderKind::Phone)
        });
        let conflict = record.is_some_and(|record| record.conflict);
        // What an assignment holds, it alone ends.
        if record.is_some_and(|record| record.assignment.is_some()) {
            return if manage && edit { vec![Act::Edit] } else { Vec::new() };
        }
        let wanted = [
            (Act::Resolve, conflict && manage),
            (Act::Reserve, status == Status::Available && reserve),
            (
                Act::Edit,
                match status {
                    Status::Available => false,
                    Status::Reserved => reserve && mine,
                    Status::Allocated => manage && edit,
                    Status::Quarantine => manage,
                },
            ),
            (
                Act::Release,
                match status {
                    Status::Available => false,
                    Status::Reserved => reserve && mine,
                    // What a host names is given back there.
                    Status::Allocated => manage && !record.is_some_and(Record::is_named_by_host),
                    Status::Quarantine => manage,
                },
            ),
            (Act::Allocate, manage && matches!(status, Status::Available | Status::Reserved)),
            (Act::Quarantine, manage && status != Status::Quarantine),
        ];
        wanted.into_iter().filter(|(_, may)| *may).map(|(act, _)| act).collect()
    }
}

/// The address a path names.
fn named(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|_| Error::NotFound)
}

/// Where a page about an address is.
fn path(address: Address) -> String {
    format!("/ipam/addresses/{address}")
}

/// Whether htmx asks for part of a page.
fn by_htmx(request: &HttpRequest) -> bool {
    request.headers().contains_key("hx-request")
}

/// The status a page with a refusal has.
pub(super) fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
        Refusal::NotYours { .. } => StatusCode::FORBIDDEN,
        Refusal::Field { .. } | Refusal::NoHolder | Refusal::Elsewhere { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Refusal::Missing(_) => StatusCode::NOT_FOUND,
        Refusal::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Taken { .. }
        | Refusal::Assigned { .. }
        | Refusal::Never { .. }
        | Refusal::Full { .. }
        | Refusal::NoSubnet(_)
        | Refusal::Illegal { .. } => StatusCode::CONFLICT,
    }
}
