//! All SQL on prefix pools.

use super::types::{Hold, PrefixPool};
use crate::db::{Result, Tx};
use crate::id::{PrefixPoolId, TenantId};
use crate::ipam::space::{Space, damaged, range};
use crate::net::{Address, Cidr, Range};
use crate::sql;
use crate::time::Timestamp;

#[derive(sqlx::FromRow)]
struct PoolRow {
    id: String,
    name: String,
    first_key: Vec<u8>,
    length: i64,
    delegated: i64,
    free: i64,
    created_at: Timestamp,
}

impl TryFrom<PoolRow> for PrefixPool {
    type Error = sqlx::Error;

    fn try_from(row: PoolRow) -> Result<Self> {
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            name: row.name.try_into().map_err(damaged)?,
            cidr: cidr(row.first_key, row.length)?,
            delegated: row.delegated.try_into().map_err(damaged)?,
            free: row.free,
            created_at: row.created_at,
        })
    }
}

fn cidr(first: Vec<u8>, length: i64) -> Result<Cidr> {
    let first = Address::try_from(first).map_err(damaged)?;
    Cidr::new(first, u8::try_from(length).map_err(damaged)?).map_err(damaged)
}

pub(super) async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<PrefixPool>> {
    let rows: Vec<PoolRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, delegated, free, created_at FROM prefix_pool
             WHERE tenant_id = $1 ORDER BY first_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    id: PrefixPoolId,
) -> Result<Option<PrefixPool>> {
    let row: Option<PoolRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, delegated, free, created_at FROM prefix_pool
             WHERE tenant_id = $1 AND id = $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

pub(super) async fn named(tx: &mut Tx, tenant: TenantId, key: &str) -> Result<bool> {
    let id: Option<String> = tx
        .query(sql!("SELECT id FROM prefix_pool WHERE tenant_id = $1 AND name_key = $2"))
        .bind(tenant.to_string())
        .bind(key.to_owned())
        .optional_scalar()
        .await?;
    Ok(id.is_some())
}

pub(super) async fn overlapping(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<Option<PrefixPool>> {
    let row: Option<PoolRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, delegated, free, created_at FROM prefix_pool
             WHERE tenant_id = $1 AND first_key <= $3 AND last_key >= $2 ORDER BY first_key LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Whether a pool gives out, or somebody has, an address of the range.
pub(super) async fn gives_addresses(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<bool> {
    let found: i64 = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM pool
                     WHERE tenant_id = $1 AND kind <> 'excluded' AND first_key <= $3 AND last_key >= $2 LIMIT 1) AS p)
                  + (SELECT count(*) FROM (SELECT 1 FROM address
                     WHERE tenant_id = $1 AND address >= $2 AND address <= $3 LIMIT 1) AS a)"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .scalar()
        .await?;
    Ok(found > 0)
}

pub(super) async fn insert(space: &mut Space<'_>, pool: &PrefixPool) -> Result<()> {
    let tenant = space.tenant();
    space
        .tx()
        .query(sql!(
            "INSERT INTO prefix_pool (id, tenant_id, name, name_key, first_key, last_key, length, delegated, free, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        ))
        .bind(pool.id.to_string())
        .bind(tenant.to_string())
        .bind(pool.name.to_string())
        .bind(pool.name.key())
        .bind(pool.cidr.network().key())
        .bind(pool.cidr.last().key())
        .bind(i64::from(pool.cidr.length()))
        .bind(i64::from(pool.delegated.bits()))
        .bind(pool.free)
        .bind(pool.created_at)
        .run()
        .await
        .map(drop)
}

pub(super) async fn delete(tx: &mut Tx, id: PrefixPoolId) -> Result<()> {
    let gone = tx.query(sql!("DELETE FROM prefix_pool WHERE id = $1"));
    gone.bind(id.to_string()).run().await.map(drop)
}

pub(super) async fn move_free(tx: &mut Tx, id: PrefixPoolId, by: i64) -> Result<()> {
    let moved = tx.query(sql!("UPDATE prefix_pool SET free = free + $2 WHERE id = $1"));
    moved.bind(id.to_string()).bind(by).run().await.map(drop)
}

pub(super) async fn add_gap(tx: &mut Tx, pool: PrefixPoolId, range: Range, fits: u8) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO prefix_gap (pool_id, first_key, last_key, fits) VALUES ($1, $2, $3, $4)"
    ))
    .bind(pool.to_string())
    .bind(range.first().key())
    .bind(range.last().key())
    .bind(i64::from(fits))
    .run()
    .await
    .map(drop)
}

pub(super) async fn remove_gap(tx: &mut Tx, pool: PrefixPoolId, gap: Range) -> Result<()> {
    let gone = tx.query(sql!("DELETE FROM prefix_gap WHERE pool_id = $1 AND first_key = $2"));
    gone.bind(pool.to_string()).bind(gap.first().key()).run().await.map(drop)
}

type Ends = (Vec<u8>, Vec<u8>);

fn gap(ends: Option<Ends>) -> Result<Option<Range>> {
    ends.map(|(first, last)| range(first, last)).transpose()
}

/// The lowest gap that has an aligned block of `length` bits: the lowest of the lowest of each
/// size. Each is asked for as a range of sizes, whose order only the index by size has: of a size
/// there is none of, `PostgreSQL` would walk over all gaps in the order of their addresses.
pub(super) async fn lowest_fitting(
    tx: &mut Tx,
    pool: PrefixPoolId,
    length: u8,
) -> Result<Option<Range>> {
    let ends = tx
        .query(sql!(
            "SELECT g.first_key, g.last_key FROM prefix_gap g
             JOIN (SELECT (SELECT s.first_key FROM prefix_gap s
                           WHERE s.pool_id = $1 AND s.fits >= n.length AND s.fits <= n.length
                           ORDER BY s.fits, s.first_key LIMIT 1) AS first_key
                   FROM (SELECT 16 AS length UNION ALL SELECT 17 UNION ALL SELECT 18 UNION ALL SELECT 19
                         UNION ALL SELECT 20 UNION ALL SELECT 21 UNION ALL SELECT 22 UNION ALL SELECT 23
                         UNION ALL SELECT 24 UNION ALL SELECT 25 UNION ALL SELECT 26 UNION ALL SELECT 27
                         UNION ALL SELECT 28 UNION ALL SELECT 29 UNION ALL SELECT 30 UNION ALL SELECT 31
                         UNION ALL SELECT 32 UNION ALL SELECT 33 UNION ALL SELECT 34 UNION ALL SELECT 35
                         UNION ALL SELECT 36 UNION ALL SELECT 37 UNION ALL SELECT 38 UNION ALL SELECT 39
                         UNION ALL SELECT 40 UNION ALL SELECT 41 UNION ALL SELECT 42 UNION ALL SELECT 43
                         UNION ALL SELECT 44 UNION ALL SELECT 45 UNION ALL SELECT 46 UNION ALL SELECT 47
                         UNION ALL SELECT 48 UNION ALL SELECT 49 UNION ALL SELECT 50 UNION ALL SELECT 51
                         UNION ALL SELECT 52 UNION ALL SELECT 53 UNION ALL SELECT 54 UNION ALL SELECT 55
                         UNION ALL SELECT 56 UNION ALL SELECT 57 UNION ALL SELECT 58 UNION ALL SELECT 59
                         UNION ALL SELECT 60 UNION ALL SELECT 61 UNION ALL SELECT 62 UNION ALL SELECT 63
                         UNION ALL SELECT 64) AS n
                   WHERE n.length <= $2) AS lowest ON g.first_key = lowest.first_key
             WHERE g.pool_id = $1 ORDER BY g.first_key LIMIT 1"
        ))
        .bind(pool.to_string())
        .bind(i64::from(length))
        .optional::<Ends>()
        .await?;
    gap(ends)
}

/// The last gap that begins at or before an address.
pub(super) async fn gap_before(
    tx: &mut Tx,
    pool: PrefixPoolId,
    address: Address,
) -> Result<Option<Range>> {
    let ends = tx
        .query(sql!(
            "SELECT first_key, last_key FROM prefix_gap
             WHERE pool_id = $1 AND first_key <= $2 ORDER BY first_key DESC LIMIT 1"
        ))
        .bind(pool.to_string())
        .bind(address.key())
        .optional::<Ends>()
        .await?;
    gap(ends)
}

/// The gap that begins at an address.
pub(super) async fn gap_at(
    tx: &mut Tx,
    pool: PrefixPoolId,
    address: Address,
) -> Result<Option<Range>> {
    let ends = tx
        .query(sql!(
            "SELECT first_key, last_key FROM prefix_gap WHERE pool_id = $1 AND first_key = $2"
        ))
        .bind(pool.to_string())
        .bind(address.key())
        .optional::<Ends>()
        .await?;
    gap(ends)
}

pub(super) async fn hold(
    space: &mut Space<'_>,
    pool: PrefixPoolId,
    cidr: Cidr,
    reason: &str,
    until: Option<Timestamp>,
) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    space
        .tx()
        .query(sql!(
            "INSERT INTO prefix_hold (tenant_id, pool_id, first_key, last_key, length, reason, until, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ))
        .bind(tenant.to_string())
        .bind(pool.to_string())
        .bind(cidr.network().key())
        .bind(cidr.last().key())
        .bind(i64::from(cidr.length()))
        .bind(reason.to_owned())
        .bind(until)
        .bind(now)
        .run()
        .await
        .map(drop)
}

pub(super) async fn unhold(
    tx: &mut Tx,
    pool: PrefixPoolId,
    network: Address,
) -> Result<Option<Cidr>> {
    let row: Option<(Vec<u8>, i64)> = tx
        .query(sql!(
            "DELETE FROM prefix_hold WHERE pool_id = $1 AND first_key = $2 RETURNING first_key, length"
        ))
        .bind(pool.to_string())
        .bind(network.key())
        .optional()
        .await?;
    row.map(|(first, length)| cidr(first, length)).transpose()
}

pub(super) async fn holds(tx: &mut Tx, pool: PrefixPoolId, limit: i64) -> Result<Vec<Hold>> {
    let rows: Vec<HoldRow> = tx
        .query(sql!(
            "SELECT first_key, length, reason, until FROM prefix_hold
             WHERE pool_id = $1 ORDER BY first_key LIMIT $2"
        ))
        .bind(pool.to_string())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(held).collect()
}

/// A prefix held back: its first address, its length, why, and until when.
type HoldRow = (Vec<u8>, i64, String, Option<Timestamp>);

fn held((first, length, reason, until): HoldRow) -> Result<Hold> {
    Ok(Hold { cidr: cidr(first, length)?, reason, until })
}

/// The last prefix held back that has some of a range. They never overlap.
pub(super) async fn held_within(
    tx: &mut Tx,
    pool: PrefixPoolId,
    range: Range,
) -> Result<Option<Hold>> {
    let row: Option<HoldRow> = tx
        .query(sql!(
            "SELECT first_key, length, reason, until FROM prefix_hold
             WHERE pool_id = $1 AND first_key <= $2 ORDER BY first_key DESC LIMIT 1"
        ))
        .bind(pool.to_string())
        .bind(range.last().key())
        .optional()
        .await?;
    let found = row.map(held).transpose()?;
    Ok(found.filter(|hold| hold.cidr.range().last() >= range.first()))
}

pub(super) async fn ended(
    tx: &mut Tx,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, PrefixPoolId, Address)>> {
    let rows: Vec<(String, String, Vec<u8>)> = tx
        .query(sql!(
            "SELECT tenant_id, pool_id, first_key FROM prefix_hold
             WHERE until IS NOT NULL AND until <= $1 ORDER BY until LIMIT $2"
        ))
        .bind(now)
        .bind(limit)
        .all()
        .await?;
    let parse = |(tenant, pool, first): (String, String, Vec<u8>)| {
        Ok((
            tenant.try_into().map_err(damaged)?,
            pool.try_into().map_err(damaged)?,
            Address::try_from(first).map_err(damaged)?,
        ))
    };
    rows.into_iter().map(parse).collect()
}
