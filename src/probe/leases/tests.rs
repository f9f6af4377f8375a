//! Files as the servers write them, and as nobody should.

use proptest::prelude::*;

use super::*;

const KEA4: &str = "\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.0.2.10,00:15:65:aa:bb:01,01:00:15:65:aa:bb:01,3600,1764000000,1,0,0,sep001565aabb01,0,,0
192.0.2.11,00:15:65:aa:bb:02,,3600,1764000100,1,0,0,,0,{ \"ISC\": { \"x\": 1&#x2c \"y\": 2 } },0
192.0.2.12,,,86400,1764000200,1,0,0,,1,,0
192.0.2.10,00:15:65:aa:bb:03,,3600,1764003600,1,1,1,desk.example.org.,0,,0
192.0.2.13,00:15:65:aa:bb:04,,4294967295,6058967295,1,0,0,door,0,,0
192.0.2.14,00:15:65:aa:bb:05,,3600,1764000300,1,0,0,<script>alert(1)</script>,0,,0
192.0.2.15,00:15:65:aa:bb:06,,3600,1764000300,1,0,0,old,2,,0
192.0.2.16,00:15:65:aa:bb:07,,3600,1764000300,1,0,0,gone,0,,0
192.0.2.16,00:15:65:aa:bb:07,,0,1764000400,1,0,0,gone,0,,0
";

const KEA6: &str = "\
address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id
2001:db8::10,00:01:00:01:2c:aa:bb:cc:00:15:65:aa:bb:01,4000,1764000000,1,3000,0,7,128,0,0,desk,00:15:65:aa:bb:01,0,,1,2,0
2001:db8::11,00:03:00:01:00:15:65:aa:bb:02,4000,1764000000,1,3000,0,7,128,0,0,,,3,,,,0
2001:db8:1::,00:03:00:01:00:15:65:aa:bb:02,4000,1764000000,1,3000,2,7,56,0,0,,,0,,,,0
";

const DNSMASQ: &str = "\
1764000000 00:15:65:aa:bb:01 192.0.2.10 desk 01:00:15:65:aa:bb:01
0 00:15:65:aa:bb:02 192.0.2.11 * *
1764000000 06-00:15:65:aa:bb:03 192.0.2.12 <b>x</b> *
7200 00:15:65:aa:bb:04 192.0.2.13 router *
duid 00:01:00:01:2c:aa:bb:cc:00:15:65:aa:bb:ff
1764000000 123456 2001:db8::10 desk 00:01:00:01:2c:aa:bb:cc:00:15:65:aa:bb:01
1764000000 T99 2001:db8::11 * 00:03:00:01:00:15:65:aa:bb:02
";

fn read(text: &str) -> Leases {
    parse(text.as_bytes()).unwrap()
}

fn lease(found: &Leases, address: &str) -> Lease {
    found.leases[&address.parse::<IpAddr>().unwrap()].clone()
}

fn expected(address: &str, last: &str, hostname: Option<&str>, expires: Option<i64>) -> Lease {
    Lease {
        address: address.parse().unwrap(),
        mac: Some(format!("00:15:65:aa:bb:{last}")),
        hostname: hostname.map(str::to_owned),
        expires,
        state: LeaseState::InUse,
    }
}

#[test]
fn the_last_line_of_an_address_counts() {
    let found = read(KEA4);
    assert_eq!(found.faults, []);
    assert_eq!(found.leases.len(), 6);
    let desk = expected("192.0.2.10", "03", Some("desk.example.org"), Some(1_764_003_600));
    assert_eq!(lease(&found, "192.0.2.10"), desk);
    assert!(!found.leases.contains_key(&"192.0.2.16".parse::<IpAddr>().unwrap()), "removed");
}

#[test]
fn fields_of_kea_are_read_as_they_are_meant() {
    let found = read(KEA4);
    let second = expected("192.0.2.11", "02", None, Some(1_764_000_100));
    assert_eq!(lease(&found, "192.0.2.11"), second);
    let declined = lease(&found, "192.0.2.12");
    assert_eq!((declined.mac, declined.state), (None, LeaseState::Declined));
    assert_eq!(lease(&found, "192.0.2.13").expires, None, "without end");
    assert_eq!(lease(&found, "192.0.2.14").hostname, None, "no name");
    assert_eq!(lease(&found, "192.0.2.15").state, LeaseState::Expired);
}

#[test]
fn leases_of_dhcpv6_may_have_a_hardware_address_and_prefixes_are_none() {
    let found = read(KEA6);
    assert_eq!((found.leases.len(), found.faulty), (2, 0));
    let desk = expected("2001:db8::10", "01", Some("desk"), Some(1_764_000_000));
    assert_eq!(lease(&found, "2001:db8::10"), desk);
    let later = lease(&found, "2001:db8::11");
    assert_eq!((later.mac, later.state), (None, LeaseState::Other(3)));
}

#[test]
fn files_of_old_keas_lack_the_later_columns() {
    let old = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname\n\
               192.0.2.10,00:15:65:aa:bb:01,,3600,1764000000,1,0,0,desk\n";
    let desk = expected("192.0.2.10", "01", Some("desk"), Some(1_764_000_000));
    assert_eq!(lease(&read(old), "192.0.2.10"), desk);
}

#[test]
fn a_line_that_breaks_off_is_a_fault_and_the_line_before_counts() {
    let cut = KEA4.trim_end().trim_end_matches(|c| c != '\n').to_owned() + "192.0.2.10,00:15:65";
    let found = read(&cut);
    let line = cut.lines().count();
    let what = "the line has not as many fields as the first line names";
    assert_eq!(found.faults, [Fault { line, what }]);
    assert_eq!(lease(&found, "192.0.2.10").hostname.as_deref(), Some("desk.example.org"));
    let cut = format!("{DNSMASQ}1764000000 00:15:65:aa:bb:09 192.0.2.1");
    assert_eq!(read(&cut).faults, [Fault { line: 8, what: "the line has not five fields" }]);
}

#[test]
fn lines_may_end_as_on_windows_and_begin_with_a_mark() {
    for text in [KEA4, KEA6, DNSMASQ] {
        let crlf = format!("\u{feff}\r\n{}", text.replace('\n', "\r\n"));
        assert_eq!(read(&crlf), read(text));
        assert_eq!(read(text.trim_end()), read(text), "without the last end of line");
    }
}

#[test]
fn faults_have_their_line_and_say_nothing_of_the_text() {
    let head = KEA4.lines().next().unwrap();
    let text = format!(
        "{head}\n\n<b>,00:15:65:aa:bb:01,,3600,1764000000,1,0,0,desk,0,,0\n\
         192.0.2.1,,,x,1764000000,1,0,0,desk,0,,0\n192.0.2.1,,,9,soon,1,0,0,desk,0,,0\n\
         192.0.2.1,,,9,1764000000,1,0,0,desk,,,0\n192.0.2.1,,,9,1764000000,1,0,0,a,b,0,,0\n"
    );
    let found = read(&text);
    assert!(found.leases.is_empty());
    let lines: Vec<usize> = found.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    let many = read(&format!("{head}\n{}", "x\n".repeat(1_000)));
    assert_eq!((many.faults.len(), many.faulty), (MOST_FAULTS, 1_000));
}

#[test]
fn dnsmasq_has_both_families_in_one_file() {
    let found = read(DNSMASQ);
    assert_eq!((found.leases.len(), found.faulty), (6, 0));
    let desk = expected("192.0.2.10", "01", Some("desk"), Some(1_764_000_000));
    assert_eq!(lease(&found, "192.0.2.10"), desk);
    assert_eq!(lease(&found, "192.0.2.11"), expected("192.0.2.11", "02", None, None));
    let third = lease(&found, "192.0.2.12");
    assert_eq!((third.mac.as_deref(), third.hostname), (Some("06-00:15:65:aa:bb:03"), None));
    assert_eq!(lease(&found, "192.0.2.13").expires, None, "a duration is no time");
    let six = lease(&found, "2001:db8::10");
    assert_eq!((six.mac, six.hostname.as_deref()), (None, Some("desk")), "an IAID is no MAC");
}

const JSON: &str = r#"[ {
  "arguments": { "leases": [
    { "client-id": "01:00:15:65:aa:bb:01", "cltt": 1763996400, "fqdn-fwd": false, "fqdn-rev": false,
      "hostname": "desk", "hw-address": "00:15:65:aa:bb:01", "ip-address": "192.0.2.10",
      "state": 0, "subnet-id": 44, "valid-lft": 3600 },
    { "cltt": 1763996400, "hostname": "\"><img src=x onerror=alert(1)>", "hw-address": "javascript:",
      "ip-address": "192.0.2.11", "state": 1, "subnet-id": 44, "valid-lft": 4294967295 },
    { "hostname": "lost", "ip-address": "<b>", "cltt": 1, "valid-lft": 2 } ] },
  "result": 0, "text": "3 IPv4 lease(s) found." },
  { "arguments": { "leases": [
    { "cltt": 1763996400, "duid": "42:42:42:42:42:42:42:42", "hostname": "", "ip-address": "2001:db8:2::1",
      "iaid": 1, "preferred-lft": 500, "state": 0, "subnet-id": 44, "type": "IA_NA", "valid-lft": 3600 },
    { "cltt": 1763996400, "duid": "42:42", "ip-address": "2001:db8:3::", "prefix-len": 56,
      "state": 0, "subnet-id": 44, "type": "IA_PD", "valid-lft": 3600 } ] },
  "result": 0 },
  { "result": 3, "text": "0 IPv4 lease(s) found.", "arguments": { "leases": [] } } ]"#;

