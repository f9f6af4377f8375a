//! What the calls take and answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::workflows::input::Asked;
use crate::workflows::types::{Run, Step};

/// What is to be done for whom. Which fields there are depends on `kind`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkflowRequest {
    /// `provision`, `suspend`, `resume` or `deprovision`.
    #[schema(example = "provision")]
    kind: String,
    /// Provision: what they are called.
    name: Option<String>,
    /// Provision: where they get mail.
    email: Option<String>,
    /// Provision: the number wished for; without it the lowest that is free.
    #[schema(value_type = Option<u32>, example = 1001)]
    extension: Option<i64>,
    /// Provision: the phone that gets their line, by its MAC address.
    mac: Option<String>,
    /// Provision: the maker and model of a phone that is new, such as `yealink/t46s`.
    model: Option<String>,
    /// Provision: which of its lines; without it the first that is free.
    line: Option<u8>,
    /// Provision: `next` for the next free address, or a certain one; none without it. The phone's,
    /// if there is one.
    #[schema(example = "next")]
    ipv4: Option<String>,
    /// Provision: the subnet it is taken from, by its id.
    ipv4_subnet: Option<String>,
    /// Provision: as `ipv4`.
    ipv6: Option<String>,
    /// Provision: as `ipv4_subnet`.
    ipv6_subnet: Option<String>,
    /// Provision: `next` for the next free prefix, or a certain one; none without it.
    prefix: Option<String>,
    /// Provision: the pool it is taken from, by its id.
    prefix_pool: Option<String>,
    /// Provision: how long, from 48 to 64; without it as its pool says.
    prefix_length: Option<u8>,
    /// Provision: `now` or `later`; without it a phone's addresses become active when it first
    /// registers, others at once.
    activate: Option<String>,
    /// The others: who, by their id or extension.
    user: Option<String>,
    /// Suspend, deprovision: why, for the assignments.
    reason: Option<String>,
    /// Deprovision: the addresses are kept, reserved, rather than free.
    keep_addresses: bool,
    /// Deprovision: their phone is deleted, if nobody else has a line on it.
    delete_phone: bool,
    /// Whether Asterisk is told. For those who may apply.
    apply: bool,
    /// Steps that may fail without the others being undone.
    #[schema(example = json!(["allocate_ipv6"]))]
    optional: Vec<String>,
    /// What becomes of it when a required step fails: `undo`, which it is without a word, or `wait`
    /// until somebody retries or cancels it.
    on_failure: Option<String>,
}

impl From<WorkflowRequest> for Asked {
    fn from(sent: WorkflowRequest) -> Self {
        let text = Option::unwrap_or_default;
        let number = |number: Option<u8>| number.map(|n| n.to_string()).unwrap_or_default();
        Self {
            kind: sent.kind,
            name: text(sent.name),
            email: text(sent.email),
            extension: sent.extension.map(|n| n.to_string()).unwrap_or_default(),
            mac: text(sent.mac),
            model: text(sent.model),
            line: number(sent.line),
            ipv4: text(sent.ipv4),
            ipv4_subnet: text(sent.ipv4_subnet),
            ipv6: text(sent.ipv6),
            ipv6_subnet: text(sent.ipv6_subnet),
            prefix: text(sent.prefix),
            prefix_pool: text(sent.prefix_pool),
            prefix_length: number(sent.prefix_length),
            activate: text(sent.activate),
            user: text(sent.user),
            reason: text(sent.reason),
            keep_addresses: sent.keep_addresses,
            delete_phone: sent.delete_phone,
            apply: sent.apply,
            optional: sent.optional,
            on_failure: text(sent.on_failure),
            ..Self::default()
        }
    }
}

/// A workflow and how it stands.
#[derive(Serialize, ToSchema)]
pub struct Workflow {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// `provision`, `suspend`, `resume` or `deprovision`.
    kind: &'static str,
    /// Whom it is about.
    label: String,
    /// Their id, once they have one.
    user_id: Option<String>,
    /// `pending`, `running`, `completed`, `partially_completed`, `failed` (somebody must retry or
    /// cancel it), `rolling_back`, `rolled_back`, `rollback_failed` (retry it) or `timeout` (undone).
    status: &'static str,
    /// Why it failed or is undone.
    reason: String,
    /// Who began it.
    created_by: String,
    /// Who had it undone.
    cancelled_by: String,
    /// When it was begun: RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it changed last.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it has taken too long.
    #[schema(format = DateTime)]
    deadline: String,
    /// When it ended.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Whether it may be retried.
    may_retry: bool,
    /// Whether it may be cancelled.
    may_cancel: bool,
    /// Its steps, in their order; none in a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<WorkflowStep>,
}

/// One step of a workflow.
#[derive(Serialize, ToSchema)]
pub struct WorkflowStep {
    /// Which.
    name: &'static str,
    /// Whether the workflow fails when it does.
    required: bool,
    /// `pending`, `running`, `done`, `failed`, `undone` or `undo_failed`.
    status: &'static str,
    /// How often it was tried.
    attempts: i64,
    /// How often its undoing was tried.
    undo_attempts: i64,
    /// What went wrong last.
    error: String,
    /// Seconds it may take.
    limit: i64,
    /// What its undoing does.
    undo: &'static str,
    /// What it did: the user's id and extension, the address, the phone's line.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// When it was last begun.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
}

/// A page of workflows.
#[derive(Serialize, ToSchema)]
pub struct WorkflowList {
    /// Those of this page.
    pub workflows: Vec<Workflow>,
    /// How many there are in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Workflows a page.
    pub size: i64,
}

impl Workflow {
    pub(super) fn of(run: &Run, steps: &[Step]) -> Self {
        Self {
            id: run.id.to_string(),
            kind: run.kind.as_str(),
            label: run.label.clone(),
            user_id: run.user().map(|user| user.to_string()),
            status: run.status.as_str(),
            reason: run.reason.clone(),
            created_by: run.created_by.clone(),
            cancelled_by: run.cancelled_by.clone(),
            created_at: run.created_at.to_string(),
            updated_at: run.updated_at.to_string(),
            deadline: run.deadline.to_string(),
            finished_at: run.finished_at.map(|at| at.to_string()),
            may_retry: run.status.may_retry(),
            may_cancel: run.status.may_cancel(),
            steps: steps.iter().map(WorkflowStep::from).collect(),
        }
    }
}

impl From<&Step> for WorkflowStep {
    fn from(step: &Step) -> Self {
        Self {
            name: step.name.as_str(),
            required: step.required,
            status: step.status.as_str(),
            attempts: step.attempts,
            undo_attempts: step.undo_attempts,
            error: step.error.clone(),
            limit: step.name.limit(),
            undo: step.name.undo_label(),
            result: step.saved(),
            started_at: step.started_at.map(|at| at.to_string()),
            finished_at: step.finished_at.map(|at| at.to_string()),
        }
    }
}
