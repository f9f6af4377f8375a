//! Making the calls, in the background of a serving process: one loop for each system, so that a
//! slow one does not hold up the others.
//!
//! A call belongs to whoever writes his name into its row first, for a minute. No transaction is
//! open while it is made. How many went wrong, and when each is tried again, is in the rows; a
//! process that dies leaves nothing but calls that are somebody else's a minute later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::order::{Order, Payload};
use super::peers::{Peer, Peers};
use super::queries::{self, Claimed, Ended};
use super::send::{self, Access, Outcome};
use super::types::{CallState, System};
use crate::db::Tx;
use crate::id::TenantId;
use crate::outside::http::Resolver;
use crate::outside::{Fault, radius};
use crate::secrets::Entropy;
use crate::state::State;
use crate::web::Error;

/// How often one looks whether there is something to do.
const TURN: Duration = Duration::from_millis(200);
/// How long calls that end at about the same time are waited for, to be written down together.
const GATHER: Duration = Duration::from_millis(10);
/// How often the dead are buried and what is old is forgotten.
const TIDY: Duration = Duration::from_secs(15);
/// Seconds a process is believed to be alive without a word.
const LEASE: i64 = 60;
/// How long one conversation goes on before what is left of it waits for the next: well within
/// the lease, whatever the last call takes.
const LONGEST: Duration = Duration::from_secs(20);
/// Seconds calls that are over are kept.
const KEPT: i64 = 30 * 24 * 60 * 60;
/// Seconds after which the others are tried when a server is not to be had.
pub(super) const PAUSE: i64 = 5;
/// Calls taken at once, and calls to servers that answer that are under way at most.
const AT_ONCE: usize = 128;
/// Calls that must have room for more to be taken: taking a few at a time would cost a transaction
/// for each.
const ROOM: usize = 32;
/// Calls under way at most, those of slow servers included.
const MOST: usize = 1024;
/// Tenants whose calls are taken together.
const TENANTS: usize = 16;
/// How often more are taken in place of those that are put back.
const LAPS: usize = 4;

/// When a call that failed is tried again: twice as late each time, somewhere in the later half,
/// so that many calls do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Seconds after the first failure, at most.
    pub first: i64,
    /// Seconds between tries, at most.
    pub most: i64,
    /// Tries in all; after the last a call is dead.
    pub tries: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: 4, most: 3_600, tries: 12 }
    }
}

impl Backoff {
    /// Seconds to wait after that many failures (from 1), given a random number; `None` when that
    /// was the last.
    pub fn after(&self, failures: i64, random: u32) -> Option<i64> {
        if failures >= self.tries {
            return None;
        }
        let doublings = u32::try_from(failures.clamp(1, 40) - 1).unwrap_or(0);
        let most = self.first.saturating_mul(1_i64 << doublings).clamp(1, self.most.max(1));
        let half = most / 2;
        Some(half + 1 + i64::from(random) % (most - half).max(1))
    }
}

/// A process that makes calls.
#[derive(Clone)]
pub struct Runner {
    state: State,
    resolver: Resolver,
    backoff: Backoff,
    /// How long each sending of a RADIUS packet waits.
    waits: Vec<Duration>,
    /// What it calls itself in the rows of its calls.
    name: String,
    peers: Arc<Peers>,
}

/// What was taken, and whether there may be more of it.
#[derive(Default)]
struct Taken {
    calls: Vec<Claimed>,
    more: bool,
}

/// How a call went, to be written down.
struct Made {
    call: Claimed,
    outcome: Option<Result<Outcome, Fault>>,
    /// Whether the system was not to be had, so that it was not even tried.
    pause: bool,
}

impl Made {
    /// What it says of the server: that it is there, that it is not to be had, or nothing.
    fn heard(&self) -> Option<Result<(), String>> {
        match &self.outcome {
            Some(Err(fault)) if fault.is_general() => Some(Err(fault.to_string())),
            Some(_) => Some(Ok(())),
            None => None,
        }
    }
}

