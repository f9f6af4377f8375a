//! By a token or a password.

use super::super::cache::Owner;
use super::super::digest::{Credentials, Verdict};
use super::super::epoch::Epoch;
use super::super::types::Outcome;
use super::super::{Provisioner, lock, queries};
use super::{Call, Guest, Shut, refused};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones;

impl Provisioner {
    /// The phone whose token it is, if the file is not another phone's.
    pub(super) async fn by_token(
        &self,
        call: &Call<'_>,
        hash: &str,
        epoch: Option<Epoch>,
    ) -> Result<Guest, Shut> {
        let known = self.cache.owner(hash);
        let guest = match (known, epoch) {
            (Some(owner), Some(epoch)) if owner.epoch == epoch => owner,
            // Whose it was when the database could last be asked.
            (Some(owner), None) => owner,
            (None, None) => return Err(self.turned_away(call).unwrap_or(Shut::Unavailable)),
            (_, Some(epoch)) => {
                // Also for those who guessed too often: who knows a token guessed nothing, and may
                // stand behind the same router.
                let found = queries::phone_of_token(&mut self.state.db.apart(), hash).await?;
                let Some(phone) = found else {
                    self.cache.forget(hash);
                    let wait = self.turned_away(call);
                    return wait
                        .map_or_else(|| refused(Outcome::Refused, None, "no such token"), Err);
                };
                let owner =
                    Owner { tenant: phone.tenant, mac: phone.mac, vendor: phone.vendor, epoch };
                self.cache.know(hash.to_owned(), owner);
                owner
            }
        };
        if call.names_other(guest.mac) {
            let why = format!("the token is {}'s", guest.mac);
            return refused(Outcome::Refused, Some(guest.tenant), &why);
        }
        Ok(Guest { tenant: guest.tenant, mac: guest.mac, vendor: guest.vendor })
    }

    /// The phone whose password the request knows. `asked` is whether the phone came to sign in.
    pub(super) async fn by_password(&self, call: &Call<'_>, asked: bool) -> Result<Guest, Shut> {
        if let Some(wait) = self.turned_away(call) {
            return Err(wait);
        }
        let credentials = call.credentials();
        let Some(credentials) = credentials else {
            return Err(Shut::Challenge { stale: false, tried: false });
        };
        let named: Option<Mac> = credentials.name().parse().ok();
        let mut tx = self.state.read().await?;
        let phone = queries::phone(&mut tx, named).await?;
        // For somebody unknown it is looked up as well.
        let tenant = phone.map_or(TenantId::DEFAULT, |phone| phone.tenant);
        let password = match named {
            Some(mac) => phones::secrets(&mut tx, &self.state.vault, tenant, mac).await?,
            None => None,
        };
        drop(tx);
        // And judged, by a password nobody has.
        let unknown = password.is_none() || phone.is_none_or(|phone| call.names_other(phone.mac));
        let password = password.map_or_else(|| "-".repeat(24), |keys| keys.http_password);
        let verdict = self.judge(call, &credentials, &password);
        match (verdict, phone) {
            (Verdict::Right, Some(phone)) if !unknown => Ok(phone.into()),
            (Verdict::Stale, Some(_)) if !unknown && asked => {
                Err(Shut::Challenge { stale: true, tried: false })
            }
            _ if asked => Err(Shut::Challenge { stale: false, tried: true }),
            _ => refused(Outcome::Refused, phone.map(|phone| phone.tenant), "wrong password"),
        }
    }

    fn judge(&self, call: &Call<'_>, credentials: &Credentials, password: &str) -> Verdict {
        let mut challenger = lock(&self.challenger);
        challenger.judge(credentials, password, (call.method, call.target), call.at)
    }

    /// Whether whoever asks guessed too often.
    pub(super) fn turned_away(&self, call: &Call<'_>) -> Option<Shut> {
        let wait = lock(&self.throttle).check(call.address, call.at)?;
        Some(Shut::Wait(wait.seconds, wait.first))
    }
}
