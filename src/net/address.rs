//! One address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Which of the two kinds an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// 32 bits.
    V4,
    /// 128 bits.
    V6,
}

impl Family {
    /// How long an address is, and the longest prefix.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An IPv4 or IPv6 address. Its number is the IPv6 one; that of IPv4 is the v4-mapped
/// `::ffff:a.b.c.d`. Shown in its one canonical form: dotted, or as RFC 5952 says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u128);

/// Why text or bytes are not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Anything else.
    #[error("write an address such as 10.0.1.20 or 2001:db8::20")]
    Form,
    /// IPv4 in the clothes of IPv6: one address has one spelling.
    #[error("write it as {0}")]
    Mapped(Ipv4Addr),
    /// Not what [`Address::key`] gives.
    #[error("a stored address has 16 bytes")]
    Stored,
}

/// The longest text of an address: eight groups of four, the last two dotted.
const LONGEST: usize = 45;

impl Address {
    const MAPPED_FIRST: u128 = 0xffff_0000_0000;
    const MAPPED_LAST: u128 = 0xffff_ffff_ffff;
    /// 0.0.0.0
    pub(super) const LOWEST_V4: Self = Self(Self::MAPPED_FIRST);
    /// 255.255.255.255
    pub(super) const HIGHEST_V4: Self = Self(Self::MAPPED_LAST);

    /// Which kind it is.
    pub fn family(self) -> Family {
        match self.0 {
            Self::MAPPED_FIRST..=Self::MAPPED_LAST => Family::V4,
            _ => Family::V6,
        }
    }

    /// The 128-bit number, that of IPv4 mapped.
    pub fn number(self) -> u128 {
        self.0
    }

    /// The address with this number.
    pub fn from_number(number: u128) -> Self {
        Self(number)
    }

    /// As databases store it: 16 bytes whose order is that of the addresses.
    pub fn key(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    /// The next higher address of the family, if this is not its highest.
    pub fn next(self) -> Option<Self> {
        Self::after(self.0, self.family())
    }

    /// The lowest address of the family above a number.
    pub(super) fn after(number: u128, family: Family) -> Option<Self> {
        let next = Self(number.checked_add(1)?);
        match (family, next.family()) {
            (Family::V6, Family::V4) => Some(Self(Self::MAPPED_LAST + 1)),
            (wanted, found) => (wanted == found).then_some(next),
        }
    }

    /// The next lower address of the family, if this is not its lowest.
    pub fn previous(self) -> Option<Self> {
        let previous = Self(self.0.checked_sub(1)?);
        match (self.family(), previous.family()) {
            (Family::V6, Family::V4) => Some(Self(Self::MAPPED_FIRST - 1)),
            (wanted, found) => (wanted == found).then_some(previous),
        }
    }

    /// The address whose number is higher by `n`, if the family has it.
    pub fn plus(self, n: u128) -> Option<Self> {
        self.0.checked_add(n).map(Self).filter(|sum| sum.family() == self.family())
    }

    /// For programs' own interfaces.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }
}

super::canonical_text!(Address, BadAddress);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.len() > LONGEST {
            return Err(BadAddress::Form);
        }
        let ip: IpAddr = text.parse().map_err(|_| BadAddress::Form)?;
        match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(plain)) => Err(BadAddress::Mapped(plain)),
            _ => Ok(ip.into()),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

impl TryFrom<Vec<u8>> for Address {
    type Error = BadAddress;

