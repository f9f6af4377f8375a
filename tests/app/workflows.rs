//! Workflows: all or nothing, whatever fails and whenever a process dies.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use patchbay::apply::Applier;
use patchbay::auth::Role;
use patchbay::config::Config;
use patchbay::db::{Cell, TABLES};
use patchbay::ipam::addresses::{Holder, HolderKind};
use patchbay::lifecycle::{self, Family, State};
use patchbay::workflows::Runner;
use serde_json::{Value, json};

use crate::lifecycle::{FAMILIES, bring, office, put_of, state_of};
use crate::support::app::{Script, TestApp, both_databases, next};
use crate::support::lab::Kea;
use crate::support::outside::{NAS_SECRET, Nas, Netbox, attributes};
use crate::support::process::Patchbay;

const WORKFLOWS: &str = "/api/v1/workflows";

/// Someone who does workflows, beside a directory in which Asterisk has never been.
pub fn runner(app: &TestApp) -> Runner {
    let directory = app.dir().join("asterisk").display().to_string();
    let settings = |name: &str| (name == "PATCHBAY_ASTERISK_CONFIG_DIR").then(|| directory.clone());
    let config = Config::load(Some(Path::new("/dev/null")), settings).unwrap();
    Runner::new(app.state.clone(), Applier::new(&config, app.state.clone())).unwrap()
}

/// Somebody with everything, on a phone that nobody knows yet. Nobody else is called so.
fn newcomer() -> Value {
    let number = next();
    json!({
        "kind": "provision", "name": format!("Ann {number}"), "email": format!("ann{number}@example.com"),
        "mac": format!("001565{number:06x}"), "model": "yealink/t46s", "ipv4": "next", "ipv6": "next", "prefix": "next",
        "activate": "now",
    })
}

async fn begin(script: &Script<'_>, asked: &Value) -> String {
    let begun = script.send("POST", WORKFLOWS, asked).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    begun.json()["id"].as_str().unwrap().to_owned()
}

async fn look(script: &Script<'_>, id: &str) -> Value {
    script.get(&format!("{WORKFLOWS}/{id}")).await.json()
}

fn step<'v>(run: &'v Value, name: &str) -> &'v Value {
    run["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
}

/// `name status attempts` of every step.
fn steps(run: &Value) -> Vec<String> {
    let all = run["steps"].as_array().unwrap().iter();
    all.map(|step| {
        format!("{} {} {}", step["name"], step["status"], step["attempts"]).replace('"', "")
    })
    .collect()
}

/// Until it does not go on by itself any more, with time passing between tries.
async fn settle(script: &Script<'_>, runner: &Runner, id: &str) -> Value {
    for _ in 0..12 {
        runner.drain().await.unwrap();
        let run = look(script, id).await;
        if !["pending", "running", "rolling_back"].contains(&run["status"].as_str().unwrap()) {
            return run;
        }
        script.app.pass(10);
    }
    panic!("it does not end: {}", look(script, id).await)
}

async fn finished(script: &Script<'_>, runner: &Runner, asked: &Value) -> Value {
    let id = begin(script, asked).await;
    settle(script, runner, &id).await
}

/// Somebody who has everything: their id.
async fn provisioned(script: &Script<'_>, runner: &Runner) -> String {
    let run = finished(script, runner, &newcomer()).await;
    assert_eq!(run["status"], "completed", "{run}");
    run["user_id"].as_str().unwrap().to_owned()
}

