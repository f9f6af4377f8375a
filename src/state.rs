//! What every request needs, whatever it asks for.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{Actor, ChainKey, Change};
use crate::db::{Db, Result, Tx};
use crate::net::Cidr;
use crate::secrets::Vault;
use crate::time::Clock;

/// The parts of the program below all features. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Secrets and randomness.
    pub vault: Vault,
    /// The audit log's key.
    pub chain: ChainKey,
    /// How browsers reach Patchbay.
    pub public_url: String,
    /// How phones do.
    pub phones_url: String,
    /// Proxies that are believed when they say whom they speak for.
    pub proxies: Arc<[Cidr]>,
    /// Where files of Patchbay's own live.
    pub data_dir: PathBuf,
}

impl State {
    /// A snapshot to read from.
    pub async fn read(&self) -> Result<Tx> {
        self.db.read().await
    }

    /// A change on `actor`'s behalf.
    pub async fn change(&self, actor: &Actor) -> Result<Change> {
        Change::begin(&self.db, &self.chain, self.clock.now(), actor).await
    }

    /// Whether browsers reach Patchbay over TLS.
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}
