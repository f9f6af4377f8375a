//! `/api/v1/users`: the same rules as the pages, because both call the same functions.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Refusal;
use super::types::{Edit, Filter, NewUser, Sort, User};
use crate::api::{self, Answer, Body, Json, Once, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::UserId;
use crate::text::ByName;
use crate::web::list;
use actix_web::http::Method;

/// Every call on users.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) =
        (Access::Api(Right::Read), Access::Api(Right::EditUsers), Access::Api(Right::ManageUsers));
    vec![
        Route::get("/api/v1/users", read, list_users),
        Route::post("/api/v1/users", manage, create_user),
        Route::get("/api/v1/users/{id}", read, get_user),
        Route::new(Method::PATCH, "/api/v1/users/{id}", edit, patch_user),
        Route::new(Method::DELETE, "/api/v1/users/{id}", manage, delete_user),
        Route::post("/api/v1/users/{id}/secret", edit, rotate_secret),
    ]
}

/// A user.
#[derive(Serialize, ToSchema)]
pub struct ApiUser {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: UserId,
    /// The tenant's id, a UUID.
    #[schema(format = Uuid)]
    pub tenant_id: String,
    /// What the person is called.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their number.
    pub extension: ExtensionOut,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A number.
#[derive(Serialize, ToSchema)]
pub struct ExtensionOut {
    /// The number itself.
    #[schema(value_type = u32, example = 1000)]
    pub number: crate::numbering::ExtensionNumber,
    /// Whether its phone may register after the next Apply.
    pub enabled: bool,
}

/// A number with the secret its phone registers with, shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewExtensionOut {
    /// The number itself.
    #[schema(value_type = u32, example = 1000)]
    pub number: crate::numbering::ExtensionNumber,
    /// The SIP secret. Patchbay does not show it again.
    pub secret: String,
}

