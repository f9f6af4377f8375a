//! What is reported, on what, and the lines of it.

use crate::id::SubnetId;
use crate::ipam::addresses::{Claim, Holder};
use crate::ipam::class::Status;
use crate::ipam::subnets::Subnet;
use crate::net::{Address, Cidr, Family, Mac, Range};
use crate::time::Timestamp;

/// Seconds a day has.
const DAY: i64 = 86_400;

/// The reports there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// How full each subnet is.
    Utilisation,
    /// The same by site.
    Sites,
    /// Who keeps what, and for how long already.
    Reservations,
    /// Addresses two claim.
    Conflicts,
    /// Addresses somebody holds and nobody sees.
    Inactive,
    /// Addresses in no subnet.
    Orphans,
    /// What became of one address.
    History,
}

impl Report {
    /// All of them, in the order the index lists them.
    pub const ALL: [Self; 7] = [
        Self::Utilisation,
        Self::Sites,
        Self::Reservations,
        Self::Conflicts,
        Self::Inactive,
        Self::Orphans,
        Self::History,
    ];

    /// The report called `name` in the URL, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|report| report.name() == name)
    }

    /// Its name in the URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utilisation => "utilisation",
            Self::Sites => "sites",
            Self::Reservations => "reservations",
            Self::Conflicts => "conflicts",
            Self::Inactive => "inactive",
            Self::Orphans => "orphans",
            Self::History => "history",
        }
    }

    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Utilisation => "Utilisation by subnet",
            Self::Sites => "Utilisation by site",
            Self::Reservations => "Reservations",
            Self::Conflicts => "Conflicts",
            Self::Inactive => "Inactive addresses",
            Self::Orphans => "Orphaned addresses",
            Self::History => "History of an address",
        }
    }

    /// What it is good for.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Utilisation => "How full each subnet is, without the smaller ones inside it",
            Self::Sites => "The subnets of each site added up",
            Self::Reservations => "Who keeps which address, why, and for how long already",
            Self::Conflicts => "Addresses that two claim, with both claimants",
            Self::Inactive => "Addresses that somebody holds and that were not seen of late",
            Self::Orphans => "Addresses in use that lie in no subnet",
            Self::History => {
                "Every change of one address: who, when and why, also when its subnet is gone"
            }
        }
    }

    /// What its files are called.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Utilisation => "utilisation",
            Self::Sites => "sites",
            Self::Reservations => "reservations",
            Self::Conflicts => "conflicts",
            Self::Inactive => "inactive",
            Self::Orphans => "orphans",
            Self::History => "history",
        }
    }

    /// Whether it is about addresses in subnets, so that a subnet or a site narrows it.
    pub fn has_places(self) -> bool {
        !matches!(self, Self::Orphans | Self::History)
    }

    /// Every order it can have, the usual one first.
    pub fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Utilisation => &["address", "name", "site", "used", "free"],
            Self::Sites => &["site", "used", "free"],
            Self::Reservations => &["person", "age", "address"],
            Self::Inactive => &["address", "seen"],
            Self::Conflicts | Self::Orphans => &["address"],
            Self::History => &["time"],
        }
    }
}

/// What a report is narrowed to. Nothing set: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what lies in these addresses.
    pub within: Option<Range>,
    /// Only this kind of address.
    pub family: Option<Family>,
    /// Only subnets of the site whose key this is; the empty one for those without a site.
    pub site: Option<String>,
    /// Only what this operator reserved.
    pub person: String,
    /// Only what was not seen at or after this.
    pub unseen_since: Option<Timestamp>,
    /// Only what comes after this address.
    pub after: Option<Address>,
    /// One of the report's orders.
    pub order: &'static str,
}

/// How full something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the statistics of the list")]
pub struct Use {
    pub available: i128,
    pub allocated: i128,
    pub reserved: i128,
    pub quarantine: i128,
    /// Free for a DHCP server to give.
    pub dhcp: i128,
}

