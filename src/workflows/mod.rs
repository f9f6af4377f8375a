//! What is done for a person in several steps, completely or not at all.
//!
//! A run is a row with its steps (`types`); one process after another has it, by a lease
//! (`runner`). Every step that touches only our database does what it does *and* notes that it is
//! done, with what its undo needs to know, in one transaction: wherever a process is killed, a step
//! is either done and noted or not begun. Undoing is the same, and looks at what is there, so that
//! undoing twice changes nothing the second time. Apply alone reaches outside; it is idempotent.
//!
//! A required step that fails has what was done before undone, in reverse; Asterisk, if it was
//! told, is told again last. The one step without a way back comes last, when nothing is left that
//! could fail. Outside systems (RADIUS, Kea, `NetBox`) are told by the outbox of the lifecycle.
//!
//! Two runs about one person never interleave: the database allows one that is not over.

mod again;
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

pub use again::{cancel, retry};
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
