//! All SQL on profiles.

use super::types::{Profile, Scope, Spec};
use crate::audit::Change;
use crate::db::{Bulk, Result, Tx};
use crate::id::{ProfileId, TenantId};
use crate::phones::queries::{damaged, model};
use crate::phones::settings::Layer;
use crate::sql;
use crate::time::Timestamp;

#[derive(sqlx::FromRow)]
struct ProfileRow {
    id: String,
    name: String,
    scope: String,
    scope_key: String,
    scope_name: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn scope(word: &str, key: &str, name: String) -> Result<Scope> {
    Ok(match word {
        "tenant" => Scope::Tenant,
        "site" => Scope::Site(name.try_into().map_err(damaged)?),
        "model" => {
            let (vendor, name) = key.split_once('/').unwrap_or((key, ""));
            Scope::Model(model(vendor, name)?)
        }
        _ => Scope::Chosen,
    })
}

impl ProfileRow {
    fn profile(self, settings: Layer) -> Result<Profile> {
        Ok(Profile {
            id: self.id.try_into().map_err(damaged)?,
            spec: Spec {
                name: self.name.parse().map_err(damaged)?,
                scope: scope(&self.scope, &self.scope_key, self.scope_name)?,
                settings,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

pub(super) async fn get(tx: &mut Tx, tenant: TenantId, id: ProfileId) -> Result<Option<Profile>> {
    let row: Option<ProfileRow> = tx
        .query(sql!(
            "SELECT id, name, scope, scope_key, scope_name, version, created_at, updated_at
             FROM profile WHERE tenant_id = $1 AND id = $2"
        ))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let settings: Vec<(String, String)> = tx
        .query(sql!("SELECT key, value FROM profile_setting WHERE profile_id = $1"))
        .bind(id.to_string())
        .all()
        .await?;
    row.profile(settings.into_iter().collect()).map(Some)
}

/// All profiles of a tenant: the tenant's own first, then by scope and name.
pub(super) async fn all(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Profile>> {
    let rows: Vec<ProfileRow> = tx
        .query(sql!(
            "SELECT id, name, scope, scope_key, scope_name, version, created_at, updated_at
             FROM profile WHERE tenant_id = $1
             ORDER BY CASE scope WHEN 'tenant' THEN 0 WHEN 'site' THEN 1 WHEN 'model' THEN 2 ELSE 3 END, name_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let said: Vec<(String, String, String)> = tx
        .query(sql!(
            "SELECT s.profile_id, s.key, s.value FROM profile_setting s
             JOIN profile p ON p.id = s.profile_id WHERE p.tenant_id = $1"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let mut layers: std::collections::HashMap<String, Layer> = std::collections::HashMap::new();
    for (profile, key, value) in said {
        layers.entry(profile).or_default().insert(key, value);
    }
    rows.into_iter()
        .map(|row| {
            let layer = layers.remove(&row.id).unwrap_or_default();
            row.profile(layer)
        })
        .collect()
}

/// How many phones chose a profile.
pub(super) async fn chosen_by(tx: &mut Tx, tenant: TenantId, id: ProfileId) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM phone WHERE tenant_id = $1 AND profile_id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .scalar()
        .await
}

/// Those that phones choose, by name: id and name.
pub(super) async fn choices(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(String, String)>> {
    tx.query(sql!(
        "SELECT id, name FROM profile WHERE tenant_id = $1 AND scope = 'chosen' ORDER BY name_key"
    ))
    .bind(tenant.to_string())
    .all()
    .await
}

/// How many phones each profile lays settings under.
pub(super) async fn uses(tx: &mut Tx, tenant: TenantId) -> Result<Vec<(String, i64)>> {
    tx.query(sql!(
        "SELECT f.id, count(*) FROM profile f JOIN phone p ON p.tenant_id = f.tenant_id
         JOIN phone_whereabouts w ON w.mac = p.mac
         WHERE f.tenant_id = $1
           AND ((f.scope = 'tenant') OR (f.scope = 'site' AND w.site_key = f.scope_key)
                OR (f.scope = 'model' AND p.vendor || '/' || p.model = f.scope_key)
                OR (f.scope = 'chosen' AND p.profile_id = f.id))
         GROUP BY f.id"
    ))
    .bind(tenant.to_string())
    .all()
    .await
}

/// The profile called so, or of the same scope, other than `own`.
pub(super) async fn rival(
    tx: &mut Tx,
    tenant: TenantId,
    own: Option<ProfileId>,
    spec: &Spec,
) -> Result<Option<(String, bool)>> {
    tx.query(sql!(
        "SELECT name, name_key = $3 FROM profile
         WHERE tenant_id = $1 AND id <> $2
           AND (name_key = $3 OR (scope <> 'chosen' AND scope = $4 AND scope_key = $5))
         ORDER BY CASE WHEN name_key = $3 THEN 0 ELSE 1 END LIMIT 1"
    ))
    .bind(tenant.to_string())
    .bind(own.map(|id| id.to_string()).unwrap_or_default())
    .bind(spec.name.key())
    .bind(spec.scope.as_str())
    .bind(spec.scope.key())
    .optional()
    .await
}

fn scope_name(scope: &Scope) -> String {
    match scope {
        Scope::Site(site) => site.to_string(),
        _ => String::new(),
    }
}

pub(super) async fn insert(change: &mut Change, id: ProfileId, spec: &Spec) -> Result<()> {
    let (tenant, now) = (change.tenant(), change.at());
    let query = change.tx().query(sql!(
        "INSERT INTO profile (id, tenant_id, name, name_key, scope, scope_key, scope_name, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)"
    ));
    query
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.scope.as_str())
        .bind(spec.scope.key())
        .bind(scope_name(&spec.scope))
        .bind(now)
        .run()
        .await?;
    set_settings(change, id, &spec.settings).await
}

pub(super) async fn update(change: &mut Change, id: ProfileId, spec: &Spec) -> Result<()> {
    let (tenant, now) = (change.tenant(), change.at());
    let query = change.tx().query(sql!(
        "UPDATE profile SET name = $3, name_key = $4, scope = $5, scope_key = $6, scope_name = $7, updated_at = $8,
             version = version + 1
         WHERE tenant_id = $1 AND id = $2"
    ));
    query
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(spec.name.to_string())
        .bind(spec.name.key())
        .bind(spec.scope.as_str())
        .bind(spec.scope.key())
        .bind(scope_name(&spec.scope))
        .bind(now)
        .run()
        .await?;
    set_settings(change, id, &spec.settings).await
}

static SETTINGS: Bulk = Bulk {
    head: "INSERT INTO profile_setting (profile_id, key, value) VALUES",
    columns: 3,
    most: 32,
    tail: "",
};

async fn set_settings(change: &mut Change, id: ProfileId, layer: &Layer) -> Result<()> {
    let gone = change.tx().query(sql!("DELETE FROM profile_setting WHERE profile_id = $1"));
    gone.bind(id.to_string()).run().await?;
    let rows: Vec<(ProfileId, &String, &String)> =
        layer.iter().map(|(key, value)| (id, key, value)).collect();
    let tx = change.tx();
    tx.insert_many(&SETTINGS, &rows, |query, (id, key, value)| {
        query.bind(id.to_string()).bind((*key).clone()).bind((*value).clone())
    })
    .await
}

pub(super) async fn delete(change: &mut Change, id: ProfileId) -> Result<()> {
    let tenant = change.tenant();
    let gone = change.tx().query(sql!("DELETE FROM profile WHERE tenant_id = $1 AND id = $2"));
    gone.bind(tenant.to_string()).bind(id.to_string()).run().await.map(drop)
}

/// One setting of one of the profiles that lie under a phone.
#[derive(sqlx::FromRow)]
pub(super) struct LaidRow {
    pub scope: String,
    pub name: String,
    pub key: String,
    pub value: String,
}

pub(super) async fn under(
    tx: &mut Tx,
    tenant: TenantId,
    site: String,
    model: String,
    chosen: Option<ProfileId>,
) -> Result<Vec<LaidRow>> {
    tx.query(sql!(
        "SELECT p.scope, p.name, s.key, s.value FROM profile p JOIN profile_setting s ON s.profile_id = p.id
         WHERE p.tenant_id = $1
           AND (p.scope = 'tenant' OR (p.scope = 'site' AND p.scope_key = $2 AND $2 <> '')
                OR (p.scope = 'model' AND p.scope_key = $3) OR p.id = $4)"
    ))
    .bind(tenant.to_string())
    .bind(site)
    .bind(model)
    .bind(chosen.map(|id| id.to_string()).unwrap_or_default())
    .all()
    .await
}

/// What a profile says of what Asterisk is told.
#[derive(sqlx::FromRow)]
pub(super) struct TellingRow {
    pub id: String,
    pub tenant_id: String,
    pub scope: String,
    pub scope_key: String,
    pub key: String,
    pub value: String,
}

pub(super) async fn telling(tx: &mut Tx, tenant: Option<TenantId>) -> Result<Vec<TellingRow>> {
    tx.query(sql!(
        "SELECT p.id, p.tenant_id, p.scope, p.scope_key, s.key, s.value
         FROM profile_setting s JOIN profile p ON p.id = s.profile_id
         WHERE s.key IN ('sip.digest', 'sip.srtp') AND ($1 = '' OR p.tenant_id = $1)"
    ))
    .bind(tenant.map(|id| id.to_string()).unwrap_or_default())
    .all()
    .await
}
