//! Slowing down who guesses: per source and for all sources together.
//!
//! Counted in memory, so that it costs the database nothing and goes on without it. A phone that
//! keeps asking for its own file guesses nothing: the same name, or the same token, as the last does
//! not count again. A wrong password always counts: whether it is the same again cannot be seen.

use std::collections::HashMap;

use crate::net::{Address, Mac};
use crate::time::Timestamp;

/// What a source tried, where trying it again tells it nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The phone it named.
    pub mac: Option<Mac>,
    /// The token it named, by its fingerprint.
    pub token: Option<String>,
}

/// Wrong guesses a source has free, and all sources together.
const FREE: u32 = 20;
const FREE_OF_ALL: u32 = 5_000;
/// The longest wait of a source, and of everybody, in seconds.
const LONGEST: i64 = 900;
const LONGEST_OF_ALL: i64 = 30;
/// After so many seconds without a failure, counting starts anew.
const FORGIVEN: i64 = 3_600;
const FORGIVEN_OF_ALL: i64 = 120;
/// Sources remembered. Beyond that, those silent longest are forgotten.
const MOST: usize = 10_000;

/// What failed and when it may be tried again.
#[derive(Clone, Debug, Default)]
struct Count {
    failures: u32,
    last: Timestamp,
    until: Timestamp,
    guess: Option<Guess>,
    /// Requests turned away without a look since it was last told to wait.
    turned_away: u64,
}

impl Count {
    fn fail(&mut self, free: u32, longest: i64, forgiven: i64, now: Timestamp) {
        let again = now.since(self.last) < forgiven;
        self.failures = if again { self.failures.saturating_add(1) } else { 1 };
        self.last = now;
        self.until = now.plus(pause(self.failures, free, longest));
        self.turned_away = 0;
    }
}

/// Seconds to wait after the `failures`-th failure: none while free, then doubling.
fn pause(failures: u32, free: u32, longest: i64) -> i64 {
    match failures.checked_sub(free) {
        Some(beyond @ 1..) => 2_i64.saturating_pow(beyond.min(20) - 1).min(longest),
        _ => 0,
    }
}

/// A source that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowed {
    /// Who.
    pub address: Address,
    /// Wrong guesses.
    pub failures: u32,
    /// Until when nothing it asks is looked up.
    pub until: Timestamp,
}

/// Told to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Seconds.
    pub seconds: i64,
    /// Whether this is the first request turned away since: only that one is worth a row.
    pub first: bool,
}

/// All counts of this process.
#[derive(Debug, Default)]
pub struct Throttle {
    sources: HashMap<Address, Count>,
    all: Count,
}

impl Throttle {
    /// Whether `source` has to wait.
    pub fn check(&mut self, source: Address, now: Timestamp) -> Option<Wait> {
        let own = self.sources.get_mut(&source).filter(|count| count.until > now);
        let count = match own {
            Some(count) => count,
            None if self.all.until > now => &mut self.all,
            None => return None,
        };
        count.turned_away += 1;
        Some(Wait { seconds: count.until.since(now), first: count.turned_away == 1 })
    }

    /// `source` asked for something that is not for it. `guess` is none when every try counts.
    pub fn failed(&mut self, source: Address, guess: Option<Guess>, now: Timestamp) {
        if self.sources.len() >= MOST && !self.sources.contains_key(&source) {
            self.forget(now);
        }
        let count = self.sources.entry(source).or_default();
        if guess.is_some() && count.guess == guess && count.failures > 0 {
            return;
        }
        count.guess = guess;
        count.fail(FREE, LONGEST, FORGIVEN, now);
        self.all.fail(FREE_OF_ALL, LONGEST_OF_ALL, FORGIVEN_OF_ALL, now);
    }

    /// Somebody vouches for `source`.
    pub fn forgive(&mut self, source: Address) {
        self.sources.remove(&source);
    }

