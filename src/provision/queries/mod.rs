//! All SQL of serving: who may have a file, and what is left of a request.

pub(super) mod pages;

use uuid::Uuid;

use super::types::{File, Kept, Request, Sighting, Stranger};
use crate::audit::Change;
use crate::boot::Part;
use crate::db::{Bulk, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::net::{Address, Mac};
use crate::phones::Vendor;
use crate::secrets::{Vault, VaultError};
use crate::sql;
use crate::time::Timestamp;

/// Strangers of a tenant that are remembered.
const MOST_STRANGERS: i64 = 1_000;

/// A row that is not what Patchbay wrote.
pub(super) fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

// Who may have a file

/// A phone that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub tenant: TenantId,
    pub mac: Mac,
    pub vendor: Vendor,
    /// Until when it may enrol.
    pub enrol_until: Option<Timestamp>,
}

type KnownRow = (String, String, String, Option<Timestamp>);

fn known((tenant, mac, vendor, enrol_until): KnownRow) -> Result<Known> {
    Ok(Known {
        tenant: tenant.parse().map_err(damaged)?,
        mac: mac.parse().map_err(damaged)?,
        vendor: vendor.parse().map_err(damaged)?,
        enrol_until,
    })
}

/// A phone by its MAC alone; asked for none, as long as for one that is not there.
pub(super) async fn phone(tx: &mut Tx, mac: Option<Mac>) -> Result<Option<Known>> {
    let row: Option<KnownRow> = tx
        .query(sql!("SELECT tenant_id, mac, vendor, enrol_until FROM phone WHERE mac = $1"))
        .bind(mac.map(Mac::hex).unwrap_or_default())
        .optional()
        .await?;
    row.map(known).transpose()
}

/// The phone whose token has this fingerprint.
pub(super) async fn phone_of_token(tx: &mut Tx, hash: &str) -> Result<Option<Known>> {
    let row: Option<KnownRow> = tx
        .query(sql!("SELECT tenant_id, mac, vendor, enrol_until FROM phone WHERE token_hash = $1"))
        .bind(hash.to_owned())
        .optional()
        .await?;
    row.map(known).transpose()
}

/// The subnets phones may enrol in that contain `address`, the smallest first.
pub(super) async fn enrolment_at(
    tx: &mut Tx,
    address: Address,
) -> Result<Vec<(TenantId, SubnetId)>> {
    let rows: Vec<(String, String)> = tx
        .query(sql!(
            "SELECT e.tenant_id, e.subnet_id FROM enrolment_subnet e JOIN subnet s ON s.id = e.subnet_id
             WHERE s.first_key <= $1 AND s.last_key >= $1 ORDER BY s.length DESC, e.tenant_id"
        ))
        .bind(address.key())
        .all()
        .await?;
    let read = |(tenant, subnet): (String, String)| {
        Ok((tenant.parse().map_err(damaged)?, subnet.parse().map_err(damaged)?))
    };
    rows.into_iter().map(read).collect()
}

/// Ends a phone's enrolment window, if it is still open: of two at once, one is told so.
pub(super) async fn claim(change: &mut Change, mac: Mac) -> Result<bool> {
    let now = change.at();
    let ended = change
        .tx()
        .query(sql!("UPDATE phone SET enrol_until = NULL WHERE mac = $1 AND enrol_until > $2"))
        .bind(mac.hex())
        .bind(now)
        .run()
        .await?;
    Ok(ended == 1)
}

/// Opens a phone's enrolment window, or closes it; whether there is such a phone.
pub(super) async fn set_window(
    change: &mut Change,
    mac: Mac,
    until: Option<Timestamp>,
) -> Result<bool> {
    let tenant = change.tenant();
    let set = change
        .tx()
        .query(sql!("UPDATE phone SET enrol_until = $3 WHERE tenant_id = $1 AND mac = $2"))
        .bind(tenant.to_string())
        .bind(mac.hex())
        .bind(until)
        .run()
        .await?;
    Ok(set == 1)
}

// What is left of a request

static REQUESTS: Bulk = Bulk {
    head: "INSERT INTO boot_request (id, at, tenant_id, mac, address, user_agent, path, outcome, needed, how, revision, bytes) VALUES",
    columns: 12,
    most: 128,
    tail: "",
};

