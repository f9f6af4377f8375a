//! Physical lines and comments: `config_text_file_load` of Asterisk's `main/config.c`.
//!
//! Asterisk does this before it looks at what a line says, so a `;` in a value is found here first.

use super::problem::Kind;

/// `char buf[8192]` holds this many bytes of a line, its LF included.
const BUFFER: usize = 8191;
/// `MAX_NESTED_COMMENTS`. One more and Asterisk loops for ever.
const MAX_NESTED: i32 = 128;

/// What survives from one file to the next when a pattern names several: Asterisk forgets to reset it.
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// Block comments open. Below zero after a `--;` too many; anything but zero hides lines.
    depth: i32,
    /// The lines at which they were opened.
    opened: Vec<u32>,
    /// The running line number.
    line: u32,
}

impl Comments {
    /// The line of the block comment that is still open. One closed too often was reported where it was closed.
    pub(super) fn unterminated(&self) -> Option<u32> {
        (self.depth > 0).then(|| self.opened.last().copied().unwrap_or(self.line))
    }

    /// `feof` is seen one turn late when the last line ended with a LF, and that turn counts a line.
    pub(super) fn end_of_file(&mut self, text: &[u8]) {
        if text.is_empty() || text.ends_with(b"\n") {
            self.line = self.line.saturating_add(1);
        }
    }
}

/// A line without its comments and outer blanks; never empty.
#[derive(Debug)]
pub(super) enum Line<'t> {
    /// Bytes of the file, beginning at this offset.
    InFile(usize, &'t [u8]),
    /// Put together, because something inside the line was removed.
    Made(Vec<u8>),
}

impl Line<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::InFile(_, bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// What reading the next line gave.
pub(super) enum Event<'t> {
    /// A line to be understood.
    Line(u32, Line<'t>),
    /// Something a person should know; reading goes on.
    Note(u32, Kind),
    /// Asterisk does not get beyond this line.
    Stop(u32, Kind),
}

/// The lines of one file.
pub(super) struct Lines<'t, 'c> {
    text: &'t [u8],
    at: usize,
    comments: &'c mut Comments,
    /// A line that gave two events waits here for its second.
    next: Option<Event<'t>>,
}

impl<'t, 'c> Lines<'t, 'c> {
    pub(super) fn new(text: &'t [u8], comments: &'c mut Comments) -> Self {
        Self { text, at: 0, comments, next: None }
    }

    /// One `fgets`: up to [`BUFFER`] bytes or through a LF, and where they begin.
    fn fgets(&mut self) -> Option<(usize, &'t [u8])> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let window = rest.get(..BUFFER).unwrap_or(rest);
        let len = find(window, b'\n').map_or(window.len(), |at| at + 1);
        self.at = start + len;
        Some((start, window.get(..len).unwrap_or(window)))
    }

    /// Skips what is left of a line that did not fit.
    fn skip_rest(&mut self) {
        while let Some((_, chunk)) = self.fgets() {
            if !overflows(c_string(chunk)) {
                break;
            }
        }
    }

    /// Removes comments and outer blanks from one line; nothing when nothing is left.
    fn line_of(&mut self, start: usize, text: &'t [u8]) -> Option<Event<'t>> {
        let number = self.comments.line;
        if find(text, b';').is_none() {
            let line = if self.comments.depth == 0 { strip(text) } else { b"" };
            let start = start + text.len() - skip_blanks(text).len();
            return (!line.is_empty()).then_some(Event::Line(number, Line::InFile(start, line)));
        }
        let before = self.comments.depth;
        let line = match self.comments.scan(text) {
            Ok(line) => line,
            Err(kind) => return Some(Event::Stop(number, kind)),
        };
        let line = (!strip(&line).is_empty())
            .then(|| Event::Line(number, Line::Made(strip(&line).to_vec())));
        if before >= 0 && self.comments.depth < 0 {
            self.next = line;
            return Some(Event::Note(number, Kind::CommentClosedTwice));
        }
        line
    }
}

impl<'t> Iterator for Lines<'t, '_> {
    type Item = Event<'t>;

    fn next(&mut self) -> Option<Event<'t>> {
        loop {
            if let Some(event) = self.next.take() {
                return Some(event);
            }
            let (mut start, chunk) = self.fgets()?;
            self.comments.line = self.comments.line.saturating_add(1);
            let line = self.comments.line;
            let mut text = c_string(chunk);
            if overflows(text) {
                self.skip_rest();
                return Some(Event::Note(line, Kind::LineTooLong));
            }
            let nul = text.len() < chunk.len();
            if let (1, Some(rest)) = (line, text.strip_prefix(b"\xEF\xBB\xBF")) {
                (start, text) = (start + 3, rest);
            }
            let event = self.line_of(start, text);
            if nul {
                // A closed comment on a line with a NUL: the NUL is the worse news, and one note is enough.
                self.next = self.next.take().or(event);
                return Some(Event::Note(line, Kind::NulByte));
            }
            if event.is_some() {
                return event;
            }
        }
    }
}

impl Comments {
    /// Asterisk's loop over the `;` of a line, and what it holds of the line at the end. A block comment may cut the
    /// line and join it again several times. Quotes mean nothing here.
    fn scan(&mut self, text: &[u8]) -> Result<Vec<u8>, Kind> {
        let mut kept = Kept { text: Vec::with_capacity(text.len()), hidden: self.depth != 0 };
        let mut rest = text;
        while let Some(at) = find(rest, b';') {
            let (before, after) =
                (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
            rest = after;
            if let Some(before) = before.strip_suffix(b"\\") {
                kept.add(before);
                kept.add(b";");
            } else if after.starts_with(b"--") && after.get(2) != Some(&b'-') {
                self.open()?;
                kept.add(before);
                kept.hidden = true;
                rest = after.get(2..).unwrap_or_default();
            } else if before.ends_with(b"--") {
                self.close();
                kept.hidden &= self.depth != 0;
                // A `--;` that ends a comment is not in the line; one that ends nothing stays in it.
                if self.depth != 0 {
                    kept.add(before);
                    kept.add(b";");
                }
            } else if self.depth == 0 {
                kept.add(before);
                return Ok(kept.text);
            } else {
                kept.add(before);
                kept.add(b";");
            }
        }
        kept.add(rest);
        Ok(kept.text)
    }

    fn open(&mut self) -> Result<(), Kind> {
        if self.depth >= MAX_NESTED {
            return Err(Kind::CommentsTooDeep);
        }
        self.depth += 1;
        if self.depth > 0 {
            self.opened.push(self.line);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.depth > 0 {
            self.opened.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The part of a line that is outside comments.
struct Kept {
    text: Vec<u8>,
    hidden: bool,
}

impl Kept {
    fn add(&mut self, part: &[u8]) {
        if !self.hidden {
            self.text.extend_from_slice(part);
        }
    }
}

/// Up to the first NUL, which is where C ends a string.
fn c_string(chunk: &[u8]) -> &[u8] {
    find(chunk, 0).and_then(|at| chunk.get(..at)).unwrap_or(chunk)
}

fn overflows(text: &[u8]) -> bool {
    text.len() == BUFFER && !text.ends_with(b"\n")
}

fn find(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|b| *b == byte)
}

/// `ast_skip_blanks`: every byte below 33 is blank, and none above.
pub(super) fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b < 33).count();
    text.get(blanks..).unwrap_or_default()
}

/// `ast_trim_blanks`.
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|b| **b < 33).count();
    text.get(..text.len() - blanks).unwrap_or_default()
}

/// `ast_strip`.
pub(super) fn strip(text: &[u8]) -> &[u8] {
    trim_end(skip_blanks(text))
}
