//! The page of reports.

use actix_web::web;
use askama::Template;

use super::ask::{Ask, NO_SITE};
use super::content::{Content, Question};
use super::tables::{self, Cell, Column};
use super::types::{Filter, Person, Report};
use super::{MOST_PRINTED, files};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::ipam::addresses;
use crate::ipam::subnets;
use crate::net::Address;
use crate::tenants;
use crate::text::grouped;
use crate::time::Timestamp;
use crate::web::list::{self, Pager};
use crate::web::sheet::SheetFormat;
use crate::web::{Answer, Error, Shell, invalid, ok};

/// Every page of reports.
pub(super) fn routes() -> Vec<Route> {
    let read = Access::Page(Right::Read);
    vec![
        Route::get("/ipam/report", read, index),
        Route::get("/ipam/report.csv", read, csv),
        Route::get("/ipam/report.xlsx", read, xlsx),
    ]
}

#[derive(Template)]
#[template(path = "ipam/report/index.html")]
struct IndexPage {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "ipam/report/show.html")]
struct ReportPage {
    shell: Shell,
    report: Report,
    ask: Ask,
    /// The order the rows are in.
    order: &'static str,
    /// What it is about, when it was made and for whom: the head of every printed page.
    title: String,
    about: String,
    made: String,
    tenant: String,
    now: Timestamp,
    sites: Vec<String>,
    content: Content,
    pager: Pager,
    /// Whether a field needs correcting.
    wrong: bool,
    /// What an address is now, above its history.
    state: String,
    /// Whether nothing was ever observed, so that everything counts as inactive.
    unobserved: bool,
}

impl ReportPage {
    async fn new(by: &Operator, mut ask: Ask, report: Report) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let (tenant, now) = (by.tenant(), by.state().clock.now());
        let filter = ask.filter(&mut tx, tenant, report, now).await?;
        let address = ask.address().filter(|_| report == Report::History);
        let wrong = filter.is_none() || ask.address.error.is_some();
        let filter = filter.unwrap_or_default();
        let paged = list::stretch(&ask.page, list::size(&ask.size));
        let at = if ask.all.0 { Page { offset: 0, limit: MOST_PRINTED } } else { paged };
        let question = Question { tenant, report, filter: &filter, address, now };
        let content = if wrong { Content::default() } else { question.answer(&mut tx, at).await? };
        let title = match address {
            Some(address) => format!("History of {address}"),
            None => report.title().to_owned(),
        };
        Ok(Self {
            order: filter.order,
            pager: Pager::new("/ipam/report", ask.kept(report), paged, content.total),
            about: ask.about(report),
            made: now.local(by.zone()),
            tenant: tenants::get(&mut tx, tenant).await?.name.to_string(),
            sites: super::known_sites(&mut tx, tenant).await?,
            state: match address {
                Some(address) => state(&mut tx, by, address).await?,
                None => String::new(),
            },
            unobserved: report == Report::Inactive
                && content.total > 0
                && !super::anything_seen(&mut tx, tenant).await?,
            shell: by.shell(&mut tx, "/ipam/report").await?,
            now,
            report,
            ask,
            title,
            content,
            wrong,
        })
    }

    fn columns(&self) -> &'static [Column] {
        tables::columns(self.report)
    }

    /// The cells of a row with their columns.
    fn cells<'a>(&self, row: &'a [Cell]) -> impl Iterator<Item = (&'static Column, &'a Cell)> {
        self.columns().iter().zip(row)
    }

    /// The age of a person's oldest reservation in days.
    fn oldest(&self, person: &Person) -> i64 {
        person.age(self.now)
    }

    /// The value of `aria-sort` for a column.
    fn direction(&self, column: &Column) -> &'static str {
        match column.order {
            "" => "none",
            order if order != self.order => "none",
            "used" => "descending",
            _ => "ascending",
        }
    }

    /// Whether this page shows all rows there are, so that it prints whole.
    fn is_whole(&self) -> bool {
        self.content.total <= i64::try_from(self.content.rows.len()).unwrap_or(i64::MAX)
    }

    /// Which rows are shown, in words.
    fn stretch(&self) -> String {
        let first = if self.ask.all.0 { 1 } else { self.pager.first() };
        let rows = i64::try_from(self.content.rows.len()).unwrap_or(i64::MAX);
        let [first, last, total] =
            [first, first + rows - 1, self.content.total].map(|count| grouped(&count));
        format!("Rows {first}-{last} of {total}")
    }

    /// The address with all rows.
    fn printed(&self) -> String {
        format!("/ipam/report?{}&all=1", self.pager.filters())
    }

    /// The report without what narrows it, except the sort of it that cannot be left out.
    fn bare(&self) -> String {
        format!("/ipam/report?report={}", self.report.name())
    }

    /// Whether anything was asked for that can be taken away again.
    fn is_narrowed(&self) -> bool {
        let narrowing = ["subnet", "site", "family", "days", "person"];
        let kept = self.ask.kept(self.report);
        kept.iter().any(|(name, value)| narrowing.contains(name) && !value.is_empty())
    }

    /// What the page says when there is nothing to list.
    fn nothing(&self) -> &'static str {
        match self.report {
            Report::Utilisation | Report::Sites => "No subnets yet.",
            Report::Reservations => "Nobody has reserved anything.",
            Report::Conflicts => "No conflicts. Good.",
            Report::Inactive => "Every address that somebody holds was seen. Good.",
            Report::Orphans => "Every address in use lies in a subnet. Good.",
            Report::History => "Nothing has ever happened to this address.",
        }
    }

    /// Whether the report is about this site.
    fn is_site(&self, site: &str) -> bool {
        self.ask.site.trim().to_lowercase() == site.to_lowercase()
    }

    /// Whether a cell is understood without its column's heading only if it says what it is.
    fn is_labelled(&self, column: &Column, cell: &Cell) -> bool {
        match cell {
            Cell::Text(text) => !text.is_empty() && column.name == "vlan",
            Cell::Count(_) | Cell::When(_) | Cell::Never => self.report != Report::History,
            Cell::Lines(_) => true,
            _ => false,
        }
    }
}

