//! A building gets its power back: ten thousand phones fetch their files at once, and nginx serves
//! the same files from the disk in the same run.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use patchbay::audit::{Actor, Via};
use patchbay::id::TenantId;
use patchbay::ipam::space::Space;
use patchbay::net::Mac;
use patchbay::phones::{self, Model, NewLine, NewPhone, Spec, Static, Vendor};
use patchbay::state::State;

use crate::fixture::{Fixtures, fill};
use crate::http::Client;
use crate::ipam_seed;
use crate::program::Site;
use crate::report::{Report, Times, shown};

const PHONES: usize = 10_000;
/// Connections phones share; each is kept.
const CLIENTS: usize = 64;
const RATE: f64 = 3_000.0;
const LONGEST: Duration = Duration::from_millis(250);
/// How often each refusal is asked for.
const ROUNDS: usize = 500;
/// Phones made in one transaction.
const STRIDE: usize = 500;

/// Paths in the order they are asked for, and what is not fetched of them yet.
type Paths = Arc<Vec<String>>;

pub async fn run(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let site = Site::new(&fixtures.directory()?);
    site.administrator()?;
    fill(&site, PHONES).await?;
    let state = ipam_seed::open(&site).await?;
    let paths = plant(&state).await?;
    state.db.close().await;
    let program = site.serve("10,000 phones start").await?;
    let agent = "User-Agent: Yealink SIP-T46S 66.86.0.15 00:15:65:aa:bb:cc\r\n";
    let on = "20,000 files, authorised by token and logged, 64 connections, SQLite, clients on the same two cores";
    let cold = storm(program.address, &paths, agent).await?;
    told(report, "boot storm, nothing rendered yet", &cold, on);
    let first = storm(program.address, &paths, agent).await?;
    told(report, "boot storm", &first, on);

    let root = fixtures.directory()?;
    copy(program.address, &paths, &root).await?;
    let nginx = Nginx::serve(&root).await?;
    let theirs = storm(nginx.address, &paths, agent).await?;
    drop(nginx);
    let second = storm(program.address, &paths, agent).await?;
    told(report, "boot storm, again after nginx", &second, on);
    let conditions =
        "the same files from the disk, 2 workers, access log on, the same clients in the same run";
    let measured = format!("{:.0} files/s, p99 {}", theirs.rate, shown(theirs.times.p99()));
    report.note("boot storm, nginx", &measured, conditions);
    let best = first.rate.max(second.rate);
    let share = best / theirs.rate;
    report.add(
        "boot storm beside nginx",
        &format!("{:.0} %", share * 100.0),
        ">= 33 %",
        share >= 1.0 / 3.0,
        "",
    );
    refusals(report, program.address, &paths, agent).await?;
    program.stop().await?;

    // Nothing of it was lost.
    let state = ipam_seed::open(&site).await?;
    let served = "SELECT count(*) FROM boot_request WHERE outcome IN ('served', 'unchanged')";
    let rows: i64 = state.db.query(served).scalar().await?;
    state.db.close().await;
    let asked = i64::try_from(paths.len() * 4)?;
    report.add(
        "requests of the storms in the log",
        &format!("{rows} of {asked}"),
        "all",
        rows == asked,
        "",
    );
    Ok(())
}

/// Whether the time a refusal takes tells who asks what there is. Each kind is asked for from an address
/// of its own, always the same, so that nobody is slowed; one after the other in turn.
async fn refusals(
    report: &mut Report,
    address: SocketAddr,
    paths: &Paths,
    agent: &str,
) -> anyhow::Result<()> {
    let own = paths.get(1).context("no phone")?;
    let another = paths.get(3).context("no other phone")?;
    let (token, _) = own.rsplit_once('/').context("no token")?;
    let (_, other) = another.rsplit_once('/').context("no file")?;
    let asked = [
        ("an unknown token", format!("/provision/{}/{other}", "x".repeat(token.len() - 11))),
        ("a token with another's MAC", format!("{token}/{other}")),
        ("an unknown file of a right token", format!("{token}/nothing.cfg")),
    ];
    let client = |n: u8| Client::with_header(address, agent).at(Ipv4Addr::new(127, 0, 0, n));
    let mut clients = [client(11), client(12), client(13)];
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((http, (what, path)), times) in clients.iter_mut().zip(&asked).zip(&mut times) {
            let began = Instant::now();
            let answer = http.get(path).await?;
            times.push(began.elapsed());
            ensure!(answer.status == 404, "{what}: {}", answer.status);
        }
    }
    let medians = times.map(|times| Times::of(times).median());
    let said: Vec<String> = asked
        .iter()
        .zip(medians)
        .map(|((what, _), median)| format!("{what} {}", shown(median)))
        .collect();
    let longest = medians.iter().max().context("none")?.as_secs_f64();
    let shortest = medians.iter().min().context("none")?.as_secs_f64();
    let measured = format!("{}; {:.2} to 1", said.join(", "), longest / shortest);
    let on = "medians of 500 each, in turn, on kept connections, each from an address of its own";
    report.note("refusals, the slowest to the quickest", &measured, on);
    Ok(())
}

