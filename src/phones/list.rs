//! Lists of phones: which, in what order, and what is shown of each.

use super::queries::{damaged, model};
use crate::audit::{self, Page};
use crate::db::{self, Query, Result, Tx};
use crate::id::{ProfileId, TenantId, UserId};
use crate::models::{Kind, Model, Vendor};
use crate::net::{self, Address, Mac, Range};
use crate::numbering::ExtensionNumber;
use crate::sql;
use crate::state::Counted;
use crate::text::ByName;
use crate::time::Timestamp;
use crate::users::lines;

/// Which phones a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of a MAC in any notation, a label, a number, a name, an address, site, model, notes.
    pub search: String,
    /// Only one make.
    pub vendor: Option<Vendor>,
    /// Only one model.
    pub model: Option<&'static Model>,
    /// Only one site, by its name.
    pub site: String,
    /// Only phones, or only adapters.
    pub kind: Option<Kind>,
    /// Only those that chose this profile.
    pub profile: Option<ProfileId>,
    /// Only those of which this is so.
    pub state: Only,
}

impl Filter {
    /// Whether every phone is shown.
    fn is_everything(&self) -> bool {
        !self.is_search() && self.says_nothing_else()
    }

    /// Whether something is searched for.
    fn is_search(&self) -> bool {
        !self.search.trim().is_empty()
    }

    /// Whether nothing else is asked.
    fn is_search_alone(&self) -> bool {
        self.is_search() && self.says_nothing_else()
    }

    fn says_nothing_else(&self) -> bool {
        let Self { search: _, vendor, model, site, kind, profile, state } = self;
        site.trim().is_empty()
            && (vendor.is_none() && model.is_none() && kind.is_none() && profile.is_none())
            && *state == Only::All
    }
}

/// What may be so of a phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// Anything.
    #[default]
    All,
    /// One of its numbers is registered, as far as is known by this phone.
    Registered,
    /// It has a line and none is registered.
    Unregistered,
    /// It never fetched a file of its own.
    NeverFetched,
    /// It has no line.
    NoLine,
    /// It has no static address.
    NoAddress,
}

impl ByName for Only {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::All, ""),
        (Self::Registered, "registered"),
        (Self::Unregistered, "unregistered"),
        (Self::NeverFetched, "never_fetched"),
        (Self::NoLine, "no_line"),
        (Self::NoAddress, "no_address"),
    ];
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Title,
    TitleDown,
    Number,
    NumberDown,
    Mac,
    MacDown,
    Model,
    ModelDown,
    Site,
    SiteDown,
    Address,
    AddressDown,
    Fetched,
    FetchedDown,
    Created,
    CreatedDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Title, "name"),
        (Self::TitleDown, "-name"),
        (Self::Number, "number"),
        (Self::NumberDown, "-number"),
        (Self::Mac, "mac"),
        (Self::MacDown, "-mac"),
        (Self::Model, "model"),
        (Self::ModelDown, "-model"),
        (Self::Site, "site"),
        (Self::SiteDown, "-site"),
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Fetched, "fetched"),
        (Self::FetchedDown, "-fetched"),
        (Self::Created, "created"),
        (Self::CreatedDown, "-created"),
    ];
}

/// A phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hardware address.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: String,
    /// Where it stands; may be empty.
    pub site: String,
    /// Its notes; may be empty.
    pub notes: String,
    /// The profile it chose; may be empty.
    pub profile: String,
    /// Its lines.
    pub lines: Vec<ListedLine>,
    /// Its static address.
    pub address: Option<Address>,
    /// When it last fetched a file of its own.
    pub fetched_at: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Listed {
    /// What people read where it is named.
    pub fn title(&self) -> String {
        let first = self.lines.first().map(|line| (line.number, line.name.as_str()));
        lines::title(&self.label, first, self.mac)
    }

    /// Whether one of its numbers is registered.
    pub fn is_registered(&self) -> bool {
        self.lines.iter().any(|line| line.registered)
    }
}

/// A line of a phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLine {
    /// 1 is the first.
    pub line: u8,
    /// Whose extension.
    pub user: UserId,
    /// That extension.
    pub number: ExtensionNumber,
    /// What the person is called.
    pub name: String,
    /// What the phone writes beside it; empty is the number.
    pub label: String,
    /// Whether the number is registered and, as far as is known, by this phone.
    pub registered: bool,
}

/// How many phones there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// In all.
    pub all: i64,
    /// Adapters among them.
    pub atas: i64,
    /// Without a line.
    pub no_line: i64,
    /// Numbers that are registered, by whatever device.
    pub registered: i64,
    /// Phones that never fetched a file of their own.
    pub never_fetched: i64,
}

/// What people change, which is in the log.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
struct Entered {
    every: i64,
    atas: i64,
    no_line: i64,
}

