//! What is asked for: as somebody typed it, and as it is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::types::{BadStepName, Kind, StepName};
use crate::id::UserId;
use crate::ipam::prefixes::PrefixLength;
use crate::ipam::space::Source;
use crate::lifecycle::{Family, Leased, Origin};
use crate::net::{Address, Cidr, Mac};
use crate::numbering::ExtensionNumber;
use crate::phones::{Model, Vendor};
use crate::text::Line;
use crate::users::{Email, NewUser, PersonName};

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

/// Fields being parsed.
struct Fields<'a> {
    asked: &'a Asked,
    errors: Errors,
}

impl Fields<'_> {
    fn wrong(&mut self, field: &str, why: &impl Display) {
        self.errors.insert(field.to_owned(), why.to_string());
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error| self.wrong(field, &error)).ok()
    }

    /// Nothing said is `Some(None)`.
    fn optional<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.parse(field, text).map(Some) }
    }

    fn what(&mut self, kind: Kind) -> Option<What> {
        let asked = self.asked;
        if kind == Kind::Provision {
            return self.provision().map(Box::new).map(What::Provision);
        }
        let reason = self.parse::<Line<500>>("reason", &asked.reason);
        let who = self.who();
        let (who, reason) = (who?, reason?);
        Some(match kind {
            Kind::Resume => What::Resume { who },
            Kind::Deprovision => What::Deprovision {
                who,
                keep_addresses: asked.keep_addresses,
                delete_phone: asked.delete_phone,
                reason,
            },
            Kind::Suspend | Kind::Provision => What::Suspend { who, reason },
        })
    }

    fn who(&mut self) -> Option<Who> {
        let text = &self.asked.user;
        if let Ok(id) = text.parse() {
            return Some(Who::Id(id));
        }
        match text.parse() {
            Ok(number) => Some(Who::Number(number)),
            Err(_) => {
                self.wrong("user", &"say who: an extension, or a user's id");
                None
            }
        }
    }

    fn provision(&mut self) -> Option<Provision> {
        let asked = self.asked;
        let name = self.parse::<PersonName>("name", &asked.name);
        let email = self.parse::<Email>("email", &asked.email);
        let number = self.optional::<ExtensionNumber>("extension", &asked.extension);
        let phone = self.phone();
        let four = self.address(Family::Ipv4, "ipv4", &asked.ipv4, &asked.ipv4_subnet);
        let six = self.address(Family::Ipv6, "ipv6", &asked.ipv6, &asked.ipv6_subnet);
        let prefix = self.prefix();
        let activation = match asked.activate.as_str() {
            "" => Some(Activation::Usual),
            "now" => Some(Activation::Now),
            "later" => Some(Activation::Later),
            _ => {
                self.wrong("activate", &"use now or later, or nothing");
                None
            }
        };
        Some(Provision {
            person: NewUser { name: name?, email: email?, number: number? },
            phone: phone?,
            leases: [four?, six?, prefix?].into_iter().flatten().collect(),
            activation: activation?,
        })
    }

    fn phone(&mut self) -> Option<Option<PhoneWish>> {
        let asked = self.asked;
        let mac = self.optional::<Mac>("mac", &asked.mac);
        let line = match asked.line.as_str() {
            "" => Some(None),
            text => match text.parse::<u8>() {
                Ok(line @ 1..=32) => Some(Some(line)),
                _ => {
                    self.wrong("line", &"use 1 to 32; without it the first that is free");
                    None
                }
            },
        };
        let model = self.model();
        let (mac, line, model) = (mac?, line?, model?);
        let Some(mac) = mac else {
            if line.is_some() || model.is_some() {
                self.wrong("mac", &"say which phone, by its MAC address");
                return None;
            }
            return Some(None);
        };
        Some(Some(PhoneWish { mac, model, line }))
    }

    fn model(&mut self) -> Option<Option<&'static Model>> {
        let text = self.asked.model.as_str();
        if text.is_empty() {
            return Some(None);
        }
        let Some((vendor, name)) = text.split_once('/') else {
            self.wrong("model", &"say the maker and the model, such as yealink/t46s");
            return None;
        };
        let vendor = self.parse::<Vendor>("model", vendor)?;
        Model::find(vendor, name).map(Some).map_err(|error| self.wrong("model", &error)).ok()
    }

    fn address(
        &mut self,
        family: Family,
        field: &str,
        text: &str,
        subnet: &str,
    ) -> Option<Option<LeaseWish>> {
        let place = format!("{field}_subnet");
        if text.is_empty() {
            if !subnet.is_empty() {
                self.wrong(field, &"say next, or a certain address");
                return None;
            }
            return Some(None);
        }
        let subnet = match subnet {
            "" => Some(None),
            subnet => self.parse(&place, subnet).map(Some),
        };
        let wish = self.wished::<Address>(field, text);
        let (wish, subnet) = (wish?, subnet?);
        if let Some(address) = wish.filter(|address| Family::of(*address) != family) {
            self.wrong(field, &format!("{address} is not an {}", family.label()));
            return None;
        }
        let from = subnet.map_or(Origin::Anywhere, |id| Origin::Addresses(Source::Subnet(id)));
        Some(Some(LeaseWish { family, from, wish: wish.map(Leased::Address), length: None }))
    }

    fn prefix(&mut self) -> Option<Option<LeaseWish>> {
        let asked = self.asked;
        let length = self.optional::<PrefixLength>("prefix_length", &asked.prefix_length);
        let pool = match asked.prefix_pool.as_str() {
            "" => Some(None),
            pool => self.parse("prefix_pool", pool).map(Some),
        };
        if asked.prefix.is_empty() {
            if !asked.prefix_pool.is_empty() || !asked.prefix_length.is_empty() {
                self.wrong("prefix", &"say next, or a certain prefix");
                return None;
            }
            return Some(None);
        }
        let wish = self.wished::<Cidr>("prefix", &asked.prefix);
        let (wish, length, pool) = (wish?, length?, pool?);
        let from = pool.map_or(Origin::Anywhere, Origin::Prefixes);
        let wish = wish.map(Leased::Prefix);
        Some(Some(LeaseWish { family: Family::Prefix, from, wish, length }))
    }

    /// The next one, or a certain one.
    fn wished<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<Option<T>> {
        if text == NEXT { Some(None) } else { self.parse(field, text).map(Some) }
    }

    fn optional_steps(&mut self) -> Option<BTreeSet<StepName>> {
        let mut steps = BTreeSet::new();
        for word in &self.asked.optional {
            match word.parse::<StepName>() {
                Ok(step) if step.may_be_optional() => drop(steps.insert(step)),
                Ok(step) => self.wrong("optional", &format!("without {step} nothing else can be")),
                Err(BadStepName) => self.wrong("optional", &format!("there is no step {word:?}")),
            }
        }
        (!self.errors.contains_key("optional")).then_some(steps)
    }
}