impl Runner {
    /// One that asks the machine's resolver.
    pub fn new(state: State) -> std::io::Result<Self> {
        let name = state.vault.entropy().text(20)?;
        Ok(Self {
            state,
            resolver: Resolver::system(),
            backoff: Backoff::default(),
            waits: radius::WAITS.to_vec(),
            name,
            peers: Arc::default(),
        })
    }

    /// As it was, with another patience.
    #[must_use]
    pub fn with(self, backoff: Backoff, waits: &[Duration]) -> Self {
        Self { backoff, waits: waits.to_vec(), ..self }
    }

    /// As it was, with another resolver.
    #[must_use]
    pub fn resolving(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Makes calls until `leave` is true; those under way are finished.
    pub async fn run(self, leave: watch::Receiver<bool>) {
        let mut loops = JoinSet::new();
        for system in System::ALL {
            loops.spawn(self.clone().serve(system, leave.clone()));
        }
        loops.spawn(self.clone().keep_tidy(leave));
        while loops.join_next().await.is_some() {}
    }

    /// Makes every call that is due now, and those that become due by it. How many were made.
    pub async fn drain(&self) -> Result<usize, Error> {
        let mut made = 0;
        loop {
            let (mut now, mut any) = (0, false);
            for system in System::ALL {
                let Taken { calls, more } = self.claim(system, AT_ONCE).await?;
                (now, any) = (now + calls.len(), any || more);
                let mut under_way = JoinSet::new();
                self.begin(system, calls, &mut under_way).await;
                while let Some(done) = under_way.join_next().await {
                    self.record(system, done.unwrap_or_default()).await?;
                }
            }
            if now == 0 && !any {
                return Ok(made);
            }
            made += now;
        }
    }

    /// One system's loop. RADIUS is asked about many sessions at once, and more are taken as soon
    /// as some are answered; with Kea and NetBox there is one conversation for each tenant. What
    /// is slow takes nobody else's place.
    async fn serve(self, system: System, mut leave: watch::Receiver<bool>) {
        let mut under_way: JoinSet<Vec<Made>> = JoinSet::new();
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Whether as many were due as could be taken, so that there may be more.
        let mut plenty = false;
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => break,
                Some(done) = under_way.join_next(), if !under_way.is_empty() => {
                    tokio::time::sleep(GATHER).await;
                    self.finish(system, done.unwrap_or_default(), &mut under_way).await;
                    if !plenty || self.room(system) < ROOM {
                        continue;
                    }
                }
                _ = turn.tick() => {}
            }
            let room = self.room(system);
            if room < ROOM {
                continue;
            }
            match self.claim(system, room).await {
                Ok(Taken { calls, more }) => {
                    plenty = more;
                    self.begin(system, calls, &mut under_way).await;
                }
                Err(error) => {
                    tracing::warn!(%error, %system, "calls cannot be taken; it is tried again");
                }
            }
        }
        while let Some(done) = under_way.join_next().await {
            self.finish(system, done.unwrap_or_default(), &mut under_way).await;
        }
    }

    /// Writes down what is done, together with whatever else is done by now.
    async fn finish(
        &self,
        system: System,
        mut done: Vec<Made>,
        under_way: &mut JoinSet<Vec<Made>>,
    ) {
        while let Some(more) = under_way.try_join_next() {
            done.extend(more.unwrap_or_default());
        }
        if let Err(error) = self.record(system, done).await {
            // The lease ends, and they are made again.
            tracing::warn!(%error, %system, "how calls went could not be written down; they are made again");
        }
    }

    /// How many more calls can be taken.
    fn room(&self, system: System) -> usize {
        let (brisk, all) = self.peers.under_way(system);
        // A conversation is one call after the other, however many are taken for it.
        let busy = if system == System::Radius { brisk } else { 0 };
        AT_ONCE.saturating_sub(busy).min(MOST.saturating_sub(all))
    }

    /// Takes up to `limit` calls, of each tenant who has any due as many.
    async fn claim(&self, system: System, limit: usize) -> Result<Taken, Error> {
        let now = self.state.clock.now();
        let mut due = queries::due(&mut self.state.read().await?, system, now).await?;
        if system != System::Radius {
            let peer = |tenant: &TenantId| Peer { system, tenant: *tenant, nas: None };
            due.retain(|tenant| self.peers.held(peer(tenant), now).is_none());
        }
        let count = due.len().min(TENANTS);
        if count == 0 || limit == 0 {
            return Ok(Taken::default());
        }
        // Where there are very many tenants, whose turn it is first is left to chance.
        let first = usize::try_from(random(self.state.vault.entropy())?).unwrap_or(0);
        let turns = due.len();
        due.rotate_left(first % turns);
        let mut taken = Taken { calls: Vec::new(), more: turns > count };
        let mut tx = self.state.db.write().await?;
        for tenant in due.into_iter().take(count) {
            self.take(&mut tx, (system, tenant), limit.div_ceil(count), &mut taken).await?;
        }
        for call in &mut taken.calls {
            if system == System::Radius && now.since(call.stamped_at) > radius::FRESH {
                // A NAS takes an old packet for a replay: this is a new one.
                let [number] = self.state.vault.entropy().bytes()?;
                queries::stamp(&mut tx, call.id, number, now).await?;
                (call.identifier, call.stamped_at) = (number, now);
            }
        }
        tx.commit().await?;
        for call in &taken.calls {
            self.peers.begin(Peer::of(system, call), call.id);
        }
        Ok(taken)
    }

    /// Takes up to `limit` calls of one tenant; what is for a server that gives no answer is put
    /// back, and others are taken instead.
    async fn take(
        &self,
        tx: &mut Tx,
        (system, tenant): (System, TenantId),
        limit: usize,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        let (now, mut free) = (self.state.clock.now(), limit);
        for _ in 0..LAPS {
            let until = (now, now.plus(LEASE));
            let (calls, count) =
                queries::claim(tx, (system, tenant), &self.name, until, free).await?;
            let full = count == free;
            for call in calls {
                let held = match system {
                    System::Radius => self.peers.held(Peer::of(system, &call), now),
                    // Looked at before anything was taken.
                    System::Dhcp | System::Netbox => None,
                };
                if let Some((until, why)) = held {
                    queries::put_back(tx, call.id, &self.name, until, &why).await?;
                } else {
                    free -= 1;
                    taken.calls.push(call);
                }
            }
            if !full || free == 0 {
                taken.more |= full;
                return Ok(());
            }
        }
        taken.more = true;
        Ok(())
    }

    /// Begins to make what was taken. How a tenant's system is set up is read once for all of it:
    /// very many calls are made in a second, and that would cost more than the calls.
    async fn begin(&self, system: System, calls: Vec<Claimed>, under_way: &mut JoinSet<Vec<Made>>) {
        let mut known: BTreeMap<TenantId, Option<Arc<Access>>> = BTreeMap::new();
        for (tenant, group) in groups(system, calls) {
            let access = match known.get(&tenant) {
                Some(access) => access.clone(),
                None => {
                    let access = self.access(tenant, system).await;
                    known.insert(tenant, access.clone());
                    access
                }
            };
            under_way.spawn(self.clone().converse(system, group, access));
        }
    }

    /// How a tenant's system is set up; nothing if that cannot be read now.
    async fn access(&self, tenant: TenantId, system: System) -> Option<Arc<Access>> {
        match Access::read(&self.state, tenant, system).await {
            Ok(access) => Some(Arc::new(access)),
            Err(error) => {
                tracing::warn!(%error, %system, "the settings of a system cannot be read");
                None
            }
        }
    }

    /// Makes some calls of a tenant, one after the other.
    async fn converse(
        self,
        system: System,
        group: Vec<Claimed>,
        access: Option<Arc<Access>>,
    ) -> Vec<Made> {
        let Some(access) = access else {
            let later = |call| Made { call, outcome: None, pause: true };
            return group.into_iter().map(later).collect();
        };
        let mut talk = Talk::new(&self, &access, system);
        let (begun, mut results, mut pause) =
            (Instant::now(), Vec::with_capacity(group.len()), false);
        for call in group {
            if pause || begun.elapsed() > LONGEST {
                results.push(Made { call, outcome: None, pause });
                continue;
            }
            let outcome = talk.call(&call).await;
            pause = outcome.as_ref().is_err_and(Fault::is_general);
            results.push(Made { call, outcome: Some(outcome), pause: false });
        }
        results
    }

    async fn record(&self, system: System, results: Vec<Made>) -> Result<(), Error> {
        if results.is_empty() {
            return Ok(());
        }
        let now = self.state.clock.now();
        for made in &results {
            self.peers.end(Peer::of(system, &made.call), made.call.id, made.heard(), now);
        }
        let mut tx = self.state.db.write().await?;
        for Made { call, outcome, pause } in results {
            let (state, error, answer, wait) = match &outcome {
                None => (
                    CallState::Waiting,
                    String::new(),
                    String::new(),
                    if pause { PAUSE } else { 0 },
                ),
                Some(Ok(outcome)) => (CallState::Done, String::new(), outcome.answer.clone(), 0),
                Some(Err(fault)) => {
                    let wait = self.wait(fault, call.attempts)?;
                    let state = if wait.is_some() { CallState::Waiting } else { CallState::Dead };
                    (state, fault.to_string(), String::new(), wait.unwrap_or(0))
                }
            };
            let unsent = outcome.is_none();
            let ended =
                Ended { state, error: &error, answer: &answer, next_at: now.plus(wait), unsent };
            if !queries::record(&mut tx, call.id, &self.name, &ended, now).await? {
                continue;
            }
            count(system, state, unsent);
            if let Some(Err(Fault::Later(_))) = outcome {
                // It was heard: another try is another packet.
                queries::stamp(&mut tx, call.id, call.identifier.wrapping_add(1), now).await?;
            }
            if let (Some(Ok(outcome)), true) = (outcome, system != System::Radius) {
                settled(&mut tx, call.tenant, system, &call.payload, &outcome).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Seconds until the next try; none if there is none.
    fn wait(&self, fault: &Fault, attempts: i64) -> std::io::Result<Option<i64>> {
        if !fault.may_pass() {
            return Ok(None);
        }
        Ok(self.backoff.after(attempts, random(self.state.vault.entropy())?))
    }

    async fn keep_tidy(self, mut leave: watch::Receiver<bool>) {
        let mut turn = tokio::time::interval(TIDY);
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => return,
                _ = turn.tick() => {
                    if let Err(error) = self.tidy().await {
                        tracing::warn!(%error, "what is old could not be forgotten; it is tried again");
                    }
                }
            }
        }
    }

    /// Takes calls back from processes that died, forgets those long over, counts the others.
    pub async fn tidy(&self) -> Result<(), Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        let buried = queries::bury(&mut tx, now).await?;
        queries::tidy(&mut tx, now.plus(-KEPT)).await?;
        tx.commit().await?;
        if buried > 0 {
            tracing::warn!(count = buried, "calls of a process that ended are made again");
        }
        let counts = queries::gauge(&mut self.state.read().await?).await?;
        for system in System::ALL {
            for state in [CallState::Waiting, CallState::Sending, CallState::Dead] {
                let found =
                    counts.iter().find(|(s, t, _)| s == system.as_str() && t == state.as_str());
                let number = found.map_or(0, |(_, _, number)| *number);
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                metrics::gauge!("outbox_calls", "system" => system.as_str(), "state" => state.as_str())
                    .set(f64::from(number));
            }
        }
        Ok(())
    }
}

