//! The exchange: a packet, the same packet again if nobody answers, and the answer.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::packet::{BadPacket, Request, answer_of, cause};
use crate::outside::guard::Allowed;
use crate::outside::{Fault, Key};

/// How long each sending of a packet waits for the answer: three tries, seven seconds.
pub const WAITS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// A server that holds sessions.
#[derive(Clone, Debug)]
pub struct Nas {
    /// Its address.
    pub ip: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// What both sides sign with.
    pub secret: Key,
}

/// How patiently one asks, and whom one may.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// What an administrator allowed.
    pub allowed: &'a Allowed,
    /// How long each sending waits.
    pub waits: &'a [Duration],
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Acknowledged,
    /// There is no such session, so there is nothing to do.
    NoSession,
}

impl Nas {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        format!("the NAS at {}", SocketAddr::new(self.ip, self.port))
    }
}

/// Sends a request until it is answered. Each call has a socket of its own, so that an answer
/// belongs to it alone and a closed port is noticed.
pub async fn ask(nas: &Nas, request: &Request<'_>, how: Exchange<'_>) -> Result<Reply, Fault> {
    how.allowed.permits(&nas.ip.to_string(), nas.ip, nas.port, super::PORTS)?;
    if request.texts().any(|text| text.len() > 253) {
        return Err(Fault::Never(
            "a name in the request is longer than the 253 bytes RADIUS has for it".into(),
        ));
    }
    let packet = request.bytes(nas.secret.expose().as_bytes());
    let socket = open(nas).await.map_err(|_| Fault::Unreachable(nas.name()))?;
    let mut disbelieved = false;
    for wait in how.waits {
        match socket.send(&packet).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(Fault::Refused(nas.name()));
            }
            Err(_) => return Err(Fault::Unreachable(nas.name())),
        }
        if let Some(answer) = receive(&socket, nas, &packet, *wait, &mut disbelieved).await? {
            return verdict(nas, &answer);
        }
    }
    Err(if disbelieved {
        Fault::Garbage(nas.name(), "a NAS with this secret")
    } else {
        Fault::Silent(nas.name())
    })
}

async fn open(nas: &Nas) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = match nas.ip {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect((nas.ip, nas.port)).await?;
    Ok(socket)
}

/// The answer that comes in time. Whatever is not signed is passed over, and remembered.
async fn receive(
    socket: &UdpSocket,
    nas: &Nas,
    sent: &[u8],
    wait: Duration,
    disbelieved: &mut bool,
) -> Result<Option<super::packet::Answer>, Fault> {
    let until = Instant::now() + wait;
    let mut buffer = [0; 4096];
    loop {
        let length = match timeout_at(until, socket.recv(&mut buffer)).await {
            Err(_) => return Ok(None),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(Fault::Refused(nas.name()));
            }
            Ok(Err(_)) => return Err(Fault::Unreachable(nas.name())),
            Ok(Ok(length)) => length,
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        match answer_of(sent, bytes, nas.secret.expose().as_bytes()) {
            Ok(answer) => return Ok(Some(answer)),
            Err(BadPacket::Other) => {}
            Err(BadPacket::Form | BadPacket::Forged) => *disbelieved = true,
        }
    }
}

fn verdict(nas: &Nas, answer: &super::packet::Answer) -> Result<Reply, Fault> {
    if answer.acknowledged {
        return Ok(Reply::Acknowledged);
    }
    let number = answer.cause.unwrap_or(0);
    if number == 503 {
        return Ok(Reply::NoSession);
    }
    let (words, may_pass) = cause(number);
    let mut sentence = match answer.cause {
        Some(number) => format!("{} refuses: {words} (Error-Cause {number})", nas.name()),
        None => format!("{} refuses without saying why", nas.name()),
    };
    if !answer.message.is_empty() {
        sentence = format!("{sentence}: \u{201c}{}\u{201d}", answer.message);
    }
    Err(if may_pass { Fault::Later(sentence) } else { Fault::Said(sentence) })
}
