//! Many rows in few statements: an import would otherwise spend its time asking and waiting.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};

use super::later::{Encoded, shifted};
use super::query::{On, placeholders};
use super::{Open, Query, Result, Tx, Value};

/// An insertion of rows with `columns` values each.
#[derive(Debug)]
pub struct Bulk {
    /// Everything up to and including `VALUES`.
    pub head: &'static str,
    /// Values a row.
    pub columns: usize,
    /// Rows a statement at most; on `SQLite` a statement has at most 32,766 values.
    pub most: usize,
    /// What follows the rows, e.g. `ON CONFLICT …`.
    pub tail: &'static str,
}

impl Tx {
    /// Inserts `rows`, each bound by `bind` in the order of the columns.
    pub async fn insert_many<T>(
        &mut self,
        bulk: &'static Bulk,
        rows: &[T],
        bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
    ) -> Result<()> {
        self.catch_up().await?;
        self.insert_many_later(bulk, rows, bind).await?;
        self.catch_up().await
    }

    /// As [`Tx::insert_many`], when it suits: see [`Tx::later`].
    pub async fn insert_many_later<T>(
        &mut self,
        bulk: &'static Bulk,
        rows: &[T],
        bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
    ) -> Result<()> {
        if let ([row], Self::Postgres(_)) = (rows, &self) {
            let statement = self.later(text(("", bulk.head, Form::Row), || one_row(bulk)));
            return bind(statement, row).run().await.map(drop);
        }
        if let Self::Postgres(open) = self {
            let Open { tx, later, .. } = &mut **open;
            let text = text(("", bulk.head, Form::Columns), || in_columns(bulk));
            for rows in rows.chunks(bulk.most) {
                later.put_off(tx, text, columns(bulk, rows, bind)?).await?;
            }
            return Ok(());
        }
        // Statements have a power of two of rows, so that few texts exist.
        let mut rest = rows;
        while !rest.is_empty() {
            let count = (1_usize << rest.len().ilog2()).min(bulk.most);
            let Some((now, later)) = rest.split_at_checked(count) else { break };
            let form = Form::Rows(count);
            let statement = self.query(text(("", bulk.head, form), || in_rows(bulk, count)));
            now.iter().fold(statement, bind).run().await?;
            rest = later;
        }
        Ok(())
    }

    /// Inserts `rows`, at least one and at most as many as a statement has, if `first`, an update
    /// whose values `values` binds, changes a row; whether it did. On `PostgreSQL` both go in one
    /// message, with what was put off.
    pub async fn insert_many_if<T>(
        &mut self,
        first: &'static str,
        values: impl for<'q> FnOnce(Query<'q>) -> Query<'q>,
        bulk: &'static Bulk,
        rows: &[T],
        bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
    ) -> Result<bool> {
        if !matches!(self, Self::Postgres(_)) {
            if values(self.query(first)).run().await? == 0 {
                return Ok(false);
            }
            return self.insert_many(bulk, rows, bind).await.map(|()| true);
        }
        let form = if rows.len() == 1 { Form::Row } else { Form::Columns };
        let text = text((first, bulk.head, form), || after(first, bulk, form));
        let mut statement = values(self.along(text));
        if let ([row], Form::Row) = (rows, form) {
            statement = bind(statement, row);
        } else if let On::Together(_, _, all, _) = &mut statement.on {
            all.extend(columns(bulk, rows, bind)?);
        }
        Ok(statement.run().await? > 0)
    }
}

/// Rows as one array for each column: one text for any number of rows, planned once, and one
/// message. COPY sends several, of which the last, very short one waits on TCP for the receipt of
/// those before it (RFC 1122, 4.2.3.2 and 4.2.3.4): 40 ms each time.
fn columns<T>(
    bulk: &'static Bulk,
    rows: &[T],
    bind: for<'q> fn(Query<'q>, &T) -> Query<'q>,
) -> Result<Vec<Encoded>> {
    let empty = Query::new(On::Columns(Columns::new(bulk.columns)), "");
    let bound = rows.iter().fold(empty, bind);
    if let Some(bad) = bound.bad {
        return Err(bad);
    }
    let On::Columns(Columns { columns, .. }) = bound.on else { return Ok(Vec::new()) };
    let encoded = columns.iter().map(|column| Encoded::typed(column, Column::type_info()));
    encoded.collect::<std::result::Result<_, _>>().map_err(sqlx::Error::Encode)
}

/// The values of some rows, by column.
pub(super) struct Columns {
    columns: Vec<Column>,
    /// The column of the next value.
    next: usize,
}

impl Columns {
    fn new(count: usize) -> Self {
        Self { columns: (0..count).map(|_| Column::default()).collect(), next: 0 }
    }

    /// Adds the next value of the present row, or the first of the next.
    pub(super) fn push<V: Value>(&mut self, value: &V) -> std::result::Result<(), BoxDynError> {
        let (at, count) = (self.next, self.columns.len());
        self.next = (at + 1) % count.max(1);
        self.columns.get_mut(at).ok_or("a row without columns")?.push(value)
    }
}

/// The values of one column, written as the elements of an array are: the length and the bytes,
/// or -1 for none.
#[derive(Default)]
struct Column {
    element: Option<PgTypeInfo>,
    count: i32,
    any_null: bool,
    elements: Vec<u8>,
}

