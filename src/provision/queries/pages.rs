//! All SQL of the pages about requests, strangers and enrolment.

use super::damaged;
use crate::audit::{Change, Page};
use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId, UserId};
use crate::net::{Address, Cidr, Mac};
use crate::numbering::ExtensionNumber;
use crate::phones::{Model, Vendor};
use crate::provision::types::Outcome;
use crate::sql;
use crate::time::Timestamp;

/// Rows that are counted; a list of more says so.
pub(in crate::provision) const MOST_COUNTED: i64 = 10_000;

/// Which requests to show. Empty means any.
#[derive(Clone, Debug, Default)]
pub(in crate::provision) struct Filter {
    pub outcome: Option<Outcome>,
    pub mac: Option<Mac>,
    pub address: Option<Address>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether the file was needed, beside the stored word of the outcome.
    fn needed(&self) -> bool {
        self.outcome.is_none_or(|outcome| outcome.stored().1)
    }
}

/// A request as it was logged.
#[derive(Clone, Debug)]
pub(in crate::provision) struct Row {
    pub at: Timestamp,
    pub mac: Option<Mac>,
    pub address: Address,
    pub user_agent: String,
    pub path: String,
    pub outcome: Outcome,
    pub how: String,
    pub revision: String,
    pub bytes: i64,
    /// Whether the tenant has a phone of that MAC.
    pub known: bool,
}

#[derive(sqlx::FromRow)]
struct Stored {
    at: Timestamp,
    mac: String,
    address: Vec<u8>,
    user_agent: String,
    path: String,
    outcome: String,
    needed: bool,
    how: String,
    revision: String,
    bytes: i64,
    known: i64,
}

impl TryFrom<Stored> for Row {
    type Error = sqlx::Error;

    fn try_from(row: Stored) -> Result<Self> {
        Ok(Self {
            at: row.at,
            mac: mac(&row.mac)?,
            address: row.address.try_into().map_err(damaged)?,
            user_agent: row.user_agent,
            path: row.path,
            outcome: Outcome::restored(&row.outcome, row.needed).map_err(damaged)?,
            how: row.how,
            revision: row.revision,
            bytes: row.bytes,
            known: row.known > 0,
        })
    }
}

fn mac(text: &str) -> Result<Option<Mac>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(damaged) }
}

/// The tenant's requests, the newest first. What is nobody's is shown to whoever runs the
/// installation.
pub(in crate::provision) async fn requests(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Row>> {
    let rows: Vec<Stored> = tx
        .query(sql!(
            "SELECT r.at, r.mac, r.address, r.user_agent, r.path, r.outcome, r.needed, r.how, r.revision, r.bytes,
                 (SELECT count(*) FROM phone p WHERE p.mac = r.mac AND p.tenant_id = $1) AS known
             FROM boot_request r
             WHERE (r.tenant_id = $1 OR (r.tenant_id IS NULL AND $2)) AND ($3 = '' OR (r.outcome = $3 AND r.needed = $9))
               AND ($4 = '' OR r.mac = $4) AND ($5 OR r.address = $6) AND r.at >= $7 AND r.at < $8
             ORDER BY r.at DESC, r.id DESC LIMIT $10 OFFSET $11"
        ))
        .bind(tenant.to_string())
        .bind(tenant == TenantId::DEFAULT)
        .bind(filter.outcome.map(|outcome| outcome.stored().0).unwrap_or_default().to_owned())
        .bind(filter.mac.map(Mac::hex).unwrap_or_default())
        .bind(filter.address.is_none())
        .bind(filter.address.map(Address::key).unwrap_or_default())
        .bind(filter.from.map_or(i64::MIN, |at| at.0))
        .bind(filter.until.map_or(i64::MAX, |at| at.0))
        .bind(filter.needed())
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many there are, at most [`MOST_COUNTED`].
pub(in crate::provision) async fn count_requests(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM (SELECT 1 FROM boot_request r
             WHERE (r.tenant_id = $1 OR (r.tenant_id IS NULL AND $2)) AND ($3 = '' OR (r.outcome = $3 AND r.needed = $9))
               AND ($4 = '' OR r.mac = $4) AND ($5 OR r.address = $6) AND r.at >= $7 AND r.at < $8
             LIMIT $10) AS counted"
    ))
    .bind(tenant.to_string())
    .bind(tenant == TenantId::DEFAULT)
    .bind(filter.outcome.map(|outcome| outcome.stored().0).unwrap_or_default().to_owned())
    .bind(filter.mac.map(Mac::hex).unwrap_or_default())
    .bind(filter.address.is_none())
    .bind(filter.address.map(Address::key).unwrap_or_default())
    .bind(filter.from.map_or(i64::MIN, |at| at.0))
    .bind(filter.until.map_or(i64::MAX, |at| at.0))
    .bind(filter.needed())
    .bind(MOST_COUNTED)
    .scalar()
    .await
}

