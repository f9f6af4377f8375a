//! Counts that move with what they count.
//!
//! A count has a scope (the tenant, a subnet, a block of addresses) and a [`Class`]. Blocks of
//! 65,536 and of 256 addresses make an index of ranks: how many entries lie before an address,
//! and which block holds the entry of a given rank, are questions to a few hundred rows.

use std::collections::BTreeMap;

use super::class::{Class, Classes, Kind};
use crate::db::{Bulk, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::net::{Address, Range};
use crate::sql;

/// Entries (rows and gaps), and the addresses they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows and gaps.
    pub entries: i64,
    /// Addresses: one a row, its size for a gap.
    pub addresses: i128,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.addresses += other.addresses;
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// Counts by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Class, Count>);

impl Counts {
    /// Adds to a class.
    pub fn add(&mut self, class: Class, count: Count) {
        *self.0.entry(class).or_default() += count;
    }

    /// Takes from a class.
    pub fn subtract(&mut self, class: Class, count: Count) {
        let less = Count { entries: -count.entries, addresses: -count.addresses };
        self.add(class, less);
    }

    /// Adds all of `other`, or with `sign` -1 takes it away.
    pub fn merge(&mut self, other: &Self, sign: i64) {
        for (class, count) in &other.0 {
            let Count { entries, addresses } = *count;
            self.add(
                *class,
                Count { entries: entries * sign, addresses: addresses * i128::from(sign) },
            );
        }
    }

    /// What all the `classes` come to.
    pub fn of(&self, classes: Classes) -> Count {
        self.0.iter().filter(|(class, _)| classes.contains(**class)).map(|(_, count)| *count).sum()
    }

    /// Whether there is any of a class.
    pub fn has(&self, class: Class) -> bool {
        self.0.get(&class).is_some_and(|count| count.entries != 0)
    }

    /// Those of the `classes` alone.
    #[must_use]
    pub fn only(mut self, classes: Classes) -> Self {
        self.0.retain(|class, _| classes.contains(*class));
        self
    }

    /// Each class and its count.
    pub fn iter(&self) -> impl Iterator<Item = (Class, Count)> {
        self.0
            .iter()
            .map(|(class, count)| (*class, *count))
            .filter(|(_, count)| *count != Count::default())
    }
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(Vec<u8>);

const LARGE: u8 = 1;
const SMALL: u8 = 2;
const SUBNET: u8 = 3;
/// Bits of an address within a block.
const LARGE_BITS: u8 = 16;
const SMALL_BITS: u8 = 8;

impl Scope {
    /// Everything in the tenant.
    pub fn tenant() -> Self {
        Self(Vec::new())
    }

    /// What belongs to the subnet itself, not to smaller ones inside.
    pub fn subnet(id: SubnetId) -> Self {
        let mut scope = vec![SUBNET];
        scope.extend(id.bytes());
        Self(scope)
    }

    fn block(marker: u8, address: Address, drop: usize) -> Self {
        let mut scope = vec![marker];
        let key = address.key();
        scope.extend(key.iter().take(key.len() - drop));
        Self(scope)
    }

    fn large(address: Address) -> Self {
        Self::block(LARGE, address, 2)
    }

    fn small(address: Address) -> Self {
        Self::block(SMALL, address, 1)
    }
}

/// Changes to counts, gathered until they are written together.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<(Scope, Class), Count>);

impl Ledger {
    /// An entry appears (`sign` 1) or goes (-1). A gap counts where it begins.
    pub fn note(&mut self, subnet: Option<SubnetId>, at: Range, class: Class, sign: i64) {
        let size = i128::try_from(at.size()).unwrap_or(i128::MAX);
        let count = Count { entries: sign, addresses: size * i128::from(sign) };
        let places = [Scope::tenant(), Scope::large(at.first()), Scope::small(at.first())];
        for scope in places.into_iter().chain(subnet.map(Scope::subnet)) {
            *self.0.entry((scope, class)).or_default() += count;
        }
    }

    /// So many rows of a class go from one subnet to another; elsewhere nothing changes.
    pub fn transfer(
        &mut self,
        class: Class,
        rows: i64,
        from: Option<SubnetId>,
        to: Option<SubnetId>,
    ) {
        for (subnet, sign) in [(from, -1), (to, 1)] {
            if let Some(subnet) = subnet {
                let count = Count { entries: rows * sign, addresses: i128::from(rows * sign) };
                *self.0.entry((Scope::subnet(subnet), class)).or_default() += count;
            }
        }
    }

    /// Writes everything gathered, always in the same order.
    pub async fn write(&mut self, tx: &mut Tx, tenant: TenantId) -> Result<()> {
        let moved = std::mem::take(&mut self.0);
        let moved = moved.into_iter().filter(|(_, count)| *count != Count::default());
        let rows: Vec<Row> =
            moved.map(|((scope, class), count)| Row::new(tenant, scope, class, count)).collect();
        tx.insert_many_later(&MOVE, &rows, |statement, row| {
            statement
                .bind(row.tenant.clone())
                .bind(row.scope.clone())
                .bind(row.class)
                .bind(row.entries)
                .bind(row.high)
                .bind(row.low)
        })
        .await
    }
}

static MOVE: Bulk = Bulk {
    head: "INSERT INTO tally (tenant_id, scope, class, entries, high, low) VALUES",
    columns: 6,
    most: 128,
    tail: "ON CONFLICT (tenant_id, scope, class) DO UPDATE
           SET entries = tally.entries + excluded.entries, high = tally.high + excluded.high, low = tally.low + excluded.low",
};

struct Row {
    tenant: String,
    scope: Vec<u8>,
    class: i64,
    entries: i64,
    high: i64,
    low: i64,
}

impl Row {
    fn new(tenant: TenantId, scope: Scope, class: Class, count: Count) -> Self {
        let high = count.addresses.div_euclid(1 << 32);
        let low = count.addresses.rem_euclid(1 << 32);
        Self {
            tenant: tenant.to_string(),
            scope: scope.0,
            class: class.as_i64(),
            entries: count.entries,
            high: i64::try_from(high).unwrap_or(i64::MAX),
            low: i64::try_from(low).unwrap_or(i64::MAX),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Sum {
    class: i64,
    entries: i64,
    high: i64,
    low: i64,
}

fn counts(rows: Vec<Sum>) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        if let Ok(class) = Class::try_from(row.class) {
            let addresses = (i128::from(row.high) << 32) + i128::from(row.low);
            counts.add(class, Count { entries: row.entries, addresses });
        }
    }
    counts
}

/// The counts of one scope.
pub async fn of(tx: &mut Tx, tenant: TenantId, scope: &Scope) -> Result<Counts> {
    let rows = tx
        .query(sql!(
            "SELECT class, entries, high, low FROM tally WHERE tenant_id = $1 AND scope = $2"
        ))
        .bind(tenant.to_string())
        .bind(scope.0.clone())
        .all()
        .await?;
    Ok(counts(rows))
}

/// A count with the scope it is of.
#[derive(sqlx::FromRow)]
struct Scoped {
    scope: Vec<u8>,
    class: i64,
    entries: i64,
    high: i64,
    low: i64,
}

/// The counts of every subnet that has any, each without smaller ones inside.
pub async fn of_subnets(tx: &mut Tx, tenant: TenantId) -> Result<BTreeMap<SubnetId, Counts>> {
    let rows: Vec<Scoped> = tx
        .query(sql!(
            "SELECT scope, class, entries, high, low FROM tally WHERE tenant_id = $1 AND scope >= $2 AND scope < $3"
        ))
        .bind(tenant.to_string())
        .bind(vec![SUBNET])
        .bind(vec![SUBNET + 1])
        .all()
        .await?;
    let mut all = BTreeMap::new();
    for (scope, counts) in by_scope(rows) {
        if let Some(id) = scope.get(1..).and_then(|id| uuid::Uuid::from_slice(id).ok()) {
            all.insert(SubnetId::from(id), counts);
        }
    }
    Ok(all)
}

fn by_scope(rows: Vec<Scoped>) -> BTreeMap<Vec<u8>, Counts> {
    let mut all: BTreeMap<Vec<u8>, Counts> = BTreeMap::new();
    for Scoped { scope, class, entries, high, low } in rows {
        let counts = counts(vec![Sum { class, entries, high, low }]);
        all.entry(scope).or_default().merge(&counts, 1);
    }
    all
}

/// Scopes one statement asks for.
const AT_ONCE: usize = 25;

/// The counts of many scopes, in their order.
pub async fn of_many(tx: &mut Tx, tenant: TenantId, scopes: &[Scope]) -> Result<Vec<Counts>> {
    let mut found = BTreeMap::new();
    for some in scopes.chunks(AT_ONCE) {
        let mut query = tx
            .query(sql!(
                "SELECT scope, class, entries, high, low FROM tally WHERE tenant_id = $1 AND scope IN
                     ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
            ))
            .bind(tenant.to_string());
        // What is asked for twice is found once.
        for scope in some.iter().chain(some.iter().cycle()).take(AT_ONCE) {
            query = query.bind(scope.0.clone());
        }
        found.extend(by_scope(query.all().await?));
    }
    Ok(scopes.iter().map(|scope| found.get(&scope.0).cloned().unwrap_or_default()).collect())
}

/// The counts of every block in a range that has any, each with its first address: blocks of
/// 65,536 addresses if `large`, else of 256. A gap counts where it begins.
pub async fn blocks_in(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
    large: bool,
) -> Result<Vec<(Address, Counts)>> {
    let scope = if large { Scope::large } else { Scope::small };
    let rows = tx
        .query(sql!(
            "SELECT scope, class, entries, high, low FROM tally
             WHERE tenant_id = $1 AND scope >= $2 AND scope <= $3"
        ))
        .bind(tenant.to_string())
        .bind(scope(range.first()).0)
        .bind(scope(range.last()).0)
        .all()
        .await?;
    Ok(by_scope(rows).into_iter().map(|(scope, counts)| (address_of(&scope), counts)).collect())
}

/// What a level of blocks counts from `from` (inclusive) up to `until` (exclusive).
async fn between(tx: &mut Tx, tenant: TenantId, from: Scope, until: Scope) -> Result<Counts> {
    if from >= until {
        return Ok(Counts::default());
    }
    let rows = tx
        .query(sql!(
            "SELECT class, CAST(sum(entries) AS BIGINT) AS entries, CAST(sum(high) AS BIGINT) AS high,
                    CAST(sum(low) AS BIGINT) AS low
             FROM tally WHERE tenant_id = $1 AND scope >= $2 AND scope < $3 GROUP BY class"
        ))
        .bind(tenant.to_string())
        .bind(from.0)
        .bind(until.0)
        .all()
        .await?;
    Ok(counts(rows))
}

fn floor(address: Address, bits: u8) -> Address {
    Address::from_number((address.number() >> bits) << bits)
}

/// The counts of all entries whose block of 256 addresses ends before `bound`'s begins, within the
/// blocks from that of `from` on; both given as beginnings of blocks of 256.
async fn blocks(tx: &mut Tx, tenant: TenantId, from: Address, bound: Address) -> Result<Counts> {
    let (low, high) = (floor(from, LARGE_BITS), floor(bound, LARGE_BITS));
    if low == high {
        return between(tx, tenant, Scope::small(from), Scope::small(bound)).await;
    }
    // Whole large blocks, less what lies before, plus the small ones at the end.
    let mut counts = between(tx, tenant, Scope::large(low), Scope::large(high)).await?;
    counts.merge(&between(tx, tenant, Scope::small(low), Scope::small(from)).await?, -1);
    counts.merge(&between(tx, tenant, Scope::small(high), Scope::small(bound)).await?, 1);
    Ok(counts)
}

/// The counts of all whole blocks of 256 addresses that lie in `range`, and the rest of it: the
/// pieces at its two ends whose entries must be counted themselves.
pub async fn inside(
    tx: &mut Tx,
    tenant: TenantId,
    range: Range,
) -> Result<(Counts, [Option<Range>; 2])> {
    let first = ceiling(range.first());
    let bound = range.last().number().checked_add(1).map(Address::from_number);
    let bound = bound.map_or(range.last(), |bound| floor(bound, SMALL_BITS));
    match first.filter(|first| *first < bound) {
        None => Ok((Counts::default(), [Some(range), None])),
        Some(first) => {
            let before = |address: Address| Address::from_number(address.number() - 1);
            let head = (range.first() < first).then(|| Range::new(range.first(), before(first)));
            let tail = (bound <= range.last()).then(|| Range::new(bound, range.last()));
            Ok((blocks(tx, tenant, first, bound).await?, [head.flatten(), tail.flatten()]))
        }
    }
}

/// The first beginning of a block of 256 at or after `address`.
fn ceiling(address: Address) -> Option<Address> {
    let below = floor(address, SMALL_BITS);
    if below == address {
        return Some(address);
    }
    below.number().checked_add(1 << SMALL_BITS).map(Address::from_number)
}

/// By what an entry weighs when ranks are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weigh {
    /// A row and a gap weigh one each.
    Entries,
    /// A gap of a static pool weighs as many as its addresses.
    Addresses,
}

impl Weigh {
    /// What the `classes` of some counts weigh. DHCP's space is one line a gap in every list.
    pub fn of(self, counts: &Counts, classes: Classes) -> i128 {
        match self {
            Self::Entries => i128::from(counts.of(classes).entries),
            Self::Addresses => {
                let dhcp = Class::gap(Kind::Dhcp);
                let folded = counts.of(classes.only(|class| class == dhcp)).entries;
                counts.of(classes.only(|class| class != dhcp)).addresses + i128::from(folded)
            }
        }
    }
}

/// A block's beginning and end among the scopes of its level.
struct Span {
    from: Scope,
    until: Scope,
}

impl Span {
    /// Every large block from that of `address` on.
    fn large_from(address: Address) -> Self {
        Self { from: Scope::large(address), until: Scope(vec![LARGE + 1]) }
    }

    /// The small blocks of the large one that begins at `address`.
    fn small_in(address: Address) -> Self {
        let next = address.number().checked_add(1 << LARGE_BITS).map(Address::from_number);
        let until = next.map_or_else(|| Scope(vec![SMALL + 1]), Scope::small);
        Self { from: Scope::small(address), until }
    }
}

/// Finds the block of 256 addresses, from that of `from` on, that holds the entry of rank
/// `wanted` (from 0) among the `classes`; with it, the rank of the block's first entry.
pub async fn locate(
    tx: &mut Tx,
    tenant: TenantId,
    from: Address,
    classes: Classes,
    weigh: Weigh,
    wanted: i128,
) -> Result<Option<(Address, i128)>> {
    // Counting begins at the large block around `from`; what lies in it before is passed over.
    let (large, small) = (floor(from, LARGE_BITS), floor(from, SMALL_BITS));
    let before = between(tx, tenant, Scope::small(large), Scope::small(small)).await?;
    let passed = weigh.of(&before, classes);
    let rank = wanted + passed;
    let Some((scope, large_rank)) =
        step(tx, tenant, &Span::large_from(large), classes, weigh, rank).await?
    else {
        return Ok(None);
    };
    let large = address_of(&scope);
    let inside =
        step(tx, tenant, &Span::small_in(large), classes, weigh, rank - large_rank).await?;
    Ok(inside.map(|(scope, rank)| (address_of(&scope), large_rank + rank - passed)))
}

/// The first address of a block.
fn address_of(scope: &[u8]) -> Address {
    let bytes = scope.iter().skip(1).chain([&0, &0]).take(16);
    Address::from_number(bytes.fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

#[derive(sqlx::FromRow)]
struct Block {
    scope: Vec<u8>,
    entries: i64,
    high: i64,
    low: i64,
}

/// The block of a level in which the weights add up beyond `rank`, and what they were before it.
async fn step(
    tx: &mut Tx,
    tenant: TenantId,
    span: &Span,
    classes: Classes,
    weigh: Weigh,
    rank: i128,
) -> Result<Option<(Vec<u8>, i128)>> {
    if weigh == Weigh::Addresses {
        return walk(tx, tenant, span, classes, rank).await;
    }
    let found: Option<(Vec<u8>, i64)> = tx
        .query(sql!(
            "SELECT scope, CAST(before AS BIGINT) FROM (
                 SELECT scope, entries, sum(entries) OVER (ORDER BY scope) - entries AS before FROM (
                     SELECT scope, sum(entries) AS entries FROM tally
                     WHERE tenant_id = $1 AND scope >= $2 AND scope < $3
                       AND (CAST($4 AS BIGINT) >> CAST(class AS INT)) & 1 = 1
                     GROUP BY scope) AS blocks) AS ranks
             WHERE before <= $5 AND entries > 0 ORDER BY scope DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(span.from.0.clone())
        .bind(span.until.0.clone())
        .bind(classes.bits())
        .bind(i64::try_from(rank).unwrap_or(i64::MAX))
        .optional()
        .await?;
    Ok(found.map(|(scope, before)| (scope, i128::from(before))))
}

/// As [`step`] by addresses, whose numbers no database adds up exactly.
async fn walk(
    tx: &mut Tx,
    tenant: TenantId,
    span: &Span,
    classes: Classes,
    rank: i128,
) -> Result<Option<(Vec<u8>, i128)>> {
    let blocks: Vec<Block> = tx
        .query(sql!(
            "SELECT scope, CAST(sum(entries) AS BIGINT) AS entries,
                    CAST(sum(CASE WHEN class = $5 THEN 0 ELSE high END) AS BIGINT) AS high,
                    CAST(sum(CASE WHEN class = $5 THEN entries ELSE low END) AS BIGINT) AS low
             FROM tally WHERE tenant_id = $1 AND scope >= $2 AND scope < $3
               AND (CAST($4 AS BIGINT) >> CAST(class AS INT)) & 1 = 1
             GROUP BY scope ORDER BY scope"
        ))
        .bind(tenant.to_string())
        .bind(span.from.0.clone())
        .bind(span.until.0.clone())
        .bind(classes.bits())
        .bind(Class::gap(Kind::Dhcp).as_i64())
        .all()
        .await?;
    let mut before = 0;
    for block in blocks {
        let weight = (i128::from(block.high) << 32) + i128::from(block.low);
        if block.entries > 0 && before + weight > rank {
            return Ok(Some((block.scope, before)));
        }
        before += weight;
    }
    Ok(None)
}
