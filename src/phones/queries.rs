//! All SQL on phones but for lists of them, profiles and what Asterisk is told.

use super::settings::Layer;
use super::types::{NewLine, Phone, PhoneKey, PhoneLine, Seen, Spec, Whereabouts};
use crate::audit::Change;
use crate::db::{Bulk, Query, Result, Tx};
use crate::id::{ProfileId, TenantId, UserId};
use crate::ipam::space::Space;
use crate::models::{Model, Vendor};
use crate::net::{Address, Mac};
use crate::sql;
use crate::time::Timestamp;

/// A row that is not what Patchbay wrote.
pub(super) fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

pub(super) fn model(vendor: &str, name: &str) -> Result<&'static Model> {
    let vendor: Vendor = vendor.parse().map_err(damaged)?;
    Model::find(vendor, name).map_err(damaged)
}

#[derive(sqlx::FromRow)]
struct PhoneRow {
    mac: String,
    vendor: String,
    model: String,
    label: String,
    site: String,
    stands: String,
    stands_by: Option<String>,
    subnet_id: Option<String>,
    notes: String,
    profile_id: Option<String>,
    enrol_until: Option<Timestamp>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    fetched_at: Option<Timestamp>,
    fetched_from: Option<Vec<u8>>,
    fetched_file: Option<String>,
    fetched_revision: Option<String>,
    common_revision: Option<String>,
    user_agent: Option<String>,
    seen_model: Option<String>,
    firmware: Option<String>,
    address: Option<Vec<u8>>,
}

impl TryFrom<PhoneRow> for Phone {
    type Error = sqlx::Error;

    fn try_from(row: PhoneRow) -> Result<Self> {
        let address = |bytes: Option<Vec<u8>>| bytes.map(Address::try_from).transpose();
        let seen = Seen {
            at: row.fetched_at,
            from: address(row.fetched_from).map_err(damaged)?,
            file: row.fetched_file.unwrap_or_default(),
            revision: row.fetched_revision.unwrap_or_default(),
            common: row.common_revision.unwrap_or_default(),
            user_agent: row.user_agent.unwrap_or_default(),
            model: row.seen_model.unwrap_or_default(),
            firmware: row.firmware.unwrap_or_default(),
        };
        Ok(Self {
            mac: row.mac.parse().map_err(damaged)?,
            model: model(&row.vendor, &row.model)?,
            label: row.label.try_into().map_err(damaged)?,
            site: row.site.try_into().map_err(damaged)?,
            whereabouts: Whereabouts {
                site: row.stands.try_into().map_err(damaged)?,
                subnet: row.stands_by.map(TryInto::try_into).transpose().map_err(damaged)?,
            },
            subnet: row.subnet_id.map(TryInto::try_into).transpose().map_err(damaged)?,
            notes: row.notes.try_into().map_err(damaged)?,
            profile: row.profile_id.map(TryInto::try_into).transpose().map_err(damaged)?,
            lines: Vec::new(),
            keys: Vec::new(),
            settings: Layer::new(),
            address: address(row.address).map_err(damaged)?,
            enrol_until: row.enrol_until,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            seen,
        })
    }
}

