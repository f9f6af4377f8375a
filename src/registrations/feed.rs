//! Listening to Asterisk, in the background of a serving process.
//!
//! Everybody who is registered is read when a connection begins, a moment after Asterisk says that
//! something changed, and at least once a minute, because a registration that ran out makes no
//! sound. Events say only *that* something changed: what they say is never believed, so that losing
//! one costs a moment, not a registration. While Asterisk does not answer nothing is changed, and
//! the reason stands beside the age of what is known.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep};

use super::sight::{self, Told};
use super::{map, queries, store};
use crate::asterisk::access::{Access, Unusable};
use crate::asterisk::ami::{Ami, AmiError, Heard};
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// What is listened to.
const KINDS: &[&str] = &["ContactStatus", "FullyBooted"];
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// Days that a registration which ended is remembered.
const REMEMBERED: i64 = 400;
/// Rows forgotten at once.
const AT_ONCE: i64 = 1_000;

/// How long this and that takes.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// Silence after a change before all is read.
    pub quiet: Duration,
    /// How long changes that do not end put reading off.
    pub patience: Duration,
    /// From one reading to the next although nothing was heard.
    pub whole: Duration,
    /// Silence after which one asks whether Asterisk is still there.
    pub alive: Duration,
    /// How long Asterisk may take to start.
    pub boot: Duration,
    /// From a failure to the next try: at first, and at most.
    pub retry: (Duration, Duration),
}

impl Default for Tempo {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            quiet: Duration::from_millis(200),
            patience: seconds(2),
            whole: seconds(55),
            alive: seconds(10),
            boot: seconds(60),
            retry: (Duration::from_millis(500), seconds(15)),
        }
    }
}

/// A process that listens.
pub struct Feed {
    state: State,
    access: Access,
    tempo: Tempo,
}

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// This process ends.
    #[error("Patchbay stops")]
    Leaving,
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(
        "Asterisk does not say that it has started: wait until it has, and let the manager user's read have system"
    )]
    Starting,
    #[error("the database does not take down what Asterisk tells; see the log")]
    Database(#[from] sqlx::Error),
}

impl From<AmiError> for Trouble {
    fn from(error: AmiError) -> Self {
        Self::Unusable(error.into())
    }
}

impl Feed {
    /// One that listens to the Asterisk at `access`.
    pub fn new(state: State, access: Access) -> Self {
        Self { state, access, tempo: Tempo::default() }
    }

    /// As it was, but in another tempo.
    #[must_use]
    pub fn in_tempo(self, tempo: Tempo) -> Self {
        Self { tempo, ..self }
    }

    /// Listens until `leave` is true.
    pub async fn run(self, leave: watch::Receiver<bool>) {
        let mut leaving = leave.clone();
        tokio::select! {
            () = self.listen(leave) => {}
            () = self.keep() => {}
            () = told(&mut leaving) => {}
        }
    }

    /// Listens, and after every failure again.
    async fn listen(&self, leave: watch::Receiver<bool>) {
        let mut wait = self.tempo.retry.0;
        loop {
            let begun = Instant::now();
            let trouble = match self.follow(leave.clone()).await {
                Trouble::Leaving => return,
                trouble => trouble,
            };
            // What went well for a while begins with short waits again.
            if begun.elapsed() > self.tempo.retry.1 {
                wait = self.tempo.retry.0;
            }
            let cause = std::error::Error::source(&trouble).map(ToString::to_string);
            tracing::warn!(error = %trouble, cause, "registrations are not heard of; it is tried again");
            if let Err(error) = self.write_down(&trouble).await {
                tracing::warn!(%error, "that registrations are not heard of could not be written down");
            }
            sleep(wait).await;
            wait = (wait * 2).min(self.tempo.retry.1);
        }
    }

    async fn write_down(&self, trouble: &Trouble) -> Result<(), Error> {
        let sentence = trouble.to_string();
        if queries::feed(&mut self.state.read().await?).await?.error == sentence {
            return Ok(());
        }
        let mut tx = self.state.db.write().await?;
        queries::failed(&mut tx, &sentence).await?;
        Ok(tx.commit().await?)
    }

