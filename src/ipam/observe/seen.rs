//! What is seen becomes what is known.
//!
//! | seen | nobody holds the address | somebody holds or keeps it |
//! |---|---|---|
//! | it answers | it gets a row (available, active), so that it is not given out unasked; in a static pool that is a conflict, in no subnet an orphan | active; with another MAC or name than is written a conflict |
//! | it is silent | inactive; in conflict no longer; forgotten when it stays silent for the days set | inactive |
//! | it is leased | in a DHCP pool allocated to the lease's client, someone external; elsewhere as if it answered | a lease's own address goes on, or to the new client; else as if it answered |
//! | its lease is over | - | a lease's own address is free |
//! | a DHCP client declined it | as if it answered, and a conflict | a conflict |
//! | DNS has a name for it | the name of the row, if it has one | another name than is written is a conflict |
//!
//! A machine that has the MAC that is written is the right one, whatever it calls itself: telephones
//! do not call themselves what people call them. A name without a domain may be of any domain.
//!
//! A lease counts as a sighting at the moment it is read: the server vouches for it. A quarantined
//! address is in no conflict, whoever is there. The network's, the broadcast, the gateway's and
//! excluded addresses are never given out, so nothing is kept of them unless they have a row.
//!
//! What is merely seen again leaves the row's version alone: nobody's editing is disturbed by it.

use std::collections::BTreeMap;

use super::queries;
use super::types::{DAY, Found, Sighting, What};
use crate::id::SubnetId;
use crate::ipam::addresses::{
    self, Holder, HolderKind, Hostname, Outcome, Record, Seen, Tenure, describe, event,
    forget_seen, note_seen,
};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{Space, pool_of, withheld};
use crate::ipam::subnets::{self, Pool, Subnet};
use crate::net::{Address, Range};
use crate::time::Timestamp;

/// How the ids of those begin whom a DHCP server gave an address.
const LEASE: &str = "dhcp-";
/// Days within which a sighting says that an address is in use.
const FRESH_DAYS: i64 = 7;
/// Rows that are read in one go although nobody asked for them, to spare questions.
const APART: u128 = 256;
/// Most rows read in one go.
const AT_ONCE: i64 = 65_536;
/// Most numbers of rows asked for at once.
const MOST_IDS: usize = 64;

/// Turns sightings into what is known of the addresses. They may be in any order and of any
/// addresses; a sighting older than what is known already changes nothing.
pub async fn seen(space: &mut Space<'_>, sightings: &[Sighting]) -> Outcome<Found> {
    let rows = load(space, sightings).await?;
    let (subnets, leases) = (Vec::new(), BTreeMap::new());
    let mut eye = Eye { space, rows, subnets, leases, ids: 0..0, found: Found::default() };
    for (n, sighting) in sightings.iter().enumerate() {
        eye.look(sighting, sightings.len() - n).await?;
    }
    let (leases, found) = (eye.leases, eye.found);
    let tenant = space.tenant();
    queries::put_leases(space.tx(), tenant, leases).await?;
    Ok(found)
}

