//! The name of an address, asked of a DNS server when somebody wants to see it.
//!
//! One question for one PTR record over UDP. We wrote this because a resolver library is far more than that (caches,
//! several protocols, the packages they need), and because each network has its own servers here, not the machine.

mod message;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UdpSocket;

use message::Answer;

/// Where the machine's own servers stand (resolv.conf(5)).
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The most servers taken from [`RESOLV_CONF`], as the C library does.
const MOST_SERVERS: usize = 3;
/// The longest answer read, in bytes; without EDNS it is 512.
const ANSWER_BYTES: usize = 1232;

/// Why there is no name and no certainty that there is none. The sentence is for the operator.
#[derive(Debug, Error)]
pub enum NameError {
    /// An empty list of servers.
    #[error("no DNS server is known for this address: name one for its subnet")]
    NoServer,
    /// No right answer came in time.
    #[error("the DNS server does not answer")]
    Timeout,
    /// The server answered with this error number, RCODE of RFC 1035 section 4.1.1 (5 is "refused").
    #[error("the DNS server answers with error {0}")]
    Refused(u16),
    /// The answer does not fit into a datagram.
    #[error("the DNS server's answer is too long")]
    Truncated,
    /// The answer breaks the protocol's rules.
    #[error("the DNS server's answer is garbled")]
    Garbled,
    /// The network said no.
    #[error("the DNS server cannot be asked: {0}")]
    Io(#[from] io::Error),
}

/// The name that `servers` give for `address`; `None` if they say there is none, or if it is not the plain text of a
/// host name (letters, digits, `-`, `_`, `.`, at most 253): whoever owns the zone writes it.
///
/// Servers are asked one after the other until one answers, each for at most `timeout`; the error is the last one's.
/// `id` is a random number, which makes forging an answer harder.
pub async fn reverse(
    address: IpAddr,
    servers: &[SocketAddr],
    id: u16,
    timeout: Duration,
) -> Result<Option<String>, NameError> {
    let mut last = NameError::NoServer;
    for server in servers {
        let asked = tokio::time::timeout(timeout, ask(address, *server, id)).await;
        match asked.unwrap_or(Err(NameError::Timeout)) {
            Ok(Answer::Name(name)) => return Ok(name),
            Ok(Answer::Nothing) => return Ok(None),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(address: IpAddr, server: SocketAddr, id: u16) -> Result<Answer, NameError> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A new socket for each question has a port that nobody can guess, and connected it hears only the server
    // (RFC 5452 section 9.2).
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&message::question(address, id)).await?;
    let mut buffer = [0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = message::answer(address, id, received) {
            return answer;
        }
    }
}

/// The servers that this machine uses, from [`RESOLV_CONF`].
pub async fn system_servers(path: &Path) -> io::Result<Vec<SocketAddr>> {
    Ok(servers(&tokio::fs::read_to_string(path).await?))
}

/// The first three `nameserver` lines of a resolv.conf(5), all on port 53. Link-local addresses with an interface
/// (`fe80::1%eth0`) are left out.
pub fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
            Some(SocketAddr::new(address.parse().ok()?, 53))
        })
        .take(MOST_SERVERS)
        .collect()
}

#[cfg(test)]
mod tests;
