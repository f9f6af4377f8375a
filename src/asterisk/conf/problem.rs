//! What a person should know about a configuration file.

use std::fmt;

/// Something [`parse`](super::parse) met on the way, where it met it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, named as `#include` named it.
    pub file: String,
    /// The line in that file, from 1; 0 when the file itself is meant.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What can be wrong in a configuration file, named by cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The top-level file cannot be read.
    NoFile,
    /// Over 8190 bytes: Asterisk skips the line.
    LineTooLong,
    /// What follows a NUL on its line is lost, or becomes a line of its own.
    NulByte,
    /// A `--;` with no block comment open: the rest of the file is ignored.
    CommentClosedTwice,
    /// A block comment that is still open at the end of the file.
    CommentLeftOpen,
    /// More than 128 block comments inside each other: Asterisk hangs here.
    CommentsTooDeep,
    /// `[name` without `]`.
    NoClosingBracket,
    /// `[name](options` without `)`.
    NoClosingParenthesis,
    /// Over 79 bytes: Asterisk cuts the name, so two of them can become one.
    NameCut(String),
    /// A template that no section before this one has.
    UnknownTemplate(String),
    /// `[name](+)` for a section that does not exist.
    NothingToAppendTo(String),
    /// `[name](+,name)`: Asterisk copies the section into itself until its memory is gone.
    InheritsItself(String),
    /// `[name](+filter)` with a pattern: taken as the plain text, which Asterisk may see otherwise.
    Filter(String),
    /// A line before any section.
    NoSection,
    /// `\` before a blank or a byte above 127.
    InvalidEscape,
    /// A line without `=`, skipped.
    NoEquals,
    /// A line beginning with `=`, skipped.
    NoName,
    /// `#include` of nothing.
    MissingInclude(String),
    /// `#tryinclude` of nothing, or a file in it that stops early: its content is absent without a word.
    OptionalMissing(String),
    /// Includes more than ten deep.
    TooDeep(String),
    /// A file included a second time: its sections exist twice.
    IncludedTwice(String),
    /// A `#word` that Asterisk does not know, skipped.
    UnknownDirective(String),
    /// `#include` or `#exec` without an argument, skipped.
    NoArgument(String),
    /// `#exec`: what it prints is not seen here.
    Exec(String),
    /// More than we are willing to hold in memory; Asterisk would try.
    TooLarge,
}

impl Kind {
    /// Whether Asterisk stops reading the file here. In the top-level file that rejects the whole configuration, in an
    /// included file everything after this line silently disappears.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::NoFile
                | Self::CommentsTooDeep
                | Self::NoClosingBracket
                | Self::NoClosingParenthesis
                | Self::UnknownTemplate(_)
                | Self::NothingToAppendTo(_)
                | Self::InheritsItself(_)
                | Self::NoSection
                | Self::InvalidEscape
                | Self::MissingInclude(_)
                | Self::TooDeep(_)
                | Self::TooLarge
        )
    }
}

/// What is wrong and what to do, as one sentence without a full stop.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => {
                write!(f, "the file cannot be read; create it or correct its permissions")
            }
            Self::LineTooLong => {
                write!(f, "the line is over 8190 bytes and Asterisk skips it; shorten it")
            }
            Self::NulByte => write!(f, "the line contains a NUL byte and is cut there; remove it"),
            Self::CommentClosedTwice => {
                write!(
                    f,
                    "`--;` closes a comment that is not open, so Asterisk ignores the rest of the file; write `--\\;`"
                )
            }
            Self::CommentLeftOpen => {
                write!(f, "a block comment opened here is never closed; add `--;`")
            }
            Self::CommentsTooDeep => {
                write!(f, "block comments are over 128 deep, where Asterisk hangs; remove some")
            }
            Self::NoClosingBracket => write!(f, "the `]` is missing; add it"),
            Self::NoClosingParenthesis => write!(f, "the `)` is missing; add it"),
            Self::NameCut(name) => write!(
                f,
                "the section name `{name}` is over 79 bytes and Asterisk cuts it; shorten it"
            ),
            Self::UnknownTemplate(name) => {
                write!(f, "no section `{name}` stands before this one; define it first")
            }
            Self::NothingToAppendTo(name) => {
                write!(f, "`(+)` needs an earlier section `{name}`; define it first")
            }
            Self::InheritsItself(name) => {
                write!(f, "`{name}` inherits from itself, which hangs Asterisk; remove that")
            }
            Self::Filter(text) => write!(
                f,
                "the filter `{text}` is a pattern and is read here as plain text; avoid it"
            ),
            Self::NoSection => write!(f, "the line stands before any [section]; move it into one"),
            Self::InvalidEscape => {
                write!(f, "a `\\` at the start of a line must be followed by `[`, `#` or a letter")
            }
            Self::NoEquals => {
                write!(f, "the line has no `=` and Asterisk skips it; correct or remove it")
            }
            Self::NoName => write!(
                f,
                "the line has nothing before its `=` and Asterisk skips it; correct or remove it"
            ),
            Self::MissingInclude(name) => {
                write!(f, "the included file `{name}` does not exist; create it or remove the line")
            }
            Self::OptionalMissing(name) => {
                write!(f, "`#tryinclude` finds no `{name}`: whatever it should hold is absent")
            }
            Self::TooDeep(name) => write!(
                f,
                "`{name}` is included more than ten files deep; include it from higher up"
            ),
            Self::IncludedTwice(name) => {
                write!(f, "`{name}` is included a second time; keep one of the two lines")
            }
            Self::UnknownDirective(word) => {
                write!(f, "Asterisk knows no `#{word}` and skips the line; correct or remove it")
            }
            Self::NoArgument(word) => {
                write!(f, "`#{word}` needs an argument; add it or remove the line")
            }
            Self::Exec(command) => write!(f, "what `#exec {command}` prints is not checked here"),
            Self::TooLarge => write!(
                f,
                "the configuration is too large to check; split it or remove what repeats itself"
            ),
        }
    }
}
