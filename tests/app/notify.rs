//! Telling phones: whom, in waves, with progress, stop, and after a crash. Asterisk is played here;
//! the real one is told in the tests of Apply.

use patchbay::asterisk::access::Access;
use patchbay::auth::Role;
use patchbay::notify::{self, Kind, New, Pause, Runner, WaveSize};
use patchbay::phones::Vendor;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::phones::{T46S, add, new};
use crate::support::app::{Browser, TestApp, both_databases, tester};

/// A manager interface at which everybody is registered; it counts whom it told.
struct Manager {
    access: Access,
    told: std::rc::Rc<std::cell::RefCell<Vec<String>>>,
}

impl Manager {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let access = access(listener.local_addr().unwrap().to_string());
        let list = std::rc::Rc::clone(&told);
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                actix_web::rt::spawn(serve(stream, std::rc::Rc::clone(&list)));
            }
        });
        Self { access, told }
    }

    fn nowhere() -> Access {
        access(format!("127.0.0.1:{}", crate::support::server::free_port()))
    }
}

fn access(ami: String) -> Access {
    let settings = patchbay::config::Asterisk {
        config_dir: "/nowhere".into(),
        ami,
        ami_user: "patchbay".to_owned(),
        ami_secret: Some("x".to_owned()),
    };
    Access::new(&settings, "/nowhere".into())
}

