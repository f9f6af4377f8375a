//! Lists of addresses: those with a row and the gaps between them, in one order.
//!
//! In the order of addresses, and without a search for words, ranks are counted by the tallies:
//! the last page costs what the first does. A search for words goes through an index of pieces of
//! words and shows rows only. In the order of a column come first the rows, then the gaps, which
//! have no such column, in the order of addresses: what matches and how much it is never depends
//! on the order.

mod rank;
mod stream;

pub use stream::Stream;

use super::deep::{self, Known};
use super::queries;
use super::rows::{Hull, Matching, Words};
use super::types::Record;
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::class::{Class, Classes, Kind, Status};
use crate::ipam::space::{self, Gap, gap_before, gaps_from};
use crate::ipam::subnets;
use crate::ipam::tally::{self, Count, Counts, Scope};
use crate::net::{self, Address, Range};
use crate::sql;
use crate::state::{Bookmarks, Counted};
use crate::text::ByName;

/// Which addresses a list shows. Nothing set: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those inside this subnet, smaller subnets in it included.
    pub subnet: Option<SubnetId>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those given so.
    pub kind: Option<Kind>,
    /// Only those seen of late, or only the others.
    pub active: Option<bool>,
    /// Only those two claim, or only the others.
    pub conflict: Option<bool>,
    /// Only those this operator reserved.
    pub reserved_by: Option<String>,
    /// Only those in no subnet.
    pub orphaned: bool,
    /// Part of an address, a CIDR, a MAC in any notation or part of one, part of a host name, a
    /// holder's name or a description.
    pub search: String,
    /// Whether every free address is a row of its own rather than part of a gap.
    pub expanded: bool,
}

impl Filter {
    /// Whether every free address is a line of its own.
    pub fn each(&self) -> bool {
        self.expanded || self.status == Some(Status::Available)
    }
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Address,
    Hostname,
    HostnameDown,
    Mac,
    MacDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Address, "address"),
        (Self::Hostname, "hostname"),
        (Self::HostnameDown, "-hostname"),
        (Self::Mac, "mac"),
        (Self::MacDown, "-mac"),
    ];
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a page has at most 200 lines")]
pub enum Entry {
    /// An address with a row.
    Row(Record),
    /// Free addresses in a row, or one of them.
    Gap(Gap),
}

impl Entry {
    /// Its first address.
    pub fn first(&self) -> Address {
        match self {
            Self::Row(record) => record.address,
            Self::Gap(gap) => gap.range.first(),
        }
    }

    /// The subnet it belongs to.
    pub fn subnet(&self) -> Option<SubnetId> {
        match self {
            Self::Row(record) => record.subnet,
            Self::Gap(gap) => Some(gap.subnet),
        }
    }
}

/// How many addresses of each status match a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// In static pools and held by nobody.
    pub available: i128,
    /// Held.
    pub allocated: i128,
    /// Kept, with a note.
    pub reserved: i128,
    /// Out of use.
    pub quarantine: i128,
    /// Free for a DHCP server to give.
    pub dhcp: i128,
    /// Of them all, seen of late.
    pub active: i128,
    /// Of them all, claimed by two.
    pub conflicts: i128,
}

impl Stats {
    /// Out of counts by class.
    pub fn of(counts: &Counts) -> Self {
        let sum = |wanted: &dyn Fn(Class) -> bool| counts.of(Classes::of(wanted)).addresses;
        Self {
            available: sum(&|class| class.status() == Some(Status::Available)),
            allocated: sum(&|class| class.status() == Some(Status::Allocated)),
            reserved: sum(&|class| class.status() == Some(Status::Reserved)),
            quarantine: sum(&|class| class.status() == Some(Status::Quarantine)),
            dhcp: sum(&|class| class == Class::gap(Kind::Dhcp)),
            active: sum(&Class::is_active),
            conflicts: sum(&Class::is_conflict),
        }
    }

    /// All that a person may hold: everything but what DHCP gives.
    pub fn all(&self) -> i128 {
        self.available + self.allocated + self.reserved + self.quarantine
    }

    /// How much of `all` a part is, in hundredths.
    pub fn percent(&self, part: i128) -> i128 {
        if self.all() == 0 { 0 } else { part * 100 / self.all() }
    }
}

