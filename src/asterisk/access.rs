//! Where Asterisk's manager interface is, and how to sign in there.

use std::io;
use std::path::PathBuf;

use super::ami::{Ami, AmiError, Timeouts, Version};
use crate::config;

/// The oldest Asterisk that is told anything.
const OLDEST: Version = (22, 0, 0);

/// How to reach Asterisk.
#[derive(Clone, Debug)]
pub struct Access {
    /// `host:port`.
    pub address: String,
    /// The manager user.
    pub user: String,
    secret: Secret,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// Where the manager user's secret is.
#[derive(Clone)]
enum Secret {
    /// In the settings.
    Set(String),
    /// In the file that `patchbay asterisk install` makes. Read anew each time: the server may well
    /// have been started before.
    Made(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set(_) => f.write_str("Set"),
            Self::Made(path) => f.debug_tuple("Made").field(path).finish(),
        }
    }
}

impl Access {
    /// As the settings say; the secret in the file `made` fills in for one that is not set.
    pub fn new(settings: &config::Asterisk, made: PathBuf) -> Self {
        Self {
            address: settings.ami.clone(),
            user: settings.ami_user.clone(),
            secret: settings.ami_secret.clone().map_or(Secret::Made(made), Secret::Set),
            timeouts: Timeouts::default(),
        }
    }

    /// The manager user's secret as it is known now.
    pub fn secret(&self) -> Result<String, Unusable> {
        let path = match &self.secret {
            Secret::Set(secret) => return Ok(secret.clone()),
            Secret::Made(path) => path,
        };
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(Unusable::NoSecret),
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unusable::NoSecret),
            Err(source) => Err(Unusable::Unreadable { path: path.clone(), source }),
        }
    }

    /// Connects, signs in and asks for the version, which is new enough.
    pub async fn connect(&self) -> Result<(Ami, Version), Unusable> {
        self.following(&[]).await
    }

    /// As [`Access::connect`], keeping events of these kinds from the very first on.
    pub async fn following(
        &self,
        kinds: &'static [&'static str],
    ) -> Result<(Ami, Version), Unusable> {
        let secret = self.secret()?;
        let mut addresses =
            tokio::net::lookup_host(&self.address).await.map_err(|_| Unusable::NoHost)?;
        let address = addresses.next().ok_or(Unusable::NoHost)?;
        let mut ami = Ami::connect(address, self.timeouts).await?;
        ami.follow(kinds);
        ami.login(&self.user, &secret).await?;
        let version = ami.version().await?;
        if version < OLDEST {
            return Err(Unusable::TooOld(version.0, version.1));
        }
        Ok((ami, version))
    }
}

/// Why Asterisk is not told anything.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// No secret is set.
    #[error(
        "no manager secret is known: run patchbay asterisk install, or set asterisk.ami_secret"
    )]
    NoSecret,
    /// There is one, which Patchbay may not read.
    #[error(
        "the manager secret in {path} cannot be read: {source}; give the file to the user Patchbay runs as"
    )]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address has no host that can be found.
    #[error("the host of asterisk.ami cannot be found")]
    NoHost,
    /// Too old.
    #[error("this is Asterisk {0}.{1}; Patchbay needs 22.0 or newer")]
    TooOld(u32, u32),
    /// It does not answer, or not as it should.
    #[error(transparent)]
    Ami(#[from] AmiError),
}
