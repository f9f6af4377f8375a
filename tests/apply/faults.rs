//! Asterisk says "success" of a reload that lost something. Each way is found: by preflight where it can be seen, and,
//! behind its back, by reading back; then the old release is in force again, on disk and in Asterisk.

use std::sync::Arc;

use patchbay::{
    apply::{File, RunState},
    asterisk::{
        conf::{self, ConfigDir, Files},
        preflight::{Severity, Top, preflight},
    },
};

use crate::office::{Office, set_range};

/// A damage, whether preflight sees it, and a part of what the run says of it.
type Damage = (&'static str, fn(&File) -> Arc<str>, bool, &'static str);

fn pjsip(file: &File, damage: impl FnOnce(&str) -> String) -> Arc<str> {
    if file.name == "pjsip.conf" { damage(&file.text).into() } else { file.text.clone() }
}

fn extensions(file: &File, damage: impl FnOnce(&str) -> String) -> Arc<str> {
    if file.name == "extensions.conf" { damage(&file.text).into() } else { file.text.clone() }
}

fn with(text: &str, more: &str) -> String {
    let damaged = format!("{text}{more}");
    assert_ne!(damaged, text);
    damaged
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{text}");
    text.replacen(old, new, 1)
}

const PHONES: [Damage; 17] = [
    (
        "an unknown option on a new endpoint",
        |f| pjsip(f, |t| with(t, "[7777](patchbay-phone)\nnosuch_option = 1\n")),
        false,
        "did not take its endpoints",
    ),
    (
        "an unknown option on an endpoint that was there",
        |f| {
            pjsip(f, |t| {
                replaced(
                    t,
                    "[1000](patchbay-phone)\n",
                    "[1000](patchbay-phone)\nnosuch_option = 1\n",
                )
            })
        },
        false,
        "did not take its endpoints",
    ),
    (
        "a bad value on an endpoint",
        |f| pjsip(f, |t| replaced(t, "dtmf_mode = rfc4733", "dtmf_mode = sometimes")),
        false,
        "did not take its endpoints",
    ),
    (
        "a bad auth_type",
        |f| pjsip(f, |t| with(t, "[7777](patchbay-auth)\nauth_type = nonsense\n")),
        false,
        "did not take its auths",
    ),
    (
        "a digest that is none",
        |f| pjsip(f, |t| with(t, "[7777](patchbay-auth)\npassword_digest = MD5:12\n")),
        false,
        "did not take its auths",
    ),
    (
        "a bad max_contacts",
        |f| pjsip(f, |t| with(t, "[7777](patchbay-aor)\nmax_contacts = many\n")),
        false,
        "did not take its aors",
    ),
    (
        "an object that is there twice",
        |f| pjsip(f, |t| with(t, "[1000](patchbay-aor)\n")),
        true,
        "did not take its aors",
    ),
    (
        "a header without its end, half-way",
        |f| pjsip(f, |t| replaced(t, "[1001](patchbay-phone)", "[broken\n[1001](patchbay-phone)")),
        true,
        "did not take its",
    ),
    (
        "a template that is not there, half-way",
        |f| pjsip(f, |t| replaced(t, "[1001](patchbay-phone)", "[1001](nosuch)")),
        true,
        "did not take its",
    ),
    (
        "an include that is not there",
        |f| {
            pjsip(f, |t| {
                replaced(
                    t,
                    "[1001](patchbay-phone)",
                    "#include patchbay/current/none.conf\n[1001](patchbay-phone)",
                )
            })
        },
        true,
        "did not take its",
    ),
    ("nothing at all", |f| pjsip(f, |_| String::new()), false, "did not take its"),
    (
        "an option too long to be read",
        |f| {
            pjsip(f, |t| {
                replaced(
                    t,
                    "[1001](patchbay-phone)\n",
                    &format!("[1001](patchbay-phone)\nset_var = x={}\n", "y".repeat(9000)),
                )
            })
        },
        true,
        "too long",
    ),
    (
        "a section header too long to be read",
        |f| {
            pjsip(f, |t| {
                replaced(
                    t,
                    "[1001](patchbay-phone)",
                    &format!("[1001](patchbay-phone{})", " ".repeat(9000)),
                )
            })
        },
        true,
        "did not take its",
    ),
    (
        "a line that is no option",
        |f| {
            pjsip(f, |t| {
                replaced(t, "[1001](patchbay-phone)\n", "[1001](patchbay-phone)\nnot an option\n")
            })
        },
        true,
        "No '='",
    ),
    (
        "the rest swallowed by a comment's end",
        |f| pjsip(f, |t| replaced(t, "\"Bob\"", "\"Bob--;\"")),
        true,
        "did not take its",
    ),
    (
        "the rest swallowed by a comment's beginning",
        |f| pjsip(f, |t| replaced(t, "\"Bob\"", "\"Bob\" ;--")),
        true,
        "did not take its",
    ),
    (
        "a name that is cut",
        |f| {
            pjsip(f, |t| {
                replaced(
                    t,
                    "[1001](patchbay-aor)",
                    &format!("[1001{}](patchbay-aor)", "n".repeat(80)),
                )
            })
        },
        true,
        "does not hold aor 1001",
    ),
];

