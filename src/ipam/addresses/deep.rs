//! Pages deep in the list of all addresses in the order of a column: walked to from the nearest row
//! whose rank is known.
//!
//! Ranks are those in the rising order, in which rows without what is sorted by come last. The
//! falling order shows the others the other way round, and then those as they are.

use std::ops::Range;

use super::list::Sort;
use super::queries::{columns, records};
use super::types::Record;
use crate::audit::{self, Page};
use crate::db::{Query, Result, Tx};
use crate::id::TenantId;
use crate::ipam::class::Classes;
use crate::ipam::space::mac_sort;
use crate::sql;
use crate::state::{Bookmarks, Counted, From, State};

/// Rows from an end of the list that are passed over without looking for a nearer place.
const NEAR: i64 = 500;

/// What is remembered of the lists of a tenant.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// Where in them rows are.
    pub marks: &'k Bookmarks,
    /// How many there are.
    pub counted: &'k Counted,
}

impl<'k> Known<'k> {
    /// What the program remembers.
    pub fn of(state: &'k State) -> Self {
        Self { marks: &state.bookmarks, counted: &state.counted }
    }
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Hostname,
    Mac,
}

impl Column {
    /// Binds where a row is in this order.
    fn bind<'q>(self, query: Query<'q>, row: &Record) -> Query<'q> {
        let key = match self {
            Self::Hostname => row.hostname.sort(),
            Self::Mac => mac_sort(row),
        };
        query.bind(key).bind(row.address.key())
    }
}

/// Rows with a host name and rows with a MAC, of some classes.
#[derive(Clone, Copy)]
struct With {
    classes: i64,
    hostnames: i64,
    macs: i64,
}

/// The keys of a stretch first, which an index has, then its rows alone.
macro_rules! stretch {
    ($beyond:expr, $order:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM (SELECT address AS page_key FROM address
                    WHERE tenant_id = $1 AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1",
            $beyond,
            " ORDER BY ",
            $order,
            " LIMIT $3 OFFSET $4) AS page CROSS JOIN address WHERE address = page_key AND tenant_id = $1 ORDER BY ",
            $order
        )
    };
}

macro_rules! walking {
    ($key:literal, $from:expr) => {
        match $from {
            From::First => stretch!("", concat!($key, ", address")),
            From::Row(_) => {
                stretch!(
                    concat!(" AND (", $key, ", address) >= ($5, $6)"),
                    concat!($key, ", address")
                )
            }
            From::Last => stretch!("", concat!($key, " DESC, address DESC")),
            From::Below(_) => stretch!(
                concat!(" AND (", $key, ", address) < ($5, $6)"),
                concat!($key, " DESC, address DESC")
            ),
        }
    };
}

/// A list of the rows of some classes, `total` of them, as it is now.
struct Deep<'d> {
    known: Known<'d>,
    tenant: TenantId,
    classes: Classes,
    total: i64,
    change: i64,
}

/// A page of the rows of some classes, of which there are `total`. None in the order of addresses,
/// in which the tallies tell where it is, and near the first row.
pub(super) async fn page(
    tx: &mut Tx,
    known: Known<'_>,
    tenant: TenantId,
    (classes, total): (Classes, i64),
    sort: Sort,
    page: Page,
) -> Result<Option<Vec<Record>>> {
    let (column, down) = match sort {
        Sort::Hostname => (Column::Hostname, false),
        Sort::HostnameDown => (Column::Hostname, true),
        Sort::Mac => (Column::Mac, false),
        Sort::MacDown => (Column::Mac, true),
        Sort::Address => return Ok(None),
    };
    if page.offset <= NEAR {
        return Ok(None);
    }
    let change = audit::head(tx).await?;
    let list = Deep { known, tenant, classes, total, change };
    let (first, behind) = (page.offset, page.offset.saturating_add(page.limit).min(total));
    if !down {
        return list.rows(tx, column, first..behind).await.map(Some);
    }
    let with = list.with(tx).await?;
    let with = if column == Column::Hostname { with.hostnames } else { with.macs };
    let mut rows = list.rows(tx, column, with - behind.min(with)..with - first.min(with)).await?;
    rows.reverse();
    rows.extend(list.rows(tx, column, first.max(with)..behind.max(with)).await?);
    Ok(Some(rows))
}

impl Deep<'_> {
    /// The rows of these ranks.
    async fn rows(&self, tx: &mut Tx, column: Column, ranks: Range<i64>) -> Result<Vec<Record>> {
        if ranks.is_empty() {
            return Ok(Vec::new());
        }
        let (marks, list) = (self.known.marks, format!("{column:?} {}", self.classes.bits()));
        let way = marks.way(self.tenant, &list, self.change, &ranks, self.total);
        let text = match column {
            Column::Hostname => walking!("hostname_sort", way.from),
            Column::Mac => walking!("mac_sort", way.from),
        };
        let query = tx.query(text).bind(self.tenant.to_string()).bind(self.classes.bits());
        let query = query.bind(ranks.end - ranks.start).bind(way.skip);
        let query = match &way.from {
            From::First | From::Last => query,
            From::Row(row) | From::Below(row) => column.bind(query, row),
        };
        let mut rows = records(query.all().await?)?;
        if way.from.is_down() {
            rows.reverse();
        }
        if let Some(row) = rows.first() {
            marks.keep::<Record>(self.tenant, &list, self.change, ranks.start, row.clone());
        }
        Ok(rows)
    }

    /// How many rows have a host name, and how many a MAC.
    async fn with(&self, tx: &mut Tx) -> Result<With> {
        let classes = self.classes.bits();
        let kept: Option<With> = self.known.counted.get(self.tenant, self.change);
        if let Some(with) = kept.filter(|with| with.classes == classes) {
            return Ok(with);
        }
        let query = tx.query(sql!(
            "SELECT (SELECT count(*) FROM address WHERE tenant_id = $1 AND hostname_sort < $3
                       AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1),
                    (SELECT count(*) FROM address WHERE tenant_id = $1 AND mac_sort < $3
                       AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1)"
        ));
        let query = query.bind(self.tenant.to_string()).bind(classes).bind(vec![u8::MAX]);
        let (hostnames, macs) = query.one().await?;
        let with = With { classes, hostnames, macs };
        self.known.counted.keep(self.tenant, self.change, with);
        Ok(with)
    }
}
