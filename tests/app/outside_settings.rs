//! How systems outside are set up: off by default, tested in words, secrets sealed, private
//! addresses only if allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use patchbay::auth::Role;
use patchbay::outbox::setup::{DhcpSetup, Settings};
use patchbay::outbox::{CallState, RadiusAction, RecordStatus};
use patchbay::outside::Fault;
use patchbay::outside::guard::{Allowance, Allowed};
use patchbay::outside::http::{Authorities, Credentials, Reach, Resolver, Server};

use crate::outbox::{configure, drain, order, push, states, subject};
use crate::support::app::{both_databases, logged};
use crate::support::outside::{NAS_SECRET, NETBOX_TOKEN, Nas, Netbox};

const CANARY: &str = "kanarienvogel-4711";

both_databases! {
    async fn everything_is_off_until_it_is_set_up_and_says_what_is_missing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/settings/outside").await;
        assert_eq!(page.text.matches(r#"<span class="st off">off"#).count(), 3, "{}", page.text);
        admin.get("/outbox").await.shows("No system outside is switched on");
        for (system, form, said) in [
            ("radius", vec![("enabled", "1"), ("suspend", "filter")], "add a NAS first"),
            ("dhcp", vec![("enabled", "1")], "say where Kea is"),
            ("netbox", vec![("enabled", "1")], "say where NetBox is"),
            ("netbox", vec![("enabled", "1"), ("url", "https://netbox.example.com")], "NetBox needs an API token"),
            ("netbox", vec![("url", "ftp://x")], "write it as https://host"),
            ("netbox", vec![("url", "https://u:p@x")], "leave out user names, passwords"),
            ("netbox", vec![("authorities", "hello")], "paste one or more certificates"),
            ("netbox", vec![("secret", "ü")], "visible characters of ASCII"),
            ("dhcp", vec![("v4", "unix:/a/../b")], "write the socket as"),
        ] {
            let form: Vec<_> = form.into_iter().chain([("version", "0")]).collect();
            let page = admin.post(&format!("/settings/outside/{system}"), &form).await;
            assert_eq!(page.status, 422, "{system} {form:?}");
            page.shows(said);
        }
        assert_eq!(app.number("SELECT count(*) FROM outside_system").await, 0);
    }

    async fn a_secret_is_sealed_and_never_shown_again(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = [("version", "0"), ("url", "https://netbox.example.com"), ("secret", CANARY)];
        assert_eq!(admin.post("/settings/outside/netbox", &form).await.status, 303);
        let nas = [("name", "edge"), ("address", "10.0.0.1"), ("port", "3799"), ("secret", CANARY)];
        assert_eq!(admin.post("/settings/outside/nas", &nas).await.status, 303);
        let id = app.texts("SELECT id FROM outside_nas").await.remove(0);
        for path in ["/settings/outside/netbox", "/settings/outside/radius", &format!("/settings/outside/nas/{id}"), "/audit"] {
            let page = admin.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            page.hides(CANARY);
        }
        admin.get("/settings/outside/netbox").await.shows("one is kept, sealed");
        assert!(!logged().contains(CANARY));
        let stored = app.stored_bytes().await;
        assert!(!stored.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
        let told = app.texts("SELECT after_json FROM audit_event WHERE action = 'outside.configured'").await;
        assert!(told[0].contains("(hidden, new)"), "{told:?}");
        // Saved without one it stays; told to forget, it goes.
        let form = [("version", "1"), ("url", "https://netbox.example.org")];
        assert_eq!(admin.post("/settings/outside/netbox", &form).await.status, 303);
        admin.get("/settings/outside/netbox").await.shows("one is kept, sealed");
        let form = [("version", "2"), ("url", "https://netbox.example.org"), ("forget", "1")];
        admin.post("/settings/outside/netbox", &form).await;
        admin.get("/settings/outside/netbox").await.shows("none is kept yet");
        // What was typed with an error beside another field is not echoed.
        let form = [("version", "3"), ("url", "x"), ("secret", CANARY)];
        let page = admin.post("/settings/outside/netbox", &form).await;
        assert_eq!(page.status, 422);
        page.hides(CANARY);
    }

    async fn two_editors_are_told_of_each_other(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = [("version", "0"), ("url", "https://netbox.example.com")];
        assert_eq!(admin.post("/settings/outside/netbox", &form).await.status, 303);
        let late = admin.post("/settings/outside/netbox", &[("version", "0"), ("url", "https://other.example.com")]).await;
        assert_eq!(late.status, 412);
        late.shows("somebody changed these settings meanwhile");
        late.shows("https://netbox.example.com");
    }

    async fn a_private_server_is_called_only_when_an_administrator_allowed_it(app: TestApp) {
        let server = Netbox::start().await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let url = format!("http://{}", server.at);
        let form = [("version", "0"), ("enabled", "1"), ("url", url.as_str()), ("secret", NETBOX_TOKEN)];
        assert_eq!(admin.post("/settings/outside/netbox", &form).await.status, 303);
        let page = admin.post("/settings/outside/netbox/test", &[]).await;
        page.shows("127.0.0.1 is a private address; an administrator must allow it first");
        assert!(server.store.lock().unwrap().asked.is_empty());
        let target = server.at.to_string();
        assert_eq!(admin.post("/settings/outside/allowed", &[("system", "dhcp"), ("target", &target)]).await.status, 303);
        admin.post("/settings/outside/netbox/test", &[]).await.shows("is a private address");
        assert_eq!(admin.post("/settings/outside/allowed", &[("system", "netbox"), ("target", &target)]).await.status, 303);
        let page = admin.post("/settings/outside/netbox/test", &[]).await;
        page.shows("is NetBox 4.4.2, and lets Patchbay write");
        assert_eq!(admin.post("/settings/outside/allowed/removal", &[("system", "netbox"), ("target", &target)]).await.status, 303);
        admin.post("/settings/outside/netbox/test", &[]).await.shows("is a private address");
        assert_eq!(admin.post("/settings/outside/allowed", &[("system", "netbox"), ("target", "http://x")]).await.status, 422);
        let audit = app.audit().await;
        assert!(audit.contains(&format!("admin outside.allowed NetBox at {target}")));
        assert!(audit.contains(&format!("admin outside.disallowed NetBox at {target}")));
    }

    /// Nor is a call made there that waits in the outbox: it says what is missing, and is made when
    /// that was given.
    async fn a_call_to_a_private_address_is_not_made_until_it_is_allowed(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        let (netbox, kea) = (Netbox::start().await, Netbox::start().await);
        crate::outbox::radius(&app, nas.port, NAS_SECRET).await;
        crate::outside_netbox::netbox(&app, netbox.at).await;
        let setup = DhcpSetup { v4: Some(format!("http://{}", kea.at).parse().unwrap()), ..DhcpSetup::default() };
        configure(&app, Settings::Dhcp(setup), None, true).await;
        let calls = [
            ("radius", order(RadiusAction::Suspend, "ann"), nas.port),
            ("netbox", crate::outside_netbox::set("10.0.0.5", RecordStatus::Active), netbox.at.port()),
            ("dhcp", crate::outside_peers::reserve("10.0.0.5", "mac:02:00:00:00:00:01", ""), kea.at.port()),
        ];
        let heard = || [nas.packets().len(), netbox.store.lock().unwrap().asked.len(), kea.store.lock().unwrap().asked.len()];
        for (n, (system, order, port)) in (1..).zip(&calls) {
            let target = format!("127.0.0.1:{port}");
            let form = [("system", *system), ("target", target.as_str())];
            if *system != "dhcp" {
                assert_eq!(admin.post("/settings/outside/allowed/removal", &form).await.status, 303, "{system}");
            }
            let page = admin.post(&format!("/settings/outside/{system}/test"), &[]).await;
            page.shows("127.0.0.1 is a private address; an administrator must allow it first");
            push(&app, &subject(n), order).await;
            drain(&app).await;
            assert_eq!(states(&app, &subject(n)).await, [CallState::Waiting], "{system}");
            for path in ["/outbox".to_owned(), format!("/outbox/of/assignment/{n}")] {
                admin.get(&path).await.shows("127.0.0.1 is a private address; an administrator must allow it first");
            }
        }
        assert_eq!(heard(), [0; 3], "nothing was said to anybody");
        for (n, (system, _, port)) in (1..).zip(&calls) {
            let target = format!("127.0.0.1:{port}");
            let form = [("system", *system), ("target", target.as_str())];
            assert_eq!(admin.post("/settings/outside/allowed", &form).await.status, 303, "{system}");
            let id = crate::outbox::calls(&app, &subject(n)).await.remove(0).id;
            assert_eq!(admin.post(&format!("/outbox/{id}/retry"), &[]).await.status, 303);
        }
        drain(&app).await;
        assert!(heard().iter().all(|count| *count > 0), "{:?}", heard());
        for n in [1, 2] {
            assert_eq!(states(&app, &subject(n)).await, [CallState::Done]);
        }
    }

    async fn a_wrong_token_is_said_in_words(app: TestApp) {
        let server = Netbox::start().await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let (url, target) = (format!("http://{}", server.at), server.at.to_string());
        admin.post("/settings/outside/allowed", &[("system", "netbox"), ("target", &target)]).await;
        let form = [("version", "0"), ("url", url.as_str()), ("secret", "wrong")];
        admin.post("/settings/outside/netbox", &form).await;
        let page = admin.post("/settings/outside/netbox/test", &[]).await;
        page.shows("does not allow this to the credentials given");
        page.hides("Invalid token");
    }

    async fn every_hostile_string_is_refused_beside_its_field_or_comes_back_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let file: serde_json::Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
        for entry in file.as_array().unwrap() {
            let input = entry["input"].as_str().unwrap();
            let before = app.contents().await;
            for (path, fields) in [
                ("/settings/outside/netbox", vec![("url", input), ("authorities", input), ("secret", "\u{1}")]),
                ("/settings/outside/dhcp", vec![("v4", input), ("v6", input), ("user", input), ("secret", "\u{1}")]),
                ("/settings/outside/radius", vec![("suspend", "filter"), ("suspended_filter", input), ("usual_filter", input), ("version", "99")]),
                ("/settings/outside/nas", vec![("name", input), ("address", input), ("port", input)]),
            ] {
                let page = admin.post(path, &fields).await;
                assert!(matches!(page.status, 412 | 422), "{path} {input:?}: {}", page.status);
                for live in ["<script>alert", "<&>\"'"] {
                    assert!(!page.text.contains(live), "{path} {input:?}");
                }
            }
            let page = admin.get(&format!("/outbox?{}", serde_html_form::to_string([("q", input)]).unwrap())).await;
            assert!(matches!(page.status, 200 | 400), "{input:?}");
            assert!(!page.text.contains("<script>alert"));
            assert_eq!(app.contents().await, before, "{input:?}");
            let page = admin.post("/settings/outside/allowed", &[("system", "netbox"), ("target", input)]).await;
            let known = app.texts("SELECT target FROM outside_allowed").await;
            // A few of them are names a host may have.
            let input = input.trim();
            let plain = input.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(page.status == 422 || (plain && known.contains(&input.to_ascii_lowercase())), "{input:?}: {}", page.status);
            assert!(!page.text.contains("<script>alert"), "{input:?}");
            // What was done is said on the next page, and then no more.
            assert_eq!(admin.get("/settings/outside").await.status, 200);
        }
    }
}

/// A name that is one address when it is looked at and another when it is called cannot be: what
/// was looked at is what is called.
#[test]
fn a_name_that_changes_its_mind_reaches_nothing() {
    actix_web::rt::System::new().block_on(async {
        let server = Netbox::start().await;
        let port = server.at.port();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::of(move |_, port| {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let ip = if first { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
            Box::pin(async move { vec![(ip, port).into()] })
        });
        // Nobody listens there; at the other one somebody does.
        let list: Vec<Allowance> = vec![format!("127.0.0.2:{port}").parse().unwrap()];
        let allowed = Allowed::from(list);
        let reach = Reach { allowed: &allowed, resolver: &resolver, ports: &[443], kind: "NetBox" };
        let url = format!("http://rebind.example:{port}").parse().unwrap();
        let none = Authorities::default();
        let opened = Server::open(&url, Credentials::None, &none, &reach).await.unwrap();
        assert!(opened.ask(reqwest::Method::GET, "/api/status/", None).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it was looked up again for the call");
        let again = Server::open(&url, Credentials::None, &none, &reach).await;
        assert!(matches!(again, Err(Fault::Forbidden(_))), "{again:?}");
        assert!(server.store.lock().unwrap().asked.is_empty());
    });
}
