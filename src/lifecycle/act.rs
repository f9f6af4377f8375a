//! An operation from its beginning to its end, for pages and calls alike.
//!
//! A revocation is two changes: the first commits `revoking` with what outside systems are to do,
//! the second, if there is nothing to wait for, completes it. Between them it may be interrupted;
//! the clock completes it then.

use tokio::time::Instant;

use super::state::{Operation, State};
use super::types::{Assignment, Family, How, Step, Wanted};
use super::{Done, Outcome, Refusal, allocate, complete, perform, seconds};
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

impl Act {
    fn operation(&self) -> Operation {
        match self {
            Self::Allocate(_) => Operation::Allocate,
            Self::Step(_, step) => step.operation(),
        }
    }
}

/// The last change of an operation, still open: whoever began it commits, with whatever belongs to
/// it.
pub(super) struct Ready {
    pub change: Change,
    pub done: Done,
    operation: Operation,
    began: Instant,
}

/// Does it, but for the last commit.
pub(super) async fn prepare(by: &Operator, act: &Act, how: &How) -> Outcome<Ready> {
    let (began, operation) = (Instant::now(), act.operation());
    let prepared = prepared(by, act, how).await;
    if let Err(refusal) = &prepared {
        let outcome = if matches!(refusal, Refusal::Fault(_)) { "error" } else { "refused" };
        if let Act::Allocate(wanted) = act {
            count(wanted.family, operation, outcome);
        }
    }
    prepared.map(|(change, done)| Ready { change, done, operation, began })
}

async fn prepared(by: &Operator, act: &Act, how: &How) -> Outcome<(Change, Done)> {
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let done = match act {
        Act::Allocate(wanted) => allocate(&mut space, wanted, how).await?,
        Act::Step(id, step) => perform(&mut space, *id, step, how).await?,
    };
    space.close().await?;
    if done.assignment.state != State::Revoking || done.calls > 0 || !done.changed {
        return Ok((change, done));
    }
    change.commit().await?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let ended = complete(&mut space, done.assignment.id).await?;
    space.close().await?;
    // Whoever asked ended it, even if the clock was faster by a hair.
    Ok((change, Done { changed: true, ..ended }))
}

impl Ready {
    /// Makes it so.
    pub async fn commit(self) -> Outcome<Done> {
        self.change.commit_if_any().await?;
        if self.done.changed {
            let family = self.done.assignment.family;
            count(family, self.operation, "success");
            let took = self.began.elapsed().as_secs_f64();
            match (self.operation, self.done.assignment.state) {
                (Operation::Allocate, _) => record_allocation(family, took),
                (_, State::Revoked) => record_revocation(family, took),
                _ => {}
            }
        }
        Ok(self.done)
    }
}

/// Does it.
pub(super) async fn run(by: &Operator, act: &Act, how: &How) -> Outcome<Done> {
    prepare(by, act, how).await?.commit().await
}

fn count(family: Family, operation: Operation, outcome: &'static str) {
    let labels = [("operation", operation.as_str()), ("status", outcome)];
    let name = match family {
        Family::Ipv4 => "ipv4_lifecycle_operations_total",
        Family::Ipv6 | Family::Prefix => "ipv6_lifecycle_operations_total",
    };
    metrics::counter!(name, &labels).increment(1);
}

fn record_allocation(family: Family, took: f64) {
    let name = match family {
        Family::Ipv4 => "ipv4_allocation_duration_seconds",
        Family::Ipv6 | Family::Prefix => "ipv6_allocation_duration_seconds",
    };
    metrics::histogram!(name).record(took);
}

fn record_revocation(family: Family, took: f64) {
    let name = match family {
        Family::Ipv4 => "ipv4_revocation_duration_seconds",
        Family::Ipv6 | Family::Prefix => "ipv6_revocation_duration_seconds",
    };
    metrics::histogram!(name).record(took);
}

/// Notes that the clock completed a revocation.
pub(super) fn completed(before: &Assignment, after: &Assignment) {
    count(after.family, Operation::Complete, "success");
    record_revocation(after.family, seconds(before.since, after.since));
}
