//! What a host is.

use crate::id::HostId;
use crate::ipam::addresses::{BadHostname, Hostname};
use crate::net::{Address, Mac};
use crate::text::{ByName, Line};
use crate::time::Timestamp;

/// What a host is called: a host name, unique in the tenant whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(Hostname);

/// Why a host's name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHostName {
    /// Nothing there.
    #[error("enter a host name, such as gw-ber-1")]
    Empty,
    /// Not a host name.
    #[error(transparent)]
    Form(#[from] BadHostname),
}

impl std::str::FromStr for HostName {
    type Err = BadHostName;

    fn from_str(text: &str) -> Result<Self, BadHostName> {
        let name: Hostname = text.parse()?;
        if name.is_empty() { Err(BadHostName::Empty) } else { Ok(Self(name)) }
    }
}

impl TryFrom<String> for HostName {
    type Error = BadHostName;

    fn try_from(text: String) -> Result<Self, BadHostName> {
        text.parse()
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl HostName {
    /// As addresses show it.
    pub fn hostname(&self) -> Hostname {
        self.0.clone()
    }

    /// The form in which it is compared and sorted.
    pub fn key(&self) -> String {
        self.0.key()
    }
}

/// What is laid down of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it is called.
    pub hostname: HostName,
    /// The address it works with.
    pub primary_ip: Option<Address>,
    /// The interface that has it.
    pub nic_mac: Option<Mac>,
    /// The address of its management controller.
    pub bmc_ip: Option<Address>,
    /// The controller's interface.
    pub bmc_mac: Option<Mac>,
    /// What it is; addresses show it as their platform.
    pub device_type: Line<100>,
    /// Who made it.
    pub manufacturer: Line<100>,
    /// What else there is to say.
    pub description: Line<500>,
}

/// A host as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Host {
    pub id: HostId,
    pub spec: Spec,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Name,
    NameDown,
    Address,
    AddressDown,
    Type,
    TypeDown,
    Maker,
    MakerDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Name, "hostname"),
        (Self::NameDown, "-hostname"),
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Type, "type"),
        (Self::TypeDown, "-type"),
        (Self::Maker, "manufacturer"),
        (Self::MakerDown, "-manufacturer"),
    ];
}

/// Which hosts a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Those with an address that another has or claims.
    Conflict,
    /// Those with an address in no subnet.
    Orphan,
}

impl ByName for Only {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::All, ""), (Self::Conflict, "conflict"), (Self::Orphan, "orphan")];
}
