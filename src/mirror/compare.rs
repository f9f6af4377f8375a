//! What a system outside really holds, beside what it should.

use std::collections::BTreeMap;

use super::keep::subject;
use crate::audit::Change;
use crate::db;
use crate::id::TenantId;
use crate::net::Family;
use crate::outbox::{self, Access, DhcpOrder, Entry, Leased, NetboxOrder, Order, System, setup};
use crate::outside::Fault;
use crate::outside::http::Resolver;
use crate::outside::kea::Made;
use crate::secrets::Entropy;
use crate::state::State;
use crate::web::Error;

/// Entries read at a time.
const STRIDE: i64 = 1_000;
/// Things looked up in one transaction that Patchbay says nothing of.
const SURPLUS: usize = 1_000;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub leased: Leased,
    /// What Patchbay says; empty when it says nothing.
    pub here: String,
    /// What the system says; empty when it says nothing.
    pub there: String,
}

/// Everything that differs, in order. Patchbay is the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of which system.
    pub system: System,
    /// What it does not hold, though it should.
    pub missing: Vec<Difference>,
    /// What it holds of Patchbay's, though it should not.
    pub surplus: Vec<Difference>,
    /// What it holds otherwise.
    pub different: Vec<Difference>,
    /// How much was compared.
    pub compared: usize,
}

impl Report {
    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.count() == 0
    }

    /// How much differs.
    pub fn count(&self) -> usize {
        self.missing.len() + self.surplus.len() + self.different.len()
    }
}

/// Asks the system for everything it holds of the tenant's, and compares. What is still on its way
/// to it, or could not be said, is no difference: the outbox shows that.
pub async fn compare(
    state: &State,
    tenant: TenantId,
    system: System,
    resolver: &Resolver,
) -> Result<Result<Report, Fault>, Error> {
    let access = Access::read(state, tenant, system).await?;
    let there = match system {
        System::Netbox => in_netbox(&access, resolver).await,
        System::Dhcp | System::Radius => in_kea(&access, resolver).await,
    };
    let mut there = match there {
        Ok(there) => there,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut report = Report {
        system,
        missing: Vec::new(),
        surplus: Vec::new(),
        different: Vec::new(),
        compared: 0,
    };
    let mut after = None;
    loop {
        let mut tx = state.read().await?;
        let entries = outbox::standing(&mut tx, tenant, system, after, STRIDE).await?;
        let Some(last) = entries.last() else { break };
        after = Some(last.leased);
        for entry in entries {
            let (leased, found) = (entry.leased, there.things.remove(&entry.leased));
            let verdict = there.judge(&entry, found.as_ref());
            // Looked up only where something differs: nearly nothing does.
            if verdict.is_some() && outbox::is_unsettled(&mut tx, tenant, system, leased).await? {
                continue;
            }
            report.compared += 1;
            match verdict {
                Some((How::Missing, difference)) => report.missing.push(difference),
                Some((How::Surplus, difference)) => report.surplus.push(difference),
                Some((How::Different, difference)) => report.different.push(difference),
                None => {}
            }
        }
    }
    let mut rest = there.things.into_iter().peekable();
    while rest.peek().is_some() {
        // Not one transaction for all: there may be very many, and others want the connection.
        let mut tx = state.read().await?;
        for (leased, found) in rest.by_ref().take(SURPLUS) {
            if outbox::is_unsettled(&mut tx, tenant, system, leased).await? {
                continue;
            }
            report.compared += 1;
            let there = found.to_string();
            report.surplus.push(Difference { leased, here: String::new(), there });
        }
    }
    Ok(Ok(report))
}

/// What a system holds of something.
enum Found {
    Reservation(Made),
    Record(crate::outside::netbox::Found),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reservation(made) => {
                let machine = made.identifier.as_ref().map(ToString::to_string).unwrap_or_default();
                write!(f, "{machine} {}", made.hostname)
            }
            Self::Record(found) => {
                write!(f, "{} {} {}", found.status, found.dns_name, found.description)
            }
        }
    }
}

