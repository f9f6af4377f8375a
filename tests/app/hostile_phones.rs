//! Hostile strings in what is said of phones, by people and by phones.

use patchbay::auth::Role;
use serde_json::json;

use crate::hostile::{is_inert, is_refused, strings};
use crate::provision::{enrolling, phone};
use crate::provision_pages::waiting;
use crate::support::app::both_databases;

both_databases! {
    async fn what_is_said_of_phones_is_refused_by_name_or_comes_back_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let path = "/api/v1/phones/001565123456";
        let made = script.send("POST", "/api/v1/phones", &json!({ "mac": "001565123456", "model": "t46s" })).await;
        assert_eq!(made.status, 201);
        for (_, input) in strings() {
            for field in ["label", "site", "notes"] {
                let answer = script.send("PATCH", path, &json!({ field: input })).await;
                if answer.status == 200 {
                    assert_eq!(answer.json()[field], input.trim());
                } else {
                    is_refused(&answer, &input, field);
                }
            }
            let line = json!({ "lines": [{ "line": 1, "user_id": ann, "label": input }], "keys": [{ "position": 1, "kind": "line", "label": input }] });
            let answer = script.send("PATCH", path, &line).await;
            if answer.status != 200 {
                is_refused(&answer, &input, "line-1");
            }
            for (field, name) in [("profile", "profile"), ("subnet", "subnet"), ("static_ip", "static_ip"), ("vendor", "vendor")] {
                let body = json!({ field: input, "model": "t46s" });
                let answer = script.send("PATCH", path, &body).await;
                if !input.trim().is_empty() {
                    is_refused(&answer, &input, name);
                }
            }
            let setting = json!({ "settings": { "sip.server": input } });
            let answer = script.send("PATCH", path, &setting).await;
            if answer.status != 200 {
                is_refused(&answer, &input, "sip.server");
            }
            let form = [("mac", input.as_str()), ("model", "yealink/t46s"), ("extension", &input), ("static_ip", &input), ("address", "this"), ("subnet", &input)];
            let page = admin.post("/phones", &form).await;
            is_refused(&page, &input, "mac");
            for page in ["/phones", "/phones/001565123456", "/phones/001565123456/edit", "/phones/001565123456/keys", "/phones/001565123456/settings", "/audit"] {
                let page = admin.get(page).await;
                assert_eq!(page.status, 200);
                is_inert(&page);
            }
            let q = serde_html_form::to_string([("q", &input)]).unwrap();
            let page = admin.get(&format!("/phones?{q}&{}", q.replacen("q=", "site=", 1))).await;
            assert_eq!(page.status, if input.contains('\0') { 400 } else { 200 }, "{input:?}");
            is_inert(&page);
            let named = admin.post("/phones/profiles", &[("name", &input), ("scope", "chosen"), ("sip.server", &input)]).await;
            is_inert(&named);
            assert!([303, 422].contains(&named.status), "{input:?}");
            for cell in admin.get("/phones.csv").await.text.split(['\n', ',']) {
                assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
            }
        }
        is_inert(&admin.get("/phones/profiles").await);
    }

    async fn contacts_are_refused_by_name_or_inert_in_lists_and_phone_books(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let mut kept = Vec::new();
        for (_, input) in strings() {
            let before = app.contents().await;
            let called = script.send("POST", "/api/v1/contacts", &json!({ "name": input, "number": "1" })).await;
            if called.status == 201 {
                let id = called.json()["id"].as_str().unwrap().to_owned();
                let page = admin.get(&format!("/phones/contacts/{id}/edit")).await;
                is_inert(&page);
                kept.push(called.json()["name"].as_str().unwrap().to_owned());
            } else {
                is_refused(&called, &input, "name");
                is_refused(&admin.post("/phones/contacts", &[("name", input.as_str()), ("number", "1")]).await, &input, "name");
                assert_eq!(app.contents().await, before, "{input:?}");
            }
            let number = script.send("POST", "/api/v1/contacts", &json!({ "name": "Ann", "number": input })).await;
            // Some of them are numbers, such as one of another country's emergency calls.
            if input.trim().parse::<patchbay::phones::Dialled>().is_ok() {
                assert_eq!(number.status, 201, "{input:?}");
            } else {
                is_refused(&number, &input, "number");
            }
        }
        assert!(kept.len() >= 30, "{kept:?}");
        is_inert(&admin.get("/phones/contacts?size=200").await);
        let mut tx = app.state.read().await.unwrap();
        let entries = patchbay::boot::entries(&mut tx, patchbay::id::TenantId::DEFAULT).await.unwrap();
        for vendor in patchbay::phones::Vendor::ALL {
            let book = patchbay::boot::book::book(vendor, &entries, 1, "https://x.example").unwrap();
            let text = std::str::from_utf8(&book.bytes).unwrap();
            let document = roxmltree::Document::parse(text).unwrap();
            let elements = ["DirectoryEntry", "item", "Contact"];
            let found = document.descendants().filter(|node| elements.contains(&node.tag_name().name()));
            assert_eq!(found.count(), if vendor.as_str() == "cisco" { 32.min(entries.len()) } else { entries.len() }, "{vendor}");
        }
    }

    /// Whoever can send a request can say anything of themselves.
    async fn what_phones_say_of_themselves_is_inert_wherever_it_is_shown(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, patchbay::id::TenantId::DEFAULT, "001565aabbcc").await;
        enrolling(&app, "192.0.2.0/24").await;
        for (n, (_, input)) in strings().into_iter().enumerate() {
            let part = serde_html_form::to_string([("x", &input)]).unwrap()[2..].replace('+', "%20");
            let stranger = format!("0015650{:05x}", 0x9000 + n);
            let said = actix_web::http::header::HeaderValue::from_str(&input).is_ok();
            let said = if said { input.as_str() } else { "x" };
            for (path, agent) in [
                (format!("{}/001565aabbcc.cfg", keys.token), said.to_owned()),
                (format!("{}/001565aabbcc.cfg", keys.token), format!("Yealink {said} {said} 00:15:65:aa:bb:cc")),
                (format!("{}/{part}", keys.token), format!("Fanvil {said} 1.2 001565aabbcc")),
                (format!("{stranger}.cfg"), format!("Grandstream Model HW {said} SW {said} DevId {stranger}")),
                (format!("{part}.cfg"), format!("Cisco/{said}-{said} ({stranger})")),
            ] {
                if path.len() < 8000 {
                    let ask = app.ask("GET", &format!("/provision/{path}")).header("user-agent", &agent);
                    let answer = ask.at_peer(&format!("192.0.2.{}", n + 50)).send().await;
                    assert!(answer.status < 500, "{path} {agent}: {answer:?}");
                }
            }
        }
        app.provisioner.flush().await.unwrap();
        assert!(app.number("SELECT count(*) FROM phone_waiting").await >= 40);
        for page in ["/phones/waiting?size=200", "/phones/requests?size=200", "/phones/requests?size=200&page=2", "/phones/001565aabbcc", "/phones/001565aabbcc/requests", "/phones/map", "/phones"] {
            let page = admin.get(page).await;
            assert_eq!(page.status, 200);
            is_inert(&page);
        }
        let one = app.texts("SELECT mac FROM phone_waiting ORDER BY mac").await;
        for mac in &one {
            is_inert(&admin.get(&format!("/phones/waiting/{mac}")).await);
        }
        let log = admin.get("/phones/requests.csv").await;
        for cell in csv::Reader::from_reader(log.bytes.as_slice()).records().flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()) {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
        }
        let everything = format!("{:?}", app.texts("SELECT path || how || user_agent FROM boot_request").await);
        assert!(!everything.contains(&keys.token), "a token is in the log of requests");
    }

    async fn no_hostile_template_is_saved(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        for (_, input) in strings() {
            let path = "/phones/templates/yealink/phone";
            let page = admin.post(path, &[("source", input.as_str()), ("version", "0")]).await;
            is_refused(&page, &input, "source");
            // What is well formed may be a template of XML; shown, it is inert all the same.
            for path in [path, "/phones/templates/snom/general"] {
                let form = [("source", input.as_str()), ("version", "0"), ("act", "preview")];
                let page = admin.post(path, &form).await;
                assert_eq!(page.status, 200, "{input:?}");
                is_inert(&page);
            }
        }
        assert_eq!(app.contents().await, before);
    }

    async fn what_is_said_where_phones_enrol_is_refused_by_name_or_inert(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        phone(&app, patchbay::id::TenantId::DEFAULT, "001565aabbcc").await;
        enrolling(&app, "192.0.2.0/24").await;
        for (_, input) in strings() {
            for field in ["outcome", "mac", "address", "from", "until"] {
                let query = serde_html_form::to_string([(field, &input)]).unwrap();
                for list in ["/phones/requests", "/phones/requests/table"] {
                    let page = admin.get(&format!("{list}?{query}")).await;
                    assert!(if input.trim().is_empty() { page.status == 200 } else { matches!(page.status, 400 | 422) }, "{field}={input:?}: {}", page.status);
                    is_inert(&page);
                }
                let file = admin.get(&format!("/phones/requests.csv?{query}")).await;
                assert_eq!(file.status, if input.trim().is_empty() { 200 } else { 400 }, "{field}={input:?}");
            }
            let before = app.contents().await;
            let window = admin.post("/phones/001565aabbcc/enrolment", &[("length", input.as_str())]).await;
            let places = admin.post("/phones/enrolment", &[("id", input.as_str())]).await;
            if !input.is_empty() {
                assert_eq!((window.status, places.status), (400, 400), "{input:?}");
                assert_eq!(app.contents().await, before);
            }
            let mac = waiting(&app).await;
            let adopt = format!("/phones/waiting/{mac}");
            let page = admin.post(&adopt, &[("model", input.as_str()), ("label", "x")]).await;
            is_refused(&page, &input, "model");
            let page = admin.post(&adopt, &[("model", "yealink/t46s"), ("extension", input.as_str())]).await;
            if !input.trim().is_empty() {
                is_refused(&page, &input, "extension");
            }
            let form = [("model", "yealink/t46s"), ("label", input.as_str())];
            let page = admin.post(&adopt, &form).await;
            if page.status == 303 {
                let stored = app.texts(&format!("SELECT label FROM phone WHERE mac = '{mac}'")).await;
                assert_eq!(stored, [input.trim()]);
                for page in ["", "/requests", "/files", "/handout", "/files/phonebook.xml"] {
                    let page = admin.get(&format!("/phones/{mac}{page}")).await;
                    assert_eq!(page.status, 200, "{input:?}");
                    is_inert(&page);
                }
            } else if !input.trim().is_empty() {
                is_refused(&page, &input, "label");
            }
            let told = admin.post("/phones/001565aabbcc/notify", &[("kind", input.as_str())]).await;
            assert_eq!(told.status, 400, "{input:?}");
            let told = admin.post("/phones/notify", &[("kind", input.as_str()), ("wave_size", &input), ("pause", &input), ("mac", "001565aabbcc")]).await;
            is_refused(&told, &input, "kind");
            let part = serde_html_form::to_string([("x", &input)]).unwrap()[2..].replace('+', "%20");
            for page in [format!("/phones/waiting/{part}"), format!("/phones/{part}/requests"), format!("/phones/{part}/qr.svg"),
                format!("/phones/001565aabbcc/files/{part}"), format!("/phones/map/history?q={part}"), format!("/phones/map?q={part}"), format!("/phones/handouts?mac={part}")]
            {
                if page.len() < 8000 {
                    let page = admin.get(&page).await;
                    assert!(page.status < 500, "{input:?}: {page:?}");
                    is_inert(&page);
                }
            }
        }
        is_inert(&admin.get("/phones/waiting").await);
    }
}