impl Column {
    fn push<V: Value>(&mut self, value: &V) -> std::result::Result<(), BoxDynError> {
        self.element.get_or_insert_with(<V as Type<Postgres>>::type_info);
        self.count += 1;
        let mut buffer = PgArgumentBuffer::default();
        match Encode::<Postgres>::encode_by_ref(value, &mut buffer)? {
            IsNull::Yes => {
                self.any_null = true;
                self.elements.extend_from_slice(&(-1_i32).to_be_bytes());
            }
            IsNull::No => {
                self.elements.extend_from_slice(&i32::try_from(buffer.len())?.to_be_bytes());
                self.elements.extend_from_slice(&buffer);
            }
        }
        Ok(())
    }

    /// The array's type, if it is of one of the types both databases share.
    fn array(&self) -> Option<PgTypeInfo> {
        fn of<T: Type<Postgres>>() -> PgTypeInfo
        where
            Vec<T>: Type<Postgres>,
        {
            <Vec<T> as Type<Postgres>>::type_info()
        }
        let element = self.element.as_ref()?;
        let is = |other: PgTypeInfo| *element == other;
        match () {
            () if is(<i64 as Type<Postgres>>::type_info()) => Some(of::<i64>()),
            () if is(<String as Type<Postgres>>::type_info()) => Some(of::<String>()),
            () if is(<bool as Type<Postgres>>::type_info()) => Some(of::<bool>()),
            () if is(<Vec<u8> as Type<Postgres>>::type_info()) => Some(of::<Vec<u8>>()),
            () => None,
        }
    }
}

impl Type<Postgres> for Column {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Column {
    fn produces(&self) -> Option<PgTypeInfo> {
        self.array()
    }

    /// As `array_recv` of `PostgreSQL` reads it: dimensions, whether there are nulls, the type of
    /// the elements; then the one dimension's length and first index.
    fn encode_by_ref(
        &self,
        buffer: &mut PgArgumentBuffer,
    ) -> std::result::Result<IsNull, BoxDynError> {
        let element = self.element.as_ref().and_then(PgTypeInfo::oid);
        let element = element.ok_or("a value of a type that has no number")?;
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&i32::from(self.any_null).to_be_bytes());
        buffer.extend_from_slice(&element.0.to_be_bytes());
        buffer.extend_from_slice(&self.count.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }
}

/// What is sent with a statement.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// The values of one row, to `PostgreSQL`, which would plan an array of one each time anew.
    Row,
    /// An array for each column, to `PostgreSQL`.
    Columns,
    /// The values of so many rows, to `SQLite`.
    Rows(usize),
}

/// What comes before, if anything does, the beginning of the insertion, and its form.
type Key = (&'static str, &'static str, Form);

/// A text, which is made once and kept for good.
fn text(key: Key, write: impl FnOnce() -> String) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<Key, &'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry(key).or_insert_with(|| Box::leak(write().into_boxed_str()))
}

/// The text for so many rows. `SQLite` looks a numbered place up by going through all of them,
/// each time a value is bound: with thousands in a statement that is most of its time. So they
/// have no numbers.
fn in_rows(bulk: &Bulk, rows: usize) -> String {
    let row = format!("({})", vec!["?"; bulk.columns].join(", "));
    format!("{} {} {}", bulk.head, vec![row.as_str(); rows].join(", "), bulk.tail)
}

fn one_row(bulk: &Bulk) -> String {
    format!("{} ({}) {}", bulk.head, places(bulk), bulk.tail)
}

/// The text for an array for each column. They have the names that columns of VALUES have.
fn in_columns(bulk: &Bulk) -> String {
    format!("{}SELECT * FROM {} {}", without_values(bulk), unnested(bulk), bulk.tail)
}

/// The text for rows that are inserted if something else changed a row before.
fn after(first: &str, bulk: &Bulk, form: Form) -> String {
    let (head, passed) = (without_values(bulk), placeholders(first));
    let rows = match form {
        Form::Row => format!("SELECT {} FROM first", shifted(&places(bulk), passed)),
        _ => format!("SELECT rows.* FROM first, {}", shifted(&unnested(bulk), passed)),
    };
    format!("WITH first AS ({first} RETURNING 1) {head}{rows} {}", bulk.tail)
}

fn without_values(bulk: &Bulk) -> &'static str {
    bulk.head.trim_end().trim_end_matches("VALUES")
}

fn unnested(bulk: &Bulk) -> String {
    let names = (1..=bulk.columns).map(|n| format!("column{n}")).collect::<Vec<_>>().join(", ");
    format!("unnest({}) AS rows ({names})", places(bulk))
}

fn places(bulk: &Bulk) -> String {
    (1..=bulk.columns).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_place_for_each_value_or_for_each_column() {
        let bulk = Bulk { head: "INSERT INTO t (a, b) VALUES", columns: 2, most: 128, tail: "" };
        assert_eq!(in_rows(&bulk, 2), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ");
        assert_eq!(one_row(&bulk), "INSERT INTO t (a, b) VALUES ($1, $2) ");
        let columns =
            "INSERT INTO t (a, b) SELECT * FROM unnest($1, $2) AS rows (column1, column2) ";
        assert_eq!(in_columns(&bulk), columns);
        let first = "UPDATE u SET c = $1";
        assert_eq!(
            after(first, &bulk, Form::Row),
            "WITH first AS (UPDATE u SET c = $1 RETURNING 1) INSERT INTO t (a, b) SELECT $2, $3 FROM first "
        );
        assert_eq!(
            after(first, &bulk, Form::Columns),
            "WITH first AS (UPDATE u SET c = $1 RETURNING 1) INSERT INTO t (a, b) SELECT rows.* FROM first, unnest($2, $3) AS rows (column1, column2) "
        );
    }
}
