//! Copying whole tables out of one database and into another, whichever the two are.

use serde::{Deserialize, Serialize};
use sqlx::{Column as _, TypeInfo as _, ValueRef as _};

use super::query::AnyRow;
use super::{Result, Tx};
use crate::{secrets, sql};

/// One value, told apart in JSON by its form: null, a number, true or false, `"t…"` for text,
/// `"x…"` for bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// NULL.
    Null,
    /// BOOLEAN.
    Truth(bool),
    /// BIGINT.
    Number(i64),
    /// TEXT or BYTEA, with a letter before it that says which.
    Marked(String),
}

/// A table, its columns, and the statement that fills it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order they are copied.
    pub columns: &'static [&'static str],
    select: &'static str,
    insert: &'static str,
    clear: &'static str,
}

macro_rules! table {
    ($name:literal ($($column:literal),+) by $key:literal, values $values:literal) => {
        Table {
            name: $name,
            columns: &[$($column),+],
            select: concat!("SELECT ", table!(@list $($column),+), " FROM ", $name, " ORDER BY ", $key, " LIMIT $1 OFFSET $2"),
            insert: concat!("INSERT INTO ", $name, " (", table!(@list $($column),+), ") VALUES (", $values, ")"),
            clear: concat!("DELETE FROM ", $name),
        }
    };
    (@list $first:literal $(, $rest:literal)*) => { concat!($first $(, ", ", $rest)*) };
}

