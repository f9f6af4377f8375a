//! What a report shows.

use super::tables::{self, Cell, count, percent};
use super::types::{Filter, Line, Person, Report, Use};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::Address;
use crate::time::Timestamp;

/// A stretch of a report's rows, and what stands above them.
#[derive(Default)]
pub(super) struct Content {
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// How many there are in all.
    pub total: i64,
    /// A number and what it counts.
    pub figures: Vec<(String, &'static str)>,
    /// Who keeps how much, in the report of reservations.
    pub people: Vec<Person>,
}

/// What is asked of a report.
pub(super) struct Question<'a> {
    pub tenant: TenantId,
    pub report: Report,
    pub filter: &'a Filter,
    /// Whose history.
    pub address: Option<Address>,
    pub now: Timestamp,
}

impl Question<'_> {
    /// The answer, with a stretch of the rows.
    pub async fn answer(&self, tx: &mut Tx, at: Page) -> Result<Content> {
        match self.report {
            Report::Utilisation => self.utilisation(tx, at).await,
            Report::Sites => self.sites(tx, at).await,
            Report::History => self.history(tx, at).await,
            _ => {
                let (lines, total) = self.lines(tx, at).await?;
                let mut content = Content { rows: self.cells(&lines), total, ..Content::default() };
                content.figures.push((total.to_string(), self.unit(total)));
                if self.report == Report::Reservations {
                    content.people = super::people(tx, self.tenant, self.filter, self.now).await?;
                    let people = content.people.len();
                    let unit = if people == 1 { "person" } else { "people" };
                    content.figures.push((people.to_string(), unit));
                }
                Ok(content)
            }
        }
    }

    fn unit(&self, total: i64) -> &'static str {
        match (self.report, total) {
            (Report::Reservations, 1) => "reservation",
            (Report::Reservations, _) => "reservations",
            (Report::Conflicts, 1) => "conflict",
            (Report::Conflicts, _) => "conflicts",
            (_, 1) => "address",
            _ => "addresses",
        }
    }

    /// A stretch of the addresses a report lists.
    pub async fn lines(&self, tx: &mut Tx, at: Page) -> Result<(Vec<Line>, i64)> {
        match self.report {
            Report::Reservations => super::reservations(tx, self.tenant, self.filter, at).await,
            Report::Conflicts => super::conflicts(tx, self.tenant, self.filter, at).await,
            Report::Inactive => super::inactive(tx, self.tenant, self.filter, at).await,
            _ => super::orphans(tx, self.tenant, self.filter, at).await,
        }
    }

    /// The rows those addresses make.
    pub fn cells(&self, lines: &[Line]) -> Vec<Vec<Cell>> {
        lines.iter().map(|line| tables::line(self.report, line, self.now)).collect()
    }

    async fn utilisation(&self, tx: &mut Tx, at: Page) -> Result<Content> {
        let uses = super::utilisation(tx, self.tenant, self.filter).await?;
        let unit = if uses.len() == 1 { "subnet" } else { "subnets" };
        let mut figures = vec![(uses.len().to_string(), unit)];
        figures.extend(sum(uses.iter().map(|one| one.usage)));
        let rows = uses.iter().map(tables::subnet);
        Ok(stretch(rows, uses.len(), figures, at))
    }

    async fn sites(&self, tx: &mut Tx, at: Page) -> Result<Content> {
        let sites = super::sites(tx, self.tenant, self.filter).await?;
        let unit = if sites.len() == 1 { "site" } else { "sites" };
        let mut figures = vec![(sites.len().to_string(), unit)];
        figures.extend(sum(sites.iter().map(|one| one.usage)));
        let rows = sites.iter().map(tables::site);
        Ok(stretch(rows, sites.len(), figures, at))
    }

    async fn history(&self, tx: &mut Tx, at: Page) -> Result<Content> {
        let Some(address) = self.address else { return Ok(Content::default()) };
        let (records, total) = super::history(tx, self.tenant, address, at).await?;
        let rows = records.iter().map(tables::event).collect();
        let unit = if total == 1 { "change" } else { "changes" };
        let figures = vec![(total.to_string(), unit)];
        Ok(Content { rows, total, figures, people: Vec::new() })
    }
}

/// The figures of all rows together.
fn sum(uses: impl Iterator<Item = Use>) -> Vec<(String, &'static str)> {
    let all = uses.fold(Use::default(), |mut all, one| {
        all += one;
        all
    });
    vec![
        (percent(&all.permille()), "used"),
        (count(&all.available), "free"),
        (count(&all.allocated), "allocated"),
        (count(&all.reserved), "reserved"),
        (count(&all.quarantine), "in quarantine"),
    ]
}

fn stretch(
    rows: impl Iterator<Item = Vec<Cell>>,
    total: usize,
    figures: Vec<(String, &'static str)>,
    at: Page,
) -> Content {
    let offset = usize::try_from(at.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(at.limit).unwrap_or(usize::MAX);
    let rows = rows.skip(offset).take(limit).collect();
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    Content { rows, total, figures, people: Vec::new() }
}
