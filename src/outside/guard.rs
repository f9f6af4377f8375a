//! Whom Patchbay may call.
//!
//! A page on which somebody types a server's address is a page on which somebody can make this
//! machine talk to any other. So every call is checked after its name was resolved, against the
//! very address that is then connected to: addresses of the public internet may be called on a
//! few ports; private ones, this machine, and sockets only if an administrator of the
//! installation wrote them into the list for that system; some never.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::net::{Address, Cidr};

/// Why something may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// A private address nobody allowed.
    #[error(
        "{0} is a private address; an administrator must allow it first (Settings, Outside systems, Allowed hosts)"
    )]
    Private(String),
    /// An address nobody may call.
    #[error("{0} is not an address a server can have")]
    Never(IpAddr),
    /// A port that is not among the usual ones.
    #[error(
        "port {0} is not one such a system uses; allow the host with this port, or use another"
    )]
    Port(u16),
    /// A socket nobody allowed.
    #[error(
        "the socket {0} must be allowed by an administrator first (Settings, Outside systems, Allowed hosts)"
    )]
    Socket(String),
}

/// One thing an administrator allowed: `10.0.0.5`, `10.0.0.0/24`, `netbox.example.com`, each with
/// or without `:port`, or `unix:/run/kea/kea4.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Name(String),
    Network(Cidr),
    Socket(String),
}

/// Not something that can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address, a subnet or a host name, with :port if it is an unusual one, or unix:/path/of.sock"
)]
pub struct BadAllowance;

/// The longest name of a host.
const LONGEST: usize = 253;

/// Whether text is a host's name.
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name of digits and dots alone is an address somebody misspelt.
    text.len() <= LONGEST
        && text.split('.').all(label)
        && !text
            .split('.')
            .next_back()
            .unwrap_or_default()
            .bytes()
            .all(|byte| byte.is_ascii_digit())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= 100
        && !text.contains("/../")
        && text.chars().all(|c| c.is_ascii_graphic())
}

impl FromStr for Allowance {
    type Err = BadAllowance;

    fn from_str(text: &str) -> Result<Self, BadAllowance> {
        if let Some(path) = text.strip_prefix("unix:") {
            let what = What::Socket(path.to_owned());
            return if is_path(path) { Ok(Self { what, port: None }) } else { Err(BadAllowance) };
        }
        let whole = |text: &str| -> Option<What> {
            if let Ok(address) = text.parse::<Address>() {
                let bits = address.family().bits();
                return Cidr::around(address, bits).map(What::Network);
            }
            if let Ok(network) = text.parse::<Cidr>() {
                return Some(What::Network(network));
            }
            is_host_name(text).then(|| What::Name(text.to_ascii_lowercase()))
        };
        if let Some(what) = whole(text) {
            return Ok(Self { what, port: None });
        }
        let (host, port) = text.rsplit_once(':').ok_or(BadAllowance)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(BadAllowance)?;
        Ok(Self { what: whole(host).ok_or(BadAllowance)?, port: Some(port) })
    }
}

impl TryFrom<String> for Allowance {
    type Error = BadAllowance;

    fn try_from(text: String) -> Result<Self, BadAllowance> {
        text.parse()
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.what {
            What::Name(name) => name.clone(),
            What::Socket(path) => format!("unix:{path}"),
            What::Network(network) if network.length() == network.family().bits() => {
                network.network().to_string()
            }
            What::Network(network) => network.to_string(),
        };
        match self.port {
            Some(port) if what.contains(':') => write!(f, "[{what}]:{port}"),
            Some(port) => write!(f, "{what}:{port}"),
            None => f.write_str(&what),
        }
    }
}

/// Everything an administrator allowed for one system.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<Allowance>);

impl From<Vec<Allowance>> for Allowed {
    fn from(list: Vec<Allowance>) -> Self {
        Self(list)
    }
}

impl Allowed {
    /// Whether `ip`, which `host` (as it was typed) resolved to, may be called on `port`. `usual`
    /// are the ports such a system has.
    pub fn permits(
        &self,
        host: &str,
        ip: IpAddr,
        port: u16,
        usual: &[u16],
    ) -> Result<(), Forbidden> {
        let ip = ip.to_canonical();
        let kind = kind(ip);
        if kind == Reach::Never {
            return Err(Forbidden::Never(ip));
        }
        let host = host.to_ascii_lowercase();
        let matching = self.0.iter().filter(|allowance| match &allowance.what {
            What::Network(network) => network.contains(Address::from(ip)),
            // Whoever answers for a name may say that it is this machine: only an address allows that.
            What::Name(name) => *name == host && kind != Reach::Here,
            What::Socket(_) => false,
        });
        let ports: Vec<Option<u16>> = matching.map(|allowance| allowance.port).collect();
        if ports.contains(&Some(port)) {
            return Ok(());
        }
        if kind != Reach::Public && !ports.contains(&None) {
            return Err(Forbidden::Private(ip.to_string()));
        }
        if usual.contains(&port) { Ok(()) } else { Err(Forbidden::Port(port)) }
    }

