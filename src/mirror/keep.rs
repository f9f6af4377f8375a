//! Keeping systems outside in step with the register.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::compare;
use super::queries::{self, Delegated, Held, HeldSubnet, address, damaged, prefix};
use crate::audit::{self, Actor, Change, Via};
use crate::id::TenantId;
use crate::ipam::addresses::Holder;
use crate::outbox::{
    self, DhcpOrder, Identifier, LOST, Leased, NetboxOrder, Order, Record, RecordStatus,
    Reservation, Subject, System, setup,
};
use crate::outside::http::Resolver;
use crate::state::State;
use crate::web::Error;

/// How often one looks whether anything changed.
const TURN: Duration = Duration::from_secs(1);
/// A pass is made no sooner than after this many times what the last one took.
const SPACING: u32 = 20;
/// Differences ordered in one transaction.
const BATCH: i64 = 500;
/// Seconds after which Kea itself is looked at: without a database of its own a restart makes it
/// forget.
const LOOK: i64 = 300;

/// A process that keeps them in step.
pub struct Keeper {
    state: State,
    resolver: Resolver,
}

impl Keeper {
    /// One that asks the machine's resolver.
    pub fn new(state: State) -> Self {
        Self { state, resolver: Resolver::system() }
    }

    /// Does so until `leave` is true. Several processes may: what one ordered is no difference to
    /// the other.
    pub async fn run(self, mut leave: watch::Receiver<bool>) {
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut not_before: HashMap<(TenantId, System), Instant> = HashMap::new();
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => return,
                _ = turn.tick() => {
                    if let Err(error) = self.turn(&mut not_before).await {
                        tracing::warn!(%error, "systems outside cannot be kept in step; it is tried again");
                    }
                }
            }
        }
    }

    async fn turn(
        &self,
        not_before: &mut HashMap<(TenantId, System), Instant>,
    ) -> Result<(), Error> {
        for system in [System::Dhcp, System::Netbox] {
            let on = setup::switched_on(&mut self.state.read().await?, system).await?;
            for (tenant, seen, checked) in on {
                let begun = Instant::now();
                if not_before.get(&(tenant, system)).is_some_and(|moment| *moment > begun) {
                    continue;
                }
                follow(&self.state, tenant, system, seen).await?;
                if system == System::Dhcp && self.state.clock.now().since(checked) >= LOOK {
                    self.look(tenant).await?;
                }
                not_before.insert((tenant, system), Instant::now() + begun.elapsed() * SPACING);
            }
        }
        Ok(())
    }

    /// Looks at Kea itself, and orders anew what it lost.
    async fn look(&self, tenant: TenantId) -> Result<(), Error> {
        let mut tx = self.state.db.write().await?;
        setup::checked(&mut tx, tenant, System::Dhcp, self.state.clock.now()).await?;
        tx.commit().await?;
        match compare::compare(&self.state, tenant, System::Dhcp, &self.resolver).await? {
            Ok(report) if !report.is_clean() => {
                let mut change = self.state.change(&actor(tenant)).await?;
                compare::put_right(&mut change, self.state.vault.entropy(), &report).await?;
                change.commit_seen().await?;
                tracing::info!(
                    differences = report.count(),
                    "Kea differed from what is written, and is put right"
                );
            }
            Ok(_) => {}
            Err(fault) => tracing::warn!(%fault, "Kea cannot be compared; it is tried again"),
        }
        Ok(())
    }
}

/// Returns when it is time to leave.
async fn told(leave: &mut watch::Receiver<bool>) {
    let _ = leave.wait_for(|leave| *leave).await;
}

/// On whose behalf systems are told.
fn actor(tenant: TenantId) -> Actor {
    Actor { tenant, ..Actor::local("Patchbay", Via::System) }
}

