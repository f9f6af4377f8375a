//! Packets as bytes (RFC 2865 section 3, RFC 5176 section 2.3).

use std::net::IpAddr;

use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::net::{Address, Cidr};
use crate::outside::Leased;

/// Octets before the attributes: code, identifier, length, authenticator.
const HEADER: usize = 20;
/// The longest packet (RFC 2865 section 3).
const LONGEST: usize = 4096;

const USER_NAME: u8 = 1;
const NAS_IP_ADDRESS: u8 = 4;
const FRAMED_IP_ADDRESS: u8 = 8;
const FILTER_ID: u8 = 11;
const REPLY_MESSAGE: u8 = 18;
const ACCT_SESSION_ID: u8 = 44;
const EVENT_TIMESTAMP: u8 = 55;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const NAS_IPV6_ADDRESS: u8 = 95;
const FRAMED_IPV6_PREFIX: u8 = 97;
const ERROR_CAUSE: u8 = 101;
const DELEGATED_IPV6_PREFIX: u8 = 123;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Change the session.
    Coa,
    /// End the session.
    Disconnect,
}

impl Code {
    /// The octet of the request; the positive answer has the next, the negative the one after.
    pub fn request(self) -> u8 {
        match self {
            Self::Disconnect => 40,
            Self::Coa => 43,
        }
    }
}

/// Which session is meant. What is not known is left out; the NAS must find exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What the subscriber signed in as: at most 253 octets.
    pub user_name: Option<String>,
    /// What the NAS calls the session: at most 253 octets.
    pub acct_session_id: Option<String>,
    /// The NAS that holds it; the default one if none is named.
    pub nas: Option<IpAddr>,
}

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is asked for.
    pub code: Code,
    /// The packet's number, the same whenever it is sent again.
    pub identifier: u8,
    /// When this was decided, in seconds since 1970, the same whenever it is sent again.
    pub at: u32,
    /// The NAS's own address.
    pub nas: IpAddr,
    /// The session.
    pub session: &'a Session,
    /// What the session has.
    pub leased: Leased,
    /// The filter to put it under: at most 253 octets.
    pub filter: Option<&'a str>,
}

/// Why bytes are no answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// Too short, too long, or lengths that do not add up.
    #[error("it is no RADIUS packet")]
    Form,
    /// To another request.
    #[error("it answers another request")]
    Other,
    /// Signed with another secret, or altered.
    #[error("it is not signed with this secret")]
    Forged,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was done.
    pub acknowledged: bool,
    /// Why not (RFC 5176 section 3.5).
    pub cause: Option<u32>,
    /// In the NAS's own words, made harmless.
    pub message: String,
}

impl Request<'_> {
    /// The bytes to send.
    pub fn bytes(&self, secret: &[u8]) -> Vec<u8> {
        let mut packet = vec![self.code.request(), self.identifier, 0, 0];
        packet.extend([0; 16]);
        // First, so that nothing an attacker chose comes before it.
        put(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
        for (kind, value) in self.attributes() {
            put(&mut packet, kind, &value);
        }
        let length = u16::try_from(packet.len()).unwrap_or(0).to_be_bytes();
        write(&mut packet, 2, &length);
        // RFC 5176 section 3: both authenticators count as zeros here.
        let signature = message_authenticator(&packet, secret);
        write(&mut packet, HEADER + 2, &signature);
        let authenticator = digest(&[&packet, secret]);
        write(&mut packet, 4, &authenticator);
        packet
    }

    /// The texts it carries.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let session = [&self.session.user_name, &self.session.acct_session_id];
        session.into_iter().filter_map(|text| text.as_deref()).chain(self.filter)
    }

    fn attributes(&self) -> Vec<(u8, Vec<u8>)> {
        let text = |value: &Option<String>| value.as_ref().map(|text| text.clone().into_bytes());
        let nas = match self.nas {
            IpAddr::V4(ip) => (NAS_IP_ADDRESS, ip.octets().to_vec()),
            IpAddr::V6(ip) => (NAS_IPV6_ADDRESS, ip.octets().to_vec()),
        };
        let optional = [
            (USER_NAME, text(&self.session.user_name)),
            (ACCT_SESSION_ID, text(&self.session.acct_session_id)),
            (FILTER_ID, self.filter.map(|filter| filter.as_bytes().to_vec())),
        ];
        let optional = optional.into_iter().filter_map(|(kind, value)| Some((kind, value?)));
        let stamp = (EVENT_TIMESTAMP, self.at.to_be_bytes().to_vec());
        [nas, leased(self.leased)].into_iter().chain(optional).chain([stamp]).collect()
    }
}

/// An IPv4 address as its four octets; anything of IPv6 as a prefix, for it is by
/// Framed-IPv6-Prefix and Delegated-IPv6-Prefix that RFC 5176 section 3 lets sessions be found.
fn leased(leased: Leased) -> (u8, Vec<u8>) {
    match leased {
        Leased::Address(address) => match address.ip() {
            IpAddr::V4(ip) => (FRAMED_IP_ADDRESS, ip.octets().to_vec()),
            IpAddr::V6(_) => (FRAMED_IPV6_PREFIX, prefix(address, 128)),
        },
        Leased::Delegated(cidr) => (DELEGATED_IPV6_PREFIX, prefix_of(cidr)),
    }
}

fn prefix_of(cidr: Cidr) -> Vec<u8> {
    prefix(cidr.network(), cidr.length())
}

