//! What stands in the way of a release, found in the whole include tree before anything is installed.
//!
//! Afterwards nobody would say: Asterisk calls a reload successful that rejected a file, lost its second half or kept
//! the old objects of one type. What Asterisk tolerates in files written by hand, and what does not reach our objects,
//! is a warning; an Apply must not be held up by an old mistake elsewhere.

use std::collections::HashMap;
use std::fmt;

use super::conf::{Kind, Section, Tree, text};
use super::objects::ObjectKind;

/// Whether a finding stops an Apply.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The release would not be what Asterisk loads.
    Blocking,
    /// Worth correcting, and none of our doing.
    Warning,
}

/// Something wrong, where it is and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The file, as `#include` names it.
    pub file: String,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Whether it stops an Apply.
    pub severity: Severity,
    /// One sentence: what is wrong and what to do.
    pub text: String,
}

/// `pjsip.conf:12: text`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

/// A top-level file of Asterisk's, read with the release laid over the directory.
#[derive(Clone, Copy, Debug)]
pub struct Top<'a> {
    /// Its name: `pjsip.conf`.
    pub name: &'a str,
    /// What Asterisk would make of it.
    pub tree: &'a Tree,
    /// The file of ours that it must include, exactly so: `patchbay/current/pjsip.conf`.
    pub include: &'a str,
}

/// Everything that is wrong with the two files, blocking findings first.
pub fn preflight(pjsip: Top<'_>, extensions: Top<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for top in [pjsip, extensions] {
        findings.extend(top.problems());
        findings.extend(top.include_line());
        findings.extend(top.mixtures());
    }
    findings.extend(pjsip.duplicate_objects());
    findings.extend(extensions.shared_contexts());
    findings.sort_by_key(|finding| finding.severity);
    findings
}

impl<'a> Top<'a> {
    /// Whether a file is in the folder of the release.
    fn is_ours(&self, file: &str) -> bool {
        let folder = self.include.rsplit_once('/').map_or("", |(folder, _)| folder);
        file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    fn problems(&self) -> impl Iterator<Item = Finding> + use<'a> {
        let top = *self;
        top.tree.problems().iter().map(move |problem| {
            // A fatal problem in the top-level file, or on the way to it, rejects everything; elsewhere it cuts one file.
            let rejects = problem.kind.is_fatal() && top.tree.is_rejected();
            let hangs = matches!(
                problem.kind,
                Kind::CommentsTooDeep | Kind::InheritsItself(_) | Kind::TooLarge
            );
            let blocking =
                top.is_ours(&problem.file) || rejects && problem.file == top.name || hangs;
            let after = if problem.kind.is_fatal() && !rejects {
                "; Asterisk drops the rest of this file"
            } else {
                ""
            };
            finding(&problem.file, problem.line, blocking, format!("{}{after}", problem.kind))
        })
    }

    /// Our line must be in the top-level file and plain: a pattern makes Asterisk read unchanged files again, and
    /// `#tryinclude` makes a missing release look like an empty one.
    fn include_line(&self) -> Option<Finding> {
        let exact = |file: &str, target: &str, optional: bool| {
            file == self.name && target == self.include && !optional
        };
        let includes = self.tree.includes();
        if self.tree.is_rejected() || includes.iter().any(|i| exact(&i.file, &i.target, i.optional))
        {
            return None;
        }
        let folder = self.include.split('/').next().unwrap_or_default();
        let near = includes.iter().find(|i| i.target.split('/').any(|part| part == folder));
        let what = near.map_or(
            "our include line is missing or hidden by a comment",
            |_| "this is not our include line",
        );
        let text = format!("{what}; write exactly `#include {}` in {}", self.include, self.name);
        let (file, line) = near.map_or((self.name, 0), |i| (i.file.as_str(), i.line));
        Some(finding(file, line, true, text))
    }

    /// Options that a file adds to a section across the border between ours and hand-written.
    fn mixtures(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for section in self.tree.sections() {
            let ours = self.is_ours(section.file());
            // A section written by hand may well use a template of ours.
            if !ours && section.templates().next().is_some() {
                continue;
            }
            if let Some(other) = section.variables().find(|v| self.is_ours(v.file) != ours) {
                let name = text(section.name());
                let text = format!(
                    "this adds to [{name}] of {}:{}; remove it",
                    section.file(),
                    section.line()
                );
                findings.push(finding(other.file, other.line, true, text));
            }
        }
        findings
    }

    /// Two objects with one name: Asterisk then keeps the old objects of that whole type, or none at a cold start. Names
    /// that differ only in case are two objects to Asterisk, but one to people, so ours may not be among them.
    fn duplicate_objects(&self) -> Vec<Finding> {
        let mut seen: HashMap<(String, String), Section<'_>> = HashMap::new();
        let mut findings = Vec::new();
        for section in self.tree.sections().filter(|section| !section.is_template()) {
            let Some(kind) = section.first("type") else { continue };
            let key = (text(kind).into_owned(), text(section.name()).to_lowercase());
            let Some(first) = seen.get(&key) else {
                seen.insert(key, section);
                continue;
            };
            let touches_us = self.is_ours(section.file()) || self.is_ours(first.file());
            let same = first.name() == section.name() && ObjectKind::from_type(kind).is_some();
            findings.push(duplicate(first, &section, &key.0, touches_us || same));
        }
        findings
    }

