//! All SQL on whether files still hold.

use crate::db::{Db, Result, Tx};
use crate::sql;

/// Changes of something that files are made of: all but those of which it is known that they are not.
macro_rules! touching {
    () => {
        "NOT (action LIKE 'operator.%' OR action LIKE 'token.%' OR action LIKE 'apply.%'
              OR action LIKE 'sweep.%' OR action = 'address.seen' OR action LIKE 'enrolment.%'
              OR action LIKE 'phones.tell%' OR action LIKE 'phones.told%' OR action LIKE '%revealed')"
    };
}

/// The audit log's head, and whether something that files are made of was changed after `since`.
pub(super) async fn moved(db: &Db, since: i64) -> Result<(i64, bool)> {
    let head: i64 = db.query(sql!("SELECT seq FROM audit_head WHERE id = 1")).scalar().await?;
    if head == since {
        return Ok((head, false));
    }
    if since < 0 || head < since {
        return Ok((head, true));
    }
    let touching: i64 = db
        .query(concat!(
            "SELECT count(*) FROM audit_event WHERE seq > $1 AND seq <= $2 AND ",
            touching!()
        ))
        .bind(since)
        .bind(head)
        .scalar()
        .await?;
    Ok((head, touching > 0))
}

/// The newest change up to `head` of something that files are made of; 0 when there was none.
pub(super) async fn touched(tx: &mut Tx, head: i64) -> Result<i64> {
    let newest: Option<i64> = tx
        .query(concat!(
            "SELECT seq FROM audit_event WHERE seq <= $1 AND ",
            touching!(),
            " ORDER BY seq DESC LIMIT 1"
        ))
        .bind(head)
        .optional_scalar()
        .await?;
    Ok(newest.unwrap_or(0))
}
