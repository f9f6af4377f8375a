//! Two tenants on one installation never see each other.

use std::time::Duration;

use patchbay::app::routes;
use patchbay::audit::Actor;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::lifecycle::{Family, State};
use patchbay::mirror;
use patchbay::outbox::setup::{self, DhcpSetup, Edit, Settings};
use patchbay::outbox::{self, CallState, RadiusAction, System};
use patchbay::outside::Key;
use serde_json::json;

use crate::lifecycle::{FAMILIES, base, call, kind, put};
use crate::outbox::{drain, order, push, radius, states, subject};
use crate::outside_peers::{ask, both_families, release, reserve, reserved};
use crate::support::app::{Browser, PASSWORD, Script, TestApp, both_databases, tester};
use crate::support::lab::Kea;
use crate::support::outside::{Manner, NAS_SECRET, Nas, Netbox};

/// The ids of everything the default tenant has, by what a path calls them.
async fn ids(app: &TestApp, path: &str) -> Vec<String> {
    let table = match path {
        _ if path.contains("/operators/") => "operator WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/tokens/") => "api_token",
        _ if path.contains("/pools/") => "pool WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/subnets/") => "subnet WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("{mac}") => {
            return app.texts("SELECT mac FROM phone WHERE tenant_id LIKE 'a0000000%'").await;
        }
        _ if path.contains("/profiles/") => "profile WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/contacts/") => "contact WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("{workflow}") => "workflow_run WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/lifecycle/") => "assignment WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/prefix") => "prefix_pool WHERE tenant_id LIKE 'a0000000%'",
        _ if path.contains("/hosts/") => "host WHERE tenant_id LIKE 'a0000000%'",
        _ => "users WHERE tenant_id LIKE 'a0000000%'",
    };
    app.texts(&format!("SELECT id FROM {table}")).await
}

