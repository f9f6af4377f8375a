//! The numbers people dial: one extension, and a tenant's range of them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What is dialled before a number to pick up the call that rings there. No number begins so: a
/// number is digits. Nor does the `*8` of Asterisk's own `features.conf` get in the way: that is
/// compared with all that was dialled, and this is never dialled alone.
pub const PICKUP: &str = "*8";

/// A dialable number: 2 to 8 digits, the first not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExtensionNumber(u32);

/// Not a number Patchbay gives to a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 2 to 8 digits, the first not 0")]
pub struct BadExtensionNumber;

impl ExtensionNumber {
    const LOWEST: u32 = 10;
    const HIGHEST: u32 = 99_999_999;

    /// As databases store it.
    pub fn as_i64(self) -> i64 {
        i64::from(self.0)
    }
}

impl FromStr for ExtensionNumber {
    type Err = BadExtensionNumber;

    fn from_str(text: &str) -> Result<Self, BadExtensionNumber> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
            return Err(BadExtensionNumber);
        }
        text.parse::<i64>().map_err(|_| BadExtensionNumber)?.try_into()
    }
}

impl TryFrom<i64> for ExtensionNumber {
    type Error = BadExtensionNumber;

    fn try_from(number: i64) -> Result<Self, BadExtensionNumber> {
        match u32::try_from(number) {
            Ok(number @ Self::LOWEST..=Self::HIGHEST) => Ok(Self(number)),
            _ => Err(BadExtensionNumber),
        }
    }
}

impl fmt::Display for ExtensionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The numbers a tenant may give out, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionRange {
    first: ExtensionNumber,
    last: ExtensionNumber,
}

/// The first number lies behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last number must not be lower than the first")]
pub struct BadExtensionRange;

impl ExtensionRange {
    /// From `first` to `last`.
    pub fn new(first: ExtensionNumber, last: ExtensionNumber) -> Result<Self, BadExtensionRange> {
        if first <= last { Ok(Self { first, last }) } else { Err(BadExtensionRange) }
    }

    /// From the lower of the two to the higher.
    pub fn spanning(one: ExtensionNumber, other: ExtensionNumber) -> Self {
        Self { first: one.min(other), last: one.max(other) }
    }

    /// The lowest number.
    pub fn first(self) -> ExtensionNumber {
        self.first
    }

    /// The highest number.
    pub fn last(self) -> ExtensionNumber {
        self.last
    }

    /// How many numbers there are.
    pub fn size(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }

    /// Whether the number lies in the range.
    pub fn contains(self, number: ExtensionNumber) -> bool {
        self.first <= number && number <= self.last
    }

    /// Asterisk extension patterns (without the leading `_`) that match exactly the numbers of
    /// the range, e.g. `1XXX` for 1000-1999. Their count depends on the digits, not on the size.
    pub fn patterns(self) -> Vec<String> {
        let mut patterns = Vec::new();
        let mut low = self.first.0;
        while low <= self.last.0 {
            // The largest block 10^k that starts at `low`, keeps its length and stays in the range.
            let mut block = 1;
            while low.is_multiple_of(block * 10)
                && low + (block * 10 - 1) <= self.last.0
                && block * 10 <= low
            {
                block *= 10;
            }
            // Neighbouring blocks that differ in one digit only become one class.
            let digit = low / block % 10;
            let mut more = 0;
            while digit + more < 9 && low + (more + 2) * block - 1 <= self.last.0 {
                more += 1;
            }
            patterns.push(pattern(low, block, digit + more));
            low += (more + 1) * block;
        }
        patterns
    }
}

/// The pattern for the blocks of size `block` from `low` up to the one whose digit is `top`.
fn pattern(low: u32, block: u32, top: u32) -> String {
    let (head, digit) = (low / block / 10, low / block % 10);
    let class = match (digit, top) {
        (0, 9) => "X".to_owned(),
        (1, 9) => "Z".to_owned(),
        (2, 9) => "N".to_owned(),
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("[{from}-{to}]"),
    };
    let tail = "X".repeat(usize::try_from(block.ilog10()).unwrap_or(0));
    if head == 0 { format!("{class}{tail}") } else { format!("{head}{class}{tail}") }
}

impl fmt::Display for ExtensionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(first: u32, last: u32) -> ExtensionRange {
        ExtensionRange::new(ExtensionNumber(first), ExtensionNumber(last)).unwrap()
    }

    /// Asterisk's own matching: X, Z, N, a class, or the digit itself.
    fn matches(pattern: &str, number: &str) -> bool {
        let mut digits = number.chars();
        let mut rest = pattern.chars();
        while let Some(symbol) = rest.next() {
            let Some(digit) = digits.next() else { return false };
            let ok = match symbol {
                'X' => true,
                'Z' => digit >= '1',
                'N' => digit >= '2',
                '[' => {
                    let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                    let ends: Vec<char> = class.chars().collect();
                    ends[0] <= digit && digit <= ends[2]
                }
                literal => literal == digit,
            };
            if !ok {
                return false;
            }
        }
        digits.next().is_none()
    }

    #[test]
    fn refuses_anything_asterisk_would_read_as_more_than_a_number() {
        for bad in
            ["_1XXX", "1", "0999", "123456789", "10 1", "1000]", "abc", "١٢٣", "", "+100", "-100"]
        {
            assert_eq!(bad.parse::<ExtensionNumber>(), Err(BadExtensionNumber), "{bad:?}");
        }
        assert_eq!("1000".parse::<ExtensionNumber>().unwrap().to_string(), "1000");
    }

    #[test]
    fn usual_ranges_have_the_patterns_a_person_would_write() {
        assert_eq!(range(1000, 1999).patterns(), ["1XXX"]);
        assert_eq!(range(2000, 4999).patterns(), ["[2-4]XXX"]);
        assert_eq!(range(100, 999).patterns(), ["ZXX"]);
        assert_eq!(range(1000, 10999).patterns(), ["ZXXX", "10XXX"]);
        assert_eq!(range(1005, 1005).patterns(), ["1005"]);
    }

    proptest! {
        #[test]
        fn patterns_match_exactly_the_numbers_of_the_range(first in 10u32..30_000, size in 0u32..30_000, probe in 10u32..70_000) {
            let range = range(first, first + size);
            let patterns = range.patterns();
            prop_assert!(patterns.len() <= 20, "{} patterns", patterns.len());
            for number in [probe, first, first + size, first.saturating_sub(1).max(10), first + size + 1] {
                let hits = patterns.iter().filter(|pattern| matches(pattern, &number.to_string())).count();
                prop_assert_eq!(hits, usize::from(range.contains(ExtensionNumber(number))), "{} in {:?}", number, patterns);
            }
        }
    }
}
