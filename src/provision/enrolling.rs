//! What people decide about enrolment over REST: by the same functions as the pages.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::adopt::{self, Wish};
use super::queries::pages::{self, Place, Waiting};
use super::windows::{self, Length};
use super::{Provisioner, queries};
use crate::api::{self, Answer, Json, Paging, Problem};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::SubnetId;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::phones::{Model, Refusal, Refusals, Vendor};
use crate::text::Line;
use crate::time::Timestamp;
use crate::web::list;

/// Every call about enrolment.
pub(super) fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Api(Right::Read),
        Access::Api(Right::EditPhones),
        Access::Api(Right::ManagePhones),
    );
    let (put, delete) = (Method::PUT, Method::DELETE);
    vec![
        Route::get("/api/v1/phones/waiting", read, list_waiting),
        Route::post("/api/v1/phones/waiting/{mac}/adoption", manage, adopt_waiting),
        Route::new(delete.clone(), "/api/v1/phones/waiting/{mac}", manage, dismiss_waiting),
        Route::get("/api/v1/phones/{mac}/enrolment", read, get_window),
        Route::new(put.clone(), "/api/v1/phones/{mac}/enrolment", edit, open_window),
        Route::new(delete, "/api/v1/phones/{mac}/enrolment", edit, close_window),
        Route::get("/api/v1/phones/enrolment-subnets", read, list_places),
        Route::new(put, "/api/v1/phones/enrolment-subnets", manage, choose_places),
    ]
}

/// A phone nobody has added.
#[derive(Serialize, ToSchema)]
struct ApiWaiting {
    /// Its hardware address, as it says itself.
    #[schema(example = "00:15:65:12:34:56")]
    mac: String,
    /// Who made it, as far as is known; may be empty.
    vendor: String,
    /// What it says it is; may be empty.
    model: String,
    /// Its firmware; may be empty.
    firmware: String,
    /// How it introduced itself; may be empty.
    user_agent: String,
    /// From where it asked.
    ip: String,
    /// The subnet that is in, a UUID.
    subnet: Option<String>,
    /// The file it asked for last.
    file: String,
    /// RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    first_asked: Timestamp,
    /// RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    last_asked: Timestamp,
    /// How often it asked.
    times: i64,
}

impl From<Waiting> for ApiWaiting {
    fn from(phone: Waiting) -> Self {
        Self {
            mac: phone.mac.to_string(),
            vendor: phone.vendor,
            model: phone.model,
            firmware: phone.firmware,
            user_agent: phone.user_agent,
            ip: phone.address.to_string(),
            subnet: phone.subnet.map(|(id, _)| id.to_string()),
            file: phone.path,
            first_asked: phone.first_at,
            last_asked: phone.last_at,
            times: phone.times,
        }
    }
}

/// A page of phones nobody has added.
#[derive(Serialize, ToSchema)]
struct WaitingList {
    /// The newest first.
    phones: Vec<ApiWaiting>,
    /// How many there are in all.
    total: i64,
}

/// Phones that asked for a file and nobody has added
#[utoipa::path(get, path = "/api/v1/phones/waiting", operation_id = "listWaitingPhones", tag = "Provisioning",
    params(Paging), responses((status = 200, body = WaitingList)))]
async fn list_waiting(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    params: web::Query<Paging>,
) -> Answer {
    provisioner.flush().await?;
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let at = list::stretch(&params.page, list::size(&params.size));
    let phones = pages::waiting(&mut tx, tenant, None, at).await?;
    let total = pages::count_waiting(&mut tx, tenant).await?;
    let phones = phones.into_iter().map(ApiWaiting::from).collect();
    api::json(StatusCode::OK, &WaitingList { phones, total })
}

/// How a phone that waits is to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adoption {
    /// Who made it; what it says itself if left out.
    #[schema(example = "yealink")]
    vendor: Option<String>,
    /// Its model; what it says itself if left out.
    #[schema(example = "t46s")]
    model: Option<String>,
    /// What people are to call it.
    #[serde(default)]
    label: String,
    /// Whose number its first line is to have.
    #[schema(value_type = Option<String>, example = "1001")]
    extension: Option<String>,
    /// Whether it is to have the next free address of its subnet.
    #[serde(default)]
    static_ip: bool,
}

