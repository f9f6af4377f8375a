//! What the runner does with calls, and who clears up after it.

use super::super::order::{Payload, unreadable};
use super::super::types::{CallState, System};
use crate::db::{Result, Tx};
use crate::id::{CallId, TenantId};
use crate::sql;
use crate::time::Timestamp;

/// A call that is this process's to make.
pub(in crate::outbox) struct Claimed {
    pub id: CallId,
    pub tenant: TenantId,
    pub payload: Payload,
    pub attempts: i64,
    pub identifier: u8,
    pub stamped_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    id: String,
    payload: String,
    attempts: i64,
    identifier: i64,
    stamped_at: Timestamp,
}

impl ClaimedRow {
    fn read(self, tenant: TenantId) -> Result<Claimed> {
        Ok(Claimed {
            id: self.id.try_into().map_err(unreadable)?,
            tenant,
            payload: serde_json::from_str(&self.payload).map_err(unreadable)?,
            attempts: self.attempts,
            identifier: u8::try_from(self.identifier).map_err(unreadable)?,
            stamped_at: self.stamped_at,
        })
    }
}

/// Tenants who have something due that no earlier one on its line holds up: looked at before
/// anything is written. Each is a look of its own into the index of what is due.
pub(in crate::outbox) async fn due(
    tx: &mut Tx,
    system: System,
    now: Timestamp,
) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT s.tenant_id FROM outside_system s
             WHERE s.system = $1 AND s.enabled AND 1 = (
               SELECT CAST(1 AS BIGINT) FROM outside_call c
               WHERE c.system = s.system AND c.tenant_id = s.tenant_id AND c.state = 'waiting' AND c.next_at <= $2
                 AND NOT EXISTS (SELECT 1 FROM outside_call e
                                 WHERE e.tenant_id = c.tenant_id AND e.system = c.system AND e.line = c.line
                                   AND e.nth < c.nth AND e.state IN ('waiting', 'sending'))
               LIMIT 1)
             ORDER BY s.tenant_id"
        ))
        .bind(system.as_str())
        .bind(now)
        .all()
        .await?;
    rows.into_iter().map(|(tenant,)| tenant.try_into().map_err(unreadable)).collect()
}

/// Takes up to `limit` of a tenant's calls to a system that are due, none with an earlier one on
/// its line; and how many that was. Those that cannot be read are dead, and not among them: nobody
/// else's wait for that.
pub(in crate::outbox) async fn claim(
    tx: &mut Tx,
    (system, tenant): (System, TenantId),
    runner: &str,
    (now, until): (Timestamp, Timestamp),
    limit: usize,
) -> Result<(Vec<Claimed>, usize)> {
    let rows: Vec<ClaimedRow> = tx
        .query(sql!(
            "UPDATE outside_call SET state = 'sending', runner = $3, lease_until = $5, attempts = attempts + 1
             WHERE state = 'waiting' AND id IN (
               SELECT c.id FROM outside_call c
               JOIN outside_system s ON s.tenant_id = c.tenant_id AND s.system = c.system AND s.enabled
               WHERE c.system = $1 AND c.tenant_id = $2 AND c.state = 'waiting' AND c.next_at <= $4
                 AND NOT EXISTS (SELECT 1 FROM outside_call e
                                 WHERE e.tenant_id = c.tenant_id AND e.system = c.system AND e.line = c.line
                                   AND e.nth < c.nth AND e.state IN ('waiting', 'sending'))
               ORDER BY c.next_at, c.id LIMIT $6)
             RETURNING id, payload, attempts, identifier, stamped_at"
        ))
        .bind(system.as_str())
        .bind(tenant.to_string())
        .bind(runner.to_owned())
        .bind(now)
        .bind(until)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .all()
        .await?;
    let (mut calls, count) = (Vec::with_capacity(rows.len()), rows.len());
    for row in rows {
        let id = row.id.clone();
        match row.read(tenant) {
            Ok(call) => calls.push(call),
            Err(error) => {
                tracing::warn!(call.id = id, %error, "what was stored of a call cannot be read");
                give_up_unreadable(tx, tenant, id, now).await?;
            }
        }
    }
    Ok((calls, count))
}

