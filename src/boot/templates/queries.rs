//! All SQL on administrators' own templates.

use super::{Row, Version};
use crate::audit::Change;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones::Vendor;
use crate::sql;

#[derive(sqlx::FromRow)]
pub(super) struct StoredRow {
    vendor: String,
    name: String,
    version: i64,
    content: Option<String>,
    created_at: crate::time::Timestamp,
    created_by: String,
    note: String,
}

impl StoredRow {
    /// None for a vendor this release does not know.
    fn parse(self) -> Option<Row> {
        let Self { vendor, name, version, content, created_at, created_by, note } = self;
        let version = Version { version, at: created_at, by: created_by, note };
        Some(Row { vendor: vendor.parse().ok()?, name, content, version })
    }
}

/// The newest version of every template.
pub(super) async fn current(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Row>> {
    let rows: Vec<StoredRow> = tx
        .query(sql!(
            "SELECT t.vendor, t.name, t.version, t.content, t.created_at, t.created_by, t.note
             FROM boot_template t
             WHERE t.tenant_id = $1 AND t.version = (
               SELECT max(m.version) FROM boot_template m
               WHERE m.tenant_id = t.tenant_id AND m.vendor = t.vendor AND m.name = t.name)
             ORDER BY t.vendor, t.name"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().filter_map(StoredRow::parse).collect())
}

/// Every version of one template, the newest first.
pub(super) async fn versions(
    tx: &mut Tx,
    tenant: TenantId,
    vendor: Vendor,
    name: &str,
) -> Result<Vec<Row>> {
    let rows: Vec<StoredRow> = tx
        .query(sql!(
            "SELECT vendor, name, version, content, created_at, created_by, note
             FROM boot_template WHERE tenant_id = $1 AND vendor = $2 AND name = $3
             ORDER BY version DESC LIMIT 200"
        ))
        .bind(tenant.to_string())
        .bind(vendor.as_str())
        .bind(name.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().filter_map(StoredRow::parse).collect())
}

/// False when somebody else made that version.
pub(super) async fn insert(
    change: &mut Change,
    tenant: TenantId,
    (vendor, name): (Vendor, &str),
    version: i64,
    content: Option<String>,
    note: &str,
) -> Result<bool> {
    let (at, by) = (change.at(), change.actor().name.clone());
    let made = change
        .tx()
        .query(sql!(
            "INSERT INTO boot_template (tenant_id, vendor, name, version, content, created_at, created_by, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (tenant_id, vendor, name, version) DO NOTHING RETURNING version"
        ))
        .bind(tenant.to_string())
        .bind(vendor.as_str())
        .bind(name.to_owned())
        .bind(version)
        .bind(content)
        .bind(at)
        .bind(by)
        .bind(note.to_owned())
        .optional_scalar::<i64>()
        .await?;
    Ok(made.is_some())
}

/// The tenant's phones of a vendor, by their addresses.
pub(super) async fn phones(
    tx: &mut Tx,
    tenant: TenantId,
    vendor: Vendor,
) -> Result<Vec<(Mac, String)>> {
    let rows: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT mac, model FROM phone WHERE tenant_id = $1 AND vendor = $2 ORDER BY mac"
        ))
        .bind(tenant.to_string())
        .bind(vendor.as_str())
        .all()
        .await?;
    Ok(rows.into_iter().filter_map(|(mac, model)| Some((mac.parse().ok()?, model))).collect())
}
