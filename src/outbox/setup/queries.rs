//! All SQL on setups.

use super::nas::{Nas, NewNas};
use crate::db::{Result, Tx};
use crate::id::{NasId, TenantId};
use crate::outbox::System;
use crate::outside::guard::Allowance;
use crate::sql;
use crate::time::Timestamp;

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

#[derive(sqlx::FromRow)]
pub(super) struct SetupRow {
    pub enabled: bool,
    pub settings: String,
    pub secret: Vec<u8>,
    pub version: i64,
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, system: System) -> Result<Option<SetupRow>> {
    tx.query(sql!(
        "SELECT enabled, settings, secret, version FROM outside_system WHERE tenant_id = $1 AND system = $2"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .optional()
    .await
}

pub(super) async fn put(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    (enabled, settings, secret): (bool, &str, &[u8]),
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO outside_system (tenant_id, system, enabled, settings, secret, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, system) DO UPDATE
         SET enabled = $3, settings = $4, secret = $5, updated_at = $6, seen_seq = 0,
             version = outside_system.version + 1"
    ))
    .bind(tenant.to_string())
    .bind(system.as_str())
    .bind(enabled)
    .bind(settings.to_owned())
    .bind(secret.to_vec())
    .bind(now)
    .run()
    .await
    .map(drop)
}

pub(super) async fn switched_on(
    tx: &mut Tx,
    system: System,
) -> Result<Vec<(TenantId, i64, Timestamp)>> {
    let rows: Vec<(String, i64, Timestamp)> = tx
        .query(sql!(
            "SELECT tenant_id, seen_seq, checked_at FROM outside_system WHERE system = $1 AND enabled
             ORDER BY tenant_id"
        ))
        .bind(system.as_str())
        .all()
        .await?;
    rows.into_iter()
        .map(|(tenant, seq, at)| Ok((tenant.try_into().map_err(damaged)?, seq, at)))
        .collect()
}

pub(super) async fn compared(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    seq: i64,
) -> Result<()> {
    tx.query(sql!("UPDATE outside_system SET seen_seq = $3 WHERE tenant_id = $1 AND system = $2"))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(seq)
        .run()
        .await
        .map(drop)
}

pub(super) async fn checked(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    at: Timestamp,
) -> Result<()> {
    tx.query(sql!("UPDATE outside_system SET checked_at = $3 WHERE tenant_id = $1 AND system = $2"))
        .bind(tenant.to_string())
        .bind(system.as_str())
        .bind(at)
        .run()
        .await
        .map(drop)
}

#[derive(sqlx::FromRow)]
struct NasRow {
    id: String,
    name: String,
    address: String,
    port: i64,
    fallback: bool,
    secret: Vec<u8>,
}

pub(super) async fn nases(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Nas>> {
    let rows: Vec<NasRow> = tx
        .query(sql!(
            "SELECT id, name, address, port, fallback, secret FROM outside_nas WHERE tenant_id = $1
             ORDER BY name, address"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let parse = |row: NasRow| {
        Ok(Nas {
            id: row.id.try_into().map_err(damaged)?,
            name: row.name.try_into().map_err(damaged)?,
            address: row.address.parse().map_err(damaged)?,
            port: u16::try_from(row.port).map_err(damaged)?,
            fallback: row.fallback,
            sealed: row.secret,
        })
    };
    rows.into_iter().map(parse).collect()
}

pub(super) async fn no_fallback(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    tx.query(sql!("UPDATE outside_nas SET fallback = FALSE WHERE tenant_id = $1 AND fallback"))
        .bind(tenant.to_string())
        .run()
        .await
        .map(drop)
}

/// False when the address is in the list.
pub(super) async fn add_nas(
    tx: &mut Tx,
    tenant: TenantId,
    id: NasId,
    new: &NewNas,
    sealed: &[u8],
    now: Timestamp,
) -> Result<bool> {
    let added = tx
        .query(sql!(
            "INSERT INTO outside_nas (id, tenant_id, name, address, port, secret, fallback, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, address) DO NOTHING RETURNING id"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(new.name.to_string())
        .bind(new.address.to_string())
        .bind(i64::from(new.port))
        .bind(sealed.to_vec())
        .bind(new.fallback)
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(added.is_some())
}

pub(super) async fn set_nas(
    tx: &mut Tx,
    tenant: TenantId,
    id: NasId,
    new: &NewNas,
    sealed: &[u8],
) -> Result<()> {
    tx.query(sql!(
        "UPDATE outside_nas SET name = $3, address = $4, port = $5, secret = $6, fallback = $7
         WHERE tenant_id = $1 AND id = $2"
    ))
    .bind(tenant.to_string())
    .bind(id.to_string())
    .bind(new.name.to_string())
    .bind(new.address.to_string())
    .bind(i64::from(new.port))
    .bind(sealed.to_vec())
    .bind(new.fallback)
    .run()
    .await
    .map(drop)
}

pub(super) async fn remove_nas(tx: &mut Tx, tenant: TenantId, id: NasId) -> Result<()> {
    tx.query(sql!("DELETE FROM outside_nas WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .run()
        .await
        .map(drop)
}

pub(super) async fn allowed(tx: &mut Tx) -> Result<Vec<(System, Allowance)>> {
    let rows: Vec<(String, String)> = tx
        .query(sql!("SELECT system, target FROM outside_allowed ORDER BY system, target"))
        .all()
        .await?;
    rows.into_iter()
        .map(|(system, target)| {
            Ok((system.try_into().map_err(damaged)?, target.parse().map_err(damaged)?))
        })
        .collect()
}

/// False when it was allowed already.
pub(super) async fn allow(
    tx: &mut Tx,
    system: System,
    target: &Allowance,
    now: Timestamp,
) -> Result<bool> {
    let new = tx
        .query(sql!(
            "INSERT INTO outside_allowed (system, target, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (system, target) DO NOTHING RETURNING target"
        ))
        .bind(system.as_str())
        .bind(target.to_string())
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(new.is_some())
}

pub(super) async fn disallow(tx: &mut Tx, system: System, target: &Allowance) -> Result<bool> {
    let gone = tx
        .query(sql!("DELETE FROM outside_allowed WHERE system = $1 AND target = $2"))
        .bind(system.as_str())
        .bind(target.to_string())
        .run()
        .await?;
    Ok(gone == 1)
}
