//! The pages of subnets.

mod find;
mod form;
mod shape;
mod show;

use std::borrow::Borrow;

use askama::Template;
use serde::Deserialize;

use super::{Filter, Listed, Subnet, Usage};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::SubnetId;
use crate::net::{Cidr, Family, Range};
use crate::text::grouped;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, fragment, ok};

const PATH: &str = "/ipam/subnets";

/// Every page of subnets.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    vec![
        Route::get("/ipam/subnets", read, index),
        Route::get("/ipam/subnets/table", read, table),
        Route::get("/ipam/subnets/new", manage, form::new),
        Route::post("/ipam/subnets", manage, form::create),
        Route::get("/ipam/subnets/find", read, find::find),
        Route::post("/ipam/subnets/merge", manage, shape::merge),
        Route::get("/ipam/subnets/{id}", read, show::show),
        Route::get("/ipam/subnets/{id}/edit", manage, form::edit),
        Route::post("/ipam/subnets/{id}", manage, form::update),
        Route::get("/ipam/subnets/{id}/split", manage, shape::split_page),
        Route::post("/ipam/subnets/{id}/split", manage, shape::split),
        Route::post("/ipam/subnets/{id}/deletion", manage, shape::delete),
    ]
}

/// A subnet of the operator's tenant.
async fn find_one(tx: &mut Tx, by: &Operator, id: SubnetId) -> Result<Subnet, Error> {
    super::get(tx, by.tenant(), id).await?.ok_or(Error::NotFound)
}

/// A number of addresses as people read it: exact while that is short.
pub fn number(n: impl Borrow<i128>) -> String {
    let n = *n.borrow();
    if n < 1_000_000_000 {
        return grouped(&n);
    }
    let log = n.unsigned_abs().ilog2();
    let power = 1_i128.checked_shl(log).unwrap_or(i128::MAX);
    // Closer to the next power than to this one.
    let up = n - power > power / 2;
    format!("≈ 2^{}", log + u32::from(up))
}

/// How many addresses a subnet spans.
fn size(cidr: &Cidr) -> String {
    span(&cidr.range())
}

/// How many addresses there are in a range.
fn span(range: &Range) -> String {
    number(i128::try_from(range.size()).unwrap_or(i128::MAX))
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    site: String,
    family: String,
    closed: Vec<String>,
    size: String,
    page: String,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        let family = match self.family.as_str() {
            "4" => Some(Family::V4),
            "6" => Some(Family::V6),
            _ => None,
        };
        Filter {
            search: self.q.trim().to_owned(),
            site: self.site.clone(),
            family,
            closed: self.closed.iter().filter_map(|id| id.parse().ok()).collect(),
            ..Filter::default()
        }
    }
}

/// The query of the list. Branches are repeated, which the ordinary extractor does not know.
fn read(request: &actix_web::HttpRequest) -> Result<ListQuery, Error> {
    serde_html_form::from_str(request.query_string())
        .map_err(|_| Error::BadRequest("the address of this page cannot be read"))
}

