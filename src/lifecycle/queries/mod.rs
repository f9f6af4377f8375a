//! All SQL on assignments.

// Before the modules, which use it too.
macro_rules! columns {
    () => {
        "a.id, a.family, a.state, a.live, a.first_key, a.length, a.pool_id, a.holder_kind, a.holder_id, a.holder_name,
         a.role, a.hostname, a.mac, a.reason, a.ending, a.metadata, a.since, a.allocated_at, a.activated_at,
         a.suspended_at, a.revoked_at, a.version, a.created_at, a.updated_at"
    };
}

mod clock;
mod list;

use super::state::State;
use super::types::{Assignment, Count, Family, Leased, Release};
use crate::db::{Db, Query, Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::addresses::Holder;
use crate::net::{Address, Cidr, Mac, Range};
use crate::sql;
use crate::time::Timestamp;

pub(super) use clock::{count_lingering, lingering, over, settled};
pub(super) use list::{count_found, found, page_of};

#[derive(sqlx::FromRow)]
struct AssignmentRow {
    id: String,
    family: String,
    state: String,
    live: bool,
    first_key: Option<Vec<u8>>,
    length: Option<i64>,
    pool_id: Option<String>,
    holder_kind: String,
    holder_id: String,
    holder_name: String,
    role: String,
    hostname: String,
    mac: String,
    reason: String,
    ending: String,
    metadata: String,
    since: Timestamp,
    allocated_at: Option<Timestamp>,
    activated_at: Option<Timestamp>,
    suspended_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A row that cannot be: somebody wrote past the program.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
pub(super) fn damaged(what: impl ToString) -> sqlx::Error {
    sqlx::Error::Decode(what.to_string().into())
}

fn leased(family: Family, first: Vec<u8>, length: Option<i64>) -> Result<Leased> {
    let first = Address::try_from(first).map_err(damaged)?;
    if family != Family::Prefix {
        return Ok(Leased::Address(first));
    }
    let length = length.and_then(|length| u8::try_from(length).ok());
    let length = length.ok_or_else(|| damaged("a prefix without a length"))?;
    Cidr::new(first, length).map(Leased::Prefix).map_err(damaged)
}

fn mac(text: &str) -> Result<Option<Mac>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(damaged) }
}

impl TryFrom<AssignmentRow> for Assignment {
    type Error = sqlx::Error;

    fn try_from(row: AssignmentRow) -> Result<Self> {
        let family: Family = row.family.try_into().map_err(damaged)?;
        let leased = row.first_key.map(|first| leased(family, first, row.length)).transpose()?;
        Ok(Self {
            id: row.id.try_into().map_err(damaged)?,
            family,
            state: row.state.try_into().map_err(damaged)?,
            live: row.live,
            leased,
            pool: row.pool_id,
            holder: Holder {
                kind: row.holder_kind.parse().map_err(damaged)?,
                id: row.holder_id,
                name: row.holder_name,
            },
            role: row.role.try_into().map_err(damaged)?,
            hostname: row.hostname.try_into().map_err(damaged)?,
            mac: mac(&row.mac)?,
            reason: row.reason.try_into().map_err(damaged)?,
            release: Release::stored(&row.ending),
            metadata: row.metadata.try_into().map_err(damaged)?,
            since: row.since,
            allocated_at: row.allocated_at,
            activated_at: row.activated_at,
            suspended_at: row.suspended_at,
            revoked_at: row.revoked_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn all(rows: Vec<AssignmentRow>) -> Result<Vec<Assignment>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    id: AssignmentId,
) -> Result<Option<Assignment>> {
    let row: Option<AssignmentRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.id = $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// A subscriber's assignments, the newest first, at most `limit`. A phone is known by its MAC in
/// any notation (`mac`, twelve digits).
pub(super) async fn of_subscriber(
    tx: &mut Tx,
    tenant: TenantId,
    id: &str,
    mac: &str,
    limit: i64,
) -> Result<Vec<Assignment>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.holder_id IN ($2, $3)
               AND (a.holder_id = $2 OR a.holder_kind = 'phone')
             ORDER BY a.live DESC, a.created_at DESC, a.id DESC LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(mac.to_owned())
        .bind(limit)
        .all()
        .await?;
    all(rows)
}

/// The live assignment of a holder, of one family and role.
pub(super) async fn live_of(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
    family: Family,
    role: &str,
) -> Result<Option<Assignment>> {
    let row: Option<AssignmentRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.holder_kind = $2 AND a.holder_id = $3
             AND a.family = $4 AND a.role = $5 AND a.live"
        ))
        .bind(tenant.to_string())
        .bind(holder.kind.as_str())
        .bind(holder.id.clone())
        .bind(family.as_str())
        .bind(role.to_owned())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Every live assignment of a holder.
pub(super) async fn all_live_of(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
) -> Result<Vec<Assignment>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.holder_kind = $2 AND a.holder_id = $3 AND a.live
             ORDER BY a.family, a.role"
        ))
        .bind(tenant.to_string())
        .bind(holder.kind.as_str())
        .bind(holder.id.clone())
        .all()
        .await?;
    all(rows)
}

