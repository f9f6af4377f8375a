//! Asterisk's configuration parser (`main/config.c` of 22.10), line for line in behaviour.
//!
//! Asterisk reports success for files it dropped half of, so what it *will* make of a file must be known before the file
//! is installed. Behaviour was compared with a running 22.10.1; where C leaves it open (the sign of `char`), x86-64 counts.
//! Left out: `#exec`, braces in file patterns, and patterns in `(+filter)`, each of which is reported.

mod header;
mod lines;
mod option;
mod problem;
mod source;
mod tree;

use std::collections::{HashMap, HashSet};

use lines::{Comments, Event, Line, Lines, strip};
pub use problem::{Kind, Problem};
pub use source::{ConfigDir, FILE_BYTES, Files, Source};
use tree::{Body, File, Item, Text};
pub use tree::{Include, Section, Tree, Variable, text};

/// `MAX_INCLUDE_LEVEL`, and one for the top-level file.
const MAX_LEVEL: u32 = 11;
/// About how many bytes a configuration may take in memory here before we refuse to check it.
const MEMORY: u64 = 256 << 20;

/// Reads a top-level file and everything it includes, as Asterisk would.
///
/// Never panics, and stops with [`Kind::TooLarge`] at a fixed amount of memory and work, whatever the files hold.
pub fn parse(source: &impl Source, path: &str) -> Tree {
    let mut parser = Parser::new(source);
    let loaded = parser.load(path.as_bytes());
    if let Loaded::Nothing = loaded {
        parser.tree.problems.push(Problem { file: path.to_owned(), line: 0, kind: Kind::NoFile });
    }
    parser.tree.rejected = !matches!(loaded, Loaded::Read) || parser.too_large;
    if parser.tree.rejected {
        parser.tree.sections.clear();
        parser.tree.bodies.clear();
    }
    parser.tree
}

/// What became of an `#include`. Only `Nothing` is an error to the file that includes.
enum Loaded {
    Nothing,
    /// Read up to an error.
    Invalid,
    Read,
}

#[derive(Clone, Copy)]
struct Place {
    file: u32,
    line: u32,
}

struct Parser<'s, S> {
    source: &'s S,
    tree: Tree,
    /// Sections by lower-case name, in order.
    index: HashMap<Box<[u8]>, Vec<usize>>,
    included: HashSet<Vec<u8>>,
    /// The section an included file begins in.
    current: Option<usize>,
    level: u32,
    spent: u64,
    too_large: bool,
}

impl<'s, S: Source> Parser<'s, S> {
    fn new(source: &'s S) -> Self {
        let (tree, index, included) = (Tree::default(), HashMap::new(), HashSet::new());
        Self { source, tree, index, included, current: None, level: 0, spent: 0, too_large: false }
    }

    /// All files that a name stands for. They share comment depth and section, because Asterisk forgets to reset them.
    fn load(&mut self, name: &[u8]) -> Loaded {
        self.level += 1;
        let mut comments = Comments::default();
        let mut section = self.current;
        let mut read = false;
        let names =
            std::str::from_utf8(name).map(|name| self.source.find(name)).unwrap_or_default();
        for name in names {
            let Some(file) = self.open(&name) else { continue };
            read = true;
            if !self.read(file, &mut section, &mut comments) {
                // The level stays up: that is a slip of Asterisk's, and it makes files that include themselves end.
                return Loaded::Invalid;
            }
            if let Some(line) = comments.unterminated() {
                self.note(Place { file, line }, Kind::CommentLeftOpen);
            }
        }
        self.level -= 1;
        if read { Loaded::Read } else { Loaded::Nothing }
    }

    fn open(&mut self, name: &str) -> Option<u32> {
        let text = self.source.read(name)?;
        let file = u32::try_from(self.tree.files.len()).ok()?;
        let bytes = u64::try_from(text.len()).ok()?;
        self.spend(if bytes > FILE_BYTES { MEMORY } else { bytes }).ok();
        self.tree.files.push(File { name: name.to_owned(), text });
        Some(file)
    }

    /// Whether the file was read to its end.
    fn read(&mut self, file: u32, section: &mut Option<usize>, comments: &mut Comments) -> bool {
        let Some(text) = self.tree.files.last().map(|file| file.text.clone()) else { return false };
        if self.too_large {
            self.note(Place { file, line: 0 }, Kind::TooLarge);
            return false;
        }
        for event in Lines::new(&text, comments) {
            let (line, outcome) = match event {
                Event::Note(line, kind) => (line, Ok(Some(kind))),
                Event::Stop(line, kind) => (line, Err(kind)),
                Event::Line(line, content) => {
                    (line, self.line(Place { file, line }, &content, section))
                }
            };
            let (Ok(Some(ref kind)) | Err(ref kind)) = outcome else { continue };
            self.note(Place { file, line }, kind.clone());
            if outcome.is_err() {
                return false;
            }
        }
        comments.end_of_file(&text);
        !self.too_large
    }

