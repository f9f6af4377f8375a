//! What every request needs, whatever it asks for.

mod bookmarks;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::{Actor, ChainKey, Change};
use crate::db::{Db, Result, Tx};
use crate::id::TenantId;
use crate::net::Cidr;
use crate::secrets::Vault;
use crate::time::Clock;

pub use bookmarks::{Bookmarks, From, Way};

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
    /// What was counted of each tenant.
    pub counted: Counted,
    /// Where in long lists the rows are that were shown of late.
    pub bookmarks: Bookmarks,
}

/// What takes a walk over all a tenant has, kept until something changed: each sort of it with the
/// number of the newest change it was found at. Cheap to clone.
#[derive(Clone, Default)]
pub struct Counted(Arc<Mutex<HashMap<(TypeId, TenantId), At>>>);

/// Figures, and the newest change when they were counted.
type At = (i64, Box<dyn Any + Send>);

impl Counted {
    /// What was counted when `change` was the newest.
    pub fn get<T: Clone + Send + 'static>(&self, tenant: TenantId, change: i64) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, figures) = kept.get(&(TypeId::of::<T>(), tenant))?;
        figures.downcast_ref().filter(|_| *at == change).cloned()
    }

    /// Keeps what was counted, in the place of what was counted before.
    pub fn keep<T: Clone + Send + 'static>(&self, tenant: TenantId, change: i64, figures: T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((TypeId::of::<T>(), tenant), (change, Box::new(figures)));
    }
}

impl State {
    /// A snapshot to read from.
    pub async fn read(&self) -> Result<Tx> {
        self.db.read().await
    }

    /// A change on `actor`'s behalf.
    pub async fn change(&self, actor: &Actor) -> Result<Change> {
        Ok(Change::begin(self.db.change().await?, &self.chain, self.clock.now(), actor))
    }

    /// As [`State::change`], for one that takes seconds ([`Db::change_long`]).
    pub async fn long_change(&self, actor: &Actor) -> Result<Change> {
        Ok(Change::begin(self.db.change_long().await?, &self.chain, self.clock.now(), actor))
    }

    /// Whether browsers reach Patchbay over TLS.
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_one_sort_one_tenant_and_one_change() {
        #[derive(Clone, Copy, Debug, PartialEq)]
        struct Users(i64);
        #[derive(Clone, Copy, Debug, PartialEq)]
        struct Phones(i64);
        let (counted, other) = (Counted::default(), TenantId::from(uuid::Uuid::from_u128(7)));
        counted.keep(TenantId::DEFAULT, 5, Users(10));
        assert_eq!(counted.get(TenantId::DEFAULT, 5), Some(Users(10)));
        assert_eq!(counted.get::<Phones>(TenantId::DEFAULT, 5), None);
        assert_eq!(counted.get::<Users>(other, 5), None);
        for change in [4, 6] {
            assert_eq!(counted.get::<Users>(TenantId::DEFAULT, change), None, "{change}");
        }
        counted.keep(TenantId::DEFAULT, 6, Users(11));
        assert_eq!(counted.clone().get(TenantId::DEFAULT, 6), Some(Users(11)));
        assert_eq!(counted.get::<Users>(TenantId::DEFAULT, 5), None);
    }
}
