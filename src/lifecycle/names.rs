//! Who a subscriber is.

use super::{Outcome, Refusal, queries};
use crate::db::{Db, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{self, Holder, HolderKind};
use crate::net::Mac;

/// A holder as Patchbay knows them: users and hosts by their names, phones by their labels or who
/// has their first line. Someone external, and a phone nobody added, is called as whoever asks says,
/// or by their id.
pub async fn known(tx: &mut Tx, tenant: TenantId, holder: &Holder) -> Outcome<Holder> {
    let refuse = |why: String| Refusal::Field { field: "subscriber_id", why };
    let mut known = holder.clone();
    match holder.kind {
        HolderKind::User => {
            let name = addresses::user_named(tx, tenant, &holder.id).await?;
            known.name = name.ok_or_else(|| refuse("there is no user with this id".to_owned()))?;
        }
        HolderKind::Host => {
            let name = queries::host_name(tx, tenant, &holder.id).await?;
            known.name = name.ok_or_else(|| refuse("there is no host with this id".to_owned()))?;
        }
        HolderKind::Phone => {
            let mac: Mac = holder.id.parse().map_err(|_| {
                refuse("a phone is known by its MAC, such as 00:15:65:aa:bb:cc".to_owned())
            })?;
            known.id = mac.hex();
            let title = queries::phone_title(tx, tenant, mac).await?;
            match title {
                Some(title) if !title.is_empty() => known.name = title,
                Some(_) => known.name = mac.to_string(),
                None if known.name.is_empty() => known.name = mac.to_string(),
                None => {}
            }
        }
        HolderKind::External => {
            if known.name.is_empty() {
                known.name.clone_from(&known.id);
            }
        }
        HolderKind::Bmc => {
            let why = "a management controller has its host's addresses; use user, phone, host or external";
            return Err(Refusal::Field { field: "subscriber_kind", why: why.to_owned() });
        }
    }
    Ok(known)
}

/// What sort of subscriber has an id nobody said more of: a user or a host of this id, or someone
/// external.
pub(super) async fn kind_of(db: &Db, tenant: TenantId, id: &str) -> Outcome<HolderKind> {
    Ok(match queries::is_user_or_host(db, tenant, id).await? {
        (true, _) => HolderKind::User,
        (false, true) => HolderKind::Host,
        (false, false) => HolderKind::External,
    })
}
