//! Signing in for files with a password: HTTP basic (RFC 7617) and digest (RFC 7616).
//!
//! A nonce needs no memory until it was used rightly: it says when it was made and is authenticated
//! by a key of ours. From then on it is kept with the highest count seen, and a request with that
//! count or a lower one is one that was overheard.

use std::collections::HashMap;

use md5::Md5;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secrets::{self, Entropy, Vault};
use crate::time::Timestamp;

/// Seconds a nonce is good for.
const LIFETIME: i64 = 300;
/// Nonces in use that are kept; the oldest go first.
const MOST: usize = 20_000;
const REALM: &str = "Patchbay phones";
/// Phones that are known to understand no digest.
const BASIC_ONLY: [&str; 5] = ["algo", "panasonic", "aastra", "snom", "dag"];

/// What `Authorization` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Name and password.
    Basic {
        /// Who.
        name: String,
        /// The password.
        password: String,
    },
    /// An answer to a challenge.
    Digest(Box<Response>),
}

/// An answer to a challenge, with the parameters of RFC 7616, section 3.4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    pub response: String,
    pub algorithm: String,
    pub cnonce: String,
    pub nc: String,
    pub qop: String,
}

impl Credentials {
    /// Reads the header's value.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            let text = String::from_utf8(unbase64(rest.trim())?).ok()?;
            let (name, password) = text.split_once(':')?;
            return Some(Self::Basic { name: name.to_owned(), password: password.to_owned() });
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut response = Response::default();
        for (name, value) in parameters(rest)? {
            let field = match name.as_str() {
                "username" => &mut response.username,
                "realm" => &mut response.realm,
                "nonce" => &mut response.nonce,
                "uri" => &mut response.uri,
                "response" => &mut response.response,
                "algorithm" => &mut response.algorithm,
                "cnonce" => &mut response.cnonce,
                "nc" => &mut response.nc,
                "qop" => &mut response.qop,
                _ => continue,
            };
            // Said twice, it could be read in two ways.
            if !field.is_empty() {
                return None;
            }
            *field = value;
        }
        Some(Self::Digest(Box::new(response)))
    }

    /// Who signs in.
    pub fn name(&self) -> &str {
        match self {
            Self::Basic { name, .. } => name,
            Self::Digest(response) => &response.username,
        }
    }
}

/// `name=value, name="value"`, names in lower case.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let (mut rest, mut found) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, after) = after.split_once(',').unwrap_or((after, ""));
            (value.trim().to_owned(), after)
        };
        found.push((name.trim().to_ascii_lowercase(), value));
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Some(found)
}

/// The text up to the closing quotation mark, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, text.get(at + 1..)?)),
            _ => value.push(letter),
        }
    }
    None
}

/// RFC 4648, section 4, with or without its padding.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0x00ff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    // Six bits more than whole bytes are no whole letter.
    (bits < 6).then_some(bytes)
}

/// What became of an answer to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is theirs.
    Right,
    /// It would be, but for its nonce's age: challenge anew.
    Stale,
    /// It is not.
    Wrong,
}

/// Makes challenges and judges what answers them.
pub struct Challenger {
    key: [u8; 32],
    entropy: Entropy,
    /// The highest count seen of each nonce that was used, and until when it is good.
    used: HashMap<String, (u32, Timestamp)>,
}

impl Challenger {
    /// One whose nonces all instances with this key understand.
    pub fn new(vault: &Vault) -> Self {
        Self {
            key: vault.key_for("phone nonces"),
            entropy: vault.entropy().clone(),
            used: HashMap::new(),
        }
    }

