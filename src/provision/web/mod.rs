//! What phones ask for, and the pages about it.

mod dhcp;
mod enrolment;
mod handout;
mod requests;
mod waiting;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer};

use super::serve::Call;
use super::{Provisioner, answer};
use crate::auth::Right;
use crate::auth::access::{Access, Route};
use crate::net::{Address, Mac};
use crate::web::client;

/// Where these pages are in the sidebar.
const NAV: &str = "/phones";
/// Bytes of what a phone puts.
const UPLOAD_LIMIT: usize = 1 << 20;

/// Every page, and the way for phones.
pub(super) fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::EditPhones),
        Access::Page(Right::ManagePhones),
    );
    vec![
        Route::get("/provision/{token:.*}", Access::Device, fetch),
        Route::new(Method::PUT, "/provision/{token:.*}", Access::Device, put),
        Route::get("/phones/requests", read, requests::index),
        Route::get("/phones/requests/table", read, requests::table),
        Route::get("/phones/requests.csv", read, requests::export),
        Route::get("/phones/{mac}/requests", read, requests::of_phone),
        Route::post("/phones/{mac}/enrolment", edit, enrolment::window),
        Route::get("/phones/enrolment", read, enrolment::page),
        Route::post("/phones/enrolment", manage, enrolment::choose),
        Route::get("/phones/waiting", read, waiting::index),
        Route::get("/phones/waiting/{mac}", manage, waiting::page),
        Route::post("/phones/waiting/{mac}", manage, waiting::create),
        Route::post("/phones/waiting/{mac}/dismissal", manage, waiting::dismiss),
        Route::get("/phones/dhcp", read, dhcp::page),
        Route::get("/phones/handouts", read, handout::several),
        Route::post("/phones/handouts", read, handout::chosen),
        Route::get("/phones/{mac}/handout", read, handout::one),
        Route::get("/phones/{mac}/qr.svg", read, handout::code),
    ]
}

/// A MAC in a path: the twelve digits alone, so that a page has one address.
#[derive(Clone, Copy)]
pub(super) struct PathMac(pub Mac);

impl<'de> Deserialize<'de> for PathMac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mac: Mac = text.parse().map_err(serde::de::Error::custom)?;
        if mac.hex() == text {
            Ok(Self(mac))
        } else {
            Err(serde::de::Error::custom("another spelling"))
        }
    }
}

fn from(request: &HttpRequest) -> Address {
    // Only a test has no peer.
    client::address(request).unwrap_or_else(|| Address::from_number(0))
}

async fn fetch(request: HttpRequest, provisioner: web::Data<Provisioner>) -> HttpResponse {
    let call = Call::read(&request, from(&request), provisioner.state.clock.now());
    provisioner.fetch(&call).await
}

async fn put(
    request: HttpRequest,
    provisioner: web::Data<Provisioner>,
    payload: web::Payload,
) -> HttpResponse {
    let call = Call::read(&request, from(&request), provisioner.state.clock.now());
    let putting = match provisioner.may_put(&call).await {
        Ok(putting) => putting,
        Err(refusal) => return refusal,
    };
    match payload.to_bytes_limited(UPLOAD_LIMIT).await {
        Ok(Ok(body)) => {
            provisioner.put(&call, &putting, &body);
            HttpResponse::Created().finish()
        }
        Ok(Err(_)) => answer::said(StatusCode::BAD_REQUEST, "The request broke off.\n"),
        Err(_) => answer::said(StatusCode::PAYLOAD_TOO_LARGE, "That is more than is taken.\n"),
    }
}
