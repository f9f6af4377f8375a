//! Reports as tables: the same cells on the screen, on paper and in files.

use super::types::{Line, Report, SiteUse, SubnetUse, Use};
use crate::audit;
use crate::ipam::class::Status;
use crate::text::grouped;
use crate::time::Timestamp;
use crate::web::sheet::Heading;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What stands above it.
    pub head: &'static str,
    /// What files call it.
    pub name: &'static str,
    /// How its cells look.
    pub class: &'static str,
    /// Whether it holds numbers.
    number: bool,
    /// The order that its heading sorts by; empty if none does.
    pub order: &'static str,
}

impl Column {
    const fn new(head: &'static str, name: &'static str, class: &'static str) -> Self {
        Self { head, name, class, number: false, order: "" }
    }

    const fn number(head: &'static str, name: &'static str, class: &'static str) -> Self {
        Self { head, name, class, number: true, order: "" }
    }

    const fn by(mut self, order: &'static str) -> Self {
        self.order = order;
        self
    }

    /// As files have it.
    pub fn heading(&self) -> Heading {
        if self.number { Heading::number(self.name) } else { Heading::text(self.name) }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    /// Something with a page of its own.
    Link {
        text: String,
        href: String,
    },
    Count(i128),
    /// Thousandths.
    Share(Option<i128>),
    Status(Status),
    When(Timestamp),
    Never,
    Lines(Vec<String>),
    /// What changed: name, before, after; and a note.
    Changes(Vec<(String, String, String)>, String),
}

impl Cell {
    fn seen(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Never, Self::When)
    }