/// The live assignment that has an address, or a prefix that begins with it.
pub(super) async fn at(
    tx: &mut Tx,
    tenant: TenantId,
    first: Address,
) -> Result<Option<Assignment>> {
    let row: Option<AssignmentRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.first_key = $2 AND a.live"
        ))
        .bind(tenant.to_string())
        .bind(first.key())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The live one whose prefix has some of a range; of several the last. They never overlap.
pub(super) async fn prefix_within(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<Option<Assignment>> {
    let row: Option<AssignmentRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM assignment a WHERE a.tenant_id = $1 AND a.live AND a.family = 'prefix' AND a.first_key <= $2
              ORDER BY a.first_key DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(range.last().key())
        .optional()
        .await?;
    let found: Option<Assignment> = row.map(TryInto::try_into).transpose()?;
    Ok(found.filter(|one| match one.leased {
        Some(Leased::Prefix(had)) => had.range().last() >= range.first(),
        _ => false,
    }))
}

/// False when the holder has a live one of the family and role already, or the address has.
pub(super) async fn insert(tx: &mut Tx, tenant: TenantId, new: &Assignment) -> Result<bool> {
    let query = tx.along(sql!(
        "INSERT INTO assignment (id, tenant_id, state, live, first_key, last_key, length, pool_id, holder_name,
             holder_key, hostname, mac, reason, ending, metadata, since, allocated_at, activated_at, suspended_at,
             revoked_at, version, updated_at, family, holder_kind, holder_id, role, created_at)
         VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
             $23, $24, $25, $26, $27)
         ON CONFLICT DO NOTHING"
    ));
    let query = bound(query, tenant, new);
    let inserted = query
        .bind(new.family.as_str())
        .bind(new.holder.kind.as_str())
        .bind(new.holder.id.clone())
        .bind(new.role.to_string())
        .bind(new.created_at)
        .run()
        .await?;
    Ok(inserted == 1)
}

/// Writes what may change of an assignment.
pub(super) async fn update(tx: &mut Tx, tenant: TenantId, new: &Assignment) -> Result<()> {
    let query = tx.later(sql!(
        "UPDATE assignment SET state = $3, live = $4, first_key = $5, last_key = $6, length = $7, pool_id = $8,
             holder_name = $9, holder_key = $10, hostname = $11, mac = $12, reason = $13, ending = $14, metadata = $15,
             since = $16, allocated_at = $17, activated_at = $18, suspended_at = $19, revoked_at = $20, version = $21,
             updated_at = $22
         WHERE tenant_id = $1 AND id = $2"
    ));
    bound(query, tenant, new).run().await.map(drop)
}

fn bound<'q>(query: Query<'q>, tenant: TenantId, new: &Assignment) -> Query<'q> {
    let ends = new.leased.map(Leased::range);
    let length = match new.leased {
        Some(Leased::Prefix(cidr)) => Some(i64::from(cidr.length())),
        _ => None,
    };
    query
        .bind(tenant.to_string())
        .bind(new.id.to_string())
        .bind(new.state.as_str())
        .bind(new.live)
        .bind(ends.map(|ends| ends.first().key()))
        .bind(ends.map(|ends| ends.last().key()))
        .bind(length)
        .bind(new.pool.clone())
        .bind(new.holder.name.clone())
        .bind(new.holder.name.to_lowercase())
        .bind(new.hostname.to_string())
        .bind(new.mac.map(Mac::hex).unwrap_or_default())
        .bind(new.reason.to_string())
        .bind(new.release.map_or("", Release::as_str))
        .bind(new.metadata.to_string())
        .bind(new.since)
        .bind(new.allocated_at)
        .bind(new.activated_at)
        .bind(new.suspended_at)
        .bind(new.revoked_at)
        .bind(new.version)
        .bind(new.updated_at)
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: AssignmentId) -> Result<bool> {
    let gone = tx.query(sql!("DELETE FROM assignment WHERE tenant_id = $1 AND id = $2"));
    Ok(gone.bind(tenant.to_string()).bind(id.to_string()).run().await? == 1)
}

/// Counts one more, or one less. The tenant is locked, so no two do it at once.
pub(super) async fn count(tx: &mut Tx, tenant: TenantId, of: &Assignment, by: i64) -> Result<()> {
    tx.later(sql!(
        "INSERT INTO assignment_tally (tenant_id, family, holder_kind, state, entries) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, family, holder_kind, state)
         DO UPDATE SET entries = assignment_tally.entries + excluded.entries"
    ))
    .bind(tenant.to_string())
    .bind(of.family.as_str())
    .bind(of.holder.kind.as_str())
    .bind(of.state.as_str())
    .bind(by)
    .run()
    .await
    .map(drop)
}

