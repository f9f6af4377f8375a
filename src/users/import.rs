//! Many users from a CSV or XLSX file, all or none.
//!
//! A dry run is the import itself in a transaction that is not committed, so what it says is what
//! would happen.

use std::str::FromStr;

use super::types::{Email, NewUser, PersonName, SipSecret, User};
use super::{Refusal, create_from};
use crate::audit::Change;
use crate::numbering::ExtensionNumber;
use crate::secrets::Vault;
use crate::tenants;
use crate::web::Error;
use crate::web::sheet::{BadSheet, Column, Columns, Report, Row, Sheet};

/// Rows at most.
pub const MOST_ROWS: usize = 20_000;
/// Rows read at once.
const BATCH: usize = 1000;

const COLUMNS: [Column; 3] =
    [Column::needed("name", &[]), Column::needed("email", &[]), Column::optional("extension", &[])];

/// Adds the users of a table with the columns `name`, `email` and, if wished, `extension`.
/// The change may be committed only if the report is clean. Who was added is told with the secret,
/// which Patchbay does not show again without a password.
pub async fn run(
    change: &mut Change,
    vault: &Vault,
    sheet: Result<Sheet, BadSheet>,
) -> Result<(Report, Vec<(User, SipSecret)>), Error> {
    let (mut report, mut added) = (Report::default(), Vec::new());
    let rows = match sheet {
        Ok(sheet) => read(sheet, &mut report).await,
        Err(error) => {
            report.unreadable(&error);
            Vec::new()
        }
    };
    report.rows = rows.len();
    let range = tenants::lock_numbers(change).await?;
    let mut from = range.first();
    for (line, new) in rows {
        match create_from(change, vault, &new, &mut from, range).await {
            Ok(one) => added.push(one),
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => report.fault(line, refusal.field().unwrap_or("name"), &refusal),
        }
    }
    report.added = added.len();
    report.sort();
    Ok((report, added))
}

/// Parses every row before anything is written. Rows with a fault are reported and left out.
async fn read(sheet: Sheet, report: &mut Report) -> Vec<(u64, NewUser)> {
    let Some(columns) = Columns::find(sheet.header(), &COLUMNS, report) else { return Vec::new() };
    let mut rows = Vec::new();
    let mut batches = sheet.batches(BATCH);
    while let Some(batch) = batches.next().await {
        for row in batch {
            if rows.len() >= MOST_ROWS {
                report.fault(1, "name", &format!("a file may have at most {MOST_ROWS} rows"));
                return rows;
            }
            match row {
                Ok(row) => rows.extend(parse(&columns, &row, report)),
                Err(error) => report.unreadable(&error),
            }
        }
    }
    rows
}

fn parse(columns: &Columns, row: &Row, report: &mut Report) -> Option<(u64, NewUser)> {
    let (line, cell) = (row.line, |name| columns.cell(row, name));
    let name = checked::<PersonName>(cell("name"), line, "name", report);
    let email = checked::<Email>(cell("email"), line, "email", report);
    let number = match cell("extension") {
        "" => Some(None),
        wish => checked::<ExtensionNumber>(wish, line, "extension", report).map(Some),
    };
    Some((line, NewUser { name: name?, email: email?, number: number? }))
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
        let sheet = Sheet::pasted(text.to_owned()).unwrap();
        let read = read(sheet, &mut report);
        let rows = actix_web::rt::System::new().block_on(read);
        let known = ["name", "email", "extension"];
        let column = |name: &str| *known.iter().find(|known| **known == name).unwrap();
        let faults = report.faults.iter().map(|fault| (fault.line, column(&fault.column)));
        (rows, faults.collect())
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
