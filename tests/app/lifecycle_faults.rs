//! Whatever goes wrong outside: the assignment is in the state the operation says, nobody else gets
//! an address too early, the operator sees what is the matter and where, and when the system is
//! itself again one press settles it.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::lifecycle::{self, Family, State};
use patchbay::outbox::CallState;
use serde_json::{Value, json};

use crate::lifecycle::{agrees, allocate, office, state_of};
use crate::outbox::{calls, drain, radius};
use crate::outside_faults::{MANNERS, MISHAPS};
use crate::outside_netbox::netbox;
use crate::outside_peers::{dhcp, reserved};
use crate::support::app::{Browser, Script, TestApp, both_databases};
use crate::support::lab::Kea;
use crate::support::outside::{Manner, Mishap, NAS_SECRET, Nas, Netbox, Troubled, attributes};
use crate::support::process::Patchbay;

/// One operation on `C-1`; it is never held up and never refused because of what is outside.
async fn operate(script: &Script<'_>, word: &str, more: Value) -> Value {
    let mut body = json!({ "subscriber_id": "C-1" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
    let answer = script.send("POST", &path, &body).await;
    assert!(answer.status < 300, "{word}: {answer:?}");
    answer.json()
}

async fn seen(script: &Script<'_>) -> Value {
    script.get("/api/v1/network/ipv4-lifecycle/C-1").await.json()
}

/// Every page and call that shows the assignment shows what is the matter, and no secret.
async fn shown(script: &Script<'_>, admin: &Browser<'_>, system: &str, said: &str) {
    let now = seen(script).await;
    let calls = now["outside"].as_array().unwrap();
    let open = |call: &&Value| {
        call["system"] == system && matches!(call["state"].as_str(), Some("waiting" | "dead"))
    };
    // Those behind it on its line were not even tried.
    let tried = calls.iter().filter(open).find(|call| call["error"] != "");
    let tried = tried.unwrap_or_else(|| panic!("nothing is the matter: {now}"));
    assert!(tried["error"].as_str().unwrap().contains(said), "{said:?}: {tried}");
    let id = now["id"].as_str().unwrap();
    for path in
        [format!("/lifecycle/{id}"), "/outbox".to_owned(), format!("/outbox/of/assignment/{id}")]
    {
        let page = admin.get(&path).await;
        page.shows(said);
        page.hides("SENTINEL-BODY");
        page.hides(NAS_SECRET);
    }
}

/// Presses "try again" on whatever is not done, until it is.
async fn recover(app: &TestApp, admin: &Browser<'_>, id: &str) {
    let subject = patchbay::outbox::Subject::new("assignment", &id);
    for call in calls(app, &subject).await {
        if call.is_open() {
            assert_eq!(admin.post(&format!("/outbox/{}/retry", call.id), &[]).await.status, 303);
        }
    }
    drain(app).await;
    let open: Vec<_> = calls(app, &subject)
        .await
        .into_iter()
        .filter(|call| !matches!(call.state, CallState::Done | CallState::Replaced))
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

/// The clock looks whether a revocation has anything left to wait for.
async fn completed(app: &TestApp) -> i64 {
    app.pass(10);
    lifecycle::job::complete_settled(&app.state).await.unwrap()
}

/// Whoever comes now gets another address, or the one that was given up.
async fn next_one(app: &TestApp) -> String {
    let other = allocate(app, Family::Ipv4, "next").await;
    let address = other.leased.unwrap().to_string();
    crate::lifecycle::empty(app, "next").await;
    address
}

/// A life up to its end under a mishap: what is said of it is `said`; nothing if all goes well.
struct Trial<'a> {
    app: &'a TestApp,
    script: &'a Script<'a>,
    admin: &'a Browser<'a>,
    system: &'static str,
    said: &'static str,
}

impl Trial<'_> {
    /// The end, while the system is not itself: it waits, and nobody gets the address.
    async fn ending(&self, had: &str) {
        let over = operate(self.script, "revoke", json!({})).await;
        assert_eq!(
            (over["state"].as_str(), over["live"].as_bool()),
            (Some("revoking"), Some(true)),
            "{}",
            self.said
        );
        assert_eq!(completed(self.app).await, 0, "nobody was told yet");
        drain(self.app).await;
        if self.said.is_empty() {
            return;
        }
        shown(self.script, self.admin, self.system, self.said).await;
        let last =
            seen(self.script).await["outside"].as_array().unwrap().last().unwrap()["state"].clone();
        // What may pass is waited for. What does not pass by itself holds nothing up: it is shown.
        if last == "waiting" {
            assert_eq!(completed(self.app).await, 0, "{}", self.said);
            assert_eq!(seen(self.script).await["state"], "revoking");
            assert_ne!(next_one(self.app).await, had, "the old session may still live");
        }
        agrees(self.app).await;
    }

    /// The system is itself again: what is to be said is said, and the life is over.
    async fn settled(&self, id: &str, had: &str) {
        recover(self.app, self.admin, id).await;
        completed(self.app).await;
        let now = seen(self.script).await;
        assert_eq!(
            (now["state"].as_str(), now["live"].as_bool()),
            (Some("revoked"), Some(false)),
            "{}",
            self.said
        );
        assert_eq!(next_one(self.app).await, had, "it is free");
        agrees(self.app).await;
    }
}

both_databases! {
    async fn a_life_beside_radius_in_every_manner(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        for (manner, said) in MANNERS {
            let trial = Trial { app: &app, script: &script, admin: &admin, system: "radius", said };
            let born = operate(&script, "allocate", json!({})).await;
            let (id, had) = (born["id"].as_str().unwrap(), born["address"].as_str().unwrap());
            let before = nas.packets().len();
            nas.behaves(manner);
            assert_eq!(operate(&script, "activate", json!({ "send_coa": true })).await["state"], "active", "{manner:?}");
            drain(&app).await;
            assert_eq!(state_of(&app, id.parse().unwrap()).await.state, State::Active, "{manner:?}");
            if said.is_empty() {
                assert!(seen(&script).await["coa_result"].as_str().unwrap().starts_with("done"), "{manner:?}");
            } else {
                shown(&script, &admin, "radius", said).await;
                // It goes on all the same, in order behind what waits.
                assert_eq!(operate(&script, "suspend", json!({ "reason": "unpaid" })).await["state"], "suspended");
                drain(&app).await;
                assert_eq!(state_of(&app, id.parse().unwrap()).await.state, State::Suspended, "{manner:?}");
                assert_eq!(operate(&script, "reactivate", json!({})).await["state"], "active");
            }
            trial.ending(had).await;
            nas.behaves(Manner::Good);
            trial.settled(id, had).await;
            // What was heard more than once was the same packet.
            let mut packets = nas.packets()[before..].to_vec();
            let heard = packets.len();
            packets.dedup();
            if said.is_empty() {
                assert_eq!(packets.len(), 2, "{manner:?}: activate and disconnect");
                assert_eq!(heard, if manner == Manner::Slow { 4 } else { 2 }, "{manner:?}");
            }
            assert_eq!(packets.last().unwrap()[0], 40, "{manner:?}: the end comes last");
            // Each is told until it is taken, and nothing of it once more when the next was told.
            let mut told: Vec<_> = packets.iter().map(|packet| {
                let filter = attributes(packet).into_iter().find(|(kind, _)| *kind == 11);
                (packet[0], filter.map(|(_, value)| value))
            }).collect();
            told.dedup();
            let (less, more) = (Some(b"walled-garden".to_vec()), Some(b"full".to_vec()));
            let mut whole = vec![(43, None), (43, less), (43, more), (40, None)];
            if said.is_empty() {
                whole = vec![(43, None), (40, None)];
            }
            if manner == Manner::Refuses {
                // What is refused for good waits for nobody: pressed again, all are told anew.
                whole.extend(whole.clone());
            }
            assert_eq!(told, whole, "{manner:?}");
        }
    }

    /// Nobody listens where the NAS should be: the life goes on, and is told when one is there.
    async fn a_life_beside_a_nas_that_is_not_there(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let port = crate::support::process::free_port();
        radius(&app, port, NAS_SECRET).await;
        let said = "nobody listens at the NAS at 127.0.0.1";
        let trial = Trial { app: &app, script: &script, admin: &admin, system: "radius", said };
        let born = operate(&script, "allocate", json!({})).await;
        let (id, had) = (born["id"].as_str().unwrap(), born["address"].as_str().unwrap());
        operate(&script, "activate", json!({ "send_coa": true })).await;
        drain(&app).await;
        shown(&script, &admin, "radius", said).await;
        operate(&script, "suspend", json!({ "reason": "unpaid" })).await;
        assert_eq!(state_of(&app, id.parse().unwrap()).await.state, State::Suspended);
        trial.ending(had).await;
        let nas = Nas::on(port).await;
        trial.settled(id, had).await;
        assert_eq!(nas.packets().iter().map(|packet| packet[0]).collect::<Vec<_>>(), [43, 43, 40], "each once");
    }

    async fn a_life_beside_netbox_and_every_mishap(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let server = Netbox::start().await;
        let mut between = Troubled::before(server.at).await;
        netbox(&app, between.at).await;
        for (mishap, said) in MISHAPS {
            let trial = Trial { app: &app, script: &script, admin: &admin, system: "netbox", said };
            between.let_happen(mishap).await;
            let born = operate(&script, "allocate", json!({})).await;
            let (id, had) = (born["id"].as_str().unwrap(), born["address"].as_str().unwrap());
            drain(&app).await;
            assert_eq!(operate(&script, "activate", json!({})).await["state"], "active", "{mishap:?}");
            drain(&app).await;
            assert_eq!(state_of(&app, id.parse().unwrap()).await.state, State::Active, "{mishap:?}");
            if said.is_empty() {
                assert!(seen(&script).await["netbox_ip_id"].is_i64(), "{mishap:?}");
            } else {
                shown(&script, &admin, "netbox", said).await;
            }
            // When it is itself again, it says what is so: once, in one record.
            between.let_happen(Mishap::None).await;
            recover(&app, &admin, id).await;
            let records = |server: &Netbox| -> Vec<String> {
                let all = server.all("ip-addresses").into_iter();
                all.filter(|object| object["address"] == format!("{had}/32")).map(|object| object["status"]["value"].as_str().unwrap().to_owned()).collect()
            };
            // A network that repeats a POST makes two; the one whose answer was heard is kept in step.
            let most = if mishap == Mishap::Twice { 2 } else { 1 };
            let all = records(&server);
            assert!((1..=most).contains(&all.len()) && all.iter().any(|status| status == "active"), "{mishap:?} {all:?}");
            between.let_happen(mishap).await;
            trial.ending(had).await;
            between.let_happen(Mishap::None).await;
            trial.settled(id, had).await;
            assert!(records(&server).len() < most, "{mishap:?}: {:?}", records(&server));
            // What a repetition left behind is not part of the next trial.
            server.store.lock().unwrap().objects.clear();
        }
    }

    async fn a_life_beside_kea_and_every_mishap(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let kea = Kea::start();
        let mut between = Troubled::before(([127, 0, 0, 1], kea.v4).into()).await;
        dhcp(&app, &format!("http://{}", between.at), "", &kea).await;
        crate::outbox::allow(&app, patchbay::outbox::System::Dhcp, between.at.port()).await;
        let mac = "02:00:00:00:00:01";
        for (mishap, said) in MISHAPS {
            let trial = Trial { app: &app, script: &script, admin: &admin, system: "dhcp", said };
            between.let_happen(mishap).await;
            let born = operate(&script, "allocate", json!({ "mac": mac })).await;
            let (id, had) = (born["id"].as_str().unwrap(), born["address"].as_str().unwrap());
            drain(&app).await;
            assert_eq!(operate(&script, "activate", json!({})).await["state"], "active", "{mishap:?}");
            if said.is_empty() {
                assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE state = 'dead'").await, 0, "{mishap:?}");
            } else {
                shown(&script, &admin, "dhcp", said).await;
            }
            between.let_happen(Mishap::None).await;
            recover(&app, &admin, id).await;
            assert_eq!(reserved(&kea, had).await.as_deref(), Some(mac), "{mishap:?}");
            between.let_happen(mishap).await;
            trial.ending(had).await;
            between.let_happen(Mishap::None).await;
            trial.settled(id, had).await;
            assert_eq!(reserved(&kea, had).await, None, "{mishap:?}");
        }
    }

    /// Out of order is not possible: what is ordered while a call is made waits for it, and a
    /// process that died in between leaves nothing undone and nothing done twice.
    async fn a_life_whose_process_dies_at_every_call_is_settled_by_the_next(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let (nas, server) = (Nas::start(Duration::ZERO).await, Netbox::start().await);
        radius(&app, nas.port, NAS_SECRET).await;
        netbox(&app, server.at).await;
        // It dies before the call (it was only claimed), or after it and before it is written down.
        for after in [false, true] {
            let born = operate(&script, "allocate", json!({})).await;
            let id = born["id"].as_str().unwrap();
            for (word, more) in [("activate", json!({ "send_coa": true })), ("suspend", json!({})), ("reactivate", json!({})), ("revoke", json!({}))] {
                operate(&script, word, more).await;
                if after {
                    drain(&app).await;
                }
                let lost = if after { "ended_at = created_at" } else { "state = 'waiting'" };
                app.sql(&format!("UPDATE outside_call SET state = 'sending', runner = 'dead', lease_until = created_at, ended_at = NULL, answer = ''
                    WHERE subject = 'assignment/{id}' AND {lost} AND nth = (SELECT max(n.nth) FROM outside_call n WHERE n.system = outside_call.system AND n.line = outside_call.line AND n.tenant_id = outside_call.tenant_id)")).await;
                if word == "revoke" {
                    assert_eq!(completed(&app).await, 0, "a call is under way, for all anybody knows");
                }
                app.pass(61);
                crate::outbox::runner(&app).tidy().await.unwrap();
                drain(&app).await;
            }
            assert_eq!(completed(&app).await, 1);
            assert_eq!(state_of(&app, id.parse().unwrap()).await.state, State::Revoked);
            assert!(server.all("ip-addresses").is_empty());
            let mut packets = nas.packets();
            packets.dedup();
            let codes: Vec<u8> = packets.iter().map(|packet| packet[0]).collect();
            let whole = if after { &codes[codes.len() - 4..] } else { &codes[..] };
            assert_eq!(whole, [43, 43, 43, 40], "after: {after}");
            agrees(&app).await;
        }
    }

    /// The program itself is killed in the middle of a call, which the system has done already, and
    /// while a call waits for its next try: the next process settles it, and nothing is there twice.
    async fn a_program_killed_at_a_call_is_followed_by_one_that_settles_it(app: TestApp) {
        const MAC: &str = "02:00:00:00:00:01";
        office(&app).await;
        app.operator("admin", Role::Admin).await;
        let token = app.token_of("admin", Role::Admin, None).await;
        let (nas, server, kea) = (Nas::start(Duration::ZERO).await, Netbox::start().await, Kea::start());
        let mut to_netbox = Troubled::before(server.at).await;
        let mut to_kea = Troubled::before(([127, 0, 0, 1], kea.v4).into()).await;
        radius(&app, nas.port, NAS_SECRET).await;
        netbox(&app, to_netbox.at).await;
        dhcp(&app, &format!("http://{}", to_kea.at), "", &kea).await;
        crate::outbox::allow(&app, patchbay::outbox::System::Dhcp, to_kea.at.port()).await;
        let mut program = Patchbay::serve(&app).await;
        let until = async |text: &str| {
            let reached = async {
                while app.number(text).await == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let reached = tokio::time::timeout(Duration::from_mins(2), reached).await;
            assert!(reached.is_ok(), "{text}");
        };
        for sending in [true, false] {
            for system in ["dhcp", "netbox", "radius"] {
                let what = format!("{system}, sending: {sending}");
                let heard = nas.packets().len();
                match (system, sending) {
                    ("dhcp", true) => to_kea.let_happen(Mishap::Swallows).await,
                    ("dhcp", false) => to_kea.let_happen(Mishap::ServerError).await,
                    ("netbox", true) => to_netbox.let_happen(Mishap::Swallows).await,
                    ("netbox", false) => to_netbox.let_happen(Mishap::ServerError).await,
                    (_, true) => nas.behaves(Manner::Silent),
                    (_, false) => nas.behaves(Manner::Busy),
                }
                let who = format!("{system}-{sending}");
                let post = async |word: &str, body: Value| {
                    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
                    let (status, answer) = program.post(&token, &path, &body).await.unwrap();
                    assert!(status < 300, "{what}: {answer}");
                    answer
                };
                let born = post("allocate", json!({ "subscriber_id": who, "mac": MAC })).await;
                post("activate", json!({ "subscriber_id": who, "send_coa": true })).await;
                let had = born["address"].as_str().unwrap();
                let there = |server: &Netbox| {
                    let all = server.all("ip-addresses").into_iter();
                    all.filter(|object| object["address"] == format!("{had}/32")).count()
                };
                // What is to be changed there is changed by now; of the rest nothing is known yet.
                match (system, sending) {
                    ("dhcp", true) => while reserved(&kea, had).await.is_none() {},
                    ("netbox", true) => while there(&server) == 0 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    },
                    ("radius", true) => while nas.packets().len() == heard {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    },
                    _ => {}
                }
                let state = if sending { "sending" } else { "waiting' AND error <> '" };
                until(&format!("SELECT count(*) FROM outside_call WHERE system = '{system}' AND state = '{state}'")).await;
                program.kill();
                drop(program);
                app.until_nobody_else_is_connected().await;
                to_kea.let_happen(Mishap::None).await;
                to_netbox.let_happen(Mishap::None).await;
                nas.behaves(Manner::Good);
                // Their lease and their back-off are over.
                app.sql("UPDATE outside_call SET lease_until = 0 WHERE state = 'sending'").await;
                app.sql("UPDATE outside_call SET next_at = 0 WHERE state = 'waiting'").await;
                program = Patchbay::serve(&app).await;
                let calls = format!("SELECT count(*) FROM outside_call WHERE subject = 'assignment/{}'", born["id"].as_str().unwrap());
                until("SELECT count(*) FROM (SELECT 1 AS one) x WHERE NOT EXISTS (SELECT 1 FROM outside_call WHERE state NOT IN ('done', 'replaced'))").await;
                assert!(app.number(&calls).await >= 3, "{what}");
                assert_eq!(reserved(&kea, had).await.as_deref(), Some(MAC), "{what}");
                assert_eq!(there(&server), 1, "{what}");
                // Whatever came more than once within one try is the same packet.
                let mut packets = nas.packets()[heard..].to_vec();
                packets.dedup();
                assert!(packets.iter().all(|packet| packet[0] == 43), "{what}");
                let over = async |word: &str| {
                    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
                    program.post(&token, &path, &json!({ "subscriber_id": who })).await.unwrap()
                };
                assert_eq!(over("revoke").await.0, 200, "{what}");
                until("SELECT count(*) FROM (SELECT 1 AS one) x WHERE NOT EXISTS (SELECT 1 FROM assignment WHERE live)").await;
                assert_eq!((reserved(&kea, had).await, there(&server)), (None, 0), "{what}");
            }
        }
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'revoked'").await, 6);
        agrees(&app).await;
        program.kill();
    }
}
