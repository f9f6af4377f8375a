//! The values of IP address management: addresses, ranges of them, subnets and MAC addresses.
//!
//! IPv4 and IPv6 share one number line, as they do in the database: an IPv4 address is the number
//! of its v4-mapped form. They stay two families nevertheless: nothing of one contains, overlaps
//! or adjoins anything of the other, and the mapped part belongs to IPv4 alone.

mod address;
mod cidr;
mod mac;
mod range;
mod search;

pub use address::{Address, BadAddress, Family};
pub use cidr::{BadCidr, Cidr, cover, free_blocks};
pub use mac::{BadMac, Mac, mac_part};
pub use range::{
    BadRange, Range, first_overlap, normalised, parse_ranges, show_ranges, subtract, total,
};
pub use search::ranges_matching;

/// For a value with a canonical text: it is read from owned text, written into JSON and shown in
/// debug output in that text.
macro_rules! canonical_text {
    ($name:ident, $error:ident) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
use canonical_text;

/// What somebody typed, short enough for an error to repeat.
fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("\u{201c}{}…\u{201d}", text.get(..end).unwrap_or_default()),
        None => format!("\u{201c}{text}\u{201d}"),
    }
}