    /// The values of `WWW-Authenticate` for a phone that calls itself `agent`.
    pub fn challenge(
        &self,
        agent: &str,
        stale: bool,
        now: Timestamp,
    ) -> std::io::Result<Vec<String>> {
        let agent = agent.to_lowercase();
        if BASIC_ONLY.iter().any(|name| agent.contains(name)) {
            return Ok(vec![format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"")]);
        }
        let nonce = self.nonce(now)?;
        let stale = if stale { ", stale=true" } else { "" };
        let digest = |algorithm: &str| {
            format!(
                "Digest realm=\"{REALM}\", qop=\"auth\", algorithm={algorithm}, nonce=\"{nonce}\"{stale}"
            )
        };
        Ok(["SHA-256", "MD5"].map(digest).to_vec())
    }

    fn nonce(&self, now: Timestamp) -> std::io::Result<String> {
        let random = secrets::hex(&self.entropy.bytes::<8>()?);
        let made = format!("{:x}-{random}", now.0);
        Ok(format!("{made}-{}", self.seal(&made)))
    }

    fn seal(&self, made: &str) -> String {
        let mac = secrets::mac(&self.key, &[made.as_bytes()]);
        secrets::hex(mac.get(..16).unwrap_or(&mac))
    }

    /// Whether a nonce is ours, and when it was made.
    fn made(&self, nonce: &str) -> Option<Timestamp> {
        let (made, seal) = nonce.rsplit_once('-')?;
        let ours = bool::from(self.seal(made).as_bytes().ct_eq(seal.as_bytes()));
        let time = made.split_once('-')?.0;
        let time = i64::from_str_radix(time, 16).ok()?;
        ours.then_some(Timestamp(time))
    }

    /// Whether `credentials` know `password`, for a request with this method and target.
    pub fn judge(
        &mut self,
        credentials: &Credentials,
        password: &str,
        (method, target): (&str, &str),
        now: Timestamp,
    ) -> Verdict {
        let response = match credentials {
            Credentials::Basic { password: said, .. } => {
                let right = bool::from(said.as_bytes().ct_eq(password.as_bytes()));
                return if right { Verdict::Right } else { Verdict::Wrong };
            }
            Credentials::Digest(response) => response,
        };
        let expected = expected(response, password, method);
        let right = expected.is_some_and(|expected| {
            bool::from(expected.as_bytes().ct_eq(response.response.to_ascii_lowercase().as_bytes()))
        });
        if !right || response.realm != REALM || response.uri != target {
            return Verdict::Wrong;
        }
        let Some(made) = self.made(&response.nonce) else { return Verdict::Wrong };
        let count = u32::from_str_radix(&response.nc, 16).unwrap_or(0);
        if !(0..LIFETIME).contains(&now.since(made)) {
            return Verdict::Stale;
        }
        self.count(&response.nonce, count, made.plus(LIFETIME), now)
    }

    /// Whether this count of the nonce is a new one.
    fn count(&mut self, nonce: &str, count: u32, until: Timestamp, now: Timestamp) -> Verdict {
        if count == 0 {
            return Verdict::Wrong;
        }
        if let Some((highest, _)) = self.used.get_mut(nonce) {
            if count <= *highest {
                return Verdict::Stale;
            }
            *highest = count;
            return Verdict::Right;
        }
        if self.used.len() >= MOST {
            self.used.retain(|_, (_, until)| *until > now);
        }
        if self.used.len() >= MOST {
            // Nobody can be told from who was overheard any more: ask anew until some are over.
            return Verdict::Stale;
        }
        self.used.insert(nonce.to_owned(), (count, until));
        Verdict::Right
    }
}

