//! Assignments as JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::call::Errors;
use crate::api::Problem;
use crate::auth::Operator;
use crate::db::{self, Tx};
use crate::id::AssignmentId;
use crate::ipam::addresses::{Holder, HolderKind, Hostname, Tenure};
use crate::ipam::prefixes::PrefixLength;
use crate::ipam::space::Source;
use crate::lifecycle::figures::{Figures, PoolFigure, percent};
use crate::lifecycle::state::{Operation, State};
use crate::lifecycle::types::{
    Assignment, Family, How, Leased, Metadata, Origin, Release, Role, Step, SubscriberId, Wanted,
    Whose,
};
use crate::lifecycle::{KINDS, effects};
use crate::net::{Address, Cidr, Mac};
use crate::text::Line;

/// Who is to get an address or a prefix, and which.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AllocateRequest {
    /// By what the subscriber is known: 1 to 64 letters, digits and `. _ : @ + -`. A user's or a
    /// host's id, a phone's MAC, or any id of your own.
    #[schema(example = "C-4711")]
    pub subscriber_id: String,
    /// `user`, `phone`, `host` or `external`; without it a user or host of this id, or external.
    pub subscriber_kind: Option<String>,
    /// What someone external, or a phone, is called.
    pub subscriber_name: Option<String>,
    /// What for; a subscriber has one of each. Without it `primary`.
    pub role: Option<String>,
    /// For IPv6 `address` or `prefix`; without it what the other fields say, or `address`.
    pub kind: Option<String>,
    /// The pool, or for a prefix the prefix pool.
    pub pool_id: Option<String>,
    /// Any static pool of this subnet.
    pub subnet_id: Option<String>,
    /// This address or prefix, and no other.
    pub requested_address: Option<String>,
    /// For a prefix: its length, 48 to 64; without it as its pool says, usually 56.
    pub prefix_size: Option<i64>,
    /// What the machine is called.
    pub hostname: Option<String>,
    /// Its interface, for which DHCP reserves the address.
    pub mac: Option<String>,
    /// Whatever is to be remembered: at most 32 entries and 8 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    /// The name of the session, as the NAS knows it.
    pub username: Option<String>,
    /// The NAS.
    pub nas_ip: Option<String>,
    /// Whether NetBox is told; without it yes.
    pub update_netbox: Option<bool>,
}

/// Whose assignment an operation is about, and how it is to be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationRequest {
    /// By what the subscriber is known.
    #[schema(example = "C-4711")]
    pub subscriber_id: String,
    /// `user`, `phone`, `host` or `external`, if several have this id.
    pub subscriber_kind: Option<String>,
    /// The role, if there are several.
    pub role: Option<String>,
    /// For IPv6 `address` or `prefix`, if there are both.
    pub kind: Option<String>,
    /// The name of the session, as the NAS knows it; without it the one said before, or the
    /// subscriber's id.
    pub username: Option<String>,
    /// The NAS; without it the one said before, or the tenant's own.
    pub nas_ip: Option<String>,
    /// Activate, suspend, reactivate: whether RADIUS is told. Activate does not, the others do.
    pub send_coa: Option<bool>,
    /// Revoke, retry: whether RADIUS is told to end the session there was; without it yes.
    pub send_disconnect: Option<bool>,
    /// Revoke: whether the address goes back to its pool; without it yes.
    pub release_to_pool: Option<bool>,
    /// Activate, revoke: whether NetBox is told; without it yes.
    pub update_netbox: Option<bool>,
    /// Suspend and fail: why, up to 500 characters.
    pub reason: Option<String>,
    /// Merged on top of what is remembered.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// Parses a field; its error joins the others.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<String>,
    errors: &mut Errors,
) -> Option<T> {
    text.and_then(|text| {
        text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
    })
}

/// A kind of holder that may have assignments; nothing is any.
pub(super) fn holder_kind(text: &str, errors: &mut Errors) -> Option<HolderKind> {
    if text.is_empty() {
        return None;
    }
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == text);
    if kind.is_none() {
        let why = "use user, phone, host or external".to_owned();
        errors.insert("subscriber_kind".to_owned(), why);
    }
    kind
}

fn metadata(value: Option<Value>, errors: &mut Errors) -> Metadata {
    let Some(value) = value else { return Metadata::default() };
    Metadata::read(value).unwrap_or_else(|error| {
        errors.insert("metadata".to_owned(), error.to_string());
        Metadata::default()
    })
}

/// What is asked for, with which pool and which prefix length fit together.
struct Place {
    family: Family,
    from: Origin,
    wish: Option<Leased>,
    length: Option<PrefixLength>,
}

