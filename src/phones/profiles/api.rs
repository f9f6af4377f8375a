//! `/api/v1/phones/profiles`: the same rules as the pages, because both call the same functions.

use std::collections::BTreeMap;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::{Profile, ProfileName, Scope, Spec};
use super::{Refusal, all, create as make, delete as remove, get, update as change};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::ProfileId;
use crate::models::{Model, Vendor};
use crate::phones::settings::Setting;
use crate::text::Line;

/// Every call about profiles.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManagePhones));
    vec![
        Route::get("/api/v1/phones/profiles", read, list_profiles),
        Route::post("/api/v1/phones/profiles", manage, create_profile),
        Route::get("/api/v1/phones/profiles/{id}", read, get_profile),
        Route::new(Method::PATCH, "/api/v1/phones/profiles/{id}", manage, patch_profile),
        Route::new(Method::DELETE, "/api/v1/phones/profiles/{id}", manage, delete_profile),
    ]
}

/// A profile: settings for many phones at once.
#[derive(Serialize, ToSchema)]
pub struct ApiProfile {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: ProfileId,
    /// What it is called.
    pub name: String,
    /// Whose settings it lays down: `tenant`, `site`, `model` or `chosen`.
    pub scope: &'static str,
    /// The site, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The model, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "yealink/t46s")]
    pub model: Option<String>,
    /// The settings it says something of.
    pub settings: BTreeMap<String, String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// What is said of a profile. For a new one `name` and `scope` are needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileFields {
    /// What it is called, unique whatever its case.
    #[schema(example = "Reception")]
    name: Option<String>,
    /// `tenant`, `site`, `model` or `chosen`.
    #[schema(example = "chosen")]
    scope: Option<String>,
    /// The site, for one of a site.
    site: Option<String>,
    /// The model, for one of a model.
    #[schema(example = "yealink/t46s")]
    model: Option<String>,
    /// Settings by their names; `null` says nothing of one.
    #[serde(default)]
    settings: BTreeMap<String, Option<String>>,
}

