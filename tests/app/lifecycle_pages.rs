//! The pages of assignments and of prefix pools.

use patchbay::auth::Role;
use patchbay::lifecycle::{self, Family, Operation, Release, State, Step};
use serde_json::{Value, json};

use crate::lifecycle::{allocate, complete, office, put, step};
use crate::support::app::{Answer, TestApp, both_databases, unescaped};

/// The addresses a list shows, in its order.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<tr id=\"l-").skip(1);
    let cell = |row: &str| {
        let cell = row.split_once("class=\"addr\"><a href=\"/lifecycle/").unwrap().1;
        cell.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
    };
    rows.map(cell).collect()
}

fn reason(text: &str) -> Step {
    Step::Suspend(text.parse().unwrap())
}

/// Eight assignments in as many states as there are.
async fn some(app: &TestApp) {
    office(app).await;
    for (n, family) in
        [Family::Ipv4, Family::Ipv4, Family::Ipv4, Family::Ipv4, Family::Ipv6, Family::Prefix]
            .into_iter()
            .enumerate()
    {
        app.pass(60);
        let id = allocate(app, family, &format!("c{n}")).await.id;
        if n > 0 {
            step(app, id, &Step::Activate).await.unwrap();
        }
        if n == 2 {
            step(app, id, &reason("unpaid")).await.unwrap();
        }
        if n == 3 {
            step(app, id, &Step::Revoke(Release::Free)).await.unwrap();
            complete(app, id).await.unwrap();
        }
    }
}

