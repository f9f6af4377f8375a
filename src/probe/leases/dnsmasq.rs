//! dnsmasq's lease file: five fields in a line, `expiry mac address hostname client-id`, and after a line
//! `duid <the server's>` those of IPv6, `expiry iaid address hostname duid`. A `*` is "none". Hardware that is not
//! Ethernet has its number of ARP in front, `06-00:…`; the IAID of a temporary address has a `T`.
//!
//! Source: dnsmasq-discuss, 9 June 2016, "dnsmasq leases file format specification"
//! (<https://lists.thekelleys.org.uk/pipermail/dnsmasq-discuss/2016q2/010595.html>), after `lease_init()` and
//! `lease_update_file()` in its sources.

use std::net::IpAddr;

use super::{Entry, Lease, LeaseState, Leases, hostname, mac};

/// Less is no time but a duration: what dnsmasq writes on machines without a clock, built with `HAVE_BROKEN_RTC`.
const FIRST_TIME: i64 = 1_000_000_000;

/// Whether a file that begins with this line is dnsmasq's.
pub(super) fn is_line(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("duid") => words.count() == 1,
        Some(number) => number.parse::<i64>().is_ok() && words.count() >= 2,
        None => false,
    }
}

/// Reads all lines.
pub(super) fn parse(content: &[u8]) -> Leases {
    let mut found = Leases::default();
    for (number, line) in super::lines(content) {
        found.take(number, read(&line));
    }
    found
}

fn read(line: &str) -> Result<Entry, &'static str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [expiry, hardware, address, name, _] = *fields.as_slice() else {
        let server = matches!(*fields.as_slice(), ["duid", _]);
        return if server { Ok(Entry::Nothing) } else { Err("the line has not five fields") };
    };
    let expiry: i64 =
        expiry.parse().map_err(|_| "the first field is not a number of seconds since 1970")?;
    let address: IpAddr = address.parse().map_err(|_| "the third field is not an IP address")?;
    Ok(Entry::Lease(Lease {
        address,
        mac: address.is_ipv4().then(|| mac(hardware)).flatten(),
        hostname: hostname::valid(name),
        expires: (expiry >= FIRST_TIME).then_some(expiry),
        state: LeaseState::InUse,
    }))
}
