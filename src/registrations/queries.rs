//! All SQL on `registration` and `registration_feed`, and what is read of phones beside it.

use std::collections::HashMap;

use super::contact::Contact;
use super::device::Source;
use super::store::{Entry, Key};
use super::subject::Subject;
use crate::audit::Page;
use crate::db::{Bulk, Result, Tx};
use crate::id::TenantId;
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::sql;
use crate::time::Timestamp;

pub(super) fn damaged<E: std::error::Error + Send + Sync + 'static>(error: E) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// An address as stored; empty is none.
pub(super) fn address(key: Vec<u8>) -> Result<Option<Address>> {
    if key.is_empty() { Ok(None) } else { key.try_into().map(Some).map_err(damaged) }
}

/// As [`address`] stores it.
pub(super) fn key(address: Option<Address>) -> Vec<u8> {
    address.map(Address::key).unwrap_or_default()
}

/// A MAC as stored; empty is none.
pub(super) fn mac(digits: &str) -> Result<Option<Mac>> {
    if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(damaged) }
}

/// How good Asterisk's word is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// When it last told of everybody.
    pub read_at: Option<Timestamp>,
    /// Why it does not now; empty when it does.
    pub error: String,
    /// How many were registered as something that is nobody's number.
    pub foreign: i64,
    /// Counts what was written.
    pub changes: i64,
}

pub(super) async fn feed(tx: &mut Tx) -> Result<Word> {
    let (read_at, error, foreign, changes) = tx
        .query(sql!(
            "SELECT read_at, error, foreign_ones, changes FROM registration_feed WHERE id = 1"
        ))
        .one()
        .await?;
    Ok(Word { read_at, error, foreign, changes })
}

/// Asterisk told of everybody, having been asked at `at`.
pub(super) async fn read_at(tx: &mut Tx, at: Timestamp, foreign: i64, changed: bool) -> Result<()> {
    tx.query(sql!(
        "UPDATE registration_feed SET error = '', foreign_ones = $2, changes = changes + $3,
             read_at = CASE WHEN read_at > $1 THEN read_at ELSE $1 END WHERE id = 1"
    ))
    .bind(at)
    .bind(foreign)
    .bind(i64::from(changed))
    .run()
    .await
    .map(drop)
}

/// Asterisk does not tell.
pub(super) async fn failed(tx: &mut Tx, error: &str) -> Result<()> {
    tx.query(sql!("UPDATE registration_feed SET error = $1 WHERE id = 1"))
        .bind(error.to_owned())
        .run()
        .await
        .map(drop)
}

/// A registration that is held to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub address: Option<Address>,
    pub via: Option<Address>,
    pub user_agent: String,
    pub last_seen: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct HeldRow {
    tenant_id: String,
    number: i64,
    contact: String,
    address: Vec<u8>,
    via: Vec<u8>,
    user_agent: String,
    last_seen: Timestamp,
    expires_at: Option<Timestamp>,
}

/// Every registration held to be there, of all tenants.
pub(super) async fn present(tx: &mut Tx) -> Result<HashMap<Key, Held>> {
    let rows: Vec<HeldRow> = tx
        .query(sql!(
            "SELECT tenant_id, number, contact, address, via, user_agent, last_seen, expires_at
             FROM registration WHERE present"
        ))
        .all()
        .await?;
    let held = |row: HeldRow| {
        let key = (
            row.tenant_id.try_into().map_err(damaged)?,
            row.number.try_into().map_err(damaged)?,
            row.contact,
        );
        let held = Held {
            address: address(row.address)?,
            via: address(row.via)?,
            user_agent: row.user_agent,
            last_seen: row.last_seen,
            expires_at: row.expires_at,
        };
        Ok((key, held))
    };
    rows.into_iter().map(held).collect()
}

