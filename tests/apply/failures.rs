//! Asterisk, its manager interface, its files and the disk fail: it is said, and what was in force stays in force.

use std::{fs, os::unix::process::CommandExt as _, process::Command, time::Duration};

use patchbay::{
    apply::{Applier, ApplyError, Request, Run, RunState, Source},
    asterisk::ami::Timeouts,
};

use crate::{
    office::{Office, append, on_both_databases, request, set_range, value},
    proxy::{Fault, Proxy},
};

/// Long enough for an answer on a busy machine, and soon over when none comes.
fn impatient(applier: Applier) -> Applier {
    let two = Duration::from_secs(2);
    applier.waiting(Timeouts {
        connect: two,
        answer: two,
        reload: two,
        reload_event: Duration::from_millis(300),
    })
}

async fn staffed() -> Office {
    let office = Office::new().await;
    office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    office.hire("Bob").await;
    office
}

/// Refused, and nothing at all was written.
async fn assert_refused(office: &Office, applier: &Applier, why: &str) -> Run {
    assert_ends(office, applier, RunState::Refused, why).await
}

/// Asterisk could not be told anything, and nothing at all was written.
async fn assert_unreachable(office: &Office, applier: &Applier, why: &str) {
    assert_ends(office, applier, RunState::Unreachable, why).await;
}

async fn assert_ends(office: &Office, applier: &Applier, state: RunState, why: &str) -> Run {
    let releases = || fs::read_dir(office.config_file("patchbay/releases")).unwrap().count();
    let (files, current, before) = (office.files(), office.current(), releases());
    let run = office.apply_with(applier, Source::Database).await;
    assert_eq!(run.state, state, "{run:?}");
    let told = format!("{} {:?}", run.detail, run.findings());
    assert!(told.contains(why), "{told}");
    assert!(run.detail.starts_with("Nothing was changed"), "{}", run.detail);
    assert_eq!((office.files(), office.current(), releases()), (files, current, before));
    assert_eq!(run.release, Some(current));
    assert!(office.pending().await > 0);
    run
}

#[tokio::test]
async fn asterisk_down_or_another_secret_is_refused_before_anything_is_written() {
    let mut office = staffed().await;
    let held = office.held().await;
    let other = office.applier_with(|config| config.asterisk.ami_secret = Some("guessed".into()));
    assert_unreachable(&office, &other, "refuses the manager login").await;
    let nobody = office.applier_with(|config| config.asterisk.ami = "127.0.0.1:1".into());
    assert_unreachable(&office, &nobody, "does not answer: start Asterisk").await;
    assert_eq!(office.held().await, held);

    office.asterisk.stop();
    let down = office.applier.clone();
    assert_unreachable(&office, &down, "does not answer: start Asterisk").await;
    office.asterisk.restart();
    assert_eq!(office.held().await, held, "it comes back as it was");
    assert_eq!(office.apply().await.state, RunState::Verified);

    office.asterisk.restart();
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Unchanged, "started anew it read the same: {run:?}");
}

/// How many files are kept of all Applies together.
async fn kept(office: &Office) -> i64 {
    let mut tx = office.session.state.read().await.unwrap();
    tx.query("SELECT count(*) FROM apply_file").scalar().await.unwrap()
}

/// What an Apply would have changed, as lines.
async fn would_add(office: &Office, run: &Run) -> String {
    let files = office.applier.difference(run).await.unwrap();
    files.iter().map(|(name, diff)| diff.to_text(name)).collect()
}

on_both_databases! {
    async fn what_was_not_told_is_kept_once_however_often_it_is_tried(office: Office) {
        let mut office = office;
        office.hire("Ann").await;
        let first = office.apply().await;
        assert_eq!((first.state, kept(&office).await), (RunState::Verified, 2));

        office.asterisk.stop();
        // Nothing else than is in force.
        let same = office.apply().await;
        assert_eq!((same.state, kept(&office).await), (RunState::Unreachable, 2));
        let texts = async |run: &Run| office.applier.files_of(run.id).await.unwrap();
        assert_eq!(texts(&same).await, texts(&first).await);
        assert_eq!(would_add(&office, &same).await, "");

        office.hire("Bob").await;
        let tried = office.apply().await;
        assert_eq!((tried.state, kept(&office).await), (RunState::Unreachable, 4));
        assert!(would_add(&office, &tried).await.contains("+[1001](patchbay-phone)"));
        append(&office.config_file("extensions.conf"), "\n[patchbay-internal]\nexten => 1000,1,Hangup()\n");
        for _ in 0..2 {
            let again = office.apply().await;
            assert_eq!((again.state, kept(&office).await), (RunState::Refused, 4), "{again:?}");
            assert_eq!(texts(&again).await, texts(&tried).await);
            assert_eq!(would_add(&office, &again).await, would_add(&office, &tried).await);
        }
        office.hire("Carl").await;
        let other = office.apply().await;
        assert_eq!((other.state, kept(&office).await), (RunState::Refused, 6));
        assert!(would_add(&office, &other).await.contains("+[1002](patchbay-phone)"));
        for run in [&same, &tried, &other] {
            let refused = office.applier.apply(&office.actor, &request(Source::Release(run.id))).await;
            assert!(matches!(refused, Err(ApplyError::NoSuchRelease)), "{run:?}");
        }
    }
}

