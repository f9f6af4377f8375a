//! The pages of phones.

mod bulk;
mod credentials;
mod edit;
pub mod export;
mod import;
mod keys;
mod new;
mod settings;
mod show;
mod spelling;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::list::{self as phones_list, Filter, Listed, Only, Totals};
use super::{Phone, profiles};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::ProfileId;
use crate::models::{Kind, Model, Vendor};
use crate::net::Mac;
use crate::text::ByName;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, fragment, ok};

pub use spelling::one_spelling;

/// The list's address.
const LIST: &str = "/phones";

/// Bytes an imported file may have.
const IMPORT_LIMIT: usize = 8 << 20;

/// Every page of phones.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::EditPhones),
        Access::Page(Right::ManagePhones),
    );
    vec![
        Route::get("/phones", read, index),
        Route::get("/phones/table", read, table),
        Route::get("/phones.csv", read, export::csv),
        Route::get("/phones/new", manage, new::new),
        Route::post("/phones", manage, new::create).limit(1 << 20),
        Route::get("/phones/import", manage, import::page),
        Route::post("/phones/import", manage, import::import)
            .limit(IMPORT_LIMIT)
            .uploads(IMPORT_LIMIT),
        Route::post("/phones/deletion", manage, bulk::delete),
        Route::post("/phones/bulk", manage, bulk::change),
        Route::get("/phones/{mac}", read, show::show),
        Route::get("/phones/{mac}/edit", edit, edit::page),
        Route::post("/phones/{mac}", edit, edit::update),
        Route::get("/phones/{mac}/keys", edit, keys::page),
        Route::post("/phones/{mac}/keys", edit, keys::update),
        Route::get("/phones/{mac}/settings", manage, settings::page),
        Route::post("/phones/{mac}/settings", manage, settings::update),
        Route::post("/phones/{mac}/address", manage, show::address),
        Route::post("/phones/{mac}/token", manage, credentials::renew),
        Route::post("/phones/{mac}/reveal", Access::Page(Right::Reveal), credentials::reveal),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    model: String,
    site: String,
    kind: String,
    profile: String,
    state: String,
    sort: String,
    size: String,
    page: String,
}

impl ListQuery {
    /// What is asked for; words nobody knows ask for nothing.
    fn filter(&self) -> Filter {
        let (vendor, model) = made(&self.model);
        Filter {
            search: self.q.trim().to_owned(),
            vendor,
            model,
            site: self.site.clone(),
            kind: [Kind::Phone, Kind::Ata].into_iter().find(|kind| kind.as_str() == self.kind),
            profile: self.profile.parse::<ProfileId>().ok(),
            state: Only::named(&self.state).unwrap_or_default(),
        }
    }
}

/// `yealink` or `yealink/t46s`.
fn made(text: &str) -> (Option<Vendor>, Option<&'static Model>) {
    let (vendor, model) = text.split_once('/').unwrap_or((text, ""));
    let Ok(vendor) = vendor.parse::<Vendor>() else { return (None, None) };
    (Some(vendor), Model::find(vendor, model).ok())
}

#[derive(Template)]
#[template(path = "phones/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    only: Only,
    phones: Vec<Listed>,
    pager: Pager,
    totals: Totals,
    sites: Vec<String>,
    /// Profiles that phones choose.
    profiles: Vec<(String, String)>,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let (filter, sort) = (query.filter(), list::order(&query.sort)?);
        let at = list::stretch(&query.page, list::size(&query.size));
        let (phones, matching) =
            phones_list::list(&mut tx, &by.state().counted, tenant, &filter, sort, at).await?;
        let kept = vec![
            ("q", filter.search),
            ("model", query.model.clone()),
            ("site", query.site.clone()),
            ("kind", query.kind.clone()),
            ("profile", query.profile.clone()),
            ("state", filter.state.name().to_owned()),
        ];
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, kept, at, matching).in_order(sort),
            totals: phones_list::totals(&mut tx, &by.state().counted, tenant).await?,
            sites: phones_list::sites(&mut tx, &by.state().counted, tenant).await?,
            profiles: profiles::choices(&mut tx, tenant).await?,
            may_manage: by.may(Right::ManagePhones),
            only: filter.state,
            query,
            phones,
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

async fn find(tx: &mut Tx, by: &Operator, mac: Mac) -> Result<Phone, Error> {
    super::get(tx, by.tenant(), mac).await?.ok_or(Error::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_make_or_a_model_is_asked_for_by_name() {
        assert_eq!(made("yealink").0, Some(Vendor::Yealink));
        assert_eq!(made("yealink/t46s").1.map(|model| model.name), Some("t46s"));
        assert_eq!(made("acme/rocket"), (None, None));
    }
}
