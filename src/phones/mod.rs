//! Phones: devices known by their MAC, the lines and keys they have, and their settings.
//!
//! A phone's static address is not a fact of its own: it is the address that IPAM says the phone
//! holds. A number rings one phone, because Asterisk keeps one contact for a number.

mod models;
pub mod settings;
mod types;

pub use models::{BadModel, BadVendor, Kind, MODELS, Model, Vendor};
pub use types::{BadDialled, BadKeyKind, Dialled, KeyKind, Phone, PhoneKey, PhoneLine, Seen};
