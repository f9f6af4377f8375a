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
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| refuse(&error))?;
    json.end().map_err(|error| syntax(&error))?;
    Ok(Json(value))
}

/// Syntax is 400; well-formed JSON of the wrong shape is 422 and names the field.
fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, inner) = (error.path().to_string(), error.inner());
    if !inner.is_data() {
        return syntax(inner);
    }
    let text = inner.to_string();
    Problem::invalid([(field(&path, &text), text)].into())
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not JSON: {error}"))
}

/// The field an error is about. One that is unknown or missing is in the sentence alone, its place
/// in the path; a value of the wrong type is at the path. `body` is all of it.
fn field(path: &str, text: &str) -> String {
    let place = Some(path).filter(|path| *path != ".");
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|begin| text.strip_prefix(begin)?.split('`').next());
    match (place, named) {
        (Some(place), Some(name)) if place == name || place.ends_with(&format!(".{name}")) => {
            place.to_owned()
        }
        (Some(place), Some(name)) => format!("{place}.{name}"),
        (Some(place), None) => place.to_owned(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "body".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused is of interest")]
    struct Outer {
        name: String,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused is of interest")]
    struct Line {
        extension: i64,
    }

    fn refused(text: &str) -> String {
        let mut json = serde_json::Deserializer::from_str(text);
        let error = serde_path_to_error::deserialize::<_, Outer>(&mut json).unwrap_err();
        field(&error.path().to_string(), &error.inner().to_string())
    }

    #[test]
    fn the_field_is_named_whatever_is_wrong_with_it() {
        for (text, named) in [
            (r#"{"name":7}"#, "name"),
            (r#"{"name":null}"#, "name"),
            (r"{}", "name"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","nickname":"b"}"#, "nickname"),
            (r#"{"name":"a","lines":"1000"}"#, "lines"),
            (r#"{"name":"a","lines":[{"extension":1},{"extension":"x"}]}"#, "lines[1].extension"),
            (r#"{"name":"a","lines":[{}]}"#, "lines[0].extension"),
            (r#"{"name":"a","lines":[{"extension":1,"label":2}]}"#, "lines[0].label"),
            ("[]", "body"),
            ("7", "body"),
        ] {
            assert_eq!(refused(text), named, "{text}");
        }
    }
}
