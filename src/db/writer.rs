//! `SQLite`'s one writer, and how changes that come at the same time share it.
//!
//! A commit waits for the disk, and until it is done nobody else can write. So whoever waits for
//! the writer joins the transaction of who has it (a group commit): each change is a savepoint of
//! it, undone by itself if it is given up, and none is told that it is done before the whole is on
//! the disk. If that fails, all are told so and none of them happened.
//!
//! Who gave up may have done so because of what others of the group did, and goes to look at it, in
//! another transaction: so the group then ends at once, and whoever reads waits for that.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::{Executor as _, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, watch};

use super::Result;

/// Changes that share a transaction at most: the disk is then little of what each takes, and
/// nobody waits for very many others.
const MOST: usize = 16;

const BEGIN: &str = "BEGIN IMMEDIATE; SAVEPOINT change";
/// Without a savepoint, for which each page would be copied before it is changed.
const BEGIN_ALONE: &str = "BEGIN IMMEDIATE";
/// Fails if there is no transaction any more, where a savepoint alone would begin another, and in
/// one that was begun for a change alone.
const NEXT: &str = "RELEASE change; SAVEPOINT change";
const UNDO: &str = "ROLLBACK TO change";

/// The only connection that writes, and whoever waits for it, first come, first served.
#[derive(Clone, Debug)]
pub struct Writer {
    pool: SqlitePool,
    /// How long anybody waits.
    patience: Duration,
    open: Arc<Mutex<Option<Group>>>,
    /// The end of a group somebody gave up in.
    seen: Arc<std::sync::Mutex<Option<watch::Receiver<Option<End>>>>>,
}

/// A transaction and the changes in it.
#[derive(Debug)]
struct Group {
    tx: Transaction<'static, Sqlite>,
    /// Changes that are to stay.
    kept: usize,
    /// Whether the last change was given up.
    given_up: bool,
    /// Whether somebody waits for a turn to end it.
    ending: bool,
    /// What became of it, once it has ended.
    end: watch::Sender<Option<End>>,
}

type End = std::result::Result<(), Arc<sqlx::Error>>;

/// The writer, for one change. Dropped without a commit, the change never happened.
#[derive(Debug)]
pub struct Turn {
    group: OwnedMappedMutexGuard<Option<Group>, Group>,
    writer: Writer,
    keep: bool,
}

impl Writer {
    /// Of a pool of a single connection.
    pub(super) fn new(pool: SqlitePool, patience: Duration) -> Self {
        Self { pool, patience, open: Arc::default(), seen: Arc::default() }
    }

    /// Its connection, for whatever is no change. Waits until nobody writes.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Waits for the turn to change something.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let mut open = self.open().await?;
        if let Some(group) = &mut *open
            && group.has_room()
            && group.tx.execute(NEXT).await.is_ok()
        {
            return self.of(open);
        }
        self.begin(open, BEGIN).await
    }

    /// As [`Writer::turn`], for a change that takes long: nobody whose change is made waits for it.
    pub(super) async fn turn_alone(&self) -> Result<Turn> {
        self.begin(self.open().await?, BEGIN_ALONE).await
    }

    async fn open(&self) -> Result<OwnedMutexGuard<Option<Group>>> {
        let open = Arc::clone(&self.open).lock_owned();
        tokio::time::timeout(self.patience, open).await.map_err(|_| sqlx::Error::PoolTimedOut)
    }

    /// Begins a transaction once the one there is has ended.
    async fn begin(
        &self,
        mut open: OwnedMutexGuard<Option<Group>>,
        how: &'static str,
    ) -> Result<Turn> {
        if let Some(group) = open.take() {
            // Whoever waits for the turn may be gone at any moment; those of the group are not.
            tokio::spawn(group.end());
        }
        let tx = self.pool.begin_with(how).await?;
        let (end, _) = watch::channel(None);
        *open = Some(Group { tx, kept: 0, given_up: false, ending: false, end });
        self.of(open)
    }

    fn of(&self, open: OwnedMutexGuard<Option<Group>>) -> Result<Turn> {
        let group = OwnedMutexGuard::try_map(open, Option::as_mut);
        let group = group.map_err(|_| sqlx::Error::WorkerCrashed)?;
        Ok(Turn { group, writer: self.clone(), keep: false })
    }

    /// Ends the group after all who wait already: these join it if they find room.
    async fn end_in_turn(self, end: watch::Receiver<Option<End>>) {
        let mut open = self.open.lock_owned().await;
        let group = open.take_if(|group| group.end.subscribe().same_channel(&end));
        drop(open);
        if let Some(group) = group {
            group.end().await;
        }
    }

    /// Waits until readers see all that anybody saw who gave up a change.
    pub(super) async fn settled(&self) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(mut end) = seen {
            // Without an end it never happened.
            let _ = end.wait_for(Option::is_some).await;
        }
    }

    /// Waits for whoever writes and closes the connection.
    pub(super) async fn close(&self) {
        // Who was to end it may have ended first.
        if let Some(group) = self.open.lock().await.take() {
            group.end().await;
        }
        self.pool.close().await;
    }
}

impl Group {
    /// Whether another change may join.
    fn has_room(&self) -> bool {
        !self.given_up && (1..MOST).contains(&self.kept)
    }

    async fn end(self) {
        let Self { mut tx, kept, given_up, end, .. } = self;
        let ended = async {
            if kept == 0 {
                return tx.rollback().await;
            }
            // Fails if there is no transaction any more: SQLite undoes it by itself when the disk
            // is full.
            if given_up {
                tx.execute(UNDO).await?;
            }
            tx.commit().await
        };
        let ended = ended.await;
        end.send_replace(Some(ended.map_err(Arc::new)));
    }
}

impl Turn {
    /// The connection, within the transaction.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.group.tx
    }

    /// Waits until the change is on the disk.
    pub(super) async fn commit(mut self) -> Result<()> {
        let mut end = self.group.end.subscribe();
        self.keep = true;
        drop(self);
        let end = end.wait_for(Option::is_some).await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        match &*end {
            Some(Err(error)) => Err(sqlx::Error::Io(std::io::Error::other(Arc::clone(error)))),
            _ => Ok(()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let group = &mut *self.group;
        if self.keep {
            group.kept += 1;
        } else {
            group.given_up = true;
            if group.kept > 0 {
                let mut seen = self.writer.seen.lock().unwrap_or_else(PoisonError::into_inner);
                *seen = Some(group.end.subscribe());
            }
        }
        // Without a runtime there is nobody to do it but whoever has the next turn.
        if !group.ending
            && let Ok(runtime) = Handle::try_current()
        {
            group.ending = true;
            runtime.spawn(self.writer.clone().end_in_turn(group.end.subscribe()));
        }
    }
}
