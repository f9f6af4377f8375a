//! Workflows: all or nothing, whatever fails and whenever a process dies.

use std::path::Path;

use patchbay::apply::Applier;
use patchbay::auth::Role;
use patchbay::config::Config;
use patchbay::db::{Cell, TABLES};
use patchbay::ipam::addresses::{Holder, HolderKind};
use patchbay::lifecycle::{self, State};
use patchbay::workflows::Runner;
use serde_json::{Value, json};

use crate::lifecycle::{FAMILIES, bring, office, put_of, state_of};
use crate::support::app::{Script, TestApp, both_databases, next};

pub const WORKFLOWS: &str = "/api/v1/workflows";

/// Someone who does workflows, beside a directory in which Asterisk has never been.
pub fn runner(app: &TestApp) -> Runner {
    let directory = app.dir().join("asterisk").display().to_string();
    let settings = |name: &str| (name == "PATCHBAY_ASTERISK_CONFIG_DIR").then(|| directory.clone());
    let config = Config::load(Some(Path::new("/dev/null")), settings).unwrap();
    Runner::new(app.state.clone(), Applier::new(&config, app.state.clone())).unwrap()
}

/// Somebody with everything, on a phone that nobody knows yet. Nobody else is called so.
pub fn newcomer() -> Value {
    let number = next();
    json!({
        "kind": "provision", "name": format!("Ann {number}"), "email": format!("ann{number}@example.com"),
        "mac": format!("001565{number:06x}"), "model": "yealink/t46s", "ipv4": "next", "ipv6": "next", "prefix": "next",
        "activate": "now",
    })
}

pub async fn begin(script: &Script<'_>, asked: &Value) -> String {
    let begun = script.send("POST", WORKFLOWS, asked).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    begun.json()["id"].as_str().unwrap().to_owned()
}

pub async fn look(script: &Script<'_>, id: &str) -> Value {
    script.get(&format!("{WORKFLOWS}/{id}")).await.json()
}

pub fn step<'v>(run: &'v Value, name: &str) -> &'v Value {
    run["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
}

/// `name status attempts` of every step.
pub fn steps(run: &Value) -> Vec<String> {
    let all = run["steps"].as_array().unwrap().iter();
    all.map(|step| {
        format!("{} {} {}", step["name"], step["status"], step["attempts"]).replace('"', "")
    })
    .collect()
}

/// Until it does not go on by itself any more, with time passing between tries.
pub async fn settle(script: &Script<'_>, runner: &Runner, id: &str) -> Value {
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

pub async fn finished(script: &Script<'_>, runner: &Runner, asked: &Value) -> Value {
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
pub async fn residue(app: &TestApp) -> Vec<String> {
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
pub fn same(before: &[String], after: &[String], what: &str) {
    let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
    let new: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(gone.is_empty() && new.is_empty(), "{what}: gone {gone:#?} new {new:#?}");
}

/// From now on the database refuses to note that a step stands so: whatever it did is not done.
pub async fn break_at(app: &TestApp, name: &str, status: &str) {
    let when = format!("NEW.name = '{name}' AND NEW.status = '{status}'");
    if app.is_sqlite() {
        app.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step WHEN {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")).await;
        return;
    }
    app.sql("CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$").await;
    app.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION broken()")).await;
}

pub async fn mend(app: &TestApp) {
    let drop = if app.is_sqlite() {
        "DROP TRIGGER broken"
    } else {
        "DROP TRIGGER broken ON workflow_step"
    };
    app.sql(drop).await;
}

/// Every change of an assignment's state in the log is a step the machine has.
pub async fn every_step_is_one_of_the_machines(app: &TestApp) {
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

/// What there is to do, each for somebody for whom it can be done, with its steps.
pub const KINDS: [(&str, &[&str]); 4] = [
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

pub async fn ready(script: &Script<'_>, runner: &Runner, kind: &str) -> Value {
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
