//! The pages about what phones ask for.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use serde_json::json;

use crate::provision::{enrolling, phone};
use crate::support::app::{TestApp, both_databases, next};

const T46S: &str = "Yealink SIP-T46S 66.86.0.15 ";

/// The MAC of a phone that waits in the default tenant, and that no other call has.
pub async fn waiting(app: &TestApp) -> String {
    let mac = format!("0015650{:05x}", next() + 0x1000);
    let columns = "tenant_id, mac, vendor, model, firmware, user_agent, address, path, first_at, last_at, times";
    let address = if app.is_sqlite() { "zeroblob(16)" } else { r"decode(repeat('00', 16), 'hex')" };
    app.sql(&format!(
        "INSERT INTO phone_waiting ({columns})
         SELECT id, '{mac}', 'yealink', 't46s', '', '', {address}, '{mac}.cfg', 1, 1, 1 FROM tenant WHERE slug = ''"
    ))
    .await;
    mac
}

async fn asks(app: &TestApp, mac: &str, agent: &str, peer: &str) {
    let ask = app.ask("GET", &format!("/provision/{mac}.cfg")).header("user-agent", agent);
    assert_eq!(ask.at_peer(peer).send().await.status, 404);
}

both_databases! {
    async fn an_unknown_phone_waits_and_is_adopted_with_one_form(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "1000").await;
        admin.get("/phones/waiting").await.shows("choose the subnets");
        asks(&app, "001565000009", T46S, "192.0.2.77").await;
        app.provisioner.flush().await.unwrap();
        assert_eq!(app.number("SELECT count(*) FROM phone_waiting").await, 0, "nobody waits outside");
        let subnet = enrolling(&app, "192.0.2.0/24").await;
        let agent = format!("{T46S}00:15:65:00:00:0a");
        for _ in 0..3 {
            asks(&app, "00156500000a", &agent, "192.0.2.77").await;
        }
        asks(&app, "00156500000b", "", "203.0.113.9").await;
        app.ask("GET", "/provision/etc-passwd").header("user-agent", &agent).at_peer("192.0.2.78").send().await;
        let page = admin.get("/phones/waiting").await;
        for text in ["00:15:65:00:00:0a", "yealink t46s", "66.86.0.15", "192.0.2.77", "phones 192.0.2.0/24", ">3<"] {
            page.shows(text);
        }
        page.hides("00:15:65:00:00:0b");
        let form = admin.get("/phones/waiting/00156500000a").await;
        form.shows(r#"value="yealink/t46s" selected"#);
        for (fields, field, why) in [
            (vec![("model", ""), ("extension", "1000")], "model", "choose what it is"),
            (vec![("model", "yealink/t46s"), ("extension", "1001")], "extension", "there is no user with this extension"),
            (vec![("model", "yealink/t46s"), ("extension", "x")], "extension", "use 2 to 8 digits, the first not 0"),
        ] {
            let answer = admin.post("/phones/waiting/00156500000a", &fields).await;
            assert_eq!((answer.status, answer.field_error(field)), (422, why.to_owned()));
        }
        let wish = [("model", "yealink/t46s"), ("extension", "1000"), ("label", "Lobby"), ("address", "1")];
        let adopted = admin.post("/phones/waiting/00156500000a", &wish).await;
        assert_eq!((adopted.status, adopted.location()), (303, "/phones/00156500000a"), "{adopted:?}");
        let held = app.texts("SELECT holder_name FROM address WHERE holder_kind = 'phone'").await;
        assert_eq!(held.len(), 1);
        assert_eq!(app.texts(&format!("SELECT mac FROM phone WHERE subnet_id = '{subnet}' AND enrol_until > 0")).await, ["00156500000a"]);
        admin.get("/phones/waiting").await.shows("No phone waits");
        let file = app.ask("GET", "/provision/00156500000a.cfg").header("user-agent", &agent).at_peer("192.0.2.77").send().await;
        assert_eq!(file.status, 200);
        asks(&app, "00156500000a", &agent, "192.0.2.77").await;
        assert_eq!(admin.get("/phones/waiting/00156500000a").await.status, 404);
    }

    async fn a_phone_that_says_what_it_is_is_adopted_with_one_click(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let subnet = enrolling(&app, "192.0.2.0/24").await;
        asks(&app, "00156500000a", &format!("{T46S}00:15:65:00:00:0a"), "192.0.2.77").await;
        asks(&app, "00156500000b", "", "192.0.2.78").await;
        let page = admin.get("/phones/waiting").await;
        // What the button sends.
        let form = |mac: &str| {
            let form = page.text.split_once(&format!(r#"<form class="inline" method="post" action="/phones/waiting/{mac}">"#))?.1;
            let form = form.split_once("</form>").unwrap().0;
            assert!(form.contains(&format!(r#"<button id="adopt-{mac}">Adopt"#)), "{form}");
            let hidden = form.split(r#"<input type="hidden" name=""#).skip(1).filter_map(|input| input.split_once(r#"" value=""#));
            let hidden = hidden.map(|(name, rest)| (name.to_owned(), rest.split('"').next().unwrap().to_owned()));
            Some(hidden.filter(|(name, _)| name != "csrf").collect::<Vec<_>>())
        };
        let wish = form("00156500000a").unwrap();
        assert_eq!(wish, [("model".to_owned(), "yealink/t46s".to_owned()), ("address".to_owned(), "1".to_owned())]);
        for mac in ["00156500000a", "00156500000b"] {
            page.shows(&format!(r#"href="/phones/waiting/{mac}""#));
        }
        assert_eq!(form("00156500000b"), None, "nobody knows what it is");
        let wish: Vec<(&str, &str)> = wish.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let adopted = admin.post("/phones/waiting/00156500000a", &wish).await;
        assert_eq!((adopted.status, adopted.location()), (303, "/phones/00156500000a"), "{adopted:?}");
        admin.get("/phones/00156500000a").await.shows("192.0.2.10");
        let phone = app.texts("SELECT vendor || ' ' || model || ' ' || subnet_id FROM phone WHERE enrol_until > 0").await;
        assert_eq!(phone, [format!("yealink t46s {subnet}")]);
        assert_eq!(app.number("SELECT count(*) FROM phone_line").await, 0);

        // No address is left: the form says so, and is filled in as the button was.
        asks(&app, "00156500000c", T46S, "192.0.2.79").await;
        app.sql(&format!("DELETE FROM pool WHERE subnet_id = '{subnet}'")).await;
        admin.get("/phones/waiting").await.shows(r#"id="adopt-00156500000c""#);
        let refused = admin.post("/phones/waiting/00156500000c", &wish).await;
        assert!([409, 422].contains(&refused.status), "{refused:?}");
        refused.shows(r#"role="alert""#);
        refused.shows(r#"value="yealink/t46s" selected"#);
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 1);
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        auditor.get("/phones/waiting").await.hides("adopt-00156500000c");
    }

    async fn a_phone_is_at_the_site_of_the_subnet_it_was_adopted_in_and_has_its_clock(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let subnet = enrolling(&app, "192.0.2.0/24").await;
        app.sql(&format!("UPDATE subnet SET site = 'Tokyo', site_key = 'tokyo' WHERE id = '{subnet}'")).await;
        for form in [
            vec![("name", "All"), ("scope", "tenant"), ("time.zone", "Europe/Lisbon"), ("time.server", "ntp.example")],
            vec![("name", "There"), ("scope", "site"), ("site", "tokyo"), ("time.zone", "Asia/Tokyo"), ("time.server", "ntp.tokyo.example")],
        ] {
            assert_eq!(admin.post("/phones/profiles", &form).await.status, 303);
        }
        asks(&app, "00156500000a", T46S, "192.0.2.77").await;
        admin.get("/phones/waiting/00156500000a").await.shows("phones 192.0.2.0/24, Tokyo");
        assert_eq!(admin.post("/phones/waiting/00156500000a", &[("model", "yealink/t46s")]).await.status, 303);
        // It was only adopted: it stands there because its subnet does.
        assert_eq!(app.texts("SELECT p.site || w.site FROM phone p JOIN phone_whereabouts w ON w.mac = p.mac").await, ["Tokyo"]);
        let elsewhere = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        let mut tx = app.state.read().await.unwrap();
        let there = "00156500000a".parse().unwrap();
        let there = patchbay::phones::secrets(&mut tx, &app.state.vault, TenantId::DEFAULT, there).await.unwrap().unwrap();
        drop(tx);
        for (token, server, zone) in [(there.token, "ntp.tokyo.example", "+9"), (elsewhere.token, "ntp.example", "+0")] {
            let file = app.ask("GET", &format!("/provision/{token}/y000000000066.cfg")).send().await;
            file.shows(&format!("local_time.ntp_server1 = {server}\n"));
            file.shows(&format!("local_time.time_zone = {zone}\n"));
        }
    }

    async fn a_dismissed_phone_is_back_when_it_asks_again(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        enrolling(&app, "192.0.2.0/24").await;
        asks(&app, "00156500000a", T46S, "192.0.2.77").await;
        admin.get("/phones/waiting").await.shows("00:15:65:00:00:0a");
        let done = admin.post("/phones/waiting/00156500000a/dismissal", &[]).await;
        assert_eq!(done.location(), "/phones/waiting");
        admin.get("/phones/waiting").await.shows("No phone waits");
        asks(&app, "00156500000a", T46S, "192.0.2.77").await;
        admin.get("/phones/waiting").await.shows("00:15:65:00:00:0a");
    }

    async fn phones_enrol_where_somebody_chose(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let subnet = enrolling(&app, "192.0.2.0/24").await.to_string();
        let page = admin.get("/phones/enrolment").await;
        assert_eq!(page.text.matches(" checked").count(), 1);
        admin.post("/phones/enrolment", &[]).await;
        assert_eq!(app.number("SELECT count(*) FROM enrolment_subnet").await, 0);
        admin.post("/phones/enrolment", &[("id", &subnet)]).await;
        assert_eq!(app.texts("SELECT subnet_id FROM enrolment_subnet").await, std::slice::from_ref(&subnet));
        let audit = app.texts("SELECT before_json || after_json FROM audit_event WHERE action = 'enrolment.subnets' ORDER BY seq").await;
        assert_eq!(audit, [r#"{"subnets":"192.0.2.0/24"}{"subnets":""}"#, r#"{"subnets":""}{"subnets":"192.0.2.0/24"}"#]);
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        assert_eq!(other.post("/phones/enrolment", &[("id", &subnet)]).await.status, 404);
        other.get("/phones/enrolment").await.hides("192.0.2.0/24");
    }

    async fn a_window_is_shown_with_its_end_and_can_be_closed(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        let path = "/phones/001565aabbcc/enrolment";
        assert_eq!(admin.post(path, &[("length", "2 years")]).await.status, 400);
        for (length, until) in [("15m", "22:28"), ("1h", "23:13"), ("24h", "22:13")] {
            assert_eq!(admin.post(path, &[("length", length)]).await.status, 303);
            admin.get("/phones/001565aabbcc/requests").await.shows(&format!("{until}</span>: the first fetch"));
        }
        admin.post(path, &[("length", "")]).await;
        admin.get("/phones/001565aabbcc/requests").await.shows("closed: only with its token or password");
        let did = app.texts("SELECT action FROM audit_event WHERE action LIKE 'enrolment%' ORDER BY seq").await;
        assert_eq!(did, ["enrolment.opened", "enrolment.opened", "enrolment.opened", "enrolment.closed"]);
    }

    async fn a_phones_page_says_whether_it_has_the_current_file(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        let page = "/phones/001565aabbcc/requests";
        admin.get(page).await.shows("never fetched");
        let path = format!("/provision/{}/001565aabbcc.cfg", keys.token);
        app.ask("GET", &path).send().await;
        admin.get(page).await.shows("has the current file");
        app.pass(60);
        let ann = admin.add("Ann", "ann@example.com", "1000").await;
        app.sql(&format!("INSERT INTO phone_line (mac, line, tenant_id, user_id, label) SELECT '001565aabbcc', 1, tenant_id, id, '' FROM users WHERE id = '{ann}'")).await;
        app.sql(&format!("UPDATE phone SET updated_at = {}", app.state.clock.now().0)).await;
        admin.get(page).await.shows("has not fetched the change of 2023-11-14 22:14 yet");
        app.ask("GET", &path).send().await;
        admin.get(page).await.shows("has the current file");
    }

    async fn a_change_of_what_a_model_has_in_common_makes_its_phones_outdated(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        let get = |name: &str| app.ask("GET", &format!("/provision/{}/{name}", keys.token)).send();
        let (page, all) = ("/phones/001565aabbcc/requests", "/phones/notify");
        let own = get("001565aabbcc.cfg").await;
        admin.get(page).await.shows("has the current file");
        get("y000000000066.cfg").await;
        admin.get(page).await.shows("has the current file");
        admin.get(all).await.shows("Every phone that ever fetched its file");
        // The time zone stands in the common file alone.
        let zone = [("name", "All"), ("scope", "tenant"), ("time.zone", "Asia/Tokyo")];
        assert_eq!(admin.post("/phones/profiles", &zone).await.status, 303);
        admin.get(page).await.shows("has not fetched");
        admin.get(all).await.shows("<b>1</b> phone would get another file");
        assert_eq!(get("001565aabbcc.cfg").await.header("etag"), own.header("etag"));
        admin.get(page).await.shows("has not fetched");
        get("y000000000066.cfg").await;
        admin.get(page).await.shows("has the current file");
        admin.get(all).await.shows("Every phone that ever fetched its file");
    }

    async fn what_phones_do_well_without_is_no_failure(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        for name in ["001565aabbcc.boot", "T46S-66.86.0.15.rom", "001565aabbcc-local.cfg"] {
            let path = format!("/provision/{}/{name}", keys.token);
            assert_eq!(app.ask("GET", &path).at_peer("192.0.2.9").send().await.status, 404);
        }
        let page = admin.get("/phones/requests").await;
        assert_eq!(page.text.matches(r#"<span class="st off">unneeded</span>"#).count(), 3);
        page.hides("Asked in vain");
        admin.get("/phones/requests/table?outcome=unneeded").await.shows("001565aabbcc.boot");
        admin.get("/phones/requests/table?outcome=unknown").await.shows("Nothing matches");
        // A file nobody asks for is one.
        let path = format!("/provision/{}/nothing.xyz", keys.token);
        app.ask("GET", &path).send().await;
        admin.get("/phones/requests/table?outcome=unknown").await.shows("(not a file name)");
    }

    async fn each_step_of_enrolment_is_a_call_too(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "1000").await;
        let subnet = enrolling(&app, "192.0.2.0/24").await.to_string();
        let script = app.script(Role::Operator).await;
        let places = "/api/v1/phones/enrolment-subnets";
        let none = script.send("PUT", places, &json!({ "subnets": [] })).await.json();
        assert_eq!((none[0]["id"].as_str(), none[0]["chosen"].as_bool()), (Some(subnet.as_str()), Some(false)));
        let wrong = script.send("PUT", places, &json!({ "subnets": ["x"] })).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.json()["errors"]["subnets"].is_string(), "{wrong:?}");
        script.send("PUT", places, &json!({ "subnets": [subnet] })).await;
        assert_eq!(script.get(places).await.json()[0]["chosen"], true);

        for mac in ["00156500000a", "00156500000b"] {
            asks(&app, mac, T46S, "192.0.2.77").await;
        }
        let list = script.get("/api/v1/phones/waiting").await.json();
        assert_eq!((list["total"].as_i64(), list["phones"][0]["model"].as_str()), (Some(2), Some("t46s")));
        let other = "/api/v1/phones/waiting/00:15:65:00:00:0b";
        assert_eq!(script.send("DELETE", other, &json!({})).await.status, 204);
        assert_eq!(script.send("DELETE", other, &json!({})).await.status, 404);

        let adoption = "/api/v1/phones/waiting/00156500000a/adoption";
        for (wish, field) in [
            (json!({ "extension": "1999" }), "extension"), (json!({ "extension": "x" }), "extension"),
            (json!({ "model": "t1000" }), "model"), (json!({ "vendor": "nobody" }), "vendor"),
        ] {
            let refused = script.send("POST", adoption, &wish).await;
            assert_eq!(refused.status, 422, "{wish}");
            assert!(refused.json()["errors"][field].is_string(), "{refused:?}");
        }
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        let wish = json!({ "label": "Lobby", "extension": "1000", "static_ip": true });
        let made = script.send("POST", adoption, &wish).await;
        assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/phones/00156500000a")), "{made:?}");
        assert!(made.json()["open_until"].is_string());
        let phone = script.get("/api/v1/phones/00156500000a").await.json();
        assert_eq!((phone["label"].as_str(), phone["lines"][0]["extension"].as_i64()), (Some("Lobby"), Some(1000)));
        assert!(phone["static_ip"].is_string());
        let file = app.ask("GET", "/provision/00156500000a.cfg").header("user-agent", T46S).at_peer("192.0.2.77");
        assert_eq!(file.send().await.status, 200);

        // It was reset: whoever may describe phones lets it enrol again.
        let helpdesk = app.script(Role::Helpdesk).await;
        let window = "/api/v1/phones/00156500000a/enrolment";
        assert!(helpdesk.get(window).await.json()["open_until"].is_null());
        assert_eq!(helpdesk.send("PUT", window, &json!({ "length": "2 years" })).await.status, 422);
        assert!(helpdesk.send("PUT", window, &json!({ "length": "15m" })).await.json()["open_until"].is_string());
        assert_eq!(helpdesk.send("DELETE", window, &json!({})).await.status, 204);
        assert!(helpdesk.get(window).await.json()["open_until"].is_null());
        assert_eq!(helpdesk.send("POST", adoption, &json!({})).await.status, 403);
        let helen = app.signed_in("helen", Role::Helpdesk).await;
        helen.get("/phones/00156500000a/requests").await.shows("Let it enrol for");
    }

    async fn requests_are_found_by_what_came_of_them_by_phone_address_and_day(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        app.ask("GET", &format!("/provision/{}/001565aabbcc.cfg", keys.token)).at_peer("192.0.2.1").send().await;
        asks(&app, "00156500000a", T46S, "192.0.2.2").await;
        for (query, shown, hidden) in [
            ("outcome=served", "00:15:65:aa:bb:cc", "00:15:65:00:00:0a"),
            ("mac=0015.6500.000a", "00:15:65:00:00:0a", "00:15:65:aa:bb:cc"),
            ("from=2023-11-14&until=2023-11-14", "00:15:65:aa:bb:cc", "Nothing matches"),
            ("until=2023-11-13", "Nothing matches", "00:15:65:aa:bb:cc"),
        ] {
            let table = admin.get(&format!("/phones/requests/table?{query}")).await;
            table.shows(shown);
            table.hides(hidden);
        }
        let table = admin.get("/phones/requests/table?address=192.0.2.2").await;
        table.shows("00:15:65:00:00:0a");
        table.hides("00:15:65:aa:bb:cc");
    }

    async fn a_hand_out_says_whose_phone_it_is_and_no_secret(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann O'Neil", "ann@example.com", "1000").await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        app.sql(&format!("INSERT INTO phone_line (mac, line, tenant_id, user_id, label) SELECT '001565aabbcc', 1, tenant_id, id, '' FROM users WHERE id = '{ann}'")).await;
        app.sql("INSERT INTO phone_setting (mac, key, value) VALUES ('001565aabbcc', 'voicemail.number', '*97')").await;
        let page = admin.get("/phones/001565aabbcc/handout").await;
        for text in ["Ann O'Neil", "1000", "*97", "SIP-T46S", "/phones/001565aabbcc/qr.svg"] {
            page.shows(text);
        }
        for secret in [&keys.token, &keys.http_password, &keys.web_password] {
            page.hides(secret);
        }
        page.shows("<dd>dial <b>*8</b> and the extension");
        app.sql("INSERT INTO phone_key (mac, position, kind, line, value, label) VALUES ('001565aabbcc', 3, 'blf', 1, '1001', 'Bob')").await;
        let page = admin.get("/phones/001565aabbcc/handout").await;
        page.shows("press the key that blinks, or dial <b>*8</b> and the extension");
        phone(&app, TenantId::DEFAULT, "001565aabbcd").await;
        let both = admin.get("/phones/handouts?mac=001565aabbcc&mac=00:15:65:aa:bb:cd").await;
        assert_eq!(both.text.matches("card handout").count(), 2);
        let code = admin.get("/phones/001565aabbcc/qr.svg").await;
        assert_eq!(code.header("content-type"), Some("image/svg+xml"));
        assert!(code.text.contains("<svg") && !code.text.contains(&keys.token));
        for other in ["00:15:65:aa:bb:cc", "00-15-65-AA-BB-CC", "0015.65aa.bbcc", "001565AABBCC", "00%3A15%3A65%3Aaa%3Abb%3Acc"] {
            for page in ["", "/handout", "/requests?size=50", "/files", "/edit", "/keys", "/settings", "/files/001565aabbcc.cfg"] {
                let answer = admin.get(&format!("/phones/{other}{page}")).await;
                assert_eq!((answer.status, answer.location()), (303, format!("/phones/001565aabbcc{page}").as_str()), "one phone, one address");
            }
        }
        assert_eq!(admin.get("/phones/waiting/00:15:65:AA:BB:01").await.location(), "/phones/waiting/001565aabb01");
    }

    async fn a_dhcp_server_is_told_options_here_and_reservations_in_one_place(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        enrolling(&app, "192.0.2.0/24").await;
        asks(&app, "00156500000a", T46S, "192.0.2.77").await;
        app.provisioner.flush().await.unwrap();
        let wish = [("model", "yealink/t46s"), ("address", "1")];
        assert_eq!(admin.post("/phones/waiting/00156500000a", &wish).await.status, 303);
        let page = admin.get("/phones/dhcp").await;
        for text in ["http://patchbay.test/provision/", "$MA.xml", "$mac.cfg", r#"href="/dhcp/export""#] {
            page.shows(text);
        }
        let rows = page.text.split("<tr>").skip(1).map(|row| {
            let option = row.split_once(r#"data-label="option">"#)?.1.split('<').next()?;
            let value = row.split_once("<code>")?.1.split('<').next()?;
            Some((option.to_owned(), value.to_owned()))
        });
        let rows: Vec<(String, String)> = rows.flatten().collect();
        for (option, values) in [
            ("160", vec!["http://patchbay.test/provision/", "http://patchbay.test/provision/$MA.xml"]),
            ("43", vec!["http://patchbay.test/provision/"; 3].into_iter().chain(["http://patchbay.test/provision/$mac.cfg"]).collect()),
        ] {
            let said: Vec<&str> = rows.iter().filter(|row| row.0 == option).map(|row| row.1.as_str()).collect();
            assert_eq!(said, values, "option {option}");
        }
        admin.get("/dhcp/export").await.shows(r#"href="/phones/dhcp""#);
        admin.get("/dhcp/export/isc").await.shows("hardware ethernet 00:15:65:00:00:0a; fixed-address 192.0.2.10;");
        admin.get("/dhcp/export/dnsmasq").await.shows("dhcp-host=00:15:65:00:00:0a,192.0.2.10");
        assert_eq!(admin.get("/phones/dhcp/isc").await.status, 404);
    }

    async fn scripts_read_the_same(app: TestApp) {
        let script = app.script(Role::Auditor).await;
        let keys = phone(&app, TenantId::DEFAULT, "001565aabbcc").await;
        app.ask("GET", &format!("/provision/{}/001565aabbcc.cfg", keys.token)).header("user-agent", "x").send().await;
        asks(&app, "00156500000a", T46S, "192.0.2.2").await;
        for base in ["/api/provisioning", "/api/v1/phones"] {
            let vendors = script.get(&format!("{base}/vendors")).await.json();
            assert!(vendors["vendors"].as_array().unwrap().len() == 7 && vendors["models"]["yealink"].as_array().unwrap().contains(&"t46s".into()));
            let requests = script.get(&format!("{base}/requests?limit=1")).await.json();
            assert_eq!((requests["total"].as_i64(), requests["limit"].as_i64()), (Some(2), Some(1)));
            assert_eq!(requests["requests"].as_array().unwrap().len(), 1);
            let all = script.get(&format!("{base}/requests")).await.json();
            let all = all["requests"].as_array().unwrap();
            let served = all.iter().find(|request| request["success"] == true).unwrap();
            assert_eq!((served["mac"].as_str(), served["ip"].as_str()), (Some("00:15:65:aa:bb:cc"), Some("192.0.2.1")));
            assert!(served["config_size"].as_i64().unwrap() > 0 && served["error"].is_null());
            let diagnostics = script.get(&format!("{base}/diagnostics")).await.json();
            assert_eq!(diagnostics["phones"], 1);
            assert_eq!(diagnostics["url_format"], "http://patchbay.test/provision/{token}/{file}");
            let settings = script.get(&format!("{base}/settings")).await.json();
            assert_eq!((settings["server_ip"].as_str(), settings["port"].as_i64()), (Some("patchbay.test"), Some(80)));
            assert!(!script.get(&format!("{base}/requests")).await.text.contains(&keys.token));
        }
        let templates = script.get("/api/provisioning/templates").await.json();
        assert!(templates["total"].as_i64().unwrap() >= 15);
        // Those which that system had.
        let vendors = script.get("/api/provisioning/vendors").await.json();
        for (vendor, models) in [
            ("zultys", &["zip33g", "zip37g"][..]),
            ("yealink", &["t23g", "t28g", "t33g", "t46s"]),
            ("polycom", &["vvx450"]),
            ("cisco", &["spa504g", "spa112", "spa122", "ata191", "ata192"]),
            ("grandstream", &["gxp2170", "ht801", "ht802"]),
        ] {
            for model in models {
                assert!(vendors["models"][vendor].as_array().unwrap().contains(&json!(model)), "{vendor} {model}");
                let there = templates["templates"].as_array().unwrap();
                assert!(there.iter().any(|one| one["vendor"] == vendor && one["model"] == *model), "{vendor} {model}");
            }
        }
        assert_eq!(script.get("/api/provisioning/requests?limit=x").await.status, 400);
    }
}
