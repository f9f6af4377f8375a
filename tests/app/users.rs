//! The pages of users.

use futures_util::future::join;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::secrets::hex;

use crate::support::app::{Browser, PASSWORD, TestApp, both_databases, logged};

const EXHAUSTED: &str =
    "All extensions in range 1000-1002 are allocated. Delete users to free extensions.";

/// Numbers 1000 to `last` only.
async fn small_range(app: &TestApp, last: u32) {
    app.sql(&format!("UPDATE tenant SET last_extension = {last}")).await;
}

async fn numbers(app: &TestApp) -> Vec<String> {
    app.texts("SELECT CAST(number AS TEXT) FROM extension ORDER BY number").await
}

/// The extensions a page of the list shows, in its order.
fn listed(page: &str) -> Vec<&str> {
    let cells = page.split(r#"<td class="num"><a href="/users/"#).skip(1);
    cells.map(|cell| cell.split_once('>').unwrap().1.split_once('<').unwrap().0).collect()
}

async fn fill(admin: &Browser<'_>, count: usize) {
    let rows = (0..count).map(|n| format!("Person {n:03},p{:03}@example.com\n", count - n));
    let text = format!("name,email\n{}", rows.collect::<String>());
    let answer = admin.post("/users/import", &[("text", &text), ("confirmed", "1")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The secret a page shows, and the secret's id in the page.
fn secret(page: &crate::support::app::Answer) -> String {
    let secret = page.between(r#"id="secret">"#, "<").to_owned();
    assert!(secret.len() >= 20 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    secret
}

both_databases! {
    async fn the_lowest_free_number_is_given_and_gaps_are_used_again(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for n in 0..4 {
            admin.add("Ann", &format!("a{n}@example.com"), "").await;
        }
        assert_eq!(numbers(&app).await, ["1000", "1001", "1002", "1003"]);
        let gone = app.texts("SELECT user_id FROM extension WHERE number IN (1001, 1002) ORDER BY number").await;
        for id in &gone {
            admin.post("/users/deletion", &[("id", id), ("confirmed", "1")]).await;
        }
        assert_eq!(numbers(&app).await, ["1000", "1003"]);
        for n in 4..7 {
            admin.add("Bob", &format!("a{n}@example.com"), "").await;
        }
        assert_eq!(numbers(&app).await, ["1000", "1001", "1002", "1003", "1004"]);
    }

    async fn a_wish_is_granted_if_it_is_free_and_in_the_range(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "1999").await;
        admin.add("Bob", "bob@example.com", "1000").await;
        admin.add("Cid", "cid@example.com", "").await;
        assert_eq!(numbers(&app).await, ["1000", "1001", "1999"]);
        let before = app.contents().await;
        for (extension, why) in [
            ("1000", "1000 belongs to another user"),
            ("999", "999 is not in the range 1000-1999"),
            ("2000", "2000 is not in the range 1000-1999"),
            ("1", "use 2 to 8 digits, the first not 0"),
            ("01002", "use 2 to 8 digits, the first not 0"),
            ("+1002", "use 2 to 8 digits, the first not 0"),
            ("1002.0", "use 2 to 8 digits, the first not 0"),
            ("１００２", "use 2 to 8 digits, the first not 0"),
            ("99999999999999999999", "use 2 to 8 digits, the first not 0"),
        ] {
            let form = [("name", "Dot & <i>"), ("email", "dot@example.com"), ("extension", extension)];
            let page = admin.post("/users", &form).await;
            assert_eq!(page.status, 422, "{extension}");
            assert_eq!(page.field_error("extension"), why);
            for (name, typed) in form {
                let value = page.between(&format!(r#"id="{name}" name="{name}" value=""#), "\"");
                assert_eq!(crate::support::app::unescaped(value), typed);
            }
        }
        assert_eq!(app.contents().await, before);
    }

    async fn with_all_numbers_taken_the_answer_is_409_and_says_what_to_do(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        small_range(&app, 1002).await;
        for n in 0..3 {
            admin.add("Ann", &format!("a{n}@example.com"), "").await;
        }
        let before = app.contents().await;
        let form = [("name", "Dot"), ("email", "dot@example.com")];
        let page = admin.post("/users", &form).await;
        assert_eq!(page.status, 409);
        assert_eq!(page.field_error("extension"), EXHAUSTED);
        page.shows("dot@example.com");
        assert_eq!(app.contents().await, before);
        let id = app.texts("SELECT user_id FROM extension WHERE number = 1001").await[0].clone();
        admin.post("/users/deletion", &[("id", &id), ("confirmed", "1")]).await;
        admin.add("Dot", "dot@example.com", "").await;
        assert_eq!(numbers(&app).await, ["1000", "1001", "1002"]);
    }

    async fn an_address_belongs_to_one_user_whatever_its_case(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "Ann.B@Example.com", "").await;
        for email in ["ann.b@example.com", "ANN.B@EXAMPLE.COM", " ann.b@EXAMPLE.com "] {
            let page = admin.post("/users", &[("name", "Bob"), ("email", email)]).await;
            assert_eq!(page.status, 422);
            assert_eq!(page.field_error("email"), format!("{} belongs to another user", email.trim()));
        }
        let bob = admin.add("Bob", "bob@example.com", "").await;
        let form = [("name", "Bob"), ("email", "ANN.b@example.com"), ("extension", "1001"), ("version", "1")];
        let page = admin.post(&format!("/users/{bob}"), &form).await;
        assert_eq!(page.status, 422);
        assert!(page.field_error("email").contains("belongs to another user"));
        admin.get("/users").await.shows("Ann.B@Example.com");
    }

    async fn every_mistake_stands_beside_its_field_and_nothing_typed_is_lost(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let page = admin.post("/users", &[("name", ""), ("email", "ann"), ("extension", "12x")]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("name"), "enter a name");
        assert_eq!(page.field_error("email"), "enter an e-mail address, such as ann@example.com");
        assert_eq!(page.field_error("extension"), "use 2 to 8 digits, the first not 0");
        page.shows(r#"value="12x" "#);
        page.shows(r#"aria-invalid="true" aria-describedby="extension-error""#);
        assert_eq!(app.contents().await, before);
    }

    async fn the_list_has_its_filters_order_and_pages_in_the_url(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        fill(&admin, 130).await;
        app.sql("UPDATE extension SET enabled = FALSE WHERE number IN (1005, 1006)").await;

        let first = admin.get("/users").await;
        assert_eq!(listed(&first.text).len(), 25);
        first.shows("<b>130</b> users");
        first.shows("<b>2</b> disabled");
        first.shows("<b>870</b> of 1000-1999 free");
        first.shows("1-25 of 130");
        assert_eq!(first.between(r#"rel="next">"#, "<"), "Next");
        first.shows(r#"href="/users?page=2" rel="next""#);

        let last = admin.get("/users?sort=-email&size=50&page=3").await;
        assert_eq!(listed(&last.text).len(), 30);
        last.shows("101-130 of 130");
        last.shows(r#"href="/users?sort=-email&size=50&page=2" rel="prev""#);
        last.shows(r#"aria-sort="descending"><a id="sort-email" href="/users?sort=email&size=50">E-mail"#);

        let found = admin.get("/users?q=PERSON+00&state=enabled").await;
        assert_eq!(listed(&found.text).len(), 8);
        found.shows("<b>8</b> match");
        found.shows(r#"value="PERSON 00""#);
        found.shows("/users.csv?q=PERSON+00&state=enabled");
        assert_eq!(listed(&admin.get("/users?state=disabled").await.text), ["1005", "1006"]);
        assert_eq!(listed(&admin.get("/users?q=1007").await.text), ["1007"]);
        assert_eq!(listed(&admin.get("/users?q=p001@").await.text), ["1129"]);
        admin.get("/users?q=nobody").await.shows("Nobody matches.");
        let table = admin.get("/users/table?q=1007").await;
        table.hides("<html");
        assert_eq!(listed(&table.text), ["1007"]);
    }

    async fn every_order_shows_every_user_once_over_all_pages(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        fill(&admin, 60).await;
        app.sql("UPDATE users SET name_key = 'same' WHERE email < 'p030'").await;
        for (sort, first) in [
            ("number", "1000"), ("-number", "1059"), ("name", "1000"), ("-name", "1059"),
            ("email", "1059"), ("-email", "1000"),
            // All at one moment: the address decides.
            ("created", "1059"), ("-created", "1000"),
        ] {
            let mut seen = Vec::new();
            for page in 1..4 {
                let page = admin.get(&format!("/users?sort={sort}&page={page}")).await;
                assert_eq!(page.status, 200, "{sort}");
                seen.extend(listed(&page.text).into_iter().map(str::to_owned));
            }
            if !sort.contains("name") {
                assert_eq!(seen[0], first, "{sort}");
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 60, "{sort}");
        }
        assert_eq!(admin.get("/users?sort=secret").await.status, 400);
    }

    async fn what_many_have_is_searched_for_in_every_order(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.sql("UPDATE tenant SET last_extension = 2999").await;
        fill(&admin, 1_010).await;
        app.sql("UPDATE extension SET enabled = FALSE WHERE number IN (1005, 1006)").await;
        for (query, first, last, stretch) in [
            ("q=example&size=200", "1000", "1199", "1-200 of 1,010"),
            ("q=example&size=200&page=6", "2000", "2009", "1,001-1,010 of 1,010"),
            ("q=example&sort=-number&size=200", "2009", "1810", "1-200 of 1,010"),
            ("q=example&sort=name&size=200", "1000", "1189", "1-200 of 1,010"),
            ("q=example&state=enabled&size=200", "1000", "1201", "1-200 of 1,008"),
            ("q=person+9&size=200", "1900", "1999", "1-100 of 100"),
            ("q=person+9&sort=-number&page=4", "1924", "1900", "76-100 of 100"),
            ("q=person+9&sort=email&size=100", "1999", "1900", "1-100 of 100"),
            ("q=190", "1190", "1909", "1-12 of 12"),
        ] {
            let page = admin.get(&format!("/users?{query}")).await;
            let numbers = listed(&page.text);
            assert_eq!((numbers.first(), numbers.last()), (Some(&first), Some(&last)), "{query}");
            page.shows(stretch);
        }
    }

    async fn every_page_counts_the_changes_that_wait_but_not_beyond_a_thousand(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        fill(&admin, 999).await;
        admin.get("/ipam/subnets").await.shows("999 pending");
        admin.add("Ann", "ann@example.com", "").await;
        admin.get("/ipam/subnets").await.shows("over 999 pending");
    }

    async fn sizes_that_are_not_offered_are_25_and_odd_pages_are_answered(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        fill(&admin, 210).await;
        for (query, count) in [
            ("size=50", 50), ("size=100", 100), ("size=200", 200), ("size=25", 25),
            ("size=7", 25), ("size=1000000", 25), ("size=-1", 25), ("size=x", 25), ("size=", 25),
            ("page=0", 25), ("page=-4", 25), ("page=x", 25), ("page=99999999999999999999", 25),
            ("page=1000000", 0),
        ] {
            let page = admin.get(&format!("/users?{query}")).await;
            assert_eq!(page.status, 200, "{query}");
            assert_eq!(listed(&page.text).len(), count, "{query}");
        }
    }

    async fn what_is_special_to_like_is_searched_for_as_it_is(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (n, name) in ["100%", "a_b", "axb", "back\\slash", "O'Neil", "Zoë", "STRASSE"].iter().enumerate() {
            admin.add(name, &format!("x{n}@example.com"), "").await;
        }
        for (q, expected) in [
            ("%", vec!["1000"]), ("_", vec!["1001"]), ("a_b", vec!["1001"]), ("\\", vec!["1003"]),
            ("o'n", vec!["1004"]), ("ZOË", vec!["1005"]), ("strasse", vec!["1006"]),
            ("' OR '1'='1", vec![]), ("100%", vec!["1000"]), ("$1", vec![]), ("?", vec![]),
        ] {
            let query = serde_html_form::to_string([("q", q)]).unwrap();
            assert_eq!(listed(&admin.get(&format!("/users?{query}")).await.text), expected, "{q}");
        }
    }

    async fn an_edit_in_the_list_changes_the_row_and_only_that(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        admin.get(&format!("/users/{id}/row/edit")).await.shows(r#"name="version" value="1""#);
        let form = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1005"), ("version", "1")];
        let row = admin.post(&format!("/users/{id}/row"), &form).await;
        assert_eq!(row.status, 200);
        assert_eq!(listed(&row.text), ["1005"]);
        row.hides("<html");
        assert_eq!(app.audit().await.last().unwrap(), "admin user.changed 1005 Ann B");
        let change = app.texts("SELECT before_json || after_json FROM audit_event WHERE action = 'user.changed'").await;
        assert_eq!(change, [r#"{"name":"Ann","email":"ann@example.com","extension":1000,"enabled":true}{"name":"Ann B","email":"ann@example.com","extension":1005,"enabled":true}"#]);
        let wrong = [("name", ""), ("email", "ann@example.com"), ("extension", ""), ("version", "2")];
        let row = admin.post(&format!("/users/{id}/row"), &wrong).await;
        assert_eq!(row.status, 422);
        row.shows("enter a name");
        row.shows("enter a number");
    }

    async fn an_edit_that_changes_nothing_writes_nothing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let before = app.contents().await;
        let form = [("name", "Ann"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        assert_eq!(admin.post(&format!("/users/{id}"), &form).await.status, 303);
        assert_eq!(admin.post(&format!("/users/{id}/enabled"), &[("enabled", "1")]).await.status, 303);
        assert_eq!(app.contents().await, before);
    }

    async fn the_later_of_two_editors_is_shown_both_values_and_loses_nothing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let other = app.signed_in("other", Role::Operator).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let path = format!("/users/{id}");
        let theirs = [("name", "Ann Theirs"), ("email", "ann@example.com"), ("extension", "1001"), ("version", "1")];
        let mine = [("name", "Ann Mine"), ("email", "mine@example.com"), ("extension", "1002"), ("version", "1")];
        assert_eq!(other.post(&path, &theirs).await.status, 303);
        let row = admin.post(&format!("{path}/row"), &mine).await;
        let page = admin.post(&path, &mine).await;
        for answer in [&row, &page] {
            assert_eq!(answer.status, 412);
            for shown in ["Ann Theirs", "<b>1001</b>", r#"value="Ann Mine""#, r#"value="mine@example.com""#, r#"value="1002""#, r#"name="version" value="2""#] {
                answer.shows(shown);
            }
        }
        assert_eq!(app.texts("SELECT name FROM users").await, ["Ann Theirs"]);
        let again = [("name", "Ann Mine"), ("email", "mine@example.com"), ("extension", "1002"), ("version", "2")];
        assert_eq!(admin.post(&path, &again).await.status, 303);
        assert_eq!(app.texts("SELECT name FROM users").await, ["Ann Mine"]);
    }

    async fn two_editors_at_the_same_moment_never_both_win(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let path = format!("/users/{id}");
        let one = [("name", "One"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        let two = [("name", "Two"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        let (one, two) = join(admin.post(&path, &one), admin.post(&path, &two)).await;
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 412]);
        assert_eq!(app.number("SELECT version FROM users").await, 2);
    }

    async fn a_disabled_user_keeps_the_number_and_is_told_apart(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        assert_eq!(admin.post(&format!("/users/{id}/enabled"), &[]).await.status, 303);
        admin.get("/users").await.shows(r#"<span class="st off">disabled</span>"#);
        admin.add("Bob", "bob@example.com", "").await;
        assert_eq!(numbers(&app).await, ["1000", "1001"]);
        admin.post(&format!("/users/{id}/enabled"), &[("enabled", "1")]).await;
        admin.get(&format!("/users/{id}")).await.shows(r#"<span class="st on">enabled</span>"#);
        let pending = app.texts("SELECT action FROM audit_event WHERE affects_asterisk ORDER BY seq").await;
        assert_eq!(pending, ["user.created", "user.changed", "user.created", "user.changed"]);
    }

    async fn what_was_done_is_said_once_and_the_list_is_the_one_left(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        let path = format!("/users/{ann}");
        let form = [("name", "Ann <b>Lee</b>"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        assert_eq!(admin.post(&path, &form).await.status, 303);
        admin.get(&path).await.shows("Saved");
        admin.get(&path).await.hides("Saved");
        let list = "/users?q=example&state=enabled";
        let (both, back) = ([("id", &*ann), ("id", &*bob)], [("list", list), ("confirmed", "1")]);
        admin.get(list).await.shows("name=\"list\" value=\"/users?q=example");
        admin.post("/users/deletion", &[both[0], both[1], back[0]]).await.shows("Delete 2 users?");
        let done = admin.post("/users/deletion", &[both[0], both[1], back[0], back[1]]).await;
        assert_eq!((done.status, done.location()), (303, list));
        admin.get(list).await.shows("2 users deleted");
        let one = admin.add("Cid <i>", "cid@example.com", "").await;
        let away = [("id", &*one), ("list", "//evil.example"), ("confirmed", "1")];
        assert_eq!(admin.post("/users/deletion", &away).await.location(), "/users");
        let page = admin.get("/users").await;
        assert!(page.text.contains("Cid &#60;i&#62; deleted") && !page.text.contains("<i>"), "{page:?}");
    }

    async fn deleting_asks_first_and_then_frees_every_number_at_once(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        admin.add("Cid", "cid@example.com", "").await;
        let before = app.contents().await;
        let ask = admin.post("/users/deletion", &[("id", &ann), ("id", &bob)]).await;
        ask.shows("Delete 2 users?");
        ask.shows("Ann");
        ask.hides("Cid");
        assert_eq!(app.contents().await, before);
        let done = admin.post("/users/deletion", &[("id", &ann), ("id", &bob), ("id", &ann), ("confirmed", "1")]).await;
        assert_eq!((done.status, done.location()), (303, "/users"));
        assert_eq!(numbers(&app).await, ["1002"]);
        let rows = app.audit().await;
        let rows: Vec<_> = rows.iter().filter(|row| row.contains("user.deleted")).collect();
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(admin.get(&format!("/users/{ann}")).await.status, 404);
        let before = app.contents().await;
        assert_eq!(admin.post("/users/deletion", &[("id", &ann), ("confirmed", "1")]).await.status, 303);
        assert_eq!(admin.post("/users/deletion", &[("id", "x"), ("confirmed", "1")]).await.status, 400);
        assert_eq!(app.contents().await, before);
    }

    async fn a_secret_is_shown_when_made_and_on_reveal_and_nowhere_else(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/users", &[("name", "Ann"), ("email", "ann@example.com")]).await;
        let first = secret(&page);
        let id = page.between(r#"href="/users/"#, "/edit").to_owned();
        let rotated = admin.post(&format!("/users/{id}/secret"), &[]).await;
        let second = secret(&rotated);
        assert_ne!(first, second);

        let reveal = format!("/users/{id}/secret/reveal");
        let wrong = admin.post(&reveal, &[("password", "wrong guess one")]).await;
        assert_eq!((wrong.status, wrong.field_error("password")), (422, "this is not your password".to_owned()));
        wrong.hides(&second);
        assert_eq!(app.audit().await.iter().filter(|row| row.contains("secret_revealed")).count(), 0);
        let revealed = admin.post(&reveal, &[("password", PASSWORD)]).await;
        assert_eq!(secret(&revealed), second);
        assert_eq!(app.audit().await.last().unwrap(), "admin user.secret_revealed 1000 Ann");

        let token = app.token_of("admin", Role::Admin, None).await;
        let mut seen = logged();
        for path in ["/", "/users", "/users/table", "/users.csv", "/audit", "/audit.csv", "/settings", "/metrics", &format!("/users/{id}"), &format!("/users/{id}/edit"), &format!("/users/{id}/row"), &format!("/users/{id}/row/edit")] {
            let answer = admin.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            seen.push_str(&answer.text);
        }
        for path in ["/api/v1/users", &format!("/api/v1/users/{id}")] {
            let answer = app.ask("GET", path).token(&token).send().await;
            assert_eq!(answer.status, 200, "{path}");
            seen.push_str(&answer.text);
        }
        let stored = app.stored_bytes().await;
        let marker = "ann@example.com";
        assert!(stored.windows(marker.len()).any(|window| window == marker.as_bytes()), "the scan finds what is there");
        for secret in [first, second] {
            assert!(!seen.contains(&secret), "a secret was shown");
            for form in [secret.clone(), hex(secret.as_bytes())] {
                assert!(!stored.windows(form.len()).any(|window| window == form.as_bytes()), "a secret is stored in the clear");
            }
        }
    }

    async fn a_secret_moved_to_another_users_row_does_not_open(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        let bob = admin.add("Bob", "bob@example.com", "").await;
        app.sql("UPDATE extension SET secret = (SELECT secret FROM extension WHERE number = 1000) WHERE number = 1001").await;
        let before = app.contents().await;
        let page = admin.post(&format!("/users/{bob}/secret/reveal"), &[("password", PASSWORD)]).await;
        assert_eq!(page.status, 500);
        page.shows("a secret could not be sealed or opened");
        assert_eq!(app.contents().await, before);
    }

    async fn the_export_is_inert_in_a_spreadsheet_and_comes_back_as_it_was(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let names = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'=1", "a,b;\"c\"", "'quoted'", "Zoë 李雷 🚀"];
        for (n, name) in names.iter().enumerate() {
            admin.add(name, &format!("+{n}@example.com"), "").await;
        }
        let file = admin.get("/users.csv?sort=number").await;
        assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"users.csv\""));
        let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
        assert_eq!(reader.headers().unwrap(), &["name", "email", "extension", "state", "created"][..]);
        for record in reader.records() {
            for cell in record.unwrap().iter() {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']), "{cell}");
            }
        }
        let users = "SELECT u.name || u.email || e.number FROM users u JOIN extension e ON e.user_id = u.id ORDER BY e.number";
        let before = app.texts(users).await;
        app.sql("DELETE FROM users").await;
        let done = admin.post("/users/import", &[("text", &file.text), ("confirmed", "1")]).await;
        done.shows("<b>9</b> users added");
        assert_eq!(app.texts(users).await, before);
        let half = admin.get("/users.csv?q=quoted").await;
        assert_eq!(half.text.lines().count(), 2);
    }

    async fn changing_the_range_never_strands_numbers_in_use(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "1500").await;
        let form = |first: &'static str, last: &'static str, version: &'static str| {
            [("name", "Default"), ("time_zone", "Europe/Lisbon"), ("first", first), ("last", last), ("version", version)]
        };
        let before = app.contents().await;
        let page = admin.post("/settings", &form("1000", "1499", "1")).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("last"), "1 numbers in use would lie outside, the first is 1500; delete or renumber those users first");
        assert_eq!(admin.post("/settings", &form("1600", "1500", "1")).await.field_error("last"), "the last number must not be lower than the first");
        assert_eq!(app.contents().await, before);
        assert_eq!(admin.post("/settings", &form("1500", "1501", "1")).await.status, 303);
        let stale = admin.post("/settings", &form("1000", "1999", "1")).await;
        assert_eq!(stale.status, 412);
        stale.shows("somebody changed the settings meanwhile");
        admin.add("Bob", "bob@example.com", "").await;
        assert_eq!(numbers(&app).await, ["1500", "1501"]);
        admin.get("/users").await.shows("2023-11-14 22:13");
        let _ = TenantId::DEFAULT;
    }

    async fn a_user_whose_number_left_the_range_can_still_be_renamed(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "1500").await;
        small_range(&app, 1002).await;
        let form = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1500"), ("version", "1")];
        assert_eq!(admin.post(&format!("/users/{id}"), &form).await.status, 303);
        let away = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1501"), ("version", "2")];
        let page = admin.post(&format!("/users/{id}"), &away).await;
        assert_eq!(page.field_error("extension"), "1501 is not in the range 1000-1002");
    }

    async fn helpdesk_renames_and_renews_secrets_but_sees_no_button_for_more(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get(&format!("/users/{id}")).await;
        page.shows("New secret");
        for hidden in ["Show secret", "Delete", "Disable"] {
            page.hides(hidden);
        }
        secret(&desk.post(&format!("/users/{id}/secret"), &[]).await);
        desk.get("/users").await.hides("Add user");

        let path = format!("/users/{id}");
        let version = app.number("SELECT version FROM users").await.to_string();
        let before = app.contents().await;
        for (email, extension) in [("other@example.com", "1000"), ("ann@example.com", "1001")] {
            let form = [("name", "Ann"), ("email", email), ("extension", extension), ("version", version.as_str())];
            for path in [path.clone(), format!("{path}/row")] {
                let page = desk.post(&path, &form).await;
                assert_eq!(page.status, 422, "{path}");
                page.shows("your role may change the name alone; ask an operator");
            }
        }
        assert_eq!(app.contents().await, before);
        let renamed = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1000"), ("version", version.as_str())];
        assert_eq!(desk.post(&path, &renamed).await.status, 303);
        assert_eq!(desk.post(&path, &renamed).await.status, 412, "somebody changed it meanwhile: that comes first");
    }
}
