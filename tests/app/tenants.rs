//! Two tenants on one installation never see each other.

use patchbay::app::routes;
use patchbay::auth::Role;
use patchbay::lifecycle::Family;
use serde_json::json;

use crate::support::app::{Browser, PASSWORD, TestApp, both_databases};
use crate::support::outside::Netbox;

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
