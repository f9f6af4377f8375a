//! `/api/v1/phones/templates`: the same rules as the pages.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::load;
use super::super::render::{BUILT_IN, BuiltIn, base};
use super::{PLACES, Refusal, Row};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::phones::Vendor;

/// Bytes a body may have: a template whose every letter is escaped.
pub(super) const BODY: usize = 512 << 10;

/// Every call on templates.
pub fn routes() -> Vec<Route> {
    const ONE: &str = "/api/v1/phones/templates/{vendor}/{template}";
    let (read, administer) = (Access::Api(Right::Read), Access::Api(Right::Administer));
    vec![
        Route::get("/api/v1/phones/templates", read, list_templates),
        Route::get(ONE, read, get_template),
        Route::new(Method::PUT, ONE, administer, put_template).limit(BODY),
        Route::new(Method::DELETE, ONE, administer, delete_template),
    ]
}

/// A template without its text.
#[derive(Serialize, ToSchema)]
pub struct ListedTemplate {
    /// Whose phones it is for.
    vendor: String,
    /// A built-in template's name, or a model's.
    name: String,
    /// What it makes.
    title: String,
    /// Whether it is the tenant's own.
    own: bool,
    /// Counts what the tenant saved; 0 when it never did.
    version: i64,
    /// Who saved it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_by: Option<String>,
    /// When. RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    changed_at: Option<String>,
}

/// All templates.
#[derive(Serialize, ToSchema)]
pub struct TemplateList {
    templates: Vec<ListedTemplate>,
    total: usize,
}

/// A template with its text.
#[derive(Serialize, ToSchema)]
pub struct ApiTemplate {
    #[serde(flatten)]
    listed: ListedTemplate,
    /// The text in force.
    content: String,
    /// The names a template may use.
    placeholders: Vec<String>,
}

/// A text to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// The text, at most 64 KiB.
    content: String,
    /// Why it is changed.
    #[serde(default)]
    note: String,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("template"),
            Refusal::Stale => StatusCode::PRECONDITION_FAILED,
            Refusal::Same | Refusal::Broken { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.to_string()).field("content", &refusal)
    }
}

fn listed(vendor: Vendor, name: &str, row: Option<&Row>) -> ListedTemplate {
    let title = BuiltIn::find(vendor, name).map_or("a model's own file", |found| found.title);
    ListedTemplate {
        vendor: vendor.to_string(),
        name: name.to_owned(),
        title: title.to_owned(),
        own: row.is_some_and(|row| row.content.is_some()),
        version: row.map_or(0, |row| row.version.version),
        changed_by: row.map(|row| row.version.by.clone()),
        changed_at: row.map(|row| row.version.at.to_string()),
    }
}

pub(super) fn placeholders() -> Vec<String> {
    PLACES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

pub(super) fn place(at: &(String, String)) -> Result<(Vendor, &str), Problem> {
    let missing = || Problem::not_found("template");
    let vendor = at.0.parse().map_err(|_| missing())?;
    base(vendor, &at.1).ok_or_else(missing)?;
    Ok((vendor, at.1.as_str()))
}

async fn out(
    tx: &mut Tx,
    by: &Operator,
    (vendor, name): (Vendor, &str),
) -> Result<ApiTemplate, Problem> {
    let versions = super::versions(tx, by.tenant(), vendor, name).await?;
    let row = versions.first();
    let own = row.and_then(|row| row.content.clone());
    let built_in = || base(vendor, name).map(|found| found.source().to_owned()).unwrap_or_default();
    Ok(ApiTemplate {
        listed: listed(vendor, name, row),
        content: own.unwrap_or_else(built_in),
        placeholders: placeholders(),
    })
}

/// List boot file templates
#[utoipa::path(get, path = "/api/v1/phones/templates", operation_id = "listTemplates", tag = "Phones",
    responses((status = 200, body = TemplateList)))]
async fn list_templates(by: Operator) -> Answer {
    let own = super::current(&mut by.read().await?, by.tenant()).await?;
    let find = |vendor: Vendor, name: &str| {
        own.iter().find(|row| row.vendor == vendor && row.name == name)
    };
    let mut templates: Vec<ListedTemplate> = BUILT_IN
        .iter()
        .map(|found| listed(found.vendor, found.name, find(found.vendor, found.name)))
        .collect();
    let models = own.iter().filter(|row| BuiltIn::find(row.vendor, &row.name).is_none());
    templates.extend(models.map(|row| listed(row.vendor, &row.name, Some(row))));
    let total = templates.len();
    api::json(StatusCode::OK, &TemplateList { templates, total })
}

/// Get a boot file template
///
/// The one in force: the tenant's own, else the built-in one.
#[utoipa::path(get, path = "/api/v1/phones/templates/{vendor}/{template}", operation_id = "getTemplate", tag = "Phones",
    params(("vendor" = String, Path, description = "The vendor"), ("template" = String, Path, description = "A template's or a model's name")),
    responses((status = 200, body = ApiTemplate), (status = 404, body = Problem)))]
async fn get_template(by: Operator, at: web::Path<(String, String)>) -> Answer {
    let of = place(&at)?;
    let template = out(&mut by.read().await?, &by, of).await?;
    api::tagged(StatusCode::OK, template.listed.version, &template)
}

/// Save a boot file template of one's own
///
/// It is saved only if it makes a well-formed file for every phone that uses it (422 says where it
/// does not). With `If-Match` only if nobody else saved it since it was read (412).
#[utoipa::path(put, path = "/api/v1/phones/templates/{vendor}/{template}", operation_id = "putTemplate", tag = "Phones",
    request_body = NewTemplate,
    params(("vendor" = String, Path, description = "The vendor"), ("template" = String, Path, description = "A template's or a model's name"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiTemplate), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn put_template(
    request: HttpRequest,
    by: Operator,
    at: web::Path<(String, String)>,
    new: Json<NewTemplate>,
) -> Answer {
    let (of, wanted) = (place(&at)?, api::if_match(request.headers())?);
    let NewTemplate { content, note } = new.0;
    let note = note
        .parse()
        .map_err(|error| Problem::invalid([("note".to_owned(), format!("{error}"))].into()))?;
    let (tenant, base_url) = (by.tenant(), load::base_url(by.state()));
    let checked = super::check(&mut by.read().await?, tenant, of, &content, base_url).await?;
    let mut change = by.change().await?;
    let versions = super::versions(change.tx(), tenant, of.0, of.1).await?;
    let newest = versions.first().map_or(0, |row| row.version.version);
    super::save(&mut change, &checked, wanted.unwrap_or(newest), &note).await?;
    change.commit().await?;
    let template = out(&mut by.read().await?, &by, of).await?;
    api::tagged(StatusCode::OK, template.listed.version, &template)
}

/// Go back to the built-in boot file template
#[utoipa::path(delete, path = "/api/v1/phones/templates/{vendor}/{template}", operation_id = "deleteTemplate", tag = "Phones",
    params(("vendor" = String, Path, description = "The vendor"), ("template" = String, Path, description = "A template's or a model's name")),
    responses((status = 200, body = ApiTemplate), (status = 404, body = Problem)))]
async fn delete_template(by: Operator, at: web::Path<(String, String)>) -> Answer {
    let of = place(&at)?;
    let mut change = by.change().await?;
    super::reset(&mut change, of).await?;
    change.commit_if_any().await?;
    let template = out(&mut by.read().await?, &by, of).await?;
    api::tagged(StatusCode::OK, template.listed.version, &template)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_templates, get_template, put_template, delete_template))]
pub struct Paths;
