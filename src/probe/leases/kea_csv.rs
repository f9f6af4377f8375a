//! The lease file of Kea's "memfile": comma-separated, without quotes.
//!
//! Columns are added with Kea's versions, always at the end, and are named in the first line, so they are found by
//! name. For IPv4: `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname`, then `state`,
//! `user_context`, `pool_id`. For IPv6: `address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,
//! prefix_len,fqdn_fwd,fqdn_rev,hostname`, then `hwaddr`, `state`, `user_context`, `hwtype`, `hwaddr_source`,
//! `pool_id`.
//!
//! Sources: Kea Administrator Reference Manual, "Memfile - Basic Storage for Leases"; `csv_lease_file4.cc`,
//! `csv_lease_file6.cc` (the columns), `lease_file_loader.h` (the last line of an address counts; a valid lifetime of 0
//! is its removal) and `csv_file.cc` in Kea's sources. The latter writes commas, `&` and what is not printable as
//! `&#x2c`: no such character is in a host name, so nothing has to be read back.

use std::net::IpAddr;

use super::{Entry, Lease, LeaseState, Leases, hostname, mac};

/// A lifetime without end (RFC 2131 section 3.3, RFC 8415 section 7.7).
pub(super) const INFINITE: u64 = 0xffff_ffff;
/// `lease_type` of a prefix that a router got for others: no address of a device.
const PREFIX: &str = "2";

/// Whether a file that begins with this line is Kea's.
pub(super) fn is_header(line: &str) -> bool {
    Columns::of(line).is_some()
}

/// Reads all lines; the first names the columns.
pub(super) fn parse(content: &[u8]) -> Leases {
    let mut found = Leases::default();
    let mut lines = super::lines(content);
    let header = lines.next().and_then(|(_, line)| Columns::of(&line));
    for (number, line) in lines {
        let Some(columns) = &header else { break };
        found.take(number, columns.read(&line));
    }
    found
}

/// Where the columns are.
struct Columns {
    count: usize,
    address: usize,
    valid: usize,
    expire: usize,
    hostname: usize,
    hwaddr: Option<usize>,
    state: Option<usize>,
    lease_type: Option<usize>,
}

impl Columns {
    fn of(header: &str) -> Option<Self> {
        let names: Vec<&str> = header.split(',').collect();
        let at = |name: &str| names.iter().position(|column| *column == name);
        Some(Self {
            count: names.len(),
            address: at("address").filter(|at| *at == 0)?,
            valid: at("valid_lifetime")?,
            expire: at("expire")?,
            hostname: at("hostname")?,
            hwaddr: at("hwaddr"),
            state: at("state"),
            lease_type: at("lease_type"),
        })
    }

    fn read(&self, line: &str) -> Result<Entry, &'static str> {
        let fields: Vec<&str> = line.split(',').collect();
        if fields.len() != self.count {
            return Err("the line has not as many fields as the first line names");
        }
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        if self.lease_type.is_some_and(|at| field(at) == PREFIX) {
            return Ok(Entry::Nothing);
        }
        let address: IpAddr =
            field(self.address).parse().map_err(|_| "the first field is not an IP address")?;
        let valid: u64 =
            field(self.valid).parse().map_err(|_| "valid_lifetime is not a number of seconds")?;
        if valid == 0 {
            return Ok(Entry::Gone(address));
        }
        let expire: i64 =
            field(self.expire).parse().map_err(|_| "expire is not a number of seconds")?;
        // The oldest files have no states.
        let state = self.state.map_or("0", field);
        let state = state.parse().map_err(|_| "the state is not a number")?;
        Ok(Entry::Lease(Lease {
            address,
            mac: self.hwaddr.map(field).and_then(mac),
            hostname: hostname::valid(field(self.hostname)),
            expires: (valid != INFINITE).then_some(expire),
            state: LeaseState::of_kea(state),
        }))
    }
}
