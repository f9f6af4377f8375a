//! Lives of addresses: many who want one at once, prefixes out of a well-used block, and lists of
//! very many.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use patchbay::audit::{Actor, Event, Via};
use patchbay::db::Db;
use patchbay::ipam::prefixes::{self, NewPool};
use patchbay::ipam::space::Space;
use patchbay::lifecycle::job;
use patchbay::state::State;
use serde_json::json;

use crate::fixture::{Fixtures, databases};
use crate::http::Client;
use crate::ipam::after_changes;
use crate::ipam_seed as seed;
use crate::lab::Postgres;
use crate::lives;
use crate::program::{NAME, PASSWORD, Program, Site};
use crate::report::{Report, Times, shown};

/// Who asks at once, and how often in all.
pub const CLIENTS: usize = 64;
const ASKED: usize = 6_400;
const MANY: u32 = 100_000;

pub async fn run(
    report: &mut Report,
    fixtures: &Fixtures,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<()> {
    for database in databases(wanted) {
        if wanted("lifecycle-allocate") {
            allocate(report, fixtures, database).await?;
        }
        if wanted("lifecycle-life") {
            lives::run(report, fixtures, database).await?;
        }
        if wanted("lifecycle-prefix") {
            prefix(report, fixtures, database).await?;
        }
        if wanted("lifecycle-list") {
            lists(report, fixtures, database).await?;
        }
    }
    Ok(())
}

pub fn site(fixtures: &Fixtures, database: &str) -> anyhow::Result<(Site, String)> {
    let mut site = Site::new(&fixtures.directory()?);
    if database == "PostgreSQL" {
        site = site.on(&tokio::task::block_in_place(Postgres::database));
    }
    let token = site.administrator()?;
    Ok((site, token))
}

/// One /16 and 64 clients.
async fn allocate(report: &mut Report, fixtures: &Fixtures, database: &str) -> anyhow::Result<()> {
    let (site, token) = site(fixtures, database)?;
    let program = site.serve(&format!("allocate, {database}")).await?;
    let mut script = Client::with_token(program.address, &token);
    let wide = json!({ "name": "Rush", "cidr": "10.20.0.0/16" });
    let made = script.post("/api/v1/subnets", &wide).await?;
    ensure!(made.status == 201, "{} {}", made.status, made.text());
    let began = Instant::now();
    let tasks = (0..CLIENTS).map(|client| {
        let mut script = script.twin();
        tokio::spawn(async move {
            let mut got = Vec::new();
            for n in 0..ASKED / CLIENTS {
                let body = json!({ "subscriber_id": format!("c{client}-{n}") });
                let sent = Instant::now();
                let answer = script.post("/api/v1/network/ipv4-lifecycle/allocate", &body).await?;
                ensure!(answer.status == 201, "{} {}", answer.status, answer.text());
                let address = answer.json()?["address"].as_str().context("no address")?.to_owned();
                got.push((address, sent.elapsed()));
            }
            anyhow::Ok(got)
        })
    });
    let mut got = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        got.extend(task.await??);
    }
    let took = began.elapsed();
    let distinct: BTreeSet<&str> = got.iter().map(|(address, _)| address.as_str()).collect();
    let duplicates = got.len() - distinct.len();
    let times = Times::of(got.iter().map(|(_, took)| *took).collect());
    let rate = f64::from(u32::try_from(got.len())?) / took.as_secs_f64();
    report.add(
        &format!("allocate, one /16, {CLIENTS} clients, {database}"),
        &format!("{rate:.0}/s, p99 {}, {duplicates} duplicates", shown(times.p99())),
        ">= 500/s, p99 <= 150 ms, 0",
        rate >= 500.0 && times.p99() <= Duration::from_millis(150) && duplicates == 0,
        &format!("{ASKED} calls; p50 {}", shown(times.median())),
    );
    lives(report, database, &program, &script).await?;
    program.stop().await
}

