//! Lives beside systems outside that are kept in step, switched off and on, and left behind.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::lifecycle::{self, Family, Release, State, Step};
use patchbay::mirror;
use patchbay::outbox::System;
use patchbay::outside::http::Resolver;
use serde_json::{Value, json};

use crate::lifecycle::{agrees, allocate, complete, office, put, state_of, step};
use crate::outbox::{drain, radius};
use crate::outside_netbox::netbox;
use crate::outside_peers::{ask, both_families, reserved};
use crate::support::app::{Script, TestApp, both_databases};
use crate::support::lab::Kea;
use crate::support::outside::{Manner, NAS_SECRET, Nas, Netbox, attributes};

/// The addresses of MACs nobody else has.
const ANN: &str = "02:00:00:00:00:0a";
const BOB: &str = "02:00:00:00:00:0b";

async fn operate(script: &Script<'_>, word: &str, who: &str, more: Value) -> Value {
    let mut body = json!({ "subscriber_id": who });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
    let answer = script.send("POST", &path, &body).await;
    assert!(answer.status < 300, "{word}: {answer:?}");
    answer.json()
}

/// What the keeper does every second; how many orders it wrote.
async fn keep(app: &TestApp) -> usize {
    let mut written = 0;
    for system in [System::Dhcp, System::Netbox] {
        let app = &app.state;
        written += mirror::follow(app, TenantId::DEFAULT, system, 0).await.unwrap();
    }
    written
}

/// Until nothing is left to do, with time passing.
pub async fn settle(app: &TestApp) {
    for _ in 0..4 {
        keep(app).await;
        drain(app).await;
        app.pass(10);
        lifecycle::job::complete_settled(&app.state).await.unwrap();
    }
}

async fn off(app: &TestApp, system: &str) {
    let text = format!("UPDATE outside_system SET enabled = FALSE WHERE system = '{system}'");
    app.sql(&text).await;
}

/// `status description` of every address NetBox has, by its address.
fn written(server: &Netbox) -> Vec<String> {
    lines(server, "ip-addresses", "address")
}

/// The same of every prefix that was delegated.
fn delegated(server: &Netbox) -> Vec<String> {
    let mut lines = lines(server, "prefixes", "prefix");
    lines.retain(|line| line.starts_with("2001:db8:ff00:"));
    lines
}