impl Adoption {
    fn parse(self, waiting: &Waiting) -> Result<Wish, Problem> {
        let mut wrong = std::collections::BTreeMap::new();
        let mut note = |field: &str, error: String| drop(wrong.insert(field.to_owned(), error));
        let vendor = self.vendor.as_deref().unwrap_or(&waiting.vendor).parse::<Vendor>();
        let name = self.model.as_deref().unwrap_or(&waiting.model);
        let model = match vendor {
            Ok(vendor) => {
                Model::find(vendor, name).map_err(|error| note("model", error.to_string()))
            }
            Err(error) => {
                note("vendor", error.to_string());
                Err(())
            }
        };
        let label = self.label.parse::<Line<60>>();
        let label = label.map_err(|error| note("label", error.to_string()));
        let extension = self.extension.map(|text| text.parse::<ExtensionNumber>()).transpose();
        let extension = extension.map_err(|error| note("extension", error.to_string()));
        match (model, label, extension) {
            (Ok(model), Ok(label), Ok(extension)) => {
                Ok(Wish { model, label, extension, address: self.static_ip })
            }
            _ => Err(Problem::invalid(wrong)),
        }
    }
}

/// What is wrong with the line is so with the extension that was to have it.
fn named(refusals: Refusals) -> Problem {
    let line = |refusal: &&Refusal| refusal.field().as_deref() == Some("line-1");
    let line = refusals.0.iter().find(line).map(ToString::to_string);
    let problem = Problem::from(refusals);
    match line {
        Some(why) => problem.field("extension", &why),
        None => problem,
    }
}

async fn waiting(by: &Operator, mac: Mac) -> Result<Waiting, Problem> {
    let one = Page { offset: 0, limit: 1 };
    let found = pages::waiting(&mut by.read().await?, by.tenant(), Some(mac), one).await?;
    found.into_iter().next().ok_or_else(|| Problem::not_found("waiting phone"))
}

/// Add a phone that waits
///
/// With a line and an address if wished, at the site of its subnet, all or nothing. It may then fetch
/// its file within the hour.
/// What it is now is at `/api/v1/phones/{mac}`.
#[utoipa::path(post, path = "/api/v1/phones/waiting/{mac}/adoption", operation_id = "adoptPhone", tag = "Provisioning",
    request_body = Adoption, params(("mac" = String, Path, description = "Its MAC address, in any notation")),
    responses((status = 201, body = Window), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn adopt_waiting(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<Mac>,
    wish: Json<Adoption>,
) -> Answer {
    provisioner.flush().await?;
    let waiting = waiting(&by, *mac).await?;
    let wish = wish.0.parse(&waiting)?;
    let mut change = by.change().await?;
    adopt::adopt(&mut change, &by.state().vault, &waiting, wish).await.map_err(named)?;
    change.commit().await?;
    provisioner.forgive(waiting.address);
    let mut answer = api::json(StatusCode::CREATED, &window(&by, *mac).await?)?;
    if let Ok(to) = HeaderValue::from_str(&format!("/api/v1/phones/{}", mac.hex())) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    Ok(answer)
}

/// Take a phone nobody has added off the list
///
/// Until it asks again.
#[utoipa::path(delete, path = "/api/v1/phones/waiting/{mac}", operation_id = "dismissPhone", tag = "Provisioning",
    params(("mac" = String, Path, description = "Its MAC address, in any notation")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn dismiss_waiting(by: Operator, mac: web::Path<Mac>) -> Answer {
    let mut change = by.change().await?;
    if !windows::dismiss(&mut change, *mac).await? {
        return Err(Problem::not_found("waiting phone"));
    }
    change.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A phone's enrolment window.
#[derive(Serialize, ToSchema)]
struct Window {
    /// The phone's MAC address.
    #[schema(example = "00:15:65:12:34:56")]
    mac: String,
    /// Until when it may fetch its file by its plain name, once; null when it may not. RFC 3339, UTC.
    #[schema(value_type = Option<String>, format = DateTime)]
    open_until: Option<Timestamp>,
}

async fn window(by: &Operator, mac: Mac) -> Result<Window, Problem> {
    let phone = queries::phone(&mut by.read().await?, Some(mac)).await?;
    let ours = phone.filter(|phone| phone.tenant == by.tenant());
    let phone = ours.ok_or_else(|| Problem::not_found("phone"))?;
    let now = by.state().clock.now();
    let open_until = phone.enrol_until.filter(|until| *until > now);
    Ok(Window { mac: mac.to_string(), open_until })
}

/// Whether a phone may enrol, and until when
#[utoipa::path(get, path = "/api/v1/phones/{mac}/enrolment", operation_id = "getEnrolment", tag = "Provisioning",
    params(("mac" = String, Path, description = "Its MAC address, in any notation")),
    responses((status = 200, body = Window), (status = 404, body = Problem)))]
async fn get_window(by: Operator, mac: web::Path<Mac>) -> Answer {
    api::json(StatusCode::OK, &window(&by, *mac).await?)
}

/// How long a window is to be open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Opening {
    /// `15m`, `1h` or `24h`.
    #[schema(example = "1h")]
    length: String,
}

