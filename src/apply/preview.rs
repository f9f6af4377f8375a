//! What an Apply would do, before it is done.

use std::collections::BTreeMap;
use std::path::Path;

use super::render::{self, FILES, File};
use super::types::Source;
use super::{Applier, Run};
use crate::asterisk::conf::{self, ConfigDir, Files, Tree};
use crate::asterisk::diff::{FileDiff, diff};
use crate::asterisk::objects::{ObjectChange, ObjectKind, Objects, compare};
use crate::asterisk::preflight::{self, Finding, Top};
use crate::audit::{self, Record};
use crate::secrets::Vault;
use crate::web::Error;

/// Where our files lie, as Asterisk names them.
const FOLDER: &str = "patchbay/current";
/// Lines of a difference that are shown.
const LINES: usize = 2_000;
/// Changes since the last Apply that are listed.
const CHANGES: i64 = 200;

/// What would change.
pub struct Preview {
    /// The release in force.
    pub release: Option<i64>,
    /// Per file: its name and how it would change.
    pub files: Vec<(&'static str, FileDiff)>,
    /// Per object of Asterisk's: how it would change.
    pub objects: Vec<ObjectChange>,
    /// Whose phones they are: an endpoint's name, and the name others see.
    pub names: BTreeMap<String, String>,
    /// What stands in the way, or should be known.
    pub findings: Vec<Finding>,
    /// Files in force that somebody changed by hand.
    pub edited: Vec<String>,
    /// Who changed what since the last Apply.
    pub pending: Vec<Record>,
    /// How many such changes there are in all.
    pub pending_total: i64,
    /// Modules that would be reloaded.
    pub modules: Vec<&'static str>,
}

impl Preview {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Whether something stands in the way.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == preflight::Severity::Blocking)
    }
}

impl Applier {
    /// What applying `source` would do now. Nothing is changed and Asterisk is not asked.
    pub async fn preview(&self, source: Source) -> Result<Preview, Error> {
        let release = self.releases.current()?;
        let plan = self.plan(source).await?;
        let (releases, config_dir, vault) =
            (self.releases.clone(), self.config_dir.clone(), self.state.vault.clone());
        let mut tx = self.state.read().await?;
        let pending = audit::pending(&mut tx, CHANGES).await?;
        let pending_total = audit::count_pending(&mut tx, i64::MAX).await?;
        drop(tx);
        let work = tokio::task::spawn_blocking(move || {
            let old = release.map_or(Ok(Vec::new()), |release| releases.read(release))?;
            let new = plan.files;
            let text = |files: &[File], name: &str| {
                let file = files.iter().find(|file| file.name == name);
                file.map_or_else(String::new, |file| render::said(file, &vault))
            };
            let changed = new.iter().filter(|file| !old.contains(file));
            let modules: Vec<&'static str> = changed.map(|file| file.module).collect();
            let diffs = FILES
                .into_iter()
                .map(|(name, _)| (name, diff(&text(&old, name), &text(&new, name), LINES)));
            let (objects, names) = objects(&old, &new);
            Ok::<_, Error>(Preview {
                release,
                files: diffs.filter(|(_, diff)| !diff.is_empty()).collect(),
                objects,
                names,
                findings: preflight(&config_dir, &new),
                edited: edited_by_hand(&old, &vault),
                pending,
                pending_total,
                modules,
            })
        });
        work.await.map_err(|error| Error::Io(std::io::Error::other(error)))?
    }

    /// How what an earlier Apply was about differed from the release before it, whether or not
    /// Asterisk took it, or was told.
    pub async fn difference(&self, run: &Run) -> Result<Vec<(&'static str, FileDiff)>, Error> {
        let new = self.files_of(run.id).await?;
        let old = match run.previous {
            Some(before) => self.files_of(before).await?,
            None => Vec::new(),
        };
        let work = tokio::task::spawn_blocking(move || {
            let text = |name: &str| {
                old.iter().find(|file| file.name == name).map_or("", |file| file.body())
            };
            let diffs =
                new.iter().map(|file| (file.name, diff(text(file.name), file.body(), LINES)));
            diffs.filter(|(_, diff)| !diff.is_empty()).collect()
        });
        work.await.map_err(|error| Error::Io(std::io::Error::other(error)))
    }
}