/// An address from which things were asked for in vain.
#[derive(Clone, Debug)]
pub(in crate::provision) struct Failing {
    pub address: Address,
    /// How often.
    pub times: i64,
    /// How many MACs it named.
    pub macs: i64,
    pub last_at: Timestamp,
}

/// Those since `since`, the busiest first.
pub(in crate::provision) async fn failing(
    tx: &mut Tx,
    tenant: TenantId,
    since: Timestamp,
) -> Result<Vec<Failing>> {
    let rows: Vec<(Vec<u8>, i64, i64, Timestamp)> = tx
        .query(sql!(
            "SELECT r.address, count(*), count(DISTINCT r.mac), max(r.at) FROM boot_request r
             WHERE r.at >= $3 AND (r.tenant_id = $1 OR (r.tenant_id IS NULL AND $2))
               AND r.outcome IN ('refused', 'unknown', 'locked', 'throttled')
               AND r.needed AND r.how NOT LIKE 'token%' AND r.how NOT LIKE 'password%'
               AND r.how NOT LIKE 'enrolment%'
             GROUP BY r.address ORDER BY 2 DESC, 1 LIMIT 20"
        ))
        .bind(tenant.to_string())
        .bind(tenant == TenantId::DEFAULT)
        .bind(since)
        .all()
        .await?;
    let read = |(address, times, macs, last_at): (Vec<u8>, i64, i64, Timestamp)| {
        Ok(Failing { address: address.try_into().map_err(damaged)?, times, macs, last_at })
    };
    rows.into_iter().map(read).collect()
}

/// Phones whose newest request for a file found it broken, the newest first.
pub(in crate::provision) async fn broken(
    tx: &mut Tx,
    tenant: TenantId,
    since: Timestamp,
) -> Result<Vec<(Mac, String, Timestamp)>> {
    let rows: Vec<(String, String, Timestamp)> = tx
        .query(sql!(
            "SELECT r.mac, r.path, max(r.at) FROM boot_request r
             WHERE r.tenant_id = $1 AND r.outcome = 'broken' AND r.at >= $2 AND NOT EXISTS (
                 SELECT 1 FROM boot_request o WHERE o.mac = r.mac AND o.path = r.path AND o.at > r.at
                   AND o.outcome IN ('served', 'unchanged'))
             GROUP BY r.mac, r.path ORDER BY 3 DESC LIMIT 20"
        ))
        .bind(tenant.to_string())
        .bind(since)
        .all()
        .await?;
    let read = |(mac, path, at): (String, String, Timestamp)| {
        Ok((mac.parse().map_err(damaged)?, path, at))
    };
    rows.into_iter().map(read).collect()
}

// Strangers

/// A phone nobody has added.
#[derive(Clone, Debug)]
pub(in crate::provision) struct Waiting {
    pub mac: Mac,
    pub vendor: String,
    pub model: String,
    pub firmware: String,
    pub user_agent: String,
    pub address: Address,
    pub subnet: Option<(SubnetId, String)>,
    /// The site of the subnet; may be empty.
    pub site: String,
    pub path: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub times: i64,
}

impl Waiting {
    /// What it says it is, if that is a model we know.
    pub fn guess(&self) -> Option<&'static Model> {
        Model::find(self.vendor.parse::<Vendor>().ok()?, &self.model).ok()
    }
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    mac: String,
    vendor: String,
    model: String,
    firmware: String,
    user_agent: String,
    address: Vec<u8>,
    subnet_id: Option<String>,
    subnet_name: Option<String>,
    site: Option<String>,
    path: String,
    first_at: Timestamp,
    last_at: Timestamp,
    times: i64,
}

impl TryFrom<WaitingRow> for Waiting {
    type Error = sqlx::Error;

    fn try_from(row: WaitingRow) -> Result<Self> {
        let id = row.subnet_id.map(|id| id.parse::<SubnetId>()).transpose().map_err(damaged)?;
        Ok(Self {
            mac: row.mac.parse().map_err(damaged)?,
            vendor: row.vendor,
            model: row.model,
            firmware: row.firmware,
            user_agent: row.user_agent,
            address: row.address.try_into().map_err(damaged)?,
            subnet: id.zip(row.subnet_name),
            site: row.site.unwrap_or_default(),
            path: row.path,
            first_at: row.first_at,
            last_at: row.last_at,
            times: row.times,
        })
    }
}

