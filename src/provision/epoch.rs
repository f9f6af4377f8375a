//! Whether what was rendered still holds: it does while nothing was changed that files are made of.
//!
//! Every change moves the head of the audit log, so one small read tells. Requests that arrive
//! while it is under way share the next one, so that ten thousand phones do not ask ten thousand
//! times; and each is told what was true after it came.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::boot;
use crate::db::Db;

/// How long the database may take to answer before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it then counts as gone without being asked again.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// What was rendered in one epoch holds until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

#[derive(Clone, Copy)]
struct Read {
    /// Which read it was.
    number: u64,
    /// The log's head; none when it could not be read.
    head: Option<i64>,
    /// The last head anything was rendered from.
    relevant: i64,
    epoch: u64,
    at: Instant,
}

/// Finds the epoch.
#[derive(Default)]
pub(super) struct Epochs {
    begun: AtomicU64,
    last: Mutex<Option<Read>>,
    turn: tokio::sync::Mutex<()>,
}

impl Epochs {
    fn last(&self) -> Option<Read> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch now; none when the database does not say.
    pub(super) async fn now(&self, db: &Db) -> Option<Epoch> {
        let arrived = self.begun.load(Ordering::SeqCst);
        let _turn = self.turn.lock().await;
        let last = self.last();
        if let Some(read) = last {
            let gone = read.head.is_none() && read.at.elapsed() < GIVEN_UP;
            if read.number > arrived || gone {
                return read.head.map(|_| Epoch(read.epoch));
            }
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let (relevant, epoch) = last.map_or((-1, 0), |read| (read.relevant, read.epoch));
        let moved = timeout(PATIENCE, boot::moved(db, relevant)).await;
        let read = match moved {
            Ok(Ok((head, moved))) => {
                let epoch = if moved { epoch + 1 } else { epoch };
                Read { number, head: Some(head), relevant: head, epoch, at: Instant::now() }
            }
            _ => Read { number, head: None, relevant, epoch, at: Instant::now() },
        };
        self.report(last, read);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        read.head.map(|_| Epoch(read.epoch))
    }

    fn report(&self, last: Option<Read>, now: Read) {
        let was_gone = last.is_some_and(|read| read.head.is_none());
        if now.head.is_none() && !was_gone {
            metrics::gauge!("boot_database_gone").set(1.0);
            tracing::error!("the database is gone; phones get the files as last rendered");
        } else if now.head.is_some() && was_gone {
            metrics::gauge!("boot_database_gone").set(0.0);
            tracing::info!("the database is back; phones get fresh files");
        }
    }

    /// Whether the database could not be asked the last time.
    pub(super) fn gone(&self) -> bool {
        self.last().is_some_and(|read| read.head.is_none())
    }
}
