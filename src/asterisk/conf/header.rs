//! `[name](options)`: templates, additions, and the section they name.

use super::lines::{Line, strip};
use super::problem::Kind;
use super::source::Source;
use super::tree::{Item, Own, Stored};
use super::{Parser, Place, in_line, shown, split};

/// `struct ast_category` has `char name[80]`.
const NAME_BYTES: usize = 79;

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

impl<S: Source> Parser<'_, S> {
    /// `[name](options)`: the section that is open afterwards.
    pub(super) fn header(
        &mut self,
        place: Place,
        line: &Line<'_>,
    ) -> Result<(usize, Option<Kind>), Kind> {
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
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
