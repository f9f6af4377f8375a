//! Answering requests until told to stop.

use std::process::ExitCode;
use std::time::Duration;

use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tokio::sync::watch;

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
use crate::web::Error;
use crate::web::sheet::Spool;
use crate::{api, auth, outbox, workflows};

/// How long a stop waits for an Apply under way.
const LONGEST_APPLY: Duration = Duration::from_mins(2);
/// How long a stop waits for a job under way.
const LONGEST_JOB: Duration = Duration::from_secs(5);
/// How long a stop waits for what sweeps under way have yet to write down.
const LONGEST_SWEEP: Duration = Duration::from_secs(8);
/// How long a stop waits for calls to systems outside that are under way.
const LONGEST_CALL: Duration = Duration::from_secs(8);

/// How long a stop waits for what phones asked for to be written down.
const LONGEST_LOG: Duration = Duration::from_secs(10);

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
    let server = HttpServer::new(move || App::new().configure(app::configure(shared.clone())))
        .workers(2)
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(10)
        .bind(session.config.listen)
        .with_context(|| format!("cannot listen on {}", session.config.listen))?;
    announce(session).await?;
    let housekeeping = tokio::spawn(housekeeping(session.state.clone()));
    let expiry = tokio::spawn(expiry(session.state.clone()));
    let (leave, leaving) = watch::channel(false);
    let runner = Runner::new(session.state.clone()).context("sweeps cannot be done here")?;
    let sweeps = tokio::spawn(runner.run(leaving.clone()));
    let feed = Feed::new(session.state.clone(), applier.access().clone());
    let feed = tokio::spawn(feed.run(leaving.clone()));
    let telling = notify::Runner::new(session.state.clone(), applier.access().clone())
        .context("phones cannot be told here")?;
    let telling = tokio::spawn(telling.run(leaving.clone()));
    let caller = outbox::Runner::new(session.state.clone()).context("no randomness")?;
    let calls = tokio::spawn(caller.run(leaving.clone()));
    let flows = workflows::Runner::new(session.state.clone(), applier.clone());
    let flows = tokio::spawn(flows.context("no randomness")?.run(leaving.clone()));
    let keeper = tokio::spawn(Keeper::new(session.state.clone()).run(leaving.clone()));
    if let Some(address) = session.config.phones.tftp {
        let socket = tokio::net::UdpSocket::bind(address).await;
        let socket = socket.with_context(|| format!("cannot answer TFTP on {address}"))?;
        tokio::spawn(provisioner.clone().tftp(socket, leaving.clone()));
    }
    let log = tokio::spawn(provisioner.run(leaving.clone()));
    let jobs = jobs::Runner::new(session.state.clone(), Jobs::new(app::jobs()))?;
    let jobs = tokio::spawn(jobs.run(leaving));
    let completion = tokio::spawn(completion(session.state.clone()));
    server.run().await.context("the server stopped")?;
    housekeeping.abort();
    expiry.abort();
    completion.abort();
    let _ = leave.send(true);
    let _ = feed.await;
    if tokio::time::timeout(LONGEST_SWEEP, telling).await.is_err() {
        tracing::warn!("stopped while phones were told; the next start goes on");
    }
    keeper.abort();
    if tokio::time::timeout(LONGEST_SWEEP, sweeps).await.is_err() {
        tracing::warn!("stopped in the middle of a sweep; the next start notices");
    }
    if tokio::time::timeout(LONGEST_CALL, calls).await.is_err() {
        tracing::warn!("stopped in the middle of calls to systems outside; they are made again");
    }
    if tokio::time::timeout(LONGEST_CALL, flows).await.is_err() {
        tracing::warn!(
            "stopped in the middle of a workflow; another instance or the next start goes on"
        );
    }
    if tokio::time::timeout(LONGEST_LOG, log).await.is_err() {
        tracing::warn!("stopped before everything phones asked for was written down");
    }
    if tokio::time::timeout(LONGEST_JOB, jobs).await.is_err() {
        tracing::warn!(
            "stopped in the middle of a job; another instance or the next start does it"
        );
    }
    if tokio::time::timeout(LONGEST_APPLY, applier.idle()).await.is_err() {
        tracing::warn!("stopped in the middle of an apply; the next start repairs it");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
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
    let head = crate::audit::head(&mut session.state.read().await?).await?;
    tracing::info!(audit.head = head, "serving");
    Ok(())
}

/// Completes revocations that nothing holds up any more, every two seconds.
async fn completion(state: State) {
    let mut tick = tokio::time::interval(Duration::from_secs(2));
    loop {
        tick.tick().await;
        if let Err(error) = lifecycle::job::complete_settled(&state).await {
            tracing::warn!(error = %error, "revocations were not completed; it is tried again");
        }
    }
}

/// Frees addresses and prefixes whose reservation or quarantine has ended, every minute.
async fn expiry(state: State) {
    let mut tick = tokio::time::interval(Duration::from_mins(1));
    loop {
        tick.tick().await;
        if let Err(error) = prefixes::expire(&state).await {
            tracing::warn!(error = %error, "prefixes were not freed; it is tried again in a minute");
        }
        match addresses::expire(&state).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "reservations and quarantines ended"),
            Err(error) => {
                tracing::warn!(error = %error, "addresses were not freed; it is tried again in a minute");
            }
        }
    }
}

/// Removes what no longer counts, every ten minutes.
async fn housekeeping(state: State) {
    let mut tick = tokio::time::interval(Duration::from_mins(10));
    loop {
        tick.tick().await;
        let done = async {
            auth::tidy(&state).await?;
            api::tidy(&state).await?;
            provision::tidy(&state).await?;
            Ok::<_, Error>(Spool::of(&state).tidy()?)
        };
        if let Err(error) = done.await {
            tracing::warn!(error = %error, "housekeeping failed; it is tried again in ten minutes");
        }
    }
}
