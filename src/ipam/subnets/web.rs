//! The pages of subnets.

use crate::auth::access::Route;

/// Every page of subnets.
pub fn routes() -> Vec<Route> {
    Vec::new()
}
