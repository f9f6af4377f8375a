//! How runs and failed steps end.

use super::{After, Held, Runner, Way, event};
use crate::audit::Change;
use crate::web::Error;
use crate::workflows::decide;
use crate::workflows::queries;
use crate::workflows::types::{Run, Status, Step, StepName, StepStatus};

impl Runner {
    /// A run has come to its end.
    pub(super) async fn end(&self, run: &Run, status: Status) -> Result<After, Error> {
        let Some(mut change) = self.open(run).await? else { return Ok(After::Stop) };
        self.stand(&mut change, run, status, &run.reason).await?;
        change.commit().await?;
        Ok(After::Stop)
    }

    /// A run cannot go on: it is undone, or waits for somebody to decide.
    pub(super) async fn give_up(&self, run: &Run, waits: bool, why: &str) -> Result<After, Error> {
        let Some(mut change) = self.open(run).await? else { return Ok(After::Stop) };
        let status = if waits { Status::Failed } else { Status::RollingBack };
        self.stand(&mut change, run, status, why).await?;
        change.commit().await?;
        Ok(if waits { After::Stop } else { After::On })
    }

    /// What was asked for cannot be read any more: another version wrote it. Nothing is guessed.
    pub(super) async fn abandon(&self, run: &Run) -> Result<After, Error> {
        let Some(mut change) = self.open(run).await? else { return Ok(After::Stop) };
        let why = "this version cannot read what was asked for; undo by hand what is done";
        self.stand(&mut change, run, Status::RollbackFailed, why).await?;
        change.commit().await?;
        Ok(After::Stop)
    }

    /// A run stands otherwise; unless it is to be undone, this process is done with it.
    async fn stand(
        &self,
        change: &mut Change,
        run: &Run,
        status: Status,
        why: &str,
    ) -> Result<(), Error> {
        let now = change.at();
        queries::set_status(change.tx(), run, status, why, now).await?;
        if status != Status::RollingBack {
            queries::release(change.tx(), run.id, &self.name, now).await?;
            let labels = [("kind", run.kind.as_str()), ("status", status.as_str())];
            metrics::counter!("workflows_total", &labels).increment(1);
        }
        change.record(event(run, status, why));
        Ok(())
    }

    /// A step was not done, or not undone: it is tried again later, or that is how it ends.
    pub(super) async fn not_done(
        &self,
        held: &Held,
        step: Step,
        way: Way,
        why: &str,
        may_pass: bool,
    ) -> Result<After, Error> {
        let run = &held.run;
        let Some(mut change) = self.open(run).await? else { return Ok(After::Stop) };
        let stored = queries::step(change.tx(), run.id, step.position).await?;
        let Some(stored) = stored else { return Ok(After::Stop) };
        // Its transaction may have been committed although nobody heard so.
        let done = match way {
            Way::Forward => StepStatus::Done,
            Way::Back => StepStatus::Undone,
        };
        if stored.status == done {
            return Ok(After::On);
        }
        let tries = if way == Way::Forward { step.attempts } else { step.undo_attempts };
        let wait = if may_pass { decide::backoff(tries, self.random()?) } else { None };
        let mut after = Step { error: why.to_owned(), ..stored };
        if let Some(seconds) = wait {
            if way == Way::Forward {
                after.status = StepStatus::Pending;
            }
            queries::write_step(change.tx(), run.id, &after).await?;
            let next = change.at().plus(seconds);
            queries::release(change.tx(), run.id, &self.name, next).await?;
            change.commit_seen().await?;
            return Ok(After::Stop);
        }
        after.finished_at = Some(change.at());
        after.status =
            if way == Way::Forward { StepStatus::Failed } else { StepStatus::UndoFailed };
        queries::write_step(change.tx(), run.id, &after).await?;
        let status = match way {
            Way::Forward if !step.required => {
                change.commit_seen().await?;
                return Ok(After::On);
            }
            Way::Forward if held.input.waits => Status::Failed,
            Way::Forward => Status::RollingBack,
            Way::Back => Status::RollbackFailed,
        };
        let why = told(step.name, why);
        self.stand(&mut change, run, status, &why).await?;
        change.commit().await?;
        Ok(if status == Status::RollingBack { After::On } else { After::Stop })
    }

    fn random(&self) -> std::io::Result<u32> {
        self.state.vault.entropy().bytes().map(u32::from_be_bytes)
    }
}

fn told(step: StepName, why: &str) -> String {
    format!("{}: {why}", step.label())
}
