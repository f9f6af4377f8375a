//! Each system outside, and everything that can go wrong between it and Patchbay: what is there
//! afterwards is right, nothing is done twice that must not be, and somebody can see it.

use std::time::Duration;

use patchbay::auth::Role;
use patchbay::outbox::{CallState, RadiusAction, RecordStatus};

use crate::outbox::{calls, drain, order, push, radius, runner, states, subject};
use crate::outside_netbox::{netbox, remove, set};
use crate::outside_peers::{dhcp, release, reserve, reserved};
use crate::support::app::{TestApp, both_databases};
use crate::support::lab::Kea;
use crate::support::outside::{Manner, Mishap, NAS_SECRET, Nas, Netbox, Troubled, attributes};

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
            push(&app, &subject(n), &set(&address, RecordStatus::Active)).await;
            drain(&app).await;
            if said.is_empty() {
                assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{mishap:?}");
            } else {
                shown(&app, n, said).await;
            }
            between.let_happen(Mishap::None).await;
            recover(&app, n).await;
            assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{mishap:?}");
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
            push(&app, &subject(n), &reserve(&address, &format!("mac:{mac}"), "x")).await;
            drain(&app).await;
            // The second of two equal requests to add finds it there, and Kea says no: it is what was asked for.
            if said.is_empty() {
                assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{mishap:?}");
            } else {
                shown(&app, n, said).await;
            }
            between.let_happen(Mishap::None).await;
            recover(&app, n).await;
            assert_eq!(states(&app, &subject(n)).await, [CallState::Done], "{mishap:?}");
            assert_eq!(reserved(&kea, &address).await, Some(mac), "{mishap:?}");
            push(&app, &subject(n), &release(&address)).await;
            drain(&app).await;
            assert_eq!(reserved(&kea, &address).await, None, "{mishap:?}");
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
