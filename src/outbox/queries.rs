//! All SQL on calls and on what systems should hold.

use std::collections::BTreeMap;

use super::mirror::{Entry, Wanted, key, leased as leased_of};
use super::order::{Order, Payload, unreadable};
use super::types::{Call, CallState, Filter, Subject, System};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::{CallId, TenantId};
use crate::outside::Leased;
use crate::sql;
use crate::time::Timestamp;

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

/// Ends what waits on a line, or is dead there: a newer order took its place.
pub(super) async fn replace(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    line: &str,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE outside_call SET state = 'replaced', ended_at = $4, answer = 'a newer call took its place'
         WHERE tenant_id = $1 AND system = $2 AND line = $3 AND state IN ('waiting', 'dead')"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(line.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
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

// What the runner does

/// A call that is this process's to make.
pub(super) struct Claimed {
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
pub(super) async fn due(tx: &mut Tx, system: System, now: Timestamp) -> Result<Vec<TenantId>> {
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
pub(super) async fn claim(
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
pub(super) async fn put_back(
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
pub(super) async fn stamp(tx: &mut Tx, id: CallId, number: u8, at: Timestamp) -> Result<()> {
    tx.query(sql!("UPDATE outside_call SET identifier = $2, stamped_at = $3 WHERE id = $1"))
        .bind(id.to_string())
        .bind(i64::from(number))
        .bind(at)
        .run()
        .await
        .map(drop)
}

/// Calls whose process is believed dead wait again. How many.
pub(super) async fn bury(tx: &mut Tx, now: Timestamp) -> Result<u64> {
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
pub(super) async fn record(
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
pub(super) struct Ended<'a> {
    pub state: CallState,
    pub error: &'a str,
    pub answer: &'a str,
    pub next_at: Timestamp,
    /// Whether it was not even tried.
    pub unsent: bool,
}

/// Forgets calls that were over before `before`; those that failed stay.
pub(super) async fn tidy(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!(
        "DELETE FROM outside_call WHERE ended_at < $1 AND state IN ('done', 'replaced', 'dropped')"
    ))
    .bind(before)
    .run()
    .await
}

/// Calls of all tenants by system and state, those that are open or dead.
pub(super) async fn gauge(tx: &mut Tx) -> Result<Vec<(String, String, i64)>> {
    tx.query(sql!(
        "SELECT c.system, c.state, count(*) FROM tenant t CROSS JOIN outside_call c
         WHERE c.tenant_id = t.id AND c.state IN ('waiting', 'sending', 'dead')
         GROUP BY c.system, c.state"
    ))
    .all()
    .await
}

// What systems should hold

#[derive(sqlx::FromRow)]
struct EntryRow {
    address: Vec<u8>,
    length: i64,
    wanted: String,
    ordered: bool,
    row_id: i64,
    row_version: i64,
    remote_id: Option<i64>,
}

impl TryFrom<EntryRow> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: EntryRow) -> Result<Self> {
        let order: Option<Order> = if row.wanted.is_empty() {
            None
        } else {
            Some(serde_json::from_str(&row.wanted).map_err(unreadable)?)
        };
        Ok(Self {
            leased: leased_of(row.address, row.length)?,
            order,
            wanted: Wanted { ordered: row.ordered, row: (row.row_id, row.row_version) },
            remote_id: row.remote_id,
        })
    }
}

pub(super) async fn entry(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
) -> Result<Option<Entry>> {
    let (address, length) = key(leased);
    let row: Option<EntryRow> = tx
        .query(sql!(
            "SELECT address, length, wanted, ordered, row_id, row_version, remote_id FROM outside_mirror
             WHERE tenant_id = $1 AND system = $2 AND address = $3 AND length = $4"
        ))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(address)
        .bind(length)
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

pub(super) async fn entries(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    after: Option<Leased>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let (address, length) = after.map_or((Vec::new(), -2), key);
    let rows: Vec<EntryRow> = tx
        .query(sql!(
            "SELECT address, length, wanted, ordered, row_id, row_version, remote_id FROM outside_mirror
             WHERE tenant_id = $1 AND system = $2 AND (address > $3 OR (address = $3 AND length > $4))
             ORDER BY address, length LIMIT $5"
        ))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(address)
        .bind(length)
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn set_entry(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
    wanted: &str,
    (by, force): (Wanted, bool),
) -> Result<bool> {
    let (address, length) = key(leased);
    let written = tx.query(sql!(
        "INSERT INTO outside_mirror (tenant_id, system, address, length, wanted, ordered, row_id, row_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (tenant_id, system, address, length)
         DO UPDATE SET wanted = $5, ordered = $6, row_id = $7, row_version = $8
         WHERE $9 OR NOT outside_mirror.ordered"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(address)
    .bind(length)
    .bind(wanted.to_owned())
    .bind(by.ordered)
    .bind(by.row.0)
    .bind(by.row.1)
    .bind(force)
    .run()
    .await?;
    Ok(written == 1)
}

/// What an operation orders of a system that is off: `wanted` is to be said when it is on again;
/// of nothing, what the register says then.
pub(super) async fn reorder(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
    wanted: &str,
) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "UPDATE outside_mirror SET wanted = CASE WHEN $5 = '' THEN wanted ELSE $5 END, ordered = $5 <> '',
                row_id = -1, row_version = -1
         WHERE tenant_id = $1 AND system = $2 AND address = $3 AND length = $4"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(address)
    .bind(length)
    .bind(wanted.to_owned())
    .run()
    .await
    .map(drop)
}

/// What the register had said is an operation's word from now on.
pub(super) async fn keep(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "UPDATE outside_mirror SET ordered = TRUE
         WHERE tenant_id = $1 AND system = $2 AND address = $3 AND length = $4 AND wanted <> '' AND NOT ordered"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(address)
    .bind(length)
    .run()
    .await
    .map(drop)
}

/// Forgets what operations ordered of a thing.
pub(super) async fn let_go(tx: &mut Tx, tenant: TenantId, leased: Leased) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "DELETE FROM outside_mirror
         WHERE tenant_id = $1 AND system IN ('dhcp', 'netbox') AND address = $2 AND length = $3 AND ordered"
    ))
    .bind(tenant.to_string())
    .bind(address)
    .bind(length)
    .run()
    .await
    .map(drop)
}

/// What operations ordered that is to be said again.
pub(super) async fn lost_orders(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    limit: i64,
) -> Result<Vec<Order>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT wanted FROM outside_mirror
             WHERE tenant_id = $1 AND system = $2 AND ordered AND row_id = -1 AND wanted <> '' LIMIT $3"
        ))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(|(text,)| serde_json::from_str(&text).map_err(unreadable)).collect()
}

