//! Who may operate Patchbay: signing in, operators, their tokens and what each may do.
//!
//! Sessions live in the database under the hash of their id. A session ends by signing out, after
//! 30 minutes without a request, 12 hours after sign-in, and whenever its operator is disabled,
//! changes role or changes password.

pub mod access;
mod manage;
mod operator;
mod password;
mod queries;
pub mod session;
mod throttle;
mod types;
pub mod web;

use serde_json::json;

use crate::audit::{Actor, Change, Event, Via};
use crate::db::Tx;
use crate::id::{OperatorId, TenantId, TokenId};
use crate::secrets::{self, Vault};
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

pub use operator::Operator;
pub use types::{Account, BadPassword, NewPassword, OperatorName, Right, Role, Token, TokenLabel};

/// How long the first administrator's link works.
const SETUP_SECONDS: i64 = 30 * 60;
/// How long a link to choose a password works.
const INVITATION_SECONDS: i64 = 24 * 60 * 60;

/// Why a sign-in, or a password asked for once more, is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such operator, a wrong password, or an account that is disabled: not told apart.
    #[error("name or password is not right")]
    Wrong,
    /// Too many tries; seconds to wait.
    #[error("too many tries; wait {0} seconds and try again")]
    Slow(i64),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for SignInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Checks name and password and notes the sign-in, or that it failed.
pub async fn sign_in(
    state: &State,
    name: &str,
    password: String,
    actor: &Actor,
) -> Result<OperatorId, SignInError> {
    let (account, right) = check(state, name, password, &actor.source).await?;
    // What was typed as a name is not noted if nobody has it: it is often a password in the wrong box.
    let known = account.as_ref().map_or("(unknown)", |account| account.name.as_str()).to_owned();
    let tenant = account.as_ref().map_or(TenantId::DEFAULT, |account| account.tenant_id);
    let id = account.as_ref().map_or_else(String::new, |account| account.id.to_string());
    let (action, who) = if right {
        ("operator.signed_in", known.clone())
    } else {
        ("operator.sign_in_failed", "(unknown)".to_owned())
    };
    let mut change = state.change(&Actor { name: who, tenant, ..actor.clone() }).await?;
    if let (Some(account), true) = (&account, right) {
        let now = change.at();
        queries::touch_operator(change.tx(), account.id, now).await?;
    }
    change.record(Event::new(action, &known, &id));
    change.commit().await?;
    account.filter(|_| right).map(|account| account.id).ok_or(SignInError::Wrong)
}

/// Checks that whoever is signed in as `name` still knows the password.
pub async fn confirm(
    state: &State,
    name: &str,
    password: String,
    source: &str,
) -> Result<(), SignInError> {
    let (_, right) = check(state, name, password, source).await?;
    if right { Ok(()) } else { Err(SignInError::Wrong) }
}

/// Whose name that is, if anybody's, and whether they may sign in with this password.
async fn check(
    state: &State,
    name: &str,
    password: String,
    source: &str,
) -> Result<(Option<queries::Credentials>, bool), SignInError> {
    // PostgreSQL knows no NUL in a text; nobody has one in their name.
    let account = name.trim().to_lowercase().replace('\0', "\u{fffd}");
    if let Err(seconds) = throttle::attempt(&state.db, &account, source, state.clock.now()).await? {
        return Err(SignInError::Slow(seconds));
    }
    let found = queries::credentials(&state.db, &account).await?;
    let stored = found.as_ref().and_then(|credentials| credentials.password_hash.clone());
    let right = password::verify(password, stored).await?;
    let right = right && found.as_ref().is_some_and(|credentials| !credentials.disabled);
    if right {
        throttle::succeeded(&state.db, &account, source).await?;
    }
    Ok((found, right))
}

/// The token of a new one-time link for the first administrator, if there is no operator yet.
/// Links printed before stop working.
pub async fn setup_link(state: &State) -> Result<Option<String>, Error> {
    let mut tx = state.db.write().await?;
    if queries::count(&mut tx).await? > 0 {
        return Ok(None);
    }
    queries::delete_setup_links(&mut tx).await?;
    let token = insert_link(&mut tx, &state.vault, None, state.clock.now(), SETUP_SECONDS).await?;
    tx.commit().await?;
    Ok(Some(token))
}

async fn insert_link(
    tx: &mut Tx,
    vault: &Vault,
    operator: Option<OperatorId>,
    now: Timestamp,
    seconds: i64,
) -> Result<String, Error> {
    let token = vault.entropy().text(43)?;
    let hash = secrets::fingerprint(token.as_bytes());
    queries::insert_link(tx, &hash, operator, now, now.plus(seconds)).await?;
    Ok(token)
}

/// Why an operator cannot be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Somebody has the name already.
    #[error("{0} is taken")]
    NameTaken(OperatorName),
    /// There is no such operator in this tenant.
    #[error("there is no such operator")]
    Missing,
    /// The tenant would be left without an administrator.
    #[error("this is the last administrator who can sign in; make another one first")]
    LastAdmin,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Creates an operator without a password in `tenant`.
pub async fn create(
    change: &mut Change,
    vault: &Vault,
    tenant: TenantId,
    name: &OperatorName,
    role: Role,
) -> Result<OperatorId, OperatorError> {
    let id = OperatorId::from(vault.entropy().id(change.at()).map_err(Error::from)?);
    if !queries::insert(change, id, tenant, name, role).await? {
        return Err(OperatorError::NameTaken(name.clone()));
    }
    change
        .record(Event::new("operator.created", name, &id).after(json!({ "role": role.as_str() })));
    Ok(id)
}

