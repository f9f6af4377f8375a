//! Sessions in the database, for `actix-session`.

use std::collections::HashMap;

use actix_session::SessionMiddleware;
use actix_session::config::CookieContentSecurity;
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};

use super::queries;
use crate::secrets;
use crate::state::State;

/// A session unused for so long is over.
pub const IDLE_SECONDS: i64 = 30 * 60;
/// A session begun so long ago is over.
pub const LONGEST_SECONDS: i64 = 12 * 60 * 60;
/// How exactly the last use is noted; a write for every page would be too dear.
const SEEN_SECONDS: i64 = 60;

/// Whose session it is, in the session's state.
pub(super) const OPERATOR: &str = "operator";
/// The token against cross-site requests, in the session's state.
pub(super) const CSRF: &str = "csrf";

type Values = HashMap<String, String>;

/// The cookie: host-only and for TLS alone when browsers come over TLS.
pub fn middleware(state: &State) -> SessionMiddleware<DatabaseSessions> {
    let secure = state.secure();
    let halves = [state.vault.key_for("cookie 1"), state.vault.key_for("cookie 2")].concat();
    SessionMiddleware::builder(DatabaseSessions { state: state.clone() }, Key::from(&halves))
        .cookie_name(if secure { "__Host-patchbay".to_owned() } else { "patchbay".to_owned() })
        .cookie_path("/".to_owned())
        .cookie_secure(secure)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_content_security(CookieContentSecurity::Signed)
        .build()
}

/// The session table.
#[derive(Clone)]
pub struct DatabaseSessions {
    state: State,
}

impl DatabaseSessions {
    async fn read(&self, key: &SessionKey) -> anyhow::Result<Option<Values>> {
        let hash = hash(key);
        let Some(row) = queries::session(&self.state.db, &hash).await? else { return Ok(None) };
        let now = self.state.clock.now();
        if now.since(row.last_seen_at) >= IDLE_SECONDS
            || now.since(row.created_at) >= LONGEST_SECONDS
        {
            return Ok(None);
        }
        if now.since(row.last_seen_at) >= SEEN_SECONDS {
            let mut tx = self.state.db.write().await?;
            queries::touch_session(&mut tx, &hash, now).await?;
            tx.commit().await?;
        }
        Ok(Some(serde_json::from_str(&row.state)?))
    }

    async fn create(&self, values: &Values) -> anyhow::Result<SessionKey> {
        let id = self.state.vault.entropy().text(43)?;
        let mut tx = self.state.db.write().await?;
        let hash = secrets::fingerprint(id.as_bytes());
        let text = serde_json::to_string(values)?;
        queries::insert_session(&mut tx, &hash, operator(values), &text, self.state.clock.now())
            .await?;
        tx.commit().await?;
        id.try_into().map_err(|_| anyhow::anyhow!("the session id is too long"))
    }

    async fn change(&self, key: &SessionKey, values: &Values) -> anyhow::Result<bool> {
        let mut tx = self.state.db.write().await?;
        let text = serde_json::to_string(values)?;
        let changed = queries::update_session(&mut tx, &hash(key), operator(values), &text).await?;
        tx.commit().await?;
        Ok(changed == 1)
    }
}

impl SessionStore for DatabaseSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<Values>, LoadError> {
        self.read(key).await.map_err(LoadError::Other)
    }

    async fn save(&self, values: Values, _: &Duration) -> Result<SessionKey, SaveError> {
        self.create(&values).await.map_err(SaveError::Other)
    }

    async fn update(
        &self,
        key: SessionKey,
        values: Values,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        match self.change(&key, &values).await {
            Ok(true) => return Ok(key),
            Ok(false) => {}
            // All that changes in a session that goes on is what the next page is to say: what
            // was done stays done without it.
            Err(error) => {
                tracing::warn!(error = %error, "a session could not be kept up to date");
                return Ok(key);
            }
        }
        // The session ended while the request ran: what it leaves behind must not revive it.
        self.create(&Values::new()).await.map_err(UpdateError::Other)
    }

    /// Lifetimes are ours, not the cookie's.
    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> anyhow::Result<()> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        let mut tx = self.state.db.write().await?;
        queries::delete_session(&mut tx, &hash(key)).await?;
        Ok(tx.commit().await?)
    }
}

fn hash(key: &SessionKey) -> String {
    secrets::fingerprint(key.as_ref().as_bytes())
}

/// Values in a session are JSON; the operator's id is a JSON string.
fn operator(values: &Values) -> Option<String> {
    values.get(OPERATOR).and_then(|value| serde_json::from_str(value).ok())
}
