//! What Asterisk is told of phones, and that the log says so only when it is.

use patchbay::auth::Role;
use patchbay::phones::Vendor;

use crate::phones::{T46S, add, new};
use crate::support::app::{Browser, TestApp, both_databases};

async fn pending(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM audit_event WHERE affects_asterisk").await
}

/// What the next Apply would write.
async fn preview(app: &TestApp, token: &str) -> String {
    let answer = app.ask("GET", "/api/v1/apply/preview").token(token).send().await;
    answer.json()["files"].to_string()
}

async fn setting(admin: &Browser<'_>, mac: &str, key: &str, value: &str) {
    let page = admin.get(&format!("/phones/{mac}/settings")).await;
    let version = page.between(r#"name="version" value=""#, "\"").to_owned();
    let form = [(key, value), ("version", version.as_str())];
    let answer = admin.post(&format!("/phones/{mac}/settings"), &form).await;
    assert_eq!(answer.status, 303, "{answer:?}");
}

both_databases! {
    async fn a_phone_that_cannot_be_told_to_encrypt_is_not_insisted_on(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let token = app.token_of("admin", Role::Admin, None).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new("0002fd000001", (Vendor::Cisco, "spa504g"), &[&ann])).await.unwrap();
        let page = "/phones/0002fd000001/settings";
        let version = admin.get(page).await.between(r#"name="version" value=""#, "\"").to_owned();
        let refused = admin.post(page, &[("sip.srtp", "on"), ("version", &version)]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.field_error("sip.srtp").contains("encrypt speech"), "{refused:?}");
        let model = [("name", "SPA"), ("scope", "model"), ("model", "cisco/spa504g"), ("sip.srtp", "on")];
        assert_eq!(admin.post("/phones/profiles", &model).await.status, 422);
        // By a profile for all it is left out, on both sides.
        let all = [("name", "All"), ("scope", "tenant"), ("sip.srtp", "on")];
        assert_eq!(admin.post("/phones/profiles", &all).await.status, 303);
        assert!(!preview(&app, &token).await.contains("media_encryption"));
        let script = app.script(Role::Auditor).await;
        let settings = script.get("/api/v1/phones/0002fd000001/settings").await.json();
        let srtp = settings.as_array().unwrap().iter().find(|setting| setting["key"] == "sip.srtp").unwrap();
        assert_eq!((srtp["value"].as_str(), srtp["origin"].as_str()), (Some("off"), Some("usual")));
    }

    async fn settings_that_asterisk_needs_reach_the_phones_numbers_and_no_others_do(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let token = app.token_of("admin", Role::Admin, None).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        let before = (pending(&app).await, preview(&app, &token).await);
        assert!(before.1.contains("[1000-auth](patchbay-auth)"), "{}", before.1);

        // A phone, its name, another port: nothing of Asterisk's.
        add(&app, &new("001565000001", T46S, &[&ann])).await.unwrap();
        add(&app, &new("001565000002", T46S, &[&bob])).await.unwrap();
        setting(&admin, "001565000001", "sip.port", "5070").await;
        setting(&admin, "001565000001", "sip.digest", "sha256").await;
        assert_eq!((pending(&app).await, preview(&app, &token).await), before);

        setting(&admin, "001565000001", "sip.digest", "md5").await;
        assert_eq!(pending(&app).await, before.0 + 1);
        let files = preview(&app, &token).await;
        assert!(files.contains("[patchbay-auth-md5](!)") && files.contains("[1000-auth](patchbay-auth-md5)"), "{files}");
        assert!(files.contains("[1001-auth](patchbay-auth)"));
        assert!(!files.contains("media_encryption"));
        setting(&admin, "001565000002", "sip.srtp", "on").await;
        assert!(preview(&app, &token).await.contains("media_encryption = sdes"));

        // By a profile: for both, and only for those that do not say otherwise themselves.
        setting(&admin, "001565000001", "sip.srtp", "off").await;
        setting(&admin, "001565000002", "sip.srtp", "").await;
        let (changes, files) = (pending(&app).await, preview(&app, &token).await);
        assert!(!files.contains("media_encryption"));
        admin.post("/phones/profiles", &[("name", "All"), ("scope", "tenant"), ("sip.srtp", "on")]).await;
        assert_eq!(pending(&app).await, changes + 1);
        assert_eq!(preview(&app, &token).await.matches("media_encryption = sdes").count(), 1);
        admin.post("/phones/profiles", &[("name", "Here"), ("scope", "site"), ("site", "Lisbon"), ("sip.srtp", "off")]).await;
        assert_eq!(pending(&app).await, changes + 1, "nobody is there");
        admin.post("/phones/bulk", &[("id", "001565000002"), ("confirmed", "1"), ("set_site", "1"), ("site", "lisbon")]).await;
        assert_eq!(pending(&app).await, changes + 2, "now the phone is");
        assert!(!preview(&app, &token).await.contains("media_encryption"));

        // The one challenged with MD5 goes: its number is as usual again.
        admin.post("/phones/deletion", &[("id", "001565000001"), ("confirmed", "1")]).await;
        assert_eq!(pending(&app).await, changes + 3);
        assert_eq!(preview(&app, &token).await, before.1);
        admin.post("/phones/deletion", &[("id", "001565000002"), ("confirmed", "1")]).await;
        assert_eq!(pending(&app).await, changes + 3);
    }
}
