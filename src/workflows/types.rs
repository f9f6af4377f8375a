//! What a run of a workflow and its steps are.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use crate::id::{TenantId, UserId, WorkflowId};
use crate::time::Timestamp;

/// An enum each variant of which has one word, stored and shown.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $bad:ident: $sentence:literal {
        $($(#[$about:meta])* $variant:ident = $word:literal,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$about])* $variant,)+ }

        #[doc = concat!("Not one of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($sentence)]
        pub struct $bad;

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = $bad;

            fn from_str(text: &str) -> Result<Self, $bad> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or($bad)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $bad;

            fn try_from(text: String) -> Result<Self, $bad> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

words! {
    /// What is done for a person.
    Kind, BadKind: "use provision, suspend, resume or deprovision" {
        /// They get a number, and what else is wished.
        Provision = "provision",
        /// They may not use what they have for now.
        Suspend = "suspend",
        /// They may use it again.
        Resume = "resume",
        /// They leave.
        Deprovision = "deprovision",
    }

    /// How a run stands.
    Status, BadStatus: "use pending, running, completed, partially_completed, failed, rolling_back, rolled_back, rollback_failed or timeout" {
        /// Nobody has begun it.
        Pending = "pending",
        /// It is under way.
        Running = "running",
        /// Everything is done.
        Completed = "completed",
        /// Everything is done but what may fail.
        PartiallyCompleted = "partially_completed",
        /// A step failed, and somebody must decide: retry or cancel.
        Failed = "failed",
        /// What was done is being undone.
        RollingBack = "rolling_back",
        /// What was done is undone.
        RolledBack = "rolled_back",
        /// Something could not be undone; to be tried again.
        RollbackFailed = "rollback_failed",
        /// It took too long; what was done is undone.
        Timeout = "timeout",
    }

    /// How a step stands.
    StepStatus, BadStepStatus: "this is not the state of a step" {
        /// It has not begun, or is to be tried again.
        Pending = "pending",
        /// It is being done.
        Running = "running",
        /// It is done.
        Done = "done",
        /// It could not be done, and nothing of it is.
        Failed = "failed",
        /// It was done, and is undone.
        Undone = "undone",
        /// It was done, and could not be undone.
        UndoFailed = "undo_failed",
    }

    /// A step. All but [`StepName::Apply`] are one transaction each.
    StepName, BadStepName: "there is no such step" {
        /// The person and their extension.
        CreateUser = "create_user",
        /// A phone, known already or new, has a line of theirs.
        ConnectPhone = "connect_phone",
        /// An IPv4 address.
        AllocateIpv4 = "allocate_ipv4",
        /// An IPv6 address.
        AllocateIpv6 = "allocate_ipv6",
        /// A delegated IPv6 prefix.
        AllocatePrefix = "allocate_prefix",
        /// The addresses are in use.
        Activate = "activate",
        /// The phone's files can be made.
        RenderBootFile = "render_boot_file",
        /// Their phone may not register.
        DisableUser = "disable_user",
        /// Their phone may register.
        EnableUser = "enable_user",
        /// What they use is suspended.
        SuspendAddresses = "suspend_addresses",
        /// What is suspended is in use again.
        ReactivateAddresses = "reactivate_addresses",
        /// Their phone loses their line.
        DisconnectPhone = "disconnect_phone",
        /// Asterisk runs what the database says.
        Apply = "apply",
        /// Their addresses end, and so do they. The only step without a way back, so the last.
        RevokeAndDelete = "revoke_and_delete",
    }
}

impl Kind {
    /// What a heading says of `who`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Provision => "Provision",
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::Deprovision => "Deprovision",
        }
    }
}

impl Status {
    /// In words.
    pub fn label(self) -> String {
        self.as_str().replace('_', " ")
    }

    /// Whether something is still to be done by itself.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::RollingBack)
    }

    /// Whether it still holds its subject.
    pub fn is_live(self) -> bool {
        self.is_under_way() || self == Self::Failed
    }

    /// Whether somebody may have it go on.
    pub fn may_retry(self) -> bool {
        !self.is_under_way() && self != Self::Completed
    }

    /// Whether somebody may have it undone.
    pub fn may_cancel(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Failed)
    }

    /// The class of its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Completed => "on",
            Self::Pending | Self::Running | Self::RollingBack | Self::PartiallyCompleted => "half",
            Self::RolledBack => "off",
            Self::Failed | Self::RollbackFailed | Self::Timeout => "bad",
        }
    }
}

impl StepStatus {
    /// In words.
    pub fn label(self) -> String {
        self.as_str().replace('_', " ")
    }

