//! What a request says beside the arguments everybody knows.

use async_graphql::{
    InputObject, InputValueError, InputValueResult, Json, Scalar, ScalarType, Value,
};

use crate::lifecycle::api::{AllocateRequest, OperationRequest};

/// By what a subscriber or a pool is known: a UUID where Patchbay made it; a phone's MAC; for
/// subscribers known elsewhere, whatever they are known by there.
pub(super) struct Known(pub(super) String);

#[Scalar(name = "UUID")]
impl ScalarType for Known {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// What else may be said of an allocation.
#[derive(Default, InputObject)]
pub(super) struct AllocateOptions {
    /// `user`, `phone`, `host` or `external`; without it a user or host of this id, or external.
    subscriber_kind: Option<String>,
    /// What someone external, or a phone, is called.
    subscriber_name: Option<String>,
    /// What for; a subscriber has one of each. Without it `primary`.
    role: Option<String>,
    /// Any static pool of this subnet.
    subnet_id: Option<Known>,
    /// This address or prefix, and no other.
    requested_address: Option<String>,
    /// What the machine is called.
    hostname: Option<String>,
    /// Its interface, for which DHCP reserves the address.
    mac: Option<String>,
    /// An object of whatever is to be remembered: at most 32 entries and 8 KiB.
    metadata: Option<Json<serde_json::Value>>,
    /// The name of the session, as the NAS knows it.
    username: Option<String>,
    /// The NAS.
    nas_ip: Option<String>,
    /// Whether NetBox is told; without it yes.
    update_netbox: Option<bool>,
}

impl AllocateOptions {
    /// The request these are of.
    pub(super) fn of(self, subscriber: Known, pool: Option<Known>) -> AllocateRequest {
        AllocateRequest {
            subscriber_id: subscriber.0,
            subscriber_kind: self.subscriber_kind,
            subscriber_name: self.subscriber_name,
            role: self.role,
            pool_id: pool.map(|pool| pool.0),
            subnet_id: self.subnet_id.map(|subnet| subnet.0),
            requested_address: self.requested_address,
            hostname: self.hostname,
            mac: self.mac,
            metadata: self.metadata.map(|metadata| metadata.0),
            username: self.username,
            nas_ip: self.nas_ip,
            update_netbox: self.update_netbox,
            ..AllocateRequest::default()
        }
    }
}

/// What else may be said of an operation.
#[derive(Default, InputObject)]
pub(super) struct OperationOptions {
    /// `user`, `phone`, `host` or `external`, if several have this id.
    subscriber_kind: Option<String>,
    /// The role, if there are several.
    role: Option<String>,
    /// The name of the session, as the NAS knows it; without it the one said before, or the
    /// subscriber's id.
    username: Option<String>,
    /// The NAS; without it the one said before, or the tenant's own.
    nas_ip: Option<String>,
    /// Whether NetBox is told; without it yes.
    update_netbox: Option<bool>,
    /// An object, merged on top of what is remembered.
    metadata: Option<Json<serde_json::Value>>,
}

impl OperationOptions {
    /// The request these are of.
    pub(super) fn of(self, subscriber: Known) -> OperationRequest {
        OperationRequest {
            subscriber_id: subscriber.0,
            subscriber_kind: self.subscriber_kind,
            role: self.role,
            username: self.username,
            nas_ip: self.nas_ip,
            update_netbox: self.update_netbox,
            metadata: self.metadata.map(|metadata| metadata.0),
            ..OperationRequest::default()
        }
    }
}
