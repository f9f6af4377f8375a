//! `/api/v1/reports`: the reports as JSON.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ask::Ask;
use super::types::{Filter, Line, Place, Report, SiteUse, SubnetUse, Use};
use crate::api::{self, Answer, Problem};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::time::Timestamp;
use crate::web::list;

/// Every call for reports.
pub(super) fn routes() -> Vec<Route> {
    let read = Access::Api(Right::Read);
    vec![
        Route::get("/api/v1/reports/utilisation", read, get_utilisation),
        Route::get("/api/v1/reports/sites", read, get_sites),
        Route::get("/api/v1/reports/reservations", read, get_reservations),
        Route::get("/api/v1/reports/conflicts", read, get_conflicts),
        Route::get("/api/v1/reports/inactive", read, get_inactive),
        Route::get("/api/v1/reports/orphans", read, get_orphans),
    ]
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Params {
    /// Only what lies in this subnet: its name or id, or addresses such as `10.20.0.0/16`.
    #[param(required = false)]
    subnet: String,
    /// Only subnets of this site; `(none)` for those without one.
    #[param(required = false)]
    site: String,
    /// `4` or `6`; without it both.
    #[param(required = false)]
    family: String,
    /// For inactive addresses: not seen for so many days (30).
    #[param(required = false)]
    days: String,
    /// For reservations: only this person's.
    #[param(required = false)]
    person: String,
    /// `address`, `name`, `site`, `used` or `free`; for reservations `person`, `age` or `address`;
    /// for inactive addresses `address` or `seen`.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 rows a page.
    #[param(required = false)]
    size: String,
}

/// What is read for a report.
struct Reading {
    tx: Tx,
    filter: Filter,
    at: Page,
    now: Timestamp,
}

impl Reading {
    async fn new(by: &Operator, params: Params, report: Report) -> Result<Self, Problem> {
        let Params { subnet, site, family, days, person, sort, page, size } = params;
        let mut ask = Ask {
            subnet: subnet.into(),
            days: days.into(),
            site,
            family,
            person,
            sort,
            page,
            size,
            ..Ask::default()
        };
        let (mut tx, now) = (by.read().await?, by.state().clock.now());
        let at = list::stretch(&ask.page, list::size(&ask.size));
        let filter = ask.filter(&mut tx, by.tenant(), report, now).await?;
        let errors = [("subnet", ask.subnet.error), ("days", ask.days.error)];
        let errors: BTreeMap<String, String> = errors
            .into_iter()
            .filter_map(|(name, error)| Some((name.to_owned(), error?)))
            .collect();
        filter.map(|filter| Self { tx, filter, at, now }).ok_or_else(|| Problem::invalid(errors))
    }

    fn page(&self) -> i64 {
        self.at.offset / self.at.limit + 1
    }

    /// This page of rows that are all there.
    fn cut<T>(&self, rows: Vec<T>) -> (Vec<T>, i64) {
        let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let offset = usize::try_from(self.at.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.at.limit).unwrap_or(usize::MAX);
        (rows.into_iter().skip(offset).take(limit).collect(), total)
    }
}

/// A subnet by name.
#[derive(Serialize, ToSchema)]
pub struct ReportPlace {
    /// Its id, a UUID.
    #[schema(format = Uuid)]
    id: String,
    /// What it is called.
    name: String,
    /// Its addresses.
    #[schema(example = "10.20.5.0/24")]
    cidr: String,
    /// Where it is.
    site: String,
}

impl ReportPlace {
    fn of(place: &Place) -> Self {
        Self {
            id: place.id.to_string(),
            name: place.name.clone(),
            cidr: place.cidr.to_string(),
            site: place.site.clone(),
        }
    }
}

/// How full something is.
#[derive(Serialize, ToSchema)]
pub struct ReportUse {
    /// Per cent used of what a person may hold; null when that is nothing.
    #[schema(value_type = Option<f64>)]
    used_percent: Option<f64>,
    /// Free addresses of static pools.
    #[schema(value_type = u64)]
    available: i128,
    /// Addresses somebody holds.
    #[schema(value_type = u64)]
    allocated: i128,
    /// Addresses kept with a note.
    #[schema(value_type = u64)]
    reserved: i128,
    /// Addresses out of use.
    #[schema(value_type = u64)]
    quarantine: i128,
    /// Free addresses of DHCP pools.
    #[schema(value_type = u64)]
    dhcp_available: i128,
}

impl ReportUse {
    fn of(usage: &Use) -> Self {
        let percent =
            |permille: i128| i32::try_from(permille).map_or(100.0, |n| f64::from(n) / 10.0);
        Self {
            used_percent: usage.permille().map(percent),
            available: usage.available,
            allocated: usage.allocated,
            reserved: usage.reserved,
            quarantine: usage.quarantine,
            dhcp_available: usage.dhcp,
        }
    }
}

/// How full a subnet is, without smaller ones inside.
#[derive(Serialize, ToSchema)]
pub struct ReportSubnet {
    /// Which.
    subnet: ReportPlace,
    /// Its VLAN.
    #[schema(example = 205)]
    vlan: Option<i64>,
    /// How full.
    usage: ReportUse,
}

/// How full the subnets of a site are together.
#[derive(Serialize, ToSchema)]
pub struct ReportSite {
    /// The site; empty for subnets without one.
    site: String,
    /// How many subnets there are.
    subnets: i64,
    /// How full.
    usage: ReportUse,
}

/// Who else wants an address.
#[derive(Serialize, ToSchema)]
pub struct ReportClaim {
    /// Who, or how it was seen.
    #[schema(example = "host web-2")]
    claimant: String,
    /// The interface, if it is known.
    mac: Option<String>,
    /// Since when: RFC 3339, UTC.
    #[schema(format = DateTime)]
    since: String,
}

/// An address.
#[derive(Serialize, ToSchema)]
pub struct ReportAddress {
    /// The address.
    #[schema(example = "10.20.5.17")]
    address: String,
    /// The smallest subnet around it; null for an orphan.
    subnet: Option<ReportPlace>,
    /// `available`, `allocated`, `reserved` or `quarantine`.
    #[schema(example = "reserved")]
    status: &'static str,
    /// Who holds it.
    #[schema(example = "host web-1")]
    holder: Option<String>,
    /// What the machine is called.
    hostname: String,
    /// Its interface.
    mac: Option<String>,
    /// Who reserved it.
    reserved_by: String,
    /// Why it is reserved or in quarantine.
    note: String,
    /// Since when it is what it is: RFC 3339, UTC.
    #[schema(format = DateTime)]
    since: String,
    /// The same in whole days.
    age_days: i64,
    /// When that ends by itself: RFC 3339, UTC.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// When it was last seen in use: RFC 3339, UTC.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// Who else wants it, the oldest claim first.
    claims: Vec<ReportClaim>,
}

impl ReportAddress {
    fn of(line: &Line, now: Timestamp) -> Self {
        let claims = line.claims.iter().map(|claim| ReportClaim {
            claimant: claim.claimant(),
            mac: claim.mac.map(|mac| mac.to_string()),
            since: claim.created_at.to_string(),
        });
        let note = if line.description.is_empty() { &line.reason } else { &line.description };
        Self {
            address: line.address.to_string(),
            subnet: line.place.as_ref().map(ReportPlace::of),
            status: line.status.as_str(),
            holder: line.holder.as_ref().map(|_| line.keeper()),
            hostname: line.hostname.clone(),
            mac: line.mac.map(|mac| mac.to_string()),
            reserved_by: line.reserved_by.clone(),
            note: note.clone(),
            since: line.since.to_string(),
            age_days: line.age(now),
            until: line.until.map(|at| at.to_string()),
            last_seen: line.last_seen.map(|at| at.to_string()),
            claims: claims.collect(),
        }
    }
}

/// A page of subnets.
#[derive(Serialize, ToSchema)]
pub struct UtilisationReport {
    /// The subnets of this page.
    subnets: Vec<ReportSubnet>,
    /// How many match in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Rows a page.
    size: i64,
}

/// A page of sites.
#[derive(Serialize, ToSchema)]
pub struct SitesReport {
    /// The sites of this page.
    sites: Vec<ReportSite>,
    /// How many match in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Rows a page.
    size: i64,
}

/// A page of addresses.
#[derive(Serialize, ToSchema)]
pub struct AddressReport {
    /// The addresses of this page.
    addresses: Vec<ReportAddress>,
    /// How many match in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Rows a page.
    size: i64,
}

/// What one person keeps.
#[derive(Serialize, ToSchema)]
pub struct ReportPerson {
    /// Who.
    name: String,
    /// How many addresses.
    total: i64,
    /// Of them, for less than 30 days.
    under_30_days: i64,
    /// Of them, for 30 to 89 days.
    from_30_to_89_days: i64,
    /// Of them, for 90 to 364 days.
    from_90_to_364_days: i64,
    /// Of them, for 365 days and more.
    over_364_days: i64,
    /// Of them, without an end.
    without_end: i64,
    /// The age of the oldest in whole days.
    oldest_days: i64,
}

/// A page of reservations, and what each person keeps in all.
#[derive(Serialize, ToSchema)]
pub struct ReservationReport {
    /// Everybody who keeps something, who keeps most first.
    people: Vec<ReportPerson>,
    /// The reservations of this page.
    addresses: Vec<ReportAddress>,
    /// How many match in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Rows a page.
    size: i64,
}

fn subnet(one: &SubnetUse) -> ReportSubnet {
    let subnet = &one.subnet;
    let place = Place {
        id: subnet.id,
        name: subnet.name.to_string(),
        cidr: subnet.cidr,
        site: subnet.site.to_string(),
    };
    ReportSubnet {
        subnet: ReportPlace::of(&place),
        vlan: subnet.vlan.map(crate::ipam::subnets::Vlan::as_i64),
        usage: ReportUse::of(&one.usage),
    }
}

fn site(one: &SiteUse) -> ReportSite {
    ReportSite { site: one.site.clone(), subnets: one.subnets, usage: ReportUse::of(&one.usage) }
}

/// Report how full each subnet is
#[utoipa::path(get, path = "/api/v1/reports/utilisation", operation_id = "reportUtilisation", tag = "Reports", params(Params),
    responses((status = 200, body = UtilisationReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_utilisation(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Utilisation).await?;
    let rows = super::utilisation(&mut reading.tx, by.tenant(), &reading.filter).await?;
    let (rows, total) = reading.cut(rows);
    let subnets = rows.iter().map(subnet).collect();
    let (page, size) = (reading.page(), reading.at.limit);
    api::json(StatusCode::OK, &UtilisationReport { subnets, total, page, size })
}

/// Report how full the subnets of each site are
#[utoipa::path(get, path = "/api/v1/reports/sites", operation_id = "reportSites", tag = "Reports", params(Params),
    responses((status = 200, body = SitesReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_sites(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Sites).await?;
    let rows = super::sites(&mut reading.tx, by.tenant(), &reading.filter).await?;
    let (rows, total) = reading.cut(rows);
    let sites = rows.iter().map(site).collect();
    let (page, size) = (reading.page(), reading.at.limit);
    api::json(StatusCode::OK, &SitesReport { sites, total, page, size })
}

/// Report who keeps which address, why, and for how long already
#[utoipa::path(get, path = "/api/v1/reports/reservations", operation_id = "reportReservations", tag = "Reports", params(Params),
    responses((status = 200, body = ReservationReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_reservations(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Reservations).await?;
    let (now, at, tenant) = (reading.now, reading.at, by.tenant());
    let (filter, tx) = (&reading.filter, &mut reading.tx);
    let (lines, total) = super::reservations(tx, tenant, filter, at).await?;
    let people = super::people(tx, tenant, filter, now).await?;
    let people = people.into_iter().map(|person| ReportPerson {
        over_364_days: person.older(),
        oldest_days: person.age(now),
        name: person.name,
        total: person.total,
        under_30_days: person.under_30,
        from_30_to_89_days: person.under_90,
        from_90_to_364_days: person.under_365,
        without_end: person.endless,
    });
    let addresses = lines.iter().map(|line| ReportAddress::of(line, now)).collect();
    let (page, size) = (reading.page(), at.limit);
    let people = people.collect();
    api::json(StatusCode::OK, &ReservationReport { people, addresses, total, page, size })
}

fn addresses(reading: &Reading, (lines, total): (Vec<Line>, i64)) -> Answer {
    let addresses = lines.iter().map(|line| ReportAddress::of(line, reading.now)).collect();
    let (page, size) = (reading.page(), reading.at.limit);
    api::json(StatusCode::OK, &AddressReport { addresses, total, page, size })
}

/// Report the addresses that two claim
#[utoipa::path(get, path = "/api/v1/reports/conflicts", operation_id = "reportConflicts", tag = "Reports", params(Params),
    responses((status = 200, body = AddressReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_conflicts(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Conflicts).await?;
    let (filter, tx) = (&reading.filter, &mut reading.tx);
    let found = super::conflicts(tx, by.tenant(), filter, reading.at).await?;
    addresses(&reading, found)
}

/// Report the addresses that somebody holds and that were not seen of late
#[utoipa::path(get, path = "/api/v1/reports/inactive", operation_id = "reportInactive", tag = "Reports", params(Params),
    responses((status = 200, body = AddressReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_inactive(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Inactive).await?;
    let (filter, tx) = (&reading.filter, &mut reading.tx);
    let found = super::inactive(tx, by.tenant(), filter, reading.at).await?;
    addresses(&reading, found)
}

/// Report the addresses in use that lie in no subnet
#[utoipa::path(get, path = "/api/v1/reports/orphans", operation_id = "reportOrphans", tag = "Reports", params(Params),
    responses((status = 200, body = AddressReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn get_orphans(by: Operator, params: web::Query<Params>) -> Answer {
    let mut reading = Reading::new(&by, params.into_inner(), Report::Orphans).await?;
    let (filter, tx) = (&reading.filter, &mut reading.tx);
    let found = super::orphans(tx, by.tenant(), filter, reading.at).await?;
    addresses(&reading, found)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    get_utilisation,
    get_sites,
    get_reservations,
    get_conflicts,
    get_inactive,
    get_orphans
))]
pub struct Paths;
