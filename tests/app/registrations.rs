//! What Asterisk tells becomes what is stored, and what is stored a map: on both databases.

use patchbay::asterisk::ami::InboundContact;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::registrations::{self, Taken, Told, map};
use serde_json::Value;

use crate::support::app::{Answer, Browser, TestApp, both_databases, unescaped};

pub const YEALINK: &str = "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab";
const MUTE: &str = "Yealink SIP-T46U 108.86.0.20";

/// Somebody registered, as Asterisk would tell it.
pub fn contact(aor: &str, address: &str, user_agent: &str) -> InboundContact {
    InboundContact {
        aor: aor.to_owned(),
        uri: format!("sip:{aor}@{address}:5060"),
        user_agent: user_agent.to_owned(),
        via: format!("{address}:5060"),
        expires: Some(1_700_000_600),
    }
}

/// As [`contact`], behind a router.
fn behind(aor: &str, router: &str, port: u16, own: &str, user_agent: &str) -> InboundContact {
    InboundContact {
        uri: format!("sip:{aor}@{router}:{port};x-ast-orig-host={own}:5060"),
        via: format!("{own}:5060"),
        ..contact(aor, router, user_agent)
    }
}

impl TestApp {
    /// Asterisk tells of everybody, asked now; a second passes.
    pub async fn told(&self, all: Vec<InboundContact>) -> Taken {
        let taken = registrations::take(&self.state, self.state.clock.now(), all).await.unwrap();
        self.pass(1);
        taken
    }

    /// `number mac source present` of every registration.
    async fn registrations(&self) -> Vec<String> {
        let present = if self.is_sqlite() {
            "CASE present WHEN 1 THEN 'there' ELSE 'ended' END"
        } else {
            "CASE WHEN present THEN 'there' ELSE 'ended' END"
        };
        self.texts(&format!("SELECT CAST(number AS TEXT) || ' ' || contact || ' ' || mac || ' ' || mac_source || ' ' || {present} FROM registration ORDER BY tenant_id, number, contact")).await
    }