/// The tenant's strangers, or the one with a MAC, the newest first. Those who were added by now
/// are left out.
pub(in crate::provision) async fn waiting(
    tx: &mut Tx,
    tenant: TenantId,
    only: Option<Mac>,
    page: Page,
) -> Result<Vec<Waiting>> {
    let rows: Vec<WaitingRow> = tx
        .query(sql!(
            "SELECT w.mac, w.vendor, w.model, w.firmware, w.user_agent, w.address, w.subnet_id,
                 s.name AS subnet_name, s.site, w.path, w.first_at, w.last_at, w.times
             FROM phone_waiting w LEFT JOIN subnet s ON s.id = w.subnet_id
             WHERE w.tenant_id = $1 AND ($2 = '' OR w.mac = $2)
               AND NOT EXISTS (SELECT 1 FROM phone p WHERE p.mac = w.mac)
             ORDER BY w.last_at DESC, w.mac LIMIT $3 OFFSET $4"
        ))
        .bind(tenant.to_string())
        .bind(only.map(Mac::hex).unwrap_or_default())
        .bind(page.limit)
        .bind(page.offset)
        .all()
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(in crate::provision) async fn count_waiting(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM phone_waiting w WHERE w.tenant_id = $1
           AND NOT EXISTS (SELECT 1 FROM phone p WHERE p.mac = w.mac)"
    ))
    .bind(tenant.to_string())
    .scalar()
    .await
}

/// Whether there was one.
pub(in crate::provision) async fn dismiss(change: &mut Change, mac: Mac) -> Result<bool> {
    let tenant = change.tenant();
    let gone = change
        .tx()
        .query(sql!("DELETE FROM phone_waiting WHERE tenant_id = $1 AND mac = $2"))
        .bind(tenant.to_string())
        .bind(mac.hex())
        .run()
        .await?;
    Ok(gone > 0)
}

// Where phones may enrol

/// A subnet, and whether unknown phones may wait in it and known ones enrol.
#[derive(Clone, Debug)]
pub(in crate::provision) struct Place {
    pub id: SubnetId,
    pub name: String,
    pub cidr: Cidr,
    pub chosen: bool,
}

/// The tenant's subnets in the order of their addresses.
pub(in crate::provision) async fn places(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Place>> {
    let rows: Vec<(String, String, Vec<u8>, i64, i64)> = tx
        .query(sql!(
            "SELECT s.id, s.name, s.first_key, s.length,
                 (SELECT count(*) FROM enrolment_subnet e WHERE e.subnet_id = s.id)
             FROM subnet s WHERE s.tenant_id = $1 ORDER BY s.first_key, s.length LIMIT 2000"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let read = |(id, name, first, length, chosen): (String, String, Vec<u8>, i64, i64)| {
        let length = u8::try_from(length).map_err(damaged)?;
        Ok(Place {
            id: id.parse().map_err(damaged)?,
            name,
            cidr: Cidr::new(first.try_into().map_err(damaged)?, length).map_err(damaged)?,
            chosen: chosen > 0,
        })
    };
    rows.into_iter().map(read).collect()
}

pub(in crate::provision) async fn choose(
    change: &mut Change,
    subnet: SubnetId,
    chosen: bool,
) -> Result<()> {
    let tenant = change.tenant();
    let query = if chosen {
        change.tx().query(sql!(
            "INSERT INTO enrolment_subnet (subnet_id, tenant_id)
             SELECT s.id, s.tenant_id FROM subnet s WHERE s.tenant_id = $1 AND s.id = $2
             ON CONFLICT (subnet_id) DO NOTHING"
        ))
    } else {
        change
            .tx()
            .query(sql!("DELETE FROM enrolment_subnet WHERE tenant_id = $1 AND subnet_id = $2"))
    };
    query.bind(tenant.to_string()).bind(subnet.to_string()).run().await.map(drop)
}

// What a DHCP server is told

/// Who was put away by whom: phones, those seen in the last day, those in an open window.
pub(in crate::provision) async fn counts(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(i64, i64, i64)> {
    tx.query(sql!(
        "SELECT count(*), count(s.fetched_at), count(CASE WHEN p.enrol_until > $2 THEN 1 END)
         FROM phone p LEFT JOIN phone_seen s ON s.mac = p.mac AND s.fetched_at > $2 - 86400
         WHERE p.tenant_id = $1"
    ))
    .bind(tenant.to_string())
    .bind(now)
    .one()
    .await
}

/// From where a phone asked last, that nobody got in the way of its next request.
pub(in crate::provision) async fn asked_from(tx: &mut Tx, mac: Mac) -> Result<Vec<Address>> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(sql!(
            "SELECT DISTINCT address FROM (
                 SELECT address FROM boot_request WHERE mac = $1 AND mac <> '' ORDER BY at DESC LIMIT 20) AS newest"
        ))
        .bind(mac.hex())
        .all()
        .await?;
    rows.into_iter().map(|(address,)| address.try_into().map_err(damaged)).collect()
}

/// Whose extension it is.
pub(in crate::provision) async fn user_of(
    tx: &mut Tx,
    tenant: TenantId,
    number: ExtensionNumber,
) -> Result<Option<UserId>> {
    let id: Option<String> = tx
        .query(sql!("SELECT user_id FROM extension WHERE tenant_id = $1 AND number = $2"))
        .bind(tenant.to_string())
        .bind(number.as_i64())
        .optional_scalar()
        .await?;
    id.map(|id| id.parse().map_err(damaged)).transpose()
}
