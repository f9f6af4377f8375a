//! Reports: what is used, by whom, and what is odd; on the screen, in files and on paper.

use crate::auth::access::Route;

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    Vec::new()
}

/// Its calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths())]
pub struct Paths;