async fn give_up_unreadable(
    tx: &mut Tx,
    tenant: TenantId,
    id: String,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE outside_call SET state = 'dead', runner = '', ended_at = $3,
                error = 'what was stored of this call cannot be read; do by hand what it says, then give it up'
         WHERE tenant_id = $1 AND id = $2"
    ))
    .bind(tenant.to_string())
    .bind(id)
    .bind(now)
    .run()
    .await
    .map(drop)
}

/// A call that was taken and is not to be made now waits until `until`.
pub(in crate::outbox) async fn put_back(
    tx: &mut Tx,
    id: CallId,
    runner: &str,
    until: Timestamp,
    why: &str,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE outside_call SET state = 'waiting', runner = '', attempts = attempts - 1, next_at = $3,
                error = CASE WHEN error = '' THEN $4 ELSE error END
         WHERE id = $1 AND runner = $2 AND state = 'sending'"
    ))
    .bind(id.to_string())
    .bind(runner.to_owned())
    .bind(until)
    .bind(why.to_owned())
    .run()
    .await
    .map(drop)
}

/// Gives a packet a new number and time.
pub(in crate::outbox) async fn stamp(
    tx: &mut Tx,
    id: CallId,
    number: u8,
    at: Timestamp,
) -> Result<()> {
    tx.query(sql!("UPDATE outside_call SET identifier = $2, stamped_at = $3 WHERE id = $1"))
        .bind(id.to_string())
        .bind(i64::from(number))
        .bind(at)
        .run()
        .await
        .map(drop)
}

/// Calls whose process is believed dead wait again. How many.
pub(in crate::outbox) async fn bury(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.query(sql!(
        "UPDATE outside_call SET state = 'waiting', next_at = $1,
                error = 'Patchbay ended while this call was being made; it is made again'
         WHERE state = 'sending' AND lease_until < $1"
    ))
    .bind(now)
    .run()
    .await
}

/// How a call that this process made ended. False when it was not this process's any more.
pub(in crate::outbox) async fn record(
    tx: &mut Tx,
    id: CallId,
    runner: &str,
    ended: &Ended<'_>,
    now: Timestamp,
) -> Result<bool> {
    let over = matches!(ended.state, CallState::Done | CallState::Dead);
    let done = tx
        .query(sql!(
            "UPDATE outside_call SET state = $3, error = $4, answer = $5, next_at = $6, ended_at = $7,
                    attempts = attempts - $8, runner = ''
             WHERE id = $1 AND runner = $2 AND state = 'sending'"
        ))
        .bind(id.to_string())
        .bind(runner.to_owned())
        .bind(ended.state.as_str())
        .bind(ended.error.to_owned())
        .bind(ended.answer.to_owned())
        .bind(ended.next_at)
        .bind(over.then_some(now))
        .bind(i64::from(ended.unsent))
        .run()
        .await?;
    Ok(done == 1)
}

/// How a call ended.
pub(in crate::outbox) struct Ended<'a> {
    pub state: CallState,
    pub error: &'a str,
    pub answer: &'a str,
    pub next_at: Timestamp,
    /// Whether it was not even tried.
    pub unsent: bool,
}

/// Forgets calls that were over before `before`; those that failed stay.
pub(in crate::outbox) async fn tidy(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!(
        "DELETE FROM outside_call WHERE ended_at < $1 AND state IN ('done', 'replaced', 'dropped')"
    ))
    .bind(before)
    .run()
    .await
}

/// Calls of all tenants by system and state, those that are open or dead.
pub(in crate::outbox) async fn gauge(tx: &mut Tx) -> Result<Vec<(String, String, i64)>> {
    tx.query(sql!(
        "SELECT c.system, c.state, count(*) FROM tenant t CROSS JOIN outside_call c
         WHERE c.tenant_id = t.id AND c.state IN ('waiting', 'sending', 'dead')
         GROUP BY c.system, c.state"
    ))
    .all()
    .await
}
