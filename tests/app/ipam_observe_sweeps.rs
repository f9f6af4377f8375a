//! Sweeps: every address of a subnet is asked whether it is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patchbay::auth::Role;
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::addresses;
use patchbay::ipam::class::Status;
use patchbay::ipam::observe::{self, Runner, Settings, What};
use patchbay::ipam::subnets;
use patchbay::net::Address;
use patchbay::probe::icmp::{Echo, PingError};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::ipam_observe::{OTHER, PHONE, allocate, at, change, consistent, next, one, row, subnet};
use crate::support::app::{Script, TestApp, both_databases, tester};
use crate::support::process::Patchbay;

// Sweeping without a network

#[derive(Clone)]
struct Fake {
    answers: fn(IpAddr) -> bool,
    asked: Arc<AtomicUsize>,
    /// How long nothing happens.
    delay: Duration,
}

impl Fake {
    fn new(answers: fn(IpAddr) -> bool) -> Self {
        Self { answers, asked: Arc::default(), delay: Duration::ZERO }
    }
}

impl Echo for Fake {
    async fn echo(&self, to: IpAddr, timeout: Duration) -> Result<Option<Duration>, PingError> {
        if timeout > Duration::from_millis(1) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.delay).await;
        }
        Ok((self.answers)(to).then_some(self.delay))
    }
}

/// A process that does sweeps; it leaves when this is dropped.
struct Running {
    leave: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn with(app: &TestApp, fake: &Fake) -> Self {
        let fake = fake.clone();
        Self::opening(app, move |_| Ok(fake.clone()))
    }

    fn opening(
        app: &TestApp,
        open: impl Fn(u64) -> Result<Fake, PingError> + Send + Sync + 'static,
    ) -> Self {
        let (leave, leaving) = watch::channel(false);
        let runner = Runner::asking(app.state.clone(), open).unwrap();
        Self { leave, task: tokio::spawn(runner.run(leaving)) }
    }

    async fn leave(self) {
        self.leave.send(true).unwrap();
        self.task.await.unwrap();
    }
}

fn odd(to: IpAddr) -> bool {
    Address::from(to).number() % 2 == 1
}

async fn start(script: &Script<'_>, subnet: SubnetId) -> String {
    let answer = script.ask("POST", &format!("/api/v1/subnets/{subnet}/sweeps")).send().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.location(), format!("/api/v1/sweeps/{id}"));
    id
}

