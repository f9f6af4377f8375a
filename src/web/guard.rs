//! What surrounds every request: its id, its log line, its metrics, and the headers of its answer.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError as _, web};
use tracing::Instrument as _;

use super::paths;
use crate::state::State;

/// Scripts, styles and forms come from Patchbay itself; nothing is inline, nothing is framed.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// The request's id, as in its log line and in the audit log.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Gives the request an id, answers it, and notes how that went.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let state = request.app_data::<web::Data<State>>().cloned();
    let id =
        state.as_ref().and_then(|state| state.vault.entropy().text(12).ok()).unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let span = tracing::info_span!("request", request.id = %id);
    let secure = state.as_ref().is_some_and(|state| state.secure());
    let mut answer = next.call(request).instrument(span.clone()).await;
    if let Some(state) = &state
        && let Err(error) = state.db.settled().await
    {
        answer = Err(super::Error::Unavailable(error).into());
    }
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => {
            let mut answer = span.in_scope(|| without_session(&error));
            add_headers(answer.headers_mut(), secure, &id);
            measure(
                &method,
                "unmatched",
                answer.status().as_u16(),
                started.elapsed().as_secs_f64(),
            );
            return Err(InternalError::from_response(error, answer).into());
        }
    };
    add_headers(response.headers_mut(), secure, &id);
    let pattern = response.request().match_pattern();
    let pattern =
        pattern.map_or_else(|| "unmatched".to_owned(), |pattern| paths::in_table(&pattern));
    let (status, took) = (response.status().as_u16(), started.elapsed());
    measure(&method, &pattern, status, took.as_secs_f64());
    // The query is left out: it may hold what a person searched for. So is what a link's token.
    let path = if pattern.contains("{token") { pattern } else { path };
    span.in_scope(|| tracing::info!(http.method = %method, http.path = path, http.status = status, took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "answered"));
    Ok(response)
}

/// The answer when a session could neither be read nor kept, which is all that fails out here.
fn without_session(error: &Error) -> HttpResponse {
    let cause = sqlx::Error::Io(std::io::Error::other(error.to_string()));
    super::Error::Unavailable(cause).error_response()
}

fn add_headers(headers: &mut HeaderMap, secure: bool, id: &str) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if secure {
        let name = HeaderName::from_static("strict-transport-security");
        headers.insert(name, HeaderValue::from_static("max-age=31536000"));
    }
    let cache = HeaderName::from_static("cache-control");
    if !headers.contains_key(&cache) {
        headers.insert(cache, HeaderValue::from_static("no-store"));
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}

fn measure(method: &Method, pattern: &str, status: u16, seconds: f64) {
    let labels = [
        ("method", counted(method).to_owned()),
        ("route", pattern.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => pattern.to_owned())
        .record(seconds);
}

/// What a method is counted as. Anybody can invent methods, and each would be kept for ever.
fn counted(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Whether a request that changes something was sent by a page of ours.
///
/// Browsers say where a request comes from in `Sec-Fetch-Site` (Fetch Metadata), older ones in
/// `Origin`; one that says neither is not taken for ours.
pub fn same_site(headers: &HeaderMap, public_url: &str) -> bool {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    get("origin").is_some_and(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        origin == public_url || (host.is_some() && host == get("host"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_counted_as_one() {
        assert_eq!(counted(&Method::PATCH), "PATCH");
        for invented in ["PATCH1", "get", "QUERY"] {
            assert_eq!(counted(&Method::from_bytes(invented.as_bytes()).unwrap()), "other");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_request_of_another_site_is_told_from_ours() {
        let ours = "https://pbx.example";
        assert!(same_site(&headers(&[("sec-fetch-site", "same-origin")]), ours));
        assert!(same_site(&headers(&[("origin", "https://pbx.example")]), ours));
        assert!(same_site(
            &headers(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")]),
            ours
        ));
        for bad in [
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), ("origin", "https://pbx.example")],
            vec![("origin", "https://evil.example"), ("host", "pbx.example")],
            vec![("origin", "null")],
            vec![],
        ] {
            assert!(!same_site(&headers(&bad), ours), "{bad:?}");
        }
    }
}
