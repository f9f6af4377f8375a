//! IP address management: subnets, their pools, every address and who holds it.
//!
//! An address has a row only while there is something to say of it. Free addresses are the *gaps*
//! of the pools, kept as ranges ([`space`]), so that a pool of any size costs a few rows, the next
//! free address is the beginning of the first gap, and a list can show a gap as one line. How many
//! there are of each kind is counted as it changes ([`tally`]), in the tenant, in each subnet and
//! in blocks of addresses, so that no page counts rows.
//!
//! Every writing operation begins with [`space::Space::open`], which takes the tenant's lock, and
//! ends with [`space::Space::close`], which writes the counts.

pub mod addresses;
pub mod class;
pub mod exchange;
pub mod hosts;
pub mod observe;
pub mod populate;
pub mod prefixes;
pub mod report;
pub mod space;
pub mod subnets;
pub mod tally;
pub mod web;

use crate::auth::access::Route;

/// Every page and call about addresses.
pub fn routes() -> Vec<Route> {
    let parts = [
        subnets::web::routes(),
        subnets::api::routes(),
        addresses::web::routes(),
        addresses::api::routes(),
        hosts::web::routes(),
        hosts::api::routes(),
        exchange::routes(),
        report::routes(),
        observe::routes(),
        prefixes::web::routes(),
        prefixes::api::routes(),
    ];
    parts.into_iter().flatten().collect()
}
