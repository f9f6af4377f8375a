//! The dashboard and the alert rules against what the real program exports.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a page of metrics shows: of each figure the labels of each of its series.
struct Shown(BTreeMap<String, Vec<BTreeMap<String, String>>>);

impl Shown {
    fn on(page: &str) -> Self {
        let mut all: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
        for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut query = Query::over(line);
            let name = query.word().unwrap_or_else(|| panic!("no figure: {line}"));
            let labels = query.matchers().into_iter().map(|(label, _, value)| (label, value));
            all.entry(name).or_default().push(labels.collect());
        }
        Self(all)
    }

    /// The labels a figure has.
    fn labels(&self, name: &str) -> BTreeSet<String> {
        let series = self.0.get(name).unwrap_or_else(|| panic!("{name} is not on the page"));
        series.iter().flat_map(|labels| labels.keys().cloned()).collect()
    }

    /// The values a label of a figure has.
    fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        self.0[name].iter().filter_map(|labels| labels.get(label)).map(String::as_str).collect()
    }
}

/// As much of Prometheus' language as the dashboard and the rules are written in, read to the end:
/// every figure, and every label it is asked by, must be on the page. What comes of an expression
/// is the labels of its result; a number has none.
struct Query<'t> {
    rest: &'t str,
    /// The figures it names.
    named: BTreeSet<String>,
}

type Labels = Option<BTreeSet<String>>;

/// Operators of each precedence, the loosest first.
const OPERATORS: [&[&str]; 4] = [&["and"], &["==", "<", ">"], &["+", "-"], &["*", "/"]];

impl<'t> Query<'t> {
    fn over(text: &'t str) -> Self {
        Self { rest: text, named: BTreeSet::new() }
    }

    /// The labels of what comes of a whole expression, and the figures it names.
    fn read(text: &'t str, shown: &Shown) -> (Labels, BTreeSet<String>) {
        let mut query = Self::over(text);
        let labels = query.operation(0, shown);
        assert_eq!(query.rest.trim(), "", "not understood, in: {text}");
        (labels, query.named)
    }

    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(token) else { return false };
        let word = token.ends_with(|c: char| c.is_ascii_alphanumeric());
        if word && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn must(&mut self, token: &str) {
        assert!(self.take(token), "{token} is missing at: {}", self.rest);
    }

    fn word(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c: char| !plain(c)).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = &rest[end..];
        Some(word)
    }

    /// `(a, b)`.
    fn list(&mut self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        self.must("(");
        while let Some(word) = self.word() {
            all.insert(word);
            self.take(",");
        }
        self.must(")");
        all
    }

    /// `{label="value", …}`, with the operator of each.
    fn matchers(&mut self) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        if !self.take("{") {
            return all;
        }
        while let Some(label) = self.word() {
            let operators = ["=~", "!~", "!=", "="];
            let operator = operators.into_iter().find(|operator| self.take(operator));
            let operator = operator.unwrap_or_else(|| panic!("no operator at: {}", self.rest));
            self.must("\"");
            let (mut value, mut escaped) = (String::new(), false);
            loop {
                let letter = self.rest.chars().next().unwrap();
                self.rest = &self.rest[letter.len_utf8()..];
                match letter {
                    '"' if !escaped => break,
                    '\\' if !escaped => escaped = true,
                    letter => {
                        value.push(letter);
                        escaped = false;
                    }
                }
            }
            all.push((label, operator.to_owned(), value));
            self.take(",");
        }
        self.must("}");
        all
    }

    fn operation(&mut self, level: usize, shown: &Shown) -> Labels {
        let Some(operators) = OPERATORS.get(level) else { return self.operand(shown) };
        let mut left = self.operation(level + 1, shown);
        while let Some(operator) = operators.iter().find(|operator| self.take(operator)) {
            let on = if self.take("on") { Some(self.list()) } else { None };
            let right = self.operation(level + 1, shown);
            if let (Some(one), Some(other)) = (&left, &right) {
                match &on {
                    Some(on) => assert!(
                        on.is_subset(one) && on.is_subset(other),
                        "{on:?} is not in {one:?} and {other:?}"
                    ),
                    None => assert_eq!(one, other, "nothing matches by {operator}"),
                }
            }
            left = left.or(right);
        }
        left
    }

    fn operand(&mut self, shown: &Shown) -> Labels {
        if self.take("(") {
            let inner = self.operation(0, shown);
            self.must(")");
            return inner;
        }
        let Some(word) = self.word() else {
            let rest = self.rest.trim_start();
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            rest[..end].parse::<f64>().unwrap_or_else(|_| panic!("no operand at: {rest}"));
            self.rest = &rest[end..];
            return None;
        };
        match word.as_str() {
            "sum" | "max" => {
                let by = if self.take("by") { self.list() } else { BTreeSet::new() };
                let inner = self.operand(shown).unwrap();
                assert!(by.is_subset(&inner), "{word} by {by:?} of {inner:?}");
                Some(by)
            }
            "topk" | "histogram_quantile" => {
                self.must("(");
                assert_eq!(self.operation(0, shown), None, "a number comes first");
                self.must(",");
                let mut inner = self.operation(0, shown).unwrap();
                self.must(")");
                if word == "histogram_quantile" {
                    assert!(inner.remove("le"), "{inner:?} has no buckets");
                }
                Some(inner)
            }
            "rate" => {
                self.must("(");
                let inner = self.operation(0, shown);
                self.must("[");
                let range = self.rest.split(']').next().unwrap();
                assert!(
                    range.ends_with('m') && range[..range.len() - 1].parse::<u8>().is_ok(),
                    "{range}"
                );
                self.rest = &self.rest[range.len()..];
                self.must("]");
                self.must(")");
                inner
            }
            _ => Some(self.figure(word, shown)),
        }
    }

    fn figure(&mut self, name: String, shown: &Shown) -> BTreeSet<String> {
        let labels = shown.labels(&name);
        for (label, operator, value) in self.matchers() {
            assert!(labels.contains(&label), "{name} has no {label}, only {labels:?}");
            let known = shown.values(&name, &label);
            let wanted: Vec<&str> =
                if operator == "=~" { value.split('|').collect() } else { vec![&value] };
            if value.starts_with('$') {
                continue;
            }
            // Not every outcome came about here, but of each question one that is asked for.
            let there = wanted.iter().filter(|value| known.contains(*value)).count();
            let least = if label == "status" { 1 } else { wanted.len() };
            assert!(there >= least, "{name} has {label} {known:?}, not {wanted:?}");
        }
        self.named.insert(name);
        labels
    }
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
        ("NetBoxNotInStep", "< 95 and on (tenant_id) netbox_enabled == 1", "30m"),
    ] {
        assert!(rule(name).1.ends_with(end), "{:?}", rule(name));
        assert_eq!(rule(name).2, held);
    }
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

