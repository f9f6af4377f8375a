//! What is asked for: as somebody typed it, and as it is meant.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::types::StepName;
use crate::id::UserId;
use crate::ipam::prefixes::PrefixLength;
use crate::lifecycle::{Family, Leased, Origin};
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::phones::Model;
use crate::text::Line;
use crate::users::NewUser;

mod parse;
mod plan;

/// What is wrong with each field.
pub type Errors = BTreeMap<String, String>;

/// A workflow as it was asked for, field by field; empty is not said. Kept with the run as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "described where the call is")]
pub struct Asked {
    pub kind: String,
    pub name: String,
    pub email: String,
    pub extension: String,
    pub mac: String,
    pub model: String,
    pub line: String,
    pub ipv4: String,
    pub ipv4_subnet: String,
    pub ipv6: String,
    pub ipv6_subnet: String,
    pub prefix: String,
    pub prefix_pool: String,
    pub prefix_length: String,
    pub activate: String,
    pub user: String,
    pub reason: String,
    #[serde(deserialize_with = "flag")]
    pub keep_addresses: bool,
    #[serde(deserialize_with = "flag")]
    pub delete_phone: bool,
    #[serde(deserialize_with = "flag")]
    pub apply: bool,
    pub optional: Vec<String>,
    pub on_failure: String,
    /// Boxes of the form: the next that is free, unless a certain one is said.
    #[serde(deserialize_with = "flag", skip_serializing)]
    pub want_ipv4: bool,
    #[serde(deserialize_with = "flag", skip_serializing)]
    pub want_ipv6: bool,
    #[serde(deserialize_with = "flag", skip_serializing)]
    pub want_prefix: bool,
}

/// A word that stands for "the next that is free".
pub const NEXT: &str = "next";

/// JSON has true and false, a form a box that is ticked.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Flag;

    impl de::Visitor<'_> for Flag {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("true or false")
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E>(self, text: &str) -> Result<bool, E> {
            Ok(!text.is_empty())
        }
    }

    deserializer.deserialize_any(Flag)
}

/// What is meant.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub what: What,
    pub apply: bool,
    /// Whether a failure waits for somebody to decide, rather than being undone at once.
    pub waits: bool,
    /// Steps without which the run may go on.
    pub optional: BTreeSet<StepName>,
}

/// By kind.
#[derive(Clone, Debug)]
pub(super) enum What {
    Provision(Box<Provision>),
    Suspend { who: Who, reason: Line<500> },
    Resume { who: Who },
    Deprovision { who: Who, keep_addresses: bool, delete_phone: bool, reason: Line<500> },
}

/// Somebody who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Id(UserId),
    Number(ExtensionNumber),
}

#[derive(Clone, Debug)]
pub(super) struct Provision {
    pub person: NewUser,
    pub phone: Option<PhoneWish>,
    pub leases: Vec<LeaseWish>,
    pub activation: Activation,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PhoneWish {
    pub mac: Mac,
    /// What it is, for one that is not known yet.
    pub model: Option<&'static Model>,
    /// Which of its lines; without it the first that is free.
    pub line: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseWish {
    pub family: Family,
    pub from: Origin,
    pub wish: Option<Leased>,
    pub length: Option<PrefixLength>,
}

/// When addresses are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// A phone's at its first registration, others at once.
    Usual,
    /// All at once.
    Now,
    /// None by the workflow.
    Later,
}

impl Asked {
    /// As a form sent it: without blanks around what was typed, and a box that is ticked stands for
    /// the next that is free. What belongs to none of the things wished for is left out, since a
    /// form sends it all the same.
    pub(super) fn of_form(mut self) -> Self {
        for text in [
            &mut self.kind,
            &mut self.name,
            &mut self.email,
            &mut self.extension,
            &mut self.mac,
            &mut self.model,
            &mut self.line,
            &mut self.ipv4,
            &mut self.ipv6,
            &mut self.prefix,
            &mut self.prefix_length,
            &mut self.user,
            &mut self.reason,
        ] {
            *text = text.trim().to_owned();
        }
        let settle = |want: &mut bool, wish: &mut String, place: &mut String| {
            if *want && wish.is_empty() {
                NEXT.clone_into(wish);
            }
            if !*want {
                wish.clear();
                place.clear();
            }
        };
        settle(&mut self.want_ipv4, &mut self.ipv4, &mut self.ipv4_subnet);
        settle(&mut self.want_ipv6, &mut self.ipv6, &mut self.ipv6_subnet);
        settle(&mut self.want_prefix, &mut self.prefix, &mut self.prefix_pool);
        if !self.want_prefix {
            self.prefix_length.clear();
        }
        self
    }

    /// What stands in the field of a wish: a certain one, or nothing.
    pub(super) fn certain(wish: &str) -> &str {
        if wish == NEXT { "" } else { wish }
    }

    /// As JSON, which [`Asked`] is read from again.
    pub(super) fn stored(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &serde_json::Value) -> Asked {
        serde_json::from_value(fields.clone()).unwrap()
    }

    fn plan(fields: &serde_json::Value) -> Vec<String> {
        let (_, input) = asked(fields).parse().unwrap();
        let say = |(step, required): (StepName, bool)| {
            format!("{step}{}", if required { "" } else { "?" })
        };
        input.plan().into_iter().map(say).collect()
    }

    #[test]
    fn the_steps_are_those_that_are_wished() {
        let whole = serde_json::json!({
            "kind": "provision", "name": "Ann", "email": "ann@example.com", "mac": "001565aabbcc",
            "ipv4": "next", "ipv6": "2001:db8::1", "prefix": "next", "prefix_length": "56", "apply": true,
            "optional": ["allocate_prefix", "apply"],
        });
        assert_eq!(
            plan(&whole),
            [
                "create_user",
                "connect_phone",
                "allocate_ipv4",
                "allocate_ipv6",
                "allocate_prefix?",
                "activate",
                "render_boot_file",
                "apply?"
            ]
        );
        let least =
            serde_json::json!({ "kind": "provision", "name": "Ann", "email": "ann@example.com" });
        assert_eq!(plan(&least), ["create_user"]);
        let away = serde_json::json!({ "kind": "deprovision", "user": "1000", "apply": true });
        assert_eq!(
            plan(&away),
            ["disable_user", "suspend_addresses", "disconnect_phone", "apply", "revoke_and_delete"]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let bad = serde_json::json!({
            "kind": "provision", "name": "", "email": "x", "extension": "0", "mac": "zz", "model": "t46s", "line": "99",
            "ipv4": "2001:db8::1", "ipv6": "", "ipv6_subnet": "x", "prefix": "nonsense", "prefix_length": "1",
            "activate": "perhaps", "optional": ["create_user", "dance"], "on_failure": "cry",
        });
        let wrong: Vec<String> = asked(&bad).parse().unwrap_err().into_keys().collect();
        assert_eq!(
            wrong,
            [
                "activate",
                "email",
                "extension",
                "ipv4",
                "ipv6",
                "line",
                "mac",
                "model",
                "name",
                "on_failure",
                "optional",
                "prefix",
                "prefix_length"
            ]
        );
        let nobody = serde_json::json!({ "kind": "suspend", "user": "Ann" });
        assert!(asked(&nobody).parse().unwrap_err().contains_key("user"));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let away =
            serde_json::json!({ "kind": "deprovision", "user": "1000", "keep_addresses": true });
        let one = asked(&away);
        assert_eq!(serde_json::from_str::<Asked>(&one.stored()).unwrap(), one);
    }
}
