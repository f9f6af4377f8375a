//! The button as scripts and people press it, on the running program, when not all is well.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::office::{Database, Office, Serving, append};
use crate::proxy::{Fault, Proxy};
use crate::support::server::free_port;

/// A script that may apply.
struct Script {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Script {
    fn of(office: &Office, url: &str) -> Self {
        let token = office.administrator("carol", "four random words here");
        crate::support::trust();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, url: url.to_owned(), token }
    }

    /// The status, the type of the answer, and the answer.
    async fn ask(&self, method: Method, path: &str) -> (StatusCode, String, Value) {
        self.send(method, path, "").await
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, String, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status(), kind, answer.json().await.unwrap())
    }

    async fn apply(&self) -> (u16, String, Value) {
        let (status, kind, answer) = self.ask(Method::POST, "/api/v1/apply").await;
        (status.as_u16(), kind, answer)
    }

    /// The figures of `/metrics`.
    async fn figures(&self) -> String {
        let answer = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    async fn newest(&self) -> Value {
        let (_, _, mut history) = self.ask(Method::GET, "/api/v1/apply/history").await;
        history["runs"][0].take()
    }
}

const PROBLEM: &str = "application/problem+json";

#[tokio::test]
async fn installed_beside_a_running_server_it_applies_without_a_restart_of_the_server() {
    let mut office = Office::bare(Database::Sqlite).await;
    let serving = Serving::start(&office, free_port());
    let script = Script::of(&office, &serving.url);
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (503, PROBLEM), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("patchbay asterisk install"), "{answer}");

    assert!(office.patchbay(&["asterisk", "install", "--yes"]).status.success());
    office.asterisk.restart();
    office.hire("Ann").await;
    let (status, _, answer) = script.apply().await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("verified")), "{answer}");
    serving.stop();
}

#[tokio::test]
async fn what_a_killed_apply_left_is_repaired_by_the_server_that_goes_on() {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    let serving = Serving::start(&office, free_port());
    let script = Script::of(&office, &serving.url);
    assert_eq!(script.apply().await.0, 200);
    office.rename(&ann, "Ann B").await;
    let (held, current) = (office.held().await, office.current());
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let mut apply = office.command();
    apply.arg("apply").env("PATCHBAY_ASTERISK_AMI", proxy.address());
    let mut apply = apply.spawn().unwrap();
    proxy.reached().await;
    // As long as it lives whoever else applies is told who does.
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (409, PROBLEM), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("is applying right now"), "{answer}");
    apply.kill().unwrap();
    apply.wait().unwrap();

    let newest = loop {
        let newest = script.newest().await;
        if newest["outcome"] != "running" {
            break newest;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(newest["outcome"], "interrupted", "{newest}");
    assert_eq!((office.held().await, office.current()), (held, current));
    assert_eq!(script.apply().await.2["outcome"], "verified");
    serving.stop();
}

#[tokio::test]
async fn a_script_can_tell_what_stands_in_the_way_from_an_asterisk_that_fails() {
    let mut office = Office::new().await;
    office.hire("Ann").await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Cut, 1).await;
    let mut command = office.command();
    command.env("PATCHBAY_ASTERISK_AMI", proxy.address());
    let serving = Serving::begin(command, free_port());
    let script = Script::of(&office, &serving.url);

    let (_, _, preview) = script.ask(Method::GET, "/api/v1/apply/preview").await;
    let changes = preview["changes"].as_array().unwrap();
    assert!(
        changes.iter().any(|change| change["actor"] == "ann"
            && change["action"] == "user.created"
            && change["subject"].as_str().unwrap().contains("Ann")),
        "{preview}"
    );

    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (502, PROBLEM), "{answer}");
    let result = &answer["result"];
    assert_eq!((&result["outcome"], &result["verified"]), (&json!("rolled back"), &json!(false)));
    assert_eq!((&answer["status"], &answer["detail"]), (&json!(502), &result["message"]));

    let top = office.config_file("extensions.conf");
    let before = std::fs::read_to_string(&top).unwrap();
    append(&top, "[patchbay-internal]\nexten => 1000,1,NoOp()\n");
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (409, PROBLEM), "{answer}");
    assert_eq!(answer["result"]["outcome"], "refused");
    let finding = answer["result"]["findings"][0].as_str().unwrap();
    assert!(finding.contains("also a context of ours"), "{answer}");
    std::fs::write(&top, before).unwrap();

    office.asterisk.stop();
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (503, PROBLEM), "{answer}");
    assert_eq!(answer["result"]["outcome"], "unreachable");
    assert!(answer["detail"].as_str().unwrap().starts_with("Nothing was changed"), "{answer}");
    let figures = script.figures().await;
    for line in [
        "applies_total{outcome=\"rolled back\"} 1",
        "applies_total{outcome=\"refused\"} 1",
        "applies_total{outcome=\"unreachable\"} 1",
        "http_requests_total{method=\"POST\",route=\"/api/v1/apply\",status=\"502\"} 1",
    ] {
        assert!(figures.lines().any(|known| known == line), "{line} is not in {figures}");
    }
    serving.stop();
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_a_problem_and_begins_nothing() {
    let office = Office::new().await;
    let serving = Serving::start(&office, free_port());
    let script = Script::of(&office, &serving.url);
    let huge = format!("{{\"reason\":\"{}\"}}", "x".repeat(1 << 20));
    for (body, expected, field) in [
        ("{", 400, ""),
        (&huge, 413, ""),
        ("{\"reason\":7}", 422, "reason"),
        ("{\"reason\":\"one\\ntwo\"}", 422, "reason"),
        ("{\"why\":\"x\"}", 422, "why"),
        ("{\"release\":\"1\"}", 422, "release"),
        ("{\"release\":1}", 404, "release"),
        ("{\"release\":-1}", 404, "release"),
    ] {
        let (status, kind, answer) = script.send(Method::POST, "/api/v1/apply", body).await;
        assert_eq!((status.as_u16(), kind.as_str()), (expected, PROBLEM), "{answer}");
        assert_eq!(answer["status"], expected, "{answer}");
        assert!(field.is_empty() || answer["errors"][field].is_string(), "{answer}");
    }
    let (_, _, history) = script.ask(Method::GET, "/api/v1/apply/history").await;
    assert_eq!(history["total"], 0, "{history}");
    serving.stop();
}

