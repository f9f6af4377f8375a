//! The steps of a life: each checked, written, counted, noted, and told to outside systems in one
//! change.

use serde_json::json;
use tokio::time::Instant;

use super::state::{Operation, State};
use super::types::{Assignment, How, Leased, Metadata, Release, Step, Wanted};
use super::{Done, Outcome, Refusal, effects, known, meter, names, place, queries};
use crate::audit::Event;
use crate::db::{Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::space::Space;
use crate::text::Line;

/// Gives somebody an address or a prefix. Whoever waits for one gets it.
pub async fn allocate(space: &mut Space<'_>, wanted: &Wanted, how: &How) -> Outcome<Done> {
    allocate_counted(space, wanted, how, false).await
}

/// As [`allocate`], to somebody who had none just before the tenant's turn ([`has_none`]): if they
/// got one meanwhile, the database refuses a second.
pub(super) async fn allocate_first(
    space: &mut Space<'_>,
    wanted: &Wanted,
    how: &How,
) -> Outcome<Done> {
    allocate_counted(space, wanted, how, true).await
}

async fn allocate_counted(
    space: &mut Space<'_>,
    wanted: &Wanted,
    how: &How,
    is_first: bool,
) -> Outcome<Done> {
    let began = Instant::now();
    let done = allocated(space, wanted, how, is_first).await;
    meter::asked(space, (wanted.family, Operation::Allocate), began, &done);
    done
}

/// Whether the holder has none of what is wanted. Nobody else waits while this is looked at before
/// the tenant's turn.
pub(super) async fn has_none(tx: &mut Tx, tenant: TenantId, wanted: &Wanted) -> Outcome<bool> {
    match named(tx, tenant, wanted).await {
        Ok(wanted) => Ok(live_of(tx, tenant, &wanted).await?.is_none()),
        Err(Refusal::Fault(fault)) => Err(Refusal::Fault(fault)),
        // What is wrong with it is said, and counted, when it is tried.
        Err(_) => Ok(false),
    }
}

/// What is wanted, for a holder as Patchbay knows them.
async fn named(tx: &mut Tx, tenant: TenantId, wanted: &Wanted) -> Outcome<Wanted> {
    let tenure = names::tenure(tx, tenant, &wanted.tenure).await?;
    Ok(Wanted { tenure, ..wanted.clone() })
}

/// What the holder has already of what is wanted.
async fn live_of(tx: &mut Tx, tenant: TenantId, wanted: &Wanted) -> Result<Option<Assignment>> {
    let role = wanted.role.to_string();
    queries::live_of(tx, tenant, &wanted.tenure.holder, wanted.family, &role).await
}

async fn allocated(
    space: &mut Space<'_>,
    wanted: &Wanted,
    how: &How,
    is_first: bool,
) -> Outcome<Done> {
    let tenant = space.tenant();
    let wanted = named(space.tx(), tenant, wanted).await?;
    let live = if is_first { None } else { live_of(space.tx(), tenant, &wanted).await? };
    let (old, fresh) = match live {
        Some(waiting) if waiting.state == State::Pending => (waiting, false),
        Some(other) => return Err(taken_already(&other)),
        None => (born(space, &wanted)?, true),
    };
    let mut new = old.clone();
    (new.hostname, new.mac) = (wanted.tenure.hostname.clone(), wanted.tenure.mac);
    new.metadata = remembered(&old, how)?;
    place::place(space, &mut new, &wanted).await?;
    settle(space, fresh.then_some(&old), &old, new, Operation::Allocate, how).await
}

fn taken_already(other: &Assignment) -> Refusal {
    let holder = other.holder.described();
    let what = other.held().map_or_else(|| other.family.label().to_owned(), |had| had.to_string());
    let (which, id, state) = (format!("{what} ({})", other.state), other.id, other.state);
    Refusal::AlreadyAllocated { holder, which, id, state }
}

/// An assignment at the beginning of its life.
fn born(space: &Space<'_>, wanted: &Wanted) -> Result<Assignment> {
    let now = space.at();
    Ok(Assignment {
        id: space.new_id()?,
        family: wanted.family,
        state: State::Pending,
        live: true,
        leased: None,
        pool: None,
        holder: wanted.tenure.holder.clone(),
        role: wanted.role.clone(),
        hostname: wanted.tenure.hostname.clone(),
        mac: wanted.tenure.mac,
        reason: Line::default(),
        release: None,
        metadata: Metadata::default(),
        since: now,
        allocated_at: None,
        activated_at: None,
        suspended_at: None,
        revoked_at: None,
        version: 0,
        created_at: now,
        updated_at: now,
    })
}

/// What is remembered after an operation: what was before, and on top what was said with it.
fn remembered(old: &Assignment, how: &How) -> Outcome<Metadata> {
    let mut all = old
        .metadata
        .merged(&how.metadata)
        .map_err(|error| Refusal::Field { field: "metadata", why: error.to_string() })?;
    if let Some(name) = &how.username {
        all.put("username", &name.to_string());
    }
    if let Some(nas) = how.nas {
        all.put("nas_ip", &nas.to_string());
    }
    Ok(all)
}

/// Does one thing with an assignment that is there.
pub async fn perform(
    space: &mut Space<'_>,
    id: AssignmentId,
    step: &Step,
    how: &How,
) -> Outcome<Done> {
    let (began, old) = (Instant::now(), stored(space, id).await?);
    let asked = (old.family, step.operation());
    let done = performed(space, old, step, how).await;
    meter::asked(space, asked, began, &done);
    done
}

async fn performed(
    space: &mut Space<'_>,
    old: Assignment,
    step: &Step,
    how: &How,
) -> Outcome<Done> {
    let mut new = Assignment { metadata: remembered(&old, how)?, ..old.clone() };
    let now = space.at();
    match step {
        Step::Activate => new.activated_at = Some(now),
        Step::Suspend(reason) => {
            (new.suspended_at, new.reason) = (Some(now), reason.clone());
        }
        Step::Reactivate => (new.suspended_at, new.reason) = (None, Line::default()),
        Step::Revoke(release) => {
            // To end what is ending or has ended is done already.
            if matches!(old.state, State::Revoking | State::Revoked) {
                return Ok(Done { assignment: old, changed: false, calls: 0 });
            }
            new.release = Some(*release);
        }
        Step::Retry => return retry(space, old, new, how).await,
        Step::Fail(reason) => return fail(space, old, new, reason.clone(), how).await,
    }
    settle(space, None, &old, new, step.operation(), how).await
}

impl Step {
    /// Which operation it is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Activate => Operation::Activate,
            Self::Suspend(_) => Operation::Suspend,
            Self::Reactivate => Operation::Reactivate,
            Self::Revoke(_) => Operation::Revoke,
            Self::Retry => Operation::Retry,
            Self::Fail(_) => Operation::Fail,
        }
    }
}

