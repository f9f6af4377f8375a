//! Two who want one address.

use super::queries;
use super::types::{Claim, Holder, Record, Seen, Tenure};
use super::{Outcome, Refusal, change, describe, event};
use crate::audit::{Actor, Via};
use crate::id::{ClaimId, SubnetId, TenantId};
use crate::ipam::class::{Kind, Status};
use crate::ipam::hosts;
use crate::ipam::space::{Space, pool_of};
use crate::ipam::subnets;
use crate::net::Address;
use crate::state::State;

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The claimant holds the address.
    Held(Record),
    /// Somebody else does; the claim stands beside it.
    Conflict(Record),
}

/// Somebody's settings name an address. If it is free it is theirs, and what is known of their
/// machine is written there; if not, that is a conflict. An address in no subnet is an orphan.
pub async fn claim(space: &mut Space<'_>, address: Address, tenure: &Tenure) -> Outcome<Claimed> {
    let (tenant, now) = (space.tenant(), space.at());
    let Some(old) = queries::get(space.tx(), tenant, address).await? else {
        let (subnet, kind) = place(space, address).await?;
        let id = space.ids(1).await?;
        let mut record = Record::new(address, id, subnet, kind, now);
        record.occupy(tenure, now);
        space.add(&record).await?;
        space.record(event("address.allocated", &record).after(describe(&record)));
        return Ok(Claimed::Held(record));
    };
    let mut new = old.clone();
    if old.holder.as_ref().is_some_and(|holder| holder.is(&tenure.holder)) {
        new.describe(tenure);
        // Its pool may have become another since.
        new.kind = place(space, address).await?.1;
        if new == old {
            return Ok(Claimed::Held(old));
        }
        return Ok(Claimed::Held(change(space, &old, new, "address.changed").await?));
    }
    if old.status == Status::Available {
        new.occupy(tenure, now);
        return Ok(Claimed::Held(change(space, &old, new, "address.allocated").await?));
    }
    if !note(space, &mut new, Ok(tenure)).await? {
        return Ok(Claimed::Conflict(old));
    }
    let event = event("address.conflict", &old).note(format!(
        "{} {} wants {address}, which {} has",
        tenure.holder.kind.as_str(),
        tenure.holder,
        old.keeper()
    ));
    space.record(event);
    if new.conflict != old.conflict {
        new.version += 1;
        new.updated_at = now;
        space.update(&old, &new).await?;
    }
    Ok(Claimed::Conflict(new))
}

/// The subnet of an address, and how it is given there. What no pool gives, such as a gateway, is
/// given by hand; of what lies in no subnet nobody knows.
async fn place(space: &mut Space<'_>, address: Address) -> Outcome<(Option<SubnetId>, Kind)> {
    let tenant = space.tenant();
    let Some(subnet) = subnets::around(space.tx(), tenant, address).await? else {
        return Ok((None, Kind::Dhcp));
    };
    let pools = subnets::pools(space.tx(), subnet.id).await?;
    let kind = pool_of(&subnet, &pools, address).map_or(Kind::Static, |(_, kind)| kind);
    Ok((Some(subnet.id), kind))
}

/// Puts a claim beside a row; false when the same claim stood there already.
pub(super) async fn note(
    space: &mut Space<'_>,
    record: &mut Record,
    claimant: std::result::Result<&Tenure, &Seen>,
) -> Outcome<bool> {
    let id: ClaimId = space.new_id()?;
    let tenant = space.tenant();
    let before = queries::claims(space.tx(), tenant, record.address).await?.len();
    queries::claim(space, id, record.address, claimant).await?;
    let after = queries::claims(space.tx(), tenant, record.address).await?.len();
    record.conflict = true;
    Ok(before != after)
}

