//! What the clock does about assignments.

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::figures::{self, LEAK_AFTER, Snapshot};
use super::state::State;
use super::steps::describe;
use super::types::{Assignment, Family};
use super::{Outcome, Refusal, complete, queries};
use crate::audit::{Actor, Event, Via};
use crate::id::TenantId;
use crate::ipam::space::Space;
use crate::jobs::{Job, Schedule};
use crate::state::State as App;
use crate::time::Timestamp;
use crate::web::Error;

/// Seconds after which what has ended is archived.
const KEPT: i64 = 90 * 24 * 60 * 60;
/// Seconds after which a revocation is completed, whatever outside systems say.
const STUCK: i64 = 60 * 60;
/// Seconds a revocation has to complete by itself.
const GRACE: i64 = 5;
/// Rows looked at together.
const AT_ONCE: i64 = 200;
/// Revocations completed in one change: what others wait for meanwhile is a few hundredths of a second.
const TOGETHER: usize = 8;
/// Leaks named in the log.
const NAMED: i64 = 50;

/// Every job of the life cycle.
pub fn jobs() -> Vec<Job> {
    vec![
        Job {
            name: "lifecycle.cleanup",
            title: "Clean up assignments",
            about: "Archives what ended 90 days ago, reports addresses allocated for a day without being used, completes revocations under way for an hour.",
            schedule: Schedule::Daily { hour: 2, minute: 0 },
            work: |state| async move { cleanup(&state).await }.boxed(),
            publish: None,
        },
        Job {
            name: "lifecycle.metrics",
            title: "Count assignments",
            about: "Counts states, leaks and how full pools are, for /metrics.",
            schedule: Schedule::Every(300),
            work: |state| async move { measure(&state).await }.boxed(),
            publish: Some(publish),
        },
    ]
}

fn actor(tenant: TenantId) -> Actor {
    Actor { tenant, ..Actor::local("Patchbay", Via::System) }
}

/// Archives, reports and completes. What goes wrong with one row does not keep the others.
async fn cleanup(state: &App) -> Result<Value, Error> {
    let now = state.clock.now();
    let (archived, mut errors) = archive(state, now).await?;
    let leaked = report_leaks(state, now).await?;
    let (stuck, completed, failed) = complete_stuck(state, now.plus(-STUCK), false).await?;
    errors += failed;
    Ok(json!({
        "revoked_archived": archived,
        "allocated_stale": leaked,
        "revoking_stuck": stuck,
        "revoked_completed": completed,
        "errors": errors,
    }))
}

/// History that is old enough goes to the audit log alone. Returns how many, and how many errors.
async fn archive(state: &App, now: Timestamp) -> Result<(i64, i64), Error> {
    let (mut archived, mut errors) = (0, 0);
    loop {
        let mut tx = state.read().await?;
        let old = queries::over(&mut tx, now.plus(-KEPT), AT_ONCE).await?;
        drop(tx);
        let (found, before) = (old.len(), archived);
        for (tenant, assignment) in old {
            match archive_one(state, tenant, &assignment).await {
                Ok(gone) => archived += i64::from(gone),
                Err(error) => {
                    errors += 1;
                    tracing::warn!(assignment.id = %assignment.id, %error, "could not be archived");
                }
            }
        }
        if i64::try_from(found).is_ok_and(|found| found < AT_ONCE) || archived == before {
            return Ok((archived, errors));
        }
    }
}

async fn archive_one(state: &App, tenant: TenantId, old: &Assignment) -> Outcome<bool> {
    let mut change = state.change(&actor(tenant)).await?;
    let mut space = Space::open(&mut change, state.vault.entropy()).await?;
    if !queries::delete(space.tx(), tenant, old.id).await? {
        return Ok(false);
    }
    queries::count(space.tx(), tenant, old, -1).await?;
    let times = json!({
        "allocated_at": old.allocated_at, "activated_at": old.activated_at,
        "suspended_at": old.suspended_at, "revoked_at": old.revoked_at,
    });
    let mut was = describe(old);
    if let (Some(was), Some(times)) = (was.as_object_mut(), times.as_object()) {
        was.extend(times.clone());
    }
    space.record(Event::new("assignment.archived", &old.label(), &old.id).before(was));
    space.close().await?;
    change.commit().await?;
    Ok(true)
}

