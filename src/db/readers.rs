//! `SQLite`'s connections that read.
//!
//! Each has a thread of its own, and to tell that thread something and wait for the answer takes
//! longer than most statements do. So that a transaction begins and ends is told without waiting,
//! and nobody asks, as the pool of sqlx does after each use, whether the connection is still there:
//! a file does not go away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Result;

/// A connection; locked by who uses it.
type Shared = Arc<tokio::sync::Mutex<SqliteConnection>>;

/// Connections that read, opened by whoever first needs one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: SqliteConnectOptions,
    /// How long anybody waits for one.
    patience: Duration,
    /// How many there may be.
    most: u16,
    /// As many as there may be connections.
    turns: Arc<Semaphore>,
    connections: Mutex<Vec<Shared>>,
}

/// A connection, for one who reads.
#[derive(Debug)]
pub struct Reader {
    connection: OwnedMutexGuard<SqliteConnection>,
    home: Readers,
    /// Whether a transaction was begun.
    begun: bool,
    /// Whether a statement is under way. If it is given up, the thread may still be at it.
    asking: bool,
    /// Given back after the connection.
    _turn: OwnedSemaphorePermit,
}

impl Readers {
    /// At most `most` of them.
    pub(super) fn new(options: SqliteConnectOptions, most: u16, patience: Duration) -> Self {
        let turns = Arc::new(Semaphore::new(most.into()));
        Self(Arc::new(Inner { options, patience, most, turns, connections: Mutex::default() }))
    }

    /// One of them, when it is there.
    pub(super) async fn take(&self) -> Result<Reader> {
        let turn = Arc::clone(&self.0.turns).acquire_owned();
        let turn = tokio::time::timeout(self.0.patience, turn).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let turn = turn.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = match self.unused() {
            Some(connection) => connection,
            None => self.opened().await?,
        };
        let home = self.clone();
        Ok(Reader { connection, home, begun: false, asking: false, _turn: turn })
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first that nobody uses: what it read lately is in its memory.
    fn unused(&self) -> Option<OwnedMutexGuard<SqliteConnection>> {
        self.connections().iter().find_map(|one| Arc::clone(one).try_lock_owned().ok())
    }

    async fn opened(&self) -> Result<OwnedMutexGuard<SqliteConnection>> {
        let opened = SqliteConnection::connect_with(&self.0.options).await?;
        let shared = Arc::new(tokio::sync::Mutex::new(opened));
        let connection = Arc::clone(&shared).lock_owned().await;
        self.connections().push(shared);
        Ok(connection)
    }

    /// One is not used again. It is closed when its thread has ended what it is at.
    fn forget(&self, connection: &Shared) {
        self.connections().retain(|one| !Arc::ptr_eq(one, connection));
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        // Refused if it is closed already.
        let all = self.0.turns.acquire_many(self.0.most.into()).await;
        self.0.turns.close();
        drop(all);
        let connections = std::mem::take(&mut *self.connections());
        for connection in connections.into_iter().filter_map(Arc::into_inner) {
            if let Err(error) = connection.into_inner().close().await {
                tracing::warn!(%error, "a connection that reads could not be closed");
            }
        }
    }
}

impl Reader {
    /// For a statement of a transaction, which begins with the first.
    pub(super) fn within(&mut self) -> Result<&mut SqliteConnection> {
        if !self.begun {
            self.begun = true;
            // Whose thread is gone is not used again.
            self.asking = true;
            // Waits in line before the statement. It takes no lock and cannot be refused.
            let begin = sqlx::query("BEGIN").execute(&mut *self.connection);
            begin.now_or_never().transpose()?;
        }
        Ok(self.alone())
    }

    /// For a statement that is none of a transaction.
    pub(super) fn alone(&mut self) -> &mut SqliteConnection {
        self.asking = true;
        &mut self.connection
    }

    /// The statement is done.
    pub(super) fn answered(&mut self) {
        self.asking = false;
    }

    /// Ends the transaction, and waits for that.
    pub(super) async fn end(mut self) -> Result<()> {
        if std::mem::take(&mut self.begun) {
            sqlx::query("ROLLBACK").execute(self.alone()).await?;
            self.answered();
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.asking {
            self.home.forget(OwnedMutexGuard::mutex(&self.connection));
        } else if self.begun {
            // Waits in line before whatever the next one asks.
            let rollback = sqlx::query("ROLLBACK").execute(&mut *self.connection);
            let _ = rollback.now_or_never();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_MIND: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 30000000) SELECT max(n) FROM n";

    async fn count(reader: &mut Reader) -> i64 {
        let asked = sqlx::query_scalar("SELECT count(*) FROM t");
        let count = asked.fetch_one(reader.within().unwrap()).await.unwrap();
        reader.answered();
        count
    }

    async fn one_reader() -> (tempfile::TempDir, SqliteConnection, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("t.db"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("CREATE TABLE t (n)").execute(&mut writer).await.unwrap();
        (dir, writer, Readers::new(options, 1, Duration::from_millis(50)))
    }

    #[tokio::test]
    async fn a_transaction_sees_one_moment_and_the_next_one_another() {
        let (_dir, mut writer, readers) = one_reader().await;
        for before in 0..3 {
            let mut reader = readers.take().await.unwrap();
            assert_eq!(count(&mut reader).await, before);
            sqlx::query("INSERT INTO t VALUES (1)").execute(&mut writer).await.unwrap();
            assert_eq!(count(&mut reader).await, before);
            if before == 1 {
                reader.end().await.unwrap();
            }
        }
        assert_eq!(readers.connections().len(), 1);
        // Nobody reads any more: all that was written can go to its place.
        let mut reader = readers.take().await.unwrap();
        assert_eq!(count(&mut reader).await, 3);
        reader.end().await.unwrap();
        let emptied: (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut writer).await.unwrap();
        assert_eq!(emptied, (0, 0, 0));
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_a_connection_that_nobody_waits_for() {
        let (_dir, _writer, readers) = one_reader().await;
        let mut reader = readers.take().await.unwrap();
        assert_eq!(count(&mut reader).await, 0);
        let given_up = sqlx::query(NEVER_MIND).execute(reader.within().unwrap());
        assert!(given_up.now_or_never().is_none(), "it takes seconds");
        drop(reader);
        assert!(readers.connections().is_empty());
        assert_eq!(count(&mut readers.take().await.unwrap()).await, 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_said_and_after_the_end_not_at_all() {
        let (_dir, _writer, readers) = one_reader().await;
        let reader = readers.take().await.unwrap();
        assert!(matches!(readers.take().await, Err(sqlx::Error::PoolTimedOut)));
        drop(reader);
        assert_eq!(count(&mut readers.take().await.unwrap()).await, 0);
        readers.close().await;
        readers.close().await;
        assert!(matches!(readers.take().await, Err(sqlx::Error::PoolClosed)));
    }
}
