//! All SQL on the audit log.

use super::Head;
use super::types::{Filter, Page, Record};
use crate::db::{Bulk, Query, Result, Tx};
use crate::id::TenantId;
use crate::sql;

/// Takes the next `count` numbers; returns the last of them and the newest hash.
pub(super) async fn reserve(tx: &mut Tx, count: i64) -> Result<(i64, String)> {
    tx.along(sql!("UPDATE audit_head SET seq = seq + $1 WHERE id = 1 RETURNING seq, hash"))
        .bind(count)
        .one()
        .await
}

pub(super) async fn set_head(tx: &mut Tx, hash: &str) -> Result<()> {
    tx.along(sql!("UPDATE audit_head SET hash = $1 WHERE id = 1"))
        .bind(hash.to_owned())
        .run()
        .await
        .map(drop)
}

pub(super) async fn head(tx: &mut Tx) -> Result<i64> {
    tx.query(sql!("SELECT seq FROM audit_head WHERE id = 1")).scalar().await
}

pub(super) async fn head_row(tx: &mut Tx) -> Result<(i64, String)> {
    tx.query(sql!("SELECT seq, hash FROM audit_head WHERE id = 1")).one().await
}

/// As [`head_row`], and nobody else adds to the log until the transaction ends.
pub(super) async fn lock_head(tx: &mut Tx) -> Result<(i64, String)> {
    tx.query(sql!("UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING seq, hash")).one().await
}

pub(super) async fn mark_applied(tx: &mut Tx, seq: i64) -> Result<()> {
    tx.query(sql!("UPDATE audit_head SET applied_seq = $1 WHERE id = 1"))
        .bind(seq)
        .run()
        .await
        .map(drop)
}

/// How rows are added to the log.
static INSERT: Bulk = Bulk {
    head: "INSERT INTO audit_event (seq, at, tenant_id, actor, via, source, request_id, action, subject,
                subject_id, note, before_json, after_json, affects_asterisk, hash) VALUES",
    columns: 15,
    most: 512,
    tail: "",
};

pub(super) async fn insert(tx: &mut Tx, records: &[Record]) -> Result<()> {
    tx.insert_many_later(&INSERT, records, bound).await
}

/// Adds rows behind `before` and makes `now` the head, if `before` still is.
pub(super) async fn append(
    tx: &mut Tx,
    records: &[Record],
    before: &Head,
    now: &Head,
) -> Result<bool> {
    let (before, now) = (before.clone(), now.clone());
    tx.insert_many_if(
        sql!("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1 AND seq = $3 AND hash = $4"),
        |head| head.bind(now.seq).bind(now.hash).bind(before.seq).bind(before.hash),
        &INSERT,
        records,
        bound,
    )
    .await
}

fn bound<'q>(row: Query<'q>, record: &Record) -> Query<'q> {
    row.bind(record.seq)
        .bind(record.at)
        .bind(record.tenant_id.clone())
        .bind(record.actor.clone())
        .bind(record.via.clone())
        .bind(record.source.clone())
        .bind(record.request_id.clone())
        .bind(record.action.clone())
        .bind(record.subject.clone())
        .bind(record.subject_id.clone())
        .bind(record.note.clone())
        .bind(record.before_json.clone())
        .bind(record.after_json.clone())
        .bind(record.affects_asterisk)
        .bind(record.hash.clone())
}

pub(super) async fn after(tx: &mut Tx, seq: i64, limit: i64) -> Result<Vec<Record>> {
    tx.query(sql!("SELECT * FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2"))
        .bind(seq)
        .bind(limit)
        .all()
        .await
}

/// Rows before number `before`, newest first.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    before: i64,
    page: Page,
) -> Result<Vec<Record>> {
    tx.query(sql!("SELECT * FROM audit_event
             WHERE tenant_id = $1
               AND ($2 = '' OR lower(actor) LIKE $2 ESCAPE '\\') AND ($3 = '' OR action LIKE $3 ESCAPE '\\')
               AND ($4 = '' OR subject_id = $5 OR lower(subject) LIKE $4 ESCAPE '\\')
               AND at >= $6 AND at < $7 AND seq < $8
             ORDER BY seq DESC LIMIT $9 OFFSET $10"))
        .bind(tenant.to_string())
        .bind(part(&filter.actor))
        .bind(beginning(&filter.action))
        .bind(part(&filter.subject))
        .bind(filter.subject.replace('\0', "\u{1}"))
        .bind(filter.from.map_or(i64::MIN, |at| at.0))
        .bind(filter.until.map_or(i64::MAX, |at| at.0))
        .bind(before)
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await
}

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, filter: &Filter) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM audit_event
             WHERE tenant_id = $1
               AND ($2 = '' OR lower(actor) LIKE $2 ESCAPE '\\') AND ($3 = '' OR action LIKE $3 ESCAPE '\\')
               AND ($4 = '' OR subject_id = $5 OR lower(subject) LIKE $4 ESCAPE '\\')
               AND at >= $6 AND at < $7"))
        .bind(tenant.to_string())
        .bind(part(&filter.actor))
        .bind(beginning(&filter.action))
        .bind(part(&filter.subject))
        .bind(filter.subject.replace('\0', "\u{1}"))
        .bind(filter.from.map_or(i64::MIN, |at| at.0))
        .bind(filter.until.map_or(i64::MAX, |at| at.0))
        .scalar()
        .await
}

pub(super) async fn about(
    tx: &mut Tx,
    tenant: TenantId,
    action: &str,
    subject_id: &str,
    page: Page,
) -> Result<Vec<Record>> {
    tx.query(sql!("SELECT * FROM audit_event WHERE tenant_id = $1 AND subject_id = $2 AND action LIKE $3 ESCAPE '\\'
             ORDER BY seq DESC LIMIT $4 OFFSET $5"))
        .bind(tenant.to_string())
        .bind(subject_id.to_owned())
        .bind(format!("{}%", crate::db::literal(action)))
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await
}

pub(super) async fn count_about(
    tx: &mut Tx,
    tenant: TenantId,
    action: &str,
    subject_id: &str,
) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND subject_id = $2 AND action LIKE $3 ESCAPE '\\'"))
        .bind(tenant.to_string())
        .bind(subject_id.to_owned())
        .bind(format!("{}%", crate::db::literal(action)))
        .scalar()
        .await
}

pub(super) async fn pending(tx: &mut Tx, limit: i64) -> Result<Vec<Record>> {
    tx.query(sql!(
        "SELECT * FROM audit_event
             WHERE seq > (SELECT applied_seq FROM audit_head WHERE id = 1) AND affects_asterisk
             ORDER BY seq LIMIT $1"
    ))
    .bind(limit)
    .all()
    .await
}

pub(super) async fn count_pending(tx: &mut Tx, most: i64) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM (SELECT 1 FROM audit_event
             WHERE seq > (SELECT applied_seq FROM audit_head WHERE id = 1) AND affects_asterisk LIMIT $1) AS pending"
    ))
    .bind(most)
    .scalar()
    .await
}

/// A LIKE pattern for texts that contain `text` (lower-case); empty when `text` is.
fn part(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("%{}%", crate::db::literal(&text.to_lowercase()))
    }
}

fn beginning(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{}%", crate::db::literal(text)) }
}