/// What was done is also what is known of the thing from now on.
async fn settled(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    payload: &Payload,
    outcome: &Outcome,
) -> crate::db::Result<()> {
    let leased = payload.order.leased();
    if let Some(stored) = outcome.stored {
        queries::set_remote(tx, tenant, leased, stored.id).await?;
    }
    if payload.order.stands() { Ok(()) } else { queries::clear(tx, tenant, system, leased).await }
}

fn count(system: System, state: CallState, unsent: bool) {
    let outcome = match state {
        CallState::Done => "done",
        CallState::Dead => "dead",
        _ if unsent => return,
        _ => "failed",
    };
    metrics::counter!("outbox_tries_total", "system" => system.as_str(), "outcome" => outcome)
        .increment(1);
}

/// A conversation with a system.
enum Talk<'a> {
    Radius(&'a Runner, &'a Access),
    Dhcp(send::Dhcp<'a>),
    Netbox(&'a Runner, send::Netbox<'a>),
}

impl<'a> Talk<'a> {
    fn new(runner: &'a Runner, access: &'a Access, system: System) -> Self {
        match system {
            System::Radius => Self::Radius(runner, access),
            System::Dhcp => Self::Dhcp(send::Dhcp::new(&runner.state, access, &runner.resolver)),
            System::Netbox => Self::Netbox(runner, send::Netbox::new(access, &runner.resolver)),
        }
    }

