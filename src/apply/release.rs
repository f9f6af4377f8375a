//! Releases on disk: numbered directories below `<config_dir>/patchbay/releases/`, and `current`,
//! a symbolic link to the one in force.
//!
//! All files of a release change hands in one `rename(2)`, so Asterisk reads the old ones or the
//! new ones, never a mixture. Everything is synced to the disk before the link moves, and the
//! link's directory before it is on record that the release is in force. Nothing outside
//! `patchbay/` is written.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::render::{FILES, File, kept};

/// Releases kept on disk; their texts are in the database for ever.
const KEPT: usize = 5;
/// Asterisk's group reads, nobody else does.
const FILE_MODE: u32 = 0o640;
/// As [`FILE_MODE`]; what is made below inherits the group.
const DIR_MODE: u32 = 0o2750;

/// The directory that is Patchbay's alone.
#[derive(Clone, Debug)]
pub struct Releases {
    base: PathBuf,
}

impl Releases {
    /// Below Asterisk's configuration directory.
    pub fn below(config_dir: &Path) -> Self {
        Self { base: config_dir.join("patchbay") }
    }

    /// The directory itself.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whether `patchbay asterisk install` has been here.
    pub fn exists(&self) -> bool {
        self.base.join("current").symlink_metadata().is_ok()
    }

