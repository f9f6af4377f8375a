//! Finding parts of words: the one thing each database does in its own way.
//!
//! Both have a relation `address_text (rowid, search)`, whose rows are the addresses by their
//! number, and which answers `search LIKE '%part%'` from an index of three-letter pieces: on
//! `SQLite` a full-text table with the trigram tokenizer (<https://sqlite.org/fts5.html> 4.3.4),
//! which whoever writes addresses must tell of every text ([`Tx::index_words`]); on `PostgreSQL` a
//! view, with an index of `pg_trgm` that sees to itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{AssertSqlSafe, Executor as _};

use super::{Bulk, Db, Result, Server, Tx};
use crate::sql;

const SQLITE: &[&str] = &[
    "CREATE VIRTUAL TABLE IF NOT EXISTS address_text
         USING fts5(search, content='address', content_rowid='id', tokenize='trigram', detail='none')",
    // What a change gathers before it is written into the index, in bytes: of an import with 1 MiB,
    // which is the default, most of the time went into merging what was just written.
    "INSERT INTO address_text (address_text, rank) SELECT 'hashsize', 33554432
         WHERE NOT EXISTS (SELECT 1 FROM address_text_config WHERE k = 'hashsize')",
    // What a list of phones looks at, without the rest of them. PostgreSQL would refuse a phone with
    // long notes and many lines: what it keeps in an index has a limit.
    "DROP INDEX IF EXISTS phone_words",
    "CREATE INDEX IF NOT EXISTS phone_listed ON phone (tenant_id, mac, people, search, title_sort,
         number_sort, vendor, model, kind, site_key, profile_id, created_at)",
];

const POSTGRES: &[&str] = &[
    // One instance at a time: IF NOT EXISTS looks before it leaps.
    "SELECT pg_advisory_xact_lock(7305808869231650937)",
    // Only if it is missing: replacing it would wait for whoever reads it.
    "DO $$ BEGIN IF to_regclass('address_text') IS NULL THEN
         CREATE VIEW address_text AS SELECT id AS rowid, search FROM address; END IF; END $$",
];

const POSTGRES_INDEX: &[&str] = &[
    "SELECT pg_advisory_xact_lock(7305808869231650937)",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS address_search ON address USING gin (search gin_trgm_ops)",
    "CREATE INDEX IF NOT EXISTS phone_search ON phone USING gin (people gin_trgm_ops, search gin_trgm_ops)",
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
                let mut tx = write.pool().begin_with("BEGIN IMMEDIATE").await?;
                for text in statements {
                    tx.execute(AssertSqlSafe(*text)).await?;
                }
                tx.commit().await
            }
            Self::Postgres(Server { pool, .. }) => {
                let mut tx = pool.begin().await?;
                for text in statements {
                    tx.execute(AssertSqlSafe(*text)).await?;
                }
                tx.commit().await
            }
        }
    }
}

/// How texts are added to and taken from the index. Every statement makes the index write what it
/// has gathered, so they are long.
static ADD: Bulk = Bulk {
    head: "INSERT INTO address_text (rowid, search) VALUES",
    columns: 2,
    most: 4_096,
    tail: "",
};
static REMOVE: Bulk = Bulk {
    head: "INSERT INTO address_text (address_text, rowid, search) VALUES",
    columns: 3,
    most: 4_096,
    tail: "",
};

impl Tx {
    /// Tells the index of words which texts are gone, with the numbers they had, and which are new.
    pub async fn index_words(
        &mut self,
        gone: &[(i64, String)],
        new: &[(i64, String)],
    ) -> Result<()> {
        if matches!(self, Self::Postgres(_)) {
            return Ok(());
        }
        self.insert_many(&REMOVE, gone, |row, (id, text)| {
            row.bind("delete").bind(*id).bind(text.clone())
        })
        .await?;
        self.insert_many(&ADD, new, |row, (id, text)| row.bind(*id).bind(text.clone())).await
    }

    /// Makes the index of words anew from what the addresses say.
    pub async fn index_all_words(&mut self) -> Result<()> {
        if let Self::Writing(turn) = self {
            turn.connection()
                .execute("INSERT INTO address_text (address_text) VALUES ('rebuild')")
                .await?;
        }
        Ok(())
    }
}

/// How common pieces of words are, by a sample.
///
/// Both databases look up every piece they are asked for, and a piece that nearly all texts have
/// costs most and tells least: only rare ones are asked for.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// In how many of the texts looked at a piece of three letters was.
    seen: HashMap<String, usize>,
    /// How many texts were looked at.
    texts: usize,
}

