//! Users created by many at once, until there is no number left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::fixture::Fixtures;
use crate::http::Client;
use crate::lab::Postgres;
use crate::program::{Program, Site};
use crate::report::{Report, Times, shown};

const USERS: usize = 1000;
const CLIENTS: usize = 64;
const RATE: f64 = 150.0;
const FULL: &str =
    "All extensions in range 1000-1999 are allocated. Delete users to free extensions.";

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let (site, token) = fixtures.empty()?;
    let program = [site.serve("1,000 users created, SQLite").await?];
    measure(report, "SQLite, synchronous=FULL", &program, &token).await?;
    stop(program).await?;

    let url = tokio::task::block_in_place(Postgres::database);
    let mut programs = Vec::new();
    // Instances that share a database share its key.
    let first = Site::new(&fixtures.directory()?).on(&url);
    let token = first.administrator()?;
    for _ in 0..3 {
        let dir = fixtures.directory()?;
        std::fs::create_dir(dir.join("data"))?;
        std::fs::copy(first.dir.join("data/secret.key"), dir.join("data/secret.key"))?;
        programs.push(Site::new(&dir).on(&url).serve("1,000 users created, PostgreSQL").await?);
    }
    measure(report, "PostgreSQL, 3 instances", &programs, &token).await?;
    stop(programs).await
}

async fn stop(programs: impl IntoIterator<Item = Program>) -> anyhow::Result<()> {
    for program in programs {
        program.stop().await?;
    }
    Ok(())
}

async fn measure(
    report: &mut Report,
    on: &str,
    programs: &[Program],
    token: &str,
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let mut http = Client::with_token(programs[client % programs.len()].address, token);
        let next = next.clone();
        tokio::spawn(async move {
            let mut made = Vec::new();
            loop {
                let user = next.fetch_add(1, Ordering::Relaxed);
                if user >= USERS {
                    return anyhow::Ok(made);
                }
                made.push(create(&mut http, user).await?);
            }
        })
    });
    let mut made = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        made.extend(client.await??);
    }
    let took = began.elapsed();
    let numbers: BTreeSet<i64> = made.iter().filter_map(|(number, _)| *number).collect();
    let failed = made.iter().filter(|(number, _)| number.is_none()).count();
    let duplicates = made.len() - failed - numbers.len();
    let gaps = (1000..2000).filter(|number| !numbers.contains(number)).count();
    let times = Times::of(made.into_iter().map(|(_, time)| time).collect());
    let rate = f64::from(u32::try_from(USERS)?) / took.as_secs_f64();
    report.add(
        &format!("1,000 users created, {on}"),
        &format!("{rate:.0}/s, {duplicates} duplicates, {gaps} gaps"),
        ">= 150/s, 0, 0",
        rate >= RATE && duplicates == 0 && gaps == 0 && failed == 0,
        &format!(
            "POST /api/v1/users by {CLIENTS} clients, each answer {} in the median, {} at p99; {failed} failed",
            shown(times.median()),
            shown(times.p99())
        ),
    );

    let full = (0..CLIENTS).map(|client| {
        let mut http = Client::with_token(programs[client % programs.len()].address, token);
        tokio::spawn(async move { refused(&mut http, USERS + client).await })
    });
    let mut clean = 0;
    for client in full.collect::<Vec<_>>() {
        clean += usize::from(client.await??);
    }
    report.add(
        &format!("then 64 more, {on}"),
        &format!("{clean} clean 409s"),
        "64",
        clean == CLIENTS,
        "all at once, each answered by the sentence that says what to do",
    );
    Ok(())
}

fn user(number: usize) -> serde_json::Value {
    json!({ "name": format!("User {number}"), "email": format!("user{number}@example.com") })
}

/// The number given, unless it failed, and how long it took.
async fn create(http: &mut Client, number: usize) -> anyhow::Result<(Option<i64>, Duration)> {
    let began = Instant::now();
    let answer = http.post("/api/v1/users", &user(number)).await?;
    let took = began.elapsed();
    if answer.status != 201 {
        eprintln!("{} {}", answer.status, answer.text());
        return Ok((None, took));
    }
    Ok((answer.json()?["extension"]["number"].as_i64(), took))
}

async fn refused(http: &mut Client, number: usize) -> anyhow::Result<bool> {
    let answer = http.post("/api/v1/users", &user(number)).await?;
    ensure!(answer.status >= 400, "a user beyond the last number: {}", answer.text());
    let problem = answer.json()?;
    let clean = answer.status == 409 && problem["detail"] == FULL;
    if !clean {
        eprintln!("{} {problem}", answer.status);
    }
    Ok(clean)
}
