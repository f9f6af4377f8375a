//! When the database is locked, full, closed or gone: 503 with a sentence, and no half change.

use std::future::poll_fn;
use std::task::Poll;

use patchbay::audit::Event;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::tenants;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::routes_around::has_security_headers;
use crate::support::app::{Answer, Browser, PASSWORD, Script, TestApp, both_databases, tester};
use crate::support::lab::Postgres;

const SENTENCE: &str =
    "the database cannot be reached or cannot write; nothing was changed, try again shortly";

#[track_caller]
fn is_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("5"));
    answer.shows(SENTENCE);
    has_security_headers(answer);
}

/// Another connection to the same database that holds what writers need.
enum Holder {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Holder {
    async fn lock(app: &TestApp) -> Self {
        if app.is_sqlite() {
            let mut holder = sqlx::SqliteConnection::connect(&app.url).await.unwrap();
            holder.execute("BEGIN IMMEDIATE").await.unwrap();
            Self::Sqlite(holder)
        } else {
            let mut holder = sqlx::PgConnection::connect(&app.url).await.unwrap();
            holder.execute("BEGIN").await.unwrap();
            for table in
                ["tenant", "users", "extension", "audit_head", "session", "sign_in_failure"]
            {
                let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
                holder.execute(lock).await.unwrap();
            }
            Self::Postgres(holder)
        }
    }

    async fn release(self) {
        match self {
            Self::Sqlite(mut holder) => drop(holder.execute("ROLLBACK").await.unwrap()),
            Self::Postgres(mut holder) => drop(holder.execute("ROLLBACK").await.unwrap()),
        }
    }
}

/// The browser as it is, in front of another instance.
fn moved<'a>(browser: &Browser<'_>, app: &'a TestApp) -> Browser<'a> {
    Browser { app, cookie: browser.cookie.clone(), csrf: browser.csrf.clone() }
}

both_databases! {
    /// Whoever asked may be gone at any moment, even while a transaction begins.
    async fn a_connection_that_was_left_while_it_began_is_not_used_again(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let mut patience = 0;
        loop {
            let mut reading = Box::pin(app.state.read());
            let mut begun = false;
            for _ in 0..patience {
                if !begun {
                    begun = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context).is_ready())).await;
                }
                tokio::task::yield_now().await;
            }
            drop(reading);
            for _ in 0..2 {
                let mut tx = app.state.read().await.unwrap();
                assert!(patchbay::audit::head(&mut tx).await.unwrap() > 0);
                drop(app.state.change(&tester()).await.unwrap());
            }
            if begun {
                break;
            }
            patience += 1;
        }
        assert!(app.is_sqlite() || patience > 1, "it was never left");
    }

    async fn locked_it_answers_writers_503_and_readers_as_ever(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let token = app.token_of("admin", Role::Admin, None).await;
        app.ask("GET", "/api/v1/users").token(&token).send().await;
        let before = app.contents().await;
        app.state.db.close().await;
        let app = app.impatient().await;
        let admin = moved(&admin, &app);
        let holder = Holder::lock(&app).await;
        let bob = [("name", "Bob"), ("email", "bob@example.com")];
        is_unavailable(&admin.post("/users", &bob).await);
        is_unavailable(&admin.post(&format!("/users/{id}/enabled"), &[]).await);
        is_unavailable(&admin.post("/users/import", &[("text", "name,email\nBob,bob@example.com\n"), ("confirmed", "1")]).await);
        is_unavailable(&app.browser().post("/login", &[("name", "admin"), ("password", PASSWORD)]).await);
        let call = app.ask("POST", "/api/v1/users").token(&token).json(&json!({ "name": "Bob", "email": "bob@example.com" }));
        let call = call.send().await;
        is_unavailable(&call);
        assert_eq!(call.header("content-type"), Some("application/problem+json"));
        for path in ["/users", "/users.csv", "/readyz"] {
            assert_eq!(admin.get(path).await.status, 200, "{path}");
        }
        assert_eq!(app.ask("GET", "/api/v1/users").token(&token).send().await.status, 200);
        holder.release().await;
        assert_eq!(app.contents().await, before);
        admin.add("Bob", "bob@example.com", "").await;
    }

    /// However many want to change something of a tenant while a change of it takes long.
    async fn changes_that_wait_leave_connections_to_others(app: TestApp) {
        let mut first = app.state.change(&tester()).await.unwrap();
        tenants::lock(&mut first, TenantId::DEFAULT).await.unwrap();
        let others = (0..20).map(|_| async {
            let mut change = app.state.change(&tester()).await?;
            tenants::lock(&mut change, TenantId::DEFAULT).await
        });
        let mut others = Box::pin(futures_util::future::try_join_all(others));
        let reading = async {
            for _ in 0..50 {
                let mut tx = app.state.read().await.unwrap();
                patchbay::audit::head(&mut tx).await.unwrap();
                // Nor has somebody who only notes that a session is used to wait for a turn.
                if !app.is_sqlite() {
                    drop(app.state.db.write().await.unwrap());
                }
            }
        };
        tokio::select! {
            biased;
            ended = &mut others => panic!("nobody read until the others were over: {ended:?}"),
            () = reading => {}
        }
        drop(first);
        others.await.unwrap();
    }

    async fn gone_it_answers_503_whatever_is_asked_of_it(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let token = app.token_of("admin", Role::Admin, None).await;
        app.state.db.close().await;
        for path in ["/", "/users", "/users.csv", "/audit", "/login"] {
            is_unavailable(&admin.get(path).await);
        }
        is_unavailable(&admin.post("/users", &[("name", "Bob"), ("email", "bob@example.com")]).await);
        is_unavailable(&app.browser().post("/login", &[("name", "admin"), ("password", PASSWORD)]).await);
        let call = app.ask("GET", "/api/v1/users").token(&token).send().await;
        is_unavailable(&call);
        assert_eq!(call.json()["status"], 503);
        let ready = app.get("/readyz").await;
        assert_eq!((ready.status, ready.text.as_str()), (503, "the database does not answer\n"));
        has_security_headers(&ready);
        for path in ["/healthz", "/metrics", "/login", "/api/docs"] {
            assert_eq!(app.get(path).await.status, 200, "{path}");
        }
    }

    async fn a_fault_in_a_row_is_500_without_a_word_of_what_is_inside(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        app.sql("UPDATE users SET name = ''").await;
        let token = app.token_of("admin", Role::Admin, None).await;
        for answer in [
            admin.get("/users").await,
            admin.get(&format!("/users/{id}")).await,
            app.ask("GET", "/api/v1/users").token(&token).send().await,
        ] {
            assert_eq!(answer.status, 500);
            answer.shows("something is wrong inside Patchbay; nothing was changed");
            has_security_headers(&answer);
            for inside in ["column", "decod", "sqlx", "users.name", "enter a name"] {
                answer.hides(inside);
            }
        }
    }

    async fn a_session_that_is_damaged_is_not_a_way_in(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.sql("UPDATE session SET state = 'not json'").await;
        let page = admin.get("/users").await;
        assert!(page.status >= 300, "{page:?}");
        has_security_headers(&page);
        page.hides("Ann");
    }
}