impl AllocateRequest {
    /// Reads it; and whether it said what sort of subscriber it is.
    pub(super) fn parse(mut self, v6: bool) -> Result<(Wanted, How, bool), Problem> {
        let mut errors = Errors::new();
        let said = self.subscriber_kind.clone().unwrap_or_default();
        let kind = holder_kind(&said, &mut errors);
        let id = parsed::<SubscriberId>(
            "subscriber_id",
            Some(std::mem::take(&mut self.subscriber_id)),
            &mut errors,
        );
        let name = parsed::<Line<100>>("subscriber_name", self.subscriber_name.take(), &mut errors);
        let role = parsed::<Role>("role", self.role.take(), &mut errors).unwrap_or_default();
        let hostname = parsed::<Hostname>("hostname", self.hostname.take(), &mut errors);
        let mac = parsed::<Mac>("mac", self.mac.take(), &mut errors);
        let how = How {
            username: parsed("username", self.username.take(), &mut errors),
            nas: parsed("nas_ip", self.nas_ip.take(), &mut errors),
            radius: None,
            netbox: self.update_netbox,
            metadata: metadata(self.metadata.take(), &mut errors),
        };
        let place = self.place(v6, &mut errors);
        let (Some(id), Some(place), true) = (id, place, errors.is_empty()) else {
            return Err(Problem::invalid(errors));
        };
        let holder = Holder {
            kind: kind.unwrap_or(HolderKind::External),
            id: id.to_string(),
            name: name.map(|name| name.to_string()).unwrap_or_default(),
        };
        let hostname = hostname.unwrap_or_default();
        let wanted = Wanted {
            family: place.family,
            tenure: Tenure { hostname, mac, ..Tenure::of(holder) },
            role,
            from: place.from,
            wish: place.wish,
            length: place.length,
        };
        Ok((wanted, how, kind.is_some()))
    }

    fn place(self, v6: bool, errors: &mut Errors) -> Option<Place> {
        let mut wrong =
            |field: &str, why: &str| drop(errors.insert(field.to_owned(), why.to_owned()));
        let wished = self.requested_address.as_deref();
        let family = match (v6, self.kind.as_deref()) {
            (false, None | Some("address")) => Family::Ipv4,
            (false, Some(_)) => {
                wrong("kind", "use address");
                return None;
            }
            (true, Some("address")) => Family::Ipv6,
            (true, Some("prefix")) => Family::Prefix,
            (true, Some(_)) => {
                wrong("kind", "use address or prefix");
                return None;
            }
            (true, None)
                if self.prefix_size.is_some() || wished.is_some_and(|text| text.contains('/')) =>
            {
                Family::Prefix
            }
            (true, None) => Family::Ipv6,
        };
        if family != Family::Prefix && self.prefix_size.is_some() {
            wrong("prefix_size", "only a prefix has a size");
        }
        if self.pool_id.is_some() && self.subnet_id.is_some() {
            wrong("subnet_id", "say a pool or a subnet, not both");
        }
        if family == Family::Prefix && self.subnet_id.is_some() {
            wrong("subnet_id", "prefixes come from prefix pools; say pool_id");
        }
        let length = self.prefix_size.map(PrefixLength::try_from).transpose();
        let length = length.unwrap_or_else(|error| {
            wrong("prefix_size", &error.to_string());
            None
        });
        let unknown = "there is no such pool";
        let from = match (self.pool_id, self.subnet_id) {
            (Some(id), _) if family == Family::Prefix => {
                if let Ok(id) = id.parse() {
                    Origin::Prefixes(id)
                } else {
                    wrong("pool_id", unknown);
                    Origin::Anywhere
                }
            }
            (Some(id), _) => {
                if let Ok(id) = id.parse() {
                    Origin::Addresses(Source::Pool(id))
                } else {
                    wrong("pool_id", unknown);
                    Origin::Anywhere
                }
            }
            (None, Some(id)) => {
                if let Ok(id) = id.parse() {
                    Origin::Addresses(Source::Subnet(id))
                } else {
                    wrong("subnet_id", "there is no such subnet");
                    Origin::Anywhere
                }
            }
            (None, None) => Origin::Anywhere,
        };
        let wish = match (family, self.requested_address) {
            (_, None) => None,
            (Family::Prefix, Some(text)) => {
                parsed::<Cidr>("requested_address", Some(text), errors).map(Leased::Prefix)
            }
            (_, Some(text)) => {
                parsed::<Address>("requested_address", Some(text), errors).map(Leased::Address)
            }
        };
        Some(Place { family, from, wish, length })
    }
}

