//! What the REST interface shares: problems (RFC 9457), JSON bodies, entity tags, requests done
//! once.

mod json;
mod once;
pub mod problem;
mod queries;
mod upload;

pub use json::{Body, Json, parse};
pub use once::{Kept, Key, Once, replayed, tidy};
pub use problem::Problem;
pub use upload::Upload;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Which page of a list a call asks for, where nothing else can be asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The page, from 1.
    #[param(required = false)]
    pub page: String,
    /// Rows a page: 25, 50, 100 or 200.
    #[param(required = false)]
    pub size: String,
}

/// What an API handler answers.
pub type Answer = Result<HttpResponse, Problem>;

/// `value` as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| Problem::fault(&error))?;
    Ok(HttpResponse::build(status).content_type("application/json").body(body))
}

/// As [`json()`], with the version of the thing as its entity tag (RFC 9110).
pub fn tagged(status: StatusCode, version: i64, value: &impl Serialize) -> Answer {
    let mut answer = json(status, value)?;
    if let Ok(tag) = header::HeaderValue::from_str(&format!("\"{version}\"")) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

/// The version named by `If-Match`; `None` when any will do.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok());
    version.map(Some).ok_or_else(|| Problem::bad_request("If-Match must be the ETag as last read"))
}
