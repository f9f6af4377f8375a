//! NetBox, as a stand-in built from its published REST interface of version 4.
//!
//! Faithful in what Patchbay relies on (<https://netboxlabs.com/docs/netbox/integrations/rest-api/>
//! and the filters of `netbox/ipam/filtersets.py`): the `Authorization: Token` header and 403
//! without it; lists as `count`/`next`/`previous`/`results` with `limit` and `offset`; choices
//! written as a word and read as `{value, label}`; tags named by attributes, which must exist (400
//! `tags`); a filter by a tag that does not exist is 400 `tag`; the filter `address` without a mask
//! compares hosts; 201 with the object, PATCH of single fields, 204 without a body, 404 for a
//! missing number; a duplicate address is 400 `address` where uniqueness is enforced; `parent`,
//! which may be there several times, looks at the host of an address, `within_include` of which the
//! last counts, at a prefix; `tag__n` leaves out what has a tag. It is not NetBox: permissions, VRFs, validation of names and change logging are left out.

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

/// More than NetBox gives on one page.
fn enter_250(server: &Netbox) {
    for n in 0..250 {
        enter(server, &format!("address 10.20.4.{}/32", n + 2), ("", "theirs"));
    }
}

/// Enters something as people do in NetBox's own pages: without a tag of Patchbay's.
fn enter(server: &Netbox, thing: &str, (name, description): (&str, &str)) {
    let mut store = server.store.lock().unwrap();
    let id = 5_000 + i64::try_from(store.objects.len()).unwrap();
    let address = thing.strip_prefix("address ");
    let (kind, key) =
        if address.is_some() { ("ip-addresses", "address") } else { ("prefixes", "prefix") };
    let object = json!({ "id": id, key: address.unwrap_or(thing), "dns_name": name, "description": description,
        "status": { "value": "active", "label": "Active" }, "vrf": null, "tags": [] });
    store.objects.insert((kind.to_owned(), id), object);
}

/// A subnet with a machine in it, mirrored.
async fn office(app: &TestApp) {
    let script = app.script(Role::Admin).await;
    let subnet = json!({ "name": "Office", "cidr": "10.20.4.0/23", "gateway": "10.20.4.1",
        "static_pools": ["10.20.5.0-10.20.5.200"], "dhcp_pools": ["10.20.5.201-10.20.5.250"] });
    let made = script.send("POST", "/api/v1/subnets", &subnet).await;
    assert_eq!(made.status, 201, "{made:?}");
    let host =
        json!({ "hostname": "lobby", "primary_ip": "10.20.5.17", "nic_mac": "02:00:00:00:00:01" });
    assert_eq!(script.send("POST", "/api/v1/hosts", &host).await.status, 201);
    follow(app).await;
    drain(app).await;
}

