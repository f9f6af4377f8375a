//! `/api/provisioning/devices`: the calls of the system whose scripts are to go on working. Paths,
//! bodies and replies are that system's; statuses mean what HTTP says, and problems are
//! `application/problem+json` as everywhere.

use actix_web::http::{Method, StatusCode};
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{moved, remove, save, url};
use super::list::{self, Filter, Listed, Sort};
use super::people;
use super::types::{Edit, NewLine, Phone, Static};
use crate::api::{self, Answer, Json, Problem};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::ipam::space::Space;
use crate::models::{Kind, Model, Vendor};
use crate::net::{Address, Mac};
use crate::text::Line;

/// Every call.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManagePhones));
    vec![
        Route::get("/api/provisioning/devices", read, devices),
        Route::post("/api/provisioning/devices", manage, register),
        Route::get("/api/provisioning/atas", read, atas),
        Route::get("/api/provisioning/phones", read, phones),
        Route::get("/api/provisioning/devices/atas", read, device_atas),
        Route::get("/api/provisioning/devices/phones", read, device_phones),
        Route::new(Method::DELETE, "/api/provisioning/devices/{mac}", manage, unregister),
        Route::get("/api/provisioning/devices/{mac}/static-ip", read, static_ip),
        Route::post("/api/provisioning/devices/{mac}/static-ip", manage, set_static_ip),
        Route::new(
            Method::DELETE,
            "/api/provisioning/devices/{mac}/static-ip",
            manage,
            clear_static_ip,
        ),
    ]
}

/// A device.
#[derive(Serialize, ToSchema)]
pub struct Device {
    /// Its hardware address: twelve digits.
    #[schema(example = "001565123456")]
    pub mac_address: String,
    /// The number of its first line.
    #[schema(example = "1001")]
    pub extension_number: Option<String>,
    /// The number of its second line.
    pub extension_number_2: Option<String>,
    /// Who made it.
    #[schema(example = "yealink")]
    pub vendor: String,
    /// Its model.
    #[schema(example = "t46s")]
    pub model: String,
    /// `phone` or `ata`.
    pub device_type: String,
    /// Its static address.
    pub static_ip: Option<String>,
    /// Where it fetches its file. Only the answer that adds it says the URL with its token.
    pub config_url: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
    /// When it last fetched its file; RFC 3339, UTC.
    pub last_provisioned: Option<String>,
}

/// By its plain name a file is there only while the phone may enrol.
fn plain_url(by: &Operator, mac: Mac) -> String {
    format!("{}/provision/{}.cfg", by.state().phones_url, mac.hex())
}

fn device(by: &Operator, phone: &Phone) -> Device {
    let number = |line: u8| {
        let line = phone.lines.iter().find(|known| known.line == line);
        line.map(|line| line.number.to_string())
    };
    Device {
        mac_address: phone.mac.hex(),
        extension_number: number(1),
        extension_number_2: number(2),
        vendor: phone.vendor().to_string(),
        model: phone.model.name.to_owned(),
        device_type: phone.model.kind.to_string(),
        static_ip: phone.address.map(|address| address.to_string()),
        config_url: plain_url(by, phone.mac),
        created_at: phone.created_at.to_string(),
        updated_at: phone.updated_at.to_string(),
        last_provisioned: phone.seen.at.map(|at| at.to_string()),
    }
}

fn listed(by: &Operator, phone: &Listed) -> Device {
    let number = |line: u8| {
        let line = phone.lines.iter().find(|known| known.line == line);
        line.map(|line| line.number.to_string())
    };
    Device {
        mac_address: phone.mac.hex(),
        extension_number: number(1),
        extension_number_2: number(2),
        vendor: phone.model.vendor.to_string(),
        model: phone.model.name.to_owned(),
        device_type: phone.model.kind.to_string(),
        static_ip: phone.address.map(|address| address.to_string()),
        config_url: plain_url(by, phone.mac),
        created_at: phone.created_at.to_string(),
        updated_at: phone.updated_at.to_string(),
        last_provisioned: phone.fetched_at.map(|at| at.to_string()),
    }
}

async fn all(by: &Operator, kind: Option<Kind>) -> Answer {
    let filter = Filter { kind, ..Filter::default() };
    let everything = Page { offset: 0, limit: i64::MAX };
    let mut tx = by.read().await?;
    let (phones, _) =
        list::list(&mut tx, &by.state().counted, by.tenant(), &filter, Sort::Mac, everything)
            .await?;
    let devices: Vec<Device> = phones.iter().map(|phone| listed(by, phone)).collect();
    api::json(StatusCode::OK, &devices)
}

/// List all devices
#[utoipa::path(get, path = "/api/provisioning/devices", operation_id = "listDevices", tag = "Provisioning",
    responses((status = 200, body = [Device])))]
