//! What the audit log is made of.

use serde_json::Value;

use crate::id::TenantId;
use crate::time::Timestamp;

/// How someone reached Patchbay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Signed in with a browser.
    Browser,
    /// With an API token.
    Token,
    /// With the command line on the machine itself.
    CommandLine,
    /// Patchbay itself, e.g. repairing after a crash.
    System,
}

impl Via {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Token => "token",
            Self::CommandLine => "command line",
            Self::System => "system",
        }
    }
}

/// On whose behalf something is done, and where the request came from.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The operator's name, with the token's label when a token was used.
    pub name: String,
    /// The tenant whose rows it may touch.
    pub tenant: TenantId,
    /// How.
    pub via: Via,
    /// The peer's address, when there is one.
    pub source: String,
    /// The request's id, as in the logs.
    pub request_id: String,
}

impl Actor {
    /// Someone without a request: the command line, or Patchbay itself.
    pub fn local(name: &str, via: Via) -> Self {
        Self {
            name: name.to_owned(),
            tenant: TenantId::DEFAULT,
            via,
            source: String::new(),
            request_id: String::new(),
        }
    }
}

/// One thing done, as the doer states it.
#[derive(Clone, Debug)]
pub struct Event {
    action: &'static str,
    subject: String,
    subject_id: String,
    note: String,
    before: Value,
    after: Value,
    affects_asterisk: bool,
}

impl Event {
    /// `action` is `noun.verb` (`user.created`), `subject` what a person calls it, `id` what
    /// Patchbay calls it.
    pub fn new(action: &'static str, subject: &impl ToString, id: &impl ToString) -> Self {
        Self {
            action,
            subject: subject.to_string(),
            subject_id: id.to_string(),
            note: String::new(),
            before: Value::Null,
            after: Value::Null,
            affects_asterisk: false,
        }
    }

    /// What it was before.
    #[must_use]
    pub fn before(mut self, before: Value) -> Self {
        self.before = before;
        self
    }

    /// What it is now.
    #[must_use]
    pub fn after(mut self, after: Value) -> Self {
        self.after = after;
        self
    }

    /// Why, in the doer's words.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The same why, if none was said of it.
    pub(super) fn or_note(mut self, why: &str) -> Self {
        if self.note.is_empty() {
            why.clone_into(&mut self.note);
        }
        self
    }

    /// It changes what Asterisk must be told by the next Apply.
    #[must_use]
    pub fn affects_asterisk(mut self) -> Self {
        self.affects_asterisk = true;
        self
    }
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Record {
    pub seq: i64,
    pub at: Timestamp,
    pub tenant_id: String,
    pub actor: String,
    pub via: String,
    pub source: String,
    pub request_id: String,
    pub action: String,
    pub subject: String,
    pub subject_id: String,
    pub note: String,
    pub before_json: String,
    pub after_json: String,
    pub affects_asterisk: bool,
    pub hash: String,
}

impl Record {
    /// The row for `event`, not yet chained.
    pub(super) fn new(seq: i64, at: Timestamp, actor: &Actor, event: Event) -> Self {
        let json = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
        Self {
            seq,
            at,
            tenant_id: actor.tenant.to_string(),
            actor: actor.name.clone(),
            via: actor.via.as_str().to_owned(),
            source: actor.source.clone(),
            request_id: actor.request_id.clone(),
            action: event.action.to_owned(),
            before_json: json(&event.before),
            after_json: json(&event.after),
            subject: event.subject,
            subject_id: event.subject_id,
            note: event.note,
            affects_asterisk: event.affects_asterisk,
            hash: String::new(),
        }
    }

    /// The fields that changed, as `(name, before, after)`; absent values are empty.
    pub fn changes(&self) -> Vec<(String, String, String)> {
        let object = |text: &str| {
            serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap_or_default()
        };
        let (before, after) = (object(&self.before_json), object(&self.after_json));
        let show = |value: Option<&Value>| match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        changed.map(|name| (name.clone(), show(before.get(name)), show(after.get(name)))).collect()
    }
}

/// Which rows to show. Empty means any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of the actor's name.
    pub actor: String,
    /// The beginning of the action, e.g. `user.` or `user.created`.
    pub action: String,
    /// Part of what the subject is called, or its whole id.
    pub subject: String,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows to pass over.
    pub offset: i64,
    /// Rows at most.
    pub limit: i64,
}

/// Where the log's chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A row is gone, or out of order.
    #[error("audit row {seq} is missing: rows were deleted or renumbered")]
    Missing {
        /// The first number that is not there.
        seq: i64,
    },
    /// A row does not fit its hash.
    #[error("audit row {seq} was altered, or its key is another")]
    Altered {
        /// The first row that does not fit.
        seq: i64,
    },
    /// The newest row is not the one the head names.
    #[error("the audit log ends at row {seq}, but its head says {head}: rows were cut off")]
    Head {
        /// The last row there is.
        seq: i64,
        /// The last row there should be.
        head: i64,
    },
}
