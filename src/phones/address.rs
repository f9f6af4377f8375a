//! A phone's static address: the one IPAM says it holds.

use super::refusal::{Outcome, Refusal};
use super::types::{Phone, Static};
use crate::ipam::addresses::{self, Holder, Hostname, Purpose, Reserver, Tenure, Wish};
use crate::ipam::space::{Source, Space};
use crate::net::Address;
use crate::text::Line;
use crate::users::lines;

/// What a phone holds addresses as.
pub(super) fn holder(phone: &Phone) -> Holder {
    lines::holder(phone.mac, phone.title())
}

/// What addresses say of a phone.
fn tenure(phone: &Phone) -> Tenure {
    let line = |text: &str| text.parse::<Line<100>>().unwrap_or_default();
    Tenure {
        holder: holder(phone),
        hostname: hostname(phone),
        mac: Some(phone.mac),
        platform: line(phone.model.title),
        manufacturer: line(phone.vendor().title()),
    }
}

/// Its label if that can be a host's name, else its model and MAC, as in `t46s-001565aabbcc`.
fn hostname(phone: &Phone) -> Hostname {
    let label = phone.label.as_str().parse::<Hostname>().ok().filter(|name| !name.is_empty());
    let made = || format!("{}-{}", phone.model.name, phone.mac.hex()).parse().unwrap_or_default();
    label.unwrap_or_else(made)
}

/// Whoever takes addresses for phones: others' reservations stay theirs.
fn reserver(space: &Space<'_>) -> Reserver {
    Reserver { name: space.actor().name.clone(), anybodys: false }
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
    let held = addresses::held_by(space.tx(), tenant, &holder).await?;
    let moved = match wish {
        None => false,
        Some(wish) => {
            let keep = match wish {
                Static::None => None,
                Static::This(address) => held.iter().find(|record| record.address == address),
                Static::Next => held.iter().find(|record| record.subnet == phone.subnet),
            };
            let keep = keep.map(|record| record.address);
            let gone = held.iter().filter(|record| Some(record.address) != keep);
            let mut moved = keep.is_none() && wish != Static::None;
            for record in gone {
                addresses::withdraw(space, record.address, &holder).await?;
                moved = true;
            }
            if keep.is_none() {
                take(space, phone, wish).await?;
            }
            moved
        }
    };
    for record in addresses::held_by(space.tx(), tenant, &holder).await? {
        addresses::claim(space, record.address, &tenure).await?;
    }
    // Whatever else it claims, it claims under its new name.
    addresses::rename(space, &holder).await?;
    Ok(moved)
}

async fn take(space: &mut Space<'_>, phone: &Phone, wish: Static) -> Outcome<()> {
    let (purpose, by) = (Purpose::Allocate(tenure(phone)), reserver(space));
    match wish {
        Static::None => {}
        Static::This(address) => {
            addresses::assign(space, address, &purpose, &by).await?;
        }
        Static::Next => {
            let subnet = phone.subnet.ok_or(Refusal::NoSubnetChosen)?;
            let wish = Wish::Next { count: 1, contiguous: false };
            addresses::take(space, Source::Subnet(subnet), &wish, &purpose, &by).await?;
        }
    }
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
