//! Workflows that fail: what was done is undone, or waits for somebody.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::workflows::Runner;
use serde_json::{Value, json};

use crate::lifecycle::office;
use crate::support::app::{Script, TestApp, both_databases};
use crate::support::lab::Kea;
use crate::support::outside::{NAS_SECRET, Nas, Netbox, attributes};
use crate::workflows::{
    KINDS, WORKFLOWS, begin, break_at, finished, look, mend, newcomer, ready, residue, runner,
    same, settle, step, steps,
};

/// Undoes a run once more, as if nobody had noted that it is undone.
async fn undone_again(app: &TestApp, script: &Script<'_>, runner: &Runner, run: &Value) {
    let id = run["id"].as_str().unwrap();
    app.sql(&format!(
        "UPDATE workflow_step SET status = 'done' WHERE run_id = '{id}' AND status = 'undone'"
    ))
    .await;
    app.sql(&format!(
        "UPDATE workflow_run SET status = 'rolling_back', live = TRUE WHERE id = '{id}'"
    ))
    .await;
    assert_eq!(settle(script, runner, id).await["status"], "rolled_back", "{run}");
}

both_databases! {
    async fn whatever_step_fails_and_though_undone_twice_nothing_is_left(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        for (kind, names) in KINDS {
            for name in names {
                let asked = Box::pin(ready(&script, &runner, kind)).await;
                let before = residue(&app).await;
                let what = format!("{kind} broken at {name}");
                break_at(&app, name, "done").await;
                let run = finished(&script, &runner, &asked).await;
                mend(&app).await;
                assert_eq!(run["status"], "rolled_back", "{what}: {run}");
                let broken = step(&run, name);
                assert_eq!((&broken["status"], &broken["attempts"]), (&json!("failed"), &json!(3)), "{what}");
                assert!(!broken["error"].as_str().unwrap().is_empty() && !run["reason"].as_str().unwrap().is_empty());
                same(&before, &residue(&app).await, &what);
                crate::lifecycle::agrees(&app).await;
                let id = run["id"].as_str().unwrap();
                undone_again(&app, &script, &runner, &run).await;
                same(&before, &residue(&app).await, &format!("{what}, undone twice"));
                // It can be tried again, and is done then.
                let again = script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await;
                assert_eq!(again.status, 202, "{again:?}");
                let run = settle(&script, &runner, id).await;
                assert_eq!(run["status"], "completed", "{what}: {run}");
                if kind == "provision" {
                    let gone = json!({ "kind": "deprovision", "user": run["user_id"], "delete_phone": true });
                    assert_eq!(finished(&script, &runner, &gone).await["status"], "completed");
                }
                // Room for the next.
                app.sql("DELETE FROM assignment WHERE NOT live").await;
                app.sql("DELETE FROM assignment_tally WHERE state = 'revoked'").await;
            }
        }
    }

    /// Where there is no Asterisk to tell, nothing is left of what was to be told it, of any workflow.
    async fn what_cannot_be_applied_is_undone_twice_and_nothing_is_left(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let runner = runner(&app);
        for (kind, _) in KINDS {
            let mut asked = Box::pin(ready(&script, &runner, kind)).await;
            asked["apply"] = true.into();
            let before = residue(&app).await;
            let run = finished(&script, &runner, &asked).await;
            let told = step(&run, "apply");
            assert_eq!((&run["status"], &told["status"], &told["attempts"]), (&json!("rolled_back"), &json!("failed"), &json!(1)), "{kind}: {run}");
            assert!(told["error"].as_str().unwrap().contains("asterisk install"), "{run}");
            same(&before, &residue(&app).await, kind);
            undone_again(&app, &script, &runner, &run).await;
            same(&before, &residue(&app).await, &format!("{kind}, undone twice"));
            crate::lifecycle::agrees(&app).await;
            app.sql("DELETE FROM assignment WHERE NOT live").await;
            app.sql("DELETE FROM assignment_tally WHERE state = 'revoked'").await;
        }
    }

    /// With RADIUS and NetBox on, what was begun is taken back there too, and nothing waits for ever.
    async fn beside_outside_systems_nothing_is_left_there_either(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let (nas, server) = (Nas::start(Duration::ZERO).await, Netbox::start().await);
        crate::outbox::radius(&app, nas.port, NAS_SECRET).await;
        crate::outside_netbox::netbox(&app, server.at).await;
        crate::lifecycle_outside::settle(&app).await;
        for name in ["allocate_ipv6", "allocate_prefix", "activate", "render_boot_file"] {
            let (before, there) = (residue(&app).await, server.all("ip-addresses"));
            let prefixes = server.all("prefixes");
            let asked = newcomer();
            break_at(&app, name, "done").await;
            let run = finished(&script, &runner, &asked).await;
            mend(&app).await;
            assert_eq!(run["status"], "rolled_back", "{name}: {run}");
            // What it had is being taken back: tried again it waits for that, and is done then.
            let revoking = "SELECT count(*) FROM assignment WHERE state = 'revoking'";
            assert!(app.number(revoking).await > 0, "{name}");
            let id = run["id"].as_str().unwrap();
            let again = script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await;
            assert_eq!(again.status, 202, "{again:?}");
            runner.drain().await.unwrap();
            let waits = look(&script, id).await;
            let waiting = step(&waits, "allocate_ipv4");
            assert_eq!((&waits["status"], &waiting["attempts"]), (&json!("running"), &json!(0)), "{waits}");
            assert!(waiting["error"].as_str().unwrap().contains("wait until its revocation is over"), "{waits}");
            crate::lifecycle_outside::settle(&app).await;
            let run = settle(&script, &runner, id).await;
            assert_eq!(run["status"], "completed", "{name}: {run}");
            let gone = json!({ "kind": "deprovision", "user": run["user_id"], "delete_phone": true });
            assert_eq!(finished(&script, &runner, &gone).await["status"], "completed");
            assert!(app.number(revoking).await > 0, "the session is ended first");
            crate::lifecycle_outside::settle(&app).await;
            same(&before, &residue(&app).await, name);
            assert_eq!((server.all("ip-addresses"), server.all("prefixes")), (there, prefixes), "{name}");
            let open = "SELECT count(*) FROM outside_call WHERE state NOT IN ('done', 'replaced')";
            assert_eq!(app.number(open).await, 0, "{name}");
            let last = nas.packets().last().unwrap()[0];
            assert_eq!(last, 40, "{name}: the session was ended");
            crate::lifecycle::agrees(&app).await;
            app.sql("DELETE FROM assignment WHERE NOT live").await;
            app.sql("DELETE FROM assignment_tally WHERE state = 'revoked'").await;
        }
    }

    /// What was told outside when somebody who is there was suspended, resumed or let go is told back
    /// when that is undone, once.
    async fn undoing_what_is_done_for_somebody_is_told_outside_too(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Admin).await;
        let runner = runner(&app);
        let (nas, server, kea) = (Nas::start(Duration::ZERO).await, Netbox::start().await, Kea::start());
        crate::outbox::radius(&app, nas.port, NAS_SECRET).await;
        crate::outside_netbox::netbox(&app, server.at).await;
        crate::outside_peers::both_families(&app, &kea).await;
        let mut asked = newcomer();
        for wish in ["ipv6", "prefix"] {
            asked.as_object_mut().unwrap().remove(wish);
        }
        let run = finished(&script, &runner, &asked).await;
        assert_eq!(run["status"], "completed", "{run}");
        crate::lifecycle_outside::settle(&app).await;
        let (user, had) = (&run["user_id"], step(&run, "allocate_ipv4")["result"]["address"].as_str().unwrap());
        let machine = crate::outside_peers::reserved(&kea, had).await;
        assert!(machine.is_some(), "the phone has a reservation");
        let told = |from: usize| -> Vec<String> {
            let packets = nas.packets();
            let filters = packets[from..].iter().map(|packet| {
                assert_eq!(packet[0], 43, "no session is ended");
                let filter = attributes(packet).into_iter().find(|(kind, _)| *kind == 11);
                String::from_utf8(filter.unwrap().1).unwrap()
            });
            filters.collect()
        };
        let (less, more) = ("walled-garden", "full");
        for (kind, filters) in [("suspend", [less, more]), ("resume", [more, less]), ("deprovision", [less, more])] {
            if kind == "resume" {
                let run = finished(&script, &runner, &json!({ "kind": "suspend", "user": user })).await;
                assert_eq!(run["status"], "completed", "{run}");
                crate::lifecycle_outside::settle(&app).await;
            }
            let (before, there, heard) = (residue(&app).await, server.all("ip-addresses"), nas.packets().len());
            let run = finished(&script, &runner, &json!({ "kind": kind, "user": user, "apply": true })).await;
            assert_eq!(run["status"], "rolled_back", "there is no Asterisk: {run}");
            crate::lifecycle_outside::settle(&app).await;
            for twice in [false, true] {
                assert_eq!(told(heard), filters, "{kind}, twice: {twice}");
                same(&before, &residue(&app).await, &format!("{kind}, twice: {twice}"));
                assert_eq!(server.all("ip-addresses"), there, "{kind}");
                assert_eq!(crate::outside_peers::reserved(&kea, had).await, machine, "{kind}");
                let open = "SELECT count(*) FROM outside_call WHERE state NOT IN ('done', 'replaced')";
                assert_eq!(app.number(open).await, 0, "{kind}");
                undone_again(&app, &script, &runner, &run).await;
                crate::lifecycle_outside::settle(&app).await;
            }
            if kind == "resume" {
                let run = finished(&script, &runner, &json!({ "kind": "resume", "user": user })).await;
                assert_eq!(run["status"], "completed", "{run}");
                crate::lifecycle_outside::settle(&app).await;
            }
        }
    }

    async fn what_may_fail_fails_alone_and_is_tried_again_alone(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let mut asked = newcomer();
        asked["prefix"] = "2001:db8:9::/56".into();
        asked["apply"] = true.into();
        asked["optional"] = json!(["allocate_prefix", "apply"]);
        let admin = app.script(Role::Admin).await;
        let run = finished(&admin, &runner, &asked).await;
        assert_eq!(run["status"], "partially_completed", "{run}");
        assert!(step(&run, "apply")["error"].as_str().unwrap().contains("asterisk install"), "{run}");
        let why = step(&run, "allocate_prefix")["error"].as_str().unwrap();
        assert!(why.contains("2001:db8:9::/56"), "{why}");
        assert_eq!(step(&run, "activate")["status"], "done");
        // There is such a pool now: only what failed, and what looks at it, is done again.
        let pool = json!({ "name": "More", "cidr": "2001:db8:9::/52", "delegated": 56 });
        let made = script.send("POST", "/api/v1/prefix-pools", &pool).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = run["id"].as_str().unwrap();
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await.status, 202);
        let run = settle(&script, &runner, id).await;
        assert_eq!(run["status"], "partially_completed", "Asterisk is still not there: {run}");
        assert_eq!(step(&run, "allocate_prefix")["status"], "done");
        assert_eq!(app.texts("SELECT DISTINCT state FROM assignment").await, ["active"]);
        assert_eq!(app.number("SELECT count(*) FROM assignment").await, 3);
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'user.created'").await, 1);
        // The same without being allowed to fail.
        let mut asked = newcomer();
        asked["apply"] = true.into();
        let before = residue(&app).await;
        let run = finished(&admin, &runner, &asked).await;
        assert_eq!((&run["status"], &step(&run, "apply")["attempts"]), (&json!("rolled_back"), &json!(1)));
        same(&before, &residue(&app).await, "not applied");
    }

    async fn a_failure_that_waits_goes_on_at_the_failed_step_or_is_undone(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let before = residue(&app).await;
        let mut asked = newcomer();
        asked["on_failure"] = "wait".into();
        break_at(&app, "allocate_ipv6", "done").await;
        let run = finished(&script, &runner, &asked).await;
        let id = run["id"].as_str().unwrap();
        assert_eq!((&run["status"], &run["may_retry"], &run["may_cancel"]), (&json!("failed"), &json!(true), &json!(true)));
        assert_eq!(step(&run, "allocate_ipv4")["status"], "done");
        // Nobody else begins something about them meanwhile.
        let other = script.send("POST", WORKFLOWS, &json!({ "kind": "suspend", "user": run["user_id"] })).await;
        assert_eq!(other.status, 409);
        other.shows("is failed already");
        let stuck = script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await;
        assert_eq!(stuck.status, 202);
        assert_eq!(settle(&script, &runner, id).await["status"], "failed");
        mend(&app).await;
        script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await;
        let run = settle(&script, &runner, id).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(&steps(&run)[..3], ["create_user done 1", "connect_phone done 1", "allocate_ipv4 done 1"]);
        let over = script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await;
        assert_eq!(over.status, 409);
        over.shows("it is completed; deprovision them instead");
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await.status, 409);
        finished(&script, &runner, &json!({ "kind": "deprovision", "user": run["user_id"], "delete_phone": true })).await;
        // Undone instead.
        break_at(&app, "activate", "done").await;
        let mut asked = newcomer();
        asked["on_failure"] = "wait".into();
        let run = finished(&script, &runner, &asked).await;
        mend(&app).await;
        let id = run["id"].as_str().unwrap();
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await.status, 202);
        let run = settle(&script, &runner, id).await;
        assert_eq!(run["status"], "rolled_back");
        assert!(run["cancelled_by"].as_str().unwrap().contains("(script)"), "{run}");
        same(&before, &residue(&app).await, "cancelled after it failed");
    }

    async fn what_cannot_be_undone_is_said_and_tried_again(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let before = residue(&app).await;
        let id = begin(&script, &newcomer()).await;
        for _ in 0..4 {
            runner.move_once().await.unwrap();
        }
        break_at(&app, "connect_phone", "undone").await;
        let cancelled = script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await;
        assert_eq!(cancelled.json()["status"], "rolling_back");
        let run = settle(&script, &runner, &id).await;
        assert_eq!(run["status"], "rollback_failed", "{run}");
        let stuck = step(&run, "connect_phone");
        assert_eq!((&stuck["status"], &stuck["undo_attempts"]), (&json!("undo_failed"), &json!(3)));
        assert_eq!(step(&run, "create_user")["status"], "done", "what it stands on is left");
        mend(&app).await;
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/retry"), &json!({})).await.status, 202);
        assert_eq!(settle(&script, &runner, &id).await["status"], "rolled_back");
        same(&before, &residue(&app).await, "undone in the end");
    }
}