async fn get(script: &Script<'_>, sweep: &str) -> Value {
    let answer = script.get(&format!("/api/v1/sweeps/{sweep}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The sweep when `ready` says so, which must be within half a minute.
async fn until(script: &Script<'_>, sweep: &str, ready: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let now = get(script, sweep).await;
        if ready(&now) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn over(sweep: &Value) -> bool {
    !matches!(sweep["state"].as_str().unwrap(), "queued" | "running")
}

async fn paced(app: &TestApp, subnet: SubnetId, pace: i64) {
    let mut change = app.state.change(&tester()).await.unwrap();
    let settings = Settings { pace, ..Settings::default() };
    observe::schedule(&mut change, subnet, &settings).await.unwrap();
    change.commit_if_any().await.unwrap();
}

both_databases! {
    async fn a_sweep_asks_every_address_once_and_says_how_far_it_is(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        subnet(&app, "10.1.0.128/28").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        allocate(&app, "10.1.0.11", PHONE).await;
        one(&app, "10.1.0.10", What::Present, "").await;
        app.pass(60);
        let (script, by) = (app.script(Role::Operator).await, app.signed_in("op", Role::Operator).await);
        paced(&app, net, 1_000).await;
        let sweep = start(&script, net).await;
        let queued = get(&script, &sweep).await;
        assert_eq!((&queued["state"], &queued["total"], &queued["asked"]), (&json!("queued"), &json!(238), &json!(0)));
        let page = by.get(&format!("/ipam/observe/subnets/{net}")).await;
        page.shows("Waiting for its turn");
        page.shows("hx-get=");
        by.get("/ipam/observe").await.shows("queued");
        let fake = Fake::new(odd);
        let running = Running::with(&app, &fake);
        let done = until(&script, &sweep, over).await;
        assert_eq!((&done["state"], &done["asked"], &done["seen"], &done["error"]), (&json!("done"), &json!(238), &json!(119), &json!("")));
        // Who is silent is asked twice.
        assert_eq!(fake.asked.load(Ordering::Relaxed), 119 * 3);
        consistent(&app).await;
        assert!(!row(&app, "10.1.0.10").await.unwrap().active, "silent now");
        assert!(row(&app, "10.1.0.11").await.unwrap().active);
        assert!(row(&app, "10.1.0.13").await.unwrap().conflict, "free and in use");
        assert_eq!(row(&app, "10.1.0.12").await, None);
        assert_eq!(row(&app, "10.1.0.129").await, None, "the smaller subnet's own");
        let page = by.get(&format!("/ipam/observe/subnets/{net}")).await;
        page.shows("Last swept");
        page.shows("119</b> of 238 asked answered");
        page.hides("hx-get=\"/ipam/observe/subnets");
        running.leave().await;
        let list = script.get(&format!("/api/v1/sweeps?subnet={net}")).await.json();
        assert_eq!((&list["total"], &list["sweeps"][0]["id"]), (&json!(1), &json!(sweep)));
        assert_eq!(script.get("/api/v1/sweeps?subnet=x").await.status, 422);
    }

    async fn a_sweep_notes_which_machine_the_kernel_found(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/28").await;
        for (address, mac) in [("10.1.0.4", PHONE), ("10.1.0.5", PHONE), ("10.1.0.6", "")] {
            allocate(&app, address, mac).await;
        }
        let arp = app.dir().join("arp");
        let text: String = [("10.1.0.4", PHONE), ("10.1.0.5", OTHER), ("10.1.0.6", OTHER), ("10.1.0.7", OTHER)]
            .map(|(address, mac)| format!("{address} 0x1 0x2 {mac} * eth0\n")).concat();
        std::fs::write(&arp, format!("IP address HW type Flags HW address Mask Device\n{text}")).unwrap();
        let (leave, leaving) = watch::channel(false);
        let runner = Runner::asking(app.state.clone(), |_| Ok(Fake::new(|_| true))).unwrap().knowing(arp);
        let running = Running { leave, task: tokio::spawn(runner.run(leaving)) };
        let script = app.script(Role::Operator).await;
        let sweep = start(&script, net).await;
        assert_eq!(until(&script, &sweep, over).await["state"], "done");
        let mut conflicts = Vec::new();
        for n in 3..15 {
            let record = row(&app, &format!("10.1.0.{n}")).await.unwrap();
            if record.status == Status::Allocated {
                conflicts.push((n, record.conflict, record.seen_mac.map(|mac| mac.to_string())));
            }
        }
        let mac = |mac: &str| Some(mac.to_owned());
        assert_eq!(conflicts, [(4, false, mac(PHONE)), (5, true, mac(OTHER)), (6, false, mac(OTHER))]);
        let mut tx = app.state.read().await.unwrap();
        let claims = addresses::claims_on(&mut tx, TenantId::DEFAULT, at("10.1.0.7")).await.unwrap();
        assert_eq!(claims.iter().map(addresses::Claim::claimant).collect::<Vec<_>>(), [format!("seen as {OTHER}")]);
        running.leave().await;
    }

    async fn of_ipv6_only_known_addresses_are_asked_and_too_many_never(app: TestApp) {
        let v6 = subnet(&app, "2001:db8::/64").await;
        let huge = subnet(&app, "10.0.0.0/8").await;
        let script = app.script(Role::Operator).await;
        let path = |id| format!("/api/v1/subnets/{id}/sweeps");
        let none = script.ask("POST", &path(v6)).send().await;
        assert_eq!(none.status, 422);
        none.shows("has no known address");
        let large = script.ask("POST", &path(huge)).send().await;
        assert_eq!(large.status, 422);
        large.shows("16777214 addresses, and a sweep asks at most 65536");
        allocate(&app, "2001:db8::5", "").await;
        allocate(&app, "2001:db8::6", "").await;
        let running = Running::with(&app, &Fake::new(odd));
        let sweep = start(&script, v6).await;
        let done = until(&script, &sweep, over).await;
        assert_eq!((&done["state"], &done["total"], &done["seen"]), (&json!("done"), &json!(2), &json!(1)));
        assert!(row(&app, "2001:db8::5").await.unwrap().active);
        running.leave().await;
        let by = app.signed_in("op", Role::Operator).await;
        let refused = by.post(&format!("/ipam/observe/subnets/{huge}"), &[("minutes", "30"), ("pace", "10"), ("keep_days", "7")]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.field_error("minutes").contains("sweep the subnets inside it"));
    }

    async fn a_sweep_that_is_stopped_keeps_what_it_found(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        paced(&app, net, 40).await;
        let (script, by) = (app.script(Role::Operator).await, app.signed_in("op", Role::Operator).await);
        let running = Running::with(&app, &Fake::new(|_| true));
        let sweep = start(&script, net).await;
        until(&script, &sweep, |sweep| sweep["seen"].as_i64().unwrap() > 20).await;
        by.get(&format!("/ipam/observe/subnets/{net}/progress")).await.shows("addresses asked");
        let stopping = by.post(&format!("/ipam/observe/sweeps/{sweep}/stop"), &[]).await;
        assert_eq!((stopping.status, stopping.location()), (303, &*format!("/ipam/observe/subnets/{net}")));
        let stopped = until(&script, &sweep, over).await;
        assert_eq!(stopped["state"], "stopped");
        let seen = stopped["seen"].as_i64().unwrap();
        assert!(seen < 200, "{seen}");
        // Of those that answered, the gateway and the excluded one leave no row.
        assert_eq!(app.number("SELECT count(*) FROM address WHERE active").await, seen - 2);
        assert_eq!(script.ask("POST", &format!("/api/v1/sweeps/{sweep}/stop")).send().await.status, 409);
        let late = by.post(&format!("/ipam/observe/sweeps/{sweep}/stop"), &[]).await;
        assert_eq!(late.status, 303);
        running.leave().await;
        // One that only waits stops at once.
        let sweep = start(&script, net).await;
        assert_eq!(script.ask("POST", &format!("/api/v1/sweeps/{sweep}/stop")).send().await.json()["state"], "stopped");
    }

    async fn nobody_waits_for_pings(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Operator).await;
        let running = Running::with(&app, &Fake { delay: Duration::from_secs(8), ..Fake::new(|_| true) });
        let sweep = start(&script, net).await;
        until(&script, &sweep, |sweep| sweep["state"] == "running").await;
        for _ in 0..5 {
            next(&app, net).await;
            assert_eq!(script.get("/api/v1/sweeps").await.status, 200);
        }
        assert_eq!(get(&script, &sweep).await["state"], "running", "it was under way all the time");
        running.leave().await;
        let left = get(&script, &sweep).await;
        assert_eq!(left["state"], "interrupted", "whoever leaves says so");
        assert!(left["error"].as_str().unwrap().contains("kept"));
    }

    async fn of_two_who_ask_one_gets_the_sweep_and_of_two_processes_one_does_it(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/26").await;
        paced(&app, net, 1_000).await;
        let other = app.another().await;
        let script = app.script(Role::Operator).await;
        let path = format!("/api/v1/subnets/{net}/sweeps");
        let ask = |app: &TestApp| app.ask("POST", &path).token(&script.token).send();
        let answers = futures_util::future::join_all([ask(&app), ask(&other), ask(&app), ask(&other)]).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409, 409, 409]);
        let told = answers.iter().find(|answer| answer.status == 409).unwrap();
        told.shows("is being swept already, for");
        let by = app.signed_in("op", Role::Operator).await;
        let page = by.post(&format!("/ipam/observe/subnets/{net}/sweeps"), &[]).await;
        assert_eq!(page.status, 409);
        page.shows("Net 10.1.0.0/26 (10.1.0.0/26) is being swept already".replacen('N', "n", 1).as_str());
        let fake = Fake::new(|_| true);
        let (one, two) = (Running::with(&app, &fake), Running::with(&other, &fake));
        let won = answers.iter().find(|answer| answer.status == 202).unwrap().json();
        let done = until(&script, won["id"].as_str().unwrap(), over).await;
        assert_eq!((&done["state"], &done["asked"]), (&json!("done"), &json!(62)));
        assert_eq!(fake.asked.load(Ordering::Relaxed), 62, "nobody was asked twice");
        one.leave().await;
        two.leave().await;
    }

    async fn a_regular_sweep_is_begun_when_due_once_and_told_to_nobody(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/28").await;
        let (by, script) = (app.signed_in("op", Role::Operator).await, app.script(Role::Operator).await);
        let path = format!("/ipam/observe/subnets/{net}");
        for (form, field) in [([("minutes", "4"), ("pace", "100"), ("keep_days", "7")], "minutes"), ([("minutes", "5"), ("pace", "0"), ("keep_days", "7")], "pace"), ([("minutes", ""), ("pace", "5"), ("keep_days", "x")], "keep_days")] {
            let refused = by.post(&path, &form).await;
            assert_eq!(refused.status, 422);
            assert!(refused.field_error(field).starts_with("use "), "{field}");
        }
        assert_eq!(by.post(&path, &[("minutes", "10"), ("pace", "500"), ("keep_days", "3")]).await.status, 303);
        let page = by.get(&path).await;
        page.shows("Saved");
        page.shows("value=\"10\"");
        by.get("/ipam/observe").await.shows("Swept regularly");
        let other = app.another().await;
        let fake = Fake::new(|_| true);
        let (one, two) = (Running::with(&app, &fake), Running::with(&other, &fake));
        let total = async |wanted: i64| {
            let begun = Instant::now();
            loop {
                let list = script.get("/api/v1/sweeps").await.json();
                if list["total"] == wanted && list["sweeps"].as_array().unwrap().iter().all(over) {
                    return list;
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{list}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let list = total(1).await;
        assert_eq!((&list["sweeps"][0]["state"], &list["sweeps"][0]["actor"]), (&json!("done"), &json!("Patchbay")));
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        total(1).await;
        app.pass(601);
        total(2).await;
        assert!(!app.audit().await.iter().any(|line| line.contains("sweep.started")));
        // Another pace is no reason to begin.
        assert_eq!(by.post(&path, &[("minutes", "10"), ("pace", "400"), ("keep_days", "3")]).await.status, 303);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        total(2).await;
        assert_eq!(by.post(&path, &[("minutes", ""), ("pace", "500"), ("keep_days", "3")]).await.status, 303);
        app.pass(6_000);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        total(2).await;
        one.leave().await;
        two.leave().await;
    }

    async fn where_no_pings_may_be_sent_the_sweep_says_what_to_do(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/28").await;
        allocate(&app, "10.1.0.5", "").await;
        one(&app, "10.1.0.5", What::Present, "").await;
        let script = app.script(Role::Operator).await;
        let running = Running::opening(&app, |_| Err(PingError::NotPermitted));
        let sweep = start(&script, net).await;
        let failed = until(&script, &sweep, over).await;
        assert_eq!((&failed["state"], &failed["asked"]), (&json!("failed"), &json!(0)));
        assert!(failed["error"].as_str().unwrap().contains("net.ipv4.ping_group_range"));
        assert!(row(&app, "10.1.0.5").await.unwrap().active, "who could not be asked is not silent");
        let by = app.signed_in("auditor", Role::Auditor).await;
        by.get(&format!("/ipam/observe/subnets/{net}")).await.shows("CAP_NET_RAW");
        by.get("/ipam/observe").await.shows("CAP_NET_RAW");
        running.leave().await;
    }

    async fn a_subnet_may_be_deleted_under_its_sweep(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        paced(&app, net, 50).await;
        let script = app.script(Role::Operator).await;
        let running = Running::with(&app, &Fake::new(odd));
        let sweep = start(&script, net).await;
        until(&script, &sweep, |sweep| sweep["asked"].as_i64().unwrap() > 20).await;
        change(&app, async |space| subnets::delete(space, net, None, true).await.unwrap()).await;
        assert_eq!(script.get(&format!("/api/v1/sweeps/{sweep}")).await.status, 404);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        consistent(&app).await;
        // Another goes on as ever.
        let next = subnet(&app, "10.2.0.0/28").await;
        let sweep = start(&script, next).await;
        assert_eq!(until(&script, &sweep, over).await["state"], "done");
        running.leave().await;
    }

    async fn a_lease_that_is_over_tells_of_a_dead_process_on_another_machine(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/28").await;
        let script = app.script(Role::Operator).await;
        let sweep = start(&script, net).await;
        let until_then = app.state.clock.now().0 + 30;
        app.sql(&format!("UPDATE sweep SET state = 'running', runner = 'elsewhere', lease_until = {until_then}, asked = 3")).await;
        let running = Running::with(&app, &Fake::new(odd));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(get(&script, &sweep).await["state"], "running", "it may be alive");
        app.pass(31);
        let ended = until(&script, &sweep, over).await;
        assert_eq!((&ended["state"], &ended["asked"]), (&json!("interrupted"), &json!(3)));
        running.leave().await;
    }

    async fn the_real_thing_finds_the_loopback(app: TestApp) {
        let net = subnet(&app, "127.0.5.0/28").await;
        allocate(&app, "127.0.5.9", PHONE).await;
        let script = app.script(Role::Operator).await;
        let program = Patchbay::serve(&app).await;
        let sweep = start(&script, net).await;
        let done = until(&script, &sweep, over).await;
        assert_eq!((&done["state"], &done["asked"], &done["seen"]), (&json!("done"), &json!(14), &json!(14)), "{done}");
        let held = row(&app, "127.0.5.9").await.unwrap();
        assert!(held.active && !held.conflict && held.status == Status::Allocated);
        assert!(row(&app, "127.0.5.4").await.unwrap().conflict);
        consistent(&app).await;
        // And so over IPv6, of which only what is known is asked.
        let v6 = subnet(&app, "::/64").await;
        allocate(&app, "::1", "").await;
        let sweep = start(&script, v6).await;
        let done = until(&script, &sweep, over).await;
        assert_eq!((&done["state"], &done["asked"], &done["seen"]), (&json!("done"), &json!(1), &json!(1)), "{done}");
        assert!(row(&app, "::1").await.unwrap().active);
        assert!(program.stop().success());
    }

    async fn killed_in_the_middle_of_a_sweep_the_next_start_says_so_and_keeps_what_was_found(app: TestApp) {
        let net = subnet(&app, "127.0.6.0/24").await;
        paced(&app, net, 30).await;
        let script = app.script(Role::Operator).await;
        let program = Patchbay::serve(&app).await;
        let sweep = start(&script, net).await;
        until(&script, &sweep, |sweep| sweep["seen"].as_i64().unwrap() > 40).await;
        program.kill();
        let dead = get(&script, &sweep).await;
        assert_eq!(dead["state"], "running", "nobody can have said otherwise");
        let active = "SELECT count(*) FROM address WHERE active";
        let found = app.number(active).await;
        // The gateway and the excluded address answer too, and have no rows.
        assert_eq!(dead["seen"], found + 2, "progress and findings are one");
        let begun = Instant::now();
        let program = Patchbay::serve(&app).await;
        let after = until(&script, &sweep, over).await;
        assert!(begun.elapsed() < Duration::from_secs(15), "without waiting for a lease");
        assert_eq!(after["state"], "interrupted");
        assert_eq!((&after["asked"], &after["seen"]), (&dead["asked"], &dead["seen"]));
        assert!(after["finished_at"].is_string() && after["error"].as_str().unwrap().contains("ended before"));
        assert_eq!(app.number(active).await, found);
        consistent(&app).await;
        let there = || std::fs::read_dir(app.dir().join("sweeps")).unwrap().count();
        assert_eq!(there(), 1, "only who lives shows that it does");
        // And it may be swept anew.
        let again = start(&script, net).await;
        until(&script, &again, |sweep| sweep["asked"].as_i64().unwrap() > 10).await;
        assert!(program.stop().success());
        let left = get(&script, &again).await;
        assert_eq!(left["state"], "interrupted", "asked to stop, the program says so itself");
        assert_eq!(there(), 0);
    }

    async fn a_living_process_beside_is_not_taken_for_dead(app: TestApp) {
        let net = subnet(&app, "127.0.6.0/24").await;
        paced(&app, net, 40).await;
        let script = app.script(Role::Operator).await;
        let _one = Patchbay::serve(&app).await;
        let sweep = start(&script, net).await;
        until(&script, &sweep, |sweep| sweep["seen"].as_i64().unwrap() > 5).await;
        let _two = Patchbay::serve(&app).await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(get(&script, &sweep).await["state"], "running");
    }

    async fn how_a_subnet_is_looked_at_is_set_by_scripts_too(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Operator).await;
        let path = format!("/api/v1/subnets/{net}/observation");
        let usual = json!({ "sweep_every_minutes": null, "pings_per_second": 100, "forget_after_days": 7 });
        assert_eq!(script.get(&path).await.json(), usual);
        let hourly = json!({ "sweep_every_minutes": 60, "pings_per_second": 50, "forget_after_days": 30 });
        assert_eq!(script.send("PUT", &path, &hourly).await.json(), hourly);
        assert_eq!(script.get(&path).await.json(), hourly);
        let by = app.signed_in("op", Role::Operator).await;
        by.get(&format!("/ipam/observe/subnets/{net}")).await.shows("value=\"60\"");
        let before = app.contents().await;
        for (field, number) in [("sweep_every_minutes", 4), ("pings_per_second", 0), ("forget_after_days", 366)] {
            let mut bad = hourly.clone();
            bad[field] = json!(number);
            let refused = script.send("PUT", &path, &bad).await;
            assert_eq!((refused.status, refused.json()["errors"].as_object().unwrap().keys().next().unwrap().as_str()), (422, field));
        }
        assert_eq!(app.contents().await, before);
    }
}
