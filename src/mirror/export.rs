//! Static addresses as files for DHCP servers that nobody speaks to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::queries::{self, Static, address, damaged, prefix};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::net::{Address, Cidr, Family, Mac};

/// Rows read at a time.
const STRIDE: i64 = 5_000;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Kea's configuration, the part with subnets and their reservations.
    Kea,
    /// Lines for dnsmasq.
    Dnsmasq,
    /// Declarations for ISC DHCP.
    Isc,
}

/// Not a kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use kea, dnsmasq or isc")]
pub struct BadFormat;

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kea, Self::Dnsmasq, Self::Isc];

    /// The word in addresses and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kea => "kea",
            Self::Dnsmasq => "dnsmasq",
            Self::Isc => "isc",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Kea => "Kea",
            Self::Dnsmasq => "dnsmasq",
            Self::Isc => "ISC DHCP",
        }
    }

    /// The name of the file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Kea => "kea-reservations.json",
            Self::Dnsmasq => "dnsmasq-hosts.conf",
            Self::Isc => "dhcpd-hosts.conf",
        }
    }

    /// Its type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Kea => "application/json",
            Self::Dnsmasq | Self::Isc => "text/plain; charset=utf-8",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = BadFormat;

    fn from_str(text: &str) -> std::result::Result<Self, BadFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(BadFormat)
    }
}

/// One static address.
struct Line {
    address: Address,
    mac: Mac,
    /// Letters, digits, dots, hyphens and underscores; may be empty.
    hostname: String,
    subnet: Option<Cidr>,
}

impl TryFrom<Static> for Line {
    type Error = sqlx::Error;

    fn try_from(row: Static) -> Result<Self> {
        let subnet = row.subnet_first.zip(row.subnet_length);
        Ok(Self {
            address: address(row.address)?,
            mac: row.mac.parse().map_err(damaged)?,
            // Parsed, so that nothing but a name gets into a file of another program.
            hostname: row
                .hostname
                .parse::<crate::ipam::addresses::Hostname>()
                .map_err(damaged)?
                .to_string(),
            subnet: subnet.map(|(first, length)| prefix(first, length)).transpose()?,
        })
    }
}

/// All static addresses of a tenant that belong to a machine with a MAC.
pub async fn export(tx: &mut Tx, tenant: TenantId, format: Format) -> Result<String> {
    let (mut after, mut text, mut kea) = (Vec::new(), String::new(), Kea::default());
    loop {
        let rows = queries::statics(tx, tenant, &after, STRIDE).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.address);
        for row in rows {
            let line = Line::try_from(row)?;
            match format {
                Format::Kea => kea.add(&line),
                Format::Dnsmasq => dnsmasq(&mut text, &line),
                Format::Isc => isc(&mut text, &line),
            }
        }
    }
    Ok(if format == Format::Kea { kea.text() } else { text })
}

/// <https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html>, `--dhcp-host`.
fn dnsmasq(text: &mut String, line: &Line) {
    let address = match line.address.family() {
        Family::V4 => line.address.to_string(),
        Family::V6 => format!("[{}]", line.address),
    };
    let name = if line.hostname.is_empty() { String::new() } else { format!(",{}", line.hostname) };
    let _ = writeln!(text, "dhcp-host={},{address}{name}", line.mac);
}

/// dhcpd.conf(5), the host statement. Names of declarations must differ, so they are the addresses.
fn isc(text: &mut String, line: &Line) {
    let (word, name) = match line.address.family() {
        Family::V4 => ("fixed-address", line.address.to_string().replace('.', "-")),
        Family::V6 => ("fixed-address6", line.address.to_string().replace(':', "-")),
    };
    let _ =
        write!(text, "host ip-{name} {{ hardware ethernet {}; {word} {};", line.mac, line.address);
    if !line.hostname.is_empty() {
        let _ = write!(text, " option host-name \"{}\";", line.hostname);
    }
    let _ = writeln!(text, " }}");
}

/// Reservations by subnet; those in no subnet stand beside them.
#[derive(Default)]
struct Kea {
    by_subnet: BTreeMap<(Family, Option<Cidr>), Vec<Value>>,
}

impl Kea {
    fn add(&mut self, line: &Line) {
        let family = line.address.family();
        let mut reservation = json!({ "hw-address": line.mac.to_string() });
        if let Some(object) = reservation.as_object_mut() {
            let address = line.address.to_string();
            match family {
                Family::V4 => object.insert("ip-address".into(), address.into()),
                Family::V6 => object.insert("ip-addresses".into(), json!([address])),
            };
            if !line.hostname.is_empty() {
                object.insert("hostname".into(), line.hostname.clone().into());
            }
        }
        self.by_subnet.entry((family, line.subnet)).or_default().push(reservation);
    }

    fn text(self) -> String {
        let mut whole = serde_json::Map::new();
        for (family, server, list) in
            [(Family::V4, "Dhcp4", "subnet4"), (Family::V6, "Dhcp6", "subnet6")]
        {
            let (mut subnets, mut elsewhere) = (Vec::new(), Vec::new());
            for ((_, subnet), reservations) in
                self.by_subnet.iter().filter(|((known, _), _)| *known == family)
            {
                match subnet {
                    Some(subnet) => {
                        subnets.push(
                            json!({ "subnet": subnet.to_string(), "reservations": reservations }),
                        );
                    }
                    None => elsewhere.clone_from(reservations),
                }
            }
            if !subnets.is_empty() || !elsewhere.is_empty() {
                let mut part = json!({ list: subnets });
                if let (Some(part), false) = (part.as_object_mut(), elsewhere.is_empty()) {
                    part.insert("reservations".into(), elsewhere.into());
                }
                whole.insert(server.into(), part);
            }
        }
        let mut text = serde_json::to_string_pretty(&Value::Object(whole)).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(address: &str, hostname: &str) -> Line {
        Line {
            address: address.parse().unwrap(),
            mac: "00:15:65:aa:bb:cc".parse().unwrap(),
            hostname: hostname.to_owned(),
            subnet: None,
        }
    }

    #[test]
    fn lines_are_as_the_manuals_say() {
        let mut text = String::new();
        dnsmasq(&mut text, &line("10.0.0.5", "lobby"));
        dnsmasq(&mut text, &line("2001:db8::5", ""));
        assert_eq!(
            text,
            "dhcp-host=00:15:65:aa:bb:cc,10.0.0.5,lobby\ndhcp-host=00:15:65:aa:bb:cc,[2001:db8::5]\n"
        );
        text.clear();
        isc(&mut text, &line("10.0.0.5", "lobby"));
        isc(&mut text, &line("2001:db8::5", ""));
        assert_eq!(
            text,
            "host ip-10-0-0-5 { hardware ethernet 00:15:65:aa:bb:cc; fixed-address 10.0.0.5; option host-name \"lobby\"; }\n\
             host ip-2001-db8--5 { hardware ethernet 00:15:65:aa:bb:cc; fixed-address6 2001:db8::5; }\n"
        );
    }
}
