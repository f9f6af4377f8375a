//! Observation over REST: the same rules as the pages, because both call the same functions.

mod settings;

use std::collections::BTreeMap;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::leases::{self, FILE_LIMIT};
use super::types::{Found, Sighting, Sweep, What};
use super::{Refusal, seen};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::{SubnetId, SweepId};
use crate::ipam::addresses;
use crate::ipam::space::Space;
use crate::time::Timestamp;
use crate::web::Error;
use crate::web::list;
use crate::web::sheet::{Spooled, spool_body};

/// Most addresses of one report.
const MOST: usize = 5_000;
/// Seconds a script's clock may be ahead.
const AHEAD: i64 = 300;

/// Every call about observation.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    let reserve = Access::Api(Right::ReserveAddresses);
    vec![
        Route::get("/api/v1/subnets/{id}/observation", read, settings::get_settings),
        Route::new(Method::PUT, "/api/v1/subnets/{id}/observation", manage, settings::set_settings),
        Route::post("/api/v1/addresses/{address}/name", reserve, settings::look_up),
        Route::post("/api/v1/subnets/{id}/sweeps", manage, start_sweep),
        Route::get("/api/v1/sweeps", read, list_sweeps),
        Route::get("/api/v1/sweeps/{sweep}", read, get_sweep),
        Route::post("/api/v1/sweeps/{sweep}/stop", manage, stop_sweep),
        Route::post("/api/v1/observations", manage, report),
        Route::post("/api/v1/observations/leases", manage, import_leases).uploads(FILE_LIMIT),
    ]
}

/// One look at every address of a subnet.
#[derive(Serialize, ToSchema)]
pub struct ApiSweep {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: SweepId,
    /// The subnet's id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub subnet_id: SubnetId,
    /// `queued`, `running`, `done`, `stopped`, `failed` or `interrupted`.
    pub state: &'static str,
    /// Addresses in all.
    pub total: i64,
    /// Addresses asked so far.
    pub asked: i64,
    /// Addresses that answered.
    pub seen: i64,
    /// Who asked for it.
    pub actor: String,
    /// RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it began; RFC 3339, UTC.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended; RFC 3339, UTC.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// What went wrong; empty when nothing did.
    pub error: String,
}

impl From<Sweep> for ApiSweep {
    fn from(sweep: Sweep) -> Self {
        Self {
            id: sweep.id,
            subnet_id: sweep.subnet,
            state: sweep.state.as_str(),
            total: sweep.total,
            asked: sweep.asked,
            seen: sweep.seen,
            actor: sweep.actor,
            created_at: sweep.created_at,
            started_at: sweep.started_at,
            finished_at: sweep.finished_at,
            error: sweep.error,
        }
    }
}

/// A page of sweeps.
#[derive(Serialize, ToSchema)]
pub struct SweepList {
    /// The sweeps of this page, the newest first.
    pub sweeps: Vec<ApiSweep>,
    /// How many there are in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Sweeps a page.
    pub size: i64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those of this subnet, by its id.
    #[param(required = false)]
    subnet: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 sweeps a page.
    #[param(required = false)]
    size: String,
}

/// An address that somebody saw in use.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The address, IPv4 or IPv6.
    #[schema(example = "10.20.5.17")]
    address: String,
    /// The interface it was seen with, in any notation.
    #[schema(example = "00:15:65:aa:bb:cc")]
    mac: Option<String>,
    /// What the machine calls itself.
    hostname: Option<String>,
    /// When, RFC 3339; without it now.
    #[schema(format = DateTime)]
    seen_at: Option<String>,
}

/// What a file of leases said, and what came of it.
#[derive(Serialize, ToSchema)]
pub struct LeasesOut {
    /// Leases in the file, one for each address.
    pub leases: usize,
    /// Those that run.
    pub running: usize,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What came of them.
    pub found: Found,
    /// Lines that were not read, the first hundred.
    pub faults: Vec<LeaseFault>,
    /// How many lines were not read.
    pub faulty: usize,
}

