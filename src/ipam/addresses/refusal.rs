//! Why something cannot be done with an address.

use super::types::Record;
use crate::id::AssignmentId;
use crate::ipam::class::Status;
use crate::net::Address;
use crate::web::Error;

/// Why something cannot be done with an address.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody has it.
    #[error("{address} is {status}: {by}")]
    Taken {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// Who holds or keeps it.
        by: String,
    },
    /// Nobody may have it.
    #[error("{address} is the {what} address of {subnet} and is never given out")]
    Never {
        /// Which.
        address: Address,
        /// What it is instead.
        what: &'static str,
        /// Where.
        subnet: String,
    },
    /// Not enough are free.
    #[error("{subnet} has no {wanted} free: {free} left")]
    Full {
        /// Where.
        subnet: String,
        /// What was asked for.
        wanted: String,
        /// How many there are.
        free: i128,
    },
    /// It lies in no subnet.
    #[error("{0} lies in no subnet; create one around it first")]
    NoSubnet(Address),
    /// It is not where it was looked for.
    #[error("{address} is not in {subnet}")]
    Elsewhere {
        /// Which.
        address: Address,
        /// Where it was looked for.
        subnet: String,
    },
    /// The status does not allow it.
    #[error("{address} is {from} and cannot become {to}{hint}")]
    Illegal {
        /// Which.
        address: Address,
        /// What it is.
        from: Status,
        /// What it should become.
        to: Status,
        /// What to do first.
        hint: &'static str,
    },
    /// Somebody else reserved it, or it is not reserved at all.
    #[error("{address} is {status}: {by}; only {whose} may change that")]
    NotYours {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// Whose it is.
        by: String,
        /// Who may.
        whose: &'static str,
    },
    /// It is held under an assignment.
    #[error(
        "{address} is assigned to {by}; only that assignment can end it: revoke it at /lifecycle/{assignment}"
    )]
    Assigned {
        /// Which.
        address: Address,
        /// Who holds it.
        by: String,
        /// Under which.
        assignment: AssignmentId,
    },
    /// A field that the status does not have.
    #[error("{address} is {status}: {why}")]
    Field {
        /// Which.
        address: Address,
        /// What it is.
        status: Status,
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such user.
    #[error("there is no user with this id")]
    NoHolder,
    /// There is no such subnet, pool or claim.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed {} meanwhile", .0.address)]
    Stale(Box<Record>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Refusal {
    /// The field it is about.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::NoHolder => Some("holder"),
            Self::Taken { .. }
            | Self::Assigned { .. }
            | Self::Never { .. }
            | Self::NoSubnet(_)
            | Self::Elsewhere { .. } => Some("address"),
            Self::Full { .. } => Some("count"),
            _ => None,
        }
    }
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusal>;
