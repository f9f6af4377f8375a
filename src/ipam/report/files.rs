//! Reports as files: all rows, however many.

use futures_util::{Stream, stream};

use super::content::Question;
use super::tables::{self, Cell};
use super::types::{Filter, Report};
use crate::audit::Page;
use crate::auth::Operator;
use crate::db::Tx;
use crate::net::Address;
use crate::time::Timestamp;
use crate::web::sheet::{Heading, RowBatch, SheetFormat, Spool, export};
use crate::web::{Answer, Error};

/// Rows read at once.
const BATCH: i64 = 2_000;

/// The report as a file to save.
pub(super) async fn answer(
    by: &Operator,
    tx: Tx,
    format: SheetFormat,
    report: Report,
    filter: Filter,
    address: Option<Address>,
) -> Answer {
    let header: Vec<Heading> =
        tables::columns(report).iter().map(tables::Column::heading).collect();
    let spool = Spool::of(by.state());
    let wanted =
        Wanted { tenant: by.tenant(), report, filter, address, now: by.state().clock.now() };
    export(format, &spool, report.stem(), &header, rows(tx, wanted)).await
}

struct Wanted {
    tenant: crate::id::TenantId,
    report: Report,
    filter: Filter,
    address: Option<Address>,
    now: Timestamp,
}

impl Wanted {
    fn question(&self) -> Question<'_> {
        Question {
            tenant: self.tenant,
            report: self.report,
            filter: &self.filter,
            address: self.address,
            now: self.now,
        }
    }

    fn lists_addresses(&self) -> bool {
        !matches!(self.report, Report::Utilisation | Report::Sites | Report::History)
    }
}

/// All rows out of one snapshot. Addresses come in their order, batch by batch, each beginning
/// after the last one of the batch before.
fn rows(tx: Tx, mut wanted: Wanted) -> impl Stream<Item = RowBatch> {
    if wanted.lists_addresses() {
        wanted.filter.order = "address";
    }
    stream::try_unfold(Some((tx, wanted)), |state| async move {
        let Some((mut tx, mut wanted)) = state else { return Ok(None) };
        if !wanted.lists_addresses() {
            let all = Page { offset: 0, limit: i64::MAX };
            let content = wanted.question().answer(&mut tx, all).await?;
            return Ok::<_, Error>(Some((plain(content.rows), None)));
        }
        let (lines, _) = wanted.question().lines(&mut tx, Page { offset: 0, limit: BATCH }).await?;
        let rows = plain(wanted.question().cells(&lines));
        let full = i64::try_from(lines.len()).is_ok_and(|count| count == BATCH);
        wanted.filter.after = lines.last().map(|line| line.address);
        Ok(Some((rows, full.then_some((tx, wanted)))))
    })
}

fn plain(rows: Vec<Vec<Cell>>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.into_iter().map(Cell::plain).collect()).collect()
}
