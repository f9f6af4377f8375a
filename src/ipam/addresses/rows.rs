//! Lists of rows alone: those that hold a word, those somebody reserved, those in no subnet, and
//! all in the order of a column.

use super::list::{Filter, Sort};
use super::queries::{columns, records};
use super::types::Record;
use crate::audit::Page;
use crate::db::{self, Query, Result, Tx};
use crate::id::TenantId;
use crate::ipam::class::{Class, Classes};
use crate::ipam::space::damaged;
use crate::ipam::tally::{Count, Counts};
use crate::net::{Address, Range};

/// Which rows are listed, by the index that finds them.
enum Found {
    /// All, or those of a range, or of several.
    All { ranged: bool },
    /// Those with a word: what the index of pieces of words is asked for, and what must be there.
    Words { pieces: [String; 2 * PIECES], exact: [String; 2] },
    /// The same of a word that many have.
    Common { exact: [String; 2] },
    /// Those whose host name begins so.
    Begins { from: Vec<u8>, until: Vec<u8> },
    /// Those somebody reserved.
    Reserved(String),
    /// Those in no subnet.
    Orphans,
}

/// Pieces of a word that the index is asked for. More would only be looked up in vain.
const PIECES: usize = 4;
/// What no text holds. Letters: other characters have no pieces in `PostgreSQL`'s index, which would
/// be read from end to end.
const NOWHERE: &str = "qzxjvkwq";

/// Ranges in their order as one, and the holes between them.
pub(super) struct Hull {
    first: Address,
    last: Address,
    /// Each with the addresses on both its sides.
    holes: Vec<(Address, Address)>,
    ranged: bool,
}

/// Holes a statement names: a search for part of an address comes to four ranges at most.
const HOLES: usize = 3;

impl Hull {
    /// From one address to another, which may be of the other family.
    pub fn between(first: Address, last: Address) -> Self {
        Self { first, last, holes: Vec::new(), ranged: true }
    }

    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        !self.ranged
    }

    /// Of ranges in their order, of which `None` is everything; `None` if there are none.
    pub fn of(extents: &[Option<Range>]) -> Option<Self> {
        let (first, last) = (extents.first()?, extents.last()?);
        let (Some(first), Some(last)) = (first, last) else {
            let (first, last) = (Address::from_number(0), Address::from_number(u128::MAX));
            return Some(Self { first, last, holes: Vec::new(), ranged: false });
        };
        let pairs = extents.iter().zip(extents.iter().skip(1));
        let holes = pairs.filter_map(|(a, b)| Some(((*a)?.last(), (*b)?.first())));
        let holes: Vec<_> = holes.take(HOLES).collect();
        Some(Self { first: first.first(), last: last.last(), holes, ranged: true })
    }
}

/// Rows to be listed.
pub(super) struct Matching {
    classes: Classes,
    first: Address,
    last: Address,
    holes: Vec<(Address, Address)>,
    found: Found,
    /// Besides, only those this operator reserved.
    reserved_by: String,
    /// Besides, only those in no subnet.
    orphaned: bool,
}

/// What every list of rows asks: class and range.
macro_rules! common {
    () => {
        "tenant_id = $1 AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1 AND address >= $3 AND address <= $4"
    };
}

/// The same in several ranges. Only where no word is searched can there be more than one.
macro_rules! several {
    () => {
        "tenant_id = $1 AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1 AND address >= $3 AND address <= $4
         AND NOT (address > $5 AND address < $6) AND NOT (address > $7 AND address < $8)
         AND NOT (address > $9 AND address < $10)"
    };
}

