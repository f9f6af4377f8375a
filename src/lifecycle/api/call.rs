//! One operation or look, by whatever interface it comes: read, found, done once, answered.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;

use super::shapes::{
    AllocateRequest, LifecycleMetrics, LifecycleResult, OperationRequest, holder_kind, parsed,
};
use crate::api::{Kept, Once, Problem};
use crate::auth::Operator;
use crate::lifecycle::act::{self, Act};
use crate::lifecycle::state::Operation;
use crate::lifecycle::types::{Family, How, Whose};
use crate::lifecycle::{Done, Refusal, figures, find, names};

/// What is wrong with each field.
pub(super) type Errors = BTreeMap<String, String>;

/// The two places the calls are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses and delegated prefixes.
    V6,
}

impl Net {
    /// What is given out there.
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::Ipv4],
            Self::V6 => &[Family::Ipv6, Family::Prefix],
        }
    }

    /// The families a call means that says `kind`.
    pub(super) fn meant(self, kind: &str, errors: &mut Errors) -> Vec<Family> {
        match (self, kind) {
            (_, "") => self.families().to_vec(),
            (Self::V4, "address") => vec![Family::Ipv4],
            (Self::V6, "address") => vec![Family::Ipv6],
            (Self::V6, "prefix") => vec![Family::Prefix],
            (Self::V4, _) => {
                errors.insert("kind".to_owned(), "use address".to_owned());
                Vec::new()
            }
            (Self::V6, _) => {
                errors.insert("kind".to_owned(), "use address or prefix".to_owned());
                Vec::new()
            }
        }
    }
}

/// Why there is no answer: what was asked for is refused, or it could not even be asked.
#[derive(Debug)]
pub enum Stopped {
    /// The life cycle refuses.
    Refused(Refusal),
    /// The call cannot be read, or something is wrong.
    Problem(Problem),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<crate::web::Error> for Stopped {
    fn from(error: crate::web::Error) -> Self {
        Self::Problem(error.into())
    }
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        Self::Problem(error.into())
    }
}

impl From<Stopped> for Problem {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Refused(refusal) => refusal.into(),
            Stopped::Problem(problem) => problem,
        }
    }
}

/// What a call asks to be done.
pub enum Asked {
    /// Somebody is to get an address or a prefix.
    Allocate(Box<AllocateRequest>),
    /// Something is to be done with what somebody has.
    Step(Operation, Box<OperationRequest>),
}

/// What was done: a [`LifecycleResult`] in JSON.
pub struct Answered {
    /// 200, or 201 for what is new.
    pub status: StatusCode,
    /// The result.
    pub body: Vec<u8>,
    /// Whether it was done before, and the same is said again.
    pub again: bool,
}

impl Answered {
    fn before(kept: Kept) -> Self {
        Self { status: kept.status, body: kept.body, again: true }
    }
}

/// Does what is asked, unless the same request did it before.
pub async fn answer(
    net: Net,
    by: &Operator,
    once: &Once<'_>,
    asked: Asked,
) -> Result<Answered, Stopped> {
    if let Some(kept) = once.kept().await? {
        return Ok(Answered::before(kept));
    }
    let status = match asked {
        Asked::Allocate(_) => StatusCode::CREATED,
        Asked::Step(..) => StatusCode::OK,
    };
    let (act, how) = match asked {
        Asked::Allocate(asked) => wanted(net, by, *asked).await?,
        Asked::Step(operation, asked) => meant(net, by, operation, *asked).await?,
    };
    finish(by, once, &act, &how, status).await
}

async fn wanted(net: Net, by: &Operator, asked: AllocateRequest) -> Result<(Act, How), Stopped> {
    let (mut wanted, how, said) = asked.parse(net == Net::V6)?;
    if !said {
        let holder = &mut wanted.tenure.holder;
        holder.kind = names::kind_of(&by.state().db, by.tenant(), &holder.id).await?;
    }
    Ok((Act::Allocate(Box::new(wanted)), how))
}

