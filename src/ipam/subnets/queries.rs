//! All SQL on subnets and their pools.

use std::collections::HashMap;

use super::listing::Filter;
use super::types::{Pool, Spec, Subnet};
use crate::audit::Page;
use crate::db::{self, Bulk, Query, Result, Tx};
use crate::id::{PoolId, SubnetId, TenantId};
use crate::ipam::addresses::HolderKind;
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{Gap, GapRow, Space, damaged, range};
use crate::net::{Address, Cidr, Family, Range};
use crate::sql;
use crate::time::Timestamp;

macro_rules! columns {
    () => {
        "id, name, first_key, length, parent_id, vlan, gateway, site, dns, description, version, created_at, updated_at"
    };
}

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

// Pools

#[derive(sqlx::FromRow)]
struct PoolRow {
    id: String,
    kind: String,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    derived: bool,
}

pub(super) async fn pools(tx: &mut Tx, subnet: SubnetId) -> Result<Vec<Pool>> {
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
pub(super) async fn all_pools(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(SubnetId, Pool)>> {
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

pub(super) async fn add_pools(
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

pub(super) async fn remove_pools(space: &mut Space<'_>, subnet: SubnetId) -> Result<()> {
    let gone =
        space.tx().query(sql!("DELETE FROM pool WHERE subnet_id = $1")).bind(subnet.to_string());
    gone.run().await.map(drop)
}

/// Which subnet each address of a range that has a row belongs to.
pub(super) async fn homes(
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
pub(super) struct InUse {
    pub address: Address,
    pub kind: Kind,
    /// Whether a host names it: a router is one, and its address the gateway.
    pub of_host: bool,
}

/// The addresses of a subnet that somebody has. Those of subnets inside it are not its own.
pub(super) async fn in_use(tx: &mut Tx, tenant: TenantId, subnet: &Subnet) -> Result<Vec<InUse>> {
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
pub(super) async fn held_between(
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

// Lists

/// What a list looks for: `$2` to `$4` the family with the ends of IPv4; `$5` the site; `$6` the
/// VLAN; `$7` the parent; `$8` whether addresses are searched, `$9` to `$16` which; `$17` and `$18`
/// words or a VLAN.
macro_rules! looked {
    () => {
        "tenant_id = $1
         AND ($2 = '' OR ($2 = 'v4' AND first_key >= $3 AND first_key <= $4) OR ($2 = 'v6' AND (first_key < $3 OR first_key > $4)))
         AND ($5 = '' OR site_key = $5) AND ($6 = 0 OR vlan = $6) AND ($7 = '' OR parent_id = $7)
         AND ($8 = 0 OR (first_key <= $10 AND last_key >= $9) OR (first_key <= $12 AND last_key >= $11)
              OR (first_key <= $14 AND last_key >= $13) OR (first_key <= $16 AND last_key >= $15))
         AND ($17 = '' OR name_key LIKE $17 ESCAPE '\\' OR site_key LIKE $17 ESCAPE '\\' OR vlan = $18)"
    };
}

/// The values of [`looked`], in their order.
pub(super) struct Looked {
    family: &'static str,
    site: String,
    vlan: i64,
    parent: String,
    ranges: Vec<Range>,
    words: String,
    number: i64,
}

impl Looked {
    /// None when nothing can match.
    pub(super) fn of(filter: &Filter, meaning: Option<Vec<Range>>) -> Option<Self> {
        let words = filter.search.trim().to_lowercase();
        let number = words.strip_prefix("vlan").unwrap_or(&words).trim().parse().unwrap_or(0);
        let words = match &meaning {
            None if !words.is_empty() => format!("%{}%", db::literal(&words)),
            _ => String::new(),
        };
        let mut ranges = meaning.unwrap_or_default();
        if let Some(address) = filter.contains {
            ranges = if ranges.is_empty() {
                vec![Range::single(address)]
            } else {
                let both = ranges.into_iter().filter(|range| range.contains(address));
                both.map(|_| Range::single(address)).collect()
            };
            if ranges.is_empty() {
                return None;
            }
        }
        Some(Self {
            family: match filter.family {
                None => "",
                Some(Family::V4) => "v4",
                Some(Family::V6) => "v6",
            },
            site: filter.site.trim().to_lowercase(),
            vlan: filter.vlan.map_or(0, super::types::Vlan::as_i64),
            parent: filter.parent.map(|id| id.to_string()).unwrap_or_default(),
            ranges,
            words,
            number,
        })
    }

    fn bind<'q>(&self, query: Query<'q>, tenant: TenantId) -> Query<'q> {
        let (first, last) = v4_ends();
        let query = query
            .bind(tenant.to_string())
            .bind(self.family)
            .bind(first)
            .bind(last)
            .bind(self.site.clone())
            .bind(self.vlan)
            .bind(self.parent.clone())
            .bind(i64::from(!self.ranges.is_empty()));
        // A range that nothing overlaps stands for one not given.
        let none = || (vec![u8::MAX; 17], Vec::new());
        let keys = self.ranges.iter().map(|range| (range.first().key(), range.last().key()));
        let keys = keys.chain(std::iter::repeat_with(none)).take(4);
        let query = keys.fold(query, |query, (first, last)| query.bind(first).bind(last));
        query.bind(self.words.clone()).bind(self.number)
    }
}

/// The keys of the lowest and the highest IPv4 address.
fn v4_ends() -> (Vec<u8>, Vec<u8>) {
    let address = |number: u32| Address::from(std::net::IpAddr::from(number.to_be_bytes())).key();
    (address(0), address(u32::MAX))
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, looked: &Looked) -> Result<i64> {
    let text = concat!("SELECT count(*) FROM subnet WHERE ", looked!());
    looked.bind(tx.query(text), tenant).scalar().await
}

pub(super) async fn page(
    tx: &mut Tx,
    tenant: TenantId,
    looked: &Looked,
    page: Page,
) -> Result<Vec<Subnet>> {
    let text = concat!(
        "SELECT ",
        columns!(),
        " FROM subnet WHERE ",
        looked!(),
        " ORDER BY first_key, length LIMIT $19 OFFSET $20"
    );
    let query = looked.bind(tx.query(text), tenant);
    subnets(query.bind(page.limit).bind(page.offset).all().await?)
}

/// How many subnets lie directly in one.
pub(super) async fn count_children(tx: &mut Tx, tenant: TenantId, id: SubnetId) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM subnet WHERE tenant_id = $1 AND parent_id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .scalar()
        .await
}

/// In the same order by other words: by the length, `SQLite` would walk over all subnets.
pub(super) async fn first_children(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubnetId,
    limit: i64,
) -> Result<Vec<Subnet>> {
    let text = concat!(
        "SELECT ",
        columns!(),
        " FROM subnet WHERE tenant_id = $1 AND parent_id = $2 ORDER BY first_key, last_key DESC LIMIT $3"
    );
    let query = tx.query(text).bind(tenant.to_string()).bind(id.to_string());
    subnets(query.bind(limit).all().await?)
}

/// A stretch of the tree: all that begin after `$2`, up to a subnet and with it. Of two that begin
/// alike the shorter prefix is the larger one, and the index has it.
macro_rules! stretch {
    () => {
        "tenant_id = $1 AND first_key > $2 AND first_key <= $3 AND (first_key < $3 OR length <= $4)"
    };
}

/// What [`stretch!`] asks for behind the tenant.
fn bind_stretch(
    query: Query<'_>,
    tenant: TenantId,
    after: Option<Address>,
    until: Option<Cidr>,
) -> Query<'_> {
    let (end, length) = until
        .map_or((vec![u8::MAX; 17], 0), |cidr| (cidr.network().key(), i64::from(cidr.length())));
    query
        .bind(tenant.to_string())
        .bind(after.map(Address::key).unwrap_or_default())
        .bind(end)
        .bind(length)
}

pub(super) async fn count_stretch(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<Address>,
    until: Option<Cidr>,
) -> Result<i64> {
    let query = tx.query(concat!("SELECT count(*) FROM subnet WHERE ", stretch!()));
    bind_stretch(query, tenant, after, until).scalar().await
}

/// The places of a page first, which the index has: what comes before is passed over unread.
pub(super) async fn stretch(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<Address>,
    until: Option<Cidr>,
    page: Page,
) -> Result<Vec<Subnet>> {
    let query = tx.query(concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT first_key AS page_key, length AS page_length FROM subnet WHERE ",
        stretch!(),
        " ORDER BY first_key, length LIMIT $5 OFFSET $6) AS page CROSS JOIN subnet
         WHERE tenant_id = $1 AND first_key = page_key AND length = page_length ORDER BY first_key, length"
    ));
    let query = bind_stretch(query, tenant, after, until);
    subnets(query.bind(page.limit).bind(page.offset).all().await?)
}

/// Subnets one statement asks for.
const AT_ONCE: usize = 25;

/// How many subnets lie directly inside each; those without any are left out.
pub(super) async fn numbers_inside(
    tx: &mut Tx,
    tenant: TenantId,
    ids: &[SubnetId],
) -> Result<HashMap<SubnetId, i64>> {
    let mut all = HashMap::new();
    for some in ids.chunks(AT_ONCE) {
        let mut query = tx
            .query(sql!(
                "SELECT parent_id, count(*) FROM subnet WHERE tenant_id = $1 AND parent_id IN
                     ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
                 GROUP BY parent_id"
            ))
            .bind(tenant.to_string());
        for id in some.iter().chain(some.iter().cycle()).take(AT_ONCE) {
            query = query.bind(id.to_string());
        }
        let rows: Vec<(String, i64)> = query.all().await?;
        for (id, count) in rows {
            all.insert(id.try_into().map_err(damaged)?, count);
        }
    }
    Ok(all)
}

/// Goes from one site to the next in the index instead of reading every subnet.
pub(super) async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "WITH RECURSIVE known (site) AS (
                 SELECT min(site_key) FROM subnet WHERE tenant_id = $1 AND site_key > ''
                 UNION ALL
                 SELECT (SELECT min(site_key) FROM subnet WHERE tenant_id = $1 AND site_key > known.site)
                 FROM known WHERE known.site IS NOT NULL)
             SELECT (SELECT site FROM subnet WHERE tenant_id = $1 AND site_key = known.site LIMIT 1)
             FROM known WHERE known.site IS NOT NULL LIMIT 500"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(site,)| site).collect())
}

