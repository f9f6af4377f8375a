//! What is done for a person in several steps, completely or not at all.
//!
//! A run is a row with its steps ([`types`]); one process after another has it, by a lease
//! ([`runner`]). Every step that touches only our database does what it does *and* notes that it is
//! done, with what its undo needs to know, in one transaction: wherever a process is killed, a step
//! is either done and noted or not begun. Undoing is the same, and looks at what is there, so that
//! undoing twice changes nothing the second time. Apply alone reaches outside; it is idempotent.
//!
//! A required step that fails has what was done before undone, in reverse; Asterisk, if it was
//! told, is told again last. The one step without a way back comes last, when nothing is left that
//! could fail. Outside systems (RADIUS, Kea, `NetBox`) are told by the outbox of the lifecycle.
//!
//! Two runs about one person never interleave: the database allows one that is not over.

pub mod api;
mod decide;
mod input;
mod queries;
mod runner;
mod steps;
mod types;
pub mod web;

use serde_json::json;

use crate::audit::{Change, Event, Page};
use crate::auth::access::Route;
use crate::auth::{Operator, Right};
use crate::db::{Result, Tx};
use crate::id::{TenantId, WorkflowId};
use crate::secrets::Vault;
use crate::time::Timestamp;
use crate::users::User;
use crate::web::Error;
use crate::{phones, tenants, users};

pub use input::{Asked, Errors, NEXT};
pub use runner::Runner;
pub use types::{Filter, Kind, Run, Status, Step, StepName, StepStatus};

use input::{Input, What, Who};

/// Seconds a run may take before it is undone.
pub const LONGEST: i64 = 300;

/// Every page and call on workflows.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// Why something cannot be done with a run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Fields that do not fit.
    #[error("not accepted: {}", .0.keys().cloned().collect::<Vec<_>>().join(", "))]
    Fields(Errors),
    /// Another about the same person is not over.
    #[error("a workflow for {label} is {status} already: wait until it is over, or cancel it")]
    Busy {
        /// Whom it is about.
        label: String,
        /// How it stands.
        status: String,
        /// That one.
        id: WorkflowId,
    },
    /// Not as it stands.
    #[error("it is {status}; {instead}")]
    NotNow {
        /// How it stands.
        status: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// There is none.
    #[error("there is no such workflow")]
    Missing,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// Whether somebody may do everything a workflow does but Apply.
pub fn may_begin(by: &Operator) -> bool {
    [Right::ManageUsers, Right::ManagePhones, Right::ManageAddresses]
        .into_iter()
        .all(|right| by.may(right))
}

/// Whether somebody may have a workflow apply.
pub fn may_apply(by: &Operator) -> bool {
    by.may(Right::Apply) && by.is_host()
}

/// Begins a run; whichever process does runs takes it a moment later.
pub async fn begin(
    change: &mut Change,
    vault: &Vault,
    asked: &Asked,
    may_apply: bool,
) -> Outcome<Run> {
    let (kind, input) = asked.parse().map_err(Refusal::Fields)?;
    if input.apply && !may_apply {
        return Err(wrong("apply", "you may not apply; leave it out"));
    }
    let (tenant, now) = (change.tenant(), change.at());
    tenants::lock(change, tenant).await?;
    let (subject, label, asked) = about(change.tx(), tenant, &input, asked).await?;
    let id = WorkflowId::from(vault.entropy().id(now).map_err(Error::from)?);
    let run = Run {
        id,
        tenant,
        kind,
        subject,
        label,
        input: asked.stored(),
        status: Status::Pending,
        reason: String::new(),
        timed_out: false,
        created_by: change.actor().name.clone(),
        cancelled_by: String::new(),
        created_at: now,
        updated_at: now,
        finished_at: None,
        deadline: now.plus(LONGEST),
        next_at: now,
    };
    if !queries::insert(change.tx(), &run).await? {
        return Err(in_the_way(change.tx(), &run).await?);
    }
    let plan = input.plan();
    for (position, (step, required)) in (1..).zip(&plan) {
        queries::insert_step(change.tx(), id, position, step.as_str(), *required).await?;
    }
    let steps: Vec<&str> = plan.iter().map(|(step, _)| step.as_str()).collect();
    let after = json!({ "kind": kind.as_str(), "steps": steps.join(", ") });
    change.record(Event::new("workflow.begun", &run.label, &id).after(after));
    Ok(run)
}

fn wrong(field: &str, why: &str) -> Refusal {
    Refusal::Fields([(field.to_owned(), why.to_owned())].into())
}

/// Whom it is about: what keeps another about them away, what they are called, and what is asked
/// for with their id.
async fn about(
    tx: &mut Tx,
    tenant: TenantId,
    input: &Input,
    asked: &Asked,
) -> Outcome<(String, String, Asked)> {
    let who = match &input.what {
        What::Provision(wanted) => {
            if let Some(phone) = wanted.phone
                && phone.model.is_none()
                && phones::get(tx, tenant, phone.mac).await?.is_none()
            {
                return Err(wrong("model", "this phone is new: say its maker and model"));
            }
            let email = wanted.person.email.to_string();
            return Ok((subject_of_new(&email), wanted.person.name.to_string(), asked.clone()));
        }
        What::Suspend { who, .. } | What::Resume { who } | What::Deprovision { who, .. } => *who,
    };
    let user = known(tx, tenant, who).await?;
    let user = user.ok_or_else(|| wrong("user", "there is no user with this extension or id"))?;
    let asked = Asked { user: user.id.to_string(), ..asked.clone() };
    Ok((format!("user/{}", user.id), format!("{} {}", user.number, user.name), asked))
}

/// Somebody who is still to be added.
fn subject_of_new(email: &str) -> String {
    format!("email/{}", email.to_lowercase())
}

async fn known(tx: &mut Tx, tenant: TenantId, who: Who) -> Result<Option<User>> {
    let id = match who {
        Who::Id(id) => Some(id),
        Who::Number(number) => users::by_number(tx, tenant, number).await?,
    };
    match id {
        Some(id) => users::get(tx, tenant, id).await,
        None => Ok(None),
    }
}

async fn in_the_way(tx: &mut Tx, run: &Run) -> Result<Refusal> {
    let other = queries::live(tx, run.tenant, &run.subject).await?;
    let other = other.ok_or(sqlx::Error::RowNotFound)?;
    let status = other.status.label();
    Ok(Refusal::Busy { label: other.label, status, id: other.id })
}

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

/// The tenant's runs, the newest first, and how many the filter matches.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    page: Page,
) -> Result<(Vec<Run>, i64)> {
    let runs = queries::list(tx, tenant, filter, page).await?;
    Ok((runs, queries::count(tx, tenant, filter).await?))
}

/// One run with its steps.
pub async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    id: WorkflowId,
) -> Result<Option<(Run, Vec<Step>)>> {
    match queries::get(tx, tenant, id).await? {
        Some(run) => Ok(Some((run, queries::steps(tx, id).await?))),
        None => Ok(None),
    }
}

/// The run about somebody that is not over, for pages about them.
pub async fn live_about(
    tx: &mut Tx,
    tenant: TenantId,
    user: crate::id::UserId,
) -> Result<Option<Run>> {
    queries::live(tx, tenant, &format!("user/{user}")).await
}

/// Forgets runs that ended before `before`.
async fn forget(tx: &mut Tx, before: Timestamp) -> Result<()> {
    queries::forget(tx, before).await
}
