//! Names that others chose: a DNS zone's owner, or whoever plugged in a device. They are shown on pages, written to
//! files and logs, and may be none of our business until they are plainly names.

/// The longest name, in characters (RFC 1035 section 2.3.4, as text without the last dot).
const LONGEST: usize = 253;

/// The name, if it is one: labels of 1 to 63 letters, digits, `-` and `_`, with dots between, 253 characters at most.
/// No label begins or ends with `-` (RFC 1123 section 2.1). A dot at the end is dropped.
pub(super) fn valid(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    (name.len() <= LONGEST && name.split('.').all(label)).then(|| name.to_owned())
}

fn label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&text.len())
        && text.bytes().all(letter)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept() {
        for name in ["phone-1", "SEP001565AABBCC", "a.b_c.example.org", "1", &"a".repeat(63)] {
            assert_eq!(valid(name).as_deref(), Some(name));
        }
        assert_eq!(valid("desk.example.").as_deref(), Some("desk.example"));
        let longest =
            [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(61)].join(".");
        assert_eq!(valid(&longest).map(|name| name.len()), Some(253));
        assert_eq!(valid(&format!("e{longest}")), None);
    }

    #[test]
    fn everything_else_is_no_name() {
        let hostile = [
            "",
            ".",
            "*",
            "a..b",
            ".a",
            "a..",
            "-rf",
            "a-.b",
            "<script>alert(1)</script>",
            "phone&#x2c1",
            "a b",
            "a\nb",
            "a\0",
            "\u{1b}[31m",
            "bücher",
            "a'b",
            "=cmd",
            "a/../b",
            &"a".repeat(64),
        ];
        for name in hostile {
            assert_eq!(valid(name), None, "{name:?}");
        }
    }
}
