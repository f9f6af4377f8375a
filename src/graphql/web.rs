//! `/api/graphql` for scripts, and a page to try it on that needs nothing from elsewhere.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use async_graphql::{Request, Variables};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::{SCHEMA, execute};
use crate::api::{self, Json, Key, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, invalid, ok};

/// Bytes a request may have.
const LIMIT: usize = 64 << 10;

/// Its URLs.
pub fn routes() -> Vec<Route> {
    let page = Access::Page(Right::Read);
    vec![
        Route::post("/api/graphql", Access::Api(Right::Read), call),
        Route::get("/graphql", page, explorer),
        Route::post("/graphql", page, tried).limit(LIMIT),
        Route::get("/graphql/schema", page, description),
    ]
}

/// A request as scripts send it (GraphQL over HTTP).
#[derive(Deserialize, ToSchema)]
#[schema(as = GraphqlRequest)]
struct Asked {
    /// The document, with one operation or several.
    query: String,
    /// Which of several operations.
    #[serde(default, rename = "operationName")]
    operation: Option<String>,
    /// The values of its variables, by name.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    variables: Option<serde_json::Value>,
}

/// What was asked for, or why not.
#[derive(ToSchema)]
#[schema(as = GraphqlResponse)]
#[expect(dead_code, reason = "it describes what async-graphql writes")]
struct Told {
    /// What was asked for, by name; null where it is refused.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// What was refused and where, with a `code` among the `extensions` of each.
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Vec<serde_json::Value>>,
}

/// The call for the `OpenAPI` document.
#[derive(OpenApi)]
#[openapi(paths(call))]
pub struct Paths;

impl Asked {
    fn request(self) -> Request {
        let variables = Variables::from_json(self.variables.unwrap_or_default());
        let request = Request::new(self.query).variables(variables);
        match self.operation {
            Some(name) => request.operation_name(name),
            None => request,
        }
    }
}

/// Ask by GraphQL
///
/// Queries and mutations on the life of addresses and prefixes; `/graphql/schema` has the schema, and
/// `/graphql` is a page to try it on. How deep and how dear a request may be is limited. With an
/// `Idempotency-Key` header each mutation of a repeated request gets the first one's answer, for a day.
#[utoipa::path(post, path = "/api/graphql", operation_id = "graphql", tag = "GraphQL", request_body = Asked,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe")),
    responses((status = 200, body = Told), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem)))]
async fn call(by: Operator, body: api::Body, request: HttpRequest) -> api::Answer {
    if body.0.len() > LIMIT {
        let why = "a request may have at most 64 KiB";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let key = Key::of(&request, &body.0)?;
    let Json(asked) = api::parse::<Asked>(request.headers(), &body.0)?;
    let answer = execute(by, key, asked.request()).await;
    api::json(StatusCode::OK, &answer)
}

/// Something to begin with.
struct Example {
    /// Its name in the URL.
    name: &'static str,
    title: &'static str,
    query: &'static str,
    variables: &'static str,
    /// Whether it changes something.
    changes: bool,
}

const WHO: &str = r#"{ "who": "C-4711" }"#;

const EXAMPLES: [Example; 6] = [
    Example {
        name: "state",
        title: "Look up a subscriber",
        query: "query ($who: UUID!) {\n  ipv4LifecycleState(subscriberId: $who) {\n    state\n    address\n    allocatedAt\n    activatedAt\n    operations\n  }\n}",
        variables: WHO,
        changes: false,
    },
    Example {
        name: "metrics",
        title: "Figures",
        query: "{\n  ipv4LifecycleMetrics {\n    utilization { total active utilizationRate }\n    stateCounts { state count }\n    poolStats { pools(first: 5) { name range utilizationPercent } }\n    leaks\n  }\n}",
        variables: "",
        changes: false,
    },
    Example {
        name: "allocate",
        title: "Allocate",
        query: "mutation ($who: UUID!) {\n  allocateIPv4(subscriberId: $who, options: { subscriberName: \"Ann Lee\" }) {\n    id\n    state\n    address\n  }\n}",
        variables: WHO,
        changes: true,
    },
    Example {
        name: "prefix",
        title: "Allocate a prefix",
        query: "mutation ($who: UUID!) {\n  allocateIPv6(subscriberId: $who, prefixSize: 56) {\n    id\n    state\n    address\n  }\n}",
        variables: WHO,
        changes: true,
    },
    Example {
        name: "suspend",
        title: "Suspend",
        query: "mutation ($who: UUID!, $why: String) {\n  suspendIPv4(subscriberId: $who, reason: $why) {\n    state\n    reason\n    coaResult\n    outside { system call state error }\n  }\n}",
        variables: r#"{ "who": "C-4711", "why": "unpaid" }"#,
        changes: true,
    },
    Example {
        name: "revoke",
        title: "Revoke",
        query: "mutation ($who: UUID!) {\n  revokeIPv4(subscriberId: $who, releaseToPool: true) {\n    state\n    address\n    disconnectResult\n  }\n}",
        variables: WHO,
        changes: true,
    },
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct TryForm {
    query: String,
    variables: Field,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    example: String,
}

#[derive(Template)]
#[template(path = "graphql/index.html")]
struct ExplorerPage {
    shell: Shell,
    form: TryForm,
    answer: Option<String>,
    /// Whether the answer is or has an error.
    failed: bool,
    sdl: String,
    may_manage: bool,
    shown: &'static str,
}

impl ExplorerPage {
    async fn new(by: &Operator, form: TryForm) -> Result<Self, Error> {
        Ok(Self {
            shell: by.shell(&mut by.read().await?, "/lifecycle").await?,
            form,
            answer: None,
            failed: false,
            sdl: SCHEMA.sdl(),
            may_manage: by.may(Right::ManageAddresses),
            shown: "",
        })
    }

    /// What there is to begin with for whoever looks.
    fn examples(&self) -> impl Iterator<Item = &Example> {
        EXAMPLES.iter().filter(|example| self.may_manage || !example.changes)
    }
}

async fn explorer(by: Operator, shown: web::Query<Shown>) -> Answer {
    let [first, ..] = &EXAMPLES;
    let example = EXAMPLES.iter().find(|example| example.name == shown.example).unwrap_or(first);
    let variables = Field::holding(&example.variables);
    let form = TryForm { query: example.query.to_owned(), variables };
    let page = ExplorerPage::new(&by, form).await?;
    ok(&ExplorerPage { shown: example.name, ..page })
}

async fn tried(by: Operator, form: Form<TryForm>) -> Answer {
    let mut page = ExplorerPage::new(&by, form.0).await?;
    let text = match page.form.variables.value.as_str() {
        "" => "null",
        text => text,
    };
    let variables = match serde_json::from_str(text) {
        Ok(variables) => Variables::from_json(variables),
        Err(error) => {
            page.form.variables.reject(&format!("this is not JSON: {error}"));
            return invalid(&page);
        }
    };
    let request = Request::new(page.form.query.clone()).variables(variables);
    let answer = execute(by, Key::default(), request).await;
    page.failed = answer.is_err();
    page.answer = Some(serde_json::to_string_pretty(&answer).unwrap_or_default());
    ok(&page)
}

/// The schema as text, for tools.
async fn description(_: Operator) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(SCHEMA.sdl())
}
