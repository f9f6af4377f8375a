//! What somebody who types a part of an address is looking for.

use std::net::IpAddr;

use super::address::{Address, Family};
use super::cidr::{Cidr, prefix_length};
use super::range::{Range, normalised};

/// Longer than two addresses and a dash.
const LONGEST: usize = 100;

/// The addresses that a person means who has typed this much, sorted and disjoint; none if it is
/// not a part of an address. An address is itself, a subnet and a range are their addresses (bits
/// behind the prefix do not matter), and `10.2` or `2001:db8:1` are all that begin so: the last
/// number may go on. A lone number could be anything, and what looks like a MAC address is one.
pub fn ranges_matching(text: &str) -> Option<Vec<Range>> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    if let Some((address, length)) = text.split_once('/') {
        let (address, length) = (address.parse().ok()?, prefix_length(length)?);
        return Some(vec![Cidr::around(address, length)?.range()]);
    }
    if text.contains('-') {
        return Some(vec![text.parse().ok()?]);
    }
    if let Some(beginning) = text.strip_suffix("::").filter(|beginning| !beginning.is_empty()) {
        let groups: Vec<&str> = beginning.split(':').collect();
        return v6(&groups, "");
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(vec![Range::single(ip.into())]);
    }
    if text.contains(':') {
        let (groups, last) = text.rsplit_once(':')?;
        let groups: Vec<&str> = groups.split(':').collect();
        if looks_like_a_mac(&groups, last) { None } else { v6(&groups, last) }
    } else {
        let (octets, last) = text.rsplit_once('.')?;
        v4(&octets.split('.').collect::<Vec<_>>(), last)
    }
}

/// Pairs of digits, at most six, of which the last may be unfinished. An IPv6 address that begins
/// with two such groups is none that is given out.
fn looks_like_a_mac(groups: &[&str], last: &str) -> bool {
    let count = groups.len() + usize::from(!last.is_empty());
    count <= 6 && groups.iter().all(|group| group.len() == 2) && last.len() <= 2
}

/// The IPv4 addresses with these octets and one that begins with `last`.
fn v4(octets: &[&str], last: &str) -> Option<Vec<Range>> {
    let free = 4_usize.checked_sub(octets.len()).filter(|free| *free > 0)?;
    let mut fixed = 0;
    for octet in octets {
        fixed = fixed << 8 | u128::from(prefix_length(octet)?);
    }
    let choices = if last.is_empty() {
        vec![(0, 255)]
    } else {
        let typed = u128::from(prefix_length(last)?);
        continued(typed, 10, 255)
    };
    let free = u32::try_from(free).ok()? * 8;
    ranges(Address::LOWEST_V4.number() | fixed << free, free - 8, choices, Family::V4)
}

/// The IPv6 addresses with these groups and one that begins with `last`.
fn v6(groups: &[&str], last: &str) -> Option<Vec<Range>> {
    let free = 8_usize.checked_sub(groups.len()).filter(|free| *free > 0)?;
    let mut fixed = 0;
    for group in groups {
        fixed = fixed << 16 | hexadecimal(group)?;
    }
    let choices = if last.is_empty() {
        vec![(0, 0xffff)]
    } else {
        let typed = hexadecimal(last)?;
        if last.len() > 1 && last.starts_with('0') {
            // Whoever writes leading zeros writes all four digits.
            let open = 4 * (4 - u32::try_from(last.len()).ok()?);
            vec![(typed << open, ((typed + 1) << open) - 1)]
        } else {
            continued(typed, 16, 0xffff)
        }
    };
    let free = u32::try_from(free).ok()? * 16;
    ranges(fixed << free, free - 16, choices, Family::V6)
}

/// One to four digits.
fn hexadecimal(group: &str) -> Option<u128> {
    let plain = (1..=4).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u128::from_str_radix(group, 16).ok() } else { None }
}

/// The numbers up to `most` that begin with the digits of `typed`.
fn continued(typed: u128, base: u128, most: u128) -> Vec<(u128, u128)> {
    let mut choices = Vec::new();
    let (mut low, mut high) = (typed, typed);
    while low <= most {
        choices.push((low, high.min(most)));
        if typed == 0 {
            break;
        }
        (low, high) = (low * base, high * base + base - 1);
    }
    choices
}

