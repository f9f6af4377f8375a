//! The route table: every URL says what it asks of whoever calls it, and the check is part of
//! adding the route.

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::guard::{self, Guard};
use actix_web::http::{Method, Uri};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, Handler, HttpMessage as _, HttpRequest, Responder, web};
use futures_util::{StreamExt as _, stream};

use super::operator::{Operator, state_of};
use super::types::Right;
use crate::api::Problem;
use crate::web::form::Limits;
use crate::web::{Error, flash, guard::same_site};

/// Bytes at the beginning of a form with a file within which the token must be.
const TOKEN_WITHIN: usize = 64 << 10;
const BROKE_OFF: Error = Error::BadRequest("the request broke off");

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// Nothing, and it is no browser: no session is looked for, and a change needs no sign that it
    /// comes from a page of ours. The handler decides who may have what.
    Device,
    /// A session with this right; the token against cross-site requests with every change.
    Page(Right),
    /// As [`Access::Page`], and the tenant that runs the installation.
    HostPage(Right),
    /// An API token with this right.
    Api(Right),
    /// As [`Access::Api`], and the tenant that runs the installation.
    HostApi(Right),
}

/// One URL, one method.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{names}` for its variable parts.
    pub path: &'static str,
    /// What it asks.
    pub access: Access,
    limits: Limits,
    handler: actix_web::Route,
}

impl Route {
    /// A route that reads.
    pub fn get<F, Args>(path: &'static str, access: Access, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::GET, path, access, handler)
    }

    /// A route that changes something.
    pub fn post<F, Args>(path: &'static str, access: Access, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::POST, path, access, handler)
    }

    /// Any method.
    pub fn new<F, Args>(method: Method, path: &'static str, access: Access, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self {
            handler: web::route().guard(answers(method.clone())).to(handler),
            method,
            path,
            access,
            limits: Limits::default(),
        }
    }

    /// Accepts bodies of up to `bytes`.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limits.form = bytes;
        self
    }

    /// Accepts files of up to `bytes`, which do not pass through memory.
    #[must_use]
    pub fn uploads(mut self, bytes: usize) -> Self {
        self.limits.upload = bytes;
        self
    }

    /// The handler behind its access check.
    pub fn guarded(self) -> actix_web::Route {
        let (access, limits) = (self.access, self.limits);
        self.handler.wrap(from_fn(move |request, next| check(access, limits, request, next)))
    }
}

/// HEAD is answered wherever GET is; the server leaves the body out.
fn answers(method: Method) -> impl Guard {
    guard::fn_guard(move |context| {
        let asked = &context.head().method;
        *asked == method || (*asked == Method::HEAD && method == Method::GET)
    })
}

async fn check(
    access: Access,
    limits: Limits,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if !is_text(request.query_string()) {
        const WHY: &str = "the address is not text in UTF-8";
        let api = request.path().starts_with("/api/");
        return Ok(if api {
            request.error_response(Problem::bad_request(WHY))
        } else {
            request.error_response(Error::BadRequest(WHY))
        });
    }
    let http = request.request().clone();
    http.extensions_mut().insert(limits);
    let allowed: Result<(), actix_web::Error> = match access {
        Access::Public => public(&http).map_err(Into::into),
        Access::Device => Ok(()),
        Access::Page(right) => {
            page(&mut request, &http, right, false, limits).await.map_err(Into::into)
        }
        Access::HostPage(right) => {
            page(&mut request, &http, right, true, limits).await.map_err(Into::into)
        }
        Access::Api(right) => api(&http, right, false).await.map_err(Into::into),
        Access::HostApi(right) => api(&http, right, true).await.map_err(Into::into),
    };
    // The request must be unique again when the handler takes it apart.
    drop(http);
    match allowed {
        Ok(()) => {
            let mut answer = next.call(request).await?;
            let request = answer.request().clone();
            flash::keep(&request, answer.response_mut());
            Ok(answer)
        }
        // An answer, not an error: what surrounds every request sees to its headers and log line.
        Err(refusal) => Ok(request.error_response(refusal)),
    }
}

/// Bytes that are not UTF-8 would be repaired silently, and something else searched for; a NUL is
/// text to one database and an error to the other.
fn is_text(query: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(query).decode_utf8();
    decoded.is_ok_and(|text| !text.contains('\0'))
}