/// The other operations on what was allocated, by the same clients.
async fn lives(
    report: &mut Report,
    database: &str,
    program: &Program,
    script: &Client,
) -> anyhow::Result<()> {
    let _ = program;
    let began = Instant::now();
    let tasks = (0..CLIENTS).map(|client| {
        let mut script = script.twin();
        tokio::spawn(async move {
            let mut done = 0_u32;
            for n in 0..ASKED / CLIENTS / 2 {
                let body = json!({ "subscriber_id": format!("c{client}-{n}") });
                for word in ["activate", "suspend", "reactivate", "revoke"] {
                    let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
                    let answer = script.post(&path, &body).await?;
                    ensure!(answer.status == 200, "{word}: {} {}", answer.status, answer.text());
                    done += 1;
                }
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await??;
    }
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    report.add(
        &format!("activate, suspend, reactivate, revoke, {CLIENTS} clients, {database}"),
        &format!("{rate:.0} operations/s"),
        ">= 400/s",
        rate >= 400.0,
        &format!("{done} calls; no outside system is switched on"),
    );
    Ok(())
}

/// One statement for either database.
async fn sql(state: &State, sqlite: String, postgres: String) -> anyhow::Result<()> {
    let text = if matches!(state.db, Db::Sqlite { .. }) { sqlite } else { postgres };
    let mut tx = state.db.write().await?;
    tx.query(Box::leak(text.into_boxed_str())).run().await?;
    Ok(tx.commit().await?)
}

/// A /32 of which 100,000 prefixes are out, with a gap after each that is too small: the worst
/// there can be.
async fn prefix(report: &mut Report, fixtures: &Fixtures, database: &str) -> anyhow::Result<()> {
    let (site, token) = site(fixtures, database)?;
    let state = seed::open(&site).await?;
    let mut change = state.change(&Actor::local("bench", Via::CommandLine)).await?;
    let mut space = Space::open(&mut change, state.vault.entropy()).await?;
    let (name, cidr) = ("Customers".parse()?, "2001:db8::/32".parse()?);
    let new = NewPool { name, cidr, delegated: "56".parse()? };
    let pool = prefixes::create(&mut space, &new).await?;
    space.record(Event::new("bench.filled", &"bench", &"bench"));
    space.close().await?;
    change.commit().await?;
    // Prefixes are /57s, of which every second is free; n counts the pairs, the /56s.
    let key = |number: &str, sqlite: bool| {
        if sqlite {
            format!("unhex('20010db8' || printf('%08x', {number}) || '0000000000000000')")
        } else {
            format!(
                "decode('20010db8' || lpad(to_hex({number}), 8, '0') || '0000000000000000', 'hex')"
            )
        }
    };
    let last = |number: &str, sqlite: bool| {
        if sqlite {
            format!("unhex('20010db8' || printf('%08x', {number}) || 'ffffffffffffffff')")
        } else {
            format!(
                "decode('20010db8' || lpad(to_hex({number}), 8, '0') || 'ffffffffffffffff', 'hex')"
            )
        }
    };
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {}) ",
        MANY - 1
    );
    let gaps = |sqlite| {
        format!(
            "INSERT INTO prefix_gap (pool_id, first_key, last_key, fits) {numbers}
             SELECT '{}', {}, {}, 57 FROM numbers",
            pool.id,
            key("n * 256 + 128", sqlite),
            last("n * 256 + 255", sqlite)
        )
    };
    let lives = |sqlite| {
        format!(
            "INSERT INTO assignment (id, tenant_id, family, state, live, first_key, last_key, length, pool_id, holder_kind,
                 holder_id, holder_name, holder_key, role, hostname, mac, reason, ending, metadata, since, created_at, updated_at)
             {numbers} SELECT 'p' || n, 'a0000000-0000-0000-0000-000000000000', 'prefix', 'active', TRUE, {}, {}, 57, '{}',
                 'external', 'p' || n, 'P ' || n, 'p ' || n, 'primary', '', '', '', '', '{{}}', 1700000000, 1700000000, 1700000000
             FROM numbers",
            key("n * 256", sqlite),
            last("n * 256 + 127", sqlite),
            pool.id
        )
    };
    let rest = |sqlite| {
        let first = key(&(MANY * 256).to_string(), sqlite);
        format!(
            "UPDATE prefix_gap SET first_key = {first}, fits = 33 WHERE pool_id = '{}'",
            pool.id
        )
    };
    sql(&state, rest(true), rest(false)).await?;
    sql(&state, gaps(true), gaps(false)).await?;
    sql(&state, lives(true), lives(false)).await?;
    sql(&state, "ANALYZE".to_owned(), "ANALYZE".to_owned()).await?;
    state.db.close().await;
    let program = site.serve(&format!("prefixes, {database}")).await?;
    let mut script = Client::with_token(program.address, &token);
    let mut times = Vec::new();
    for n in 0..220 {
        let body = json!({ "subscriber_id": format!("q{n}"), "prefix_size": 56 });
        let began = Instant::now();
        let answer = script.post("/api/v1/network/ipv6-lifecycle/allocate", &body).await?;
        let took = began.elapsed();
        ensure!(answer.status == 201, "{} {}", answer.status, answer.text());
        // The first ones are for warming up.
        if n >= 20 {
            times.push(took);
        }
    }
    let times = Times::of(times);
    report.add(
        &format!("a /56 from a /32 with 100,000 delegations, {database}"),
        &format!("p50 {}, p99 {}", shown(times.median()), shown(times.p99())),
        "p50 <= 5 ms",
        times.median() <= Duration::from_millis(5),
        "the whole call, one at a time; 100,000 gaps below are too small",
    );
    program.stop().await
}

/// 100,000 live assignments of every state.
async fn lists(report: &mut Report, fixtures: &Fixtures, database: &str) -> anyhow::Result<()> {
    let (site, token) = site(fixtures, database)?;
    let state = seed::open(&site).await?;
    fill(&state).await?;
    let began = Instant::now();
    job::figures(&state).await?;
    let pass = began.elapsed();
    report.add(
        &format!("metrics pass, 100,000 live, {database}"),
        &shown(pass),
        "<= 200 ms",
        pass <= Duration::from_millis(200),
        "the job, in this process",
    );
    state.db.close().await;
    let program = site.serve(&format!("assignments, {database}")).await?;
    let browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let script = Client::with_token(program.address, &token);
    let pages = [
        "",
        "state=active",
        "state=suspended&sort=address",
        "family=ipv4&holder=external",
        "sort=holder",
        "sort=-address",
        "q=10.40.3.",
        "q=10.40.3.77",
        "q=customer+00777",
        "q=c00042",
        "page=1000",
        "page=2000&sort=holder",
    ];
    let pages: Vec<String> = pages.iter().map(|query| format!("/lifecycle?{query}")).collect();
    let calls = [
        "ipv4-lifecycle?",
        "ipv4-lifecycle?state=suspended",
        "ipv4-lifecycle?q=10.40.3.",
        "ipv4-lifecycle/c00042",
        "ipv4-lifecycle/metrics",
    ];
    let calls: Vec<String> = calls.iter().map(|path| format!("/api/v1/network/{path}")).collect();
    for (who, client, paths) in [("pages", &browser, pages), ("calls", &script, calls)] {
        let mut all = Vec::new();
        let tasks = (0..8).map(|offset: usize| {
            let (mut client, paths) = (client.twin(), paths.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                for round in 0..=20 {
                    for step in 0..paths.len() {
                        let path = &paths[(step + offset) % paths.len()];
                        let began = Instant::now();
                        let answer = client.get(path).await?;
                        ensure!(
                            answer.status == 200,
                            "{path}: {} {}",
                            answer.status,
                            answer.text()
                        );
                        if round > 0 {
                            times.push(began.elapsed());
                        }
                    }
                }
                anyhow::Ok(times)
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            all.extend(task.await??);
        }
        let busy = Times::of(all);
        let mut client = client.twin();
        let mut slowest = (String::new(), Duration::ZERO);
        for path in &paths {
            let mut alone = Vec::new();
            for _ in 0..10 {
                let began = Instant::now();
                client.get(path).await?;
                alone.push(began.elapsed());
            }
            let median = Times::of(alone).median();
            if median > slowest.1 {
                slowest = (path.clone(), median);
            }
        }
        report.add(
            &format!("assignments, {who}: list, filter, metrics, 8 at once, {database}"),
            &format!("p50 {}, p99 {}", shown(busy.median()), shown(busy.p99())),
            "p99 <= 20 ms",
            busy.p99() <= Duration::from_millis(20),
            &format!("{} requests; slowest alone {} {}", busy.len(), slowest.0, shown(slowest.1)),
        );
    }
    moved(report, database, &browser, &script).await?;
    program.stop().await
}

/// A deep page each time when something has just changed.
async fn moved(
    report: &mut Report,
    database: &str,
    browser: &Client,
    script: &Client,
) -> anyhow::Result<()> {
    let times = after_changes(browser, script, "/lifecycle?page=2000&sort=holder").await?;
    report.note(
        &format!("assignments, deep page right after a change, {database}"),
        &format!("median {}", shown(times.median())),
        "what was known of the places of rows is not true any more; one at a time",
    );
    Ok(())
}

async fn fill(state: &State) -> anyhow::Result<()> {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {}) ",
        MANY - 1
    );
    // 10.40.0.0 and on: 0x0a280000.
    let text = |key: &str, number: &str| {
        format!(
            "INSERT INTO assignment (id, tenant_id, family, state, live, first_key, last_key, holder_kind, holder_id, holder_name,
                 holder_key, role, hostname, mac, reason, ending, metadata, since, allocated_at, created_at, updated_at)
             {numbers} SELECT 'f0000000-0000-7000-8000-' || {number}, 'a0000000-0000-0000-0000-000000000000', 'ipv4',
                 CASE WHEN n % 50 = 7 THEN 'suspended' WHEN n % 20 = 3 THEN 'allocated' ELSE 'active' END, TRUE, {key}, {key}, 'external',
                 'c' || substr({number}, 8), 'Customer ' || substr({number}, 8), 'customer ' || substr({number}, 8), 'primary', '', '', '', '',
                 '{{}}', 1700000000 + n, 1700000000 + n, 1700000000 + n, 1700000000 + n FROM numbers"
        )
    };
    let sqlite = text(
        "unhex('00000000000000000000ffff' || printf('%08x', 170393600 + n))",
        "printf('%012d', n)",
    );
    let postgres = text(
        "decode('00000000000000000000ffff' || lpad(to_hex(170393600 + n), 8, '0'), 'hex')",
        "lpad(CAST(n AS TEXT), 12, '0')",
    );
    sql(state, sqlite, postgres).await?;
    let tally = "INSERT INTO assignment_tally (tenant_id, family, holder_kind, state, entries)
        SELECT tenant_id, family, holder_kind, state, count(*) FROM assignment GROUP BY tenant_id, family, holder_kind, state";
    sql(state, tally.to_owned(), tally.to_owned()).await?;
    sql(state, "ANALYZE".to_owned(), "ANALYZE".to_owned()).await
}
