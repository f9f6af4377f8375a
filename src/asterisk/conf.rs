//! Asterisk's configuration parser (`main/config.c` of 22.10), line for line in behaviour.
//!
//! Asterisk reports success for files it dropped half of, so what it *will* make of a file must be known before the file
//! is installed. Behaviour was compared with a running 22.10.1; where C leaves it open (the sign of `char`), x86-64 counts.
//! Left out: `#exec`, braces in file patterns, and patterns in `(+filter)`, each of which is reported.

mod lines;
mod problem;
mod source;
mod tree;

use std::collections::{HashMap, HashSet};

use lines::{Comments, Event, Line, Lines, skip_blanks, strip, trim_end};
pub use problem::{Kind, Problem};
pub use source::{ConfigDir, FILE_BYTES, Files, Source};
use tree::{Body, File, Item, Own, Stored, Text};
pub use tree::{Include, Section, Tree, Variable, text};

/// `struct ast_category` has `char name[80]`.
const NAME_BYTES: usize = 79;
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

    /// `[name](options)`: the section that is open afterwards.
    fn header(&mut self, place: Place, line: &Line<'_>) -> Result<(usize, Option<Kind>), Kind> {
        let bytes = line.bytes().get(1..).unwrap_or_default();
        let (name, after) = split(bytes, b']').ok_or(Kind::NoClosingBracket)?;
        let options = match after.strip_prefix(b"(") {
            Some(rest) => Some(split(rest, b')').ok_or(Kind::NoClosingParenthesis)?.0),
            None => None,
        };
        self.spend(256)?;
        let mut opened = Opened {
            name,
            template: false,
            templates: Vec::new(),
            body: self.new_body(),
            existing: None,
        };
        let mut note = None;
        for option in options.into_iter().flat_map(|options| options.split(|b| *b == b',')) {
            note = self.header_option(&mut opened, option)?.or(note);
        }
        if let Some(at) = opened.existing {
            return Ok((at, note));
        }
        let cut = name.get(..NAME_BYTES).unwrap_or(name);
        let at = self.tree.sections.len();
        self.index.entry(cut.to_ascii_lowercase().into()).or_default().push(at);
        self.tree.sections.push(Stored {
            name: in_line(place.file, line, cut),
            file: place.file,
            line: place.line,
            is_template: opened.template,
            templates: opened.templates,
            body: opened.body,
        });
        self.current = Some(at);
        if cut.len() < name.len() {
            note = Some(Kind::NameCut(shown(name)));
        }
        Ok((at, note))
    }

    fn header_option(
        &mut self,
        opened: &mut Opened<'_>,
        option: &[u8],
    ) -> Result<Option<Kind>, Kind> {
        match option {
            b"!" => match opened.existing.and_then(|at| self.tree.sections.get_mut(at)) {
                Some(existing) => existing.is_template = true,
                None => opened.template = true,
            },
            [b'+', filter @ ..] => {
                let missing = || Kind::NothingToAppendTo(shown(opened.name));
                let at = self.find(opened.name, filter).ok_or_else(missing)?;
                self.append_to(at, opened);
                let pattern = filter.iter().any(|b| br"^$.*+?()[]{}|\".contains(b));
                return Ok(pattern.then(|| Kind::Filter(shown(filter))));
            }
            base => self.inherit(opened, base)?,
        }
        Ok(None)
    }

    /// `(+)`: what was opened is poured into the section that exists.
    fn append_to(&mut self, at: usize, opened: &mut Opened<'_>) {
        if opened.existing.replace(at).is_some() {
            return;
        }
        self.current = Some(at);
        let poured = self.tree.bodies.get_mut(opened.body).map(std::mem::take).unwrap_or_default();
        let Some(section) = self.tree.sections.get_mut(at) else { return };
        section.is_template |= opened.template;
        opened.body = section.body;
        if let Some(body) = self.tree.bodies.get_mut(section.body) {
            body.count += poured.count;
            body.items.extend(poured.items);
        }
    }

    fn inherit(&mut self, opened: &mut Opened<'_>, name: &[u8]) -> Result<(), Kind> {
        let base = self
            .find(name, b"TEMPLATES=include")
            .ok_or_else(|| Kind::UnknownTemplate(shown(name)))?;
        let from = self.tree.sections.get(base).map_or(0, |section| section.body);
        let Some(body) = self.tree.bodies.get_mut(from) else { return Ok(()) };
        let (count, items) = (body.count, body.items.len());
        if opened.existing == Some(base) && count > 0 {
            return Err(Kind::InheritsItself(shown(name)));
        }
        match opened.existing.and_then(|at| self.tree.sections.get_mut(at)) {
            Some(existing) => existing.templates.push(base),
            None => opened.templates.push(base),
        }
        if count == 0 {
            return Ok(());
        }
        body.shared = true;
        // A body that only refers to another is passed over, so a chain of templates stays as short as its options.
        let item = match body.items.as_slice() {
            [only @ Item::From { .. }] => only.clone(),
            _ => Item::From { body: from, items },
        };
        self.add(opened.body, item, count)
    }

    /// `key = value`, `key => value` or `key += value`.
    fn option(
        &mut self,
        place: Place,
        line: &Line<'_>,
        section: usize,
    ) -> Result<Option<Kind>, Kind> {
        let mut bytes = line.bytes();
        let mut escaped = 0;
        if let Some(rest) = bytes.strip_prefix(b"\\") {
            // `cur[0] < 33` with a signed char: a byte above 127 is refused like a blank.
            rest.first().filter(|b| (33..128).contains(*b)).ok_or(Kind::InvalidEscape)?;
            (bytes, escaped) = (rest, 1);
        }
        let searched = bytes.get(escaped..).unwrap_or_default();
        let Some(at) = searched.iter().position(|b| *b == b'=') else {
            return Ok(Some(Kind::NoEquals));
        };
        let (mut name, mut value) = bytes.split_at_checked(escaped + at).unwrap_or_default();
        value = value.get(1..).unwrap_or_default();
        if let (true, Some(rest)) = (at > 0, name.strip_suffix(b"+")) {
            name = rest;
            if self.append_value(section, strip(name), value)? {
                return Ok(None);
            }
        } else {
            value = value.strip_prefix(b">").unwrap_or(value);
        }
        let (name, value) = (strip(name), strip(value));
        if name.is_empty() {
            return Ok(Some(Kind::NoName));
        }
        let (name, value) = (in_line(place.file, line, name), in_line(place.file, line, value));
        let body = self.tree.sections.get(section).map_or(0, |section| section.body);
        self.add(body, Item::Own(Own { name, value, file: place.file, line: place.line }), 1)?;
        Ok(None)
    }

    /// `+=` on an option that exists. Asterisk takes the last one of that name, but then changes the first whose name
    /// and value are equal to it without regard to case.
    fn append_value(&mut self, section: usize, name: &[u8], more: &[u8]) -> Result<bool, Kind> {
        let Some(body) = self.tree.sections.get(section).map(|section| section.body) else {
            return Ok(false);
        };
        self.spend(self.tree.bodies.get(body).map_or(0, |body| body.count))?;
        let Some(last) =
            self.tree.walk(body).filter(|own| self.tree.bytes(&own.name) == name).last()
        else {
            return Ok(false);
        };
        let old = self.tree.bytes(&last.value);
        let value: Box<[u8]> = skip_blanks(trim_end(&[old, more].concat())).into();
        let same = |own: &Own| {
            let equal = self.tree.bytes(&own.value).eq_ignore_ascii_case(old);
            self.tree.bytes(&own.name).eq_ignore_ascii_case(name) && (old.is_empty() || equal)
        };
        let at = self.tree.walk(body).position(same);
        let name = last.name.clone();
        self.spend(u64::try_from(value.len()).unwrap_or(u64::MAX))?;
        let body = self.separate(section, body)?;
        let found = at.and_then(|at| self.tree.bodies.get_mut(body)?.items.get_mut(at));
        if let Some(Item::Own(own)) = found {
            (own.name, own.value) = (name, Text::Made(value));
        }
        Ok(true)
    }

    /// Gives a section options of its own, one item each, that no other section sees change.
    fn separate(&mut self, section: usize, body: usize) -> Result<usize, Kind> {
        let Some(old) = self.tree.bodies.get(body) else { return Ok(body) };
        if !old.shared && old.items.iter().all(|item| matches!(item, Item::Own(_))) {
            return Ok(body);
        }
        let count = old.count;
        self.spend(count.saturating_mul(64))?;
        let items = self.tree.walk(body).cloned().map(Item::Own).collect();
        self.tree.bodies.push(Body { items, count, shared: false });
        let body = self.tree.bodies.len() - 1;
        if let Some(section) = self.tree.sections.get_mut(section) {
            section.body = body;
        }
        Ok(body)
    }

    /// `ast_category_get`: the first section that matches. An empty name matches every section.
    fn find(&self, name: &[u8], filter: &[u8]) -> Option<usize> {
        if name.is_empty() {
            return (0..self.tree.sections.len()).find(|at| self.matches(*at, filter));
        }
        let named = self.index.get(name.to_ascii_lowercase().as_slice())?;
        named.iter().copied().find(|at| self.matches(*at, filter))
    }

    /// `does_category_match`, with a plain text where Asterisk takes a regular expression.
    fn matches(&self, at: usize, filter: &[u8]) -> bool {
        let Some(section) = self.tree.sections.get(at) else { return false };
        let mut template_ok = false;
        for expression in filter.split(|b| *b == b'&').filter(|_| !filter.is_empty()) {
            let Some((name, value)) =
                split(strip(expression), b'=').map(|(n, v)| (strip(n), strip(v)))
            else {
                return false;
            };
            if name != b"TEMPLATES" {
                let has = |own: &Own| {
                    contains(self.tree.bytes(&own.name), name)
                        && contains(self.tree.bytes(&own.value), value)
                };
                if !self.tree.walk(section.body).any(has) {
                    return false;
                }
            } else if value.eq_ignore_ascii_case(b"include")
                || value.eq_ignore_ascii_case(b"restrict") && section.is_template
            {
                template_ok = section.is_template;
            } else {
                return false;
            }
        }
        !section.is_template || template_ok
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

/// A section header while its options are read.
struct Opened<'l> {
    name: &'l [u8],
    template: bool,
    templates: Vec<usize>,
    /// Where options go: the new section's body, after `(+)` the existing one's.
    body: usize,
    /// Set by `(+)`.
    existing: Option<usize>,
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

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
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
