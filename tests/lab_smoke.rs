//! The lab itself: the real servers boot, answer and stop, and two phones talk through a hand-written
//! configuration of the shape that Patchbay renders.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::indexing_slicing
)]

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
    let mut office = Asterisk::prepare();
    furnish(&office);
    office.restart();
    let phone = async |number, secret, algorithm| {
        Phone::new(office.sip_port, number, secret, algorithm).await
    };
    let mut alice = phone("1000", "wonderland", Algorithm::Sha256).await;
    let mut bob = phone("1001", "builder", Algorithm::Md5).await;
    let mut desk = phone("1002", "reception", Algorithm::Sha256).await;
    let mut stranger = phone("1000", "guessed", Algorithm::Sha256).await;
    assert_eq!(stranger.register().await, 401);
    for phone in [&mut alice, &mut bob, &mut desk] {
        assert_eq!(phone.register().await, 200);
    }

    assert_eq!(alice.call("1999").await, 404, "a number nobody has");
    assert_eq!(alice.call("5551234").await, 404, "a number outside the range");
    assert_eq!(alice.call("1003").await, 480, "a phone that is not registered");
    let (status, ()) = tokio::join!(alice.call("1001"), bob.refuse("486 Busy Here"));
    assert_eq!(status, 486);

    assert_eq!(desk.watch("1001").await, 200);
    desk.lamp("terminated").await;
    let (status, ()) = tokio::join!(alice.call("1001"), async {
        bob.ring().await;
        desk.lamp("early").await;
        bob.pick_up().await;
        desk.lamp("confirmed").await;
    });
    assert_eq!(status, 200);
    let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
    assert_eq!(status, 200);
    desk.lamp("terminated").await;

    let (status, ()) = tokio::join!(bob.call("1000"), alice.answer());
    assert_eq!(status, 200);
    let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
    assert_eq!(status, 200);
    assert_eq!(alice.unregister().await, 200);
    assert_eq!(bob.call("1000").await, 480, "a phone that has left");
    let log = office.logged();
    assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
}

#[tokio::test]
async fn a_number_is_unallocated_before_it_is_made_and_after_it_is_deleted() {
    let mut office = Asterisk::prepare();
    let without = fs::read_to_string(office.config_dir.join("pjsip.conf")).unwrap();
    furnish(&office);
    let with = fs::read_to_string(office.config_dir.join("pjsip.conf")).unwrap();
    let (alice_only, _) = with.split_once("[1001]").unwrap();
    office.restart();
    let reload = |text: &str| {
        fs::write(office.config_dir.join("pjsip.conf"), text).unwrap();
        office.cli("module reload res_pjsip.so");
    };
    let mut alice = Phone::new(office.sip_port, "1000", "wonderland", Algorithm::Md5).await;
    let mut bob = Phone::new(office.sip_port, "1001", "builder", Algorithm::Md5).await;
    assert_ne!(without, with);
    for _ in 0..2 {
        reload(alice_only);
        assert_eq!(alice.register().await, 200);
        assert_eq!(alice.call("1001").await, 404, "not there");
        assert_eq!(bob.register().await, 401);
        reload(&with);
        assert_eq!(bob.register().await, 200);
        assert_eq!(alice.watch("1001").await, 200);
        alice.lamp("terminated").await;
        let (status, ()) = tokio::join!(alice.call("1001"), bob.answer());
        assert_eq!(status, 200);
        let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
        assert_eq!(status, 200);
    }
    reload(alice_only);
    assert_eq!(alice.call("1001").await, 404, "deleted while registered and watched");
}

/// Four people and the dialplan, by hand.
fn furnish(asterisk: &Asterisk) {
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
    for (number, secret) in
        [("1000", "wonderland"), ("1001", "builder"), ("1002", "reception"), ("1003", "nobody")]
    {
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
exten => _1XXX,1,GotoIf($["${AST_SORCERY(res_pjsip,endpoint,${EXTEN},context)}" = ""]?unallocated)
 same => n,GotoIf($["${PJSIP_AOR(${EXTEN},contact)}" = ""]?absent)
 same => n,Dial(PJSIP/${EXTEN},25)
 same => n,GotoIf($["${DIALSTATUS}" = "BUSY"]?busy)
 same => n,GotoIf($["${DIALSTATUS}" = "NOANSWER"]?silent)
 same => n(absent),Hangup(20)
 same => n(silent),Hangup(19)
 same => n(busy),Hangup(17)
 same => n(unallocated),Hangup(1)
exten => _1XXX,hint,PJSIP/${EXTEN}
exten => i,1,Hangup(1)
exten => t,1,Hangup()
exten => h,1,NoOp()
"#,
    );
}
