//! The only folder that knows there are two databases.
//!
//! One SQL text with `$1` placeholders serves `SQLite` and `PostgreSQL`; values and rows use the
//! types both drivers share (`i64`, `bool`, text, bytes). Every constant statement is written
//! `sql!("…")`, so that one test finds all of them and prepares them on both databases.
//!
//! `SQLite` has one writer connection and `BEGIN IMMEDIATE`, so writers queue instead of failing;
//! those who wait at the same time share a transaction ([`Writer`]).

mod bulk;
mod copy;
mod flush;
mod later;
mod numbers;
mod query;
mod readers;
mod search;
mod server;
mod statistics;
mod writer;

use std::future::ready;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::error::ErrorKind;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, Connection as _, Encode, Executor as _, FromRow, Postgres, SqlSafeStr as _,
    Sqlite, Type,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use query::{On, WAITING, When};

pub use bulk::Bulk;
pub use copy::{Cell, TABLES, Table};
pub use query::Query;
pub use readers::{Reader, Readers};
pub use search::Pieces;
pub use server::{Open, Server};
pub use writer::{Turn, Writer};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// How long a statement may wait for a connection or a lock before the answer is "try again".
const PATIENCE: Duration = Duration::from_secs(5);
/// Most connections to a server, for each thread that answers requests and for the rest.
const CONNECTIONS: u32 = 8;
/// The pages of `SQLite`'s writer in memory, in KiB, and those while very much is written.
const WRITER_CACHE: &str = "PRAGMA cache_size = -2048";
const LARGE_WRITER_CACHE: &str = "PRAGMA cache_size = -32768";
/// The same of each connection that reads, and of one for long reads.
const READER_CACHE: &str = "-4096";
const LONG_READER_CACHE: &str = "-1024";
/// Reads at a time, and long ones.
const READS: u16 = 4;
const LONG_READS: u16 = 4;

/// What a query yields, or why not.
pub type Result<T> = std::result::Result<T, sqlx::Error>;

/// A value both drivers can send.
pub trait Value:
    for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send
{
}
impl<T> Value for T where
    T: for<'q> Encode<'q, Sqlite>
        + Type<Sqlite>
        + for<'q> Encode<'q, Postgres>
        + Type<Postgres>
        + Send
{
}

/// A row both drivers can build; `#[derive(sqlx::FromRow)]` makes one.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A handle to whichever database was chosen. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// A file: many readers that cannot write, and the one writer.
    Sqlite {
        /// Connections that refuse to write.
        read: Readers,
        /// More of them, for long reads.
        long: Readers,
        /// The only connection that writes.
        write: Writer,
    },
    /// A server that several instances may share.
    Postgres(Server),
}

/// An open transaction. Dropped without [`Tx::commit`], it never happened.
///
/// Or, from [`Db::apart`], no transaction at all.
#[derive(Debug)]
pub enum Tx {
    /// On `SQLite`, reading.
    Sqlite(Reader),
    /// On `SQLite`, writing.
    Writing(Turn),
    /// On `PostgreSQL`.
    Postgres(Box<Open>),
    /// None: each statement sees what is there when it is its turn, and none may write.
    Apart(Db),
}

