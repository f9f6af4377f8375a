//! The statements of the list of assignments.

use super::super::types::{Assignment, Family, Filter, Sort, Which};
use super::all;
use crate::audit::{self, Page};
use crate::db::{Query, Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::HolderKind;
use crate::net::{Range, ranges_matching};
use crate::state::{Bookmarks, From, Way};

/// What a list looks for, as the statements take it.
enum Search {
    /// A part of an address can mean as many ranges; those not needed are the first again.
    Addresses([Range; 4]),
    /// The first name, the first that is beyond, and an id.
    Names([String; 3]),
}

impl Search {
    fn of(text: &str) -> Self {
        let found = ranges_matching(text).unwrap_or_default();
        if let Some(first) = found.first() {
            let range = |n: usize| *found.get(n).unwrap_or(first);
            return Self::Addresses([range(0), range(1), range(2), range(3)]);
        }
        let key = text.to_lowercase().replace('\0', "\u{1}");
        Self::Names([key.clone(), format!("{key}\u{10ffff}"), text.replace('\0', "\u{1}")])
    }

    fn bind<'q>(&self, query: Query<'q>) -> Query<'q> {
        match self {
            Self::Addresses(ranges) => ranges.iter().fold(query, |query, range| {
                query.bind(range.first().key()).bind(range.last().key())
            }),
            Self::Names([from, until, id]) => {
                query.bind(from.clone()).bind(until.clone()).bind(id.clone())
            }
        }
    }
}

/// `$2` is a family and `$3` a kind of holder, or nothing; `$4` a state where one is asked for.
macro_rules! matching {
    ($states:expr, $search:expr) => {
        concat!(
            "a.tenant_id = $1 AND ($2 = '' OR a.family = $2) AND ($3 = '' OR a.holder_kind = $3) AND ",
            $states,
            $search
        )
    };
}

macro_rules! states {
    (Current) => {
        "(a.state <> 'revoked' AND $4 = '')"
    };
    (Any) => {
        "$4 = ''"
    };
    (In) => {
        "a.state = $4"
    };
}

macro_rules! search {
    (Addresses) => { " AND (a.first_key >= $5 AND a.first_key <= $6 OR a.first_key >= $7 AND a.first_key <= $8
           OR a.first_key >= $9 AND a.first_key <= $10 OR a.first_key >= $11 AND a.first_key <= $12)" };
    (Names) => {
        " AND a.id IN (SELECT id FROM assignment WHERE tenant_id = $1 AND holder_key >= $5 AND holder_key < $6
                       UNION SELECT id FROM assignment WHERE tenant_id = $1 AND holder_id = $7)"
    };
}

/// A page: its ids are found in an index alone, then only those rows are read.
macro_rules! page {
    ($where:expr, $order:expr, $limit:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM (SELECT a.id FROM assignment a WHERE ",
            $where,
            " ORDER BY ",
            $order,
            $limit,
            ") p CROSS JOIN assignment a WHERE a.id = p.id ORDER BY ",
            $order
        )
    };
}

macro_rules! sorted {
    ($sort:expr, $where:expr, $limit:literal) => {
        match $sort {
            Sort::Address => page!($where, "a.first_key, a.id", $limit),
            Sort::AddressDown => page!($where, "a.first_key DESC, a.id DESC", $limit),
            Sort::Holder => page!($where, "a.holder_key, a.id", $limit),
            Sort::HolderDown => page!($where, "a.holder_key DESC, a.id DESC", $limit),
            Sort::Since => page!($where, "a.since, a.id", $limit),
            Sort::SinceDown => page!($where, "a.since DESC, a.id DESC", $limit),
        }
    };
}

macro_rules! listing {
    ($which:ident, $sort:expr, $search:expr) => {
        match $search {
            Search::Addresses(_) => sorted!(
                $sort,
                matching!(states!($which), search!(Addresses)),
                " LIMIT $13 OFFSET $14"
            ),
            Search::Names(_) => {
                sorted!($sort, matching!(states!($which), search!(Names)), " LIMIT $8 OFFSET $9")
            }
        }
    };
}

macro_rules! counting {
    ($which:ident, $search:expr) => {
        match $search {
            Search::Addresses(_) => concat!(
                "SELECT count(*) FROM assignment a WHERE ",
                matching!(states!($which), search!(Addresses))
            ),
            Search::Names(_) => concat!(
                "SELECT count(*) FROM assignment a WHERE ",
                matching!(states!($which), search!(Names))
            ),
        }
    };
}

/// A stretch of all that are in some states, from where a walk to it begins.
macro_rules! stretch {
    ($which:ident, $key:literal, $from:expr) => {
        match $from {
            From::First => page!(
                matching!(states!($which), ""),
                concat!($key, ", a.id"),
                " LIMIT $5 OFFSET $6"
            ),
            From::Row(_) => page!(
                matching!(states!($which), concat!(" AND (", $key, ", a.id) >= ($7, $8)")),
                concat!($key, ", a.id"),
                " LIMIT $5 OFFSET $6"
            ),
            From::Last => page!(
                matching!(states!($which), ""),
                concat!($key, " DESC, a.id DESC"),
                " LIMIT $5 OFFSET $6"
            ),
            From::Below(_) => page!(
                matching!(states!($which), concat!(" AND (", $key, ", a.id) < ($7, $8)")),
                concat!($key, " DESC, a.id DESC"),
                " LIMIT $5 OFFSET $6"
            ),
        }
    };
}