/// `status: note` of every address that is reserved.
async fn reserved(app: &TestApp) -> Vec<String> {
    let script = app.script(Role::Admin).await;
    let all = script.get("/api/v1/addresses?status=reserved&size=200").await.json();
    let all = all["entries"].as_array().unwrap().iter();
    let mut lines: Vec<String> =
        all.map(|one| format!("{} {}", text(one, "address"), text(one, "description"))).collect();
    lines.sort_unstable();
    lines
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

    async fn what_others_entered_is_shown_and_kept_from_being_handed_out(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        office(&app).await;
        let hostile = ("\"><img src=x>", "<script>alert(1)</script>");
        for (thing, said) in [
            ("address 10.20.5.30/23", hostile),
            ("address 10.20.4.77/23", ("loose", "in no pool")),
            ("address 10.20.5.210/23", ("", "in the range of DHCP")),
            ("address 10.20.5.17/23", ("door", "has it too")),
            ("address 10.20.4.0/23", ("", "the network")),
            ("address 10.20.4.1/23", ("", "the router")),
            ("address 10.20.6.9/23", ("", "elsewhere")),
            ("10.20.5.0/25", ("", "a half")),
            ("10.20.4.0/23", ("", "the whole again")),
            ("10.20.0.0/16", ("", "around it")),
        ] {
            enter(&server, thing, said);
        }
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = (server.all("ip-addresses"), server.all("prefixes"), server.writes());
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("Nothing differs. 2 compared.");
        for shown in [
            "not taken here <span class=\"soft\">5<", "taken here <span class=\"soft\">1<", "prefixes <span class=\"soft\">2<",
            "free in Office (10.20.4.0/23)", "free in Office (10.20.4.0/23), in none of its pools", "free for DHCP in Office",
            "allocated: host lobby", "the network address of Office", "the gateway address of Office",
            "a part of Office (10.20.4.0/23)", "the subnet Office", "active, door, has it too",
            "active, loose, in no pool", "active, the whole again",
        ] {
            page.shows(shown);
        }
        page.hides("elsewhere");
        page.hides("around it");
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"), "{}", page.text);
        // Putting right is for what is Patchbay's.
        assert_eq!(admin.post("/netbox/report/repair", &[]).await.status, 303);
        server.store.lock().unwrap().unique = true;
        assert_eq!(admin.post("/netbox/report/reserve", &[]).await.status, 303);
        admin.get("/netbox/report").await.shows("3 addresses reserved, 2 left out that cannot be");
        let kept = [
            "10.20.4.77 In NetBox: active, loose, in no pool",
            "10.20.5.210 In NetBox: active, in the range of DHCP",
            "10.20.5.30 In NetBox: active, \"><img src=x>, <script>alert(1)</script>",
        ];
        assert_eq!(reserved(&app).await, kept);
        assert_eq!(app.audit().await.iter().filter(|line| line.contains("address.reserved")).count(), 3);
        let shown = admin.get("/ipam/addresses/10.20.5.30").await;
        assert!(!shown.text.contains("<script>alert") && !shown.text.contains("<img"));
        // Nothing of it is told to NetBox, and once more changes nothing.
        assert_eq!((follow(&app).await, drain(&app).await), (0, 0));
        assert_eq!(admin.post("/netbox/report/reserve", &[]).await.status, 303);
        admin.get("/netbox/report").await.shows("0 addresses reserved, 2 left out that cannot be");
        assert_eq!((follow(&app).await, drain(&app).await), (0, 0));
        assert_eq!(reserved(&app).await, kept);
        assert_eq!((server.all("ip-addresses"), server.all("prefixes"), server.writes()), before);
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("Nothing differs.");
        page.shows("taken here <span class=\"soft\">4<");
        page.shows("In NetBox: active, loose, in no pool");
    }

    /// NetBox is not told of what is reserved because others have it there, however that row
    /// changes; it is told when somebody has it here.
    async fn what_is_reserved_for_others_is_said_when_it_is_something_else(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        office(&app).await;
        enter(&server, "address 10.20.5.30/23", ("", "theirs"));
        enter(&server, "address 10.20.5.31/23", ("", "theirs"));
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.post("/netbox/report/reserve", &[]).await;
        let script = app.script(Role::Admin).await;
        let described = script.send("PATCH", "/api/v1/addresses/10.20.5.30", &json!({ "description": "of the other team" })).await;
        assert_eq!(described.status, 200, "{described:?}");
        assert_eq!(follow(&app).await, 0);
        for address in ["10.20.5.30", "10.20.5.31"] {
            let body = json!({ "action": "release", "addresses": [address] });
            assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &body).await.status, 200);
        }
        assert_eq!(follow(&app).await, 0);
        let body = json!({ "action": "reserve", "addresses": ["10.20.5.30"], "note": "ours now" });
        assert_eq!(script.send("POST", "/api/v1/addresses/bulk", &body).await.status, 200);
        assert_eq!(follow(&app).await, 1);
        assert_eq!(app.number("SELECT count(*) FROM outside_mirror WHERE wanted = ''").await, 0);
    }

    async fn very_many_that_others_entered_are_read_to_their_end(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        office(&app).await;
        enter_250(&server);
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("not taken here <span class=\"soft\">250<");
        page.shows("and 50 more");
        server.store.lock().unwrap().asked.clear();
        admin.post("/netbox/report/reserve", &[]).await;
        admin.get("/netbox/report").await.shows("250 addresses reserved");
        assert_eq!(app.number("SELECT count(*) FROM address WHERE status = 'reserved'").await, 250);
        let asked = server.store.lock().unwrap().asked.clone();
        assert_eq!(asked.iter().filter(|line| line.contains("parent=10.20.4.0/23")).count(), 2, "{asked:?}");
    }

    async fn a_netbox_that_fails_in_the_middle_changes_nothing(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        office(&app).await;
        enter_250(&server);
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.audit().await;
        for part in ["parent=10.20.4.0/23&tag__n=patchbay&limit=200&offset=200", "within_include"] {
            server.store.lock().unwrap().failing = Some(part.to_owned());
            let page = admin.post("/netbox/report", &[]).await;
            page.shows("answered with status 503");
            page.hides("Entered by others");
            let refused = admin.post("/netbox/report/reserve", &[]).await;
            assert_eq!(refused.status, 422);
            refused.shows("answered with status 503");
        }
        assert_eq!(app.audit().await, before);
        assert_eq!(app.number("SELECT count(*) FROM address WHERE status = 'reserved'").await, 0);
    }

    async fn another_tenants_subnets_are_not_asked_for_nor_what_it_wrote_shown(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        office(&app).await;
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let token = app.token_of("other", Role::Admin, None).await;
        let subnet = json!({ "name": "Theirs", "cidr": "10.99.0.0/24" });
        assert_eq!(app.ask("POST", "/api/v1/subnets").token(&token).json(&subnet).send().await.status, 201);
        enter(&server, "address 10.99.0.7/24", ("", "a secret of theirs"));
        enter(&server, "10.99.0.0/25", ("", "a secret of theirs"));
        // Both tenants have this network, and write into one NetBox.
        enter(&server, "address 10.20.5.40/24", ("", "a secret of theirs"));
        {
            let mut store = server.store.lock().unwrap();
            let object = store.objects.values_mut().find(|object| object["address"] == "10.20.5.40/24").unwrap();
            object["tags"] = json!([{ "id": 2, "name": "patchbay-acme", "slug": "patchbay-acme" }]);
            store.asked.clear();
        }
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("Nobody else entered anything");
        page.hides("secret");
        admin.post("/netbox/report/reserve", &[]).await;
        assert_eq!(reserved(&app).await, [""; 0]);
        let asked = server.store.lock().unwrap().asked.clone();
        assert!(!asked.is_empty() && !asked.iter().any(|line| line.contains("10.99")), "{asked:?}");
        // They have not switched it on.
        let refused = other.post("/netbox/report/reserve", &[]).await;
        assert_eq!(refused.status, 422);
        refused.shows("NetBox is switched off");
    }

    async fn prefixes_are_read_as_one_list_where_there_are_very_many_subnets(app: TestApp) {
        let server = Netbox::start().await;
        netbox(&app, server.at).await;
        let script = app.script(Role::Admin).await;
        let subnets: Vec<Value> =
            (0..60).map(|n| json!({ "name": format!("Site {n}"), "cidr": format!("10.{n}.0.0/24") })).collect();
        for subnet in &subnets {
            assert_eq!(script.send("POST", "/api/v1/subnets", subnet).await.status, 201);
        }
        for thing in ["10.7.0.128/25", "10.7.1.0/24", "10.0.0.0/8", "2001:db8::/64"] {
            enter(&server, thing, ("", "theirs"));
        }
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.post("/netbox/report", &[]).await;
        page.shows("prefixes <span class=\"soft\">1<");
        page.shows("a part of Site 7 (10.7.0.0/24)");
        let asked = server.store.lock().unwrap().asked.clone();
        let prefixes: Vec<&String> = asked.iter().filter(|line| line.contains("prefixes") && !line.contains("?tag=")).collect();
        assert_eq!(prefixes.len(), 1, "{asked:?}");
        assert!(asked.iter().all(|line| line.len() < 2_000));
    }
}
