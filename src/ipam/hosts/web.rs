//! The pages of hosts.

mod deletion;
mod form;
mod show;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Host, Only, Sort};
use super::{Standing, list_standing, standing};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::HostId;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, fragment, ok};

/// The list's address.
const LIST: &str = "/ipam/hosts";

/// Every page of hosts.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    vec![
        Route::get("/ipam/hosts", read, index),
        Route::get("/ipam/hosts/table", read, table),
        Route::get("/ipam/hosts/new", manage, form::new),
        Route::post("/ipam/hosts", manage, form::create),
        Route::post("/ipam/hosts/deletion", manage, deletion::delete),
        Route::get("/ipam/hosts/{id}", read, show::show),
        Route::get("/ipam/hosts/{id}/edit", manage, form::edit_page),
        Route::post("/ipam/hosts/{id}", manage, form::update),
        Route::get("/ipam/hosts/{id}/row", read, row),
        Route::get("/ipam/hosts/{id}/row/edit", manage, form::row_edit),
        Route::post("/ipam/hosts/{id}/row", manage, form::row_update),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    show: String,
    sort: String,
    size: String,
    page: String,
}

impl ListQuery {
    fn only(&self) -> Only {
        Only::named(&self.show).unwrap_or_default()
    }

    fn sort(&self) -> Result<Sort, Error> {
        if self.sort.is_empty() {
            return Ok(Sort::default());
        }
        Sort::named(&self.sort)
            .ok_or(Error::BadRequest("there is no such order; sort by a column's heading"))
    }
}

#[derive(Template)]
#[template(path = "ipam/hosts/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    only: Only,
    sort: Sort,
    hosts: Vec<(Host, Standing)>,
    pager: Pager,
    total: i64,
    conflicts: i64,
    orphans: i64,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let (only, sort) = (query.only(), query.sort()?);
        let at = list::stretch(&query.page, list::size(&query.size));
        let (hosts, matching) = super::list_only(&mut tx, tenant, &query.q, only, sort, at).await?;
        let standings = list_standing(&mut tx, tenant, &hosts).await?;
        let (total, conflicts, orphans) = super::counts(&mut tx, tenant).await?;
        let sorted = if sort == Sort::default() { String::new() } else { sort.name().to_owned() };
        let kept = vec![
            ("q", query.q.trim().to_owned()),
            ("show", only.name().to_owned()),
            ("sort", sorted),
        ];
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, kept, at, matching),
            may_manage: by.may(Right::ManageAddresses),
            hosts: hosts.into_iter().zip(standings).collect(),
            query,
            only,
            sort,
            total,
            conflicts,
            orphans,
        })
    }

    /// The link on a column's heading: that order, or the other way round.
    fn sorted(&self, column: &str) -> String {
        let down = self.sort.name() == column;
        self.pager.sorted(&if down { format!("-{column}") } else { column.to_owned() })
    }

    /// The value of `aria-sort` for a column.
    fn order(&self, column: &str) -> &'static str {
        match self.sort.name().strip_prefix('-') {
            Some(name) if name == column => "descending",
            None if self.sort.name() == column => "ascending",
            _ => "none",
        }
    }
}

async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    ok(&IndexPage::new(&by, query.into_inner()).await?)
}

async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}

/// One row of the list, to be put back where it was.
#[derive(Template)]
#[template(path = "ipam/hosts/row.html")]
struct RowFragment {
    host: Host,
    standing: Standing,
    may_manage: bool,
}

impl RowFragment {
    async fn new(by: &Operator, host: Host) -> Result<Self, Error> {
        let standing = standing(&mut by.read().await?, by.tenant(), &host).await?;
        Ok(Self { host, standing, may_manage: by.may(Right::ManageAddresses) })
    }
}

async fn find(tx: &mut Tx, by: &Operator, id: HostId) -> Result<Host, Error> {
    super::get(tx, by.tenant(), id).await?.ok_or(Error::NotFound)
}

async fn row(by: Operator, id: web::Path<HostId>) -> Answer {
    let host = find(&mut by.read().await?, &by, *id).await?;
    ok(&RowFragment::new(&by, host).await?)
}

/// The list as it was filtered, if that is what `path` is; else all of it.
fn list_at(path: &str) -> &str {
    let ours = path.starts_with("/ipam/hosts?") && path.bytes().all(|byte| byte.is_ascii_graphic());
    if ours { path } else { LIST }
}

#[cfg(test)]
mod tests {
    use super::list_at;

    #[test]
    fn only_the_list_of_hosts_is_gone_back_to() {
        assert_eq!(list_at("/ipam/hosts?q=a+b&page=2"), "/ipam/hosts?q=a+b&page=2");
        for other in ["", "/users?x", "/ipam/hosts/x", "//evil.example", "/ipam/hosts?q=\r\nx"] {
            assert_eq!(list_at(other), "/ipam/hosts", "{other:?}");
        }
    }
}
