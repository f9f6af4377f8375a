//! Addresses over REST.

use crate::auth::access::Route;

/// Every call about addresses.
pub fn routes() -> Vec<Route> {
    Vec::new()
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths())]
pub struct Paths;
