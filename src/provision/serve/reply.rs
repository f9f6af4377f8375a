//! What is answered, and noted of it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::super::epoch::Epoch;
use super::super::render::Found;
use super::super::types::{Outcome, Request};
use super::super::{Provisioner, answer, lock};
use super::{Call, Guest, Shut};
use crate::boot::{Part, What};

impl Provisioner {
    pub(super) async fn find(&self, guest: Guest, call: &Call<'_>, epoch: Option<Epoch>) -> Found {
        let whose = (guest.tenant, guest.mac);
        match call.asked.what(guest.vendor) {
            What::File(Part::Book(page)) => {
                self.book((guest.tenant, guest.mac, guest.vendor), page, epoch).await
            }
            What::File(part) => self.file(whose, (&call.asked.name, part), epoch).await,
            _ => Found::Nothing,
        }
    }

    /// Sends what was found to whom it belongs.
    pub(super) fn give(
        &self,
        call: &Call<'_>,
        guest: Guest,
        found: Found,
        how: &str,
        whole: bool,
    ) -> HttpResponse {
        let (file, outcome, age, why) = match found {
            Found::Fresh(file) => (file, Outcome::Served, None, String::new()),
            Found::Aged(file, age) => (file, Outcome::Aged, Some(age), String::new()),
            Found::Broken(Some(file), why) => (file, Outcome::Broken, None, why),
            Found::Broken(None, why) => {
                return self.without(call, guest, Outcome::Broken, &format!("{how}: {why}"));
            }
            Found::Nothing => return self.without(call, guest, call.lacking(guest), how),
            Found::Unavailable => return self.shut(call, Shut::Unavailable),
        };
        let answer = answer::file(&file, call.headers, whole, age);
        let unchanged = answer.status() == StatusCode::NOT_MODIFIED;
        let outcome =
            if unchanged && outcome == Outcome::Served { Outcome::Unchanged } else { outcome };
        let doubt = if call.says_other(guest.mac) { "; the phone says it is another" } else { "" };
        let why = if why.is_empty() { why } else { format!(": {why}") };
        let row = Request {
            tenant: Some(guest.tenant),
            mac: Some(guest.mac),
            revision: file.revision.clone(),
            bytes: sent(&answer, call.method),
            ..call.row(outcome, &format!("{how}{doubt}{why}"))
        };
        // Whoever only asked whether there is something new does not have it yet.
        let has = Some(&file).filter(|_| call.method != "HEAD");
        self.log.note(row, Some(call.sighting(guest.mac, has)));
        answer
    }

    /// The phone is known; there is nothing for it under that name.
    pub(super) fn without(
        &self,
        call: &Call<'_>,
        guest: Guest,
        outcome: Outcome,
        how: &str,
    ) -> HttpResponse {
        let (tenant, mac) = (Some(guest.tenant), Some(guest.mac));
        let row = Request { tenant, mac, ..call.row(outcome, how) };
        self.log.note(row, Some(call.sighting(guest.mac, None)));
        answer::nothing()
    }

    /// Says no, always in the same words.
    pub(super) fn shut(&self, call: &Call<'_>, shut: Shut) -> HttpResponse {
        match shut {
            Shut::Refused(outcome, tenant, why) => {
                if !call.guesses_nothing() {
                    lock(&self.throttle).failed(call.address, call.guess(), call.at);
                }
                self.log.note(Request { tenant, ..call.row(outcome, &why) }, None);
                answer::nothing()
            }
            Shut::Wait(seconds, first) => {
                metrics::counter!("boot_throttled_total").increment(1);
                if first {
                    self.log.note(call.row(Outcome::Throttled, "too many wrong guesses"), None);
                }
                answer::wait(StatusCode::TOO_MANY_REQUESTS, seconds)
            }
            Shut::Challenge { stale, tried } => {
                if tried {
                    lock(&self.throttle).failed(call.address, None, call.at);
                    self.log.note(call.row(Outcome::Refused, "wrong password"), None);
                }
                let challenges = lock(&self.challenger).challenge(&call.agent, stale, call.at);
                challenges.map_or_else(
                    |_| answer::wait(StatusCode::SERVICE_UNAVAILABLE, 5),
                    |challenges| answer::challenge(&challenges),
                )
            }
            Shut::Unavailable => answer::wait(StatusCode::SERVICE_UNAVAILABLE, 5),
        }
    }
}

impl Call<'_> {
    /// What it is that there is no file: phones ask for much they do well without, and for a phone
    /// book whether they have one or not.
    fn lacking(&self, guest: Guest) -> Outcome {
        match self.asked.what(guest.vendor) {
            What::Optional | What::Firmware | What::Upload | What::File(Part::Book(_)) => {
                Outcome::Unneeded
            }
            What::File(_) | What::Unknown => Outcome::Unknown,
        }
    }
}

fn sent(answer: &HttpResponse, method: &str) -> i64 {
    use actix_web::body::{BodySize, MessageBody as _};
    match answer.body().size() {
        BodySize::Sized(bytes) if method != "HEAD" => i64::try_from(bytes).unwrap_or(i64::MAX),
        _ => 0,
    }
}
