//! Prefix pools: blocks of IPv6 out of which whole prefixes are delegated (RFC 8415 6.3).
//!
//! What is free of a pool is kept as ranges, each with the length of the largest aligned block in
//! it. The lowest range in which a prefix fits is then found by one step for each length, however
//! many prefixes are out; the lowest aligned block in it is taken. Who has a prefix is not known
//! here; a prefix is free, held back, or somebody's.
//!
//! No pool overlaps another, nor any pool of addresses, so no address is given out twice.

pub mod api;
mod queries;
mod types;
pub mod web;

use serde_json::json;

use super::addresses::Note;
use super::space::Space;
use super::subnets;
use crate::audit::{Actor, Event, Via};
use crate::db::{Result, Tx};
use crate::id::{PrefixPoolId, TenantId};
use crate::net::{self, Address, Cidr, Family, Range};
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

pub use types::{BadPoolName, BadPrefixLength, Hold, NewPool, PoolName, PrefixLength, PrefixPool};
use types::{fits, lowest_in, units};

/// The shortest and the longest block a pool may be.
const LENGTHS: std::ops::RangeInclusive<u8> = 16..=63;

/// Why something cannot be done with a prefix or a pool.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another pool is called so.
    #[error("another prefix pool is called {0}")]
    NameTaken(PoolName),
    /// The block is not free for a pool.
    #[error("{cidr} overlaps {other}")]
    Overlaps {
        /// The block.
        cidr: Cidr,
        /// What has some of it.
        other: String,
    },
    /// A field does not fit.
    #[error("{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Prefixes of it are out or held back.
    #[error("prefixes of {0} are delegated or held back; revoke and release them first")]
    InUse(PoolName),
    /// No block of that length is left.
    #[error("{pool} has no /{length} left")]
    Full {
        /// Where.
        pool: String,
        /// What was asked for.
        length: u8,
    },
    /// Somebody has it, or some of it.
    #[error("{0} is not free, or not all of it")]
    Taken(Cidr),
    /// It is held back, or some of it.
    #[error("{cidr} is not free: {held} is held back, {reason}")]
    Held {
        /// Which.
        cidr: Cidr,
        /// What of it.
        held: Cidr,
        /// Why.
        reason: String,
    },
    /// It is not where it was looked for.
    #[error("{cidr} is not in {pool}")]
    Elsewhere {
        /// Which.
        cidr: Cidr,
        /// Where.
        pool: String,
    },
    /// There is no such pool, or no such prefix held back.
    #[error("there is no such {0}")]
    Missing(&'static str),
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
    /// The field it is about.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::NameTaken(_) => Some("name"),
            Self::Overlaps { .. } | Self::Taken(_) | Self::Held { .. } | Self::Elsewhere { .. } => {
                Some("cidr")
            }
            Self::Field { field, .. } => Some(field),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// A prefix that was taken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The prefix.
    pub cidr: Cidr,
    /// The pool it came from.
    pub pool: PrefixPoolId,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The lowest free one of this length; without one of the pool's own.
    Lowest(Option<PrefixLength>),
    /// This one.
    This(Cidr),
}

/// The pools of the tenant in the order of their blocks.
pub async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<PrefixPool>> {
    queries::list(tx, tenant).await
}

/// One pool of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: PrefixPoolId) -> Result<Option<PrefixPool>> {
    queries::get(tx, tenant, id).await
}

/// The prefixes of a pool that are held back, in their order, at most `limit`.
pub async fn holds(tx: &mut Tx, id: PrefixPoolId, limit: i64) -> Result<Vec<Hold>> {
    queries::holds(tx, id, limit).await
}

