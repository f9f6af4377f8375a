//! Asking for a sweep, stopping one, and how often one is made. Whoever does it is in `runner`.

use serde_json::{Value, json};

use super::queries;
use super::types::{Settings, Sweep};
use crate::audit::{Change, Event};
use crate::db::Tx;
use crate::id::{SubnetId, SweepId, TenantId};
use crate::ipam::subnets::{self, Subnet};
use crate::net::{self, Address, Family};
use crate::secrets::Entropy;
use crate::time::Timestamp;
use crate::web::Error;

/// Most addresses of one sweep.
pub const MOST: u32 = 65_536;

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Too many addresses.
    #[error(
        "{subnet} has {size} addresses, and a sweep asks at most 65536: sweep the subnets inside it"
    )]
    TooLarge {
        /// Where.
        subnet: String,
        /// How many there are.
        size: u128,
    },
    /// No addresses.
    #[error(
        "{0} has no known address: a sweep of IPv6 asks only the addresses that somebody has or that were seen"
    )]
    Nothing(String),
    /// One is under way.
    #[error("{} is being swept already, for {}", .0.label, .0.actor)]
    UnderWay(Box<Sweep>),
    /// It is over.
    #[error("this sweep is over")]
    Over,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What comes of asking for something.
pub(super) type Outcome<T> = std::result::Result<T, Refusal>;

/// The addresses a sweep of a subnet asks: for IPv4 all that a machine can have and that belong to
/// no smaller subnet inside, for IPv6 those that have a row.
pub(super) async fn addresses(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: &Subnet,
) -> Outcome<Vec<Address>> {
    let label = || format!("{} ({})", subnet.name, subnet.cidr);
    let size = |size| Refusal::TooLarge { subnet: label(), size };
    let found: Vec<Address> = if subnet.cidr.family() == Family::V6 {
        let ends = (subnet.cidr.network(), subnet.cidr.last());
        let limit = i64::from(MOST) + 1;
        let known = queries::known(tx, tenant, ends, subnet.id, limit).await?;
        if known.len() > usize::try_from(MOST).unwrap_or(usize::MAX) {
            return Err(size(u128::try_from(known.len()).unwrap_or(u128::MAX)));
        }
        known
    } else {
        let inside = subnets::ranges_inside(tx, tenant, subnet.id).await?;
        let own = net::subtract(&[subnet.cidr.usable()], &inside);
        let total: u128 = own.iter().map(|range| range.size()).sum();
        if total > u128::from(MOST) {
            return Err(size(total));
        }
        own.into_iter().flat_map(net::Range::iter).collect()
    };
    if found.is_empty() { Err(Refusal::Nothing(label())) } else { Ok(found) }
}

/// Asks for a sweep; some serving process will do it.
pub async fn start(change: &mut Change, entropy: &Entropy, id: SubnetId) -> Outcome<Sweep> {
    let actor = change.actor().name.clone();
    let sweep = queue(change, entropy, id, &actor).await?;
    let started = Event::new("sweep.started", &sweep.label, &sweep.subnet);
    change.record(started.after(json!({ "addresses": sweep.total, "per_second": sweep.pace })));
    Ok(sweep)
}

/// As [`start`], without a line in the log.
pub(super) async fn queue(
    change: &mut Change,
    entropy: &Entropy,
    id: SubnetId,
    actor: &str,
) -> Outcome<Sweep> {
    let (tenant, now) = (change.tenant(), change.at());
    let tx = change.tx();
    let subnet = subnets::get(tx, tenant, id).await?.ok_or(Refusal::Missing("subnet"))?;
    let total = addresses(tx, tenant, &subnet).await?.len();
    let settings = settings(tx, tenant, id).await?;
    let sweep: SweepId = entropy.id(now).map(SweepId::from).map_err(Error::Io)?;
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    let new = queries::New { id: sweep, subnet: id, pace: settings.pace, total, actor };
    if !queries::insert(tx, tenant, new, now).await? {
        let other = queries::of_subnet(tx, tenant, id).await?;
        // It ended this very moment: as good as any other moment to say that it is being done.
        return Err(other.map_or(Refusal::Over, |other| Refusal::UnderWay(Box::new(other))));
    }
    let sweep = queries::get(tx, tenant, sweep).await?;
    sweep.ok_or(Refusal::Missing("sweep"))
}

/// Asks a sweep to end. What it has found is kept.
pub async fn stop(change: &mut Change, id: SweepId) -> Outcome<Sweep> {
    let (tenant, now) = (change.tenant(), change.at());
    let missing = Refusal::Missing("sweep");
    let sweep = queries::get(change.tx(), tenant, id).await?.ok_or(missing)?;
    if !queries::stop(change.tx(), tenant, id, now).await? {
        return Err(Refusal::Over);
    }
    change.record(Event::new("sweep.stopped", &sweep.label, &sweep.subnet));
    let sweep = queries::get(change.tx(), tenant, id).await?;
    sweep.ok_or(Refusal::Missing("sweep"))
}

/// How a subnet is looked at.
pub async fn settings(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: SubnetId,
) -> crate::db::Result<Settings> {
    Ok(queries::settings(tx, tenant, subnet).await?.unwrap_or_default())
}

/// Changes how a subnet is looked at. The first of its regular sweeps is due at once.
pub async fn schedule(change: &mut Change, id: SubnetId, new: &Settings) -> Outcome<()> {
    let (tenant, now) = (change.tenant(), change.at());
    let tx = change.tx();
    let subnet = subnets::get(tx, tenant, id).await?.ok_or(Refusal::Missing("subnet"))?;
    let old = settings(tx, tenant, id).await?;
    if old == *new {
        return Ok(());
    }
    if new.minutes.is_some() {
        match addresses(tx, tenant, &subnet).await {
            // Those of IPv6 may come to be known.
            Ok(_) | Err(Refusal::Nothing(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    queries::set(tx, tenant, id, new, new.minutes.map(|_| now)).await?;
    let label = format!("{} ({})", subnet.name, subnet.cidr);
    let event = Event::new("subnet.observed", &label, &id);
    change.record(event.before(describe(&old)).after(describe(new)));
    Ok(())
}

fn describe(settings: &Settings) -> Value {
    json!({
        "sweep_every_minutes": settings.minutes,
        "pings_per_second": settings.pace,
        "forget_after_days": settings.keep_days,
    })
}

/// Begins what is due, in every tenant; once, whatever number of processes ask.
pub(super) async fn begin_due(state: &crate::state::State) -> Outcome<()> {
    let now = state.clock.now();
    for due in queries::due(&mut state.read().await?, now).await? {
        let actor = super::runner::actor(due.tenant);
        let mut change = state.change(&actor).await?;
        let next: Timestamp = now.plus(due.minutes * 60);
        if !queries::postpone(change.tx(), &due, next).await? {
            continue;
        }
        match queue(&mut change, state.vault.entropy(), due.subnet, &actor.name).await {
            Ok(_) | Err(Refusal::UnderWay(_) | Refusal::Nothing(_) | Refusal::Over) => {}
            Err(Refusal::Fault(error)) => return Err(error.into()),
            Err(refusal) => {
                tracing::warn!(subnet = %due.subnet, why = %refusal, "a sweep is due and cannot be");
            }
        }
        change.commit_seen().await?;
    }
    Ok(())
}
