//! Addresses that follow each other.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::address::{Address, BadAddress, Family};
use super::cidr::{BadCidr, Cidr};
use super::quoted;

/// From one address to another of the same family, both included. Ranges are in the order of
/// their first addresses; of those that begin together the shorter is first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    first: Address,
    last: Address,
}

/// Why text is not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// Something that should be an address is none.
    #[error("{} is not an address; write one such as 10.0.1.20, or a range such as 10.0.1.10-10.0.1.50", quoted(.0))]
    Address(String),
    /// IPv4 in the clothes of IPv6.
    #[error("{} is an IPv4 address: {reason}", quoted(.typed))]
    Mapped {
        /// What was written.
        typed: String,
        /// How to write it.
        reason: BadAddress,
    },
    /// The first address is the higher one.
    #[error("{first} comes after {last}; write the lower address first")]
    Order {
        /// What stands first.
        first: Address,
        /// What stands last.
        last: Address,
    },
    /// One end is IPv4, the other IPv6.
    #[error("{first} is {} and {last} is {}; write two addresses of one kind", .first.family(), .last.family())]
    Mixed {
        /// What stands first.
        first: Address,
        /// What stands last.
        last: Address,
    },
    /// It was to be a subnet.
    #[error(transparent)]
    Subnet(#[from] BadCidr),
    /// A subnet's length is none.
    #[error("{}: {reason}", quoted(.typed))]
    Length {
        /// What was written.
        typed: String,
        /// What is wrong with it.
        reason: BadCidr,
    },
}

impl Range {
    /// From `first` to `last`; none if that is the wrong order or they differ in kind.
    pub fn new(first: Address, last: Address) -> Option<Self> {
        (first.family() == last.family() && first <= last).then_some(Self { first, last })
    }

    /// From `first` to `last`, which are known to be in order.
    pub(super) fn spanning(first: Address, last: Address) -> Self {
        debug_assert!(first.family() == last.family() && first <= last);
        Self { first, last }
    }

    /// One address.
    pub fn single(address: Address) -> Self {
        Self { first: address, last: address }
    }

    /// The lowest address.
    pub fn first(self) -> Address {
        self.first
    }

    /// The highest address.
    pub fn last(self) -> Address {
        self.last
    }

    fn family(self) -> Family {
        self.first.family()
    }

    /// How many numbers it spans; all of IPv6 is one too many to say.
    pub fn size(self) -> u128 {
        (self.last.number() - self.first.number()).saturating_add(1)
    }

    /// Whether the address lies in it.
    pub fn contains(self, address: Address) -> bool {
        self.covers(Self::single(address))
    }

    /// Whether every address of the other lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.family() == other.family() && self.first <= other.first && other.last <= self.last
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.intersection(other).is_some()
    }

    /// The addresses they have in common.
    pub fn intersection(self, other: Self) -> Option<Self> {
        if self.family() != other.family() {
            return None;
        }
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Every address, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = Address> {
        std::iter::successors(Some(self.first), |address| address.next())
            .take_while(move |address| *address <= self.last)
    }

    /// By family, and within it as [`Ord`] says: the order in which ranges that follow each other
    /// are neighbours.
    fn by_family(&self, other: &Self) -> Ordering {
        (self.family(), self).cmp(&(other.family(), other))
    }
}

super::canonical_text!(Range, BadRange);

impl FromStr for Range {
    type Err = BadRange;

    /// `a-b`, one address, a subnet, or, for IPv4, `10.0.1.10-50`.
    fn from_str(text: &str) -> Result<Self, BadRange> {
        if text.contains('/') {
            return match text.parse::<Cidr>() {
                Ok(subnet) => Ok(subnet.range()),
                Err(reason @ (BadCidr::Length(_) | BadCidr::Mapped(_))) => {
                    Err(BadRange::Length { typed: text.to_owned(), reason })
                }
                Err(reason) => Err(BadRange::Subnet(reason)),
            };
        }
        let Some((first, last)) = text.split_once('-') else {
            return address(text).map(Self::single);
        };
        let (first, last) = (first.trim_end_matches(BLANKS), last.trim_start_matches(BLANKS));
        let first = address(first)?;
        let last = match short_form(first, last) {
            Some(last) => last,
            None => address(last)?,
        };
        if first.family() != last.family() {
            return Err(BadRange::Mixed { first, last });
        }
        Self::new(first, last).ok_or(BadRange::Order { first, last })
    }
}

/// What may surround the dash.
const BLANKS: [char; 2] = [' ', '\t'];

