//! The SQL of observation.

use std::collections::BTreeMap;

use super::types::{Settings, Sweep, SweepState};
use crate::audit::Page;
use crate::db::{Bulk, Result, Tx};
use crate::id::{SubnetId, SweepId, TenantId};
use crate::ipam::addresses::Record;
use crate::ipam::space::damaged;
use crate::net::{Address, Mac};
use crate::sql;
use crate::time::Timestamp;

/// The columns of [`SweepRow`].
macro_rules! columns {
    () => {
        "SELECT s.id, s.subnet_id, n.name, n.first_key, n.length, s.state, s.pace, s.total, s.asked, s.seen, s.stopping,
                s.actor, s.runner, s.lease_until, s.created_at, s.started_at, s.finished_at, s.error
         FROM sweep s JOIN subnet n ON n.id = s.subnet_id "
    };
}

#[derive(sqlx::FromRow)]
struct SweepRow {
    id: String,
    subnet_id: String,
    name: String,
    first_key: Vec<u8>,
    length: i64,
    state: String,
    pace: i64,
    total: i64,
    asked: i64,
    seen: i64,
    stopping: bool,
    actor: String,
    runner: String,
    lease_until: Timestamp,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    error: String,
}

impl TryFrom<SweepRow> for Sweep {
    type Error = sqlx::Error;

    fn try_from(row: SweepRow) -> Result<Self> {
        let network = Address::try_from(row.first_key).map_err(damaged)?;
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            subnet: row.subnet_id.try_into().map_err(damaged)?,
            label: format!("{} ({network}/{})", row.name, row.length),
            state: row.state.try_into().map_err(damaged)?,
            pace: row.pace,
            total: row.total,
            asked: row.asked,
            seen: row.seen,
            stopping: row.stopping,
            actor: row.actor,
            runner: row.runner,
            lease_until: row.lease_until,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.error,
        })
    }
}

