//! How a host stands to the addresses it names: whether it has them, and who else wants them.

use std::collections::HashMap;

use super::{Host, interfaces, queries};
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{self, Claim, Holder, Record};
use crate::net::{Address, Mac};

/// Somebody with a claim to an address, and where there is more about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// For a sentence: `host gw-1`.
    pub name: String,
    /// The page about them, if there is one.
    pub link: Option<String>,
}

impl Party {
    fn keeper(record: &Record) -> Self {
        let link = record.holder.as_ref().and_then(Holder::link);
        Self { name: record.keeper(), link }
    }

    fn claimant(claim: &Claim) -> Self {
        let link = claim.tenure.as_ref().and_then(|tenure| tenure.holder.link());
        Self { name: claim.claimant(), link }
    }
}

/// One interface of a host that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The field of the host that names the address.
    pub field: &'static str,
    /// The address.
    pub address: Address,
    /// The interface's own address.
    pub mac: Option<Mac>,
    /// What is stored of the address.
    pub record: Option<Record>,
    /// Who has the address instead of the host.
    pub lost_to: Option<Party>,
    /// Who else claims it, the oldest claim first; the host itself is not among them.
    pub rivals: Vec<Party>,
    own: String,
}

impl Interface {
    /// What the interface is called.
    pub fn title(&self) -> &'static str {
        if self.field == "bmc_ip" { "BMC IP" } else { "Primary IP" }
    }

    /// Whether somebody else has or claims the address.
    pub fn is_disputed(&self) -> bool {
        self.lost_to.is_some() || !self.rivals.is_empty()
    }

    /// Whether it lies in no subnet.
    pub fn is_orphan(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.subnet.is_none())
    }

    /// Who has the address: the host itself, or whoever does instead.
    pub fn holder(&self) -> &str {
        self.lost_to.as_ref().map_or(&self.own, |party| &party.name)
    }

    /// Who else wants it, the host itself among them if it does not have it.
    pub fn claimants(&self) -> Vec<&str> {
        let own = self.lost_to.iter().map(|_| self.own.as_str());
        own.chain(self.rivals.iter().map(|party| party.name.as_str())).collect()
    }
}

/// How a host stands to the addresses it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing(pub Vec<Interface>);

impl Standing {
    /// The interface whose address `field` names.
    pub fn of(&self, field: &str) -> Option<&Interface> {
        self.0.iter().find(|interface| interface.field == field)
    }

    /// The addresses somebody else has or claims.
    pub fn disputes(&self) -> impl Iterator<Item = &Interface> {
        self.0.iter().filter(|interface| interface.is_disputed())
    }
}

/// How one host stands.
pub async fn standing(tx: &mut Tx, tenant: TenantId, host: &Host) -> Result<Standing> {
    let all = list_standing(tx, tenant, std::slice::from_ref(host)).await?;
    Ok(all.into_iter().next().unwrap_or_default())
}

/// How each of these hosts stands, in their order.
pub async fn list_standing(tx: &mut Tx, tenant: TenantId, hosts: &[Host]) -> Result<Vec<Standing>> {
    let named = hosts.iter().flat_map(|host| [host.spec.primary_ip, host.spec.bmc_ip]);
    let named: Vec<Address> = named.flatten().collect();
    let records = addresses::among(tx, tenant, &named).await?;
    let records: HashMap<Address, Record> =
        records.into_iter().map(|record| (record.address, record)).collect();
    let mut all = Vec::with_capacity(hosts.len());
    for host in hosts {
        let mut standing = Standing::default();
        let macs = [host.spec.nic_mac, host.spec.bmc_mac];
        let fields = ["primary_ip", "bmc_ip"].into_iter().zip(macs);
        for ((address, own), (field, mac)) in
            interfaces(host.id, &host.spec).into_iter().zip(fields)
        {
            let Some(address) = address else { continue };
            let record = records.get(&address).cloned();
            let (lost_to, rivals) = parties(tx, tenant, record.as_ref(), &own).await?;
            let own = format!("{} {own}", own.kind.as_str());
            standing.0.push(Interface { field, address, mac, record, lost_to, rivals, own });
        }
        all.push(standing);
    }
    Ok(all)
}

/// Who has an address instead of `own`, and who else claims it.
async fn parties(
    tx: &mut Tx,
    tenant: TenantId,
    record: Option<&Record>,
    own: &Holder,
) -> Result<(Option<Party>, Vec<Party>)> {
    let Some(record) = record else { return Ok((None, Vec::new())) };
    let held = record.holder.as_ref().is_some_and(|holder| holder.is(own));
    let lost_to = (!held).then(|| Party::keeper(record));
    let claims = if record.conflict {
        addresses::claims_on(tx, tenant, record.address).await?
    } else {
        Vec::new()
    };
    let others = claims
        .iter()
        .filter(|claim| claim.tenure.as_ref().is_none_or(|tenure| !tenure.holder.is(own)));
    Ok((lost_to, others.map(Party::claimant).collect()))
}

/// How many hosts there are, how many of them have a conflict, and how many an address in no
/// subnet.
pub async fn counts(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64, i64)> {
    queries::totals(tx, tenant).await
}
