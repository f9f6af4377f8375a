//! What a subnet is.

use std::str::FromStr;

use crate::id::{PoolId, SubnetId};
use crate::ipam::class::Kind;
use crate::net::{self, Address, BadRange, Cidr, Range};
use crate::text::{BadLine, Line};
use crate::time::Timestamp;

/// What a subnet is called: 1 to 100 characters, unique in the tenant whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetName(Line<100>);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubnetName {
    /// Nothing there.
    #[error("enter a name, such as Voice Berlin")]
    Empty,
    /// Not a line.
    #[error(transparent)]
    Line(#[from] BadLine),
}

impl FromStr for SubnetName {
    type Err = BadSubnetName;

    fn from_str(text: &str) -> Result<Self, BadSubnetName> {
        let line: Line<100> = text.parse()?;
        if line.is_empty() { Err(BadSubnetName::Empty) } else { Ok(Self(line)) }
    }
}

impl TryFrom<String> for SubnetName {
    type Error = BadSubnetName;

    fn try_from(text: String) -> Result<Self, BadSubnetName> {
        text.parse()
    }
}

impl std::fmt::Display for SubnetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl SubnetName {
    /// The form in which names are compared, searched and sorted.
    pub fn key(&self) -> String {
        self.0.key()
    }
}

/// A VLAN's number, 1 to 4094 (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan(u16);

/// Not a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use a VLAN number from 1 to 4094")]
pub struct BadVlan;

impl TryFrom<i64> for Vlan {
    type Error = BadVlan;

    fn try_from(number: i64) -> Result<Self, BadVlan> {
        u16::try_from(number)
            .ok()
            .filter(|number| (1..=4094).contains(number))
            .map(Self)
            .ok_or(BadVlan)
    }
}

impl FromStr for Vlan {
    type Err = BadVlan;

    fn from_str(text: &str) -> Result<Self, BadVlan> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadVlan);
        }
        text.parse::<i64>().map_err(|_| BadVlan)?.try_into()
    }
}

impl std::fmt::Display for Vlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Vlan {
    /// As databases store it.
    pub fn as_i64(self) -> i64 {
        i64::from(self.0)
    }
}

/// The DNS servers of a subnet, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsServers(pub Vec<Address>);

/// Not a list of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an address; write DNS servers as 10.0.0.53, 2001:db8::53")]
pub struct BadDnsServers(String);

impl FromStr for DnsServers {
    type Err = BadDnsServers;

    fn from_str(text: &str) -> Result<Self, BadDnsServers> {
        let pieces =
            text.split([',', ';', ' ', '\n']).map(str::trim).filter(|piece| !piece.is_empty());
        let servers =
            pieces.map(|piece| piece.parse().map_err(|_| BadDnsServers(piece.to_owned())));
        servers.collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Display for DnsServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&servers.join(", "))
    }
}

/// Which addresses a kind of pool has, as laid down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pools {
    /// Nothing was said: static pools take every usable address, DHCP pools what static ones leave.
    #[default]
    Rest,
    /// These, or none.
    These(Vec<Range>),
}

impl FromStr for Pools {
    type Err = BadRange;

    /// Ranges as [`net::parse_ranges`] reads them; `all` or nothing is [`Pools::Rest`], `none` none.
    fn from_str(text: &str) -> Result<Self, BadRange> {
        match text.trim() {
            "" | "all" | "rest" => Ok(Self::Rest),
            "none" => Ok(Self::These(Vec::new())),
            ranges => net::parse_ranges(ranges).map(Self::These),
        }
    }
}

/// What a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolKind {
    /// Addresses given by hand.
    Static,
    /// Addresses a DHCP server gives.
    Dhcp,
    /// Addresses nobody is given.
    Excluded,
}

/// Not a kind of pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use static, dhcp or excluded")]
pub struct BadPoolKind;

impl PoolKind {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dhcp => "dhcp",
            Self::Excluded => "excluded",
        }
    }

    /// How its addresses are given; none if they are not.
    pub fn gives(self) -> Option<Kind> {
        match self {
            Self::Static => Some(Kind::Static),
            Self::Dhcp => Some(Kind::Dhcp),
            Self::Excluded => None,
        }
    }
}

impl TryFrom<String> for PoolKind {
    type Error = BadPoolKind;

    fn try_from(text: String) -> Result<Self, BadPoolKind> {
        let kinds = [Self::Static, Self::Dhcp, Self::Excluded];
        kinds.into_iter().find(|kind| kind.as_str() == text).ok_or(BadPoolKind)
    }
}

