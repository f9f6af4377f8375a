//! Who and what somebody means who types a number, a name or a subnet.

use crate::db::{Result, Tx};
use crate::id::{SubnetId, TenantId, UserId};
use crate::ipam::addresses::places;
use crate::numbering::ExtensionNumber;
use crate::users;

/// Names a sentence lists at most.
const SHOWN: i64 = 5;

/// The one user meant by a number, an id or part of a name; or a sentence that says why there is
/// not one.
pub(super) async fn user(
    tx: &mut Tx,
    tenant: TenantId,
    text: &str,
) -> Result<std::result::Result<UserId, String>> {
    // A number is somebody's or nobody's: names need not be looked through.
    if let Ok(number) = text.parse::<ExtensionNumber>()
        && let Some(user) = users::by_number(tx, tenant, number).await?
    {
        return Ok(Ok(user));
    }
    let found = places::people(tx, tenant, text, SHOWN).await?;
    Ok(match found.as_slice() {
        [] => Err(format!("no user has the number or name {text}")),
        [person] => Ok(person.id),
        several => {
            let several: Vec<String> =
                several.iter().map(|person| format!("{} {}", person.number, person.name)).collect();
            Err(format!(
                "several have this in their name: {}; enter the number",
                several.join(", ")
            ))
        }
    })
}

/// The one subnet meant by its addresses or its name; or a sentence that says why there is not
/// one.
pub(super) async fn subnet(
    tx: &mut Tx,
    tenant: TenantId,
    text: &str,
) -> Result<std::result::Result<SubnetId, String>> {
    if let Ok(id) = text.parse::<SubnetId>() {
        let found = places::named(tx, tenant, &[id]).await?;
        return Ok(found.first().map(|place| place.id).ok_or("there is no such subnet".to_owned()));
    }
    let found = places::meant(tx, tenant, text, SHOWN).await?;
    Ok(match found.as_slice() {
        [] => Err(format!("no subnet is called {text}; enter its name or its addresses")),
        [place] => Ok(place.id),
        several => {
            let several: Vec<String> =
                several.iter().map(|place| format!("{} ({})", place.name, place.cidr)).collect();
            Err(format!("several are called so: {}; enter the addresses", several.join(", ")))
        }
    })
}
