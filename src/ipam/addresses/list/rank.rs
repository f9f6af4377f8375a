//! A page in the order of addresses, found by the ranks the tallies count: whole blocks are passed
//! over unread, and so is what comes before the page in its own block.

use std::collections::HashMap;

use super::{
    Entry, Extent, Filter, InExtent, classes_within, ends, gaps_between, straddling, whole,
};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::queries::{self, AddressRow, columns, records};
use crate::ipam::addresses::types::Record;
use crate::ipam::class::{Class, Classes, Kind};
use crate::ipam::space::{Gap, damaged, gaps_from};
use crate::ipam::tally::{self, Count, Counts, Weigh};
use crate::net::{Address, Range};
use crate::sql;

/// A page of the lines of these classes, and how many there are in all.
pub(super) async fn ranked(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    wanted: Classes,
    counted: &[InExtent],
    page: Page,
) -> Result<(Vec<Entry>, i64)> {
    let weigh = if filter.each() { Weigh::Addresses } else { Weigh::Entries };
    let mut entries = Vec::new();
    let (mut total, mut skip) = (0, i128::from(page.offset));
    for (extent, counts) in counted {
        let here = weigh.of(counts, wanted);
        let left = page.limit - lines(i128::try_from(entries.len()).unwrap_or(0));
        if skip < here && left > 0 {
            let present = Classes::of(|class| wanted.contains(class) && counts.has(class));
            let rows = counts.of(present.only(|class| !class.is_gap())).entries;
            let rare = rows.saturating_mul(20) < counts.of(Classes::of(|_| true)).entries;
            let others = Classes::of(|class| class.is_gap() && counts.has(class));
            let gaps = match present.only(Class::is_gap) {
                gaps if gaps.is_empty() => Gaps::None,
                gaps if gaps == others => Gaps::All,
                _ => Gaps::Some,
            };
            let want = Want { classes: present, weigh, skip, limit: left, rare, gaps };
            entries.extend(select(tx, tenant, *extent, &want).await?);
            skip = 0;
        } else {
            skip -= here.min(skip);
        }
        total += here;
    }
    Ok((entries, lines(total)))
}

/// A number of lines as pages count them.
fn lines(weight: i128) -> i64 {
    i64::try_from(weight).unwrap_or(i64::MAX)
}

/// Which lines of a range are wanted.
struct Want {
    classes: Classes,
    weigh: Weigh,
    skip: i128,
    limit: i64,
    /// Whether the rows are few among many: each is then looked up by itself.
    rare: bool,
    gaps: Gaps,
}

/// Which of the gaps in a range are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    None,
    Some,
    All,
}

/// The lines of a range from the `skip`th on.
async fn select(tx: &mut Tx, tenant: TenantId, extent: Extent, want: &Want) -> Result<Vec<Entry>> {
    let (first, last) = ends(extent);
    let mut skip = want.skip;
    let mut entries = Vec::new();
    // A gap that begins before the range comes first, cut to it.
    let mut head = None;
    if let Some(range) = extent {
        let cut = straddling(tx, tenant, range).await?.into_iter().find(|(_, before)| *before);
        head = cut.and_then(|(gap, _)| {
            let range = gap.range.intersection(range)?;
            Some(Gap { range, ..gap }).filter(|gap| want.classes.contains(Class::gap(gap.kind)))
        });
    }
    let head_weight = head.as_ref().map_or(0, |gap| lines_of(gap, want.weigh));
    if skip >= head_weight {
        skip -= head_weight;
        head = None;
    }
    let (mut from, mut last, mut rank) = (first, last, 0);
    if skip > 0 {
        // Whole blocks are passed over by their counts; the first may lie in the range in part.
        let missing = passed(tx, tenant, first, want).await?;
        let found =
            tally::locate(tx, tenant, first, want.classes, want.weigh, skip + missing).await?;
        if let Some((block, block_rank)) = found
            && block > first
        {
            (from, rank) = (block, block_rank - missing);
        }
    }
    entries.extend(head.map(Entry::Gap));
    if want.weigh == Weigh::Entries && skip > rank && !want.rare && want.gaps != Gaps::Some {
        // What is left to be passed over need not be read.
        let page = Page { offset: lines(skip - rank), limit: want.limit };
        let ends = page_ends(tx, tenant, (from, last), want, page).await?;
        let Some((begin, end)) = ends else { return Ok(Vec::new()) };
        (from, last, rank) = (begin, end, skip);
    }
    let reach = lines(skip - rank).saturating_add(want.limit);
    // Where nothing is passed over the rows can be read at once.
    let rows = if want.rare {
        lines_at(rare_keys(tx, tenant, from, last, want.classes, reach).await?)
    } else if skip == rank {
        let rows = rows(tx, tenant, (from, last), want.classes, want.limit).await?;
        rows.into_iter().map(Line::from).collect()
    } else {
        let page = Page { offset: 0, limit: reach };
        lines_at(keys(tx, tenant, (from, last), want.classes, page).await?)
    };
    let gaps = gaps_between(tx, tenant, from, last, want.classes, reach).await?;
    let mut picked = pick(entries, rows, gaps, skip - rank, want, extent);
    if want.rare {
        fill_each(tx, tenant, &mut picked).await?;
    } else {
        fill(tx, tenant, &mut picked, want.classes).await?;
    }
    Ok(picked.into_iter().filter_map(|line| line.entry).collect())
}