    /// Who has to wait now, the worst first.
    pub fn slowed(&self, now: Timestamp) -> Vec<Slowed> {
        let waiting = self.sources.iter().filter(|(_, count)| count.until > now);
        let mut slowed: Vec<Slowed> = waiting
            .map(|(address, count)| Slowed {
                address: *address,
                failures: count.failures,
                until: count.until,
            })
            .collect();
        slowed.sort_by_key(|slowed| (std::cmp::Reverse(slowed.failures), slowed.address));
        slowed
    }

    /// Until when everybody unknown has to wait, if so.
    pub fn all_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.all.until).filter(|until| *until > now)
    }

    /// Makes room: first of those whose counting is over, then of the older half.
    fn forget(&mut self, now: Timestamp) {
        self.sources.retain(|_, count| now.since(count.last) < FORGIVEN);
        if self.sources.len() >= MOST {
            let mut times: Vec<i64> = self.sources.values().map(|count| count.last.0).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or_default();
            self.sources.retain(|_, count| count.last.0 > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Address {
        std::net::IpAddr::from(n.to_be_bytes()).into()
    }

    fn mac(n: u64) -> Guess {
        Guess { mac: format!("001565{n:06x}").parse().ok(), token: None }
    }

    #[test]
    fn waiting_doubles_once_the_free_guesses_are_used() {
        assert_eq!([1, 20, 21, 22, 25, 60].map(|n| pause(n, 20, 900)), [0, 0, 1, 2, 16, 900]);
    }

    #[test]
    fn ten_thousand_guesses_take_months() {
        let (mut throttle, mut now, mut looked) = (Throttle::default(), Timestamp(0), 0);
        while looked < 10_000 {
            if let Some(wait) = throttle.check(address(1), now) {
                now = now.plus(wait.seconds);
                continue;
            }
            throttle.failed(address(1), Some(mac(looked)), now);
            looked += 1;
        }
        assert!(now.0 > 100 * 86_400, "{now}");
        assert_eq!(throttle.slowed(now).len(), 1);
    }

    #[test]
    fn a_phone_that_asks_for_its_own_file_again_is_not_slowed_and_others_neither() {
        let (mut throttle, now) = (Throttle::default(), Timestamp(0));
        for _ in 0..1_000 {
            throttle.failed(address(1), Some(mac(7)), now);
        }
        assert_eq!(throttle.check(address(1), now), None);
        for n in 0..30 {
            throttle.failed(address(2), Some(mac(n)), now);
        }
        assert!(throttle.check(address(2), now).unwrap().first);
        assert!(!throttle.check(address(2), now).unwrap().first);
        assert_eq!(throttle.check(address(1), now), None);
        throttle.forgive(address(2));
        assert_eq!(throttle.check(address(2), now), None);
    }

    #[test]
    fn tokens_and_passwords_are_guesses_though_the_name_stays_the_same() {
        let (mut throttle, now) = (Throttle::default(), Timestamp(0));
        for n in 0..30 {
            let token = Some(format!("{n}"));
            throttle.failed(address(1), Some(Guess { token, ..mac(7) }), now);
            throttle.failed(address(2), None, now);
            let again = Some("the same".to_owned());
            throttle.failed(address(3), Some(Guess { mac: None, token: again }), now);
        }
        assert!(throttle.check(address(1), now).is_some());
        assert!(throttle.check(address(2), now).is_some());
        assert_eq!(throttle.check(address(3), now), None);
    }

    #[test]
    fn guesses_from_everywhere_slow_everybody_and_memory_is_bounded() {
        let (mut throttle, now) = (Throttle::default(), Timestamp(0));
        for n in 0..30_000 {
            throttle.failed(address(n), Some(mac(u64::from(n))), now.plus(i64::from(n / 1_000)));
        }
        assert!(throttle.sources.len() <= MOST);
        assert!(throttle.check(address(99_999), now.plus(30)).is_some());
        assert_eq!(throttle.check(address(99_999), now.plus(120)), None);
    }
}