async fn serve(stream: tokio::net::TcpStream, told: std::rc::Rc<std::cell::RefCell<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"Asterisk Call Manager/11.0.0\r\n").await.unwrap();
    let mut action: Vec<String> = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            action.push(line);
            continue;
        }
        let of = |key: &str| {
            action.iter().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let (id, endpoint) = (of("ActionID: "), of("Endpoint: "));
        let answer = match of("Action: ").as_str() {
            "CoreSettings" => {
                format!("Response: Success\r\nActionID: {id}\r\nAsteriskVersion: 22.10.1\r\n\r\n")
            }
            "PJSIPShowEndpoint" => format!(
                "Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n\
                 Event: ContactStatusDetail\r\nActionID: {id}\r\nURI: sip:{endpoint}@192.0.2.1\r\n\r\n\
                 Event: EndpointDetailComplete\r\nActionID: {id}\r\nEventList: Complete\r\nListItems: 1\r\n\r\n"
            ),
            "PJSIPNotify" => {
                told.borrow_mut().push(format!("{endpoint} {}", of("Variable: Event=")));
                format!("Response: Success\r\nActionID: {id}\r\nMessage: NOTIFY sent\r\n\r\n")
            }
            _ => format!("Response: Success\r\nActionID: {id}\r\n\r\n"),
        };
        action.clear();
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// People with a phone each; the phones.
async fn office(app: &TestApp, admin: &Browser<'_>, count: u32) -> Vec<String> {
    let mut macs = Vec::new();
    for n in 0..count {
        let id = admin.add(&format!("Person {n}"), &format!("p{n}@example.com"), "").await;
        let mac = format!("0015650000{n:02x}");
        add(app, &new(&mac, T46S, &[&id])).await.unwrap();
        macs.push(mac);
    }
    macs
}

/// A phone without a line, for a route to name.
pub async fn phone(app: &TestApp) -> String {
    let mac = format!("0015651{:05x}", crate::support::app::next());
    add(app, &new(&mac, T46S, &[])).await.unwrap();
    mac
}

/// A run that tells a phone, for a route to name.
pub async fn run(app: &TestApp, mac: &str) -> String {
    let telling = New {
        kind: Kind::Resync,
        reason: String::new(),
        phones: vec![(mac.parse().unwrap(), String::new())],
        wave_size: WaveSize::default(),
        pause: Pause::default(),
    };
    let mut change = app.state.change(&tester()).await.unwrap();
    let id = notify::begin(&mut change, &app.state.vault, &telling).await.unwrap();
    change.commit().await.unwrap();
    id.to_string()
}

async fn states(app: &TestApp) -> String {
    let rows =
        app.texts("SELECT state FROM notification_phone ORDER BY notification_id, wave, mac").await;
    rows.iter().map(|state| &state[..2]).collect::<Vec<_>>().join(" ")
}

both_databases! {
    async fn phones_are_told_in_waves_by_the_clock_and_who_has_fetched_since_is_seen(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 5).await;
        let asterisk = Manager::start().await;
        let runner = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        let form: Vec<(&str, &str)> = macs.iter().map(|mac| ("mac", mac.as_str()))
            .chain([("kind", "resync"), ("wave_size", "2"), ("pause", "10")]).collect();
        let begun = admin.post("/phones/notify", &form).await;
        assert_eq!(begun.status, 303, "{begun:?}");
        let page = begun.location().to_owned();
        admin.get(&page).await.shows("<b>0</b> of 5 told");
        runner.turn().await.unwrap();
        assert_eq!(*asterisk.told.borrow(), ["1000 check-sync;reboot=false", "1001 check-sync;reboot=false"]);
        runner.turn().await.unwrap();
        assert_eq!(asterisk.told.borrow().len(), 2, "the pause is kept");
        let shown = admin.get(&page).await;
        shown.shows("<b>2</b> of 5 told");
        shown.shows("2 at once, every 10 s");
        app.pass(10);
        runner.turn().await.unwrap();
        assert_eq!(asterisk.told.borrow().len(), 4);
        // One fetches its file.
        let now = app.state.clock.now().0;
        app.sql(&format!("INSERT INTO phone_seen (mac, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
                          VALUES ('{}', {now}, 'x.cfg', 'abc', '', '', '')", macs[1])).await;
        app.pass(10);
        runner.turn().await.unwrap();
        let shown = admin.get(&format!("{page}/progress")).await;
        shown.shows("<b>5</b> of 5 told");
        shown.shows("<b>1</b> has fetched since");
        assert_eq!(shown.text.matches(">has fetched<").count(), 1);
        runner.turn().await.unwrap();
        assert_eq!(asterisk.told.borrow().len(), 5);
        admin.get("/phones/notify").await.shows("5 of 5");
        assert!(app.audit().await.iter().any(|line| line == "admin phones.told_to_fetch 5 phones"));
    }

    async fn one_phone_is_told_from_its_page_and_by_those_who_may(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 1).await;
        let asterisk = Manager::start().await;
        let runner = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        let helpdesk = app.signed_in("helen", Role::Helpdesk).await;
        let begun = helpdesk.post(&format!("/phones/{}/notify", macs[0]), &[("kind", "reboot")]).await;
        assert_eq!(begun.status, 303);
        runner.turn().await.unwrap();
        assert_eq!(*asterisk.told.borrow(), ["1000 check-sync;reboot=true"]);
        assert_eq!(helpdesk.post(&format!("/phones/{}/notify", macs[0]), &[("kind", "x")]).await.status, 400);
        assert_eq!(helpdesk.post("/phones/001565ffffff/notify", &[("kind", "resync")]).await.status, 404);
        assert_eq!(helpdesk.post("/phones/x/notify", &[("kind", "resync")]).await.status, 404);
        let auditor = app.signed_in("audra", Role::Auditor).await;
        assert_eq!(auditor.post(&format!("/phones/{}/notify", macs[0]), &[("kind", "reboot")]).await.status, 403);
    }

    async fn what_is_typed_wrongly_stands_beside_its_field_with_the_rest_kept(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 2).await;
        app.sql("INSERT INTO phone_seen (mac, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
                 SELECT mac, 1, 'x.cfg', 'old', '', '', '' FROM phone").await;
        admin.get("/phones/notify").await.shows("<b>2</b> phones would get another file");
        let answer = admin.post("/phones/notify", &[("kind", "reboot"), ("wave_size", "0"), ("pause", "x"), ("mac", &macs[0])]).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.field_error("wave_size"), "use 1 to 500 phones");
        assert_eq!(answer.field_error("pause"), "use 1 to 3600 seconds");
        answer.shows("value=\"reboot\" checked");
        answer.shows(&format!("value=\"{}\" form=\"telling\" aria-label=\"Choose 1000 yealink t46s\" checked", macs[0]));
        let nobody = admin.post("/phones/notify", &[("kind", "resync"), ("wave_size", "50"), ("pause", "10")]).await;
        assert_eq!(nobody.status, 422);
        nobody.shows("choose the phones to be told");
        assert_eq!(app.number("SELECT count(*) FROM notification").await, 0);
        let all = admin.post("/phones/notify", &[("kind", "resync"), ("wave_size", "50"), ("pause", "10"), ("outdated", "1")]).await;
        assert_eq!(all.status, 303);
        assert_eq!(app.number("SELECT count(*) FROM notification_phone WHERE revision <> ''").await, 2);
    }

    async fn others_at_work_do_not_keep_all_from_being_told(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 3).await;
        app.sql("INSERT INTO phone_seen (mac, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
                 SELECT mac, 1, 'x.cfg', 'old', '', '', '' FROM phone").await;
        let page = admin.get("/phones/notify").await;
        page.shows("<b>3</b> phones would get another file");
        let upto = page.between(r#"name="upto" value=""#, "\"").to_owned();
        let compared = async || app.number("SELECT min(audit_seq) FROM phone_revision").await;
        let before = compared().await;
        // Whoever signs in, or is told something, changes no file.
        app.signed_in("ann", Role::Admin).await;
        admin.post("/phones/notify", &[("kind", "resync"), ("wave_size", "1"), ("pause", "10"), ("mac", &macs[0])]).await;
        admin.get("/phones/notify").await;
        assert_eq!(compared().await, before);
        // Whoever adds a user may change all of them; those asked for at first are known all the same.
        admin.add("Zoe", "zoe@example.com", "").await;
        let tenant = patchbay::id::TenantId::DEFAULT;
        let left = async |upto: Option<i64>| {
            notify::compare(&app.state, tenant, upto, std::time::Duration::ZERO).await.unwrap().left
        };
        assert_eq!(left(None).await, 3);
        assert_eq!(left(upto.parse().ok()).await, 0);
        let notice = admin.get(&format!("/phones/notify/compared?upto={upto}")).await;
        notice.shows("All files are compared now");
        notice.hides("<form");
        let form = [("kind", "resync"), ("wave_size", "50"), ("pause", "10"), ("outdated", "1"), ("upto", &upto)];
        assert_eq!(admin.post("/phones/notify", &form).await.status, 303);
    }

    async fn a_phone_is_told_what_its_make_and_its_setting_ask_for(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let asterisk = Manager::start().await;
        let runner = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        let mut macs = Vec::new();
        for (n, model) in [(Vendor::Polycom, "vvx450"), (Vendor::Polycom, "vvx450"), T46S].iter().enumerate() {
            let id = admin.add(&format!("P {n}"), &format!("m{n}@example.com"), "").await;
            let mac = format!("0015650001{n:02x}");
            add(&app, &new(&mac, *model, &[&id])).await.unwrap();
            macs.push(mac);
        }
        app.sql(&format!("INSERT INTO phone_setting (mac, key, value) VALUES ('{}', 'notify.reboot', 'reboot'), ('{}', 'notify.reboot', 'reboot')", macs[1], macs[2])).await;
        let tell = async |kind: &str| {
            asterisk.told.borrow_mut().clear();
            let form: Vec<(&str, &str)> = macs.iter().map(|mac| ("mac", mac.as_str()))
                .chain([("kind", kind), ("wave_size", "50"), ("pause", "1")]).collect();
            let page = admin.post("/phones/notify", &form).await.location().to_owned();
            runner.turn().await.unwrap();
            let told = asterisk.told.borrow().clone();
            (told, admin.get(&page).await)
        };
        let (told, _) = tell("resync").await;
        assert_eq!(told, ["1000 check-sync", "1001 check-sync", "1002 check-sync;reboot=true"]);
        let (told, page) = tell("reboot").await;
        assert_eq!(told, ["1001 check-sync", "1002 check-sync;reboot=true"], "one is not said to restart");
        page.shows("restarts only if its setting");
        app.sql("INSERT INTO registration (tenant_id, number, contact, address, user_agent, mac, mac_source, present, first_seen, last_seen)
                 SELECT tenant_id, number, 'sip:x', '', '', '', '', TRUE, 1, 1 FROM extension").await;
        let script = app.script(Role::Operator).await;
        let all = script.send("POST", "/api/v1/phones/reboot", &json!({})).await.json();
        assert_eq!(all["rebooted"], json!(["1001", "1002"]));
        assert!(all["failed"][0]["error"].as_str().unwrap().contains("restarts only if"), "{all}");
    }

    async fn a_run_stops_and_goes_on_after_a_crash(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 4).await;
        let asterisk = Manager::start().await;
        let script = app.script(Role::Operator).await;
        let begin = |kind: &'static str| {
            let (script, macs) = (&script, &macs);
            async move { script.send("POST", "/api/v1/phone-notifications", &json!({ "kind": kind, "phones": macs, "wave_size": 2, "pause_seconds": 10 })).await }
        };
        let begun = begin("reboot").await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let id = begun.json()["id"].as_str().unwrap().to_owned();
        let first = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        first.turn().await.unwrap();
        assert_eq!(states(&app).await, "se se wa wa");
        // The next wave was begun when the process died.
        app.sql("UPDATE notification_phone SET state = 'sending' WHERE wave = 1").await;
        let second = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        app.pass(20);
        second.turn().await.unwrap();
        assert_eq!(states(&app).await, "se se se se", "its lease is not over");
        app.pass(60);
        second.turn().await.unwrap();
        second.turn().await.unwrap();
        assert_eq!(states(&app).await, "se se fa fa");
        let detail = script.get(&format!("/api/v1/phone-notifications/{id}")).await.json();
        assert_eq!((detail["state"].as_str(), detail["sent"].as_i64(), detail["failed"].as_i64()), (Some("done"), Some(2), Some(2)));
        assert!(detail["devices"][0]["error"].as_str().unwrap().contains("may have restarted or not"));
        assert_eq!(asterisk.told.borrow().len(), 2);
        // To fetch, they are told again.
        let id = begin("resync").await.json()["id"].as_str().unwrap().to_owned();
        first.turn().await.unwrap();
        app.sql("UPDATE notification_phone SET state = 'sending' WHERE wave = 1 AND state = 'waiting'").await;
        app.pass(61);
        second.turn().await.unwrap();
        assert_eq!(asterisk.told.borrow().len(), 6);
        assert_eq!(script.get(&format!("/api/v1/phone-notifications/{id}")).await.json()["sent"], 4);
        // Stopped between the waves: the others are not told.
        let id = begin("reboot").await.json()["id"].as_str().unwrap().to_owned();
        second.turn().await.unwrap();
        let stopped = script.send("POST", &format!("/api/v1/phone-notifications/{id}/stop"), &json!({})).await;
        assert_eq!(stopped.status, 202);
        second.turn().await.unwrap();
        let detail = script.get(&format!("/api/v1/phone-notifications/{id}")).await.json();
        assert_eq!((detail["state"].as_str(), detail["sent"].as_i64()), (Some("stopped"), Some(2)));
        assert_eq!(asterisk.told.borrow().len(), 8);
        assert_eq!(script.get("/api/v1/phone-notifications").await.json()["total"], 3);
    }

    async fn two_processes_do_a_run_once(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 6).await;
        let asterisk = Manager::start().await;
        let another = app.another().await;
        let form: Vec<(&str, &str)> = macs.iter().map(|mac| ("mac", mac.as_str()))
            .chain([("kind", "reboot"), ("wave_size", "2"), ("pause", "1")]).collect();
        admin.post("/phones/notify", &form).await;
        let one = Runner::new(app.state.clone(), asterisk.access.clone()).unwrap();
        let other = Runner::new(another.state.clone(), asterisk.access.clone()).unwrap();
        for _ in 0..4 {
            let (a, b) = tokio::join!(one.turn(), other.turn());
            a.unwrap();
            b.unwrap();
            app.pass(1);
        }
        let mut told = asterisk.told.borrow().clone();
        told.sort();
        told.dedup();
        assert_eq!((told.len(), asterisk.told.borrow().len()), (6, 6));
    }

    async fn while_asterisk_does_not_answer_phones_wait_but_not_for_ever(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let macs = office(&app, &admin, 2).await;
        let script = app.script(Role::Operator).await;
        let body = json!({ "kind": "reboot", "phones": macs });
        let id = script.send("POST", "/api/v1/phone-notifications", &body).await.json()["id"].as_str().unwrap().to_owned();
        let runner = Runner::new(app.state.clone(), Manager::nowhere()).unwrap();
        runner.turn().await.unwrap();
        let detail = script.get(&format!("/api/v1/phone-notifications/{id}")).await.json();
        assert_eq!(detail["state"], "running");
        assert!(detail["error"].as_str().unwrap().ends_with("it is tried again"), "{detail}");
        assert_eq!(states(&app).await, "wa wa");
        app.pass(5);
        let asterisk = Manager::start().await;
        app.pass(16 * 60);
        runner.turn().await.unwrap();
        let detail = script.get(&format!("/api/v1/phone-notifications/{id}")).await.json();
        assert_eq!((detail["state"].as_str(), detail["failed"].as_i64()), (Some("failed"), Some(2)));
        assert!(asterisk.told.borrow().is_empty());
    }

    async fn older_scripts_restart_one_phone_and_all(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        office(&app, &admin, 3).await;
        admin.add("Nobody", "nobody@example.com", "").await;
        app.sql("INSERT INTO registration (tenant_id, number, contact, address, user_agent, mac, mac_source, present, first_seen, last_seen)
                 SELECT tenant_id, number, 'sip:x', '', '', '', '', TRUE, 1, 1 FROM extension WHERE number < 1002").await;
        let script = app.script(Role::Operator).await;
        let all = script.send("POST", "/api/phones/reboot", &json!({})).await;
        assert_eq!(all.status, 200);
        let all = all.json();
        assert_eq!((all["success"].as_bool(), all["success_count"].as_i64(), all["failed_count"].as_i64()), (Some(true), Some(2), Some(1)));
        assert_eq!(all["rebooted"], json!(["1000", "1001"]));
        assert_eq!((all["failed"][0]["extension"].as_str(), all["failed"][0]["error"].as_str()), (Some("1002"), Some("not registered")));
        // Asterisk does not answer here: that is said, and the phone is not called restarted.
        let one = script.send("POST", "/api/phones/1000/reboot", &json!({})).await;
        assert_eq!(one.status, 503, "{one:?}");
        assert_eq!(script.send("POST", "/api/phones/1003/reboot", &json!({})).await.status, 404);
        assert_eq!(script.send("POST", "/api/v1/phones/x/reboot", &json!({})).await.status, 404);
        for wrong in [json!({ "kind": "x" }), json!({ "kind": "reboot", "phones": ["x"] }), json!({ "kind": "reboot" }), json!({ "kind": "reboot", "wave_size": 0, "phones": [] }), json!({ "kind": "reboot", "phones": ["001565ffffff"] })] {
            assert_eq!(script.send("POST", "/api/v1/phone-notifications", &wrong).await.status, 422, "{wrong}");
        }
    }
}
