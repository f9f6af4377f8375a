//! Identifiers made by us, one type per thing, so that a user's cannot be taken for a token's.

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an identifier")]
pub struct BadId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(uuid::Uuid);

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl $name {
            /// Its sixteen bytes.
            pub fn bytes(self) -> [u8; 16] {
                *self.0.as_bytes()
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                // Only the hyphenated form: one identifier has one spelling.
                if text.len() != 36 {
                    return Err(BadId);
                }
                uuid::Uuid::parse_str(text).map(Self).map_err(|_| BadId)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant: a company whose users, numbers and addresses nobody else sees.
    TenantId;
    /// Someone who signs in to Patchbay.
    OperatorId;
    /// An API token.
    TokenId;
    /// A person with an extension.
    UserId;
    /// A subnet.
    SubnetId;
    /// A pool of a subnet.
    PoolId;
    /// A server, gateway, printer or other machine with an address.
    HostId;
    /// A claim on an address that somebody else holds.
    ClaimId;
    /// One look at every address of a subnet.
    SweepId;
    /// Settings for many phones at once.
    ProfileId;
    /// A person or place outside, for the phone book.
    ContactId;
    /// Telling phones to fetch their files anew.
    NotificationId;
    /// A call to a system outside.
    CallId;
    /// A server that holds sessions of RADIUS.
    NasId;
    /// A block of IPv6 out of which prefixes are delegated.
    PrefixPoolId;
    /// One time somebody has an address or a prefix.
    AssignmentId;
    /// One run of a job.
    RunId;
    /// One run of a workflow.
    WorkflowId;
}

impl TenantId {
    /// The tenant every installation starts with.
    pub const DEFAULT: Self = Self(uuid::uuid!("a0000000-0000-0000-0000-000000000000"));
}
