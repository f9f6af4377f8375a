//! Who a subscriber is.

use super::{Outcome, Refusal, queries};
use crate::db::{Db, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{self, Holder, HolderKind, Hostname, Tenure};
use crate::models::Model;
use crate::net::Mac;
use crate::text::Line;

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
            let phone = queries::phone(tx, tenant, mac).await?;
            match phone {
                Some(phone) if !phone.title.is_empty() => known.name = phone.title,
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

/// A holder as Patchbay knows them, with what is known of their machine: of a phone which it is and
/// what it is called, unless whoever asks says otherwise.
pub(super) async fn tenure(tx: &mut Tx, tenant: TenantId, said: &Tenure) -> Outcome<Tenure> {
    let holder = known(tx, tenant, &said.holder).await?;
    let said = Tenure { holder, ..said.clone() };
    let (HolderKind::Phone, Ok(mac)) = (said.holder.kind, said.holder.id.parse()) else {
        return Ok(said);
    };
    let Some(phone) = queries::phone(tx, tenant, mac).await? else { return Ok(said) };
    let vendor = phone.vendor.parse().map_err(queries::damaged)?;
    let model = Model::find(vendor, &phone.model).map_err(queries::damaged)?;
    let own = of_phone(said.holder.clone(), &phone.label, model, mac);
    let hostname = if said.hostname.is_empty() { own.hostname } else { said.hostname };
    Ok(Tenure { hostname, mac: said.mac.or(own.mac), ..own })
}

/// What addresses say of a phone. Its host name is its label if that can be one, else its model and
/// MAC, as in `t46s-001565aabbcc`.
pub fn of_phone(holder: Holder, label: &str, model: &Model, mac: Mac) -> Tenure {
    let line = |text: &str| text.parse::<Line<100>>().unwrap_or_default();
    let label = label.parse::<Hostname>().ok().filter(|name| !name.is_empty());
    let made = || format!("{}-{}", model.name, mac.hex()).parse().unwrap_or_default();
    Tenure {
        holder,
        hostname: label.unwrap_or_else(made),
        mac: Some(mac),
        platform: line(model.title),
        manufacturer: line(model.vendor.title()),
    }
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
