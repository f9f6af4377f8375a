//! Random lives against a simple model: whatever is done, in whatever order, with crashes between,
//! every assignment is in the state the machine says, the lowest free address is given, no two
//! overlap, and counts are what a walk finds.

use std::collections::BTreeMap;

use patchbay::id::AssignmentId;
use patchbay::ipam::prefixes::PrefixLength;
use patchbay::ipam::space::Space;
use patchbay::lifecycle::{self, Family, How, Leased, Refusal, Release, State, Step, Wanted};
use patchbay::net::{Address, Cidr, Range, normalised, subtract};

use crate::lifecycle::{agrees, external, office, wanted};
use crate::support::app::{TestApp, both_databases, tester};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

/// What is known of one assignment.
#[derive(Clone, Debug)]
struct Life {
    family: Family,
    holder: usize,
    state: State,
    leased: Leased,
    holds: bool,
    kept: bool,
}

#[derive(Default)]
struct Model {
    lives: BTreeMap<AssignmentId, Life>,
    /// Kept after the end.
    kept: Vec<Range>,
}

fn pool(family: Family) -> Range {
    match family {
        Family::Ipv4 => "10.20.5.10-10.20.5.25".parse().unwrap(),
        Family::Ipv6 => "2001:db8:5::10-2001:db8:5::1f".parse().unwrap(),
        Family::Prefix => "2001:db8:ff00::/52".parse::<Cidr>().unwrap().range(),
    }
}

impl Model {
    fn free(&self, family: Family) -> Vec<Range> {
        let held = self.lives.values().filter(|life| life.holds).map(|life| life.leased.range());
        let taken = normalised(held.chain(self.kept.iter().copied()).collect());
        subtract(&[pool(family)], &taken)
    }

    /// The lowest that is free.
    fn lowest(&self, family: Family, length: u8) -> Option<Leased> {
        if family != Family::Prefix {
            return self.free(family).first().map(|range| Leased::Address(range.first()));
        }
        let block = 1_u128 << (128 - length);
        let first = pool(family).first().number();
        let mut blocks =
            (0..(1_u128 << (length - 52))).map(|n| Address::from_number(first + n * block));
        blocks.find_map(|at| {
            let cidr = Cidr::new(at, length).unwrap();
            self.free(family)
                .iter()
                .any(|range| range.covers(cidr.range()))
                .then_some(Leased::Prefix(cidr))
        })
    }

    fn live_of(&self, family: Family, holder: usize) -> Option<AssignmentId> {
        let over = |life: &Life| {
            life.state == State::Revoked || (life.state == State::Failed && !life.holds)
        };
        let mut those = self
            .lives
            .iter()
            .filter(|(_, life)| life.family == family && life.holder == holder && !over(life));
        those.next().map(|(id, _)| *id)
    }
}

