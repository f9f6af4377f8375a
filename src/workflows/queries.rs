//! All SQL on workflows.

use super::types::{Filter, Kind, Run, Status, Step};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::{TenantId, WorkflowId};
use crate::sql;
use crate::time::Timestamp;

/// A run and its steps are new; false when another about the subject is not over.
pub(super) async fn insert(tx: &mut Tx, run: &Run) -> Result<bool> {
    let inserted = tx
        .query(sql!(
            "INSERT INTO workflow_run (id, tenant_id, kind, subject, label, input, status, live, reason, timed_out,
                 created_by, cancelled_by, created_at, updated_at, deadline, next_at, runner, lease_until)
             VALUES ($1, $2, $3, $4, $5, $6, 'pending', TRUE, '', FALSE, $7, '', $8, $8, $9, $8, '', 0)
             ON CONFLICT (tenant_id, subject) WHERE live DO NOTHING"
        ))
        .bind(run.id.to_string())
        .bind(run.tenant.to_string())
        .bind(run.kind.as_str().to_owned())
        .bind(run.subject.clone())
        .bind(run.label.clone())
        .bind(run.input.clone())
        .bind(run.created_by.clone())
        .bind(run.created_at)
        .bind(run.deadline)
        .run()
        .await?;
    Ok(inserted > 0)
}

pub(super) async fn insert_step(
    tx: &mut Tx,
    id: WorkflowId,
    position: i64,
    name: &str,
    required: bool,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO workflow_step (run_id, position, name, required, status, attempts, undo_attempts, error, saved)
         VALUES ($1, $2, $3, $4, 'pending', 0, 0, '', '')"
    ))
    .bind(id.to_string())
    .bind(position)
    .bind(name.to_owned())
    .bind(required)
    .run()
    .await
    .map(drop)
}

/// A run, whoever's it is. For whoever does it.
pub(super) async fn find(tx: &mut Tx, id: WorkflowId) -> Result<Option<Run>> {
    tx.query(sql!(
        "SELECT id, tenant_id, kind, subject, label, input, status, reason, timed_out, created_by, cancelled_by,
             created_at, updated_at, finished_at, deadline, next_at
         FROM workflow_run WHERE id = $1"
    ))
    .bind(id.to_string())
    .optional()
    .await
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: WorkflowId) -> Result<Option<Run>> {
    tx.query(sql!(
        "SELECT id, tenant_id, kind, subject, label, input, status, reason, timed_out, created_by, cancelled_by,
             created_at, updated_at, finished_at, deadline, next_at
         FROM workflow_run WHERE tenant_id = $1 AND id = $2"
    ))
    .bind(tenant.to_string())
    .bind(id.to_string())
    .optional()
    .await
}

/// The run about a subject that is not over.
pub(super) async fn live(tx: &mut Tx, tenant: TenantId, subject: &str) -> Result<Option<Run>> {
    tx.query(sql!(
        "SELECT id, tenant_id, kind, subject, label, input, status, reason, timed_out, created_by, cancelled_by,
             created_at, updated_at, finished_at, deadline, next_at
         FROM workflow_run WHERE tenant_id = $1 AND subject = $2 AND live"
    ))
    .bind(tenant.to_string())
    .bind(subject.to_owned())
    .optional()
    .await
}

pub(super) async fn steps(tx: &mut Tx, id: WorkflowId) -> Result<Vec<Step>> {
    tx.query(sql!(
        "SELECT position, name, required, status, attempts, undo_attempts, error, saved, started_at, finished_at
         FROM workflow_step WHERE run_id = $1 ORDER BY position"
    ))
    .bind(id.to_string())
    .all()
    .await
}

fn words(filter: Filter) -> (String, String) {
    let status = filter.status.map_or("", Status::as_str).to_owned();
    (status, filter.kind.map_or("", Kind::as_str).to_owned())
}

