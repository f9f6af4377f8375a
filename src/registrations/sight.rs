//! A registration is a sighting: the address it comes from is in use, by that device.
//!
//! Only what IPAM does not know yet is told to it, or what it was told long ago. An address that is
//! in no subnet is told only if it is one of a network of one's own: the router of somebody who
//! works at home is nobody's orphan.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::audit::{Actor, Via};
use crate::id::TenantId;
use crate::ipam::addresses::{self, Holder, HolderKind, Refusal};
use crate::ipam::observe::{Sighting, What, seen};
use crate::ipam::space::Space;
use crate::ipam::subnets;
use crate::lifecycle;
use crate::net::{Address, Mac};
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

use super::queries;

/// Seconds after which IPAM is told again that somebody is still there.
const AGAIN: i64 = 15 * 60;
/// Addresses told in one transaction.
const BATCH: usize = 128;

/// What IPAM was told of late: of some addresses it keeps nothing (a router's), and it would be told
/// in vain each time.
#[derive(Debug, Default)]
pub struct Told(HashMap<(TenantId, Address), (Timestamp, Option<Mac>)>);

/// Tells IPAM of every registered device that it does not know; returns how many addresses.
pub async fn tell(state: &State, told: &mut Told) -> Result<usize, Error> {
    let now = state.clock.now();
    told.0.retain(|_, (at, _)| now.since(*at) < AGAIN);
    let mut tx = state.read().await?;
    let unseen = queries::unseen(&mut tx, now.plus(-AGAIN)).await?;
    let mut news: Vec<(TenantId, Vec<Sighting>)> = Vec::new();
    for (tenant, address, mac, waited) in unseen {
        let known = told.0.get(&(tenant, address)).is_some_and(|(_, known)| *known == mac);
        if known && !waited {
            continue;
        }
        told.0.insert((tenant, address), (now, mac));
        if !is_own(address) && subnets::around(&mut tx, tenant, address).await?.is_none() {
            continue;
        }
        let sighting = Sighting { mac, ..Sighting::new(address, now, What::Present) };
        match news.last_mut().filter(|(of, _)| *of == tenant) {
            Some((_, sightings)) => sightings.push(sighting),
            None => news.push((tenant, vec![sighting])),
        }
    }
    drop(tx);
    let mut count = 0;
    for (tenant, sightings) in news {
        for batch in sightings.chunks(BATCH) {
            if let Err(error) = write(state, tenant, batch).await {
                // Whatever was not written is told again.
                for sighting in batch {
                    told.0.remove(&(tenant, sighting.address));
                }
                return Err(error);
            }
            count += batch.len();
        }
    }
    Ok(count)
}

/// One transaction: the addresses are in use, and what was given to a phone that now is where it
/// should be has begun.
async fn write(state: &State, tenant: TenantId, batch: &[Sighting]) -> Result<(), Error> {
    let actor = Actor { tenant, ..Actor::local("Patchbay", Via::System) };
    let mut change = state.change(&actor).await?;
    let mut space = Space::open(&mut change, state.vault.entropy()).await?;
    seen(&mut space, batch).await.map_err(fault)?;
    for sighting in batch {
        let Some(mac) = sighting.mac else { continue };
        let record = addresses::get(space.tx(), tenant, sighting.address).await?;
        let holder = record.and_then(|record| record.holder);
        let own = |holder: &Holder| holder.kind == HolderKind::Phone && holder.id == mac.hex();
        if let Some(holder) = holder.filter(own) {
            let begun = lifecycle::first_register(&mut space, &holder).await;
            begun.map_err(lifecycle::Refusal::into_fault)?;
        }
    }
    space.close().await?;
    Ok(change.commit_seen().await?)
}

/// Nobody can refuse to be seen: whatever goes wrong is a fault.
fn fault(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Fault(error) => error,
        other => Error::Io(std::io::Error::other(other.to_string())),
    }
}

/// Whether an address is of a network of one's own (RFC 1918, RFC 4193, link-local).
fn is_own(address: Address) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_on_the_internet_is_not_of_ones_own_network() {
        for own in ["10.0.1.20", "192.168.7.7", "172.16.0.1", "169.254.3.4", "fd00::1", "fe80::1"] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        for other in ["198.51.100.7", "127.0.0.1", "100.64.0.1", "2001:db8::1", "::1"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }
}