/// Everything there is, but for what tells of the past: logs, workflows, lives that are over, and
/// how often and when something was changed.
async fn residue(app: &TestApp) -> Vec<String> {
    const PAST: [&str; 12] = [
        "audit_head",
        "audit_event",
        "workflow_run",
        "workflow_step",
        "idempotency",
        "api_token",
        "operator",
        "address_sequence",
        "job",
        "job_run",
        "outside_call",
        "populated",
    ];
    const WHEN: [&str; 6] =
        ["version", "generation", "updated_at", "since", "suspended_at", "seen_seq"];
    let mut tx = app.state.read().await.unwrap();
    let mut all = Vec::new();
    for table in TABLES.iter().filter(|table| !PAST.contains(&table.name)) {
        for row in tx.dump(table, 0).await.unwrap() {
            let cells: Vec<(&str, Cell)> = table.columns.iter().copied().zip(row).collect();
            let is = |column: &str, wanted: &Cell| {
                cells.iter().any(|(name, cell)| *name == column && cell == wanted)
            };
            let over = match table.name {
                "assignment" => is("live", &Cell::Truth(false)),
                "assignment_tally" => {
                    is("state", &Cell::Marked("trevoked".to_owned()))
                        || is("entries", &Cell::Number(0))
                }
                _ => false,
            };
            let cells = if table.name == "tally" { summed(&cells) } else { cells };
            if cells.is_empty() {
                continue;
            }
            // Rows of addresses are numbered as they come.
            let told = cells.iter().filter(|(name, _)| {
                !(WHEN.contains(name) || table.name == "address" && *name == "id")
            });
            if !over {
                all.push(format!("{} {:?}", table.name, told.collect::<Vec<_>>()));
            }
        }
    }
    all.sort();
    all
}

/// A count is kept in two halves, of which the lower may be more than a half: one number. None is
/// no row.
fn summed<'c>(cells: &[(&'c str, Cell)]) -> Vec<(&'c str, Cell)> {
    let number = |column: &str| match cells.iter().find(|(name, _)| *name == column) {
        Some((_, Cell::Number(number))) => *number,
        other => panic!("{other:?}"),
    };
    let (entries, count) = (number("entries"), (number("high") << 32) + number("low"));
    if (entries, count) == (0, 0) {
        return Vec::new();
    }
    let mut all: Vec<_> =
        cells.iter().filter(|(name, _)| !["high", "low"].contains(name)).cloned().collect();
    all.push(("count", Cell::Number(count)));
    all
}

#[track_caller]
fn same(before: &[String], after: &[String], what: &str) {
    let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
    let new: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(gone.is_empty() && new.is_empty(), "{what}: gone {gone:#?} new {new:#?}");
}

