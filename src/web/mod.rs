//! The web shell: what every page shares. Knows no feature.

pub mod assets;
pub mod client;
pub mod csv;
mod error;
pub mod flash;
pub mod form;
pub mod guard;
pub mod list;
pub mod paths;
pub mod sheet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use askama::Template;

use crate::time::{Timestamp, Zone};
pub use error::Error;

/// What a handler answers.
pub type Answer = Result<HttpResponse, Error>;

/// The frame around every page for someone who is signed in.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// Who is signed in.
    pub operator: String,
    /// Their role, as a word.
    pub role: &'static str,
    /// The tenant's name, when there is more than one tenant.
    pub tenant: Option<String>,
    /// The tenant's time zone.
    pub zone: Zone,
    /// The session's token against cross-site requests.
    pub csrf: String,
    /// What was just done, said once.
    pub said: Option<String>,
    /// The sidebar.
    pub nav: Vec<NavGroup>,
}

impl Shell {
    /// `at` as the tenant's clocks show it.
    pub fn time(&self, at: &Timestamp) -> String {
        at.local(&self.zone)
    }
}

/// A headed part of the sidebar.
#[derive(Clone, Debug)]
pub struct NavGroup {
    /// The heading.
    pub title: &'static str,
    /// The pages below it.
    pub items: Vec<NavItem>,
}

/// A page in the sidebar.
#[derive(Clone, Debug)]
pub struct NavItem {
    /// What it is called.
    pub title: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// What stands beside it, e.g. `7 pending`.
    pub count: String,
    /// Whether it is the page being shown.
    pub current: bool,
}

/// 200 with a page.
pub fn ok(page: &impl Template) -> Answer {
    respond(StatusCode::OK, page)
}

/// 200 with part of a list's page; the browser's address bar shows the whole page's address.
pub fn fragment(part: &impl Template, pager: &list::Pager) -> Answer {
    let mut response = HttpResponse::Ok();
    response.insert_header(("hx-push-url", pager.here()));
    Ok(response.content_type(ContentType::html()).body(part.render()?))
}

/// 422 with the same page again, its form's errors beside their fields.
pub fn invalid(page: &impl Template) -> Answer {
    respond(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// A page with a status of its own.
pub fn respond(status: StatusCode, page: &impl Template) -> Answer {
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(page.render()?))
}

/// 303: the change is made, look there.
pub fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// A file to save, under a name of ours (never of a user's).
pub fn download(name: &'static str, mime: &'static str, body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(body)
}