both_databases! {
    async fn the_list_has_its_filters_order_and_pages_in_the_url(app: TestApp) {
        some(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/lifecycle").await;
        assert_eq!(listed(&page), ["2001:db8:ff00::/56", "2001:db8:5::10", "10.20.5.12", "10.20.5.11", "10.20.5.10"]);
        page.shows("<b>5</b> assignments");
        page.shows("1 suspended");
        page.shows("1 revoked");
        page.shows("unpaid");
        for (query, known) in [
            ("sort=address", vec!["10.20.5.10", "10.20.5.11", "10.20.5.12", "2001:db8:5::10", "2001:db8:ff00::/56"]),
            ("sort=-holder", vec!["2001:db8:ff00::/56", "2001:db8:5::10", "10.20.5.12", "10.20.5.11", "10.20.5.10"]),
            ("state=suspended", vec!["10.20.5.12"]),
            ("state=revoked", vec!["10.20.5.13"]),
            ("state=any&sort=address&family=ipv4", vec!["10.20.5.10", "10.20.5.11", "10.20.5.12", "10.20.5.13"]),
            ("family=prefix", vec!["2001:db8:ff00::/56"]),
            ("holder=user", vec![]),
            ("q=10.20.5.&sort=address", vec!["10.20.5.10", "10.20.5.11", "10.20.5.12"]),
            ("q=10.20.5.11", vec!["10.20.5.11"]),
            ("q=2001:db8:5::", vec!["2001:db8:5::10"]),
            ("q=2001:db8:ff00::/52", vec!["2001:db8:ff00::/56"]),
            ("q=c1", vec!["10.20.5.11"]),
            ("q=CUSTOMER+c&sort=holder", vec!["10.20.5.10", "10.20.5.11", "10.20.5.12", "2001:db8:5::10", "2001:db8:ff00::/56"]),
            ("q=nobody", vec![]),
        ] {
            let page = admin.get(&format!("/lifecycle?{query}")).await;
            assert_eq!(page.status, 200);
            assert_eq!(listed(&page), known, "{query}");
            let table = admin.get(&format!("/lifecycle/table?{query}")).await;
            table.hides("<html");
            assert_eq!(listed(&table), known, "{query}");
        }
        admin.get("/lifecycle?q=nobody").await.shows("None matches.");
        assert_eq!(admin.get("/lifecycle?sort=secret").await.status, 400);
        let script = app.script(Role::Auditor).await;
        let list = script.get("/api/v1/network/ipv4-lifecycle?state=any&sort=address").await.json();
        assert_eq!((list["total"].as_i64(), list["assignments"].as_array().unwrap().len()), (Some(4), 4));
        assert_eq!(script.get("/api/v1/network/ipv6-lifecycle?kind=prefix").await.json()["total"], 1);
        for bad in ["state=x", "sort=x", "subscriber_kind=x", "kind=prefix"] {
            assert_eq!(script.get(&format!("/api/v1/network/ipv4-lifecycle?{bad}")).await.status, 422, "{bad}");
        }
    }

    async fn lists_come_in_pages_that_leave_nobody_out(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let subnet = json!({ "name": "Hall", "cidr": "10.30.0.0/24", "static_pools": ["10.30.0.10-10.30.0.60"] });
        assert_eq!(script.send("POST", "/api/v1/subnets", &subnet).await.status, 201);
        app.sql(&format!(
            "INSERT INTO outside_system (tenant_id, system, enabled, settings, secret, updated_at)
             VALUES ('{}', 'netbox', TRUE, '{{}}', '', 0)", patchbay::id::TenantId::DEFAULT)).await;
        for n in 0..30 {
            app.pass(1);
            allocate(&app, Family::Ipv4, &format!("c{n}")).await;
            let asked = json!({ "kind": "provision", "name": format!("Ann {n}"), "email": format!("ann{n}@example.com") });
            assert_eq!(script.send("POST", "/api/v1/workflows", &asked).await.status, 202);
        }
        assert_eq!(app.number("SELECT count(*) FROM outside_call").await, 30);
        for (path, row, call, rows) in [
            ("/lifecycle", "<tr id=\"l-", "/api/v1/network/ipv4-lifecycle", "assignments"),
            ("/lifecycle/workflows", "<tr id=\"w-", "/api/v1/workflows", "workflows"),
            ("/outbox", "<tr id=\"call-", "/api/v1/outbox", "calls"),
        ] {
            let (mut shown, mut told) = (Vec::new(), Vec::new());
            for (page, count) in [(1, 25), (2, 5), (3, 0)] {
                let answer = admin.get(&format!("{path}?size=25&page={page}")).await;
                assert_eq!(answer.status, 200);
                let ids = answer.text.split(row).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                let before = shown.len();
                shown.extend(ids);
                assert_eq!(shown.len() - before, count, "{path} {page}");
                let next = format!("href=\"{path}?page=2\" rel=\"next\"");
                assert_eq!(answer.text.contains(&next), page == 1, "{path} {page}: {}", answer.text);
                assert_eq!(answer.text.contains(&format!("href=\"{path}\" rel=\"prev\"")), page == 2, "{path} {page}");
                let list = script.get(&format!("{call}?size=25&page={page}")).await.json();
                assert_eq!((&list["total"], &list["page"], &list["size"]), (&json!(30), &json!(page), &json!(25)), "{call}");
                let part = list[rows].as_array().unwrap();
                assert_eq!(part.len(), count, "{call} {page}");
                told.extend(part.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            }
            assert_eq!(shown, told, "the same order by pages and by calls");
            shown.sort();
            shown.dedup();
            assert_eq!(shown.len(), 30, "{path}: each is on one page");
            let all = admin.get(&format!("{path}?size=50")).await;
            assert_eq!(all.text.matches(row).count(), 30, "{path}");
        }
    }

    /// What a row of the table offers is what the machine allows in its state, and to whom it may.
    async fn a_row_offers_what_may_follow_and_nothing_else(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let auditor = app.signed_in("audrey", Role::Auditor).await;
        for family in [Family::Ipv4, Family::Ipv6, Family::Prefix] {
            for state in State::ALL {
                let (subscriber, id) = put(&app, family, state).await;
                let path = format!("/lifecycle?state=any&q={subscriber}");
                let page = admin.get(&path).await;
                let row = page.between(&format!("<tr id=\"l-{id}\">"), "</tr>");
                let offered: Vec<&str> = row.split(&format!("href=\"/lifecycle/{id}/")).skip(1)
                    .map(|rest| rest.split(['"', '?']).next().unwrap()).collect();
                // That it failed is said on its own page, where there is room to say why.
                let legal = state.operations().into_iter().filter(|operation| *operation != Operation::Fail);
                let legal: Vec<&str> = legal.map(Operation::as_str).collect();
                assert_eq!(offered, legal, "{family:?} {state}");
                let page = auditor.get(&path).await;
                page.shows(&subscriber);
                assert!(!page.text.contains(&format!("href=\"/lifecycle/{id}/")), "{state}");
            }
        }
    }

    async fn the_preview_of_many_says_what_systems_outside_are_told(app: TestApp) {
        some(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ids = app.texts("SELECT id FROM assignment WHERE live AND family = 'ipv4'").await;
        let chosen = |action: &'static str| {
            let form = ids.iter().map(|id| ("id", id.as_str())).chain([("action", action)]);
            form.collect::<Vec<_>>()
        };
        for action in ["suspend", "revoke"] {
            let page = admin.post("/lifecycle/bulk", &chosen(action)).await;
            page.hides("<b>RADIUS</b>");
            page.hides("<b>NetBox</b>");
        }
        for system in ["radius", "netbox"] {
            app.sql(&format!(
                "INSERT INTO outside_system (tenant_id, system, enabled, settings, secret, updated_at)
                 VALUES ('{}', '{system}', TRUE, '{{}}', '', 0)", patchbay::id::TenantId::DEFAULT)).await;
        }
        let page = admin.post("/lifecycle/bulk", &chosen("suspend")).await;
        page.shows("<b>RADIUS</b> the session of c1 is restricted (CoA)");
        page.hides("the session of c0");
        page.hides("the session of c2");
        let page = admin.post("/lifecycle/bulk", &chosen("revoke")).await;
        for (session, address) in [(None, "10.20.5.10"), (Some("c1"), "10.20.5.11"), (Some("c2"), "10.20.5.12")] {
            page.shows(&format!("<b>NetBox</b> {address} is removed"));
            if let Some(session) = session {
                page.shows(&format!("<b>RADIUS</b> the session of {session} is ended (Disconnect)"));
            }
        }
        page.hides("the session of c0");
        assert_eq!(app.number("SELECT count(*) FROM outside_call").await, 0, "nothing yet");
    }

    async fn one_page_shows_the_life_and_what_may_follow(app: TestApp) {
        some(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = app.texts("SELECT id FROM assignment WHERE state = 'suspended'").await[0].clone();
        let page = admin.get(&format!("/lifecycle/{id}")).await;
        page.shows("10.20.5.12");
        page.shows("unpaid");
        let order: Vec<&str> = page.text.split("<li><span class=\"st life ").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(order, ["suspended", "active", "allocated"]);
        let asked = admin.get(&format!("/lifecycle/{id}/reactivate?list=/lifecycle%3Fstate%3Dsuspended")).await;
        asked.shows("10.20.5.12 may be used again.");
        asked.shows("No outside system is told.");
        asked.shows(r#"href="/lifecycle?state=suspended">Cancel"#);
        let done = admin.post(&format!("/lifecycle/{id}/reactivate"), &[("list", "/lifecycle?state=suspended")]).await;
        assert_eq!((done.status, done.location()), (303, "/lifecycle?state=suspended"));
        let evil = admin.post(&format!("/lifecycle/{id}/suspend"), &[("list", "//evil.example"), ("reason", "x")]).await;
        assert_eq!(evil.location(), "/lifecycle");
        let keep = admin.post(&format!("/lifecycle/{id}/revoke"), &[("keep", "1")]).await;
        assert_eq!(keep.location(), format!("/lifecycle/{id}"));
        admin.get(&format!("/lifecycle/{id}")).await.shows("no longer its own");
        assert_eq!(app.texts("SELECT status FROM address WHERE description LIKE 'kept%'").await, ["reserved"]);
    }

    async fn the_form_gives_an_address_and_mistakes_stand_beside_their_fields(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        admin.add("Ann Lee", "lee@example.com", "").await;
        admin.get("/lifecycle/new").await.shows("prefixes of Customers (2001:db8:ff00::/52)");
        let answer = admin.post("/lifecycle", &[("family", "ipv4"), ("kind", "user"), ("holder", "1001")]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        admin.get(answer.location()).await.shows("Ann Lee");
        let many = admin.post("/lifecycle", &[("family", "ipv4"), ("kind", "user"), ("holder", "Ann")]).await;
        assert_eq!((many.status, many.field_error("holder")), (422, "who of them?".to_owned()));
        many.shows("Ann Lee");
        let pool = app.texts("SELECT id FROM prefix_pool").await[0].clone();
        let from = format!("prefixes {pool}");
        let prefix = admin.post("/lifecycle", &[("family", "prefix"), ("kind", "external"), ("holder", "C-1"), ("from", &from), ("length", "60")]).await;
        assert_eq!(prefix.status, 303, "{prefix:?}");
        admin.get(prefix.location()).await.shows("2001:db8:ff00::/60");
        for (form, status, field) in [
            (vec![("holder", "")], 422, "holder"),
            (vec![("holder", "a b")], 422, "holder"),
            (vec![("kind", "user"), ("holder", "nobody")], 422, "holder"),
            (vec![("kind", "phone"), ("holder", "x")], 422, "holder"),
            (vec![("wish", "10.20.5")], 422, "wish"),
            (vec![("wish", "10.20.5.10")], 409, "wish"),
            (vec![("wish", "192.0.2.1")], 422, "wish"),
            (vec![("from", "x")], 422, "from"),
            (vec![("from", &from)], 422, "from"),
            (vec![("length", "56")], 422, "length"),
            (vec![("role", "A B")], 422, "role"),
            (vec![("mac", "x")], 422, "mac"),
            (vec![("hostname", "a b")], 422, "hostname"),
            (vec![("family", "x")], 422, "family"),
        ] {
            let mut full = vec![("family", "ipv4"), ("kind", "external"), ("holder", "C-2")];
            full.retain(|(name, _)| !form.iter().any(|(known, _)| known == name));
            full.extend(form.iter().copied());
            let page = admin.post("/lifecycle", &full).await;
            assert_eq!(page.status, status, "{form:?} {page:?}");
            assert!(!page.field_error(field).is_empty(), "{form:?}");
        }
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 2);
    }

    async fn many_are_shown_before_they_are_suspended_or_revoked(app: TestApp) {
        some(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ids = app.texts("SELECT id FROM assignment ORDER BY created_at").await;
        let mut form: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
        form.push(("action", "suspend"));
        let page = admin.post("/lifecycle/bulk", &form).await;
        page.shows("Suspend 3 assignments?");
        page.shows("left out:");
        page.shows("cannot become suspended by suspend");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'suspended'").await, 1, "nothing yet");
        form.extend([("confirmed", "1"), ("reason", "window")]);
        let done = admin.post("/lifecycle/bulk", &form).await;
        done.shows("3 suspended");
        done.shows("3 could not be:");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'suspended' AND reason = 'window'").await, 3);
        let live = app.texts("SELECT id FROM assignment WHERE state <> 'revoked'").await;
        let mut form: Vec<(&str, &str)> = live.iter().map(|id| ("id", id.as_str())).collect();
        form.push(("action", "revoke"));
        let asked = admin.post("/lifecycle/bulk", &form).await;
        asked.shows("Their addresses are free for others.");
        assert_eq!(admin.post("/lifecycle/settings", &[("quarantine", "2"), ("version", "0")]).await.status, 303);
        let asked = admin.post("/lifecycle/bulk", &form).await;
        asked.shows("Their addresses are in quarantine for 2 hours and then free for others.");
        asked.shows("10.20.5.10 is in quarantine for 2 hours and then free.");
        form.extend([("confirmed", "1"), ("list", "/lifecycle?family=ipv4")]);
        let done = admin.post("/lifecycle/bulk", &form).await;
        assert_eq!((done.status, done.location()), (303, "/lifecycle?family=ipv4"));
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'revoked'").await, 6);
        crate::lifecycle::agrees(&app).await;
        assert_eq!(admin.post("/lifecycle/bulk", &[("action", "revoke")]).await.status, 303, "none chosen");
        assert_eq!(admin.post("/lifecycle/bulk", &[("action", "x"), ("id", &ids[0])]).await.status, 400);
        assert_eq!(admin.post("/lifecycle/bulk", &[("action", "revoke"), ("id", "x")]).await.status, 400);
    }

    async fn the_machine_is_drawn_with_its_counts_and_said_in_words(app: TestApp) {
        some(&app).await;
        let admin = app.signed_in("admin", Role::Auditor).await;
        let page = admin.get("/lifecycle/machine").await;
        page.shows("Seven states: 0 pending, 1 allocated, 3 active, 1 suspended, 0 revoking, 1 revoked, 0 failed.");
        page.shows(r#"aria-label="3 active""#);
        assert_eq!(page.text.matches("marker-end").count(), 14);
        page.shows("nothing: it is over");
    }

    async fn the_figures_are_what_a_walk_finds(app: TestApp) {
        some(&app).await;
        app.pass(25 * 60 * 60);
        let script = app.script(Role::Auditor).await;
        let four = script.get("/api/v1/network/ipv4-lifecycle/metrics").await.json();
        assert_eq!(four["state_counts"], json!({ "pending": 0, "allocated": 1, "active": 1, "suspended": 1, "revoking": 0, "revoked": 1, "failed": 0 }));
        assert_eq!((four["leaks"].as_i64(), four["utilization"]["total"].as_i64()), (Some(1), Some(3)));
        assert_eq!(four["utilization"]["utilization_rate"].as_f64(), Some(18.75));
        assert_eq!(four["pool_stats"]["pools"][0]["name"], "Voice");
        let six = script.get("/api/v1/network/ipv6-lifecycle/metrics").await.json();
        assert_eq!((six["utilization"]["active"].as_i64(), six["pool_stats"]["pool_count"].as_i64()), (Some(2), Some(2)));
        let found = lifecycle::job::figures(&app.state).await.unwrap();
        let tenant = &found["tenants"]["a0000000-0000-0000-0000-000000000000"];
        assert_eq!(tenant["ipv4"]["leaks"], 1);
        assert_eq!(tenant["prefix"]["states"]["active"], 1);
        assert_eq!(tenant["prefix"]["pools"][0]["utilization_percent"].as_f64(), Some(6.25));
    }

    async fn prefix_pools_lie_beside_each_other_and_beside_addresses(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        admin.get("/ipam/prefixes").await.shows("Customers");
        for (name, cidr, delegated, field) in [
            ("", "2001:db8:a000::/36", "56", "name"),
            ("customers", "2001:db8:a000::/36", "56", "name"),
            ("More", "2001:db8:ff00::/50", "56", "cidr"),
            ("More", "2001:db8:ff00:100::/56", "64", "cidr"),
            ("More", "2001:db8:4::/46", "56", "cidr"),
            ("More", "2001:db8:a000::1/36", "56", "cidr"),
            ("More", "2001:d00::/15", "56", "cidr"),
            ("More", "10.0.0.0/16", "56", "cidr"),
            ("More", "2001:db8:a000::/36", "47", "delegated"),
            ("More", "2001:db8:a000::/60", "56", "delegated"),
        ] {
            let page = admin.post("/ipam/prefixes", &[("name", name), ("cidr", cidr), ("delegated", delegated)]).await;
            assert_eq!(page.status, 422, "{name} {cidr}: {page:?}");
            assert!(!page.field_error(field).is_empty(), "{name} {cidr} {field}");
            let body = json!({ "name": name, "cidr": cidr, "delegated": delegated.parse::<i64>().unwrap() });
            let call = script.send("POST", "/api/v1/prefix-pools", &body).await;
            assert!(matches!(call.status, 409 | 422), "{call:?}");
            assert!(call.json()["errors"][field].is_string(), "{call:?}");
        }
        let made = admin.post("/ipam/prefixes", &[("name", "More"), ("cidr", "2001:db8:a000::/36"), ("delegated", "")]).await;
        assert_eq!(made.status, 303, "{made:?}");
        let list: Value = script.get("/api/v1/prefix-pools").await.json();
        let more = list["prefix_pools"].as_array().unwrap().iter().find(|pool| pool["name"] == "More").unwrap();
        assert_eq!(more["delegated"], 56, "unless it is said otherwise");
        // Of every length there is, each beside the others.
        for (n, (size, known)) in (0..).zip([(json!(48), "2001:db8:a000::/48"), (json!(64), "2001:db8:a001::/64"), (Value::Null, "2001:db8:a001:100::/56"), (json!(64), "2001:db8:a001:1::/64")]) {
            let body = json!({ "kind": "prefix", "subscriber_id": format!("C-{n}"), "pool_id": more["id"], "prefix_size": size });
            let born = script.send("POST", "/api/v1/network/ipv6-lifecycle/allocate", &body).await;
            assert_eq!((born.status, born.json()["address"].as_str()), (201, Some(known)), "{born:?}");
        }
        for n in 0..4 {
            let body = json!({ "kind": "prefix", "subscriber_id": format!("C-{n}") });
            assert_eq!(script.send("POST", "/api/v1/network/ipv6-lifecycle/revoke", &body).await.status, 200);
        }
        // Nor may a subnet lie in one, or give out addresses of one.
        for (cidr, fits) in [("2001:db8:ff00:100::/64", false), ("2001:db8:ff00::/52", false), ("2001:db8:fe00::/40", true), ("2001:db8:b000::/64", true)] {
            let answer = script.send("POST", "/api/v1/subnets", &json!({ "name": cidr, "cidr": cidr, "nest": true })).await;
            assert_eq!(answer.status < 300, fits, "{cidr}: {answer:?}");
        }
        allocate(&app, Family::Prefix, "x").await;
        let list: Value = script.get("/api/v1/prefix-pools").await.json();
        let busy = list["prefix_pools"].as_array().unwrap().iter().find(|pool| pool["free"] != pool["size"]).unwrap();
        let id = busy["id"].as_str().unwrap();
        assert_eq!(script.ask("DELETE", &format!("/api/v1/prefix-pools/{id}")).send().await.status, 409);
        admin.post(&format!("/ipam/prefixes/{id}/deletion"), &[]).await.shows("Delete this pool?");
        let refused = admin.post(&format!("/ipam/prefixes/{id}/deletion"), &[("confirmed", "1")]).await;
        assert_eq!(refused.status, 409);
        let free = list["prefix_pools"].as_array().unwrap().iter().find(|pool| pool["free"] == pool["size"]).unwrap();
        let id = free["id"].as_str().unwrap();
        assert_eq!(admin.post(&format!("/ipam/prefixes/{id}/deletion"), &[("confirmed", "1")]).await.status, 303);
    }

    async fn whatever_is_typed_is_inert(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let file: Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
        let inert = |page: &Answer| {
            for live in ["<script>alert", "\"the boss\" O'Neil", "Bob <1234>", "<&>\"'"] {
                assert!(!page.text.contains(live), "{live}: {}", page.text);
            }
        };
        let mut kept = 0;
        for (n, entry) in file.as_array().unwrap().iter().enumerate() {
            let input = entry["input"].as_str().unwrap();
            let id = format!("h{n}");
            // As a name, a reason, a key and a value.
            let body = json!({ "subscriber_id": id, "subscriber_name": input, "metadata": { "note": input, input.chars().take(60).collect::<String>(): 1 } });
            let born = script.send("POST", "/api/v1/network/ipv4-lifecycle/allocate", &body).await;
            if born.status == 201 {
                let born = born.json();
                assert_eq!(born["metadata"]["note"], input);
                let page = admin.get(&format!("/lifecycle/{}", born["id"].as_str().unwrap())).await;
                inert(&page);
                assert!(unescaped(&page.text).contains(input.trim()), "{input:?}");
                script.send("POST", "/api/v1/network/ipv4-lifecycle/activate", &json!({ "subscriber_id": id })).await;
                let form = [("reason", input)];
                let path = format!("/lifecycle/{}/suspend", born["id"].as_str().unwrap());
                inert(&admin.post(&path, &form).await);
                inert(&admin.get("/lifecycle").await);
                inert(&admin.get(&format!("/lifecycle/{}", born["id"].as_str().unwrap())).await);
                kept += 1;
            } else {
                assert_eq!(born.status, 422, "{born:?}");
            }
            script.send("POST", "/api/v1/network/ipv4-lifecycle/revoke", &json!({ "subscriber_id": id })).await;
            for (field, path) in [("subscriber_id", "allocate"), ("role", "allocate"), ("mac", "allocate"), ("hostname", "allocate"),
                ("requested_address", "allocate"), ("pool_id", "allocate"), ("username", "activate"), ("nas_ip", "activate")] {
                let mut body = json!({ "subscriber_id": "same" });
                body[field] = input.into();
                let answer = script.send("POST", &format!("/api/v1/network/ipv4-lifecycle/{path}"), &body).await;
                assert!(answer.status < 500, "{field} {input:?}: {answer:?}");
                script.send("POST", "/api/v1/network/ipv4-lifecycle/revoke", &json!({ "subscriber_id": "same" })).await;
            }
            let q = serde_html_form::to_string([("q", input)]).unwrap();
            let found = admin.get(&format!("/lifecycle?{q}")).await;
            inert(&found);
            assert_eq!(found.status, if input.contains('\0') { 400 } else { 200 });
            let form = [("family", "ipv4"), ("kind", "external"), ("holder", input), ("wish", input), ("role", input), ("name", input), ("from", input)];
            let page = admin.post("/lifecycle", &form).await;
            assert_eq!(page.status, 422);
            inert(&page);
            let page = admin.post("/ipam/prefixes", &[("name", input), ("cidr", input), ("delegated", input)]).await;
            assert_eq!(page.status, 422);
            inert(&page);
        }
        assert!(kept >= 25, "{kept}");
    }
}
