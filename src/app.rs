//! Puts the application together, for `main` and for tests alike.

use std::collections::BTreeMap;
use std::future::ready;

use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError as _, Scope, web};
use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::api::Problem;
use crate::apply::Applier;
use crate::auth::access::{Access, Route};
use crate::auth::session;
use crate::jobs::{self, Job, Jobs};
use crate::provision::Provisioner;
use crate::state::State;
use crate::web::{Error, guard, paths};
use crate::{
    apply, auth, boot, docs, graphql, history, home, ipam, lifecycle, mirror, notify, outbox,
    phones, provision, registrations, tenants, users, workflows,
};

/// Every URL the application answers, and what each asks of whoever calls it.
pub fn routes() -> Vec<Route> {
    let features = [
        home::web::routes(),
        auth::web::routes(),
        users::web::routes(),
        users::api::routes(),
        phones::routes(),
        ipam::routes(),
        registrations::routes(),
        notify::routes(),
        outbox::routes(),
        mirror::routes(),
        boot::routes(),
        provision::routes(),
        lifecycle::web::routes(),
        lifecycle::api::routes(),
        graphql::web::routes(),
        workflows::routes(),
        jobs::web::routes(),
        apply::web::routes(),
        apply::api::routes(),
        history::web::routes(),
        tenants::web::routes(),
        docs::routes(),
    ];
    features.into_iter().flatten().collect()
}

/// What collects the figures of `/metrics`. What takes long is counted in buckets, so that any
/// quantile can be had of several instances together.
pub fn recorder() -> anyhow::Result<PrometheusBuilder> {
    const SECONDS: [f64; 14] =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
    let slow = Matcher::Suffix("_duration_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(slow, &SECONDS).context("the buckets are wrong")
}

/// Everything done by the clock.
pub fn jobs() -> Vec<Job> {
    lifecycle::job::jobs()
}

/// What all requests share.
#[derive(Clone)]
pub struct Shared {
    /// Database, time, secrets.
    pub state: State,
    /// What puts changes into force.
    pub applier: Applier,
    /// What serves phones.
    pub provisioner: Provisioner,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
}

/// Adds everything to an actix application.
pub fn configure(shared: Shared) -> impl FnOnce(&mut web::ServiceConfig) {
    move |app| {
        let sessions = session::middleware(&shared.state);
        app.app_data(web::Data::new(shared.state))
            .app_data(web::Data::new(shared.applier.access().clone()))
            .app_data(web::Data::new(shared.applier))
            .app_data(web::Data::new(shared.provisioner))
            .app_data(web::Data::new(shared.metrics))
            .app_data(web::Data::new(Jobs::new(jobs())))
            .app_data(web::PathConfig::default().error_handler(|_, request| not_here(request)))
            .app_data(
                web::QueryConfig::default().error_handler(|_, request| not_understood(request)),
            )
            .app_data(web::PayloadConfig::new(16 << 20));
        let mut everything = web::scope("")
            .wrap(from_fn(phones::web::one_spelling))
            .wrap(sessions)
            .wrap(from_fn(guard::observe));
        let mut trunks: BTreeMap<&str, Vec<(&str, Vec<Route>)>> = BTreeMap::new();
        for (path, routes) in by_path(routes()) {
            if routes.iter().all(|route| route.access == Access::Device) {
                // Outside the sessions: those who come here have none, and are served without a
                // database too.
                app.service(resource(path, routes).wrap(from_fn(guard::observe)));
            } else {
                trunks.entry(trunk(path)).or_default().push((path, routes));
            }
        }
        // The longer first: a shorter one takes all that is left of what begins so.
        for (trunk, paths) in trunks.into_iter().rev() {
            let inside = |path: &'static str| path.strip_prefix(trunk).unwrap_or(path);
            let resources = paths.into_iter().map(|(path, routes)| resource(inside(path), routes));
            everything = if trunk.is_empty() {
                resources.fold(everything, Scope::service)
            } else {
                let scope = web::scope(trunk).default_service(web::to(nothing_here));
                let scope = resources.fold(scope, Scope::service);
                everything.service(scope)
            };
        }
        app.service(everything.default_service(web::to(nothing_here)));
    }
}

/// What answers at a path.
fn resource(path: &str, routes: Vec<Route>) -> Resource {
    let allow = allow(&routes);
    let resource = web::resource(paths::for_router(path))
        .default_service(web::to(move |request| ready(wrong_method(&request, &allow))));
    routes.into_iter().fold(resource, |resource, route| resource.route(route.guarded()))
}

/// The first part of a path, of a call's the first three: what does not begin so need not be
/// compared with any of the paths that do.
fn trunk(path: &'static str) -> &'static str {
    let parts = if path.starts_with("/api/") { 3 } else { 1 };
    let end = path.match_indices('/').nth(parts).map_or(path.len(), |(at, _)| at);
    let literal = path.split("/{").next().unwrap_or(path);
    path.get(..end.min(literal.len())).filter(|trunk| trunk.len() > 1).unwrap_or_default()
}

/// Routes grouped by path, literal paths before those with a variable part in the same place.
fn by_path(routes: Vec<Route>) -> Vec<(&'static str, Vec<Route>)> {
    let mut paths: BTreeMap<(String, &'static str), Vec<Route>> = BTreeMap::new();
    for route in routes {
        paths.entry((route.path.replace('{', "\u{7f}"), route.path)).or_default().push(route);
    }
    paths.into_iter().map(|((_, path), routes)| (path, routes)).collect()
}

fn is_api(request: &HttpRequest) -> bool {
    request.path().starts_with("/api/")
}

fn not_here(request: &HttpRequest) -> actix_web::Error {
    if is_api(request) { Problem::not_found("thing").into() } else { Error::NotFound.into() }
}

fn not_understood(request: &HttpRequest) -> actix_web::Error {
    const WHY: &str = "the address has parameters that cannot be read";
    if is_api(request) { Problem::bad_request(WHY).into() } else { Error::BadRequest(WHY).into() }
}

async fn nothing_here(request: HttpRequest) -> Result<&'static str, actix_web::Error> {
    Err(not_here(&request))
}

/// The value of `Allow` for a path.
fn allow(routes: &[Route]) -> String {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.join(", ")
}

fn wrong_method(request: &HttpRequest, allow: &str) -> HttpResponse {
    let mut answer = if is_api(request) {
        Problem::from(Error::MethodNotAllowed).error_response()
    } else {
        Error::MethodNotAllowed.error_response()
    };
    if let Ok(allow) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}
