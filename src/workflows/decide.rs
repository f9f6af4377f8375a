//! What is to be done next of a run. Pure: given how it stands, and the time.

use super::types::{Run, Status, Step, StepName, StepStatus};
use crate::time::Timestamp;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next<'s> {
    /// This step.
    Do(&'s Step),
    /// The undoing of this one.
    Undo(&'s Step),
    /// It has taken too long.
    TooLate,
    /// Nothing: it ends so.
    End(Status),
    /// Nothing until somebody decides.
    Rest,
}

/// Decides. Steps come in their order.
pub(super) fn next<'s>(run: &Run, steps: &'s [Step], now: Timestamp) -> Next<'s> {
    match run.status {
        Status::Pending | Status::Running => forward(run, steps, now),
        Status::RollingBack => backward(run, steps),
        _ => Next::Rest,
    }
}

fn forward<'s>(run: &Run, steps: &'s [Step], now: Timestamp) -> Next<'s> {
    let open = |step: &&Step| matches!(step.status, StepStatus::Pending | StepStatus::Running);
    match steps.iter().find(open) {
        Some(_) if now > run.deadline => Next::TooLate,
        Some(step) => Next::Do(step),
        None if steps.iter().any(|step| step.status == StepStatus::Failed) => {
            Next::End(Status::PartiallyCompleted)
        }
        None => Next::End(Status::Completed),
    }
}

/// The last first; but Asterisk is told last, of how it was.
fn backward<'s>(run: &Run, steps: &'s [Step]) -> Next<'s> {
    let to_undo = || steps.iter().rev().filter(|step| step.is_to_undo());
    let next = to_undo().find(|step| step.name != StepName::Apply).or_else(|| to_undo().next());
    match next {
        Some(step) => Next::Undo(step),
        None if run.timed_out => Next::End(Status::Timeout),
        None => Next::End(Status::RolledBack),
    }
}

/// Seconds to wait before a try, given how many there were (from 1) and a random number; none when
/// that was the last.
pub(super) fn backoff(tries: i64, random: u32) -> Option<i64> {
    const TRIES: i64 = 3;
    if tries >= TRIES {
        return None;
    }
    let doubled = 1_i64 << tries.clamp(1, 8);
    Some(doubled + i64::from(random) % doubled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{TenantId, WorkflowId};
    use crate::workflows::types::Kind;

    fn run(status: Status) -> Run {
        let zero = Timestamp(0);
        Run {
            id: WorkflowId::from(uuid::Uuid::nil()),
            tenant: TenantId::DEFAULT,
            kind: Kind::Deprovision,
            subject: String::new(),
            label: String::new(),
            input: String::new(),
            status,
            reason: String::new(),
            timed_out: false,
            created_by: String::new(),
            cancelled_by: String::new(),
            created_at: zero,
            updated_at: zero,
            finished_at: None,
            deadline: Timestamp(300),
            next_at: zero,
        }
    }

    fn steps(all: &[(StepName, StepStatus, &str)]) -> Vec<Step> {
        let step = |(position, (name, status, saved)): (i64, &(StepName, StepStatus, &str))| Step {
            position,
            name: *name,
            required: true,
            status: *status,
            attempts: 0,
            undo_attempts: 0,
            error: String::new(),
            saved: (*saved).to_owned(),
            started_at: None,
            finished_at: None,
        };
        (1..).zip(all).map(step).collect()
    }

    #[test]
    fn the_first_step_that_is_not_done_is_next_until_it_is_too_late() {
        use StepStatus::{Done, Failed, Pending, Running};
        let all = steps(&[
            (StepName::DisableUser, Done, ""),
            (StepName::SuspendAddresses, Failed, ""),
            (StepName::DisconnectPhone, Running, ""),
            (StepName::Apply, Pending, ""),
        ]);
        assert_eq!(next(&run(Status::Running), &all, Timestamp(300)), Next::Do(&all[2]));
        assert_eq!(next(&run(Status::Running), &all, Timestamp(301)), Next::TooLate);
        let over = steps(&[(StepName::DisableUser, Done, "")]);
        let late = Timestamp(301);
        assert_eq!(next(&run(Status::Running), &over, late), Next::End(Status::Completed));
        let over = steps(&[(StepName::Apply, Failed, "")]);
        let partly = Next::End(Status::PartiallyCompleted);
        assert_eq!(next(&run(Status::Running), &over, late), partly);
        assert_eq!(next(&run(Status::Failed), &all, Timestamp(0)), Next::Rest);
    }

    #[test]
    fn it_is_undone_backwards_and_asterisk_is_told_last() {
        use StepStatus::{Done, Failed, Pending, Undone};
        let now = Timestamp(9_999);
        let mut all = steps(&[
            (StepName::DisableUser, Done, ""),
            (StepName::SuspendAddresses, Done, ""),
            (StepName::Apply, Failed, r#"{"run":1}"#),
            (StepName::RevokeAndDelete, Pending, ""),
        ]);
        for (place, name) in
            [(1, StepName::SuspendAddresses), (0, StepName::DisableUser), (2, StepName::Apply)]
        {
            let Next::Undo(step) = next(&run(Status::RollingBack), &all, now) else { panic!() };
            assert_eq!(step.name, name);
            all[place].status = Undone;
        }
        let back = Next::End(Status::RolledBack);
        assert_eq!(next(&run(Status::RollingBack), &all, now), back);
        let late = Run { timed_out: true, ..run(Status::RollingBack) };
        assert_eq!(next(&late, &all, now), Next::End(Status::Timeout));
    }

    #[test]
    fn tries_come_later_each_time_and_end() {
        for (tries, random, seconds) in
            [(1, 0, Some(2)), (1, 3, Some(3)), (2, 0, Some(4)), (2, 7, Some(7)), (3, 0, None)]
        {
            assert_eq!(backoff(tries, random), seconds);
        }
    }
}