fn sweeps(rows: Vec<SweepRow>) -> Result<Vec<Sweep>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The tenant's sweeps, of one subnet if one is named, the newest first.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: Option<SubnetId>,
    page: Page,
) -> Result<Vec<Sweep>> {
    let subnet = subnet.map(|id| id.to_string()).unwrap_or_default();
    let rows = tx
        .query(concat!(
            columns!(),
            "WHERE s.tenant_id = $1 AND (CAST($2 AS TEXT) = '' OR s.subnet_id = $2)
             ORDER BY s.created_at DESC, s.id DESC LIMIT $3 OFFSET $4"
        ))
        .bind(tenant.to_string())
        .bind(subnet)
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    sweeps(rows)
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, subnet: Option<SubnetId>) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM sweep WHERE tenant_id = $1 AND (CAST($2 AS TEXT) = '' OR subnet_id = $2)"
    ))
    .bind(tenant.to_string())
    .bind(subnet.map(|id| id.to_string()).unwrap_or_default())
    .scalar()
    .await
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: SweepId) -> Result<Option<Sweep>> {
    let row: Option<SweepRow> = tx
        .query(concat!(columns!(), "WHERE s.tenant_id = $1 AND s.id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Every tenant's sweeps that are not over: those under way, then the longest waiting.
pub(super) async fn under_way(tx: &mut Tx) -> Result<Vec<(TenantId, Sweep)>> {
    let tenants: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT id, tenant_id FROM sweep WHERE state IN ('queued', 'running')
             ORDER BY CASE state WHEN 'running' THEN 0 ELSE 1 END, created_at, id LIMIT 64"
        ))
        .all()
        .await?;
    let mut found = Vec::new();
    for (id, tenant) in tenants {
        let (id, tenant) = (id.try_into().map_err(damaged)?, tenant.try_into().map_err(damaged)?);
        found.extend(get(tx, tenant, id).await?.map(|sweep| (tenant, sweep)));
    }
    Ok(found)
}

/// The newest sweep of a subnet that is not over.
pub(super) async fn of_subnet(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: SubnetId,
) -> Result<Option<Sweep>> {
    let row: Option<SweepRow> = tx
        .query(concat!(
            columns!(),
            "WHERE s.tenant_id = $1 AND s.subnet_id = $2 AND s.state IN ('queued', 'running')"
        ))
        .bind(tenant.to_string())
        .bind(subnet.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// What a new sweep is.
pub(super) struct New<'n> {
    pub id: SweepId,
    pub subnet: SubnetId,
    pub pace: i64,
    pub total: i64,
    pub actor: &'n str,
}

/// False when one of the subnet is under way.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    new: New<'_>,
    now: Timestamp,
) -> Result<bool> {
    let id: Option<String> = tx
        .query(sql!(
            "INSERT INTO sweep (id, tenant_id, subnet_id, state, pace, total, asked, seen, stopping, actor, runner, lease_until, created_at, error)
             VALUES ($1, $2, $3, 'queued', $4, $5, 0, 0, FALSE, $6, '', 0, $7, '')
             ON CONFLICT DO NOTHING RETURNING id"
        ))
        .bind(new.id.to_string())
        .bind(tenant.to_string())
        .bind(new.subnet.to_string())
        .bind(new.pace)
        .bind(new.total)
        .bind(new.actor.to_owned())
        .bind(now)
        .optional_scalar()
        .await?;
    Ok(id.is_some())
}

/// A queued sweep is this process's; false when another took it.
pub(super) async fn take(
    tx: &mut Tx,
    id: SweepId,
    runner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let taken = tx.query(sql!(
        "UPDATE sweep SET state = 'running', runner = $2, started_at = $3, lease_until = $4 WHERE id = $1 AND state = 'queued'"
    ));
    let taken = taken.bind(id.to_string()).bind(runner.to_owned()).bind(now).bind(until);
    Ok(taken.run().await? == 1)
}

/// How far a running sweep is; whether it is to stop. `None` when it is not this process's.
pub(super) async fn progress(
    tx: &mut Tx,
    id: SweepId,
    runner: &str,
    (asked, seen): (i64, i64),
    until: Timestamp,
) -> Result<Option<bool>> {
    tx.query(sql!(
        "UPDATE sweep SET asked = asked + $3, seen = seen + $4, lease_until = $5
         WHERE id = $1 AND runner = $2 AND state = 'running' RETURNING stopping"
    ))
    .bind(id.to_string())
    .bind(runner.to_owned())
    .bind(asked)
    .bind(seen)
    .bind(until)
    .optional_scalar()
    .await
}

/// How a sweep ended that `runner` does; false when it is not (any more).
pub(super) async fn end(
    tx: &mut Tx,
    id: SweepId,
    runner: &str,
    (state, error): (SweepState, &str),
    now: Timestamp,
) -> Result<bool> {
    let ended = tx.query(sql!(
        "UPDATE sweep SET state = $3, error = $4, finished_at = $5 WHERE id = $1 AND runner = $2 AND state = 'running'"
    ));
    let ended = ended
        .bind(id.to_string())
        .bind(runner.to_owned())
        .bind(state.as_str())
        .bind(error.to_owned())
        .bind(now);
    Ok(ended.run().await? == 1)
}

/// A queued sweep stops at once, a running one soon; false when it is over.
pub(super) async fn stop(
    tx: &mut Tx,
    tenant: TenantId,
    id: SweepId,
    now: Timestamp,
) -> Result<bool> {
    let waiting = tx.query(sql!(
        "UPDATE sweep SET state = 'stopped', stopping = TRUE, finished_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'queued'"
    ));
    let waiting = waiting.bind(tenant.to_string()).bind(id.to_string()).bind(now).run().await?;
    let running = tx.query(sql!(
        "UPDATE sweep SET stopping = TRUE WHERE tenant_id = $1 AND id = $2 AND state = 'running'"
    ));
    let running = running.bind(tenant.to_string()).bind(id.to_string()).run().await?;
    Ok(waiting + running > 0)
}

/// Sweeps long over are nobody's concern.
pub(super) async fn forget_sweeps(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!("DELETE FROM sweep WHERE finished_at < $1")).bind(before).run().await
}

