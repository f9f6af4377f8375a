//! The step that tells Asterisk: begun, noted, looked at until it has ended.

use super::{Held, Runner, Way, Went, actor, too_long};
use crate::web::Error;
use crate::workflows::queries;
use crate::workflows::runner::LEASE;
use crate::workflows::steps::asterisk::{self, Applies, Told};
use crate::workflows::types::{Run, Step, StepName, StepStatus};

impl Runner {
    /// Tells Asterisk, or looks whether it has been told. Unlike other steps this is not broken off
    /// in the middle: an Apply that was begun and belongs to nobody would keep all others waiting
    /// until it is repaired. It has limits of its own, and none of a step's transactions is open.
    pub(super) async fn tell(&self, held: &Held, step: &Step, way: Way) -> Result<Went, Error> {
        let mut applies = step.saved::<Applies>().unwrap_or_default();
        let (run, now) = (&held.run, self.state.clock.now());
        let (begun, verb) = match way {
            Way::Forward => (applies.run, "workflow"),
            Way::Back => (applies.back, "workflow undone"),
        };
        let reason = format!("{verb}: {} {}", run.kind, run.label);
        let told = asterisk::tell(&self.applier, &actor(run), &reason, begun).await?;
        let mut after = step.clone();
        let went = match told {
            Told::Begun(id) => {
                match way {
                    Way::Forward => applies.run = Some(id),
                    Way::Back => applies.back = Some(id),
                }
                Went::Waits(0)
            }
            Told::Wait(seconds) => {
                let limit = self.limit(StepName::Apply).as_secs();
                let since = step.started_at.map_or(0, |at| now.since(at));
                // Undoing waits as long as it takes: Applies come to an end.
                if way == Way::Forward && u64::try_from(since).is_ok_and(|since| since > limit) {
                    let why = too_long(self.limit(StepName::Apply));
                    return Ok(Went::Not { why, may_pass: false });
                }
                Went::Waits(seconds)
            }
            Told::Done => {
                let forward = way == Way::Forward;
                after.status = if forward { StepStatus::Done } else { StepStatus::Undone };
                (after.finished_at, after.error) = (Some(now), String::new());
                Went::Done
            }
            Told::Refused(why) | Told::Broke(why) if way == Way::Back => {
                applies.back = None;
                Went::Not { why, may_pass: true }
            }
            Told::Refused(why) => {
                // It is not in force, so there is nothing to undo of it.
                (applies.run, after.saved) = (None, String::new());
                Went::Not { why, may_pass: false }
            }
            Told::Broke(why) => {
                applies.run = None;
                Went::Not { why, may_pass: true }
            }
        };
        let was_told = step.saved == "{}" || applies != Applies::default();
        after.saved = if was_told { text(&applies) } else { String::new() };
        Ok(if self.note(run, &after).await? { went } else { Went::Lost })
    }

    async fn note(&self, run: &Run, step: &Step) -> Result<bool, Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        if !queries::hold(&mut tx, run, &self.name, now, now.plus(LEASE)).await? {
            return Ok(false);
        }
        queries::write_step(&mut tx, run.id, step).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn text(applies: &Applies) -> String {
    serde_json::to_string(applies).unwrap_or_else(|_| "{}".to_owned())
}
