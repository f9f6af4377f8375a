//! All SQL on jobs.

use super::{Row, Run};
use crate::db::{Result, Tx};
use crate::id::RunId;
use crate::sql;
use crate::time::Timestamp;

pub(super) async fn get(tx: &mut Tx, name: &str) -> Result<Option<Row>> {
    tx.query(sql!(
        "SELECT next_at, requested, runner, lease_until, result, result_at FROM job WHERE name = $1"
    ))
    .bind(name.to_owned())
    .optional()
    .await
}

pub(super) async fn ensure(tx: &mut Tx, name: &str, next: Timestamp) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO job (name, next_at, requested, runner, lease_until, result) VALUES ($1, $2, '', '', 0, '')
         ON CONFLICT (name) DO NOTHING"
    ))
    .bind(name.to_owned())
    .bind(next)
    .run()
    .await
    .map(drop)
}

pub(super) async fn request(tx: &mut Tx, name: &str, by: &str) -> Result<()> {
    let asked = tx.query(sql!("UPDATE job SET requested = $2 WHERE name = $1"));
    asked.bind(name.to_owned()).bind(by.to_owned()).run().await.map(drop)
}

/// Takes a job that is due and that nobody does: who asked for it, if anybody did. None when
/// somebody else was faster.
pub(super) async fn take(
    tx: &mut Tx,
    name: &str,
    runner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<String>> {
    let taken = tx
        .query(sql!(
            "UPDATE job SET runner = $2, lease_until = $4
             WHERE name = $1 AND lease_until <= $3 AND (next_at <= $3 OR requested <> '') RETURNING requested"
        ))
        .bind(name.to_owned())
        .bind(runner.to_owned())
        .bind(now)
        .bind(until)
        .optional_scalar()
        .await?;
    let asked = tx.query(sql!("UPDATE job SET requested = '' WHERE name = $1 AND runner = $2"));
    asked.bind(name.to_owned()).bind(runner.to_owned()).run().await?;
    Ok(taken)
}

/// Runs whose instance is gone.
pub(super) async fn bury(tx: &mut Tx, name: &str, now: Timestamp) -> Result<()> {
    tx.query(sql!(
        "UPDATE job_run SET state = 'interrupted', finished_at = $2 WHERE job = $1 AND state = 'running'"
    ))
    .bind(name.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
}

pub(super) async fn begin(
    tx: &mut Tx,
    id: RunId,
    name: &str,
    runner: &str,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO job_run (id, job, runner, actor, state, started_at, result)
         VALUES ($1, $2, $3, $4, 'running', $5, '')"
    ))
    .bind(id.to_string())
    .bind(name.to_owned())
    .bind(runner.to_owned())
    .bind(by.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
}

pub(super) async fn renew(tx: &mut Tx, name: &str, runner: &str, until: Timestamp) -> Result<()> {
    let renewed = tx.query(sql!("UPDATE job SET lease_until = $3 WHERE name = $1 AND runner = $2"));
    renewed.bind(name.to_owned()).bind(runner.to_owned()).bind(until).run().await.map(drop)
}

pub(super) async fn end(
    tx: &mut Tx,
    id: RunId,
    state: &str,
    result: &str,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE job_run SET state = $2, result = $3, finished_at = $4 WHERE id = $1 AND state = 'running'"
    ))
    .bind(id.to_string())
    .bind(state.to_owned())
    .bind(result.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
}

/// Lets a job go until it is due again, with what was found if something was.
pub(super) async fn release(
    tx: &mut Tx,
    name: &str,
    runner: &str,
    next: Timestamp,
    found: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE job SET runner = '', lease_until = 0, next_at = $3, result = coalesce($4, result),
             result_at = CASE WHEN $4 IS NULL THEN result_at ELSE $5 END
         WHERE name = $1 AND runner = $2"
    ))
    .bind(name.to_owned())
    .bind(runner.to_owned())
    .bind(next)
    .bind(found.map(str::to_owned))
    .bind(now)
    .run()
    .await
    .map(drop)
}

/// The last runs, the newest first.
pub(super) async fn runs(tx: &mut Tx, name: &str, limit: i64) -> Result<Vec<Run>> {
    tx.query(sql!(
        "SELECT actor, state, started_at, finished_at, result FROM job_run
         WHERE job = $1 ORDER BY started_at DESC, id DESC LIMIT $2"
    ))
    .bind(name.to_owned())
    .bind(limit)
    .all()
    .await
}

/// Forgets all but the last runs.
pub(super) async fn forget(tx: &mut Tx, name: &str, kept: i64) -> Result<()> {
    tx.query(sql!(
        "DELETE FROM job_run WHERE job = $1 AND state <> 'running' AND id NOT IN (
             SELECT id FROM job_run WHERE job = $1 ORDER BY started_at DESC, id DESC LIMIT $2)"
    ))
    .bind(name.to_owned())
    .bind(kept)
    .run()
    .await
    .map(drop)
}
