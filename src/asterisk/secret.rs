//! Secrets in configuration files, made unreadable but still recognisable as the same or another.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// Options whose value lets someone register, or read mail.
const SECRETS: &[&str] = &[
    "password",
    "password_digest",
    "md5_cred",
    "secret",
    "md5secret",
    "remotesecret",
    "oauth_secret",
    "refresh_token",
    "pin",
];

/// Whether the value of this option must never be shown.
pub fn is_secret(option: &str) -> bool {
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(option))
}

/// `(hidden #a1b2)`, behind `SHA-256:` or `MD5:` for a digest. The four digits are of a hash over the value, so that a
/// changed secret is seen to have changed.
pub fn mask(value: &str) -> String {
    let hash = Sha256::digest(value.as_bytes());
    let digits = hash.iter().take(2).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let algorithm =
        ["MD5:", "SHA-256:", "SHA-512-256:"].iter().find(|name| value.starts_with(**name));
    format!("{}(hidden #{digits:04x})", algorithm.unwrap_or(&""))
}

/// A line of a file with everything hidden that follows the name of a secret and its `=`, in a comment too.
pub fn mask_line(line: &str) -> Cow<'_, str> {
    for (at, _) in line.match_indices('=') {
        let Some((before, after)) = line.split_at_checked(at) else { continue };
        let before = before.trim_end_matches(|c: char| c.is_whitespace() || c == '+');
        let word = before
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .next()
            .unwrap_or_default();
        if is_secret(word) {
            let value = after.trim_start_matches(['=', '>']).trim();
            return Cow::Owned(format!("{before} = {}", mask(value)));
        }
    }
    Cow::Borrowed(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_but_seen_to_change() {
        assert_ne!(mask("a"), mask("b"));
        assert_eq!(mask("a"), mask("a"));
        assert!(mask("SHA-256:0123").starts_with("SHA-256:(hidden #"));
        assert!(!mask("secret-text").contains("text"));
    }

    #[test]
    fn a_line_is_hidden_from_the_secret_on_wherever_it_stands() {
        for line in [
            "password = s3cret",
            "Password=>s3cret",
            "; x password  += s3cret",
            "a=b;secret=s3cret",
            "\\md5_cred=s3cret",
        ] {
            let masked = mask_line(line);
            assert!(!masked.contains("s3cret") && masked.contains("(hidden #"), "{masked}");
        }
        assert_eq!(mask_line("username = password"), "username = password");
        assert_eq!(mask_line("[password]"), "[password]");
    }
}