/// Ends every other connection to the database.
async fn cut_all(url: &str) {
    let mut hand = sqlx::PgConnection::connect(url).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    hand.execute(cut).await.unwrap();
}

#[test]
fn a_full_disk_is_503_and_leaves_no_half_change() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::sqlite().await;
        let script = app.script(Role::Admin).await;
        script.add("Ann", "ann@example.com").await;
        let pages = app.number("PRAGMA page_count").await;
        app.sql(&format!("PRAGMA max_page_count = {pages}")).await;
        let create = async |script: &Script<'_>, n: u32| {
            let body = json!({ "name": "x".repeat(60), "email": format!("{}{n}@example.com", "x".repeat(50)) });
            script.send("POST", "/api/v1/users", &body).await
        };
        let mut n = 0;
        let full = loop {
            let before = app.contents().await;
            let answer = create(&script, n).await;
            if answer.status != 201 {
                assert_eq!(app.contents().await, before);
                break answer;
            }
            n += 1;
        };
        is_unavailable(&full);
        assert_eq!(script.get("/api/v1/users").await.status, 200);
        app.sql("PRAGMA max_page_count = 1000000").await;
        assert_eq!(create(&script, n).await.status, 201);
        patchbay::audit::verify(&app.state.db, &app.state.chain).await.unwrap().unwrap();
    });
}

