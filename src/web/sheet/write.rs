//! Tables as files to save: CSV as it is made, XLSX by way of a temporary file. Neither is ever in
//! memory whole.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError as Refusal,
};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::{Receiver, channel};

use super::{MOST_XLSX_ROWS, Spool};
use crate::time::Timestamp;
use crate::web::{Answer, Error, csv};

/// Bytes of a file sent at once.
const CHUNK: u64 = 64 << 10;
const CSV: &str = "text/csv; charset=utf-8";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The kinds of files tables are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetFormat {
    /// Text, for any program and any number of rows.
    Csv,
    /// A workbook with one worksheet.
    Xlsx,
}

/// The text names no kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use csv or xlsx")]
pub struct BadFormat;

impl FromStr for SheetFormat {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        match name {
            "csv" => Ok(Self::Csv),
            "xlsx" => Ok(Self::Xlsx),
            _ => Err(BadFormat),
        }
    }
}

impl SheetFormat {
    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Csv => CSV,
            Self::Xlsx => XLSX,
        }
    }

    /// What names of such files end in, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// The name of a column, and whether XLSX has numbers below it.
#[derive(Clone, Copy, Debug)]
pub struct Heading {
    /// The name.
    pub name: &'static str,
    /// Whether its cells are numbers. What is no number stays text.
    pub number: bool,
}

impl Heading {
    /// A column of texts.
    pub const fn text(name: &'static str) -> Self {
        Self { name, number: false }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self { name, number: true }
    }
}

/// Rows in batches, as a query yields them.
pub type RowBatch = Result<Vec<Vec<String>>, Error>;

/// A file to save, called `stem` (a name of ours, never of a user's) with the kind's ending.
pub async fn export(
    format: SheetFormat,
    spool: &Spool,
    stem: &'static str,
    header: &[Heading],
    rows: impl Stream<Item = RowBatch> + 'static,
) -> Answer {
    match format {
        SheetFormat::Csv => stream_csv(stem, header, rows),
        SheetFormat::Xlsx => xlsx(spool, stem, header, rows).await,
    }
}

/// CSV, sent while it is made: the header at once, then batch by batch. An error on the way breaks
/// the answer off, so that nobody takes part of a table for all of it.
pub fn stream_csv(
    stem: &'static str,
    header: &[Heading],
    rows: impl Stream<Item = RowBatch> + 'static,
) -> Answer {
    let names: Vec<&str> = header.iter().map(|heading| heading.name).collect();
    let first = csv::write(&names, []).map_err(failed)?;
    let rest = rows.map(|batch| {
        let bytes = batch.and_then(|rows| csv::rows(rows).map_err(failed));
        bytes.map(Bytes::from).inspect_err(|error| {
            tracing::error!(error = %error, "an export broke off");
        })
    });
    let body = stream::iter([Ok(Bytes::from(first))]).chain(rest);
    Ok(attachment(SheetFormat::Csv, stem).streaming(body))
}

/// XLSX, sent when it is complete.
pub async fn xlsx(
    spool: &Spool,
    stem: &'static str,
    header: &[Heading],
    rows: impl Stream<Item = RowBatch>,
) -> Answer {
    let file = xlsx_file(spool, header, rows).await?;
    let length = file.metadata()?.len();
    let body = SizedStream::new(length, chunks(file));
    Ok(attachment(SheetFormat::Xlsx, stem).body(body))
}

/// XLSX in a file without a name, which is gone when it is closed.
pub async fn xlsx_file(
    spool: &Spool,
    header: &[Heading],
    rows: impl Stream<Item = RowBatch>,
) -> Result<File, Error> {
    let (dir, now, header) = (spool.dir()?.to_owned(), spool.now(), header.to_vec());
    let (sender, receiver) = channel(2);
    let writer = tokio::task::spawn_blocking(move || write(&dir, now, &header, receiver));
    let mut rows = std::pin::pin!(rows);
    while let Some(batch) = rows.next().await {
        // Who no longer listens says below why.
        if sender.send(batch?).await.is_err() {
            break;
        }
    }
    drop(sender);
    writer.await.map_err(io::Error::other)?.map_err(refused)
}

