//! What an Apply is made of.

use serde::{Deserialize, Serialize};

use crate::text::Line;
use crate::time::Timestamp;

/// How an Apply stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is under way.
    Running,
    /// Asterisk runs the new release, read back and compared.
    Verified,
    /// There was nothing to change, and Asterisk runs what it should.
    Unchanged,
    /// Nothing was written: something stood in the way.
    Refused,
    /// Nothing was written: Asterisk did not answer, or is none that may be told anything.
    Unreachable,
    /// Asterisk did not take the new release; it runs the old one again, read back.
    RolledBack,
    /// The old files are back in place, but Asterisk could not be seen to run them.
    RollbackFailed,
    /// Patchbay was stopped half-way; the old files are in place.
    Interrupted,
}

/// A state that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the state of an apply")]
pub struct BadState;

impl State {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Running, "running"),
        (Self::Verified, "verified"),
        (Self::Unchanged, "unchanged"),
        (Self::Refused, "refused"),
        (Self::Unreachable, "unreachable"),
        (Self::RolledBack, "rolled back"),
        (Self::RollbackFailed, "rollback failed"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    /// Whether Asterisk was seen to run what was meant.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Verified | Self::Unchanged)
    }
}

impl TryFrom<String> for State {
    type Error = BadState;

    fn try_from(text: String) -> Result<Self, BadState> {
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == text)
            .map(|(state, _)| state)
            .ok_or(BadState)
    }
}

/// What came of one module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Module {
    /// Such as `res_pjsip.so`.
    pub name: String,
    /// The file of ours it reads.
    pub file: String,
    /// Whether its file changed, so that it was reloaded.
    pub reloaded: bool,
    /// What Asterisk said, or that nothing had to be done.
    pub result: String,
    /// How long the reload took, in milliseconds.
    pub duration_ms: i64,
}

/// An Apply as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Its number; the release it wrote has the same.
    pub id: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// Who pressed the button.
    pub actor: String,
    /// On which machine.
    pub host: String,
    /// Why, in their words.
    pub reason: String,
    /// The newest change it contains.
    pub audit_seq: i64,
    /// How it stands.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// The release in force after it.
    pub release: Option<i64>,
    /// The release in force before it.
    pub previous: Option<i64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How many users it told Asterisk of.
    pub users: Option<i64>,
    /// What happened, in a sentence.
    pub detail: String,
    modules: String,
    findings: String,
}

impl Run {
    /// What came of each module.
    pub fn modules(&self) -> Vec<Module> {
        serde_json::from_str(&self.modules).unwrap_or_default()
    }

    /// What was found on the way: preflight's findings, Asterisk's log lines, differences.
    pub fn findings(&self) -> Vec<String> {
        serde_json::from_str(&self.findings).unwrap_or_default()
    }

    /// How long it took, for people.
    pub fn took(&self) -> String {
        self.duration_ms
            .map_or_else(String::new, |ms| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10))
    }
}

/// Where an Apply is, for who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Reading the database and rendering.
    Render,
    /// Looking for what stands in the way.
    Check,
    /// Writing the release.
    Write,
    /// Asterisk reads it.
    Reload,
    /// Reading back what Asterisk holds.
    Verify,
    /// Putting the old release back.
    RollBack,
    /// Over.
    Done,
}

impl Step {
    /// The steps of an Apply that goes well.
    pub const USUAL: [Self; 5] =
        [Self::Render, Self::Check, Self::Write, Self::Reload, Self::Verify];

    /// What is shown of it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Render => "files prepared",
            Self::Check => "files checked",
            Self::Write => "files put in place",
            Self::Reload => "read by Asterisk",
            Self::Verify => "read back and compared",
            Self::RollBack => "old release put back",
            Self::Done => "done",
        }
    }
}

/// What to put into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What the database says now.
    Database,
    /// What an earlier Apply put into force.
    Release(i64),
}

/// Why somebody applies, for the history; may be empty.
pub type Reason = Line<500>;

/// What is asked of an Apply.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to put into force.
    pub source: Source,
    /// Why.
    pub reason: Reason,
    /// Go on although files under `current` were changed by hand.
    pub overwrite: bool,
}
