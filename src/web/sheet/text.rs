//! CSV, read as it comes: one row in memory, whatever the size of the file.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use super::BadSheet;
use super::read::{MOST_COLUMNS, Row};
use crate::web::csv::original;

/// Bytes from which the delimiter is told; the header is shorter.
const HEAD: u64 = 64 << 10;
/// Bytes a row may have. Without a limit a quotation mark never closed would put the rest of the
/// file into memory.
const LONGEST_ROW: u64 = 1 << 20;
/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// Something to read CSV from.
type Input = Box<dyn Read + Send>;

/// The rows of a CSV text.
pub struct Text {
    reader: csv::Reader<Lines>,
    record: csv::ByteRecord,
    broken: bool,
}

impl Text {
    /// Tells the delimiter and begins to read.
    pub fn open(mut input: Input) -> Result<Self, BadSheet> {
        let mut head = Vec::new();
        input.by_ref().take(HEAD).read_to_end(&mut head)?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(BadSheet::NotUtf8 { line: 1 });
        }
        if head.starts_with("\u{feff}".as_bytes()) {
            head.drain(..3);
        }
        let header = first_line(&head);
        if header.contains(&0) {
            return Err(BadSheet::Unknown);
        }
        let delimiter = delimiter(header);
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .buffer_capacity(BUFFER)
            .from_reader(Lines::new(Box::new(Cursor::new(head).chain(input))));
        Ok(Self { reader, record: csv::ByteRecord::new(), broken: false })
    }

    fn row(&mut self) -> Option<Result<Row, BadSheet>> {
        let begin = self.reader.position().byte();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let begin = self.record.position().map_or(begin, csv::Position::byte);
                Some(cells(&self.record, self.reader.get_mut().line_of(begin)))
            }
            Err(error) => {
                self.broken = true;
                Some(Err(self.reader.get_mut().refusal(begin, error)))
            }
        }
    }
}

impl Iterator for Text {
    type Item = Result<Row, BadSheet>;

    /// The next row that is not empty.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.broken {
            match self.row()? {
                Ok(row) if row.is_blank() => {}
                row => return Some(row),
            }
        }
        None
    }
}

fn cells(record: &csv::ByteRecord, line: u64) -> Result<Row, BadSheet> {
    if record.len() > MOST_COLUMNS {
        return Err(BadSheet::WideRow { line });
    }
    let cells: Result<Vec<String>, _> = record
        .iter()
        .map(|cell| std::str::from_utf8(cell).map(|cell| original(cell).to_owned()))
        .collect();
    let cells = cells.map_err(|_| BadSheet::NotUtf8 { line })?;
    Ok(Row { line, cells })
}

/// The first line with anything on it.
fn first_line(head: &[u8]) -> &[u8] {
    let mut lines = head.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Whichever delimiter the header has most of, outside quotation marks.
fn delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: u8| {
        let unquoted = header.split(|byte| *byte == b'"').step_by(2);
        unquoted.flatten().filter(|byte| **byte == delimiter).count()
    };
    // Of equals the last counts.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Counts lines as an editor does. The CSV reader's own count is that of where it stopped before:
/// one too low in files with CRLF and after empty lines.
struct Lines {
    input: Input,
    /// Where the line ends are that were read but not passed; whether they begin a new line.
    ends: VecDeque<(u64, bool)>,
    /// Bytes read.
    read: u64,
    /// Where the last row began.
    row: u64,
    line: u64,
    too_long: bool,
}

impl Lines {
    fn new(input: Input) -> Self {
        Self { input, ends: VecDeque::new(), read: 0, row: 0, line: 1, too_long: false }
    }

    /// The line of the row that begins at `byte` or after the line ends there; rows come in their
    /// order.
    fn line_of(&mut self, byte: u64) -> u64 {
        self.row = byte;
        while let Some((at, new_line)) = self.ends.front().copied() {
            if at > self.row {
                break;
            }
            self.row += u64::from(at == self.row);
            self.line += u64::from(new_line);
            self.ends.pop_front();
        }
        self.line
    }

    fn refusal(&mut self, row: u64, error: csv::Error) -> BadSheet {
        if self.too_long {
            return BadSheet::LongRow { line: self.line_of(row) };
        }
        BadSheet::Io(error.into())
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.saturating_sub(self.row) > LONGEST_ROW {
            self.too_long = true;
            return Err(io::Error::other("the row is too long"));
        }
        let count = self.input.read(buffer)?;
        for (at, byte) in (self.read..).zip(buffer.iter().take(count)) {
            if matches!(byte, b'\n' | b'\r') {
                self.ends.push_back((at, *byte == b'\n'));
            }
        }
        self.read += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }
}
