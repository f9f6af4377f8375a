//! One address as it is seen, and its name in DNS.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use crate::auth::{Operator, Right};
use crate::ipam::addresses::{self, Claim, Edit, Hostname, Record};
use crate::ipam::observe::names::{self, Named};
use crate::ipam::space::Space;
use crate::ipam::subnets::{self, Subnet};
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

#[derive(Template)]
#[template(path = "ipam/observe/address.html", blocks = ["answer"])]
struct AddressPage {
    shell: Shell,
    address: Address,
    record: Option<Record>,
    claims: Vec<Claim>,
    subnet: Option<Subnet>,
    named: Option<Named>,
    error: Option<String>,
    may_ask: bool,
}

impl AddressPage {
    async fn new(by: &Operator, address: Address) -> Result<Self, Error> {
        let (mut tx, tenant) = (by.read().await?, by.tenant());
        Ok(Self {
            shell: by.shell(&mut tx, "/ipam/addresses").await?,
            address,
            record: addresses::get(&mut tx, tenant, address).await?,
            claims: addresses::claims_on(&mut tx, tenant, address).await?,
            subnet: subnets::around(&mut tx, tenant, address).await?,
            named: None,
            error: None,
            may_ask: by.may(Right::ReserveAddresses),
        })
    }

    /// Whether the name is a conflict that nobody settled yet.
    fn in_conflict(&self) -> bool {
        self.claims.iter().any(|claim| !claim.hostname.is_empty())
    }

    /// What is written here, if DNS says something else.
    fn other(&self) -> Option<&Hostname> {
        let written = &self.record.as_ref()?.hostname;
        self.named.as_ref().filter(|named| named.differs(written)).map(|_| written)
    }

    /// The name found, if it is not what is written.
    fn offer(&self) -> Option<(&Hostname, i64)> {
        match (&self.named, &self.record) {
            (Some(Named::Called(name)), Some(record)) if name.key() != record.hostname.key() => {
                Some((name, record.version))
            }
            _ => None,
        }
    }
}

/// An address in a path; what is none is not there.
fn address_of(path: &str) -> Result<Address, Error> {
    path.parse().map_err(|_| Error::NotFound)
}

pub(super) async fn show(by: Operator, path: web::Path<String>) -> Answer {
    ok(&AddressPage::new(&by, address_of(&path)?).await?)
}

pub(super) async fn name(request: HttpRequest, by: Operator, path: web::Path<String>) -> Answer {
    let address = address_of(&path)?;
    let named = match names::look_up(&by, address).await {
        Ok(named) => named,
        Err(addresses::Refusal::Fault(error)) => return Err(error),
        Err(refusal) => Named::Unknown(refusal.to_string()),
    };
    let page = AddressPage { named: Some(named), ..AddressPage::new(&by, address).await? };
    if request.headers().contains_key("hx-request") { ok(&page.as_answer()) } else { ok(&page) }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NameForm {
    hostname: Field,
    version: i64,
}

/// Writes what DNS says, which is no conflict any more.
async fn use_name(
    space: &mut Space<'_>,
    by: &Operator,
    address: Address,
    version: i64,
    hostname: Hostname,
) -> addresses::Outcome<()> {
    let edit = Edit { hostname: Some(hostname.clone()), ..Edit::default() };
    addresses::edit(space, address, Some(version), &edit, &reserver(by)).await?;
    names::called(space, address, &hostname).await.map(drop)
}

pub(super) async fn take_name(
    by: Operator,
    path: web::Path<String>,
    form: Form<NameForm>,
) -> Answer {
    let address = address_of(&path)?;
    let mut form = form.0;
    let Some(hostname) = form.hostname.parse::<Hostname>() else {
        let error = form.hostname.error;
        return invalid(&AddressPage { error, ..AddressPage::new(&by, address).await? });
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    match use_name(&mut space, &by, address, form.version, hostname).await {
        Ok(()) => {
            space.close().await?;
            let changed = change.commit_if_any().await?;
            let path = format!("/ipam/observe/{address}");
            Ok(flash::done_if(changed, &path, "Saved as its host name"))
        }
        Err(addresses::Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(space);
            drop(change);
            let status = match refusal {
                addresses::Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
                addresses::Refusal::NotYours { .. } => StatusCode::CONFLICT,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let error = Some(refusal.to_string());
            respond(status, &AddressPage { error, ..AddressPage::new(&by, address).await? })
        }
    }
}
