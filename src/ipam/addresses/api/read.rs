//! Reading addresses.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::{
    AddressEvent, AddressHistory, AddressList, ApiAddress, ApiEntry, ApiGap, ApiPlace, Errors,
    claims, current, named, word, yes,
};
use crate::api::{self, Answer, Problem};
use crate::audit;
use crate::auth::Operator;
use crate::id::SubnetId;
use crate::ipam::addresses::{Entry, Filter, Known, Sort, list_known, places};
use crate::ipam::class::{Kind, Status};
use crate::text::ByName;
use crate::web::list as pages;

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Part of an address, a CIDR, a MAC in any notation or part of one, part of a host name, a
    /// holder's name or a description. A word of one or two letters: the beginning of a host name.
    #[param(required = false)]
    q: String,
    /// Only those inside this subnet: its id.
    #[param(required = false)]
    subnet: String,
    /// `available`, `allocated`, `reserved` or `quarantine`.
    #[param(required = false)]
    status: String,
    /// `static` or `dhcp`.
    #[param(required = false)]
    #[serde(rename = "type")]
    kind: String,
    /// `true` for those seen of late, `false` for the others.
    #[param(required = false)]
    active: String,
    /// `true` for those two claim, `false` for the others.
    #[param(required = false)]
    conflict: String,
    /// `true` for those reserved by the token's owner.
    #[param(required = false)]
    mine: String,
    /// `true` for those in no subnet.
    #[param(required = false)]
    orphans: String,
    /// `each` for every free address on its own; without it free ones in a row are one entry.
    #[param(required = false)]
    free: String,
    /// `address`, `hostname` or `mac`; the last two also with `-` before it, the other way round.
    #[param(required = false)]
    sort: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 entries a page.
    #[param(required = false)]
    size: String,
}

impl ListParams {
    fn filter(&self, by: &Operator) -> Result<(Filter, Sort), Problem> {
        let mut errors = Errors::new();
        let refuse = |name: &str, why: &str, errors: &mut Errors| {
            errors.insert(name.to_owned(), why.to_owned());
        };
        let filter = Filter {
            subnet: word::<SubnetId>("subnet", &self.subnet, &mut errors),
            status: word::<Status>("status", &self.status, &mut errors),
            kind: word::<Kind>("type", &self.kind, &mut errors),
            active: yes("active", &self.active, &mut errors),
            conflict: yes("conflict", &self.conflict, &mut errors),
            reserved_by: (yes("mine", &self.mine, &mut errors) == Some(true))
                .then(|| by.name().to_string()),
            orphaned: yes("orphans", &self.orphans, &mut errors) == Some(true),
            search: self.q.trim().to_owned(),
            expanded: self.free == "each",
        };
        if !matches!(self.free.as_str(), "" | "each") {
            refuse("free", "use each, or leave it out", &mut errors);
        }
        let sort = Sort::asked(&self.sort);
        if sort.is_none() {
            refuse("sort", "there is no such order", &mut errors);
        }
        match sort {
            Some(sort) if errors.is_empty() => Ok((filter, sort)),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// List addresses
///
/// Free addresses of pools are there too: those in a row as one entry of the kind `free`.
#[utoipa::path(get, path = "/api/v1/addresses", operation_id = "listAddresses", tag = "Addresses", params(ListParams),
    responses((status = 200, body = AddressList), (status = 422, body = Problem)))]
pub(super) async fn list_addresses(by: Operator, params: web::Query<ListParams>) -> Answer {
    let (filter, sort) = params.filter(&by)?;
    let at = pages::stretch(&params.page, pages::size(&params.size));
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let listing = list_known(&mut tx, Known::of(by.state()), tenant, &filter, sort, at).await?;
    let ids: Vec<SubnetId> = listing.entries.iter().filter_map(Entry::subnet).collect();
    let places = places::named(&mut tx, tenant, &ids).await?;
    let mut entries = Vec::with_capacity(listing.entries.len());
    for entry in &listing.entries {
        let place = entry.subnet().and_then(|id| places.iter().find(|place| place.id == id));
        let place = place.map(ApiPlace::from);
        entries.push(match entry {
            Entry::Gap(gap) => ApiEntry::Free(ApiGap::of(gap, place)),
            Entry::Row(record) => {
                let claims = claims(&mut tx, tenant, record).await?;
                ApiEntry::Address(ApiAddress::row(record, place, &claims))
            }
        });
    }
    let list = AddressList {
        entries,
        total: listing.total,
        more: listing.more,
        page: at.offset / at.limit + 1,
        size: at.limit,
        stats: (&listing.stats).into(),
    };
    api::json(StatusCode::OK, &list)
}

/// Get an address
///
/// A free one is `available`, with version 0. The `ETag` is what `If-Match` takes when changing it.
#[utoipa::path(get, path = "/api/v1/addresses/{address}", operation_id = "getAddress", tag = "Addresses",
    params(("address" = String, Path, description = "The address")),
    responses((status = 200, body = ApiAddress), (status = 404, body = Problem)))]
pub(super) async fn get_address(by: Operator, address: web::Path<String>) -> Answer {
    let found = current(&mut by.read().await?, by.tenant(), named(&address)?).await?;
    api::tagged(StatusCode::OK, found.version, &found)
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryParams {
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 events a page.
    #[param(required = false)]
    size: String,
}

/// What happened to an address
///
/// The newest first; kept when the subnet goes.
#[utoipa::path(get, path = "/api/v1/addresses/{address}/history", operation_id = "getAddressHistory", tag = "Addresses",
    params(("address" = String, Path, description = "The address"), HistoryParams),
    responses((status = 200, body = AddressHistory), (status = 404, body = Problem)))]
pub(super) async fn get_address_history(
    by: Operator,
    address: web::Path<String>,
    params: web::Query<HistoryParams>,
) -> Answer {
    let address = named(&address)?;
    let at = pages::stretch(&params.page, pages::size(&params.size));
    let mut tx = by.read().await?;
    let events = audit::of(&mut tx, by.tenant(), &address.to_string(), at).await?;
    let events: Vec<AddressEvent> = events.iter().map(Into::into).collect();
    let history = AddressHistory { events, page: at.offset / at.limit + 1, size: at.limit };
    api::json(StatusCode::OK, &history)
}
