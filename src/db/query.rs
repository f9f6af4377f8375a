//! A statement: the values bound to it, and how it is run on either database.

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, PgPool, Postgres};

use super::bulk::Columns;
use super::later::{Encoded, Later};
use super::{Reader, Readers, Result, Row, Value, Writer};

/// Whom a statement is for, with the values bound to it so far.
pub(super) enum On<'e> {
    /// One of them, once the writer is settled.
    Readers(&'e Readers, &'e Writer, SqliteArguments),
    Reader(&'e mut Reader, SqliteArguments),
    Sqlite(&'e mut SqliteConnection, SqliteArguments),
    PostgresPool(&'e PgPool, PgArguments),
    /// After what was put off.
    Postgres(&'e mut PgConnection, &'e mut Later, PgArguments),
    /// With what was put off, or put off itself.
    Together(&'e mut PgConnection, &'e mut Later, Vec<Encoded>, When),
    /// Nobody yet: the values of many rows are gathered.
    Columns(Columns),
}

/// When a statement is sent that goes with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Now,
    Later,
}

/// A row of whichever database was asked.
pub(super) enum AnyRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl AnyRow {
    fn read<T: Row>(&self) -> Result<T> {
        match self {
            Self::Sqlite(row) => T::from_row(row),
            Self::Postgres(row) => T::from_row(row),
        }
    }
}

/// What is done with each row.
pub(super) type Take<'t> = dyn FnMut(AnyRow) -> Result<()> + Send + 't;

/// A statement and the values bound to it so far.
#[must_use = "a query does nothing until it is run"]
pub struct Query<'e> {
    pub(super) on: On<'e>,
    sql: &'static str,
    /// Whether `PostgreSQL` keeps it prepared.
    kept: bool,
    pub(super) bad: Option<sqlx::Error>,
}

impl<'e> Query<'e> {
    pub(super) fn new(on: On<'e>, sql: &'static str) -> Self {
        Self { on, sql, kept: true, bad: None }
    }

    /// Has `PostgreSQL` plan it for the values bound. What it prepared it may plan without knowing
    /// them, and of a filter that is switched on by its values it then guesses that nothing is let
    /// through: a join over that is a thousand times too slow. Takes a message more.
    pub fn planned_anew(mut self) -> Self {
        self.kept = false;
        self
    }

    /// Binds the next `$n`.
    pub fn bind(mut self, value: impl Value) -> Self {
        let bound = match &mut self.on {
            On::Readers(_, _, arguments) | On::Reader(_, arguments) | On::Sqlite(_, arguments) => {
                arguments.add(value)
            }
            On::PostgresPool(_, arguments) | On::Postgres(_, _, arguments) => arguments.add(value),
            On::Together(_, _, values, _) => {
                Encoded::of(&value).map(|encoded| values.push(encoded))
            }
            On::Columns(columns) => columns.push(&value),
        };
        if let Err(error) = bound {
            self.bad.get_or_insert(sqlx::Error::Encode(error));
        }
        self
    }

    /// Runs it and says how many rows it touched.
    pub async fn run(mut self) -> Result<u64> {
        self.ready()?;
        Ok(match self.on {
            On::Readers(readers, writer, values) => {
                writer.settled().await;
                let mut reader = readers.take().await?;
                let done = sqlx::query_with(self.sql, values).execute(reader.alone()).await?;
                reader.answered();
                done.rows_affected()
            }
            On::Reader(reader, values) => {
                let done = sqlx::query_with(self.sql, values).execute(reader.within()?).await?;
                reader.answered();
                done.rows_affected()
            }
            On::Sqlite(on, values) => {
                sqlx::query_with(self.sql, values).execute(on).await?.rows_affected()
            }
            On::PostgresPool(on, values) => {
                postgres(self.sql, values, self.kept).execute(on).await?.rows_affected()
            }
            On::Postgres(on, later, values) => {
                later.send(on).await?;
                postgres(self.sql, values, self.kept).execute(on).await?.rows_affected()
            }
            On::Together(on, later, values, When::Now) => {
                later.make_way(on, self.sql).await?;
                later.along(self.sql, values)?.execute(on).await?.rows_affected()
            }
            On::Together(on, later, values, When::Later) => {
                later.put_off(on, self.sql, values).await?;
                0
            }
            On::Columns(_) => return Err(never_asked()),
        })
    }

    /// The first row, or none.
    pub async fn optional<T: Row>(self) -> Result<Option<T>> {
        let row = self.row().await?;
        row.map(|row| row.read()).transpose()
    }

