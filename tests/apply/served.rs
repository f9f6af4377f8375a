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
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status(), kind, answer.json().await.unwrap())
    }

    async fn apply(&self) -> (u16, String, Value) {
        let (status, kind, answer) = self.ask(Method::POST, "/api/v1/apply").await;
        (status.as_u16(), kind, answer)
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
    assert_eq!((status, kind.as_str()), (502, "application/json"), "{answer}");
    assert_eq!((&answer["outcome"], &answer["verified"]), (&json!("rolled back"), &json!(false)));

    let top = office.config_file("extensions.conf");
    let before = std::fs::read_to_string(&top).unwrap();
    append(&top, "[patchbay-internal]\nexten => 1000,1,NoOp()\n");
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (409, "application/json"), "{answer}");
    assert_eq!(answer["outcome"], "refused");
    assert!(answer["findings"][0].as_str().unwrap().contains("also a context of ours"), "{answer}");
    std::fs::write(&top, before).unwrap();

    office.asterisk.stop();
    let (status, kind, answer) = script.apply().await;
    assert_eq!((status, kind.as_str()), (503, "application/json"), "{answer}");
    assert_eq!(answer["outcome"], "unreachable");
    serving.stop();
}
