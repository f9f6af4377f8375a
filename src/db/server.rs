//! A `PostgreSQL` server and a transaction there.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flush::{self, Flusher};
use super::later::Later;
use super::numbers::Numbers;
use super::{CONNECTIONS, Result};

/// Connections of those who change something, or wait for the turn to: first come, first served.
/// The others are left to those who need no turn, however long somebody's change takes.
const CHANGES: usize = 5;

/// A server that several instances may share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    /// Connections for statements and transactions.
    pub pool: PgPool,
    /// Who may change something.
    changes: Arc<Semaphore>,
    flusher: Flusher,
    numbers: Numbers,
}

/// Where somebody writes, and their place among those who change something.
#[derive(Debug)]
pub(super) struct Place {
    pub server: Server,
    permit: Option<OwnedSemaphorePermit>,
}

/// An open transaction. Dropped without a commit, it never happened.
#[derive(Debug)]
pub struct Open {
    pub(super) tx: Transaction<'static, Postgres>,
    /// What is still to be sent in it.
    pub(super) later: Later,
    /// Where it writes, if it does.
    pub(super) writes: Option<Place>,
    /// Numbers it drew and did not need.
    pub(super) drawn: Range<i64>,
}

impl Server {
    /// Connects.
    pub(super) async fn connect(to: PgConnectOptions, patience: Duration) -> Result<Self> {
        let connections = PgPoolOptions::new().acquire_timeout(patience);
        let flusher = Flusher::new(connections.clone(), to.clone());
        let pool = connections.max_connections(CONNECTIONS).connect_with(to).await?;
        // Somebody not allowed to is told now, not after the first change.
        flusher.flush().await?;
        Ok(Self { pool, changes: places(), flusher, numbers: Numbers::default() })
    }

    /// The same, by connections that are opened by whoever first needs one.
    pub(super) fn near(&self) -> Self {
        // Half of them are there before anybody waits for one.
        let options = self.pool.options().clone().min_connections(CONNECTIONS / 2);
        let pool = options.connect_lazy_with((*self.pool.connect_options()).clone());
        let (flusher, numbers) = (self.flusher.near(), self.numbers.clone());
        Self { pool, changes: places(), flusher, numbers }
    }

    /// Begins to read: one snapshot for all of it.
    pub(super) async fn read(&self) -> Result<Open> {
        let tx = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(Open { tx, later: Later::default(), writes: None, drawn: 0..0 })
    }

    /// Begins to write.
    pub(super) async fn write(&self) -> Result<Open> {
        self.begin_to_write(None).await
    }

    /// Begins to write, for whoever may have to wait for the turn to.
    pub(super) async fn change(&self) -> Result<Open> {
        let permit = Arc::clone(&self.changes).acquire_owned();
        let permit = tokio::time::timeout(self.pool.options().get_acquire_timeout(), permit).await;
        let permit = permit.ok().and_then(std::result::Result::ok);
        self.begin_to_write(Some(permit.ok_or(sqlx::Error::PoolTimedOut)?)).await
    }

    async fn begin_to_write(&self, permit: Option<OwnedSemaphorePermit>) -> Result<Open> {
        let tx = self.begin(flush::BEGIN).await?;
        let writes = Some(Place { server: self.clone(), permit });
        Ok(Open { tx, later: Later::default(), writes, drawn: 0..0 })
    }

    /// Begins, even when whoever asked is gone by then: left half-way, the connection would be
    /// within a transaction and sqlx believe it free.
    async fn begin(&self, how: &'static str) -> Result<Transaction<'static, Postgres>> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(how).await });
        begun.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Numbers of addresses left over from earlier changes.
    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Returns when all that anybody in this process saw is on the disk.
    pub(super) async fn settled(&self) -> Result<()> {
        self.flusher.settled().await
    }

    /// Waits for running statements and closes every connection.
    pub(super) async fn close(&self) {
        self.pool.close().await;
        self.flusher.close().await;
    }
}

impl Open {
    /// Sends what was put off.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        self.later.send(&mut self.tx).await
    }

    /// Makes what was done durable.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.catch_up().await?;
        let Some(Place { server, permit }) = self.writes else { return self.tx.commit().await };
        server.flusher.commit(self.tx, permit).await?;
        server.numbers.keep(self.drawn);
        Ok(())
    }
}

fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CHANGES))
}
