//! Serving boot files: the part of Patchbay that phones talk to.
//!
//! What a file says is [`boot`](crate::boot)'s business. Here is decided who may have it (`serve`),
//! whether it must be rendered anew (`epoch`, `cache`, `render`), how those who guess are slowed
//! down (`throttle`), and what is left of each request (`log`). Files are served from memory for
//! as long as nothing they are made of has changed, and when the database is gone for longer.

mod adopt;
mod answer;
mod api;
mod bootstrap;
mod budget;
mod cache;
mod dhcp;
mod digest;
mod enrolling;
mod epoch;
mod log;
mod queries;
mod render;
mod serve;
pub mod tftp;
mod throttle;
mod types;
mod web;
mod windows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::auth::access::Route;
use crate::net::Address;
use crate::state::State;
use crate::web::Error;

pub use api::Paths;
pub use enrolling::Paths as EnrollingPaths;
pub use types::Outcome;

/// Days a request is remembered, and a phone that waits in vain.
const REQUEST_DAYS: i64 = 30;
const STRANGER_DAYS: i64 = 14;
const DAY: i64 = 86_400;

/// Its pages, its calls, and what phones ask for.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes(), enrolling::routes()].into_iter().flatten().collect()
}

/// What serves phones, with all it remembers. Cheap to clone; one for the whole process.
#[derive(Clone)]
pub struct Provisioner(Arc<Inner>);

/// Its parts.
pub struct Inner {
    state: State,
    cache: cache::Cache,
    epochs: epoch::Epochs,
    log: log::Log,
    throttle: Mutex<throttle::Throttle>,
    challenger: Mutex<digest::Challenger>,
}

impl std::ops::Deref for Provisioner {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Nothing that holds one of these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provisioner {
    /// One that remembers nothing yet.
    pub fn new(state: State) -> Self {
        Self(Arc::new(Inner {
            challenger: Mutex::new(digest::Challenger::new(&state.vault)),
            cache: cache::Cache::default(),
            epochs: epoch::Epochs::default(),
            log: log::Log::default(),
            throttle: Mutex::default(),
            state,
        }))
    }

    /// Writes down what requests leave behind, until `leave` is true; what remains then, too.
    pub async fn run(self, leave: watch::Receiver<bool>) {
        self.log.run(&self.state, leave).await;
    }

    /// Writes down what is not written yet, so that whoever reads next sees all of it.
    pub async fn flush(&self) -> Result<(), Error> {
        self.log.flush(&self.state).await
    }

    /// Whether files are served without the database at the moment.
    pub fn is_aged(&self) -> bool {
        self.epochs.gone()
    }

    /// Somebody vouches for whoever asks from there.
    fn forgive(&self, address: Address) {
        lock(&self.throttle).forgive(address);
    }

    /// Answers TFTP on `socket` until `leave` is true.
    pub async fn tftp(self, socket: tokio::net::UdpSocket, leave: watch::Receiver<bool>) {
        let me = &self;
        tftp::serve(socket, |file, peer| async move { me.bootstrap(&file, peer) }, leave).await;
    }
}

/// Forgets requests of long ago, and phones that waited in vain.
pub async fn tidy(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    let mut tx = state.db.write().await?;
    let requests = now.plus(-REQUEST_DAYS * DAY);
    queries::forget(&mut tx, requests, now.plus(-STRANGER_DAYS * DAY)).await?;
    Ok(tx.commit().await?)
}