/// One pass: orders every difference between the register and what a system was told. `seen` is
/// the newest change the last pass knew of. How many orders were written.
pub async fn follow(
    state: &State,
    tenant: TenantId,
    system: System,
    seen: i64,
) -> Result<usize, Error> {
    let head = audit::head(&mut state.read().await?).await?;
    if head == seen && seen > 0 {
        return Ok(0);
    }
    let (mut ordered, mut after) = (0, After::default());
    loop {
        let mut change = state.change(&actor(tenant)).await?;
        if !outbox::is_on(change.tx(), tenant, system).await? {
            return Ok(ordered);
        }
        let pass = Pass { state, tenant, system };
        let (written, more) = pass.batch(&mut change, &mut after).await?;
        ordered += written;
        if !more {
            setup::compared(change.tx(), tenant, system, head).await?;
        }
        change.commit_seen().await?;
        if !more {
            return Ok(ordered);
        }
    }
}

/// How far a pass has come.
#[derive(Default)]
struct After {
    address: Vec<u8>,
    delegated: Vec<u8>,
}

struct Pass<'a> {
    state: &'a State,
    tenant: TenantId,
    system: System,
}

impl Pass<'_> {
    /// Some differences; how many were ordered, and whether there may be more.
    async fn batch(&self, change: &mut Change, after: &mut After) -> Result<(usize, bool), Error> {
        let (tenant, mut ordered, mut more) = (self.tenant, 0, false);
        let changed = match self.system {
            System::Netbox => {
                queries::netbox_changed(change.tx(), tenant, &after.address, BATCH).await?
            }
            _ => queries::dhcp_changed(change.tx(), tenant, &after.address, BATCH).await?,
        };
        more |= full(changed.len());
        for held in changed {
            after.address.clone_from(&held.address);
            let row = (held.id, held.version);
            let order =
                if self.system == System::Netbox { recorded(held)? } else { reserved(held)? };
            ordered += self.say(change, &order, row).await?;
        }
        let gone = match self.system {
            System::Netbox => queries::netbox_gone(change.tx(), tenant, BATCH).await?,
            _ => queries::dhcp_gone(change.tx(), tenant, BATCH).await?,
        };
        more |= full(gone.len());
        for key in gone {
            ordered += self.take_back(change, Leased::Address(address(key)?)).await?;
        }
        if self.system == System::Netbox {
            queries::forget_passed_over(change.tx(), tenant).await?;
            let (written, left) = self.prefixes(change, after).await?;
            ordered += written;
            more |= left;
        }
        ordered += self.repeat(change).await?;
        Ok((ordered, more))
    }

    /// As [`Self::batch`], of subnets and of prefixes that were delegated.
    async fn prefixes(
        &self,
        change: &mut Change,
        after: &mut After,
    ) -> Result<(usize, bool), Error> {
        let (tenant, mut ordered) = (self.tenant, 0);
        let subnets = queries::subnets_changed(change.tx(), tenant, BATCH).await?;
        let mut more = full(subnets.len());
        for subnet in subnets {
            let row = (subnet.created_at, subnet.version);
            ordered += self.say(change, &described(subnet)?, row).await?;
        }
        let delegated =
            queries::delegated_changed(change.tx(), tenant, &after.delegated, BATCH).await?;
        more |= full(delegated.len());
        for one in delegated {
            after.delegated.clone_from(&one.first_key);
            let row = (one.created_at, one.version);
            ordered += self.say(change, &held_by(one)?, row).await?;
        }
        let gone = queries::prefixes_gone(change.tx(), tenant, BATCH).await?;
        more |= full(gone.len());
        for (key, length) in gone {
            ordered += self.take_back(change, Leased::Delegated(prefix(key, length)?)).await?;
        }
        Ok((ordered, more))
    }

    /// Orders what the register says, unless that stands already.
    async fn say(
        &self,
        change: &mut Change,
        order: &Order,
        row: (i64, i64),
    ) -> Result<usize, Error> {
        let leased = order.leased();
        let stands = outbox::entry(change.tx(), self.tenant, self.system, leased).await?;
        if stands
            .is_some_and(|entry| entry.order.as_ref() == Some(order) && entry.wanted.row != LOST)
        {
            outbox::note_read(change.tx(), self.tenant, self.system, leased, row).await?;
            return Ok(0);
        }
        let entropy = self.state.vault.entropy();
        let written = outbox::push_read(change, entropy, &subject(leased), order, row).await?;
        Ok(usize::from(written.is_some()))
    }

    async fn take_back(&self, change: &mut Change, leased: Leased) -> Result<usize, Error> {
        let order = outbox::taking_back(self.system, leased);
        let entropy = self.state.vault.entropy();
        let written = outbox::push_read(change, entropy, &subject(leased), &order, (0, 0)).await?;
        Ok(usize::from(written.is_some()))
    }

    /// Says again what operations ordered and the system lost.
    async fn repeat(&self, change: &mut Change) -> Result<usize, Error> {
        let lost = outbox::lost_orders(change.tx(), self.tenant, self.system, BATCH).await?;
        let count = lost.len();
        for order in lost {
            let entropy = self.state.vault.entropy();
            outbox::push(change, entropy, &subject(order.leased()), &order).await?;
        }
        Ok(count)
    }
}

