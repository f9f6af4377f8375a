//! Where the address or prefix of an assignment comes from, and where it goes when it leaves.

use super::types::{Assignment, Family, Leased, Origin, Release, Wanted};
use super::{Outcome, Refusal, names, queries};
use crate::ipam::addresses::{self, Ending, Note, Purpose, Reserver, Tenure};
use crate::ipam::prefixes::{self, Taken};
use crate::ipam::space::{Source, Space};
use crate::ipam::subnets;
use crate::net::{Address, Cidr};

/// Finds the address or prefix, and takes it in IPAM.
pub(super) async fn place(
    space: &mut Space<'_>,
    new: &mut Assignment,
    wanted: &Wanted,
) -> Outcome<()> {
    match wanted.family {
        Family::Ipv4 | Family::Ipv6 => place_address(space, new, wanted).await,
        Family::Prefix => place_prefix(space, new, wanted).await,
    }
}

async fn place_address(
    space: &mut Space<'_>,
    new: &mut Assignment,
    wanted: &Wanted,
) -> Outcome<()> {
    let wish = match wanted.wish {
        None => addresses::Wish::Next { count: 1, contiguous: false },
        Some(Leased::Address(address)) if Family::of(address) == wanted.family => {
            addresses::Wish::This(address)
        }
        Some(other) => {
            let why = format!("{other} is not an {}", wanted.family.label());
            return Err(Refusal::Field { field: "requested_address", why });
        }
    };
    let by = Reserver { name: space.actor().name.clone(), anybodys: true };
    let purpose = Purpose::Assign(wanted.tenure.clone(), new.id);
    let source = source(space, wanted).await?;
    let (record, pool) = match (source, &wish) {
        (Some(source), _) => {
            let taken = addresses::take(space, source, &wish, &purpose, &by).await;
            let record = taken.map_err(in_ipam)?.pop();
            (record.ok_or_else(|| sqlx::Error::Protocol("nothing was taken".into()))?, None)
        }
        (None, addresses::Wish::This(address)) => {
            let taken = addresses::assign(space, *address, &purpose, &by).await;
            (taken.map_err(in_ipam)?, None)
        }
        (None, _) => {
            let v6 = wanted.family == Family::Ipv6;
            let taken = addresses::take_lowest(space, v6, &purpose, &by).await.map_err(in_ipam)?;
            let (record, pool) = taken.ok_or_else(|| {
                let what = wanted.family.label();
                Refusal::PoolExhausted(format!("no {what} is free in any static pool"))
            })?;
            (record, Some(pool.to_string()))
        }
    };
    new.leased = Some(Leased::Address(record.address));
    new.pool = match (pool, source) {
        (Some(pool), _) => Some(pool),
        (None, Some(Source::Pool(id))) => Some(id.to_string()),
        (None, _) => pool_around(space, record.address).await?,
    };
    Ok(())
}

/// Where addresses are looked for, if it is said.
async fn source(space: &mut Space<'_>, wanted: &Wanted) -> Outcome<Option<Source>> {
    let misplaced = |why: &str| Refusal::Field { field: "pool_id", why: why.to_owned() };
    match wanted.from {
        Origin::Anywhere => Ok(None),
        Origin::Addresses(source) => {
            let tenant = space.tenant();
            if let Source::Pool(id) = source {
                let subnet = subnets::of_pool(space.tx(), tenant, id).await?;
                let subnet = subnet.ok_or_else(|| misplaced("there is no such pool"))?;
                let pools = subnets::pools(space.tx(), subnet.id).await?;
                let pool = pools.iter().find(|pool| pool.id == id);
                let pool = pool.ok_or_else(|| misplaced("there is no such pool"))?;
                if pool.kind != subnets::PoolKind::Static {
                    return Err(misplaced(
                        "that is no static pool; its addresses are not given by hand",
                    ));
                }
                if Family::of(pool.range.first()) != wanted.family {
                    let why = format!("that pool has no {}", wanted.family.label());
                    return Err(misplaced(&why));
                }
                if let Some(Leased::Address(address)) = wanted.wish
                    && !pool.range.contains(address)
                {
                    let why = format!("{address} is not in the pool {}", pool.range);
                    return Err(Refusal::AddressNotInPool(why));
                }
            }
            if let Source::Subnet(id) = source {
                let subnet = subnets::get(space.tx(), tenant, id).await?;
                let subnet = subnet.ok_or_else(|| Refusal::Field {
                    field: "subnet_id",
                    why: "there is no such subnet".to_owned(),
                })?;
                if Family::of(subnet.cidr.network()) != wanted.family {
                    let why = format!("{} has no {}", subnet.cidr, wanted.family.label());
                    return Err(Refusal::Field { field: "subnet_id", why });
                }
            }
            Ok(Some(source))
        }
        Origin::Prefixes(_) => Err(misplaced("that is a pool of prefixes, not of addresses")),
    }
}

/// The pool an address is given from, for the record.
async fn pool_around(space: &mut Space<'_>, address: Address) -> Outcome<Option<String>> {
    let tenant = space.tenant();
    let Some(subnet) = subnets::around(space.tx(), tenant, address).await? else { return Ok(None) };
    let pools = subnets::pools(space.tx(), subnet.id).await?;
    let pool = pools.iter().find(|pool| pool.range.contains(address));
    Ok(pool.map(|pool| pool.id.to_string()))
}

