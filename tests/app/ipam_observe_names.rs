//! Names that addresses are seen under.

use std::net::SocketAddr;

use patchbay::auth::Role;
use patchbay::ipam::addresses::{self, Edit, Hostname};
use patchbay::ipam::observe::{Sighting, What};
use serde_json::json;

use crate::ipam_observe::{
    OTHER, PHONE, allocate, at, change, me, one, row, see, sighting, subnet,
};
use crate::support::app::both_databases;

both_databases! {
    async fn another_name_than_is_written_is_a_conflict_unless_a_mac_says_who_it_is(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", "").await;
        allocate(&app, "10.1.0.11", PHONE).await;
        let wrote = async |address: &str, name: &str| {
            let edit = Edit { hostname: Some(name.parse().unwrap()), ..Edit::default() };
            change(&app, async |space| addresses::edit(space, at(address), None, &edit, &me()).await.unwrap()).await;
        };
        let called = async |address: &str, mac: &str, name: &str| {
            let sighting = sighting(&app, address, What::Leased(None), mac);
            see(&app, &[Sighting { hostname: name.parse().unwrap(), ..sighting }]).await.conflicts
        };
        let in_conflict = async |address: &str| row(&app, address).await.unwrap().conflict;
        assert_eq!(called("10.1.0.10", "", "anything").await, 0, "no name is written");
        wrote("10.1.0.10", "desk-1.example.com").await;
        for same in ["desk-1", "DESK-1.Example.COM", "desk-1.example.com.", ""] {
            assert_eq!(called("10.1.0.10", "", same).await, 0, "{same}");
        }
        // The machine that is written down may call itself what it likes.
        wrote("10.1.0.11", "desk-2").await;
        assert_eq!(called("10.1.0.11", PHONE, "SIP-T46U").await, 0);
        assert_eq!(called("10.1.0.11", "", "SIP-T46U").await, 1);
        // Where no MAC is written, a name tells.
        assert_eq!(called("10.1.0.10", OTHER, "desk-1.elsewhere.com").await, 1);
        assert_eq!(called("10.1.0.10", OTHER, "desk-1.elsewhere.com").await, 0, "told once");
        let record = row(&app, "10.1.0.10").await.unwrap();
        assert!(record.conflict && record.active && record.hostname.to_string() == "desk-1.example.com");
        let said = "SELECT CAST(note AS TEXT) FROM audit_event WHERE action = 'address.conflict' AND subject = '10.1.0.10'";
        assert_eq!(app.texts(said).await, ["it calls itself desk-1.elsewhere.com, not desk-1.example.com"]);
        let by = app.signed_in("op", Role::Operator).await;
        by.get("/ipam/observe/10.1.0.10").await.shows("seen as desk-1.elsewhere.com");
        by.get("/ipam/report?report=conflicts").await.shows("seen as desk-1.elsewhere.com");
        // Pings do not end it; the written name does, and so does whoever leaves it as it is.
        one(&app, "10.1.0.10", What::Present, "").await;
        assert!(in_conflict("10.1.0.10").await);
        assert_eq!(called("10.1.0.10", OTHER, "desk-1").await, 0);
        assert!(!in_conflict("10.1.0.10").await);
        assert_eq!(called("10.1.0.10", "", "other").await, 1);
        change(&app, async |space| {
            let tenant = space.tenant();
            for claim in addresses::claims_on(space.tx(), tenant, at("10.1.0.10")).await.unwrap() {
                addresses::resolve(space, at("10.1.0.10"), claim.id, false).await.unwrap();
            }
        }).await;
        assert_eq!(called("10.1.0.10", "", "other").await, 0);
        assert!(!in_conflict("10.1.0.10").await);
        wrote("10.1.0.10", "desk-3").await;
        assert_eq!(called("10.1.0.10", "", "other").await, 1, "another name is written now");
    }

    async fn the_name_of_an_address_is_asked_of_the_subnets_servers_and_offered(app: TestApp) {
        let server = if app.is_sqlite() { "127.0.9.53" } else { "127.0.9.54" };
        let socket = tokio::net::UdpSocket::bind(format!("{server}:53").parse::<SocketAddr>().unwrap()).await.unwrap();
        let dns = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let mut answer = buffer[..length].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[7] = 1;
                let name = b"\x07phone-9\x07example\x00";
                answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60, 0, u8::try_from(name.len()).unwrap()]);
                answer.extend(name);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        let net = subnet(&app, "10.1.0.0/24").await;
        app.sql(&format!("UPDATE subnet SET dns = '{server}'")).await;
        allocate(&app, "10.1.0.10", "").await;
        let by = app.signed_in("op", Role::Operator).await;
        by.get("/ipam/observe/10.1.0.10").await.shows("Ask DNS");
        let script = app.script(Role::Helpdesk).await;
        let named = script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await;
        assert_eq!(named.json(), json!({ "hostname": "phone-9.example", "error": "", "differs": false }));
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        page.shows("DNS calls it <b>phone-9.example</b>");
        page.shows("Use it as host name");
        let version = page.between("name=\"version\" value=\"", "\"").to_owned();
        let form = [("hostname", "phone-9.example"), ("version", version.as_str())];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 303);
        assert_eq!(row(&app, "10.1.0.10").await.unwrap().hostname, "phone-9.example".parse::<Hostname>().unwrap());
        by.post("/ipam/observe/10.1.0.10/name", &[]).await.hides("Use it as host name");
        let stale = by.post("/ipam/observe/10.1.0.10/hostname", &[("hostname", "other"), ("version", version.as_str())]).await;
        assert_eq!(stale.status, 412);
        stale.shows("somebody changed 10.1.0.10 meanwhile");
        // Another name than is written is a conflict, said where it was found and in the list; a
        // name without its domain is no other.
        let wrote = async |name: &str| {
            let edit = Edit { hostname: Some(name.parse().unwrap()), ..Edit::default() };
            change(&app, async |space| addresses::edit(space, at("10.1.0.10"), None, &edit, &me()).await.unwrap().version).await
        };
        wrote("PHONE-9").await;
        by.post("/ipam/observe/10.1.0.10/name", &[]).await.hides("is written here");
        wrote("desk-1").await;
        assert_eq!(script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await.json()["differs"], true);
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        page.shows("but <b>desk-1</b> is written here");
        page.shows(r#"That is a <span class="flag">conflict</span>"#);
        by.get("/ipam/addresses?conflict=yes").await.shows("10.1.0.10");
        let known = script.get("/api/v1/addresses/10.1.0.10").await.json();
        assert_eq!((&known["conflict"], &known["claims"][0]["hostname"]), (&json!(true), &json!("phone-9.example")), "{known}");
        assert!(!row(&app, "10.1.0.10").await.unwrap().active, "a name says nothing of who answers");
        let version = page.between("name=\"version\" value=\"", "\"").to_owned();
        let form = [("hostname", "phone-9.example"), ("version", version.as_str())];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 303);
        assert!(!row(&app, "10.1.0.10").await.unwrap().conflict, "what DNS says is written now");
        // Who may not change the address is told so, and nobody may write what is no name.
        let helpdesk = app.signed_in("helpdesk", Role::Helpdesk).await;
        let version = row(&app, "10.1.0.10").await.unwrap().version.to_string();
        let form = [("hostname", "mine"), ("version", version.as_str())];
        assert_eq!(helpdesk.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 409);
        let form = [("hostname", "<b>"), ("version", "2")];
        assert_eq!(by.post("/ipam/observe/10.1.0.10/hostname", &form).await.status, 422);
        dns.abort();
        let _ = dns.await;
        let page = by.post("/ipam/observe/10.1.0.10/name", &[]).await;
        assert_eq!(page.status, 200);
        page.shows(&format!("({server})"));
        let named = script.send("POST", "/api/v1/addresses/10.1.0.10/name", &json!({})).await.json();
        assert!(named["hostname"].is_null() && named["error"].as_str().unwrap().contains(server), "{named}");
        let _ = net;
    }
}
