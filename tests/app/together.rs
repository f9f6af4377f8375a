//! Changes made at the same time, which on `SQLite` share a transaction: each stands or falls by
//! itself, and who is told that it is done finds it on the disk.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use actix_web::rt::System;
use futures_util::future::join_all;
use futures_util::poll;
use patchbay::db::{Db, Result, Tx};
use patchbay::sql;
use sqlx::Connection as _;

use crate::support::app::{TestApp, both_databases};

async fn with_notes(app: &TestApp) {
    app.sql("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)").await;
}

async fn write(tx: &mut Tx, id: i64, text: &str) -> Result<()> {
    let insert = sql!("INSERT INTO note (id, text) VALUES ($1, $2)");
    tx.query(insert).bind(id).bind(text.to_owned()).run().await.map(drop)
}

async fn noted(db: &Db, id: i64) -> Result<()> {
    let mut tx = db.write().await?;
    write(&mut tx, id, "").await?;
    tx.commit().await
}

/// Whether another connection finds it.
async fn is_there(db: &Db, id: i64) -> bool {
    let count: i64 =
        db.query(sql!("SELECT count(*) FROM note WHERE id = $1")).bind(id).scalar().await.unwrap();
    count == 1
}

async fn ids(app: &TestApp) -> Vec<String> {
    app.texts("SELECT CAST(id AS TEXT) AS text FROM note ORDER BY id").await
}

/// The transactions `SQLite` commits from now on.
async fn commits(app: &TestApp) -> Arc<AtomicUsize> {
    let counted = Arc::new(AtomicUsize::new(0));
    if let Db::Sqlite { write, .. } = &app.state.db {
        let mut writer = write.pool().acquire().await.unwrap();
        let count = Arc::clone(&counted);
        writer.lock_handle().await.unwrap().set_commit_hook(move || {
            count.fetch_add(1, Ordering::SeqCst);
            true
        });
    }
    counted
}

