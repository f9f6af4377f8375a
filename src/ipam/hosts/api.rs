//! `/api/v1/hosts`: the same rules as the pages, because both call the same functions.

use std::collections::BTreeMap;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{Host, HostName, Only, Sort, Spec};
use super::{Refusal, Standing, list_standing, standing};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::HostId;
use crate::ipam::space::Space;
use crate::net::{Address, Mac};
use crate::text::{ByName, Line};
use crate::web::list;

/// Every call about hosts.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    vec![
        Route::get("/api/v1/hosts", read, list_hosts),
        Route::post("/api/v1/hosts", manage, create_host),
        Route::get("/api/v1/hosts/{id}", read, get_host),
        Route::new(Method::PATCH, "/api/v1/hosts/{id}", manage, patch_host),
        Route::new(Method::DELETE, "/api/v1/hosts/{id}", manage, delete_host),
    ]
}

/// A host.
#[derive(Serialize, ToSchema)]
pub struct ApiHost {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: HostId,
    /// What it is called.
    pub hostname: String,
    /// The address it works with.
    pub primary_ip: Option<String>,
    /// The interface that has it.
    pub nic_mac: Option<String>,
    /// The address of its management controller.
    pub bmc_ip: Option<String>,
    /// The controller's interface.
    pub bmc_mac: Option<String>,
    /// What it is; addresses show it as their platform.
    pub device_type: String,
    /// Who made it.
    pub manufacturer: String,
    /// What else there is to say.
    pub description: String,
    /// The addresses it names that somebody else has or claims.
    pub conflicts: Vec<HostConflict>,
    /// The addresses it names that lie in no subnet.
    pub in_no_subnet: Vec<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// An address that two want.
#[derive(Serialize, ToSchema)]
pub struct HostConflict {
    /// The host's field that names it: `primary_ip` or `bmc_ip`.
    pub field: String,
    /// The address.
    pub address: String,
    /// Who has it.
    #[schema(example = "host gw-ber-1")]
    pub holder: String,
    /// Who claims it besides.
    pub claimants: Vec<String>,
}

/// A host to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiHost {
    /// What it is called: letters, digits, dots and hyphens; unique whatever its case.
    #[schema(example = "gw-ber-1")]
    hostname: String,
    /// The address it works with.
    #[schema(example = "10.20.5.10")]
    primary_ip: Option<String>,
    /// The interface that has it, in any notation.
    #[schema(example = "00:15:65:aa:bb:cc")]
    nic_mac: Option<String>,
    /// The address of its management controller.
    bmc_ip: Option<String>,
    /// The controller's interface.
    bmc_mac: Option<String>,
    /// What it is.
    #[schema(example = "gateway")]
    device_type: Option<String>,
    /// Who made it.
    manufacturer: Option<String>,
    /// What else there is to say.
    description: Option<String>,
}

/// What is to be different; what is left out stays, and `null` takes an address or a MAC away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPatch {
    /// The new name.
    hostname: Option<String>,
    /// The new address.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    primary_ip: Option<String>,
    /// The new interface.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    nic_mac: Option<String>,
    /// The controller's new address.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    bmc_ip: Option<String>,
    /// The controller's new interface.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    bmc_mac: Option<String>,
    /// What it is now.
    device_type: Option<String>,
    /// Who made it.
    manufacturer: Option<String>,
    /// What else there is to say.
    description: Option<String>,
}

/// Tells `null`, which is as good as nothing typed, from a field that is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

