//! What happens to somebody happens to what they have.

use super::state::{Operation, State};
use super::types::{Assignment, How, Leased, Release, Step};
use super::{Done, Outcome, complete, perform, queries};
use crate::ipam::addresses::Holder;
use crate::ipam::space::Space;
use crate::text::Line;

/// Somebody goes for good: whatever they have ends. What outside systems must be told of first is
/// revoked when they have been, by the clock, and until then nobody else's. Returns what it was.
pub async fn leave(space: &mut Space<'_>, holder: &Holder, why: &str) -> Outcome<Vec<Leased>> {
    let tenant = space.tenant();
    let mut left = Vec::new();
    for old in queries::all_live_of(space.tx(), tenant, holder).await? {
        left.extend(old.held());
        if old.state != State::Revoking {
            ended(space, &old, why, false).await?;
        }
    }
    Ok(left)
}

/// A live assignment ends at once, without waiting for outside systems: its holder is to have
/// another.
pub async fn end(space: &mut Space<'_>, old: &Assignment, why: &str) -> Outcome<()> {
    ended(space, old, why, true).await
}

async fn ended(space: &mut Space<'_>, old: &Assignment, why: &str, at_once: bool) -> Outcome<()> {
    let how = How::default();
    match old.state {
        State::Pending => {
            let reason: String = why.chars().take(500).collect();
            let reason: Line<500> = reason.parse().unwrap_or_default();
            perform(space, old.id, &Step::Fail(reason), &how).await?;
        }
        State::Revoking => drop(complete(space, old.id).await?),
        state => {
            let mut calls = 0;
            if state == State::Failed {
                calls += perform(space, old.id, &Step::Retry, &how).await?.calls;
            }
            calls += perform(space, old.id, &Step::Revoke(Release::Free), &how).await?.calls;
            if at_once || calls == 0 {
                complete(space, old.id).await?;
            }
        }
    }
    Ok(())
}

/// A phone registered for the first time with the address it was given: its assignment is active.
/// For whoever hears of registrations; nothing happens if there is nothing to activate.
pub async fn first_register(space: &mut Space<'_>, holder: &Holder) -> Outcome<Vec<Done>> {
    let tenant = space.tenant();
    let mut done = Vec::new();
    for old in queries::all_live_of(space.tx(), tenant, holder).await? {
        if Operation::Activate.allowed_in(old.state) {
            done.push(perform(space, old.id, &Step::Activate, &How::default()).await?);
        }
    }
    Ok(done)
}
