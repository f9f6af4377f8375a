//! The statements of the list of phones: a page in any order, of any filter, and how many there are.

use super::{Filter, Listed, ListedLine, Sort, totals};
use crate::audit::Page;
use crate::db::{self, Query, Result, Tx};
use crate::id::TenantId;
use crate::models::{Kind, Vendor};
use crate::net::{self, Address, Mac, Range};
use crate::phones::queries::{damaged, model};
use crate::state::Counted;
use crate::text::ByName as _;
use crate::time::Timestamp;

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

/// The same for whoever looks at all phones: all that are registered are found first.
macro_rules! among_registered {
    () => {
        "p.mac IN (SELECT o.mac FROM registration r
                   JOIN phone o ON o.tenant_id = r.tenant_id AND o.number_sort = r.number
                   WHERE r.tenant_id = $1 AND r.present AND (r.mac = '' OR r.mac = o.mac)
                   UNION ALL
                   SELECT l.mac FROM phone_line l JOIN extension e ON e.user_id = l.user_id
                   JOIN registration r ON r.tenant_id = e.tenant_id AND r.number = e.number
                   WHERE l.tenant_id = $1 AND l.line > 1 AND r.present AND (r.mac = '' OR r.mac = l.mac))"
    };
}

/// The same for whoever looks at thousands where that [pays](Tx::looks_up_by_hash): all that are
/// registered are read once.
macro_rules! registered_of_many {
    () => {
        "((p.number_sort, p.mac) IN (SELECT r.number, r.mac FROM registration r
                                      WHERE r.tenant_id = $1 AND r.present)
          OR p.number_sort IN (SELECT r.number FROM registration r
                               WHERE r.tenant_id = $1 AND r.present AND r.mac = '')
          OR p.mac IN (SELECT l.mac FROM phone_line l JOIN extension e ON e.user_id = l.user_id
                       JOIN registration r ON r.tenant_id = e.tenant_id AND r.number = e.number
                       WHERE l.tenant_id = $1 AND l.line > 1 AND r.present AND (r.mac = '' OR r.mac = l.mac)))"
    };
}

/// Whether a search finds phone `p`, by what takes least first. On `SQLite` an index has all of this and what a filter asks, so
/// that not all of every phone has to be read.
macro_rules! found {
    () => {
        "(($4 IN (1, 3) AND p.mac IN (
              SELECT a.holder_id FROM address a WHERE a.tenant_id = $1 AND a.holder_kind = 'phone'
                AND ((a.address >= $5 AND a.address <= $6) OR (a.address >= $7 AND a.address <= $8)
                     OR (a.address >= $9 AND a.address <= $10) OR (a.address >= $11 AND a.address <= $12))))
          OR ($3 <> '' AND p.mac LIKE $3)
          OR ($4 >= 2 AND p.site_key = '' AND p.mac IN (
              SELECT w.mac FROM phone_whereabouts w WHERE w.tenant_id = $1 AND w.site_key LIKE $2 ESCAPE '\\'))
          OR p.people LIKE $2 ESCAPE '\\' OR p.search LIKE $2 ESCAPE '\\')"
    };
}