/// From now on the database refuses to note that a step stands so: whatever it did is not done.
async fn break_at(app: &TestApp, name: &str, status: &str) {
    let when = format!("NEW.name = '{name}' AND NEW.status = '{status}'");
    if app.is_sqlite() {
        app.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step WHEN {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")).await;
        return;
    }
    app.sql("CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$").await;
    app.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION broken()")).await;
}

async fn mend(app: &TestApp) {
    let drop = if app.is_sqlite() {
        "DROP TRIGGER broken"
    } else {
        "DROP TRIGGER broken ON workflow_step"
    };
    app.sql(drop).await;
}

/// Every change of an assignment's state in the log is a step the machine has.
async fn every_step_is_one_of_the_machines(app: &TestApp) {
    const MOVED: &str = "SELECT before_json || '\n' || after_json FROM audit_event
        WHERE action LIKE 'assignment.%' AND before_json LIKE '{%' AND after_json LIKE '{%'";
    let moved = app.texts(MOVED).await;
    assert!(!moved.is_empty());
    for event in moved {
        let (before, after) = event.split_once('\n').unwrap();
        let state = |text: &str| {
            let said: Value = serde_json::from_str(text).unwrap();
            said["state"].as_str().unwrap().parse::<State>().unwrap()
        };
        assert!(state(before).may_become(state(after)), "{event}");
    }
}

/// The lease of whoever died is over.
async fn forget_the_dead(app: &TestApp) {
    app.sql("UPDATE workflow_run SET lease_until = 0").await;
}

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

/// What there is to do, each for somebody for whom it can be done, with its steps.
const KINDS: [(&str, &[&str]); 4] = [
    (
        "provision",
        &[
            "create_user",
            "connect_phone",
            "allocate_ipv4",
            "allocate_ipv6",
            "allocate_prefix",
            "activate",
            "render_boot_file",
        ],
    ),
    ("suspend", &["disable_user", "suspend_addresses"]),
    ("resume", &["enable_user", "reactivate_addresses"]),
    (
        "deprovision",
        &["disable_user", "suspend_addresses", "disconnect_phone", "revoke_and_delete"],
    ),
];

async fn ready(script: &Script<'_>, runner: &Runner, kind: &str) -> Value {
    if kind == "provision" {
        return newcomer();
    }
    let user = Box::pin(provisioned(script, runner)).await;
    if kind == "resume" {
        let run = finished(
            script,
            runner,
            &json!({ "kind": "suspend", "user": user, "reason": "unpaid" }),
        )
        .await;
        assert_eq!(run["status"], "completed", "{run}");
    }
    json!({ "kind": kind, "user": user, "delete_phone": kind == "deprovision" })
}

both_databases! {
    async fn somebody_comes_is_suspended_resumes_and_leaves(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let nobody = residue(&app).await;
        let asked = newcomer();
        let run = finished(&script, &runner, &asked).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(step(&run, "allocate_ipv4")["result"]["address"], "10.20.5.10");
        assert_eq!(step(&run, "create_user")["result"]["extension"], "1000");
        for (name, limit, undo) in [
            ("create_user", 30, "the user is deleted, the number is free"), ("allocate_ipv4", 30, "it is revoked"),
            ("activate", 15, "ends with the allocation"), ("render_boot_file", 45, "nothing was changed"),
        ] {
            let step = step(&run, name);
            assert_eq!((&step["limit"], &step["undo"]), (&json!(limit), &json!(undo)), "{step}");
        }
        let user = run["user_id"].as_str().unwrap();
        let states = "SELECT family || ' ' || holder_kind || ' ' || state FROM assignment ORDER BY 1";
        assert_eq!(app.texts(states).await, ["ipv4 phone active", "ipv6 phone active", "prefix user active"]);
        crate::lifecycle::agrees(&app).await;
        let whole = residue(&app).await;
        let suspended = finished(&script, &runner, &json!({ "kind": "suspend", "user": 1000.to_string(), "reason": "unpaid" })).await;
        assert_eq!((&suspended["status"], &suspended["user_id"]), (&json!("completed"), &json!(user)));
        assert_eq!(script.get(&format!("/api/v1/users/{user}")).await.json()["extension"]["enabled"], false);
        assert_eq!(app.texts("SELECT DISTINCT state || ' ' || reason FROM assignment").await, ["suspended unpaid"]);
        let resumed = finished(&script, &runner, &json!({ "kind": "resume", "user": user })).await;
        assert_eq!(resumed["status"], "completed");
        same(&whole, &residue(&app).await, "suspended and resumed");
        let gone = finished(&script, &runner, &json!({ "kind": "deprovision", "user": user, "delete_phone": true })).await;
        assert_eq!(gone["status"], "completed", "{gone}");
        same(&nobody, &residue(&app).await, "come and gone");
        crate::lifecycle::agrees(&app).await;
        let log = app.audit().await;
        for action in ["workflow.begun", "workflow.completed", "user.created", "assignment.suspended", "user.deleted"] {
            assert!(log.iter().any(|row| row.contains(action)), "{action}: {log:?}");
        }
        let secrets = app.texts("SELECT input || coalesce((SELECT string_agg(saved, '') FROM workflow_step), '') FROM workflow_run").await;
        assert!(secrets.iter().all(|text| !text.contains("secret") && !text.contains("password")));
    }

    /// Whatever state somebody's assignments are in: a workflow does what the machine allows, leaves
    /// the rest, and goes through to its end.
    async fn assignments_in_every_state_are_moved_only_as_the_machine_allows(app: TestApp) {
        use State::{Active, Allocated, Failed, Pending, Revoked, Revoking, Suspended};
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        for family in FAMILIES {
            for from in State::ALL {
                for kind in ["suspend", "resume", "deprovision"] {
                    let ann = script.add("Ann", &format!("ann{}@example.com", next())).await;
                    let user = ann["id"].as_str().unwrap();
                    let holder = Holder { kind: HolderKind::User, id: user.to_owned(), name: "Ann".to_owned() };
                    let id = put_of(&app, family, from, holder).await;
                    let run = finished(&script, &runner, &json!({ "kind": kind, "user": user })).await;
                    let what = format!("{kind} {family:?} {from}");
                    assert_eq!(run["status"], "completed", "{what}: {run}");
                    let to = match (kind, from) {
                        ("suspend", Active) => Suspended,
                        ("resume", Suspended) => Active,
                        // It had no address yet: there is nothing to revoke.
                        ("deprovision", Pending) => Failed,
                        ("deprovision", Allocated | Active | Suspended | Failed) => Revoked,
                        // What is ending ends by itself.
                        (_, Revoking) => Revoking,
                        (_, as_it_was) => as_it_was,
                    };
                    let now = state_of(&app, id).await;
                    assert_eq!(now.state, to, "{what}");
                    if kind == "deprovision" {
                        assert_eq!((now.live, now.held().is_some()), (to == Revoking, to == Revoking), "{what}");
                    }
                    crate::lifecycle::agrees(&app).await;
                    // Room for the next.
                    if kind != "deprovision" {
                        let gone = finished(&script, &runner, &json!({ "kind": "deprovision", "user": user })).await;
                        assert_eq!(gone["status"], "completed", "{what}: {gone}");
                    }
                    app.pass(10);
                    lifecycle::job::complete_settled(&app.state).await.unwrap();
                }
            }
        }
        assert_eq!(app.number("SELECT count(*) FROM assignment WHERE live").await, 0);
        every_step_is_one_of_the_machines(&app).await;
    }

    /// What a run has allocated and somebody else has moved on meanwhile ends all the same when the
    /// run is undone, by legal steps alone.
    async fn what_was_allocated_is_taken_back_from_every_state(app: TestApp) {
        use State::{Failed, Pending, Revoked, Revoking};
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        for from in State::ALL {
            let mut asked = newcomer();
            asked["on_failure"] = "wait".into();
            break_at(&app, "activate", "done").await;
            let run = finished(&script, &runner, &asked).await;
            mend(&app).await;
            assert_eq!(run["status"], "failed", "{run}");
            let ids = app.texts("SELECT id FROM assignment WHERE live ORDER BY family").await;
            assert_eq!(ids.len(), 3);
            for id in &ids {
                bring(&app, id.parse().unwrap(), from).await;
            }
            let id = run["id"].as_str().unwrap();
            assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await.status, 202);
            let run = settle(&script, &runner, id).await;
            assert_eq!(run["status"], "rolled_back", "{from}: {run}");
            for id in &ids {
                let to = match from {
                    Pending => Failed,
                    Revoking => Revoking,
                    _ => Revoked,
                };
                let now = state_of(&app, id.parse().unwrap()).await;
                assert_eq!((now.state, now.live), (to, to == Revoking), "{from}");
            }
            assert_eq!(app.number("SELECT count(*) FROM users").await, 0, "{from}");
            crate::lifecycle::agrees(&app).await;
            app.pass(10);
            lifecycle::job::complete_settled(&app.state).await.unwrap();
        }
        every_step_is_one_of_the_machines(&app).await;
    }

    /// Whoever comes to a phone that has an address gets along with it, waits for it to end, or is
    /// told what stands in the way.
    async fn a_newcomer_to_a_phone_with_an_address_in_every_state(app: TestApp) {
        use State::{Active, Allocated, Failed, Pending, Revoked, Revoking, Suspended};
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        for from in State::ALL {
            let mut asked = newcomer();
            for wish in ["ipv6", "prefix", "model"] {
                asked.as_object_mut().unwrap().remove(wish);
            }
            let mac = asked["mac"].as_str().unwrap().to_owned();
            let phone = json!({ "mac": mac, "model": "t46s", "vendor": "yealink" });
            assert_eq!(script.send("POST", "/api/v1/phones", &phone).await.status, 201);
            let holder = Holder { kind: HolderKind::Phone, id: mac.clone(), name: String::new() };
            let had = put_of(&app, Family::Ipv4, from, holder).await;
            let id = begin(&script, &asked).await;
            if from == Revoking {
                runner.drain().await.unwrap();
                let run = look(&script, &id).await;
                let waits = step(&run, "allocate_ipv4");
                assert_eq!((&run["status"], &waits["attempts"]), (&json!("running"), &json!(0)), "{run}");
                assert!(waits["error"].as_str().unwrap().contains("wait until its revocation is over"), "{run}");
                crate::lifecycle::complete(&app, had).await.unwrap();
                app.pass(10);
            }
            let run = settle(&script, &runner, &id).await;
            let (status, said) = match from {
                Suspended => ("rolled_back", "(suspended) already; revoke it first"),
                Failed => ("rolled_back", "(failed) already; retry it and then revoke it"),
                _ => ("completed", ""),
            };
            assert_eq!(run["status"], status, "{from}: {run}");
            assert!(run["reason"].as_str().unwrap().contains(said), "{from}: {run}");
            let live = format!("SELECT id || ' ' || state FROM assignment WHERE live AND holder_id = '{mac}'");
            let live = app.texts(&live).await;
            let (state, same) = match from {
                // What the phone had is left as it is; what it waited for begins now.
                Allocated | Suspended | Failed => (from, true),
                Active | Pending => (Active, true),
                Revoking | Revoked => (Active, false),
            };
            assert!(live.len() == 1 && live[0].ends_with(&format!(" {state}")), "{from}: {live:?}");
            assert_eq!(live[0].starts_with(&had.to_string()), same, "{from}: {live:?}");
            crate::lifecycle::agrees(&app).await;
        }
        every_step_is_one_of_the_machines(&app).await;
    }

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

    async fn two_about_one_person_never_interleave(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let asked = newcomer();
        let id = begin(&script, &asked).await;
        let again = script.send("POST", WORKFLOWS, &asked).await;
        assert_eq!(again.status, 409, "{again:?}");
        again.shows("is pending already: wait until it is over, or cancel it");
        let user = settle(&script, &runner, &id).await["user_id"].clone();
        let all = ["suspend", "resume", "deprovision"].map(|kind| json!({ "kind": kind, "user": user }));
        let begun = futures_util::future::join_all(all.iter().map(|asked| script.send("POST", WORKFLOWS, asked))).await;
        let statuses: Vec<u16> = begun.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 2, "{statuses:?}");
        runner.drain().await.unwrap();
        // Two instances have two runs, and each step is done by one of them.
        let (one, two) = (begin(&script, &newcomer()).await, begin(&script, &newcomer()).await);
        let other = app.another().await;
        let (a, b) = (self::runner(&app), self::runner(&other));
        let (a, b) = futures_util::future::join(Box::pin(a.drain()), Box::pin(b.drain())).await;
        a.unwrap();
        b.unwrap();
        for id in [one, two] {
            let run = settle(&script, &runner, &id).await;
            assert_eq!(run["status"], "completed", "{run}");
            assert!(run["steps"].as_array().unwrap().iter().all(|step| step["attempts"] == 1), "{run}");
        }
    }

    /// A phone that others have lines on stays theirs, with its address.
    async fn a_phone_of_several_people_is_not_taken_from_the_others(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let first = newcomer();
        let ann = finished(&script, &runner, &first).await;
        let mut second = newcomer();
        second["mac"] = first["mac"].clone();
        second["ipv4"] = Value::Null;
        second["ipv6"] = Value::Null;
        second.as_object_mut().unwrap().remove("model");
        let before = residue(&app).await;
        let bob = finished(&script, &runner, &second).await;
        assert_eq!(step(&bob, "connect_phone")["result"]["line"], 2, "{bob}");
        let gone = json!({ "kind": "deprovision", "user": bob["user_id"], "delete_phone": true });
        assert_eq!(finished(&script, &runner, &gone).await["status"], "completed");
        same(&before, &residue(&app).await, "Bob came and went");
        // On a line that is Ann's he cannot be, and is not.
        second["line"] = 1.into();
        let run = finished(&script, &runner, &second).await;
        assert_eq!(run["status"], "rolled_back");
        assert!(run["reason"].as_str().unwrap().contains("line 1 of"), "{run}");
        same(&before, &residue(&app).await, "Bob was not let in");
        // Kept addresses stay reserved.
        let gone = json!({ "kind": "deprovision", "user": ann["user_id"], "keep_addresses": true });
        assert_eq!(finished(&script, &runner, &gone).await["status"], "completed");
        let kept = app.texts("SELECT status FROM address WHERE holder_id = '' OR holder_id IS NULL").await;
        assert_eq!(kept, ["reserved", "reserved"]);
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 1, "only the line is gone");
    }

    /// The address a phone has is enough for whoever comes to it, says what machine has it, and
    /// stays as it was when they go or are undone.
    async fn the_address_a_phone_has_is_enough(app: TestApp) {
        office(&app).await;
        let script = app.script(Role::Operator).await;
        let runner = runner(&app);
        let mut asked = newcomer();
        asked.as_object_mut().unwrap().remove("ipv6");
        let phone = json!({ "mac": asked["mac"], "model": "t46s", "vendor": "yealink", "subnet": "10.20.5.0/24", "static_ip": "next" });
        let added = script.send("POST", "/api/v1/phones", &phone).await;
        assert_eq!(added.status, 201, "{added:?}");
        let has = script.get(&format!("/api/v1/phones/{}", asked["mac"].as_str().unwrap())).await;
        assert_eq!(has.json()["static_ip"], "10.20.5.10", "{has:?}");
        asked.as_object_mut().unwrap().remove("model");
        let before = residue(&app).await;
        break_at(&app, "activate", "done").await;
        assert_eq!(finished(&script, &runner, &asked).await["status"], "rolled_back");
        mend(&app).await;
        same(&before, &residue(&app).await, "it was undone");
        let run = finished(&script, &runner, &asked).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(step(&run, "allocate_ipv4")["result"]["address"], "10.20.5.10", "{run}");
        let lives = "SELECT state FROM assignment WHERE holder_kind = 'phone'";
        assert_eq!(app.texts(lives).await, ["allocated"], "only a REGISTER makes it active");
        // Given by a workflow, an address says as much of the machine.
        let other = newcomer();
        assert_eq!(finished(&script, &runner, &other).await["status"], "completed");
        let machines = "SELECT platform || ' ' || manufacturer FROM address WHERE holder_kind = 'phone'";
        assert_eq!(app.texts(machines).await, ["SIP-T46S Yealink"; 3]);
    }

    async fn what_is_wrong_is_said_by_field_and_nothing_is_begun(app: TestApp) {
        let script = app.script(Role::Operator).await;
        let before = app.contents().await;
        for (asked, fields) in [
            (json!({}), &["kind"][..]),
            (json!({ "kind": "provision" }), &["name", "email"]),
            (json!({ "kind": "provision", "name": "A", "email": "a@example.com", "mac": "001565000001" }), &["model"]),
            (json!({ "kind": "provision", "name": "A", "email": "a@example.com", "ipv4": "x", "optional": ["create_user"] }), &["ipv4", "optional"]),
            (json!({ "kind": "suspend", "user": "1999" }), &["user"]),
            (json!({ "kind": "suspend", "user": "nobody" }), &["user"]),
        ] {
            let answer = script.send("POST", WORKFLOWS, &asked).await;
            assert_eq!(answer.status, 422, "{asked}: {answer:?}");
            for field in fields {
                assert!(answer.json()["errors"][field].is_string(), "{field}: {answer:?}");
            }
        }
        assert_eq!(script.send("POST", WORKFLOWS, &json!({ "kind": "suspend", "who": 1 })).await.status, 422);
        assert_eq!(app.contents().await, before);
        // Another tenant does not apply.
        app.tenant("acme", "other").await;
        let token = app.token_of("other", Role::Admin, None).await;
        let asked = json!({ "kind": "provision", "name": "A", "email": "a@example.com", "apply": true });
        let answer = app.ask("POST", WORKFLOWS).token(&token).json(&asked).send().await;
        assert_eq!((answer.status, answer.json()["errors"]["apply"].as_str()), (422, Some("you may not apply; leave it out")));
        // A request that is repeated is one.
        let asked = json!({ "kind": "provision", "name": "A", "email": "a@example.com" });
        let send = async || script.ask("POST", WORKFLOWS).header("idempotency-key", "once").json(&asked).send().await;
        let (one, two) = (send().await, send().await);
        assert_eq!((one.status, two.status, &one.text), (202, 202, &two.text));
        let list = script.get(&format!("{WORKFLOWS}?status=pending&kind=provision")).await.json();
        assert_eq!((&list["total"], &list["workflows"][0]["label"]), (&json!(1), &json!("A")));
        assert_eq!(script.get(&format!("{WORKFLOWS}?status=lost")).await.status, 422);
        let id = one.json()["id"].as_str().unwrap().to_owned();
        for (method, path) in [("GET", format!("{WORKFLOWS}/{id}")), ("POST", format!("{WORKFLOWS}/{id}/cancel"))] {
            assert_eq!(app.ask(method, &path).token(&token).send().await.status, 404);
        }
        assert_eq!(script.send("POST", &format!("{WORKFLOWS}/{id}/cancel"), &json!({})).await.status, 202);
        let run = settle(&script, &runner(&app), &id).await;
        assert_eq!((&run["status"], steps(&run)), (&json!("rolled_back"), vec!["create_user pending 0".to_owned()]));
    }
}
