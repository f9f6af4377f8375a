//! How a subnet is looked at, and what DNS calls an address.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::field;
use crate::api::{self, Answer, Json, Problem};
use crate::auth::Operator;
use crate::id::SubnetId;
use crate::ipam::addresses;
use crate::ipam::observe::names::{self, Named};
use crate::ipam::observe::sweep;
use crate::ipam::observe::types::{KeepDays, Minutes, PerSecond, Settings};
use crate::ipam::subnets;
use crate::net::Address;

/// How a subnet is looked at.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationSettings {
    /// Minutes from one sweep to the next, 5 to 10080; null: only when somebody asks.
    sweep_every_minutes: Option<i64>,
    /// Pings a second, 1 to 1000.
    pings_per_second: i64,
    /// Days without an answer after which an address that nobody holds is forgotten, 1 to 365.
    forget_after_days: i64,
}

impl From<Settings> for ObservationSettings {
    fn from(settings: Settings) -> Self {
        Self {
            sweep_every_minutes: settings.minutes,
            pings_per_second: settings.pace,
            forget_after_days: settings.keep_days,
        }
    }
}

impl ObservationSettings {
    fn parse(&self) -> Result<Settings, Problem> {
        let mut errors = BTreeMap::new();
        // As forms take them: the same bounds and words.
        let minutes = self.sweep_every_minutes.map(|minutes| minutes.to_string());
        let pace = Some(self.pings_per_second.to_string());
        let days = Some(self.forget_after_days.to_string());
        let minutes = field::<Minutes>("sweep_every_minutes", minutes, &mut errors);
        let pace = field::<PerSecond>("pings_per_second", pace, &mut errors);
        let days = field::<KeepDays>("forget_after_days", days, &mut errors);
        match (pace, days) {
            (Some(pace), Some(days)) if errors.is_empty() => Ok(Settings {
                minutes: minutes.map(|minutes| minutes.0),
                pace: pace.0,
                keep_days: days.0,
            }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// See how a subnet is looked at
#[utoipa::path(get, path = "/api/v1/subnets/{id}/observation", operation_id = "getObservation", tag = "Observation",
    params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = ObservationSettings), (status = 404, body = Problem)))]
pub(super) async fn get_settings(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut tx = by.read().await?;
    let subnet = subnets::get(&mut tx, by.tenant(), *id).await?;
    let subnet = subnet.ok_or_else(|| Problem::not_found("subnet"))?;
    let settings = sweep::settings(&mut tx, by.tenant(), subnet.id).await?;
    api::json(StatusCode::OK, &ObservationSettings::from(settings))
}

/// Set how a subnet is looked at
///
/// The first of its regular sweeps is due at once.
#[utoipa::path(put, path = "/api/v1/subnets/{id}/observation", operation_id = "setObservation", tag = "Observation",
    request_body = ObservationSettings, params(("id" = String, Path, description = "The subnet's id")),
    responses((status = 200, body = ObservationSettings), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_settings(
    by: Operator,
    id: web::Path<SubnetId>,
    new: Json<ObservationSettings>,
) -> Answer {
    let settings = new.0.parse()?;
    let mut change = by.change().await?;
    sweep::schedule(&mut change, *id, &settings).await?;
    change.commit_if_any().await?;
    api::json(StatusCode::OK, &ObservationSettings::from(settings))
}

/// What DNS says of an address.
#[derive(Serialize, ToSchema)]
pub struct DnsName {
    /// What it is called; null when it has no name, or nobody could be asked.
    hostname: Option<String>,
    /// Why nobody could be asked; empty when somebody was.
    error: String,
    /// Whether another name is written here: that is a conflict, unless it was left as it is.
    differs: bool,
}

/// Ask DNS for the name of an address
///
/// Of the servers of the smallest subnet around it that has any, else of those of Patchbay's
/// machine. Another name than is written here is a conflict, as any other that is seen; an address
/// that nobody holds, but that was seen in use, is called so from now on.
#[utoipa::path(post, path = "/api/v1/addresses/{address}/name", operation_id = "lookUpName", tag = "Observation",
    params(("address" = String, Path, description = "IPv4 or IPv6")),
    responses((status = 200, body = DnsName), (status = 404, body = Problem)))]
pub(super) async fn look_up(by: Operator, path: web::Path<String>) -> Answer {
    let address: Address = path.parse().map_err(|_| Problem::not_found("address"))?;
    let named = names::look_up(&by, address).await.map_err(super::refused)?;
    let record = addresses::get(&mut by.read().await?, by.tenant(), address).await?;
    let differs = record.is_some_and(|record| named.differs(&record.hostname));
    let (hostname, error) = match named {
        Named::Called(name) => (Some(name.to_string()), String::new()),
        Named::Nameless => (None, String::new()),
        Named::Unknown(error) => (None, error),
    };
    let answer = DnsName { hostname, error, differs };
    api::json(StatusCode::OK, &answer)
}
