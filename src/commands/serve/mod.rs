//! Answering requests until told to stop.

mod workers;

use std::process::ExitCode;
use std::time::Duration;

use super::Session;
use crate::app::{self, Shared};
use crate::apply::Applier;
use crate::ipam::observe::Runner;
use crate::ipam::{addresses, prefixes};
use crate::jobs::{self, Jobs};
use crate::lifecycle;
use crate::mirror::Keeper;
use crate::notify;
use crate::provision::{self, Provisioner};
use crate::registrations::Feed;
use crate::state::State;
use crate::web::sheet::Spool;
use crate::{api, audit, auth, outbox, workflows};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tokio::net::UdpSocket;
use workers::Workers;

/// How long a stop waits for an Apply under way.
const LONGEST_APPLY: Duration = Duration::from_mins(2);
/// How long a stop waits for whatever else is under way: a job, a step, a call, what is to be
/// written down.
const LONGEST: Duration = Duration::from_secs(8);
/// How often the head of the audit log is noted in the program's own log.
const HOUR: Duration = Duration::from_hours(1);
/// How often it is asked whether an Apply died in another process of this machine, or could not be
/// put on record.
const REPAIRS: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT; requests being answered are finished first.
pub async fn run(session: &Session) -> anyhow::Result<ExitCode> {
    let metrics = app::recorder()?.install_recorder().context("cannot collect metrics")?;
    let applier = Applier::new(&session.config, session.state.clone());
    if let Err(error) = applier.repair().await {
        tracing::error!(error = %error, "what an interrupted apply left behind could not be repaired");
    }
    let provisioner = Provisioner::new(session.state.clone());
    let shared = Shared {
        state: session.state.clone(),
        applier: applier.clone(),
        provisioner: provisioner.clone(),
        metrics,
    };
    let in_each_thread = move || {
        let mut shared = shared.clone();
        shared.state.db = shared.state.db.near();
        App::new().configure(app::configure(shared))
    };
    let server = HttpServer::new(in_each_thread)
        .workers(2)
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(10)
        .bind(session.config.listen)
        .with_context(|| format!("cannot listen on {}", session.config.listen))?;
    let tftp = tftp(session).await?;
    announce(session).await?;
    let workers = workers(session, &applier, provisioner, tftp)?;
    server.run().await.context("the server stopped")?;
    workers.stop().await;
    if tokio::time::timeout(LONGEST_APPLY, applier.idle()).await.is_err() {
        tracing::warn!("stopped in the middle of an apply; the next start repairs it");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Where TFTP is answered, if anywhere. A port that is taken is said before it is said that Patchbay
/// listens.
async fn tftp(session: &Session) -> anyhow::Result<Option<UdpSocket>> {
    let Some(address) = session.config.phones.tftp else { return Ok(None) };
    let socket = UdpSocket::bind(address).await;
    socket.map(Some).with_context(|| format!("cannot answer TFTP on {address}"))
}

/// Starts everything that goes on beside answering requests.
fn workers(
    session: &Session,
    applier: &Applier,
    provisioner: Provisioner,
    tftp: Option<UdpSocket>,
) -> anyhow::Result<Workers> {
    let state = &session.state;
    let mut workers = Workers::new();
    let sweeps = Runner::new(state.clone()).context("sweeps cannot be done here")?;
    workers.start(LONGEST, "stopped in the middle of a sweep; the next start notices", |leave| {
        sweeps.run(leave)
    });
    let feed = Feed::new(state.clone(), applier.access().clone());
    workers.start(LONGEST, "stopped while Asterisk told of registrations", |leave| feed.run(leave));
    let telling = notify::Runner::new(state.clone(), applier.access().clone());
    let telling = telling.context("phones cannot be told here")?;
    workers.start(LONGEST, "stopped while phones were told; the next start goes on", |leave| {
        telling.run(leave)
    });
    let calls = outbox::Runner::new(state.clone()).context("no randomness")?;
    let unfinished = "stopped in the middle of calls to systems outside; they are made again";
    workers.start(LONGEST, unfinished, |leave| calls.run(leave));
    let flows = workflows::Runner::new(state.clone(), applier.clone()).context("no randomness")?;
    let unfinished =
        "stopped in the middle of a workflow; another instance or the next start goes on";
    workers.start(LONGEST, unfinished, |leave| flows.run(leave));
    let keeper = Keeper::new(state.clone());
    workers.start(LONGEST, "stopped while records were compared; it is done again", |leave| {
        keeper.run(leave)
    });
    if let Some(socket) = tftp {
        let tftp = provisioner.clone();
        workers.start(LONGEST, "stopped while files were sent by TFTP", |leave| {
            tftp.tftp(socket, leave)
        });
    }
    let unfinished = "stopped before everything phones asked for was written down";
    workers.start(LONGEST, unfinished, |leave| provisioner.run(leave));
    let jobs = jobs::Runner::new(state.clone(), Jobs::new(app::jobs()))?;
    let unfinished = "stopped in the middle of a job; another instance or the next start does it";
    workers.start(LONGEST, unfinished, |leave| jobs.run(leave));
    let mending = applier.clone();
    let repair = move |_| {
        let applier = mending.clone();
        async move { Ok(applier.repair().await?) }
    };
    workers.every(REPAIRS, "what an interrupted apply left behind was not repaired", state, repair);
    let [seconds, minute, minutes] =
        [Duration::from_secs(2), Duration::from_mins(1), Duration::from_mins(10)];
    workers.every(HOUR, "the head of the audit log was not noted", state, note_head);
    workers.every(seconds, "revocations were not completed", state, completion);
    workers.every(seconds, "grown tables were not looked at", state, growth);
    workers.every(minute, "addresses were not freed", state, expiry);
    workers.every(minute, "prefixes were not freed", state, expiry_of_prefixes);
    workers.every(minutes, "what no longer counts was not removed", state, housekeeping);
    Ok(workers)
}

/// Says where Patchbay is, and how to become its first administrator.
async fn announce(session: &Session) -> anyhow::Result<()> {
    let url = &session.config.public_url;
    say!("Patchbay listens on {}, reached as {url}", session.config.listen);
    if let Some(token) = auth::setup_link(&session.state).await? {
        say!(
            "There is no operator yet. Become the first administrator within 30 minutes:\n  {url}/welcome/{token}"
        );
    }
    tracing::info!("serving");
    Ok(())
}

/// Writes where the audit log stands into the program's own log, which is kept elsewhere: who puts
/// the database back to an earlier day is found by it.
async fn note_head(state: State) -> anyhow::Result<()> {
    let (seq, hash) = audit::head_of_chain(&state.db).await?;
    tracing::info!(audit.seq = seq, audit.head = hash, "the head of the audit log");
    Ok(())
}

/// Completes revocations that nothing holds up any more.
async fn completion(state: State) -> anyhow::Result<()> {
    lifecycle::job::complete_settled(&state).await?;
    Ok(())
}

/// Keeps what the database believes of its tables near the truth.
async fn growth(state: State) -> anyhow::Result<()> {
    state.db.look_at_growth().await?;
    Ok(())
}

/// Frees addresses whose reservation or quarantine has ended.
async fn expiry(state: State) -> anyhow::Result<()> {
    let count = addresses::expire(&state).await?;
    if count > 0 {
        tracing::info!(count, "reservations and quarantines ended");
    }
    Ok(())
}

/// Frees prefixes whose quarantine has ended.
async fn expiry_of_prefixes(state: State) -> anyhow::Result<()> {
    prefixes::expire(&state).await?;
    Ok(())
}

/// Removes what no longer counts.
async fn housekeeping(state: State) -> anyhow::Result<()> {
    auth::tidy(&state).await?;
    api::tidy(&state).await?;
    provision::tidy(&state).await?;
    Ok(Spool::of(&state).tidy()?)
}
