//! `/api/v1/prefix-pools`: blocks of IPv6 out of which prefixes are delegated.

use std::collections::BTreeMap;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Hold, NewPool, PrefixLength, PrefixPool, Refusal};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::PrefixPoolId;
use crate::ipam::space::Space;
use crate::net::Cidr;

/// Prefixes held back that an answer names.
const NAMED: i64 = 1_000;

/// Every call about prefix pools.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    vec![
        Route::get("/api/v1/prefix-pools", read, list_pools),
        Route::post("/api/v1/prefix-pools", manage, create_pool),
        Route::get("/api/v1/prefix-pools/{id}", read, get_pool),
        Route::new(Method::DELETE, "/api/v1/prefix-pools/{id}", manage, delete_pool),
        Route::post("/api/v1/prefix-pools/{id}/release", manage, release_prefix),
    ]
}

/// A prefix pool.
#[derive(Serialize, ToSchema)]
pub struct ApiPrefixPool {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: PrefixPoolId,
    /// What it is called.
    pub name: String,
    /// The block.
    #[schema(example = "2001:db8::/32")]
    pub cidr: String,
    /// The length of a prefix when nobody says one.
    #[schema(example = 56)]
    pub delegated: u8,
    /// What is free, in /64s.
    pub free: i64,
    /// All of it, in /64s.
    pub size: i64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A prefix that nobody has and that is not given out.
#[derive(Serialize, ToSchema)]
pub struct ApiHold {
    /// The prefix.
    pub prefix: String,
    /// Why.
    pub reason: String,
    /// When it is free again; none is when somebody releases it.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// A prefix pool and what is held back of it.
#[derive(Serialize, ToSchema)]
pub struct ApiPrefixPoolDetail {
    /// The pool.
    pub pool: ApiPrefixPool,
    /// Prefixes held back, the first thousand.
    pub held_back: Vec<ApiHold>,
}

/// All prefix pools.
#[derive(Serialize, ToSchema)]
pub struct PrefixPoolList {
    /// In the order of their blocks.
    pub prefix_pools: Vec<ApiPrefixPool>,
}

/// A prefix pool to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiPrefixPool {
    /// What it is called.
    #[schema(example = "Customers Berlin")]
    name: String,
    /// The block: IPv6, /16 to /63.
    #[schema(example = "2001:db8::/32")]
    cidr: String,
    /// The length of a prefix when nobody says one, 48 to 64; without it 56.
    #[schema(example = 56)]
    delegated: Option<i64>,
}

/// A prefix that is to be free again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleasePrefix {
    /// The prefix.
    #[schema(example = "2001:db8:0:100::/56")]
    prefix: String,
}

impl From<&PrefixPool> for ApiPrefixPool {
    fn from(pool: &PrefixPool) -> Self {
        Self {
            id: pool.id,
            name: pool.name.to_string(),
            cidr: pool.cidr.to_string(),
            delegated: pool.delegated.bits(),
            free: pool.free,
            size: pool.size(),
            created_at: pool.created_at.to_string(),
        }
    }
}

