//! The life of an address: who has it, since when, and what may become of it.
//!
//! An *assignment* is one time somebody has an IPv4 address, an IPv6 address or a delegated IPv6
//! prefix: one row from the wish to the end. Its state moves only as the machine ([`state`]) says.
//! `revoked` is the end of the row, not of the address, which may have its next life in another.
//!
//! - The database allows one live assignment for each address, and for each holder one of a family
//!   and role.
//! - The address's row in IPAM follows in the same change: it is allocated while an assignment
//!   holds it, names the assignment, and can be taken away by nothing else
//!   ([`addresses::unassign`]). It is never a second opinion.
//! - What fails before it is in use gives its address back; what fails later keeps it until
//!   somebody decides: retry, and if it is to end, revoke.
//! - A revocation commits `revoking` first. It completes when the outside systems have been told,
//!   or by the clock ([`job`]), and only then is the address free: nobody else gets it while the
//!   old session may still live.
//! - Outside systems are told by `effects`, in the same transaction; nothing is called here.
//!
//! Every operation holds the tenant's lock ([`Space`]), so that steps of one tenant follow each
//! other.

mod act;
pub mod api;
mod effects;
pub mod figures;
pub mod job;
mod names;
mod queries;
pub mod state;
mod types;
pub mod web;

use serde_json::json;

