//! `application/problem+json` (RFC 9457), with a map from field to what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

/// Why an API call did not do what was asked.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem.
    pub title: String,
    /// This problem, and what to do about it.
    pub detail: String,
    /// Per field of the request: what is wrong with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<i64>,
}

impl Problem {
    /// A problem of the given status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            detail: detail.into(),
            errors: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// Adds what is wrong with one field.
    #[must_use]
    pub fn field(mut self, name: &str, error: &impl fmt::Display) -> Self {
        self.errors.insert(name.to_owned(), error.to_string());
        self
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "send a valid API token as Authorization: Bearer pb_…")
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "the token's role does not allow this")
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 422 with the errors of fields.
    pub fn invalid(errors: BTreeMap<String, String>) -> Self {
        let fields = errors.keys().cloned().collect::<Vec<_>>().join(", ");
        let detail = format!("not accepted: {fields}");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// 500; the cause goes to the log only.
    pub fn fault(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, cause = error.source().map(ToString::to_string), "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "something is wrong inside Patchbay; nothing was changed",
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        crate::web::Error::from(error).into()
    }
}

impl From<crate::web::Error> for Problem {
    fn from(error: crate::web::Error) -> Self {
        let status = error.status_code();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return Self::fault(&error);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(error = %error, cause = std::error::Error::source(&error).map(ToString::to_string), "request failed");
            return Self { retry_after: Some(5), ..Self::new(status, error.to_string()) };
        }
        Self::new(status, error.to_string())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"patchbay\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        let body = serde_json::to_string(self).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
    }
}
