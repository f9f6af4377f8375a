//! Boot files in the browser and by calls: templates of one's own, a phone's files, contacts.

use patchbay::auth::Role;
use patchbay::boot::{self, Part};
use patchbay::id::TenantId;
use serde_json::{Value, json};

use crate::phones::{T46S, add, mac, new};
use crate::support::app::{PASSWORD, TestApp, both_databases};

const MAC: &str = "020000000001";
const TEMPLATE: &str = "/phones/templates/yealink/phone";

/// A Yealink with a user called so.
async fn yealink(app: &TestApp, admin: &crate::support::app::Browser<'_>, name: &str) {
    let ann = admin.add(name, "ann@example.com", "").await;
    add(app, &new(MAC, T46S, &[&ann])).await.unwrap();
}

/// The file the phone gets, secrets and all.
async fn real(app: &TestApp) -> (boot::Subject, String) {
    let mut tx = app.state.read().await.unwrap();
    let base = "https://phones.example.com";
    let subject = boot::subject(&mut tx, &app.state.vault, TenantId::DEFAULT, mac(MAC), base);
    let subject = subject.await.unwrap().unwrap();
    let templates = boot::in_force(&mut tx, TenantId::DEFAULT).await.unwrap();
    let made = boot::render(&subject, Part::Own, &templates).unwrap();
    let would = boot::revisions(&mut tx, &app.state.vault, TenantId::DEFAULT, mac(MAC), base);
    assert_eq!(would.await.unwrap().unwrap().own, made.revision);
    assert!(made.secret);
    (subject, String::from_utf8(made.bytes).unwrap())
}

fn changed(source: &str) -> String {
    format!("{source}\n# ours\n")
}

fn built_in() -> &'static str {
    boot::BuiltIn::find("yealink".parse().unwrap(), "phone").unwrap().source()
}