use crate::audit::{Event, Page};
use crate::db::{Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::addresses::{self, Ending, Holder, HolderKind, Note, Purpose, Reserver, Tenure};
use crate::ipam::prefixes::{self, Taken};
use crate::ipam::space::{Source, Space};
use crate::ipam::subnets;
use crate::net::{Address, Mac};
use crate::text::Line;
use crate::time::Timestamp;
use crate::web::Error;

pub use effects::{Effect, forecast};
pub use names::known;
pub use state::{BadState, Operation, State};
pub use types::{
    Assignment, BadFamily, BadMetadata, BadRole, BadSubscriberId, Count, Family, Filter, How,
    Leased, Metadata, Origin, Release, Role, Sort, Step, SubscriberId, Wanted, Which, Whose,
};

/// Why something cannot be done with an assignment.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("{0} has no such assignment")]
    NotFound(String),
    /// The machine has no such step, or the operation is not for this state.
    #[error("{label} is {from} and cannot become {to} by {operation}")]
    InvalidTransition {
        /// Which.
        label: String,
        /// What it is.
        from: State,
        /// What it should become.
        to: State,
        /// By what.
        operation: Operation,
    },
    /// Nothing is free where it was looked for.
    #[error("{0}")]
    PoolExhausted(String),
    /// Somebody has the address, or nobody may.
    #[error("{0}")]
    AddressUnavailable(String),
    /// The address is not where it was looked for.
    #[error("{0}")]
    AddressNotInPool(String),
    /// The holder has one already.
    #[error("{holder} has {which} already; revoke it first, or give another role")]
    AlreadyAllocated {
        /// Who.
        holder: String,
        /// What, and in which state.
        which: String,
        /// That one.
        id: AssignmentId,
    },
    /// Several are meant.
    #[error("{0} has several: say which kind, role or subscriber_kind")]
    Ambiguous(String),
    /// A field does not fit.
    #[error("{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Somebody changed the settings meanwhile.
    #[error("somebody changed the settings meanwhile; look again and make your change once more")]
    Stale,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Refusal {
    /// The fault it is where nothing can be refused: whoever goes for good takes all along.
    pub fn into_fault(self) -> Error {
        match self {
            Self::Fault(error) => error,
            other => sqlx::Error::Protocol(other.to_string()).into(),
        }
    }

    /// The field it is about.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::AddressUnavailable(_) | Self::AddressNotInPool(_) => Some("requested_address"),
            Self::PoolExhausted(_) => Some("pool_id"),
            Self::AlreadyAllocated { .. } | Self::NotFound(_) | Self::Ambiguous(_) => {
                Some("subscriber_id")
            }
            Self::InvalidTransition { .. } => Some("state"),
            Self::Stale | Self::Fault(_) => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// An operation that was done.
#[derive(Debug)]
pub struct Done {
    /// What the assignment is now.
    pub assignment: Assignment,
    /// Whether anything is different. Ending what has ended is well, but nothing.
    pub changed: bool,
    /// How many calls to outside systems wait to be made because of it.
    pub calls: usize,
}

/// Gives somebody an address or a prefix. Whoever waits for one gets it.
pub async fn allocate(space: &mut Space<'_>, wanted: &Wanted, how: &How) -> Outcome<Done> {
    let tenant = space.tenant();
    let mut wanted = wanted.clone();
    wanted.holder = known(space.tx(), tenant, &wanted.holder).await?;
    let role = wanted.role.to_string();
    let live = queries::live_of(space.tx(), tenant, &wanted.holder, wanted.family, &role).await?;
    let (old, fresh) = match live {
        Some(waiting) if waiting.state == State::Pending => (waiting, false),
        Some(other) => return Err(taken_already(&other)),
        None => (born(space, &wanted)?, true),
    };
    let mut new = old.clone();
    (new.hostname, new.mac) = (wanted.hostname.clone(), wanted.mac);
    new.metadata = remembered(&old, how)?;
    place(space, &mut new, &wanted).await?;
    settle(space, fresh.then_some(&old), &old, new, Operation::Allocate, how).await
}

fn taken_already(other: &Assignment) -> Refusal {
    let holder = format!("{} {}", other.holder.kind.as_str(), other.holder);
    let what = other.held().map_or_else(|| other.family.label().to_owned(), |had| had.to_string());
    Refusal::AlreadyAllocated { holder, which: format!("{what} ({})", other.state), id: other.id }
}

/// An assignment at the beginning of its life.
fn born(space: &Space<'_>, wanted: &Wanted) -> Result<Assignment> {
    let now = space.at();
    Ok(Assignment {
        id: space.new_id()?,
        family: wanted.family,
        state: State::Pending,
        live: true,
        leased: None,
        pool: None,
        holder: wanted.holder.clone(),
        role: wanted.role.clone(),
        hostname: wanted.hostname.clone(),
        mac: wanted.mac,
        reason: Line::default(),
        release: None,
        metadata: Metadata::default(),
        since: now,
        allocated_at: None,
        activated_at: None,
        suspended_at: None,
        revoked_at: None,
        version: 0,
        created_at: now,
        updated_at: now,
    })
}

/// Finds the address or prefix, and takes it in IPAM.
async fn place(space: &mut Space<'_>, new: &mut Assignment, wanted: &Wanted) -> Outcome<()> {
    match wanted.family {
        Family::Ipv4 | Family::Ipv6 => place_address(space, new, wanted).await,
        Family::Prefix => place_prefix(space, new, wanted).await,
    }
}

async fn place_address(
    space: &mut Space<'_>,
    new: &mut Assignment,
    wanted: &Wanted,
) -> Outcome<()> {
    let wish = match wanted.wish {
        None => addresses::Wish::Next { count: 1, contiguous: false },
        Some(Leased::Address(address)) if Family::of(address) == wanted.family => {
            addresses::Wish::This(address)
        }
        Some(other) => {
            let why = format!("{other} is not an {}", wanted.family.label());
            return Err(Refusal::Field { field: "requested_address", why });
        }
    };
    let by = Reserver { name: space.actor().name.clone(), anybodys: true };
    let tenure =
        Tenure { hostname: new.hostname.clone(), mac: new.mac, ..Tenure::of(new.holder.clone()) };
    let purpose = Purpose::Assign(tenure, new.id);
    let source = source(space, wanted).await?;
    let record = match (source, &wish) {
        (Some(source), _) => addresses::take(space, source, &wish, &purpose, &by).await,
        (None, addresses::Wish::This(address)) => {
            addresses::assign(space, *address, &purpose, &by).await.map(|record| vec![record])
        }
        (None, _) => {
            let what = wanted.family.label();
            return Err(Refusal::PoolExhausted(format!("no {what} is free in any static pool")));
        }
    };
    let record = record.map_err(in_ipam)?.pop();
    let record = record.ok_or_else(|| sqlx::Error::Protocol("nothing was taken".into()))?;
    new.leased = Some(Leased::Address(record.address));
    new.pool = match source {
        Some(Source::Pool(id)) => Some(id.to_string()),
        _ => pool_around(space, record.address).await?,
    };
    Ok(())
}

/// Where addresses are looked for: as said, or where the tenant's lowest free one of the family is.
async fn source(space: &mut Space<'_>, wanted: &Wanted) -> Outcome<Option<Source>> {
    let misplaced = |why: &str| Refusal::Field { field: "pool_id", why: why.to_owned() };
    match wanted.from {
        Origin::Anywhere if wanted.wish.is_some() => Ok(None),
        Origin::Anywhere => {
            let v6 = wanted.family == Family::Ipv6;
            Ok(space.lowest_static_gap(v6).await?.map(|gap| Source::Pool(gap.pool)))
        }
        Origin::Addresses(source) => {
            let tenant = space.tenant();
            if let Source::Pool(id) = source {
                let subnet = subnets::of_pool(space.tx(), tenant, id).await?;
                let subnet = subnet.ok_or_else(|| misplaced("there is no such pool"))?;
                let pools = subnets::pools(space.tx(), subnet.id).await?;
                let pool = pools.iter().find(|pool| pool.id == id);
                let pool = pool.ok_or_else(|| misplaced("there is no such pool"))?;
                if pool.kind != subnets::PoolKind::Static {
                    return Err(misplaced(
                        "that is no static pool; its addresses are not given by hand",
                    ));
                }
                if Family::of(pool.range.first()) != wanted.family {
                    let why = format!("that pool has no {}", wanted.family.label());
                    return Err(misplaced(&why));
                }
                if let Some(Leased::Address(address)) = wanted.wish
                    && !pool.range.contains(address)
                {
                    let why = format!("{address} is not in the pool {}", pool.range);
                    return Err(Refusal::AddressNotInPool(why));
                }
            }
            if let Source::Subnet(id) = source {
                let subnet = subnets::get(space.tx(), tenant, id).await?;
                let subnet = subnet.ok_or_else(|| Refusal::Field {
                    field: "subnet_id",
                    why: "there is no such subnet".to_owned(),
                })?;
                if Family::of(subnet.cidr.network()) != wanted.family {
                    let why = format!("{} has no {}", subnet.cidr, wanted.family.label());
                    return Err(Refusal::Field { field: "subnet_id", why });
                }
            }
            Ok(Some(source))
        }
        Origin::Prefixes(_) => Err(misplaced("that is a pool of prefixes, not of addresses")),
    }
}

/// The pool an address is given from, for the record.
async fn pool_around(space: &mut Space<'_>, address: Address) -> Outcome<Option<String>> {
    let tenant = space.tenant();
    let Some(subnet) = subnets::around(space.tx(), tenant, address).await? else { return Ok(None) };
    let pools = subnets::pools(space.tx(), subnet.id).await?;
    let pool = pools.iter().find(|pool| pool.range.contains(address));
    Ok(pool.map(|pool| pool.id.to_string()))
}

async fn place_prefix(space: &mut Space<'_>, new: &mut Assignment, wanted: &Wanted) -> Outcome<()> {
    let pool = match wanted.from {
        Origin::Anywhere => None,
        Origin::Prefixes(pool) => Some(pool),
        Origin::Addresses(_) => {
            let why = "that is a pool of addresses, not of prefixes".to_owned();
            return Err(Refusal::Field { field: "pool_id", why });
        }
    };
    let wish = match wanted.wish {
        None => prefixes::Wish::Lowest(wanted.length),
        Some(Leased::Prefix(cidr)) if (48..=64).contains(&cidr.length()) => {
            prefixes::Wish::This(cidr)
        }
        Some(other) => {
            let why = format!("{other} is not a prefix of 48 to 64 bits");
            return Err(Refusal::Field { field: "requested_address", why });
        }
    };
    let Taken { cidr, pool } = prefixes::take(space, pool, wish).await.map_err(in_prefixes)?;
    new.leased = Some(Leased::Prefix(cidr));
    new.pool = Some(pool.to_string());
    Ok(())
}

fn in_ipam(refusal: addresses::Refusal) -> Refusal {
    use addresses::Refusal as Ipam;
    let why = refusal.to_string();
    match refusal {
        Ipam::Fault(error) => Refusal::Fault(error),
        Ipam::Full { .. } => Refusal::PoolExhausted(why),
        Ipam::Elsewhere { .. } | Ipam::NoSubnet(_) => Refusal::AddressNotInPool(why),
        Ipam::Missing(_) => Refusal::Field { field: "pool_id", why },
        Ipam::NoHolder => Refusal::Field { field: "subscriber_id", why },
        _ => Refusal::AddressUnavailable(why),
    }
}

fn in_prefixes(refusal: prefixes::Refusal) -> Refusal {
    use prefixes::Refusal as Prefixes;
    let why = refusal.to_string();
    match refusal {
        Prefixes::Fault(error) => Refusal::Fault(error),
        Prefixes::Full { .. } => Refusal::PoolExhausted(why),
        Prefixes::Elsewhere { .. } => Refusal::AddressNotInPool(why),
        Prefixes::Missing(_) => Refusal::Field { field: "pool_id", why },
        _ => Refusal::AddressUnavailable(why),
    }
}

/// What is remembered after an operation: what was before, and on top what was said with it.
fn remembered(old: &Assignment, how: &How) -> Outcome<Metadata> {
    let mut all = old
        .metadata
        .merged(&how.metadata)
        .map_err(|error| Refusal::Field { field: "metadata", why: error.to_string() })?;
    if let Some(name) = &how.username {
        all.put("username", &name.to_string());
    }
    if let Some(nas) = how.nas {
        all.put("nas_ip", &nas.to_string());
    }
    Ok(all)
}

/// Does one thing with an assignment that is there.
pub async fn perform(
    space: &mut Space<'_>,
    id: AssignmentId,
    step: &Step,
    how: &How,
) -> Outcome<Done> {
    let old = stored(space, id).await?;
    let mut new = Assignment { metadata: remembered(&old, how)?, ..old.clone() };
    let now = space.at();
    match step {
        Step::Activate => new.activated_at = Some(now),
        Step::Suspend(reason) => {
            (new.suspended_at, new.reason) = (Some(now), reason.clone());
        }
        Step::Reactivate => (new.suspended_at, new.reason) = (None, Line::default()),
        Step::Revoke(release) => {
            // To end what is ending or has ended is done already.
            if matches!(old.state, State::Revoking | State::Revoked) {
                return Ok(Done { assignment: old, changed: false, calls: 0 });
            }
            new.release = Some(*release);
        }
        Step::Retry => return retry(space, old, new, how).await,
        Step::Fail(reason) => return fail(space, old, new, reason.clone(), how).await,
    }
    settle(space, None, &old, new, step.operation(), how).await
}

impl Step {
    /// Which operation it is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Activate => Operation::Activate,
            Self::Suspend(_) => Operation::Suspend,
            Self::Reactivate => Operation::Reactivate,
            Self::Revoke(_) => Operation::Revoke,
            Self::Retry => Operation::Retry,
            Self::Fail(_) => Operation::Fail,
        }
    }
}

