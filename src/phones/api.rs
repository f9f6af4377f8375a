//! `/api/v1/phones`: the same rules as the pages, because both call the same functions.

mod read;
mod shapes;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{self as phones_list, Filter, Only, Sort};
use super::refusal::{Refusal, Refusals};
use super::types::{Edit, NewPhone, Phone, Spec, Static};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::ProfileId;
use crate::ipam::space::Space;
use crate::models::{Kind, Model, Vendor};
use crate::net::Mac;
use crate::text::ByName;
use crate::web::list;

pub use shapes::{
    ApiKey, ApiLine, ApiListedPhone, ApiPhone, ApiSetting, KeyFields, LineFields, PhoneFields,
};

/// Every call about phones.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Api(Right::Read),
        Access::Api(Right::EditPhones),
        Access::Api(Right::ManagePhones),
    );
    vec![
        Route::get("/api/v1/phones", read, list_phones),
        Route::post("/api/v1/phones", manage, create_phone),
        Route::get("/api/v1/phones/{mac}", read, get_phone),
        Route::new(Method::PATCH, "/api/v1/phones/{mac}", edit, patch_phone),
        Route::new(Method::DELETE, "/api/v1/phones/{mac}", manage, delete_phone),
        Route::get("/api/v1/phones/{mac}/settings", read, get_settings),
        Route::get("/api/v1/phones/{mac}/static-ip", read, get_address),
        Route::new(Method::PUT, "/api/v1/phones/{mac}/static-ip", manage, put_address),
        Route::new(Method::DELETE, "/api/v1/phones/{mac}/static-ip", manage, delete_address),
        Route::post("/api/v1/phones/{mac}/token", manage, renew_token),
    ]
}

impl From<Refusals> for Problem {
    fn from(refusals: Refusals) -> Self {
        let detail = refusals.to_string();
        let conflict = refusals.0.iter().any(Refusal::is_conflict);
        let status = if conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        let mut problem = Self::new(status, detail);
        for refusal in refusals.0 {
            match refusal {
                Refusal::Fault(error) => return error.into(),
                Refusal::Missing => return Self::not_found("phone"),
                Refusal::Stale(_) => {
                    return Self::new(StatusCode::PRECONDITION_FAILED, refusal.to_string());
                }
                other => {
                    let field = other.field().unwrap_or_default();
                    let field = if field == "address" { "static_ip" } else { &field };
                    problem = problem.field(field, &other);
                }
            }
        }
        problem
    }
}

/// A page of phones.
#[derive(Serialize, ToSchema)]
pub struct PhoneList {
    /// The phones of this page.
    pub phones: Vec<ApiListedPhone>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Phones a page.
    pub size: i64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PhoneListParams {
    /// Part of a MAC in any notation, a label, number, name, address, its own site, model or the notes.
    #[param(required = false)]
    q: String,
    /// `yealink`, `polycom`, `grandstream`, `snom`, `cisco`, `fanvil` or `zultys`.
    #[param(required = false)]
    vendor: String,
    /// A model of that vendor.
    #[param(required = false)]
    model: String,
    /// The name of the site they stand at.
    #[param(required = false)]
    site: String,
    /// `phone` or `ata`.
    #[param(required = false)]
    kind: String,
    /// The id of a profile phones choose.
    #[param(required = false)]
    profile: String,
    /// `registered`, `unregistered`, `never_fetched`, `no_line` or `no_address`.
    #[param(required = false)]
    state: String,
    /// `name`, `number`, `mac`, `model`, `site`, `address`, `fetched` or `created`, with `-`
    /// before it the other way round.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 phones a page.
    #[param(required = false)]
    size: String,
}

impl PhoneListParams {
    fn filter(&self) -> Result<(Filter, Sort), Problem> {
        let mut errors = std::collections::BTreeMap::new();
        let mut wrong = |name: &str, why: &dyn std::fmt::Display| {
            errors.insert(name.to_owned(), why.to_string());
        };
        let vendor = match self.vendor.as_str() {
            "" => None,
            text => text.parse::<Vendor>().map_err(|error| wrong("vendor", &error)).ok(),
        };
        let model = match (self.model.as_str(), vendor) {
            ("", _) => None,
            (_, None) => {
                wrong("model", &"name its vendor too");
                None
            }
            (text, Some(vendor)) => {
                Model::find(vendor, text).map_err(|error| wrong("model", &error)).ok()
            }
        };
        let kind = [Kind::Phone, Kind::Ata].into_iter().find(|kind| kind.as_str() == self.kind);
        if kind.is_none() && !self.kind.is_empty() {
            wrong("kind", &"use phone or ata");
        }
        let profile = match self.profile.as_str() {
            "" => None,
            text => text.parse::<ProfileId>().map_err(|error| wrong("profile", &error)).ok(),
        };
        let state = Only::named(&self.state);
        if state.is_none() {
            wrong("state", &"use registered, unregistered, never_fetched, no_line or no_address");
        }
        let sort = Sort::asked(&self.sort);
        if sort.is_none() {
            wrong("sort", &"there is no such order");
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let (search, site) = (self.q.trim().to_owned(), self.site.clone());
        let state = state.unwrap_or_default();
        let filter = Filter { search, vendor, model, site, kind, profile, state };
        Ok((filter, sort.unwrap_or_default()))
    }
}

/// List phones
#[utoipa::path(get, path = "/api/v1/phones", operation_id = "listPhones", tag = "Phones", params(PhoneListParams),
    responses((status = 200, body = PhoneList), (status = 422, body = Problem)))]