/// The newest first.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    page: Page,
) -> Result<Vec<Run>> {
    let (status, kind) = words(filter);
    tx.query(sql!(
        "SELECT id, tenant_id, kind, subject, label, input, status, reason, timed_out, created_by, cancelled_by,
             created_at, updated_at, finished_at, deadline, next_at
         FROM workflow_run WHERE tenant_id = $1 AND ($2 = '' OR status = $2) AND ($3 = '' OR kind = $3)
         ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5"
    ))
    .bind(tenant.to_string())
    .bind(status)
    .bind(kind)
    .bind(page.limit)
    .bind(page.offset)
    .all()
    .await
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, filter: Filter) -> Result<i64> {
    let (status, kind) = words(filter);
    tx.query(sql!(
        "SELECT count(*) FROM workflow_run
         WHERE tenant_id = $1 AND ($2 = '' OR status = $2) AND ($3 = '' OR kind = $3)"
    ))
    .bind(tenant.to_string())
    .bind(status)
    .bind(kind)
    .scalar()
    .await
}

/// Whether anything is due that nobody does.
pub(super) async fn any_due(tx: &mut Tx, runner: &str, now: Timestamp) -> Result<bool> {
    let due: Option<i64> = tx
        .query(sql!(
            "SELECT next_at FROM workflow_run
             WHERE status IN ('pending', 'running', 'rolling_back') AND next_at <= $2
               AND (lease_until <= $2 OR runner = $1) LIMIT 1"
        ))
        .bind(runner.to_owned())
        .bind(now)
        .optional_scalar()
        .await?;
    Ok(due.is_some())
}

/// Takes the run that has been due longest and that nobody does.
pub(super) async fn claim(
    tx: &mut Tx,
    runner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<WorkflowId>> {
    let id: Option<String> = tx
        .query(sql!(
            "UPDATE workflow_run SET runner = $1, lease_until = $3
             WHERE id = (SELECT id FROM workflow_run
                         WHERE status IN ('pending', 'running', 'rolling_back') AND next_at <= $2
                           AND (lease_until <= $2 OR runner = $1)
                         ORDER BY next_at, id LIMIT 1)
               AND (lease_until <= $2 OR runner = $1) RETURNING id"
        ))
        .bind(runner.to_owned())
        .bind(now)
        .bind(until)
        .optional_scalar()
        .await?;
    let parse = |id: String| id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)));
    id.map(parse).transpose()
}

/// Keeps a run for one more step; false when it is somebody else's by now, or stands otherwise.
pub(super) async fn hold(
    tx: &mut Tx,
    run: &Run,
    runner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let kept = tx
        .query(sql!(
            "UPDATE workflow_run SET lease_until = $4, updated_at = $3 WHERE id = $1 AND runner = $2 AND status = $5"
        ))
        .bind(run.id.to_string())
        .bind(runner.to_owned())
        .bind(now)
        .bind(until)
        .bind(run.status.as_str().to_owned())
        .run()
        .await?;
    Ok(kept > 0)
}

/// It stands otherwise from now on.
pub(super) async fn set_status(
    tx: &mut Tx,
    run: &Run,
    status: Status,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    let over = !status.is_live();
    tx.query(sql!(
        "UPDATE workflow_run SET status = $2, live = $3, reason = $4, timed_out = $5, updated_at = $6, next_at = $6,
             finished_at = $7 WHERE id = $1"
    ))
    .bind(run.id.to_string())
    .bind(status.as_str().to_owned())
    .bind(!over)
    .bind(reason.to_owned())
    .bind(run.timed_out)
    .bind(now)
    .bind(over.then_some(now))
    .run()
    .await
    .map(drop)
}

/// Nobody does it until `next`.
pub(super) async fn release(
    tx: &mut Tx,
    id: WorkflowId,
    runner: &str,
    next: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE workflow_run SET runner = '', lease_until = 0, next_at = $3 WHERE id = $1 AND runner = $2"
    ))
    .bind(id.to_string())
    .bind(runner.to_owned())
    .bind(next)
    .run()
    .await
    .map(drop)
}