/// Texts looked at, in so many places of so many each.
const PLACES: i64 = 64;
const AT_EACH: i64 = 16;
/// Searches after which the sample is taken anew.
const LASTS: usize = 1_000;

impl Pieces {
    /// The pieces by which to look `word` up, at most `most`: each is in every text that holds the
    /// word. A word of nothing but `%`, `_` and the like has none that helps: an empty one.
    pub fn rarest(&self, word: &str, most: usize) -> Vec<String> {
        let parts = word.split(['%', '_', '\\', '\0']).filter(|part| part.chars().count() >= 3);
        if self.texts == 0 {
            let whole: Vec<String> = parts.take(most).map(str::to_owned).collect();
            return if whole.is_empty() { vec![String::new()] } else { whole };
        }
        let mut pieces: Vec<(usize, String)> = Vec::new();
        for part in parts {
            let letters: Vec<char> = part.chars().collect();
            for piece in letters.windows(3) {
                let piece: String = piece.iter().collect();
                let seen = self.seen.get(&piece).copied().unwrap_or(0);
                pieces.push((seen, piece));
            }
        }
        pieces.sort();
        pieces.dedup();
        // One in fifty is rare enough to lead through the others; of common ones two must do. What
        // a third of the texts have tells next to nothing then.
        let rare = pieces.iter().any(|(seen, _)| seen * 50 <= self.texts);
        pieces.retain(|(seen, _)| !rare || seen * 3 <= self.texts);
        let chosen = pieces.into_iter().take(if rare { most.max(2) } else { 2 });
        let chosen: Vec<String> = chosen.map(|(_, piece)| piece).collect();
        if chosen.is_empty() { vec![String::new()] } else { chosen }
    }

    fn look_at(&mut self, text: &str) {
        self.texts += 1;
        let letters: Vec<char> = text.chars().collect();
        let pieces: HashSet<String> =
            letters.windows(3).map(|piece| piece.iter().collect()).collect();
        for piece in pieces {
            *self.seen.entry(piece).or_default() += 1;
        }
    }
}

impl Tx {
    /// How common pieces of words are. The sample is kept for the whole process: one of another
    /// database, or of an hour ago, makes a search slower, never wrong.
    pub async fn pieces(&mut self) -> Result<Arc<Pieces>> {
        static KEPT: Mutex<Option<(usize, Arc<Pieces>)>> = Mutex::new(None);
        if let Some((uses, pieces)) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
            && *uses < LASTS
        {
            *uses += 1;
            return Ok(Arc::clone(pieces));
        }
        let pieces = Arc::new(self.sample().await?);
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some((0, Arc::clone(&pieces)));
        Ok(pieces)
    }

    async fn sample(&mut self) -> Result<Pieces> {
        let mut pieces = Pieces::default();
        let last: i64 =
            self.query(sql!("SELECT last FROM address_sequence WHERE id = 1")).scalar().await?;
        for place in 0..PLACES {
            let texts: Vec<(String,)> = self
                .query(sql!("SELECT search FROM address WHERE id >= $1 ORDER BY id LIMIT $2"))
                .bind(last / PLACES * place)
                .bind(AT_EACH)
                .all()
                .await?;
            for (text,) in &texts {
                pieces.look_at(text);
            }
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_pieces_are_asked_for_and_common_ones_only_when_there_is_no_other() {
        let mut pieces = Pieces::default();
        for n in 0..1000 {
            pieces.look_at(&format!("sip-t46s-{n:04}"));
        }
        assert_eq!(pieces.rarest("t46s-0123", 4), ["123", "012", "-01"]);
        assert_eq!(pieces.rarest("t46", 4), ["t46"]);
        assert_eq!(pieces.rarest("sip-", 4), ["ip-", "sip"]);
        assert_eq!(pieces.rarest("%_", 4), [""]);
        assert_eq!(Pieces::default().rarest("a_bcd%efgh", 4), ["bcd", "efgh"]);
    }

    #[test]
    fn every_piece_is_part_of_the_word() {
        let pieces = Pieces { texts: 1, ..Pieces::default() };
        for word in ["abc", "sip-t46s", "zoë müller", "a%bcd_efg\\hij"] {
            for piece in pieces.rarest(word, 4) {
                assert!(word.contains(&piece), "{piece} of {word}");
            }
        }
    }
}