fn out(profile: &Profile) -> ApiProfile {
    let spec = &profile.spec;
    let (site, model) = match &spec.scope {
        Scope::Site(site) => (Some(site.to_string()), None),
        Scope::Model(model) => (None, Some(model.key())),
        Scope::Tenant | Scope::Chosen => (None, None),
    };
    ApiProfile {
        id: profile.id,
        name: spec.name.to_string(),
        scope: spec.scope.as_str(),
        site,
        model,
        settings: spec.settings.clone(),
        created_at: profile.created_at.to_string(),
        updated_at: profile.updated_at.to_string(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("profile"),
            Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::NameTaken(_) | Refusal::ScopeTaken { .. } | Refusal::Chosen(_) => {
                StatusCode::CONFLICT
            }
            Refusal::NoSite | Refusal::Setting(..) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

impl ProfileFields {
    /// The whole profile: what is said, over what there is.
    fn over(self, old: Option<Spec>) -> Result<Spec, Problem> {
        let mut errors = BTreeMap::new();
        let mut wrong = |name: &str, why: String| drop(errors.insert(name.to_owned(), why));
        let name = match (self.name, &old) {
            (Some(text), _) => {
                text.parse::<ProfileName>().map_err(|error| wrong("name", error.to_string())).ok()
            }
            (None, Some(old)) => Some(old.name.clone()),
            (None, None) => {
                wrong("name", "name the profile".to_owned());
                None
            }
        };
        let said = self.scope.is_some() || self.site.is_some() || self.model.is_some();
        let scope = match &old {
            Some(old) if !said => Some(old.scope.clone()),
            old => {
                let before = old.as_ref().map(|old| old.scope.as_str());
                scope(self.scope.as_deref().or(before), self.site, self.model, &mut wrong)
            }
        };
        let mut settings = old.map(|old| old.settings).unwrap_or_default();
        for (key, value) in self.settings {
            match (value, Setting::find(&key)) {
                (_, Err(error)) => wrong(&key, error.to_string()),
                (None, Ok(_)) => drop(settings.remove(&key)),
                (Some(value), Ok(setting)) => match setting.parse(&value) {
                    Ok(value) => drop(settings.insert(key, value)),
                    Err(error) => wrong(&key, error.to_string()),
                },
            }
        }
        match (name, scope) {
            (Some(name), Some(scope)) if errors.is_empty() => Ok(Spec { name, scope, settings }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

fn scope(
    word: Option<&str>,
    site: Option<String>,
    model: Option<String>,
    wrong: &mut impl FnMut(&str, String),
) -> Option<Scope> {
    match word {
        Some("tenant") => Some(Scope::Tenant),
        Some("chosen") => Some(Scope::Chosen),
        Some("site") => site
            .unwrap_or_default()
            .parse::<Line<60>>()
            .map_err(|error| wrong("site", error.to_string()))
            .ok()
            .map(Scope::Site),
        Some("model") => {
            let text = model.unwrap_or_default();
            let (vendor, name) = text.split_once('/').unwrap_or((&text, ""));
            let found = vendor.parse::<Vendor>().map_err(|error| error.to_string());
            let found = found
                .and_then(|vendor| Model::find(vendor, name).map_err(|error| error.to_string()));
            found.map_err(|why| wrong("model", why)).ok().map(Scope::Model)
        }
        _ => {
            wrong("scope", "use tenant, site, model or chosen".to_owned());
            None
        }
    }
}

/// List profiles
#[utoipa::path(get, path = "/api/v1/phones/profiles", operation_id = "listProfiles", tag = "Phones",
    responses((status = 200, body = [ApiProfile])))]
async fn list_profiles(by: Operator) -> Answer {
    let profiles = all(&mut by.read().await?, by.tenant()).await?;
    api::json(StatusCode::OK, &profiles.iter().map(out).collect::<Vec<_>>())
}

/// Add a profile
#[utoipa::path(post, path = "/api/v1/phones/profiles", operation_id = "createProfile", tag = "Phones",
    request_body = ProfileFields,
    responses((status = 201, body = ApiProfile), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_profile(by: Operator, fields: Json<ProfileFields>) -> Answer {
    let spec = fields.0.over(None)?;
    let mut tx = by.change().await?;
    let made = make(&mut tx, &by.state().vault, &spec).await?;
    tx.commit().await?;
    let mut answer = api::tagged(StatusCode::CREATED, made.version, &out(&made))?;
    if let Ok(to) = HeaderValue::from_str(&format!("/api/v1/phones/profiles/{}", made.id)) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    Ok(answer)
}

async fn find(by: &Operator, id: ProfileId) -> Result<Profile, Problem> {
    let profile = get(&mut by.read().await?, by.tenant(), id).await?;
    profile.ok_or_else(|| Problem::not_found("profile"))
}

/// Get a profile
#[utoipa::path(get, path = "/api/v1/phones/profiles/{id}", operation_id = "getProfile", tag = "Phones",
    params(("id" = String, Path, description = "The profile's id")),
    responses((status = 200, body = ApiProfile), (status = 404, body = Problem)))]
async fn get_profile(by: Operator, id: web::Path<ProfileId>) -> Answer {
    let profile = find(&by, *id).await?;
    api::tagged(StatusCode::OK, profile.version, &out(&profile))
}

/// Change a profile
///
/// With `If-Match` it is changed only if nobody else changed it since it was read (412).
#[utoipa::path(patch, path = "/api/v1/phones/profiles/{id}", operation_id = "updateProfile", tag = "Phones",
    request_body = ProfileFields,
    params(("id" = String, Path, description = "The profile's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiProfile), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn patch_profile(
    request: HttpRequest,
    by: Operator,
    id: web::Path<ProfileId>,
    fields: Json<ProfileFields>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let old = find(&by, *id).await?;
    // What is said is laid over what was read: nobody may have changed that since.
    let version = version.or(Some(old.version));
    let spec = fields.0.over(Some(old.spec))?;
    let mut tx = by.change().await?;
    let profile = change(&mut tx, *id, version, &spec).await?;
    tx.commit_if_any().await?;
    api::tagged(StatusCode::OK, profile.version, &out(&profile))
}

/// Delete a profile
///
/// One that phones chose is not deleted (409).
#[utoipa::path(delete, path = "/api/v1/phones/profiles/{id}", operation_id = "deleteProfile", tag = "Phones",
    params(("id" = String, Path, description = "The profile's id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete_profile(by: Operator, id: web::Path<ProfileId>) -> Answer {
    find(&by, *id).await?;
    let mut tx = by.change().await?;
    remove(&mut tx, *id).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_profiles, create_profile, get_profile, patch_profile, delete_profile))]
pub struct Paths;
