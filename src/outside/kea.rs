//! Kea's DHCP servers, by their control channel (Kea 3: each server listens itself, on HTTP or on
//! a socket): reservations by the `host_cmds` hook, leases by `lease_cmds`.
//!
//! What is asked for is brought about by reading, comparing and writing: asked again, nothing is
//! written. Reservations Patchbay made carry its mark and the tenant's; those without it belong to
//! whoever wrote them and are never touched.

mod control;
mod reservation;

pub use control::{At, BadPlace, Channel, Place};
pub use reservation::{
    BadIdentifier, Identifier, Lease, Made, Reservation, Settled, Subnet, release, reserve,
};

/// Ports of control channels.
pub const PORTS: &[u16] = &[80, 443, 8000, 8001, 8002, 8003, 8004, 8005, 8006, 8080, 8443];

/// Commands without which nothing works, and the hook that brings them.
pub const NEEDED: [(&str, &str); 4] = [
    ("reservation-add", "libdhcp_host_cmds.so"),
    ("reservation-get-all", "libdhcp_host_cmds.so"),
    ("lease{}-get-page", "libdhcp_lease_cmds.so"),
    ("lease{}-del", "libdhcp_lease_cmds.so"),
];
