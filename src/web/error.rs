//! Why a request could not be answered with the page it asked for; logged once, here.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use crate::secrets::VaultError;

/// What went wrong, as the person at the browser is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in.
    #[error("sign in first")]
    SignIn {
        /// Where to sign in, and from there back.
        path: String,
        /// Whether htmx asks: it must be told to leave the page, not be redirected into it.
        htmx: bool,
    },
    /// The role does not allow it.
    #[error("your role does not allow this; ask an administrator")]
    Forbidden,
    /// The request may come from another site.
    #[error("this request did not come from a Patchbay page; reload the page and try again")]
    CrossSite,
    /// There is no such thing, or not in this tenant.
    #[error("there is nothing here; it may have been deleted")]
    NotFound,
    /// The path exists, the method does not.
    #[error("this address cannot be used that way")]
    MethodNotAllowed,
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(&'static str),
    /// What there is stands in the way; says what to do first.
    #[error("{0}")]
    Conflict(String),
    /// The body is too large.
    #[error("that is more than this page accepts")]
    TooLarge,
    /// Too many tries.
    #[error("too many tries; wait {0} seconds and try again")]
    Slow(i64),
    /// The database is gone, full, locked or busy.
    #[error(
        "the database cannot be reached or cannot write; nothing was changed, try again shortly"
    )]
    Unavailable(#[source] sqlx::Error),
    /// Others are at it, and more at once would stand in everybody's way.
    #[error("{0}")]
    Busy(&'static str),
    /// A fault in Patchbay or in a row.
    #[error("something is wrong inside Patchbay; nothing was changed")]
    Database(#[source] sqlx::Error),
    /// A page could not be rendered.
    #[error("something is wrong inside Patchbay")]
    Render(#[from] askama::Error),
    /// A secret could not be sealed or opened.
    #[error("a secret could not be sealed or opened")]
    Vault(#[from] VaultError),
    /// The operating system refused something.
    #[error("the machine refused something Patchbay needs")]
    Io(#[from] std::io::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if crate::db::unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Database(error)
        }
    }
}

#[derive(Template)]
#[template(path = "shell/error.html")]
struct ErrorPage {
    status: u16,
    title: &'static str,
    sentence: String,
}

impl Error {
    fn title(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "Sign in",
            Self::Forbidden | Self::CrossSite => "Not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed | Self::BadRequest(_) | Self::Conflict(_) | Self::TooLarge => {
                "That did not work"
            }
            Self::Slow(_) => "Too many tries",
            Self::Unavailable(_) | Self::Busy(_) => "Not available now",
            _ => "Something is wrong",
        }
    }

    fn log(&self) {
        let error: &dyn std::error::Error = self;
        if self.status_code().is_server_error() {
            let cause = std::iter::successors(error.source(), |error| error.source());
            let chain: Vec<String> = cause.map(ToString::to_string).collect();
            tracing::error!(error = %self, cause = chain.join(": "), "request failed");
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { htmx: false, .. } => StatusCode::SEE_OTHER,
            Self::SignIn { htmx: true, .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Render(_) | Self::Vault(_) | Self::Io(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::SignIn { path, htmx } => {
                let name = if *htmx { "hx-redirect" } else { "location" };
                response.insert_header((name, path.as_str()));
            }
            Self::Slow(seconds) => {
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            Self::Unavailable(_) | Self::Busy(_) => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            _ => {}
        }
        let page =
            ErrorPage { status: status.as_u16(), title: self.title(), sentence: self.to_string() };
        let body = page.render().unwrap_or_else(|_| self.to_string());
        response.content_type(ContentType::html()).body(body)
    }
}
