//! Addresses held under an assignment: only its end ends that.
//!
//! The row of such an address names the assignment. What the assignment is and whether it may end
//! is for others to know; here everything else that would take the address away is refused, so
//! that the two never say different things.

use super::types::{Ending, Holder, Record};
use super::{Outcome, Refusal, change, claims, queries};
use crate::db::{Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::class::Status;
use crate::ipam::space::Space;
use crate::net::Address;

/// Refused if the address is held under an assignment.
pub(super) fn unassigned(record: &Record) -> Outcome<()> {
    match record.assignment {
        None => Ok(()),
        Some(assignment) => {
            let (address, by) = (record.address, record.keeper());
            Err(Refusal::Assigned { address, by, assignment })
        }
    }
}

/// An assignment ends: so does its hold on the address. Who was waiting for it gets it, whatever
/// the ending. Nothing happens if the address is held under another assignment, or none.
pub async fn unassign(
    space: &mut Space<'_>,
    address: Address,
    assignment: AssignmentId,
    ending: &Ending,
) -> Outcome<()> {
    let tenant = space.tenant();
    let old = queries::get(space.tx(), tenant, address).await?;
    let Some(old) = old.filter(|old| old.assignment == Some(assignment)) else { return Ok(()) };
    let released = Record { assignment: None, ..old.clone() };
    let wanted = !queries::claims(space.tx(), tenant, address).await?.is_empty();
    let (note, until, status) = match ending {
        Ending::Free => return claims::vacate(space, &released, "address.released", None).await,
        _ if wanted => return claims::vacate(space, &released, "address.released", None).await,
        Ending::Quarantine(note, until) => (note, Some(*until), Status::Quarantine),
        Ending::Keep(note) => (note, None, Status::Reserved),
    };
    let mut new = released;
    let (now, by) = (space.at(), space.actor().name.clone());
    new.clear(status, now);
    new.until = until;
    if status == Status::Quarantine {
        new.reason = note.line();
        change(space, &old, new, "address.quarantined").await.map(drop)
    } else {
        new.description = note.line();
        new.reserved_by = by;
        change(space, &old, new, "address.reserved").await.map(drop)
    }
}

/// The name of a user of the tenant.
pub async fn user_named(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<Option<String>> {
    queries::user_name(tx, tenant, id).await
}

/// Whether a holder has an address under an assignment: the first of them.
pub async fn any_assigned(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
) -> Result<Option<Record>> {
    let held = queries::held_by(tx, tenant, holder).await?;
    Ok(held.into_iter().find(|record| record.assignment.is_some()))
}
