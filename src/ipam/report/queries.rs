//! All SQL of the reports.

use super::types::{Filter, Line, Person, Place, days_ago};
use crate::audit::Page;
use crate::db::{Query, Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::Holder;
use crate::ipam::space::damaged;
use crate::net::{Address, Cidr, Family, Range};
use crate::sql;
use crate::time::Timestamp;

/// Which addresses a report lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Reserved,
    Conflicts,
    Inactive,
    Orphans,
}

// What follows is put together of constant pieces. Of a class, 16 to 23 are reserved, and odd
// ones in conflict; both are said besides by a column of their own, and here for the index.
macro_rules! from {
    ($which:literal) => {
        concat!(
            " FROM address a LEFT JOIN subnet s ON s.id = a.subnet_id
              WHERE a.tenant_id = $1 AND a.address > $2 AND a.address <= $3 AND (a.address < $4 OR a.address > $5)
                AND ($6 = 0 OR s.site_key = $7) AND ($8 = '' OR a.reserved_by = $8)
                AND ($9 = 0 OR a.last_seen IS NULL OR a.last_seen < $9) AND ",
            $which
        )
    };
}

macro_rules! reserved {
    () => {
        from!("a.status = 'reserved' AND a.class >= 16 AND a.class <= 23")
    };
}
macro_rules! conflicts {
    () => {
        from!(
            "a.conflict AND a.class IN (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)"
        )
    };
}
macro_rules! inactive {
    () => {
        from!("a.status = 'allocated'")
    };
}
macro_rules! orphans {
    () => {
        from!("a.subnet_id IS NULL")
    };
}

macro_rules! rows {
    ($from:expr, $order:literal) => {
        concat!(
            "SELECT a.address, a.status, a.hostname, a.mac, a.holder_kind, a.holder_id, a.holder_name, a.description,
                    a.reserved_by, a.reason, a.until, a.since, a.last_seen, a.subnet_id, s.name AS subnet_name, s.first_key,
                    s.length, s.site",
            $from,
            " ORDER BY ",
            $order,
            " LIMIT $10 OFFSET $11"
        )
    };
}

macro_rules! count {
    ($from:expr) => {
        concat!("SELECT count(*)", $from)
    };
}

#[derive(sqlx::FromRow)]
struct LineRow {
    address: Vec<u8>,
    status: String,
    hostname: String,
    mac: String,
    holder_kind: String,
    holder_id: String,
    holder_name: String,
    description: String,
    reserved_by: String,
    reason: String,
    until: Option<Timestamp>,
    since: Timestamp,
    last_seen: Option<Timestamp>,
    subnet_id: Option<String>,
    subnet_name: Option<String>,
    first_key: Option<Vec<u8>>,
    length: Option<i64>,
    site: Option<String>,
}

impl LineRow {
    fn holder(&self) -> Result<Option<Holder>> {
        if self.holder_kind.is_empty() {
            return Ok(None);
        }
        Ok(Some(Holder {
            kind: self.holder_kind.parse().map_err(damaged)?,
            id: self.holder_id.clone(),
            name: self.holder_name.clone(),
        }))
    }

    fn place(&self) -> Result<Option<Place>> {
        let (Some(id), Some(first), Some(length)) = (&self.subnet_id, &self.first_key, self.length)
        else {
            return Ok(None);
        };
        let network = Address::try_from(first.clone()).map_err(damaged)?;
        let length = u8::try_from(length).map_err(damaged)?;
        Ok(Some(Place {
            id: id.parse().map_err(damaged)?,
            name: self.subnet_name.clone().unwrap_or_default(),
            cidr: Cidr::new(network, length).map_err(damaged)?,
            site: self.site.clone().unwrap_or_default(),
        }))
    }
}

impl TryFrom<LineRow> for Line {
    type Error = sqlx::Error;

    fn try_from(row: LineRow) -> Result<Self> {
        let mac = Some(row.mac.as_str()).filter(|mac| !mac.is_empty());
        Ok(Self {
            place: row.place()?,
            holder: row.holder()?,
            mac: mac.map(str::parse).transpose().map_err(damaged)?,
            address: row.address.try_into().map_err(damaged)?,
            status: row.status.try_into().map_err(damaged)?,
            hostname: row.hostname,
            description: row.description,
            reserved_by: row.reserved_by,
            reason: row.reason,
            until: row.until,
            since: row.since,
            last_seen: row.last_seen,
            claims: Vec::new(),
        })
    }
}

/// Two keys.
type Keys = (Vec<u8>, Vec<u8>);