/// Forms that need nobody (signing in, choosing a password) still come from pages of ours.
fn public(request: &HttpRequest) -> Result<(), Error> {
    let state = state_of(request)?;
    if request.method().is_safe() || same_site(request.headers(), &state.public_url) {
        Ok(())
    } else {
        Err(Error::CrossSite)
    }
}

async fn page(
    request: &mut ServiceRequest,
    http: &HttpRequest,
    right: Right,
    host: bool,
    limits: Limits,
) -> Result<(), Error> {
    let state = state_of(http)?;
    let Some(operator) = Operator::of_session(http, &state).await? else {
        let htmx = http.headers().contains_key("hx-request");
        return Err(Error::SignIn { path: sign_in_path(http), htmx });
    };
    if !http.method().is_safe() {
        if !same_site(http.headers(), &state.public_url) {
            return Err(Error::CrossSite);
        }
        proven(request, http, operator.csrf(), limits).await?;
    }
    if !operator.may(right) || (host && !operator.is_host()) {
        return Err(Error::Forbidden);
    }
    http.extensions_mut().insert(operator);
    Ok(())
}

/// Whether the request knows the session's token: in the header htmx sends, or in the body's
/// field. The token has 256 bits, so finding it anywhere in the body is proof enough, and works
/// for every kind of form.
async fn proven(
    request: &mut ServiceRequest,
    http: &HttpRequest,
    token: &str,
    limits: Limits,
) -> Result<(), Error> {
    let sent = http.headers().get("x-csrf-token").map(|value| value.as_bytes() == token.as_bytes());
    let multipart = http.content_type().eq_ignore_ascii_case("multipart/form-data");
    let body = if limits.upload > 0 && multipart {
        beginning(request, sent.is_none()).await?
    } else {
        whole(request, limits.form).await?
    };
    let known = !token.is_empty()
        && sent
            .unwrap_or_else(|| body.windows(token.len()).any(|window| window == token.as_bytes()));
    if known { Ok(()) } else { Err(Error::CrossSite) }
}

/// Reads the body, and leaves it there for the handler.
async fn whole(request: &mut ServiceRequest, limit: usize) -> Result<web::Bytes, Error> {
    let body = request.extract::<web::Payload>().await.map_err(|_| BROKE_OFF)?;
    let body = body.to_bytes_limited(limit).await.map_err(|_| Error::TooLarge)?;
    let body = body.map_err(|_| BROKE_OFF)?;
    request.set_payload(Payload::from(body.clone()));
    Ok(body)
}

/// Reads no more of a form with a file than its beginning, where our pages put the token: nothing
/// is stored of what is not theirs. Leaves all of it there for the handler.
async fn beginning(request: &mut ServiceRequest, needed: bool) -> Result<web::Bytes, Error> {
    let mut payload = request.take_payload();
    let mut read = web::BytesMut::new();
    while needed && read.len() < TOKEN_WITHIN {
        let Some(chunk) = payload.next().await else { break };
        read.extend_from_slice(&chunk.map_err(|_| BROKE_OFF)?);
    }
    let read = read.freeze();
    let whole = stream::iter([Ok(read.clone())]).chain(payload);
    request.set_payload(Payload::Stream { payload: whole.boxed_local() });
    Ok(read.slice(..read.len().min(TOKEN_WITHIN)))
}

/// Where to sign in, and from there back to the page that was open. When htmx asked for part of a
/// page, that is the page it says it is on.
fn sign_in_path(request: &HttpRequest) -> String {
    let page = request.headers().get("hx-current-url").and_then(|url| url.to_str().ok());
    let page = page.and_then(|url| url.parse::<Uri>().ok());
    let safe = request.method().is_safe() || page.is_some();
    let uri = page.as_ref().unwrap_or_else(|| request.uri());
    let back = uri.path_and_query().map_or("/", |path| path.as_str());
    if safe && back != "/" {
        let next = serde_html_form::to_string([("next", back)]).unwrap_or_default();
        format!("/login?{next}")
    } else {
        "/login".to_owned()
    }
}

async fn api(request: &HttpRequest, right: Right, host: bool) -> Result<(), Problem> {
    let state = state_of(request)?;
    let Some(operator) = Operator::of_token(request, &state).await? else {
        return Err(Problem::unauthorized());
    };
    if !operator.may(right) || (host && !operator.is_host()) {
        return Err(Problem::forbidden());
    }
    request.extensions_mut().insert(operator);
    Ok(())
}
