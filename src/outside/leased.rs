//! What somebody has: one address, or a prefix to give addresses of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::net::{Address, BadAddress, BadCidr, Cidr, Family};

/// One address, or a delegated prefix. Written `10.0.0.5` or `2001:db8:5::/48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leased {
    /// An address of either family.
    Address(Address),
    /// A prefix.
    Delegated(Cidr),
}

/// Neither an address nor a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLeased {
    /// Without a slash, and no address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// With a slash, and no prefix.
    #[error(transparent)]
    Prefix(#[from] BadCidr),
}

impl Leased {
    /// The family it is of.
    pub fn family(self) -> Family {
        self.first().family()
    }

    /// The address, or the first of the prefix.
    pub fn first(self) -> Address {
        match self {
            Self::Address(address) => address,
            Self::Delegated(prefix) => prefix.network(),
        }
    }
}

impl FromStr for Leased {
    type Err = BadLeased;

    fn from_str(text: &str) -> Result<Self, BadLeased> {
        if text.contains('/') {
            Ok(Self::Delegated(text.parse()?))
        } else {
            Ok(Self::Address(text.parse()?))
        }
    }
}

impl fmt::Display for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Delegated(prefix) => prefix.fmt(f),
        }
    }
}

impl Serialize for Leased {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Leased {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_prefix_come_back_from_their_text() {
        for text in ["10.0.0.5", "2001:db8::5", "2001:db8:5::/56", "10.0.0.0/24"] {
            assert_eq!(text.parse::<Leased>().unwrap().to_string(), text);
        }
        assert!("2001:db8::1/56".parse::<Leased>().is_err());
        assert!("host".parse::<Leased>().is_err());
    }
}