/// A legend or a sentence names only labels that the result has.
fn has_all<'t>(labels: &Labels, named: impl Iterator<Item = &'t str>) {
    for text in named {
        let label = text.trim_start().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let label = label.into_iter().next().unwrap();
        let has = labels.as_ref().is_some_and(|labels| labels.contains(label));
        assert!(has, "{label} is not in {labels:?}");
    }
}

/// What is read of expressions is what they mean, and what is wrong with them is found.
#[test]
fn expressions_are_read_with_their_labels() {
    let page = "# TYPE a counter\na{x=\"1\",y=\"q \\\"B\\\"\"} 4\na{x=\"2\",y=\"z\"} 5\nb{x=\"1\"} 1\nc_bucket{le=\"0.1\"} 1\n";
    let shown = Shown::on(page);
    let labels = |text: &str| {
        Query::read(text, &shown).0.map(|labels| labels.into_iter().collect::<Vec<_>>().join(" "))
    };
    for (text, known) in [
        ("100", None),
        ("a", Some("x y")),
        ("a{y=\"q \\\"B\\\"\"}", Some("x y")),
        ("100 * sum by (x) (rate(a{x=~\"1|2\"}[5m])) / max by (x) (b) > 10", Some("x")),
        ("max(a{x=~\"$any\"})", Some("")),
        ("topk(8, a and on(x) b == 1)", Some("x y")),
        ("histogram_quantile(0.95, sum by (le) (rate(c_bucket[5m])))", Some("")),
    ] {
        assert_eq!(labels(text).as_deref(), known, "{text}");
    }
    for wrong in [
        "d",
        "a{z=\"1\"}",
        "a{x=\"3\"}",
        "a{x=~\"1|3\"}",
        "sum by (z) (a)",
        "a / b",
        "a and on(y) b",
        "max(a",
        "a b",
        "rate(a)",
        "histogram_quantile(0.95, a)",
        "sum by (x) (sum by (y) (a))",
    ] {
        assert!(std::panic::catch_unwind(|| Query::read(wrong, &shown)).is_err(), "{wrong}");
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
    // One that is refused.
    let path = format!("{}/api/v1/network/ipv4-lifecycle/allocate", server.url);
    let wish = json!({ "subscriber_id": "c", "requested_address": "10.20.5.0" });
    let answer = client.post(path).bearer_auth(&token).json(&wish).send().await.unwrap();
    assert_eq!(answer.status(), 409);
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
    let shown = Shown::on(&page);
    let mut all = BTreeSet::new();
    let dashboard: Value = serde_json::from_str(&file("dashboards/ipv4-lifecycle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let (labels, named) = Query::read(target["expr"].as_str().unwrap(), &shown);
        let legend = target["legendFormat"].as_str().unwrap_or_default();
        has_all(&labels, legend.split("{{").skip(1));
        all.extend(named);
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let asked = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        let (name, label) = asked.split_once(", ").unwrap();
        assert!(shown.labels(name).contains(label), "{query}");
    }
    for (name, expression, _) in rules() {
        let (labels, named) = Query::read(&expression, &shown);
        let text = file("alerts/ipv4-lifecycle.yml");
        let rule = text.split("- alert: ").find(|rule| rule.starts_with(&name)).unwrap();
        has_all(&labels, rule.split("$labels.").skip(1));
        all.extend(named);
    }
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
