//! All SQL on users and their extensions.

use super::types::{Filter, NewUser, Sort, Totals, User};
use crate::audit::{Change, Page};
use crate::db::{Query, Result, Tx};
use crate::id::{TenantId, UserId};
use crate::net::Mac;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::sql;

/// The users a search (`$2`, a LIKE pattern, and `$4`, whether a number may be like that) and a
/// state (`$3`: 0 any, 1 enabled, 2 disabled) match. No join: an index on users alone answers it,
/// and few are disabled.
macro_rules! matching {
    () => {
        "u.tenant_id = $1
         AND ($2 = '' OR u.name_key LIKE $2 ESCAPE '\\' OR u.email_key LIKE $2 ESCAPE '\\'
              OR ($4 AND u.id IN (SELECT user_id FROM extension
                                  WHERE tenant_id = $1 AND CAST(number AS TEXT) LIKE $2)))
         AND ($3 = 0 OR (u.id IN (SELECT user_id FROM extension
                                  WHERE tenant_id = $1 AND NOT enabled)) = ($3 = 2))"
    };
}

macro_rules! columns {
    () => {
        "u.id, u.name, u.email, e.number, e.enabled, u.version, u.created_at, u.updated_at, e.secret_at"
    };
}

/// A page's rows: its ids are found first, then only those rows are read.
macro_rules! page {
    ($ids:expr, $order:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM (",
            $ids,
            " ORDER BY ",
            $order,
            $limit,
            ") p JOIN users u ON u.id = p.id JOIN extension e ON e.user_id = u.id ORDER BY ",
            $order
        )
    };
}

/// A page of those that match when they are few, and how many they are. They are found first: 1,000
/// of them may be more ([`MANY`]), and then it is not their page.
macro_rules! few {
    ($with:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", p.found
             FROM (SELECT u.id, count(*) OVER () AS found
                   FROM (SELECT u.id, u.name_key, u.email_key, u.created_at FROM users u WHERE ",
            matching!(),
            " LIMIT 1000) u ",
            $with,
            " ORDER BY ",
            $order,
            " LIMIT $5 OFFSET $6) p JOIN users u ON u.id = p.id JOIN extension e ON e.user_id = u.id ORDER BY ",
            $order
        )
    };
}

macro_rules! few_by_user {
    ($order:literal) => {
        few!("", $order)
    };
}

macro_rules! few_by_number {
    ($order:literal) => {
        few!("JOIN extension e ON e.user_id = u.id", $order)
    };
}

/// Those that match, in an order of users': an index is walked, and soon a page is full.
macro_rules! by_user {
    ($order:literal) => {
        page!(
            concat!("SELECT u.id FROM users u WHERE ", matching!()),
            $order,
            " LIMIT $5 OFFSET $6"
        )
    };
}

/// The same in the order of their numbers, which are the extensions'.
macro_rules! by_number {
    ($order:literal) => {
        page!(
            "SELECT e.user_id AS id FROM extension e
             WHERE e.tenant_id = $1 AND ($3 = 0 OR e.enabled = ($3 = 1))
               AND ($2 = '' OR ($4 AND CAST(e.number AS TEXT) LIKE $2)
                    OR EXISTS (SELECT 1 FROM users x WHERE x.id = e.user_id
                               AND (x.name_key LIKE $2 ESCAPE '\\' OR x.email_key LIKE $2 ESCAPE '\\')))",
            $order,
            " LIMIT $5 OFFSET $6"
        )
    };
}

/// All: an index is walked, and of what is passed over nothing is asked.
macro_rules! all_by_user {
    ($order:literal) => {
        page!("SELECT u.id FROM users u WHERE u.tenant_id = $1", $order, " LIMIT $2 OFFSET $3")
    };
}

macro_rules! all_by_number {
    ($order:literal) => {
        page!(
            "SELECT e.user_id AS id FROM extension e WHERE e.tenant_id = $1",
            $order,
            " LIMIT $2 OFFSET $3"
        )
    };
}

/// Ties are broken by the address, which is unique, so that pages never show a row twice.
macro_rules! sorted {
    ($sort:expr, $by_number:ident, $by_user:ident) => {
        match $sort {
            Sort::Number => $by_number!("e.number"),
            Sort::NumberDown => $by_number!("e.number DESC"),
            Sort::Name => $by_user!("u.name_key, u.email_key"),
            Sort::NameDown => $by_user!("u.name_key DESC, u.email_key DESC"),
            Sort::Email => $by_user!("u.email_key"),
            Sort::EmailDown => $by_user!("u.email_key DESC"),
            Sort::Created => $by_user!("u.created_at, u.email_key"),
            Sort::CreatedDown => $by_user!("u.created_at DESC, u.email_key DESC"),
        }
    };
}

/// As many as are looked for of a search before it is known how many it finds.
const MANY: i64 = 1_000;

#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    user: User,
    found: i64,
}

