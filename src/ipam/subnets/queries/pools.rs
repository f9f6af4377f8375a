//! All SQL on pools, and on what lies in them.

use super::super::types::{Pool, Subnet};
use crate::db::{Bulk, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::HolderKind;
use crate::ipam::class::Kind;
use crate::ipam::space::{Space, damaged, range};
use crate::net::{Address, Range};
use crate::sql;

#[derive(sqlx::FromRow)]
struct PoolRow {
    id: String,
    kind: String,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    derived: bool,
}

pub(in crate::ipam::subnets) async fn pools(tx: &mut Tx, subnet: SubnetId) -> Result<Vec<Pool>> {
    let rows: Vec<PoolRow> = tx
        .query(sql!(
            "SELECT id, kind, first_key, last_key, derived FROM pool WHERE subnet_id = $1 ORDER BY first_key"
        ))
        .bind(subnet.to_string())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

impl TryFrom<PoolRow> for Pool {
    type Error = sqlx::Error;

    fn try_from(row: PoolRow) -> Result<Self> {
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            kind: row.kind.try_into().map_err(damaged)?,
            range: range(row.first_key, row.last_key)?,
            derived: row.derived,
        })
    }
}

#[derive(sqlx::FromRow)]
struct OwnedPoolRow {
    subnet_id: String,
    #[sqlx(flatten)]
    pool: PoolRow,
}

/// Every pool of the tenant with its subnet, those of one subnet in the order of their addresses.
pub(in crate::ipam::subnets) async fn all_pools(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<Vec<(SubnetId, Pool)>> {
    let rows: Vec<OwnedPoolRow> = tx
        .query(sql!(
            "SELECT subnet_id, id, kind, first_key, last_key, derived FROM pool WHERE tenant_id = $1 ORDER BY first_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let pair =
        |row: OwnedPoolRow| Ok((row.subnet_id.try_into().map_err(damaged)?, row.pool.try_into()?));
    rows.into_iter().map(pair).collect()
}

static ADD_POOLS: Bulk = Bulk {
    head: "INSERT INTO pool (id, tenant_id, subnet_id, kind, first_key, last_key, derived) VALUES",
    columns: 7,
    most: 128,
    tail: "",
};

pub(in crate::ipam::subnets) async fn add_pools(
    space: &mut Space<'_>,
    pools: impl Iterator<Item = (SubnetId, &Pool)>,
) -> Result<()> {
    let tenant = space.tenant().to_string();
    let rows: Vec<(String, String, &Pool)> =
        pools.map(|(subnet, pool)| (tenant.clone(), subnet.to_string(), pool)).collect();
    space
        .tx()
        .insert_many(&ADD_POOLS, &rows, |row, (tenant, subnet, pool)| {
            row.bind(pool.id.to_string())
                .bind(tenant.clone())
                .bind(subnet.clone())
                .bind(pool.kind.as_str().to_owned())
                .bind(pool.range.first().key())
                .bind(pool.range.last().key())
                .bind(pool.derived)
        })
        .await
}

pub(in crate::ipam::subnets) async fn remove_pools(
    space: &mut Space<'_>,
    subnet: SubnetId,
) -> Result<()> {
    let gone =
        space.tx().query(sql!("DELETE FROM pool WHERE subnet_id = $1")).bind(subnet.to_string());
    gone.run().await.map(drop)
}

/// Which subnet each address of a range that has a row belongs to.
pub(in crate::ipam::subnets) async fn homes(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<Vec<(Address, Option<SubnetId>)>> {
    let rows: Vec<(Vec<u8>, Option<String>)> = tx
        .query(sql!(
            "SELECT address, subnet_id FROM address
             WHERE tenant_id = $1 AND address >= $2 AND address <= $3 ORDER BY address"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .all()
        .await?;
    let home = |(address, subnet): (Vec<u8>, Option<String>)| {
        let subnet = subnet.map(TryInto::try_into).transpose().map_err(damaged)?;
        Ok((address.try_into().map_err(damaged)?, subnet))
    };
    rows.into_iter().map(home).collect()
}

/// An address of a subnet that somebody has.
pub(in crate::ipam::subnets) struct InUse {
    pub address: Address,
    pub kind: Kind,
    /// Whether a host names it: a router is one, and its address the gateway.
    pub of_host: bool,
}

/// The addresses of a subnet that somebody has. Those of subnets inside it are not its own.
pub(in crate::ipam::subnets) async fn in_use(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: &Subnet,
) -> Result<Vec<InUse>> {
    let rows: Vec<(Vec<u8>, String, String)> = tx
        .query(sql!(
            "SELECT address, kind, holder_kind FROM address
             WHERE tenant_id = $1 AND address >= $2 AND address <= $3 AND subnet_id = $4 AND status <> 'available'
             ORDER BY address"
        ))
        .bind(tenant.to_string())
        .bind(subnet.cidr.network().key())
        .bind(subnet.cidr.last().key())
        .bind(subnet.id.to_string())
        .all()
        .await?;
    let in_use = |(address, kind, holder): (Vec<u8>, String, String)| {
        Ok(InUse {
            address: address.try_into().map_err(damaged)?,
            kind: kind.try_into().map_err(damaged)?,
            of_host: holder.parse().is_ok_and(HolderKind::is_host),
        })
    };
    rows.into_iter().map(in_use).collect()
}

/// The lowest addresses between two that somebody has, whatever subnet they are in.
pub(in crate::ipam::subnets) async fn held_between(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    limit: i64,
) -> Result<Vec<Address>> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT address FROM address
             WHERE tenant_id = $1 AND address >= $2 AND address <= $3 AND status <> 'available'
             ORDER BY address LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(first.key())
        .bind(last.key())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(|(key,)| key.try_into().map_err(damaged)).collect()
}