fn lines(server: &Netbox, kind: &str, key: &str) -> Vec<String> {
    let mut lines: Vec<String> = server
        .all(kind)
        .into_iter()
        .map(|object| {
            let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
            let status = object["status"]["value"].as_str().unwrap();
            format!("{} {status} {}", text(key), text("description"))
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// Calls to NetBox that were ever written.
async fn called(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM outside_call WHERE system = 'netbox'").await
}

both_databases! {
    async fn what_was_revoked_while_a_system_was_off_does_not_come_back(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let (kea, server) = (Kea::start(), Netbox::start().await);
        both_families(&app, &kea).await;
        netbox(&app, server.at).await;
        for somebody_new in [true, false] {
            let had = operate(&script, "allocate", "ann", json!({ "mac": ANN })).await;
            let had = had["address"].as_str().unwrap().to_owned();
            operate(&script, "activate", "ann", json!({})).await;
            settle(&app).await;
            assert_eq!(reserved(&kea, &had).await.as_deref(), Some(ANN));
            assert_eq!(written(&server), [format!("{had}/32 active external ann")]);
            off(&app, "dhcp").await;
            off(&app, "netbox").await;
            assert_eq!(operate(&script, "revoke", "ann", json!({})).await["state"], "revoked");
            if somebody_new {
                let body = json!({ "mac": BOB, "requested_address": had });
                operate(&script, "allocate", "bob", body).await;
            }
            both_families(&app, &kea).await;
            netbox(&app, server.at).await;
            settle(&app).await;
            if somebody_new {
                assert_eq!(reserved(&kea, &had).await.as_deref(), Some(BOB));
                assert_eq!(written(&server), [format!("{had}/32 reserved external bob")]);
                operate(&script, "revoke", "bob", json!({})).await;
                settle(&app).await;
            }
            assert_eq!(reserved(&kea, &had).await, None);
            assert_eq!(written(&server), [""; 0]);
            assert_eq!(app.number("SELECT count(*) FROM outside_mirror WHERE length < 0").await, 0);
        }
    }

    async fn a_revocation_under_way_is_not_undone_by_keeping_in_step(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let (kea, server) = (Kea::start(), Netbox::start().await);
        both_families(&app, &kea).await;
        netbox(&app, server.at).await;
        let had = operate(&script, "allocate", "ann", json!({ "mac": ANN })).await;
        operate(&script, "activate", "ann", json!({})).await;
        settle(&app).await;
        let had = had["address"].as_str().unwrap();
        let over = operate(&script, "revoke", "ann", json!({})).await;
        assert_eq!(over["state"], "revoking");
        assert_eq!(keep(&app).await, 0, "what takes it back still waits");
        drain(&app).await;
        assert_eq!((reserved(&kea, had).await, written(&server)), (None, Vec::new()));
        assert_eq!(keep(&app).await, 0, "it is taken back, and the address is not free yet");
        app.pass(10);
        assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 1);
        assert_eq!((keep(&app).await, drain(&app).await), (0, 0));
        agrees(&app).await;
    }

    async fn what_is_not_to_be_written_into_netbox_is_not(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        settle(&app).await;
        let quiet = json!({ "update_netbox": false });
        let had = operate(&script, "allocate", "ann", quiet.clone()).await;
        settle(&app).await;
        assert_eq!(written(&server), [""; 0]);
        operate(&script, "activate", "ann", json!({})).await;
        settle(&app).await;
        let line = format!("{}/32 active external ann", had["address"].as_str().unwrap());
        assert_eq!(written(&server), std::slice::from_ref(&line));
        // Left there on purpose; but it is nobody's word any more.
        operate(&script, "revoke", "ann", quiet).await;
        settle(&app).await;
        assert_eq!(written(&server), std::slice::from_ref(&line));
        let body = json!({ "requested_address": had["address"] });
        operate(&script, "allocate", "bob", body).await;
        settle(&app).await;
        assert_eq!(written(&server), [line.replace("active external ann", "reserved external bob")]);
    }

    async fn radius_is_told_nothing_that_it_is_not_to_be_told(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let heard = || nas.packets().iter().map(|packet| packet[0]).collect::<Vec<_>>();
        // Unless it is said otherwise it is told of all but the activation.
        operate(&script, "allocate", "ann", json!({})).await;
        for word in ["activate", "suspend", "reactivate", "revoke"] {
            operate(&script, word, "ann", json!({})).await;
            settle(&app).await;
        }
        let usual = [43, 43, 40];
        assert_eq!(heard(), usual);
        // Asked not to be, it is not, and nothing is waited for.
        let born = operate(&script, "allocate", "ann", json!({})).await;
        for (word, field) in [("activate", "send_coa"), ("suspend", "send_coa"), ("reactivate", "send_coa"), ("revoke", "send_disconnect")] {
            let done = operate(&script, word, "ann", json!({ field: false })).await;
            assert_eq!(done["outside"], json!([]), "{word}: {done}");
            if word == "revoke" {
                assert_eq!(done["state"], "revoked");
            }
        }
        settle(&app).await;
        assert_eq!(heard(), usual);
        assert_eq!(born["outside"], json!([]));
        // The same on the page, where the box is ticked beforehand, and unticked is no.
        for told in [false, true] {
            let id = allocate(&app, Family::Ipv4, "bob").await.id;
            step(&app, id, &Step::Activate).await.unwrap();
            for word in ["suspend", "reactivate", "revoke"] {
                let path = format!("/lifecycle/{id}/{word}");
                let page = admin.get(&path).await;
                page.shows(r#"name="radius" value="1" checked"#);
                let form: &[(&str, &str)] = if told { &[("radius", "1")] } else { &[] };
                assert_eq!(admin.post(&path, form).await.status, 303, "{word}");
                settle(&app).await;
            }
            assert_eq!(state_of(&app, id).await.state, State::Revoked);
            assert_eq!(heard().len(), if told { 6 } else { 3 }, "told: {told}");
        }
        assert_eq!(heard()[3..], usual);
    }

    /// Two servers, each with its own secret: the session's own is told, and only it.
    async fn the_nas_an_operation_names_is_the_one_that_is_told(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let edge = Nas::start(Duration::ZERO).await;
        let core = Nas::sharing("127.0.0.2".parse().unwrap(), "secret-of-core", Duration::ZERO).await;
        radius(&app, edge.port, NAS_SECRET).await;
        crate::outbox::add_nas(&app, "core", "127.0.0.2", core.port, "secret-of-core").await;
        let heard = || (edge.packets().len(), core.packets().len());
        operate(&script, "allocate", "ann", json!({})).await;
        operate(&script, "activate", "ann", json!({ "send_coa": true, "nas_ip": "127.0.0.2" })).await;
        settle(&app).await;
        assert_eq!(heard(), (0, 1));
        let packet = core.packets().remove(0);
        let address = attributes(&packet).into_iter().find(|(kind, _)| *kind == 4);
        assert_eq!(address.unwrap().1, [127, 0, 0, 2], "NAS-IP-Address");
        // It is remembered, until another is named.
        operate(&script, "suspend", "ann", json!({})).await;
        settle(&app).await;
        assert_eq!(heard(), (0, 2));
        operate(&script, "reactivate", "ann", json!({ "nas_ip": "127.0.0.1" })).await;
        operate(&script, "revoke", "ann", json!({})).await;
        settle(&app).await;
        assert_eq!(heard(), (2, 2));
        // Without one it is the usual one.
        operate(&script, "allocate", "bob", json!({})).await;
        operate(&script, "activate", "bob", json!({ "send_coa": true })).await;
        settle(&app).await;
        assert_eq!(heard(), (3, 2));
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE state <> 'done'").await, 0);
        // One that nobody knows is told to nobody.
        operate(&script, "suspend", "bob", json!({ "nas_ip": "127.0.0.9" })).await;
        settle(&app).await;
        assert_eq!(heard(), (3, 2));
        let seen = script.get("/api/v1/network/ipv4-lifecycle/bob").await.json();
        assert!(seen["coa_result"].as_str().unwrap().contains("no NAS with the address 127.0.0.9 is known"), "{seen}");
    }

    /// What fails in use keeps its address, and perhaps its session. Whether it is tried again or
    /// its holder leaves: the session is ended, and until then nobody else gets the address.
    async fn the_session_of_what_failed_is_ended_before_it_goes_on(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let heard = || nas.packets().iter().map(|packet| packet[0]).collect::<Vec<_>>();
        let born = operate(&script, "allocate", "ann", json!({})).await;
        for word in ["activate", "fail"] {
            operate(&script, word, "ann", json!({})).await;
        }
        let id = born["id"].as_str().unwrap();
        admin.get(&format!("/lifecycle/{id}/retry")).await.shows("the session of ann is ended (Disconnect)");
        operate(&script, "retry", "ann", json!({})).await;
        settle(&app).await;
        assert_eq!(heard(), [40]);
        // It was not in use since: there is nothing more to end.
        assert_eq!(operate(&script, "revoke", "ann", json!({})).await["state"], "revoked");
        // Unless it is said that it goes on.
        operate(&script, "allocate", "ann", json!({})).await;
        for word in ["activate", "fail"] {
            operate(&script, word, "ann", json!({})).await;
        }
        assert_eq!(operate(&script, "retry", "ann", json!({ "send_disconnect": false })).await["state"], "allocated");
        settle(&app).await;
        assert_eq!(heard(), [40]);
        assert_eq!(operate(&script, "revoke", "ann", json!({})).await["state"], "revoked");
        // The same when a user leaves.
        for workflow in [false, true] {
            let before = heard().len();
            let user = admin.add("Bob", "bob@example.com", "").await;
            let born = operate(&script, "allocate", &user, json!({})).await;
            for word in ["activate", "fail"] {
                operate(&script, word, &user, json!({})).await;
            }
            if workflow {
                let asked = json!({ "kind": "deprovision", "user": user });
                assert_eq!(script.send("POST", "/api/v1/workflows", &asked).await.status, 202);
                crate::workflows::runner(&app).drain().await.unwrap();
                assert_eq!(app.texts("SELECT status FROM workflow_run").await, ["completed"]);
            } else {
                assert_eq!(script.ask("DELETE", &format!("/api/v1/users/{user}")).send().await.status, 200);
            }
            let id = born["id"].as_str().unwrap().parse().unwrap();
            assert_eq!(state_of(&app, id).await.state, State::Revoking, "workflow: {workflow}");
            settle(&app).await;
            assert_eq!(heard()[before..], [40], "workflow: {workflow}");
            assert_eq!(state_of(&app, id).await.state, State::Revoked, "workflow: {workflow}");
            agrees(&app).await;
        }
    }

    async fn a_dead_system_that_is_switched_off_holds_no_revocation_up(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        nas.behaves(Manner::Silent);
        let had = operate(&script, "allocate", "ann", json!({})).await;
        operate(&script, "activate", "ann", json!({})).await;
        assert_eq!(operate(&script, "revoke", "ann", json!({})).await["state"], "revoking");
        drain(&app).await;
        app.pass(10);
        assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 0);
        off(&app, "radius").await;
        assert_eq!(lifecycle::job::complete_settled(&app.state).await.unwrap(), 1);
        let id = had["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(state_of(&app, id).await.state, State::Revoked);
    }

    /// Kea gives a machine one address of a subnet: the second is refused in words, and the first
    /// stays, however often one looks.
    async fn two_addresses_of_a_phone_in_a_subnet_do_not_take_turns_in_kea(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let kea = Kea::start();
        both_families(&app, &kea).await;
        let phone = |role: &str| json!({ "subscriber_kind": "phone", "role": role, "mac": "02:00:00:00:00:0c" });
        let first = operate(&script, "allocate", "02000000000c", phone("primary")).await;
        let second = operate(&script, "allocate", "02000000000c", phone("video")).await;
        let (first, second) = (first["address"].as_str().unwrap(), second["address"].as_str().unwrap());
        settle(&app).await;
        let mac = Some("02:00:00:00:00:0c".to_owned());
        for _ in 0..3 {
            assert_eq!((reserved(&kea, first).await, reserved(&kea, second).await), (mac.clone(), None));
            let found = mirror::compare(&app.state, TenantId::DEFAULT, System::Dhcp, &Resolver::system()).await;
            assert!(found.unwrap().unwrap().is_clean(), "there is nothing to put right");
            assert_eq!((keep(&app).await, drain(&app).await), (0, 0));
        }
        for format in ["kea", "isc"] {
            let file = script.get(&format!("/api/v1/dhcp/export?format={format}")).await.text;
            assert_eq!(file.matches("02:00:00:00:00:0c").count(), 1, "{file}");
        }
        let asked = "/api/v1/network/ipv4-lifecycle/02000000000c?role=video";
        let seen = script.get(asked).await.json();
        let said = seen["outside"][0]["error"].as_str().unwrap();
        assert!(said.contains("one machine gets one address of a subnet"), "{said}");
        operate(&script, "revoke", "02000000000c", json!({ "role": "primary" })).await;
        settle(&app).await;
        app.sql("UPDATE outside_call SET state = 'waiting', attempts = 0, next_at = 0, ended_at = NULL WHERE state = 'dead'").await;
        settle(&app).await;
        assert_eq!((reserved(&kea, first).await, reserved(&kea, second).await), (None, mac));
    }

    async fn a_machine_that_was_replaced_loses_its_lease(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        let (address, subject) = ("10.20.0.9", crate::outbox::subject(1));
        let order = |mac: &str| crate::outside_peers::reserve(address, &format!("mac:{mac}"), "");
        crate::outbox::push(&app, &subject, &order(ANN)).await;
        drain(&app).await;
        let lease = json!({ "subnet-id": 8, "ip-address": address, "hw-address": ANN });
        assert_eq!(ask(&kea, kea.v4, "lease4-add", lease).await["result"], 0);
        crate::outbox::push(&app, &subject, &order(BOB)).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, address).await.as_deref(), Some(BOB));
        let left = ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": address })).await;
        assert_eq!(left["result"], 3, "{left}");
        // Another's lease is not ours to end.
        let lease = json!({ "subnet-id": 8, "ip-address": address, "hw-address": "02:00:00:00:00:77" });
        assert_eq!(ask(&kea, kea.v4, "lease4-add", lease).await["result"], 0);
        crate::outbox::push(&app, &subject, &order(ANN)).await;
        drain(&app).await;
        let left = ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": address })).await;
        assert_eq!(left["result"], 0, "{left}");
    }

    /// A configuration with very many reservations in it is longer than any other answer.
    async fn a_kea_with_very_many_reservations_is_spoken_to_all_the_same(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        for n in 0..24 {
            let reservation = json!({ "subnet-id": 8, "hw-address": format!("02:00:00:00:01:{n:02x}"),
                "ip-address": format!("10.20.1.{n}"), "user-context": { "comment": "x".repeat(60_000) } });
            let asked = json!({ "reservation": reservation, "operation-target": "memory" });
            let answer = ask(&kea, kea.v4, "reservation-add", asked).await;
            assert_eq!(answer["result"], 0, "{answer}");
        }
        let whole = ask(&kea, kea.v4, "config-get", Value::Null).await.to_string().len();
        assert!(whole > 1 << 20, "{whole}");
        let order = crate::outside_peers::reserve("10.20.0.9", &format!("mac:{ANN}"), "");
        crate::outbox::push(&app, &crate::outbox::subject(1), &order).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.9").await.as_deref(), Some(ANN));
    }

    /// In every state of a life: what is said, and what is not.
    async fn prefixes_delegated_before_netbox_was_on_are_said_once(app: TestApp) {
        office(&app).await;
        let mut expected = Vec::new();
        for state in State::ALL {
            let (who, id) = put(&app, Family::Prefix, state).await;
            let status = match state {
                State::Allocated => "reserved",
                State::Active | State::Suspended => "active",
                _ => continue,
            };
            let had = state_of(&app, id).await.held().unwrap();
            expected.push(format!("{had} {status} external Customer {who}"));
        }
        expected.sort_unstable();
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        settle(&app).await;
        assert_eq!(delegated(&server), expected);
        let calls = called(&app).await;
        // A second look, and switching off and on, change nothing.
        off(&app, "netbox").await;
        settle(&app).await;
        app.sql("UPDATE outside_system SET enabled = TRUE WHERE system = 'netbox'").await;
        settle(&app).await;
        assert_eq!((keep(&app).await, called(&app).await), (0, calls));
        // The report counts them: three, two subnets.
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.post("/netbox/report", &[]).await.shows("Nothing differs. 5 compared.");
        server.store.lock().unwrap().objects.retain(|_, object| object["status"]["value"] != "reserved");
        admin.post("/netbox/report", &[]).await.shows("1 of 5 differ.");
        assert_eq!(admin.post("/netbox/report/repair", &[]).await.status, 303);
        settle(&app).await;
        assert_eq!(delegated(&server), expected);
    }

    /// From the first step on the operations say it, and the register no more.
    async fn a_prefix_netbox_knows_by_the_register_goes_on_by_its_operations(app: TestApp) {
        office(&app).await;
        let ann = allocate(&app, Family::Prefix, "ann").await;
        let had = ann.held().unwrap();
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        settle(&app).await;
        assert_eq!(delegated(&server), [format!("{had} reserved external Customer ann")]);
        let calls = called(&app).await;
        step(&app, ann.id, &Step::Activate).await.unwrap();
        assert_eq!((keep(&app).await, called(&app).await), (0, calls + 1), "it is ordered already");
        settle(&app).await;
        assert_eq!(delegated(&server), [format!("{had} active external Customer ann")]);
        step(&app, ann.id, &Step::Revoke(Release::Free)).await.unwrap();
        assert_eq!(state_of(&app, ann.id).await.state, State::Revoking);
        assert_eq!((keep(&app).await, called(&app).await), (0, calls + 2), "it is ordered already");
        settle(&app).await;
        assert_eq!((keep(&app).await, called(&app).await), (0, calls + 2));
        assert_eq!(state_of(&app, ann.id).await.state, State::Revoked);
        assert_eq!(delegated(&server), [""; 0]);
        assert_eq!(app.number("SELECT count(*) FROM outside_mirror WHERE length = 56").await, 0);
    }

    async fn what_becomes_of_a_prefix_while_netbox_is_off_is_said_afterwards(app: TestApp) {
        office(&app).await;
        let (ann, bob) = (allocate(&app, Family::Prefix, "ann").await, allocate(&app, Family::Prefix, "bob").await);
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        settle(&app).await;
        assert_eq!(delegated(&server).len(), 2);
        off(&app, "netbox").await;
        step(&app, ann.id, &Step::Activate).await.unwrap();
        step(&app, bob.id, &Step::Revoke(Release::Free)).await.unwrap();
        complete(&app, bob.id).await.unwrap();
        let eve = allocate(&app, Family::Prefix, "eve").await;
        netbox(&app, server.at).await;
        settle(&app).await;
        let mut expected = [
            format!("{} active external Customer ann", ann.held().unwrap()),
            format!("{} reserved external Customer eve", eve.held().unwrap()),
        ];
        expected.sort_unstable();
        assert_eq!(delegated(&server), expected);
        assert_eq!(keep(&app).await, 0);
    }

    /// An operation that is not to be told to NetBox is not told by the register instead.
    async fn what_is_done_quietly_with_a_prefix_stays_quiet(app: TestApp) {
        office(&app).await;
        let ann = allocate(&app, Family::Prefix, "ann").await;
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        settle(&app).await;
        let before = delegated(&server);
        assert_eq!(before, [format!("{} reserved external Customer ann", ann.held().unwrap())]);
        let script = app.script(Role::Admin).await;
        let calls = called(&app).await;
        for word in ["activate", "revoke"] {
            let body = json!({ "subscriber_id": "ann", "kind": "prefix", "update_netbox": false });
            let path = format!("/api/v1/network/ipv6-lifecycle/{word}");
            let answer = script.send("POST", &path, &body).await;
            assert!(answer.status < 300, "{word}: {answer:?}");
            settle(&app).await;
            assert_eq!((delegated(&server), called(&app).await), (before.clone(), calls), "{word}");
        }
        assert_eq!(state_of(&app, ann.id).await.state, State::Revoked);
        // Whoever has it next may be as quiet.
        let quiet = json!({ "subscriber_id": "bob", "kind": "prefix", "update_netbox": false });
        let answer = script.send("POST", "/api/v1/network/ipv6-lifecycle/allocate", &quiet).await;
        assert!(answer.status < 300, "{answer:?}");
        settle(&app).await;
        assert_eq!(called(&app).await, calls);
    }
}
