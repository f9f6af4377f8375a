//! The real servers: Kea 3 and FreeRADIUS 3, from Debian.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::mirror;
use patchbay::net::Mac;
use patchbay::outbox::setup::{DhcpSetup, Settings};
use patchbay::outbox::{
    CallState, DhcpOrder, Identifier, Order, RadiusAction, RadiusOrder, Reservation, Session,
    System,
};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::lifecycle::FAMILIES;
use crate::outbox::{allow, calls, configure, drain, order, push, radius, states, subject};
use crate::support::app::{TestApp, both_databases};
use crate::support::lab::{Kea, Radius};

/// Switches DHCP on.
pub async fn dhcp(app: &TestApp, v4: &str, v6: &str, kea: &Kea) {
    allow(app, System::Dhcp, kea.v4).await;
    allow(app, System::Dhcp, kea.v6).await;
    let place = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let setup = DhcpSetup {
        v4: place(v4),
        v6: place(v6),
        user: kea.user.parse().unwrap(),
        ..DhcpSetup::default()
    };
    configure(app, Settings::Dhcp(setup), Some(&kea.password), true).await;
}

pub async fn both_families(app: &TestApp, kea: &Kea) {
    let (v4, v6) = (format!("http://127.0.0.1:{}", kea.v4), format!("http://127.0.0.1:{}", kea.v6));
    dhcp(app, &v4, &v6, kea).await;
}

/// Asks Kea itself, past Patchbay.
pub async fn ask(kea: &Kea, port: u16, command: &str, arguments: Value) -> Value {
    crate::support::trust();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "command": command, "arguments": arguments });
    let request =
        client.post(format!("http://127.0.0.1:{port}/")).basic_auth(&kea.user, Some(&kea.password));
    let answer: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    answer[0].clone()
}

pub async fn reserved(kea: &Kea, address: &str) -> Option<String> {
    let subnet = if address.starts_with("127.") { 7 } else { 8 };
    let asked = json!({ "subnet-id": subnet, "ip-address": address, "operation-target": "all" });
    let found = ask(kea, kea.v4, "reservation-get", asked).await;
    found["arguments"]["hw-address"].as_str().map(str::to_owned)
}

pub fn reserve(address: &str, identifier: &str, hostname: &str) -> Order {
    Order::Dhcp(DhcpOrder::Reserve(Reservation {
        leased: address.parse().unwrap(),
        identifier: identifier.parse::<Identifier>().unwrap(),
        hostname: hostname.to_owned(),
    }))
}

pub fn release(address: &str) -> Order {
    Order::Dhcp(DhcpOrder::Release { leased: address.parse().unwrap() })
}

