//! Addresses against a simple model: whatever is done to subnets, pools and addresses, lists,
//! counts and the next free address are what a walk over every single address would find.

use std::collections::{BTreeMap, BTreeSet};

use patchbay::audit::{Change, Page};
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::addresses::{
    self, Claimed, Edit, Entry, Filter, Holder, HolderKind, Purpose, Refusal, Reserver, Sort,
    Stats, Tenure, Wish,
};
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::space::{Source, Space};
use patchbay::ipam::subnets::{self, Pools, Spec, Usage};
use patchbay::net::{Address, Cidr, Range, subtract};
use patchbay::text::ByName as _;
use patchbay::time::Timestamp;

use crate::support::app::{TestApp, both_databases, tester};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(count).unwrap())).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The blocks everything happens in: small enough to walk over, across the ends of counted blocks.
const BLOCKS: [&str; 5] = [
    "10.0.255.0/24",
    "10.1.0.0/24",
    "10.10.0.0/26",
    "2001:db8::ff80/121",
    "2001:db8:7:ffff:ffff:ffff:ffff:ffc0/122",
];

fn universe() -> Vec<Address> {
    BLOCKS.iter().flat_map(|block| block.parse::<Cidr>().unwrap().range().iter()).collect()
}

#[derive(Default)]
struct Model {
    subnets: Vec<(SubnetId, Spec)>,
    rows: BTreeMap<Address, (Status, Kind)>,
    /// Reservations that end by themselves.
    ends: BTreeSet<Address>,
}

/// What a list should show: an address, or free ones from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Row(Address),
    Gap(Address, Address, Kind),
}

impl Model {
    fn around(&self, address: Address) -> Option<&(SubnetId, Spec)> {
        let holding = self.subnets.iter().filter(|(_, spec)| spec.cidr.contains(address));
        holding.max_by_key(|(_, spec)| spec.cidr.length())
    }

    /// The pool a free address is given from: its number among the subnet's, and its kind.
    fn pool(&self, address: Address) -> Option<(SubnetId, usize, Kind)> {
        let (id, spec) = self.around(address)?;
        let withheld = spec.gateway == Some(address)
            || spec.cidr.never().iter().any(|(never, _)| *never == address)
            || spec.excluded.iter().any(|range| range.contains(address));
        if withheld {
            return None;
        }
        let mut held = spec.excluded.clone();
        held.extend(spec.gateway.map(Range::single));
        let usable = [spec.cidr.usable()];
        let statics = match (&spec.statics, &spec.dhcp) {
            (Pools::Rest, Pools::Rest) => usable.to_vec(),
            (Pools::Rest, Pools::These(dhcp)) => {
                subtract(&usable, &[held.clone(), dhcp.clone()].concat())
            }
            (Pools::These(ranges), _) => ranges.clone(),
        };
        let dhcp = match &spec.dhcp {
            Pools::Rest => subtract(&usable, &[held, statics.clone()].concat()),
            Pools::These(ranges) => ranges.clone(),
        };
        let find = |ranges: &[Range]| ranges.iter().position(|range| range.contains(address));
        find(&statics)
            .map(|n| (*id, n, Kind::Static))
            .or_else(|| find(&dhcp).map(|n| (*id, 1000 + n, Kind::Dhcp)))
    }

    fn free(&self, address: Address) -> Option<(SubnetId, usize, Kind)> {
        if self.rows.contains_key(&address) { None } else { self.pool(address) }
    }