/// A machine was seen with an address that is another's; true if that is new. The caller writes
/// the row, which is now in conflict, unless somebody settled just this and nothing is different
/// since.
pub async fn note_seen(space: &mut Space<'_>, record: &mut Record, seen: &Seen) -> Outcome<bool> {
    if queries::is_settled(space, record, seen).await? {
        return Ok(false);
    }
    note(space, record, Err(seen)).await
}

/// Machines seen with an address that contradict nothing any more are no claimants; true if that
/// is new. The caller writes the row, which may be in conflict no longer.
pub async fn forget_seen(
    space: &mut Space<'_>,
    record: &mut Record,
    over: impl Fn(&Seen) -> bool,
) -> Outcome<bool> {
    let tenant = space.tenant();
    let claims = queries::claims(space.tx(), tenant, record.address).await?;
    let (gone, left): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| claim.seen().is_some_and(|seen| over(&seen)));
    for claim in &gone {
        queries::drop_claim(space, claim.id).await?;
    }
    record.conflict = !left.is_empty();
    Ok(!gone.is_empty())
}

/// A holder no longer names an address: it is free, or the oldest claimant's. If it only claimed
/// the address, the claim goes.
pub async fn withdraw(space: &mut Space<'_>, address: Address, holder: &Holder) -> Outcome<()> {
    let tenant = space.tenant();
    let Some(record) = queries::get(space.tx(), tenant, address).await? else { return Ok(()) };
    if record.holder.as_ref().is_some_and(|known| known.is(holder)) {
        if record.assignment.is_some() {
            // It was theirs before they named it, and stays theirs until the assignment ends.
            return Ok(());
        }
        return vacate(space, &record, "address.released", None).await;
    }
    let claims = queries::claims(space.tx(), tenant, address).await?;
    let theirs = claims
        .iter()
        .find(|claim| claim.tenure.as_ref().is_some_and(|tenure| tenure.holder.is(holder)));
    match theirs {
        Some(claim) => retract(space, &record, claim, claims.len()).await.map(drop),
        None => Ok(()),
    }
}

/// Removes a claim; with the last one goes the conflict.
pub(super) async fn retract(
    space: &mut Space<'_>,
    record: &Record,
    claim: &Claim,
    claims: usize,
) -> Outcome<Record> {
    queries::drop_claim(space, claim.id).await?;
    let new = Record { conflict: claims > 1, ..record.clone() };
    let new = change(space, record, new, "address.claim_withdrawn").await?;
    Ok(new)
}

/// Whoever holds an address goes. The oldest claimant follows; without one the address is free,
/// but keeps its row, and is not given out unasked, while a machine answers there.
pub(in crate::ipam) async fn vacate(
    space: &mut Space<'_>,
    old: &Record,
    action: &'static str,
    note: Option<String>,
) -> Outcome<()> {
    super::tenancy::unassigned(old)?;
    let (tenant, now) = (space.tenant(), space.at());
    let claims = queries::claims(space.tx(), tenant, old.address).await?;
    let heir = claims.iter().find_map(|claim| Some((claim, claim.tenure.as_ref()?)));
    if let Some((claim, tenure)) = heir {
        queries::drop_claim(space, claim.id).await?;
        let mut new = old.clone();
        new.occupy(tenure, now);
        new.conflict = claims.len() > 1;
        change(space, old, new, "address.inherited").await?;
        return Ok(());
    }
    queries::drop_claims(space, old.address).await?;
    let mut released = event(action, old).before(describe(old));
    if let Some(note) = note {
        released = released.note(note);
    }
    if old.active {
        let mut new = old.clone();
        new.clear(Status::Available, now);
        new.conflict = false;
        new.version += 1;
        space.update(old, &new).await?;
        space.record(released.after(describe(&new)));
    } else {
        space.remove(old).await?;
        space.record(released);
    }
    Ok(())
}

