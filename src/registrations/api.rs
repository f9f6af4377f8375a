//! Who is registered, and who is where, over REST.
//!
//! The paths without `/v1` are those older scripts know; they answer the same.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::map::{self, Filter, Flag, Row, Sort};
use super::{Subject, web::current};
use crate::api::{self, Answer, Problem};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::numbering::ExtensionNumber;

/// Every call about registrations.
pub fn routes() -> Vec<Route> {
    let read = Access::Api(Right::Read);
    vec![
        Route::get("/api/v1/phone-lookup/{identifier}", read, look_up),
        Route::get("/api/v1/registered-phones", read, registered),
        Route::get("/api/v1/registered-phones/with-mac", read, with_mac),
        Route::get("/api/v1/registered-phones/extension/{number}", read, of_extension),
        Route::get("/api/v1/registered-phones/atas", read, atas),
        Route::get("/api/v1/registered-atas", read, atas_again),
        Route::get("/api/phone-lookup/{identifier}", read, look_up),
        Route::get("/api/registered-phones", read, registered),
        Route::get("/api/registered-phones/with-mac", read, with_mac),
        Route::get("/api/registered-phones/extension/{number}", read, of_extension),
        Route::get("/api/registered-phones/atas", read, atas),
        Route::get("/api/registered-atas", read, atas_again),
    ]
}

/// What is registered as a number.
#[derive(Serialize, ToSchema)]
pub struct RegisteredPhone {
    /// The device; null when nothing tells which it is.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac_address: Option<String>,
    /// Whence that is known, the surest first: `user_agent` (the device says so), `instance` (it is in
    /// the instance its contact names) or `provisioning` (from the phone that has the line or fetched
    /// its file from there); null when it is not.
    pub mac_source: Option<&'static str>,
    /// The number.
    #[schema(example = "1001")]
    pub extension_number: String,
    /// Whose it is; empty when it is nobody's any more.
    pub name: String,
    /// What the device calls itself.
    pub user_agent: String,
    /// The address from which it registers; null when Asterisk did not tell one.
    #[schema(example = "192.0.2.20")]
    pub ip_address: Option<String>,
    /// What it believes its address to be when that is another: a router with address translation
    /// stands between.
    pub behind_router_as: Option<String>,
    /// Where Asterisk reaches it.
    pub contact_uri: String,
    /// Since when it registers from there, RFC 3339.
    pub registered_at: Option<String>,
    /// When it was last written that it is there, RFC 3339.
    pub last_registered: Option<String>,
    /// Until when it is registered if it does not come again, RFC 3339.
    pub expires_at: Option<String>,
    /// Whether it is registered now; what was registered last is told too when a number is looked up.
    pub registered: bool,
}

/// A phone that is known.
#[derive(Serialize, ToSchema)]
pub struct ProvisionedDevice {
    /// Its MAC.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac_address: String,
    /// A number of its, or null.
    pub extension_number: Option<String>,
    /// Who made it.
    pub vendor: String,
    /// What it is.
    pub model: String,
    /// `phone` or `ata`.
    pub device_type: String,
    /// What people call it.
    pub label: String,
    /// Its static address, or null.
    pub static_ip: Option<String>,
}

/// What is the matter with a line.
#[derive(Serialize, ToSchema)]
pub struct Matter {
    /// `moved`, `shared-mac`, `shared-address`, `unknown`, `other-phone` or `silent`.
    pub flag: &'static str,
    /// What it means, and what to do.
    pub detail: String,
}

/// How the two fit together.
#[derive(Default, Serialize, ToSchema)]
pub struct Correlation {
    /// Whether a registered device and a known phone are one.
    pub matched: bool,
    /// The number.
    pub extension: Option<String>,
    /// Whose it is.
    pub name: Option<String>,
    /// The device.
    pub mac_address: Option<String>,
    /// Where it is, or was last.
    pub ip_address: Option<String>,
    /// Where it should be.
    pub static_ip: Option<String>,
    /// The name of the subnet.
    pub subnet: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// What it is.
    pub model: Option<String>,
    /// What should not be as it is.
    pub flags: Vec<Matter>,
}

/// Who is where, found by a MAC, an address or an extension.
#[derive(Serialize, ToSchema)]
pub struct PhoneLookup {
    /// What was asked after, in its one spelling.
    pub identifier: String,
    /// `mac`, `ip` or `extension`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is registered, or was last; null when nothing ever was.
    pub registered_phone: Option<RegisteredPhone>,
    /// The phone that is known; null when none is.
    pub provisioned_device: Option<ProvisionedDevice>,
    /// How the two fit together.
    pub correlation: Correlation,
    /// When several lines answer to it (a phone with two lines, an address with two devices): all of
    /// them, the first included.
    pub all: Vec<Correlation>,
}

fn shown<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

impl RegisteredPhone {
    fn of(row: &Row) -> Option<Self> {
        let number = row.number?;
        row.first_seen?;
        Some(Self {
            mac_address: row.source.and_then(|_| shown(row.mac)),
            mac_source: row.source.map(super::device::Source::as_str),
            extension_number: number.to_string(),
            name: row.name.clone(),
            user_agent: row.user_agent.clone(),
            ip_address: shown(row.address),
            behind_router_as: shown(row.via),
            contact_uri: row.contact.clone(),
            registered_at: shown(row.first_seen),
            last_registered: shown(row.seen_at),
            expires_at: shown(row.expires_at),
            registered: row.present,
        })
    }
}