impl OperationRequest {
    /// Reads it as one operation's; a field that is another's is refused by name.
    pub(super) fn parse(
        self,
        operation: Operation,
        mut errors: Errors,
    ) -> Result<(Whose, Step, How), Problem> {
        let mut only = |said: bool, field: &str, operations: &[Operation]| {
            if said && !operations.contains(&operation) {
                errors.insert(field.to_owned(), format!("{operation} has no such field"));
            }
        };
        let told = [Operation::Activate, Operation::Suspend, Operation::Reactivate];
        only(self.send_coa.is_some(), "send_coa", &told);
        let ending = [Operation::Revoke, Operation::Retry];
        only(self.send_disconnect.is_some(), "send_disconnect", &ending);
        only(self.release_to_pool.is_some(), "release_to_pool", &[Operation::Revoke]);
        only(self.reason.is_some(), "reason", &[Operation::Suspend, Operation::Fail]);
        let kind = holder_kind(&self.subscriber_kind.unwrap_or_default(), &mut errors);
        let id = parsed::<SubscriberId>("subscriber_id", Some(self.subscriber_id), &mut errors);
        let role = parsed::<Role>("role", self.role, &mut errors);
        let reason = parsed::<Line<500>>("reason", self.reason, &mut errors).unwrap_or_default();
        let how = How {
            username: parsed("username", self.username, &mut errors),
            nas: parsed("nas_ip", self.nas_ip, &mut errors),
            radius: self.send_coa.or(self.send_disconnect),
            netbox: self.update_netbox,
            metadata: metadata(self.metadata, &mut errors),
        };
        let release =
            if self.release_to_pool.unwrap_or(true) { Release::Free } else { Release::Keep };
        let step = match operation {
            Operation::Activate | Operation::Allocate => Step::Activate,
            Operation::Suspend => Step::Suspend(reason),
            Operation::Reactivate => Step::Reactivate,
            Operation::Revoke | Operation::Complete => Step::Revoke(release),
            Operation::Retry => Step::Retry,
            Operation::Fail => Step::Fail(reason),
        };
        match id {
            Some(id) if errors.is_empty() => Ok((Whose { id, kind, role }, step, how)),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// A call to an outside system because of an assignment.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct OutsideCall {
    /// `radius`, `dhcp` or `netbox`.
    pub system: String,
    /// What it does there.
    pub call: String,
    /// `waiting`, `sending`, `done`, `replaced`, `dead` or `dropped`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong the last time; empty if nothing did.
    pub error: String,
    /// What the system answered; empty until it has.
    pub answer: String,
}

impl OutsideCall {
    /// How it stands, with what was answered or what went wrong.
    fn stands(&self) -> String {
        let more = if self.error.is_empty() { &self.answer } else { &self.error };
        if more.is_empty() { self.state.clone() } else { format!("{}: {more}", self.state) }
    }
}

/// An assignment.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct LifecycleResult {
    /// Whether what was asked for is so. A refusal is a problem, with a status of its own.
    pub success: bool,
    /// Whether the operation changed anything.
    pub changed: bool,
    /// The assignment's id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: AssignmentId,
    /// `pending`, `allocated`, `active`, `suspended`, `revoking`, `revoked` or `failed`.
    pub state: String,
    /// `address` or `prefix`.
    pub kind: String,
    /// The address or prefix; of one that has ended the one it had.
    #[schema(example = "10.20.5.11")]
    pub address: Option<String>,
    /// Whether it has the address now.
    pub live: bool,
    /// By what the subscriber is known.
    pub subscriber_id: String,
    /// `user`, `phone`, `host` or `external`.
    pub subscriber_kind: String,
    /// What a person calls the subscriber.
    pub subscriber_name: String,
    /// The tenant's id, a UUID.
    #[schema(format = Uuid)]
    pub tenant_id: String,
    /// What for.
    pub role: String,
    /// The pool it came from.
    pub pool_id: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub allocated_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub activated_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub suspended_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// Why it is suspended, or what failed.
    pub reason: String,
    /// What is remembered.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// NetBox's own number for the address, if it is there; left out of lists.
    pub netbox_ip_id: Option<i64>,
    /// How the last change of authorisation stands (RADIUS CoA), if one was asked for.
    pub coa_result: Option<String>,
    /// How the last end of the session stands (RADIUS Disconnect), if one was asked for.
    pub disconnect_result: Option<String>,
    /// What may be done with it now.
    pub operations: Vec<String>,
    /// What outside systems were asked to do, the oldest first; left out of lists.
    pub outside: Vec<OutsideCall>,
}

impl LifecycleResult {
    /// Without what outside systems say.
    pub(super) fn brief(by: &Operator, assignment: &Assignment) -> Self {
        let time = |at: Option<crate::time::Timestamp>| at.map(|at| at.to_string());
        let kind = if assignment.family == Family::Prefix { "prefix" } else { "address" };
        let operations = assignment.state.operations();
        Self {
            success: true,
            changed: false,
            id: assignment.id,
            state: assignment.state.as_str().to_owned(),
            kind: kind.to_owned(),
            address: assignment.leased.map(|leased| leased.to_string()),
            live: assignment.held().is_some(),
            subscriber_id: assignment.holder.id.clone(),
            subscriber_kind: assignment.holder.kind.as_str().to_owned(),
            subscriber_name: assignment.holder.name.clone(),
            tenant_id: by.tenant().to_string(),
            role: assignment.role.to_string(),
            pool_id: assignment.pool.clone(),
            allocated_at: time(assignment.allocated_at),
            activated_at: time(assignment.activated_at),
            suspended_at: time(assignment.suspended_at),
            revoked_at: time(assignment.revoked_at),
            reason: assignment.reason.to_string(),
            metadata: assignment.metadata.value(),
            netbox_ip_id: None,
            coa_result: None,
            disconnect_result: None,
            operations: operations.iter().map(ToString::to_string).collect(),
            outside: Vec::new(),
        }
    }