    /// The lines of a list over some addresses.
    fn lines(
        &self,
        within: &[Range],
        wanted: impl Fn(Address, Option<Status>, Kind, bool) -> bool,
        expanded: bool,
    ) -> Vec<Shown> {
        let mut lines: Vec<Shown> = Vec::new();
        let mut last: Option<(Address, (SubnetId, usize, Kind))> = None;
        for address in universe()
            .into_iter()
            .filter(|address| within.iter().any(|range| range.contains(*address)))
        {
            if let Some((status, kind)) = self.rows.get(&address) {
                if wanted(address, Some(*status), *kind, false) {
                    lines.push(Shown::Row(address));
                }
                last = None;
                continue;
            }
            let Some(pool) = self.free(address) else {
                last = None;
                continue;
            };
            let status = (pool.2 == Kind::Static).then_some(Status::Available);
            if wanted(address, status, pool.2, true) {
                let same = last
                    .is_some_and(|(before, known)| known == pool && before.next() == Some(address))
                    && !(expanded && pool.2 == Kind::Static);
                match lines.last_mut() {
                    Some(Shown::Gap(_, end, _)) if same => *end = address,
                    _ => lines.push(Shown::Gap(address, address, pool.2)),
                }
            }
            last = Some((address, pool));
        }
        lines
    }

    fn stats(&self, within: &[Range]) -> Stats {
        let mut stats = Stats::default();
        for address in universe()
            .into_iter()
            .filter(|address| within.iter().any(|range| range.contains(*address)))
        {
            match (self.rows.get(&address), self.free(address)) {
                (Some((Status::Allocated, _)), _) => stats.allocated += 1,
                (Some((Status::Reserved, _)), _) => stats.reserved += 1,
                (Some((Status::Quarantine, _)), _) => stats.quarantine += 1,
                (Some((Status::Available, _)), _) | (None, Some((_, _, Kind::Static))) => {
                    stats.available += 1;
                }
                (None, Some((_, _, Kind::Dhcp))) => stats.dhcp += 1,
                (None, None) => {}
            }
        }
        stats
    }

    fn next_free(&self, subnet: SubnetId) -> Option<Address> {
        universe().into_iter().find(|address| {
            self.free(*address).is_some_and(|(id, _, kind)| id == subnet && kind == Kind::Static)
        })
    }
}

fn shown(entry: &Entry) -> Shown {
    match entry {
        Entry::Row(record) => Shown::Row(record.address),
        Entry::Gap(gap) => Shown::Gap(gap.range.first(), gap.range.last(), gap.kind),
    }
}

fn me() -> Reserver {
    Reserver { name: "tester".to_owned(), anybodys: true }
}

fn reserve() -> Purpose {
    Purpose::Reserve { note: "test".parse().unwrap(), until: None }
}

/// Seconds that a reservation with an end lasts.
const LASTS: i64 = 600;

fn tenure(n: u64) -> Tenure {
    let holder =
        Holder { kind: HolderKind::External, id: n.to_string(), name: format!("machine {n}") };
    Tenure::of(holder)
}

/// A range inside a subnet.
fn piece(dice: &mut Dice, cidr: Cidr) -> Option<Range> {
    let size = u64::try_from(cidr.range().size()).unwrap();
    let (a, b) = (dice.roll(size), dice.roll(size));
    Range::new(cidr.network().plus(a.min(b).into())?, cidr.network().plus(a.max(b).into())?)
}

fn random_spec(dice: &mut Dice, n: u64) -> Spec {
    let block: Cidr = dice.of(&BLOCKS).parse().unwrap();
    let bits = block.family().bits();
    let length = match dice.roll(8) {
        // Links of two, and single addresses.
        0 => bits - u8::try_from(dice.roll(2)).unwrap(),
        _ => block.length() + u8::try_from(dice.roll(5)).unwrap(),
    };
    let at = block
        .network()
        .plus(u128::from(dice.roll(u64::try_from(block.range().size()).unwrap())))
        .unwrap();
    let cidr = Cidr::around(at, length).unwrap();
    let mut spec = Spec::new(format!("subnet {n}").parse().unwrap(), cidr);
    if dice.roll(2) == 0 {
        spec.gateway = cidr.usable().first().into();
    }
    let mut ranges: Vec<Range> = (0..3).filter_map(|_| piece(dice, cidr)).collect();
    ranges.sort();
    let mut apart: Vec<Range> = Vec::new();
    for range in ranges {
        if apart.iter().all(|other| !other.overlaps(range)) {
            apart.push(range);
        }
    }
    match dice.roll(4) {
        0 => {}
        1 => spec.statics = Pools::These(apart),
        2 => {
            spec.excluded = apart.split_off(apart.len().min(1));
            spec.statics = Pools::These(apart);
        }
        _ => spec.dhcp = Pools::These(apart),
    }
    spec
}

