//! Who did what: every change is one transaction that says what it did.
//!
//! Rows are numbered and chained when the change commits, last, because numbering makes writers
//! queue. Each row's hash is an HMAC over the row and the hash before it, under a key that is not
//! in the database: an edited, deleted or reordered row no longer fits ([`verify`]). What the
//! chain alone cannot show is a database put back whole to an earlier day; the head is therefore
//! also logged whenever Patchbay starts and checks.

mod queries;
mod types;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::db::{Db, Result, Tx};
use crate::id::TenantId;
use crate::secrets::{self, Vault};
use crate::time::Timestamp;

pub use types::{Actor, Broken, Event, Filter, Page, Record, Via};

/// The key that chains the audit log.
#[derive(Clone)]
pub struct ChainKey {
    key: [u8; 32],
    /// The head as whoever has this key last left it: mostly the head there is.
    left: Arc<Mutex<Option<Head>>>,
}

/// The number of the newest row, and what is kept of its hash.
#[derive(Clone)]
struct Head {
    seq: i64,
    hash: String,
}

impl ChainKey {
    /// The key this installation's secret key stands for.
    pub fn of(vault: &Vault) -> Self {
        Self { key: vault.key_for("audit chain"), left: Arc::default() }
    }

    /// The head as it was left.
    fn left(&self) -> Option<Head> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how it is left.
    fn leave(&self, head: Head) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    /// What the head keeps of the newest row's hash. Who has no key cannot make the head name an
    /// earlier row after cutting off those behind it; what is written after that is broken too.
    fn masked(&self, seq: i64, hash: &str) -> String {
        format!("{MASKED}{}", secrets::hex(&self.mask(seq, hash)))
    }

    /// The head that a row leaves.
    fn head(&self, last: &Record) -> Head {
        Head { seq: last.seq, hash: self.masked(last.seq, &last.hash) }
    }

    /// Undoes [`ChainKey::masked`]; what is not masked is no hash.
    fn unmasked(&self, seq: i64, head: &str) -> String {
        let hash = head.strip_prefix(MASKED).map(|hash| self.mask(seq, hash));
        hash.map(|hash| secrets::hex(&hash)).unwrap_or_default()
    }