both_databases! {
    async fn every_id_of_one_tenant_is_404_for_another_on_every_route(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let _ours = app.token_of("admin", Role::Admin, None).await;
        admin.add("Ann", "ann@example.com", "").await;
        crate::ipam_addresses::block(&app, "ann").await;
        admin.post("/ipam/hosts", &[("hostname", "ann-1")]).await;
        admin.post("/phones", &[("mac", "001565123456"), ("model", "yealink/t46s"), ("extension", "1000"), ("who", "user"), ("label", "Ann's")]).await;
        admin.post("/phones/profiles", &[("name", "Ann's"), ("scope", "chosen")]).await;
        admin.post("/phones/contacts", &[("name", "Ann's mother"), ("number", "1")]).await;
        crate::lifecycle::office(&app).await;
        crate::lifecycle::allocate(&app, patchbay::lifecycle::Family::Prefix, "ann").await;
        admin.post("/lifecycle/workflows", &[("kind", "provision"), ("name", "Ann B"), ("email", "annb@example.com")]).await;
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let script = app.token_of("other", Role::Admin, None).await;
        app.sql("UPDATE api_token SET revoked_at = 1 WHERE revoked_at = 0").await;
        let csrf = other.csrf.borrow().clone();
        let mut tried = 0;
        for route in routes().iter().filter(|route| ["{id}", "{mac}", "{workflow}"].iter().any(|name| route.path.contains(name))) {
            for id in ids(&app, route.path).await {
                if app.number(&format!("SELECT count(*) FROM api_token k JOIN operator o ON o.id = k.operator_id WHERE k.id = '{id}' AND o.name = 'other'")).await == 1 {
                    continue;
                }
                let path = route.path.replace("{id}", &id).replace("{mac}", &id).replace("{workflow}", &id);
                let path = path.replace("{operation}", "revoke");
                let before = app.contents().await;
                let method = route.method.as_str();
                let body = match (method, path.rsplit('/').next()) {
                    (_, Some("next-free")) => json!({ "note": "x" }),
                    (_, Some("release")) => json!({ "prefix": "2001:db8:ff00::/56" }),
                    (_, Some("split")) => json!({ "length": 30 }),
                    (_, Some("static-ip")) => json!({ "static_ip": "192.0.2.1" }),
                    ("PUT", _) if path.contains("/contacts/") => json!({ "name": "x", "number": "1" }),
                    ("PUT", Some("enrolment")) => json!({ "length": "1h" }),
                    ("PUT", Some("observation")) => json!({ "pings_per_second": 1, "forget_after_days": 1 }),
                    ("PUT", _) => json!({ "name": "x", "cidr": "192.0.2.0/24" }),
                    _ => json!({}),
                };
                let answer = if path.starts_with("/api/") {
                    app.ask(method, &path).token(&script).json(&body).send().await
                } else {
                    let form = [
                        ("csrf", csrf.as_str()), ("role", "helpdesk"), ("name", "Mallory"), ("email", "m@example.com"),
                        ("extension", "1000"), ("number", "1"), ("version", "1"), ("enabled", ""), ("password", PASSWORD),
                        ("kind", "resync"),
                    ];
                    other.ask(method, &path).ours().form(&form).send().await
                };
                assert_eq!(answer.status, 404, "{method} {path}");
                assert_eq!(app.contents().await, before, "{method} {path}");
                answer.hides("Ann");
                tried += 1;
            }
        }
        assert!(tried >= 40, "{tried}");
    }

    async fn chosen_together_with_ones_own_a_foreign_user_is_left_alone(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let bob = other.add("Bob", "bob@example.com", "").await;
        let shown = other.post("/users/deletion", &[("id", &ann), ("id", &bob)]).await;
        shown.shows("Delete this user?");
        shown.hides("Ann");
        other.post("/users/deletion", &[("id", &ann), ("id", &bob), ("confirmed", "1")]).await;
        assert_eq!(app.texts("SELECT name FROM users").await, ["Ann"]);
    }

    async fn equal_numbers_and_addresses_exist_in_both_and_are_given_out_separately(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        for browser in [&admin, &other, &admin, &other] {
            let count = app.number("SELECT count(*) FROM users").await / 2;
            browser.add("Ann", &format!("ann{count}@example.com"), "").await;
        }
        let numbers = |own: &'static str| format!("SELECT CAST(number AS TEXT) FROM extension WHERE tenant_id {own} '{id}' ORDER BY number");
        assert_eq!(app.texts(&numbers("=")).await, ["1000", "1001"]);
        assert_eq!(app.texts(&numbers("<>")).await, ["1000", "1001"]);
    }

    async fn lists_searches_files_and_logs_show_ones_own_only(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann Default", "ann@example.com", "").await;
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        other.add("Bob Acme", "bob@example.com", "1500").await;
        let tokens = [app.token_of("admin", Role::Admin, None).await, app.token_of("other", Role::Admin, None).await];
        let pages = ["/", "/users", "/users?q=a", "/users/table", "/users.csv", "/audit", "/audit.csv", "/settings/operators", "/settings/tokens"];
        let seen = async |browser: &Browser<'_>, token: &str| {
            let mut seen = String::new();
            for page in pages {
                let answer = browser.get(page).await;
                assert_eq!(answer.status, 200, "{page}");
                seen.push_str(&answer.text);
            }
            let list = app.ask("GET", "/api/v1/users?q=a").token(token).send().await;
            seen + list.text.as_str()
        };
        let (ours, theirs) = (seen(&admin, &tokens[0]).await, seen(&other, &tokens[1]).await);
        assert!(ours.contains("Ann Default") && theirs.contains("Bob Acme"));
        for (text, foreign) in [(&ours, ["Bob Acme", "bob@example.com", "1500"]), (&theirs, ["Ann Default", "ann@example.com", "admin user.created"])] {
            for word in foreign {
                assert!(!text.contains(word), "{word}");
            }
        }
        other.get("/settings/operators").await.hides(">admin</th>");
    }

    async fn assignments_workflows_prefixes_and_reports_show_ones_own_only(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let tokens = [app.token_of("admin", Role::Admin, None).await, app.token_of("other", Role::Admin, None).await];
        crate::lifecycle::office(&app).await;
        crate::lifecycle::allocate(&app, Family::Ipv4, "C-4711").await;
        crate::lifecycle::allocate(&app, Family::Prefix, "C-4711").await;
        let begun = [("kind", "provision"), ("name", "Ann Arbor"), ("email", "arbor@example.com")];
        assert_eq!(admin.post("/lifecycle/workflows", &begun).await.status, 303);
        let server = Netbox::start().await;
        crate::outside_netbox::netbox(&app, server.at).await;
        {
            let mut store = server.store.lock().unwrap();
            (store.many, store.tags) = (3, vec!["patchbay".to_owned()]);
        }
        for (path, ours) in [
            ("/lifecycle", "C-4711"),
            ("/lifecycle?q=10.20.5.", "C-4711"),
            ("/lifecycle/workflows", "Ann Arbor"),
            ("/ipam/prefixes", "2001:db8:ff00::/52"),
        ] {
            for (browser, own) in [(&admin, true), (&other, false)] {
                let page = browser.get(path).await;
                assert_eq!(page.status, 200, "{path}");
                if own { page.shows(ours) } else { page.hides(ours) }
            }
        }
        admin.post("/netbox/report", &[]).await.shows("10.128.0.2");
        for path in ["/netbox/report", "/dhcp/report"] {
            for page in [other.get(path).await, other.post(path, &[]).await] {
                page.hides("10.128.0.2");
                page.hides("10.20.5.");
                page.hides(&server.at.to_string());
            }
        }
        for (family, kind) in [("ipv4", "address"), ("ipv6", "prefix")] {
            for (token, status) in tokens.iter().zip([200, 404]) {
                let path = format!("/api/v1/network/{family}-lifecycle/C-4711");
                let answer = app.ask("GET", &path).token(token).send().await;
                assert_eq!(answer.status, status, "{answer:?}");
                let list = app.ask("GET", &format!("/api/v1/network/{family}-lifecycle?kind={kind}&q=C-4711")).token(token).send().await;
                assert_eq!(list.text.contains("C-4711\""), status == 200, "{list:?}");
            }
        }
    }

    async fn nothing_is_done_to_anothers_subscriber_by_call_in_bulk_or_by_a_workflow(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        crate::lifecycle::office(&app).await;
        let acme = app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let script = Script { app: &app, token: app.token_of("other", Role::Admin, None).await };
        let lives = "SELECT id || state || version FROM assignment WHERE tenant_id LIKE 'a0000000%' ORDER BY 1";
        let (mut subscribers, mut ids) = (Vec::new(), Vec::new());
        for family in FAMILIES {
            for state in State::ALL {
                let (subscriber, id) = put(&app, family, state).await;
                subscribers.push((family, subscriber));
                ids.push(id.to_string());
            }
        }
        let before = app.texts(lives).await;
        assert_eq!(before.len(), 21);
        for (family, subscriber) in &subscribers {
            for word in ["activate", "suspend", "reactivate", "revoke", "retry", "fail"] {
                let answer = call(&script, *family, word, json!({ "subscriber_id": subscriber })).await;
                assert_eq!(answer.status, 404, "{word}: {answer:?}");
            }
            // They may have one of that name as well: of their own pools, and they have none.
            let answer = call(&script, *family, "allocate", json!({ "subscriber_id": subscriber })).await;
            assert_eq!(answer.status, 409, "{answer:?}");
            answer.hides("Customers");
        }
        for (pool, wish) in [("pool", "10.20.5.20"), ("prefix_pool", "2001:db8:ff00:f00::/56")] {
            let family = if pool == "pool" { Family::Ipv4 } else { Family::Prefix };
            let id = app.texts(&format!("SELECT id FROM {pool} ORDER BY id")).await.remove(0);
            for body in [json!({ "subscriber_id": "x", "pool_id": id }), json!({ "subscriber_id": "x", "requested_address": wish })] {
                let answer = call(&script, family, "allocate", body.clone()).await;
                assert_eq!(answer.status, 422, "{body} {answer:?}");
            }
        }
        let user = json!({ "subscriber_id": ann, "subscriber_kind": "user" });
        assert_eq!(call(&script, Family::Ipv4, "allocate", user).await.status, 422);
        // Many at once, with one of their own among them.
        crate::lifecycle::office_of(&app, acme).await;
        let own = call(&script, Family::Ipv4, "allocate", json!({ "subscriber_id": "own" })).await.json();
        ids.push(own["id"].as_str().unwrap().to_owned());
        for action in ["suspend", "revoke"] {
            let mut form: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
            form.push(("action", action));
            let shown = other.post("/lifecycle/bulk", &form).await;
            for (_, subscriber) in &subscribers {
                shown.hides(&format!("Customer {subscriber}"));
            }
            form.push(("confirmed", "1"));
            other.post("/lifecycle/bulk", &form).await.hides("Customer s-");
            assert_eq!(app.texts(lives).await, before, "{action}");
        }
        let mine = format!("SELECT state FROM assignment WHERE tenant_id = '{acme}'");
        assert_eq!(app.texts(&mine).await, ["revoked"], "their own was");
        // Nor does a workflow begin about somebody who is not theirs.
        for kind in ["suspend", "resume", "deprovision"] {
            let asked = json!({ "kind": kind, "user": ann });
            let answer = script.send("POST", "/api/v1/workflows", &asked).await;
            assert_eq!(answer.status, 422, "{answer:?}");
            answer.hides("Ann");
            let page = other.post("/lifecycle/workflows", &[("kind", kind), ("user", &ann)]).await;
            assert_eq!((page.status, page.field_error("user").is_empty()), (422, false), "{page:?}");
            page.hides("1000 Ann");
        }
        assert_eq!(app.number("SELECT count(*) FROM workflow_run").await, 0);
        assert_eq!(app.texts(lives).await, before);
    }

    async fn calls_leases_and_files_of_another_are_neither_seen_nor_touched(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let acme = app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let script = Script { app: &app, token: app.token_of("other", Role::Admin, None).await };
        // A call of ours that is dead, a lease, a reservation, and a machine in the files.
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        nas.behaves(Manner::Refuses);
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        let kea = Kea::start();
        both_families(&app, &kea).await;
        admin.post("/ipam/hosts", &[("hostname", "lobby"), ("primary_ip", "10.20.0.5"), ("nic_mac", "02:00:00:00:00:01")]).await;
        mirror::follow(&app.state, TenantId::DEFAULT, System::Dhcp, 0).await.unwrap();
        drain(&app).await;
        assert!(reserved(&kea, "10.20.0.5").await.is_some());
        let lease = json!({ "subnet-id": 8, "ip-address": "10.20.0.9", "hw-address": "02:00:00:00:00:03", "hostname": "visitor" });
        assert_eq!(ask(&kea, kea.v4, "lease4-add", lease).await["result"], 0);
        admin.get("/dhcp/leases").await.shows("visitor");
        // Another has no Kea: nothing is there, and nothing can be ended.
        for family in ["", "?family=6"] {
            let page = other.get(&format!("/dhcp/leases{family}")).await;
            page.hides("visitor");
            page.hides("127.0.0.1");
        }
        let refused = other.post("/dhcp/leases/release", &[("leased", "10.20.0.9")]).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(ask(&kea, kea.v4, "lease4-get", json!({ "ip-address": "10.20.0.9" })).await["result"], 0);
        for format in ["kea", "dnsmasq", "isc"] {
            let word = "02:00:00:00:00:01";
            script.app.ask("GET", &format!("/api/v1/dhcp/export?format={format}")).token(&script.token).send().await.hides(word);
            other.get(&format!("/dhcp/export/{format}")).await.hides(word);
            admin.get(&format!("/dhcp/export/{format}")).await.shows(word);
        }
        assert_eq!(other.post("/outbox/retries", &[("system", "radius")]).await.status, 303);
        assert_eq!(states(&app, &subject(1)).await, [CallState::Dead], "it is not theirs to try again");
        // Told of the same Kea, they have another mark: what is ours there is not theirs to change.
        let actor = Actor { tenant: acme, ..tester() };
        let mut change = app.state.change(&actor).await.unwrap();
        let v4 = Some(format!("http://127.0.0.1:{}", kea.v4).parse().unwrap());
        let setup = DhcpSetup { v4, user: kea.user.parse().unwrap(), ..DhcpSetup::default() };
        let secret = Some(Key::from(kea.password.clone()));
        let edit = Edit { enabled: true, settings: Settings::Dhcp(setup), secret };
        setup::configure(&mut change, &app.state.vault, 0, &edit).await.unwrap();
        for (n, order) in [(2, reserve("10.20.0.5", "mac:02:00:00:00:00:09", "mallory")), (3, release("10.20.0.5"))] {
            outbox::push(&mut change, app.state.vault.entropy(), &subject(n), &order).await.unwrap();
            change.commit_seen().await.unwrap();
            drain(&app).await;
            let said = if n == 2 { "that Patchbay did not make" } else { "had it so already" };
            other.get("/outbox").await.shows(said);
            change = app.state.change(&actor).await.unwrap();
        }
        drop(change);
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:01"));
        let report = other.post("/dhcp/report", &[]).await;
        report.hides("lobby");
        other.post("/dhcp/report/repair", &[]).await;
        drain(&app).await;
        assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), Some("02:00:00:00:00:01"));
    }

    async fn equal_pools_and_equal_addresses_are_assigned_in_both_and_end_apart(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let acme = app.tenant("acme", "other").await;
        crate::lifecycle::office(&app).await;
        crate::lifecycle::office_of(&app, acme).await;
        let ours = Script { app: &app, token: app.token_of("admin", Role::Admin, None).await };
        let theirs = Script { app: &app, token: app.token_of("other", Role::Admin, None).await };
        for family in FAMILIES {
            let who = json!({ "subscriber_id": "C-1" });
            let (one, two) = (call(&ours, family, "allocate", who.clone()).await.json(), call(&theirs, family, "allocate", who.clone()).await.json());
            assert_eq!(one["address"], two["address"], "{one} {two}");
            assert_ne!((&one["id"], &one["tenant_id"]), (&two["id"], &two["tenant_id"]));
            assert_eq!(two["tenant_id"], acme.to_string());
            assert_eq!(call(&theirs, family, "activate", who.clone()).await.status, 200);
            let seen = async |script: &Script<'_>| {
                let path = format!("{}/C-1?kind={}", base(family), kind(family));
                script.get(&path).await.json()["state"].as_str().unwrap().to_owned()
            };
            assert_eq!((seen(&ours).await, seen(&theirs).await), ("allocated".to_owned(), "active".to_owned()));
            assert_eq!(call(&ours, family, "revoke", who.clone()).await.json()["state"], "revoked");
            assert_eq!((seen(&ours).await, seen(&theirs).await), ("revoked".to_owned(), "active".to_owned()));
            // What is free of one is not free of the other.
            let again = call(&ours, family, "allocate", json!({ "subscriber_id": "C-2" })).await.json();
            let next = call(&theirs, family, "allocate", json!({ "subscriber_id": "C-2" })).await.json();
            assert_eq!(again["address"], one["address"]);
            assert_ne!(next["address"], two["address"]);
        }
        let free = "SELECT CAST(free AS TEXT) FROM prefix_pool ORDER BY free";
        let free = app.texts(free).await;
        assert_ne!(free[0], free[1], "each counts its own: {free:?}");
    }

    async fn nothing_of_tenants_shows_while_there_is_one(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/users").await.hides(r#"class="tenant""#);
        app.tenant("acme", "other").await;
        admin.get("/users").await.shows(r#"<p class="tenant">Default</p>"#);
    }

    async fn a_tenant_is_made_with_its_administrators_link_and_mistakes_are_named(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = |name: &'static str, slug: &'static str, who: &'static str, last: &'static str| {
            [("name", name), ("slug", slug), ("time_zone", "Europe/Lisbon"), ("first", "200"), ("last", last), ("admin", who)]
        };
        let page = admin.post("/settings/tenants", &form("Acme", "acme", "boss", "299")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let link = page.between("http://patchbay.test", "<").to_owned();
        let boss = app.browser();
        boss.welcome(link.trim_start_matches("/welcome/")).await;
        boss.add("Cid", "cid@example.com", "").await;
        assert_eq!(app.texts("SELECT CAST(number AS TEXT) FROM extension").await, ["200"]);
        let before = app.contents().await;
        for (form, field) in [
            (form("Acme", "acme2", "boss2", "299"), "name"),
            (form("Other", "acme", "boss2", "299"), "slug"),
            (form("Other", "acme2", "boss", "299"), "admin"),
            (form("Other", "Acme]", "boss2", "299"), "slug"),
            (form("Other", "patchbay", "boss2", "299"), "slug"),
            (form("Other", "internal", "boss2", "299"), "slug"),
            (form("Other", "acme2", "boss2", "199"), "last"),
            (form("", "acme2", "boss2", "299"), "name"),
        ] {
            let page = admin.post("/settings/tenants", &form).await;
            assert_eq!(page.status, 422, "{form:?}");
            assert!(!page.field_error(field).is_empty());
        }
        assert_eq!(app.contents().await, before);
    }
}