    async fn call(&mut self, call: &Claimed) -> Result<Outcome, Fault> {
        match self {
            Self::Radius(runner, access) => {
                let Order::Radius(order) = &call.payload.order else {
                    return Err(Fault::Never("this order is not one for RADIUS".into()));
                };
                let packet = (call.identifier, call.stamped_at);
                send::radius(&runner.state, access, order, packet, &runner.waits).await
            }
            Self::Dhcp(dhcp) => dhcp.call(&call.payload).await,
            Self::Netbox(runner, netbox) => {
                let known = known(&runner.state, call).await;
                netbox.call(&call.payload, known).await
            }
        }
    }
}

/// What NetBox called it when it was last spoken of. Not knowing is not a fault: it is looked for.
async fn known(state: &State, call: &Claimed) -> Option<i64> {
    let mut tx = state.read().await.ok()?;
    queries::remote_id(&mut tx, call.tenant, call.payload.order.leased()).await.ok()?
}

/// What is said in one conversation: to RADIUS one thing, to the others all a tenant has to say.
fn groups(system: System, calls: Vec<Claimed>) -> Vec<(TenantId, Vec<Claimed>)> {
    if system == System::Radius {
        return calls.into_iter().map(|call| (call.tenant, vec![call])).collect();
    }
    let mut groups: BTreeMap<TenantId, Vec<Claimed>> = BTreeMap::new();
    for call in calls {
        groups.entry(call.tenant).or_default().push(call);
    }
    groups.into_iter().collect()
}

fn random(entropy: &Entropy) -> std::io::Result<u32> {
    entropy.bytes().map(u32::from_be_bytes)
}

/// Returns when it is time to leave.
async fn told(leave: &mut watch::Receiver<bool>) {
    let _ = leave.wait_for(|leave| *leave).await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tries_come_later_and_later_and_end() {
        let backoff = Backoff::default();
        let least: Vec<i64> = (1..12).map(|n| backoff.after(n, 0).unwrap()).collect();
        assert_eq!(least, [3, 5, 9, 17, 33, 65, 129, 257, 513, 1025, 1801]);
        assert_eq!(backoff.after(12, 0), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_in_the_later_half(failures in 1_i64..1000, random: u32, first in 1_i64..100, most in 1_i64..10_000) {
            let backoff = Backoff { first, most, tries: 1000 };
            let wait = backoff.after(failures, random).unwrap();
            prop_assert!(wait >= 1 && wait <= most.max(1) + 1);
        }
    }
}