/// Changes of objects without the canaries, which change with every file; and the names of those
/// whose objects they are.
fn objects(old: &[File], new: &[File]) -> (Vec<ObjectChange>, BTreeMap<String, String>) {
    let tree = |files: &[File]| {
        let sources: Files =
            files.iter().map(|file| (file.name.to_owned(), file.bytes())).collect();
        conf::parse(&sources, "pjsip.conf")
    };
    let (before, after) = (tree(old), tree(new));
    let (before, after) = (Objects::of(&before), Objects::of(&after));
    let mut changes = compare(&before, &after);
    let canaries: Vec<&str> = old.iter().chain(new).map(|file| file.canary.as_str()).collect();
    changes.retain(|change| !canaries.contains(&change.id.as_str()));
    let mut names = BTreeMap::new();
    for owner in changes.iter().map(ObjectChange::owner) {
        let name = || [&after, &before].into_iter().find_map(|objects| name_of(objects, owner));
        if !names.contains_key(owner)
            && let Some(name) = name()
        {
            names.insert(owner.to_owned(), name);
        }
    }
    (changes, names)
}

/// The name in an endpoint's `callerid`, which is `"name" <number>` as we write it.
fn name_of(objects: &Objects<'_>, endpoint: &str) -> Option<String> {
    let fields = objects.fields(ObjectKind::Endpoint, endpoint)?;
    let (_, caller) = fields.into_iter().find(|(name, _)| name == "callerid")?;
    caller_name(&caller)
}

/// The name in `"name" <number>`, its quotes and backslashes as they were typed.
pub(super) fn caller_name(caller: &str) -> Option<String> {
    let (quoted, _) = caller.rsplit_once(" <")?;
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut name = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        name.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(name)
}

fn laid_over(config_dir: &Path, files: &[File]) -> ConfigDir {
    let release: Files = files.iter().map(|file| (file.name.to_owned(), file.bytes())).collect();
    ConfigDir::new(config_dir).with_release(FOLDER, release)
}

/// Asterisk's whole PJSIP configuration with `files` in force.
pub(super) fn pjsip_tree(config_dir: &Path, files: &[File]) -> Tree {
    conf::parse(&laid_over(config_dir, files), "pjsip.conf")
}

/// Asterisk's whole dialplan with `files` in force.
pub(super) fn dialplan_tree(config_dir: &Path, files: &[File]) -> Tree {
    conf::parse(&laid_over(config_dir, files), "extensions.conf")
}

/// What is wrong with Asterisk's configuration if `files` were in force.
pub(super) fn preflight(config_dir: &Path, files: &[File]) -> Vec<Finding> {
    let source = laid_over(config_dir, files);
    let (pjsip, extensions) =
        (conf::parse(&source, "pjsip.conf"), conf::parse(&source, "extensions.conf"));
    let [pjsip_include, extensions_include] = FILES.map(|(name, _)| format!("{FOLDER}/{name}"));
    preflight::preflight(
        Top { name: "pjsip.conf", tree: &pjsip, include: &pjsip_include },
        Top { name: "extensions.conf", tree: &extensions, include: &extensions_include },
    )
}

/// Files in force that are not as Patchbay wrote them; each as a sentence.
pub(super) fn edited_by_hand(files: &[File], vault: &Vault) -> Vec<String> {
    let mut edited = Vec::new();
    for (name, _) in FILES {
        match files.iter().find(|file| file.name == name) {
            None if files.is_empty() => {}
            None => edited.push(format!("{FOLDER}/{name} is gone, or is no longer Patchbay's")),
            Some(file) if !render::is_intact(file, vault) => {
                edited.push(format!("{FOLDER}/{name} was changed by hand"));
            }
            Some(_) => {}
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::caller_name;
    use crate::asterisk::value::caller_id;

    #[test]
    fn a_name_is_read_back_as_it_was_typed() {
        for name in ["Ann O'Neil", "Bob \"B\" Ray", "back\\slash\\", "a <1> \" <2"] {
            let written = caller_id(name, "1000").unwrap();
            assert_eq!(caller_name(written.as_str()).as_deref(), Some(name));
        }
        assert_eq!(caller_name("<1000>"), None);
    }
}