/// A phone with everything that belongs to it.
pub(super) async fn get(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<Option<Phone>> {
    let row: Option<PhoneRow> = tx
        .query(sql!(
            "SELECT p.mac, p.vendor, p.model, p.label, p.site, w.site AS stands, w.subnet_id AS stands_by,
                 p.subnet_id, p.notes, p.profile_id, p.enrol_until,
                 p.version, p.created_at, p.updated_at, s.fetched_at, s.fetched_from, s.fetched_file,
                 s.fetched_revision, s.common_revision, s.user_agent, s.model AS seen_model, s.firmware,
                 (SELECT a.address FROM address a
                  WHERE a.tenant_id = p.tenant_id AND a.holder_id = p.mac
                    AND a.holder_kind = 'phone' ORDER BY a.address LIMIT 1) AS address
             FROM phone p JOIN phone_whereabouts w ON w.mac = p.mac LEFT JOIN phone_seen s ON s.mac = p.mac
             WHERE p.tenant_id = $1 AND p.mac = $2"
        ))
        .bind(tenant.to_string())
        .bind(mac.hex())
        .optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut phone = Phone::try_from(row)?;
    phone.lines = lines(tx, mac).await?;
    phone.keys = keys(tx, mac).await?;
    phone.settings = settings(tx, mac).await?;
    Ok(Some(phone))
}

#[derive(sqlx::FromRow)]
struct LineRow {
    line: i64,
    user_id: String,
    number: i64,
    name: String,
    label: String,
}

async fn lines(tx: &mut Tx, mac: Mac) -> Result<Vec<PhoneLine>> {
    let rows: Vec<LineRow> = tx
        .query(sql!(
            "SELECT l.line, l.user_id, e.number, u.name, l.label
             FROM phone_line l JOIN users u ON u.id = l.user_id JOIN extension e ON e.user_id = l.user_id
             WHERE l.mac = $1 ORDER BY l.line"
        ))
        .bind(mac.hex())
        .all()
        .await?;
    let line = |row: LineRow| {
        Ok(PhoneLine {
            line: row.line.try_into().map_err(damaged)?,
            user: row.user_id.try_into().map_err(damaged)?,
            number: row.number.try_into().map_err(damaged)?,
            name: row.name,
            label: row.label.try_into().map_err(damaged)?,
        })
    };
    rows.into_iter().map(line).collect()
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    position: i64,
    kind: String,
    line: i64,
    value: String,
    label: String,
}

async fn keys(tx: &mut Tx, mac: Mac) -> Result<Vec<PhoneKey>> {
    let rows: Vec<KeyRow> = tx
        .query(sql!(
            "SELECT position, kind, line, value, label FROM phone_key WHERE mac = $1 ORDER BY position"
        ))
        .bind(mac.hex())
        .all()
        .await?;
    let key = |row: KeyRow| {
        let value =
            if row.value.is_empty() { None } else { Some(row.value.parse().map_err(damaged)?) };
        Ok(PhoneKey {
            position: row.position.try_into().map_err(damaged)?,
            kind: row.kind.parse().map_err(damaged)?,
            line: row.line.try_into().map_err(damaged)?,
            value,
            label: row.label.try_into().map_err(damaged)?,
        })
    };
    rows.into_iter().map(key).collect()
}

async fn settings(tx: &mut Tx, mac: Mac) -> Result<Layer> {
    let rows: Vec<(String, String)> = tx
        .query(sql!("SELECT key, value FROM phone_setting WHERE mac = $1"))
        .bind(mac.hex())
        .all()
        .await?;
    Ok(rows.into_iter().collect())
}

/// Whose phone it is, if there is one with the MAC.
pub(super) async fn owner(tx: &mut Tx, mac: Mac) -> Result<Option<TenantId>> {
    let tenant: Option<String> = tx
        .query(sql!("SELECT tenant_id FROM phone WHERE mac = $1"))
        .bind(mac.hex())
        .optional_scalar()
        .await?;
    tenant.map(|tenant| tenant.try_into().map_err(damaged)).transpose()
}

/// The phone that has the line of a user, which one, and what that phone is called by its label.
pub(super) async fn phone_of(tx: &mut Tx, tenant: TenantId, user: UserId) -> Result<Option<Mac>> {
    let mac: Option<String> = tx
        .query(sql!("SELECT mac FROM phone_line WHERE tenant_id = $1 AND user_id = $2"))
        .bind(tenant.to_string())
        .bind(user.to_string())
        .optional_scalar()
        .await?;
    mac.map(|mac| mac.parse().map_err(damaged)).transpose()
}

/// What a phone signs in with, sealed.
pub(super) struct Sealed {
    pub token: Vec<u8>,
    /// By which the token is found.
    pub token_hash: String,
    pub http_password: Vec<u8>,
    pub web_password: Vec<u8>,
}

/// False when there is a phone with the MAC.
pub(super) async fn insert(
    space: &mut Space<'_>,
    mac: Mac,
    spec: &Spec,
    sealed: Sealed,
) -> Result<bool> {
    let (tenant, now) = (space.tenant(), space.at());
    let query = space.tx().query(sql!(
        "INSERT INTO phone (mac, tenant_id, vendor, model, kind, label, site, site_key, subnet_id, notes, profile_id,
             search, token, token_hash, http_password, web_password, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14, $15, $16, $17, $13, $13)
         ON CONFLICT (mac) DO NOTHING RETURNING mac"
    ));
    let made = bind(query, tenant, mac, spec, now)
        .bind(sealed.token)
        .bind(sealed.token_hash)
        .bind(sealed.http_password)
        .bind(sealed.web_password)
        .optional_scalar::<String>()
        .await?;
    Ok(made.is_some())
}

