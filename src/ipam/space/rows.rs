//! The SQL that moves gaps and address rows.

use super::{Gap, Source};
use crate::db::{Bulk, Query, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::Record;
use crate::ipam::class::Class;
use crate::ipam::subnets::Subnet;
use crate::net::{Address, Mac, Range};
use crate::sql;

/// A gap as stored.
#[derive(sqlx::FromRow)]
pub(in crate::ipam) struct GapRow {
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    subnet_id: String,
    pool_id: String,
    kind: String,
}

/// A row that cannot be: somebody wrote past the program.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
pub(in crate::ipam) fn damaged(what: impl ToString) -> sqlx::Error {
    sqlx::Error::Decode(what.to_string().into())
}

/// A range from two stored keys.
pub(in crate::ipam) fn range(first: Vec<u8>, last: Vec<u8>) -> Result<Range> {
    let first = Address::try_from(first).map_err(damaged)?;
    let last = Address::try_from(last).map_err(damaged)?;
    Range::new(first, last).ok_or_else(|| damaged("a range ends before it begins"))
}

impl TryFrom<GapRow> for Gap {
    type Error = sqlx::Error;

    fn try_from(row: GapRow) -> Result<Self> {
        Ok(Self {
            range: range(row.first_key, row.last_key)?,
            subnet: row.subnet_id.try_into().map_err(damaged)?,
            pool: row.pool_id.try_into().map_err(damaged)?,
            kind: row.kind.try_into().map_err(damaged)?,
        })
    }
}

/// The last gap that begins at or before `address`.
pub(in crate::ipam) async fn gap_before(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> Result<Option<Gap>> {
    let row: Option<GapRow> = tx
        .query(sql!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
             WHERE tenant_id = $1 AND first_key <= $2 ORDER BY first_key DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(address.key())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

pub(super) async fn first_gap(tx: &mut Tx, source: Source, size: u32) -> Result<Option<Gap>> {
    let query = match source {
        Source::Subnet(id) => tx
            .query(sql!(
                "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
                 WHERE subnet_id = $1 AND kind = 'static' AND size >= $2 ORDER BY first_key LIMIT 1"
            ))
            .bind(id.to_string()),
        Source::Pool(id) => tx
            .query(sql!(
                "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
                 WHERE pool_id = $1 AND size >= $2 ORDER BY first_key LIMIT 1"
            ))
            .bind(id.to_string()),
    };
    let row: Option<GapRow> = query.bind(i64::from(size)).optional().await?;
    row.map(TryInto::try_into).transpose()
}

/// The lowest gap of static pools. What is given out of IPv6 lies above the mapped addresses.
pub(super) async fn lowest_static_gap(
    tx: &mut Tx,
    tenant: TenantId,
    v6: bool,
) -> Result<Option<Gap>> {
    const MAPPED_FIRST: u128 = 0xffff_0000_0000;
    const MAPPED_LAST: u128 = 0xffff_ffff_ffff;
    let (first, last) = if v6 { (MAPPED_LAST + 1, u128::MAX) } else { (MAPPED_FIRST, MAPPED_LAST) };
    let gaps = gaps_between(
        tx,
        tenant,
        (Address::from_number(first), Address::from_number(last)),
        (true, false),
        1,
    );
    Ok(gaps.await?.into_iter().next())
}

pub(super) async fn static_gaps(tx: &mut Tx, source: Source) -> Result<Vec<Gap>> {
    let query = match source {
        Source::Subnet(id) => tx
            .query(sql!(
                "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
                 WHERE subnet_id = $1 AND kind = 'static' ORDER BY first_key"
            ))
            .bind(id.to_string()),
        Source::Pool(id) => tx
            .query(sql!(
                "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
                 WHERE pool_id = $1 ORDER BY first_key"
            ))
            .bind(id.to_string()),
    };
    let rows: Vec<GapRow> = query.all().await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn gaps_of(tx: &mut Tx, subnet: SubnetId) -> Result<Vec<Gap>> {
    let rows: Vec<GapRow> = tx
        .query(sql!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap WHERE subnet_id = $1"
        ))
        .bind(subnet.to_string())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn remove_gaps_of(tx: &mut Tx, subnet: SubnetId) -> Result<()> {
    let gone = tx.query(sql!("DELETE FROM gap WHERE subnet_id = $1")).bind(subnet.to_string());
    gone.run().await.map(drop)
}

pub(super) async fn remove_gap(tx: &mut Tx, tenant: TenantId, gap: &Gap) -> Result<()> {
    let gone = tx.query(sql!("DELETE FROM gap WHERE tenant_id = $1 AND first_key = $2"));
    gone.bind(tenant.to_string()).bind(gap.range.first().key()).run().await.map(drop)
}

pub(super) async fn change_gap(tx: &mut Tx, tenant: TenantId, gap: &Gap, to: Range) -> Result<()> {
    tx.later(sql!(
        "UPDATE gap SET first_key = $3, last_key = $4, size = $5
             WHERE tenant_id = $1 AND first_key = $2"
    ))
    .bind(tenant.to_string())
    .bind(gap.range.first().key())
    .bind(to.first().key())
    .bind(to.last().key())
    .bind(size(to))
    .run()
    .await
    .map(drop)
}

/// As much of a size as the column holds.
fn size(range: Range) -> i64 {
    i64::try_from(range.size()).unwrap_or(i64::MAX).min(1 << 62)
}

static ADD_GAPS: Bulk = Bulk {
    head: "INSERT INTO gap (tenant_id, first_key, last_key, size, subnet_id, pool_id, kind) VALUES",
    columns: 7,
    most: 128,
    tail: "",
};

pub(super) async fn add_gaps(tx: &mut Tx, tenant: TenantId, gaps: &[Gap]) -> Result<()> {
    let gaps: Vec<(String, &Gap)> = gaps.iter().map(|gap| (tenant.to_string(), gap)).collect();
    tx.insert_many(&ADD_GAPS, &gaps, |row, (tenant, gap)| {
        row.bind(tenant.clone())
            .bind(gap.range.first().key())
            .bind(gap.range.last().key())
            .bind(size(gap.range))
            .bind(gap.subnet.to_string())
            .bind(gap.pool.to_string())
            .bind(gap.kind.as_str().to_owned())
    })
    .await
}

/// Rows read at once where there may be very many.
const STRIDE: i64 = 10_000;

/// The addresses of a subnet that have a row; those in a row as one range.
pub(super) async fn taken(tx: &mut Tx, tenant: TenantId, subnet: &Subnet) -> Result<Vec<Range>> {
    let mut ranges: Vec<Range> = Vec::new();
    let (mut from, last) = (subnet.cidr.network(), subnet.cidr.last());
    loop {
        let rows: Vec<(Vec<u8>,)> = tx
            .query(sql!(
                "SELECT address FROM address
                 WHERE tenant_id = $1 AND address >= $2 AND address <= $3 ORDER BY address LIMIT $4"
            ))
            .bind(tenant.to_string())
            .bind(from.key())
            .bind(last.key())
            .bind(STRIDE)
            .all()
            .await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == STRIDE);
        for (address,) in rows {
            let address = Address::try_from(address).map_err(damaged)?;
            let before = ranges.last().map(|range| range.last());
            match ranges.last_mut() {
                Some(range) if before.and_then(Address::next) == Some(address) => {
                    *range = Range::new(range.first(), address).unwrap_or(*range);
                }
                _ => ranges.push(Range::single(address)),
            }
        }
        match ranges.last().and_then(|range| range.last().next()).filter(|_| full) {
            Some(next) if next <= last => from = next,
            _ => return Ok(ranges),
        }
    }
}

/// Whether the tenant has any row.
pub(super) async fn any(tx: &mut Tx, tenant: TenantId) -> Result<bool> {
    let one: Option<i64> = tx
        .query(sql!("SELECT id FROM address WHERE tenant_id = $1 LIMIT 1"))
        .bind(tenant.to_string())
        .optional_scalar()
        .await?;
    Ok(one.is_some())
}

/// What lists sort by; the last byte there is for none.
pub(in crate::ipam) fn mac_sort(record: &Record) -> Vec<u8> {
    record.mac.map_or_else(|| vec![u8::MAX], |mac| mac.hex().into_bytes())
}

static ADD: Bulk = Bulk {
    head: "INSERT INTO address (tenant_id, address, id, subnet_id, status, kind, active, conflict, class, hostname,
               hostname_sort, mac, mac_sort, platform, manufacturer, holder_kind, holder_id, holder_name, description, reserved_by,
               reason, until, since, last_seen, seen_mac, search, created_at, updated_at, assignment) VALUES",
    columns: 29,
    most: 512,
    tail: "",
};

pub(super) async fn add(tx: &mut Tx, tenant: TenantId, records: &[Record]) -> Result<()> {
    let records: Vec<(String, &Record)> =
        records.iter().map(|record| (tenant.to_string(), record)).collect();
    tx.insert_many_later(&ADD, &records, |row, (tenant, record)| {
        let holder = record.holder.as_ref();
        row.bind(tenant.clone())
            .bind(record.address.key())
            .bind(record.id)
            .bind(record.subnet.map(|id| id.to_string()))
            .bind(record.status.as_str())
            .bind(record.kind.as_str())
            .bind(record.active)
            .bind(record.conflict)
            .bind(record.class().as_i64())
            .bind(record.hostname.to_string())
            .bind(record.hostname.sort())
            .bind(record.mac.map(Mac::hex).unwrap_or_default())
            .bind(mac_sort(record))
            .bind(record.platform.to_string())
            .bind(record.manufacturer.to_string())
            .bind(holder.map_or("", |holder| holder.kind.as_str()))
            .bind(holder.map_or_else(String::new, |holder| holder.id.clone()))
            .bind(holder.map_or_else(String::new, |holder| holder.name.clone()))
            .bind(record.description.to_string())
            .bind(record.reserved_by.clone())
            .bind(record.reason.to_string())
            .bind(record.until)
            .bind(record.since)
            .bind(record.last_seen)
            .bind(record.seen_mac.map(Mac::hex).unwrap_or_default())
            .bind(record.search())
            .bind(record.created_at)
            .bind(record.updated_at)
            .bind(record.assignment.map(|id| id.to_string()))
    })
    .await
}

pub(super) async fn update(tx: &mut Tx, tenant: TenantId, record: &Record) -> Result<()> {
    let holder = record.holder.as_ref();
    tx.query(sql!(
        "UPDATE address SET subnet_id = $3, status = $4, kind = $5, active = $6, conflict = $7, class = $8, hostname = $9,
             hostname_sort = $10, mac = $11, mac_sort = $12, platform = $13, manufacturer = $14, holder_kind = $15,
             holder_id = $16, holder_name = $17, description = $18, reserved_by = $19, reason = $20, until = $21, since = $22,
             last_seen = $23, seen_mac = $24, search = $25, updated_at = $26, version = $27,
             assignment = $28
         WHERE tenant_id = $1 AND address = $2"
    ))
    .bind(tenant.to_string())
    .bind(record.address.key())
    .bind(record.subnet.map(|id| id.to_string()))
    .bind(record.status.as_str())
    .bind(record.kind.as_str())
    .bind(record.active)
    .bind(record.conflict)
    .bind(record.class().as_i64())
    .bind(record.hostname.to_string())
    .bind(record.hostname.sort())
    .bind(record.mac.map(Mac::hex).unwrap_or_default())
    .bind(mac_sort(record))
    .bind(record.platform.to_string())
    .bind(record.manufacturer.to_string())
    .bind(holder.map_or("", |holder| holder.kind.as_str()))
    .bind(holder.map_or_else(String::new, |holder| holder.id.clone()))
    .bind(holder.map_or_else(String::new, |holder| holder.name.clone()))
    .bind(record.description.to_string())
    .bind(record.reserved_by.clone())
    .bind(record.reason.to_string())
    .bind(record.until)
    .bind(record.since)
    .bind(record.last_seen)
    .bind(record.seen_mac.map(Mac::hex).unwrap_or_default())
    .bind(record.search())
    .bind(record.updated_at)
    .bind(record.version)
    .bind(record.assignment.map(|id| id.to_string()))
    .run()
    .await
    .map(drop)
}

pub(super) async fn remove(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<()> {
    let gone = tx.query(sql!("DELETE FROM address WHERE tenant_id = $1 AND address = $2"));
    gone.bind(tenant.to_string()).bind(address.key()).run().await.map(drop)
}

/// How many rows of each class a range has, of one subnet or of none.
pub(super) async fn classes(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    subnet: Option<SubnetId>,
) -> Result<Vec<(Class, i64)>> {
    let rows: Vec<(i64, i64)> = tx
        .query(sql!(
            "SELECT class, count(*) FROM address
             WHERE tenant_id = $1 AND address >= $2 AND address <= $3 AND coalesce(subnet_id, '') = $4 GROUP BY class"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .bind(subnet.map(|id| id.to_string()).unwrap_or_default())
        .all()
        .await?;
    rows.into_iter().map(|(class, count)| Ok((class.try_into().map_err(damaged)?, count))).collect()
}

pub(super) async fn adopt(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    from: Option<SubnetId>,
    to: Option<SubnetId>,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE address SET subnet_id = $5
         WHERE tenant_id = $1 AND address >= $2 AND address <= $3 AND coalesce(subnet_id, '') = $4"
    ))
    .bind(tenant.to_string())
    .bind(range.first().key())
    .bind(range.last().key())
    .bind(from.map(|id| id.to_string()).unwrap_or_default())
    .bind(to.map(|id| id.to_string()))
    .run()
    .await
    .map(drop)
}

/// The gaps that begin in a range, at most `limit`.
pub(in crate::ipam) async fn gaps_from(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    limit: i64,
) -> Result<Vec<Gap>> {
    gaps_between(tx, tenant, (range.first(), range.last()), (true, true), limit).await
}

/// The gaps of static pools, of DHCP pools, or of both, that begin between two addresses.
pub(in crate::ipam) async fn gaps_between(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    (statics, dhcp): (bool, bool),
    limit: i64,
) -> Result<Vec<Gap>> {
    let rows: Vec<GapRow> = if statics && dhcp {
        let query = tx.query(sql!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
             WHERE tenant_id = $1 AND first_key >= $2 AND first_key <= $3 ORDER BY first_key LIMIT $4"
        ));
        bound(query, tenant, first, last, limit).all().await?
    } else {
        let query = tx.query(sql!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
             WHERE tenant_id = $1 AND first_key >= $2 AND first_key <= $3 AND kind = $5 ORDER BY first_key LIMIT $4"
        ));
        bound(query, tenant, first, last, limit)
            .bind(if statics { "static" } else { "dhcp" })
            .all()
            .await?
    };
    rows.into_iter().map(TryInto::try_into).collect()
}

fn bound(
    query: Query<'_>,
    tenant: TenantId,
    first: Address,
    last: Address,
    limit: i64,
) -> Query<'_> {
    query.bind(tenant.to_string()).bind(first.key()).bind(last.key()).bind(limit)
}
