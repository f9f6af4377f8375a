//! What an import did, or would do, and what stands in its way.

use std::borrow::Cow;

use super::BadSheet;

/// Faults listed at most.
const MOST_FAULTS: usize = 200;

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