async fn stored(space: &mut Space<'_>, id: AssignmentId) -> Outcome<Assignment> {
    let tenant = space.tenant();
    let found = queries::get(space.tx(), tenant, id).await?;
    found.ok_or_else(|| Refusal::NotFound("the tenant".to_owned()))
}

/// Refused if the machine has no such step.
fn legal(old: &Assignment, operation: Operation) -> Outcome<()> {
    if operation.allowed_in(old.state) {
        return Ok(());
    }
    let (label, from, to) = (old.label(), old.state, operation.target());
    Err(Refusal::InvalidTransition { label, from, to, operation })
}

/// Takes one step: checks it, writes it, counts it, notes it, and lets outside systems be told.
/// `fresh` is an assignment that has no row yet.
async fn settle(
    space: &mut Space<'_>,
    fresh: Option<&Assignment>,
    old: &Assignment,
    mut new: Assignment,
    operation: Operation,
    how: &How,
) -> Outcome<Done> {
    legal(old, operation)?;
    let (tenant, now) = (space.tenant(), space.at());
    new.state = operation.target();
    if operation == Operation::Allocate {
        new.allocated_at = Some(now);
    }
    (new.since, new.updated_at, new.version) = (now, now, old.version + 1);
    if fresh.is_some() {
        if !queries::insert(space.tx(), tenant, &new).await? {
            return Err(in_the_way(space, &new).await?);
        }
    } else {
        queries::update(space.tx(), tenant, &new).await?;
        queries::count(space.tx(), tenant, old, old.state, -1).await?;
    }
    queries::count(space.tx(), tenant, &new, new.state, 1).await?;
    space.record(event(operation, old, &new, fresh.is_some()));
    let calls = effects::tell(space, &new, operation, how).await?;
    Ok(Done { assignment: new, changed: true, calls })
}

