//! Kea's answer to `lease4-get-all` and `lease6-get-all`, and to their `-get-page`.
//!
//! `{"result": 0, "text": …, "arguments": {"leases": […]}}`, in a list with one such for each server if the control
//! agent was asked. A lease has `ip-address`, `hw-address`, `hostname`, `cltt` (the client's last transaction, seconds
//! since 1970), `valid-lft` (seconds from then), `state`, and for IPv6 `type`. Result 3 is "there are none".
//!
//! Source: Kea Administrator Reference Manual, "The lease4-get-all, lease6-get-all Commands" and, for the numbers of
//! `result`, "Using the Control Channel".

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::kea_csv::INFINITE;
use super::{Entry, Lease, LeaseState, Leases, LeasesError, hostname, mac};

const EMPTY: i64 = 3;

#[derive(Deserialize)]
struct Answer {
    result: i64,
    #[serde(default)]
    arguments: Option<Arguments>,
}

#[derive(Default, Deserialize)]
struct Arguments {
    #[serde(default)]
    leases: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    ip_address: IpAddr,
    hw_address: Option<String>,
    hostname: Option<String>,
    cltt: i64,
    valid_lft: u64,
    #[serde(default)]
    state: u32,
    r#type: Option<String>,
}

/// Reads the whole answer, or the answers of several servers one after the other.
pub(super) fn parse(content: &[u8]) -> Result<Leases, LeasesError> {
    let value: Value =
        serde_json::from_slice(content).map_err(|error| LeasesError::Json(error.line()))?;
    let answers = match value {
        Value::Array(answers) if !answers.is_empty() => answers,
        answer => vec![answer],
    };
    let answers: Option<Vec<Answer>> = answers.into_iter().map(answer).collect();
    let answers = answers.ok_or(LeasesError::Unknown)?;
    if let Some(refused) = answers.iter().find(|answer| !matches!(answer.result, 0 | EMPTY)) {
        return Err(LeasesError::Refused(refused.result));
    }
    let mut found = Leases::default();
    let leases = answers.into_iter().filter_map(|answer| answer.arguments);
    for (number, value) in (1..).zip(leases.flat_map(|arguments| arguments.leases)) {
        found.take(number, read(value));
    }
    Ok(found)
}

/// A list is none: serde would take its elements for the fields.
fn answer(value: Value) -> Option<Answer> {
    value.is_object().then(|| serde_json::from_value(value).ok()).flatten()
}

fn read(value: Value) -> Result<Entry, &'static str> {
    let record: Record = serde_json::from_value(value)
        .map_err(|_| "the lease lacks ip-address, cltt or valid-lft, or has them wrong")?;
    if record.r#type.as_deref() == Some("IA_PD") {
        return Ok(Entry::Nothing);
    }
    let lasts = i64::try_from(record.valid_lft).ok();
    let ends = lasts.and_then(|seconds| record.cltt.checked_add(seconds));
    let expires = ends.ok_or("cltt and valid-lft are no time")?;
    Ok(Entry::Lease(Lease {
        address: record.ip_address,
        mac: record.hw_address.as_deref().and_then(mac),
        hostname: record.hostname.as_deref().and_then(hostname::valid),
        expires: (record.valid_lft != INFINITE).then_some(expires),
        state: LeaseState::of_kea(record.state),
    }))
}