#[test]
fn answers_of_kea_are_read_from_one_server_or_many() {
    let found = read(JSON);
    assert_eq!(found.leases.len(), 3);
    assert_eq!((found.faulty, found.faults[0].line), (1, 3));
    let desk = expected("192.0.2.10", "01", Some("desk"), Some(1_764_000_000));
    assert_eq!(lease(&found, "192.0.2.10"), desk);
    let hostile = lease(&found, "192.0.2.11");
    assert_eq!((hostile.mac, hostile.hostname, hostile.expires), (None, None, None));
    assert_eq!(hostile.state, LeaseState::Declined);
    assert_eq!(lease(&found, "2001:db8:2::1").hostname, None);
    assert_eq!(read(r#"{"result": 3, "text": "0 IPv4 lease(s) found."}"#), Leases::default());
}

#[test]
fn what_is_no_answer_says_why() {
    let error = |text: &str| parse(text.as_bytes()).unwrap_err();
    let unknown = r#"{"result": 2, "text": "'lease4-get-all' command not supported."}"#;
    assert_eq!(error(unknown), LeasesError::Refused(2));
    assert_eq!(error(&JSON[..JSON.len() - 1]), LeasesError::Json(16));
    for text in [
        r#"{"Dhcp4": {}}"#,
        "[1]",
        "[]",
        "[[0]]",
        "lease 192.0.2.1 {\n  starts 1 2026/01/01;\n}",
        "hello",
        "address,name\n",
        "\u{0}\u{1}",
    ] {
        assert_eq!(error(text), LeasesError::Unknown, "{text}");
    }
    assert_eq!(read(""), Leases::default());
    assert_eq!(read("\r\n\n"), Leases::default());
}

#[test]
fn hardware_addresses_are_digits() {
    for text in
        ["00:15:65:aa:bb:01", "00-15-65-AA-BB-01", "0015.65aa.bb01", "06-00:15", "001565aabb01"]
    {
        assert_eq!(mac(text).as_deref(), Some(text));
    }
    for text in ["", "*", "01-", "<b>", "00:15:65 ", &"00:".repeat(30)] {
        assert_eq!(mac(text), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_damaged_file_ends_without_a_panic(
        file in 0_usize..4,
        at in 0_usize..1_500,
        to in any::<u8>(),
        length in 0_usize..1_500,
    ) {
        let mut bytes = [KEA4, KEA6, DNSMASQ, JSON][file].as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        bytes.truncate(length);
        if let Ok(found) = parse(&bytes) {
            for lease in found.leases.into_values() {
                prop_assert_eq!(lease.hostname.as_deref().and_then(hostname::valid), lease.hostname);
                prop_assert_eq!(lease.mac.as_deref().and_then(mac), lease.mac);
            }
        }
    }
}