/// Whose live assignment the database refused a second of.
async fn in_the_way(space: &mut Space<'_>, new: &Assignment) -> Result<Refusal> {
    let tenant = space.tenant();
    let first = new.leased.map(Leased::first);
    if let Some(first) = first
        && let Some(other) = queries::at(space.tx(), tenant, first).await?
    {
        let why = format!("{first} is assigned: {}", other.label());
        return Ok(Refusal::AddressUnavailable(why));
    }
    let role = new.role.to_string();
    let other = queries::live_of(space.tx(), tenant, &new.holder, new.family, &role).await?;
    let other = other.ok_or(sqlx::Error::RowNotFound)?;
    Ok(taken_already(&other))
}

fn event(operation: Operation, old: &Assignment, new: &Assignment, fresh: bool) -> Event {
    let action = match operation {
        Operation::Allocate => "assignment.allocated",
        Operation::Activate => "assignment.activated",
        Operation::Suspend => "assignment.suspended",
        Operation::Reactivate => "assignment.reactivated",
        Operation::Revoke => "assignment.revoking",
        Operation::Complete => "assignment.revoked",
        Operation::Retry => "assignment.retried",
        Operation::Fail => "assignment.failed",
    };
    let event = Event::new(action, &new.label(), &new.id);
    let event = if fresh { event } else { event.before(describe(old)) };
    let noted = matches!(operation, Operation::Suspend | Operation::Fail);
    let event = event.after(describe(new));
    if noted && !new.reason.is_empty() { event.note(new.reason.to_string()) } else { event }
}

