//! The figures Patchbay must reach, measured on the real program over HTTP.
//!
//! `make bench` runs all parts, `cargo bench -- PART…` some: boot, create, list, apply, render, start,
//! ipam-list, ipam-next, ipam-import, ipam-export, phones, map, registrations, storm,
//! lifecycle-allocate, lifecycle-life, lifecycle-prefix, lifecycle-list, memory; `only-sqlite` or
//! `only-postgresql` beside them measures addresses and their lives on one database. Misses are printed plainly; with `--strict` they
//! are an error.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::unused_async,
    clippy::duration_suboptimal_units,
    clippy::disallowed_methods,
    clippy::indexing_slicing
)]

mod applies;
mod boot;
mod creates;
mod fixture;
mod http;
mod ipam;
mod ipam_seed;
#[path = "../support/lab.rs"]
#[allow(dead_code)]
mod lab;
mod lifecycle;
mod lists;
mod lives;
mod memory;
#[path = "../support/outside.rs"]
#[allow(dead_code)]
mod outside;
mod phones;
mod program;
mod registrations;
mod renders;
mod report;
#[path = "../support/sip.rs"]
#[allow(dead_code)]
mod sip;
mod starts;
mod storm;

use std::process::ExitCode;

use fixture::Fixtures;
use report::Report;

const PARTS: [&str; 21] = [
    "boot",
    "create",
    "list",
    "apply",
    "render",
    "start",
    "ipam-list",
    "ipam-next",
    "ipam-import",
    "ipam-export",
    "phones",
    "map",
    "registrations",
    "storm",
    "lifecycle-allocate",
    "lifecycle-life",
    "lifecycle-prefix",
    "lifecycle-list",
    "memory",
    "only-sqlite",
    "only-postgresql",
];

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs benches too, to see that they build.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(ExitCode::SUCCESS);
    }
    let strict = arguments.iter().any(|argument| argument == "--strict");
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|name| !PARTS.contains(name)) {
        anyhow::bail!("there is no part {unknown}; there are {}", PARTS.join(", "));
    }
    let wanted =
        |part: &str| named.contains(&part) || (named.is_empty() && !part.starts_with("only-"));

    let (mut report, fixtures) = (Report::default(), Fixtures::new()?);
    if wanted("create") {
        creates::run(&mut report, &fixtures).await?;
    }
    if wanted("list") {
        lists::run(&mut report, &fixtures).await?;
    }
    if wanted("apply") {
        applies::run(&mut report, &fixtures).await?;
    }
    if wanted("render") {
        renders::run(&mut report, &fixtures).await?;
    }
    if wanted("boot") {
        boot::run(&mut report)?;
    }
    if wanted("start") {
        starts::run(&mut report, &fixtures).await?;
    }
    if wanted("map") {
        registrations::map(&mut report, &fixtures).await?;
    }
    if wanted("registrations") {
        registrations::run(&mut report, &fixtures).await?;
    }
    let ipam = ["ipam-list", "ipam-next", "ipam-import", "ipam-export"];
    if ipam.iter().any(|part| wanted(part)) {
        ipam::run(&mut report, &fixtures, &wanted).await?;
    }
    if wanted("phones") {
        phones::run(&mut report, &fixtures).await?;
    }
    if wanted("storm") {
        storm::run(&mut report, &fixtures).await?;
    }
    let lives = ["lifecycle-allocate", "lifecycle-life", "lifecycle-prefix", "lifecycle-list"];
    if lives.iter().any(|part| wanted(part)) {
        lifecycle::run(&mut report, &fixtures, &wanted).await?;
    }
    if wanted("memory") {
        memory::idle(&mut report, &fixtures).await?;
    }
    memory::peak(&mut report);
    let missed = report.print();
    Ok(if strict && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
