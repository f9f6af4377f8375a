//! All SQL on operators, sessions, tokens, links and failed sign-ins.

use super::types::{Account, OperatorName, Role, Token};
use crate::audit::Change;
use crate::db::{Db, Result, Tx};
use crate::id::{OperatorId, TenantId, TokenId};
use crate::sql;
use crate::time::{Timestamp, Zone};

/// What is needed of whoever sends a request.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Identity {
    #[sqlx(try_from = "String")]
    pub id: OperatorId,
    #[sqlx(try_from = "String")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "String")]
    pub name: OperatorName,
    #[sqlx(try_from = "String")]
    pub role: Role,
    #[sqlx(try_from = "String")]
    pub time_zone: Zone,
    pub tenant: String,
    pub tenants: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct TokenIdentity {
    pub token_id: String,
    pub label: String,
    #[sqlx(try_from = "String")]
    pub token_role: Role,
    pub last_used_at: Option<Timestamp>,
    #[sqlx(flatten)]
    pub owner: Identity,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Credentials {
    #[sqlx(try_from = "String")]
    pub id: OperatorId,
    #[sqlx(try_from = "String")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "String")]
    pub name: OperatorName,
    pub password_hash: Option<String>,
    pub disabled: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct SessionRow {
    pub state: String,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Failure {
    pub failures: i64,
    pub last_at: Timestamp,
    pub blocked_until: Timestamp,
}

pub(super) async fn identity(db: &Db, id: &str) -> Result<Option<Identity>> {
    db.query(sql!(
        "SELECT o.id, o.tenant_id, o.name, o.role, t.time_zone, t.name AS tenant,
                (SELECT count(*) FROM tenant) AS tenants
             FROM operator o JOIN tenant t ON t.id = o.tenant_id
             WHERE o.id = $1 AND NOT o.disabled"
    ))
    .bind(id.to_owned())
    .optional()
    .await
}

pub(super) async fn token_identity(
    db: &Db,
    hash: &str,
    now: Timestamp,
) -> Result<Option<TokenIdentity>> {
    db.query(sql!("SELECT k.id AS token_id, k.label, k.role AS token_role, k.last_used_at,
                o.id, o.tenant_id, o.name, o.role, t.time_zone, t.name AS tenant,
                (SELECT count(*) FROM tenant) AS tenants
             FROM api_token k JOIN operator o ON o.id = k.operator_id JOIN tenant t ON t.id = o.tenant_id
             WHERE k.token_hash = $1 AND NOT o.disabled AND k.revoked_at IS NULL
               AND (k.expires_at IS NULL OR k.expires_at > $2)"))
        .bind(hash.to_owned())
        .bind(now)
        .optional()
        .await
}

pub(super) async fn credentials(db: &Db, name: &str) -> Result<Option<Credentials>> {
    db.query(sql!(
        "SELECT id, tenant_id, name, password_hash, disabled FROM operator WHERE name = $1"
    ))
    .bind(name.to_owned())
    .optional()
    .await
}

pub(super) async fn touch_operator(tx: &mut Tx, id: OperatorId, now: Timestamp) -> Result<()> {
    let seen = tx.query(sql!("UPDATE operator SET last_seen_at = $2 WHERE id = $1"));
    seen.bind(id.to_string()).bind(now).run().await.map(drop)
}

pub(super) async fn touch_token(tx: &mut Tx, id: &str, now: Timestamp) -> Result<()> {
    let used = tx.query(sql!("UPDATE api_token SET last_used_at = $2 WHERE id = $1"));
    used.bind(id.to_owned()).bind(now).run().await.map(drop)
}

// Sessions

pub(super) async fn session(db: &Db, id_hash: &str) -> Result<Option<SessionRow>> {
    db.query(sql!("SELECT state, created_at, last_seen_at FROM session WHERE id_hash = $1"))
        .bind(id_hash.to_owned())
        .optional()
        .await
}

pub(super) async fn insert_session(
    tx: &mut Tx,
    id_hash: &str,
    operator: Option<String>,
    state: &str,
    now: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO session (id_hash, operator_id, state, created_at, last_seen_at)
             VALUES ($1, $2, $3, $4, $4)"
    ))
    .bind(id_hash.to_owned())
    .bind(operator)
    .bind(state.to_owned())
    .bind(now)
    .run()
    .await
    .map(drop)
}

pub(super) async fn update_session(
    tx: &mut Tx,
    id_hash: &str,
    operator: Option<String>,
    state: &str,
) -> Result<u64> {
    tx.query(sql!("UPDATE session SET operator_id = $2, state = $3 WHERE id_hash = $1"))
        .bind(id_hash.to_owned())
        .bind(operator)
        .bind(state.to_owned())
        .run()
        .await
}

pub(super) async fn touch_session(tx: &mut Tx, id_hash: &str, now: Timestamp) -> Result<()> {
    let seen = tx.query(sql!("UPDATE session SET last_seen_at = $2 WHERE id_hash = $1"));
    seen.bind(id_hash.to_owned()).bind(now).run().await.map(drop)
}

pub(super) async fn delete_session(tx: &mut Tx, id_hash: &str) -> Result<()> {
    tx.query(sql!("DELETE FROM session WHERE id_hash = $1"))
        .bind(id_hash.to_owned())
        .run()
        .await
        .map(drop)
}

pub(super) async fn delete_sessions_of(tx: &mut Tx, id: OperatorId) -> Result<u64> {
    tx.query(sql!("DELETE FROM session WHERE operator_id = $1")).bind(id.to_string()).run().await
}

/// Removes sessions not seen since `idle` or older than `begun`.
pub(super) async fn delete_stale_sessions(
    tx: &mut Tx,
    idle: Timestamp,
    begun: Timestamp,
) -> Result<u64> {
    tx.query(sql!("DELETE FROM session WHERE last_seen_at < $1 OR created_at < $2"))
        .bind(idle)
        .bind(begun)
        .run()
        .await
}

// Failed sign-ins

/// The failures counted for `subject`; whoever asks next waits until this transaction ends.
pub(super) async fn lock_failure(tx: &mut Tx, subject: &str, now: Timestamp) -> Result<Failure> {
    tx.query(sql!("INSERT INTO sign_in_failure (subject, failures, last_at, blocked_until) VALUES ($1, 0, $2, 0)
             ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject
             RETURNING failures, last_at, blocked_until"))
        .bind(subject.to_owned())
        .bind(now)
        .one()
        .await
}

pub(super) async fn set_failure(
    tx: &mut Tx,
    subject: &str,
    failures: i64,
    at: Timestamp,
    blocked_until: Timestamp,
) -> Result<()> {
    tx.query(sql!("UPDATE sign_in_failure SET failures = $2, last_at = $3, blocked_until = $4 WHERE subject = $1"))
        .bind(subject.to_owned())
        .bind(failures)
        .bind(at)
        .bind(blocked_until)
        .run()
        .await
        .map(drop)
}

pub(super) async fn clear_failure(tx: &mut Tx, subject: &str) -> Result<()> {
    tx.query(sql!("DELETE FROM sign_in_failure WHERE subject = $1"))
        .bind(subject.to_owned())
        .run()
        .await
        .map(drop)
}

pub(super) async fn forgive_failure(tx: &mut Tx, subject: &str) -> Result<()> {
    tx.query(sql!(
        "UPDATE sign_in_failure SET failures = failures - 1, blocked_until = 0
             WHERE subject = $1 AND failures > 0"
    ))
    .bind(subject.to_owned())
    .run()
    .await
    .map(drop)
}

pub(super) async fn delete_old_failures(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.query(sql!("DELETE FROM sign_in_failure WHERE last_at < $1")).bind(before).run().await
}

// Links that work once

pub(super) async fn insert_link(
    tx: &mut Tx,
    hash: &str,
    operator: Option<OperatorId>,
    now: Timestamp,
    expires: Timestamp,
) -> Result<()> {
    tx.query(sql!(
        "INSERT INTO one_time_link (token_hash, operator_id, created_at, expires_at)
             VALUES ($1, $2, $3, $4)"
    ))
    .bind(hash.to_owned())
    .bind(operator.map(|id| id.to_string()))
    .bind(now)
    .bind(expires)
    .run()
    .await
    .map(drop)
}

/// Whose link it is (`Some(None)`: the first administrator's), while it works.
pub(super) async fn link(
    tx: &mut Tx,
    hash: &str,
    now: Timestamp,
) -> Result<Option<Option<String>>> {
    tx.query(sql!(
        "SELECT operator_id FROM one_time_link WHERE token_hash = $1 AND expires_at > $2"
    ))
    .bind(hash.to_owned())
    .bind(now)
    .optional_scalar()
    .await
}

/// Uses the link up; false when somebody was faster.
pub(super) async fn take_link(tx: &mut Tx, hash: &str) -> Result<bool> {
    Ok(tx
        .query(sql!("DELETE FROM one_time_link WHERE token_hash = $1"))
        .bind(hash.to_owned())
        .run()
        .await?
        == 1)
}

pub(super) async fn delete_links_of(tx: &mut Tx, id: OperatorId) -> Result<u64> {
    tx.query(sql!("DELETE FROM one_time_link WHERE operator_id = $1"))
        .bind(id.to_string())
        .run()
        .await
}

pub(super) async fn delete_setup_links(tx: &mut Tx) -> Result<u64> {
    tx.query(sql!("DELETE FROM one_time_link WHERE operator_id IS NULL")).run().await
}

pub(super) async fn delete_old_links(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.query(sql!("DELETE FROM one_time_link WHERE expires_at <= $1")).bind(now).run().await
}

// Operators

pub(super) async fn count(tx: &mut Tx) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM operator")).scalar().await
}

/// Administrators of a tenant who can sign in.
pub(super) async fn count_admins(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.query(sql!(
        "SELECT count(*) FROM operator
             WHERE tenant_id = $1 AND role = 'admin' AND NOT disabled AND password_hash IS NOT NULL"
    ))
    .bind(tenant.to_string())
    .scalar()
    .await
}

/// False when the name is taken.
pub(super) async fn insert(
    change: &mut Change,
    id: OperatorId,
    tenant: TenantId,
    name: &OperatorName,
    role: Role,
) -> Result<bool> {
    let now = change.at();
    let id = change
        .tx()
        .query(sql!(
            "INSERT INTO operator (id, tenant_id, name, role, disabled, created_at)
             VALUES ($1, $2, $3, $4, FALSE, $5) ON CONFLICT (name) DO NOTHING RETURNING id"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(name.to_string())
        .bind(role.as_str())
        .bind(now)
        .optional_scalar::<String>()
        .await?;
    Ok(id.is_some())
}

pub(super) async fn set_password(change: &mut Change, id: OperatorId, hash: &str) -> Result<()> {
    let set = change
        .tx()
        .query(sql!("UPDATE operator SET password_hash = $2, version = version + 1 WHERE id = $1"));
    set.bind(id.to_string()).bind(hash.to_owned()).run().await.map(drop)
}

pub(super) async fn set_role(change: &mut Change, id: OperatorId, role: Role) -> Result<()> {
    let set = change
        .tx()
        .query(sql!("UPDATE operator SET role = $2, version = version + 1 WHERE id = $1"));
    set.bind(id.to_string()).bind(role.as_str()).run().await.map(drop)
}

pub(super) async fn set_disabled(
    change: &mut Change,
    id: OperatorId,
    disabled: bool,
) -> Result<()> {
    let set = change
        .tx()
        .query(sql!("UPDATE operator SET disabled = $2, version = version + 1 WHERE id = $1"));
    set.bind(id.to_string()).bind(disabled).run().await.map(drop)
}

pub(super) async fn accounts(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Account>> {
    tx.query(sql!("SELECT id, tenant_id, name, role, disabled, password_hash IS NOT NULL AS has_password, version,
                created_at, last_seen_at
             FROM operator WHERE tenant_id = $1 ORDER BY name"))
        .bind(tenant.to_string())
        .all()
        .await
}

pub(super) async fn account(
    tx: &mut Tx,
    tenant: TenantId,
    id: OperatorId,
) -> Result<Option<Account>> {
    tx.query(sql!("SELECT id, tenant_id, name, role, disabled, password_hash IS NOT NULL AS has_password, version,
                created_at, last_seen_at
             FROM operator WHERE tenant_id = $1 AND id = $2"))
        .bind(tenant.to_string())
        .bind(id.to_string())
        .optional()
        .await
}

// Tokens

pub(super) async fn tokens(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Token>> {
    tx.query(sql!("SELECT k.id, o.name AS operator, k.label, k.role, k.created_at, k.expires_at, k.last_used_at,
                k.revoked_at
             FROM api_token k JOIN operator o ON o.id = k.operator_id
             WHERE o.tenant_id = $1 ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC, k.id"))
        .bind(tenant.to_string())
        .all()
        .await
}

pub(super) async fn insert_token(
    change: &mut Change,
    id: TokenId,
    owner: OperatorId,
    label: &str,
    role: Role,
    hash: &str,
    expires_at: Option<Timestamp>,
) -> Result<()> {
    let now = change.at();
    change
        .tx()
        .query(sql!("INSERT INTO api_token (id, operator_id, label, role, token_hash, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)"))
        .bind(id.to_string())
        .bind(owner.to_string())
        .bind(label.to_owned())
        .bind(role.as_str())
        .bind(hash.to_owned())
        .bind(now)
        .bind(expires_at)
        .run()
        .await
        .map(drop)
}

/// Revokes a token of the change's tenant; its label, when there was one to revoke.
pub(super) async fn revoke_token(change: &mut Change, id: TokenId) -> Result<Option<String>> {
    let (now, tenant) = (change.at(), change.tenant());
    change
        .tx()
        .query(sql!(
            "UPDATE api_token SET revoked_at = $3 WHERE id = $1 AND revoked_at IS NULL
               AND operator_id IN (SELECT id FROM operator WHERE tenant_id = $2) RETURNING label"
        ))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(now)
        .optional_scalar()
        .await
}
