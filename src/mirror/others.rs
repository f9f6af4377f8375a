//! What others entered in NetBox by hand within the tenant's subnets. It is theirs: nothing is put
//! right there, but it can be kept from being handed out here.

use std::collections::{BTreeMap, HashSet};

use super::queries;
use crate::auth::Operator;
use crate::db::{self, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::bulk::{MOST, Selection, Target, Verb, judge};
use crate::ipam::addresses::{self, BadNote, Note, Purpose, Refusal, Reserver, Standing};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::Space;
use crate::ipam::subnets::{self, Subnet};
use crate::ipam::web::reserver;
use crate::net::{Address, Cidr, cover, normalised};
use crate::outbox::{self, Access, Leased, System};
use crate::outside::Fault;
use crate::outside::http::Resolver;
use crate::outside::netbox::Found;
use crate::state::State;
use crate::tenants;
use crate::text::grouped;
use crate::web::Error;

/// Addresses judged in one transaction.
const STRIDE: usize = 2_000;
/// Characters of a note.
const NOTE: usize = 500;

/// All of it. Where NetBox has a thing twice, the older one speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Addresses nobody has here: they could be handed out.
    pub free: BTreeMap<Address, Found>,
    /// Addresses somebody has here, or that are reserved or in quarantine.
    pub taken: BTreeMap<Address, Found>,
    /// Prefixes that are a subnet or lie in one.
    pub prefixes: BTreeMap<Cidr, Found>,
}

/// Asks NetBox for what lies in the tenant's subnets and is under the tag of no tenant.
pub async fn others(
    state: &State,
    tenant: TenantId,
    resolver: &Resolver,
) -> Result<Result<Others, Fault>, Error> {
    let access = Access::read(state, tenant, System::Netbox).await?;
    let mut tx = state.read().await?;
    let topmost = topmost(&subnets::all(&mut tx, tenant).await?);
    let tags = tags(&mut tx).await?;
    drop(tx);
    let mut found = match besides(&access, &topmost, resolver).await {
        Ok(found) => found,
        Err(fault) => return Ok(Err(fault)),
    };
    found.retain(|one| !one.tags.iter().any(|tag| tags.contains(tag)));
    found.sort_by_key(|one| one.id);
    let mut others = Others::default();
    for one in found {
        match one.leased {
            Leased::Address(address) if around(&topmost, address).is_some() => {
                others.free.entry(address).or_insert(one);
            }
            Leased::Delegated(prefix)
                if around(&topmost, prefix.network()).is_some_and(|it| it.covers(prefix)) =>
            {
                others.prefixes.entry(prefix).or_insert(one);
            }
            Leased::Address(_) | Leased::Delegated(_) => {}
        }
    }
    let addresses: Vec<Address> = others.free.keys().copied().collect();
    for some in addresses.chunks(STRIDE) {
        for address in addresses::taken(&mut state.read().await?, tenant, some).await? {
            others.taken.extend(others.free.remove_entry(&address));
        }
    }
    Ok(Ok(others))
}

async fn besides(
    access: &Access,
    topmost: &[Cidr],
    resolver: &Resolver,
) -> Result<Vec<Found>, Fault> {
    // Neighbours are asked for as one: together they are the subnets, and nothing else.
    let ranges = normalised(topmost.iter().map(|cidr| cidr.range()).collect());
    let blocks: Vec<Cidr> = ranges.into_iter().flat_map(cover).collect();
    access.netbox(resolver).await?.besides(&blocks).await
}

/// The subnets that lie in no other, given all in their order.
fn topmost(all: &[Subnet]) -> Vec<Cidr> {
    let mut topmost: Vec<Cidr> = Vec::new();
    for subnet in all {
        if !topmost.last().is_some_and(|last| last.covers(subnet.cidr)) {
            topmost.push(subnet.cidr);
        }
    }
    topmost
}

