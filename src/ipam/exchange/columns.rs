//! What the columns of files are called: by Patchbay, and by those whose exports it reads.
//!
//! `NetBox` exports a table under the headings of its columns (`netbox/ipam/tables/ip.py`,
//! `netbox/dcim/tables/devices.py`), older releases under the names of their fields
//! (`csv_headers` in `netbox/ipam/models/ip.py`); its statuses are those of `netbox/ipam/choices.py`.
//! `phpIPAM` exports under the headings in `app/admin/import-export/export-subnets.php`,
//! `export-ipaddr.php`, `export-devices.php` and `generate-xls.php`, whose templates for imports
//! (`app/subnets/import-subnet/import-template.php`) say the same; the words for its states are the
//! rows of its table `ipTags`.

use crate::ipam::class::{Kind, Status};
use crate::web::sheet::Column;

/// The columns of a file of addresses that say something.
pub const ADDRESSES: [Column; 19] = [
    Column::needed("address", &["ip address", "ip", "ip_addr", "ipaddr"]),
    Column::optional("status", &["ip state", "state", "tag", "ip tag"]),
    Column::optional("type", &["kind"]),
    Column::optional("hostname", &["dns_name", "host name", "fqdn", "dns"]),
    Column::optional("mac", &["mac address", "mac_address", "mac addr"]),
    Column::optional("platform", &[]),
    Column::optional("manufacturer", &["vendor"]),
    Column::optional("holder_kind", &[]),
    Column::optional("holder", &[]),
    Column::optional("holder_id", &[]),
    Column::optional("owner", &[]),
    Column::optional("device", &["device/vm", "parent", "switch"]),
    Column::optional("virtual_machine", &[]),
    Column::optional("description", &[]),
    Column::optional("note", &["notes", "comments", "comment"]),
    Column::optional("reserved_by", &[]),
    Column::optional("reason", &[]),
    Column::optional("until", &["expires"]),
    Column::optional("gateway", &["is_gateway"]),
];

/// The columns of a file of subnets that say something.
pub const SUBNETS: [Column; 15] = [
    Column::needed("cidr", &["prefix", "subnet", "network"]),
    Column::optional("mask", &["netmask", "bitmask"]),
    Column::optional("name", &[]),
    Column::optional("vlan", &["vlan id", "vid", "vlan number"]),
    Column::optional("gateway", &["router"]),
    Column::optional("site", &[]),
    Column::optional("scope", &["location"]),
    Column::optional("section", &[]),
    Column::optional("dns", &["dns servers", "nameservers"]),
    Column::optional("description", &[]),
    Column::optional("comments", &["note", "notes"]),
    Column::optional("status", &[]),
    Column::optional("static_pools", &["static pool"]),
    Column::optional("dhcp_pools", &["dhcp pool"]),
    Column::optional("excluded", &["exclusions"]),
];

/// The columns of a file of hosts that say something.
pub const HOSTS: [Column; 13] = [
    Column::needed("hostname", &["name", "host name", "device", "dns_name"]),
    Column::optional("primary_ip", &["ip address", "ip", "ip_addr", "address"]),
    Column::optional("primary_ip4", &["ipv4 address", "primary ipv4"]),
    Column::optional("primary_ip6", &["ipv6 address", "primary ipv6"]),
    Column::optional("nic_mac", &["mac", "mac address"]),
    Column::optional("bmc_ip", &["oob ip", "oob_ip", "out-of-band ip"]),
    Column::optional("bmc_mac", &["oob mac"]),
    Column::optional("device_type", &["type", "model"]),
    Column::optional("platform", &[]),
    Column::optional("manufacturer", &["vendor"]),
    Column::optional("description", &[]),
    Column::optional("comments", &["note", "notes"]),
    Column::optional("role", &["device role", "device_role"]),
];

/// A cell without the dash that exports write where there is nothing. In a column for any text it
/// is one.
pub fn said<'a>(column: &str, cell: &'a str) -> &'a str {
    const TEXTS: [&str; 9] = [
        "description",
        "note",
        "comments",
        "reason",
        "reserved_by",
        "holder",
        "holder_id",
        "platform",
        "manufacturer",
    ];
    if matches!(cell, "-" | "—" | "/") && !TEXTS.contains(&column) { "" } else { cell }
}

/// A word for a status in anybody's files: what it comes to, and how the address is given, if the
/// word says so. Nothing is what somebody has.
pub fn status(word: &str) -> Option<(Status, Option<Kind>)> {
    Some(match word.to_lowercase().as_str() {
        "" | "allocated" | "active" | "used" | "online" | "offline" | "assigned" => {
            (Status::Allocated, None)
        }
        "dhcp" | "slaac" => (Status::Allocated, Some(Kind::Dhcp)),
        "reserved" => (Status::Reserved, None),
        "quarantine" | "deprecated" => (Status::Quarantine, None),
        "available" | "free" => (Status::Available, None),
        _ => return None,
    })
}

/// What is wrong with a word for a status.
pub const BAD_STATUS: &str = "use available, allocated, reserved or quarantine";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_known_and_strange_ones_are_not() {
        for (word, status_is, kind) in [
            ("Active", Status::Allocated, None),
            ("DHCP", Status::Allocated, Some(Kind::Dhcp)),
            ("Deprecated", Status::Quarantine, None),
            ("Used", Status::Allocated, None),
            ("Reserved", Status::Reserved, None),
            ("", Status::Allocated, None),
        ] {
            assert_eq!(status(word), Some((status_is, kind)), "{word}");
        }
        assert_eq!(status("gone"), None);
        assert_eq!(
            (said("owner", "—"), said("note", "-"), said("site", "Berlin")),
            ("", "-", "Berlin")
        );
    }

    #[test]
    fn no_name_means_two_columns() {
        let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
        for known in [&ADDRESSES[..], &SUBNETS[..], &HOSTS[..]] {
            let mut names: Vec<String> = known
                .iter()
                .flat_map(|column| column.aliases.iter().copied().chain([column.name]).map(plain))
                .collect();
            names.sort_unstable();
            let mut once = names.clone();
            once.dedup();
            // Two spellings of one column may come to the same.
            for name in names.iter().filter(|name| names.iter().filter(|n| n == name).count() > 1) {
                let of = known.iter().filter(|column| {
                    column.aliases.iter().copied().chain([column.name]).any(|n| plain(n) == *name)
                });
                assert_eq!(of.count(), 1, "{name}");
            }
        }
    }
}
