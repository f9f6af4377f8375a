//! All SQL on `phone_map` and its state, and what the map is made of.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Made;
use super::derive::{Facts, Person, PhoneFacts, Place, Registered};
use super::types::{Filter, Flags, Row, Sort, Stats};
use crate::audit::Page;
use crate::db::{Bulk, Query, Result, Tx, literal};
use crate::id::{TenantId, UserId};
use crate::net::{Address, Cidr, Mac, mac_part};
use crate::numbering::ExtensionNumber;
use crate::phones::settings::Setting;
use crate::registrations::queries::{address, damaged, key, mac};
use crate::sql;
use crate::time::Timestamp;

/// The setting that says when a phone is silent.
const SILENT: &str = "silent.days";

pub(super) async fn facts(tx: &mut Tx, tenant: TenantId) -> Result<Facts> {
    let silent = Silent::read(tx, tenant).await?;
    Ok(Facts {
        people: people(tx, tenant).await?,
        phones: phones(tx, tenant, &silent).await?,
        registrations: registrations(tx, tenant).await?,
        subnets: subnets(tx, tenant).await?,
        silent_days: silent.of_tenant(),
    })
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    #[sqlx(try_from = "i64")]
    number: ExtensionNumber,
    #[sqlx(try_from = "String")]
    id: UserId,
    name: String,
}