    fn mask(&self, seq: i64, hash: &str) -> Vec<u8> {
        let mask = secrets::mac(&self.key, &[b"head".as_slice(), seq.to_be_bytes().as_slice()]);
        let bytes = secrets::unhex(hash).unwrap_or_default();
        bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// What a head begins with since it is masked.
const MASKED: &str = "masked:";

/// A write transaction on someone's behalf.
///
/// It commits only if something was recorded; dropped, it never happened.
pub struct Change {
    tx: Tx,
    key: ChainKey,
    at: Timestamp,
    actor: Actor,
    events: Vec<Event>,
    /// Why all of it is done; what has no note of its own carries it.
    why: String,
    /// Whether some of them are already in the log.
    flushed: bool,
    /// Rows that have their numbers and are being chained.
    chaining: Option<JoinHandle<Vec<Record>>>,
    /// The head it leaves.
    head: Option<Head>,
    /// What is counted of it when it is committed.
    committed: Vec<Box<dyn FnOnce() + Send>>,
}

/// Events from which it pays to chain them in a thread of their own.
const MANY: usize = 64;

impl Change {
    /// Of a transaction that writes.
    pub fn begin(tx: Tx, key: &ChainKey, at: Timestamp, actor: &Actor) -> Self {
        Self {
            tx,
            key: key.clone(),
            at,
            actor: actor.clone(),
            events: Vec::new(),
            why: String::new(),
            flushed: false,
            chaining: None,
            head: None,
            committed: Vec::new(),
        }
    }

    /// When the change is made: the one time all its rows carry.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The tenant it is made in.
    pub fn tenant(&self) -> TenantId {
        self.actor.tenant
    }

    /// Who makes it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The transaction itself, for queries.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Says why all that is recorded from now on is done, in the doer's words.
    pub fn explain(&mut self, why: &impl ToString) {
        self.why = why.to_string();
    }

    /// Notes one thing done.
    pub fn record(&mut self, event: Event) {
        self.events.push(event.or_note(&self.why));
    }

    /// Does something when this is committed, and never if it is not: counting what was done.
    pub fn once_committed(&mut self, count: impl FnOnce() + Send + 'static) {
        self.committed.push(Box::new(count));
    }

    /// Writes down what was done and makes it so.
    pub async fn commit(self) -> Result<()> {
        if self.events.is_empty() && !self.flushed {
            return Err(sqlx::Error::Protocol("a change must say what it did".into()));
        }
        self.commit_seen().await
    }

    /// Commits what may have turned out to be nothing at all; whether it was something.
    pub async fn commit_if_any(self) -> Result<bool> {
        let any = self.flushed || !self.events.is_empty();
        if any {
            self.commit().await?;
        }
        Ok(any)
    }

    /// Commits what is merely seen (that an address answered again, how far a sweep is), which
    /// nobody does and the log need not tell, together with whatever was recorded.
    pub async fn commit_seen(mut self) -> Result<()> {
        if !self.append().await? {
            self.flush().await?;
            self.write_chained().await?;
        }
        if let Some(head) = self.head {
            // If it is not so in the end, whoever comes next will find another head.
            self.key.leave(head);
        }
        self.tx.commit().await?;
        for count in self.committed {
            count();
        }
        Ok(())
    }

    /// Writes down what was noted if that is all there is and not much, in one message, and if
    /// nobody who has another copy of the key added to the log since; whether it did.
    async fn append(&mut self) -> Result<bool> {
        let left = self.key.left().filter(|_| !self.flushed && self.events.len() < MANY);
        let Some(left) = left else { return Ok(false) };
        let hash = self.key.unmasked(left.seq, &left.hash);
        let events = self.events.clone();
        let records = chained(&self.key, hash, left.seq + 1, self.at, &self.actor, events);
        let Some(last) = records.last() else { return Ok(false) };
        let head = self.key.head(last);
        let done = queries::append(&mut self.tx, &records, &left, &head).await?;
        self.head = done.then_some(head);
        Ok(done)
    }

    /// Writes down what was noted so far, so that a change of very many things need not keep all
    /// of it in memory. Whoever else changes something waits from here on. Many rows are chained
    /// while the change goes on, and written with the next ones.
    pub async fn flush(&mut self) -> Result<()> {
        self.write_chained().await?;
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        self.flushed = true;
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let (last, head) = queries::reserve(&mut self.tx, count).await?;
        let hash = self.key.unmasked(last - count, &head);
        let (key, at, actor) = (self.key.clone(), self.at, self.actor.clone());
        let many = events.len() >= MANY;
        let chained = move || chained(&key, hash, last - count + 1, at, &actor, events);
        if many {
            self.chaining = Some(tokio::task::spawn_blocking(chained));
            return Ok(());
        }
        self.write(&chained()).await
    }

    async fn write_chained(&mut self) -> Result<()> {
        let Some(chaining) = self.chaining.take() else { return Ok(()) };
        let records = chaining.await.map_err(|error| sqlx::Error::Io(error.into()))?;
        self.write(&records).await
    }

    async fn write(&mut self, records: &[Record]) -> Result<()> {
        queries::insert(&mut self.tx, records).await?;
        match records.last() {
            Some(last) => {
                let head = self.key.head(last);
                queries::set_head(&mut self.tx, &head.hash).await?;
                self.head = Some(head);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The rows of events, numbered from `first` on, each bound to the one before.
fn chained(
    key: &ChainKey,
    mut hash: String,
    first: i64,
    at: Timestamp,
    actor: &Actor,
    events: Vec<Event>,
) -> Vec<Record> {
    let numbered = events.into_iter().zip(first..);
    let record = numbered.map(|(event, seq)| {
        let mut record = Record::new(seq, at, actor, event);
        record.hash = chain(key, &hash, &record);
        hash.clone_from(&record.hash);
        record
    });
    record.collect()
}

/// A page of the log, newest first, and how many rows the filter matches.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Record>, i64)> {
    let records = queries::list(tx, tenant, filter, i64::MAX, page).await?;
    Ok((records, queries::count(tx, tenant, filter).await?))
}

/// Rows of the log before number `before`, newest first, at most `limit`.
pub async fn before(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<Record>> {
    queries::list(tx, tenant, filter, before, Page { offset: 0, limit }).await
}

/// What happened to exactly this subject, newest first.
pub async fn of(
    tx: &mut Tx,
    tenant: TenantId,
    subject_id: &str,
    page: Page,
) -> Result<Vec<Record>> {
    queries::about(tx, tenant, "", subject_id, page).await
}

/// As [`of`], only actions that begin with `action`, and how many there are in all.
pub async fn about(
    tx: &mut Tx,
    tenant: TenantId,
    action: &str,
    subject_id: &str,
    page: Page,
) -> Result<(Vec<Record>, i64)> {
    let records = queries::about(tx, tenant, action, subject_id, page).await?;
    Ok((records, queries::count_about(tx, tenant, action, subject_id).await?))
}

/// The number of the newest committed change.
pub async fn head(tx: &mut Tx) -> Result<i64> {
    queries::head(tx).await
}

/// Changes since the configuration in force that touch what Asterisk is told, oldest first, at
/// most `limit`.
pub async fn pending(tx: &mut Tx, limit: i64) -> Result<Vec<Record>> {
    queries::pending(tx, limit).await
}

/// How many [`pending`] changes there are; no more than `most` are counted.
pub async fn count_pending(tx: &mut Tx, most: i64) -> Result<i64> {
    queries::count_pending(tx, most).await
}

/// Notes that the configuration in force contains every change up to `seq`.
pub async fn mark_applied(tx: &mut Tx, seq: i64) -> Result<()> {
    queries::mark_applied(tx, seq).await
}

/// Walks the whole chain. `Ok(Err)` says where it is broken.
pub async fn verify(db: &Db, key: &ChainKey) -> Result<std::result::Result<i64, Broken>> {
    const STRIDE: i64 = 1_000;
    let mut tx = db.read().await?;
    let (head, head_hash) = queries::head_row(&mut tx).await?;
    let (mut seq, mut hash) = (0, String::new());
    loop {
        let records = queries::after(&mut tx, seq, STRIDE).await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            seq += 1;
            if record.seq != seq {
                return Ok(Err(Broken::Missing { seq }));
            }
            if record.hash != chain(key, &hash, &record) {
                return Ok(Err(Broken::Altered { seq }));
            }
            hash = record.hash;
        }
    }
    let sound = seq == head && hash == key.unmasked(head, &head_hash);
    Ok(if sound { Ok(seq) } else { Err(Broken::Head { seq, head }) })
}

/// The number of the newest row and what the head keeps of it, to be noted outside of the database:
/// whoever puts the whole database back to an earlier day is found by it alone.
pub async fn head_of_chain(db: &Db) -> Result<(i64, String)> {
    queries::head_row(&mut db.read().await?).await
}

/// Whether the head was written by a version that did not mask it.
pub async fn is_head_plain(db: &Db) -> Result<bool> {
    let (seq, hash) = head_of_chain(db).await?;
    Ok(seq > 0 && !hash.starts_with(MASKED))
}

/// Masks a plain head ([`is_head_plain`]); that it did is in the log.
pub async fn mask_head(mut change: Change) -> Result<()> {
    let (seq, hash) = queries::lock_head(change.tx()).await?;
    if hash.starts_with(MASKED) {
        return Ok(());
    }
    let masked = change.key.masked(seq, &hash);
    queries::set_head(change.tx(), &masked).await?;
    change.record(Event::new("audit.masked", &"audit log", &seq));
    change.commit().await
}

/// Whether the log was written with this key; a log without rows was written with any.
pub async fn is_of(db: &Db, key: &ChainKey) -> Result<bool> {
    let mut tx = db.read().await?;
    let (head, head_hash) = queries::head_row(&mut tx).await?;
    let newest = queries::after(&mut tx, head - 2, 2).await?;
    let Some(last) = newest.last() else { return Ok(true) };
    let before = newest.first().filter(|first| first.seq < last.seq);
    let before = before.map_or("", |record| &record.hash);
    Ok(last.hash == chain(key, before, last) || last.hash == key.unmasked(last.seq, &head_hash))
}

/// What binds `record` to everything before it.
fn chain(key: &ChainKey, previous: &str, record: &Record) -> String {
    let mac = secrets::mac(
        &key.key,
        &[
            previous.as_bytes(),
            &record.seq.to_be_bytes(),
            &record.at.0.to_be_bytes(),
            record.tenant_id.as_bytes(),
            record.actor.as_bytes(),
            record.via.as_bytes(),
            record.source.as_bytes(),
            record.request_id.as_bytes(),
            record.action.as_bytes(),
            record.subject.as_bytes(),
            record.subject_id.as_bytes(),
            record.note.as_bytes(),
            record.before_json.as_bytes(),
            record.after_json.as_bytes(),
            &[u8::from(record.affects_asterisk)],
        ],
    );
    secrets::hex(&mac)
}

/// A secret in a before or after: that there is one, never which.
pub fn masked() -> Value {
    Value::from("(hidden)")
}