#[tokio::test]
async fn a_manager_interface_that_hangs_before_the_reload_is_refused_and_after_it_rolled_back() {
    let office = staffed().await;
    let held = office.held().await;
    let (files, current) = (office.files(), office.current());
    for (word, fault, state) in [
        ("Action: Login", Fault::Stall, RunState::Unreachable),
        ("Action: CoreSettings", Fault::Stall, RunState::Unreachable),
        ("Action: CoreSettings", Fault::Cut, RunState::Unreachable),
        ("Action: Reload", Fault::Stall, RunState::RolledBack),
        ("Action: Reload", Fault::Swallow, RunState::RolledBack),
        ("Action: Reload", Fault::Cut, RunState::RolledBack),
        ("Action: PJSIPShowEndpoint\r", Fault::Stall, RunState::RolledBack),
        // Whether Asterisk has the file that stays is asked before anything is put in place.
        ("Action: ShowDialPlan", Fault::Cut, RunState::Unreachable),
        ("Action: PJSIPShowEndpoints", Fault::Swallow, RunState::RolledBack),
        ("Action: PJSIPShowAuths", Fault::Cut, RunState::RolledBack),
        ("Action: PJSIPShowAors", Fault::Stall, RunState::RolledBack),
    ] {
        let proxy = Proxy::new(office.asterisk.ami_port, word, fault, 1).await;
        let applier =
            impatient(office.applier_with(|config| config.asterisk.ami = proxy.address()));
        let run = office.apply_with(&applier, Source::Database).await;
        assert_eq!(run.state, state, "{word}: {run:?}");
        let said =
            ["did not answer in time", "connection to Asterisk's manager interface is closed"];
        assert!(said.iter().any(|said| run.detail.contains(said)), "{word}: {run:?}");
        assert_eq!((office.files(), office.current()), (files.clone(), current), "{word}");
        assert_eq!(office.held().await, held, "{word}");
        assert_eq!(run.release, Some(current));
        // What Asterisk did not take, or was not told, can be looked at, and not be restored.
        let told = office.applier.difference(&run).await.unwrap();
        assert_eq!(told.len(), 1, "{word}: {run:?}");
        let again = request(Source::Release(run.id));
        let restored = office.applier.apply(&office.actor, &again).await;
        assert!(matches!(restored, Err(ApplyError::NoSuchRelease)), "{word}");
    }
    assert_eq!(office.apply().await.state, RunState::Verified);
}

#[tokio::test]
async fn when_nobody_answers_the_rollback_either_the_files_are_the_old_ones_and_both_is_said() {
    let office = staffed().await;
    let held = office.held().await;
    let (files, current) = (office.files(), office.current());
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Swallow, 9).await;
    let applier = impatient(office.applier_with(|config| config.asterisk.ami = proxy.address()));
    let run = office.apply_with(&applier, Source::Database).await;
    assert_eq!(run.state, RunState::RollbackFailed, "{run:?}");
    assert!(
        run.detail.contains("did not answer in time") && run.detail.contains("could not be seen"),
        "{run:?}"
    );
    assert_eq!((office.files(), office.current()), (files, current));
    // The next Apply of what was in force before sees what Asterisk really runs.
    let before = office.applier.last_good().await.unwrap().unwrap();
    let run = office.restore(before.id).await;
    assert!(run.state.is_good(), "{run:?}");
    assert_eq!(office.held().await, held);
    assert_eq!(office.apply().await.state, RunState::Verified);
}

