//! All SQL on tenants.

use super::Settings;
use super::types::{Slug, Tenant, TenantName};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::sql;
use crate::time::Timestamp;

pub(super) async fn all(tx: &mut Tx) -> Result<Vec<Tenant>> {
    tx.query(sql!(
        "SELECT id, slug, name, time_zone, first_extension, last_extension, version
             FROM tenant ORDER BY slug"
    ))
    .all()
    .await
}

pub(super) async fn get(tx: &mut Tx, id: TenantId) -> Result<Tenant> {
    tx.query(sql!(
        "SELECT id, slug, name, time_zone, first_extension, last_extension, version
             FROM tenant WHERE id = $1"
    ))
    .bind(id.to_string())
    .one()
    .await
}

pub(super) async fn name_taken(tx: &mut Tx, id: TenantId, name: &TenantName) -> Result<bool> {
    let others: i64 = tx
        .query(sql!("SELECT count(*) FROM tenant WHERE name = $2 AND id <> $1"))
        .bind(id.to_string())
        .bind(name.to_string())
        .scalar()
        .await?;
    Ok(others > 0)
}

pub(super) async fn update(tx: &mut Tx, id: TenantId, new: &Settings) -> Result<()> {
    tx.query(sql!(
        "UPDATE tenant SET name = $2, time_zone = $3, first_extension = $4, last_extension = $5,
                version = version + 1
             WHERE id = $1"
    ))
    .bind(id.to_string())
    .bind(new.name.to_string())
    .bind(new.time_zone.to_string())
    .bind(new.range.first().as_i64())
    .bind(new.range.last().as_i64())
    .run()
    .await
    .map(drop)
}

/// False when the prefix is taken.
pub(super) async fn insert(
    tx: &mut Tx,
    id: TenantId,
    slug: &Slug,
    new: &Settings,
    now: Timestamp,
) -> Result<bool> {
    let id = tx
        .query(sql!("INSERT INTO tenant (id, slug, name, time_zone, first_extension, last_extension, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (slug) DO NOTHING RETURNING id"))
        .bind(id.to_string())
        .bind(slug.to_string())
        .bind(new.name.to_string())
        .bind(new.time_zone.to_string())
        .bind(new.range.first().as_i64())
        .bind(new.range.last().as_i64())
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(id.is_some())
}

/// How many numbers in use lie outside `range`, and the lowest of them.
pub(super) async fn outside(
    tx: &mut Tx,
    id: TenantId,
    range: ExtensionRange,
) -> Result<Option<(i64, ExtensionNumber)>> {
    let (count, first): (i64, Option<i64>) = tx
        .query(sql!(
            "SELECT count(*), min(number) FROM extension
             WHERE tenant_id = $1 AND (number < $2 OR number > $3)"
        ))
        .bind(id.to_string())
        .bind(range.first().as_i64())
        .bind(range.last().as_i64())
        .one()
        .await?;
    Ok(first.and_then(|first| ExtensionNumber::try_from(first).ok()).map(|first| (count, first)))
}
