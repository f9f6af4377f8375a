//! The free addresses of pools, as ranges, and the rows of the others. Nothing else writes either.

use std::collections::BTreeMap;

use super::addresses::Record;
use super::class::{Class, Kind, Status};
use super::subnets::{self, Pool, PoolKind, Subnet};
use super::tally::Ledger;
use crate::audit::{Actor, Change, Event};
use crate::db::{Result, Tx};
use crate::id::{PoolId, SubnetId, TenantId};
use crate::net::{self, Address, Range};
use crate::secrets::Entropy;
use crate::tenants;
use crate::time::Timestamp;

mod rows;

pub(super) use rows::{GapRow, damaged, gap_before, gaps_between, gaps_from, mac_sort, range};

/// Free addresses in a row: of one pool, with nothing taken between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The addresses.
    pub range: Range,
    /// The subnet they belong to.
    pub subnet: SubnetId,
    /// The pool they belong to.
    pub pool: PoolId,
    /// How they are given.
    pub kind: Kind,
}

/// A tenant's addresses, locked for one change.
pub struct Space<'c> {
    change: &'c mut Change,
    entropy: &'c Entropy,
    ledger: Ledger,
    /// What the index of words is still to be told: texts that are gone, and new ones.
    gone: Vec<(i64, String)>,
    new: BTreeMap<i64, String>,
}

/// Texts kept at most until the index of words is told.
const WORDS: usize = 65_536;

/// Where free addresses are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In all static pools of a subnet.
    Subnet(SubnetId),
    /// In one pool.
    Pool(PoolId),
}

impl<'c> Space<'c> {
    /// Begins: whoever else changes addresses or numbers of the tenant waits until the change ends.
    pub async fn open(change: &'c mut Change, entropy: &'c Entropy) -> Result<Self> {
        let tenant = change.tenant();
        tenants::lock(change, tenant).await?;
        Ok(Self {
            change,
            entropy,
            ledger: Ledger::default(),
            gone: Vec::new(),
            new: BTreeMap::new(),
        })
    }

    /// Ends: the counts and the index of words follow what was done.
    pub async fn close(mut self) -> Result<()> {
        self.tell().await?;
        let tenant = self.tenant();
        self.ledger.write(self.change.tx(), tenant).await
    }

    async fn tell(&mut self) -> Result<()> {
        let new: Vec<(i64, String)> = std::mem::take(&mut self.new).into_iter().collect();
        let gone = std::mem::take(&mut self.gone);
        self.change.tx().index_words(&gone, &new).await
    }

    /// A row's text changes in the index of words: `None` is no row.
    async fn note_words(&mut self, old: Option<&Record>, new: Option<&Record>) -> Result<()> {
        let text = |record: Option<&Record>| {
            record.map(|record| (record.id, record.search())).filter(|(_, text)| !text.is_empty())
        };
        let (old, new) = (text(old), text(new));
        if old == new {
            return Ok(());
        }
        if let Some((id, text)) = old
            && self.new.remove(&id).is_none()
        {
            self.gone.push((id, text));
        }
        self.new.extend(new);
        if self.gone.len() + self.new.len() >= WORDS { self.tell().await } else { Ok(()) }
    }

    /// The transaction.
    pub fn tx(&mut self) -> &mut Tx {
        self.change.tx()
    }

    /// The change itself and where randomness comes from, for whoever writes more in it.
    pub fn parts(&mut self) -> (&mut Change, &'c Entropy) {
        (self.change, self.entropy)
    }

    /// Whose addresses these are.
    pub fn tenant(&self) -> TenantId {
        self.change.tenant()
    }

    /// When the change is made.
    pub fn at(&self) -> Timestamp {
        self.change.at()
    }

    /// Who makes it.
    pub fn actor(&self) -> &Actor {
        self.change.actor()
    }

    /// A new identifier.
    pub fn new_id<T: From<uuid::Uuid>>(&self) -> Result<T> {
        self.entropy.id(self.change.at()).map(T::from).map_err(sqlx::Error::Io)
    }

