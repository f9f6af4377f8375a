//! The form with which a workflow is begun.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{AT, LIST};
use crate::auth::Operator;
use crate::ipam::prefixes;
use crate::ipam::subnets::{self, PoolKind};
use crate::net::Family;
use crate::phones::{Model, Vendor};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, ok, respond};
use crate::workflows::input::{Asked, Errors};
use crate::workflows::types::{Kind, StepName};
use crate::workflows::{Refusal, begin, may_apply, may_begin};

/// Places a form offers.
const OFFERED: usize = 200;

/// A place a form offers: its id, and what it is called.
type Offer = (String, String);

#[derive(Template)]
#[template(path = "workflows/new.html")]
struct NewPage {
    shell: Shell,
    kind: Kind,
    asked: Asked,
    errors: Errors,
    four: Vec<Offer>,
    six: Vec<Offer>,
    pools: Vec<Offer>,
    makes: Vec<(Vendor, Vec<&'static Model>)>,
    /// The maker is not guessed here.
    maker: Option<Vendor>,
    may_apply: bool,
    /// Another that stands in the way, and where it is.
    refused: Option<(String, String)>,
}

impl NewPage {
    async fn new(by: &Operator, asked: Asked, errors: Errors) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let kind = asked.kind.parse().unwrap_or(Kind::Provision);
        let (mut four, mut six, mut pools) = (Vec::new(), Vec::new(), Vec::new());
        if kind == Kind::Provision {
            let of = subnets::all_pools(&mut tx, tenant).await?;
            for subnet in subnets::all(&mut tx, tenant).await? {
                let pools = of.get(&subnet.id).map(Vec::as_slice).unwrap_or_default();
                if pools.iter().any(|pool| pool.kind == PoolKind::Static) {
                    let offer =
                        (subnet.id.to_string(), format!("{} ({})", subnet.name, subnet.cidr));
                    let v4 = subnet.cidr.network().family() == Family::V4;
                    let into = if v4 { &mut four } else { &mut six };
                    into.push(offer);
                }
            }
            let all = prefixes::list(&mut tx, tenant).await?.into_iter();
            pools.extend(
                all.map(|pool| (pool.id.to_string(), format!("{} ({})", pool.name, pool.cidr))),
            );
            for offers in [&mut four, &mut six, &mut pools] {
                offers.truncate(OFFERED);
            }
        }
        Ok(Self {
            shell: by.shell(&mut tx, AT).await?,
            makes: Vendor::ALL.map(|vendor| (vendor, vendor.models().collect())).into(),
            may_apply: may_apply(by),
            refused: None,
            maker: None,
            kind,
            asked,
            errors,
            four,
            six,
            pools,
        })
    }

    /// A field with what was typed and what is wrong with it.
    fn field(&self, name: &str) -> Field {
        let asked = &self.asked;
        let value = match name {
            "name" => &asked.name,
            "email" => &asked.email,
            "extension" => &asked.extension,
            "mac" => &asked.mac,
            "model" => &asked.model,
            "line" => &asked.line,
            "ipv4" => Asked::certain(&asked.ipv4),
            "ipv4_subnet" => &asked.ipv4_subnet,
            "ipv6" => Asked::certain(&asked.ipv6),
            "ipv6_subnet" => &asked.ipv6_subnet,
            "prefix" => Asked::certain(&asked.prefix),
            "prefix_pool" => &asked.prefix_pool,
            "prefix_length" => &asked.prefix_length,
            "activate" => &asked.activate,
            "user" => &asked.user,
            "reason" => &asked.reason,
            _ => "",
        };
        Field { value: value.to_owned(), error: self.errors.get(name).cloned() }
    }

    /// Steps of this kind without which it may go on.
    fn optional(&self) -> Vec<StepName> {
        use StepName::{
            Activate, AllocateIpv4, AllocateIpv6, AllocatePrefix, Apply, ConnectPhone,
            DisconnectPhone, ReactivateAddresses, RenderBootFile, SuspendAddresses,
        };
        let mut steps = match self.kind {
            Kind::Provision => vec![
                ConnectPhone,
                AllocateIpv4,
                AllocateIpv6,
                AllocatePrefix,
                Activate,
                RenderBootFile,
            ],
            Kind::Suspend => vec![SuspendAddresses],
            Kind::Resume => vec![ReactivateAddresses],
            Kind::Deprovision => vec![SuspendAddresses, DisconnectPhone],
        };
        if self.may_apply {
            steps.push(Apply);
        }
        steps
    }

    fn is_optional(&self, step: &StepName) -> bool {
        self.asked.optional.iter().any(|word| word == step.as_str())
    }

    /// Whether something is wrong that would be hidden.
    fn opens(&self) -> bool {
        ["optional", "on_failure", "activate", "extension", "line"]
            .iter()
            .any(|name| self.errors.contains_key(*name))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewQuery {
    kind: String,
    user: String,
}

pub(super) async fn new(by: Operator, query: web::Query<NewQuery>) -> Answer {
    let NewQuery { kind, user } = query.into_inner();
    let kind = kind.parse().unwrap_or(Kind::Provision).to_string();
    let provision = kind == Kind::Provision.as_str();
    let asked =
        Asked { kind, user, want_ipv4: provision, apply: may_apply(&by), ..Asked::default() };
    ok(&NewPage::new(&by, asked, Errors::new()).await?)
}

pub(super) async fn create(by: Operator, form: Form<Asked>) -> Answer {
    if !may_begin(&by) {
        return Err(Error::Forbidden);
    }
    let asked = form.0.of_form();
    let mut change = by.change().await?;
    let refusal = match begin(&mut change, &by.state().vault, &asked, may_apply(&by)).await {
        Ok(run) => {
            change.commit().await?;
            let said = format!("{}: {} has begun", run.label, run.kind);
            return Ok(flash::done(&format!("{LIST}/{}", run.id), said));
        }
        Err(refusal) => refusal,
    };
    drop(change);
    match refusal {
        Refusal::Fault(error) => Err(error),
        Refusal::Fields(errors) => {
            let page = NewPage::new(&by, asked, errors).await?;
            respond(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Refusal::Missing => Err(Error::NotFound),
        other => {
            let link = match &other {
                Refusal::Busy { id, .. } => format!("{LIST}/{id}"),
                _ => LIST.to_owned(),
            };
            let page = NewPage::new(&by, asked, Errors::new()).await?;
            let page = NewPage { refused: Some((other.to_string(), link)), ..page };
            respond(StatusCode::CONFLICT, &page)
        }
    }
}