/// Makes a link, working once and for a day, with which the operator chooses a password.
pub async fn invite(
    change: &mut Change,
    vault: &Vault,
    id: OperatorId,
) -> Result<String, OperatorError> {
    let now = change.at();
    queries::delete_links_of(change.tx(), id).await?;
    Ok(insert_link(change.tx(), vault, Some(id), now, INVITATION_SECONDS).await?)
}

/// Sets a password; every session of the operator ends.
pub async fn set_password(
    change: &mut Change,
    vault: &Vault,
    id: OperatorId,
    name: &OperatorName,
    password: NewPassword,
) -> Result<(), Error> {
    let hash = password::hash(password, vault.entropy()).await?;
    queries::set_password(change, id, &hash).await?;
    end_sessions(change, id).await?;
    change.record(Event::new("operator.password_set", name, &id));
    Ok(())
}

/// Changes role and whether the operator may sign in; every session of theirs ends.
pub async fn modify(
    change: &mut Change,
    id: OperatorId,
    role: Role,
    disabled: bool,
) -> Result<(), OperatorError> {
    let tenant = change.tenant();
    // Two administrators demoting each other must see one another's change.
    change.tx().turn(&tenant.to_string()).await?;
    let Some(account) = queries::account(change.tx(), tenant, id).await? else {
        return Err(OperatorError::Missing);
    };
    if account.role == role && account.disabled == disabled {
        return Ok(());
    }
    queries::set_role(change, id, role).await?;
    queries::set_disabled(change, id, disabled).await?;
    if queries::count_admins(change.tx(), tenant).await? == 0 {
        return Err(OperatorError::LastAdmin);
    }
    end_sessions(change, id).await?;
    change.record(
        Event::new("operator.changed", &account.name, &id)
            .before(json!({ "role": account.role.as_str(), "disabled": account.disabled }))
            .after(json!({ "role": role.as_str(), "disabled": disabled })),
    );
    Ok(())
}

async fn end_sessions(change: &mut Change, id: OperatorId) -> Result<(), sqlx::Error> {
    queries::delete_sessions_of(change.tx(), id).await?;
    queries::delete_links_of(change.tx(), id).await.map(drop)
}

/// The operators of a tenant.
pub async fn accounts(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Account>, sqlx::Error> {
    queries::accounts(tx, tenant).await
}

/// The tokens of a tenant, those that work first.
pub async fn tokens(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Token>, sqlx::Error> {
    queries::tokens(tx, tenant).await
}

/// Makes an API token for `owner`; the token itself is returned and stored nowhere.
pub async fn issue_token(
    change: &mut Change,
    vault: &Vault,
    owner: &OperatorName,
    label: &TokenLabel,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<String, OperatorError> {
    let tenant = change.tenant();
    let accounts = queries::accounts(change.tx(), tenant).await?;
    let account = accounts
        .into_iter()
        .find(|account| account.name == *owner)
        .ok_or(OperatorError::Missing)?;
    let token = format!("pb_{}", vault.entropy().text(43).map_err(Error::from)?);
    let id = TokenId::from(vault.entropy().id(change.at()).map_err(Error::from)?);
    let hash = secrets::fingerprint(token.as_bytes());
    queries::insert_token(change, id, account.id, &label.to_string(), role, &hash, expires_at)
        .await?;
    let expires = expires_at.map(|at| at.to_string());
    change.record(
        Event::new("token.issued", &format!("{label} ({owner})"), &id)
            .after(json!({ "role": role.as_str(), "expires": expires })),
    );
    Ok(token)
}

/// Ends a token; false when there was none to end.
pub async fn revoke_token(change: &mut Change, id: TokenId) -> Result<bool, sqlx::Error> {
    let label = queries::revoke_token(change, id).await?;
    if let Some(label) = &label {
        change.record(Event::new("token.revoked", label, &id));
    }
    Ok(label.is_some())
}

/// The id and tenant of the operator called `name`, for the command line.
pub async fn find(
    state: &State,
    name: &OperatorName,
) -> Result<Option<(OperatorId, TenantId)>, sqlx::Error> {
    let found = queries::credentials(&state.db, name.as_str()).await?;
    Ok(found.map(|credentials| (credentials.id, credentials.tenant_id)))
}

/// Removes what no longer counts: old sessions, links and failed sign-ins. Run now and then.
pub async fn tidy(state: &State) -> Result<(), sqlx::Error> {
    let now = state.clock.now();
    let mut tx = state.db.write().await?;
    queries::delete_stale_sessions(
        &mut tx,
        now.plus(-session::IDLE_SECONDS),
        now.plus(-session::LONGEST_SECONDS),
    )
    .await?;
    queries::delete_old_links(&mut tx, now).await?;
    queries::delete_old_failures(&mut tx, now.plus(-24 * 60 * 60)).await?;
    tx.commit().await
}

/// The actor of a command typed on the machine itself.
pub fn local_actor() -> Actor {
    let login = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let login: String = login.chars().filter(plain).take(40).collect();
    let name = if login.is_empty() { "root".to_owned() } else { login };
    Actor::local(&name, Via::CommandLine)
}
