//! What the last run counted.

use crate::db::{Bulk, Result, Tx};
use crate::id::TenantId;
use crate::ipam::space::range;
use crate::net::Range;
use crate::sql;

pub(super) async fn counted(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Range>> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = tx
        .query(sql!(
            "SELECT first_key, last_key FROM populated WHERE tenant_id = $1 ORDER BY first_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(|(first, last)| range(first, last)).collect()
}

static COUNT: Bulk = Bulk {
    head: "INSERT INTO populated (tenant_id, first_key, last_key) VALUES",
    columns: 3,
    most: 128,
    tail: "",
};

pub(super) async fn count(tx: &mut Tx, tenant: TenantId, ranges: &[Range]) -> Result<()> {
    tx.query(sql!("DELETE FROM populated WHERE tenant_id = $1"))
        .bind(tenant.to_string())
        .run()
        .await?;
    let rows: Vec<(String, Range)> =
        ranges.iter().map(|range| (tenant.to_string(), *range)).collect();
    tx.insert_many(&COUNT, &rows, |row, (tenant, range)| {
        row.bind(tenant.clone()).bind(range.first().key()).bind(range.last().key())
    })
    .await
}
