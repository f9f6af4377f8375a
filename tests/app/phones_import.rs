//! Phones from files.

use patchbay::auth::Role;
use patchbay::id::TenantId;

use crate::phones::{at, get, subnet};
use crate::support::app::{Browser, both_databases};
use crate::support::process::Patchbay;

async fn import(browser: &Browser<'_>, text: &str, confirmed: bool) -> crate::support::app::Answer {
    let confirmed = if confirmed { "1" } else { "" };
    browser.post("/phones/import", &[("text", text), ("confirmed", confirmed)]).await
}

both_databases! {
    async fn a_file_is_checked_and_then_taken_whole(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for name in ["Ann", "Bob", "Cid"] {
            admin.add(name, &format!("{name}@example.com"), "").await;
        }
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let file = "mac;vendor;model;extensions;subnet;static_ip;label;colour\n\
            00:15:65:00:00:01;;t46s;1000;Voice;next;Desk;red\n\
            000b.8200.0002;grandstream;ht802;1001 1002;;10.0.0.15;;blue\n";
        let page = import(&admin, file, false).await;
        assert_eq!(page.status, 200, "{page:?}");
        page.shows("2</b> phones would be added");
        page.shows("Columns not used: colour.");
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        import(&admin, file, true).await.shows("2</b> phones added");
        assert_eq!(get(&app, "001565000001").await.unwrap().address, Some(at("10.0.0.10")));
        let ata = get(&app, "000b82000002").await.unwrap();
        assert_eq!((ata.lines.len(), ata.address), (2, Some(at("10.0.0.15"))));
        // Once more: nothing differs.
        import(&admin, file, true).await.shows("Nothing in the file differs from what is here.");

        // What a file does not say stays as it is.
        let page = import(&admin, "mac,label\n001565000001,Lift\n000b82000002,\n", true).await;
        page.shows("<b>1</b> phone changed");
        let desk = get(&app, "001565000001").await.unwrap();
        assert_eq!((desk.label.as_str(), desk.lines.len(), desk.address), ("Lift", 1, Some(at("10.0.0.10"))));

        let exported = admin.get("/phones.csv").await;
        import(&admin, &exported.text, true).await.shows("Nothing in the file differs from what is here.");
        import(&admin, "mac,extensions,static_ip\n000b82000002,none 1002,none\n", true).await.shows("<b>1</b> phone changed");
        let ata = get(&app, "000b82000002").await.unwrap();
        assert_eq!((ata.lines.len(), ata.lines[0].line, ata.address), (1, 2, None));
    }

    async fn one_bad_row_stops_all_and_every_cell_is_named(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let file = "mac,vendor,model,extensions,static_ip,profile,subnet\n\
            001565000001,yealink,t46s,1000,10.0.0.10,,\n\
            nonsense,yealink,t46s,,,,\n\
            001565000002,acme,t46s,,,,\n\
            001565000003,yealink,rocket,,,,\n\
            001565000004,yealink,t46s,1000,10.0.0.10,,\n\
            001565000005,yealink,t46s,1999,10.0.0.300,none such,nowhere\n\
            001565000006,yealink,t46s,1999,,none such,nowhere\n\
            001565000007,,,,,,\n\
            020000000008,,t46s,,,,\n\
            001565000001,yealink,t46s,,,,\n";
        let page = import(&admin, file, true).await;
        assert_eq!(page.status, 422);
        for text in [
            "write a MAC address such as", "choose yealink, polycom", "Yealink has no model", "1000 rings 1000 Ann",
            "10.0.0.10 is allocated: phone 1000 Ann", "no user has the number or name 1999", "no profile is called none such",
            "no subnet is called nowhere", "a new phone needs a vendor and a model", "its MAC address does not tell", "line 2 is about 00:15:65:00:00:01 already",
        ] {
            page.shows(text);
        }
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM address").await, 0);
    }

    async fn the_command_line_takes_and_gives_the_same_files(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann", "ann@example.com", "").await;
        let path = app.dir().join("phones.csv");
        std::fs::write(&path, "mac,model,extensions\n001565000001,t46s,ann\n").unwrap();
        let file = path.display().to_string();
        let said = |arguments: &[&str]| {
            let output = Patchbay::run(&app, arguments, "");
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(said(&["import", "phones", &file, "--dry-run"]), (Some(0), "1 phone would be added, 0 changed, 0 unchanged\n".to_owned()));
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        assert_eq!(said(&["import", "phones", &file]), (Some(0), "1 phone added, 0 changed, 0 unchanged\n".to_owned()));
        let (code, out) = said(&["export", "phones"]);
        assert_eq!(code, Some(0));
        assert!(out.contains("00:15:65:00:00:01,yealink,t46s,,,1000,"), "{out}");
        std::fs::write(&path, "mac,model\nx,t46s\n").unwrap();
        let (code, out) = said(&["import", "phones", &file]);
        assert_eq!(code, Some(1));
        assert!(out.starts_with("line 2, mac: write a MAC address") && out.contains("nothing was imported"), "{out}");
        let mut tx = app.state.read().await.unwrap();
        assert_eq!(patchbay::phones::totals(&mut tx, &app.state.counted, TenantId::DEFAULT).await.unwrap().all, 1);
    }
}
