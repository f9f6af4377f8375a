//! What DHCP servers have leased, read from their files.

use crate::audit::{Change, Event};
use crate::ipam::addresses;
use crate::ipam::space::Space;
use crate::net::{Address, Mac};
use crate::probe::leases::{self, Fault, Lease, LeaseState, LeasesError};
use crate::secrets::Entropy;
use crate::time::Timestamp;
use crate::web::Error;

use super::types::{Found, Sighting, What};

/// Bytes of a lease file that are read.
pub const FILE_LIMIT: usize = 64 << 20;
/// Most leases of one file.
pub const MOST: usize = 200_000;
/// Leases between two times the log is written.
const BATCH: usize = 500;

/// What a file of leases says, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Leases in the file, one for each address.
    pub leases: usize,
    /// Those that run.
    pub running: usize,
    /// What came of them.
    pub found: Found,
    /// Lines that were not read: the first ones.
    pub faults: Vec<Fault>,
    /// How many lines were not read.
    pub faulty: usize,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is no file of leases.
    #[error(transparent)]
    Unreadable(#[from] LeasesError),
    /// It has too many.
    #[error("the file has more than 200000 leases; divide it")]
    TooMany,
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Takes every lease of a file as a sighting, all in one change. The caller commits it, or drops
/// it to have only asked what would happen.
pub async fn import(
    change: &mut Change,
    entropy: &Entropy,
    content: &[u8],
) -> Result<Summary, Refusal> {
    let read = leases::parse(content)?;
    if read.leases.len() > MOST {
        return Err(Refusal::TooMany);
    }
    let now = change.at();
    let mut summary = Summary {
        leases: read.leases.len(),
        faults: read.faults,
        faulty: read.faulty,
        ..Summary::default()
    };
    let sightings: Vec<Sighting> =
        read.leases.into_values().map(|lease| sighting(lease, now)).collect();
    let runs = |sighting: &&Sighting| matches!(sighting.what, What::Leased(_));
    summary.running = sightings.iter().filter(runs).count();
    let mut space = Space::open(change, entropy).await?;
    for batch in sightings.chunks(BATCH) {
        let found = super::seen(&mut space, batch).await.map_err(|refusal| match refusal {
            addresses::Refusal::Fault(error) => error,
            other => Error::Io(std::io::Error::other(other.to_string())),
        })?;
        add(&mut summary.found, found);
    }
    let event = Event::new("leases.imported", &format!("{} leases", summary.leases), &"");
    space.record(event.note(format!("{} run", summary.running)));
    space.close().await?;
    Ok(summary)
}

fn add(sum: &mut Found, more: Found) {
    let Found { seen, new, gone, conflicts, leased, ended, orphans } = more;
    sum.seen += seen;
    sum.new += new;
    sum.gone += gone;
    sum.conflicts += conflicts;
    sum.leased += leased;
    sum.ended += ended;
    sum.orphans += orphans;
}

fn sighting(lease: Lease, now: Timestamp) -> Sighting {
    let expires = lease.expires.map(Timestamp);
    let what = match lease.state {
        LeaseState::Declined => What::Declined,
        LeaseState::InUse if expires.is_none_or(|expires| expires > now) => What::Leased(expires),
        LeaseState::InUse | LeaseState::Expired | LeaseState::Other(_) => What::Ended,
    };
    Sighting {
        // Whoever has a MAC that no device can have is known by the address alone.
        mac: lease.mac.and_then(|mac| mac.parse::<Mac>().ok()),
        hostname: lease.hostname.and_then(|name| name.parse().ok()).unwrap_or_default(),
        ..Sighting::new(Address::from(lease.address), now, what)
    }
}