/// The one of these subnets, of which none lies in another, that an address is in.
fn around(topmost: &[Cidr], address: Address) -> Option<Cidr> {
    let behind = topmost.partition_point(|subnet| subnet.network() <= address);
    let before = topmost.get(behind.checked_sub(1)?).copied();
    before.filter(|subnet| subnet.contains(address))
}

/// The tags of all tenants: what one of them wrote into the same NetBox is theirs, nobody's hand.
async fn tags(tx: &mut Tx) -> db::Result<HashSet<String>> {
    let tenants = tenants::all(tx).await?;
    Ok(tenants.iter().map(|tenant| outbox::tag(&tenant.slug)).collect())
}

/// What Patchbay says of something others entered.
pub async fn here(tx: &mut Tx, tenant: TenantId, leased: Leased) -> db::Result<String> {
    match leased {
        Leased::Address(address) => Ok(standing(&addresses::standing(tx, tenant, address).await?)),
        Leased::Delegated(prefix) => block(tx, tenant, prefix).await,
    }
}

/// What it says of a prefix: whose it is, or the smallest subnet that has it.
async fn block(tx: &mut Tx, tenant: TenantId, prefix: Cidr) -> db::Result<String> {
    if let Some((kind, name)) = queries::delegated_to(tx, tenant, prefix).await? {
        return Ok(format!("delegated to {kind} {name}"));
    }
    let mut around = subnets::around(tx, tenant, prefix.network()).await?;
    while let Some(subnet) = around {
        if subnet.cidr == prefix {
            return Ok(format!("the subnet {}", subnet.name));
        }
        if subnet.cidr.covers(prefix) {
            return Ok(format!("a part of {}", named(&subnet)));
        }
        around = match subnet.parent {
            Some(parent) => subnets::get(tx, tenant, parent).await?,
            None => None,
        };
    }
    Ok(String::new())
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Row(record, _) => match record.status {
            Status::Available => "free, but seen in use".to_owned(),
            Status::Quarantine => record.keeper(),
            status => format!("{status}: {}", record.keeper()),
        },
        Standing::Free(subnet, Kind::Dhcp) => format!("free for DHCP in {}", named(subnet)),
        Standing::Free(subnet, _) => format!("free in {}", named(subnet)),
        Standing::Loose(subnet) => format!("free in {}, in none of its pools", named(subnet)),
        Standing::Never(subnet, what) => format!("the {what} address of {}", named(subnet)),
        Standing::Nowhere => "in no subnet".to_owned(),
    }
}

fn named(subnet: &Subnet) -> String {
    format!("{} ({})", subnet.name, subnet.cidr)
}

/// What came of reserving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Addresses reserved.
    pub reserved: usize,
    /// Those that nobody may have, or that were refused.
    pub left_out: usize,
    /// Those that were too many for this time.
    pub left: usize,
}

impl std::fmt::Display for Reserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |count: usize| grouped(&i64::try_from(count).unwrap_or(i64::MAX));
        let noun = if self.reserved == 1 { "address" } else { "addresses" };
        write!(f, "{} {noun} reserved", count(self.reserved))?;
        if self.left_out > 0 {
            write!(f, ", {} left out that cannot be", count(self.left_out))?;
        }
        if self.left > 0 {
            write!(f, ", {} left for another time", count(self.left))?;
        }
        Ok(())
    }
}

/// Reserves what others have and is free here, with what NetBox says as the note: [`MOST`] at
/// once, and what is reserved already is not touched. NetBox is not told of these reservations: it
/// has the addresses, and others do.
pub async fn reserve(by: &Operator, free: &BTreeMap<Address, Found>) -> Result<Reserved, Error> {
    let who = reserver(by);
    let (fit, mut done) = fitting(by, free, &who).await?;
    let mut change = by.change().await?;
    change.explain(&"others have it in NetBox");
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    for (n, (address, found)) in fit.into_iter().enumerate() {
        match reserve_one(&mut space, address, found, &who).await {
            Ok(()) => done.reserved += 1,
            Err(Refusal::Fault(error)) => return Err(error),
            Err(_) => done.left_out += 1,
        }
        if n % 1_000 == 999 {
            space.flush().await?;
        }
    }
    space.close().await?;
    change.commit_if_any().await?;
    done.left = free.len().saturating_sub(done.reserved + done.left_out);
    Ok(done)
}

