//! What an assignment holds: who gets it, who keeps it, and when it is free again.

use futures_util::future::join_all;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Holder, HolderKind, Reserver};
use patchbay::ipam::prefixes;
use patchbay::ipam::space::Space;
use patchbay::lifecycle::{self, Family, How, Refusal, Release, State, Step, Wanted};
use patchbay::net::Address;
use serde_json::json;

use crate::lifecycle::{
    FAMILIES, agrees, allocate, base, call, complete, external, kind, office, state_of, step,
    wanted, why, within,
};
use crate::support::app::{both_databases, tester};

both_databases! {
    async fn what_fails_early_gives_its_address_back_and_later_keeps_it(app: TestApp) {
        office(&app).await;
        for family in FAMILIES {
            let early = allocate(&app, family, "early").await;
            let failed = step(&app, early.id, &Step::Fail(why("no such line"))).await.unwrap();
            assert!(failed.held().is_none() && !failed.live);
            assert_eq!(failed.reason.to_string(), "no such line");
            let thief = allocate(&app, family, "thief").await;
            assert_eq!(thief.leased, early.leased, "it is free for others");
            let retried = step(&app, early.id, &Step::Retry).await.unwrap();
            assert_eq!((retried.state, retried.id), (State::Allocated, early.id));
            assert_ne!(retried.leased, early.leased, "another of its pool");

            step(&app, thief.id, &Step::Activate).await.unwrap();
            let kept = step(&app, thief.id, &Step::Fail(why("no answer"))).await.unwrap();
            assert_eq!(kept.held(), thief.leased, "somebody must decide");
            let wish = Wanted { wish: thief.leased, ..wanted(family, external("third")) };
            let refused = within!(app, |space| lifecycle::allocate(&mut space, &wish, &How::default()));
            assert!(matches!(refused, Err(Refusal::AddressUnavailable(_))), "{refused:?}");
            let more = within!(app, |space| lifecycle::allocate(&mut space, &wanted(family, external("thief")), &How::default()));
            assert!(matches!(more, Err(Refusal::AlreadyAllocated { .. })), "{more:?}");
            let retried = step(&app, thief.id, &Step::Retry).await.unwrap();
            assert_eq!((retried.state, retried.held()), (State::Allocated, thief.leased));
            assert!(retried.activated_at.is_none() && retried.reason.is_empty());
            agrees(&app).await;
            // Who got one meanwhile is told so.
            step(&app, early.id, &Step::Fail(why("again"))).await.unwrap();
            allocate(&app, family, "early").await;
            let refused = step(&app, early.id, &Step::Retry).await;
            assert!(matches!(refused, Err(Refusal::AlreadyAllocated { .. })), "{refused:?}");
        }
        agrees(&app).await;
    }

    async fn a_revoked_address_is_free_in_quarantine_or_kept(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let kept = json!({ "subscriber_id": "k", "release_to_pool": false });
        for family in FAMILIES {
            let one = call(&script, family, "allocate", json!({ "subscriber_id": "k" })).await.json();
            call(&script, family, "revoke", kept.clone()).await;
            let next_one = call(&script, family, "allocate", json!({ "subscriber_id": "k" })).await.json();
            assert_ne!(one["address"], next_one["address"], "it was kept");
            call(&script, family, "revoke", json!({ "subscriber_id": "k" })).await;
        }
        let mut tx = app.state.read().await.unwrap();
        let row = addresses::get(&mut tx, TenantId::DEFAULT, "10.20.5.10".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((row.status.as_str(), row.description.as_str()), ("reserved", "kept when external k left"));
        drop(tx);
        let pool = app.texts("SELECT id FROM prefix_pool").await[0].clone();
        let page = admin.get(&format!("/ipam/prefixes/{pool}")).await;
        page.shows("2001:db8:ff00::/56");
        page.shows("kept when external k left");
        admin.post(&format!("/ipam/prefixes/{pool}/release"), &[("prefix", "2001:db8:ff00::")]).await;
        assert_eq!(app.number("SELECT count(*) FROM prefix_hold").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM prefix_gap").await, 1, "the ranges grew together again");

        let bad = admin.post("/lifecycle/settings", &[("quarantine", "9000"), ("version", "0")]).await;
        assert_eq!((bad.status, bad.field_error("quarantine")), (422, "use 0 to 8760 hours (a year)".to_owned()));
        assert_eq!(admin.post("/lifecycle/settings", &[("quarantine", "2"), ("version", "0")]).await.status, 303);
        assert_eq!(admin.post("/lifecycle/settings", &[("quarantine", "3"), ("version", "0")]).await.status, 412, "somebody was faster");
        let mut had = Vec::new();
        for family in FAMILIES {
            had.push(call(&script, family, "allocate", json!({ "subscriber_id": "q" })).await.json()["address"].clone());
            call(&script, family, "revoke", json!({ "subscriber_id": "q" })).await;
        }
        for (family, had) in FAMILIES.into_iter().zip(&had) {
            let other = call(&script, family, "allocate", json!({ "subscriber_id": "r" })).await.json();
            assert_ne!(other["address"], *had, "it is in quarantine");
        }
        app.pass(2 * 60 * 60 + 1);
        assert_eq!(addresses::expire(&app.state).await.unwrap(), 2);
        assert_eq!(prefixes::expire(&app.state).await.unwrap(), 1);
        for (family, had) in FAMILIES.into_iter().zip(&had) {
            let other = call(&script, family, "allocate", json!({ "subscriber_id": "s" })).await.json();
            assert_eq!(other["address"], *had, "it is over");
        }
        agrees(&app).await;
    }

    async fn nothing_takes_an_assigned_address_away_behind_the_assignments_back(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let one = allocate(&app, Family::Ipv4, "C-1").await;
        let address: Address = "10.20.5.10".parse().unwrap();
        let path = "/ipam/addresses/10.20.5.10";
        let page = admin.get(path).await;
        page.shows(&format!("/lifecycle/{}", one.id));
        page.hides("/release\"");
        page.hides("/quarantine\"");
        for (word, form) in [("release", vec![]), ("quarantine", vec![("reason", "x")]), ("reserve", vec![("note", "x")]),
            ("allocate", vec![("kind", "external"), ("holder", "x")])] {
            let answer = admin.post(&format!("{path}/{word}"), &form).await;
            assert_eq!(answer.status, 409, "{word}: {answer:?}");
            let call = script.send("POST", &format!("/api/v1/addresses/10.20.5.10/{word}"), &match word {
                "quarantine" => json!({ "reason": "x" }), "reserve" => json!({ "note": "x" }),
                "allocate" => json!({ "holder": { "kind": "external", "name": "x" } }), _ => json!({}),
            }).await;
            assert_eq!(call.status, 409, "{word}: {call:?}");
            if matches!(word, "release" | "quarantine") {
                assert!(call.json()["detail"].as_str().unwrap().contains(&one.id.to_string()), "{call:?}");
            }
        }
        for action in ["release", "quarantine"] {
            let body = json!({ "action": action, "reason": "x", "addresses": ["10.20.5.10"] });
            let body = if action == "release" { json!({ "action": action, "addresses": ["10.20.5.10"] }) } else { body };
            let answer = script.send("POST", "/api/v1/addresses/bulk", &body).await;
            assert_eq!(answer.status, 409, "{answer:?}");
        }
        let file = "address,status\n10.20.5.10,available\n";
        let import = script.ask("POST", "/api/v1/addresses/import").header("content-type", "text/csv").body(file).send().await;
        assert_eq!(import.status, 422, "{import:?}");
        let id = app.texts("SELECT id FROM subnet WHERE name = 'Voice'").await[0].clone();
        let gone = script.ask("DELETE", &format!("/api/v1/subnets/{id}?force=true")).send().await;
        assert!(gone.status < 500, "{gone:?}");
        agrees(&app).await;
        let by = Reserver { name: "x".to_owned(), anybodys: true };
        let refused = within!(app, |space| addresses::release(&mut space, address, &by));
        assert!(matches!(refused, Err(addresses::Refusal::Assigned { .. })), "{refused:?}");
        step(&app, one.id, &Step::Revoke(Release::Free)).await.unwrap();
        complete(&app, one.id).await.unwrap();
        agrees(&app).await;
    }

    async fn a_host_keeps_its_assignment_and_a_user_takes_it_along(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        admin.post("/ipam/hosts", &[("hostname", "gw-1")]).await;
        let host = app.texts("SELECT id FROM host").await[0].clone();
        let born = call(&script, Family::Ipv4, "allocate", json!({ "subscriber_id": host })).await.json();
        assert_eq!((born["subscriber_kind"].as_str(), born["subscriber_name"].as_str()), (Some("host"), Some("gw-1")));
        let address = born["address"].as_str().unwrap();
        // It may name the address, and name it no longer: the assignment holds it.
        let named = admin.post(&format!("/ipam/hosts/{host}"), &[("hostname", "gw-1"), ("primary_ip", address), ("version", "1")]).await;
        assert_eq!(named.status, 303, "{named:?}");
        admin.post(&format!("/ipam/hosts/{host}"), &[("hostname", "gw-1"), ("version", "2")]).await;
        agrees(&app).await;
        let refused = script.ask("DELETE", &format!("/api/v1/hosts/{host}")).send().await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("/lifecycle/"));
        let page = admin.post("/ipam/hosts/deletion", &[("id", &host), ("confirmed", "1")]).await;
        assert_eq!(page.status, 409);
        call(&script, Family::Ipv4, "revoke", json!({ "subscriber_id": host })).await;
        assert_eq!(script.ask("DELETE", &format!("/api/v1/hosts/{host}")).send().await.status, 204);

        let user = admin.add("Ann", "ann@example.com", "").await;
        for (family, last) in [(Family::Ipv4, "activate"), (Family::Ipv6, "fail"), (Family::Prefix, "")] {
            call(&script, family, "allocate", json!({ "subscriber_id": user })).await;
            if !last.is_empty() {
                call(&script, family, "activate", json!({ "subscriber_id": user })).await;
                call(&script, family, last, json!({ "subscriber_id": user })).await;
            }
        }
        admin.post(&format!("/users/{user}"), &[("name", "Ann Lee"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")]).await;
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE holder_name = 'Ann Lee' AND live").await, 3);
        let shown = admin.post("/users/deletion", &[("id", &user)]).await;
        shown.shows("2001:db8:ff00::/56");
        let gone = script.ask("DELETE", &format!("/api/v1/users/{user}")).send().await;
        assert_eq!(gone.status, 200, "{gone:?}");
        assert_eq!(gone.json()["released_addresses"].as_array().unwrap().len(), 3);
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE live").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'revoked'").await, 4);
        agrees(&app).await;
    }

    async fn a_phone_is_active_at_its_first_register(app: TestApp) {
        office(&app).await;
        let phone = Holder { kind: HolderKind::Phone, id: "001565aabbcc".to_owned(), name: String::new() };
        let nothing = within!(app, |space| lifecycle::first_register(&mut space, &phone));
        assert!(nothing.unwrap().is_empty());
        let born = within!(app, |space| lifecycle::allocate(&mut space, &wanted(Family::Ipv4, phone.clone()), &How::default())).unwrap();
        let active = within!(app, |space| lifecycle::first_register(&mut space, &phone)).unwrap();
        assert_eq!((active.len(), active[0].assignment.state, active[0].assignment.id), (1, State::Active, born.assignment.id));
        let again = within!(app, |space| lifecycle::first_register(&mut space, &phone));
        assert!(again.unwrap().is_empty());
    }

    async fn many_at_once_get_each_another_and_one_holder_only_one(app: TestApp) {
        office(&app).await;
        for family in FAMILIES {
            let instances = join_all((0..4).map(|_| app.another())).await;
            let all = join_all((0..24).map(|n| {
                let state = instances[n % 4].state.clone();
                async move {
                    let mut change = state.change(&tester()).await.unwrap();
                    let mut space = Space::open(&mut change, state.vault.entropy()).await.unwrap();
                    // Half of them want one for the same.
                    let holder = external(&if n % 2 == 0 { "same".to_owned() } else { format!("m{n}") });
                    let done = lifecycle::allocate(&mut space, &wanted(family, holder), &How::default()).await;
                    if done.is_ok() {
                        space.close().await.unwrap();
                        change.commit().await.unwrap();
                    }
                    done.map(|done| done.assignment.leased.unwrap().to_string())
                }
            })).await;
            let (got, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
            let mut got: Vec<String> = got.into_iter().map(Result::unwrap).collect();
            assert_eq!((got.len(), refused.len()), (13, 11));
            got.sort();
            got.dedup();
            assert_eq!(got.len(), 13, "no two have one");
            for refusal in refused {
                assert!(matches!(refusal, Err(Refusal::AlreadyAllocated { .. })), "{refusal:?}");
            }
        }
        agrees(&app).await;
    }

    async fn two_who_end_and_use_one_at_once_leave_it_in_one_state(app: TestApp) {
        office(&app).await;
        let (one, two) = (app.another().await, app.another().await);
        for n in 0..6 {
            let id = allocate(&app, Family::Ipv4, &format!("x{n}")).await.id;
            let used = Box::pin(step(&one, id, &Step::Activate));
            let ended = Box::pin(step(&two, id, &Step::Revoke(Release::Free)));
            let (a, b) = futures_util::future::join(used, ended).await;
            let revoked = b.unwrap();
            match a {
                Ok(active) => assert_eq!(active.state, State::Active, "it was first"),
                Err(Refusal::InvalidTransition { from, .. }) => assert_eq!(from, State::Revoking),
                Err(other) => panic!("{other:?}"),
            }
            assert_eq!((revoked.state, state_of(&app, id).await.state), (State::Revoking, State::Revoking));
            let (a, b) = futures_util::future::join(complete(&one, id), complete(&two, id)).await;
            assert_eq!((a.unwrap().state, b.unwrap().state), (State::Revoked, State::Revoked));
        }
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'assignment.revoked'").await, 6);
        agrees(&app).await;
    }

    async fn outside_systems_are_told_in_the_same_change_and_a_revocation_waits_for_them(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for system in ["radius", "dhcp", "netbox"] {
            app.sql(&format!(
                "INSERT INTO outside_system (tenant_id, system, enabled, settings, secret, updated_at)
                 VALUES ('{}', '{system}', TRUE, '{{}}', '', 0)", TenantId::DEFAULT)).await;
        }
        let told = "SELECT system || ' ' || state FROM outside_call ORDER BY system";
        let who = json!({ "subscriber_id": "C-1" });
        for family in [Family::Ipv4, Family::Prefix] {
            app.sql("DELETE FROM outside_call").await;
            let mut body = json!({ "subscriber_id": "C-1" });
            if family == Family::Ipv4 {
                body["mac"] = "00:15:65:aa:bb:cc".into();
            }
            let born = call(&script, family, "allocate", body).await.json();
            let first: &[&str] = if family == Family::Ipv4 { &["dhcp waiting", "netbox waiting"] } else { &["netbox waiting"] };
            assert_eq!(app.texts(told).await, first);
            assert_eq!(born["outside"].as_array().unwrap().len(), first.len());
            let active = call(&script, family, "activate", json!({ "subscriber_id": "C-1", "username": "ann", "nas_ip": "192.0.2.9", "send_coa": true })).await.json();
            assert!(active["coa_result"].as_str().unwrap().starts_with("waiting"), "{active}");
            let suspended = call(&script, family, "suspend", who.clone()).await.json();
            let calls = suspended["outside"].as_array().unwrap().clone();
            assert!(calls.iter().any(|call| call["system"] == "radius" && call["call"].as_str().unwrap().contains("ann")), "{calls:?}");
            let id = born["id"].as_str().unwrap();
            let asked = admin.get(&format!("/lifecycle/{id}/revoke")).await;
            asked.shows("the session of ann is ended (Disconnect)");
            asked.shows("is removed");
            admin.get(&format!("/lifecycle/{id}")).await.shows("<th scope=\"row\">radius</th>");
            let before = app.number("SELECT count(*) FROM outside_call").await;
            let refused = call(&script, family, "activate", who.clone()).await;
            assert_eq!((refused.status, app.number("SELECT count(*) FROM outside_call").await), (409, before), "who is refused tells nobody");
            let ending = call(&script, family, "revoke", who.clone()).await.json();
            assert_eq!((ending["state"].as_str(), ending["live"].as_bool()), (Some("revoking"), Some(true)), "it waits");
            assert!(ending["disconnect_result"].as_str().unwrap().starts_with("waiting"));
            app.pass(10);
            assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 0);
            // One call was made, another is given up for now: nothing is left to wait for.
            app.sql("UPDATE outside_call SET state = 'done' WHERE system <> 'radius'").await;
            assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 0);
            app.sql("UPDATE outside_call SET state = 'dead', error = 'no answer' WHERE system = 'radius'").await;
            assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 1);
            let over = script.get(&format!("{}/C-1?kind={}", base(family), kind(family))).await.json();
            assert_eq!((over["state"].as_str(), over["disconnect_result"].as_str()), (Some("revoked"), Some("dead: no answer")));
            agrees(&app).await;
        }
        // Whatever outside says, after an hour it is over.
        call(&script, Family::Ipv4, "allocate", who.clone()).await;
        call(&script, Family::Ipv4, "activate", who.clone()).await;
        assert_eq!(call(&script, Family::Ipv4, "revoke", who).await.json()["state"], "revoking");
        app.pass(3_601);
        assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 0);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["revoked_completed"], 1);
    }

    async fn the_database_itself_refuses_a_second_of_either(app: TestApp) {
        office(&app).await;
        let one = allocate(&app, Family::Ipv4, "a").await;
        let two = allocate(&app, Family::Ipv4, "b").await;
        for text in [
            format!("UPDATE assignment SET first_key = (SELECT first_key FROM assignment WHERE id = '{}') WHERE id = '{}'", one.id, two.id),
            format!("UPDATE assignment SET holder_id = 'a' WHERE id = '{}'", two.id),
            format!("UPDATE assignment SET state = 'revoked' WHERE id = '{}'", two.id),
            format!("UPDATE assignment SET first_key = NULL WHERE id = '{}'", two.id),
            format!("UPDATE assignment SET state = 'gone' WHERE id = '{}'", two.id),
        ] {
            let mut tx = app.state.db.write().await.unwrap();
            let leaked: &'static str = Box::leak(text.into_boxed_str());
            assert!(tx.query(leaked).run().await.is_err(), "{leaked}");
        }
    }
}
