//! What outside systems are to do because of a step: one place that says it, for the operations
//! and for the pages that spell it out beforehand.

use super::Outcome;
use super::api::OutsideCall;
use super::state::Operation;
use super::types::{Assignment, How, Leased};
use crate::db::{self, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::addresses::HolderKind;
use crate::ipam::space::Space;
use crate::net::{Address, Mac};
use crate::outbox::{
    self, DhcpOrder, Identifier, NetboxOrder, Order, RadiusAction, RadiusOrder, Record,
    RecordStatus, Reservation, Session, Subject, System,
};

/// Something one system is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// RADIUS: the session is given the address.
    SessionActivated,
    /// RADIUS: the session is restricted.
    SessionSuspended,
    /// RADIUS: the session has its usual rights again.
    SessionRestored,
    /// RADIUS: the session is ended.
    SessionEnded,
    /// DHCP: the machine always gets this address.
    Reserved(Mac),
    /// DHCP: the reservation is taken back and the lease ends.
    Released,
    /// `NetBox`: the address is written there, in use or not yet.
    Mirrored {
        /// Whether it is in use.
        active: bool,
    },
    /// `NetBox`: the address is removed there.
    Removed,
}

impl Effect {
    /// Which system.
    pub fn system(&self) -> &'static str {
        match self {
            Self::SessionActivated
            | Self::SessionSuspended
            | Self::SessionRestored
            | Self::SessionEnded => "RADIUS",
            Self::Reserved(_) | Self::Released => "DHCP",
            Self::Mirrored { .. } | Self::Removed => "NetBox",
        }
    }

    /// What happens there, as a sentence.
    pub fn sentence(&self, assignment: &Assignment) -> String {
        let what =
            assignment.leased.map_or_else(|| "the address".to_owned(), |leased| leased.to_string());
        let session = session(assignment, &How::default());
        match self {
            Self::SessionActivated => format!("the session of {session} is given {what} (CoA)"),
            Self::SessionSuspended => format!("the session of {session} is restricted (CoA)"),
            Self::SessionRestored => format!("the session of {session} has its rights back (CoA)"),
            Self::SessionEnded => format!("the session of {session} is ended (Disconnect)"),
            Self::Reserved(mac) => format!("{what} is reserved for {mac}"),
            Self::Released => format!("the reservation of {what} is taken back, its lease ends"),
            Self::Mirrored { active: true } => format!("{what} becomes active"),
            Self::Mirrored { active: false } => format!("{what} becomes reserved"),
            Self::Removed => format!("{what} is removed"),
        }
    }
}

/// The name of the session: as said now, as said before, or the holder's id.
fn session(assignment: &Assignment, how: &How) -> String {
    let said = how.username.as_ref().map(ToString::to_string);
    let known = || assignment.metadata.text("username").map(str::to_owned);
    said.or_else(known).unwrap_or_else(|| assignment.holder.id.clone())
}

/// The interface for which a reservation is made: the one said, or a phone's own.
fn interface(assignment: &Assignment) -> Option<Mac> {
    let own = || match assignment.holder.kind {
        HolderKind::Phone => assignment.holder.id.parse().ok(),
        _ => None,
    };
    assignment.mac.or_else(own)
}

/// What an operation asks of outside systems, whether or not they are switched on. `assignment` is
/// what it is before a revocation, a failure or a retry, and after anything else.
pub fn forecast(assignment: &Assignment, operation: Operation, how: &How) -> Vec<Effect> {
    // RADIUS is told of an activation when asked to, of the rest unless asked not to.
    let radius = how.radius.unwrap_or(operation != Operation::Activate);
    let netbox = how.netbox.unwrap_or(true);
    let mut effects = Vec::new();
    let mut add = |wanted: bool, effect: Effect| {
        if wanted {
            effects.push(effect);
        }
    };
    match operation {
        Operation::Allocate => {
            if let Some(mac) = interface(assignment) {
                let single = matches!(assignment.leased, Some(Leased::Address(_)));
                add(single, Effect::Reserved(mac));
            }
            add(netbox, Effect::Mirrored { active: false });
        }
        Operation::Activate => {
            add(radius, Effect::SessionActivated);
            add(netbox, Effect::Mirrored { active: true });
        }
        Operation::Suspend => add(radius, Effect::SessionSuspended),
        Operation::Reactivate => add(radius, Effect::SessionRestored),
        Operation::Revoke => {
            // Who never was active has no session to end.
            add(radius && assignment.activated_at.is_some(), Effect::SessionEnded);
            add(interface(assignment).is_some(), Effect::Released);
            add(netbox, Effect::Removed);
        }
        Operation::Fail => {
            let gives_back =
                matches!(assignment.state, super::State::Pending | super::State::Allocated)
                    || (assignment.state == super::State::Failed && !assignment.live);
            let had = assignment.leased.is_some() && gives_back;
            add(had && interface(assignment).is_some(), Effect::Released);
            add(had && netbox, Effect::Removed);
        }
        // What is tried again is not in use: it begins anew.
        Operation::Retry => {
            add(
                radius && assignment.live && assignment.activated_at.is_some(),
                Effect::SessionEnded,
            );
        }
        Operation::Complete => {}
    }
    effects
}

