//! What a DHCP server has leased, from the files and answers of Kea and dnsmasq. Which of them it is, the content tells.
//!
//! Everything in a lease may be the choice of whoever plugged in a device. Host names are returned only if they are
//! plainly names, hardware addresses only if they are hexadecimal digits; nothing of the text gets into a fault.

mod dnsmasq;
mod kea_csv;
mod kea_json;

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;

use super::hostname;

/// The most faults that are kept; further ones are only counted.
pub const MOST_FAULTS: usize = 100;
/// The longest hardware address, in characters: 20 octets (`InfiniBand`) with what is between and before them.
const MAC_LENGTH: usize = 64;

/// One address and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The leased address.
    pub address: IpAddr,
    /// The hardware address as it stands in the file: hexadecimal digits with `:`, `-` or `.`. Seldom known for IPv6,
    /// where clients name themselves by a DUID, which is not to be taken apart (RFC 8415 section 11).
    pub mac: Option<String>,
    /// The client's name, if it is valid as the text of a host name.
    pub hostname: Option<String>,
    /// When it ends, in seconds since 1970; `None` is never, or not known. It may have passed.
    pub expires: Option<i64>,
    /// What the server says of it.
    pub state: LeaseState,
}

/// What the server says of a lease. A lease "in use" may have expired: compare [`Lease::expires`] with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Leased to a client.
    InUse,
    /// A client found another device at this address.
    Declined,
    /// Over, and taken back by the server.
    Expired,
    /// A state that later versions of Kea have, by its number. It is not simply in use.
    Other(u32),
}

impl LeaseState {
    /// The numbers of Kea, `Lease::STATE_*` in its `lease.cc`.
    fn of_kea(number: u32) -> Self {
        match number {
            0 => Self::InUse,
            1 => Self::Declined,
            2 => Self::Expired,
            other => Self::Other(other),
        }
    }
}

/// Something that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1; in JSON the place of the lease among all, from 1.
    pub line: usize,
    /// What is the matter, as a sentence for the operator.
    pub what: &'static str,
}

/// All leases of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// By address, which has one lease: the last in the file.
    pub leases: BTreeMap<IpAddr, Lease>,
    /// The first [`MOST_FAULTS`].
    pub faults: Vec<Fault>,
    /// The number of all faults.
    pub faulty: usize,
}

/// Why nothing could be read. The sentence is for the operator.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LeasesError {
    /// The content is of no kind that is known.
    #[error(
        "this is neither a lease file of Kea or dnsmasq nor Kea's answer to lease4-get-all or lease6-get-all"
    )]
    Unknown,
    /// The JSON breaks off or is wrong, in this line, from 1.
    #[error("the JSON is wrong in line {0}")]
    Json(usize),
    /// Kea's answer is that it has none: `result` is 1, or 2 for a command it does not know.
    #[error("Kea answered with result {0}: does it have the lease_cmds hook library?")]
    Refused(i64),
}

impl Leases {
    fn fault(&mut self, line: usize, what: &'static str) {
        self.faulty += 1;
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { line, what });
        }
    }

    /// Takes what became of one line: a lease, which replaces an earlier one of its address, or that it has gone.
    fn take(&mut self, line: usize, read: Result<Entry, &'static str>) {
        match read {
            Ok(Entry::Lease(lease)) => drop(self.leases.insert(lease.address, lease)),
            Ok(Entry::Gone(address)) => drop(self.leases.remove(&address)),
            Ok(Entry::Nothing) => {}
            Err(what) => self.fault(line, what),
        }
    }
}

/// What a line says.
enum Entry {
    Lease(Lease),
    /// The address has been given back.
    Gone(IpAddr),
    /// Nothing about an address.
    Nothing,
}

/// The leases in a file's content. An empty file has none, as that of a fresh dnsmasq.
///
/// Kea keeps more than one file while it cleans up; the one without a number at its end has the latest lines.
pub fn parse(content: &[u8]) -> Result<Leases, LeasesError> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let first = lines(content).next().map(|(_, line)| line).unwrap_or_default();
    match first.bytes().next() {
        None => Ok(Leases::default()),
        Some(b'{' | b'[') => kea_json::parse(content),
        _ if kea_csv::is_header(&first) => Ok(kea_csv::parse(content)),
        _ if dnsmasq::is_line(&first) => Ok(dnsmasq::parse(content)),
        _ => Err(LeasesError::Unknown),
    }
}

/// Lines with their numbers, without their ends, LF or CRLF. Empty ones are left out.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, String)> {
    let numbered = (1..).zip(content.split(|byte| *byte == b'\n').map(text));
    numbered.filter(|(_, line)| !line.is_empty())
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().to_owned()
}

/// A hardware address as it stands there, if it is one.
fn mac(text: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-' | b'.');
    let length = (2..=MAC_LENGTH).contains(&text.len());
    let ends = text.ends_with(|end: char| end.is_ascii_hexdigit());
    (length && ends && text.bytes().all(letter)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