async fn devices(by: Operator) -> Answer {
    all(&by, None).await
}

/// List adapters
#[utoipa::path(get, path = "/api/provisioning/atas", operation_id = "listAtas", tag = "Provisioning",
    responses((status = 200, body = [Device])))]
async fn atas(by: Operator) -> Answer {
    all(&by, Some(Kind::Ata)).await
}

/// List telephones
#[utoipa::path(get, path = "/api/provisioning/phones", operation_id = "listTelephones", tag = "Provisioning",
    responses((status = 200, body = [Device])))]
async fn phones(by: Operator) -> Answer {
    all(&by, Some(Kind::Phone)).await
}

/// List adapters, by another path
#[utoipa::path(get, path = "/api/provisioning/devices/atas", operation_id = "listDeviceAtas", tag = "Provisioning",
    responses((status = 200, body = [Device])))]
async fn device_atas(by: Operator) -> Answer {
    all(&by, Some(Kind::Ata)).await
}

/// List telephones, by another path
#[utoipa::path(get, path = "/api/provisioning/devices/phones", operation_id = "listDevicePhones", tag = "Provisioning",
    responses((status = 200, body = [Device])))]
async fn device_phones(by: Operator) -> Answer {
    all(&by, Some(Kind::Phone)).await
}

/// A device to be registered, or registered anew: what is left out stays.
#[derive(Deserialize, ToSchema)]
pub struct Registration {
    /// Its hardware address, in any notation.
    #[schema(example = "00:15:65:12:34:56")]
    mac_address: Option<String>,
    /// The number of its first line.
    #[schema(example = "1001")]
    extension_number: Option<String>,
    /// Who made it.
    #[schema(example = "yealink")]
    vendor: Option<String>,
    /// Its model.
    #[schema(example = "t46s")]
    model: Option<String>,
    /// The number of its second line; empty takes it away.
    extension_number_2: Option<String>,
}

/// The answer to a registration.
#[derive(Serialize, ToSchema)]
pub struct Registered {
    success: bool,
    device: Device,
    /// Whether the device was told to start anew: it fetches its file when it next starts or
    /// looks for a new one.
    reboot_triggered: bool,
    /// A sentence.
    message: String,
}

/// The answer to everything else.
#[derive(Serialize, ToSchema)]
pub struct Done {
    success: bool,
    /// A sentence.
    message: String,
}

fn done(message: String) -> Answer {
    api::json(StatusCode::OK, &Done { success: true, message })
}

/// What a registration says.
struct Asked {
    mac: Mac,
    model: &'static Model,
    first: String,
    second: Option<String>,
}

