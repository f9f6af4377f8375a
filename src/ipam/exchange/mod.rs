//! Subnets, addresses and hosts in files: CSV and XLSX, in and out.
//!
//! A file is taken whole or not at all. What Patchbay exports comes back unchanged; the exports of
//! `NetBox` and `phpIPAM` are read too (`columns`).

mod addresses;
mod api;
mod columns;
mod export;
mod hosts;
mod subnets;
mod web;

use std::str::FromStr;

use serde_json::json;

use crate::audit::{Actor, Event};
use crate::auth::access::Route;
use crate::ipam::space::Space;
use crate::state::State;
use crate::tenants;
use crate::web::Error;
use crate::web::sheet::{BadSheet, Column, Columns, Part, Report, Row, Sheet};

pub use api::Paths;
pub use export::{Asked, BadQuery, headings, moment, rows};

/// Addresses a file may have.
const MOST_ADDRESSES: usize = 2_000_000;
/// Subnets or hosts a file may have.
const MOST_OTHERS: usize = 100_000;
/// Rows read at once.
const BATCH: usize = 1000;

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// A file that could be opened, or why not.
pub type Sheeted = Result<Sheet, BadSheet>;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Subnets with their pools.
    Subnets,
    /// Addresses and who holds them.
    Addresses,
    /// Hosts.
    Hosts,
}

/// Not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use subnets, addresses or hosts")]
pub struct BadKind;

impl FromStr for Kind {
    type Err = BadKind;

    fn from_str(text: &str) -> Result<Self, BadKind> {
        let kinds = [Self::Subnets, Self::Addresses, Self::Hosts];
        kinds.into_iter().find(|kind| kind.as_str() == text).ok_or(BadKind)
    }
}

impl Kind {
    /// What they are called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subnets => "subnets",
            Self::Addresses => "addresses",
            Self::Hosts => "hosts",
        }
    }

    /// One or several of them.
    pub fn noun(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Subnets, 1) => "subnet",
            (Self::Addresses, 1) => "address",
            (Self::Hosts, 1) => "host",
            _ => self.as_str(),
        }
    }

    fn imported(self) -> &'static str {
        match self {
            Self::Subnets => "subnets.imported",
            Self::Addresses => "addresses.imported",
            Self::Hosts => "hosts.imported",
        }
    }
}

/// Who imports, and out of what.
#[derive(Clone, Copy)]
pub struct Importer<'a> {
    /// Everything below.
    pub state: &'a State,
    /// Who, for the log.
    pub actor: &'a Actor,
    /// The operator's name, for reservations without one.
    pub name: &'a str,
    /// What the file is called; empty when it has no name.
    pub file: &'a str,
    /// Which of its rows are told of one by one.
    pub part: Part,
}

impl Importer<'_> {
    /// Imports a file, or with `dry` only says what that would do. Nothing is changed if anything
    /// is wrong.
    pub async fn run(self, kind: Kind, sheet: Sheeted, dry: bool) -> Result<Report, Error> {
        let mut report = Report::of(self.part);
        match kind {
            Kind::Addresses => self.addresses(sheet, dry, &mut report).await?,
            _ => self.others(kind, sheet, dry, &mut report).await?,
        }
        report.sort();
        Ok(report)
    }

    async fn addresses(self, sheet: Sheeted, dry: bool, report: &mut Report) -> Result<(), Error> {
        let tenant = self.actor.tenant;
        let zone = tenants::get(&mut self.state.read().await?, tenant).await?.time_zone;
        let Some(rows) = addresses::read(sheet, zone, report).await? else { return Ok(()) };
        // What cannot be imported is looked at without a lock, as a dry run is.
        if dry || !report.is_clean() {
            let at = self.state.clock.now();
            let mut tx = self.state.read().await?;
            return addresses::check(&mut tx, tenant, self.name, at, rows, report).await;
        }
        let written = self.write_addresses(rows, report).await;
        // What was imported stays so, and is said to be, whatever becomes of the memory.
        if let Err(error) = self.state.db.relax().await {
            tracing::warn!(%error, "the memory of an import could not be given back yet");
        }
        written
    }

    async fn write_addresses(
        self,
        rows: addresses::Rows,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut change = self.state.long_change(self.actor).await?;
        let mut space = Space::open(&mut change, self.state.vault.entropy()).await?;
        space.tx().expect_much().await?;
        addresses::run(&mut space, self.name, rows, report).await?;
        if report.is_clean() && report.touched() > 0 {
            space.record(self.summary(Kind::Addresses, report));
            space.close().await?;
            change.commit().await?;
        }
        Ok(())
    }

    /// Subnets and hosts: a dry run is the import itself, not committed.
    async fn others(
        self,
        kind: Kind,
        sheet: Sheeted,
        dry: bool,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut change = self.state.long_change(self.actor).await?;
        let mut space = Space::open(&mut change, self.state.vault.entropy()).await?;
        match kind {
            Kind::Subnets => subnets::run(&mut space, sheet, report).await?,
            _ => hosts::run(&mut space, sheet, report).await?,
        }
        if !dry && report.is_clean() && report.touched() > 0 {
            space.record(self.summary(kind, report));
            space.close().await?;
            change.commit().await?;
        }
        Ok(())
    }

    fn summary(self, kind: Kind, report: &Report) -> Event {
        let subject = format!("{} {}", report.rows, kind.noun(report.rows));
        let event = Event::new(kind.imported(), &subject, &"");
        let counts = json!({ "added": report.added, "changed": report.changed });
        event.after(counts).note(self.file)
    }
}

/// Reads the rows of a file. Those with a fault are reported and left out.
async fn rows_of<T>(
    sheet: Sheeted,
    known: &[Column],
    key: &'static str,
    most: usize,
    report: &mut Report,
    read: impl Fn(&Columns, &Row, &mut Report) -> Option<T>,
) -> Vec<T> {
    let mut rows = Vec::new();
    let sheet = match sheet {
        Ok(sheet) => sheet,
        Err(error) => {
            report.unreadable(&error);
            return rows;
        }
    };
    let Some(columns) = Columns::find(sheet.header(), known, report) else { return rows };
    let mut batches = sheet.batches(BATCH);
    while let Some(batch) = batches.next().await {
        for row in batch {
            if report.rows >= most {
                report.fault(1, key, &format!("a file may have at most {most} rows"));
                return rows;
            }
            match row {
                Ok(row) => rows.extend(read(&columns, &row, report)),
                Err(error) => report.unreadable(&error),
            }
            report.rows += 1;
        }
    }
    rows
}