impl Use {
    /// Those that nobody else can have.
    pub fn used(&self) -> i128 {
        self.allocated + self.reserved + self.quarantine
    }

    /// Thousandths used of what a person may hold, rounded down; none if that is nothing.
    pub fn permille(&self) -> Option<i128> {
        let all = self.used() + self.available;
        (self.used() * 1000).checked_div(all)
    }
}

impl std::ops::AddAssign for Use {
    fn add_assign(&mut self, other: Self) {
        self.available += other.available;
        self.allocated += other.allocated;
        self.reserved += other.reserved;
        self.quarantine += other.quarantine;
        self.dhcp += other.dhcp;
    }
}

/// How full a subnet is, without smaller ones inside.
#[derive(Clone, Debug)]
pub struct SubnetUse {
    /// Which.
    pub subnet: Subnet,
    /// How full.
    pub usage: Use,
}

/// How full the subnets of a site are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteUse {
    /// The site; empty for subnets without one.
    pub site: String,
    /// How many subnets there are.
    pub subnets: i64,
    /// How full they are together.
    pub usage: Use,
}

/// Where an address lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The subnet's id.
    pub id: SubnetId,
    /// What it is called.
    pub name: String,
    /// Its addresses.
    pub cidr: Cidr,
    /// Where it is.
    pub site: String,
}

/// An address in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Line {
    pub address: Address,
    /// None for an orphan.
    pub place: Option<Place>,
    pub status: Status,
    pub hostname: String,
    pub mac: Option<Mac>,
    pub holder: Option<Holder>,
    pub description: String,
    pub reserved_by: String,
    pub reason: String,
    pub until: Option<Timestamp>,
    pub since: Timestamp,
    pub last_seen: Option<Timestamp>,
    /// Who else wants it, the oldest claim first.
    pub claims: Vec<Claim>,
}

impl Line {
    /// For how many whole days it has been what it is.
    pub fn age(&self, now: Timestamp) -> i64 {
        now.since(self.since).div_euclid(DAY)
    }

    /// Who has it, for a sentence.
    pub fn keeper(&self) -> String {
        match (&self.holder, self.status) {
            (Some(holder), _) => format!("{} {holder}", holder.kind.as_str()),
            (None, Status::Reserved) => format!("{} ({})", self.reserved_by, self.description),
            (None, Status::Quarantine) => format!("quarantine ({})", self.reason),
            (None, _) => "nobody".to_owned(),
        }
    }
}

/// What one person keeps, by age.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Person {
    /// Who.
    pub name: String,
    /// How many.
    pub total: i64,
    /// Of them, for less than 30 days.
    pub under_30: i64,
    /// Of them, for 30 days and more, but less than 90.
    pub under_90: i64,
    /// Of them, for 90 days and more, but less than a year.
    pub under_365: i64,
    /// Of them, with no end.
    pub endless: i64,
    /// Since when the oldest of them.
    pub oldest: Timestamp,
}

impl Person {
    /// How many are a year old and more.
    pub fn older(&self) -> i64 {
        self.total - self.under_30 - self.under_90 - self.under_365
    }

    /// The link to what they keep.
    pub fn link(&self) -> String {
        let query = [("report", "reservations"), ("person", &self.name)];
        format!("/ipam/report?{}", serde_html_form::to_string(query).unwrap_or_default())
    }

    /// The age of the oldest in whole days.
    pub fn age(&self, now: Timestamp) -> i64 {
        now.since(self.oldest).div_euclid(DAY)
    }
}

/// The moment so many days ago.
pub fn days_ago(now: Timestamp, days: i64) -> Timestamp {
    now.plus(days.saturating_mul(-DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_subnet_alone_is_100_percent() {
        let usage = |allocated, available| Use { available, allocated, ..Use::default() };
        assert_eq!(usage(0, 0).permille(), None);
        assert_eq!(usage(254, 0).permille(), Some(1000));
        assert_eq!(usage(99_999, 1).permille(), Some(999));
        assert_eq!(usage(1, (1 << 64) - 1).permille(), Some(0));
    }
}