// Settings

pub(super) async fn settings(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: SubnetId,
) -> Result<Option<Settings>> {
    let row: Option<(Option<i64>, i64, i64)> = tx
        .query(sql!(
            "SELECT minutes, pace, keep_days FROM observation WHERE tenant_id = $1 AND subnet_id = $2"
        ))
        .bind(tenant.to_string())
        .bind(subnet.to_string())
        .optional()
        .await?;
    Ok(row.map(|(minutes, pace, keep_days)| Settings { minutes, pace, keep_days }))
}

/// The next sweep stays due when it was, unless the time between them is another.
pub(super) async fn set(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: SubnetId,
    settings: &Settings,
    next: Option<Timestamp>,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO observation (subnet_id, tenant_id, minutes, pace, keep_days, next_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (subnet_id) DO UPDATE
         SET minutes = excluded.minutes, pace = excluded.pace, keep_days = excluded.keep_days,
             next_at = CASE WHEN observation.minutes = excluded.minutes THEN observation.next_at ELSE excluded.next_at END"
    ))
    .bind(subnet.to_string())
    .bind(tenant.to_string())
    .bind(settings.minutes)
    .bind(settings.pace)
    .bind(settings.keep_days)
    .bind(next)
    .run()
    .await
    .map(drop)
}

/// A subnet whose sweep is due.
pub(super) struct Due {
    pub tenant: TenantId,
    pub subnet: SubnetId,
    pub at: Timestamp,
    pub minutes: i64,
}

pub(super) async fn due(tx: &mut Tx, now: Timestamp) -> Result<Vec<Due>> {
    let rows: Vec<(String, String, Timestamp, i64)> = tx
        .query(sql!(
            "SELECT tenant_id, subnet_id, next_at, minutes FROM observation
             WHERE next_at IS NOT NULL AND next_at <= $1 AND minutes IS NOT NULL ORDER BY next_at LIMIT 100"
        ))
        .bind(now)
        .all()
        .await?;
    let due = |(tenant, subnet, at, minutes): (String, String, Timestamp, i64)| {
        let (tenant, subnet) =
            (tenant.try_into().map_err(damaged)?, subnet.try_into().map_err(damaged)?);
        Ok(Due { tenant, subnet, at, minutes })
    };
    rows.into_iter().map(due).collect()
}

/// The next time is set; false when another process did so first.
pub(super) async fn postpone(tx: &mut Tx, due: &Due, next: Timestamp) -> Result<bool> {
    let moved = tx
        .query(sql!("UPDATE observation SET next_at = $3 WHERE subnet_id = $1 AND next_at = $2"))
        .bind(due.subnet.to_string())
        .bind(due.at)
        .bind(next);
    Ok(moved.run().await? == 1)
}

