//! All SQL on `notification` and `notification_phone`.

use std::collections::HashSet;

use super::Outdated;
use super::types::{Kind, New, PhoneState, State, Telling, Told, WaveSize};
use crate::audit::Page;
use crate::boot::Revisions;
use crate::db::{Bulk, Result, Tx};
use crate::id::{NotificationId, TenantId};
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::phones::Vendor;
use crate::sql;
use crate::time::Timestamp;

fn damaged<E: std::error::Error + Send + Sync + 'static>(error: E) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// The tenant's phones.
pub(super) async fn macs(tx: &mut Tx, tenant: TenantId) -> Result<HashSet<Mac>> {
    let rows: Vec<(String,)> = tx
        .query(sql!("SELECT mac FROM phone WHERE tenant_id = $1"))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(|row| row.0.parse().map_err(damaged)).collect()
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: NotificationId,
    new: &New,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO notification (id, tenant_id, kind, reason, actor, state, wave_size, pause, stopping, created_at, next_at, runner, lease_until, error)
         VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, FALSE, $8, $8, '', 0, '')"
    ))
    .bind(id.to_string())
    .bind(tenant.to_string())
    .bind(new.kind.as_str())
    .bind(new.reason.clone())
    .bind(actor.to_owned())
    .bind(new.wave_size.get())
    .bind(new.pause.get())
    .bind(now)
    .run()
    .await
    .map(drop)
}

static ADD: Bulk = Bulk {
    head: "INSERT INTO notification_phone (notification_id, mac, wave, state, revision, error) VALUES",
    columns: 6,
    most: 1_024,
    tail: "",
};

pub(super) async fn add_phones(
    tx: &mut Tx,
    id: NotificationId,
    phones: &[(Mac, String)],
    size: WaveSize,
) -> Result<()> {
    let rows: Vec<(String, Mac, String, i64)> = (0_i64..)
        .zip(phones)
        .map(|(n, (mac, revision))| (id.to_string(), *mac, revision.clone(), n / size.get()))
        .collect();
    tx.insert_many(&ADD, &rows, |row, (id, mac, revision, wave)| {
        row.bind(id.clone())
            .bind(mac.hex())
            .bind(*wave)
            .bind(PhoneState::Waiting.as_str())
            .bind(revision.clone())
            .bind(String::new())
    })
    .await
}

pub(super) async fn stop(tx: &mut Tx, tenant: TenantId, id: NotificationId) -> Result<bool> {
    let stopped = tx.query(sql!(
        "UPDATE notification SET stopping = TRUE WHERE tenant_id = $1 AND id = $2 AND finished_at IS NULL AND NOT stopping"
    ));
    Ok(stopped.bind(tenant.to_string()).bind(id.to_string()).run().await? == 1)
}

#[derive(sqlx::FromRow)]
struct TellingRow {
    id: String,
    kind: String,
    reason: String,
    actor: String,
    state: String,
    wave_size: i64,
    pause: i64,
    stopping: bool,
    created_at: Timestamp,
    next_at: Timestamp,
    finished_at: Option<Timestamp>,
    error: String,
    phones: i64,
    sent: i64,
    failed: i64,
    fetched: i64,
}

impl TryFrom<TellingRow> for Telling {
    type Error = sqlx::Error;

    fn try_from(row: TellingRow) -> Result<Self> {
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            kind: row.kind.parse().map_err(damaged)?,
            reason: row.reason,
            actor: row.actor,
            state: row.state.try_into().map_err(damaged)?,
            wave_size: row.wave_size,
            pause: row.pause,
            stopping: row.stopping,
            created_at: row.created_at,
            next_at: row.next_at,
            finished_at: row.finished_at,
            error: row.error,
            phones: row.phones,
            sent: row.sent,
            failed: row.failed,
            fetched: row.fetched,
        })
    }
}