/// An assignment as the audit log keeps it.
fn describe(assignment: &Assignment) -> serde_json::Value {
    let text = |text: Option<String>| text.unwrap_or_default();
    json!({
        "state": assignment.state,
        "family": assignment.family.as_str(),
        "address": text(assignment.leased.map(|leased| leased.to_string())),
        "holder": format!("{} {}", assignment.holder.kind.as_str(), assignment.holder),
        "role": assignment.role.to_string(),
        "reason": assignment.reason.to_string(),
        "metadata": assignment.metadata.value(),
    })
}

/// Tries again what failed: it gets the address it has kept, or the one it had, or another.
async fn retry(
    space: &mut Space<'_>,
    old: Assignment,
    mut new: Assignment,
    how: &How,
) -> Outcome<Done> {
    legal(&old, Operation::Retry)?;
    let (tenant, kept) = (space.tenant(), old.held());
    if kept.is_none() {
        let role = old.role.to_string();
        if let Some(other) =
            queries::live_of(space.tx(), tenant, &old.holder, old.family, &role).await?
        {
            return Err(taken_already(&other));
        }
        new.holder = known(space.tx(), tenant, &old.holder).await?;
    }
    (new.live, new.reason) = (true, Line::default());
    (new.activated_at, new.suspended_at, new.release) = (None, None, None);
    new.leased = None;
    let waiting = settle(space, None, &old, new, Operation::Retry, how).await?.assignment;
    let mut new = waiting.clone();
    (new.leased, new.pool) = (kept, old.pool.clone());
    if kept.is_none() {
        self::again(space, &mut new, &old).await?;
    }
    settle(space, None, &waiting, new, Operation::Allocate, how).await
}

/// The address an assignment had, or if it is not free any more the lowest of its pool.
async fn again(space: &mut Space<'_>, new: &mut Assignment, old: &Assignment) -> Outcome<()> {
    let from = match (&old.pool, old.family) {
        (None, _) => Origin::Anywhere,
        (Some(pool), Family::Prefix) => pool.parse().map_or(Origin::Anywhere, Origin::Prefixes),
        (Some(pool), _) => {
            pool.parse().map_or(Origin::Anywhere, |pool| Origin::Addresses(Source::Pool(pool)))
        }
    };
    let length = match old.leased {
        Some(Leased::Prefix(cidr)) => {
            prefixes::PrefixLength::try_from(i64::from(cidr.length())).ok()
        }
        _ => None,
    };
    let wanted = |wish, from| Wanted {
        family: old.family,
        holder: new.holder.clone(),
        role: old.role.clone(),
        from,
        wish,
        length,
        hostname: old.hostname.clone(),
        mac: old.mac,
    };
    let (same, other) = (wanted(old.leased, Origin::Anywhere), wanted(None, from));
    if old.leased.is_some() {
        match place(space, new, &same).await {
            Err(Refusal::AddressUnavailable(_) | Refusal::AddressNotInPool(_)) => {}
            placed => return placed,
        }
    }
    place(space, new, &other).await
}

