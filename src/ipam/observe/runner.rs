//! Doing sweeps, in the background of a serving process.
//!
//! A sweep that waits belongs to whoever writes his name into its row first; the database sees to
//! it that a subnet has one at a time. Its row, and what was seen of the addresses, move together
//! in small transactions, none of which is open while a ping is under way. A process that dies
//! leaves its sweeps "running": whoever finds that its file is not locked any more (on the same
//! machine), or its lease over (anywhere), calls them interrupted.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use super::ageing::tidy;
use super::sweep::{self, Refusal};
use super::types::{Sighting, Sweep, SweepState, What};
use super::{queries, seen};
use crate::audit::{Actor, Via};
use crate::id::TenantId;
use crate::ipam::addresses;
use crate::ipam::space::Space;
use crate::ipam::subnets;
use crate::net::{Address, Mac};
use crate::probe::icmp::{self, Echo, Pace, PingError, Pinger, Swept};
use crate::probe::neighbours::{self, ARP};
use crate::state::State;
use crate::web::Error;

/// Sweeps done at once by one process.
const MOST_AT_ONCE: usize = 4;
/// Addresses written down in one transaction.
const BATCH: usize = 128;
/// How long what was seen waits to be written down, at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often one looks whether there is something to do.
const TURN: Duration = Duration::from_secs(1);
/// Seconds a process is believed to be alive without a word.
const LEASE: i64 = 30;
/// Times that writing down is tried before a sweep is given up.
const TRIES: u32 = 20;
/// How long a ping waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often what is old is forgotten.
const TIDY: Duration = Duration::from_mins(1);

/// Opens what pings are sent with, given a random number.
type Open<E> = Box<dyn Fn(u64) -> Result<E, PingError> + Send + Sync>;

/// A process that does sweeps.
pub struct Runner<E> {
    state: State,
    open: Open<E>,
    /// Where the kernel shows whom it knows.
    arp: PathBuf,
    /// What it calls itself in the rows of its sweeps.
    name: String,
    presence: Presence,
}

/// On whose behalf addresses change that are seen.
pub(super) fn actor(tenant: TenantId) -> Actor {
    Actor { tenant, ..Actor::local("Patchbay", Via::System) }
}

/// A locked file named after the process: the kernel lets go of it when the process dies.
struct Presence {
    path: PathBuf,
    _file: File,
}

impl Presence {
    fn show(state: &State, name: &str) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let dir = directory(state);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let path = dir.join(name);
        let file = File::create(&path)?;
        file.lock()?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // What remains is an unlocked file, which says the same.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn directory(state: &State) -> PathBuf {
    state.data_dir.join("sweeps")
}

