//! Every operation and the clock, in every state of an assignment.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::lifecycle::{self, Family, State, Step};
use serde_json::{Value, json};

use crate::lifecycle::{
    FAMILIES, agrees, allocate, call, empty, expected, office, put, state_of, step, step_refused,
    why,
};
use crate::support::app::{both_databases, logged};

both_databases! {
    async fn every_operation_in_every_state_by_calls(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        for family in FAMILIES {
            for from in State::ALL {
                for word in ["allocate", "activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
                    let (subscriber, id) = put(&app, family, from).await;
                    let answer = call(&script, family, word, json!({ "subscriber_id": subscriber })).await;
                    let now = state_of(&app, id).await;
                    match expected(word, from) {
                        Some(to) => {
                            assert!(answer.status < 300, "{word} {from}: {answer:?}");
                            assert_eq!(now.state, to, "{word} {from}");
                        }
                        None => {
                            assert_eq!(answer.status, 409, "{word} {from}: {answer:?}");
                            assert_eq!(now.state, from, "{word} {from}");
                            if word == "allocate" {
                                let said = answer.json()["errors"]["subscriber_id"].as_str().unwrap().to_owned();
                                assert!(said.contains(&format!("({from}) already; ")), "{said}");
                            } else {
                                let said = answer.json()["errors"]["state"].as_str().unwrap().to_owned();
                                assert!(step_refused(&said, from, word), "{said}");
                            }
                        }
                    }
                    agrees(&app).await;
                    // Room for the next.
                    empty(&app, &subscriber).await;
                }
            }
        }
    }

    async fn every_operation_in_every_state_by_pages(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for family in FAMILIES {
            for from in State::ALL {
                for word in ["activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
                    let (subscriber, id) = put(&app, family, from).await;
                    let path = format!("/lifecycle/{id}/{word}");
                    let allowed = from.operations().iter().any(|operation| operation.as_str() == word);
                    let offered = admin.get(&format!("/lifecycle/{id}")).await;
                    assert_eq!(offered.text.contains(&format!("href=\"{path}\"")), allowed, "{word} {from}");
                    let asked = admin.get(&path).await;
                    assert_eq!(asked.status, if allowed { 200 } else { 409 }, "{word} {from}");
                    let done = admin.post(&path, &[("reason", "because")]).await;
                    let now = state_of(&app, id).await;
                    match expected(word, from) {
                        Some(to) => {
                            assert_eq!((done.status, now.state), (303, to), "{word} {from}");
                        }
                        None => {
                            assert_eq!((done.status, now.state), (409, from), "{word} {from}");
                            done.shows(&format!("is {from} and cannot become"));
                        }
                    }
                    for other in ["allocate", "complete", "delete"] {
                        assert_eq!(admin.post(&format!("/lifecycle/{id}/{other}"), &[]).await.status, 404);
                    }
                    empty(&app, &subscriber).await;
                }
            }
        }
        agrees(&app).await;
    }

    async fn the_page_gives_nobody_a_second_in_any_state(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        for family in FAMILIES {
            for from in State::ALL {
                let (subscriber, id) = put(&app, family, from).await;
                let form = [("family", family.as_str()), ("kind", "external"), ("holder", subscriber.as_str())];
                let answer = admin.post("/lifecycle", &form).await;
                let now = state_of(&app, id).await;
                match expected("allocate", from) {
                    Some(to) => assert_eq!((answer.status, now.state), (303, to), "{from}: {answer:?}"),
                    None => {
                        assert_eq!((answer.status, now.state), (409, from), "{from}");
                        let said = answer.field_error("holder");
                        assert!(said.contains(&format!("({from}) already; ")), "{said}");
                    }
                }
                agrees(&app).await;
                empty(&app, &subscriber).await;
            }
        }
    }

    async fn the_clock_touches_only_what_it_should_in_every_state(app: TestApp) {
        office(&app).await;
        let mut all = Vec::new();
        for family in FAMILIES {
            for from in State::ALL {
                all.push((from, put(&app, family, from).await.1));
            }
        }
        app.pass(2 * 60 * 60);
        let found = lifecycle::job::clean_up(&app.state).await.unwrap();
        assert_eq!(found, json!({ "revoked_archived": 0, "allocated_stale": 0, "revoking_stuck": 3, "revoked_completed": 3, "errors": 0 }));
        for (from, id) in &all {
            let now = state_of(&app, *id).await.state;
            assert_eq!(now, expected("complete", *from).unwrap_or(*from), "{from}");
        }
        agrees(&app).await;
        app.pass(23 * 60 * 60);
        let found = lifecycle::job::clean_up(&app.state).await.unwrap();
        assert_eq!(found["allocated_stale"], 3);
        app.pass(90 * 24 * 60 * 60);
        let found = lifecycle::job::clean_up(&app.state).await.unwrap();
        assert_eq!((found["revoked_archived"].as_i64(), found["errors"].as_i64()), (Some(6), Some(0)));
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'revoked'").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'assignment.archived'").await, 6);
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 15, "nothing else is gone");
        agrees(&app).await;
    }

    async fn what_failed_and_holds_nothing_is_archived_as_what_was_revoked(app: TestApp) {
        office(&app).await;
        let id = allocate(&app, Family::Ipv4, "ann").await.id;
        step(&app, id, &Step::Fail(why("no answer"))).await.unwrap();
        app.pass(89 * 24 * 60 * 60);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["revoked_archived"], 0);
        app.pass(2 * 24 * 60 * 60);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["revoked_archived"], 1);
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/lifecycle").await.hides("ann");
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 0);
        agrees(&app).await;
    }

    /// What is younger than its threshold is left alone; a leak is told with all that is needed to find it.
    async fn the_clock_waits_for_its_thresholds_and_names_leaks(app: TestApp) {
        office(&app).await;
        let mut revoking = Vec::new();
        for family in FAMILIES {
            revoking.push(put(&app, family, State::Revoking).await.1);
            put(&app, family, State::Revoked).await;
        }
        app.pass(60 * 60 - 1);
        let found = lifecycle::job::clean_up(&app.state).await.unwrap();
        assert_eq!((&found["revoking_stuck"], &found["revoked_completed"]), (&json!(0), &json!(0)), "not an hour yet");
        for id in &revoking {
            assert_eq!(state_of(&app, *id).await.state, State::Revoking);
        }
        app.pass(2);
        let found = lifecycle::job::clean_up(&app.state).await.unwrap();
        assert_eq!(found["revoked_completed"], 3);
        app.pass(89 * 24 * 60 * 60);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["revoked_archived"], 0, "89 days");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'revoked'").await, 6);
        app.pass(24 * 60 * 60 + 1);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["revoked_archived"], 6);
        let mut leaks = Vec::new();
        for family in FAMILIES {
            leaks.push((family, put(&app, family, State::Allocated).await));
        }
        app.pass(24 * 60 * 60 - 1);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["allocated_stale"], 0, "not a day yet");
        app.pass(60 * 60 + 1);
        assert_eq!(lifecycle::job::clean_up(&app.state).await.unwrap()["allocated_stale"], 3);
        let log = logged();
        for (family, (subscriber, id)) in leaks {
            let leak = state_of(&app, id).await;
            let line = log.lines().find(|line| line.contains("address_leak") && line.contains(&id.to_string()));
            let line: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{id} is not in the log"))).unwrap();
            let event = if family == Family::Ipv4 { "ipv4_lifecycle.address_leak" } else { "ipv6_lifecycle.address_leak" };
            assert_eq!(line["message"], event);
            assert_eq!((&line["subscriber"], &line["hours_stuck"]), (&json!(subscriber), &json!(25)), "{line}");
            assert_eq!(line["address"], leak.leased.unwrap().to_string(), "{line}");
            assert_eq!((&line["pool"], &line["tenant.id"]), (&json!(leak.pool.unwrap()), &json!(TenantId::DEFAULT.to_string())), "{line}");
        }
    }

    async fn a_revocation_that_was_interrupted_is_completed(app: TestApp) {
        office(&app).await;
        // As if the process had died between its two commits.
        for family in FAMILIES {
            put(&app, family, State::Revoking).await;
        }
        assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 0, "the one who began it may be about to");
        app.pass(10);
        let (one, two) = (app.another().await, app.another().await);
        let (a, b) = futures_util::future::join(
            lifecycle::job::complete_settled(&one.state), lifecycle::job::complete_settled(&two.state)).await;
        assert_eq!(a.unwrap() + b.unwrap(), 3, "each once");
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'assignment.revoked'").await, 3);
        agrees(&app).await;
    }
}