fn told(report: &mut Report, work: &str, storm: &Storm, on: &str) {
    let p99 = storm.times.p99();
    let measured = format!("{:.0} files/s, p99 {}", storm.rate, shown(p99));
    let good = storm.rate >= RATE && p99 <= LONGEST;
    report.add(work, &measured, ">= 3,000 files/s, p99 <= 250 ms", good, on);
}

/// Gives each user a phone, and returns what all phones ask for.
async fn plant(state: &State) -> anyhow::Result<Paths> {
    let users = users(state).await?;
    let model = Model::find(Vendor::Yealink, "t46s")?;
    let actor = Actor::local("bench", Via::CommandLine);
    let mac = |n: usize| format!("001565{n:06x}").parse::<Mac>();
    let numbered: Vec<(usize, patchbay::id::UserId)> = users.into_iter().enumerate().collect();
    for some in numbered.chunks(STRIDE) {
        let mut change = state.change(&actor).await?;
        let mut space = Space::open(&mut change, state.vault.entropy()).await?;
        for (n, user) in some {
            let mut spec = Spec::new(model);
            spec.lines = vec![NewLine { line: 1, user: *user, label: "".parse()? }];
            let new = NewPhone { mac: mac(*n)?, spec, address: Static::None };
            phones::create(&mut space, &state.vault, &new).await.context("a phone")?;
        }
        space.close().await?;
        change.commit().await?;
    }
    let mut tx = state.read().await?;
    let mut paths = Vec::new();
    for (n, _) in &numbered {
        let mac = mac(*n)?;
        let keys = phones::secrets(&mut tx, &state.vault, TenantId::DEFAULT, mac).await?;
        let token = keys.context("no keys")?.token;
        paths.push(format!("/provision/{token}/y000000000066.cfg"));
        paths.push(format!("/provision/{token}/{}.cfg", mac.hex()));
    }
    Ok(Arc::new(paths))
}

async fn users(state: &State) -> anyhow::Result<Vec<patchbay::id::UserId>> {
    let ids: Vec<(String,)> =
        state.db.query("SELECT user_id FROM extension ORDER BY number").all().await?;
    ensure!(ids.len() == PHONES, "{} users", ids.len());
    Ok(ids.iter().map(|(id,)| id.parse()).collect::<Result<_, _>>()?)
}

struct Storm {
    rate: f64,
    times: Times,
}

/// Every path once, from many connections at the same time.
async fn storm(address: SocketAddr, paths: &Paths, header: &str) -> anyhow::Result<Storm> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let (next, paths) = (Arc::clone(&next), Arc::clone(paths));
        let mut http = Client::with_header(address, header);
        tokio::spawn(async move {
            let mut times = Vec::new();
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let asked = Instant::now();
                let answer = http.get(path).await?;
                times.push(asked.elapsed());
                ensure!(
                    answer.status == 200 && answer.body.len() > 50,
                    "{}: {}",
                    path,
                    answer.status
                );
            }
            anyhow::Ok(times)
        })
    });
    let mut times = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        times.extend(client.await??);
    }
    let rate = paths.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Storm { rate, times: Times::of(times) })
}

/// Puts what the program serves where nginx finds it.
async fn copy(address: SocketAddr, paths: &Paths, root: &Path) -> anyhow::Result<()> {
    let mut http = Client::new(address);
    // The log of this is not counted: as many again would be asked for.
    for pair in paths.chunks(2) {
        for path in pair {
            let file = root.join("files").join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().context("no directory")?)?;
            std::fs::write(file, http.get(path).await?.body)?;
        }
    }
    Ok(())
}

/// nginx with a directory of its own. Dropped, it is ended.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    async fn serve(dir: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = format!(
            "daemon off; worker_processes 2; pid nginx.pid; error_log error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log access.log; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
             client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;\n\
             default_type text/plain; server {{ listen {address}; root files; }} }}\n"
        );
        std::fs::write(dir.join("nginx.conf"), config)?;
        // The workers are somebody else than root, and read from here.
        for path in [dir, dir.parent().context("no parent")?] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        let prefix = dir.display().to_string();
        let child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-p", &prefix, "-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nginx is not there; tests/lab/setup.sh --bench installs it")?;
        let nginx = Self { child, address };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(nginx);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!(
            "nginx did not start: {}",
            std::fs::read_to_string(dir.join("error.log")).unwrap_or_default()
        )
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers; killed, it would leave them.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
