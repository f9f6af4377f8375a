//! Statements that are put off: they are done before whatever comes next, at the latest with the
//! commit, and stand and fall with the change.

use patchbay::db::{Bulk, Result, Tx};
use patchbay::sql;

use crate::support::app::{TestApp, both_databases};

static ADD: Bulk =
    Bulk { head: "INSERT INTO note (id, text) VALUES", columns: 2, most: 2, tail: "" };

async fn with_notes(app: &TestApp) {
    app.sql("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT)").await;
    app.sql("CREATE TABLE note_count (what TEXT PRIMARY KEY, entries BIGINT NOT NULL)").await;
    app.sql("INSERT INTO note_count VALUES ('notes', 0)").await;
    app.sql("CREATE TABLE note_mark (marks BIGINT NOT NULL)").await;
    app.sql("INSERT INTO note_mark VALUES (0)").await;
}

async fn add_later(tx: &mut Tx, ids: &[i64]) {
    let rows: Vec<(i64, Option<String>)> =
        ids.iter().map(|id| (*id, (id % 2 == 0).then(|| format!("it's ${id}")))).collect();
    tx.insert_many_later(&ADD, &rows, |row, (id, text)| row.bind(*id).bind(text.clone()))
        .await
        .unwrap();
}

async fn count_later(tx: &mut Tx, by: i64) {
    let count = sql!("UPDATE note_count SET entries = entries + $1 WHERE what = $2");
    tx.later(count).bind(by).bind("notes").run().await.unwrap();
}

async fn counted(tx: &mut Tx) -> Result<i64> {
    tx.query(sql!("SELECT entries FROM note_count WHERE what = $1")).bind("notes").scalar().await
}

async fn noted(app: &TestApp) -> Vec<String> {
    app.texts("SELECT CAST(id AS TEXT) || ' ' || coalesce(text, 'nothing') FROM note ORDER BY id")
        .await
}

both_databases! {
    async fn they_are_done_before_whatever_comes_next(app: TestApp) {
        with_notes(&app).await;
        let mut tx = app.state.db.write().await.unwrap();
        add_later(&mut tx, &[1]).await;
        count_later(&mut tx, 1).await;
        assert_eq!(counted(&mut tx).await.unwrap(), 1);
        // The same again: one after the other.
        count_later(&mut tx, 1).await;
        count_later(&mut tx, 1).await;
        let all: Vec<(i64, Option<String>)> =
            tx.query(sql!("SELECT id, text FROM note WHERE id < $1")).bind(9_i64).all().await.unwrap();
        assert_eq!(all, [(1, None)]);
        assert_eq!(counted(&mut tx).await.unwrap(), 3);
        tx.commit().await.unwrap();
    }

    async fn they_are_done_with_one_sent_along_and_at_the_latest_with_the_commit(app: TestApp) {
        with_notes(&app).await;
        let mut tx = app.state.db.write().await.unwrap();
        add_later(&mut tx, &[1, 2, 3]).await;
        let along = sql!("UPDATE note_count SET entries = entries + $2 WHERE what = $1 RETURNING entries");
        let entries: i64 = tx.along(along).bind("notes").bind(3_i64).scalar().await.unwrap();
        assert_eq!(entries, 3);
        add_later(&mut tx, &[4]).await;
        let raised = tx.along(sql!("UPDATE note_count SET entries = $1")).bind(4_i64).run().await.unwrap();
        assert_eq!(raised, 1);
        add_later(&mut tx, &[5, 6]).await;
        count_later(&mut tx, 2).await;
        tx.commit().await.unwrap();
        assert_eq!(
            noted(&app).await,
            ["1 nothing", "2 it's $2", "3 nothing", "4 it's $4", "5 nothing", "6 it's $6"]
        );
        assert_eq!(app.number("SELECT entries FROM note_count").await, 6);
    }

    async fn one_that_has_to_do_with_what_they_write_comes_after_them(app: TestApp) {
        with_notes(&app).await;
        let mut tx = app.state.db.write().await.unwrap();
        count_later(&mut tx, 1).await;
        let raise = sql!("UPDATE note_count SET entries = entries + $2 WHERE what = $1 RETURNING entries");
        let entries: i64 = tx.along(raise).bind("notes").bind(2_i64).scalar().await.unwrap();
        assert_eq!(entries, 3);
        count_later(&mut tx, 4).await;
        let doubled = sql!("UPDATE note_count SET entries = entries * $1");
        tx.later(doubled).bind(2_i64).run().await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(app.number("SELECT entries FROM note_count").await, 14);
    }

    async fn given_up_nothing_is_left_of_them(app: TestApp) {
        with_notes(&app).await;
        let mut tx = app.state.db.write().await.unwrap();
        add_later(&mut tx, &[1]).await;
        count_later(&mut tx, 1).await;
        drop(tx);
        assert!(noted(&app).await.is_empty());
        assert_eq!(app.number("SELECT entries FROM note_count").await, 0);
    }

    async fn one_that_fails_takes_the_change_with_it(app: TestApp) {
        with_notes(&app).await;
        app.sql("INSERT INTO note VALUES (7, 'taken')").await;
        let mut tx = app.state.db.write().await.unwrap();
        count_later(&mut tx, 1).await;
        let rows = [(7_i64, None::<String>)];
        let put = tx.insert_many_later(&ADD, &rows, |row, (id, text)| row.bind(*id).bind(text.clone())).await;
        // SQLite says so at once; PostgreSQL when it is sent.
        match put {
            Ok(()) => drop(tx.commit().await.unwrap_err()),
            Err(_) => drop(tx),
        }
        assert_eq!(noted(&app).await, ["7 taken"]);
        assert_eq!(app.number("SELECT entries FROM note_count").await, 0);
    }
    async fn rows_that_depend_on_another_are_added_with_it_or_not_at_all(app: TestApp) {
        with_notes(&app).await;
        for (ids, expected, done) in [
            (&[1_i64][..], 0_i64, true),
            (&[2, 3], 1, true),
            (&[4], 1, false),
            (&[5, 6], 9, false),
        ] {
            let mut tx = app.state.db.write().await.unwrap();
            let marked = sql!("UPDATE note_mark SET marks = marks + $1");
            tx.later(marked).bind(1_i64).run().await.unwrap();
            let rows: Vec<(i64, Option<String>)> =
                ids.iter().map(|id| (*id, (id % 2 == 0).then(|| format!("it's ${id}")))).collect();
            let count = sql!("UPDATE note_count SET entries = $1 WHERE what = $2 AND entries = $3");
            let did = tx
                .insert_many_if(
                    count,
                    |count| count.bind(expected + 1).bind("notes").bind(expected),
                    &ADD,
                    &rows,
                    |row, (id, text)| row.bind(*id).bind(text.clone()),
                )
                .await;
            assert_eq!(did.unwrap(), done, "{ids:?}");
            tx.commit().await.unwrap();
        }
        assert_eq!(noted(&app).await, ["1 nothing", "2 it's $2", "3 nothing"]);
        assert_eq!(app.number("SELECT entries FROM note_count").await, 2);
        assert_eq!(app.number("SELECT marks FROM note_mark").await, 4);
    }
}