    /// The class of its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Done => "on",
            Self::Running => "half",
            Self::Pending | Self::Undone => "off",
            Self::Failed | Self::UndoFailed => "bad",
        }
    }
}

impl StepName {
    /// What it does, for a person.
    pub fn label(self) -> &'static str {
        match self {
            Self::CreateUser => "Add the user with an extension",
            Self::ConnectPhone => "Give a phone their line",
            Self::AllocateIpv4 => "Allocate an IPv4 address",
            Self::AllocateIpv6 => "Allocate an IPv6 address",
            Self::AllocatePrefix => "Allocate an IPv6 prefix",
            Self::Activate => "Activate the addresses",
            Self::RenderBootFile => "Make the phone's files",
            Self::DisableUser => "Disable the user",
            Self::EnableUser => "Enable the user",
            Self::SuspendAddresses => "Suspend the addresses",
            Self::ReactivateAddresses => "Reactivate the addresses",
            Self::DisconnectPhone => "Take the line from the phone",
            Self::Apply => "Apply to Asterisk",
            Self::RevokeAndDelete => "Revoke the addresses and delete the user",
        }
    }

    /// What undoing it does, for a person.
    pub fn undo_label(self) -> &'static str {
        match self {
            Self::CreateUser => "the user is deleted, the number is free",
            Self::ConnectPhone => "the phone loses the line; one that was added is deleted",
            Self::AllocateIpv4 | Self::AllocateIpv6 | Self::AllocatePrefix => "it is revoked",
            Self::Activate => "ends with the allocation",
            Self::RenderBootFile => "nothing was changed",
            Self::DisableUser => "the user is enabled",
            Self::EnableUser => "the user is disabled",
            Self::SuspendAddresses => "what was suspended is reactivated",
            Self::ReactivateAddresses => "what was reactivated is suspended",
            Self::DisconnectPhone => "the phone has the line again",
            Self::Apply => "Asterisk is told again, when the rest is undone",
            Self::RevokeAndDelete => "cannot be undone",
        }
    }

    /// Seconds it may take; what takes longer is not done.
    pub fn limit(self) -> i64 {
        match self {
            Self::Activate | Self::SuspendAddresses | Self::ReactivateAddresses => 15,
            Self::RenderBootFile => 45,
            Self::Apply | Self::RevokeAndDelete => 60,
            _ => 30,
        }
    }

    /// Whether a run may go on without it. What the others stand on may not be missing.
    pub fn may_be_optional(self) -> bool {
        !matches!(
            self,
            Self::CreateUser | Self::DisableUser | Self::EnableUser | Self::RevokeAndDelete
        )
    }

    /// Whether it looks at what others did, so that it is done anew when one of them is retried.
    pub fn follows(self) -> bool {
        matches!(self, Self::Activate | Self::RenderBootFile | Self::Apply)
    }
}

/// A run as stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Run {
    #[sqlx(try_from = "String")]
    pub id: WorkflowId,
    #[sqlx(rename = "tenant_id", try_from = "String")]
    pub tenant: TenantId,
    #[sqlx(try_from = "String")]
    pub kind: Kind,
    pub subject: String,
    pub label: String,
    pub input: String,
    #[sqlx(try_from = "String")]
    pub status: Status,
    pub reason: String,
    pub timed_out: bool,
    pub created_by: String,
    pub cancelled_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub deadline: Timestamp,
    pub next_at: Timestamp,
}

impl Run {
    /// The user it is about, once there is one. They may be gone by now.
    pub fn user(&self) -> Option<UserId> {
        self.subject.strip_prefix("user/")?.parse().ok()
    }
}

/// A step as stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Step {
    pub position: i64,
    #[sqlx(try_from = "String")]
    pub name: StepName,
    pub required: bool,
    #[sqlx(try_from = "String")]
    pub status: StepStatus,
    pub attempts: i64,
    pub undo_attempts: i64,
    pub error: String,
    pub saved: String,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Step {
    /// What it noted when it was done.
    pub fn saved<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.saved).ok()
    }

    /// Whether there is something to undo: it is done, or perhaps is. An Apply that was begun may
    /// have come into force without anybody having seen it.
    pub fn is_to_undo(&self) -> bool {
        match self.status {
            StepStatus::Done | StepStatus::UndoFailed => true,
            StepStatus::Undone => false,
            _ => self.name == StepName::Apply && !self.saved.is_empty(),
        }
    }
}

/// Which runs a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only of this kind.
    pub kind: Option<Kind>,
}
