//! Where configuration files come from: the directory Asterisk reads, with a release that is not installed yet laid over it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file we read. Asterisk has no such limit; a configuration this large is a mistake.
pub const FILE_BYTES: u64 = 64 << 20;
/// `char fn[256]` in Asterisk's loader: a longer path is cut and so names nothing.
const PATH_BYTES: usize = 255;

/// Files by name, as text still to be understood.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// How [`parse`](super::parse) reads files.
pub trait Source {
    /// The regular files that the argument of an `#include` names, in the order Asterisk reads them: one for a plain
    /// name, any number for a pattern, none when it matches nothing. A name is relative to Asterisk's directory or absolute.
    fn find(&self, name: &str) -> Vec<String>;

    /// The bytes of a file that [`find`](Self::find) gave, or nothing when it cannot be read.
    fn read(&self, path: &str) -> Option<Arc<[u8]>>;
}

/// Files by name. The names are those that `#include` uses; patterns match nothing.
impl Source for Files {
    fn find(&self, name: &str) -> Vec<String> {
        if self.contains_key(name) { vec![name.to_owned()] } else { Vec::new() }
    }

    fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        self.get(path).cloned()
    }
}

/// Asterisk's configuration directory, with one folder of it replaced in memory.
#[derive(Clone, Debug)]
pub struct ConfigDir {
    root: PathBuf,
    /// The replaced folder, with its slash, and what is in it.
    release: Option<(String, Files)>,
}

impl ConfigDir {
    /// The directory as it is on disk.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), release: None }
    }

    /// The same with `folder` (relative, such as `patchbay/current`) holding exactly these files, by file name.
    /// What the disk has in that folder is then not read at all: a file missing from a release is missing.
    #[must_use]
    pub fn with_release(mut self, folder: &str, files: Files) -> Self {
        self.release = Some((format!("{}/", folder.trim_matches('/')), files));
        self
    }

    /// The release's files and which of them this name means, if the name is in the replaced folder.
    fn in_release<'a>(&'a self, name: &'a str) -> Option<(&'a Files, &'a str)> {
        let (folder, files) = self.release.as_ref()?;
        let name =
            Path::new(name).strip_prefix(&self.root).ok().and_then(Path::to_str).unwrap_or(name);
        name.strip_prefix(folder.as_str()).map(|file| (files, file))
    }
}

impl Source for ConfigDir {
    fn find(&self, name: &str) -> Vec<String> {
        let full = self.root.join(name);
        if full.as_os_str().len() > PATH_BYTES {
            return Vec::new();
        }
        if let Some((files, file)) = self.in_release(name) {
            return if files.contains_key(file) { vec![name.to_owned()] } else { Vec::new() };
        }
        if !name.contains(['*', '?', '[']) {
            return if full.is_file() { vec![name.to_owned()] } else { Vec::new() };
        }
        let mut found = Vec::new();
        glob(Path::new("/"), &parts(&full), &mut found);
        found.sort();
        found
    }

    fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        if let Some((files, file)) = self.in_release(path) {
            return files.get(file).cloned();
        }
        let mut text = Vec::new();
        fs::File::open(self.root.join(path))
            .ok()?
            .take(FILE_BYTES + 1)
            .read_to_end(&mut text)
            .ok()?;
        Some(text.into())
    }
}

fn parts(path: &Path) -> Vec<&str> {
    path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "/").collect()
}

/// Collects the files below `base` that the remaining parts of a pattern match. Braces are taken literally.
fn glob(base: &Path, parts: &[&str], found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        if base.is_file() {
            found.extend(base.to_str().map(str::to_owned));
        }
        return;
    };
    if !part.contains(['*', '?', '[']) {
        return glob(&base.join(part), rest, found);
    }
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".") && !part.starts_with('.');
        if !hidden && matches(part.as_bytes(), name.as_encoded_bytes()) {
            glob(&base.join(&name), rest, found);
        }
    }
}

/// Shell pattern against one file name. Goes back only to the last `*`, so it takes no more than the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            star = Some((after, name));
            pattern = after;
        } else if let Some((pattern_left, name_left)) = one(pattern, name) {
            (pattern, name) = (pattern_left, name_left);
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some((after, [_, rest @ ..])) = star {
            star = Some((after, rest));
            (pattern, name) = (after, rest);
        } else {
            return false;
        }
    }
}

/// One step of a pattern that is not `*`: what is left of both sides when it matches.
fn one<'a>(pattern: &'a [u8], name: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (first, name) = name.split_first()?;
    match pattern {
        [b'?', rest @ ..] => Some((rest, name)),
        [b'[', rest @ ..] if rest.contains(&b']') => {
            let (negated, set) = match rest {
                [b'!' | b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            let end = set.iter().skip(1).position(|b| *b == b']')? + 1;
            let (set, rest) = set.split_at_checked(end)?;
            (in_set(set, *first) != negated).then_some((rest.get(1..)?, name))
        }
        [literal, rest @ ..] if literal == first => Some((rest, name)),
        _ => None,
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    match set {
        [low, b'-', high, rest @ ..] => (*low..=*high).contains(&byte) || in_set(rest, byte),
        [one, rest @ ..] => *one == byte || in_set(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("a?c", "abc"),
            ("[a-c]*[!x]", "bzz"),
            ("**", ""),
            ("*a*b", "xaab"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.conf", "a.con"), ("a?c", "ac"), ("[a-c]", "d"), ("[", "a"), ("*a*b", "xaac")]
        {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn a_release_replaces_its_folder_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("patchbay/current")).unwrap();
        fs::write(dir.path().join("patchbay/current/old.conf"), "old").unwrap();
        fs::write(dir.path().join("pjsip.conf"), "top").unwrap();
        let files = BTreeMap::from([("new.conf".to_owned(), Arc::from(&b"new"[..]))]);
        let source = ConfigDir::new(dir.path()).with_release("patchbay/current", files);
        assert_eq!(source.find("pjsip.conf"), ["pjsip.conf"]);
        assert_eq!(&*source.read("patchbay/current/new.conf").unwrap(), b"new");
        let absolute = dir.path().join("patchbay/current/new.conf");
        assert_eq!(source.find(absolute.to_str().unwrap()).len(), 1);
        assert!(source.find("patchbay/current/old.conf").is_empty());
        assert!(source.find(&"x".repeat(300)).is_empty());
    }

    #[test]
    fn a_pattern_gives_its_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = ConfigDir::new(dir.path()).find("*.conf");
        let names: Vec<_> = found.iter().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(names, ["a.conf", "b.conf"]);
    }
}
