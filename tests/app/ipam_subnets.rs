//! Subnets: the tree, the map, forms, splitting and merging, by page and by API.

use std::cell::Cell as Flag;
use std::collections::BTreeMap;

use futures_util::future::join;
use patchbay::audit::{Change, Page};
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure};
use patchbay::ipam::class::Status;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Filter, Map, Pools, Refusal, Spec, Subnet, Usage, What};
use patchbay::net::Address;
use serde_json::{Value, json};

use crate::support::app::{Browser, Script, TestApp, both_databases, tester};

pub const TENANT: TenantId = TenantId::DEFAULT;

pub fn spec(name: &str, cidr: &str) -> Spec {
    Spec::new(name.parse().unwrap(), cidr.parse().unwrap())
}

pub fn pools(text: &str) -> Pools {
    text.parse().unwrap()
}

/// Does something to the tenant's addresses, and commits it.
pub async fn change<T>(
    app: &TestApp,
    work: impl AsyncFnOnce(&mut Space<'_>) -> subnets::Outcome<T>,
) -> subnets::Outcome<T> {
    let mut change: Change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let done = work(&mut space).await?;
    space.close().await.unwrap();
    change.commit_if_any().await.unwrap();
    Ok(done)
}

pub async fn made(app: &TestApp, spec: &Spec) -> Subnet {
    change(app, async |space| subnets::create(space, spec, true, true).await).await.unwrap()
}

/// Gives addresses to somebody outside, wherever they are.
pub async fn held(app: &TestApp, all: &[&str]) {
    change(app, async |space| {
        for text in all {
            let holder = Holder {
                kind: HolderKind::External,
                id: (*text).to_owned(),
                name: format!("machine {text}"),
            };
            addresses::claim(space, text.parse().unwrap(), &Tenure::of(holder)).await.unwrap();
        }
        Ok(())
    })
    .await
    .unwrap();
}

pub async fn reserved(app: &TestApp, address: &str, note: &str) {
    let by = Reserver { name: "tester".to_owned(), anybodys: true };
    let purpose = Purpose::Reserve { note: note.parse().unwrap(), until: None };
    change(app, async |space| {
        addresses::assign(space, address.parse().unwrap(), &purpose, &by).await.unwrap();
        Ok(())
    })
    .await
    .unwrap();
}

pub fn of_cells(map: &Map) -> Usage {
    let mut sum = Usage::default();
    match map {
        Map::Addresses(cells) => {
            for cell in cells {
                match cell.what {
                    What::Status(Status::Available) => sum.free += 1,
                    What::Status(Status::Allocated) => sum.used += 1,
                    What::Status(Status::Reserved) => sum.reserved += 1,
                    What::Status(Status::Quarantine) => sum.quarantine += 1,
                    What::Dhcp => sum.dhcp += 1,
                    What::Withheld(_) | What::Outside => {}
                }
            }
        }
        Map::Blocks(blocks) => {
            for block in blocks {
                sum.free += block.usage.free;
                sum.used += block.usage.used;
                sum.reserved += block.usage.reserved;
                sum.quarantine += block.usage.quarantine;
                sum.dhcp += block.usage.dhcp;
            }
        }
    }
    sum
}

/// The counts of every subnet, after comparing them with a walk over rows and gaps, and every
/// row's subnet with the smallest one around it.
pub async fn recounted(app: &TestApp) -> BTreeMap<String, Usage> {
    let mut tx = app.state.read().await.unwrap();
    let all = subnets::all(&mut tx, TENANT).await.unwrap();
    let (lines, total) =
        subnets::list(&mut tx, TENANT, &Filter::default(), Page { offset: 0, limit: 10_000 })
            .await
            .unwrap();
    assert_eq!(usize::try_from(total).unwrap(), all.len());
    let mut found = BTreeMap::new();
    for line in lines {
        let map = subnets::map(&mut tx, TENANT, &line.subnet, line.subnet.cidr).await.unwrap();
        assert_eq!(line.usage, of_cells(&map), "{}", line.subnet.cidr);
        found.insert(line.subnet.cidr.to_string(), line.usage);
        let around = all
            .iter()
            .filter(|other| other.id != line.subnet.id && other.cidr.covers(line.subnet.cidr));
        let parent = around.max_by_key(|other| other.cidr.length()).map(|other| other.id);
        assert_eq!(line.subnet.parent, parent, "{}", line.subnet.cidr);
    }
    drop(tx);
    let bytes = if app.is_sqlite() { "lower(hex(address))" } else { "encode(address, 'hex')" };
    let rows = format!("SELECT {bytes} || ' ' || coalesce(subnet_id, '') FROM address");
    for row in app.texts(&rows).await {
        let (hex, subnet) = row.split_once(' ').unwrap();
        let address = Address::from_number(u128::from_str_radix(hex, 16).unwrap());
        let around = all.iter().filter(|subnet| subnet.cidr.contains(address));
        let around = around.max_by_key(|subnet| subnet.cidr.length());
        let around = around.map(|subnet| subnet.id.to_string()).unwrap_or_default();
        assert_eq!(subnet, around, "{address}");
    }
    found
}

pub async fn by_name(app: &TestApp, name: &str) -> Subnet {
    let all = subnets::all(&mut app.state.read().await.unwrap(), TENANT).await.unwrap();
    all.into_iter().find(|subnet| subnet.name.to_string() == name).unwrap()
}

pub async fn create(script: &Script<'_>, body: &Value) -> Value {
    let answer = script.send("POST", "/api/v1/subnets", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        answer.location(),
        format!("/api/v1/subnets/{}", answer.json()["id"].as_str().unwrap())
    );
    answer.json()
}

pub async fn add(browser: &Browser<'_>, form: &[(&str, &str)]) -> String {
    let answer = browser.post("/ipam/subnets", form).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.location().to_owned()
}

both_databases! {
    async fn a_static_pool_of_fifty_shows_fifty_free_addresses(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let page = add(&operator, &[("name", "Lab"), ("cidr", "192.168.1.0/24"), ("static_pools", "192.168.1.1-192.168.1.50")]).await;
        let show = operator.get(&page).await;
        show.shows("<b>50</b> <a class=\"st available\"");
        show.shows("192.168.1.1-192.168.1.50");
        show.shows("<b>204</b> free for DHCP");
        show.shows("title=\"192.168.1.50 available\"");
        show.shows("title=\"192.168.1.51 dhcp\"");
        show.shows("title=\"192.168.1.255 broadcast\"");
        let id = page.rsplit('/').next().unwrap().to_owned();
        let mut tx = app.state.read().await.unwrap();
        let filter = addresses::Filter { subnet: Some(id.parse().unwrap()), status: Some(Status::Available), ..addresses::Filter::default() };
        let listing = addresses::list(&mut tx, TENANT, &filter, addresses::Sort::Address, Page { offset: 0, limit: 200 }).await.unwrap();
        assert_eq!((listing.total, listing.entries.len()), (50, 50));

        let script = app.script(Role::Operator).await;
        let made = create(&script, &json!({ "name": "Two", "cidr": "192.168.2.0/24",
            "static_pools": ["192.168.2.1-50", "192.168.2.100-192.168.2.150"], "dhcp_pools": [] })).await;
        assert_eq!(made["counts"], json!({ "total": 101, "free": 101, "used": 0, "reserved": 0, "quarantine": 0, "dhcp_free": 0, "utilisation": 0 }));
        assert_eq!(made["static_pools"], json!(["192.168.2.1-192.168.2.50", "192.168.2.100-192.168.2.150"]));
        assert_eq!(made["dhcp_pools"], json!([]));
        let one = script.get(&format!("/api/v1/subnets/{id}")).await.json();
        assert_eq!((&one["counts"]["free"], &one["counts"]["dhcp_free"]), (&json!(50), &json!(204)));
        assert_eq!(one["dhcp_pools"], Value::Null);
        let pools = script.get(&format!("/api/v1/subnets/{id}/pools")).await.json();
        assert_eq!(pools["pools"].as_array().unwrap().len(), 2);
        assert_eq!((&pools["pools"][1]["first"], &pools["pools"][1]["computed"]), (&json!("192.168.1.51"), &json!(true)));
        recounted(&app).await;
    }

    async fn the_largest_pools_cost_a_few_rows(app: TestApp) {
        let rows = "SELECT (SELECT count(*) FROM pool) + (SELECT count(*) FROM gap) + (SELECT count(*) FROM address) + (SELECT count(*) FROM tally)";
        made(&app, &spec("ten", "10.0.0.0/8")).await;
        made(&app, &spec("six", "2001:db8::/64")).await;
        assert!(app.number(rows).await < 20, "{}", app.number(rows).await);
        let counts = recounted(&app).await;
        assert_eq!(counts["10.0.0.0/8"].free, (1 << 24) - 2);
        assert_eq!(counts["2001:db8::/64"].free, (1 << 64) - 1);
    }

    async fn the_form_corrects_refuses_and_asks(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let wrong = operator.post("/ipam/subnets", &[("name", "<b>Voice</b>"), ("cidr", "10.0.1.5/24"), ("vlan", "5000"), ("gateway", "x")]).await;
        assert_eq!(wrong.status, 422);
        assert_eq!(wrong.field_error("cidr"), "10.0.1.5/24 has host bits set; the subnet is 10.0.1.0/24");
        wrong.shows(r#"<button name="corrected" value="10.0.1.0/24">Use 10.0.1.0/24</button>"#);
        assert_eq!(wrong.field_error("vlan"), "use a VLAN number from 1 to 4094");
        wrong.field_error("gateway");
        assert!(wrong.text.contains("&#60;b&#62;Voice"), "{wrong:?}");
        // The button with what was meant saves it.
        let page = add(&operator, &[("name", "Voice"), ("cidr", "10.0.1.5/24"), ("corrected", "10.0.1.0/24"), ("gateway", "10.0.1.1"), ("static_pools", "none"), ("dhcp_pools", "10.0.1.100-200"), ("dns", "10.0.0.53"), ("site", "Berlin")]).await;
        let show = operator.get(&page).await;
        for text in ["Voice", "10.0.1.0/24", "10.0.1.1", "10.0.0.53", "Berlin", "10.0.1.100-10.0.1.200"] {
            show.shows(text);
        }
        let outside = operator.post("/ipam/subnets", &[("name", "A"), ("cidr", "10.0.2.0/24"), ("gateway", "10.0.3.1")]).await;
        assert_eq!(outside.field_error("gateway"), "10.0.3.1 is not in 10.0.2.0/24");
        let outside = operator.post("/ipam/subnets", &[("name", "A"), ("cidr", "10.0.2.0/24"), ("gateway", "10.0.2.0")]).await;
        assert_eq!(outside.field_error("gateway"), "10.0.2.0 is the network address of 10.0.2.0/24");
        let overlap = operator.post("/ipam/subnets", &[("name", "A"), ("cidr", "10.0.2.0/24"), ("static_pools", "10.0.2.1-10"), ("dhcp_pools", "10.0.2.10-20")]).await;
        assert_eq!(overlap.field_error("dhcp_pools"), "10.0.2.10-10.0.2.20 overlaps 10.0.2.1-10.0.2.10");
        let taken = operator.post("/ipam/subnets", &[("name", "VOICE"), ("cidr", "10.0.2.0/24")]).await;
        assert_eq!((taken.status, taken.field_error("name")), (422, "another subnet is called VOICE".to_owned()));
        let again = operator.post("/ipam/subnets", &[("name", "B"), ("cidr", "10.0.1.0/24")]).await;
        assert_eq!((again.status, again.field_error("cidr")), (422, "10.0.1.0/24 is Voice already".to_owned()));
        // Inside another: only if it is meant.
        let form = [("name", "Half"), ("cidr", "10.0.1.128/25"), ("description", "typed")];
        let nested = operator.post("/ipam/subnets", &form).await;
        assert_eq!(nested.status, 409);
        nested.shows("Voice (10.0.1.0/24)");
        nested.shows(r#"name="nest""#);
        nested.shows(r#"value="typed""#);
        let checked = operator.post("/ipam/subnets", &[&form[..], &[("nest", "1"), ("check", "1")]].concat()).await;
        assert_eq!(checked.status, 200);
        checked.shows("nothing was saved");
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 1);
        add(&operator, &[&form[..], &[("nest", "1")]].concat()).await;
        assert_eq!(by_name(&app, "Half").await.parent, Some(by_name(&app, "Voice").await.id));
        recounted(&app).await;
    }

    async fn pools_that_overlap_or_lie_outside_are_refused_beside_their_field(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let script = app.script(Role::Operator).await;
        for (cidr, statics, dhcp, excluded, field, said) in [
            ("10.0.1.0/24", "10.0.1.10-50, 10.0.1.50-60", "", "", "static_pools", "10.0.1.50-10.0.1.60 overlaps 10.0.1.10-10.0.1.50"),
            ("10.0.1.0/24", "10.0.1.10-50", "10.0.1.60, 10.0.1.60", "", "dhcp_pools", "10.0.1.60 overlaps 10.0.1.60"),
            ("10.0.1.0/24", "10.0.1.10-50", "10.0.1.40-70", "", "dhcp_pools", "10.0.1.40-10.0.1.70 overlaps 10.0.1.10-10.0.1.50"),
            ("10.0.1.0/24", "10.0.1.10-50", "", "10.0.1.20", "excluded", "10.0.1.20 overlaps 10.0.1.10-10.0.1.50"),
            ("10.0.1.0/24", "", "10.0.1.10-50", "10.0.1.0/27", "excluded", "overlaps 10.0.1.10-10.0.1.50"),
            ("10.0.1.0/24", "", "", "10.0.1.20-30, 10.0.1.30", "excluded", "10.0.1.30 overlaps 10.0.1.20-10.0.1.30"),
            ("10.0.1.0/24", "10.0.2.1-5", "", "", "static_pools", "10.0.2.1-10.0.2.5 is not inside 10.0.1.0/24"),
            ("10.0.1.0/24", "", "10.0.1.250-10.0.2.4", "", "dhcp_pools", "10.0.1.250-10.0.2.4 is not inside 10.0.1.0/24"),
            ("10.0.1.0/24", "", "", "2001:db8::1", "excluded", "2001:db8::1 is not inside 10.0.1.0/24"),
            ("2001:db8::/32", "2001:db8::/63", "none", "", "static_pools", "is too large: a pool has at most 2^64 addresses"),
            ("2001:db8::/32", "2001:db8::1-2001:db8::ff, 2001:db8::ff", "none", "", "static_pools", "2001:db8::ff overlaps 2001:db8::1-2001:db8::ff"),
        ] {
            let form = [("name", "Net"), ("cidr", cidr), ("static_pools", statics), ("dhcp_pools", dhcp), ("excluded", excluded)];
            let page = operator.post("/ipam/subnets", &form).await;
            assert_eq!(page.status, 422, "{form:?}");
            assert!(page.field_error(field).contains(said), "{}: {said}", page.field_error(field));
            let list = |text: &str| match text {
                "" => Value::Null,
                "none" => json!([]),
                text => json!(text.split(", ").collect::<Vec<_>>()),
            };
            let mut body = json!({ "name": "Net", "cidr": cidr, "static_pools": list(statics), "dhcp_pools": list(dhcp) });
            if !excluded.is_empty() {
                body["excluded"] = list(excluded);
            }
            let answer = script.send("POST", "/api/v1/subnets", &body).await;
            assert_eq!(answer.status, 422, "{body}");
            assert!(answer.json()["errors"][field].as_str().unwrap().contains(said), "{answer:?}");
        }
        for vlan in ["0", "4095", "-1", "x"] {
            let page = operator.post("/ipam/subnets", &[("name", "Net"), ("cidr", "10.0.1.0/24"), ("vlan", vlan)]).await;
            assert_eq!((page.status, page.field_error("vlan").as_str()), (422, "use a VLAN number from 1 to 4094"), "{vlan}");
        }
        let answer = script.send("POST", "/api/v1/subnets", &json!({ "name": "Net", "cidr": "10.0.1.0/24", "vlan": 0 })).await;
        assert_eq!((answer.status, &answer.json()["errors"]["vlan"]), (422, &json!("use a VLAN number from 1 to 4094")));
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 0);
        // What lies side by side is no overlap.
        add(&operator, &[("name", "Net"), ("cidr", "10.0.1.0/24"), ("vlan", "4094"), ("static_pools", "10.0.1.10-50, 10.0.1.51-60"), ("dhcp_pools", "10.0.1.61"), ("excluded", "10.0.1.62")]).await;
    }

    async fn of_two_that_overlap_at_the_same_instant_one_wins(app: TestApp) {
        let other = app.another().await;
        for n in 0..8 {
            let (small, large) = (spec(&format!("small {n}"), &format!("10.{n}.4.0/24")), spec(&format!("large {n}"), &format!("10.{n}.0.0/16")));
            let here = change(&app, async |space| subnets::create(space, &small, false, false).await);
            let there = change(&other, async |space| subnets::create(space, &large, false, false).await);
            let (here, there) = join(here, there).await;
            assert!(here.is_ok() != there.is_ok(), "{n}: {here:?} {there:?}");
            for lost in [here.err(), there.err()].into_iter().flatten() {
                assert!(matches!(lost, Refusal::Overlaps { .. }), "{lost:?}");
            }
            // The very same addresses.
            let (a, b) = (spec(&format!("a {n}"), &format!("11.{n}.0.0/16")), spec(&format!("b {n}"), &format!("11.{n}.0.0/16")));
            let (here, there) = join(
                change(&app, async |space| subnets::create(space, &a, true, true).await),
                change(&other, async |space| subnets::create(space, &b, true, true).await),
            ).await;
            assert!(here.is_ok() != there.is_ok(), "{n}: {here:?} {there:?}");
        }
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 16);
        recounted(&app).await;
    }

    async fn whoever_waits_for_another_sees_what_it_did(app: TestApp) {
        let other = app.another().await;
        let done = Flag::new(false);
        let mut first = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut first, app.state.vault.entropy()).await.unwrap();
        subnets::create(&mut space, &spec("first", "10.0.0.0/16"), false, false).await.unwrap();
        space.close().await.unwrap();
        let second = async {
            let lost = change(&other, async |space| subnets::create(space, &spec("second", "10.0.9.0/24"), false, false).await).await;
            done.set(true);
            lost
        };
        let finish = async {
            app.until_somebody_waits_or(&done).await;
            first.commit().await.unwrap();
        };
        let (lost, ()) = join(second, finish).await;
        assert!(matches!(lost, Err(Refusal::Overlaps { .. })), "{lost:?}");
        recounted(&app).await;
    }

    async fn scripts_list_change_and_delete(app: TestApp) {
        let script = app.script(Role::Operator).await;
        let made = create(&script, &json!({ "name": "Voice", "cidr": "10.20.5.0/24", "vlan": 205, "gateway": "10.20.5.1", "site": "Berlin",
            "dns": ["10.0.0.53", "2001:db8::53"], "description": "phones", "excluded": ["10.20.5.250-254"] })).await;
        let mut keys: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["cidr", "counts", "created_at", "description", "dhcp_pools", "dns", "excluded", "family", "gateway", "id", "name", "parent_id", "site", "static_pools", "updated_at", "vlan"]);
        let path = format!("/api/v1/subnets/{}", made["id"].as_str().unwrap());
        create(&script, &json!({ "name": "Ten", "cidr": "10.0.0.0/8", "nest": true })).await;
        let six = create(&script, &json!({ "name": "Six", "cidr": "2001:db8::/64" })).await;
        assert_eq!((&six["family"], &six["counts"]["free"]), (&json!("IPv6"), &json!(u64::MAX)));
        let total = async |query: &str| {
            let list = script.get(&format!("/api/v1/subnets?{query}")).await;
            assert_eq!(list.status, 200, "{list:?}");
            let list = list.json();
            assert_eq!(list["total"], list["subnets"].as_array().unwrap().len());
            list["total"].as_i64().unwrap()
        };
        let ten = by_name(&app, "Ten").await.id;
        for (query, number) in [("", 3), ("q=voice", 1), ("site=berlin", 1), ("vlan=205", 1), ("vlan=9", 0), ("family=6", 1), ("contains=10.20.5.9", 2),
            ("contains=10.20.5.9&vlan=205", 1), ("contains=10.20.5.9&q=11.0.0.0/8", 0), ("contains=192.0.2.1", 0), (&format!("parent={ten}"), 1)] {
            assert_eq!(total(query).await, number, "{query}");
        }
        for query in ["vlan=0", "family=5", "contains=x", "parent=x", "nonsense=1"] {
            assert!([400, 422].contains(&script.get(&format!("/api/v1/subnets?{query}")).await.status), "{query}");
        }
        // Changing
        let tag = script.get(&path).await.header("etag").unwrap().to_owned();
        let changed = script.ask("PATCH", &path).header("if-match", &tag).json(&json!({ "vlan": null, "site": "Wien" })).send().await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let now = changed.json();
        assert_eq!((&now["vlan"], &now["site"], &now["gateway"], &now["excluded"]), (&Value::Null, &json!("Wien"), &made["gateway"], &made["excluded"]));
        assert_eq!(script.ask("PATCH", &path).header("if-match", &tag).json(&json!({ "site": "x" })).send().await.status, 412);
        assert_eq!(script.send("PATCH", &path, &json!({ "sight": "x" })).await.status, 422);
        let bad = script.send("PATCH", &path, &json!({ "vlan": 4095, "gateway": "x", "static_pools": ["10.20.5.9-1"] })).await;
        assert_eq!(bad.status, 422);
        assert_eq!(bad.json()["errors"].as_object().unwrap().len(), 3, "{bad:?}");
        held(&app, &["10.20.5.77"]).await;
        let harm = script.send("PATCH", &path, &json!({ "static_pools": ["10.20.5.2-20"] })).await;
        assert_eq!((harm.status, &harm.json()["errors"]["stranded"]), (409, &json!("10.20.5.77")));
        assert_eq!(script.send("PATCH", &format!("{path}?force=true"), &json!({ "static_pools": ["10.20.5.2-20"] })).await.status, 200);
        let replaced = script.send("PUT", &path, &json!({ "name": "Voice 2", "cidr": "10.20.5.0/24" })).await.json();
        assert_eq!((&replaced["static_pools"], &replaced["site"], &replaced["dns"]), (&Value::Null, &json!(""), &json!([])));
        recounted(&app).await;
        // Refusals
        let inside = script.send("POST", "/api/v1/subnets", &json!({ "name": "In", "cidr": "10.20.5.0/25" })).await;
        assert_eq!((inside.status, inside.json()["errors"]["cidr"].as_str().unwrap().contains("Voice 2 (10.20.5.0/24)")), (409, true));
        let bits = script.send("POST", "/api/v1/subnets", &json!({ "name": "In", "cidr": "10.20.5.9/25" })).await;
        assert_eq!((bits.status, &bits.json()["errors"]["cidr"]), (422, &json!("10.20.5.9/25 has host bits set; the subnet is 10.20.5.0/25")));
        // Splitting
        let dry = script.send("POST", &format!("{path}/split"), &json!({ "length": 26, "dry_run": true })).await.json();
        assert_eq!((dry["subnets"].as_array().unwrap().len(), &dry["subnets"][1]["counts"]["used"]), (4, &json!(1)));
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 3);
        assert_eq!(script.send("POST", &format!("{path}/split"), &json!({ "length": 24 })).await.status, 422);
        let split = script.send("POST", &format!("{path}/split"), &json!({ "length": 26 })).await;
        assert_eq!(split.status, 200, "{split:?}");
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 7);
        let map = script.get(&format!("{path}/map?block=10.20.5.64/26")).await.json();
        assert_eq!((map["addresses"].as_array().unwrap().len(), &map["addresses"][13]["status"]), (64, &json!("allocated")));
        assert_eq!(script.get(&format!("{path}/map?block=10.20.6.0/26")).await.status, 422);
        // Deleting
        let gone = script.ask("DELETE", &format!("/api/v1/subnets/{ten}")).send().await;
        assert_eq!(gone.status, 200, "{gone:?}");
        assert_eq!(script.ask("DELETE", &path).header("if-match", "\"1\"").send().await.status, 412);
        let piece = split.json()["subnets"][1]["id"].as_str().unwrap().to_owned();
        let gone = script.ask("DELETE", &format!("/api/v1/subnets/{piece}")).send().await.json();
        assert_eq!(gone["effects"]["moved"], json!([{ "subnet": "Voice 2 (10.20.5.0/24)", "count": 1 }]));
        recounted(&app).await;
        let orphan = script.ask("DELETE", &path).send().await;
        assert_eq!((orphan.status, &orphan.json()["errors"]["orphaned"]), (409, &json!("10.20.5.77")));
        assert_eq!(script.ask("DELETE", &format!("{path}?force=true")).send().await.status, 200);
        recounted(&app).await;
        let desk = app.script(Role::Helpdesk).await;
        assert_eq!(desk.send("POST", "/api/v1/subnets", &json!({ "name": "x", "cidr": "10.0.0.0/30" })).await.status, 403);
    }

    async fn equal_subnets_may_exist_in_two_tenants_and_neither_sees_the_other(app: TestApp) {
        app.tenant("acme", "wile").await;
        let ours = app.signed_in("operator", Role::Operator).await;
        let theirs = app.with_password("wile").await;
        let page = add(&ours, &[("name", "Same"), ("cidr", "10.0.0.0/24"), ("site", "Here")]).await;
        let other = add(&theirs, &[("name", "Same"), ("cidr", "10.0.0.0/24"), ("site", "There")]).await;
        assert_ne!(page, other);
        assert_eq!(theirs.get(&page).await.status, 404);
        let list = theirs.get("/ipam/subnets").await;
        list.shows("There");
        list.hides("Here");
    }
}