/// What phones change.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
struct Seen {
    registered: i64,
    fetched: i64,
}

/// Whether a number of phone `p` is registered. Few phones have more than one line. `coalesce`
/// keeps `SQLite` from looking a number up once for each of two devices: that takes thrice as long.
macro_rules! registered {
    () => {
        "(EXISTS (SELECT 1 FROM registration r
                  WHERE r.tenant_id = $1 AND r.number = p.number_sort AND r.present
                    AND coalesce(r.mac, '') IN ('', p.mac))
          OR p.mac IN (SELECT l.mac FROM phone_line l JOIN extension e ON e.user_id = l.user_id
                       JOIN registration r ON r.tenant_id = e.tenant_id AND r.number = e.number
                       WHERE l.tenant_id = $1 AND l.line > 1 AND r.present AND (r.mac = '' OR r.mac = l.mac)))"
    };
}

/// Whether a search finds phone `p`. On `SQLite` an index has all of this and what a filter asks, so
/// that not all of every phone has to be read.
macro_rules! found {
    () => {
        "(p.people LIKE $2 ESCAPE '\\' OR p.search LIKE $2 ESCAPE '\\'
          OR ($3 <> '' AND p.mac LIKE $3)
          OR ($4 <> 0 AND p.mac IN (
              SELECT a.holder_id FROM address a WHERE a.tenant_id = $1 AND a.holder_kind = 'phone'
                AND ((a.address >= $5 AND a.address <= $6) OR (a.address >= $7 AND a.address <= $8)
                     OR (a.address >= $9 AND a.address <= $10) OR (a.address >= $11 AND a.address <= $12)))))"
    };
}

