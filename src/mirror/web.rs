//! The pages: what a system really holds, leases, files.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::others::{self, Others, others};
use super::{Difference, Format, Report, compare, export, leases, put_right};
use crate::audit::Event;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::TenantId;
use crate::net::{Address, Family};
use crate::outbox::{self, Leased, System};
use crate::outside::Fault;
use crate::outside::http::Resolver;
use crate::outside::kea::Lease;
use crate::outside::netbox::Found;
use crate::time::Timestamp;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, download, flash, invalid, ok};

/// Differences of each kind that a page shows.
const SHOWN: usize = 200;

/// Every page.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    vec![
        Route::get("/dhcp/export", read, files),
        Route::get("/dhcp/export/{format}", read, file),
        Route::get("/dhcp/leases", manage, lease_page),
        Route::post("/dhcp/leases/release", manage, release),
        Route::get("/dhcp/report", manage, dhcp_report),
        Route::post("/dhcp/report", manage, dhcp_compare),
        Route::post("/dhcp/report/repair", manage, dhcp_repair),
        Route::get("/netbox/report", manage, netbox_report),
        Route::post("/netbox/report", manage, netbox_compare),
        Route::post("/netbox/report/repair", manage, netbox_repair),
        Route::post("/netbox/report/reserve", manage, netbox_reserve),
    ]
}

// Files

#[derive(Template)]
#[template(path = "mirror/export.html")]
struct FilesPage {
    shell: Shell,
}

async fn files(by: Operator) -> Answer {
    ok(&FilesPage { shell: by.shell(&mut by.read().await?, "/settings").await? })
}

async fn file(by: Operator, format: web::Path<String>) -> Answer {
    let format: Format = format.parse().map_err(|_| Error::NotFound)?;
    let text = export(&mut by.read().await?, by.tenant(), format).await?;
    Ok(download(format.file(), format.mime(), text.into_bytes()))
}

// Leases

#[derive(Default, Deserialize)]
#[serde(default)]
struct LeaseQuery {
    family: String,
    after: String,
}

impl LeaseQuery {
    fn family(&self) -> Family {
        if self.family == "6" { Family::V6 } else { Family::V4 }
    }
}

#[derive(Template)]
#[template(path = "mirror/leases.html")]
struct LeasesPage {
    shell: Shell,
    family: Family,
    leases: Vec<Lease>,
    set_up: bool,
    error: Option<String>,
    /// The last address shown, if there may be more.
    next: Option<Address>,
}

impl LeasesPage {
    /// When a lease ends, as a clock shows it.
    fn until(&self, lease: &Lease) -> String {
        self.shell.time(&Timestamp(lease.since).plus(lease.lifetime))
    }
}

async fn leases_page(
    by: &Operator,
    query: &LeaseQuery,
    error: Option<String>,
) -> Result<LeasesPage, Error> {
    let (family, after) = (query.family(), query.after.parse().ok());
    let found = leases::page(by, family, after).await?;
    let (leases, set_up, fault) = match found {
        Ok(Some(leases)) => (leases, true, None),
        Ok(None) => (Vec::new(), false, None),
        Err(fault) => (Vec::new(), true, Some(fault.to_string())),
    };
    let full = u32::try_from(leases.len()).is_ok_and(|count| count >= leases::PAGE);
    let next = leases.last().filter(|_| full).map(|lease| lease.leased.first());
    let shell = by.shell(&mut by.read().await?, "/settings").await?;
    Ok(LeasesPage { shell, family, leases, set_up, error: error.or(fault), next })
}

async fn lease_page(by: Operator, query: web::Query<LeaseQuery>) -> Answer {
    ok(&leases_page(&by, &query, None).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReleaseForm {
    leased: Field,
}

async fn release(by: Operator, form: Form<ReleaseForm>) -> Answer {
    let mut form = form.0;
    let Some(leased) = form.leased.parse::<Leased>() else {
        return invalid(&leases_page(&by, &LeaseQuery::default(), form.leased.error).await?);
    };
    let six = leased.family() == Family::V6;
    let query = LeaseQuery {
        family: if six { "6".to_owned() } else { String::new() },
        after: String::new(),
    };
    match leases::end(&by, leased).await? {
        Ok(there) => {
            let said =
                if there { "The lease is ended" } else { "There was no such lease any more" };
            Ok(flash::done(if six { "/dhcp/leases?family=6" } else { "/dhcp/leases" }, said))
        }
        Err(fault) => invalid(&leases_page(&by, &query, Some(fault.to_string())).await?),
    }
}

// What differs

#[derive(Template)]
#[template(path = "mirror/report.html")]
struct ReportPage {
    shell: Shell,
    system: System,
    on: bool,
    report: Option<Report>,
    others: Option<OthersPart>,
    error: Option<String>,
}

/// What others entered, as far as it is shown.
struct OthersPart {
    lists: [OthersList; 3],
    /// How many addresses could be reserved here.
    free: usize,
}

struct OthersList {
    title: &'static str,
    rows: Vec<Difference>,
    /// How many there are in all.
    count: usize,
}

impl OthersList {
    fn shown(&self) -> &[Difference] {
        &self.rows
    }
}

impl OthersPart {
    async fn new(tx: &mut Tx, tenant: TenantId, others: &Others) -> Result<Self, Error> {
        let free =
            list(tx, tenant, "Entered by others, not taken here", others.free.values()).await?;
        let taken =
            list(tx, tenant, "Entered by others, taken here", others.taken.values()).await?;
        let prefixes =
            list(tx, tenant, "Entered by others, prefixes", others.prefixes.values()).await?;
        Ok(Self { lists: [free, taken, prefixes], free: others.free.len() })
    }

    fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.count == 0)
    }
}

