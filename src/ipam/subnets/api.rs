//! Subnets over REST: the same rules as the pages, because both call the same functions.

mod types;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Effects, Filter, Listed, Map, Refusal, Subnet};
use crate::api::{self, Answer, Json, Problem};
use crate::audit::Change;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::SubnetId;
use crate::ipam::space::Space;
use crate::net::{Cidr, Family};
use crate::web::list;
use types::{
    ApiPool, ApiSubnet, DeletedSubnet, FreeBlocks, NewApiSubnet, ReshapedSubnets, SubnetList,
    SubnetMap, SubnetMapAddress, SubnetMapBlock, SubnetMerge, SubnetPatch, SubnetPools,
    SubnetSplit,
};

/// Every call about subnets.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    vec![
        Route::get("/api/v1/subnets", read, list_subnets),
        Route::post("/api/v1/subnets", manage, create_subnet),
        Route::get("/api/v1/subnets/free", read, find_free_subnets),
        Route::post("/api/v1/subnets/merge", manage, merge_subnets),
        Route::get("/api/v1/subnets/{id}", read, get_subnet),
        Route::new(Method::PUT, "/api/v1/subnets/{id}", manage, replace_subnet),
        Route::new(Method::PATCH, "/api/v1/subnets/{id}", manage, update_subnet),
        Route::new(Method::DELETE, "/api/v1/subnets/{id}", manage, delete_subnet),
        Route::post("/api/v1/subnets/{id}/split", manage, split_subnet),
        Route::get("/api/v1/subnets/{id}/pools", read, list_subnet_pools),
        Route::get("/api/v1/subnets/{id}/map", read, get_subnet_map),
    ]
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing => return Self::not_found("subnet"),
            Refusal::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::Field { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NameTaken(_)
            | Refusal::Exists { .. }
            | Refusal::Overlaps { .. }
            | Refusal::Harm(_) => StatusCode::CONFLICT,
        };
        let mut problem = Self::new(status, refusal.to_string());
        if let Refusal::Harm(Effects { orphaned, stranded, forbidden, .. }) = &refusal {
            let lists = [("orphaned", orphaned), ("stranded", stranded), ("forbidden", forbidden)];
            for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
                problem = problem.field(name, &list.join(", "));
            }
        }
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

/// A parameter that is not what it should be.
fn bad(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::invalid([(name.to_owned(), why.to_string())].into())
}

/// A parameter that may be left out.
fn parameter<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<Option<T>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| bad(name, error))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of a name or a site, a VLAN, an address, part of one, a CIDR or a range.
    #[param(required = false)]
    q: String,
    /// Only those of this site, whatever its case.
    #[param(required = false)]
    site: String,
    /// Only those of this VLAN.
    #[param(required = false)]
    vlan: String,
    /// `4` or `6`.
    #[param(required = false)]
    family: String,
    /// Only those directly inside this one: its id.
    #[param(required = false)]
    parent: String,
    /// Only those that hold this address, the largest first.
    #[param(required = false)]
    contains: String,
    /// The page, from 1.
    #[param(required = false)]
    page: String,
    /// 25, 50, 100 or 200 subnets a page.
    #[param(required = false)]
    size: String,
}

impl ListParams {
    fn filter(&self) -> Result<Filter, Problem> {
        let family = match self.family.as_str() {
            "" => None,
            "4" | "IPv4" => Some(Family::V4),
            "6" | "IPv6" => Some(Family::V6),
            _ => return Err(bad("family", "use 4 or 6")),
        };
        Ok(Filter {
            search: self.q.trim().to_owned(),
            site: self.site.clone(),
            vlan: parameter("vlan", &self.vlan)?,
            family,
            parent: parameter("parent", &self.parent)?,
            contains: parameter("contains", &self.contains)?,
            closed: Vec::new(),
        })
    }
}

async fn out(tx: &mut Tx, line: &Listed) -> Result<ApiSubnet, Problem> {
    let pools = super::pools(tx, line.subnet.id).await?;
    Ok(ApiSubnet::new(&line.subnet, super::spec(&line.subnet, &pools), &line.usage))
}

/// Subnets as they are now, in whatever transaction.
async fn shown(
    tx: &mut Tx,
    by: &Operator,
    subnets: Vec<Subnet>,
) -> Result<Vec<ApiSubnet>, Problem> {
    let mut all = Vec::new();
    for line in super::lines(tx, by.tenant(), subnets, &[]).await? {
        all.push(out(tx, &line).await?);
    }
    Ok(all)
}

