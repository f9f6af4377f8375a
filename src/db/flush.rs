//! How a change reaches the disk on `PostgreSQL` without whoever changes something next waiting
//! for that.
//!
//! A commit that waits for the disk keeps its locks meanwhile, and as changes of a tenant follow
//! each other, all behind it wait too. So a change commits without waiting (`synchronous_commit`
//! off, <https://www.postgresql.org/docs/15/wal-async-commit.html>), lets the next one begin, and
//! is told to nobody before a commit made later, which does wait, is on the disk: the log is
//! written in order, so the change is there too. Those who wait at the same time share such a
//! commit.
//!
//! Until then others see the change. What they change in turn comes later in the log and so is
//! never there without it. What they only look at is held back by their own process until it is on
//! the disk ([`Flusher::settled`]); another instance may show it a few milliseconds early, and if
//! the server loses its power in these, something that was never told to be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::Result;

/// Begins a change that commits without waiting for the disk.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";
/// A commit of next to nothing that waits as long as the server is set up to.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'patchbay', '')";

/// Sees to it that changes are on the disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Flusher {
    /// A connection of its own: the others may all wait for the turn of a tenant.
    pool: PgPool,
    turns: Arc<Turns>,
    /// Changes, of all in the process, that others may see and that may not be on the disk.
    under_way: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Turns {
    /// How often a flush was asked for.
    asked: AtomicU64,
    /// How many of those the last flush was for: all who had asked when it began.
    served: Mutex<u64>,
}

/// A change others may see.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Flusher {
    /// With a connection opened by whoever needs it first.
    pub(super) fn new(pool: PgPoolOptions, to: PgConnectOptions) -> Self {
        let pool = pool.min_connections(0).max_connections(1).connect_lazy_with(to);
        Self { pool, turns: Arc::default(), under_way: Arc::default() }
    }

    /// The same, with a connection of its own.
    pub(super) fn near(&self) -> Self {
        let to = (*self.pool.connect_options()).clone();
        let under_way = Arc::clone(&self.under_way);
        Self { under_way, ..Self::new(self.pool.options().clone(), to) }
    }

    /// Commits, gives the place of who wrote to the next, and returns when the change is on the
    /// disk. Goes on if nobody waits any more.
    pub(super) async fn commit(
        &self,
        tx: Transaction<'static, Postgres>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<()> {
        let flusher = self.clone();
        let done = tokio::spawn(async move {
            flusher.under_way.fetch_add(1, Ordering::SeqCst);
            let _under_way = UnderWay(Arc::clone(&flusher.under_way));
            tx.commit().await?;
            drop(place);
            flusher.flush().await
        });
        done.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Returns when all that was committed before is on the disk.
    pub(super) async fn flush(&self) -> Result<()> {
        let number = self.turns.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.turns.served.lock().await;
        if *served < number {
            let asked = self.turns.asked.load(Ordering::SeqCst);
            self.pool.execute(sqlx::query(FLUSH)).await?;
            *served = asked;
        }
        Ok(())
    }

    /// Returns when all that anybody in this process saw is on the disk.
    pub(super) async fn settled(&self) -> Result<()> {
        if self.under_way.load(Ordering::SeqCst) == 0 { Ok(()) } else { self.flush().await }
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
