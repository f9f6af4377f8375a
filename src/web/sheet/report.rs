//! What an import did, or would do, and what stands in its way.

use std::borrow::Cow;
use std::collections::HashSet;

use super::BadSheet;

/// Which rows of a file are named one by one: so many, from a line on.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The first line, from 1.
    pub from: u64,
    /// How many rows, and how many faults, at most.
    pub most: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { from: 0, most: 200 }
    }
}

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
    /// Faults that are not listed.
    pub more: usize,
    /// What becomes of the first rows that fit, where the import says so.
    pub fates: Vec<Fate>,
    /// Which rows and faults are listed.
    part: Part,
    /// Whether rows that fit, or faults, come after those listed.
    after: (bool, bool),
    /// The lines something is wrong with.
    refused: HashSet<u64>,
}

/// Leaves the first so many of what is in the order of lines; says how many went.
fn first<T>(list: &mut Vec<T>, most: usize, line: impl Fn(&T) -> u64) -> usize {
    list.sort_by_key(line);
    let gone = list.len().saturating_sub(most);
    list.truncate(most);
    gone
}

impl Report {
    /// Of a file of which this part is to be told row by row.
    pub fn of(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    /// Adds a fault, or counts it when enough before it are listed. Rows come in any order.
    pub fn fault(
        &mut self,
        line: u64,
        column: impl Into<Cow<'static, str>>,
        reason: &impl ToString,
    ) {
        if line < self.part.from {
            self.more += 1;
            return;
        }
        let column = column.into();
        self.faults.push(Fault { line, column, reason: reason.to_string() });
        if self.faults.len() > self.part.most * 2 {
            self.cut_faults();
        }
    }

    fn cut_faults(&mut self) {
        let gone = first(&mut self.faults, self.part.most, |fault| fault.line);
        self.more += gone;
        self.after.1 |= gone > 0;
    }

    fn cut_fates(&mut self) {
        let gone = first(&mut self.fates, self.part.most, |fate| fate.line);
        self.after.0 |= gone > 0;
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

    /// Says what becomes of a row, if it is one of those to be listed. Rows come in any order.
    pub fn says(&mut self, line: u64, what: &impl ToString, verdict: Verdict) {
        let beyond = |last: &Fate| self.after.0 && last.line < line;
        // After a cut the last one listed is the last there may be, until others come before it.
        if line < self.part.from || self.fates.get(self.part.most - 1).is_some_and(beyond) {
            return;
        }
        self.fates.push(Fate { line, what: what.to_string(), verdict });
        if self.fates.len() > self.part.most * 2 {
            self.cut_fates();
        }
    }

    /// Puts everything into the order of the file, and leaves what is to be listed.
    pub fn sort(&mut self) {
        self.cut_faults();
        self.cut_fates();
    }

    /// Whether the list begins with the file.
    pub fn is_from_the_first(&self) -> bool {
        self.part.from <= 1
    }

    /// The line to go on with, if not all is listed.
    pub fn next(&self) -> Option<u64> {
        let fate = self.fates.last().filter(|_| self.after.0).map(|fate| fate.line + 1);
        // Of the last line with a fault there may be more.
        let fault = self.faults.last().filter(|_| self.after.1).map(|fault| fault.line);
        [fate, fault].into_iter().flatten().min().map(|line| line.max(self.part.from + 1))
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
        self.count() == 0
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
