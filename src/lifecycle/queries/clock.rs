//! What is done by the clock: which assignments it concerns.

use super::super::state::State;
use super::super::types::{Assignment, Family};
use super::{damaged, get};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::outbox::Subject;
use crate::sql;
use crate::time::Timestamp;

/// Assignments of every tenant that have been in a state since before `before`, the oldest first:
/// so many after having passed over so many.
pub(in crate::lifecycle) async fn lingering(
    tx: &mut Tx,
    state: State,
    before: Timestamp,
    (passed, limit): (i64, i64),
) -> Result<Vec<(TenantId, Assignment)>> {
    let ids: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT tenant_id, id FROM assignment WHERE state = $1 AND since < $2 ORDER BY since, id LIMIT $3 OFFSET $4"
        ))
        .bind(state.as_str())
        .bind(before)
        .bind(limit)
        .bind(passed)
        .all()
        .await?;
    named(tx, ids).await
}

/// As [`lingering`], of those that are over: revoked, or failed without keeping anything.
pub(in crate::lifecycle) async fn over(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Assignment)>> {
    let ids: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT tenant_id, id FROM assignment
             WHERE state IN ('revoked', 'failed') AND NOT live AND since < $1 ORDER BY since, id LIMIT $2"
        ))
        .bind(before)
        .bind(limit)
        .all()
        .await?;
    named(tx, ids).await
}

/// As [`lingering`], of revocations for which no call to an outside system is still to be made. One
/// that nobody makes any more, because it failed too often or its system is off, does not hold anything
/// up: it is shown.
pub(in crate::lifecycle) async fn settled(
    tx: &mut Tx,
    before: Timestamp,
    (passed, limit): (i64, i64),
) -> Result<Vec<(TenantId, Assignment)>> {
    let ids: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT a.tenant_id, a.id FROM assignment a
             WHERE a.state = 'revoking' AND a.since < $1
               AND NOT EXISTS (SELECT 1 FROM outside_call c
                               WHERE c.tenant_id = a.tenant_id AND c.subject = $2 || '/' || a.id
                                 AND (c.state = 'sending' OR (c.state = 'waiting' AND EXISTS (
                                   SELECT 1 FROM outside_system s
                                   WHERE s.tenant_id = c.tenant_id AND s.system = c.system AND s.enabled))))
             ORDER BY a.since, a.id LIMIT $3 OFFSET $4"
        ))
        .bind(before)
        .bind(Subject::ASSIGNMENT)
        .bind(limit)
        .bind(passed)
        .all()
        .await?;
    named(tx, ids).await
}

/// The assignments that have these ids.
async fn named(tx: &mut Tx, ids: Vec<(String, String)>) -> Result<Vec<(TenantId, Assignment)>> {
    let mut found = Vec::new();
    for (tenant, id) in ids {
        let (tenant, id) = (tenant.try_into().map_err(damaged)?, id.try_into().map_err(damaged)?);
        found.extend(get(tx, tenant, id).await?.map(|assignment| (tenant, assignment)));
    }
    Ok(found)
}

/// How many of each tenant and family have been in a state since before `before`: all that are, who
/// are counted anyway, but those that came later. However many linger, only what came is read.
pub(in crate::lifecycle) async fn count_lingering(
    tx: &mut Tx,
    state: State,
    before: Timestamp,
) -> Result<Vec<(TenantId, Family, i64)>> {
    let rows: Vec<(String, String, i64)> = tx
        .query(sql!(
            "SELECT t.tenant_id, t.family, t.entries - coalesce(f.entries, 0)
             FROM (SELECT tenant_id, family, CAST(sum(entries) AS BIGINT) AS entries
                   FROM assignment_tally WHERE state = $1 GROUP BY tenant_id, family) t
             LEFT JOIN (SELECT tenant_id, family, count(*) AS entries
                        FROM assignment WHERE state = $1 AND since >= $2 GROUP BY tenant_id, family) f
               ON f.tenant_id = t.tenant_id AND f.family = t.family"
        ))
        .bind(state.as_str())
        .bind(before)
        .all()
        .await?;
    let parse = |(tenant, family, count): (String, String, i64)| {
        Ok((tenant.try_into().map_err(damaged)?, family.try_into().map_err(damaged)?, count))
    };
    rows.into_iter().map(parse).collect()
}
