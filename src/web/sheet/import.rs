//! What a page of an import shows: what would happen, what did, and what stands in the way.

use actix_web::http::StatusCode;

use super::{Report, Source, Spool};
use crate::id::OperatorId;
use crate::web::Error;

/// What is imported, in words.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    /// Where the form is sent.
    pub action: &'static str,
    /// The list the things are added to.
    pub list: &'static str,
    /// One of them, e.g. `user`.
    pub one: &'static str,
    /// Several of them, e.g. `users`.
    pub many: &'static str,
    /// The columns, as a phrase that goes on after "the columns".
    pub columns: &'static str,
    /// A few lines as an example.
    pub example: &'static str,
    /// Whether things that are there already are changed.
    pub changes: bool,
}

/// What the macro in `shell/import.html` shows.
#[derive(Clone, Debug)]
pub struct ImportView {
    /// What is imported.
    pub what: Import,
    /// What was pasted.
    pub text: String,
    /// The token of the file kept until it is confirmed; empty when there is none.
    pub kept: String,
    /// What that file was called; empty when that is of no importance.
    pub name: String,
    /// What the import did or would do; `None` before the first check.
    pub report: Option<Report>,
    /// Whether it was done.
    pub done: bool,
    /// Whether the file to be confirmed was there no longer.
    pub gone: bool,
}

impl ImportView {
    /// The page before anything was sent.
    pub fn new(what: Import) -> Self {
        let (text, kept, name) = (String::new(), String::new(), String::new());
        Self { what, text, kept, name, report: None, done: false, gone: false }
    }

    /// The page when the file to be confirmed is there no longer.
    pub fn gone(what: Import) -> Self {
        Self { gone: true, ..Self::new(what) }
    }

    /// The page after a check, or after the import if it was confirmed and everything fits:
    /// [`ImportView::done`] says whether to commit.
    pub fn checked(what: Import, report: Report, confirmed: bool) -> Self {
        let done = confirmed && report.is_clean() && report.touched() > 0;
        Self { report: Some(report), done, ..Self::new(what) }
    }

    /// Keeps what was sent for the confirmation: a text in the page, a file in the spool.
    pub fn keep(
        &mut self,
        source: Source,
        spool: &Spool,
        operator: OperatorId,
    ) -> Result<(), Error> {
        match source {
            Source::Text(text) => self.text = text,
            Source::File(file) if self.awaits() || self.next().is_some() => {
                self.kept = spool.keep(file, operator)?;
            }
            Source::File(_) => {}
        }
        Ok(())
    }

    /// The line to go on with, if the check has not told of every row.
    pub fn next(&self) -> Option<u64> {
        self.report.as_ref().filter(|_| !self.done).and_then(Report::next)
    }

    /// Whether there is something to confirm.
    pub fn awaits(&self) -> bool {
        let fits = |report: &Report| report.is_clean() && report.touched() > 0;
        !self.done && self.report.as_ref().is_some_and(fits)
    }

    /// 200, or 422 when something is wrong.
    pub fn status(&self) -> StatusCode {
        if !self.gone && self.report.as_ref().is_none_or(Report::is_clean) {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }

    /// `user` or `users`.
    pub fn noun(&self, count: &usize) -> &'static str {
        if *count == 1 { self.what.one } else { self.what.many }
    }
}
