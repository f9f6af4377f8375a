//! A subnet: the addresses that begin with the same bits.

use std::fmt;
use std::str::FromStr;

use super::address::{Address, BadAddress, Family};
use super::range::{Range, subtract};

/// A network and the length of its prefix, 0 to 32 or 0 to 128. Subnets are in the order of their
/// networks; of those at one network the larger is first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: Address,
    length: u8,
}

/// Why text is not a subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCidr {
    /// Not an address and a number.
    #[error("{} is not a subnet; write one such as 10.0.1.0/24 or 2001:db8:1::/64", super::quoted(.0))]
    Form(String),
    /// IPv4 in the clothes of IPv6.
    #[error("use the IPv4 address: {0}")]
    Mapped(BadAddress),
    /// An address and nothing else.
    #[error("add the prefix length, such as {example}")]
    NoLength {
        /// With the usual length.
        example: Cidr,
    },
    /// No prefix is that long.
    #[error("a prefix length of {0} is a number from 0 to {bits}", bits = .0.bits())]
    Length(Family),
    /// Bits behind the prefix are set.
    #[error("{typed} has host bits set; the subnet is {corrected}")]
    HostBits {
        /// What was written.
        typed: String,
        /// What was probably meant.
        corrected: Cidr,
    },
    /// An IPv6 block that ends within the addresses of IPv4.
    #[error("{0} reaches into ::ffff:0:0/96, which stands for IPv4; choose another subnet")]
    Reserved(String),
}

/// The bits behind a prefix.
fn host_mask(family: Family, length: u8) -> u128 {
    let hosts = family.bits().saturating_sub(length);
    u128::MAX.checked_shr(128 - u32::from(hosts)).unwrap_or(0)
}

impl Cidr {
    /// The subnet that begins at `network`, which has no bits behind the prefix.
    pub fn new(network: Address, length: u8) -> Result<Self, BadCidr> {
        let family = network.family();
        if length > family.bits() {
            return Err(BadCidr::Length(family));
        }
        let typed = || format!("{network}/{length}");
        match Self::around(network, length) {
            None => Err(BadCidr::Reserved(typed())),
            Some(it) if it.network == network => Ok(it),
            Some(corrected) => Err(BadCidr::HostBits { typed: typed(), corrected }),
        }
    }

    /// The subnet of that length that holds the address, if there is such a length. (Nor are there
    /// IPv6 subnets that end within the mapped addresses of IPv4.)
    pub fn around(address: Address, length: u8) -> Option<Self> {
        let family = address.family();
        let hosts = host_mask(family, length);
        let network = Address::from_number(address.number() & !hosts);
        let last = Address::from_number(network.number() | hosts);
        let whole =
            length <= family.bits() && network.family() == family && last.family() == family;
        whole.then_some(Self { network, length })
    }

    /// The lowest address.
    pub fn network(self) -> Address {
        self.network
    }

    /// How many bits its addresses have in common.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Which kind its addresses are.
    pub fn family(self) -> Family {
        self.network.family()
    }

    fn hosts(self) -> u128 {
        host_mask(self.family(), self.length)
    }

    /// Every address.
    pub fn range(self) -> Range {
        Range::spanning(self.network, self.last())
    }

    /// The highest address: that of IPv4 is the broadcast address of most subnets.
    pub fn last(self) -> Address {
        Address::from_number(self.network.number() | self.hosts())
    }

    /// Whether the address begins with the prefix.
    pub fn contains(self, address: Address) -> bool {
        self.range().contains(address)
    }

    /// Whether the other is the same subnet or a part of it.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }

    /// The prefix's bits set and no others, such as 255.255.255.0.
    pub fn netmask(self) -> Address {
        let every = match self.family() {
            Family::V4 => Address::HIGHEST_V4.number(),
            Family::V6 => u128::MAX,
        };
        Address::from_number(every & !self.hosts())
    }

    /// What machines may be given: without network and broadcast address in IPv4, but all of a
    /// /31 and a /32 (RFC 3021); without the subnet-router anycast address in IPv6 (RFC 4291,
    /// 2.6.1), but all of a /127 and a /128 (RFC 6164).
    pub fn usable(self) -> Range {
        let (first, last) = (self.network, self.last());
        if self.is_pair_or_single() {
            return self.range();
        }
        let first = first.next().unwrap_or(first);
        match self.family() {
            Family::V4 => Range::spanning(first, last.previous().unwrap_or(last)),
            Family::V6 => Range::spanning(first, last),
        }
    }