    fn until(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Text(String::new()), Self::When)
    }

    /// As files have it.
    pub fn plain(self) -> String {
        match self {
            Self::Text(text) | Self::Link { text, .. } => text,
            Self::Count(count) => count.to_string(),
            Self::Share(share) => {
                share.map(|share| format!("{}.{}", share / 10, share % 10)).unwrap_or_default()
            }
            Self::Status(status) => status.to_string(),
            Self::When(at) => at.to_string(),
            Self::Never => String::new(),
            Self::Lines(lines) => lines.join("; "),
            Self::Changes(changes, note) => {
                let changes = changes.into_iter().map(|(name, before, after)| {
                    format!("{name}: {}", [before, after].join(" -> ").trim())
                });
                let all = changes.chain(Some(note).filter(|note| !note.is_empty()));
                all.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// A share as a person reads it.
#[expect(clippy::ref_option, reason = "templates pass variables by reference")]
pub(super) fn percent(share: &Option<i128>) -> String {
    match share {
        None => "-".to_owned(),
        Some(1..=9) => "<1 %".to_owned(),
        Some(share) => format!("{} %", share / 10),
    }
}

/// A count as a person reads it: beyond 2^32 (the whole of IPv4) as a power of two.
pub(super) fn count(count: &i128) -> String {
    if *count < 1 << 32 {
        return grouped(count);
    }
    let power = count.ilog2();
    let nearer = if count - (1 << power) > (1 << power) / 2 { power + 1 } else { power };
    format!("≈ 2^{nearer}")
}

const USED: Column = Column::number("Used", "used_percent", "share").by("used");
const FREE: Column = Column::number("Free", "available", "num").by("free");
const ALLOCATED: Column = Column::number("Allocated", "allocated", "num");
const RESERVED: Column = Column::number("Reserved", "reserved", "num");
const QUARANTINE: Column = Column::number("Quarantine", "quarantine", "num");
const DHCP: Column = Column::number("DHCP free", "dhcp_available", "num extra");

/// The columns of a report.
pub(super) fn columns(report: Report) -> &'static [Column] {
    const ADDRESS: Column = Column::new("Address", "address", "addr");
    const SUBNET: Column = Column::new("Subnet", "subnet", "thin");
    const CIDR: Column = Column::new("Addresses", "cidr", "addr");
    const HOLDER: Column = Column::new("Held by", "holder", "thin");
    const HOSTNAME: Column = Column::new("Host name", "hostname", "thin");
    const MAC: Column = Column::new("MAC", "mac", "addr");
    const SINCE: Column = Column::new("Since", "since", "");
    const SEEN: Column = Column::new("Last seen", "last_seen", "");
    match report {
        Report::Utilisation => {
            &const {
                [
                    Column::new("Subnet", "subnet", "thin").by("name"),
                    CIDR.by("address"),
                    Column::new("Site", "site", "thin").by("site"),
                    Column::number("VLAN", "vlan", "num extra"),
                    USED,
                    FREE,
                    ALLOCATED,
                    RESERVED,
                    QUARANTINE,
                    DHCP,
                ]
            }
        }
        Report::Sites => {
            &const {
                [
                    Column::new("Site", "site", "wrap").by("site"),
                    Column::number("Subnets", "subnets", "num"),
                    USED,
                    FREE,
                    ALLOCATED,
                    RESERVED,
                    QUARANTINE,
                    DHCP,
                ]
            }
        }
        Report::Reservations => {
            &const {
                [
                    Column::new("Address", "address", "addr").by("address"),
                    Column::new("Person", "reserved_by", "thin").by("person"),
                    Column::new("Note", "note", "wrap"),
                    Column::new("Since", "since", "").by("age"),
                    Column::number("Days", "age_days", "num"),
                    Column::new("Until", "until", ""),
                    SUBNET,
                ]
            }
        }
        Report::Conflicts => {
            &const {
                [
                    ADDRESS,
                    SUBNET,
                    Column::new("Held by", "holder", "wrap"),
                    Column::new("Claimed by", "claimed_by", "wrap"),
                    SINCE,
                    SEEN,
                ]
            }
        }
        Report::Inactive => {
            &const {
                [
                    Column::new("Address", "address", "addr").by("address"),
                    HOLDER,
                    HOSTNAME,
                    MAC,
                    Column::new("Allocated", "since", ""),
                    SEEN.by("seen"),
                    SUBNET,
                ]
            }
        }
        Report::Orphans => {
            &const { [ADDRESS, Column::new("Status", "status", ""), HOLDER, HOSTNAME, MAC, SINCE, SEEN] }
        }
        Report::History => {
            &const {
                [
                    Column::new("When", "time", ""),
                    Column::new("Who", "actor", "thin"),
                    Column::new("By", "via", ""),
                    Column::new("What", "action", ""),
                    Column::new("Changed", "changed", "wrap"),
                ]
            }
        }
    }
}

fn usage(usage: &Use) -> [Cell; 6] {
    [
        Cell::Share(usage.permille()),
        Cell::Count(usage.available),
        Cell::Count(usage.allocated),
        Cell::Count(usage.reserved),
        Cell::Count(usage.quarantine),
        Cell::Count(usage.dhcp),
    ]
}

pub(super) fn subnet(one: &SubnetUse) -> Vec<Cell> {
    let subnet = &one.subnet;
    let own = [
        Cell::Link { text: subnet.name.to_string(), href: format!("/ipam/subnets/{}", subnet.id) },
        Cell::Text(subnet.cidr.to_string()),
        Cell::Text(subnet.site.to_string()),
        Cell::Text(subnet.vlan.map(|vlan| vlan.to_string()).unwrap_or_default()),
    ];
    own.into_iter().chain(usage(&one.usage)).collect()
}

pub(super) fn site(one: &SiteUse) -> Vec<Cell> {
    let (text, value) = match one.site.as_str() {
        "" => ("(no site)", super::ask::NO_SITE),
        site => (site, site),
    };
    let query = serde_html_form::to_string([("report", "utilisation"), ("site", value)]);
    let own = [
        Cell::Link {
            text: text.to_owned(),
            href: format!("/ipam/report?{}", query.unwrap_or_default()),
        },
        Cell::Count(i128::from(one.subnets)),
    ];
    own.into_iter().chain(usage(&one.usage)).collect()
}

/// The cells of an address in one of the reports that list addresses.
pub(super) fn line(report: Report, line: &Line, now: Timestamp) -> Vec<Cell> {
    let address = Cell::Link {
        text: line.address.to_string(),
        href: format!("/ipam/report?report=history&address={}", line.address),
    };
    let subnet = line.place.as_ref().map_or(Cell::Text(String::new()), |place| Cell::Link {
        text: format!("{} ({})", place.name, place.cidr),
        href: format!("/ipam/subnets/{}", place.id),
    });
    let mac = || Cell::Text(line.mac.map(|mac| mac.to_string()).unwrap_or_default());
    let hostname = || Cell::Text(line.hostname.clone());
    let holder = || match line.holder.as_ref().map(|holder| (holder, holder.link())) {
        Some((holder, Some(href))) => Cell::Link { text: holder.to_string(), href },
        Some((holder, None)) => Cell::Text(holder.to_string()),
        None => Cell::Text(line.keeper()),
    };
    match report {
        Report::Reservations => vec![
            address,
            Cell::Text(line.reserved_by.clone()),
            Cell::Text(line.description.clone()),
            Cell::When(line.since),
            Cell::Count(i128::from(line.age(now))),
            Cell::until(line.until),
            subnet,
        ],
        Report::Conflicts => {
            let known = [Some(line.keeper()), line.mac.map(|mac| mac.to_string())];
            let claims = line.claims.iter().map(|claim| {
                let known = claim.tenure.is_some() || !claim.hostname.is_empty();
                let mac = claim.mac.filter(|_| known);
                let mac = mac.map(|mac| format!(", {mac}")).unwrap_or_default();
                format!("{}{mac}", claim.claimant())
            });
            let since = line.claims.iter().map(|claim| claim.created_at).min();
            vec![
                address,
                subnet,
                Cell::Lines(known.into_iter().flatten().collect()),
                Cell::Lines(claims.collect()),
                Cell::until(since),
                Cell::seen(line.last_seen),
            ]
        }
        Report::Inactive => {
            let seen = Cell::seen(line.last_seen);
            vec![address, holder(), hostname(), mac(), Cell::When(line.since), seen, subnet]
        }
        _ => {
            let seen = Cell::seen(line.last_seen);
            let status = Cell::Status(line.status);
            vec![address, status, holder(), hostname(), mac(), Cell::When(line.since), seen]
        }
    }
}

pub(super) fn event(record: &audit::Record) -> Vec<Cell> {
    let action = record.action.strip_prefix("address.").unwrap_or(&record.action);
    vec![
        Cell::When(record.at),
        Cell::Text(record.actor.clone()),
        Cell::Text(record.via.clone()),
        Cell::Text(action.replace('_', " ")),
        Cell::Changes(record.changes(), record.note.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_too_long_to_read_are_powers_of_two() {
        assert_eq!(count(&16_777_214), "16,777,214");
        assert_eq!(count(&((1 << 64) - 3)), "≈ 2^64");
        assert_eq!(count(&((1 << 64) + 9)), "≈ 2^64");
    }

    #[test]
    fn a_share_says_full_and_empty_only_when_that_is_so() {
        let shown = [None, Some(0), Some(1), Some(9), Some(10), Some(999), Some(1000)];
        let shown = shown.map(|share| percent(&share));
        assert_eq!(shown, ["-", "0 %", "<1 %", "<1 %", "1 %", "99 %", "100 %"]);
    }
}
