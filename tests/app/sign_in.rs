//! Signing in and out: passwords, sessions, links, tokens, and what slows a guesser down.

use std::cell::Cell;

use futures_util::future::join_all;
use patchbay::auth::{self, Role};
use patchbay::secrets;
use patchbay::time::Timestamp;

use crate::support::app::{
    Answer, BEGINNING, Browser, PASSWORD, TestApp, both_databases, logged, tester,
};

const WRONG: &str = "name or password is not right";

async fn guess(app: &TestApp, name: &str, peer: &str, forwarded: &str) -> Answer {
    let ask = app.ask("POST", "/login").ours().at_peer(peer);
    let ask = ask.header("x-forwarded-for", forwarded).header("x-real-ip", forwarded);
    ask.form(&[("name", name), ("password", "wrong guess one")]).send().await
}

async fn works(browser: &Browser<'_>) -> bool {
    browser.ask("GET", "/users").send().await.status == 200
}

both_databases! {
    async fn a_new_installation_lets_nobody_in_but_by_its_link(app: TestApp) {
        for (name, password) in [("admin", "admin"), ("admin", ""), ("", ""), ("patchbay", "patchbay")] {
            let answer = app.browser().sign_in(name, password).await;
            assert_eq!(answer.status, 422);
            answer.shows(WRONG);
        }
        let token = auth::setup_link(&app.state).await.unwrap().unwrap();
        let stored = app.texts("SELECT token_hash FROM one_time_link").await;
        assert_eq!(stored, [secrets::fingerprint(token.as_bytes())]);

        let browser = app.browser();
        let path = format!("/welcome/{token}");
        browser.get(&path).await.shows("You become its first administrator");
        let form = [("name", "ann"), ("password", PASSWORD), ("again", PASSWORD)];
        let answer = browser.post(&path, &form).await;
        assert_eq!((answer.status, answer.location()), (303, "/"));
        browser.get("/settings/operators").await.shows("ann");
        assert_eq!(browser.get(&path).await.status, 404);
        assert_eq!(app.browser().post(&path, &form).await.status, 404);
        assert_eq!(auth::setup_link(&app.state).await.unwrap(), None);
        let failed = "(unknown) operator.sign_in_failed (unknown)";
        assert_eq!(app.audit().await, [failed, failed, failed, failed, "ann operator.created ann", "ann operator.password_set ann"]);
    }

    async fn the_setup_link_expires_after_30_minutes_and_a_new_one_replaces_it(app: TestApp) {
        let first = auth::setup_link(&app.state).await.unwrap().unwrap();
        app.pass(30 * 60 - 1);
        assert_eq!(app.get(&format!("/welcome/{first}")).await.status, 200);
        app.pass(1);
        assert_eq!(app.get(&format!("/welcome/{first}")).await.status, 404);
        let form = [("name", "ann"), ("password", PASSWORD), ("again", PASSWORD)];
        assert_eq!(app.browser().post(&format!("/welcome/{first}"), &form).await.status, 404);
        let second = auth::setup_link(&app.state).await.unwrap().unwrap();
        let third = auth::setup_link(&app.state).await.unwrap().unwrap();
        assert_eq!(app.get(&format!("/welcome/{second}")).await.status, 404);
        assert_eq!(app.get(&format!("/welcome/{third}")).await.status, 200);
        assert!(!logged().contains(&third), "a link was logged");
    }

    async fn only_one_of_many_who_use_the_setup_link_at_once_gets_in(app: TestApp) {
        let path = format!("/welcome/{}", auth::setup_link(&app.state).await.unwrap().unwrap());
        let answers = join_all((0..6).map(|n| {
            let form = [("name".to_owned(), format!("ann{n}"))];
            let ask = app.ask("POST", &path).ours();
            ask.form(&[("name", form[0].1.as_str()), ("password", PASSWORD), ("again", PASSWORD)]).send()
        })).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 5, "{statuses:?}");
        assert_eq!(app.number("SELECT count(*) FROM operator").await, 1);
    }

    async fn signing_in_is_refused_alike_whatever_is_wrong(app: TestApp) {
        app.signed_in("ann", Role::Operator).await;
        app.operator("invited", Role::Operator).await;
        app.signed_in("gone", Role::Operator).await;
        app.sql("UPDATE operator SET disabled = TRUE WHERE name = 'gone'").await;
        let mut pages = Vec::new();
        for (name, password) in [("ann", "wrong guess one"), ("nobody", PASSWORD), ("invited", ""), ("gone", PASSWORD)] {
            let answer = app.browser().sign_in(name, password).await;
            assert_eq!(answer.status, 422);
            answer.shows(WRONG);
            assert_eq!(answer.cookie(), None);
            answer.hides(password_unless_empty(password));
            pages.push(answer.text.replace(name, "NAME"));
        }
        assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
        assert!(!logged().contains("wrong guess one"));
    }

    async fn the_name_is_taken_in_any_case_and_the_password_only_as_it_is(app: TestApp) {
        app.signed_in("ann", Role::Operator).await;
        assert_eq!(app.browser().sign_in(" ANN ", PASSWORD).await.status, 303);
        for wrong in [PASSWORD.to_uppercase(), format!("{PASSWORD} "), format!(" {PASSWORD}"), PASSWORD[1..].to_owned()] {
            assert_eq!(app.browser().sign_in("ann", &wrong).await.status, 422, "{wrong:?}");
        }
    }

    async fn the_session_id_changes_at_sign_in_and_only_its_hash_is_stored(app: TestApp) {
        let before = app.signed_in("ann", Role::Admin).await;
        let planted = before.cookie.borrow().clone();
        let again = before.sign_in("ann", PASSWORD).await;
        assert_eq!(again.status, 303);
        let cookie = before.cookie.borrow().clone();
        assert_ne!(cookie, planted);
        assert!(works(&before).await);
        let old = app.ask("GET", "/users").header("cookie", &planted).send().await;
        assert_eq!(old.status, 303, "the id from before signing in still works");

        let value = percent_encoding::percent_decode_str(cookie.split_once('=').unwrap().1)
            .decode_utf8().unwrap().into_owned();
        let id = &value[44..];
        assert_eq!(id.len(), 43);
        assert_eq!(app.texts("SELECT id_hash FROM session").await, [secrets::fingerprint(id.as_bytes())]);
        let bytes = app.stored_bytes().await;
        assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()), "the id is stored");
        assert!(!logged().contains(id), "the id is logged");
    }

    async fn a_session_nobody_signed_is_worth_nothing(app: TestApp) {
        let ann = app.signed_in("ann", Role::Admin).await;
        let cookie = ann.cookie.borrow().clone();
        let mut forged = cookie.clone();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.push(last);
        let hash = &app.texts("SELECT id_hash FROM session").await[0];
        for bad in [forged, "patchbay=".to_owned(), format!("patchbay={hash}"), "patchbay=%ff".to_owned(), cookie.replace('=', "=x")] {
            let answer = app.ask("GET", "/users").header("cookie", &bad).send().await;
            assert_eq!((answer.status, answer.location()), (303, "/login?next=%2Fusers"), "{bad}");
        }
        assert!(works(&ann).await);
    }

    async fn a_session_ends_after_30_idle_minutes(app: TestApp) {
        let ann = app.signed_in("ann", Role::Admin).await;
        for _ in 0..3 {
            app.pass(30 * 60 - 61);
            assert!(works(&ann).await);
        }
        app.pass(30 * 60);
        assert!(!works(&ann).await);
    }

    async fn a_session_ends_12_hours_after_sign_in_however_busy(app: TestApp) {
        let ann = app.signed_in("ann", Role::Admin).await;
        for _ in 0..35 {
            app.pass(20 * 60);
            assert!(works(&ann).await);
        }
        app.pass(20 * 60 - 1);
        assert!(works(&ann).await);
        app.pass(1);
        assert!(!works(&ann).await);
        app.pass(1);
        auth::tidy(&app.state).await.unwrap();
        assert_eq!(app.number("SELECT count(*) FROM session WHERE operator_id IS NOT NULL").await, 0);
    }

    async fn signing_out_ends_the_session_for_whoever_copied_the_cookie(app: TestApp) {
        let ann = app.signed_in("ann", Role::Admin).await;
        let copied = ann.cookie.borrow().clone();
        let elsewhere = app.browser();
        elsewhere.sign_in("ann", PASSWORD).await;
        let answer = ann.post("/logout", &[]).await;
        assert_eq!((answer.status, answer.location()), (303, "/login"));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{answer:?}");
        let again = app.ask("GET", "/users").header("cookie", &copied).send().await;
        assert_eq!(again.status, 303);
        assert!(works(&elsewhere).await, "another browser's session is its own");
    }

    async fn sessions_and_links_die_when_the_operator_is_disabled_or_changes_role_or_password(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = app.operator("ann", Role::Operator).await;
        let path = format!("/settings/operators/{id}");
        for form in [[("role", "helpdesk"), ("x", "")], [("role", "operator"), ("disabled", "1")]] {
            let ann = app.with_password("ann").await;
            let link = app.link(id).await;
            assert!(works(&ann).await);
            assert_eq!(admin.post(&path, &form).await.status, 303);
            assert!(!works(&ann).await, "{form:?}");
            assert_eq!(app.get(&format!("/welcome/{link}")).await.status, 404);
            assert_eq!(admin.post(&path, &[("role", "operator")]).await.status, 303);
            assert!(!works(&ann).await, "enabling revives no session");
        }
        let (ann, elsewhere) = (app.with_password("ann").await, app.browser());
        elsewhere.sign_in("ann", PASSWORD).await;
        let new = "another battery staple";
        let form = [("current", PASSWORD), ("password", new), ("again", new)];
        assert_eq!(ann.post("/settings/password", &form).await.location(), "/settings");
        assert!(works(&ann).await, "the browser in which it was changed goes on");
        assert!(!works(&elsewhere).await);
        assert_eq!(app.browser().sign_in("ann", PASSWORD).await.status, 422);
        assert_eq!(app.browser().sign_in("ann", new).await.status, 303);
    }

    async fn a_disabled_operators_tokens_stop_and_a_lower_role_binds_them(app: TestApp) {
        app.operator("other", Role::Admin).await;
        app.sql("UPDATE operator SET password_hash = 'x'").await;
        let id = app.operator("ann", Role::Admin).await;
        let token = app.token_of("ann", Role::Admin, None).await;
        let list = async || app.ask("GET", "/api/v1/users").token(&token).send().await.status;
        let create = async || {
            app.ask("POST", "/api/v1/users").token(&token).json(&serde_json::json!({})).send().await.status
        };
        assert_eq!((list().await, create().await), (200, 422));
        for (role, disabled, expected) in [(Role::Auditor, false, (200, 403)), (Role::Admin, true, (401, 401)), (Role::Admin, false, (200, 422))] {
            let mut change = app.state.change(&tester()).await.unwrap();
            auth::modify(&mut change, id, role, disabled).await.unwrap();
            change.commit().await.unwrap();
            assert_eq!((list().await, create().await), expected);
        }
    }

    async fn the_last_administrator_can_be_neither_disabled_nor_demoted(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = app.texts("SELECT id FROM operator").await[0].clone();
        let before = app.contents().await;
        for form in [vec![("role", "auditor")], vec![("role", "admin"), ("disabled", "1")]] {
            let answer = admin.post(&format!("/settings/operators/{id}"), &form).await;
            assert_eq!(answer.status, 409);
            answer.shows("this is the last administrator who can sign in; make another one first");
        }
        assert_eq!(app.contents().await, before);
    }

    async fn an_administrator_who_cannot_sign_in_yet_does_not_count_as_the_last(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.operator("invited", Role::Admin).await;
        let id = app.texts("SELECT id FROM operator WHERE name = 'admin'").await[0].clone();
        let answer = admin.post(&format!("/settings/operators/{id}"), &[("role", "auditor")]).await;
        assert_eq!(answer.status, 409);
    }

    async fn two_administrators_cannot_demote_each_other_at_once(app: TestApp) {
        let (ann, bob) = (app.operator("ann", Role::Admin).await, app.operator("bob", Role::Admin).await);
        app.sql("UPDATE operator SET password_hash = 'x'").await;
        let mut first = app.state.change(&tester()).await.unwrap();
        auth::modify(&mut first, ann, Role::Auditor, false).await.unwrap();
        let done = Cell::new(false);
        let second = async {
            let mut change = app.state.change(&tester()).await.unwrap();
            let modified = auth::modify(&mut change, bob, Role::Auditor, false).await;
            done.set(true);
            if modified.is_ok() {
                change.commit().await.unwrap();
            }
            modified.map_err(|error| error.to_string())
        };
        let first = async {
            app.until_somebody_waits_or(&done).await;
            first.commit().await.map_err(|error| error.to_string())
        };
        let (two, one) = futures_util::future::join(second, first).await;
        assert!(one.is_err() || two.is_err(), "nobody is left to administer");
        assert_eq!(app.number("SELECT count(*) FROM operator WHERE role = 'admin'").await, 1);
    }

    async fn an_account_is_slowed_down_after_five_guesses_wherever_they_come_from(app: TestApp) {
        app.signed_in("ann", Role::Admin).await;
        for n in 0..4 {
            assert_eq!(guess(&app, "ann", &format!("192.0.2.{n}"), "x").await.status, 422);
        }
        assert_eq!(guess(&app, "ANN ", "192.0.2.5", "x").await.status, 422, "the fifth begins the wait");
        let slow = guess(&app, "ann", "192.0.2.99", "203.0.113.77").await;
        assert_eq!(slow.status, 429);
        slow.shows("too many tries; wait 1 seconds and try again");
        assert_eq!(app.browser().sign_in("ann", PASSWORD).await.status, 429, "even with the password");
        app.pass(1);
        assert_eq!(app.browser().sign_in("ann", PASSWORD).await.status, 303);
        assert_eq!(guess(&app, "ann", "192.0.2.7", "x").await.status, 422, "counting began anew");
    }

    async fn waits_grow_to_15_minutes_and_are_forgiven_after_an_hour(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let mut waited = Vec::new();
        for n in 0..17 {
            let answer = guess(&app, "ann", &format!("192.0.2.{n}"), "x").await;
            assert_eq!(answer.status, 422);
            let blocked = app.number("SELECT blocked_until FROM sign_in_failure WHERE subject = 'account:ann'").await;
            let wait = blocked - app.state.clock.now().0;
            waited.push(wait);
            app.pass(wait);
        }
        assert_eq!(waited, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        app.pass(3600);
        for n in 0..5 {
            assert_eq!(guess(&app, "ann", &format!("198.51.100.{n}"), "x").await.status, 422);
        }
    }

    async fn a_source_is_slowed_down_after_20_guesses_whatever_it_claims_to_forward_for(app: TestApp) {
        for n in 0..20 {
            let forwarded = format!("203.0.113.{n}");
            assert_eq!(guess(&app, &format!("name{n}"), "192.0.2.9", &forwarded).await.status, 422);
        }
        app.signed_in("ann", Role::Admin).await;
        assert_eq!(guess(&app, "ann", "192.0.2.9", "203.0.113.99").await.status, 429);
        assert_eq!(guess(&app, "ann", "192.0.2.10", "203.0.113.99").await.status, 422);
    }

    async fn parallel_guesses_do_not_slip_through(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let peers: Vec<String> = (0..30).map(|n| format!("192.0.2.{n}")).collect();
        let answers = join_all(peers.iter().map(|peer| guess(&app, "ann", peer, "x"))).await;
        let looked_at = answers.iter().filter(|answer| answer.status == 422).count();
        let refused = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!((looked_at, refused), (5, 25));
        assert_eq!(app.number("SELECT failures FROM sign_in_failure WHERE subject = 'account:ann'").await, 5);
    }

    async fn asking_for_the_password_once_more_is_slowed_down_too(app: TestApp) {
        let ann = app.signed_in("ann", Role::Admin).await;
        let user = ann.add("Bob", "bob@example.com", "").await;
        let reveal = format!("/users/{user}/secret/reveal");
        assert_eq!(ann.post(&reveal, &[("password", "wrong guess one")]).await.status, 422);
        for _ in 0..2 {
            assert_eq!(ann.post(&reveal, &[("password", "wrong guess one")]).await.status, 422);
            let form = [("current", "wrong guess one"), ("password", "x"), ("again", "x")];
            assert_eq!(ann.post("/settings/password", &form).await.status, 422);
        }
        let slow = ann.post(&reveal, &[("password", PASSWORD)]).await;
        assert_eq!((slow.status, slow.header("retry-after")), (429, Some("1")));
    }

    async fn whose_account_was_tried_is_written_down(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let before = app.audit().await.len();
        assert_eq!(guess(&app, "ANN", "192.0.2.1", "").await.status, 422);
        assert_eq!(app.audit().await[before..], ["(unknown) operator.sign_in_failed ann"]);
    }

    async fn an_ipv6_subnet_is_slowed_down_as_one(app: TestApp) {
        for n in 0..20 {
            let answer = guess(&app, &format!("nobody{n}"), &format!("[2001:db8:0:1::{n:x}]"), "").await;
            assert_eq!(answer.status, 422, "{n}");
        }
        assert_eq!(guess(&app, "nobody", "[2001:db8:0:1:ffff::1]", "").await.status, 429);
        assert_eq!(guess(&app, "nobody", "[2001:db8:0:2::1]", "").await.status, 422);
    }

    async fn what_was_typed_as_a_name_is_not_written_down(app: TestApp) {
        app.browser().sign_in("my secret passphrase", "x").await;
        assert_eq!(app.audit().await, ["(unknown) operator.sign_in_failed (unknown)"]);
        assert!(!logged().contains("my secret passphrase"));
        let link = "/login?next=%2Fusers%3Fq%3Dprivate-search-words";
        app.get(link).await;
        assert!(!logged().contains("private-search-words"));
    }

    async fn after_signing_in_one_goes_on_to_pages_of_ours_only(app: TestApp) {
        app.signed_in("ann", Role::Admin).await;
        let asked = app.get("/users?q=a%20b&size=50").await;
        assert_eq!((asked.status, asked.location()), (303, "/login?next=%2Fusers%3Fq%3Da%2520b%26size%3D50"));
        let page = app.get(asked.location()).await;
        assert_eq!(page.between(r#"name="next" value=""#, "\""), "/users?q=a%20b&#38;size=50");
        for (next, to) in [
            ("/users?q=a%20b&size=50", "/users?q=a%20b&size=50"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example/", "/"),
            ("/\t/evil.example/", "/"),
            ("\\\\evil.example", "/"),
            ("http:evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/users\r\nSet-Cookie: x=y", "/"),
            ("/logout", "/"),
            ("", "/"),
        ] {
            let form = [("name", "ann"), ("password", PASSWORD), ("next", next)];
            let answer = app.browser().post("/login", &form).await;
            assert_eq!((answer.status, answer.location()), (303, to), "{next:?}");
            let signed_in = app.browser();
            signed_in.sign_in("ann", PASSWORD).await;
            let query = serde_html_form::to_string([("next", next)]).unwrap();
            let page = signed_in.get(&format!("/login?{query}")).await;
            assert_eq!((page.status, page.location()), (303, to), "{next:?}");
        }
    }

    async fn htmx_is_told_to_leave_the_page_when_the_session_is_over(app: TestApp) {
        let answer = app.ask("GET", "/users/table").header("hx-request", "true").send().await;
        assert_eq!((answer.status, answer.header("hx-redirect")), (401, Some("/login?next=%2Fusers%2Ftable")));
    }

    async fn passwords_that_are_tried_first_are_refused_and_never_shown_again(app: TestApp) {
        let id = app.operator("ann", Role::Admin).await;
        let path = format!("/welcome/{}", app.link(id).await);
        for (password, why) in [
            ("short", "use at least 12 characters"),
            ("password1234", "this is among the first that are tried"),
            ("qwertyuiopas", "this is among the first that are tried"),
            ("aaaaaaaaaaaaaa", "this is among the first that are tried"),
            ("my name is ann, hello", "leave your name and the product's out of it"),
            ("I love Patchbay so", "leave your name and the product's out of it"),
            (&"long ".repeat(60), "use at most 256 bytes"),
        ] {
            let page = app.browser().post(&path, &[("password", password), ("again", password)]).await;
            assert_eq!(page.status, 422, "{password}");
            assert!(page.field_error("password").contains(why), "{page:?}");
            page.hides(password);
        }
        let page = app.browser().post(&path, &[("password", PASSWORD), ("again", "x")]).await;
        assert_eq!(page.field_error("again"), "the two are not the same");
        assert_eq!(app.texts("SELECT name FROM operator WHERE password_hash IS NULL").await, ["ann"]);
    }

    async fn tokens_that_are_random_expired_revoked_or_cut_are_401(app: TestApp) {
        let admin = app.signed_in("ann", Role::Admin).await;
        let good = app.token_of("ann", Role::Admin, None).await;
        let short = app.token_of("ann", Role::Admin, Some(Timestamp(BEGINNING + 60))).await;
        let status = async |header: &str| {
            let answer = app.ask("GET", "/api/v1/users").header("authorization", header).send().await;
            if answer.status == 401 {
                assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"patchbay\""));
                assert_eq!(answer.json()["title"], "Unauthorized");
            }
            answer.status
        };
        assert_eq!(status(&format!("Bearer {good}")).await, 200);
        assert_eq!(status(&format!("bearer {short}")).await, 200);
        app.pass(60);
        let hash = secrets::fingerprint(good.as_bytes());
        for bad in [
            format!("Bearer {short}"),
            format!("Bearer {}", &good[..good.len() - 1]),
            format!("Bearer {good}x"),
            format!("Bearer {}", good.to_lowercase()),
            format!("Bearer pb_{}", "A".repeat(43)),
            format!("Bearer {hash}"),
            format!("Bearer pb_{hash}"),
            format!("Basic {good}"),
            format!("Bearer  {good}"),
            good.clone(),
            "Bearer ".to_owned(),
            "Bearer".to_owned(),
            "Bearer pb_".to_owned(),
            "Bearer null".to_owned(),
        ] {
            assert_eq!(status(&bad).await, 401, "{bad}");
        }
        let id = app.texts(&format!("SELECT id FROM api_token WHERE token_hash = '{hash}'")).await[0].clone();
        assert_eq!(admin.post(&format!("/settings/tokens/{id}/revocation"), &[]).await.status, 303);
        assert_eq!(status(&format!("Bearer {good}")).await, 401);
        let query = app.get(&format!("/api/v1/users?token={good}&access_token={good}")).await;
        assert_eq!(query.status, 401);
        let bytes = app.stored_bytes().await;
        assert!(!bytes.windows(good.len()).any(|window| window == good.as_bytes()));
        assert!(!logged().contains(&good) && !logged().contains(&short));
    }

    async fn a_token_is_shown_once_with_its_label_role_and_last_use(app: TestApp) {
        let admin = app.signed_in("ann", Role::Admin).await;
        let form = [("label", "nightly <import>"), ("operator", "ann"), ("role", "auditor"), ("days", "30")];
        let page = admin.post("/settings/tokens", &form).await;
        assert_eq!(page.status, 200);
        let token = page.between(r#"id="token">"#, "<").to_owned();
        assert!(token.starts_with("pb_") && token.len() == 46, "{token}");
        page.shows("nightly <import>");
        let page = admin.get("/settings/tokens").await;
        page.hides(&token);
        page.shows("2023-12-14 22:13");
        app.pass(3600);
        admin.sign_in("ann", PASSWORD).await;
        assert_eq!(app.ask("GET", "/api/v1/users").token(&token).send().await.status, 200);
        admin.get("/settings/tokens").await.shows("2023-11-14 23:13");
        app.pass(30 * 24 * 3600);
        admin.sign_in("ann", PASSWORD).await;
        admin.get("/settings/tokens").await.shows("expired");
        assert_eq!(app.audit().await.iter().filter(|row| row.contains("token.issued nightly <import> (ann)")).count(), 1);
    }

    async fn mistakes_in_operators_and_tokens_stand_beside_their_fields(app: TestApp) {
        let admin = app.signed_in("ann", Role::Admin).await;
        let before = app.contents().await;
        for (name, role, error) in [
            ("Ann B", "admin", "use 2 to 40 small letters"),
            ("ann", "admin", "ann is taken"),
            ("x", "admin", "use 2 to 40 small letters"),
        ] {
            let page = admin.post("/settings/operators", &[("name", name), ("role", role)]).await;
            assert_eq!(page.status, 422);
            assert!(page.field_error("name").starts_with(error), "{page:?}");
            assert_eq!(page.between(r#"id="name" name="name" value=""#, "\""), name);
        }
        let page = admin.post("/settings/operators", &[("name", "bob"), ("role", "root")]).await;
        assert_eq!(page.status, 422);
        page.shows("choose admin, operator, helpdesk or auditor");
        for (label, days, field) in [("", "1", "label"), ("x", "0", "days"), ("x", "ten", "days")] {
            let form = [("label", label), ("operator", "ann"), ("role", "admin"), ("days", days)];
            let page = admin.post("/settings/tokens", &form).await;
            assert_eq!(page.status, 422);
            assert!(!page.field_error(field).is_empty());
        }
        assert_eq!(app.contents().await, before);
    }
}

fn password_unless_empty(password: &str) -> &str {
    if password.is_empty() { "\u{0}" } else { password }
}