/// Let a phone enrol for a while
///
/// It may then fetch its own file by its plain name, once, from an enrolment subnet.
#[utoipa::path(put, path = "/api/v1/phones/{mac}/enrolment", operation_id = "openEnrolment", tag = "Provisioning",
    request_body = Opening, params(("mac" = String, Path, description = "Its MAC address, in any notation")),
    responses((status = 200, body = Window), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn open_window(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<Mac>,
    opening: Json<Opening>,
) -> Answer {
    let length = opening.0.length.parse::<Length>();
    let length = length
        .map_err(|error| Problem::invalid([("length".to_owned(), error.to_string())].into()))?;
    let until = provisioner.open_window(by.change().await?, *mac, length).await?;
    let open_until = Some(until.ok_or_else(|| Problem::not_found("phone"))?);
    api::json(StatusCode::OK, &Window { mac: mac.to_string(), open_until })
}

/// Let a phone enrol no longer
#[utoipa::path(delete, path = "/api/v1/phones/{mac}/enrolment", operation_id = "closeEnrolment", tag = "Provisioning",
    params(("mac" = String, Path, description = "Its MAC address, in any notation")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn close_window(by: Operator, mac: web::Path<Mac>) -> Answer {
    let mut change = by.change().await?;
    if !windows::close(&mut change, *mac).await? {
        return Err(Problem::not_found("phone"));
    }
    change.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A subnet, and whether phones enrol in it.
#[derive(Serialize, ToSchema)]
struct EnrolmentSubnet {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    id: SubnetId,
    /// What it is called.
    name: String,
    /// Its addresses.
    #[schema(example = "192.168.1.0/24")]
    cidr: String,
    /// Whether unknown phones may wait in it and known ones enrol.
    chosen: bool,
}

impl From<Place> for EnrolmentSubnet {
    fn from(place: Place) -> Self {
        let (id, name, chosen) = (place.id, place.name, place.chosen);
        Self { id, name, cidr: place.cidr.to_string(), chosen }
    }
}

async fn places(by: &Operator) -> Answer {
    let places = pages::places(&mut by.read().await?, by.tenant()).await?;
    let places: Vec<EnrolmentSubnet> = places.into_iter().map(Into::into).collect();
    api::json(StatusCode::OK, &places)
}

/// The subnets, and whether phones enrol in them
#[utoipa::path(get, path = "/api/v1/phones/enrolment-subnets", operation_id = "listEnrolmentSubnets", tag = "Provisioning",
    responses((status = 200, body = [EnrolmentSubnet])))]
async fn list_places(by: Operator) -> Answer {
    places(&by).await
}

/// The subnets phones are to enrol in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChosenSubnets {
    /// Their ids. All others are no longer chosen.
    #[schema(value_type = Vec<String>)]
    subnets: Vec<String>,
}

/// Choose the subnets phones enrol in
#[utoipa::path(put, path = "/api/v1/phones/enrolment-subnets", operation_id = "chooseEnrolmentSubnets", tag = "Provisioning",
    request_body = ChosenSubnets, responses((status = 200, body = [EnrolmentSubnet]), (status = 422, body = Problem)))]
async fn choose_places(by: Operator, chosen: Json<ChosenSubnets>) -> Answer {
    let mut change = by.change().await?;
    let all = pages::places(change.tx(), by.tenant()).await?;
    let known = |text: &String| {
        let id = text.parse::<SubnetId>().ok()?;
        all.iter().any(|place| place.id == id).then_some(id)
    };
    let Some(ids) = chosen.0.subnets.iter().map(known).collect::<Option<Vec<SubnetId>>>() else {
        let why = "there is no such subnet; name them by their ids".to_owned();
        return Err(Problem::invalid([("subnets".to_owned(), why)].into()));
    };
    windows::choose(&mut change, &ids).await?;
    change.commit_if_any().await?;
    places(&by).await
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    list_waiting,
    adopt_waiting,
    dismiss_waiting,
    get_window,
    open_window,
    close_window,
    list_places,
    choose_places
))]
pub struct Paths;