pub(super) async fn list(tx: &mut Tx, tenant: TenantId, page: Page) -> Result<Vec<Telling>> {
    let rows: Vec<TellingRow> = tx
        .query(sql!(
            "SELECT n.id, n.kind, n.reason, n.actor, n.state, n.wave_size, n.pause, n.stopping, n.created_at, n.next_at, n.finished_at, n.error,
                    count(p.mac) AS phones,
                    count(p.mac) FILTER (WHERE p.state = 'sent') AS sent,
                    count(p.mac) FILTER (WHERE p.state = 'failed') AS failed,
                    count(p.mac) FILTER (WHERE p.state = 'sent' AND s.fetched_at >= p.sent_at) AS fetched
             FROM (SELECT * FROM notification WHERE tenant_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3) n
             LEFT JOIN notification_phone p ON p.notification_id = n.id
             LEFT JOIN phone_seen s ON s.mac = p.mac
             GROUP BY n.id, n.kind, n.reason, n.actor, n.state, n.wave_size, n.pause, n.stopping, n.created_at, n.next_at, n.finished_at, n.error
             ORDER BY n.created_at DESC, n.id DESC"
        ))
        .bind(tenant.to_string())
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM notification WHERE tenant_id = $1"))
        .bind(tenant.to_string())
        .scalar()
        .await
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    id: NotificationId,
) -> Result<Option<Telling>> {
    let row: Option<TellingRow> = tx
        .query(sql!(
            "SELECT n.id, n.kind, n.reason, n.actor, n.state, n.wave_size, n.pause, n.stopping, n.created_at, n.next_at, n.finished_at, n.error,
                    (SELECT count(*) FROM notification_phone p WHERE p.notification_id = n.id) AS phones,
                    (SELECT count(*) FROM notification_phone p WHERE p.notification_id = n.id AND p.state = 'sent') AS sent,
                    (SELECT count(*) FROM notification_phone p WHERE p.notification_id = n.id AND p.state = 'failed') AS failed,
                    (SELECT count(*) FROM notification_phone p JOIN phone_seen s ON s.mac = p.mac
                     WHERE p.notification_id = n.id AND p.state = 'sent' AND s.fetched_at >= p.sent_at) AS fetched
             FROM notification n WHERE n.tenant_id = $1 AND n.id = $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

#[derive(sqlx::FromRow)]
struct ToldRow {
    mac: String,
    label: Option<String>,
    vendor: Option<String>,
    model: Option<String>,
    number: Option<i64>,
    state: String,
    sent_at: Option<Timestamp>,
    revision: String,
    error: String,
    fetched_at: Option<Timestamp>,
    fetched_revision: Option<String>,
}

pub(super) async fn phones(
    tx: &mut Tx,
    tenant: TenantId,
    id: NotificationId,
    page: Page,
) -> Result<Vec<Told>> {
    let rows: Vec<ToldRow> = tx
        .query(sql!(
            "SELECT p.mac, o.label, o.vendor, o.model, p.number, p.state, p.sent_at, p.revision, p.error, s.fetched_at, s.fetched_revision
             FROM notification n
             JOIN notification_phone p ON p.notification_id = n.id
             LEFT JOIN phone o ON o.mac = p.mac AND o.tenant_id = n.tenant_id
             LEFT JOIN phone_seen s ON s.mac = o.mac
             WHERE n.tenant_id = $1 AND n.id = $2
             ORDER BY CASE p.state WHEN 'failed' THEN 0 ELSE 1 END, p.wave, p.mac LIMIT $3 OFFSET $4"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    let told = |row: ToldRow| {
        let model = format!("{} {}", row.vendor.unwrap_or_default(), row.model.unwrap_or_default());
        let label = row.label.filter(|label| !label.is_empty());
        Ok(Told {
            mac: row.mac.parse().map_err(damaged)?,
            title: label.unwrap_or(model).trim().to_owned(),
            number: row.number.map(TryInto::try_into).transpose().map_err(damaged)?,
            state: row.state.try_into().map_err(damaged)?,
            sent_at: row.sent_at,
            revision: row.revision,
            error: row.error,
            fetched: row.fetched_at.zip(row.fetched_revision),
        })
    };
    rows.into_iter().map(told).collect()
}

// Whoever does runs

/// A run under way, as its runner sees it.
pub(super) struct Job {
    pub id: NotificationId,
    pub tenant: TenantId,
    pub kind: Kind,
    pub wave_size: i64,
    pub pause: i64,
    pub stopping: bool,
    pub created_at: Timestamp,
    pub next_at: Timestamp,
    pub runner: String,
    pub lease_until: Timestamp,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: String,
    tenant_id: String,
    kind: String,
    wave_size: i64,
    pause: i64,
    stopping: bool,
    created_at: Timestamp,
    next_at: Timestamp,
    runner: String,
    lease_until: Timestamp,
}

/// Every run that is not over, the oldest first.
pub(super) async fn open(tx: &mut Tx) -> Result<Vec<Job>> {
    let rows: Vec<JobRow> = tx
        .query(sql!(
            "SELECT id, tenant_id, kind, wave_size, pause, stopping, created_at, next_at, runner, lease_until
             FROM notification WHERE finished_at IS NULL ORDER BY created_at, id LIMIT 100"
        ))
        .all()
        .await?;
    let job = |row: JobRow| {
        Ok(Job {
            id: row.id.try_into().map_err(damaged)?,
            tenant: row.tenant_id.try_into().map_err(damaged)?,
            kind: row.kind.parse().map_err(damaged)?,
            wave_size: row.wave_size,
            pause: row.pause,
            stopping: row.stopping,
            created_at: row.created_at,
            next_at: row.next_at,
            runner: row.runner,
            lease_until: row.lease_until,
        })
    };
    rows.into_iter().map(job).collect()
}

/// The run is this process's until then; false when another has it.
pub(super) async fn lease(
    tx: &mut Tx,
    id: NotificationId,
    runner: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool> {
    let leased = tx.query(sql!(
        "UPDATE notification SET runner = $2, lease_until = $4, state = 'running'
         WHERE id = $1 AND finished_at IS NULL AND (runner = $2 OR lease_until < $3)"
    ));
    Ok(leased.bind(id.to_string()).bind(runner.to_owned()).bind(now).bind(until).run().await? == 1)
}

/// Those that another process was telling when it died: again to be told, or not to be told, with
/// the reason.
pub(super) async fn settle_doubts(
    tx: &mut Tx,
    id: NotificationId,
    state: PhoneState,
    error: &str,
) -> Result<u64> {
    tx.query(sql!(
        "UPDATE notification_phone SET state = $2, error = $3 WHERE notification_id = $1 AND state = 'sending'"
    ))
    .bind(id.to_string())
    .bind(state.as_str())
    .bind(error.to_owned())
    .run()
    .await
}

/// Takes the next phones to be told.
pub(super) async fn next_wave(tx: &mut Tx, id: NotificationId, size: i64) -> Result<Vec<Mac>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "UPDATE notification_phone SET state = 'sending' WHERE notification_id = $1 AND state = 'waiting' AND mac IN
                 (SELECT mac FROM notification_phone WHERE notification_id = $1 AND state = 'waiting' ORDER BY wave, mac LIMIT $2)
             RETURNING mac"
        ))
        .bind(id.to_string())
        .bind(size)
        .all()
        .await?;
    let mut macs: Vec<Mac> =
        rows.into_iter().map(|row| row.0.parse().map_err(damaged)).collect::<Result<_>>()?;
    macs.sort_unstable();
    Ok(macs)
}

pub(super) async fn waiting(tx: &mut Tx, id: NotificationId) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM notification_phone WHERE notification_id = $1 AND state = 'waiting'"
    ))
    .bind(id.to_string())
    .scalar()
    .await
}