#[tokio::test]
async fn scripts_of_the_old_portal_find_in_the_answer_what_they_know() {
    let office = Office::new().await;
    office.hire("Ann").await;
    office.hire("Bob").await;
    let serving = Serving::start(&office, free_port());
    let script = Script::of(&office, &serving.url);
    let body = r#"{"triggered_by":"mallory","reason":"new people"}"#;
    let (status, kind, answer) = script.send(Method::POST, "/api/v1/apply", body).await;
    assert_eq!((status.as_u16(), kind.as_str()), (200, "application/json"), "{answer}");
    for (name, value) in [
        ("audit_log_id", json!(1)),
        (
            "files_written",
            json!(["patchbay/current/pjsip.conf", "patchbay/current/extensions.conf"]),
        ),
        (
            "reload_results",
            json!({
                "pjsip_reload": { "exit_code": 0, "stdout": "reloaded" },
                "dialplan_reload": { "exit_code": 0, "stdout": "unchanged, not reloaded" },
            }),
        ),
        ("users_applied", json!(2)),
        ("extensions_generated", json!(2)),
        // And what the old one did not know.
        ("outcome", json!("verified")),
        ("verified", json!(true)),
        ("release", json!(1)),
        ("findings", json!([])),
    ] {
        assert_eq!(answer[name], value, "{name} of {answer}");
    }
    assert!(answer["message"].as_str().unwrap().contains("Asterisk runs release 1"), "{answer}");
    assert!(answer["duration_ms"].as_i64().unwrap() > 0, "{answer}");
    let [phones, dialplan] = &answer["modules"].as_array().unwrap()[..] else { panic!("{answer}") };
    assert_eq!((&phones["name"], &phones["file"]), (&json!("res_pjsip.so"), &json!("pjsip.conf")));
    assert_eq!((&phones["reloaded"], &dialplan["reloaded"]), (&json!(true), &json!(false)));
    assert_eq!(dialplan["name"], "pbx_config.so");
    let newest = script.newest().await;
    assert_eq!(newest["actor"], "carol (script)", "who applies is whose token it is: {newest}");
    assert_eq!((&newest["id"], &newest["reason"]), (&json!(1), &json!("new people")));

    let (_, _, again) = script.send(Method::POST, "/api/v1/apply", "").await;
    assert_eq!((&again["outcome"], &again["audit_log_id"]), (&json!("unchanged"), &json!(2)));
    assert_eq!((&again["release"], &again["files_written"]), (&json!(1), &json!([])), "{again}");
    let figures = script.figures().await;
    for line in [
        "applies_total{outcome=\"verified\"} 1",
        "applies_total{outcome=\"unchanged\"} 1",
        "http_requests_total{method=\"POST\",route=\"/api/v1/apply\",status=\"200\"} 2",
        "http_request_duration_seconds_count{route=\"/api/v1/apply\"} 2",
        "http_request_duration_seconds_bucket{route=\"/api/v1/apply\",le=\"+Inf\"} 2",
    ] {
        assert!(figures.lines().any(|known| known == line), "{line} is not in {figures}");
    }
    serving.stop();
}

#[tokio::test]
async fn what_a_killed_apply_left_is_repaired_before_a_server_that_starts_answers() {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    assert!(office.apply().await.state.is_good());
    office.rename(&ann, "Ann B").await;
    let (held, current, files) = (office.held().await, office.current(), office.files());
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let mut apply = office.command();
    apply.arg("apply").env("PATCHBAY_ASTERISK_AMI", proxy.address());
    let mut apply = apply.spawn().unwrap();
    proxy.reached().await;
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert_ne!(office.current(), current, "it died between the switch and the proof");

    let serving = Serving::start(&office, free_port());
    assert_eq!((office.current(), office.files()), (current, files));
    assert_eq!(office.held().await, held);
    let script = Script::of(&office, &serving.url);
    let newest = script.newest().await;
    assert_eq!(newest["outcome"], "interrupted", "{newest}");
    let said = newest["message"].as_str().unwrap();
    assert!(said.contains("stopped half-way") && said.contains("was seen to run it"), "{said}");
    assert_eq!(script.apply().await.2["outcome"], "verified");
    assert_eq!(office.manager().await.caller_id("1000").await, "\"Ann B\" <1000>");
    serving.stop();
}

#[tokio::test]
async fn a_server_told_to_stop_finishes_its_apply_and_answers_before_it_ends() {
    let office = Office::new().await;
    office.hire("Ann").await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let mut command = office.command();
    command.env("PATCHBAY_ASTERISK_AMI", proxy.address());
    let port = free_port();
    let serving = Serving::begin(command, port);
    let script = Script::of(&office, &serving.url);
    let applying = tokio::spawn(async move { script.apply().await });
    proxy.reached().await;
    serving.ask_to_stop();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    proxy.go();
    let (status, _, answer) = applying.await.unwrap();
    assert_eq!((status, &answer["outcome"]), (200, &json!("verified")), "{answer}");
    let ended = tokio::task::spawn_blocking(|| serving.stopped()).await.unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(office.held().await.phones(), ["1000"]);
}