/// What the response must be; none for what we did not offer.
fn expected(response: &Response, password: &str, method: &str) -> Option<String> {
    let hash: fn(&str) -> String = match response.algorithm.to_ascii_uppercase().as_str() {
        "SHA-256" => |text| secrets::hex(&Sha256::digest(text)),
        "MD5" | "" => |text| secrets::hex(&Md5::digest(text)),
        _ => return None,
    };
    if response.qop != "auth" || response.cnonce.is_empty() {
        return None;
    }
    let Response { username, nonce, uri, cnonce, nc, .. } = response;
    let who = hash(&format!("{username}:{REALM}:{password}"));
    let what = hash(&format!("{method}:{uri}"));
    Some(hash(&format!("{who}:{nonce}:{nc}:{cnonce}:auth:{what}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000);
    const ASKED: (&str, &str) = ("GET", "/provision/auth/001565aabbcc.cfg");

    fn challenger() -> Challenger {
        let dir = tempfile::tempdir().unwrap();
        Challenger::new(&Vault::open(&dir.path().join("key"), Entropy::system()).unwrap())
    }

    fn nonce(challenger: &Challenger) -> String {
        let lines = challenger.challenge("Yealink", false, NOW).unwrap();
        assert!(lines[0].contains("algorithm=SHA-256") && lines[1].contains("algorithm=MD5"));
        lines[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    fn answer(nonce: &str, algorithm: &str, password: &str, nc: &str) -> Credentials {
        let mut response = Response {
            username: "001565aabbcc".to_owned(),
            realm: REALM.to_owned(),
            nonce: nonce.to_owned(),
            uri: ASKED.1.to_owned(),
            algorithm: algorithm.to_owned(),
            cnonce: "c".to_owned(),
            nc: nc.to_owned(),
            qop: "auth".to_owned(),
            response: String::new(),
        };
        response.response = expected(&response, password, "GET").unwrap_or_default();
        Credentials::Digest(Box::new(response))
    }

    #[test]
    fn the_example_of_the_rfc_is_what_we_compute() {
        // RFC 7616, section 3.9.1, but for the realm, which is ours; its parsing is tested below.
        let header = "Digest username=\"Mufasa\", realm=\"x\", uri=\"/dir/index.html\", algorithm=MD5, nonce=\"n\", nc=00000001, cnonce=\"c\", qop=auth, response=\"8ca5\", opaque=\"o\"";
        let Some(Credentials::Digest(response)) = Credentials::parse(header) else { panic!() };
        assert_eq!(
            (response.username.as_str(), response.nc.as_str(), response.qop.as_str()),
            ("Mufasa", "00000001", "auth")
        );
        let md5 = |text: &str| secrets::hex(&Md5::digest(text));
        let who = md5(&format!("Mufasa:{REALM}:Circle of Life"));
        let what = md5("GET:/dir/index.html");
        assert_eq!(
            expected(&response, "Circle of Life", "GET").unwrap(),
            md5(&format!("{who}:n:00000001:c:auth:{what}"))
        );
    }

    #[test]
    fn both_algorithms_are_right_once_for_each_count() {
        for algorithm in ["SHA-256", "MD5", ""] {
            let mut ours = challenger();
            let nonce = nonce(&ours);
            let first = answer(&nonce, algorithm, "hunter2", "00000001");
            assert_eq!(ours.judge(&first, "hunter2", ASKED, NOW), Verdict::Right);
            assert_eq!(ours.judge(&first, "hunter2", ASKED, NOW), Verdict::Stale, "replayed");
            let next = answer(&nonce, algorithm, "hunter2", "00000002");
            assert_eq!(ours.judge(&next, "hunter2", ASKED, NOW), Verdict::Right);
            assert_eq!(ours.judge(&first, "hunter2", ASKED, NOW), Verdict::Stale, "replayed");
        }
    }

    #[test]
    fn what_is_not_theirs_is_wrong_and_what_is_old_is_stale() {
        let mut ours = challenger();
        let nonce = nonce(&ours);
        let right = answer(&nonce, "MD5", "hunter2", "00000001");
        assert_eq!(ours.judge(&right, "hunter3", ASKED, NOW), Verdict::Wrong);
        assert_eq!(
            ours.judge(&right, "hunter2", ("GET", "/provision/auth/other"), NOW),
            Verdict::Wrong
        );
        assert_eq!(ours.judge(&right, "hunter2", ("PUT", ASKED.1), NOW), Verdict::Wrong);
        assert_eq!(ours.judge(&right, "hunter2", ASKED, NOW.plus(LIFETIME)), Verdict::Stale);
        assert_eq!(
            ours.judge(&answer(&nonce, "MD5", "hunter2", "00000000"), "hunter2", ASKED, NOW),
            Verdict::Wrong
        );
        assert_eq!(
            ours.judge(&answer(&nonce, "MD5-sess", "hunter2", "1"), "hunter2", ASKED, NOW),
            Verdict::Wrong
        );
        for foreign in ["", "x", "6553f100-0011223344556677-00112233445566778899aabbccddeeff"] {
            let answer = answer(foreign, "MD5", "hunter2", "00000001");
            assert_eq!(ours.judge(&answer, "hunter2", ASKED, NOW), Verdict::Wrong, "{foreign}");
        }
        assert!(ours.used.is_empty());
    }

    #[test]
    fn who_cannot_do_digest_is_asked_for_basic() {
        let ours = challenger();
        let snom = ours.challenge("Mozilla/4.0 (compatible; snomD785-SIP 10)", false, NOW).unwrap();
        assert_eq!(snom, ["Basic realm=\"Patchbay phones\", charset=\"UTF-8\""]);
        assert!(ours.challenge("Fanvil X6U", true, NOW).unwrap()[1].ends_with("stale=true"));
    }

    #[test]
    fn basic_is_read_as_the_rfc_writes_it() {
        let parsed = Credentials::parse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(
            parsed,
            Some(Credentials::Basic {
                name: "Aladdin".to_owned(),
                password: "open sesame".to_owned()
            })
        );
        for bad in [
            "",
            "Basic",
            "Basic ?",
            "Basic QQ",
            "Bearer pb_x",
            "Digest a",
            "Digest a=\"",
            "Digest nonce=a, nonce=b",
        ] {
            assert_eq!(Credentials::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn headers_never_panic(text in "(Basic |Digest )?\\PC*|Digest [a-z]{1,9}=[\"a-z\\\\,= ]{0,40}") {
            let _ = Credentials::parse(&text);
        }
    }
}
