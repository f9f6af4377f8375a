//! `patchbay asterisk install` and `check`: shown, asked, added, and nothing else touched.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Stdio,
};

use crate::office::{Database, Office, append};

const TOUCHED: [&str; 4] = ["pjsip.conf", "extensions.conf", "manager.conf", "sorcery.conf"];

/// Everything in Asterisk's directory: text, mode and owner.
fn everything(office: &Office) -> BTreeMap<String, (String, u32, u32, u32)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&office.asterisk.config_dir).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        if about.is_file() {
            let text = fs::read_to_string(entry.path()).unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, (text, about.mode(), about.uid(), about.gid()));
        }
    }
    files
}

fn answer(office: &Office, answer: &str) -> std::process::Output {
    let mut install = office.command();
    install.args(["asterisk", "install"]).stdin(Stdio::piped());
    let mut child = install.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn it_shows_what_it_would_add_asks_and_changes_nothing_when_declined() {
    let office = Office::bare(Database::Sqlite).await;
    let before = everything(&office);
    for no in ["n\n", "\n", ""] {
        let output = answer(&office, no);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stdout).unwrap();
        for line in [
            "#include patchbay/current/pjsip.conf",
            "#include patchbay/current/extensions.conf",
            "[patchbay]",
            "integrity=file",
            "Go on? [y/N]",
            "Nothing was changed.",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.contains("secret = (hidden)"), "{told}");
        assert_eq!(everything(&office), before);
        assert!(!office.config_file("patchbay").exists());
        assert!(!office.data_dir().join("ami.secret").exists());
    }
}

#[tokio::test]
async fn it_adds_to_hand_written_files_keeps_the_rest_and_does_it_once() {
    let mut office = Office::bare(Database::Sqlite).await;
    fs::set_permissions(office.config_file("pjsip.conf"), fs::Permissions::from_mode(0o604))
        .unwrap();
    let before = everything(&office);
    let output = answer(&office, "y\n");
    assert!(output.status.success(), "{output:?}");
    let after = everything(&office);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (name, (text, mode, user, group)) in &before {
        let (new, new_mode, new_user, new_group) = &after[name];
        assert_eq!((mode, user, group), (new_mode, new_user, new_group), "{name}");
        assert!(new.starts_with(text), "{name} is only added to");
        assert_eq!(new != text, TOUCHED.contains(&name.as_str()), "{name}");
    }
    assert_eq!(office.current(), 0);
    let secret = office.data_dir().join("ami.secret");
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
    assert!(after["manager.conf"].0.contains(fs::read_to_string(secret).unwrap().trim()));

    let again = office.patchbay(&["asterisk", "install", "--yes"]);
    assert!(again.status.success());
    assert!(String::from_utf8(again.stdout).unwrap().contains("Everything is there already."));
    assert_eq!(everything(&office), after);
    office.asterisk.restart();
    let check = office.patchbay(&["asterisk", "check"]);
    assert!(check.status.success(), "{check:?}");
    assert!(!office.asterisk.logged().contains("ERROR"));
}

#[tokio::test]
async fn a_mapping_that_is_there_already_is_left_to_be_done_by_hand() {
    let office = Office::bare(Database::Sqlite).await;
    append(
        &office.config_file("sorcery.conf"),
        "\n[res_pjsip]\nendpoint = config,pjsip.conf,criteria=type=endpoint\n",
    );
    let output = office.patchbay(&["asterisk", "install", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "something is left to do");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("by hand: sorcery.conf, line") && told.contains("maps endpoints already"),
        "{told}"
    );
    let sorcery = fs::read_to_string(office.config_file("sorcery.conf")).unwrap();
    assert_eq!(sorcery.matches("endpoint = ").count(), 1);
    assert!(
        sorcery.contains("auth = config,pjsip.conf,criteria=type=auth,integrity=file"),
        "{sorcery}"
    );
}