/// All a system holds, and which prefixes it can hold something of.
struct There {
    things: BTreeMap<Leased, Found>,
    /// `None` is everywhere.
    within: Option<Vec<crate::outside::kea::Subnet>>,
}

impl There {
    /// How what is held differs from what should be, if it does.
    fn judge(&self, entry: &Entry, found: Option<&Found>) -> Option<(How, Difference)> {
        let leased = entry.leased;
        let said = |order: Option<&Order>| order.map(said).unwrap_or_default();
        let shown = |found: Option<&Found>| found.map(ToString::to_string).unwrap_or_default();
        let how = match (&entry.order, found) {
            (None, None) => return None,
            (None, Some(_)) => How::Surplus,
            (Some(_), None) if self.is_beyond(leased) => return None,
            (Some(_), None) => How::Missing,
            (Some(order), Some(found)) if agrees(order, found) => return None,
            (Some(_), Some(_)) => How::Different,
        };
        let (here, there) = (said(entry.order.as_ref()), shown(found));
        Some((how, Difference { leased, here, there }))
    }

    /// Whether it lies where the system holds nothing.
    fn is_beyond(&self, leased: Leased) -> bool {
        let within = self.within.as_ref();
        within.is_some_and(|all| !all.iter().any(|subnet| subnet.prefix.contains(leased.first())))
    }
}

/// How something differs.
#[derive(Clone, Copy)]
enum How {
    Missing,
    Surplus,
    Different,
}

fn agrees(order: &Order, found: &Found) -> bool {
    match (order, found) {
        (Order::Netbox(NetboxOrder::Set(record)), Found::Record(found)) => {
            record.differs(found).is_empty()
        }
        (Order::Dhcp(DhcpOrder::Reserve(wanted)), Found::Reservation(made)) => {
            made.identifier.as_ref() == Some(&wanted.identifier)
                && made.hostname.eq_ignore_ascii_case(&wanted.hostname)
        }
        _ => false,
    }
}

fn said(order: &Order) -> String {
    match order {
        Order::Netbox(NetboxOrder::Set(record)) => {
            format!("{} {} {}", record.status.as_str(), record.dns_name, record.description)
        }
        Order::Dhcp(DhcpOrder::Reserve(wanted)) => {
            format!("{} {}", wanted.identifier, wanted.hostname)
        }
        _ => String::new(),
    }
}

async fn in_netbox(access: &Access, resolver: &Resolver) -> Result<There, Fault> {
    let all = access.netbox(resolver).await?.all().await?;
    // The older of two about the same address is the one that is kept in step.
    let mut things = BTreeMap::new();
    for found in all {
        things.entry(found.leased).or_insert(Found::Record(found));
    }
    Ok(There { things, within: None })
}

async fn in_kea(access: &Access, resolver: &Resolver) -> Result<There, Fault> {
    let (mark, mut things, mut within) = (access.mark(), BTreeMap::new(), Vec::new());
    for family in [Family::V4, Family::V6] {
        let Some(channel) = access.kea(family, resolver).await? else { continue };
        for subnet in channel.subnets().await? {
            for made in channel.reservations(subnet.id).await? {
                if made.mark.as_deref() == Some(&mark) {
                    for leased in made.leased.clone() {
                        things.insert(leased, Found::Reservation(made.clone()));
                    }
                }
            }
            within.push(subnet);
        }
    }
    Ok(There { things, within: Some(within) })
}

/// Orders everything that a report found to differ. How many orders were written at once; the rest
/// follows with the next pass.
pub async fn put_right(
    change: &mut Change,
    entropy: &Entropy,
    report: &Report,
) -> db::Result<usize> {
    let (tenant, system) = (change.tenant(), report.system);
    for difference in report.missing.iter().chain(&report.different) {
        outbox::stale(change.tx(), tenant, system, difference.leased).await?;
    }
    for difference in &report.surplus {
        let order = outbox::taking_back(system, difference.leased);
        outbox::push_read(change, entropy, &subject(difference.leased), &order, (0, 0)).await?;
    }
    // The next pass finds what was marked.
    setup::compared(change.tx(), tenant, system, 0).await?;
    Ok(report.count())
}
