//! The statements of the list of assignments.

use super::super::types::{Assignment, Family, Filter, Sort, Which};
use super::all;
use crate::audit::Page;
use crate::db::{Query, Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::HolderKind;
use crate::net::{Range, ranges_matching};

/// What a list looks for, as the statements take it.
enum Search {
    Everything,
    /// A part of an address can mean as many ranges; those not needed are the first again.
    Addresses([Range; 4]),
    /// The first name, the first that is beyond, and an id.
    Names([String; 3]),
}

impl Search {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self::Everything;
        }
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
            Self::Everything => query,
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
    (Everything) => { "" };
    (Addresses) => { " AND (a.first_key >= $5 AND a.first_key <= $6 OR a.first_key >= $7 AND a.first_key <= $8
           OR a.first_key >= $9 AND a.first_key <= $10 OR a.first_key >= $11 AND a.first_key <= $12)" };
    (Names) => {
        " AND a.id IN (SELECT id FROM assignment WHERE tenant_id = $1 AND holder_key >= $5 AND holder_key < $6
                       UNION SELECT id FROM assignment WHERE tenant_id = $1 AND holder_id = $7)"
    };
}

/// A page: its ids are found in an index alone, then only those rows are read.
macro_rules! page {
    ($where:expr, $order:literal, $limit:literal) => {
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
            Search::Everything => sorted!(
                $sort,
                matching!(states!($which), search!(Everything)),
                " LIMIT $5 OFFSET $6"
            ),
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
            Search::Everything => concat!(
                "SELECT count(*) FROM assignment a WHERE ",
                matching!(states!($which), search!(Everything))
            ),
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

fn filtered<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter, search: &Search) -> Query<'q> {
    let state = match filter.which {
        Which::In(state) => state.as_str(),
        Which::Current | Which::Any => "",
    };
    let query = query
        .bind(tenant.to_string())
        .bind(filter.family.map_or("", Family::as_str))
        .bind(filter.kind.map_or("", HolderKind::as_str))
        .bind(state);
    search.bind(query)
}

pub(in crate::lifecycle) async fn list(
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
    let query = filtered(tx.query(text), tenant, filter, &search);
    all(query.bind(page.limit).bind(page.offset).all().await?)
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
    filtered(tx.query(text), tenant, filter, &search).scalar().await
}