impl ProvisionedDevice {
    fn of(row: &Row) -> Option<Self> {
        row.known.then(|| Self {
            mac_address: shown(row.mac).unwrap_or_default(),
            extension_number: shown(row.number),
            vendor: row.vendor.clone(),
            model: row.model.clone(),
            device_type: row.kind.clone(),
            label: row.label.clone(),
            static_ip: shown(row.fixed),
        })
    }
}

impl Correlation {
    fn of(row: &Row) -> Self {
        let matter = |(flag, detail): (Flag, String)| Matter { flag: flag.name(), detail };
        Self {
            matched: row.present && row.known,
            extension: shown(row.number),
            name: some(&row.name),
            mac_address: shown(row.mac),
            ip_address: shown(row.address),
            static_ip: shown(row.fixed),
            subnet: row.subnet.as_ref().map(|(_, name)| name.clone()),
            vendor: some(&row.vendor),
            model: some(&row.model),
            flags: row.sentences().into_iter().map(matter).collect(),
        }
    }
}

async fn lookup(by: &Operator, identifier: &str) -> Answer {
    let subject: Subject = identifier
        .parse()
        .map_err(|error: super::BadSubject| Problem::bad_request(error.to_string()))?;
    let mut tx = map::read(by.state(), by.tenant()).await?;
    let mut rows = current(&mut tx, by, subject).await?;
    // Who is there now tells more than who was.
    rows.sort_by_key(|row| !row.present);
    let lookup = PhoneLookup {
        identifier: subject.to_string(),
        kind: subject.kind(),
        registered_phone: rows.iter().find_map(RegisteredPhone::of),
        provisioned_device: rows.iter().find_map(ProvisionedDevice::of),
        correlation: rows.first().map(Correlation::of).unwrap_or_default(),
        all: rows.iter().map(Correlation::of).collect(),
    };
    api::json(StatusCode::OK, &lookup)
}

/// Which of those that are registered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    All,
    WithMac,
    Atas,
}

async fn list(by: &Operator, only: Only) -> Answer {
    let mut tx = map::read(by.state(), by.tenant()).await?;
    let filter = Filter { present: Some(true), ..Filter::default() };
    let everything = Page { offset: 0, limit: i64::MAX };
    let (rows, _) = map::list(&mut tx, by.tenant(), &filter, Sort::Number, everything).await?;
    let wanted = |row: &&Row| match only {
        Only::All => true,
        Only::WithMac => row.source.is_some(),
        Only::Atas => row.kind == "ata",
    };
    let phones: Vec<RegisteredPhone> =
        rows.iter().filter(wanted).filter_map(RegisteredPhone::of).collect();
    api::json(StatusCode::OK, &phones)
}

async fn extension(by: &Operator, number: &str) -> Answer {
    let number: ExtensionNumber =
        number.parse().map_err(|_| Problem::bad_request("write an extension such as 1001"))?;
    let mut tx = map::read(by.state(), by.tenant()).await?;
    let rows = map::of_number(&mut tx, by.tenant(), number).await?;
    let phones: Vec<RegisteredPhone> =
        rows.iter().filter(|row| row.present).filter_map(RegisteredPhone::of).collect();
    api::json(StatusCode::OK, &phones)
}

/// Who is where, by a MAC in any notation, an address or an extension.
#[utoipa::path(get, path = "/api/v1/phone-lookup/{identifier}", operation_id = "lookUpPhone", tag = "Registrations", params(("identifier" = String, Path)),
    responses((status = 200, body = PhoneLookup), (status = 400, body = Problem)))]
async fn look_up(by: Operator, identifier: web::Path<String>) -> Answer {
    lookup(&by, &identifier).await
}

/// Everybody who is registered now.
#[utoipa::path(get, path = "/api/v1/registered-phones", operation_id = "listRegisteredPhones", tag = "Registrations",
    responses((status = 200, body = Vec<RegisteredPhone>)))]
async fn registered(by: Operator) -> Answer {
    list(&by, Only::All).await
}

/// Those of whom it is known which device they are.
#[utoipa::path(get, path = "/api/v1/registered-phones/with-mac", operation_id = "listRegisteredPhonesWithMac", tag = "Registrations",
    responses((status = 200, body = Vec<RegisteredPhone>)))]
async fn with_mac(by: Operator) -> Answer {
    list(&by, Only::WithMac).await
}

/// What is registered as an extension now.
#[utoipa::path(get, path = "/api/v1/registered-phones/extension/{number}", operation_id = "listRegisteredAs", tag = "Registrations", params(("number" = String, Path)),
    responses((status = 200, body = Vec<RegisteredPhone>), (status = 400, body = Problem)))]
async fn of_extension(by: Operator, number: web::Path<String>) -> Answer {
    extension(&by, &number).await
}

/// Adapters for analogue telephones that are registered now.
#[utoipa::path(get, path = "/api/v1/registered-phones/atas", operation_id = "listRegisteredAtas", tag = "Registrations",
    responses((status = 200, body = Vec<RegisteredPhone>)))]
async fn atas(by: Operator) -> Answer {
    list(&by, Only::Atas).await
}

/// Adapters for analogue telephones that are registered now, as `/registered-phones/atas`.
#[utoipa::path(get, path = "/api/v1/registered-atas", operation_id = "listAtas", tag = "Registrations",
    responses((status = 200, body = Vec<RegisteredPhone>)))]
async fn atas_again(by: Operator) -> Answer {
    list(&by, Only::Atas).await
}

/// What of the interface is described here.
#[derive(utoipa::OpenApi)]
#[openapi(paths(look_up, registered, with_mac, of_extension, atas, atas_again))]
pub struct Paths;
