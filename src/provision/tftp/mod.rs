//! A TFTP server that only reads, for phones that know nothing else when they are new.
//!
//! It has no files: a name leads to bytes by a function of it (`bootstrap`),
//! and what those say is no secret. Lost packets are sent again when the client stays silent, and
//! only then: answering a second acknowledgement of the same block would send every later block
//! twice (RFC 1123, section 4.2.3.1).

pub mod packet;

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use packet::{Packet, Request, block, in_mode};

/// Files being sent at once, in all and to one address. Who comes too many asks again.
const MOST: usize = 128;
const MOST_TO_ONE: usize = 4;
/// Times a block is sent before the client is given up.
const TRIES: u32 = 5;
/// The longest packet read: a request has at most 512 bytes, an acknowledgement 4.
const LONGEST: usize = 1024;

const NOT_FOUND: u16 = 1;
const ACCESS: u16 = 2;
const ILLEGAL: u16 = 4;
const UNKNOWN_PORT: u16 = 5;

/// Whom a file is sent to at the moment, and how many.
type Busy = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Answers requests on `socket` until `leave` is true. `find` gives the bytes for a file's name
/// and the address that asks.
pub async fn serve<F, A>(socket: UdpSocket, find: F, mut leave: watch::Receiver<bool>)
where
    F: Fn(String, SocketAddr) -> A,
    A: Future<Output = Option<Vec<u8>>>,
{
    let local = socket.local_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
    let (mut sending, busy) = (JoinSet::new(), Busy::default());
    let mut buffer = [0; LONGEST];
    loop {
        let received = tokio::select! {
            biased;
            changed = leave.changed() => match changed {
                Ok(()) if !*leave.borrow() => continue,
                _ => return,
            },
            received = socket.recv_from(&mut buffer) => received,
        };
        while sending.try_join_next().is_some() {}
        // An error is about an earlier packet whose receiver was gone.
        let Ok((length, peer)) = received else { continue };
        let answer = match Packet::parse(buffer.get(..length).unwrap_or_default()) {
            Ok(Packet::Read(request)) => match accept(&request, peer, &busy, sending.len()) {
                Ok(Some(turn)) => {
                    let Some(content) = find(request.file.clone(), peer).await else {
                        let refusal = error(NOT_FOUND, "there is no such file");
                        let _ = socket.send_to(&refusal.bytes(), peer).await;
                        continue;
                    };
                    let content = in_mode(&request.mode, content);
                    sending.spawn(async move {
                        if let Err(error) = send(local, peer, &request, &content).await {
                            tracing::debug!(%error, %peer, "a file was not sent to its end");
                        }
                        drop(turn);
                    });
                    continue;
                }
                Ok(None) => continue,
                Err(refusal) => refusal,
            },
            Ok(Packet::Write) => error(ACCESS, "nothing is written here"),
            Ok(Packet::Error { .. }) | Err(_) => continue,
            Ok(_) => error(ILLEGAL, "ask for a file first"),
        };
        let _ = socket.send_to(&answer.bytes(), peer).await;
    }
}

/// One of the files being sent to an address.
struct Turn(Busy, IpAddr);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.1);
            }
        }
    }
}

/// Whether the request can be followed now; `None` when there are too many.
fn accept(
    request: &Request,
    peer: SocketAddr,
    busy: &Busy,
    sending: usize,
) -> Result<Option<Turn>, Packet> {
    if !matches!(request.mode.as_str(), "octet" | "netascii") {
        return Err(error(ILLEGAL, "use the mode octet"));
    }
    let mut counts = busy.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.get(&peer.ip()).copied().unwrap_or(0);
    if sending >= MOST || count >= MOST_TO_ONE {
        return Ok(None);
    }
    counts.insert(peer.ip(), count + 1);
    Ok(Some(Turn(Arc::clone(busy), peer.ip())))
}

fn error(code: u16, message: &str) -> Packet {
    Packet::Error { code, message: message.to_owned() }
}

/// Sends a file from a port of its own, block after block, each when the one before arrived.
async fn send(
    local: IpAddr,
    peer: SocketAddr,
    request: &Request,
    content: &[u8],
) -> std::io::Result<()> {
    let socket = UdpSocket::bind((local, 0)).await?;
    let (terms, agreed) = request.terms(content.len());
    let wait = Duration::from_secs(terms.timeout);
    if !agreed.is_empty() {
        exchange(&socket, peer, &Packet::Options(agreed), 0, wait).await?;
    }
    let mut number: usize = 1;
    while let Some(data) = block(content, number, terms.block) {
        let data = data.to_vec();
        let last = data.len() < terms.block;
        let wire = u16::try_from(number & 0xffff).unwrap_or(0);
        exchange(&socket, peer, &Packet::Data { block: wire, data }, wire, wait).await?;
        if last {
            break;
        }
        number += 1;
    }
    Ok(())
}

/// Sends a packet until `expected` is acknowledged.
async fn exchange(
    socket: &UdpSocket,
    peer: SocketAddr,
    packet: &Packet,
    expected: u16,
    wait: Duration,
) -> std::io::Result<()> {
    let bytes = packet.bytes();
    let mut buffer = [0; LONGEST];
    for _ in 0..TRIES {
        socket.send_to(&bytes, peer).await?;
        let until = Instant::now() + wait;
        while let Ok(received) = timeout_at(until, socket.recv_from(&mut buffer)).await {
            let (length, from) = received?;
            if from != peer {
                let refusal = error(UNKNOWN_PORT, "this port is somebody else's");
                socket.send_to(&refusal.bytes(), from).await?;
                continue;
            }
            match Packet::parse(buffer.get(..length).unwrap_or_default()) {
                Ok(Packet::Ack(block)) if block == expected => return Ok(()),
                Ok(Packet::Error { message, .. }) => return Err(std::io::Error::other(message)),
                // An acknowledgement that came twice, or nothing we understand.
                _ => {}
            }
        }
    }
    Err(std::io::ErrorKind::TimedOut.into())
}
