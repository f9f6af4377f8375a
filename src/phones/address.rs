//! A phone's static address: the one it is assigned.
//!
//! It is an assignment like any other ([`crate::lifecycle`]): allocated here, active when the phone
//! first registers, told to outside systems, over when the phone is to have it no longer.

use super::refusal::{Outcome, Refusal};
use super::types::{Phone, Static};
use crate::ipam::addresses::{self, Holder, Record, Tenure};
use crate::ipam::space::{Source, Space};
use crate::ipam::subnets;
use crate::lifecycle::{self, Family, How, Leased, Origin, Role, State, Wanted};
use crate::net::Address;
use crate::users::lines;

/// What a phone holds addresses as.
pub(super) fn holder(phone: &Phone) -> Holder {
    lines::holder(phone.mac, phone.title())
}

/// What addresses say of a phone.
pub fn tenure(phone: &Phone) -> Tenure {
    lifecycle::of_phone(holder(phone), phone.label.as_str(), phone.model, phone.mac)
}

/// Gives a phone the address wished for (`None`: nothing is said of it), takes from it what it is
/// to have no longer, and lets the address say what the phone is called now. Whether it has
/// another address than before.
pub(super) async fn settle(
    space: &mut Space<'_>,
    phone: &Phone,
    wish: Option<Static>,
) -> Outcome<bool> {
    let (tenant, holder, tenure) = (space.tenant(), holder(phone), tenure(phone));
    let moved = match wish {
        None => false,
        Some(wish) => change(space, phone, wish).await?,
    };
    for record in addresses::held_by(space.tx(), tenant, &holder).await? {
        addresses::claim(space, record.address, &tenure).await?;
    }
    // Whatever else it claims, it claims under its new name.
    addresses::rename(space, &holder).await?;
    Ok(moved)
}

/// Whether it has another address than before.
async fn change(space: &mut Space<'_>, phone: &Phone, wish: Static) -> Outcome<bool> {
    let (tenant, holder) = (space.tenant(), holder(phone));
    let held = addresses::held_by(space.tx(), tenant, &holder).await?;
    let wished = |record: &Record| match wish {
        Static::None => false,
        Static::This(address) => record.address == address,
        Static::Next => record.subnet == phone.subnet,
    };
    let mut keep = None;
    let mut gone = false;
    for record in held {
        let (own, state) = standing(space, &record).await?;
        let goes_on = !matches!(state, Some(State::Revoking | State::Failed));
        // What is ending already ends when outside systems were told.
        let ends = wish == Static::None && state == Some(State::Revoking);
        if keep.is_none() && wished(&record) && goes_on {
            keep = Some(record.address);
        } else if own && !ends {
            withdraw(space, &record, &holder, phone).await?;
            gone = true;
        }
    }
    if keep.is_none() && wish != Static::None {
        take(space, phone, wish).await?;
        gone = true;
    }
    Ok(gone)
}

/// Whether an address is the phone's static one, rather than given to it for another purpose, and
/// how its assignment stands, if it has one.
async fn standing(space: &mut Space<'_>, record: &Record) -> Outcome<(bool, Option<State>)> {
    let Some(id) = record.assignment else { return Ok((true, None)) };
    let tenant = space.tenant();
    let one = lifecycle::get(space.tx(), tenant, id).await?;
    Ok(one.map_or((true, None), |one| (one.role == Role::default(), Some(one.state))))
}

async fn withdraw(
    space: &mut Space<'_>,
    record: &Record,
    holder: &Holder,
    phone: &Phone,
) -> Outcome<()> {
    let tenant = space.tenant();
    if let Some(id) = record.assignment
        && let Some(one) = lifecycle::get(space.tx(), tenant, id).await?
    {
        let why = format!("{} is to have another address, or none", phone.title());
        return Ok(lifecycle::end(space, &one, &why).await?);
    }
    Ok(addresses::withdraw(space, record.address, holder).await?)
}

async fn take(space: &mut Space<'_>, phone: &Phone, wish: Static) -> Outcome<()> {
    let (family, from, wish) = match wish {
        Static::None => return Ok(()),
        Static::This(address) => {
            (Family::of(address), Origin::Anywhere, Some(Leased::Address(address)))
        }
        Static::Next => {
            let tenant = space.tenant();
            let id = phone.subnet.ok_or(Refusal::NoSubnetChosen)?;
            let subnet = subnets::get(space.tx(), tenant, id).await?.ok_or(Refusal::NoSubnet)?;
            (Family::of(subnet.cidr.network()), Origin::Addresses(Source::Subnet(id)), None)
        }
    };
    let tenure = tenure(phone);
    let wanted = Wanted { family, tenure, role: Role::default(), from, wish, length: None };
    lifecycle::allocate(space, &wanted, &How::default()).await?;
    Ok(())
}

/// What stands in the way of giving `phone` (its holder, if it exists) an address.
pub(super) async fn obstacle(
    space: &mut Space<'_>,
    own: &Holder,
    subnet: Option<crate::id::SubnetId>,
    wish: Static,
) -> crate::db::Result<Option<Refusal>> {
    match wish {
        Static::None => Ok(None),
        Static::Next => {
            let Some(subnet) = subnet else { return Ok(Some(Refusal::NoSubnetChosen)) };
            let tenant = space.tenant();
            let held = addresses::held_by(space.tx(), tenant, own).await?;
            if held.iter().any(|record| record.subnet == Some(subnet)) {
                return Ok(None);
            }
            addresses::full_static(space, subnet).await.map(|full| full.map(Refusal::Address))
        }
        Static::This(address) => this(space, own, subnet, address).await,
    }
}

async fn this(
    space: &mut Space<'_>,
    own: &Holder,
    subnet: Option<crate::id::SubnetId>,
    address: Address,
) -> crate::db::Result<Option<Refusal>> {
    let tenant = space.tenant();
    let standing = addresses::standing(space.tx(), tenant, address).await?;
    let record = standing.record();
    if record.is_some_and(|record| record.holder.as_ref().is_some_and(|known| known.is(own))) {
        return Ok(None);
    }
    if let Some(record) = record
        && record.status != crate::ipam::class::Status::Available
        && !(record.reserved_by == space.actor().name && record.holder.is_none())
    {
        return Ok(Some(Refusal::AddressTaken {
            address,
            status: record.status.to_string(),
            by: record.keeper(),
            link: record.holder.as_ref().and_then(Holder::link),
            wanted_by: format!("phone {own}"),
        }));
    }
    if let Some(obstacle) = standing.obstacle(address) {
        return Ok(Some(Refusal::Address(obstacle)));
    }
    let around = standing.subnet().cloned();
    if !addresses::is_static(space.tx(), tenant, address).await? {
        let subnet = around.map(|subnet| format!("{} ({})", subnet.name, subnet.cidr));
        return Ok(Some(Refusal::NotStatic { address, subnet }));
    }
    match (subnet, around) {
        (Some(chosen), Some(around)) if chosen != around.id => {
            let chosen = addresses::places::named(space.tx(), tenant, &[chosen]).await?.pop();
            let subnet =
                chosen.map(|place| format!("{} ({})", place.name, place.cidr)).unwrap_or_default();
            Ok(Some(Refusal::Address(addresses::Refusal::Elsewhere { address, subnet })))
        }
        _ => Ok(None),
    }
}
