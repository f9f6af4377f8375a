use proptest::prelude::*;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 15));

/// A whole answer: the question as asked, then records as they stand.
fn message(records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = question(ADDRESS, 7);
    bytes[2] = 0x81;
    bytes[7] = u8::try_from(records.len()).unwrap();
    bytes.extend(records.concat());
    bytes
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 60]);
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

const ASKED: &[u8] = &[0xc0, 12];

fn name(bytes: &[u8]) -> Option<Answer> {
    answer(ADDRESS, 7, bytes)?.ok()
}

fn named(text: &str) -> Answer {
    Answer::Name(Some(text.to_owned()))
}

#[test]
fn the_question_is_for_the_address_backwards() {
    assert_eq!(arpa(ADDRESS), "15.2.0.192.in-addr.arpa");
    let six = "2001:db8::567:89ab".parse().unwrap();
    assert_eq!(
        arpa(six),
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    );
    let bytes = question(ADDRESS, 0x0102);
    assert_eq!(bytes[..12], [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[12..], b"\x0215\x012\x010\x03192\x07in-addr\x04arpa\x00\x00\x0c\x00\x01");
}

#[test]
fn a_part_of_a_network_has_its_names_elsewhere() {
    // RFC 2317: 15.2.0.192 CNAME 15.0/25.2.0.192, and that one has the name.
    let elsewhere = b"\x0215\x040/25\x012\x010\x03192\x07in-addr\x04arpa\x00";
    let cname = record(ASKED, CNAME, elsewhere);
    let upper = elsewhere.to_ascii_uppercase();
    let ptr = record(&upper, PTR, b"\x04desk\x00");
    assert_eq!(name(&message(&[&cname, &ptr])), Some(named("desk")));
    assert_eq!(name(&message(&[&cname])), Some(Answer::Nothing));
}

#[test]
fn records_of_other_names_and_kinds_are_passed_over() {
    let others = [record(b"\x04evil\x00", PTR, b"\x04evil\x00"), record(ASKED, 16, b"\x04evil")];
    let ptr = record(ASKED, PTR, b"\x04desk\xc0\x13");
    let bytes = message(&[&others[0], &others[1], &ptr]);
    assert_eq!(name(&bytes), Some(named("desk.192.in-addr.arpa")));
}

#[test]
fn what_is_no_host_name_is_not_shown() {
    let hostile: [&[u8]; 6] = [
        b"\x19<script>alert(1)</script>\x00",
        b"\x03a.b\x00",
        b"\x02\x1b[\x00",
        b"\x01\xff\x00",
        b"\x03a\nb\x00",
        b"\x00",
    ];
    for data in hostile {
        assert_eq!(name(&message(&[&record(ASKED, PTR, data)])), Some(Answer::Name(None)));
    }
}

#[test]
fn pointers_in_a_circle_come_to_an_end() {
    let own = u8::try_from(message(&[]).len() + 12).unwrap();
    let circle = message(&[&record(ASKED, PTR, &[0xc0, own])]);
    assert!(matches!(answer(ADDRESS, 7, &circle), Some(Err(NameError::Garbled))));
    let long = message(&[&record(ASKED, PTR, &[1, b'a', 0xc0, own])]);
    assert!(matches!(answer(ADDRESS, 7, &long), Some(Err(NameError::Garbled))));
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = answer(ADDRESS, 7, &bytes);
    }

    #[test]
    fn any_records_end_without_a_panic_and_names_are_names(
        bytes in prop::collection::vec(prop_oneof![0_u8..16, 0xc0_u8..0xc1, any::<u8>()], 0..200),
        count in any::<u8>(),
    ) {
        let mut all = message(&[&bytes]);
        all[7] = count;
        if let Some(Ok(Answer::Name(Some(name)))) = answer(ADDRESS, 7, &all) {
            prop_assert_eq!(hostname::valid(&name), Some(name));
        }
    }

    #[test]
    fn a_damaged_answer_ends_without_a_panic(at in 0_usize..60, to in any::<u8>()) {
        let mut bytes = message(&[&record(ASKED, PTR, b"\x04desk\xc0\x13")]);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        let _ = answer(ADDRESS, 7, &bytes);
    }
}
