//! The proof: that Asterisk runs the files it was given, and nothing of those before.

use std::path::Path;

use super::asterisk::{Ids, Session};
use super::log::{self, Mark};
use super::preview;
use super::render::{FILES, File};
use super::types::Module;
use crate::asterisk::ami::AmiError;

/// The file that defines objects.
pub(super) const OBJECTS: &str = FILES[0].0;

/// The ids of the objects in the files.
pub(super) struct Known {
    /// In the new release.
    meant: Ids,
    /// In the old one.
    before: Ids,
    /// In the new one and the hand-written files.
    everything: Ids,
}

impl Known {
    pub(super) fn new(config_dir: &Path, files: &[File], old: &[File]) -> Self {
        Self {
            meant: Ids::of_files(files),
            before: Ids::of_files(old),
            everything: Ids::of_tree(&preview::pjsip_tree(config_dir, files)),
        }
    }

    /// What of all that Asterisk holds speaks against the new release being in force, and what should
    /// be known besides.
    fn against(&self, held: &Ids) -> (Vec<String>, Vec<String>) {
        let mut doubts = self.meant.without(held).said("Asterisk does not hold");
        let stray = held.common(&self.before).without(&self.everything);
        doubts.extend(stray.said("Asterisk still holds"));
        // What nobody's files define lives only in Asterisk's memory: said, not ours to judge.
        let foreign = held.without(&self.everything).without(&stray);
        (doubts, foreign.said("In Asterisk's memory, but in no file:"))
    }
}

/// Reloads what reads the files: what came of each module, and what speaks against it.
pub(super) async fn reload(session: &mut Session, changed: &[File]) -> (Vec<Module>, Vec<String>) {
    let (mut modules, mut doubts) = (Vec::new(), Vec::new());
    for file in changed {
        match session.reload(file).await {
            Ok(module) => {
                if !module.reloaded {
                    doubts.push(format!("{}: {}", module.name, module.result));
                }
                modules.push(module);
            }
            Err(error) => doubts.push(format!("{}: {error}", file.module)),
        }
    }
    (modules, doubts)
}

/// Everything that speaks against Asterisk running `files`; empty is the proof.
pub(super) async fn doubts_of(
    session: &mut Session,
    spare: Option<[Session; 2]>,
    files: &[File],
    known: &Known,
    mark: Option<Mark>,
    findings: &mut Vec<String>,
) -> Vec<String> {
    let seen = differences(session, spare, files, known, findings).await;
    let mut doubts = seen.unwrap_or_else(|error| vec![error.to_string()]);
    let said = mark.map(|mark| mark.since());
    match said {
        Some(Ok(lines)) => {
            let (ours, theirs): (Vec<_>, Vec<_>) =
                lines.into_iter().partition(|line| log::concerns_us(line));
            doubts.extend(ours.into_iter().map(|line| format!("Asterisk's log: {line}")));
            findings.extend(theirs.into_iter().map(|line| format!("Asterisk's log: {line}")));
        }
        Some(Err(error)) => findings.push(format!("Asterisk's log could not be read: {error}")),
        None => {}
    }
    doubts
}

/// What of all that Asterisk holds speaks against it running the files; what should be known besides
/// is a finding.
pub(super) async fn differences(
    session: &mut Session,
    spare: Option<[Session; 2]>,
    files: &[File],
    known: &Known,
    findings: &mut Vec<String>,
) -> Result<Vec<String>, AmiError> {
    let (mut doubts, held) = session.look(files, spare).await?;
    let (against, foreign) = known.against(&held);
    doubts.extend(against);
    findings.extend(foreign);
    Ok(doubts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asterisk::conf::{self, Files};

    #[test]
    fn what_is_gone_from_the_files_must_be_gone_from_asterisk_and_what_never_was_there_is_said() {
        let ids = |text: &str| {
            Ids::of_tree(&conf::parse(
                &Files::from([("pjsip.conf".to_owned(), text.as_bytes().into())]),
                "pjsip.conf",
            ))
        };
        let of = |names: &[&str]| {
            let sections: Vec<_> =
                names.iter().map(|name| format!("[{name}]\ntype = aor\n")).collect();
            ids(&sections.concat())
        };
        let known = Known {
            meant: of(&["1000"]),
            before: of(&["1000", "1001"]),
            everything: of(&["1000", "trunk"]),
        };
        let nothing = (Vec::new(), Vec::new());
        assert_eq!(known.against(&of(&["1000", "trunk"])), nothing);
        let (doubts, foreign) = known.against(&of(&["1001", "other"]));
        assert_eq!(doubts, ["Asterisk does not hold aor 1000", "Asterisk still holds aor 1001"]);
        assert_eq!(foreign, ["In Asterisk's memory, but in no file: aor other"]);
    }
}
