//! `/provision/…`: who asks, whether they may have it, and what they get.
//!
//! There are three ways to a file. Its phone's token in the path is enough. Under `/provision/auth/`
//! a phone signs in with its own password. By its plain name a file is there for a phone in its
//! enrolment window, asking from a subnet where phones enrol; its own file ends the window, and the
//! others hold no secret there. Whoever may have nothing learns nothing: unknown and forbidden are the same answer,
//! found by the same look-ups.

mod admit;
mod enrol;
mod put;
mod reply;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};

use super::digest::Credentials;
use super::queries::Known;
use super::throttle::Guess;
use super::types::{File, Outcome, Request, Sighting, inert};
use super::{Provisioner, answer};
use crate::boot::{self, Asked, Part};
use crate::id::TenantId;
use crate::net::{Address, Mac};
use crate::phones::Vendor;
use crate::secrets;
use crate::time::Timestamp;
use crate::web::Error;

/// A request for a file, read.
pub(super) struct Call<'a> {
    pub at: Timestamp,
    pub address: Address,
    pub method: &'a str,
    /// The path with its query, as sent.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    /// How the phone introduces itself, fit to be stored.
    pub agent: String,
    pub asked: Asked,
    pub door: Door,
}

/// By what the path wants in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// A token, by its fingerprint.
    Token(String),
    /// A password.
    Password,
    /// Nothing: the plain name.
    Plain,
    /// No path of ours.
    None,
}

/// Whose phone is at the door.
#[derive(Clone, Copy)]
struct Guest {
    tenant: TenantId,
    mac: Mac,
    vendor: Vendor,
}

impl From<Known> for Guest {
    fn from(known: Known) -> Self {
        Self { tenant: known.tenant, mac: known.mac, vendor: known.vendor }
    }
}

/// Why somebody does not get in, and what is noted of it.
enum Shut {
    Refused(Outcome, Option<TenantId>, String),
    Wait(i64, bool),
    Challenge { stale: bool, tried: bool },
    Unavailable,
}

impl From<sqlx::Error> for Shut {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Shut {
    fn from(error: Error) -> Self {
        if !matches!(error, Error::Unavailable(_)) {
            tracing::error!(%error, "a phone could not be looked up");
        }
        Self::Unavailable
    }
}

fn refused<T>(outcome: Outcome, tenant: Option<TenantId>, why: &str) -> Result<T, Shut> {
    Err(Shut::Refused(outcome, tenant, why.to_owned()))
}

/// What stands after `/provision/` in a path: the way in, and the file's name.
pub(super) fn read_path(path: &str) -> (Door, String) {
    let text = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(file), None, _) => (Door::Plain, file.to_owned()),
        (Some("auth"), Some(file), None) => (Door::Password, file.to_owned()),
        (Some(token), Some(file), None) => {
            (Door::Token(secrets::fingerprint(token.as_bytes())), file.to_owned())
        }
        _ => (Door::None, parts.next_back().unwrap_or_default().to_owned()),
    }
}

impl<'a> Call<'a> {
    /// Reads a request.
    pub(super) fn read(request: &'a HttpRequest, address: Address, at: Timestamp) -> Self {
        let path = request.uri().path();
        let (door, file) = read_path(path.strip_prefix("/provision/").unwrap_or_default());
        let agent = request.headers().get(header::USER_AGENT);
        let agent = inert(&String::from_utf8_lossy(
            agent.map(actix_web::http::header::HeaderValue::as_bytes).unwrap_or_default(),
        ));
        let asked = boot::asked(&file, &agent);
        let target = request.uri().path_and_query().map_or(path, |target| target.as_str());
        let (method, headers) = (request.method().as_str(), request.headers());
        Self { at, address, method, target, headers, agent, asked, door }
    }

    fn credentials(&self) -> Option<Credentials> {
        let header = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        Credentials::parse(header)
    }

    /// Whether it comes without a token and without a password.
    fn is_bare(&self) -> bool {
        self.door == Door::Plain && !self.headers.contains_key(header::AUTHORIZATION)
    }

    /// A name without a MAC is nobody's file in particular.
    fn guesses_nothing(&self) -> bool {
        self.is_bare() && self.asked.mac().is_none()
    }