#[derive(Template)]
#[template(path = "ipam/subnets/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    lines: Vec<Listed>,
    pager: Pager,
    sites: Vec<String>,
    /// The smallest subnet around the address searched for.
    holding: Option<(String, Option<Subnet>)>,
    branches: Vec<SubnetId>,
    tree: bool,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let filter = query.filter();
        let at = list::stretch(&query.page, list::size(&query.size));
        let (lines, total) = super::list(&mut tx, by.tenant(), &filter, at).await?;
        let holding = match filter.address() {
            Some(address) => {
                let subnet = super::around(&mut tx, by.tenant(), address).await?;
                Some((address.to_string(), subnet))
            }
            None => None,
        };
        let mut kept = vec![
            ("q", filter.search.clone()),
            ("site", query.site.clone()),
            ("family", query.family.clone()),
        ];
        kept.extend(filter.closed.iter().map(|id| ("closed", id.to_string())));
        Ok(Self {
            shell: by.shell(&mut tx, PATH).await?,
            sites: super::sites(&mut tx, by.tenant()).await?,
            branches: super::branches(&mut tx, by.tenant()).await?,
            pager: Pager::new(PATH, kept, at, total),
            tree: filter.is_tree(),
            may_manage: by.may(Right::ManageAddresses),
            query,
            lines,
            holding,
        })
    }

    fn is_closed(&self, line: &Listed) -> bool {
        let id = line.subnet.id.to_string();
        self.query.closed.contains(&id)
    }

    /// The link that opens or closes a branch.
    fn toggled(&self, line: &Listed) -> String {
        let id = line.subnet.id.to_string();
        let mut closed = self.query.closed.clone();
        match closed.iter().position(|known| *known == id) {
            Some(at) => drop(closed.remove(at)),
            None => closed.push(id),
        }
        self.with_closed(closed, true)
    }

    fn with_closed(&self, closed: Vec<String>, stay: bool) -> String {
        let mut query: Vec<(&str, String)> = closed.into_iter().map(|id| ("closed", id)).collect();
        if self.pager.size != 25 {
            query.push(("size", self.pager.size.to_string()));
        }
        if stay && self.pager.page > 1 {
            query.push(("page", self.pager.page.to_string()));
        }
        let query = serde_html_form::to_string(&query).unwrap_or_default();
        if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
    }

    fn all_closed(&self) -> String {
        self.with_closed(self.branches.iter().map(ToString::to_string).collect(), false)
    }

    fn all_open(&self) -> String {
        self.with_closed(Vec::new(), false)
    }

    fn is_filtered(&self) -> bool {
        !self.tree
    }
}

/// How deep a line stands, as a style; deeper is not told apart.
fn indent(depth: impl Borrow<usize>) -> usize {
    (*depth.borrow()).min(8)
}

async fn index(request: actix_web::HttpRequest, by: Operator) -> Answer {
    ok(&IndexPage::new(&by, read(&request)?).await?)
}

async fn table(request: actix_web::HttpRequest, by: Operator) -> Answer {
    let page = IndexPage::new(&by, read(&request)?).await?;
    fragment(&page.as_table(), &page.pager)
}

/// The parts of a bar: where each begins and how wide it is, of a hundred, with its style.
fn parts(usage: &Usage) -> Vec<(i64, i64, &'static str)> {
    let parts =
        [(usage.used, "allocated"), (usage.reserved, "reserved"), (usage.quarantine, "quarantine")];
    let mut at = 0;
    let mut all = Vec::new();
    for (part, style) in parts {
        let wide = usage.percent(part).min(100 - at);
        if wide > 0 {
            all.push((at, wide, style));
        }
        at += wide;
    }
    all
}

/// What a bar says.
fn said(usage: &Usage) -> String {
    if usage.total() == 0 {
        return "no pool".to_owned();
    }
    let mut words = vec![format!("{} % in use", usage.percent(usage.used))];
    if usage.reserved > 0 {
        words.push(format!("{} % reserved", usage.percent(usage.reserved)));
    }
    if usage.quarantine > 0 {
        words.push(format!("{} % in quarantine", usage.percent(usage.quarantine)));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_powers_of_two() {
        for (n, shown) in [
            (0, "0"),
            (999_999, "999,999"),
            ((1 << 24) - 2, "16,777,214"),
            ((1 << 64) - 7, "≈ 2^64"),
            (1 << 64, "≈ 2^64"),
        ] {
            assert_eq!(number(n), shown);
        }
    }

    #[test]
    fn the_parts_of_a_bar_never_reach_past_its_end() {
        let usage = Usage { used: 1, reserved: 1_000_000, quarantine: 1, ..Usage::default() };
        assert_eq!(parts(&usage), [(0, 1, "allocated"), (1, 99, "reserved")]);
        assert_eq!(said(&usage), "1 % in use, 99 % reserved, 1 % in quarantine");
        assert_eq!(said(&Usage::default()), "no pool");
    }
}
