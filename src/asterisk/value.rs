//! What may be written into one of Asterisk's files, as types: text that would change its neighbours cannot be built.
//!
//! Everything refuses and nothing repairs: a value that arrives here broken was accepted too early elsewhere.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

/// The longest value we write, in bytes. Far below the 8190 at which Asterisk skips a line, even fully escaped.
pub const VALUE_BYTES: usize = 1000;
/// The longest caller name, in characters: what a phone's display can be expected to show.
pub const CALLER_NAME_CHARS: usize = 60;
/// The longest caller name, in bytes: `cid_name[80]` in Asterisk, one of them the closing NUL.
pub const CALLER_NAME_BYTES: usize = 79;

/// Why a text cannot stand in one of Asterisk's files. The sentence is for the person who typed it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ValueError {
    /// A control, line separator or direction mark: it ends the line, or hides what the line says.
    #[error("contains an invisible character (U+{:04X}): remove it", u32::from(*.0))]
    Control(char),
    /// A blank at an end: Asterisk drops it, so the value read back would differ.
    #[error("begins or ends with a blank: remove it")]
    Blank,
    /// Longer than [`VALUE_BYTES`].
    #[error("is too long: use at most {VALUE_BYTES} bytes")]
    TooLong,
    /// Not a section name; see [`SectionName`].
    #[error("must be 1 to 40 letters, digits, _ or -, beginning with a letter or digit")]
    Name,
    /// A section name with a meaning of its own in one of Asterisk's files.
    #[error("is a word Asterisk reserves: choose another")]
    Reserved,
    /// A caller name longer than [`CALLER_NAME_CHARS`] or [`CALLER_NAME_BYTES`].
    #[error(
        "is too long for a caller name: use at most {CALLER_NAME_CHARS} characters ({CALLER_NAME_BYTES} bytes)"
    )]
    CallerName,
    /// A caller number that is not 1 to 20 ASCII digits.
    #[error("must be 1 to 20 digits")]
    CallerNumber,
}

/// The right side of `key = value`.
///
/// Promise: written by [`ConfWriter`] and read by Asterisk's parser it comes back byte for byte, and no other line
/// changes. It is at most [`VALUE_BYTES`] long and has no control character (C0, DEL, C1), no U+2028 or U+2029, no
/// direction mark and no blank at either end. It may be empty.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileValue(String);

impl FileValue {
    /// The value as meant, not as escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileValue {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(found) = text.chars().find(|&c| is_invisible(c)) {
            return Err(ValueError::Control(found));
        }
        if text.trim() != text {
            return Err(ValueError::Blank);
        }
        if text.len() > VALUE_BYTES {
            return Err(ValueError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<u32> for FileValue {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for FileValue {
    fn from(yes: bool) -> Self {
        Self(if yes { "yes" } else { "no" }.to_owned())
    }
}

impl From<&SectionName> for FileValue {
    fn from(name: &SectionName) -> Self {
        Self(name.0.clone())
    }
}

/// The direction marks are those of Unicode's `Bidi_Control`: they make a line show something else than it says.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{061C}' | '\u{200E}' | '\u{200F}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The name of a section that we write: `[A-Za-z0-9][A-Za-z0-9_-]{0,39}` and no reserved word.
///
/// Far below the 79 bytes at which Asterisk cuts a name silently, and free of everything its parser reads as syntax.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SectionName(String);

impl SectionName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SectionName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts || text.len() > 40 || !text.chars().all(inner) {
            return Err(ValueError::Name);
        }
        if ["general", "globals", "global", "system", "template"]
            .contains(&text.to_ascii_lowercase().as_str())
        {
            return Err(ValueError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

/// `"name" <number>` for `callerid`, so that `ast_callerid_parse` gives back exactly this name and this number.
///
/// An empty name gives `<number>` alone. A name that Asterisk would cut is refused.
pub fn caller_id(name: &str, number: &str) -> Result<FileValue, ValueError> {
    if number.is_empty() || number.len() > 20 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueError::CallerNumber);
    }
    if name.is_empty() {
        return format!("<{number}>").parse();
    }
    if name.chars().count() > CALLER_NAME_CHARS || name.len() > CALLER_NAME_BYTES {
        return Err(ValueError::CallerName);
    }
    // Checked before it is quoted: inside quotes a blank at the end would no longer be at an end.
    let name = name.parse::<FileValue>()?;
    let escaped = name.as_str().replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{escaped}\" <{number}>").parse()
}

/// The left side of `key = value`: a word of ours, known when the program is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(&'static str);

impl Key {
    /// A key of letters, digits, `_` and `-`. Meant for `const`, where a wrong word does not compile.
    ///
    /// # Panics
    /// When the word has any other character or none.
    pub const fn new(word: &'static str) -> Self {
        assert!(!word.is_empty(), "a key has at least one character");
        assert!(is_plain(word.as_bytes(), false), "a key is letters, digits, _ and -");
        Self(word)
    }
}

/// The text of a comment: fixed when the program is built, so nothing a person typed can be in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Comment(&'static str);

impl Comment {
    /// One line of printable ASCII. Meant for `const`, where a wrong text does not compile.
    ///
    /// # Panics
    /// When the text has a control character or is not ASCII.
    pub const fn new(text: &'static str) -> Self {
        assert!(is_plain(text.as_bytes(), true), "a comment is one line of printable ASCII");
        Self(text)
    }
}

/// Const: a loop over iterators is not allowed there.
const fn is_plain(mut bytes: &[u8], printable: bool) -> bool {
    while let [first, rest @ ..] = bytes {
        let word = first.is_ascii_alphanumeric() || *first == b'_' || *first == b'-';
        if !(word || printable && (first.is_ascii_graphic() || *first == b' ')) {
            return false;
        }
        bytes = rest;
    }
    true
}

/// Writes a file for Asterisk. Its arguments are the types above, so there is nothing left to escape wrongly.
#[derive(Debug, Default)]
pub struct ConfWriter {
    text: String,
}

impl ConfWriter {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// `; text`
    pub fn comment(&mut self, Comment(text): Comment) -> &mut Self {
        // The blank keeps a text that begins with `--` from opening a block comment.
        self.line(format_args!("; {text}"))
    }

    /// `; text 7`, for the numbers of releases and tenants.
    pub fn comment_number(&mut self, Comment(text): Comment, number: u64) -> &mut Self {
        self.line(format_args!("; {text} {number}"))
    }

    /// `[name]`, or `[name](a,b)` with templates.
    pub fn section(&mut self, name: &SectionName, templates: &[&SectionName]) -> SectionWriter<'_> {
        self.open(name, templates.iter().map(|t| t.as_str()))
    }

    /// `[name](!)`: its options are inherited, it is no object itself.
    pub fn template(&mut self, name: &SectionName) -> SectionWriter<'_> {
        self.open(name, std::iter::once("!"))
    }

    /// The file's text.
    pub fn finish(self) -> String {
        self.text
    }

    fn open<'a>(
        &mut self,
        name: &SectionName,
        options: impl Iterator<Item = &'a str>,
    ) -> SectionWriter<'_> {
        self.text.push_str("\n[");
        self.text.push_str(name.as_str());
        self.text.push(']');
        for (at, option) in options.enumerate() {
            self.text.push(if at == 0 { '(' } else { ',' });
            self.text.push_str(option);
        }
        if !self.text.ends_with(']') {
            self.text.push(')');
        }
        self.text.push('\n');
        SectionWriter { file: self }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{text}");
        self
    }
}

