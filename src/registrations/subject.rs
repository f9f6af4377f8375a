//! What somebody may ask after: a number, a device, an address.

use std::fmt;
use std::str::FromStr;

use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;

/// What is asked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A device.
    Mac(Mac),
    /// An address.
    Address(Address),
    /// A number.
    Number(ExtensionNumber),
}

/// None of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a MAC address, an IP address or an extension")]
pub struct BadSubject;

impl Subject {
    /// What kind it is, as calls name it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Mac(_) => "mac",
            Self::Address(_) => "ip",
            Self::Number(_) => "extension",
        }
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let text = text.trim();
        // The longest number is shorter than a MAC, and addresses have separators: nothing is two.
        let number = text.parse().map(Self::Number).ok();
        let mac = || text.parse().map(Self::Mac).ok();
        let address = || text.parse().map(Self::Address).ok();
        number.or_else(mac).or_else(address).ok_or(BadSubject)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_its_looks() {
        for (text, kind, shown) in [
            ("1000", "extension", "1000"),
            ("12345678", "extension", "12345678"),
            ("001565123456", "mac", "00:15:65:12:34:56"),
            ("0015.6512.3456", "mac", "00:15:65:12:34:56"),
            (" 10.0.1.20 ", "ip", "10.0.1.20"),
            ("2001:db8::1", "ip", "2001:db8::1"),
        ] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!((subject.kind(), subject.to_string().as_str()), (kind, shown));
        }
        for bad in ["", "1", "010", "ann", "10.0.1.300", "00:15:65", "123456789"] {
            assert_eq!(bad.parse::<Subject>(), Err(BadSubject), "{bad}");
        }
    }
}