macro_rules! walking {
    ($which:ident, $column:expr, $from:expr) => {
        match $column {
            Column::Address => stretch!($which, "a.first_key", $from),
            Column::Holder => stretch!($which, "a.holder_key", $from),
            Column::Since => stretch!($which, "a.since", $from),
        }
    };
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Address,
    Holder,
    Since,
}

impl Column {
    /// With whether it is the other way round.
    fn of(sort: Sort) -> (Self, bool) {
        match sort {
            Sort::Address => (Self::Address, false),
            Sort::AddressDown => (Self::Address, true),
            Sort::Holder => (Self::Holder, false),
            Sort::HolderDown => (Self::Holder, true),
            Sort::Since => (Self::Since, false),
            Sort::SinceDown => (Self::Since, true),
        }
    }

    /// Binds where a row is in this order.
    fn bind<'q>(self, query: Query<'q>, row: &Assignment) -> Query<'q> {
        let query = match self {
            Self::Address => query.bind(row.leased.map(|leased| leased.range().first().key())),
            Self::Holder => query.bind(row.holder.name.to_lowercase()),
            Self::Since => query.bind(row.since),
        };
        query.bind(row.id.to_string())
    }
}

fn filtered<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter) -> Query<'q> {
    let state = match filter.which {
        Which::In(state) => state.as_str(),
        Which::Current | Which::Any => "",
    };
    query
        .bind(tenant.to_string())
        .bind(filter.family.map_or("", Family::as_str))
        .bind(filter.kind.map_or("", HolderKind::as_str))
        .bind(state)
}

/// A page of those that a search finds.
pub(in crate::lifecycle) async fn found(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<Vec<Assignment>> {
    let search = Search::of(&filter.search);
    let text = match filter.which {
        Which::Current => listing!(Current, sort, &search),
        Which::Any => listing!(Any, sort, &search),
        Which::In(_) => listing!(In, sort, &search),
    };
    let query = search.bind(filtered(tx.query(text), tenant, filter));
    all(query.bind(page.limit).bind(page.offset).all().await?)
}

/// Rows from an end of a list that are passed over without looking for a nearer place.
const NEAR: i64 = 500;

/// A page of the `total` that a filter without a search lets through. `placed` is whether all of
/// them have an address.
pub(in crate::lifecycle) async fn page_of(
    tx: &mut Tx,
    marks: &Bookmarks,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
    (total, placed): (i64, bool),
) -> Result<Vec<Assignment>> {
    let (column, down) = Column::of(sort);
    let (first, behind) = (page.offset, page.offset.saturating_add(page.limit).min(total));
    let ranks = if down { total - behind..total - first } else { first..behind };
    if ranks.is_empty() {
        return Ok(Vec::new());
    }
    let deep = ranks.start.min(total - ranks.end) > NEAR;
    let list = format!("{column:?} {filter:?}");
    // What has no address has no place among them.
    let change = if deep && (placed || column != Column::Address) {
        Some(audit::head(tx).await?)
    } else {
        None
    };
    let way = match change {
        Some(change) => marks.way(tenant, &list, change, &ranks, total),
        None if down => Way { from: From::Last, skip: total - ranks.end },
        None => Way { from: From::First, skip: ranks.start },
    };
    let mut found = walk(tx, tenant, filter, column, &way, ranks.end - ranks.start).await?;
    if way.from.is_down() {
        found.reverse();
    }
    if let (Some(change), Some(row)) = (change, found.first()) {
        marks.keep(tenant, &list, change, ranks.start, row.clone());
    }
    if down {
        found.reverse();
    }
    Ok(found)
}

async fn walk(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    column: Column,
    way: &Way<Assignment>,
    rows: i64,
) -> Result<Vec<Assignment>> {
    let text = match filter.which {
        Which::Current => walking!(Current, column, way.from),
        Which::Any => walking!(Any, column, way.from),
        Which::In(_) => walking!(In, column, way.from),
    };
    let query = filtered(tx.query(text), tenant, filter).bind(rows).bind(way.skip);
    let query = match &way.from {
        From::First | From::Last => query,
        From::Row(row) | From::Below(row) => column.bind(query, row),
    };
    all(query.all().await?)
}

/// How many match, of those that are searched for.
pub(in crate::lifecycle) async fn count_found(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
) -> Result<i64> {
    let search = Search::of(&filter.search);
    let text = match filter.which {
        Which::Current => counting!(Current, &search),
        Which::Any => counting!(Any, &search),
        Which::In(_) => counting!(In, &search),
    };
    search.bind(filtered(tx.query(text), tenant, filter)).scalar().await
}
