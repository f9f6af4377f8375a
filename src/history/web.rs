//! `/audit`.

use actix_web::web;
use askama::Template;
use futures_util::stream;
use serde::Deserialize;

use crate::audit::{self, Filter, Record};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::time::{Timestamp, Zone};
use crate::web::form::Field;
use crate::web::list::{self, Pager};
use crate::web::sheet::{self, Heading};
use crate::web::{Answer, Error, Shell, invalid, ok};

/// Rows read at once for a CSV file.
const BATCH: i64 = 1_000;
/// Its columns.
const COLUMNS: [&str; 13] = [
    "number",
    "time",
    "actor",
    "via",
    "source",
    "request",
    "action",
    "subject",
    "subject_id",
    "note",
    "before",
    "after",
    "hash",
];

/// Every page of the audit log.
pub fn routes() -> Vec<Route> {
    let read = Access::Page(Right::ReadAudit);
    vec![Route::get("/audit", read, index), Route::get("/audit.csv", read, export)]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    actor: String,
    action: String,
    subject: String,
    from: Field,
    until: Field,
    size: String,
    page: String,
}

/// A day of the calendar, `2026-11-20`.
struct Day(jiff::civil::Date);

impl std::str::FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "use a date such as 2026-11-20")
    }
}

impl ListQuery {
    /// `until` includes the day it names.
    fn filter(&mut self, zone: &Zone) -> Option<Filter> {
        let from = self.from.parse_optional::<Day>();
        let until = self.until.parse_optional::<Day>();
        Some(Filter {
            actor: self.actor.trim().to_owned(),
            action: self.action.trim().to_owned(),
            subject: self.subject.trim().to_owned(),
            from: from?.and_then(|day| zone.midnight(day.0)),
            until: until?.and_then(|day| day.0.tomorrow().ok()).and_then(|day| zone.midnight(day)),
        })
    }

    fn kept(&self) -> Vec<(&'static str, String)> {
        vec![
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("subject", self.subject.clone()),
            ("from", self.from.value.clone()),
            ("until", self.until.value.clone()),
        ]
    }
}

#[derive(Template)]
#[template(path = "history/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    records: Vec<Record>,
    pager: Pager,
}

async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let mut query = query.into_inner();
    let at = list::stretch(&query.page, list::size(&query.size));
    let mut tx = by.read().await?;
    let filter = query.filter(by.zone());
    let (records, total) = match &filter {
        Some(filter) => audit::list(&mut tx, by.tenant(), filter, at).await?,
        None => (Vec::new(), 0),
    };
    let pager = Pager::new("/audit", query.kept(), at, total);
    let page = IndexPage { shell: by.shell(&mut tx, "/audit").await?, query, records, pager };
    if filter.is_some() { ok(&page) } else { invalid(&page) }
}

/// The log has no end: it is sent while it is read, and never kept as a whole.
async fn export(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let filter = query
        .into_inner()
        .filter(by.zone())
        .ok_or(Error::BadRequest("use dates such as 2026-11-20"))?;
    let (state, tenant) = (by.state().clone(), by.tenant());
    let rows = stream::try_unfold(i64::MAX, move |before| {
        let (state, filter) = (state.clone(), filter.clone());
        async move {
            let mut tx = state.read().await?;
            let records = audit::before(&mut tx, tenant, &filter, before, BATCH).await?;
            let next = records.last().map(|record| record.seq);
            Ok(next.map(|next| (records.into_iter().map(row).collect(), next)))
        }
    });
    sheet::stream_csv("audit", &COLUMNS.map(Heading::text), rows)
}

fn row(r: Record) -> Vec<String> {
    let time = Timestamp::to_string(&r.at);
    vec![
        r.seq.to_string(),
        time,
        r.actor,
        r.via,
        r.source,
        r.request_id,
        r.action,
        r.subject,
        r.subject_id,
        r.note,
        r.before_json,
        r.after_json,
        r.hash,
    ]
}
