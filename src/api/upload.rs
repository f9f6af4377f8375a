//! The body of a call that brings a table: CSV or XLSX, put on disk as it comes.

use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev};
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};

use super::Problem;
use crate::web::Error;
use crate::web::sheet::{SheetFormat, Source, spool_body};

/// A table as the body of a call. Which kind it is, is told by its content; the content type only
/// says that it is meant as one.
#[derive(Debug)]
pub struct Upload(pub Source);

impl FromRequest for Upload {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let kind = request.content_type().to_ascii_lowercase();
        // Whatever it is called, the content tells what it is.
        let known = ["text/csv", SheetFormat::Xlsx.mime(), "application/octet-stream"];
        if !known.contains(&kind.as_str()) {
            let why = format!("send text/csv or {}", SheetFormat::Xlsx.mime());
            let refusal = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
            return ready(Err(refusal)).boxed_local();
        }
        let body = spool_body(request, payload);
        async move {
            match body.await {
                Ok(file) => Ok(Self(Source::File(file))),
                Err(error @ Error::TooLarge) => {
                    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))
                }
                Err(error) => Err(error.into()),
            }
        }
        .boxed_local()
    }
}