/// What an address is now, in a sentence.
async fn state(tx: &mut Tx, by: &Operator, address: Address) -> Result<String, Error> {
    let record = addresses::get(tx, by.tenant(), address).await?;
    let subnet = subnets::around(tx, by.tenant(), address).await?;
    let place = subnet.map_or("in no subnet".to_owned(), |subnet| {
        format!("in {} ({})", subnet.name, subnet.cidr)
    });
    Ok(match record {
        Some(record) if record.status == crate::ipam::class::Status::Available => {
            format!("Now free, though seen in use; {place}")
        }
        Some(record) => format!("Now {}: {}; {place}", record.status, record.keeper()),
        None => format!("Now free; {place}"),
    })
}

async fn index(by: Operator, ask: web::Query<Ask>) -> Answer {
    let ask = ask.into_inner();
    let Some(report) = ask.report()? else {
        let shell = by.shell(&mut by.read().await?, "/ipam/report").await?;
        return ok(&IndexPage { shell });
    };
    let page = ReportPage::new(&by, ask, report).await?;
    if page.wrong { invalid(&page) } else { ok(&page) }
}

async fn csv(by: Operator, ask: web::Query<Ask>) -> Answer {
    file(&by, ask.into_inner(), SheetFormat::Csv).await
}

async fn xlsx(by: Operator, ask: web::Query<Ask>) -> Answer {
    file(&by, ask.into_inner(), SheetFormat::Xlsx).await
}

async fn file(by: &Operator, mut ask: Ask, format: SheetFormat) -> Answer {
    const WRONG: Error =
        Error::BadRequest("this report cannot be made; look at it on the page first");
    let report = ask.report()?.ok_or(Error::NotFound)?;
    let mut tx = by.read().await?;
    let now = by.state().clock.now();
    let filter: Filter = ask.filter(&mut tx, by.tenant(), report, now).await?.ok_or(WRONG)?;
    let address = ask.address();
    if report == Report::History && address.is_none() {
        return Err(WRONG);
    }
    files::answer(by, tx, format, report, filter, address).await
}
