//! The bytes of an echo: written, and recognised again. For IPv4 it is RFC 792, for IPv6 RFC 4443 section 4; both
//! have the same eight bytes in front, with other types.

/// How a family's socket hands over what it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// IPv4's, from its first byte.
    V4,
    /// IPv4's behind the header of its IP packet, as raw sockets get it (raw(7)).
    V4WithHeader,
    /// IPv6's; the kernel keeps the IPv6 header to itself and does the checksum (RFC 3542 section 3.1).
    V6,
}

impl Shape {
    fn request(self) -> u8 {
        if self == Self::V6 { 128 } else { 8 }
    }

    fn reply(self) -> u8 {
        if self == Self::V6 { 129 } else { 0 }
    }
}

/// One echo. A reply has the same numbers as its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which of the echoes under way.
    pub sequence: u16,
    /// The n-th echo of this pinger: tells a late reply from one with the same sequence number.
    pub serial: u64,
    /// What nobody on the outside knows.
    pub nonce: u64,
}

/// The request to send. Datagram sockets overwrite `identifier` with the number of the socket.
pub(super) fn request(shape: Shape, identifier: u16, mark: Mark) -> Vec<u8> {
    let mut bytes = vec![shape.request(), 0, 0, 0];
    bytes.extend(identifier.to_be_bytes());
    bytes.extend(mark.sequence.to_be_bytes());
    bytes.extend(mark.serial.to_be_bytes());
    bytes.extend(mark.nonce.to_be_bytes());
    let sum = checksum(&bytes);
    bytes.splice(2..4, sum.to_be_bytes());
    bytes
}

/// The reply in what a socket received; `None` if it is anything else. `identifier` is compared only if given.
pub(super) fn reply(shape: Shape, identifier: Option<u16>, received: &[u8]) -> Option<Mark> {
    let bytes = if shape == Shape::V4WithHeader { after_header(received)? } else { received };
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [kind, 0, _, _, i0, i1, s0, s1] = *head else { return None };
    if kind != shape.reply() || identifier.is_some_and(|own| own.to_be_bytes() != [i0, i1]) {
        return None;
    }
    let (serial, rest) = rest.split_first_chunk::<8>()?;
    let (nonce, _) = rest.split_first_chunk::<8>()?;
    Some(Mark {
        sequence: u16::from_be_bytes([s0, s1]),
        serial: u64::from_be_bytes(*serial),
        nonce: u64::from_be_bytes(*nonce),
    })
}

/// What follows the IPv4 header, whose length stands in its first byte, in words (RFC 791 section 3.1).
fn after_header(packet: &[u8]) -> Option<&[u8]> {
    let words = packet.first()? & 0x0f;
    (words >= 5).then(|| packet.get(usize::from(words) * 4..)).flatten()
}

/// RFC 1071. `bytes` are even in number.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let sum = words.iter().fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(*word));
        sum + u16::from(carry)
    });
    !sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: Mark = Mark { sequence: 7, serial: 3, nonce: 0xfeed_beef };

    fn answer(shape: Shape, identifier: u16) -> Vec<u8> {
        let mut bytes = request(shape, identifier, MARK);
        bytes[0] = shape.reply();
        bytes
    }

    #[test]
    fn a_request_sums_to_nothing() {
        let bytes = request(Shape::V4, 0xffff, MARK);
        assert_eq!(bytes.len(), 24);
        assert_eq!(checksum(&bytes), 0);
        assert_eq!((bytes[0], bytes[1]), (8, 0));
        assert_eq!(request(Shape::V6, 1, MARK)[0], 128);
    }

    #[test]
    fn a_reply_carries_the_mark_of_its_request() {
        for shape in [Shape::V4, Shape::V6] {
            assert_eq!(reply(shape, Some(9), &answer(shape, 9)), Some(MARK));
            assert_eq!(reply(shape, None, &answer(shape, 9)), Some(MARK));
        }
        let mut packet = vec![0; 24];
        packet[0] = 0x46;
        packet.extend(answer(Shape::V4, 9));
        assert_eq!(reply(Shape::V4WithHeader, Some(9), &packet), Some(MARK));
    }

    #[test]
    fn what_is_no_reply_to_us_is_nothing() {
        assert_eq!(reply(Shape::V4, Some(8), &answer(Shape::V4, 9)), None, "another program's");
        assert_eq!(reply(Shape::V4, Some(9), &request(Shape::V4, 9, MARK)), None, "the request");
        assert_eq!(reply(Shape::V6, Some(9), &answer(Shape::V4, 9)), None, "the other family");
        assert_eq!(reply(Shape::V4, Some(9), &answer(Shape::V4, 9)[..23]), None, "cut off");
        assert_eq!(reply(Shape::V4WithHeader, None, &[0x41; 40]), None, "no header is so short");
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for shape in [Shape::V4, Shape::V4WithHeader, Shape::V6] {
                let _ = reply(shape, None, &bytes);
            }
        }
    }
}