    /// The number of the release in force.
    pub fn current(&self) -> io::Result<Option<i64>> {
        match fs::read_link(self.base.join("current")) {
            Ok(target) => Ok(target.file_name().and_then(number)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The highest number a release on disk has; 0 when there is none.
    pub fn newest(&self) -> io::Result<i64> {
        let mut newest = 0;
        for entry in fs::read_dir(self.base.join("releases"))? {
            newest = newest.max(number(&entry?.file_name()).unwrap_or(0));
        }
        Ok(newest)
    }

    /// The files of a release as they are on disk; those missing, or no longer Patchbay's, are
    /// left out.
    pub fn read(&self, release: i64) -> io::Result<Vec<File>> {
        let directory = self.directory(release);
        let mut files = Vec::new();
        for (name, _) in FILES {
            match fs::read(directory.join(name)) {
                Ok(bytes) => files.extend(kept(name, String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// Makes the directory of releases, for whoever owns the group `group`.
    pub fn create(&self, group: Option<u32>) -> io::Result<()> {
        for directory in [self.base.clone(), self.base.join("releases")] {
            if !directory.exists() {
                fs::create_dir(&directory)?;
            }
            // Only root may give files to a group it is not in; then the caller says so.
            std::os::unix::fs::chown(&directory, None, group)?;
            fs::set_permissions(&directory, Permissions::from_mode(DIR_MODE))?;
        }
        sync(&self.base)?;
        sync(self.base.parent().unwrap_or(&self.base))
    }

    /// Writes a release beside the others and syncs it; it is not in force yet. A file that is the
    /// same as in `previous` is linked to it, so that Asterisk sees that it is unchanged.
    pub fn write(
        &self,
        release: i64,
        files: &[File],
        previous: &[File],
        from: Option<i64>,
    ) -> io::Result<()> {
        let releases = self.base.join("releases");
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(&releases)?;
        fs::set_permissions(beside.path(), Permissions::from_mode(DIR_MODE))?;
        for file in files {
            let same = previous.iter().any(|old| old.name == file.name && old.text == file.text);
            let old = from.map(|from| self.directory(from).join(file.name));
            let path = beside.path().join(file.name);
            match old {
                Some(old) if same => fs::hard_link(&old, &path)?,
                old => write_new(&path, file.text.as_bytes(), old.as_deref())?,
            }
        }
        // What an earlier run with this number left behind was never in force.
        self.discard(release)?;
        let target = self.directory(release);
        // Named first and synced then: nothing reads it before the link moves, and a file system
        // with a journal brings the names to the disk with the first file.
        fs::rename(beside.keep(), &target)?;
        for file in files {
            sync(&target.join(file.name))?;
        }
        sync(&target)?;
        sync(&releases)
    }

    /// Puts a release into force, and waits until that is on the disk.
    pub fn switch(&self, release: i64) -> io::Result<()> {
        self.point_to(release)?;
        self.settle()
    }

    /// Puts a release into force: one `rename(2)`. A power cut may undo it until [`Self::settle`].
    pub fn point_to(&self, release: i64) -> io::Result<()> {
        let beside = self.base.join(".current.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(Path::new("releases").join(release.to_string()), &beside)?;
        fs::rename(&beside, self.base.join("current"))
    }

    /// Waits until the link is on the disk.
    pub fn settle(&self) -> io::Result<()> {
        sync(&self.base)
    }

    /// Removes a release that never was in force.
    pub fn discard(&self, release: i64) -> io::Result<()> {
        let target = self.directory(release);
        if target.exists() && self.current()? != Some(release) {
            fs::remove_dir_all(&target)?;
        }
        Ok(())
    }

    /// Removes all but the newest releases, never `keep` or the one in force, and what crashes
    /// left behind.
    pub fn prune(&self, keep: &[i64]) -> io::Result<()> {
        let current = self.current()?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(self.base.join("releases"))? {
            let name = entry?.file_name();
            match number(&name) {
                Some(release) => numbers.push(release),
                None if name.to_string_lossy().starts_with(".new-") => {
                    fs::remove_dir_all(self.base.join("releases").join(name))?;
                }
                None => {}
            }
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for release in numbers.into_iter().skip(KEPT) {
            if Some(release) != current && !keep.contains(&release) {
                fs::remove_dir_all(self.directory(release))?;
            }
        }
        Ok(())
    }

    fn directory(&self, release: i64) -> PathBuf {
        self.base.join("releases").join(release.to_string())
    }
}

fn number(name: &OsStr) -> Option<i64> {
    name.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Writes a file. Asterisk takes a file of the same size and time for unchanged, so
/// the new one is written until its time differs from the old one's.
fn write_new(path: &Path, bytes: &[u8], old: Option<&Path>) -> io::Result<()> {
    let old = old.and_then(|old| fs::metadata(old).ok());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(bytes)?;
    if let Some(old) = old {
        while file.metadata()?.len() == old.len()
            && file.metadata()?.modified()? == old.modified()?
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "the condition is that the file system's clock ticks"
            )]
            std::thread::sleep(Duration::from_millis(2));
            // Writing the last byte once more gives the file the time of now.
            if let Some((last, _)) = bytes.split_last() {
                std::os::unix::fs::FileExt::write_all_at(&file, &[*last], old.len() - 1)?;
            }
        }
    }
    Ok(())
}

/// Waits until a file or a directory is on the disk.
fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<File> {
        FILES
            .into_iter()
            .map(|(name, _)| {
                kept(name, format!("; {text}\n\n[patchbay-0123456789abcdef]\n")).unwrap()
            })
            .collect()
    }

    fn releases() -> (tempfile::TempDir, Releases) {
        let dir = tempfile::tempdir().unwrap();
        let releases = Releases::below(dir.path());
        releases.create(None).unwrap();
        (dir, releases)
    }

    #[test]
    fn a_release_is_in_force_only_once_switched_to() {
        let (_dir, releases) = releases();
        assert_eq!(releases.current().unwrap(), None);
        releases.write(1, &files("a"), &[], None).unwrap();
        assert_eq!(releases.current().unwrap(), None);
        releases.switch(1).unwrap();
        assert_eq!(releases.current().unwrap(), Some(1));
        assert_eq!(releases.read(1).unwrap(), files("a"));
    }

    #[test]
    fn files_are_for_asterisks_group_alone() {
        let (_dir, releases) = releases();
        releases.write(1, &files("a"), &[], None).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(releases.directory(1)), 0o2750);
        assert_eq!(mode(releases.directory(1).join("pjsip.conf")), 0o640);
    }

    #[test]
    fn a_file_that_did_not_change_keeps_its_time_and_one_that_did_never_does() {
        let (_dir, releases) = releases();
        releases.write(1, &files("a"), &[], None).unwrap();
        let mut new = files("a");
        new[0].text = new[0].text.replace("; a", "; b").into();
        releases.write(2, &new, &files("a"), Some(1)).unwrap();
        let time = |release, name| {
            fs::metadata(releases.directory(release).join(name)).unwrap().modified().unwrap()
        };
        assert_eq!(time(1, "extensions.conf"), time(2, "extensions.conf"));
        assert_ne!(time(1, "pjsip.conf"), time(2, "pjsip.conf"));
    }

    #[test]
    fn old_releases_and_leftovers_go_and_the_one_in_force_stays() {
        let (_dir, releases) = releases();
        for release in 1..=9 {
            releases.write(release, &files("a"), &[], None).unwrap();
        }
        releases.switch(1).unwrap();
        fs::create_dir(releases.base().join("releases/.new-left")).unwrap();
        releases.prune(&[2]).unwrap();
        let mut left: Vec<_> = fs::read_dir(releases.base().join("releases"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["1", "2", "5", "6", "7", "8", "9"]);
    }
}