/// The open section of a [`ConfWriter`]: an option can only be written where a section is open.
#[derive(Debug)]
pub struct SectionWriter<'w> {
    file: &'w mut ConfWriter,
}

impl SectionWriter<'_> {
    /// `key = value`. The blanks matter: in `key=>x` Asterisk would eat the `>`.
    pub fn set(&mut self, Key(key): Key, value: &FileValue) -> &mut Self {
        let text = &mut self.file.text;
        text.push_str(key);
        text.push_str(" = ");
        for (at, part) in value.as_str().split(';').enumerate() {
            if at > 0 {
                text.push_str("\\;");
            }
            text.push_str(part);
        }
        text.push('\n');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Key = Key::new("x");

    fn value(text: &str) -> FileValue {
        text.parse().unwrap()
    }

    #[test]
    fn a_value_with_a_line_end_a_control_or_a_direction_mark_is_refused() {
        for text in [
            "a\nb",
            "a\rb",
            "a\0b",
            "\u{7f}",
            "\u{85}",
            "a\u{2028}b",
            "a\u{2029}",
            "\u{202E}x",
            "a\u{2066}b",
        ] {
            assert!(matches!(text.parse::<FileValue>(), Err(ValueError::Control(_))), "{text:?}");
        }
    }

    #[test]
    fn a_value_is_not_trimmed_but_refused() {
        for text in [" a", "a ", "\u{a0}a"] {
            assert_eq!(text.parse::<FileValue>(), Err(ValueError::Blank), "{text:?}");
        }
        assert!("x".repeat(1000).parse::<FileValue>().is_ok());
        assert_eq!("x".repeat(1001).parse::<FileValue>(), Err(ValueError::TooLong));
    }

    #[test]
    fn a_section_name_has_no_syntax_in_it() {
        for text in ["", "_a", "-a", "a b", "a]", "a;b", "a.b", "ä", "a\n", &"a".repeat(41)] {
            assert_eq!(text.parse::<SectionName>(), Err(ValueError::Name), "{text:?}");
        }
        assert_eq!("Globals".parse::<SectionName>(), Err(ValueError::Reserved));
        assert_eq!("acme-1000".parse::<SectionName>().unwrap().as_str(), "acme-1000");
    }

    #[test]
    fn a_caller_name_is_quoted_and_its_quotes_escaped() {
        assert_eq!(
            caller_id(r#"Bob "the \ boss""#, "1000").unwrap().as_str(),
            r#""Bob \"the \\ boss\"" <1000>"#
        );
        assert_eq!(caller_id("", "1000").unwrap().as_str(), "<1000>");
    }

    #[test]
    fn a_caller_name_that_asterisk_would_cut_is_refused() {
        assert!(caller_id(&"x".repeat(60), "1").is_ok());
        assert_eq!(caller_id(&"x".repeat(61), "1"), Err(ValueError::CallerName));
        assert!(caller_id(&"李".repeat(26), "1").is_ok());
        assert_eq!(caller_id(&"李".repeat(27), "1"), Err(ValueError::CallerName));
        assert_eq!(caller_id(" Bob", "1"), Err(ValueError::Blank));
        assert_eq!(caller_id("Bob", "1> <2"), Err(ValueError::CallerNumber));
    }

    #[test]
    fn the_writer_escapes_semicolons_and_nothing_else() {
        let mut file = ConfWriter::new();
        file.comment_number(Comment::new("release"), 7);
        let (tpl, name) = ("phone".parse().unwrap(), "1000".parse().unwrap());
        file.template(&tpl).set(X, &FileValue::from(true));
        file.section(&name, &[&tpl]).set(X, &value("a;b\\;c--;")).set(X, &value(">x"));
        let text =
            "; release 7\n\n[phone](!)\nx = yes\n\n[1000](phone)\nx = a\\;b\\\\;c--\\;\nx = >x\n";
        assert_eq!(file.finish(), text);
    }
}
