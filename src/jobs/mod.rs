//! What is done by the clock: one instance does it at a time, and what came of it is kept.
//!
//! A job is due at a time that stands in its row. Whoever writes his name and a lease into the row
//! first does it; while he does, he renews the lease. When an instance dies its lease ends, the
//! next one to look calls that run interrupted and does the job. So a job may be begun twice and
//! must not mind. What a run found is kept with the job, so that every instance can show it.

mod queries;
pub mod web;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::interval;

use crate::audit::Event;
use crate::db::{Result, Tx};
use crate::id::RunId;
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// Seconds an instance is believed to be alive without a word.
const LEASE: i64 = 60;
/// How often it says one.
const BEAT: Duration = Duration::from_secs(20);
/// How often one looks whether something is due.
const TURN: Duration = Duration::from_secs(1);
/// Runs of a job that are kept.
const KEPT: i64 = 200;

/// When a job is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// So many seconds after one another, on the multiples of that since 1970.
    Every(i64),
    /// Once a day, in UTC.
    Daily {
        /// 0 to 23.
        hour: i64,
        /// 0 to 59.
        minute: i64,
    },
}

impl Schedule {
    /// The first time after `now`.
    pub fn next(self, now: Timestamp) -> Timestamp {
        const DAY: i64 = 86_400;
        let (step, offset) = match self {
            Self::Every(seconds) => (seconds.max(1), 0),
            Self::Daily { hour, minute } => (DAY, hour * 3_600 + minute * 60),
        };
        Timestamp(((now.0 - offset).div_euclid(step) + 1) * step + offset)
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Every(60) => "every minute".to_owned(),
            Self::Every(seconds) if seconds % 60 == 0 => format!("every {} minutes", seconds / 60),
            Self::Every(seconds) => format!("every {seconds} seconds"),
            Self::Daily { hour, minute } => format!("daily at {hour:02}:{minute:02} UTC"),
        }
    }
}

/// Something done by the clock.
#[derive(Clone, Copy)]
pub struct Job {
    /// What it is called in URLs and rows.
    pub name: &'static str,
    /// What a person calls it.
    pub title: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// When.
    pub schedule: Schedule,
    /// Does it; what it found.
    pub work: fn(State) -> BoxFuture<'static, std::result::Result<Value, Error>>,
    /// Shows, in every instance, what the last run found.
    pub publish: Option<fn(&Value)>,
}

/// Every job there is.
#[derive(Clone)]
pub struct Jobs(pub Arc<[Job]>);

impl Jobs {
    /// Of a list.
    pub fn new(jobs: Vec<Job>) -> Self {
        Self(jobs.into())
    }

    fn named(&self, name: &str) -> Option<&Job> {
        self.0.iter().find(|job| job.name == name)
    }
}

/// A job's row.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) next_at: Timestamp,
    pub(crate) requested: String,
    pub(crate) runner: String,
    pub(crate) lease_until: Timestamp,
    pub(crate) result: String,
    pub(crate) result_at: Option<Timestamp>,
}

/// One run of a job.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Run {
    pub(crate) actor: String,
    pub(crate) state: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) result: String,
}

/// Asks that a job be done now, by whoever does jobs.
pub(crate) async fn request(change: &mut crate::audit::Change, job: &Job) -> Result<()> {
    let (now, by) = (change.at(), change.actor().name.clone());
    queries::ensure(change.tx(), job.name, job.schedule.next(now)).await?;
    queries::request(change.tx(), job.name, &by).await?;
    change.record(Event::new("job.requested", &job.title, &job.name));
    Ok(())
}

/// A process that does jobs.
pub struct Runner {
    state: State,
    jobs: Jobs,
    name: String,
    /// When what is shown of each was found.
    shown: HashMap<&'static str, Timestamp>,
}

impl Runner {
    /// One that is ready.
    pub fn new(state: State, jobs: Jobs) -> std::io::Result<Self> {
        let name = state.vault.entropy().text(20)?;
        Ok(Self { state, jobs, name, shown: HashMap::new() })
    }

