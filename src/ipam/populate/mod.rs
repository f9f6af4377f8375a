//! `patchbay ipam populate`: the addresses of hosts, brought up to date.
//!
//! Where every address has a row, such a command makes the rows of the static pools, writes hosts
//! into them and counts what it did. Here a free address has no row, and hosts have their
//! addresses as soon as they are saved. The words keep their meaning nevertheless:
//!
//! - A *record* is an address that a list shows: an address of a static pool, free or not, and any
//!   other that somebody has.
//! - *Created* are the records that were none when the command last ran: addresses of static pools
//!   laid since, and addresses that hosts got outside them since. Run twice, it creates nothing the
//!   second time. What it counted is kept in the table `populated`.
//! - *Updated* are the records of static pools that hosts hold, which say what the hosts say.
//!
//! All of it is one transaction, under the tenant's lock; where all is as it should be, nothing is
//! written at all.

mod queries;

use std::collections::BTreeSet;

use serde_json::json;

use super::addresses::{self, Stats};
use super::class::Status;
use super::hosts;
use super::space::{Space, withheld};
use super::subnets::{self, PoolKind};
use super::tally::{self, Scope};
use crate::audit::{Change, Event};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::{self, Range};
use crate::secrets::Entropy;
use crate::web::Error;

/// Rows read at a time.
const STRIDE: i64 = 1_000;

/// What goes before hosts are given their addresses anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear {
    /// Nothing.
    Nothing,
    /// Every record but reservations and quarantines.
    Holders,
    /// Every record.
    Everything,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records cleared before.
    pub cleared: u64,
    /// Addresses of static pools that were no records before.
    pub created: u128,
    /// Addresses of static pools that hosts hold.
    pub updated: u128,
    /// Addresses that hosts hold outside static pools and that were no records before.
    pub created_elsewhere: u128,
    /// All records by status.
    pub stats: Stats,
    /// Hosts with an address that another has or claims.
    pub conflicts: i64,
    /// Hosts with an address in no subnet.
    pub orphans: i64,
}

/// Gives every host the addresses it names, as saving it would. The caller commits, if there is
/// anything to commit.
pub async fn run(
    change: &mut Change,
    entropy: &Entropy,
    clear: Clear,
) -> std::result::Result<Figures, Error> {
    let tenant = change.tenant();
    let mut space = Space::open(change, entropy).await?;
    let before = queries::counted(space.tx(), tenant).await?;
    let mut figures = Figures::default();
    let mut known = before.clone();
    if clear != Clear::Nothing {
        known = clear_all(&mut space, clear, &mut figures).await?;
    }
    let held = settle_all(&mut space).await?;
    let statics = static_space(space.tx(), tenant).await?;
    let outside = net::subtract(&held, &statics);
    figures.updated = net::total(&held) - net::total(&outside);
    figures.created = net::total(&net::subtract(&statics, &known));
    figures.created_elsewhere = net::total(&net::subtract(&outside, &known));
    let now = net::normalised([statics, outside].concat());
    if now != before || figures.cleared > 0 {
        queries::count(space.tx(), tenant, &now).await?;
        space.record(event(tenant, &figures));
    }
    space.close().await?;
    figures.stats = Stats::of(&tally::of(change.tx(), tenant, &Scope::tenant()).await?);
    (_, figures.conflicts, figures.orphans) = hosts::counts(change.tx(), tenant).await?;
    Ok(figures)
}

fn event(tenant: TenantId, figures: &Figures) -> Event {
    Event::new("ipam.populated", &"addresses of hosts", &tenant).after(json!({
        "cleared": figures.cleared,
        "created": figures.created.to_string(),
        "updated": figures.updated.to_string(),
        "created_elsewhere": figures.created_elsewhere.to_string(),
    }))
}

/// Removes records; those that stay are returned.
async fn clear_all(
    space: &mut Space<'_>,
    clear: Clear,
    figures: &mut Figures,
) -> std::result::Result<Vec<Range>, Error> {
    let tenant = space.tenant();
    let (mut kept, mut touched, mut last) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let records = addresses::after(space.tx(), tenant, last, STRIDE).await?;
        let Some(highest) = records.last() else { break };
        last = Some(highest.address);
        for record in &records {
            let stays = matches!(record.status, Status::Reserved | Status::Quarantine);
            // Assigned addresses are for their assignments to end.
            if record.assignment.is_some() || (stays && clear == Clear::Holders) {
                kept.push(Range::single(record.address));
                continue;
            }
            addresses::erase(space, record).await.map_err(fault)?;
            touched.extend(record.subnet);
            figures.cleared += 1;
        }
        space.flush().await?;
    }
    for id in touched {
        if let Some(subnet) = subnets::get(space.tx(), tenant, id).await? {
            space.refill(&subnet).await?;
        }
    }
    Ok(net::normalised(kept))
}

/// Every host claims what it names. Returns what they hold in subnets.
async fn settle_all(space: &mut Space<'_>) -> std::result::Result<Vec<Range>, Error> {
    let tenant = space.tenant();
    let (mut held, mut last) = (Vec::new(), None);
    loop {
        let hosts = hosts::after(space.tx(), tenant, last, STRIDE).await?;
        let Some(newest) = hosts.last() else { break };
        last = Some(newest.id);
        for host in &hosts {
            let records = hosts::settle(space, host).await.map_err(unexpected)?;
            let placed = records.into_iter().filter(|record| record.subnet.is_some());
            held.extend(placed.map(|record| Range::single(record.address)));
        }
    }
    Ok(net::normalised(held))
}

/// A claim is never refused: whatever else goes wrong is a fault.
fn fault(refusal: addresses::Refusal) -> Error {
    match refusal {
        addresses::Refusal::Fault(error) => error,
        other => sqlx::Error::Protocol(other.to_string()).into(),
    }
}

fn unexpected(refusal: hosts::Refusal) -> Error {
    match refusal {
        hosts::Refusal::Fault(error) => error,
        other => sqlx::Error::Protocol(other.to_string()).into(),
    }
}

/// What static pools give out, free or not.
async fn static_space(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Range>> {
    let mut space = Vec::new();
    for subnet in subnets::all(tx, tenant).await? {
        let pools = subnets::pools(tx, subnet.id).await?;
        let mut holes = withheld(&subnet, &pools);
        holes.extend(subnets::ranges_inside(tx, tenant, subnet.id).await?);
        let statics = pools.iter().filter(|pool| pool.kind == PoolKind::Static);
        let statics: Vec<Range> = statics.map(|pool| pool.range).collect();
        space.extend(net::subtract(&statics, &holes));
    }
    Ok(net::normalised(space))
}
