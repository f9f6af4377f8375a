//! Names for pages: of subnets, and of people who may hold an address.

use super::queries;
use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId, UserId};
use crate::net::Cidr;

/// A subnet as lists name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub id: SubnetId,
    /// What it is called.
    pub name: String,
    /// Its addresses.
    pub cidr: Cidr,
    /// Its VLAN.
    pub vlan: Option<i64>,
}

/// Someone who may hold an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// What they are called.
    pub name: String,
    /// Their extension.
    pub number: i64,
}

/// Subnets asked for at once.
pub(super) const AT_ONCE: usize = 25;

/// Those of the subnets that exist.
pub async fn named(tx: &mut Tx, tenant: TenantId, ids: &[SubnetId]) -> Result<Vec<Place>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut places = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        places.extend(queries::places(tx, tenant, some).await?);
    }
    Ok(places)
}

/// The subnet, if one is meant and exists.
pub async fn one(tx: &mut Tx, tenant: TenantId, id: Option<SubnetId>) -> Result<Option<Place>> {
    match id {
        Some(id) => Ok(named(tx, tenant, &[id]).await?.pop()),
        None => Ok(None),
    }
}

/// The first subnets in the order of their addresses, at most `limit`.
pub async fn first(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Vec<Place>> {
    queries::first_places(tx, tenant, limit).await
}

/// All subnets in the order of their addresses, if there are at most `limit`.
pub async fn few(tx: &mut Tx, tenant: TenantId, limit: i64) -> Result<Option<Vec<Place>>> {
    if queries::more_places(tx, tenant, limit).await? {
        return Ok(None);
    }
    first(tx, tenant, limit).await.map(Some)
}

/// The subnets somebody may mean: the one with this CIDR, the one called so, or those whose name
/// or site has this part, or with this VLAN.
pub async fn meant(tx: &mut Tx, tenant: TenantId, text: &str, limit: i64) -> Result<Vec<Place>> {
    if let Ok(cidr) = text.trim().parse::<Cidr>() {
        return queries::place_at(tx, tenant, cidr).await;
    }
    let key = text.trim().to_lowercase();
    let vlan = key.strip_prefix("vlan").unwrap_or(&key).trim().parse().unwrap_or(0);
    let found = queries::places_called(tx, tenant, &key, vlan, limit).await?;
    match found.iter().find(|place| place.name.to_lowercase() == key) {
        Some(exactly) => Ok(vec![exactly.clone()]),
        None => Ok(found),
    }
}

/// The people somebody may mean by a number, an id or part of a name, at most `limit`.
pub async fn people(tx: &mut Tx, tenant: TenantId, text: &str, limit: i64) -> Result<Vec<Person>> {
    let found = queries::people(tx, tenant, text.trim(), limit).await?;
    let exactly = found
        .iter()
        .find(|person| person.number.to_string() == text || person.id.to_string() == text);
    Ok(exactly.cloned().map_or(found, |person| vec![person]))
}
