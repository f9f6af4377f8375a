//! The pages of hosts.

use crate::auth::access::Route;

/// Every page of hosts.
pub fn routes() -> Vec<Route> {
    Vec::new()
}
