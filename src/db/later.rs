//! Statements that are not waited for one by one.
//!
//! What a change takes on `PostgreSQL` is mostly the way of each statement to the server and back,
//! while others wait for the change to end. A statement nobody looks at the outcome of is put off
//! ([`Tx::later`](super::Tx::later)): it goes with one that is sent along with it
//! ([`Tx::along`](super::Tx::along)), or before whichever comes next.
//!
//! Statements sent in one message are parts of a single one
//! (<https://www.postgresql.org/docs/15/queries-with.html#QUERIES-WITH-MODIFYING>): each sees what
//! was there before all of them, and they are done in no order. So only those go together of which
//! none has to do with a table that another writes.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgTypeInfo};
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::query::placeholders;
use super::{Result, Value};

/// Statements put off, in the order in which they came.
#[derive(Debug, Default)]
pub struct Later(Vec<Statement>);

#[derive(Debug)]
struct Statement {
    sql: &'static str,
    values: Vec<Encoded>,
}

impl Later {
    /// Puts a statement off.
    pub(super) async fn put_off(
        &mut self,
        on: &mut PgConnection,
        sql: &'static str,
        values: Vec<Encoded>,
    ) -> Result<()> {
        self.make_way(on, sql).await?;
        self.0.push(Statement { sql, values });
        Ok(())
    }

    /// Sends what was put off now if it writes a table the statement has to do with.
    pub(super) async fn make_way(&mut self, on: &mut PgConnection, sql: &str) -> Result<()> {
        let in_the_way = self.0.iter().any(|put_off| names(sql, written(put_off.sql)));
        if in_the_way { self.send(on).await } else { Ok(()) }
    }

    /// Sends what was put off.
    pub(super) async fn send(&mut self, on: &mut PgConnection) -> Result<()> {
        match self.0.pop() {
            // Seldom: not a part of every future that asks something.
            Some(Statement { sql, values }) => {
                Box::pin(self.along(sql, values)?.execute(on)).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// A statement, and with it what was put off: nothing that is in its [way](Self::make_way).
    pub(super) fn along(
        &mut self,
        sql: &'static str,
        values: Vec<Encoded>,
    ) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>> {
        let mut statements = std::mem::take(&mut self.0);
        statements.push(Statement { sql, values });
        let texts = statements.iter().map(|statement| statement.sql).collect();
        let mut arguments = PgArguments::default();
        for value in statements.into_iter().flat_map(|statement| statement.values) {
            arguments.add(value).map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(text(texts), arguments))
    }
}

/// The table a statement writes.
fn written(sql: &str) -> &str {
    let mut words = words(sql).skip_while(|word| !matches!(*word, "INTO" | "UPDATE" | "FROM"));
    words.nth(1).unwrap_or_default()
}

/// Whether a statement has to do with a table.
fn names(sql: &str, table: &str) -> bool {
    words(sql).any(|word| word == table)
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The text of several statements; those made once are kept for good, there are few.
fn text(of: Vec<&'static str>) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<Vec<&str>, &str>>> = LazyLock::new(Mutex::default);
    if let [alone] = *of {
        return alone;
    }
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = |of: &[&str]| Box::leak(together(of).into_boxed_str());
    if let Some(text) = texts.get(&of) {
        return text;
    }
    let text: &'static str = make(&of);
    texts.insert(of, text);
    text
}

/// All but the last become parts of the last, with numbers of their own for their values.
fn together(of: &[&str]) -> String {
    let Some((last, put_off)) = of.split_last() else { return String::new() };
    let (mut parts, mut passed) = (Vec::new(), 0);
    for (n, sql) in put_off.iter().enumerate() {
        parts.push(format!("part{n} AS ({})", shifted(sql, passed)));
        passed += placeholders(sql);
    }
    let (parts, last) = (parts.join(", "), shifted(last, passed));
    match last.strip_prefix("WITH ") {
        Some(more) => format!("WITH {parts}, {more}"),
        None => format!("WITH {parts} {last}"),
    }
}

/// `$1` becomes `$6` if five values come before.
pub(super) fn shifted(sql: &str, by: usize) -> String {
    let mut pieces = sql.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = piece.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => text.extend(["$", &(number + by).to_string(), rest]),
            Err(_) => text.extend(["$", piece]),
        }
    }
    text
}

/// A value as it is sent, so that the values of several statements can be put together.
#[derive(Debug)]
pub(super) struct Encoded {
    info: PgTypeInfo,
    /// None is NULL.
    bytes: Option<Vec<u8>>,
}

impl Encoded {
    pub(super) fn of<V: Value>(value: &V) -> std::result::Result<Self, BoxDynError> {
        Self::typed(value, <V as Type<Postgres>>::type_info())
    }

    pub(super) fn typed(
        value: &impl for<'q> Encode<'q, Postgres>,
        info: PgTypeInfo,
    ) -> std::result::Result<Self, BoxDynError> {
        let info = value.produces().unwrap_or(info);
        let mut buffer = PgArgumentBuffer::default();
        let bytes = match value.encode_by_ref(&mut buffer)? {
            IsNull::Yes => None,
            IsNull::No => Some(buffer.to_vec()),
        };
        Ok(Self { info, bytes })
    }
}

impl Type<Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Encoded {
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }

    fn encode_by_ref(
        &self,
        buffer: &mut PgArgumentBuffer,
    ) -> std::result::Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_gives_way_to_one_that_has_to_do_with_what_it_writes() {
        assert_eq!(written("INSERT INTO tally (scope) VALUES ($1)"), "tally");
        assert_eq!(written("UPDATE gap SET size = $1"), "gap");
        assert_eq!(written("DELETE FROM gap WHERE size = $1"), "gap");
        assert!(names("SELECT t.size FROM gap AS t", "gap"));
        assert!(names(
            "INSERT INTO tally VALUES (1) ON CONFLICT DO UPDATE SET n = tally.n",
            "tally"
        ));
        assert!(!names("INSERT INTO assignment_tally VALUES ($1)", "tally"));
    }

    #[test]
    fn statements_together_number_their_values_one_after_the_other() {
        let of = ["UPDATE a SET x = $2 WHERE y = $1", "INSERT INTO b VALUES ($1)", "SELECT $2, $1"];
        assert_eq!(
            together(&of),
            "WITH part0 AS (UPDATE a SET x = $2 WHERE y = $1), part1 AS (INSERT INTO b VALUES ($3)) SELECT $5, $4"
        );
        let of = ["UPDATE a SET x = $1", "WITH first AS (SELECT $1) INSERT INTO b SELECT $2"];
        assert_eq!(
            together(&of),
            "WITH part0 AS (UPDATE a SET x = $1), first AS (SELECT $2) INSERT INTO b SELECT $3"
        );
        assert_eq!(text(vec!["SELECT $1"]), "SELECT $1");
        assert!(std::ptr::eq(text(of.to_vec()), text(of.to_vec())), "it is made once");
    }
}
