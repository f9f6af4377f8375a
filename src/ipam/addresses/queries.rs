//! Reading single addresses and the claims on them.

use super::places::{AT_ONCE, Person, Place};
use super::types::{Claim, Holder, Hostname, Record, Seen, Tenure};
use crate::db::{self, Result, Tx};
use crate::id::{AssignmentId, ClaimId, SubnetId, TenantId};
use crate::ipam::space::{Space, damaged};
use crate::net::{Address, Cidr, Mac, Range};
use crate::sql;
use crate::time::Timestamp;

/// The columns of [`AddressRow`].
macro_rules! columns {
    () => {
        "address, id, subnet_id, status, kind, active, conflict, hostname, mac, platform, manufacturer,
         holder_kind, holder_id, holder_name, description, reserved_by, reason, until, since, last_seen,
         seen_mac, assignment, version, created_at, updated_at"
    };
}
pub(super) use columns;

#[derive(sqlx::FromRow)]
pub(super) struct AddressRow {
    address: Vec<u8>,
    id: i64,
    subnet_id: Option<String>,
    status: String,
    kind: String,
    active: bool,
    conflict: bool,
    hostname: String,
    mac: String,
    platform: String,
    manufacturer: String,
    holder_kind: String,
    holder_id: String,
    holder_name: String,
    description: String,
    reserved_by: String,
    reason: String,
    until: Option<Timestamp>,
    since: Timestamp,
    last_seen: Option<Timestamp>,
    seen_mac: String,
    assignment: Option<String>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn mac(text: &str) -> Result<Option<Mac>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(damaged) }
}

impl TryFrom<AddressRow> for Record {
    type Error = sqlx::Error;

    fn try_from(row: AddressRow) -> Result<Self> {
        let holder = match row.holder_kind.as_str() {
            "" => None,
            kind => Some(Holder {
                kind: kind.parse().map_err(damaged)?,
                id: row.holder_id,
                name: row.holder_name,
            }),
        };
        Ok(Self {
            address: row.address.try_into().map_err(damaged)?,
            id: row.id,
            subnet: row.subnet_id.map(TryInto::try_into).transpose().map_err(damaged)?,
            status: row.status.try_into().map_err(damaged)?,
            kind: row.kind.try_into().map_err(damaged)?,
            active: row.active,
            conflict: row.conflict,
            hostname: row.hostname.try_into().map_err(damaged)?,
            mac: mac(&row.mac)?,
            platform: row.platform.try_into().map_err(damaged)?,
            manufacturer: row.manufacturer.try_into().map_err(damaged)?,
            holder,
            description: row.description.try_into().map_err(damaged)?,
            reserved_by: row.reserved_by,
            reason: row.reason.try_into().map_err(damaged)?,
            until: row.until,
            since: row.since,
            last_seen: row.last_seen,
            seen_mac: mac(&row.seen_mac)?,
            assignment: row.assignment.map(TryInto::try_into).transpose().map_err(damaged)?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Rows as addresses.
pub(super) fn records(rows: Vec<AddressRow>) -> Result<Vec<Record>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(in crate::ipam) async fn get(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> Result<Option<Record>> {
    let row: Option<AddressRow> = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND address = $2"
        ))
        .bind(tenant.to_string())
        .bind(address.key())
        .optional()
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The rows of a range, at most `limit`.
pub(in crate::ipam) async fn within(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    limit: i64,
) -> Result<Vec<Record>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND address >= $2 AND address <= $3 ORDER BY address LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .bind(limit)
        .all()
        .await?;
    records(rows)
}

/// The addresses somebody holds.
pub async fn held_by(tx: &mut Tx, tenant: TenantId, holder: &Holder) -> Result<Vec<Record>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND holder_id = $2 AND holder_id <> '' AND holder_kind = $3"
        ))
        .bind(tenant.to_string())
        .bind(holder.id.clone())
        .bind(holder.kind.as_str().to_owned())
        .all()
        .await?;
    // Asked for in this order, all addresses of the tenant would be walked over.
    let mut held = records(rows)?;
    held.sort_unstable_by_key(|record| record.address);
    Ok(held)
}