fn bind<'q>(
    query: Query<'q>,
    tenant: TenantId,
    mac: Mac,
    spec: &Spec,
    now: Timestamp,
) -> Query<'q> {
    query
        .bind(mac.hex())
        .bind(tenant.to_string())
        .bind(spec.model.vendor.as_str())
        .bind(spec.model.name)
        .bind(spec.model.kind.as_str())
        .bind(spec.label.to_string())
        .bind(spec.site.to_string())
        .bind(spec.site.key())
        .bind(spec.subnet.map(|id| id.to_string()))
        .bind(spec.notes.to_string())
        .bind(spec.profile.map(|id| id.to_string()))
        .bind(spec.search())
        .bind(now)
}

pub(super) async fn update(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let query = space.tx().query(sql!(
        "UPDATE phone SET vendor = $3, model = $4, kind = $5, label = $6, site = $7, site_key = $8, subnet_id = $9,
             notes = $10, profile_id = $11, search = $12, updated_at = $13, version = version + 1
         WHERE mac = $1 AND tenant_id = $2"
    ));
    bind(query, tenant, mac, spec, now).run().await.map(drop)
}

/// Counts a change that is not in the row itself.
pub(super) async fn touch(space: &mut Space<'_>, mac: Mac) -> Result<()> {
    let (tenant, now) = (space.tenant(), space.at());
    let query = space.tx().query(sql!(
        "UPDATE phone SET updated_at = $3, version = version + 1 WHERE mac = $1 AND tenant_id = $2"
    ));
    query.bind(mac.hex()).bind(tenant.to_string()).bind(now).run().await.map(drop)
}

