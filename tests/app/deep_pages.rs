//! Pages deep in long lists are reached from rows whose place is known. Whatever way leads to them,
//! together they are the list: no row is missing and none is there twice.

use std::fmt::Write as _;
use std::net::IpAddr;

use patchbay::auth::Role;
use serde_json::{Value, json};

use crate::support::app::{Script, TestApp, both_databases};

/// The rows of a page.
async fn page(script: &Script<'_>, list: &str, rows: &str, size: usize, page: usize) -> Vec<Value> {
    let answer = script.get(&format!("{list}&size={size}&page={page}")).await;
    assert_eq!(answer.status, 200, "{list}: {}", answer.text);
    answer.json()[rows].as_array().unwrap().clone()
}

/// The pages of a list in an order in which nobody would look at them; the last, the first and
/// neighbours in both directions among them. Put together they must be `expected`.
async fn is_whole(script: &Script<'_>, list: &str, rows: &str, size: usize, expected: &[Value]) {
    let pages = expected.len().div_ceil(size);
    let mut order: Vec<usize> = (0..pages).map(|n| (n * 7 + pages / 2) % pages).collect();
    order.sort_unstable();
    order.dedup();
    let (low, high) = order.split_at(order.len() / 2);
    let order = high.iter().chain(low.iter().rev()).chain(high.iter().rev()).copied();
    for n in order.collect::<Vec<_>>() {
        let found = page(script, list, rows, size, n + 1).await;
        let those = expected.iter().skip(n * size).take(size);
        let name = |row: &Value| row["address"].as_str().unwrap().to_owned();
        let (found, those): (Vec<_>, Vec<_>) =
            (found.iter().map(name).collect(), those.map(name).collect());
        assert_eq!(found, those, "{list}, page {} of {pages}", n + 1);
    }
    assert_eq!(page(script, list, rows, size, pages + 1).await, Vec::<Value>::new(), "{list}");
}

fn address(row: &Value) -> IpAddr {
    row["address"].as_str().unwrap().parse().unwrap()
}

/// As lists sort by a text: those without come last, whichever way round.
fn by_text(rows: &mut [Value], column: &str, down: bool) {
    rows.sort_by(|a, b| {
        let key =
            |row: &Value| (row[column].as_str().unwrap_or_default().to_lowercase(), address(row));
        let (a, b) = (key(a), key(b));
        match (a.0.is_empty(), b.0.is_empty()) {
            (false, false) if down => b.cmp(&a),
            (one, other) if one != other => one.cmp(&other),
            _ => a.cmp(&b),
        }
    });
}

/// 1,900 addresses, of which several have the same host name and some none, or no MAC.
async fn fill_addresses(script: &Script<'_>) -> Vec<Value> {
    let subnet = json!({ "name": "Wide", "cidr": "10.9.0.0/16", "static_pools": [] });
    let made = script.send("POST", "/api/v1/subnets", &subnet).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut file = "address,status,hostname,mac,holder,description\n".to_owned();
    let mut rows = Vec::new();
    for n in 0..1_900 {
        let address = format!("10.9.{}.{}", n / 200, n % 200 + 1);
        let hostname = if n % 4 == 1 { String::new() } else { format!("h{:04}", n * 37 % 900) };
        let mac = if n % 3 == 2 {
            String::new()
        } else {
            format!("00:15:65:00:{:02x}:{:02x}", n * 11 % 200, n % 256)
        };
        let _ = writeln!(file, "{address},allocated,{hostname},{mac},Somebody {n},");
        rows.push(json!({ "address": address, "hostname": hostname, "mac": mac }));
    }
    let import = script.ask("POST", "/api/v1/addresses/import").header("content-type", "text/csv");
    let answer = import.body(file).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    rows
}