/// How the newest call of a line stands.
pub(super) async fn newest_on_line(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    line: &str,
) -> Result<Option<CallState>> {
    let state: Option<String> = tx
        .query(sql!(
            "SELECT state FROM outside_call WHERE tenant_id = $1 AND system = $2 AND line = $3
             ORDER BY nth DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(line.to_owned())
        .optional_scalar()
        .await?;
    state.map(|state| state.try_into().map_err(unreadable)).transpose()
}

pub(super) async fn set_row(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
    row: (i64, i64),
) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "UPDATE outside_mirror SET row_id = $5, row_version = $6
         WHERE tenant_id = $1 AND system = $2 AND address = $3 AND length = $4"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(address)
    .bind(length)
    .bind(row.0)
    .bind(row.1)
    .run()
    .await
    .map(drop)
}

pub(super) async fn set_remote(
    tx: &mut Tx,
    tenant: TenantId,
    leased: Leased,
    id: Option<i64>,
) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "UPDATE outside_mirror SET remote_id = $4
         WHERE tenant_id = $1 AND system = 'netbox' AND address = $2 AND length = $3"
    ))
    .bind(tenant.to_string())
    .bind(address)
    .bind(length)
    .bind(id)
    .run()
    .await
    .map(drop)
}

/// Forgets what was taken back, unless it is wanted again meanwhile.
pub(super) async fn clear(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
) -> Result<()> {
    let (address, length) = key(leased);
    tx.query(sql!(
        "DELETE FROM outside_mirror
         WHERE tenant_id = $1 AND system = $2 AND address = $3 AND length = $4 AND wanted = '' AND NOT ordered"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(address)
    .bind(length)
    .run()
    .await
    .map(drop)
}

pub(super) async fn forget(tx: &mut Tx, tenant: TenantId, system: System) -> Result<()> {
    tx.query(sql!("UPDATE outside_mirror SET remote_id = NULL, row_id = -1, row_version = -1 WHERE tenant_id = $1 AND system = $2"))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .run()
        .await
        .map(drop)
}

pub(super) async fn remote_id(
    tx: &mut Tx,
    tenant: TenantId,
    leased: Leased,
) -> Result<Option<i64>> {
    Ok(entry(tx, tenant, System::Netbox, leased).await?.and_then(|entry| entry.remote_id))
}