#[tokio::test]
async fn a_reload_of_somebody_else_is_waited_for() {
    const BUSY: &str = "Response: Error\r\nActionID\r\nMessage: A reload is in progress\r\n\r\n";
    let office = staffed().await;
    let proxy =
        Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Answer(BUSY), 3).await;
    let applier = impatient(office.applier_with(|config| config.asterisk.ami = proxy.address()));
    let run = office.apply_with(&applier, Source::Database).await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!(office.held().await.phones(), ["1000", "1001"]);
}

/// What another Asterisk says of itself.
const OLD: &str = "Response: Success\r\nActionID\r\nAsteriskVersion: 21.9.1\r\n\r\n";
const NOT_ADVISED: &str = "Response: Success\r\nActionID\r\nAsteriskVersion: 22.9.2~dfsg\r\n\r\n";

#[tokio::test]
async fn an_asterisk_older_than_22_is_told_nothing_and_one_older_than_22_10_with_a_warning() {
    let office = staffed().await;
    let (held, files, current) = (office.held().await, office.files(), office.current());
    let word = "Action: CoreSettings";
    let proxy = Proxy::new(office.asterisk.ami_port, word, Fault::Answer(OLD), 99).await;
    let applier = office.applier_with(|config| config.asterisk.ami = proxy.address());
    let run = office.apply_with(&applier, Source::Database).await;
    assert_eq!(run.state, RunState::Unreachable, "{run:?}");
    assert_eq!(
        run.detail,
        "Nothing was changed: this is Asterisk 21.9; Patchbay needs 22.0 or newer."
    );
    assert_eq!((office.held().await, office.files(), office.current()), (held, files, current));
    let drift = applier.drift().await.unwrap();
    assert_eq!(
        drift.unreachable.as_deref(),
        Some("this is Asterisk 21.9; Patchbay needs 22.0 or newer")
    );

    let proxy = Proxy::new(office.asterisk.ami_port, word, Fault::Answer(NOT_ADVISED), 99).await;
    let applier = office.applier_with(|config| config.asterisk.ami = proxy.address());
    let run = office.apply_with(&applier, Source::Database).await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    let advice = "Asterisk 22.9.2 is older than 22.10: other reloads can deadlock it, upgrade it";
    assert_eq!(run.findings(), [advice]);
    assert_eq!(applier.drift().await.unwrap().advice.as_deref(), Some(advice));
    assert_eq!(office.applier.drift().await.unwrap().advice, None, "the real one is new enough");
}

