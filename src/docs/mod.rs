//! The REST interface described: the `OpenAPI` document, and a page to read it offline.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};

use crate::api::Problem;
use crate::auth::access::{Access, Route};
use crate::web::{Answer, Error, ok};
use crate::{
    apply, boot, graphql, ipam, lifecycle, mirror, notify, outbox, phones, provision,
    registrations, users, workflows,
};

/// The document and its reader.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/openapi.json", Access::Public, json),
        Route::get("/api/docs", Access::Public, reader),
    ]
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchbay", description = "The control plane of a voice network.", license(name = "MIT", identifier = "MIT")),
    components(schemas(Problem)),
    security(("token" = []))
)]
struct Base;

/// The `OpenAPI` document.
pub fn document() -> openapi::OpenApi {
    let mut document = Base::openapi();
    document.merge(users::api::Paths::openapi());
    document.merge(phones::api::Paths::openapi());
    document.merge(phones::profiles::api::Paths::openapi());
    document.merge(phones::legacy::Paths::openapi());
    document.merge(ipam::subnets::api::Paths::openapi());
    document.merge(ipam::addresses::api::Paths::openapi());
    document.merge(ipam::hosts::api::Paths::openapi());
    document.merge(ipam::exchange::Paths::openapi());
    document.merge(ipam::report::Paths::openapi());
    document.merge(ipam::observe::Paths::openapi());
    document.merge(registrations::api::Paths::openapi());
    document.merge(notify::api::Paths::openapi());
    document.merge(outbox::api::Paths::openapi());
    document.merge(mirror::api::Paths::openapi());
    document.merge(boot::templates::api::Paths::openapi());
    document.merge(boot::templates::legacy::Paths::openapi());
    document.merge(boot::contacts::api::Paths::openapi());
    document.merge(provision::Paths::openapi());
    document.merge(provision::EnrollingPaths::openapi());
    document.merge(ipam::prefixes::api::Paths::openapi());
    document.merge(lifecycle::api::document());
    document.merge(workflows::api::Paths::openapi());
    document.merge(graphql::web::Paths::openapi());
    document.merge(apply::api::Paths::openapi());
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", token);
    for path in document.paths.paths.values_mut() {
        let operations =
            [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
        operations.into_iter().flatten().for_each(complete);
    }
    document
}

/// Adds what holds for every call: what each status means, the media type of problems, that a token
/// is asked for, and that the database may be out of reach or something wrong inside.
fn complete(operation: &mut openapi::path::Operation) {
    let responses = &mut operation.responses.responses;
    for status in ["401", "403", "500", "503"] {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused = ResponseBuilder::new().content("application/json", problem).build();
        responses.entry(status.to_owned()).or_insert_with(|| refused.into());
    }
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        let meaning =
            status.parse::<StatusCode>().ok().and_then(|status| status.canonical_reason());
        meaning.unwrap_or("Answer").clone_into(&mut response.description);
        if status.starts_with('4') || status.starts_with('5') {
            problems(response);
        }
    }
}

/// Problems are `application/problem+json` (RFC 9457).
fn problems(response: &mut openapi::Response) {
    let is_problem = |content: &RefOr<openapi::Content>| match content {
        RefOr::T(content) => {
            matches!(&content.schema, Some(RefOr::Ref(to)) if to.ref_location.ends_with("/Problem"))
        }
        RefOr::Ref(_) => false,
    };
    let content = std::mem::take(&mut response.content);
    response.content = content
        .into_iter()
        .map(|(media, content)| {
            if is_problem(&content) {
                ("application/problem+json".to_owned(), content)
            } else {
                (media, content)
            }
        })
        .collect();
}

async fn json() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    description: String,
    parameters: Vec<(String, String, String)>,
    request: Option<String>,
    responses: Vec<(String, String)>,
}

struct Schema {
    name: String,
    description: String,
    fields: Vec<Property>,
}

struct Property {
    name: String,
    kind: String,
    required: bool,
    description: String,
}

#[derive(Template)]
#[template(path = "docs/index.html")]
struct DocsPage {
    groups: Vec<(String, Vec<Operation>)>,
    schemas: Vec<Schema>,
}

async fn reader() -> Answer {
    let document = serde_json::to_value(document()).map_err(|error| Error::Io(error.into()))?;
    ok(&DocsPage { groups: groups(&document), schemas: schemas(&document) })
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn groups(document: &Value) -> Vec<(String, Vec<Operation>)> {
    let mut groups: Vec<(String, Vec<Operation>)> = Vec::new();
    for (path, methods) in entries(document, "paths") {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = items(operation, "tags")
                .next()
                .and_then(Value::as_str)
                .unwrap_or("Other")
                .to_owned();
            let entry = describe(path, method, operation);
            match groups.iter_mut().find(|(name, _)| *name == tag) {
                Some((_, operations)) => operations.push(entry),
                None => groups.push((tag, vec![entry])),
            }
        }
    }
    groups
}

fn describe(path: &str, method: &str, operation: &Value) -> Operation {
    let parameters = items(operation, "parameters");
    let body = operation.get("requestBody").and_then(schema_of_content);
    let responses = entries(operation, "responses");
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(operation, "summary"),
        description: text(operation, "description"),
        parameters: parameters
            .map(|p| (text(p, "name"), text(p, "in"), text(p, "description")))
            .collect(),
        request: body,
        responses: responses
            .map(|(status, response)| {
                (status.clone(), schema_of_content(response).unwrap_or_default())
            })
            .collect(),
    }
}

/// The name of the schema of a body.
fn schema_of_content(value: &Value) -> Option<String> {
    let (_, media) = entries(value, "content").next()?;
    media.get("schema").map(type_name)
}

fn type_name(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    match schema.get("type") {
        Some(Value::String(name)) if name == "array" => {
            format!("list of {}", schema.get("items").map(type_name).unwrap_or_default())
        }
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => items(schema, "oneOf").map(type_name).collect::<Vec<_>>().join(" or "),
    }
}

fn schemas(document: &Value) -> Vec<Schema> {
    let components = document.get("components").cloned().unwrap_or_default();
    let known = components.get("schemas").cloned().unwrap_or_default();
    let schemas = entries(&components, "schemas").map(|(name, schema)| Schema {
        name: name.clone(),
        description: text(schema, "description"),
        fields: properties(&known, schema),
    });
    schemas.collect()
}

/// The fields of a schema, those of the schemas it is made of first.
fn properties(known: &Value, schema: &Value) -> Vec<Property> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return known.get(name).map_or_else(Vec::new, |schema| properties(known, schema));
    }
    let required: Vec<&str> = items(schema, "required").filter_map(Value::as_str).collect();
    let own = entries(schema, "properties").map(|(field, value)| Property {
        name: field.clone(),
        kind: type_name(value),
        required: required.contains(&field.as_str()),
        description: text(value, "description"),
    });
    items(schema, "allOf").flat_map(|part| properties(known, part)).chain(own).collect()
}
