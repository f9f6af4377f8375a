//! What is kept of the files of a run, to be looked at later: in the database, packed and sealed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::render::File;
use super::types::Run;
use super::{Applier, ApplyError, blocking, preview, queries};
use crate::db::{self, Tx};
use crate::secrets::{Vault, VaultError};
use crate::web::Error;

/// A file as it is kept in the database.
pub(super) struct Packed {
    name: &'static str,
    sha256: String,
    size: i64,
    content: Vec<u8>,
}

/// What is kept of a run.
#[derive(Default)]
pub(super) struct Kept {
    /// Its files.
    pub files: Vec<Packed>,
    /// Which run keeps the very same already, where there are none to keep.
    pub same_as: Option<i64>,
}

impl Kept {
    /// Writes the files down; which run has them else is for the row of the run.
    pub(super) async fn insert(self, tx: &mut Tx, run: i64) -> db::Result<()> {
        for Packed { name, sha256, size, content } in self.files {
            queries::insert_file(tx, run, name, &sha256, size, content).await?;
        }
        Ok(())
    }
}

impl Applier {
    /// What is not in force is kept to be looked at, also when Asterisk was told nothing of it.
    /// Somebody who tries until Asterisk answers must not fill the disk: what is kept already is
    /// not kept again.
    pub(super) async fn keep(
        &self,
        run: i64,
        previous: Option<i64>,
        files: Vec<File>,
    ) -> Result<Kept, Error> {
        if files.is_empty() {
            return Ok(Kept::default());
        }
        let known = queries::hashes(&mut self.state.read().await?, previous).await?;
        let vault = self.state.vault.clone();
        let packing = blocking(move || match keeper_of(&files, &known) {
            Some(keeper) => Ok(Kept { files: Vec::new(), same_as: Some(keeper) }),
            None => pack(&vault, run, &files).map(|files| Kept { files, same_as: None }),
        });
        Ok(packing.await??)
    }

    /// What an interrupted run had written, if it came to the end of that; to be asked before the
    /// run is undone.
    pub(super) async fn left_behind(&self, run: &Run) -> Kept {
        let kept = async {
            let files = self.releases.read(run.id)?;
            let whole = preview::edited_by_hand(&files, &self.state.vault).is_empty();
            let files = if whole { files } else { Vec::new() };
            self.keep(run.id, run.previous, files).await
        };
        kept.await.unwrap_or_else(|error| {
            tracing::warn!(%error, apply.run = run.id, "what an interrupted apply had written could not be kept");
            Kept::default()
        })
    }
}

/// Which of the runs that keep files of these hashes keeps the very same as `files`.
fn keeper_of(files: &[File], known: &[(i64, String, String)]) -> Option<i64> {
    let hashes: Vec<_> = files.iter().map(|file| (file.name, file.sha256())).collect();
    let mut keepers = known.iter().map(|(keeper, _, _)| *keeper);
    keepers.find(|keeper| {
        hashes.iter().all(|(name, hash)| {
            known.iter().any(|(of, its, sha256)| of == keeper && its == name && sha256 == hash)
        })
    })
}

/// Compresses and seals the files of a run: they hold digests as good as passwords.
pub(super) fn pack(vault: &Vault, run: i64, files: &[File]) -> Result<Vec<Packed>, VaultError> {
    let packed = files.iter().map(|file| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(file.text.as_bytes())?;
        Ok(Packed {
            name: file.name,
            sha256: file.sha256(),
            size: i64::try_from(file.text.len()).unwrap_or(i64::MAX),
            content: vault.seal(&place(run, file.name), &gzip.finish()?)?,
        })
    });
    packed.collect()
}

/// Undoes [`pack`].
pub(super) fn unpack(
    vault: &Vault,
    run: i64,
    name: &str,
    sealed: &[u8],
) -> Result<String, VaultError> {
    let bytes = vault.unseal(&place(run, name), sealed)?;
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
    Ok(text)
}

fn place(run: i64, name: &str) -> String {
    format!("apply/{run}/{name}")
}

/// For errors that are faults, not outcomes.
impl From<VaultError> for ApplyError {
    fn from(error: VaultError) -> Self {
        Self::Fault(Error::from(error))
    }
}
