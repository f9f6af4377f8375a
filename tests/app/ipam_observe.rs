//! What is seen in the network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patchbay::auth::Role;
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::addresses::{
    self, Edit, Holder, HolderKind, Hostname, Purpose, Record, Reserver, Tenure, Wish,
};
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::observe::{self, Found, Runner, Settings, Sighting, What, seen};
use patchbay::ipam::space::{Source, Space};
use patchbay::ipam::subnets::{self, Spec};
use patchbay::net::Address;
use patchbay::probe::icmp::{Echo, PingError};
use patchbay::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::app::{Answer, Script, TestApp, both_databases, tester};
use crate::support::process::Patchbay;

const DAY: i64 = 24 * 60 * 60;
const PHONE: &str = "00:15:65:00:00:01";
const OTHER: &str = "00:15:65:00:00:02";

fn at(text: &str) -> Address {
    text.parse().unwrap()
}

fn me() -> Reserver {
    Reserver { name: "tester".to_owned(), anybodys: true }
}

/// A subnet with the first half static and the second for DHCP, `.1` the gateway, `.2` excluded.
async fn subnet(app: &TestApp, cidr: &str) -> SubnetId {
    let cidr: patchbay::net::Cidr = cidr.parse().unwrap();
    let mut spec = Spec::new(format!("net {cidr}").parse().unwrap(), cidr);
    if let Some((low, _)) =
        cidr.halves().filter(|_| cidr.length() < 31 && cidr.range().size() < 1 << 32)
    {
        spec.gateway = cidr.network().plus(1);
        let excluded = cidr.network().plus(2).unwrap();
        spec.excluded = vec![patchbay::net::Range::single(excluded)];
        let first = cidr.network().plus(3).unwrap();
        let range = patchbay::net::Range::new(first, low.last()).unwrap();
        spec.statics = subnets::Pools::These(vec![range]);
    }
    change(app, async |space| subnets::create(space, &spec, true, false).await.unwrap().id).await
}