fn reshaped(done: subnets::Outcome<()>) -> bool {
    match done {
        Ok(()) => true,
        Err(subnets::Refusal::Fault(error)) => panic!("{error:?}"),
        Err(_) => false,
    }
}

async fn step(app: &TestApp, model: &mut Model, dice: &mut Dice, n: u64) {
    let mut change: Change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let address = *dice.of(&universe());
    let known: Vec<Address> = model.rows.keys().copied().collect();
    let some = if known.is_empty() { address } else { *dice.of(&known) };
    let mut after: Vec<(Address, Option<(Status, Kind)>)> = Vec::new();
    let mut ends = false;
    let done = match dice.roll(16) {
        0 | 1 => {
            let spec = random_spec(dice, n);
            match subnets::create(&mut space, &spec, true, true).await {
                Ok(subnet) => {
                    model.subnets.push((subnet.id, spec));
                    true
                }
                Err(subnets::Refusal::Fault(error)) => panic!("{error:?} {spec:?}"),
                Err(_) => false,
            }
        }
        2 if !model.subnets.is_empty() => {
            let at = dice.below(model.subnets.len());
            let (id, old) = model.subnets[at].clone();
            let mut spec = random_spec(dice, n);
            if dice.roll(2) == 0 {
                spec = Spec { cidr: old.cidr, ..spec };
                spec.gateway = None;
                spec.statics =
                    piece(dice, old.cidr).map_or(Pools::Rest, |range| Pools::These(vec![range]));
                spec.dhcp = Pools::Rest;
                spec.excluded = Vec::new();
            }
            match subnets::update(&mut space, id, None, &spec, true, true).await {
                Ok(_) => {
                    model.subnets[at].1 = spec;
                    true
                }
                Err(subnets::Refusal::Fault(error)) => panic!("{error:?} {spec:?}"),
                Err(_) => false,
            }
        }
        3 if model.subnets.len() > 4 => {
            let at = dice.below(model.subnets.len());
            let (id, _) = model.subnets.remove(at);
            subnets::delete(&mut space, id, None, true).await.unwrap();
            true
        }
        4..=6 if !model.subnets.is_empty() => {
            let id = dice.of(&model.subnets).0;
            let count = u32::try_from(dice.roll(6)).unwrap() + 1;
            let contiguous = dice.roll(3) == 0;
            let wish = Wish::Next { count, contiguous };
            match addresses::take(&mut space, Source::Subnet(id), &wish, &reserve(), &me()).await {
                Ok(taken) => {
                    assert_eq!(taken.len(), usize::try_from(count).unwrap());
                    for record in &taken {
                        if !contiguous {
                            assert_eq!(model.next_free(id), Some(record.address), "step {n}");
                        }
                        assert!(model.free(record.address).is_some());
                        model.rows.insert(record.address, (Status::Reserved, Kind::Static));
                    }
                    for pair in taken.windows(2).filter(|_| contiguous) {
                        assert_eq!(pair[0].address.next(), Some(pair[1].address));
                    }
                    true
                }
                Err(Refusal::Full { .. }) => {
                    assert!(contiguous || count > 1 || model.next_free(id).is_none(), "step {n}");
                    false
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        7 => {
            let until = Some(Timestamp(space.at().0 + LASTS));
            let purpose = match dice.roll(3) {
                0 => reserve(),
                1 => Purpose::Reserve { note: "a while".parse().unwrap(), until },
                _ => Purpose::Allocate(tenure(n)),
            };
            match addresses::assign(&mut space, address, &purpose, &me()).await {
                Ok(record) => {
                    after.push((address, Some((record.status, record.kind))));
                    ends = record.until.is_some();
                    true
                }
                Err(Refusal::Fault(error)) => panic!("{error:?}"),
                Err(_) => false,
            }
        }
        8 => match addresses::quarantine(&mut space, some, &"odd".parse().unwrap(), None).await {
            Ok(record) => {
                after.push((some, Some((record.status, record.kind))));
                true
            }
            Err(Refusal::Fault(error)) => panic!("{error:?}"),
            Err(_) => false,
        },
        9 | 10 => match addresses::release(&mut space, some, &me()).await {
            Ok(()) => {
                // Whoever was put in quarantine while holding the address gets it back.
                let now = addresses::get(space.tx(), TenantId::DEFAULT, some).await.unwrap();
                after.push((some, now.map(|record| (record.status, record.kind))));
                true
            }
            Err(Refusal::Fault(error)) => panic!("{error:?}"),
            Err(_) => false,
        },
        11 if !model.subnets.is_empty() => {
            let (id, spec) = model.subnets[dice.below(model.subnets.len())].clone();
            let length = spec.cidr.length() + 1 + u8::try_from(dice.roll(2)).unwrap();
            let done = subnets::split(&mut space, id, length, true).await;
            reshaped(done.map(drop))
        }
        12 if !model.subnets.is_empty() => {
            // The other half, if it is a subnet too.
            let (id, spec) = model.subnets[dice.below(model.subnets.len())].clone();
            let other =
                model.subnets.iter().find(|(_, other)| Some(other.cidr) == spec.cidr.sibling());
            match other.map(|(other, _)| *other) {
                Some(other) => {
                    reshaped(subnets::merge(&mut space, &[id, other], true).await.map(drop))
                }
                None => false,
            }
        }
        13 | 14 => {
            // Somebody's settings name an address: free it is theirs, another's it stays that.
            let wanted = if dice.roll(2) == 0 { address } else { some };
            let before = model.rows.get(&wanted).copied();
            let free = before.is_none_or(|(status, _)| status == Status::Available);
            match addresses::claim(&mut space, wanted, &tenure(n)).await.unwrap() {
                Claimed::Held(record) => {
                    assert!(free && record.status == Status::Allocated, "step {n}");
                    after.push((wanted, Some((record.status, record.kind))));
                }
                Claimed::Conflict(record) => {
                    assert!(!free && record.conflict, "step {n}");
                    assert_eq!(before, Some((record.status, record.kind)), "step {n}");
                }
            }
            true
        }
        _ => {
            let edit = Edit { hostname: Some(format!("h{n}").parse().unwrap()), ..Edit::default() };
            match addresses::edit(&mut space, some, None, &edit, &me()).await {
                Ok(_) => true,
                Err(Refusal::Fault(error)) => panic!("{error:?}"),
                Err(_) => false,
            }
        }
    };
    space.close().await.unwrap();
    if done {
        let all = subnets::all(change.tx(), TenantId::DEFAULT).await.unwrap();
        if all.len() != model.subnets.len() {
            // Split or merged: what is laid down now is taken as it is, what follows from it is not.
            model.subnets.clear();
            for subnet in all {
                let pools = subnets::pools(change.tx(), subnet.id).await.unwrap();
                model.subnets.push((subnet.id, subnets::spec(&subnet, &pools)));
            }
        }
        change.commit_if_any().await.unwrap();
        for (address, row) in after {
            model.ends.remove(&address);
            if ends {
                model.ends.insert(address);
            }
            match row {
                Some(row) => drop(model.rows.insert(address, row)),
                None => drop(model.rows.remove(&address)),
            }
        }
    }
}

async fn compare(app: &TestApp, model: &Model, dice: &mut Dice, n: u64) {
    let everything = || {
        vec![
            Range::new("0.0.0.0".parse().unwrap(), "255.255.255.255".parse().unwrap()).unwrap(),
            "2000::/3".parse::<Range>().unwrap(),
        ]
    };
    let mut filter = Filter { expanded: dice.roll(3) == 0, ..Filter::default() };
    let mut within = everything();
    if dice.roll(2) == 0 && !model.subnets.is_empty() {
        let at = dice.below(model.subnets.len());
        filter.subnet = Some(model.subnets[at].0);
        within = vec![model.subnets[at].1.cidr.range()];
    } else if dice.roll(2) == 0 {
        let search = *dice.of(&[
            "10.",
            "10.1",
            "10.1.",
            "10.0.255.1",
            "10.0.255.16/28",
            "10.1.0.100-10.1.0.140",
            "2001:db8::",
            "10.0.255.0/25",
            "10.0.255.2",
        ]);
        filter.search = search.to_owned();
        within = patchbay::net::ranges_matching(search).unwrap();
    }
    let status = *dice.of(&[
        None,
        None,
        Some(Status::Available),
        Some(Status::Reserved),
        Some(Status::Allocated),
        Some(Status::Quarantine),
    ]);
    let kind = *dice.of(&[None, None, Some(Kind::Static), Some(Kind::Dhcp)]);
    (filter.status, filter.kind) = (status, kind);
    match dice.roll(10) {
        0 => filter.active = Some(dice.roll(4) == 0),
        1 => filter.conflict = Some(dice.roll(2) == 0),
        2 => filter.reserved_by = Some("tester".to_owned()),
        3 => filter.orphaned = true,
        4 => (filter.reserved_by, filter.orphaned) = (Some("tester".to_owned()), true),
        _ => {}
    }
    let rows = rows_there_are(app).await;
    let seen = filter.active.is_some() || filter.conflict.is_some();
    let rows_only = seen || filter.reserved_by.is_some() || filter.orphaned;
    let expanded = filter.expanded || status == Some(Status::Available);
    let wanted = |address: Address, s: Option<Status>, k: Kind, gap: bool| {
        let row = rows.get(&address);
        status.is_none_or(|status| s == Some(status))
            && kind.is_none_or(|kind| k == kind)
            && !(gap && rows_only)
            // Nothing here was ever seen.
            && filter.active != Some(true)
            && filter.conflict.is_none_or(|is| row.is_some_and(|row| row.conflict == is))
            && filter.reserved_by.as_ref().is_none_or(|_| s == Some(Status::Reserved))
            && !(filter.orphaned && model.around(address).is_some())
    };
    let sort = dice.of(Sort::ALL).0;
    let lines = in_order(model.lines(&within, wanted, expanded), sort, &rows);
    let size = [3, 25, 200][usize::try_from(dice.roll(3)).unwrap()];
    let pages = i64::try_from(lines.len()).unwrap() / size + 1;
    let offset = i64::try_from(dice.roll(u64::try_from(pages).unwrap())).unwrap() * size;
    let mut tx = app.state.read().await.unwrap();
    let page = Page { offset, limit: size };
    let listing = addresses::list(&mut tx, TenantId::DEFAULT, &filter, sort, page).await.unwrap();
    let what = format!("step {n}: {filter:?} {sort:?} {page:?}");
    assert_eq!(listing.total, i64::try_from(lines.len()).unwrap(), "{what}");
    let expected: Vec<Shown> = lines
        .into_iter()
        .skip(usize::try_from(offset).unwrap())
        .take(usize::try_from(size).unwrap())
        .collect();
    assert_eq!(listing.entries.iter().map(shown).collect::<Vec<_>>(), expected, "{what}");
    if status.is_none() && kind.is_none() && !rows_only {
        // The model has no claims: which rows are in conflict is taken from them.
        let inside = |address: &Address| within.iter().any(|range| range.contains(*address));
        let conflicts = rows.values().filter(|row| row.conflict && inside(&row.address)).count();
        let conflicts = i128::try_from(conflicts).unwrap();
        assert_eq!(listing.stats, Stats { conflicts, ..model.stats(&within) }, "{what}");
    }
}

/// Every row, by its address.
async fn rows_there_are(app: &TestApp) -> BTreeMap<Address, addresses::Record> {
    let mut tx = app.state.read().await.unwrap();
    let (all, page) = (Filter::default(), Page { offset: 0, limit: 10_000 });
    let all = addresses::list(&mut tx, TenantId::DEFAULT, &all, Sort::Address, page).await.unwrap();
    let rows = all.entries.into_iter().filter_map(|entry| match entry {
        Entry::Row(record) => Some((record.address, record)),
        Entry::Gap(_) => None,
    });
    rows.collect()
}

/// Lines in another order than that of addresses: what has no such column comes last.
fn in_order(
    lines: Vec<Shown>,
    sort: Sort,
    rows: &BTreeMap<Address, addresses::Record>,
) -> Vec<Shown> {
    if sort == Sort::Address {
        return lines;
    }
    let name = |line: &Shown| match line {
        Shown::Row(address) => Some(rows[address].hostname.key()).filter(|name| !name.is_empty()),
        Shown::Gap(..) => None,
    };
    // Nothing here has a MAC.
    let by_name = matches!(sort, Sort::Hostname | Sort::HostnameDown);
    let (mut named, bare): (Vec<Shown>, Vec<Shown>) =
        lines.into_iter().partition(|line| by_name && name(line).is_some());
    let (rows, gaps): (Vec<Shown>, Vec<Shown>) =
        bare.into_iter().partition(|line| matches!(line, Shown::Row(_)));
    // Of the same name the lower address is first, and all of that the other way round.
    named.sort_by_key(name);
    if sort == Sort::HostnameDown {
        named.reverse();
    }
    [named, rows, gaps].concat()
}

/// What each subnet counts for itself, and which subnet each line belongs to.
async fn compare_subnets(app: &TestApp, model: &Model, n: u64) {
    let mut tx = app.state.read().await.unwrap();
    let all = subnets::all(&mut tx, TenantId::DEFAULT).await.unwrap();
    assert_eq!(all.len(), model.subnets.len());
    for line in subnets::lines(&mut tx, TenantId::DEFAULT, all, &[]).await.unwrap() {
        let stats = model.stats(&[line.subnet.cidr.range()]);
        let usage = Usage {
            free: stats.available,
            used: stats.allocated,
            reserved: stats.reserved,
            quarantine: stats.quarantine,
            dhcp: stats.dhcp,
        };
        assert_eq!(line.usage, usage, "step {n}: {}", line.subnet.cidr);
    }
    let page = Page { offset: 0, limit: 10_000 };
    let everything = Filter::default();
    let listing = addresses::list(&mut tx, TenantId::DEFAULT, &everything, Sort::Address, page)
        .await
        .unwrap();
    for entry in listing.entries {
        let around = model.around(entry.first()).map(|(id, _)| *id);
        assert_eq!(entry.subnet(), around, "step {n}: {entry:?}");
    }
}

/// Time passes: reservations that had an end are over, and nothing else is. Whoever claimed such an
/// address has it now.
async fn expire(app: &TestApp, model: &mut Model, n: u64) {
    app.pass(LASTS);
    let freed = addresses::expire(&app.state).await.unwrap();
    assert_eq!(freed, model.ends.len(), "step {n}");
    for address in std::mem::take(&mut model.ends) {
        let mut tx = app.state.read().await.unwrap();
        match addresses::get(&mut tx, TenantId::DEFAULT, address).await.unwrap() {
            Some(heir) => {
                assert_eq!(heir.status, Status::Allocated, "step {n}: {address}");
                model.rows.insert(address, (heir.status, heir.kind));
            }
            None => drop(model.rows.remove(&address)),
        }
    }
}

async fn walk(app: &TestApp, seed: u64, steps: u64) {
    let mut dice = Dice(seed);
    let mut model = Model::default();
    for n in 0..steps {
        step(app, &mut model, &mut dice, n).await;
        if n % 20 == 19 {
            expire(app, &mut model, n).await;
        }
        for _ in 0..3 {
            compare(app, &model, &mut dice, n).await;
        }
        compare_subnets(app, &model, n).await;
    }
    compare_words(app).await;
    assert!(model.rows.len() > 20, "the walk did something: {}", model.rows.len());
    for (id, spec) in &model.subnets {
        let mut tx = app.state.read().await.unwrap();
        let around = subnets::get(&mut tx, TenantId::DEFAULT, *id).await.unwrap().unwrap();
        assert_eq!(around.cidr, spec.cidr);
    }
}

/// A search for words, in every order, against a walk over the rows.
async fn compare_words(app: &TestApp) {
    let mut tx = app.state.read().await.unwrap();
    let page = |limit| Page { offset: 0, limit };
    let all = addresses::list(
        &mut tx,
        TenantId::DEFAULT,
        &Filter::default(),
        Sort::Address,
        page(10_000),
    )
    .await
    .unwrap();
    let rows: Vec<addresses::Record> = all
        .entries
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Row(record) => Some(record),
            Entry::Gap(_) => None,
        })
        .collect();
    for word in [
        "test",
        "h1",
        "h10",
        "machine",
        "machine 1",
        "hine 2",
        "odd",
        "no such",
        "_",
        "%",
        "es%t",
        "h_1",
    ] {
        for &(sort, name) in Sort::ALL {
            let filter = Filter { search: word.to_owned(), ..Filter::default() };
            let found = addresses::list(&mut tx, TenantId::DEFAULT, &filter, sort, page(1_000))
                .await
                .unwrap();
            let short = word.len() < 3;
            let matching = |record: &&addresses::Record| {
                if short {
                    record.hostname.key().starts_with(word)
                } else {
                    record.search().contains(word)
                }
            };
            let mut expected: Vec<&addresses::Record> = rows.iter().filter(matching).collect();
            let blank = |record: &addresses::Record| record.hostname.is_empty();
            match sort {
                Sort::Hostname => {
                    expected.sort_by_key(|record| (record.hostname.sort(), record.address));
                }
                Sort::HostnameDown => expected.sort_by(|a, b| {
                    blank(a).cmp(&blank(b)).then_with(|| {
                        if blank(a) {
                            a.address.cmp(&b.address)
                        } else {
                            (b.hostname.sort(), b.address).cmp(&(a.hostname.sort(), a.address))
                        }
                    })
                }),
                // Nothing here has a MAC.
                _ => {}
            }
            let got: Vec<Address> = found.entries.iter().map(Entry::first).collect();
            let expected: Vec<Address> =
                expected.into_iter().map(|record| record.address).collect();
            assert_eq!(got, expected, "{word} by {name}");
            assert_eq!(found.total, i64::try_from(expected.len()).unwrap(), "{word}");
        }
    }
}

both_databases! {
    async fn lists_counts_and_the_next_free_address_are_what_a_walk_finds(app: TestApp) {
        walk(&app, 0x5eed_0001, 220).await;
    }

    async fn and_again_on_another_path(app: TestApp) {
        walk(&app, 0x5eed_1234_5678, 220).await;
    }

    async fn and_on_a_third(app: TestApp) {
        walk(&app, 0x0dd_5eed, 120).await;
    }

    async fn and_on_a_fourth(app: TestApp) {
        walk(&app, 0x2_0001_db80_0001, 120).await;
    }

    async fn and_on_a_fifth(app: TestApp) {
        walk(&app, 0x10_20_05_00_ff, 120).await;
    }

    async fn and_on_a_sixth(app: TestApp) {
        walk(&app, 0xfeed_0000_0000_0007, 120).await;
    }
}