    /// Notes one thing done.
    pub fn record(&mut self, event: Event) {
        self.change.record(event);
    }

    /// Writes down what was noted so far, for changes of very many addresses.
    pub async fn flush(&mut self) -> Result<()> {
        self.change.flush().await
    }

    /// The gap an address lies in.
    pub async fn gap_at(&mut self, address: Address) -> Result<Option<Gap>> {
        let tenant = self.tenant();
        let gap = rows::gap_before(self.tx(), tenant, address).await?;
        Ok(gap.filter(|gap| gap.range.contains(address)))
    }

    /// The first gap of static pools with at least `size` addresses.
    pub async fn first_gap(&mut self, source: Source, size: u32) -> Result<Option<Gap>> {
        rows::first_gap(self.tx(), source, size).await
    }

    /// The lowest gap of the tenant's static pools, of IPv4 or of IPv6.
    pub async fn lowest_static_gap(&mut self, v6: bool) -> Result<Option<Gap>> {
        let tenant = self.tenant();
        rows::lowest_static_gap(self.tx(), tenant, v6).await
    }

    /// Every gap of static pools of the source.
    pub async fn static_gaps(&mut self, source: Source) -> Result<Vec<Gap>> {
        rows::static_gaps(self.tx(), source).await
    }

    /// Takes `piece` out of the gap that covers it: at most two gaps remain.
    pub async fn take_out(&mut self, gap: &Gap, piece: Range) -> Result<()> {
        let rest = net::subtract(&[gap.range], &[piece]);
        let tenant = self.tenant();
        self.note_gap(gap, -1);
        let mut rest = rest.into_iter().map(|range| Gap { range, ..gap.clone() });
        match rest.next() {
            None => rows::remove_gap(self.tx(), tenant, gap).await?,
            Some(first) => {
                rows::change_gap(self.tx(), tenant, gap, first.range).await?;
                self.note_gap(&first, 1);
            }
        }
        if let Some(second) = rest.next() {
            rows::add_gaps(self.tx(), tenant, std::slice::from_ref(&second)).await?;
            self.note_gap(&second, 1);
        }
        Ok(())
    }

    /// An address without a row is free again if a pool of `subnet` has it; gaps that touch it
    /// within the pool grow together.
    async fn give_back(&mut self, subnet: SubnetId, address: Address) -> Result<()> {
        let tenant = self.tenant();
        let Some(subnet) = subnets::get(self.tx(), tenant, subnet).await? else { return Ok(()) };
        let pools = subnets::pools(self.tx(), subnet.id).await?;
        let Some((pool, kind)) = pool_of(&subnet, &pools, address) else { return Ok(()) };
        let pool = pool.id;
        let mut range = Range::single(address);
        let touching = match address.previous() {
            Some(before) => self.gap_at(before).await?,
            None => None,
        };
        let before = touching.filter(|gap| gap.pool == pool);
        let touching = match address.next() {
            Some(after) => self.gap_at(after).await?,
            None => None,
        };
        let after = touching.filter(|gap| gap.pool == pool);
        for gap in before.iter().chain(&after) {
            rows::remove_gap(self.tx(), tenant, gap).await?;
            self.note_gap(gap, -1);
            let (first, last) =
                (range.first().min(gap.range.first()), range.last().max(gap.range.last()));
            range = Range::new(first, last).unwrap_or(range);
        }
        let gap = Gap { range, subnet: subnet.id, pool, kind };
        rows::add_gaps(self.tx(), tenant, std::slice::from_ref(&gap)).await?;
        self.note_gap(&gap, 1);
        Ok(())
    }

    /// Works out the gaps of a subnet anew, after its pools, its smaller subnets or many of its
    /// rows changed.
    pub async fn refill(&mut self, subnet: &Subnet) -> Result<()> {
        let tenant = self.tenant();
        self.drain(subnet.id).await?;
        let pools = subnets::pools(self.tx(), subnet.id).await?;
        if pools.iter().all(|pool| pool.kind.gives().is_none()) {
            return Ok(());
        }
        let inside = subnets::ranges_inside(self.tx(), tenant, subnet.id).await?;
        let taken = rows::taken(self.tx(), tenant, subnet).await?;
        self.add_gaps(&gaps_of(subnet, &pools, inside, taken)).await
    }