/// The rows of all addresses: those close together in one question.
async fn load(space: &mut Space<'_>, sightings: &[Sighting]) -> Outcome<BTreeMap<Address, Record>> {
    let mut addresses: Vec<Address> = sightings.iter().map(|sighting| sighting.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut ranges: Vec<Range> = Vec::new();
    for address in addresses {
        let near = ranges.last_mut().filter(|range| {
            address.number() - range.last().number() <= APART
                && address.family() == range.last().family()
        });
        match near {
            Some(range) => *range = Range::new(range.first(), address).unwrap_or(*range),
            None => ranges.push(Range::single(address)),
        }
    }
    let tenant = space.tenant();
    let mut rows = BTreeMap::new();
    for range in ranges {
        let some = addresses::within(space.tx(), tenant, range, AT_ONCE).await?;
        rows.extend(some.into_iter().map(|record| (record.address, record)));
    }
    Ok(rows)
}

/// Where an address lies.
enum Place {
    /// In no subnet.
    Nowhere,
    /// Where it is never given out.
    Withheld,
    /// In a subnet.
    In(SubnetId, Kind),
}

/// A subnet met before.
struct Known {
    subnet: Subnet,
    pools: Vec<Pool>,
    /// The addresses of smaller subnets inside.
    others: Vec<Range>,
}

impl Known {
    fn owns(&self, address: Address) -> bool {
        self.subnet.cidr.contains(address)
            && !self.others.iter().any(|range| range.contains(address))
    }
}

struct Eye<'e, 'c> {
    space: &'e mut Space<'c>,
    rows: BTreeMap<Address, Record>,
    subnets: Vec<Known>,
    /// Until when addresses are leased, to be written down.
    leases: BTreeMap<Address, Option<Timestamp>>,
    /// Numbers for new rows.
    ids: std::ops::Range<i64>,
    found: Found,
}

impl Eye<'_, '_> {
    /// `left` is how many sightings there are with this one.
    async fn look(&mut self, sighting: &Sighting, left: usize) -> Outcome<()> {
        let old = self.rows.remove(&sighting.address);
        let now = match (sighting.what, old) {
            (What::Silent | What::Ended | What::Named, None) => None,
            (What::Named, Some(old)) => Some(self.named(old, sighting).await?),
            (What::Silent, Some(old)) => Some(self.silent(old, sighting).await?),
            (What::Ended, Some(old)) => self.ended(old).await?,
            (What::Leased(until), old) => {
                self.found.seen += 1;
                let held = self.leased(old, sighting, left).await?;
                if held.as_ref().is_some_and(is_leased) {
                    self.leases.insert(sighting.address, until);
                }
                held
            }
            (What::Present | What::Declined, old) => {
                self.found.seen += 1;
                self.answers(old, sighting, left).await?
            }
        };
        self.rows.extend(now.map(|record| (record.address, record)));
        Ok(())
    }

    async fn place(&mut self, address: Address) -> Outcome<Place> {
        let known = self.subnets.iter().position(|known| known.owns(address));
        let at = if let Some(at) = known {
            at
        } else {
            let tenant = self.space.tenant();
            let tx = self.space.tx();
            let Some(subnet) = subnets::around(tx, tenant, address).await? else {
                return Ok(Place::Nowhere);
            };
            let pools = subnets::pools(tx, subnet.id).await?;
            let others = subnets::ranges_inside(tx, tenant, subnet.id).await?;
            self.subnets.push(Known { subnet, pools, others });
            self.subnets.len() - 1
        };
        let Some(Known { subnet, pools, .. }) = self.subnets.get(at) else {
            return Ok(Place::Nowhere);
        };
        if withheld(subnet, pools).iter().any(|range| range.contains(address)) {
            return Ok(Place::Withheld);
        }
        let kind = pool_of(subnet, pools, address).map_or(Kind::Static, |(_, kind)| kind);
        Ok(Place::In(subnet.id, kind))
    }

    /// A number for a new row; those of all that may follow are asked for at once.
    async fn id(&mut self, left: usize) -> Outcome<i64> {
        if self.ids.is_empty() {
            let count = left.clamp(1, MOST_IDS);
            let first = self.space.ids(count).await?;
            self.ids = first..first + i64::try_from(count).unwrap_or(1);
        }
        Ok(self.ids.next().unwrap_or_default())
    }

    fn is_fresh(&self, sighting: &Sighting) -> bool {
        self.space.at().since(sighting.at) < FRESH_DAYS * DAY
    }

    async fn answers(
        &mut self,
        old: Option<Record>,
        sighting: &Sighting,
        left: usize,
    ) -> Outcome<Option<Record>> {
        match old {
            Some(old) => self.again(old, sighting, true).await.map(Some),
            None => self.appears(sighting, left).await,
        }
    }

    /// A free address is in use.
    async fn appears(&mut self, sighting: &Sighting, left: usize) -> Outcome<Option<Record>> {
        let address = sighting.address;
        if !self.is_fresh(sighting) {
            return Ok(None);
        }
        let (subnet, kind) = match self.place(address).await? {
            Place::Withheld => return Ok(None),
            Place::Nowhere => (None, Kind::Dhcp),
            Place::In(subnet, kind) => (Some(subnet), kind),
        };
        let id = self.id(left).await?;
        let mut record = Record::new(address, id, subnet, kind, self.space.at());
        write_down(&mut record, sighting);
        self.space.add(&record).await?;
        self.found.new += 1;
        self.found.orphans += usize::from(subnet.is_none());
        let seen = event("address.seen", &record).after(describe(&record));
        self.space.record(seen.note(sentence(sighting, subnet.is_none())));
        let mut new = record.clone();
        self.compare(&mut new, sighting).await?;
        if new != record {
            self.space.update(&record, &new).await?;
        }
        Ok(Some(new))
    }

    /// An address with a row is in use. `tell` says whether that is worth a line in the log.
    async fn again(&mut self, old: Record, sighting: &Sighting, tell: bool) -> Outcome<Record> {
        if old.last_seen.is_some_and(|last| last > sighting.at) {
            return Ok(old);
        }
        let mut new = old.clone();
        write_down(&mut new, sighting);
        new.active = self.is_fresh(sighting);
        self.compare(&mut new, sighting).await?;
        if new.active && !old.active {
            self.found.new += 1;
            if tell {
                let orphan = new.subnet.is_none();
                let seen = event("address.seen", &new).note(sentence(sighting, orphan));
                self.space.record(seen);
            }
        }
        self.write(&old, new).await
    }

    /// An address with a row has a name in DNS.
    async fn named(&mut self, old: Record, sighting: &Sighting) -> Outcome<Record> {
        let mut new = old.clone();
        if new.status == Status::Available {
            new.hostname = sighting.hostname.clone();
        } else {
            self.compare(&mut new, sighting).await?;
        }
        if new == old { Ok(old) } else { self.write(&old, new).await }
    }

    /// Writes a row that was seen: in full only if more changed than the time.
    async fn write(&mut self, old: &Record, mut new: Record) -> Outcome<Record> {
        let merely = Record { last_seen: new.last_seen, seen_mac: new.seen_mac, ..old.clone() };
        if new == merely {
            let tenant = self.space.tenant();
            queries::touch(self.space.tx(), tenant, &new).await?;
            return Ok(new);
        }
        if new.conflict != old.conflict || new.hostname != old.hostname {
            new.version += 1;
            new.updated_at = self.space.at();
        }
        self.space.update(old, &new).await?;
        Ok(new)
    }

    /// Is what is seen what is written? If not, whoever was seen becomes a claimant; if it is
    /// again, those claims go.
    async fn compare(&mut self, record: &mut Record, sighting: &Sighting) -> Outcome<()> {
        if differs_in_name(record, sighting) {
            return self.misnamed(record, sighting).await;
        }
        let declined = sighting.what == What::Declined;
        let differs = match (record.status, sighting.mac, record.mac) {
            (Status::Quarantine, ..) => false,
            (Status::Available, ..) => {
                declined || (record.kind == Kind::Static && record.subnet.is_some())
            }
            (_, Some(seen), Some(written)) => seen != written || declined,
            _ => declined,
        };
        if !differs {
            return self.settle(record, sighting).await;
        }
        let mac = sighting.mac;
        let seen = Seen { mac, hostname: Hostname::default() };
        if note_seen(self.space, record, &seen).await? {
            self.found.conflicts += 1;
            let machine = mac.map_or_else(|| "a machine".to_owned(), |mac| mac.to_string());
            let note = match (record.status, record.mac) {
                (Status::Available, _) => format!("free, but {machine} uses it"),
                (_, Some(written)) if !declined => format!("{machine} uses it, not {written}"),
                _ => format!("{machine} uses it beside {}", record.keeper()),
            };
            self.space.record(event("address.conflict", record).note(note));
        }
        Ok(())
    }

    /// Another name is seen than is written.
    async fn misnamed(&mut self, record: &mut Record, sighting: &Sighting) -> Outcome<()> {
        let seen = Seen { mac: sighting.mac, hostname: sighting.hostname.clone() };
        if note_seen(self.space, record, &seen).await? {
            self.found.conflicts += 1;
            let by = if sighting.what == What::Named { "DNS calls it" } else { "it calls itself" };
            let note = format!("{by} {}, not {}", seen.hostname, record.hostname);
            self.space.record(event("address.conflict", record).note(note));
        }
        Ok(())
    }

    /// Drops claims of machines seen earlier that are what is written now.
    async fn settle(&mut self, record: &mut Record, sighting: &Sighting) -> Outcome<()> {
        if !record.conflict {
            return Ok(());
        }
        let (written, name) = (record.mac, record.hostname.clone());
        let over = |seen: &Seen| {
            if seen.hostname.is_empty() {
                // DNS knows names, and no machines.
                sighting.what != What::Named
                    && (seen.mac.is_none() || written.is_none() || seen.mac == written)
            } else {
                name.is_empty() || name.agrees(&seen.hostname) || name.agrees(&sighting.hostname)
            }
        };
        if forget_seen(self.space, record, over).await? && !record.conflict {
            let settled = event("address.settled", record);
            self.space.record(settled.note("what is seen is what is written"));
        }
        Ok(())
    }

    async fn silent(&mut self, old: Record, sighting: &Sighting) -> Outcome<Record> {
        if !old.active || old.last_seen.is_some_and(|last| last > sighting.at) {
            return Ok(old);
        }
        let mut new = Record { active: false, ..old.clone() };
        if old.status == Status::Available && old.conflict {
            forget_seen(self.space, &mut new, |_| true).await?;
        }
        self.found.gone += 1;
        self.space.record(event("address.gone", &new).note("it does not answer any more"));
        self.write(&old, new).await
    }

    async fn leased(
        &mut self,
        old: Option<Record>,
        sighting: &Sighting,
        left: usize,
    ) -> Outcome<Option<Record>> {
        let tenure = tenure(sighting);
        let mut old = old;
        if let Some(record) = old.take_if(|old| is_leased(old)) {
            if record.holder.as_ref().is_some_and(|holder| !holder.is(&tenure.holder)) {
                old = self.ended(record).await?;
            } else {
                old = Some(record);
            }
        }
        let Some(known) = old else {
            return match self.place(sighting.address).await? {
                Place::In(subnet, Kind::Dhcp) => {
                    self.lease(subnet, sighting, tenure, left).await.map(Some)
                }
                _ => self.appears(sighting, left).await,
            };
        };
        let free =
            known.status == Status::Available && known.kind == Kind::Dhcp && known.subnet.is_some();
        if !is_leased(&known) && !free {
            return self.again(known, sighting, true).await.map(Some);
        }
        self.found.leased += usize::from(free);
        let (addresses::Claimed::Held(record) | addresses::Claimed::Conflict(record)) =
            addresses::claim(self.space, sighting.address, &tenure).await?;
        self.again(record, sighting, false).await.map(Some)
    }

    /// A free address of a DHCP pool is a client's: as [`addresses::claim`] does it, but with all
    /// that is known already.
    async fn lease(
        &mut self,
        subnet: SubnetId,
        sighting: &Sighting,
        tenure: Tenure,
        left: usize,
    ) -> Outcome<Record> {
        let id = self.id(left).await?;
        let now = self.space.at();
        let mut record = Record::new(sighting.address, id, Some(subnet), Kind::Dhcp, now);
        record.status = Status::Allocated;
        (record.hostname, record.mac) = (tenure.hostname, tenure.mac);
        record.holder = Some(tenure.holder);
        write_down(&mut record, sighting);
        self.space.add(&record).await?;
        (self.found.leased, self.found.new) = (self.found.leased + 1, self.found.new + 1);
        self.space.record(event("address.allocated", &record).after(describe(&record)));
        Ok(record)
    }

    /// A lease's own address is free, whether or not its machine was seen of late.
    async fn ended(&mut self, old: Record) -> Outcome<Option<Record>> {
        if !is_leased(&old) {
            return Ok(Some(old));
        }
        let tenant = self.space.tenant();
        let idle = Record { active: false, ..old.clone() };
        self.space.update(&old, &idle).await?;
        addresses::vacate(self.space, &idle, "address.lease_ended", None).await?;
        self.found.ended += 1;
        Ok(addresses::get(self.space.tx(), tenant, old.address).await?)
    }
}

/// What every sighting leaves in a row.
fn write_down(record: &mut Record, sighting: &Sighting) {
    record.active = true;
    record.last_seen = Some(sighting.at);
    record.seen_mac = sighting.mac.or(record.seen_mac);
    if record.status == Status::Available && !sighting.hostname.is_empty() {
        record.hostname = sighting.hostname.clone();
    }
}

/// Whether an address in somebody's keeping was seen with another name than is written, and no MAC
/// says that it is the right machine, or the wrong one.
fn differs_in_name(record: &Record, sighting: &Sighting) -> bool {
    let kept = matches!(record.status, Status::Allocated | Status::Reserved);
    let told = sighting.mac.is_some() && record.mac.is_some();
    let (seen, written) = (&sighting.hostname, &record.hostname);
    kept && !told && !seen.is_empty() && !written.is_empty() && !seen.agrees(written)
}

fn sentence(sighting: &Sighting, orphan: bool) -> String {
    let with = sighting.mac.map(|mac| format!(" with {mac}")).unwrap_or_default();
    let how = match sighting.what {
        What::Leased(_) => "leased by a DHCP server",
        What::Declined => "declined by a DHCP client",
        _ => "in use",
    };
    let place = if orphan { ", in no subnet" } else { "" };
    format!("{how}{with}{place}")
}

/// Whether a DHCP server's client holds it.
pub(super) fn is_leased(record: &Record) -> bool {
    let client =
        |holder: &Holder| holder.kind == HolderKind::External && holder.id.starts_with(LEASE);
    record.kind == Kind::Dhcp && record.holder.as_ref().is_some_and(client)
}

/// A lease's client, known by its MAC, or where that is not known by its address alone.
fn tenure(sighting: &Sighting) -> Tenure {
    let known = sighting.mac.map_or_else(|| sighting.address.to_string(), |mac| mac.to_string());
    let name = if sighting.hostname.is_empty() {
        sighting.mac.map_or_else(|| "DHCP client".to_owned(), |mac| mac.to_string())
    } else {
        sighting.hostname.to_string()
    };
    let holder = Holder { kind: HolderKind::External, id: format!("{LEASE}{known}"), name };
    Tenure { hostname: sighting.hostname.clone(), mac: sighting.mac, ..Tenure::of(holder) }
}