both_databases! {
    async fn whoever_is_told_finds_it_there(app: TestApp) {
        with_notes(&app).await;
        let commits = commits(&app).await;
        let db = &app.state.db;
        join_all((0..200).map(async |id| {
            noted(db, id).await.unwrap();
            assert!(is_there(db, id).await, "{id} is told before it is there");
        }))
        .await;
        assert_eq!(ids(&app).await.len(), 200);
        let commits = commits.load(Ordering::SeqCst);
        assert!(!app.is_sqlite() || (1..=50).contains(&commits), "200 changes took {commits} transactions");
    }

    async fn what_one_gives_up_takes_nothing_of_the_others_with_it(app: TestApp) {
        with_notes(&app).await;
        let db = &app.state.db;
        join_all((0..100).map(async |id| match id % 5 {
            // Given up after it wrote, or by a statement that fails, or before it wrote.
            0 => {
                let mut tx = db.write().await.unwrap();
                write(&mut tx, id, "").await.unwrap();
            }
            1 => {
                let mut tx = db.write().await.unwrap();
                write(&mut tx, id, "").await.unwrap();
                write(&mut tx, id, "again").await.unwrap_err();
            }
            2 => drop(db.write().await.unwrap()),
            _ => noted(db, id).await.unwrap(),
        }))
        .await;
        let right: Vec<_> = (0..100).filter(|id| id % 5 > 2).map(|id| id.to_string()).collect();
        assert_eq!(ids(&app).await, right);
    }

    /// A browser is closed at any moment: while it waits for its turn, while it writes, while it
    /// waits to be told.
    async fn who_leaves_keeps_nobody_from_being_told(app: TestApp) {
        with_notes(&app).await;
        let db = &app.state.db;
        let leaves_after = async |id: i64, polls: usize| {
            let mut change = pin!(noted(db, id));
            for _ in 0..polls {
                if let Poll::Ready(done) = poll!(&mut change) {
                    return done.unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        let left = (0..300).map(async |id| {
            if id % 3 == 0 {
                noted(db, id).await.unwrap();
                assert!(is_there(db, id).await);
            } else {
                leaves_after(id, usize::try_from(id).unwrap() % 40).await;
            }
        });
        join_all(left).await;
        let stay = ids(&app).await;
        assert!((0..300).step_by(3).all(|id| stay.contains(&id.to_string())), "{stay:?}");
        // Nothing is left open either: somebody else may write.
        noted(&app.another().await.state.db, 1_000).await.unwrap();
    }

    async fn closing_waits_for_what_is_under_way(app: TestApp) {
        with_notes(&app).await;
        let db = &app.state.db;
        let mut change = pin!(noted(db, 1));
        let _ = poll!(&mut change);
        let (told, ()) = futures_util::join!(change, db.close());
        let again = app.another().await;
        assert_eq!(is_there(&again.state.db, 1).await, told.is_ok());
    }
}

#[test]
fn when_the_disk_is_full_those_who_are_told_so_are_not_there_and_the_others_are() {
    System::new().block_on(async {
        let app = TestApp::sqlite().await;
        with_notes(&app).await;
        let db = &app.state.db;
        let pages = app.number("PRAGMA page_count").await + 8;
        app.sql(&format!("PRAGMA max_page_count = {pages}")).await;
        let large = "x".repeat(3_000);
        let told = join_all((0..40).map(async |id| {
            let mut tx = db.write().await?;
            if id % 2 == 0 {
                write(&mut tx, id, &large).await?;
            } else {
                // Goes on although something did not fit.
                write(&mut tx, id, "").await?;
                let _ = write(&mut tx, id + 100, &large).await;
                tx.query(sql!("DELETE FROM note WHERE id >= 100")).run().await?;
            }
            tx.commit().await
        }))
        .await;
        let (done, full): (Vec<_>, Vec<_>) =
            (0_i64..).zip(told).partition(|(_, told)| told.is_ok());
        let done: Vec<_> = done.into_iter().map(|(id, _)| id.to_string()).collect();
        assert!(!full.is_empty(), "the disk was never full");
        for (_, error) in full {
            assert!(patchbay::db::unavailable(&error.unwrap_err()));
        }
        assert_eq!(ids(&app).await, done);
        app.sql("PRAGMA max_page_count = 1000000").await;
        noted(db, 1_000).await.unwrap();
        assert!(is_there(db, 1_000).await);
    });
}

#[test]
fn nobody_waits_for_a_long_change_to_be_told_of_a_short_one() {
    System::new().block_on(async {
        let app = TestApp::sqlite().await;
        with_notes(&app).await;
        let db = &app.state.db;
        let mut first = db.write().await.unwrap();
        write(&mut first, 1, "").await.unwrap();
        // It waits for the first, and then has the writer until the end.
        let mut long = pin!(db.change_long());
        assert!(poll!(&mut long).is_pending());
        let (told, long) = futures_util::join!(first.commit(), long);
        told.unwrap();
        assert!(is_there(db, 1).await);
        long.unwrap().commit().await.unwrap();
    });
}

#[test]
fn who_gives_up_because_of_what_others_did_finds_it_done() {
    System::new().block_on(async {
        let app = TestApp::sqlite().await;
        with_notes(&app).await;
        let db = &app.state.db;
        for id in 0..20 {
            let mut first = db.write().await.unwrap();
            write(&mut first, id, "").await.unwrap();
            let look = async {
                let mut second = db.write().await.unwrap();
                write(&mut second, id, "again").await.unwrap_err();
                drop(second);
                if id % 2 == 0 {
                    return is_there(db, id).await;
                }
                let mut tx = db.read().await.unwrap();
                let text = sql!("SELECT count(*) FROM note WHERE id = $1");
                tx.query(text).bind(id).scalar::<i64>().await.unwrap() == 1
            };
            let mut look = pin!(look);
            assert!(poll!(&mut look).is_pending());
            let (told, there) = futures_util::join!(first.commit(), look);
            told.unwrap();
            assert!(there, "{id} was in the way and is not there");
        }
    });
}

#[test]
fn other_programs_may_write_as_soon_as_nobody_does() {
    System::new().block_on(async {
        let app = TestApp::sqlite().await;
        with_notes(&app).await;
        let mut other = sqlx::SqliteConnection::connect(&app.url).await.unwrap();
        for id in 0..20 {
            let mut tx = app.state.db.write().await.unwrap();
            write(&mut tx, id, "").await.unwrap();
            if id % 2 == 0 {
                tx.commit().await.unwrap();
            } else {
                drop(tx);
            }
            let insert = "INSERT INTO note (id, text) VALUES ($1, '')";
            sqlx::query(insert).bind(100 + id).execute(&mut other).await.unwrap();
        }
        assert_eq!(ids(&app).await.len(), 10 + 20);
    });
}