/// A pool as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// What it is for.
    pub kind: PoolKind,
    /// Its addresses.
    pub range: Range,
    /// Whether it was computed rather than laid down.
    pub derived: bool,
}

/// A subnet as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Subnet {
    pub id: SubnetId,
    pub name: SubnetName,
    pub cidr: Cidr,
    pub parent: Option<SubnetId>,
    pub vlan: Option<Vlan>,
    pub gateway: Option<Address>,
    pub site: Line<100>,
    pub dns: DnsServers,
    pub description: Line<500>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What is laid down of a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it is called.
    pub name: SubnetName,
    /// Its addresses.
    pub cidr: Cidr,
    /// Its VLAN.
    pub vlan: Option<Vlan>,
    /// Its router; nobody else is given that address.
    pub gateway: Option<Address>,
    /// Where it is.
    pub site: Line<100>,
    /// Whom its machines ask for names.
    pub dns: DnsServers,
    /// What else there is to say.
    pub description: Line<500>,
    /// Which addresses are given by hand.
    pub statics: Pools,
    /// Which addresses a DHCP server gives.
    pub dhcp: Pools,
    /// Which addresses nobody is given.
    pub excluded: Vec<Range>,
}

/// Addresses a pool has at most: those of an IPv6 subnet (RFC 4291 2.5.1).
const LARGEST_POOL: u128 = 1 << 64;

impl Spec {
    /// A subnet of which nothing but its name and addresses is said.
    pub fn new(name: SubnetName, cidr: Cidr) -> Self {
        Self {
            name,
            cidr,
            vlan: None,
            gateway: None,
            site: Line::default(),
            dns: DnsServers::default(),
            description: Line::default(),
            statics: Pools::Rest,
            dhcp: Pools::Rest,
            excluded: Vec::new(),
        }
    }

    /// The pools this comes to: `(kind, range, computed)`.
    pub(super) fn pools(&self) -> Vec<(PoolKind, Range, bool)> {
        // Nobody hands out more than an IPv6 subnet has: larger ones are frames around others.
        let usable = self.cidr.usable();
        let usable = if usable.size() > LARGEST_POOL { Vec::new() } else { vec![usable] };
        let mut held = self.excluded.clone();
        held.extend(self.gateway.map(Range::single));
        let statics = match &self.statics {
            Pools::Rest => match &self.dhcp {
                Pools::Rest => usable.clone(),
                Pools::These(dhcp) => {
                    net::subtract(&usable, &[held.clone(), dhcp.clone()].concat())
                }
            },
            Pools::These(ranges) => ranges.clone(),
        };
        let dhcp = match &self.dhcp {
            Pools::Rest => net::subtract(&usable, &[held, statics.clone()].concat()),
            Pools::These(ranges) => ranges.clone(),
        };
        let all = |kind, ranges: Vec<Range>, derived| {
            ranges.into_iter().map(move |range| (kind, range, derived))
        };
        all(PoolKind::Static, statics, self.statics == Pools::Rest)
            .chain(all(PoolKind::Dhcp, dhcp, self.dhcp == Pools::Rest))
            .chain(all(PoolKind::Excluded, self.excluded.clone(), false))
            .collect()
    }

    /// What is laid down that cannot be: the field, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let within = self.cidr.range();
        if let Some(gateway) = self.gateway {
            if !self.cidr.contains(gateway) {
                return Some(("gateway", format!("{gateway} is not in {}", self.cidr)));
            }
            if let Some((_, what)) =
                self.cidr.never().into_iter().find(|(never, _)| *never == gateway)
            {
                return Some((
                    "gateway",
                    format!("{gateway} is the {what} address of {}", self.cidr),
                ));
            }
        }
        let these = |pools: &Pools| match pools {
            Pools::Rest => Vec::new(),
            Pools::These(ranges) => ranges.clone(),
        };
        let fields = [
            ("static_pools", these(&self.statics)),
            ("dhcp_pools", these(&self.dhcp)),
            ("excluded", self.excluded.clone()),
        ];
        let mut before: Vec<Range> = Vec::new();
        for (field, ranges) in fields {
            for range in ranges {
                if !within.covers(range) {
                    return Some((field, format!("{range} is not inside {}", self.cidr)));
                }
                if let Some(other) = before.iter().find(|other| other.overlaps(range)) {
                    return Some((field, format!("{range} overlaps {other}")));
                }
                if range.size() > LARGEST_POOL {
                    return Some((
                        field,
                        format!("{range} is too large: a pool has at most 2^64 addresses"),
                    ));
                }
                before.push(range);
            }
        }
        None
    }
}
