//! All SQL that reads the register of addresses beside what systems outside should hold of it.

use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::{Address, Cidr};
use crate::sql;

/// An address of the register, as systems outside are told of it.
#[derive(sqlx::FromRow)]
pub(super) struct Held {
    pub id: i64,
    pub version: i64,
    pub address: Vec<u8>,
    pub hostname: String,
    pub mac: String,
    pub status: String,
    pub kind: String,
    pub holder_kind: String,
    pub holder_name: String,
    pub description: String,
    pub reason: String,
    /// The length of the subnet around it.
    pub length: Option<i64>,
}

/// A subnet of the register.
#[derive(sqlx::FromRow)]
pub(super) struct HeldSubnet {
    pub created_at: i64,
    pub version: i64,
    pub first_key: Vec<u8>,
    pub length: i64,
    pub name: String,
    pub description: String,
}

pub(super) fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

pub(super) fn address(key: Vec<u8>) -> Result<Address> {
    key.try_into().map_err(damaged)
}

pub(super) fn prefix(key: Vec<u8>, length: i64) -> Result<Cidr> {
    let length = u8::try_from(length).map_err(damaged)?;
    Cidr::new(address(key)?, length).map_err(damaged)
}

/// Addresses of machines with a MAC that differ from what DHCP was last told, after `after`: static
/// ones, and those a host or a phone is set to, wherever they lie; a lease is neither. A machine has
/// one address in a subnet by DHCP: its lowest. What is being revoked was taken back already.
pub(super) async fn dhcp_changed(
    tx: &mut Tx,
    tenant: TenantId,
    after: &[u8],
    limit: i64,
) -> Result<Vec<Held>> {
    tx.query(sql!(
        "SELECT a.id, a.version, a.address, a.hostname, a.mac, a.status, a.kind, a.holder_kind, a.holder_name, a.description,
                a.reason, CAST(NULL AS BIGINT) AS length
         FROM address a LEFT JOIN outside_mirror m
           ON m.tenant_id = a.tenant_id AND m.system = 'dhcp' AND m.address = a.address AND m.length = -1
         WHERE a.tenant_id = $1 AND a.address > $2 AND a.status = 'allocated' AND a.mac <> ''
           AND (a.kind = 'static' OR a.holder_kind IN ('host', 'bmc', 'phone'))
           AND (m.address IS NULL OR (NOT m.ordered AND (m.row_id <> a.id OR m.row_version <> a.version)))
           AND (a.assignment IS NULL OR NOT EXISTS (SELECT 1 FROM assignment r
                WHERE r.tenant_id = a.tenant_id AND r.id = a.assignment AND r.state = 'revoking'))
           AND NOT EXISTS (SELECT 1 FROM address o
                           WHERE o.tenant_id = a.tenant_id AND o.mac_sort = a.mac_sort AND o.address < a.address
                             AND o.status = 'allocated'
                             AND (o.kind = 'static' OR o.holder_kind IN ('host', 'bmc', 'phone'))
                             AND o.subnet_id IS NOT DISTINCT FROM a.subnet_id)
         ORDER BY a.address LIMIT $3"
    ))
    .bind(tenant.to_string())
    .bind(after.to_vec())
    .bind(limit)
    .all()
    .await
}

/// Addresses DHCP was told of that are no longer to be reserved.
pub(super) async fn dhcp_gone(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Vec<Vec<u8>>> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT m.address FROM outside_mirror m
             WHERE m.tenant_id = $1 AND m.system = 'dhcp' AND m.length = -1 AND NOT m.ordered AND m.wanted <> ''
               AND NOT EXISTS (SELECT 1 FROM address a
                               WHERE a.tenant_id = m.tenant_id AND a.address = m.address AND a.status = 'allocated'
                                 AND (a.kind = 'static' OR a.holder_kind IN ('host', 'bmc', 'phone')) AND a.mac <> ''
                                 AND NOT EXISTS (SELECT 1 FROM address o
                                                 WHERE o.tenant_id = a.tenant_id AND o.mac_sort = a.mac_sort
                                                   AND o.address < a.address AND o.status = 'allocated'
                                                   AND (o.kind = 'static' OR o.holder_kind IN ('host', 'bmc', 'phone'))
                                                   AND o.subnet_id IS NOT DISTINCT FROM a.subnet_id))
             ORDER BY m.address LIMIT $2"
        ))
        .bind(tenant.to_string())
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(address,)| address).collect())
}

