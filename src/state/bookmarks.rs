//! Where in long lists the rows are that were shown of late.
//!
//! To show a page deep in a list, a database walks over all that comes before it. So of each list it
//! is kept which row has which rank, until something changes: from there the same page, the next one
//! and the one before are a few steps away, and so is the last page from the end.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::TenantId;

/// Lists of which anything is kept, and rows kept of each. All of them go when there are more.
const LISTS: usize = 64;
const ROWS: usize = 64;

/// The rows that are kept. Cheap to clone.
#[derive(Clone, Default)]
pub struct Bookmarks(Arc<Mutex<HashMap<List, Kept>>>);

/// Whose list, what is kept of its rows, and which of their lists it is.
type List = (TenantId, TypeId, String);

struct Kept {
    /// The newest change when these were the ranks.
    change: i64,
    rows: BTreeMap<i64, Box<dyn Any + Send>>,
}

/// How to get to a stretch of a list: over `skip` rows from somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<T> {
    /// From where, and which way round.
    pub from: From<T>,
    /// Rows to pass over.
    pub skip: i64,
}

/// Where a walk begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From<T> {
    /// At the first row, upwards.
    First,
    /// At this row, itself included, upwards.
    Row(T),
    /// At the last row, downwards: what is found is the other way round.
    Last,
    /// Below this row, downwards.
    Below(T),
}

impl<T> From<T> {
    /// Whether rows are found in the opposite order.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Last | Self::Below(_))
    }
}

impl Bookmarks {
    /// The shortest way to the rows of these ranks, counted from 0, in a list of `total` rows as it
    /// is when `change` is the newest change.
    pub fn way<T: Clone + Send + 'static>(
        &self,
        tenant: TenantId,
        list: &str,
        change: i64,
        rows: &Range<i64>,
        total: i64,
    ) -> Way<T> {
        let mut ways = vec![
            Way { from: From::First, skip: rows.start },
            Way { from: From::Last, skip: (total - rows.end).max(0) },
        ];
        let lists = self.lists();
        let kept = lists.get(&(tenant, TypeId::of::<T>(), list.to_owned()));
        if let Some(kept) = kept.filter(|kept| kept.change == change) {
            let row = |kept: &Box<dyn Any + Send>| kept.downcast_ref::<T>().cloned();
            let before = kept.rows.range(..=rows.start).next_back();
            ways.extend(before.and_then(|(rank, kept)| {
                Some(Way { from: From::Row(row(kept)?), skip: rows.start - rank })
            }));
            let behind = kept.rows.range(rows.end..).next();
            ways.extend(behind.and_then(|(rank, kept)| {
                Some(Way { from: From::Below(row(kept)?), skip: rank - rows.end })
            }));
        }
        ways.into_iter().min_by_key(|way| way.skip).unwrap_or(Way { from: From::First, skip: 0 })
    }

    /// Keeps that `row` has this rank, with what else is kept of the list as it was at this change.
    pub fn keep<T: Clone + Send + 'static>(
        &self,
        tenant: TenantId,
        list: &str,
        change: i64,
        rank: i64,
        row: T,
    ) {
        let mut lists = self.lists();
        let list = (tenant, TypeId::of::<T>(), list.to_owned());
        if lists.len() >= LISTS && !lists.contains_key(&list) {
            lists.clear();
        }
        let kept = lists.entry(list).or_insert(Kept { change, rows: BTreeMap::new() });
        if kept.change > change {
            return;
        }
        if kept.change < change || kept.rows.len() >= ROWS {
            *kept = Kept { change, rows: BTreeMap::new() };
        }
        kept.rows.insert(rank, Box::new(row));
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<List, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: TenantId = TenantId::DEFAULT;

    fn way(marks: &Bookmarks, change: i64, rows: Range<i64>) -> Way<&'static str> {
        marks.way(ME, "names", change, &rows, 1_000)
    }

    #[test]
    fn without_any_the_nearer_end_is_where_to_begin() {
        let marks = Bookmarks::default();
        assert_eq!(way(&marks, 1, 300..325), Way { from: From::First, skip: 300 });
        assert_eq!(way(&marks, 1, 950..975), Way { from: From::Last, skip: 25 });
        assert_eq!(way(&marks, 1, 975..1_000), Way { from: From::Last, skip: 0 });
    }

    #[test]
    fn the_same_page_the_next_and_the_one_before_are_near() {
        let marks = Bookmarks::default();
        marks.keep(ME, "names", 1, 500, "m");
        assert_eq!(way(&marks, 1, 500..525), Way { from: From::Row("m"), skip: 0 });
        assert_eq!(way(&marks, 1, 525..550), Way { from: From::Row("m"), skip: 25 });
        assert_eq!(way(&marks, 1, 475..500), Way { from: From::Below("m"), skip: 0 });
        assert_eq!(way(&marks, 1, 10..35), Way { from: From::First, skip: 10 });
    }

    #[test]
    fn it_is_forgotten_when_something_changes_and_of_one_list_of_one_tenant() {
        let marks = Bookmarks::default();
        marks.keep(ME, "names", 5, 500, "m");
        let plain = Way { from: From::First, skip: 500 };
        assert_eq!(way(&marks, 4, 500..525), Way { from: From::Last, skip: 475 });
        assert_eq!(marks.way::<&str>(ME, "other", 5, &(500..525), 9_999), plain);
        assert_eq!(marks.way::<String>(ME, "names", 5, &(500..525), 9_999).from, From::First);
        let other = TenantId::from(uuid::Uuid::from_u128(7));
        assert_eq!(marks.way::<&str>(other, "names", 5, &(500..525), 9_999), plain);
        marks.keep(ME, "names", 4, 600, "old");
        assert_eq!(
            way(&marks, 5, 500..525).from,
            From::Row("m"),
            "an older list does not replace it"
        );
        marks.keep(ME, "names", 6, 600, "n");
        assert_eq!(way(&marks, 6, 600..625).from, From::Row("n"));
        assert_eq!(way(&marks, 6, 500..525).from, From::Below("n"), "the rest is gone");
    }

    #[test]
    fn no_more_than_a_few_are_kept() {
        let marks = Bookmarks::default();
        for n in 0..1_000 {
            marks.keep(ME, "names", 1, n, "row");
            marks.keep(ME, &n.to_string(), 1, n, "row");
        }
        let lists = marks.lists();
        assert!(lists.len() <= LISTS && lists.values().all(|kept| kept.rows.len() <= ROWS));
    }
}