/// A stretch of a list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The lines.
    pub entries: Vec<Entry>,
    /// How many lines there are in all; more than a page number can name are as many as it can.
    pub total: i64,
    /// Whether more match than were counted: the search is for something very common. Then the
    /// statistics are not of all of them either.
    pub more: bool,
    /// What the matching addresses are.
    pub stats: Stats,
}

/// What a search means.
enum Meaning {
    /// Addresses.
    Ranges(Vec<Range>),
    /// Words, and perhaps a MAC.
    Words { patterns: [String; 2], begins: bool },
}

fn meaning(search: &str) -> Option<Meaning> {
    let text = search.trim();
    if text.is_empty() {
        return None;
    }
    if let Some(ranges) = net::ranges_matching(text) {
        return Some(Meaning::Ranges(ranges));
    }
    let lower = text.to_lowercase();
    let mac =
        net::mac_part(text).filter(|digits| digits.len() > 2).unwrap_or_else(|| lower.clone());
    let begins = lower.chars().count() < 3;
    Some(Meaning::Words { patterns: [lower, mac], begins })
}

/// Whether a search is for a word so short that only the beginnings of host names are looked at:
/// no index has pieces of one or two letters.
pub fn begins(search: &str) -> bool {
    matches!(meaning(search), Some(Meaning::Words { begins: true, .. }))
}

/// The classes a filter lets through.
fn classes(filter: &Filter, rows_only: bool) -> Classes {
    let seen = filter.active.is_some() || filter.conflict.is_some();
    Classes::of(|class| {
        let gap = class.is_gap();
        !(gap && (rows_only || seen))
            && filter.status.is_none_or(|status| class.status() == Some(status))
            && filter.kind.is_none_or(|kind| class.kind() == kind)
            && filter.active.is_none_or(|active| class.is_active() == active)
            && filter.conflict.is_none_or(|conflict| class.is_conflict() == conflict)
    })
}

/// A page of a list, how many lines it has in all, and what the matching addresses are.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<Listing> {
    let (marks, counted) = (Bookmarks::default(), Counted::default());
    let known = Known { marks: &marks, counted: &counted };
    list_known(tx, known, tenant, filter, sort, page).await
}

/// As [`list`], with what is remembered of the list from the last time.
pub async fn list_known(
    tx: &mut Tx,
    known: Known<'_>,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<Listing> {
    let meaning = meaning(&filter.search);
    let extents = extents(tx, tenant, filter, meaning.as_ref()).await?;
    // Nothing can match: no such subnet, or what is searched lies outside of it.
    let Some(hull) = Hull::of(&extents) else { return Ok(Listing::default()) };
    let words = match &meaning {
        Some(Meaning::Words { patterns, begins }) => Some((patterns, *begins)),
        _ => None,
    };
    if words.is_none() && filter.reserved_by.is_none() && !filter.orphaned {
        let counted = counted(tx, tenant, &extents).await?;
        return if sort == Sort::Address {
            by_address(tx, tenant, filter, &counted, page).await
        } else {
            by_column(tx, known, tenant, filter, (&counted, &hull), sort, page).await
        };
    }
    let pieces = match words {
        Some((_, false)) => tx.pieces().await?,
        _ => std::sync::Arc::default(),
    };
    let words = words.map(|(patterns, begins)| Words { patterns, begins, pieces: &pieces });
    let matching = Matching::of(filter, classes(filter, true), &hull, words.as_ref());
    of_rows(tx, tenant, matching, words.is_some(), sort, page).await
}