async fn list_phones(by: Operator, params: web::Query<PhoneListParams>) -> Answer {
    let (filter, sort) = params.filter()?;
    let at = list::stretch(&params.page, list::size(&params.size));
    let mut tx = by.read().await?;
    let (phones, total) =
        phones_list::list(&mut tx, &by.state().counted, by.tenant(), &filter, sort, at).await?;
    let phones = phones.iter().map(ApiListedPhone::of).collect();
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &PhoneList { phones, total, page, size })
}

/// A phone just added, with what must be entered at it.
#[derive(Serialize, ToSchema)]
pub struct CreatedPhone {
    /// The phone.
    pub phone: ApiPhone,
    /// Where its files are, for the phone alone. Patchbay does not show it again without a
    /// password.
    #[schema(example = "https://pbx.example.com/provision/9wq3…")]
    pub provisioning_url: String,
}

/// Where the files of the phone with this token are.
pub(super) fn url(by: &Operator, token: &str) -> String {
    format!("{}/provision/{token}", by.state().phones_url)
}

/// Add a phone
///
/// With its lines, keys, settings and static address (`next` is the next free one of the subnet),
/// all or nothing. Everything that stands in the way is said at once.
#[utoipa::path(post, path = "/api/v1/phones", operation_id = "createPhone", tag = "Phones", request_body = PhoneFields,
    responses((status = 201, body = CreatedPhone), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_phone(by: Operator, fields: Json<PhoneFields>) -> Answer {
    let (mac, edit) = read::new(&by, fields.0).await?;
    let Some(model) = edit.model else { return Err(Problem::bad_request("name the model")) };
    let mut spec = Spec::new(model);
    edit.write_to(&mut spec);
    let new = NewPhone { mac, spec, address: edit.address.unwrap_or(Static::None) };
    let vault = &by.state().vault;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, vault.entropy()).await?;
    let phone = super::create(&mut space, vault, &new).await?;
    space.close().await?;
    let keys = super::secrets(change.tx(), vault, by.tenant(), mac).await?;
    change.commit().await?;
    let token = keys.map(|keys| keys.token).unwrap_or_default();
    let created = CreatedPhone { phone: ApiPhone::of(&phone), provisioning_url: url(&by, &token) };
    let mut answer = api::tagged(StatusCode::CREATED, phone.version, &created)?;
    if let Ok(to) = HeaderValue::from_str(&format!("/api/v1/phones/{}", mac.hex())) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    Ok(answer)
}

async fn find(by: &Operator, mac: Mac) -> Result<Phone, Problem> {
    let phone = super::get(&mut by.read().await?, by.tenant(), mac).await?;
    phone.ok_or_else(|| Problem::not_found("phone"))
}

/// Get a phone
///
/// The `ETag` is what `If-Match` takes when changing the phone.
#[utoipa::path(get, path = "/api/v1/phones/{mac}", operation_id = "getPhone", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 200, body = ApiPhone), (status = 404, body = Problem)))]
async fn get_phone(by: Operator, mac: web::Path<Mac>) -> Answer {
    let phone = find(&by, *mac).await?;
    api::tagged(StatusCode::OK, phone.version, &ApiPhone::of(&phone))
}

/// Change a phone
///
/// What is left out stays as it is; `null` takes a subnet, profile or address away, and leaves a
/// setting to the profiles. Lines and keys are given whole. With `If-Match` the phone is changed
/// only if nobody else changed it since it was read (412). Label, notes and keys are for whoever
/// may describe phones; the rest asks for more.
#[utoipa::path(patch, path = "/api/v1/phones/{mac}", operation_id = "updatePhone", tag = "Phones", request_body = PhoneFields,
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiPhone), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn patch_phone(
    request: HttpRequest,
    by: Operator,
    mac: web::Path<Mac>,
    fields: Json<PhoneFields>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    find(&by, *mac).await?;
    if !by.may(Right::ManagePhones) && !fields.0.only_describes() {
        return Err(Problem::forbidden());
    }
    let edit = read::changed(&by, *mac, fields.0).await?;
    let phone = save(&by, *mac, version, &edit).await?;
    api::tagged(StatusCode::OK, phone.version, &ApiPhone::of(&phone))
}

