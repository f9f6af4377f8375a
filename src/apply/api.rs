//! `/api/v1/apply`: the button for scripts.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::{Module, Reason, Request, Run, Source, State};
use super::{Applier, ApplyError};
use crate::api::{self, Answer, Json, Paging, Problem};
use crate::asterisk::objects::Change;
use crate::audit::Record;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::text::BadLine;
use crate::web::list;

/// Every call on applies.
pub fn routes() -> Vec<Route> {
    let read = Access::HostApi(Right::Read);
    vec![
        Route::post("/api/v1/apply", Access::HostApi(Right::Apply), apply),
        Route::get("/api/v1/apply/preview", read, preview),
        Route::get("/api/v1/apply/history", read, history),
    ]
}

/// What to apply and why; an empty body applies the database.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct ApplyRequest {
    /// Why, for the history: one line.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// An earlier apply whose release is to be put back into force.
    release: Option<i64>,
    /// Go on although files in force were changed by hand.
    overwrite: bool,
    /// Accepted for older scripts and ignored: who applies is whose token it is.
    #[schema(deprecated)]
    triggered_by: Option<String>,
}

/// What came of one reload, as older scripts know it.
#[derive(Serialize, ToSchema)]
struct ReloadResult {
    /// 0 when the module was reloaded or did not have to be.
    exit_code: i32,
    /// What Asterisk said.
    stdout: String,
}

/// Both reloads, as older scripts know them.
#[derive(Serialize, ToSchema)]
struct ReloadResults {
    /// Phones.
    pjsip_reload: ReloadResult,
    /// Dialplan.
    dialplan_reload: ReloadResult,
}

/// How an apply ended.
#[derive(Serialize, ToSchema)]
struct ApplyResult {
    /// A sentence.
    message: String,
    /// `verified`, `unchanged`, `refused`, `unreachable`, `rolled back`, `rollback failed`.
    outcome: String,
    /// Whether Asterisk was seen to run what was meant.
    verified: bool,
    /// The number of this apply.
    audit_log_id: i64,
    /// The release in force now.
    release: Option<i64>,
    /// The files of the release.
    files_written: Vec<String>,
    /// Both reloads.
    reload_results: ReloadResults,
    /// What came of each module.
    modules: Vec<Module>,
    /// What else was found: Asterisk's log lines, findings of the check, differences.
    findings: Vec<String>,
    /// Users Asterisk was told of.
    users_applied: i64,
    /// Extensions Asterisk was told of.
    extensions_generated: i64,
    /// From the call to the proof.
    duration_ms: i64,
}

impl From<Run> for ApplyResult {
    fn from(run: Run) -> Self {
        let modules = run.modules();
        let result = |name: &str| {
            let module = modules.iter().find(|module| module.name == name);
            ReloadResult {
                exit_code: i32::from(!run.state.is_good()),
                stdout: module
                    .map_or_else(|| "not reloaded".to_owned(), |module| module.result.clone()),
            }
        };
        let written = modules.iter().filter(|_| run.state == State::Verified);
        Self {
            reload_results: ReloadResults {
                pjsip_reload: result("res_pjsip.so"),
                dialplan_reload: result("pbx_config.so"),
            },
            files_written: written
                .map(|module| format!("patchbay/current/{}", module.file))
                .collect(),
            outcome: run.state.as_str().to_owned(),
            verified: run.state.is_good(),
            audit_log_id: run.id,
            release: run.release,
            findings: run.findings(),
            users_applied: run.users.unwrap_or(0),
            extensions_generated: run.users.unwrap_or(0),
            duration_ms: run.duration_ms.unwrap_or(0),
            message: run.detail,
            modules,
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Fault(error) => error.into(),
            ApplyError::Busy(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            ApplyError::NoSuchRelease => {
                Self::new(StatusCode::NOT_FOUND, error.to_string()).field("release", &error)
            }
            ApplyError::NotInstalled | ApplyError::Directory { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Why Asterisk does not run what was asked.
#[derive(Serialize, ToSchema)]
struct ApplyProblem {
    #[serde(flatten)]
    problem: Problem,
    /// How the apply ended; not there when none began.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ApplyResult>,
}

/// Apply to Asterisk
///
/// Answers when it is over. 200 only if Asterisk was seen to run what was meant. Everything else is
/// a problem document; if an apply began, its `result` says how it ended. 409: something stands in
/// the way, which the result's `findings` name, or somebody else is applying (then there is no
/// result, and `detail` says who). 502: Asterisk did not take the release; the result says what it
/// runs now. 503: Asterisk did not answer (with a result), or it does not know Patchbay, or the
/// database cannot be reached; nothing was changed.
#[utoipa::path(post, path = "/api/v1/apply", operation_id = "apply", tag = "Apply", request_body = ApplyRequest,
    responses((status = 200, body = ApplyResult), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = ApplyProblem, content_type = "application/problem+json"), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 502, body = ApplyProblem, content_type = "application/problem+json"),
        (status = 503, body = ApplyProblem, content_type = "application/problem+json")))]
async fn apply(by: Operator, applier: web::Data<Applier>, body: Json<ApplyRequest>) -> Answer {
    let ApplyRequest { reason, release, overwrite, triggered_by: _ } = body.0;
    let source = release.map_or(Source::Database, Source::Release);
    let reason: Reason = reason.unwrap_or_default().parse().map_err(|error: BadLine| {
        Problem::invalid([("reason".to_owned(), error.to_string())].into())
    })?;
    let request = Request { source, reason, overwrite };
    let run = applier.apply(by.actor(), &request).await?;
    let status = match run.state {
        State::Verified | State::Unchanged => {
            return api::json(StatusCode::OK, &ApplyResult::from(run));
        }
        State::Refused => StatusCode::CONFLICT,
        State::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let problem = Problem::new(status, run.detail.clone());
    let body = serde_json::to_vec(&ApplyProblem { problem, result: Some(run.into()) })
        .map_err(|error| Problem::fault(&error))?;
    Ok(HttpResponse::build(status).content_type("application/problem+json").body(body))
}

/// One option of an object that differs.
#[derive(Serialize, ToSchema)]
struct FieldDifference {
    /// The option.
    name: String,
    /// What it was.
    old: Option<String>,
    /// What it would be.
    new: Option<String>,
}

/// One object of Asterisk's that would change.
#[derive(Serialize, ToSchema)]
struct ObjectDifference {
    /// `endpoint`, `auth` or `aor`.
    kind: String,
    /// Its name.
    id: String,
    /// `added`, `changed` or `removed`.
    change: String,
    /// What differs of a changed object; secrets are hidden.
    fields: Vec<FieldDifference>,
}

/// How one file would change.
#[derive(Serialize, ToSchema)]
struct FileDifference {
    /// The file.
    name: String,
    /// Lines that would be new.
    added: usize,
    /// Lines that would be gone.
    removed: usize,
    /// A unified diff; secrets are hidden.
    diff: String,
}

/// A change that waits to be applied.
#[derive(Serialize, ToSchema)]
struct PendingChange {
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
    /// Who made it.
    actor: String,
    /// What was done, as in the audit log: `user.created`.
    action: String,
    /// To whom or what.
    subject: String,
}

impl From<Record> for PendingChange {
    fn from(record: Record) -> Self {
        let Record { at, actor, action, subject, .. } = record;
        Self { at: at.to_string(), actor, action, subject }
    }
}

/// What an apply would do.
#[derive(Serialize, ToSchema)]
struct PreviewResult {
    /// The release in force.
    release: Option<i64>,
    /// How many changes were made since the last apply.
    pending: i64,
    /// The first 200 of them, oldest first.
    changes: Vec<PendingChange>,
    /// Modules that would be reloaded.
    modules: Vec<String>,
    /// Objects that would change.
    objects: Vec<ObjectDifference>,
    /// Files that would change.
    files: Vec<FileDifference>,
    /// What stands in the way, or should be known.
    findings: Vec<String>,
    /// Files in force that were changed by hand.
    changed_by_hand: Vec<String>,
    /// Whether something stands in the way.
    blocked: bool,
}

/// See what an apply would do
#[utoipa::path(get, path = "/api/v1/apply/preview", operation_id = "previewApply", tag = "Apply",
    responses((status = 200, body = PreviewResult), (status = 409, body = Problem)))]
