//! A table, row by row, whichever kind of file it is in.

use std::fs::File;
use std::io::{Cursor, Read as _, Seek as _};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::BadSheet;
use super::text::Text;
use super::workbook::Workbook;

/// Columns a row may have.
pub(super) const MOST_COLUMNS: usize = 1000;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The line in the file as an editor counts, or the row's number in the worksheet; from 1.
    pub line: u64,
    /// What is in it. Rows may be of different lengths.
    pub cells: Vec<String>,
}

impl Row {
    /// A cell without blanks around it; empty when the row is shorter.
    pub fn cell(&self, at: usize) -> &str {
        self.cells.get(at).map_or("", |cell| cell.trim())
    }

    /// Whether there is nothing in it.
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }
}

/// A table being read: its header, then by iteration its rows. Empty rows are left out. Reading
/// waits for the disk: do it where waiting is allowed, or with [`Sheet::batches`].
pub struct Sheet {
    header: Row,
    rows: Rows,
}

enum Rows {
    Text(Box<Text>),
    Workbook(Workbook),
}

impl Sheet {
    /// A CSV or XLSX file: its first bytes say which.
    pub fn open(mut file: File) -> Result<Self, BadSheet> {
        file.rewind()?;
        let mut head = Vec::new();
        (&file).take(4).read_to_end(&mut head)?;
        file.rewind()?;
        if head == b"PK\x03\x04" {
            Self::of(Rows::Workbook(Workbook::open(file)?))
        } else {
            Self::of(Rows::Text(Box::new(Text::open(Box::new(file))?)))
        }
    }

    /// CSV that was pasted.
    pub fn pasted(text: String) -> Result<Self, BadSheet> {
        Self::of(Rows::Text(Box::new(Text::open(Box::new(Cursor::new(text.into_bytes())))?)))
    }

    fn of(mut rows: Rows) -> Result<Self, BadSheet> {
        let header = rows.next().transpose()?;
        let header = header.unwrap_or(Row { line: 1, cells: Vec::new() });
        Ok(Self { header, rows })
    }

    /// The first row with anything in it; no cells when there is none.
    pub fn header(&self) -> &Row {
        &self.header
    }

    /// The rows, up to `size` at a time, read in a thread that may wait.
    pub fn batches(self, size: usize) -> Batches {
        let (sender, receiver) = channel(2);
        tokio::task::spawn_blocking(move || send(self, size.max(1), &sender));
        Batches(receiver)
    }
}

impl Iterator for Sheet {
    type Item = Result<Row, BadSheet>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, BadSheet>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Text(text) => text.next(),
            Self::Workbook(workbook) => workbook.next(),
        }
    }
}

/// The rows of a [`Sheet`] for those who must not wait.
pub struct Batches(Receiver<Vec<Result<Row, BadSheet>>>);

impl Batches {
    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<Result<Row, BadSheet>>> {
        self.0.recv().await
    }
}

/// Stops early when nobody listens any more.
fn send(mut sheet: Sheet, size: usize, to: &Sender<Vec<Result<Row, BadSheet>>>) {
    loop {
        let batch: Vec<_> = sheet.by_ref().take(size).collect();
        if batch.is_empty() || to.blocking_send(batch).is_err() {
            return;
        }
    }
}