    /// `process_text_line`: an error ends the file, a note does not.
    fn line(
        &mut self,
        place: Place,
        line: &Line<'_>,
        section: &mut Option<usize>,
    ) -> Result<Option<Kind>, Kind> {
        match line.bytes().first() {
            Some(b'[') => self.header(place, line).map(|(at, note)| {
                *section = Some(at);
                note
            }),
            Some(b'#') => self.directive(place, line.bytes()),
            _ => self.option(place, line, section.ok_or(Kind::NoSection)?),
        }
    }

    fn directive(&mut self, place: Place, line: &[u8]) -> Result<Option<Kind>, Kind> {
        let line = line.get(1..).unwrap_or_default();
        // `*c > 32` with a signed char: a byte above 127 ends the word like a blank.
        let end = line.iter().take_while(|b| (33..128).contains(*b)).count();
        let word = line.get(..end).unwrap_or_default();
        let argument = strip(line.get(end + 1..).unwrap_or_default());
        let optional = word.eq_ignore_ascii_case(b"tryinclude");
        if word.eq_ignore_ascii_case(b"exec") {
            return Ok(Some(Kind::Exec(shown(argument))));
        }
        if !optional && !word.eq_ignore_ascii_case(b"include") {
            return Ok(Some(Kind::UnknownDirective(shown(word))));
        }
        if argument.is_empty() {
            return Ok(Some(Kind::NoArgument(shown(word))));
        }
        self.include(place, unquote(argument), optional)
    }

    fn include(
        &mut self,
        place: Place,
        target: &[u8],
        optional: bool,
    ) -> Result<Option<Kind>, Kind> {
        let file = self.tree.file_name(place.file).to_owned();
        self.spend(256)?;
        self.tree.includes.push(Include {
            file,
            line: place.line,
            target: shown(target),
            optional,
        });
        if !self.included.insert(target.to_vec()) {
            self.note(place, Kind::IncludedTwice(shown(target)));
        }
        let missing = if self.level >= MAX_LEVEL {
            Kind::TooDeep(shown(target))
        } else if !matches!(self.load(target), Loaded::Nothing) {
            return if self.too_large { Err(Kind::TooLarge) } else { Ok(None) };
        } else {
            Kind::MissingInclude(shown(target))
        };
        if optional { Ok(Some(Kind::OptionalMissing(shown(target)))) } else { Err(missing) }
    }

    fn new_body(&mut self) -> usize {
        self.tree.bodies.push(Body::default());
        self.tree.bodies.len() - 1
    }

    fn add(&mut self, body: usize, item: Item, count: u64) -> Result<(), Kind> {
        self.spend(count.saturating_add(64))?;
        if let Some(body) = self.tree.bodies.get_mut(body) {
            body.count = body.count.saturating_add(count);
            body.items.push(item);
        }
        Ok(())
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Kind> {
        self.spent = self.spent.saturating_add(bytes);
        self.too_large |= self.spent > MEMORY;
        if self.too_large { Err(Kind::TooLarge) } else { Ok(()) }
    }

    /// Notes are bounded like everything else: a file of nothing but mistakes is too large.
    fn note(&mut self, place: Place, kind: Kind) {
        if self.spend(256).is_ok() || kind == Kind::TooLarge {
            let file = self.tree.file_name(place.file).to_owned();
            self.tree.problems.push(Problem { file, line: place.line, kind });
        }
    }
}

/// A part of a line, kept as a range of the file where it is one.
fn in_line(file: u32, line: &Line<'_>, part: &[u8]) -> Text {
    if let (Line::InFile(start, whole), false) = (line, part.is_empty()) {
        let start = start + part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        if let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(part.len())) {
            return Text::InFile { file, start, len };
        }
    }
    Text::Made(part.into())
}

/// Both sides of the first such byte.
fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// `"file"` and `<file>`.
fn unquote(argument: &[u8]) -> &[u8] {
    match argument {
        [b'"', inner @ .., b'"'] | [b'<', inner @ .., b'>'] => inner,
        // C looks at the last character of the text, which for a lone `"` is the first one again.
        b"\"" => b"",
        _ => argument,
    }
}

/// Text from a file for a message: readable and short.
fn shown(bytes: &[u8]) -> String {
    text(bytes).chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests;