/// The subnets in none that have others inside.
pub(super) async fn branches(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Vec<SubnetId>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT s.id FROM (SELECT DISTINCT parent_id FROM subnet WHERE tenant_id = $1 AND parent_id IS NOT NULL) p
             CROSS JOIN subnet s WHERE s.id = p.parent_id AND s.parent_id IS NULL
             ORDER BY s.first_key LIMIT $2"
        ))
        .bind(tenant.to_string())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(|(id,)| id.try_into().map_err(damaged)).collect()
}

// Maps

/// What the map shows of an address with a row.
pub(super) struct Spot {
    pub address: Address,
    pub status: Status,
    pub conflict: bool,
    pub note: String,
}

#[derive(sqlx::FromRow)]
struct SpotRow {
    address: Vec<u8>,
    status: String,
    conflict: bool,
    note: String,
}

/// The rows of a range, each with whose it is or why.
pub(super) async fn spots(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<Vec<Spot>> {
    let rows: Vec<SpotRow> = tx
        .query(sql!(
            "SELECT address, status, conflict,
                    CASE WHEN status = 'reserved' THEN description WHEN status = 'quarantine' THEN reason
                         WHEN holder_name <> '' THEN holder_name ELSE hostname END AS note
             FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3 ORDER BY address"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .all()
        .await?;
    let spot = |row: SpotRow| {
        Ok(Spot {
            address: row.address.try_into().map_err(damaged)?,
            status: row.status.try_into().map_err(damaged)?,
            conflict: row.conflict,
            note: row.note,
        })
    };
    rows.into_iter().map(spot).collect()
}

/// One look into the index of gaps.
macro_rules! gap_before {
    ($place:literal) => {
        concat!(
            "(SELECT first_key FROM gap WHERE tenant_id = $1 AND first_key < ",
            $place,
            " ORDER BY first_key DESC LIMIT 1)"
        )
    };
}

macro_rules! gaps_before {
    ($first:literal $(, $place:literal)*) => {
        concat!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
             WHERE tenant_id = $1 AND first_key IN (",
            gap_before!($first),
            $(", ", gap_before!($place),)*
            ")"
        )
    };
}

/// The last gap that begins before each of some addresses.
pub(super) async fn gaps_before(
    tx: &mut Tx,
    tenant: TenantId,
    ends: &[Address],
) -> Result<Vec<Gap>> {
    let mut all = Vec::new();
    for some in ends.chunks(16) {
        let mut query = tx
            .query(concat!(gaps_before!(
                "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
                "$15", "$16", "$17"
            )))
            .bind(tenant.to_string());
        for end in some.iter().chain(some.iter().cycle()).take(16) {
            query = query.bind(end.key());
        }
        let rows: Vec<GapRow> = query.all().await?;
        for row in rows {
            all.push(row.try_into()?);
        }
    }
    Ok(all)
}