/// A page, and how many match the filter if that turned out.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<User>, Option<i64>)> {
    if !filter.search.is_empty() {
        let text = sorted!(sort, few_by_number, few_by_user);
        let query = bound(tx.query(text).bind(tenant.to_string()), filter);
        let rows: Vec<Found> = query.bind(page.limit).bind(page.offset).all().await?;
        // An empty page tells how many there are only if it is the first.
        let found = rows.first().map(|row| row.found).or((page.offset == 0).then_some(0));
        if found.is_some_and(|found| found < MANY) {
            return Ok((rows.into_iter().map(|row| row.user).collect(), found));
        }
    }
    let everybody = filter.is_empty();
    let text = if everybody {
        sorted!(sort, all_by_number, all_by_user)
    } else {
        sorted!(sort, by_number, by_user)
    };
    let query = tx.query(text).bind(tenant.to_string());
    let query = if everybody { query } else { bound(query, filter) };
    Ok((query.bind(page.limit).bind(page.offset).all().await?, None))
}

/// How many a search finds.
pub(super) async fn count(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<i64> {
    let text = concat!("SELECT count(*) FROM users u WHERE ", matching!());
    bound(tx.query(text).bind(tenant.to_string()), filter).scalar().await
}

pub(super) async fn totals(tx: &mut Tx, tenant: TenantId) -> Result<Totals> {
    tx.query(sql!(
        "SELECT (SELECT count(*) FROM extension WHERE tenant_id = $1) AS \"all\",
                (SELECT count(*) FROM extension WHERE tenant_id = $1 AND NOT enabled) AS disabled"
    ))
    .bind(tenant.to_string())
    .one()
    .await
}

/// What a filter says, as the statements above take it.
fn bound<'q>(query: Query<'q>, filter: &Filter) -> Query<'q> {
    query
        .bind(pattern(&filter.search))
        .bind(state(filter.enabled))
        .bind(filter.search.bytes().all(|byte| byte.is_ascii_digit()))
}

fn pattern(search: &str) -> String {
    if search.is_empty() {
        String::new()
    } else {
        format!("%{}%", crate::db::literal(&search.to_lowercase()))
    }
}