async fn one(tx: &mut Tx, by: &Operator, id: SubnetId) -> Result<Subnet, Problem> {
    super::get(tx, by.tenant(), id).await?.ok_or_else(|| Problem::not_found("subnet"))
}

async fn answer(by: &Operator, status: StatusCode, id: SubnetId) -> Answer {
    let mut tx = by.read().await?;
    let subnet = one(&mut tx, by, id).await?;
    let version = subnet.version;
    let shown = shown(&mut tx, by, vec![subnet]).await?;
    let subnet = shown.first().ok_or_else(|| Problem::not_found("subnet"))?;
    api::tagged(status, version, subnet)
}

/// List subnets
#[utoipa::path(get, path = "/api/v1/subnets", operation_id = "listSubnets", tag = "Subnets", params(ListParams),
    responses((status = 200, body = SubnetList), (status = 422, body = Problem)))]
async fn list_subnets(by: Operator, params: web::Query<ListParams>) -> Answer {
    let filter = params.filter()?;
    let at = list::stretch(&params.page, list::size(&params.size));
    let mut tx = by.read().await?;
    let (lines, total) = super::list(&mut tx, by.tenant(), &filter, at).await?;
    let mut subnets = Vec::new();
    for line in &lines {
        subnets.push(out(&mut tx, line).await?);
    }
    let (page, size) = (at.offset / at.limit + 1, at.limit);
    api::json(StatusCode::OK, &SubnetList { subnets, total, page, size })
}

/// What goes beyond the body.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HowParams {
    /// It is meant to lie inside or around others.
    #[param(required = false)]
    nest: bool,
    /// Do it although addresses in use lose by it.
    #[param(required = false)]
    force: bool,
    /// Only say what it would do.
    #[param(required = false)]
    dry_run: bool,
}

/// What would come of a change that is only asked about.
async fn would(change: &mut Change, by: &Operator, subnet: Subnet, effects: Effects) -> Answer {
    let subnets = shown(change.tx(), by, vec![subnet]).await?;
    let effects = effects.into();
    api::json(StatusCode::OK, &ReshapedSubnets { subnets, effects, dry_run: true })
}

/// Add a subnet
///
/// One that lies inside or around others is refused (409) unless `nest` says that it is meant to.
/// With `dry_run` nothing is added: the answer (200) is what would come of it and what it would do
/// to addresses in use.
#[utoipa::path(post, path = "/api/v1/subnets", operation_id = "createSubnet", tag = "Subnets",
    request_body = NewApiSubnet, params(HowParams),
    responses((status = 200, description = "A dry run", body = ReshapedSubnets),
        (status = 201, body = ApiSubnet), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_subnet(
    by: Operator,
    how: web::Query<HowParams>,
    new: Json<NewApiSubnet>,
) -> Answer {
    let (nest, force) = (new.0.nest || how.nest, new.0.force || how.force);
    let dry_run = new.0.dry_run || how.dry_run;
    let spec = new.0.parse()?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let (subnet, effects) = super::create_told(&mut space, &spec, nest, force || dry_run).await?;
    space.close().await?;
    if dry_run {
        return would(&mut change, &by, subnet, effects).await;
    }
    change.commit().await?;
    let mut answer = answer(&by, StatusCode::CREATED, subnet.id).await?;
    let location = format!("/api/v1/subnets/{}", subnet.id);
    if let Ok(location) = header::HeaderValue::from_str(&location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// Get a subnet
///
/// The `ETag` is what `If-Match` takes when changing it.
#[utoipa::path(get, path = "/api/v1/subnets/{id}", operation_id = "getSubnet", tag = "Subnets",
    params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = ApiSubnet), (status = 404, body = Problem)))]
async fn get_subnet(by: Operator, id: web::Path<SubnetId>) -> Answer {
    answer(&by, StatusCode::OK, *id).await
}