/// The rows above an address, or from the first, at most `limit`.
pub(in crate::ipam) async fn after(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<Address>,
    limit: i64,
) -> Result<Vec<Record>> {
    let rows = tx
        .query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND address > $2 ORDER BY address LIMIT $3"
        ))
        .bind(tenant.to_string())
        .bind(after.map(Address::key).unwrap_or_default())
        .bind(limit)
        .all()
        .await?;
    records(rows)
}

/// Most addresses one statement of [`among`] names.
const NAMED: usize = 50;

/// The rows of these addresses.
pub(in crate::ipam) async fn among(
    tx: &mut Tx,
    tenant: TenantId,
    addresses: &[Address],
) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    for some in addresses.chunks(NAMED) {
        let query = tx.query(concat!(
            "SELECT ",
            columns!(),
            " FROM address WHERE tenant_id = $1 AND address IN (
                 $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
                 $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45,
                 $46, $47, $48, $49, $50, $51)"
        ));
        // Places that are left over name the last address again.
        let last = some.iter().rev().take(1).cycle();
        let named = some.iter().chain(last).take(NAMED);
        let query =
            named.fold(query.bind(tenant.to_string()), |query, address| query.bind(address.key()));
        found.extend(records(query.all().await?)?);
    }
    Ok(found)
}

/// The rows whose reservation or quarantine has ended, of all tenants: whose, and which.
pub(super) async fn ended(
    tx: &mut Tx,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Address)>> {
    let rows: Vec<(String, Vec<u8>)> = tx
        .query(sql!(
            "SELECT tenant_id, address FROM address WHERE until <= $1 ORDER BY until LIMIT $2"
        ))
        .bind(now)
        .bind(limit)
        .all()
        .await?;
    let pair = |(tenant, address): (String, Vec<u8>)| {
        Ok((tenant.try_into().map_err(damaged)?, address.try_into().map_err(damaged)?))
    };
    rows.into_iter().map(pair).collect()
}

// Claims

#[derive(sqlx::FromRow)]
struct ClaimRow {
    id: String,
    address: Vec<u8>,
    kind: String,
    holder_id: String,
    name: String,
    mac: String,
    hostname: String,
    platform: String,
    manufacturer: String,
    created_at: Timestamp,
}

impl TryFrom<ClaimRow> for Claim {
    type Error = sqlx::Error;

    fn try_from(row: ClaimRow) -> Result<Self> {
        let mac = mac(&row.mac)?;
        let named = if row.kind == "seen" { row.hostname.clone() } else { String::new() };
        let tenure = match row.kind.as_str() {
            "seen" => None,
            kind => Some(Tenure {
                holder: Holder {
                    kind: kind.parse().map_err(damaged)?,
                    id: row.holder_id,
                    name: row.name,
                },
                hostname: row.hostname.try_into().map_err(damaged)?,
                mac,
                platform: row.platform.try_into().map_err(damaged)?,
                manufacturer: row.manufacturer.try_into().map_err(damaged)?,
            }),
        };
        let id = row.id.try_into().map_err(damaged)?;
        let address = row.address.try_into().map_err(damaged)?;
        let hostname = named.try_into().map_err(damaged)?;
        Ok(Self { id, address, tenure, mac, hostname, created_at: row.created_at })
    }
}