/// When a phone of the run was last told.
pub(super) async fn last_sent(tx: &mut Tx, id: NotificationId) -> Result<Option<Timestamp>> {
    tx.query(sql!("SELECT max(sent_at) FROM notification_phone WHERE notification_id = $1"))
        .bind(id.to_string())
        .scalar()
        .await
}

/// What came of telling a phone.
pub(super) async fn outcome(
    tx: &mut Tx,
    id: NotificationId,
    mac: Mac,
    told: &std::result::Result<ExtensionNumber, String>,
    now: Timestamp,
) -> Result<()> {
    let (state, number, at, error) = match told {
        Ok(number) => (PhoneState::Sent, Some(number.as_i64()), Some(now), ""),
        Err(error) => (PhoneState::Failed, None, None, error.as_str()),
    };
    tx.query(sql!(
        "UPDATE notification_phone SET state = $3, number = $4, sent_at = $5, error = $6
         WHERE notification_id = $1 AND mac = $2 AND state = 'sending'"
    ))
    .bind(id.to_string())
    .bind(mac.hex())
    .bind(state.as_str())
    .bind(number)
    .bind(at)
    .bind(error.to_owned())
    .run()
    .await
    .map(drop)
}

/// Everybody who still waits cannot be told.
pub(super) async fn give_up(tx: &mut Tx, id: NotificationId, error: &str) -> Result<()> {
    tx.query(sql!(
        "UPDATE notification_phone SET state = 'failed', error = $2
         WHERE notification_id = $1 AND state IN ('waiting', 'sending')"
    ))
    .bind(id.to_string())
    .bind(error.to_owned())
    .run()
    .await
    .map(drop)
}