#[tokio::test]
async fn a_preview_on_the_command_line_prints_the_difference_and_changes_nothing() {
    let office = Office::new().await;
    let preview = || {
        let output = office.patchbay(&["apply", "--preview"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(preview(), (Some(0), String::new(), "nothing would change\n".to_owned()));
    let (_, secret) = office.hire("Ann").await;
    let (code, printed, told) = preview();
    assert_eq!((code, told.as_str()), (Some(0), ""), "{printed}");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("--- ") && lines[0].contains("pjsip.conf"), "{printed}");
    assert!(lines[1].starts_with("+++ ") && lines[1].contains("pjsip.conf"), "{printed}");
    assert!(lines[2].starts_with("@@ -"), "{printed}");
    for line in
        ["+[1000](patchbay-phone)", "+callerid = \"Ann\" <1000>", "+[1000-auth](patchbay-auth)"]
    {
        assert!(lines.contains(&line), "{line} is not in {printed}");
    }
    let digests: Vec<&&str> = lines.iter().filter(|line| line.contains("digest = ")).collect();
    let hidden = ["+password_digest = MD5:(hidden #", "+password_digest = SHA-256:(hidden #"];
    assert_eq!(digests.len(), 2, "{printed}");
    for (line, hidden) in digests.iter().zip(hidden) {
        assert!(line.starts_with(hidden), "{line}");
    }
    assert!(
        !printed.contains(secret.expose()) && !printed.contains("extensions.conf"),
        "{printed}"
    );
    assert_eq!((office.current(), office.pending().await), (0, 1));
    assert_eq!(office.held().await.phones(), [""; 0]);

    // What stands in the way is named, and is no success.
    append(
        &office.config_file("extensions.conf"),
        "\n[patchbay-internal]\nexten => 1000,1,Hangup()\n",
    );
    let (code, printed, told) = preview();
    assert_eq!(code, Some(1), "{told}");
    assert!(printed.contains("+[1000](patchbay-phone)"), "{printed}");
    assert!(told.contains("is also a context of ours"), "{told}");
}

#[tokio::test]
async fn the_manager_user_and_its_secret_come_from_the_environment() {
    let office = staffed().await;
    let apply = |user: &str, secret: &str| {
        let mut command = office.command();
        command.arg("apply").env("PATCHBAY_ASTERISK_AMI_USER", user);
        let output = command.env("PATCHBAY_ASTERISK_AMI_SECRET", secret).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = apply("tester", "wrong");
    assert!(code == Some(1) && told.starts_with("unreachable: Nothing was changed"), "{told}");
    let (code, told) = apply("tester", "tester");
    assert!(code == Some(0) && told.starts_with("verified: "), "{told}");
}

#[tokio::test]
async fn asterisk_killed_and_started_again_while_it_is_told_ends_with_one_release_or_the_other() {
    let mut office = staffed().await;
    let held = office.held().await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let applier = impatient(office.applier_with(|config| config.asterisk.ami = proxy.address()));
    let actor = office.actor.clone();
    let applying =
        tokio::spawn(async move { applier.apply(&actor, &request(Source::Database)).await });
    proxy.reached().await;
    // It boots on the new release, which is on disk already.
    office.asterisk.kill();
    office.asterisk.restart();
    proxy.go();
    let run = applying.await.unwrap().unwrap();
    assert_eq!(run.state, RunState::RolledBack, "{run:?}");
    assert_eq!(office.held().await, held);
    assert_eq!(office.apply().await.state, RunState::Verified);
}

#[tokio::test]
async fn an_asterisk_that_runs_something_else_than_the_files_is_told_again() {
    let office = staffed().await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let held = office.held().await;
    // Somebody reloads while the files are away.
    let (there, away) =
        (office.config_file("patchbay/current"), office.config_file("patchbay/away"));
    fs::rename(&there, &away).unwrap();
    fs::create_dir(&there).unwrap();
    for name in ["pjsip.conf", "extensions.conf"] {
        fs::write(there.join(name), "").unwrap();
    }
    office.asterisk.cli("module reload res_pjsip.so");
    office.asterisk.cli("module reload pbx_config.so");
    fs::remove_dir_all(&there).unwrap();
    fs::rename(&away, &there).unwrap();
    assert_eq!(office.held().await.phones(), [""; 0]);
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!(run.findings(), ["Asterisk did not run the release in force; it is told again."]);
    assert_eq!(office.held().await, held);
}

#[tokio::test]
async fn files_changed_by_hand_are_refused_by_name_until_they_may_be_overwritten() {
    let office = staffed().await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    office.hire("Cid").await;
    for (file, hand) in
        [("pjsip.conf", "\n[9999]\ntype = aor\n"), ("extensions.conf", "\n; mine\n")]
    {
        append(&office.config_file("patchbay/current").join(file), hand);
        let applier = office.applier.clone();
        assert_refused(&office, &applier, &format!("patchbay/current/{file} was changed by hand"))
            .await;
        let output = office.patchbay(&["apply"]);
        assert!(!output.status.success());
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("refused") && told.contains(file), "{told}");
        let go_on = Request { overwrite: true, ..request(Source::Database) };
        let run = office.applier.apply(&office.actor, &go_on).await.unwrap();
        assert_eq!(run.state, RunState::Verified, "{run:?}");
        assert!(!office.files().concat().contains(hand.trim()));
        office.hire("Next").await;
    }
    fs::remove_file(office.config_file("patchbay/current/extensions.conf")).unwrap();
    let applier = office.applier.clone();
    assert_refused_quietly(&office, &applier, "patchbay/current/extensions.conf is gone").await;
    let output = office.patchbay(&["apply", "--overwrite", "--reason", "found it gone"]);
    assert!(output.status.success(), "{output:?}");
    let run = office.applier.last_good().await.unwrap().unwrap();
    assert_eq!((run.reason.as_str(), run.actor.as_str()), ("found it gone", "ann"));
}

/// As [`assert_refused`], with files missing.
async fn assert_refused_quietly(office: &Office, applier: &Applier, why: &str) {
    let run = office.apply_with(applier, Source::Database).await;
    assert_eq!(run.state, RunState::Refused, "{run:?}");
    assert!(format!("{run:?}").contains(why), "{run:?}");
}

#[tokio::test]
async fn what_preflight_finds_in_hand_written_files_is_refused_with_file_and_line() {
    let office = staffed().await;
    let held = office.held().await;
    let applier = office.applier.clone();
    for (file, hand, why) in [
        (
            "pjsip.conf",
            "\n[1000]\ntype = endpoint\n",
            "[1000] of type endpoint exists also at patchbay/current/pjsip.conf:",
        ),
        (
            "pjsip.conf",
            "\n[1000](+)\ncontext = elsewhere\n",
            "this adds to [1000] of patchbay/current/pjsip.conf:",
        ),
        ("pjsip.conf", "\n[x](patchbay-nosuch)\ntype = aor\n", "patchbay-nosuch"),
        ("pjsip.conf", "\n[x\n", "the `]` is missing"),
        ("pjsip.conf", "\n#include nosuch.conf\n", "nosuch.conf"),
        (
            "extensions.conf",
            "\n[patchbay-internal]\nexten => 1000,1,Hangup()\n",
            "is also a context of ours",
        ),
    ] {
        let path = office.config_file(file);
        let old = fs::read_to_string(&path).unwrap();
        append(&path, hand);
        let line = old.lines().count() + 2;
        let run = assert_refused(&office, &applier, why).await;
        let findings = run.findings().concat();
        assert!(
            findings.contains(&format!("{file}:{line}: "))
                || findings.contains(&format!("{file}:{}: ", line + 1)),
            "{line} {findings}"
        );
        fs::write(&path, old).unwrap();
    }
    for file in ["pjsip.conf", "extensions.conf"] {
        let path = office.config_file(file);
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, old.replace("#include", ";#include")).unwrap();
        assert_refused(&office, &applier, &format!("{file}: our include line is missing")).await;
        fs::write(&path, old).unwrap();
    }
    assert_eq!(office.held().await, held);
    assert_eq!(office.apply().await.state, RunState::Verified);
}

#[tokio::test]
async fn an_old_mistake_in_a_hand_written_file_is_said_and_does_not_hold_up_an_apply() {
    let office = staffed().await;
    append(
        &office.config_file("pjsip.conf"),
        "\n[trunk]\ntype = identify\nendpoint = nobody\nnosuch_option = 1\n",
    );
    append(
        &office.config_file("extensions.conf"),
        "\n[office]\nexten => 7,1,NoOp()\nexten => 7,1,NoOp()\n",
    );
    set_range(&office, "1000-2999").await;
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    let findings = run.findings().concat();
    assert!(
        findings.contains("Asterisk's log: ") && findings.contains("Unable to register"),
        "{findings}"
    );
}

#[tokio::test]
async fn a_hand_written_endpoint_that_breaks_all_of_them_is_rolled_back_with_asterisks_own_words() {
    let office = staffed().await;
    let held = office.held().await;
    append(&office.config_file("pjsip.conf"), "\n[trunk]\ntype = endpoint\nnosuch_option = 1\n");
    let run = office.apply().await;
    // The old release is no better off with that mistake, and Asterisk keeps what it had.
    assert!(matches!(run.state, RunState::RolledBack | RunState::RollbackFailed), "{run:?}");
    assert!(run.findings().concat().contains("nosuch_option"), "{run:?}");
    let phones = office.held().await;
    assert_eq!(phones.phones(), held.phones());
}

#[tokio::test]
async fn what_asterisk_lost_of_a_file_that_stays_as_it_is_it_is_told_again() {
    let office = Office::new().await;
    for name in ["Ann", "Bob"] {
        office.hire(name).await;
    }
    assert_eq!(office.apply().await.state, RunState::Verified);
    let told_again = |run: &Run| run.findings().iter().any(|said| said.contains("told again"));

    lose_an_aor(&office).await;
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "there was nothing to change: {run:?}");
    assert!(told_again(&run) && holds(&office, "1001").await, "{run:?}");
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Unchanged, "{run:?}");
    assert!(!told_again(&run), "{run:?}");

    lose_an_aor(&office).await;
    set_range(&office, "1000-2999").await;
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "only the dialplan changed: {run:?}");
    assert!(told_again(&run) && holds(&office, "1001").await, "{run:?}");
    let reloaded = run.modules().into_iter().filter(|module| module.reloaded).count();
    assert_eq!(reloaded, 2, "{run:?}");
}

