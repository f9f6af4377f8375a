//! The leases Kea has given: seen and ended by its own commands.

use crate::audit::Event;
use crate::auth::Operator;
use crate::net::{Address, Family};
use crate::outbox::{Access, Leased, System};
use crate::outside::Fault;
use crate::outside::http::Resolver;
use crate::outside::kea::Lease;
use crate::web::Error;

/// Leases of a page.
pub(super) const PAGE: u32 = 100;

/// A page of leases behind `after`; `None` when no server of the family is set up.
pub(super) async fn page(
    by: &Operator,
    family: Family,
    after: Option<Address>,
) -> Result<Result<Option<Vec<Lease>>, Fault>, Error> {
    let access = Access::read(by.state(), by.tenant(), System::Dhcp).await?;
    let asked = async {
        let Some(kea) = access.kea(family, &Resolver::system()).await? else { return Ok(None) };
        kea.leases(after, PAGE).await.map(Some)
    };
    Ok(asked.await)
}

/// Ends a lease: what was asked is noted first, so that nothing happens unnoted. Whether there was
/// one.
pub(super) async fn end(by: &Operator, leased: Leased) -> Result<Result<bool, Fault>, Error> {
    let access = Access::read(by.state(), by.tenant(), System::Dhcp).await?;
    let kea = match access.kea(leased.family(), &Resolver::system()).await {
        Ok(Some(kea)) => kea,
        Ok(None) => return Ok(Err(Fault::Never("no Kea server for it is set up".into()))),
        Err(fault) => return Ok(Err(fault)),
    };
    let mut change = by.change().await?;
    change.record(Event::new("lease.ended", &leased, &leased));
    change.commit().await?;
    Ok(kea.end_lease(leased).await)
}
