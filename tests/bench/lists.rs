//! The list of users, however it is asked for.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::fixture::Fixtures;
use crate::http::Client;
use crate::program::{NAME, PASSWORD};
use crate::report::{Report, Times, shown};

const LIMIT: Duration = Duration::from_millis(20);
/// How often each address is asked for, by one and by each of several.
const ROUNDS: usize = 20;

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let large = fixtures.large()?;
    let program = large.site.serve("user list").await?;
    let browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let script = Client::with_token(program.address, &large.token);
    for (who, path, client) in [("page", "/users", &browser), ("API", "/api/v1/users", &script)] {
        for size in [25, 200] {
            for clients in [1, 8] {
                let figures = measure(client, path, size, clients).await?;
                add(report, &format!("{who} of {size}"), clients, figures);
            }
        }
    }
    program.stop().await
}

fn add(report: &mut Report, what: &str, clients: usize, (all, slowest): (Times, (String, Times))) {
    report.add(
        &format!("user list, 10,000 users, {what}, {clients} at once"),
        &format!("median {}, p99 {}", shown(all.median()), shown(all.p99())),
        "p99 <= 20 ms",
        all.p99() <= LIMIT,
        &format!(
            "{} requests for first, middle and last page in every order, filters, searches; slowest is {} (median {}, p99 {})",
            all.len(),
            slowest.0,
            shown(slowest.1.median()),
            shown(slowest.1.p99())
        ),
    );
}

/// Every way to ask.
fn queries(size: usize) -> Vec<String> {
    let (last, middle) = (10_000 / size, 5_000 / size);
    let mut queries = Vec::new();
    for order in ["number", "name", "email", "created"] {
        for way in ["", "-"] {
            for page in [1, middle, last] {
                queries.push(format!("sort={way}{order}&page={page}"));
            }
        }
    }
    for state in ["enabled", "disabled"] {
        queries.push(format!("state={state}"));
        queries.push(format!("state={state}&page={middle}"));
    }
    for search in ["m%C3%BCller", "ann+a", "user0999", "1234", "example.com", "nobody+has+this"] {
        queries.push(format!("q={search}"));
        queries.push(format!("q={search}&sort=-name"));
    }
    queries
}

async fn measure(
    client: &Client,
    path: &str,
    size: usize,
    clients: usize,
) -> anyhow::Result<(Times, (String, Times))> {
    let queries = queries(size);
    let paths: Vec<_> = queries.iter().map(|query| format!("{path}?size={size}&{query}")).collect();
    let rounds = ROUNDS / clients.min(4);
    let tasks = (0..clients).map(|offset| {
        let (mut client, paths) = (client.twin(), paths.clone());
        tokio::spawn(async move {
            let mut times = vec![Vec::new(); paths.len()];
            for round in 0..=rounds {
                for step in 0..paths.len() {
                    let at = (step + offset * 5) % paths.len();
                    let began = Instant::now();
                    let answer = client.get(&paths[at]).await?;
                    let took = began.elapsed();
                    ensure!(answer.status == 200, "{}: {}", paths[at], answer.status);
                    // The first round is for warming up.
                    if round > 0 {
                        times[at].push(took);
                    }
                }
            }
            Ok(times)
        })
    });
    let mut times = vec![Vec::new(); paths.len()];
    for task in tasks.collect::<Vec<_>>() {
        for (all, more) in times.iter_mut().zip(task.await??) {
            all.extend(more);
        }
    }
    let all = Times::of(times.concat());
    let each = queries.into_iter().zip(times.into_iter().map(Times::of));
    let slowest = each.max_by_key(|(_, times)| times.median());
    Ok((all, slowest.ok_or_else(|| anyhow::anyhow!("nothing was measured"))?))
}