/// Lay a subnet down anew
///
/// What is left out is as in a new subnet. With `If-Match` it is changed only if nobody else
/// changed it since it was read (412). A pool shrunk over addresses in use is refused (409) with
/// their list unless `force`.
///
/// With `dry_run` nothing is changed: the answer is a list of one subnet, as it would be, with what
/// the change would do to addresses in use.
#[utoipa::path(put, path = "/api/v1/subnets/{id}", operation_id = "replaceSubnet", tag = "Subnets",
    request_body = NewApiSubnet,
    params(HowParams, ("id" = String, Path, description = "The subnet's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, description = "With `dry_run` as after a split", body = ApiSubnet), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn replace_subnet(
    request: HttpRequest,
    by: Operator,
    id: web::Path<SubnetId>,
    how: web::Query<HowParams>,
    new: Json<NewApiSubnet>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let (nest, force) = (new.0.nest || how.nest, new.0.force || how.force);
    let dry_run = new.0.dry_run || how.dry_run;
    let spec = new.0.parse()?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let (subnet, effects) =
        super::update(&mut space, *id, version, &spec, nest, force || dry_run).await?;
    space.close().await?;
    if dry_run {
        return would(&mut change, &by, subnet, effects).await;
    }
    change.commit_if_any().await?;
    answer(&by, StatusCode::OK, *id).await
}

/// Change a subnet
///
/// With `If-Match` it is changed only if nobody else changed it since it was read (412). A pool
/// shrunk over addresses in use is refused (409) with their list unless `force`.
///
/// With `dry_run` nothing is changed: the answer is a list of one subnet, as it would be, with what
/// the change would do to addresses in use.
#[utoipa::path(patch, path = "/api/v1/subnets/{id}", operation_id = "updateSubnet", tag = "Subnets",
    request_body = SubnetPatch,
    params(HowParams, ("id" = String, Path, description = "The subnet's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, description = "With `dry_run` as after a split", body = ApiSubnet), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)))]
async fn update_subnet(
    request: HttpRequest,
    by: Operator,
    id: web::Path<SubnetId>,
    how: web::Query<HowParams>,
    patch: Json<SubnetPatch>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let (nest, force) = (patch.0.nest || how.nest, patch.0.force || how.force);
    let dry_run = patch.0.dry_run || how.dry_run;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let subnet = one(space.tx(), &by, *id).await?;
    let pools = super::pools(space.tx(), *id).await?;
    let spec = patch.0.write_to(super::spec(&subnet, &pools))?;
    let (subnet, effects) =
        super::update(&mut space, *id, version, &spec, nest, force || dry_run).await?;
    space.close().await?;
    if dry_run {
        return would(&mut change, &by, subnet, effects).await;
    }
    change.commit_if_any().await?;
    answer(&by, StatusCode::OK, *id).await
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// Do it although addresses in use will lie in no subnet.
    #[param(required = false)]
    force: bool,
    /// Only say what it would do.
    #[param(required = false)]
    dry_run: bool,
}

/// Delete a subnet
///
/// Its addresses go to the subnet around it. Without one, those in use would lie in no subnet:
/// that is refused (409) with their list unless `force`. Subnets inside stay. With `dry_run` nothing
/// is deleted; the answer is what it would do.
#[utoipa::path(delete, path = "/api/v1/subnets/{id}", operation_id = "deleteSubnet", tag = "Subnets",
    params(DeleteParams, ("id" = String, Path, description = "The subnet's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag last read")),
    responses((status = 200, body = DeletedSubnet), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
async fn delete_subnet(
    request: HttpRequest,
    by: Operator,
    id: web::Path<SubnetId>,
    how: web::Query<DeleteParams>,
) -> Answer {
    let version = api::if_match(request.headers())?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let DeleteParams { force, dry_run } = *how;
    let effects = super::delete(&mut space, *id, version, force || dry_run).await?.into();
    space.close().await?;
    if !dry_run {
        change.commit().await?;
    }
    api::json(StatusCode::OK, &DeletedSubnet { deleted_subnet_id: *id, effects, dry_run })
}

/// Split a subnet
///
/// Each piece gets its part of the pools; the subnet itself stays around them and gives out nothing.
#[utoipa::path(post, path = "/api/v1/subnets/{id}/split", operation_id = "splitSubnet", tag = "Subnets",
    request_body = SubnetSplit, params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = ReshapedSubnets), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn split_subnet(by: Operator, id: web::Path<SubnetId>, how: Json<SubnetSplit>) -> Answer {
    let SubnetSplit { length, force, dry_run } = how.0;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let (made, effects) = super::split(&mut space, *id, length, force || dry_run).await?;
    space.close().await?;
    let subnets = shown(change.tx(), &by, made).await?;
    if !dry_run {
        change.commit().await?;
    }
    let effects = effects.into();
    api::json(StatusCode::OK, &ReshapedSubnets { subnets, effects, dry_run })
}

/// Merge subnets
///
/// They must lie beside each other and together be one block. The first keeps its name.
#[utoipa::path(post, path = "/api/v1/subnets/merge", operation_id = "mergeSubnets", tag = "Subnets",
    request_body = SubnetMerge,
    responses((status = 200, body = ReshapedSubnets), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn merge_subnets(by: Operator, how: Json<SubnetMerge>) -> Answer {
    let SubnetMerge { ids, force, dry_run } = how.0;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let (whole, effects) = super::merge(&mut space, &ids, force || dry_run).await?;
    space.close().await?;
    let subnets = shown(change.tx(), &by, vec![whole]).await?;
    if !dry_run {
        change.commit().await?;
    }
    let effects = effects.into();
    api::json(StatusCode::OK, &ReshapedSubnets { subnets, effects, dry_run })
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FreeParams {
    /// The block to look in, such as `10.0.0.0/8`.
    within: String,
    /// The prefix length wanted.
    length: String,
    /// How many blocks at most, 1 to 256; without it 5.
    #[param(required = false)]
    count: String,
}

/// Find room for a subnet
///
/// The next blocks of a size that no subnet has. A subnet with others inside is only a frame: what
/// is free in it counts as free.
#[utoipa::path(get, path = "/api/v1/subnets/free", operation_id = "findFreeSubnets", tag = "Subnets", params(FreeParams),
    responses((status = 200, body = FreeBlocks), (status = 422, body = Problem)))]
async fn find_free_subnets(by: Operator, params: web::Query<FreeParams>) -> Answer {
    let within: Cidr = params.within.parse().map_err(|error| bad("within", error))?;
    let (least, most) = (within.length(), within.family().bits());
    let length = params.length.parse::<u8>().ok().filter(|length| (least..=most).contains(length));
    let length =
        length.ok_or_else(|| bad("length", format!("use a number from {least} to {most}")))?;
    let count: Option<usize> = parameter("count", &params.count)?;
    let count = count.unwrap_or(5).clamp(1, 256);
    let mut tx = by.read().await?;
    let free = super::free_blocks(&mut tx, by.tenant(), within, length, count).await?;
    api::json(StatusCode::OK, &FreeBlocks { free })
}

/// List the pools of a subnet
#[utoipa::path(get, path = "/api/v1/subnets/{id}/pools", operation_id = "listSubnetPools", tag = "Subnets",
    params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = SubnetPools), (status = 404, body = Problem)))]
