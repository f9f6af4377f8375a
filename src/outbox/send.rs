//! Making a call: the settings of the moment, the order, and the sentence about what came of it.

use std::collections::HashMap;
use std::time::Duration;

use super::order::{DhcpOrder, NetboxOrder, Order, Payload, RadiusAction, RadiusOrder};
use super::queries;
use super::setup::{self, DhcpSetup, Nas, RadiusSetup, Settings, SuspendBy};
use super::types::System;
use crate::id::TenantId;
use crate::net::Family;
use crate::outside::guard::Allowed;
use crate::outside::http::{Credentials, Resolver};
use crate::outside::kea::{self, Channel, Reservation, Settled, Subnet};
use crate::outside::radius::{self, Code, Exchange, Reply, Request};
use crate::outside::{Fault, Key, Leased, netbox};
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// What is needed to speak to a tenant's system, read in one go, before anything is said.
pub struct Access {
    tenant: TenantId,
    settings: Settings,
    secret: Key,
    nases: Vec<Nas>,
    allowed: Allowed,
    /// Under which tag NetBox keeps what is the tenant's.
    tag: String,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In a sentence.
    pub answer: String,
    /// What NetBox has of the thing now, if it was NetBox.
    pub stored: Option<netbox::Stored>,
}

impl Outcome {
    fn of(answer: impl Into<String>) -> Self {
        Self { answer: answer.into(), stored: None }
    }
}

impl Access {
    /// Reads it.
    pub async fn read(state: &State, tenant: TenantId, system: System) -> Result<Self, Error> {
        let mut tx = state.read().await?;
        let setup = setup::get(&mut tx, tenant, system).await?;
        let secret = setup.secret(&state.vault, tenant, system)?;
        let slug = crate::tenants::get(&mut tx, tenant).await?.slug;
        Ok(Self {
            tenant,
            settings: setup.settings,
            secret,
            nases: setup::nases(&mut tx, tenant).await?,
            allowed: setup::allowed(&mut tx, system).await?,
            tag: tag(&slug),
        })
    }

    /// What marks a reservation as the tenant's.
    pub fn mark(&self) -> String {
        self.tenant.to_string()
    }

    /// The channel to the DHCP server of a family; `None` if there is none.
    pub async fn kea(&self, family: Family, resolver: &Resolver) -> Result<Option<Channel>, Fault> {
        let Settings::Dhcp(dhcp) = &self.settings else { return Ok(None) };
        let Some(at) = self.kea_at(dhcp, family) else { return Ok(None) };
        Channel::open(&at, &self.allowed, resolver).await.map(Some)
    }

    fn kea_at(&self, dhcp: &DhcpSetup, family: Family) -> Option<kea::At> {
        let place = match family {
            Family::V4 => dhcp.v4.clone(),
            Family::V6 => dhcp.v6.clone(),
        };
        let credentials = if dhcp.user.is_empty() {
            Credentials::None
        } else {
            Credentials::Basic(dhcp.user.to_string(), self.secret.clone())
        };
        Some(kea::At { place: place?, family, credentials, authorities: dhcp.authorities.clone() })
    }

    /// NetBox.
    pub async fn netbox(&self, resolver: &Resolver) -> Result<netbox::Client, Fault> {
        let Settings::Netbox(setup) = &self.settings else {
            return Err(not_set_up(System::Netbox));
        };
        let url = setup.url.as_ref().ok_or_else(|| not_set_up(System::Netbox))?;
        netbox::Client::open(
            url,
            &self.secret,
            &setup.authorities,
            &self.tag,
            &self.allowed,
            resolver,
        )
        .await
    }

    /// How the system is reached.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// What marks objects in NetBox as those of the tenant with this slug.
pub fn tag(slug: &str) -> String {
    if slug.is_empty() { "patchbay".to_owned() } else { format!("patchbay-{slug}") }
}

fn not_set_up(system: System) -> Fault {
    Fault::Never(format!(
        "{} is not set up completely; see Settings, Outside systems",
        system.title()
    ))
}

/// What a session's server is told: one packet, whatever it takes.
pub async fn radius(
    state: &State,
    access: &Access,
    order: &RadiusOrder,
    (identifier, at): (u8, Timestamp),
    waits: &[Duration],
) -> Result<Outcome, Fault> {
    let Settings::Radius(setup) = &access.settings else { return Err(not_set_up(System::Radius)) };
    let nas = setup::reachable(&access.nases, order.session.nas).map_err(Fault::Never)?;
    let nas = nas.open(&state.vault, access.tenant).map_err(|_| {
        Fault::Never("the secret of the NAS cannot be opened; enter it again".into())
    })?;
    let (code, filter) = asked(setup, order.action);
    let request = Request {
        code,
        identifier,
        at: u32::try_from(at.0).unwrap_or(0),
        nas: nas.ip,
        session: &order.session,
        leased: order.leased,
        filter,
    };
    let reply = radius::ask(&nas, &request, Exchange { allowed: &access.allowed, waits }).await?;
    let what = match code {
        Code::Coa => "changed the session",
        Code::Disconnect => "ended the session",
    };
    Ok(Outcome::of(match reply {
        Reply::Acknowledged => format!("{} {what}", nas.name()),
        Reply::NoSession => {
            format!("{} has no such session: there was nothing to change", nas.name())
        }
    }))
}

fn asked(setup: &RadiusSetup, action: RadiusAction) -> (Code, Option<&str>) {
    let usual = Some(setup.usual_filter.as_str()).filter(|filter| !filter.is_empty());
    match action {
        RadiusAction::Activate => (Code::Coa, None),
        RadiusAction::Restore => (Code::Coa, usual),
        RadiusAction::Suspend if setup.suspend == SuspendBy::Filter => {
            (Code::Coa, Some(setup.suspended_filter.as_str()))
        }
        RadiusAction::Suspend | RadiusAction::Disconnect => (Code::Disconnect, None),
    }
}

/// One conversation with a tenant's Kea servers: each is looked up and asked for its subnets once.
pub struct Dhcp<'a> {
    state: &'a State,
    access: &'a Access,
    resolver: &'a Resolver,
    open: HashMap<Family, (Channel, Vec<Subnet>)>,
}