/// The answer to a creation.
#[derive(Serialize, ToSchema)]
pub struct CreatedUser {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: UserId,
    /// The tenant's id, a UUID.
    #[schema(format = Uuid)]
    pub tenant_id: String,
    /// What the person is called.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their number and secret.
    pub extension: NewExtensionOut,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiUser {
    /// What the person is called: 1 to 60 characters.
    #[schema(example = "Ann O'Neil")]
    name: String,
    /// Their address, unique in the tenant whatever its case.
    #[schema(example = "ann@example.com")]
    email: String,
    /// The number wished for; without it the lowest free one.
    #[schema(example = 1000)]
    extension: Option<i64>,
}

/// What is to be different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The new name.
    name: Option<String>,
    /// The new address.
    email: Option<String>,
    /// The new number.
    extension: Option<i64>,
    /// Whether the phone may register after the next Apply.
    enabled: Option<bool>,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub struct UserList {
    /// The users of this page.
    pub users: Vec<ApiUser>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Users a page.
    pub size: i64,
}

/// The answer to a deletion.
#[derive(Serialize, ToSchema)]
pub struct DeletedUser {
    /// A sentence.
    pub message: String,
    /// Who is gone, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub deleted_user_id: UserId,
    /// The number that is free again.
    #[schema(value_type = u32, example = 1000)]
    pub freed_extension: crate::numbering::ExtensionNumber,
    /// The addresses the user held, which were released; left out when there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub released_addresses: Vec<String>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of the name, the address or the number.
    #[param(required = false)]
    q: String,
    /// `enabled` or `disabled`; without it both.
    #[param(required = false)]
    state: String,
    /// `number`, `name`, `email` or `created`, with `-` before it the other way round.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 users a page.
    #[param(required = false)]
    size: String,
}

fn out(by: &Operator, user: &User) -> ApiUser {
    ApiUser {
        id: user.id,
        tenant_id: by.tenant().to_string(),
        name: user.name.to_string(),
        email: user.email.to_string(),
        extension: ExtensionOut { number: user.number, enabled: user.enabled },
        created_at: user.created_at.to_string(),
        updated_at: user.updated_at.to_string(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("user"),
            Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::NumberOutside { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::EmailTaken(_) | Refusal::NumberTaken(_) | Refusal::Exhausted(_) => {
                StatusCode::CONFLICT
            }
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

/// Parses a field; its error joins the others.
fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
    errors: &mut std::collections::BTreeMap<String, String>,
) -> Option<T> {
    text.and_then(|text| {
        text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
    })
}

impl NewApiUser {
    fn parse(self) -> Result<NewUser, Problem> {
        let mut errors = std::collections::BTreeMap::new();
        let name = field("name", Some(self.name), &mut errors);
        let email = field("email", Some(self.email), &mut errors);
        let number =
            field("extension", self.extension.map(|number| number.to_string()), &mut errors);
        match (name, email) {
            (Some(name), Some(email)) if errors.is_empty() => Ok(NewUser { name, email, number }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

impl UserPatch {
    fn parse(self) -> Result<Edit, Problem> {
        let mut errors = std::collections::BTreeMap::new();
        let edit = Edit {
            name: field("name", self.name, &mut errors),
            email: field("email", self.email, &mut errors),
            number: field(
                "extension",
                self.extension.map(|number| number.to_string()),
                &mut errors,
            ),
            enabled: self.enabled,
        };
        if errors.is_empty() { Ok(edit) } else { Err(Problem::invalid(errors)) }
    }
}

/// List users
#[utoipa::path(get, path = "/api/v1/users", operation_id = "listUsers", tag = "Users", params(ListParams),
    responses((status = 200, body = UserList), (status = 422, body = Problem)))]
async fn list_users(by: Operator, params: web::Query<ListParams>) -> Answer {
    let enabled = match params.state.as_str() {
        "" => None,
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => {
            return Err(Problem::invalid(
                [("state".to_owned(), "use enabled or disabled".to_owned())].into(),
            ));
        }
    };
    let sort = Sort::asked(&params.sort);
    let sort = sort.ok_or_else(|| {
        Problem::invalid([("sort".to_owned(), "there is no such order".to_owned())].into())
    })?;
    let at = list::stretch(&params.page, list::size(&params.size));
    let filter = Filter { search: params.q.trim().to_owned(), enabled };
    let mut tx = by.read().await?;
    let totals = super::totals(&mut tx, &by.state().counted, by.tenant()).await?;
    let (users, total) = super::list(&mut tx, by.tenant(), &filter, sort, at, totals).await?;
    let users = users.iter().map(|user| out(&by, user)).collect();
    api::json(
        StatusCode::OK,
        &UserList { users, total, page: at.offset / at.limit + 1, size: at.limit },
    )
}

/// Add a user
///
/// With an `Idempotency-Key` header (up to 200 printable characters) a repeated request gets the
/// first one's answer, for a day.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "createUser", tag = "Users", request_body = NewApiUser,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 201, body = CreatedUser), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_user(request: HttpRequest, by: Operator, body: Body) -> Answer {
    let Body(body) = body;
    let once = Once::of(&request, by.state(), &by.id(), &body)?;
    if let Some(answer) = once.earlier(again).await? {
        return Ok(answer);
    }
    let Json(new) = api::parse::<NewApiUser>(request.headers(), &body)?;
    let new = new.parse()?;
    let mut change = by.change().await?;
    let (user, secret) = match super::create(&mut change, &by.state().vault, &new).await {
        Ok(made) => made,
        Err(refusal) => {
            drop(change);
            // What stands in the way may be what the same request did a moment ago.
            return once.earlier(again).await?.ok_or_else(|| refusal.into());
        }
    };
    let created = CreatedUser {
        id: user.id,
        tenant_id: by.tenant().to_string(),
        name: user.name.to_string(),
        email: user.email.to_string(),
        extension: NewExtensionOut { number: user.number, secret: secret.expose().to_owned() },
        created_at: user.created_at.to_string(),
    };
    let body = serde_json::to_vec(&created).map_err(|error| Problem::fault(&error))?;
    if !once.keep(&mut change, StatusCode::CREATED, &body).await? {
        drop(change);
        let earlier = once.earlier(again).await?;
        return earlier.ok_or_else(|| Problem::bad_request("send the request again"));
    }
    change.commit().await?;
    Ok(made(StatusCode::CREATED, user.id, body))
}

/// The answer to a creation: a new user is at version 1.
fn made(status: StatusCode, id: UserId, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((header::LOCATION, format!("/api/v1/users/{id}")))
        .insert_header((header::ETAG, "\"1\""))
        .body(body)
}

/// The id in an answer that was kept.
#[derive(Deserialize)]
struct Kept {
    id: UserId,
}

/// The answer to a creation that was done before.
fn again(status: StatusCode, body: Vec<u8>) -> Answer {
    let kept: Kept = serde_json::from_slice(&body).map_err(|error| Problem::fault(&error))?;
    Ok(made(status, kept.id, body))
}

/// Get a user
///
/// The `ETag` is what `If-Match` takes when changing the user.
#[utoipa::path(get, path = "/api/v1/users/{id}", operation_id = "getUser", tag = "Users",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, body = ApiUser), (status = 404, body = Problem)))]
async fn get_user(by: Operator, id: web::Path<UserId>) -> Answer {
    let user = super::get(&mut by.read().await?, by.tenant(), *id).await?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    api::tagged(StatusCode::OK, user.version, &out(&by, &user))
}

/// Change a user
///
/// With `If-Match` the user is changed only if nobody else changed it since it was read (412). The
/// help desk may change the name alone.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "updateUser", tag = "Users", request_body = UserPatch,
    params(("id" = String, Path, description = "The user's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiUser), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn patch_user(
    request: HttpRequest,
    by: Operator,
    id: web::Path<UserId>,
    patch: Json<UserPatch>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let edit = patch.0.parse()?;
    let more = edit.enabled.is_some() || edit.email.is_some() || edit.number.is_some();
    if more && !by.may(Right::ManageUsers) {
        return Err(Problem::forbidden());
    }
    let mut change = by.change().await?;
    let user = super::edit(&mut change, &by.state().vault, *id, version, &edit).await?;
    change.commit_if_any().await?;
    api::tagged(StatusCode::OK, user.version, &out(&by, &user))
}

/// Delete a user
///
/// The number is free at once; Asterisk forgets it at the next Apply. Addresses the user held are
/// released.
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "deleteUser", tag = "Users",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, body = DeletedUser), (status = 404, body = Problem)))]
async fn delete_user(by: Operator, id: web::Path<UserId>) -> Answer {
    let mut change = by.change().await?;
    let (user, released) = super::delete(&mut change, &by.state().vault, *id).await?;
    change.commit().await?;
    let message = format!("User deleted, extension {} is free again", user.number);
    api::json(
        StatusCode::OK,
        &DeletedUser {
            message,
            deleted_user_id: user.id,
            freed_extension: user.number,
            released_addresses: released,
        },
    )
}

/// Give a user a new SIP secret
///
/// The old one works until the next Apply.
#[utoipa::path(post, path = "/api/v1/users/{id}/secret", operation_id = "rotateSecret", tag = "Users",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, body = NewExtensionOut), (status = 404, body = Problem)))]
async fn rotate_secret(by: Operator, id: web::Path<UserId>) -> Answer {
    let mut change = by.change().await?;
    let (user, secret) = super::rotate(&mut change, &by.state().vault, *id).await?;
    change.commit().await?;
    let extension = NewExtensionOut { number: user.number, secret: secret.expose().to_owned() };
    api::json(StatusCode::OK, &extension)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_users, create_user, get_user, patch_user, delete_user, rotate_secret))]
pub struct Paths;