fn state(enabled: Option<bool>) -> i64 {
    enabled.map_or(0, |enabled| if enabled { 1 } else { 2 })
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<Option<User>> {
    let text = concat!(
        "SELECT ",
        columns!(),
        " FROM users u JOIN extension e ON e.user_id = u.id WHERE u.tenant_id = $1 AND u.id = $2"
    );
    tx.query(text).bind(tenant.to_string()).bind(id.to_string()).optional().await
}

pub(super) async fn by_number(
    tx: &mut Tx,
    tenant: TenantId,
    number: ExtensionNumber,
) -> Result<Option<UserId>> {
    let user: Option<String> = tx
        .query(sql!("SELECT user_id FROM extension WHERE tenant_id = $1 AND number = $2"))
        .bind(tenant.to_string())
        .bind(number.as_i64())
        .optional_scalar()
        .await?;
    user.map(|user| user.try_into().map_err(damaged)).transpose()
}

/// False when the address is taken.
pub(super) async fn insert(
    change: &mut Change,
    tenant: TenantId,
    id: UserId,
    new: &NewUser,
) -> Result<bool> {
    let now = change.at();
    let id = change
        .tx()
        .query(sql!("INSERT INTO users (id, tenant_id, name, email, name_key, email_key, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
             ON CONFLICT (tenant_id, email_key) DO NOTHING RETURNING id"))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(new.name.to_string())
        .bind(new.email.to_string())
        .bind(new.name.key())
        .bind(new.email.key())
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(id.is_some())
}

/// The lowest number that nobody has, from `from` on: the one after `range` when all are taken.
pub(super) async fn lowest_free(
    tx: &mut Tx,
    tenant: TenantId,
    from: ExtensionNumber,
    range: ExtensionRange,
) -> Result<i64> {
    // The first that is not as many after `from` as there are before it, or the one after the last.
    tx.query(sql!(
        "SELECT coalesce(
               (SELECT due FROM (SELECT number, $2 + row_number() OVER (ORDER BY number) - 1 AS due
                                 FROM extension
                                 WHERE tenant_id = $1 AND number BETWEEN $2 AND $3) AS used
                WHERE number <> due ORDER BY number LIMIT 1),
               $2 + (SELECT count(*) FROM extension
                     WHERE tenant_id = $1 AND number BETWEEN $2 AND $3))"
    ))
    .bind(tenant.to_string())
    .bind(from.as_i64())
    .bind(range.last().as_i64())
    .scalar()
    .await
}

/// False when the number is taken.
pub(super) async fn insert_extension(
    change: &mut Change,
    tenant: TenantId,
    number: ExtensionNumber,
    user: UserId,
    secret: Vec<u8>,
) -> Result<bool> {
    let now = change.at();
    let number = change
        .tx()
        .query(sql!("INSERT INTO extension (tenant_id, number, user_id, enabled, secret, secret_at)
             VALUES ($1, $2, $3, TRUE, $4, $5) ON CONFLICT (tenant_id, number) DO NOTHING RETURNING number"))
        .bind(tenant.to_string())
        .bind(number.as_i64())
        .bind(user.to_string())
        .bind(secret)
        .bind(now)
        .optional_scalar::<i64>()
        .await?;
    Ok(number.is_some())
}

/// Whether somebody else in the tenant has the address (`key`).
pub(super) async fn email_taken(
    tx: &mut Tx,
    tenant: TenantId,
    id: UserId,
    key: &str,
) -> Result<bool> {
    let others: i64 = tx
        .query(sql!(
            "SELECT count(*) FROM users WHERE tenant_id = $1 AND email_key = $3 AND id <> $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(key.to_owned())
        .scalar()
        .await?;
    Ok(others > 0)
}

/// Whether somebody else in the tenant has the number.
pub(super) async fn number_taken(
    tx: &mut Tx,
    tenant: TenantId,
    id: UserId,
    number: ExtensionNumber,
) -> Result<bool> {
    let others: i64 = tx
        .query(sql!(
            "SELECT count(*) FROM extension WHERE tenant_id = $1 AND number = $3 AND user_id <> $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(number.as_i64())
        .scalar()
        .await?;
    Ok(others > 0)
}

/// Writes the user if it is still at `version`; false when it is not.
pub(super) async fn update(
    change: &mut Change,
    tenant: TenantId,
    user: &User,
    version: i64,
) -> Result<bool> {
    let now = change.at();
    let updated = change
        .tx()
        .query(sql!("UPDATE users SET name = $4, email = $5, name_key = $6, email_key = $7, updated_at = $8,
                version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3"))
        .bind(tenant.to_string())
        .bind(user.id.to_string())
        .bind(version)
        .bind(user.name.to_string())
        .bind(user.email.to_string())
        .bind(user.name.key())
        .bind(user.email.key())
        .bind(now)
        .run()
        .await?;
    if updated == 0 {
        return Ok(false);
    }
    let extension = change.tx().query(sql!(
        "UPDATE extension SET number = $3, enabled = $4
             WHERE tenant_id = $1 AND user_id = $2"
    ));
    extension
        .bind(tenant.to_string())
        .bind(user.id.to_string())
        .bind(user.number.as_i64())
        .bind(user.enabled)
        .run()
        .await?;
    Ok(true)
}

/// True when there was such a user.
pub(super) async fn delete(change: &mut Change, tenant: TenantId, id: UserId) -> Result<bool> {
    let gone = change.tx().query(sql!("DELETE FROM users WHERE tenant_id = $1 AND id = $2"));
    Ok(gone.bind(tenant.to_string()).bind(id.to_string()).run().await? == 1)
}

pub(super) async fn secret(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<Option<Vec<u8>>> {
    tx.query(sql!("SELECT secret FROM extension WHERE tenant_id = $1 AND user_id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional_scalar()
        .await
}

pub(super) async fn set_secret(
    change: &mut Change,
    tenant: TenantId,
    id: UserId,
    secret: Vec<u8>,
) -> Result<()> {
    let now = change.at();
    let stored = change.tx().query(sql!(
        "UPDATE extension SET secret = $3, secret_at = $4
             WHERE tenant_id = $1 AND user_id = $2"
    ));
    stored.bind(tenant.to_string()).bind(id.to_string()).bind(secret).bind(now).run().await?;
    let touched = change.tx().query(sql!(
        "UPDATE users SET version = version + 1, updated_at = $3
             WHERE tenant_id = $1 AND id = $2"
    ));
    touched.bind(tenant.to_string()).bind(id.to_string()).bind(now).run().await.map(drop)
}

/// An extension as Asterisk is told of it.
#[derive(sqlx::FromRow)]
pub(super) struct ActiveRow {
    pub tenant_id: String,
    pub user_id: String,
    pub number: i64,
    pub name: String,
    pub secret: Vec<u8>,
}

pub(super) async fn active(tx: &mut Tx) -> Result<Vec<ActiveRow>> {
    tx.query(sql!(
        "SELECT e.tenant_id, e.user_id, e.number, u.name, e.secret
             FROM extension e JOIN users u ON u.id = e.user_id
             WHERE e.enabled ORDER BY e.tenant_id, e.number"
    ))
    .all()
    .await
}

// Phones, as far as they are about people

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// The phone that rings for a user, and which of its lines.
pub(super) async fn line_of(
    tx: &mut Tx,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<(Mac, i64)>> {
    let found: Option<(String, i64)> = tx
        .query(sql!("SELECT mac, line FROM phone_line WHERE tenant_id = $1 AND user_id = $2"))
        .bind(tenant.to_string())
        .bind(user.to_string())
        .optional()
        .await?;
    found.map(|(mac, line)| Ok((mac.parse().map_err(damaged)?, line))).transpose()
}

pub(super) async fn phone_label(tx: &mut Tx, mac: Mac) -> Result<Option<String>> {
    tx.query(sql!("SELECT label FROM phone WHERE mac = $1")).bind(mac.hex()).optional_scalar().await
}

/// Somebody with a line of a phone.
#[derive(sqlx::FromRow)]
pub(super) struct PersonRow {
    #[sqlx(try_from = "i64")]
    pub number: ExtensionNumber,
    pub name: String,
    pub label: String,
}

/// Who has the lines of a phone, in the order of the lines.
pub(super) async fn people_of(tx: &mut Tx, mac: Mac) -> Result<Vec<PersonRow>> {
    tx.query(sql!(
        "SELECT e.number, u.name, l.label
         FROM phone_line l JOIN users u ON u.id = l.user_id JOIN extension e ON e.user_id = l.user_id
         WHERE l.mac = $1 ORDER BY l.line"
    ))
    .bind(mac.hex())
    .all()
    .await
}

/// What lists of phones search and sort by.
pub(super) async fn set_people(
    tx: &mut Tx,
    mac: Mac,
    people: String,
    first: Option<ExtensionNumber>,
    title: String,
) -> Result<()> {
    /// Behind every number there is.
    const NONE: i64 = 100_000_000;
    tx.query(sql!("UPDATE phone SET people = $2, number_sort = $3, title_sort = $4 WHERE mac = $1"))
        .bind(mac.hex())
        .bind(people)
        .bind(first.map_or(NONE, ExtensionNumber::as_i64))
        .bind(title)
        .run()
        .await
        .map(drop)
}

/// A phone is no longer as an editor read it.
pub(super) async fn touch_phone(change: &mut Change, mac: Mac) -> Result<()> {
    let now = change.at();
    let touched = change
        .tx()
        .query(sql!("UPDATE phone SET version = version + 1, updated_at = $2 WHERE mac = $1"));
    touched.bind(mac.hex()).bind(now).run().await.map(drop)
}
