//! TFTP as it goes over the wire: RFC 1350, options by RFC 2347, 2348 and 2349.

/// A packet. Text is bytes: what a client sends is not always UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// RRQ: a client wants a file.
    Read(Request),
    /// WRQ: a client wants to write one.
    Write,
    /// A block of the file.
    Data {
        /// Its number; the first is 1, and after 65,535 comes 0.
        block: u16,
        /// Less than a whole block is the last.
        data: Vec<u8>,
    },
    /// A block, or with 0 the options, arrived.
    Ack(u16),
    /// It is over.
    Error {
        /// One of the numbers of RFC 1350, section 5.
        code: u16,
        /// What a person may read.
        message: String,
    },
    /// OACK: the options agreed to.
    Options(Vec<(String, String)>),
}

/// What a client wants to read, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The file's name as sent.
    pub file: String,
    /// `octet` or `netascii`, in lower case.
    pub mode: String,
    /// Options in the order sent, names in lower case.
    pub options: Vec<(String, String)>,
}

/// Not a packet of TFTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no packet of TFTP")]
pub struct BadPacket;

/// Bytes a request may have: RFC 2347 says 512.
const LONGEST_REQUEST: usize = 512;

impl Packet {
    /// Reads a packet.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPacket> {
        let (kind, rest) = number(bytes)?;
        match kind {
            1 if bytes.len() <= LONGEST_REQUEST => request(rest).map(Self::Read),
            2 if bytes.len() <= LONGEST_REQUEST => request(rest).map(|_| Self::Write),
            3 => number(rest).map(|(block, data)| Self::Data { block, data: data.to_vec() }),
            4 => match number(rest)? {
                (block, []) => Ok(Self::Ack(block)),
                _ => Err(BadPacket),
            },
            5 => {
                let (code, rest) = number(rest)?;
                let (message, _) = text(rest)?;
                Ok(Self::Error { code, message })
            }
            6 => pairs(rest).map(Self::Options),
            _ => Err(BadPacket),
        }
    }

    /// The packet's bytes. A NUL in a text would end it early, and is left out.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let number = u16::to_be_bytes;
        match self {
            Self::Read(request) => {
                bytes.extend(number(1));
                put(&mut bytes, &request.file);
                put(&mut bytes, &request.mode);
                for (name, value) in &request.options {
                    put(&mut bytes, name);
                    put(&mut bytes, value);
                }
            }
            Self::Write => {
                bytes.extend(number(2));
                put(&mut bytes, "");
                put(&mut bytes, "octet");
            }
            Self::Data { block, data } => {
                bytes.extend(number(3));
                bytes.extend(number(*block));
                bytes.extend(data);
            }
            Self::Ack(block) => {
                bytes.extend(number(4));
                bytes.extend(number(*block));
            }
            Self::Error { code, message } => {
                bytes.extend(number(5));
                bytes.extend(number(*code));
                put(&mut bytes, message);
            }
            Self::Options(options) => {
                bytes.extend(number(6));
                for (name, value) in options {
                    put(&mut bytes, name);
                    put(&mut bytes, value);
                }
            }
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.bytes().filter(|byte| *byte != 0));
    bytes.push(0);
}

fn number(bytes: &[u8]) -> Result<(u16, &[u8]), BadPacket> {
    let (two, rest) = bytes.split_first_chunk::<2>().ok_or(BadPacket)?;
    Ok((u16::from_be_bytes(*two), rest))
}

/// The text up to the next NUL.
fn text(bytes: &[u8]) -> Result<(String, &[u8]), BadPacket> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(BadPacket)?;
    let (text, rest) = bytes.split_at_checked(end).ok_or(BadPacket)?;
    let text = std::str::from_utf8(text).map_err(|_| BadPacket)?;
    Ok((text.to_owned(), rest.get(1..).unwrap_or_default()))
}

fn request(bytes: &[u8]) -> Result<Request, BadPacket> {
    let (file, rest) = text(bytes)?;
    let (mode, rest) = text(rest)?;
    Ok(Request { file, mode: mode.to_ascii_lowercase(), options: pairs(rest)? })
}

fn pairs(mut rest: &[u8]) -> Result<Vec<(String, String)>, BadPacket> {
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, after) = text(rest)?;
        let (value, after) = text(after)?;
        pairs.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
    Ok(pairs)
}

/// How a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes a block.
    pub block: usize,
    /// Seconds until a block is sent again.
    pub timeout: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { block: 512, timeout: 1 }
    }
}

/// The largest block agreed to: what fits an Ethernet frame whole.
const LARGEST_BLOCK: usize = 1428;