    /// A phone with lines, straight into the tables.
    async fn phone(&self, mac: &str, vendor: &str, model: &str, numbers: &[i64]) {
        self.sql(&format!("INSERT INTO phone (mac, tenant_id, vendor, model, kind, label, site, site_key, notes, token, token_hash, http_password, web_password, search, created_at, updated_at)
            VALUES ('{mac}', '{}', '{vendor}', '{model}', 'phone', '', '', '', '', '', '{mac}', '', '', '', {now}, {now})", TenantId::DEFAULT, now = self.state.clock.now().0)).await;
        for (line, number) in (1..).zip(numbers) {
            self.sql(&format!("INSERT INTO phone_line (mac, line, tenant_id, user_id, label)
                SELECT '{mac}', {line}, tenant_id, user_id, '' FROM extension WHERE number = {number} AND tenant_id = '{}'", TenantId::DEFAULT)).await;
        }
        // Nothing of this is in the log, by which the map knows that it is old.
        self.sql("UPDATE registration_feed SET changes = changes + 1").await;
    }
}

impl Answer {
    /// The page as a person reads it, without its marks.
    fn words(&self) -> String {
        let text =
            self.text.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
        let words = unescaped(&text.collect::<Vec<_>>().join(" "));
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The numbers of the map's lines.
    fn numbers(&self) -> Vec<String> {
        let lines = self.text.split("<td class=\"num\"><a href=\"/phones/map/history?q=").skip(1);
        lines.map(|line| line.split('"').next().unwrap().to_owned()).collect()
    }
}

async fn people(admin: &Browser<'_>, count: i64) {
    for n in 0..count {
        admin.add(&format!("Person {n}"), &format!("p{n}@example.com"), "").await;
    }
}

fn flags(lookup: &Value) -> Vec<String> {
    let all = lookup["correlation"]["flags"].as_array().unwrap();
    all.iter().map(|flag| flag["flag"].as_str().unwrap().to_owned()).collect()
}

fn first(answer: &Answer) -> Value {
    answer.json().as_array().unwrap()[0].clone()
}

both_databases! {
    async fn a_registration_is_written_once_and_ends_only_when_asterisk_does_not_tell_it_any_more(app: TestApp) {
        let taken = app.told(vec![contact("1000", "10.0.1.20", YEALINK), contact("trunk", "10.0.1.9", "x")]).await;
        assert_eq!((taken.begun.len(), taken.ended), (1, 0));
        assert_eq!(app.registrations().await, ["1000 sip:1000@10.0.1.20:5060 805ec01234ab user_agent there"]);
        assert_eq!(app.number("SELECT foreign_ones FROM registration_feed").await, 1);
        let changes = app.number("SELECT changes FROM registration_feed").await;
        let again = app.told(vec![contact("1000", "10.0.1.20", YEALINK), contact("trunk", "10.0.1.9", "x")]).await;
        assert_eq!((again.begun.len(), again.renewed.len(), again.ended), (0, 0, 0));
        assert_eq!(app.number("SELECT changes FROM registration_feed").await, changes, "nothing was written");
        let ended = app.told(vec![]).await;
        assert_eq!(ended.ended, 1);
        assert_eq!(app.registrations().await, ["1000 sip:1000@10.0.1.20:5060 805ec01234ab user_agent ended"]);
        let back = app.told(vec![contact("1000", "10.0.1.20", YEALINK)]).await;
        assert_eq!(back.begun.len(), 1);
        assert_eq!(app.registrations().await.len(), 1);
        assert_eq!(app.number("SELECT first_seen FROM registration").await, 1_700_000_000);
    }

    async fn a_known_mac_is_kept_and_another_number_never_touches_it(app: TestApp) {
        app.told(vec![contact("1000", "10.0.1.20", YEALINK)]).await;
        // The same contact, and then another one from the same place, both without a MAC.
        app.told(vec![contact("1000", "10.0.1.20", MUTE)]).await;
        let moved = InboundContact { uri: "sip:1000@10.0.1.20:6060".into(), ..contact("1000", "10.0.1.20", MUTE) };
        app.told(vec![moved.clone()]).await;
        // Another number from the same address, by another device and by one that says nothing.
        app.told(vec![moved.clone(), contact("1001", "10.0.1.20", "Softphone")]).await;
        let known = [
            "1000 sip:1000@10.0.1.20:5060 805ec01234ab user_agent ended",
            "1000 sip:1000@10.0.1.20:6060 805ec01234ab user_agent there",
        ];
        assert_eq!(app.registrations().await[..2], known);
        assert_eq!(app.registrations().await[2], "1001 sip:1001@10.0.1.20:5060   there");
        // The same number from elsewhere, by something else, is something else.
        app.told(vec![moved, contact("1001", "10.0.1.20", "Softphone"), contact("1000", "10.0.1.99", "Softphone")]).await;
        assert_eq!(app.registrations().await[..2], known);
        assert_eq!(app.registrations().await[2], "1000 sip:1000@10.0.1.99:5060   there");
    }

    async fn what_a_device_is_follows_from_the_phone_that_has_the_line_or_fetched_its_file_there(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 3).await;
        app.phone("001565000001", "yealink", "t46u", &[1000]).await;
        app.phone("001565000002", "snom", "d785", &[]).await;
        app.told(vec![contact("1002", "10.0.1.22", "snomD785/10.1")]).await;
        app.sql("INSERT INTO phone_seen (mac, fetched_at, fetched_from, fetched_file, fetched_revision, user_agent, model, firmware)
                 SELECT '001565000002', 1, address, '', '', '', '', '' FROM registration").await;
        app.told(vec![
            contact("1000", "10.0.1.20", MUTE),
            contact("1001", "10.0.1.21", "snomD785/10.1"),
            contact("1002", "10.0.1.22", "snomD785/10.1 x"),
        ]).await;
        assert_eq!(app.registrations().await, [
            "1000 sip:1000@10.0.1.20:5060 001565000001 provisioning there",
            "1001 sip:1001@10.0.1.21:5060   there",
            "1002 sip:1002@10.0.1.22:5060 001565000002 provisioning there",
        ]);
        // The word of the device itself counts more, and is not forgotten for less.
        app.told(vec![contact("1000", "10.0.1.20", YEALINK)]).await;
        app.told(vec![contact("1000", "10.0.1.20", MUTE)]).await;
        assert_eq!(app.registrations().await[0], "1000 sip:1000@10.0.1.20:5060 805ec01234ab user_agent there");
    }

    async fn an_instance_in_the_contact_tells_the_device_less_surely_than_its_name_and_more_than_its_line(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 1).await;
        app.phone("001565000001", "yealink", "t46u", &[1000]).await;
        let instance = |digits: &str, user_agent: &str| InboundContact {
            uri: format!("sip:1000@10.0.1.20:5060;gr=urn:uuid:00000000-0000-1000-8000-{digits}"),
            ..contact("1000", "10.0.1.20", user_agent)
        };
        let script = app.script(Role::Admin).await;
        let said = async || {
            let registered = first(&script.get("/api/registered-phones").await);
            (registered["mac_address"].as_str().unwrap().to_owned(), registered["mac_source"].as_str().unwrap().to_owned())
        };
        let is = |mac: &str, source: &str| (mac.to_owned(), source.to_owned());
        app.told(vec![contact("1000", "10.0.1.20", MUTE)]).await;
        assert_eq!(said().await, is("00:15:65:00:00:01", "provisioning"));
        app.told(vec![instance("001565000077", MUTE)]).await;
        assert_eq!(said().await, is("00:15:65:00:00:77", "instance"));
        for page in ["/phones/map", "/phones/map/history?q=1000"] {
            let page = admin.get(page).await.words();
            assert!(page.contains("00:15:65:00:00:77") && page.contains("from its SIP instance"), "{page}");
        }
        // A contact that names none is still of the same device.
        app.told(vec![contact("1000", "10.0.1.20", MUTE)]).await;
        assert_eq!(said().await, is("00:15:65:00:00:77", "instance"));
        app.told(vec![instance("001565000077", YEALINK)]).await;
        assert_eq!(said().await, is("80:5e:c0:12:34:ab", "user_agent"));
        app.told(vec![instance("001565000077", MUTE)]).await;
        assert_eq!(said().await, is("80:5e:c0:12:34:ab", "user_agent"));
    }

    async fn a_tenants_numbers_are_its_own(app: TestApp) {
        let acme = app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        other.add("Bob", "bob@example.com", "").await;
        app.told(vec![contact("acme-1000", "10.0.1.20", YEALINK), contact("nobody-1000", "10.0.1.21", "x")]).await;
        let stored = app.texts("SELECT tenant_id FROM registration").await;
        assert_eq!(stored, [acme.to_string()]);
        other.get("/phones/map").await.shows("80:5e:c0:12:34:ab");
        let admin = app.signed_in("admin", Role::Admin).await;
        for page in ["/phones/map", "/phones/map?q=80:5e", "/phones/map/history?q=80:5e:c0:12:34:ab", "/phones/map.csv"] {
            let page = admin.get(page).await;
            assert_eq!(page.status, 200);
            page.hides("10.0.1.20");
        }
        let ours = app.script(Role::Admin).await;
        assert_eq!(ours.get("/api/registered-phones").await.json(), serde_json::json!([]));
        assert_eq!(ours.get("/api/phone-lookup/10.0.1.20").await.json()["registered_phone"], Value::Null);
    }

    async fn whoever_asked_earlier_takes_nothing_away_that_another_heard_later(app: TestApp) {
        let began = app.state.clock.now();
        app.pass(2);
        let one = contact("1000", "10.0.1.20", YEALINK);
        app.told(vec![one.clone()]).await;
        // An answer to a question asked before that.
        let late = registrations::take(&app.state, began, vec![]).await.unwrap();
        assert_eq!((late.ended, late.doubtful), (0, true));
        assert!(app.registrations().await[0].ends_with("there"));
        // Two at once, telling the same: one row, no error.
        let another = app.another().await;
        let both = vec![one, contact("1001", "10.0.1.21", MUTE)];
        let now = app.state.clock.now();
        let (a, b) = tokio::join!(
            registrations::take(&app.state, now, both.clone()),
            registrations::take(&another.state, now, both)
        );
        assert_eq!(a.unwrap().begun.len() + b.unwrap().begun.len(), 1);
        assert_eq!(app.registrations().await.len(), 2);
    }

    async fn ipam_hears_of_who_is_there_but_not_every_minute(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.post("/ipam/subnets", &[("name", "Desks"), ("cidr", "10.0.1.0/24"), ("gateway", "10.0.1.1")]).await;
        let mut told = Told::default();
        app.told(vec![
            contact("1000", "10.0.1.20", YEALINK),
            contact("1001", "10.0.1.1", MUTE),
            contact("1002", "192.168.5.5", MUTE),
            behind("1003", "198.51.100.7", 40_000, "192.168.1.7", "Grandstream GRP2614 DevId c074ad0b63ee"),
        ]).await;
        assert_eq!(registrations::tell(&app.state, &mut told).await.unwrap(), 3);
        let seen = "SELECT count(*) FROM address WHERE active";
        assert_eq!(app.number(seen).await, 2, "not the router, not the home of somebody");
        assert_eq!(app.texts("SELECT seen_mac FROM address WHERE seen_mac <> ''").await, ["805ec01234ab"]);
        let head = app.number("SELECT seq FROM audit_head").await;
        for _ in 0..3 {
            app.pass(60);
            assert_eq!(registrations::tell(&app.state, &mut told).await.unwrap(), 0);
        }
        app.pass(15 * 60);
        assert!(registrations::tell(&app.state, &mut told).await.unwrap() >= 2);
        assert_eq!(app.number("SELECT seq FROM audit_head").await, head, "seen again is no news");
        assert_eq!(app.number("SELECT count(*) FROM address WHERE last_seen > 1700000900").await, 2);
    }

    async fn the_map_says_who_is_where_and_what_is_the_matter(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        people(&admin, 6).await;
        admin.post("/ipam/subnets", &[("name", "Desks"), ("cidr", "10.0.1.0/24")]).await;
        app.phone("805ec01234ab", "yealink", "t46u", &[1000, 1001]).await;
        app.phone("001565000002", "yealink", "t46u", &[1002]).await;
        app.phone("001565000003", "yealink", "t46u", &[]).await;
        let held = script.send("POST", "/api/v1/addresses/10.0.1.50/allocate",
            &serde_json::json!({ "holder": { "kind": "external", "id": "x", "name": "1000 Person 0" } })).await;
        assert_eq!(held.status, 200, "{held:?}");
        app.sql("UPDATE address SET holder_kind = 'phone', holder_id = '805ec01234ab' WHERE holder_id = 'x'").await;
        app.told(vec![
            contact("1000", "10.0.1.20", YEALINK),
            contact("1001", "10.0.1.20", YEALINK),
            contact("1003", "10.0.1.20", "Yealink SIP-T46U 1.2 00:15:65:00:00:99"),
            behind("1004", "198.51.100.7", 40_000, "192.168.1.7", "Yealink SIP-T46U 1.2 00:15:65:00:00:02"),
            behind("1005", "198.51.100.7", 40_001, "192.168.1.8", "Softphone"),
        ]).await;
        let page = admin.get("/phones/map").await;
        assert_eq!(page.status, 200);
        for text in ["80:5e:c0:12:34:ab", "10.0.1.20", "Desks", "Person 0", "not registered", "of a router, itself", "yealink t46u",
                     "not at the static address", "static 10.0.1.50", "other devices register from 10.0.1.20 too", "nothing tells which device this is",
                     "00:15:65:00:00:99 is not among the phones"] {
            assert!(page.words().to_lowercase().contains(&text.to_lowercase()), "{text}: {}", page.words());
        }
        let about = |n: &'static str| { let script = &script; async move { script.get(&format!("/api/v1/phone-lookup/{n}")).await.json() } };
        assert_eq!(flags(&about("1000").await), ["moved", "shared-address"]);
        // Two lines of one phone are no matter; another number of the same device is.
        assert_eq!(flags(&about("1001").await), ["moved", "shared-address"]);
        assert_eq!(flags(&about("1003").await), ["shared-address", "unknown"]);
        assert_eq!(flags(&about("1004").await), ["other-phone"]);
        assert_eq!(flags(&about("1005").await), ["unknown"]);
        assert_eq!(flags(&about("1002").await), Vec::<String>::new());
        app.told(vec![contact("1000", "10.0.1.50", YEALINK), contact("1002", "10.0.1.50", YEALINK)]).await;
        assert_eq!(flags(&about("1000").await), ["shared-mac"]);
        assert_eq!(flags(&about("1002").await), ["shared-mac", "other-phone"]);
        for (show, rows) in [("shared-mac", 2), ("unknown", 0), ("registered", 2), ("absent", 5), ("", 7)] {
            let file = admin.get(&format!("/phones/map.csv?show={show}")).await;
            assert_eq!(file.text.lines().count() - 1, rows, "{show}: {}", file.text);
        }
        // A week and a day later whoever is gone is silent, and those there are not.
        app.pass(8 * 24 * 60 * 60);
        app.told(vec![contact("1000", "10.0.1.50", YEALINK)]).await;
        assert_eq!(flags(&about("1000").await), Vec::<String>::new());
        assert_eq!(flags(&about("1003").await), ["silent"]);
        assert_eq!(flags(&about("00:15:65:00:00:03").await), ["silent"]);
        assert_eq!(flags(&about("1002").await), ["silent"]);
        app.sql("INSERT INTO phone_setting (mac, key, value) VALUES ('001565000003', 'silent.days', '30')").await;
        app.pass(60);
        assert_eq!(flags(&about("001565000003").await), Vec::<String>::new());
    }

    async fn it_is_searched_by_anything_sorted_by_columns_and_cut_into_pages(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 30).await;
        app.phone("001565000002", "yealink", "t46u", &[1002]).await;
        let all = (0..30).map(|n| {
            let said = if n == 7 { YEALINK.to_owned() } else { format!("Snom/1 ({n})") };
            contact(&(1000 + n).to_string(), &format!("10.0.{}.{}", n / 10, 50 - n), &said)
        });
        app.told(all.collect()).await;
        for (q, number) in [("person 7", "1007"), ("80:5e:c0:12", "1007"), ("805e.c0", "1007"), ("10.0.2.21", "1029"), ("t46u 108", "1007"), ("1011", "1011"), ("00:15:65", "1002")] {
            let found = admin.get(&format!("/phones/map/table?q={}", q.replace(' ', "+"))).await;
            assert_eq!(found.header("hx-push-url").unwrap(), format!("/phones/map?q={}", q.replace(' ', "+").replace(':', "%3A")));
            assert_eq!(found.numbers(), [number], "{q}");
        }
        for inert in ["%", "_", "'", "\\", "<script>"] {
            let found = admin.ask("GET", &format!("/phones/map?q={}", percent(inert))).send().await;
            assert_eq!((found.status, found.numbers().len()), (200, 0), "{inert}");
        }
        let page = |path: &'static str| { let admin = &admin; async move { admin.get(path).await.numbers() } };
        assert_eq!(page("/phones/map").await[..2], ["1000", "1001"]);
        assert_eq!(page("/phones/map?page=2").await, ["1025", "1026", "1027", "1028", "1029"]);
        assert_eq!(page("/phones/map?sort=-number").await[0], "1029");
        assert_eq!(page("/phones/map?sort=address").await[0], "1009");
        assert_eq!(page("/phones/map?sort=-address").await[0], "1020");
        assert_eq!(page("/phones/map?sort=-mac").await[0], "1007");
        assert_eq!(page("/phones/map?sort=name").await[..3], ["1000", "1001", "1010"]);
        for sort in ["number", "-number", "name", "-name", "mac", "-mac", "address", "-address", "seen", "-seen"] {
            let unknown = admin.get(&format!("/phones/map?sort={sort}&show=unknown&q=person")).await;
            assert_eq!((unknown.status, unknown.numbers().len()), (200, 25), "{sort}: {}", unknown.text);
        }
        for sort in ["-name", "mac", "seen", "-seen"] {
            assert_eq!(admin.get(&format!("/phones/map?sort={sort}")).await.numbers().len(), 25);
        }
        assert_eq!(admin.get("/phones/map?sort=x").await.status, 400);
        let gone = admin.get("/phones/map?page=9").await;
        gone.shows("The list ends before this page");
    }

    async fn a_search_that_finds_much_or_little_shows_each_line_once_in_every_order(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 1).await;
        admin.get("/phones/map").await.shows("Person 0");
        app.sql("INSERT INTO phone_map (tenant_id, place, number, user_id, name, name_key, mac, mac_source, known, vendor, model, kind,
                label, address, via, fixed, subnet_id, subnet, user_agent, contact, present, first_seen, seen_at, expires_at, flags, search)
            WITH RECURSIVE n (n) AS (SELECT 2001 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
            SELECT tenant_id, '1:' || n, n, user_id, 'Person ' || n, 'person ' || n, mac, mac_source, known, vendor, model, kind,
                label, address, via, fixed, subnet_id, subnet, user_agent, contact, present, first_seen, seen_at, expires_at, flags,
                'person ' || n FROM phone_map, n").await;
        for (count, all) in [(1_001_usize, "of 1,001"), (1_000, "of 1,000"), (999, "of 999")] {
            for sort in ["number", "-number", "name", "-name", "mac", "-mac", "address", "-address", "seen", "-seen"] {
                let mut seen = std::collections::BTreeSet::new();
                for page in 1..=count.div_ceil(200) {
                    let found = admin.get(&format!("/phones/map?q=person&size=200&sort={sort}&page={page}")).await;
                    found.shows(all);
                    seen.extend(found.numbers());
                }
                assert_eq!(seen.len(), count, "{sort}");
            }
            let none = admin.get("/phones/map?q=person&show=unknown").await;
            assert_eq!((none.status, none.numbers().len()), (200, 0));
            app.sql(&format!("DELETE FROM phone_map WHERE name = 'Person {}'", 1_999 + count)).await;
        }
    }

    async fn the_history_of_a_number_a_device_and_an_address(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 2).await;
        app.told(vec![contact("1000", "10.0.1.20", YEALINK)]).await;
        app.told(vec![contact("1001", "10.0.1.20", YEALINK)]).await;
        app.told(vec![contact("1001", "10.0.1.21", YEALINK)]).await;
        for (asked, rows, now) in [("1001", 2, 1), ("805ec01234ab", 3, 1), ("80-5E-C0-12-34-AB", 3, 1), ("10.0.1.20", 2, 0), ("1000", 1, 0), ("10.9.9.9", 0, 0)] {
            let page = admin.get(&format!("/phones/map/history?q={asked}")).await;
            assert_eq!(page.status, 200);
            let count = |word: &str| page.text.matches(word).count();
            assert_eq!((count("<tr>\n    <td class=\"num\">"), count(">registered</span>")), (rows, now), "{asked}: {}", page.text);
        }
        let bad = admin.get("/phones/map/history?q=%3Cb%3E").await;
        assert_eq!(bad.status, 422);
        assert!(!bad.field_error("q").is_empty());
        assert_eq!(admin.get("/phones/map/history").await.status, 200);
    }

    async fn older_scripts_find_the_same_calls(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Auditor).await;
        people(&admin, 3).await;
        app.phone("805ec01234ab", "yealink", "t46s", &[1000]).await;
        app.phone("0002fdff2103", "cisco", "spa112", &[1001]).await;
        app.sql("UPDATE phone SET kind = 'ata' WHERE vendor = 'cisco'").await;
        app.told(vec![
            contact("1000", "10.0.1.20", YEALINK),
            contact("1001", "10.0.1.21", "Cisco/SPA112-1.4.1 (0002FDFF2103)(CBT141400UK)"),
            contact("1002", "10.0.1.22", "Softphone"),
        ]).await;
        let all = script.get("/api/registered-phones").await;
        assert_eq!(all.json().as_array().unwrap().len(), 3);
        let one = first(&all);
        assert_eq!(one["mac_address"], "80:5e:c0:12:34:ab");
        assert_eq!((one["extension_number"].as_str(), one["ip_address"].as_str()), (Some("1000"), Some("10.0.1.20")));
        assert_eq!((one["user_agent"].as_str(), one["contact_uri"].as_str()), (Some(YEALINK), Some("sip:1000@10.0.1.20:5060")));
        assert_eq!(one["registered_at"], "2023-11-14T22:13:20Z");
        let with_mac = script.get("/api/registered-phones/with-mac").await.json();
        assert_eq!(with_mac.as_array().unwrap().len(), 2);
        assert_eq!(with_mac[0]["mac_source"], "user_agent");
        assert_eq!(first(&script.get("/api/registered-phones/extension/1002").await)["ip_address"], "10.0.1.22");
        for path in ["/api/registered-phones/atas", "/api/registered-atas"] {
            let atas = script.get(path).await.json();
            assert_eq!((atas.as_array().unwrap().len(), atas[0]["extension_number"].as_str()), (1, Some("1001")));
        }
        for (asked, kind) in [("805ec01234ab", "mac"), ("80:5e:c0:12:34:ab", "mac"), ("10.0.1.20", "ip"), ("1000", "extension")] {
            let found = script.get(&format!("/api/phone-lookup/{asked}")).await.json();
            assert_eq!(found["type"], kind);
            assert_eq!(found["registered_phone"]["extension_number"], "1000");
            assert_eq!(found["provisioned_device"]["vendor"], "yealink");
            let both = &found["correlation"];
            assert_eq!((both["matched"].as_bool(), both["extension"].as_str(), both["mac_address"].as_str()), (Some(true), Some("1000"), Some("80:5e:c0:12:34:ab")));
            assert_eq!(both["ip_address"], "10.0.1.20");
        }
        for path in ["/api/phone-lookup/nonsense", "/api/v1/phone-lookup/1", "/api/registered-phones/extension/x"] {
            assert_eq!(script.get(path).await.status, 400, "{path}");
        }
        let nobody = script.get("/api/phone-lookup/10.9.9.9").await.json();
        assert_eq!((nobody["correlation"]["matched"].as_bool(), &nobody["registered_phone"]), (Some(false), &Value::Null));
        for path in ["registered-phones", "registered-phones/with-mac", "registered-phones/atas", "registered-atas", "phone-lookup/1000"] {
            assert_eq!(script.get(&format!("/api/{path}")).await.json(), script.get(&format!("/api/v1/{path}")).await.json());
        }
    }

    async fn what_a_phone_says_of_itself_is_inert_everywhere(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 1).await;
        let strings: Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
        for entry in strings.as_array().unwrap() {
            let said = entry["input"].as_str().unwrap().replace('\0', "");
            let uri = format!("sip:1000@10.0.1.20;x={said}");
            app.told(vec![InboundContact { uri, ..contact("1000", "10.0.1.20", &said) }]).await;
            for page in ["/phones/map", "/phones/map/history?q=1000", "/phones/map.csv"] {
                let page = admin.get(page).await;
                assert_eq!(page.status, 200, "{said:?}");
                for live in ["<script>alert", "\"the boss\" O'Neil\"", "<&>\"'"] {
                    assert!(page.header("content-type") == Some("text/csv; charset=utf-8") || !page.text.contains(live), "{live}: {}", page.text);
                }
            }
        }
        let file = admin.get("/phones/map.csv").await;
        let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
        assert!(reader.records().all(|record| record.unwrap().iter().all(|cell| !cell.starts_with(['=', '+', '-', '@']))));
    }

