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
//!   (`addresses::unassign`). It is never a second opinion.
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
mod holders;
pub mod job;
mod meter;
mod names;
mod place;
mod queries;
pub mod state;
mod steps;
mod types;
pub mod web;

use serde_json::json;

use crate::audit::{Event, Page};
use crate::db::{Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::addresses::{Holder, HolderKind};
use crate::ipam::space::Space;
use crate::net::{Address, Mac};
use crate::state::Bookmarks;
use crate::web::Error;

pub use effects::{Effect, forecast};
pub use holders::{end, first_register, leave};
pub use names::{known, of_phone};
pub use state::{BadState, Operation, State};
pub use steps::{allocate, complete, perform};
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
    #[error("{holder} has {which} already; {}", instead(*state))]
    AlreadyAllocated {
        /// Who.
        holder: String,
        /// What, and in which state.
        which: String,
        /// That one.
        id: AssignmentId,
        /// Which state that is.
        state: State,
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

/// What somebody can do who has one in this state already.
fn instead(state: State) -> &'static str {
    match state {
        State::Revoking => "wait until its revocation is over, or give another role",
        State::Failed => "retry it and then revoke it, or give another role",
        _ => "revoke it first, or give another role",
    }
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

impl Done {
    /// Whether no outside system can have heard of it: it is new, and none is to be told.
    pub fn is_unheard_of(&self) -> bool {
        self.calls == 0 && self.assignment.version == 1
    }
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
    marks: &Bookmarks,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<Assignment>, i64)> {
    if !filter.search.is_empty() {
        let found = queries::found(tx, tenant, filter, sort, page).await?;
        return Ok((found, queries::count_found(tx, tenant, filter).await?));
    }
    let mut counts = queries::counts(tx, tenant).await?;
    counts.retain(|count| {
        filter.which.has(count.state)
            && filter.family.is_none_or(|family| family == count.family)
            && filter.kind.is_none_or(|kind| kind == count.kind)
    });
    let total = counts.iter().map(|count| count.entries).sum();
    let placed = |count: &Count| count.entries == 0 || count.state.has_address();
    let known = (total, counts.iter().all(placed));
    let found = queries::page_of(tx, marks, tenant, filter, sort, page, known).await?;
    Ok((found, total))
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
