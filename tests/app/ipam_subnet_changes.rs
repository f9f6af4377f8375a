//! Subnets that change their size, split, merge or go, and what becomes of their addresses.

use patchbay::auth::Role;
use patchbay::id::SubnetId;
use patchbay::ipam::subnets::{self, Refusal, Spec};
use serde_json::json;

use crate::ipam_subnets::{add, by_name, change, create, held, made, recounted, reserved, spec};
use crate::support::app::{TestApp, both_databases};

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

async fn history(app: &TestApp, address: &str) -> Vec<String> {
    app.texts(&format!(
        "SELECT action || ': ' || before_json || ' -> ' || after_json FROM audit_event
         WHERE subject_id = '{address}' ORDER BY seq"
    ))
    .await
}

both_databases! {
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
}