async fn stored(space: &mut Space<'_>, id: AssignmentId) -> Outcome<Assignment> {
    let tenant = space.tenant();
    let found = queries::get(space.tx(), tenant, id).await?;
    found.ok_or_else(|| Refusal::NotFound("the tenant".to_owned()))
}

/// Refused if the machine has no such step.
pub(super) fn legal(old: &Assignment, operation: Operation) -> Outcome<()> {
    if operation.allowed_in(old.state) {
        return Ok(());
    }
    let (label, from, to) = (old.label(), old.state, operation.target());
    Err(Refusal::InvalidTransition { label, from, to, operation })
}

/// Takes one step: checks it, writes it, counts it, notes it, and lets outside systems be told.
/// `fresh` is an assignment that has no row yet.
async fn settle(
    space: &mut Space<'_>,
    fresh: Option<&Assignment>,
    old: &Assignment,
    mut new: Assignment,
    operation: Operation,
    how: &How,
) -> Outcome<Done> {
    legal(old, operation)?;
    let (tenant, now) = (space.tenant(), space.at());
    new.state = operation.target();
    if operation == Operation::Allocate {
        new.allocated_at = Some(now);
    }
    (new.since, new.updated_at, new.version) = (now, now, old.version + 1);
    if fresh.is_some() {
        if !queries::insert(space.tx(), tenant, &new).await? {
            return Err(in_the_way(space, &new).await?);
        }
        queries::count(space.tx(), tenant, &new, 1).await?;
    } else {
        queries::update(space.tx(), tenant, &new).await?;
        queries::recount(space.tx(), tenant, &new, old.state).await?;
    }
    space.record(event(operation, old, &new, fresh.is_some()));
    meter::done(space, new.family, operation);
    let calls = effects::tell(space, &new, operation, how).await?;
    Ok(Done { assignment: new, changed: true, calls })
}

/// Whose live assignment the database refused a second of.
async fn in_the_way(space: &mut Space<'_>, new: &Assignment) -> Result<Refusal> {
    let tenant = space.tenant();
    let first = new.leased.map(Leased::first);
    if let Some(first) = first
        && let Some(other) = queries::at(space.tx(), tenant, first).await?
    {
        let why = format!("{first} is assigned: {}", other.label());
        return Ok(Refusal::AddressUnavailable(why));
    }
    let role = new.role.to_string();
    let other = queries::live_of(space.tx(), tenant, &new.holder, new.family, &role).await?;
    let other = other.ok_or(sqlx::Error::RowNotFound)?;
    Ok(taken_already(&other))
}

