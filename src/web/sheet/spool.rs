//! Uploaded files on disk: deleted when nobody needs them, or kept for an hour for whoever
//! uploaded them to confirm what a dry run said.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::id::OperatorId;
use crate::secrets::{Entropy, fingerprint};
use crate::state::State;
use crate::time::{Clock, Timestamp};

/// Seconds a file is kept.
const KEPT_SECONDS: i64 = 3600;
/// Files kept for one operator; the oldest makes room.
const MOST_KEPT: usize = 4;

/// The directory of uploads. Names in it begin with when the file came, so that no clock but ours
/// says how old it is.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
    entropy: Entropy,
    clock: Clock,
}

/// A file that is deleted when it is dropped.
#[derive(Debug)]
pub struct Spooled(NamedTempFile);

impl Spool {
    /// Uploads in `dir`, which is made when need be.
    pub fn new(dir: PathBuf, entropy: Entropy, clock: Clock) -> Self {
        Self { dir, entropy, clock }
    }

    /// The uploads of this installation.
    pub fn of(state: &State) -> Self {
        let dir = state.data_dir.join("uploads");
        Self::new(dir, state.vault.entropy().clone(), state.clock.clone())
    }

    /// Where the files are; made, for its owner alone, when it is not there.
    pub fn dir(&self) -> io::Result<&Path> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        Ok(&self.dir)
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An empty file, for its owner alone (0600).
    pub fn create(&self) -> io::Result<Spooled> {
        let prefix = format!("{}_part_", self.clock.now().0);
        tempfile::Builder::new().prefix(&prefix).tempfile_in(self.dir()?).map(Spooled)
    }

    /// Keeps a file for an hour, for this operator; the token gets it back.
    pub fn keep(&self, file: Spooled, operator: OperatorId) -> io::Result<String> {
        self.make_room(operator)?;
        let now = self.clock.now();
        let token = format!("{}-{}", now.0, self.entropy.text(32)?);
        let path = self.dir.join(name(now, operator, &token));
        file.0.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(token)
    }

    /// The file kept under this token for this operator, once; `None` when it is another's, was
    /// taken, or is too old.
    pub fn take(&self, token: &str, operator: OperatorId) -> io::Result<Option<Spooled>> {
        let kept = token.split_once('-').and_then(|(kept, _)| kept.parse().ok()).map(Timestamp);
        let Some(kept) = kept.filter(|kept| !self.is_old(*kept)) else { return Ok(None) };
        let path = self.dir.join(name(kept, operator, token));
        let mine = self.dir()?.join(format!("{}_part_{}", kept.0, self.entropy.text(16)?));
        // Renaming succeeds for one of two who take the file at once.
        match fs::rename(path, &mine) {
            Ok(()) => {
                let path = TempPath::try_from_path(mine)?;
                let file = File::options().read(true).write(true).open(&path)?;
                Ok(Some(Spooled(NamedTempFile::from_parts(file, path))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes what is older than an hour, and what a crash left behind.
    pub fn tidy(&self) -> io::Result<()> {
        for (when, path) in self.files("")? {
            if self.is_old(when) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn is_old(&self, when: Timestamp) -> bool {
        !(0..KEPT_SECONDS).contains(&self.clock.now().since(when))
    }

    fn make_room(&self, operator: OperatorId) -> io::Result<()> {
        let mut kept = self.files(&operator.to_string())?;
        kept.sort();
        let room = kept.len().saturating_sub(MOST_KEPT - 1);
        kept.iter().take(room).try_for_each(|(_, path)| remove(path))
    }

    /// The files, of one operator if one is named, and when they came.
    fn files(&self, operator: &str) -> io::Result<Vec<(Timestamp, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir()?)? {
            let path = entry?.path();
            let mut parts = path.file_name().and_then(OsStr::to_str).unwrap_or_default().split('_');
            let when = parts.next().and_then(|when| when.parse().ok()).map(Timestamp);
            let whose = parts.next().unwrap_or_default();
            if let Some(when) = when.filter(|_| operator.is_empty() || whose == operator) {
                found.push((when, path));
            }
        }
        Ok(found)
    }
}

/// The token is not in the name: who can list the directory cannot confirm an import.
fn name(kept: Timestamp, operator: OperatorId, token: &str) -> String {
    format!("{}_{operator}_{}", kept.0, fingerprint(token.as_bytes()))
}

/// Deletes a file; one that is gone already is as good.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Spooled {
    /// The file, opened anew from its beginning.
    pub fn open(&self) -> io::Result<File> {
        self.0.reopen()
    }

    /// Where the file is while this lives.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