/// Lets Asterisk read the file without 1001's address of record, and puts the file back.
async fn lose_an_aor(office: &Office) {
    let file = office.config_file("patchbay/current/pjsip.conf");
    let text = fs::read_to_string(&file).unwrap();
    let without = text.replacen("[1001](patchbay-aor)", "[1002](patchbay-aor)", 1);
    assert_ne!(without, text);
    for (text, reload) in [(without, true), (text, false)] {
        // Releases may share the file by a link: a new one in its place.
        let beside = file.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &file).unwrap();
        if reload {
            office.asterisk.cli("module reload res_pjsip.so");
        }
    }
    assert!(!holds(office, "1001").await);
}

async fn holds(office: &Office, aor: &str) -> bool {
    office.manager().await.ids("PJSIPShowAors").await.iter().any(|id| id == aor)
}

#[tokio::test]
async fn objects_that_live_only_in_memory_and_files_that_differ_are_shown_as_drift() {
    let mut office = staffed().await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let drift = office.applier.drift().await.unwrap();
    assert!(drift.is_none(), "{drift:?}");
    assert!(drift.version.starts_with("22.") && drift.release == Some(office.current()));

    // Reloaded with a hand-written object that is then taken out of the file.
    let pjsip = office.config_file("pjsip.conf");
    let old = fs::read_to_string(&pjsip).unwrap();
    append(&pjsip, "\n[trunk]\ntype = aor\n");
    office.asterisk.cli("module reload res_pjsip.so");
    fs::write(&pjsip, &old).unwrap();
    let drift = office.applier.drift().await.unwrap();
    assert_eq!(drift.memory_only, ["aor trunk"], "{drift:?}");
    append(&pjsip, "\n[later]\ntype = aor\n");
    append(&office.config_file("patchbay/current/pjsip.conf"), "\n; mine\n");
    let drift = office.applier.drift().await.unwrap();
    assert_eq!(drift.missing, ["aor later"]);
    assert_eq!(drift.edited, ["patchbay/current/pjsip.conf was changed by hand"]);
    assert!(!drift.is_none());
    // A step of the dialplan that somebody added and one that somebody took away by hand.
    office.asterisk.cli("dialplan add extension 999,1,NoOp,x into patchbay-internal");
    office.asterisk.cli("dialplan remove extension i@patchbay-internal");
    let drift = office.applier.drift().await.unwrap();
    assert_eq!(drift.memory_only, ["aor trunk", "extension 999, priority 1 of patchbay-internal"]);
    assert_eq!(drift.missing, ["aor later", "extension i, priority 1 of patchbay-internal"]);
    // Looking mends nothing.
    assert!(office.files()[0].contains("; mine"));
    office.asterisk.stop();
    let drift = office.applier.drift().await.unwrap();
    assert!(drift.unreachable.unwrap().contains("start Asterisk"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_said_and_changes_nothing() {
    let office = staffed().await;
    let held = office.held().await;
    let lock = office.config_file("patchbay/lock");
    let binary = env!("CARGO_BIN_EXE_patchbay");
    let output = strace(
        &office,
        &["-P", lock.to_str().unwrap(), "-e", "inject=openat:error=EROFS"],
        &[binary, "apply"],
    );
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("patchbay cannot be used: Read-only file system"), "{told}");
    let output = strace(&office, &["-e", "inject=link,linkat:error=ENOSPC"], &[binary, "apply"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !output.status.success()
            && told.contains("refused: Nothing was changed")
            && told.contains("No space left"),
        "{output:?}"
    );
    assert_eq!(office.held().await, held);
    fs::remove_dir_all(office.config_file("patchbay/releases")).unwrap();
    let gone = office.applier.apply(&office.actor, &request(Source::Database)).await;
    assert!(matches!(gone, Err(ApplyError::Directory { .. })), "{gone:?}");
}

fn strace(office: &Office, faults: &[&str], command: &[&str]) -> std::process::Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]).args(faults).args(command);
    strace.envs(office.environment()).process_group(0).output().unwrap()
}

#[tokio::test]
async fn a_manager_user_without_its_rights_is_named_before_anything_is_written() {
    let mut office = staffed().await;
    append(
        &office.config_file("manager.conf"),
        "\n[weak]\nsecret = weak\nread = system\nwrite = reporting\n",
    );
    office.asterisk.restart();
    let weak = office.applier_with(|config| {
        config.asterisk.ami_user = "weak".into();
        config.asterisk.ami_secret = Some("weak".into());
    });
    let held = office.held().await;
    let run = office.apply_with(&weak, Source::Database).await;
    assert!(
        !run.state.is_good() && run.detail.contains("the manager user may not do this"),
        "{run:?}"
    );
    assert_eq!(office.files()[0].matches("[1001]").count(), 0);
    assert_eq!(office.held().await, held);
    assert_eq!(value("A: b\n", "A"), Some("b"));
}