    /// Does what is due until `leave` is true.
    pub async fn run(mut self, mut leave: watch::Receiver<bool>) {
        let mut turn = interval(TURN);
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => return,
                _ = turn.tick() => {
                    if let Err(error) = self.turn().await {
                        tracing::warn!(%error, "jobs cannot be done; it is tried again");
                    }
                }
            }
        }
    }

    /// Does every job that is due now, and shows what others found. Returns how many it did.
    pub async fn turn(&mut self) -> std::result::Result<usize, Error> {
        let mut done = 0;
        for job in self.jobs.clone().0.iter() {
            if let Some((id, by)) = self.take(job).await? {
                tracing::debug!(job = job.name, by, "job begins");
                self.work(job, id).await?;
                done += 1;
            }
            self.show(job).await?;
        }
        Ok(done)
    }

    /// Takes a job if it is due and nobody does it.
    async fn take(&self, job: &Job) -> Result<Option<(RunId, String)>> {
        let now = self.state.clock.now();
        let row = queries::get(&mut self.state.read().await?, job.name).await?;
        if let Some(row) = &row
            && ((row.next_at > now && row.requested.is_empty()) || row.lease_until > now)
        {
            return Ok(None);
        }
        let mut tx = self.state.db.write().await?;
        if row.is_none() {
            queries::ensure(&mut tx, job.name, job.schedule.next(now)).await?;
            tx.commit().await?;
            return Ok(None);
        }
        let until = now.plus(LEASE);
        let Some(by) = queries::take(&mut tx, job.name, &self.name, now, until).await? else {
            return Ok(None);
        };
        queries::bury(&mut tx, job.name, now).await?;
        let id: RunId =
            self.state.vault.entropy().id(now).map(RunId::from).map_err(sqlx::Error::Io)?;
        queries::begin(&mut tx, id, job.name, &self.name, &by, now).await?;
        tx.commit().await?;
        Ok(Some((id, by)))
    }

    async fn work(&self, job: &Job, id: RunId) -> Result<()> {
        let mut work = (job.work)(self.state.clone());
        let mut beat = interval(BEAT);
        beat.tick().await;
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = beat.tick() => self.renew(job).await,
            }
        };
        let now = self.state.clock.now();
        let (state, result) = match &outcome {
            Ok(found) => ("done", found.to_string()),
            Err(error) => {
                tracing::warn!(job = job.name, %error, cause = std::error::Error::source(error).map(ToString::to_string), "job failed");
                ("failed", error.to_string())
            }
        };
        metrics::counter!("jobs_total", "job" => job.name, "outcome" => state).increment(1);
        let mut tx = self.state.db.write().await?;
        queries::end(&mut tx, id, state, &result, now).await?;
        let next = job.schedule.next(now);
        let found = (state == "done").then_some(result);
        queries::release(&mut tx, job.name, &self.name, next, found.as_deref(), now).await?;
        queries::forget(&mut tx, job.name, KEPT).await?;
        tx.commit().await
    }

    /// Says that this process is alive.
    async fn renew(&self, job: &Job) {
        let until = self.state.clock.now().plus(LEASE);
        let renewed = async {
            let mut tx = self.state.db.write().await?;
            queries::renew(&mut tx, job.name, &self.name, until).await?;
            tx.commit().await
        };
        if let Err(error) = renewed.await {
            tracing::warn!(job = job.name, %error, "the lease could not be renewed");
        }
    }

    /// Shows what the last run found, if that is new here.
    async fn show(&mut self, job: &Job) -> Result<()> {
        let Some(publish) = job.publish else { return Ok(()) };
        let row = queries::get(&mut self.state.read().await?, job.name).await?;
        let Some((row, at)) = row.and_then(|row| row.result_at.map(|at| (row, at))) else {
            return Ok(());
        };
        if self.shown.insert(job.name, at) != Some(at)
            && let Ok(found) = serde_json::from_str(&row.result)
        {
            publish(&found);
        }
        Ok(())
    }
}

/// Returns when the process is to end.
async fn told(leave: &mut watch::Receiver<bool>) {
    while !*leave.borrow_and_update() {
        if leave.changed().await.is_err() {
            return;
        }
    }
}

/// How a job stands: its row, if it was ever looked at, and its last runs.
pub(crate) async fn standing(tx: &mut Tx, job: &Job, runs: i64) -> Result<(Option<Row>, Vec<Run>)> {
    Ok((queries::get(tx, job.name).await?, queries::runs(tx, job.name, runs).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_due_at_the_next_time_of_its_schedule() {
        // 2023-11-14T22:13:20Z
        let now = Timestamp(1_700_000_000);
        let next = |schedule: Schedule, now: Timestamp| schedule.next(now).to_string();
        let night = Schedule::Daily { hour: 2, minute: 0 };
        assert_eq!(next(night, now), "2023-11-15T02:00:00Z");
        assert_eq!(next(night, night.next(now)), "2023-11-16T02:00:00Z");
        assert_eq!(next(night, night.next(now).plus(-1)), "2023-11-15T02:00:00Z");
        assert_eq!(next(Schedule::Every(300), now), "2023-11-14T22:15:00Z");
        assert_eq!(
            [night.words(), Schedule::Every(300).words(), Schedule::Every(5).words()],
            ["daily at 02:00 UTC", "every 5 minutes", "every 5 seconds"]
        );
    }
}
