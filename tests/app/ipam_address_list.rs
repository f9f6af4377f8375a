//! The list of addresses, for people and for scripts: what it shows, finds and sorts.

use patchbay::auth::Role;
use patchbay::ipam::addresses;
use patchbay::ipam::observe::{Sighting, What, seen};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{Pools, Spec};
use serde_json::json;

use crate::ipam_addresses::{block, listed, office, put, rows, someone, subnet};
use crate::support::app::{Answer, both_databases, tester};

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
}