/// 1,700 assignments, some of them over, with holders called the same.
async fn fill_assignments(app: &TestApp) {
    let key = |n: usize| {
        let number = format!("00000000000000000000ffff0a28{n:04x}");
        if app.is_sqlite() { format!("x'{number}'") } else { format!("'\\x{number}'") }
    };
    let row = |n: usize| {
        let (name, key) = (format!("Holder{:04}", n * 31 % 700), key(n));
        let state = ["active", "suspended", "allocated", "active", "revoked"][n % 5];
        let (live, ending) = (n % 5 != 4, if n % 5 == 4 { "free" } else { "" });
        format!(
            "('f0000000-0000-7000-8000-{n:012}', 'a0000000-0000-0000-0000-000000000000', 'ipv4', '{state}', {live}, {key}, {key},
              'external', 'c{n}', '{name}', '{}', 'primary', '', '', '', '{ending}', '{{}}', {}, 1, 1)",
            name.to_lowercase(),
            1_700_000_000 + n * 13 % 400
        )
    };
    let rows: Vec<String> = (0..1_700).map(row).collect();
    app.sql(&format!(
        "INSERT INTO assignment (id, tenant_id, family, state, live, first_key, last_key, holder_kind, holder_id, holder_name,
             holder_key, role, hostname, mac, reason, ending, metadata, since, created_at, updated_at) VALUES {}",
        rows.join(",")
    ))
    .await;
    app.sql(
        "INSERT INTO assignment_tally (tenant_id, family, holder_kind, state, entries)
         SELECT tenant_id, family, holder_kind, state, count(*) FROM assignment GROUP BY tenant_id, family, holder_kind, state",
    )
    .await;
}

both_databases! {
    async fn every_page_of_addresses_in_the_order_of_a_column_is_there_once(app: TestApp) {
        let script = app.script(Role::Admin).await;
        let mut rows = fill_addresses(&script).await;
        for size in [25, 200] {
            for (sort, column, down) in
                [("hostname", "hostname", false), ("-hostname", "hostname", true), ("mac", "mac", false), ("-mac", "mac", true)]
            {
                by_text(&mut rows, column, down);
                let list = format!("/api/v1/addresses?status=allocated&sort={sort}");
                is_whole(&script, &list, "entries", size, &rows).await;
            }
        }
        // One is renamed, from nearly the first to the last that has a name: all places behind move.
        by_text(&mut rows, "hostname", false);
        let (moved, list) = (rows.first_mut().unwrap(), "/api/v1/addresses?status=allocated&sort=hostname");
        let path = format!("/api/v1/addresses/{}", moved["address"].as_str().unwrap());
        let answer = script.send("PATCH", &path, &json!({ "hostname": "zzz" })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        moved["hostname"] = "zzz".into();
        by_text(&mut rows, "hostname", false);
        is_whole(&script, list, "entries", 200, &rows).await;
    }

    async fn every_page_of_assignments_is_there_once(app: TestApp) {
        fill_assignments(&app).await;
        let script = app.script(Role::Admin).await;
        let number = |n: usize| json!({ "address": format!("10.40.{}.{}", n / 256, n % 256) });
        let name = |n: usize| n * 31 % 700;
        let since = |n: usize| n * 13 % 400;
        for state in ["", "any", "active"] {
            let mut those: Vec<usize> = (0..1_700).collect();
            those.retain(|n| match state {
                "" => n % 5 != 4,
                "active" => n % 5 == 0 || n % 5 == 3,
                _ => true,
            });
            let sorts: [(&str, &dyn Fn(usize) -> usize); 3] =
                [("address", &|n| n), ("holder", &name), ("since", &since)];
            for (sort, key) in sorts {
                those.sort_by_key(|n| (key(*n), *n));
                for sort in [sort.to_owned(), format!("-{sort}")] {
                    let list = format!("/api/v1/network/ipv4-lifecycle?state={state}&sort={sort}");
                    let rows: Vec<Value> = those.iter().map(|n| number(*n)).collect();
                    is_whole(&script, &list, "assignments", 200, &rows).await;
                    is_whole(&script, &list, "assignments", 50, &rows).await;
                    those.reverse();
                }
            }
        }
        // One comes before all others: every place that is known was that of another row.
        let subnet = json!({ "name": "More", "cidr": "10.50.0.0/24" });
        assert_eq!(script.send("POST", "/api/v1/subnets", &subnet).await.status, 201);
        let first = json!({ "subscriber_id": "a" });
        let answer = script.send("POST", "/api/v1/network/ipv4-lifecycle/allocate", &first).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let mut those: Vec<usize> = (0..1_700).filter(|n| n % 5 != 4).collect();
        those.sort_by_key(|n| (name(*n), *n));
        let mut rows = vec![json!({ "address": "10.50.0.1" })];
        rows.extend(those.into_iter().map(number));
        let list = "/api/v1/network/ipv4-lifecycle?sort=holder";
        is_whole(&script, list, "assignments", 200, &rows).await;
    }
}
