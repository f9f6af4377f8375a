//! What becomes of an address in time: its history, conflicts, and what ends by itself.

use patchbay::auth::Role;
use patchbay::ipam::addresses;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets;
use serde_json::json;

use crate::ipam_addresses::{block, listed, office, put, someone, stored, sure};
use crate::support::app::{both_databases, tester};
use crate::support::process::Patchbay;

both_databases! {
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
