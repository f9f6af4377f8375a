//! `patchbay ipam populate`.

use std::process::Output;

use patchbay::auth::Role;
use patchbay::ipam::space::Space;
use patchbay::ipam::{addresses, subnets};
use serde_json::json;

use crate::support::app::{TestApp, both_databases};
use crate::support::process::Patchbay;

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Subnets whose static pools have 654 addresses between them.
const POOLS: [(&str, &str, u8); 3] = [
    ("10.1.0.0/23", "10.1.0.1-10.1.1.144", 1),
    ("10.2.0.0/24", "10.2.0.1-200", 2),
    ("10.3.0.0/24", "10.3.0.10-63", 3),
];

/// Hosts as the first run knew them: 72 with an address in a static pool, 33 in DHCP's space; two
/// thirds of them older than the subnets.
async fn fill_populate(app: &TestApp) {
    let script = app.script(Role::Admin).await;
    let statics = (1..=72).map(|n| format!("10.1.0.{n}"));
    let dhcp = (201..=233).map(|n| format!("10.2.0.{n}"));
    let all: Vec<String> = statics.chain(dhcp).collect();
    let add = async |addresses: &[String]| {
        for address in addresses {
            let host =
                serde_json::json!({ "hostname": format!("h-{address}"), "primary_ip": address });
            assert_eq!(script.send("POST", "/api/v1/hosts", &host).await.status, 201);
        }
    };
    add(&all[..70]).await;
    for (cidr, pool, n) in POOLS {
        let mut change = app.state.change(&crate::support::app::tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        let mut spec =
            subnets::Spec::new(format!("Net {n}").parse().unwrap(), cidr.parse().unwrap());
        spec.statics = pool.parse().unwrap();
        subnets::create(&mut space, &spec, true, false).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
    }
    add(&all[70..]).await;
}

const REST: &str = "Total: 687 records (582 available, 105 allocated, 0 reserved)\n";

fn populate(app: &TestApp, more: &[&str]) -> (Option<i32>, String, String) {
    let arguments: Vec<&str> = ["ipam", "populate"].iter().chain(more).copied().collect();
    // Without a terminal a yes on standard input is none.
    said(&Patchbay::run(app, &arguments, "y\n"))
}

both_databases! {
    async fn populate_prints_what_the_first_one_did_and_does_nothing_twice(app: TestApp) {
        fill_populate(&app).await;
        // Hosts that are older than the subnets have addresses of no pool yet.
        assert_eq!(app.number("SELECT count(*) FROM address WHERE kind = 'static'").await, 2);
        let (code, out, err) = populate(&app, &[]);
        assert_eq!((code, out), (Some(0), format!(
            "Created 654 static records\nUpdated 72 records from hosts\nCreated 33 DHCP records\n{REST}"
        )), "{err}");
        assert_eq!(app.number("SELECT count(*) FROM address WHERE kind = 'static'").await, 72);
        let before = (app.contents().await, app.texts("SELECT holder_name || version FROM address ORDER BY 1").await);
        let again = format!(
            "Created 0 static records\nUpdated 72 records from hosts\nCreated 0 DHCP records\n{REST}"
        );
        assert_eq!(populate(&app, &[]).1, again);
        let after = (app.contents().await, app.texts("SELECT holder_name || version FROM address ORDER BY 1").await);
        assert_eq!(after, before, "the second run wrote nothing");

        // Pages and calls have the same figures.
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/ipam/addresses").await;
        for figure in ["<b>687</b> in all", "<b>582</b> <span class=\"st available\">", "<b>105</b> <span class=\"st allocated\">", "<b>0</b> <span class=\"st reserved\">"] {
            page.shows(figure);
        }
        let script = app.script(Role::Admin).await;
        let stats = script.get("/api/v1/addresses").await.json()["stats"].clone();
        assert_eq!((&stats["available"], &stats["allocated"], &stats["reserved"]), (&json!(582), &json!(105), &json!(0)), "{stats}");
        let list = async |query: &str| script.get(&format!("/api/v1/addresses?{query}")).await.json()["total"].clone();
        assert_eq!((list("status=available").await, list("status=allocated").await, list("status=reserved").await), (json!(582), json!(105), json!(0)));
        assert_eq!((list("status=allocated&type=static").await, list("status=allocated&type=dhcp").await), (json!(72), json!(33)));
        let report = script.get("/api/v1/reports/utilisation").await.json();
        let free: i64 = report["subnets"].as_array().unwrap().iter().map(|subnet| subnet["usage"]["available"].as_i64().unwrap()).sum();
        assert_eq!(free, 582, "{report}");

        // Only what is new is created.
        let host = json!({ "hostname": "late", "primary_ip": "10.3.0.200", "bmc_ip": "10.3.0.10" });
        script.send("POST", "/api/v1/hosts", &host).await;
        assert_eq!(populate(&app, &[]).1, "Created 0 static records\nUpdated 73 records from hosts\nCreated 1 DHCP records\nTotal: 688 records (581 available, 107 allocated, 0 reserved)\n");
    }

    async fn of_a_populate_that_fails_in_the_middle_nothing_is_left(app: TestApp) {
        fill_populate(&app).await;
        let rows = "SELECT holder_name || kind || status || version FROM address ORDER BY address";
        let before = (app.contents().await, app.texts(rows).await);
        // The last but two of those it changes cannot be written.
        let when = "NEW.holder_name = 'h-10.1.0.70'";
        for how in ["INSERT", "UPDATE"] {
            if app.is_sqlite() {
                app.sql(&format!("CREATE TRIGGER broken_{how} BEFORE {how} ON address WHEN {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")).await;
            } else {
                app.sql("CREATE OR REPLACE FUNCTION broken() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$ LANGUAGE plpgsql").await;
                app.sql(&format!("CREATE TRIGGER broken_{how} BEFORE {how} ON address FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION broken()")).await;
            }
        }
        for how in [&[][..], &["--clear", "--yes", "--reservations"]] {
            let (code, out, err) = populate(&app, how);
            assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
            assert!(err.contains("broken"), "{err}");
            assert_eq!((app.contents().await, app.texts(rows).await), before);
        }
        let table = if app.is_sqlite() { "" } else { " ON address" };
        for how in ["INSERT", "UPDATE"] {
            app.sql(&format!("DROP TRIGGER broken_{how}{table}")).await;
        }
        assert!(populate(&app, &[]).1.ends_with(REST));
    }

    async fn populate_clears_when_told_and_keeps_reservations_unless_told(app: TestApp) {
        fill_populate(&app).await;
        assert_eq!(populate(&app, &[]).0, Some(0));
        let mut change = app.state.change(&crate::support::app::tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        let me = addresses::Reserver { name: "tester".to_owned(), anybodys: true };
        let keep = addresses::Purpose::Reserve { note: "kept".parse().unwrap(), until: None };
        let holder = addresses::Holder { kind: addresses::HolderKind::External, id: "x".to_owned(), name: "x".to_owned() };
        let give = addresses::Purpose::Allocate(addresses::Tenure::of(holder));
        for (address, purpose) in [("10.3.0.20", &keep), ("10.3.0.21", &give)] {
            addresses::assign(&mut space, address.parse().unwrap(), purpose, &me).await.unwrap();
        }
        addresses::quarantine(&mut space, "10.1.0.1".parse().unwrap(), &"odd".parse().unwrap(), None).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();

        let rows = "SELECT holder_name || status || version || created_at FROM address ORDER BY 1";
        let before = (app.contents().await, app.texts(rows).await);
        let (code, out, err) = populate(&app, &["--clear"]);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains("--clear removes records; add --yes if that is meant"), "{err}");
        assert_eq!((app.contents().await, app.texts(rows).await), before);
        assert_eq!(populate(&app, &["--reservations"]).0, Some(2));

        let (code, out, err) = populate(&app, &["--clear", "--yes"]);
        assert_eq!((code, out.as_str()), (Some(0),
            "Cleared 105 records\nCreated 652 static records\nUpdated 71 records from hosts\nCreated 33 DHCP records\n\
             Total: 687 records (581 available, 104 allocated, 1 reserved, 1 quarantine)\nHosts with a conflict: 1\n"), "{err}");
        let (code, out, _) = populate(&app, &["--clear", "--yes", "--reservations"]);
        assert_eq!((code, out.as_str()), (Some(0),
            "Cleared 106 records\nCreated 654 static records\nUpdated 72 records from hosts\nCreated 33 DHCP records\n\
             Total: 687 records (582 available, 105 allocated, 0 reserved)\n"));
        assert_eq!(app.number("SELECT count(*) FROM address_claim").await, 0);

        let tenant = app.tenant("acme", "other").await;
        assert_ne!(tenant, patchbay::id::TenantId::DEFAULT);
        assert_eq!(populate(&app, &["--tenant", "acme"]).1, "Created 0 static records\nUpdated 0 records from hosts\nCreated 0 DHCP records\nTotal: 0 records (0 available, 0 allocated, 0 reserved)\n");
        let (code, _, err) = populate(&app, &["--tenant", "nobody"]);
        assert!(code == Some(1) && err.contains("there is no tenant \"nobody\""), "{err}");
    }
}
