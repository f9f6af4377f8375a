//! What each step does, and how it is undone. Everything here is within one transaction of the
//! runner's, which notes it in the same.

mod addresses;
pub(super) mod asterisk;
mod person;
mod phone;

use serde_json::{Value, json};

use super::input::{Input, Provision, What, Who};
use super::types::{Step, StepName, StepStatus};
use crate::audit::Change;
use crate::id::{UserId, WorkflowId};
use crate::state::State;
use crate::users::User;
use crate::web::Error;
use crate::{lifecycle, phones, users};

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// What there is stands in the way, and would again.
    #[error("{0}")]
    Refused(String),
    /// Something else must be over first, which it soon is by itself.
    #[error("{0}")]
    Later(String),
    /// A fault, which may pass.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<users::Refusal> for Trouble {
    fn from(refusal: users::Refusal) -> Self {
        match refusal {
            users::Refusal::Fault(error) => Self::Fault(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<phones::Refusals> for Trouble {
    fn from(refusals: phones::Refusals) -> Self {
        let said = refusals.to_string();
        match refusals.sorted() {
            phones::Sorted::Fault(error) => Self::Fault(error),
            _ => Self::Refused(said),
        }
    }
}

impl From<lifecycle::Refusal> for Trouble {
    fn from(refusal: lifecycle::Refusal) -> Self {
        match refusal {
            lifecycle::Refusal::Fault(error) => Self::Fault(error),
            lifecycle::Refusal::AlreadyAllocated { state: lifecycle::State::Revoking, .. } => {
                Self::Later(refusal.to_string())
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

pub(super) type Done<T> = Result<T, Trouble>;

/// Where in a run one is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub state: &'a State,
    pub run: WorkflowId,
    pub input: &'a Input,
    pub steps: &'a [Step],
    pub step: &'a Step,
}

impl Place<'_> {
    /// What another step noted when it was done.
    fn noted<T: serde::de::DeserializeOwned>(&self, name: StepName) -> Option<T> {
        let done = |step: &&Step| step.name == name && step.status == StepStatus::Done;
        self.steps.iter().find(done)?.saved()
    }

    fn provision(&self) -> Done<&Provision> {
        match &self.input.what {
            What::Provision(wanted) => Ok(wanted),
            _ => Err(Trouble::Refused("this step is of another workflow".to_owned())),
        }
    }

    /// Whom it is about.
    fn user_id(&self) -> Done<UserId> {
        let who = match &self.input.what {
            What::Provision(_) => self
                .noted::<person::Created>(StepName::CreateUser)
                .map(|created| Who::Id(created.user)),
            What::Suspend { who, .. } | What::Resume { who } | What::Deprovision { who, .. } => {
                Some(*who)
            }
        };
        match who {
            Some(Who::Id(id)) => Ok(id),
            _ => Err(nobody()),
        }
    }

    async fn user(&self, change: &mut Change) -> Done<User> {
        let (tenant, id) = (change.tenant(), self.user_id()?);
        users::get(change.tx(), tenant, id).await?.ok_or_else(nobody)
    }
}

fn nobody() -> Trouble {
    Trouble::Refused("the user is not there any more".to_owned())
}

/// Does a step; what is to be noted of it.
pub(super) async fn perform(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    match place.step.name {
        StepName::CreateUser => person::create(change, place).await,
        StepName::DisableUser => person::set_enabled(change, place, false).await,
        StepName::EnableUser => person::set_enabled(change, place, true).await,
        StepName::ConnectPhone => phone::connect(change, place).await,
        StepName::DisconnectPhone => phone::disconnect(change, place).await,
        StepName::RenderBootFile => phone::render(change, place).await,
        StepName::AllocateIpv4 | StepName::AllocateIpv6 | StepName::AllocatePrefix => {
            addresses::allocate(change, place).await
        }
        StepName::Activate => addresses::activate(change, place).await,
        StepName::SuspendAddresses => addresses::suspend(change, place).await,
        StepName::ReactivateAddresses => addresses::reactivate(change, place).await,
        StepName::RevokeAndDelete => person::end(change, place).await,
        StepName::Apply => Ok(json!({})),
    }
}

/// Undoes a step that was done; one that is undone already stays so.
pub(super) async fn undo(change: &mut Change, place: &Place<'_>) -> Done<()> {
    match place.step.name {
        StepName::CreateUser => person::undo_create(change, place).await,
        StepName::DisableUser | StepName::EnableUser => person::undo_enabled(change, place).await,
        StepName::ConnectPhone => phone::undo_connect(change, place).await,
        StepName::DisconnectPhone => phone::undo_disconnect(change, place).await,
        StepName::AllocateIpv4 | StepName::AllocateIpv6 | StepName::AllocatePrefix => {
            addresses::undo_allocate(change, place).await
        }
        StepName::SuspendAddresses => addresses::undo_suspend(change, place).await,
        StepName::ReactivateAddresses => addresses::undo_reactivate(change, place).await,
        // What was activated ends with its allocation; files are made whenever they are asked for;
        // Asterisk is not told within a transaction.
        StepName::Activate | StepName::RenderBootFile | StepName::Apply => Ok(()),
        StepName::RevokeAndDelete => {
            Err(Trouble::Refused("what was revoked and deleted cannot be brought back".to_owned()))
        }
    }
}
