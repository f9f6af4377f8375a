//! What a map shows: rows and gaps of a stretch of addresses.

use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::class::Status;
use crate::ipam::space::{Gap, GapRow, damaged};
use crate::net::{Address, Range};
use crate::sql;

/// What the map shows of an address with a row.
pub(in crate::ipam::subnets) struct Spot {
    pub address: Address,
    pub status: Status,
    pub conflict: bool,
    pub note: String,
}

#[derive(sqlx::FromRow)]
struct SpotRow {
    address: Vec<u8>,
    status: String,
    conflict: bool,
    note: String,
}

/// The rows of a range, each with whose it is or why.
pub(in crate::ipam::subnets) async fn spots(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<Vec<Spot>> {
    let rows: Vec<SpotRow> = tx
        .query(sql!(
            "SELECT address, status, conflict,
                    CASE WHEN status = 'reserved' THEN description WHEN status = 'quarantine' THEN reason
                         WHEN holder_name <> '' THEN holder_name ELSE hostname END AS note
             FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3 ORDER BY address"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .all()
        .await?;
    let spot = |row: SpotRow| {
        Ok(Spot {
            address: row.address.try_into().map_err(damaged)?,
            status: row.status.try_into().map_err(damaged)?,
            conflict: row.conflict,
            note: row.note,
        })
    };
    rows.into_iter().map(spot).collect()
}

/// One look into the index of gaps.
macro_rules! gap_before {
    ($place:literal) => {
        concat!(
            "(SELECT first_key FROM gap WHERE tenant_id = $1 AND first_key < ",
            $place,
            " ORDER BY first_key DESC LIMIT 1)"
        )
    };
}

macro_rules! gaps_before {
    ($first:literal $(, $place:literal)*) => {
        concat!(
            "SELECT first_key, last_key, subnet_id, pool_id, kind FROM gap
             WHERE tenant_id = $1 AND first_key IN (",
            gap_before!($first),
            $(", ", gap_before!($place),)*
            ")"
        )
    };
}

/// The last gap that begins before each of some addresses.
pub(in crate::ipam::subnets) async fn gaps_before(
    tx: &mut Tx,
    tenant: TenantId,
    ends: &[Address],
) -> Result<Vec<Gap>> {
    let mut all = Vec::new();
    for some in ends.chunks(16) {
        let mut query = tx
            .query(concat!(gaps_before!(
                "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
                "$15", "$16", "$17"
            )))
            .bind(tenant.to_string());
        for end in some.iter().chain(some.iter().cycle()).take(16) {
            query = query.bind(end.key());
        }
        let rows: Vec<GapRow> = query.all().await?;
        for row in rows {
            all.push(row.try_into()?);
        }
    }
    Ok(all)
}