both_databases! {
    async fn a_templates_phones_are_looked_for_among_all(app: TestApp) {
        add(&app, &new("001565000001", ("yealink".parse().unwrap(), "t42s"), &[])).await.unwrap();
        add(&app, &new("001565000002", T46S, &[])).await.unwrap();
        let mut tx = app.state.read().await.unwrap();
        let of = boot::templates::phones_of(&mut tx, TenantId::DEFAULT, "yealink".parse().unwrap(), "t46s", 1);
        assert_eq!(of.await.unwrap(), [mac("001565000002")]);
    }

    async fn a_phone_gets_what_the_database_says_of_it(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        yealink(&app, &admin, "Ann <b> & \"Co\"").await;
        let (subject, file) = real(&app).await;
        for line in [
            "account.1.display_name = Ann <b> & \"Co\"",
            "account.1.user_name = 1000",
            "account.1.sip_server.1.address = phones.example.com",
            &format!("account.1.password = {}", subject.lines[0].sip_secret),
            &format!("static.auto_provision.server.url = {}/", subject.url),
            "linekey.1.type = 15",
        ] {
            assert!(file.lines().any(|found| found == line), "{line}: {file}");
        }
        assert!(subject.lines[0].sip_secret.len() >= 20 && subject.url.len() > 50);
        let mut tx = app.state.read().await.unwrap();
        let elsewhere = boot::subject(&mut tx, &app.state.vault, TenantId::DEFAULT, mac("020000000002"), "x").await;
        assert!(elsewhere.unwrap().is_none());
    }

    async fn a_template_of_ones_own_is_previewed_saved_put_back_and_never_broken(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        yealink(&app, &admin, "Ann").await;
        let page = admin.get(TEMPLATE).await;
        page.shows("account.1.user_name = 1000");
        page.shows("account.1.password = (hidden)");
        page.hides(&real(&app).await.0.lines[0].sip_secret);
        let source = changed(built_in());
        // A preview saves nothing.
        let before = app.contents().await;
        let page = admin.post(TEMPLATE, &[("source", &source), ("version", "0"), ("mac", MAC), ("act", "preview")]).await;
        assert_eq!(page.status, 200);
        page.shows("+# ours");
        assert_eq!(app.contents().await, before);
        for (bad, why) in [
            ("#!version:1.0.0.1\n{{ nobody }}", "line 2: there is no placeholder"),
            ("#!version:1.0.0.1\n{{ accounts[9].name }}\n", "for a"),
            ("#!version:1.0.0.1\n{% for a in accounts %}\n", "line"),
            ("x = 1", "the first line must be"),
            ("#!version:1.0.0.1\nkey {{ label }}", "key"),
            (built_in(), "this is the built-in template"),
            ("", "the first line must be"),
        ] {
            let page = admin.post(TEMPLATE, &[("source", bad), ("version", "0")]).await;
            assert_eq!(page.status, 422, "{bad}");
            assert!(page.field_error("source").contains(why), "{bad}: {}", page.field_error("source"));
            page.shows(bad.lines().last().unwrap_or_default());
            assert_eq!(app.contents().await, before, "{bad}");
        }
        let saved = admin.post(TEMPLATE, &[("source", &source.replace('\n', "\r\n")), ("version", "0"), ("note", "a mark")]).await;
        assert_eq!(saved.status, 303, "{saved:?}");
        assert!(real(&app).await.1.contains("# ours"));
        // Two editors.
        let stale = admin.post(TEMPLATE, &[("source", &changed(&source)), ("version", "0")]).await;
        assert_eq!(stale.status, 412);
        let page = admin.get(TEMPLATE).await;
        page.shows("a mark");
        page.shows("+# ours");
        admin.get("/phones/templates").await.shows("by admin");
        admin.post(&format!("{TEMPLATE}/restore"), &[("version", "0")]).await;
        assert!(!real(&app).await.1.contains("# ours"));
        admin.post(&format!("{TEMPLATE}/restore"), &[("version", "1")]).await;
        assert!(real(&app).await.1.contains("# ours"));
        assert_eq!(app.number("SELECT count(*) FROM boot_template").await, 3);
        let log = app.texts("SELECT action FROM audit_event WHERE action LIKE 'boot_template%' ORDER BY seq").await;
        assert_eq!(log, ["boot_template.saved", "boot_template.reset", "boot_template.saved"]);
    }

    async fn a_template_must_do_for_every_phone_that_uses_it(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        yealink(&app, &admin, "Ann").await;
        let source = "#!version:1.0.0.1\n{% for account in accounts %}{% if account.name == \"Ann\" %}{{ nobody }}{% endif %}{% endfor %}\n";
        let page = admin.post(TEMPLATE, &[("source", source), ("version", "0")]).await;
        assert_eq!(page.status, 422);
        assert!(page.field_error("source").contains("1000 Ann (02:00:00:00:00:01)"), "{}", page.field_error("source"));
        assert_eq!(admin.post("/phones/templates/snom/phone", &[("source", source), ("version", "0")]).await.status, 422);
    }

    async fn the_seeds_calls_on_templates(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        yealink(&app, &admin, "Ann").await;
        let script = app.script(Role::Admin).await;
        let path = "/api/provisioning/templates/yealink/t46s";
        let got = script.get(path).await.json();
        assert_eq!((got["vendor"].as_str(), got["model"].as_str()), (Some("yealink"), Some("t46s")));
        assert!(got["placeholders"].as_array().unwrap().contains(&Value::from("mac")));
        let content = changed(got["content"].as_str().unwrap());
        assert_eq!(script.send("PUT", path, &json!({})).await.status, 400);
        assert_eq!(script.send("PUT", path, &json!({ "content": "{{ x" })).await.status, 422);
        let put = script.send("PUT", path, &json!({ "content": content })).await;
        assert_eq!((put.status, &put.json()["success"]), (200, &Value::from(true)), "{put:?}");
        assert!(real(&app).await.1.contains("# ours"));
        assert_eq!(script.get(path).await.json()["content"], content.as_str());
        assert_eq!(script.send("POST", &format!("{path}/export"), &json!({})).await.status, 200);
        let other = script.send("POST", "/api/provisioning/templates/cisco/spa504g/export", &json!({})).await;
        assert_eq!(other.json()["success"], true, "{other:?}");
        let reloaded = script.send("POST", "/api/provisioning/reload-templates", &json!({})).await.json();
        assert_eq!(reloaded["statistics"]["own"], 2);
        assert_eq!(reloaded["success"], true, "{reloaded}");
        assert_eq!(script.get("/api/provisioning/templates/yealink/t1000").await.status, 404);
        let listed = script.get("/api/v1/phones/templates").await.json();
        assert_eq!(listed["total"], boot::BUILT_IN.len() + 2);
        let one = "/api/v1/phones/templates/yealink/t46s";
        assert_eq!(script.get(one).await.header("etag"), Some("\"1\""));
        assert_eq!(script.send("DELETE", one, &json!({})).await.status, 200);
        assert!(!real(&app).await.1.contains("# ours"));
    }

    async fn a_phones_files_are_shown_without_secrets_and_saved_against_a_password(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        yealink(&app, &admin, "Ann").await;
        let path = format!("/phones/{MAC}/files");
        let page = admin.get(&path).await;
        for name in ["y000000000066.cfg", "020000000001.cfg", "phonebook.xml"] {
            page.shows(name);
        }
        let (subject, _) = real(&app).await;
        let file = format!("{path}/{MAC}.cfg");
        let page = admin.get(&file).await;
        page.shows("account.1.password = (hidden)");
        admin.get(&format!("{path}/phonebook.xml")).await.shows("<Name>Ann</Name>");
        for secret in [&subject.lines[0].sip_secret, &subject.http_password, &subject.web_password] {
            page.hides(secret);
        }
        assert_eq!(admin.get(&format!("{path}/passwd")).await.status, 404);
        let before = app.contents().await;
        let wrong = admin.post(&file, &[("password", "not this one")]).await;
        assert_eq!((wrong.status, wrong.field_error("password").as_str()), (422, "this is not your password"));
        wrong.hides(&subject.lines[0].sip_secret);
        let saved = admin.post(&file, &[("password", PASSWORD)]).await;
        assert_eq!(saved.status, 200);
        assert!(saved.text.contains(&subject.lines[0].sip_secret));
        assert_eq!(saved.header("cache-control"), Some("no-store"));
        assert_ne!(app.contents().await, before);
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'phone.file_revealed'").await, 1);
    }

    async fn contacts_are_kept_and_stand_in_the_phone_book(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Bob", "bob@example.com", "").await;
        let form = [("name", "Taxi & Co"), ("number", "+351210000000")];
        assert_eq!(admin.post("/phones/contacts", &form).await.status, 303);
        let taken = admin.post("/phones/contacts", &[("name", "TAXI & co"), ("number", "+351210000000")]).await;
        assert_eq!(taken.status, 422);
        assert!(taken.field_error("name").contains("already"));
        for (name, number, field) in [("", "1", "name"), ("A", "", "number"), ("A", "1;2", "number"), ("a\u{202e}b", "1", "name")] {
            let page = admin.post("/phones/contacts", &[("name", name), ("number", number)]).await;
            assert_eq!(page.status, 422, "{name} {number}");
            assert!(!page.field_error(field).is_empty());
        }
        let script = app.script(Role::Admin).await;
        let made = script.send("POST", "/api/v1/contacts", &json!({ "name": "Ambulance", "number": "112" })).await;
        assert_eq!(made.status, 201);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/contacts/{id}");
        assert_eq!(script.send("PUT", &path, &json!({ "name": "Ambulance!", "number": "112" })).await.status, 200);
        let mut tx = app.state.read().await.unwrap();
        let book = boot::entries(&mut tx, TenantId::DEFAULT).await.unwrap();
        drop(tx);
        let names: Vec<&str> = book.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["Ambulance!", "Bob", "Taxi & Co"]);
        let file = admin.get("/phones/contacts.csv").await;
        assert_eq!(file.text, "name,number\r\nAmbulance!,112\r\nTaxi & Co,'+351210000000\r\n");
        admin.get("/phones/contacts?q=taxi").await.hides("Ambulance");
        let page = admin.post(&format!("/phones/contacts/{id}"), &[("name", "A"), ("number", "1"), ("version", "1")]).await;
        assert_eq!(page.status, 412);
        page.shows("Ambulance!");
        admin.post("/phones/contacts/deletion", &[("id", &id)]).await.shows("Delete this contact?");
        admin.post("/phones/contacts/deletion", &[("id", &id), ("confirmed", "1")]).await;
        assert_eq!(app.texts("SELECT name FROM contact").await, ["Taxi & Co"]);
        let rows = "name,number\nPolice,110\nTaxi & Co,'+351210000000\n";
        let page = admin.post("/phones/contacts/import", &[("text", rows), ("confirmed", "1")]).await;
        assert_eq!(page.status, 422);
        page.shows("already");
        admin.post("/phones/contacts/import", &[("text", "name,number\nPolice,110\n"), ("confirmed", "1")]).await;
        assert_eq!(app.number("SELECT count(*) FROM contact").await, 2);
    }
}