/// The next wave, and what is in the way.
pub(super) async fn postpone(
    tx: &mut Tx,
    id: NotificationId,
    next: Timestamp,
    error: &str,
) -> Result<()> {
    tx.query(sql!("UPDATE notification SET next_at = $2, error = $3 WHERE id = $1"))
        .bind(id.to_string())
        .bind(next)
        .bind(error.to_owned())
        .run()
        .await
        .map(drop)
}

pub(super) async fn end(
    tx: &mut Tx,
    id: NotificationId,
    (state, error): (State, &str),
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE notification SET state = $2, error = $3, finished_at = $4 WHERE id = $1 AND finished_at IS NULL"
    ))
    .bind(id.to_string())
    .bind(state.as_str())
    .bind(error.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
}

/// Runs long over are nobody's concern.
pub(super) async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!("DELETE FROM notification WHERE finished_at < $1")).bind(before).run().await
}

/// A phone's numbers in the order of its lines, each with the device known to be registered as it.
pub(super) async fn lines(
    tx: &mut Tx,
    tenant: TenantId,
    mac: Mac,
) -> Result<Vec<(ExtensionNumber, Option<Mac>)>> {
    let rows: Vec<(i64, Option<String>)> = tx
        .query(sql!(
            "SELECT e.number, (SELECT max(r.mac) FROM registration r
                               WHERE r.tenant_id = e.tenant_id AND r.number = e.number AND r.present) AS device
             FROM phone_line l JOIN extension e ON e.user_id = l.user_id
             WHERE l.tenant_id = $1 AND l.mac = $2 ORDER BY l.line"
        ))
        .bind(tenant.to_string())
        .bind(mac.hex())
        .all()
        .await?;
    let line = |(number, device): (i64, Option<String>)| {
        let device = device.filter(|mac| !mac.is_empty()).map(|mac| mac.parse());
        Ok((number.try_into().map_err(damaged)?, device.transpose().map_err(damaged)?))
    };
    rows.into_iter().map(line).collect()
}

/// A phone that may be told.
pub(super) struct Reachable {
    pub mac: Mac,
    pub vendor: Vendor,
    /// Its lowest number, if it has one.
    pub number: Option<ExtensionNumber>,
    /// Whether one of its numbers is registered.
    pub there: bool,
}

/// The tenant's phones, by their numbers.
pub(super) async fn reachable(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Reachable>> {
    let rows: Vec<(String, String, Option<i64>, i64)> = tx
        .query(sql!(
            "SELECT p.mac, p.vendor, min(e.number), count(r.contact)
             FROM phone p
             LEFT JOIN phone_line l ON l.mac = p.mac
             LEFT JOIN extension e ON e.user_id = l.user_id
             LEFT JOIN registration r ON r.tenant_id = p.tenant_id AND r.number = e.number AND r.present
             WHERE p.tenant_id = $1 GROUP BY p.mac, p.vendor ORDER BY min(e.number), p.mac"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let phone = |(mac, vendor, number, present): (String, String, Option<i64>, i64)| {
        Ok(Reachable {
            mac: mac.parse().map_err(damaged)?,
            vendor: vendor.parse().map_err(damaged)?,
            number: number.map(TryInto::try_into).transpose().map_err(damaged)?,
            there: present > 0,
        })
    };
    rows.into_iter().map(phone).collect()
}

/// The phone that has a number.
pub(super) async fn phone_of(
    tx: &mut Tx,
    tenant: TenantId,
    number: ExtensionNumber,
) -> Result<Option<Mac>> {
    let mac: Option<String> = tx
        .query(sql!(
            "SELECT l.mac FROM extension e JOIN phone_line l ON l.user_id = e.user_id
             WHERE e.tenant_id = $1 AND e.number = $2"
        ))
        .bind(tenant.to_string())
        .bind(number.as_i64())
        .optional_scalar()
        .await?;
    mac.map(|mac| mac.parse().map_err(damaged)).transpose()
}

// What phones fetched, and would fetch

/// Phones that fetched a file of their own and of which it is not known what they would get since the
/// change `touched`; those known longest ago first.
pub(super) async fn uncompared(tx: &mut Tx, tenant: TenantId, touched: i64) -> Result<Vec<Mac>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT p.mac FROM phone p JOIN phone_seen s ON s.mac = p.mac
             LEFT JOIN phone_revision v ON v.mac = p.mac
             WHERE p.tenant_id = $1 AND s.fetched_revision <> '' AND (v.audit_seq IS NULL OR v.audit_seq < $2)
             ORDER BY coalesce(v.audit_seq, -1), p.mac"
        ))
        .bind(tenant.to_string())
        .bind(touched)
        .all()
        .await?;
    rows.into_iter().map(|row| row.0.parse().map_err(damaged)).collect()
}