    fn try_from(key: Vec<u8>) -> Result<Self, BadAddress> {
        let bytes = <[u8; 16]>::try_from(key).map_err(|_| BadAddress::Stored)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (typed, shown) in [
            ("10.0.1.20", "10.0.1.20"),
            ("2001:DB8:0:0:0:0:0:20", "2001:db8::20"),
            ("2001:0db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
            ("::", "::"),
        ] {
            assert_eq!(address(typed).to_string(), shown);
            assert_eq!(format!("{:?}", address(typed)), shown);
            assert_eq!(serde_json::to_string(&address(typed)).unwrap(), format!("\"{shown}\""));
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let huge = "1".repeat(1_000_000);
        for bad in [
            "",
            " ",
            "10",
            "10.0.1",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.04",
            "１.2.3.4",
            "1.2.3.4\n",
            " 1.2.3.4",
            "1.2.3.4/32",
            "fe80::1%eth0",
            "[::1]",
            "1::2::3",
            "12345::",
            ":::",
            &huge,
        ] {
            assert_eq!(bad.parse::<Address>(), Err(BadAddress::Form), "{bad:?}");
        }
        for mapped in ["::ffff:1.2.3.4", "::FFFF:102:304", "0:0:0:0:0:ffff:1.2.3.4"] {
            let refused = mapped.parse::<Address>().unwrap_err();
            assert_eq!(refused.to_string(), "write it as 1.2.3.4", "{mapped}");
        }
        assert_eq!(Address::try_from(vec![1, 2, 3, 4]), Err(BadAddress::Stored));
        assert_eq!(Address::try_from(vec![0; 17]), Err(BadAddress::Stored));
    }

    #[test]
    fn neighbours_stay_in_the_family() {
        assert_eq!(address("255.255.255.255").next(), None);
        assert_eq!(address("0.0.0.0").previous(), None);
        assert_eq!(address("10.0.0.255").next(), Some(address("10.0.1.0")));
        assert_eq!(address("10.0.1.0").previous(), Some(address("10.0.0.255")));
        assert_eq!(address("::").previous(), None);
        assert_eq!(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").next(), None);
        assert_eq!(address("::fffe:ffff:ffff").next(), Some(address("::1:0:0:0")));
        assert_eq!(address("::1:0:0:0").previous(), Some(address("::fffe:ffff:ffff")));
        assert_eq!(address("::fffe:ffff:ffff").plus(1), None);
        assert_eq!(address("10.0.0.1").plus(256), Some(address("10.0.1.1")));
        assert_eq!(address("10.0.0.1").plus(1 << 32), None);
        assert_eq!(address("10.0.0.1").plus(u128::MAX), None);
        assert_eq!(address("::1").plus(u128::MAX), None);
    }

    #[test]
    fn a_mapped_address_of_the_system_is_ipv4() {
        let ip: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(Address::from(ip), address("10.0.0.1"));
        assert_eq!(Address::from(ip).ip().to_string(), "10.0.0.1");
        assert_eq!(Address::from(ip).family().to_string(), "IPv4");
        assert_eq!(address("::1").family().to_string(), "IPv6");
    }

    /// Numbers of both families, IPv4 as often as IPv6.
    fn numbers() -> impl Strategy<Value = u128> {
        prop_oneof![
            any::<u128>(),
            any::<u32>().prop_map(|n| Address::MAPPED_FIRST + u128::from(n)),
            any::<u64>().prop_map(u128::from),
        ]
    }

    proptest! {
        #[test]
        fn text_and_key_lead_back(number in numbers()) {
            let it = Address::from_number(number);
            prop_assert_eq!(it.number(), number);
            prop_assert_eq!(it.to_string().parse(), Ok(it));
            prop_assert_eq!(Address::try_from(it.to_string()), Ok(it));
            prop_assert_eq!(Address::try_from(it.key()), Ok(it));
            prop_assert_eq!(Address::from(it.ip()), it);
        }

        #[test]
        fn keys_are_in_the_order_of_addresses(one in numbers(), other in numbers()) {
            let (one, other) = (Address(one), Address(other));
            prop_assert_eq!(one.key().cmp(&other.key()), one.cmp(&other));
        }

        #[test]
        fn the_previous_of_the_next_is_the_address(number in numbers()) {
            let it = Address(number);
            if let Some(next) = it.next() {
                prop_assert_eq!(next.family(), it.family());
                prop_assert_eq!(next.previous(), Some(it));
            }
        }

        #[test]
        fn text_never_panics(text in "\\PC*|[0-9a-f.:/%-]{0,50}") {
            let _ = text.parse::<Address>();
        }
    }
}
