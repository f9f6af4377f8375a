//! An operation from its beginning to its end, for pages and calls alike.
//!
//! A revocation is two changes: the first commits `revoking` with what outside systems are to do,
//! the second, if there is nothing to wait for, completes it. Between them it may be interrupted;
//! the clock completes it then.

use super::state::State;
use super::steps::{allocate_first, has_none};
use super::types::{How, Step, Wanted};
use super::{Done, Outcome, allocate, complete, perform};
use crate::audit::Change;
use crate::auth::Operator;
use crate::id::AssignmentId;
use crate::ipam::space::Space;

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Somebody gets an address or a prefix.
    Allocate(Box<Wanted>),
    /// Something is done with an assignment that is there.
    Step(AssignmentId, Step),
}

/// The last change of an operation, still open: whoever began it commits, with whatever belongs to
/// it.
pub(super) struct Ready {
    pub change: Change,
    pub done: Done,
}

/// Does it, but for the last commit.
pub(super) async fn prepare(by: &Operator, act: &Act, how: &How) -> Outcome<Ready> {
    let mut change = by.change().await?;
    let tenant = change.tenant();
    let is_first = match act {
        Act::Allocate(wanted) => has_none(change.tx(), tenant, wanted).await?,
        Act::Step(..) => false,
    };
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let done = match act {
        Act::Allocate(wanted) if is_first => allocate_first(&mut space, wanted, how).await?,
        Act::Allocate(wanted) => allocate(&mut space, wanted, how).await?,
        Act::Step(id, step) => perform(&mut space, *id, step, how).await?,
    };
    space.close().await?;
    if done.assignment.state != State::Revoking || done.calls > 0 || !done.changed {
        return Ok(Ready { change, done });
    }
    change.commit().await?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let ended = complete(&mut space, done.assignment.id).await?;
    space.close().await?;
    // Whoever asked ended it, even if the clock was faster by a hair.
    Ok(Ready { change, done: Done { changed: true, ..ended } })
}

impl Ready {
    /// Makes it so.
    pub async fn commit(self) -> Outcome<Done> {
        self.change.commit_if_any().await?;
        Ok(self.done)
    }
}

/// Does it.
pub(super) async fn run(by: &Operator, act: &Act, how: &How) -> Outcome<Done> {
    prepare(by, act, how).await?.commit().await
}
