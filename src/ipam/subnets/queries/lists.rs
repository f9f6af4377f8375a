//! The statements of the list of subnets: its tree, its pages, what it counts.

use std::collections::HashMap;

use super::super::listing::Filter;
use super::super::types::{Subnet, Vlan};
use super::subnets;
use crate::audit::Page;
use crate::db::{self, Query, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::space::damaged;
use crate::net::{Address, Cidr, Family, Range};
use crate::sql;

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
pub(in crate::ipam::subnets) struct Looked {
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
    pub(in crate::ipam::subnets) fn of(
        filter: &Filter,
        meaning: Option<Vec<Range>>,
    ) -> Option<Self> {
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
            vlan: filter.vlan.map_or(0, Vlan::as_i64),
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

pub(in crate::ipam::subnets) async fn count(
    tx: &mut Tx,
    tenant: TenantId,
    looked: &Looked,
) -> Result<i64> {
    let text = concat!("SELECT count(*) FROM subnet WHERE ", looked!());
    looked.bind(tx.query(text), tenant).scalar().await
}

pub(in crate::ipam::subnets) async fn page(
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
pub(in crate::ipam::subnets) async fn count_children(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubnetId,
) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM subnet WHERE tenant_id = $1 AND parent_id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .scalar()
        .await
}

/// In the same order by other words: by the length, `SQLite` would walk over all subnets.
pub(in crate::ipam::subnets) async fn first_children(
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

pub(in crate::ipam::subnets) async fn count_stretch(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<Address>,
    until: Option<Cidr>,
) -> Result<i64> {
    let query = tx.query(concat!("SELECT count(*) FROM subnet WHERE ", stretch!()));
    bind_stretch(query, tenant, after, until).scalar().await
}

/// The places of a page first, which the index has: what comes before is passed over unread.
pub(in crate::ipam::subnets) async fn stretch(
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
pub(in crate::ipam::subnets) async fn numbers_inside(
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
pub(in crate::ipam::subnets) async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
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
pub(in crate::ipam::subnets) async fn branches(
    tx: &mut Tx,
    tenant: TenantId,
    limit: i64,
) -> Result<Vec<SubnetId>> {
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
