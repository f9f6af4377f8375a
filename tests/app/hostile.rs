//! Every hostile string in every field it can reach: refused by name, or kept and inert.

use patchbay::auth::Role;
use patchbay::text::Line;
use serde_json::{Value, json};

use crate::support::app::{Answer, both_databases, unescaped};

/// The strings, with an address no other gets.
pub fn strings() -> Vec<(String, String)> {
    let file: Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
    let entries = file.as_array().unwrap().iter();
    let all: Vec<_> = entries
        .map(|entry| {
            let id = entry["id"].as_str().unwrap().to_lowercase();
            (format!("{id}@example.com"), entry["input"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(all.len(), 49);
    all
}

/// Markup that only a string that was not escaped could have brought in.
pub fn is_inert(page: &Answer) {
    for live in ["<script>alert", "\"the boss\" O'Neil", "Bob <1234>", "<&>\"'"] {
        assert!(!page.text.contains(live), "{live}: {}", page.text);
    }
}

#[track_caller]
pub fn is_refused(answer: &Answer, input: &str, field: &str) {
    assert!((400..500).contains(&answer.status), "{input:?}: {answer:?}");
    if answer.header("content-type") == Some("application/problem+json") {
        assert!(answer.json()["errors"][field].is_string(), "{input:?} {field}: {answer:?}");
    } else {
        assert!(!answer.field_error(field).is_empty(), "{input:?}");
        is_inert(answer);
    }
    for inside in ["panicked", "SELECT", "sqlx", "/src/"] {
        answer.hides(inside);
    }
}

both_databases! {
    async fn names_are_refused_by_name_or_come_back_as_they_went_in(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let mut kept = Vec::new();
        for (email, input) in strings() {
            let before = app.contents().await;
            let called = script.send("POST", "/api/v1/users", &json!({ "name": input, "email": email })).await;
            if called.status == 201 {
                let id = called.json()["id"].as_str().unwrap().to_owned();
                let path = format!("/users/{id}");
                assert_eq!(called.json()["name"], input.as_str());
                assert_eq!(script.get(&format!("/api/v1{path}")).await.json()["name"], input.as_str());
                for page in [path.clone(), format!("{path}/edit"), format!("{path}/row"), format!("{path}/row/edit")] {
                    let page = admin.get(&page).await;
                    assert_eq!(page.status, 200);
                    is_inert(&page);
                    page.shows(&input);
                }
                kept.push(input.clone());
            } else {
                is_refused(&called, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
            let by_page = format!("page-{email}");
            let form = [("name", input.as_str()), ("email", &by_page)];
            let before = app.contents().await;
            let posted = admin.post("/users", &form).await;
            if posted.status == 201 {
                let stored = app.texts(&format!("SELECT name FROM users WHERE email = '{by_page}'")).await;
                assert_eq!(stored, [input.trim()]);
                is_inert(&posted);
            } else {
                is_refused(&posted, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
        }
        assert!(kept.len() >= 30, "{kept:?}");
        for page in ["/users?size=200", "/audit?size=200", "/users/table?size=200"] {
            let page = admin.get(page).await;
            is_inert(&page);
            for input in &kept {
                page.shows(input);
            }
        }
        let file = admin.get("/users.csv").await;
        let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
        let names: Vec<String> = reader.records().map(|record| record.unwrap()[0].to_owned()).collect();
        let all = app.texts("SELECT name FROM users u JOIN extension e ON e.user_id = u.id ORDER BY number").await;
        assert_eq!(names.len(), all.len());
        for (cell, name) in names.iter().zip(&all) {
            assert_eq!(patchbay::web::csv::original(cell), name);
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
        }
    }

    async fn subnets_and_hosts_are_what_they_are_called_on_every_page_of_theirs(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let (mut named, mut noted, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for ((_, input), n) in strings().into_iter().zip(0..) {
            // What is refused as a name may still be a note; what is refused is refused by name.
            let mut body = json!({ "name": input, "cidr": format!("10.20.{n}.0/24"), "site": input, "description": input });
            let mut made = script.send("POST", "/api/v1/subnets", &body).await;
            if made.status == 422 {
                is_refused(&made, &input, "name");
                for field in made.json()["errors"].as_object().unwrap().keys() {
                    body[field] = if field == "name" { json!(format!("Net {n}")) } else { json!("") };
                }
                made = script.send("POST", "/api/v1/subnets", &body).await;
            } else {
                named.push(input.clone());
            }
            assert_eq!(made.status, 201, "{input:?}: {made:?}");
            let id = made.json()["id"].as_str().unwrap().to_owned();
            let (kept, note) = (made.json()["name"] == input.as_str(), made.json()["description"] == input.as_str() && !input.is_empty());
            let taken = script.send("POST", &format!("/api/v1/subnets/{id}/next-free"), &json!({ "note": input })).await;
            if note {
                assert_eq!(taken.status, 201, "{input:?}: {taken:?}");
                noted.push(input.clone());
            }
            let whole = format!("/ipam/subnets/{id}");
            for path in [whole.clone(), format!("{whole}/edit"), format!("{whole}/split"), format!("{whole}/split?length=26"), format!("{whole}?block=10.20.{n}.0/28")] {
                let page = admin.get(&path).await;
                assert_eq!(page.status, 200, "{path}");
                is_inert(&page);
                if kept {
                    page.shows(&input);
                }
            }
            if note {
                // The map says of each address what it is kept for.
                admin.get(&whole).await.shows(&input);
                admin.get(&format!("{whole}/edit")).await.shows(&input);
                let tree = admin.get(&format!("/ipam/subnets?q={}", serde_html_form::to_string([("", input.trim())]).unwrap().trim_start_matches('='))).await;
                is_inert(&tree);
            }
            ids.push(id);
            let deletion = admin.post(&format!("{whole}/deletion"), &[]).await;
            assert_eq!(deletion.status, 200, "{deletion:?}");
            is_inert(&deletion);
        }
        assert!(named.len() >= 25 && noted.len() >= 30, "{} {}", named.len(), noted.len());
        for pair in ids.chunks_exact(2) {
            let merge = admin.post("/ipam/subnets/merge", &[("id", &pair[0]), ("id", &pair[1])]).await;
            assert_eq!(merge.status, 200, "{merge:?}");
            is_inert(&merge);
        }
        let tree = admin.get("/ipam/subnets?size=200").await;
        is_inert(&tree);
        for input in &named {
            tree.shows(input.trim());
        }
        let sheet = script.get("/api/v1/subnets/export?format=xlsx").await.worksheet();
        let has = |sheet: &[Vec<String>], input: &String| sheet.iter().flatten().any(|cell| cell == input.trim());
        assert!(named.iter().all(|input| has(&sheet, input)), "{sheet:?}");
        let sheet = script.get("/api/v1/addresses/export?format=xlsx").await.worksheet();
        assert!(noted.iter().all(|input| has(&sheet, input)), "{sheet:?}");
        // Hosts: a name is one or none; everything else is said in words.
        let mut described = Vec::new();
        for ((_, input), n) in strings().into_iter().zip(0..) {
            let refused = script.send("POST", "/api/v1/hosts", &json!({ "hostname": input })).await;
            if refused.status != 201 {
                is_refused(&refused, &input, "hostname");
            }
            let mut body = json!({ "hostname": format!("host-{n}"), "device_type": input, "manufacturer": input, "description": input, "primary_ip": format!("10.20.{n}.200") });
            let mut made = script.send("POST", "/api/v1/hosts", &body).await;
            if made.status == 422 {
                for field in made.json()["errors"].as_object().unwrap().keys() {
                    body[field] = json!("");
                }
                made = script.send("POST", "/api/v1/hosts", &body).await;
            }
            assert_eq!(made.status, 201, "{input:?}: {made:?}");
            let said = made.json()["description"] == input.as_str() && !input.is_empty();
            let path = format!("/ipam/hosts/{}", made.json()["id"].as_str().unwrap());
            for page in [path.clone(), format!("{path}/edit"), format!("{path}/row"), format!("{path}/row/edit"), format!("/ipam/addresses/10.20.{n}.200")] {
                let page = admin.get(&page).await;
                assert_eq!(page.status, 200, "{page:?}");
                is_inert(&page);
            }
            if said {
                admin.get(&path).await.shows(&input);
                admin.get(&format!("{path}/edit")).await.shows(&input);
                described.push(input);
            }
        }
        assert!(described.len() >= 30, "{described:?}");
        for page in ["/ipam/hosts?size=200", "/ipam/hosts/table?size=200", "/ipam/addresses?size=200", "/ipam/subnets/table?size=200"] {
            let page = admin.get(page).await;
            assert_eq!(page.status, 200, "{page:?}");
            is_inert(&page);
        }
        let sheet = script.get("/api/v1/hosts/export?format=xlsx").await.worksheet();
        assert!(described.iter().all(|input| has(&sheet, input)), "{sheet:?}");
    }

    async fn addresses_and_numbers_are_refused_by_name(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let before = app.contents().await;
        for (_, input) in strings() {
            let called = script.send("POST", "/api/v1/users", &json!({ "name": "Ann", "email": input })).await;
            is_refused(&called, &input, "email");
            is_refused(&admin.post("/users", &[("name", "Ann"), ("email", &input)]).await, &input, "email");
            let called = script.send("POST", "/api/v1/users", &json!({ "name": "Ann", "email": "a@example.com", "extension": input })).await;
            is_refused(&called, &input, "extension");
            let form = [("name", "Ann"), ("email", "a@example.com"), ("extension", input.as_str())];
            is_refused(&admin.post("/users", &form).await, &input, "extension");
        }
        assert_eq!(app.contents().await, before);
    }

    async fn in_an_edit_they_are_refused_with_everything_typed_still_there(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let before = app.contents().await;
        for (_, input) in strings() {
            let form = [("name", "Ann"), ("email", input.as_str()), ("extension", input.as_str()), ("version", "1")];
            for path in [format!("/users/{id}"), format!("/users/{id}/row")] {
                let page = admin.post(&path, &form).await;
                assert_eq!(page.status, 422, "{input:?}");
                is_inert(&page);
                assert!(unescaped(&page.text).contains(input.trim()) || input.contains(['\0', '\r', '\n']), "{input:?}");
            }
        }
        assert_eq!(app.contents().await, before);
    }

    async fn in_filters_and_links_they_are_only_text(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        for (_, input) in strings() {
            let q = serde_html_form::to_string([("q", &input)]).unwrap();
            let page = admin.get(&format!("/users?{q}")).await;
            is_inert(&page);
            if input.contains('\0') {
                assert_eq!(page.status, 400);
                assert_eq!(script.get(&format!("/api/v1/users?{q}")).await.status, 400);
                continue;
            }
            assert_eq!(page.status, 200, "{input:?}");
            assert_eq!(script.get(&format!("/api/v1/users?{q}")).await.json()["total"], 0, "{input:?}");
            for (path, name, statuses) in [
                ("/users", "sort", &[400][..]), ("/users", "state", &[200]), ("/users", "size", &[200]), ("/users", "page", &[200]),
                ("/users.csv", "q", &[200]), ("/users.csv", "sort", &[400]), ("/users/table", "sort", &[400]),
                ("/audit", "actor", &[200]), ("/audit", "action", &[200]), ("/audit", "subject", &[200]),
                ("/audit", "from", &[422]), ("/audit", "until", &[422]), ("/login", "next", &[303]),
                ("/api/v1/users", "sort", &[422]), ("/api/v1/users", "state", &[422]),
            ] {
                let query = serde_html_form::to_string([(name, &input)]).unwrap();
                let path = format!("{path}?{query}");
                let answer = if path.starts_with("/api/") { script.get(&path).await } else { admin.get(&path).await };
                assert!(statuses.contains(&answer.status), "{name}={input:?}: {}", answer.status);
                is_inert(&answer);
            }
            let path = serde_html_form::to_string([("x", &input)]).unwrap()[2..].replace('+', "%20");
            for path in [format!("/users/{path}"), format!("/static/{path}"), format!("/welcome/{path}"), format!("/api/v1/users/{path}"), format!("/{path}")] {
                if path.len() < 8000 {
                    let answer = admin.get(&path).await;
                    assert!([404, 401].contains(&answer.status), "{path}: {}", answer.status);
                    is_inert(&answer);
                }
            }
        }
    }

    async fn as_a_name_to_sign_in_with_they_are_wrong_and_nothing_else(app: TestApp) {
        for (n, (_, input)) in strings().into_iter().enumerate() {
            let ask = app.ask("POST", "/login").ours().at_peer(&format!("192.0.2.{n}"));
            let page = ask.form(&[("name", &input), ("password", "x")]).send().await;
            assert_eq!(page.status, 422, "{input:?}");
            page.shows("name or password is not right");
            is_inert(&page);
        }
        let sources = app.texts("SELECT DISTINCT subject FROM audit_event").await;
        assert_eq!(sources, ["(unknown)"]);
    }

    async fn in_workflows_they_are_refused_by_name_or_come_back_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let (call, page) = ("/api/v1/workflows", "/lifecycle/workflows");
        let mut kept = 0;
        for (email, input) in strings() {
            let before = app.contents().await;
            for field in ["extension", "mac", "model", "ipv4", "ipv4_subnet", "ipv6", "prefix", "prefix_pool", "activate", "on_failure"] {
                if input.trim().is_empty() {
                    continue;
                }
                let mut asked = json!({ "kind": "provision", "name": "Bob", "email": email, "ipv4": "next", "prefix": "next" });
                asked[field] = input.clone().into();
                let answer = script.send("POST", call, &asked).await;
                assert_eq!(answer.status, 422, "{field}: {input:?}");
                if field == "extension" {
                    continue;
                }
                is_refused(&answer, &input, field);
            }
            let optional = json!({ "kind": "provision", "name": "Bob", "email": email, "optional": [input] });
            is_refused(&script.send("POST", call, &optional).await, &input, "optional");
            for field in ["kind", "user"] {
                let mut asked = json!({ "kind": "suspend" });
                asked[field] = input.clone().into();
                is_refused(&script.send("POST", call, &asked).await, &input, field);
            }
            let form = [("kind", "provision"), ("name", input.as_str()), ("email", &input), ("extension", &input), ("mac", &input), ("want_ipv4", "1"), ("ipv4", &input)];
            is_refused(&admin.post(page, &form).await, &input, "email");
            let form = [("kind", "suspend"), ("user", input.as_str()), ("reason", &input)];
            is_refused(&admin.post(page, &form).await, &input, "user");
            assert_eq!(app.contents().await, before, "{input:?}");
            let named = script.send("POST", call, &json!({ "kind": "provision", "name": input, "email": email })).await;
            let why = script.send("POST", call, &json!({ "kind": "suspend", "user": ann, "reason": input })).await;
            for (answer, field) in [(&named, "name"), (&why, "reason")] {
                if answer.status == 202 {
                    kept += 1;
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    let shown = admin.get(&format!("{page}/{id}")).await;
                    assert_eq!(shown.status, 200);
                    is_inert(&shown);
                    script.send("POST", &format!("{call}/{id}/cancel"), &json!({})).await;
                } else {
                    is_refused(answer, &input, field);
                }
            }
            crate::workflows::runner(&app).drain().await.unwrap();
            for name in ["status", "kind", "page", "size"] {
                let query = serde_html_form::to_string([(name, &input)]).unwrap();
                let answer = admin.get(&format!("{page}?{query}")).await;
                assert!([200, 400].contains(&answer.status), "{name}={input:?}: {}", answer.status);
                is_inert(&answer);
            }
        }
        assert!(kept > 60, "{kept}");
        for path in [&format!("{page}?size=200"), "/audit?size=200", "/lifecycle"] {
            is_inert(&admin.get(path).await);
        }
    }

    async fn in_a_change_of_a_name_they_are_refused_by_name_or_kept_as_they_are(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let (page, call) = (format!("/users/{id}"), format!("/api/v1/users/{id}"));
        let mut kept = 0;
        for (_, input) in strings() {
            let before = app.contents().await;
            let called = script.send("PATCH", &call, &json!({ "name": input })).await;
            if called.status == 200 {
                assert_eq!(called.json()["name"], input.as_str());
                kept += 1;
            } else {
                is_refused(&called, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
            for path in [page.clone(), format!("{page}/row")] {
                let version = app.number("SELECT version FROM users").await.to_string();
                let form = [("name", input.as_str()), ("email", "ann@example.com"), ("extension", "1000"), ("version", &version)];
                let before = app.contents().await;
                let sent = admin.post(&path, &form).await;
                is_inert(&sent);
                if sent.status == 422 {
                    assert!(path.ends_with("/row") || !sent.field_error("name").is_empty(), "{input:?}");
                    assert_eq!(app.contents().await, before, "{input:?}");
                } else {
                    assert!([200, 303].contains(&sent.status), "{input:?}: {sent:?}");
                    assert_eq!(app.texts("SELECT name FROM users").await, [input.trim()]);
                    let shown = admin.get(&page).await;
                    is_inert(&shown);
                    shown.shows(input.trim());
                }
            }
        }
        assert!(kept >= 30, "{kept}");
        is_inert(&admin.get("/audit?size=200").await);
    }

    async fn as_the_name_of_a_tenant_they_are_refused_by_name_or_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let mut kept = 0;
        for (n, (_, input)) in strings().into_iter().enumerate() {
            let version = app.number("SELECT version FROM tenant WHERE slug = ''").await.to_string();
            let form = [("name", input.as_str()), ("time_zone", "UTC"), ("first", "1000"), ("last", "1999"), ("version", &version)];
            let before = app.contents().await;
            let sent = admin.post("/settings", &form).await;
            if sent.status == 303 {
                kept += 1;
                assert_eq!(app.texts("SELECT name FROM tenant WHERE slug = ''").await, [input.trim()]);
                let shown = admin.get("/settings").await;
                is_inert(&shown);
                shown.shows(input.trim());
            } else {
                is_refused(&sent, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
            let (slug, boss) = (format!("t{n}"), format!("boss{n}"));
            let form = [("name", input.as_str()), ("slug", &slug), ("time_zone", "UTC"), ("first", "10"), ("last", "99"), ("admin", &boss)];
            let before = app.contents().await;
            let founded = admin.post("/settings/tenants", &form).await;
            if founded.status == 422 {
                is_refused(&founded, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            } else {
                assert_eq!(founded.status, 200, "{input:?}");
                is_inert(&founded);
                let stored = app.texts(&format!("SELECT name FROM tenant WHERE slug = '{slug}'")).await;
                assert_eq!(stored, [input.trim()]);
            }
        }
        assert!(kept >= 30, "{kept}");
        for page in ["/", "/settings", "/settings/tenants", "/audit?size=200"] {
            is_inert(&admin.get(page).await);
        }
    }

    async fn as_the_key_of_a_request_they_are_refused_or_tell_it_from_others(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let mut kept = 0;
        for (email, input) in strings() {
            // What cannot stand in a header at all reaches nobody.
            if actix_web::http::header::HeaderValue::from_str(&input).is_err() {
                continue;
            }
            let body = json!({ "name": "Ann", "email": email });
            let ask = || script.ask("POST", "/api/v1/users").header("idempotency-key", &input).json(&body).send();
            let before = app.contents().await;
            let first = ask().await;
            if first.status == 201 {
                kept += 1;
                let again = ask().await;
                assert_eq!((again.status, &again.text), (201, &first.text), "{input:?}");
                assert_eq!(again.header("idempotency-replayed"), Some("true"), "{input:?}");
            } else {
                assert_eq!(first.status, 400, "{input:?}: {first:?}");
                first.shows("Idempotency-Key must be 1 to 200 printable characters");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
        }
        assert!(kept >= 30, "{kept}");
        assert_eq!(app.number("SELECT count(*) FROM users").await, kept);
    }

    async fn as_names_in_a_file_they_are_refused_by_line_and_column_or_kept_as_they_are(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let mut kept = 0;
        for (email, input) in strings() {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(["name", "email"]).unwrap();
            csv.write_record([&input, &email]).unwrap();
            let text = String::from_utf8(csv.into_inner().unwrap()).unwrap();
            let before = app.contents().await;
            let page = admin.post("/users/import", &[("text", &text), ("confirmed", "1")]).await;
            is_inert(&page);
            if page.status == 422 {
                page.shows("<td class=\"num\" data-label=\"line\">2</td><td>name</td>");
                assert_eq!(app.contents().await, before, "{input:?}");
            } else {
                assert!([200, 201].contains(&page.status), "{input:?}: {page:?}");
                kept += 1;
                let stored = app.texts(&format!("SELECT name FROM users WHERE email = '{email}'")).await;
                assert_eq!(stored, [patchbay::web::csv::original(input.trim())]);
            }
        }
        assert!(kept >= 30, "{kept}");
        for page in ["/users?size=200", "/audit?size=200"] {
            is_inert(&admin.get(page).await);
        }
    }

    async fn in_settings_operators_tokens_and_imports_they_are_refused_or_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let users = "SELECT count(*) FROM users";
        for (_, input) in strings() {
            let page = admin.post("/settings/operators", &[("name", &input), ("role", "auditor")]).await;
            if page.status == 200 {
                assert!(input.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)), "{input:?}");
            } else {
                is_refused(&page, &input, "name");
            }
            let page = admin.post("/settings/operators", &[("name", "someone"), ("role", &input)]).await;
            assert_eq!(page.status, 422, "{input:?}");
            is_inert(&page);
            let form = [("label", input.as_str()), ("operator", "admin"), ("role", "auditor")];
            let page = admin.post("/settings/tokens", &form).await;
            if page.status == 200 { is_inert(&page) } else { is_refused(&page, &input, "label") }
            for field in ["time_zone", "first", "last"] {
                let mut form = vec![("name", "Default"), ("time_zone", "UTC"), ("first", "10"), ("last", "99999999"), ("version", "1")];
                form.iter_mut().filter(|(name, _)| *name == field).for_each(|pair| pair.1 = &input);
                if field != "time_zone" && input.bytes().all(|byte| byte.is_ascii_digit()) {
                    continue;
                }
                is_refused(&admin.post("/settings", &form).await, &input, field);
            }
            for field in ["slug", "admin"] {
                let mut form = vec![("name", "New"), ("slug", "new"), ("time_zone", "UTC"), ("first", "10"), ("last", "99"), ("admin", "newboss")];
                form.iter_mut().filter(|(name, _)| *name == field).for_each(|pair| pair.1 = if input == "abc" { "A B" } else { &input });
                is_refused(&admin.post("/settings/tenants", &form).await, &input, field);
            }
            let before = app.number(users).await;
            let page = admin.post("/users/import", &[("text", &input), ("confirmed", "1")]).await;
            assert_eq!(page.status, 422, "{input:?}");
            is_inert(&page);
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(["name", "email"]).unwrap();
            csv.write_record(["Ann", &input]).unwrap();
            let text = String::from_utf8(csv.into_inner().unwrap()).unwrap();
            let page = admin.post("/users/import", &[("text", &text), ("confirmed", "1")]).await;
            assert_eq!(page.status, 422, "{input:?}");
            is_inert(&page);
            assert_eq!(app.number(users).await, before, "{input:?}");
        }
        is_inert(&admin.get("/settings/tokens").await);
    }

    async fn as_a_reason_for_an_apply_they_come_back_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        for (_, input) in strings() {
            let before = app.contents().await;
            // There is no Asterisk here to apply to.
            let page = admin.post("/apply", &[("reason", &input)]).await;
            assert_eq!(page.status, 409, "{input:?}");
            is_inert(&page);
            let called = script.send("POST", "/api/v1/apply", &json!({ "reason": input })).await;
            if input.parse::<Line<500>>().is_ok() {
                assert_eq!(called.status, 503, "{input:?}");
            } else {
                is_refused(&called, &input, "reason");
            }
            is_inert(&called);
            assert_eq!(app.contents().await, before, "{input:?}");
        }
    }

}
