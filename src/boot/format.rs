//! The formats phones read, and how a value is written so that it can be nothing but a value.

use std::fmt::{self, Write};

/// A format of boot files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// XML 1.0: a value can stand in text and in a quoted attribute.
    Xml,
    /// Yealink's lines of `key = value`, the first of which says so. Nothing can be escaped.
    Lines,
}

/// What the first line of a file of lines must be.
const FIRST_LINE: &str = "#!version:1.0.0.1";
/// What gives a key back its first value, and what is written where somebody is called so.
const RESET: &str = "%NULL%";
const NO_RESET: &str = "% NULL %";

/// Why a value cannot be written, or a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A value has a line break or another control character, which the format cannot hold.
    #[error("a value holds a line break or a control character")]
    Control,
    /// Not what its format asks for.
    #[error("line {line}: {what}")]
    At {
        /// From 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

impl Format {
    /// What a server calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "application/xml",
            Self::Lines => "text/plain; charset=utf-8",
        }
    }

    /// Writes `value` so that it reads back as it is; in lines with blanks in it where it would mean
    /// something to the phone.
    pub fn write(self, out: &mut impl Write, value: &str) -> Result<(), WriteError> {
        match self {
            Self::Xml => xml(out, value),
            Self::Lines => lines(out, value),
        }
    }

    /// Whether `text` is a file of this format.
    pub fn check(self, text: &str) -> Result<(), Malformed> {
        match self {
            Self::Xml => check_xml(text),
            Self::Lines => check_lines(text),
        }
    }
}

/// A value that cannot be written, or a writer that takes no more.
#[derive(Debug)]
pub enum WriteError {
    /// The value.
    Value(Malformed),
    /// The writer.
    Full,
}

impl From<fmt::Error> for WriteError {
    fn from(_: fmt::Error) -> Self {
        Self::Full
    }
}

fn xml(out: &mut impl Write, value: &str) -> Result<(), WriteError> {
    let mut plain = 0;
    for (at, c) in value.char_indices() {
        let escaped = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            // A parser would make blanks of these.
            '\t' => "&#9;",
            '\n' => "&#10;",
            '\r' => "&#13;",
            // No XML can hold these, not even by their numbers.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                return Err(WriteError::Value(Malformed::Control));
            }
            _ => continue,
        };
        out.write_str(value.get(plain..at).unwrap_or_default())?;
        out.write_str(escaped)?;
        plain = at + c.len_utf8();
    }
    Ok(out.write_str(value.get(plain..).unwrap_or_default())?)
}

fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn lines(out: &mut impl Write, value: &str) -> Result<(), WriteError> {
    if value.chars().any(breaks_lines) {
        Err(WriteError::Value(Malformed::Control))
    } else if value == RESET {
        Ok(out.write_str(NO_RESET)?)
    } else {
        Ok(out.write_str(value)?)
    }
}

/// One element with all its tags closed, attributes that occur once, no entities but XML's own and
/// no document type.
fn check_xml(text: &str) -> Result<(), Malformed> {
    let parsed = roxmltree::Document::parse(text).map(drop);
    parsed.map_err(|error| {
        let line = usize::try_from(error.pos().row).unwrap_or(usize::MAX);
        Malformed::At { line, what: error.to_string() }
    })
}

fn check_lines(text: &str) -> Result<(), Malformed> {
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
        let what = format!("the first line must be {FIRST_LINE}");
        return Err(Malformed::At { line: 1, what });
    }
    for (n, line) in lines {
        let at = |what: &str| Malformed::At { line: n + 1, what: what.to_owned() };
        if line.chars().any(breaks_lines) {
            return Err(at("there is a control character"));
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, _) = line.split_once('=').ok_or_else(|| at("write key = value"))?;
        let key = key.trim_end();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if key.is_empty() || !key.bytes().all(letter) {
            return Err(at("a key has letters, digits, dots, underscores and hyphens"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(format: Format, value: &str) -> Option<String> {
        let mut out = String::new();
        format.write(&mut out, value).ok().map(|()| out)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn any_value_reads_back_from_xml_as_it_is(value in "\\PC*|[<>&\"'\\]\\[!?=/ \t\r\na-z;#x0-9-]{0,40}") {
            let inside = written(Format::Xml, &value).unwrap();
            let text = format!("<a b=\"{inside}\" c='{inside}'>{inside}</a>");
            prop_assert_eq!(Format::Xml.check(&text), Ok(()));
            let document = roxmltree::Document::parse(&text).unwrap();
            let root = document.root_element();
            prop_assert_eq!(root.attribute("b"), Some(value.as_str()));
            prop_assert_eq!(root.attribute("c"), Some(value.as_str()));
            prop_assert_eq!(root.text().unwrap_or_default(), value.as_str());
            prop_assert_eq!(root.children().filter(roxmltree::Node::is_element).count(), 0);
        }

        #[test]
        fn any_value_of_one_line_reads_back_from_lines_as_it_is(value in "\\PC*|[=#%&; a-z.]{0,40}") {
            let value = value.trim().to_owned();
            prop_assume!(value != RESET && !value.chars().any(breaks_lines));
            let inside = written(Format::Lines, &value).unwrap();
            let text = format!("{FIRST_LINE}\na = {inside}\nb = 1\n");
            prop_assert_eq!(Format::Lines.check(&text), Ok(()));
            let read: Vec<(&str, &str)> = text.split('\n').skip(1).filter_map(|line| line.split_once(" = ")).collect();
            prop_assert_eq!(read, [("a", value.as_str()), ("b", "1")]);
        }

        #[test]
        fn whatever_is_checked_is_answered(text in "\\PC{0,80}|[<>/a-z&;\"'= !\\[\\]-]{0,60}") {
            let _ = (Format::Lines.check(&text), Format::Xml.check(&text));
        }
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused() {
        for value in ["a\nb", "a\r", "\0", "a\u{85}b", "a\u{2028}b", "\u{1b}[2J"] {
            assert_eq!(written(Format::Lines, value), None, "{value:?}");
        }
        assert_eq!(written(Format::Lines, "%NULL%").as_deref(), Some("% NULL %"));
        for value in ["\0", "\u{1}", "\u{ffff}", "\u{fffe}"] {
            assert_eq!(written(Format::Xml, value), None, "{value:?}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_said_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("<a>", 1),
            ("<a></b>", 1),
            ("<a>\n<b></a>", 2),
            ("<a/>\n<b/>", 2),
            ("<a/>\nx", 2),
            ("x<a/>", 1),
            ("<a>\n&nbsp;</a>", 2),
            ("<a>&</a>", 1),
            ("<a b=\"1\" b=\"2\"/>", 1),
            ("<a b=1/>", 1),
            ("<a b=\"<\"/>", 1),
            ("<a b=\"&x;\"/>", 1),
            ("<1/>", 1),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", 1),
        ] {
            match Format::Xml.check(text) {
                Err(Malformed::At { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "",
            "a = b",
            "#!version:1.0.0.1\na b",
            "#!version:1.0.0.1\n = b",
            "#!version:1.0.0.1\na\u{1} = b",
        ] {
            assert!(Format::Lines.check(text).is_err(), "{text:?}");
        }
    }
}