    async fn how_old_asterisks_word_is_stands_on_the_page(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/phones/map").await.shows("Asterisk has not told yet who is registered");
        app.told(vec![]).await;
        admin.get("/phones/map").await.hides("Asterisk has");
        app.pass(300);
        let page = admin.get("/phones/map").await;
        page.shows("Asterisk has not told who is registered since 2023-11-14 22:13; what you see is as of then");
        app.sql("UPDATE registration_feed SET error = 'Asterisk did not answer in time'").await;
        admin.get("/phones/map").await.shows("Asterisk did not answer in time.");
        admin.get("/phones/map/history?q=1000").await.shows("Asterisk did not answer in time.");
        app.told(vec![]).await;
        admin.get("/phones/map").await.hides("Asterisk has");
    }

    async fn two_instances_make_one_map_and_the_newer_one_stays(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        people(&admin, 3).await;
        app.told(vec![contact("1000", "10.0.1.20", YEALINK)]).await;
        let another = app.another().await;
        let (a, b) = tokio::join!(map::refresh(&app.state, TenantId::DEFAULT), map::refresh(&another.state, TenantId::DEFAULT));
        a.unwrap();
        b.unwrap();
        assert_eq!(app.number("SELECT count(*) FROM phone_map").await, 3);
        admin.post("/users/deletion", &[("id", &app.texts("SELECT user_id FROM extension WHERE number = 1002").await[0]), ("confirmed", "1")]).await;
        map::refresh_all(&another.state).await.unwrap();
        assert_eq!(app.number("SELECT count(*) FROM phone_map").await, 2);
    }
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