/// A page of a list of rows alone.
async fn of_rows(
    tx: &mut Tx,
    tenant: TenantId,
    matching: Matching,
    words: bool,
    sort: Sort,
    page: Page,
) -> Result<Listing> {
    let mut listing = Listing::default();
    let rows = match matching.few(tx, tenant, FEW).await? {
        Some(found) => {
            let mut counts = Counts::default();
            for (_, class) in &found {
                counts.add(*class, Count { entries: 1, addresses: 1 });
            }
            listing.total = i64::try_from(found.len()).unwrap_or(i64::MAX);
            listing.stats = Stats::of(&counts);
            if page.offset >= listing.total {
                return Ok(listing);
            }
            some(tx, tenant, &matching, &found, sort, page).await?
        }
        None if words => {
            // So common a word is not counted: walking over all it fits would be slow.
            (listing.total, listing.more) = (FEW, true);
            let limit = page.limit.min(FEW - page.offset);
            if limit <= 0 {
                return Ok(listing);
            }
            matching.common().page(tx, tenant, sort, Page { limit, ..page }).await?
        }
        None => {
            let counts = matching.count(tx, tenant).await?;
            listing.total = counts.of(Classes::of(|_| true)).entries;
            listing.stats = Stats::of(&counts);
            if page.offset >= listing.total {
                return Ok(listing);
            }
            matching.page(tx, tenant, sort, page).await?
        }
    };
    listing.entries = rows.into_iter().map(Entry::Row).collect();
    Ok(listing)
}

/// Most matches that a search for words counts.
pub const FEW: i64 = 2_000;

/// A page of rows that are known to match.
async fn some(
    tx: &mut Tx,
    tenant: TenantId,
    matching: &Matching,
    found: &[(Address, Class)],
    sort: Sort,
    page: Page,
) -> Result<Vec<Record>> {
    if sort != Sort::Address {
        return matching.page(tx, tenant, sort, page).await;
    }
    let (skip, limit) =
        (usize::try_from(page.offset).unwrap_or(0), usize::try_from(page.limit).unwrap_or(0));
    let wanted = found.iter().skip(skip).take(limit);
    let wanted: Vec<Address> = wanted.map(|(address, _)| *address).collect();
    let mut rows = queries::among(tx, tenant, &wanted).await?;
    rows.sort_unstable_by_key(|record| record.address);
    Ok(rows)
}

/// A page in the order of addresses: rows and gaps.
async fn by_address(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    counted: &[InExtent],
    page: Page,
) -> Result<Listing> {
    let wanted = classes(filter, false);
    let (entries, total) = rank::ranked(tx, tenant, filter, wanted, counted, page).await?;
    Ok(Listing { entries, total, more: false, stats: stats_of(counted, wanted) })
}

/// A page in the order of a column: the rows, then the gaps as in the order of addresses.
async fn by_column(
    tx: &mut Tx,
    known: Known<'_>,
    tenant: TenantId,
    filter: &Filter,
    (counted, hull): (&[InExtent], &Hull),
    sort: Sort,
    page: Page,
) -> Result<Listing> {
    let wanted = classes(filter, false);
    let (rows, gaps) = (wanted.only(|class| !class.is_gap()), wanted.only(Class::is_gap));
    let before: i64 = counted.iter().map(|(_, counts)| counts.of(rows).entries).sum();
    let mut entries = Vec::new();
    if page.offset < before {
        // That an address was seen again is not in the log, by which places are known to be true.
        let far = if hull.is_everything() && filter.active.is_none() {
            deep::page(tx, known, tenant, (rows, before), sort, page).await?
        } else {
            None
        };
        let found = match far {
            Some(found) => found,
            None => Matching::of(filter, rows, hull, None).page(tx, tenant, sort, page).await?,
        };
        entries.extend(found.into_iter().map(Entry::Row));
    }
    let left = page.limit - i64::try_from(entries.len()).unwrap_or(page.limit);
    let rest = Page { offset: (page.offset - before).max(0), limit: left };
    let (behind, more) = rank::ranked(tx, tenant, filter, gaps, counted, rest).await?;
    entries.extend(behind);
    let total = before.saturating_add(more);
    Ok(Listing { entries, total, more: false, stats: stats_of(counted, wanted) })
}

fn stats_of(counted: &[InExtent], wanted: Classes) -> Stats {
    let mut all = Counts::default();
    for (_, counts) in counted {
        all.merge(counts, 1);
    }
    Stats::of(&all.only(wanted))
}

/// An extent with the counts of all there is in it.
type InExtent = (Extent, Counts);

async fn counted(tx: &mut Tx, tenant: TenantId, extents: &[Extent]) -> Result<Vec<InExtent>> {
    let mut all = Vec::new();
    for extent in extents {
        all.push((*extent, counts_of(tx, tenant, *extent).await?));
    }
    Ok(all)
}

/// A range, or with none everything.
type Extent = Option<Range>;

