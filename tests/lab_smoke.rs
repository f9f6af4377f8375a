//! The lab itself: the real servers boot, answer and stop, and two phones talk through a hand-written
//! configuration of the shape that Patchbay renders.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{fs, path::Path};

use support::{
    lab::{Asterisk, Postgres},
    sip::{Algorithm, Phone},
};

#[test]
fn asterisk_boots_answers_and_stops() {
    let mut asterisk = Asterisk::start();
    assert!(asterisk.cli("core show version").starts_with("Asterisk 22."));
    let log = asterisk.logged();
    assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
    let first = asterisk.pid();
    asterisk.restart();
    assert_ne!(first, asterisk.pid());
    let (process, config) = (format!("/proc/{}", asterisk.pid()), asterisk.config_dir.clone());
    assert!(Path::new(&process).exists() && config.exists());
    drop(asterisk);
    assert!(!Path::new(&process).exists() && !config.exists());
}

#[test]
fn postgres_gives_each_caller_a_database() {
    let (a, b) = (Postgres::database(), Postgres::database());
    assert!(a.starts_with("postgres://") && a != b);
}

#[tokio::test]
async fn phones_register_and_talk() {
    let asterisk = Asterisk::prepare();
    let mut asterisk = write_office(asterisk);
    asterisk.restart();
    let port = asterisk.sip_port;
    let mut alice = Phone::new(port, "1000", "wonderland", Algorithm::Sha256).await;
    let mut bob = Phone::new(port, "1001", "builder", Algorithm::Md5).await;
    let mut stranger = Phone::new(port, "1000", "guessed", Algorithm::Sha256).await;
    assert_eq!(stranger.register().await, 401);
    assert_eq!(bob.register().await, 200);
    assert_eq!(alice.register().await, 200);

    assert_eq!(alice.call("1999").await, 404, "a number nobody has");
    assert_eq!(alice.call("5551234").await, 404, "a number outside the range");
    assert_eq!(alice.call("1002").await, 480, "a phone that is not registered");
    let (status, ()) = tokio::join!(alice.call("1001"), bob.refuse("486 Busy Here"));
    assert_eq!(status, 486);

    assert_eq!(alice.watch("1001").await, 200);
    assert_eq!(alice.lamp().await, "terminated");
    let (status, ()) = tokio::join!(alice.call("1001"), bob.answer());
    assert_eq!(status, 200);
    let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
    assert_eq!(status, 200);
    assert_eq!(alice.lamp().await, "early");
    assert_eq!(alice.lamp().await, "confirmed");
    assert_eq!(alice.lamp().await, "terminated");

    let (status, ()) = tokio::join!(bob.call("1000"), alice.answer());
    assert_eq!(status, 200);
    let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
    assert_eq!(status, 200);
    assert_eq!(alice.unregister().await, 200);
    let log = asterisk.logged();
    assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
}

/// Three people and the dialplan, by hand.
fn write_office(asterisk: Asterisk) -> Asterisk {
    let append = |file: &str, text: &str| {
        let path = asterisk.config_dir.join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
    };
    append(
        "pjsip.conf",
        r"
[phone](!)
type = endpoint
context = internal
disallow = all
allow = g722,alaw,ulaw
direct_media = no
rtp_symmetric = yes
force_rport = yes
rewrite_contact = yes
notify_early_inuse_ringing = yes
device_state_busy_at = 1
[login](!)
type = auth
auth_type = digest
realm = asterisk
supported_algorithms_uas = SHA-256,MD5
[line](!)
type = aor
max_contacts = 2
remove_existing = yes
",
    );
    for (number, secret) in [("1000", "wonderland"), ("1001", "builder"), ("1002", "nobody")] {
        let text = format!("{number}:asterisk:{secret}");
        append(
            "pjsip.conf",
            &format!(
                "[{number}](phone)\nauth = {number}\naors = {number}\n[{number}](login)\nusername = {number}\n\
                 password_digest = MD5:{}\npassword_digest = SHA-256:{}\n[{number}](line)\n",
                Algorithm::Md5.hash(&text),
                Algorithm::Sha256.hash(&text)
            ),
        );
    }
    append(
        "extensions.conf",
        r#"
[internal]
exten => _1XXX,1,GotoIf($["${DEVICE_STATE(PJSIP/${EXTEN})}" = "INVALID"]?nobody)
 same => n,Dial(PJSIP/${EXTEN},25)
 same => n,Hangup()
 same => n(nobody),Hangup(1)
exten => _1XXX,hint,PJSIP/${EXTEN}
exten => i,1,Hangup(1)
exten => t,1,Hangup()
"#,
    );
    asterisk
}
