//! `/api/v1`, as a script sees it.

use futures_util::future::{join, join_all};
use patchbay::app::routes;
use patchbay::auth::Role;
use serde_json::{Value, json};

use crate::support::app::{Answer, both_databases};

#[track_caller]
fn is_problem(answer: &Answer, status: u16, fields: &[&str]) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    let none = serde_json::Map::new();
    let errors = problem["errors"].as_object().unwrap_or(&none);
    assert_eq!(errors.keys().collect::<Vec<_>>(), fields, "{answer:?}");
    assert!(errors.values().all(|error| error.as_str().is_some_and(|text| text.len() > 5)));
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

both_databases! {
    async fn answers_have_the_shapes_scripts_were_promised(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let answer = script.send("POST", "/api/v1/users", &json!({ "name": "Ann", "email": "ann@example.com" })).await;
        assert_eq!(answer.status, 201);
        let made = answer.json();
        assert_eq!(keys(&made), ["created_at", "email", "extension", "id", "name", "tenant_id"]);
        assert_eq!(keys(&made["extension"]), ["number", "secret"]);
        assert_eq!((&made["extension"]["number"], &made["created_at"]), (&json!(1000), &json!("2023-11-14T22:13:20Z")));
        assert_eq!(made["tenant_id"], "a0000000-0000-0000-0000-000000000000");
        let id = made["id"].as_str().unwrap();
        let path = format!("/api/v1/users/{id}");
        assert_eq!((answer.location(), answer.header("etag")), (path.as_str(), Some("\"1\"")));

        let list = script.get("/api/v1/users").await.json();
        assert_eq!((&list["total"], &list["page"], &list["size"]), (&json!(1), &json!(1), &json!(25)));
        let user = &list["users"][0];
        assert_eq!(keys(user), ["created_at", "email", "extension", "id", "name", "tenant_id", "updated_at"]);
        assert_eq!(user["extension"], json!({ "enabled": true, "number": 1000 }));
        let one = script.get(&path).await;
        assert_eq!((&one.json(), one.header("etag")), (user, Some("\"1\"")));

        let secret = script.send("POST", &format!("{path}/secret"), &json!({})).await;
        assert_eq!(keys(&secret.json()), ["number", "secret"]);
        assert_ne!(secret.json()["secret"], made["extension"]["secret"]);

        let gone = script.ask("DELETE", &path).send().await;
        assert_eq!(gone.status, 200);
        assert_eq!(gone.json()["freed_extension"], 1000);
        assert_eq!(gone.json()["deleted_user_id"], id);
        assert_eq!(keys(&gone.json()), ["deleted_user_id", "freed_extension", "message"]);
        is_problem(&script.get(&path).await, 404, &[]);
        is_problem(&script.ask("DELETE", &path).send().await, 404, &[]);
    }

    async fn a_change_needs_the_version_it_was_made_from_if_it_names_one(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let id = script.add("Ann", "ann@example.com").await["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/users/{id}");
        let patch = |tag: &'static str, name: &'static str| {
            script.ask("PATCH", &path).header("if-match", tag).json(&json!({ "name": name })).send()
        };
        let first = patch("\"1\"", "One").await;
        assert_eq!((first.status, first.header("etag")), (200, Some("\"2\"")));
        assert_eq!(first.json()["name"], "One");
        is_problem(&patch("\"1\"", "Two").await, 412, &[]);
        assert_eq!(script.get(&path).await.json()["name"], "One");
        assert_eq!(patch("*", "Three").await.status, 200);
        for bad in ["2", "\"x\"", "W/\"3\"", "\"3\", \"4\"", ""] {
            is_problem(&patch(bad, "Four").await, 400, &[]);
        }
        let (one, two) = join(patch("\"3\"", "Five"), patch("\"3\"", "Six")).await;
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }

    async fn a_patch_changes_what_it_names_and_nothing_else(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let made = script.add("Ann", "ann@example.com").await;
        let path = format!("/api/v1/users/{}", made["id"].as_str().unwrap());
        app.pass(60);
        for (patch, field) in [
            (json!({ "name": "Bob" }), "/name"),
            (json!({ "email": "bob@example.com" }), "/email"),
            (json!({ "extension": 1234 }), "/extension/number"),
            (json!({ "enabled": false }), "/extension/enabled"),
        ] {
            let before = script.get(&path).await.json();
            let mut after = script.send("PATCH", &path, &patch).await.json();
            assert_eq!(after["updated_at"], "2023-11-14T22:14:20Z");
            assert_ne!(before.pointer(field), after.pointer(field), "{patch}");
            *after.pointer_mut(field).unwrap() = before.pointer(field).unwrap().clone();
            after["updated_at"] = before["updated_at"].clone();
            assert_eq!(before, after, "{patch}");
        }
    }

    async fn helpdesk_scripts_rename_and_change_nothing_else(app: TestApp) {
        let admin = app.script(Role::Admin).await;
        let desk = app.script(Role::Helpdesk).await;
        let made = admin.add("Ann", "ann@example.com").await;
        let path = format!("/api/v1/users/{}", made["id"].as_str().unwrap());
        assert_eq!(desk.send("PATCH", &path, &json!({ "name": "Bob" })).await.status, 200);
        for more in [json!({ "enabled": false }), json!({ "email": "b@example.com" }), json!({ "name": "Cid", "extension": 1001 })] {
            is_problem(&desk.send("PATCH", &path, &more).await, 403, &[]);
        }
    }

    async fn what_cannot_be_accepted_is_4xx_and_names_the_fields(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let made = script.add("Ann", "ann@example.com").await;
        let path = format!("/api/v1/users/{}", made["id"].as_str().unwrap());
        let before = app.contents().await;
        let good = json!({ "name": "Bob", "email": "bob@example.com" });
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body
        };
        for (body, status, fields) in [
            (json!({}), 422, vec!["name"]),
            (json!({ "name": "Bob" }), 422, vec!["email"]),
            (json!({ "name": "", "email": "x", "extension": 5 }), 422, vec!["email", "extension", "name"]),
            (with("email", json!("ANN@example.com")), 409, vec!["email"]),
            (with("extension", json!(1000)), 409, vec!["extension"]),
            (with("extension", json!(2000)), 422, vec!["extension"]),
            (with("extension", json!(-1)), 422, vec!["extension"]),
            (with("extension", json!(i64::MAX)), 422, vec!["extension"]),
        ] {
            is_problem(&script.send("POST", "/api/v1/users", &body).await, status, &fields);
        }
        for (body, field) in [
            (with("secret", json!("mine")), "secret"), (with("id", json!("x")), "id"),
            (with("tenant_id", json!("x")), "tenant_id"), (with("enabled", json!(true)), "enabled"),
            (with("extension", json!("1001")), "extension"), (with("extension", json!(1.5)), "extension"),
            (with("extension", json!([1])), "extension"), (with("name", json!(7)), "name"),
            (with("name", json!(null)), "name"), (json!({ "name": "Bob" }), "email"),
            (json!([]), "body"), (json!("x"), "body"), (json!(7), "body"), (json!(null), "body"),
        ] {
            is_problem(&script.send("POST", "/api/v1/users", &body).await, 422, &[field]);
        }
        for patch in [json!({ "role": "admin" }), json!({ "version": 9 }), json!({ "enabled": "yes" }), json!({ "name": "" }), json!({ "email": "x" }), json!({ "extension": 5 })] {
            assert_eq!(script.send("PATCH", &path, &patch).await.status, 422, "{patch}");
        }
        assert_eq!(app.contents().await, before);
    }

    async fn an_unknown_field_is_named(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let body = json!({ "name": "Bob", "email": "bob@example.com", "nickname": "B" });
        is_problem(&script.send("POST", "/api/v1/users", &body).await, 422, &["nickname"]);
    }

    async fn bodies_that_are_no_json_are_4xx_and_change_nothing(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let before = app.contents().await;
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n)).into_bytes();
        let nested = |n: usize| format!(r#"{{"name":{}1{}}}"#, r#"{"a":"#.repeat(n), "}".repeat(n)).into_bytes();
        let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
            ("application/json", b"{".to_vec(), &[400]),
            ("application/json", b"{\"name\":".to_vec(), &[400]),
            ("application/json", b"{\"name\":\"Bob\",}".to_vec(), &[400]),
            ("application/json", b"{'name':'Bob'}".to_vec(), &[400]),
            ("application/json", b"name=Bob".to_vec(), &[400]),
            ("application/json", b"{\"name\":\"\xff\xfe\",\"email\":\"b@example.com\"}".to_vec(), &[400]),
            ("application/json", b"{\"name\":\"\xc3\",\"email\":\"b@example.com\"}".to_vec(), &[400]),
            ("application/json", b"{\"name\":\"\\ud800\",\"email\":\"b@example.com\"}".to_vec(), &[400, 422]),
            ("application/json", b"{\"name\":\"a\",\"name\":\"b\",\"email\":\"b@example.com\"}".to_vec(), &[422]),
            ("application/json", b"\0".to_vec(), &[400]),
            ("application/json", deep(100), &[400, 422]),
            ("application/json", deep(100_000), &[400, 422]),
            ("application/json", nested(100_000), &[400, 422]),
            ("application/json", b"{} {}".to_vec(), &[400, 422]),
            ("application/json", format!(r#"{{"name":"{}","email":"b@example.com"}}"#, "x".repeat(1 << 20)).into_bytes(), &[413]),
            ("application/json", vec![b' '; 20 << 20], &[413]),
            ("text/plain", br#"{"name":"Bob","email":"b@example.com"}"#.to_vec(), &[415]),
            ("application/x-www-form-urlencoded", b"name=Bob".to_vec(), &[415]),
            ("", br#"{"name":"Bob","email":"b@example.com"}"#.to_vec(), &[415]),
            ("application/jsonx", br#"{"name":"Bob","email":"b@example.com"}"#.to_vec(), &[415]),
        ];
        for (kind, body, statuses) in cases {
            let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = script.ask("POST", "/api/v1/users").header("content-type", kind).body(body).send().await;
            assert!(statuses.contains(&answer.status), "{kind} {start}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{kind} {start}");
            assert!(answer.json()["detail"].is_string());
        }
        assert_eq!(app.contents().await, before);
        let answer = script.ask("POST", "/api/v1/users").header("content-type", "Application/JSON; charset=utf-8");
        assert_eq!(answer.body(r#"{"name":"Bob","email":"b@example.com"}"#).send().await.status, 201);
    }

    async fn list_parameters_are_checked_and_pages_do_not_overlap(app: TestApp) {
        let script = app.script(Role::Admin).await;
        for n in 0..60 {
            script.add(&format!("Person {n}"), &format!("p{n}@example.com")).await;
        }
        let mut seen = Vec::new();
        for page in 1..4 {
            let list = script.get(&format!("/api/v1/users?page={page}&sort=-number")).await.json();
            assert_eq!((&list["total"], &list["page"]), (&json!(60), &json!(page)));
            seen.extend(list["users"].as_array().unwrap().iter().map(|user| user["extension"]["number"].as_i64().unwrap()));
        }
        assert_eq!(seen, (1000..1060).rev().collect::<Vec<_>>());
        assert_eq!(script.get("/api/v1/users?q=person+1&size=50").await.json()["total"], 11);
        assert_eq!(script.get("/api/v1/users?state=disabled").await.json()["total"], 0);
        assert_eq!(script.get("/api/v1/users?size=7").await.json()["size"], 25);
        assert_eq!(script.get("/api/v1/users?page=9").await.json()["users"], json!([]));
        is_problem(&script.get("/api/v1/users?sort=name--").await, 422, &["sort"]);
        is_problem(&script.get("/api/v1/users?state=x").await, 422, &["state"]);
        is_problem(&script.get("/api/v1/users?limit=5").await, 400, &[]);
        is_problem(&script.get("/api/v1/users?q=%ff").await, 400, &[]);
        is_problem(&script.get("/api/v1/users/not-an-id").await, 404, &[]);
        is_problem(&script.get("/api/v1/users/A0000000000000000000000000000000").await, 404, &[]);
    }

    async fn a_cookie_is_no_credential_for_the_api(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        for route in routes().iter().filter(|route| route.path.starts_with("/api/v1/")) {
            let path = route.path.replace("{id}", "a0000000-0000-0000-0000-000000000000");
            let ask = admin.ask(route.method.as_str(), &path).ours().header("x-csrf-token", &csrf);
            is_problem(&ask.json(&json!({})).send().await, 401, &[]);
        }
    }

    async fn a_repeated_request_gets_the_first_ones_answer(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let body = json!({ "name": "Ann", "email": "ann@example.com" });
        let send = |key: &'static str, body: &Value| {
            script.ask("POST", "/api/v1/users").header("idempotency-key", key).json(body).send()
        };
        let first = send("k1", &body).await;
        assert_eq!(first.status, 201);
        for _ in 0..2 {
            let again = send("k1", &body).await;
            assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
            assert_eq!(again.text, first.text);
            assert_eq!((again.location(), again.header("etag")), (first.location(), first.header("etag")));
        }
        assert_eq!(app.number("SELECT count(*) FROM users").await, 1);
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'user.created'").await, 1);
        is_problem(&send("k1", &json!({ "name": "Bob", "email": "bob@example.com" })).await, 409, &[]);
        is_problem(&send("k2", &body).await, 409, &["email"]);
        is_problem(&send("", &body).await, 400, &[]);
        let long = "k".repeat(201);
        is_problem(&script.ask("POST", "/api/v1/users").header("idempotency-key", &long).json(&body).send().await, 400, &[]);

        let secret = first.json()["extension"]["secret"].as_str().unwrap().to_owned();
        let stored = app.stored_bytes().await;
        for form in [secret.clone(), patchbay::secrets::hex(secret.as_bytes())] {
            assert!(!stored.windows(form.len()).any(|window| window == form.as_bytes()), "kept in the clear");
        }
        let other = app.script(Role::Admin).await;
        let theirs = other.ask("POST", "/api/v1/users").header("idempotency-key", "k1").json(&body).send().await;
        is_problem(&theirs, 409, &["email"]);

        app.pass(24 * 60 * 60 + 1);
        patchbay::api::tidy(&app.state).await.unwrap();
        is_problem(&send("k1", &body).await, 409, &["email"]);
    }

    async fn repeated_at_the_same_moment_a_request_is_done_once(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let body = json!({ "name": "Ann", "email": "ann@example.com" });
        let send = || script.ask("POST", "/api/v1/users").header("idempotency-key", "k1").json(&body).send();
        let answers = join_all((0..8).map(|_| send())).await;
        for answer in &answers {
            assert_eq!(answer.status, 201, "{answers:?}");
            assert_eq!(answer.text, answers[0].text);
        }
        assert_eq!(app.number("SELECT count(*) FROM users").await, 1);
    }

    async fn a_failed_request_does_not_use_its_key_up(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let send = |body: Value| script.ask("POST", "/api/v1/users").header("idempotency-key", "k1").json(&body).send();
        is_problem(&send(json!({ "name": "Ann", "email": "x" })).await, 422, &["email"]);
        assert_eq!(send(json!({ "name": "Ann", "email": "ann@example.com" })).await.status, 201);
    }

    async fn with_all_numbers_taken_scripts_get_409_with_the_sentence(app: TestApp) {
        let script = app.script(Role::Admin).await;
        app.sql("UPDATE tenant SET last_extension = 1000").await;
        script.add("Ann", "ann@example.com").await;
        let answer = script.send("POST", "/api/v1/users", &json!({ "name": "Bob", "email": "bob@example.com" })).await;
        is_problem(&answer, 409, &["extension"]);
        assert_eq!(answer.json()["detail"], "All extensions in range 1000-1000 are allocated. Delete users to free extensions.");
    }

    async fn the_openapi_document_describes_every_call_and_nothing_else(app: TestApp) {
        let document = app.get("/api/openapi.json").await.json();
        let mut described = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                described.push(format!("{} {path}", method.to_uppercase()));
                assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{method} {path}");
                for name in path.split('{').skip(1).filter_map(|part| part.split_once('}')) {
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(parameters.iter().any(|p| p["name"] == name.0 && p["in"] == "path" && p["required"] == true), "{method} {path}");
                }
            }
        }
        let called = |route: &patchbay::auth::access::Route| format!("{} {}", route.method, route.path);
        let all: Vec<String> = routes().iter().map(called).collect();
        for call in &described {
            assert!(all.contains(call), "{call} is described and not there");
        }
        // Other paths to the same call need no description of their own.
        let is_own = |path: &str| path.starts_with("/api/v1/") || path == "/api/graphql";
        let there: Vec<String> = routes().iter().filter(|route| is_own(route.path)).map(called).collect();
        for call in &there {
            assert!(described.contains(call), "{call} is not described");
        }
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name} is named and not there");
        }
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        let apply = &document["paths"]["/api/v1/apply"]["post"]["responses"];
        let schema = |status: &str| {
            let (kind, content) = apply[status]["content"].as_object().unwrap().iter().next().unwrap();
            let name = content["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{status} {kind} {name}")
        };
        let answers: Vec<String> = apply.as_object().unwrap().keys().map(|status| schema(status)).collect();
        let (problem, with_result) = ("application/problem+json Problem", "application/problem+json ApplyProblem");
        let mut expected = vec!["200 application/json ApplyResult".to_owned()];
        expected.extend(["400", "401", "403", "404", "413", "415", "422", "500"].map(|status| format!("{status} {problem}")));
        expected.extend(["409", "502", "503"].map(|status| format!("{status} {with_result}")));
        expected.sort();
        assert_eq!(answers, expected);
        let page = app.get("/api/docs").await;
        // What a shape is made of is among its fields.
        let shape = page.between("id=\"ApplyProblem\"", "</section>");
        for field in ["status", "detail", "errors", "result"] {
            assert!(shape.contains(&format!("<dt><code>{field}</code>")), "{field}: {shape}");
        }
        for route in there {
            page.shows(route.split(' ').nth(1).unwrap());
        }
        for foreign in ["http://", "https://", "//cdn"] {
            assert!(!page.text.contains(&format!("src=\"{foreign}")) && !page.text.contains(&format!("href=\"{foreign}")));
        }
    }
}