/// Where the link with this text leads.
#[track_caller]
fn link(page: &Answer, text: &str) -> String {
    let found = page.text.split_once(&format!(">{text}</a>"));
    let (before, _) = found.unwrap_or_else(|| panic!("no link {text} in {}", page.text));
    let (_, tag) = before.rsplit_once("<a ").unwrap();
    tag.split_once("href=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

/// One change to addresses.
async fn change<T>(app: &TestApp, work: impl AsyncFnOnce(&mut Space<'_>) -> T) -> T {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let done = work(&mut space).await;
    space.close().await.unwrap();
    change.commit_seen().await.unwrap();
    done
}

async fn see(app: &TestApp, sightings: &[Sighting]) -> Found {
    let found = change(app, async |space| seen(space, sightings).await.unwrap()).await;
    consistent(app).await;
    found
}

fn sighting(app: &TestApp, address: &str, what: What, mac: &str) -> Sighting {
    let mac = if mac.is_empty() { None } else { Some(mac.parse().unwrap()) };
    Sighting { mac, ..Sighting::new(at(address), app.state.clock.now(), what) }
}

async fn one(app: &TestApp, address: &str, what: What, mac: &str) -> Found {
    see(app, &[sighting(app, address, what, mac)]).await
}

async fn row(app: &TestApp, address: &str) -> Option<Record> {
    let mut tx = app.state.read().await.unwrap();
    addresses::get(&mut tx, TenantId::DEFAULT, at(address)).await.unwrap()
}

/// The lowest free address of a subnet, taken for good.
async fn next(app: &TestApp, subnet: SubnetId) -> String {
    let wish = Wish::Next { count: 1, contiguous: false };
    let purpose = Purpose::Reserve { note: "test".parse().unwrap(), until: None };
    let taken = change(app, async |space| {
        addresses::take(space, Source::Subnet(subnet), &wish, &purpose, &me()).await.unwrap()
    });
    taken.await[0].address.to_string()
}

async fn allocate(app: &TestApp, address: &str, mac: &str) {
    let holder =
        Holder { kind: HolderKind::External, id: address.to_owned(), name: "desk".to_owned() };
    let mac = if mac.is_empty() { None } else { Some(mac.parse().unwrap()) };
    let purpose = Purpose::Allocate(Tenure { mac, ..Tenure::of(holder) });
    change(app, async |space| {
        addresses::assign(space, at(address), &purpose, &me()).await.unwrap();
    })
    .await;
}

/// The counts are those of the rows and gaps, and no gap has an address with a row.
async fn consistent(app: &TestApp) {
    let counted = "SELECT CAST(class AS TEXT) || ' ' || CAST(entries AS TEXT) FROM tally
        WHERE length(scope) = 0 AND entries <> 0 ORDER BY 1";
    let there = "SELECT CAST(class AS TEXT) || ' ' || CAST(count(*) AS TEXT) FROM (
        SELECT class FROM address UNION ALL
        SELECT CASE kind WHEN 'static' THEN 32 ELSE 36 END AS class FROM gap) AS x GROUP BY class ORDER BY 1";
    assert_eq!(app.texts(counted).await, app.texts(there).await);
    let both = "SELECT count(*) FROM address a JOIN gap g
        ON g.tenant_id = a.tenant_id AND a.address >= g.first_key AND a.address <= g.last_key";
    assert_eq!(app.number(both).await, 0);
}

/// What the log says of an address since `from`.
async fn log(app: &TestApp, address: &str) -> Vec<String> {
    app.texts(&format!("SELECT action FROM audit_event WHERE subject = '{address}' ORDER BY seq"))
        .await
}

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

// A DHCP server's files

fn dnsmasq(expires: i64, mac: &str, address: &str, name: &str) -> String {
    format!("{expires} {mac} {address} {name} *\n")
}

async fn import(script: &Script<'_>, query: &str, text: &str) -> Answer {
    script
        .ask("POST", &format!("/api/v1/observations/leases{query}"))
        .header("content-type", "text/plain")
        .body(text.to_owned())
        .send()
        .await
}

both_databases! {
    async fn observation_is_reached_by_following_links(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        let by = app.signed_in("operator", Role::Operator).await;
        let home = by.get("/ipam/subnets").await;
        let all = by.get(&link(&home, "Observation")).await;
        all.shows("No sweep yet");
        all.shows(r#"<a href="/ipam/observe" aria-current="page">"#);
        by.get(&link(&all, "Import leases")).await.shows("Lease file of Kea or dnsmasq");
        // With scripts the panel is put into the subnet's page, without them a link leads to it.
        let page = by.get(&link(&home, "10.1.0.0/24")).await;
        by.get(&link(&page, "Sweep it, and say how it is observed")).await.shows("Sweep now");
        let panel = by.get(&format!("/ipam/observe{}", page.between("hx-get=\"/ipam/observe", "\""))).await;
        panel.shows("Sweep now");
        panel.hides("<html");
        let list = by.get(&link(&page, "Addresses")).await;
        let address = by.get(&link(&list, "10.1.0.10")).await;
        let seen = by.get(&link(&address, "As it is seen")).await;
        seen.shows("Ask DNS");
        assert_eq!(link(&seen, "The address"), "/ipam/addresses/10.1.0.10");
    }

    async fn a_free_address_that_answers_is_not_given_out_until_it_has_been_silent_for_days(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        let found = one(&app, "10.1.0.3", What::Present, "").await;
        assert_eq!((found.seen, found.new, found.conflicts), (1, 1, 1));
        let record = row(&app, "10.1.0.3").await.unwrap();
        assert_eq!((record.status, record.kind, record.active, record.conflict), (Status::Available, Kind::Static, true, true));
        assert_eq!(next(&app, net).await, "10.1.0.4");
        // Seen again it is no news.
        app.pass(60);
        let again = one(&app, "10.1.0.3", What::Present, PHONE).await;
        assert_eq!((again.seen, again.new), (1, 0));
        app.pass(60);
        one(&app, "10.1.0.3", What::Present, PHONE).await;
        assert_eq!(log(&app, "10.1.0.3").await, ["address.seen", "address.conflict", "address.conflict"], "unknown, then known");
        // Silent, it is in nobody's way, but not free yet.
        app.pass(60);
        assert_eq!(one(&app, "10.1.0.3", What::Silent, "").await.gone, 1);
        assert_eq!(one(&app, "10.1.0.3", What::Silent, "").await.gone, 0);
        let record = row(&app, "10.1.0.3").await.unwrap();
        assert!(!record.active && !record.conflict);
        observe::tidy(&app.state).await.unwrap();
        assert_eq!(next(&app, net).await, "10.1.0.5");
        app.pass(7 * DAY);
        observe::tidy(&app.state).await.unwrap();
        consistent(&app).await;
        assert_eq!(row(&app, "10.1.0.3").await, None);
        assert_eq!(log(&app, "10.1.0.3").await[3..], ["address.gone", "address.forgotten"]);
        assert_eq!(next(&app, net).await, "10.1.0.3");
    }

    async fn the_days_are_those_of_the_subnet(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/24").await;
        let mut change = app.state.change(&tester()).await.unwrap();
        observe::schedule(&mut change, net, &Settings { keep_days: 30, ..Settings::default() }).await.unwrap();
        change.commit().await.unwrap();
        one(&app, "10.1.0.3", What::Present, "").await;
        app.pass(29 * DAY);
        observe::tidy(&app.state).await.unwrap();
        assert!(row(&app, "10.1.0.3").await.is_some());
        app.pass(2 * DAY);
        observe::tidy(&app.state).await.unwrap();
        assert_eq!(row(&app, "10.1.0.3").await, None);
    }

    async fn another_mac_than_is_written_is_a_conflict_told_once(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        assert_eq!(one(&app, "10.1.0.10", What::Present, PHONE).await.conflicts, 0);
        assert_eq!(one(&app, "10.1.0.10", What::Present, "").await.conflicts, 0);
        assert_eq!(one(&app, "10.1.0.10", What::Present, OTHER).await.conflicts, 1);
        assert_eq!(one(&app, "10.1.0.10", What::Present, OTHER).await.conflicts, 0);
        // The right one answers too: two machines are there.
        assert_eq!(one(&app, "10.1.0.10", What::Present, PHONE).await.conflicts, 0);
        let record = row(&app, "10.1.0.10").await.unwrap();
        assert!(record.conflict && record.status == Status::Allocated);
        assert_eq!(record.mac.unwrap().to_string(), PHONE, "what is written stays");
        let conflicts = log(&app, "10.1.0.10").await.into_iter().filter(|action| action == "address.conflict");
        assert_eq!(conflicts.count(), 1);
        // Somebody writes down what is there.
        let edit = Edit { mac: Some(Some(OTHER.parse().unwrap())), ..Edit::default() };
        change(&app, async |space| addresses::edit(space, at("10.1.0.10"), None, &edit, &me()).await.unwrap()).await;
        one(&app, "10.1.0.10", What::Present, OTHER).await;
        assert!(!row(&app, "10.1.0.10").await.unwrap().conflict);
        assert_eq!(log(&app, "10.1.0.10").await.last().unwrap(), "address.settled");
    }

    async fn another_name_than_is_written_is_a_conflict_unless_a_mac_says_who_it_is(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", "").await;
        allocate(&app, "10.1.0.11", PHONE).await;
        let wrote = async |address: &str, name: &str| {
            let edit = Edit { hostname: Some(name.parse().unwrap()), ..Edit::default() };
            change(&app, async |space| addresses::edit(space, at(address), None, &edit, &me()).await.unwrap()).await;
        };
        let called = async |address: &str, mac: &str, name: &str| {
            let sighting = sighting(&app, address, What::Leased(None), mac);
            see(&app, &[Sighting { hostname: name.parse().unwrap(), ..sighting }]).await.conflicts
        };
        let in_conflict = async |address: &str| row(&app, address).await.unwrap().conflict;
        assert_eq!(called("10.1.0.10", "", "anything").await, 0, "no name is written");
        wrote("10.1.0.10", "desk-1.example.com").await;
        for same in ["desk-1", "DESK-1.Example.COM", "desk-1.example.com.", ""] {
            assert_eq!(called("10.1.0.10", "", same).await, 0, "{same}");
        }
        // The machine that is written down may call itself what it likes.
        wrote("10.1.0.11", "desk-2").await;
        assert_eq!(called("10.1.0.11", PHONE, "SIP-T46U").await, 0);
        assert_eq!(called("10.1.0.11", "", "SIP-T46U").await, 1);
        // Where no MAC is written, a name tells.
        assert_eq!(called("10.1.0.10", OTHER, "desk-1.elsewhere.com").await, 1);
        assert_eq!(called("10.1.0.10", OTHER, "desk-1.elsewhere.com").await, 0, "told once");
        let record = row(&app, "10.1.0.10").await.unwrap();
        assert!(record.conflict && record.active && record.hostname.to_string() == "desk-1.example.com");
        let said = "SELECT CAST(note AS TEXT) FROM audit_event WHERE action = 'address.conflict' AND subject = '10.1.0.10'";
        assert_eq!(app.texts(said).await, ["it calls itself desk-1.elsewhere.com, not desk-1.example.com"]);
        let by = app.signed_in("op", Role::Operator).await;
        by.get("/ipam/observe/10.1.0.10").await.shows("seen as desk-1.elsewhere.com");
        by.get("/ipam/report?report=conflicts").await.shows("seen as desk-1.elsewhere.com");
        // Pings do not end it; the written name does, and so does whoever leaves it as it is.
        one(&app, "10.1.0.10", What::Present, "").await;
        assert!(in_conflict("10.1.0.10").await);
        assert_eq!(called("10.1.0.10", OTHER, "desk-1").await, 0);
        assert!(!in_conflict("10.1.0.10").await);
        assert_eq!(called("10.1.0.10", "", "other").await, 1);
        change(&app, async |space| {
            let tenant = space.tenant();
            for claim in addresses::claims_on(space.tx(), tenant, at("10.1.0.10")).await.unwrap() {
                addresses::resolve(space, at("10.1.0.10"), claim.id, false).await.unwrap();
            }
        }).await;
        assert_eq!(called("10.1.0.10", "", "other").await, 0);
        assert!(!in_conflict("10.1.0.10").await);
        wrote("10.1.0.10", "desk-3").await;
        assert_eq!(called("10.1.0.10", "", "other").await, 1, "another name is written now");
    }

    async fn a_conflict_left_as_it_is_comes_back_only_when_something_is_different(app: TestApp) {
        const THIRD: &str = "00:15:65:aa:00:03";
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        let conflicts = async |mac| one(&app, "10.1.0.10", What::Present, mac).await.conflicts;
        let in_conflict = async || row(&app, "10.1.0.10").await.unwrap().conflict;
        let leave = async || change(&app, async |space| {
            let tenant = space.tenant();
            for claim in addresses::claims_on(space.tx(), tenant, at("10.1.0.10")).await.unwrap() {
                addresses::resolve(space, at("10.1.0.10"), claim.id, false).await.unwrap();
            }
        }).await;
        assert_eq!(conflicts(OTHER).await, 1);
        leave().await;
        assert!(!in_conflict().await);
        assert_eq!(log(&app, "10.1.0.10").await.last().unwrap(), "address.settled");
        // The same machine is there, sweep after sweep, and so is the right one.
        for mac in [OTHER, PHONE, OTHER, ""] {
            app.pass(60);
            assert_eq!(conflicts(mac).await, 0, "{mac}");
            assert!(!in_conflict().await, "{mac}");
        }
        // Another machine is news.
        assert_eq!(conflicts(THIRD).await, 1);
        assert!(in_conflict().await);
        leave().await;
        assert_eq!((conflicts(THIRD).await, conflicts(OTHER).await), (0, 0));
        // So is the same one when the address is written down for another.
        let edit = Edit { mac: Some(Some("00:15:65:aa:00:04".parse().unwrap())), ..Edit::default() };
        change(&app, async |space| addresses::edit(space, at("10.1.0.10"), None, &edit, &me()).await.unwrap()).await;
        assert_eq!(conflicts(OTHER).await, 1);
        leave().await;
        assert_eq!(conflicts(OTHER).await, 0);
        // Given back, nothing is left of what was settled.
        change(&app, async |space| addresses::release(space, at("10.1.0.10"), &me()).await.unwrap()).await;
        app.pass(40 * 86_400);
        one(&app, "10.1.0.10", What::Silent, "").await;
        change(&app, async |space| addresses::end(space, at("10.1.0.10")).await.unwrap()).await;
        assert_eq!(app.number("SELECT count(*) FROM address_settled").await, 0);
    }

    async fn being_seen_disturbs_nobodys_editing(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        let version = row(&app, "10.1.0.10").await.unwrap().version;
        for what in [What::Present, What::Silent, What::Present, What::Present] {
            app.pass(60);
            one(&app, "10.1.0.10", what, "").await;
        }
        let edit = Edit { hostname: Some("x".parse().unwrap()), ..Edit::default() };
        change(&app, async |space| {
            addresses::edit(space, at("10.1.0.10"), Some(version), &edit, &me()).await.unwrap();
        }).await;
        let record = row(&app, "10.1.0.10").await.unwrap();
        assert!(record.active && record.last_seen == Some(app.state.clock.now()));
    }

    async fn orphans_are_kept_and_what_is_never_given_out_is_not(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let found = one(&app, "192.168.7.7", What::Present, PHONE).await;
        assert_eq!((found.orphans, found.conflicts), (1, 0));
        let orphan = row(&app, "192.168.7.7").await.unwrap();
        assert!(orphan.subnet.is_none() && orphan.active && !orphan.conflict);
        for never in ["10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.255"] {
            one(&app, never, What::Present, "").await;
            assert_eq!(row(&app, never).await, None, "{never}");
        }
        // In DHCP's space machines are expected.
        assert_eq!(one(&app, "10.1.0.200", What::Present, "").await.conflicts, 0);
        assert_eq!(row(&app, "10.1.0.200").await.unwrap().kind, Kind::Dhcp);
        app.pass(8 * DAY);
        observe::tidy(&app.state).await.unwrap();
        assert_eq!(row(&app, "192.168.7.7").await, None);
    }

    async fn what_was_seen_before_changes_nothing_that_is_known_since(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let old = sighting(&app, "10.1.0.10", What::Present, OTHER);
        app.pass(100);
        allocate(&app, "10.1.0.10", PHONE).await;
        one(&app, "10.1.0.10", What::Present, PHONE).await;
        let before = row(&app, "10.1.0.10").await;
        assert_eq!(see(&app, &[old]).await.conflicts, 0);
        assert_eq!(row(&app, "10.1.0.10").await, before);
        // Long ago says nothing of today.
        let ancient = Sighting { at: Timestamp(app.state.clock.now().0 - 9 * DAY), ..sighting(&app, "10.1.0.50", What::Present, "") };
        see(&app, &[ancient]).await;
        assert_eq!(row(&app, "10.1.0.50").await, None);
    }

    async fn whatever_is_seen_counts_stay_right_and_nothing_in_use_is_given_out(app: TestApp) {
        let net = subnet(&app, "10.1.0.0/26").await;
        let mut dice: u64 = 0x5eed;
        let mut roll = |sides: u64| { dice ^= dice << 13; dice ^= dice >> 7; dice ^= dice << 17; dice % sides };
        for _ in 0..60 {
            app.pass(i64::try_from(roll(2 * 86_400)).unwrap());
            let now = app.state.clock.now();
            let mut sightings = Vec::new();
            for _ in 0..roll(12) {
                let address = at("10.1.0.0").plus(roll(70).into()).unwrap();
                let what = match roll(6) {
                    0 | 1 => What::Present,
                    2 => What::Leased(Some(now.plus(i64::try_from(roll(200_000)).unwrap() + 1))),
                    3 => What::Declined,
                    4 => What::Ended,
                    _ => What::Silent,
                };
                let mac = [None, Some(PHONE.parse().unwrap()), Some(OTHER.parse().unwrap())][usize::try_from(roll(3)).unwrap()];
                sightings.push(Sighting { mac, ..Sighting::new(address, now, what) });
            }
            see(&app, &sightings).await;
            match roll(4) {
                0 => {
                    let wish = Wish::Next { count: 2, contiguous: roll(2) == 0 };
                    let purpose = Purpose::Reserve { note: "x".parse().unwrap(), until: None };
                    let mut change = app.state.change(&tester()).await.unwrap();
                    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
                    if let Ok(taken) = addresses::take(&mut space, Source::Subnet(net), &wish, &purpose, &me()).await {
                        assert!(taken.iter().all(|record| record.last_seen.is_none()), "given out although seen");
                        space.close().await.unwrap();
                        change.commit().await.unwrap();
                    }
                }
                1 => {
                    let address = at("10.1.0.0").plus(roll(64).into()).unwrap();
                    let mut change = app.state.change(&tester()).await.unwrap();
                    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
                    if addresses::release(&mut space, address, &me()).await.is_ok() {
                        space.close().await.unwrap();
                        change.commit().await.unwrap();
                    }
                }
                _ => observe::tidy(&app.state).await.unwrap(),
            }
            consistent(&app).await;
        }
        let rows = app.number("SELECT count(*) FROM address").await;
        assert!(rows > 5, "{rows}");
    }

    async fn a_lease_holds_its_address_while_it_runs(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Operator).await;
        let now = app.state.clock.now().0;
        let file = dnsmasq(now + 3_600, PHONE, "10.1.0.200", "phone-1");
        let dry = import(&script, "?dry_run=true", &file).await.json();
        assert_eq!((&dry["leases"], &dry["found"]["leased"], &dry["dry_run"]), (&json!(1), &json!(1), &json!(true)));
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let done = import(&script, "", &file).await.json();
        assert_eq!((&done["running"], &done["found"]["leased"]), (&json!(1), &json!(1)));
        let record = row(&app, "10.1.0.200").await.unwrap();
        assert_eq!((record.status, record.kind, record.active), (Status::Allocated, Kind::Dhcp, true));
        assert_eq!((record.holder.unwrap().name, record.hostname.to_string()), ("phone-1".to_owned(), "phone-1".to_owned()));
        assert_eq!(record.mac.unwrap().to_string(), PHONE);
        // Renewed, it is no news; another client is.
        app.pass(1_800);
        let renewed = import(&script, "", &dnsmasq(now + 7_200, PHONE, "10.1.0.200", "phone-1")).await.json();
        assert_eq!(renewed["found"]["leased"], 0);
        assert_eq!(log(&app, "10.1.0.200").await, ["address.allocated"]);
        app.pass(3_600);
        observe::tidy(&app.state).await.unwrap();
        assert!(row(&app, "10.1.0.200").await.is_some(), "the renewal counts");
        import(&script, "", &dnsmasq(now + 9_000, OTHER, "10.1.0.200", "laptop")).await;
        consistent(&app).await;
        let record = row(&app, "10.1.0.200").await.unwrap();
        assert_eq!((record.mac.unwrap().to_string(), record.conflict), (OTHER.to_owned(), false));
        app.pass(7_200);
        observe::tidy(&app.state).await.unwrap();
        consistent(&app).await;
        assert_eq!(row(&app, "10.1.0.200").await, None);
        assert_eq!(log(&app, "10.1.0.200").await.last().unwrap(), "address.lease_ended");
        // A file may say so too.
        import(&script, "", &dnsmasq(app.state.clock.now().0 + 60, PHONE, "10.1.0.201", "*")).await;
        assert!(row(&app, "10.1.0.201").await.is_some());
        let over = import(&script, "", &dnsmasq(app.state.clock.now().0 - 1, PHONE, "10.1.0.201", "*")).await.json();
        assert_eq!(over["found"]["ended"], 1);
        assert_eq!(row(&app, "10.1.0.201").await, None);
    }

    async fn a_lease_outside_dhcp_space_is_a_conflict_and_never_takes_anything(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        allocate(&app, "10.1.0.11", PHONE).await;
        let script = app.script(Role::Operator).await;
        let until = app.state.clock.now().0 + 600;
        let file: String = [
            dnsmasq(until, OTHER, "10.1.0.9", "a"),
            dnsmasq(until, OTHER, "10.1.0.10", "b"),
            dnsmasq(until, PHONE, "10.1.0.11", "c"),
            dnsmasq(until, OTHER, "192.168.9.9", "d"),
        ].concat();
        let found = import(&script, "", &file).await.json();
        assert_eq!((&found["found"]["conflicts"], &found["found"]["orphans"], &found["found"]["leased"]), (&json!(2), &json!(1), &json!(0)));
        let free = row(&app, "10.1.0.9").await.unwrap();
        assert!(free.status == Status::Available && free.conflict && free.holder.is_none());
        let held = row(&app, "10.1.0.10").await.unwrap();
        assert!(held.conflict && held.holder.unwrap().name == "desk");
        assert!(!row(&app, "10.1.0.11").await.unwrap().conflict);
        app.pass(700);
        observe::tidy(&app.state).await.unwrap();
        assert!(row(&app, "10.1.0.10").await.is_some(), "the end of a lease frees only what it held");
        consistent(&app).await;
    }

    async fn lease_files_are_checked_on_a_page_and_then_taken(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let by = app.signed_in("op", Role::Operator).await;
        let until = app.state.clock.now().0 + 600;
        let kea = format!("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n10.1.0.200,{PHONE},,600,{until},1,0,0,phone,0\nnonsense\n");
        let page = by.post("/ipam/observe/leases", &[("text", &kea)]).await;
        assert_eq!(page.status, 200);
        page.shows("1</b> lease in the file. Nothing has been changed yet.");
        page.shows("1 line could not be read");
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let page = by.post("/ipam/observe/leases", &[("text", &kea), ("confirmed", "1")]).await;
        page.shows("1</b> lease read.");
        assert!(row(&app, "10.1.0.200").await.is_some());
        let page = by.post("/ipam/observe/leases", &[("text", "hello <script>\n")]).await;
        assert_eq!(page.status, 422);
        page.shows("this is neither a lease file of Kea or dnsmasq");
        assert!(!page.text.contains("hello <script>"));
        page.shows("hello <script>");
        let page = by.post("/ipam/observe/leases", &[("kept", "1700000000-x"), ("confirmed", "1")]).await;
        assert_eq!(page.status, 422);
    }

    async fn names_that_clients_chose_are_inert(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Admin).await;
        let until = app.state.clock.now().0 + 600;
        for (n, name) in ["<script>alert(1)</script>", "=cmd|'/c'!A1", "../../etc", "a\u{202e}b", "x'OR'1"].into_iter().enumerate() {
            let file = dnsmasq(until, PHONE, &format!("10.1.0.{}", 200 + n), name);
            let answer = import(&script, "", &file).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(row(&app, &format!("10.1.0.{}", 200 + n)).await.is_some_and(|record| record.hostname.is_empty()), "{name}");
            let body = json!([{ "address": "10.1.0.230", "hostname": name }]);
            let refused = script.send("POST", "/api/v1/observations", &body).await;
            assert_eq!(refused.status, 422, "{name}");
        }
        assert_eq!(row(&app, "10.1.0.230").await, None);
        let by = app.signed_in("admin", Role::Admin).await;
        let page = by.get("/ipam/observe/10.1.0.200").await;
        assert!(!page.text.contains("<script>alert"));
        page.shows("10.1.0.200 as it is seen");
        for path in ["/ipam/observe/<script>", "/ipam/observe/x", "/ipam/observe/subnets/x"] {
            assert_eq!(by.get(&path.replace('<', "%3c").replace('>', "%3e")).await.status, 404, "{path}");
        }
    }

    async fn scripts_report_what_they_saw_all_or_nothing(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        let script = app.script(Role::Operator).await;
        let bad = json!([{ "address": "10.1.0.9" }, { "address": "10.1.0.999", "mac": "zz", "seen_at": "2099-01-01T00:00:00Z" }]);
        let refused = script.send("POST", "/api/v1/observations", &bad).await;
        assert_eq!(refused.status, 422);
        let errors = refused.json()["errors"].clone();
        let named: Vec<&String> = errors.as_object().unwrap().keys().collect();
        assert_eq!(named, ["1.address", "1.mac", "1.seen_at"]);
        assert_eq!(row(&app, "10.1.0.9").await, None);
        let good = json!([
            { "address": "10.1.0.9", "mac": "0015.6500.0009", "hostname": "printer", "seen_at": "2023-11-14T22:00:00Z" },
            { "address": "10.1.0.10", "mac": OTHER },
            { "address": "2001:db8::1" },
        ]);
        let found = script.send("POST", "/api/v1/observations", &good).await;
        assert_eq!(found.status, 200, "{found:?}");
        let found = found.json();
        assert_eq!((&found["seen"], &found["new"], &found["conflicts"], &found["orphans"]), (&json!(3), &json!(3), &json!(2), &json!(1)));
        let printer = row(&app, "10.1.0.9").await.unwrap();
        assert_eq!((printer.hostname.to_string(), printer.last_seen.unwrap().to_string()), ("printer".to_owned(), "2023-11-14T22:00:00Z".to_owned()));
        let many: Vec<Value> = (0..5_001).map(|_| json!({ "address": "10.1.0.9" })).collect();
        assert_eq!(script.send("POST", "/api/v1/observations", &json!(many)).await.status, 422);
        let helpdesk = app.script(Role::Helpdesk).await;
        assert_eq!(helpdesk.send("POST", "/api/v1/observations", &good).await.status, 403);
    }

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

    async fn the_command_takes_a_lease_file(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let file = app.dir().join("dnsmasq.leases");
        std::fs::write(&file, dnsmasq(4_000_000_000, PHONE, "10.1.0.200", "phone")).unwrap();
        let path = file.to_str().unwrap();
        let dry = Patchbay::run(&app, &["import", "leases", path, "--dry-run"], "");
        let said = String::from_utf8(dry.stdout).unwrap();
        assert!(said.contains("1 leases, 1 running: 1 new") && said.contains("nothing was changed"), "{said}");
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let done = Patchbay::run(&app, &["import", "leases", path], "");
        assert!(done.status.success(), "{done:?}");
        assert!(row(&app, "10.1.0.200").await.is_some());
        std::fs::write(&file, "nonsense\n").unwrap();
        let bad = Patchbay::run(&app, &["import", "leases", path], "");
        assert!(!bad.status.success());
        assert!(String::from_utf8(bad.stderr).unwrap().contains("neither a lease file"));
    }

    async fn the_name_of_an_address_is_asked_of_the_subnets_servers_and_offered(app: TestApp) {
        let server = if app.is_sqlite() { "127.0.9.53" } else { "127.0.9.54" };
        let socket = tokio::net::UdpSocket::bind(format!("{server}:53").parse::<SocketAddr>().unwrap()).await.unwrap();
        let dns = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let mut answer = buffer[..length].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[7] = 1;
                let name = b"\x07phone-9\x07example\x00";
                answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60, 0, u8::try_from(name.len()).unwrap()]);
                answer.extend(name);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        let net = subnet(&app, "10.1.0.0/24").await;
        app.sql(&format!("UPDATE subnet SET dns = '{server}'")).await;
        allocate(&app, "10.1.0.10", "").await;
        let by = app.signed_in("op", Role::Operator).await;
        by.get("/ipam/observe/10.1.0.10").await.shows("Ask DNS");
        let script = app.script(Role::Helpdesk).await;
        let named = script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await;
        assert_eq!(named.json(), json!({ "hostname": "phone-9.example", "error": "", "differs": false }));
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        page.shows("DNS calls it <b>phone-9.example</b>");
        page.shows("Use it as host name");
        let version = page.between("name=\"version\" value=\"", "\"").to_owned();
        let form = [("hostname", "phone-9.example"), ("version", version.as_str())];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 303);
        assert_eq!(row(&app, "10.1.0.10").await.unwrap().hostname, "phone-9.example".parse::<Hostname>().unwrap());
        by.post("/ipam/observe/10.1.0.10/name", &[]).await.hides("Use it as host name");
        let stale = by.post("/ipam/observe/10.1.0.10/hostname", &[("hostname", "other"), ("version", version.as_str())]).await;
        assert_eq!(stale.status, 412);
        stale.shows("somebody changed 10.1.0.10 meanwhile");
        // Another name than is written is a conflict, said where it was found and in the list; a
        // name without its domain is no other.
        let wrote = async |name: &str| {
            let edit = Edit { hostname: Some(name.parse().unwrap()), ..Edit::default() };
            change(&app, async |space| addresses::edit(space, at("10.1.0.10"), None, &edit, &me()).await.unwrap().version).await
        };
        wrote("PHONE-9").await;
        by.post("/ipam/observe/10.1.0.10/name", &[]).await.hides("is written here");
        wrote("desk-1").await;
        assert_eq!(script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await.json()["differs"], true);
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        page.shows("but <b>desk-1</b> is written here");
        page.shows(r#"That is a <span class="flag">conflict</span>"#);
        by.get("/ipam/addresses?conflict=yes").await.shows("10.1.0.10");
        let known = script.get("/api/v1/addresses/10.1.0.10").await.json();
        assert_eq!((&known["conflict"], &known["claims"][0]["hostname"]), (&json!(true), &json!("phone-9.example")), "{known}");
        assert!(!row(&app, "10.1.0.10").await.unwrap().active, "a name says nothing of who answers");
        let version = page.between("name=\"version\" value=\"", "\"").to_owned();
        let form = [("hostname", "phone-9.example"), ("version", version.as_str())];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 303);
        assert!(!row(&app, "10.1.0.10").await.unwrap().conflict, "what DNS says is written now");
        // Who may not change the address is told so, and nobody may write what is no name.
        let helpdesk = app.signed_in("helpdesk", Role::Helpdesk).await;
        let version = row(&app, "10.1.0.10").await.unwrap().version.to_string();
        let form = [("hostname", "mine"), ("version", version.as_str())];
        assert_eq!(helpdesk.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 409);
        let form = [("hostname", "<b>"), ("version", "2")];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 422);
        dns.abort();
        let _ = dns.await;
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        assert_eq!(page.status, 200);
        page.shows(&format!("({server})"));
        let named = script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await.json();
        assert!(named["hostname"].is_null() && named["error"].as_str().unwrap().contains(server), "{named}");
        let _ = net;
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