/// RFC 3162 section 2.3 and RFC 4818 section 3: a reserved zero, the length in bits, and as many
/// octets of the prefix as its length needs; bits behind it are zero.
fn prefix(network: Address, length: u8) -> Vec<u8> {
    let mut value = vec![0, length];
    value.extend(network.key().into_iter().take(usize::from(length.div_ceil(8))));
    value
}

/// Reads the answer to a request that was sent as `sent`.
pub fn answer_of(sent: &[u8], bytes: &[u8], secret: &[u8]) -> Result<Answer, BadPacket> {
    let &[code, identifier, high, low, ..] = bytes else { return Err(BadPacket::Form) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    // Octets behind the length are padding (RFC 2865 section 3).
    let packet = bytes.get(..length).ok_or(BadPacket::Form)?;
    if !(HEADER..=LONGEST).contains(&length) {
        return Err(BadPacket::Form);
    }
    let request = sent.first().copied().unwrap_or_default();
    if sent.get(1) != Some(&identifier) || (code != request + 1 && code != request + 2) {
        return Err(BadPacket::Other);
    }
    let (authenticator, attributes) = (packet.get(4..HEADER), packet.get(HEADER..));
    let (authenticator, attributes) = authenticator.zip(attributes).ok_or(BadPacket::Form)?;
    let asked = sent.get(4..HEADER).ok_or(BadPacket::Form)?;
    let head = packet.get(..4).ok_or(BadPacket::Form)?;
    let right = digest(&[head, asked, attributes, secret]);
    if !bool::from(right.ct_eq(authenticator)) {
        return Err(BadPacket::Forged);
    }
    let parsed = parse(attributes)?;
    if let Some((place, signature)) = parsed.signature {
        let mut blank = packet.to_vec();
        write(&mut blank, 4, asked);
        write(&mut blank, HEADER + place, &[0; 16]);
        if !bool::from(message_authenticator(&blank, secret).ct_eq(&signature)) {
            return Err(BadPacket::Forged);
        }
    }
    Ok(Answer { acknowledged: code == request + 1, cause: parsed.cause, message: parsed.message })
}

#[derive(Default)]
struct Parsed {
    cause: Option<u32>,
    message: String,
    /// Where its value begins among the attributes.
    signature: Option<(usize, [u8; 16])>,
}

fn parse(mut rest: &[u8]) -> Result<Parsed, BadPacket> {
    let (whole, mut parsed) = (rest.len(), Parsed::default());
    while let [kind, length, ..] = rest {
        let length = usize::from(*length);
        let value = rest.get(2..length).ok_or(BadPacket::Form)?;
        let place = whole - rest.len() + 2;
        match *kind {
            ERROR_CAUSE => parsed.cause = value.try_into().ok().map(u32::from_be_bytes),
            REPLY_MESSAGE => {
                parsed.message = crate::outside::fault::quoted(&String::from_utf8_lossy(value));
            }
            MESSAGE_AUTHENTICATOR => {
                let signature = value.try_into().map_err(|_| BadPacket::Form)?;
                parsed.signature = Some((place, signature));
            }
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    if rest.is_empty() { Ok(parsed) } else { Err(BadPacket::Form) }
}

fn put(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    // The longest value an attribute can have; the exchange refuses longer ones before.
    let value = value.get(..253).unwrap_or(value);
    packet.push(kind);
    packet.push(u8::try_from(value.len() + 2).unwrap_or(2));
    packet.extend_from_slice(value);
}

fn write(packet: &mut [u8], at: usize, bytes: &[u8]) {
    packet.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    parts.iter().fold(Md5::new(), md5::Digest::chain_update).finalize().into()
}

/// HMAC-MD5 (RFC 3579 section 3.2) over a packet as it stands.
fn message_authenticator(packet: &[u8], secret: &[u8]) -> [u8; 16] {
    // HMAC takes keys of any length: a long one is hashed, a short one filled up with zeros.
    let mut block = [0; 64];
    if secret.len() > block.len() {
        write(&mut block, 0, &digest(&[secret]));
    } else {
        write(&mut block, 0, secret);
    }
    let mut mac = <Hmac<Md5> as hmac::KeyInit>::new(&block.into());
    mac.update(packet);
    mac.finalize().into_bytes().into()
}

/// What a value of Error-Cause means (RFC 5176 section 3.5), and whether waiting may help.
pub fn cause(value: u32) -> (&'static str, bool) {
    match value {
        201 => ("the leftover of the session was removed", false),
        202 => ("the packet was not valid; it is ignored", false),
        401 => ("the NAS does not know an attribute that was sent", false),
        402 => ("the NAS misses an attribute", false),
        403 => ("the NAS says it is another NAS; check its address", false),
        404 => ("the NAS takes the request for invalid", false),
        405 => ("the NAS does not offer this service", false),
        406 => ("the NAS does not support this extension", false),
        407 => {
            ("the NAS does not take the value of an attribute; check the name of the filter", false)
        }
        501 => ("the NAS's administrator forbids it", false),
        502 => ("a proxy knows no way to the NAS", true),
        503 => ("the NAS has no such session", false),
        504 => ("the session cannot be ended", false),
        505 => ("a proxy could not do it", true),
        506 => ("the NAS has not the means at the moment", true),
        507 => ("the NAS has begun and will report elsewhere", false),
        508 => ("the NAS cannot select several sessions at once", false),
        509 => ("the NAS wants to know the location", false),
        _ => ("the NAS gives a reason that is not in the standard", false),
    }
}

#[cfg(test)]
mod tests;
