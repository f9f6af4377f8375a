//! Addresses from a file: read in its order, looked at in the order of addresses, so that a
//! million rows are a walk beside the rows there are, and written many at a time.
//!
//! A dry run decides about every row and writes none; it needs no lock.

mod decide;
mod walk;
mod wish;

use super::columns::ADDRESSES;
use super::{MOST_ADDRESSES, Sheeted};
use crate::ipam::space::Space;
use crate::time::Zone;
use crate::web::Error;
use crate::web::sheet::{Columns, Report, Row, Sheet};

use decide::By;
use walk::{Sink, Walk};
use wish::{Layout, Packed, Wish};

/// Rows read at once.
const BATCH: usize = 1000;

/// What a file has, in the order of addresses.
pub struct Rows {
    layout: Layout,
    /// Where a day without a time is meant.
    zone: Zone,
    rows: Vec<Packed>,
}

/// Reads a file: what is wrong with single rows is in the report.
pub async fn read(sheet: Sheeted, zone: Zone, report: &mut Report) -> Result<Option<Rows>, Error> {
    let sheet = match sheet {
        Ok(sheet) => sheet,
        Err(error) => {
            report.unreadable(&error);
            return Ok(None);
        }
    };
    let Some(columns) = Columns::find(sheet.header(), &ADDRESSES, report) else { return Ok(None) };
    let layout = Layout::of(&columns);
    let rows = gather(sheet, &layout, &zone, report).await;
    let sorted = tokio::task::spawn_blocking(move || {
        let mut rows = rows;
        rows.sort_unstable_by_key(|row: &Packed| (row.address, row.line));
        rows
    });
    let rows = sorted.await.map_err(std::io::Error::other)?;
    Ok(Some(Rows { layout, zone, rows: once_each(rows, report) }))
}

async fn gather(sheet: Sheet, layout: &Layout, zone: &Zone, report: &mut Report) -> Vec<Packed> {
    let mut rows = Vec::new();
    let mut batches = sheet.batches(BATCH);
    while let Some(batch) = batches.next().await {
        for row in batch {
            if report.rows >= MOST_ADDRESSES {
                report.fault(
                    1,
                    "address",
                    &format!("a file may have at most {MOST_ADDRESSES} rows"),
                );
                return rows;
            }
            match row {
                Ok(row) => rows.extend(parse(layout, zone, &row, report)),
                Err(error) => report.unreadable(&error),
            }
            report.rows += 1;
        }
    }
    rows
}

fn parse(layout: &Layout, zone: &Zone, row: &Row, report: &mut Report) -> Option<Packed> {
    let cells = layout.cells(row);
    if cells.is_gap() {
        return None;
    }
    let address = match cells.address() {
        Ok(address) => Some(address),
        Err(why) => {
            report.refuse(row.line, "address", &why);
            None
        }
    };
    if let Err(faults) = Wish::read(&cells, zone) {
        for (column, why) in faults {
            report.refuse(row.line, column, &why);
        }
        return None;
    }
    Some(cells.pack(address?, row.line))
}

/// Leaves out rows about an address that an earlier line is about.
fn once_each(mut rows: Vec<Packed>, report: &mut Report) -> Vec<Packed> {
    rows.dedup_by(|row, first| {
        let same = row.address == first.address;
        if same {
            let why = format!("line {} is about {} already", first.line, first.address);
            report.refuse(u64::from(row.line), "address", &why);
        }
        same
    });
    rows
}

/// Says what importing the rows would do.
pub async fn check(
    tx: &mut crate::db::Tx,
    tenant: crate::id::TenantId,
    name: &str,
    at: crate::time::Timestamp,
    rows: Rows,
    report: &mut Report,
) -> Result<(), Error> {
    let by = By { name, at };
    Walk::new(Sink::Nowhere(tx, tenant), by, report).await?.all(rows).await
}

/// Imports the rows. The change may be committed only if the report is clean.
pub async fn run(
    space: &mut Space<'_>,
    name: &str,
    rows: Rows,
    report: &mut Report,
) -> Result<(), Error> {
    let by = By { name, at: space.at() };
    Walk::new(Sink::Space(space), by, report).await?.all(rows).await
}
