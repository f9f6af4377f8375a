//! What people type into a line: taken as typed, or refused with a reason.

use std::fmt;
use std::str::FromStr;

/// Control characters, line and paragraph separators, and characters that turn the direction of
/// text around them.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A count as people read it: `12,345`; beyond a million millions only how large it is.
pub fn grouped(count: &(impl Copy + Into<i128>)) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let count: i128 = (*count).into();
    let digits = count.unsigned_abs().to_string();
    if digits.len() > 13 {
        let (first, second) =
            (digits.get(..1).unwrap_or_default(), digits.get(1..2).unwrap_or_default());
        let power = (digits.len() - 1).to_string();
        let raised = power.bytes().filter_map(|digit| RAISED.get(usize::from(digit - b'0')));
        return format!("{first}.{second} × 10{}", raised.collect::<String>());
    }
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if count < 0 { format!("-{text}") } else { text }
}

/// One line of at most `MOST` characters without blanks at its ends; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line<const MOST: usize>(String);

/// Why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Too long.
    #[error("use at most {0} characters")]
    Long(usize),
    /// Line breaks, control or direction characters.
    #[error("leave out line breaks and invisible characters")]
    Invisible,
}

impl<const MOST: usize> FromStr for Line<MOST> {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let text = text.trim();
        if text.chars().any(is_invisible) {
            Err(BadLine::Invisible)
        } else if text.chars().count() > MOST {
            Err(BadLine::Long(MOST))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl<const MOST: usize> TryFrom<String> for Line<MOST> {
    type Error = BadLine;

    fn try_from(text: String) -> Result<Self, BadLine> {
        text.parse()
    }
}

impl<const MOST: usize> fmt::Display for Line<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MOST: usize> Line<MOST> {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The form in which it is searched, compared and sorted.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// One of a few that a URL or a call names by a word.
pub trait ByName: Copy + Default + PartialEq + 'static {
    /// Every one with its word. Orders of a list are called as the column, or `-` and the column
    /// for the other way round.
    const ALL: &'static [(Self, &'static str)];

    /// The one called `name`, if there is one.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(one, _)| *one)
    }

    /// As [`ByName::named`]; no word means the default.
    fn asked(name: &str) -> Option<Self> {
        if name.is_empty() { Some(Self::default()) } else { Self::named(name) }
    }

    /// Its word.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_grouped_by_thousands() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (-12_345, "-12,345"),
            (1_i128 << 64, "1.8 × 10¹⁹"),
        ] {
            assert_eq!(grouped(&count), text);
        }
    }

    #[test]
    fn a_line_is_taken_as_typed_or_refused() {
        assert_eq!(" Lobby, 2nd floor ".parse::<Line<20>>().unwrap().as_str(), "Lobby, 2nd floor");
        assert_eq!("a\u{202e}b".parse::<Line<20>>(), Err(BadLine::Invisible));
        assert_eq!("a\nb".parse::<Line<20>>(), Err(BadLine::Invisible));
        assert_eq!("äöü".parse::<Line<2>>(), Err(BadLine::Long(2)));
        assert!("".parse::<Line<2>>().unwrap().is_empty());
    }
}