#[test]
fn a_full_disk_below_postgresql_is_503_and_leaves_no_half_change() {
    actix_web::rt::System::new().block_on(async {
        let mut server = Postgres::start();
        let app = TestApp::on(server.create_database(), tempfile::tempdir().unwrap()).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let token = app.token_of("admin", Role::Admin, None).await;
        admin.add("Ann", "ann@example.com", "").await;
        app.state.db.close().await;
        server.fill(&app.url);
        let app = app.another().await;
        let (admin, script) = (moved(&admin, &app), Script { app: &app, token });
        let (name, mut n) = ("x".repeat(60), 0);
        let mut email = || {
            n += 1;
            format!("{}{n}@example.com", "x".repeat(50))
        };
        // What is there already has room for some more.
        let by_call = loop {
            let before = app.contents().await;
            let body = json!({ "name": name, "email": email() });
            let answer = script.send("POST", "/api/v1/users", &body).await;
            if answer.status != 201 {
                assert_eq!(app.contents().await, before);
                break answer;
            }
        };
        is_unavailable(&by_call);
        assert_eq!(by_call.header("content-type"), Some("application/problem+json"));
        let by_page = loop {
            let before = app.contents().await;
            let answer = admin.post("/users", &[("name", &name), ("email", &email())]).await;
            if answer.status != 201 {
                assert_eq!(app.contents().await, before);
                break answer;
            }
        };
        is_unavailable(&by_page);
        for path in ["/users", "/readyz"] {
            assert_eq!(admin.get(path).await.status, 200, "{path}");
        }
        assert_eq!(script.get("/api/v1/users").await.status, 200);

        server.make_space();
        let body = json!({ "name": name, "email": email() });
        assert_eq!(script.send("POST", "/api/v1/users", &body).await.status, 201);
        admin.add("Bob", "bob@example.com", "").await;
        patchbay::audit::verify(&app.state.db, &app.state.chain).await.unwrap().unwrap();
    });
}

#[test]
fn a_postgresql_that_only_reads_is_503_for_writers() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::postgres().await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let other = app.impatient().await;
        let name = app.url.rsplit('/').next().unwrap();
        app.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        cut_all(&app.url).await;
        let admin = moved(&admin, &other);
        is_unavailable(
            &admin.post("/users", &[("name", "Bob"), ("email", "bob@example.com")]).await,
        );
        assert_eq!(admin.get("/users").await.status, 200);
        assert_eq!(app.contents().await, before);
    });
}

#[test]
fn a_connection_cut_in_the_middle_of_a_change_leaves_nothing_of_it() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::postgres().await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let mut change = app.state.change(&tester()).await.unwrap();
        change.record(Event::new("thing.done", &"x", &"x"));
        cut_all(&app.url).await;
        let error = change.commit().await.unwrap_err();
        assert!(patchbay::db::unavailable(&error), "{error:?}");
        assert_eq!(admin.get("/users").await.status, 200, "the next request gets a new connection");
        assert_eq!(app.contents().await, before);
    });
}

#[test]
fn a_postgresql_that_stops_is_503_until_it_is_back() {
    actix_web::rt::System::new().block_on(async {
        let mut server = Postgres::start();
        let app = TestApp::on(server.create_database(), tempfile::tempdir().unwrap()).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let app = app.impatient().await;
        let admin = moved(&admin, &app);
        let bob = [("name", "Bob"), ("email", "bob@example.com")];
        server.stop();
        is_unavailable(&admin.get("/users").await);
        is_unavailable(&admin.post("/users", &bob).await);
        assert_eq!(app.get("/readyz").await.status, 503);
        assert_eq!(app.get("/healthz").await.status, 200);
        server.restart();
        assert_eq!(app.get("/readyz").await.status, 200);
        admin.add("Bob", "bob@example.com", "").await;
    });
}

#[test]
fn a_table_that_grew_is_looked_at_before_autovacuum_comes() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::postgres().await;
        let believed = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE relname = 'sign_in_failure'";
        assert!(app.number(believed).await < 1);
        app.state.db.look_at_growth().await.unwrap();
        app.sql("INSERT INTO sign_in_failure SELECT 'account:' || n, 1, n, n FROM generate_series(1, 2000) n").await;
        // Each connection reports what it changed now and then; in a program that serves, soon.
        while app.number(believed).await < 2000 {
            app.sql("SELECT pg_stat_force_next_flush()").await;
            app.state.db.look_at_growth().await.unwrap();
        }
        assert_eq!(app.state.db.look_at_growth().await.unwrap(), 0, "once is enough");
    });
}

#[test]
fn a_table_that_grows_within_a_change_is_looked_at_by_the_change() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::postgres().await;
        let believed = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE relname = 'sign_in_failure'";
        let mut tx = app.state.db.write().await.unwrap();
        let more = "INSERT INTO sign_in_failure SELECT 'account:' || n, 1, n, n FROM generate_series(1, 2000) n";
        tx.query(more).run().await.unwrap();
        // Somebody else looks just now: the change goes on without.
        let mut other = app.state.db.write().await.unwrap();
        other.query("LOCK TABLE sign_in_failure IN SHARE UPDATE EXCLUSIVE MODE").run().await.unwrap();
        tx.look_at_growth(2000).await.unwrap();
        assert!(tx.query(believed).scalar::<i64>().await.unwrap() < 1);
        drop(other);
        while tx.query(believed).scalar::<i64>().await.unwrap() < 2000 {
            tx.look_at_growth(2000).await.unwrap();
        }
        tx.commit().await.unwrap();
    });
}
