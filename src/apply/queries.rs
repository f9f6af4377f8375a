//! All SQL on applies.

use super::types::{Run, State};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::sql;
use crate::time::Timestamp;

/// The run that holds the lock, if any, and until when its word counts.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Head {
    pub last_run: i64,
    pub running: Option<i64>,
    pub lease_until: Timestamp,
}

/// The head's row, locked until the transaction ends.
pub(super) async fn lock_head(tx: &mut Tx) -> Result<Head> {
    tx.query(sql!(
        "UPDATE apply_head SET last_run = last_run WHERE id = 1
             RETURNING last_run, running, lease_until"
    ))
    .one()
    .await
}

pub(super) async fn head(tx: &mut Tx) -> Result<Head> {
    tx.query(sql!("SELECT last_run, running, lease_until FROM apply_head WHERE id = 1")).one().await
}

pub(super) async fn set_head(
    tx: &mut Tx,
    last_run: i64,
    running: Option<i64>,
    lease: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE apply_head SET last_run = $1, running = $2, lease_until = $3 WHERE id = 1"
    ))
    .bind(last_run)
    .bind(running)
    .bind(lease)
    .run()
    .await
    .map(drop)
}

/// Lets go of the lock; false when it is no longer the run's own.
pub(super) async fn let_go(tx: &mut Tx, run: i64) -> Result<bool> {
    let done = tx.query(sql!(
        "UPDATE apply_head SET running = NULL, lease_until = 0 WHERE id = 1 AND running = $1"
    ));
    Ok(done.bind(run).run().await? == 1)
}

/// Makes the run's word count longer; false when the lock is no longer its own.
pub(super) async fn renew(tx: &mut Tx, run: i64, lease: Timestamp) -> Result<bool> {
    let renewed =
        tx.query(sql!("UPDATE apply_head SET lease_until = $2 WHERE id = 1 AND running = $1"));
    Ok(renewed.bind(run).bind(lease).run().await? == 1)
}

/// A run that begins.
pub(super) struct Begin<'a> {
    pub id: i64,
    pub at: Timestamp,
    pub actor: &'a str,
    pub host: &'a str,
    pub reason: &'a str,
    pub previous: Option<i64>,
}

pub(super) async fn begin(tx: &mut Tx, run: &Begin<'_>) -> Result<()> {
    tx.query(sql!("INSERT INTO apply_run (id, started_at, actor, host, reason, audit_seq, state, step, release, previous,
                duration_ms, users, detail, modules, findings)
             VALUES ($1, $2, $3, $4, $5, 0, 'running', '', NULL, $6, NULL, NULL, '', '[]', '[]')"))
        .bind(run.id)
        .bind(run.at)
        .bind(run.actor.to_owned())
        .bind(run.host.to_owned())
        .bind(run.reason.to_owned())
        .bind(run.previous)
        .run()
        .await
        .map(drop)
}

/// How a run ended.
pub(super) struct End<'a> {
    pub state: State,
    pub audit_seq: i64,
    pub release: Option<i64>,
    pub duration_ms: Option<i64>,
    pub users: Option<i64>,
    pub detail: &'a str,
    pub modules: String,
    pub findings: String,
    pub same_as: Option<i64>,
}

pub(super) async fn end(tx: &mut Tx, run: i64, end: &End<'_>) -> Result<()> {
    tx.query(sql!("UPDATE apply_run SET state = $2, audit_seq = $3, release = $4, duration_ms = $5, users = $6,
                detail = $7, modules = $8, findings = $9, same_as = $10
             WHERE id = $1"))
        .bind(run)
        .bind(end.state.as_str())
        .bind(end.audit_seq)
        .bind(end.release)
        .bind(end.duration_ms)
        .bind(end.users)
        .bind(end.detail.to_owned())
        .bind(end.modules.clone())
        .bind(end.findings.clone())
        .bind(end.same_as)
        .run()
        .await
        .map(drop)
}

pub(super) async fn get(tx: &mut Tx, run: i64) -> Result<Option<Run>> {
    tx.query(sql!("SELECT id, started_at, actor, host, reason, audit_seq, state, release, previous, duration_ms, users,
                detail, modules, findings
             FROM apply_run WHERE id = $1"))
        .bind(run)
        .optional()
        .await
}

pub(super) async fn list(tx: &mut Tx, page: Page) -> Result<Vec<Run>> {
    tx.query(sql!("SELECT id, started_at, actor, host, reason, audit_seq, state, release, previous, duration_ms, users,
                detail, modules, findings
             FROM apply_run ORDER BY id DESC LIMIT $1 OFFSET $2"))
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await
}

pub(super) async fn count(tx: &mut Tx) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM apply_run")).scalar().await
}

/// The newest run that put a release into force.
pub(super) async fn last_good(tx: &mut Tx) -> Result<Option<Run>> {
    tx.query(sql!("SELECT id, started_at, actor, host, reason, audit_seq, state, release, previous, duration_ms, users,
                detail, modules, findings
             FROM apply_run WHERE state IN ('verified', 'unchanged') ORDER BY id DESC LIMIT 1"))
        .optional()
        .await
}

pub(super) async fn insert_file(
    tx: &mut Tx,
    run: i64,
    name: &str,
    sha256: &str,
    size: i64,
    content: Vec<u8>,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO apply_file (run_id, name, sha256, size, content) VALUES ($1, $2, $3, $4, $5)"
    ))
    .bind(run)
    .bind(name.to_owned())
    .bind(sha256.to_owned())
    .bind(size)
    .bind(content)
    .run()
    .await
    .map(drop)
}

/// The files a run was about, sealed as they are kept: by which run, name and content.
pub(super) async fn files(tx: &mut Tx, run: i64) -> Result<Vec<(i64, String, Vec<u8>)>> {
    tx.query(sql!("SELECT f.run_id, f.name, f.content FROM apply_run r
             JOIN apply_file f ON f.run_id = coalesce(r.same_as, r.id) WHERE r.id = $1 ORDER BY f.name DESC"))
        .bind(run)
        .all()
        .await
}

/// The names of the files a run was about that are kept.
pub(super) async fn file_names(tx: &mut Tx, run: i64) -> Result<Vec<String>> {
    let names: Vec<(String,)> = tx
        .query(sql!("SELECT f.name FROM apply_run r
             JOIN apply_file f ON f.run_id = coalesce(r.same_as, r.id) WHERE r.id = $1 ORDER BY f.name DESC"))
        .bind(run)
        .all()
        .await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

/// What is kept of `release`, and of the last run of which anything is: by which, name and hash.
pub(super) async fn hashes(
    tx: &mut Tx,
    release: Option<i64>,
) -> Result<Vec<(i64, String, String)>> {
    tx.query(sql!(
        "SELECT run_id, name, sha256 FROM apply_file
             WHERE run_id = $1 OR run_id = (SELECT max(run_id) FROM apply_file)"
    ))
    .bind(release)
    .all()
    .await
}