/// What the block of `first` weighs before `first`.
async fn passed(tx: &mut Tx, tenant: TenantId, first: Address, want: &Want) -> Result<i128> {
    let block = Address::from_number((first.number() >> 8) << 8);
    let Some(range) = first.previous().and_then(|last| Range::new(block, last)) else {
        return Ok(0);
    };
    let mut counts = Counts::default();
    for (class, rows) in classes_within(tx, tenant, range).await? {
        counts.add(class, Count { entries: rows, addresses: i128::from(rows) });
    }
    for gap in gaps_from(tx, tenant, range, 256).await? {
        counts.add(Class::gap(gap.kind), whole(gap.range));
    }
    Ok(want.weigh.of(&counts, want.classes))
}

fn lines_of(gap: &Gap, weigh: Weigh) -> i128 {
    match weigh {
        Weigh::Addresses if gap.kind == Kind::Static => whole(gap.range).addresses,
        _ => 1,
    }
}

/// A line whose row may still have to be read.
struct Line {
    key: Address,
    entry: Option<Entry>,
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        Self { key: record.address, entry: Some(Entry::Row(record)) }
    }
}

/// Lines whose rows are still to be read.
fn lines_at(keys: Vec<Address>) -> Vec<Line> {
    keys.into_iter().map(|key| Line { key, entry: None }).collect()
}

/// Merges rows and gaps in the order of their addresses, passes `skip` over and keeps a page.
fn pick(
    head: Vec<Entry>,
    rows: Vec<Line>,
    gaps: Vec<Gap>,
    mut skip: i128,
    want: &Want,
    extent: Extent,
) -> Vec<Line> {
    let mut lines: Vec<Line> =
        head.into_iter().map(|entry| Line { key: entry.first(), entry: Some(entry) }).collect();
    lines.extend(rows);
    let cut = |gap: Gap| {
        let part = extent.map_or(Some(gap.range), |range| gap.range.intersection(range));
        part.map(|range| Gap { range, ..gap })
    };
    let gaps = gaps.into_iter().filter_map(cut);
    lines.extend(gaps.map(|gap| Line { key: gap.range.first(), entry: Some(Entry::Gap(gap)) }));
    lines.sort_by_key(|line| line.key);
    let limit = usize::try_from(want.limit).unwrap_or(usize::MAX);
    let mut page = Vec::new();
    for line in lines {
        let weight = match &line.entry {
            Some(Entry::Gap(gap)) => lines_of(gap, want.weigh),
            _ => 1,
        };
        if skip >= weight {
            skip -= weight;
            continue;
        }
        match line.entry {
            Some(Entry::Gap(gap)) if weight > 1 => {
                let left = u128::try_from(skip).unwrap_or(0);
                let begin = gap.range.first().plus(left).unwrap_or(gap.range.last());
                let rest = Range::new(begin, gap.range.last()).unwrap_or(gap.range);
                for address in rest.iter().take(limit - page.len().min(limit)) {
                    let one = Gap { range: Range::single(address), ..gap.clone() };
                    page.push(Line { key: address, entry: Some(Entry::Gap(one)) });
                }
            }
            entry => page.push(Line { key: line.key, entry }),
        }
        skip = 0;
        if page.len() >= limit {
            break;
        }
    }
    page
}

/// Reads the rows of the lines that are rows.
async fn fill(tx: &mut Tx, tenant: TenantId, page: &mut [Line], classes: Classes) -> Result<()> {
    let missing = || page.iter().filter(|line| line.entry.is_none()).map(|line| line.key);
    let (Some(first), Some(last)) = (missing().min(), missing().max()) else { return Ok(()) };
    let found = rows(tx, tenant, (first, last), classes, i64::MAX).await?;
    let mut found = found.into_iter().peekable();
    for line in page.iter_mut().filter(|line| line.entry.is_none()) {
        while found.next_if(|record| record.address < line.key).is_some() {}
        line.entry = found.next_if(|record| record.address == line.key).map(Entry::Row);
    }
    Ok(())
}