impl Asked {
    /// What is meant by it, or everything that is wrong with it.
    pub(super) fn parse(&self) -> Result<(Kind, Input), Errors> {
        let mut fields = Fields { asked: self, errors: Errors::new() };
        let kind = fields.parse::<Kind>("kind", &self.kind);
        let optional = fields.optional_steps();
        let waits = match self.on_failure.as_str() {
            "" | "undo" => Some(false),
            "wait" => Some(true),
            _ => {
                fields.wrong("on_failure", &"use undo or wait");
                None
            }
        };
        let what = kind.and_then(|kind| fields.what(kind));
        match (kind, what, optional, waits) {
            (Some(kind), Some(what), Some(optional), Some(waits)) if fields.errors.is_empty() => {
                Ok((kind, Input { what, apply: self.apply, waits, optional }))
            }
            _ => Err(fields.errors),
        }
    }

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
        let mut settle = |want: &mut bool, wish: &mut String, place: &mut String| {
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

impl Input {
    /// Its steps in their order, each with whether it is required.
    pub(super) fn plan(&self) -> Vec<(StepName, bool)> {
        let mut steps = match &self.what {
            What::Provision(wanted) => wanted.steps(),
            What::Suspend { .. } => vec![StepName::DisableUser, StepName::SuspendAddresses],
            What::Resume { .. } => vec![StepName::EnableUser, StepName::ReactivateAddresses],
            What::Deprovision { .. } => {
                vec![StepName::DisableUser, StepName::SuspendAddresses, StepName::DisconnectPhone]
            }
        };
        if self.apply {
            steps.push(StepName::Apply);
        }
        // Asterisk knows them no more by now: after this nothing can fail.
        if matches!(self.what, What::Deprovision { .. }) {
            steps.push(StepName::RevokeAndDelete);
        }
        steps.into_iter().map(|step| (step, !self.optional.contains(&step))).collect()
    }
}

impl Provision {
    fn steps(&self) -> Vec<StepName> {
        let mut steps = vec![StepName::CreateUser];
        if self.phone.is_some() {
            steps.push(StepName::ConnectPhone);
        }
        steps.extend(self.leases.iter().map(|lease| match lease.family {
            Family::Ipv4 => StepName::AllocateIpv4,
            Family::Ipv6 => StepName::AllocateIpv6,
            Family::Prefix => StepName::AllocatePrefix,
        }));
        if !self.leases.is_empty() && self.activation != Activation::Later {
            steps.push(StepName::Activate);
        }
        if self.phone.is_some() {
            steps.push(StepName::RenderBootFile);
        }
        steps
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
