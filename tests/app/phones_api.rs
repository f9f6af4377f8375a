//! Phones over REST, and the calls of the system whose scripts go on working.

use patchbay::auth::Role;
use serde_json::{Value, json};

use crate::phones::{at, get, subnet};
use crate::support::app::{Script, both_databases};
use crate::support::process::{Patchbay, free_port};

async fn post(script: &Script<'_>, body: Value) -> crate::support::app::Answer {
    script.send("POST", "/api/v1/phones", &body).await
}

/// Runs `curl` and returns status and body.
fn curl(arguments: &[&str]) -> (u16, String) {
    let out = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

both_databases! {
    async fn a_phone_is_added_read_changed_and_deleted(app: TestApp) {
        let script = app.script(Role::Admin).await;
        script.add("Ann", "ann@example.com").await;
        script.add("Bob", "bob@example.com").await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let made = post(&script, json!({
            "mac": "0015.6512.3456", "model": "T46S", "label": "Desk", "site": "Lisbon", "subnet": "voice", "static_ip": "next",
            "lines": [{"line": 1, "extension": 1000}, {"line": 2, "extension": 1001, "label": "Bob"}],
            "keys": [{"position": 1, "kind": "blf", "value": "1001"}],
            "settings": {"sip.port": "5070"},
        })).await;
        assert_eq!((made.status, made.location(), made.header("etag")), (201, "/api/v1/phones/001565123456", Some("\"1\"")), "{made:?}");
        let body = made.json();
        assert!(body["provisioning_url"].as_str().unwrap().starts_with("http://patchbay.test/provision/"));
        let phone = &body["phone"];
        assert_eq!((&phone["mac"], &phone["vendor"], &phone["static_ip"]), (&json!("00:15:65:12:34:56"), &json!("yealink"), &json!("10.0.0.10")));
        let read = script.get("/api/v1/phones/00:15:65:12:34:56").await;
        assert_eq!(&read.json(), phone);
        assert!(!read.text.contains("provisioning_url"));

        // Each of the others stays as it is.
        for (patch, field, value) in [
            (json!({"label": "New"}), "label", json!("New")),
            (json!({"settings": {"sip.transport": "tls", "sip.port": null}}), "settings", json!({"sip.transport": "tls"})),
            (json!({"keys": []}), "keys", json!([])),
            (json!({"static_ip": "10.0.0.12"}), "static_ip", json!("10.0.0.12")),
            (json!({"static_ip": null}), "static_ip", Value::Null),
            (json!({"site": ""}), "site", json!("")),
        ] {
            let before = script.get("/api/v1/phones/001565123456").await.json();
            let answer = script.send("PATCH", "/api/v1/phones/001565123456", &patch).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let mut expected = before.clone();
            expected[field] = value;
            if field == "site" {
                (expected["effective_site"], expected["site_origin"]) = (json!(""), Value::Null);
            }
            assert_eq!(answer.json(), expected, "{patch}");
        }
        let stale = script.ask("PATCH", "/api/v1/phones/001565123456").header("if-match", "\"1\"").json(&json!({"label": "x"})).send().await;
        assert_eq!(stale.status, 412);
        let settings = script.get("/api/v1/phones/001565123456/settings").await.json();
        let transport = settings.as_array().unwrap().iter().find(|s| s["key"] == "sip.transport").unwrap().clone();
        assert_eq!(transport, json!({"key": "sip.transport", "value": "tls", "origin": "phone"}));
        let page = script.get("/api/v1/phones?q=new&vendor=yealink&model=t46s&state=unregistered").await.json();
        assert_eq!((&page["total"], &page["phones"][0]["lines"][1]["label"], &page["phones"][0]["registered"]), (&json!(1), &json!("Bob"), &json!(false)));
        for query in ["vendor=acme", "vendor=yealink&model=rocket", "model=t46s", "kind=x", "state=x", "sort=x", "profile=x"] {
            assert_eq!(script.get(&format!("/api/v1/phones?{query}")).await.status, 422, "{query}");
        }
        assert_eq!(script.get("/api/v1/phones?nonsense=1").await.status, 400);
        assert_eq!(script.ask("DELETE", "/api/v1/phones/001565123456").send().await.status, 204);
        assert_eq!(script.get("/api/v1/phones/001565123456").await.status, 404);
        assert_eq!(script.get("/api/v1/phones/nonsense").await.status, 404);
    }

    async fn every_wrong_field_is_named_at_once(app: TestApp) {
        let script = app.script(Role::Admin).await;
        script.add("Ann", "ann@example.com").await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let wrong = post(&script, json!({
            "mac": "00:15:65", "vendor": "acme", "model": "rocket", "label": "a\nb", "subnet": "nowhere", "static_ip": "10.0.0.300", "profile": "x",
            "lines": [{"line": 1, "extension": 1999}], "keys": [{"position": 1, "kind": "fly", "value": "a"}], "settings": {"sip.port": "0", "nothing": "1"},
        })).await;
        assert_eq!(wrong.status, 422);
        let errors = wrong.json()["errors"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(errors, ["key-1", "label", "line-1", "mac", "nothing", "profile", "sip.port", "static_ip", "subnet", "vendor"]);
        let body = json!({"mac": "001565000001", "model": "t46s", "lines": [{"line": 1, "extension": 1000}], "static_ip": "10.0.0.10"});
        assert_eq!(post(&script, body.clone()).await.status, 201);
        let again = post(&script, body).await;
        assert_eq!(again.status, 409);
        assert_eq!(again.json()["errors"]["mac"], "there is a phone with the MAC address 00:15:65:00:00:01 already");
        let other = post(&script, json!({"mac": "001565000002", "model": "t46s", "lines": [{"line": 1, "extension": 1000}], "static_ip": "10.0.0.10"})).await;
        assert_eq!(other.status, 409);
        assert_eq!(other.json()["errors"], json!({
            "line-1": "1000 rings 1000 Ann; take it from there first",
            "static_ip": "10.0.0.10 is allocated: phone 1000 Ann; phone 1000 Ann cannot have it too",
        }));
        let outside = script.send("PUT", "/api/v1/phones/001565000001/static-ip", &json!({"static_ip": "10.0.0.99"})).await;
        assert_eq!((outside.status, outside.json()["errors"]["static_ip"].as_str().unwrap().contains("no static pool")), (422, true));
    }

    async fn a_static_address_is_given_told_and_taken_and_whose_it_is_is_said(app: TestApp) {
        let script = app.script(Role::Admin).await;
        script.add("Ann", "ann@example.com").await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        post(&script, json!({"mac": "001565000001", "model": "t46s", "lines": [{"line": 1, "extension": 1000}], "static_ip": "10.0.0.10"})).await;
        post(&script, json!({"mac": "001565000002", "model": "t46s", "label": "Lobby"})).await;
        let (path, legacy) = ("/api/v1/phones/001565000002/static-ip", "/api/provisioning/devices/001565000002/static-ip");
        let has = |ip: Value| json!({"mac": "00:15:65:00:00:02", "static_ip": ip});
        let taken = json!({"static_ip": "10.0.0.10"});
        for (method, path) in [("PUT", path), ("POST", legacy)] {
            let refused = script.send(method, path, &taken).await;
            assert_eq!(refused.status, 409, "{refused:?}");
            assert_eq!(refused.json()["errors"]["static_ip"], "10.0.0.10 is allocated: phone 1000 Ann; phone Lobby cannot have it too");
        }
        assert_eq!(script.get(path).await.json(), has(Value::Null));
        let put = script.send("PUT", path, &json!({"static_ip": "10.0.0.11"})).await;
        assert_eq!((put.status, put.json()), (200, has(json!("10.0.0.11"))), "{put:?}");
        let read = script.get(path).await;
        assert_eq!((read.status, read.json()), (200, has(json!("10.0.0.11"))));
        assert_eq!(script.get("/api/v1/addresses/10.0.0.11").await.json()["holder"]["id"], "001565000002");
        // It has one of its subnet already; moved to another one, the first is free again.
        let next = script.send("PUT", path, &json!({"static_ip": "next"})).await;
        assert_eq!((next.status, next.json()), (200, has(json!("10.0.0.11"))), "{next:?}");
        let moved = script.send("PUT", path, &json!({"static_ip": "10.0.0.12"})).await;
        assert_eq!((moved.status, moved.json()), (200, has(json!("10.0.0.12"))), "{moved:?}");
        let gone = script.ask("DELETE", path).send().await;
        assert_eq!((gone.status, gone.text.as_str()), (204, ""));
        assert_eq!(script.get(path).await.json(), has(Value::Null));
        for address in ["10.0.0.11", "10.0.0.12"] {
            let set = script.send("POST", legacy, &json!({ "static_ip": address })).await;
            assert_eq!((set.status, &set.json()["success"]), (200, &json!(true)), "{set:?}");
        }
        for (method, path, body) in [("GET", path, json!({})), ("PUT", path, taken), ("DELETE", path, json!({}))] {
            let path = path.replace("000002", "000009");
            assert_eq!(script.send(method, &path, &body).await.status, 404, "{method}");
        }
    }

    async fn whoever_may_only_describe_phones_does_no_more(app: TestApp) {
        let admin = app.script(Role::Admin).await;
        post(&admin, json!({"mac": "001565000001", "model": "t46s"})).await;
        let helpdesk = app.script(Role::Helpdesk).await;
        let path = "/api/v1/phones/001565000001";
        assert_eq!(helpdesk.send("PATCH", path, &json!({"label": "Desk", "notes": "n", "keys": []})).await.status, 200);
        for body in [json!({"site": "x"}), json!({"model": "t23g"}), json!({"lines": []}), json!({"static_ip": null}), json!({"subnet": null}), json!({"profile": null}), json!({"settings": {"sip.port": null}})] {
            assert_eq!(helpdesk.send("PATCH", path, &body).await.status, 403, "{body}");
        }
    }

    async fn profiles_are_kept_over_rest_too(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let made = script.send("POST", "/api/v1/phones/profiles", &json!({"name": "T46", "scope": "model", "model": "yealink/t46s", "settings": {"sip.port": "5070"}})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let path = made.location().to_owned();
        let twin = script.send("POST", "/api/v1/phones/profiles", &json!({"name": "Other", "scope": "model", "model": "yealink/t46s"})).await;
        assert_eq!(twin.status, 409);
        let changed = script.send("PATCH", &path, &json!({"settings": {"sip.port": null, "phonebook": "off"}})).await;
        assert_eq!((changed.status, &changed.json()["settings"], &changed.json()["model"]), (200, &json!({"phonebook": "off"}), &json!("yealink/t46s")));
        assert_eq!(script.send("PATCH", &path, &json!({"settings": {"nothing": "1"}, "scope": "moon"})).await.json()["errors"].as_object().unwrap().len(), 2);
        assert_eq!(script.get("/api/v1/phones/profiles").await.json().as_array().unwrap().len(), 1);
        assert_eq!(script.ask("DELETE", &path).send().await.status, 204);
        assert_eq!(script.get(&path).await.status, 404);
    }

    async fn registering_a_known_device_again_changes_what_it_names_and_nothing_else(app: TestApp) {
        let script = app.script(Role::Admin).await;
        for name in ["Ann", "Bob", "Cid"] {
            script.add(name, &format!("{name}@example.com")).await;
        }
        subnet(&app, "Voice", "192.168.1.0/24", "192.168.1.100-110").await;
        let register = async |body: Value| script.send("POST", "/api/provisioning/devices", &body).await;
        let body = json!({"mac_address": "00:15:65:12:34:56", "extension_number": "1000", "vendor": "yealink", "model": "t46s"});
        let made = register(body.clone()).await;
        assert_eq!(made.status, 201, "{made:?}");
        let answer = made.json();
        assert_eq!((&answer["success"], &answer["reboot_triggered"], &answer["message"]), (&json!(true), &json!(false), &json!("Device registered")));
        let device = &answer["device"];
        assert_eq!(
            (&device["mac_address"], &device["extension_number"], &device["extension_number_2"], &device["device_type"], &device["last_provisioned"]),
            (&json!("001565123456"), &json!("1000"), &Value::Null, &json!("phone"), &Value::Null)
        );
        let url = device["config_url"].as_str().unwrap();
        assert!(url.starts_with("http://patchbay.test/provision/") && url.len() == 63, "{url}");
        let set = script.send("POST", "/api/provisioning/devices/001565123456/static-ip", &json!({"static_ip": "192.168.1.100"})).await;
        assert_eq!(set.json(), json!({"success": true, "message": "Static IP 192.168.1.100 set for device 001565123456"}));

        // Another extension, the model changed, the address stays; the token is not said again.
        let again = register(json!({"mac_address": "0015.6512.3456", "extension_number": "1001", "vendor": "yealink", "model": "t28g", "extension_number_2": "1002"})).await;
        assert_eq!((again.status, &again.json()["message"]), (200, &json!("Device updated")));
        let device = again.json()["device"].clone();
        assert_eq!((&device["extension_number"], &device["extension_number_2"], &device["static_ip"]), (&json!("1001"), &json!("1002"), &json!("192.168.1.100")));
        assert_eq!(device["config_url"], "http://patchbay.test/provision/001565123456.cfg");
        let once_more = register(body).await;
        assert_eq!((&once_more.json()["device"]["extension_number"], &once_more.json()["device"]["extension_number_2"]), (&json!("1000"), &json!("1002")));

        let listed = script.get("/api/provisioning/devices").await.json();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["static_ip"]), (1, &json!("192.168.1.100")));
        assert_eq!(script.get("/api/provisioning/atas").await.json(), json!([]));
        assert_eq!(script.get("/api/provisioning/phones").await.json().as_array().unwrap().len(), 1);
        let path = "/api/provisioning/devices/001565123456/static-ip";
        assert_eq!(script.get(path).await.json(), json!({"mac_address": "001565123456", "static_ip": "192.168.1.100"}));
        assert_eq!(script.ask("DELETE", path).send().await.json()["message"], "Static IP cleared for device 001565123456");
        assert_eq!(script.get(path).await.json()["static_ip"], Value::Null);

        let wrong = register(json!({})).await;
        assert_eq!(wrong.status, 422);
        assert_eq!(wrong.json()["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["extension_number", "mac_address", "model", "vendor"]);
        let nobody = register(json!({"mac_address": "001565000001", "extension_number": "1999", "vendor": "yealink", "model": "t46s"})).await;
        assert_eq!((nobody.status, &nobody.json()["errors"]["extension_number"]), (422, &json!("no user has the number or name 1999")));
        let taken = register(json!({"mac_address": "001565000001", "extension_number": "1000", "vendor": "yealink", "model": "t46s"})).await;
        assert_eq!(taken.status, 409);
        for (ip, status) in [("", 422), ("nonsense", 422), ("192.168.1.5", 422), ("10.9.9.9", 422)] {
            let set = script.send("POST", path, &json!({"static_ip": ip})).await;
            assert_eq!((set.status, set.json()["errors"]["static_ip"].is_string()), (status, true), "{ip}");
        }
        assert_eq!(script.ask("DELETE", "/api/provisioning/devices/001565123456").send().await.json(), json!({"success": true, "message": "Device unregistered"}));
        assert_eq!(script.ask("DELETE", "/api/provisioning/devices/001565123456").send().await.status, 404);
        assert!(get(&app, "001565123456").await.is_none());
        assert_eq!(at("192.168.1.100").to_string(), "192.168.1.100");
    }

    /// The usage examples of that system, line by line, with a token, against the program itself.
    async fn devices_and_their_addresses_are_there_after_the_program_was_restarted(app: TestApp) {
        let port = free_port();
        let server = Patchbay::serve_at(&app, port).await;
        let added = ["operator", "add", "ann", "--role", "admin"];
        assert!(Patchbay::run(&app, &added, "four random words here").status.success());
        let token = Patchbay::run(&app, &["token", "add", "script", "--operator", "ann"], "").stdout;
        let bearer = format!("Authorization: Bearer {}", String::from_utf8(token).unwrap().trim());
        let url = server.url.clone();
        let call = |method: &str, path: &str, body: &str| {
            let path = format!("{url}{path}");
            curl(&[
                "-X",
                method,
                &path,
                "-H",
                "Content-Type: application/json",
                "-H",
                &bearer,
                "-d",
                body,
            ])
        };
        let read = |path: &str| curl(&[&format!("{url}{path}"), "-H", &bearer]);
        call(
            "POST",
            "/api/v1/users",
            r#"{"name": "Ann", "email": "ann@example.com", "extension": 1001}"#,
        );
        let subnet = r#"{"name": "Office", "cidr": "192.168.1.0/24", "static_pools": ["192.168.1.100-192.168.1.150"]}"#;
        let (status, said) = call("POST", "/api/v1/subnets", subnet);
        assert_eq!(status, 201, "{said}");

        let body = r#"{"mac_address": "00:15:65:12:34:56", "extension_number": "1001", "vendor": "yealink", "model": "t46s"}"#;
        let (status, said) = call("POST", "/api/provisioning/devices", body);
        assert_eq!(status, 201, "{said}");
        let path = "/api/provisioning/devices/001565123456/static-ip";
        let (status, said) = call("POST", path, r#"{"static_ip": "192.168.1.100"}"#);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (status, &said["success"], &said["message"]),
            (200, &json!(true), &json!("Static IP 192.168.1.100 set for device 001565123456"))
        );

        let before = read("/api/provisioning/devices");
        assert!(server.stop().success());
        let server = Patchbay::serve_at(&app, port).await;
        let after = read("/api/provisioning/devices");
        assert_eq!(before, after);
        let devices: Value = serde_json::from_str(&after.1).unwrap();
        assert_eq!(
            (&devices[0]["mac_address"], &devices[0]["extension_number"], &devices[0]["static_ip"]),
            (&json!("001565123456"), &json!("1001"), &json!("192.168.1.100"))
        );
        // What the original loses: registering it again after a restart leaves the address alone.
        assert_eq!(call("POST", "/api/provisioning/devices", body).0, 200);
        assert_eq!(serde_json::from_str::<Value>(&read(path).1).unwrap()["static_ip"], "192.168.1.100");
        let (_, address) = read("/api/v1/addresses/192.168.1.100");
        assert!(address.contains("00:15:65:12:34:56") && address.contains("allocated"), "{address}");

        let (status, said) = call("DELETE", "/api/provisioning/devices/001565123456", "");
        assert_eq!(
            (status, serde_json::from_str::<Value>(&said).unwrap()["message"].clone()),
            (200, json!("Device unregistered"))
        );
        assert!(server.stop().success());
        let _server = Patchbay::serve_at(&app, port).await;
        assert_eq!(read("/api/provisioning/devices").1, "[]");
        let (status, said) = curl(&[&format!("{url}/api/provisioning/devices")]);
        assert_eq!(status, 401, "{said}");
    }
}