    async fn add_gaps(&mut self, gaps: &[Gap]) -> Result<()> {
        let tenant = self.tenant();
        rows::add_gaps(self.tx(), tenant, gaps).await?;
        for gap in gaps {
            self.note_gap(gap, 1);
        }
        Ok(())
    }

    /// Works out the gaps of many subnets of which all is known but their rows.
    pub async fn fill(&mut self, laid: &[Laid]) -> Result<()> {
        const AT_ONCE: usize = 1024;
        let tenant = self.tenant();
        for old in laid.iter().filter(|laid| !laid.fresh) {
            self.drain(old.subnet.id).await?;
        }
        let any = rows::any(self.tx(), tenant).await?;
        let mut gaps = Vec::new();
        for laid in laid {
            let taken =
                if any { rows::taken(self.tx(), tenant, &laid.subnet).await? } else { Vec::new() };
            gaps.extend(gaps_of(&laid.subnet, &laid.pools, laid.inside.clone(), taken));
            if gaps.len() >= AT_ONCE {
                self.add_gaps(&std::mem::take(&mut gaps)).await?;
            }
        }
        self.add_gaps(&gaps).await
    }

    /// Whether any address has a row.
    pub async fn any(&mut self) -> Result<bool> {
        let tenant = self.tenant();
        rows::any(self.tx(), tenant).await
    }

    /// Takes a range out of the gaps of a subnet, in which a smaller one now lies: what else the
    /// subnet has, however much, is not looked at.
    pub async fn carve(&mut self, subnet: SubnetId, range: Range) -> Result<()> {
        let tenant = self.tenant();
        let mut gaps: Vec<Gap> =
            rows::gap_before(self.tx(), tenant, range.first()).await?.into_iter().collect();
        gaps.extend(rows::gaps_from(self.tx(), tenant, range, i64::MAX).await?);
        gaps.dedup();
        for gap in gaps.into_iter().filter(|gap| gap.subnet == subnet) {
            if let Some(piece) = gap.range.intersection(range) {
                self.take_out(&gap, piece).await?;
            }
        }
        Ok(())
    }

    /// As [`Self::refill`], for subnets whose gaps may pass from one to another.
    pub async fn refill_all(&mut self, subnets: &[&Subnet]) -> Result<()> {
        for subnet in subnets {
            self.drain(subnet.id).await?;
        }
        for subnet in subnets {
            self.refill(subnet).await?;
        }
        Ok(())
    }

    /// Removes every gap of a subnet.
    pub async fn drain(&mut self, subnet: SubnetId) -> Result<()> {
        for gap in rows::gaps_of(self.tx(), subnet).await? {
            self.note_gap(&gap, -1);
        }
        rows::remove_gaps_of(self.tx(), subnet).await
    }

    fn note_gap(&mut self, gap: &Gap, sign: i64) {
        self.ledger.note(Some(gap.subnet), gap.range, Class::gap(gap.kind), sign);
    }

    fn note_row(&mut self, record: &Record, sign: i64) {
        self.ledger.note(record.subnet, Range::single(record.address), record.class(), sign);
    }

    /// Gives an address a row; it is no longer part of a gap.
    pub async fn add(&mut self, record: &Record) -> Result<()> {
        if let Some(gap) = self.gap_at(record.address).await? {
            self.take_out(&gap, Range::single(record.address)).await?;
        }
        self.add_all(std::slice::from_ref(record)).await
    }

    /// Gives many addresses rows. Whoever calls this sees to the gaps: takes them out, or lets
    /// the subnets be filled anew.
    pub async fn add_all(&mut self, records: &[Record]) -> Result<()> {
        let tenant = self.tenant();
        rows::add(self.tx(), tenant, records).await?;
        for record in records {
            self.note_row(record, 1);
            self.note_words(None, Some(record)).await?;
        }
        Ok(())
    }

