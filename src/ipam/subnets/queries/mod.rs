//! All SQL on subnets and their pools.

// Before the modules, which use it too.
macro_rules! columns {
    () => {
        "id, name, first_key, length, parent_id, vlan, gateway, site, dns, description, version, created_at, updated_at"
    };
}

mod lists;
mod maps;
mod pools;

use std::collections::BTreeSet;

use super::types::{Spec, Subnet};
use crate::db::{Bulk, Result, Tx};
use crate::id::{PoolId, SubnetId, TenantId};
use crate::ipam::space::{Space, damaged, range};
use crate::net::{Address, Cidr, Range};
use crate::sql;
use crate::time::Timestamp;

pub(super) use lists::{
    Looked, branches, count, count_children, count_stretch, first_children, numbers_inside, page,
    sites, stretch,
};
pub(super) use maps::{Spot, gaps_before, spots};
pub(super) use pools::{
    InUse, add_pools, all_pools, held_between, homes, in_use, pools, remove_pools,
};

#[derive(sqlx::FromRow)]
pub(super) struct SubnetRow {
    id: String,
    name: String,
    first_key: Vec<u8>,
    length: i64,
    parent_id: Option<String>,
    vlan: Option<i64>,
    gateway: Option<Vec<u8>>,
    site: String,
    dns: String,
    description: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<SubnetRow> for Subnet {
    type Error = sqlx::Error;

    fn try_from(row: SubnetRow) -> Result<Self> {
        let network = Address::try_from(row.first_key).map_err(damaged)?;
        let length = u8::try_from(row.length).map_err(damaged)?;
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            name: row.name.try_into().map_err(damaged)?,
            cidr: Cidr::new(network, length).map_err(damaged)?,
            parent: row.parent_id.map(TryInto::try_into).transpose().map_err(damaged)?,
            vlan: row.vlan.map(TryInto::try_into).transpose().map_err(damaged)?,
            gateway: row.gateway.map(TryInto::try_into).transpose().map_err(damaged)?,
            site: row.site.try_into().map_err(damaged)?,
            dns: row.dns.parse().map_err(damaged)?,
            description: row.description.try_into().map_err(damaged)?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn subnets(rows: Vec<SubnetRow>) -> Result<Vec<Subnet>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: SubnetId) -> Result<Option<Subnet>> {
    let row: Option<SubnetRow> = tx
        .query(concat!("SELECT ", columns!(), " FROM subnet WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

pub(super) async fn of_pool(tx: &mut Tx, tenant: TenantId, pool: PoolId) -> Result<Option<Subnet>> {
    let row: Option<SubnetRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM subnet WHERE tenant_id = $1 AND id = (SELECT subnet_id FROM pool WHERE id = $2)"
        ))
        .bind(tenant.to_string())
        .bind(pool.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The last subnet that begins at or before `address`; of several the smallest.
pub(super) async fn before(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> Result<Option<Subnet>> {
    let row: Option<SubnetRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM subnet WHERE tenant_id = $1 AND first_key <= $2 ORDER BY first_key DESC, length DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(address.key())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Every subnet that lies wholly in the block, the block's own included, larger before smaller.
pub(super) async fn inside(tx: &mut Tx, tenant: TenantId, block: Range) -> Result<Vec<Subnet>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM subnet WHERE tenant_id = $1 AND first_key >= $2 AND first_key <= $3 AND last_key <= $3
             ORDER BY first_key, length"
        ))
        .bind(tenant.to_string())
        .bind(block.first().key())
        .bind(block.last().key())
        .all()
        .await?;
    subnets(rows)
}

/// The ranges of the subnets directly inside one.
pub(super) async fn ranges_inside(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubnetId,
) -> Result<Vec<Range>> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = tx
        .query(sql!("SELECT first_key, last_key FROM subnet WHERE tenant_id = $1 AND parent_id = $2 ORDER BY first_key"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .all()
        .await?;
    rows.into_iter().map(|(first, last)| range(first, last)).collect()
}

/// The subnets directly inside one, or those inside none.
pub(super) async fn children(
    tx: &mut Tx,
    tenant: TenantId,
    parent: Option<SubnetId>,
) -> Result<Vec<Subnet>> {
    let rows = match parent {
        Some(parent) => tx
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM subnet WHERE tenant_id = $1 AND parent_id = $2 ORDER BY first_key"
            ))
            .bind(tenant.to_string())
            .bind(parent.to_string()),
        None => tx
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM subnet WHERE tenant_id = $1 AND parent_id IS NULL ORDER BY first_key"
            ))
            .bind(tenant.to_string()),
    };
    subnets(rows.all().await?)
}

pub(super) async fn all(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Subnet>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM subnet WHERE tenant_id = $1 ORDER BY first_key, length"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    subnets(rows)
}

pub(super) async fn named(tx: &mut Tx, tenant: TenantId, key: &str) -> Result<Option<SubnetId>> {
    let id: Option<String> = tx
        .query(sql!("SELECT id FROM subnet WHERE tenant_id = $1 AND name_key = $2"))
        .bind(tenant.to_string())
        .bind(key.to_owned())
        .optional_scalar()
        .await?;
    id.map(|id| id.try_into().map_err(damaged)).transpose()
}

/// False when another subnet has exactly these addresses.
pub(super) async fn insert(
    space: &mut Space<'_>,
    id: SubnetId,
    spec: &Spec,
    parent: Option<SubnetId>,
) -> Result<bool> {
    let (tenant, now) = (space.tenant(), space.at());
    let made = space
        .tx()
        .query(sql!(
            "INSERT INTO subnet (id, tenant_id, name, name_key, first_key, last_key, length, parent_id, vlan, gateway, site,
                 site_key, dns, description, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
             ON CONFLICT (tenant_id, first_key, length) DO NOTHING"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.cidr.network().key())
        .bind(spec.cidr.last().key())
        .bind(i64::from(spec.cidr.length()))
        .bind(parent.map(|id| id.to_string()))
        .bind(spec.vlan.map(super::types::Vlan::as_i64))
        .bind(spec.gateway.map(Address::key))
        .bind(spec.site.to_string())
        .bind(spec.site.key())
        .bind(spec.dns.to_string())
        .bind(spec.description.to_string())
        .bind(now)
        .run()
        .await?;
    Ok(made == 1)
}

static ADD: Bulk = Bulk {
    head: "INSERT INTO subnet (id, tenant_id, name, name_key, first_key, last_key, length, parent_id, vlan, gateway, site,
               site_key, dns, description, created_at, updated_at) VALUES",
    columns: 16,
    most: 128,
    tail: "",
};

/// Adds subnets, each after those around it.
pub(super) async fn insert_all(space: &mut Space<'_>, subnets: &[&Subnet]) -> Result<()> {
    let tenant = space.tenant().to_string();
    let rows: Vec<(&str, &Subnet)> =
        subnets.iter().map(|subnet| (tenant.as_str(), *subnet)).collect();
    space
        .tx()
        .insert_many(&ADD, &rows, |row, (tenant, subnet)| {
            row.bind(subnet.id.to_string())
                .bind((*tenant).to_owned())
                .bind(subnet.name.to_string())
                .bind(subnet.name.key())
                .bind(subnet.cidr.network().key())
                .bind(subnet.cidr.last().key())
                .bind(i64::from(subnet.cidr.length()))
                .bind(subnet.parent.map(|id| id.to_string()))
                .bind(subnet.vlan.map(super::types::Vlan::as_i64))
                .bind(subnet.gateway.map(Address::key))
                .bind(subnet.site.to_string())
                .bind(subnet.site.key())
                .bind(subnet.dns.to_string())
                .bind(subnet.description.to_string())
                .bind(subnet.created_at)
                .bind(subnet.updated_at)
        })
        .await
}

pub(super) async fn update(
    space: &mut Space<'_>,
    id: SubnetId,
    spec: &Spec,
    parent: Option<SubnetId>,
) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    space
        .tx()
        .query(sql!(
            "UPDATE subnet SET name = $3, name_key = $4, first_key = $5, last_key = $6, length = $7, parent_id = $8, vlan = $9,
                 gateway = $10, site = $11, site_key = $12, dns = $13, description = $14, updated_at = $15, version = version + 1
             WHERE tenant_id = $1 AND id = $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.cidr.network().key())
        .bind(spec.cidr.last().key())
        .bind(i64::from(spec.cidr.length()))
        .bind(parent.map(|id| id.to_string()))
        .bind(spec.vlan.map(super::types::Vlan::as_i64))
        .bind(spec.gateway.map(Address::key))
        .bind(spec.site.to_string())
        .bind(spec.site.key())
        .bind(spec.dns.to_string())
        .bind(spec.description.to_string())
        .bind(now)
        .run()
        .await
        .map(drop)
}

/// The sites whose profiles say of phones what Asterisk is told. Phones hear nothing of a subnet whose
/// site they stand at, so what changes that has to know itself whether it concerns Asterisk.
pub(super) async fn sites_told_of(tx: &mut Tx, tenant: TenantId) -> Result<BTreeSet<String>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT DISTINCT p.scope_key FROM profile p JOIN profile_setting s ON s.profile_id = p.id
             WHERE p.tenant_id = $1 AND p.scope = 'site' AND s.key IN ('sip.digest', 'sip.srtp')"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(site,)| site).collect())
}

pub(super) async fn set_parent(
    space: &mut Space<'_>,
    id: SubnetId,
    parent: Option<SubnetId>,
) -> Result<()> {
    let tenant = space.tenant();
    space
        .tx()
        .query(sql!("UPDATE subnet SET parent_id = $3 WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(parent.map(|id| id.to_string()))
        .run()
        .await
        .map(drop)
}

pub(super) async fn delete(space: &mut Space<'_>, id: SubnetId) -> Result<()> {
    let tenant = space.tenant();
    let gone = space.tx().query(sql!("DELETE FROM subnet WHERE tenant_id = $1 AND id = $2"));
    gone.bind(tenant.to_string()).bind(id.to_string()).run().await.map(drop)
}
