//! One Apply at a time: in a process, among processes, among machines; and who is told what.

use std::process::Stdio;

use patchbay::{
    apply::{Applier, ApplyError, RunState, Source},
    audit::{Actor, Page, Via},
    commands::Session,
    time::Clock,
};

use crate::{
    office::{Database, Office, on_both_databases, request},
    proxy::{Fault, Proxy},
};

/// An Apply that holds the lock, on a runtime of its own that can die.
struct Held {
    proxy: Proxy,
    runtime: Option<tokio::runtime::Runtime>,
    outcome: Option<tokio::task::JoinHandle<Result<patchbay::apply::Run, ApplyError>>>,
}

impl Held {
    async fn at_reload(office: &Office, change: impl FnOnce(Applier) -> Applier) -> Self {
        Self::at("Action: Reload", office, change).await
    }

    /// Held before `word` reaches Asterisk.
    async fn at(
        word: &'static str,
        office: &Office,
        change: impl FnOnce(Applier) -> Applier,
    ) -> Self {
        let proxy = Proxy::new(office.asterisk.ami_port, word, Fault::Hold, 1).await;
        let applier = change(office.applier_with(|config| config.asterisk.ami = proxy.address()));
        let actor = office.actor.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let outcome =
            runtime.spawn(async move { applier.apply(&actor, &request(Source::Database)).await });
        proxy.reached().await;
        Self { proxy, runtime: Some(runtime), outcome: Some(outcome) }
    }

    async fn finish(mut self) -> patchbay::apply::Run {
        self.proxy.go();
        let run = self.outcome.take().unwrap().await.unwrap().unwrap();
        self.die();
        run
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.die();
    }
}

on_both_databases! {
    async fn the_second_is_told_who_is_applying_and_may_when_that_is_done(office: Office) {
        office.hire("Ann").await;
        let held = Held::at_reload(&office, |applier| applier).await;
        let bob = Actor::local("bob", Via::Browser);
        let refused = office.applier.apply(&bob, &request(Source::Database)).await.unwrap_err();
        assert_eq!(refused.to_string(), "ann is applying right now; wait until that is done");
        assert_eq!(office.applier.busy().await.unwrap().unwrap().actor, "ann");
        let output = office.patchbay(&["apply"]);
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("ann is applying right now"), "{told}");
        // Looking for something to repair leaves the living alone.
        office.applier.repair().await.unwrap();
        let run = held.finish().await;
        assert_eq!(run.state, RunState::Verified, "{run:?}");
        assert!(office.applier.busy().await.unwrap().is_none());
        assert_eq!(office.apply().await.state, RunState::Unchanged);
        let (history, total) = office.applier.history(Page { offset: 0, limit: 9 }).await.unwrap();
        assert_eq!((history.len(), total), (2, 2), "who was turned away is no run");
    }

    async fn of_many_at_once_each_is_done_or_told_the_name_and_none_overlap(office: Office) {
        office.hire("Ann").await;
        let all: Vec<_> = (0..8).map(|n| {
            let (applier, actor) = (office.applier_with(|_| ()), Actor::local(&format!("op{n}"), Via::Browser));
            tokio::spawn(async move { applier.apply(&actor, &request(Source::Database)).await })
        }).collect();
        let mut done = 0;
        for one in all {
            match one.await.unwrap() {
                Ok(run) => { assert!(run.state.is_good(), "{run:?}"); done += 1; }
                Err(ApplyError::Busy(name)) => assert!(name.starts_with("op"), "{name}"),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(done >= 1);
        let (history, total) = office.applier.history(Page { offset: 0, limit: 99 }).await.unwrap();
        assert_eq!(total, done);
        assert_eq!(history.iter().filter(|run| run.state == RunState::Verified).count(), 1);
        assert_eq!(office.held().await.phones(), ["1000"]);
    }
}

#[tokio::test]
async fn of_two_processes_one_applies_and_the_other_names_it() {
    let office = Office::new().await;
    office.hire("Ann").await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let mut first = office.command();
    first.args(["apply"]).env("PATCHBAY_ASTERISK_AMI", proxy.address()).env("SUDO_USER", "carol");
    let first = first.stdout(Stdio::piped()).spawn().unwrap();
    proxy.reached().await;
    let second = office.patchbay(&["apply"]);
    assert!(!second.status.success());
    assert!(String::from_utf8(second.stderr).unwrap().contains("carol is applying right now"));
    proxy.go();
    let first = tokio::task::spawn_blocking(|| first.wait_with_output().unwrap()).await.unwrap();
    assert!(first.status.success(), "{first:?}");
    assert!(office.patchbay(&["apply"]).status.success());
}

/// The same installation seen from another machine: its own Asterisk, the same database and key.
async fn elsewhere(office: &Office, seconds: i64) -> (Office, Applier) {
    let mut other = Office::bare(Database::Sqlite).await;
    let mut config = other.session.config.clone();
    config.database_url.clone_from(&office.session.config.database_url);
    config.secret_key_file.clone_from(&office.session.config.secret_key_file);
    other.session = Session::open(config).await.unwrap();
    other.applier = other.applier_with(|_| ());
    let plan = other.applier.plan_installation().unwrap();
    let secret = Applier::made_secret(&plan).unwrap().to_owned();
    other.applier.install(&plan).await.unwrap();
    other.asterisk.restart();
    let now = other.session.state.clock.now();
    other.session.state.clock = Clock::of(move || now.plus(seconds));
    let applier =
        other.applier_with(|config| config.asterisk.ami_secret = Some(secret)).on_host("elsewhere");
    (other, applier)
}

#[tokio::test]
async fn another_machines_apply_is_honoured_until_its_lease_ends_and_then_taken_for_dead() {
    let office = Office::open(Database::Postgres).await;
    office.hire("Ann").await;
    let mut held = Held::at_reload(&office, |applier| applier).await;
    let (soon, hasty) = elsewhere(&office, 5).await;
    let refused = hasty.apply(&soon.actor, &request(Source::Database)).await.unwrap_err();
    assert!(matches!(&refused, ApplyError::Busy(name) if name == "ann"), "{refused}");
    held.die();
    let refused = hasty.apply(&soon.actor, &request(Source::Database)).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Busy(_)), "it may only be slow");
    let (later, patient) = elsewhere(&office, 600).await;
    let run = patient.apply(&later.actor, &request(Source::Database)).await.unwrap();
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!(later.held().await.phones(), ["1000"]);
    let dead = patient.run(1).await.unwrap().unwrap();
    assert_eq!(dead.state, RunState::Interrupted, "{dead:?}");
}

