//! The map of phones, and the history of a number, a device or an address.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::map::{self, Filter, Flag, Row, Stats};
use super::{Registration, Subject, Word};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::time::Timestamp;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, csv, download, fragment, invalid, ok};

/// The map's address.
const MAP: &str = "/phones/map";
const HISTORY: &str = "/phones/map/history";
/// Seconds after which Asterisk's word is old.
const OLD: i64 = 150;

/// Every page of registrations.
pub fn routes() -> Vec<Route> {
    let read = Access::Page(Right::Read);
    vec![
        Route::get("/phones/map", read, index),
        Route::get("/phones/map/table", read, table),
        Route::get("/phones/map.csv", read, export),
        Route::get("/phones/map/history", read, history),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct MapQuery {
    q: String,
    show: String,
    sort: String,
    size: String,
    page: String,
}

impl MapQuery {
    fn filter(&self) -> Filter {
        let present = match self.show.as_str() {
            "registered" => Some(true),
            "absent" => Some(false),
            _ => None,
        };
        Filter { search: self.q.trim().to_owned(), flag: Flag::named(&self.show), present }
    }
}

#[derive(Template)]
#[template(path = "phones/map/index.html", blocks = ["table"])]
struct MapPage {
    shell: Shell,
    query: MapQuery,
    rows: Vec<Row>,
    pager: Pager,
    stats: Stats,
    word: Word,
    now: Timestamp,
    may_add: bool,
}

impl MapPage {
    async fn new(by: &Operator, query: MapQuery) -> Result<Self, Error> {
        let (filter, sort) = (query.filter(), list::order(&query.sort)?);
        let mut tx = map::read(by.state(), by.tenant()).await?;
        let at = list::stretch(&query.page, list::size(&query.size));
        let (rows, matching) = map::list(&mut tx, by.tenant(), &filter, sort, at).await?;
        let kept = vec![("q", filter.search), ("show", query.show.clone())];
        Ok(Self {
            shell: by.shell(&mut tx, MAP).await?,
            pager: Pager::new(MAP, kept, at, matching).in_order(sort),
            stats: map::stats(&mut tx, by.tenant()).await?,
            word: super::word(&mut tx).await?,
            now: by.state().clock.now(),
            may_add: by.may(Right::ManagePhones),
            query,
            rows,
        })
    }

    /// What is to be said of Asterisk's word, if it is not new.
    fn doubt(&self) -> Option<String> {
        doubt(&self.word, &self.shell, self.now)
    }
}

/// What is to be said of Asterisk's word, if it is not new.
fn doubt(word: &Word, shell: &Shell, now: Timestamp) -> Option<String> {
    let why = if word.error.is_empty() {
        "Is the Patchbay that listens to it running?".to_owned()
    } else {
        format!("{}.", word.error)
    };
    match word.read_at {
        None if word.error.is_empty() => Some(
            "Asterisk has not told yet who is registered; that takes a moment after Patchbay starts."
                .to_owned(),
        ),
        None => Some(format!("Asterisk has never told who is registered: {why}")),
        Some(at) if now.since(at) > OLD => Some(format!(
            "Asterisk has not told who is registered since {}; what you see is as of then. {why}",
            shell.time(&at)
        )),
        Some(_) => None,
    }
}

async fn index(by: Operator, query: web::Query<MapQuery>) -> Answer {
    ok(&MapPage::new(&by, query.into_inner()).await?)
}

async fn table(by: Operator, query: web::Query<MapQuery>) -> Answer {
    let page = MapPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}

const COLUMNS: [&str; 17] = [
    "extension",
    "name",
    "registered",
    "mac",
    "mac_source",
    "vendor",
    "model",
    "label",
    "address",
    "behind_router_as",
    "static_address",
    "subnet",
    "user_agent",
    "since",
    "last_seen",
    "expires",
    "flags",
];

async fn export(by: Operator, query: web::Query<MapQuery>) -> Answer {
    let (filter, sort) = (query.filter(), list::order(&query.sort)?);
    let mut tx = map::read(by.state(), by.tenant()).await?;
    let everything = Page { offset: 0, limit: i64::MAX };
    let (rows, _) = map::list(&mut tx, by.tenant(), &filter, sort, everything).await?;
    let file = csv::write(&COLUMNS, rows.into_iter().map(cells))
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Ok(download("phone-map.csv", "text/csv; charset=utf-8", file))
}

fn cells(row: Row) -> Vec<String> {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let flags: Vec<&str> = row.flags.iter().map(Flag::name).collect();
    vec![
        text(row.number),
        row.name,
        if row.present { "yes" } else { "no" }.to_owned(),
        text(row.mac),
        row.source.map(|source| source.as_str().to_owned()).unwrap_or_default(),
        row.vendor,
        row.model,
        row.label,
        text(row.address),
        text(row.via),
        text(row.fixed),
        row.subnet.map(|(_, name)| name).unwrap_or_default(),
        row.user_agent,
        text(row.first_seen),
        text(row.seen_at),
        text(row.expires_at),
        flags.join(" "),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HistoryQuery {
    q: String,
    size: String,
    page: String,
}

#[derive(Template)]
#[template(path = "phones/map/history.html")]
struct HistoryPage {
    shell: Shell,
    q: String,
    subject: Option<Subject>,
    error: Option<String>,
    now: Vec<Row>,
    registrations: Vec<Registration>,
    pager: Pager,
    doubt: Option<String>,
}

async fn history(by: Operator, query: web::Query<HistoryQuery>) -> Answer {
    let (at, asked) = (list::stretch(&query.page, list::size(&query.size)), query.q.trim());
    let subject = asked.parse::<Subject>();
    let mut tx = map::read(by.state(), by.tenant()).await?;
    let (now, (registrations, total)) = match subject {
        Ok(subject) => (
            current(&mut tx, &by, subject).await?,
            super::history(&mut tx, by.tenant(), subject, at).await?,
        ),
        Err(_) => (Vec::new(), (Vec::new(), 0)),
    };
    let shell = by.shell(&mut tx, MAP).await?;
    let page = HistoryPage {
        doubt: doubt(&super::word(&mut tx).await?, &shell, by.state().clock.now()),
        shell,
        q: asked.to_owned(),
        error: subject.err().filter(|_| !asked.is_empty()).map(|error| error.to_string()),
        subject: subject.ok(),
        now,
        registrations,
        pager: Pager::new(HISTORY, vec![("q", asked.to_owned())], at, total),
    };
    if page.error.is_some() { invalid(&page) } else { ok(&page) }
}

pub(super) async fn current(
    tx: &mut crate::db::Tx,
    by: &Operator,
    subject: Subject,
) -> Result<Vec<Row>, Error> {
    let tenant = by.tenant();
    Ok(match subject {
        Subject::Number(number) => map::of_number(tx, tenant, number).await?,
        Subject::Mac(mac) => map::of_mac(tx, tenant, mac).await?,
        Subject::Address(address) => map::of_address(tx, tenant, address).await?,
    })
}