impl Request {
    /// What is agreed to of what the client asked for, and the options to say so with; none when
    /// it asked for nothing we know. `size` is the file's length.
    pub fn terms(&self, size: usize) -> (Terms, Vec<(String, String)>) {
        let (mut terms, mut agreed) = (Terms::default(), Vec::new());
        for (name, value) in &self.options {
            let Ok(number) = value.parse::<usize>() else { continue };
            let said = match (name.as_str(), number) {
                ("blksize", 8..=65_464) => {
                    terms.block = number.min(LARGEST_BLOCK);
                    terms.block
                }
                ("timeout", 1..=255) => {
                    terms.timeout = u64::try_from(number).unwrap_or(1);
                    number
                }
                ("tsize", _) => size,
                _ => continue,
            };
            // Asked twice, answered once.
            if agreed.iter().all(|(known, _)| known != name) {
                agreed.push((name.clone(), said.to_string()));
            }
        }
        (terms, agreed)
    }
}

/// The content as the mode has it: `netascii` ends its lines with CR LF.
pub fn in_mode(mode: &str, content: Vec<u8>) -> Vec<u8> {
    if mode != "netascii" {
        return content;
    }
    let mut before = 0;
    let mut lines = Vec::with_capacity(content.len());
    for byte in content {
        if byte == b'\n' && before != b'\r' {
            lines.push(b'\r');
        }
        lines.push(byte);
        before = byte;
    }
    lines
}

/// The block of `content` with this number, counted without end: empty if the file just filled
/// the one before, none beyond the last.
pub fn block(content: &[u8], number: usize, size: usize) -> Option<&[u8]> {
    let begin = number.checked_sub(1)?.checked_mul(size)?;
    let rest = content.get(begin..)?;
    Some(rest.get(..size).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = String> {
        "[a-z0-9./_-]{0,40}"
    }

    fn options() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec((word(), word()), 0..4)
    }

    fn packets() -> impl Strategy<Value = Packet> {
        let request = (word(), word(), options());
        prop_oneof![
            request.prop_map(|(file, mode, options)| Packet::Read(Request { file, mode, options })),
            Just(Packet::Write),
            (any::<u16>(), any::<Vec<u8>>()).prop_map(|(block, data)| Packet::Data { block, data }),
            any::<u16>().prop_map(Packet::Ack),
            (any::<u16>(), word()).prop_map(|(code, message)| Packet::Error { code, message }),
            options().prop_map(Packet::Options),
        ]
    }

    proptest! {
        #[test]
        fn a_packet_leads_back(packet in packets()) {
            prop_assert_eq!(Packet::parse(&packet.bytes()), Ok(packet));
        }

        #[test]
        fn bytes_never_panic(bytes in any::<Vec<u8>>(), kind in 0_u8..9) {
            let _ = Packet::parse(&bytes);
            let _ = Packet::parse(&[&[0, kind][..], &bytes].concat());
        }

        #[test]
        fn the_blocks_are_the_file(content in any::<Vec<u8>>(), size in 8_usize..600) {
            let mut whole = Vec::new();
            let mut number = 1;
            loop {
                let part = block(&content, number, size).unwrap();
                whole.extend_from_slice(part);
                if part.len() < size {
                    break;
                }
                number += 1;
            }
            prop_assert_eq!(whole, content.clone());
            prop_assert_eq!(block(&content, number + 1, size), None);
        }

        #[test]
        fn terms_are_never_outside_their_bounds(options in options(), size in 0_usize..100_000) {
            let (terms, agreed) = Request { options, ..Request::default() }.terms(size);
            prop_assert!((8..=LARGEST_BLOCK).contains(&terms.block));
            prop_assert!((1..=255).contains(&terms.timeout));
            prop_assert!(agreed.len() <= 3);
        }
    }

    #[test]
    fn options_are_agreed_to_as_their_rfcs_say() {
        let ask = |pairs: &[(&str, &str)]| {
            let options = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            Request { options, ..Request::default() }.terms(700)
        };
        let said = |agreed: Vec<(String, String)>| {
            agreed.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
        };
        let (terms, agreed) = ask(&[("blksize", "1024"), ("tsize", "0"), ("timeout", "3")]);
        assert_eq!(terms, Terms { block: 1024, timeout: 3 });
        assert_eq!(said(agreed), "blksize=1024 tsize=700 timeout=3");
        let (terms, agreed) = ask(&[("blksize", "65464")]);
        assert_eq!((terms.block, said(agreed).as_str()), (1428, "blksize=1428"));
        let (terms, agreed) = ask(&[("blksize", "7"), ("timeout", "0"), ("rollover", "1")]);
        assert_eq!((terms, agreed), (Terms::default(), Vec::new()));
    }

    #[test]
    fn what_is_cut_short_or_of_no_kind_is_no_packet() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x01file",
            b"\0\x01file\0",
            b"\0\x04\0",
            b"\0\x04\0\x01x",
            b"\0\x09\0\x01",
        ] {
            assert_eq!(Packet::parse(bytes), Err(BadPacket), "{bytes:?}");
        }
        let long = [b"\0\x01".to_vec(), vec![b'a'; 600], b"\0octet\0".to_vec()].concat();
        assert_eq!(Packet::parse(&long), Err(BadPacket));
    }
}
