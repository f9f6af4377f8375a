//! What a step did, as a person reads it.

use serde_json::Value;

use crate::net::Mac;
use crate::workflows::types::{Step, StepName, StepStatus};

/// Something a step did: a word, a value, and the page about it.
pub(super) struct Said {
    pub word: &'static str,
    pub value: String,
    pub link: Option<String>,
}

impl Step {
    /// What there is to say of what it did.
    pub(super) fn said(&self) -> Vec<Said> {
        let Some(noted) = self.saved::<Value>() else { return Vec::new() };
        let text = |name: &str| noted.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| noted.get(name).and_then(Value::as_i64);
        let count = |name: &str| noted.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        let one = |word, value: Option<String>, link: Option<String>| {
            value.map(|value| Said { word, value, link }).into_iter().collect()
        };
        match self.name {
            StepName::CreateUser => one("extension", text("extension"), None),
            StepName::AllocateIpv4 | StepName::AllocateIpv6 | StepName::AllocatePrefix => {
                one("", text("address"), text("assignment").map(|id| format!("/lifecycle/{id}")))
            }
            StepName::ConnectPhone | StepName::DisconnectPhone => {
                let mac = text("mac").and_then(|mac| mac.parse::<Mac>().ok());
                let there = mac.filter(|_| self.status == StepStatus::Done);
                let link = there.map(|mac| format!("/phones/{}", mac.hex()));
                let which = number("line").unwrap_or(1);
                one("", mac.map(|mac| format!("line {which} of {mac}")), link)
            }
            StepName::Apply => {
                let run = number("run");
                let link = run.map(|run| format!("/apply/runs/{run}"));
                one("Apply", run.map(|run| run.to_string()), link)
            }
            StepName::SuspendAddresses | StepName::ReactivateAddresses | StepName::Activate => {
                one("", Some(counted(count("assignments"))), None)
            }
            StepName::RevokeAndDelete => one("", Some(counted(count("ended"))), None),
            StepName::RenderBootFile => {
                let files = noted.get("files").and_then(Value::as_array);
                let names = files.into_iter().flatten().filter_map(Value::as_str);
                one("", Some(names.collect::<Vec<_>>().join(", ")), None)
            }
            StepName::DisableUser | StepName::EnableUser => Vec::new(),
        }
    }
}

fn counted(count: usize) -> String {
    match count {
        0 => "there were none".to_owned(),
        1 => "1 address or prefix".to_owned(),
        many => format!("{many} addresses and prefixes"),
    }
}
