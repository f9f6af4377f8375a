//! Many rows in few statements: an import would otherwise spend its time asking and waiting.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgConnection};
use sqlx::{Encode, Postgres};

use super::{On, Query, Result, Tx};

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
        if let Self::Postgres(tx) = self
            && bulk.tail.is_empty()
            && rows.len() >= WORTH_COPYING
        {
            return copy(tx, bulk, rows, bind).await;
        }
        let mut rest = rows;
        while !rest.is_empty() {
            let count = (1_usize << rest.len().ilog2()).min(bulk.most);
            let Some((now, later)) = rest.split_at_checked(count) else { break };
            let statement = self.query(text(bulk, count, matches!(self, Self::Postgres(_))));
            now.iter().fold(statement, bind).run().await?;
            rest = later;
        }
        Ok(())
    }
}

/// Rows from which `PostgreSQL` copies: it plans a statement of many rows anew each time.
const WORTH_COPYING: usize = 16;
/// Rows sent at once.
const SENT: usize = 128;
/// How the binary format begins: the signature, no flags, no extension
/// (<https://www.postgresql.org/docs/current/sql-copy.html>, Binary Format).
const BEGINNING: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Inserts rows by COPY.
async fn copy<T>(
    on: &mut PgConnection,
    bulk: &Bulk,
    rows: &[T],
    bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
) -> Result<()> {
    let into = bulk.head.trim_start_matches("INSERT INTO ").trim_end_matches("VALUES");
    let statement = format!("COPY {into} FROM STDIN (FORMAT BINARY)");
    let columns = i16::try_from(bulk.columns).unwrap_or(i16::MAX).to_be_bytes();
    let mut copying = on.copy_in_raw(&statement).await?;
    let mut data = BEGINNING.to_vec();
    for rows in rows.chunks(SENT) {
        for row in rows {
            data.extend_from_slice(&columns);
            let bound = bind(Query::new(On::Copied(data), ""), row);
            let (On::Copied(written), None) = (bound.on, bound.bad) else {
                return Err(sqlx::Error::Protocol("a value cannot be copied".into()));
            };
            data = written;
        }
        copying.send(std::mem::take(&mut data)).await?;
    }
    copying.send((-1_i16).to_be_bytes().to_vec()).await?;
    copying.finish().await.map(drop)
}

/// Appends a value: its length and its bytes, or -1 for none.
pub(super) fn copied(
    row: &mut Vec<u8>,
    value: &impl for<'q> Encode<'q, Postgres>,
) -> std::result::Result<(), BoxDynError> {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer)? {
        IsNull::Yes => row.extend_from_slice(&(-1_i32).to_be_bytes()),
        IsNull::No => {
            row.extend_from_slice(&i32::try_from(buffer.len())?.to_be_bytes());
            row.extend_from_slice(&buffer);
        }
    }
    Ok(())
}

/// Head, rows, and whether places are numbered.
type Key = (&'static str, usize, bool);

/// The text for `rows` rows; each is made once and kept for good.
fn text(bulk: &'static Bulk, rows: usize, numbered: bool) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<Key, &'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (bulk.head, rows, numbered);
    texts.entry(key).or_insert_with(|| Box::leak(write(bulk, rows, numbered).into_boxed_str()))
}

/// `SQLite` looks a numbered place up by going through all of them, each time a value is bound:
/// with thousands in a statement that is most of its time. There they have no numbers.
fn write(bulk: &Bulk, rows: usize, numbered: bool) -> String {
    let row = |row: usize| {
        let place =
            |n| if numbered { format!("${}", row * bulk.columns + n) } else { "?".to_owned() };
        format!("({})", (1..=bulk.columns).map(place).collect::<Vec<_>>().join(", "))
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
        assert_eq!(write(&bulk, 2, false), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ");
        assert_eq!(write(&bulk, 2, true), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ");
    }
}