    /// Asterisk joins two contexts of one name, so a second one would change what ours does.
    fn shared_contexts(&self) -> Vec<Finding> {
        let mut ours: HashMap<String, Section<'_>> = HashMap::new();
        let mut findings = Vec::new();
        let (own, by_hand): (Vec<_>, Vec<_>) =
            self.tree.sections().partition(|section| self.is_ours(section.file()));
        for section in own {
            let (name, file, line) = (text(section.name()), section.file(), section.line());
            if let Some(first) = ours.insert(name.to_lowercase(), section) {
                let text =
                    format!("[{name}] is a context of two tenants (see line {})", first.line());
                findings.push(finding(file, line, true, text));
            }
        }
        for section in by_hand {
            let name = text(section.name());
            let Some(own) = ours.get(&name.to_lowercase()) else { continue };
            let text = format!(
                "[{name}] is also a context of ours ({}:{}); rename it",
                own.file(),
                own.line()
            );
            let same = own.name() == section.name();
            findings.push(finding(section.file(), section.line(), same, text));
        }
        findings
    }
}

/// The finding stands at the hand-written one of the two, where something can be done.
fn duplicate(first: &Section<'_>, second: &Section<'_>, kind: &str, blocking: bool) -> Finding {
    let (name, other) = (text(second.name()), text(first.name()));
    let why = match (name == other, name.len()) {
        (false, _) => "and differs only in case".to_owned(),
        (true, 79) => {
            format!("(names are cut at 79 bytes), so Asterisk would load no {kind} of this release")
        }
        (true, _) => format!("so Asterisk would load no {kind} of this release"),
    };
    let (file, line) = (first.file(), first.line());
    let text =
        format!("[{name}] of type {kind} exists also at {file}:{line} {why}; rename or remove one");
    finding(second.file(), second.line(), blocking, text)
}