/// A MAC that is known is not forgotten by a registration without one, nor is a surer source by a
/// less sure one.
static PUT: Bulk = Bulk {
    head: "INSERT INTO registration (tenant_id, number, contact, address, via, user_agent, mac, mac_source, present, latest, first_seen, last_seen, expires_at) VALUES",
    columns: 13,
    most: 1_024,
    tail: "ON CONFLICT (tenant_id, number, contact) DO UPDATE
           SET address = excluded.address, via = excluded.via, user_agent = excluded.user_agent, present = TRUE, latest = TRUE,
               last_seen = excluded.last_seen, expires_at = excluded.expires_at,
               mac = CASE WHEN excluded.mac = '' OR (registration.mac_source = 'user_agent' AND excluded.mac_source <> 'user_agent')
                       OR (registration.mac_source = 'instance' AND excluded.mac_source = 'provisioning')
                     THEN registration.mac ELSE excluded.mac END,
               mac_source = CASE WHEN excluded.mac = '' OR (registration.mac_source = 'user_agent' AND excluded.mac_source <> 'user_agent')
                       OR (registration.mac_source = 'instance' AND excluded.mac_source = 'provisioning')
                     THEN registration.mac_source ELSE excluded.mac_source END",
};

/// They were there at `at`.
pub(super) async fn put(tx: &mut Tx, entries: &[Entry], at: Timestamp) -> Result<()> {
    let rows: Vec<(&Entry, Timestamp)> = entries.iter().map(|entry| (entry, at)).collect();
    tx.insert_many(&PUT, &rows, |row, (entry, at)| {
        let Contact { tenant, number, uri, address, via, user_agent, expires } = &entry.contact;
        let (mac, source) = match entry.mac {
            Some((mac, source)) => (mac.hex(), source.as_str()),
            None => (String::new(), ""),
        };
        row.bind(tenant.to_string())
            .bind(number.as_i64())
            .bind(uri.clone())
            .bind(key(*address))
            .bind(key(*via))
            .bind(user_agent.clone())
            .bind(mac)
            .bind(source)
            .bind(true)
            .bind(true)
            .bind(*at)
            .bind(*at)
            .bind(*expires)
    })
    .await
}

/// What ended of these numbers before they began anew is not the latest any more.
pub(super) async fn outdate(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    for Entry { contact, .. } in entries {
        tx.query(sql!(
            "UPDATE registration SET latest = FALSE
             WHERE tenant_id = $1 AND number = $2 AND contact <> $3 AND latest AND NOT present"
        ))
        .bind(contact.tenant.to_string())
        .bind(contact.number.as_i64())
        .bind(contact.uri.clone())
        .run()
        .await?;
    }
    Ok(())
}

/// One is not there any more, and was not written since `at`.
pub(super) async fn end(tx: &mut Tx, key: &Key, at: Timestamp) -> Result<()> {
    tx.query(sql!(
        "UPDATE registration SET present = FALSE, last_seen = $4
         WHERE tenant_id = $1 AND number = $2 AND contact = $3 AND present AND last_seen < $4"
    ))
    .bind(key.0.to_string())
    .bind(key.1.as_i64())
    .bind(key.2.clone())
    .bind(at)
    .run()
    .await
    .map(drop)
}

/// Ended before then: nobody asks for it any more. At most `limit`.
pub(super) async fn forget(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.query(sql!(
        "DELETE FROM registration WHERE (tenant_id, number, contact) IN
             (SELECT tenant_id, number, contact FROM registration
              WHERE NOT present AND last_seen < $1 ORDER BY last_seen LIMIT $2)"
    ))
    .bind(before)
    .bind(limit)
    .run()
    .await
}

/// What was known of a number at a place.
pub(super) struct Earlier {
    pub mac: Mac,
    pub source: Source,
    pub user_agent: String,
}

/// The last device known to have registered a number from the same address; of two at the same time
/// the one that is known more surely.
pub(super) async fn earlier(tx: &mut Tx, contact: &Contact) -> Result<Option<Earlier>> {
    let row: Option<(String, String, String)> = tx
        .query(sql!(
            "SELECT mac, mac_source, user_agent FROM registration
             WHERE tenant_id = $1 AND number = $2 AND address = $3 AND via = $4 AND mac <> ''
             ORDER BY last_seen DESC,
                 CASE mac_source WHEN 'user_agent' THEN 0 WHEN 'instance' THEN 1 ELSE 2 END, contact LIMIT 1"
        ))
        .bind(contact.tenant.to_string())
        .bind(contact.number.as_i64())
        .bind(key(contact.address))
        .bind(key(contact.via))
        .optional()
        .await?;
    let Some((digits, source, user_agent)) = row else { return Ok(None) };
    let source = source.parse().map_err(damaged)?;
    Ok(mac(&digits)?.map(|mac| Earlier { mac, source, user_agent }))
}

