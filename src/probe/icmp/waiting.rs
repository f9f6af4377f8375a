//! The echoes under way: which reply belongs to whom.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::packet::Mark;

/// The most echoes under way in one family. Half of the sequence numbers: a free one is found at once.
pub(super) const MOST: usize = 32_768;

struct Asked {
    to: IpAddr,
    serial: u64,
    heard: oneshot::Sender<Instant>,
}

#[derive(Default)]
struct Table {
    serial: u64,
    asked: HashMap<u16, Asked>,
}

/// The table of one family's socket.
pub(super) struct Waiting {
    nonce: u64,
    table: Mutex<Table>,
}

/// An echo's place in the table, given back when dropped: a caller that goes away leaves nothing behind.
pub(super) struct Place<'w> {
    waiting: &'w Waiting,
    pub mark: Mark,
    pub heard: oneshot::Receiver<Instant>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.lock().asked.remove(&self.mark.sequence);
    }
}

impl Waiting {
    pub fn new(nonce: u64) -> Self {
        Self { nonce, table: Mutex::default() }
    }

    /// Nothing panics with the lock held, so there is no half-done table to fear.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for an echo to this address, or `None` if [`MOST`] are under way.
    pub fn place(&self, to: IpAddr) -> Option<Place<'_>> {
        let (sender, heard) = oneshot::channel();
        let mut table = self.lock();
        if table.asked.len() >= MOST {
            return None;
        }
        let (mark, asked) = loop {
            table.serial = table.serial.wrapping_add(1);
            let [.., high, low] = table.serial.to_be_bytes();
            let sequence = u16::from_be_bytes([high, low]);
            if !table.asked.contains_key(&sequence) {
                let mark = Mark { sequence, serial: table.serial, nonce: self.nonce };
                break (mark, Asked { to, serial: table.serial, heard: sender });
            }
        };
        table.asked.insert(mark.sequence, asked);
        Some(Place { waiting: self, mark, heard })
    }

    /// A reply came. It counts if it is from the address that was asked and carries that request's numbers: not a late
    /// one of an earlier echo, and not one made up by someone who did not see the request.
    pub fn answer(&self, from: IpAddr, mark: Mark, at: Instant) -> bool {
        let mut table = self.lock();
        let right = table.asked.get(&mark.sequence).is_some_and(|asked| {
            asked.to == from && asked.serial == mark.serial && mark.nonce == self.nonce
        });
        right
            && table.asked.remove(&mark.sequence).is_some_and(|asked| asked.heard.send(at).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn only_the_right_reply_counts_and_only_once() {
        let waiting = Waiting::new(5);
        let mut place = waiting.place(ip(1)).unwrap();
        let mark = place.mark;
        let now = Instant::now();
        assert!(!waiting.answer(ip(2), mark, now), "from another address");
        assert!(!waiting.answer(ip(1), Mark { serial: mark.serial + 65_536, ..mark }, now));
        assert!(!waiting.answer(ip(1), Mark { nonce: 6, ..mark }, now), "made up");
        assert!(!waiting.answer(ip(1), Mark { sequence: mark.sequence + 1, ..mark }, now));
        assert!(place.heard.try_recv().is_err());
        assert!(waiting.answer(ip(1), mark, now));
        assert_eq!(place.heard.try_recv(), Ok(now));
        assert!(!waiting.answer(ip(1), mark, now), "twice");
    }

    #[test]
    fn a_place_is_given_back() {
        let waiting = Waiting::new(5);
        let gone = waiting.place(ip(1)).unwrap().mark;
        assert!(!waiting.answer(ip(1), gone, Instant::now()), "nobody waits any more");
        assert!(waiting.lock().asked.is_empty());
    }

    #[test]
    fn no_two_under_way_share_a_sequence_number_and_there_is_an_end() {
        let waiting = Waiting::new(5);
        let early = waiting.place(ip(1)).unwrap();
        for _ in 0..65_535 {
            drop(waiting.place(ip(2)).unwrap());
        }
        assert_ne!(waiting.place(ip(3)).unwrap().mark.sequence, early.mark.sequence);
        let all: Vec<_> = std::iter::from_fn(|| waiting.place(ip(4))).collect();
        assert_eq!(all.len(), MOST - 1);
    }
}
