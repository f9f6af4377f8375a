//! What can be asked, and what can be done.

use async_graphql::{Context, Object, Result};

use super::Caller;
use super::inputs::{AllocateOptions, Known, OperationOptions};
use super::refusals::{forbidden, problem, refused};
use super::shapes::{Kind, LifecycleMetrics, LifecycleResult, SixMetrics, SixResult};
use crate::api::{Once, Problem};
use crate::auth::{Operator, Right};
use crate::lifecycle::api::{self, AllocateRequest, Asked, Look, Net, OperationRequest, Stopped};
use crate::lifecycle::{Operation, Refusal};

/// Everything that can be asked.
pub struct Query;

/// Everything that can be done.
pub struct Mutation;

/// What there is to say; in place of what is refused nothing, with the refusal beside it. (A field
/// whose function fails is left out altogether, where the specification has a null.)
fn said<T>(context: &Context<'_>, outcome: Result<T>) -> Option<T> {
    outcome
        .map_err(|error| {
            let error = error.into_server_error(context.item.pos);
            context.add_error(context.set_error_path(error));
        })
        .ok()
}

/// Whoever asks.
fn by<'a>(context: &Context<'a>) -> Result<&'a Operator> {
    Ok(&context.data::<Caller>()?.by)
}

async fn state(context: &Context<'_>, net: Net, at: Look) -> Result<Option<api::LifecycleResult>> {
    match api::look(net, by(context)?, at).await {
        Ok((_, found)) => Ok(Some(found)),
        Err(Stopped::Refused(Refusal::NotFound(_))) => Ok(None),
        Err(stopped) => Err(refused(stopped)),
    }
}

fn at(id: Known, role: Option<String>, of: Option<String>, kind: Option<Kind>) -> Look {
    Look {
        subscriber_id: id.0,
        subscriber_kind: of.unwrap_or_default(),
        kind: kind.map(Kind::as_str).unwrap_or_default().to_owned(),
        role: role.unwrap_or_default(),
    }
}

async fn figures(
    context: &Context<'_>,
    net: Net,
    tenant: Option<String>,
) -> Result<api::LifecycleMetrics> {
    let by = by(context)?;
    // Nobody sees another tenant's figures; to name one's own is allowed.
    if tenant.is_some_and(|tenant| tenant != by.tenant().to_string()) {
        let other = Problem::not_found("tenant here").field("tenant_id", &"it is not yours");
        return Err(problem(other));
    }
    api::measure(net, by).await.map_err(refused)
}

/// Does one thing, once if the request says what it is known by.
async fn done(context: &Context<'_>, net: Net, asked: Asked) -> Result<api::LifecycleResult> {
    let Caller { by, key } = context.data::<Caller>()?;
    if !by.may(Right::ManageAddresses) {
        return Err(forbidden());
    }
    // One request may do several things: each has a name of its own in the answer.
    let name = context.item.node.response_key().node.as_str();
    let once = Once::known_by(key.part(name), by.state(), &by.id());
    let answered = api::answer(net, by, &once, asked).await.map_err(refused)?;
    serde_json::from_slice(&answered.body).map_err(|error| problem(Problem::fault(&error)))
}

/// What one answers with who was given something.
async fn allocate<T: From<api::LifecycleResult>>(
    context: &Context<'_>,
    net: Net,
    asked: AllocateRequest,
) -> Option<T> {
    said(context, done(context, net, Asked::Allocate(Box::new(asked))).await).map(Into::into)
}

/// What one answers when something was done with what is there.
async fn operate<T: From<api::LifecycleResult>>(
    context: &Context<'_>,
    net: Net,
    operation: Operation,
    asked: OperationRequest,
) -> Option<T> {
    said(context, done(context, net, Asked::Step(operation, Box::new(asked))).await).map(Into::into)
}

/// As the other interfaces have it.
fn word(kind: Option<Kind>) -> Option<String> {
    kind.map(|kind| kind.as_str().to_owned())
}

/// What can be asked of assignments.
#[Object]
impl Query {
    /// A subscriber's IPv4 assignment: the live one, or the last there was.
    #[graphql(name = "ipv4LifecycleState", complexity = "5 + child_complexity")]
    async fn four_state(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        role: Option<String>,
        subscriber_kind: Option<String>,
    ) -> Option<LifecycleResult> {
        let at = at(subscriber_id, role, subscriber_kind, None);
        said(context, state(context, Net::V4, at).await).flatten().map(Into::into)
    }

    /// The figures of IPv4.
    #[graphql(name = "ipv4LifecycleMetrics", complexity = "20 + child_complexity")]
    async fn four_metrics(
        &self,
        context: &Context<'_>,
        tenant_id: Option<String>,
    ) -> Option<LifecycleMetrics> {
        said(context, figures(context, Net::V4, tenant_id).await).map(Into::into)
    }

    /// A subscriber's IPv6 assignment: the live one, or the last there was.
    #[graphql(name = "ipv6LifecycleState", complexity = "5 + child_complexity")]
    async fn six_state(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        role: Option<String>,
        subscriber_kind: Option<String>,
        kind: Option<Kind>,
    ) -> Option<SixResult> {
        let at = at(subscriber_id, role, subscriber_kind, kind);
        said(context, state(context, Net::V6, at).await).flatten().map(Into::into)
    }

    /// The figures of IPv6, addresses and prefixes together.
    #[graphql(name = "ipv6LifecycleMetrics", complexity = "20 + child_complexity")]
    async fn six_metrics(
        &self,
        context: &Context<'_>,
        tenant_id: Option<String>,
    ) -> Option<SixMetrics> {
        said(context, figures(context, Net::V6, tenant_id).await).map(Into::into)
    }
}

