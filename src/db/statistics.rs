//! What `PostgreSQL` believes of the size of tables.
//!
//! It plans statements by what it last saw of a table, and keeps the plans. Autovacuum looks again
//! once a minute at best (`autovacuum_naptime`): until then a table that is being filled for the
//! first time is believed to be empty, where every index serves as well as any other. `SQLite` does
//! not choose by size unless told to. Within a transaction that fills tables nobody but itself can
//! look.

use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::{Db, Result, Server, Tx};

/// Changes of a table, beside as many as it had rows, that make it another one.
const GROWN: &str = "SELECT format('%I', s.relname) AS name
     FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.schemaname = current_schema() AND s.n_mod_since_analyze > 500 + greatest(c.reltuples, 0)";

/// The same of what this transaction has written so far.
const GROWN_HERE: &str = "SELECT format('%I', s.relname) AS name
     FROM pg_stat_xact_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.schemaname = current_schema()
       AND s.n_tup_ins + s.n_tup_upd > 500 + greatest(c.reltuples, 0)";

/// Things written between two looks.
const NOW_AND_THEN: usize = 250;

/// Whoever looks keeps others from looking until its transaction ends: they go on without.
const ANALYZE: &str = "ANALYZE (SKIP_LOCKED)";

/// A look at 3,000 rows instead of 30,000: a large table is not to slow down those who use it.
/// Autovacuum looks closer when it comes.
const ROUGHLY: &str = "SET LOCAL default_statistics_target = 10";

impl Db {
    /// Lets `PostgreSQL` look anew at tables that are more than twice as large as when it last did;
    /// how many there were. Costs next to nothing when there are none.
    pub async fn look_at_growth(&self) -> Result<usize> {
        let Self::Postgres(Server { pool, .. }) = self else { return Ok(0) };
        let grown = pool.fetch_all(AssertSqlSafe(GROWN)).await?;
        for row in &grown {
            let name: String = row.try_get("name")?;
            let mut tx = pool.begin().await?;
            tx.execute(ROUGHLY).await?;
            tx.execute(AssertSqlSafe(format!("{ANALYZE} {name}"))).await?;
            tx.commit().await?;
        }
        Ok(grown.len())
    }
}

impl Tx {
    /// Lets `PostgreSQL` look anew at tables that this transaction has made more than twice as
    /// large: to be called after each of thousands of things written one after the other, with how
    /// many there were. Most calls do nothing.
    pub async fn look_at_growth(&mut self, written: usize) -> Result<()> {
        self.catch_up().await?;
        let Self::Postgres(open) = self else { return Ok(()) };
        let tx = &mut open.tx;
        if !written.is_multiple_of(NOW_AND_THEN) {
            return Ok(());
        }
        let grown = tx.fetch_all(AssertSqlSafe(GROWN_HERE)).await?;
        for row in &grown {
            let name: String = row.try_get("name")?;
            tx.execute(ROUGHLY).await?;
            tx.execute(AssertSqlSafe(format!("{ANALYZE} {name}"))).await?;
        }
        Ok(())
    }
}
