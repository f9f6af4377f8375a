//! Which column is where, by the names in the header.

use super::read::Row;
use super::report::Report;

/// A column an import knows.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What Patchbay calls it.
    pub name: &'static str,
    /// What else it may be called.
    pub aliases: &'static [&'static str],
    /// Whether a file without it is refused.
    pub needed: bool,
}

impl Column {
    /// A column every file must have.
    pub const fn needed(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self { name, aliases, needed: true }
    }

    /// A column a file may have.
    pub const fn optional(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self { name, aliases, needed: false }
    }

    fn is_called(&self, plain_name: &str) -> bool {
        plain(self.name) == plain_name || self.aliases.iter().any(|name| plain(name) == plain_name)
    }
}

/// Where each known column is.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<(&'static str, usize)>);

impl Columns {
    /// Finds the known columns in a header. Names are compared without regard to case, blanks,
    /// hyphens and underscores. What is missing or named twice becomes a fault, and then there are
    /// no columns; those nobody knows are listed in the report.
    pub fn find(header: &Row, known: &[Column], report: &mut Report) -> Option<Self> {
        let mut places: Vec<(&'static str, usize)> = Vec::new();
        let faults = report.count();
        for (at, title) in header.cells.iter().enumerate() {
            let title = title.trim();
            let Some(column) = known.iter().find(|column| column.is_called(&plain(title))) else {
                report.ignored.extend((!title.is_empty()).then(|| shortened(title)));
                continue;
            };
            if places.iter().any(|(name, _)| *name == column.name) {
                report.fault(header.line, column.name, &"two columns have this name; keep one");
            } else {
                places.push((column.name, at));
            }
        }
        let found = |name| places.iter().any(|(place, _)| *place == name);
        for column in known.iter().filter(|column| column.needed && !found(column.name)) {
            let reason =
                format!("the first line must name the columns; {} is missing", column.name);
            report.fault(header.line, column.name, &reason);
        }
        (report.count() == faults).then_some(Self(places))
    }

    /// Whether the file has the column.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Where the column is, from 0.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, at)| *at)
    }

    /// The row's cell in this column without blanks around it; empty when there is none.
    pub fn cell<'a>(&self, row: &'a Row, name: &str) -> &'a str {
        self.place(name).map_or("", |at| row.cell(at))
    }
}

/// A column's name as it is compared.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| !letter.is_whitespace() && !"-_".contains(*letter));
    letters.flat_map(char::to_lowercase).collect()
}

/// A stranger's column name, short enough for a sentence.
fn shortened(title: &str) -> String {
    title.chars().take(60).collect()
}
