//! What Asterisk must be told of phones: few settings of a phone change what it does with the
//! phone's numbers, and few phones have them.

use std::collections::BTreeMap;

use super::profiles;
use super::queries::{damaged, model};
use super::settings::{Layer, Origin, Resolved};
use crate::db::{Result, Tx};
use crate::id::{TenantId, UserId};
use crate::net::Mac;
use crate::sql;

/// What differs from what is usual for a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// It is challenged with MD5 alone.
    pub md5_only: bool,
    /// Its speech is encrypted, with keys in SDP.
    pub srtp: bool,
}

impl Told {
    fn of(resolved: &Resolved) -> Self {
        Self { md5_only: resolved.get("sip.digest") == "md5", srtp: resolved.is_on("sip.srtp") }
    }
}

/// Those who are told of, by whose number it is. Whoever is not in it is as usual.
pub type ToldOf = BTreeMap<UserId, Told>;

/// Of all tenants.
pub async fn all(tx: &mut Tx) -> Result<ToldOf> {
    some(tx, Whose::All).await
}

/// Of one tenant.
pub async fn of_tenant(tx: &mut Tx, tenant: TenantId) -> Result<ToldOf> {
    some(tx, Whose::Tenant(tenant)).await
}

/// Of one phone.
pub async fn of_phone(tx: &mut Tx, tenant: TenantId, mac: Mac) -> Result<ToldOf> {
    some(tx, Whose::Phone(tenant, mac)).await
}

/// Whose phones are looked at.
#[derive(Clone, Copy)]
enum Whose {
    All,
    Tenant(TenantId),
    Phone(TenantId, Mac),
}

impl Whose {
    fn tenant(self) -> Option<TenantId> {
        match self {
            Self::All => None,
            Self::Tenant(tenant) | Self::Phone(tenant, _) => Some(tenant),
        }
    }
}

async fn some(tx: &mut Tx, whose: Whose) -> Result<ToldOf> {
    let layers = profiles::telling(tx, whose.tenant()).await?;
    let own = own_settings(tx, whose).await?;
    // Usually nobody says anything, and the phones need not be looked at.
    if layers.is_empty() && own.is_empty() {
        return Ok(ToldOf::new());
    }
    let mut told = ToldOf::new();
    for line in served(tx, whose).await? {
        let mut laid: Vec<(Origin, &Layer)> = Vec::new();
        laid.extend(layers.of(&line).map(|layer| (Origin::Usual, layer)));
        laid.extend(own.get(&line.mac).map(|layer| (Origin::Phone, layer)));
        let resolved = Resolved::of(&laid).fit(model(&line.vendor, &line.model)?);
        let said = Told::of(&resolved);
        if said != Told::default() {
            told.insert(line.user_id.parse().map_err(damaged)?, said);
        }
    }
    Ok(told)
}

/// What phones say themselves.
async fn own_settings(tx: &mut Tx, whose: Whose) -> Result<BTreeMap<String, Layer>> {
    // A phone has a text of its own, which finds it in an index: a change of many asks of each.
    let asked = match whose {
        Whose::Phone(tenant, mac) => tx
            .query(sql!(
                "SELECT s.mac, s.key, s.value FROM phone_setting s JOIN phone p ON p.mac = s.mac
                 WHERE s.key IN ('sip.digest', 'sip.srtp') AND p.tenant_id = $1 AND s.mac = $2"
            ))
            .bind(tenant.to_string())
            .bind(mac.hex()),
        Whose::All | Whose::Tenant(_) => tx
            .query(sql!(
                "SELECT s.mac, s.key, s.value FROM phone_setting s JOIN phone p ON p.mac = s.mac
                 WHERE s.key IN ('sip.digest', 'sip.srtp') AND ($1 = '' OR p.tenant_id = $1)"
            ))
            .bind(whose.tenant().map(|id| id.to_string()).unwrap_or_default()),
    };
    let rows: Vec<(String, String, String)> = asked.all().await?;
    let mut own: BTreeMap<String, Layer> = BTreeMap::new();
    for (mac, key, value) in rows {
        own.entry(mac).or_default().insert(key, value);
    }
    Ok(own)
}

/// A number that Asterisk serves, and what decides of its phone's settings.
#[derive(sqlx::FromRow)]
pub(super) struct Served {
    pub mac: String,
    pub tenant_id: String,
    pub vendor: String,
    pub model: String,
    pub site_key: String,
    pub profile_id: Option<String>,
    pub user_id: String,
}

async fn served(tx: &mut Tx, whose: Whose) -> Result<Vec<Served>> {
    let asked = match whose {
        Whose::Phone(tenant, mac) => tx
            .query(sql!(
                "SELECT p.mac, p.tenant_id, p.vendor, p.model, w.site_key, p.profile_id, l.user_id
                 FROM phone p JOIN phone_whereabouts w ON w.mac = p.mac
                 JOIN phone_line l ON l.mac = p.mac JOIN extension e ON e.user_id = l.user_id
                 WHERE e.enabled AND p.tenant_id = $1 AND p.mac = $2"
            ))
            .bind(tenant.to_string())
            .bind(mac.hex()),
        Whose::All | Whose::Tenant(_) => tx
            .query(sql!(
                "SELECT p.mac, p.tenant_id, p.vendor, p.model, w.site_key, p.profile_id, l.user_id
                 FROM phone p JOIN phone_whereabouts w ON w.mac = p.mac
                 JOIN phone_line l ON l.mac = p.mac JOIN extension e ON e.user_id = l.user_id
                 WHERE e.enabled AND ($1 = '' OR p.tenant_id = $1)"
            ))
            .bind(whose.tenant().map(|id| id.to_string()).unwrap_or_default()),
    };
    asked.all().await
}
