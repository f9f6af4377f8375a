//! What surrounds every request.

use patchbay::auth::Role;
use patchbay::web::assets;

use crate::support::app::{Answer, PASSWORD, both_databases};

#[track_caller]
pub fn has_security_headers(answer: &Answer) {
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name} of {answer:?}");
    }
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 12), "{answer:?}");
    assert!(answer.header("cache-control").is_some(), "{answer:?}");
    assert_eq!(answer.header("set-cookie").filter(|set| !set.contains("HttpOnly")), None);
}

both_databases! {
    async fn what_is_not_there_is_404_and_a_wrong_method_405_with_every_header(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (method, path, status) in [
            ("GET", "/nothing", 404),
            ("GET", "/api/nothing", 404),
            ("GET", "/users/nobody", 404),
            ("GET", "/users/00000000-0000-0000-0000-000000000000", 404),
            ("GET", "/users/%2e%2e%2fetc%2fpasswd", 404),
            ("GET", "/static/app.css", 404),
            ("GET", "/welcome/nothing", 404),
            ("DELETE", "/users", 405),
            ("PUT", "/api/v1/users", 405),
            ("POST", "/healthz", 405),
            ("TRACE", "/login", 405),
        ] {
            let answer = admin.ask(method, path).ours().send().await;
            assert_eq!(answer.status, status, "{method} {path}");
            has_security_headers(&answer);
            let kind = answer.header("content-type").unwrap();
            let problem = path.starts_with("/api/");
            assert_eq!(kind.starts_with("application/problem+json"), problem, "{method} {path}");
            if !problem {
                answer.shows("To the first page");
            }
        }
    }

    async fn a_405_says_what_would_work(app: TestApp) {
        assert_eq!(app.ask("POST", "/healthz").send().await.header("allow"), Some("GET, HEAD"));
        let methods = app.ask("PUT", "/api/v1/users/x").send().await;
        assert_eq!(methods.header("allow"), Some("DELETE, GET, HEAD, PATCH"));
    }

    async fn head_is_answered_wherever_get_is(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (path, status) in [("/healthz", 200), ("/users", 200), ("/nothing", 404), ("/logout", 405)] {
            let answer = admin.ask("HEAD", path).send().await;
            assert_eq!(answer.status, status, "{path}");
            has_security_headers(&answer);
        }
        assert_eq!(app.ask("HEAD", "/users").send().await.status, 303);
    }

    async fn the_token_may_also_come_in_htmxs_header_or_a_browsers_origin(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        let ask = admin.ask("POST", "/users/deletion").header("x-csrf-token", &csrf);
        assert_eq!(ask.ours().form(&[]).send().await.status, 303);
        let ask = admin.ask("POST", "/users/deletion").header("origin", "http://patchbay.test");
        assert_eq!(ask.form(&[("csrf", &csrf)]).send().await.status, 303);
    }

    async fn what_a_proxy_might_say_changes_nobodys_identity(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let user = admin.add("Ann", "ann@example.com", "").await;
        let forged = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-user", "admin"),
            ("x-forwarded-host", "patchbay.test"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=127.0.0.1;by=admin"),
            ("x-real-ip", "127.0.0.1"),
            ("x-remote-user", "admin"),
            ("remote-user", "admin"),
            ("x-original-url", "/healthz"),
            ("x-rewrite-url", "/healthz"),
            ("x-http-method-override", "GET"),
            ("authorization", "Basic YWRtaW46YWRtaW4="),
            ("x-operator", "admin"),
        ];
        for (name, value) in forged {
            let page = app.ask("GET", "/users").header(name, value).send().await;
            assert_eq!((page.status, page.location()), (303, "/login?next=%2Fusers"), "{name}");
            let call = app.ask("GET", "/api/v1/users").header(name, value).send().await;
            assert_eq!(call.status, 401, "{name}");
            let page = auditor.ask("GET", "/settings/operators").header(name, value).send().await;
            assert_eq!(page.status, 403, "{name}");
            let post = auditor.ask("POST", &format!("/users/{user}/enabled")).header(name, value);
            let csrf = auditor.csrf.borrow().clone();
            assert_eq!(post.ours().form(&[("csrf", &csrf)]).send().await.status, 403, "{name}");
        }
        let sources = app.texts("SELECT DISTINCT source FROM audit_event").await;
        assert!(!sources.contains(&"127.0.0.1".to_owned()), "{sources:?}");
    }

    async fn a_request_id_in_the_answer_is_the_one_in_log_and_audit(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = [("name", "Ann"), ("email", "ann@example.com")];
        let answer = admin.post("/users", &form).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(app.texts(&format!("SELECT action FROM audit_event WHERE request_id = '{id}'")).await, ["user.created"]);
        let line = crate::support::app::logged();
        let line = line.lines().find(|line| line.contains(id)).unwrap().to_owned();
        assert!(line.contains(r#""http.status":201"#) && line.contains(r#""http.path":"/users""#), "{line}");
    }

    async fn over_tls_cookies_and_browsers_are_told_to_stay_there(app: TestApp) {
        let plain = app.signed_in("admin", Role::Admin).await;
        let cookie = plain.get("/logout").await;
        assert_eq!(cookie.header("strict-transport-security"), None);
        let app = app.reached_as("https://pbx.example").await;
        let answer = app.browser().sign_in("admin", PASSWORD).await;
        let set = answer.header("set-cookie").unwrap();
        assert!(set.starts_with("__Host-patchbay="), "{set}");
        for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(set.contains(part), "{part} in {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        assert!(answer.header("strict-transport-security").unwrap().contains("max-age=31536000"));
    }

    async fn assets_are_cached_for_ever_under_their_hash_and_pages_never(app: TestApp) {
        let asset = app.get(assets::url("app.css").unwrap()).await;
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(asset.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(app.get("/login").await.header("cache-control"), Some("no-store"));
    }

    async fn bodies_beyond_the_limit_are_413_with_every_header(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let huge = "x".repeat((1 << 20) + 1);
        let page = admin.post("/users", &[("name", &huge)]).await;
        assert_eq!(page.status, 413);
        has_security_headers(&page);
        let page = app.browser().post("/login", &[("name", &huge)]).await;
        assert_eq!(page.status, 413);
        let import = "x".repeat((8 << 20) + 1);
        assert_eq!(admin.post("/users/import", &[("text", &import)]).await.status, 413);
    }

    async fn what_cannot_be_read_as_a_form_is_400(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        let before = app.contents().await;
        for (kind, body) in [
            ("text/plain", format!("name=Ann&email=ann@example.com&csrf={csrf}")),
            ("multipart/form-data; boundary=x", format!("csrf={csrf}")),
            ("application/json", format!(r#"{{"name":"Ann","csrf":"{csrf}"}}"#)),
            ("application/x-www-form-urlencoded", format!("name=%ff%fe&email=a@b.example&csrf={csrf}")),
            ("application/x-www-form-urlencoded", format!("name=%C3&email=a@b.example&csrf={csrf}")),
            ("application/x-www-form-urlencoded", format!("name=A&name=B&email=a@b.example&csrf={csrf}")),
        ] {
            let ask = admin.ask("POST", "/users").ours().header("content-type", kind).body(body.clone());
            let answer = ask.send().await;
            assert_eq!(answer.status, 400, "{kind} {body}");
            has_security_headers(&answer);
        }
        let bytes = [b"name=\xff\xfe&csrf=".as_slice(), csrf.as_bytes()].concat();
        let ask = admin.ask("POST", "/users").ours().body(bytes);
        assert_eq!(ask.header("content-type", "application/x-www-form-urlencoded").send().await.status, 400);
        assert_eq!(app.contents().await, before);
    }
}
