//! The pages and calls about addresses.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure};
use patchbay::ipam::observe::{Sighting, What, seen};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};
use serde_json::json;

use crate::support::app::{Answer, Browser, TestApp, both_databases, next, tester};
use crate::support::process::Patchbay;

/// A subnet with static addresses `.10` to `.19`, the gateway `.1`, and DHCP for what is left.
async fn office(app: &TestApp) -> String {
    let mut spec = Spec::new("Voice Berlin".parse().unwrap(), "10.20.5.0/24".parse().unwrap());
    spec.gateway = Some("10.20.5.1".parse().unwrap());
    spec.statics = Pools::These(vec!["10.20.5.10-10.20.5.19".parse().unwrap()]);
    subnet(app, &spec).await
}

async fn subnet(app: &TestApp, spec: &Spec) -> String {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let made = subnets::create(&mut space, spec, false, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id.to_string()
}

fn someone(name: &str) -> Tenure {
    Tenure::of(Holder { kind: HolderKind::External, id: name.to_owned(), name: name.to_owned() })
}

/// A subnet of its own for each caller, of 256 addresses; its id.
pub async fn block(app: &TestApp, name: &str) -> String {
    let number = next();
    let cidr = format!("10.{}.{}.0/24", 100 + number / 256 % 100, number % 256);
    subnet(app, &Spec::new(name.parse().unwrap(), cidr.parse().unwrap())).await
}

/// A free address in such a subnet.
pub async fn free_address(app: &TestApp, name: &str) -> String {
    let id = block(app, name).await;
    let mut tx = app.state.read().await.unwrap();
    let id = id.parse().unwrap();
    let subnet = subnets::get(&mut tx, TenantId::DEFAULT, id).await.unwrap().unwrap();
    subnet.cidr.network().plus(7).unwrap().to_string()
}

/// Puts an address into a status, as `who`.
async fn put(app: &TestApp, address: &str, status: &str, who: &str) {
    let address = address.parse().unwrap();
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let by = Reserver { name: who.to_owned(), anybodys: true };
    match status {
        "available" => return,
        "allocated" => {
            let purpose = Purpose::Allocate(someone("Lift"));
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "reserved" => {
            let purpose = Purpose::Reserve { note: "Lobby phone".parse().unwrap(), until: None };
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "quarantine" => {
            let reason = "answers, nobody owns it".parse().unwrap();
            drop(addresses::quarantine(&mut space, address, &reason, None).await.unwrap());
        }
        other => panic!("{other}"),
    }
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

/// What is stored of an address: `status description`.
async fn stored(app: &TestApp, address: &str) -> String {
    let mut tx = app.state.read().await.unwrap();
    let found = addresses::get(&mut tx, TenantId::DEFAULT, address.parse().unwrap()).await.unwrap();
    found.map_or("available".to_owned(), |record| record.status.to_string())
}

/// The addresses a page of the list shows, in its order; a gap by its ends.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<tr id=\"a-").skip(1);
    let name = |row: &str| {
        let row = row.split("</tr>").next().unwrap();
        let gap = row.split_once("class=\"whole\"><span class=\"addr\">");
        let one = || row.split_once("<th scope=\"row\" class=\"addr\"><a href=\"/ipam/addresses/");
        gap.or_else(one).unwrap().1.split(['<', '"']).next().unwrap().to_owned()
    };
    rows.map(name).collect()
}

/// Markup that only a string that was not escaped could have brought in.
#[track_caller]
fn is_inert(page: &Answer) {
    for live in ["<script>alert", "\"the boss\" O'Neil", "Bob <1234>", "<&>\"'"] {
        assert!(!page.text.contains(live), "{live}: {}", page.text);
    }
}

/// Every status, and the word with which an address is brought into it.
const STATUSES: [(&str, &str); 4] = [
    ("available", "release"),
    ("allocated", "allocate"),
    ("reserved", "reserve"),
    ("quarantine", "quarantine"),
];

/// The nine transitions that are allowed.
fn legal(from: &str, to: &str) -> bool {
    matches!(
        (from, to),
        ("available", "allocated" | "reserved" | "quarantine")
            | ("reserved", "available" | "allocated" | "quarantine")
            | ("allocated", "available" | "quarantine")
            | ("quarantine", "available")
    )
}

/// Asks for a bulk change and confirms what is then shown.
async fn sure(by: &Browser<'_>, form: &[(&str, &str)]) -> Answer {
    let asked = by.post("/ipam/addresses/bulk", form).await;
    let seen = asked.between(r#"name="seen" value=""#, "\"").to_owned();
    let confirmed = [("confirmed", "1"), ("seen", seen.as_str())];
    by.post("/ipam/addresses/bulk", &[form, &confirmed[..]].concat()).await
}

/// Everything stored of addresses.
async fn rows(app: &TestApp) -> Vec<String> {
    let rows = "SELECT status || ' ' || description || ' ' || reason || ' ' || holder_name || ' ' || version
        FROM address ORDER BY address";
    let gaps = "SELECT CAST(count(*) AS TEXT) FROM gap";
    let audit = "SELECT CAST(count(*) AS TEXT) FROM audit_event";
    let mut all = app.texts(rows).await;
    all.extend(app.texts(gaps).await);
    all.extend(app.texts(audit).await);
    all
}

both_databases! {
    async fn the_list_folds_free_addresses_and_opens_them_on_request(app: TestApp) {
        let id = office(&app).await;
        put(&app, "10.20.5.12", "reserved", "ann").await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get(&format!("/ipam/addresses?subnet={id}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        for shown in ["Voice Berlin", "7 available", "Lobby phone", "1-5 of 5", "<b>243</b>"] {
            page.shows(shown);
        }
        assert_eq!(listed(&page), ["10.20.5.2 - 10.20.5.9", "10.20.5.10 - 10.20.5.11", "10.20.5.12",
            "10.20.5.13 - 10.20.5.19", "10.20.5.20 - 10.20.5.254"]);
        // DHCP's space is not for taking.
        assert_eq!(page.text.matches(">Take one</a>").count(), 2);
        let each = desk.get(&format!("/ipam/addresses?subnet={id}&free=each&type=static")).await;
        let ten: Vec<String> = (10..20).map(|n| format!("10.20.5.{n}")).collect();
        assert_eq!(listed(&each), ten);
        each.shows("Free addresses as ranges");
        let free = desk.get(&format!("/ipam/addresses?subnet={id}&status=available&size=50")).await;
        assert_eq!(listed(&free).len(), 9);
        free.hides("Lobby phone");
    }

    async fn filters_searches_orders_and_pages_are_in_the_url(app: TestApp) {
        let id = office(&app).await;
        for (address, status) in [("10.20.5.10", "allocated"), ("10.20.5.11", "reserved"), ("10.20.5.12", "quarantine")] {
            put(&app, address, status, "desk").await;
        }
        put(&app, "10.20.5.13", "reserved", "ann").await;
        let script = app.script(Role::Admin).await;
        let named = script.send("PATCH", "/api/v1/addresses/10.20.5.12", &json!({ "hostname": "zeta" })).await;
        assert_eq!(named.status, 200);
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        for (query, expected) in [
            ("status=allocated", vec!["10.20.5.10"]),
            ("status=reserved", vec!["10.20.5.11", "10.20.5.13"]),
            ("status=quarantine&q=10.20.", vec!["10.20.5.12"]),
            ("mine=1", vec!["10.20.5.11"]),
            ("q=lobby", vec!["10.20.5.11", "10.20.5.13"]),
            ("q=LIFT", vec!["10.20.5.10"]),
            ("q=10.20.5.12/31", vec!["10.20.5.12", "10.20.5.13"]),
            ("orphans=1", vec![]),
            ("conflict=1", vec![]),
            ("active=yes", vec![]),
            ("sort=hostname&subnet={id}&status=reserved", vec!["10.20.5.11", "10.20.5.13"]),
            ("sort=hostname&subnet={id}", vec!["10.20.5.12", "10.20.5.10", "10.20.5.11", "10.20.5.13", "10.20.5.2 - 10.20.5.9", "10.20.5.14 - 10.20.5.19", "10.20.5.20 - 10.20.5.254"]),
        ] {
            let query = query.replace("{id}", &id);
            let page = desk.get(&format!("/ipam/addresses?{query}")).await;
            assert_eq!((page.status, listed(&page)), (200, expected.iter().map(ToString::to_string).collect()), "{query}");
            let table = desk.ask("GET", &format!("/ipam/addresses/table?{query}")).header("hx-request", "true").send().await;
            assert_eq!(listed(&table), listed(&page));
            assert_eq!(table.header("hx-push-url").unwrap().split_once('?').unwrap().1.len(), query.replace('/', "%2F").len());
        }
        for (bad, status) in [("status=gone", 400), ("subnet=x", 400), ("sort=x", 400), ("page=x&size=7", 200)] {
            assert_eq!(desk.get(&format!("/ipam/addresses?{bad}")).await.status, status, "{bad}");
        }
        let first = desk.get(&format!("/ipam/addresses?subnet={id}&free=each&q=10.20.5.")).await;
        first.shows("1-12 of 12");
        let block = block(&app, "many").await;
        let page = desk.get(&format!("/ipam/addresses?subnet={block}&free=each&page=3")).await;
        for link in ["rel=\"first\"", "rel=\"prev\"", "rel=\"next\"", "rel=\"last\"", "51-75 of 254"] {
            page.shows(link);
        }
        desk.get(&format!("/ipam/addresses?subnet={block}&free=each&page=99")).await.shows("The list ends before this page");
    }

    async fn active_ones_and_orphans_are_found_and_the_heads_say_what_each_column_is(app: TestApp) {
        let id = office(&app).await;
        put(&app, "10.20.5.10", "allocated", "ann").await;
        put(&app, "10.20.5.11", "reserved", "ann").await;
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        addresses::claim(&mut space, "192.0.2.9".parse().unwrap(), &someone("Stray")).await.unwrap();
        for address in ["10.20.5.10", "192.0.2.9"] {
            let sighting = Sighting::new(address.parse().unwrap(), app.state.clock.now(), What::Present);
            seen(&mut space, &[sighting]).await.unwrap();
        }
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let script = app.script(Role::Helpdesk).await;
        for (query, expected) in [
            ("active=yes", vec!["10.20.5.10", "192.0.2.9"]),
            ("active=yes&status=allocated&type=static", vec!["10.20.5.10"]),
            ("active=no&status=reserved", vec!["10.20.5.11"]),
            ("orphans=1", vec!["192.0.2.9"]),
            ("orphans=1&active=yes", vec!["192.0.2.9"]),
            ("orphans=1&active=no", vec![]),
            (&format!("active=yes&subnet={id}"), vec!["10.20.5.10"]),
        ] {
            let page = desk.get(&format!("/ipam/addresses?{query}")).await;
            assert_eq!(listed(&page), expected, "{query}");
            page.shows(&format!("<b>{}</b> in all", expected.len()));
            let call = query.replace("active=yes", "active=true").replace("active=no", "active=false").replace("orphans=1", "orphans=true");
            let list = script.get(&format!("/api/v1/addresses?{call}")).await.json();
            let found: Vec<&str> = list["entries"].as_array().unwrap().iter().map(|one| one["address"].as_str().unwrap()).collect();
            assert_eq!((found, &list["total"]), (expected.clone(), &json!(expected.len())), "{call}: {list}");
            let file = desk.get(&format!("/ipam/addresses/export?format=csv&{query}")).await;
            let cells: Vec<&str> = file.text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
            assert_eq!(cells, expected, "{query}");
        }
        let page = desk.get("/ipam/addresses?active=yes").await;
        page.shows("<b>2</b> <span class=\"soft\">active</span>");
        let heads = |page: &Answer| -> Vec<String> {
            let head = page.between("<thead>", "</thead>").to_owned();
            let cells = head.split("<th ").skip(1).map(|cell| cell.split_once('>').unwrap().1.split_once("</th>").unwrap().0.to_owned());
            let plain = |cell: String| cell.split('<').filter_map(|part| part.split_once('>').map_or(Some(part), |(_, text)| Some(text))).collect::<String>();
            cells.map(plain).collect()
        };
        let columns = ["Address", "Subnet", "Status", "Active", "Hostname", "MAC", "Holder", "Type", "Note", "Actions"];
        assert_eq!(heads(&page)[1..], columns, "after the boxes to tick");
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        assert_eq!(heads(&auditor.get("/ipam/addresses").await), columns);
    }

    async fn a_word_of_two_letters_says_what_it_finds(app: TestApp) {
        const SAYS: &str = "finds the host names that begin with it";
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for (address, name) in [("10.20.5.10", "liza"), ("10.20.5.11", "alice")] {
            put(&app, address, "allocated", "ann").await;
            admin.post(&format!("/ipam/addresses/{address}/edit"), &[("hostname", name)]).await;
        }
        // Both are held by Lift, and one is called so in the middle.
        let page = admin.get("/ipam/addresses?q=li").await;
        assert_eq!(listed(&page), ["10.20.5.10"]);
        page.shows(SAYS);
        admin.get("/ipam/addresses?q=z").await.shows(SAYS);
        admin.ask("GET", "/ipam/addresses/table?q=li").header("hx-request", "true").send().await.shows(SAYS);
        let page = admin.get("/ipam/addresses?q=lif").await;
        assert_eq!(listed(&page), ["10.20.5.10", "10.20.5.11"]);
        page.hides(SAYS);
        // A number with a dot is part of an address, however short.
        admin.get("/ipam/addresses?q=1.").await.hides(SAYS);
        admin.get("/ipam/addresses").await.hides(SAYS);
    }

    async fn a_search_for_one_address_says_where_it_stands(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for (address, said) in [
            ("10.20.5.14", "10.20.5.14 is free in Voice Berlin (10.20.5.0/24)."),
            ("10.20.5.100", "10.20.5.100 is free; the DHCP server of Voice Berlin (10.20.5.0/24) may give it out."),
            ("10.20.5.0", "10.20.5.0 is the network address of Voice Berlin (10.20.5.0/24) and is never given out."),
            ("10.20.5.1", "10.20.5.1 is the gateway address of Voice Berlin"),
            ("10.20.5.255", "10.20.5.255 is the broadcast address of Voice Berlin"),
            ("192.168.1.1", "192.168.1.1 lies in no subnet; create one around it first."),
        ] {
            let page = admin.get(&format!("/ipam/addresses?q={address}")).await;
            page.shows(said);
            assert_eq!(page.text.contains("/ipam/subnets/new?address="), address.starts_with("192"));
            let one = admin.get(&format!("/ipam/addresses/{address}")).await;
            assert_eq!(one.status, 200);
            if !said.contains("is free") {
                one.shows(said.trim_end_matches('.'));
                one.hides("/reserve\"");
            }
        }
        let page = admin.get("/ipam/addresses?q=10.20.5.14").await;
        assert_eq!(listed(&page), ["10.20.5.14"]);
        for (path, status) in [("nonsense", 404), ("10.20.5.999", 404), ("2001%3Adb8%3A%3A1", 200), ("2001:db8::1", 200)] {
            assert_eq!(admin.get(&format!("/ipam/addresses/{path}")).await.status, status, "{path}");
        }
        let empty = admin.get("/ipam/addresses?q=nobody-is-called-so").await;
        empty.shows("Nothing matches");
    }

    async fn without_subnets_the_page_says_what_to_do(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/ipam/addresses").await.shows("Create the first subnet");
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        desk.get("/ipam/addresses").await.shows("Ask an operator to create one");
        desk.get("/ipam/addresses?mine=1").await.shows("You have reserved nothing");
    }

    async fn many_subnets_are_named_instead_of_chosen_from_a_list(app: TestApp) {
        for n in 0..101 {
            let mut spec = Spec::new(format!("Floor {n:03}").parse().unwrap(), format!("10.50.{n}.0/28").parse().unwrap());
            spec.dhcp = Pools::These(Vec::new());
            spec.vlan = Some((300 + n).try_into().unwrap());
            spec.site = if n < 2 { "Hamburg".parse().unwrap() } else { spec.site };
            subnet(&app, &spec).await;
        }
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        desk.get("/ipam/addresses").await.shows("Subnet, VLAN or site");
        for name in ["Floor+042", "floor+042", "042", "10.50.42.0/28", "vlan+342", "342"] {
            let found = desk.get(&format!("/ipam/addresses?in={name}")).await;
            assert_eq!(found.status, 303, "{name}");
            assert!(found.location().starts_with("/ipam/addresses?subnet="), "{found:?}");
            let page = desk.get(found.location()).await;
            page.shows("value=\"10.50.42.0/28\"");
            assert_eq!(listed(&page), ["10.50.42.1 - 10.50.42.14"]);
        }
        desk.get("/ipam/addresses?in=Floor+04").await.shows("Which subnet?");
        desk.get("/ipam/addresses?in=Cellar").await.shows("No subnet is called “Cellar”");
        let page = desk.get("/ipam/addresses?in=hamburg").await;
        for text in ["Which subnet?", "10.50.0.0/28", "10.50.1.0/28", "VLAN 301"] {
            page.shows(text);
        }
        page.hides("10.50.2.0/28</span>");
    }

    async fn sorting_changes_the_order_and_nothing_else(app: TestApp) {
        let id = office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        subnet(&app, &Spec::new("Two".parse().unwrap(), "10.2.0.0/29".parse().unwrap())).await;
        for (address, name) in [("10.20.5.10", "b"), ("10.20.5.11", "d"), ("10.20.5.12", "a"), ("10.2.0.3", "c")] {
            put(&app, address, "allocated", "ann").await;
            admin.post(&format!("/ipam/addresses/{address}/edit"), &[("hostname", name)]).await;
        }
        // What is not there has no addresses, in whatever order.
        let gone = "00000000-0000-7000-8000-000000000000";
        for nothing in [format!("subnet={gone}"), format!("subnet={id}&q=192.168.")] {
            for sort in ["address", "hostname", "-hostname", "mac"] {
                let page = admin.get(&format!("/ipam/addresses?{nothing}&sort={sort}")).await;
                assert_eq!(listed(&page), Vec::<String>::new(), "{nothing} {sort}");
            }
        }
        // Part of an address means several ranges: they are sorted as one.
        let page = admin.get("/ipam/addresses?q=10.2&status=allocated&sort=-hostname").await;
        assert_eq!(listed(&page), ["10.20.5.11", "10.2.0.3", "10.20.5.10", "10.20.5.12"]);
        page.shows(r#"aria-sort="descending"><a id="sort-hostname""#);
        let page = admin.get("/ipam/addresses?q=10.2&sort=hostname&size=200").await;
        let all = listed(&page);
        assert_eq!(all[..5], ["10.20.5.12", "10.20.5.10", "10.2.0.3", "10.20.5.11", "10.2.0.1 - 10.2.0.2"]);
        let page = admin.get("/ipam/addresses?q=10.2&status=allocated&sort=hostname&orphans=1").await;
        assert_eq!(listed(&page), Vec::<String>::new());
        // Whatever is free comes last, and is counted.
        let page = admin.get(&format!("/ipam/addresses?subnet={id}&status=available&sort=hostname")).await;
        assert_eq!(listed(&page), ["10.20.5.13", "10.20.5.14", "10.20.5.15", "10.20.5.16", "10.20.5.17", "10.20.5.18", "10.20.5.19"]);
        let script = app.script(Role::Auditor).await;
        let stats = async |sort: &str| {
            let list = script.get(&format!("/api/v1/addresses?subnet={id}&sort={sort}")).await.json();
            (list["total"].clone(), list["stats"].clone())
        };
        assert_eq!(stats("hostname").await, stats("address").await);
        assert_eq!(stats("-mac").await, stats("address").await);
    }

    async fn a_word_that_very_many_have_says_so_and_is_not_changed_at_once(app: TestApp) {
        let id = subnet(&app, &Spec::new("Fair".parse().unwrap(), "10.64.0.0/20".parse().unwrap())).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for _ in 0..2 {
            let form = [("subnet", id.as_str()), ("note", "Carousel"), ("count", "1024")];
            assert_eq!(admin.post("/ipam/addresses/take", &form).await.status, 201);
        }
        let script = app.script(Role::Admin).await;
        let list = script.get("/api/v1/addresses?q=carousel&size=25").await.json();
        assert_eq!((&list["total"], &list["more"], &list["stats"]["reserved"]), (&json!(2000), &json!(true), &json!(0)));
        let few = script.get("/api/v1/addresses?q=10.64.0.&status=reserved").await.json();
        assert_eq!((&few["more"], &few["stats"]["reserved"]), (&json!(false), &json!(255)));
        let page = admin.get("/ipam/addresses?q=carousel").await;
        page.shows("More than 2000");
        page.hides("that match</label>");
        let form = [("action", "release"), ("all", "1"), ("list", "/ipam/addresses?q=carousel")];
        let refused = admin.post("/ipam/addresses/bulk", &form).await;
        assert_eq!(refused.status, 422);
        refused.shows("More than 2,000 addresses match");
        let forced = [&form[..], &[("confirmed", "1"), ("skip", "1")]].concat();
        admin.post("/ipam/addresses/bulk", &forced).await.shows("More than 2,000 addresses match");
        assert_eq!(app.number("SELECT count(*) FROM address WHERE status = 'reserved'").await, 2048);
    }

    async fn the_next_free_address_of_a_pool_is_taken_from_its_line(app: TestApp) {
        let mut spec = Spec::new("Two".parse().unwrap(), "10.7.0.0/24".parse().unwrap());
        spec.statics = Pools::These(vec!["10.7.0.10-10.7.0.19".parse().unwrap(), "10.7.0.50-10.7.0.51".parse().unwrap()]);
        spec.vlan = Some(77.try_into().unwrap());
        let id = subnet(&app, &spec).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        desk.get("/ipam/addresses").await.shows("10.7.0.0/24 Two, VLAN 77</option>");
        let page = desk.get(&format!("/ipam/subnets/{id}")).await;
        let (before, _) = page.text.split_once("of 10.7.0.50-10.7.0.51").unwrap();
        let link = before.rsplit_once("href=\"").unwrap().1.split('"').next().unwrap().replace("&amp;", "&");
        let form = desk.get(&link).await;
        form.shows("10.7.0.50-10.7.0.51");
        let pool = form.between(r#"name="pool" value=""#, "\"").to_owned();
        let fields = [("subnet", id.as_str()), ("pool", pool.as_str()), ("note", "Door"), ("count", "1")];
        for expected in ["10.7.0.50", "10.7.0.51"] {
            let taken = desk.post("/ipam/addresses/take", &fields).await;
            assert_eq!(taken.status, 201, "{taken:?}");
            taken.shows(expected);
        }
        let full = desk.post("/ipam/addresses/take", &fields).await;
        assert_eq!(full.status, 409);
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        auditor.get(&format!("/ipam/subnets/{id}")).await.hides("Take next free");
        let strange = [&fields[..1], &[("pool", "00000000-0000-7000-8000-000000000000"), ("note", "x")]].concat();
        assert_eq!(desk.post("/ipam/addresses/take", &strange).await.status, 404);
    }

    async fn the_history_says_why(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let at = "/ipam/addresses/10.20.5.10";
        admin.get(&format!("{at}/allocate")).await.shows("Why, for its history");
        let form = [("kind", "external"), ("holder", "Lift company"), ("why", "ticket 4711")];
        assert_eq!(admin.post(&format!("{at}/allocate"), &form).await.status, 303);
        assert_eq!(admin.post(&format!("{at}/edit"), &[("hostname", "lift"), ("why", "they told us")]).await.status, 303);
        let long = "x".repeat(501);
        assert_eq!(admin.post(&format!("{at}/release"), &[("why", long.as_str())]).await.status, 422);
        assert_eq!(admin.post(&format!("{at}/release"), &[("why", "lift <b>gone</b>")]).await.status, 303);
        let page = admin.get(at).await;
        for why in ["ticket 4711", "they told us", "lift <b>gone</b>"] {
            page.shows(why);
        }
        assert!(!page.text.contains("<b>gone"));
        let api = "/api/v1/addresses/10.20.5.11";
        let body = json!({ "holder": { "kind": "external", "name": "Ann" }, "why": "ticket 1" });
        assert_eq!(script.send("POST", &format!("{api}/allocate"), &body).await.status, 200);
        assert_eq!(script.send("PATCH", api, &json!({ "hostname": "ann", "why": "ticket 2" })).await.status, 200);
        assert_eq!(script.send("POST", &format!("{api}/release"), &json!({ "why": 7 })).await.status, 422);
        assert_eq!(script.send("POST", &format!("{api}/release"), &json!({ "why": "ticket 3" })).await.status, 200);
        let events = script.get(&format!("{api}/history")).await.json()["events"].clone();
        let notes: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["note"].as_str().unwrap()).collect();
        assert_eq!(notes, ["ticket 3", "ticket 2", "ticket 1"]);
        // Many at once, for one reason.
        for address in ["10.20.5.12", "10.20.5.13"] {
            put(&app, address, "allocated", "ann").await;
        }
        let form = [("action", "release"), ("id", "10.20.5.12"), ("note", "floor closed")];
        assert_eq!(sure(&admin, &form).await.status, 303);
        admin.get("/ipam/addresses/10.20.5.12").await.shows("floor closed");
        let body = json!({ "action": "release", "addresses": ["10.20.5.13"], "why": "floor closed" });
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &body).await.status, 200);
        admin.get("/ipam/addresses/10.20.5.13").await.shows("floor closed");
        // Nobody has to say anything.
        let body = json!({ "holder": { "kind": "external", "name": "Ann" } });
        assert_eq!(script.send("POST", &format!("{api}/allocate"), &body).await.status, 200);
        assert_eq!(script.ask("POST", &format!("{api}/release")).send().await.status, 200);
    }

    async fn every_transition_that_is_not_allowed_is_refused_everywhere(app: TestApp) {
        block(&app, "matrix").await;
        let subnet = app.texts("SELECT id FROM subnet").await[0].clone();
        let subnet = {
            let mut tx = app.state.read().await.unwrap();
            subnets::get(&mut tx, TenantId::DEFAULT, subnet.parse().unwrap()).await.unwrap().unwrap()
        };
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let mut at = subnet.cidr.network();
        for (from, _) in STATUSES {
            for (to, word) in STATUSES {
                for via in ["page", "htmx", "api", "bulk page", "bulk call"] {
                    at = at.next().unwrap();
                    let address = at.to_string();
                    put(&app, &address, from, "ann").await;
                    let before = rows(&app).await;
                    let stamp = script.get(&format!("/api/v1/addresses/{address}")).await.json()["version"].to_string();
                    let end = if from == "quarantine" && to == "available" { "end_quarantine" } else { word };
                    let status = match via {
                        "page" | "htmx" => {
                            let form = [("note", "x"), ("reason", "x"), ("kind", "external"), ("holder", "Bob"), ("stamp", stamp.as_str())];
                            let path = format!("/ipam/addresses/{address}/{word}");
                            if via == "page" {
                                admin.post(&path, &form).await.status
                            } else {
                                let csrf = admin.csrf.borrow().clone();
                                let ask = admin.ask("POST", &path).ours().header("hx-request", "true").header("x-csrf-token", &csrf);
                                ask.form(&form).send().await.status
                            }
                        }
                        "api" => {
                            let body = match to {
                                "allocated" => json!({ "holder": { "kind": "external", "name": "Bob" } }),
                                "reserved" => json!({ "note": "x" }),
                                "quarantine" => json!({ "reason": "x" }),
                                _ => json!({}),
                            };
                            script.send("POST", &format!("/api/v1/addresses/{address}/{word}"), &body).await.status
                        }
                        "bulk page" if to == "allocated" => continue,
                        "bulk page" => {
                            let form = [("action", end), ("id", address.as_str()), ("note", "x")];
                            sure(&admin, &form).await.status
                        }
                        _ => {
                            let mut body = json!({ "action": end, "addresses": [address], "note": "x", "reason": "x" });
                            if to == "allocated" {
                                body["holder"] = json!({ "kind": "external", "name": "Bob" });
                            }
                            script.send("POST", "/api/v1/addresses/bulk", &body).await.status
                        }
                    };
                    let what = format!("{from} to {to} by {via}");
                    if legal(from, to) {
                        assert!(matches!(status, 200 | 303), "{what}: {status}");
                        let now = if (from, to) == ("quarantine", "available") { "available" } else { to };
                        assert_eq!(stored(&app, &address).await, now, "{what}");
                    } else {
                        assert_eq!(status, if via == "htmx" { 422 } else { 409 }, "{what}");
                        assert_eq!(rows(&app).await, before, "{what}");
                    }
                }
            }
        }
    }

    async fn a_reservation_has_a_description_and_nothing_else_has(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let at = "/ipam/addresses/10.20.5.10";
        // The seed's third scenario: reserved with a description, then cleared.
        let done = admin.post(&format!("{at}/reserve"), &[("note", "Lobby phone & <i>")]).await;
        assert_eq!((done.status, done.location()), (303, at));
        let page = admin.get(at).await;
        page.shows("10.20.5.10 is reserved for you");
        page.shows("Lobby phone & <i>");
        assert!(!page.text.contains("<i>"));
        let api = script.get("/api/v1/addresses/10.20.5.10").await.json();
        assert_eq!((&api["status"], &api["description"], &api["reserved_by"]), (&json!("reserved"), &json!("Lobby phone & <i>"), &json!("admin")));
        assert_eq!(admin.post(&format!("{at}/release"), &[]).await.status, 303);
        let api = script.get("/api/v1/addresses/10.20.5.10").await.json();
        assert_eq!((&api["status"], &api["description"], &api["version"]), (&json!("available"), &json!(""), &json!(0)));
        // The same by calls.
        let path = "/api/v1/addresses/10.20.5.10";
        let kept = script.send("POST", &format!("{path}/reserve"), &json!({ "note": "Lobby phone" })).await;
        assert_eq!((kept.status, &kept.json()["status"], &kept.json()["description"]), (200, &json!("reserved"), &json!("Lobby phone")), "{kept:?}");
        let said = script.send("PATCH", path, &json!({ "description": "Lobby phone, second floor" })).await;
        assert_eq!((said.status, &said.json()["description"]), (200, &json!("Lobby phone, second floor")));
        admin.get(at).await.shows("Lobby phone, second floor");
        assert_eq!(script.send("PATCH", path, &json!({ "description": "" })).await.status, 422);
        assert_eq!(script.ask("POST", &format!("{path}/release")).send().await.status, 200);
        let api = script.get(path).await.json();
        assert_eq!((&api["status"], &api["description"], &api["reserved_by"]), (&json!("available"), &json!(""), &json!("")));

        put(&app, "10.20.5.11", "allocated", "ann").await;
        put(&app, "10.20.5.12", "quarantine", "ann").await;
        let before = rows(&app).await;
        for address in ["10.20.5.10", "10.20.5.11", "10.20.5.12"] {
            let form = [("description", "mine"), ("reason", if address.ends_with("12") { "odd" } else { "" })];
            let page = admin.post(&format!("/ipam/addresses/{address}/edit"), &form).await;
            assert_eq!(page.status, 422, "{address}");
            let answer = script.send("PATCH", &format!("/api/v1/addresses/{address}"), &json!({ "description": "mine" })).await;
            assert_eq!(answer.status, 422, "{address}");
            if !address.ends_with("10") {
                assert!(page.field_error("description").ends_with("only a reserved address has a description"));
                assert!(answer.json()["errors"]["description"].is_string(), "{answer:?}");
            }
        }
        put(&app, "10.20.5.13", "reserved", "ann").await;
        for (field, address) in [("reason", "10.20.5.13"), ("reason", "10.20.5.11"), ("until", "10.20.5.11")] {
            let mut patch = json!({});
            patch[field] = json!(if field == "until" { "2030-01-01" } else { "x" });
            let answer = script.send("PATCH", &format!("/api/v1/addresses/{address}"), &patch).await;
            assert_eq!(answer.status, 422, "{field} {address}: {answer:?}");
        }
        assert_eq!(rows(&app).await.len(), before.len() + 1);
        // A reservation does not lose its reason.
        let answer = script.send("PATCH", "/api/v1/addresses/10.20.5.13", &json!({ "description": "" })).await;
        assert_eq!(answer.status, 422);
        for note in ["", "  ", "a\nb", "a\u{202e}b", &"x".repeat(501)] {
            let page = admin.post("/ipam/addresses/10.20.5.14/reserve", &[("note", note)]).await;
            assert_eq!(page.status, 422, "{note:?}");
            assert!(!page.field_error("note").is_empty());
            let answer = script.send("POST", "/api/v1/addresses/10.20.5.14/reserve", &json!({ "note": note })).await;
            assert_eq!(answer.status, 422);
        }
    }

    async fn help_desk_reserves_and_releases_its_own_and_nothing_else(app: TestApp) {
        office(&app).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        put(&app, "10.20.5.11", "reserved", "ann").await;
        put(&app, "10.20.5.12", "allocated", "ann").await;
        put(&app, "10.20.5.13", "quarantine", "ann").await;
        assert_eq!(desk.post("/ipam/addresses/10.20.5.10/reserve", &[("note", "x")]).await.status, 303);
        for address in ["10.20.5.11", "10.20.5.12", "10.20.5.13"] {
            let before = rows(&app).await;
            let page = desk.post(&format!("/ipam/addresses/{address}/release"), &[]).await;
            assert_eq!(page.status, 403, "{address}");
            page.shows("only ");
            let edit = desk.post(&format!("/ipam/addresses/{address}/edit"), &[("description", "x"), ("reason", "x")]).await;
            assert_eq!(edit.status, 403, "{address}");
            assert_eq!(sure(&desk, &[("action", "release"), ("id", address)]).await.status, 409);
            assert_eq!(rows(&app).await, before);
        }
        for action in ["quarantine", "end_quarantine"] {
            let bulk = [("action", action), ("id", "10.20.5.10")];
            assert_eq!(desk.post("/ipam/addresses/bulk", &bulk).await.status, 403);
        }
        let script = app.token_of("desk", Role::Helpdesk, None).await;
        let id = app.texts("SELECT id FROM subnet").await[0].clone();
        let body = json!({ "holder": { "kind": "external", "name": "Bob" } });
        let answer = app.ask("POST", &format!("/api/v1/subnets/{id}/next-free")).token(&script).json(&body).send().await;
        assert_eq!(answer.status, 403);
        let page = desk.get("/ipam/addresses").await;
        assert_eq!(page.text.matches(">Release</a>").count(), 1);
        page.hides("Give to");
        assert_eq!(desk.post("/ipam/addresses/10.20.5.10/release", &[]).await.status, 303);
        assert_eq!(stored(&app, "10.20.5.10").await, "available");
    }

    async fn the_next_free_addresses_are_taken_by_page(app: TestApp) {
        let id = office(&app).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let take = |form: Vec<(&'static str, &'static str)>| {
            let id = id.clone();
            let desk = &desk;
            async move {
                let form: Vec<(&str, &str)> = form.into_iter().chain([("subnet", id.as_str())]).collect();
                desk.post("/ipam/addresses/take", &form).await
            }
        };
        let one = take(vec![("note", "Lobby phone"), ("until", "2023-12-01")]).await;
        assert_eq!(one.status, 201);
        one.shows("10.20.5.10 is yours");
        one.shows("until the end of 2023-12-01");
        let three = take(vec![("note", "Printers"), ("count", "3"), ("contiguous", "1")]).await;
        three.shows("3 addresses are yours");
        three.shows("10.20.5.11\n10.20.5.12\n10.20.5.13");
        let wished = take(vec![("note", "Lift"), ("address", "10.20.5.17")]).await;
        wished.shows("10.20.5.17 is yours");
        for (form, field, status, said) in [
            (vec![("note", "")], "note", 422, "say why: the next person will want to know"),
            (vec![("note", "x"), ("count", "0")], "count", 422, "take 1 to 1024 at once"),
            (vec![("note", "x"), ("count", "many")], "count", 422, "take 1 to 1024 at once"),
            (vec![("note", "x"), ("until", "tomorrow")], "until", 422, "use a date such as 2026-11-20"),
            (vec![("note", "x"), ("until", "2023-11-13")], "until", 422, "that time is over"),
            (vec![("note", "x"), ("address", "10.20.5.17")], "address", 409, "10.20.5.17 is reserved: desk (Lift)"),
            (vec![("note", "x"), ("address", "10.20.5.1")], "address", 409, "gateway"),
            (vec![("note", "x"), ("address", "10.20.6.1")], "address", 422, "10.20.6.1 is not in Voice Berlin"),
            (vec![("note", "x"), ("count", "6")], "count", 409, "Voice Berlin (10.20.5.0/24) has no 6 addresses free: 5 left"),
            (vec![("note", "x"), ("count", "4"), ("contiguous", "1")], "count", 409, "4 addresses in a row free: 5 left"),
        ] {
            let before = rows(&app).await;
            let page = take(form.clone()).await;
            assert_eq!(page.status, status, "{form:?}");
            assert!(page.field_error(field).contains(said), "{form:?}: {}", page.field_error(field));
            assert_eq!(rows(&app).await, before);
        }
        assert_eq!(take(vec![("note", "x"), ("count", "5")]).await.status, 201);
        let full = take(vec![("note", "x")]).await;
        assert_eq!(full.status, 409);
        assert!(full.field_error("count").contains("has no address free: 0 left"));
        let mine = desk.get("/ipam/addresses?mine=1&size=50").await;
        assert_eq!(listed(&mine).len(), 10);
        mine.shows("until 2023-12-01");
    }

    async fn a_row_of_a_gap_becomes_an_address_and_the_rest_of_the_gap(app: TestApp) {
        office(&app).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let csrf = desk.csrf.borrow().clone();
        let get = |path: &'static str| desk.ask("GET", path).header("hx-request", "true").send();
        let form = get("/ipam/addresses/10.20.5.10/reserve?gap=10.20.5.19").await;
        assert!(form.text.trim_start().starts_with("<tr id=\"a-10-20-5-10\" class=\"edit\">"), "{form:?}");
        form.shows("name=\"gap\" value=\"10.20.5.19\"");
        let post = |fields: &'static [(&'static str, &'static str)]| {
            let ask = desk.ask("POST", "/ipam/addresses/10.20.5.10/reserve").ours();
            ask.header("hx-request", "true").header("x-csrf-token", &csrf).form(fields).send()
        };
        let bad = post(&[("note", ""), ("gap", "10.20.5.19")]).await;
        assert_eq!(bad.status, 422);
        bad.shows("say why");
        let done = post(&[("note", "Lobby"), ("gap", "10.20.5.19")]).await;
        assert_eq!((done.status, done.header("hx-trigger")), (200, Some("addresses-changed")));
        assert_eq!(listed(&done), ["10.20.5.10", "10.20.5.11 - 10.20.5.19"]);
        let late = post(&[("note", "Mine"), ("gap", "10.20.5.19")]).await;
        assert_eq!(late.status, 422);
        late.shows("10.20.5.10 is reserved: desk (Lobby)");
        assert_eq!(listed(&get("/ipam/addresses/10.20.5.11/row?gap=10.20.5.19").await), ["10.20.5.11 - 10.20.5.19"]);
        assert_eq!(listed(&get("/ipam/addresses/10.20.5.10/row").await), ["10.20.5.10"]);
    }

    async fn of_two_editors_the_second_is_shown_what_the_first_made(app: TestApp) {
        office(&app).await;
        put(&app, "10.20.5.10", "reserved", "ann").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let at = "/ipam/addresses/10.20.5.10/edit";
        let stamp = admin.get(at).await.between(r#"name="stamp" value=""#, "\"").to_owned();
        let mine = [("description", "Mine"), ("stamp", stamp.as_str())];
        assert_eq!(admin.post(at, &[("description", "Theirs"), ("stamp", &stamp)]).await.status, 303);
        let page = admin.post(at, &mine).await;
        assert_eq!(page.status, 412);
        page.shows("ann (Theirs)");
        page.shows("value=\"Mine\"");
        let again = page.between(r#"name="stamp" value=""#, "\"").to_owned();
        assert_eq!(admin.post(at, &[("description", "Mine"), ("stamp", &again)]).await.status, 303);
        // Even when the address was free in between, and counts from one again.
        let path = "/api/v1/addresses/10.20.5.10";
        let old = script.get(path).await;
        let tag = old.header("etag").unwrap().to_owned();
        assert_eq!(script.send("POST", &format!("{path}/release"), &json!({})).await.status, 200);
        assert_eq!(script.send("POST", &format!("{path}/reserve"), &json!({ "note": "Bob's" })).await.status, 200);
        let late = script.ask("POST", &format!("{path}/release")).header("if-match", &tag).send().await;
        assert_eq!(late.status, 412, "{late:?}");
        let late = script.ask("PATCH", path).header("if-match", &tag).json(&json!({ "hostname": "x" })).send().await;
        assert_eq!(late.status, 412);
        assert_eq!(admin.post("/ipam/addresses/10.20.5.10/release", &[("stamp", &stamp)]).await.status, 412);
        assert_eq!(script.get(path).await.json()["description"], "Bob's");
    }

    async fn many_are_changed_at_once_or_none(app: TestApp) {
        let id = office(&app).await;
        for n in 10..14 {
            put(&app, &format!("10.20.5.{n}"), "reserved", "ann").await;
        }
        put(&app, "10.20.5.14", "quarantine", "ann").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let list = format!("/ipam/addresses?subnet={id}");
        let before = rows(&app).await;
        let form = [("action", "release"), ("id", "10.20.5.10"), ("id", "10.20.5.14"), ("id", "10.20.5.15"), ("list", list.as_str())];
        let asked = admin.post("/ipam/addresses/bulk", &form).await;
        assert_eq!(asked.status, 200);
        asked.shows("Release 1 address?");
        asked.shows("10.20.5.14 is quarantine and cannot become available: end the quarantine instead");
        asked.shows("10.20.5.15 is available and cannot become available: it is free already");
        let seen = asked.between(r#"name="seen" value=""#, "\"").to_owned();
        let all: Vec<(&str, &str)> = form.into_iter().chain([("confirmed", "1"), ("seen", &seen)]).collect();
        assert_eq!(admin.post("/ipam/addresses/bulk", &all).await.status, 409);
        assert_eq!(rows(&app).await, before);
        let without: Vec<(&str, &str)> = all.iter().copied().chain([("skip", "1")]).collect();
        let done = admin.post("/ipam/addresses/bulk", &without).await;
        assert_eq!((done.status, done.location()), (303, list.as_str()));
        admin.get(&list).await.shows("1 address released");

        // All that match: what is reserved, whatever page it is on.
        let reserved = "/ipam/addresses?status=reserved";
        let form = [("action", "release"), ("all", "1"), ("list", reserved)];
        let asked = admin.post("/ipam/addresses/bulk", &form).await;
        asked.shows("Release 3 addresses?");
        let seen = asked.between(r#"name="seen" value=""#, "\"").to_owned();
        let confirmed = [("action", "release"), ("all", "1"), ("list", reserved), ("confirmed", "1"), ("seen", seen.as_str())];
        // Another set of the same size is another set, and so is the same one of other people.
        let three = rows(&app).await;
        assert_eq!(admin.post("/ipam/addresses/10.20.5.11/release", &[]).await.status, 303);
        put(&app, "10.20.5.10", "reserved", "ann").await;
        let page = admin.post("/ipam/addresses/bulk", &confirmed).await;
        assert_eq!(page.status, 409);
        page.shows("The list has changed since");
        page.shows("Release 3 addresses?");
        assert_eq!(admin.post("/ipam/addresses/10.20.5.10/release", &[]).await.status, 303);
        put(&app, "10.20.5.11", "reserved", "bob").await;
        assert_eq!(admin.post("/ipam/addresses/bulk", &confirmed).await.status, 409);
        assert_eq!(rows(&app).await.len(), three.len());
        assert_eq!(sure(&admin, &form).await.status, 303);
        assert_eq!(app.number("SELECT count(*) FROM address").await, 1);

        // Free ones, each shown for itself.
        let free = format!("/ipam/addresses?subnet={id}&free=each&status=available");
        let form = [("action", "reserve"), ("all", "1"), ("list", free.as_str()), ("confirmed", "1"), ("note", "")];
        let page = admin.post("/ipam/addresses/bulk", &form).await;
        assert_eq!(page.status, 422);
        assert!(page.field_error("note").contains("say why"));
        let form = [("action", "reserve"), ("all", "1"), ("list", free.as_str()), ("note", "Move")];
        assert_eq!(sure(&admin, &form).await.status, 303);
        assert_eq!(app.number("SELECT count(*) FROM address WHERE description = 'Move' AND reserved_by = 'admin'").await, 9);

        subnet(&app, &Spec::new("v6".parse().unwrap(), "2001:db8::/64".parse().unwrap())).await;
        let form = [("action", "reserve"), ("all", "1"), ("list", "/ipam/addresses?free=each")];
        let page = admin.post("/ipam/addresses/bulk", &form).await;
        assert_eq!(page.status, 422);
        page.shows("at most 20,000 are changed at once");
        for (form, status) in [
            (vec![("action", "release")], 303),
            (vec![("action", "explode"), ("id", "10.20.5.10")], 400),
            (vec![("action", "release"), ("id", "x")], 400),
        ] {
            assert_eq!(admin.post("/ipam/addresses/bulk", &form).await.status, status);
        }
        let form = [("action", "release"), ("list", "//evil.example")];
        assert_eq!(admin.post("/ipam/addresses/bulk", &form).await.location(), "/ipam/addresses");
    }

    async fn the_notes_of_many_are_edited_at_once(app: TestApp) {
        let id = office(&app).await;
        for n in 10..14 {
            put(&app, &format!("10.20.5.{n}"), "reserved", if n < 13 { "desk" } else { "ann" }).await;
        }
        put(&app, "10.20.5.14", "quarantine", "ann").await;
        put(&app, "10.20.5.15", "allocated", "ann").await;
        let notes = async || app.texts("SELECT description || '|' || reason || '|' || CAST(coalesce(until, 0) AS TEXT) FROM address ORDER BY address").await;
        // Each that cannot have a note is named, and why.
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = rows(&app).await;
        let list = format!("/ipam/addresses?subnet={id}");
        let ids: Vec<String> = (10..17).map(|n| format!("10.20.5.{n}")).collect();
        let mut form = vec![("action", "edit"), ("list", list.as_str()), ("note", "Floor 3, new wiring")];
        form.extend(ids.iter().map(|id| ("id", id.as_str())));
        let asked = admin.post("/ipam/addresses/bulk", &form).await;
        asked.shows("Edit 5 addresses?");
        asked.shows("10.20.5.15 is allocated: only a reserved address has a description");
        asked.shows("10.20.5.16 is available: reserve or allocate it before you describe it");
        assert_eq!(sure(&admin, &form).await.status, 409, "all or nothing");
        assert_eq!(rows(&app).await, before);
        form.push(("skip", "1"));
        assert_eq!(sure(&admin, &form).await.location(), list);
        admin.get(&list).await.shows("5 addresses changed");
        let floor = "Floor 3, new wiring";
        assert_eq!(notes().await[..6], [&format!("{floor}||0"), &format!("{floor}||0"), &format!("{floor}||0"), &format!("{floor}||0"), &format!("|{floor}|0"), "||0"]);
        admin.get("/ipam/addresses/10.20.5.11").await.shows(floor);
        let told = "SELECT count(*) FROM audit_event WHERE action = 'address.changed' AND subject LIKE '10.20.5.%'";
        assert_eq!(app.number(told).await, 5);
        // The help desk edits what is its own: here all that match, whatever page they are on.
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get("/ipam/addresses?status=reserved").await;
        page.shows(r#"<button name="action" value="edit">Edit…</button>"#);
        page.hides("that match</label>");
        let all = [("action", "edit"), ("all", "1"), ("list", "/ipam/addresses?status=reserved"), ("until", "2031-01-31")];
        let asked = desk.post("/ipam/addresses/bulk", &all).await;
        asked.shows("Edit 3 addresses?");
        asked.shows("10.20.5.13 is reserved: ann");
        let mine = [("action", "edit"), ("all", "1"), ("list", "/ipam/addresses?mine=1"), ("until", "2031-01-31")];
        assert_eq!(sure(&desk, &mine).await.status, 303);
        let ends = notes().await;
        assert!(ends[..3].iter().all(|line| line.starts_with(&format!("{floor}||19")) && line.len() > floor.len() + 8), "{ends:?}");
        assert_eq!(ends[3], format!("{floor}||0"), "the note stayed, and so did what is another's");
        for (form, error) in [
            ([("note", " "), ("until", "")], "write a note, or choose a day"),
            ([("note", "a\u{202e}b"), ("until", "")], ""),
        ] {
            let page = desk.post("/ipam/addresses/bulk", &[&form[..], &[("action", "edit"), ("id", "10.20.5.10"), ("confirmed", "1")]].concat()).await;
            assert_eq!(page.status, 422);
            assert!(page.field_error("note").contains(error));
        }
        let over = [("action", "edit"), ("id", "10.20.5.10"), ("until", "2001-01-31")];
        let page = sure(&desk, &over).await;
        assert_eq!(page.status, 422);
        assert!(page.field_error("until").contains("that day is over"));
        // And by a call.
        let script = app.token_of("desk", Role::Helpdesk, None).await;
        let call = async |body: serde_json::Value| app.ask("POST", "/api/v1/addresses/bulk").token(&script).json(&body).send().await;
        let before = rows(&app).await;
        let refused = call(json!({ "action": "edit", "addresses": ["10.20.5.10", "10.20.5.13", "10.20.5.15"], "note": "x" })).await;
        assert_eq!(refused.status, 409);
        let errors = refused.json()["errors"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(errors, ["10.20.5.13", "10.20.5.15"]);
        assert!(call(json!({ "action": "edit", "addresses": ["10.20.5.10"] })).await.json()["errors"]["note"].is_string());
        assert_eq!(call(json!({ "action": "edit", "addresses": ["10.20.5.10"], "note": "" })).await.status, 422);
        assert_eq!(rows(&app).await, before);
        let done = call(json!({ "action": "edit", "matching": { "mine": true }, "expected": 3, "note": "Lobby", "why": "the move" })).await;
        assert_eq!(done.json(), json!({ "changed": 3 }), "{done:?}");
        assert!(notes().await[..3].iter().all(|line| line.starts_with("Lobby||19")));
        admin.get("/ipam/addresses/10.20.5.12").await.shows("the move");
    }

    async fn all_that_match_are_offered_where_there_is_more_than_one_page(app: TestApp) {
        let id = subnet(&app, &Spec::new("Fair".parse().unwrap(), "10.64.0.0/24".parse().unwrap())).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = [("subnet", id.as_str()), ("note", "Carousel"), ("count", "30")];
        assert_eq!(admin.post("/ipam/addresses/take", &form).await.status, 201);
        let list = format!("/ipam/addresses?subnet={id}&status=reserved");
        let page = admin.get(&list).await;
        assert_eq!(listed(&page).len(), 25);
        page.shows(r#"<input type="checkbox" name="all" value="1"> all 30 that match</label>"#);
        let here = page.between(r#"name="list" value=""#, "\"").replace("&#38;", "&").replace("&amp;", "&");
        let all = [("action", "edit"), ("all", "1"), ("list", here.as_str()), ("note", "Ghost train")];
        admin.post("/ipam/addresses/bulk", &all).await.shows("Edit 30 addresses?");
        assert_eq!(sure(&admin, &all).await.status, 303);
        assert_eq!(app.number("SELECT count(*) FROM address WHERE description = 'Ghost train'").await, 30);
        // Free ones too, each for itself.
        admin.get(&format!("/ipam/addresses?subnet={id}&status=available")).await.shows("all 224 that match</label>");
        admin.get(&format!("/ipam/addresses?subnet={id}&status=reserved&size=50")).await.hides("that match</label>");
    }

    async fn an_address_is_given_to_somebody_by_number_name_or_choice(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann O'Neil", "ann@example.com", "").await;
        let ray = admin.add("Ann Ray", "ray@example.com", "").await;
        let at = |n: u8| format!("/ipam/addresses/10.20.5.{n}/allocate");
        let form = [("kind", "user"), ("holder", "1000"), ("hostname", "t46"), ("mac", "0015.6512.3456")];
        assert_eq!(admin.post(&at(10), &form).await.status, 303);
        let page = admin.get("/ipam/addresses/10.20.5.10").await;
        page.shows(&format!(r#"<a href="/users/{ann}">Ann O'Neil</a>"#));
        page.shows("00:15:65:12:34:56");
        let page = admin.post(&at(11), &[("kind", "user"), ("holder", "ann")]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("holder"), "who of them?");
        page.shows("Ann Ray");
        let form = [("kind", "user"), ("holder", "ann"), ("person", ray.as_str())];
        assert_eq!(admin.post(&at(11), &form).await.status, 303);
        let page = admin.post(&at(12), &[("kind", "user"), ("holder", "Zoë")]).await;
        assert!(page.field_error("holder").starts_with("no user has the number or name Zoë"));
        let page = admin.post(&at(12), &[("kind", "user"), ("holder", ""), ("mac", "x"), ("hostname", "a b")]).await;
        assert_eq!((page.status, page.field_error("holder")), (422, "say who gets it".to_owned()));
        assert_eq!(admin.post(&at(12), &[("kind", "external"), ("holder", "Lift company")]).await.status, 303);
        admin.get("/ipam/addresses?q=lift").await.shows("Lift company");
        admin.get("/ipam/addresses?q=00-15-65").await.shows("10.20.5.10");
    }

    async fn a_conflict_shows_both_and_is_decided(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let claim = |address: &'static str, name: &'static str| {
            let app = &app;
            async move {
                let mut change = app.state.change(&tester()).await.unwrap();
                let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
                addresses::claim(&mut space, address.parse().unwrap(), &someone(name)).await.unwrap();
                space.close().await.unwrap();
                change.commit().await.unwrap();
            }
        };
        for address in ["10.20.5.10", "10.20.5.11"] {
            claim(address, "Lift").await;
            claim(address, "Gate").await;
        }
        let page = admin.get("/ipam/addresses?conflict=1").await;
        assert_eq!(listed(&page), ["10.20.5.10", "10.20.5.11"]);
        page.shows("also external Gate");
        let form = admin.get("/ipam/addresses/10.20.5.10/resolve").await;
        form.shows("external Lift");
        form.shows("external Gate");
        let give = form.between("value=\"give ", "\"").to_owned();
        let done = admin.post("/ipam/addresses/10.20.5.10/resolve", &[("decision", &format!("give {give}"))]).await;
        assert_eq!(done.status, 303);
        let script = app.script(Role::Admin).await;
        let now = script.get("/api/v1/addresses/10.20.5.10").await.json();
        assert_eq!((&now["holder"]["name"], &now["conflict"], &now["claims"]), (&json!("Gate"), &json!(false), &json!([])));
        let other = script.get("/api/v1/addresses/10.20.5.11").await.json();
        let claim = other["claims"][0]["id"].as_str().unwrap();
        let path = "/api/v1/addresses/10.20.5.11/resolve";
        assert_eq!(script.send("POST", path, &json!({ "claim": claim, "decision": "toss" })).await.status, 422);
        let kept = script.send("POST", path, &json!({ "claim": claim, "decision": "keep" })).await;
        assert_eq!((kept.status, &kept.json()["holder"]["name"]), (200, &json!("Lift")));
        assert_eq!(script.send("POST", path, &json!({ "claim": claim, "decision": "keep" })).await.status, 404);
    }

    async fn what_has_a_last_day_ends_after_it_and_says_so(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let reserve = |n: u8, until: &'static str| {
            let path = format!("/api/v1/addresses/10.20.5.{n}/reserve");
            let script = &script;
            async move { script.send("POST", &path, &json!({ "note": "Fair", "until": until })).await }
        };
        let made = reserve(10, "2023-11-15").await;
        assert_eq!(made.json()["until"], "2023-11-16T00:00:00Z", "{made:?}");
        assert_eq!(reserve(11, "2023-11-15T12:00:00Z").await.json()["until"], "2023-11-15T12:00:00Z");
        let body = json!({ "reason": "odd", "until": "2023-11-15" });
        assert_eq!(script.send("POST", "/api/v1/addresses/10.20.5.12/quarantine", &body).await.status, 200);
        for bad in ["2023-11-13", "2023-11-14T22:13:20Z", "soon"] {
            assert_eq!(reserve(13, bad).await.status, 422, "{bad}");
        }
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 0);
        app.pass(15 * 60 * 60);
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 1);
        assert_eq!((stored(&app, "10.20.5.10").await.as_str(), stored(&app, "10.20.5.11").await.as_str()), ("reserved", "available"));
        app.pass(24 * 60 * 60);
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 2);
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 0);
        assert_eq!(app.number("SELECT count(*) FROM address").await, 0);
        let log = app.audit().await;
        for said in ["Patchbay address.reservation_ended 10.20.5.10", "Patchbay address.quarantine_ended 10.20.5.12"] {
            assert!(log.contains(&said.to_owned()), "{log:#?}");
        }
        let history = script.get("/api/v1/addresses/10.20.5.10/history").await.json();
        assert_eq!(history["events"][0]["action"], "address.reservation_ended");
        assert!(history["events"][0]["note"].as_str().unwrap().contains("reserved by"));
    }

    async fn a_serving_program_frees_what_has_ended_and_says_so(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        // The day after the clock of the test is over by the clock of the program.
        for (address, until) in [("10.20.5.10", Some("2023-11-15")), ("10.20.5.11", None)] {
            let path = format!("/api/v1/addresses/{address}/reserve");
            assert_eq!(script.send("POST", &path, &json!({ "note": "the fair", "until": until })).await.status, 200);
        }
        let program = Patchbay::serve(&app).await;
        let begun = std::time::Instant::now();
        while stored(&app, "10.20.5.10").await != "available" {
            assert!(begun.elapsed().as_secs() < 120, "nothing was freed");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let history = script.get("/api/v1/addresses/10.20.5.10/history").await.json();
        assert_eq!(history["events"][0]["action"], "address.reservation_ended");
        assert!(history["events"][0]["note"].as_str().unwrap().ends_with("until now"), "{history}");
        assert_eq!(stored(&app, "10.20.5.11").await, "reserved");
        drop(program);
    }

    async fn history_is_of_exactly_one_address_and_outlives_its_subnet(app: TestApp) {
        let id = office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for n in [10, 1, 100] {
            put(&app, &format!("10.20.5.{}", if n == 1 { 2 } else { n }), "reserved", "ann").await;
        }
        let script = app.script(Role::Auditor).await;
        let events = |address: &'static str| {
            let script = &script;
            async move {
                let history = script.get(&format!("/api/v1/addresses/{address}/history")).await.json();
                history["events"].as_array().unwrap().len()
            }
        };
        assert_eq!((events("10.20.5.10").await, events("10.20.5.1").await, events("10.20.5.100").await), (1, 0, 1));
        for n in [10, 2, 100] {
            assert_eq!(admin.post(&format!("/ipam/addresses/10.20.5.{n}/release"), &[]).await.status, 303);
        }
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        subnets::delete(&mut space, id.parse().unwrap(), None, true).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(events("10.20.5.10").await, 2);
        let page = admin.get("/ipam/addresses/10.20.5.10").await;
        page.shows("10.20.5.10 lies in no subnet");
        page.shows("address.released");
    }

    async fn scripts_list_and_change_addresses_in_the_promised_shapes(app: TestApp) {
        let id = office(&app).await;
        put(&app, "10.20.5.12", "reserved", "ann").await;
        let script = app.script(Role::Admin).await;
        let list = script.get(&format!("/api/v1/addresses?subnet={id}&type=static")).await.json();
        assert_eq!((&list["total"], &list["page"], &list["size"]), (&json!(3), &json!(1), &json!(25)));
        assert_eq!(list["stats"]["available"], 9);
        let gap = &list["entries"][0];
        assert_eq!((&gap["kind"], &gap["first"], &gap["last"], &gap["count"], &gap["type"]),
            (&json!("free"), &json!("10.20.5.10"), &json!("10.20.5.11"), &json!(2), &json!("static")));
        assert_eq!(gap["subnet"], json!({ "id": id, "name": "Voice Berlin", "cidr": "10.20.5.0/24" }));
        let row = &list["entries"][1];
        assert_eq!((&row["kind"], &row["status"], &row["description"]), (&json!("address"), &json!("reserved"), &json!("Lobby phone")));
        let one = script.get("/api/v1/addresses/10.20.5.12").await;
        assert_eq!(&one.json(), row);
        assert_eq!(one.header("etag").unwrap(), format!("\"{}\"", row["version"]));
        let free = script.get("/api/v1/addresses/10.20.5.13").await;
        assert_eq!((free.header("etag"), &free.json()["status"], &free.json()["version"]), (Some("\"0\""), &json!("available"), &json!(0)));
        for (path, status) in [("10.20.5.0", 404), ("192.168.1.1", 404), ("x", 404)] {
            assert_eq!(script.get(&format!("/api/v1/addresses/{path}")).await.status, status);
        }
        for bad in ["status=x", "type=x", "active=yes", "subnet=x", "sort=x", "free=all", "conflict=1"] {
            let answer = script.get(&format!("/api/v1/addresses?{bad}")).await;
            assert_eq!(answer.status, 422, "{bad}");
            assert!(answer.json()["errors"][bad.split('=').next().unwrap()].is_string());
        }
        assert_eq!(script.get("/api/v1/addresses?nonsense=1").await.status, 400);
        let patch = json!({ "hostname": "lobby", "mac": "00-15-65-AA-BB-CC", "platform": "T46S", "manufacturer": "Yealink", "until": "2030-01-01" });
        let changed = script.send("PATCH", "/api/v1/addresses/10.20.5.12", &patch).await.json();
        assert_eq!((&changed["mac"], &changed["until"]), (&json!("00:15:65:aa:bb:cc"), &json!("2030-01-02T00:00:00Z")));
        let cleared = script.send("PATCH", "/api/v1/addresses/10.20.5.12", &json!({ "mac": "", "until": "" })).await.json();
        assert_eq!((&cleared["mac"], &cleared["until"], &cleared["hostname"]), (&json!(null), &json!(null), &json!("lobby")));
        let before = rows(&app).await;
        for (body, field) in [
            (json!({ "status": "allocated" }), "status"), (json!({ "mac": "x" }), "mac"), (json!({ "hostname": "a b" }), "hostname"),
            (json!({ "until": "x" }), "until"), (json!({ "platform": "x".repeat(101) }), "platform"),
        ] {
            let answer = script.send("PATCH", "/api/v1/addresses/10.20.5.12", &body).await;
            assert_eq!(answer.status, 422, "{body}");
            assert!(answer.json()["errors"][field].is_string(), "{answer:?}");
        }
        let bulk = json!({ "action": "release", "addresses": ["10.20.5.12", "10.20.5.13"] });
        let answer = script.send("POST", "/api/v1/addresses/bulk", &bulk).await;
        assert_eq!(answer.status, 409);
        assert!(answer.json()["errors"]["10.20.5.13"].as_str().unwrap().contains("free already"));
        assert_eq!(rows(&app).await, before);
        for (body, field) in [
            (json!({ "action": "x", "addresses": ["10.20.5.12"] }), "action"), (json!({ "action": "release", "addresses": [] }), "addresses"),
            (json!({ "action": "release", "addresses": ["x"] }), "addresses"), (json!({ "action": "reserve", "addresses": ["10.20.5.13"] }), "note"),
            (json!({ "action": "allocate", "addresses": ["10.20.5.13"] }), "holder"), (json!({ "action": "release", "addresses": ["10.20.5.12"], "force": true }), "force"),
        ] {
            let answer = script.send("POST", "/api/v1/addresses/bulk", &body).await;
            assert_eq!(answer.status, 422, "{body}");
            assert!(answer.json()["errors"][field].is_string(), "{answer:?}");
        }
        let bulk = json!({ "action": "reserve", "addresses": ["10.20.5.13", "10.20.5.14", "10.20.5.13"], "note": "Fair" });
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &bulk).await.json(), json!({ "changed": 2 }));
        // All that match, and nothing when they are others than was thought.
        for (matching, field) in [
            (json!({}), "matching"), (json!({ "status": "x" }), "matching.status"), (json!({ "subnet": "x" }), "matching.subnet"),
            (json!({ "type": "x" }), "matching.type"), (json!({ "mine": "yes" }), "matching.mine"), (json!({ "x": 1 }), "matching.x"),
        ] {
            let answer = script.send("POST", "/api/v1/addresses/bulk", &json!({ "action": "release", "matching": matching })).await;
            assert_eq!(answer.status, 422, "{matching}");
            assert!(answer.json()["errors"][field].is_string(), "{answer:?}");
        }
        let both = json!({ "action": "release", "addresses": ["10.20.5.13"], "matching": { "mine": true } });
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &both).await.status, 422);
        let mut bulk = json!({ "action": "release", "matching": { "mine": true, "q": "Fair" }, "expected": 3 });
        let before = rows(&app).await;
        let answer = script.send("POST", "/api/v1/addresses/bulk", &bulk).await;
        assert_eq!((answer.status, answer.json()["errors"]["expected"].is_string()), (409, true), "{answer:?}");
        assert_eq!(rows(&app).await, before);
        bulk["expected"] = json!(2);
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &bulk).await.json(), json!({ "changed": 2 }));
        bulk["expected"] = json!(0);
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &bulk).await.json(), json!({ "changed": 0 }));
    }

    async fn scripts_take_the_next_free_once_however_often_they_ask(app: TestApp) {
        let id = office(&app).await;
        let pool = app.texts("SELECT id FROM pool WHERE kind = 'static'").await[0].clone();
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let script = app.script(Role::Admin).await;
        let path = format!("/api/v1/subnets/{id}/next-free");
        let body = json!({ "note": "Lobby phone" });
        let send = |key: &'static str| script.ask("POST", &path).header("idempotency-key", key).json(&body).send();
        let first = send("k1").await;
        assert_eq!((first.status, &first.json()["addresses"][0]["address"]), (201, &json!("10.20.5.10")));
        let again = send("k1").await;
        assert_eq!((again.status, again.header("idempotency-replayed"), &again.text), (201, Some("true"), &first.text));
        let many = futures_util::future::join_all((0..6).map(|_| send("k2"))).await;
        assert!(many.iter().all(|answer| answer.status == 201 && answer.text == many[0].text), "{many:?}");
        assert_eq!(app.number("SELECT count(*) FROM address").await, 2);
        let other = script.ask("POST", &path).header("idempotency-key", "k1").json(&json!({ "note": "Other" })).send().await;
        assert_eq!(other.status, 409);
        let elsewhere = script.ask("POST", &format!("/api/v1/pools/{pool}/next-free")).header("idempotency-key", "k1").json(&body).send().await;
        assert_eq!(elsewhere.status, 409);

        let held = json!({ "count": 2, "contiguous": true, "holder": { "kind": "user", "id": ann } });
        let held = script.send("POST", &format!("/api/v1/pools/{pool}/next-free"), &held).await;
        assert_eq!(held.status, 201, "{held:?}");
        let addresses = held.json()["addresses"].clone();
        assert_eq!((&addresses[0]["address"], &addresses[1]["address"]), (&json!("10.20.5.12"), &json!("10.20.5.13")));
        assert_eq!((&addresses[0]["status"], &addresses[0]["holder"]), (&json!("allocated"), &json!({ "kind": "user", "id": ann, "name": "Ann" })));
        let wished = script.send("POST", &path, &json!({ "address": "10.20.5.19", "note": "x" })).await;
        assert_eq!(wished.json()["addresses"][0]["address"], "10.20.5.19");
        let before = rows(&app).await;
        for (body, status, field) in [
            (json!({}), 422, "note"), (json!({ "note": "x", "count": 0 }), 422, "count"), (json!({ "note": "x", "count": 1025 }), 422, "count"),
            (json!({ "note": "x", "address": "x" }), 422, "address"), (json!({ "note": "x", "address": "10.20.5.19" }), 409, "address"),
            (json!({ "note": "x", "address": "10.20.5.255" }), 409, "address"), (json!({ "note": "x", "address": "10.9.9.9" }), 422, "address"),
            (json!({ "note": "x", "count": 2, "address": "10.20.5.18" }), 422, "count"), (json!({ "note": "x", "count": 6 }), 409, "count"),
            (json!({ "note": "x", "holder": { "kind": "external", "name": "B" } }), 422, "note"), (json!({ "holder": { "kind": "host", "id": "x" } }), 422, "holder"),
            (json!({ "holder": { "kind": "user", "id": "nobody" } }), 422, "holder"), (json!({ "note": "x", "hostname": "x" }), 422, "hostname"),
            (json!({ "note": "x", "until": "x" }), 422, "until"), (json!({ "note": "x", "size": 3 }), 422, "size"),
        ] {
            let answer = script.send("POST", &path, &body).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            assert!(answer.json()["errors"][field].is_string(), "{body}: {answer:?}");
        }
        assert_eq!(rows(&app).await, before);
        for nowhere in ["/api/v1/subnets/00000000-0000-0000-0000-000000000000/next-free", "/api/v1/pools/00000000-0000-0000-0000-000000000000/next-free", "/api/v1/subnets/x/next-free"] {
            assert_eq!(script.send("POST", nowhere, &json!({ "note": "x" })).await.status, 404);
        }
    }

    async fn hostile_words_are_refused_or_inert_wherever_they_are_shown(app: TestApp) {
        let id = block(&app, "hostile").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let file: serde_json::Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
        let mut kept = 0;
        for entry in file.as_array().unwrap() {
            let input = entry["input"].as_str().unwrap();
            let form = [("subnet", id.as_str()), ("note", input)];
            let taken = admin.post("/ipam/addresses/take", &form).await;
            if taken.status != 201 {
                assert_eq!(taken.status, 422, "{input:?}");
                assert!(!taken.field_error("note").is_empty());
                is_inert(&taken);
                continue;
            }
            kept += 1;
            let address = taken.between(r#"id="taken">"#, "<").to_owned();
            let api = script.get(&format!("/api/v1/addresses/{address}")).await.json();
            assert_eq!(api["description"], input.trim());
            let path = format!("/ipam/addresses/{address}");
            let search = format!("/ipam/addresses?q={address}");
            for page in [path.clone(), format!("{path}/edit"), format!("{path}/release"), search] {
                let page = admin.get(&page).await;
                assert_eq!(page.status, 200);
                page.shows(input.trim());
                is_inert(&page);
            }
            let query = serde_html_form::to_string([("q", input)]).unwrap();
            let found = admin.get(&format!("/ipam/addresses?{query}")).await;
            assert!(matches!(found.status, 200 | 400), "{input:?}: {found:?}");
            is_inert(&found);
            let given = [("kind", "external"), ("holder", input), ("hostname", ""), ("mac", input)];
            let refused = admin.post(&format!("{path}/allocate"), &given).await;
            assert_eq!(refused.status, 422);
            is_inert(&refused);
            let holder = json!({ "holder": { "kind": "external", "name": input } });
            let called = script.send("POST", &format!("/api/v1/addresses/{address}/allocate"), &holder).await;
            assert!(matches!(called.status, 200 | 422), "{called:?}");
            is_inert(&admin.get(&path).await);
        }
        assert!(kept > 20, "{kept}");
    }

    async fn of_two_who_want_one_address_one_is_told_who_has_it(app: TestApp) {
        office(&app).await;
        let ann = app.signed_in("ann", Role::Helpdesk).await;
        let other = app.another().await;
        let bob = app.signed_in("bob", Role::Helpdesk).await;
        let there = crate::support::app::Browser { app: &other, cookie: bob.cookie.clone(), csrf: bob.csrf.clone() };
        for n in 10..20 {
            let path = format!("/ipam/addresses/10.20.5.{n}/reserve");
            let (a, b) = futures_util::future::join(
                ann.post(&path, &[("note", "Ann's")]), there.post(&path, &[("note", "Bob's")]),
            ).await;
            let mut statuses = [a.status, b.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [303, 409], "{a:?} {b:?}");
            let (late, winner) = if a.status == 409 { (a, "bob (Bob's)") } else { (b, "ann (Ann's)") };
            late.shows(winner);
        }
    }

    async fn a_night_on_which_very_many_reservations_end_frees_them_all(app: TestApp) {
        let id = block(&app, "fair").await;
        let script = app.script(Role::Helpdesk).await;
        let body = json!({ "count": 250, "note": "Fair", "until": "2023-11-15" });
        let taken = script.send("POST", &format!("/api/v1/subnets/{id}/next-free"), &body).await;
        assert_eq!((taken.status, taken.json()["addresses"].as_array().unwrap().len()), (201, 250));
        app.pass(2 * 24 * 60 * 60);
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 250);
        assert_eq!(app.number("SELECT count(*) FROM gap").await, 1);
    }
}
