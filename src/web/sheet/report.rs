//! What an import did, or would do, and what stands in its way.

use std::borrow::Cow;
use std::collections::HashSet;

use super::BadSheet;

/// Faults listed at most.
const MOST_FAULTS: usize = 200;
/// Rows at the beginning of a file of which it is said what becomes of each.
const MOST_VERDICTS: u32 = 200;

/// What becomes of what a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    Added,
    /// It is there and changes.
    Changed,
    /// It is there, as the row says.
    Unchanged,
}

impl Verdict {
    /// As a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One row and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The line in the file, from 1.
    pub line: u64,
    /// What the row is about.
    pub what: String,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What is wrong with one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column's name.
    pub column: Cow<'static, str>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many things there are in the file.
    pub rows: usize,
    /// How many have been, or would be, added.
    pub added: usize,
    /// How many have been, or would be, changed.
    pub changed: usize,
    /// Columns of the file nobody asked for.
    pub ignored: Vec<String>,
    /// What is wrong; empty when everything fits.
    pub faults: Vec<Fault>,
    /// Faults beyond those listed.
    pub more: usize,
    /// What becomes of the first rows that fit, where the import says so.
    pub fates: Vec<Fate>,
    /// The lines something is wrong with.
    refused: HashSet<u64>,
}

impl Report {
    /// Adds a fault, or counts it when enough are listed.
    pub fn fault(
        &mut self,
        line: u64,
        column: impl Into<Cow<'static, str>>,
        reason: &impl ToString,
    ) {
        if self.faults.len() < MOST_FAULTS {
            let column = column.into();
            self.faults.push(Fault { line, column, reason: reason.to_string() });
        } else {
            self.more += 1;
        }
    }

    /// Adds a fault of a row that counts as one of the file's.
    pub fn refuse(
        &mut self,
        line: u64,
        column: impl Into<Cow<'static, str>>,
        reason: &impl ToString,
    ) {
        self.refused.insert(line);
        self.fault(line, column, reason);
    }

    /// Says what becomes of the `nth` row (from 0), if it is one of the first.
    pub fn says(&mut self, nth: u32, line: u64, what: &impl ToString, verdict: Verdict) {
        if nth < MOST_VERDICTS {
            self.fates.push(Fate { line, what: what.to_string(), verdict });
        }
    }

    /// Puts everything into the order of the file.
    pub fn sort(&mut self) {
        self.faults.sort_by_key(|fault| fault.line);
        self.fates.sort_by_key(|fate| fate.line);
    }

    /// How many rows something is wrong with.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// How many things are there as the file says.
    pub fn unchanged(&self) -> usize {
        self.rows.saturating_sub(self.touched() + self.refused())
    }

    /// Adds what cannot be read, row or whole file.
    pub fn unreadable(&mut self, error: &BadSheet) {
        self.fault(error.line(), "file", error);
    }

    /// Whether everything fits.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// How many faults there are, listed or not.
    pub fn count(&self) -> usize {
        self.faults.len() + self.more
    }

    /// How many things have been, or would be, added or changed.
    pub fn touched(&self) -> usize {
        self.added + self.changed
    }
}
