//! The real sockets, on loopback: all of 127.0.0.0/8 answers on Linux.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Who cannot ping cannot test it: an account without the right to must be given it.
#[track_caller]
fn pinger() -> Pinger {
    Pinger::new(0x1234_5678_9abc_def0).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether this process has `CAP_NET_RAW`, the 13th of the kernel's.
fn has_net_raw() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(held.trim(), 16).unwrap() >> 13 & 1 == 1
}

/// Says to a test that it was started again without privileges, and whether the kernel lets it ping.
const BARE: &str = "PATCHBAY_BARE";

/// Runs a test of this file once more, with no capability at all, in a network of its own whose
/// kernel allows pings to these groups; what it printed.
fn without_privileges(test: &str, groups: &str) -> String {
    let up = "ip link set lo up && echo \"$0\" > /proc/sys/net/ipv4/ping_group_range && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let mut bare = std::process::Command::new("unshare");
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        bare.args(["--user", "--map-root-user"]);
    }
    bare.args(["--net", "sh", "-c", up, groups]).arg(std::env::current_exe().unwrap());
    let test = format!("probe::icmp::tests::{test}");
    let done = bare.args([&test, "--exact", "--nocapture"]).env(BARE, groups).output();
    let done = done.expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    said
}

#[tokio::test]
async fn pings_need_no_privileges_where_the_kernel_allows_them() {
    const EVERYBODY: &str = "0 2147483647";
    const NOBODY: &str = "1 0";
    let test = "pings_need_no_privileges_where_the_kernel_allows_them";
    let Some(groups) = std::env::var_os(BARE) else {
        for (groups, said) in [(EVERYBODY, "pinged 3"), (NOBODY, "refused")] {
            let heard = without_privileges(test, groups);
            assert!(heard.contains(said), "{said}: {heard}");
        }
        return;
    };
    assert!(!has_net_raw());
    for kind in [&V4, &V6] {
        let raw = open(kind, Type::RAW).unwrap_err();
        assert_eq!(raw.kind(), io::ErrorKind::PermissionDenied, "{raw}");
        assert_eq!(open(kind, Type::DGRAM).is_ok(), groups == EVERYBODY);
    }
    if groups == NOBODY {
        let error = Pinger::new(1).err().unwrap();
        assert!(matches!(error, PingError::NotPermitted), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("net.ipv4.ping_group_range") && said.contains("CAP_NET_RAW"),
            "{said}"
        );
        println!("refused");
        return;
    }
    let (pinger, mut answered) = (Pinger::new(1).unwrap(), 0);
    for to in [loopback(1), loopback(20), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let answer = pinger.ping(to, 5 * SECOND).await;
        assert!(matches!(answer, Ok(Some(_))), "{to}: {answer:?}");
        answered += 1;
    }
    println!("pinged {answered}");
}

fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

#[tokio::test]
async fn both_families_answer_on_loopback() {
    let pinger = pinger();
    for to in [loopback(1), loopback(20), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let answer = pinger.ping(to, SECOND).await;
        let no_ipv6 = to.is_ipv6() && matches!(answer, Err(PingError::NoFamily("IPv6")));
        assert!(no_ipv6 || answer.as_ref().is_ok_and(Option::is_some), "{to}: {answer:?}");
    }
}

#[tokio::test]
async fn hundreds_at_once_each_get_their_own_answer() {
    let pinger = pinger();
    let addresses = (2..=20).map(loopback).cycle().take(400);
    let answers = join_all(addresses.map(|to| pinger.ping(to, 5 * SECOND))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(_)))), "{answers:?}");
}

#[tokio::test]
async fn a_pinger_does_not_take_anothers_replies() {
    let (asks, waits) = (pinger(), Pinger::new(1).unwrap());
    let (Ok(asks), Ok(waits)) = (&asks.v4, &waits.v4) else { return };
    let mut place = waits.wire.waiting.place(loopback(1)).unwrap();
    let answer = asks.ping(loopback(1), SECOND).await;
    assert!(matches!(answer, Ok(Some(_))), "{answer:?}");
    // Its own comes after the other's, so that one has been looked at by then.
    let own = waits.ping(loopback(1), SECOND).await;
    assert!(matches!(own, Ok(Some(_))), "{own:?}");
    assert!(place.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_reply_from_another_address_does_not_count() {
    let pinger = pinger();
    // Linux sends what is for 0.0.0.0 to 127.0.0.1, which answers under its own name.
    let answer = pinger.ping(IpAddr::from([0, 0, 0, 0]), Duration::from_millis(100)).await;
    assert!(matches!(answer, Ok(None)), "{answer:?}");
}

#[tokio::test]
async fn a_sweep_finds_who_is_there() {
    let pinger = pinger();
    let pace = Pace { per_second: 2_000, at_once: 8, timeout: 2 * SECOND, tries: 2 };
    let (_keep, stop) = watch::channel(false);
    let mut seen = BTreeSet::new();
    let swept = sweep(&pinger, (2..=20).map(loopback), pace, stop, |to, answers| {
        assert!(answers && seen.insert(to));
    })
    .await;
    assert_eq!((swept.seen, seen.len()), (19, 19));
}

#[test]
fn refusals_say_what_is_the_matter() {
    let why = |number| refusal(&V6, io::Error::from_raw_os_error(number));
    assert!(matches!(why(1), PingError::NotPermitted), "EPERM");
    assert!(matches!(why(13), PingError::NotPermitted), "EACCES");
    assert!(matches!(why(97), PingError::NoFamily("IPv6")), "EAFNOSUPPORT");
    assert!(matches!(why(24), PingError::Io(_)), "EMFILE");
}