fn finding(file: &str, line: u32, blocking: bool, text: String) -> Finding {
    let severity = if blocking { Severity::Blocking } else { Severity::Warning };
    Finding { file: file.to_owned(), line, severity, text }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::asterisk::conf::{Files, parse};

    const INCLUDE: &str = "#include patchbay/current/pjsip.conf\n";
    const OURS: &str = "[1000]\ntype = endpoint\n[1000]\ntype = aor\n";

    /// `blocking file:line: text`, for a `pjsip.conf`, what it includes of ours, and one more file.
    fn check(top: &str, ours: &str, other: &str) -> Vec<String> {
        let text = |text: &str| Arc::from(text.as_bytes());
        let files = Files::from([
            ("pjsip.conf".to_owned(), text(top)),
            ("patchbay/current/pjsip.conf".to_owned(), text(ours)),
            ("other.conf".to_owned(), text(other)),
            ("extensions.conf".to_owned(), text("#include patchbay/current/extensions.conf\n")),
            (
                "patchbay/current/extensions.conf".to_owned(),
                text("[internal]\nexten = 1,1,NoOp()\n"),
            ),
        ]);
        findings(&files)
    }

    fn findings(files: &Files) -> Vec<String> {
        let trees = ["pjsip.conf", "extensions.conf"].map(|name| parse(files, name));
        let [pjsip, extensions] = &trees;
        let pjsip = Top { name: "pjsip.conf", tree: pjsip, include: "patchbay/current/pjsip.conf" };
        let extensions = Top {
            name: "extensions.conf",
            tree: extensions,
            include: "patchbay/current/extensions.conf",
        };
        let show = |f: &Finding| {
            format!("{} {f}", if f.severity == Severity::Blocking { "blocking" } else { "warning" })
        };
        preflight(pjsip, extensions).iter().map(show).collect()
    }

    fn one(top: &str, ours: &str, other: &str) -> String {
        let found = check(top, ours, other);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn a_sound_tree_has_no_findings() {
        assert_eq!(check(INCLUDE, OURS, ""), [""; 0]);
        assert_eq!(
            check(&format!("[by-hand]\ntype = aor\n{INCLUDE}[1000](+)\n"), OURS, ""),
            [""; 0]
        );
    }

    #[test]
    fn an_include_line_that_is_missing_hidden_or_not_exact_blocks() {
        assert!(
            one("[a]\n", OURS, "").starts_with("blocking pjsip.conf: our include line is missing")
        );
        assert!(
            one("#tryinclude patchbay/current/pjsip.conf\n", OURS, "")
                .starts_with("blocking pjsip.conf:1: this is not")
        );
        let hidden = check("[a]\nx = y--;\n#include patchbay/current/pjsip.conf\n", OURS, "");
        assert!(
            hidden[0].starts_with("blocking pjsip.conf: our include line is missing"),
            "{hidden:?}"
        );
        assert!(hidden[1].starts_with("warning pjsip.conf:2: `--;` closes"), "{hidden:?}");
    }

    #[test]
    fn an_object_defined_twice_blocks_also_when_only_the_case_differs() {
        let found = one(&format!("{INCLUDE}[1000]\ntype = aor\n"), OURS, "");
        assert!(found.starts_with(
            "blocking pjsip.conf:2: [1000] of type aor exists also at patchbay/current/pjsip.conf:3"
        ));
        let ours = "[Abc]\ntype = auth\n";
        assert!(
            one(&format!("[abc]\ntype = auth\n{INCLUDE}"), ours, "")
                .starts_with("blocking patchbay/current/pjsip.conf:1")
        );
        assert!(
            one(&format!("[x]\ntype = acl\n[x]\ntype = acl\n{INCLUDE}"), OURS, "")
                .starts_with("warning pjsip.conf:3")
        );
    }

    #[test]
    fn names_that_become_equal_by_being_cut_are_duplicates() {
        let name = "n".repeat(79);
        let found =
            check(&format!("[{name}a]\ntype = aor\n[{name}b]\ntype = aor\n{INCLUDE}"), OURS, "");
        assert!(
            found[0].starts_with("blocking pjsip.conf:3") && found[0].contains("cut at 79 bytes"),
            "{found:?}"
        );
        assert_eq!(found.iter().filter(|f| f.starts_with("warning")).count(), 2, "{found:?}");
    }

    #[test]
    fn a_fault_in_the_top_file_blocks_and_one_in_another_hand_written_file_warns() {
        assert!(
            one(&format!("{INCLUDE}[x\n"), OURS, "")
                .starts_with("blocking pjsip.conf:2: the `]` is missing")
        );
        assert!(
            one(&format!("{INCLUDE}#include none.conf\n"), OURS, "")
                .starts_with("blocking pjsip.conf:2: the included")
        );
        let found = one(&format!("{INCLUDE}#include other.conf\n"), OURS, "[x](nobody)\n");
        assert!(
            found.starts_with("warning other.conf:1: no section `nobody`")
                && found.contains("drops the rest"),
            "{found}"
        );
        assert!(
            one(&format!("{INCLUDE}[x]\n;-- open\n"), OURS, "").starts_with("warning pjsip.conf:3")
        );
    }

    #[test]
    fn anything_odd_in_our_own_file_blocks() {
        for ours in [
            "[a]\nodd\n",
            "[a]\nx = --;\n",
            "[a]\n;--\n",
            "[a](no)\n",
            &format!("[a]\nx = {}\n", "y".repeat(9000)),
        ] {
            assert!(
                one(INCLUDE, ours, "").starts_with("blocking patchbay/current/pjsip.conf:"),
                "{ours}"
            );
        }
        assert!(one(&format!("[a]\n{INCLUDE}"), "x = 1\n[b]\n", "").contains("this adds to [a]"));
    }

    #[test]
    fn an_option_added_to_our_section_by_hand_blocks() {
        let found = one(&format!("{INCLUDE}[1000](+)\ncontext = default\n"), OURS, "");
        assert!(
            found.starts_with(
                "blocking pjsip.conf:3: this adds to [1000] of patchbay/current/pjsip.conf:1"
            ),
            "{found}"
        );
    }

    #[test]
    fn a_context_that_two_tenants_would_share_blocks() {
        let ours = "[internal]\nexten = 1,1,NoOp()\n[acme]\n[internal]\nexten = 2,1,NoOp()\n";
        let files = Files::from([
            ("pjsip.conf".to_owned(), Arc::from(INCLUDE.as_bytes())),
            ("patchbay/current/pjsip.conf".to_owned(), Arc::from(OURS.as_bytes())),
            (
                "extensions.conf".to_owned(),
                Arc::from(&b"#include patchbay/current/extensions.conf\n"[..]),
            ),
            ("patchbay/current/extensions.conf".to_owned(), Arc::from(ours.as_bytes())),
        ]);
        assert_eq!(
            findings(&files),
            [
                "blocking patchbay/current/extensions.conf:4: [internal] is a context of two tenants (see line 1)"
            ]
        );
    }

    #[test]
    fn a_hand_written_context_with_our_name_blocks() {
        let text = |text: &str| Arc::from(text.as_bytes());
        let top = "[Internal]\n[internal]\nexten = 2,1,NoOp()\n#include patchbay/current/extensions.conf\n";
        let files = Files::from([
            ("pjsip.conf".to_owned(), text(INCLUDE)),
            ("patchbay/current/pjsip.conf".to_owned(), text(OURS)),
            ("extensions.conf".to_owned(), text(top)),
            (
                "patchbay/current/extensions.conf".to_owned(),
                text("[internal]\nexten = 1,1,NoOp()\n"),
            ),
        ]);
        let found = findings(&files);
        assert!(
            found[0]
                .starts_with("blocking extensions.conf:2: [internal] is also a context of ours"),
            "{found:?}"
        );
        assert!(found[1].starts_with("warning extensions.conf:1"), "{found:?}");
    }
}