    /// What it tried; none for a password, of which each try counts.
    fn guess(&self) -> Option<Guess> {
        let token = match &self.door {
            Door::Token(hash) => Some(hash.clone()),
            Door::Plain if self.is_bare() => None,
            _ => return None,
        };
        Some(Guess { mac: self.asked.mac(), token })
    }

    /// The row of the log.
    fn row(&self, outcome: Outcome, how: &str) -> Request {
        Request {
            at: self.at,
            tenant: None,
            mac: self.asked.mac(),
            address: self.address,
            user_agent: self.agent.clone(),
            path: inert(self.asked.shown()),
            outcome,
            how: inert(how),
            revision: String::new(),
            bytes: 0,
        }
    }

    /// What it says of the phone, which now has `file` if it got one.
    fn sighting(&self, mac: Mac, file: Option<&File>) -> Sighting {
        let agent = self.asked.agent.as_ref();
        let of = |part: Part| file.filter(|file| file.part == part);
        let own = of(Part::Own).map(|file| (inert(&self.asked.name), file.revision.clone()));
        let common = of(Part::Common).map(|file| file.revision.clone());
        Sighting {
            mac,
            at: self.at,
            address: self.address,
            own,
            common,
            user_agent: self.agent.clone(),
            model: agent.map(|agent| inert(&agent.model)).unwrap_or_default(),
            firmware: agent.map(|agent| inert(&agent.firmware)).unwrap_or_default(),
        }
    }

    /// Whether the request names another phone than this: its file does.
    fn names_other(&self, mac: Mac) -> bool {
        self.asked.mac.is_some_and(|named| named != mac)
    }

    /// Whether the phone says it is another than this.
    fn says_other(&self, mac: Mac) -> bool {
        let said = self.asked.agent.as_ref().and_then(|agent| agent.mac);
        said.is_some_and(|said| said != mac)
    }
}

impl Provisioner {
    /// Answers a GET or HEAD.
    pub(super) async fn fetch(&self, call: &Call<'_>) -> HttpResponse {
        if let Some(advice) = &call.asked.placeholder {
            self.log.note(call.row(Outcome::Placeholder, "not filled in"), None);
            return answer::said(StatusCode::BAD_REQUEST, &format!("{advice}\n"));
        }
        let epoch = self.epochs.now(&self.state.db).await;
        let admitted = match &call.door {
            Door::Token(hash) => {
                self.by_token(call, hash, epoch).await.map(|guest| (guest, "token"))
            }
            Door::Password => self.by_password(call, true).await.map(|guest| (guest, "password")),
            Door::Plain if !call.is_bare() => {
                self.by_password(call, false).await.map(|guest| (guest, "password"))
            }
            Door::Plain => return self.enrol(call, epoch).await,
            Door::None => refused(Outcome::Unknown, None, "no such path"),
        };
        match admitted {
            Ok((guest, how)) => {
                let found = self.find(guest, call, epoch).await;
                self.give(call, guest, found, how, false)
            }
            Err(shut) => self.shut(call, shut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_lead_to_a_door_and_a_name() {
        let token = Door::Token(secrets::fingerprint(b"abc"));
        for (path, door, file) in [
            ("001565aabbcc.cfg", Door::Plain, "001565aabbcc.cfg"),
            ("auth/001565aabbcc.cfg", Door::Password, "001565aabbcc.cfg"),
            ("abc/y000000000066.cfg", token.clone(), "y000000000066.cfg"),
            ("abc/%7Bmac%7D.cfg", token.clone(), "{mac}.cfg"),
            ("abc/%2e%2e", token, ".."),
            ("", Door::Plain, ""),
            ("a/b/c", Door::None, ""),
            ("../../etc/passwd", Door::None, "passwd"),
        ] {
            let (found, name) = read_path(path);
            assert_eq!((found, name.as_str()), (door, file), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read(path in "\\PC*|([a-z0-9.]{0,9}|/|%2[eEfF]|\\.\\.){0,12}") {
            let (_, name) = read_path(&path);
            prop_assert!(!name.contains('/'));
        }
    }
}