async fn meant(
    net: Net,
    by: &Operator,
    operation: Operation,
    asked: OperationRequest,
) -> Result<(Act, How), Stopped> {
    let mut errors = Errors::new();
    let families = net.meant(asked.kind.as_deref().unwrap_or_default(), &mut errors);
    let (whose, step, how) = asked.parse(operation, errors)?;
    let found = find(&mut by.state().db.apart(), by.tenant(), &whose, &families).await?;
    Ok((Act::Step(found.id, step), how))
}

/// Does it, keeps the answer with it, and answers.
async fn finish(
    by: &Operator,
    once: &Once<'_>,
    act: &Act,
    how: &How,
    status: StatusCode,
) -> Result<Answered, Stopped> {
    let mut ready = match act::prepare(by, act, how).await {
        Ok(ready) => ready,
        // What stands in the way may be what the same request did a moment ago.
        Err(refusal) => {
            return once.kept().await?.map(Answered::before).ok_or_else(|| refusal.into());
        }
    };
    let unheard = ready.done.is_unheard_of();
    if !once.is_asked() {
        // Nobody waits for what is read after the commit; what is done is done if it cannot be read.
        let done = ready.commit().await?;
        let result = if unheard { None } else { full(by, &done).await };
        let result = result.unwrap_or_else(|| brief(by, &done));
        let body = serde_json::to_vec(&result).map_err(|error| Problem::fault(&error))?;
        return Ok(Answered { status, body, again: false });
    }
    let result = if unheard {
        brief(by, &ready.done)
    } else {
        let (assignment, changed) = (&ready.done.assignment, ready.done.changed);
        LifecycleResult::of(ready.change.tx(), by, assignment, changed).await?
    };
    let body = serde_json::to_vec(&result).map_err(|error| Problem::fault(&error))?;
    if !once.keep(&mut ready.change, status, &body).await? {
        drop(ready);
        let earlier = once.kept().await?.map(Answered::before);
        return earlier.ok_or_else(|| Problem::bad_request("send the request again").into());
    }
    ready.commit().await?;
    Ok(Answered { status, body, again: false })
}

/// What was done, without what outside systems say of it.
fn brief(by: &Operator, done: &Done) -> LifecycleResult {
    LifecycleResult { changed: done.changed, ..LifecycleResult::brief(by, &done.assignment) }
}

/// What was done, and what outside systems say of it by now.
async fn full(by: &Operator, done: &Done) -> Option<LifecycleResult> {
    let mut tx = by.state().db.apart();
    LifecycleResult::of(&mut tx, by, &done.assignment, done.changed).await.ok()
}

/// Whose assignment is looked at.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// By what the subscriber is known.
    pub subscriber_id: String,
    /// `user`, `phone`, `host` or `external`; empty for whichever there is.
    pub subscriber_kind: String,
    /// `address` or `prefix`; empty for whichever there is.
    pub kind: String,
    /// The role; empty for the only one.
    pub role: String,
}

/// A subscriber's assignment, and its version: the live one, or the last there was.
pub async fn look(net: Net, by: &Operator, at: Look) -> Result<(i64, LifecycleResult), Stopped> {
    let mut errors = Errors::new();
    let families = net.meant(&at.kind, &mut errors);
    let kind = holder_kind(&at.subscriber_kind, &mut errors);
    let role = parsed("role", Some(at.role).filter(|role| !role.is_empty()), &mut errors);
    let id = parsed("subscriber_id", Some(at.subscriber_id), &mut errors);
    let Some(id) = id.filter(|_| errors.is_empty()) else {
        return Err(Problem::invalid(errors).into());
    };
    let mut tx = by.read().await?;
    let found = find(&mut tx, by.tenant(), &Whose { id, kind, role }, &families).await?;
    Ok((found.version, LifecycleResult::of(&mut tx, by, &found, true).await?))
}

/// The figures of IPv4, or of IPv6's addresses and prefixes together.
pub async fn measure(net: Net, by: &Operator) -> Result<LifecycleMetrics, Stopped> {
    let now = by.state().clock.now();
    let mut tx = by.read().await?;
    let mut figures = figures::of_tenant(&mut tx, by.tenant(), now).await?;
    let parts = net.families().iter().filter_map(|family| figures.remove(family.as_str()));
    Ok(LifecycleMetrics::of(by, &parts.collect::<Vec<_>>()))
}