/// Addresses that somebody has, that are kept or in quarantine, and differ from what NetBox was
/// last told, after `after`. What is being revoked was taken back already; what is reserved because
/// others have it there is not said.
pub(super) async fn netbox_changed(
    tx: &mut Tx,
    tenant: TenantId,
    after: &[u8],
    limit: i64,
) -> Result<Vec<Held>> {
    tx.query(sql!(
        "SELECT a.id, a.version, a.address, a.hostname, a.mac, a.status, a.kind, a.holder_kind, a.holder_name, a.description,
                a.reason, s.length
         FROM address a LEFT JOIN subnet s ON s.id = a.subnet_id
         LEFT JOIN outside_mirror m
           ON m.tenant_id = a.tenant_id AND m.system = 'netbox' AND m.address = a.address AND m.length = -1
         WHERE a.tenant_id = $1 AND a.address > $2 AND a.status <> 'available'
           AND (m.address IS NULL OR (NOT m.ordered AND (m.row_id <> a.id OR m.row_version <> a.version)))
           AND NOT (a.status = 'reserved' AND m.address IS NOT NULL AND m.wanted = '' AND m.row_id = a.id)
           AND (a.assignment IS NULL OR NOT EXISTS (SELECT 1 FROM assignment r
                WHERE r.tenant_id = a.tenant_id AND r.id = a.assignment AND r.state = 'revoking'))
         ORDER BY a.address LIMIT $3"
    ))
    .bind(tenant.to_string())
    .bind(after.to_vec())
    .bind(limit)
    .all()
    .await
}

/// Forgets what was not said of addresses because others have them in NetBox, when they are no
/// longer reserved for that.
pub(super) async fn forget_passed_over(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    tx.query(sql!(
        "DELETE FROM outside_mirror
         WHERE tenant_id = $1 AND system = 'netbox' AND length = -1 AND wanted = '' AND NOT ordered AND row_id > 0
           AND NOT EXISTS (SELECT 1 FROM address a
                           WHERE a.tenant_id = outside_mirror.tenant_id AND a.address = outside_mirror.address
                             AND a.id = outside_mirror.row_id AND a.status = 'reserved')"
    ))
    .bind(tenant.to_string())
    .run()
    .await
    .map(drop)
}

/// Addresses NetBox was told of that are free now.
pub(super) async fn netbox_gone(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Vec<Vec<u8>>> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT m.address FROM outside_mirror m
             WHERE m.tenant_id = $1 AND m.system = 'netbox' AND m.length = -1 AND NOT m.ordered AND m.wanted <> ''
               AND NOT EXISTS (SELECT 1 FROM address a
                               WHERE a.tenant_id = m.tenant_id AND a.address = m.address AND a.status <> 'available')
             ORDER BY m.address LIMIT $2"
        ))
        .bind(tenant.to_string())
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(address,)| address).collect())
}

/// Subnets that differ from what NetBox was last told. There are few of them.
pub(super) async fn subnets_changed(
    tx: &mut Tx,
    tenant: TenantId,
    limit: i64,
) -> Result<Vec<HeldSubnet>> {
    tx.query(sql!(
        "SELECT s.created_at, s.version, s.first_key, s.length, s.name, s.description
         FROM subnet s LEFT JOIN outside_mirror m
           ON m.tenant_id = s.tenant_id AND m.system = 'netbox' AND m.address = s.first_key AND m.length = s.length
         WHERE s.tenant_id = $1
           AND (m.address IS NULL OR (NOT m.ordered AND (m.row_id <> s.created_at OR m.row_version <> s.version)))
         ORDER BY s.first_key, s.length LIMIT $2"
    ))
    .bind(tenant.to_string())
    .bind(limit)
    .all()
    .await
}

/// A delegated prefix, as NetBox is told of it.
#[derive(sqlx::FromRow)]
pub(super) struct Delegated {
    pub created_at: i64,
    pub version: i64,
    pub first_key: Vec<u8>,
    pub length: i64,
    pub holder_kind: String,
    pub holder_id: String,
    pub holder_name: String,
    pub hostname: String,
    /// When it was taken into use.
    pub activated_at: Option<i64>,
}

