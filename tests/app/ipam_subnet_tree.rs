//! The tree and the map of subnets, and the free space between them.

use patchbay::audit::Page;
use patchbay::auth::Role;
use patchbay::ipam::addresses::{self, Purpose, Reserver, Wish};
use patchbay::ipam::prefixes::{self, NewPool};
use patchbay::ipam::space::Source;
use patchbay::ipam::subnets::{self, Filter, Map, Pools, Spec};
use patchbay::net::Cidr;
use serde_json::json;

use crate::ipam_subnets::{
    TENANT, by_name, change, held, made, of_cells, pools, recounted, reserved, spec,
};
use crate::support::app::both_databases;

both_databases! {
    async fn the_tree_is_in_order_with_true_counts(app: TestApp) {
        made(&app, &spec("All", "10.0.0.0/8")).await;
        made(&app, &Spec { site: "Berlin".parse().unwrap(), vlan: Some("205".parse().unwrap()), gateway: Some("10.20.5.1".parse().unwrap()), ..spec("Voice Berlin", "10.20.5.0/24") }).await;
        made(&app, &Spec { statics: pools("none"), dhcp: pools("none"), ..spec("Campus", "10.20.0.0/16") }).await;
        made(&app, &Spec { site: "Wien".parse().unwrap(), ..spec("Sechs", "2001:db8:5::/64") }).await;
        made(&app, &spec("<i>Lab</i>", "192.0.2.0/28")).await;
        held(&app, &["10.20.5.9", "10.20.7.7", "10.99.0.1", "2001:db8:5::9"]).await;
        reserved(&app, "10.20.5.10", "kept").await;
        let counts = recounted(&app).await;
        let voice = counts["10.20.5.0/24"];
        assert_eq!((voice.free, voice.used, voice.reserved), (251, 1, 1));
        assert_eq!(counts["10.0.0.0/8"].used, 3);
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get("/ipam/subnets").await;
        let places: Vec<usize> = ["10.0.0.0/8", "10.20.0.0/16", "10.20.5.0/24", "192.0.2.0/28", "2001:db8:5::/64"].iter()
            .map(|cidr| page.text.find(&format!(">{cidr}</a>")).unwrap_or_else(|| panic!("{cidr} {page:?}"))).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(page.text.contains("in-2\"><a class=\"addr\""), "{page:?}");
        page.shows("Voice Berlin");
        assert!(page.text.contains("&#60;i&#62;Lab"));
        page.hides("Merge chosen");
        // An address shows the subnet it is in.
        let found = desk.get("/ipam/subnets?q=10.20.5.77").await;
        found.shows("is in <b>Voice Berlin</b>");
        found.hides("192.0.2.0/28");
        desk.get("/ipam/subnets?q=198.51.100.1").await.shows("is in no subnet");
        for (query, shown, hidden) in [
            ("q=berlin", "Voice Berlin", "Campus"),
            ("q=205", "Voice Berlin", "Campus"),
            ("q=vlan+205", "Voice Berlin", "Campus"),
            ("q=wien", "Sechs", "Campus"),
            ("q=192.0.2.", "192.0.2.0/28", "Campus"),
            ("q=10.20.0.0/16", "Voice Berlin", "Sechs"),
            ("site=BERLIN", "Voice Berlin", "Campus"),
            ("family=6", "Sechs", "Campus"),
            ("family=4", "Campus", "Sechs"),
            ("family=4&q=voice", "Voice Berlin", "Sechs"),
        ] {
            let page = desk.get(&format!("/ipam/subnets?{query}")).await;
            page.shows(shown);
            page.hides(&format!(">{hidden}<"));
        }
        desk.get("/ipam/subnets?q=%25").await.shows("No subnet matches");
        // A closed branch hides what is inside, and is counted so.
        let campus = by_name(&app, "Campus").await.id;
        let closed = desk.get(&format!("/ipam/subnets?closed={campus}")).await;
        closed.hides("Voice Berlin");
        closed.shows("Campus");
        closed.shows("1-4 of 4");
        let all = by_name(&app, "All").await.id;
        let closed = desk.get(&format!("/ipam/subnets?closed={campus}&closed={all}")).await;
        closed.hides("Campus");
        closed.shows("1-3 of 3");
        let fragment = desk.ask("GET", &format!("/ipam/subnets/table?closed={all}")).header("hx-request", "true").send().await;
        assert_eq!(fragment.header("hx-push-url").unwrap(), format!("/ipam/subnets?closed={all}"));
        assert!(!fragment.text.contains("<html"));
    }

    async fn pages_of_the_tree_follow_each_other_at_the_right_depth(app: TestApp) {
        change(&app, async |space| {
            for a in 0..4 {
                subnets::create(space, &spec(&format!("n{a}"), &format!("10.{a}.0.0/16")), true, true).await?;
                for b in 0..30 {
                    subnets::create(space, &spec(&format!("n{a}-{b}"), &format!("10.{a}.{b}.0/24")), true, true).await?;
                }
            }
            Ok(())
        }).await.unwrap();
        let mut tx = app.state.read().await.unwrap();
        let mut seen = Vec::new();
        let closed = vec![by_name(&app, "n1").await.id, by_name(&app, "n3").await.id];
        for offset in (0..).step_by(25).take(4) {
            let filter = Filter { closed: closed.clone(), ..Filter::default() };
            let (lines, total) = subnets::list(&mut tx, TENANT, &filter, Page { offset, limit: 25 }).await.unwrap();
            assert_eq!(total, 64);
            for line in &lines {
                assert_eq!(line.depth, usize::from(line.subnet.cidr.length() == 24), "{}", line.subnet.cidr);
            }
            seen.extend(lines.into_iter().map(|line| line.subnet.name.to_string()));
        }
        let expected: Vec<String> = (0..4).flat_map(|a| {
            let inside: Vec<String> = if a % 2 == 1 { Vec::new() } else { (0..30).map(|b| format!("n{a}-{b}")).collect() };
            [vec![format!("n{a}")], inside].concat()
        }).collect();
        assert_eq!(seen, expected);
    }

    async fn the_map_shows_every_address_and_zooms_to_it(app: TestApp) {
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let big = made(&app, &Spec { gateway: Some("10.0.0.1".parse().unwrap()), excluded: vec!["10.0.0.5-10.0.0.6".parse().unwrap()], ..spec("Big", "10.0.0.0/8") }).await;
        made(&app, &Spec { gateway: Some("10.3.4.1".parse().unwrap()), ..spec("Inner", "10.3.4.0/24") }).await;
        held(&app, &["10.3.4.7", "10.3.4.8", "10.200.1.1"]).await;
        reserved(&app, "10.0.255.254", "for <script>alert(1)</script>").await;
        recounted(&app).await;
        let path = format!("/ipam/subnets/{}", big.id);
        let page = desk.get(&path).await;
        assert_eq!(page.text.matches("class=\"cell ").count(), 256, "{page:?}");
        page.shows(&format!("href=\"{path}?block=10.3.0.0/16#map\""));
        page.shows("10.3.0.0/16: 2 allocated, 0 reserved, ");
        page.shows("10.0.0.0/16: 0 allocated, 1 reserved, 65,531 available");
        let middle = desk.get(&format!("{path}?block=10.3.0.0/16")).await;
        middle.shows("10.3.4.0/24: 2 allocated, 0 reserved, 251 available");
        middle.shows("aria-label=\"Larger blocks\"");
        let grid = desk.get(&format!("{path}?block=10.3.4.0/24")).await;
        assert_eq!(grid.text.matches("href=\"/ipam/addresses/10.3.4.").count(), 256);
        grid.shows("title=\"10.3.4.7 allocated: machine 10.3.4.7\"");
        grid.shows("title=\"10.3.4.1 gateway\"");
        grid.shows("title=\"10.3.4.0 network\"");
        grid.shows("title=\"10.3.4.9 available\"");
        let first = desk.get(&format!("{path}?block=10.0.0.0/24")).await;
        first.shows("title=\"10.0.0.5 excluded\"");
        first.shows("title=\"10.0.0.4 available\"");
        let last = desk.get(&format!("{path}?block=10.0.255.0/24")).await;
        assert!(!last.text.contains("<script>alert"), "{last:?}");
        last.shows("reserved: for <script>");
        assert_eq!(desk.get(&format!("{path}?block=11.0.0.0/16")).await.status, 400);
        assert_eq!(desk.get(&format!("{path}?block=10.0.0.1/16")).await.status, 400);
        assert_eq!(desk.get(&format!("{path}?block=x")).await.status, 400);
    }

    async fn blocks_of_every_size_add_up(app: TestApp) {
        let mut tx = app.state.read().await.unwrap();
        drop(tx);
        for (name, cidr, inside) in [
            ("a", "10.0.0.0/9", "10.64.3.0/26"), ("b", "172.16.0.0/13", "172.17.255.128/25"), ("c", "192.168.0.0/16", "192.168.77.0/24"),
            ("d", "11.0.0.0/20", "11.0.9.192/27"), ("e", "12.0.0.0/23", "12.0.1.0/31"), ("f", "2001:db8::/48", "2001:db8:0:7::/64"),
            ("g", "2001:db8:1::/112", "2001:db8:1::8000/127"), ("h", "2001:db8:2::/119", "2001:db8:2::1/128"), ("i", "13.0.0.0/14", "13.1.0.0/22"),
        ] {
            // No pool is larger than 2^64.
            let none = if cidr.ends_with("/48") { pools("none") } else { Pools::Rest };
            made(&app, &Spec { statics: none.clone(), dhcp: none, ..spec(name, cidr) }).await;
            made(&app, &spec(&format!("{name}2"), inside)).await;
            let (outer, inner): (Cidr, Cidr) = (cidr.parse().unwrap(), inside.parse().unwrap());
            held(&app, &[&inner.last().to_string(), &outer.usable().last().to_string()]).await;
        }
        recounted(&app).await;
        // Looked into, each block is what it said it was.
        tx = app.state.read().await.unwrap();
        for name in ["a", "b", "c", "d", "f", "g", "i"] {
            let subnet = by_name(&app, name).await;
            let Map::Blocks(blocks) = subnets::map(&mut tx, TENANT, &subnet, subnet.cidr).await.unwrap() else { panic!("{name}") };
            assert!(blocks.len() <= 256 && blocks.len() > 3, "{name} {}", blocks.len());
            for block in blocks.iter().step_by(37).chain(blocks.last()) {
                let inside = subnets::map(&mut tx, TENANT, &subnet, block.cidr).await.unwrap();
                assert_eq!(of_cells(&inside), block.usage, "{} of {name}", block.cidr);
            }
        }
    }

    async fn room_for_a_subnet_is_found(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        made(&app, &spec("Ten", "10.0.0.0/8")).await;
        made(&app, &spec("One", "10.0.0.0/26")).await;
        made(&app, &spec("Two", "10.0.0.128/26")).await;
        let page = operator.get("/ipam/subnets/find?within=10.0.0.0%2F8&length=%2F26").await;
        page.shows("10.0.0.64/26");
        page.shows("href=\"/ipam/subnets/new?cidr=10.0.0.192/26&amp;nest=1\"");
        page.hides("10.0.0.128/26");
        let new = operator.get("/ipam/subnets/new?cidr=10.0.0.192/26&nest=1").await;
        new.shows("value=\"10.0.0.192/26\"");
        new.shows("name=\"nest\" value=\"1\" checked");
        let wrong = operator.get("/ipam/subnets/find?within=10.0.0.7%2F8&length=7").await;
        assert_eq!(wrong.status, 422);
        wrong.field_error("within");
        assert_eq!(operator.get("/ipam/subnets/find?within=10.0.0.0%2F8&length=99").await.field_error("length"), "use a number from 8 to 32 inside 10.0.0.0/8");
        let script = app.script(Role::Auditor).await;
        let free = script.get("/api/v1/subnets/free?within=10.0.0.0/8&length=26&count=2").await.json();
        assert_eq!(free, json!({ "free": ["10.0.0.64/26", "10.0.0.192/26"] }));
        let full = script.get("/api/v1/subnets/free?within=10.0.0.0/26&length=26").await.json();
        assert_eq!(full, json!({ "free": ["10.0.0.0/26"] }));
        assert_eq!(script.get("/api/v1/subnets/free?within=10.0.0.0/8&length=4").await.status, 422);
    }

    async fn space_that_somebody_uses_is_not_offered(app: TestApp) {
        made(&app, &spec("Ten", "10.0.0.0/8")).await;
        made(&app, &spec("One", "10.0.0.0/26")).await;
        let fair = made(&app, &spec("Fair", "10.64.0.0/20")).await;
        // In a frame, in no subnet at all, and more than are looked at in one go.
        held(&app, &["10.0.0.65", "172.16.0.1"]).await;
        let by = Reserver { name: "tester".to_owned(), anybodys: true };
        let purpose = Purpose::Reserve { note: "Fair".parse().unwrap(), until: None };
        let wish = Wish::Next { count: 1024, contiguous: false };
        change(&app, async |space| {
            addresses::take(space, Source::Subnet(fair.id), &wish, &purpose, &by).await.unwrap();
            let pool = NewPool {
                name: "Customers".parse().unwrap(),
                cidr: "2001:db8::/48".parse().unwrap(),
                delegated: "56".parse().unwrap(),
            };
            prefixes::create(space, &pool).await.unwrap();
            Ok(())
        }).await.unwrap();
        let script = app.script(Role::Auditor).await;
        for (within, length, expected) in [
            ("10.0.0.0/24", 26, json!(["10.0.0.128/26", "10.0.0.192/26"])),
            ("172.16.0.0/24", 25, json!(["172.16.0.128/25"])),
            ("172.16.0.1/32", 32, json!([])),
            ("10.64.0.0/20", 24, json!(["10.64.5.0/24", "10.64.6.0/24"])),
            ("2001:db8::/47", 48, json!(["2001:db8:1::/48"])),
            ("2001:db8:0:10::/60", 64, json!([])),
        ] {
            let free = script.get(&format!("/api/v1/subnets/free?within={within}&length={length}&count=2")).await.json();
            assert_eq!(free["free"], expected, "{within}");
        }
    }
}
