//! The dashboard and the alert rules against what the real program exports.

use std::collections::BTreeSet;
use std::path::Path;

use patchbay::auth::{self, Role};
use patchbay::id::TenantId;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Spec};
use serde_json::{Value, json};

use crate::support::app::tester;
use crate::support::server::Server;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana").join(path))
        .unwrap()
}

/// The figures an expression names, and the labels it names them with.
fn named(expression: &str) -> BTreeSet<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c: char| !plain(c));
    let ours =
        |word: &&str| ["ipv4_", "ipv6_", "netbox_"].iter().any(|start| word.starts_with(start));
    words.filter(ours).map(str::to_owned).collect()
}

/// The expressions of the alert rules, each with how long it must hold.
fn rules() -> Vec<(String, String, String)> {
    let text = file("alerts/ipv4-lifecycle.yml");
    let mut rules = Vec::new();
    for rule in text.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap().trim().to_owned();
        let expression = rule.split_once("expr: ").unwrap().1.split_once("for: ").unwrap();
        let held = expression.1.lines().next().unwrap().trim().to_owned();
        let flat = expression.0.replace(">-", "").split_whitespace().collect::<Vec<_>>().join(" ");
        rules.push((name, flat, held));
    }
    rules
}

#[test]
fn the_rules_have_the_thresholds_that_were_asked_for() {
    let rules = rules();
    let rule =
        |name: &str| rules.iter().find(|rule| rule.0 == name).unwrap_or_else(|| panic!("{name}"));
    for (name, end, held) in [
        ("IPv4PoolNearlyFull", "> 85", "10m"),
        ("IPv4PoolFilling", "> 80", "10m"),
        ("IPv4AddressLeak", "> 10", "1h"),
        ("IPv4AllocationFailures", "> 10", "5m"),
    ] {
        assert!(rule(name).1.ends_with(end), "{:?}", rule(name));
        assert_eq!(rule(name).2, held);
    }
    assert!(rule("NetBoxNotInStep").1.contains("< 95"));
    assert_eq!(rules.len(), 5);
}

#[test]
fn the_dashboard_has_the_ten_panels() {
    let dashboard: Value = serde_json::from_str(&file("dashboards/ipv4-lifecycle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let known: Vec<(&str, &str)> = panels
        .iter()
        .map(|panel| (panel["title"].as_str().unwrap(), panel["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        known,
        [
            ("IPv4 Lifecycle State Distribution", "piechart"),
            ("IPv4 Utilization Rate", "gauge"),
            ("IPv4 Pool Utilization", "gauge"),
            ("IPv4 Allocation Rate", "timeseries"),
            ("IPv4 Revocation Rate", "timeseries"),
            ("IPv4 Address Leaks", "stat"),
            ("NetBox Integration Rate", "stat"),
            ("IPv4 Allocation Duration p95", "stat"),
            ("IPv4 Revocation Duration p95", "stat"),
            ("IPv4 Lifecycle State Timeline", "timeseries"),
        ]
    );
}

/// Every instance publishes what it was told: a sum over instances would count things twice.
#[test]
fn figures_are_taken_from_one_instance() {
    let dashboard: Value = serde_json::from_str(&file("dashboards/ipv4-lifecycle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let panels = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut all: Vec<String> =
        panels.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    all.extend(rules().into_iter().map(|rule| rule.1));
    for gauge in [
        "ipv4_lifecycle_state_total",
        "ipv4_pool_utilization_percent",
        "ipv4_utilization_percent",
        "ipv4_prefix_leak_total",
        "ipv4_netbox_integrated_count",
    ] {
        for expression in &all {
            for (at, _) in expression.match_indices(gauge) {
                let before = expression[..at].trim_end_matches('(').trim_end();
                let before = before.rsplit_once(" (").map_or(before, |(outer, labels)| {
                    if labels.ends_with(')') { outer } else { before }
                });
                assert!(before.ends_with("max by") || before.ends_with("max"), "{expression}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_dashboard_and_the_rules_name_is_on_the_metrics_page() {
    let server = Server::start();
    let state = server.state(0).await;
    let mut change = state.change(&tester()).await.unwrap();
    let name = "ann".parse().unwrap();
    auth::create(&mut change, &state.vault, TenantId::DEFAULT, &name, Role::Admin).await.unwrap();
    let label = "script".parse().unwrap();
    let token = auth::issue_token(&mut change, &state.vault, &name, &label, Role::Admin, None)
        .await
        .unwrap();
    let mut space = Space::open(&mut change, state.vault.entropy()).await.unwrap();
    let spec = Spec::new("Voice \"B\"".parse().unwrap(), "10.20.5.0/28".parse().unwrap());
    subnets::create(&mut space, &spec, false, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    crate::support::trust();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (word, who) in [
        ("allocate", "a"),
        ("activate", "a"),
        ("allocate", "b"),
        ("revoke", "b"),
        ("allocate", "a"),
    ] {
        let path = format!("{}/api/v1/network/ipv4-lifecycle/{word}", server.url);
        let answer =
            client.post(path).bearer_auth(&token).json(&json!({ "subscriber_id": who })).send();
        assert!(answer.await.unwrap().status().as_u16() < 500);
    }
    // By the page of a phone an address is allocated too.
    let phone = json!({ "mac": "001565123456", "model": "T46S", "subnet": "10.20.5.0/28", "static_ip": "next" });
    let path = format!("{}/api/v1/phones", server.url);
    let answer = client.post(path).bearer_auth(&token).json(&phone).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    // The clock counts every five minutes; somebody asks for it now.
    let mut tries = 0;
    let page = loop {
        let mut tx = state.db.write().await.unwrap();
        tx.query("UPDATE job SET requested = 'test' WHERE name = 'lifecycle.metrics'")
            .run()
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let page = client
            .get(format!("{}/metrics", server.url))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        if page.contains("ipv4_lifecycle_state_total") {
            break page;
        }
        tries += 1;
        assert!(tries < 600, "the figures never came: {page}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let exported: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard: Value = serde_json::from_str(&file("dashboards/ipv4-lifecycle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = expressions.map(|target| target["expr"].as_str().unwrap().to_owned());
    let mut all: BTreeSet<String> = expressions.flat_map(|expression| named(&expression)).collect();
    all.extend(rules().iter().flat_map(|rule| named(&rule.1)));
    for asked in [
        "ipv4_lifecycle_state_total",
        "ipv4_allocation_duration_seconds_bucket",
        "ipv4_revocation_duration_seconds_bucket",
        "ipv4_prefix_leak_total",
        "ipv4_pool_utilization_percent",
    ] {
        assert!(all.contains(asked), "nothing shows {asked}");
    }
    let alerts = rules().into_iter().map(|rule| rule.1).collect::<Vec<_>>().join("\n");
    assert!(!alerts.contains("already"), "who has one already is no failure of ours");
    for name in &all {
        assert!(exported.contains(name.as_str()), "{name} is not on the page:\n{page}");
    }
    for line in [
        r#"ipv4_lifecycle_state_total{tenant_id="a0000000-0000-0000-0000-000000000000",kind="address",state="active"} 1"#,
        r#"ipv4_lifecycle_operations_total{operation="allocate",status="success"} 3"#,
        r#"ipv4_lifecycle_operations_total{operation="allocate",status="already"} 1"#,
        r#"ipv4_lifecycle_operations_total{operation="complete",status="success"} 1"#,
        r"ipv4_allocation_duration_seconds_count 3",
        r"ipv4_revocation_duration_seconds_count 1",
        r#"range="10.20.5.0/28"} "#,
    ] {
        assert!(page.contains(line), "{line}:\n{page}");
    }
}