/// What can be done with assignments. Each is a change of its own: what comes after one that is
/// refused is done all the same.
#[Object]
impl Mutation {
    /// Gives a subscriber an IPv4 address: the lowest free one of the pool, or of any static pool.
    #[graphql(name = "allocateIPv4", complexity = "20 + child_complexity")]
    async fn allocate_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        pool_id: Option<Known>,
        options: Option<AllocateOptions>,
    ) -> Option<LifecycleResult> {
        let asked = options.unwrap_or_default().of(subscriber_id, pool_id);
        allocate(context, Net::V4, asked).await
    }

    /// Gives a subscriber an IPv6 address or prefix; a prefix if a size is named.
    #[graphql(name = "allocateIPv6", complexity = "20 + child_complexity")]
    async fn allocate_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        pool_id: Option<Known>,
        kind: Option<Kind>,
        prefix_size: Option<i64>,
        options: Option<AllocateOptions>,
    ) -> Option<SixResult> {
        let mut asked = options.unwrap_or_default().of(subscriber_id, pool_id);
        (asked.kind, asked.prefix_size) = (word(kind), prefix_size);
        allocate(context, Net::V6, asked).await
    }

    /// Takes it into use. RADIUS is told only if `sendCoA` is true.
    #[graphql(name = "activateIPv4", complexity = "20 + child_complexity")]
    async fn activate_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked = OperationRequest { send_coa, ..options.unwrap_or_default().of(subscriber_id) };
        operate(context, Net::V4, Operation::Activate, asked).await
    }

    /// Takes it into use. RADIUS is told only if `sendCoA` is true.
    #[graphql(name = "activateIPv6", complexity = "20 + child_complexity")]
    async fn activate_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            send_coa,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Activate, asked).await
    }

    /// Takes it out of use for now. RADIUS is told unless `sendCoA` is false.
    #[graphql(name = "suspendIPv4", complexity = "20 + child_complexity")]
    async fn suspend_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        reason: Option<String>,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked =
            OperationRequest { send_coa, reason, ..options.unwrap_or_default().of(subscriber_id) };
        operate(context, Net::V4, Operation::Suspend, asked).await
    }

    /// Takes it out of use for now. RADIUS is told unless `sendCoA` is false.
    #[graphql(name = "suspendIPv6", complexity = "20 + child_complexity")]
    async fn suspend_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        reason: Option<String>,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            reason,
            send_coa,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Suspend, asked).await
    }

    /// Lets it be used again. RADIUS is told unless `sendCoA` is false.
    #[graphql(name = "reactivateIPv4", complexity = "20 + child_complexity")]
    async fn reactivate_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked = OperationRequest { send_coa, ..options.unwrap_or_default().of(subscriber_id) };
        operate(context, Net::V4, Operation::Reactivate, asked).await
    }

    /// Lets it be used again. RADIUS is told unless `sendCoA` is false.
    #[graphql(name = "reactivateIPv6", complexity = "20 + child_complexity")]
    async fn reactivate_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        #[graphql(name = "sendCoA")] send_coa: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            send_coa,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Reactivate, asked).await
    }

    /// Ends it. RADIUS is told unless `sendDisconnect` is false; the address goes back to its pool unless
    /// `releaseToPool` is false.
    #[graphql(name = "revokeIPv4", complexity = "20 + child_complexity")]
    async fn revoke_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        release_to_pool: Option<bool>,
        send_disconnect: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked = OperationRequest {
            send_disconnect,
            release_to_pool,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V4, Operation::Revoke, asked).await
    }

    /// Ends it. RADIUS is told unless `sendDisconnect` is false; the address goes back to its pool unless
    /// `releaseToPool` is false.
    #[graphql(name = "revokeIPv6", complexity = "20 + child_complexity")]
    async fn revoke_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        release_to_pool: Option<bool>,
        send_disconnect: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            send_disconnect,
            release_to_pool,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Revoke, asked).await
    }

    /// Tries again what failed. A session it had is ended.
    #[graphql(name = "retryIPv4", complexity = "20 + child_complexity")]
    async fn retry_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        send_disconnect: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked =
            OperationRequest { send_disconnect, ..options.unwrap_or_default().of(subscriber_id) };
        operate(context, Net::V4, Operation::Retry, asked).await
    }

    /// Tries again what failed. A session it had is ended.
    #[graphql(name = "retryIPv6", complexity = "20 + child_complexity")]
    async fn retry_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        send_disconnect: Option<bool>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            send_disconnect,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Retry, asked).await
    }

    /// Marks it as failed.
    #[graphql(name = "failIPv4", complexity = "20 + child_complexity")]
    async fn fail_four(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        reason: Option<String>,
        options: Option<OperationOptions>,
    ) -> Option<LifecycleResult> {
        let asked = OperationRequest { reason, ..options.unwrap_or_default().of(subscriber_id) };
        operate(context, Net::V4, Operation::Fail, asked).await
    }

    /// Marks it as failed.
    #[graphql(name = "failIPv6", complexity = "20 + child_complexity")]
    async fn fail_six(
        &self,
        context: &Context<'_>,
        subscriber_id: Known,
        kind: Option<Kind>,
        reason: Option<String>,
        options: Option<OperationOptions>,
    ) -> Option<SixResult> {
        let asked = OperationRequest {
            kind: word(kind),
            reason,
            ..options.unwrap_or_default().of(subscriber_id)
        };
        operate(context, Net::V6, Operation::Fail, asked).await
    }
}