fn attachment(format: SheetFormat, stem: &str) -> actix_web::HttpResponseBuilder {
    let name = format!("attachment; filename=\"{stem}.{}\"", format.extension());
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.mime()).insert_header((CONTENT_DISPOSITION, name));
    answer
}

fn failed(error: ::csv::Error) -> Error {
    Error::Io(error.into())
}

fn refused(error: Refusal) -> Error {
    match error {
        Refusal::RowColumnLimitError => Error::BadRequest(
            "a worksheet has at most 1,048,575 rows below its header; export as CSV, or filter the list",
        ),
        Refusal::MaxStringLengthExceeded => Error::BadRequest(
            "a cell of a worksheet has at most 32,767 characters and one here is longer; export as CSV",
        ),
        other => Error::Io(io::Error::other(other)),
    }
}

/// Writes rows as they come; ends when there are no more.
fn write(
    dir: &PathBuf,
    now: Timestamp,
    header: &[Heading],
    mut rows: Receiver<Vec<Vec<String>>>,
) -> Result<File, Refusal> {
    let mut book = Workbook::new();
    book.set_tempdir(dir)?;
    book.set_properties(
        &DocProperties::new().set_creation_datetime(&ExcelDateTime::from_timestamp(now.0)?),
    );
    let sheet = book.add_worksheet_with_constant_memory()?;
    begin(sheet, header)?;
    let mut line = 0;
    while let Some(batch) = rows.blocking_recv() {
        for row in batch {
            line += 1;
            if line >= MOST_XLSX_ROWS {
                return Err(Refusal::RowColumnLimitError);
            }
            write_row(sheet, line, header, row)?;
        }
    }
    let last = u16::try_from(header.len().saturating_sub(1)).unwrap_or(u16::MAX);
    sheet.autofilter(0, 0, line, last)?;
    save(&mut book, dir)
}

/// The header: bold, and always in sight.
fn begin(sheet: &mut Worksheet, header: &[Heading]) -> Result<(), Refusal> {
    let bold = Format::new().set_bold();
    sheet.set_freeze_panes(1, 0)?;
    for (column, heading) in (0..).zip(header) {
        sheet.write_string_with_format(0, column, heading.name, &bold)?;
    }
    Ok(())
}

/// Texts are written as texts whatever they look like: no program runs them as formulas.
fn write_row(
    sheet: &mut Worksheet,
    line: u32,
    header: &[Heading],
    row: Vec<String>,
) -> Result<(), Refusal> {
    for ((column, heading), cell) in (0..).zip(header).zip(row) {
        match number(&cell).filter(|_| heading.number) {
            Some(number) => sheet.write_number(line, column, number)?,
            None if cell.is_empty() => continue,
            None => sheet.write_string(line, column, cell)?,
        };
    }
    Ok(())
}

/// A number that comes back as it was written: at most 15 digits.
fn number(cell: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || b".-".contains(&byte);
    let short = cell.len() <= 15 && cell.bytes().all(plain);
    short.then(|| cell.parse().ok()).flatten()
}

fn save(book: &mut Workbook, dir: &Path) -> Result<File, Refusal> {
    let mut file = tempfile::tempfile_in(dir)?;
    book.save_to_writer(&file)?;
    file.rewind()?;
    Ok(file)
}

/// A file in pieces.
fn chunks(file: File) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(tokio::fs::File::from_std(file), |mut file| async move {
        let mut chunk = Vec::new();
        let count = (&mut file).take(CHUNK).read_to_end(&mut chunk).await?;
        Ok((count > 0).then(|| (Bytes::from(chunk), file)))
    })
}