/// Rows of a range, in order, at most `limit`.
async fn rows(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    classes: Classes,
    limit: i64,
) -> Result<Vec<Record>> {
    if classes.only(|class| !class.is_gap()).is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<AddressRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3
              AND (CAST($4 AS BIGINT) >> CAST(class AS INT)) & 1 = 1 ORDER BY address LIMIT $5"
        ))
        .bind(tenant.to_string())
        .bind(first.key())
        .bind(last.key())
        .bind(classes.bits())
        .bind(limit)
        .all()
        .await?;
    records(found)
}

/// Where the first and the last line of a page begin, rows and gaps alike.
async fn page_ends(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    want: &Want,
    page: Page,
) -> Result<Option<(Address, Address)>> {
    let lines = match want.gaps {
        Gaps::None => keys(tx, tenant, (first, last), want.classes, page).await?,
        Gaps::Some | Gaps::All => line_keys(tx, tenant, (first, last), want.classes, page).await?,
    };
    Ok(lines.first().copied().zip(lines.last().copied()))
}

/// As [`keys`], with the beginnings of all gaps among them. Of rows and gaps there is a limit each:
/// `PostgreSQL` would else sort all to the end of the range.
async fn line_keys(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    classes: Classes,
    page: Page,
) -> Result<Vec<Address>> {
    let query = tx.query(sql!(
        "SELECT line FROM (
             SELECT line FROM (
                 SELECT address AS line FROM address
                 WHERE tenant_id = $1 AND address >= $2 AND address <= $3
                   AND (CAST($4 AS BIGINT) >> CAST(class AS INT)) & 1 = 1
                 ORDER BY address LIMIT $7) AS its_rows
             UNION ALL
             SELECT line FROM (
                 SELECT first_key AS line FROM gap
                 WHERE tenant_id = $1 AND first_key >= $2 AND first_key <= $3
                 ORDER BY first_key LIMIT $7) AS its_gaps) AS lines
         ORDER BY line LIMIT $5 OFFSET $6"
    ));
    let query = query.bind(tenant.to_string()).bind(first.key()).bind(last.key());
    let query = query.bind(classes.bits()).bind(page.limit).bind(page.offset);
    addresses(query.bind(page.limit.saturating_add(page.offset)).all().await?)
}

fn addresses(keys: Vec<(Vec<u8>,)>) -> Result<Vec<Address>> {
    keys.into_iter().map(|(key,)| Address::try_from(key).map_err(damaged)).collect()
}

/// The addresses of a page of rows.
async fn keys(
    tx: &mut Tx,
    tenant: TenantId,
    (first, last): (Address, Address),
    classes: Classes,
    page: Page,
) -> Result<Vec<Address>> {
    if classes.only(|class| !class.is_gap()).is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT address FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3
               AND (CAST($4 AS BIGINT) >> CAST(class AS INT)) & 1 = 1 ORDER BY address LIMIT $5 OFFSET $6"
        ))
        .bind(tenant.to_string())
        .bind(first.key())
        .bind(last.key())
        .bind(classes.bits())
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    addresses(rows)
}

/// As [`keys`], each class by its index.
async fn rare_keys(
    tx: &mut Tx,
    tenant: TenantId,
    first: Address,
    last: Address,
    classes: Classes,
    limit: i64,
) -> Result<Vec<Address>> {
    let mut keys = Vec::new();
    for class in Class::all().filter(|class| classes.contains(*class) && !class.is_gap()) {
        let rows: Vec<(Vec<u8>,)> = tx
            .query(sql!(
                "SELECT address FROM address WHERE tenant_id = $1 AND class = $2 AND address >= $3 AND address <= $4
                 ORDER BY address LIMIT $5"
            ))
            .bind(tenant.to_string())
            .bind(class.as_i64())
            .bind(first.key())
            .bind(last.key())
            .bind(limit)
            .all()
            .await?;
        for (key,) in rows {
            keys.push(Address::try_from(key).map_err(damaged)?);
        }
    }
    keys.sort_unstable();
    keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(keys)
}

/// As [`fill`], for rows far from each other.
async fn fill_each(tx: &mut Tx, tenant: TenantId, page: &mut [Line]) -> Result<()> {
    let rows = page.iter().filter(|line| line.entry.is_none());
    let wanted: Vec<Address> = rows.map(|line| line.key).collect();
    let found = queries::among(tx, tenant, &wanted).await?;
    let mut found: HashMap<Address, Record> =
        found.into_iter().map(|record| (record.address, record)).collect();
    for line in page.iter_mut().filter(|line| line.entry.is_none()) {
        line.entry = found.remove(&line.key).map(Entry::Row);
    }
    Ok(())
}
