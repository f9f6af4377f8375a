//! The audit log: every change is in it, and nobody alters it unnoticed.

use patchbay::audit::{self, Change, Event};
use patchbay::auth::Role;
use patchbay::numbering::ExtensionNumber;
use patchbay::users::{self, NewUser};

use crate::support::app::{PASSWORD, TestApp, both_databases, tester};

/// What `patchbay check` finds.
async fn verdict(app: &TestApp) -> String {
    match audit::verify(&app.state.db, &app.state.chain).await.unwrap() {
        Ok(rows) => format!("{rows} rows"),
        Err(broken) => broken.to_string(),
    }
}

/// Ten rows.
async fn some_history(app: &TestApp) {
    for n in 0..10 {
        let mut change = app.state.change(&tester()).await.unwrap();
        change.record(Event::new("thing.done", &format!("thing {n}"), &n));
        change.commit().await.unwrap();
    }
    assert_eq!(verdict(app).await, "10 rows");
}

fn new_user() -> NewUser {
    let number: ExtensionNumber = "1000".parse().unwrap();
    NewUser {
        name: "Ann".parse().unwrap(),
        email: "ann@example.com".parse().unwrap(),
        number: Some(number),
    }
}

both_databases! {
    async fn every_change_is_one_row_with_who_when_what_and_from_where(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let head = app.number("SELECT seq FROM audit_head").await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let page = format!("/users/{id}");
        let edit = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        admin.post(&page, &edit).await;
        admin.post(&format!("{page}/enabled"), &[]).await;
        admin.post(&format!("{page}/secret"), &[]).await;
        admin.post(&format!("{page}/secret/reveal"), &[("password", PASSWORD)]).await;
        script.send("PATCH", &format!("/api/v1{page}"), &serde_json::json!({ "name": "Ann C" })).await;
        script.ask("DELETE", &format!("/api/v1{page}")).send().await;
        let settings = [("name", "Default"), ("time_zone", "UTC"), ("first", "1000"), ("last", "1998"), ("version", "1")];
        admin.post("/settings", &settings).await;
        admin.post("/settings/operators", &[("name", "bob"), ("role", "helpdesk")]).await;
        admin.post("/settings/tokens", &[("label", "x"), ("operator", "bob"), ("role", "auditor")]).await;
        let rows = app.texts(&format!(
            "SELECT actor || '|' || via || '|' || source || '|' || action || '|' || subject || '|' || CAST(at AS TEXT)
             FROM audit_event WHERE seq > {head} ORDER BY seq"
        )).await;
        let script = app.texts("SELECT name FROM operator WHERE name LIKE 's%'").await[0].clone();
        let expected = [
            "admin|browser|192.0.2.1|user.created|1000 Ann".to_owned(),
            "admin|browser|192.0.2.1|user.changed|1000 Ann B".to_owned(),
            "admin|browser|192.0.2.1|user.changed|1000 Ann B".to_owned(),
            "admin|browser|192.0.2.1|user.secret_rotated|1000 Ann B".to_owned(),
            "admin|browser|192.0.2.1|user.secret_revealed|1000 Ann B".to_owned(),
            format!("{script} (script)|token|192.0.2.1|user.changed|1000 Ann C"),
            format!("{script} (script)|token|192.0.2.1|user.deleted|1000 Ann C"),
            "admin|browser|192.0.2.1|tenant.configured|Default".to_owned(),
            "admin|browser|192.0.2.1|operator.created|bob".to_owned(),
            "admin|browser|192.0.2.1|token.issued|x (bob)".to_owned(),
        ].map(|row| format!("{row}|1700000000"));
        assert_eq!(rows, expected);
        assert!(!verdict(&app).await.contains("audit"));
    }

    async fn a_change_that_is_dropped_leaves_nothing_and_neither_does_a_silent_one(app: TestApp) {
        let before = app.contents().await;
        let mut change = app.state.change(&tester()).await.unwrap();
        users::create(&mut change, &app.state.vault, &new_user()).await.unwrap();
        drop(change);
        assert_eq!(app.contents().await, before);
        let change: Change = app.state.change(&tester()).await.unwrap();
        assert!(change.commit().await.is_err(), "a change must say what it did");
        assert_eq!(app.contents().await, before);
    }

    async fn a_change_whose_row_cannot_be_written_is_not_made(app: TestApp) {
        some_history(&app).await;
        app.sql("UPDATE audit_head SET seq = 9").await;
        let before = app.contents().await;
        let mut change = app.state.change(&tester()).await.unwrap();
        users::create(&mut change, &app.state.vault, &new_user()).await.unwrap();
        assert!(change.commit().await.is_err());
        assert_eq!(app.contents().await, before);
    }

    async fn an_altered_row_is_found_whatever_was_altered(app: TestApp) {
        some_history(&app).await;
        for column in ["actor", "action", "subject", "subject_id", "note", "before_json", "after_json", "source", "via", "request_id", "tenant_id"] {
            let old = app.texts(&format!("SELECT {column} FROM audit_event WHERE seq = 5")).await[0].clone();
            app.sql(&format!("UPDATE audit_event SET {column} = 'x' WHERE seq = 5")).await;
            assert_eq!(verdict(&app).await, "audit row 5 was altered, or its key is another", "{column}");
            app.sql(&format!("UPDATE audit_event SET {column} = '{old}' WHERE seq = 5")).await;
        }
        for alteration in ["at = at + 1", "affects_asterisk = NOT affects_asterisk"] {
            app.sql(&format!("UPDATE audit_event SET {alteration} WHERE seq = 5")).await;
            assert_eq!(verdict(&app).await, "audit row 5 was altered, or its key is another", "{alteration}");
            let back = alteration.replace('+', "-");
            app.sql(&format!("UPDATE audit_event SET {back} WHERE seq = 5")).await;
        }
        assert_eq!(verdict(&app).await, "10 rows");
    }

    async fn text_moved_from_one_column_to_the_next_is_found(app: TestApp) {
        some_history(&app).await;
        app.sql("UPDATE audit_event SET action = 'thing.donething 4', subject = '' WHERE seq = 5").await;
        assert!(verdict(&app).await.contains("row 5 was altered"));
    }

    async fn a_row_gone_from_the_middle_is_found_even_when_the_rest_is_renumbered(app: TestApp) {
        some_history(&app).await;
        app.sql("DELETE FROM audit_event WHERE seq = 5").await;
        assert_eq!(verdict(&app).await, "audit row 5 is missing: rows were deleted or renumbered");
        for seq in 6..11 {
            app.sql(&format!("UPDATE audit_event SET seq = {} WHERE seq = {seq}", seq - 1)).await;
        }
        app.sql("UPDATE audit_head SET seq = 9").await;
        assert_eq!(verdict(&app).await, "audit row 5 was altered, or its key is another");
    }

    async fn two_rows_swapped_are_found(app: TestApp) {
        some_history(&app).await;
        for (from, to) in [(4, 100), (5, 4), (100, 5)] {
            app.sql(&format!("UPDATE audit_event SET seq = {to} WHERE seq = {from}")).await;
        }
        assert_eq!(verdict(&app).await, "audit row 4 was altered, or its key is another");
    }

    async fn a_cut_off_tail_is_found(app: TestApp) {
        some_history(&app).await;
        app.sql("DELETE FROM audit_event WHERE seq > 7").await;
        assert_eq!(verdict(&app).await, "the audit log ends at row 7, but its head says 10: rows were cut off");
        app.sql("DELETE FROM audit_event").await;
        assert_eq!(verdict(&app).await, "the audit log ends at row 0, but its head says 10: rows were cut off");
    }

    async fn a_tail_cut_off_with_its_head_set_back_is_found(app: TestApp) {
        some_history(&app).await;
        app.sql("DELETE FROM audit_event WHERE seq > 7").await;
        app.sql("UPDATE audit_head SET seq = 7").await;
        assert!(verdict(&app).await.contains("rows were cut off"));
        for head in ["hash", "'masked:' || hash"] {
            let forged = format!("UPDATE audit_head SET hash = (SELECT {head} FROM audit_event WHERE seq = 7)");
            app.sql(&forged).await;
            assert!(verdict(&app).await.contains("rows were cut off"), "{head}");
        }
        // What is written from there on does not mend it.
        let mut change = app.state.change(&tester()).await.unwrap();
        change.record(Event::new("thing.done", &"another thing", &8));
        change.commit().await.unwrap();
        assert_eq!(verdict(&app).await, "audit row 8 was altered, or its key is another");
    }

    async fn a_head_of_an_earlier_version_is_masked_once(app: TestApp) {
        some_history(&app).await;
        app.sql("UPDATE audit_head SET hash = (SELECT hash FROM audit_event WHERE seq = 10)").await;
        for _ in 0..2 {
            audit::mask_head(app.state.change(&tester()).await.unwrap()).await.unwrap();
            assert_eq!(verdict(&app).await, "11 rows");
        }
        assert_eq!(app.texts("SELECT action FROM audit_event WHERE seq = 11").await, ["audit.masked"]);
    }

    async fn a_row_made_up_without_the_key_is_found(app: TestApp) {
        some_history(&app).await;
        app.sql("INSERT INTO audit_event (seq, at, tenant_id, actor, via, source, request_id, action, subject, subject_id, note, before_json, after_json, affects_asterisk, hash)
                 SELECT 11, at, tenant_id, actor, via, source, request_id, action, subject, subject_id, note, before_json, after_json, affects_asterisk, hash FROM audit_event WHERE seq = 10").await;
        app.sql("UPDATE audit_head SET seq = 11").await;
        assert_eq!(verdict(&app).await, "audit row 11 was altered, or its key is another");
    }

    async fn a_longer_log_than_is_read_at_once_is_checked_to_its_end(app: TestApp) {
        let mut change = app.state.change(&tester()).await.unwrap();
        for n in 0..2_100 {
            change.record(Event::new("thing.done", &n, &n));
        }
        change.commit().await.unwrap();
        assert_eq!(verdict(&app).await, "2100 rows");
        app.sql("UPDATE audit_event SET note = 'x' WHERE seq = 2100").await;
        assert!(verdict(&app).await.contains("row 2100 was altered"));
    }

    async fn the_log_can_be_filtered_paged_and_saved(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("=1+1 <b>", "ann@example.com", "").await;
        app.pass(24 * 60 * 60);
        admin.sign_in("admin", PASSWORD).await;
        admin.add("Bob", "bob@example.com", "").await;
        let rows = async |query: &str| {
            let page = admin.get(&format!("/audit?{query}")).await;
            assert_eq!(page.status, 200, "{query}");
            page.text.matches(r#"<td class="num soft">"#).count()
        };
        assert_eq!(rows("action=user.").await, 2);
        assert_eq!(rows("action=user.created&subject=BOB").await, 1);
        assert_eq!(rows(&format!("subject={id}")).await, 1);
        assert_eq!(rows("action=user.&until=2023-11-14").await, 1);
        assert_eq!(rows("action=user.&from=2023-11-15").await, 1);
        assert_eq!(rows("action=user.&from=2023-11-14&until=2023-11-15").await, 2);
        assert_eq!(rows("actor=ADM&action=user.").await, 2);
        assert_eq!(rows("actor=%25&action=user.").await, 0);
        let wrong = admin.get("/audit?from=yesterday").await;
        assert_eq!(wrong.status, 422);
        wrong.shows("from: use a date such as 2026-11-20");
        admin.get("/audit").await.shows("=1+1 <b>");
        assert!(!admin.get("/audit").await.text.contains("=1+1 <b>"));

        let file = admin.get("/audit.csv?action=user.created").await;
        assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
        let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
        let saved: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(saved.len(), 2);
        assert_eq!((&saved[1][6], &saved[1][7]), ("user.created", "1000 =1+1 <b>"));
        assert_eq!(saved[1][12].len(), 64);
        for cell in saved.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
        }
        assert_eq!(admin.get("/audit.csv?from=x").await.status, 400);
    }

    async fn a_secret_stands_in_its_row_as_hidden_and_never_as_itself(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = admin.add("Ann", "ann@example.com", "").await;
        let page = admin.post(&format!("/users/{id}/secret"), &[]).await;
        let secret = page.between(r#"id="secret">"#, "<");
        let log = admin.get("/audit?action=user.secret_rotated").await;
        log.shows("secret: <ins>(hidden)</ins>");
        let file = admin.get("/audit.csv?action=user.secret_rotated").await;
        file.shows("(hidden)");
        for seen in [&log, &file, &admin.get("/audit").await, &admin.get("/apply").await] {
            seen.hides(secret);
        }
    }

    async fn who_finds_the_log_longer_than_it_was_left_goes_on_where_it_ends(app: TestApp) {
        let other = app.another().await;
        let write = async |app: &TestApp, things: i64| {
            let mut change = app.state.change(&tester()).await.unwrap();
            for n in 0..things {
                change.record(Event::new("thing.done", &n, &n));
            }
            change.commit().await.unwrap();
        };
        for (who, things) in [(&app, 1), (&app, 2), (&other, 2), (&other, 1), (&app, 1), (&app, 100), (&other, 3), (&app, 1)] {
            write(who, things).await;
        }
        // One that is given up after it was written down is no part of it.
        let mut change = app.state.change(&tester()).await.unwrap();
        change.record(Event::new("thing.done", &"nothing", &0));
        change.flush().await.unwrap();
        drop(change);
        write(&app, 1).await;
        assert_eq!(verdict(&app).await, "112 rows");
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE subject = 'nothing'").await, 0);
    }

    async fn concurrent_changes_leave_one_unbroken_chain(app: TestApp) {
        let other = app.another().await;
        let write = async |app: &TestApp, n: u32| {
            let mut change = app.state.change(&tester()).await.unwrap();
            change.record(Event::new("thing.done", &n, &n));
            change.record(Event::new("thing.done", &n, &n));
            change.commit().await.unwrap();
        };
        let tasks = (0..40).map(|n| write(if n % 2 == 0 { &app } else { &other }, n));
        futures_util::future::join_all(tasks).await;
        assert_eq!(verdict(&app).await, "80 rows");
    }
}
