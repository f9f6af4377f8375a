//! Leases of DHCP servers, and what they say of addresses.

use patchbay::auth::Role;
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::observe;
use serde_json::json;

use crate::ipam_observe::{OTHER, PHONE, allocate, consistent, log, row, subnet};
use crate::support::app::{Answer, Script, both_databases};
use crate::support::process::Patchbay;

// A DHCP server's files

fn dnsmasq(expires: i64, mac: &str, address: &str, name: &str) -> String {
    format!("{expires} {mac} {address} {name} *\n")
}

async fn import(script: &Script<'_>, query: &str, text: &str) -> Answer {
    script
        .ask("POST", &format!("/api/v1/observations/leases{query}"))
        .header("content-type", "text/plain")
        .body(text.to_owned())
        .send()
        .await
}

both_databases! {
    async fn a_lease_holds_its_address_while_it_runs(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Operator).await;
        let now = app.state.clock.now().0;
        let file = dnsmasq(now + 3_600, PHONE, "10.1.0.200", "phone-1");
        let dry = import(&script, "?dry_run=true", &file).await.json();
        assert_eq!((&dry["leases"], &dry["found"]["leased"], &dry["dry_run"]), (&json!(1), &json!(1), &json!(true)));
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let done = import(&script, "", &file).await.json();
        assert_eq!((&done["running"], &done["found"]["leased"]), (&json!(1), &json!(1)));
        let record = row(&app, "10.1.0.200").await.unwrap();
        assert_eq!((record.status, record.kind, record.active), (Status::Allocated, Kind::Dhcp, true));
        assert_eq!((record.holder.unwrap().name, record.hostname.to_string()), ("phone-1".to_owned(), "phone-1".to_owned()));
        assert_eq!(record.mac.unwrap().to_string(), PHONE);
        // Renewed, it is no news; another client is.
        app.pass(1_800);
        let renewed = import(&script, "", &dnsmasq(now + 7_200, PHONE, "10.1.0.200", "phone-1")).await.json();
        assert_eq!(renewed["found"]["leased"], 0);
        assert_eq!(log(&app, "10.1.0.200").await, ["address.allocated"]);
        app.pass(3_600);
        observe::tidy(&app.state).await.unwrap();
        assert!(row(&app, "10.1.0.200").await.is_some(), "the renewal counts");
        import(&script, "", &dnsmasq(now + 9_000, OTHER, "10.1.0.200", "laptop")).await;
        consistent(&app).await;
        let record = row(&app, "10.1.0.200").await.unwrap();
        assert_eq!((record.mac.unwrap().to_string(), record.conflict), (OTHER.to_owned(), false));
        app.pass(7_200);
        observe::tidy(&app.state).await.unwrap();
        consistent(&app).await;
        assert_eq!(row(&app, "10.1.0.200").await, None);
        assert_eq!(log(&app, "10.1.0.200").await.last().unwrap(), "address.lease_ended");
        // A file may say so too.
        import(&script, "", &dnsmasq(app.state.clock.now().0 + 60, PHONE, "10.1.0.201", "*")).await;
        assert!(row(&app, "10.1.0.201").await.is_some());
        let over = import(&script, "", &dnsmasq(app.state.clock.now().0 - 1, PHONE, "10.1.0.201", "*")).await.json();
        assert_eq!(over["found"]["ended"], 1);
        assert_eq!(row(&app, "10.1.0.201").await, None);
    }

    async fn a_lease_outside_dhcp_space_is_a_conflict_and_never_takes_anything(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        allocate(&app, "10.1.0.10", PHONE).await;
        allocate(&app, "10.1.0.11", PHONE).await;
        let script = app.script(Role::Operator).await;
        let until = app.state.clock.now().0 + 600;
        let file: String = [
            dnsmasq(until, OTHER, "10.1.0.9", "a"),
            dnsmasq(until, OTHER, "10.1.0.10", "b"),
            dnsmasq(until, PHONE, "10.1.0.11", "c"),
            dnsmasq(until, OTHER, "192.168.9.9", "d"),
        ].concat();
        let found = import(&script, "", &file).await.json();
        assert_eq!((&found["found"]["conflicts"], &found["found"]["orphans"], &found["found"]["leased"]), (&json!(2), &json!(1), &json!(0)));
        let free = row(&app, "10.1.0.9").await.unwrap();
        assert!(free.status == Status::Available && free.conflict && free.holder.is_none());
        let held = row(&app, "10.1.0.10").await.unwrap();
        assert!(held.conflict && held.holder.unwrap().name == "desk");
        assert!(!row(&app, "10.1.0.11").await.unwrap().conflict);
        app.pass(700);
        observe::tidy(&app.state).await.unwrap();
        assert!(row(&app, "10.1.0.10").await.is_some(), "the end of a lease frees only what it held");
        consistent(&app).await;
    }

    async fn lease_files_are_checked_on_a_page_and_then_taken(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let by = app.signed_in("op", Role::Operator).await;
        let until = app.state.clock.now().0 + 600;
        let kea = format!("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n10.1.0.200,{PHONE},,600,{until},1,0,0,phone,0\nnonsense\n");
        let page = by.post("/ipam/observe/leases", &[("text", &kea)]).await;
        assert_eq!(page.status, 200);
        page.shows("1</b> lease in the file. Nothing has been changed yet.");
        page.shows("1 line could not be read");
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let page = by.post("/ipam/observe/leases", &[("text", &kea), ("confirmed", "1")]).await;
        page.shows("1</b> lease read.");
        assert!(row(&app, "10.1.0.200").await.is_some());
        let page = by.post("/ipam/observe/leases", &[("text", "hello <script>\n")]).await;
        assert_eq!(page.status, 422);
        page.shows("this is neither a lease file of Kea or dnsmasq");
        assert!(!page.text.contains("hello <script>"));
        page.shows("hello <script>");
        let page = by.post("/ipam/observe/leases", &[("kept", "1700000000-x"), ("confirmed", "1")]).await;
        assert_eq!(page.status, 422);
    }

    async fn names_that_clients_chose_are_inert(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let script = app.script(Role::Admin).await;
        let until = app.state.clock.now().0 + 600;
        for (n, name) in ["<script>alert(1)</script>", "=cmd|'/c'!A1", "../../etc", "a\u{202e}b", "x'OR'1"].into_iter().enumerate() {
            let file = dnsmasq(until, PHONE, &format!("10.1.0.{}", 200 + n), name);
            let answer = import(&script, "", &file).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(row(&app, &format!("10.1.0.{}", 200 + n)).await.is_some_and(|record| record.hostname.is_empty()), "{name}");
            let body = json!([{ "address": "10.1.0.230", "hostname": name }]);
            let refused = script.send("POST", "/api/v1/observations", &body).await;
            assert_eq!(refused.status, 422, "{name}");
        }
        assert_eq!(row(&app, "10.1.0.230").await, None);
        let by = app.signed_in("admin", Role::Admin).await;
        let page = by.get("/ipam/observe/10.1.0.200").await;
        assert!(!page.text.contains("<script>alert"));
        page.shows("10.1.0.200 as it is seen");
        for path in ["/ipam/observe/<script>", "/ipam/observe/x", "/ipam/observe/subnets/x"] {
            assert_eq!(by.get(&path.replace('<', "%3c").replace('>', "%3e")).await.status, 404, "{path}");
        }
    }

    async fn the_command_takes_a_lease_file(app: TestApp) {
        subnet(&app, "10.1.0.0/24").await;
        let file = app.dir().join("dnsmasq.leases");
        std::fs::write(&file, dnsmasq(4_000_000_000, PHONE, "10.1.0.200", "phone")).unwrap();
        let path = file.to_str().unwrap();
        let dry = Patchbay::run(&app, &["import", "leases", path, "--dry-run"], "");
        let said = String::from_utf8(dry.stdout).unwrap();
        assert!(said.contains("1 leases, 1 running: 1 new") && said.contains("nothing was changed"), "{said}");
        assert_eq!(row(&app, "10.1.0.200").await, None);
        let done = Patchbay::run(&app, &["import", "leases", path], "");
        assert!(done.status.success(), "{done:?}");
        assert!(row(&app, "10.1.0.200").await.is_some());
        std::fs::write(&file, "nonsense\n").unwrap();
        let bad = Patchbay::run(&app, &["import", "leases", path], "");
        assert!(!bad.status.success());
        assert!(String::from_utf8(bad.stderr).unwrap().contains("neither a lease file"));
    }
}