    /// What [`Cidr::usable`] leaves out, each with what it is called.
    pub fn never(self) -> Vec<(Address, &'static str)> {
        match self.family() {
            _ if self.is_pair_or_single() => Vec::new(),
            Family::V4 => vec![(self.network, "network"), (self.last(), "broadcast")],
            Family::V6 => vec![(self.network, "subnet-router anycast")],
        }
    }

    /// Too small for addresses that no machine has.
    fn is_pair_or_single(self) -> bool {
        self.hosts() <= 1
    }

    /// The two subnets it consists of, unless it is one address.
    pub fn halves(self) -> Option<(Self, Self)> {
        let length = self.length.checked_add(1)?;
        Some((Self::around(self.network, length)?, Self::around(self.last(), length)?))
    }

    /// The subnets of that length it consists of, the lowest first. None if it is smaller itself,
    /// or there is no such length.
    pub fn split(self, length: u8) -> Option<impl Iterator<Item = Self>> {
        (self.length <= length && length <= self.family().bits())
            .then(|| blocks(self.range(), length))
    }

    /// The subnet twice as large that holds it.
    pub fn parent(self) -> Option<Self> {
        Self::around(self.network, self.length.checked_sub(1)?)
    }

    /// The other half of its parent.
    pub fn sibling(self) -> Option<Self> {
        let (lower, upper) = self.parent()?.halves()?;
        Some(if lower == self { upper } else { lower })
    }
}

super::canonical_text!(Cidr, BadCidr);

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let form = || BadCidr::Form(text.to_owned());
        let (network, length) = match text.split_once('/') {
            Some((network, length)) => (network, Some(length)),
            None => (text, None),
        };
        let network: Address = network.parse().map_err(|refused| match refused {
            BadAddress::Mapped(_) => BadCidr::Mapped(refused),
            BadAddress::Form | BadAddress::Stored => form(),
        })?;
        let family = network.family();
        let Some(length) = length else {
            let usual = if family == Family::V4 { 24 } else { 64 };
            return Err(Self::around(network, usual)
                .map_or_else(form, |example| BadCidr::NoLength { example }));
        };
        Self::new(network, prefix_length(length).ok_or(BadCidr::Length(family))?)
    }
}

/// A number without sign or leading zeros.
pub(super) fn prefix_length(text: &str) -> Option<u8> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.network, self.length))
    }
}

/// The fewest subnets that together are the range, the lowest first.
pub fn cover(range: Range) -> Vec<Cidr> {
    let mut blocks = Vec::new();
    let mut at = Some(range.first());
    while let Some(block) = at.and_then(|first| largest(first, range.last())) {
        at = block.last().next();
        blocks.push(block);
    }
    blocks
}

/// The largest subnet that begins at `first` and does not reach past `last`.
fn largest(first: Address, last: Address) -> Option<Cidr> {
    (0..=first.family().bits())
        .filter_map(|length| Cidr::around(first, length))
        .find(|block| block.network == first && block.last() <= last)
}

/// The subnets of that length in `within` that hold nothing of `taken`, the lowest first. Looks
/// at what is taken once, however large it is, and at a free subnet only when it is asked for.
pub fn free_blocks(
    within: Cidr,
    taken: &[Range],
    length: u8,
) -> impl Iterator<Item = Cidr> + use<> {
    let possible = within.length <= length && length <= within.family().bits();
    let gaps = if possible { subtract(&[within.range()], taken) } else { Vec::new() };
    gaps.into_iter().flat_map(move |gap| blocks(gap, length))
}

