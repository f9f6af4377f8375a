//! Telling Asterisk: the one step that reaches outside. It is begun, its number is noted, and how it
//! ends is looked at later. When a process dies between beginning and noting, Asterisk is told once
//! more, which changes nothing.

use serde::{Deserialize, Serialize};

use crate::apply::{Applier, ApplyError, Request, RunState, Source};
use crate::audit::Actor;
use crate::web::Error;

/// Seconds between two looks.
const LOOK: i64 = 1;
/// Seconds to wait when somebody else applies.
const TURN: i64 = 2;

/// The Apply of a step, and the one that undoes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::workflows) struct Applies {
    pub run: Option<i64>,
    pub back: Option<i64>,
}

/// How telling Asterisk stands.
#[derive(Debug)]
pub(in crate::workflows) enum Told {
    /// It was begun just now: note its number.
    Begun(i64),
    /// Look again in so many seconds.
    Wait(i64),
    /// Asterisk runs what the database says.
    Done,
    /// It does not, and not because of this.
    Refused(String),
    /// It broke off: to be begun anew.
    Broke(String),
}

/// Begins an Apply, or looks at the one begun.
pub(in crate::workflows) async fn tell(
    applier: &Applier,
    actor: &Actor,
    reason: &str,
    begun: Option<i64>,
) -> Result<Told, Error> {
    let Some(id) = begun else { return begin(applier, actor, reason).await };
    let Some(run) = applier.run(id).await? else {
        return Ok(Told::Broke("the Apply is not known any more".to_owned()));
    };
    Ok(match run.state {
        RunState::Running => Told::Wait(LOOK),
        RunState::Verified | RunState::Unchanged => Told::Done,
        RunState::Interrupted => Told::Broke(run.detail),
        RunState::Refused
        | RunState::Unreachable
        | RunState::RolledBack
        | RunState::RollbackFailed => {
            Told::Refused(format!("Apply {id} was {}: {}", run.state.as_str(), run.detail))
        }
    })
}

async fn begin(applier: &Applier, actor: &Actor, reason: &str) -> Result<Told, Error> {
    // Names are shorter than a reason may be; were one not, it is no reason not to apply.
    let reason = reason.parse().unwrap_or_default();
    let request = Request { source: Source::Database, reason, overwrite: false };
    match applier.start(actor, &request).await {
        Ok(id) => Ok(Told::Begun(id)),
        Err(ApplyError::Busy(_)) => Ok(Told::Wait(TURN)),
        Err(ApplyError::Fault(error)) => Err(error),
        Err(error) => Ok(Told::Refused(error.to_string())),
    }
}