fn event(operation: Operation, old: &Assignment, new: &Assignment, fresh: bool) -> Event {
    let action = match operation {
        Operation::Allocate => "assignment.allocated",
        Operation::Activate => "assignment.activated",
        Operation::Suspend => "assignment.suspended",
        Operation::Reactivate => "assignment.reactivated",
        Operation::Revoke => "assignment.revoking",
        Operation::Complete => "assignment.revoked",
        Operation::Retry => "assignment.retried",
        Operation::Fail => "assignment.failed",
    };
    let event = Event::new(action, &new.label(), &new.id);
    let event = if fresh { event } else { event.before(describe(old)) };
    let noted = matches!(operation, Operation::Suspend | Operation::Fail);
    let event = event.after(describe(new));
    if noted && !new.reason.is_empty() { event.note(new.reason.to_string()) } else { event }
}

/// An assignment as the audit log keeps it.
pub(super) fn describe(assignment: &Assignment) -> serde_json::Value {
    let text = |text: Option<String>| text.unwrap_or_default();
    json!({
        "state": assignment.state,
        "family": assignment.family.as_str(),
        "address": text(assignment.leased.map(|leased| leased.to_string())),
        "holder": assignment.holder.described(),
        "role": assignment.role.to_string(),
        "reason": assignment.reason.to_string(),
        "metadata": assignment.metadata.value(),
    })
}

/// Tries again what failed: it gets the address it has kept, or the one it had, or another. It is
/// not in use then: a session it had is ended.
async fn retry(
    space: &mut Space<'_>,
    old: Assignment,
    mut new: Assignment,
    how: &How,
) -> Outcome<Done> {
    legal(&old, Operation::Retry)?;
    let (tenant, kept) = (space.tenant(), old.held());
    if kept.is_none() {
        let role = old.role.to_string();
        if let Some(other) =
            queries::live_of(space.tx(), tenant, &old.holder, old.family, &role).await?
        {
            return Err(taken_already(&other));
        }
        new.holder = known(space.tx(), tenant, &old.holder).await?;
    }
    (new.live, new.reason) = (true, Line::default());
    (new.activated_at, new.suspended_at, new.release) = (None, None, None);
    new.leased = None;
    let waiting = settle(space, None, &old, new, Operation::Retry, how).await?.assignment;
    let ended = effects::tell(space, &old, Operation::Retry, how).await?;
    let mut new = waiting.clone();
    (new.leased, new.pool) = (kept, old.pool.clone());
    if kept.is_none() {
        place::again(space, &mut new, &old).await?;
    }
    let done = settle(space, None, &waiting, new, Operation::Allocate, how).await?;
    Ok(Done { calls: done.calls + ended, ..done })
}

/// It cannot go on. Before it was in use its address is given back; later it keeps it.
async fn fail(
    space: &mut Space<'_>,
    old: Assignment,
    mut new: Assignment,
    reason: Line<500>,
    how: &How,
) -> Outcome<Done> {
    legal(&old, Operation::Fail)?;
    new.reason = reason;
    new.release = None;
    new.live = !matches!(old.state, State::Pending | State::Allocated);
    if !new.live {
        place::let_go(space, &old, Release::Free, 0).await?;
    }
    let over = !new.live;
    let done = settle(space, None, &old, new, Operation::Fail, how).await?;
    if over {
        effects::let_go(space, &old).await?;
    }
    Ok(done)
}

/// Completes a revocation: the address is free, in quarantine, or kept.
pub async fn complete(space: &mut Space<'_>, id: AssignmentId) -> Outcome<Done> {
    let (began, old) = (Instant::now(), stored(space, id).await?);
    if old.state == State::Revoked {
        return Ok(Done { assignment: old, changed: false, calls: 0 });
    }
    legal(&old, Operation::Complete)?;
    let (tenant, now) = (space.tenant(), space.at());
    let (hours, _) = queries::quarantine(space.tx(), tenant).await?;
    place::let_go(space, &old, old.release.unwrap_or(Release::Free), hours).await?;
    effects::let_go(space, &old).await?;
    let new = Assignment { live: false, revoked_at: Some(now), ..old.clone() };
    meter::revoked(space, &old, began);
    settle(space, None, &old, new, Operation::Complete, &How::default()).await
}
