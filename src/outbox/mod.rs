//! The outbox: what is to be said to systems outside, and how it went.
//!
//! An operation writes its calls in its own transaction ([`push`]), so that there is a call for
//! every change that happened and for none that did not. The [`Runner`] makes them afterwards, with
//! no transaction open: those of one line (a session; an address in DHCP or NetBox) one after the
//! other, at least once, again after a while if they fail, and not for ever: then a call is *dead*
//! until somebody looks at it. What a system is like at the moment ([`setup`]) counts when the call
//! is made: neither addresses of servers nor secrets are part of one.
//!
//! Nothing is lost or done twice by a crash. Before the call the row still waits; during it the
//! row is somebody's for a minute and then anybody's again; after it, unrecorded, it is made once
//! more, which changes nothing: RADIUS gets the same packet, DHCP and NetBox are read before they
//! are written.

pub mod api;
mod mirror;
mod order;
mod peers;
mod queries;
mod runner;
mod send;
pub mod setup;
pub mod trial;
mod types;
pub mod web;

use std::collections::HashMap;

use crate::audit::{Change, Event, Page};
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::{CallId, TenantId};
use crate::secrets::Entropy;
use crate::web::Error;

pub use mirror::{Entry, LOST, Wanted, note_read, pass_over, stale, standing, taking_back};
pub use order::{DhcpOrder, NetboxOrder, Order, RadiusAction, RadiusOrder};
pub use runner::{Backoff, Runner};
pub use types::{BadSystem, Call, CallState, Filter, Subject, System};

pub use crate::outside::Leased;
pub use crate::outside::kea::{Identifier, Reservation};
pub use crate::outside::netbox::{Record, RecordStatus};
pub use crate::outside::radius::Session;
pub use send::{Access, tag};

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// Writes a call beside the fact that causes it; `None` when the tenant has not switched that
/// system on. An order for DHCP or NetBox replaces those still waiting for the same address, and
/// from then on decides what is said of it, until it is taken back by a release or removal: also
/// while the system is off, so that it hears of nothing that is over when it is switched on again.
pub async fn push(
    change: &mut Change,
    entropy: &Entropy,
    subject: &Subject,
    order: &Order,
) -> Result<Option<CallId>> {
    let (tenant, now) = (change.tenant(), change.at());
    // For RADIUS nothing else is written, and whether it is on is asked with that.
    if order.system() != System::Radius {
        match queries::switched(change.tx(), tenant, order.system()).await? {
            Some(true) => {}
            Some(false) => {
                mirror::write_off(change.tx(), (tenant, now), subject, order).await?;
                return Ok(None);
            }
            None => return Ok(None),
        }
    }
    let wanted = Wanted { ordered: order.stands(), row: (0, 0) };
    mirror::write(change.tx(), entropy, (tenant, now), subject, order, (wanted, true)).await
}

/// As [`push`], for what the register of addresses says: `row` is the address's number and version.
/// `None` when an operation has ordered something else of it.
pub async fn push_read(
    change: &mut Change,
    entropy: &Entropy,
    subject: &Subject,
    order: &Order,
    row: (i64, i64),
) -> Result<Option<CallId>> {
    let (tenant, now) = (change.tenant(), change.at());
    let wanted = Wanted { ordered: false, row };
    mirror::write(change.tx(), entropy, (tenant, now), subject, order, (wanted, false)).await
}

/// An operation wants nothing said of something: nor does the register, until it is let go.
pub async fn withhold(change: &mut Change, system: System, leased: Leased) -> Result<()> {
    let tenant = change.tenant();
    if !queries::is_on(change.tx(), tenant, system).await? {
        return Ok(());
    }
    let wanted = Wanted { ordered: true, row: (0, 0) };
    queries::set_entry(change.tx(), tenant, system, leased, "", (wanted, true)).await.map(drop)
}

/// An operation wants nothing said of what it does: what the register had said of something stands
/// as if an operation had ordered it, until one orders something else or it is let go.
pub async fn keep(change: &mut Change, system: System, leased: Leased) -> Result<()> {
    let tenant = change.tenant();
    queries::keep(change.tx(), tenant, system, leased).await
}

/// Nobody has it under an assignment any more: what operations ordered of it and did not take back
/// counts no longer. What the systems hold stays until somebody has it anew.
pub async fn let_go(change: &mut Change, leased: Leased) -> Result<()> {
    let tenant = change.tenant();
    queries::let_go(change.tx(), tenant, leased).await
}

/// Whoever has something is called otherwise, or their machine is: where an operation ordered that
/// DHCP or NetBox says so, it is ordered anew. What the register says follows by itself.
pub async fn rename(
    change: &mut Change,
    entropy: &Entropy,
    subject: &Subject,
    leased: Leased,
    (holder, hostname): (&str, Option<&str>),
) -> Result<()> {
    let tenant = change.tenant();
    for system in [System::Dhcp, System::Netbox] {
        let Some(entry) = queries::entry(change.tx(), tenant, system, leased).await? else {
            continue;
        };
        let Some(order) = entry.order.filter(|_| entry.wanted.ordered) else { continue };
        let new = order.renamed(holder, hostname);
        if new != order {
            push(change, entropy, subject, &new).await?;
        }
    }
    Ok(())
}