/// The statements for one way of finding rows: counting them, and a page in each order. Rows
/// without what is sorted by come last, whichever way round: `$more` is the byte that stands for
/// none, asked for in a statement of its own.
macro_rules! texts {
    ($from:expr, $limit:literal, $more:literal, $count_more:literal) => {
        Texts {
            count: concat!("SELECT class + 0, count(*) FROM ", $from, " GROUP BY class + 0"),
            few: concat!("SELECT address, class FROM ", $from, " LIMIT ", $count_more),
            address: page!($from, "", "address", $limit),
            hostname: page!($from, "", "hostname_sort, address", $limit),
            mac: page!($from, "", "mac_sort, address", $limit),
            hostname_down: [
                page!(
                    $from,
                    concat!(" AND hostname_sort < ", $more),
                    "hostname_sort DESC, address DESC",
                    $limit
                ),
                concat!("SELECT count(*) FROM ", $from, " AND hostname_sort < ", $count_more),
                page!($from, concat!(" AND hostname_sort >= ", $more), "address", $limit),
            ],
            mac_down: [
                page!(
                    $from,
                    concat!(" AND mac_sort < ", $more),
                    "mac_sort DESC, address DESC",
                    $limit
                ),
                concat!("SELECT count(*) FROM ", $from, " AND mac_sort < ", $count_more),
                page!($from, concat!(" AND mac_sort >= ", $more), "address", $limit),
            ],
        }
    };
}

/// The keys of a page first, which an index has, then the rows of that page alone.
macro_rules! page {
    ($from:expr, $and:expr, $order:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM (SELECT address AS page_key FROM ",
            $from,
            $and,
            " ORDER BY ",
            $order,
            " ",
            $limit,
            ") AS page CROSS JOIN address WHERE address = page_key AND tenant_id = $1 ORDER BY ",
            $order
        )
    };
}

struct Texts {
    count: &'static str,
    /// Addresses and classes of as many as the last value says.
    few: &'static str,
    address: &'static str,
    hostname: &'static str,
    mac: &'static str,
    hostname_down: [&'static str; 3],
    mac_down: [&'static str; 3],
}

/// Of everything the range is not asked for, so that no index of addresses is walked instead of
/// the one that is sorted by.
static ALL: Texts = texts!(
    "address WHERE tenant_id = $1 AND (CAST($2 AS BIGINT) >> CAST(class AS INT)) & 1 = 1",
    "LIMIT $3 OFFSET $4",
    "$5",
    "$3"
);
static RANGED: Texts =
    texts!(concat!("address WHERE ", common!()), "LIMIT $5 OFFSET $6", "$7", "$5");
static SEVERAL: Texts =
    texts!(concat!("address WHERE ", several!()), "LIMIT $11 OFFSET $12", "$13", "$11");
/// CROSS JOIN tells `SQLite` to begin with what the index found. What only has the pieces is left
/// out before, where its text is at hand; as an expression, for the index would take the whole word
/// apart again.
static WORDS: Texts = texts!(
    concat!(
        "(SELECT rowid AS found FROM address_text
              WHERE search LIKE $5 AND search LIKE $6 AND search LIKE $7 AND search LIKE $8
                AND search || '' LIKE $13 ESCAPE '\\'
          UNION SELECT rowid FROM address_text
              WHERE search LIKE $9 AND search LIKE $10 AND search LIKE $11 AND search LIKE $12
                AND search || '' LIKE $14 ESCAPE '\\') AS pieces
         CROSS JOIN address WHERE id = found AND ",
        common!(),
        " AND ($15 = '' OR reserved_by = $15) AND ($16 = 0 OR subnet_id IS NULL)"
    ),
    "LIMIT $17 OFFSET $18",
    "$19",
    "$17"
);
/// A word that so many have that walking over the rows finds a page of them sooner.
static COMMON: Texts = texts!(
    concat!(
        "address WHERE ",
        common!(),
        " AND (search LIKE $5 ESCAPE '\\' OR search LIKE $6 ESCAPE '\\')
          AND ($7 = '' OR reserved_by = $7) AND ($8 = 0 OR subnet_id IS NULL)"
    ),
    "LIMIT $9 OFFSET $10",
    "$11",
    "$9"
);
static BEGINS: Texts = texts!(
    concat!(
        "address WHERE ",
        common!(),
        " AND hostname_sort >= $5 AND hostname_sort < $6
          AND ($7 = '' OR reserved_by = $7) AND ($8 = 0 OR subnet_id IS NULL)"
    ),
    "LIMIT $9 OFFSET $10",
    "$11",
    "$9"
);
static RESERVED: Texts = texts!(
    concat!(
        "address WHERE ",
        several!(),
        " AND reserved_by = $11 AND reserved_by <> '' AND ($12 = 0 OR subnet_id IS NULL)"
    ),
    "LIMIT $13 OFFSET $14",
    "$15",
    "$13"
);
static ORPHANS: Texts = texts!(
    concat!("address WHERE ", several!(), " AND subnet_id IS NULL"),
    "LIMIT $11 OFFSET $12",
    "$13",
    "$11"
);

/// A word looked for, and how it is looked for.
pub(super) struct Words<'w> {
    /// The word, and what a MAC it may be a part of would look like.
    pub patterns: &'w [String; 2],
    /// Whether it is too short for the index, and host names that begin so are meant.
    pub begins: bool,
    /// How common pieces of words are.
    pub pieces: &'w db::Pieces,
}