/// Counts one that was `from` as what it is now.
pub(super) async fn recount(
    tx: &mut Tx,
    tenant: TenantId,
    of: &Assignment,
    from: State,
) -> Result<()> {
    if from == of.state {
        return Ok(());
    }
    tx.later(sql!(
        "INSERT INTO assignment_tally (tenant_id, family, holder_kind, state, entries)
         VALUES ($1, $2, $3, $4, -1), ($1, $2, $3, $5, 1)
         ON CONFLICT (tenant_id, family, holder_kind, state)
         DO UPDATE SET entries = assignment_tally.entries + excluded.entries"
    ))
    .bind(tenant.to_string())
    .bind(of.family.as_str())
    .bind(of.holder.kind.as_str())
    .bind(from.as_str())
    .bind(of.state.as_str())
    .run()
    .await
    .map(drop)
}

type CountRow = (String, String, String, i64);

fn counted((family, kind, state, entries): CountRow) -> Result<Count> {
    Ok(Count {
        family: family.try_into().map_err(damaged)?,
        kind: kind.parse().map_err(damaged)?,
        state: state.try_into().map_err(damaged)?,
        entries,
    })
}

pub(super) async fn counts(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Count>> {
    let rows: Vec<CountRow> = tx
        .query(sql!(
            "SELECT family, holder_kind, state, entries FROM assignment_tally
             WHERE tenant_id = $1 AND entries <> 0"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    rows.into_iter().map(counted).collect()
}

/// Hours a revoked address is kept out of use, and the version of that.
pub(super) async fn quarantine(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64)> {
    let row: Option<(i64, i64)> = tx
        .query(sql!("SELECT quarantine, version FROM lifecycle_settings WHERE tenant_id = $1"))
        .bind(tenant.to_string())
        .optional()
        .await?;
    Ok(row.unwrap_or((0, 0)))
}

/// False when somebody changed it meanwhile.
pub(super) async fn set_quarantine(
    tx: &mut Tx,
    tenant: TenantId,
    hours: i64,
    version: i64,
) -> Result<bool> {
    let set = tx
        .query(sql!(
            "INSERT INTO lifecycle_settings (tenant_id, quarantine, version) VALUES ($1, $2, 1)
             ON CONFLICT (tenant_id) DO UPDATE SET quarantine = $2, version = lifecycle_settings.version + 1
             WHERE lifecycle_settings.version = $3"
        ))
        .bind(tenant.to_string())
        .bind(hours)
        .bind(version)
        .run()
        .await?;
    Ok(set == 1)
}

/// The name of a host.
pub(super) async fn host_name(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<Option<String>> {
    tx.query(sql!("SELECT hostname FROM host WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .optional_scalar()
        .await
}

/// Whether a user has this id, and whether a host has.
pub(super) async fn is_user_or_host(db: &Db, tenant: TenantId, id: &str) -> Result<(bool, bool)> {
    db.query(sql!(
        "SELECT EXISTS (SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2),
                EXISTS (SELECT 1 FROM host WHERE tenant_id = $1 AND id = $2)"
    ))
    .bind(tenant.to_string())
    .bind(id.to_owned())
    .one()
    .await
}

/// A phone somebody added.
#[derive(sqlx::FromRow)]
pub(super) struct PhoneRow {
    pub vendor: String,
    pub model: String,
    pub label: String,
    /// Its label, else who has its first line; may be empty.
    pub title: String,
}

/// What is known of a phone.
pub(super) async fn phone(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Option<PhoneRow>> {
    tx.query(sql!(
        "SELECT p.vendor, p.model, p.label, CASE WHEN p.label <> '' THEN p.label ELSE COALESCE(
             (SELECT CAST(e.number AS TEXT) || ' ' || u.name FROM phone_line l
              JOIN users u ON u.id = l.user_id JOIN extension e ON e.user_id = l.user_id
              WHERE l.mac = p.mac ORDER BY l.line LIMIT 1), '') END AS title
         FROM phone p WHERE p.tenant_id = $1 AND p.mac = $2"
    ))
    .bind(tenant.to_string())
    .bind(mac.hex())
    .optional()
    .await
}

/// How many live assignments of each family `NetBox` has.
pub(super) async fn integrated(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(Family, i64)>> {
    let rows: Vec<(String, i64)> = tx
        .query(sql!(
            "SELECT a.family, count(*) FROM outside_mirror m
             JOIN assignment a ON a.tenant_id = m.tenant_id AND a.first_key = m.address AND a.live
             WHERE m.tenant_id = $1 AND m.system = 'netbox' AND m.remote_id IS NOT NULL
               AND m.length = coalesce(a.length, -1)
             GROUP BY a.family"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let parse = |(family, count): (String, i64)| Ok((family.try_into().map_err(damaged)?, count));
    rows.into_iter().map(parse).collect()
}
