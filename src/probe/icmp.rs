//! Ping: ICMP echo for IPv4 and IPv6.
//!
//! Linux has datagram sockets for exactly this, without privileges, for the groups in `net.ipv4.ping_group_range`
//! (icmp(7); it holds for IPv6 too). Where they are refused, raw sockets are tried, which need `CAP_NET_RAW`.
//!
//! On `socket2`, which the program contains anyway, and without `surge-ping`: that one brings its own packet library
//! and random numbers, and knows replies by identifier and sequence number alone, which whoever wants to look alive can
//! guess. Ours carry a number that only the asked address has seen.

mod packet;
mod sweep;
mod waiting;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use packet::Shape;
pub use sweep::{Echo, Pace, Swept, sweep};
use waiting::Waiting;

/// Room for replies while the program is busy elsewhere, in bytes; the kernel may grant less.
const RECEIVE_BYTES: usize = 1 << 20;

/// Why there is no ping. The sentence is for the operator.
#[derive(Debug, Error)]
pub enum PingError {
    /// Neither kind of socket may be opened.
    #[error(
        "the kernel lets this account send no pings; allow it with sysctl net.ipv4.ping_group_range=\"0 2147483647\", or give the program CAP_NET_RAW"
    )]
    NotPermitted,
    /// The machine has no such sockets, for example no IPv6.
    #[error("this machine has no {0}")]
    NoFamily(&'static str),
    /// Too many under way at once.
    #[error("too many pings are under way")]
    Busy,
    /// The kernel said no.
    #[error("the kernel does not send the ping: {0}")]
    Io(#[from] io::Error),
}

/// Sends echoes and knows their replies. Any number of callers may share one; dropped, it closes its sockets.
pub struct Pinger {
    v4: Result<Family, PingError>,
    v6: Result<Family, PingError>,
}

impl Pinger {
    /// Opens the sockets, inside a tokio runtime. `nonce` is a random number: replies that do not carry it do not
    /// count. It is an error only if neither family can be asked; see [`Pinger::ping`] for one of them.
    pub fn new(nonce: u64) -> Result<Self, PingError> {
        match (Family::open(&V4, nonce), Family::open(&V6, nonce)) {
            (Err(why), Err(_)) => Err(why),
            (v4, v6) => Ok(Self { v4, v6 }),
        }
    }

    /// Asks once and waits at most `timeout`. The time from request to reply; `None` is no answer, or that the network
    /// says at once that nobody is there. [`PingError::NotPermitted`] and [`PingError::NoFamily`] will not change while
    /// this pinger lives. IPv6 link-local addresses cannot be asked: they mean nothing without an interface.
    pub async fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Option<Duration>, PingError> {
        let family = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        match family {
            Ok(family) => family.ping(to, timeout).await,
            Err(PingError::NotPermitted) => Err(PingError::NotPermitted),
            Err(_) if to.is_ipv4() => Err(PingError::NoFamily(V4.name)),
            Err(_) => Err(PingError::NoFamily(V6.name)),
        }
    }
}

impl Echo for Pinger {
    async fn echo(&self, to: IpAddr, timeout: Duration) -> Result<Option<Duration>, PingError> {
        self.ping(to, timeout).await
    }
}

/// What differs between the families.
struct Kind {
    name: &'static str,
    domain: Domain,
    protocol: Protocol,
    any: IpAddr,
    datagram: Shape,
    raw: Shape,
}

const V4: Kind = Kind {
    name: "IPv4",
    domain: Domain::IPV4,
    protocol: Protocol::ICMPV4,
    any: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    datagram: Shape::V4,
    raw: Shape::V4WithHeader,
};

const V6: Kind = Kind {
    name: "IPv6",
    domain: Domain::IPV6,
    protocol: Protocol::ICMPV6,
    any: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    datagram: Shape::V6,
    raw: Shape::V6,
};

/// One family's socket and who waits on it.
struct Family {
    wire: Arc<Wire>,
    reader: JoinHandle<()>,
}

impl Drop for Family {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Wire {
    /// tokio's name for a socket that sends and receives with addresses; this one speaks ICMP.
    socket: UdpSocket,
    shape: Shape,
    identifier: u16,
    waiting: Waiting,
}

impl Family {
    fn open(kind: &Kind, nonce: u64) -> Result<Self, PingError> {
        let (socket, shape, identifier) = if let Ok(socket) = open(kind, Type::DGRAM) {
            // What is bound is the identifier that the kernel writes into requests and filters replies by.
            let bound = socket.local_addr()?.as_socket().map(|address| address.port());
            (socket, kind.datagram, bound.unwrap_or_default())
        } else {
            // A raw socket sees the replies of every program, and chooses its identifier.
            let socket = open(kind, Type::RAW).map_err(|error| refusal(kind, error))?;
            let [.., high, low] = nonce.to_be_bytes();
            (socket, kind.raw, u16::from_be_bytes([high, low]))
        };
        let socket = UdpSocket::from_std(socket.into())?;
        let wire = Arc::new(Wire { socket, shape, identifier, waiting: Waiting::new(nonce) });
        Ok(Self { reader: tokio::spawn(Arc::clone(&wire).read()), wire })
    }

    async fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Option<Duration>, PingError> {
        let mut place = self.wire.waiting.place(to).ok_or(PingError::Busy)?;
        let request = packet::request(self.wire.shape, self.wire.identifier, place.mark);
        let sent = Instant::now();
        let until = sent + timeout;
        match timeout_at(until, self.wire.socket.send_to(&request, SocketAddr::new(to, 0))).await {
            Err(_) => return Ok(None),
            Ok(Err(error)) if nobody(&error) => return Ok(None),
            Ok(done) => done?,
        };
        let heard = timeout_at(until, &mut place.heard).await;
        Ok(heard.ok().and_then(Result::ok).map(|at| at.saturating_duration_since(sent)))
    }
}

impl Wire {
    /// Hands every reply to who waits for it, for as long as the pinger lives.
    async fn read(self: Arc<Self>) {
        let mut buffer = [0; 1500];
        loop {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer).await else {
                // A socket's error is told once and about nothing that was asked here (an interface went away). Should
                // one stay, this is no reason to keep a processor busy.
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let at = Instant::now();
            let received = buffer.get(..length).unwrap_or_default();
            if let Some(mark) = packet::reply(self.shape, Some(self.identifier), received) {
                self.waiting.answer(from.ip(), mark, at);
            }
        }
    }
}

fn open(kind: &Kind, way: Type) -> io::Result<Socket> {
    let socket = Socket::new(kind.domain, way, Some(kind.protocol))?;
    socket.set_nonblocking(true)?;
    // Less room loses replies, which the next try repairs.
    let _ = socket.set_recv_buffer_size(RECEIVE_BYTES);
    if way == Type::DGRAM {
        socket.bind(&SocketAddr::new(kind.any, 0).into())?;
    }
    Ok(socket)
}

fn refusal(kind: &Kind, error: io::Error) -> PingError {
    /// Linux's numbers for a kernel without the protocol or the family; `std` has no names for them.
    const EPROTONOSUPPORT: i32 = 93;
    const EAFNOSUPPORT: i32 = 97;
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::PermissionDenied => PingError::NotPermitted,
        Some(EPROTONOSUPPORT | EAFNOSUPPORT) => PingError::NoFamily(kind.name),
        _ => PingError::Io(error),
    }
}

/// No way there, or nobody answered the question for the hardware address: an answer about the address, not a fault.
fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
}

#[cfg(test)]
mod tests;
