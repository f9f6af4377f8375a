//! Assignments and figures as GraphQL shows them.

use async_graphql::{Enum, Json, Object, SimpleObject};

use crate::lifecycle::State;
use crate::lifecycle::api;
use crate::lifecycle::figures::PoolFigure;

/// Where an assignment is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "IPv4LifecycleState", remote = "State")]
pub(super) enum LifecycleState {
    Pending,
    Allocated,
    Active,
    Suspended,
    Revoking,
    Revoked,
    Failed,
}

/// Whether an assignment is of an address or of a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "LifecycleKind")]
pub(super) enum Kind {
    Address,
    Prefix,
}

impl Kind {
    /// The word of the other interfaces.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
        }
    }
}

/// A call to an outside system because of an assignment.
#[derive(SimpleObject)]
#[graphql(name = "LifecycleOutsideCall")]
struct OutsideCall {
    /// `radius`, `dhcp` or `netbox`.
    system: String,
    /// What it does there.
    call: String,
    /// `waiting`, `sending`, `done`, `replaced`, `dead` or `dropped`.
    state: String,
    /// How often it was tried.
    attempts: i64,
    /// What went wrong the last time; empty if nothing did.
    error: String,
    /// What the system answered; empty until it has.
    answer: String,
}

impl From<api::OutsideCall> for OutsideCall {
    fn from(call: api::OutsideCall) -> Self {
        let api::OutsideCall { system, call, state, attempts, error, answer } = call;
        Self { system, call, state, attempts, error, answer }
    }
}

/// An assignment, or what an operation made of it.
#[derive(SimpleObject)]
#[graphql(name = "IPv4LifecycleResult")]
pub(super) struct LifecycleResult {
    /// Whether what was asked for is so; a refusal is an error.
    success: bool,
    /// Whether the operation changed anything.
    changed: bool,
    /// The assignment's id, a UUID.
    id: String,
    state: LifecycleState,
    kind: Kind,
    /// The address or prefix; of one that has ended the one it had.
    address: Option<String>,
    /// Whether it has the address now.
    live: bool,
    /// By what the subscriber is known.
    subscriber_id: String,
    /// `user`, `phone`, `host` or `external`.
    subscriber_kind: String,
    /// What a person calls the subscriber.
    subscriber_name: String,
    /// The tenant's id, a UUID.
    tenant_id: String,
    /// What for.
    role: String,
    /// The pool it came from.
    pool_id: Option<String>,
    /// RFC 3339, UTC.
    allocated_at: Option<String>,
    /// RFC 3339, UTC.
    activated_at: Option<String>,
    /// RFC 3339, UTC.
    suspended_at: Option<String>,
    /// RFC 3339, UTC.
    revoked_at: Option<String>,
    /// Why it is suspended, or what failed.
    reason: String,
    /// What is remembered.
    metadata: Json<serde_json::Value>,
    /// NetBox's own number for the address, if it is there.
    netbox_ip_id: Option<i64>,
    /// How the last change of authorisation stands (RADIUS CoA), if one was asked for.
    coa_result: Option<String>,
    /// How the last end of the session stands (RADIUS Disconnect), if one was asked for.
    disconnect_result: Option<String>,
    /// What may be done with it now.
    operations: Vec<String>,
    /// What outside systems were asked to do, the oldest first.
    #[graphql(complexity = "10 * child_complexity")]
    outside: Vec<OutsideCall>,
}

impl From<api::LifecycleResult> for LifecycleResult {
    fn from(of: api::LifecycleResult) -> Self {
        // The words are the program's own.
        let state: State = of.state.parse().unwrap_or(State::Failed);
        Self {
            success: of.success,
            changed: of.changed,
            id: of.id.to_string(),
            state: state.into(),
            kind: if of.kind == "prefix" { Kind::Prefix } else { Kind::Address },
            address: of.address,
            live: of.live,
            subscriber_id: of.subscriber_id,
            subscriber_kind: of.subscriber_kind,
            subscriber_name: of.subscriber_name,
            tenant_id: of.tenant_id,
            role: of.role,
            pool_id: of.pool_id,
            allocated_at: of.allocated_at,
            activated_at: of.activated_at,
            suspended_at: of.suspended_at,
            revoked_at: of.revoked_at,
            reason: of.reason,
            metadata: Json(of.metadata),
            netbox_ip_id: of.netbox_ip_id,
            coa_result: of.coa_result,
            disconnect_result: of.disconnect_result,
            operations: of.operations,
            outside: of.outside.into_iter().map(OutsideCall::from).collect(),
        }
    }
}

