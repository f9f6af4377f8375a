//! The life of assignments: every operation in every state, by every way; what becomes of the
//! address; what is refused, and how it is said.

use futures_util::future::join_all;
use patchbay::audit::Actor;
use patchbay::auth::Role;
use patchbay::id::{AssignmentId, TenantId};
use patchbay::ipam::addresses::{self, Holder, HolderKind, Reserver};
use patchbay::ipam::prefixes::{self, NewPool};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};
use patchbay::lifecycle::{
    self, Assignment, Family, How, Leased, Origin, Refusal, Release, State, Step, Wanted,
};
use patchbay::net::Address;
use serde_json::{Value, json};

use crate::support::app::{Answer, Script, TestApp, both_databases, logged, next, tester};

pub const FAMILIES: [Family; 3] = [Family::Ipv4, Family::Ipv6, Family::Prefix];

/// A subnet of each kind, and a prefix pool, in the default tenant: room for sixteen of each.
pub async fn office(app: &TestApp) {
    office_of(app, TenantId::DEFAULT).await;
}

/// The same in a tenant.
pub async fn office_of(app: &TestApp, tenant: TenantId) {
    let mut change = app.state.change(&Actor { tenant, ..tester() }).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    for (name, cidr, range) in [
        ("Voice", "10.20.5.0/24", "10.20.5.10-10.20.5.25"),
        ("Voice six", "2001:db8:5::/64", "2001:db8:5::10-2001:db8:5::1f"),
    ] {
        let mut spec = Spec::new(name.parse().unwrap(), cidr.parse().unwrap());
        spec.statics = Pools::These(vec![range.parse().unwrap()]);
        subnets::create(&mut space, &spec, false, false).await.unwrap();
    }
    let pool = NewPool {
        name: "Customers".parse().unwrap(),
        cidr: "2001:db8:ff00::/52".parse().unwrap(),
        delegated: "56".parse().unwrap(),
    };
    prefixes::create(&mut space, &pool).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

pub fn external(id: &str) -> Holder {
    Holder { kind: HolderKind::External, id: id.to_owned(), name: format!("Customer {id}") }
}

pub fn wanted(family: Family, holder: Holder) -> Wanted {
    Wanted {
        family,
        tenure: addresses::Tenure::of(holder),
        role: patchbay::lifecycle::Role::default(),
        from: Origin::Anywhere,
        wish: None,
        length: None,
    }
}

/// Does something in a change of its own.
macro_rules! within {
    ($app:expr, |$space:ident| $body:expr) => {{
        let mut change = $app.state.change(&tester()).await.unwrap();
        let mut $space = Space::open(&mut change, $app.state.vault.entropy()).await.unwrap();
        let done = $body.await;
        if done.is_ok() {
            $space.close().await.unwrap();
            change.commit_if_any().await.unwrap();
        }
        done
    }};
}
pub async fn allocate(app: &TestApp, family: Family, id: &str) -> Assignment {
    let wanted = wanted(family, external(id));
    let done = within!(app, |space| lifecycle::allocate(&mut space, &wanted, &How::default()));
    done.unwrap().assignment
}

pub async fn step(app: &TestApp, id: AssignmentId, step: &Step) -> Result<Assignment, Refusal> {
    let done = within!(app, |space| lifecycle::perform(&mut space, id, step, &How::default()));
    done.map(|done| done.assignment)
}

pub async fn complete(app: &TestApp, id: AssignmentId) -> Result<Assignment, Refusal> {
    within!(app, |space| lifecycle::complete(&mut space, id)).map(|done| done.assignment)
}

fn why(text: &str) -> patchbay::text::Line<500> {
    text.parse().unwrap()
}

/// A new subscriber whose assignment is in a state.
pub async fn put(app: &TestApp, family: Family, state: State) -> (String, AssignmentId) {
    let subscriber = format!("s-{}", next());
    let id = put_of(app, family, state, external(&subscriber)).await;
    (subscriber, id)
}

/// An assignment of a certain holder in a state.
pub async fn put_of(app: &TestApp, family: Family, state: State, holder: Holder) -> AssignmentId {
    let wanted = wanted(family, holder);
    let born = within!(app, |space| lifecycle::allocate(&mut space, &wanted, &How::default()));
    let id = born.unwrap().assignment.id;
    bring(app, id, state).await;
    id
}

/// Brings an assignment that is allocated into a state.
pub async fn bring(app: &TestApp, id: AssignmentId, state: State) {
    let steps: &[Step] = match state {
        State::Allocated | State::Pending => &[],
        State::Active => &[Step::Activate],
        State::Suspended => &[Step::Activate, Step::Suspend(why("unpaid"))],
        State::Revoking | State::Revoked => &[Step::Activate, Step::Revoke(Release::Free)],
        State::Failed => &[Step::Activate, Step::Fail(why("no answer"))],
    };
    for one in steps {
        step(app, id, one).await.unwrap();
    }
    if state == State::Revoked {
        complete(app, id).await.unwrap();
    }
    if state == State::Pending {
        // No operation leaves one waiting; whatever did, it must be gone on with.
        let one = step(app, id, &Step::Fail(why("x"))).await.unwrap();
        app.sql(&format!("UPDATE assignment SET state = 'pending', live = TRUE, first_key = NULL, last_key = NULL WHERE id = '{id}'")).await;
        let (family, kind) = (one.family.as_str(), one.holder.kind.as_str());
        for (state, by) in [("failed", -1), ("pending", 1)] {
            app.sql(&format!(
                "INSERT INTO assignment_tally (tenant_id, family, holder_kind, state, entries)
                 VALUES ('{}', '{family}', '{kind}', '{state}', {by}) ON CONFLICT (tenant_id, family, holder_kind, state)
                 DO UPDATE SET entries = assignment_tally.entries + {by}", TenantId::DEFAULT)).await;
        }
    }
}

pub async fn state_of(app: &TestApp, id: AssignmentId) -> Assignment {
    let mut tx = app.state.read().await.unwrap();
    lifecycle::get(&mut tx, TenantId::DEFAULT, id).await.unwrap().unwrap()
}

pub fn base(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "/api/v1/network/ipv4-lifecycle",
        Family::Ipv6 | Family::Prefix => "/api/v1/network/ipv6-lifecycle",
    }
}

pub fn kind(family: Family) -> &'static str {
    if family == Family::Prefix { "prefix" } else { "address" }
}

pub async fn call(script: &Script<'_>, family: Family, word: &str, mut body: Value) -> Answer {
    body["kind"] = kind(family).into();
    script.send("POST", &format!("{}/{word}", base(family)), &body).await
}

/// What an operation does in a state: the state it leads to, or none if it is refused.
pub fn expected(word: &str, from: State) -> Option<State> {
    use State::{Active, Allocated, Failed, Pending, Revoked, Revoking, Suspended};
    match (word, from) {
        ("allocate", Pending) | ("retry", Failed) => Some(Allocated),
        ("activate", Allocated) | ("reactivate", Suspended) => Some(Active),
        ("suspend", Active) => Some(Suspended),
        // It is ending already, and goes on doing so.
        ("revoke", Revoking) => Some(Revoking),
        ("fail", Pending | Allocated | Active | Suspended | Revoking) => Some(Failed),
        // Who has had one that is over gets another: `allocate` leaves this one as it is.
        ("revoke", Allocated | Active | Suspended | Revoked)
        | ("complete", Revoking | Revoked)
        | ("allocate", Revoked) => Some(Revoked),
        _ => None,
    }
}

/// Whether a refusal says what the machine says of a step.
pub fn step_refused(said: &str, from: State, word: &str) -> bool {
    said.contains(&format!(" is {from} and cannot become "))
        && said.ends_with(&format!(" by {word}"))
}

/// The address of an assignment and what IPAM says of it agree.
pub async fn agrees(app: &TestApp) {
    let mut tx = app.state.read().await.unwrap();
    let rows = "SELECT id FROM assignment ORDER BY id";
    for id in app.texts(rows).await {
        let one = lifecycle::get(&mut tx, TenantId::DEFAULT, id.parse().unwrap()).await.unwrap();
        let Some(one) = one else { continue };
        if let Some(Leased::Address(address)) = one.leased {
            let row = addresses::get(&mut tx, TenantId::DEFAULT, address).await.unwrap();
            let named = row.as_ref().and_then(|row| row.assignment) == Some(one.id);
            assert_eq!(named, one.held().is_some(), "{one:?} {row:?}");
            if named {
                let row = row.unwrap();
                assert_eq!(row.status.as_str(), "allocated");
                assert!(row.holder.unwrap().is(&one.holder));
            }
        }
    }
    let named = app.number("SELECT count(*) FROM address WHERE assignment IS NOT NULL").await;
    let held = app.number("SELECT count(*) FROM assignment WHERE live AND state <> 'pending' AND family <> 'prefix'").await;
    assert_eq!(named, held);
    let counted = app.texts("SELECT family || ' ' || holder_kind || ' ' || state || ' ' || entries FROM assignment_tally WHERE entries <> 0 ORDER BY 1").await;
    let walked = app.texts("SELECT family || ' ' || holder_kind || ' ' || state || ' ' || count(*) FROM assignment GROUP BY family, holder_kind, state ORDER BY 1").await;
    assert_eq!(counted, walked);
}

both_databases! {
    async fn a_whole_life_by_calls_and_the_address_follows(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        for (family, first) in [(Family::Ipv4, "10.20.5.10"), (Family::Ipv6, "2001:db8:5::10"), (Family::Prefix, "2001:db8:ff00::/56")] {
            let who = json!({ "subscriber_id": "C-4711" });
            let mut body = json!({ "subscriber_id": "C-4711", "subscriber_name": "Ann & Sons", "metadata": { "ticket": 7 } });
            let born = call(&script, family, "allocate", body.clone()).await;
            assert_eq!(born.status, 201, "{born:?}");
            let born = born.json();
            assert_eq!((born["state"].as_str(), born["address"].as_str()), (Some("allocated"), Some(first)));
            assert_eq!(born["subscriber_kind"], "external");
            assert_eq!(born["subscriber_name"], "Ann & Sons");
            assert_eq!(born["metadata"], json!({ "ticket": 7 }));
            assert_eq!(born["tenant_id"], TenantId::DEFAULT.to_string());
            for later in ["activated_at", "suspended_at", "revoked_at"] {
                assert!(born[later].is_null(), "{later}: {born}");
            }
            assert_eq!(born["allocated_at"], "2023-11-14T22:13:20Z");
            assert_eq!(born["operations"], json!(["activate", "revoke", "fail"]));
            let twice = call(&script, family, "allocate", body.clone()).await;
            assert_eq!(twice.status, 409);
            assert!(twice.json()["errors"]["subscriber_id"].as_str().unwrap().contains(first), "{twice:?}");
            app.pass(60);
            body = json!({ "subscriber_id": "C-4711", "username": "ann@isp", "metadata": { "line": "x" } });
            let active = call(&script, family, "activate", body).await.json();
            assert_eq!((active["state"].as_str(), active["activated_at"].as_str()), (Some("active"), Some("2023-11-14T22:14:20Z")));
            assert_eq!(active["metadata"], json!({ "ticket": 7, "line": "x", "username": "ann@isp" }));
            app.pass(60);
            let body = json!({ "subscriber_id": "C-4711", "reason": "unpaid since May" });
            let suspended = call(&script, family, "suspend", body).await.json();
            assert_eq!((suspended["state"].as_str(), suspended["reason"].as_str()), (Some("suspended"), Some("unpaid since May")));
            assert_eq!(suspended["suspended_at"], "2023-11-14T22:15:20Z");
            agrees(&app).await;
            let active = call(&script, family, "reactivate", who.clone()).await.json();
            assert_eq!((active["state"].as_str(), active["reason"].as_str()), (Some("active"), Some("")));
            assert!(active["suspended_at"].is_null());
            let seen = script.get(&format!("{}/C-4711?kind={}", base(family), kind(family))).await;
            assert_eq!(seen.json()["state"], "active");
            let over = call(&script, family, "revoke", who.clone()).await;
            assert_eq!(over.status, 200, "{over:?}");
            let over = over.json();
            assert_eq!((over["state"].as_str(), over["live"].as_bool()), (Some("revoked"), Some(false)));
            assert_eq!(over["address"], first, "what it had stays known");
            assert_eq!((over["allocated_at"].as_str(), over["revoked_at"].as_str()), (Some("2023-11-14T22:13:20Z"), Some("2023-11-14T22:15:20Z")));
            let again = call(&script, family, "revoke", who.clone()).await;
            assert_eq!((again.status, again.json()["changed"].as_bool()), (200, Some(false)));
            agrees(&app).await;
            let second = call(&script, family, "allocate", who.clone()).await.json();
            assert_eq!(second["address"], first, "the address is free again");
            assert_ne!(second["id"], over["id"], "but it is another life");
            app.pass(-120);
        }
        let steps: Vec<String> = app.audit().await.into_iter().filter(|line| line.contains(" assignment.") && line.contains("10.20.5.10")).collect();
        let actions: Vec<&str> = steps.iter().map(|line| line.split(' ').find(|word| word.starts_with("assignment.")).unwrap()).collect();
        assert_eq!(actions, [
            "assignment.allocated", "assignment.activated", "assignment.suspended", "assignment.reactivated",
            "assignment.revoking", "assignment.revoked", "assignment.allocated",
        ]);
    }

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

    async fn what_cannot_be_is_refused_by_name_and_nothing_changes(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let user = admin.add("Ann", "ann@example.com", "").await;
        let v4 = app.texts("SELECT id FROM pool WHERE kind = 'static' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice')").await[0].clone();
        let dhcp = app.texts("SELECT id FROM pool WHERE kind = 'dhcp' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice')").await[0].clone();
        let v6 = app.texts("SELECT id FROM pool WHERE kind = 'static' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice six')").await[0].clone();
        let pd = app.texts("SELECT id FROM prefix_pool").await[0].clone();
        call(&script, Family::Ipv4, "allocate", json!({ "subscriber_id": "other", "requested_address": "10.20.5.12" })).await;
        let six = json!({ "subscriber_id": "other", "requested_address": "2001:db8:ff00:300::/56" });
        assert_eq!(call(&script, Family::Prefix, "allocate", six).await.status, 201);
        let none = "00000000-0000-0000-0000-000000000000";
        let cases = [
            (Family::Ipv4, json!({ "requested_address": "10.20.5.12" }), 409, "requested_address"),
            (Family::Ipv4, json!({ "requested_address": "10.20.5.0" }), 409, "requested_address"),
            (Family::Ipv4, json!({ "requested_address": "192.0.2.1" }), 422, "requested_address"),
            (Family::Ipv4, json!({ "requested_address": "10.20.5.99", "pool_id": v4 }), 422, "requested_address"),
            (Family::Ipv4, json!({ "requested_address": "2001:db8:5::11" }), 422, "requested_address"),
            (Family::Ipv4, json!({ "requested_address": "10.20.5" }), 422, "requested_address"),
            (Family::Ipv4, json!({ "pool_id": v6 }), 422, "pool_id"),
            (Family::Ipv4, json!({ "pool_id": dhcp }), 422, "pool_id"),
            (Family::Ipv4, json!({ "pool_id": pd }), 422, "pool_id"),
            (Family::Ipv4, json!({ "pool_id": none }), 422, "pool_id"),
            (Family::Ipv4, json!({ "pool_id": "x" }), 422, "pool_id"),
            (Family::Ipv4, json!({ "subnet_id": none }), 422, "subnet_id"),
            (Family::Ipv4, json!({ "pool_id": v4, "subnet_id": none }), 422, "subnet_id"),
            (Family::Ipv4, json!({ "prefix_size": 56 }), 422, "prefix_size"),
            (Family::Ipv6, json!({ "pool_id": v4 }), 422, "pool_id"),
            (Family::Ipv6, json!({ "requested_address": "10.20.5.13" }), 422, "requested_address"),
            (Family::Prefix, json!({ "requested_address": "2001:db8:ff00:300::/56" }), 409, "requested_address"),
            (Family::Prefix, json!({ "requested_address": "2001:db8:ff00:300::/60" }), 409, "requested_address"),
            (Family::Prefix, json!({ "requested_address": "2001:db8:ff00::/52" }), 422, "requested_address"),
            (Family::Prefix, json!({ "requested_address": "2001:db8:1::/56" }), 422, "requested_address"),
            (Family::Prefix, json!({ "requested_address": "2001:db8:ff00:301::/56" }), 422, "requested_address"),
            (Family::Prefix, json!({ "prefix_size": 47 }), 422, "prefix_size"),
            (Family::Prefix, json!({ "prefix_size": 65 }), 422, "prefix_size"),
            (Family::Prefix, json!({ "prefix_size": 48 }), 409, "pool_id"),
            (Family::Prefix, json!({ "pool_id": v6 }), 422, "pool_id"),
            (Family::Prefix, json!({ "subnet_id": none }), 422, "subnet_id"),
            (Family::Ipv4, json!({ "subscriber_kind": "user" }), 422, "subscriber_id"),
            (Family::Ipv4, json!({ "subscriber_kind": "host" }), 422, "subscriber_id"),
            (Family::Ipv4, json!({ "subscriber_kind": "phone" }), 422, "subscriber_id"),
            (Family::Ipv4, json!({ "subscriber_kind": "bmc" }), 422, "subscriber_kind"),
            (Family::Ipv4, json!({ "subscriber_id": "" }), 422, "subscriber_id"),
            (Family::Ipv4, json!({ "subscriber_id": "a b" }), 422, "subscriber_id"),
            (Family::Ipv4, json!({ "role": "Primary" }), 422, "role"),
            (Family::Ipv4, json!({ "mac": "00:11" }), 422, "mac"),
            (Family::Ipv4, json!({ "hostname": "a b" }), 422, "hostname"),
            (Family::Ipv4, json!({ "nas_ip": "x" }), 422, "nas_ip"),
            (Family::Ipv4, json!({ "metadata": [1] }), 422, "metadata"),
            (Family::Ipv4, json!({ "metadata": { "a": "x".repeat(9000) } }), 422, "metadata"),
        ];
        let before = (app.contents().await, app.texts("SELECT CAST(count(*) AS TEXT) FROM assignment").await);
        for (family, body, status, field) in cases {
            let mut full = json!({ "subscriber_id": "fresh" });
            full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            let answer = call(&script, family, "allocate", full).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            assert!(answer.json()["errors"][field].is_string(), "{body}: {answer:?}");
        }
        for (word, body, field) in [
            ("activate", json!({ "reason": "x" }), "reason"),
            ("activate", json!({ "release_to_pool": true }), "release_to_pool"),
            ("suspend", json!({ "send_disconnect": true }), "send_disconnect"),
            ("revoke", json!({ "send_coa": true }), "send_coa"),
            ("suspend", json!({ "reason": "x".repeat(501) }), "reason"),
            ("suspend", json!({ "reason": "a\u{202e}b" }), "reason"),
        ] {
            let mut full = json!({ "subscriber_id": "other" });
            full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            let answer = call(&script, Family::Ipv4, word, full).await;
            assert_eq!(answer.status, 422, "{body}");
            assert!(answer.json()["errors"][field].is_string(), "{body}: {answer:?}");
        }
        for word in ["activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
            let answer = call(&script, Family::Ipv4, word, json!({ "subscriber_id": "nobody" })).await;
            assert_eq!(answer.status, 404, "{word}");
        }
        assert_eq!(script.get("/api/v1/network/ipv4-lifecycle/nobody").await.status, 404);
        assert_eq!((app.contents().await, app.texts("SELECT CAST(count(*) AS TEXT) FROM assignment").await), before);
        // A user is known by the id alone, and called by their name.
        let born = call(&script, Family::Ipv4, "allocate", json!({ "subscriber_id": user, "subscriber_name": "Mallory" })).await.json();
        assert_eq!((born["subscriber_kind"].as_str(), born["subscriber_name"].as_str()), (Some("user"), Some("Ann")));
        // A phone by its MAC in any notation.
        let body = json!({ "subscriber_id": "00:15:65:AA:BB:CC", "subscriber_kind": "phone" });
        assert_eq!(call(&script, Family::Ipv4, "allocate", body).await.json()["subscriber_id"], "001565aabbcc");
        let seen = script.get("/api/v1/network/ipv4-lifecycle/00-15-65-aa-bb-cc").await;
        assert_eq!(seen.json()["subscriber_name"], "00:15:65:aa:bb:cc");
    }

    /// Which pool is empty, who has what is wished for, and what somebody has already.
    async fn what_stands_in_the_way_is_named(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let said = async |family: Family, body: Value, field: &str| {
            let answer = call(&script, family, "allocate", body).await;
            assert_eq!(answer.status, 409, "{answer:?}");
            answer.json()["errors"][field].as_str().unwrap().to_owned()
        };
        for (family, wish, part, pool, full) in [
            (Family::Ipv4, "10.20.5.12", None, "pool WHERE kind = 'static' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice')", "Voice"),
            (Family::Ipv6, "2001:db8:5::12", None, "pool WHERE kind = 'static' AND subnet_id IN (SELECT id FROM subnet WHERE name = 'Voice six')", "Voice six"),
            (Family::Prefix, "2001:db8:ff00:200::/56", Some("2001:db8:ff00:280::/60"), "prefix_pool", "Customers (2001:db8:ff00::/52)"),
        ] {
            let born = call(&script, family, "allocate", json!({ "subscriber_id": "C-1", "subscriber_name": "Ann & Sons", "requested_address": wish })).await;
            assert_eq!(born.status, 201, "{born:?}");
            for wish in [Some(wish), part].into_iter().flatten() {
                let taken = said(family, json!({ "subscriber_id": "C-2", "requested_address": wish }), "requested_address").await;
                assert!(taken.contains(wish) && taken.contains("Ann & Sons"), "{taken}");
            }
            let twice = said(family, json!({ "subscriber_id": "C-1" }), "subscriber_id").await;
            assert!(twice.contains(wish) && twice.contains("Ann & Sons") && twice.contains("(allocated)"), "{twice}");
            for n in 0..15 {
                let body = json!({ "subscriber_id": "C-3", "role": format!("r{n}") });
                assert_eq!(call(&script, family, "allocate", body).await.status, 201, "{n}");
            }
            let id = app.texts(&format!("SELECT id FROM {pool}")).await.remove(0);
            let empty = said(family, json!({ "subscriber_id": "C-2", "pool_id": id }), "pool_id").await;
            assert!(empty.contains(full), "{empty}");
            // A prefix that is kept from use says why; an address that is is given to who wishes for it.
            if family != Family::Prefix {
                continue;
            }
            let kept = json!({ "subscriber_id": "C-1", "release_to_pool": false });
            assert_eq!(call(&script, family, "revoke", kept).await.status, 200);
            let taken = said(family, json!({ "subscriber_id": "C-2", "requested_address": wish }), "requested_address").await;
            assert!(taken.contains(wish) && taken.contains("kept when external Ann & Sons left"), "{taken}");
        }
    }

    async fn an_empty_pool_says_so_and_roles_are_apart(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        for family in FAMILIES {
            for n in 0..16 {
                let body = json!({ "subscriber_id": "one", "role": format!("r{n}") });
                assert_eq!(call(&script, family, "allocate", body).await.status, 201, "{n}");
            }
            let full = call(&script, family, "allocate", json!({ "subscriber_id": "two" })).await;
            assert_eq!(full.status, 409, "{full:?}");
            assert!(full.json()["errors"]["pool_id"].is_string(), "{full:?}");
            let which = call(&script, family, "activate", json!({ "subscriber_id": "one" })).await;
            assert_eq!(which.status, 409, "which of them?");
            assert!(which.json()["detail"].as_str().unwrap().contains("role"));
            let one = call(&script, family, "activate", json!({ "subscriber_id": "one", "role": "r3" })).await;
            assert_eq!(one.json()["state"], "active");
        }
    }

    async fn a_repeated_request_is_done_once(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let send = async |word: &str, key: &str| {
            let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
            script.ask("POST", &path).header("idempotency-key", key).json(&json!({ "subscriber_id": "C-1" })).send().await
        };
        for word in ["allocate", "activate", "suspend", "reactivate", "fail", "retry", "revoke"] {
            let first = send(word, word).await;
            assert!(first.status < 300, "{word}: {first:?}");
            let events = app.audit().await.len();
            for _ in 0..2 {
                let again = send(word, word).await;
                assert_eq!((again.status, &again.text), (first.status, &first.text), "{word}");
                assert_eq!(again.header("idempotency-replayed"), Some("true"));
            }
            assert_eq!(app.audit().await.len(), events, "{word}");
        }
        let other = script.ask("POST", "/api/v1/network/ipv4-lifecycle/suspend").header("idempotency-key", "allocate")
            .json(&json!({ "subscriber_id": "C-1" })).send().await;
        assert_eq!(other.status, 409, "the key is another request's");
        let at_once = join_all((0..4).map(|_| send("allocate", "again"))).await;
        assert!(at_once.iter().all(|answer| answer.status == 201 && answer.text == at_once[0].text), "{at_once:?}");
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE live").await, 1);
    }

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

/// Ends whatever a subscriber has, however it stands.
pub async fn empty(app: &TestApp, subscriber: &str) {
    let holder = external(subscriber);
    let mut tx = app.state.read().await.unwrap();
    let all = lifecycle::of_holder(&mut tx, TenantId::DEFAULT, &holder).await.unwrap();
    drop(tx);
    for one in all {
        within!(app, |space| lifecycle::end(&mut space, &one, "done")).unwrap();
    }
}
