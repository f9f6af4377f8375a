//! Tables in and out: CSV and XLSX, however many rows, in little memory.
//!
//! In: an [`Upload`] is spooled to a file of the [`Spool`], [`Sheet`] reads it row by row,
//! [`Columns`] finds what is where by the header, a [`Report`] says what does not fit and an
//! [`ImportView`] shows that. Out: [`export`] answers with a file in a [`SheetFormat`].

mod columns;
mod import;
mod read;
mod report;
mod spool;
mod text;
mod upload;
mod workbook;
mod write;

use std::io;

pub use columns::{Column, Columns};
pub use import::{Import, ImportView};
pub use read::{Batches, Row, Sheet};
pub use report::{Fate, Fault, Part, Report, Verdict};
pub use spool::{Spool, Spooled};
pub use upload::{Source, Upload, spool_body};
pub use write::{Heading, RowBatch, SheetFormat, export, stream_csv, xlsx, xlsx_file};

/// Bytes an uploaded table may have where its route does not say less.
pub const UPLOAD_LIMIT: usize = 256 << 20;

/// Rows a worksheet of XLSX has at most.
pub const MOST_XLSX_ROWS: u32 = 1_048_576;

/// Why a table cannot be read, or not from some line on.
#[derive(Debug, thiserror::Error)]
pub enum BadSheet {
    /// The line is not UTF-8; the lines after it may be.
    #[error("this line is not text in UTF-8; save the file as CSV UTF-8 or as XLSX")]
    NotUtf8 {
        /// The line in the file, from 1.
        line: u64,
    },
    /// A quotation mark that is never closed makes such rows.
    #[error("this row is longer than 1 MiB; look for a quotation mark that is not closed")]
    LongRow {
        /// The line in the file, from 1.
        line: u64,
    },
    /// More columns than any table has.
    #[error("this row has more than 1000 columns; leave out those that are not needed")]
    WideRow {
        /// The line in the file, from 1.
        line: u64,
    },
    /// Neither text nor XLSX.
    #[error("this file is neither CSV nor XLSX; save it as one of them")]
    Unknown,
    /// It unpacks to more than is read.
    #[error("this XLSX file unpacks to more than 1 GiB; save it as CSV, or divide it")]
    TooLarge,
    /// More rows than a worksheet can have.
    #[error("this worksheet has more than 1048576 rows; save it as CSV")]
    TooManyRows,
    /// Something about the XLSX file is not as it should be.
    #[error(
        "this XLSX file cannot be read ({0}); open it in a spreadsheet program and save it anew"
    )]
    Broken(String),
    /// The file could not be read.
    #[error("the uploaded file cannot be read")]
    Io(#[from] io::Error),
}

impl BadSheet {
    /// The line it is about; 1 when it is about the whole file.
    pub fn line(&self) -> u64 {
        match self {
            Self::NotUtf8 { line } | Self::LongRow { line } | Self::WideRow { line } => *line,
            _ => 1,
        }
    }

    /// Whether the rows after it can still be read.
    pub fn is_about_one_row(&self) -> bool {
        matches!(self, Self::NotUtf8 { .. } | Self::WideRow { .. })
    }
}

#[cfg(test)]
mod tests;
