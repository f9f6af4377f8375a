//! What becomes of addresses when who holds them goes, or is called something else.

use super::types::{Holder, Hostname, Record, Tenure};
use super::{Outcome, change, claims, describe, event, queries};
use crate::id::AssignmentId;
use crate::ipam::space::Space;
use crate::net::Address;
use crate::outbox::{self, Leased, Subject};

/// Somebody goes for good: what they held is free, or the oldest claimant's, and what they claimed
/// they claim no longer. Returns what they held.
pub async fn leave(space: &mut Space<'_>, holder: &Holder, why: &str) -> Outcome<Vec<Address>> {
    let tenant = space.tenant();
    let mut held = queries::held_by(space.tx(), tenant, holder).await?;
    // What is assigned ends with its assignment.
    held.retain(|record| record.assignment.is_none());
    for record in &held {
        claims::vacate(space, record, "address.released", Some(why.to_owned())).await?;
    }
    for claim in queries::claimed_by(space.tx(), tenant, holder).await? {
        let Some(record) = queries::get(space.tx(), tenant, claim.address).await? else { continue };
        let standing = queries::claims(space.tx(), tenant, claim.address).await?.len();
        claims::retract(space, &record, &claim, standing).await?;
    }
    Ok(held.into_iter().map(|record| record.address).collect())
}

/// Somebody is called something else: so are they at each address they hold or claim, and at each
/// assignment that is not over. What is over says what they were called then.
pub async fn rename(space: &mut Space<'_>, holder: &Holder) -> Outcome<()> {
    let tenant = space.tenant();
    for old in queries::held_by(space.tx(), tenant, holder).await? {
        let new = Record { holder: Some(holder.clone()), ..old.clone() };
        if new != old {
            change(space, &old, new, "address.changed").await?;
        }
    }
    for claim in queries::claimed_by(space.tx(), tenant, holder).await? {
        if let Some(tenure) = &claim.tenure {
            let tenure = Tenure { holder: holder.clone(), ..tenure.clone() };
            queries::claim(space, claim.id, claim.address, Ok(&tenure)).await?;
        }
    }
    let now = space.at();
    if !queries::rename_assignments(space.tx(), tenant, holder, now).await? {
        return Ok(());
    }
    for (id, prefix) in queries::prefixes_of(space.tx(), tenant, holder).await? {
        Box::pin(tell(space, id, Leased::Delegated(prefix), (holder, None))).await?;
    }
    Ok(())
}

/// The holder of an assigned address, or their machine, is called otherwise: so it is at the
/// assignment, and wherever an operation had it written outside.
pub(super) async fn follow(space: &mut Space<'_>, old: &Record, new: &Record) -> Outcome<()> {
    let (Some(id), Some(holder)) = (new.assignment, &new.holder) else { return Ok(()) };
    let called = |record: &Record| (record.holder.clone(), record.hostname.clone());
    if old.assignment != new.assignment || called(old) == called(new) {
        return Ok(());
    }
    let now = space.at();
    queries::name_machine(space.tx(), id, holder, &new.hostname, now).await?;
    tell(space, id, Leased::Address(new.address), (holder, Some(&new.hostname))).await
}

async fn tell(
    space: &mut Space<'_>,
    id: AssignmentId,
    leased: Leased,
    (holder, hostname): (&Holder, Option<&Hostname>),
) -> Outcome<()> {
    let subject = Subject::new(Subject::ASSIGNMENT, &id);
    let (holder, hostname) = (holder.described(), hostname.map(ToString::to_string));
    let (change, entropy) = space.parts();
    let names = (holder.as_str(), hostname.as_deref());
    Ok(outbox::rename(change, entropy, &subject, leased, names).await?)
}

/// Removes a row and every claim on it, and says so in the log. Whoever calls this lets the subnet
/// be filled anew.
pub(in crate::ipam) async fn erase(space: &mut Space<'_>, record: &Record) -> Outcome<()> {
    queries::drop_claims(space, record.address).await?;
    space.forget(record).await?;
    space.record(event("address.cleared", record).before(describe(record)));
    Ok(())
}