/// Decides a conflict: the holder keeps the address and the claim is dropped, or the claimant gets
/// it and the holder goes. A conflict that is over does not come back by itself: a host that loses
/// names the address no longer (what a host names it holds or claims), and a machine that was merely
/// seen may go on being seen, until the address is somebody else's or has another MAC or name.
pub async fn resolve(
    space: &mut Space<'_>,
    address: Address,
    claim: ClaimId,
    give: bool,
) -> Outcome<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let record =
        queries::get(space.tx(), tenant, address).await?.ok_or(Refusal::Missing("address"))?;
    let claims = queries::claims(space.tx(), tenant, address).await?;
    let claim = claims.iter().find(|known| known.id == claim).ok_or(Refusal::Missing("claim"))?;
    if let (false, Some(seen)) = (give, claim.seen()) {
        queries::settle(space, &record, &seen).await?;
        queries::drop_claim(space, claim.id).await?;
        let new = Record { conflict: claims.len() > 1, ..record.clone() };
        change(space, &record, new, "address.settled").await?;
        return Ok(());
    }
    if !give {
        retract(space, &record, claim, claims.len()).await?;
        let loser = claim.tenure.as_ref().map(|tenure| &tenure.holder);
        return Ok(hosts::let_go(space, address, loser, &record.keeper()).await?);
    }
    super::tenancy::unassigned(&record)?;
    if record.status != Status::Allocated {
        super::legal(address, record.status, Status::Allocated)?;
    }
    let tenure = claim.tenure.as_ref().ok_or(Refusal::Field {
        address,
        status: record.status,
        field: "claim",
        why: "a machine that was merely seen has no holder to give it to",
    })?;
    queries::drop_claim(space, claim.id).await?;
    let mut new = record.clone();
    new.occupy(tenure, now);
    new.conflict = claims.len() > 1;
    change(space, &record, new, "address.resolved").await?;
    Ok(hosts::let_go(space, address, record.holder.as_ref(), &claim.claimant()).await?)
}

/// Forgets a machine that was seen at a free address, which is free without more.
pub async fn end(space: &mut Space<'_>, address: Address) -> Outcome<()> {
    let tenant = space.tenant();
    let record =
        queries::get(space.tx(), tenant, address).await?.ok_or(Refusal::Missing("address"))?;
    if record.status != Status::Available {
        return Err(Refusal::Taken { address, status: record.status, by: record.keeper() });
    }
    queries::drop_claims(space, address).await?;
    space.remove(&record).await?;
    space.record(event("address.forgotten", &record).before(describe(&record)));
    Ok(())
}

/// Frees every address whose reservation or quarantine has ended, and says so in the log. Run now
/// and then; returns how many there were.
pub async fn expire(state: &State) -> Outcome<usize> {
    const AT_ONCE: i64 = 200;
    let now = state.clock.now();
    let mut freed = 0;
    loop {
        let ended = queries::ended(&mut state.read().await?, now, AT_ONCE).await?;
        let full = i64::try_from(ended.len()).is_ok_and(|count| count == AT_ONCE);
        let before = freed;
        for (tenant, address) in ended {
            freed += usize::from(expire_one(state, tenant, address).await?);
        }
        if !full || freed == before {
            return Ok(freed);
        }
    }
}

async fn expire_one(state: &State, tenant: TenantId, address: Address) -> Outcome<bool> {
    let actor = Actor { tenant, ..Actor::local("Patchbay", Via::System) };
    let mut change = state.change(&actor).await?;
    let mut space = Space::open(&mut change, state.vault.entropy()).await?;
    let record = queries::get(space.tx(), tenant, address).await?;
    let now = space.at();
    let Some(record) = record.filter(|record| record.until.is_some_and(|until| until <= now))
    else {
        return Ok(false);
    };
    let (action, note) = if record.status == Status::Reserved {
        ("address.reservation_ended", format!("reserved by {} until now", record.reserved_by))
    } else {
        ("address.quarantine_ended", "its time is over".to_owned())
    };
    vacate(&mut space, &record, action, Some(note)).await?;
    space.close().await?;
    change.commit().await?;
    Ok(true)
}
