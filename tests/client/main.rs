//! A stranger's client: made by a generator from the `OpenAPI` document alone, used against the
//! real program and a real Asterisk.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::indexing_slicing
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::lab::Asterisk;
use support::server::Server;

/// Where `tests/lab/setup.sh` put the generator.
fn python() -> PathBuf {
    let lab = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/setup.sh"))
        .arg("--where")
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(lab.stdout).unwrap().trim()).join("python/bin")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_generated_from_the_document_creates_lists_applies_and_deletes() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    support::trust();
    let document = reqwest::get(format!("{}/api/openapi.json", server.url)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("openapi.json"), document.bytes().await.unwrap()).unwrap();
    let python = python();
    let made = Command::new(python.join("openapi-python-client"))
        .args([
            "generate",
            "--path",
            "openapi.json",
            "--output-path",
            "made",
            "--meta",
            "none",
            "--fail-on-warning",
        ])
        .env("PATH", format!("{}:/usr/bin:/bin", python.display()))
        .current_dir(dir.path())
        .output()
        .expect("the generator: run tests/lab/setup.sh");
    assert!(made.status.success(), "{}", said(&made));

    assert!(server.add_operator("ann", "admin"), "{}", server.logged());
    let token = server.command(&["token", "add", "script", "--operator", "ann"]);
    let token = String::from_utf8(token.stdout).unwrap();
    let script = |about: &[&str]| {
        let used = Command::new(python.join("python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/use.py"))
            .args([&server.url, token.trim()])
            .args(about)
            .env("PYTHONPATH", dir.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(used.status.success() && said(&used).contains("done"), "{}", said(&used));
    };
    script(&[]);
    // Somebody holds the lock, as an Apply does.
    let lock = asterisk.config_dir.join("patchbay/lock");
    std::fs::write(&lock, "bob").unwrap();
    let lock = std::fs::File::open(&lock).unwrap();
    lock.lock().unwrap();
    script(&["busy"]);
    lock.unlock().unwrap();
    asterisk.stop();
    script(&["unreachable"]);
}
