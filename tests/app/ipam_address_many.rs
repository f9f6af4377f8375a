//! Many addresses at once.

use patchbay::auth::Role;
use patchbay::ipam::subnets::Spec;
use serde_json::json;

use crate::ipam_addresses::{listed, office, put, rows, subnet, sure};
use crate::support::app::both_databases;

both_databases! {
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
}