/// An assignment of an IPv6 address or prefix, or what an operation made of it.
#[derive(SimpleObject)]
#[graphql(name = "IPv6LifecycleResult")]
pub(super) struct SixResult {
    #[graphql(flatten)]
    of: LifecycleResult,
}

impl From<api::LifecycleResult> for SixResult {
    fn from(of: api::LifecycleResult) -> Self {
        Self { of: of.into() }
    }
}

/// How many assignments are in a state.
#[derive(SimpleObject)]
#[graphql(name = "LifecycleStateCount")]
struct StateCount {
    state: LifecycleState,
    count: i64,
}

/// How much of the pools is used.
#[derive(SimpleObject)]
#[graphql(name = "LifecycleUtilization")]
struct Utilization {
    /// Assignments that are not over.
    total: i64,
    /// Of them, in use.
    active: i64,
    /// Of them, allocated and not yet in use.
    allocated: i64,
    /// Those that are over and not archived yet.
    revoked: i64,
    /// Of the pools, in per cent.
    utilization_rate: f64,
    /// Of the assignments that are not over, those in use, in per cent.
    allocation_rate: f64,
}

/// How full a pool is.
#[derive(SimpleObject)]
#[graphql(name = "LifecyclePool")]
struct Pool {
    name: String,
    range: String,
    /// Addresses, or for prefixes /64s, in all.
    total: f64,
    /// Those that somebody has or that are kept from use.
    used: f64,
    /// Used of all, in per cent.
    utilization_percent: f64,
}

impl From<&PoolFigure> for Pool {
    fn from(pool: &PoolFigure) -> Self {
        Self {
            name: pool.name.clone(),
            range: pool.range.clone(),
            total: pool.total,
            used: pool.used,
            utilization_percent: pool.utilization_percent,
        }
    }
}

/// The pools.
struct PoolStats(api::PoolStats);

/// The pools.
#[Object(name = "LifecyclePoolStats")]
impl PoolStats {
    /// How many there are.
    async fn pool_count(&self) -> i64 {
        self.0.pool_count
    }

    /// Their addresses (for prefixes /64s), on average.
    async fn avg_addresses_per_pool(&self) -> f64 {
        self.0.avg_addresses_per_pool
    }

    /// The fullest, at most 500 are known.
    #[graphql(complexity = "usize::from(first).saturating_mul(child_complexity)")]
    async fn pools(&self, #[graphql(default = 25)] first: u16) -> Vec<Pool> {
        self.0.pools.iter().take(usize::from(first)).map(Pool::from).collect()
    }
}

/// The figures of a family.
#[derive(SimpleObject)]
#[graphql(name = "IPv4LifecycleMetrics")]
pub(super) struct LifecycleMetrics {
    /// The tenant's id, a UUID.
    tenant_id: String,
    /// Every state, in the order of a life.
    state_counts: Vec<StateCount>,
    utilization: Utilization,
    pool_stats: PoolStats,
    /// Addresses allocated for a day without being used.
    leaks: i64,
}

impl From<api::LifecycleMetrics> for LifecycleMetrics {
    fn from(of: api::LifecycleMetrics) -> Self {
        let count = |state: State| StateCount {
            state: state.into(),
            count: of.state_counts.get(state.as_str()).copied().unwrap_or(0),
        };
        let used = &of.utilization;
        Self {
            state_counts: State::ALL.map(count).into(),
            utilization: Utilization {
                total: used.total,
                active: used.active,
                allocated: used.allocated,
                revoked: used.revoked,
                utilization_rate: used.utilization_rate,
                allocation_rate: used.allocation_rate,
            },
            leaks: of.leaks,
            tenant_id: of.tenant_id,
            pool_stats: PoolStats(of.pool_stats),
        }
    }
}

/// The figures of IPv6, addresses and prefixes together.
#[derive(SimpleObject)]
#[graphql(name = "IPv6LifecycleMetrics")]
pub(super) struct SixMetrics {
    #[graphql(flatten)]
    of: LifecycleMetrics,
}

impl From<api::LifecycleMetrics> for SixMetrics {
    fn from(of: api::LifecycleMetrics) -> Self {
        Self { of: of.into() }
    }
}
