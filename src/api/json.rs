//! JSON bodies: an unknown field, a wrong type or a huge body is a 4xx that says so.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::Problem;

/// Bytes a JSON body may have.
const LIMIT: usize = 1 << 20;

/// A JSON body. No body at all is `{}`, for calls whose fields are all optional.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let headers = request.headers().clone();
        let body = Body::from_request(request, payload);
        async move { parse(&headers, &body.await?.0) }.boxed_local()
    }
}

/// A body not yet parsed, for calls that need its very bytes.
#[derive(Debug)]
pub struct Body(pub web::Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let body = web::Payload::from_request(request, payload);
        async move {
            let broken = || Problem::bad_request("the request broke off");
            let body = body.await.map_err(|_| broken())?;
            let body = body.to_bytes_limited(LIMIT).await.map_err(|_| {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body may have at most 1 MiB")
            })?;
            body.map(Self).map_err(|_| broken())
        }
        .boxed_local()
    }
}

/// Parses a body already read.
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<Json<T>, Problem> {
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !body.is_empty() && !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    let text = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map(Json).map_err(|error| refuse(&error))
}

/// Syntax is 400; well-formed JSON of the wrong shape is 422 and names the place.
fn refuse(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        let text = error.to_string();
        let field = text.split('`').nth(1).unwrap_or("body").to_owned();
        Problem::invalid([(field, text)].into())
    } else {
        Problem::bad_request(format!("the body is not JSON: {error}"))
    }
}
