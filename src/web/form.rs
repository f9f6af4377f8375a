//! What was typed, and what is wrong with it.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;

/// One text input: the value as typed (without blanks around it), and its error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Field {
    /// What was typed.
    pub value: String,
    /// What is wrong with it: a sentence for the person who typed it.
    pub error: Option<String>,
}

impl From<String> for Field {
    fn from(value: String) -> Self {
        Self { value: value.trim().to_owned(), error: None }
    }
}

impl Field {
    /// A field that already holds something.
    pub fn holding(value: &impl ToString) -> Self {
        Self { value: value.to_string(), error: None }
    }

    /// Parses what was typed; on failure the error stays beside it.
    pub fn parse<T: FromStr<Err: Display>>(&mut self) -> Option<T> {
        self.value.parse().map_err(|error| self.reject(&error)).ok()
    }

    /// As [`Field::parse`]; nothing typed is `Some(None)`.
    pub fn parse_optional<T: FromStr<Err: Display>>(&mut self) -> Option<Option<T>> {
        if self.value.is_empty() { Some(None) } else { self.parse().map(Some) }
    }

    /// Puts an error beside it.
    pub fn reject(&mut self, error: &impl Display) {
        self.error = Some(error.to_string());
    }
}

/// A secret input: never shown again, never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(from = "String")]
pub struct Secret {
    /// What was typed, blanks and all.
    pub value: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self { value, error: None }
    }
}

impl Secret {
    /// Puts an error beside it.
    pub fn reject(&mut self, error: &impl Display) {
        self.error = Some(error.to_string());
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A box that is ticked or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Tick(pub bool);

impl From<String> for Tick {
    fn from(value: String) -> Self {
        Self(!value.is_empty())
    }
}

/// A posted form, read whole; a field may be repeated. Fields the form does not know are ignored:
/// htmx and browsers add some.
#[derive(Debug)]
pub struct Form<T>(pub T);

/// Bytes a request may have. The route says how many; a handler learns it from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A form, kept in memory.
    pub form: usize,
    /// A body with a file, kept on disk; 0 where none is expected.
    pub upload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { form: 1 << 20, upload: 0 }
    }
}

impl Limits {
    /// What the request's route allows.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().copied().unwrap_or_default()
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let is_form =
            request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let limit = Limits::of(request).form;
        let body = web::Payload::from_request(request, payload);
        async move {
            if !is_form {
                return Err(Error::BadRequest(
                    "send the form as application/x-www-form-urlencoded",
                ));
            }
            let body = body.await.map_err(|_| Error::BadRequest("the request has no body"))?;
            let bytes = body.to_bytes_limited(limit).await.map_err(|_| Error::TooLarge)?;
            let bytes = bytes.map_err(|_| Error::BadRequest("the request broke off"))?;
            urlencoded(&bytes).map(Self)
        }
        .boxed_local()
    }
}

/// Parses an urlencoded form.
pub(super) fn urlencoded<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::BadRequest("the form is not UTF-8"))?;
    utf8(text)?;
    serde_html_form::from_str(text).map_err(|_| Error::BadRequest("the form cannot be read"))
}

/// The text of one field.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| Error::BadRequest("the form is not UTF-8"))
}

/// Percent-encoded bytes that are not UTF-8 would be repaired silently: refuse them instead.
fn utf8(text: &str) -> Result<(), Error> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(drop).map_err(|_| Error::BadRequest("the form is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stays_beside_its_error() {
        let mut field = Field::from("  12x ".to_owned());
        assert_eq!(field.parse::<u32>(), None);
        assert_eq!(field.value, "12x");
        assert!(field.error.is_some());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(utf8("name=Zo%C3%AB&x=100%").is_ok());
        assert!(utf8("name=%ff%fe").is_err());
        assert!(utf8("name=%C3").is_err());
    }
}
