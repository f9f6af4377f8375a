//! Doing runs, in the background of a serving process: one step after the other.
//!
//! A run belongs to whoever wrote his name into its row, for twenty seconds; every step writes it
//! anew, in its own transaction, and does nothing if another took the run meanwhile: so one that
//! takes longer than that does no harm. A process that dies leaves a run that is somebody else's
//! when the lease is over.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::decide::{self, Next};
use super::input::{Asked, Input};
use super::steps::asterisk::Applies;
use super::steps::{self, Place, Trouble};
use super::types::{Run, Status, Step, StepName, StepStatus};
use super::{LONGEST, queries};
use crate::apply::Applier;
use crate::audit::{Actor, Change, Event, Via};
use crate::id::WorkflowId;
use crate::state::State;
use crate::tenants;
use crate::web::Error;

mod ending;
mod telling;

/// How often one looks whether there is something to do.
const TURN: Duration = Duration::from_millis(200);
/// How often what is old is forgotten.
const TIDY: Duration = Duration::from_hours(1);
/// Seconds a process is believed to be alive without a word.
const LEASE: i64 = 20;
/// Seconds after which a run is looked at again when how it went could not be written down.
const LATER: i64 = 5;
/// Seconds until one looks again whether what a step waits for is over.
const WAIT: i64 = 2;
/// Seconds that runs are remembered after their end.
const REMEMBERED: i64 = 180 * 24 * 60 * 60;

/// A process that does runs.
#[derive(Clone)]
pub struct Runner {
    state: State,
    applier: Applier,
    /// What it calls itself in the rows of its runs.
    name: String,
    /// The longest any step may take.
    most: Duration,
}

/// What comes after one move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The next.
    On,
    /// Nothing for now.
    Stop,
}

/// How a step went.
enum Went {
    /// It is done and noted.
    Done,
    /// It goes on by itself; look again in so many seconds.
    Waits(i64),
    /// It was not done; whether trying again may help.
    Not { why: String, may_pass: bool },
    /// The run is somebody else's.
    Lost,
}

/// Which way a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

/// A run that is at hand, and what was asked for.
struct Held {
    run: Run,
    input: Input,
    steps: Vec<Step>,
}

impl Runner {
    /// One that applies with `applier`.
    pub fn new(state: State, applier: Applier) -> std::io::Result<Self> {
        let name = state.vault.entropy().text(20)?;
        Ok(Self { state, applier, name, most: Duration::MAX })
    }

    /// As it was, but no step may take longer than `most`.
    #[must_use]
    pub fn within(self, most: Duration) -> Self {
        Self { most, ..self }
    }