async fn place_prefix(space: &mut Space<'_>, new: &mut Assignment, wanted: &Wanted) -> Outcome<()> {
    let pool = match wanted.from {
        Origin::Anywhere => None,
        Origin::Prefixes(pool) => Some(pool),
        Origin::Addresses(_) => {
            let why = "that is a pool of addresses, not of prefixes".to_owned();
            return Err(Refusal::Field { field: "pool_id", why });
        }
    };
    let wish = match wanted.wish {
        None => prefixes::Wish::Lowest(wanted.length),
        Some(Leased::Prefix(cidr)) if (48..=64).contains(&cidr.length()) => {
            prefixes::Wish::This(cidr)
        }
        Some(other) => {
            let why = format!("{other} is not a prefix of 48 to 64 bits");
            return Err(Refusal::Field { field: "requested_address", why });
        }
    };
    let Taken { cidr, pool } = match prefixes::take(space, pool, wish).await {
        Ok(taken) => taken,
        Err(prefixes::Refusal::Taken(cidr)) => return Err(whose(space, cidr).await?),
        Err(refusal) => return Err(in_prefixes(refusal)),
    };
    new.leased = Some(Leased::Prefix(cidr));
    new.pool = Some(pool.to_string());
    Ok(())
}

/// Who has some of a prefix that is not free.
async fn whose(space: &mut Space<'_>, cidr: Cidr) -> Outcome<Refusal> {
    let tenant = space.tenant();
    let other = queries::prefix_within(space.tx(), tenant, cidr.range()).await?;
    Ok(match other {
        Some(other) => {
            let label = other.label();
            Refusal::AddressUnavailable(format!("{cidr} is not free: {label} is {}", other.state))
        }
        None => in_prefixes(prefixes::Refusal::Taken(cidr)),
    })
}

/// The address an assignment had, or if it is not free any more the lowest of its pool.
pub(super) async fn again(
    space: &mut Space<'_>,
    new: &mut Assignment,
    old: &Assignment,
) -> Outcome<()> {
    let from = match (&old.pool, old.family) {
        (None, _) => Origin::Anywhere,
        (Some(pool), Family::Prefix) => pool.parse().map_or(Origin::Anywhere, Origin::Prefixes),
        (Some(pool), _) => {
            pool.parse().map_or(Origin::Anywhere, |pool| Origin::Addresses(Source::Pool(pool)))
        }
    };
    let length = match old.leased {
        Some(Leased::Prefix(cidr)) => {
            prefixes::PrefixLength::try_from(i64::from(cidr.length())).ok()
        }
        _ => None,
    };
    let holder = new.holder.clone();
    let tenure = Tenure { hostname: old.hostname.clone(), mac: old.mac, ..Tenure::of(holder) };
    let tenant = space.tenant();
    let tenure = names::tenure(space.tx(), tenant, &tenure).await?;
    let wanted = |wish, from| Wanted {
        family: old.family,
        tenure: tenure.clone(),
        role: old.role.clone(),
        from,
        wish,
        length,
    };
    let (same, other) = (wanted(old.leased, Origin::Anywhere), wanted(None, from));
    if old.leased.is_some() {
        match place(space, new, &same).await {
            Err(Refusal::AddressUnavailable(_) | Refusal::AddressNotInPool(_)) => {}
            placed => return placed,
        }
    }
    place(space, new, &other).await
}

/// The address leaves the assignment.
pub(super) async fn let_go(
    space: &mut Space<'_>,
    old: &Assignment,
    release: Release,
    hours: i64,
) -> Outcome<()> {
    let Some(leased) = old.held() else { return Ok(()) };
    let until = space.at().plus(hours.saturating_mul(3600));
    let holder = old.holder.described();
    let note = |text: String| -> Outcome<Note> {
        text.parse().map_err(|_| sqlx::Error::Protocol("a note does not fit".into()).into())
    };
    let ending = match release {
        Release::Keep => Ending::Keep(note(format!("kept when {holder} left"))?),
        Release::Free if hours > 0 => Ending::Quarantine(note(format!("had by {holder}"))?, until),
        Release::Free => Ending::Free,
    };
    let cidr = match leased {
        Leased::Address(address) => {
            return addresses::unassign(space, address, old.id, &ending).await.map_err(in_ipam);
        }
        Leased::Prefix(cidr) => cidr,
    };
    let pool = old.pool.as_deref().and_then(|pool| pool.parse().ok());
    let pool = pool.ok_or_else(|| sqlx::Error::Protocol("a prefix without a pool".into()))?;
    let done = match ending {
        Ending::Free => prefixes::give_back(space, pool, cidr).await,
        Ending::Quarantine(note, until) => {
            prefixes::hold(space, pool, cidr, &note, Some(until)).await
        }
        Ending::Keep(note) => prefixes::hold(space, pool, cidr, &note, None).await,
    };
    done.map_err(in_prefixes)
}

fn in_ipam(refusal: addresses::Refusal) -> Refusal {
    use addresses::Refusal as Ipam;
    let why = refusal.to_string();
    match refusal {
        Ipam::Fault(error) => Refusal::Fault(error),
        Ipam::Full { .. } => Refusal::PoolExhausted(why),
        Ipam::Elsewhere { .. } | Ipam::NoSubnet(_) => Refusal::AddressNotInPool(why),
        Ipam::Missing(_) => Refusal::Field { field: "pool_id", why },
        Ipam::NoHolder => Refusal::Field { field: "subscriber_id", why },
        _ => Refusal::AddressUnavailable(why),
    }
}

fn in_prefixes(refusal: prefixes::Refusal) -> Refusal {
    use prefixes::Refusal as Prefixes;
    let why = refusal.to_string();
    match refusal {
        Prefixes::Fault(error) => Refusal::Fault(error),
        Prefixes::Full { .. } => Refusal::PoolExhausted(why),
        Prefixes::Elsewhere { .. } => Refusal::AddressNotInPool(why),
        Prefixes::Missing(_) => Refusal::Field { field: "pool_id", why },
        _ => Refusal::AddressUnavailable(why),
    }
}