impl Db {
    /// Connects to `url`: `sqlite:PATH` (made when missing) or `postgres://…`.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_within(url, PATIENCE).await
    }

    /// As [`Db::connect`], and no statement waits longer than `patience` for a connection or lock.
    pub async fn connect_within(url: &str, patience: Duration) -> Result<Self> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            return Self::connect_postgres(url, patience).await;
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(patience)
            .row_buffer_size(WAITING)
            .pragma("cell_size_check", "ON")
            .pragma("trusted_schema", "OFF");
        // When the disk is full SQLite rolls back by itself and sqlx believes the transaction open:
        // such a connection would refuse every later change. The pool has waited for what was asked
        // of it last, a rollback too, when it took it back.
        // The caches keep the upper levels of the indexes; the rest the system has in memory.
        let write = SqlitePoolOptions::new()
            .test_before_acquire(false)
            .acquire_timeout(patience)
            .max_connections(1)
            .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(WRITER_CACHE).await.map(drop) })
            })
            .connect_with(options.clone())
            .await?;
        let reading = |most, cache| {
            let options = options.clone().pragma("query_only", "ON").pragma("cache_size", cache);
            Readers::new(options, most, patience)
        };
        let read = reading(READS, READER_CACHE);
        // Whoever reads all there is reads each page once.
        let long = reading(LONG_READS, LONG_READER_CACHE);
        Ok(Self::Sqlite { read, long, write: Writer::new(write, patience) })
    }

    async fn connect_postgres(url: &str, patience: Duration) -> Result<Self> {
        let lock_timeout = format!("{}ms", patience.as_millis());
        let options = PgConnectOptions::from_str(url)?.application_name("patchbay").options([
            ("lock_timeout", lock_timeout.as_str()),
            ("idle_in_transaction_session_timeout", "60s"),
            // Statements take milliseconds; to compile one takes a hundred, and what it costs is
            // guessed before its values are known.
            ("jit", "off"),
        ]);
        Server::connect(options, patience).await.map(Self::Postgres)
    }

    /// The same database, for one thread: on `PostgreSQL` by connections that are opened by whoever
    /// in that thread first needs one. An answer comes to the thread that opened the connection; if
    /// another asked, it has to be woken, and that takes longer than most statements. On `SQLite`
    /// every connection has a thread of its own anyway.
    #[must_use]
    pub fn near(&self) -> Self {
        match self {
            Self::Sqlite { .. } => self.clone(),
            Self::Postgres(server) => Self::Postgres(server.near()),
        }
    }

    /// Brings the schema up to this program's version.
    pub async fn migrate(&self) -> std::result::Result<(), sqlx::migrate::MigrateError> {
        match self {
            Self::Sqlite { write, .. } => MIGRATIONS.run(write.pool()).await?,
            Self::Postgres(server) => MIGRATIONS.run(&server.pool).await?,
        }
        Ok(self.prepare_search().await?)
    }

    /// Opens a transaction for reading: one snapshot for everything read in it.
    pub async fn read(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, write, .. } => {
                write.settled().await;
                Tx::Sqlite(read.take().await?)
            }
            Self::Postgres(server) => Tx::Postgres(Box::new(server.read().await?)),
        })
    }

    /// Opens a transaction for reading as [`Db::read`] does, for whoever reads as long as somebody
    /// at the other end takes: few at a time, so that they leave connections to all others.
    pub async fn read_long(&self) -> Result<LongRead> {
        static TURNS: Semaphore = Semaphore::const_new(4);
        let turn = tokio::time::timeout(PATIENCE, TURNS.acquire()).await;
        let turn = turn.ok().and_then(std::result::Result::ok).ok_or(sqlx::Error::PoolTimedOut)?;
        let tx = match self {
            Self::Sqlite { long, write, .. } => {
                write.settled().await;
                Tx::Sqlite(long.take().await?)
            }
            Self::Postgres(_) => self.read().await?,
        };
        Ok(LongRead { tx, _turn: turn })
    }

    /// For reading without a snapshot: what is asked need not agree, as a single statement always
    /// does. Saves beginning and ending a transaction.
    pub fn apart(&self) -> Tx {
        Tx::Apart(self.clone())
    }

    /// Opens a transaction for writing. `SQLite` takes its single write lock at once, so the
    /// transaction cannot fail half-way for want of it.
    pub async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Writing(write.turn().await?),
            Self::Postgres(server) => Tx::Postgres(Box::new(server.write().await?)),
        })
    }

    /// As [`Db::write`], for a change that may wait for the [turn](Tx::turn) of something: on
    /// `PostgreSQL` so few at a time that they leave connections to those who do not.
    pub async fn change(&self) -> Result<Tx> {
        match self {
            Self::Sqlite { .. } => self.write().await,
            Self::Postgres(server) => Ok(Tx::Postgres(Box::new(server.change().await?))),
        }
    }

    /// As [`Db::change`], for one that takes seconds: no other waits for it to be told that it is
    /// done.
    pub async fn change_long(&self) -> Result<Tx> {
        match self {
            Self::Sqlite { write, .. } => Ok(Tx::Writing(write.turn_alone().await?)),
            Self::Postgres(_) => self.change().await,
        }
    }

    /// One reading statement outside a transaction.
    pub fn query(&self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Sqlite { read, write, .. } => {
                let on = On::Readers(read, write, SqliteArguments::default());
                Query::new(on, sql)
            }
            Self::Postgres(server) => {
                Query::new(On::PostgresPool(&server.pool, PgArguments::default()), sql)
            }
        }
    }

    /// After very much was written, or [`Tx::expect_much`] said that it would be, whatever came of
    /// it: gives the memory back.
    pub async fn relax(&self) -> Result<()> {
        if let Self::Sqlite { write, .. } = self {
            write.pool().execute(WRITER_CACHE).await?;
            write.pool().execute("PRAGMA shrink_memory").await?;
        }
        Ok(())
    }

    /// Waits until what anybody saw of changes under way is on the disk: before that, nobody is to
    /// be told of it. Fails if that cannot be known.
    pub async fn settled(&self) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => {
                write.settled().await;
                Ok(())
            }
            Self::Postgres(server) => server.settled().await,
        }
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, long, write } => {
                read.close().await;
                long.close().await;
                write.close().await;
            }
            Self::Postgres(server) => server.close().await,
        }
    }

    /// Parses and plans a statement without running it: syntax, names and types are checked.
    pub async fn prepare(&self, sql: &str) -> Result<()> {
        let sql = AssertSqlSafe(sql).into_sql_str();
        match self {
            Self::Sqlite { write, .. } => write.pool().prepare(sql).await.map(drop),
            Self::Postgres(server) => server.pool.prepare(sql).await.map(drop),
        }
    }
}

/// A transaction that reads for long, see [`Db::read_long`].
#[derive(Debug)]
pub struct LongRead {
    tx: Tx,
    _turn: SemaphorePermit<'static>,
}

impl LongRead {
    /// The transaction itself, for queries.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Ends it here and now, rather than when its connection is next used.
    pub async fn end(self) -> Result<()> {
        self.tx.commit().await
    }
}

