//! What a prefix pool is.

use std::fmt;
use std::str::FromStr;

use crate::id::PrefixPoolId;
use crate::net::{Address, Cidr, Range};
use crate::text::{BadLine, Line};
use crate::time::Timestamp;

/// What a prefix pool is called: 1 to 100 characters, unique in the tenant whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolName(Line<100>);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPoolName {
    /// Nothing there.
    #[error("enter a name, such as Customers Berlin")]
    Empty,
    /// Not a line.
    #[error(transparent)]
    Line(#[from] BadLine),
}

impl FromStr for PoolName {
    type Err = BadPoolName;

    fn from_str(text: &str) -> Result<Self, BadPoolName> {
        let line: Line<100> = text.parse()?;
        if line.is_empty() { Err(BadPoolName::Empty) } else { Ok(Self(line)) }
    }
}

impl TryFrom<String> for PoolName {
    type Error = BadPoolName;

    fn try_from(text: String) -> Result<Self, BadPoolName> {
        text.parse()
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PoolName {
    /// The form in which names are compared and sorted.
    pub fn key(&self) -> String {
        self.0.key()
    }
}

/// How long a delegated prefix is: 48 to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixLength(u8);

/// Not the length of a delegated prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use a prefix length from 48 to 64")]
pub struct BadPrefixLength;

impl PrefixLength {
    /// The usual one: 256 subnets for each site (RFC 6177).
    pub const USUAL: Self = Self(56);
    /// The longest.
    pub const LONGEST: u8 = 64;

    /// In bits.
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for PrefixLength {
    type Error = BadPrefixLength;

    fn try_from(length: i64) -> Result<Self, BadPrefixLength> {
        let known = u8::try_from(length).ok().filter(|length| (48..=64).contains(length));
        known.map(Self).ok_or(BadPrefixLength)
    }
}

impl FromStr for PrefixLength {
    type Err = BadPrefixLength;

    fn from_str(text: &str) -> Result<Self, BadPrefixLength> {
        let digits = text.strip_prefix('/').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let length = plain.then(|| digits.parse::<i64>().ok()).flatten();
        length.ok_or(BadPrefixLength)?.try_into()
    }
}

impl fmt::Display for PrefixLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A prefix pool to be made.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// What it is called.
    pub name: PoolName,
    /// The block.
    pub cidr: Cidr,
    /// The length of a prefix when nobody says one.
    pub delegated: PrefixLength,
}

/// A prefix pool as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixPool {
    /// Its id.
    pub id: PrefixPoolId,
    /// What it is called.
    pub name: PoolName,
    /// The block.
    pub cidr: Cidr,
    /// The length of a prefix when nobody says one.
    pub delegated: PrefixLength,
    /// What is free, in /64s.
    pub free: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

impl PrefixPool {
    /// All of it, in /64s.
    pub fn size(&self) -> i64 {
        units(self.cidr.range())
    }

    /// What is used of it, in per cent.
    pub fn used_percent(&self) -> f64 {
        let (size, used) = (self.size(), self.size().saturating_sub(self.free));
        // Up to 2^48, which a float holds exactly.
        let exact = |units: i64| {
            i32::try_from(units >> 17).map_or(0.0, f64::from) * 131_072.0
                + i32::try_from(units & 0x1_ffff).map_or(0.0, f64::from)
        };
        if size == 0 { 0.0 } else { exact(used) / exact(size) * 100.0 }
    }
}

/// A prefix nobody has that is not given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The prefix.
    pub cidr: Cidr,
    /// Why.
    pub reason: String,
    /// When it is free again; none is when somebody says so.
    pub until: Option<Timestamp>,
}

/// A range in /64s.
pub(super) fn units(range: Range) -> i64 {
    i64::try_from(range.size() >> 64).unwrap_or(i64::MAX)
}

/// The length of the largest aligned block in a range, none if it has not even a /64.
pub(super) fn fits(range: Range) -> Option<u8> {
    (0..=PrefixLength::LONGEST).find(|length| lowest_in(range, *length).is_some())
}

/// The lowest aligned block of `length` bits in a range.
pub(super) fn lowest_in(range: Range, length: u8) -> Option<Cidr> {
    let at = range.first();
    let around = Cidr::around(at, length)?;
    let block = if around.network() == at {
        around
    } else {
        Cidr::around(Address::from_number(around.last().number().checked_add(1)?), length)?
    };
    range.covers(block.range()).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    #[test]
    fn a_length_is_48_to_64() {
        assert_eq!("56".parse(), Ok(PrefixLength::USUAL));
        assert_eq!("/64".parse::<PrefixLength>().unwrap().bits(), 64);
        for bad in ["", "47", "65", "/", "//56", "+56", "５６", "56 ", "99999999999999999999"] {
            assert_eq!(bad.parse::<PrefixLength>(), Err(BadPrefixLength), "{bad:?}");
        }
    }

    #[test]
    fn a_block_begins_where_its_length_says() {
        let free = range("2001:db8:0:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff");
        let found = |length| lowest_in(free, length).map(|block| block.to_string());
        assert_eq!(found(64).as_deref(), Some("2001:db8:0:1::/64"));
        assert_eq!(found(56).as_deref(), Some("2001:db8:0:100::/56"));
        assert_eq!(found(48).as_deref(), Some("2001:db8:1::/48"));
        assert_eq!((found(47), fits(free)), (None, Some(48)));
        assert_eq!(fits(range("2001:db8::1-2001:db8::5")), None);
    }

    proptest! {
        #[test]
        fn the_block_found_is_the_lowest_there_is(first in 0_u64..300, size in 1_u64..300, length in 56_u8..=64) {
            let base = range("2001:db8::-2001:db8::1").first().number();
            let at = |n: u64| Address::from_number(base + (u128::from(n) << 64));
            let free = Range::new(at(first), Address::from_number(at(first + size).number() - 1)).unwrap();
            let step = 1_u64 << (64 - length);
            let walked = (0..700).filter(|n| n % step == 0).find(|n| *n >= first && n + step <= first + size);
            let found = lowest_in(free, length);
            prop_assert_eq!(found.map(Cidr::network), walked.map(at));
            prop_assert_eq!(found.is_some(), fits(free).is_some_and(|fits| fits <= length));
        }
    }
}