impl Matching {
    /// The rows a filter asks for, in some ranges or everywhere.
    pub fn of(filter: &Filter, classes: Classes, hull: &Hull, words: Option<&Words<'_>>) -> Self {
        let reserved_by = filter.reserved_by.clone().unwrap_or_default();
        let found = match words {
            Some(Words { patterns: [name, _], begins: true, .. }) => {
                let until = [name.as_bytes(), &[u8::MAX]].concat();
                Found::Begins { from: name.clone().into_bytes(), until }
            }
            Some(Words { patterns: [word, mac], pieces, .. }) => {
                let one = pieces.rarest(word, PIECES);
                let other = if mac == word { Vec::new() } else { pieces.rarest(mac, PIECES) };
                let like = |pieces: Vec<String>| {
                    let first = pieces.first().map_or(NOWHERE, String::as_str).to_owned();
                    let all = pieces.into_iter().chain(std::iter::repeat(first)).take(PIECES);
                    all.map(|piece| format!("%{piece}%")).collect::<Vec<_>>()
                };
                let mut all = like(one).into_iter().chain(like(other));
                let pieces = std::array::from_fn(|_| all.next().unwrap_or_default());
                let exact = [word, mac].map(|text| format!("%{}%", db::literal(text)));
                Found::Words { pieces, exact }
            }
            None if !reserved_by.is_empty() => Found::Reserved(reserved_by.clone()),
            None if filter.orphaned => Found::Orphans,
            None => Found::All { ranged: hull.ranged },
        };
        Self {
            classes,
            first: hull.first,
            last: hull.last,
            holes: hull.holes.clone(),
            found,
            reserved_by,
            orphaned: filter.orphaned,
        }
    }

