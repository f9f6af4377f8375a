//! What Asterisk really runs, against what it should: looked at, never mended silently.

use super::asterisk::{Ids, Session};
use super::{Applier, File, preview};
use crate::asterisk::conf::{self, Files};
use crate::asterisk::dialplan::{self, Step};
use crate::web::Error;

/// What was seen.
#[derive(Debug, Default)]
pub struct Drift {
    /// Asterisk's version, e.g. `22.10.1`.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: String,
    /// The release in force on disk.
    pub release: Option<i64>,
    /// Why Asterisk could not be asked.
    pub unreachable: Option<String>,
    /// Files in force that somebody changed by hand.
    pub edited: Vec<String>,
    /// What Asterisk did not load of the release in force.
    pub not_loaded: Vec<String>,
    /// Objects of the files, and steps of our contexts, that Asterisk does not hold.
    pub missing: Vec<String>,
    /// Such that are in no file: gone once Asterisk reads that file anew.
    pub memory_only: Vec<String>,
    /// What else should be known.
    pub advice: Option<String>,
}

impl Drift {
    /// Whether Asterisk was seen to run exactly the release in force.
    pub fn is_none(&self) -> bool {
        self.unreachable.is_none()
            && self.edited.is_empty()
            && self.not_loaded.is_empty()
            && self.missing.is_empty()
            && self.memory_only.is_empty()
    }
}

impl Applier {
    /// Asks Asterisk what it holds and compares.
    pub async fn drift(&self) -> Result<Drift, Error> {
        let release = self.releases.current()?;
        let files = match release {
            Some(release) => self.releases.read(release)?,
            None => Vec::new(),
        };
        let edited = preview::edited_by_hand(&files, &self.state.vault);
        let mut drift = Drift { release, edited, ..Drift::default() };
        let contexts = contexts_of(&files);
        let looked = async {
            let mut session =
                Session::open(&self.access).await.map_err(|error| error.to_string())?;
            let (major, minor, patch) = session.version;
            drift.version = format!("{major}.{minor}.{patch}");
            drift.advice = session.advice();
            drift.started_at = session.started_at().await.map_err(|error| error.to_string())?;
            for file in &files {
                drift.not_loaded.extend(
                    session.missing_canaries(file).await.map_err(|error| error.to_string())?,
                );
            }
            let ids = session.ids().await.map_err(|error| error.to_string())?;
            let steps = session.steps(&contexts).await.map_err(|error| error.to_string())?;
            Ok((ids, steps))
        };
        match looked.await {
            Ok((ids, steps)) => {
                let config_dir = self.config_dir.clone();
                let (held, of_contexts) = (ids, contexts.into_iter().zip(steps));
                let work = tokio::task::spawn_blocking(move || {
                    let everything = Ids::of_tree(&preview::pjsip_tree(&config_dir, &files));
                    let (mut missing, mut memory_only): (Vec<_>, Vec<_>) = (
                        everything.without(&held).names().collect(),
                        held.without(&everything).names().collect(),
                    );
                    let tree = preview::dialplan_tree(&config_dir, &files);
                    for (context, held) in of_contexts {
                        let meant = dialplan::steps(&tree, &context);
                        let name = |step: &Step| format!("{step} of {context}");
                        missing.extend(meant.difference(&held).map(name));
                        memory_only.extend(held.difference(&meant).map(name));
                    }
                    (missing, memory_only)
                });
                (drift.missing, drift.memory_only) =
                    work.await.map_err(|error| Error::Io(std::io::Error::other(error)))?;
            }
            Err(reason) => drift.unreachable = Some(reason),
        }
        Ok(drift)
    }
}

/// The contexts of the dialplan that the files define.
fn contexts_of(files: &[File]) -> Vec<String> {
    let sources: Files = files.iter().map(|file| (file.name.to_owned(), file.bytes())).collect();
    let tree = conf::parse(&sources, "extensions.conf");
    tree.sections().map(|section| conf::text(section.name()).into_owned()).collect()
}
