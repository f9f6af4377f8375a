//! Jobs: one instance does each at a time, and what came of it stays known.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use patchbay::auth::Role;
use patchbay::jobs::{Job, Jobs, Runner, Schedule};
use serde_json::json;

use crate::support::app::{TestApp, both_databases};

static RUNS: AtomicUsize = AtomicUsize::new(0);
static SHOWN: AtomicUsize = AtomicUsize::new(0);

fn counting() -> Jobs {
    Jobs::new(vec![Job {
        name: "test.count",
        title: "Count",
        about: "Counts.",
        schedule: Schedule::Every(300),
        work: |_| async { Ok(json!({ "count": RUNS.fetch_add(1, Ordering::SeqCst) })) }.boxed(),
        publish: Some(|_| {
            SHOWN.fetch_add(1, Ordering::SeqCst);
        }),
    }])
}

fn failing() -> Jobs {
    Jobs::new(vec![Job {
        name: "test.fail",
        title: "Fail",
        about: "Fails.",
        schedule: Schedule::Every(300),
        work: |_| async { Err(patchbay::web::Error::NotFound) }.boxed(),
        publish: None,
    }])
}

fn runner(app: &TestApp, jobs: Jobs) -> Runner {
    Runner::new(app.state.clone(), jobs).unwrap()
}

both_databases! {
    async fn a_job_is_done_when_it_is_due_and_once_among_several(app: TestApp) {
        let other = app.another().await;
        let (mut one, mut two) = (runner(&app, counting()), runner(&other, counting()));
        assert_eq!(one.turn().await.unwrap() + two.turn().await.unwrap(), 0, "it is not due yet");
        for round in 1..4_i64 {
            app.pass(300);
            let (a, b) = futures_util::future::join(one.turn(), two.turn()).await;
            assert_eq!(a.unwrap() + b.unwrap(), 1, "one of them");
            one.turn().await.unwrap();
            two.turn().await.unwrap();
            assert_eq!(app.number("SELECT count(*) FROM job_run WHERE state = 'done'").await, round);
        }
        assert!(SHOWN.load(Ordering::SeqCst) >= 6, "both show what was found");
    }

    async fn when_an_instance_dies_another_takes_over(app: TestApp) {
        let mut one = runner(&app, counting());
        one.turn().await.unwrap();
        app.pass(300);
        // As if an instance had taken it and died.
        let until = crate::support::app::BEGINNING + 360;
        app.sql(&format!("UPDATE job SET runner = 'dead', lease_until = {until}")).await;
        app.sql("INSERT INTO job_run (id, job, runner, actor, state, started_at, result) VALUES ('x', 'test.count', 'dead', '', 'running', 1, '')").await;
        assert_eq!(one.turn().await.unwrap(), 0, "it may still live");
        app.pass(61);
        assert_eq!(one.turn().await.unwrap(), 1);
        let states = app.texts("SELECT state FROM job_run ORDER BY started_at").await;
        assert_eq!(states, ["interrupted", "done"]);
    }

    async fn a_failure_is_told_and_the_job_is_done_again(app: TestApp) {
        let mut one = runner(&app, failing());
        one.turn().await.unwrap();
        for _ in 0..2 {
            app.pass(300);
            assert_eq!(one.turn().await.unwrap(), 1);
        }
        let runs = app.texts("SELECT state || ' ' || result FROM job_run").await;
        assert_eq!(runs, ["failed there is nothing here; it may have been deleted"; 2]);
    }

    async fn the_page_shows_each_job_and_runs_it_on_demand(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/settings/jobs").await;
        page.shows("daily at 02:00 UTC");
        page.shows("every 5 minutes");
        page.shows("It has not run yet.");
        assert_eq!(admin.post("/settings/jobs/lifecycle.cleanup/run", &[]).await.status, 303);
        assert_eq!(admin.post("/settings/jobs/nothing/run", &[]).await.status, 404);
        let mut runner = runner(&app, Jobs::new(patchbay::app::jobs()));
        assert_eq!(runner.turn().await.unwrap(), 1);
        assert_eq!(runner.turn().await.unwrap(), 0, "once");
        let page = admin.get("/settings/jobs").await;
        page.shows("revoked archived: 0");
        page.shows("<td>admin</td>");
        assert!(app.audit().await.contains(&"admin job.requested Clean up assignments".to_owned()));
        app.pass(24 * 60 * 60);
        assert_eq!(runner.turn().await.unwrap(), 2);
        let night = app.texts("SELECT CAST(next_at AS TEXT) FROM job WHERE name = 'lifecycle.cleanup'").await;
        let next: i64 = night[0].parse().unwrap();
        assert_eq!(next % 86_400, 7_200, "02:00 UTC");
    }
}