/// Writes what a phone has but for its own row.
pub(super) async fn add_rest(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<()> {
    add_lines(space, mac, &spec.lines).await?;
    add_keys(space, mac, &spec.keys).await?;
    add_settings(space, mac, &spec.settings).await
}

/// The same, in place of what is there.
pub(super) async fn set_rest(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<()> {
    let tx = space.tx();
    tx.later(sql!("DELETE FROM phone_line WHERE mac = $1")).bind(mac.hex()).run().await?;
    tx.later(sql!("DELETE FROM phone_key WHERE mac = $1")).bind(mac.hex()).run().await?;
    tx.later(sql!("DELETE FROM phone_setting WHERE mac = $1")).bind(mac.hex()).run().await?;
    add_rest(space, mac, spec).await
}

static LINES: Bulk = Bulk {
    head: "INSERT INTO phone_line (mac, line, tenant_id, user_id, label) VALUES",
    columns: 5,
    most: 32,
    tail: "",
};

async fn add_lines(space: &mut Space<'_>, mac: Mac, lines: &[NewLine]) -> Result<()> {
    let tenant = space.tenant();
    let rows: Vec<(Mac, TenantId, &NewLine)> = lines.iter().map(|l| (mac, tenant, l)).collect();
    let tx = space.tx();
    tx.insert_many(&LINES, &rows, |query, (mac, tenant, line)| {
        query
            .bind(mac.hex())
            .bind(i64::from(line.line))
            .bind(tenant.to_string())
            .bind(line.user.to_string())
            .bind(line.label.to_string())
    })
    .await
}

static KEYS: Bulk = Bulk {
    head: "INSERT INTO phone_key (mac, position, kind, line, value, label) VALUES",
    columns: 6,
    most: 64,
    tail: "",
};

async fn add_keys(space: &mut Space<'_>, mac: Mac, keys: &[PhoneKey]) -> Result<()> {
    let rows: Vec<(Mac, &PhoneKey)> = keys.iter().map(|key| (mac, key)).collect();
    let tx = space.tx();
    tx.insert_many(&KEYS, &rows, |query, (mac, key)| {
        query
            .bind(mac.hex())
            .bind(i64::from(key.position))
            .bind(key.kind.as_str())
            .bind(i64::from(key.line))
            .bind(key.value.as_ref().map(ToString::to_string).unwrap_or_default())
            .bind(key.label.to_string())
    })
    .await
}

static SETTINGS: Bulk = Bulk {
    head: "INSERT INTO phone_setting (mac, key, value) VALUES",
    columns: 3,
    most: 32,
    tail: "",
};

async fn add_settings(space: &mut Space<'_>, mac: Mac, layer: &Layer) -> Result<()> {
    let rows: Vec<(Mac, &String, &String)> =
        layer.iter().map(|(key, value)| (mac, key, value)).collect();
    let tx = space.tx();
    tx.insert_many(&SETTINGS, &rows, |query, (mac, key, value)| {
        query.bind(mac.hex()).bind((*key).clone()).bind((*value).clone())
    })
    .await
}

pub(super) async fn delete(space: &mut Space<'_>, mac: Mac) -> Result<()> {
    let tenant = space.tenant();
    let gone = space.tx().query(sql!("DELETE FROM phone WHERE tenant_id = $1 AND mac = $2"));
    gone.bind(tenant.to_string()).bind(mac.hex()).run().await.map(drop)
}

/// Token, HTTP password and web password, sealed.
pub(super) async fn sealed(
    tx: &mut Tx,
    tenant: TenantId,
    mac: Mac,
) -> Result<Option<(Vec<u8>, Vec<u8>, Vec<u8>)>> {
    tx.query(sql!(
        "SELECT token, http_password, web_password FROM phone WHERE tenant_id = $1 AND mac = $2"
    ))
    .bind(tenant.to_string())
    .bind(mac.hex())
    .optional()
    .await
}

pub(super) async fn set_access(
    change: &mut Change,
    mac: Mac,
    token: Vec<u8>,
    token_hash: String,
    http_password: Vec<u8>,
) -> Result<()> {
    let (tenant, now) = (change.tenant(), change.at());
    let query = change.tx().query(sql!(
        "UPDATE phone SET token = $3, token_hash = $4, http_password = $5, updated_at = $6, version = version + 1
         WHERE tenant_id = $1 AND mac = $2"
    ));
    query
        .bind(tenant.to_string())
        .bind(mac.hex())
        .bind(token)
        .bind(token_hash)
        .bind(http_password)
        .bind(now)
        .run()
        .await
        .map(drop)
}

pub(super) async fn by_token_hash(tx: &mut Tx, hash: String) -> Result<Option<(TenantId, Mac)>> {
    let found: Option<(String, String)> = tx
        .query(sql!("SELECT tenant_id, mac FROM phone WHERE token_hash = $1"))
        .bind(hash)
        .optional()
        .await?;
    found
        .map(|(tenant, mac)| {
            Ok((tenant.try_into().map_err(damaged)?, mac.parse().map_err(damaged)?))
        })
        .transpose()
}

/// Whether the tenant has a profile that phones may choose.
pub(super) async fn may_choose(tx: &mut Tx, tenant: TenantId, id: ProfileId) -> Result<bool> {
    let found: i64 = tx
        .query(sql!(
            "SELECT count(*) FROM profile WHERE tenant_id = $1 AND id = $2 AND scope = 'chosen'"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .scalar()
        .await?;
    Ok(found > 0)
}
