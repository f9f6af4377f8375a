//! What is seen in the network.

use patchbay::auth::Role;
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::addresses::{
    self, Edit, Holder, HolderKind, Purpose, Record, Reserver, Tenure, Wish,
};
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::observe::{self, Found, Settings, Sighting, What, seen};
use patchbay::ipam::space::{Source, Space};
use patchbay::ipam::subnets::{self, Spec};
use patchbay::net::Address;
use patchbay::time::Timestamp;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, both_databases, tester};

const DAY: i64 = 24 * 60 * 60;
pub const PHONE: &str = "00:15:65:00:00:01";
pub const OTHER: &str = "00:15:65:00:00:02";

pub fn at(text: &str) -> Address {
    text.parse().unwrap()
}

pub fn me() -> Reserver {
    Reserver { name: "tester".to_owned(), anybodys: true }
}

/// A subnet with the first half static and the second for DHCP, `.1` the gateway, `.2` excluded.
pub async fn subnet(app: &TestApp, cidr: &str) -> SubnetId {
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
pub async fn change<T>(app: &TestApp, work: impl AsyncFnOnce(&mut Space<'_>) -> T) -> T {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let done = work(&mut space).await;
    space.close().await.unwrap();
    change.commit_seen().await.unwrap();
    done
}

pub async fn see(app: &TestApp, sightings: &[Sighting]) -> Found {
    let found = change(app, async |space| seen(space, sightings).await.unwrap()).await;
    consistent(app).await;
    found
}

pub fn sighting(app: &TestApp, address: &str, what: What, mac: &str) -> Sighting {
    let mac = if mac.is_empty() { None } else { Some(mac.parse().unwrap()) };
    Sighting { mac, ..Sighting::new(at(address), app.state.clock.now(), what) }
}

pub async fn one(app: &TestApp, address: &str, what: What, mac: &str) -> Found {
    see(app, &[sighting(app, address, what, mac)]).await
}

pub async fn row(app: &TestApp, address: &str) -> Option<Record> {
    let mut tx = app.state.read().await.unwrap();
    addresses::get(&mut tx, TenantId::DEFAULT, at(address)).await.unwrap()
}

/// The lowest free address of a subnet, taken for good.
pub async fn next(app: &TestApp, subnet: SubnetId) -> String {
    let wish = Wish::Next { count: 1, contiguous: false };
    let purpose = Purpose::Reserve { note: "test".parse().unwrap(), until: None };
    let taken = change(app, async |space| {
        addresses::take(space, Source::Subnet(subnet), &wish, &purpose, &me()).await.unwrap()
    });
    taken.await[0].address.to_string()
}

pub async fn allocate(app: &TestApp, address: &str, mac: &str) {
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
pub async fn consistent(app: &TestApp) {
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
pub async fn log(app: &TestApp, address: &str) -> Vec<String> {
    app.texts(&format!("SELECT action FROM audit_event WHERE subject = '{address}' ORDER BY seq"))
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
}