/// What else a filter says of phone `p`.
macro_rules! fitting {
    () => {
        concat!(
            "($13 = '' OR p.vendor = $13) AND ($14 = '' OR p.model = $14) AND ($15 = '' OR p.site_key = $15)
             AND ($16 = '' OR p.kind = $16) AND ($17 = '' OR p.profile_id = $17)
             AND ($18 <> 'registered' OR ",
            registered!(),
            ")
             AND ($18 <> 'unregistered' OR (p.number_sort < 100000000 AND NOT ",
            registered!(),
            "))
             AND ($18 <> 'never_fetched'
                  OR NOT EXISTS (SELECT 1 FROM phone_seen s WHERE s.mac = p.mac AND s.fetched_at IS NOT NULL))
             AND ($18 <> 'no_line' OR p.number_sort = 100000000)
             AND ($18 <> 'no_address'
                  OR NOT EXISTS (SELECT 1 FROM address a WHERE a.tenant_id = $1 AND a.holder_id = p.mac AND a.holder_kind = 'phone'))"
        )
    };
}

/// The phones `p` to choose from, one after the other in their order: soon a page is full.
macro_rules! walked {
    () => {
        concat!("phone p WHERE p.tenant_id = $1 AND ($2 = '' OR ", found!(), ") AND ", fitting!())
    };
}

/// The same of a search when they are few, and how many they are. They are found first: 1,000 of
/// them may be more ([`MANY`]). They bring what they are sorted by: `PostgreSQL`, which guesses how
/// many they are, would otherwise walk over all phones in order and look each up among these.
macro_rules! few {
    () => {
        concat!(
            "(SELECT mac, title_sort, number_sort, vendor, model, site_key, created_at, count(*) OVER () AS found
              FROM (SELECT p.mac, p.title_sort, p.number_sort, p.vendor, p.model, p.site_key, p.created_at
                    FROM phone p WHERE p.tenant_id = $1 AND ",
            found!(),
            " AND ",
            fitting!(),
            " LIMIT 1000) these) p"
        )
    };
}

macro_rules! address {
    () => {
        "(SELECT a.address FROM address a
          WHERE a.tenant_id = $1 AND a.holder_id = p.mac AND a.holder_kind = 'phone'
          ORDER BY a.address LIMIT 1)"
    };
}

macro_rules! fetched {
    () => {
        "(SELECT s.fetched_at FROM phone_seen s WHERE s.mac = p.mac)"
    };
}

/// A page's rows: its MACs are found first, then only those phones are read, a row for each line.
/// `sort_key` is for orders that are not by something of the phone itself.
macro_rules! page {
    ($phones:ident, $found:literal, $order:literal) => {
        page!($phones, $found, $order, "NULL")
    };
    ($phones:ident, $found:literal, $order:literal, $key:expr) => {
        concat!(
            "SELECT shown.found, p.mac, p.vendor, p.model, p.label, p.site, p.notes, p.version, p.created_at, p.updated_at,
                 (SELECT f.name FROM profile f WHERE f.id = p.profile_id) AS profile, ",
            address!(),
            " AS address, ",
            fetched!(),
            " AS fetched_at,
                 l.line, l.user_id, l.label AS line_label, e.number, u.name,
                 EXISTS (SELECT 1 FROM registration r WHERE r.tenant_id = $1 AND r.number = e.number AND r.present
                           AND (r.mac = '' OR r.mac = p.mac)) AS registered
             FROM (SELECT p.mac, ",
            $key,
            " AS sort_key, ",
            $found,
            " AS found FROM ",
            $phones!(),
            " ORDER BY ",
            $order,
            " LIMIT $19 OFFSET $20) shown
             JOIN phone p ON p.mac = shown.mac
             LEFT JOIN phone_line l ON l.mac = p.mac
             LEFT JOIN users u ON u.id = l.user_id
             LEFT JOIN extension e ON e.user_id = l.user_id
             ORDER BY ",
            $order,
            ", l.line"
        )
    };
}

macro_rules! sorted {
    ($phones:ident, $found:literal, $sort:expr) => {
        match $sort {
            Sort::Title => page!($phones, $found, "p.title_sort, p.mac"),
            Sort::TitleDown => page!($phones, $found, "p.title_sort DESC, p.mac DESC"),
            Sort::Number => page!($phones, $found, "p.number_sort, p.mac"),
            Sort::NumberDown => page!($phones, $found, "p.number_sort DESC, p.mac DESC"),
            Sort::Mac => page!($phones, $found, "p.mac"),
            Sort::MacDown => page!($phones, $found, "p.mac DESC"),
            Sort::Model => page!($phones, $found, "p.vendor, p.model, p.mac"),
            Sort::ModelDown => page!($phones, $found, "p.vendor DESC, p.model DESC, p.mac DESC"),
            Sort::Site => page!($phones, $found, "p.site_key, p.mac"),
            Sort::SiteDown => page!($phones, $found, "p.site_key DESC, p.mac DESC"),
            // Phones without an address, or that fetched nothing, come last, whichever way round.
            Sort::Address => page!($phones, $found, "sort_key NULLS LAST, p.mac", address!()),
            Sort::AddressDown => {
                page!($phones, $found, "sort_key DESC NULLS LAST, p.mac DESC", address!())
            }
            Sort::Fetched => page!($phones, $found, "sort_key NULLS LAST, p.mac", fetched!()),
            Sort::FetchedDown => {
                page!($phones, $found, "sort_key DESC NULLS LAST, p.mac DESC", fetched!())
            }
            Sort::Created => page!($phones, $found, "p.created_at, p.mac"),
            Sort::CreatedDown => page!($phones, $found, "p.created_at DESC, p.mac DESC"),
        }
    };
}

/// What is searched for.
fn search<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter) -> Query<'q> {
    let text = filter.search.trim();
    let pattern = if text.is_empty() {
        String::new()
    } else {
        format!("%{}%", db::literal(&text.to_lowercase()))
    };
    let mac = net::mac_part(text).map(|digits| format!("%{digits}%")).unwrap_or_default();
    let found = net::ranges_matching(text).unwrap_or_default();
    let query =
        query.bind(tenant.to_string()).bind(pattern).bind(mac).bind(i64::from(!found.is_empty()));
    // A part of an address can mean as many ranges; those not needed are the first again.
    let range = |n: usize| found.get(n).or(found.first()).copied();
    (0..4).map(range).fold(query, |query, range: Option<Range>| {
        query
            .bind(range.map(|range| range.first().key()))
            .bind(range.map(|range| range.last().key()))
    })
}

/// What is searched for, and the rest of the filter.
fn bound<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter) -> Query<'q> {
    search(query, tenant, filter)
        .bind(filter.vendor.or(filter.model.map(|model| model.vendor)).map_or("", Vendor::as_str))
        .bind(filter.model.map_or("", |model| model.name))
        .bind(filter.site.trim().to_lowercase())
        .bind(filter.kind.map_or("", Kind::as_str))
        .bind(filter.profile.map(|id| id.to_string()).unwrap_or_default())
        .bind(filter.state.name())
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    found: i64,
    mac: String,
    vendor: String,
    model: String,
    label: String,
    site: String,
    notes: String,
    profile: Option<String>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    address: Option<Vec<u8>>,
    fetched_at: Option<Timestamp>,
    line: Option<i64>,
    user_id: Option<String>,
    line_label: Option<String>,
    number: Option<i64>,
    name: Option<String>,
    registered: bool,
}

impl ListedRow {
    fn line(&self) -> Result<Option<ListedLine>> {
        let (Some(line), Some(user), Some(number), Some(name)) =
            (self.line, &self.user_id, self.number, &self.name)
        else {
            return Ok(None);
        };
        Ok(Some(ListedLine {
            line: line.try_into().map_err(damaged)?,
            user: user.parse().map_err(damaged)?,
            number: number.try_into().map_err(damaged)?,
            name: name.clone(),
            label: self.line_label.clone().unwrap_or_default(),
            registered: self.registered,
        }))
    }
}

