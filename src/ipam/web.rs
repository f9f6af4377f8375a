//! What pages and calls about addresses share.

use crate::auth::{Operator, Right};
use crate::ipam::addresses::Reserver;

/// Whose reservations an operator may touch.
pub fn reserver(by: &Operator) -> Reserver {
    Reserver { name: by.name().to_string(), anybodys: by.may(Right::ManageAddresses) }
}