async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    title: &'static str,
    found: impl ExactSizeIterator<Item = &Found>,
) -> Result<OthersList, Error> {
    let (count, mut rows) = (found.len(), Vec::new());
    for one in found.take(SHOWN) {
        let (leased, there) = (one.leased, one.said());
        let here = others::here(tx, tenant, leased).await?;
        rows.push(Difference { leased, here, there });
    }
    Ok(OthersList { title, rows, count })
}

impl ReportPage {
    async fn new(by: &Operator, system: System) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let on = outbox::is_on(&mut tx, by.tenant(), system).await?;
        Ok(Self {
            shell: by.shell(&mut tx, "/settings").await?,
            system,
            on,
            report: None,
            others: None,
            error: None,
        })
    }

    fn path(&self) -> String {
        format!("/{}/report", self.system)
    }

    /// The three kinds of difference, with a heading each.
    fn parts<'a>(&self, report: &'a Report) -> [(&'static str, &'a [Difference]); 3] {
        [
            ("Only here", &report.missing),
            ("Only there", &report.surplus),
            ("Different", &report.different),
        ]
    }

    fn shown<'a>(&self, list: &'a [Difference]) -> &'a [Difference] {
        list.get(..SHOWN).unwrap_or(list)
    }
}

async fn dhcp_report(by: Operator) -> Answer {
    ok(&ReportPage::new(&by, System::Dhcp).await?)
}

async fn netbox_report(by: Operator) -> Answer {
    ok(&ReportPage::new(&by, System::Netbox).await?)
}

async fn dhcp_compare(by: Operator) -> Answer {
    compared(&by, System::Dhcp).await
}

async fn netbox_compare(by: Operator) -> Answer {
    compared(&by, System::Netbox).await
}

async fn dhcp_repair(by: Operator) -> Answer {
    repaired(&by, System::Dhcp).await
}

async fn netbox_repair(by: Operator) -> Answer {
    repaired(&by, System::Netbox).await
}

async fn looked(by: &Operator, system: System) -> Result<Result<Report, Fault>, Error> {
    compare(by.state(), by.tenant(), system, &Resolver::system()).await
}

async fn compared(by: &Operator, system: System) -> Answer {
    let page = ReportPage::new(by, system).await?;
    let report = match looked(by, system).await? {
        Ok(report) => report,
        Err(fault) => return ok(&ReportPage { error: Some(fault.to_string()), ..page }),
    };
    if system != System::Netbox {
        return ok(&ReportPage { report: Some(report), ..page });
    }
    match others(by.state(), by.tenant(), &Resolver::system()).await? {
        Ok(others) => {
            let others = OthersPart::new(&mut by.read().await?, by.tenant(), &others).await?;
            ok(&ReportPage { report: Some(report), others: Some(others), ..page })
        }
        Err(fault) => {
            ok(&ReportPage { report: Some(report), error: Some(fault.to_string()), ..page })
        }
    }
}

async fn repaired(by: &Operator, system: System) -> Answer {
    let page = ReportPage::new(by, system).await?;
    if !page.on {
        return invalid(&ReportPage {
            error: Some(format!("{} is switched off", system.title())),
            ..page
        });
    }
    let report = match looked(by, system).await? {
        Ok(report) => report,
        Err(fault) => return invalid(&ReportPage { error: Some(fault.to_string()), ..page }),
    };
    let mut change = by.change().await?;
    let count = put_right(&mut change, by.state().vault.entropy(), &report).await?;
    if count > 0 {
        let what = format!("{count} differences in {}", system.title());
        change.record(Event::new("outside.put_right", &what, &system));
    }
    change.commit_if_any().await?;
    Ok(flash::done("/outbox", format!("{count} differences in {} are put right", system.title())))
}

/// Reserves what others have in NetBox and nobody has here.
async fn netbox_reserve(by: Operator) -> Answer {
    let page = ReportPage::new(&by, System::Netbox).await?;
    if !page.on {
        let off = Some(format!("{} is switched off", System::Netbox.title()));
        return invalid(&ReportPage { error: off, ..page });
    }
    match others(by.state(), by.tenant(), &Resolver::system()).await? {
        Ok(others) => {
            let done = others::reserve(&by, &others.free).await?;
            Ok(flash::done("/netbox/report", done.to_string()))
        }
        Err(fault) => invalid(&ReportPage { error: Some(fault.to_string()), ..page }),
    }
}
