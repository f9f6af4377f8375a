//! Hashing passwords: Argon2id (RFC 9106) with 19 MiB and 2 passes, off the async threads, and at
//! most two at a time so that many sign-ins cannot eat the machine's memory.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::types::NewPassword;
use crate::secrets::Entropy;
use crate::web::Error;

static PERMITS: Semaphore = Semaphore::const_new(2);

/// A hash no password has: verified for names nobody has, so that they take as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9i$9ZpQVcKoCnfxzqSnGeX0zRw0kN3cGkCUVb2cKsVVqQQ";

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The PHC string to store.
pub(super) async fn hash(password: NewPassword, entropy: &Entropy) -> Result<String, Error> {
    let salt = entropy.bytes::<16>()?;
    blocking(move || {
        let hash = argon2().hash_password_with_salt(password.expose().as_bytes(), &salt);
        hash.map(|hash| hash.to_string())
            .map_err(|error| Error::Io(std::io::Error::other(error.to_string())))
    })
    .await?
}

/// Whether `password` is the one `stored` was made of. `None` (nobody of that name, or no
/// password chosen) is never true and takes as long.
pub(super) async fn verify(password: String, stored: Option<String>) -> Result<bool, Error> {
    let known = stored.is_some();
    let stored = stored.unwrap_or_else(|| NOBODY.to_owned());
    let matches = blocking(move || {
        // Longer than any password can be: do not hash megabytes.
        let password = if password.len() <= 256 { password.as_bytes() } else { b"" };
        let hash = argon2::password_hash::phc::PasswordHash::new(&stored);
        hash.is_ok_and(|hash| argon2().verify_password(password, &hash).is_ok())
    })
    .await?;
    Ok(matches && known)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let gone = || Error::Io(std::io::Error::other("the worker for passwords is gone"));
    let _permit = PERMITS.acquire().await.map_err(|_| gone())?;
    tokio::task::spawn_blocking(work).await.map_err(|_| gone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let name = "ann".parse().unwrap();
        let password = NewPassword::parse("correct horse battery", &name).unwrap();
        let stored = hash(password, &Entropy::system()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery".into(), Some(stored.clone())).await.unwrap());
        assert!(!verify("correct horse batter".into(), Some(stored)).await.unwrap());
        assert!(!verify("anything at all".into(), None).await.unwrap());
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODY).is_ok());
    }
}