/// Where the addresses lie that a filter asks for.
async fn extents(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    meaning: Option<&Meaning>,
) -> Result<Vec<Extent>> {
    let asked = match meaning {
        Some(Meaning::Ranges(ranges)) => Some(ranges.clone()),
        _ => None,
    };
    let Some(id) = filter.subnet else {
        return Ok(
            asked.map_or_else(|| vec![None], |ranges| ranges.into_iter().map(Some).collect())
        );
    };
    let Some(subnet) = subnets::get(tx, tenant, id).await? else { return Ok(Vec::new()) };
    let subnet = subnet.cidr.range();
    let ranges = asked.unwrap_or_else(|| vec![subnet]);
    Ok(ranges.into_iter().filter_map(|range| range.intersection(subnet)).map(Some).collect())
}

async fn counts_of(tx: &mut Tx, tenant: TenantId, extent: Extent) -> Result<Counts> {
    match extent {
        None => tally::of(tx, tenant, &Scope::tenant()).await,
        Some(range) => counts(tx, tenant, range).await,
    }
}

/// The counts by class of everything in a range.
pub async fn counts(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<Counts> {
    let (mut counts, edges) = tally::inside(tx, tenant, range).await?;
    for edge in edges.into_iter().flatten() {
        for (class, rows) in classes_within(tx, tenant, edge).await? {
            counts.add(class, Count { entries: rows, addresses: i128::from(rows) });
        }
        for gap in gaps_from(tx, tenant, edge, i64::from(u16::MAX)).await? {
            counts.add(Class::gap(gap.kind), whole(gap.range));
        }
    }
    // Gaps count where they begin: the one that begins before the range belongs to it in part, and
    // the one that ends after it does not wholly.
    for (gap, sign) in straddling(tx, tenant, range).await? {
        let class = Class::gap(gap.kind);
        let inside = gap.range.intersection(range).map(whole).unwrap_or_default();
        if sign {
            counts.add(class, inside);
        } else {
            counts.subtract(class, whole(gap.range));
            counts.add(class, inside);
        }
    }
    Ok(counts)
}

fn whole(range: Range) -> Count {
    Count { entries: 1, addresses: i128::try_from(range.size()).unwrap_or(i128::MAX) }
}

/// The gaps that cross the ends of a range: `true` for one that begins before it.
async fn straddling(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<Vec<(Gap, bool)>> {
    let mut found = Vec::new();
    let head = gap_before(tx, tenant, range.first()).await?;
    let head = head.filter(|gap| gap.range.first() < range.first() && gap.range.overlaps(range));
    let tail = gap_before(tx, tenant, range.last()).await?;
    let tail =
        tail.filter(|gap| gap.range.first() >= range.first() && gap.range.last() > range.last());
    found.extend(head.map(|gap| (gap, true)));
    found.extend(tail.map(|gap| (gap, false)));
    Ok(found)
}

/// Grouped by an expression: `SQLite` would else walk the whole index of classes.
async fn classes_within(tx: &mut Tx, tenant: TenantId, range: Range) -> Result<Vec<(Class, i64)>> {
    let rows: Vec<(i64, i64)> = tx
        .query(sql!(
            "SELECT class + 0, count(*) FROM address
             WHERE tenant_id = $1 AND address >= $2 AND address <= $3 GROUP BY class + 0"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .all()
        .await?;
    Ok(rows.into_iter().filter_map(|(class, n)| Some((Class::try_from(class).ok()?, n))).collect())
}

/// The first and the last address of an extent.
fn ends(extent: Extent) -> (Address, Address) {
    let all = (Address::from_number(0), Address::from_number(u128::MAX));
    extent.map_or(all, |range| (range.first(), range.last()))
}

async fn gaps_between(
    tx: &mut Tx,
    tenant: TenantId,
    first: Address,
    last: Address,
    classes: Classes,
    limit: i64,
) -> Result<Vec<Gap>> {
    if classes.only(Class::is_gap).is_empty() {
        return Ok(Vec::new());
    }
    let kinds = |kind| classes.contains(Class::gap(kind));
    space::gaps_between(tx, tenant, (first, last), (kinds(Kind::Static), kinds(Kind::Dhcp)), limit)
        .await
}