static PUT_REVISIONS: Bulk = Bulk {
    head: "INSERT INTO phone_revision (mac, revision, common_revision, audit_seq) VALUES",
    columns: 4,
    most: 64,
    tail: "ON CONFLICT (mac) DO UPDATE SET revision = excluded.revision,
               common_revision = excluded.common_revision, audit_seq = excluded.audit_seq",
};

pub(super) async fn put_revisions(
    tx: &mut Tx,
    known: &[(Mac, Revisions)],
    head: i64,
) -> Result<()> {
    // A phone may have been deleted meanwhile.
    let mut rows = Vec::with_capacity(known.len());
    for (mac, would) in known {
        let there: i64 = tx
            .query(sql!("SELECT count(*) FROM phone WHERE mac = $1"))
            .bind(mac.hex())
            .scalar()
            .await?;
        if there == 1 {
            rows.push((*mac, would.clone(), head));
        }
    }
    tx.insert_many(&PUT_REVISIONS, &rows, |row, (mac, would, head)| {
        row.bind(mac.hex()).bind(would.own.clone()).bind(would.common.clone()).bind(*head)
    })
    .await
}

#[derive(sqlx::FromRow)]
struct OutdatedRow {
    mac: String,
    label: String,
    vendor: String,
    model: String,
    number: Option<i64>,
    revision: String,
    fetched_at: Timestamp,
    registered: i64,
}

pub(super) async fn outdated(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Outdated>> {
    let rows: Vec<OutdatedRow> = tx
        .query(sql!(
            "SELECT p.mac, p.label, p.vendor, p.model, min(e.number) AS number, v.revision, s.fetched_at, count(r.contact) AS registered
             FROM phone p
             JOIN phone_seen s ON s.mac = p.mac
             JOIN phone_revision v ON v.mac = p.mac
             LEFT JOIN phone_line l ON l.mac = p.mac
             LEFT JOIN extension e ON e.user_id = l.user_id
             LEFT JOIN registration r ON r.tenant_id = p.tenant_id AND r.number = e.number AND r.present
             WHERE p.tenant_id = $1 AND s.fetched_at IS NOT NULL AND s.fetched_revision <> '' AND v.revision <> ''
               AND (v.revision <> s.fetched_revision
                    OR (v.common_revision <> '' AND s.common_revision NOT IN ('', v.common_revision)))
             GROUP BY p.mac, p.label, p.vendor, p.model, v.revision, s.fetched_at
             ORDER BY min(e.number), p.mac"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let one = |row: OutdatedRow| {
        let number = row.number.map(|number| format!("{number} ")).unwrap_or_default();
        let title = if row.label.is_empty() {
            format!("{number}{} {}", row.vendor, row.model)
        } else {
            row.label
        };
        Ok(Outdated {
            mac: row.mac.parse().map_err(damaged)?,
            title,
            revision: row.revision,
            fetched_at: row.fetched_at,
            reachable: row.registered > 0,
        })
    };
    rows.into_iter().map(one).collect()
}
