//! The name that DNS has for an address, looked up when somebody asks.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::seen::seen;
use super::types::{Found, Sighting, What};
use crate::auth::Operator;
use crate::db::Tx;
use crate::id::TenantId;
use crate::ipam::addresses::{Hostname, Outcome};
use crate::ipam::space::Space;
use crate::ipam::subnets;
use crate::net::Address;
use crate::probe::names::{self, NameError, RESOLV_CONF};
use crate::secrets::Entropy;

/// How long one server may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The only port that servers are asked at: administrators choose the addresses, and shall reach
/// no other service of their choice through Patchbay.
const PORT: u16 = 53;
/// Most servers asked.
const MOST: usize = 3;

/// What DNS says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is called so.
    Called(Hostname),
    /// It has no name, or none that is plainly one.
    Nameless,
    /// Nobody could be asked; the sentence says why.
    Unknown(String),
}

impl Named {
    /// Whether it is called something else than is written.
    pub fn differs(&self, written: &Hostname) -> bool {
        matches!(self, Self::Called(name) if !written.is_empty() && !name.agrees(written))
    }
}

/// Asks what an address is called, and compares that with what is written. Takes a few seconds at
/// most.
pub async fn look_up(by: &Operator, address: Address) -> Outcome<Named> {
    let entropy = by.state().vault.entropy();
    // Whoever waits for an answer keeps no snapshot of the database open.
    let servers = servers(&mut by.read().await?, by.tenant(), address).await?;
    let named = name_of(entropy, address, &servers).await;
    if let Named::Called(name) = &named {
        let mut change = by.change().await?;
        let mut space = Space::open(&mut change, entropy).await?;
        called(&mut space, address, name).await?;
        space.close().await?;
        change.commit_seen().await?;
    }
    Ok(named)
}

/// Takes note of what DNS calls an address.
pub async fn called(space: &mut Space<'_>, address: Address, name: &Hostname) -> Outcome<Found> {
    let sighting = Sighting::new(address, space.at(), What::Named);
    seen(space, &[Sighting { hostname: name.clone(), ..sighting }]).await
}

/// The servers for an address: those of the smallest subnet around it that names any, else those
/// of this machine.
async fn servers(
    tx: &mut Tx,
    tenant: TenantId,
    address: Address,
) -> crate::db::Result<Vec<SocketAddr>> {
    let mut subnet = subnets::around(tx, tenant, address).await?;
    while let Some(around) = subnet {
        if !around.dns.0.is_empty() {
            let all = around.dns.0.into_iter().take(MOST);
            return Ok(all.map(|server| SocketAddr::new(server.ip(), PORT)).collect());
        }
        subnet = match around.parent {
            Some(parent) => subnets::get(tx, tenant, parent).await?,
            None => None,
        };
    }
    Ok(names::system_servers(Path::new(RESOLV_CONF)).await.unwrap_or_default())
}

/// Looks the name of an address up. Takes a few seconds at most.
pub async fn name_of(entropy: &Entropy, address: Address, servers: &[SocketAddr]) -> Named {
    let id = match entropy.bytes() {
        Ok(bytes) => u16::from_be_bytes(bytes),
        Err(error) => return Named::Unknown(error.to_string()),
    };
    match names::reverse(address.ip(), servers, id, TIMEOUT).await {
        Ok(Some(name)) => name.parse().map_or(Named::Nameless, Named::Called),
        Ok(None) => Named::Nameless,
        Err(NameError::NoServer) => Named::Unknown(NameError::NoServer.to_string()),
        Err(error) => {
            let asked: Vec<String> = servers.iter().map(|to| to.ip().to_string()).collect();
            Named::Unknown(format!("{error} ({})", asked.join(", ")))
        }
    }
}
