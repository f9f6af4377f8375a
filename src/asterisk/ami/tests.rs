//! The client against a scripted server that answers as a running 22.10.1 did.

use std::collections::BTreeSet;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::asterisk::objects::ObjectKind;

fn quick() -> Timeouts {
    let short = Duration::from_millis(200);
    Timeouts {
        connect: short,
        answer: short,
        reload: short,
        reload_event: Duration::from_millis(50),
    }
}

/// A server that greets and then answers each action with the next text, the `_` of `ActionID: _` replaced by the action's id. It hands
/// back what it was sent.
async fn scripted(
    greeting: &'static str,
    answers: Vec<String>,
) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        write.write_all(greeting.as_bytes()).await.unwrap();
        let mut actions = Vec::new();
        for answer in answers {
            let mut action = String::new();
            while !action.ends_with("\r\n\r\n") && read.read_line(&mut action).await.unwrap() > 0 {}
            let id = action
                .lines()
                .find_map(|line| line.strip_prefix("ActionID: "))
                .unwrap_or("")
                .to_owned();
            actions.push(action);
            let _ = write
                .write_all(answer.replace("ActionID: _", &format!("ActionID: {id}")).as_bytes())
                .await;
        }
        let mut rest = String::new();
        while read.read_line(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
        actions.push(rest);
        actions
    });
    (address, server)
}

const GREETING: &str = "Asterisk Call Manager/11.0.0\r\n";

async fn connected(answers: &[&str]) -> (Ami, tokio::task::JoinHandle<Vec<String>>) {
    let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let (address, server) = scripted(GREETING, answers).await;
    (Ami::connect(address, quick()).await.unwrap(), server)
}

#[tokio::test]
async fn a_login_is_one_action_and_leaves_later_events_alone() {
    let ok = "Response: Success\r\nActionID: _\r\nMessage: Authentication accepted\r\n\r\nEvent: FullyBooted\r\nStatus: x\r\n\r\n";
    let pong = "Response: Success\r\nActionID: _\r\nPing: Pong\r\n\r\n";
    let (mut ami, server) = connected(&[ok, pong]).await;
    ami.login("patchbay", "s3cret").await.unwrap();
    ami.ping().await.unwrap();
    drop(ami);
    let sent = server.await.unwrap();
    assert_eq!(
        sent[0],
        "Action: Login\r\nActionID: 1\r\nUsername: patchbay\r\nSecret: s3cret\r\nEvents: system\r\n\r\n"
    );
    assert_eq!(sent[1], "Action: Ping\r\nActionID: 2\r\n\r\n");
    assert_eq!(sent[2], "");
}

#[tokio::test]
async fn a_refusal_is_named_by_its_cause() {
    let (mut ami, _) =
        connected(&["Response: Error\r\nActionID: _\r\nMessage: Authentication failed\r\n\r\n"])
            .await;
    assert!(matches!(ami.login("patchbay", "wrong").await, Err(AmiError::BadLogin)));
    assert!(matches!(ami.ping().await, Err(AmiError::Closed)));
    let (mut ami, _) =
        connected(&["Response: Error\r\nActionID: _\r\nMessage: Permission denied\r\n\r\n"]).await;
    assert!(matches!(ami.version().await, Err(AmiError::PermissionDenied)));
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(Ami::connect(free, quick()).await, Err(AmiError::Refused(_))));
}

#[tokio::test]
async fn silence_ends_in_a_timeout_and_a_closed_connection_is_said() {
    let (mut ami, server) = connected(&["", "Response: Success\r\nActionID: _\r\n\r\n"]).await;
    assert!(matches!(ami.ping().await, Err(AmiError::Timeout)));
    assert!(matches!(ami.ping().await, Err(AmiError::Closed)));
    server.abort();
    let (mut ami, server) = connected(&[]).await;
    server.abort();
    assert!(server.await.is_err());
    assert!(matches!(ami.ping().await, Err(AmiError::Closed)));
}

#[tokio::test]
async fn another_service_is_not_taken_for_asterisk() {
    for greeting in ["SSH-2.0-OpenSSH_9.2\r\n", "\r\n"] {
        let (address, _) = scripted(greeting, Vec::new()).await;
        assert!(matches!(Ami::connect(address, quick()).await, Err(AmiError::Garbled(_))));
    }
    let (address, _) = scripted("", Vec::new()).await;
    assert!(matches!(Ami::connect(address, quick()).await, Err(AmiError::Timeout)));
}

#[test]
fn a_field_that_would_add_a_line_is_refused() {
    for value in ["1000\r\nAction: Logoff", "a\nb", "a\0", "a\u{85}b", &"x".repeat(201)] {
        assert!(
            matches!(Action::new("Ping").field("X", value), Err(AmiError::BadField("X"))),
            "{value:?}"
        );
    }
    let action = Action::new("Login").field("Secret", "s3cret").unwrap();
    assert!(!format!("{action:?}").contains("s3cret"));
}

