//! What the files say is in a context of the dialplan, to be compared with what Asterisk holds.

use std::collections::BTreeSet;
use std::fmt;

use super::conf::{Tree, Variable, text};

/// One priority of an extension.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Step {
    /// A number or a pattern.
    pub extension: String,
    /// Its number, or `hint`.
    pub priority: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "extension {}, priority {}", self.extension, self.priority)
    }
}

/// What a parsed `extensions.conf` puts into a context: `exten` and `same` lines, `n` counted on.
pub fn steps(tree: &Tree, context: &str) -> BTreeSet<Step> {
    let mut steps = BTreeSet::new();
    for section in tree.sections().filter(|section| section.name() == context.as_bytes()) {
        let (mut extension, mut last) = (String::new(), 0);
        for Variable { name, value, .. } in section.variables() {
            let value = text(value);
            let mut parts = value.split(',').map(str::trim);
            match text(name).as_ref() {
                "exten" => parts.next().unwrap_or_default().clone_into(&mut extension),
                "same" => {}
                _ => continue,
            }
            // A label stands in brackets behind its priority.
            let word = parts.next().unwrap_or_default().split('(').next().unwrap_or_default();
            let number = if word == "n" { Some(last + 1) } else { word.parse().ok() };
            last = number.unwrap_or(last);
            let priority = number.map_or_else(|| word.to_owned(), |number: u32| number.to_string());
            steps.insert(Step { extension: extension.clone(), priority });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asterisk::conf::{self, Files};

    #[test]
    fn priorities_are_counted_on_from_each_extensions_first() {
        let text = "[other]\nexten => 5,1,NoOp()\n[ours]\nexten => _1XXX,1,NoOp(a,b)\n same => n(absent),Hangup(20)\n same => n,Hangup()\nexten => _1XXX,hint,PJSIP/${EXTEN}\nexten = h,1,NoOp()\ninclude => other\n";
        let files = Files::from([("extensions.conf".to_owned(), text.as_bytes().into())]);
        let tree = conf::parse(&files, "extensions.conf");
        let found: Vec<String> = steps(&tree, "ours")
            .iter()
            .map(|step| format!("{},{}", step.extension, step.priority))
            .collect();
        assert_eq!(found, ["_1XXX,1", "_1XXX,2", "_1XXX,3", "_1XXX,hint", "h,1"]);
        assert!(steps(&tree, "nowhere").is_empty());
    }
}