/// One random thing, done or given up half-way.
async fn act(app: &TestApp, model: &mut Model, dice: &mut Dice) {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let crash = dice.roll(8) == 0;
    let known: Vec<AssignmentId> = model.lives.keys().copied().collect();
    let what = dice.roll(10);
    if known.is_empty() || what < 3 {
        let family = crate::lifecycle::FAMILIES[dice.roll(3)];
        let holder = dice.roll(9);
        let length = [56, 56, 58, 60][dice.roll(4)];
        let wanted = Wanted {
            length: (family == Family::Prefix)
                .then(|| PrefixLength::try_from(i64::from(length)).unwrap()),
            ..wanted(family, external(&format!("h{holder}")))
        };
        let done = lifecycle::allocate(&mut space, &wanted, &How::default()).await;
        match (model.live_of(family, holder), model.lowest(family, length)) {
            (Some(_), _) => {
                assert!(matches!(done, Err(Refusal::AlreadyAllocated { .. })), "{done:?}");
            }
            (None, None) => assert!(matches!(done, Err(Refusal::PoolExhausted(_))), "{done:?}"),
            (None, Some(lowest)) => {
                let born = done.unwrap().assignment;
                assert_eq!(born.leased, Some(lowest));
                if !crash {
                    space.close().await.unwrap();
                    change.commit().await.unwrap();
                    let life = Life {
                        family,
                        holder,
                        state: State::Allocated,
                        leased: lowest,
                        holds: true,
                        kept: false,
                    };
                    model.lives.insert(born.id, life);
                }
            }
        }
        return;
    }
    let id = known[dice.roll(known.len())];
    let life = model.lives[&id].clone();
    let reason = "because".parse().unwrap();
    let keep = dice.roll(6) == 0;
    let (step, allowed, to) = match dice.roll(7) {
        0 => (Some(Step::Activate), life.state == State::Allocated, State::Active),
        1 => (Some(Step::Suspend(reason)), life.state == State::Active, State::Suspended),
        2 => (Some(Step::Reactivate), life.state == State::Suspended, State::Active),
        3 => {
            let release = if keep { Release::Keep } else { Release::Free };
            let from = matches!(life.state, State::Allocated | State::Active | State::Suspended);
            (Some(Step::Revoke(release)), from, State::Revoking)
        }
        4 => (Some(Step::Retry), life.state == State::Failed, State::Allocated),
        5 => {
            let from = !matches!(life.state, State::Failed | State::Revoked);
            (Some(Step::Fail(reason)), from, State::Failed)
        }
        _ => (None, life.state == State::Revoking, State::Revoked),
    };
    let done = match &step {
        Some(step) => lifecycle::perform(&mut space, id, step, &How::default()).await,
        None => lifecycle::complete(&mut space, id).await,
    };
    let over = matches!(
        (&step, life.state),
        (Some(Step::Revoke(_)), State::Revoking | State::Revoked) | (None, State::Revoked)
    );
    if over {
        assert!(!done.unwrap().changed);
        return;
    }
    if !allowed {
        let refused =
            matches!(&done, Err(Refusal::InvalidTransition { from, .. }) if *from == life.state);
        assert!(refused, "{life:?} {step:?} {done:?}");
        return;
    }
    let mut after = life.clone();
    after.state = to;
    if let Some(Step::Revoke(_)) = step {
        after.kept = keep;
    }
    if let Some(Step::Fail(_)) = step {
        after.holds = life.state != State::Allocated;
    }
    if step.is_none() {
        after.holds = false;
    }
    if let (Some(Step::Retry), false) = (&step, life.holds) {
        if model.live_of(life.family, life.holder).is_some() {
            assert!(matches!(done, Err(Refusal::AlreadyAllocated { .. })), "{done:?}");
            return;
        }
        let length = match life.leased {
            Leased::Prefix(cidr) => cidr.length(),
            Leased::Address(_) => 0,
        };
        let same = model.free(life.family).iter().any(|range| range.covers(life.leased.range()));
        let Some(leased) =
            Some(life.leased).filter(|_| same).or_else(|| model.lowest(life.family, length))
        else {
            assert!(matches!(done, Err(Refusal::PoolExhausted(_))), "{done:?}");
            return;
        };
        (after.leased, after.holds) = (leased, true);
    }
    let now = done.unwrap().assignment;
    assert_eq!((now.state, now.held().is_some()), (to, after.holds), "{life:?} {step:?}");
    if after.holds {
        assert_eq!(now.leased, Some(after.leased), "{life:?} {step:?}");
    }
    if crash {
        return;
    }
    space.close().await.unwrap();
    change.commit().await.unwrap();
    if step.is_none() && after.kept {
        model.kept.push(after.leased.range());
    }
    model.lives.insert(id, after);
}

/// What is delegated, held back and free of the prefix pool is all of it, and nothing twice.
async fn tiles(app: &TestApp, model: &Model) {
    let ends = |table: &str, only: &str| {
        format!(
            "SELECT {} FROM {table} {only} ORDER BY first_key",
            if app.is_sqlite() {
                "hex(first_key) || '-' || hex(last_key)"
            } else {
                "upper(encode(first_key, 'hex')) || '-' || upper(encode(last_key, 'hex'))"
            }
        )
    };
    let read = |text: String| {
        let (first, last) = text.split_once('-').unwrap();
        let number = |hex| Address::from_number(u128::from_str_radix(hex, 16).unwrap());
        Range::new(number(first), number(last)).unwrap()
    };
    let mut all: Vec<Range> = Vec::new();
    for (table, only) in [
        ("prefix_gap", ""),
        ("prefix_hold", ""),
        ("assignment", "WHERE live AND family = 'prefix'"),
    ] {
        all.extend(app.texts(&ends(table, only)).await.into_iter().map(read));
    }
    all.sort();
    let overlaps = all.windows(2).any(|pair| pair[0].overlaps(pair[1]));
    assert!(!overlaps, "{all:?}");
    assert_eq!(normalised(all), [pool(Family::Prefix)]);
    let free: Vec<Range> = app.texts(&ends("prefix_gap", "")).await.into_iter().map(read).collect();
    assert_eq!(free, model.free(Family::Prefix), "ranges that touch are one");
    let units: i64 = free.iter().map(|range| i64::try_from(range.size() >> 64).unwrap()).sum();
    assert_eq!(app.number("SELECT free FROM prefix_pool").await, units);
}

both_databases! {
    async fn random_lives_are_those_of_the_model(app: TestApp) {
        office(&app).await;
        let (mut model, mut dice) = (Model::default(), Dice(0x9e37_79b9_7f4a_7c15));
        for round in 0..700 {
            app.pass(1);
            act(&app, &mut model, &mut dice).await;
            if round % 35 == 34 {
                agrees(&app).await;
                tiles(&app, &model).await;
                let stored = app.texts("SELECT id || ' ' || state FROM assignment ORDER BY id").await;
                let known: Vec<String> = model.lives.iter().map(|(id, life)| format!("{id} {}", life.state)).collect();
                assert_eq!(stored, known);
            }
        }
        let mut seen: Vec<State> = model.lives.values().map(|life| life.state).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() >= 5, "{seen:?}");
    }
}
