//! Workflows for people who have a phone.

use patchbay::auth::Role;
use patchbay::ipam::addresses::{Holder, HolderKind};
use patchbay::lifecycle::{Family, State};
use serde_json::{Value, json};

use crate::lifecycle::{office, put_of};
use crate::support::app::both_databases;
use crate::workflows::{
    begin, break_at, every_step_is_one_of_the_machines, finished, look, mend, newcomer, residue,
    runner, same, settle, step,
};

both_databases! {
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
}