#[tokio::test]
async fn an_apply_that_stood_still_beyond_its_lease_does_not_let_go_of_its_successors_lock() {
    let office = Office::open(Database::Postgres).await;
    office.hire("Ann").await;
    let held = Held::at_reload(&office, |applier| applier).await;
    let (later, patient) = elsewhere(&office, 600).await;
    let run = patient.apply(&later.actor, &request(Source::Database)).await.unwrap();
    assert_eq!((run.id, run.state), (2, RunState::Verified), "{run:?}");
    let late = held.finish().await;
    assert_eq!((late.id, late.state), (1, RunState::Interrupted), "{late:?}");
    let next = patient.apply(&later.actor, &request(Source::Database)).await.unwrap();
    assert_eq!((next.id, next.state), (3, RunState::Unchanged), "{next:?}");
}

#[tokio::test]
async fn an_apply_that_lost_its_lock_before_the_switch_puts_nothing_into_force() {
    let office = Office::open(Database::Postgres).await;
    office.hire("Ann").await;
    let (files, current) = (office.files(), office.current());
    let held = Held::at("Action: CoreSettings", &office, |applier| applier).await;
    let (later, patient) = elsewhere(&office, 600).await;
    let run = patient.apply(&later.actor, &request(Source::Database)).await.unwrap();
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    let late = held.finish().await;
    assert_eq!(late.state, RunState::Interrupted, "{late:?}");
    assert_eq!((office.files(), office.current()), (files, current));
}

#[tokio::test]
async fn three_instances_on_one_database_apply_one_after_the_other() {
    let office = Office::open(Database::Postgres).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(Session::open(office.session.config.clone()).await.unwrap());
    }
    let mut verified = 0;
    for round in 0..3 {
        office.hire(&format!("Person {round}")).await;
        let all: Vec<_> = sessions
            .iter()
            .map(|session| {
                let applier = Applier::new(&session.config, session.state.clone());
                let actor = office.actor.clone();
                tokio::spawn(async move { applier.apply(&actor, &request(Source::Database)).await })
            })
            .collect();
        for one in all {
            match one.await.unwrap() {
                Ok(run) => {
                    assert!(run.state.is_good(), "{run:?}");
                    verified += i32::from(run.state == RunState::Verified);
                }
                Err(ApplyError::Busy(name)) => assert_eq!(name, "ann"),
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert_eq!(verified, 3, "each change was applied once");
    assert_eq!(office.held().await.phones(), ["1000", "1001", "1002"]);
}
