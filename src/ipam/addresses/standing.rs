//! What can be said of one address, whether it has a row or not.

use super::queries;
use super::types::Record;
use super::{Refusal, label};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{pool_of, withheld};
use crate::ipam::subnets::{self, Pool, Subnet};
use crate::net::Address;

/// Where an address stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Standing {
    /// It has a row; with the subnet around it.
    Row(Record, Option<Subnet>),
    /// It is free in a pool that gives it so.
    Free(Subnet, Kind),
    /// It is in a subnet but in none of its pools: nobody is given it unasked.
    Loose(Subnet),
    /// Nobody is ever given it, because it is the subnet's network address or the like.
    Never(Subnet, &'static str),
    /// It lies in no subnet.
    Nowhere,
}

impl Standing {
    /// The status; none where there can be none.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Row(record, _) => Some(record.status),
            Self::Free(..) | Self::Loose(_) => Some(Status::Available),
            Self::Never(..) | Self::Nowhere => None,
        }
    }

    /// The subnet around it.
    pub fn subnet(&self) -> Option<&Subnet> {
        match self {
            Self::Row(_, subnet) => subnet.as_ref(),
            Self::Free(subnet, _) | Self::Loose(subnet) | Self::Never(subnet, _) => Some(subnet),
            Self::Nowhere => None,
        }
    }

    /// The row, if there is one.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Row(record, _) => Some(record),
            _ => None,
        }
    }

    /// What stands in the way of giving `address` to anybody.
    pub fn obstacle(&self, address: Address) -> Option<Refusal> {
        match self {
            Self::Never(subnet, what) => {
                Some(Refusal::Never { address, what, subnet: label(subnet) })
            }
            Self::Nowhere => Some(Refusal::NoSubnet(address)),
            _ => None,
        }
    }
}

/// What there is to say of an address.
pub async fn standing(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<Standing> {
    let subnet = subnets::around(tx, tenant, address).await?;
    if let Some(record) = queries::get(tx, tenant, address).await? {
        return Ok(Standing::Row(record, subnet));
    }
    let Some(subnet) = subnet else { return Ok(Standing::Nowhere) };
    let pools = subnets::pools(tx, subnet.id).await?;
    if let Some(what) = never(&subnet, &pools, address) {
        return Ok(Standing::Never(subnet, what));
    }
    Ok(match pool_of(&subnet, &pools, address) {
        Some((_, kind)) => Standing::Free(subnet, kind),
        None => Standing::Loose(subnet),
    })
}

/// What an address is that nobody may have.
pub(super) fn never(subnet: &Subnet, pools: &[Pool], address: Address) -> Option<&'static str> {
    let edge = subnet.cidr.never().into_iter().find(|(never, _)| *never == address);
    match edge {
        Some((_, what)) => Some(what),
        None if subnet.gateway == Some(address) => Some("gateway"),
        None => {
            let withheld = withheld(subnet, pools);
            withheld.iter().any(|range| range.contains(address)).then_some("excluded")
        }
    }
}

/// Whether an address is one of those a static pool gives, whoever has it.
pub async fn is_static(tx: &mut Tx, tenant: TenantId, address: Address) -> Result<bool> {
    let Some(subnet) = subnets::around(tx, tenant, address).await? else { return Ok(false) };
    let pools = subnets::pools(tx, subnet.id).await?;
    Ok(pool_of(&subnet, &pools, address).is_some_and(|(_, kind)| kind == Kind::Static))
}