/// What a system should hold of something.
pub async fn entry(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
) -> Result<Option<Entry>> {
    queries::entry(tx, tenant, system, leased).await
}

/// What operations ordered and the system lost.
pub async fn lost_orders(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    limit: i64,
) -> Result<Vec<Order>> {
    queries::lost_orders(tx, tenant, system, limit).await
}

/// Whether the newest call about something is not done: it waits, is dead, or was given up.
pub async fn is_unsettled(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
) -> Result<bool> {
    let state = queries::newest_on_line(tx, tenant, system, &leased.to_string()).await?;
    Ok(state.is_some_and(|state| state != CallState::Done))
}

/// Whether the tenant has switched the system on.
pub async fn is_on(tx: &mut Tx, tenant: TenantId, system: System) -> Result<bool> {
    queries::is_on(tx, tenant, system).await
}

/// The last 200 calls of this subject, the oldest first.
pub async fn of(tx: &mut Tx, tenant: TenantId, subject: &Subject) -> Result<Vec<Call>> {
    queries::of(tx, tenant, subject).await
}

/// How the newest call to each system stands, by the text of its subject. For lists.
pub async fn states(
    tx: &mut Tx,
    tenant: TenantId,
    subjects: &[Subject],
) -> Result<HashMap<String, Vec<(System, CallState)>>> {
    let mut found = HashMap::new();
    for subject in subjects {
        let states = queries::states(tx, tenant, subject).await?;
        if !states.is_empty() {
            found.insert(subject.to_string(), states);
        }
    }
    Ok(found)
}

/// NetBox's own number for an address or a prefix, if it is there.
pub async fn netbox_id(tx: &mut Tx, tenant: TenantId, leased: &Leased) -> Result<Option<i64>> {
    queries::remote_id(tx, tenant, *leased).await
}

/// A page of calls, the newest first, and how many there are.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Call>, i64)> {
    let calls = queries::list(tx, tenant, filter, page).await?;
    Ok((calls, queries::count(tx, tenant, filter).await?))
}

/// How many calls wait or are being made, and how many are dead.
pub async fn totals(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64)> {
    queries::totals(tx, tenant).await
}

/// Why a call cannot be tried again or given up.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such call.
    #[error("there is no such call")]
    Missing,
    /// It is over, or being made.
    #[error("this call is {0}; only one that waits or is dead can be tried again or given up")]
    Over(&'static str),
    /// A later one of the same line was made.
    #[error("a later call about the same thing was made already; this one would undo it")]
    Overtaken,
    /// No reason.
    #[error("say why it is given up, in 1 to 200 characters")]
    Reason,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Tries a call again at once, as if it had never been tried.
pub async fn retry(
    change: &mut Change,
    entropy: &Entropy,
    id: CallId,
) -> std::result::Result<Call, Refusal> {
    let (tenant, now) = (change.tenant(), change.at());
    let call = open(change.tx(), tenant, id).await?;
    if call.state == CallState::Dead && queries::overtaken(change.tx(), tenant, id).await? {
        return Err(Refusal::Overtaken);
    }
    let number = identifier(entropy).map_err(Error::from)?;
    if !queries::retry(change.tx(), tenant, id, number, now).await? {
        return Err(Refusal::Over(CallState::Sending.as_str()));
    }
    change.record(Event::new("outbox.retried", &call.label, &id));
    Ok(call)
}

/// Tries every dead call of a system again. How many.
pub async fn retry_all(change: &mut Change, system: System) -> Result<u64> {
    let (tenant, now) = (change.tenant(), change.at());
    let count = queries::retry_all(change.tx(), tenant, system, now).await?;
    if count > 0 {
        let what = format!("{count} calls to {}", system.title());
        change.record(Event::new("outbox.retried", &what, &system.as_str()));
    }
    Ok(count)
}

/// Gives a call up, for a reason.
pub async fn give_up(
    change: &mut Change,
    id: CallId,
    reason: &str,
) -> std::result::Result<Call, Refusal> {
    let reason: crate::text::Line<200> = reason.parse().map_err(|_| Refusal::Reason)?;
    if reason.is_empty() {
        return Err(Refusal::Reason);
    }
    let (tenant, now) = (change.tenant(), change.at());
    let call = open(change.tx(), tenant, id).await?;
    let answer = format!("given up by {}: {reason}", change.actor().name);
    if !queries::give_up(change.tx(), tenant, id, &answer, now).await? {
        return Err(Refusal::Over(CallState::Sending.as_str()));
    }
    change.record(Event::new("outbox.given_up", &call.label, &id).note(reason.as_str()));
    Ok(call)
}

/// The call, if something can still be done about it.
async fn open(tx: &mut Tx, tenant: TenantId, id: CallId) -> std::result::Result<Call, Refusal> {
    let call = queries::get(tx, tenant, id).await?.ok_or(Refusal::Missing)?;
    match call.state {
        CallState::Waiting | CallState::Dead => Ok(call),
        state => Err(Refusal::Over(state.as_str())),
    }
}

/// The number of a packet.
fn identifier(entropy: &Entropy) -> std::io::Result<i64> {
    Ok(entropy.bytes::<1>()?.into_iter().map(i64::from).sum())
}
