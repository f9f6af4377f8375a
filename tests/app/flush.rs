//! On `PostgreSQL` a change lets the next one begin before it is on the disk, and nobody is told
//! of it before it is.

use std::cell::Cell;

use futures_util::future::{join, join_all};
use patchbay::auth::Role;
use patchbay::db::{Db, Result};
use patchbay::sql;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::lab::Postgres;

/// So often at most is anything tried.
const MOST: i64 = 10_000;

/// Holds commits back: with a standby that never comes, those that wait for the disk wait for it
/// for good.
async fn set_standby(app: &TestApp, name: &str) {
    app.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await;
    app.texts("SELECT CAST(pg_reload_conf() AS TEXT)").await;
}

const HELD_BACK: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'SyncRep'";

async fn note(db: &Db, id: i64) -> Result<()> {
    let mut tx = db.write().await?;
    tx.turn("notes").await?;
    tx.query(sql!("INSERT INTO note (id) VALUES ($1)")).bind(id).run().await?;
    tx.commit().await
}

async fn notes(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM note").await
}

#[test]
fn the_next_begins_before_the_first_is_on_the_disk_and_nobody_is_told_of_either() {
    actix_web::rt::System::new().block_on(async {
        let mut server = Postgres::start();
        let app = TestApp::on(server.create_database(), tempfile::tempdir().unwrap()).await;
        let script = app.script(Role::Admin).await;
        assert_eq!(script.ask("GET", "/api/v1/users").send().await.status, 200);
        app.sql("CREATE TABLE note (id BIGINT PRIMARY KEY)").await;
        set_standby(&app, "nobody").await;
        let (db, released) = (&app.state.db, Cell::new(false));
        let told = [Cell::new(0), Cell::new(0)];
        // The server takes note of what was set when it comes to it: until then they are told.
        let writer = async |which: usize| {
            while !released.get() && told[which].get() < MOST {
                let id = i64::try_from(which).unwrap() * 2 * MOST + told[which].get();
                note(db, id).await.unwrap();
                told[which].set(told[which].get() + 1);
            }
            released.get()
        };
        // Each has written something that is there for whoever writes next.
        let both_wait = async || {
            for _ in 0..MOST {
                let held = app.number(HELD_BACK).await > 0;
                if held && notes(&app).await == told[0].get() + told[1].get() + 2 {
                    return true;
                }
            }
            false
        };
        let shown = async {
            both_wait().await;
            let answer = script.ask("GET", "/api/v1/users").send().await;
            (answer.status, released.get())
        };
        let release = async {
            let both = both_wait().await;
            // For a page it would be time enough.
            for _ in 0..200 {
                notes(&app).await;
            }
            released.set(true);
            set_standby(&app, "").await;
            both
        };
        let all = join(join(writer(0), writer(1)), join(shown, release)).await;
        let (untold, ((status, shown), both)) = all;
        assert_eq!(untold, (true, true), "told before it was on the disk");
        assert!(both, "the second had to wait for the disk of the first");
        assert_eq!((status, shown), (200, true), "shown before it was on the disk");
    });
}

/// 16 clients create users while the server is killed. Whatever was answered 201 is there when it
/// is back.
#[test]
fn what_was_acknowledged_survives_a_crash_of_the_server() {
    actix_web::rt::System::new().block_on(async {
        let mut server = Postgres::start();
        let app = TestApp::on(server.create_database(), tempfile::tempdir().unwrap()).await;
        let script = app.script(Role::Admin).await;
        let told = Cell::new(0);
        let clients = (0..16).map(async |client| {
            let mut mine = Vec::new();
            for n in 0.. {
                let email = format!("c{client}n{n}@example.com");
                let body = json!({ "name": "Ann", "email": email });
                let answer = script.ask("POST", "/api/v1/users").json(&body).send().await;
                if answer.status != 201 {
                    break;
                }
                told.set(told.get() + 1);
                mine.push(email);
            }
            mine
        });
        let killer = async {
            while told.get() < 200 {
                tokio::task::yield_now().await;
            }
            // It takes a moment in which the clients go on.
            let killed = tokio::task::spawn_blocking(move || {
                server.kill();
                server
            });
            killed.await.unwrap()
        };
        let (told, mut server) = join(join_all(clients), killer).await;
        server.restart();
        let stored = app.texts("SELECT email FROM users").await;
        let told = told.concat();
        let lost: Vec<_> = told.iter().filter(|email| !stored.contains(email)).collect();
        assert!(lost.is_empty(), "{} of {} are gone: {lost:?}", lost.len(), told.len());
    });
}
