//! Workflows with a real Asterisk: who is provisioned registers, and their address is in use; what
//! Asterisk does not take is undone; and what was told Asterisk is told again when it is undone.

use std::time::Duration;

use patchbay::db::{Db, Server};
use patchbay::id::WorkflowId;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};
use patchbay::registrations::{Feed, Tempo};
use patchbay::users;
use patchbay::workflows::{self, Asked, Run, Runner, Status, Step, StepName, StepStatus};
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::office::{Office, on_both_databases};
use crate::support::sip::{Algorithm, Phone};

const MAC: &str = "80:5e:c0:12:34:ab";
const YEALINK: &str = "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab";
const ADDRESS: &str = "127.0.5.20";
const PATIENCE: Duration = Duration::from_mins(1);

/// Patchbay at work: it does workflows and listens to Asterisk.
struct AtWork {
    leave: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl AtWork {
    fn at(office: &Office, runner: Runner) -> Self {
        let tempo = Tempo { quiet: Duration::from_millis(50), ..Tempo::default() };
        let state = office.session.state.clone();
        let feed = Feed::new(state, office.applier.access().clone()).in_tempo(tempo);
        let (leave, leaving) = watch::channel(false);
        let tasks =
            vec![tokio::spawn(feed.run(leaving.clone())), tokio::spawn(runner.run(leaving))];
        Self { leave, tasks }
    }

    async fn stop(self) {
        self.leave.send(true).unwrap();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn asked(kind: &str) -> Asked {
    Asked { kind: kind.to_owned(), apply: true, ..Asked::default() }
}

fn newcomer() -> Asked {
    Asked {
        name: "Ann".to_owned(),
        email: "ann@example.com".to_owned(),
        mac: MAC.to_owned(),
        model: "yealink/t46u".to_owned(),
        ipv4: ADDRESS.to_owned(),
        ..asked("provision")
    }
}

impl Office {
    fn runner(&self) -> Runner {
        Runner::new(self.session.state.clone(), self.applier.clone()).unwrap()
    }

    /// A subnet whose addresses lead back to this machine.
    async fn subnet(&self) {
        let mut change = self.change().await;
        let mut space = Space::open(&mut change, self.session.state.vault.entropy()).await.unwrap();
        let mut spec = Spec::new("Voice".parse().unwrap(), "127.0.5.0/24".parse().unwrap());
        spec.statics = Pools::These(vec!["127.0.5.20-127.0.5.40".parse().unwrap()]);
        subnets::create(&mut space, &spec, false, false).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
    }

    async fn begin(&self, asked: &Asked) -> WorkflowId {
        let mut change = self.change().await;
        let vault = &self.session.state.vault;
        let run = workflows::begin(&mut change, vault, asked, true).await.unwrap();
        change.commit().await.unwrap();
        run.id
    }

    /// Waits until a workflow does not go on by itself any more.
    async fn ended(&self, id: WorkflowId) -> (Run, Vec<Step>) {
        let look = async || {
            let mut tx = self.session.state.read().await.unwrap();
            workflows::get(&mut tx, self.actor.tenant, id).await.unwrap().unwrap()
        };
        let waiting = async {
            loop {
                let found = look().await;
                if !found.0.status.is_under_way() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if let Ok(found) = timeout(PATIENCE, waiting).await {
            return found;
        }
        panic!("{:#?}", look().await)
    }

    async fn sql(&self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match &self.session.state.db {
            Db::Sqlite { write, .. } => {
                sqlx::query(text).execute(write.pool()).await.unwrap();
            }
            Db::Postgres(Server { pool, .. }) => {
                sqlx::query(text).execute(pool).await.unwrap();
            }
        }
    }

    /// The database refuses to note that a step is done.
    async fn break_at(&self, name: StepName) {
        let when = format!("NEW.name = '{name}' AND NEW.status = 'done'");
        if matches!(self.session.state.db, Db::Sqlite { .. }) {
            self.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step WHEN {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")).await;
            return;
        }
        self.sql("CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$").await;
        self.sql(&format!("CREATE TRIGGER broken BEFORE UPDATE ON workflow_step FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION broken()")).await;
    }

    async fn states(&self) -> Vec<String> {
        self.texts("SELECT state FROM assignment ORDER BY created_at, id").await
    }

    async fn texts(&self, text: &'static str) -> Vec<String> {
        match &self.session.state.db {
            Db::Sqlite { write, .. } => {
                sqlx::query_scalar(text).fetch_all(write.pool()).await.unwrap()
            }
            Db::Postgres(Server { pool, .. }) => {
                sqlx::query_scalar(text).fetch_all(pool).await.unwrap()
            }
        }
    }

    /// Undoes a run once more, as if nobody had noted that it was undone.
    async fn undone_again(&self, run: &Run) -> (Run, Vec<Step>) {
        let id = run.id;
        self.sql(&format!(
            "UPDATE workflow_step SET status = 'done' WHERE run_id = '{id}' AND status = 'undone'"
        ))
        .await;
        self.sql(&format!(
            "UPDATE workflow_run SET status = 'rolling_back', live = TRUE WHERE id = '{id}'"
        ))
        .await;
        self.ended(id).await
    }

    async fn until_states(&self, right: &[&str]) {
        let waiting = async {
            while self.states().await != right {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "{:?}", self.states().await);
    }

    /// The phone of whoever is at `number`, at its own address.
    async fn device(&self, run: &Run) -> Phone {
        let id = run.subject.strip_prefix("user/").unwrap().parse().unwrap();
        let mut change = self.change().await;
        let vault = &self.session.state.vault;
        let (user, secret) = users::reveal(&mut change, vault, id).await.unwrap();
        change.commit().await.unwrap();
        let (number, port) = (user.number.to_string(), self.asterisk.sip_port);
        let phone = Phone::at(ADDRESS, port, &number, secret.expose(), Algorithm::Sha256).await;
        phone.calling_itself(YEALINK)
    }
}

on_both_databases! {
    async fn who_is_provisioned_registers_is_in_use_and_leaves(office: Office) {
        office.subnet().await;
        let at_work = AtWork::at(&office, office.runner());
        let (run, steps) = office.ended(office.begin(&newcomer()).await).await;
        assert_eq!(run.status, Status::Completed, "{run:?} {steps:#?}");
        assert!(steps.iter().any(|step| step.name == StepName::Apply && step.saved.contains("run")));
        assert_eq!(office.states().await, ["allocated"], "the phone has not registered yet");
        let mut phone = office.device(&run).await;
        assert_eq!(phone.register().await, 200);
        office.until_states(&["active"]).await;
        assert_eq!(phone.unregister().await, 200);
        // Suspended, they do not register; resumed, they do.
        let user = run.subject.strip_prefix("user/").unwrap().to_owned();
        let suspend = Asked { user: user.clone(), reason: "unpaid".to_owned(), ..asked("suspend") };
        let (suspended, _) = office.ended(office.begin(&suspend).await).await;
        assert_eq!(suspended.status, Status::Completed, "{suspended:?}");
        assert_eq!(office.states().await, ["suspended"]);
        assert_ne!(phone.register().await, 200);
        let resume = Asked { user: user.clone(), ..asked("resume") };
        assert_eq!(office.ended(office.begin(&resume).await).await.0.status, Status::Completed);
        assert_eq!(phone.register().await, 200);
        assert_eq!(phone.unregister().await, 200);
        let leave = Asked { user, delete_phone: true, ..asked("deprovision") };
        let (left, steps) = office.ended(office.begin(&leave).await).await;
        assert_eq!(left.status, Status::Completed, "{left:?} {steps:#?}");
        assert_eq!(office.states().await, ["revoked"]);
        assert_ne!(phone.register().await, 200);
        at_work.stop().await;
    }

    async fn what_asterisk_does_not_take_is_undone(office: Office) {
        office.subnet().await;
        assert!(office.apply().await.state.is_good());
        let before = office.held().await;
        let crooked = office.applier.clone()
            .tampering(|file| {
            format!("{}\n[7777](patchbay-aor)\nmax_contacts = many\n", file.text).into()
        });
        let runner = Runner::new(office.session.state.clone(), crooked).unwrap();
        let at_work = AtWork::at(&office, runner);
        let (run, steps) = office.ended(office.begin(&newcomer()).await).await;
        assert_eq!(run.status, Status::RolledBack, "{run:?} {steps:#?}");
        assert!(run.reason.starts_with("Apply to Asterisk: Apply"), "{}", run.reason);
        assert_eq!(office.held().await, before);
        assert_eq!(office.states().await, ["revoked"]);
        at_work.stop().await;
    }

    /// Whoever begins an Apply and dies before it is noted leaves it to the next, who has it told once
    /// more: that changes nothing.
    async fn who_dies_having_told_asterisk_has_it_told_once_more(office: Office) {
        office.subnet().await;
        let id = office.begin(&newcomer()).await;
        let dead = office.runner();
        let told = "SELECT CAST(count(*) AS TEXT) FROM apply_run";
        let before: i64 = office.texts(told).await[0].parse().unwrap();
        while office.texts(told).await[0].parse::<i64>().unwrap() == before {
            assert!(dead.move_once().await.unwrap());
        }
        drop(dead);
        office.sql("UPDATE workflow_step SET saved = '' WHERE name = 'apply'").await;
        office.sql("UPDATE workflow_run SET lease_until = 0, next_at = 0").await;
        let at_work = AtWork::at(&office, office.runner());
        let (run, steps) = office.ended(id).await;
        assert_eq!(run.status, Status::Completed, "{run:?} {steps:#?}");
        assert_eq!(office.texts(told).await, [(before + 2).to_string()]);
        let states = office.texts("SELECT state FROM apply_run ORDER BY id").await;
        assert!(states.iter().all(|state| state == "verified" || state == "unchanged"), "{states:?}");
        assert_eq!(office.device(&run).await.register().await, 200);
        at_work.stop().await;
    }

    /// The same of everything that is done for somebody who is there, each undone twice.
    async fn whatever_asterisk_does_not_take_leaves_everything_as_it_was(office: Office) {
        office.subnet().await;
        let crooked = office.applier.clone()
            .tampering(|file| {
            format!("{}\n[7777](patchbay-aor)\nmax_contacts = many\n", file.text).into()
        });
        let crooked = Runner::new(office.session.state.clone(), crooked).unwrap();
        let at_work = AtWork::at(&office, office.runner());
        let now = Asked { activate: "now".to_owned(), ..newcomer() };
        let (run, _) = office.ended(office.begin(&now).await).await;
        assert_eq!(run.status, Status::Completed, "{run:?}");
        at_work.stop().await;
        let user = run.subject.strip_prefix("user/").unwrap().to_owned();
        for (kind, state) in [("suspend", "active"), ("resume", "suspended"), ("deprovision", "active")] {
            let (before, wished) = (office.held().await, Asked { user: user.clone(), ..asked(kind) });
            assert_eq!(office.states().await, [state], "{kind}");
            let at_work = AtWork::at(&office, crooked.clone());
            let (run, steps) = office.ended(office.begin(&wished).await).await;
            assert_eq!(run.status, Status::RolledBack, "{kind}: {run:?} {steps:#?}");
            let told = steps.iter().find(|step| step.name == StepName::Apply).unwrap();
            assert_eq!(told.status, StepStatus::Failed, "{kind}: {told:?}");
            for twice in [false, true] {
                assert_eq!(office.held().await, before, "{kind}, twice: {twice}");
                assert_eq!(office.states().await, [state], "{kind}, twice: {twice}");
                let (run, _) = office.undone_again(&run).await;
                assert_eq!(run.status, Status::RolledBack, "{kind}: {run:?}");
            }
            at_work.stop().await;
            // Tried with an Asterisk that takes it, it is done.
            if kind == "deprovision" {
                continue;
            }
            let at_work = AtWork::at(&office, office.runner());
            let (run, _) = office.ended(office.begin(&wished).await).await;
            assert_eq!(run.status, Status::Completed, "{kind}: {run:?}");
            at_work.stop().await;
        }
    }

    /// Asterisk has forgotten them already when the last step fails: it is told of them again.
    async fn what_was_told_is_told_again_when_it_is_undone(office: Office) {
        office.subnet().await;
        let at_work = AtWork::at(&office, office.runner());
        let (run, _) = office.ended(office.begin(&newcomer()).await).await;
        let mut phone = office.device(&run).await;
        assert_eq!(phone.register().await, 200);
        office.until_states(&["active"]).await;
        assert_eq!(phone.unregister().await, 200);
        let before = office.held().await;
        office.break_at(StepName::RevokeAndDelete).await;
        let user = run.subject.strip_prefix("user/").unwrap().to_owned();
        let leave = Asked { user, ..asked("deprovision") };
        let (run, steps) = office.ended(office.begin(&leave).await).await;
        assert_eq!(run.status, Status::RolledBack, "{run:?} {steps:#?}");
        let applied = steps.iter().find(|step| step.name == StepName::Apply).unwrap();
        assert!(applied.saved.contains("\"back\":"), "{applied:?}");
        assert_eq!(office.held().await, before);
        assert_eq!(office.states().await, ["active"]);
        assert_eq!(phone.register().await, 200, "they are as they were");
        assert_eq!(phone.unregister().await, 200);
        // Undone once more, Asterisk is as it was, and is not even told.
        let told = office.texts("SELECT CAST(count(*) AS TEXT) FROM apply_run").await;
        let (run, steps) = office.undone_again(&run).await;
        assert_eq!(run.status, Status::RolledBack, "{run:?} {steps:#?}");
        assert_eq!(office.texts("SELECT CAST(count(*) AS TEXT) FROM apply_run").await, told);
        assert_eq!((office.held().await, office.states().await), (before, vec!["active".to_owned()]));
        at_work.stop().await;
    }
}