impl From<&Hold> for ApiHold {
    fn from(hold: &Hold) -> Self {
        Self {
            prefix: hold.cidr.to_string(),
            reason: hold.reason.clone(),
            until: hold.until.map(|until| until.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Fault(error) => return error.into(),
            Refusal::Missing(what) => return Self::not_found(what),
            Refusal::Field { .. } | Refusal::Elsewhere { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NameTaken(_)
            | Refusal::Overlaps { .. }
            | Refusal::InUse(_)
            | Refusal::Full { .. }
            | Refusal::Taken(_)
            | Refusal::Held { .. } => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal.field() {
            Some(field) => problem.field(field, &refusal),
            None => problem,
        }
    }
}

impl NewApiPrefixPool {
    fn parse(self) -> Result<NewPool, Problem> {
        let mut errors = BTreeMap::new();
        let mut wrong = |field: &str, why: String| drop(errors.insert(field.to_owned(), why));
        let name = self.name.parse().map_err(|error| wrong("name", format!("{error}"))).ok();
        let cidr = self.cidr.parse().map_err(|error| wrong("cidr", format!("{error}"))).ok();
        let delegated = self.delegated.map_or(Ok(PrefixLength::USUAL), TryInto::try_into);
        let delegated = delegated.map_err(|error| wrong("delegated", error.to_string())).ok();
        match (name, cidr, delegated) {
            (Some(name), Some(cidr), Some(delegated)) => Ok(NewPool { name, cidr, delegated }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// List prefix pools
#[utoipa::path(get, path = "/api/v1/prefix-pools", operation_id = "listPrefixPools", tag = "Prefix pools",
    responses((status = 200, body = PrefixPoolList)))]
async fn list_pools(by: Operator) -> Answer {
    let pools = super::list(&mut by.read().await?, by.tenant()).await?;
    let prefix_pools = pools.iter().map(Into::into).collect();
    api::json(StatusCode::OK, &PrefixPoolList { prefix_pools })
}

/// Add a prefix pool
///
/// A block of IPv6 out of which prefixes are delegated. It overlaps no other and no pool of
/// addresses.
#[utoipa::path(post, path = "/api/v1/prefix-pools", operation_id = "createPrefixPool", tag = "Prefix pools",
    request_body = NewApiPrefixPool,
    responses((status = 201, body = ApiPrefixPool), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_pool(by: Operator, new: Json<NewApiPrefixPool>) -> Answer {
    let new = new.0.parse()?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let pool = super::create(&mut space, &new).await?;
    space.close().await?;
    change.commit().await?;
    api::json(StatusCode::CREATED, &ApiPrefixPool::from(&pool))
}

/// Get a prefix pool
#[utoipa::path(get, path = "/api/v1/prefix-pools/{id}", operation_id = "getPrefixPool", tag = "Prefix pools",
    params(("id" = String, Path, description = "The pool's id")),
    responses((status = 200, body = ApiPrefixPoolDetail), (status = 404, body = Problem)))]
async fn get_pool(by: Operator, id: web::Path<PrefixPoolId>) -> Answer {
    let mut tx = by.read().await?;
    let pool = super::get(&mut tx, by.tenant(), *id).await?;
    let pool = pool.ok_or_else(|| Problem::not_found("prefix pool"))?;
    let holds = super::holds(&mut tx, *id, NAMED).await?;
    let held_back = holds.iter().map(Into::into).collect();
    api::json(StatusCode::OK, &ApiPrefixPoolDetail { pool: (&pool).into(), held_back })
}

/// Delete a prefix pool
///
/// Only one of which nothing is delegated or held back.
#[utoipa::path(delete, path = "/api/v1/prefix-pools/{id}", operation_id = "deletePrefixPool", tag = "Prefix pools",
    params(("id" = String, Path, description = "The pool's id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete_pool(by: Operator, id: web::Path<PrefixPoolId>) -> Answer {
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    super::delete(&mut space, *id).await?;
    space.close().await?;
    change.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Release a prefix that is held back
#[utoipa::path(post, path = "/api/v1/prefix-pools/{id}/release", operation_id = "releasePrefix", tag = "Prefix pools",
    request_body = ReleasePrefix,
    params(("id" = String, Path, description = "The pool's id")),
    responses((status = 200, body = ApiPrefixPool), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn release_prefix(
    by: Operator,
    id: web::Path<PrefixPoolId>,
    asked: Json<ReleasePrefix>,
) -> Answer {
    let tenant = by.tenant();
    let pool = super::get(&mut by.read().await?, tenant, *id).await?;
    pool.ok_or_else(|| Problem::not_found("prefix pool"))?;
    let cidr: Cidr = asked.0.prefix.parse().map_err(|error: crate::net::BadCidr| {
        Problem::invalid([("prefix".to_owned(), error.to_string())].into())
    })?;
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    super::release(&mut space, *id, cidr.network()).await?;
    let pool = super::get(space.tx(), tenant, *id).await?;
    let pool = pool.ok_or_else(|| Problem::not_found("prefix pool"))?;
    space.close().await?;
    change.commit().await?;
    api::json(StatusCode::OK, &ApiPrefixPool::from(&pool))
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_pools, create_pool, get_pool, delete_pool, release_prefix))]
pub struct Paths;
