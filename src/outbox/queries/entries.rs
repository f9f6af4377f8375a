//! What systems should hold: one row for each thing that is mirrored.

use super::super::mirror::{Entry, Wanted, key, leased as leased_of};
use super::super::order::{Order, unreadable};
use super::super::types::{CallState, System};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::outside::Leased;
use crate::sql;

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

pub(in crate::outbox) async fn entry(
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

pub(in crate::outbox) async fn entries(
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

pub(in crate::outbox) async fn set_entry(
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
pub(in crate::outbox) async fn reorder(
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
pub(in crate::outbox) async fn keep(
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
pub(in crate::outbox) async fn let_go(tx: &mut Tx, tenant: TenantId, leased: Leased) -> Result<()> {
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
pub(in crate::outbox) async fn lost_orders(
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
pub(in crate::outbox) async fn newest_on_line(
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

pub(in crate::outbox) async fn set_row(
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

pub(in crate::outbox) async fn set_remote(
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
pub(in crate::outbox) async fn clear(
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

pub(in crate::outbox) async fn forget(tx: &mut Tx, tenant: TenantId, system: System) -> Result<()> {
    tx.query(sql!("UPDATE outside_mirror SET remote_id = NULL, row_id = -1, row_version = -1 WHERE tenant_id = $1 AND system = $2"))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .run()
        .await
        .map(drop)
}

pub(in crate::outbox) async fn remote_id(
    tx: &mut Tx,
    tenant: TenantId,
    leased: Leased,
) -> Result<Option<i64>> {
    Ok(entry(tx, tenant, System::Netbox, leased).await?.and_then(|entry| entry.remote_id))
}
