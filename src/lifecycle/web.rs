//! The pages of assignments.

mod bulk;
mod form;
mod machine;
mod operation;
mod settings;
mod show;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::state::{Operation, State};
use super::types::{Assignment, Count, Family, Filter, Which};
use super::{KINDS, counts, list};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::AssignmentId;
use crate::ipam::addresses::HolderKind;
use crate::ipam::web::ago;
use crate::time::Timestamp;
use crate::web::list::{self as pages, Pager};
use crate::web::{Answer, Error, Shell, fragment, ok};

/// The list's address.
const LIST: &str = "/lifecycle";

/// Every page of assignments.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    vec![
        Route::get("/lifecycle", read, index),
        Route::get("/lifecycle/table", read, table),
        Route::get("/lifecycle/new", manage, form::new),
        Route::post("/lifecycle", manage, form::create),
        Route::post("/lifecycle/bulk", manage, bulk::bulk),
        Route::get("/lifecycle/machine", read, machine::show),
        Route::get("/lifecycle/settings", read, settings::show),
        Route::post("/lifecycle/settings", Access::Page(Right::Administer), settings::save),
        Route::get("/lifecycle/{id}", read, show::show),
        Route::get("/lifecycle/{id}/{operation}", manage, operation::ask),
        Route::post("/lifecycle/{id}/{operation}", manage, operation::run),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    state: String,
    family: String,
    holder: String,
    sort: String,
    size: String,
    page: String,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        Filter {
            search: self.q.trim().to_owned(),
            which: Which::named(&self.state),
            family: self.family.parse().ok(),
            kind: KINDS.into_iter().find(|kind| kind.as_str() == self.holder),
        }
    }
}

/// How many there are in each state, for the figures above a list.
struct Totals(Vec<(State, i64)>);

impl Totals {
    fn of(counts: &[Count]) -> Self {
        let count = |state: State| {
            let those = counts.iter().filter(|count| count.state == state);
            (state, those.map(|count| count.entries).sum())
        };
        Self(State::ALL.map(count).into())
    }

    fn get(&self, state: State) -> i64 {
        self.0.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }

    /// All that are not over.
    fn current(&self) -> i64 {
        self.0.iter().filter(|(state, _)| *state != State::Revoked).map(|(_, count)| count).sum()
    }

    /// Those with any, in the order of a life.
    fn present(&self) -> Vec<(State, i64)> {
        self.0.iter().copied().filter(|(_, count)| *count > 0).collect()
    }
}

#[derive(Template)]
#[template(path = "lifecycle/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    filter: Filter,
    found: Vec<Assignment>,
    pager: Pager,
    totals: Totals,
    may_manage: bool,
    now: Timestamp,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let (filter, sort) = (query.filter(), pages::order(&query.sort)?);
        let at = pages::stretch(&query.page, pages::size(&query.size));
        let (found, matching) =
            list(&mut tx, &by.state().bookmarks, tenant, &filter, sort, at).await?;
        let totals = Totals::of(&counts(&mut tx, tenant).await?);
        let kept = vec![
            ("q", filter.search.clone()),
            ("state", filter.which.name().to_owned()),
            ("family", filter.family.map_or("", Family::as_str).to_owned()),
            ("holder", filter.kind.map_or("", HolderKind::as_str).to_owned()),
        ];
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, kept, at, matching).in_order(sort),
            may_manage: by.may(Right::ManageAddresses),
            now: by.state().clock.now(),
            query,
            filter,
            found,
            totals,
        })
    }

    /// Where an operation is asked for, and from there back to this list.
    fn ask(&self, assignment: &Assignment, operation: &Operation) -> String {
        let back = serde_html_form::to_string([("list", self.pager.here())]).unwrap_or_default();
        format!("{LIST}/{}/{operation}?{back}", assignment.id)
    }

    fn ago(&self, at: &Timestamp) -> String {
        ago(self.now, *at)
    }

    fn is_state(&self, state: &State) -> bool {
        self.filter.which == Which::In(*state)
    }
}

async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    ok(&IndexPage::new(&by, query.into_inner()).await?)
}

async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}

async fn find(tx: &mut Tx, by: &Operator, id: AssignmentId) -> Result<Assignment, Error> {
    super::get(tx, by.tenant(), id).await?.ok_or(Error::NotFound)
}
