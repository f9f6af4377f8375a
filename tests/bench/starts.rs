//! From starting the program to its first page.

use std::time::Duration;

use crate::fixture::Fixtures;
use crate::report::{Report, Times, shown};

const LIMIT: Duration = Duration::from_millis(200);

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let site = &fixtures.large()?.site;
    let mut times = Vec::new();
    for _ in 0..15 {
        let program = site.serve("start").await?;
        times.push(program.started);
        program.stop().await?;
    }
    let times = Times::of(times);
    report.add(
        "start to first page",
        &format!("median {}, longest {}", shown(times.median()), shown(times.longest())),
        "<= 200 ms",
        times.median() <= LIMIT,
        &format!(
            "{} starts on a database with 10,000 users, from before the program is executed to GET /login answered",
            times.len()
        ),
    );
    Ok(())
}
