//! Addresses: ten thousand subnets and a million addresses in use, through the front door.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::fixture::{Fixtures, databases};
use crate::http::Client;
use crate::ipam_seed as seed;
use crate::lab::Postgres;
use crate::memory;
use crate::program::{NAME, PASSWORD, Program, Site};
use crate::report::{Report, Times, shown};

const SUBNETS: u32 = 10_000;
/// The same cases with a hundredth of it, to see what grows.
const FEW: u32 = 100;
const AT_ONCE: usize = 8;
/// How often each client asks for each case.
const ROUNDS: usize = 25;

pub async fn run(
    report: &mut Report,
    fixtures: &Fixtures,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<()> {
    for database in databases(wanted) {
        if wanted("ipam-list") || wanted("ipam-export") {
            let few = filled(fixtures, database, FEW).await?;
            let many = filled(fixtures, database, SUBNETS).await?;
            if wanted("ipam-list") {
                let small = lists(report, database, &few, FEW).await?;
                let large = lists(report, database, &many, SUBNETS).await?;
                for ((kind, small), (_, large)) in small.into_iter().zip(large) {
                    growth(report, database, &format!("list, {kind}"), small, large);
                }
                subnet_pages(report, database, &many).await?;
                let small = single_takes(&few).await?;
                let large = single_takes(&many).await?;
                growth(report, database, "next free", small, large);
            }
            if wanted("ipam-export") {
                export(report, database, &many).await?;
            }
        }
        if wanted("ipam-next") {
            next_free(report, fixtures, database).await?;
        }
        if wanted("ipam-import") {
            let (few, many) = (100_000, 1_000_000);
            import(report, fixtures, database, few, Duration::from_secs(5)).await?;
            import_by_command(report, fixtures, database, few, Duration::from_secs(5)).await?;
            import_by_command(report, fixtures, database, many, Duration::from_mins(1)).await?;
        }
    }
    if wanted("ipam-list") || wanted("ipam-export") || wanted("ipam-next") {
        peer(report);
    }
    Ok(())
}

/// The same work as another program does it, for comparison. It is not run here: it wants a server
/// for its pages, another for its jobs, Redis and `PostgreSQL`, and minutes to set up.
fn peer(report: &mut Report) {
    const CONDITIONS: &str = "recorded, not measured now: NetBox 4.6.8, gunicorn with 4 workers of 3 threads, PostgreSQL 15, \
        1,000,000 addresses in 5,007 prefixes, 2 cores, 24 GiB, Debian 12, the page as HTML with 8 at once, straight at gunicorn";
    for (work, measured) in [
        ("first page", "p50 2,237 ms, p99 3,736 ms"),
        ("filtered by prefix and status", "p50 814 ms, p99 2,457 ms"),
        ("searched, hostname part", "p50 6,432 ms, p99 11,465 ms"),
        ("deep page", "p50 5,334 ms, p99 14,678 ms"),
        ("sorted by host name", "p50 1,933 ms, p99 5,604 ms"),
    ] {
        report.note(&format!("NetBox, addresses, {work}, 8 at once"), measured, CONDITIONS);
    }
    let conditions = "recorded, not measured now: as above, POST /api/ipam/prefixes/{id}/available-ips/ until full";
    report.note("NetBox, next free, one /20, 16 clients", "33-54/s, 0 duplicates", conditions);
    let conditions = "recorded, not measured now: as above with 100,000 addresses; nothing is sent before all is ready";
    report.note(
        "NetBox, 100,000 addresses exported, CSV",
        "first byte 126 s, 1,754 MiB",
        conditions,
    );
    let conditions = "recorded, not measured now: as above, by the form";
    report.note("NetBox, 10,000 addresses imported, CSV", "98.7 s", conditions);
}

/// An installation and a token of its administrator.
struct Filled {
    site: Site,
    token: String,
}

fn site(fixtures: &Fixtures, database: &str) -> anyhow::Result<Filled> {
    let mut site = Site::new(&fixtures.directory()?);
    if database == "PostgreSQL" {
        site = site.on(&tokio::task::block_in_place(Postgres::database));
    }
    let token = site.administrator()?;
    Ok(Filled { site, token })
}

async fn filled(fixtures: &Fixtures, database: &str, subnets: u32) -> anyhow::Result<Filled> {
    let filled = site(fixtures, database)?;
    let state = seed::open(&filled.site).await?;
    let began = Instant::now();
    seed::fill(&state, subnets).await?;
    state.db.close().await;
    eprintln!(
        "{database}: {subnets} subnets of 100 addresses in use made in {}",
        shown(began.elapsed())
    );
    Ok(filled)
}

/// What people ask for, by kind; `N` stands for the middle page.
fn cases(subnets: u32) -> Vec<(&'static str, Vec<String>)> {
    let pages = u64::from(subnets) * 151 / 25;
    let middle = pages / 2;
    let rows = u64::from(subnets) * 100;
    let third = subnets / 3;
    let (a, b) = (third / 256, third % 256);
    let text = |queries: &[&str]| queries.iter().map(ToString::to_string).collect::<Vec<_>>();
    vec![
        ("first page", text(&[""])),
        ("first page of 200 rows", text(&["size=200"])),
        (
            "deep page",
            vec![format!("page={middle}"), format!("page={pages}"), format!("page={}", middle / 2)],
        ),
        (
            "filtered",
            text(&[
                "status=reserved",
                "status=available",
                "status=quarantine&type=static",
                "active=yes",
                "conflict=yes",
                "status=allocated&page=100",
            ]),
        ),
        (
            "searched, address",
            vec![
                format!("q=10.{a}.{b}."),
                format!("q=10.{a}.{b}.77"),
                format!("q=10.{a}.{b}.0/26"),
                "q=10.0.".to_owned(),
            ],
        ),
        ("searched, MAC part", text(&["q=15:a4:c7", "q=00-15-b1-4f", "q=9e3779"])),
        (
            "searched, hostname part",
            vec![
                format!("q=s-{third:05}"),
                "q=46s-00077".to_owned(),
                "q=sip-t46s-0004242".to_owned(),
            ],
        ),
        ("searched, holder or note", text(&["q=person+4711", "q=room+7788"])),
        ("sorted", text(&["sort=hostname", "sort=-hostname", "sort=mac", "sort=-mac"])),
        (
            "deep page of a sorted list",
            vec![
                format!("sort=hostname&page={}", rows / 50),
                format!("sort=-mac&page={}", rows / 50),
            ],
        ),
    ]
}

/// Each kind of page with its median, one at a time.
async fn lists(
    report: &mut Report,
    database: &str,
    filled: &Filled,
    subnets: u32,
) -> anyhow::Result<Vec<(String, Duration)>> {
    let program = filled.site.serve(&format!("address list, {database}")).await?;
    let browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let script = Client::with_token(program.address, &filled.token);
    let mut medians = Vec::new();
    for (kind, queries) in cases(subnets) {
        for (who, path, client) in
            [("page", "/ipam/addresses", &browser), ("API", "/api/v1/addresses", &script)]
        {
            // Calls say true where pages say yes.
            let queries: Vec<String> = if who == "API" {
                queries.iter().map(|query| query.replace("=yes", "=true")).collect()
            } else {
                queries.clone()
            };
            let alone = ask(client, path, &queries, 1).await?;
            let busy = ask(client, path, &queries, AT_ONCE).await?;
            medians.push((format!("{kind}, {who}"), alone.median()));
            let addresses = u64::from(subnets) * 100;
            report.add(
                &format!(
                    "addresses, {kind}, {who}, {AT_ONCE} at once, {database}, {addresses} in use"
                ),
                &format!("p50 {}, p99 {}", shown(busy.median()), shown(busy.p99())),
                "p50 <= 5 ms, p99 <= 20 ms",
                busy.median() <= Duration::from_millis(5)
                    && busy.p99() <= Duration::from_millis(20),
                &format!(
                    "{} requests; one at a time p50 {}, p99 {}",
                    busy.len(),
                    shown(alone.median()),
                    shown(alone.p99())
                ),
            );
        }
    }
    let path = format!("/ipam/addresses?sort=hostname&page={}", u64::from(subnets) * 2);
    let moved = after_changes(&browser, &script, &path).await?;
    report.note(
        &format!(
            "addresses, deep page of a sorted list right after a change, {database}, {} in use",
            u64::from(subnets) * 100
        ),
        &format!("median {}", shown(moved.median())),
        "what was known of the places of rows is not true any more; one at a time",
    );
    program.stop().await?;
    Ok(medians)
}

/// A page each time when something has just changed.
pub async fn after_changes(browser: &Client, script: &Client, path: &str) -> anyhow::Result<Times> {
    let (mut browser, mut script) = (browser.twin(), script.twin());
    let mut times = Vec::new();
    for n in 0..ROUNDS {
        let other = json!({ "name": format!("Other {n}"), "cidr": format!("172.16.{n}.0/24") });
        let made = script.post("/api/v1/subnets", &other).await?;
        ensure!(made.status == 201, "{} {}", made.status, made.text());
        let began = Instant::now();
        let answer = browser.get(path).await?;
        times.push(began.elapsed());
        ensure!(answer.status == 200, "{path}: {}", answer.status);
    }
    Ok(Times::of(times))
}

async fn ask(
    client: &Client,
    path: &str,
    queries: &[String],
    clients: usize,
) -> anyhow::Result<Times> {
    let paths: Vec<String> = queries.iter().map(|query| format!("{path}?{query}")).collect();
    let tasks = (0..clients).map(|offset| {
        let (mut client, paths) = (client.twin(), paths.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            for round in 0..=ROUNDS {
                for step in 0..paths.len() {
                    let path = &paths[(step + offset) % paths.len()];
                    let began = Instant::now();
                    let answer = client.get(path).await?;
                    let took = began.elapsed();
                    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
                    // The first round is for warming up.
                    if round > 0 {
                        times.push(took);
                    }
                }
            }
            Ok(times)
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await??);
    }
    Ok(Times::of(all))
}

fn growth(report: &mut Report, database: &str, what: &str, small: Duration, large: Duration) {
    let factor = large.as_secs_f64() / small.as_secs_f64().max(1e-9);
    report.add(
        &format!("{what}, 1,000,000 addresses beside 10,000, {database}"),
        &format!("{factor:.2} x"),
        "<= 2 x",
        factor <= 2.0,
        &format!("medians one at a time: {} and {}", shown(small), shown(large)),
    );
}

/// Some subnets' ids, by the API.
async fn subnet_ids(client: &mut Client) -> anyhow::Result<Vec<String>> {
    let answer = client.get("/api/v1/subnets?size=25").await?;
    ensure!(answer.status == 200, "subnets: {} {}", answer.status, answer.text());
    let list = answer.json()?;
    let subnets = list["subnets"].as_array().context("no subnets")?;
    Ok(subnets.iter().filter_map(|subnet| Some(subnet["id"].as_str()?.to_owned())).collect())
}

async fn subnet_pages(report: &mut Report, database: &str, filled: &Filled) -> anyhow::Result<()> {
    let program = filled.site.serve(&format!("subnet pages, {database}")).await?;
    let browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let mut script = Client::with_token(program.address, &filled.token);
    let ids = subnet_ids(&mut script).await?;
    let pages = [
        (
            "tree",
            vec![
                "/ipam/subnets?".to_owned(),
                "/ipam/subnets?page=200".to_owned(),
                "/ipam/subnets?q=10.7.".to_owned(),
            ],
        ),
        ("page with counts and map", ids.iter().map(|id| format!("/ipam/subnets/{id}?")).collect()),
    ];
    for (what, paths) in pages {
        let paths: Vec<String> = paths;
        let times = ask_paths(&browser, &paths, AT_ONCE).await?;
        let alone = ask_paths(&browser, &paths, 1).await?;
        report.add(
            &format!("subnets, {what}, {AT_ONCE} at once, {database}"),
            &format!("p50 {}, p99 {}", shown(times.median()), shown(times.p99())),
            "p99 <= 20 ms",
            times.p99() <= Duration::from_millis(20),
            &format!(
                "10,000 subnets; one at a time p50 {}, p99 {}",
                shown(alone.median()),
                shown(alone.p99())
            ),
        );
    }
    program.stop().await
}

async fn ask_paths(client: &Client, paths: &[String], clients: usize) -> anyhow::Result<Times> {
    let queries: Vec<String> =
        paths.iter().map(|path| path.trim_end_matches('?').to_owned()).collect();
    let tasks = (0..clients).map(|offset| {
        let (mut client, paths) = (client.twin(), queries.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            for step in 0..60 {
                let path = &paths[(step + offset * 3) % paths.len()];
                let began = Instant::now();
                let answer = client.get(path).await?;
                ensure!(answer.status == 200, "{path}: {}", answer.status);
                if step >= 5 {
                    times.push(began.elapsed());
                }
            }
            Ok(times)
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await??);
    }
    Ok(Times::of(all))
}

/// What taking one address costs, one at a time.
async fn single_takes(filled: &Filled) -> anyhow::Result<Duration> {
    let program = filled.site.serve("next free").await?;
    let mut script = Client::with_token(program.address, &filled.token);
    let ids = subnet_ids(&mut script).await?;
    let mut times = Vec::new();
    for n in 0..100 {
        let began = Instant::now();
        let answer = script
            .post(
                &format!("/api/v1/subnets/{}/next-free", ids[n % ids.len()]),
                &json!({ "note": "bench" }),
            )
            .await?;
        ensure!(answer.status == 201, "{} {}", answer.status, answer.text());
        times.push(began.elapsed());
    }
    program.stop().await?;
    Ok(Times::of(times).median())
}

/// One /20, taken by many until there is nothing left; then pools of any size.
async fn next_free(report: &mut Report, fixtures: &Fixtures, database: &str) -> anyhow::Result<()> {
    for clients in [16, 64] {
        let filled = site(fixtures, database)?;
        let program = filled.site.serve(&format!("next free, {database}")).await?;
        let mut script = Client::with_token(program.address, &filled.token);
        let made = script
            .post("/api/v1/subnets", &json!({ "name": "Rush", "cidr": "10.20.0.0/20" }))
            .await?;
        ensure!(made.status == 201, "{} {}", made.status, made.text());
        let id = made.json()?["id"].as_str().context("no id")?.to_owned();
        drain(report, database, clients, &program, &script, &id).await?;
        if clients == 16 {
            pools(report, database, &mut script).await?;
        }
        program.stop().await?;
    }
    Ok(())
}

async fn drain(
    report: &mut Report,
    database: &str,
    clients: usize,
    program: &Program,
    script: &Client,
    id: &str,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/subnets/{id}/next-free");
    let began = Instant::now();
    let tasks = (0..clients).map(|_| {
        let (mut client, path) = (script.twin(), path.clone());
        tokio::spawn(async move {
            let (mut got, mut full) = (Vec::new(), 0);
            loop {
                let answer = client.post(&path, &json!({ "note": "bench" })).await?;
                match answer.status {
                    201 => {
                        let address = answer.json()?["addresses"][0]["address"]
                            .as_str()
                            .context("no address")?
                            .to_owned();
                        got.push((address, began.elapsed()));
                    }
                    409 => {
                        full += 1;
                        return anyhow::Ok((got, full));
                    }
                    other => anyhow::bail!("{other}: {}", answer.text()),
                }
            }
        })
    });
    let (mut got, mut full) = (Vec::new(), 0);
    for task in tasks.collect::<Vec<_>>() {
        let (some, refused) = task.await??;
        got.extend(some);
        full += refused;
    }
    let took = got.iter().map(|(_, at)| *at).max().unwrap_or_default();
    let distinct: BTreeSet<&str> = got.iter().map(|(address, _)| address.as_str()).collect();
    let (duplicates, missing) = (got.len() - distinct.len(), 4_094 - distinct.len());
    let rate = f64::from(u32::try_from(got.len())?) / took.as_secs_f64();
    let _ = program;
    report.add(
        &format!("next free, one /20, {clients} clients, {database}"),
        &format!("{rate:.0}/s, {duplicates} duplicates, {missing} left out, {full} clean 409s"),
        &format!(">= 500/s, 0, 0, {clients}"),
        rate >= 500.0 && duplicates == 0 && missing == 0 && full == clients,
        "POST /api/v1/subnets/{id}/next-free until each client is told that the subnet is full",
    );
    Ok(())
}

async fn pools(report: &mut Report, database: &str, script: &mut Client) -> anyhow::Result<()> {
    for (name, cidr) in [("/8", "11.0.0.0/8"), ("/64", "2001:db8::/64")] {
        let mut times = Vec::new();
        for n in 0..15 {
            let body = json!({ "name": format!("Pool {name} {n}"), "cidr": cidr });
            let began = Instant::now();
            let made = script.post("/api/v1/subnets", &body).await?;
            times.push(began.elapsed());
            ensure!(made.status == 201, "{} {}", made.status, made.text());
            let id = made.json()?["id"].as_str().context("no id")?.to_owned();
            let gone = script.delete(&format!("/api/v1/subnets/{id}")).await?;
            ensure!(gone.status < 300, "{} {}", gone.status, gone.text());
        }
        let times = Times::of(times);
        report.add(
            &format!("a {name} pool made, {database}"),
            &format!("median {}, longest {}", shown(times.median()), shown(times.longest())),
            "<= 10 ms",
            times.median() <= Duration::from_millis(10),
            "POST /api/v1/subnets, 15 times",
        );
    }
    Ok(())
}

/// Addresses as a file: 256 subnets of a thousand or so.
fn file(path: &Path, rows: u32) -> anyhow::Result<()> {
    let mut text = String::from("address,status,hostname,mac,holder,description\n");
    for n in 0..rows {
        let (a, b, c) = (n / 65_536, n / 256 % 256, n % 256);
        let spread = n.wrapping_mul(2_654_435_761);
        if n % 5 == 4 {
            let _ = writeln!(text, "10.{}.{b}.{c},reserved,,,,printer in room {n}", 100 + a);
        } else {
            let _ = writeln!(
                text,
                "10.{}.{b}.{c},allocated,sip-t46s-{n:07},0015{spread:08x},Person {n},",
                100 + a
            );
        }
    }
    // Network and broadcast addresses of the /8 around them are not among them.
    std::fs::write(path, text)?;
    Ok(())
}

async fn import(
    report: &mut Report,
    fixtures: &Fixtures,
    database: &str,
    rows: u32,
    limit: Duration,
) -> anyhow::Result<()> {
    let filled = site(fixtures, database)?;
    let program = filled.site.serve(&format!("{rows} addresses imported, {database}")).await?;
    let mut script = Client::with_token(program.address, &filled.token);
    let frame = script
        .post("/api/v1/subnets", &json!({ "name": "Everything", "cidr": "10.0.0.0/8" }))
        .await?;
    ensure!(frame.status == 201, "{} {}", frame.status, frame.text());
    let path = filled.site.dir.join("addresses.csv");
    file(&path, rows)?;
    let began = Instant::now();
    let answer = script.upload("/api/v1/addresses/import", "text/csv", &path).await?;
    let took = began.elapsed();
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let most = memory::most(program.pid());
    let memory_counts = rows <= 100_000;
    report.add(
        &format!("{rows} addresses imported, CSV, {database}"),
        &format!("{}, {} of memory", shown(took), memory::shown(most)),
        &format!("<= {}{}", shown(limit), if memory_counts { ", <= 150 MiB" } else { "" }),
        took <= limit && (!memory_counts || most <= 150 << 10),
        "POST /api/v1/addresses/import, from the first byte sent to the answer; each row is in the audit log",
    );
    program.stop().await
}

async fn import_by_command(
    report: &mut Report,
    fixtures: &Fixtures,
    database: &str,
    rows: u32,
    limit: Duration,
) -> anyhow::Result<()> {
    let site = site(fixtures, database)?.site;
    let frame = site.dir.join("subnets.csv");
    std::fs::write(&frame, "name,cidr\nEverything,10.0.0.0/8\n")?;
    site.run(&["import", "subnets", &frame.display().to_string()], "")?;
    let path = site.dir.join("addresses.csv");
    file(&path, rows)?;
    let began = Instant::now();
    let (said, most) = site.run_watched(&["import", "addresses", &path.display().to_string()])?;
    let took = began.elapsed();
    ensure!(said.contains(&format!("{rows} addresses added")), "{said}");
    let memory_counts = rows <= 100_000;
    report.add(
        &format!("{rows} addresses imported by command line, CSV, {database}"),
        &format!("{}, {} of memory", shown(took), memory::shown(most)),
        &format!("<= {}{}", shown(limit), if memory_counts { ", <= 150 MiB" } else { "" }),
        took <= limit && (!memory_counts || most <= 150 << 10),
        "patchbay import addresses FILE, from its execution to its end; each row is in the audit log",
    );
    Ok(())
}

async fn export(report: &mut Report, database: &str, filled: &Filled) -> anyhow::Result<()> {
    let program = filled.site.serve("export").await?;
    let mut script = Client::with_token(program.address, &filled.token);
    let before = memory::most(program.pid());
    let stream = script.stream("/api/v1/addresses/export?format=csv").await?;
    let most = memory::most(program.pid());
    report.add(
        &format!("1,000,000 addresses exported, CSV, {database}"),
        &format!(
            "first byte {}, all {}, {} of memory",
            shown(stream.first),
            shown(stream.all),
            memory::shown(most)
        ),
        "first byte <= 100 ms, <= 60 MiB",
        stream.first <= Duration::from_millis(100) && most <= 60 << 10 && stream.lines > 1_000_000,
        &format!(
            "{} lines, {} MB; before {}",
            stream.lines,
            stream.bytes / 1_000_000,
            memory::shown(before)
        ),
    );
    program.stop().await
}
