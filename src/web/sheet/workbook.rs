//! XLSX: the first worksheet of a workbook, read cell by cell.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::vec;

use calamine::{DataRef, ExcelDateTime, Reader as _, Xlsx, XlsxError};
use zip::ZipArchive;
use zip::result::ZipError;

use super::read::{MOST_COLUMNS, Row};
use super::{BadSheet, MOST_XLSX_ROWS};

/// Bytes everything in the file may unpack to.
const LARGEST: u64 = 1 << 30;
/// Bytes anything but a worksheet may unpack to: texts and styles are kept in memory.
const LARGEST_PART: u64 = 256 << 20;
/// Parts a file may have.
const MOST_PARTS: usize = 10_000;
/// Rows that change threads at once.
const BATCH: usize = 256;

type Item = Result<Row, BadSheet>;

/// The rows of a workbook's first worksheet. The reader of cells borrows the workbook, so both
/// live in a thread of their own; it ends when nobody listens any more.
pub struct Workbook {
    batches: Receiver<Vec<Item>>,
    batch: vec::IntoIter<Item>,
    done: bool,
}

impl Workbook {
    /// Refuses what would unpack to too much, then begins to read.
    pub fn open(mut file: File) -> Result<Self, BadSheet> {
        measure(&file, LARGEST, LARGEST_PART)?;
        file.rewind()?;
        let (sender, batches) = sync_channel(2);
        thread::Builder::new().name("xlsx".to_owned()).spawn(move || {
            let mut pen = Pen { sender, batch: Vec::new() };
            if let Err(error) = read(file, &mut pen) {
                pen.put(Err(error));
            }
            pen.end();
        })?;
        Ok(Self { batches, batch: Vec::new().into_iter(), done: false })
    }
}

impl Iterator for Workbook {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.done {
            return None;
        }
        if let Some(row) = self.batch.next() {
            return Some(row);
        }
        // An empty batch is the end; without it the thread gave up, and what was read is not all.
        let Ok(batch) = self.batches.recv() else {
            self.done = true;
            return Some(Err(BadSheet::Broken("it ends in the middle".to_owned())));
        };
        self.done = batch.is_empty();
        self.batch = batch.into_iter();
        self.batch.next()
    }
}

/// Where the thread puts its rows.
struct Pen {
    sender: SyncSender<Vec<Item>>,
    batch: Vec<Item>,
}

impl Pen {
    /// False when nobody listens.
    fn put(&mut self, row: Item) -> bool {
        self.batch.push(row);
        self.batch.len() < BATCH || self.sender.send(std::mem::take(&mut self.batch)).is_ok()
    }

    fn end(self) {
        let rest = self.batch.is_empty() || self.sender.send(self.batch).is_ok();
        // Whoever no longer listens does not miss the end.
        let _ = rest && self.sender.send(Vec::new()).is_ok();
    }
}

/// Unpacks everything once, to nowhere: what the file says about its sizes may be a lie.
pub(super) fn measure(file: &File, largest: u64, largest_part: u64) -> Result<(), BadSheet> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| unpacked(&error))?;
    if archive.len() > MOST_PARTS {
        return Err(BadSheet::TooLarge);
    }
    let mut total = 0;
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|error| unpacked(&error))?;
        let name = part.name().map_err(|error| unpacked(&error))?.to_ascii_lowercase();
        let limit = if name.starts_with("xl/worksheets/") { largest } else { largest_part };
        let size = io::copy(&mut part.by_ref().take(limit + 1), &mut io::sink())
            .map_err(|error| BadSheet::Broken(error.to_string()))?;
        total += size;
        if size > limit || total > largest {
            return Err(BadSheet::TooLarge);
        }
    }
    Ok(())
}

fn unpacked(error: &ZipError) -> BadSheet {
    BadSheet::Broken(error.to_string())
}

fn broken(error: &XlsxError) -> BadSheet {
    BadSheet::Broken(error.to_string().chars().take(200).collect())
}

fn read(file: File, pen: &mut Pen) -> Result<(), BadSheet> {
    let mut book = Xlsx::new(BufReader::new(file)).map_err(|error| broken(&error))?;
    let Some(name) = book.sheet_names().first().cloned() else {
        return Err(BadSheet::Broken("it has no worksheet".to_owned()));
    };
    let mut cells = book.worksheet_cells_reader(&name).map_err(|error| broken(&error))?;
    let mut row = Row { line: 0, cells: Vec::new() };
    while let Some(cell) = cells.next_cell().map_err(|error| broken(&error))? {
        let ((at, column), text) = (cell.get_position(), text(cell.get_value()));
        if text.is_empty() {
            continue;
        }
        if at >= MOST_XLSX_ROWS {
            return Err(BadSheet::TooManyRows);
        }
        let line = u64::from(at) + 1;
        if line < row.line {
            return Err(BadSheet::Broken("its rows are not in their order".to_owned()));
        }
        if line > row.line && !hand_over(&mut row, line, pen) {
            return Ok(());
        }
        place(&mut row, column, text)?;
    }
    hand_over(&mut row, 0, pen);
    Ok(())
}

/// Puts the row that is complete and begins the next; false when nobody listens.
fn hand_over(row: &mut Row, next: u64, pen: &mut Pen) -> bool {
    let done = std::mem::replace(row, Row { line: next, cells: Vec::new() });
    done.is_blank() || pen.put(Ok(done))
}

fn place(row: &mut Row, column: u32, text: String) -> Result<(), BadSheet> {
    let column = usize::try_from(column).unwrap_or(usize::MAX);
    if column >= MOST_COLUMNS {
        return Err(BadSheet::WideRow { line: row.line });
    }
    if row.cells.len() <= column {
        row.cells.resize(column + 1, String::new());
    }
    if let Some(cell) = row.cells.get_mut(column) {
        *cell = text;
    }
    Ok(())
}

/// A cell as text: numbers without an exponent, dates as ISO 8601.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(moment) => date(moment),
        DataRef::Error(error) => error.to_string(),
    }
}

fn date(moment: &ExcelDateTime) -> String {
    if !moment.is_datetime() {
        return moment.as_f64().to_string();
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    if (hour, minute, second) == (0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}
