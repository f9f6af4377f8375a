//! One Apply at a time, and what a crash leaves behind.
//!
//! On one machine a locked file decides: the kernel lets go of it when its process dies. Across
//! machines that share the database a row with a lease decides. Whoever gets both and still finds
//! a run under way has found one that died, and repairs what it left.

use std::fs::{File as LockFile, TryLockError};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use super::asterisk::{Session, millis};
use super::keep::Kept;
use super::render::File;
use super::types::{Module, Request, Run, Source, State};
use super::{Applier, ApplyError, queries};
use crate::asterisk::access::Unusable;
use crate::audit::{self, Actor, Event, Via};
use crate::db::Tx;
use crate::web::Error;

/// Seconds a run's word counts without being renewed.
const LEASE: i64 = 30;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(8);
/// Bytes of the lock's file that may be somebody's name.
const NAME: u64 = 200;

/// An Apply that holds the lock.
pub(super) struct Begun {
    /// Its number, and that of the release it may write.
    pub run: i64,
    /// The release in force.
    pub previous: Option<i64>,
    /// When it began.
    pub started: Instant,
    /// Unlocked when dropped, and when the process dies.
    _lock: Lock,
}

/// An Apply that has the lock, which is not yet on record.
pub(super) struct Opening {
    /// To be committed before anything is put into force.
    pub tx: Tx,
    pub begun: Begun,
}

/// The locked file. Unlocked in so many words: closing it is not enough while a process that is
/// just being started still has a copy of it.
pub(super) struct Lock(LockFile);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it lets go of it too, only later.
        let _ = self.0.unlock();
    }
}

/// How an attempt ended, to be recorded.
pub(super) struct Ending {
    pub state: State,
    pub detail: String,
    /// The release in force now.
    pub release: Option<i64>,
    /// The newest change it contains.
    pub audit_seq: i64,
    pub users: Option<i64>,
    pub modules: Vec<Module>,
    pub findings: Vec<String>,
    pub kept: Kept,
}

impl Applier {
    /// Takes the lock; that an Apply begins is on record once the transaction is committed. Whoever
    /// had it before has committed: what is read from here on is not older than what they applied.
    pub(super) async fn open(
        &self,
        actor: &Actor,
        request: &Request,
    ) -> Result<Opening, ApplyError> {
        if !self.is_installed() {
            return Err(ApplyError::NotInstalled);
        }
        if let Source::Release(run) = request.source
            && !self.can_restore(run).await?
        {
            return Err(ApplyError::NoSuchRelease);
        }
        let lock = self.lock_file(&actor.name)?;
        let started = Instant::now();
        let mut tx = self.state.db.write().await?;
        let mut head = queries::lock_head(&mut tx).await?;
        if head.running.is_some() {
            drop(tx);
            self.repair_locked().await?;
            tx = self.state.db.write().await?;
            head = queries::lock_head(&mut tx).await?;
        }
        let previous = self.releases.current().map_err(|source| self.directory(source))?;
        let newest = self.releases.newest().map_err(|source| self.directory(source))?;
        let now = self.state.clock.now();
        if let Some(run) = head.running {
            let other = queries::get(&mut tx, run).await?;
            return Err(ApplyError::Busy(other.map_or_else(somebody, |run| run.actor)));
        }
        let run = head.last_run.max(newest) + 1;
        let begin = queries::Begin {
            id: run,
            at: now,
            actor: &actor.name,
            host: &self.host,
            reason: request.reason.as_str(),
            previous,
        };
        queries::begin(&mut tx, &begin).await?;
        queries::set_head(&mut tx, run, Some(run), now.plus(LEASE)).await?;
        Ok(Opening { tx, begun: Begun { run, previous, started, _lock: lock } })
    }

    /// Whether a run left a release in force whose files are kept. That of a run that changed
    /// nothing is an earlier run's; that of the installation is kept nowhere.
    async fn can_restore(&self, run: i64) -> Result<bool, ApplyError> {
        let mut tx = self.state.read().await?;
        let run = queries::get(&mut tx, run).await?.filter(|run| run.state.is_good());
        match run.and_then(|run| run.release) {
            Some(release) => Ok(!queries::files(&mut tx, release).await?.is_empty()),
            None => Ok(false),
        }
    }

