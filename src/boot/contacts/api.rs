//! `/api/v1/contacts`: the same rules as the pages.

use std::collections::BTreeMap;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Refusal;
use super::types::{Contact, Spec};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::ContactId;
use crate::web::list;

/// Every call on contacts.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManagePhones));
    vec![
        Route::get("/api/v1/contacts", read, list_contacts),
        Route::post("/api/v1/contacts", manage, create_contact),
        Route::get("/api/v1/contacts/{id}", read, get_contact),
        Route::new(Method::PUT, "/api/v1/contacts/{id}", manage, put_contact),
        Route::new(Method::DELETE, "/api/v1/contacts/{id}", manage, delete_contact),
    ]
}

/// A contact.
#[derive(Serialize, ToSchema)]
pub struct ApiContact {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    id: ContactId,
    /// What it is called.
    name: String,
    /// What phones dial.
    number: String,
}

/// A contact to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContact {
    /// 1 to 60 characters.
    #[schema(example = "Taxi")]
    name: String,
    /// 1 to 20 digits, `*` and `#`, perhaps a `+` first.
    #[schema(example = "+351210000000")]
    number: String,
}

/// A page of contacts.
#[derive(Serialize, ToSchema)]
pub struct ContactList {
    contacts: Vec<ApiContact>,
    /// How many match in all.
    total: i64,
    /// This page, from 1.
    page: i64,
    /// Contacts a page.
    size: i64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of the name or the number.
    #[param(required = false)]
    q: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 contacts a page.
    #[param(required = false)]
    size: String,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("contact"),
            Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::Taken(_) => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal {
            Refusal::Taken(_) => problem.field("name", &refusal),
            _ => problem,
        }
    }
}

fn out(contact: &Contact) -> ApiContact {
    let (name, number) = (contact.name.to_string(), contact.number.0.to_string());
    ApiContact { id: contact.id, name, number }
}

impl NewContact {
    fn parse(&self) -> Result<Spec, Problem> {
        let mut errors = BTreeMap::new();
        let name = self.name.parse().map_err(|error| note(&mut errors, "name", &error)).ok();
        let number = self.number.parse().map_err(|error| note(&mut errors, "number", &error)).ok();
        match (name, number) {
            (Some(name), Some(number)) => Ok(Spec { name, number }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

fn note(errors: &mut BTreeMap<String, String>, field: &str, error: &impl ToString) {
    errors.insert(field.to_owned(), error.to_string());
}

/// List contacts
#[utoipa::path(get, path = "/api/v1/contacts", operation_id = "listContacts", tag = "Phones", params(ListParams),
    responses((status = 200, body = ContactList)))]
async fn list_contacts(by: Operator, params: web::Query<ListParams>) -> Answer {
    let at = list::stretch(&params.page, list::size(&params.size));
    let mut tx = by.read().await?;
    let (contacts, total) = super::list(&mut tx, by.tenant(), params.q.trim(), at).await?;
    let contacts = contacts.iter().map(out).collect();
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &ContactList { contacts, total, page, size })
}

/// Add a contact
#[utoipa::path(post, path = "/api/v1/contacts", operation_id = "createContact", tag = "Phones", request_body = NewContact,
    responses((status = 201, body = ApiContact), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_contact(by: Operator, new: Json<NewContact>) -> Answer {
    let spec = new.0.parse()?;
    let mut change = by.change().await?;
    let contact = super::create(&mut change, &by.state().vault, &spec).await?;
    change.commit().await?;
    let body = serde_json::to_vec(&out(&contact)).map_err(|error| Problem::fault(&error))?;
    Ok(HttpResponse::Created()
        .content_type("application/json")
        .insert_header((header::LOCATION, format!("/api/v1/contacts/{}", contact.id)))
        .insert_header((header::ETAG, "\"1\""))
        .body(body))
}

/// Get a contact
#[utoipa::path(get, path = "/api/v1/contacts/{id}", operation_id = "getContact", tag = "Phones",
    params(("id" = String, Path, description = "The contact's id")),
    responses((status = 200, body = ApiContact), (status = 404, body = Problem)))]
async fn get_contact(by: Operator, id: web::Path<ContactId>) -> Answer {
    let contact = super::get(&mut by.read().await?, by.tenant(), *id).await?;
    let contact = contact.ok_or_else(|| Problem::not_found("contact"))?;
    api::tagged(StatusCode::OK, contact.version, &out(&contact))
}

/// Change a contact
#[utoipa::path(put, path = "/api/v1/contacts/{id}", operation_id = "putContact", tag = "Phones", request_body = NewContact,
    params(("id" = String, Path, description = "The contact's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = ApiContact), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn put_contact(
    request: HttpRequest,
    by: Operator,
    id: web::Path<ContactId>,
    new: Json<NewContact>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    super::get(&mut by.read().await?, by.tenant(), *id)
        .await?
        .ok_or_else(|| Problem::not_found("contact"))?;
    let spec = new.0.parse()?;
    let mut change = by.change().await?;
    let contact = super::update(&mut change, *id, version, &spec).await?;
    change.commit_if_any().await?;
    api::tagged(StatusCode::OK, contact.version, &out(&contact))
}

/// Delete a contact
#[utoipa::path(delete, path = "/api/v1/contacts/{id}", operation_id = "deleteContact", tag = "Phones",
    params(("id" = String, Path, description = "The contact's id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete_contact(by: Operator, id: web::Path<ContactId>) -> Answer {
    let mut change = by.change().await?;
    super::delete(&mut change, *id).await?;
    change.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_contacts, create_contact, get_contact, put_contact, delete_contact))]
pub struct Paths;
