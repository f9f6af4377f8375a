//! The map of a subnet: each of its addresses, or blocks of them that are looked into one by one.

use super::listing::Usage;
use super::queries::{self, Spot};
use super::types::{PoolKind, Subnet};
use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::class::{Class, Kind, Status};
use crate::ipam::space::{Gap, gap_before, gaps_from};
use crate::ipam::tally::{self, Count, Counts};
use crate::net::{Address, Cidr, Family, Range};

/// Most addresses shown one by one, as bits.
const GRID_BITS: u8 = 10;
/// Most blocks, as bits.
const BLOCK_BITS: u8 = 8;

/// A map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Map {
    /// Every address.
    Addresses(Vec<Cell>),
    /// Blocks of one size.
    Blocks(Vec<Block>),
}

/// An address on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which.
    pub address: Address,
    /// What it is.
    pub what: What,
    /// Whose it is or why, in words; may be empty.
    pub note: String,
    /// Whether two claim it.
    pub conflict: bool,
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Has a row, or is free in a static pool.
    Status(Status),
    /// Free for a DHCP server to give.
    Dhcp,
    /// Nobody may have it: network, broadcast, gateway, excluded.
    Withheld(&'static str),
    /// In no pool.
    Outside,
}

impl What {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Dhcp => "dhcp",
            Self::Withheld(what) => what,
            Self::Outside => "in no pool",
        }
    }

    /// Its style.
    pub fn class(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Dhcp => "dhcp",
            Self::Withheld(_) => "withheld",
            Self::Outside => "outside",
        }
    }
}

/// A block on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its addresses.
    pub cidr: Cidr,
    /// What they are.
    pub usage: Usage,
}

/// The map of a block of a subnet: of at most 1,024 addresses each, of a larger one at most 256
/// blocks of one size.
pub async fn map(tx: &mut Tx, tenant: TenantId, subnet: &Subnet, block: Cidr) -> Result<Map> {
    match cells_of(block) {
        Some(length) => Ok(Map::Blocks(blocks(tx, tenant, block, length).await?)),
        None => Ok(Map::Addresses(grid(tx, tenant, subnet, block).await?)),
    }
}

/// The prefix length of the blocks a map of this block consists of; none if of addresses. Blocks
/// that are counted already are shown as they are, if there are not too many.
pub fn cells_of(block: Cidr) -> Option<u8> {
    let hosts = block.family().bits() - block.length();
    let cell = match hosts {
        0..=GRID_BITS => return None,
        11..=16 => 8,
        20..=24 => 16,
        _ => hosts - BLOCK_BITS,
    };
    Some(block.family().bits() - cell)
}

async fn grid(tx: &mut Tx, tenant: TenantId, subnet: &Subnet, block: Cidr) -> Result<Vec<Cell>> {
    let range = block.range();
    let spots = queries::spots(tx, tenant, range).await?;
    let limit = i64::from(u16::MAX);
    let mut gaps: Vec<Gap> = gap_before(tx, tenant, range.first()).await?.into_iter().collect();
    gaps.extend(gaps_from(tx, tenant, range, limit).await?);
    let withheld = withheld(tx, tenant, subnet, block).await?;
    let mut spots = spots.into_iter().peekable();
    let mut gaps = gaps.into_iter().peekable();
    let mut withheld = withheld.into_iter().peekable();
    let mut cells = Vec::new();
    for address in range.iter() {
        while gaps.next_if(|gap| gap.range.last() < address).is_some() {}
        while withheld.next_if(|(range, _)| range.last() < address).is_some() {}
        let cell = |what, note: String, conflict| Cell { address, what, note, conflict };
        let gap = gaps.peek().filter(|gap| gap.range.contains(address));
        let kept = withheld.peek().filter(|(range, _)| range.contains(address));
        cells.push(if let Some(spot) = spots.next_if(|spot| spot.address == address) {
            let Spot { status, conflict, note, .. } = spot;
            cell(What::Status(status), note, conflict)
        } else if let Some(gap) = gap {
            let what = match gap.kind {
                Kind::Static => What::Status(Status::Available),
                Kind::Dhcp => What::Dhcp,
            };
            cell(what, String::new(), false)
        } else if let Some((_, what)) = kept {
            cell(What::Withheld(what), String::new(), false)
        } else {
            cell(What::Outside, String::new(), false)
        });
    }
    Ok(cells)
}

