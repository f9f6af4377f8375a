//! Apply: make Asterisk what the database says, completely or not at all.
//!
//! One at a time: take the lock, read one snapshot, render, check what was rendered together with
//! the hand-written files it lands among, ask whether Asterisk answers, write the release beside
//! the old one, switch, reload the modules whose files changed, read back. On any doubt the old
//! release is switched back, reloaded and read back, and both facts are said. Asterisk's own word
//! for a reload is never believed: it says "success" of files it dropped.
//!
//! Whatever does not depend on each other is done at the same time, for an Apply of a small office
//! is mostly waiting for the disk: the release is written while the lock is put on record and
//! Asterisk greets; the link reaches the disk while Asterisk reads.
//!
//! Nothing here is woken by a change; people press the button.

pub mod api;
mod asterisk;
mod attempt;
mod desired;
mod drift;
pub mod install;
mod keep;
mod lock;
mod log;
mod preview;
mod proof;
mod queries;
mod release;
mod render;
mod types;
pub mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::asterisk::access::Access;
use crate::audit::{Actor, Page};
use crate::config::Config;
use crate::state::State;
use crate::web::Error;

pub use desired::{Desired, read as snapshot};
pub use drift::Drift;
pub use preview::Preview;
pub use render::{File, context, render};
pub use types::{Module, Reason, Request, Run, Source, State as RunState, Step};

use asterisk::Session;
use lock::Opening;
use release::Releases;

/// Where `patchbay asterisk install` keeps the manager secret it made, in the data directory.
pub const SECRET_FILE: &str = "ami.secret";

/// Everything needed to apply. Cheap to clone.
#[derive(Clone)]
pub struct Applier {
    state: State,
    config_dir: PathBuf,
    releases: Releases,
    access: Access,
    host: String,
    /// Where an Apply runs on, whatever becomes of the request that began it.
    runtime: Handle,
    tamper: Tamper,
    progress: Arc<watch::Sender<Option<(i64, Step)>>>,
}

/// What is written instead of a file's text.
type Tamper = fn(&File) -> Arc<str>;