async fn list_subnet_pools(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut tx = by.read().await?;
    one(&mut tx, &by, *id).await?;
    let pools = super::pools(&mut tx, *id).await?.iter().map(ApiPool::from).collect();
    api::json(StatusCode::OK, &SubnetPools { pools })
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MapParams {
    /// A block of the subnet; without it all of it.
    #[param(required = false)]
    block: String,
}

/// Get the map of a subnet
///
/// Of a block of at most 1,024 addresses each of them, of a larger one at most 256 smaller blocks.
#[utoipa::path(get, path = "/api/v1/subnets/{id}/map", operation_id = "getSubnetMap", tag = "Subnets",
    params(MapParams, ("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = SubnetMap), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn get_subnet_map(
    by: Operator,
    id: web::Path<SubnetId>,
    params: web::Query<MapParams>,
) -> Answer {
    let mut tx = by.read().await?;
    let subnet = one(&mut tx, &by, *id).await?;
    let block: Cidr = parameter("block", &params.block)?.unwrap_or(subnet.cidr);
    if !subnet.cidr.covers(block) {
        return Err(bad("block", format!("{block} is not in {}", subnet.cidr)));
    }
    let map = super::map(&mut tx, by.tenant(), &subnet, block).await?;
    let mut shown = SubnetMap { block, addresses: Vec::new(), blocks: Vec::new() };
    match map {
        Map::Addresses(cells) => {
            shown.addresses.extend(cells.into_iter().map(|cell| SubnetMapAddress {
                address: cell.address,
                status: cell.what.word().to_owned(),
                note: cell.note,
                conflict: cell.conflict,
            }));
        }
        Map::Blocks(blocks) => {
            let block = |block: super::Block| SubnetMapBlock {
                cidr: block.cidr,
                counts: (&block.usage).into(),
            };
            shown.blocks.extend(blocks.into_iter().map(block));
        }
    }
    api::json(StatusCode::OK, &shown)
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    list_subnets,
    create_subnet,
    find_free_subnets,
    merge_subnets,
    get_subnet,
    replace_subnet,
    update_subnet,
    delete_subnet,
    split_subnet,
    list_subnet_pools,
    get_subnet_map
))]
pub struct Paths;