/// It cannot go on. Before it was in use its address is given back; later it keeps it.
async fn fail(
    space: &mut Space<'_>,
    old: Assignment,
    mut new: Assignment,
    reason: Line<500>,
    how: &How,
) -> Outcome<Done> {
    legal(&old, Operation::Fail)?;
    new.reason = reason;
    new.release = None;
    new.live = !matches!(old.state, State::Pending | State::Allocated);
    if !new.live {
        let_go(space, &old, Release::Free, 0).await?;
    }
    settle(space, None, &old, new, Operation::Fail, how).await
}

/// Completes a revocation: the address is free, in quarantine, or kept.
pub async fn complete(space: &mut Space<'_>, id: AssignmentId) -> Outcome<Done> {
    let old = stored(space, id).await?;
    if old.state == State::Revoked {
        return Ok(Done { assignment: old, changed: false, calls: 0 });
    }
    legal(&old, Operation::Complete)?;
    let (tenant, now) = (space.tenant(), space.at());
    let (hours, _) = queries::quarantine(space.tx(), tenant).await?;
    let_go(space, &old, old.release.unwrap_or(Release::Free), hours).await?;
    let new = Assignment { live: false, revoked_at: Some(now), ..old.clone() };
    settle(space, None, &old, new, Operation::Complete, &How::default()).await
}

/// The address leaves the assignment.
async fn let_go(
    space: &mut Space<'_>,
    old: &Assignment,
    release: Release,
    hours: i64,
) -> Outcome<()> {
    let Some(leased) = old.held() else { return Ok(()) };
    let until = space.at().plus(hours.saturating_mul(3600));
    let holder = format!("{} {}", old.holder.kind.as_str(), old.holder);
    let note = |text: String| -> Outcome<Note> {
        text.parse().map_err(|_| sqlx::Error::Protocol("a note does not fit".into()).into())
    };
    let ending = match release {
        Release::Keep => Ending::Keep(note(format!("kept when {holder} left"))?),
        Release::Free if hours > 0 => Ending::Quarantine(note(format!("had by {holder}"))?, until),
        Release::Free => Ending::Free,
    };
    let cidr = match leased {
        Leased::Address(address) => {
            return addresses::unassign(space, address, old.id, &ending).await.map_err(in_ipam);
        }
        Leased::Prefix(cidr) => cidr,
    };
    let pool = old.pool.as_deref().and_then(|pool| pool.parse().ok());
    let pool = pool.ok_or_else(|| sqlx::Error::Protocol("a prefix without a pool".into()))?;
    let done = match ending {
        Ending::Free => prefixes::give_back(space, pool, cidr).await,
        Ending::Quarantine(note, until) => {
            prefixes::hold(space, pool, cidr, &note, Some(until)).await
        }
        Ending::Keep(note) => prefixes::hold(space, pool, cidr, &note, None).await,
    };
    done.map_err(in_prefixes)
}

/// Somebody goes for good: whatever they have ends at once, without waiting for outside systems.
/// Returns what it was.
pub async fn leave(space: &mut Space<'_>, holder: &Holder, why: &str) -> Outcome<Vec<Leased>> {
    let tenant = space.tenant();
    let mut left = Vec::new();
    for old in queries::all_live_of(space.tx(), tenant, holder).await? {
        left.extend(old.held());
        let how = How::default();
        let reason: Line<500> =
            why.chars().take(500).collect::<String>().parse().unwrap_or_default();
        match old.state {
            State::Pending => drop(perform(space, old.id, &Step::Fail(reason), &how).await?),
            State::Revoking => drop(complete(space, old.id).await?),
            state => {
                if state == State::Failed {
                    perform(space, old.id, &Step::Retry, &how).await?;
                }
                perform(space, old.id, &Step::Revoke(Release::Free), &how).await?;
                complete(space, old.id).await?;
            }
        }
    }
    Ok(left)
}

/// Somebody is called something else: so are they at each assignment they have.
pub async fn rename(space: &mut Space<'_>, holder: &Holder) -> Outcome<()> {
    let tenant = space.tenant();
    for old in queries::all_live_of(space.tx(), tenant, holder).await? {
        if old.holder.name != holder.name {
            let new = Assignment { holder: holder.clone(), version: old.version + 1, ..old };
            queries::update(space.tx(), tenant, &new).await?;
        }
    }
    Ok(())
}