    /// Writes a changed row. Its version counts up.
    pub async fn update(&mut self, old: &Record, new: &Record) -> Result<()> {
        let tenant = self.tenant();
        rows::update(self.tx(), tenant, new).await?;
        self.note_row(old, -1);
        self.note_row(new, 1);
        self.note_words(Some(old), Some(new)).await
    }

    /// Removes a row: the address is free again, if a pool has it.
    pub async fn remove(&mut self, record: &Record) -> Result<()> {
        self.forget(record).await?;
        match record.subnet {
            Some(subnet) => self.give_back(subnet, record.address).await,
            None => Ok(()),
        }
    }

    /// Removes a row without freeing its address: for whoever fills the subnet anew.
    pub async fn forget(&mut self, record: &Record) -> Result<()> {
        let tenant = self.tenant();
        rows::remove(self.tx(), tenant, record.address).await?;
        self.note_row(record, -1);
        self.note_words(Some(record), None).await
    }

    /// The rows of a range go from one subnet to another, or to none. Gaps do not move: whoever
    /// calls this fills both subnets anew.
    pub async fn adopt(
        &mut self,
        range: Range,
        from: Option<SubnetId>,
        to: Option<SubnetId>,
    ) -> Result<()> {
        let tenant = self.tenant();
        for (class, count) in rows::classes(self.tx(), tenant, range, from).await? {
            self.ledger.transfer(class, count, from, to);
        }
        rows::adopt(self.tx(), tenant, range, from, to).await
    }

    /// How many addresses of a range somebody has, among those of one subnet or of none.
    pub async fn held_in(&mut self, range: Range, subnet: Option<SubnetId>) -> Result<i64> {
        let tenant = self.tenant();
        let classes = rows::classes(self.tx(), tenant, range, subnet).await?;
        let held =
            classes.into_iter().filter(|(class, _)| class.status() != Some(Status::Available));
        Ok(held.map(|(_, count)| count).sum())
    }

    /// Numbers for `count` new rows: the first of them.
    pub async fn ids(&mut self, count: usize) -> Result<i64> {
        self.tx().numbers(count).await
    }
}

/// A subnet and what is needed to fill it.
#[derive(Debug)]
pub struct Laid {
    /// The subnet.
    pub subnet: Subnet,
    /// Its pools.
    pub pools: Vec<Pool>,
    /// The subnets directly inside.
    pub inside: Vec<Range>,
    /// Whether it was made just now and has no gaps.
    pub fresh: bool,
}

/// What the pools of a subnet have free.
fn gaps_of(subnet: &Subnet, pools: &[Pool], inside: Vec<Range>, taken: Vec<Range>) -> Vec<Gap> {
    let mut holes = withheld(subnet, pools);
    holes.extend(inside);
    holes.extend(taken);
    let holes = net::normalised(holes);
    let mut gaps = Vec::new();
    for pool in pools {
        let Some(kind) = pool.kind.gives() else { continue };
        for range in net::subtract(&[pool.range], &holes) {
            gaps.push(Gap { range, subnet: subnet.id, pool: pool.id, kind });
        }
    }
    gaps
}

/// The addresses of a subnet that no pool gives out: network, broadcast, gateway, exclusions.
pub(super) fn withheld(subnet: &Subnet, pools: &[Pool]) -> Vec<Range> {
    let never = subnet.cidr.never().into_iter().map(|(address, _)| address);
    let single = never.chain(subnet.gateway).map(Range::single);
    let excluded =
        pools.iter().filter(|pool| pool.kind == PoolKind::Excluded).map(|pool| pool.range);
    single.chain(excluded).collect()
}

/// The pool an address is given from, unless it is withheld.
pub(super) fn pool_of<'p>(
    subnet: &Subnet,
    pools: &'p [Pool],
    address: Address,
) -> Option<(&'p Pool, Kind)> {
    if withheld(subnet, pools).iter().any(|range| range.contains(address)) {
        return None;
    }
    let pool =
        pools.iter().find(|pool| pool.kind.gives().is_some() && pool.range.contains(address))?;
    Some((pool, pool.kind.gives()?))
}