    fn texts(&self) -> &'static Texts {
        match self.found {
            Found::All { ranged: false } => &ALL,
            Found::All { ranged: true } if self.holes.is_empty() => &RANGED,
            Found::All { ranged: true } => &SEVERAL,
            Found::Words { .. } => &WORDS,
            Found::Common { .. } => &COMMON,
            Found::Begins { .. } => &BEGINS,
            Found::Reserved(_) => &RESERVED,
            Found::Orphans => &ORPHANS,
        }
    }

    fn bind<'q>(&self, query: Query<'q>, tenant: TenantId) -> Query<'q> {
        let query = query.bind(tenant.to_string()).bind(self.classes.bits());
        if matches!(self.found, Found::All { ranged: false }) {
            return query;
        }
        let query = query.bind(self.first.key()).bind(self.last.key());
        let orphaned = i64::from(self.orphaned);
        match &self.found {
            Found::All { .. } if self.holes.is_empty() => query,
            Found::All { .. } | Found::Orphans => self.bind_holes(query),
            Found::Words { pieces, exact } => {
                let query =
                    pieces.iter().chain(exact).fold(query, |query, text| query.bind(text.clone()));
                query.bind(self.reserved_by.clone()).bind(orphaned)
            }
            Found::Common { exact } => {
                let query = exact.iter().fold(query, |query, text| query.bind(text.clone()));
                query.bind(self.reserved_by.clone()).bind(orphaned)
            }
            Found::Begins { from, until } => query
                .bind(from.clone())
                .bind(until.clone())
                .bind(self.reserved_by.clone())
                .bind(orphaned),
            Found::Reserved(by) => self.bind_holes(query).bind(by.clone()).bind(orphaned),
        }
    }

    /// A hole with nothing in it stands for one there is not.
    fn bind_holes<'q>(&self, query: Query<'q>) -> Query<'q> {
        let none = (self.last, self.last);
        let holes = self.holes.iter().copied().chain(std::iter::repeat(none)).take(HOLES);
        holes.fold(query, |query, (before, behind)| query.bind(before.key()).bind(behind.key()))
    }

    /// All there are, in order, if that are at most `most`.
    pub async fn few(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        most: i64,
    ) -> Result<Option<Vec<(Address, Class)>>> {
        let text = self.texts().few;
        let rows: Vec<(Vec<u8>, i64)> =
            self.bind(tx.query(text), tenant).bind(most + 1).all().await?;
        if i64::try_from(rows.len()).unwrap_or(i64::MAX) > most {
            return Ok(None);
        }
        let parse = |(address, class): (Vec<u8>, i64)| {
            Ok((
                Address::try_from(address).map_err(damaged)?,
                Class::try_from(class).map_err(damaged)?,
            ))
        };
        let mut all = rows.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
        all.sort_unstable();
        Ok(Some(all))
    }

    /// The same rows, found by walking over all there are.
    pub fn common(self) -> Self {
        match self.found {
            Found::Words { exact, .. } => Self { found: Found::Common { exact }, ..self },
            _ => self,
        }
    }

    /// How many there are of each class.
    pub async fn count(&self, tx: &mut Tx, tenant: TenantId) -> Result<Counts> {
        let text = self.texts().count;
        let rows: Vec<(i64, i64)> = self.bind(tx.query(text), tenant).all().await?;
        let mut counts = Counts::default();
        for (class, rows) in rows {
            let class = Class::try_from(class).map_err(damaged)?;
            counts.add(class, Count { entries: rows, addresses: i128::from(rows) });
        }
        Ok(counts)
    }

    /// A page of them.
    pub async fn page(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        sort: Sort,
        page: Page,
    ) -> Result<Vec<Record>> {
        let texts = self.texts();
        let text = match sort {
            Sort::Address => texts.address,
            Sort::Hostname => texts.hostname,
            Sort::Mac => texts.mac,
            Sort::HostnameDown => return self.down(tx, tenant, &texts.hostname_down, page).await,
            Sort::MacDown => return self.down(tx, tenant, &texts.mac_down, page).await,
        };
        let rows =
            self.bind(tx.query(text), tenant).bind(page.limit).bind(page.offset).all().await?;
        records(rows)
    }

    async fn down(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        [text, count, blank]: &[&'static str; 3],
        page: Page,
    ) -> Result<Vec<Record>> {
        let none = || vec![u8::MAX];
        let query =
            self.bind(tx.query(text), tenant).bind(page.limit).bind(page.offset).bind(none());
        let mut all = records(query.all().await?)?;
        let left = page.limit - i64::try_from(all.len()).unwrap_or(page.limit);
        if left > 0 {
            let passed: i64 = self.bind(tx.query(count), tenant).bind(none()).scalar().await?;
            let offset = (page.offset - passed).max(0);
            let query = self.bind(tx.query(blank), tenant).bind(left).bind(offset).bind(none());
            all.extend(records(query.all().await?)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nowhere_has_pieces_in_both_indexes() {
        assert!(NOWHERE.len() >= 3 && NOWHERE.bytes().all(|byte| byte.is_ascii_alphabetic()));
    }
}