/// The subnets of the tenant that are swept regularly.
pub(super) async fn regular(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<Vec<(SubnetId, String, i64, Option<Timestamp>)>> {
    let rows: Vec<(String, String, i64, Option<Timestamp>)> = tx
        .query(sql!(
            "SELECT o.subnet_id, n.name, o.minutes, o.next_at FROM observation o JOIN subnet n ON n.id = o.subnet_id
             WHERE o.tenant_id = $1 AND o.minutes IS NOT NULL ORDER BY n.first_key LIMIT 1000"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter()
        .map(|(id, name, minutes, next)| Ok((id.try_into().map_err(damaged)?, name, minutes, next)))
        .collect()
}

// Addresses

/// Only the time an address was seen, and with what.
pub(super) async fn touch(tx: &mut Tx, tenant: TenantId, record: &Record) -> Result<()> {
    tx.query(sql!(
        "UPDATE address SET last_seen = $3, seen_mac = $4 WHERE tenant_id = $1 AND address = $2"
    ))
    .bind(tenant.to_string())
    .bind(record.address.key())
    .bind(record.last_seen)
    .bind(record.seen_mac.map(Mac::hex).unwrap_or_default())
    .run()
    .await
    .map(drop)
}

/// The addresses of a subnet that have a row, at most `limit`.
pub(super) async fn known(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    subnet: SubnetId,
    limit: i64,
) -> Result<Vec<Address>> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT address FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3 AND subnet_id = $4
             ORDER BY address LIMIT $5"
        ))
        .bind(tenant.to_string())
        .bind(first.key())
        .bind(last.key())
        .bind(subnet.to_string())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(|row| row.0.try_into().map_err(damaged)).collect()
}

/// Rows not seen for longer than their subnet's days (else `days`): those that are still called
/// active, and those that nobody holds.
pub(super) async fn aged(
    tx: &mut Tx,
    now: Timestamp,
    (days, day): (i64, i64),
    limit: i64,
) -> Result<Vec<(TenantId, Address)>> {
    let rows: Vec<(String, Vec<u8>)> = tx
        .query(sql!(
            "SELECT a.tenant_id, a.address FROM address a LEFT JOIN observation o ON o.subnet_id = a.subnet_id
             WHERE (a.active OR a.status = 'available') AND a.last_seen < CAST($1 AS BIGINT) - CAST($3 AS BIGINT)
               AND a.last_seen < $1 - coalesce(o.keep_days, CAST($2 AS BIGINT)) * $3
             ORDER BY a.last_seen LIMIT $4"
        ))
        .bind(now)
        .bind(days)
        .bind(day)
        .bind(limit)
        .all()
        .await?;
    pairs(rows)
}

fn pairs(rows: Vec<(String, Vec<u8>)>) -> Result<Vec<(TenantId, Address)>> {
    rows.into_iter()
        .map(|(tenant, address)| {
            Ok((tenant.try_into().map_err(damaged)?, address.try_into().map_err(damaged)?))
        })
        .collect()
}

// Leases

static PUT_LEASES: Bulk = Bulk {
    head: "INSERT INTO lease (tenant_id, address, until) VALUES",
    columns: 3,
    most: 128,
    tail: "ON CONFLICT (tenant_id, address) DO UPDATE SET until = excluded.until",
};

/// Until when addresses are leased.
pub(super) async fn put_leases(
    tx: &mut Tx,
    tenant: TenantId,
    leases: BTreeMap<Address, Option<Timestamp>>,
) -> Result<()> {
    let leases = leases.into_iter().map(|(address, until)| (tenant.to_string(), address, until));
    let leases: Vec<(String, Address, Option<Timestamp>)> = leases.collect();
    tx.insert_many(&PUT_LEASES, &leases, |row, (tenant, address, until)| {
        row.bind(tenant.clone()).bind(address.key()).bind(*until)
    })
    .await
}

/// Leases that are over.
pub(super) async fn over(
    tx: &mut Tx,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Address)>> {
    let rows = tx
        .query(sql!(
            "SELECT tenant_id, address FROM lease WHERE until IS NOT NULL AND until <= $1 ORDER BY until LIMIT $2"
        ))
        .bind(now)
        .bind(limit)
        .all()
        .await?;
    pairs(rows)
}

/// Forgets a lease that is over; false when it was renewed meanwhile.
pub(super) async fn drop_lease(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
    now: Timestamp,
) -> Result<bool> {
    let gone = tx.query(sql!(
        "DELETE FROM lease WHERE tenant_id = $1 AND address = $2 AND until IS NOT NULL AND until <= $3"
    ));
    Ok(gone.bind(tenant.to_string()).bind(address.key()).bind(now).run().await? == 1)
}
