//! The next free address, and who gets it.

use patchbay::auth::Role;
use patchbay::ipam::subnets::{Pools, Spec};
use serde_json::json;

use crate::ipam_addresses::{listed, office, rows, subnet};
use crate::support::app::both_databases;

both_databases! {
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
}
