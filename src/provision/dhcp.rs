//! What a DHCP server is to be told, so that new phones find Patchbay by themselves.

use std::fmt::Write as _;

use super::queries::pages::Reserved;
use crate::net::Family;
use crate::phones::Vendor;

/// An option and its value for one make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub vendor: Vendor,
    /// The option's number.
    pub option: u8,
    pub value: String,
    /// Why this one; may be empty.
    pub note: &'static str,
}

/// The options for every make. `url` is where phones reach Patchbay.
pub(super) fn advice(url: &str) -> Vec<Advice> {
    let base = format!("{url}/provision/");
    let say = |vendor, option, value: &str, note| Advice {
        vendor,
        option,
        value: value.to_owned(),
        note,
    };
    let mac = |pattern: &str| format!("{base}{pattern}");
    vec![
        say(Vendor::Yealink, 66, &base, ""),
        say(Vendor::Yealink, 43, &base, "where 66 is another's"),
        say(Vendor::Polycom, 66, &base, ""),
        say(Vendor::Polycom, 160, &base, "asked for before 66"),
        say(Vendor::Grandstream, 66, &base, ""),
        say(Vendor::Grandstream, 43, &base, "where 66 is another's"),
        say(Vendor::Snom, 66, &base, "it adds the name of its file by itself"),
        say(Vendor::Snom, 43, &base, "where 66 is another's"),
        say(Vendor::Cisco, 66, &mac("$MA.xml"), "SPA, ATA and MPP; it fills in $MA"),
        say(Vendor::Cisco, 160, &mac("$MA.xml"), "asked for before 66 by MPP"),
        say(Vendor::Fanvil, 66, &mac("$mac.cfg"), "it fills in $mac"),
        say(Vendor::Fanvil, 43, &mac("$mac.cfg"), "where 66 is another's"),
        say(Vendor::Zultys, 66, &base, ""),
    ]
}

/// A DHCP server whose notation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Isc,
    Dnsmasq,
    Kea,
}

impl Server {
    pub(super) const ALL: [Self; 3] = [Self::Isc, Self::Dnsmasq, Self::Kea];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Isc => "isc",
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "kea",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Isc => "ISC dhcpd",
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "Kea",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.as_str() == name)
    }

    /// Reservations for phones with static IPv4 addresses, for the server's configuration. Nothing
    /// somebody typed stands in it.
    pub(super) fn reservations(self, phones: &[Reserved]) -> String {
        let phones: Vec<&Reserved> =
            phones.iter().filter(|phone| phone.address.family() == Family::V4).collect();
        let mut text = String::new();
        match self {
            Self::Isc => {
                for Reserved { mac, address, .. } in phones {
                    let name = mac.hex();
                    let _ = writeln!(
                        text,
                        "host phone-{name} {{ hardware ethernet {mac}; fixed-address {address}; }}"
                    );
                }
            }
            Self::Dnsmasq => {
                for Reserved { mac, address, .. } in phones {
                    let _ = writeln!(text, "dhcp-host={mac},{address},phone-{}", mac.hex());
                }
            }
            Self::Kea => {
                let rows: Vec<serde_json::Value> = phones
                    .into_iter()
                    .map(|phone| {
                        serde_json::json!({
                            "hw-address": phone.mac, "ip-address": phone.address,
                            "hostname": format!("phone-{}", phone.mac.hex()),
                        })
                    })
                    .collect();
                text = serde_json::to_string_pretty(&serde_json::json!({ "reservations": rows }))
                    .unwrap_or_default();
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(address: &str) -> Reserved {
        Reserved {
            mac: "00:15:65:aa:bb:cc".parse().unwrap(),
            address: address.parse().unwrap(),
            vendor: "yealink".to_owned(),
            label: "Lobby; }".to_owned(),
            number: Some(1000),
        }
    }

    #[test]
    fn reservations_are_written_as_each_server_reads_them() {
        let phones = [phone("10.0.0.5"), phone("2001:db8::5")];
        assert_eq!(
            Server::Isc.reservations(&phones),
            "host phone-001565aabbcc { hardware ethernet 00:15:65:aa:bb:cc; fixed-address 10.0.0.5; }\n"
        );
        assert_eq!(
            Server::Dnsmasq.reservations(&phones),
            "dhcp-host=00:15:65:aa:bb:cc,10.0.0.5,phone-001565aabbcc\n"
        );
        let kea: serde_json::Value =
            serde_json::from_str(&Server::Kea.reservations(&phones)).unwrap();
        assert_eq!(kea["reservations"][0]["ip-address"], "10.0.0.5");
        assert_eq!(kea["reservations"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn every_make_has_an_option_66_that_leads_here() {
        let all = advice("https://pbx.example");
        for vendor in Vendor::ALL {
            let found = all.iter().find(|advice| advice.vendor == vendor && advice.option == 66);
            assert!(found.unwrap().value.starts_with("https://pbx.example/provision/"));
        }
    }
}
