//! GraphQL over the life cycle: the same operations as the calls and the pages, by the same
//! functions, under the names scripts already use.
//!
//! A request is answered for one operator; what they may not do is refused by the field that does
//! it. How deep and how costly a request may be is limited before anything of it runs. Each
//! mutation is a change of its own; with an `Idempotency-Key` each is done once, and a repeated
//! request is answered from what was kept of it.

mod inputs;
mod refusals;
mod schema;
mod shapes;
pub mod web;

use std::sync::LazyLock;

use async_graphql::{EmptySubscription, Request, Response, Schema};

use crate::api::Key;
use crate::auth::Operator;
use schema::{Mutation, Query};

/// Levels a request may have. The deepest useful one has five; the questions by which tools learn
/// a schema have thirteen.
const DEPTH: usize = 15;
/// What a request may cost in all. A field costs 1, what looks into the database more, and a list
/// as many times what is asked of each as it may be long. To learn the schema costs about 300.
const COST: usize = 500;
/// Directives a field may have.
const DIRECTIVES: usize = 4;
/// Levels of nesting a request may have for the parser.
const NESTING: usize = 32;

/// What is offered.
type Offered = Schema<Query, Mutation, EmptySubscription>;

/// The schema, made when somebody first asks.
static SCHEMA: LazyLock<Offered> = LazyLock::new(|| {
    Schema::build(Query, Mutation, EmptySubscription)
        .limit_depth(DEPTH)
        .limit_complexity(COST)
        .limit_directives(DIRECTIVES)
        .limit_recursive_depth(NESTING)
        .finish()
});

/// Who asks, and what their request is known by when it comes again.
struct Caller {
    by: Operator,
    key: Key,
}

/// Answers a request on somebody's behalf.
pub async fn execute(by: Operator, key: Key, request: Request) -> Response {
    SCHEMA.execute(request.data(Caller { by, key })).await
}