/// A line of a lease file that was not read.
#[derive(Serialize, ToSchema)]
pub struct LeaseFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LeasesParams {
    /// Say what would happen, change nothing.
    #[param(required = false)]
    dry_run: bool,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing(what) => return Self::not_found(what),
            Refusal::UnderWay(_) | Refusal::Over => StatusCode::CONFLICT,
            Refusal::TooLarge { .. } | Refusal::Nothing(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<leases::Refusal> for Problem {
    fn from(refusal: leases::Refusal) -> Self {
        match refusal {
            leases::Refusal::Fault(error) => error.into(),
            other => Self::new(StatusCode::UNPROCESSABLE_ENTITY, other.to_string()),
        }
    }
}

/// Sweep a subnet
///
/// Answers at once; the sweep goes on in the background. IPv4: all addresses, at most 65,536. IPv6:
/// the known ones.
#[utoipa::path(post, path = "/api/v1/subnets/{id}/sweeps", operation_id = "startSweep", tag = "Observation",
    params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 202, body = ApiSweep), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn start_sweep(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut change = by.change().await?;
    let sweep = super::start(&mut change, by.state().vault.entropy(), *id).await?;
    change.commit().await?;
    let place = format!("/api/v1/sweeps/{}", sweep.id);
    let mut answer = api::json(StatusCode::ACCEPTED, &ApiSweep::from(sweep))?;
    if let Ok(place) = header::HeaderValue::from_str(&place) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

/// List sweeps
#[utoipa::path(get, path = "/api/v1/sweeps", operation_id = "listSweeps", tag = "Observation", params(ListParams),
    responses((status = 200, body = SweepList), (status = 422, body = Problem)))]
async fn list_sweeps(by: Operator, params: web::Query<ListParams>) -> Answer {
    let subnet = match params.subnet.as_str() {
        "" => None,
        text => Some(text.parse::<SubnetId>().map_err(|error| {
            Problem::invalid([("subnet".to_owned(), error.to_string())].into())
        })?),
    };
    let at = list::stretch(&params.page, list::size(&params.size));
    let mut tx = by.read().await?;
    let (sweeps, total) = super::list(&mut tx, by.tenant(), subnet, at).await?;
    let sweeps = sweeps.into_iter().map(ApiSweep::from).collect();
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &SweepList { sweeps, total, page, size })
}

/// Get a sweep
#[utoipa::path(get, path = "/api/v1/sweeps/{sweep}", operation_id = "getSweep", tag = "Observation",
    params(("sweep" = String, Path, description = "The sweep's id")),
    responses((status = 200, body = ApiSweep), (status = 404, body = Problem)))]
async fn get_sweep(by: Operator, id: web::Path<SweepId>) -> Answer {
    let sweep = super::get(&mut by.read().await?, by.tenant(), *id).await?;
    let sweep = sweep.ok_or_else(|| Problem::not_found("sweep"))?;
    api::json(StatusCode::OK, &ApiSweep::from(sweep))
}