/// An end of a range, or all of it.
fn address(text: &str) -> Result<Address, BadRange> {
    text.parse().map_err(|reason| match reason {
        BadAddress::Mapped(_) => BadRange::Mapped { typed: text.to_owned(), reason },
        BadAddress::Form | BadAddress::Stored => BadRange::Address(text.to_owned()),
    })
}

/// The IPv4 address that differs from `first` in the last octet only.
fn short_form(first: Address, octet: &str) -> Option<Address> {
    if first.family() != Family::V4 {
        return None;
    }
    let octet = super::cidr::prefix_length(octet)?;
    Some(Address::from_number(first.number() & !0xff | u128::from(octet)))
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            fmt::Display::fmt(&self.first, f)
        } else {
            f.pad(&format!("{}-{}", self.first, self.last))
        }
    }
}

/// Ranges separated by commas, semicolons or line ends, in the order they are written. Nothing
/// written is no ranges.
pub fn parse_ranges(text: &str) -> Result<Vec<Range>, BadRange> {
    text.split([',', ';', '\n'])
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .map(str::parse)
        .collect()
}

/// The ranges as [`parse_ranges`] reads them.
pub fn show_ranges(ranges: &[Range]) -> String {
    ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(", ")
}

/// The fewest ranges with the same addresses: sorted, those that overlap or adjoin made one.
pub fn normalised(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by(Range::by_family);
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(before) if before.meets(range) => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged.sort_unstable();
    merged
}

impl Range {
    /// Whether the other, which does not begin earlier, begins in it or right after it.
    fn meets(self, other: Self) -> bool {
        self.family() == other.family() && self.last.next().is_none_or(|after| other.first <= after)
    }
}

/// What is left of the ranges of `from` without the `holes`: sorted and disjoint. What is left of
/// one range is not joined to what is left of another, even if they adjoin.
pub fn subtract(from: &[Range], holes: &[Range]) -> Vec<Range> {
    let mut from = from.to_vec();
    from.sort_unstable_by(Range::by_family);
    let mut holes = normalised(holes.to_vec());
    holes.sort_unstable_by(Range::by_family);
    let mut holes = holes.into_iter().peekable();

    let mut left = Vec::new();
    let mut done: Option<Range> = None;
    for range in from {
        // What an earlier range had is not had twice.
        let mut at = match done.filter(|done| done.family() == range.family()) {
            Some(done) => done.last.next().map(|after| after.max(range.first)),
            None => Some(range.first),
        };
        while let Some(first) = at.filter(|first| *first <= range.last) {
            let rest = Range::spanning(first, range.last);
            let hole = loop {
                match holes.peek() {
                    Some(hole) if hole.ends_before(rest) => drop(holes.next()),
                    hole => break hole.and_then(|hole| hole.intersection(rest)),
                }
            };
            let Some(hole) = hole else {
                left.push(rest);
                break;
            };
            if let Some(piece) = hole.first.previous().and_then(|before| Range::new(first, before))
            {
                left.push(piece);
            }
            at = hole.last.next();
        }
        if done.is_none_or(|done| done.family() != range.family() || done.last < range.last) {
            done = Some(range);
        }
    }
    left.sort_unstable();
    left
}

impl Range {
    /// Whether it lies before the other, in the order of families.
    fn ends_before(self, other: Self) -> bool {
        (self.family(), self.last) < (other.family(), other.first)
    }
}

/// Two of the ranges that have an address in common, the lowest such, if there are any.
pub fn first_overlap(ranges: &[Range]) -> Option<(Range, Range)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by(Range::by_family);
    // As long as none overlap, a range can overlap no other before the one right before it.
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs.map(|(one, other)| (*one, *other)).find(|(one, other)| one.overlaps(*other))
}

