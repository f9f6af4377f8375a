//! Secrets at rest, and the randomness they are made of.
//!
//! One key file (32 random bytes, hexadecimal) protects everything: sealed columns use it
//! directly, other uses get a key of their own by HMAC over a label. What is sealed for one row
//! cannot be opened as another's, because the row's name is authenticated with it.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

const NONCE: usize = 24;
/// The first byte of everything sealed: which key, so that keys can be changed one day.
const KEY_ID: u8 = 1;

/// Where randomness comes from: fills a buffer with bytes nobody can guess.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync;

impl Entropy {
    /// The operating system's generator.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
        Self(Arc::new(|buffer| {
            getrandom::fill(buffer).map_err(|error| io::Error::other(error.to_string()))
        }))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut buffer = [0; N];
        (self.0)(&mut buffer)?;
        Ok(buffer)
    }

    /// `length` characters drawn evenly from `[A-Za-z0-9]` (5.95 bits each).
    pub fn text(&self, length: usize) -> io::Result<String> {
        const ALPHABET: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // Bytes from 248 on are thrown away: 248 = 4 * 62, so each character is as likely.
            let drawn = self.bytes::<32>()?.into_iter().filter(|byte| *byte < 248);
            let letters = drawn.filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len()));
            text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
        }
        Ok(text)
    }

    /// A new identifier: UUID version 7 (RFC 9562), ordered by `at`.
    pub fn id(&self, at: crate::time::Timestamp) -> io::Result<uuid::Uuid> {
        let millis = u64::try_from(at.0).unwrap_or(0).saturating_mul(1000);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

/// The key everything secret is sealed with.
#[derive(Clone)]
pub struct Vault {
    key: [u8; 32],
    entropy: Entropy,
}

/// Why something sealed could not be opened, or the key not be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The bytes were not sealed by this key for this row.
    #[error(
        "a stored secret cannot be opened: it belongs to another row, or the key file is not the one it was sealed with"
    )]
    Sealed,
    /// The key file does not hold 64 hexadecimal digits.
    #[error("the secret key file must hold 64 hexadecimal digits (32 bytes)")]
    BadKey,
    /// The key file or the randomness could not be read.
    #[error("the secret key or randomness cannot be read")]
    Io(#[from] io::Error),
}

impl Vault {
    /// Reads the key from `path`; makes the file (mode 0600) when there is none.
    pub fn open(path: &Path, entropy: Entropy) -> Result<Self, VaultError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { key: parse_key(text.trim())?, entropy }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, entropy),
            Err(error) => Err(error.into()),
        }
    }

    fn create(path: &Path, entropy: Entropy) -> Result<Self, VaultError> {
        let key = entropy.bytes::<32>()?;
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", hex(&key))?;
        file.sync_all()?;
        if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
            std::fs::File::open(directory)?.sync_all()?;
        }
        Ok(Self { key, entropy })
    }

    /// Seals `plain` for the row named by `place` (e.g. `extension/<tenant>/1000`).
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce = self.entropy.bytes::<NONCE>()?;
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed =
            self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Sealed)?;
        Ok([&[KEY_ID][..], &nonce, &sealed].concat())
    }

    /// Opens what [`Vault::seal`] sealed for the same place.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let Some((KEY_ID, rest)) = sealed.split_first().map(|(id, rest)| (*id, rest)) else {
            return Err(VaultError::Sealed);
        };
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(VaultError::Sealed)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Sealed)
    }

    /// A key for one purpose only, derived from the file's key.
    pub fn key_for(&self, purpose: &str) -> [u8; 32] {
        mac(&self.key, &[purpose.as_bytes()])
    }

    /// The randomness this vault draws from.
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// HMAC-SHA-256 (RFC 2104) over the parts, each preceded by its length so that no two lists agree.
pub fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a short key up with zeros to its block of 64 bytes.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&block.into());
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256 of `bytes`, in lower-case hexadecimal: what is stored of sessions, links and tokens.
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that [`hex`] wrote.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair.first()? * 16 + pair.last()?).ok()).collect()
}

fn parse_key(text: &str) -> Result<[u8; 32], VaultError> {
    unhex(text).and_then(|bytes| bytes.try_into().ok()).ok_or(VaultError::BadKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        let dir = tempfile::tempdir().unwrap();
        Vault::open(&dir.path().join("secret.key"), Entropy::system()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_only_at_its_own_place() {
        let vault = vault();
        let sealed = vault.seal("extension/t/1000", b"hunter2").unwrap();
        assert_eq!(vault.unseal("extension/t/1000", &sealed).unwrap(), b"hunter2");
        assert!(vault.unseal("extension/t/1001", &sealed).is_err());
        assert!(vault.unseal("extension/t/1000", &sealed[..20]).is_err());
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn the_key_file_is_made_once_and_kept_to_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        let sealed = Vault::open(&path, Entropy::system()).unwrap().seal("x", b"y").unwrap();
        assert_eq!(
            Vault::open(&path, Entropy::system()).unwrap().unseal("x", &sealed).unwrap(),
            b"y"
        );
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        for bad in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            std::fs::write(&path, bad).unwrap();
            assert!(
                matches!(Vault::open(&path, Entropy::system()), Err(VaultError::BadKey)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn random_text_is_of_the_asked_length_and_alphabet() {
        for length in [0, 1, 20, 64] {
            let text = Entropy::system().text(length).unwrap();
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
