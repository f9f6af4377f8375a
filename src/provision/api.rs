//! What can be asked about provisioning over REST, by the paths of version 1 and by older ones.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::queries::pages::{self, Filter, Row};
use super::{DAY, Provisioner};
use crate::api::{self, Answer};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::boot;
use crate::phones::{MODELS, Vendor};
use crate::time::Timestamp;

/// Requests a call shows unless asked for another number, and at most.
const USUAL: i64 = 50;
const MOST: i64 = 200;

/// Every call about provisioning that reads.
pub(super) fn routes() -> Vec<Route> {
    let read = Access::Api(Right::Read);
    vec![
        Route::get("/api/provisioning/vendors", read, vendors),
        Route::get("/api/provisioning/templates", read, templates),
        Route::get("/api/provisioning/requests", read, requests),
        Route::get("/api/provisioning/diagnostics", read, diagnostics),
        Route::get("/api/provisioning/settings", read, settings),
        Route::get("/api/v1/phones/vendors", read, vendors),
        Route::get("/api/v1/phones/requests", read, requests),
        Route::get("/api/v1/phones/diagnostics", read, diagnostics),
        Route::get("/api/v1/phones/settings", read, settings),
    ]
}

/// Makes, and the models of each.
#[derive(Serialize, ToSchema)]
struct Vendors {
    /// The makes, by the words that calls use.
    vendors: Vec<&'static str>,
    /// For each make its models, by the words that calls use.
    models: BTreeMap<&'static str, Vec<&'static str>>,
}

/// The makes and models there are files for
#[utoipa::path(get, path = "/api/v1/phones/vendors", operation_id = "listPhoneVendors", tag = "Provisioning",
    responses((status = 200, body = Vendors)))]
async fn vendors(_by: Operator) -> Answer {
    let names = |vendor: Vendor| vendor.models().map(|model| model.name).collect();
    let vendors = Vendors {
        vendors: Vendor::ALL.map(Vendor::as_str).to_vec(),
        models: Vendor::ALL.map(|vendor| (vendor.as_str(), names(vendor))).into(),
    };
    api::json(StatusCode::OK, &vendors)
}

#[derive(Serialize)]
struct Template {
    vendor: &'static str,
    model: &'static str,
    /// What its file is made from.
    template: &'static str,
    /// Whether that is the tenant's own text.
    custom: bool,
}

#[derive(Serialize)]
struct Templates {
    templates: Vec<Template>,
    total: usize,
}

async fn templates(by: Operator) -> Answer {
    let own = boot::in_force(&mut by.read().await?, by.tenant()).await?;
    let of = |model: &'static crate::phones::Model| {
        let template = own.name(model, boot::Part::Own)?;
        let custom = own.own(model.vendor, template).is_some();
        Some(Template { vendor: model.vendor.as_str(), model: model.name, template, custom })
    };
    let templates: Vec<Template> = MODELS.iter().filter_map(of).collect();
    api::json(StatusCode::OK, &Templates { total: templates.len(), templates })
}

#[derive(Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Limit {
    /// How many at most, 1 to 200.
    #[param(required = false, example = 50)]
    limit: i64,
}

impl Default for Limit {
    fn default() -> Self {
        Self { limit: USUAL }
    }
}

/// A request of a phone for a file.
#[derive(Serialize, ToSchema)]
struct ApiRequest {
    /// RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// The MAC it was about; empty when it named none.
    mac: String,
    /// From which address.
    ip: String,
    /// How the phone introduced itself.
    user_agent: String,
    /// The file's name.
    file: String,
    /// `served`, `unchanged`, `aged`, `broken`, `refused`, `unknown`, `unneeded` (there is none and the
    /// phone does well without), `locked`, `throttled`,
    /// `placeholder` or `uploaded`.
    outcome: &'static str,
    /// Whether the phone got what it asked for.
    success: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Bytes sent, or taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_size: Option<i64>,
    /// The file's revision; may be empty.
    revision: String,
}

impl From<Row> for ApiRequest {
    fn from(row: Row) -> Self {
        let success = row.outcome.is_success();
        Self {
            timestamp: row.at,
            mac: row.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            ip: row.address.to_string(),
            user_agent: row.user_agent,
            file: row.path,
            outcome: row.outcome.as_str(),
            success,
            error: (!success).then_some(row.how),
            config_size: success.then_some(row.bytes),
            revision: row.revision,
        }
    }
}

/// The newest requests.
#[derive(Serialize, ToSchema)]
struct Requests {
    /// How many there are, counted up to 10,000.
    total: i64,
    /// How many were asked for.
    limit: i64,
    /// The newest first.
    requests: Vec<ApiRequest>,
}

