//! All SQL on answers kept for repeated requests.

use crate::audit::Change;
use crate::db::{Result, Tx};
use crate::sql;
use crate::time::Timestamp;

/// An answer that was kept.
#[derive(sqlx::FromRow)]
pub(super) struct Remembered {
    pub request_hash: String,
    pub status: i64,
    /// Sealed.
    pub body: Vec<u8>,
}

pub(super) async fn remembered(
    tx: &mut Tx,
    operator: &str,
    key: &str,
) -> Result<Option<Remembered>> {
    tx.query(sql!(
        "SELECT request_hash, status, body FROM idempotency WHERE operator_id = $1 AND key = $2"
    ))
    .bind(operator.to_owned())
    .bind(key.to_owned())
    .optional()
    .await
}

/// False when the key was used meanwhile.
pub(super) async fn remember(
    change: &mut Change,
    operator: &str,
    key: &str,
    request_hash: &str,
    status: i64,
    body: Vec<u8>,
) -> Result<bool> {
    let now = change.at();
    let key = change
        .tx()
        .query(sql!("INSERT INTO idempotency (operator_id, key, request_hash, status, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (operator_id, key) DO NOTHING RETURNING key"))
        .bind(operator.to_owned())
        .bind(key.to_owned())
        .bind(request_hash.to_owned())
        .bind(status)
        .bind(body)
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(key.is_some())
}

pub(super) async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!("DELETE FROM idempotency WHERE created_at < $1")).bind(before).run().await
}
