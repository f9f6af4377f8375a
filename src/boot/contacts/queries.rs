//! All SQL on contacts.

use super::types::{Contact, Spec};
use crate::audit::{Change, Page};
use crate::db::{Result, Tx};
use crate::id::{ContactId, TenantId};
use crate::sql;

fn pattern(search: &str) -> String {
    if search.is_empty() {
        String::new()
    } else {
        format!("%{}%", crate::db::literal(&search.to_lowercase()))
    }
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    search: &str,
    page: Page,
) -> Result<Vec<Contact>> {
    tx.query(sql!(
        "SELECT id, name, number, version FROM contact
         WHERE tenant_id = $1 AND ($2 = '' OR name_key LIKE $2 ESCAPE '\\' OR number LIKE $2 ESCAPE '\\')
         ORDER BY name_key, number LIMIT $3 OFFSET $4"
    ))
    .bind(tenant.to_string())
    .bind(pattern(search))
    .bind(page.limit)
    .bind(page.offset)
    .all()
    .await
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, search: &str) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM contact
         WHERE tenant_id = $1 AND ($2 = '' OR name_key LIKE $2 ESCAPE '\\' OR number LIKE $2 ESCAPE '\\')"
    ))
    .bind(tenant.to_string())
    .bind(pattern(search))
    .scalar()
    .await
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: ContactId) -> Result<Option<Contact>> {
    tx.query(sql!("SELECT id, name, number, version FROM contact WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await
}

/// False when there is the same already.
pub(super) async fn insert(
    change: &mut Change,
    tenant: TenantId,
    id: ContactId,
    spec: &Spec,
) -> Result<bool> {
    let now = change.at();
    let made = change
        .tx()
        .query(sql!(
            "INSERT INTO contact (id, tenant_id, name, name_key, number, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6)
             ON CONFLICT (tenant_id, name_key, number) DO NOTHING RETURNING id"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.number.to_string())
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(made.is_some())
}

/// Whether another contact is the same.
pub(super) async fn taken(
    tx: &mut Tx,
    tenant: TenantId,
    id: ContactId,
    spec: &Spec,
) -> Result<bool> {
    let others: i64 = tx
        .query(sql!(
            "SELECT count(*) FROM contact
             WHERE tenant_id = $1 AND name_key = $3 AND number = $4 AND id <> $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(spec.name.key())
        .bind(spec.number.to_string())
        .scalar()
        .await?;
    Ok(others > 0)
}

/// Writes the contact if it is still at `version`; false when it is not.
pub(super) async fn update(
    change: &mut Change,
    tenant: TenantId,
    id: ContactId,
    version: i64,
    spec: &Spec,
) -> Result<bool> {
    let now = change.at();
    let updated = change
        .tx()
        .query(sql!(
            "UPDATE contact SET name = $4, name_key = $5, number = $6, updated_at = $7, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(version)
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.number.to_string())
        .bind(now)
        .run()
        .await?;
    Ok(updated == 1)
}

/// True when there was such a contact.
pub(super) async fn delete(change: &mut Change, tenant: TenantId, id: ContactId) -> Result<bool> {
    let gone = change.tx().query(sql!("DELETE FROM contact WHERE tenant_id = $1 AND id = $2"));
    Ok(gone.bind(tenant.to_string()).bind(id.to_string()).run().await? == 1)
}

/// Names and numbers of everybody with an enabled number and of all contacts, by name.
pub(super) async fn entries(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(String, String)>> {
    let rows: Vec<(String, String, String)> = tx
        .query(sql!(
            "SELECT u.name AS name, CAST(e.number AS TEXT) AS number, u.name_key AS name_key
             FROM users u JOIN extension e ON e.user_id = u.id
             WHERE u.tenant_id = $1 AND e.enabled
             UNION ALL
             SELECT name, number, name_key FROM contact WHERE tenant_id = $1
             ORDER BY name_key, number"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(name, number, _)| (name, number)).collect())
}
