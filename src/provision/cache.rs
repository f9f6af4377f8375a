//! Rendered files and known tokens in memory, bounded, so that a building full of phones that start
//! at once costs the database next to nothing, and is served even without one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::epoch::Epoch;
use super::types::File;
use crate::boot::{Subject, Templates};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones::Vendor;
use crate::time::Timestamp;

/// Bytes of files kept.
const MOST_BYTES: usize = 128 << 20;
/// What a file costs besides its bytes.
const OVERHEAD: usize = 400;
/// Tokens kept.
const MOST_TOKENS: usize = 100_000;
/// Phone books kept: one for all phones of a make in a tenant. The longest has half a megabyte.
const MOST_BOOKS: usize = 64;
/// Phones of which it is remembered what their files are made from.
const MOST_MATERIALS: usize = 256;

/// A file as rendered.
#[derive(Clone)]
pub(super) struct Entry {
    pub file: File,
    /// In which it was found to hold; the last good one of a broken template holds in none.
    pub epoch: Option<Epoch>,
    /// When it was last known to hold.
    pub at: Timestamp,
}

type Key = (Mac, String);

struct Files {
    entries: HashMap<Key, (Entry, bool)>,
    /// In the order they came. One that was used since its turn gets another.
    order: VecDeque<Key>,
    bytes: usize,
    limit: usize,
}

/// Whose a token is, as last looked up.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub tenant: TenantId,
    pub mac: Mac,
    pub vendor: Vendor,
    pub epoch: Epoch,
}

/// What a phone's files are made from.
pub(super) struct Material {
    pub subject: Subject,
    pub templates: Templates,
}

/// A phone's, with the epoch in which it was read.
type Read = (Mac, Epoch, Arc<Material>);

/// All of it.
pub(super) struct Cache {
    files: Mutex<Files>,
    /// Apart from the files: however long they are, they push none of those out.
    books: Mutex<HashMap<(TenantId, Vendor), Entry>>,
    tokens: Mutex<HashMap<String, Owner>>,
    /// Of the phones last seen: they come for several files one after the other.
    materials: Mutex<VecDeque<Read>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self::bounded(MOST_BYTES)
    }
}

impl Cache {
    pub(super) fn bounded(limit: usize) -> Self {
        let files = Files { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, limit };
        Self {
            files: Mutex::new(files),
            books: Mutex::default(),
            tokens: Mutex::default(),
            materials: Mutex::default(),
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self, mac: Mac, name: &str) -> Option<Entry> {
        let mut files = self.files();
        let (entry, used) = files.entries.get_mut(&(mac, name.to_owned()))?;
        *used = true;
        Some(entry.clone())
    }

    pub(super) fn put(&self, mac: Mac, name: &str, entry: Entry) {
        let mut files = self.files();
        files.put((mac, name.to_owned()), entry);
        #[expect(
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "a figure for people"
        )]
        metrics::gauge!("boot_cache_bytes").set(files.bytes as f64);
    }

    fn books(&self) -> MutexGuard<'_, HashMap<(TenantId, Vendor), Entry>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phone book for phones of a make.
    pub(super) fn book(&self, tenant: TenantId, vendor: Vendor) -> Option<Entry> {
        self.books().get(&(tenant, vendor)).cloned()
    }

    pub(super) fn put_book(&self, tenant: TenantId, vendor: Vendor, entry: Entry) {
        let mut books = self.books();
        if books.len() >= MOST_BOOKS && !books.contains_key(&(tenant, vendor)) {
            books.clear();
        }
        books.insert((tenant, vendor), entry);
    }

    /// The token's owner, by the token's fingerprint.
    pub(super) fn owner(&self, hash: &str) -> Option<Owner> {
        self.tokens().get(hash).copied()
    }

    pub(super) fn know(&self, hash: String, owner: Owner) {
        let mut tokens = self.tokens();
        if tokens.len() >= MOST_TOKENS {
            tokens.clear();
        }
        tokens.insert(hash, owner);
    }

    /// A token that is nobody's any more.
    pub(super) fn forget(&self, hash: &str) {
        self.tokens().remove(hash);
    }

    fn materials(&self) -> MutexGuard<'_, VecDeque<Read>> {
        self.materials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the phone's files are made from, if that was read in this epoch and not long ago.
    pub(super) fn material(&self, mac: Mac, epoch: Epoch) -> Option<Arc<Material>> {
        let materials = self.materials();
        let mut newest = materials.iter().rev();
        newest.find(|(of, at, _)| (*of, *at) == (mac, epoch)).map(|(_, _, it)| it.clone())
    }

    pub(super) fn put_material(&self, mac: Mac, epoch: Epoch, material: Arc<Material>) {
        let mut materials = self.materials();
        // What was read before a change is of no more use, and holds secrets.
        materials.retain(|(of, at, _)| *at == epoch && *of != mac);
        if materials.len() >= MOST_MATERIALS {
            materials.pop_front();
        }
        materials.push_back((mac, epoch, material));
    }

    /// How many files and bytes there are.
    pub(super) fn size(&self) -> (usize, usize) {
        let files = self.files();
        (files.entries.len(), files.bytes)
    }
}

impl Files {
    fn put(&mut self, key: Key, entry: Entry) {
        let cost = cost(&key, &entry);
        if cost > self.limit {
            return;
        }
        match self.entries.insert(key.clone(), (entry, false)) {
            Some((old, _)) => self.bytes -= self::cost(&key, &old),
            None => self.order.push_back(key),
        }
        self.bytes += cost;
        while self.bytes > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            match self.entries.get_mut(&oldest) {
                Some((_, used)) if *used => {
                    *used = false;
                    self.order.push_back(oldest);
                }
                Some(_) => {
                    if let Some((old, _)) = self.entries.remove(&oldest) {
                        self.bytes -= self::cost(&oldest, &old);
                    }
                }
                None => {}
            }
        }
    }
}

fn cost((_, name): &Key, entry: &Entry) -> usize {
    entry.file.bytes.len() + 2 * name.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: usize) -> Entry {
        let file = File {
            content_type: String::new(),
            bytes: vec![b'x'; size].into(),
            revision: String::new(),
            secret: false,
            part: crate::boot::Part::Own,
        };
        Entry { file, epoch: None, at: Timestamp(0) }
    }

    fn mac(n: u64) -> Mac {
        format!("001565{n:06x}").parse().unwrap()
    }

    #[test]
    fn it_never_grows_beyond_its_bound_and_keeps_what_is_used() {
        let cache = Cache::bounded(100_000);
        cache.put(mac(0), "a", entry(1_000));
        for n in 1..1_000 {
            assert!(cache.file(mac(0), "a").is_some(), "{n}");
            cache.put(mac(n), "a", entry(1_000));
            assert!(cache.size().1 <= 100_000);
        }
        assert!(cache.file(mac(1), "a").is_none());
        assert!(cache.file(mac(999), "a").is_some());
        let queued = cache.files().order.len();
        assert_eq!(queued, cache.size().0);
    }

    #[test]
    fn what_is_rendered_anew_takes_the_place_of_the_old() {
        let cache = Cache::bounded(100_000);
        cache.put(mac(0), "a", entry(1_000));
        let before = cache.size();
        cache.put(mac(0), "a", entry(1_000));
        assert_eq!(cache.size(), before);
        cache.put(mac(0), "a", entry(200_000));
        assert_eq!(cache.size(), before, "one that fits nowhere is not kept");
    }
}