    /// Does runs until `leave` is true; a step under way is finished.
    pub async fn run(self, mut leave: watch::Receiver<bool>) {
        let (mut turn, mut tidying) = (interval(TURN), interval(TIDY));
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let tidies = tokio::select! {
                biased;
                _ = leave.wait_for(|leave| *leave) => return,
                _ = tidying.tick() => true,
                _ = turn.tick() => false,
            };
            let done = if tidies { self.tidy().await } else { self.turn(&leave).await };
            if let Err(error) = done {
                tracing::warn!(%error, "workflows cannot be done; it is tried again");
            }
        }
    }

    async fn tidy(&self) -> Result<(), Error> {
        let mut tx = self.state.db.write().await?;
        super::forget(&mut tx, self.state.clock.now().plus(-REMEMBERED)).await?;
        Ok(tx.commit().await?)
    }

    /// Does whatever is due.
    async fn turn(&self, leave: &watch::Receiver<bool>) -> Result<(), Error> {
        while let Some(id) = self.take().await? {
            loop {
                if *leave.borrow() {
                    return self.let_go(id, 0).await;
                }
                match self.advance(id).await {
                    Ok(After::On) => {}
                    Ok(After::Stop) => break,
                    Err(error) => {
                        // The others do not wait for it.
                        self.let_go(id, LATER).await?;
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Does everything that is due now, step by step. How many moves that were.
    pub async fn drain(&self) -> Result<usize, Error> {
        let mut moves = 0;
        while let Some(id) = self.take().await? {
            moves += 1;
            while self.advance(id).await? == After::On {
                moves += 1;
            }
        }
        Ok(moves)
    }

    /// One move of one run that is due: a step, or its end; whether there was any. The run stays
    /// taken, as if this process died here.
    pub async fn move_once(&self) -> Result<bool, Error> {
        match self.take().await? {
            Some(id) => self.advance(id).await.map(|_| true),
            None => Ok(false),
        }
    }

    async fn take(&self) -> Result<Option<WorkflowId>, Error> {
        let now = self.state.clock.now();
        if !queries::any_due(&mut self.state.read().await?, &self.name, now).await? {
            return Ok(None);
        }
        let mut tx = self.state.db.write().await?;
        let id = queries::claim(&mut tx, &self.name, now, now.plus(LEASE)).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn let_go(&self, id: WorkflowId, seconds: i64) -> Result<(), Error> {
        let next = self.state.clock.now().plus(seconds);
        let mut tx = self.state.db.write().await?;
        queries::release(&mut tx, id, &self.name, next).await?;
        Ok(tx.commit().await?)
    }

    async fn advance(&self, id: WorkflowId) -> Result<After, Error> {
        let mut tx = self.state.read().await?;
        let Some(run) = queries::find(&mut tx, id).await? else { return Ok(After::Stop) };
        let steps = queries::steps(&mut tx, id).await?;
        drop(tx);
        let input = serde_json::from_str::<Asked>(&run.input).ok().and_then(|a| a.parse().ok());
        let Some((_, input)) = input else { return self.abandon(&run).await };
        let held = Held { run, input, steps };
        match decide::next(&held.run, &held.steps, self.state.clock.now()) {
            Next::Rest => self.let_go(id, 0).await.map(|()| After::Stop),
            Next::End(status) => self.end(&held.run, status).await,
            Next::TooLate => {
                let why = format!("it took longer than {LONGEST} seconds");
                let run = Run { timed_out: true, ..held.run.clone() };
                self.give_up(&run, held.input.waits, &why).await
            }
            Next::Do(step) => self.go(&held, step, Way::Forward).await,
            Next::Undo(step) => self.go(&held, step, Way::Back).await,
        }
    }

    /// Does or undoes a step.
    async fn go(&self, held: &Held, step: &Step, way: Way) -> Result<After, Error> {
        let Some((run, step)) = self.begin(held, step, way).await? else { return Ok(After::Stop) };
        let held = Held { run, input: held.input.clone(), steps: held.steps.clone() };
        let went = if step.name == StepName::Apply {
            self.tell(&held, &step, way).await
        } else {
            Box::pin(self.work(&held, &step, way)).await
        };
        let went = went.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(workflow.id = %held.run.id, step = %step.name, %error, cause, "a step of a workflow failed");
            Went::Not { why: error.to_string(), may_pass: true }
        });
        match went {
            Went::Done => Ok(After::On),
            Went::Lost => Ok(After::Stop),
            Went::Waits(seconds) => self.let_go(held.run.id, seconds).await.map(|()| After::Stop),
            Went::Not { why, may_pass } => self.not_done(&held, step, way, &why, may_pass).await,
        }
    }

    fn limit(&self, step: StepName) -> Duration {
        Duration::from_secs(u64::try_from(step.limit()).unwrap_or(60)).min(self.most)
    }

    /// Notes that a step is being done, for whoever watches; none when the run is another's.
    async fn begin(
        &self,
        held: &Held,
        step: &Step,
        way: Way,
    ) -> Result<Option<(Run, Step)>, Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        let mut run = held.run.clone();
        if !queries::hold(&mut tx, &run, &self.name, now, now.plus(LEASE)).await? {
            return Ok(None);
        }
        if run.status == Status::Pending {
            queries::set_status(&mut tx, &run, Status::Running, "", now).await?;
            run.status = Status::Running;
        }
        let mut step = step.clone();
        let applies = step.saved::<Applies>().unwrap_or_default();
        match way {
            // An Apply that is under way is only looked at.
            Way::Forward if step.name == StepName::Apply && applies.run.is_some() => {}
            Way::Forward => {
                step.attempts += 1;
                (step.status, step.started_at) = (StepStatus::Running, Some(now));
                step.finished_at = None;
            }
            Way::Back if step.name == StepName::Apply && applies.back.is_some() => {}
            Way::Back => step.undo_attempts += 1,
        }
        queries::write_step(&mut tx, run.id, &step).await?;
        tx.commit().await?;
        Ok(Some((run, step)))
    }

    /// Opens the transaction of a step; none when the run is another's by now.
    async fn open(&self, run: &Run) -> Result<Option<Change>, Error> {
        let mut change = self.state.change(&actor(run)).await?;
        // Whoever changes a tenant's numbers and addresses takes this lock first: so does this.
        tenants::lock(&mut change, run.tenant).await?;
        let now = change.at();
        let kept = queries::hold(change.tx(), run, &self.name, now, now.plus(LEASE)).await?;
        Ok(kept.then_some(change))
    }

    /// A step within the database: what it does, and that it is done, in one transaction. One that
    /// takes too long is left where it is: its transaction ends with it, and nothing of it was done.
    async fn work(&self, held: &Held, step: &Step, way: Way) -> Result<Went, Error> {
        let (began, limit) = (Instant::now(), self.limit(step.name));
        let too_long = || Went::Not { why: too_long(limit), may_pass: true };
        let Ok(written) = timeout(limit, self.written(held, step, way)).await else {
            return Ok(too_long());
        };
        let change = match written? {
            Ok(change) => change,
            Err(went) => return Ok(went),
        };
        // It may have taken so long without ever waiting.
        if began.elapsed() > limit {
            return Ok(too_long());
        }
        // Nobody breaks this off.
        change.commit_seen().await?;
        Ok(Went::Done)
    }

    /// The transaction in which a step is done and noted; or how it went instead.
    async fn written(
        &self,
        held: &Held,
        step: &Step,
        way: Way,
    ) -> Result<Result<Change, Went>, Error> {
        let Some(mut change) = self.open(&held.run).await? else { return Ok(Err(Went::Lost)) };
        let place = Place {
            state: &self.state,
            run: held.run.id,
            input: &held.input,
            steps: &held.steps,
            step,
        };
        let mut after =
            Step { finished_at: Some(change.at()), error: String::new(), ..step.clone() };
        let done = match way {
            Way::Forward => steps::perform(&mut change, &place).await.map(|noted| {
                (after.status, after.saved) = (StepStatus::Done, noted.to_string());
            }),
            Way::Back => steps::undo(&mut change, &place).await.map(|()| {
                after.status = StepStatus::Undone;
            }),
        };
        match done {
            Ok(()) => {}
            Err(Trouble::Refused(why)) => return Ok(Err(Went::Not { why, may_pass: false })),
            Err(Trouble::Fault(error)) => return Err(error),
            Err(Trouble::Later(why)) => {
                drop(change);
                return self.wait(held, step, why).await.map(Err);
            }
        }
        queries::write_step(change.tx(), held.run.id, &after).await?;
        Ok(Ok(change))
    }

    /// Something else must be over first: this was no try.
    async fn wait(&self, held: &Held, step: &Step, why: String) -> Result<Went, Error> {
        let Some(mut change) = self.open(&held.run).await? else { return Ok(Went::Lost) };
        let after = Step { attempts: step.attempts - 1, error: why, ..step.clone() };
        queries::write_step(change.tx(), held.run.id, &after).await?;
        change.commit_seen().await?;
        Ok(Went::Waits(WAIT))
    }
}

fn too_long(limit: Duration) -> String {
    format!("it took longer than {} s", limit.as_secs_f64())
}

/// In whose name steps are done: whoever asked for the run.
fn actor(run: &Run) -> Actor {
    Actor {
        tenant: run.tenant,
        request_id: run.id.to_string(),
        ..Actor::local(&run.created_by, Via::System)
    }
}

fn event(run: &Run, status: Status, reason: &str) -> Event {
    let action = match status {
        Status::Completed => "workflow.completed",
        Status::PartiallyCompleted => "workflow.partially_completed",
        Status::Failed => "workflow.failed",
        Status::RollingBack => "workflow.undoing",
        Status::RolledBack => "workflow.undone",
        Status::RollbackFailed => "workflow.undo_failed",
        Status::Timeout => "workflow.timed_out",
        Status::Pending | Status::Running => "workflow.running",
    };
    Event::new(action, &run.label, &run.id).note(reason)
}
