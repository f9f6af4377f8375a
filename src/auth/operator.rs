//! The one door: whoever a handler acts for, and with that the only way to the database.

use std::future::{Ready, ready};

use actix_session::SessionExt as _;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};

use super::queries::{self, Identity};
use super::session;
use super::types::{OperatorName, Right, Role};
use crate::audit::{self, Actor, Change, Via};
use crate::db::Tx;
use crate::id::{OperatorId, TenantId};
use crate::secrets;
use crate::state::State;
use crate::time::Zone;
use crate::web::guard::RequestId;
use crate::web::{Error, NavGroup, NavItem, Shell, client, flash};

/// How exactly a token's last use is noted.
const SEEN_SECONDS: i64 = 60;
/// Changes that wait for an Apply are counted on every page, so not beyond this.
const COUNTED: i64 = 1_000;

/// Someone who may do what the route asks for.
#[derive(Clone)]
pub struct Operator {
    state: State,
    identity: Identity,
    actor: Actor,
    role: Option<Role>,
    csrf: String,
    said: Option<String>,
}

impl Operator {
    /// Whoever is signed in with the request's session.
    pub(super) async fn of_session(
        request: &HttpRequest,
        state: &State,
    ) -> Result<Option<Self>, Error> {
        let session = request.get_session();
        let Ok(Some(id)) = session.get::<String>(session::OPERATOR) else { return Ok(None) };
        let Some(identity) = queries::identity(&state.db, &id).await? else { return Ok(None) };
        let csrf = session.get::<String>(session::CSRF).ok().flatten().unwrap_or_default();
        let actor = Actor {
            name: identity.name.to_string(),
            tenant: identity.tenant_id,
            ..request_actor(request, Via::Browser)
        };
        let said = flash::take(request);
        Ok(Some(Self { state: state.clone(), identity, actor, role: None, csrf, said }))
    }

    /// The owner of the request's token.
    pub(super) async fn of_token(
        request: &HttpRequest,
        state: &State,
    ) -> Result<Option<Self>, Error> {
        let Some(token) = bearer(request) else { return Ok(None) };
        let now = state.clock.now();
        let hash = secrets::fingerprint(token.as_bytes());
        let Some(found) = queries::token_identity(&state.db, &hash, now).await? else {
            return Ok(None);
        };
        if found.last_used_at.is_none_or(|used| now.since(used) >= SEEN_SECONDS) {
            let mut tx = state.db.write().await?;
            queries::touch_token(&mut tx, &found.token_id, now).await?;
            tx.commit().await?;
        }
        let actor = Actor {
            name: format!("{} ({})", found.owner.name, found.label),
            tenant: found.owner.tenant_id,
            ..request_actor(request, Via::Token)
        };
        let role = Some(found.token_role);
        Ok(Some(Self {
            state: state.clone(),
            identity: found.owner,
            actor,
            role,
            csrf: String::new(),
            said: None,
        }))
    }

    /// Whether the role allows it; with a token, whether the token's role does too.
    pub fn may(&self, right: Right) -> bool {
        self.identity.role.may(right) && self.role.is_none_or(|role| role.may(right))
    }

    /// A snapshot to read from.
    pub async fn read(&self) -> Result<Tx, Error> {
        Ok(self.state.read().await?)
    }

    /// A change in this operator's name.
    pub async fn change(&self) -> Result<Change, Error> {
        Ok(self.state.change(&self.actor).await?)
    }

    /// As [`Operator::change`], for one that takes seconds: what a whole file says.
    pub async fn long_change(&self) -> Result<Change, Error> {
        Ok(self.state.long_change(&self.actor).await?)
    }

    /// The parts below the features: time, secrets.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The tenant whose rows may be touched.
    pub fn tenant(&self) -> TenantId {
        self.identity.tenant_id
    }

    /// Whether the operator belongs to the tenant that runs the installation.
    pub fn is_host(&self) -> bool {
        self.identity.tenant_id == TenantId::DEFAULT
    }

    /// Who they are in the audit log.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Their id.
    pub fn id(&self) -> OperatorId {
        self.identity.id
    }

    /// What they sign in as.
    pub fn name(&self) -> &OperatorName {
        &self.identity.name
    }

    /// The tenant's time zone.
    pub fn zone(&self) -> &Zone {
        &self.identity.time_zone
    }

    /// The session's token against cross-site requests.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// The frame for the page at `current`.
    pub async fn shell(&self, tx: &mut Tx, current: &str) -> Result<Shell, Error> {
        let pending = if self.is_host() { audit::count_pending(tx, COUNTED).await? } else { 0 };
        Ok(Shell {
            operator: self.identity.name.to_string(),
            role: self.identity.role.as_str(),
            tenant: (self.identity.tenants > 1).then(|| self.identity.tenant.clone()),
            zone: self.identity.time_zone.clone(),
            csrf: self.csrf.clone(),
            said: self.said.clone(),
            nav: self.nav(current, pending),
        })
    }

    fn nav(&self, current: &str, pending: i64) -> Vec<NavGroup> {
        let item =
            |title, path, count: String| NavItem { title, path, count, current: path == current };
        let plain = |title, path| item(title, path, String::new());
        let count = match pending {
            0 => String::new(),
            COUNTED => format!("over {} pending", COUNTED - 1),
            pending => format!("{pending} pending"),
        };
        let mut groups = vec![NavGroup {
            title: "Voice",
            items: vec![
                plain("Users", "/users"),
                plain("Phones", "/phones"),
                plain("Map of phones", "/phones/map"),
            ],
        }];
        groups.push(NavGroup {
            title: "Network",
            items: vec![
                plain("Subnets", "/ipam/subnets"),
                plain("Addresses", "/ipam/addresses"),
                plain("Hosts", "/ipam/hosts"),
                plain("Prefixes", "/ipam/prefixes"),
                plain("Lifecycle", "/lifecycle"),
                plain("Observation", "/ipam/observe"),
                plain("Report", "/ipam/report"),
                plain("Outbox", "/outbox"),
            ],
        });
        if self.is_host() {
            groups
                .push(NavGroup { title: "Asterisk", items: vec![item("Apply", "/apply", count)] });
        }
        let mut system = Vec::new();
        if self.may(Right::ReadAudit) {
            system.push(plain("Audit", "/audit"));
        }
        system.push(plain("Settings", "/settings"));
        groups.push(NavGroup { title: "System", items: system });
        groups
    }
}

/// Nobody yet, and where the request comes from.
pub(super) fn request_actor(request: &HttpRequest, via: Via) -> Actor {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    Actor {
        source: client::address(request).map(|address| address.to_string()).unwrap_or_default(),
        request_id: id.unwrap_or_default(),
        ..Actor::local("(nobody)", via)
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with("pb_")).then_some(token)
}

impl FromRequest for Operator {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    /// The route's access check put the operator there; a public route has none.
    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(Error::Forbidden))
    }
}

/// The state of the program, for routes that need nobody.
pub(super) fn state_of(request: &HttpRequest) -> Result<State, Error> {
    let state = request.app_data::<web::Data<State>>();
    state.map(|state| state.get_ref().clone()).ok_or(Error::Forbidden)
}
