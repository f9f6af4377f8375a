//! NetBox, as a stand-in built from its published REST interface of version 4.
//!
//! Faithful in what Patchbay relies on (<https://netboxlabs.com/docs/netbox/integrations/rest-api/>
//! and the filters of `netbox/ipam/filtersets.py`): the `Authorization: Token` header and 403
//! without it; lists as `count`/`next`/`previous`/`results` with `limit` and `offset`; choices
//! written as a word and read as `{value, label}`; tags named by attributes, which must exist (400
//! `tags`); a filter by a tag that does not exist is 400 `tag`; the filter `address` without a mask
//! compares hosts; 201 with the object, PATCH of single fields, 204 without a body, 404 for a
//! missing number; a duplicate address is 400 `address` where uniqueness is enforced. It is not
//! NetBox: permissions, VRFs, validation of names and change logging are left out.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::mirror;
use patchbay::outbox::setup::{NetboxSetup, Settings};
use patchbay::outbox::{self, CallState, NetboxOrder, Order, Record, RecordStatus, System};
use serde_json::{Value, json};

use crate::outbox::{allow, calls, configure, drain, push, states, subject};
use crate::support::app::{TestApp, both_databases};
use crate::support::outside::{NETBOX_TOKEN, Netbox};

pub async fn netbox(app: &TestApp, at: std::net::SocketAddr) {
    allow(app, System::Netbox, at.port()).await;
    let url = Some(format!("http://{at}").parse().unwrap());
    let setup = NetboxSetup { url, ..NetboxSetup::default() };
    configure(app, Settings::Netbox(setup), Some(NETBOX_TOKEN), true).await;
}

pub fn set(leased: &str, status: RecordStatus) -> Order {
    let record = Record {
        description: "Ann's phone".to_owned(),
        dns_name: "ann.example.com".to_owned(),
        ..Record::new(leased.parse().unwrap(), status)
    };
    Order::Netbox(NetboxOrder::Set(record))
}

pub fn remove(leased: &str) -> Order {
    Order::Netbox(NetboxOrder::Remove { leased: leased.parse().unwrap() })
}