/// Whom it is about is known by another name.
pub(super) async fn set_subject(tx: &mut Tx, id: WorkflowId, subject: &str) -> Result<()> {
    let renamed = tx.query(sql!("UPDATE workflow_run SET subject = $2 WHERE id = $1"));
    renamed.bind(id.to_string()).bind(subject.to_owned()).run().await.map(drop)
}

/// One is cancelled; false when it is too late.
pub(super) async fn cancel(
    tx: &mut Tx,
    tenant: TenantId,
    id: WorkflowId,
    by: &str,
    now: Timestamp,
) -> Result<bool> {
    let cancelled = tx
        .query(sql!(
            "UPDATE workflow_run SET status = 'rolling_back', live = TRUE, cancelled_by = $3, reason = 'cancelled',
                 updated_at = $4, next_at = $4
             WHERE tenant_id = $1 AND id = $2 AND status IN ('pending', 'running', 'failed')"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(by.to_owned())
        .bind(now)
        .run()
        .await?;
    Ok(cancelled > 0)
}

/// One goes on; false when it stands otherwise by now, or another about the subject is not over.
pub(super) async fn resume(
    tx: &mut Tx,
    run: &Run,
    status: Status,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<bool> {
    let resumed = tx
        .query(sql!(
            "UPDATE workflow_run SET status = $3, live = TRUE, reason = CASE WHEN $3 = 'rolling_back' THEN reason ELSE '' END,
                 timed_out = CASE WHEN $3 = 'rolling_back' THEN timed_out ELSE FALSE END,
                 cancelled_by = CASE WHEN $3 = 'rolling_back' THEN cancelled_by ELSE '' END,
                 updated_at = $4, next_at = $4, deadline = $5, finished_at = NULL, runner = '', lease_until = 0
             WHERE id = $1 AND status = $2 AND NOT EXISTS (
                 SELECT 1 FROM workflow_run o WHERE o.tenant_id = workflow_run.tenant_id
                     AND o.subject = workflow_run.subject AND o.live AND o.id <> workflow_run.id)"
        ))
        .bind(run.id.to_string())
        .bind(run.status.as_str().to_owned())
        .bind(status.as_str().to_owned())
        .bind(now)
        .bind(deadline)
        .run()
        .await?;
    Ok(resumed > 0)
}

/// Writes all that changes of a step.
pub(super) async fn write_step(tx: &mut Tx, id: WorkflowId, step: &Step) -> Result<()> {
    tx.query(sql!(
        "UPDATE workflow_step SET status = $3, attempts = $4, undo_attempts = $5, error = $6, saved = $7,
             started_at = $8, finished_at = $9
         WHERE run_id = $1 AND position = $2"
    ))
    .bind(id.to_string())
    .bind(step.position)
    .bind(step.status.as_str().to_owned())
    .bind(step.attempts)
    .bind(step.undo_attempts)
    .bind(step.error.clone())
    .bind(step.saved.clone())
    .bind(step.started_at)
    .bind(step.finished_at)
    .run()
    .await
    .map(drop)
}

/// A step as it is by now.
pub(super) async fn step(tx: &mut Tx, id: WorkflowId, position: i64) -> Result<Option<Step>> {
    tx.query(sql!(
        "SELECT position, name, required, status, attempts, undo_attempts, error, saved, started_at, finished_at
         FROM workflow_step WHERE run_id = $1 AND position = $2"
    ))
    .bind(id.to_string())
    .bind(position)
    .optional()
    .await
}

/// Forgets those that ended before.
pub(super) async fn forget(tx: &mut Tx, before: Timestamp) -> Result<()> {
    tx.query(sql!("DELETE FROM workflow_run WHERE finished_at < $1"))
        .bind(before)
        .run()
        .await
        .map(drop)
}
