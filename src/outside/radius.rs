//! Dynamic authorisation of RADIUS (RFC 5176): a session is changed or ended by a packet to the
//! server that holds it (the NAS), over UDP.
//!
//! A packet is a function of its identifier, its time, its attributes and the secret. Whoever
//! keeps identifier and time can therefore send the very same packet again after a crash, and the
//! NAS can tell that it is the same.

mod client;
mod packet;

pub use client::{Exchange, Nas, Reply, WAITS, ask};
pub use packet::{BadPacket, Code, Request, Session, answer_of, cause};

/// The port a NAS listens on (RFC 5176 section 2), and the one it had before.
pub const PORTS: &[u16] = &[3799, 1700];
/// Seconds after which a NAS takes a packet for an old one (RFC 5176 section 6.3 advises 300).
pub const FRESH: i64 = 240;