#[tokio::test]
async fn check_fails_for_each_thing_that_is_missing_and_names_it() {
    let mut office = Office::new().await;
    let check = |office: &Office| {
        let output = office.patchbay(&["asterisk", "check"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = check(&office);
    assert!(code == Some(0) && !told.contains("MISSING"), "{told}");
    for (file, old, new, said) in [
        ("pjsip.conf", "#include", ";#include", "MISSING pjsip.conf lacks"),
        ("extensions.conf", "#include", ";#include", "MISSING extensions.conf lacks"),
        ("manager.conf", "[patchbay]", "[other]", "MISSING manager.conf lacks"),
        ("sorcery.conf", "auth = ", ";auth = ", "MISSING sorcery.conf lacks"),
        ("pjsip.conf", "type = transport", "type = acl", "MISSING pjsip.conf has a transport"),
        ("logger.conf", "messages.log", ";messages.log", "MISSING Asterisk's log cannot be read"),
    ] {
        let path = office.config_file(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file}: {text}");
        fs::write(&path, text.replace(old, new)).unwrap();
        let (code, told) = check(&office);
        assert!(code == Some(1) && told.contains(said), "{said}: {told}");
        fs::write(&path, text).unwrap();
    }
    fs::rename(office.config_file("patchbay/current"), office.config_file("patchbay/away"))
        .unwrap();
    let (code, told) = check(&office);
    assert!(code == Some(1) && told.contains("MISSING no release is in force"), "{told}");
    fs::rename(office.config_file("patchbay/away"), office.config_file("patchbay/current"))
        .unwrap();
    office.asterisk.cli("module unload app_echo.so");
    office.asterisk.cli("module unload func_pjsip_aor.so");
    let (code, told) = check(&office);
    assert!(code == Some(1) && told.contains("MISSING func_pjsip_aor.so is not loaded"), "{told}");
    office.asterisk.stop();
    let (code, told) = check(&office);
    assert!(code == Some(1) && told.contains("does not answer: start Asterisk"), "{told}");
}

#[tokio::test]
async fn without_an_installation_an_apply_says_what_to_run() {
    let office = Office::bare(Database::Sqlite).await;
    let output = office.patchbay(&["apply"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("run patchbay asterisk install"));
}

#[tokio::test]
async fn phones_can_be_told_and_whoever_asks_has_the_rights() {
    let mut office = Office::bare(Database::Sqlite).await;
    let notify = office.config_file("pjsip_notify.conf");
    fs::remove_file(&notify).unwrap();
    let output = answer(&office, "n\n");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("add to pjsip_notify.conf:"), "{told}");
    assert!(!notify.exists());
    assert!(office.patchbay(&["asterisk", "install", "--yes"]).status.success());
    assert!(notify.exists());
    office.asterisk.restart();
    let check = |office: &Office| {
        let output = office.patchbay(&["asterisk", "check"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = check(&office);
    assert!(code == Some(0) && told.contains("ok      pjsip_notify.conf is there"), "{told}");
    // Somebody's own is left as it is.
    append(&notify, "[mine]\nEvent=>x\n");
    let mine = fs::read_to_string(&notify).unwrap();
    assert!(office.patchbay(&["asterisk", "install", "--yes"]).status.success());
    assert_eq!(fs::read_to_string(&notify).unwrap(), mine);
    fs::remove_file(&notify).unwrap();
    office.asterisk.cli("module unload res_pjsip_notify.so");
    let (code, told) = check(&office);
    assert_eq!(code, Some(1));
    assert!(told.contains("MISSING pjsip_notify.conf is missing"), "{told}");
    assert!(told.contains("MISSING res_pjsip_notify.so is not loaded"), "{told}");
    let manager = office.config_file("manager.conf");
    let text = fs::read_to_string(&manager).unwrap();
    for (old, new, said) in [
        (
            "read = system\nwrite = system,reporting\n; ---",
            "read = call\nwrite = all\n; ---",
            "user patchbay: read lacks system",
        ),
        (
            "write = system,reporting\n; ---",
            "write = system\n; ---",
            "user patchbay: write lacks reporting",
        ),
    ] {
        assert!(text.contains(old), "{text}");
        fs::write(&manager, text.replace(old, new)).unwrap();
        let (_, told) = check(&office);
        assert!(told.contains(said), "{said}: {told}");
    }
}