    /// Whether the socket at `path` may be used.
    pub fn permits_socket(&self, path: &str) -> Result<(), Forbidden> {
        let known = self
            .0
            .iter()
            .any(|allowance| matches!(&allowance.what, What::Socket(known) if known == path));
        if known && is_path(path) { Ok(()) } else { Err(Forbidden::Socket(path.to_owned())) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    /// This machine itself.
    Here,
    Never,
}

fn kind(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

/// The registry of special addresses (RFC 6890 and its successors).
fn kind_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        [0 | 224..=255, ..] | [169, 254, ..] => Reach::Never,
        [127, ..] => Reach::Here,
        [10, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn kind_v6(ip: Ipv6Addr) -> Reach {
    let segments = ip.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Here,
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff | 0xfe80..=0xfebf, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] if !is_borrowed(&segments) => Reach::Public,
        _ => Reach::Private,
    }
}

/// Whether it stands for an IPv4 address (6to4, Teredo), or is for documentation.
fn is_borrowed(segments: &[u16; 8]) -> bool {
    matches!(segments, [0x2002, ..] | [0x2001, 0 | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(list: &[&str], host: &str, ip: &str, port: u16) -> Result<(), Forbidden> {
        let list: Vec<Allowance> = list.iter().map(|text| text.parse().unwrap()).collect();
        Allowed::from(list).permits(host, ip.parse().unwrap(), port, &[80, 443])
    }

    #[test]
    fn public_addresses_may_be_called_on_usual_ports() {
        assert!(permits(&[], "x", "93.184.216.34", 443).is_ok());
        assert!(permits(&[], "x", "2a00:1450::1", 443).is_ok());
        assert_eq!(permits(&[], "x", "93.184.216.34", 22), Err(Forbidden::Port(22)));
        assert!(permits(&["93.184.216.34:8443"], "x", "93.184.216.34", 8443).is_ok());
    }

    #[test]
    fn private_ones_only_if_allowed_and_some_never() {
        for ip in [
            "10.1.2.3",
            "172.20.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "::1",
            "fd00::1",
            "100.64.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "192.0.2.7",
        ] {
            assert!(matches!(permits(&[], "x", ip, 443), Err(Forbidden::Private(_))), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "169.254.169.254",
            "::",
            "ff02::1",
            "fe80::1",
        ] {
            let list = ["0.0.0.0/0", "::/0", "x"];
            assert!(matches!(permits(&list, "x", ip, 443), Err(Forbidden::Never(_))), "{ip}");
        }
        assert!(permits(&["10.1.0.0/16"], "x", "10.1.2.3", 443).is_ok());
        assert!(permits(&["10.1.0.0/16"], "x", "::ffff:10.1.2.3", 443).is_ok());
        assert!(permits(&["10.1.0.0/16"], "x", "10.2.2.3", 443).is_err());
        assert_eq!(permits(&["10.1.0.0/16"], "x", "10.1.2.3", 22), Err(Forbidden::Port(22)));
        assert!(permits(&["10.1.2.3:9000"], "x", "10.1.2.3", 9000).is_ok());
        assert!(matches!(
            permits(&["10.1.2.3:9000"], "x", "10.1.2.3", 443),
            Err(Forbidden::Private(_))
        ));
    }

    #[test]
    fn a_name_allows_what_it_resolves_to_but_never_this_machine() {
        assert!(permits(&["netbox.corp"], "NetBox.corp", "10.0.0.9", 443).is_ok());
        assert!(permits(&["netbox.corp"], "netbox.corp", "127.0.0.1", 443).is_err());
        assert!(permits(&["netbox.corp"], "other.corp", "10.0.0.9", 443).is_err());
    }

    #[test]
    fn sockets_are_allowed_one_by_one() {
        let allowed = Allowed::from(vec!["unix:/run/kea/kea4.sock".parse().unwrap()]);
        assert!(allowed.permits_socket("/run/kea/kea4.sock").is_ok());
        assert!(allowed.permits_socket("/run/docker.sock").is_err());
    }

    #[test]
    fn allowances_come_back_from_their_text() {
        for text in [
            "10.0.0.5",
            "10.0.0.0/24",
            "10.0.0.5:8000",
            "netbox.corp",
            "netbox.corp:8443",
            "2001:db8::5",
            "[2001:db8::5]:8000",
            "2001:db8::/32",
            "unix:/run/kea/kea4.sock",
        ] {
            assert_eq!(text.parse::<Allowance>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "*",
            "a b",
            "10.0.0.5/24",
            "10.0.0.256",
            "x:0",
            "x:99999",
            "unix:relative",
            "unix:/a/../b",
            "http://x",
            "-x",
            "a\nb",
        ] {
            assert_eq!(bad.parse::<Allowance>(), Err(BadAllowance), "{bad:?}");
        }
    }
}
