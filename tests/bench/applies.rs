//! The button, beside Asterisk's own reload of the same files.
//!
//! A round changes one user, applies it through Patchbay, and then does by hand what is left of an
//! Apply without Patchbay: the file with one other name in it is put in place and reloaded through
//! the manager interface; then the first again, reloaded at the command line. So all three reload
//! files of the same size with one object changed, in turn.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use patchbay::asterisk::ami::{Action, Ami, Timeouts};
use serde_json::json;

use crate::fixture::{Fixtures, fill};
use crate::http::Client;
use crate::lab::Asterisk;
use crate::report::{Report, Times, shown};

const RATIO: f64 = 1.5;
const MODULE: &str = "res_pjsip.so";

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    for (users, rounds, limit) in [(100, 25, 300), (1_000, 15, 1_000), (10_000, 5, 8_000)] {
        measure(report, fixtures, users, rounds, Duration::from_millis(limit)).await?;
    }
    Ok(())
}

async fn measure(
    report: &mut Report,
    fixtures: &Fixtures,
    users: usize,
    rounds: usize,
    limit: Duration,
) -> anyhow::Result<()> {
    let mut asterisk = tokio::task::block_in_place(Asterisk::prepare);
    let (site, token) = fixtures.empty()?;
    let site = site.beside(&asterisk);
    fill(&site, users).await?;
    site.run(&["asterisk", "install", "--yes"], "")?;
    tokio::task::block_in_place(|| asterisk.restart());
    let program = site.serve(&format!("Apply of {users} users")).await?;
    let mut http = Client::with_token(program.address, &token);
    let secret = fs::read_to_string(site.dir.join("data/ami.secret"))?;
    let mut manager = manager(asterisk.ami_port, secret.trim()).await?;

    let found = http.get("/api/v1/users?size=25").await?.json()?;
    let user = found["users"][0]["id"].as_str().context("no user")?.to_owned();
    let (first, _) = apply(&mut http).await?;
    report.note(
        &format!("Apply, {users} users, the first"),
        &shown(first),
        "all users new to Asterisk",
    );
    let file = asterisk.config_dir.join("patchbay/current/pjsip.conf");
    let (mut ours, mut reloads) = (Vec::new(), Vec::new());
    let (mut own, mut command) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let name = json!({ "name": format!("Round {round:03}") });
        let answer = http.patch(&format!("/api/v1/users/{user}"), &name).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        let (took, reload) = apply(&mut http).await?;
        ours.push(took);
        reloads.push(reload);

        let text = fs::read_to_string(&file)?;
        let other = text.replacen(&format!("Round {round:03}"), &format!("Other {round:03}"), 1);
        ensure!(text != other && text.len() == other.len(), "the name is not in the file");
        put(&file, &other)?;
        let began = Instant::now();
        manager.action(&Action::new("Reload").field("Module", MODULE)?).await?;
        own.push(began.elapsed());

        put(&file, &text)?;
        let began = Instant::now();
        let said = tokio::task::block_in_place(|| asterisk.cli("module reload res_pjsip.so"));
        command.push(began.elapsed());
        ensure!(said.contains("reloaded successfully"), "{said}");
    }
    let logged = asterisk.logged();
    ensure!(!logged.contains("ERROR"), "{logged}");
    program.stop().await?;
    tokio::task::block_in_place(move || drop(asterisk));
    let figures = Figures {
        ours: Times::of(ours),
        reload: Times::of(reloads).median(),
        own: Times::of(own),
        cli: Times::of(command),
    };
    add(report, users, limit, &figures);
    Ok(())
}

/// What the rounds took.
struct Figures {
    ours: Times,
    /// Asterisk's reload within ours.
    reload: Duration,
    own: Times,
    cli: Times,
}

fn add(report: &mut Report, users: usize, limit: Duration, figures: &Figures) {
    let Figures { ours, reload, own, cli } = figures;
    let ratio = ours.median().as_secs_f64() / own.median().as_secs_f64();
    report.add(
        &format!("Apply, {users} users, button to verified"),
        &format!("median {}, longest {}", shown(ours.median()), shown(ours.longest())),
        &format!("<= {:.1} s", limit.as_secs_f64()),
        ours.median() <= limit,
        &format!(
            "POST /api/v1/apply, {} rounds with a change in between; SQLite, releases on the same disk, everything synced; of the median {} were Asterisk's reload",
            ours.len(),
            shown(*reload)
        ),
    );
    report.add(
        &format!("Apply, {users} users, beside Asterisk's own reload"),
        &format!("{ratio:.2} x {}", shown(own.median())),
        "<= 1.5 x",
        ratio <= RATIO,
        "medians; its own is Reload of res_pjsip.so at the manager socket, in turn with ours, on a file of the same size with one object changed, neither synced nor read back",
    );
    let ratio = ours.median().as_secs_f64() / cli.median().as_secs_f64();
    report.note(
        &format!("Apply, {users} users, beside the command line"),
        &format!("{ratio:.2} x {}", shown(cli.median())),
        "asterisk -rx 'module reload res_pjsip.so', as an administrator would type it: a process of its own, which the bare action is not",
    );
}

/// From the button to verified, and how much of it Asterisk took to reload.
async fn apply(http: &mut Client) -> anyhow::Result<(Duration, Duration)> {
    let began = Instant::now();
    let answer = http.post("/api/v1/apply", &json!({})).await?;
    let took = began.elapsed();
    let said = answer.json()?;
    ensure!(answer.status == 200 && said["outcome"] == "verified", "{said}");
    let modules = said["modules"].as_array().into_iter().flatten();
    let reload = modules.filter_map(|module| module["duration_ms"].as_u64()).sum();
    Ok((took, Duration::from_millis(reload)))
}

async fn manager(port: u16, secret: &str) -> anyhow::Result<Ami> {
    let minute = Duration::from_mins(1);
    let timeouts = Timeouts { answer: minute, ..Timeouts::default() };
    let mut manager = Ami::connect(([127, 0, 0, 1], port).into(), timeouts).await?;
    manager.login("patchbay", secret).await?;
    Ok(manager)
}

/// A new file in the place of the old: releases may share files by hard links.
fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    Ok(fs::rename(&beside, path)?)
}