    /// Locks the file and leaves the holder's name in it, for whoever finds it locked: the run's
    /// row is written a little later, and cleared a little earlier than the lock is let go.
    fn lock_file(&self, holder: &str) -> Result<Lock, ApplyError> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let path = self.releases.base().join("lock");
        let mut file = options.open(&path).map_err(|source| self.directory(source))?;
        match file.try_lock() {
            Ok(()) => {
                // Without the name the lock holds just as well.
                let _ = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
                Ok(Lock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut name = String::new();
                let _ = file.take(NAME).read_to_string(&mut name);
                Err(ApplyError::Busy(if name.is_empty() { somebody() } else { name }))
            }
            Err(TryLockError::Error(source)) => Err(self.directory(source)),
        }
    }

    pub(super) fn directory(&self, source: std::io::Error) -> ApplyError {
        ApplyError::Directory { path: self.releases.base().to_owned(), source }
    }

    /// Renews the lease until aborted.
    pub(super) fn keep_lease(&self, run: i64) -> JoinHandle<()> {
        let state = self.state.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(RENEWAL);
            tick.tick().await;
            loop {
                tick.tick().await;
                let renewed = async {
                    let mut tx = state.db.write().await?;
                    let lease = state.clock.now().plus(LEASE);
                    let ours = queries::renew(&mut tx, run, lease).await?;
                    tx.commit().await.map(|()| ours)
                };
                if !matches!(renewed.await, Ok(true)) {
                    tracing::warn!(apply.run = run, "the lease of an apply could not be renewed");
                }
            }
        })
    }

    /// Whether the lock is still this run's: another machine takes over from one that stood still
    /// for longer than its lease. Asked last before the release is put into force.
    pub(super) async fn holds(&self, run: i64) -> Result<bool, Error> {
        let head = queries::head(&mut self.state.read().await?).await?;
        Ok(head.running == Some(run))
    }

    /// Records how an Apply ended, in one transaction with its audit row.
    pub(super) async fn end(
        &self,
        begun: Begun,
        actor: &Actor,
        ending: Ending,
    ) -> Result<Run, ApplyError> {
        let mut change = self.state.change(actor).await?;
        if !queries::let_go(change.tx(), begun.run).await? {
            // This process stood still for longer than its lease.
            tracing::error!(apply.run = begun.run, "an apply was taken for dead while it ran");
            let recorded = queries::get(change.tx(), begun.run).await?;
            return Ok(recorded.ok_or(sqlx::Error::RowNotFound)?);
        }
        let duration = millis(begun.started.elapsed());
        let record = queries::End {
            state: ending.state,
            audit_seq: ending.audit_seq,
            release: ending.release,
            duration_ms: Some(duration),
            users: ending.users,
            detail: &ending.detail,
            modules: json!(ending.modules).to_string(),
            findings: json!(ending.findings).to_string(),
            same_as: ending.kept.same_as,
        };
        queries::end(change.tx(), begun.run, &record).await?;
        ending.kept.insert(change.tx(), begun.run).await?;
        if ending.state.is_good() {
            audit::mark_applied(change.tx(), ending.audit_seq).await?;
        }
        let run = queries::get(change.tx(), begun.run).await?.ok_or(sqlx::Error::RowNotFound)?;
        change.record(event(&run));
        change.commit().await?;
        metrics::counter!("applies_total", "outcome" => ending.state.as_str()).increment(1);
        tracing::info!(
            apply.run = begun.run,
            apply.state = ending.state.as_str(),
            took_ms = duration,
            "applied"
        );
        Ok(run)
    }

    /// Repairs what a crash left behind, if it left anything. Run at start, every now and then, and
    /// before each Apply.
    pub async fn repair(&self) -> Result<(), ApplyError> {
        if !self.is_installed() || self.busy().await?.is_none() {
            return Ok(());
        }
        let repaired = match self.lock_file("patchbay") {
            Ok(_lock) => self.repair_locked().await,
            Err(error) => Err(error),
        };
        match repaired {
            // Whoever holds it, here or elsewhere, is alive.
            Err(ApplyError::Busy(_)) => Ok(()),
            other => other,
        }
    }

    async fn repair_locked(&self) -> Result<(), ApplyError> {
        let Some(run) = self.busy().await? else { return Ok(()) };
        let head = queries::head(&mut self.state.read().await?).await?;
        if run.host != self.host && head.lease_until > self.state.clock.now() {
            return Err(ApplyError::Busy(run.actor));
        }
        let current = self.releases.current().map_err(|source| self.directory(source))?;
        let kept = self.left_behind(&run).await;
        let (detail, findings) = match run.previous {
            Some(previous) if current == Some(run.id) => self.undo(run.id, previous).await?,
            Some(previous) if current == Some(previous) => self.look(run.id, previous).await?,
            _ => (UNTOUCHED.to_owned(), Vec::new()),
        };
        let mut change = self.state.change(&Actor::local("patchbay", Via::System)).await?;
        if !queries::let_go(change.tx(), run.id).await? {
            // Somebody else repaired it meanwhile.
            return Ok(());
        }
        let record = queries::End {
            state: State::Interrupted,
            audit_seq: run.audit_seq,
            release: run.previous,
            duration_ms: None,
            users: None,
            detail: &detail,
            modules: "[]".to_owned(),
            findings: json!(findings).to_string(),
            same_as: kept.same_as,
        };
        queries::end(change.tx(), run.id, &record).await?;
        kept.insert(change.tx(), run.id).await?;
        let ended = queries::get(change.tx(), run.id).await?.ok_or(sqlx::Error::RowNotFound)?;
        change.record(event(&ended));
        change.commit().await?;
        tracing::warn!(apply.run = run.id, detail, "an interrupted apply was repaired");
        Ok(())
    }

    /// Puts the release before an interrupted one back and lets Asterisk read it, if it answers.
    async fn undo(&self, run: i64, previous: i64) -> Result<(String, Vec<String>), ApplyError> {
        let failed = |source| self.directory(source);
        let (old, new) = (
            self.releases.read(previous).map_err(failed)?,
            self.releases.read(run).map_err(failed)?,
        );
        self.releases.switch(previous).map_err(failed)?;
        let changed: Vec<File> = old.into_iter().filter(|file| !new.contains(file)).collect();
        let seen = match Session::open(&self.access).await {
            Ok(mut session) => self.reload_and_see(&mut session, &changed, &new).await,
            Err(error) => vec![error.to_string()],
        };
        Ok((half_way(previous, &seen), seen))
    }

    /// The files are the old ones, but the run may have died while it rolled back: whatever
    /// Asterisk does not hold of them it is told again.
    async fn look(&self, run: i64, previous: i64) -> Result<(String, Vec<String>), ApplyError> {
        let failed = |source| self.directory(source);
        let (old, new) = (
            self.releases.read(previous).map_err(failed)?,
            self.releases.read(run).map_err(failed)?,
        );
        let unheld = async {
            let mut session = Session::open(&self.access).await?;
            let unheld = session.unheld(&old).await?;
            Ok::<_, Unusable>((session, unheld))
        };
        let seen = match unheld.await {
            Ok((_, unheld)) if unheld.is_empty() => {
                return Ok((UNTOUCHED.to_owned(), Vec::new()));
            }
            Ok((mut session, unheld)) => self.reload_and_see(&mut session, &unheld, &new).await,
            Err(error) => vec![error.to_string()],
        };
        Ok((half_way(previous, &seen), seen))
    }
}

/// What is said of a run that changed nothing.
const UNTOUCHED: &str = "Patchbay was stopped before anything was put into force.";

fn half_way(previous: i64, unseen: &[String]) -> String {
    let outcome = if unseen.is_empty() {
        "and Asterisk was seen to run it"
    } else {
        "but Asterisk could not be seen to run it"
    };
    format!("Patchbay was stopped half-way. Release {previous} is in place again, {outcome}.")
}

fn somebody() -> String {
    "somebody".to_owned()
}

fn event(run: &Run) -> Event {
    let action = match run.state {
        State::Running => "apply.running",
        State::Verified => "apply.verified",
        State::Unchanged => "apply.unchanged",
        State::Refused => "apply.refused",
        State::Unreachable => "apply.unreachable",
        State::RolledBack => "apply.rolled_back",
        State::RollbackFailed => "apply.rollback_failed",
        State::Interrupted => "apply.interrupted",
    };
    let subject = run
        .release
        .map_or_else(|| format!("apply {}", run.id), |release| format!("release {release}"));
    Event::new(action, &subject, &run.id)
        .note(run.reason.clone())
        .before(json!({ "release": run.previous }))
        .after(json!({ "release": run.release, "detail": run.detail }))
}
