//! 10,000 phones that register at a real Asterisk after it was restarted, each from an address and a
//! port of its own, with the challenge as configured; and the map of as many.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use patchbay::asterisk::ami::InboundContact;
use patchbay::audit::{Actor, Via};
use patchbay::commands::Session;
use patchbay::ipam::space::Space;
use patchbay::phones::{self, Model, NewLine, NewPhone, Spec, Static, Vendor};
use patchbay::{registrations, users};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::fixture::{Fixtures, fill};
use crate::http::Client;
use crate::lab::{Asterisk, Postgres};
use crate::program::{NAME, PASSWORD, Program, Site};
use crate::report::{Report, Times, shown};
use crate::sip::{Algorithm, Phone};

const PHONES: usize = 10_000;
/// Phones that register at the same time.
const AT_ONCE: usize = 64;

/// A number, with what its phone signs in with.
struct Line {
    number: String,
    secret: String,
}

/// The address of the phone number `n`: of those that lead back to this machine.
fn address(n: usize) -> String {
    format!("127.1.{}.{}", n / 250, n % 250 + 1)
}

fn mac(n: usize) -> String {
    format!("00156500{n:04x}")
}

fn user_agent(n: usize) -> String {
    let mac = mac(n);
    let pairs: Vec<&str> = (0..6).map(|pair| &mac[pair * 2..pair * 2 + 2]).collect();
    format!("Yealink SIP-T46S 66.86.0.15 {}", pairs.join(":"))
}

/// A phone for each of the people, with the line.
async fn add_phones(session: &Session) -> anyhow::Result<()> {
    let actor = Actor::local("bench", Via::CommandLine);
    let (state, model) = (&session.state, Model::find(Vendor::Yealink, "t46s")?);
    let people = {
        let mut tx = state.read().await?;
        let filter = users::Filter::default();
        users::everybody(&mut tx, actor.tenant, &filter, users::Sort::Number).await?
    };
    for (chunk, some) in people.chunks(1_000).enumerate() {
        let mut change = state.change(&actor).await?;
        let mut space = Space::open(&mut change, state.vault.entropy()).await?;
        for (n, user) in some.iter().enumerate() {
            let mut spec = Spec::new(model);
            spec.lines = vec![NewLine { line: 1, user: user.id, label: String::new().try_into()? }];
            let mac = mac(chunk * 1_000 + n).parse()?;
            let new = NewPhone { mac, spec, address: Static::None };
            let made = phones::create(&mut space, &state.vault, &new).await;
            ensure!(made.is_ok(), "{:?}", made.err());
        }
        space.close().await?;
        change.commit().await?;
    }
    Ok(())
}

/// The map, however it is asked for.
pub async fn map(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    for database in ["SQLite", "PostgreSQL"] {
        let mut site = Site::new(&fixtures.directory()?);
        if database == "PostgreSQL" {
            site = site.on(&tokio::task::block_in_place(Postgres::database));
        }
        site.administrator()?;
        fill(&site, PHONES).await?;
        let session = Session::open(site.config()?).await?;
        add_phones(&session).await?;
        let told = (0..PHONES).map(|n| InboundContact {
            aor: (10_000 + n).to_string(),
            uri: format!("sip:{}@{}:5060", 10_000 + n, address(n)),
            user_agent: user_agent(if n % 100 == 0 { n + 20_000 } else { n }),
            via: format!("{}:5060", address(n)),
            expires: Some(4_000_000_000),
        });
        let began = Instant::now();
        registrations::take(&session.state, session.state.clock.now(), told.collect()).await?;
        let taken = began.elapsed();
        let began = Instant::now();
        registrations::map::refresh(&session.state, Actor::local("bench", Via::CommandLine).tenant)
            .await?;
        let made = began.elapsed();
        drop(session);
        let program = site.serve(&format!("map on {database}")).await?;
        let mut browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
        let mut times = Vec::new();
        let mut slowest = (Duration::ZERO, String::new());
        for round in 0..21 {
            for query in queries() {
                let path = format!("/phones/map?{query}");
                let began = Instant::now();
                let answer = browser.get(&path).await?;
                let took = began.elapsed();
                ensure!(answer.status == 200, "{path}: {}", answer.status);
                if round > 0 {
                    times.push(took);
                    if took > slowest.0 {
                        slowest = (took, query);
                    }
                }
            }
        }
        program.stop().await?;
        let times = Times::of(times);
        report.add(
            &format!("phone map, 10,000 phones, {database}"),
            &format!("median {}, p99 {}", shown(times.median()), shown(times.p99())),
            "p99 <= 20 ms",
            times.p99() <= Duration::from_millis(20),
            &format!(
                "{} requests for first, middle and last page of 25 in every order, flags, searches; the slowest was {} ({}); taking down 10,000 new registrations took {}, making the map {}",
                times.len(), slowest.1, shown(slowest.0), shown(taken), shown(made)
            ),
        );
    }
    Ok(())
}

fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for order in ["number", "name", "mac", "address", "seen"] {
        for way in ["", "-"] {
            for page in [1, PHONES / 50, PHONES / 25] {
                queries.push(format!("sort={way}{order}&page={page}"));
            }
        }
    }
    for show in ["registered", "absent", "unknown", "moved", "silent", "shared-mac"] {
        queries.push(format!("show={show}"));
    }
    for search in ["127.1.20.", "00:15:65:00:12", "smith+0", "12345", "t46s", "nobody+has+this"] {
        queries.push(format!("q={search}"));
        queries.push(format!("q={search}&sort=-name"));
    }
    queries
}

/// Everybody registers; how long that took, and when the last one had.
async fn register(
    sip_port: u16,
    lines: &Arc<Vec<Line>>,
) -> anyhow::Result<(Duration, HashSet<String>)> {
    let (began, slots) = (Instant::now(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut tasks = Vec::with_capacity(lines.len());
    for n in 0..lines.len() {
        let (slots, lines) = (Arc::clone(&slots), Arc::clone(lines));
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await?;
            let Line { number, secret } = &lines[n];
            let phone = Phone::at(&address(n), sip_port, number, secret, Algorithm::Sha256).await;
            let mut phone = phone.calling_itself(&user_agent(n));
            let status = phone.register().await;
            ensure!(status == 200, "{number}: {status}");
            Ok(phone.contact())
        }));
    }
    let mut contacts = HashSet::new();
    for task in tasks {
        contacts.insert(task.await??);
    }
    Ok((began.elapsed(), contacts))
}

/// Asks until every contact is known; how long that took.
async fn known(http: &mut Client, contacts: &HashSet<String>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let told = http.get("/api/registered-phones").await?.json()?;
        let told = told.as_array().context("no list")?;
        let there: HashSet<&str> =
            told.iter().filter_map(|one| one["contact_uri"].as_str()).collect();
        if there.len() == contacts.len() && contacts.iter().all(|one| there.contains(one.as_str()))
        {
            return Ok(began.elapsed());
        }
        ensure!(
            began.elapsed() < Duration::from_mins(1),
            "{} of {} are known",
            there.len(),
            contacts.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How long pages take meanwhile.
async fn browse(
    program: &Program,
    until: Arc<tokio::sync::Notify>,
) -> anyhow::Result<tokio::task::JoinHandle<anyhow::Result<Vec<Duration>>>> {
    let mut browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    Ok(tokio::spawn(async move {
        let mut times = Vec::new();
        loop {
            for path in ["/phones/map", "/users", "/phones/map?q=127.1.3.", "/ipam/addresses"] {
                let began = Instant::now();
                let answer = browser.get(path).await?;
                times.push(began.elapsed());
                ensure!(answer.status == 200, "{path}: {}", answer.status);
            }
            tokio::select! {
                () = until.notified() => return Ok(times),
                () = tokio::time::sleep(Duration::from_millis(25)) => {}
            }
        }
    }))
}

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let mut asterisk = tokio::task::block_in_place(Asterisk::prepare);
    let (site, token) = fixtures.empty()?;
    let site = site.beside(&asterisk);
    fill(&site, PHONES).await?;
    let session = Session::open(site.config()?).await?;
    add_phones(&session).await?;
    let mut tx = session.state.read().await?;
    let lines: anyhow::Result<Vec<Line>> = users::active(&mut tx)
        .await?
        .into_iter()
        .map(|one| {
            let secret = one.secret(&session.state.vault)?.expose().to_owned();
            Ok(Line { number: one.number.to_string(), secret })
        })
        .collect();
    drop(tx);
    drop(session);
    let lines = Arc::new(lines?);
    site.run(&["asterisk", "install", "--yes"], "")?;
    tokio::task::block_in_place(|| asterisk.restart());
    let program = site.serve("registrations of 10,000 phones").await?;
    let mut http = Client::with_token(program.address, &token);
    let answer = http.post("/api/v1/apply", &json!({})).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let (took, contacts) = register(asterisk.sip_port, &lines).await?;
    let first = known(&mut http, &contacts).await?;
    report.note(
        "10,000 first registrations, map correct after the last one",
        &shown(first),
        &format!("registering took {}", shown(took)),
    );
    tokio::task::block_in_place(|| asterisk.restart());
    let until = Arc::new(tokio::sync::Notify::new());
    let browsing = browse(&program, Arc::clone(&until)).await?;
    let (took, contacts) = register(asterisk.sip_port, &lines).await?;
    let after = known(&mut http, &contacts).await?;
    until.notify_one();
    let pages = Times::of(browsing.await??);
    program.stop().await?;
    tokio::task::block_in_place(move || drop(asterisk));
    report.add(
        "10,000 registrations after an Asterisk restart, map correct after the last one",
        &shown(after),
        "<= 10 s",
        after <= Duration::from_secs(10),
        &format!("each from a new port, SHA-256 challenges, {AT_ONCE} at once on this machine: registering took {}", shown(took)),
    );
    report.add(
        "pages meanwhile",
        &format!("median {}, p99 {}", shown(pages.median()), shown(pages.p99())),
        "p99 <= 50 ms",
        pages.p99() <= Duration::from_millis(50),
        &format!("{} requests for the map, a search in it, users and addresses; the phones ran on the same cores", pages.len()),
    );
    Ok(())
}