/// Writes, in the operation's own transaction, what the outside systems of the tenant are to do
/// because of it; how many calls that makes. None is made here.
pub(super) async fn tell(
    space: &mut Space<'_>,
    assignment: &Assignment,
    operation: Operation,
    how: &How,
) -> Outcome<usize> {
    let subject = Subject::new(Subject::ASSIGNMENT, &assignment.id);
    let mut calls = 0;
    for effect in forecast(assignment, operation, how) {
        let Some(order) = order(&effect, assignment, how) else { continue };
        let (change, entropy) = space.parts();
        let call = outbox::push(change, entropy, &subject, &order).await?;
        calls += usize::from(call.is_some());
    }
    // Told nothing by the operation, NetBox is not to be told the same by the register either.
    if let (Some(false), Some(leased)) = (how.netbox, assignment.leased.map(outside)) {
        let change = space.parts().0;
        match operation {
            Operation::Allocate => outbox::withhold(change, System::Netbox, leased).await?,
            Operation::Activate | Operation::Revoke | Operation::Fail => {
                outbox::keep(change, System::Netbox, leased).await?;
            }
            _ => {}
        }
    }
    Ok(calls)
}

/// The assignment holds its address no more: nothing it ordered counts any longer.
pub(super) async fn let_go(space: &mut Space<'_>, old: &Assignment) -> Outcome<()> {
    match old.held().map(outside) {
        Some(leased) => Ok(outbox::let_go(space.parts().0, leased).await?),
        None => Ok(()),
    }
}

/// What an assignment has, as systems outside are told of it.
fn outside(leased: Leased) -> outbox::Leased {
    match leased {
        Leased::Address(address) => outbox::Leased::Address(address),
        Leased::Prefix(cidr) => outbox::Leased::Delegated(cidr),
    }
}

/// An effect as the outbox takes it; none for an assignment that has nothing yet.
fn order(effect: &Effect, assignment: &Assignment, how: &How) -> Option<Order> {
    let leased = outside(assignment.leased?);
    let radius = |action| {
        let known =
            || assignment.metadata.text("nas_ip").and_then(|text| text.parse::<Address>().ok());
        let session = Session {
            user_name: Some(session(assignment, how)),
            acct_session_id: assignment.metadata.text("acct_session_id").map(str::to_owned),
            nas: how.nas.or_else(known).map(Address::ip),
        };
        Order::Radius(RadiusOrder { action, session, leased })
    };
    Some(match effect {
        Effect::SessionActivated => radius(RadiusAction::Activate),
        Effect::SessionSuspended => radius(RadiusAction::Suspend),
        Effect::SessionRestored => radius(RadiusAction::Restore),
        Effect::SessionEnded => radius(RadiusAction::Disconnect),
        Effect::Reserved(mac) => {
            let (identifier, hostname) = (Identifier::Mac(*mac), assignment.hostname.to_string());
            Order::Dhcp(DhcpOrder::Reserve(Reservation { leased, identifier, hostname }))
        }
        Effect::Released => Order::Dhcp(DhcpOrder::Release { leased }),
        Effect::Mirrored { active } => {
            let status = if *active { RecordStatus::Active } else { RecordStatus::Reserved };
            Order::Netbox(NetboxOrder::Set(Record {
                description: assignment.holder.described(),
                dns_name: assignment.hostname.to_string(),
                ..Record::new(leased, status)
            }))
        }
        Effect::Removed => Order::Netbox(NetboxOrder::Remove { leased }),
    })
}

/// What came of what outside systems were asked to do for an assignment, the oldest first.
pub(super) async fn outcomes(
    tx: &mut Tx,
    tenant: TenantId,
    assignment: AssignmentId,
) -> db::Result<Vec<OutsideCall>> {
    let calls = outbox::of(tx, tenant, &Subject::new(Subject::ASSIGNMENT, &assignment)).await?;
    let shown = |call: outbox::Call| OutsideCall {
        system: call.system.as_str().to_owned(),
        call: call.label,
        state: call.state.as_str().to_owned(),
        attempts: call.attempts,
        error: call.error,
        answer: call.answer,
    };
    Ok(calls.into_iter().map(shown).collect())
}

/// Which outside systems the tenant has switched on.
pub(super) async fn switched_on(tx: &mut Tx, tenant: TenantId) -> db::Result<Vec<&'static str>> {
    let mut on = Vec::new();
    for system in System::ALL {
        if outbox::is_on(tx, tenant, system).await? {
            on.push(system.title());
        }
    }
    Ok(on)
}

/// `NetBox`'s own number for what an assignment has.
pub(super) async fn netbox_id(
    tx: &mut Tx,
    tenant: TenantId,
    assignment: &Assignment,
) -> db::Result<Option<i64>> {
    let Some(leased) = assignment.leased else { return Ok(None) };
    outbox::netbox_id(tx, tenant, &outside(leased)).await
}
