//! What is seen in the network: sweeps, names, leases.

use crate::auth::access::Route;

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    Vec::new()
}

/// Its calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths())]
pub struct Paths;
