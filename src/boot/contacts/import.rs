//! Many contacts from a CSV or XLSX file, all or none.

use std::str::FromStr;

use super::types::{ContactName, Spec};
use super::{Refusal, create};
use crate::audit::Change;
use crate::phones::Dialled;
use crate::secrets::Vault;
use crate::web::Error;
use crate::web::sheet::{BadSheet, Column, Columns, Report, Row, Sheet};

/// Rows at most.
const MOST_ROWS: usize = 20_000;
/// Rows read at once.
const BATCH: usize = 1000;

const COLUMNS: [Column; 2] = [Column::needed("name", &[]), Column::needed("number", &[])];

/// Adds the contacts of a table with the columns `name` and `number`. The change may be committed
/// only if the report is clean.
pub async fn run(
    change: &mut Change,
    vault: &Vault,
    sheet: Result<Sheet, BadSheet>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let rows = match sheet {
        Ok(sheet) => read(sheet, &mut report).await,
        Err(error) => {
            report.unreadable(&error);
            Vec::new()
        }
    };
    report.rows = rows.len();
    for (line, spec) in rows {
        match create(change, vault, &spec).await {
            Ok(_) => report.added += 1,
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => report.fault(line, "name", &refusal),
        }
    }
    report.sort();
    Ok(report)
}

async fn read(sheet: Sheet, report: &mut Report) -> Vec<(u64, Spec)> {
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

fn parse(columns: &Columns, row: &Row, report: &mut Report) -> Option<(u64, Spec)> {
    let name = checked::<ContactName>(columns.cell(row, "name"), row.line, "name", report);
    let number = checked::<Dialled>(columns.cell(row, "number"), row.line, "number", report);
    Some((row.line, Spec { name: name?, number: number? }))
}

fn checked<T: FromStr<Err: ToString>>(
    text: &str,
    line: u64,
    column: &'static str,
    report: &mut Report,
) -> Option<T> {
    text.parse().map_err(|error: T::Err| report.fault(line, column, &error)).ok()
}