/// Whether the process called `name` was on this machine and is there no longer.
fn is_dead(state: &State, name: &str) -> bool {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = directory(state).join(name);
    let Some(file) = plain.then(|| File::open(&path).ok()).flatten() else { return false };
    match file.try_lock() {
        Ok(()) => {
            let _ = std::fs::remove_file(path);
            true
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Removes what dead processes left that did no sweep.
async fn sweep_up(state: &State) -> Result<(), Error> {
    let under_way = queries::under_way(&mut state.read().await?).await?;
    for file in std::fs::read_dir(directory(state))? {
        let name = file?.file_name();
        let name = name.to_str().unwrap_or_default();
        if under_way.iter().all(|(_, sweep)| sweep.runner != name) {
            // Looking removes it.
            is_dead(state, name);
        }
    }
    Ok(())
}

/// Why a sweep cannot go on.
enum Halt {
    /// Its subnet is gone, or another process took this one for dead.
    Lost,
    /// Somebody asked for it to end.
    Stopped,
    /// This process ends.
    Leaving,
    /// Something is wrong.
    Failed(String),
}

impl Runner<Pinger> {
    /// One that asks the network.
    pub fn new(state: State) -> std::io::Result<Self> {
        Self::asking(state, Pinger::new)
    }
}

impl<E: Echo + Send + Sync + 'static> Runner<E> {
    /// One that asks whatever `open` makes.
    pub fn asking(
        state: State,
        open: impl Fn(u64) -> Result<E, PingError> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let name = state.vault.entropy().text(20)?;
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let presence = Presence::show(&state, &name)?;
        Ok(Self { state, open: Box::new(open), arp: ARP.into(), name, presence })
    }

    /// As it was, but reading the kernel's neighbours elsewhere.
    #[must_use]
    pub fn knowing(self, arp: PathBuf) -> Self {
        Self { arp, ..self }
    }

    /// Does sweeps until `leave` is true, and then writes down that those under way were
    /// interrupted.
    pub async fn run(self, mut leave: watch::Receiver<bool>) {
        let me = Arc::new(self);
        let leaving = leave.clone();
        tracing::debug!(presence = %me.presence.path.display(), "sweeps are done here");
        if let Err(error) = sweep_up(&me.state).await {
            tracing::warn!(%error, "what earlier processes left could not be removed");
        }
        let mut doing = JoinSet::new();
        let (mut turn, mut tidying) = (interval(TURN), interval(TIDY));
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => break,
                _ = tidying.tick() => {
                    if let Err(error) = tidy(&me.state).await {
                        tracing::warn!(%error, "what is old could not be forgotten; it is tried again");
                    }
                }
                _ = turn.tick() => {
                    while doing.try_join_next().is_some() {}
                    if let Err(error) = me.turn(&mut doing, &leaving).await {
                        tracing::warn!(%error, "sweeps cannot be begun; it is tried again");
                    }
                }
            }
        }
        while doing.join_next().await.is_some() {}
    }

    /// Buries the dead, begins what is due, takes what waits.
    async fn turn(
        self: &Arc<Self>,
        doing: &mut JoinSet<()>,
        leave: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        sweep::begin_due(&self.state).await.map_err(fault)?;
        let under_way = queries::under_way(&mut self.state.read().await?).await?;
        for (tenant, sweep) in under_way {
            let now = self.state.clock.now();
            if sweep.state == SweepState::Running {
                let over = sweep.lease_until < now && sweep.runner != self.name;
                if over || is_dead(&self.state, &sweep.runner) {
                    const WHY: &str =
                        "Patchbay ended before the sweep did. What it had found is kept.";
                    self.end(&sweep, &sweep.runner, SweepState::Interrupted, WHY).await?;
                }
                continue;
            }
            if doing.len() >= MOST_AT_ONCE {
                break;
            }
            let mut tx = self.state.db.write().await?;
            if queries::take(&mut tx, sweep.id, &self.name, now, now.plus(LEASE)).await? {
                tx.commit().await?;
                let (me, leave) = (Arc::clone(self), leave.clone());
                doing.spawn(async move { me.sweep(tenant, sweep, leave).await });
            }
        }
        Ok(())
    }

    async fn end(
        &self,
        sweep: &Sweep,
        runner: &str,
        state: SweepState,
        error: &str,
    ) -> Result<(), Error> {
        let mut tx = self.state.db.write().await?;
        queries::end(&mut tx, sweep.id, runner, (state, error), self.state.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// One sweep, from its beginning to its end.
    async fn sweep(&self, tenant: TenantId, sweep: Sweep, leave: watch::Receiver<bool>) {
        let (state, error) = match self.look(tenant, &sweep, leave).await {
            Ok(swept) => (SweepState::Done, unasked(&swept)),
            Err(Halt::Lost) => return,
            Err(Halt::Stopped) => (SweepState::Stopped, String::new()),
            Err(Halt::Leaving) => {
                let why = "Patchbay was stopped. What the sweep had found is kept.";
                (SweepState::Interrupted, why.to_owned())
            }
            Err(Halt::Failed(why)) => (SweepState::Failed, why),
        };
        for _ in 0..TRIES {
            match self.end(&sweep, &self.name, state, &error).await {
                Ok(()) => {
                    metrics::counter!("sweeps_total", "outcome" => state.as_str()).increment(1);
                    return tracing::info!(subnet = %sweep.subnet, state = state.as_str(), "swept");
                }
                Err(error) => {
                    tracing::warn!(%error, "the end of a sweep could not be written down");
                }
            }
            tokio::time::sleep(PATIENCE).await;
        }
    }

    async fn look(
        &self,
        tenant: TenantId,
        sweep: &Sweep,
        leave: watch::Receiver<bool>,
    ) -> Result<Swept, Halt> {
        let addresses = self.addresses(tenant, sweep).await?;
        let nonce = self.state.vault.entropy().bytes().map(u64::from_be_bytes);
        let nonce = nonce.map_err(|error| Halt::Failed(error.to_string()))?;
        let echo = (self.open)(nonce).map_err(|error| Halt::Failed(error.to_string()))?;
        if let Some(first) = addresses.first()
            && let Err(error @ (PingError::NotPermitted | PingError::NoFamily(_))) =
                echo.echo(first.ip(), Duration::from_millis(1)).await
        {
            return Err(Halt::Failed(error.to_string()));
        }
        let (halt, halted) = watch::channel(false);
        let (tell, mut told) = mpsc::unbounded_channel();
        let pace = pace(sweep.pace);
        let asking = tokio::spawn(async move {
            let addresses = addresses.into_iter().map(Address::ip);
            let on = |address: IpAddr, answered| {
                let _ = tell.send((Address::from(address), answered));
            };
            icmp::sweep(&echo, addresses, pace, halted, on).await
        });
        let gathered = self.gather(tenant, sweep, &mut told, leave).await;
        // Nobody listens any more after a halt; without one this changes nothing.
        let _ = halt.send(true);
        gathered?;
        asking.await.map_err(|error| Halt::Failed(error.to_string()))
    }

    async fn addresses(&self, tenant: TenantId, sweep: &Sweep) -> Result<Vec<Address>, Halt> {
        let found = async {
            let mut tx = self.state.read().await?;
            let subnet = subnets::get(&mut tx, tenant, sweep.subnet).await?;
            let subnet = subnet.ok_or(Refusal::Missing("subnet"))?;
            sweep::addresses(&mut tx, tenant, &subnet).await
        };
        found.await.map_err(|refusal| Halt::Failed(refusal.to_string()))
    }

    /// Writes down what is told, every so often, until nothing more comes.
    async fn gather(
        &self,
        tenant: TenantId,
        sweep: &Sweep,
        told: &mut mpsc::UnboundedReceiver<(Address, bool)>,
        leave: watch::Receiver<bool>,
    ) -> Result<(), Halt> {
        let (mut open, mut failures) = (true, 0);
        let mut waiting: Vec<Sighting> = Vec::new();
        while open || !waiting.is_empty() {
            let until = Instant::now() + PATIENCE;
            while open && waiting.len() < BATCH {
                match timeout_at(until, told.recv()).await {
                    Ok(Some((address, answered))) => {
                        let what = if answered { What::Present } else { What::Silent };
                        waiting.push(Sighting::new(address, self.state.clock.now(), what));
                    }
                    Ok(None) => open = false,
                    Err(_) => break,
                }
            }
            match self.write(tenant, sweep, &mut waiting).await {
                Ok(None) => return Err(Halt::Lost),
                Ok(Some(true)) => return Err(Halt::Stopped),
                Ok(Some(false)) => failures = 0,
                Err(error) => {
                    tracing::warn!(%error, "what a sweep saw could not be written down; it is tried again");
                    failures += 1;
                    if failures == TRIES {
                        return Err(Halt::Failed(error.to_string()));
                    }
                    tokio::time::sleep(PATIENCE).await;
                }
            }
            if *leave.borrow() {
                return Err(Halt::Leaving);
            }
        }
        Ok(())
    }

    /// One transaction: what was seen, and how far the sweep is. Whether it is to stop; `None` when
    /// it is not this process's any more.
    async fn write(
        &self,
        tenant: TenantId,
        sweep: &Sweep,
        waiting: &mut Vec<Sighting>,
    ) -> Result<Option<bool>, Error> {
        let count = waiting.len().min(BATCH);
        let batch = waiting.get_mut(..count).unwrap_or_default();
        let answered = batch.iter().filter(|sighting| sighting.what == What::Present).count();
        if answered > 0 {
            let macs = macs(&self.arp).await;
            for sighting in batch.iter_mut().filter(|sighting| sighting.what == What::Present) {
                sighting.mac = macs.get(&sighting.address).copied();
            }
        }
        let mut change = self.state.change(&actor(tenant)).await?;
        if !batch.is_empty() {
            let mut space = Space::open(&mut change, self.state.vault.entropy()).await?;
            seen(&mut space, batch).await.map_err(refused)?;
            space.close().await?;
        }
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let done = (number(count), number(answered));
        let until = self.state.clock.now().plus(LEASE);
        let stop = queries::progress(change.tx(), sweep.id, &self.name, done, until).await?;
        if stop.is_some() {
            change.commit_seen().await?;
            waiting.drain(..count);
        }
        Ok(stop)
    }
}

/// Returns when it is time to leave.
async fn told(leave: &mut watch::Receiver<bool>) {
    let _ = leave.wait_for(|leave| *leave).await;
}

/// What is said of addresses that could not be asked.
fn unasked(swept: &Swept) -> String {
    match &swept.error {
        Some(error) if swept.failed > 0 => {
            format!("{} addresses could not be asked: {error}", swept.failed)
        }
        _ => String::new(),
    }
}

fn pace(per_second: i64) -> Pace {
    let per_second = u32::try_from(per_second).unwrap_or(1).max(1);
    let at_once = usize::try_from(per_second).unwrap_or(1) * 2;
    Pace { per_second, at_once: at_once.max(16), timeout: TIMEOUT, tries: 2 }
}

/// The hardware addresses the kernel knows at this moment; none if it does not tell.
async fn macs(arp: &Path) -> HashMap<Address, Mac> {
    let known = neighbours::read(arp).await.unwrap_or_default();
    let pairs = known.into_iter().map(|(address, mac)| Some((address.into(), mac.parse().ok()?)));
    pairs.flatten().collect()
}

fn fault(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Fault(error) => error,
        other => Error::Io(std::io::Error::other(other.to_string())),
    }
}

pub(super) fn refused(refusal: addresses::Refusal) -> Error {
    match refusal {
        addresses::Refusal::Fault(error) => error,
        other => Error::Io(std::io::Error::other(other.to_string())),
    }
}
