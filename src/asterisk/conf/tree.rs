//! What Asterisk holds after reading a file: sections in order, each with its options in order.
//!
//! Names and values stay where they are in the file's bytes, and an inherited option is a reference to the template's,
//! so 10,000 users cost little more than their text.

use std::borrow::Cow;
use std::sync::Arc;

use super::problem::Problem;

/// Everything one top-level file gave, its includes among it.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) files: Vec<File>,
    pub(super) sections: Vec<Stored>,
    pub(super) bodies: Vec<Body>,
    pub(super) includes: Vec<Include>,
    pub(super) problems: Vec<Problem>,
    pub(super) rejected: bool,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: Arc<[u8]>,
}

/// Bytes of a file, or bytes made by removing an escape or appending with `+=`.
#[derive(Clone, Debug)]
pub(super) enum Text {
    InFile { file: u32, start: u32, len: u32 },
    Made(Box<[u8]>),
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) name: Text,
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) is_template: bool,
    pub(super) templates: Vec<usize>,
    pub(super) body: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) name: Text,
    pub(super) value: Text,
    pub(super) file: u32,
    pub(super) line: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    Own(Own),
    /// The first so many items of another body, as they were when the section was opened.
    From {
        body: usize,
        items: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) items: Vec<Item>,
    /// How many options there are, inherited ones included.
    pub(super) count: u64,
    /// Whether another body refers to this one; from then on items are only added.
    pub(super) shared: bool,
}

/// An `#include` or `#tryinclude` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Include {
    /// The file the line is in, named as it was included itself.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The argument, without quotes.
    pub target: String,
    /// Whether it is `#tryinclude`.
    pub optional: bool,
}

/// One `[section]`, with what it inherited.
#[derive(Clone, Copy, Debug)]
pub struct Section<'t> {
    tree: &'t Tree,
    stored: &'t Stored,
}

/// One option of a section.
#[derive(Clone, Copy, Debug)]
pub struct Variable<'t> {
    /// The left side.
    pub name: &'t [u8],
    /// The right side, comments and escapes removed.
    pub value: &'t [u8],
    /// The file it is written in: the template's, for an inherited one.
    pub file: &'t str,
    /// The line it is written at.
    pub line: u32,
}

impl Tree {
    /// Whether Asterisk refuses this configuration whole and keeps what it had. There are no sections then.
    pub fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// The sections in order, templates among them. Two of the same name are two sections.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().map(|stored| Section { tree: self, stored })
    }

    /// The `#include` lines that were reached, in order.
    pub fn includes(&self) -> &[Include] {
        &self.includes
    }

    /// What was met on the way, in order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Sections without templates and their options as text: what Asterisk's `GetConfig` shows, for comparing the two.
    pub fn pairs(&self) -> Vec<(String, Vec<(String, String)>)> {
        let option = |v: Variable<'_>| (text(v.name).into_owned(), text(v.value).into_owned());
        let section =
            |s: Section<'_>| (text(s.name()).into_owned(), s.variables().map(option).collect());
        self.sections().filter(|s| !s.is_template()).map(section).collect()
    }

    pub(super) fn file_name(&self, file: u32) -> &str {
        self.file(file).map_or("", |file| file.name.as_str())
    }

    pub(super) fn bytes<'t>(&'t self, text: &'t Text) -> &'t [u8] {
        match text {
            Text::Made(bytes) => bytes,
            Text::InFile { file, start, len } => {
                self.slice(*file, *start, *len).unwrap_or_default()
            }
        }
    }

    fn slice(&self, file: u32, start: u32, len: u32) -> Option<&[u8]> {
        let start = usize::try_from(start).ok()?;
        self.file(file)?.text.get(start..)?.get(..usize::try_from(len).ok()?)
    }

    fn file(&self, file: u32) -> Option<&File> {
        self.files.get(usize::try_from(file).ok()?)
    }

    /// The options of a body, down through what it inherits.
    pub(super) fn walk(&self, body: usize) -> Walk<'_> {
        let items = self.bodies.get(body).map_or(&[][..], |body| &body.items);
        Walk { tree: self, stack: vec![items.iter()] }
    }
}

/// Iterates options depth first. A stack and not recursion: templates may be thousands deep.
#[derive(Clone, Debug)]
pub(super) struct Walk<'t> {
    tree: &'t Tree,
    stack: Vec<std::slice::Iter<'t, Item>>,
}

impl<'t> Iterator for Walk<'t> {
    type Item = &'t Own;

    fn next(&mut self) -> Option<&'t Own> {
        loop {
            match self.stack.last_mut()?.next() {
                None => drop(self.stack.pop()),
                Some(Item::Own(own)) => return Some(own),
                Some(Item::From { body, items }) => {
                    let from =
                        self.tree.bodies.get(*body).and_then(|body| body.items.get(..*items));
                    self.stack.push(from.unwrap_or_default().iter());
                }
            }
        }
    }
}

impl<'t> Section<'t> {
    /// The name, cut at 79 bytes as Asterisk cuts it.
    pub fn name(&self) -> &'t [u8] {
        self.tree.bytes(&self.stored.name)
    }

    /// The file it was opened in.
    pub fn file(&self) -> &'t str {
        self.tree.file_name(self.stored.file)
    }

    /// The line it was opened at.
    pub fn line(&self) -> u32 {
        self.stored.line
    }

    /// Whether it is `(!)`: inherited from, but no object.
    pub fn is_template(&self) -> bool {
        self.stored.is_template
    }

    /// The sections it inherits from, in order.
    pub fn templates(&self) -> impl Iterator<Item = &'t [u8]> {
        let tree = self.tree;
        self.stored
            .templates
            .iter()
            .filter_map(|at| tree.sections.get(*at))
            .map(|base| tree.bytes(&base.name))
    }

    /// Its options in order, inherited ones where they were inherited.
    pub fn variables(&self) -> impl Iterator<Item = Variable<'t>> + use<'t> {
        let tree = self.tree;
        tree.walk(self.stored.body).map(move |own| Variable {
            name: tree.bytes(&own.name),
            value: tree.bytes(&own.value),
            file: tree.file_name(own.file),
            line: own.line,
        })
    }

    /// The first value of an option; names compare without case, values do not. Of several `type` lines the first
    /// makes the object, of most other options the last counts.
    pub fn first(&self, name: &str) -> Option<&'t [u8]> {
        self.variables().find(|v| v.name.eq_ignore_ascii_case(name.as_bytes())).map(|v| v.value)
    }
}

/// Bytes of a file as text, for showing to a person.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
