//! Where Asterisk's manager interface is, and how to sign in there.

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
    /// Its secret, if one is known.
    pub secret: Option<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Access {
    /// As the settings say; the secret that `patchbay asterisk install` made fills in for one that
    /// is not set.
    pub fn new(settings: &config::Asterisk, made_secret: Option<String>) -> Self {
        Self {
            address: settings.ami.clone(),
            user: settings.ami_user.clone(),
            secret: settings.ami_secret.clone().or(made_secret),
            timeouts: Timeouts::default(),
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
        let secret = self.secret.as_deref().ok_or(Unusable::NoSecret)?;
        let mut addresses =
            tokio::net::lookup_host(&self.address).await.map_err(|_| Unusable::NoHost)?;
        let address = addresses.next().ok_or(Unusable::NoHost)?;
        let mut ami = Ami::connect(address, self.timeouts).await?;
        ami.follow(kinds);
        ami.login(&self.user, secret).await?;
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