    /// The first row; none is an error.
    pub async fn one<T: Row>(self) -> Result<T> {
        self.optional().await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// All rows.
    pub async fn all<T: Row>(self) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(&mut |row| {
            all.push(row.read()?);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// The first column of the first row.
    pub async fn scalar<T>(self) -> Result<T>
    where
        (T,): Row,
    {
        Ok(self.one::<(T,)>().await?.0)
    }

    /// The first column of the first row, or none.
    pub async fn optional_scalar<T>(self) -> Result<Option<T>>
    where
        (T,): Row,
    {
        Ok(self.optional::<(T,)>().await?.map(|row| row.0))
    }

    // Fetching is not generic, only decoding is: little code is generated for each row type.
    async fn row(mut self) -> Result<Option<AnyRow>> {
        self.ready()?;
        Ok(match self.on {
            On::Readers(readers, writer, values) => {
                writer.settled().await;
                let mut reader = readers.take().await?;
                let asked = sqlx::query_with(self.sql, values);
                let row = asked.fetch_optional(reader.alone()).await?;
                reader.answered();
                row.map(AnyRow::Sqlite)
            }
            On::Reader(reader, values) => {
                let asked = sqlx::query_with(self.sql, values);
                let row = asked.fetch_optional(reader.within()?).await?;
                reader.answered();
                row.map(AnyRow::Sqlite)
            }
            On::Sqlite(on, values) => {
                sqlx::query_with(self.sql, values).fetch_optional(on).await?.map(AnyRow::Sqlite)
            }
            On::PostgresPool(on, values) => postgres(self.sql, values, self.kept)
                .fetch_optional(on)
                .await?
                .map(AnyRow::Postgres),
            On::Postgres(on, later, values) => {
                later.send(on).await?;
                postgres(self.sql, values, self.kept)
                    .fetch_optional(on)
                    .await?
                    .map(AnyRow::Postgres)
            }
            On::Together(on, later, values, When::Now) => {
                later.make_way(on, self.sql).await?;
                later.along(self.sql, values)?.fetch_optional(on).await?.map(AnyRow::Postgres)
            }
            On::Together(..) | On::Columns(_) => return Err(never_asked()),
        })
    }

    /// Hands over the rows as they come, so that only what is made of them is kept.
    pub(super) async fn each(mut self, take: &mut Take<'_>) -> Result<()> {
        self.ready()?;
        match self.on {
            On::Readers(readers, writer, values) => {
                writer.settled().await;
                let mut reader = readers.take().await?;
                let rows = sqlx::query_with(self.sql, values).fetch(reader.alone());
                drain(rows, AnyRow::Sqlite, take).await?;
                reader.answered();
                Ok(())
            }
            On::Reader(reader, values) => {
                let rows = sqlx::query_with(self.sql, values).fetch(reader.within()?);
                drain(rows, AnyRow::Sqlite, take).await?;
                reader.answered();
                Ok(())
            }
            On::Sqlite(on, values) => {
                drain(sqlx::query_with(self.sql, values).fetch(on), AnyRow::Sqlite, take).await
            }
            On::PostgresPool(on, values) => {
                drain(postgres(self.sql, values, self.kept).fetch(on), AnyRow::Postgres, take).await
            }
            On::Postgres(on, later, values) => {
                later.send(on).await?;
                drain(postgres(self.sql, values, self.kept).fetch(on), AnyRow::Postgres, take).await
            }
            On::Together(on, later, values, When::Now) => {
                later.make_way(on, self.sql).await?;
                drain(later.along(self.sql, values)?.fetch(on), AnyRow::Postgres, take).await
            }
            On::Together(..) | On::Columns(_) => Err(never_asked()),
        }
    }

    /// `SQLite` takes a missing value for NULL without a word, so they are counted.
    fn ready(&mut self) -> Result<()> {
        let bound = match &self.on {
            On::Readers(_, _, values) | On::Reader(_, values) | On::Sqlite(_, values) => {
                values.len()
            }
            On::PostgresPool(_, values) | On::Postgres(_, _, values) => values.len(),
            On::Together(_, _, values, _) => values.len(),
            On::Columns(_) => return Ok(()),
        };
        debug_assert_eq!(placeholders(self.sql), bound, "values bound to {}", self.sql);
        self.bad.take().map_or(Ok(()), Err)
    }
}

fn postgres(
    sql: &'static str,
    values: PgArguments,
    kept: bool,
) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    sqlx::query_with(sql, values).persistent(kept)
}

/// Rows that wait to be handed over. One by one, they would be freed while the thread that makes
/// them allocates the next, and that thread would wait for each to be taken.
pub(super) const WAITING: usize = 512;

async fn drain<R: Send>(
    rows: BoxStream<'_, Result<R>>,
    any: fn(R) -> AnyRow,
    take: &mut Take<'_>,
) -> Result<()> {
    let mut waiting = rows.try_chunks(WAITING);
    while let Some(some) = waiting.try_next().await.map_err(|error| error.1)? {
        some.into_iter().try_for_each(|row| take(any(row)))?;
    }
    Ok(())
}

/// Rows that are gathered are no statement, and one that is put off is not looked at.
fn never_asked() -> sqlx::Error {
    sqlx::Error::Protocol("what is gathered or put off answers nothing".into())
}

pub(super) fn placeholders(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()
    });
    numbers.max().unwrap_or_else(|| sql.matches('?').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_by_the_highest() {
        assert_eq!(placeholders("SELECT $1 WHERE $2 = $1"), 2);
        assert_eq!(placeholders("VALUES (?, ?)"), 2);
        assert_eq!(placeholders("SELECT 1"), 0);
    }
}