/// Says in the log which addresses are had, but not used. They stay whose they are.
async fn report_leaks(state: &App, now: Timestamp) -> Result<i64, Error> {
    let before = now.plus(-LEAK_AFTER);
    let mut tx = state.read().await?;
    let counted = queries::count_lingering(&mut tx, State::Allocated, before).await?;
    let count: i64 = counted.iter().map(|(_, _, count)| count).sum();
    if count == 0 {
        return Ok(0);
    }
    for words in ["ipv4_lifecycle", "ipv6_lifecycle"] {
        let of = counted.iter().filter(|(_, family, _)| log_words(*family) == words);
        let count: i64 = of.map(|(_, _, count)| count).sum();
        if count > 0 {
            tracing::warn!(count, "{words}.stale_allocated_detected");
        }
    }
    for (tenant, leak) in queries::lingering(&mut tx, State::Allocated, before, (0, NAMED)).await? {
        name_leak(tenant, &leak, now);
    }
    Ok(count)
}

/// One leak, under the name of its family.
fn name_leak(tenant: TenantId, leak: &Assignment, now: Timestamp) {
    tracing::warn!(
        tenant.id = %tenant,
        assignment.id = %leak.id,
        subscriber = %leak.holder.id,
        address = leak.leased.map(|leased| leased.to_string()),
        pool = leak.pool,
        hours_stuck = now.since(leak.since) / 3600,
        "{}.address_leak", log_words(leak.family)
    );
}

/// How lines in the log about a family begin.
fn log_words(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4_lifecycle",
        Family::Ipv6 | Family::Prefix => "ipv6_lifecycle",
    }
}

/// Completes revocations begun before `before`, with `settled` only those for which outside systems
/// have nothing left to do: how many there were, how many are complete now, and how many could not
/// be.
async fn complete_stuck(
    state: &App,
    before: Timestamp,
    settled: bool,
) -> Result<(i64, i64, i64), Error> {
    let (mut stuck, mut completed, mut errors, mut passed) = (0, 0, 0, 0);
    loop {
        let mut tx = state.read().await?;
        let found = if settled {
            queries::settled(&mut tx, before, (passed, AT_ONCE)).await?
        } else {
            queries::lingering(&mut tx, State::Revoking, before, (passed, AT_ONCE)).await?
        };
        drop(tx);
        let last = i64::try_from(found.len()).is_ok_and(|found| found < AT_ONCE);
        for some in found.chunk_by(|(one, _), (other, _)| one == other) {
            for some in some.chunks(TOGETHER) {
                stuck += i64::try_from(some.len()).unwrap_or_default();
                let done = complete_some(state, some).await;
                completed += done.0;
                (errors, passed) = (errors + done.1, passed + done.1);
            }
        }
        if last {
            return Ok((stuck, completed, errors));
        }
    }
}

/// Completes some of one tenant together, or if that cannot be each alone: how many are complete
/// now, and how many could not be.
async fn complete_some(state: &App, some: &[(TenantId, Assignment)]) -> (i64, i64) {
    if some.len() > 1
        && let Ok(completed) = complete_together(state, some).await
    {
        return (completed, 0);
    }
    let (mut completed, mut errors) = (0, 0);
    for one in some {
        match complete_together(state, std::slice::from_ref(one)).await {
            Ok(done) => completed += done,
            Err(error) => {
                errors += 1;
                tracing::warn!(assignment.id = %one.1.id, %error, "could not be completed");
            }
        }
    }
    (completed, errors)
}

/// In one change, which the tenant's other operations wait for.
async fn complete_together(state: &App, some: &[(TenantId, Assignment)]) -> Outcome<i64> {
    let Some((tenant, _)) = some.first() else { return Ok(0) };
    let mut change = state.change(&actor(*tenant)).await?;
    let mut space = Space::open(&mut change, state.vault.entropy()).await?;
    let mut ended = 0;
    for (_, old) in some {
        ended += i64::from(complete(&mut space, old.id).await?.changed);
    }
    space.close().await?;
    change.commit_if_any().await?;
    Ok(ended)
}

/// Completes the revocations that nothing outside holds up any more. Run every few seconds; returns
/// how many.
pub async fn complete_settled(state: &App) -> Result<i64, Error> {
    let before = state.clock.now().plus(1 - GRACE);
    let (_, completed, _) = complete_stuck(state, before, true).await?;
    Ok(completed)
}

async fn measure(state: &App) -> Result<Value, Error> {
    let snapshot = figures::of_all(&mut state.read().await?, state.clock.now()).await?;
    serde_json::to_value(snapshot).map_err(|error| Error::Io(error.into()))
}

fn publish(result: &Value) {
    match serde_json::from_value::<Snapshot>(result.clone()) {
        Ok(snapshot) => figures::publish(&snapshot),
        Err(error) => tracing::warn!(%error, "the figures of another version are not shown"),
    }
}

/// Brings the clean-up about now, for tests and for the command line.
pub async fn clean_up(state: &App) -> Outcome<Value> {
    cleanup(state).await.map_err(Refusal::Fault)
}

/// As the job does, for tests.
pub async fn figures(state: &App) -> Outcome<Value> {
    measure(state).await.map_err(Refusal::Fault)
}
