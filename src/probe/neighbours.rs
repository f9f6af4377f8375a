//! Which hardware address stands behind an IP address: the kernel's own table, which a ping has just filled.
//!
//! IPv4 only: the table of IPv6 is told over rtnetlink alone, and not in `/proc`.
//!
//! Only addresses of the machine's own networks are in it, and not for long: the kernel forgets within a minute or so,
//! and sooner when there are more than `net.ipv4.neigh.default.gc_thresh3`, by default 1024. In a sweep it is read as
//! addresses are seen, not once at the end.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where Linux shows the table (proc(5)).
pub const ARP: &str = "/proc/net/arp";

/// The flag `ATF_COM` of arp(7): the hardware address is known.
const COMPLETE: u32 = 0x2;

/// Hardware addresses, as six pairs of lower-case hexadecimal digits with colons.
pub type Neighbours = BTreeMap<IpAddr, String>;

/// The table at this moment, from [`ARP`].
pub async fn read(path: &Path) -> io::Result<Neighbours> {
    Ok(parse(&tokio::fs::read_to_string(path).await?))
}

/// The table in the text of [`ARP`]: `IP address`, `HW type`, `Flags`, `HW address`, `Mask`, `Device`. Lines that are
/// not a complete entry of an Ethernet are left out. An address on two devices keeps its first entry.
pub fn parse(text: &str) -> Neighbours {
    let mut found = Neighbours::new();
    for (address, mac) in text.lines().filter_map(entry) {
        found.entry(address).or_insert(mac);
    }
    found
}

fn entry(line: &str) -> Option<(IpAddr, String)> {
    let mut words = line.split_ascii_whitespace();
    let address: Ipv4Addr = words.next()?.parse().ok()?;
    let ethernet = words.next()? == "0x1";
    let flags = u32::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    let mac = words.next()?.to_ascii_lowercase();
    let known = flags & COMPLETE != 0 && is_mac(&mac) && mac != "00:00:00:00:00:00";
    (ethernet && known).then_some((address.into(), mac))
}

fn is_mac(text: &str) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(pair)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:FC:00:00:00:05     *        eth0
192.0.2.7        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.8        0x1         0x6         00:15:65:aa:bb:cc     *        eth0
192.0.2.8        0x1         0x2         00:15:65:aa:bb:dd     *        eth1
192.0.2.9        0x1         0x2         00:00:00:00:00:00     *        eth0
192.0.2.10       0x1         0xc         *                     *        eth0
192.0.2.11       0x304       0x2         10:20:30:40           *        tunl0
192.0.2.12       0x1         0x2         02:fc:00";

    #[test]
    fn complete_entries_are_read_and_nothing_else() {
        let expected = [("192.0.2.1", "02:fc:00:00:00:05"), ("192.0.2.8", "00:15:65:aa:bb:cc")];
        let expected = expected.map(|(ip, mac)| (ip.parse().unwrap(), mac.to_owned()));
        assert_eq!(parse(TEXT), Neighbours::from(expected));
    }

    #[tokio::test]
    async fn the_table_of_this_machine_is_read() {
        let found = read(Path::new(ARP)).await.unwrap();
        assert!(found.values().all(|mac| is_mac(mac)));
    }

    proptest! {
        #[test]
        fn any_text_ends_without_a_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
