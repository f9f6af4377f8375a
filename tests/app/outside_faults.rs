//! Each system outside, and everything that can go wrong between it and Patchbay: what is there
//! afterwards is right, nothing is done twice that must not be, and somebody can see it.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::outbox::{CallState, Order, RadiusAction, RecordStatus};

use crate::outbox::{calls, drain, order, push, radius, runner, states, subject};
use crate::outside_netbox::{netbox, remove, set};
use crate::outside_peers::{ask, dhcp, release, reserve, reserved};
use crate::support::app::{TestApp, both_databases};
use crate::support::lab::Kea;
use crate::support::outside::{
    Manner, Mishap, NAS_SECRET, Nas, Netbox, Troubled, TroubledSocket, attributes,
};

/// What happens, and a part of what is said about it; nothing if the call succeeds all the same.
pub const MISHAPS: [(Mishap, &str); 9] = [
    (Mishap::Refuses, "nobody listens at"),
    (Mishap::Silent, "did not answer in time"),
    (Mishap::Slow, ""),
    (Mishap::ServerError, "answered with status 503"),
    (Mishap::Garbage, "answers, but not as"),
    (Mishap::HalfAnswer, "broke off in the middle of its answer"),
    (Mishap::Twice, ""),
    (Mishap::Redirects, "sends callers elsewhere"),
    (Mishap::Endless, "longer than Patchbay reads"),
];

pub const MANNERS: [(Manner, &str); 9] = [
    (Manner::Silent, "did not answer in time"),
    (Manner::Slow, ""),
    (Manner::Busy, "has not the means at the moment (Error-Cause 506)"),
    (Manner::Refuses, "does not take the value of an attribute"),
    (Manner::Garbage, "answers, but not as a NAS with this secret does"),
    (Manner::HalfAnswer, "answers, but not as a NAS with this secret does"),
    (Manner::Twice, ""),
    (Manner::OutOfOrder, ""),
    (Manner::OtherSecret, "answers, but not as a NAS with this secret does"),
];

/// Tries again whatever waits or is dead, until it is done.
async fn recover(app: &TestApp, n: u32) {
    let admin = app.with_password("admin").await;
    for call in calls(app, &subject(n)).await {
        if call.is_open() {
            let answer = admin.post(&format!("/outbox/{}/retry", call.id), &[]).await;
            assert_eq!(answer.status, 303, "{answer:?}");
        }
    }
    drain(app).await;
}

/// The newest call of a subject says what went wrong, and so does the page.
async fn shown(app: &TestApp, n: u32, said: &str) {
    let call = calls(app, &subject(n)).await.pop().unwrap();
    assert!(matches!(call.state, CallState::Waiting | CallState::Dead), "{call:?}");
    assert!(call.error.contains(said), "{said:?}: {}", call.error);
    let admin = app.with_password("admin").await;
    let page = admin.get("/outbox").await;
    page.shows(said);
    page.hides("SENTINEL-BODY");
    page.hides(NAS_SECRET);
}

/// An order meets with what happens between: it is done all the same, or it is said what went wrong.
/// The second of two equal requests to add finds it there, which is what was asked for.
async fn met(app: &TestApp, n: u32, order: &Order, said: &str) {
    push(app, &subject(n), order).await;
    drain(app).await;
    if said.is_empty() {
        assert_eq!(states(app, &subject(n)).await, [CallState::Done], "{order:?}");
    } else {
        shown(app, n, said).await;
    }
}

/// When nothing is in the way any more it is done.
async fn settled(app: &TestApp, n: u32) {
    recover(app, n).await;
    assert_eq!(states(app, &subject(n)).await, [CallState::Done], "{n}");
}

