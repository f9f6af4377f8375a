//! The numbers of addresses, by which the index of words knows them.
//!
//! On `PostgreSQL` whoever draws one would wait for everybody who drew one before and has not
//! ended, of whatever tenant. So some more are drawn each time, and those left over are for the
//! next ones: from when the change that drew them is made, since otherwise they are drawn again.
//! Numbers left over when the program ends are nobody's.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::Place;
use super::{Open, Result, Tx};
use crate::sql;

/// Drawn at once beyond what is needed.
const MORE: i64 = 64;

/// Numbers left over, for all connections of the process.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<Mutex<Range<i64>>>);

impl Numbers {
    fn take(&self, count: i64) -> Option<i64> {
        take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), count)
    }

    /// Keeps what is left over, rather than what was left before if that is less.
    pub(super) fn keep(&self, range: Range<i64>) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if range.end - range.start > left.end - left.start {
            *left = range;
        }
    }
}

/// The first of so many in a row, if there are as many.
fn take(left: &mut Range<i64>, count: i64) -> Option<i64> {
    let first = left.start;
    if left.end - first < count {
        return None;
    }
    left.start += count;
    Some(first)
}

impl Tx {
    /// Numbers for `count` new addresses: the first of them.
    pub async fn numbers(&mut self, count: usize) -> Result<i64> {
        let count = i64::try_from(count).unwrap_or(i64::MAX - MORE);
        let mut more = 0;
        if let Self::Postgres(open) = self
            && let Open { writes: Some(Place { server, .. }), drawn, .. } = &mut **open
        {
            if let Some(first) = take(drawn, count).or_else(|| server.numbers().take(count)) {
                return Ok(first);
            }
            more = if count < MORE { MORE } else { 0 };
        }
        let last: i64 = self
            .along(sql!("UPDATE address_sequence SET last = last + $1 WHERE id = 1 RETURNING last"))
            .bind(count + more)
            .scalar()
            .await?;
        if let Self::Postgres(open) = self
            && more > 0
        {
            open.drawn = last - more + 1..last + 1;
        }
        Ok(last - more - count + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_left_over_are_given_once() {
        let numbers = Numbers::default();
        assert_eq!(numbers.take(1), None);
        numbers.keep(10..13);
        assert_eq!([numbers.take(2), numbers.take(2), numbers.take(1)], [Some(10), None, Some(12)]);
        numbers.keep(20..24);
        numbers.keep(30..32);
        assert_eq!([numbers.take(4), numbers.take(1)], [Some(20), None]);
    }
}
