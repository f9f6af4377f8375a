//! How Patchbay looks at the network: who answers, with which hardware address, under which name, and what the DHCP
//! servers have leased. Nothing here knows the web or the database.
//!
//! | file | is |
//! |---|---|
//! | `icmp.rs`, `icmp/` | one ping, and the sweep over many addresses at a pace |
//! | `neighbours.rs` | which hardware address stands behind an IP address |
//! | `names.rs`, `names/` | the name of an address, asked of a DNS server |
//! | `leases.rs`, `leases/` | what DHCP servers have leased, from their files and answers |
//! | `hostname.rs` | what may pass as a name that others chose |

mod hostname;
pub mod icmp;
pub mod leases;
pub mod names;
pub mod neighbours;
