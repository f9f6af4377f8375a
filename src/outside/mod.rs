//! The systems outside that follow the addresses: how each is spoken to. Nothing here knows the web or the database.
//!
//! | file | is |
//! |---|---|
//! | `fault.rs` | why a call came to nothing, in words, and whether trying again may help |
//! | `guard.rs` | whom Patchbay may call: what an administrator allowed, and which ports |
//! | `http.rs` | JSON over HTTP to an address that was checked, within limits |
//! | `radius.rs`, `radius/` | changes to a session and its end (RFC 5176): packets, and the exchange |
//! | `kea.rs`, `kea/` | the control channel of a Kea DHCP server: reservations and leases |
//! | `netbox.rs`, `netbox/` | NetBox's REST interface: addresses and prefixes |
//! | `leased.rs` | what they all speak of: an address, or a prefix somebody was given |

pub mod fault;
pub mod guard;
pub mod http;
pub mod kea;
mod leased;
pub mod netbox;
pub mod radius;

pub use fault::Fault;
pub use leased::Leased;

/// A secret of such a system: printed nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Key(String);

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Key {
    /// The secret itself, for the one place that sends or seals it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}