/// Whether there may be more than were read at once.
fn full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= BATCH)
}

/// Whose such a call is: the address's own page shows it.
pub(super) fn subject(leased: Leased) -> Subject {
    match leased {
        Leased::Address(address) => Subject::new("address", &address),
        Leased::Delegated(prefix) => Subject::new("prefix", &prefix),
    }
}

fn reserved(held: Held) -> Result<Order, Error> {
    Ok(Order::Dhcp(DhcpOrder::Reserve(Reservation {
        leased: Leased::Address(address(held.address)?),
        identifier: Identifier::Mac(held.mac.parse().map_err(damaged)?),
        hostname: held.hostname,
    })))
}

fn recorded(held: Held) -> Result<Order, Error> {
    let by_hand = matches!(held.holder_kind.as_str(), "host" | "bmc" | "phone");
    let status = match (held.status.as_str(), held.kind.as_str()) {
        ("reserved", _) => RecordStatus::Reserved,
        ("quarantine", _) => RecordStatus::Deprecated,
        (_, "dhcp") if !by_hand => RecordStatus::Dhcp,
        _ => RecordStatus::Active,
    };
    let description = match status {
        RecordStatus::Reserved => held.description,
        RecordStatus::Deprecated => held.reason,
        RecordStatus::Active | RecordStatus::Dhcp => held.holder_name,
    };
    let length = held.length.map(u8::try_from).transpose().map_err(damaged)?;
    Ok(Order::Netbox(NetboxOrder::Set(Record {
        leased: Leased::Address(address(held.address)?),
        length,
        status,
        description,
        dns_name: held.hostname,
    })))
}

fn described(subnet: HeldSubnet) -> Result<Order, Error> {
    let leased = Leased::Delegated(prefix(subnet.first_key, subnet.length)?);
    let description = match (subnet.name, subnet.description) {
        (name, description) if description.is_empty() => name,
        (name, description) => format!("{name}: {description}"),
    };
    Ok(Order::Netbox(NetboxOrder::Set(Record {
        description,
        ..Record::new(leased, RecordStatus::Active)
    })))
}

/// As operations on its assignment say it.
fn held_by(one: Delegated) -> Result<Order, Error> {
    let leased = Leased::Delegated(prefix(one.first_key, one.length)?);
    let kind = one.holder_kind.parse().map_err(damaged)?;
    let holder = Holder { kind, id: one.holder_id, name: one.holder_name };
    let status = match one.activated_at {
        Some(_) => RecordStatus::Active,
        None => RecordStatus::Reserved,
    };
    Ok(Order::Netbox(NetboxOrder::Set(Record {
        description: holder.described(),
        dns_name: one.hostname,
        ..Record::new(leased, status)
    })))
}