/// What phones asked for last
#[utoipa::path(get, path = "/api/v1/phones/requests", operation_id = "listPhoneRequests", tag = "Provisioning",
    params(Limit), responses((status = 200, body = Requests)))]
async fn requests(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    limit: web::Query<Limit>,
) -> Answer {
    provisioner.flush().await?;
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let limit = limit.limit.clamp(1, MOST);
    let all = Filter::default();
    let rows = pages::requests(&mut tx, tenant, &all, Page { offset: 0, limit }).await?;
    let total = pages::count_requests(&mut tx, tenant, &all).await?;
    let requests = rows.into_iter().map(ApiRequest::from).collect();
    api::json(StatusCode::OK, &Requests { total, limit, requests })
}

/// How provisioning is doing.
#[derive(Serialize, ToSchema)]
struct Diagnostics {
    /// Whether phones are served: always.
    enabled: bool,
    /// What a phone's URL looks like.
    url_format: String,
    /// The host phones ask.
    server: String,
    /// Phones there are.
    phones: i64,
    /// Those that fetched their own file in the last day.
    phones_seen_today: i64,
    /// Those whose enrolment window is open.
    phones_enrolling: i64,
    /// Phones nobody has added that asked for a file.
    phones_waiting: i64,
    /// Files in memory.
    cached_files: usize,
    /// Their bytes.
    cached_bytes: usize,
    /// What somebody should look at.
    warnings: Vec<String>,
    /// The newest requests.
    recent_requests: Vec<ApiRequest>,
}

/// How provisioning is doing
#[utoipa::path(get, path = "/api/v1/phones/diagnostics", operation_id = "getPhoneDiagnostics", tag = "Provisioning",
    responses((status = 200, body = Diagnostics)))]
async fn diagnostics(by: Operator, provisioner: web::Data<Provisioner>) -> Answer {
    provisioner.flush().await?;
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let now = by.state().clock.now();
    let (phones, seen, enrolling) = pages::counts(&mut tx, tenant, now).await?;
    let newest = Page { offset: 0, limit: 10 };
    let rows = pages::requests(&mut tx, tenant, &Filter::default(), newest).await?;
    let mut warnings = Vec::new();
    if !pages::places(&mut tx, tenant).await?.iter().any(|place| place.chosen) {
        warnings.push("no subnet is chosen for enrolment: unknown phones are ignored".to_owned());
    }
    for (mac, file, _) in pages::broken(&mut tx, tenant, now.plus(-7 * DAY)).await? {
        warnings.push(format!("{file} of {mac} cannot be rendered"));
    }
    for failing in pages::failing(&mut tx, tenant, now.plus(-DAY)).await? {
        if failing.macs > 10 {
            warnings.push(format!("{} asked for {} MACs in vain", failing.address, failing.macs));
        }
    }
    let (cached_files, cached_bytes) = provisioner.cache.size();
    let url = &by.state().phones_url;
    let diagnostics = Diagnostics {
        enabled: true,
        url_format: url_format(url),
        server: host(url).to_owned(),
        phones,
        phones_seen_today: seen,
        phones_enrolling: enrolling,
        phones_waiting: pages::count_waiting(&mut tx, tenant).await?,
        cached_files,
        cached_bytes,
        warnings,
        recent_requests: rows.into_iter().map(ApiRequest::from).collect(),
    };
    api::json(StatusCode::OK, &diagnostics)
}

fn url_format(url: &str) -> String {
    format!("{url}/provision/{{token}}/{{file}}")
}

/// The host of a URL of ours, with its port.
fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

/// How phones reach Patchbay.
#[derive(Serialize, ToSchema)]
struct ApiSettings {
    /// Whether phones are served: always.
    enabled: bool,
    /// What a phone's URL looks like.
    url_format: String,
    /// The host phones ask.
    server_ip: String,
    /// Its port.
    port: u16,
    /// Templates of one's own are kept in the database: always empty.
    custom_templates_dir: String,
}

/// How phones reach Patchbay
///
/// The URL is `phones.url` of the settings file.
#[utoipa::path(get, path = "/api/v1/phones/settings", operation_id = "getPhoneSettings", tag = "Provisioning",
    responses((status = 200, body = ApiSettings)))]
async fn settings(by: Operator) -> Answer {
    let url = &by.state().phones_url;
    let (name, port) = match host(url).rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host(url), None),
    };
    let usual = if url.starts_with("https:") { 443 } else { 80 };
    api::json(
        StatusCode::OK,
        &ApiSettings {
            enabled: true,
            url_format: url_format(url),
            server_ip: name.to_owned(),
            port: port.unwrap_or(usual),
            custom_templates_dir: String::new(),
        },
    )
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(vendors, requests, diagnostics, settings))]
pub struct Paths;