/// Delegated prefixes that differ from what NetBox was last told, after `after`. What operations
/// ordered is no difference, and what is being revoked was taken back already; of what failed it is
/// said again what was said before, and nothing new.
pub(super) async fn delegated_changed(
    tx: &mut Tx,
    tenant: TenantId,
    after: &[u8],
    limit: i64,
) -> Result<Vec<Delegated>> {
    tx.query(sql!(
        "SELECT r.created_at, r.version, r.first_key, r.length, r.holder_kind, r.holder_id, r.holder_name, r.hostname,
                r.activated_at
         FROM assignment r LEFT JOIN outside_mirror m
           ON m.tenant_id = r.tenant_id AND m.system = 'netbox' AND m.address = r.first_key AND m.length = r.length
         WHERE r.tenant_id = $1 AND r.live AND r.family = 'prefix' AND r.first_key > $2
           AND (r.state IN ('allocated', 'active', 'suspended') OR (r.state = 'failed' AND m.wanted <> ''))
           AND (m.address IS NULL OR (NOT m.ordered AND (m.row_id <> r.created_at OR m.row_version <> r.version)))
         ORDER BY r.first_key LIMIT $3"
    ))
    .bind(tenant.to_string())
    .bind(after.to_vec())
    .bind(limit)
    .all()
    .await
}

/// What a person calls whoever has exactly this prefix under an assignment: a kind and a name.
pub(super) async fn delegated_to(
    tx: &mut Tx,
    tenant: TenantId,
    prefix: Cidr,
) -> Result<Option<(String, String)>> {
    tx.query(sql!(
        "SELECT holder_kind, holder_name FROM assignment
         WHERE tenant_id = $1 AND live AND first_key = $2 AND family = 'prefix' AND length = $3"
    ))
    .bind(tenant.to_string())
    .bind(prefix.network().key())
    .bind(i64::from(prefix.length()))
    .optional()
    .await
}

/// Prefixes NetBox was told of that are no subnet any more, and nobody's.
pub(super) async fn prefixes_gone(
    tx: &mut Tx,
    tenant: TenantId,
    limit: i64,
) -> Result<Vec<(Vec<u8>, i64)>> {
    tx.query(sql!(
        "SELECT m.address, m.length FROM outside_mirror m
         WHERE m.tenant_id = $1 AND m.system = 'netbox' AND m.length >= 0 AND NOT m.ordered AND m.wanted <> ''
           AND NOT EXISTS (SELECT 1 FROM subnet s
                           WHERE s.tenant_id = m.tenant_id AND s.first_key = m.address AND s.length = m.length)
           AND NOT EXISTS (SELECT 1 FROM assignment r
                           WHERE r.tenant_id = m.tenant_id AND r.first_key = m.address AND r.length = m.length
                             AND r.live AND r.family = 'prefix' AND r.state <> 'revoking')
         ORDER BY m.address, m.length LIMIT $2"
    ))
    .bind(tenant.to_string())
    .bind(limit)
    .all()
    .await
}

/// A static address for the files.
#[derive(sqlx::FromRow)]
pub(super) struct Static {
    pub address: Vec<u8>,
    pub mac: String,
    pub hostname: String,
    pub subnet_first: Option<Vec<u8>>,
    pub subnet_length: Option<i64>,
}

/// Every static address with a MAC, in order, after `after`: as Kea is told of them, so of each
/// machine in a subnet the lowest.
pub(super) async fn statics(
    tx: &mut Tx,
    tenant: TenantId,
    after: &[u8],
    limit: i64,
) -> Result<Vec<Static>> {
    tx.query(sql!(
        "SELECT a.address, a.mac, a.hostname, s.first_key AS subnet_first, s.length AS subnet_length
         FROM address a LEFT JOIN subnet s ON s.id = a.subnet_id
         WHERE a.tenant_id = $1 AND a.address > $2 AND a.status = 'allocated' AND a.mac <> ''
           AND (a.kind = 'static' OR a.holder_kind IN ('host', 'bmc', 'phone'))
           AND NOT EXISTS (SELECT 1 FROM address o
                           WHERE o.tenant_id = a.tenant_id AND o.mac_sort = a.mac_sort AND o.address < a.address
                             AND o.status = 'allocated'
                             AND (o.kind = 'static' OR o.holder_kind IN ('host', 'bmc', 'phone'))
                             AND o.subnet_id IS NOT DISTINCT FROM a.subnet_id)
         ORDER BY a.address LIMIT $3"
    ))
    .bind(tenant.to_string())
    .bind(after.to_vec())
    .bind(limit)
    .all()
    .await
}