    /// One connection, from its beginning to its end.
    async fn follow(&self, mut leave: watch::Receiver<bool>) -> Trouble {
        tokio::select! {
            Err(trouble) = self.connection() => trouble,
            () = told(&mut leave) => Trouble::Leaving,
        }
    }

    /// An error ends it; nothing else does.
    async fn connection(&self) -> Result<Infallible, Trouble> {
        let (mut ami, _) = self.access.following(KINDS).await?;
        self.booted(&mut ami).await?;
        let mut told = Told::default();
        loop {
            let due = self.read(&mut ami, &mut told).await?;
            self.wait(&mut ami, due).await?;
        }
    }

    /// An Asterisk that still starts has not loaded everybody: its list would be too short.
    async fn booted(&self, ami: &mut Ami) -> Result<(), Trouble> {
        let until = Instant::now() + self.tempo.boot;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::Starting);
            }
            let heard = ami.heard(left).await?;
            if heard.lost {
                // What one waits for may have been among it.
                return Err(Trouble::Starting);
            }
            if heard.events.iter().any(|event| event.name() == "FullyBooted") {
                return Ok(());
            }
        }
    }

    /// Reads everybody and takes it down; when to read again at the latest and at the earliest.
    async fn read(&self, ami: &mut Ami, told: &mut Told) -> Result<Due, Trouble> {
        let (began, start) = (self.state.clock.now(), Instant::now());
        let contacts = ami.inbound_contacts().await?;
        let taken = store::take(&self.state, began, contacts).await?;
        if let Err(error) = sight::tell(&self.state, told).await {
            tracing::warn!(%error, "addresses of phones could not be written down; it is tried again");
        }
        metrics::counter!("registrations_read_total").increment(1);
        let took = start.elapsed();
        if !taken.begun.is_empty() || taken.ended > 0 {
            tracing::info!(begun = taken.begun.len(), ended = taken.ended, ms = %took.as_millis(), "registrations changed");
        }
        let now = Instant::now();
        let latest = if taken.doubtful { Duration::from_secs(1) } else { self.tempo.whole };
        // Reading takes no more than a third of the time, however much changes.
        Ok(Due { latest: now + latest, earliest: now + took * 2 })
    }

    /// Returns when it is time to read again.
    async fn wait(&self, ami: &mut Ami, due: Due) -> Result<(), Trouble> {
        let (mut at, mut first) = (due.latest, None);
        loop {
            let now = Instant::now();
            if now >= at {
                return Ok(());
            }
            let heard = ami.heard((at - now).min(self.tempo.alive)).await?;
            let now = Instant::now();
            if heard != Heard::default() {
                let first = *first.get_or_insert(now);
                let soon = (now + self.tempo.quiet).min(first + self.tempo.patience);
                at = soon.max(due.earliest).min(due.latest);
            } else if now < at {
                ami.ping().await?;
            }
        }
    }

    /// Keeps the map up with what it is made of, and forgets what is very old.
    async fn keep(&self) {
        let mut turn = interval(Duration::from_secs(1));
        let mut tidied: Option<Timestamp> = None;
        loop {
            turn.tick().await;
            let begun = Instant::now();
            if let Err(error) = map::refresh_all(&self.state).await {
                tracing::warn!(%error, "the map of phones is not up to date; it is tried again");
            }
            let now = self.state.clock.now();
            if tidied.is_none_or(|at| now.since(at) >= 60) {
                tidied = Some(now);
                if let Err(error) = tidy(&self.state, now).await {
                    tracing::warn!(%error, "old registrations could not be forgotten; it is tried again");
                }
            }
            sleep(begun.elapsed() * 3).await;
        }
    }
}

/// When to read again.
#[derive(Clone, Copy, Debug)]
struct Due {
    latest: Instant,
    earliest: Instant,
}

async fn tidy(state: &State, now: Timestamp) -> Result<(), Error> {
    let mut tx = state.db.write().await?;
    queries::forget(&mut tx, now.plus(-REMEMBERED * DAY), AT_ONCE).await?;
    Ok(tx.commit().await?)
}

/// Returns when it is time to leave.
async fn told(leave: &mut watch::Receiver<bool>) {
    let _ = leave.wait_for(|leave| *leave).await;
}
