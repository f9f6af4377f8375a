//! What systems outside hold of the register of addresses: told, compared, put right, and written
//! to files for those that are not spoken to; and what others entered in NetBox (`others`).
//!
//! Telling is level-triggered (`keep`): a pass compares what the register says with what was last
//! ordered, and orders the difference. Events would be quicker by a second, but every place that
//! changes an address would have to send them, imports and populating included, and one forgotten
//! would be wrong for good; a pass finds every difference wherever it came from, also the one from
//! while a system was switched off, and ordering it twice changes nothing. Two numbers tell whether
//! anything changed at all, so that a pass costs nothing while nothing does.

pub mod api;
mod compare;
mod export;
mod keep;
mod leases;
mod others;
mod queries;
pub mod web;

use crate::auth::access::Route;

pub use compare::{Difference, Report, compare, put_right};
pub use export::{BadFormat, Format, export};
pub use keep::{Keeper, follow};
pub use others::{Others, others};

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}
