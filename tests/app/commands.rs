//! The command line.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use patchbay::auth::Role;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::app::{PASSWORD, TestApp, both_databases};
use crate::support::lab::Postgres;
use crate::support::process::{Patchbay, output, patchbay};

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A new, empty database of the other kind.
fn other_kind(app: &TestApp, name: &str) -> String {
    if app.is_sqlite() {
        Postgres::database()
    } else {
        format!("sqlite:{}", app.dir().join(name).display())
    }
}

both_databases! {
    async fn an_operator_is_added_with_the_password_from_standard_input(app: TestApp) {
        let (code, out, _) = said(&Patchbay::run(&app, &["operator", "add", "ann", "--role", "admin"], &format!("{PASSWORD}\n")));
        assert_eq!((code, out.as_str()), (Some(0), "ann may sign in as admin\n"));
        assert_eq!(app.browser().sign_in("ann", PASSWORD).await.status, 303);
        let rows = app.texts("SELECT actor || '|' || via || '|' || action FROM audit_event ORDER BY seq").await;
        assert_eq!(rows[..2], ["tester|command line|operator.created", "tester|command line|operator.password_set"]);
        let before = app.contents().await;
        for (arguments, password, why) in [
            (["operator", "add", "ann", "--role", "admin"], PASSWORD, "ann is taken"),
            (["operator", "add", "bob", "--role", "admin"], "short", "use at least 12 characters"),
            (["operator", "add", "bob", "--role", "admin"], "", "use at least 12 characters"),
            (["operator", "add", "bob", "--role", "root"], PASSWORD, "choose admin, operator, helpdesk or auditor"),
            (["operator", "add", "Bob!", "--role", "admin"], PASSWORD, "use 2 to 40 small letters"),
        ] {
            let (code, out, err) = said(&Patchbay::run(&app, &arguments, password));
            assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
            assert!(err.contains(why), "{err}");
            assert!(password.is_empty() || !err.contains(password));
        }
        assert_eq!(app.contents().await, before);
    }

    async fn a_token_is_printed_once_and_works_with_its_role(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let (code, out, err) = said(&Patchbay::run(&app, &["token", "add", "nightly", "--operator", "ann", "--role", "auditor"], ""));
        assert_eq!(code, Some(0));
        let token = out.trim_end();
        assert!(token.starts_with("pb_") && token.len() == 46 && !err.contains(token), "{out} {err}");
        assert_eq!(app.ask("GET", "/api/v1/users").token(token).send().await.status, 200);
        let call = app.ask("POST", "/api/v1/users").token(token).json(&serde_json::json!({}));
        assert_eq!(call.send().await.status, 403);
        let (code, out, err) = said(&Patchbay::run(&app, &["token", "add", "x", "--operator", "nobody"], ""));
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains("there is no operator nobody"), "{err}");
    }

    async fn check_says_what_is_whole_and_fails_on_what_is_not(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        app.operator("bob", Role::Admin).await;
        let (code, out, _) = said(&Patchbay::run(&app, &["check"], ""));
        let head = app.texts("SELECT hash FROM audit_head").await.remove(0);
        let told = format!("audit log: 2 rows, unbroken; its head is {head}\ndatabase: no faults\n");
        assert_eq!((code, out), (Some(0), told));
        app.sql("UPDATE audit_event SET actor = 'x' WHERE seq = 1").await;
        let (code, out, _) = said(&Patchbay::run(&app, &["check"], ""));
        assert_eq!((code, out.as_str()), (Some(1), "audit log: audit row 1 was altered, or its key is another\n"));
    }

    async fn check_fails_on_rows_that_changed_places_and_on_one_that_is_gone(app: TestApp) {
        for name in ["ann", "bob", "cid", "dot"] {
            app.operator(name, Role::Admin).await;
        }
        let found = || {
            let (code, out, _) = said(&Patchbay::run(&app, &["check"], ""));
            (code, out.lines().next().unwrap().to_owned())
        };
        let swap = async || {
            for (from, to) in [(2, 100), (3, 2), (100, 3)] {
                app.sql(&format!("UPDATE audit_event SET seq = {to} WHERE seq = {from}")).await;
            }
        };
        swap().await;
        assert_eq!(found(), (Some(1), "audit log: audit row 2 was altered, or its key is another".to_owned()));
        swap().await;
        assert_eq!(found().0, Some(0));
        app.sql("DELETE FROM audit_event WHERE seq = 3").await;
        assert_eq!(found(), (Some(1), "audit log: audit row 3 is missing: rows were deleted or renumbered".to_owned()));
    }

    async fn a_lost_or_another_secret_key_is_said_and_none_is_made_in_its_place(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let key = app.dir().join("secret.key");
        let right = std::fs::read_to_string(&key).unwrap();
        let before = app.contents().await;
        std::fs::remove_file(&key).unwrap();
        for command in ["serve", "check", "apply"] {
            let (code, out, err) = said(&Patchbay::run(&app, &[command], ""));
            assert_eq!((code, out.as_str()), (Some(1), ""), "{command}");
            assert!(err.contains("written with another secret key") && err.contains("secret.key"), "{err}");
            assert!(!key.exists(), "{command}");
        }
        std::fs::write(&key, "ab".repeat(32)).unwrap();
        let (code, _, err) = said(&Patchbay::run(&app, &["serve"], ""));
        assert!(code == Some(1) && err.contains("written with another secret key"), "{err}");
        std::fs::write(&key, right).unwrap();
        assert_eq!(said(&Patchbay::run(&app, &["check"], "")).0, Some(0));
        assert_eq!(app.contents().await, before);
    }

    async fn users_go_in_and_out_as_csv(app: TestApp) {
        let file = app.dir().join("in.csv");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "name,email,extension\nAnn,ann@example.com,\n=1+1,bob@example.com,1005\n").unwrap();
        let before = app.contents().await;
        let (code, out, _) = said(&Patchbay::run(&app, &["import", "users", path, "--dry-run"], ""));
        assert_eq!((code, out.as_str()), (Some(0), "2 users would be added\n"));
        assert_eq!(app.contents().await, before);
        let (code, out, _) = said(&Patchbay::run(&app, &["import", "users", path], ""));
        assert_eq!((code, out.as_str()), (Some(0), "2 users added\n"));
        let (code, exported, _) = said(&Patchbay::run(&app, &["export", "users"], ""));
        assert_eq!(code, Some(0));
        let lines: Vec<&str> = exported.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
        assert_eq!(lines, ["name,email,extension,state", "Ann,ann@example.com,1000,enabled", "'=1+1,bob@example.com,1005,enabled"]);

        std::fs::write(&file, "name,email,extension\nCid,cid@example.com,\nDot,ann@example.com,12\n").unwrap();
        let before = app.contents().await;
        let (code, out, _) = said(&Patchbay::run(&app, &["import", "users", path], ""));
        assert_eq!((code, out.as_str()), (Some(1), "line 3, email: ann@example.com belongs to another user\nnothing was added\n"));
        assert_eq!(app.contents().await, before);
        for arguments in [["import", "phones", path], ["import", "users", "/nowhere.csv"]] {
            assert_eq!(said(&Patchbay::run(&app, &arguments, "")).0, Some(1));
        }
        std::fs::write(&file, b"name,email\nZo\xff,z@example.com\n").unwrap();
        assert_eq!(said(&Patchbay::run(&app, &["import", "users", path], "")).0, Some(1));
        assert_eq!(app.contents().await, before);
    }

    async fn a_backup_fills_a_database_of_the_other_kind_and_comes_back(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/users", &[("name", "Zoë 李雷 🚀"), ("email", "zoe@example.com")]).await;
        let secret = page.between(r#"id="secret">"#, "<").to_owned();
        let id = page.between(r#"href="/users/"#, "/edit").to_owned();
        app.token_of("admin", Role::Auditor, None).await;
        app.tenant("acme", "other").await;
        app.sql("DELETE FROM session").await;
        app.sql("DELETE FROM one_time_link").await;
        let before = app.contents().await;

        let (there, back) = (app.dir().join("there.gz"), app.dir().join("back.gz"));
        let (code, out, _) = said(&Patchbay::run(&app, &["backup", there.to_str().unwrap()], ""));
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains("secret.key"), "{out}");
        assert_eq!(said(&Patchbay::run(&app, &["backup", there.to_str().unwrap()], "")).0, Some(1), "it is not overwritten");
        let bytes = std::fs::read(&there).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));

        let url = other_kind(&app, "other.db");
        let command = |url: &str, arguments: [&str; 2]| {
            let mut command = patchbay(&app.dir(), url);
            command.args(arguments);
            said(&output(command, ""))
        };
        let (code, _, err) = command(&url, ["restore", there.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{err}");
        let (code, _, err) = command(&url, ["restore", there.to_str().unwrap()]);
        assert!(code == Some(1) && err.contains("the database is not empty; restore fills a new one only"), "{err}");
        let other = app.elsewhere(&url).await;
        assert_eq!(normal(&other.contents().await), normal(&before));
        patchbay::audit::verify(&other.state.db, &other.state.chain).await.unwrap().unwrap();
        let admin = other.browser();
        admin.sign_in("admin", PASSWORD).await;
        let shown = admin.post(&format!("/users/{id}/secret/reveal"), &[("password", PASSWORD)]).await;
        assert_eq!(shown.between(r#"id="secret">"#, "<"), secret);

        other.sql("DELETE FROM session").await;
        let before = other.contents().await;
        let (code, _, err) = said(&Patchbay::run(&other, &["backup", back.to_str().unwrap()], ""));
        assert_eq!(code, Some(0), "{err}");
        let url = if app.is_sqlite() { format!("sqlite:{}", app.dir().join("back.db").display()) } else { Postgres::database() };
        let (code, _, err) = command(&url, ["restore", back.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{err}");
        let again = app.elsewhere(&url).await;
        assert_eq!(normal(&again.contents().await), normal(&before));
        assert_eq!(said(&Patchbay::run(&again, &["check"], "")).0, Some(0));
    }

    async fn a_damaged_or_foreign_backup_changes_nothing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        let file = app.dir().join("x.gz");
        let path = file.to_str().unwrap();
        assert_eq!(said(&Patchbay::run(&app, &["backup", path], "")).0, Some(0));
        let url = other_kind(&app, "other.db");
        let other = app.elsewhere(&url).await;
        let before = other.contents().await;
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        let short = a_cell_short(&whole);
        for bytes in [&whole[..whole.len() - 20], &flipped, &short, b"", b"not a backup", &whole[..40]] {
            std::fs::write(&file, bytes).unwrap();
            let (code, _, err) = said(&Patchbay::run(&other, &["restore", path], ""));
            assert_eq!(code, Some(1), "{err}");
            assert!(!err.contains("panicked"), "{err}");
            assert_eq!(other.contents().await, before);
        }
    }

    async fn a_new_installation_prints_its_link_serves_and_stops_when_told(app: TestApp) {
        let server = Patchbay::serve_saying(&app, 3).await;
        let link = server.said.split_whitespace().find(|word| word.contains("/welcome/")).unwrap();
        assert!(link.starts_with(&server.url), "{}", server.said);
        crate::support::trust();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(link).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers().contains_key("content-security-policy"));
        assert!(page.text().await.unwrap().contains("You become its first administrator"));
        let head = client.head(format!("{}/healthz", server.url)).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.text().await.unwrap(), "");
        assert_eq!(server.stop().code(), Some(0));
    }

    async fn links_and_cookies_are_for_the_address_it_is_reached_by(app: TestApp) {
        let server = Patchbay::serve_told(&app, 3, &[("PATCHBAY_PUBLIC_URL", "https://pbx.example/")]).await;
        assert!(server.said.contains("reached as https://pbx.example\n"), "{}", server.said);
        assert!(server.said.contains("  https://pbx.example/welcome/"), "{}", server.said);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(format!("{}/login", server.url)).send().await.unwrap();
        assert!(page.headers().contains_key("strict-transport-security"));
        server.stop();
    }

    async fn told_to_stop_it_answers_what_was_being_asked_before_it_ends(app: TestApp) {
        app.operator("ann", Role::Admin).await;
        let token = app.token_of("ann", Role::Admin, None).await;
        let server = Patchbay::serve(&app).await;
        let address = server.url.trim_start_matches("http://");
        let body = r#"{"name":"Ann","email":"ann@example.com"}"#;
        let head = format!(
            "POST /api/v1/users HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut asking = BufReader::new(TcpStream::connect(address).await.unwrap());
        asking.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        asking.read_line(&mut line).await.unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n", "it has begun to listen to this request");
        server.ask_to_stop();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        asking.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("HTTP/1.1 201 Created") && answer.contains("\"number\":1000"), "{answer}");
        assert_eq!(server.stopped().code(), Some(0));
        assert_eq!(app.texts("SELECT name FROM users").await, ["Ann"]);
    }
}

/// The backup without the last cell of its first row, and otherwise sound.
fn a_cell_short(backup: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(backup).read_to_string(&mut text).unwrap();
    let row = text.lines().find(|line| line.starts_with('[')).unwrap().to_owned();
    let short = format!("{}]", row.rsplit_once(',').unwrap().0);
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.replace(&row, &short).as_bytes()).unwrap();
    out.finish().unwrap()
}