/// What a client that comes with this MAC through a relay on loopback is offered (RFC 2131).
async fn discover(kea: &Kea, mac: &str) -> String {
    let mac: Mac = mac.parse().unwrap();
    let bytes: Vec<u8> =
        (0..6).map(|n| u8::from_str_radix(&mac.hex()[n * 2..n * 2 + 2], 16).unwrap()).collect();
    let mut packet = vec![1, 1, 6, 1, 0xde, 0xad, 0xbe, 0xef];
    packet.extend([0; 16]);
    packet.extend([127, 0, 0, 2]);
    packet.extend(&bytes);
    packet.resize(236, 0);
    packet.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    // Kea answers the relay on the port it was told, which here is its own.
    let relay = UdpSocket::bind(("127.0.0.2", kea.dhcp4)).await.unwrap();
    relay.send_to(&packet, ("127.0.0.1", kea.dhcp4)).await.unwrap();
    let mut buffer = [0; 1500];
    let count = tokio::time::timeout(Duration::from_secs(10), relay.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    let offer = &buffer[..count];
    assert_eq!((offer[0], &offer[4..8]), (2, &[0xde, 0xad, 0xbe, 0xef][..]));
    let mut options = &offer[240..];
    while options[0] != 53 {
        options = &options[2 + usize::from(options[1])..];
    }
    assert_eq!(options[..3], [53, 1, 2], "an offer");
    format!("{}.{}.{}.{}", offer[16], offer[17], offer[18], offer[19])
}

async fn follow(app: &TestApp) -> usize {
    mirror::follow(&app.state, TenantId::DEFAULT, System::Dhcp, 0).await.unwrap()
}

/// A host with a static address and a MAC.
async fn host(app: &TestApp, name: &str, address: &str, mac: &str) -> String {
    let script = app.script(Role::Admin).await;
    let body = json!({ "hostname": name, "primary_ip": address, "nic_mac": mac });
    let made = script.send("POST", "/api/v1/hosts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

both_databases! {
    async fn freeradius_takes_our_packets_and_reads_in_them_what_was_meant(app: TestApp) {
        let server = Radius::start();
        radius(&app, server.port, &server.secret).await;
        let session = Session {
            user_name: Some("ann".to_owned()),
            acct_session_id: Some("8A7F-1".to_owned()),
            nas: Some("127.0.0.1".parse().unwrap()),
        };
        for (n, leased) in ["10.20.5.17", "2001:db8::17", "2001:db8:5:1200::/56"].into_iter().enumerate() {
            let leased = leased.parse().unwrap();
            for action in [RadiusAction::Suspend, RadiusAction::Disconnect] {
                let order = Order::Radius(RadiusOrder { action, session: session.clone(), leased });
                push(&app, &subject(u32::try_from(n).unwrap()), &order).await;
            }
        }
        assert_eq!(drain(&app).await, 6);
        let at = app.state.clock.now().0;
        let mut read = server.packets();
        read.sort_unstable();
        let fields: Vec<Vec<&str>> = read.iter().map(|line| line.split('|').collect()).collect();
        let expected = [
            ("CoA-Request", "10.20.5.17", "", "", "walled-garden"),
            ("CoA-Request", "", "2001:db8::17/128", "", "walled-garden"),
            ("CoA-Request", "", "", "2001:db8:5:1200::/56", "walled-garden"),
            ("Disconnect-Request", "10.20.5.17", "", "", ""),
            ("Disconnect-Request", "", "2001:db8::17/128", "", ""),
            ("Disconnect-Request", "", "", "2001:db8:5:1200::/56", ""),
        ];
        for (fields, (kind, v4, v6, delegated, filter)) in fields.iter().zip(expected) {
            let now = at.to_string();
            let right = [kind, "ann", "8A7F-1", "127.0.0.1", v4, v6, delegated, filter, &now];
            assert_eq!(fields[..9], right);
            assert!(fields[9].starts_with("0x") && fields[9].len() == 34, "{fields:?}");
        }
        assert_eq!(fields.len(), 6);
        for n in 0..3 {
            assert_eq!(states(&app, &subject(n)).await, [CallState::Done; 2]);
        }
    }

    /// A life by its operations, of each kind: the server reads each time what was meant.
    async fn freeradius_is_told_of_a_whole_life(app: TestApp) {
        let server = Radius::start();
        radius(&app, server.port, &server.secret).await;
        crate::lifecycle::office(&app).await;
        let script = app.script(Role::Admin).await;
        let mut expected = Vec::new();
        for (n, family) in FAMILIES.into_iter().enumerate() {
            let operate = async |word: &str, mut body: Value| {
                body["subscriber_id"] = "C-1".into();
                let answer = crate::lifecycle::call(&script, family, word, body).await;
                assert!(answer.status < 300, "{word}: {answer:?}");
                drain(&app).await;
                answer.json()
            };
            let had = operate("allocate", json!({})).await["address"].as_str().unwrap().to_owned();
            let active = operate("activate", json!({ "send_coa": true, "username": "ann" })).await;
            operate("suspend", json!({ "reason": "unpaid" })).await;
            operate("reactivate", json!({})).await;
            operate("revoke", json!({})).await;
            app.pass(10);
            assert_eq!(patchbay::lifecycle::job::complete_settled(&app.state).await.unwrap(), 1, "{active}");
            for (kind, filter) in [("CoA-Request", ""), ("CoA-Request", "walled-garden"), ("CoA-Request", "full"), ("Disconnect-Request", "")] {
                let mut said = [""; 3].map(str::to_owned);
                said[n] = if n == 1 { format!("{had}/128") } else { had.clone() };
                expected.push(format!("{kind}|ann||127.0.0.1|{}|{filter}|", said.join("|")));
            }
        }
        let read = server.packets();
        assert_eq!(read.len(), expected.len(), "{read:?}");
        for (line, start) in read.iter().zip(&expected) {
            assert!(line.starts_with(start), "{line} is not {start}");
        }
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE state <> 'done'").await, 0);
    }

    async fn what_freeradius_refuses_is_said_in_words(app: TestApp) {
        let mut server = Radius::start();
        radius(&app, server.port, &server.secret).await;
        push(&app, &subject(1), &order(RadiusAction::Disconnect, "gone")).await;
        push(&app, &subject(2), &order(RadiusAction::Suspend, "forbidden")).await;
        drain(&app).await;
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!(call.state, CallState::Done);
        assert!(call.answer.contains("has no such session"), "{}", call.answer);
        let call = calls(&app, &subject(2)).await.remove(0);
        assert_eq!((call.state, call.attempts), (CallState::Dead, 1));
        assert!(call.error.contains("the NAS's administrator forbids it (Error-Cause 501): “ask the owner”"), "{}", call.error);
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/settings/outside/radius/test", &[]).await;
        page.shows("answers, and signs with the same secret");
        server.stop();
        let page = admin.post("/settings/outside/radius/test", &[]).await;
        page.shows("nobody listens at the NAS at 127.0.0.1");
    }

    async fn with_another_secret_freeradius_says_nothing_and_the_page_says_why_that_may_be(app: TestApp) {
        let server = Radius::start();
        radius(&app, server.port, "another-secret").await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Waiting]);
        assert!(server.packets().is_empty());
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/settings/outside/radius/test", &[]).await;
        page.shows("is the secret the same on both sides?");
        page.hides("another-secret");
    }

    async fn a_static_address_with_a_mac_becomes_a_reservation_and_a_discover_is_answered_with_it(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        let id = host(&app, "lobby", "127.9.0.50", "02:00:00:00:00:01").await;
        assert!(discover(&kea, "02:00:00:00:00:01").await.starts_with("127.9.0.1"), "a pool address before");
        assert_eq!(follow(&app).await, 1);
        assert_eq!(follow(&app).await, 0, "nothing changed");
        drain(&app).await;
        assert_eq!(reserved(&kea, "127.9.0.50").await.as_deref(), Some("02:00:00:00:00:01"));
        assert_eq!(discover(&kea, "02:00:00:00:00:01").await, "127.9.0.50");
        // It moves, gets another card, and goes.
        let script = app.script(Role::Admin).await;
        let move_to = |address: &str, mac: &str| json!({ "primary_ip": address, "nic_mac": mac });
        let path = format!("/api/v1/hosts/{id}");
        let moved = script.send("PATCH", &path, &move_to("127.9.0.51", "02:00:00:00:00:01")).await;
        assert_eq!(moved.status, 200, "{moved:?}");
        follow(&app).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "127.9.0.50").await, None);
        assert_eq!(discover(&kea, "02:00:00:00:00:01").await, "127.9.0.51");
        script.send("PATCH", &path, &move_to("127.9.0.51", "02:00:00:00:00:02")).await;
        follow(&app).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "127.9.0.51").await.as_deref(), Some("02:00:00:00:00:02"));
        assert_eq!(script.ask("DELETE", &path).send().await.status, 204);
        follow(&app).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "127.9.0.51").await, None);
        assert_eq!(app.number("SELECT count(*) FROM outside_mirror").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE state = 'dead'").await, 0);
    }

    async fn what_an_operation_ordered_is_left_alone_until_it_is_taken_back(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        host(&app, "lobby", "10.20.0.5", "02:00:00:00:00:01").await;
        push(&app, &subject(1), &reserve("10.20.0.5", "mac:02:00:00:00:00:09", "phone")).await;
        assert_eq!(follow(&app).await, 0);
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:09"));
        push(&app, &subject(1), &release("10.20.0.5")).await;
        assert_eq!(follow(&app).await, 1);
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:01"));
    }

    async fn reservations_for_ipv6_are_of_addresses_and_of_prefixes(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        push(&app, &subject(1), &reserve("2001:db8:9::5", "duid:00030001020000000001", "lobby")).await;
        push(&app, &subject(2), &reserve("2001:db8:9:8100::/56", "mac:02:00:00:00:00:02", "")).await;
        drain(&app).await;
        for n in [1, 2] {
            let call = calls(&app, &subject(n)).await.remove(0);
            assert_eq!(call.state, CallState::Done, "{}", call.error);
        }
        let all = ask(&kea, kea.v6, "reservation-get-all", json!({ "subnet-id": 9, "operation-target": "all" })).await;
        let hosts = all["arguments"]["hosts"].as_array().unwrap().clone();
        let addresses: Vec<_> = hosts.iter().flat_map(|host| host["ip-addresses"].as_array().unwrap().clone()).collect();
        let prefixes: Vec<_> = hosts.iter().flat_map(|host| host["prefixes"].as_array().unwrap().clone()).collect();
        assert_eq!((addresses, prefixes), (vec![json!("2001:db8:9::5")], vec![json!("2001:db8:9:8100::/56")]));
        // Said again, nothing is written.
        push(&app, &subject(1), &reserve("2001:db8:9::5", "duid:00030001020000000001", "lobby")).await;
        drain(&app).await;
        assert!(calls(&app, &subject(1)).await[1].answer.ends_with("had it so already"));
        push(&app, &subject(1), &release("2001:db8:9::5")).await;
        push(&app, &subject(2), &release("2001:db8:9:8100::/56")).await;
        drain(&app).await;
        let all = ask(&kea, kea.v6, "reservation-get-all", json!({ "subnet-id": 9, "operation-target": "all" })).await;
        assert_eq!(all["result"], 3, "{all}");
    }

    async fn what_others_wrote_into_kea_is_theirs(app: TestApp) {
        let kea = Kea::start();
        both_families(&app, &kea).await;
        let theirs = json!({ "reservation": { "subnet-id": 8, "hw-address": "02:00:00:00:00:99", "ip-address": "10.20.0.5" },
            "operation-target": "memory" });
        assert_eq!(ask(&kea, kea.v4, "reservation-add", theirs).await["result"], 0);
        push(&app, &subject(1), &reserve("10.20.0.5", "mac:02:00:00:00:00:01", "")).await;
        drain(&app).await;
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!((call.state, call.attempts), (CallState::Dead, 1));
        assert!(call.error.contains("a reservation for mac:02:00:00:00:00:99 that Patchbay did not make"), "{}", call.error);
        push(&app, &subject(1), &release("10.20.0.5")).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:99"));
    }

    async fn what_kea_forgot_is_found_and_written_again(app: TestApp) {
        let mut kea = Kea::start();
        both_families(&app, &kea).await;
        host(&app, "lobby", "10.20.0.5", "02:00:00:00:00:01").await;
        push(&app, &subject(1), &reserve("10.20.0.6", "mac:02:00:00:00:00:02", "")).await;
        follow(&app).await;
        drain(&app).await;
        kea.restart();
        assert_eq!(reserved(&kea, "10.20.0.5").await, None, "it has no database of hosts");
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/dhcp/report", &[]).await;
        page.shows("2 of 2 differ");
        page.shows("10.20.0.5");
        assert_eq!(admin.post("/dhcp/report/repair", &[]).await.status, 303);
        follow(&app).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:01"));
        assert_eq!(reserved(&kea, "10.20.0.6").await.as_deref(), Some("02:00:00:00:00:02"));
        admin.post("/dhcp/report", &[]).await.shows("Nothing differs. 2 compared.");
        // What bears our mark and nobody wants is taken away.
        let stray = json!({ "reservation": { "subnet-id": 8, "hw-address": "02:00:00:00:00:77", "ip-address": "10.20.0.7",
            "user-context": { "patchbay": TenantId::DEFAULT.to_string() } }, "operation-target": "memory" });
        assert_eq!(ask(&kea, kea.v4, "reservation-add", stray).await["result"], 0);
        admin.post("/dhcp/report", &[]).await.shows("Only there");
        admin.post("/dhcp/report/repair", &[]).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.7").await, None);
    }

    async fn leases_are_seen_and_ended(app: TestApp) {
        let kea = Kea::start();
        let (v4, v6) = (format!("unix:{}/run/kea4.sock", kea.dir.display()), format!("unix:{}/run/kea6.sock", kea.dir.display()));
        let admin = app.signed_in("admin", Role::Admin).await;
        dhcp(&app, &v4, &v6, &kea).await;
        admin.get("/dhcp/leases").await.shows("must be allowed by an administrator first");
        for place in [&v4, &v6] {
            let form = [("system", "dhcp"), ("target", place.as_str())];
            assert_eq!(admin.post("/settings/outside/allowed", &form).await.status, 303);
        }
        let page = admin.post("/settings/outside/dhcp/test", &[]).await;
        page.shows("is Kea 3.0");
        page.shows("for IPv4, serves 2 subnets and takes reservations");
        page.shows("for IPv6, serves 1 subnet and takes reservations");
        let lease = json!({ "subnet-id": 8, "ip-address": "10.20.0.9", "hw-address": "02:00:00:00:00:03", "hostname": "visitor" });
        assert_eq!(ask(&kea, kea.v4, "lease4-add", lease).await["result"], 0);
        let page = admin.get("/dhcp/leases").await;
        page.shows("10.20.0.9");
        page.shows("visitor");
        let answer = admin.post("/dhcp/leases/release", &[("leased", "10.20.0.9")]).await;
        assert_eq!((answer.status, answer.location()), (303, "/dhcp/leases"), "{answer:?}");
        let gone = ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": "10.20.0.9" })).await;
        assert_eq!(gone["result"], 3);
        assert!(app.audit().await.contains(&"admin lease.ended 10.20.0.9".to_owned()));
        assert_eq!(admin.post("/dhcp/leases/release", &[("leased", "<x>")]).await.status, 422);
        // Releasing a reservation also ends the lease of the machine that had it, and no other's.
        push(&app, &subject(1), &reserve("10.20.0.9", "mac:02:00:00:00:00:03", "")).await;
        drain(&app).await;
        for (address, mac) in [("10.20.0.9", "02:00:00:00:00:03"), ("10.20.0.10", "02:00:00:00:00:04")] {
            let lease = json!({ "subnet-id": 8, "ip-address": address, "hw-address": mac });
            ask(&kea, kea.v4, "lease4-add", lease).await;
        }
        push(&app, &subject(1), &release("10.20.0.9")).await;
        push(&app, &subject(1), &release("10.20.0.10")).await;
        drain(&app).await;
        assert_eq!(ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": "10.20.0.9" })).await["result"], 3);
        assert_eq!(ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": "10.20.0.10" })).await["result"], 0);
    }

    async fn leases_for_ipv6_of_addresses_and_of_prefixes_are_seen_and_ended(app: TestApp) {
        const ANN: &str = "00:03:00:01:02:00:00:00:00:05";
        let kea = Kea::start();
        both_families(&app, &kea).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let single = |at: &str, duid: &str| json!({ "subnet-id": 9, "ip-address": at, "duid": duid, "iaid": 1, "hostname": "visitor" });
        let block = |at: &str, duid: &str| json!({ "subnet-id": 9, "ip-address": at, "prefix-len": 56, "type": "IA_PD", "duid": duid, "iaid": 2 });
        let add = async |lease: Value| {
            let answer = ask(&kea, kea.v6, "lease6-add", lease).await;
            assert_eq!(answer["result"], 0, "{answer}");
        };
        let there = async |text: &str| {
            let (address, kind) = match text.split_once('/') {
                Some((network, _)) => (network, "IA_PD"),
                None => (text, "IA_NA"),
            };
            let answer = ask(&kea, kea.v6, "lease6-get", json!({ "ip-address": address, "type": kind })).await;
            answer["result"] == 0
        };
        let leased = ["2001:db8:9::9", "2001:db8:9:8200::/56"];
        add(single("2001:db8:9::9", ANN)).await;
        add(block("2001:db8:9:8200::", ANN)).await;
        let page = admin.get("/dhcp/leases?family=6").await;
        for text in ["2001:db8:9::9", "2001:db8:9:8200::/56", "visitor", ANN] {
            page.shows(text);
        }
        admin.get("/dhcp/leases").await.hides("2001:db8:9:");
        for text in leased {
            assert!(there(text).await);
            let answer = admin.post("/dhcp/leases/release", &[("leased", text)]).await;
            assert_eq!((answer.status, answer.location()), (303, "/dhcp/leases?family=6"), "{answer:?}");
            assert!(!there(text).await, "{text}");
            assert!(app.audit().await.contains(&format!("admin lease.ended {text}")));
            admin.post("/dhcp/leases/release", &[("leased", text)]).await;
            admin.get("/dhcp/leases?family=6").await.shows("There was no such lease any more");
        }
        // A reservation that is taken back takes the lease of its machine along, and no other's.
        for (n, text) in (1..).zip(leased) {
            push(&app, &subject(n), &reserve(text, &format!("duid:{}", ANN.replace(':', "")), "")).await;
            drain(&app).await;
            assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{text}");
            for (duid, stays) in [(ANN, false), ("00:03:00:01:02:00:00:00:00:06", true)] {
                add(if text.contains('/') { block("2001:db8:9:8200::", duid) } else { single(text, duid) }).await;
                push(&app, &subject(n), &release(text)).await;
                drain(&app).await;
                assert_eq!(there(text).await, stays, "{text} {duid}");
            }
        }
    }

    async fn files_for_dhcp_servers_hold_every_static_address_with_a_mac(app: TestApp) {
        let kea = Kea::start();
        host(&app, "lobby", "10.20.0.5", "02:00:00:00:00:01").await;
        host(&app, "roof", "2001:db8:9::5", "02:00:00:00:00:02").await;
        let script = app.script(Role::Auditor).await;
        let read = |format: &'static str| {
            let script = &script;
            async move { script.get(&format!("/api/v1/dhcp/export?format={format}")).await.text }
        };
        assert_eq!(read("dnsmasq").await, "dhcp-host=02:00:00:00:00:01,10.20.0.5,lobby\ndhcp-host=02:00:00:00:00:02,[2001:db8:9::5],roof\n");
        assert!(read("isc").await.contains("host ip-10-20-0-5 { hardware ethernet 02:00:00:00:00:01; fixed-address 10.20.0.5; option host-name \"lobby\"; }"));
        assert_eq!(script.get("/api/v1/dhcp/export?format=x").await.status, 422);
        // Kea itself takes what is written for it.
        let mut written: Value = serde_json::from_str(&read("kea").await).unwrap();
        let reservations = written["Dhcp4"]["reservations"].take();
        assert_eq!(reservations[0]["ip-address"], "10.20.0.5");
        let config = json!({ "Dhcp4": { "subnet4": [{ "id": 1, "subnet": "10.20.0.0/16", "reservations": reservations }] } });
        let file = app.dir().join("kea.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let (taken, said) = kea.check(&file);
        assert!(taken, "{said}");
        let printed = crate::support::process::Patchbay::run(&app, &["export", "dhcp-dnsmasq"], "");
        assert_eq!(String::from_utf8_lossy(&printed.stdout), read("dnsmasq").await);
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/dhcp/export/dnsmasq").await;
        assert_eq!(page.header("content-disposition"), Some("attachment; filename=\"dnsmasq-hosts.conf\""));
        assert_eq!(admin.get("/dhcp/export/word").await.status, 404);
    }
}
