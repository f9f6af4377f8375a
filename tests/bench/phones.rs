//! The list of 10,000 phones, however it is asked for, on both databases.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::fixture::{Fixtures, fill};
use crate::http::Client;
use crate::ipam_seed::open;
use crate::lab::Postgres;
use crate::program::{NAME, PASSWORD, Site};
use crate::report::{Report, Times, shown};

const LIMIT: Duration = Duration::from_millis(20);
const PHONES: usize = 10_000;
const ROUNDS: usize = 20;

const MODELS: [(&str, &str); 5] = [
    ("yealink", "t46s"),
    ("yealink", "t23g"),
    ("grandstream", "gxp2170"),
    ("cisco", "spa504g"),
    ("polycom", "vvx450"),
];

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    for (database, site) in [
        ("SQLite", Site::new(&fixtures.directory()?)),
        ("PostgreSQL", {
            let site = Site::new(&fixtures.directory()?);
            site.on(&tokio::task::block_in_place(Postgres::database))
        }),
    ] {
        let token = site.administrator()?;
        fill(&site, PHONES).await?;
        let took = import(&site).await?;
        report.add(
            &format!("{PHONES} phones with lines and addresses imported, {database}"),
            &shown(took),
            "told",
            true,
            "patchbay import phones",
        );
        lists(report, database, &site, &token).await?;
    }
    Ok(())
}

async fn lists(
    report: &mut Report,
    database: &str,
    site: &Site,
    token: &str,
) -> anyhow::Result<()> {
    let program = site.serve("phone list").await?;
    let browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let script = Client::with_token(program.address, token);
    for (who, path, client) in [("page", "/phones", browser), ("API", "/api/v1/phones", script)] {
        let (all, slowest) = measure(client, path).await?;
        report.add(
            &format!("phone list, 10,000 phones, {database}, {who} of 25"),
            &format!("median {}, p99 {}", shown(all.median()), shown(all.p99())),
            "p99 <= 20 ms",
            all.p99() <= LIMIT,
            &format!(
                "{} requests for pages in every order, filters, searches; slowest is {} (median {}, p99 {})",
                all.len(),
                slowest.0,
                shown(slowest.1.median()),
                shown(slowest.1.p99())
            ),
        );
    }
    program.stop().await
}

/// Phones for 9,000 of the users, 1,000 without a line; half with a static address; most are
/// registered and fetched their file.
async fn import(site: &Site) -> anyhow::Result<Duration> {
    let state = open(site).await?;
    let mut tx = state.db.write().await?;
    tx.commit().await?;
    let said = site.run(&["import", "subnets", &subnets(site)?], "")?;
    ensure!(said.contains("added"), "{said}");
    let file = site.dir.join("phones.csv");
    std::fs::write(&file, csv())?;
    let began = Instant::now();
    let said = site.run(&["import", "phones", &file.display().to_string()], "")?;
    let took = began.elapsed();
    ensure!(said.contains(&PHONES.to_string()), "{said}");
    tx = state.db.write().await?;
    for statement in [
        "INSERT INTO phone_seen (mac, tenant_id, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
         SELECT mac, tenant_id, 1700000000 + number_sort, 'x.cfg', 'abc', 'Yealink', '', '' FROM phone WHERE number_sort % 10 <> 0",
        "INSERT INTO registration (tenant_id, number, contact, address, user_agent, mac, mac_source, present, first_seen, last_seen)
         SELECT p.tenant_id, p.number_sort, 'sip:' || p.mac,
             coalesce((SELECT a.address FROM address a WHERE a.holder_id = p.mac AND a.holder_kind = 'phone'),
                      (SELECT a.address FROM address a ORDER BY a.address LIMIT 1)),
             '', p.mac, 'user_agent', p.number_sort % 5 <> 0, 1, 1
         FROM phone p WHERE p.number_sort < 100000000",
    ] {
        tx.query(statement).run().await?;
    }
    tx.commit().await?;
    state.db.close().await;
    Ok(took)
}

fn subnets(site: &Site) -> anyhow::Result<String> {
    let file = site.dir.join("subnets.csv");
    std::fs::write(&file, "name,cidr,static_pools\nVoice,10.64.0.0/16,10.64.1.0-10.64.200.255\n")?;
    Ok(file.display().to_string())
}

fn csv() -> String {
    let mut text = String::from("mac,vendor,model,label,site,extensions,subnet,static_ip,notes\n");
    for n in 0..PHONES {
        let (vendor, model) = MODELS[n % MODELS.len()];
        let line = if n < 9_000 { (10_000 + n).to_string() } else { String::new() };
        let label = if n % 3 == 0 { format!("Room {n}") } else { String::new() };
        let (subnet, address) = if n % 2 == 0 { ("10.64.0.0/16", "next") } else { ("", "") };
        let _ = writeln!(
            text,
            "0015{n:08x},{vendor},{model},{label},Site {},{line},{subnet},{address},bought in {}",
            n % 40,
            2010 + n % 15
        );
    }
    text
}

/// Every way to ask.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for order in ["name", "number", "mac", "model", "site", "address", "fetched", "created"] {
        for way in ["", "-"] {
            for page in [1, 200, 400] {
                queries.push(format!("sort={way}{order}&page={page}"));
            }
        }
    }
    for state in ["registered", "unregistered", "never_fetched", "no_line", "no_address"] {
        queries.push(format!("state={state}"));
    }
    for search in [
        "m%C3%BCller",
        "ann+a",
        "1234",
        "00:15:00:00:0",
        "room+77",
        "10.64.1.",
        "bought+in+2014",
        "t46s",
        "nobody+has+this",
        "10.64.0.0/16",
    ] {
        queries.push(format!("q={search}"));
        queries.push(format!("q={search}&sort=-number&state=registered"));
    }
    queries.push("kind=phone".to_owned());
    queries.push("site=Site+7".to_owned());
    queries
}

async fn measure(client: Client, path: &str) -> anyhow::Result<(Times, (String, Times))> {
    let queries = queries();
    let paths: Vec<_> = queries.iter().map(|query| format!("{path}?{query}")).collect();
    let mut times = vec![Vec::new(); paths.len()];
    let mut client = client;
    for round in 0..=ROUNDS {
        for (path, times) in paths.iter().zip(&mut times) {
            let began = Instant::now();
            let answer = client.get(path).await?;
            let took = began.elapsed();
            ensure!(answer.status == 200, "{path}: {}", answer.status);
            // The first round is for warming up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    let all = Times::of(times.concat());
    let each = queries.into_iter().zip(times.into_iter().map(Times::of));
    let slowest = each.max_by_key(|(_, times)| times.median());
    Ok((all, slowest.ok_or_else(|| anyhow::anyhow!("nothing was measured"))?))
}
