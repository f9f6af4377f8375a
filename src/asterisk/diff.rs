//! What changes in a file, as unified hunks for a page or a terminal, with secrets hidden.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::secret::mask_line;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// After this the rest counts as replaced whole: still correct, only longer than it could be.
const BUDGET: Duration = Duration::from_millis(300);

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineKind {
    /// `@@ -1,2 +1,3 @@`
    Hunk,
    /// In both.
    Context,
    /// Only in the new text.
    Added,
    /// Only in the old text.
    Removed,
}

/// One line of a diff, without its sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiffLine {
    /// What it is.
    pub kind: LineKind,
    /// Its text, secrets hidden.
    pub text: String,
}

/// The difference of two texts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileDiff {
    /// The lines to show, at most as many as were asked for.
    pub lines: Vec<DiffLine>,
    /// How many lines are new, shown or not.
    pub added: usize,
    /// How many lines are gone, shown or not.
    pub removed: usize,
    /// How many lines of the diff are not shown.
    pub cut: usize,
}

/// Compares two texts by lines and shows at most `max_lines` of the result.
pub fn diff(old: &str, new: &str, max_lines: usize) -> FileDiff {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let mut diff = FileDiff::default();
    for group in group_diff_ops(changes(&old, &new), CONTEXT) {
        diff.push(max_lines, LineKind::Hunk, || header(&group));
        for op in &group {
            diff.push_op(max_lines, op, &old, &new);
        }
    }
    diff
}

/// Compares only what is between the first and the last difference: a release mostly equals the one before it.
fn changes(old: &[&str], new: &[&str]) -> Vec<DiffOp> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) =
        (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old_middle = old_rest.get(..old_rest.len() - end).unwrap_or_default();
    let new_middle = new_rest.get(..new_rest.len() - end).unwrap_or_default();
    // Patience holds on to lines that occur once, and a configuration is full of them: its section names.
    let deadline = Instant::now() + BUDGET;
    let middle =
        capture_diff_slices_deadline(Algorithm::Patience, old_middle, new_middle, Some(deadline));
    let equal = |old_index, new_index, len| DiffOp::Equal { old_index, new_index, len };
    let mut ops = vec![equal(0, 0, start)];
    ops.extend(middle.into_iter().map(|op| shifted(op, start)));
    ops.push(equal(start + old_middle.len(), start + new_middle.len(), end));
    ops.retain(|op| !(op.old_range().is_empty() && op.new_range().is_empty()));
    ops
}

fn shifted(op: DiffOp, by: usize) -> DiffOp {
    let (old, new) = (op.old_range(), op.new_range());
    let (old_index, new_index) = (old.start + by, new.start + by);
    match op {
        DiffOp::Equal { len, .. } => DiffOp::Equal { old_index, new_index, len },
        DiffOp::Delete { old_len, .. } => DiffOp::Delete { old_index, old_len, new_index },
        DiffOp::Insert { new_len, .. } => DiffOp::Insert { old_index, new_index, new_len },
        DiffOp::Replace { old_len, new_len, .. } => {
            DiffOp::Replace { old_index, old_len, new_index, new_len }
        }
    }
}

/// Line numbers count from 1; an empty side names the line before it.
fn header(group: &[DiffOp]) -> String {
    let side = |range: fn(&DiffOp) -> std::ops::Range<usize>| {
        let start = group.first().map_or(0, |op| range(op).start);
        let len = group.last().map_or(0, |op| range(op).end) - start;
        if len == 1 {
            format!("{}", start + 1)
        } else {
            format!("{},{len}", start + usize::from(len > 0))
        }
    };
    format!("@@ -{} +{} @@", side(DiffOp::old_range), side(DiffOp::new_range))
}

impl FileDiff {
    /// Whether the texts are equal.
    pub fn is_empty(&self) -> bool {
        self.added == 0 && self.removed == 0
    }

    /// The unified diff that `patch` and people read, with the file's name. Empty for equal texts.
    pub fn to_text(&self, name: &str) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = format!("--- {name}\n+++ {name}\n");
        for line in &self.lines {
            text.push_str(match line.kind {
                LineKind::Hunk => "",
                LineKind::Context => " ",
                LineKind::Added => "+",
                LineKind::Removed => "-",
            });
            text.push_str(&line.text);
            text.push('\n');
        }
        if self.cut > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "... {} more lines", self.cut);
        }
        text
    }

    fn push_op(&mut self, max_lines: usize, op: &DiffOp, old: &[&str], new: &[&str]) {
        let equal = matches!(op, DiffOp::Equal { .. });
        let kind = if equal { LineKind::Context } else { LineKind::Removed };
        for line in old.get(op.old_range()).unwrap_or_default() {
            self.removed += usize::from(!equal);
            self.push(max_lines, kind, || mask_line(line).into_owned());
        }
        if equal {
            return;
        }
        for line in new.get(op.new_range()).unwrap_or_default() {
            self.added += 1;
            self.push(max_lines, LineKind::Added, || mask_line(line).into_owned());
        }
    }

    fn push(&mut self, max_lines: usize, kind: LineKind, text: impl FnOnce() -> String) {
        if self.lines.len() < max_lines {
            self.lines.push(DiffLine { kind, text: text() });
        } else {
            self.cut += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_is_shown_with_its_neighbours_and_without_its_secret() {
        let old = "a\nb\nc\nd\npassword = old\ne\nf\ng\nh\n";
        let text = diff(old, &old.replace("old", "new").replace("h\n", "h\ni\n"), 100)
            .to_text("pjsip.conf");
        assert!(
            text.starts_with(
                "--- pjsip.conf\n+++ pjsip.conf\n@@ -2,8 +2,9 @@\n b\n c\n d\n-password = (hidden #"
            ),
            "{text}"
        );
        assert!(text.ends_with(" h\n+i\n"), "{text}");
        assert!(!text.contains("old") && !text.contains("new"));
    }

    #[test]
    fn equal_texts_have_no_diff() {
        assert_eq!(diff("a\n", "a\n", 10), FileDiff::default());
        assert_eq!(diff("", "", 10).to_text("f"), "");
    }

    #[test]
    fn a_new_and_a_deleted_file_are_whole_hunks() {
        assert_eq!(diff("", "a\n", 10).to_text("f"), "--- f\n+++ f\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff("a\nb\n", "", 10).to_text("f"), "--- f\n+++ f\n@@ -1,2 +0,0 @@\n-a\n-b\n");
    }

    #[test]
    fn what_is_cut_is_counted() {
        let diff = diff("", &"x\n".repeat(10), 4);
        assert_eq!((diff.lines.len(), diff.added, diff.cut), (4, 10, 7));
        assert!(diff.to_text("f").ends_with("+x\n... 7 more lines\n"));
    }

    proptest! {
        #[test]
        fn the_hunks_turn_the_old_text_into_the_new(
            old in prop::collection::vec("[a-c]", 0..30),
            new in prop::collection::vec("[a-c]", 0..30),
        ) {
            let (old_text, new_text) = (old.join("\n"), new.join("\n"));
            let (old, new): (Vec<&str>, Vec<&str>) = (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let ops = changes(&old, &new);
            let old_side: Vec<_> = ops.iter().flat_map(|op| old[op.old_range()].to_vec()).collect();
            let new_side: Vec<_> = ops.iter().flat_map(|op| new[op.new_range()].to_vec()).collect();
            prop_assert_eq!(old_side, old.clone());
            prop_assert_eq!(new_side, new.clone());
            prop_assert_eq!(diff(&old_text, &new_text, 0).is_empty(), old == new);
        }
    }
}