/// What nobody may have in a block, in order: of the subnet itself, and of those inside it.
async fn withheld(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: &Subnet,
    block: Cidr,
) -> Result<Vec<(Range, &'static str)>> {
    let mut subnets = queries::inside(tx, tenant, block.range()).await?;
    if !subnets.iter().any(|known| known.id == subnet.id) {
        subnets.push(subnet.clone());
    }
    // A block may lie in a smaller subnet than the one whose map it is.
    let around = super::around(tx, tenant, block.network()).await?;
    subnets.extend(around.filter(|around| around.id != subnet.id && around.cidr.covers(block)));
    let inner: Vec<(SubnetId, Cidr)> = subnets.iter().map(|s| (s.id, s.cidr)).collect();
    let mut all = Vec::new();
    for subnet in &subnets {
        let covered = |at: Address| {
            inner.iter().any(|(id, cidr)| {
                *id != subnet.id && subnet.cidr.covers(*cidr) && cidr.contains(at)
            })
        };
        let never = subnet.cidr.never().into_iter();
        let single = never.chain(subnet.gateway.map(|gateway| (gateway, "gateway")));
        all.extend(
            single
                .filter(|(address, _)| block.contains(*address) && !covered(*address))
                .map(|(address, what)| (Range::single(address), what)),
        );
        let pools = queries::pools(tx, subnet.id).await?;
        let excluded = pools.iter().filter(|pool| pool.kind == PoolKind::Excluded);
        let excluded = excluded.filter_map(|pool| pool.range.intersection(block.range()));
        for range in excluded {
            let single = range.iter().filter(|address| !covered(*address));
            all.extend(single.map(|address| (Range::single(address), "excluded")));
        }
    }
    all.sort_unstable_by_key(|(range, _)| range.first());
    all.dedup_by_key(|(range, _)| range.first());
    Ok(all)
}

async fn blocks(tx: &mut Tx, tenant: TenantId, block: Cidr, length: u8) -> Result<Vec<Block>> {
    let range = block.range();
    let cells: Vec<Cidr> = block.split(length).into_iter().flatten().collect();
    let bits = block.family().bits() - length;
    let first = range.first().number();
    let at = |address: Address| usize::try_from((address.number() - first) >> bits).ok();
    let mut sums: Vec<Counts> = cells.iter().map(|_| Counts::default()).collect();
    for (address, counts) in tally::blocks_in(tx, tenant, range, bits >= 16).await? {
        if let Some(sum) = at(address).and_then(|at| sums.get_mut(at)) {
            sum.merge(&counts, 1);
        }
    }
    // A gap is counted where it begins: those that cross from one cell into the next are shared out.
    let ends: Vec<Address> = cells.iter().map(|cell| cell.network()).collect();
    let mut crossing = queries::gaps_before(tx, tenant, &ends).await?;
    crossing.extend(gap_before(tx, tenant, range.last()).await?);
    crossing.sort_unstable_by_key(|gap| gap.range.first());
    crossing.dedup_by_key(|gap| gap.range.first());
    for gap in crossing.into_iter().filter(|gap| gap.range.overlaps(range)) {
        let size = |range: Range| i128::try_from(range.size()).unwrap_or(i128::MAX);
        let class = Class::gap(gap.kind);
        let share = |range| Count { entries: 0, addresses: size(range) };
        if range.contains(gap.range.first())
            && let Some(sum) = at(gap.range.first()).and_then(|at| sums.get_mut(at))
        {
            sum.subtract(class, share(gap.range));
        }
        let Some(inside) = gap.range.intersection(range) else { continue };
        let (from, to) = (at(inside.first()).unwrap_or(0), at(inside.last()).unwrap_or(0));
        for (cell, sum) in cells.iter().zip(&mut sums).take(to + 1).skip(from) {
            if let Some(part) = cell.range().intersection(inside) {
                sum.add(class, share(part));
            }
        }
    }
    let usage = sums.iter().map(Usage::of);
    Ok(cells.into_iter().zip(usage).map(|(cidr, usage)| Block { cidr, usage }).collect())
}

/// What an address of the map is called where the rest is plain: its last number.
pub fn short(address: &Address) -> String {
    let text = address.to_string();
    match address.family() {
        Family::V4 => text.rsplit('.').next().unwrap_or_default().to_owned(),
        Family::V6 => format!("{:x}", address.number() & 0xffff),
    }
}
