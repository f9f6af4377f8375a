//! From what was typed to what is meant: every field is looked at before giving up.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use super::{Activation, Asked, Errors, Input, LeaseWish, NEXT, PhoneWish, Provision, What, Who};
use crate::ipam::prefixes::PrefixLength;
use crate::ipam::space::Source;
use crate::lifecycle::{Family, Leased, Origin};
use crate::net::{Address, Cidr, Mac};
use crate::numbering::ExtensionNumber;
use crate::phones::{Model, Vendor};
use crate::text::Line;
use crate::users::{Email, NewUser, PersonName};
use crate::workflows::types::{BadStepName, Kind, StepName};

impl Asked {
    /// What is meant by it, or everything that is wrong with it.
    pub(in crate::workflows) fn parse(&self) -> Result<(Kind, Input), Errors> {
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