/// Stop a sweep
///
/// What it has found is kept. One under way ends within seconds.
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/stop", operation_id = "stopSweep", tag = "Observation",
    params(("sweep" = String, Path, description = "The sweep's id")),
    responses((status = 202, body = ApiSweep), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn stop_sweep(by: Operator, id: web::Path<SweepId>) -> Answer {
    let mut change = by.change().await?;
    let sweep = super::stop(&mut change, *id).await?;
    change.commit().await?;
    api::json(StatusCode::ACCEPTED, &ApiSweep::from(sweep))
}

/// Report addresses that were seen in use
///
/// For scripts that look where Patchbay cannot. All of them are taken or none.
#[utoipa::path(post, path = "/api/v1/observations", operation_id = "reportObservations", tag = "Observation",
    request_body = Vec<Observation>,
    responses((status = 200, body = Found), (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn report(by: Operator, observations: Json<Vec<Observation>>) -> Answer {
    let observations = observations.0;
    if observations.len() > MOST {
        let why = format!("send at most {MOST} at a time");
        return Err(Problem::invalid([("body".to_owned(), why)].into()));
    }
    let now = by.state().clock.now();
    let mut errors = BTreeMap::new();
    let sightings: Vec<Sighting> = observations
        .into_iter()
        .enumerate()
        .filter_map(|(n, observation)| observation.parse(n, now, &mut errors))
        .collect();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let found = seen(&mut space, &sightings).await.map_err(refused)?;
    space.close().await?;
    change.commit_seen().await?;
    api::json(StatusCode::OK, &found)
}

fn refused(refusal: addresses::Refusal) -> Problem {
    match refusal {
        addresses::Refusal::Fault(error) => error.into(),
        other => Problem::new(StatusCode::CONFLICT, other.to_string()),
    }
}

impl Observation {
    /// Its faults join the others, each under the place of the observation and the field.
    fn parse(
        self,
        n: usize,
        now: Timestamp,
        errors: &mut BTreeMap<String, String>,
    ) -> Option<Sighting> {
        let before = errors.len();
        let address = field(&format!("{n}.address"), Some(self.address), errors);
        let mac = field(&format!("{n}.mac"), self.mac, errors);
        let hostname = field(&format!("{n}.hostname"), self.hostname, errors);
        let at = match self.seen_at.map(|text| text.parse::<jiff::Timestamp>()) {
            None => Some(now),
            Some(Ok(at)) if at.as_second() <= now.0 + AHEAD => Some(Timestamp(at.as_second())),
            Some(_) => {
                let why = "use a time that is not in the future, as 2026-11-20T16:05:00Z";
                errors.insert(format!("{n}.seen_at"), why.to_owned());
                None
            }
        };
        let at = at?.min(now);
        let sighting = Sighting {
            mac,
            hostname: hostname.unwrap_or_default(),
            ..Sighting::new(address?, at, What::Present)
        };
        (errors.len() == before).then_some(sighting)
    }
}

fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
    errors: &mut BTreeMap<String, String>,
) -> Option<T> {
    text?.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
}

/// The body of a call that brings a lease file: its content tells which kind it is.
struct LeaseFile(Spooled);

impl FromRequest for LeaseFile {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        const KINDS: [&str; 4] =
            ["text/csv", "text/plain", "application/json", "application/octet-stream"];
        if !KINDS.contains(&request.content_type().to_ascii_lowercase().as_str()) {
            let why = format!("send the file as {}", KINDS.join(", "));
            let refusal = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
            return ready(Err(refusal)).boxed_local();
        }
        let body = spool_body(request, payload);
        async move { Ok(Self(body.await?)) }.boxed_local()
    }
}

/// Import a DHCP server's leases
///
/// A lease file of Kea (memfile, IPv4 or IPv6) or dnsmasq, or Kea's answer to `lease4-get-all` or
/// `lease6-get-all`. Lines that cannot be read are left out and named.
#[utoipa::path(post, path = "/api/v1/observations/leases", operation_id = "importLeases", tag = "Observation",
    params(LeasesParams), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = LeasesOut), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
async fn import_leases(by: Operator, params: web::Query<LeasesParams>, file: LeaseFile) -> Answer {
    let content = tokio::fs::read(file.0.path()).await.map_err(Error::Io)?;
    let mut change = by.long_change().await?;
    let summary = leases::import(&mut change, by.state().vault.entropy(), &content).await?;
    if params.dry_run {
        drop(change);
    } else {
        change.commit().await?;
    }
    let out = LeasesOut {
        leases: summary.leases,
        running: summary.running,
        dry_run: params.dry_run,
        found: summary.found,
        faults: summary
            .faults
            .into_iter()
            .map(|fault| LeaseFault { line: fault.line, why: fault.what })
            .collect(),
        faulty: summary.faulty,
    };
    api::json(StatusCode::OK, &out)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    start_sweep,
    list_sweeps,
    get_sweep,
    stop_sweep,
    report,
    import_leases,
    settings::get_settings,
    settings::set_settings,
    settings::look_up
))]
pub struct Paths;
