//! Over REST: files for DHCP servers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{BadFormat, Format};
use crate::api::{Answer, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};

/// Every call.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/dhcp/export", Access::Api(Right::Read), export)]
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// `kea` (the default), `dnsmasq` or `isc`.
    #[param(required = false)]
    format: String,
}

/// Static addresses for a DHCP server
///
/// Every static address of a machine with a MAC, as a file for Kea, dnsmasq or ISC DHCP.
#[utoipa::path(get, path = "/api/v1/dhcp/export", operation_id = "exportDhcp", tag = "Outside systems", params(ExportParams),
    responses((status = 200, description = "The file", body = String, content_type = "text/plain"),
        (status = 422, description = "An unknown format", body = Problem)))]
async fn export(by: Operator, query: web::Query<ExportParams>) -> Answer {
    let format = if query.format.is_empty() { Ok(Format::Kea) } else { query.format.parse() };
    let format = format.map_err(|error: BadFormat| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not accepted: format")
            .field("format", &error)
    })?;
    let text = super::export(&mut by.read().await?, by.tenant(), format).await?;
    Ok(HttpResponse::Ok().content_type(format.mime()).body(text))
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(export))]
pub struct Paths;