/// A phone registered for the first time with the address it was given: its assignment is active.
/// For whoever hears of registrations; nothing happens if there is nothing to activate.
pub async fn first_register(space: &mut Space<'_>, holder: &Holder) -> Outcome<Vec<Done>> {
    let tenant = space.tenant();
    let mut done = Vec::new();
    for old in queries::all_live_of(space.tx(), tenant, holder).await? {
        if Operation::Activate.allowed_in(old.state) {
            done.push(perform(space, old.id, &Step::Activate, &How::default()).await?);
        }
    }
    Ok(done)
}

/// One assignment of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: AssignmentId) -> Result<Option<Assignment>> {
    queries::get(tx, tenant, id).await
}

/// The live assignment that has an address, or a prefix that begins with it.
pub async fn at(tx: &mut Tx, tenant: TenantId, first: Address) -> Result<Option<Assignment>> {
    queries::at(tx, tenant, first).await
}

/// The live assignments of a holder.
pub async fn of_holder(tx: &mut Tx, tenant: TenantId, holder: &Holder) -> Result<Vec<Assignment>> {
    queries::all_live_of(tx, tenant, holder).await
}

/// The assignment a subscriber is named for: the live one, or if there is none the last.
pub async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    whose: &Whose,
    families: &[Family],
) -> Outcome<Assignment> {
    const LOOKED_AT: i64 = 1_000;
    let id = whose.id.to_string();
    let mac = id.parse::<Mac>().map(Mac::hex).unwrap_or_default();
    let all = queries::of_subscriber(tx, tenant, &id, &mac, LOOKED_AT).await?;
    let mut meant = all.into_iter().filter(|assignment| {
        families.contains(&assignment.family)
            && whose.kind.is_none_or(|kind| kind == assignment.holder.kind)
            && whose.role.as_ref().is_none_or(|role| *role == assignment.role)
    });
    let first = meant.next().ok_or_else(|| Refusal::NotFound(whose.id.to_string()))?;
    if first.live && meant.next().is_some_and(|second| second.live) {
        return Err(Refusal::Ambiguous(whose.id.to_string()));
    }
    Ok(first)
}

/// A page of assignments and how many match the filter.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Assignment>, i64)> {
    let found = queries::list(tx, tenant, filter, sort, page).await?;
    if !filter.search.is_empty() {
        return Ok((found, queries::count_found(tx, tenant, filter).await?));
    }
    let counts = queries::counts(tx, tenant).await?;
    let matching = counts.iter().filter(|count| {
        filter.which.has(count.state)
            && filter.family.is_none_or(|family| family == count.family)
            && filter.kind.is_none_or(|kind| kind == count.kind)
    });
    Ok((found, matching.map(|count| count.entries).sum()))
}

/// How many assignments of each kind there are.
pub async fn counts(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Count>> {
    queries::counts(tx, tenant).await
}

/// Hours a revoked address is kept out of use, and the version of that setting.
pub async fn quarantine(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64)> {
    queries::quarantine(tx, tenant).await
}

/// Changes how long a revoked address is kept out of use.
pub async fn set_quarantine(space: &mut Space<'_>, hours: i64, version: i64) -> Outcome<()> {
    let tenant = space.tenant();
    if !(0..=8_760).contains(&hours) {
        let why = "use 0 to 8760 hours (a year)".to_owned();
        return Err(Refusal::Field { field: "quarantine", why });
    }
    let (before, _) = queries::quarantine(space.tx(), tenant).await?;
    if !queries::set_quarantine(space.tx(), tenant, hours, version).await? {
        return Err(Refusal::Stale);
    }
    let event = Event::new("lifecycle.configured", &"quarantine", &tenant);
    space.record(event.before(json!({ "hours": before })).after(json!({ "hours": hours })));
    Ok(())
}

/// Sorts of holders an assignment may have: a host's management controller has no life of its own.
pub const KINDS: [HolderKind; 4] =
    [HolderKind::User, HolderKind::Phone, HolderKind::Host, HolderKind::External];

/// How long something took, for the figures.
fn seconds(from: Timestamp, until: Timestamp) -> f64 {
    i32::try_from(until.since(from)).map_or(f64::from(i32::MAX), f64::from)
}
