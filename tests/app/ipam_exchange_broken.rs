//! Files of addresses while others write, read slowly, or are killed.

use std::io::Write as _;

use patchbay::auth::Role;
use serde_json::json;

use crate::ipam_exchange::{ADDRESSES, SUBNETS, all, count, faults, send, take};
use crate::support::app::{TestApp, both_databases};
use crate::support::process::Patchbay;

/// Whether another process is writing very much.
async fn is_writing(app: &TestApp) -> bool {
    if app.is_sqlite() {
        let log = app.dir().join("patchbay.db-wal");
        return std::fs::metadata(&log).map_or(0, |log| log.len()) > 3_000_000;
    }
    let writing = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'INSERT INTO audit_event%'";
    app.number(writing).await > 0
}

both_databases! {
    async fn two_who_want_one_address_are_one_who_gets_it(app: TestApp) {
        let script = app.script(Role::Operator).await;
        take(&script, "subnets", SUBNETS).await;
        let mut file = "address,holder\n".to_owned();
        for n in 10..90 {
            file.extend(["10.20.5.", &n.to_string(), ",from the file\n"]);
        }
        let taking = async {
            let mut taken = 0;
            for n in 0..20 {
                let by = patchbay::ipam::addresses::Reserver { name: "tester".to_owned(), anybodys: true };
                let mut change = app.state.change(&crate::support::app::tester()).await.unwrap();
                let mut space = patchbay::ipam::space::Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
                let purpose = patchbay::ipam::addresses::Purpose::Reserve { note: format!("n{n}").parse().unwrap(), until: None };
                let address = format!("10.20.5.{}", 10 + n).parse().unwrap();
                let got = patchbay::ipam::addresses::assign(&mut space, address, &purpose, &by).await;
                if got.is_ok() {
                    space.close().await.unwrap();
                    change.commit().await.unwrap();
                    taken += 1;
                }
            }
            taken
        };
        let (answer, taken) = tokio::join!(send(&script, "addresses", "", file), taking);
        let imported = app.number("SELECT count(*) FROM address WHERE holder_name = 'from the file'").await;
        if answer.status == 200 {
            assert_eq!(imported, 80);
        } else {
            // Somebody was first: nothing of the file was taken, and it is said who.
            assert!(faults(&answer)[0].contains("is reserved by tester"), "{answer:?}");
            assert_eq!(imported, 0);
        }
        assert_eq!(count(&app, "reserved").await, taken);
    }

    /// Whoever takes an export slowly keeps a moment of the database, and leaves the others theirs.
    async fn exports_taken_slowly_hold_up_no_page(app: TestApp) {
        let script = app.script(Role::Operator).await;
        take(&script, "subnets", SUBNETS).await;
        let mut slow = Vec::new();
        for _ in 0..3 {
            let mut moment = app.state.db.read_long().await.unwrap();
            let seen: i64 = moment.tx().query("SELECT count(*) FROM subnet").scalar().await.unwrap();
            assert_eq!(seen, 4);
            slow.push(moment);
        }
        for _ in 0..20 {
            let status = script.get("/api/v1/addresses").await.status;
            assert_eq!(status, 200, "who waits for a connection in vain is answered 503");
        }
        take(&script, "addresses", ADDRESSES).await;
        for mut moment in slow {
            let seen: i64 = moment.tx().query("SELECT count(*) FROM address").scalar().await.unwrap();
            assert_eq!(seen, 0, "it is still the moment it was");
            moment.end().await.unwrap();
        }
    }

    async fn a_program_killed_in_the_middle_leaves_nothing_half_done(app: TestApp) {
        let script = app.script(Role::Operator).await;
        take(&script, "subnets", "name,cidr\nWide,10.0.0.0/8\n").await;
        let file = app.dir().join("many.csv");
        let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        writeln!(out, "address,hostname").unwrap();
        for n in 1..60_000 {
            writeln!(out, "10.0.{}.{},m{n}", n / 256, n % 256).unwrap();
        }
        out.flush().unwrap();
        let before = all(&app).await;
        let mut command = crate::support::process::patchbay(&app.dir(), &app.url);
        let program = command.args(["import", "addresses", file.to_str().unwrap()]);
        let mut program = program.stdout(std::process::Stdio::null()).spawn().unwrap();
        while !is_writing(&app).await && program.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(program.try_wait().unwrap().is_none(), "it was too quick to be killed");
        program.kill().unwrap();
        program.wait().unwrap();
        let again = app.another().await;
        assert!(all(&again).await == before, "something is half done");
        let (code, out) = {
            let done = Patchbay::run(&again, &["check"], "");
            (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
        };
        assert!(code == Some(0) && out.contains("no faults"), "{out}");
    }

    async fn a_server_killed_in_the_middle_leaves_nothing_half_done(app: TestApp) {
        let script = app.script(Role::Operator).await;
        take(&script, "subnets", "name,cidr\nWide,10.0.0.0/8\n").await;
        let mut file = b"address,hostname\n".to_vec();
        for n in 1..60_000 {
            writeln!(file, "10.0.{}.{},m{n}", n / 256, n % 256).unwrap();
        }
        let known = async || app.texts("SELECT action || subject FROM audit_event WHERE action LIKE 'address%' OR action LIKE 'subnet%' ORDER BY seq").await;
        let before = (known().await, app.texts("SELECT CAST(size AS TEXT) FROM gap ORDER BY first_key").await);
        let program = Patchbay::serve(&app).await;
        let import = "/api/v1/addresses/import?file_name=many.csv";
        let sent = program.upload(&script.token, import, file.clone());
        let killed = async {
            while !is_writing(&app).await {
                tokio::task::yield_now().await;
            }
            program.kill();
        };
        let (answer, ()) = futures_util::future::join(sent, killed).await;
        assert_eq!(answer, None, "it was too quick to be killed");
        drop(program);
        assert_eq!(app.number("SELECT count(*) FROM address").await, 0);
        let gaps = app.texts("SELECT CAST(size AS TEXT) FROM gap ORDER BY first_key").await;
        assert_eq!((known().await, gaps), before, "something is half done");
        let checked = Patchbay::run(&app, &["check"], "");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && said.contains("no faults"), "{said}");
        // What was sent lies there until it is an hour old.
        let uploads = app.dir().join("uploads");
        let left = || -> Vec<String> {
            let names = std::fs::read_dir(&uploads).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect()
        };
        let name = left().pop().expect("what the server was sent");
        let (when, rest) = name.split_once("_part_").unwrap();
        let earlier = format!("{}_part_{rest}", when.parse::<i64>().unwrap() - 3_600);
        std::fs::rename(uploads.join(&name), uploads.join(&earlier)).unwrap();
        let program = Patchbay::serve(&app).await;
        while left().contains(&earlier) {
            tokio::task::yield_now().await;
        }
        // Nothing keeps the next one from doing it all.
        let (status, done) = program.upload(&script.token, import, file).await.unwrap();
        assert_eq!((status, &done["added"]), (200, &json!(59_999)), "{done}");
        assert_eq!(app.number("SELECT count(*) FROM address").await, 59_999);
    }
}
