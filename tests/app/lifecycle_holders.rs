//! What happens to phones, users and hosts happens to what they were given.

use patchbay::asterisk::ami::InboundContact;
use patchbay::auth::Role;
use patchbay::lifecycle::{Family, State};
use patchbay::registrations::{self, Told};
use serde_json::{Value, json};

use crate::lifecycle::{FAMILIES, agrees, office, state_of};
use crate::phones::{T46S, add, new};
use crate::registrations::{YEALINK, contact};
use crate::support::app::{Script, TestApp, both_databases};

const PHONE: &str = "805ec01234ab";

/// Gives somebody something by a call; the assignment's id.
async fn give(script: &Script<'_>, family: Family, kind: &str, who: &str) -> Value {
    let (version, what) = match family {
        Family::Ipv4 => ("ipv4", "address"),
        Family::Ipv6 => ("ipv6", "address"),
        Family::Prefix => ("ipv6", "prefix"),
    };
    let body = json!({ "subscriber_id": who, "subscriber_kind": kind, "kind": what });
    let path = format!("/api/v1/network/{version}-lifecycle/allocate");
    let answer = script.send("POST", &path, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn operate(script: &Script<'_>, word: &str, who: &str) {
    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
    let answer = script.send("POST", &path, &json!({ "subscriber_id": who })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn state(app: &TestApp, given: &Value) -> State {
    state_of(app, given["id"].as_str().unwrap().parse().unwrap()).await.state
}

/// Asterisk tells of everybody, and IPAM hears of it.
async fn hear(app: &TestApp, told: &mut Told, all: Vec<InboundContact>) {
    app.told(all).await;
    registrations::tell(&app.state, told).await.unwrap();
}

/// Switches every system outside on, as far as calls are written for it.
async fn switch_on(app: &TestApp) {
    for system in ["radius", "dhcp", "netbox"] {
        app.sql(&format!(
            "INSERT INTO outside_system (tenant_id, system, enabled, settings, secret, updated_at)
             VALUES ('{}', '{system}', TRUE, '{{}}', '', 0)",
            patchbay::id::TenantId::DEFAULT
        ))
        .await;
    }
}

/// The names of those who have something.
async fn names(app: &TestApp) -> Vec<String> {
    let rows =
        "SELECT DISTINCT holder_name FROM assignment WHERE state NOT IN ('revoking', 'revoked')";
    let mut names = app.texts(rows).await;
    names.sort();
    names
}

both_databases! {
    async fn a_phones_assignment_is_active_at_its_first_register(app: TestApp) {
        office(&app).await;
        switch_on(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new(PHONE, T46S, &[&ann])).await.unwrap();
        let mut told = Told::default();
        let given = give(&script, Family::Ipv4, "phone", PHONE).await;
        let other = give(&script, Family::Ipv4, "phone", "001565aabbcc").await;
        assert_eq!((given["address"].as_str(), other["address"].as_str()), (Some("10.20.5.10"), Some("10.20.5.11")));
        // It is somewhere else; and something else is where it should be.
        hear(&app, &mut told, vec![contact("1000", "10.20.5.77", YEALINK)]).await;
        assert_eq!(state(&app, &given).await, State::Allocated);
        let stranger = InboundContact { uri: "sip:1001@10.20.5.10:6060".into(),
            ..contact("1001", "10.20.5.10", "Grandstream GRP2614 DevId c074ad0b63ee") };
        hear(&app, &mut told, vec![stranger]).await;
        assert_eq!(state(&app, &given).await, State::Allocated);
        app.pass(60);
        hear(&app, &mut told, vec![contact("1000", "10.20.5.10", YEALINK)]).await;
        assert_eq!((state(&app, &given).await, state(&app, &other).await), (State::Active, State::Allocated));
        let seen = script.get(&format!("/api/v1/network/ipv4-lifecycle/{PHONE}")).await.json();
        assert_eq!(seen["activated_at"], app.state.clock.now().to_string());
        assert!(app.audit().await.iter().any(|line| line == "Patchbay assignment.activated 10.20.5.10 for phone 1000 Ann"), "{:?}", app.audit().await);
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE system = 'netbox' AND payload LIKE '%active%'").await, 1);
        agrees(&app).await;
        let page = admin.get(&format!("/lifecycle/{}", given["id"].as_str().unwrap())).await;
        page.shows("active");
        // It stays what somebody made of it, however often it registers.
        operate(&script, "suspend", PHONE).await;
        for _ in 0..2 {
            app.pass(16 * 60);
            hear(&app, &mut told, vec![contact("1000", "10.20.5.10", YEALINK)]).await;
            assert_eq!(state(&app, &given).await, State::Suspended);
        }
    }

    async fn the_static_address_of_a_phone_is_an_assignment_from_its_page_to_its_end(app: TestApp) {
        office(&app).await;
        switch_on(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new(PHONE, T46S, &[&ann])).await.unwrap();
        let page = format!("/phones/{PHONE}");
        let have = async |wish: &[(&str, &str)]| {
            assert_eq!(admin.post(&format!("{page}/address"), wish).await.status, 303);
            let lives = "SELECT state || ' ' || platform FROM assignment a LEFT JOIN address r ON r.assignment = a.id ORDER BY a.created_at, a.state DESC";
            app.texts(&lives.replace("platform", "coalesce(r.platform, '')")).await
        };
        assert_eq!(have(&[("address", "next"), ("subnet", "10.20.5.0/24")]).await, ["allocated SIP-T46S"]);
        admin.get(&page).await.shows("active when the phone first registers");
        let mut told = Told::default();
        hear(&app, &mut told, vec![contact("1000", "10.20.5.10", YEALINK)]).await;
        admin.get(&page).await.shows(r#"<span class="st life active">active</span>"#);
        // The same again is no change; another ends the first; none ends that.
        assert_eq!(have(&[("address", "this"), ("static_ip", "10.20.5.10")]).await, ["active SIP-T46S"]);
        app.pass(60);
        assert_eq!(have(&[("address", "this"), ("static_ip", "10.20.5.12")]).await, ["revoked ", "allocated SIP-T46S"]);
        app.pass(60);
        assert_eq!(have(&[("address", "none")]).await, ["revoked ", "revoked "]);
        assert_eq!(app.number("SELECT count(*) FROM address WHERE status = 'allocated'").await, 0);
        agrees(&app).await;
    }

    async fn a_machine_renamed_by_a_file_is_renamed_at_its_assignment(app: TestApp) {
        office(&app).await;
        switch_on(&app).await;
        let script = app.script(Role::Admin).await;
        let given = give(&script, Family::Ipv4, "external", "c-17").await;
        let before = app.number("SELECT count(*) FROM outside_call").await;
        let file = "address,status,hostname,holder_id,holder\n10.20.5.10,allocated,cpe-17,c-17,Customer Seventeen\n";
        let ask = script.ask("POST", "/api/v1/addresses/import").header("content-type", "text/csv");
        let done = ask.body(file).send().await;
        assert_eq!((done.status, done.json()["changed"].as_u64()), (200, Some(1)), "{done:?}");
        let now = state_of(&app, given["id"].as_str().unwrap().parse().unwrap()).await;
        assert_eq!((now.hostname.to_string().as_str(), now.holder.name.as_str()), ("cpe-17", "Customer Seventeen"));
        assert!(app.number("SELECT count(*) FROM outside_call").await > before);
        assert!(app.number("SELECT count(*) FROM outside_call WHERE payload LIKE '%cpe-17%'").await > 0);
        agrees(&app).await;
    }

    async fn an_address_given_for_another_purpose_is_not_the_pages_to_take(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new(PHONE, T46S, &[&ann])).await.unwrap();
        let body = json!({ "subscriber_id": PHONE, "subscriber_kind": "phone", "kind": "address", "role": "video" });
        let given = script.send("POST", "/api/v1/network/ipv4-lifecycle/allocate", &body).await;
        assert_eq!(given.status, 201, "{given:?}");
        let page = format!("/phones/{PHONE}");
        for wish in ["next", "none"] {
            let wish = [("address", wish), ("subnet", "10.20.5.0/24")];
            assert_eq!(admin.post(&format!("{page}/address"), &wish).await.status, 303);
            assert_eq!(state(&app, &given.json()).await, State::Allocated);
        }
    }

    async fn what_is_given_to_a_phone_says_what_phone_it_is_and_follows_its_label(app: TestApp) {
        office(&app).await;
        switch_on(&app).await;
        let script = app.script(Role::Admin).await;
        add(&app, &new(PHONE, T46S, &[])).await.unwrap();
        give(&script, Family::Ipv4, "phone", PHONE).await;
        let row = "SELECT manufacturer || ' ' || platform || ' ' || mac || ' ' || hostname FROM address WHERE status = 'allocated'";
        assert_eq!(app.texts(row).await, ["Yealink SIP-T46S 805ec01234ab t46s-805ec01234ab"]);
        let outside = async |name: &str| {
            let told = app.texts("SELECT wanted FROM outside_mirror WHERE system IN ('dhcp', 'netbox') AND ordered").await;
            assert_eq!(told.iter().filter(|order| order.contains(&format!("\"{name}\""))).count(), 2, "{name}: {told:?}");
        };
        outside("t46s-805ec01234ab").await;
        let labelled = script.send("PATCH", &format!("/api/v1/phones/{PHONE}"), &json!({ "label": "lobby" })).await;
        assert_eq!(labelled.status, 200, "{labelled:?}");
        outside("lobby").await;
        assert_eq!(app.texts("SELECT hostname FROM assignment").await, ["lobby"]);
        operate(&script, "activate", PHONE).await;
        outside("lobby").await;
    }

    async fn a_phone_that_is_there_already_begins_what_it_is_given_there(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let mut told = Told::default();
        hear(&app, &mut told, vec![contact("1000", "10.20.5.10", YEALINK)]).await;
        app.pass(30);
        let body = json!({ "subscriber_id": PHONE, "subscriber_kind": "phone", "requested_address": "10.20.5.10" });
        let given = script.send("POST", "/api/v1/network/ipv4-lifecycle/allocate", &body).await;
        assert_eq!(given.status, 201, "{given:?}");
        let given = given.json();
        assert_eq!(state(&app, &given).await, State::Allocated);
        app.pass(30);
        hear(&app, &mut told, vec![contact("1000", "10.20.5.10", YEALINK)]).await;
        assert_eq!(state(&app, &given).await, State::Active, "at the next word of it, not a quarter of an hour later");
    }

    async fn whoever_goes_lets_go_by_every_way_out(app: TestApp) {
        office(&app).await;
        switch_on(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        for (way, mac) in ["page", "call", "older call"].into_iter().zip(["001565000001", "001565000002", "001565000003"]) {
            add(&app, &new(mac, T46S, &[])).await.unwrap();
            let mut had = Vec::new();
            for family in FAMILIES {
                had.push(give(&script, family, "phone", mac).await);
            }
            operate(&script, "activate", mac).await;
            operate(&script, "suspend", mac).await;
            app.sql("DELETE FROM outside_call").await;
            let status = match way {
                "page" => admin.post("/phones/deletion", &[("id", mac), ("confirmed", "1")]).await.status,
                "call" => script.ask("DELETE", &format!("/api/v1/phones/{mac}")).send().await.status,
                _ => script.ask("DELETE", &format!("/api/provisioning/devices/{mac}")).send().await.status,
            };
            assert!(status < 400, "{way}: {status}");
            for given in &had {
                assert_eq!(state(&app, given).await, State::Revoking, "{way}: {given}");
            }
            // Outside systems hear of it as of any end: the session, the lease, the records.
            let calls = app.texts("SELECT system || ' ' || label FROM outside_call ORDER BY 1").await;
            assert_eq!(calls.iter().filter(|call| call.starts_with("netbox")).count(), 3, "{way}: {calls:?}");
            assert!(calls.iter().any(|call| call.starts_with("radius disconnect")), "{way}: {calls:?}");
            assert!(calls.iter().any(|call| call.starts_with("dhcp")), "{way}: {calls:?}");
            agrees(&app).await;
            // Until they were, nobody else gets it: the old session may still live.
            let body = json!({ "subscriber_id": format!("after-{mac}"), "requested_address": had[0]["address"] });
            let early = script.send("POST", "/api/v1/network/ipv4-lifecycle/allocate", &body).await;
            assert_eq!(early.status, 409, "{way}: {early:?}");
            app.sql("UPDATE outside_call SET state = 'done'").await;
            app.pass(10);
            patchbay::lifecycle::job::complete_settled(&app.state).await.unwrap();
            for given in &had {
                assert_eq!(state(&app, given).await, State::Revoked, "{way}: {given}");
            }
            agrees(&app).await;
            let again = give(&script, Family::Ipv4, "external", &format!("after-{mac}")).await;
            assert_eq!(again["address"], had[0]["address"], "{way}: it is free for others");
            operate(&script, "revoke", &format!("after-{mac}")).await;
            app.sql("UPDATE outside_call SET state = 'done'").await;
            app.pass(10);
            patchbay::lifecycle::job::complete_settled(&app.state).await.unwrap();
        }
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE live").await, 0);
        let user = admin.add("Ann", "ann@example.com", "").await;
        let given = give(&script, Family::Ipv4, "user", &user).await;
        admin.post("/users/deletion", &[("id", &user), ("confirmed", "1")]).await;
        assert_eq!(state(&app, &given).await, State::Revoking);
        admin.get(&format!("/lifecycle/{}", given["id"].as_str().unwrap())).await.shows("Ann");
        agrees(&app).await;
    }

    async fn a_new_name_is_shown_wherever_the_holder_is_named(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new(PHONE, T46S, &[&ann])).await.unwrap();
        admin.post("/ipam/hosts", &[("hostname", "gw-1")]).await;
        let host = app.texts("SELECT id FROM host").await[0].clone();
        // One that is over keeps the name of then.
        let over = give(&script, Family::Ipv4, "host", &host).await;
        operate(&script, "revoke", &host).await;
        switch_on(&app).await;
        for family in FAMILIES {
            give(&script, family, "host", &host).await;
            give(&script, family, "user", &ann).await;
            let phone = give(&script, family, "phone", PHONE).await;
            assert_eq!(phone["subscriber_name"], "1000 Ann", "a phone is called what its page calls it");
        }
        assert_eq!(names(&app).await, ["1000 Ann", "Ann", "gw-1"]);
        let renamed = script.send("PATCH", &format!("/api/v1/hosts/{host}"), &json!({ "hostname": "edge-1" })).await;
        assert_eq!(renamed.status, 200, "{renamed:?}");
        assert_eq!(names(&app).await, ["1000 Ann", "Ann", "edge-1"]);
        // The phone is called after whom it rings for, until it has a name of its own.
        let form = [("name", "Ann Lee"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        assert_eq!(admin.post(&format!("/users/{ann}"), &form).await.status, 303);
        assert_eq!(names(&app).await, ["1000 Ann Lee", "Ann Lee", "edge-1"]);
        let labelled = script.send("PATCH", &format!("/api/v1/phones/{PHONE}"), &json!({ "label": "Reception" })).await;
        assert_eq!(labelled.status, 200, "{labelled:?}");
        assert_eq!(names(&app).await, ["Ann Lee", "Reception", "edge-1"]);
        for (name, old) in [("edge-1", "gw-1"), ("Ann Lee", "1000 Ann"), ("Reception", "1000 Ann Lee")] {
            let list = admin.get(&format!("/lifecycle?{}", serde_html_form::to_string([("q", name)]).unwrap())).await;
            list.shows(name);
            list.shows("<b>3</b> match");
            admin.get("/lifecycle").await.hides(&format!(">{old}<"));
            let told = app.texts("SELECT wanted FROM outside_mirror WHERE system = 'netbox' AND wanted <> ''").await;
            assert_eq!(told.iter().filter(|order| order.contains(&format!(" {name}\""))).count(), 3, "{name}: {told:?}");
            assert!(!told.iter().any(|order| order.contains(&format!(" {old}\""))), "{old}: {told:?}");
        }
        assert_eq!(state_of(&app, over["id"].as_str().unwrap().parse().unwrap()).await.holder.name, "gw-1");
        let shown = script.get(&format!("/api/v1/network/ipv4-lifecycle/{host}")).await;
        assert_eq!(shown.json()["subscriber_name"], "edge-1");
        assert_eq!(shown.header("etag"), Some("\"2\""), "who read it before reads it again");
        admin.get("/ipam/addresses/10.20.5.10").await.shows("edge-1");
        agrees(&app).await;
        // Phones of people who go or change their number are called anew, too.
        script.ask("DELETE", &format!("/api/v1/users/{ann}")).send().await;
        let label = script.send("PATCH", &format!("/api/v1/phones/{PHONE}"), &json!({ "label": "" })).await;
        assert_eq!(label.status, 200, "{label:?}");
        assert_eq!(names(&app).await, ["80:5e:c0:12:34:ab", "edge-1"]);
    }
}