/// The key before the first address looked at and the last one's; and the first and last of those
/// passed over: IPv4 is one range, and IPv6 everything around it.
fn bounds(filter: &Filter) -> (Keys, Keys) {
    let (v4_first, v4_last) =
        (Address::from_number(0xffff_0000_0000), Address::from_number(0xffff_ffff_ffff));
    let before = |first: Address| {
        first.number().checked_sub(1).map_or(Vec::new(), |n| Address::from_number(n).key())
    };
    // No key has 17 bytes.
    let nothing = || (vec![u8::MAX; 17], vec![u8::MAX; 17]);
    let (mut after, last) = match (filter.within, filter.family) {
        (Some(within), Some(Family::V4)) if within.first().family() == Family::V6 => nothing(),
        (Some(within), _) => (before(within.first()), within.last().key()),
        (None, Some(Family::V4)) => (before(v4_first), v4_last.key()),
        (None, _) => (Vec::new(), vec![u8::MAX; 16]),
    };
    if let Some(address) = filter.after {
        after = after.max(address.key());
    }
    let hole = match filter.family {
        Some(Family::V6) => (v4_first.key(), v4_last.key()),
        _ => nothing(),
    };
    ((after, last), hole)
}

/// Binds `$1` to `$9`.
fn narrow<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter) -> Query<'q> {
    let (within, hole) = bounds(filter);
    query
        .bind(tenant.to_string())
        .bind(within.0)
        .bind(within.1)
        .bind(hole.0)
        .bind(hole.1)
        .bind(i64::from(filter.site.is_some()))
        .bind(filter.site.clone().unwrap_or_default())
        .bind(filter.person.clone())
        .bind(filter.unseen_since.map_or(0, |at| at.0))
}

/// A stretch of the addresses a report lists.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    which: Which,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Line>> {
    let text = match (which, filter.order) {
        (Which::Reserved, "age") => rows!(reserved!(), "a.since, a.address"),
        (Which::Reserved, "person") => {
            rows!(reserved!(), "lower(a.reserved_by), a.reserved_by, a.since, a.address")
        }
        (Which::Reserved, _) => rows!(reserved!(), "a.address"),
        (Which::Conflicts, _) => rows!(conflicts!(), "a.address"),
        (Which::Inactive, "seen") => rows!(inactive!(), "coalesce(a.last_seen, 0), a.address"),
        (Which::Inactive, _) => rows!(inactive!(), "a.address"),
        (Which::Orphans, _) => rows!(orphans!(), "a.address"),
    };
    let query = narrow(tx.query(text), tenant, filter);
    let rows: Vec<LineRow> = query.bind(page.limit).bind(page.offset).all().await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many addresses a report lists.
pub(super) async fn count(
    tx: &mut Tx,
    tenant: TenantId,
    which: Which,
    filter: &Filter,
) -> Result<i64> {
    let text = match which {
        Which::Reserved => count!(reserved!()),
        Which::Conflicts => count!(conflicts!()),
        Which::Inactive => count!(inactive!()),
        Which::Orphans => count!(orphans!()),
    };
    narrow(tx.query(text), tenant, filter).scalar().await
}

/// What each person keeps, who keeps most first.
pub(super) async fn people(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    now: Timestamp,
) -> Result<Vec<Person>> {
    let text = concat!(
        "SELECT a.reserved_by AS name, count(*) AS total,
                CAST(sum(CASE WHEN a.since > $10 THEN 1 ELSE 0 END) AS BIGINT) AS under_30,
                CAST(sum(CASE WHEN a.since > $11 AND a.since <= $10 THEN 1 ELSE 0 END) AS BIGINT) AS under_90,
                CAST(sum(CASE WHEN a.since > $12 AND a.since <= $11 THEN 1 ELSE 0 END) AS BIGINT) AS under_365,
                CAST(sum(CASE WHEN a.until IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS endless, min(a.since) AS oldest",
        reserved!(),
        " GROUP BY a.reserved_by ORDER BY total DESC, a.reserved_by"
    );
    let query = narrow(tx.query(text), tenant, filter);
    query.bind(days_ago(now, 30)).bind(days_ago(now, 90)).bind(days_ago(now, 365)).all().await
}

/// The sites subnets have, one spelling of each.
pub(super) async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT min(site) FROM subnet WHERE tenant_id = $1 AND site_key <> '' GROUP BY site_key ORDER BY site_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(site,)| site).collect())
}

/// The addresses of the subnet with this name or id.
pub(super) async fn range_of(
    tx: &mut Tx,
    tenant: TenantId,
    key: &str,
    id: &str,
) -> Result<Option<Range>> {
    let found: Option<(Vec<u8>, Vec<u8>)> = tx
        .query(sql!(
            "SELECT first_key, last_key FROM subnet WHERE tenant_id = $1 AND (name_key = $2 OR id = $3)"
        ))
        .bind(tenant.to_string())
        .bind(key.to_owned())
        .bind(id.to_owned())
        .optional()
        .await?;
    found.map(|(first, last)| crate::ipam::space::range(first, last)).transpose()
}

/// Whether any address of the tenant was ever seen.
pub(super) async fn anything_seen(tx: &mut Tx, tenant: TenantId) -> Result<bool> {
    let found: Option<i64> = tx
        .query(sql!(
            "SELECT last_seen FROM address WHERE tenant_id = $1 AND last_seen IS NOT NULL LIMIT 1"
        ))
        .bind(tenant.to_string())
        .optional_scalar()
        .await?;
    Ok(found.is_some())
}