/// A page of hosts.
#[derive(Serialize, ToSchema)]
pub struct HostList {
    /// The hosts of this page.
    pub hosts: Vec<ApiHost>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Hosts a page.
    pub size: i64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HostListParams {
    /// Part of the name, an address or the beginning of one, a CIDR, a MAC, type or manufacturer.
    #[param(required = false)]
    q: String,
    /// `conflict` or `orphan`; without it all.
    #[param(required = false)]
    show: String,
    /// `hostname`, `address`, `type` or `manufacturer`, with `-` before it the other way round.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 hosts a page.
    #[param(required = false)]
    size: String,
}

fn out(host: &Host, standing: &Standing) -> ApiHost {
    let spec = &host.spec;
    let conflicts = standing.disputes().map(|interface| HostConflict {
        field: interface.field.to_owned(),
        address: interface.address.to_string(),
        holder: interface.holder().to_owned(),
        claimants: interface.claimants().into_iter().map(ToOwned::to_owned).collect(),
    });
    let orphans = standing.0.iter().filter(|interface| interface.is_orphan());
    ApiHost {
        id: host.id,
        hostname: spec.hostname.to_string(),
        primary_ip: spec.primary_ip.map(|address| address.to_string()),
        nic_mac: spec.nic_mac.map(|mac| mac.to_string()),
        bmc_ip: spec.bmc_ip.map(|address| address.to_string()),
        bmc_mac: spec.bmc_mac.map(|mac| mac.to_string()),
        device_type: spec.device_type.to_string(),
        manufacturer: spec.manufacturer.to_string(),
        description: spec.description.to_string(),
        conflicts: conflicts.collect(),
        in_no_subnet: orphans.map(|interface| interface.address.to_string()).collect(),
        created_at: host.created_at.to_string(),
        updated_at: host.updated_at.to_string(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("host"),
            Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::NameTaken(_) | Refusal::Assigned { .. } => StatusCode::CONFLICT,
            Refusal::SameAddress | Refusal::Never { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

/// What is wrong with each field.
type Errors = BTreeMap<String, String>;

/// Parses a field; its error joins the others.
fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
    errors: &mut Errors,
) -> Option<T> {
    text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
}

/// As [`field`], for what may be empty.
fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
    errors: &mut Errors,
) -> Option<T> {
    text.filter(|text| !text.trim().is_empty()).and_then(|text| field(name, text.trim(), errors))
}

impl NewApiHost {
    fn parse(self) -> Result<Spec, Problem> {
        let mut errors = Errors::new();
        let hostname = field::<HostName>("hostname", &self.hostname, &mut errors);
        let line = |name, text, errors: &mut Errors| {
            optional::<Line<100>>(name, text, errors).unwrap_or_default()
        };
        let primary_ip = optional::<Address>("primary_ip", self.primary_ip, &mut errors);
        let nic_mac = optional::<Mac>("nic_mac", self.nic_mac, &mut errors);
        let bmc_ip = optional::<Address>("bmc_ip", self.bmc_ip, &mut errors);
        let bmc_mac = optional::<Mac>("bmc_mac", self.bmc_mac, &mut errors);
        let device_type = line("device_type", self.device_type, &mut errors);
        let manufacturer = line("manufacturer", self.manufacturer, &mut errors);
        let description =
            optional::<Line<500>>("description", self.description, &mut errors).unwrap_or_default();
        match hostname {
            Some(hostname) if errors.is_empty() => Ok(Spec {
                hostname,
                primary_ip,
                nic_mac,
                bmc_ip,
                bmc_mac,
                device_type,
                manufacturer,
                description,
            }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

impl HostPatch {
    /// What the host is to be, which is `spec` now.
    fn apply(self, mut spec: Spec) -> Result<Spec, Problem> {
        let mut errors = Errors::new();
        if let Some(text) = self.hostname {
            let name = field::<HostName>("hostname", &text, &mut errors);
            spec.hostname = name.unwrap_or(spec.hostname);
        }
        if self.primary_ip.is_some() {
            spec.primary_ip = optional("primary_ip", self.primary_ip, &mut errors);
        }
        if self.nic_mac.is_some() {
            spec.nic_mac = optional("nic_mac", self.nic_mac, &mut errors);
        }
        if self.bmc_ip.is_some() {
            spec.bmc_ip = optional("bmc_ip", self.bmc_ip, &mut errors);
        }
        if self.bmc_mac.is_some() {
            spec.bmc_mac = optional("bmc_mac", self.bmc_mac, &mut errors);
        }
        if let Some(text) = self.device_type {
            spec.device_type = field("device_type", &text, &mut errors).unwrap_or_default();
        }
        if let Some(text) = self.manufacturer {
            spec.manufacturer = field("manufacturer", &text, &mut errors).unwrap_or_default();
        }
        if let Some(text) = self.description {
            spec.description = field("description", &text, &mut errors).unwrap_or_default();
        }
        if errors.is_empty() { Ok(spec) } else { Err(Problem::invalid(errors)) }
    }
}

fn unknown(name: &str, why: &str) -> Problem {
    Problem::invalid([(name.to_owned(), why.to_owned())].into())
}

/// The host as it stands now.
async fn answer(by: &Operator, status: StatusCode, host: &Host) -> Answer {
    let standing = standing(&mut by.read().await?, by.tenant(), host).await?;
    api::tagged(status, host.version, &out(host, &standing))
}

/// List hosts
#[utoipa::path(get, path = "/api/v1/hosts", operation_id = "listHosts", tag = "Hosts", params(HostListParams),
    responses((status = 200, body = HostList), (status = 422, body = Problem)))]
async fn list_hosts(by: Operator, params: web::Query<HostListParams>) -> Answer {
    let only =
        Only::named(&params.show).ok_or_else(|| unknown("show", "use conflict or orphan"))?;
    let sort = Sort::asked(&params.sort);
    let sort = sort.ok_or_else(|| unknown("sort", "there is no such order"))?;
    let at = list::stretch(&params.page, list::size(&params.size));
    let mut tx = by.read().await?;
    let (hosts, total) = super::list_only(&mut tx, by.tenant(), &params.q, only, sort, at).await?;
    let standings = list_standing(&mut tx, by.tenant(), &hosts).await?;
    let hosts = hosts.iter().zip(&standings).map(|(host, standing)| out(host, standing)).collect();
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &HostList { hosts, total, page, size })
}

/// Add a host
///
/// Its addresses are allocated to it. One that somebody else has stays theirs: the host is added
/// all the same, and the answer names the conflict.
#[utoipa::path(post, path = "/api/v1/hosts", operation_id = "createHost", tag = "Hosts", request_body = NewApiHost,
    responses((status = 201, body = ApiHost), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_host(by: Operator, new: Json<NewApiHost>) -> Answer {
    let spec = new.0.parse()?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let saved = super::create(&mut space, &spec).await?;
    space.close().await?;
    change.commit().await?;
    let mut answer = answer(&by, StatusCode::CREATED, &saved.host).await?;
    if let Ok(path) = HeaderValue::from_str(&format!("/api/v1/hosts/{}", saved.host.id)) {
        answer.headers_mut().insert(header::LOCATION, path);
    }
    Ok(answer)
}

/// Get a host
///
/// The `ETag` is what `If-Match` takes when changing the host.
#[utoipa::path(get, path = "/api/v1/hosts/{id}", operation_id = "getHost", tag = "Hosts",
    params(("id" = String, Path, description = "The host's id")),
    responses((status = 200, body = ApiHost), (status = 404, body = Problem)))]
async fn get_host(by: Operator, id: web::Path<HostId>) -> Answer {
    let host = super::get(&mut by.read().await?, by.tenant(), *id).await?;
    let host = host.ok_or_else(|| Problem::not_found("host"))?;
    answer(&by, StatusCode::OK, &host).await
}

/// Change a host
///
/// Addresses it no longer names are freed and new ones allocated, all at once; conflicts are named
/// in the answer. With `If-Match` the host is changed only if nobody else changed it since it was
/// read (412).
#[utoipa::path(patch, path = "/api/v1/hosts/{id}", operation_id = "updateHost", tag = "Hosts", request_body = HostPatch,
    params(("id" = String, Path, description = "The host's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiHost), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn patch_host(
    request: HttpRequest,
    by: Operator,
    id: web::Path<HostId>,
    patch: Json<HostPatch>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let old = super::get(space.tx(), by.tenant(), *id).await?;
    let old = old.ok_or_else(|| Problem::not_found("host"))?;
    let spec = patch.0.apply(old.spec)?;
    let saved = super::update(&mut space, *id, version, &spec).await?;
    space.close().await?;
    change.commit_if_any().await?;
    answer(&by, StatusCode::OK, &saved.host).await
}

/// Delete a host
///
/// Its addresses are free at once, or belong to whoever else claims them. With `If-Match` only if
/// nobody changed it since it was read (412).
#[utoipa::path(delete, path = "/api/v1/hosts/{id}", operation_id = "deleteHost", tag = "Hosts",
    params(("id" = String, Path, description = "The host's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
async fn delete_host(request: HttpRequest, by: Operator, id: web::Path<HostId>) -> Answer {
    let version = api::if_match(request.headers())?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let old = super::get(space.tx(), by.tenant(), *id).await?;
    let old = old.ok_or_else(|| Problem::not_found("host"))?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)).into());
    }
    super::delete(&mut space, *id).await?;
    space.close().await?;
    change.commit().await?;
    Ok(actix_web::HttpResponse::NoContent().finish())
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_hosts, create_host, get_host, patch_host, delete_host))]
pub struct Paths;
