//! What is counted of operations, for Prometheus: each where it is done, whoever asked for it, and
//! only when its change is committed.

use std::time::Duration;

use tokio::time::Instant;

use super::state::Operation;
use super::types::{Assignment, Family};
use super::{Done, Outcome, Refusal};
use crate::ipam::space::Space;

/// A step that is written: it counts when the change is committed.
pub(super) fn done(space: &mut Space<'_>, family: Family, operation: Operation) {
    space.parts().0.once_committed(move || count(family, operation, "success"));
}

/// Something that was asked for, and how it went: what was refused counts at once, how long an
/// allocation took when it is committed.
pub(super) fn asked(
    space: &mut Space<'_>,
    (family, operation): (Family, Operation),
    began: Instant,
    outcome: &Outcome<Done>,
) {
    match outcome {
        Ok(done) if done.changed && operation == Operation::Allocate => {
            let name = match family {
                Family::Ipv4 => "ipv4_allocation_duration_seconds",
                Family::Ipv6 | Family::Prefix => "ipv6_allocation_duration_seconds",
            };
            space.parts().0.once_committed(move || {
                metrics::histogram!(name).record(began.elapsed().as_secs_f64());
            });
        }
        Ok(_) => {}
        Err(refusal) => count(family, operation, status(refusal)),
    }
}

/// A revocation is over: it took from its beginning, or within one second as long as the clock of
/// this process says.
pub(super) fn revoked(space: &mut Space<'_>, old: &Assignment, began: Instant) {
    let name = match old.family {
        Family::Ipv4 => "ipv4_revocation_duration_seconds",
        Family::Ipv6 | Family::Prefix => "ipv6_revocation_duration_seconds",
    };
    let seconds = u64::try_from(space.at().since(old.since)).unwrap_or(0);
    space.parts().0.once_committed(move || {
        let took = Duration::from_secs(seconds).max(began.elapsed());
        metrics::histogram!(name).record(took.as_secs_f64());
    });
}

/// Asking for what one has already, or for what makes no sense, is no failure of ours.
fn status(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Fault(_) => "error",
        Refusal::AlreadyAllocated { .. } => "already",
        Refusal::NotFound(_) | Refusal::Ambiguous(_) | Refusal::Field { .. } | Refusal::Stale => {
            "invalid"
        }
        Refusal::InvalidTransition { .. }
        | Refusal::PoolExhausted(_)
        | Refusal::AddressUnavailable(_)
        | Refusal::AddressNotInPool(_) => "refused",
    }
}

fn count(family: Family, operation: Operation, status: &'static str) {
    let labels = [("operation", operation.as_str()), ("status", status)];
    let name = match family {
        Family::Ipv4 => "ipv4_lifecycle_operations_total",
        Family::Ipv6 | Family::Prefix => "ipv6_lifecycle_operations_total",
    };
    metrics::counter!(name, &labels).increment(1);
}
