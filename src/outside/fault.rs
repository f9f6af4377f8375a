//! Why a call to a system outside came to nothing.

use super::guard::Forbidden;

/// What went wrong, as an operator is told. An answer's own words are never part of it, except
/// what Kea and a RADIUS server say in the fields meant for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may not be called.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Its name has no address.
    #[error("the name {0} has no address; check it, and the machine's DNS")]
    Unknown(String),
    /// Nobody listens there.
    #[error("nobody listens at {0}; is the service running, and the port right?")]
    Refused(String),
    /// The way there is closed.
    #[error("{0} cannot be reached from this machine")]
    Unreachable(String),
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Silent(String),
    /// The answer broke off.
    #[error("{0} broke off in the middle of its answer")]
    Half(String),
    /// The answer is longer than Patchbay reads.
    #[error("the answer of {0} is longer than Patchbay reads")]
    Long(String),
    /// TLS could not be agreed on.
    #[error(
        "{0} shows a certificate that is not trusted; give the certificate of its authority, or correct the name"
    )]
    Certificate(String),
    /// An answer that is not what such a system says.
    #[error("{0} answers, but not as {1} does")]
    Garbage(String, &'static str),
    /// It does not know us.
    #[error("{0} refuses the credentials; check them")]
    Credentials(String),
    /// It knows us and will not.
    #[error("{0} does not allow this to the credentials given; grant them the right")]
    NotAllowed(String),
    /// An answer with a status of failure.
    #[error("{0} answered with status {1}")]
    Status(String, u16),
    /// It understood and refused.
    #[error("{0}")]
    Said(String),
    /// It refused, which may be otherwise the next time.
    #[error("{0}")]
    Declined(String),
    /// It understood and cannot at the moment.
    #[error("{0}; it is tried again")]
    Later(String),
    /// Something that only changes when a person does something.
    #[error("{0}")]
    Never(String),
}

impl Fault {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Status(_, status) => *status >= 500 || *status == 429 || *status == 408,
            Self::Said(_) | Self::Never(_) => false,
            _ => true,
        }
    }

    /// Whether the system as a whole is not to be had, so that other calls would fail alike.
    pub fn is_general(&self) -> bool {
        !matches!(self, Self::Said(_) | Self::Never(_) | Self::Declined(_) | Self::Later(_))
    }
}

/// What a system said of itself, made harmless: one line, at most 200 characters.
pub fn quoted(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if crate::text::is_invisible(c) { ' ' } else { c })
        .take(200)
        .collect();
    line.trim().to_owned()
}
