//! What Asterisk told becomes what is stored: only differences are written, and nothing is taken
//! away but what Asterisk, telling everything, did not tell.
//!
//! Two processes may do this at once. Each compares anew once it alone may write; what the other
//! wrote after this one began to ask is newer than this one's answer, and stays.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::contact::{Contact, Prefixes};
use super::device::{self, Source};
use super::queries::{self, Held, Known};
use crate::asterisk::ami::InboundContact;
use crate::db::Result;
use crate::id::TenantId;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::state::State;
use crate::tenants;
use crate::time::Timestamp;

/// Seconds after which it is written again that somebody is still there.
const AGAIN: i64 = 5 * 60;
/// Seconds after which it is written that Asterisk told everything, though nothing changed.
const READ: i64 = 50;

/// What names a registration.
pub(super) type Key = (TenantId, ExtensionNumber, String);

/// A registration to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What Asterisk told.
    pub contact: Contact,
    /// The device, and whence that is known.
    pub mac: Option<(Mac, Source)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Taken {
    /// Those that were not there before.
    pub begun: Vec<Entry>,
    /// Those that were, and of which something changed or is worth saying again.
    pub renewed: Vec<Entry>,
    /// How many ended.
    pub ended: usize,
    /// Whether some may have ended that another process heard of later: ask again.
    pub doubtful: bool,
}

/// Takes down everything that Asterisk told, having been asked at `began`.
pub async fn take(state: &State, began: Timestamp, told: Vec<InboundContact>) -> Result<Taken> {
    let mut tx = state.read().await?;
    let tenants = tenants::all(&mut tx).await?;
    let (contacts, foreign) = Prefixes::of(&tenants).contacts(told);
    let held = queries::present(&mut tx).await?;
    let feed = queries::feed(&mut tx).await?;
    drop(tx);
    let now = state.clock.now();
    let fresh = feed.read_at.is_some_and(|read| now.since(read) < READ)
        && feed.error.is_empty()
        && feed.foreign == foreign;
    let difference = compare(&contacts, &held, began);
    if difference.is_empty() && fresh {
        return Ok(Taken { doubtful: difference.doubtful, ..Taken::default() });
    }
    // Whoever else takes down what Asterisk told waits from here on.
    let mut tx = state.db.write().await?;
    let changed = !difference.is_empty();
    queries::read_at(&mut tx, began, foreign, changed).await?;
    if !changed {
        tx.commit().await?;
        return Ok(Taken { doubtful: difference.doubtful, ..Taken::default() });
    }
    let held = queries::present(&mut tx).await?;
    let difference = compare(&contacts, &held, began);
    let taken = Taken {
        begun: with_macs(&mut tx, difference.begun).await?,
        renewed: with_macs(&mut tx, difference.renewed).await?,
        ended: difference.ended.len(),
        doubtful: difference.doubtful,
    };
    for key in &difference.ended {
        queries::end(&mut tx, key, began).await?;
    }
    queries::outdate(&mut tx, &taken.begun).await?;
    queries::put(&mut tx, &taken.begun, began).await?;
    queries::put(&mut tx, &taken.renewed, began).await?;
    tx.commit().await?;
    Ok(taken)
}

/// What is different.
#[derive(Debug, Default)]
struct Difference {
    begun: Vec<Contact>,
    renewed: Vec<Contact>,
    ended: Vec<Key>,
    doubtful: bool,
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.renewed.is_empty() && self.ended.is_empty()
    }
}

/// Compares what Asterisk told, asked at `began`, with what is held to be there.
fn compare(contacts: &[Contact], held: &HashMap<Key, Held>, began: Timestamp) -> Difference {
    let mut difference = Difference::default();
    let mut told = HashSet::new();
    for contact in contacts {
        let key = (contact.tenant, contact.number, contact.uri.clone());
        match held.get(&key) {
            None => difference.begun.push(contact.clone()),
            Some(held) if held.last_seen > began => {}
            Some(held) if differs(contact, held, began) => difference.renewed.push(contact.clone()),
            Some(_) => {}
        }
        told.insert(key);
    }
    for (key, held) in held.iter().filter(|(key, _)| !told.contains(*key)) {
        if held.last_seen < began {
            difference.ended.push(key.clone());
        } else {
            difference.doubtful = true;
        }
    }
    difference.ended.sort();
    difference
}

fn differs(contact: &Contact, held: &Held, began: Timestamp) -> bool {
    let over = held.expires_at.is_some_and(|at| at < began);
    let renewed = contact.expires != held.expires_at;
    contact.address != held.address
        || contact.via != held.via
        || contact.user_agent != held.user_agent
        || (renewed && (over || began.since(held.last_seen) >= AGAIN))
}

/// Finds out which devices they are.
async fn with_macs(tx: &mut crate::db::Tx, contacts: Vec<Contact>) -> Result<Vec<Entry>> {
    let mut known: BTreeMap<TenantId, Known> = BTreeMap::new();
    let mut entries = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let mac = if let Some(mac) = device::mac(&contact.user_agent) {
            Some((mac, Source::UserAgent))
        } else {
            if let std::collections::btree_map::Entry::Vacant(place) = known.entry(contact.tenant) {
                place.insert(queries::known(tx, contact.tenant).await?);
            }
            let provisioned = known.get(&contact.tenant).and_then(|known| guess(&contact, known));
            let instance = device::instance(&contact.uri).map(|mac| (mac, Source::Instance));
            let found = instance.or(provisioned.map(|mac| (mac, Source::Provisioning)));
            // The same number from the same place is the same device until it says otherwise.
            let maker = device::maker(&contact.user_agent);
            let earlier = queries::earlier(tx, &contact).await?;
            let earlier = earlier.filter(|earlier| device::maker(&earlier.user_agent) == maker);
            let earlier = earlier.map(|earlier| (earlier.mac, earlier.source));
            earlier.filter(|earlier| found.is_none_or(|found| earlier.1 > found.1)).or(found)
        };
        entries.push(Entry { contact, mac });
    }
    Ok(entries)
}

/// Which phone it probably is: the one that has the line, if its maker or its address speaks for
/// it; else the one that fetched its file from there, if its maker does not speak against it.
fn guess(contact: &Contact, known: &Known) -> Option<Mac> {
    let maker = device::maker(&contact.user_agent);
    let own = contact.via.or(contact.address);
    let from = |phone: &queries::KnownPhone| {
        let places = [phone.fetched_from, phone.fixed];
        places.iter().any(|place| place.is_some() && (*place == own || *place == contact.address))
    };
    let of_line = known.by_number(contact.number).filter(|phone| match maker {
        Some(maker) => phone.vendor == maker.as_str(),
        None => from(phone),
    });
    let of_place = || {
        let there = own.and_then(|own| known.by_place(own));
        there.filter(|phone| maker.is_none_or(|maker| phone.vendor == maker.as_str()))
    };
    of_line.or_else(of_place).map(|phone| phone.mac)
}