/// What else a filter says of phone `p`.
macro_rules! fitting {
    ($registered:ident) => {
        concat!(
            "($13 = '' OR p.vendor = $13) AND ($14 = '' OR p.model = $14)
             AND ($15 = '' OR p.site_key = $15
                  OR (p.site_key = '' AND p.mac IN (SELECT w.mac FROM phone_whereabouts w
                                                    WHERE w.tenant_id = $1 AND w.site_key = $15)))
             AND ($16 = '' OR p.kind = $16) AND ($17 = '' OR p.profile_id = $17)
             AND ($18 <> 'registered' OR ",
            $registered!(),
            ")
             AND ($18 <> 'unregistered' OR (p.number_sort < 100000000 AND NOT ",
            $registered!(),
            "))
             AND ($18 <> 'never_fetched'
                  OR NOT EXISTS (SELECT 1 FROM phone_seen s WHERE s.mac = p.mac AND s.fetched_at IS NOT NULL))
             AND ($18 <> 'no_line' OR p.number_sort = 100000000)
             AND ($18 <> 'no_address'
                  OR NOT EXISTS (SELECT 1 FROM address a WHERE a.tenant_id = $1 AND a.holder_id = p.mac AND a.holder_kind = 'phone'))"
        )
    };
}

/// Whether phone `p` is meant.
macro_rules! meant {
    ($registered:ident) => {
        concat!("p.tenant_id = $1 AND ($2 = '' OR ", found!(), ") AND ", fitting!($registered))
    };
}

/// Every phone.
macro_rules! every {
    () => {
        "phone p WHERE p.tenant_id = $1"
    };
}

/// Every phone `p`, of which nothing is known but where it stands.
macro_rules! standing {
    () => {
        "phone_whereabouts p WHERE p.tenant_id = $1"
    };
}

/// The phones `p` to choose from, one after the other in their order: soon a page is full.
macro_rules! walked {
    () => {
        concat!("phone p WHERE ", meant!(registered))
    };
}

/// Those that have a static address, by the lowest of each, in the order of an index.
macro_rules! with_address {
    () => {
        concat!(
            "address k JOIN phone p ON p.mac = k.holder_id
             WHERE k.tenant_id = $1 AND k.holder_kind = 'phone'
               AND NOT EXISTS (SELECT 1 FROM address o WHERE o.tenant_id = $1 AND o.holder_id = k.holder_id
                                 AND o.holder_kind = 'phone' AND o.address < k.address)
               AND ",
            meant!(registered)
        )
    };
}

/// Those that have none.
macro_rules! without_address {
    () => {
        concat!(
            "phone p WHERE NOT EXISTS (SELECT 1 FROM address k WHERE k.tenant_id = $1 AND k.holder_id = p.mac
                                         AND k.holder_kind = 'phone') AND ",
            meant!(registered)
        )
    };
}

/// Those that fetched a file of their own, in the order of an index.
macro_rules! with_fetched {
    () => {
        concat!(
            "phone_seen k CROSS JOIN phone p
             WHERE p.mac = k.mac AND k.tenant_id = $1 AND k.fetched_at IS NOT NULL AND ",
            meant!(registered)
        )
    };
}

/// Those that fetched none.
macro_rules! without_fetched {
    () => {
        concat!(
            "phone p WHERE NOT EXISTS (SELECT 1 FROM phone_seen k WHERE k.mac = p.mac AND k.fetched_at IS NOT NULL) AND ",
            meant!(registered)
        )
    };
}

/// The phones a search finds when they are few, and how many they are. All are found first, and
/// bring what they are sorted by: `PostgreSQL`, which guesses how many they are, would otherwise walk
/// over all phones in order and look each up among these.
macro_rules! found_few {
    ($registered:ident) => {
        concat!(
            "(SELECT mac, title_sort, number_sort, vendor, model, site_key, created_at, count(*) OVER () AS found
              FROM (SELECT p.mac, p.title_sort, p.number_sort, p.vendor, p.model, p.site_key, p.created_at
                    FROM phone p WHERE p.tenant_id = $1 AND ",
            found!(),
            " AND ",
            fitting!($registered),
            " LIMIT $21) these) p"
        )
    };
}

macro_rules! few {
    () => {
        found_few!(registered)
    };
}

/// The same where what is registered is best read once.
macro_rules! few_by_hash {
    () => {
        found_few!(registered_of_many)
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

/// The site phone `p` stands at. Of one that says it itself nothing else is looked at.
macro_rules! site {
    () => {
        "CASE WHEN p.site_key <> '' THEN p.site_key
              ELSE (SELECT w.site_key FROM phone_whereabouts w WHERE w.mac = p.mac) END"
    };
}

/// A page's rows: its MACs are found first, then only those phones are read, a row for each line.
/// Where a phone stands is asked for by itself: of a join with that, `PostgreSQL` would think for
/// longer than it takes.
/// `sort_key` is for orders that are not by something of the phone itself.
macro_rules! page {
    ($phones:ident, $found:literal, $order:literal) => {
        page!($phones, $found, $order, "NULL")
    };
    ($phones:ident, $found:literal, $order:literal, $key:expr) => {
        concat!(
            "SELECT shown.found, p.mac, p.vendor, p.model, p.label, p.site,
                 CASE WHEN p.site_key <> '' THEN p.site
                      ELSE (SELECT w.site FROM phone_whereabouts w WHERE w.mac = p.mac) END AS stands,
                 p.notes, p.version, p.created_at, p.updated_at,
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
            limits!($phones),
            ") shown
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

/// Which page: after the values of the phones to choose from.
macro_rules! limits {
    (every) => {
        " LIMIT $2 OFFSET $3"
    };
    (standing) => {
        " LIMIT $2 OFFSET $3"
    };
    ($some:ident) => {
        " LIMIT $19 OFFSET $20"
    };
}

/// In each order that is of phones and where they stand.
macro_rules! sorted {
    ($phones:ident, $found:literal, $sort:expr, { $($other:tt)* }) => {
        match $sort {
            Sort::Title => page!($phones, $found, "p.title_sort, p.mac"),
            Sort::TitleDown => page!($phones, $found, "p.title_sort DESC, p.mac DESC"),
            Sort::Number => page!($phones, $found, "p.number_sort, p.mac"),
            Sort::NumberDown => page!($phones, $found, "p.number_sort DESC, p.mac DESC"),
            Sort::Mac => page!($phones, $found, "p.mac"),
            Sort::MacDown => page!($phones, $found, "p.mac DESC"),
            Sort::Model => page!($phones, $found, "p.vendor, p.model, p.mac"),
            Sort::ModelDown => page!($phones, $found, "p.vendor DESC, p.model DESC, p.mac DESC"),
            Sort::Site => page!($phones, $found, "sort_key, p.mac", site!()),
            Sort::SiteDown => page!($phones, $found, "sort_key DESC, p.mac DESC", site!()),
            Sort::Created => page!($phones, $found, "p.created_at, p.mac"),
            Sort::CreatedDown => page!($phones, $found, "p.created_at DESC, p.mac DESC"),
            $($other)*
        }
    };
}

// Phones without an address, or that fetched nothing, come last, whichever way round.

macro_rules! few_sorted {
    ($few:ident, $sort:expr) => {
        sorted!($few, "p.found", $sort, {
            Sort::Address => page!($few, "p.found", "sort_key NULLS LAST, p.mac", address!()),
            Sort::AddressDown => {
                page!($few, "p.found", "sort_key DESC NULLS LAST, p.mac DESC", address!())
            }
            Sort::Fetched => page!($few, "p.found", "sort_key NULLS LAST, p.mac", fetched!()),
            Sort::FetchedDown => {
                page!($few, "p.found", "sort_key DESC NULLS LAST, p.mac DESC", fetched!())
            }
        })
    };
}

/// A page of what a search finds, if it is little.
fn few(sort: Sort, by_hash: bool) -> &'static str {
    if by_hash { few_sorted!(few_by_hash, sort) } else { few_sorted!(few, sort) }
}

/// A page of every phone, in an order that is of phones and where they stand; `own` is whether each
/// says that itself, so that an index has the order.
fn every(sort: Sort, own: bool) -> Option<&'static str> {
    Some(match sort {
        Sort::Site if own => page!(every, "CAST(0 AS BIGINT)", "p.site_key, p.mac"),
        Sort::SiteDown if own => {
            page!(every, "CAST(0 AS BIGINT)", "p.site_key DESC, p.mac DESC")
        }
        Sort::Site => page!(standing, "CAST(0 AS BIGINT)", "sort_key, p.mac", "p.site_key"),
        Sort::SiteDown => {
            page!(standing, "CAST(0 AS BIGINT)", "sort_key DESC, p.mac DESC", "p.site_key")
        }
        sort => sorted!(every, "CAST(0 AS BIGINT)", sort, {
            Sort::Address | Sort::AddressDown | Sort::Fetched | Sort::FetchedDown => return None,
        }),
    })
}

/// A page of all that are meant; in an order by something that not all have, only of those that
/// have it.
fn first(sort: Sort) -> &'static str {
    sorted!(walked, "CAST(0 AS BIGINT)", sort, {
        Sort::Address => page!(with_address, "CAST(0 AS BIGINT)", "sort_key", "k.address"),
        Sort::AddressDown => page!(with_address, "CAST(0 AS BIGINT)", "sort_key DESC", "k.address"),
        Sort::Fetched => page!(with_fetched, "CAST(0 AS BIGINT)", "sort_key, p.mac", "k.fetched_at"),
        Sort::FetchedDown => {
            page!(with_fetched, "CAST(0 AS BIGINT)", "sort_key DESC, p.mac DESC", "k.fetched_at")
        }
    })
}

/// What not all phones have, by which some orders are.
#[derive(Clone, Copy)]
enum Key {
    Address,
    Fetched,
}

/// A page of those that follow, in such an order: they do not have it.
fn rest(sort: Sort) -> Option<(Key, &'static str)> {
    Some(match sort {
        Sort::Address => (Key::Address, page!(without_address, "CAST(0 AS BIGINT)", "p.mac")),
        Sort::AddressDown => {
            (Key::Address, page!(without_address, "CAST(0 AS BIGINT)", "p.mac DESC"))
        }
        Sort::Fetched => (Key::Fetched, page!(without_fetched, "CAST(0 AS BIGINT)", "p.mac")),
        Sort::FetchedDown => {
            (Key::Fetched, page!(without_fetched, "CAST(0 AS BIGINT)", "p.mac DESC"))
        }
        _ => return None,
    })
}

/// What a list is asked for.
struct Asked<'f> {
    filter: &'f Filter,
    /// Whether the name of a site holds what is searched for. The phones that say no site
    /// themselves are looked at for theirs only then.
    sites: bool,
}

impl<'f> Asked<'f> {
    async fn new(
        tx: &mut Tx,
        counted: &Counted,
        tenant: TenantId,
        filter: &'f Filter,
    ) -> Result<Self> {
        let text = filter.search.trim().to_lowercase();
        let sites = !text.is_empty() && {
            let sites = totals::sites(tx, counted, tenant).await?;
            sites.iter().any(|site| site.to_lowercase().contains(&text))
        };
        Ok(Self { filter, sites })
    }
}

/// What is searched for. `$4` says what it may be found by beside the phones' own rows: 1 is by
/// addresses, 2 by sites, 3 by both.
fn search<'q>(query: Query<'q>, tenant: TenantId, asked: &Asked<'_>) -> Query<'q> {
    let text = asked.filter.search.trim();
    let pattern = if text.is_empty() {
        String::new()
    } else {
        format!("%{}%", db::literal(&text.to_lowercase()))
    };
    let mac = net::mac_part(text).map(|digits| format!("%{digits}%")).unwrap_or_default();
    let found = net::ranges_matching(text).unwrap_or_default();
    let by = i64::from(!found.is_empty()) + 2 * i64::from(asked.sites);
    let query = query.bind(tenant.to_string()).bind(pattern).bind(mac).bind(by);
    // A part of an address can mean as many ranges; those not needed are the first again.
    let range = |n: usize| found.get(n).or(found.first()).copied();
    (0..4).map(range).fold(query, |query, range: Option<Range>| {
        query
            .bind(range.map(|range| range.first().key()))
            .bind(range.map(|range| range.last().key()))
    })
}

/// What is searched for, and the rest of the filter.
fn bound<'q>(query: Query<'q>, tenant: TenantId, asked: &Asked<'_>) -> Query<'q> {
    let filter = asked.filter;
    search(query, tenant, asked)
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
    stands: String,
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
            stands: row.stands,
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
    counted: &Counted,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Listed>, i64)> {
    let asked = &Asked::new(tx, counted, tenant, filter).await?;
    if asked.filter.is_search() {
        let text = few(sort, tx.looks_up_by_hash());
        let query = bound(tx.query(text), tenant, asked).planned_anew();
        let query = query.bind(page.limit).bind(page.offset).bind(MANY);
        let rows: Vec<ListedRow> = query.all().await?;
        // An empty page tells how many there are only if it is the first.
        let found = rows.first().map(|row| row.found).or((page.offset == 0).then_some(0));
        if let Some(found) = found.filter(|found| *found < MANY) {
            return Ok((folded(rows)?, found));
        }
    }
    let phones = walk(tx, counted, tenant, asked, sort, page).await?;
    let shown = length(&phones);
    // A page that is not full is the last: it tells how many there are.
    if (1..page.limit).contains(&shown) || (shown == 0 && page.offset == 0) {
        return Ok((phones, page.offset + shown));
    }
    Ok((phones, count(tx, counted, tenant, asked).await?))
}

/// As many as are looked for of a search before it is known how many it finds: to sort all of them
/// takes less than to search a second time.
const MANY: i64 = 10_000;

fn length(phones: &[Listed]) -> i64 {
    i64::try_from(phones.len()).unwrap_or(i64::MAX)
}

async fn walk(
    tx: &mut Tx,
    counted: &Counted,
    tenant: TenantId,
    asked: &Asked<'_>,
    sort: Sort,
    page: Page,
) -> Result<Vec<Listed>> {
    let all_by_site = asked.filter.is_everything() && matches!(sort, Sort::Site | Sort::SiteDown);
    let own = all_by_site && totals::all_say_a_site(tx, counted, tenant).await?;
    if asked.filter.is_everything()
        && let Some(text) = every(sort, own)
    {
        let query = tx.query(text).bind(tenant.to_string());
        return folded(query.bind(page.limit).bind(page.offset).all().await?);
    }
    let Some((key, rest)) = rest(sort) else {
        return walked(tx, tenant, asked, first(sort), page).await;
    };
    let mut phones = Vec::new();
    // Deep in the list it is known beforehand that none of the first are shown.
    let known = asked.filter.is_everything() && page.offset > 0;
    let before = if known { Some(all_with(tx, counted, tenant, key).await?) } else { None };
    if before.is_none_or(|before| page.offset < before) {
        phones = walked(tx, tenant, asked, first(sort), page).await?;
    }
    let shown = length(&phones);
    if shown < page.limit {
        let before = match (shown, page.offset, before) {
            (0, 1.., Some(before)) => before,
            (0, 1.., None) => with(tx, tenant, asked, key).await?,
            (_, offset, _) => offset + shown,
        };
        let offset = (page.offset - before).max(0);
        let page = Page { offset, limit: page.limit - shown };
        phones.extend(walked(tx, tenant, asked, rest, page).await?);
    }
    Ok(phones)
}

/// How many phones have it.
async fn all_with(tx: &mut Tx, counted: &Counted, tenant: TenantId, key: Key) -> Result<i64> {
    match key {
        Key::Address => totals::with_address(tx, counted, tenant).await,
        Key::Fetched => totals::with_fetched(tx, tenant).await,
    }
}

/// How many of those that are meant have it.
async fn with(tx: &mut Tx, tenant: TenantId, asked: &Asked<'_>, key: Key) -> Result<i64> {
    let text = match key {
        Key::Address => concat!("SELECT count(*) FROM ", with_address!()),
        Key::Fetched => concat!("SELECT count(*) FROM ", with_fetched!()),
    };
    bound(tx.query(text), tenant, asked).planned_anew().scalar().await
}

async fn walked(
    tx: &mut Tx,
    tenant: TenantId,
    asked: &Asked<'_>,
    text: &'static str,
    page: Page,
) -> Result<Vec<Listed>> {
    let query = bound(tx.query(text), tenant, asked).planned_anew();
    folded(query.bind(page.limit).bind(page.offset).all().await?)
}

async fn count(tx: &mut Tx, counted: &Counted, tenant: TenantId, asked: &Asked<'_>) -> Result<i64> {
    if asked.filter.is_state_alone() {
        return totals::of_state(tx, counted, tenant, asked.filter.state).await;
    }
    if asked.filter.is_search_alone() {
        let text = concat!("SELECT count(*) FROM phone p WHERE p.tenant_id = $1 AND ", found!());
        return search(tx.query(text), tenant, asked).planned_anew().scalar().await;
    }
    let text = concat!("SELECT count(*) FROM phone p WHERE ", meant!(among_registered));
    bound(tx.query(text), tenant, asked).planned_anew().scalar().await
}