/// A phone, as far as it tells whose registration one is.
#[derive(Clone, Debug)]
pub(super) struct KnownPhone {
    pub mac: Mac,
    pub vendor: String,
    /// Whence it last fetched its file.
    pub fetched_from: Option<Address>,
    /// Its static address.
    pub fixed: Option<Address>,
}

/// A tenant's phones.
#[derive(Debug, Default)]
pub(super) struct Known {
    phones: Vec<KnownPhone>,
    numbers: HashMap<ExtensionNumber, usize>,
    /// Addresses at which exactly one phone is.
    places: HashMap<Address, Option<usize>>,
}

impl Known {
    /// The phone that has the line.
    pub fn by_number(&self, number: ExtensionNumber) -> Option<&KnownPhone> {
        self.phones.get(*self.numbers.get(&number)?)
    }

    /// The phone whose static address this is, or that alone fetched its file from there.
    pub fn by_place(&self, place: Address) -> Option<&KnownPhone> {
        self.phones.get((*self.places.get(&place)?)?)
    }
}

#[derive(sqlx::FromRow)]
struct PhoneRow {
    mac: String,
    vendor: String,
    number: Option<i64>,
    fetched_from: Option<Vec<u8>>,
    fixed: Option<Vec<u8>>,
}

pub(super) async fn known(tx: &mut Tx, tenant: TenantId) -> Result<Known> {
    let rows: Vec<PhoneRow> = tx
        .query(sql!(
            "SELECT p.mac, p.vendor, e.number, s.fetched_from, a.address AS fixed
             FROM phone p
             LEFT JOIN phone_line l ON l.mac = p.mac
             LEFT JOIN extension e ON e.user_id = l.user_id
             LEFT JOIN phone_seen s ON s.mac = p.mac
             LEFT JOIN address a ON a.tenant_id = p.tenant_id AND a.holder_id = p.mac AND a.holder_kind = 'phone'
             WHERE p.tenant_id = $1 ORDER BY p.mac"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let mut known = Known::default();
    for row in rows {
        let Some(mac) = mac(&row.mac)? else { continue };
        if known.phones.last().is_none_or(|last| last.mac != mac) {
            let fetched_from = address(row.fetched_from.unwrap_or_default())?;
            let fixed = address(row.fixed.unwrap_or_default())?;
            let at = known.phones.len();
            for place in
                [fetched_from, fixed.filter(|_| fixed != fetched_from)].into_iter().flatten()
            {
                known.places.entry(place).and_modify(|one| *one = None).or_insert(Some(at));
            }
            known.phones.push(KnownPhone { mac, vendor: row.vendor, fetched_from, fixed });
        }
        if let Some(number) = row.number {
            let at = known.phones.len() - 1;
            known.numbers.insert(number.try_into().map_err(damaged)?, at);
        }
    }
    Ok(known)
}

/// The addresses of registered devices that IPAM does not know to be in use with what they are, or
/// has not heard of since `before`, or that were given to the phone that is there now and are not in
/// use yet; each with the device's MAC if it is there itself, and whether it is waited for.
pub(super) async fn unseen(
    tx: &mut Tx,
    before: Timestamp,
) -> Result<Vec<(TenantId, Address, Option<Mac>, bool)>> {
    let rows: Vec<(String, Vec<u8>, String, i64)> = tx
        .query(sql!(
            "SELECT r.tenant_id, r.address, max(CASE WHEN length(r.via) = 0 THEN r.mac ELSE '' END),
                    CAST(max(CASE WHEN s.id IS NULL THEN 0 ELSE 1 END) AS BIGINT)
             FROM registration r
             LEFT JOIN address a ON a.tenant_id = r.tenant_id AND a.address = r.address
             LEFT JOIN assignment s ON s.id = a.assignment AND s.state = 'allocated' AND s.holder_kind = 'phone'
                                   AND s.holder_id = r.mac AND length(r.via) = 0
             WHERE r.present AND length(r.address) > 0
               AND (a.last_seen IS NULL OR NOT a.active OR a.last_seen < $1 OR s.id IS NOT NULL
                    OR (r.mac <> '' AND length(r.via) = 0 AND r.mac <> a.seen_mac))
             GROUP BY r.tenant_id, r.address
             ORDER BY r.tenant_id, r.address"
        ))
        .bind(before)
        .all()
        .await?;
    let one = |(tenant, place, digits, waited): (String, Vec<u8>, String, i64)| {
        let tenant = tenant.try_into().map_err(damaged)?;
        Ok((tenant, place.try_into().map_err(damaged)?, mac(&digits)?, waited == 1))
    };
    rows.into_iter().map(one).collect()
}

/// One registration, then or now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The number.
    pub number: ExtensionNumber,
    /// Where Asterisk reached it.
    pub contact: String,
    /// The address from which it came.
    pub address: Option<Address>,
    /// What it believed its address to be, if another.
    pub via: Option<Address>,
    /// What it called itself.
    pub user_agent: String,
    /// The device.
    pub mac: Option<Mac>,
    /// Whence that is known.
    pub source: Option<Source>,
    /// Whether it is there now.
    pub present: bool,
    /// Since when.
    pub first_seen: Timestamp,
    /// Until when.
    pub last_seen: Timestamp,
    /// Until when it is registered, if it does not come again.
    pub expires_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct RegistrationRow {
    number: i64,
    contact: String,
    address: Vec<u8>,
    via: Vec<u8>,
    user_agent: String,
    mac: String,
    mac_source: String,
    present: bool,
    first_seen: Timestamp,
    last_seen: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TryFrom<RegistrationRow> for Registration {
    type Error = sqlx::Error;

    fn try_from(row: RegistrationRow) -> Result<Self> {
        let known = mac(&row.mac)?;
        Ok(Self {
            number: row.number.try_into().map_err(damaged)?,
            contact: row.contact,
            address: address(row.address)?,
            via: address(row.via)?,
            user_agent: row.user_agent,
            mac: known,
            source: known.map(|_| row.mac_source.parse().map_err(damaged)).transpose()?,
            present: row.present,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            expires_at: row.expires_at,
        })
    }
}

/// Everything ever known of a number, a device or an address, what is there first, then the newest.
pub(super) async fn history(
    tx: &mut Tx,
    tenant: TenantId,
    subject: Subject,
    page: Page,
) -> Result<Vec<Registration>> {
    let query = match subject {
        Subject::Number(number) => tx
            .query(sql!(
                "SELECT number, contact, address, via, user_agent, mac, mac_source, present, first_seen, last_seen, expires_at
                 FROM registration WHERE tenant_id = $1 AND number = $2
                 ORDER BY present DESC, last_seen DESC, number, contact LIMIT $3 OFFSET $4"
            ))
            .bind(tenant.to_string())
            .bind(number.as_i64()),
        Subject::Mac(mac) => tx
            .query(sql!(
                "SELECT number, contact, address, via, user_agent, mac, mac_source, present, first_seen, last_seen, expires_at
                 FROM registration WHERE tenant_id = $1 AND mac = $2 AND mac <> ''
                 ORDER BY present DESC, last_seen DESC, number, contact LIMIT $3 OFFSET $4"
            ))
            .bind(tenant.to_string())
            .bind(mac.hex()),
        Subject::Address(address) => tx
            .query(sql!(
                "SELECT number, contact, address, via, user_agent, mac, mac_source, present, first_seen, last_seen, expires_at
                 FROM registration WHERE tenant_id = $1 AND address = $2
                 ORDER BY present DESC, last_seen DESC, number, contact LIMIT $3 OFFSET $4"
            ))
            .bind(tenant.to_string())
            .bind(address.key()),
    };
    let rows: Vec<RegistrationRow> = query.bind(page.limit).bind(page.offset).all().await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many there are of them.
pub(super) async fn count_history(tx: &mut Tx, tenant: TenantId, subject: Subject) -> Result<i64> {
    let query = match subject {
        Subject::Number(number) => tx
            .query(sql!("SELECT count(*) FROM registration WHERE tenant_id = $1 AND number = $2"))
            .bind(tenant.to_string())
            .bind(number.as_i64()),
        Subject::Mac(mac) => tx
            .query(sql!(
                "SELECT count(*) FROM registration WHERE tenant_id = $1 AND mac = $2 AND mac <> ''"
            ))
            .bind(tenant.to_string())
            .bind(mac.hex()),
        Subject::Address(address) => tx
            .query(sql!("SELECT count(*) FROM registration WHERE tenant_id = $1 AND address = $2"))
            .bind(tenant.to_string())
            .bind(address.key()),
    };
    query.scalar().await
}