    /// With what outside systems say.
    pub(super) async fn of(
        tx: &mut Tx,
        by: &Operator,
        assignment: &Assignment,
        changed: bool,
    ) -> db::Result<Self> {
        let outside = effects::outcomes(tx, by.tenant(), assignment.id).await?;
        let last = |ends: bool| {
            let mut calls = outside.iter().rev().filter(|call| call.system == "radius");
            calls.find(|call| call.call.starts_with("disconnect") == ends).map(OutsideCall::stands)
        };
        Ok(Self {
            changed,
            netbox_ip_id: effects::netbox_id(tx, by.tenant(), assignment).await?,
            coa_result: last(false),
            disconnect_result: last(true),
            outside,
            ..Self::brief(by, assignment)
        })
    }
}

/// A page of assignments.
#[derive(Serialize, ToSchema)]
pub struct LifecycleList {
    /// Those of this page.
    pub assignments: Vec<LifecycleResult>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Assignments a page.
    pub size: i64,
}

/// How much of the pools is used.
#[derive(Serialize, ToSchema)]
pub struct Utilization {
    /// Assignments that are not over.
    pub total: i64,
    /// Of them, in use.
    pub active: i64,
    /// Of them, allocated and not yet in use.
    pub allocated: i64,
    /// Those that are over and not archived yet.
    pub revoked: i64,
    /// Of the pools, in per cent.
    pub utilization_rate: f64,
    /// Of the assignments that are not over, those in use, in per cent.
    pub allocation_rate: f64,
}

/// The pools.
#[derive(Serialize, ToSchema)]
pub struct PoolStats {
    /// How many there are.
    pub pool_count: i64,
    /// Their addresses (for prefixes /64s), on average.
    pub avg_addresses_per_pool: f64,
    /// The fullest, at most 500.
    pub pools: Vec<PoolFigure>,
}

/// The figures of a family.
#[derive(Serialize, ToSchema)]
pub struct LifecycleMetrics {
    /// The tenant's id, a UUID.
    #[schema(format = Uuid)]
    pub tenant_id: String,
    /// Assignments in each state.
    pub state_counts: BTreeMap<String, i64>,
    /// How much is used.
    pub utilization: Utilization,
    /// The pools.
    pub pool_stats: PoolStats,
    /// Addresses allocated for a day without being used.
    pub leaks: i64,
}

impl LifecycleMetrics {
    /// Of one family, or of IPv6's two together.
    pub(super) fn of(by: &Operator, parts: &[Figures]) -> Self {
        let count = |state: State| parts.iter().map(|part| part.of(state)).sum::<i64>();
        let counts = State::ALL.map(|state| (state.as_str().to_owned(), count(state)));
        let state_counts: BTreeMap<String, i64> = counts.into();
        let ended = count(State::Revoked);
        let total = state_counts.values().sum::<i64>() - ended;
        let active = count(State::Active);
        let (all, used): (f64, f64) =
            parts.iter().fold((0.0, 0.0), |(all, used), part| (all + part.total, used + part.used));
        let pool_count: i64 = parts.iter().map(|part| part.pool_count).sum();
        let float = |count: i64| i32::try_from(count).map_or(f64::from(i32::MAX), f64::from);
        let mut pools: Vec<PoolFigure> = parts.iter().flat_map(|part| part.pools.clone()).collect();
        pools.truncate(500);
        Self {
            tenant_id: by.tenant().to_string(),
            utilization: Utilization {
                total,
                active,
                allocated: count(State::Allocated),
                revoked: ended,
                utilization_rate: percent(used, all),
                allocation_rate: percent(float(active), float(total)),
            },
            pool_stats: PoolStats {
                pool_count,
                avg_addresses_per_pool: if pool_count > 0 { all / float(pool_count) } else { 0.0 },
                pools,
            },
            leaks: parts.iter().map(|part| part.leaks).sum(),
            state_counts,
        }
    }
}
