//! The pages of hosts.

mod deletion;
mod form;
mod show;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Host, Only};
use super::{Standing, list_standing, standing};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::HostId;
use crate::text::ByName;
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
}

#[derive(Template)]
#[template(path = "ipam/hosts/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    only: Only,
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
        let (only, sort) = (query.only(), list::order(&query.sort)?);
        let at = list::stretch(&query.page, list::size(&query.size));
        let (hosts, matching) = super::list_only(&mut tx, tenant, &query.q, only, sort, at).await?;
        let standings = list_standing(&mut tx, tenant, &hosts).await?;
        let (total, conflicts, orphans) = super::counts(&mut tx, tenant).await?;
        let kept = vec![("q", query.q.trim().to_owned()), ("show", only.name().to_owned())];
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, kept, at, matching).in_order(sort),
            may_manage: by.may(Right::ManageAddresses),
            hosts: hosts.into_iter().zip(standings).collect(),
            query,
            only,
            total,
            conflicts,
            orphans,
        })
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
