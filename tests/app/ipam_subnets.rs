//! Subnets: the tree, the map, forms, splitting and merging, by page and by API.

use std::cell::Cell as Flag;
use std::collections::BTreeMap;

use futures_util::future::join;
use patchbay::audit::{Change, Page};
use patchbay::auth::Role;
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure, Wish};
use patchbay::ipam::class::Status;
use patchbay::ipam::prefixes::{self, NewPool};
use patchbay::ipam::space::{Source, Space};
use patchbay::ipam::subnets::{self, Filter, Map, Pools, Refusal, Spec, Subnet, Usage, What};
use patchbay::net::{Address, Cidr};
use serde_json::{Value, json};

use crate::support::app::{Browser, Script, TestApp, both_databases, tester};

const TENANT: TenantId = TenantId::DEFAULT;

fn spec(name: &str, cidr: &str) -> Spec {
    Spec::new(name.parse().unwrap(), cidr.parse().unwrap())
}

fn pools(text: &str) -> Pools {
    text.parse().unwrap()
}

/// Does something to the tenant's addresses, and commits it.
async fn change<T>(
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

async fn made(app: &TestApp, spec: &Spec) -> Subnet {
    change(app, async |space| subnets::create(space, spec, true, true).await).await.unwrap()
}

/// Gives addresses to somebody outside, wherever they are.
async fn held(app: &TestApp, all: &[&str]) {
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

async fn reserved(app: &TestApp, address: &str, note: &str) {
    let by = Reserver { name: "tester".to_owned(), anybodys: true };
    let purpose = Purpose::Reserve { note: note.parse().unwrap(), until: None };
    change(app, async |space| {
        addresses::assign(space, address.parse().unwrap(), &purpose, &by).await.unwrap();
        Ok(())
    })
    .await
    .unwrap();
}

/// As many rows like that of `first`, and behind it, as a list can have: counts do not know them.
async fn crowd(app: &TestApp, first: &str, count: u32) {
    let first: u32 = first.parse::<std::net::Ipv4Addr>().unwrap().into();
    let (numbers, key) = if app.is_sqlite() {
        (
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})",
            "unhex(substr(hex(address), 1, length(hex(address)) - 8) || printf('%08X', {first} + i))",
        )
    } else {
        (
            "WITH n (i) AS (SELECT generate_series(1, {count}))",
            "decode(left(encode(address, 'hex'), -8) || lpad(to_hex({first} + i), 8, '0'), 'hex')",
        )
    };
    let columns = "subnet_id, status, kind, active, conflict, class, hostname, hostname_sort, mac, mac_sort, platform,
        manufacturer, holder_kind, holder_id, holder_name, description, reserved_by, reason, since, seen_mac, search,
        created_at, updated_at";
    let text = format!(
        "{numbers} INSERT INTO address (tenant_id, address, id, {columns})
         SELECT tenant_id, {key}, 1000000 + i, {columns} FROM address CROSS JOIN n WHERE id = 1"
    );
    let text = text.replace("{count}", &(count - 1).to_string());
    app.sql(&text.replace("{first}", &first.to_string())).await;
}