/// How many addresses lie in the ranges, each counted once.
pub fn total(ranges: &[Range]) -> u128 {
    let sizes = normalised(ranges.to_vec()).into_iter().map(Range::size);
    sizes.fold(0, u128::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        parse_ranges(text).unwrap_err().to_string()
    }

    #[test]
    fn every_way_to_write_a_range_is_read() {
        for (typed, shown) in [
            ("10.0.1.10-10.0.1.50", "10.0.1.10-10.0.1.50"),
            ("10.0.1.10 - 10.0.1.50", "10.0.1.10-10.0.1.50"),
            ("10.0.1.10 -\t50", "10.0.1.10-10.0.1.50"),
            ("10.0.1.10-10", "10.0.1.10"),
            ("10.0.1.10", "10.0.1.10"),
            ("10.0.1.0/28", "10.0.1.0-10.0.1.15"),
            ("10.0.1.0/32", "10.0.1.0"),
            ("2001:DB8::1-2001:db8::00ff", "2001:db8::1-2001:db8::ff"),
            ("2001:db8::/120", "2001:db8::-2001:db8::ff"),
            ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(range(typed).to_string(), shown);
            assert_eq!(range(shown), range(typed));
            assert_eq!(format!("{:?}", range(typed)), shown);
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_with_which_piece() {
        assert_eq!(
            refusal("10.0.0.1, 10.0.0"),
            "“10.0.0” is not an address; write one such as 10.0.1.20, or a range such as \
             10.0.1.10-10.0.1.50"
        );
        for text in ["10.0.1.50-10", "10.0.1.50-10.0.1.10"] {
            assert_eq!(
                refusal(text),
                "10.0.1.50 comes after 10.0.1.10; write the lower address first"
            );
        }
        assert_eq!(
            refusal("10.0.0.1-::1"),
            "10.0.0.1 is IPv4 and ::1 is IPv6; write two addresses of one kind"
        );
        assert_eq!(
            refusal("10.0.1.5/28"),
            "10.0.1.5/28 has host bits set; the subnet is 10.0.1.0/28"
        );
        assert_eq!(
            refusal("10.0.1.0/33"),
            "“10.0.1.0/33”: a prefix length of IPv4 is a number from 0 to 32"
        );
        assert_eq!(
            refusal("::ffff:10.0.0.1"),
            "“::ffff:10.0.0.1” is an IPv4 address: write it as 10.0.0.1"
        );
        assert!(refusal(&"x".repeat(1_000_000)).len() < 300);
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for bad in [
            "",
            "-",
            "10.0.1.10-",
            "-10.0.1.10",
            "10.0.1.10-256",
            "10.0.1.10-050",
            "10.0.1.10-+50",
            "10.0.1.10-1.50",
            "10.0.1.10-20-30",
            "10.0.1.10-１2",
            "2001:db8::1-5",
            "1.2.3.4.5",
            "1.2.3.4\n",
            " 1.2.3.4",
            "1.2.3.4-1.2.3.5 ",
            "10.0.0.0/",
            "10.0.0.0/08",
            "10.0.0.0/8/8",
            "10.0.0.0/8-10.1.0.0",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad:?}");
        }
        assert_eq!(Range::new(address("10.0.0.1"), address("::1:0:0:0")), None);
    }

    #[test]
    fn lists_are_read_and_shown() {
        let list = parse_ranges("10.0.1.10-12; 10.0.1.1,\r\n 2001:db8::1 ,,\n").unwrap();
        assert_eq!(show_ranges(&list), "10.0.1.10-10.0.1.12, 10.0.1.1, 2001:db8::1");
        assert_eq!(parse_ranges(&show_ranges(&list)).unwrap(), list);
        assert_eq!(parse_ranges(" \n").unwrap(), []);
    }

    #[test]
    fn the_families_are_worlds_apart() {
        let all = range("::/0");
        assert_eq!(all.size(), u128::MAX);
        assert!(!all.contains(address("10.0.0.1")) && !all.overlaps(range("10.0.0.0/8")));
        assert_eq!(subtract(&[all], &[range("0.0.0.0/0")]), [all]);
        assert_eq!(first_overlap(&[all, range("10.0.0.0/8")]), None);
        let neighbours = ["::1:0:0:0/96", "255.255.255.255"].map(range);
        assert_eq!(normalised(neighbours.to_vec()).len(), 2);
        let around: Vec<Address> = range("::fffe:ffff:fffe-::1:0:0:1").iter().collect();
        assert_eq!(
            around,
            ["::fffe:ffff:fffe", "::fffe:ffff:ffff", "::1:0:0:0", "::1:0:0:1"].map(address)
        );
    }

    #[test]
    fn the_ends_of_the_families_are_no_special_case() {
        let all = range("0.0.0.0/0");
        let ends = ["0.0.0.0", "255.255.255.255"].map(range);
        assert_eq!(subtract(&[all], &ends), [range("0.0.0.1-255.255.255.254")]);
        assert_eq!(subtract(&[all], &[all]), []);
        assert_eq!(all.size(), 1 << 32);
        assert_eq!(range("255.255.255.254-255").iter().count(), 2);
        let v6 = range("::/0");
        assert_eq!(subtract(&[v6], &[v6]), []);
        assert_eq!(normalised(vec![v6, v6, all]), [v6, all]);
        assert_eq!(total(&[v6, all]), u128::MAX);
        assert_eq!(total(&["10.0.0.0/24", "10.0.0.128/25"].map(range)), 256);
    }

    #[test]
    fn pieces_of_two_ranges_stay_two() {
        let two = ["10.0.0.0/25", "10.0.0.128/25"].map(range);
        assert_eq!(subtract(&two, &[]), two);
        assert_eq!(normalised(two.to_vec()), [range("10.0.0.0/24")]);
        assert_eq!(
            subtract(&two, &[range("10.0.0.10-20")]),
            ["10.0.0.0-9", "10.0.0.21-127", "10.0.0.128/25"].map(range)
        );
    }

    /// Ranges within a /24 and within the last byte of IPv6.
    fn small() -> impl Strategy<Value = Range> {
        let base = prop_oneof![Just("10.0.1.0"), Just("2001:db8::"), Just("255.255.255.0")];
        (base, any::<u8>(), 0_u8..40).prop_map(|(base, first, more)| {
            let first_address = address(base).plus(first.into()).unwrap();
            let last = address(base).plus(first.saturating_add(more).into()).unwrap();
            Range::new(first_address, last).unwrap()
        })
    }

    fn some() -> impl Strategy<Value = Vec<Range>> {
        prop::collection::vec(small(), 0..12)
    }

    fn set(ranges: &[Range]) -> BTreeSet<Address> {
        ranges.iter().flat_map(|range| range.iter()).collect()
    }

    fn is_sorted_and_disjoint(ranges: &[Range]) -> bool {
        ranges.is_sorted() && ranges.windows(2).all(|pair| pair[0].last < pair[1].first)
    }

    proptest! {
        #[test]
        fn text_leads_back(first in any::<u128>(), more in any::<u128>(), v4 in any::<bool>()) {
            let part = if v4 { 0xffff_ffff } else { u128::MAX };
            let base = if v4 { address("0.0.0.0").number() } else { 0 };
            let ends = [base | first & part, base | more & part].map(Address::from_number);
            let it = Range::new(ends[0].min(ends[1]), ends[0].max(ends[1]));
            prop_assume!(it.is_some());
            let it = it.unwrap();
            prop_assert_eq!(it.to_string().parse(), Ok(it));
            prop_assert_eq!(Range::try_from(it.to_string()), Ok(it));
            prop_assert_eq!(parse_ranges(&it.to_string()), Ok(vec![it]));
        }

        #[test]
        fn two_ranges_relate_as_their_addresses_do(one in small(), other in small()) {
            let (a, b) = (set(&[one]), set(&[other]));
            let common: BTreeSet<Address> = a.intersection(&b).copied().collect();
            prop_assert_eq!(u128::try_from(a.len()).unwrap(), one.size());
            prop_assert_eq!(one.overlaps(other), !common.is_empty());
            prop_assert_eq!(one.covers(other), b.is_subset(&a));
            prop_assert_eq!(one.contains(other.first), a.contains(&other.first));
            prop_assert_eq!(one.intersection(other).map(|range| set(&[range])).unwrap_or_default(), common);
        }

        #[test]
        fn normalising_keeps_the_addresses_in_the_fewest_ranges(ranges in some()) {
            let merged = normalised(ranges.clone());
            prop_assert_eq!(set(&merged), set(&ranges));
            prop_assert_eq!(total(&ranges), u128::try_from(set(&ranges).len()).unwrap());
            prop_assert!(is_sorted_and_disjoint(&merged));
            for pair in merged.windows(2) {
                prop_assert_ne!(pair[0].last.next(), Some(pair[1].first));
            }
        }

        #[test]
        fn subtracting_leaves_what_no_hole_has(from in some(), holes in some()) {
            let left = subtract(&from, &holes);
            let expected: BTreeSet<Address> = set(&from).difference(&set(&holes)).copied().collect();
            prop_assert_eq!(set(&left), expected);
            prop_assert!(is_sorted_and_disjoint(&left));
            for piece in &left {
                prop_assert!(from.iter().any(|range| range.covers(*piece)), "joined: {}", piece);
            }
        }

        #[test]
        fn an_overlap_is_found_if_there_is_one(ranges in some()) {
            let any = ranges.iter().enumerate().any(|(at, one)| {
                ranges[at + 1..].iter().any(|other| one.overlaps(*other))
            });
            match first_overlap(&ranges) {
                Some((one, other)) => {
                    prop_assert!(one.overlaps(other) && ranges.contains(&one) && ranges.contains(&other));
                    prop_assert!(one != other || ranges.iter().filter(|range| **range == one).count() > 1);
                }
                None => prop_assert!(!any),
            }
        }

        #[test]
        fn text_never_panics(text in "\\PC*|[0-9a-f.:/ ,;\n-]{0,60}") {
            let _ = text.parse::<Range>().map_err(|refused| refused.to_string());
            let _ = parse_ranges(&text).map_err(|refused| refused.to_string());
        }
    }
}
