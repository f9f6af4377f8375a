//! Requests that may be repeated: with an `Idempotency-Key` the answer of the first is kept for a
//! day, and every later one gets that instead of doing it again.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, Problem, queries};
use crate::audit::Change;
use crate::secrets;
use crate::state::State;

/// What a request is known by when it comes again, and what it asks for.
#[derive(Clone, Debug, Default)]
pub struct Key {
    key: Option<String>,
    hash: String,
}

impl Key {
    /// That of a request: its `Idempotency-Key`, if it has one.
    pub fn of(request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        let key = match request.headers().get("idempotency-key") {
            None => None,
            Some(value) => match value.to_str() {
                Ok(key) if (1..=200).contains(&key.len()) => Some(key.to_owned()),
                _ => {
                    return Err(Problem::bad_request(
                        "Idempotency-Key must be 1 to 200 printable characters",
                    ));
                }
            },
        };
        let hash = secrets::fingerprint(&[request.path().as_bytes(), b"\0", body].concat());
        Ok(Self { key, hash })
    }

    /// That of one of several things a request asks for, by a name no other of them has.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        let key = self.key.as_ref().map(|key| format!("{name}: {key}"));
        Self { key, hash: self.hash.clone() }
    }
}

/// A request to be done once. Without a key it is done whenever it comes.
pub struct Once<'a> {
    state: &'a State,
    owner: String,
    key: Option<String>,
    hash: String,
}

/// What an earlier request was answered.
#[derive(Debug)]
pub struct Kept {
    /// With which status.
    pub status: StatusCode,
    /// With which body.
    pub body: Vec<u8>,
}

impl<'a> Once<'a> {
    /// The request of `owner`, whose keys are nobody else's.
    pub fn of(
        request: &HttpRequest,
        state: &'a State,
        owner: &impl ToString,
        body: &[u8],
    ) -> Result<Self, Problem> {
        Ok(Self::known_by(Key::of(request, body)?, state, owner))
    }

    /// As [`Once::of`], for a key that was read already.
    pub fn known_by(key: Key, state: &'a State, owner: &impl ToString) -> Self {
        let Key { key, hash } = key;
        Self { state, owner: owner.to_string(), key, hash }
    }

    /// Whether it has a key.
    pub fn is_asked(&self) -> bool {
        self.key.is_some()
    }

    /// What an earlier request with the key was answered.
    pub async fn kept(&self) -> Result<Option<Kept>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut tx = self.state.read().await?;
        let Some(kept) = queries::remembered(&mut tx, &self.owner, key).await? else {
            return Ok(None);
        };
        if kept.request_hash != self.hash {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "this Idempotency-Key was used for another request",
            ));
        }
        let body = self.state.vault.unseal(&self.place(key), &kept.body);
        let body = body.map_err(|error| Problem::fault(&error))?;
        let status =
            u16::try_from(kept.status).ok().and_then(|code| StatusCode::from_u16(code).ok());
        Ok(Some(Kept { status: status.unwrap_or(StatusCode::OK), body }))
    }

    /// As [`Once::kept`], dressed by `shape`.
    pub async fn earlier(
        &self,
        shape: impl FnOnce(StatusCode, Vec<u8>) -> Answer,
    ) -> Result<Option<HttpResponse>, Problem> {
        let Some(Kept { status, body }) = self.kept().await? else { return Ok(None) };
        shape(status, body).map(replayed).map(Some)
    }

    /// Keeps the answer with the change; false when the same request was done meanwhile, and this
    /// change must not be.
    pub async fn keep(
        &self,
        change: &mut Change,
        status: StatusCode,
        body: &[u8],
    ) -> Result<bool, Problem> {
        let Some(key) = &self.key else { return Ok(true) };
        let sealed = self.state.vault.seal(&self.place(key), body);
        let sealed = sealed.map_err(|error| Problem::fault(&error))?;
        let status = i64::from(status.as_u16());
        Ok(queries::remember(change, &self.owner, key, &self.hash, status, sealed).await?)
    }

    fn place(&self, key: &str) -> String {
        format!("idempotency/{}/{key}", self.owner)
    }
}

/// Says of an answer that it was given before.
pub fn replayed(mut answer: HttpResponse) -> HttpResponse {
    let name = HeaderName::from_static("idempotency-replayed");
    answer.headers_mut().insert(name, HeaderValue::from_static("true"));
    answer
}

/// Forgets answers kept for repeated requests after a day. Run now and then.
pub async fn tidy(state: &State) -> crate::db::Result<()> {
    let before = state.clock.now().plus(-24 * 60 * 60);
    let mut tx = state.db.write().await?;
    queries::forget(&mut tx, before).await?;
    tx.commit().await
}
