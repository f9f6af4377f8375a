//! Refusals as errors that say which, by a code, and what of the request they are about.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use async_graphql::{Error, ErrorExtensions as _, Name, Value};

use crate::api::Problem;
use crate::lifecycle::Refusal;
use crate::lifecycle::api::Stopped;

/// Whoever asks may not do this.
pub(super) fn forbidden() -> Error {
    coded("the role does not allow this", "FORBIDDEN")
}

fn coded(why: impl Into<String>, code: &str) -> Error {
    Error::new(why).extend_with(|_, more| more.set("code", code))
}

/// Why something was not done.
pub(super) fn refused(stopped: Stopped) -> Error {
    match stopped {
        Stopped::Refused(Refusal::Fault(error)) => problem(error.into()),
        Stopped::Refused(refusal) => {
            let error = coded(refusal.to_string(), code(&refusal));
            match refusal.field() {
                Some(field) => error.extend_with(|_, more| more.set("field", camel(field))),
                None => error,
            }
        }
        Stopped::Problem(other) => problem(other),
    }
}

fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound(_) => "NOT_FOUND",
        Refusal::InvalidTransition { .. } => "INVALID_TRANSITION",
        Refusal::PoolExhausted(_) => "POOL_EXHAUSTED",
        Refusal::AddressUnavailable(_) => "ADDRESS_UNAVAILABLE",
        Refusal::AddressNotInPool(_) => "ADDRESS_NOT_IN_POOL",
        Refusal::AlreadyAllocated { .. } => "ALREADY_ALLOCATED",
        Refusal::Ambiguous(_) => "AMBIGUOUS",
        Refusal::Field { .. } => "BAD_INPUT",
        Refusal::Stale => "STALE",
        Refusal::Fault(_) => "FAULT",
    }
}

/// A call that could not be read, or a fault.
pub(super) fn problem(problem: Problem) -> Error {
    let code = match StatusCode::from_u16(problem.status) {
        Ok(StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST) => "BAD_INPUT",
        Ok(StatusCode::CONFLICT) => "CONFLICT",
        Ok(StatusCode::NOT_FOUND) => "NOT_FOUND",
        Ok(StatusCode::SERVICE_UNAVAILABLE) => "UNAVAILABLE",
        _ => "FAULT",
    };
    let fields: BTreeMap<Name, Value> = problem
        .errors
        .iter()
        .map(|(field, why)| (Name::new(camel(field)), Value::String(why.clone())))
        .collect();
    let said: Vec<String> =
        problem.errors.iter().map(|(field, why)| format!("{}: {why}", camel(field))).collect();
    let first = fields.keys().next().cloned();
    let why = if said.is_empty() { problem.detail } else { said.join("; ") };
    coded(why, code).extend_with(|_, more| {
        if let Some(first) = first {
            more.set("field", first.as_str());
            more.set("fields", Value::Object(fields.into_iter().collect()));
        }
    })
}

/// A field of the other interface as it is called in this one: `subscriber_id` is `subscriberId`.
fn camel(field: &str) -> String {
    if field == "send_coa" {
        return "sendCoA".to_owned();
    }
    let mut parts = field.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let mut letters = part.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn fields_have_the_names_of_arguments() {
        let names = ["subscriber_id", "role", "send_coa", "requested_address", "nas_ip"];
        let known = ["subscriberId", "role", "sendCoA", "requestedAddress", "nasIp"];
        assert_eq!(names.map(camel), known);
    }
}
