//! `key = value` and its relatives.

use super::lines::{Line, skip_blanks, strip, trim_end};
use super::problem::Kind;
use super::source::Source;
use super::tree::{Body, Item, Own, Text};
use super::{Parser, Place, in_line};

impl<S: Source> Parser<'_, S> {
    /// `key = value`, `key => value` or `key += value`.
    pub(super) fn option(
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
}
