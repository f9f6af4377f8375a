//! Workflows that break off: killed processes, dropped runners, steps that hang.

use std::time::Duration;

use futures_util::FutureExt as _;
use patchbay::auth::Role;
use serde_json::json;

use crate::lifecycle::office;
use crate::support::app::{TestApp, both_databases};
use crate::support::process::Patchbay;
use crate::workflows::{
    KINDS, WORKFLOWS, begin, break_at, finished, look, mend, newcomer, ready, residue, runner,
    same, settle, step, steps,
};

/// The lease of whoever died is over.
async fn forget_the_dead(app: &TestApp) {
    app.sql("UPDATE workflow_run SET lease_until = 0").await;
}

both_databases! {
    async fn wherever_a_process_dies_another_goes_on_and_does_nothing_twice(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        for (kind, names) in KINDS {
            let asked = Box::pin(ready(&script, &runner(&app), kind)).await;
            let id = begin(&script, &asked).await;
            let dead = runner(&app);
            assert!(dead.move_once().await.unwrap());
            assert!(!runner(&app).move_once().await.unwrap(), "it may still be alive");
            app.pass(21);
            let mut moves = 1;
            while runner(&app).move_once().await.unwrap() {
                moves += 1;
                forget_the_dead(&app).await;
            }
            let run = look(&script, &id).await;
            assert_eq!((moves, &run["status"]), (names.len() + 1, &json!("completed")), "{run}");
            for step in run["steps"].as_array().unwrap() {
                assert_eq!((&step["status"], &step["attempts"]), (&json!("done"), &json!(1)), "{run}");
            }
            crate::lifecycle::agrees(&app).await;
        }
        // And while it is undone.
        let before = residue(&app).await;
        let id = begin(&script, &newcomer()).await;
        for _ in 0..6 {
            assert!(runner(&app).move_once().await.unwrap());
            forget_the_dead(&app).await;
        }
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await.status, 202);
        while runner(&app).move_once().await.unwrap() {
            forget_the_dead(&app).await;
        }
        assert_eq!(look(&script, &id).await["status"], "rolled_back");
        same(&before, &residue(&app).await, "died while undoing");
    }

    /// A runner is dropped after every possible number of pauses: what it was at is not done by half.
    async fn a_step_that_breaks_off_in_the_middle_is_not_begun(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let before = residue(&app).await;
        let id = begin(&script, &newcomer()).await;
        let (mut patience, mut broken_off) = (1, 0);
        loop {
            // With connections of its own, which die with it.
            let elsewhere = app.another().await;
            let dead = runner(&elsewhere);
            let mut work = Box::pin(dead.drain());
            let mut polls = 0;
            let ended = std::future::poll_fn(|context| {
                polls += 1;
                match work.poll_unpin(context) {
                    std::task::Poll::Pending if polls < patience => std::task::Poll::Pending,
                    std::task::Poll::Pending => std::task::Poll::Ready(false),
                    std::task::Poll::Ready(done) => std::task::Poll::Ready(done.is_ok()),
                }
            }).await;
            drop(work);
            drop((dead, elsewhere));
            broken_off += usize::from(!ended);
            patience += 7;
            // The database ends what was asked of it.
            app.until_nobody_else_is_connected().await;
            forget_the_dead(&app).await;
            if ended || look(&script, &id).await["status"] == "completed" {
                break;
            }
            crate::lifecycle::agrees(&app).await;
        }
        assert!(broken_off > 3, "{broken_off}");
        let run = settle(&script, &runner(&app), &id).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(app.number("SELECT count(*) FROM users").await, 1);
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 3, "each was allocated once");
        let gone = json!({ "kind": "deprovision", "user": run["user_id"], "delete_phone": true });
        assert_eq!(finished(&script, &runner(&app), &gone).await["status"], "completed");
        same(&before, &residue(&app).await, "come by pieces, and gone");
    }

    /// The program itself is killed, without a word.
    async fn a_program_that_is_killed_leaves_nothing_by_half(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let mut program = Patchbay::serve(&app).await;
        for round in 0..4 {
            let (status, begun) = program.post(&script.token, WORKFLOWS, &newcomer()).await.unwrap();
            assert_eq!(status, 202, "{begun}");
            let id = begun["id"].as_str().unwrap().to_owned();
            // Each time a little later.
            let done = format!("SELECT count(*) FROM workflow_step WHERE run_id = '{id}' AND status = 'done'");
            while app.number(&done).await < round * 2 {
                tokio::task::yield_now().await;
            }
            program.kill();
            drop(program);
            app.until_nobody_else_is_connected().await;
            crate::lifecycle::agrees(&app).await;
            forget_the_dead(&app).await;
            program = Patchbay::serve(&app).await;
            let over = format!("SELECT count(*) FROM workflow_run WHERE id = '{id}' AND status = 'completed'");
            while app.number(&over).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert_eq!(app.number("SELECT count(*) FROM users").await, 4);
        assert_eq!(app.number("SELECT count(*) FROM phone_line").await, 4);
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE state = 'active'").await, 12);
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 12, "nothing was allocated twice");
        program.kill();
    }

    /// The same while it undoes: each time a little further.
    async fn a_program_that_is_killed_while_it_undoes_leaves_nothing(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let before = residue(&app).await;
        let mut program = Patchbay::serve(&app).await;
        for round in 0..4 {
            // It stops at its last step for a moment, between two tries.
            break_at(&app, "render_boot_file", "done").await;
            let (status, begun) = program.post(&script.token, WORKFLOWS, &newcomer()).await.unwrap();
            assert_eq!(status, 202, "{begun}");
            let id = begun["id"].as_str().unwrap().to_owned();
            let of = |what: &str| format!("SELECT count(*) FROM workflow_step WHERE run_id = '{id}' AND {what}");
            let failed = of("name = 'render_boot_file' AND attempts > 0 AND status = 'pending'");
            while app.number(&failed).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            mend(&app).await;
            let (status, said) = program.post(&script.token, &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await.unwrap();
            assert_eq!(status, 202, "{said}");
            while app.number(&of("status = 'undone'")).await < round * 2 {
                tokio::task::yield_now().await;
            }
            program.kill();
            drop(program);
            app.until_nobody_else_is_connected().await;
            crate::lifecycle::agrees(&app).await;
            forget_the_dead(&app).await;
            program = Patchbay::serve(&app).await;
            let over = format!("SELECT count(*) FROM workflow_run WHERE id = '{id}' AND status = 'rolled_back'");
            while app.number(&over).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            same(&before, &residue(&app).await, &format!("killed while undoing, round {round}"));
        }
        program.kill();
    }

    async fn limits_of_time_are_kept(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let before = residue(&app).await;
        let id = begin(&script, &newcomer()).await;
        for _ in 0..4 {
            runner(&app).move_once().await.unwrap();
            forget_the_dead(&app).await;
        }
        app.pass(301);
        let run = settle(&script, &runner(&app), &id).await;
        assert_eq!((&run["status"], &run["reason"]), (&json!("timeout"), &json!("it took longer than 300 seconds")));
        same(&before, &residue(&app).await, "too late");
        // A step alone: no time at all is too little for any.
        let hurried = runner(&app).within(Duration::ZERO);
        let run = finished(&script, &hurried, &newcomer()).await;
        assert_eq!(run["status"], "rolled_back", "{run}");
        assert_eq!(step(&run, "create_user")["error"], "it took longer than 0 s");
        assert_eq!(step(&run, "create_user")["attempts"], 3);
        same(&before, &residue(&app).await, "a step too late");
    }

    /// A step that hangs is given up at its limit, whatever it hangs at: here at a table that somebody
    /// else has locked. On `SQLite` nothing waits for anything once it may write.
    async fn a_step_that_hangs_is_given_up_at_its_limit(app: TestApp) {
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        if app.is_sqlite() {
            return;
        }
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let before = residue(&app).await;
        let id = begin(&script, &newcomer()).await;
        assert!(runner(&app).move_once().await.unwrap());
        forget_the_dead(&app).await;
        let other = app.another().await;
        let mut locked = other.state.db.write().await.unwrap();
        locked.query("LOCK TABLE phone IN ACCESS EXCLUSIVE MODE").run().await.unwrap();
        let hurried = runner(&app).within(Duration::from_millis(50));
        let over = std::cell::Cell::new(false);
        let working = Box::pin(async {
            let moved = hurried.move_once().await.unwrap();
            over.set(true);
            moved
        });
        let watching = async {
            // First it hangs; then, given up, what it had asked for hangs still, and whoever notes that
            // waits for that to end.
            while app.number(WAITING).await < 2 && !over.get() {
                tokio::task::yield_now().await;
            }
            drop(locked);
        };
        let (moved, ()) = futures_util::future::join(working, watching).await;
        assert!(moved);
        let run = look(&script, &id).await;
        let stuck = step(&run, "connect_phone");
        assert_eq!((&stuck["status"], &stuck["error"]), (&json!("pending"), &json!("it took longer than 0.05 s")), "{run}");
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        // The next try is in time.
        let run = settle(&script, &runner(&app), &id).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(&steps(&run)[..2], ["create_user done 1", "connect_phone done 2"]);
        let gone = json!({ "kind": "deprovision", "user": run["user_id"], "delete_phone": true });
        assert_eq!(finished(&script, &runner(&app), &gone).await["status"], "completed");
        same(&before, &residue(&app).await, "come late, and gone");
    }
}