/// The pool that has some of a range, if one has.
pub async fn overlapping(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<Option<PrefixPool>> {
    queries::overlapping(tx, tenant, range).await
}

/// Makes a pool, all of it free.
pub async fn create(space: &mut Space<'_>, new: &NewPool) -> Outcome<PrefixPool> {
    fitting(new)?;
    let (tenant, range) = (space.tenant(), new.cidr.range());
    if queries::named(space.tx(), tenant, &new.name.key()).await? {
        return Err(Refusal::NameTaken(new.name.clone()));
    }
    let overlaps = |other: String| Err(Refusal::Overlaps { cidr: new.cidr, other });
    if let Some(other) = overlapping(space.tx(), tenant, range).await? {
        return overlaps(format!("the prefix pool {} ({})", other.name, other.cidr));
    }
    let inside = subnets::inside(space.tx(), tenant, range).await?;
    if let Some(other) = inside.first() {
        return overlaps(format!("the subnet {} ({})", other.name, other.cidr));
    }
    if queries::gives_addresses(space.tx(), tenant, range).await? {
        return overlaps("a pool of addresses; exclude the block from its subnet first".to_owned());
    }
    let pool = PrefixPool {
        id: space.new_id()?,
        name: new.name.clone(),
        cidr: new.cidr,
        delegated: new.delegated,
        free: units(range),
        created_at: space.at(),
    };
    queries::insert(space, &pool).await?;
    queries::add_gap(space.tx(), pool.id, range, new.cidr.length()).await?;
    space.record(event("prefix_pool.created", &pool).after(describe(&pool)));
    Ok(pool)
}

fn fitting(new: &NewPool) -> Outcome<()> {
    let refuse = |field, why: &str| Err(Refusal::Field { field, why: why.to_owned() });
    if new.cidr.family() != Family::V6 {
        return refuse(
            "cidr",
            "prefixes are delegated in IPv6 only; use a block such as 2001:db8::/32",
        );
    }
    if !LENGTHS.contains(&new.cidr.length()) {
        return refuse("cidr", "use a block from /16 to /63");
    }
    if new.delegated.bits() <= new.cidr.length() {
        return refuse("delegated", "a prefix must be smaller than its pool");
    }
    Ok(())
}

/// Removes a pool of which everything is free. Returns what it was.
pub async fn delete(space: &mut Space<'_>, id: PrefixPoolId) -> Outcome<PrefixPool> {
    let tenant = space.tenant();
    let pool = get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing("prefix pool"))?;
    if pool.free != pool.size() {
        return Err(Refusal::InUse(pool.name));
    }
    queries::delete(space.tx(), id).await?;
    space.record(event("prefix_pool.deleted", &pool).before(describe(&pool)));
    Ok(pool)
}

/// Takes a prefix out of a pool, or out of the first of the tenant's pools that has one.
pub async fn take(space: &mut Space<'_>, pool: Option<PrefixPoolId>, wish: Wish) -> Outcome<Taken> {
    let tenant = space.tenant();
    let pools = match pool {
        Some(id) => {
            vec![get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing("prefix pool"))?]
        }
        None => list(space.tx(), tenant).await?,
    };
    match wish {
        Wish::This(cidr) => this(space, &pools, cidr).await,
        Wish::Lowest(length) => lowest(space, &pools, length).await,
    }
}

async fn this(space: &mut Space<'_>, pools: &[PrefixPool], cidr: Cidr) -> Outcome<Taken> {
    let around = pools.iter().find(|pool| pool.cidr.covers(cidr) && pool.cidr != cidr);
    let pool = around.ok_or_else(|| Refusal::Elsewhere { cidr, pool: named(pools) })?;
    let gap = queries::gap_before(space.tx(), pool.id, cidr.network()).await?;
    let Some(gap) = gap.filter(|gap| gap.covers(cidr.range())) else {
        return Err(match queries::held_within(space.tx(), pool.id, cidr.range()).await? {
            Some(Hold { cidr: held, reason, .. }) => Refusal::Held { cidr, held, reason },
            None => Refusal::Taken(cidr),
        });
    };
    take_out(space, pool.id, gap, cidr).await
}

async fn lowest(
    space: &mut Space<'_>,
    pools: &[PrefixPool],
    length: Option<PrefixLength>,
) -> Outcome<Taken> {
    for pool in pools {
        let length = length.unwrap_or(pool.delegated).bits();
        let Some(gap) = queries::lowest_fitting(space.tx(), pool.id, length).await? else {
            continue;
        };
        if let Some(cidr) = lowest_in(gap, length) {
            return take_out(space, pool.id, gap, cidr).await;
        }
    }
    let usual = pools.first().map_or(PrefixLength::USUAL, |pool| pool.delegated);
    Err(Refusal::Full { pool: named(pools), length: length.unwrap_or(usual).bits() })
}

