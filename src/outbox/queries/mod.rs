//! All SQL on calls to outside systems.

mod entries;
mod runs;

use std::collections::BTreeMap;

use super::order::unreadable;
use super::types::{Call, CallState, Filter, Subject, System};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::{CallId, TenantId};
use crate::sql;
use crate::time::Timestamp;

pub(super) use entries::{
    clear, entries, entry, forget, keep, let_go, lost_orders, newest_on_line, remote_id, reorder,
    set_entry, set_remote, set_row,
};
pub(super) use runs::{Claimed, Ended, bury, claim, due, gauge, put_back, record, stamp, tidy};

pub(super) async fn is_on(tx: &mut Tx, tenant: TenantId, system: System) -> Result<bool> {
    Ok(switched(tx, tenant, system).await? == Some(true))
}

/// Whether a system is on; none when it was never set up.
pub(super) async fn switched(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
) -> Result<Option<bool>> {
    tx.along(sql!("SELECT enabled FROM outside_system WHERE tenant_id = $1 AND system = $2"))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .optional_scalar::<bool>()
        .await
}

/// A call to be written.
pub(super) struct NewCall<'a> {
    pub id: CallId,
    pub system: System,
    pub line: &'a str,
    pub subject: &'a Subject,
    pub label: &'a str,
    pub payload: &'a str,
    pub number: i64,
}

/// False when the tenant has not switched the system on.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewCall<'_>,
    now: Timestamp,
) -> Result<bool> {
    let written = tx.query(sql!(
        "INSERT INTO outside_call (id, tenant_id, system, line, nth, subject, label, payload, state, next_at,
                                   identifier, stamped_at, created_at)
         SELECT $1, tenant_id, system, $4,
                (SELECT COALESCE(max(nth), 0) + 1 FROM outside_call
                 WHERE tenant_id = $2 AND system = $3 AND line = $4),
                $5, $6, $7, 'waiting', CAST($9 AS BIGINT), CAST($8 AS BIGINT), CAST($9 AS BIGINT), CAST($9 AS BIGINT)
         FROM outside_system WHERE tenant_id = $2 AND system = $3 AND enabled"
    ))
    .bind(new.id.to_string())
    .bind(tenant.to_string())
    .bind(new.system.as_str())
    .bind(new.line.to_owned())
    .bind(new.subject.to_string())
    .bind(new.label.to_owned())
    .bind(new.payload.to_owned())
    .bind(new.number)
    .bind(now)
    .run()
    .await?;
    Ok(written == 1)
}

/// Ends what waits on a line, or is dead there: a newer order took its place. What it was to do.
pub(super) async fn replace(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    line: &str,
    now: Timestamp,
) -> Result<Vec<String>> {
    let replaced: Vec<(String,)> = tx
        .query(sql!(
            "UPDATE outside_call SET state = 'replaced', ended_at = $4, answer = 'a newer call took its place'
             WHERE tenant_id = $1 AND system = $2 AND line = $3 AND state IN ('waiting', 'dead')
             RETURNING payload"
        ))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(line.to_owned())
        .bind(now)
        .all()
        .await?;
    Ok(replaced.into_iter().map(|(payload,)| payload).collect())
}

/// The newest. The inner order is that of the index of subjects: asked for the outer one at once,
/// `SQLite` walks over all calls of the tenant instead.
pub(super) async fn of(tx: &mut Tx, tenant: TenantId, subject: &Subject) -> Result<Vec<Call>> {
    tx.query(sql!(
        "SELECT id, system, subject, label, state, attempts, error, answer, next_at, created_at, ended_at
         FROM (SELECT id, system, subject, label, state, attempts, error, answer, next_at, created_at, ended_at, nth
               FROM outside_call WHERE tenant_id = $1 AND subject = $2
               ORDER BY created_at DESC LIMIT 200) AS calls
         ORDER BY created_at, system, nth, id"
    ))
    .bind(tenant.to_string())
    .bind(subject.to_string())
    .all()
    .await
}

