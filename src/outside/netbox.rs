//! NetBox by its REST interface, version 4: addresses and prefixes of a tenant's, known again by
//! their id, and when that is lost by the address together with the tenant's tag.
//!
//! <https://netboxlabs.com/docs/netbox/integrations/rest-api/>

mod client;
mod record;

pub use client::{Client, Version};
pub use record::{Found, Record, RecordStatus, Stored};

/// Ports NetBox is usually reached on.
pub const PORTS: &[u16] = &[80, 443, 8000, 8080, 8443];
