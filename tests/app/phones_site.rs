//! At which site a phone stands, and so whose clock it has: its own, else its subnet's, however it
//! came there.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::phones;
use serde_json::{Value, json};

use crate::phones::mac;
use crate::support::app::{Browser, Script, TestApp, both_databases};

/// A subnet at a site, with room for static addresses; its id.
async fn subnet(script: &Script<'_>, name: &str, net: &str, site: &str) -> String {
    let pool = format!("{net}.10-{net}.99");
    let body = json!({ "name": name, "cidr": format!("{net}.0/24"), "site": site, "static_pools": [pool] });
    let made = script.send("POST", "/api/v1/subnets", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Moves a subnet to another site.
async fn moves(script: &Script<'_>, subnet: &str, site: &str) {
    let answer =
        script.send("PATCH", &format!("/api/v1/subnets/{subnet}"), &json!({ "site": site })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Profiles for everybody, for Tokyo and for Porto, each with a time server of its own.
async fn clocks(admin: &Browser<'_>) {
    for (name, scope, site, zone) in [
        ("All", "tenant", "", "Europe/Lisbon"),
        ("There", "site", "tokyo", "Asia/Tokyo"),
        ("Here", "site", "Porto", "Europe/Lisbon"),
    ] {
        let server = format!("ntp.{}.example", name.to_lowercase());
        let form = [
            ("name", name),
            ("scope", scope),
            ("site", site),
            ("time.zone", zone),
            ("time.server", &server),
        ];
        assert_eq!(admin.post("/phones/profiles", &form).await.status, 303);
    }
}

/// Fetches the phone's files; the one that has the clock.
async fn file(app: &TestApp, phone: &str) -> String {
    let mut tx = app.state.read().await.unwrap();
    let keys = phones::secrets(&mut tx, &app.state.vault, TenantId::DEFAULT, mac(phone)).await;
    drop(tx);
    let token = keys.unwrap().unwrap().token;
    let fetch =
        async |name: &str| app.ask("GET", &format!("/provision/{token}/{name}.cfg")).send().await;
    assert_eq!(fetch(phone).await.status, 200);
    let clock = fetch("y000000000066").await.text;
    app.provisioner.flush().await.unwrap();
    clock
}

/// Its own site, the one it stands at, and who says that.
async fn site(script: &Script<'_>, phone: &str) -> (Value, Value, Value) {
    let said = script.get(&format!("/api/v1/phones/{phone}")).await.json();
    (said["site"].clone(), said["effective_site"].clone(), said["site_origin"].clone())
}

/// The MACs of the phones at a site, in their order.
async fn at(script: &Script<'_>, site: &str) -> Vec<String> {
    listed(script, &format!("site={site}")).await
}

/// The MACs of the phones of a list, in their order.
async fn listed(script: &Script<'_>, asked: &str) -> Vec<String> {
    let found = script.get(&format!("/api/v1/phones?sort=mac&{asked}")).await.json();
    let phones = found["phones"].as_array().unwrap();
    assert_eq!(found["total"], json!(phones.len()), "{found}");
    let macs = phones.iter().map(|phone| phone["mac"].as_str().unwrap().replace(':', ""));
    macs.collect()
}

const FORM: &str = "001565000001";
const CALL: &str = "001565000002";
const OLD_CALL: &str = "001565000003";
const IMPORT: &str = "001565000004";
const ADOPTED: &str = "001565000005";

/// A phone with a static address in the subnet `Voice`, added in each way there is.
async fn added_in_every_way(app: &TestApp, admin: &Browser<'_>, script: &Script<'_>, voice: &str) {
    let form = [
        ("mac", FORM),
        ("model", "yealink/t46s"),
        ("who", "none"),
        ("address", "next"),
        ("subnet", "voice"),
    ];
    assert_eq!(admin.post("/phones", &form).await.status, 303);

    let body = json!({ "mac": CALL, "model": "t46s", "static_ip": "10.0.0.20" });
    assert_eq!(script.send("POST", "/api/v1/phones", &body).await.status, 201);

    admin.add("Ann", "ann@example.com", "1000").await;
    let body = json!({ "mac_address": OLD_CALL, "extension_number": "1000", "vendor": "yealink", "model": "t46s" });
    assert_eq!(script.send("POST", "/api/provisioning/devices", &body).await.status, 201);
    let path = format!("/api/provisioning/devices/{OLD_CALL}/static-ip");
    assert_eq!(script.send("POST", &path, &json!({ "static_ip": "10.0.0.30" })).await.status, 200);

    let text = format!("mac,model,static_ip\n{IMPORT},t46s,10.0.0.40\n");
    admin
        .post("/phones/import", &[("text", &text), ("confirmed", "1")])
        .await
        .shows("<b>1</b> phone added");

    app.sql(&format!("INSERT INTO enrolment_subnet (subnet_id, tenant_id) SELECT id, tenant_id FROM subnet WHERE id = '{voice}'")).await;
    let agent = "Yealink SIP-T46S 66.86.0.15 ";
    let ask = app.ask("GET", &format!("/provision/{ADOPTED}.cfg")).header("user-agent", agent);
    assert_eq!(ask.at_peer("10.0.0.177").send().await.status, 404);
    let path = format!("/api/v1/phones/waiting/{ADOPTED}/adoption");
    let adopted = script.send("POST", &path, &json!({ "static_ip": true })).await;
    assert_eq!(adopted.status, 201, "{adopted:?}");
}

both_databases! {
    async fn a_phone_with_an_address_is_at_the_site_of_its_subnet_however_it_was_added(app: TestApp) {
        let (admin, script) = (app.signed_in("admin", Role::Admin).await, app.script(Role::Admin).await);
        let voice = subnet(&script, "Voice", "10.0.0", "Tokyo").await;
        clocks(&admin).await;
        added_in_every_way(&app, &admin, &script, &voice).await;
        let all = [FORM, CALL, OLD_CALL, IMPORT, ADOPTED];
        for phone in all {
            assert_eq!(site(&script, phone).await, (json!(""), json!("Tokyo"), json!("subnet")), "{phone}");
            let file = file(&app, phone).await;
            assert!(file.contains("local_time.ntp_server1 = ntp.there.example\n"), "{phone}: {file}");
            assert!(file.contains("local_time.time_zone = +9\n"), "{phone}: {file}");
            // Where it comes from stands beside it, also where the settings are edited.
            for page in [format!("/phones/{phone}"), format!("/phones/{phone}/settings")] {
                let page = admin.get(&page).await;
                page.shows(&format!(r#"<a href="/phones?site=Tokyo">Tokyo</a> <span class="soft">the site of <a href="/ipam/subnets/{voice}">Voice</a></span>"#));
                page.shows("profile There");
            }
        }
        assert_eq!(app.number("SELECT count(*) FROM phone WHERE site <> ''").await, 0);
        assert_eq!(at(&script, "TOKYO").await, all);
        assert_eq!(at(&script, "Porto").await, [""; 0]);
        let list = admin.get("/phones?site=tokyo").await;
        list.shows("<option selected>Tokyo</option>");
        admin.get("/phones/profiles").await.shows(r#"data-label="phones">5</td>"#);

        // A file out and in again makes the subnet's site nobody's own.
        let exported = admin.get("/phones.csv").await;
        admin.post("/phones/import", &[("text", &exported.text), ("confirmed", "1")]).await
            .shows("Nothing in the file differs from what is here.");
    }

    async fn what_a_phone_says_of_its_site_itself_counts_more(app: TestApp) {
        let (admin, script) = (app.signed_in("admin", Role::Admin).await, app.script(Role::Admin).await);
        subnet(&script, "Voice", "10.0.0", "Tokyo").await;
        subnet(&script, "Attic", "10.0.1", "").await;
        clocks(&admin).await;
        for (n, own, address) in [(1, "Porto", json!("10.0.0.20")), (2, "", json!("10.0.0.21")), (3, "", json!("10.0.1.20")), (4, "", Value::Null)] {
            let body = json!({ "mac": format!("00156500000{n}"), "model": "t46s", "site": own, "static_ip": address });
            assert_eq!(script.send("POST", "/api/v1/phones", &body).await.status, 201);
        }
        assert_eq!(site(&script, FORM).await, (json!("Porto"), json!("Porto"), json!("phone")));
        assert_eq!(site(&script, OLD_CALL).await, (json!(""), json!(""), Value::Null));
        assert_eq!(site(&script, IMPORT).await, (json!(""), json!(""), Value::Null));
        for (phone, server) in [(FORM, "here"), (CALL, "there"), (OLD_CALL, "all"), (IMPORT, "all")] {
            assert!(file(&app, phone).await.contains(&format!("= ntp.{server}.example\n")), "{phone}");
        }
        admin.get(&format!("/phones/{FORM}")).await.hides("the site of");
        admin.get(&format!("/phones/{IMPORT}")).await.shows("not said");
        let sorted = script.get("/api/v1/phones?sort=-site").await.json();
        let sites: Vec<&str> = sorted["phones"].as_array().unwrap().iter().map(|phone| phone["effective_site"].as_str().unwrap()).collect();
        assert_eq!(sites, ["Tokyo", "Porto", "", ""]);
        for (asked, found) in [
            ("q=Toky", &[CALL][..]),
            ("q=port", &[FORM]),
            ("q=o", &[FORM, CALL]),
            ("q=toky&state=no_line", &[CALL]),
            ("q=toky&state=no_address", &[]),
            ("q=Attic", &[]),
        ] {
            assert_eq!(listed(&script, asked).await, found, "{asked}");
        }

        // Without one of its own it is again where its subnet is.
        let path = format!("/api/v1/phones/{FORM}");
        assert_eq!(script.send("PATCH", &path, &json!({ "site": "" })).await.status, 200);
        assert_eq!(site(&script, FORM).await.1, json!("Tokyo"));
        assert_eq!(at(&script, "tokyo").await, [FORM, CALL]);
        assert_eq!(listed(&script, "q=tokyo").await, [FORM, CALL]);
    }

    async fn a_phone_follows_its_subnet_to_another_site_and_its_address_to_another_subnet(app: TestApp) {
        let (admin, script) = (app.signed_in("admin", Role::Admin).await, app.script(Role::Admin).await);
        let voice = subnet(&script, "Voice", "10.0.0", "Tokyo").await;
        subnet(&script, "Attic", "10.0.1", "Porto").await;
        clocks(&admin).await;
        for (phone, address) in [(FORM, "10.0.0.20"), (CALL, "10.0.0.90")] {
            let body = json!({ "mac": phone, "model": "t46s", "static_ip": address });
            assert_eq!(script.send("POST", "/api/v1/phones", &body).await.status, 201);
            assert!(file(&app, phone).await.contains("ntp.there.example"));
        }
        admin.get("/phones/notify").await.hides("would get another file");
        moves(&script, &voice, "Porto").await;
        assert!(file(&app, FORM).await.contains("ntp.here.example"));
        admin.get("/phones/notify").await.shows("<b>1</b> phone would get another file");
        moves(&script, &voice, "Tokyo").await;
        admin.get("/phones/notify").await.shows("<b>1</b> phone would get another file");

        // Another address.
        let body = json!({ "static_ip": "10.0.1.20", "subnet": "Attic" });
        assert_eq!(script.send("PATCH", &format!("/api/v1/phones/{CALL}"), &body).await.status, 200);
        assert_eq!(site(&script, CALL).await.1, json!("Porto"));

        // Another subnet around the address, of which the phone was told nothing.
        let body = json!({ "name": "Corner", "cidr": "10.0.0.16/28", "site": "Porto", "nest": true, "force": true });
        let made = script.send("POST", "/api/v1/subnets", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(site(&script, FORM).await.1, json!("Porto"));
        admin.get(&format!("/phones/{FORM}")).await.shows(">Corner</a>");

        // Without an address it is where it is to have one.
        assert_eq!(script.send("PATCH", &format!("/api/v1/phones/{FORM}"), &json!({ "static_ip": null })).await.status, 200);
        assert_eq!(site(&script, FORM).await.1, json!("Tokyo"));
    }

    async fn asterisk_is_to_be_told_when_the_subnets_site_changes_what_it_is_told(app: TestApp) {
        let (admin, script) = (app.signed_in("admin", Role::Admin).await, app.script(Role::Admin).await);
        let voice = subnet(&script, "Voice", "10.0.0", "Tokyo").await;
        script.add("Ann", "ann@example.com").await;
        let body = json!({ "mac": FORM, "model": "t46s", "static_ip": "10.0.0.20", "lines": [{ "line": 1, "extension": 1000 }] });
        assert_eq!(script.send("POST", "/api/v1/phones", &body).await.status, 201);
        let pending = async || app.number("SELECT count(*) FROM audit_event WHERE affects_asterisk").await;
        let encrypted = async || {
            script.get("/api/v1/apply/preview").await.json()["files"].to_string().contains("media_encryption = sdes")
        };
        let form = [("name", "Here"), ("scope", "site"), ("site", "Porto"), ("sip.srtp", "on")];
        assert_eq!(admin.post("/phones/profiles", &form).await.status, 303);
        let before = pending().await;
        moves(&script, &voice, "Lisbon").await;
        assert_eq!((pending().await, encrypted().await), (before, false), "nobody says anything of it");
        moves(&script, &voice, "Porto").await;
        assert_eq!((pending().await, encrypted().await), (before + 1, true));
        let body = json!({ "name": "Corner", "cidr": "10.0.0.16/28", "site": "Lisbon", "nest": true, "force": true });
        assert_eq!(script.send("POST", "/api/v1/subnets", &body).await.status, 201);
        assert_eq!((pending().await, encrypted().await), (before + 2, false), "its address is elsewhere now");
    }
}