/// The claims on an address, the oldest first.
pub(super) async fn claims(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<Vec<Claim>> {
    let rows: Vec<ClaimRow> = tx
        .query(sql!(
            "SELECT id, address, kind, holder_id, name, mac, hostname, platform, manufacturer, created_at
             FROM address_claim WHERE tenant_id = $1 AND address = $2 ORDER BY created_at, id"
        ))
        .bind(tenant.to_string())
        .bind(address.key())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The claims on all addresses of a range.
pub(super) async fn claims_within(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    limit: i64,
) -> Result<Vec<Claim>> {
    let rows: Vec<ClaimRow> = tx
        .query(sql!(
            "SELECT id, address, kind, holder_id, name, mac, hostname, platform, manufacturer, created_at
             FROM address_claim WHERE tenant_id = $1 AND address >= $2 AND address <= $3
             ORDER BY address, created_at, id LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(range.first().key())
        .bind(range.last().key())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The addresses somebody claims without holding them.
pub(super) async fn claimed_by(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
) -> Result<Vec<Claim>> {
    let rows: Vec<ClaimRow> = tx
        .query(sql!(
            "SELECT id, address, kind, holder_id, name, mac, hostname, platform, manufacturer, created_at
             FROM address_claim WHERE tenant_id = $1 AND holder_id = $2 AND kind = $3 ORDER BY address"
        ))
        .bind(tenant.to_string())
        .bind(holder.id.clone())
        .bind(holder.kind.as_str().to_owned())
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Writes down a claim, or what is new of it.
pub(super) async fn claim(
    space: &mut Space<'_>,
    id: ClaimId,
    address: Address,
    claimant: std::result::Result<&Tenure, &Seen>,
) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let row = space
        .tx()
        .query(sql!(
            "INSERT INTO address_claim (id, tenant_id, address, kind, holder_id, name, mac, hostname, platform, manufacturer, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (tenant_id, address, kind, holder_id) DO UPDATE
             SET name = excluded.name, mac = excluded.mac, hostname = excluded.hostname, platform = excluded.platform,
                 manufacturer = excluded.manufacturer"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(address.key());
    let row = match claimant {
        Ok(tenure) => row
            .bind(tenure.holder.kind.as_str().to_owned())
            .bind(tenure.holder.id.clone())
            .bind(tenure.holder.name.clone())
            .bind(tenure.mac.map(Mac::hex).unwrap_or_default())
            .bind(tenure.hostname.to_string())
            .bind(tenure.platform.to_string())
            .bind(tenure.manufacturer.to_string()),
        Err(seen) => row
            .bind("seen".to_owned())
            .bind(seen.key())
            .bind(String::new())
            .bind(seen.mac.map(Mac::hex).unwrap_or_default())
            .bind(seen.hostname.to_string())
            .bind(String::new())
            .bind(String::new()),
    };
    row.bind(now).run().await.map(drop)
}

/// Whose an address is, and with which MAC or name: as long as this is the same, a conflict settled
/// with a machine seen there stays settled.
fn written(record: &Record, seen: &Seen) -> String {
    let holder = record.holder.as_ref();
    let keeper = holder.map_or_else(
        || record.reserved_by.clone(),
        |holder| format!("{} {}", holder.kind.as_str(), holder.id),
    );
    let mac = record.mac.map(Mac::hex).unwrap_or_default();
    let known = format!("{}\n{mac}\n{keeper}", record.status);
    if seen.hostname.is_empty() { known } else { format!("{known}\n{}", record.hostname.key()) }
}

/// A machine seen with an address may go on being seen there.
pub(super) async fn settle(space: &mut Space<'_>, record: &Record, seen: &Seen) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    space
        .tx()
        .query(sql!(
            "INSERT INTO address_settled (tenant_id, address, mac, written, settled_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, address, mac) DO UPDATE
             SET written = excluded.written, settled_at = excluded.settled_at"
        ))
        .bind(tenant.to_string())
        .bind(record.address.key())
        .bind(seen.key())
        .bind(written(record, seen))
        .bind(now)
        .run()
        .await
        .map(drop)
}

/// Whether somebody settled that with just what is written now.
pub(super) async fn is_settled(
    space: &mut Space<'_>,
    record: &Record,
    seen: &Seen,
) -> Result<bool> {
    let tenant = space.tenant();
    let then: Option<String> = space
        .tx()
        .query(sql!(
            "SELECT written FROM address_settled WHERE tenant_id = $1 AND address = $2 AND mac = $3"
        ))
        .bind(tenant.to_string())
        .bind(record.address.key())
        .bind(seen.key())
        .optional_scalar()
        .await?;
    Ok(then.is_some_and(|then| then == written(record, seen)))
}

/// Removes one claim.
pub(super) async fn drop_claim(space: &mut Space<'_>, id: ClaimId) -> Result<()> {
    let tenant = space.tenant();
    let gone = space.tx().query(sql!("DELETE FROM address_claim WHERE tenant_id = $1 AND id = $2"));
    gone.bind(tenant.to_string()).bind(id.to_string()).run().await.map(drop)
}

/// Removes every claim on an address.
pub(super) async fn drop_claims(space: &mut Space<'_>, address: Address) -> Result<()> {
    let tenant = space.tenant();
    let gone =
        space.tx().query(sql!("DELETE FROM address_claim WHERE tenant_id = $1 AND address = $2"));
    gone.bind(tenant.to_string()).bind(address.key()).run().await.map(drop)
}

/// The name of a user of the tenant.
pub(in crate::ipam) async fn user_name(
    tx: &mut Tx,
    tenant: TenantId,
    id: &str,
) -> Result<Option<String>> {
    tx.query(sql!("SELECT name FROM users WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .optional_scalar()
        .await
}

// Names

type PlaceRow = (String, String, Vec<u8>, i64, Option<i64>);

fn place((id, name, first, length, vlan): PlaceRow) -> Result<Place> {
    let first = Address::try_from(first).map_err(damaged)?;
    let length = u8::try_from(length).map_err(damaged)?;
    let cidr = Cidr::new(first, length).map_err(damaged)?;
    Ok(Place { id: id.try_into().map_err(damaged)?, name, cidr, vlan })
}

/// At most [`AT_ONCE`] subnets. The tenant is asked for so that no index has it: `SQLite` would
/// begin with all its subnets and not with these.
pub(super) async fn places(tx: &mut Tx, tenant: TenantId, ids: &[SubnetId]) -> Result<Vec<Place>> {
    let query = tx.query(sql!(
        "SELECT id, name, first_key, length, vlan FROM subnet WHERE coalesce(tenant_id, '') = $1 AND id IN
             ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
              $21, $22, $23, $24, $25, $26)"
    ));
    let query = (0..AT_ONCE).fold(query.bind(tenant.to_string()), |query, n| {
        query.bind(ids.get(n).map(ToString::to_string).unwrap_or_default())
    });
    let rows: Vec<PlaceRow> = query.all().await?;
    rows.into_iter().map(place).collect()
}

pub(super) async fn first_places(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Vec<Place>> {
    let rows: Vec<PlaceRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, vlan FROM subnet WHERE tenant_id = $1
             ORDER BY first_key, length LIMIT $2"
        ))
        .bind(tenant.to_string())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(place).collect()
}

/// Whether there are more subnets than that.
pub(super) async fn more_places(tx: &mut Tx, tenant: TenantId, than: i64) -> Result<bool> {
    let one: Option<i64> = tx
        .query(sql!("SELECT length FROM subnet WHERE tenant_id = $1 ORDER BY first_key, length LIMIT 1 OFFSET $2"))
        .bind(tenant.to_string())
        .bind(than)
        .optional_scalar()
        .await?;
    Ok(one.is_some())
}

pub(super) async fn place_at(tx: &mut Tx, tenant: TenantId, cidr: Cidr) -> Result<Vec<Place>> {
    let rows: Vec<PlaceRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, vlan FROM subnet
             WHERE tenant_id = $1 AND first_key = $2 AND last_key = $3"
        ))
        .bind(tenant.to_string())
        .bind(cidr.network().key())
        .bind(cidr.last().key())
        .all()
        .await?;
    rows.into_iter().map(place).collect()
}

/// Those with this part in their names or sites or with this VLAN, the one called just so first.
pub(super) async fn places_called(
    tx: &mut Tx,
    tenant: TenantId,
    key: &str,
    vlan: i64,
    limit: i64,
) -> Result<Vec<Place>> {
    let rows: Vec<PlaceRow> = tx
        .query(sql!(
            "SELECT id, name, first_key, length, vlan FROM subnet
             WHERE tenant_id = $1 AND (name_key LIKE $2 ESCAPE '\\' OR site_key LIKE $2 ESCAPE '\\' OR vlan = $5)
             ORDER BY CASE WHEN name_key = $3 THEN 0 ELSE 1 END, name_key LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(format!("%{}%", db::literal(key)))
        .bind(key.replace('\0', "\u{1}"))
        .bind(limit)
        .bind(vlan)
        .all()
        .await?;
    rows.into_iter().map(place).collect()
}

/// Users with this number, this id or this part of a name.
pub(super) async fn people(
    tx: &mut Tx,
    tenant: TenantId,
    text: &str,
    limit: i64,
) -> Result<Vec<Person>> {
    let rows: Vec<(String, String, i64)> = tx
        .query(sql!(
            "SELECT u.id, u.name, e.number FROM users u JOIN extension e ON e.user_id = u.id
             WHERE u.tenant_id = $1
               AND (u.id = $2 OR CAST(e.number AS TEXT) = $2 OR u.name_key LIKE $3 ESCAPE '\\')
             ORDER BY CASE WHEN u.id = $2 OR CAST(e.number AS TEXT) = $2 THEN 0 ELSE 1 END, u.name_key, u.id
             LIMIT $4"
        ))
        .bind(tenant.to_string())
        .bind(text.replace('\0', "\u{1}"))
        .bind(format!("%{}%", db::literal(&text.to_lowercase())))
        .bind(limit)
        .all()
        .await?;
    let person = |(id, name, number): (String, String, i64)| {
        Ok(Person { id: id.try_into().map_err(damaged)?, name, number })
    };
    rows.into_iter().map(person).collect()
}

/// The name of a holder is also at the assignments. They belong to others above, but who holds
/// something, and what that is called, is known here. Whether any was called otherwise.
pub(super) async fn rename_assignments(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
    now: Timestamp,
) -> Result<bool> {
    let renamed = tx.query(sql!(
        "UPDATE assignment SET holder_name = $4, holder_key = $5, version = version + 1, updated_at = $6
         WHERE tenant_id = $1 AND holder_kind = $2 AND holder_id = $3 AND state <> 'revoked' AND holder_name <> $4"
    ))
    .bind(tenant.to_string())
    .bind(holder.kind.as_str())
    .bind(holder.id.clone())
    .bind(holder.name.clone())
    .bind(holder.name.to_lowercase())
    .bind(now)
    .run()
    .await?;
    Ok(renamed > 0)
}

/// The prefixes delegated to a holder, with their assignments.
pub(super) async fn prefixes_of(
    tx: &mut Tx,
    tenant: TenantId,
    holder: &Holder,
) -> Result<Vec<(AssignmentId, Cidr)>> {
    let rows: Vec<(String, Vec<u8>, i64)> = tx
        .query(sql!(
            "SELECT id, first_key, length FROM assignment
             WHERE tenant_id = $1 AND holder_kind = $2 AND holder_id = $3 AND family = 'prefix' AND live
               AND first_key IS NOT NULL"
        ))
        .bind(tenant.to_string())
        .bind(holder.kind.as_str())
        .bind(holder.id.clone())
        .all()
        .await?;
    let prefix = |(id, first, length): (String, Vec<u8>, i64)| {
        let first: Address = first.try_into().map_err(damaged)?;
        let cidr = Cidr::new(first, u8::try_from(length).map_err(damaged)?).map_err(damaged)?;
        Ok((id.try_into().map_err(damaged)?, cidr))
    };
    rows.into_iter().map(prefix).collect()
}

/// The names of a holder and of the machine are also at the assignment of the address.
pub(super) async fn name_machine(
    tx: &mut Tx,
    id: AssignmentId,
    holder: &Holder,
    hostname: &Hostname,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "UPDATE assignment SET hostname = $2, holder_name = $3, holder_key = $4, version = version + 1, updated_at = $5
         WHERE id = $1 AND (hostname <> $2 OR holder_name <> $3)"
    ))
    .bind(id.to_string())
    .bind(hostname.to_string())
    .bind(holder.name.clone())
    .bind(holder.name.to_lowercase())
    .bind(now)
    .run()
    .await
    .map(drop)
}