async fn follow(app: &TestApp) -> usize {
    mirror::follow(&app.state, TenantId::DEFAULT, System::Netbox, 0).await.unwrap()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

both_databases! {
    async fn an_address_is_made_changed_and_removed_and_its_number_kept(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Active)).await;
        push(&app, &subject(2), &set("2001:db8:5::/56", RecordStatus::Active)).await;
        drain(&app).await;
        let made = server.all("ip-addresses").remove(0);
        assert_eq!((text(&made, "address"), text(&made, "dns_name")), ("10.0.0.5/32", "ann.example.com"));
        assert_eq!((text(&made["status"], "value"), text(&made["tags"][0], "slug")), ("active", "patchbay"));
        assert_eq!(text(&server.all("prefixes").remove(0), "prefix"), "2001:db8:5::/56");
        let id = outbox::netbox_id(&mut app.state.read().await.unwrap(), TenantId::DEFAULT, &"10.0.0.5".parse().unwrap()).await.unwrap();
        assert_eq!(id, made["id"].as_i64());
        // The same again writes nothing; another status writes that alone.
        let before = server.writes();
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Active)).await;
        drain(&app).await;
        assert_eq!(server.writes(), before);
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Deprecated)).await;
        drain(&app).await;
        assert_eq!(server.writes(), before + 1);
        assert_eq!(text(&server.all("ip-addresses")[0]["status"], "value"), "deprecated");
        push(&app, &subject(1), &remove("10.0.0.5")).await;
        drain(&app).await;
        assert!(server.all("ip-addresses").is_empty());
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done; 4]);
        // Gone already: there is nothing to remove.
        push(&app, &subject(1), &remove("10.0.0.5")).await;
        drain(&app).await;
        assert!(calls(&app, &subject(1)).await.last().unwrap().answer.ends_with("did not have it"));
    }

    async fn when_its_number_is_lost_it_is_found_by_address_and_tag(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Active)).await;
        drain(&app).await;
        for lost in ["NULL", "4711"] {
            app.sql(&format!("UPDATE outside_mirror SET remote_id = {lost}")).await;
            push(&app, &subject(1), &set("10.0.0.5", if lost == "NULL" { RecordStatus::Reserved } else { RecordStatus::Active })).await;
            drain(&app).await;
            assert_eq!(server.all("ip-addresses").len(), 1);
        }
        assert_eq!(text(&server.all("ip-addresses")[0]["status"], "value"), "active");
    }

    async fn what_others_wrote_into_netbox_is_theirs(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        server.store.lock().unwrap().unique = true;
        let theirs = json!({ "id": 900, "address": "10.0.0.5/32", "status": { "value": "active", "label": "Active" },
            "description": "core router", "dns_name": "", "tags": [] });
        server.store.lock().unwrap().objects.insert(("ip-addresses".to_owned(), 900), theirs.clone());
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Active)).await;
        drain(&app).await;
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!(call.state, CallState::Dead);
        assert!(call.error.contains("does not take address. It may have one of its own already"), "{}", call.error);
        push(&app, &subject(1), &remove("10.0.0.5")).await;
        drain(&app).await;
        assert_eq!(server.all("ip-addresses"), [theirs]);
    }

    async fn the_register_is_mirrored_and_follows_every_change(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        let script = app.script(Role::Admin).await;
        let subnet = json!({ "name": "Office", "cidr": "10.20.5.0/24" });
        let made = script.send("POST", "/api/v1/subnets", &subnet).await;
        assert_eq!(made.status, 201, "{made:?}");
        let host = json!({ "hostname": "lobby", "primary_ip": "10.20.5.17", "nic_mac": "02:00:00:00:00:01" });
        let host = script.send("POST", "/api/v1/hosts", &host).await.json();
        follow(&app).await;
        drain(&app).await;
        let address = server.all("ip-addresses").remove(0);
        assert_eq!((text(&address, "address"), text(&address, "dns_name"), text(&address, "description")), ("10.20.5.17/24", "lobby", "lobby"));
        assert_eq!(text(&server.all("prefixes").remove(0), "description"), "Office");
        let path = format!("/api/v1/hosts/{}", host["id"].as_str().unwrap());
        script.send("PATCH", &path, &json!({ "hostname": "hall" })).await;
        follow(&app).await;
        drain(&app).await;
        assert_eq!(text(&server.all("ip-addresses").remove(0), "dns_name"), "hall");
        assert_eq!(follow(&app).await, 0);
        script.ask("DELETE", &path).send().await;
        follow(&app).await;
        drain(&app).await;
        assert!(server.all("ip-addresses").is_empty());
    }

    async fn a_netbox_with_very_many_addresses_is_read_to_its_end(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        {
            let mut store = server.store.lock().unwrap();
            store.many = 50_201;
            store.tags.push("patchbay".to_owned());
        }
        // The last of them.
        let last = Order::Netbox(NetboxOrder::Set(Record::new("10.128.196.24".parse().unwrap(), RecordStatus::Active)));
        push(&app, &subject(1), &last).await;
        app.sql("UPDATE outside_call SET state = 'done', ended_at = created_at").await;
        let resolver = patchbay::outside::http::Resolver::system();
        let report = mirror::compare(&app.state, TenantId::DEFAULT, System::Netbox, &resolver).await.unwrap().unwrap();
        assert_eq!((report.missing, report.different), (Vec::new(), Vec::new()), "it is there");
        assert_eq!((report.compared, report.surplus.len()), (50_201, 50_200));
    }

    async fn what_differs_is_reported_and_put_right_and_patchbay_is_the_truth(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        for (n, address) in ["10.0.0.5", "10.0.0.6", "10.0.0.7"].into_iter().enumerate() {
            push(&app, &subject(u32::try_from(n).unwrap()), &set(address, RecordStatus::Active)).await;
        }
        drain(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.post("/netbox/report", &[]).await.shows("Nothing differs. 3 compared.");
        {
            let mut store = server.store.lock().unwrap();
            let ids: Vec<i64> = store.objects.keys().map(|(_, id)| *id).collect();
            store.objects.remove(&("ip-addresses".to_owned(), ids[0]));
            store.objects.get_mut(&("ip-addresses".to_owned(), ids[1])).unwrap()["description"] = "<script>alert(1)</script>".into();
            let mut stray = store.objects[&("ip-addresses".to_owned(), ids[2])].clone();
            stray["id"] = 77.into();
            stray["address"] = "10.0.0.99/32".into();
            store.objects.insert(("ip-addresses".to_owned(), 77), stray);
        }
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("3 of 4 differ");
        for heading in ["Only here", "Only there", "Different"] {
            page.shows(heading);
        }
        assert!(!page.text.contains("<script>alert"));
        assert_eq!(admin.post("/netbox/report/repair", &[]).await.status, 303);
        follow(&app).await;
        drain(&app).await;
        admin.post("/netbox/report", &[]).await.shows("Nothing differs.");
        let mut addresses: Vec<String> = server.all("ip-addresses").iter().map(|object| text(object, "address").to_owned()).collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["10.0.0.5/32", "10.0.0.6/32", "10.0.0.7/32"]);
    }
}