/// Those that may be reserved, at most [`MOST`]; and how many were left out before that.
async fn fitting<'f>(
    by: &Operator,
    free: &'f BTreeMap<Address, Found>,
    who: &Reserver,
) -> Result<(Vec<(Address, &'f Found)>, Reserved), Error> {
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let (mut fit, mut done) = (Vec::new(), Reserved::default());
    let addresses: Vec<Address> = free.keys().copied().collect();
    for some in addresses.chunks(STRIDE) {
        if fit.len() >= most {
            break;
        }
        let these = Selection::These(some.to_vec());
        let verdict = judge(&mut by.read().await?, by.tenant(), &these, Verb::Reserve, who).await?;
        done.left_out += verdict.refused.len();
        let found = |target: Target| free.get_key_value(&target.address);
        fit.extend(
            verdict.fit.into_iter().filter_map(found).map(|(address, found)| (*address, found)),
        );
    }
    fit.truncate(most);
    Ok((fit, done))
}

/// As by hand, unless somebody has it meanwhile.
async fn reserve_one(
    space: &mut Space<'_>,
    address: Address,
    found: &Found,
    who: &Reserver,
) -> addresses::Outcome<()> {
    let tenant = space.tenant();
    let old = addresses::get(space.tx(), tenant, address).await?;
    if let Some(old) = old.filter(|old| old.status != Status::Available) {
        return Err(Refusal::Taken { address, status: old.status, by: old.keeper() });
    }
    let why = "what NetBox says of it is no note";
    let refused = |_| Refusal::Field { address, status: Status::Available, field: "note", why };
    let purpose = Purpose::Reserve { note: note(found).map_err(refused)?, until: None };
    let record = addresses::assign(space, address, &purpose, who).await?;
    let row = (record.id, record.version);
    let leased = Leased::Address(address);
    Ok(outbox::pass_over(space.tx(), tenant, System::Netbox, leased, row).await?)
}

/// What NetBox says of it, as far as a note is long.
fn note(found: &Found) -> Result<Note, BadNote> {
    let text = format!("In NetBox: {}", found.said());
    text.chars().take(NOTE).collect::<String>().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Cidr> {
        text.split(' ').map(|cidr| cidr.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_is_in_one_topmost_subnet_or_in_none() {
        let topmost = blocks("10.0.0.0/24 10.0.2.0/23 2001:db8::/64");
        let around = |text: &str| around(&topmost, text.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(around("10.0.0.255").as_deref(), Some("10.0.0.0/24"));
        assert_eq!(around("10.0.3.1").as_deref(), Some("10.0.2.0/23"));
        assert_eq!(around("2001:db8::1").as_deref(), Some("2001:db8::/64"));
        for outside in ["9.255.255.255", "10.0.1.0", "10.0.4.0", "::1", "2001:db8:0:1::"] {
            assert_eq!(around(outside), None, "{outside}");
        }
    }

    #[test]
    fn a_note_says_what_netbox_does_and_no_more_than_fits() {
        let found = |text: &str| Found {
            id: 1,
            leased: "10.0.0.5".parse().unwrap(),
            length: 24,
            status: "active".to_owned(),
            description: text.to_owned(),
            dns_name: text.to_owned(),
            vrf: text.to_owned(),
            tags: Vec::new(),
        };
        assert_eq!(note(&found("")).unwrap().to_string(), "In NetBox: active");
        let said = note(&found("lab")).unwrap().to_string();
        assert_eq!(said, "In NetBox: active, lab, lab, VRF lab");
        let long = note(&found(&"ä".repeat(200))).unwrap().to_string();
        assert_eq!(long.chars().count(), 500);
    }
}