fn of_cells(map: &Map) -> Usage {
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
async fn recounted(app: &TestApp) -> BTreeMap<String, Usage> {
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

async fn by_name(app: &TestApp, name: &str) -> Subnet {
    let all = subnets::all(&mut app.state.read().await.unwrap(), TENANT).await.unwrap();
    all.into_iter().find(|subnet| subnet.name.to_string() == name).unwrap()
}

async fn history(app: &TestApp, address: &str) -> Vec<String> {
    app.texts(&format!(
        "SELECT action || ': ' || before_json || ' -> ' || after_json FROM audit_event
         WHERE subject_id = '{address}' ORDER BY seq"
    ))
    .await
}

async fn create(script: &Script<'_>, body: &Value) -> Value {
    let answer = script.send("POST", "/api/v1/subnets", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        answer.location(),
        format!("/api/v1/subnets/{}", answer.json()["id"].as_str().unwrap())
    );
    answer.json()
}

async fn add(browser: &Browser<'_>, form: &[(&str, &str)]) -> String {
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

    async fn a_pool_is_not_shrunk_over_live_addresses_unasked(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let page = add(&operator, &[("name", "Desk"), ("cidr", "10.1.0.0/24"), ("static_pools", "10.1.0.1-100")]).await;
        held(&app, &["10.1.0.60"]).await;
        reserved(&app, "10.1.0.70", "lobby").await;
        let form = [("name", "Desk"), ("cidr", "10.1.0.0/24"), ("static_pools", "10.1.0.1-65"), ("version", "1")];
        let harm = operator.post(&page, &form).await;
        assert_eq!(harm.status, 409);
        harm.shows("in use, but no longer in their pool: 10.1.0.70");
        harm.hides("10.1.0.60,");
        harm.shows(r#"value="1"> Do it all the same"#);
        // Excluding an address somebody has is the same.
        let excluded = [("name", "Desk"), ("cidr", "10.1.0.0/24"), ("static_pools", "10.1.0.1-100"), ("excluded", "10.1.0.200"), ("version", "1")];
        assert_eq!(operator.post(&page, &[&excluded[..], &[("check", "1")]].concat()).await.status, 200);
        let done = operator.post(&page, &[&form[..], &[("force", "1")]].concat()).await;
        assert_eq!(done.status, 303, "{done:?}");
        let counts = recounted(&app).await;
        assert_eq!((counts["10.1.0.0/24"].free, counts["10.1.0.0/24"].used, counts["10.1.0.0/24"].reserved), (64, 1, 1));
        // The first editor's version is gone.
        let stale = operator.post(&page, &[("name", "Mine"), ("cidr", "10.1.0.0/24"), ("version", "1")]).await;
        assert_eq!(stale.status, 412);
        stale.shows("10.1.0.1-10.1.0.65");
        stale.shows(r#"value="Mine""#);
        let version = stale.between(r#"name="version" value=""#, "\"").to_owned();
        let saved = operator.post(&page, &[("name", "Mine"), ("cidr", "10.1.0.0/24"), ("version", &version)]).await;
        assert_eq!(saved.status, 303);
        recounted(&app).await;
    }

    async fn what_a_new_size_would_do_is_told_before_it_is_done(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        made(&app, &spec("Ten", "10.0.0.0/8")).await;
        let page = add(&operator, &[("name", "Desk"), ("cidr", "10.1.0.0/23"), ("nest", "1")]).await;
        let lone = add(&operator, &[("name", "Lone"), ("cidr", "192.168.0.0/23")]).await;
        held(&app, &["10.1.0.7", "10.1.1.7", "10.1.1.8", "10.1.2.9", "192.168.1.255", "192.168.0.255"]).await;
        let script = app.script(Role::Operator).await;
        let before = app.contents().await;
        let check = async |page: &str, name: &str, cidr: &str| {
            let form = [("name", name), ("cidr", cidr), ("version", "1"), ("check", "1"), ("nest", "1")];
            operator.post(page, &form).await
        };
        let smaller = check(&page, "Desk", "10.1.0.0/24").await;
        assert_eq!(smaller.status, 200);
        smaller.shows("Checked, nothing was saved. This is what it would do:");
        smaller.shows("2 in use go to Ten (10.0.0.0/8)");
        smaller.shows(r#"value="10.1.0.0/24""#);
        check(&page, "Desk", "10.1.0.0/22").await.shows("1 in use go to Desk (10.1.0.0/22)");
        check(&page, "Desk", "10.1.0.0/24").await.hides("in no subnet any more");
        let orphans = check(&lone, "Lone", "192.168.0.0/24").await;
        assert_eq!(orphans.status, 409);
        orphans.shows("in no subnet any more: 192.168.1.255");
        orphans.shows("the gateway: 192.168.0.255");
        // By a call the same, whoever would lose.
        let path = |page: &str| page.replace("/ipam/", "/api/v1/");
        let body = json!({ "cidr": "10.1.0.0/24", "dry_run": true });
        let would = script.send("PATCH", &path(&page), &body).await;
        assert_eq!(would.status, 200, "{would:?}");
        let would = would.json();
        assert_eq!((&would["dry_run"], &would["subnets"][0]["cidr"], &would["subnets"][0]["counts"]["used"]), (&json!(true), &json!("10.1.0.0/24"), &json!(1)));
        assert_eq!(would["effects"]["moved"], json!([{ "subnet": "Ten (10.0.0.0/8)", "count": 2 }]));
        let body = json!({ "name": "Lone", "cidr": "192.168.0.0/24" });
        let would = script.send("PUT", &format!("{}?dry_run=true", path(&lone)), &body).await.json();
        assert_eq!((&would["effects"]["orphaned"], &would["effects"]["forbidden"]), (&json!(["192.168.1.255"]), &json!(["192.168.0.255"])));
        let stale = script.ask("PUT", &format!("{}?dry_run=true", path(&lone))).header("if-match", "\"7\"").json(&body).send().await;
        assert_eq!(stale.status, 412);
        let would = script.ask("DELETE", &format!("{}?dry_run=true", path(&lone))).send().await.json();
        assert_eq!((&would["dry_run"], &would["effects"]["orphaned"]), (&json!(true), &json!(["192.168.0.255", "192.168.1.255"])));
        let body = json!({ "name": "New", "cidr": "10.1.1.0/29", "nest": true, "dry_run": true });
        let would = script.send("POST", "/api/v1/subnets", &body).await;
        assert_eq!((would.status, &would.json()["effects"]["moved"]), (200, &json!([{ "subnet": "New (10.1.1.0/29)", "count": 1 }])));
        assert_eq!(app.contents().await, before, "nothing was changed");
        recounted(&app).await;
    }

    async fn a_gateway_that_somebody_has_is_asked_about(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let page = add(&operator, &[("name", "Desk"), ("cidr", "10.1.0.0/24")]).await;
        held(&app, &["10.1.0.60", "10.2.0.1"]).await;
        let form = [("name", "Desk"), ("cidr", "10.1.0.0/24"), ("gateway", "10.1.0.60"), ("version", "1")];
        let checked = operator.post(&page, &[&form[..], &[("check", "1"), ("force", "1")]].concat()).await;
        checked.shows("or the gateway: 10.1.0.60");
        let harm = operator.post(&page, &form).await;
        assert_eq!(harm.status, 409);
        harm.shows("or the gateway: 10.1.0.60");
        assert_eq!(operator.post(&page, &[&form[..], &[("force", "1")]].concat()).await.status, 303);
        // It is said once: what else changes of the subnet is no matter of the gateway.
        let form = [("name", "Desks"), ("cidr", "10.1.0.0/24"), ("gateway", "10.1.0.60"), ("version", "2")];
        assert_eq!(operator.post(&page, &form).await.status, 303);
        // A new subnet over somebody's address, and over a router's, which is a host.
        let form = [("name", "New"), ("cidr", "10.2.0.0/24"), ("gateway", "10.2.0.1")];
        let harm = operator.post("/ipam/subnets", &form).await;
        assert_eq!(harm.status, 409);
        harm.shows("or the gateway: 10.2.0.1");
        let host = [("hostname", "gw-1"), ("primary_ip", "10.3.0.1")];
        assert_eq!(operator.post("/ipam/hosts", &host).await.status, 303);
        add(&operator, &[("name", "Routed"), ("cidr", "10.3.0.0/24"), ("gateway", "10.3.0.1")]).await;
    }

    async fn who_would_lose_an_address_is_found_however_many_others_there_are(app: TestApp) {
        let outer = made(&app, &spec("Outer", "10.0.0.0/8")).await;
        made(&app, &spec("Crowd", "10.16.0.0/12")).await;
        held(&app, &["10.16.0.0", "10.200.0.1"]).await;
        crowd(&app, "10.16.0.0", 100_001).await;
        let smaller = spec("Outer", "10.0.0.0/9");
        let refused = change(&app, async |space| subnets::update(space, outer.id, None, &smaller, true, false).await).await;
        assert!(refused.unwrap_err().to_string().contains("in no subnet any more: 10.200.0.1"));
        let refused = change(&app, async |space| subnets::delete(space, outer.id, None, false).await).await;
        assert!(refused.unwrap_err().to_string().contains("in no subnet any more: 10.200.0.1"));
        // Not all of very many are named.
        let crowd = by_name(&app, "Crowd").await;
        app.sql(&format!("UPDATE subnet SET parent_id = NULL WHERE id = '{}'", crowd.id)).await;
        let refused = change(&app, async |space| subnets::delete(space, crowd.id, None, false).await).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("10.16.0.49; and 99951 more"), "{refused}");
        // The page has the others folded away, and a call gets them all.
        let by = app.signed_in("operator", Role::Operator).await;
        let asked = by.post(&format!("/ipam/subnets/{}/deletion", crowd.id), &[]).await;
        asked.shows("<summary>The others</summary>");
        asked.shows("10.16.0.50, 10.16.0.51, ");
        asked.shows("10.17.134.158, 10.17.134.159</p>");
        let script = app.script(Role::Operator).await;
        let told = script.ask("DELETE", &format!("/api/v1/subnets/{}?dry_run=true", crowd.id)).send().await.json();
        assert_eq!((told["effects"]["orphaned"].as_array().unwrap().len(), &told["effects"]["more"]), (100_000, &json!(1)));
    }

    async fn the_tree_is_in_order_with_true_counts(app: TestApp) {
        made(&app, &spec("All", "10.0.0.0/8")).await;
        made(&app, &Spec { site: "Berlin".parse().unwrap(), vlan: Some("205".parse().unwrap()), gateway: Some("10.20.5.1".parse().unwrap()), ..spec("Voice Berlin", "10.20.5.0/24") }).await;
        made(&app, &Spec { statics: pools("none"), dhcp: pools("none"), ..spec("Campus", "10.20.0.0/16") }).await;
        made(&app, &Spec { site: "Wien".parse().unwrap(), ..spec("Sechs", "2001:db8:5::/64") }).await;
        made(&app, &spec("<i>Lab</i>", "192.0.2.0/28")).await;
        held(&app, &["10.20.5.9", "10.20.7.7", "10.99.0.1", "2001:db8:5::9"]).await;
        reserved(&app, "10.20.5.10", "kept").await;
        let counts = recounted(&app).await;
        let voice = counts["10.20.5.0/24"];
        assert_eq!((voice.free, voice.used, voice.reserved), (251, 1, 1));
        assert_eq!(counts["10.0.0.0/8"].used, 3);
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get("/ipam/subnets").await;
        let places: Vec<usize> = ["10.0.0.0/8", "10.20.0.0/16", "10.20.5.0/24", "192.0.2.0/28", "2001:db8:5::/64"].iter()
            .map(|cidr| page.text.find(&format!(">{cidr}</a>")).unwrap_or_else(|| panic!("{cidr} {page:?}"))).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(page.text.contains("in-2\"><a class=\"addr\""), "{page:?}");
        page.shows("Voice Berlin");
        assert!(page.text.contains("&#60;i&#62;Lab"));
        page.hides("Merge chosen");
        // An address shows the subnet it is in.
        let found = desk.get("/ipam/subnets?q=10.20.5.77").await;
        found.shows("is in <b>Voice Berlin</b>");
        found.hides("192.0.2.0/28");
        desk.get("/ipam/subnets?q=198.51.100.1").await.shows("is in no subnet");
        for (query, shown, hidden) in [
            ("q=berlin", "Voice Berlin", "Campus"),
            ("q=205", "Voice Berlin", "Campus"),
            ("q=vlan+205", "Voice Berlin", "Campus"),
            ("q=wien", "Sechs", "Campus"),
            ("q=192.0.2.", "192.0.2.0/28", "Campus"),
            ("q=10.20.0.0/16", "Voice Berlin", "Sechs"),
            ("site=BERLIN", "Voice Berlin", "Campus"),
            ("family=6", "Sechs", "Campus"),
            ("family=4", "Campus", "Sechs"),
            ("family=4&q=voice", "Voice Berlin", "Sechs"),
        ] {
            let page = desk.get(&format!("/ipam/subnets?{query}")).await;
            page.shows(shown);
            page.hides(&format!(">{hidden}<"));
        }
        desk.get("/ipam/subnets?q=%25").await.shows("No subnet matches");
        // A closed branch hides what is inside, and is counted so.
        let campus = by_name(&app, "Campus").await.id;
        let closed = desk.get(&format!("/ipam/subnets?closed={campus}")).await;
        closed.hides("Voice Berlin");
        closed.shows("Campus");
        closed.shows("1-4 of 4");
        let all = by_name(&app, "All").await.id;
        let closed = desk.get(&format!("/ipam/subnets?closed={campus}&closed={all}")).await;
        closed.hides("Campus");
        closed.shows("1-3 of 3");
        let fragment = desk.ask("GET", &format!("/ipam/subnets/table?closed={all}")).header("hx-request", "true").send().await;
        assert_eq!(fragment.header("hx-push-url").unwrap(), format!("/ipam/subnets?closed={all}"));
        assert!(!fragment.text.contains("<html"));
    }

    async fn pages_of_the_tree_follow_each_other_at_the_right_depth(app: TestApp) {
        change(&app, async |space| {
            for a in 0..4 {
                subnets::create(space, &spec(&format!("n{a}"), &format!("10.{a}.0.0/16")), true, true).await?;
                for b in 0..30 {
                    subnets::create(space, &spec(&format!("n{a}-{b}"), &format!("10.{a}.{b}.0/24")), true, true).await?;
                }
            }
            Ok(())
        }).await.unwrap();
        let mut tx = app.state.read().await.unwrap();
        let mut seen = Vec::new();
        let closed = vec![by_name(&app, "n1").await.id, by_name(&app, "n3").await.id];
        for offset in (0..).step_by(25).take(4) {
            let filter = Filter { closed: closed.clone(), ..Filter::default() };
            let (lines, total) = subnets::list(&mut tx, TENANT, &filter, Page { offset, limit: 25 }).await.unwrap();
            assert_eq!(total, 64);
            for line in &lines {
                assert_eq!(line.depth, usize::from(line.subnet.cidr.length() == 24), "{}", line.subnet.cidr);
            }
            seen.extend(lines.into_iter().map(|line| line.subnet.name.to_string()));
        }
        let expected: Vec<String> = (0..4).flat_map(|a| {
            let inside: Vec<String> = if a % 2 == 1 { Vec::new() } else { (0..30).map(|b| format!("n{a}-{b}")).collect() };
            [vec![format!("n{a}")], inside].concat()
        }).collect();
        assert_eq!(seen, expected);
    }

    async fn the_map_shows_every_address_and_zooms_to_it(app: TestApp) {
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let big = made(&app, &Spec { gateway: Some("10.0.0.1".parse().unwrap()), excluded: vec!["10.0.0.5-10.0.0.6".parse().unwrap()], ..spec("Big", "10.0.0.0/8") }).await;
        made(&app, &Spec { gateway: Some("10.3.4.1".parse().unwrap()), ..spec("Inner", "10.3.4.0/24") }).await;
        held(&app, &["10.3.4.7", "10.3.4.8", "10.200.1.1"]).await;
        reserved(&app, "10.0.255.254", "for <script>alert(1)</script>").await;
        recounted(&app).await;
        let path = format!("/ipam/subnets/{}", big.id);
        let page = desk.get(&path).await;
        assert_eq!(page.text.matches("class=\"cell ").count(), 256, "{page:?}");
        page.shows(&format!("href=\"{path}?block=10.3.0.0/16#map\""));
        page.shows("10.3.0.0/16: 2 allocated, 0 reserved, ");
        page.shows("10.0.0.0/16: 0 allocated, 1 reserved, 65,531 available");
        let middle = desk.get(&format!("{path}?block=10.3.0.0/16")).await;
        middle.shows("10.3.4.0/24: 2 allocated, 0 reserved, 251 available");
        middle.shows("aria-label=\"Larger blocks\"");
        let grid = desk.get(&format!("{path}?block=10.3.4.0/24")).await;
        assert_eq!(grid.text.matches("href=\"/ipam/addresses/10.3.4.").count(), 256);
        grid.shows("title=\"10.3.4.7 allocated: machine 10.3.4.7\"");
        grid.shows("title=\"10.3.4.1 gateway\"");
        grid.shows("title=\"10.3.4.0 network\"");
        grid.shows("title=\"10.3.4.9 available\"");
        let first = desk.get(&format!("{path}?block=10.0.0.0/24")).await;
        first.shows("title=\"10.0.0.5 excluded\"");
        first.shows("title=\"10.0.0.4 available\"");
        let last = desk.get(&format!("{path}?block=10.0.255.0/24")).await;
        assert!(!last.text.contains("<script>alert"), "{last:?}");
        last.shows("reserved: for <script>");
        assert_eq!(desk.get(&format!("{path}?block=11.0.0.0/16")).await.status, 400);
        assert_eq!(desk.get(&format!("{path}?block=10.0.0.1/16")).await.status, 400);
        assert_eq!(desk.get(&format!("{path}?block=x")).await.status, 400);
    }

    async fn blocks_of_every_size_add_up(app: TestApp) {
        let mut tx = app.state.read().await.unwrap();
        drop(tx);
        for (name, cidr, inside) in [
            ("a", "10.0.0.0/9", "10.64.3.0/26"), ("b", "172.16.0.0/13", "172.17.255.128/25"), ("c", "192.168.0.0/16", "192.168.77.0/24"),
            ("d", "11.0.0.0/20", "11.0.9.192/27"), ("e", "12.0.0.0/23", "12.0.1.0/31"), ("f", "2001:db8::/48", "2001:db8:0:7::/64"),
            ("g", "2001:db8:1::/112", "2001:db8:1::8000/127"), ("h", "2001:db8:2::/119", "2001:db8:2::1/128"), ("i", "13.0.0.0/14", "13.1.0.0/22"),
        ] {
            // No pool is larger than 2^64.
            let none = if cidr.ends_with("/48") { pools("none") } else { Pools::Rest };
            made(&app, &Spec { statics: none.clone(), dhcp: none, ..spec(name, cidr) }).await;
            made(&app, &spec(&format!("{name}2"), inside)).await;
            let (outer, inner): (Cidr, Cidr) = (cidr.parse().unwrap(), inside.parse().unwrap());
            held(&app, &[&inner.last().to_string(), &outer.usable().last().to_string()]).await;
        }
        recounted(&app).await;
        // Looked into, each block is what it said it was.
        tx = app.state.read().await.unwrap();
        for name in ["a", "b", "c", "d", "f", "g", "i"] {
            let subnet = by_name(&app, name).await;
            let Map::Blocks(blocks) = subnets::map(&mut tx, TENANT, &subnet, subnet.cidr).await.unwrap() else { panic!("{name}") };
            assert!(blocks.len() <= 256 && blocks.len() > 3, "{name} {}", blocks.len());
            for block in blocks.iter().step_by(37).chain(blocks.last()) {
                let inside = subnets::map(&mut tx, TENANT, &subnet, block.cidr).await.unwrap();
                assert_eq!(of_cells(&inside), block.usage, "{} of {name}", block.cidr);
            }
        }
    }

    async fn room_for_a_subnet_is_found(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        made(&app, &spec("Ten", "10.0.0.0/8")).await;
        made(&app, &spec("One", "10.0.0.0/26")).await;
        made(&app, &spec("Two", "10.0.0.128/26")).await;
        let page = operator.get("/ipam/subnets/find?within=10.0.0.0%2F8&length=%2F26").await;
        page.shows("10.0.0.64/26");
        page.shows("href=\"/ipam/subnets/new?cidr=10.0.0.192/26&amp;nest=1\"");
        page.hides("10.0.0.128/26");
        let new = operator.get("/ipam/subnets/new?cidr=10.0.0.192/26&nest=1").await;
        new.shows("value=\"10.0.0.192/26\"");
        new.shows("name=\"nest\" value=\"1\" checked");
        let wrong = operator.get("/ipam/subnets/find?within=10.0.0.7%2F8&length=7").await;
        assert_eq!(wrong.status, 422);
        wrong.field_error("within");
        assert_eq!(operator.get("/ipam/subnets/find?within=10.0.0.0%2F8&length=99").await.field_error("length"), "use a number from 8 to 32 inside 10.0.0.0/8");
        let script = app.script(Role::Auditor).await;
        let free = script.get("/api/v1/subnets/free?within=10.0.0.0/8&length=26&count=2").await.json();
        assert_eq!(free, json!({ "free": ["10.0.0.64/26", "10.0.0.192/26"] }));
        let full = script.get("/api/v1/subnets/free?within=10.0.0.0/26&length=26").await.json();
        assert_eq!(full, json!({ "free": ["10.0.0.0/26"] }));
        assert_eq!(script.get("/api/v1/subnets/free?within=10.0.0.0/8&length=4").await.status, 422);
    }

    async fn space_that_somebody_uses_is_not_offered(app: TestApp) {
        made(&app, &spec("Ten", "10.0.0.0/8")).await;
        made(&app, &spec("One", "10.0.0.0/26")).await;
        let fair = made(&app, &spec("Fair", "10.64.0.0/20")).await;
        // In a frame, in no subnet at all, and more than are looked at in one go.
        held(&app, &["10.0.0.65", "172.16.0.1"]).await;
        let by = Reserver { name: "tester".to_owned(), anybodys: true };
        let purpose = Purpose::Reserve { note: "Fair".parse().unwrap(), until: None };
        let wish = Wish::Next { count: 1024, contiguous: false };
        change(&app, async |space| {
            addresses::take(space, Source::Subnet(fair.id), &wish, &purpose, &by).await.unwrap();
            let pool = NewPool {
                name: "Customers".parse().unwrap(),
                cidr: "2001:db8::/48".parse().unwrap(),
                delegated: "56".parse().unwrap(),
            };
            prefixes::create(space, &pool).await.unwrap();
            Ok(())
        }).await.unwrap();
        let script = app.script(Role::Auditor).await;
        for (within, length, expected) in [
            ("10.0.0.0/24", 26, json!(["10.0.0.128/26", "10.0.0.192/26"])),
            ("172.16.0.0/24", 25, json!(["172.16.0.128/25"])),
            ("172.16.0.1/32", 32, json!([])),
            ("10.64.0.0/20", 24, json!(["10.64.5.0/24", "10.64.6.0/24"])),
            ("2001:db8::/47", 48, json!(["2001:db8:1::/48"])),
            ("2001:db8:0:10::/60", 64, json!([])),
        ] {
            let free = script.get(&format!("/api/v1/subnets/free?within={within}&length={length}&count=2")).await.json();
            assert_eq!(free["free"], expected, "{within}");
        }
    }

    async fn split_and_merged_again_nothing_is_lost(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        let whole = made(&app, &Spec { gateway: Some("10.5.0.1".parse().unwrap()), excluded: vec!["10.5.0.2".parse().unwrap()], ..spec("Floor", "10.5.0.0/24") }).await;
        held(&app, &["10.5.0.9", "10.5.0.70", "10.5.0.64"]).await;
        let before = recounted(&app).await;
        let path = format!("/ipam/subnets/{}/split", whole.id);
        operator.get(&path).await.shows("4 subnets of /26");
        let preview = operator.post(&path, &[("length", "26")]).await;
        assert_eq!(preview.status, 200);
        for text in ["Nothing has been changed yet", "10.5.0.192/26", "data-label=\"In use\">2<", "network or broadcast address or the gateway: 10.5.0.64"] {
            preview.shows(text);
        }
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 1);
        assert_eq!(recounted(&app).await, before);
        let refused = operator.post(&path, &[("length", "26"), ("confirmed", "1")]).await;
        assert_eq!(refused.status, 409);
        let done = operator.post(&path, &[("length", "26"), ("confirmed", "1"), ("force", "1")]).await;
        assert_eq!((done.status, done.location()), (303, format!("/ipam/subnets/{}", whole.id).as_str()));
        let counts = recounted(&app).await;
        // Six of the eight ends of the pieces are lost to the pool; one of them is held.
        assert_eq!(counts["10.5.0.0/24"].total(), before["10.5.0.0/24"].total() - 5);
        assert_eq!(counts["10.5.0.64/26"].used, 2);
        assert_eq!(operator.post(&path, &[("length", "28")]).await.field_error("length"), "Floor has subnets inside already; split those");
        let mut ids = Vec::new();
        for n in [0, 64, 128, 192] {
            ids.push(by_name(&app, &format!("Floor 10.5.0.{n}/26")).await.id.to_string());
        }
        let three: Vec<(&str, &str)> = ids.iter().take(3).map(|id| ("id", id.as_str())).collect();
        let uneven = operator.post("/ipam/subnets/merge", &three).await;
        assert_eq!(uneven.status, 422);
        uneven.shows("together are one block");
        let all: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
        let preview = operator.post("/ipam/subnets/merge", &all).await;
        assert_eq!(preview.status, 200);
        preview.shows("10.5.0.0/24");
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 5);
        let done = operator.post("/ipam/subnets/merge", &[&all[..], &[("confirmed", "1")]].concat()).await;
        assert_eq!((done.status, done.location()), (303, format!("/ipam/subnets/{}", whole.id).as_str()), "{done:?}");
        assert_eq!(recounted(&app).await, before);
        let told = history(&app, "10.5.0.70").await;
        assert!(told.iter().any(|line| line.starts_with("address.moved") && line.contains("Floor (10.5.0.0/24)\"} -> ") && line.contains("Floor 10.5.0.64/26")), "{told:#?}");
        assert_eq!(told.iter().filter(|line| line.starts_with("address.moved")).count(), 2, "{told:#?}");
        assert!(!told.iter().any(|line| line.contains("orphaned")), "{told:#?}");
    }

    async fn merging_joins_pools_and_keeps_other_routers_from_being_given_out(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let a = create(&script, &json!({ "name": "A", "cidr": "10.6.0.0/25", "gateway": "10.6.0.1" })).await;
        let b = create(&script, &json!({ "name": "B", "cidr": "10.6.0.128/26", "gateway": "10.6.0.129", "static_pools": ["10.6.0.130-10.6.0.140"] })).await;
        let c = create(&script, &json!({ "name": "C", "cidr": "10.6.0.192/26", "dhcp_pools": ["10.6.0.200-210"], "excluded": ["10.6.0.220"] })).await;
        held(&app, &["10.6.0.131", "10.6.0.201"]).await;
        let ids = json!([c["id"], a["id"], b["id"]]);
        let preview = script.send("POST", "/api/v1/subnets/merge", &json!({ "ids": ids, "dry_run": true })).await;
        assert_eq!((preview.status, &preview.json()["dry_run"]), (200, &json!(true)), "{preview:?}");
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 3);
        let merged = script.send("POST", "/api/v1/subnets/merge", &json!({ "ids": ids })).await.json();
        let whole = &merged["subnets"][0];
        assert_eq!((&whole["id"], &whole["name"], &whole["cidr"], &whole["gateway"]), (&a["id"], &json!("A"), &json!("10.6.0.0/24"), &json!("10.6.0.1")));
        assert_eq!(whole["excluded"], json!(["10.6.0.129", "10.6.0.220"]));
        assert_eq!(whole["counts"]["used"], 2);
        recounted(&app).await;
        let told = history(&app, "10.6.0.201").await;
        assert!(told.last().unwrap().contains("C (10.6.0.192/26)") && told.last().unwrap().contains("A (10.6.0.0/24)"), "{told:#?}");
        let far = create(&script, &json!({ "name": "F", "cidr": "10.7.0.0/24" })).await;
        let apart = script.send("POST", "/api/v1/subnets/merge", &json!({ "ids": [a["id"], far["id"]] })).await;
        assert_eq!((apart.status, apart.json()["errors"]["ids"].is_string()), (422, true));
    }

    async fn links_of_two_addresses_merge_only_over_nobody(app: TestApp) {
        let a = made(&app, &spec("a", "10.8.0.0/31")).await;
        let b = made(&app, &spec("b", "10.8.0.2/31")).await;
        held(&app, &["10.8.0.0", "10.8.0.3"]).await;
        assert_eq!(recounted(&app).await["10.8.0.0/31"].total(), 2);
        let refused = change(&app, async |space| subnets::merge(space, &[a.id, b.id], false).await).await.unwrap_err();
        let Refusal::Harm(effects) = refused else { panic!("{refused:?}") };
        assert_eq!(effects.forbidden, ["10.8.0.0", "10.8.0.3"]);
        change(&app, async |space| subnets::merge(space, &[a.id, b.id], true).await).await.unwrap();
        let counts = recounted(&app).await;
        assert_eq!((counts["10.8.0.0/30"].free, counts["10.8.0.0/30"].used), (2, 2));
    }

    async fn deleting_says_what_becomes_of_each_address_and_their_history_tells(app: TestApp) {
        let operator = app.signed_in("operator", Role::Operator).await;
        made(&app, &spec("Top", "10.9.0.0/16")).await;
        let middle = made(&app, &spec("Middle", "10.9.1.0/24")).await;
        made(&app, &spec("Low", "10.9.1.128/26")).await;
        held(&app, &["10.9.1.5", "10.9.1.130", "10.9.2.2"]).await;
        let path = format!("/ipam/subnets/{}/deletion", middle.id);
        let asked = operator.post(&path, &[]).await;
        assert_eq!(asked.status, 200);
        asked.shows("1 in use go to Top (10.9.0.0/16)");
        asked.shows("The 1 subnet inside stay");
        assert_eq!(app.number("SELECT count(*) FROM subnet").await, 3);
        let stale = operator.post(&path, &[("confirmed", "1"), ("version", "0")]).await;
        assert_eq!(stale.status, 412);
        let done = operator.post(&path, &[("confirmed", "1"), ("version", "1")]).await;
        assert_eq!((done.status, done.location()), (303, "/ipam/subnets"));
        assert_eq!(by_name(&app, "Low").await.parent, Some(by_name(&app, "Top").await.id));
        recounted(&app).await;
        let told = history(&app, "10.9.1.5").await;
        assert_eq!(told.last().unwrap(), r#"address.moved: {"subnet":"Middle (10.9.1.0/24)"} -> {"subnet":"Top (10.9.0.0/16)"}"#);
        assert_eq!(history(&app, "10.9.1.130").await.len(), 1, "who stays where they are has nothing to tell");

        let top = by_name(&app, "Top").await.id;
        let path = format!("/ipam/subnets/{top}/deletion");
        let refused = operator.post(&path, &[("confirmed", "1"), ("version", "1")]).await;
        assert_eq!(refused.status, 409);
        refused.shows("in no subnet any more: 10.9.1.5, 10.9.2.2");
        let done = operator.post(&path, &[("confirmed", "1"), ("version", "1"), ("force", "1")]).await;
        assert_eq!(done.status, 303);
        assert_eq!(history(&app, "10.9.2.2").await.last().unwrap(), r#"address.orphaned: {"subnet":"Top (10.9.0.0/16)"} -> {"subnet":"no subnet"}"#);
        recounted(&app).await;
        // A new subnet takes them in again.
        made(&app, &spec("New", "10.9.0.0/22")).await;
        assert!(history(&app, "10.9.2.2").await.last().unwrap().contains("New (10.9.0.0/22)"));
        recounted(&app).await;
    }

    async fn a_subnet_that_moves_or_grows_takes_exactly_its_own_addresses_along(app: TestApp) {
        let outer = made(&app, &spec("Outer", "10.0.0.0/12")).await;
        let own = made(&app, &spec("Own", "10.1.0.0/16")).await;
        let child = made(&app, &spec("Child", "10.1.2.0/24")).await;
        held(&app, &["10.0.0.9", "10.1.0.9", "10.1.2.9", "10.1.3.9"]).await;
        let resize = async |id: SubnetId, name: &str, cidr: &str, force: bool| {
            let spec = spec(name, cidr);
            change(&app, async |space| subnets::update(space, id, None, &spec, true, force).await).await.map(|(_, effects)| effects)
        };
        // Around the one that was around it.
        resize(own.id, "Own", "10.0.0.0/8", true).await.unwrap();
        recounted(&app).await;
        assert_eq!(by_name(&app, "Child").await.parent, Some(outer.id));
        // Into the one that was inside it.
        let refused = resize(own.id, "Own", "10.1.2.0/25", false).await;
        assert!(refused.is_ok(), "Outer takes what is left behind: {refused:?}");
        recounted(&app).await;
        assert_eq!(by_name(&app, "Own").await.parent, Some(child.id));
        // Shrunk, with a child left outside.
        resize(own.id, "Own", "10.1.0.0/16", false).await.unwrap();
        let effects = resize(own.id, "Own", "10.1.0.0/23", false).await.unwrap();
        assert_eq!(effects.moved, [("Outer (10.0.0.0/12)".to_owned(), 1)]);
        assert_eq!(by_name(&app, "Child").await.parent, Some(outer.id));
        recounted(&app).await;
        // Nobody around: what is left behind must be meant.
        let refused = resize(outer.id, "Outer", "10.1.0.0/17", false).await;
        let Err(Refusal::Harm(effects)) = refused else { panic!("{refused:?}") };
        assert_eq!(effects.orphaned, ["10.0.0.9"]);
        recounted(&app).await;
        // And back over an orphan.
        resize(outer.id, "Outer", "10.1.0.0/17", true).await.unwrap();
        assert_eq!(history(&app, "10.0.0.9").await.len(), 2);
        recounted(&app).await;
        resize(outer.id, "Outer", "10.0.0.0/11", false).await.unwrap();
        recounted(&app).await;
    }

    async fn a_gateway_that_moves_frees_one_address_and_withholds_another(app: TestApp) {
        for (name, cidr, first, second, usable) in [
            ("four", "10.2.0.0/28", "10.2.0.1", "10.2.0.14", 14), ("pair", "10.2.1.0/31", "10.2.1.0", "10.2.1.1", 2),
            ("one", "10.2.2.2/32", "10.2.2.2", "10.2.2.2", 1), ("six", "2001:db8:2::/124", "2001:db8:2::1", "2001:db8:2::f", 15),
            ("link", "2001:db8:3::/127", "2001:db8:3::", "2001:db8:3::1", 2), ("last", "2001:db8:4::4/128", "2001:db8:4::4", "2001:db8:4::4", 1),
        ] {
            let plain = spec(name, cidr);
            let subnet = made(&app, &plain).await;
            assert_eq!(recounted(&app).await[cidr].free, usable, "{cidr}");
            for gateway in [first, second] {
                let new = Spec { gateway: Some(gateway.parse().unwrap()), ..plain.clone() };
                change(&app, async |space| subnets::update(space, subnet.id, None, &new, false, false).await).await.unwrap();
                assert_eq!(recounted(&app).await[cidr].free, usable - 1, "{cidr} {gateway}");
            }
        }
    }

    async fn many_subnets_in_one_pool_leave_the_right_gaps(app: TestApp) {
        change(&app, async |space| {
            subnets::create(space, &spec("Ten", "10.0.0.0/8"), true, true).await?;
            for n in 0..200 {
                subnets::create(space, &spec(&format!("n{n}"), &format!("10.{n}.7.0/24")), true, true).await?;
            }
            Ok(())
        }).await.unwrap();
        let counts = recounted(&app).await;
        // Each of the 200 has a network and a broadcast address of its own.
        assert_eq!(counts["10.0.0.0/8"].free, (1 << 24) - 2 - 400);
        assert_eq!(app.number("SELECT count(*) FROM gap").await, 200 + 201);
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
