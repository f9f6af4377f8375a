//! Many users from a CSV file, all or none.
//!
//! A dry run is the import itself in a transaction that is not committed, so what it says is what
//! would happen.

use std::str::FromStr;

use super::types::{Email, NewUser, PersonName};
use super::{Refusal, create_from};
use crate::audit::Change;
use crate::numbering::ExtensionNumber;
use crate::secrets::Vault;
use crate::tenants;
use crate::web::{Error, csv as cells};

/// Rows at most.
pub const MOST_ROWS: usize = 20_000;
/// Faults listed at most.
const MOST_FAULTS: usize = 200;

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column's name.
    pub column: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many users there are in the file.
    pub rows: usize,
    /// How many have been, or would be, added.
    pub added: usize,
    /// What is wrong; empty when everything fits.
    pub faults: Vec<Fault>,
    /// Faults beyond those listed.
    pub more: usize,
}

impl Report {
    fn fault(&mut self, line: u64, column: &'static str, reason: &impl ToString) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { line, column, reason: reason.to_string() });
        } else {
            self.more += 1;
        }
    }

    /// Whether everything fits.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Adds the users of a CSV text with the columns `name`, `email` and, if wished, `extension`.
/// The change may be committed only if the report is clean.
pub async fn run(change: &mut Change, vault: &Vault, text: &str) -> Result<Report, Error> {
    let mut report = Report::default();
    let rows = read(text, &mut report);
    report.rows = rows.len();
    let range = tenants::lock(change, change.tenant()).await?.range();
    let mut from = range.first();
    for (line, new) in rows {
        match create_from(change, vault, &new, &mut from, range).await {
            Ok(_) => report.added += 1,
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => report.fault(line, refusal.field().unwrap_or("name"), &refusal),
        }
    }
    Ok(report)
}

/// Parses every row before anything is written. Rows with a fault are reported and left out.
fn read(text: &str, report: &mut Report) -> Vec<(u64, NewUser)> {
    let text = text.trim_start_matches('\u{feff}');
    let delimiter =
        if text.lines().next().is_some_and(|head| head.contains(';')) { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::Headers)
        .from_reader(text.as_bytes());
    let Some(columns) = Columns::find(&mut reader, report) else { return Vec::new() };
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut rows = Vec::new();
    for record in reader.records() {
        if rows.len() >= MOST_ROWS {
            report.fault(1, "name", &format!("a file may have at most {MOST_ROWS} rows"));
            break;
        }
        match record {
            Ok(record) => {
                let line = lines.line_of(record.position().map_or(0, csv::Position::byte));
                rows.extend(columns.parse(&record, line, report));
            }
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                report.fault(line, "name", &"this line is not CSV in UTF-8");
            }
        }
    }
    rows
}

/// Counts lines as an editor does. The reader's own count is that of where it stopped before: one
/// too low in files with CRLF and after empty lines.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that begins at `byte` or after the line ends there; records come in
    /// their order.
    fn line_of(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        let rest = self.text.get(byte..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        let passed = self.text.get(self.at..byte + blank).unwrap_or_default();
        self.line += u64::try_from(passed.matches('\n').count()).unwrap_or(0);
        self.at = byte + blank;
        self.line
    }
}

struct Columns {
    name: usize,
    email: usize,
    extension: Option<usize>,
}

impl Columns {
    fn find(reader: &mut csv::Reader<&[u8]>, report: &mut Report) -> Option<Self> {
        let header: Vec<String> = reader.headers().ok()?.iter().map(str::to_lowercase).collect();
        let place = |name: &str| header.iter().position(|column| column == name);
        let (name, email) = (place("name"), place("email").or_else(|| place("e-mail")));
        for (column, found) in [("name", name), ("email", email)] {
            if found.is_none() {
                report.fault(
                    1,
                    column,
                    &format!("the first line must name the columns; {column} is missing"),
                );
            }
        }
        Some(Self { name: name?, email: email?, extension: place("extension") })
    }

    fn parse(
        &self,
        record: &csv::StringRecord,
        line: u64,
        report: &mut Report,
    ) -> Option<(u64, NewUser)> {
        let cell = |index: usize| cells::original(record.get(index).unwrap_or("").trim());
        let wish = self.extension.map_or("", cell);
        let name = checked::<PersonName>(cell(self.name), line, "name", report);
        let email = checked::<Email>(cell(self.email), line, "email", report);
        let number = match wish {
            "" => Some(None),
            wish => checked::<ExtensionNumber>(wish, line, "extension", report).map(Some),
        };
        Some((line, NewUser { name: name?, email: email?, number: number? }))
    }
}

fn checked<T: FromStr<Err: ToString>>(
    text: &str,
    line: u64,
    column: &'static str,
    report: &mut Report,
) -> Option<T> {
    text.parse().map_err(|error: T::Err| report.fault(line, column, &error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parsed = (Vec<(u64, NewUser)>, Vec<(u64, &'static str)>);

    fn parse(text: &str) -> Parsed {
        let mut report = Report::default();
        let rows = read(text, &mut report);
        (rows, report.faults.iter().map(|fault| (fault.line, fault.column)).collect())
    }

    #[test]
    fn every_bad_cell_is_named_by_line_and_column() {
        let (rows, faults) = parse(
            "name,email,extension\nAnn,ann@example.com,\nBob,nope,12x\n,c@example.com,1005\n",
        );
        assert_eq!(rows.len(), 1);
        assert_eq!(faults, [(3, "email"), (3, "extension"), (4, "name")]);
        let (_, faults) = parse("name,email\r\nAnn,ann@example.com\r\nBob,nope\r\n");
        assert_eq!(faults, [(3, "email")]);
    }

    #[test]
    fn columns_may_come_in_any_order_with_a_semicolon_and_a_mark() {
        let (rows, faults) = parse("\u{feff}E-Mail;Name\r\nann@example.com;\"Smith; Ann\"\r\n");
        assert_eq!(faults, []);
        assert_eq!((rows[0].0, rows[0].1.name.to_string()), (2, "Smith; Ann".to_owned()));
    }

    #[test]
    fn a_file_without_its_columns_is_one_fault_each() {
        assert_eq!(parse("a,b\n1,2\n").1, [(1, "name"), (1, "email")]);
        assert_eq!(parse("").1, [(1, "name"), (1, "email")]);
    }

    #[test]
    fn exported_formulas_come_back_as_they_were() {
        let (rows, _) = parse("name,email\n'=1+1,a@example.com\n");
        assert_eq!(rows[0].1.name.to_string(), "=1+1");
    }
}
