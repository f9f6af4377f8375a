//! How many requests of nobody's phone are written down. Anybody can send them, and a row is kept for
//! a month: without a bound whoever likes to could fill the disk.

use std::collections::HashMap;

use crate::net::Address;
use crate::time::Timestamp;

/// Rows a source may leave in a minute, and all sources together.
const ROWS: u32 = 20;
const ROWS_OF_ALL: u32 = 300;
/// Sources remembered for what was left out of theirs.
const MOST: usize = 10_000;

#[derive(Default)]
struct Spent {
    rows: u32,
    /// Requests that were not written down since the last that was.
    left_out: u64,
}

/// What is spent of this minute's rows.
#[derive(Default)]
pub(super) struct Budget {
    minute: i64,
    all: u32,
    sources: HashMap<Address, Spent>,
}

impl Budget {
    /// Whether a request of `source` is written down: then how many before it were not.
    pub(super) fn spend(&mut self, source: Address, now: Timestamp) -> Option<u64> {
        self.turn(now.0.div_euclid(60));
        if self.all >= ROWS_OF_ALL && !self.sources.contains_key(&source) {
            return None;
        }
        let spent = self.sources.entry(source).or_default();
        if self.all >= ROWS_OF_ALL || spent.rows >= ROWS {
            spent.left_out += 1;
            return None;
        }
        self.all += 1;
        spent.rows += 1;
        Some(std::mem::take(&mut spent.left_out))
    }

    /// Another minute has its own rows.
    fn turn(&mut self, minute: i64) {
        if minute == self.minute {
            return;
        }
        (self.minute, self.all) = (minute, 0);
        self.sources.retain(|_, spent| spent.left_out > 0);
        self.sources.values_mut().for_each(|spent| spent.rows = 0);
        if self.sources.len() > MOST {
            self.sources.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Address {
        std::net::IpAddr::from(n.to_be_bytes()).into()
    }

    #[test]
    fn a_source_has_its_rows_and_the_next_one_says_what_was_left_out() {
        let mut budget = Budget::default();
        let written = (0..1_000).filter_map(|_| budget.spend(address(1), Timestamp(59)));
        assert_eq!(written.collect::<Vec<_>>(), [0; 20]);
        assert_eq!(budget.spend(address(2), Timestamp(59)), Some(0));
        assert_eq!(budget.spend(address(1), Timestamp(60)), Some(980));
        assert_eq!(budget.spend(address(1), Timestamp(60)), Some(0));
    }

    #[test]
    fn all_sources_together_have_theirs_and_memory_is_bounded() {
        let mut budget = Budget::default();
        for minute in 0..100 {
            let at = Timestamp(minute * 60);
            let rows = (0..5_000).filter(|n| budget.spend(address(*n), at).is_some()).count();
            assert_eq!(rows, 300, "{minute}");
            assert!(budget.sources.len() <= MOST);
        }
    }
}
