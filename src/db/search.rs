//! Finding parts of words: the one thing each database does in its own way.
//!
//! Both have a relation `address_text (rowid, search)`, whose rows are the addresses by their
//! number, and which answers `search LIKE '%part%'` from an index of three-letter pieces: on
//! `SQLite` a full-text table with the trigram tokenizer (<https://sqlite.org/fts5.html> 4.3.4),
//! kept by triggers; on `PostgreSQL` a view, with an index of `pg_trgm`.

use sqlx::{AssertSqlSafe, Executor as _};

use super::{Db, Result};

const SQLITE: &[&str] = &[
    "CREATE VIRTUAL TABLE IF NOT EXISTS address_text
         USING fts5(search, content='address', content_rowid='id', tokenize='trigram', detail='none')",
    "CREATE TRIGGER IF NOT EXISTS address_text_added AFTER INSERT ON address WHEN new.search <> ''
         BEGIN INSERT INTO address_text (rowid, search) VALUES (new.id, new.search); END",
    "CREATE TRIGGER IF NOT EXISTS address_text_removed AFTER DELETE ON address WHEN old.search <> ''
         BEGIN INSERT INTO address_text (address_text, rowid, search) VALUES ('delete', old.id, old.search); END",
    "CREATE TRIGGER IF NOT EXISTS address_text_changed AFTER UPDATE OF search ON address WHEN old.search <> new.search
         BEGIN
             INSERT INTO address_text (address_text, rowid, search) SELECT 'delete', old.id, old.search WHERE old.search <> '';
             INSERT INTO address_text (rowid, search) SELECT new.id, new.search WHERE new.search <> '';
         END",
];

const POSTGRES: &[&str] = &[
    // One instance at a time: IF NOT EXISTS looks before it leaps.
    "SELECT pg_advisory_xact_lock(7305808869231650937)",
    "CREATE OR REPLACE VIEW address_text AS SELECT id AS rowid, search FROM address",
];

const POSTGRES_INDEX: &[&str] = &[
    "SELECT pg_advisory_xact_lock(7305808869231650937)",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS address_search ON address USING gin (search gin_trgm_ops)",
];

impl Db {
    /// Makes what searches need, if it is not there.
    pub(super) async fn prepare_search(&self) -> Result<()> {
        match self {
            Self::Sqlite { .. } => self.run_all(SQLITE).await,
            Self::Postgres(_) => {
                self.run_all(POSTGRES).await?;
                if let Err(error) = self.run_all(POSTGRES_INDEX).await {
                    tracing::warn!(%error, "searches for parts of words will be slow: ask an administrator of the database for CREATE EXTENSION pg_trgm");
                }
                Ok(())
            }
        }
    }

    async fn run_all(&self, statements: &[&'static str]) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => {
                let mut tx = write.begin_with("BEGIN IMMEDIATE").await?;
                for text in statements {
                    tx.execute(AssertSqlSafe(*text)).await?;
                }
                tx.commit().await
            }
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                for text in statements {
                    tx.execute(AssertSqlSafe(*text)).await?;
                }
                tx.commit().await
            }
        }
    }
}