/// Contents with truth as one of the two databases writes it.
fn normal(contents: &str) -> String {
    let ends = [("true\"", "1\""), ("false\"", "0\"")];
    let text = ends.iter().fold(contents.to_owned(), |text, (from, to)| text.replace(from, to));
    // In an extension's row the truth stands before its time.
    text.replace("true1700", "11700").replace("false1700", "01700")
}

#[test]
fn settings_come_from_the_file_and_the_environment_overrides_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("patchbay.toml");
    let url = format!("sqlite:{}", dir.path().join("named.db").display());
    let run = |settings: &str, environment: &[(&str, &str)], arguments: &[&str]| {
        std::fs::write(&file, settings).unwrap();
        let mut command = patchbay(dir.path(), &url);
        command.env_remove("PATCHBAY_DATABASE_URL").env_remove("PATCHBAY_DATA_DIR");
        command.envs(environment.iter().copied()).args(arguments);
        said(&output(command, ""))
    };
    for (settings, why) in [
        ("lissten = \"127.0.0.1:1\"", "lissten"),
        ("[asterisk]\nsecret = \"x\"", "secret"),
        ("listen = \"here\"", "listen"),
        ("listen = 7", "listen"),
        ("database_url = \"mysql://root:hunter2@x\"", "database_url"),
        ("public_url = \"pbx.example\"", "public_url"),
        ("not toml", "patchbay.toml"),
    ] {
        let (code, out, err) = run(settings, &[], &["check"]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{settings}");
        assert!(err.contains(why) && !err.contains("hunter2"), "{settings}: {err}");
    }
    assert!(!dir.path().join("data").exists(), "a wrong setting stops it before it does anything");

    let wrong = "listen = \"here\"\ndatabase_url = \"nonsense\"\n";
    let (code, ..) = run(
        wrong,
        &[("PATCHBAY_LISTEN", "127.0.0.1:0"), ("PATCHBAY_DATABASE_URL", &url)],
        &["check"],
    );
    assert_eq!(code, Some(0));
    assert!(dir.path().join("named.db").exists());
    let key = dir.path().join("data/secret.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::metadata(dir.path().join("data")).unwrap().permissions().mode() & 0o777,
        0o700
    );

    let elsewhere = dir.path().join("settings.toml");
    std::fs::write(&elsewhere, "data_dir = \"third\"\n").unwrap();
    let (code, ..) = run("lissten = 1", &[], &["check", "--config", elsewhere.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(dir.path().join("third/patchbay.db").exists());
    let (code, _, err) = run("", &[], &["check", "--config", "/nowhere.toml"]);
    assert!(code == Some(1) && err.contains("/nowhere.toml"), "{err}");

    let (named, data) = (dir.path().join("named.key"), dir.path().join("fourth"));
    let paths = [("PATCHBAY_SECRET_KEY_FILE", &named), ("PATCHBAY_DATA_DIR", &data)];
    let paths = paths.map(|(name, path)| (name, path.to_str().unwrap()));
    assert_eq!(run("secret_key_file = \"third.key\"\n", &paths, &["check"]).0, Some(0));
    assert!(named.exists() && !dir.path().join("third.key").exists());
    assert!(data.join("patchbay.db").exists() && !data.join("secret.key").exists());

    std::fs::write(&key, "short\n").unwrap();
    let (code, _, err) = run("", &[], &["check"]);
    assert!(code == Some(1) && err.contains("64 hexadecimal digits"), "{err}");
}

#[test]
fn a_taken_port_is_said_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("x.db").display());
    let mut command = patchbay(dir.path(), &url);
    command.env("PATCHBAY_LISTEN", &address);
    let (code, _, err) = said(&output(command, ""));
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("cannot listen on {address}")), "{err}");
}
