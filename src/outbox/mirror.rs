//! What DHCP and NetBox should hold, and the one place where calls are written.

use super::order::{DhcpOrder, NetboxOrder, Order, Payload, unreadable};
use super::types::{Subject, System};
use super::{identifier, queries};
use crate::db::{Result, Tx};
use crate::id::{CallId, TenantId};
use crate::net::{Address, Cidr};
use crate::outside::Leased;
use crate::secrets::Entropy;
use crate::time::Timestamp;

/// In place of a row: the system lost it, so it is ordered anew though nothing changed.
pub const LOST: (i64, i64) = (-1, -1);

/// On whose word something is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// An operation's, rather than the register's.
    pub ordered: bool,
    /// The number and version of the register's row; zeros if there is none.
    pub row: (i64, i64),
}

/// What a system should hold of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of what.
    pub leased: Leased,
    /// The order that stands; none while it is being taken back.
    pub order: Option<Order>,
    /// On whose word.
    pub wanted: Wanted,
    /// What NetBox calls it.
    pub remote_id: Option<i64>,
}

/// The two columns of a thing.
pub(super) fn key(leased: Leased) -> (Vec<u8>, i64) {
    match leased {
        Leased::Address(address) => (address.key(), -1),
        // The length as people write it: the family is in the address.
        Leased::Delegated(prefix) => (prefix.network().key(), i64::from(prefix.length())),
    }
}

pub(super) fn leased(address: Vec<u8>, length: i64) -> Result<Leased> {
    let address: Address = address.try_into().map_err(unreadable)?;
    if length < 0 {
        return Ok(Leased::Address(address));
    }
    let length = u8::try_from(length).map_err(unreadable)?;
    Cidr::new(address, length).map(Leased::Delegated).map_err(unreadable)
}

/// Writes the call, and what the system should hold from now on. `force` is an operation's: without
/// it nothing is written of what an operation ordered.
pub(super) async fn write(
    tx: &mut Tx,
    entropy: &Entropy,
    (tenant, now): (TenantId, Timestamp),
    subject: &Subject,
    order: &Order,
    (wanted, force): (Wanted, bool),
) -> Result<Option<CallId>> {
    let (system, line) = (order.system(), order.line(subject));
    let mut payload = Payload { order: order.clone(), had: Vec::new() };
    if system != System::Radius {
        let before = queries::entry(tx, tenant, system, order.leased()).await?;
        let before = before.and_then(|entry| entry.order);
        payload.had.extend(before.as_ref().and_then(Order::identifier).cloned());
        let text = if order.stands() {
            serde_json::to_string(order).map_err(unreadable)?
        } else {
            String::new()
        };
        if !queries::set_entry(tx, tenant, system, order.leased(), &text, (wanted, force)).await? {
            return Ok(None);
        }
        // What was to take it from somebody was not made, or nobody knows: this one takes it too.
        let replaced = queries::replace(tx, tenant, system, &line, now).await?;
        let readable =
            replaced.iter().filter_map(|text| serde_json::from_str::<Payload>(text).ok());
        payload.had.extend(readable.flat_map(|replaced| replaced.had));
        payload.had.sort_unstable();
        payload.had.dedup();
    }
    let id = CallId::from(entropy.id(now).map_err(sqlx::Error::Io)?);
    let number = identifier(entropy).map_err(sqlx::Error::Io)?;
    let payload = serde_json::to_string(&payload).map_err(unreadable)?;
    let new = queries::NewCall {
        id,
        system,
        line: &line,
        subject,
        label: &order.label(),
        payload: &payload,
        number,
    };
    let written = queries::insert(tx, tenant, &new, now).await?;
    Ok(written.then_some(id))
}

/// As [`write()`], when the system is off: no call is written, and none that waits is made when it is
/// on again. It is told then what is ordered last, or of what was let go what the register says.
pub(super) async fn write_off(
    tx: &mut Tx,
    (tenant, now): (TenantId, Timestamp),
    subject: &Subject,
    order: &Order,
) -> Result<()> {
    let (system, leased) = (order.system(), order.leased());
    if queries::entry(tx, tenant, system, leased).await?.is_none() {
        return Ok(());
    }
    drop(queries::replace(tx, tenant, system, &order.line(subject), now).await?);
    let text = if order.stands() {
        serde_json::to_string(order).map_err(unreadable)?
    } else {
        String::new()
    };
    queries::reorder(tx, tenant, system, leased, &text).await
}

/// Notes that the register's row was read again and says the same.
pub async fn note_read(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
    row: (i64, i64),
) -> Result<()> {
    queries::set_row(tx, tenant, system, leased, row).await
}

/// Sees to it that something is ordered anew, because the system lost it.
pub async fn stale(tx: &mut Tx, tenant: TenantId, system: System, leased: Leased) -> Result<()> {
    queries::set_row(tx, tenant, system, leased, LOST).await
}

/// What the register says of an address (`row` is its number and version) is not said to a system in
/// which others have it already. Where something of ours stands, or an operation has its word, that
/// goes on.
pub async fn pass_over(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    leased: Leased,
    row: (i64, i64),
) -> Result<()> {
    let before = queries::entry(tx, tenant, system, leased).await?;
    if before.is_some_and(|entry| entry.order.is_some()) {
        return Ok(());
    }
    let wanted = Wanted { ordered: false, row };
    queries::set_entry(tx, tenant, system, leased, "", (wanted, false)).await.map(drop)
}

/// Everything a system should hold is ordered anew: it is another one now.
pub async fn forget(tx: &mut Tx, tenant: TenantId, system: System) -> Result<()> {
    queries::forget(tx, tenant, system).await
}

/// Everything a system should hold, in order, from behind `after`, at most `limit`.
pub async fn standing(
    tx: &mut Tx,
    tenant: TenantId,
    system: System,
    after: Option<Leased>,
    limit: i64,
) -> Result<Vec<Entry>> {
    queries::entries(tx, tenant, system, after, limit).await
}

/// The order that takes back what stands.
pub fn taking_back(system: System, leased: Leased) -> Order {
    match system {
        System::Netbox => Order::Netbox(NetboxOrder::Remove { leased }),
        System::Radius | System::Dhcp => Order::Dhcp(DhcpOrder::Release { leased }),
    }
}
