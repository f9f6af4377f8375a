//! Many rows in few statements: an import would otherwise spend its time asking and waiting.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{Query, Result, Tx};

/// An insertion of rows with `columns` values each.
#[derive(Debug)]
pub struct Bulk {
    /// Everything up to and including `VALUES`.
    pub head: &'static str,
    /// Values a row.
    pub columns: usize,
    /// Rows a statement at most; a statement has at most 32,766 values.
    pub most: usize,
    /// What follows the rows, e.g. `ON CONFLICT …`.
    pub tail: &'static str,
}

impl Tx {
    /// Inserts `rows`, each bound by `bind` in the order of the columns. Statements have a power of
    /// two of rows, so that few texts exist.
    pub async fn insert_many<T>(
        &mut self,
        bulk: &'static Bulk,
        rows: &[T],
        bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
    ) -> Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let count = (1_usize << rest.len().ilog2()).min(bulk.most);
            let Some((now, later)) = rest.split_at_checked(count) else { break };
            let statement = self.query(text(bulk, count));
            now.iter().fold(statement, bind).run().await?;
            rest = later;
        }
        Ok(())
    }
}

type Key = (&'static str, usize);

/// The text for `rows` rows; each is made once and kept for good.
fn text(bulk: &'static Bulk, rows: usize) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<Key, &'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry((bulk.head, rows)).or_insert_with(|| Box::leak(write(bulk, rows).into_boxed_str()))
}

fn write(bulk: &Bulk, rows: usize) -> String {
    let row = |row: usize| {
        let places = (1..=bulk.columns).map(|n| format!("${}", row * bulk.columns + n));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{} {} {}", bulk.head, rows.join(", "), bulk.tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_through() {
        let bulk = Bulk { head: "INSERT INTO t (a, b) VALUES", columns: 2, most: 128, tail: "" };
        assert_eq!(write(&bulk, 2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ");
    }
}