impl<'a> Dhcp<'a> {
    /// Begins one.
    pub fn new(state: &'a State, access: &'a Access, resolver: &'a Resolver) -> Self {
        Self { state, access, resolver, open: HashMap::new() }
    }

    /// Brings about what an order says.
    pub async fn call(&mut self, payload: &Payload) -> Result<Outcome, Fault> {
        let Order::Dhcp(order) = &payload.order else { return Err(not_set_up(System::Dhcp)) };
        let leased = payload.order.leased();
        let (state, tenant, mark) = (self.state, self.access.tenant, self.access.mark());
        let Some((channel, subnets)) = self.channel(leased.family()).await? else {
            return Ok(Outcome::of(format!(
                "no Kea server for {} is set up: there was nothing to do",
                leased.family()
            )));
        };
        let settled = match order {
            DhcpOrder::Reserve(wanted) => {
                let mut how = (payload.had.as_slice(), false);
                let mut settled = kea::reserve(channel, subnets, wanted, how, &mark).await?;
                if let Settled::Elsewhere(other) = settled {
                    if stands(state, tenant, other, wanted).await? {
                        return Err(both(&channel.name(), wanted, other));
                    }
                    // Nobody wants that one any more: the machine moves.
                    how.1 = true;
                    settled = kea::reserve(channel, subnets, wanted, how, &mark).await?;
                }
                settled
            }
            DhcpOrder::Release { leased } => {
                kea::release(channel, subnets, *leased, &payload.had, &mark).await?
            }
        };
        let name = channel.name();
        Ok(Outcome::of(match settled {
            Settled::Written => format!("{name} has the reservation"),
            Settled::Removed => format!("{name} has it no more"),
            Settled::Already => format!("{name} had it so already"),
            Settled::NoSubnet => {
                format!("{name} serves no subnet around {leased}: there was nothing to do")
            }
            Settled::Elsewhere(other) => format!("{name} has {other} for this machine"),
        }))
    }

    async fn channel(&mut self, family: Family) -> Result<Option<&(Channel, Vec<Subnet>)>, Fault> {
        if !self.open.contains_key(&family) {
            let Some(channel) = self.access.kea(family, self.resolver).await? else {
                return Ok(None);
            };
            let subnets = channel.subnets().await?;
            self.open.insert(family, (channel, subnets));
        }
        Ok(self.open.get(&family))
    }
}

/// Whether another reservation of a machine is to be there.
async fn stands(
    state: &State,
    tenant: TenantId,
    other: Leased,
    wanted: &Reservation,
) -> Result<bool, Fault> {
    let unknown = || Fault::Declined("what else the machine has reserved cannot be read".into());
    let mut tx = state.read().await.map_err(|_| unknown())?;
    let entry =
        queries::entry(&mut tx, tenant, System::Dhcp, other).await.map_err(|_| unknown())?;
    let order = entry.and_then(|entry| entry.order);
    Ok(order.as_ref().and_then(Order::identifier) == Some(&wanted.identifier))
}

fn both(kea: &str, wanted: &Reservation, other: Leased) -> Fault {
    Fault::Never(format!(
        "{kea} has {other} reserved for the same machine, and one machine gets one address of a subnet; revoke {other}, or give {} another MAC, then try again",
        wanted.leased
    ))
}

/// One conversation with a tenant's NetBox.
pub struct Netbox<'a> {
    access: &'a Access,
    resolver: &'a Resolver,
    open: Option<netbox::Client>,
}

impl<'a> Netbox<'a> {
    /// Begins one.
    pub fn new(access: &'a Access, resolver: &'a Resolver) -> Self {
        Self { access, resolver, open: None }
    }

    /// Brings about what an order says. `known` is what NetBox called it.
    pub async fn call(&mut self, payload: &Payload, known: Option<i64>) -> Result<Outcome, Fault> {
        let Order::Netbox(order) = &payload.order else { return Err(not_set_up(System::Netbox)) };
        if self.open.is_none() {
            self.open = Some(self.access.netbox(self.resolver).await?);
        }
        let Some(client) = &self.open else { return Err(not_set_up(System::Netbox)) };
        let stored = match order {
            NetboxOrder::Set(record) => client.set(record, known).await?,
            NetboxOrder::Remove { leased } => client.remove(*leased, known).await?,
        };
        let name = client.name();
        let answer = match (stored.changed, stored.id) {
            (true, Some(id)) => format!("{name} says so now (number {id})"),
            (false, Some(id)) => format!("{name} said so already (number {id})"),
            (true, None) => format!("{name} has it no more"),
            (false, None) => format!("{name} did not have it"),
        };
        Ok(Outcome { answer, stored: Some(stored) })
    }
}