#[tokio::test]
async fn version_and_start_are_read_from_their_answers() {
    let settings = "Response: Success\r\nActionID: _\r\nAMIversion: 11.0.0\r\nAsteriskVersion: 22.10.1+dfsg\r\nSystemName: \r\n\r\n";
    let status = "Response: Success\r\nActionID: _\r\nCoreStartupDate: 2026-11-21\r\nCoreStartupTime: 00:07:40\r\n\r\n";
    let (mut ami, _) = connected(&[settings, status]).await;
    assert_eq!(ami.version().await.unwrap(), (22, 10, 1));
    assert_eq!(ami.started_at().await.unwrap(), "2026-11-21 00:07:40");
}

#[tokio::test]
async fn a_reload_is_what_its_event_says() {
    let answer = "Response: Success\r\nActionID: _\r\nMessage: Module Reloaded\r\n\r\n";
    let event = |module: &str, status: u8| {
        format!("Event: Reload\r\nModule: {module}\r\nStatus: {status}\r\n\r\n")
    };
    let queued = format!("{}{answer}{}", event("other.so", 3), event("res_pjsip.so", 1));
    let error =
        format!("Response: Error\r\nActionID: _\r\nMessage: x\r\n\r\n{}", event("res_pjsip.so", 4));
    let missing = "Response: Error\r\nActionID: _\r\nMessage: No such module\r\n\r\n";
    let (mut ami, _) = connected(&[&queued, &error, missing, answer]).await;
    assert_eq!(ami.reload("res_pjsip.so").await.unwrap(), ReloadResult::Queued);
    assert_eq!(ami.reload("res_pjsip.so").await.unwrap(), ReloadResult::InProgress);
    assert_eq!(ami.reload("res_pjsip.so").await.unwrap(), ReloadResult::NoSuchModule);
    assert_eq!(ami.reload("res_pjsip.so").await.unwrap(), ReloadResult::Reloaded);
}

fn list(kind: &str, count: usize, promised: usize) -> String {
    let mut text =
        "Response: Success\r\nActionID: _\r\nEventList: start\r\nMessage: follows\r\n\r\n"
            .to_owned();
    for n in 0..count {
        write!(text, "Event: {kind}List\r\nActionID: _\r\nObjectType: x\r\nObjectName: {n}\r\nPassword: p\r\n\r\n").unwrap();
    }
    write!(text, "Event: {kind}ListComplete\r\nActionID: _\r\nEventList: Complete\r\nListItems: {promised}\r\n\r\n").unwrap();
    text
}

#[tokio::test]
async fn ids_are_those_of_the_list_and_an_empty_list_is_an_answer() {
    let empty = "Response: Error\r\nActionID: _\r\nMessage: No AORs found\n\r\n\r\n";
    let (mut ami, _) = connected(&[&list("Aor", 10_000, 10_000), empty, &list("Auth", 2, 3)]).await;
    ami.timeouts.answer = Duration::from_secs(10);
    assert_eq!(ami.ids(ObjectKind::Aor).await.unwrap().len(), 10_000);
    assert_eq!(ami.ids(ObjectKind::Aor).await.unwrap(), BTreeSet::new());
    assert!(matches!(ami.ids(ObjectKind::Auth).await, Err(AmiError::Garbled(_))));
}

#[tokio::test]
async fn one_question_tells_an_endpoint_and_its_parts() {
    let part = |kind: &str, name: &str| {
        format!("Event: XDetail\r\nActionID: _\r\nObjectType: {kind}\r\nObjectName: {name}\r\n\r\n")
    };
    let start = "Response: Success\r\nActionID: _\r\nEventList: start\r\n\r\n";
    let end = "Event: EndpointDetailComplete\r\nActionID: _\r\nEventList: Complete\r\nListItems: 2\r\n\r\n";
    let found = format!("{start}{}{}{end}", part("endpoint", "1000"), part("auth", "1000-auth"));
    let none =
        "Response: Error\r\nActionID: _\r\nMessage: Unable to retrieve endpoint nope\r\n\r\n\r\n";
    let (mut ami, _) = connected(&[&found, none]).await;
    let parts = ami.parts_of_endpoint("1000").await.unwrap();
    let expected =
        [(ObjectKind::Endpoint, "1000".to_owned()), (ObjectKind::Auth, "1000-auth".to_owned())];
    assert_eq!(parts, BTreeSet::from(expected));
    assert!(!ami.has_object(ObjectKind::Endpoint, "nope").await.unwrap());
}

#[tokio::test]
async fn a_context_is_there_or_not() {
    let none = "Response: Error\r\nActionID: _\r\nMessage: Did not find context nope\r\n\r\n";
    let (mut ami, _) = connected(&[&list("Dialplan", 2, 2), none]).await;
    assert!(ami.has_context("patchbay").await.unwrap());
    assert!(!ami.has_context("nope").await.unwrap());
}