/// The subnets of that length that lie in the range as a whole, the lowest first.
fn blocks(range: Range, length: u8) -> impl Iterator<Item = Cidr> + use<> {
    let family = range.first().family();
    let hosts = host_mask(family, length);
    let mut at = Some(range.first());
    std::iter::from_fn(move || {
        loop {
            // Up to the next multiple of the size.
            let network = at.take()?.number().checked_add(hosts)? & !hosts;
            let last = network | hosts;
            if last > range.last().number() {
                return None;
            }
            at = Address::after(last, family);
            let block = Cidr::around(Address::from_number(network), length);
            if let Some(block) = block.filter(|block| block.family() == family) {
                return Some(block);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<Cidr>().unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        for (typed, said) in [
            ("10.0.1.5/24", "10.0.1.5/24 has host bits set; the subnet is 10.0.1.0/24"),
            ("2001:DB8::1/64", "2001:db8::1/64 has host bits set; the subnet is 2001:db8::/64"),
            ("10.0.1.0", "add the prefix length, such as 10.0.1.0/24"),
            ("2001:db8::", "add the prefix length, such as 2001:db8::/64"),
            ("10.0.1.0/33", "a prefix length of IPv4 is a number from 0 to 32"),
            ("10.0.1.0/", "a prefix length of IPv4 is a number from 0 to 32"),
            ("10.0.1.0/024", "a prefix length of IPv4 is a number from 0 to 32"),
            ("10.0.1.0/+24", "a prefix length of IPv4 is a number from 0 to 32"),
            ("10.0.1.0/255.255.255.0", "a prefix length of IPv4 is a number from 0 to 32"),
            ("10.0.1.0/24\n", "a prefix length of IPv4 is a number from 0 to 32"),
            ("::/129", "a prefix length of IPv6 is a number from 0 to 128"),
            ("::/１", "a prefix length of IPv6 is a number from 0 to 128"),
            ("::ffff:1.2.3.0/120", "use the IPv4 address: write it as 1.2.3.0"),
            (
                "1.2.3/24",
                "“1.2.3/24” is not a subnet; write one such as 10.0.1.0/24 or 2001:db8:1::/64",
            ),
        ] {
            assert_eq!(refusal(typed), said);
        }
        for bad in ["", "/", "/24", "1.2.3.4.5/8", "１.2.3.4/8", " 10.0.0.0/8", "10.0.0.0 /8"] {
            assert!(matches!(bad.parse::<Cidr>(), Err(BadCidr::Form(_))), "{bad:?}");
        }
        assert!(refusal(&"1".repeat(1_000_000)).len() < 300);
    }

    #[test]
    fn ipv6_does_not_end_within_ipv4() {
        for bad in ["::/80", "::8000:0:0/81", "::fffe:0:0/95"] {
            assert!(matches!(bad.parse::<Cidr>(), Err(BadCidr::Reserved(_))), "{bad}");
        }
        for good in ["::/0", "::/79", "::fffe:0:0/96", "::1:0:0:0/80", "::/81"] {
            assert_eq!(cidr(good).to_string(), good);
        }
        assert_eq!(cidr("::/79").halves(), None);
        let pieces = cover(range("::-::1:0:0:0"));
        assert_eq!(pieces.first(), Some(&cidr("::/81")));
        assert_eq!(pieces.last(), Some(&cidr("::1:0:0:0/128")));
        assert_eq!(pieces.len(), 17);
        let after: Vec<Cidr> =
            free_blocks(cidr("::/64"), &[range("::-::fffe:ffff:fffd")], 128).take(3).collect();
        let found = ["::fffe:ffff:fffe/128", "::fffe:ffff:ffff/128", "::1:0:0:0/128"].map(cidr);
        assert_eq!(after, found);
    }

    #[test]
    fn masks_are_dotted_or_colonned() {
        for (subnet, mask) in [
            ("10.0.1.0/24", "255.255.255.0"),
            ("0.0.0.0/0", "0.0.0.0"),
            ("10.0.1.1/32", "255.255.255.255"),
            ("10.0.0.0/9", "255.128.0.0"),
            ("2001:db8::/48", "ffff:ffff:ffff::"),
            ("::/0", "::"),
            ("::1/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(cidr(subnet).netmask(), address(mask));
        }
    }

    #[test]
    fn what_machines_may_have_in_subnets_of_every_length() {
        for length in 0..=32 {
            let it = Cidr::around(address("10.1.2.3"), length).unwrap();
            let (first, last) = (it.network(), it.last());
            if length >= 31 {
                assert_eq!((it.usable(), it.never()), (it.range(), vec![]), "{it}");
            } else {
                let usable = Range::new(first.next().unwrap(), last.previous().unwrap()).unwrap();
                assert_eq!(it.usable(), usable, "{it}");
                assert_eq!(it.never(), [(first, "network"), (last, "broadcast")]);
            }
        }
        for length in 0..=128 {
            let it = Cidr::around(address("2001:db8::1:2:3"), length).unwrap();
            if length >= 127 {
                assert_eq!((it.usable(), it.never()), (it.range(), vec![]), "{it}");
            } else {
                let usable = Range::new(it.network().next().unwrap(), it.last()).unwrap();
                assert_eq!(it.usable(), usable, "{it}");
                assert_eq!(it.never(), [(it.network(), "subnet-router anycast")]);
            }
        }
        assert_eq!(cidr("10.0.0.0/30").usable(), range("10.0.0.1-2"));
        assert_eq!(cidr("10.0.0.2/31").usable(), range("10.0.0.2-3"));
        assert_eq!(cidr("10.0.0.3/32").usable(), range("10.0.0.3"));
        assert_eq!(cidr("2001:db8::/126").usable(), range("2001:db8::1-2001:db8::3"));
        assert_eq!(cidr("2001:db8::2/127").usable(), range("2001:db8::2-2001:db8::3"));
    }

    #[test]
    fn a_subnet_has_halves_a_parent_and_a_sibling() {
        let it = cidr("10.0.1.0/24");
        assert_eq!(it.halves(), Some((cidr("10.0.1.0/25"), cidr("10.0.1.128/25"))));
        assert_eq!(it.parent(), Some(cidr("10.0.0.0/23")));
        assert_eq!(it.sibling(), Some(cidr("10.0.0.0/24")));
        assert_eq!(cidr("10.0.0.0/24").sibling(), Some(it));
        assert_eq!(cidr("10.0.0.1/32").halves(), None);
        assert_eq!(cidr("0.0.0.0/0").parent(), None);
        assert_eq!(cidr("::/0").sibling(), None);
        assert_eq!(cidr("::/0").halves(), Some((cidr("::/1"), cidr("8000::/1"))));
        assert_eq!(Cidr::around(address("10.0.0.1"), 33), None);
        let quarters: Vec<Cidr> = it.split(26).unwrap().collect();
        let expected = ["10.0.1.0/26", "10.0.1.64/26", "10.0.1.128/26", "10.0.1.192/26"];
        assert_eq!(quarters, expected.map(cidr));
        assert_eq!(it.split(24).unwrap().collect::<Vec<_>>(), [it]);
        assert!(it.split(23).is_none() && it.split(33).is_none());
        assert_eq!(cidr("::/0").split(0).unwrap().count(), 1);
        assert_eq!(cidr("0.0.0.0/0").split(1).unwrap().count(), 2);
        let hosts: Vec<Cidr> = cidr("255.255.255.254/31").split(32).unwrap().collect();
        assert_eq!(hosts, [cidr("255.255.255.254/32"), cidr("255.255.255.255/32")]);
    }

    #[test]
    fn subnets_sort_by_network_then_the_larger_first() {
        let mut some = ["10.0.1.0/24", "10.0.0.0/24", "10.0.0.0/8"].map(cidr);
        some.sort();
        assert_eq!(some, ["10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24"].map(cidr));
        assert!(cidr("10.0.0.0/8").covers(cidr("10.0.1.0/24")));
        assert!(cidr("10.0.0.0/8").covers(cidr("10.0.0.0/8")));
        assert!(!cidr("10.0.1.0/24").covers(cidr("10.0.0.0/8")));
        assert!(!cidr("::/0").covers(cidr("10.0.0.0/8")));
    }

    #[test]
    fn what_is_taken_is_jumped_past() {
        let taken = [range("10.0.0.0-10.255.255.253")];
        let free: Vec<Cidr> = free_blocks(cidr("10.0.0.0/8"), &taken, 32).collect();
        assert_eq!(free, [cidr("10.255.255.254/32"), cidr("10.255.255.255/32")]);
        let mut few = free_blocks(cidr("2001:db8::/32"), &[range("2001:db8::5")], 64);
        assert_eq!(few.next(), Some(cidr("2001:db8:0:1::/64")));
        assert_eq!(free_blocks(cidr("10.0.0.0/8"), &[], 7).count(), 0);
        assert_eq!(free_blocks(cidr("10.0.0.0/8"), &[], 33).count(), 0);
        assert_eq!(free_blocks(cidr("::/0"), &[], 0).count(), 1);
    }

    /// The fewest aligned blocks: all of a subnet at once if it lies in the range, else the best
    /// of its halves.
    fn fewest(within: Cidr, range: Range) -> Vec<Cidr> {
        if range.covers(within.range()) {
            vec![within]
        } else if !range.overlaps(within.range()) {
            vec![]
        } else {
            let (lower, upper) = within.halves().unwrap();
            [fewest(lower, range), fewest(upper, range)].concat()
        }
    }

    /// A part of a subnet of 256 addresses at the beginning, in the midst or at the end.
    fn small() -> impl Strategy<Value = (Cidr, Range)> {
        let within = prop::sample::select(vec![
            "10.0.1.0/24",
            "0.0.0.0/24",
            "255.255.255.0/24",
            "2001:db8::/120",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120",
        ]);
        (within, any::<u8>(), any::<u8>()).prop_map(|(within, one, other)| {
            let within = cidr(within);
            let at = |n: u8| within.network().plus(n.into()).unwrap();
            (within, Range::new(at(one.min(other)), at(one.max(other))).unwrap())
        })
    }

    proptest! {
        #[test]
        fn text_leads_back(number in any::<u128>(), length in 0_u8..=128, v4 in any::<bool>()) {
            let number = if v4 { address("0.0.0.0").number() | number & 0xffff_ffff } else { number };
            if let Some(it) = Cidr::around(Address::from_number(number), length) {
                prop_assert_eq!(it.to_string().parse(), Ok(it));
                prop_assert_eq!(Cidr::try_from(it.to_string()), Ok(it));
                prop_assert_eq!(Cidr::new(it.network(), it.length()), Ok(it));
                prop_assert!(it.contains(Address::from_number(number)));
                prop_assert!(it.contains(it.network()) && it.contains(it.last()));
                if let (Some(parent), Some(sibling)) = (it.parent(), it.sibling()) {
                    prop_assert_eq!(parent.halves(), Some((it.min(sibling), it.max(sibling))));
                    prop_assert!(parent.covers(it) && !it.covers(parent));
                }
            }
        }

        #[test]
        fn a_cover_is_the_range_in_the_fewest_subnets((within, range) in small()) {
            prop_assert_eq!(cover(range), fewest(within, range));
        }

        #[test]
        fn covers_of_large_ranges_join_to_the_range(one in any::<u128>(), other in any::<u128>()) {
            let [first, last] = [one.min(other), one.max(other)].map(Address::from_number);
            if let Some(range) = Range::new(first, last) {
                let blocks = cover(range);
                prop_assert!(blocks.len() <= 254);
                let parts = blocks.into_iter().map(Cidr::range).collect();
                prop_assert_eq!(super::super::normalised(parts), vec![range]);
            }
        }

        #[test]
        fn free_blocks_are_those_a_look_at_every_block_finds(
            (within, one) in small(),
            others in prop::collection::vec((any::<u8>(), 0_u8..20), 0..6),
            more in 0_u8..=8,
        ) {
            let length = within.length() + more;
            let at = |n: u8| within.network().plus(n.into()).unwrap();
            let mut taken: Vec<Range> = others
                .into_iter()
                .map(|(first, more)| Range::new(at(first), at(first.saturating_add(more))).unwrap())
                .collect();
            if more % 2 == 0 {
                taken.push(one);
            }
            let naive: Vec<Cidr> = within
                .split(length)
                .unwrap()
                .filter(|block| !taken.iter().any(|range| range.overlaps(block.range())))
                .collect();
            prop_assert_eq!(within.split(length).unwrap().count(), 1 << more);
            prop_assert_eq!(free_blocks(within, &taken, length).collect::<Vec<_>>(), naive);
        }

        #[test]
        fn text_never_panics(text in "\\PC*|[0-9a-f.:/-]{0,50}") {
            let _ = text.parse::<Cidr>().map_err(|refused| refused.to_string());
        }
    }
}
