//! Going on with a run that stopped, and having one undone.

use super::{LONGEST, Outcome, Refusal, in_the_way, queries, subject_of_new};
use crate::audit::{Change, Event};
use crate::db::{Result, Tx};
use crate::id::WorkflowId;
use crate::tenants;
use crate::workflows::input::Asked;
use crate::workflows::types::{Kind, Run, Status, Step, StepName, StepStatus};

/// Has a run that stopped go on: at the step that failed, or, when everything was undone, from the
/// beginning; when something could not be undone, with undoing it. Steps that are done are not done
/// again.
pub async fn retry(change: &mut Change, id: WorkflowId) -> Outcome<Run> {
    let (tenant, now) = (change.tenant(), change.at());
    tenants::lock(change, tenant).await?;
    let run = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if !run.status.may_retry() {
        let instead = "there is nothing to try again";
        return Err(Refusal::NotNow { status: run.status.label(), instead });
    }
    let undoing = run.status == Status::RollbackFailed;
    let steps = queries::steps(change.tx(), id).await?;
    let run = Run { subject: renamed(change.tx(), &run, &steps).await?, ..run };
    let to = if undoing { Status::RollingBack } else { Status::Running };
    if !queries::resume(change.tx(), &run, to, now, now.plus(LONGEST)).await? {
        return Err(in_the_way(change.tx(), &run).await?);
    }
    for step in anew(run.status, steps) {
        queries::write_step(change.tx(), id, &step).await?;
    }
    change.record(Event::new("workflow.retried", &run.label, &id));
    queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}

/// Whoever was added and deleted again is nobody: the run is about their e-mail address once more.
async fn renamed(tx: &mut Tx, run: &Run, steps: &[Step]) -> Result<String> {
    let gone = |step: &Step| step.name == StepName::CreateUser && step.status == StepStatus::Undone;
    let email = serde_json::from_str::<Asked>(&run.input).map(|asked| asked.email);
    match email {
        Ok(email) if steps.iter().any(gone) => {
            let subject = subject_of_new(&email);
            queries::set_subject(tx, run.id, &subject).await?;
            Ok(subject)
        }
        _ => Ok(run.subject.clone()),
    }
}

/// The steps of a run that is tried again, as far as they change.
fn anew(status: Status, steps: Vec<Step>) -> Vec<Step> {
    if status == Status::RollbackFailed {
        let stuck = steps.into_iter().filter(|step| step.status == StepStatus::UndoFailed);
        return stuck
            .map(|step| Step { status: StepStatus::Done, undo_attempts: 0, ..step })
            .collect();
    }
    let open = |step: &Step| step.status != StepStatus::Done;
    let first = steps.iter().find(|step| open(step)).map_or(i64::MAX, |step| step.position);
    let again = steps
        .into_iter()
        .filter(|step| open(step) || (step.name.follows() && step.position > first));
    let reset = again.map(|step| {
        // That Asterisk was told once is not forgotten: it may have to be told again.
        let told = step.name == StepName::Apply && step.status == StepStatus::Done;
        Step {
            status: StepStatus::Pending,
            attempts: 0,
            undo_attempts: 0,
            error: String::new(),
            saved: if told { "{}".to_owned() } else { String::new() },
            started_at: None,
            finished_at: None,
            ..step
        }
    });
    reset.collect()
}

/// Has a run undone that is not over.
pub async fn cancel(change: &mut Change, id: WorkflowId) -> Outcome<Run> {
    let (tenant, now, by) = (change.tenant(), change.at(), change.actor().name.clone());
    tenants::lock(change, tenant).await?;
    let run = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if !queries::cancel(change.tx(), tenant, id, &by, now).await? {
        let instead = match run.status {
            Status::Completed | Status::PartiallyCompleted => match run.kind {
                Kind::Provision => "deprovision them instead",
                Kind::Suspend => "resume them instead",
                Kind::Resume => "suspend them instead",
                Kind::Deprovision => "what was revoked and deleted cannot be brought back",
            },
            Status::RollbackFailed => "try again, to have the rest undone",
            _ => "there is nothing left to undo",
        };
        return Err(Refusal::NotNow { status: run.status.label(), instead });
    }
    change.record(Event::new("workflow.cancelled", &run.label, &id));
    queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)
}