async fn people(tx: &mut Tx, tenant: TenantId) -> Result<BTreeMap<ExtensionNumber, Person>> {
    let rows: Vec<PersonRow> = tx
        .query(sql!(
            "SELECT e.number, u.id, u.name FROM extension e JOIN users u ON u.id = e.user_id WHERE e.tenant_id = $1"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let person = |row: PersonRow| (row.number, Person { id: row.id, name: row.name });
    Ok(rows.into_iter().map(person).collect())
}

/// How many days phones may be silent, by what is said where.
struct Silent {
    /// By scope and its key; profiles that are chosen by their id.
    said: HashMap<(String, String), i64>,
    usual: i64,
}

impl Silent {
    async fn read(tx: &mut Tx, tenant: TenantId) -> Result<Self> {
        let rows: Vec<(String, String, String)> = tx
            .query(sql!(
                "SELECT p.scope, CASE WHEN p.scope = 'chosen' THEN p.id ELSE p.scope_key END, s.value
                 FROM profile p JOIN profile_setting s ON s.profile_id = p.id
                 WHERE p.tenant_id = $1 AND s.key = $2"
            ))
            .bind(tenant.to_string())
            .bind(SILENT)
            .all()
            .await?;
        let usual = Setting::find(SILENT).ok().and_then(|setting| setting.usual.parse().ok());
        let said =
            rows.into_iter().filter_map(|(scope, key, value)| Some(((scope, key), days(&value)?)));
        Ok(Self { said: said.collect(), usual: usual.unwrap_or(7) })
    }

    fn at(&self, scope: &str, key: &str) -> Option<i64> {
        self.said.get(&(scope.to_owned(), key.to_owned())).copied()
    }

    fn of_tenant(&self) -> i64 {
        self.at("tenant", "").unwrap_or(self.usual)
    }

    /// The nearest layer that says something counts.
    fn of(&self, row: &PhoneRow) -> i64 {
        let own = row.silent.as_deref().and_then(days);
        own.or_else(|| self.at("chosen", row.profile_id.as_deref()?))
            .or_else(|| self.at("model", &format!("{}/{}", row.vendor, row.model)))
            .or_else(|| self.at("site", &row.site_key))
            .unwrap_or_else(|| self.of_tenant())
    }
}

/// A value that this release does not know any more says nothing.
fn days(value: &str) -> Option<i64> {
    Setting::find(SILENT).ok()?.parse(value).ok()?.parse().ok()
}

#[derive(sqlx::FromRow)]
struct PhoneRow {
    mac: String,
    vendor: String,
    model: String,
    kind: String,
    label: String,
    site_key: String,
    subnet_id: Option<String>,
    profile_id: Option<String>,
    created_at: Timestamp,
    fetched_at: Option<Timestamp>,
    silent: Option<String>,
}

async fn phones(tx: &mut Tx, tenant: TenantId, silent: &Silent) -> Result<Vec<PhoneFacts>> {
    let rows: Vec<PhoneRow> = tx
        .query(sql!(
            "SELECT p.mac, p.vendor, p.model, p.kind, p.label, w.site_key, p.subnet_id, p.profile_id, p.created_at,
                    s.fetched_at, v.value AS silent
             FROM phone p
             JOIN phone_whereabouts w ON w.mac = p.mac
             LEFT JOIN phone_seen s ON s.mac = p.mac
             LEFT JOIN phone_setting v ON v.mac = p.mac AND v.key = 'silent.days'
             WHERE p.tenant_id = $1"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let mut fixed = fixed(tx, tenant).await?;
    let mut lines = lines(tx, tenant).await?;
    let phone = |row: PhoneRow| {
        let silent_days = silent.of(&row);
        Ok(PhoneFacts {
            fixed: fixed.remove(&row.mac),
            lines: lines.remove(&row.mac).unwrap_or_default(),
            mac: row.mac.parse().map_err(damaged)?,
            subnet: row.subnet_id.map(TryInto::try_into).transpose().map_err(damaged)?,
            vendor: row.vendor,
            model: row.model,
            kind: row.kind,
            label: row.label,
            created_at: row.created_at,
            fetched_at: row.fetched_at,
            silent_days,
        })
    };
    rows.into_iter().map(phone).collect()
}

/// The static address of each phone, the lowest if it holds several.
async fn fixed(tx: &mut Tx, tenant: TenantId) -> Result<HashMap<String, Address>> {
    let rows: Vec<(String, Vec<u8>)> = tx
        .query(sql!(
            "SELECT holder_id, address FROM address
             WHERE tenant_id = $1 AND holder_id <> '' AND holder_kind = 'phone' ORDER BY holder_id, address DESC"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(|(id, at)| Ok((id, at.try_into().map_err(damaged)?))).collect()
}

async fn lines(tx: &mut Tx, tenant: TenantId) -> Result<HashMap<String, Vec<ExtensionNumber>>> {
    let rows: Vec<(String, i64)> = tx
        .query(sql!(
            "SELECT l.mac, e.number FROM phone_line l JOIN extension e ON e.user_id = l.user_id
             WHERE l.tenant_id = $1 ORDER BY l.mac, l.line"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let mut lines: HashMap<String, Vec<ExtensionNumber>> = HashMap::new();
    for (mac, number) in rows {
        lines.entry(mac).or_default().push(number.try_into().map_err(damaged)?);
    }
    Ok(lines)
}

#[derive(sqlx::FromRow)]
struct RegisteredRow {
    number: i64,
    contact: String,
    address: Vec<u8>,
    via: Vec<u8>,
    user_agent: String,
    mac: String,
    mac_source: String,
    present: bool,
    first_seen: Timestamp,
    last_seen: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TryFrom<RegisteredRow> for Registered {
    type Error = sqlx::Error;

    fn try_from(row: RegisteredRow) -> Result<Self> {
        let known = mac(&row.mac)?;
        let source = known.map(|_| row.mac_source.parse().map_err(damaged)).transpose()?;
        Ok(Self {
            number: row.number.try_into().map_err(damaged)?,
            contact: row.contact,
            address: address(row.address)?,
            via: address(row.via)?,
            user_agent: row.user_agent,
            mac: known.zip(source),
            present: row.present,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            expires_at: row.expires_at,
        })
    }
}

async fn registrations(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Registered>> {
    let rows: Vec<RegisteredRow> = tx
        .query(sql!(
            "SELECT number, contact, address, via, user_agent, mac, mac_source, present, first_seen, last_seen, expires_at
             FROM registration WHERE tenant_id = $1 AND latest"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The wider of two that begin alike first.
async fn subnets(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Place>> {
    let rows: Vec<(String, String, Vec<u8>, i64)> = tx
        .query(sql!(
            "SELECT id, name, first_key, length FROM subnet WHERE tenant_id = $1 ORDER BY first_key, length"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let place = |(id, name, first, length): (String, String, Vec<u8>, i64)| {
        let first: Address = first.try_into().map_err(damaged)?;
        let cidr = Cidr::new(first, u8::try_from(length).map_err(damaged)?).map_err(damaged)?;
        let id = id.try_into().map_err(damaged)?;
        Ok(Place { id, name, first, last: cidr.last() })
    };
    rows.into_iter().map(place).collect()
}

// The table

pub(super) async fn made(tx: &mut Tx, tenant: TenantId) -> Result<Option<Made>> {
    let row: Option<(i64, i64, Timestamp, i64, i64, String)> = tx
        .query(sql!(
            "SELECT audit_seq, changes, made_at, entries, present, flagged FROM phone_map_state WHERE tenant_id = $1"
        ))
        .bind(tenant.to_string())
        .optional()
        .await?;
    let Some((audit_seq, changes, at, entries, present, flagged)) = row else { return Ok(None) };
    let flagged = flagged.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
    let stats = Stats { entries, present, flagged: flagged.map_err(damaged)? };
    Ok(Some(Made { audit_seq, changes, at, stats }))
}

/// Notes of what it is made, and makes whoever else makes it wait; false when somebody made it of
/// something newer.
pub(super) async fn make(tx: &mut Tx, tenant: TenantId, made: &Made) -> Result<bool> {
    let flagged: Vec<String> = made.stats.flagged.iter().map(ToString::to_string).collect();
    let noted = tx.query(sql!(
        "INSERT INTO phone_map_state (tenant_id, audit_seq, changes, made_at, entries, present, flagged)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id) DO UPDATE
         SET audit_seq = excluded.audit_seq, changes = excluded.changes, made_at = excluded.made_at,
             entries = excluded.entries, present = excluded.present, flagged = excluded.flagged
         WHERE phone_map_state.audit_seq <= excluded.audit_seq AND phone_map_state.changes <= excluded.changes"
    ));
    let noted = noted
        .bind(tenant.to_string())
        .bind(made.audit_seq)
        .bind(made.changes)
        .bind(made.at)
        .bind(made.stats.entries)
        .bind(made.stats.present)
        .bind(flagged.join(" "));
    Ok(noted.run().await? == 1)
}

static PUT: Bulk = Bulk {
    head: "INSERT INTO phone_map (tenant_id, place, number, user_id, name, name_key, mac, mac_source, known, vendor, model, kind, label, address, via, fixed, subnet_id, subnet, user_agent, contact, present, first_seen, seen_at, expires_at, flags, search) VALUES",
    columns: 26,
    most: 64,
    tail: "ON CONFLICT (tenant_id, place) DO UPDATE
           SET number = excluded.number, user_id = excluded.user_id, name = excluded.name, name_key = excluded.name_key,
               mac = excluded.mac, mac_source = excluded.mac_source, known = excluded.known, vendor = excluded.vendor,
               model = excluded.model, kind = excluded.kind, label = excluded.label, address = excluded.address,
               via = excluded.via, fixed = excluded.fixed, subnet_id = excluded.subnet_id, subnet = excluded.subnet,
               user_agent = excluded.user_agent, contact = excluded.contact, present = excluded.present,
               first_seen = excluded.first_seen, seen_at = excluded.seen_at, expires_at = excluded.expires_at,
               flags = excluded.flags, search = excluded.search",
};

/// Writes what is different.
pub(super) async fn replace(tx: &mut Tx, tenant: TenantId, old: &[Row], new: &[Row]) -> Result<()> {
    let before: HashMap<&str, &Row> = old.iter().map(|row| (row.place.as_str(), row)).collect();
    let changed = new.iter().filter(|row| before.get(row.place.as_str()) != Some(row));
    let changed: Vec<(TenantId, &Row)> = changed.map(|row| (tenant, row)).collect();
    let after: HashSet<&str> = new.iter().map(|row| row.place.as_str()).collect();
    for row in old.iter().filter(|row| !after.contains(row.place.as_str())) {
        tx.query(sql!("DELETE FROM phone_map WHERE tenant_id = $1 AND place = $2"))
            .bind(tenant.to_string())
            .bind(row.place.clone())
            .run()
            .await?;
    }
    tx.insert_many(&PUT, &changed, |statement, (tenant, row)| {
        let (subnet_id, subnet) = match &row.subnet {
            Some((id, name)) => (id.to_string(), name.clone()),
            None => (String::new(), String::new()),
        };
        statement
            .bind(tenant.to_string())
            .bind(row.place.clone())
            .bind(row.number.map(ExtensionNumber::as_i64))
            .bind(row.user.map(|id| id.to_string()).unwrap_or_default())
            .bind(row.name.clone())
            .bind(row.name.to_lowercase())
            .bind(row.mac.map(Mac::hex).unwrap_or_default())
            .bind(row.source.map_or("", |source| source.as_str()))
            .bind(row.known)
            .bind(row.vendor.clone())
            .bind(row.model.clone())
            .bind(row.kind.clone())
            .bind(row.label.clone())
            .bind(key(row.address))
            .bind(key(row.via))
            .bind(key(row.fixed))
            .bind(subnet_id)
            .bind(subnet)
            .bind(row.user_agent.clone())
            .bind(row.contact.clone())
            .bind(row.present)
            .bind(row.first_seen)
            .bind(row.seen_at.unwrap_or_default())
            .bind(row.expires_at)
            .bind(row.flags.0)
            .bind(row.search())
    })
    .await
}

#[derive(sqlx::FromRow)]
struct MapRow {
    place: String,
    number: Option<i64>,
    user_id: String,
    name: String,
    mac: String,
    mac_source: String,
    known: bool,
    vendor: String,
    model: String,
    kind: String,
    label: String,
    address: Vec<u8>,
    via: Vec<u8>,
    fixed: Vec<u8>,
    subnet_id: String,
    subnet: String,
    user_agent: String,
    contact: String,
    present: bool,
    first_seen: Option<Timestamp>,
    seen_at: Timestamp,
    expires_at: Option<Timestamp>,
    flags: i64,
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl TryFrom<MapRow> for Row {
    type Error = sqlx::Error;

    fn try_from(row: MapRow) -> Result<Self> {
        let subnet = some(row.subnet_id).map(TryInto::try_into).transpose().map_err(damaged)?;
        Ok(Self {
            place: row.place,
            number: row.number.map(TryInto::try_into).transpose().map_err(damaged)?,
            user: some(row.user_id).map(TryInto::try_into).transpose().map_err(damaged)?,
            name: row.name,
            mac: mac(&row.mac)?,
            source: some(row.mac_source).map(|word| word.parse()).transpose().map_err(damaged)?,
            known: row.known,
            vendor: row.vendor,
            model: row.model,
            kind: row.kind,
            label: row.label,
            address: address(row.address)?,
            via: address(row.via)?,
            fixed: address(row.fixed)?,
            subnet: subnet.map(|id| (id, row.subnet)),
            user_agent: row.user_agent,
            contact: row.contact,
            present: row.present,
            first_seen: row.first_seen,
            seen_at: Some(row.seen_at).filter(|at| at.0 > 0),
            expires_at: row.expires_at,
            flags: Flags(row.flags),
        })
    }
}

macro_rules! columns {
    () => {
        "SELECT place, number, user_id, name, mac, mac_source, known, vendor, model, kind, label, address, via, fixed,
             subnet_id, subnet, user_agent, contact, present, first_seen, seen_at, expires_at, flags"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!(columns!(), " FROM phone_map WHERE tenant_id = $1 ", $rest)
    };
}

/// What a filter lets through. Few lines have flags, and there is an index of those.
macro_rules! matching {
    (flagged) => {
        "AND ($2 = '' OR search LIKE $2 ESCAPE '\\' OR search LIKE $3 ESCAPE '\\')
         AND flags <> 0 AND (flags & $4) <> 0 AND ($5 = 0 OR present = ($5 = 1)) "
    };
    (all) => {
        "AND ($2 = '' OR search LIKE $2 ESCAPE '\\' OR search LIKE $3 ESCAPE '\\')
         AND $4 = 0 AND ($5 = 0 OR present = ($5 = 1)) "
    };
}

/// A page: its places are found first, then only those lines are read.
macro_rules! page {
    ($which:ident, $order:literal) => {
        concat!(
            columns!(),
            " FROM phone_map WHERE tenant_id = $1 AND place IN
                 (SELECT place FROM phone_map WHERE tenant_id = $1 ",
            matching!($which),
            "ORDER BY ",
            $order,
            " LIMIT $6 OFFSET $7) ORDER BY ",
            $order
        )
    };
}

/// A page of what a search finds when that is little, and how much it is. All of it is found first:
/// 1,000 lines may be more ([`MANY`]), and then it is not their page.
macro_rules! few {
    ($which:ident, $order:literal) => {
        concat!(
            columns!(),
            ", found FROM (SELECT here, found
                           FROM (SELECT here, count(*) OVER () AS found
                                 FROM (SELECT place AS here FROM phone_map WHERE tenant_id = $1 ",
            matching!($which),
            "LIMIT 1000) these) few JOIN phone_map ON tenant_id = $1 AND place = here ORDER BY ",
            $order,
            " LIMIT $6 OFFSET $7) shown JOIN phone_map ON tenant_id = $1 AND place = here ORDER BY ",
            $order
        )
    };
}

/// In an order, of all lines or of those with a flag.
macro_rules! ordered {
    ($page:ident, $flagged:expr, $order:literal) => {
        if $flagged { $page!(flagged, $order) } else { $page!(all, $order) }
    };
}

macro_rules! sorted {
    ($page:ident, $flagged:expr, $sort:expr) => {
        match $sort {
            Sort::Number => ordered!($page, $flagged, "place"),
            Sort::NumberDown => ordered!($page, $flagged, "place DESC"),
            Sort::Name => ordered!($page, $flagged, "name_key, place"),
            Sort::NameDown => ordered!($page, $flagged, "name_key DESC, place DESC"),
            Sort::Mac => ordered!($page, $flagged, "mac, place"),
            Sort::MacDown => ordered!($page, $flagged, "mac DESC, place DESC"),
            Sort::Address => ordered!($page, $flagged, "address, place"),
            Sort::AddressDown => ordered!($page, $flagged, "address DESC, place DESC"),
            Sort::Seen => ordered!($page, $flagged, "seen_at, place"),
            Sort::SeenDown => ordered!($page, $flagged, "seen_at DESC, place DESC"),
        }
    };
}

/// As many as are looked for of a search before it is known how many it finds.
const MANY: i64 = 1_000;

#[derive(sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    line: MapRow,
    found: i64,
}

fn rows(rows: Vec<MapRow>) -> Result<Vec<Row>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The lines of which the places are after one and not after another; without the other, all the
/// rest.
pub(super) async fn between(
    tx: &mut Tx,
    tenant: TenantId,
    after: &str,
    last: Option<&str>,
) -> Result<Vec<Row>> {
    let text = match last {
        Some(_) => select!("AND place > $2 AND place <= $3 ORDER BY place"),
        None => select!("AND place > $2 AND $3 = '' ORDER BY place"),
    };
    let last = last.unwrap_or_default().to_owned();
    rows(tx.query(text).bind(tenant.to_string()).bind(after.to_owned()).bind(last).all().await?)
}

/// A page, and how many lines match the filter if that turned out.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Row>, Option<i64>)> {
    let flagged = filter.flag.is_some();
    if !filter.search.trim().is_empty() {
        let text = sorted!(few, flagged, sort);
        let query = bound(tx.query(text), tenant, filter);
        let lines: Vec<FoundRow> = query.bind(page.limit).bind(page.offset).all().await?;
        // An empty page tells how many there are only if it is the first.
        let found = lines.first().map(|line| line.found).or((page.offset == 0).then_some(0));
        if found.is_some_and(|found| found < MANY) {
            return Ok((rows(lines.into_iter().map(|line| line.line).collect())?, found));
        }
    }
    let text = sorted!(page, flagged, sort);
    let query = bound(tx.query(text), tenant, filter);
    Ok((rows(query.bind(page.limit).bind(page.offset).all().await?)?, None))
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<i64> {
    let text = if filter.flag.is_some() {
        concat!("SELECT count(*) FROM phone_map WHERE tenant_id = $1 ", matching!(flagged))
    } else {
        concat!("SELECT count(*) FROM phone_map WHERE tenant_id = $1 ", matching!(all))
    };
    bound(tx.query(text), tenant, filter).scalar().await
}

/// What a filter says: a pattern of words, one of a MAC's digits, a bit, and whether.
fn bound<'q>(query: Query<'q>, tenant: TenantId, filter: &Filter) -> Query<'q> {
    let text = filter.search.trim().to_lowercase();
    let pattern = |text: &str| format!("%{}%", literal(text));
    let words = if text.is_empty() { String::new() } else { pattern(&text) };
    // Nothing is like an empty pattern.
    let digits = mac_part(&text).filter(|digits| *digits != text && !text.is_empty());
    let digits = digits.map(|digits| pattern(&digits)).unwrap_or_default();
    let query = query.bind(tenant.to_string()).bind(words).bind(digits);
    query.bind(flag(filter)).bind(present(filter))
}

fn flag(filter: &Filter) -> i64 {
    filter.flag.map_or(0, super::Flag::bit)
}

fn present(filter: &Filter) -> i64 {
    filter.present.map_or(0, |present| if present { 1 } else { 2 })
}

pub(super) async fn of_number(
    tx: &mut Tx,
    tenant: TenantId,
    number: ExtensionNumber,
) -> Result<Vec<Row>> {
    let text = select!("AND number = $2 ORDER BY place");
    rows(tx.query(text).bind(tenant.to_string()).bind(number.as_i64()).all().await?)
}

pub(super) async fn of_mac(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Vec<Row>> {
    let text = select!("AND mac = $2 ORDER BY place LIMIT 100");
    rows(tx.query(text).bind(tenant.to_string()).bind(mac.hex()).all().await?)
}

pub(super) async fn of_address(tx: &mut Tx, tenant: TenantId, at: Address) -> Result<Vec<Row>> {
    let text = select!("AND (address = $2 OR fixed = $2) ORDER BY present DESC, place LIMIT 100");
    rows(tx.query(text).bind(tenant.to_string()).bind(at.key()).all().await?)
}