impl Tx {
    /// One statement in this transaction.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Sqlite(reader) => Query::new(On::Reader(reader, SqliteArguments::default()), sql),
            Self::Writing(turn) => {
                Query::new(On::Sqlite(turn.connection(), SqliteArguments::default()), sql)
            }
            Self::Postgres(open) => {
                let Open { tx, later, .. } = &mut **open;
                Query::new(On::Postgres(tx, later, PgArguments::default()), sql)
            }
            Self::Apart(db) => db.query(sql),
        }
    }

    /// As [`Tx::query`], of a statement to be [run](Query::run) when it suits: before whichever
    /// comes next, or together with one that is sent [along](Tx::along).
    pub fn later(&mut self, sql: &'static str) -> Query<'_> {
        self.together(sql, When::Later)
    }

    /// As [`Tx::query`], on `PostgreSQL` in one message with those that were put off, unless they
    /// write a table it has to do with.
    pub fn along(&mut self, sql: &'static str) -> Query<'_> {
        self.together(sql, When::Now)
    }

    fn together(&mut self, sql: &'static str, when: When) -> Query<'_> {
        match self {
            Self::Postgres(open) => {
                let Open { tx, later, .. } = &mut **open;
                Query::new(On::Together(tx, later, Vec::new(), when), sql)
            }
            other => other.query(sql),
        }
    }

    /// Sends what was put off.
    async fn catch_up(&mut self) -> Result<()> {
        match self {
            Self::Postgres(open) => open.catch_up().await,
            _ => Ok(()),
        }
    }

    /// Whether thousands of rows are best looked up in a subquery that is read once: `PostgreSQL`
    /// keeps it in a hash table, which takes a third less than asking an index for each. `SQLite`
    /// makes an index of it first, which takes half as long again.
    pub fn looks_up_by_hash(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::Apart(Db::Postgres(_)))
    }

    /// Waits until no other transaction has the turn `of` something, and has it until it ends:
    /// first come, first served. Those who wait for a row that each of them writes are served as
    /// it happens, some of them never. On `SQLite` whoever writes has every turn.
    pub async fn turn(&mut self, of: &str) -> Result<()> {
        self.catch_up().await?;
        let Self::Postgres(open) = self else { return Ok(()) };
        let wait = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        sqlx::query(wait).bind(of).execute(&mut *open.tx).await.map(drop)
    }

    /// Tens of thousands of rows will be written, in no order of any index: many pages are kept in
    /// memory until [`Db::relax`].
    pub async fn expect_much(&mut self) -> Result<()> {
        if let Self::Writing(turn) = self {
            turn.connection().execute(LARGE_WRITER_CACHE).await?;
        }
        Ok(())
    }

    /// Makes what was done durable. On `Ok` it survives a power cut.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(reader) => reader.end().await,
            Self::Writing(turn) => turn.commit().await,
            Self::Postgres(open) => open.commit().await,
            Self::Apart(_) => Ok(()),
        }
    }
}

impl Db {
    /// What the database itself finds wrong with its files.
    pub async fn faults(&self) -> Result<Vec<String>> {
        let Self::Sqlite { long, .. } = self else { return Ok(Vec::new()) };
        let mut reader = long.take().await?;
        let lines: Vec<(String,)> =
            sqlx::query_as("PRAGMA integrity_check(20)").fetch_all(reader.alone()).await?;
        reader.answered();
        Ok(lines.into_iter().map(|line| line.0).filter(|line| line != "ok").collect())
    }
}

/// Marks a constant statement. A test finds every one by this name and prepares it on both
/// databases, so that a misspelt column is found without running the query.
#[macro_export]
macro_rules! sql {
    ($text:literal) => {
        $text
    };
}

/// `text` with the characters special to LIKE escaped by a backslash, to be used with `ESCAPE '\'`.
///
/// `PostgreSQL` refuses NUL, which no stored text holds: another character that none holds stands in.
pub fn literal(text: &str) -> String {
    text.replace('\0', "\u{1}").replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Whether the same work may succeed a little later: the database is gone, full, locked or busy.
/// Everything else is a fault of the program or of a row.
pub fn unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) if error.kind() == ErrorKind::Other => {
            error.code().is_some_and(|code| transient(&code))
        }
        _ => false,
    }
}

/// `SQLite` result codes 5 BUSY, 6 LOCKED, 8 READONLY, 10 IOERR, 13 FULL, 14 CANTOPEN in their low
/// byte; `PostgreSQL` classes 08, 25006, 40, 53, 55, 57.
fn transient(code: &str) -> bool {
    // PostgreSQL's codes have five characters, SQLite's extended ones at most four.
    if let (5, Some(class)) = (code.len(), code.get(..2)) {
        return code == "25006" || matches!(class, "08" | "40" | "53" | "55" | "57");
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_full_and_gone_are_told_from_faults() {
        for code in ["5", "13", "14", "261", "517", "57P01", "53100", "40001"] {
            assert!(transient(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42601", "22021"] {
            assert!(!transient(code), "{code}");
        }
    }
}
