//! What requests leave behind, written in batches: a row of its own for each would make the phones
//! of a whole building wait for the disk.
//!
//! What is not written yet waits in memory, for a fraction of a second, or for as long as the
//! database is gone; then the queue's bound decides, and what is lost is counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::budget::Budget;
use super::queries;
use super::types::{Kept, Request, Sighting, Stranger};
use crate::id::TenantId;
use crate::net::Mac;
use crate::secrets::Entropy;
use crate::state::State;
use crate::time::Timestamp;
use crate::web::Error;

/// Rows that may wait.
const MOST: usize = 20_000;
/// Bytes of files that may wait.
const MOST_BYTES: usize = 64 << 20;
/// Rows that wait no longer.
const ENOUGH: usize = 2_000;
/// How long a row waits at most while all is well.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long writing is put off when the database is gone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Queue {
    requests: Vec<Request>,
    seen: HashMap<Mac, Sighting>,
    files: HashMap<(Mac, String), Kept>,
    bytes: usize,
    strangers: HashMap<(TenantId, Mac), Stranger>,
}

/// What requests left behind and is not written yet.
#[derive(Default)]
pub(super) struct Log {
    queue: Mutex<Queue>,
    /// What requests of nobody's phone may still leave behind.
    budget: Mutex<Budget>,
    enough: Notify,
    /// Held while a batch is being written, so that whoever waits for it finds it written.
    writing: tokio::sync::Mutex<()>,
}

impl Log {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, and what it says of the phone. Without a phone anybody may have sent it, and
    /// of those only some are written down.
    pub(super) fn note(&self, mut request: Request, sighting: Option<Sighting>) {
        let outcome = request.outcome.as_str();
        metrics::counter!("boot_requests_total", "outcome" => outcome).increment(1);
        if sighting.is_none() {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(left_out) = budget.spend(request.address, request.at) else {
                metrics::counter!("boot_requests_unlogged_total").increment(1);
                return;
            };
            if left_out > 0 {
                request.how = format!("{}; before it {left_out} more", request.how);
            }
        }
        let mut queue = self.queue();
        if let Some(sighting) = sighting {
            queue.saw(sighting);
        }
        if queue.requests.len() >= MOST {
            metrics::counter!("boot_requests_unlogged_total").increment(1);
            return;
        }
        queue.requests.push(request);
        if queue.requests.len() == ENOUGH {
            self.enough.notify_one();
        }
    }

    /// Keeps a file that was rendered.
    pub(super) fn keep(&self, kept: Kept) {
        let mut queue = self.queue();
        let size = kept.file.bytes.len();
        // One that is not kept now is kept when it is next rendered.
        if queue.bytes + size <= MOST_BYTES {
            queue.bytes += size;
            queue.files.insert((kept.mac, kept.name.clone()), kept);
        }
    }

    /// Notes a phone nobody has added.
    pub(super) fn met(&self, stranger: Stranger) {
        let mut queue = self.queue();
        if queue.strangers.len() >= MOST {
            return;
        }
        let key = (stranger.tenant, stranger.mac);
        let times = queue.strangers.get(&key).map_or(0, |known| known.times) + stranger.times;
        queue.strangers.insert(key, Stranger { times, ..stranger });
    }

    /// Writes what waits. What cannot be written now waits on.
    pub(super) async fn flush(&self, state: &State) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        let batch = std::mem::take(&mut *self.queue());
        if batch.is_empty() {
            return Ok(());
        }
        match write(state, &batch).await {
            Ok(()) => Ok(()),
            Err(Error::Unavailable(error)) => {
                self.queue().put_back(batch);
                Err(Error::Unavailable(error))
            }
            Err(error) => {
                // The same rows would fail again and keep all later ones from being written.
                let lost = u64::try_from(batch.requests.len()).unwrap_or(u64::MAX);
                metrics::counter!("boot_requests_unlogged_total").increment(lost);
                tracing::error!(%error, rows = lost, "what phones asked for could not be written down");
                Err(error)
            }
        }
    }

    /// Writes every so often until `leave` is true, and then once more.
    pub(super) async fn run(&self, state: &State, mut leave: watch::Receiver<bool>) {
        let mut gone = false;
        loop {
            let pause = if gone { TRY_AGAIN } else { PATIENCE };
            let leaving = tokio::select! {
                changed = leave.changed() => changed.is_err() || *leave.borrow(),
                _ = timeout(pause, self.enough.notified()) => false,
            };
            let failed = self.flush(state).await.is_err();
            if failed != gone {
                gone = failed;
                if failed {
                    tracing::warn!("what phones ask for cannot be written down; it is tried again");
                } else {
                    tracing::info!("what phones ask for is written down again");
                }
            }
            if leaving {
                return;
            }
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.requests.is_empty()
            && self.seen.is_empty()
            && self.files.is_empty()
            && self.strangers.is_empty()
    }

    /// A later request for another file does not undo what an earlier said.
    fn saw(&mut self, sighting: Sighting) {
        match self.seen.get_mut(&sighting.mac) {
            Some(known) => {
                let common = sighting.common.clone().or_else(|| known.common.take());
                *known = if sighting.own.is_none() {
                    let (own, at, address) = (known.own.take(), known.at, known.address);
                    Sighting { at, address, own, common, ..sighting }
                } else {
                    Sighting { common, ..sighting }
                };
            }
            None => drop(self.seen.insert(sighting.mac, sighting)),
        }
    }

    /// Puts a batch back before what came since.
    fn put_back(&mut self, batch: Self) {
        let since = std::mem::replace(self, batch);
        let room = MOST.saturating_sub(self.requests.len());
        self.requests.extend(since.requests.into_iter().take(room));
        since.seen.into_values().for_each(|sighting| self.saw(sighting));
        self.bytes += since.bytes;
        self.files.extend(since.files);
        self.strangers.extend(since.strangers);
    }
}

/// An identifier ordered by time, and within a second by the order in which rows are written: after
/// the time it begins with a count.
fn id(entropy: &Entropy, at: Timestamp) -> std::io::Result<Uuid> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let [.., high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let millis = u64::try_from(at.0).unwrap_or(0).saturating_mul(1000);
    // Four bits fit beside the version, and six beside the variant.
    let count = [high >> 4, high << 4 | low >> 4, (low & 15) << 2];
    let mut random = entropy.bytes::<10>()?;
    random.iter_mut().zip(count).for_each(|(to, from)| *to = from);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

async fn write(state: &State, batch: &Queue) -> Result<(), Error> {
    // Sealed before the transaction begins: it would keep others waiting.
    let mut files = Vec::with_capacity(batch.files.len());
    for kept in batch.files.values() {
        files.push(queries::Sealed::of(&state.vault, kept)?);
    }
    let mut ids = Vec::with_capacity(batch.requests.len());
    for request in &batch.requests {
        ids.push((id(state.vault.entropy(), request.at)?, request));
    }
    let seen: Vec<&Sighting> = batch.seen.values().collect();
    let mut tx = state.db.write().await?;
    queries::insert_requests(&mut tx, &ids).await?;
    queries::saw(&mut tx, &seen).await?;
    queries::keep(&mut tx, &files).await?;
    for stranger in batch.strangers.values() {
        queries::met(&mut tx, stranger).await?;
    }
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_second_are_in_the_order_in_which_they_are_written() {
        let entropy = Entropy::system();
        let ids: Vec<Uuid> =
            (0..5_000).map(|_| id(&entropy, Timestamp(1_700_000_000)).unwrap()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(id(&entropy, Timestamp(1_700_000_001)).unwrap() > ids[4_999]);
    }
}
