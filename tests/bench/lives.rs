//! Whole lives of addresses, with a server of sessions that thinks for 50 ms about everything it is
//! told: the operations do not wait for it, and it hears everything soon after.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use patchbay::audit::{Actor, Via};
use patchbay::outbox::System;
use patchbay::outbox::setup::{self, Edit, NewNas, RadiusSetup, Settings};
use patchbay::outside::Key;
use patchbay::state::State;
use serde_json::json;

use crate::fixture::Fixtures;
use crate::http::Client;
use crate::ipam_seed as seed;
use crate::lifecycle::{CLIENTS, site};
use crate::outside::{NAS_SECRET, Nas, attributes};
use crate::report::{Report, Times, shown};

/// How long the server thinks about each packet.
const THINKS: Duration = Duration::from_millis(50);
const LIVES: usize = 10_000;
/// What is done in each, and whether the server is told.
const STEPS: [&str; 5] = ["allocate", "activate", "suspend", "reactivate", "revoke"];
/// The codes of its packets (RFC 5176): three changes, then the end.
const TOLD: [u8; 4] = [43, 43, 43, 40];
/// Nothing is waited for longer.
const LONGEST: Duration = Duration::from_secs(600);

/// 10,000 lives by 64 clients.
pub async fn run(report: &mut Report, fixtures: &Fixtures, database: &str) -> anyhow::Result<()> {
    let (site, token) = site(fixtures, database)?;
    let nas = Nas::start(THINKS).await;
    let state = seed::open(&site).await?;
    switch_on(&state, nas.port).await?;
    state.db.close().await;
    let program = site.serve(&format!("lives, {database}")).await?;
    let mut script = Client::with_token(program.address, &token);
    let wide = json!({ "name": "Lives", "cidr": "10.20.0.0/16" });
    let made = script.post("/api/v1/subnets", &wide).await?;
    ensure!(made.status == 201, "{} {}", made.status, made.text());

    let began = Instant::now();
    let tasks = (0..CLIENTS).map(|client| {
        let script = script.twin();
        tokio::spawn(async move { lead(script, client).await })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await??);
    }
    let took = began.elapsed();
    let last = Instant::now();
    until(|| async { script.twin().open_calls().await }, 0).await?;
    let drained = last.elapsed();
    heard(&nas)?;
    until(|| async { script.twin().not_revoked().await }, 0).await?;
    let over = last.elapsed();

    let rate = f64::from(u32::try_from(times.len())?) / took.as_secs_f64();
    let (count, times) = (times.len(), Times::of(times));
    report.add(
        &format!("full lives, {LIVES} assignments, RADIUS in 50 ms, {database}"),
        &format!("{rate:.0} operations/s, outbox drained {} after the last", shown(drained)),
        ">= 400/s, <= 60 s",
        rate >= 400.0 && drained <= Duration::from_secs(60),
        &format!(
            "{count} calls by {CLIENTS} clients; p50 {}, p99 {}; all revoked {} after the last",
            shown(times.median()),
            shown(times.p99()),
            shown(over)
        ),
    );
    program.stop().await
}

/// RADIUS is on, with one server on loopback.
async fn switch_on(state: &State, port: u16) -> anyhow::Result<()> {
    let mut change = state.change(&Actor::local("bench", Via::CommandLine)).await?;
    setup::allow(&mut change, System::Radius, &format!("127.0.0.1:{port}").parse()?).await?;
    let nas = NewNas {
        name: "edge".parse()?,
        address: "127.0.0.1".parse()?,
        port,
        fallback: true,
        secret: Some(Key::from(NAS_SECRET.to_owned())),
    };
    let refused = |error: &dyn std::fmt::Display| anyhow::anyhow!("{error}");
    setup::add_nas(&mut change, &state.vault, &nas).await.map_err(|error| refused(&error))?;
    let settings = RadiusSetup {
        suspended_filter: "walled-garden".parse()?,
        usual_filter: "full".parse()?,
        ..RadiusSetup::default()
    };
    let edit = Edit { enabled: true, settings: Settings::Radius(settings), secret: None };
    setup::configure(&mut change, &state.vault, 0, &edit).await.map_err(|error| refused(&error))?;
    change.commit().await?;
    Ok(())
}

/// One client's share of the lives, one after the other.
async fn lead(mut script: Client, client: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for n in (client..LIVES).step_by(CLIENTS) {
        for word in STEPS {
            let mut body = json!({ "subscriber_id": format!("s{n}") });
            if word == "activate" {
                body["send_coa"] = true.into();
            }
            let path = format!("/api/v1/network/ipv4-lifecycle/{word}");
            let sent = Instant::now();
            let answer = script.post(&path, &body).await?;
            ensure!(answer.status < 300, "{word}: {} {}", answer.status, answer.text());
            times.push(sent.elapsed());
        }
    }
    Ok(times)
}

/// Returns when what is asked for is so.
async fn until<F, T>(ask: F, wanted: i64) -> anyhow::Result<()>
where
    F: Fn() -> T,
    T: Future<Output = anyhow::Result<i64>>,
{
    let began = Instant::now();
    while ask().await? != wanted {
        ensure!(began.elapsed() < LONGEST, "it does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

impl Client {
    /// Calls that wait or are being made.
    async fn open_calls(mut self) -> anyhow::Result<i64> {
        let mut open = 0;
        for state in ["waiting", "sending"] {
            let list = self.get(&format!("/api/v1/outbox?state={state}&size=25")).await?.json()?;
            open += list["total"].as_i64().unwrap_or(i64::MAX / 2);
        }
        Ok(open)
    }

    /// Lives that are not over.
    async fn not_revoked(mut self) -> anyhow::Result<i64> {
        let figures = self.get("/api/v1/network/ipv4-lifecycle/metrics").await?.json()?;
        Ok(figures["utilization"]["total"].as_i64().unwrap_or(i64::MAX))
    }
}

/// The server heard everything once, of each session in its order. What a busy machine sent again
/// is the same packet.
fn heard(nas: &Nas) -> anyhow::Result<()> {
    let mut sessions: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for packet in nas.packets() {
        let name = attributes(&packet).into_iter().find(|(kind, _)| *kind == 1);
        let packets = sessions.entry(name.map(|(_, name)| name).unwrap_or_default()).or_default();
        if packets.last() != Some(&packet) {
            packets.push(packet);
        }
    }
    ensure!(sessions.len() == LIVES, "{} sessions were heard of", sessions.len());
    for (name, packets) in &sessions {
        let codes: Vec<u8> = packets.iter().map(|packet| packet[0]).collect();
        ensure!(codes == TOLD, "{}: {codes:?}", String::from_utf8_lossy(name));
    }
    Ok(())
}
