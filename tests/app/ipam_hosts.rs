//! Hosts, and the addresses that follow them.

use std::cell::Cell;

use futures_util::future::join;
use patchbay::audit::Change;
use patchbay::auth::Role;
use patchbay::id::{HostId, SubnetId, TenantId};
use patchbay::ipam::addresses::{
    self, Holder, HolderKind, Purpose, Record, Refusal, Reserver, Stats, Tenure,
};
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::hosts::{self, Host, Spec};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools};
use patchbay::ipam::tally::{self, Scope};
use patchbay::net::{Address, Mac};
use patchbay::text::Line;
use serde_json::{Value, json};

use crate::support::app::{Browser, TestApp, both_databases, tester};

async fn changing(app: &TestApp) -> Change {
    app.state.change(&tester()).await.unwrap()
}

fn at(text: &str) -> Address {
    text.parse().unwrap()
}

fn me() -> Reserver {
    Reserver { name: "tester".to_owned(), anybodys: true }
}

/// A subnet with these static pools; DHCP has the rest.
async fn subnet(app: &TestApp, name: &str, cidr: &str, statics: &str) -> SubnetId {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let mut spec = subnets::Spec::new(name.parse().unwrap(), cidr.parse().unwrap());
    spec.statics = statics.parse::<Pools>().unwrap();
    let made = subnets::create(&mut space, &spec, true, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id
}

fn spec(name: &str, primary: &str, bmc: &str) -> Spec {
    let address = |text: &str| (!text.is_empty()).then(|| at(text));
    Spec {
        hostname: name.parse().unwrap(),
        primary_ip: address(primary),
        nic_mac: Some("00:15:65:aa:bb:cc".parse::<Mac>().unwrap()),
        bmc_ip: address(bmc),
        bmc_mac: None,
        device_type: "gateway".parse::<Line<100>>().unwrap(),
        manufacturer: "Acme".parse::<Line<100>>().unwrap(),
        description: Line::default(),
    }
}

async fn add(app: &TestApp, name: &str, primary: &str, bmc: &str) -> Host {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let saved = hosts::create(&mut space, &spec(name, primary, bmc)).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    saved.host
}

async fn save(app: &TestApp, id: HostId, spec: &Spec) -> Vec<String> {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let saved = hosts::update(&mut space, id, None, spec).await.unwrap();
    space.close().await.unwrap();
    change.commit_if_any().await.unwrap();
    saved.conflicts
}

async fn remove(app: &TestApp, id: HostId) {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    hosts::delete(&mut space, id).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

async fn record(app: &TestApp, address: &str) -> Option<Record> {
    let mut tx = app.state.read().await.unwrap();
    addresses::get(&mut tx, TenantId::DEFAULT, at(address)).await.unwrap()
}

/// `status kind holder`, with a `!` when two want it; `free` without a row.
async fn state(app: &TestApp, address: &str) -> String {
    let Some(record) = record(app, address).await else { return "free".to_owned() };
    let flag = if record.conflict { " !" } else { "" };
    format!("{} {} {}{flag}", record.status, record.kind, record.keeper())
}

async fn stats(app: &TestApp) -> Stats {
    let mut tx = app.state.read().await.unwrap();
    Stats::of(&tally::of(&mut tx, TenantId::DEFAULT, &Scope::tenant()).await.unwrap())
}

async fn stored(app: &TestApp, id: HostId) -> Host {
    let mut tx = app.state.read().await.unwrap();
    hosts::get(&mut tx, TenantId::DEFAULT, id).await.unwrap().unwrap()
}

async fn reserve(app: &TestApp, address: &str, note: &str) {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let purpose = Purpose::Reserve { note: note.parse().unwrap(), until: None };
    addresses::assign(&mut space, at(address), &purpose, &me()).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

async fn allocate(app: &TestApp, address: &str, holder: Holder) {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let purpose = Purpose::Allocate(Tenure::of(holder));
    addresses::assign(&mut space, at(address), &purpose, &me()).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

async fn release(app: &TestApp, address: &str) -> Result<(), Refusal> {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    addresses::release(&mut space, at(address), &me()).await?;
    space.close().await.unwrap();
    change.commit().await.unwrap();
    Ok(())
}

/// Decides the only conflict on an address.
async fn resolve(app: &TestApp, address: &str, give: bool) -> Result<(), Refusal> {
    let mut change = changing(app).await;
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let claims = addresses::claims_on(space.tx(), TenantId::DEFAULT, at(address)).await.unwrap();
    addresses::resolve(&mut space, at(address), claims[0].id, give).await?;
    space.close().await.unwrap();
    change.commit().await.unwrap();
    Ok(())
}

/// Adds a host on the page and returns the path of its own.
async fn post(browser: &Browser<'_>, fields: &[(&str, &str)]) -> String {
    let answer = browser.post("/ipam/hosts", fields).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.location().to_owned()
}

both_databases! {
    async fn saving_changing_and_deleting_a_host_moves_its_addresses(app: TestApp) {
        subnet(&app, "Lab", "192.168.0.0/16", "none").await;
        let lab = subnet(&app, "Lab 1", "192.168.1.0/24", "192.168.1.1-50").await;
        let before = stats(&app).await;
        let host = add(&app, "web-1", "192.168.1.10", "192.168.1.200").await;
        let primary = record(&app, "192.168.1.10").await.unwrap();
        assert_eq!((primary.status, primary.kind, primary.subnet), (Status::Allocated, Kind::Static, Some(lab)));
        assert_eq!(primary.hostname.to_string(), "web-1");
        assert_eq!(primary.mac.unwrap().to_string(), "00:15:65:aa:bb:cc");
        assert_eq!((primary.platform.as_str(), primary.manufacturer.as_str()), ("gateway", "Acme"));
        assert_eq!(state(&app, "192.168.1.200").await, "allocated dhcp bmc web-1 (management)");
        assert_eq!(stats(&app).await.allocated, before.allocated + 2);

        // Scenario 4: the address changes; the old one is free in the same transaction.
        save(&app, host.id, &spec("web-1", "192.168.1.11", "192.168.1.200")).await;
        assert_eq!(state(&app, "192.168.1.10").await, "free");
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static host web-1");
        assert_eq!(stats(&app).await.available, before.available - 1);

        // The two interfaces swap.
        save(&app, host.id, &spec("web-1", "192.168.1.200", "192.168.1.11")).await;
        assert_eq!(state(&app, "192.168.1.200").await, "allocated dhcp host web-1");
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static bmc web-1 (management)");

        save(&app, host.id, &spec("web-2", "192.168.1.200", "192.168.1.11")).await;
        assert_eq!(record(&app, "192.168.1.200").await.unwrap().hostname.to_string(), "web-2");
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static bmc web-2 (management)");

        remove(&app, host.id).await;
        assert_eq!(state(&app, "192.168.1.200").await, "free");
        assert_eq!(stats(&app).await, before);
    }

    async fn both_addresses_say_of_their_machine_what_the_host_says(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Operator).await;
        let shows = async |address: &str, machine: [&str; 4]| {
            let page = admin.get(&format!("/ipam/addresses/{address}")).await;
            for text in machine {
                page.shows(text);
            }
            let one = script.get(&format!("/api/v1/addresses/{address}")).await.json();
            assert_eq!(["hostname", "mac", "platform", "manufacturer"].map(|name| one[name].as_str().unwrap().to_owned()), machine, "{one}");
        };
        let (nic, bmc) = ("00:15:65:aa:bb:01", "00:15:65:aa:bb:02");
        let new = json!({ "hostname": "web-1", "primary_ip": "10.0.0.5", "nic_mac": nic, "bmc_ip": "10.0.0.6", "bmc_mac": "0015.65aa.bb02",
            "device_type": "Rack server", "manufacturer": "Acme & Sons" });
        let made = script.send("POST", "/api/v1/hosts", &new).await;
        assert_eq!((made.status, &made.json()["bmc_mac"], &made.json()["device_type"]), (201, &json!(bmc), &json!("Rack server")), "{made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        shows("10.0.0.5", ["web-1", nic, "Rack server", "Acme & Sons"]).await;
        shows("10.0.0.6", ["web-1", bmc, "Rack server", "Acme & Sons"]).await;
        let page = admin.get(&format!("/ipam/hosts/{id}")).await;
        page.shows(nic);
        page.shows(bmc);
        // By its MAC the management address is found.
        let found = script.get("/api/v1/addresses?q=0015.65aa.bb02").await.json();
        assert_eq!((&found["total"], &found["entries"][0]["address"]), (&json!(1), &json!("10.0.0.6")));
        // Changed on its page, both follow.
        let form = [("hostname", "web-1"), ("primary_ip", "10.0.0.5"), ("nic_mac", nic), ("bmc_ip", "10.0.0.6"), ("bmc_mac", "00-15-65-AA-BB-09"),
            ("device_type", "Blade"), ("manufacturer", "Acme & Sons"), ("version", "1")];
        assert_eq!(admin.post(&format!("/ipam/hosts/{id}"), &form).await.status, 303);
        shows("10.0.0.5", ["web-1", nic, "Blade", "Acme & Sons"]).await;
        shows("10.0.0.6", ["web-1", "00:15:65:aa:bb:09", "Blade", "Acme & Sons"]).await;
        // And from a file.
        let file = "hostname,bmc_ip,bmc_mac\nweb-1,10.0.0.7,00:15:65:aa:bb:0a\n";
        let ask = script.ask("POST", "/api/v1/hosts/import").header("content-type", "text/csv").body(file).send().await;
        assert_eq!((ask.status, &ask.json()["changed"]), (200, &json!(1)), "{ask:?}");
        shows("10.0.0.7", ["web-1", "00:15:65:aa:bb:0a", "Blade", "Acme & Sons"]).await;
        assert_eq!(state(&app, "10.0.0.6").await, "free");
        let export = script.get("/api/v1/hosts/export").await;
        assert!(export.text.contains("web-1,10.0.0.5,00:15:65:aa:bb:01,10.0.0.7,00:15:65:aa:bb:0a,Blade,Acme & Sons"), "{}", export.text);
    }

    async fn what_somebody_has_is_never_overwritten_and_the_oldest_claim_inherits(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        reserve(&app, "10.0.0.5", "for the printer").await;
        let first = add(&app, "a", "10.0.0.5", "").await;
        app.pass(10);
        let second = add(&app, "b", "10.0.0.5", "").await;
        let held = record(&app, "10.0.0.5").await.unwrap();
        assert_eq!((held.status, held.description.as_str(), held.conflict), (Status::Reserved, "for the printer", true));
        let standing = hosts::standing(&mut app.state.read().await.unwrap(), TenantId::DEFAULT, &second).await.unwrap();
        let interface = standing.of("primary_ip").unwrap();
        assert_eq!(interface.holder(), "tester (for the printer)");
        assert_eq!(interface.claimants(), ["host b", "host a"]);

        release(&app, "10.0.0.5").await.unwrap();
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static host a !");
        // A claimant that is renamed inherits under its new name.
        save(&app, second.id, &spec("b2", "10.0.0.5", "")).await;
        remove(&app, first.id).await;
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static host b2");
        assert_eq!(record(&app, "10.0.0.5").await.unwrap().hostname.to_string(), "b2");
        remove(&app, second.id).await;
        assert_eq!(stats(&app).await.conflicts, 0);
        assert_eq!(state(&app, "10.0.0.5").await, "free");
    }

    async fn a_host_that_loses_a_conflict_names_the_address_no_longer(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        for give in [true, false] {
            let holder = add(&app, "holder", "10.0.0.5", "").await;
            let claimant = add(&app, "claimant", "10.0.0.6", "10.0.0.5").await;
            assert_eq!(state(&app, "10.0.0.5").await, "allocated static host holder !");
            resolve(&app, "10.0.0.5", give).await.unwrap();
            let (held, claimed) = (stored(&app, holder.id).await, stored(&app, claimant.id).await);
            let (keeper, loser) = if give { ("bmc claimant (management)", &held) } else { ("host holder", &claimed) };
            assert_eq!(state(&app, "10.0.0.5").await, format!("allocated static {keeper}"));
            assert_eq!((held.spec.primary_ip.is_some(), claimed.spec.bmc_ip.is_some()), (!give, give));
            assert_eq!((claimed.spec.primary_ip, loser.version), (Some(at("10.0.0.6")), 2));
            let notes = app.texts("SELECT note FROM audit_event WHERE action = 'host.changed' ORDER BY seq DESC").await;
            assert_eq!(notes[0], format!("10.0.0.5 went to {keeper}"));
            remove(&app, holder.id).await;
            remove(&app, claimant.id).await;
            assert_eq!(state(&app, "10.0.0.5").await, "free");
        }
    }

    async fn what_a_host_names_is_not_released_past_it_nor_taken_out_of_quarantine(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        add(&app, "web", "10.0.0.5", "").await;
        let refused = release(&app, "10.0.0.5").await.unwrap_err();
        assert_eq!(refused.to_string(), "10.0.0.5 is allocated: a host names it; change or delete the host");
        let mut change = changing(&app).await;
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        addresses::quarantine(&mut space, at("10.0.0.5"), &"odd".parse().unwrap(), None).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let refused = resolve(&app, "10.0.0.5", true).await.unwrap_err();
        assert!(refused.to_string().contains("end the quarantine first"), "{refused}");
        release(&app, "10.0.0.5").await.unwrap();
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static host web");
    }

    async fn what_a_host_names_is_not_offered_to_be_released(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        add(&app, "web", "10.0.0.5", "").await;
        reserve(&app, "10.0.0.6", "printer").await;
        let admin = app.signed_in("root", Role::Admin).await;
        for (address, offered) in [("10.0.0.5", false), ("10.0.0.6", true)] {
            for page in [format!("/ipam/addresses/{address}"), format!("/ipam/addresses?q={address}")] {
                let page = admin.get(&page).await;
                assert_eq!(page.text.contains(&format!("/ipam/addresses/{address}/release")), offered, "{}", page.text);
            }
        }
        let page = admin.get("/ipam/addresses/10.0.0.5").await;
        page.shows("change or delete the host");
        // Chosen among others it is named beforehand, not when it is too late.
        let form = [("action", "release"), ("id", "10.0.0.5"), ("id", "10.0.0.6"), ("list", "/ipam/addresses")];
        let sure = admin.post("/ipam/addresses/bulk", &form).await;
        sure.shows("10.0.0.5 is allocated: a host names it; change or delete the host");
    }

    async fn a_gateway_may_be_a_hosts_and_a_network_address_nobodys(app: TestApp) {
        let mut change = changing(&app).await;
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        let mut lab = subnets::Spec::new("Lab".parse().unwrap(), "10.0.0.0/24".parse().unwrap());
        lab.gateway = Some(at("10.0.0.1"));
        subnets::create(&mut space, &lab, false, false).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let before = stats(&app).await;
        let gateway = add(&app, "gw", "10.0.0.1", "").await;
        assert_eq!(state(&app, "10.0.0.1").await, "allocated static host gw");

        let admin = app.signed_in("admin", Role::Admin).await;
        for (field, address, why) in [
            ("primary_ip", "10.0.0.0", "10.0.0.0 is the network address of Lab (10.0.0.0/24)"),
            ("bmc_ip", "10.0.0.255", "10.0.0.255 is the broadcast address of Lab (10.0.0.0/24)"),
            ("primary_ip", "10.0.0.x", "write an address such as 10.0.1.20 or 2001:db8::20"),
            ("nic_mac", "00:15", "write a MAC address such as 00:15:65:aa:bb:cc"),
            ("hostname", "no blanks", "use letters, digits, dots and hyphens, at most 253 characters"),
            ("hostname", "GW", "another host is called GW"),
        ] {
            let mut form = vec![("hostname", "x"), ("description", "<b>kept</b>")];
            form.retain(|(name, _)| *name != field);
            form.push((field, address));
            let page = admin.post("/ipam/hosts", &form).await;
            assert_eq!(page.status, 422, "{field} {address}");
            assert_eq!(page.field_error(field), why);
            page.shows(&format!("value=\"{address}\""));
            page.shows("value=\"<b>kept</b>\"");
        }
        let page = admin.post("/ipam/hosts", &[("hostname", "x"), ("primary_ip", "10.0.0.9"), ("bmc_ip", "10.0.0.9")]).await;
        assert_eq!(page.field_error("bmc_ip"), "the management controller needs an address of its own");
        assert_eq!(app.number("SELECT count(*) FROM host").await, 1);
        remove(&app, gateway.id).await;
        assert_eq!(stats(&app).await, before);
    }

    async fn a_host_is_added_edited_and_deleted_on_pages(app: TestApp) {
        subnet(&app, "Lab", "192.168.1.0/24", "192.168.1.1-50").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let path = post(&admin, &[
            ("hostname", "db-1"), ("primary_ip", "192.168.1.10"), ("nic_mac", "0015.65AA.BBCC"),
            ("bmc_ip", "2001:DB8::7"), ("device_type", "server"), ("manufacturer", "Acme & <sons>"),
        ]).await;
        let page = admin.get(&path).await;
        for text in ["Added", "192.168.1.10", "00:15:65:aa:bb:cc", "2001:db8::7", "in no subnet", "Acme & <sons>", "Lab", "host.created"] {
            page.shows(text);
        }
        assert!(!page.text.contains("<sons>"));
        let list = admin.get("/ipam/hosts").await;
        list.shows("<b>1</b> in no subnet");
        list.hides("conflict</b>");

        let edit = admin.get(&format!("{path}/edit")).await;
        edit.shows("name=\"version\" value=\"1\"");
        let form = [("hostname", "db-1"), ("primary_ip", "192.168.1.11"), ("version", "1")];
        assert_eq!(admin.post(&path, &form).await.status, 303);
        assert_eq!(state(&app, "192.168.1.10").await, "free");
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static host db-1");
        assert_eq!(state(&app, "2001:db8::7").await, "free");

        let stale = admin.post(&path, &[("hostname", "db-9"), ("primary_ip", "192.168.1.12"), ("version", "1")]).await;
        assert_eq!(stale.status, 412);
        stale.shows("It now has Host name <b>db-1</b>, Primary IP <b>192.168.1.11</b>; below is what you typed");
        stale.shows("name=\"version\" value=\"2\"");
        assert_eq!(state(&app, "192.168.1.12").await, "free");

        let row = admin.get(&format!("{path}/row/edit")).await;
        row.shows("value=\"192.168.1.11\"");
        let row = admin.post(&format!("{path}/row"), &[("hostname", "db-2"), ("primary_ip", "192.168.1.12"), ("version", "2")]).await;
        assert_eq!(row.status, 200);
        row.shows("192.168.1.12");
        let row = admin.post(&format!("{path}/row"), &[("hostname", ""), ("version", "3")]).await;
        assert_eq!(row.status, 422);
        row.shows("enter a host name, such as gw-ber-1");

        let id = path.rsplit_once('/').unwrap().1;
        let sure = admin.post("/ipam/hosts/deletion", &[("id", id)]).await;
        sure.shows("db-2");
        sure.shows("192.168.1.12</span> is freed");
        assert_eq!(state(&app, "192.168.1.12").await, "allocated static host db-2");
        let form = [("id", id), ("confirmed", "1"), ("list", "/ipam/hosts?q=db")];
        assert_eq!(admin.post("/ipam/hosts/deletion", &form).await.location(), "/ipam/hosts?q=db");
        assert_eq!(state(&app, "192.168.1.12").await, "free");
        assert_eq!(admin.get(&path).await.status, 404);
    }

    async fn a_conflict_is_said_with_both_sides_until_it_is_settled(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let first = post(&admin, &[("hostname", "first"), ("primary_ip", "10.0.0.5")]).await;
        let second = post(&admin, &[("hostname", "second"), ("primary_ip", "10.0.0.5")]).await;
        let loser = format!("<a href=\"{first}\">host first</a> has it, and this host claims it");
        let page = admin.get(&second).await;
        page.shows("Added, with a conflict");
        page.shows(&loser);
        let again = admin.get(&second).await;
        again.hides("Added, with a conflict");
        again.shows(&loser);
        admin.get(&first).await.shows(&format!("this host has it, and <a href=\"{second}\">host second</a> claims it"));
        let list = admin.get("/ipam/hosts").await;
        list.shows("<b>2</b> with a conflict");
        list.shows("host first has it");
        list.shows("host second claims it too");
        let only = admin.get("/ipam/hosts?show=conflict&q=second").await;
        only.shows(&second);
        only.hides(&first);

        let form = [("hostname", "second"), ("primary_ip", "10.0.0.6"), ("version", "1")];
        let row = admin.post(&format!("{second}/row"), &form).await;
        row.shows("10.0.0.6");
        row.hides("conflict");
        for path in [&first, &second] {
            admin.get(path).await.hides("conflict");
        }
        admin.get("/ipam/hosts").await.hides("with a conflict</a>");
    }

    async fn the_list_searches_sorts_and_pages(app: TestApp) {
        let mut change = changing(&app).await;
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        for n in 0..60 {
            let mut one = spec(&format!("h{n:02}"), &format!("10.{n}.0.1"), "");
            one.nic_mac = Some(format!("00:15:65:00:00:{n:02x}").parse().unwrap());
            one.device_type = if n % 2 == 0 { "Server" } else { "printer" }.parse().unwrap();
            hosts::create(&mut space, &one).await.unwrap();
        }
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let help = app.signed_in("help", Role::Helpdesk).await;
        let named = |text: &str| -> Vec<String> {
            let cells = text.split("<th scope=\"row\"").skip(1);
            cells.map(|cell| cell.split("\">").nth(2).unwrap().split('<').next().unwrap().to_owned()).collect()
        };
        let get = |path: &'static str| {
            let help = &help;
            async move { named(&help.get(path).await.text) }
        };
        assert_eq!(get("/ipam/hosts").await.len(), 25);
        assert_eq!(get("/ipam/hosts?page=3").await.len(), 10);
        assert_eq!(get("/ipam/hosts?sort=-hostname&size=50").await[0], "h59");
        assert_eq!(get("/ipam/hosts?sort=-address").await[..2], ["h59", "h58"]);
        assert_eq!(get("/ipam/hosts?sort=type").await[..2], ["h01", "h03"]);
        assert_eq!(get("/ipam/hosts?q=H07").await, ["h07"]);
        // 10.5 begins 10.5.* and 10.5x.*, and nothing between.
        assert_eq!(get("/ipam/hosts?q=10.5").await,
            ["h05", "h50", "h51", "h52", "h53", "h54", "h55", "h56", "h57", "h58", "h59"]);
        assert_eq!(get("/ipam/hosts?q=10.8.0.0%2F13").await, ["h08", "h09", "h10", "h11", "h12", "h13", "h14", "h15"]);
        assert_eq!(get("/ipam/hosts?q=0015.6500.001f").await, ["h31"]);
        assert_eq!(get("/ipam/hosts?q=printer&size=50").await.len(), 30);
        assert_eq!(get("/ipam/hosts?q=100%25").await, [""; 0]);
        help.get("/ipam/hosts").await.hides("Add host");
        assert_eq!(help.get("/ipam/hosts?sort=color").await.status, 400);
        let part = help.get("/ipam/hosts/table?q=h07").await;
        assert_eq!(part.header("hx-push-url"), Some("/ipam/hosts?q=h07"));
    }

    async fn scripts_do_the_same(app: TestApp) {
        subnet(&app, "Lab", "192.168.1.0/24", "192.168.1.1-50").await;
        let script = app.script(Role::Operator).await;
        let new = json!({ "hostname": "web-1", "primary_ip": "192.168.1.10", "nic_mac": "001565AABBCC", "device_type": "server" });
        let made = script.send("POST", "/api/v1/hosts", &new).await;
        assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/hosts/{id}");
        assert_eq!(made.header("location"), Some(path.as_str()));
        assert_eq!(made.json()["nic_mac"], "00:15:65:aa:bb:cc");
        assert_eq!((&made.json()["conflicts"], &made.json()["bmc_ip"]), (&json!([]), &Value::Null));
        assert_eq!(state(&app, "192.168.1.10").await, "allocated static host web-1");

        let moved = script.ask("PATCH", &path).header("if-match", "\"1\"").json(&json!({ "primary_ip": "192.168.1.11" })).send().await;
        assert_eq!((moved.status, moved.header("etag")), (200, Some("\"2\"")));
        assert_eq!(state(&app, "192.168.1.10").await, "free");
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static host web-1");
        let stale = script.ask("PATCH", &path).header("if-match", "\"1\"").json(&json!({ "hostname": "x" })).send().await;
        assert_eq!(stale.status, 412);
        assert_eq!(script.ask("DELETE", &path).header("if-match", "\"1\"").send().await.status, 412);

        let other = json!({ "hostname": "web-2", "bmc_ip": "192.168.1.11", "primary_ip": "172.16.0.1" });
        let other = script.send("POST", "/api/v1/hosts", &other).await;
        assert_eq!(other.status, 201);
        assert_eq!(other.json()["conflicts"], json!([{
            "field": "bmc_ip", "address": "192.168.1.11", "holder": "host web-1", "claimants": ["bmc web-2 (management)"]
        }]));
        assert_eq!(other.json()["in_no_subnet"], json!(["172.16.0.1"]));
        let listed = script.get("/api/v1/hosts?show=conflict&sort=-hostname").await.json();
        assert_eq!((&listed["total"], &listed["hosts"][0]["hostname"]), (&json!(2), &json!("web-2")));

        let taken = script.send("POST", "/api/v1/hosts", &json!({ "hostname": "WEB-1" })).await;
        assert_eq!((taken.status, &taken.json()["errors"]["hostname"]), (409, &json!("another host is called WEB-1")));
        let bad = json!({ "hostname": "", "primary_ip": "10.0.0", "bmc_mac": "ff:ff:ff:ff:ff:ff" });
        let bad = script.send("POST", "/api/v1/hosts", &bad).await;
        assert_eq!(bad.status, 422);
        let fields: Vec<String> = bad.json()["errors"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["bmc_mac", "hostname", "primary_ip"]);
        let network = script.send("PATCH", &path, &json!({ "primary_ip": "192.168.1.0" })).await;
        assert_eq!(network.status, 422);
        assert!(network.json()["errors"]["primary_ip"].as_str().unwrap().contains("network address"));

        let cleared = script.send("PATCH", &path, &json!({ "primary_ip": null, "nic_mac": null })).await.json();
        assert_eq!((&cleared["primary_ip"], &cleared["nic_mac"], &cleared["device_type"]), (&Value::Null, &Value::Null, &json!("server")));
        assert_eq!(state(&app, "192.168.1.11").await, "allocated static bmc web-2 (management)");
        assert_eq!(script.ask("DELETE", &path).send().await.status, 204);
        assert_eq!(script.get(&path).await.status, 404);
        let help = app.script(Role::Helpdesk).await;
        assert_eq!(help.send("POST", "/api/v1/hosts", &json!({ "hostname": "x" })).await.status, 403);
    }

    async fn of_two_instances_that_save_one_address_at_once_one_has_it(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        let other = app.another().await;
        for round in 1..=8 {
            let address = format!("10.0.0.{round}");
            let (one, two) = (format!("one{round}"), format!("two{round}"));
            let both = join(add(&app, &one, &address, ""), add(&other, &two, &address, "")).await;
            let held = record(&app, &address).await.unwrap();
            assert!(held.conflict && held.status == Status::Allocated);
            let (tenant, mut tx) = (TenantId::DEFAULT, app.state.read().await.unwrap());
            let claims = addresses::claims_on(&mut tx, tenant, at(&address)).await.unwrap();
            assert_eq!(claims.len(), 1);
            let mut named = [held.holder.unwrap().id, claims[0].tenure.clone().unwrap().holder.id];
            let mut saved = [both.0.id.to_string(), both.1.id.to_string()];
            named.sort();
            saved.sort();
            assert_eq!(named, saved);
        }
        assert_eq!(stats(&app).await.conflicts, 8);
    }

    async fn what_is_not_committed_never_was(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        let host = add(&app, "a", "10.0.0.5", "").await;
        let before = stats(&app).await;
        let done = Cell::new(false);
        {
            let mut change = changing(&app).await;
            let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
            hosts::update(&mut space, host.id, None, &spec("a", "10.0.0.6", "10.0.0.7")).await.unwrap();
            hosts::create(&mut space, &spec("b", "10.0.0.8", "")).await.unwrap();
            space.close().await.unwrap();
            done.set(true);
        }
        assert!(done.get());
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static host a");
        for address in ["10.0.0.6", "10.0.0.7", "10.0.0.8"] {
            assert_eq!(state(&app, address).await, "free");
        }
        assert_eq!(stats(&app).await, before);
        assert_eq!(app.number("SELECT count(*) FROM host").await, 1);
    }

    async fn a_user_who_goes_leaves_their_addresses_and_one_who_is_renamed_is_renamed_there(app: TestApp) {
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.1-99").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let bob = admin.add("Bob", "bob@example.com", "").await;
        let user = |id: &str| Holder { kind: HolderKind::User, id: id.to_owned(), name: String::new() };
        allocate(&app, "10.0.0.5", user(&ann)).await;
        allocate(&app, "10.0.0.6", user(&ann)).await;
        allocate(&app, "10.0.0.7", user(&bob)).await;
        add(&app, "web", "10.0.0.6", "").await;
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static user Ann");

        let form = [("name", "Ann B"), ("email", "ann@example.com"), ("extension", "1000"), ("version", "1")];
        assert_eq!(admin.post(&format!("/users/{ann}"), &form).await.status, 303);
        assert_eq!(state(&app, "10.0.0.5").await, "allocated static user Ann B");

        let sure = admin.post("/users/deletion", &[("id", &ann)]).await;
        sure.shows("The 2 addresses below are released.");
        sure.shows("10.0.0.5");
        sure.shows("10.0.0.6");
        sure.hides("10.0.0.7");
        admin.post("/users/deletion", &[("id", &ann), ("confirmed", "1")]).await;
        assert_eq!(state(&app, "10.0.0.5").await, "free");
        assert_eq!(state(&app, "10.0.0.6").await, "allocated static host web");
        assert_eq!(state(&app, "10.0.0.7").await, "allocated static user Bob");
        let notes = app.texts("SELECT note FROM audit_event WHERE action = 'address.released'").await;
        assert_eq!(notes, ["Ann B was deleted"]);

        let script = app.script(Role::Operator).await;
        let gone = script.ask("DELETE", &format!("/api/v1/users/{bob}")).send().await.json();
        assert_eq!(gone["released_addresses"], json!(["10.0.0.7"]));
        assert_eq!(stats(&app).await.allocated, 1);
    }
}