#[tokio::test]
async fn whatever_a_reload_loses_of_the_phones_is_found_and_rolled_back() {
    let office = Office::new().await;
    office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    office.hire("Bob").await;
    each_is_rolled_back(&office, &PHONES).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    assert_eq!(office.held().await.phones(), ["1000", "1001"]);
}

const DIALPLAN: [Damage; 5] = [
    (
        "a header without its end, half-way",
        |f| extensions(f, |t| replaced(t, "exten => i,1", "[broken\nexten => i,1")),
        true,
        "did not load it to the end",
    ),
    (
        "an include that is not there",
        |f| {
            extensions(f, |t| {
                replaced(t, "exten => i,1", "#include patchbay/current/none.conf\nexten => i,1")
            })
        },
        true,
        "extensions.conf",
    ),
    (
        "a line too long to be read",
        |f| {
            extensions(f, |t| {
                replaced(
                    t,
                    "exten => i,1",
                    &format!("exten => 5,1,NoOp({})\nexten => i,1", "y".repeat(9000)),
                )
            })
        },
        true,
        "too long",
    ),
    (
        "a priority that is there twice",
        |f| {
            extensions(f, |t| {
                replaced(
                    t,
                    "exten => i,1,Hangup(1)",
                    "exten => i,1,Hangup(1)\nexten => i,1,Hangup(2)",
                )
            })
        },
        false,
        "Unable to register extension",
    ),
    ("nothing at all", |f| extensions(f, |_| String::new()), false, "did not load it to the end"),
];

#[tokio::test]
async fn whatever_a_reload_loses_of_the_dialplan_is_found_and_rolled_back() {
    let office = Office::new().await;
    office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    set_range(&office, "1000-2999").await;
    each_is_rolled_back(&office, &DIALPLAN).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
}

async fn each_is_rolled_back(office: &Office, damages: &[Damage]) {
    let meant = rendered(office).await;
    let (held, files, current) = (office.held().await, office.files(), office.current());
    let pending = office.pending().await;
    let mut wrong = Vec::new();
    for (damage, tamper, seen, said) in damages {
        let found = blocking(office, &meant, *tamper);
        if found.is_empty() == *seen {
            wrong.push(format!("{damage}: preflight finds {found:?}"));
        }
        let run = office
            .apply_with(
                &office.applier.clone().tampering(*tamper),
                patchbay::apply::Source::Database,
            )
            .await;
        if run.state != RunState::RolledBack || !run.detail.contains(said) {
            wrong.push(format!("{damage}: {} {:?}", run.detail, run.findings()));
        }
        assert_eq!((run.release, run.previous), (Some(current), Some(current)), "{damage}");
        assert_eq!(office.held().await, held, "{damage}: {run:?}");
        assert_eq!((office.files(), office.current()), (files.clone(), current), "{damage}");
        assert_eq!(office.pending().await, pending, "{damage}");
        // A digest is as good as the password, also in Asterisk's words.
        assert!(!format!("{run:?}").contains("MD5:12"), "{run:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files an Apply would write now; Asterisk is left as it was.
async fn rendered(office: &Office) -> Vec<File> {
    let before = office.applier.last_good().await.unwrap().unwrap();
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!(office.restore(before.id).await.state, RunState::Verified);
    office.applier.files_of(run.id).await.unwrap()
}

/// What preflight would say of the release damaged so.
fn blocking(office: &Office, files: &[File], tamper: fn(&File) -> Arc<str>) -> Vec<String> {
    let damaged = files.iter().map(|file| (file.name.to_owned(), tamper(file).into()));
    let release: Files = damaged.collect();
    let source =
        ConfigDir::new(&office.asterisk.config_dir).with_release("patchbay/current", release);
    let [pjsip, extensions] =
        ["pjsip.conf", "extensions.conf"].map(|name| conf::parse(&source, name));
    let found = preflight(
        Top { name: "pjsip.conf", tree: &pjsip, include: "patchbay/current/pjsip.conf" },
        Top {
            name: "extensions.conf",
            tree: &extensions,
            include: "patchbay/current/extensions.conf",
        },
    );
    let blocking = found.iter().filter(|finding| finding.severity == Severity::Blocking);
    blocking.map(ToString::to_string).collect()
}