/// The rows of a phone follow each other, one for each of its lines.
fn folded(rows: Vec<ListedRow>) -> Result<Vec<Listed>> {
    let mut phones: Vec<Listed> = Vec::new();
    for row in rows {
        let mac: Mac = row.mac.parse().map_err(damaged)?;
        let line = row.line()?;
        if let Some(phone) = phones.last_mut().filter(|phone| phone.mac == mac) {
            phone.lines.extend(line);
            continue;
        }
        phones.push(Listed {
            mac,
            model: model(&row.vendor, &row.model)?,
            label: row.label,
            site: row.site,
            notes: row.notes,
            profile: row.profile.unwrap_or_default(),
            lines: line.into_iter().collect(),
            address: row.address.map(Address::try_from).transpose().map_err(damaged)?,
            fetched_at: row.fetched_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        });
    }
    Ok(phones)
}

/// A page of phones and how many match the filter.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    asked: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Listed>, i64)> {
    if asked.is_search() {
        let text = sorted!(few, "p.found", sort);
        let query = bound(tx.query(text), tenant, asked).bind(page.limit).bind(page.offset);
        let rows: Vec<ListedRow> = query.all().await?;
        // An empty page tells how many there are only if it is the first.
        let found = rows.first().map(|row| row.found).or((page.offset == 0).then_some(0));
        if let Some(found) = found.filter(|found| *found < MANY) {
            return Ok((folded(rows)?, found));
        }
    }
    let text = sorted!(walked, "CAST(0 AS BIGINT)", sort);
    let query = bound(tx.query(text), tenant, asked).bind(page.limit).bind(page.offset);
    let phones = folded(query.all().await?)?;
    let shown = i64::try_from(phones.len()).unwrap_or(i64::MAX);
    // A page that is not full is the last: it tells how many there are.
    if (1..page.limit).contains(&shown) || (shown == 0 && page.offset == 0) {
        return Ok((phones, page.offset + shown));
    }
    Ok((phones, count(tx, tenant, asked).await?))
}

/// As many as are looked for of a search before it is known how many it finds.
const MANY: i64 = 1_000;

async fn count(tx: &mut Tx, tenant: TenantId, asked: &Filter) -> Result<i64> {
    if asked.is_everything() {
        let text = sql!("SELECT count(*) FROM phone WHERE tenant_id = $1");
        return tx.query(text).bind(tenant.to_string()).scalar().await;
    }
    if asked.is_search_alone() {
        let text = concat!("SELECT count(*) FROM phone p WHERE p.tenant_id = $1 AND ", found!());
        return search(tx.query(text), tenant, asked).scalar().await;
    }
    let text = concat!("SELECT count(*) FROM ", walked!());
    bound(tx.query(text), tenant, asked).scalar().await
}

/// How many phones the tenant has.
pub async fn totals(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Totals> {
    let Entered { every, atas, no_line } = entered(tx, counted, tenant).await?;
    let Seen { registered, fetched } = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM registration WHERE tenant_id = $1 AND present) AS registered,
                 (SELECT count(fetched_at) FROM phone_seen WHERE tenant_id = $1) AS fetched"
        ))
        .bind(tenant.to_string())
        .one()
        .await?;
    Ok(Totals { all: every, atas, no_line, registered, never_fetched: every - fetched })
}

async fn entered(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Entered> {
    let change = audit::head(tx).await?;
    if let Some(entered) = counted.get(tenant, change) {
        return Ok(entered);
    }
    let entered: Entered = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM phone WHERE tenant_id = $1) AS every,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND kind = 'ata') AS atas,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND number_sort = 100000000) AS no_line"
        ))
        .bind(tenant.to_string())
        .one()
        .await?;
    counted.keep(tenant, change, entered);
    Ok(entered)
}

/// The sites phones of the tenant stand in, in order.
pub async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    // From each key to the next: there are few sites and many phones.
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "WITH RECURSIVE sites (key) AS (
                 SELECT min(site_key) FROM phone WHERE tenant_id = $1 AND site_key > ''
                 UNION ALL
                 SELECT (SELECT min(p.site_key) FROM phone p WHERE p.tenant_id = $1 AND p.site_key > sites.key)
                 FROM sites WHERE sites.key IS NOT NULL)
             SELECT (SELECT p.site FROM phone p WHERE p.tenant_id = $1 AND p.site_key = sites.key
                     ORDER BY p.mac LIMIT 1)
             FROM sites WHERE sites.key IS NOT NULL ORDER BY sites.key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(site,)| site).collect())
}
