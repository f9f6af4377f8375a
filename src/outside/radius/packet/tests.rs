use proptest::prelude::*;

use super::*;

fn session(name: &str) -> Session {
    Session { user_name: Some(name.to_owned()), ..Session::default() }
}

fn request<'a>(session: &'a Session, leased: &str, filter: Option<&'a str>) -> Request<'a> {
    Request {
        code: Code::Coa,
        identifier: 7,
        at: 1_700_000_000,
        nas: "192.0.2.1".parse().unwrap(),
        session,
        leased: leased.parse().unwrap(),
        filter,
    }
}

/// The attributes of a packet, walked without the code under test.
fn walk(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut found) = (20, Vec::new());
    while at < packet.len() {
        let length = usize::from(packet[at + 1]);
        found.push((packet[at], packet[at + 2..at + length].to_vec()));
        at += length;
    }
    found
}

fn value(packet: &[u8], kind: u8) -> Option<Vec<u8>> {
    walk(packet).into_iter().find(|(known, _)| *known == kind).map(|(_, value)| value)
}

#[test]
fn md5_and_hmac_are_those_of_the_standards() {
    // RFC 1321 A.5, and RFC 2202 section 2 cases 1, 2 and 6.
    assert_eq!(crate::secrets::hex(&digest(&[b"abc"])), "900150983cd24fb0d6963f7d28e17f72");
    let mac = |key: &[u8], text: &[u8]| crate::secrets::hex(&message_authenticator(text, key));
    assert_eq!(mac(&[0x0b; 16], b"Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
    assert_eq!(mac(b"Jefe", b"what do ya want for nothing?"), "750c783e6ab0b503eaa86e310a5db738");
    let long = "Test Using Larger Than Block-Size Key - Hash Key First";
    assert_eq!(mac(&[0xaa; 80], long.as_bytes()), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
}

#[test]
fn a_request_is_laid_out_as_the_standard_says() {
    let session = session("ann");
    let packet = request(&session, "10.0.0.5", Some("suspended")).bytes(b"s3cret");
    assert_eq!(packet[0], 43);
    assert_eq!(packet[1], 7);
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    let kinds: Vec<u8> = walk(&packet).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [80, 4, 8, 1, 11, 55]);
    assert_eq!(value(&packet, 4).unwrap(), [192, 0, 2, 1]);
    assert_eq!(value(&packet, 8).unwrap(), [10, 0, 0, 5]);
    assert_eq!(value(&packet, 1).unwrap(), b"ann");
    assert_eq!(value(&packet, 11).unwrap(), b"suspended");
    assert_eq!(value(&packet, 55).unwrap(), 1_700_000_000_u32.to_be_bytes());
    // The authenticator: MD5 over the packet with sixteen zeros in its place, and the secret.
    let mut blank = packet.clone();
    blank[4..20].fill(0);
    assert_eq!(packet[4..20], digest(&[&blank, b"s3cret"]));
    // The signature: both authenticators zero.
    blank[22..38].fill(0);
    assert_eq!(packet[22..38], message_authenticator(&blank, b"s3cret"));
}

#[test]
fn ipv6_goes_out_in_binary() {
    let session = session("ann");
    let packet = request(&session, "2001:db8:5:100::/56", None).bytes(b"x");
    // RFC 4818 section 3: reserved, length in bits, as many octets as needed.
    assert_eq!(value(&packet, 123).unwrap(), [0, 56, 0x20, 1, 0xd, 0xb8, 0, 5, 1]);
    let packet = request(&session, "2001:db8::5", None).bytes(b"x");
    let framed = value(&packet, 97).unwrap();
    assert_eq!(framed[..6], [0, 128, 0x20, 1, 0xd, 0xb8]);
    assert_eq!(framed.len(), 18);
}

#[test]
fn the_same_request_is_the_same_packet() {
    let session = session("ann");
    let one = request(&session, "10.0.0.5", None);
    assert_eq!(one.bytes(b"x"), one.clone().bytes(b"x"));
    assert_ne!(one.bytes(b"x"), Request { at: 1_700_000_001, ..one.clone() }.bytes(b"x"));
}

/// An answer as a NAS makes it.
fn answer(sent: &[u8], code: u8, attributes: &[u8], secret: &[u8], signed: bool) -> Vec<u8> {
    let mut packet = vec![code, sent[1], 0, 0];
    packet.extend(&sent[4..20]);
    packet.extend(attributes);
    if signed {
        packet.extend([80, 18]);
        packet.extend([0; 16]);
    }
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    if signed {
        let signature = message_authenticator(&packet, secret);
        let end = packet.len();
        packet[end - 16..].copy_from_slice(&signature);
    }
    let authenticator = digest(&[&packet, secret]);
    packet[4..20].copy_from_slice(&authenticator);
    packet
}

#[test]
fn answers_are_believed_only_if_they_are_signed() {
    let session = session("ann");
    let sent = request(&session, "10.0.0.5", None).bytes(b"x");
    for signed in [false, true] {
        let good = answer(&sent, 44, &[], b"x", signed);
        assert!(answer_of(&sent, &good, b"x").unwrap().acknowledged);
        assert_eq!(answer_of(&sent, &good, b"y"), Err(BadPacket::Forged));
        let nak = answer(&sent, 45, &[101, 6, 0, 0, 1, 0xf7, 18, 4, b'n', b'o'], b"x", signed);
        let read = answer_of(&sent, &nak, b"x").unwrap();
        assert_eq!(
            (read.acknowledged, read.cause, read.message.as_str()),
            (false, Some(503), "no")
        );
    }
    // To another identifier, of another kind.
    let mut other = answer(&sent, 44, &[], b"x", false);
    other[1] = 8;
    assert_eq!(answer_of(&sent, &other, b"x"), Err(BadPacket::Other));
    assert_eq!(answer_of(&sent, &answer(&sent, 41, &[], b"x", false), b"x"), Err(BadPacket::Other));
    assert_eq!(answer_of(&sent, &sent, b"x"), Err(BadPacket::Other));
    // A signature that does not fit, under an authenticator that does.
    let mut forged = answer(
        &sent,
        44,
        &[80, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        b"x",
        false,
    );
    assert_eq!(answer_of(&sent, &forged, b"x"), Err(BadPacket::Forged));
    forged.truncate(10);
    assert_eq!(answer_of(&sent, &forged, b"x"), Err(BadPacket::Form));
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let session = session("ann");
        let sent = request(&session, "10.0.0.5", None).bytes(b"x");
        prop_assert!(answer_of(&sent, &bytes, b"x").is_err());
        // Even under a right authenticator.
        let _ = answer_of(&sent, &answer(&sent, 44, &bytes, b"x", false), b"x");
    }

    #[test]
    fn one_bit_is_enough_to_be_disbelieved(bit in 0_usize..(44 * 8)) {
        let session = session("ann");
        let sent = request(&session, "10.0.0.5", None).bytes(b"x");
        let mut packet = answer(&sent, 45, &[101, 6, 0, 0, 1, 0xf7], b"x", true);
        prop_assert_eq!(packet.len(), 44);
        packet[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(answer_of(&sent, &packet, b"x").is_err());
    }

    #[test]
    fn whatever_is_sent_keeps_its_form(name in "\\PC{0,300}", filter in "\\PC{0,100}", length in 0_u8..=128) {
        let session = session(&name);
        let cidr = crate::net::Cidr::around("2001:db8:ffff::".parse().unwrap(), length).unwrap();
        let packet = Request { leased: Leased::Delegated(cidr), ..request(&session, "10.0.0.5", Some(&filter)) }.bytes(b"x");
        prop_assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        prop_assert_eq!(walk(&packet).len(), 6);
        let delegated = value(&packet, 123).unwrap();
        prop_assert_eq!(delegated.len(), 2 + usize::from(length.div_ceil(8)));
    }
}