impl Registration {
    fn parse(self) -> Result<Asked, Problem> {
        let mut errors = std::collections::BTreeMap::new();
        let mut needed = |name: &str, text: Option<String>| {
            let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            if text.is_none() {
                errors.insert(name.to_owned(), "this field is needed".to_owned());
            }
            text
        };
        let mac = needed("mac_address", self.mac_address);
        let first = needed("extension_number", self.extension_number);
        let vendor = needed("vendor", self.vendor);
        let name = needed("model", self.model);
        let mut wrong = |name: &str, why: String| drop(errors.insert(name.to_owned(), why));
        let mac = mac.and_then(|text| {
            text.parse::<Mac>().map_err(|error| wrong("mac_address", error.to_string())).ok()
        });
        let vendor = vendor.and_then(|text| {
            text.parse::<Vendor>().map_err(|error| wrong("vendor", error.to_string())).ok()
        });
        let model = vendor.zip(name).and_then(|(vendor, name)| {
            Model::find(vendor, &name).map_err(|error| wrong("model", error.to_string())).ok()
        });
        match (mac, model, first) {
            (Some(mac), Some(model), Some(first)) if errors.is_empty() => {
                Ok(Asked { mac, model, first, second: self.extension_number_2 })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// Register a device
///
/// A device that is known is changed: what the call does not name, such as its static address,
/// stays.
#[utoipa::path(post, path = "/api/provisioning/devices", operation_id = "registerDevice", tag = "Provisioning",
    request_body = Registration,
    responses((status = 200, body = Registered), (status = 201, body = Registered), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn register(by: Operator, body: Json<Registration>) -> Answer {
    let Asked { mac, model, first, second } = body.0.parse()?;
    let vault = &by.state().vault;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, vault.entropy()).await?;
    let known = super::get(space.tx(), by.tenant(), mac).await?;
    let old = known.map(|phone| phone.lines).unwrap_or_default();
    let mut errors = std::collections::BTreeMap::new();
    let mut lines: Vec<NewLine> = Vec::new();
    let wishes = [(1_u8, "extension_number", Some(first)), (2, "extension_number_2", second)];
    for (line, field, wish) in wishes {
        let kept = old.iter().find(|known| known.line == line).cloned().map(NewLine::from);
        match wish.as_deref().map(str::trim) {
            None => lines.extend(kept),
            Some("") => {}
            Some(text) => match people::user(space.tx(), by.tenant(), text).await? {
                Ok(user) => {
                    let label = kept.filter(|kept| kept.user == user).map(|kept| kept.label);
                    lines.push(NewLine { line, user, label: label.unwrap_or_else(Line::default) });
                }
                Err(why) => drop(errors.insert(field.to_owned(), why)),
            },
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    lines.extend(old.into_iter().filter(|line| line.line > 2).map(NewLine::from));
    let edit = Edit { model: Some(model), lines: Some(lines), ..Edit::default() };
    let (phone, added) = super::register(&mut space, vault, mac, &edit).await?;
    space.close().await?;
    let keys = super::secrets(change.tx(), vault, by.tenant(), mac).await?;
    change.commit_if_any().await?;
    let mut device = device(&by, &phone);
    if let Some(keys) = keys.filter(|_| added) {
        device.config_url = url(&by, &keys.token);
    }
    let (status, message) = if added {
        (StatusCode::CREATED, "Device registered".to_owned())
    } else {
        (StatusCode::OK, "Device updated".to_owned())
    };
    let registered = Registered { success: true, device, reboot_triggered: false, message };
    api::json(status, &registered)
}

/// Remove a device
#[utoipa::path(delete, path = "/api/provisioning/devices/{mac}", operation_id = "unregisterDevice", tag = "Provisioning",
    params(("mac" = String, Path, description = "The device's MAC address, in any notation")),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn unregister(by: Operator, mac: web::Path<Mac>) -> Answer {
    remove(&by, *mac).await?;
    done("Device unregistered".to_owned())
}

async fn find(by: &Operator, mac: Mac) -> Result<Phone, Problem> {
    let phone = super::get(&mut by.read().await?, by.tenant(), mac).await?;
    phone.ok_or_else(|| Problem::not_found("device"))
}

/// The static address of a device.
#[derive(Serialize, ToSchema)]
pub struct DeviceAddress {
    /// Its hardware address: twelve digits.
    #[schema(example = "001565123456")]
    mac_address: String,
    /// Its address; `null` when it has none.
    static_ip: Option<String>,
}

/// Get the static address of a device
#[utoipa::path(get, path = "/api/provisioning/devices/{mac}/static-ip", operation_id = "getDeviceAddress",
    tag = "Provisioning", params(("mac" = String, Path, description = "The device's MAC address, in any notation")),
    responses((status = 200, body = DeviceAddress), (status = 404, body = Problem)))]
async fn static_ip(by: Operator, mac: web::Path<Mac>) -> Answer {
    let phone = find(&by, *mac).await?;
    let static_ip = phone.address.map(|address| address.to_string());
    api::json(StatusCode::OK, &DeviceAddress { mac_address: mac.hex(), static_ip })
}

/// The static address a device is to have.
#[derive(Deserialize, ToSchema)]
pub struct WishedAddress {
    /// An address of a static pool.
    #[schema(example = "192.168.1.100")]
    static_ip: Option<String>,
}

/// Give a device a static address
#[utoipa::path(post, path = "/api/provisioning/devices/{mac}/static-ip", operation_id = "setDeviceAddress",
    tag = "Provisioning", request_body = WishedAddress,
    params(("mac" = String, Path, description = "The device's MAC address, in any notation")),
    responses((status = 200, body = Done), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn set_static_ip(by: Operator, mac: web::Path<Mac>, wish: Json<WishedAddress>) -> Answer {
    find(&by, *mac).await?;
    let text = wish.0.static_ip.unwrap_or_default();
    let address: Result<Address, String> = match text.trim() {
        "" => Err("this field is needed".to_owned()),
        text => text.parse::<Address>().map_err(|error| error.to_string()),
    };
    let address =
        address.map_err(|why| Problem::invalid([("static_ip".to_owned(), why)].into()))?;
    save(&by, *mac, None, &moved(Static::This(address))).await?;
    done(format!("Static IP {address} set for device {}", mac.hex()))
}

/// Take its static address from a device
#[utoipa::path(delete, path = "/api/provisioning/devices/{mac}/static-ip", operation_id = "clearDeviceAddress",
    tag = "Provisioning", params(("mac" = String, Path, description = "The device's MAC address, in any notation")),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn clear_static_ip(by: Operator, mac: web::Path<Mac>) -> Answer {
    find(&by, *mac).await?;
    save(&by, *mac, None, &moved(Static::None)).await?;
    done(format!("Static IP cleared for device {}", mac.hex()))
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    devices,
    register,
    atas,
    phones,
    device_atas,
    device_phones,
    unregister,
    static_ip,
    set_static_ip,
    clear_static_ip
))]
pub struct Paths;
