//! Rendering, without the database and without Asterisk.

use std::time::{Duration, Instant};

use anyhow::ensure;
use patchbay::apply::{render, snapshot};
use patchbay::commands::Session;

use crate::fixture::Fixtures;
use crate::report::{Report, Times, shown};

const LIMIT: Duration = Duration::from_millis(100);

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let session = Session::open(fixtures.large()?.site.config()?).await?;
    let (mut reads, mut renders, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..21 {
        let began = Instant::now();
        let desired = snapshot(&session.state.db).await?;
        reads.push(began.elapsed());
        ensure!(desired.active.len() == 10_000, "{} users", desired.active.len());
        let began = Instant::now();
        let files = render(&desired, &session.state.vault)?;
        renders.push(began.elapsed());
        bytes = files.iter().map(|file| file.text.len()).sum();
    }
    session.close().await;
    let (reads, renders) = (Times::of(reads), Times::of(renders));
    report.add(
        "rendering 10,000 users",
        &format!("median {}, longest {}", shown(renders.median()), shown(renders.longest())),
        "<= 100 ms",
        renders.median() <= LIMIT,
        &format!(
            "{} times from a snapshot (read in {}) to {bytes} bytes: secrets opened, digests made",
            renders.len(),
            shown(reads.median())
        ),
    );
    Ok(())
}