/// Why an Apply did not even begin. An Apply that began always ends as a [`Run`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// `patchbay asterisk install` has not been run.
    #[error("Asterisk does not know Patchbay yet: run patchbay asterisk install on its machine")]
    NotInstalled,
    /// Somebody else is applying.
    #[error("{0} is applying right now; wait until that is done")]
    Busy(String),
    /// There is no such earlier Apply, or it put nothing into force.
    #[error("there is no such release to restore")]
    NoSuchRelease,
    /// The directory below Asterisk's configuration cannot be used.
    #[error("{path} cannot be used: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Applier {
    /// For the Asterisk the settings name. To be called on the runtime that lives longest.
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            state,
            config_dir: config.asterisk.config_dir.clone(),
            releases: Releases::below(&config.asterisk.config_dir),
            access: Access::new(&config.asterisk, config.data_dir.join(SECRET_FILE)),
            host: host(),
            runtime: Handle::current(),
            tamper: |file| Arc::clone(&file.text),
            progress: Arc::new(watch::Sender::new(None)),
        }
    }

    /// As given, but waiting as long as `timeouts` say.
    #[must_use]
    pub fn waiting(mut self, timeouts: crate::asterisk::ami::Timeouts) -> Self {
        self.access.timeouts = timeouts;
        self
    }

    /// For tests alone: writes what `tamper` makes of each file, behind the back of every check
    /// that comes before Asterisk reads it.
    #[doc(hidden)]
    #[must_use]
    pub fn tampering(mut self, tamper: Tamper) -> Self {
        self.tamper = tamper;
        self
    }

    /// For tests alone: another machine, as far as the lock is concerned.
    #[doc(hidden)]
    #[must_use]
    pub fn on_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Applies, from the lock to the record of how it ended.
    ///
    /// The work goes on when the caller stops waiting: half an Apply must not depend on a
    /// browser's connection.
    pub async fn apply(&self, actor: &Actor, request: &Request) -> Result<Run, ApplyError> {
        let opening = self.open(actor, request).await?;
        let (tell, _) = oneshot::channel();
        self.go_on(opening, tell, actor, request).await.map_err(gone)?
    }

    /// Begins to apply and returns the run's number; the rest goes on by itself.
    pub async fn start(&self, actor: &Actor, request: &Request) -> Result<i64, ApplyError> {
        let opening = self.open(actor, request).await?;
        let run = opening.begun.run;
        let (tell, begun) = oneshot::channel();
        let work = self.go_on(opening, tell, actor, request);
        if begun.await.is_err() {
            return work.await.map_err(gone)?.map(|run| run.id);
        }
        self.runtime.spawn(async move {
            let ended = work.await.map_err(gone).and_then(std::convert::identity);
            if let Err(error) = ended {
                tracing::error!(error = %error, apply.run = run, "the end of an apply could not be recorded");
            }
        });
        Ok(run)
    }

    /// Everything after the lock was taken; `tell` hears when that is on record.
    ///
    /// A release is made ready, and Asterisk greets, while it is being put on record that an Apply
    /// begins: nothing but the switch needs all three.
    fn go_on(
        &self,
        opening: Opening,
        tell: oneshot::Sender<()>,
        actor: &Actor,
        request: &Request,
    ) -> JoinHandle<Result<Run, ApplyError>> {
        let (applier, actor, request) = (self.clone(), actor.clone(), request.clone());
        self.runtime.spawn(async move {
            let Opening { tx, begun } = opening;
            let noting = async {
                tx.commit().await?;
                // Only some callers wait for this.
                let _ = tell.send(());
                Ok::<_, ApplyError>(applier.keep_lease(begun.run))
            };
            let (lease, (plan, ready), session) = tokio::join!(
                noting,
                applier.get_ready(&begun, &request),
                Session::open(&applier.access)
            );
            let lease = match lease {
                Ok(lease) => lease,
                Err(error) => {
                    applier.progress.send_replace(None);
                    applier.discard(&begun);
                    return Err(error);
                }
            };
            let ending = applier.attempt(&begun, plan, ready, session).await;
            lease.abort();
            let ended = applier.end(begun, &actor, ending).await;
            applier.progress.send_replace(None);
            ended
        })
    }

    /// Where the Apply under way in this process is.
    pub fn progress(&self) -> Option<(i64, Step)> {
        *self.progress.borrow()
    }

    /// Waits until no Apply is under way in this process.
    pub async fn idle(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as this applier.
        let _ = progress.wait_for(Option::is_none).await;
    }

    /// Past applies, newest first, and how many there are.
    pub async fn history(&self, page: Page) -> Result<(Vec<Run>, i64), Error> {
        let mut tx = self.state.read().await?;
        Ok((queries::list(&mut tx, page).await?, queries::count(&mut tx).await?))
    }

    /// The newest apply, however it ended.
    pub async fn newest(&self) -> Result<Option<Run>, Error> {
        let newest = Page { offset: 0, limit: 1 };
        Ok(queries::list(&mut self.state.read().await?, newest).await?.pop())
    }

    /// One apply.
    pub async fn run(&self, id: i64) -> Result<Option<Run>, Error> {
        Ok(queries::get(&mut self.state.read().await?, id).await?)
    }

    /// The apply that put the release now meant to be in force there.
    pub async fn last_good(&self) -> Result<Option<Run>, Error> {
        Ok(queries::last_good(&mut self.state.read().await?).await?)
    }

    /// Who is applying, if somebody is.
    pub async fn busy(&self) -> Result<Option<Run>, Error> {
        let mut tx = self.state.read().await?;
        let head = queries::head(&mut tx).await?;
        match head.running {
            Some(run) => Ok(queries::get(&mut tx, run).await?),
            None => Ok(None),
        }
    }

    /// The texts an apply put into force, or would have.
    pub async fn files_of(&self, run: i64) -> Result<Vec<File>, Error> {
        let mut tx = self.state.read().await?;
        let mut files = Vec::new();
        for (keeper, name, sealed) in queries::files(&mut tx, run).await? {
            let text = keep::unpack(&self.state.vault, keeper, &name, &sealed)?;
            files.extend(render::kept(&name, text));
        }
        Ok(files)
    }

    /// The names of those that are kept.
    pub async fn file_names(&self, run: i64) -> Result<Vec<String>, Error> {
        Ok(queries::file_names(&mut self.state.read().await?, run).await?)
    }

    /// Whether Asterisk includes our files, so that there is something to apply to.
    pub fn is_installed(&self) -> bool {
        self.releases.exists()
    }

    /// How Asterisk is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Asterisk's configuration directory.
    pub fn config_dir(&self) -> &Path {
        &self.config_dir
    }

    fn step(&self, run: i64, step: Step) {
        self.progress.send_replace(Some((run, step)));
    }
}

/// The task an Apply runs in ended without a word.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn gone(error: JoinError) -> ApplyError {
    ApplyError::Fault(Error::Io(std::io::Error::other(error.to_string())))
}

/// Work that would hold up other requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let gone = |_| Error::Io(std::io::Error::other("a worker is gone"));
    tokio::task::spawn_blocking(work).await.map_err(gone)
}

/// The machine's name, to tell a run of ours that died from one elsewhere that lives.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