pub(super) async fn insert_requests(tx: &mut Tx, rows: &[(Uuid, &Request)]) -> Result<()> {
    tx.insert_many(&REQUESTS, rows, |row, (id, request)| {
        row.bind(id.to_string())
            .bind(request.at)
            .bind(request.tenant.map(|tenant| tenant.to_string()))
            .bind(request.mac.map(Mac::hex).unwrap_or_default())
            .bind(request.address.key())
            .bind(request.user_agent.clone())
            .bind(request.path.clone())
            .bind(request.outcome.stored().0.to_owned())
            .bind(request.outcome.stored().1)
            .bind(request.how.clone())
            .bind(request.revision.clone())
            .bind(request.bytes)
    })
    .await
}

// A phone may have been deleted since it asked, so rows are joined with those that are there.

static SEEN: Bulk = Bulk {
    head: "INSERT INTO phone_seen (mac, fetched_at, fetched_from, fetched_file, fetched_revision, user_agent, model, firmware, common_revision, tenant_id)
           SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9, p.tenant_id FROM (VALUES",
    columns: 9,
    most: 64,
    tail: ") AS v JOIN phone p ON p.mac = v.column1 WHERE true
           ON CONFLICT (mac) DO UPDATE SET
               fetched_at = coalesce(excluded.fetched_at, phone_seen.fetched_at),
               fetched_from = coalesce(excluded.fetched_from, phone_seen.fetched_from),
               fetched_file = CASE WHEN excluded.fetched_at IS NULL THEN phone_seen.fetched_file ELSE excluded.fetched_file END,
               fetched_revision = CASE WHEN excluded.fetched_at IS NULL THEN phone_seen.fetched_revision ELSE excluded.fetched_revision END,
               user_agent = CASE WHEN excluded.user_agent = '' THEN phone_seen.user_agent ELSE excluded.user_agent END,
               model = CASE WHEN excluded.model = '' THEN phone_seen.model ELSE excluded.model END,
               firmware = CASE WHEN excluded.firmware = '' THEN phone_seen.firmware ELSE excluded.firmware END,
               common_revision = CASE WHEN excluded.common_revision = '' THEN phone_seen.common_revision ELSE excluded.common_revision END",
};

/// Notes what phones last fetched and said of themselves; each named once.
pub(super) async fn saw(tx: &mut Tx, sightings: &[&Sighting]) -> Result<()> {
    tx.insert_many(&SEEN, sightings, |row, sighting| {
        let own = sighting.own.as_ref();
        row.bind(sighting.mac.hex())
            .bind(own.map(|_| sighting.at))
            .bind(own.map(|_| sighting.address.key()))
            .bind(own.map(|(file, _)| file.clone()).unwrap_or_default())
            .bind(own.map(|(_, revision)| revision.clone()).unwrap_or_default())
            .bind(sighting.user_agent.clone())
            .bind(sighting.model.clone())
            .bind(sighting.firmware.clone())
            .bind(sighting.common.clone().unwrap_or_default())
    })
    .await
}

/// A file to be kept, sealed.
pub(super) struct Sealed {
    mac: Mac,
    name: String,
    revision: String,
    content: Vec<u8>,
    made_at: Timestamp,
}

fn place(tenant: TenantId, mac: Mac, name: &str) -> String {
    format!("boot/file/{tenant}/{}/{name}", mac.hex())
}

impl Sealed {
    /// Before the content stand its type and what else is known of it, each with a NUL after it.
    pub(super) fn of(vault: &Vault, kept: &Kept) -> std::result::Result<Self, VaultError> {
        let part = kept.file.part;
        let flags =
            [(kept.file.secret, 's'), (part == Part::Own, 'o'), (part == Part::Common, 'c')];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
        let head = format!("{}\0{flags}\0", kept.file.content_type);
        let plain = [head.as_bytes(), &kept.file.bytes].concat();
        let content = vault.seal(&place(kept.tenant, kept.mac, &kept.name), &plain)?;
        let (name, revision) = (kept.name.clone(), kept.file.revision.clone());
        Ok(Self { mac: kept.mac, name, revision, content, made_at: kept.at })
    }
}

static FILES: Bulk = Bulk {
    head: "INSERT INTO boot_file (mac, name, revision, content, made_at)
           SELECT v.column1, v.column2, v.column3, v.column4, v.column5 FROM (VALUES",
    columns: 5,
    most: 32,
    tail:
        ") AS v JOIN phone p ON p.mac = v.column1 WHERE true
           ON CONFLICT (mac, name) DO UPDATE SET
               revision = excluded.revision, content = excluded.content, made_at = excluded.made_at",
};

/// Keeps files; each of a name once.
pub(super) async fn keep(tx: &mut Tx, files: &[Sealed]) -> Result<()> {
    tx.insert_many(&FILES, files, |row, file| {
        row.bind(file.mac.hex())
            .bind(file.name.clone())
            .bind(file.revision.clone())
            .bind(file.content.clone())
            .bind(file.made_at)
    })
    .await
}

/// The file as it was last rendered, and when.
pub(super) async fn kept(
    tx: &mut Tx,
    vault: &Vault,
    (tenant, mac): (TenantId, Mac),
    name: &str,
) -> Result<Option<(File, Timestamp)>> {
    let row: Option<(String, Vec<u8>, Timestamp)> = tx
        .query(sql!(
            "SELECT revision, content, made_at FROM boot_file WHERE mac = $1 AND name = $2"
        ))
        .bind(mac.hex())
        .bind(name.to_owned())
        .optional()
        .await?;
    let Some((revision, content, at)) = row else { return Ok(None) };
    let Ok(plain) = vault.unseal(&place(tenant, mac, name), &content) else { return Ok(None) };
    let mut parts = plain.splitn(3, |byte| *byte == 0);
    let (Some(kind), Some(flags), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let content_type = String::from_utf8_lossy(kind).into_owned();
    let part = match (flags.contains(&b'o'), flags.contains(&b'c')) {
        (true, _) => Part::Own,
        (false, true) => Part::Common,
        (false, false) => Part::First,
    };
    let (bytes, secret) = (bytes.to_vec().into(), flags.contains(&b's'));
    let file = File { content_type, bytes, revision, secret, part };
    Ok(Some((file, at)))
}

/// Notes a phone nobody has added, unless somebody has by now or there are very many.
pub(super) async fn met(tx: &mut Tx, stranger: &Stranger) -> Result<()> {
    let again = tx
        .query(sql!(
            "UPDATE phone_waiting SET vendor = $3, model = $4, firmware = $5, user_agent = $6, address = $7,
                 subnet_id = (SELECT id FROM subnet WHERE id = $8), path = $9, last_at = $10, times = times + $11
             WHERE tenant_id = $1 AND mac = $2"
        ))
        .bind(stranger.tenant.to_string())
        .bind(stranger.mac.hex())
        .bind(stranger.vendor.clone())
        .bind(stranger.model.clone())
        .bind(stranger.firmware.clone())
        .bind(stranger.user_agent.clone())
        .bind(stranger.address.key())
        .bind(stranger.subnet.to_string())
        .bind(stranger.path.clone())
        .bind(stranger.at)
        .bind(stranger.times)
        .run()
        .await?;
    if again > 0 {
        return Ok(());
    }
    tx.query(sql!(
        "INSERT INTO phone_waiting (tenant_id, mac, vendor, model, firmware, user_agent, address, subnet_id,
             path, first_at, last_at, times)
         SELECT t.id, $2, $3, $4, $5, $6, $7, (SELECT id FROM subnet WHERE id = $8), $9, $10, $10, $11
         FROM tenant t WHERE t.id = $1 AND NOT EXISTS (SELECT 1 FROM phone WHERE mac = $2)
           AND (SELECT count(*) FROM phone_waiting w WHERE w.tenant_id = $1) < $12
         ON CONFLICT (tenant_id, mac) DO NOTHING"
    ))
    .bind(stranger.tenant.to_string())
    .bind(stranger.mac.hex())
    .bind(stranger.vendor.clone())
    .bind(stranger.model.clone())
    .bind(stranger.firmware.clone())
    .bind(stranger.user_agent.clone())
    .bind(stranger.address.key())
    .bind(stranger.subnet.to_string())
    .bind(stranger.path.clone())
    .bind(stranger.at)
    .bind(stranger.times)
    .bind(MOST_STRANGERS)
    .run()
    .await
    .map(drop)
}

/// Forgets requests before `requests`, and strangers who did not ask since `strangers`.
pub(super) async fn forget(tx: &mut Tx, requests: Timestamp, strangers: Timestamp) -> Result<u64> {
    let gone =
        tx.query(sql!("DELETE FROM boot_request WHERE at < $1")).bind(requests).run().await?;
    tx.query(sql!("DELETE FROM phone_waiting WHERE last_at < $1")).bind(strangers).run().await?;
    Ok(gone)
}
