//! What goes on beside answering requests.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::state::State;

/// All of it. What is not told to stop ([`Workers::stop`]) goes on as long as the process.
pub(super) struct Workers {
    leave: watch::Sender<bool>,
    running: Vec<Running>,
    ticking: Vec<AbortHandle>,
}

/// Something that ends by itself when it is told to.
struct Running {
    work: JoinHandle<()>,
    patience: Duration,
    unfinished: &'static str,
}

impl Workers {
    pub(super) fn new() -> Self {
        Self { leave: watch::Sender::new(false), running: Vec::new(), ticking: Vec::new() }
    }

    /// Starts what ends soon after the signal it is given is true. A stop waits `patience` for it,
    /// and if it has not ended by then says what that leaves `unfinished`.
    pub(super) fn start<F>(
        &mut self,
        patience: Duration,
        unfinished: &'static str,
        work: impl FnOnce(watch::Receiver<bool>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = tokio::spawn(work(self.leave.subscribe()));
        self.running.push(Running { work, patience, unfinished });
    }

    /// Does something at once and then every `period`. What fails is logged as `failed`, and tried
    /// again the next time. A stop breaks it off: each is a transaction or can be done again.
    pub(super) fn every<F>(
        &mut self,
        period: Duration,
        failed: &'static str,
        state: &State,
        work: impl Fn(State) -> F + Send + 'static,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let state = state.clone();
        let work = async move {
            let mut tick = tokio::time::interval(period);
            loop {
                tick.tick().await;
                if let Err(error) = work(state.clone()).await {
                    tracing::warn!(error = %error, "{failed}; it is tried again in {period:?}");
                }
            }
        };
        self.ticking.push(tokio::spawn(work).abort_handle());
    }

    /// Tells everything to stop, and waits until it has.
    pub(super) async fn stop(self) {
        for work in self.ticking {
            work.abort();
        }
        let _ = self.leave.send(true);
        let stopping =
            self.running.into_iter().map(async |Running { work, patience, unfinished }| {
                if tokio::time::timeout(patience, work).await.is_err() {
                    tracing::warn!("{unfinished}");
                }
            });
        futures_util::future::join_all(stopping).await;
    }
}
