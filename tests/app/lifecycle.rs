//! The life of assignments: every operation in every state, by every way; what becomes of the
//! address; what is refused, and how it is said.

use futures_util::future::join_all;
use patchbay::audit::Actor;
use patchbay::auth::Role;
use patchbay::id::{AssignmentId, TenantId};
use patchbay::ipam::addresses::{self, Holder, HolderKind};
use patchbay::ipam::prefixes::{self, NewPool};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};
use patchbay::lifecycle::{
    self, Assignment, Family, How, Leased, Origin, Refusal, Release, State, Step, Wanted,
};
use serde_json::{Value, json};

use crate::support::app::{Answer, Script, TestApp, both_databases, next, tester};

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
pub(crate) use within;

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

pub fn why(text: &str) -> patchbay::text::Line<500> {
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
}