/// The addresses that have one of the choices at `shift` in `fixed`, and anything behind it.
fn ranges(
    fixed: u128,
    shift: u32,
    choices: Vec<(u128, u128)>,
    family: Family,
) -> Option<Vec<Range>> {
    let open = (1_u128 << shift) - 1;
    let ranges = choices.into_iter().map(|(low, high)| {
        let first = Address::from_number(fixed | low << shift);
        let last = Address::from_number(fixed | high << shift | open);
        Range::new(first, last).filter(|_| first.family() == family)
    });
    ranges.collect::<Option<Vec<_>>>().map(normalised).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::range::show_ranges;
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn shown(text: &str) -> Option<String> {
        ranges_matching(text).map(|ranges| show_ranges(&ranges))
    }

    #[test]
    fn a_part_of_an_address_is_what_begins_so() {
        for (typed, meant) in [
            ("10.20.", "10.20.0.0-10.20.255.255"),
            ("10.", "10.0.0.0-10.255.255.255"),
            ("10.20.30.", "10.20.30.0-10.20.30.255"),
            ("10.2", "10.2.0.0-10.2.255.255, 10.20.0.0-10.29.255.255, 10.200.0.0-10.255.255.255"),
            ("10.20", "10.20.0.0-10.20.255.255, 10.200.0.0-10.209.255.255"),
            ("10.25", "10.25.0.0-10.25.255.255, 10.250.0.0-10.255.255.255"),
            ("10.26", "10.26.0.0-10.26.255.255"),
            ("10.0", "10.0.0.0-10.0.255.255"),
            ("10.0.0.1", "10.0.0.1"),
            (" 10.0.0.1\n", "10.0.0.1"),
            ("10.0.1.77/24", "10.0.1.0-10.0.1.255"),
            ("10.0.1.10-50", "10.0.1.10-10.0.1.50"),
            ("2001:db8:", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001:db8::", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001:0DB8:", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2001:0db", "2001:db0::-2001:dbf:ffff:ffff:ffff:ffff:ffff:ffff"),
            (
                "2001:db8:1",
                "2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff, \
                 2001:db8:10::-2001:db8:1f:ffff:ffff:ffff:ffff:ffff, \
                 2001:db8:100::-2001:db8:1ff:ffff:ffff:ffff:ffff:ffff, \
                 2001:db8:1000::-2001:db8:1fff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::1/64", "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"),
            ("1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:0-1:2:3:4:5:6:7:ffff"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0-1:2:3:4:5:6:7:ffff"),
            ("::1", "::1"),
            ("::", "::"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("fe80:", "fe80::-fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(shown(typed).as_deref(), Some(meant), "{typed}");
        }
    }

    #[test]
    fn what_is_no_part_of_an_address_is_not_taken_for_one() {
        let huge = "1.".repeat(1_000_000);
        for other in [
            "",
            "10",
            "db8",
            ".",
            ":",
            ":::",
            ".5",
            "10..",
            "10.256",
            "10.300.",
            "10.01",
            "1.2.3.4.",
            "1.2.3.4.5",
            "1.2.3.456",
            "１.2.",
            "10.x",
            "alice.example",
            "00:15:65:aa:bb:cc",
            "20:01:0d:b8:00:01",
            "00:15:65:aa:bb:c",
            "00:15:65",
            "00:15:6",
            "00:15:",
            "00:",
            "fe:80",
            "00-15-65",
            "1:2:3:4:5:6:7:8:",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8::",
            "2001:db8:12345",
            "2001:db8:g",
            "2001::db8:",
            "1::2::",
            "2001:1.2.",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0/16",
            "10.0.0.9-1",
            "-",
            "0:0:0:0:0:",
            "0:0:0:0:0:ffff:",
            &huge,
        ] {
            assert_eq!(shown(other), None, "{other:?}");
        }
    }

    /// The address as people see it, IPv6 without anything left out.
    fn long(address: Address) -> String {
        match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join(":"),
        }
    }

    fn contains(ranges: &[Range], address: Address) -> bool {
        ranges.iter().any(|range| range.contains(address))
    }

    proptest! {
        #[test]
        fn ipv4_matches_exactly_what_begins_so(octets in any::<[u8; 4]>(), end in 0_usize..16, samples in prop::collection::vec(any::<u32>(), 40)) {
            let whole = Address::from(IpAddr::from(octets));
            let text = whole.to_string();
            let typed = &text[..end.min(text.len())];
            prop_assume!(typed.contains('.') && typed.parse::<Address>().is_err());
            let found = ranges_matching(typed).unwrap();
            prop_assert!(found.windows(2).all(|pair| pair[0].last() < pair[1].first()));
            prop_assert!(contains(&found, whole));
            for range in &found {
                for inside in [range.first(), range.last()] {
                    prop_assert!(inside.to_string().starts_with(typed), "{inside}");
                }
            }
            // Anywhere, near the address, and at the edges of what was found.
            let near = samples.iter().map(|n| u32::from_be_bytes(octets) ^ (n >> (n % 32)));
            let anywhere = samples.iter().copied().chain(near).map(|n| Address::from(IpAddr::from(n.to_be_bytes())));
            let edges = found.iter().flat_map(|range| [range.first().previous(), range.last().next()]).flatten();
            for sample in anywhere.chain(edges) {
                prop_assert_eq!(contains(&found, sample), sample.to_string().starts_with(typed), "{}", sample);
            }
        }

        #[test]
        fn ipv6_matches_exactly_what_begins_so(groups in any::<[u16; 8]>(), widths in any::<[u8; 8]>(), end in 0_usize..40, samples in prop::collection::vec((any::<u128>(), 0_u32..128), 40)) {
            // Groups of one to four digits.
            let groups: Vec<u16> = groups.iter().zip(widths).map(|(group, width)| group >> (4 * (width % 4))).collect();
            let whole = Address::from(IpAddr::from(Ipv6Addr::from(<[u16; 8]>::try_from(groups).unwrap())));
            let text = long(whole);
            let typed = &text[..end.min(text.len())];
            prop_assume!(typed.contains(':') && typed.parse::<Address>().is_err());
            let complete: Vec<&str> = typed.split(':').collect();
            let Some(found) = ranges_matching(typed) else {
                prop_assert!(complete.len() <= 7 && complete.iter().all(|group| group.len() <= 2), "{}", typed);
                return Ok(());
            };
            prop_assert!(found.windows(2).all(|pair| pair[0].last() < pair[1].first()));
            prop_assert!(contains(&found, whole));
            let near = samples.iter().map(|(n, shift)| Address::from_number(whole.number() ^ (n >> shift)));
            let edges = found.iter().flat_map(|range| [Some(range.first()), Some(range.last()), range.first().previous(), range.last().next()]).flatten();
            for sample in near.chain(edges) {
                prop_assert_eq!(contains(&found, sample), long(sample).starts_with(typed), "{}", sample);
            }
        }

        #[test]
        fn text_never_panics(text in "\\PC*|[0-9a-f.:/-]{0,40}") {
            if let Some(found) = ranges_matching(&text) {
                prop_assert!(!found.is_empty());
            }
        }
    }
}
