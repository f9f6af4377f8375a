//! All SQL on whether files still hold.

use crate::db::{Db, Result};
use crate::sql;

/// The audit log's head.
pub(super) async fn head(db: &Db) -> Result<i64> {
    db.query(sql!("SELECT seq FROM audit_head WHERE id = 1")).scalar().await
}

/// The newest change after `since` and up to `until` of something that files are made of: any but
/// those of which it is known that they are not.
pub(super) async fn touched(db: &Db, since: i64, until: i64) -> Result<Option<i64>> {
    db.query(sql!(
        "SELECT seq FROM audit_event
         WHERE seq > $1 AND seq <= $2 AND NOT (action LIKE 'operator.%' OR action LIKE 'token.%'
             OR action LIKE 'apply.%' OR action LIKE 'sweep.%' OR action = 'address.seen'
             OR action LIKE 'enrolment.%' OR action LIKE 'phones.tell%' OR action LIKE 'phones.told%'
             OR action LIKE '%revealed')
         ORDER BY seq DESC LIMIT 1"
    ))
    .bind(since)
    .bind(until)
    .optional_scalar()
    .await
}