/// Every table worth keeping, each after those it refers to. Sessions, links and failed sign-ins
/// are not: whoever restores signs in anew.
pub const TABLES: &[Table] = &[
    table!("tenant" ("id", "slug", "name", "time_zone", "first_extension", "last_extension", "version", "created_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("operator" ("id", "tenant_id", "name", "role", "password_hash", "disabled", "version", "created_at", "last_seen_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9"),
    table!("api_token" ("id", "operator_id", "label", "role", "token_hash", "created_at", "expires_at", "last_used_at", "revoked_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9"),
    table!("audit_head" ("id", "seq", "hash", "applied_seq") by "id", values "$1, $2, $3, $4"),
    table!("audit_event" ("seq", "at", "tenant_id", "actor", "via", "source", "request_id", "action", "subject", "subject_id", "note", "before_json", "after_json", "affects_asterisk", "hash") by "seq", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15"),
    table!("users" ("id", "tenant_id", "name", "email", "name_key", "email_key", "version", "created_at", "updated_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9"),
    table!("extension" ("tenant_id", "number", "user_id", "enabled", "secret", "secret_at") by "tenant_id, number", values "$1, $2, $3, $4, $5, $6"),
    table!("subnet" ("id", "tenant_id", "name", "name_key", "first_key", "last_key", "length", "parent_id", "vlan", "gateway", "site", "site_key", "dns", "description", "version", "created_at", "updated_at") by "first_key, length, id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17"),
    table!("pool" ("id", "tenant_id", "subnet_id", "kind", "first_key", "last_key", "derived") by "id", values "$1, $2, $3, $4, $5, $6, $7"),
    table!("gap" ("tenant_id", "first_key", "last_key", "size", "subnet_id", "pool_id", "kind") by "tenant_id, first_key", values "$1, $2, $3, $4, $5, $6, $7"),
    table!("address_sequence" ("id", "last") by "id", values "$1, $2"),
    table!("address" ("tenant_id", "address", "id", "subnet_id", "status", "kind", "active", "conflict", "class", "hostname", "hostname_sort", "mac", "mac_sort", "platform", "manufacturer", "holder_kind", "holder_id", "holder_name", "description", "reserved_by", "reason", "until", "since", "last_seen", "seen_mac", "search", "version", "created_at", "updated_at", "assignment") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30"),
    table!("address_claim" ("id", "tenant_id", "address", "kind", "holder_id", "name", "mac", "hostname", "platform", "manufacturer", "created_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11"),
    table!("address_settled" ("tenant_id", "address", "mac", "written", "settled_at") by "tenant_id, address, mac", values "$1, $2, $3, $4, $5"),
    table!("tally" ("tenant_id", "scope", "class", "entries", "high", "low") by "tenant_id, scope, class", values "$1, $2, $3, $4, $5, $6"),
    table!("host" ("id", "tenant_id", "hostname", "hostname_key", "primary_ip", "nic_mac", "bmc_ip", "bmc_mac", "device_type", "manufacturer", "description", "version", "created_at", "updated_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14"),
    table!("populated" ("tenant_id", "first_key", "last_key") by "tenant_id, first_key", values "$1, $2, $3"),
    table!("observation" ("subnet_id", "tenant_id", "minutes", "pace", "keep_days", "next_at") by "subnet_id", values "$1, $2, $3, $4, $5, $6"),
    table!("sweep" ("id", "tenant_id", "subnet_id", "state", "pace", "total", "asked", "seen", "stopping", "actor", "runner", "lease_until", "created_at", "started_at", "finished_at", "error") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16"),
    table!("lease" ("tenant_id", "address", "until") by "tenant_id, address", values "$1, $2, $3"),
    table!("profile" ("id", "tenant_id", "name", "name_key", "scope", "scope_key", "scope_name", "version", "created_at", "updated_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10"),
    table!("profile_setting" ("profile_id", "key", "value") by "profile_id, key", values "$1, $2, $3"),
    table!("phone" ("mac", "tenant_id", "vendor", "model", "kind", "label", "site", "site_key", "subnet_id", "notes", "profile_id", "token", "token_hash", "http_password", "web_password", "enrol_until", "search", "people", "number_sort", "title_sort", "version", "created_at", "updated_at") by "mac", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23"),
    table!("phone_line" ("mac", "line", "tenant_id", "user_id", "label") by "mac, line", values "$1, $2, $3, $4, $5"),
    table!("phone_key" ("mac", "position", "kind", "line", "value", "label") by "mac, position", values "$1, $2, $3, $4, $5, $6"),
    table!("phone_setting" ("mac", "key", "value") by "mac, key", values "$1, $2, $3"),
    table!("phone_seen" ("mac", "tenant_id", "fetched_at", "fetched_from", "fetched_file", "fetched_revision", "user_agent", "model", "firmware", "common_revision") by "mac", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10"),
    table!("boot_file" ("mac", "name", "revision", "content", "made_at") by "mac, name", values "$1, $2, $3, $4, $5"),
    table!("boot_template" ("tenant_id", "vendor", "name", "version", "content", "created_at", "created_by", "note") by "tenant_id, vendor, name, version", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("boot_request" ("id", "at", "tenant_id", "mac", "address", "user_agent", "path", "outcome", "needed", "how", "revision", "bytes") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12"),
    table!("enrolment_subnet" ("subnet_id", "tenant_id") by "subnet_id", values "$1, $2"),
    table!("phone_waiting" ("tenant_id", "mac", "vendor", "model", "firmware", "user_agent", "address", "subnet_id", "path", "first_at", "last_at", "times") by "tenant_id, mac", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12"),
    table!("registration" ("tenant_id", "number", "contact", "address", "via", "user_agent", "mac", "mac_source", "present", "latest", "first_seen", "last_seen", "expires_at") by "tenant_id, number, contact", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13"),
    table!("notification" ("id", "tenant_id", "kind", "reason", "actor", "state", "wave_size", "pause", "stopping", "created_at", "next_at", "finished_at", "runner", "lease_until", "error") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15"),
    table!("notification_phone" ("notification_id", "mac", "number", "wave", "state", "sent_at", "revision", "error") by "notification_id, mac", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("contact" ("id", "tenant_id", "name", "name_key", "number", "version", "created_at", "updated_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("outside_system" ("tenant_id", "system", "enabled", "settings", "secret", "version", "seen_seq", "checked_at", "updated_at") by "tenant_id, system", values "$1, $2, $3, $4, $5, $6, $7, $8, $9"),
    table!("outside_nas" ("id", "tenant_id", "name", "address", "port", "secret", "fallback", "created_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("outside_allowed" ("system", "target", "created_at") by "system, target", values "$1, $2, $3"),
    table!("outside_call" ("id", "tenant_id", "system", "line", "nth", "subject", "label", "payload", "state", "attempts", "next_at", "runner", "lease_until", "identifier", "stamped_at", "error", "answer", "created_at", "ended_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19"),
    table!("outside_mirror" ("tenant_id", "system", "address", "length", "wanted", "ordered", "row_id", "row_version", "remote_id") by "tenant_id, system, address, length", values "$1, $2, $3, $4, $5, $6, $7, $8, $9"),
    table!("prefix_pool" ("id", "tenant_id", "name", "name_key", "first_key", "last_key", "length", "delegated", "free", "version", "created_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11"),
    table!("prefix_gap" ("pool_id", "first_key", "last_key", "fits") by "pool_id, first_key", values "$1, $2, $3, $4"),
    table!("prefix_hold" ("tenant_id", "pool_id", "first_key", "last_key", "length", "reason", "until", "created_at") by "pool_id, first_key", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("assignment" ("id", "tenant_id", "family", "state", "live", "first_key", "last_key", "length", "pool_id", "holder_kind", "holder_id", "holder_name", "holder_key", "role", "hostname", "mac", "reason", "ending", "metadata", "since", "allocated_at", "activated_at", "suspended_at", "revoked_at", "version", "created_at", "updated_at") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27"),
    table!("assignment_tally" ("tenant_id", "family", "holder_kind", "state", "entries") by "tenant_id, family, holder_kind, state", values "$1, $2, $3, $4, $5"),
    table!("lifecycle_settings" ("tenant_id", "quarantine", "version") by "tenant_id", values "$1, $2, $3"),
    table!("job" ("name", "next_at", "requested", "runner", "lease_until", "result", "result_at") by "name", values "$1, $2, $3, $4, $5, $6, $7"),
    table!("job_run" ("id", "job", "runner", "actor", "state", "started_at", "finished_at", "result") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8"),
    table!("workflow_run" ("id", "tenant_id", "kind", "subject", "label", "input", "status", "live", "reason", "timed_out", "created_by", "cancelled_by", "created_at", "updated_at", "finished_at", "deadline", "next_at", "runner", "lease_until") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19"),
    table!("workflow_step" ("run_id", "position", "name", "required", "status", "attempts", "undo_attempts", "error", "saved", "started_at", "finished_at") by "run_id, position", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11"),
    table!("apply_head" ("id", "last_run", "running", "lease_until") by "id", values "$1, $2, $3, $4"),
    table!("apply_run" ("id", "started_at", "actor", "host", "reason", "audit_seq", "state", "step", "release", "previous", "duration_ms", "users", "detail", "modules", "findings", "same_as") by "id", values "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16"),
    table!("apply_file" ("run_id", "name", "sha256", "size", "content") by "run_id, name", values "$1, $2, $3, $4, $5"),
];

/// Rows read at a time.
const STRIDE: i64 = 1_000;

impl Tx {
    /// The newest migration the schema has.
    pub async fn migration(&mut self) -> Result<i64> {
        self.query(sql!("SELECT max(version) FROM _sqlx_migrations")).scalar().await
    }

    /// Whether the database holds nothing but what a new one holds.
    pub async fn is_new(&mut self) -> Result<bool> {
        let rows: i64 = self
            .query(sql!(
                "SELECT (SELECT count(*) FROM operator) + (SELECT count(*) FROM users)
                      + (SELECT count(*) FROM audit_event) + (SELECT count(*) FROM apply_run)
                      + (SELECT count(*) FROM tenant) - 1"
            ))
            .scalar()
            .await?;
        Ok(rows == 0)
    }

    /// Removes what a new database holds.
    pub async fn empty(&mut self) -> Result<()> {
        for table in TABLES.iter().rev() {
            self.query(table.clear).run().await?;
        }
        Ok(())
    }

    /// Some rows of a table, from `offset` on; none means that was all.
    pub async fn dump(&mut self, table: &Table, offset: i64) -> Result<Vec<Vec<Cell>>> {
        let mut rows = Vec::new();
        let query = self.query(table.select).bind(STRIDE).bind(offset);
        query
            .each(&mut |row| {
                rows.push(match &row {
                    AnyRow::Sqlite(row) => cells(row)?,
                    AnyRow::Postgres(row) => cells(row)?,
                });
                Ok(())
            })
            .await?;
        Ok(rows)
    }

    /// Adds one row.
    pub async fn load(&mut self, table: &Table, row: Vec<Cell>) -> Result<()> {
        if row.len() != table.columns.len() {
            return Err(sqlx::Error::Decode("a row has not the columns of its table".into()));
        }
        let typeless = matches!(self, Self::Sqlite(_));
        let mut statement = self.query(table.insert);
        for (cell, column) in row.into_iter().zip(table.columns) {
            statement = match cell {
                Cell::Truth(value) => statement.bind(value),
                Cell::Number(value) => statement.bind(value),
                Cell::Marked(text) => match text.split_at_checked(1) {
                    Some(("x", digits)) => {
                        statement.bind(secrets::unhex(digits).ok_or_else(|| damaged(column))?)
                    }
                    Some(("t", rest)) => statement.bind(rest.to_owned()),
                    _ => return Err(damaged(column)),
                },
                // PostgreSQL wants to know what kind of nothing.
                Cell::Null if typeless || is_text(column) => statement.bind(None::<String>),
                Cell::Null if is_bytes(column) => statement.bind(None::<Vec<u8>>),
                Cell::Null => statement.bind(None::<i64>),
            };
        }
        statement.run().await.map(drop)
    }
}

/// Columns that may be NULL and hold text.
fn is_text(column: &str) -> bool {
    matches!(column, "password_hash" | "parent_id" | "subnet_id")
}

/// Columns that may be NULL and hold bytes.
fn is_bytes(column: &str) -> bool {
    matches!(column, "gateway" | "primary_ip" | "bmc_ip")
}

fn damaged(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} is damaged").into())
}

fn cells<R>(row: &R) -> Result<Vec<Cell>>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> bool: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Vec<u8>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    row.columns().iter().map(|column| cell(row, column.ordinal())).collect()
}

fn cell<R>(row: &R, index: usize) -> Result<Cell>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> bool: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Vec<u8>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    // SQLite stores truth as a number: only the column's declaration says what it is.
    let declared = row.columns().get(index).map(|column| column.type_info().name().to_owned());
    let kind = declared
        .filter(|declared| declared == "BOOLEAN")
        .unwrap_or_else(|| value.type_info().name().to_owned());
    Ok(match kind.as_str() {
        "BOOLEAN" | "BOOL" => Cell::Truth(row.try_get(index)?),
        "INTEGER" | "INT8" | "BIGINT" => Cell::Number(row.try_get(index)?),
        "TEXT" => Cell::Marked(format!("t{}", row.try_get::<String, _>(index)?)),
        _ => Cell::Marked(format!("x{}", secrets::hex(&row.try_get::<Vec<u8>, _>(index)?))),
    })
}