/// How the newest call to each system stands.
pub(super) async fn states(
    tx: &mut Tx,
    tenant: TenantId,
    subject: &Subject,
) -> Result<Vec<(System, CallState)>> {
    let mut rows: Vec<(String, i64, i64, String, String)> = tx
        .query(sql!(
            "SELECT system, created_at, nth, id, state FROM outside_call
             WHERE tenant_id = $1 AND subject = $2"
        ))
        .bind(tenant.to_string())
        .bind(subject.to_string())
        .all()
        .await?;
    rows.sort_unstable();
    let parse = |(system, .., state): (String, i64, i64, String, String)| {
        Ok((system.try_into().map_err(unreadable)?, state.try_into().map_err(unreadable)?))
    };
    let newest: Result<BTreeMap<System, CallState>> = rows.into_iter().map(parse).collect();
    Ok(newest?.into_iter().collect())
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: CallId) -> Result<Option<Call>> {
    tx.query(sql!(
        "SELECT id, system, subject, label, state, attempts, error, answer, next_at, created_at, ended_at
         FROM outside_call WHERE tenant_id = $1 AND id = $2"
    ))
    .bind(tenant.to_string())
    .bind(id.to_string())
    .optional()
    .await
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Call>> {
    let (system, state, search) = bound(filter);
    tx.query(sql!(
        "SELECT id, system, subject, label, state, attempts, error, answer, next_at, created_at, ended_at
         FROM outside_call
         WHERE tenant_id = $1 AND ($2 = '' OR system = $2) AND ($3 = '' OR state = $3)
           AND ($4 = '' OR lower(label) LIKE $4 ESCAPE '\\' OR subject LIKE $4 ESCAPE '\\')
         ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6"
    ))
    .bind(tenant.to_string())
    .bind(system)
    .bind(state)
    .bind(search)
    .bind(page.limit)
    .bind(page.offset)
    .all()
    .await
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<i64> {
    let (system, state, search) = bound(filter);
    tx.query(sql!(
        "SELECT count(*) FROM outside_call
         WHERE tenant_id = $1 AND ($2 = '' OR system = $2) AND ($3 = '' OR state = $3)
           AND ($4 = '' OR lower(label) LIKE $4 ESCAPE '\\' OR subject LIKE $4 ESCAPE '\\')"
    ))
    .bind(tenant.to_string())
    .bind(system)
    .bind(state)
    .bind(search)
    .scalar()
    .await
}

fn bound(filter: &Filter) -> (String, String, String) {
    let search = filter.search.to_lowercase();
    let pattern =
        if search.is_empty() { search } else { format!("%{}%", crate::db::literal(&search)) };
    (
        filter.system.map(System::as_str).unwrap_or_default().to_owned(),
        filter.state.map(CallState::as_str).unwrap_or_default().to_owned(),
        pattern,
    )
}

pub(super) async fn totals(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64)> {
    tx.query(sql!(
        "SELECT (SELECT count(*) FROM outside_call WHERE tenant_id = $1 AND state IN ('waiting', 'sending')),
                (SELECT count(*) FROM outside_call WHERE tenant_id = $1 AND state = 'dead')"
    ))
    .bind(tenant.to_string())
    .one()
    .await
}

// What people do about a call

/// Whether a later call of the same line was made.
pub(super) async fn overtaken(tx: &mut Tx, tenant: TenantId, id: CallId) -> Result<bool> {
    let later: i64 = tx
        .query(sql!(
            "SELECT count(*) FROM outside_call c JOIN outside_call l
               ON l.tenant_id = c.tenant_id AND l.system = c.system AND l.line = c.line AND l.nth > c.nth
             WHERE c.tenant_id = $1 AND c.id = $2 AND l.state IN ('sending', 'done')"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .scalar()
        .await?;
    Ok(later > 0)
}

pub(super) async fn retry(
    tx: &mut Tx,
    tenant: TenantId,
    id: CallId,
    number: i64,
    now: Timestamp,
) -> Result<bool> {
    let done = tx
        .query(sql!(
            "UPDATE outside_call SET state = 'waiting', attempts = 0, next_at = $4, identifier = $3,
                    stamped_at = $4, ended_at = NULL
             WHERE tenant_id = $1 AND id = $2 AND state IN ('waiting', 'dead')"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(number)
        .bind(now)
        .run()
        .await?;
    Ok(done == 1)
}

pub(super) async fn retry_all(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    now: Timestamp,
) -> Result<u64> {
    tx.query(sql!(
        "UPDATE outside_call SET state = 'waiting', attempts = 0, next_at = $3, stamped_at = 0, ended_at = NULL
         WHERE tenant_id = $1 AND system = $2 AND state = 'dead'
           AND NOT EXISTS (SELECT 1 FROM outside_call l
                           WHERE l.tenant_id = outside_call.tenant_id AND l.system = outside_call.system
                             AND l.line = outside_call.line AND l.nth > outside_call.nth
                             AND l.state IN ('sending', 'done'))"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(now)
    .run()
    .await
}

pub(super) async fn give_up(
    tx: &mut Tx,
    tenant: TenantId,
    id: CallId,
    answer: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = tx
        .query(sql!(
            "UPDATE outside_call SET state = 'dropped', answer = $3, ended_at = $4
             WHERE tenant_id = $1 AND id = $2 AND state IN ('waiting', 'dead')"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(answer.to_owned())
        .bind(now)
        .run()
        .await?;
    Ok(done == 1)
}