/// Saves an edit.
pub(super) async fn save(
    by: &Operator,
    mac: Mac,
    version: Option<i64>,
    edit: &Edit,
) -> Result<Phone, Problem> {
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let phone = super::update(&mut space, mac, version, edit).await?;
    space.close().await?;
    change.commit_if_any().await?;
    Ok(phone)
}

/// Removes a phone; what it was.
pub(super) async fn remove(by: &Operator, mac: Mac) -> Result<Phone, Problem> {
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let phone = super::delete(&mut space, mac).await?;
    space.close().await?;
    change.commit().await?;
    Ok(phone)
}

/// Delete a phone
///
/// Its lines and its address are free at once.
#[utoipa::path(delete, path = "/api/v1/phones/{mac}", operation_id = "deletePhone", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete_phone(by: Operator, mac: web::Path<Mac>) -> Answer {
    remove(&by, *mac).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Get the settings of a phone
///
/// Every setting's value, and where it comes from: `phone`, `usual` or the name of a profile.
#[utoipa::path(get, path = "/api/v1/phones/{mac}/settings", operation_id = "getPhoneSettings", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 200, body = [ApiSetting]), (status = 404, body = Problem)))]
async fn get_settings(by: Operator, mac: web::Path<Mac>) -> Answer {
    let phone = find(&by, *mac).await?;
    let settings = super::resolved(&mut by.read().await?, by.tenant(), &phone).await?;
    let settings: Vec<ApiSetting> = settings.iter().map(ApiSetting::of).collect();
    api::json(StatusCode::OK, &settings)
}

/// The static address of a phone.
#[derive(Serialize, ToSchema)]
pub struct StaticIp {
    /// The phone's MAC address.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac: String,
    /// Its address; `null` when it has none.
    #[schema(example = "192.168.1.100")]
    pub static_ip: Option<String>,
}

/// The static address a phone is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishedIp {
    /// An address of a static pool, or `next` for the next free one of the phone's subnet.
    #[schema(example = "192.168.1.100")]
    pub static_ip: String,
}

fn standing(phone: &Phone) -> StaticIp {
    StaticIp {
        mac: phone.mac.to_string(),
        static_ip: phone.address.map(|address| address.to_string()),
    }
}

/// Get the static address of a phone
#[utoipa::path(get, path = "/api/v1/phones/{mac}/static-ip", operation_id = "getPhoneAddress", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 200, body = StaticIp), (status = 404, body = Problem)))]
async fn get_address(by: Operator, mac: web::Path<Mac>) -> Answer {
    api::json(StatusCode::OK, &standing(&find(&by, *mac).await?))
}

/// Give a phone a static address
///
/// It is the address IPAM says the phone holds: inside a static pool, and nobody else's (409 says
/// whose it is).
#[utoipa::path(put, path = "/api/v1/phones/{mac}/static-ip", operation_id = "setPhoneAddress", tag = "Phones",
    request_body = WishedIp, params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 200, body = StaticIp), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn put_address(by: Operator, mac: web::Path<Mac>, wish: Json<WishedIp>) -> Answer {
    find(&by, *mac).await?;
    let address = read::address(&wish.0.static_ip)
        .map_err(|why| Problem::invalid([("static_ip".to_owned(), why)].into()))?;
    let edit = moved(address);
    api::json(StatusCode::OK, &standing(&save(&by, *mac, None, &edit).await?))
}

/// An edit of the address alone. One that is named names its subnet too.
pub(super) fn moved(address: Static) -> Edit {
    let subnet = matches!(address, Static::This(_)).then_some(None);
    Edit { address: Some(address), subnet, ..Edit::default() }
}

/// Take its static address from a phone
#[utoipa::path(delete, path = "/api/v1/phones/{mac}/static-ip", operation_id = "clearPhoneAddress", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete_address(by: Operator, mac: web::Path<Mac>) -> Answer {
    find(&by, *mac).await?;
    save(&by, *mac, None, &moved(Static::None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A provisioning URL, shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewUrl {
    /// Where the phone's files are now.
    pub provisioning_url: String,
}

/// Give a phone a new provisioning URL
///
/// And a new password for it. The old ones work no longer: the phone must be given the new URL by
/// hand, or enrol anew.
#[utoipa::path(post, path = "/api/v1/phones/{mac}/token", operation_id = "renewPhoneToken", tag = "Phones",
    params(("mac" = String, Path, description = "The phone's MAC address, in any notation")),
    responses((status = 200, body = NewUrl), (status = 404, body = Problem)))]
async fn renew_token(by: Operator, mac: web::Path<Mac>) -> Answer {
    let mut change = by.change().await?;
    let keys = super::renew(&mut change, &by.state().vault, *mac).await?;
    change.commit().await?;
    api::json(StatusCode::OK, &NewUrl { provisioning_url: url(&by, &keys.token) })
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    list_phones,
    create_phone,
    get_phone,
    patch_phone,
    delete_phone,
    get_settings,
    get_address,
    put_address,
    delete_address,
    renew_token
))]
pub struct Paths;