/// What Kea has reserved for IPv6.
async fn reserved_six(kea: &Kea) -> Vec<String> {
    let asked = serde_json::json!({ "subnet-id": 9, "operation-target": "all" });
    let all = ask(kea, kea.v6, "reservation-get-all", asked).await;
    let hosts = all["arguments"]["hosts"].as_array().cloned().unwrap_or_default();
    let of =
        |host: &serde_json::Value, key: &str| host[key].as_array().cloned().unwrap_or_default();
    let leased = hosts.iter().flat_map(|host| [of(host, "ip-addresses"), of(host, "prefixes")]);
    leased.flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

both_databases! {
    async fn radius_and_every_manner_of_a_nas(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        for (n, (manner, said)) in (0..).zip(MANNERS) {
            nas.behaves(manner);
            let before = nas.packets().len();
            push(&app, &subject(n), &order(RadiusAction::Suspend, &format!("user{n}"))).await;
            drain(&app).await;
            if said.is_empty() {
                assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{manner:?}");
            } else {
                shown(&app, n, said).await;
                nas.behaves(Manner::Good);
                recover(&app, n).await;
                assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{manner:?}");
            }
            // Sent again within a try it is the same packet, so that a NAS can tell.
            let packets = nas.packets()[before..].to_vec();
            assert!(packets.iter().all(|p| attributes(p).iter().any(|(kind, value)| *kind == 1 && *value == format!("user{n}").into_bytes())));
            if manner == Manner::Slow {
                assert_eq!(packets.len(), 2);
                assert_eq!(packets[0], packets[1]);
            }
            if matches!(manner, Manner::Twice | Manner::OutOfOrder) {
                assert_eq!(packets.len(), 1, "{manner:?}");
            }
        }
    }

    async fn radius_when_nobody_listens(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let port = crate::support::process::free_port();
        radius(&app, port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        shown(&app, 1, "nobody listens at the NAS at 127.0.0.1").await;
    }

    async fn netbox_and_every_mishap(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let server = Netbox::start().await;
        let mut between = Troubled::before(server.at).await;
        netbox(&app, between.at).await;
        for (n, (mishap, said)) in (0..).zip(MISHAPS) {
            let address = format!("10.0.0.{n}");
            between.let_happen(mishap).await;
            met(&app, n, &set(&address, RecordStatus::Active), said).await;
            between.let_happen(Mishap::None).await;
            settled(&app, n).await;
            // Whatever happened, and however often it was said: a second try finds what the first made.
            push(&app, &subject(n), &set(&address, RecordStatus::Reserved)).await;
            drain(&app).await;
            let there = server.all("ip-addresses").into_iter().filter(|object| object["address"] == format!("{address}/32"));
            let statuses: Vec<_> = there.map(|object| object["status"]["value"].clone()).collect();
            // A network that repeats a POST makes two: the one whose answer was heard is kept in step.
            let most = if mishap == Mishap::Twice { 2 } else { 1 };
            let in_step = statuses.iter().filter(|status| *status == "reserved").count();
            assert!((1..=most).contains(&statuses.len()) && in_step == 1, "{mishap:?} {statuses:?}");
            push(&app, &subject(n), &remove(&address)).await;
            drain(&app).await;
        }
    }

    async fn kea_and_every_mishap(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let kea = Kea::start();
        let mut between = Troubled::before(([127, 0, 0, 1], kea.v4).into()).await;
        dhcp(&app, &format!("http://{}", between.at), "", &kea).await;
        crate::outbox::allow(&app, patchbay::outbox::System::Dhcp, between.at.port()).await;
        for (n, (mishap, said)) in (0..).zip(MISHAPS) {
            let (address, mac) = (format!("10.20.0.{}", n + 1), format!("02:00:00:00:00:{:02x}", n + 1));
            between.let_happen(mishap).await;
            met(&app, n, &reserve(&address, &format!("mac:{mac}"), "x"), said).await;
            between.let_happen(Mishap::None).await;
            settled(&app, n).await;
            assert_eq!(reserved(&kea, &address).await, Some(mac), "{mishap:?}");
            push(&app, &subject(n), &release(&address)).await;
            drain(&app).await;
            assert_eq!(reserved(&kea, &address).await, None, "{mishap:?}");
        }
    }

    async fn kea_for_ipv6_and_every_mishap(app: TestApp) {
        app.operator("admin", Role::Admin).await;
        let kea = Kea::start();
        let mut between = Troubled::before(([127, 0, 0, 1], kea.v6).into()).await;
        dhcp(&app, "", &format!("http://{}", between.at), &kea).await;
        crate::outbox::allow(&app, patchbay::outbox::System::Dhcp, between.at.port()).await;
        for (n, (mishap, said)) in (0..).zip(MISHAPS) {
            between.let_happen(mishap).await;
            // Addresses and prefixes take turns.
            let leased = if n % 2 == 0 { format!("2001:db8:9::{}", n + 1) } else { format!("2001:db8:9:8{n}00::/56") };
            met(&app, n, &reserve(&leased, &format!("duid:0003000102000000000{n}"), "x"), said).await;
            between.let_happen(Mishap::None).await;
            settled(&app, n).await;
            assert_eq!(reserved_six(&kea).await, [leased.as_str()], "{mishap:?}");
            push(&app, &subject(n), &release(&leased)).await;
            drain(&app).await;
            assert_eq!(reserved_six(&kea).await, [""; 0], "{mishap:?}");
        }
    }

    /// By a socket there is no status, and no other place to be sent to.
    async fn kea_on_a_socket_and_every_mishap(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let kea = Kea::start();
        let (theirs, ours) = (kea.dir.join("run/kea4.sock"), app.dir().join("between.sock"));
        let mut between = TroubledSocket::before(theirs, ours).await;
        let place = format!("unix:{}", between.at.display());
        dhcp(&app, &place, "", &kea).await;
        let form = [("system", "dhcp"), ("target", place.as_str())];
        assert_eq!(admin.post("/settings/outside/allowed", &form).await.status, 303);
        let possible = MISHAPS.iter().filter(|(mishap, _)| !matches!(mishap, Mishap::ServerError | Mishap::Redirects));
        for (n, (mishap, said)) in (0..).zip(possible) {
            let (address, mac) = (format!("10.20.0.{}", n + 1), format!("02:00:00:00:00:{:02x}", n + 1));
            between.let_happen(*mishap).await;
            met(&app, n, &reserve(&address, &format!("mac:{mac}"), "x"), said).await;
            between.let_happen(Mishap::None).await;
            settled(&app, n).await;
            assert_eq!(reserved(&kea, &address).await, Some(mac), "{mishap:?}");
            push(&app, &subject(n), &release(&address)).await;
            drain(&app).await;
            assert_eq!(reserved(&kea, &address).await, None, "{mishap:?}");
        }
    }

    /// The same of Kea as of NetBox: the newest order waits for the one being made, and wins.
    async fn a_newer_reservation_waits_for_the_one_being_made_and_wins(app: TestApp) {
        let kea = Kea::start();
        let mut between = Troubled::before(([127, 0, 0, 1], kea.v4).into()).await;
        dhcp(&app, &format!("http://{}", between.at), "", &kea).await;
        crate::outbox::allow(&app, patchbay::outbox::System::Dhcp, between.at.port()).await;
        for last in [Some("02:00:00:00:00:03"), None] {
            app.sql("DELETE FROM outside_call").await;
            between.let_happen(Mishap::Slow).await;
            push(&app, &subject(1), &reserve("10.20.0.5", "mac:02:00:00:00:00:01", "")).await;
            let (sender, other) = (runner(&app), app.another().await);
            let sending = async { sender.drain().await.unwrap() };
            let ordering = async {
                while states(&other, &subject(1)).await != [CallState::Sending] {
                    tokio::task::yield_now().await;
                }
                push(&other, &subject(1), &reserve("10.20.0.5", "mac:02:00:00:00:00:02", "")).await;
                let order = match last {
                    Some(mac) => reserve("10.20.0.5", &format!("mac:{mac}"), ""),
                    None => release("10.20.0.5"),
                };
                push(&other, &subject(1), &order).await;
                assert_eq!(drain(&other).await, 0, "another process does not overtake either");
            };
            futures_util::future::join(sending, ordering).await;
            assert_eq!(states(&app, &subject(1)).await, [CallState::Done, CallState::Replaced, CallState::Done]);
            assert_eq!(reserved(&kea, "10.20.0.5").await.as_deref(), last);
        }
    }

    /// Orders given out of order are not possible: a newer one waits for the one being made, and
    /// what is there in the end is the newest.
    async fn a_newer_order_waits_for_the_one_being_made_and_wins(app: TestApp) {
        let server = Netbox::start().await;
        let mut between = Troubled::before(server.at).await;
        netbox(&app, between.at).await;
        between.let_happen(Mishap::Slow).await;
        push(&app, &subject(1), &set("10.0.0.5", RecordStatus::Active)).await;
        let (sender, other) = (runner(&app), app.another().await);
        let sending = async { sender.drain().await.unwrap() };
        let ordering = async {
            while states(&other, &subject(1)).await != [CallState::Sending] {
                tokio::task::yield_now().await;
            }
            push(&other, &subject(1), &set("10.0.0.5", RecordStatus::Reserved)).await;
            push(&other, &subject(1), &set("10.0.0.5", RecordStatus::Deprecated)).await;
            // Another process does not overtake either.
            assert_eq!(drain(&other).await, 0);
        };
        futures_util::future::join(sending, ordering).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done, CallState::Replaced, CallState::Done]);
        assert_eq!(server.all("ip-addresses")[0]["status"]["value"], "deprecated");
    }

    /// One system that is not to be had costs one try, not one for each call that waits for it.
    async fn when_a_system_is_gone_its_other_calls_are_spared(app: TestApp) {
        let server = Netbox::start().await;
        let mut between = Troubled::before(server.at).await;
        netbox(&app, between.at).await;
        between.let_happen(Mishap::Refuses).await;
        for n in 0..10 {
            push(&app, &subject(n), &set(&format!("10.0.0.{n}"), RecordStatus::Active)).await;
        }
        drain(&app).await;
        assert_eq!(app.number("SELECT CAST(sum(attempts) AS BIGINT) FROM outside_call").await, 1);
        between.let_happen(Mishap::None).await;
        app.pass(10);
        drain(&app).await;
        assert_eq!(server.all("ip-addresses").len(), 10);
    }
}
