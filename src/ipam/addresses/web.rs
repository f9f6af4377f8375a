//! The pages of addresses.

use crate::auth::access::Route;

/// Every page of addresses.
pub fn routes() -> Vec<Route> {
    Vec::new()
}