/// Pools, for a sentence.
fn named(pools: &[PrefixPool]) -> String {
    match pools {
        [] => "this installation, which has no prefix pool,".to_owned(),
        [pool] => format!("{} ({})", pool.name, pool.cidr),
        _ => "any prefix pool".to_owned(),
    }
}

async fn take_out(
    space: &mut Space<'_>,
    pool: PrefixPoolId,
    gap: Range,
    cidr: Cidr,
) -> Outcome<Taken> {
    queries::remove_gap(space.tx(), pool, gap).await?;
    for rest in net::subtract(&[gap], &[cidr.range()]) {
        add(space, pool, rest).await?;
    }
    queries::move_free(space.tx(), pool, -units(cidr.range())).await?;
    Ok(Taken { cidr, pool })
}

async fn add(space: &mut Space<'_>, pool: PrefixPoolId, range: Range) -> Outcome<()> {
    let Some(length) = fits(range) else {
        return Err(sqlx::Error::Protocol(format!("{range} holds no prefix")).into());
    };
    Ok(queries::add_gap(space.tx(), pool, range, length).await?)
}

/// A prefix is free again. Ranges that touch grow together.
pub async fn give_back(space: &mut Space<'_>, pool: PrefixPoolId, cidr: Cidr) -> Outcome<()> {
    let mut range = cidr.range();
    let before = match range.first().previous() {
        Some(end) => {
            queries::gap_before(space.tx(), pool, end).await?.filter(|gap| gap.last() == end)
        }
        None => None,
    };
    let after = match range.last().next() {
        Some(begin) => queries::gap_at(space.tx(), pool, begin).await?,
        None => None,
    };
    for gap in before.into_iter().chain(after) {
        queries::remove_gap(space.tx(), pool, gap).await?;
        let (first, last) = (range.first().min(gap.first()), range.last().max(gap.last()));
        range = Range::new(first, last).unwrap_or(range);
    }
    add(space, pool, range).await?;
    Ok(queries::move_free(space.tx(), pool, units(cidr.range())).await?)
}

/// A prefix somebody had is held back, until a time or until somebody releases it.
pub async fn hold(
    space: &mut Space<'_>,
    pool: PrefixPoolId,
    cidr: Cidr,
    reason: &Note,
    until: Option<Timestamp>,
) -> Outcome<()> {
    Ok(queries::hold(space, pool, cidr, &reason.to_string(), until).await?)
}

/// A prefix that was held back is free again.
pub async fn release(space: &mut Space<'_>, pool: PrefixPoolId, network: Address) -> Outcome<Cidr> {
    let tenant = space.tenant();
    let pool = get(space.tx(), tenant, pool).await?.ok_or(Refusal::Missing("prefix pool"))?;
    let held = queries::unhold(space.tx(), pool.id, network).await?;
    let cidr = held.ok_or(Refusal::Missing("prefix that is held back"))?;
    give_back(space, pool.id, cidr).await?;
    space.record(Event::new("prefix.released", &cidr, &cidr));
    Ok(cidr)
}

/// Frees every prefix whose quarantine is over. Run now and then; returns how many.
pub async fn expire(state: &State) -> Outcome<usize> {
    const AT_ONCE: i64 = 200;
    let ended = queries::ended(&mut state.read().await?, state.clock.now(), AT_ONCE).await?;
    let mut freed = 0;
    for (tenant, pool, network) in ended {
        let actor = Actor { tenant, ..Actor::local("Patchbay", Via::System) };
        let mut change = state.change(&actor).await?;
        let mut space = Space::open(&mut change, state.vault.entropy()).await?;
        match release(&mut space, pool, network).await {
            Ok(_) => freed += 1,
            // Another instance was faster.
            Err(Refusal::Missing(_)) => continue,
            Err(refusal) => return Err(refusal),
        }
        space.close().await?;
        change.commit().await?;
    }
    Ok(freed)
}

fn event(action: &'static str, pool: &PrefixPool) -> Event {
    Event::new(action, &format!("{} ({})", pool.name, pool.cidr), &pool.id)
}

fn describe(pool: &PrefixPool) -> serde_json::Value {
    json!({
        "name": pool.name.to_string(),
        "cidr": pool.cidr.to_string(),
        "delegated": format!("/{}", pool.delegated),
    })
}
