//! All SQL on hosts.

use super::types::{Host, Sort, Spec};
use crate::audit::Page;
use crate::db::{Query, Result, Tx};
use crate::id::{HostId, TenantId};
use crate::ipam::space::{Space, damaged};
use crate::net::{Address, Mac};
use crate::sql;
use crate::text::ByName;
use crate::time::Timestamp;

macro_rules! columns {
    () => {
        "id, hostname, primary_ip, nic_mac, bmc_ip, bmc_mac, device_type, manufacturer, description, version, created_at, updated_at"
    };
}

#[derive(sqlx::FromRow)]
struct HostRow {
    id: String,
    hostname: String,
    primary_ip: Option<Vec<u8>>,
    nic_mac: String,
    bmc_ip: Option<Vec<u8>>,
    bmc_mac: String,
    device_type: String,
    manufacturer: String,
    description: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn mac(text: &str) -> Result<Option<Mac>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(damaged) }
}

impl TryFrom<HostRow> for Host {
    type Error = sqlx::Error;

    fn try_from(row: HostRow) -> Result<Self> {
        let spec = Spec {
            hostname: row.hostname.try_into().map_err(damaged)?,
            primary_ip: row.primary_ip.map(Address::try_from).transpose().map_err(damaged)?,
            nic_mac: mac(&row.nic_mac)?,
            bmc_ip: row.bmc_ip.map(Address::try_from).transpose().map_err(damaged)?,
            bmc_mac: mac(&row.bmc_mac)?,
            device_type: row.device_type.try_into().map_err(damaged)?,
            manufacturer: row.manufacturer.try_into().map_err(damaged)?,
            description: row.description.try_into().map_err(damaged)?,
        };
        let id = row.id.try_into().map_err(damaged)?;
        Ok(Self {
            id,
            spec,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: HostId) -> Result<Option<Host>> {
    let row: Option<HostRow> = tx
        .query(concat!("SELECT ", columns!(), " FROM host WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

macro_rules! matching {
    () => {
        "tenant_id = $1
         AND ($2 = '' OR hostname_key LIKE $2 ESCAPE '\\' OR lower(manufacturer) LIKE $2 ESCAPE '\\'
              OR lower(device_type) LIKE $2 ESCAPE '\\' OR lower(description) LIKE $2 ESCAPE '\\'
              OR ($3 <> '' AND (nic_mac LIKE $3 OR bmc_mac LIKE $3))
              OR (primary_ip >= $4 AND primary_ip <= $5) OR (bmc_ip >= $4 AND bmc_ip <= $5)
              OR (primary_ip >= $6 AND primary_ip <= $7) OR (bmc_ip >= $6 AND bmc_ip <= $7)
              OR (primary_ip >= $8 AND primary_ip <= $9) OR (bmc_ip >= $8 AND bmc_ip <= $9)
              OR (primary_ip >= $10 AND primary_ip <= $11) OR (bmc_ip >= $10 AND bmc_ip <= $11))
         AND ($12 = ''
              OR ($12 = 'conflict'
                  AND (EXISTS (SELECT 1 FROM address_claim AS c
                               WHERE c.tenant_id = $1 AND c.holder_id = host.id AND c.kind IN ('host', 'bmc'))
                       OR EXISTS (SELECT 1 FROM address AS a
                                  WHERE a.tenant_id = $1 AND a.holder_id = host.id AND a.holder_id <> ''
                                    AND a.holder_kind IN ('host', 'bmc') AND a.conflict)))
              OR ($12 = 'orphan'
                  AND EXISTS (SELECT 1 FROM address AS a
                              WHERE a.tenant_id = $1 AND (a.address = host.primary_ip OR a.address = host.bmc_ip)
                                AND a.subnet_id IS NULL)))"
    };
}

fn filter<'q>(query: Query<'q>, tenant: TenantId, search: &super::Search) -> Query<'q> {
    let query =
        query.bind(tenant.to_string()).bind(search.pattern.clone()).bind(search.mac.clone());
    let query = search.ranges.iter().fold(query, |query, range| {
        query
            .bind(range.map(|range| range.first().key()))
            .bind(range.map(|range| range.last().key()))
    });
    query.bind(search.only.name().to_owned())
}

macro_rules! page {
    ($order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM host WHERE ",
            matching!(),
            " ORDER BY ",
            $order,
            " LIMIT $13 OFFSET $14"
        )
    };
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    search: &super::Search,
    sort: Sort,
    page: Page,
) -> Result<Vec<Host>> {
    // Hosts without an address come last, whichever way round, on both databases.
    let text = match sort {
        Sort::Name => page!("hostname_key"),
        Sort::NameDown => page!("hostname_key DESC"),
        Sort::Address => page!("primary_ip IS NULL, primary_ip, hostname_key"),
        Sort::AddressDown => page!("primary_ip IS NULL, primary_ip DESC, hostname_key"),
        Sort::Type => page!("device_type = '', lower(device_type), hostname_key"),
        Sort::TypeDown => page!("device_type = '', lower(device_type) DESC, hostname_key"),
        Sort::Maker => page!("manufacturer = '', lower(manufacturer), hostname_key"),
        Sort::MakerDown => page!("manufacturer = '', lower(manufacturer) DESC, hostname_key"),
    };
    let rows: Vec<HostRow> =
        filter(tx.query(text), tenant, search).bind(page.limit).bind(page.offset).all().await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The hosts after the one whose name is `after`, in the order of their names.
pub(super) async fn after_name(
    tx: &mut Tx,
    tenant: TenantId,
    search: &super::Search,
    after: &str,
    limit: i64,
) -> Result<Vec<Host>> {
    let query = tx.query(concat!(
        "SELECT ",
        columns!(),
        " FROM host WHERE ",
        matching!(),
        " AND hostname_key > $13 ORDER BY hostname_key LIMIT $14"
    ));
    let rows: Vec<HostRow> =
        filter(query, tenant, search).bind(after.to_owned()).bind(limit).all().await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, search: &super::Search) -> Result<i64> {
    let query = tx.query(concat!("SELECT count(*) FROM host WHERE ", matching!()));
    filter(query, tenant, search).scalar().await
}

/// Hosts in the order of their ids, which is that in which they were made.
pub(super) async fn after(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<HostId>,
    limit: i64,
) -> Result<Vec<Host>> {
    let rows: Vec<HostRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM host WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3"
        ))
        .bind(tenant.to_string())
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many hosts there are, how many of them have a conflict, and how many an address in no
/// subnet. The two are counted from the addresses' side, where they are few.
pub(super) async fn totals(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64, i64)> {
    tx.query(sql!(
        "SELECT (SELECT count(*) FROM host WHERE tenant_id = $1),
             (SELECT count(*) FROM (
                  SELECT c.holder_id FROM address_claim AS c WHERE c.tenant_id = $1 AND c.kind IN ('host', 'bmc')
                  UNION
                  SELECT a.holder_id FROM address_claim AS c
                  JOIN address AS a ON a.tenant_id = c.tenant_id AND a.address = c.address
                  WHERE c.tenant_id = $1 AND a.holder_kind IN ('host', 'bmc')) AS disputed),
             (SELECT count(*) FROM (
                  SELECT a.holder_id FROM address AS a
                  WHERE a.tenant_id = $1 AND a.subnet_id IS NULL AND a.holder_kind IN ('host', 'bmc')
                  UNION
                  SELECT c.holder_id FROM address_claim AS c
                  JOIN address AS a ON a.tenant_id = c.tenant_id AND a.address = c.address
                  WHERE c.tenant_id = $1 AND a.subnet_id IS NULL AND c.kind IN ('host', 'bmc')) AS orphaned)"
    ))
    .bind(tenant.to_string())
    .one()
    .await
}

pub(super) async fn named(tx: &mut Tx, tenant: TenantId, key: &str) -> Result<Option<HostId>> {
    let id: Option<String> = tx
        .query(sql!("SELECT id FROM host WHERE tenant_id = $1 AND hostname_key = $2"))
        .bind(tenant.to_string())
        .bind(key.to_owned())
        .optional_scalar()
        .await?;
    id.map(|id| id.try_into().map_err(damaged)).transpose()
}

fn bind<'q>(
    query: Query<'q>,
    tenant: TenantId,
    id: HostId,
    spec: &Spec,
    now: Timestamp,
) -> Query<'q> {
    query
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(spec.hostname.to_string())
        .bind(spec.hostname.key())
        .bind(spec.primary_ip.map(Address::key))
        .bind(spec.nic_mac.map(Mac::hex).unwrap_or_default())
        .bind(spec.bmc_ip.map(Address::key))
        .bind(spec.bmc_mac.map(Mac::hex).unwrap_or_default())
        .bind(spec.device_type.to_string())
        .bind(spec.manufacturer.to_string())
        .bind(spec.description.to_string())
        .bind(now)
}

pub(super) async fn insert(space: &mut Space<'_>, id: HostId, spec: &Spec) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let query = space.tx().query(sql!(
        "INSERT INTO host (id, tenant_id, hostname, hostname_key, primary_ip, nic_mac, bmc_ip, bmc_mac, device_type,
             manufacturer, description, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)"
    ));
    bind(query, tenant, id, spec, now).run().await.map(drop)
}

pub(super) async fn update(space: &mut Space<'_>, id: HostId, spec: &Spec) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let query = space.tx().query(sql!(
        "UPDATE host SET hostname = $3, hostname_key = $4, primary_ip = $5, nic_mac = $6, bmc_ip = $7, bmc_mac = $8,
             device_type = $9, manufacturer = $10, description = $11, updated_at = $12, version = version + 1
         WHERE id = $1 AND tenant_id = $2"
    ));
    bind(query, tenant, id, spec, now).run().await.map(drop)
}

pub(super) async fn delete(space: &mut Space<'_>, id: HostId) -> Result<()> {
    let tenant = space.tenant();
    let gone = space.tx().query(sql!("DELETE FROM host WHERE tenant_id = $1 AND id = $2"));
    gone.bind(tenant.to_string()).bind(id.to_string()).run().await.map(drop)
}