async fn preview(_by: Operator, applier: web::Data<Applier>) -> Answer {
    let mut preview = applier.preview(Source::Database).await?;
    let pending =
        std::mem::take(&mut preview.pending).into_iter().map(PendingChange::from).collect();
    let objects = preview.objects.iter().map(|object| {
        let (change, fields) = match &object.change {
            Change::Added => ("added", &[][..]),
            Change::Removed => ("removed", &[][..]),
            Change::Changed(fields) => ("changed", &fields[..]),
        };
        let fields = fields.iter().map(|field| FieldDifference {
            name: field.name.clone(),
            old: field.old.clone(),
            new: field.new.clone(),
        });
        ObjectDifference {
            kind: object.kind.as_str().to_owned(),
            id: object.id.clone(),
            change: change.to_owned(),
            fields: fields.collect(),
        }
    });
    let files = preview.files.iter().map(|(name, diff)| FileDifference {
        name: (*name).to_owned(),
        added: diff.added,
        removed: diff.removed,
        diff: diff.to_text(name),
    });
    let answer = PreviewResult {
        release: preview.release,
        pending: preview.pending_total,
        changes: pending,
        modules: preview.modules.iter().map(ToString::to_string).collect(),
        objects: objects.collect(),
        files: files.collect(),
        findings: preview.findings.iter().map(ToString::to_string).collect(),
        blocked: preview.is_blocked(),
        changed_by_hand: preview.edited,
    };
    api::json(StatusCode::OK, &answer)
}

/// A past apply.
#[derive(Serialize, ToSchema)]
struct PastApply {
    /// Its number.
    id: i64,
    /// When it began: RFC 3339, UTC.
    #[schema(format = DateTime)]
    started_at: String,
    /// Who.
    actor: String,
    /// Why.
    reason: String,
    /// How it ended.
    #[serde(flatten)]
    result: ApplyResult,
}

/// A page of past applies, newest first.
#[derive(Serialize, ToSchema)]
struct History {
    /// The applies of this page.
    runs: Vec<PastApply>,
    /// How many there are in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Applies a page.
    size: i64,
}

/// List past applies
#[utoipa::path(get, path = "/api/v1/apply/history", operation_id = "listApplies", tag = "Apply", params(Paging),
    responses((status = 200, body = History), (status = 400, body = Problem)))]
async fn history(_by: Operator, applier: web::Data<Applier>, params: web::Query<Paging>) -> Answer {
    let at = list::stretch(&params.page, list::size(&params.size));
    let (runs, total) = applier.history(at).await?;
    let runs = runs.into_iter().map(|run| PastApply {
        id: run.id,
        started_at: run.started_at.to_string(),
        actor: run.actor.clone(),
        reason: run.reason.clone(),
        result: run.into(),
    });
    api::json(
        StatusCode::OK,
        &History { runs: runs.collect(), total, page: at.offset / at.limit + 1, size: at.limit },
    )
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(apply, preview, history))]
pub struct Paths;
