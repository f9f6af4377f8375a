//! Seed 000's calls on templates, with its shapes: a template there belongs to a model.

use actix_web::http::{Method, StatusCode};
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::load;
use super::super::render::{BUILT_IN, base};
use super::api::{BODY, place, placeholders};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::text::Line;

/// Those calls.
pub fn routes() -> Vec<Route> {
    const ONE: &str = "/api/provisioning/templates/{vendor}/{model}";
    let (read, administer) = (Access::Api(Right::Read), Access::Api(Right::Administer));
    vec![
        Route::get(ONE, read, model_template),
        Route::new(Method::PUT, ONE, administer, put_model_template).limit(BODY),
        Route::post(
            "/api/provisioning/templates/{vendor}/{model}/export",
            administer,
            export_template,
        ),
        Route::post("/api/provisioning/reload-templates", administer, reload_templates),
    ]
}

/// A model's template.
#[derive(Serialize, ToSchema)]
pub struct ModelTemplate {
    vendor: String,
    model: String,
    content: String,
    placeholders: Vec<String>,
}

/// A text to be saved.
#[derive(Deserialize, ToSchema)]
pub struct ModelContent {
    /// The text.
    #[serde(default)]
    content: String,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub struct Done {
    success: bool,
    message: String,
    /// Where the template is now.
    filepath: String,
    vendor: String,
    model: String,
}

/// The templates there are, and whether all of them work.
#[derive(Serialize, ToSchema)]
pub struct Reloaded {
    success: bool,
    message: String,
    statistics: Statistics,
}

/// How many.
#[derive(Serialize, ToSchema)]
pub struct Statistics {
    total: usize,
    built_in: usize,
    own: usize,
    broken: Vec<String>,
}

/// Get a model's boot file template
#[utoipa::path(get, path = "/api/provisioning/templates/{vendor}/{model}", operation_id = "modelTemplate", tag = "Provisioning",
    params(("vendor" = String, Path, description = "The vendor"), ("model" = String, Path, description = "The model")),
    responses((status = 200, body = ModelTemplate), (status = 404, body = Problem)))]
async fn model_template(by: Operator, at: web::Path<(String, String)>) -> Answer {
    let (vendor, model) = place(&at)?;
    let content = in_force(&by, (vendor, model)).await?;
    let (vendor, model) = (vendor.to_string(), model.to_owned());
    api::json(
        StatusCode::OK,
        &ModelTemplate { vendor, model, content, placeholders: placeholders() },
    )
}

/// The model's own template, else the one for its family.
async fn in_force(
    by: &Operator,
    (vendor, model): (crate::phones::Vendor, &str),
) -> Result<String, Problem> {
    let mut tx = by.read().await?;
    let templates = load::in_force(&mut tx, by.tenant()).await?;
    let built_in = base(vendor, model).ok_or_else(|| Problem::not_found("template"))?;
    let own = templates.own(vendor, model).or_else(|| templates.own(vendor, built_in.name));
    Ok(own.unwrap_or(built_in.source()).to_owned())
}

fn done(vendor: crate::phones::Vendor, model: &str, message: &str) -> Answer {
    let filepath = format!("/phones/templates/{vendor}/{model}");
    let (vendor, model) = (vendor.to_string(), model.to_owned());
    api::json(
        StatusCode::OK,
        &Done { success: true, message: message.to_owned(), filepath, vendor, model },
    )
}

async fn write(
    by: &Operator,
    of: (crate::phones::Vendor, &str),
    content: &str,
    note: &str,
) -> Result<(), Problem> {
    let (tenant, base_url) = (by.tenant(), load::base_url(by.state()));
    let checked = super::check(&mut by.read().await?, tenant, of, content, base_url).await?;
    let mut change = by.change().await?;
    let versions = super::versions(change.tx(), tenant, of.0, of.1).await?;
    let newest = versions.first().map_or(0, |row| row.version.version);
    let note: Line<200> = note.parse().unwrap_or_default();
    super::save(&mut change, &checked, newest, &note).await?;
    change.commit().await?;
    Ok(())
}

/// Save a model's boot file template
///
/// It counts for that model alone.
#[utoipa::path(put, path = "/api/provisioning/templates/{vendor}/{model}", operation_id = "putModelTemplate", tag = "Provisioning",
    request_body = ModelContent,
    params(("vendor" = String, Path, description = "The vendor"), ("model" = String, Path, description = "The model")),
    responses((status = 200, body = Done), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn put_model_template(
    by: Operator,
    at: web::Path<(String, String)>,
    new: Json<ModelContent>,
) -> Answer {
    let of = place(&at)?;
    if new.0.content.is_empty() {
        return Err(Problem::bad_request("Missing template content"));
    }
    write(&by, of, &new.0.content, "").await?;
    done(of.0, of.1, "Template updated")
}

/// Make a model's boot file template one's own
///
/// The text in force becomes the tenant's own, to be changed from there.
#[utoipa::path(post, path = "/api/provisioning/templates/{vendor}/{model}/export", operation_id = "exportTemplate", tag = "Provisioning",
    params(("vendor" = String, Path, description = "The vendor"), ("model" = String, Path, description = "The model")),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn export_template(by: Operator, at: web::Path<(String, String)>) -> Answer {
    let of = place(&at)?;
    let content = in_force(&by, of).await?;
    let own = super::versions(&mut by.read().await?, by.tenant(), of.0, of.1).await?;
    if own.first().is_none_or(|row| row.content.is_none()) {
        // Said in the text: an own template that is the built-in one to the letter is not kept.
        write(&by, of, &format!("{content}{{# exported #}}"), "exported").await?;
    }
    done(of.0, of.1, "Template exported")
}

/// Check all boot file templates
///
/// Templates take effect when they are saved; this says whether all of them work.
#[utoipa::path(post, path = "/api/provisioning/reload-templates", operation_id = "reloadTemplates", tag = "Provisioning",
    responses((status = 200, body = Reloaded)))]
async fn reload_templates(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    let own = super::current(&mut tx, by.tenant()).await?;
    let mut statistics =
        Statistics { total: BUILT_IN.len(), built_in: BUILT_IN.len(), own: 0, broken: Vec::new() };
    let base_url = load::base_url(by.state());
    for row in own {
        let Some(content) = &row.content else { continue };
        statistics.own += 1;
        statistics.total += usize::from(super::BuiltIn::find(row.vendor, &row.name).is_none());
        let of = (row.vendor, row.name.as_str());
        match super::check(&mut tx, by.tenant(), of, content, base_url).await {
            Ok(_) => {}
            Err(super::Refusal::Fault(error)) => return Err(error.into()),
            Err(refusal) => statistics.broken.push(format!("{}/{}: {refusal}", of.0, of.1)),
        }
    }
    let message = format!("{} templates, {} of them your own", statistics.total, statistics.own);
    api::json(
        StatusCode::OK,
        &Reloaded { success: statistics.broken.is_empty(), message, statistics },
    )
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(model_template, put_model_template, export_template, reload_templates))]
pub struct Paths;
