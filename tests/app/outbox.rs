//! Calls to systems outside: written with the change, made after it, in order, at least once, and
//! never for ever.

use std::time::Duration;

use futures_util::future::join_all;
use patchbay::audit::Actor;
use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::outbox::setup::{self, Edit, NewNas, RadiusSetup, Settings};
use patchbay::outbox::{
    self, Backoff, Call, CallState, Order, RadiusAction, RadiusOrder, Runner, Session, Subject,
    System,
};
use patchbay::outside::Key;

use crate::support::app::{TestApp, both_databases, tester};
use crate::support::outside::{
    Manner, Mishap, NAS_SECRET, NETBOX_TOKEN, Nas, Netbox, Troubled, attributes,
};

/// How patient tests are: three tries, the first repeated once.
pub const BACKOFF: Backoff = Backoff { first: 4, most: 60, tries: 3 };
pub const WAITS: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(150)];

pub fn runner(app: &TestApp) -> Runner {
    Runner::new(app.state.clone()).unwrap().with(BACKOFF, &WAITS)
}

/// Makes every call that is due.
pub async fn drain(app: &TestApp) -> usize {
    runner(app).drain().await.unwrap()
}

/// Lets a kind of system be at loopback, on this port too.
pub async fn allow(app: &TestApp, system: System, port: u16) {
    let mut change = app.state.change(&tester()).await.unwrap();
    setup::allow(&mut change, system, &format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap();
    change.commit_if_any().await.unwrap();
}

pub async fn configure(app: &TestApp, settings: Settings, secret: Option<&str>, enabled: bool) {
    let mut change = app.state.change(&tester()).await.unwrap();
    let version =
        setup::get(change.tx(), TenantId::DEFAULT, settings.system()).await.unwrap().version;
    let secret = secret.map(|text| Key::from(text.to_owned()));
    let edit = Edit { enabled, settings, secret };
    setup::configure(&mut change, &app.state.vault, version, &edit).await.unwrap();
    change.commit_if_any().await.unwrap();
}

/// Adds a NAS at an address of this machine, and allows it.
pub async fn add_nas(app: &TestApp, name: &str, address: &str, port: u16, secret: &str) {
    let mut change = app.state.change(&tester()).await.unwrap();
    let target = format!("{address}:{port}").parse().unwrap();
    setup::allow(&mut change, System::Radius, &target).await.unwrap();
    let nas = NewNas {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        port,
        fallback: name == "edge",
        secret: Some(Key::from(secret.to_owned())),
    };
    setup::add_nas(&mut change, &app.state.vault, &nas).await.unwrap();
    change.commit().await.unwrap();
}

/// Switches RADIUS on, with a NAS on loopback.
pub async fn radius(app: &TestApp, port: u16, secret: &str) {
    add_nas(app, "edge", "127.0.0.1", port, secret).await;
    let settings = RadiusSetup {
        suspended_filter: "walled-garden".parse().unwrap(),
        usual_filter: "full".parse().unwrap(),
        ..RadiusSetup::default()
    };
    configure(app, Settings::Radius(settings), None, true).await;
}

pub fn subject(n: u32) -> Subject {
    Subject::new("assignment", &n)
}

pub fn order(action: RadiusAction, user: &str) -> Order {
    let session = Session { user_name: Some(user.to_owned()), ..Session::default() };
    Order::Radius(RadiusOrder { action, session, leased: "10.0.0.5".parse().unwrap() })
}

/// Orders something, in a transaction of its own.
pub async fn push(app: &TestApp, subject: &Subject, order: &Order) -> bool {
    let mut change = app.state.change(&tester()).await.unwrap();
    let id = outbox::push(&mut change, app.state.vault.entropy(), subject, order).await.unwrap();
    change.commit_seen().await.unwrap();
    id.is_some()
}

pub async fn calls(app: &TestApp, subject: &Subject) -> Vec<Call> {
    let mut tx = app.state.read().await.unwrap();
    outbox::of(&mut tx, TenantId::DEFAULT, subject).await.unwrap()
}

pub async fn states(app: &TestApp, subject: &Subject) -> Vec<CallState> {
    calls(app, subject).await.into_iter().map(|call| call.state).collect()
}

fn value(packet: &[u8], kind: u8) -> Option<Vec<u8>> {
    attributes(packet).into_iter().find(|(known, _)| *known == kind).map(|(_, value)| value)
}

both_databases! {
    async fn nothing_is_written_for_a_system_that_is_off(app: TestApp) {
        assert!(!push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await);
        assert_eq!(app.number("SELECT count(*) FROM outside_call").await, 0);
    }

    async fn a_call_is_there_if_and_only_if_the_change_is(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let mut change = app.state.change(&tester()).await.unwrap();
        let suspend = order(RadiusAction::Suspend, "ann");
        outbox::push(&mut change, app.state.vault.entropy(), &subject(1), &suspend).await.unwrap();
        drop(change);
        assert_eq!(app.number("SELECT count(*) FROM outside_call").await, 0);
        assert_eq!(drain(&app).await, 0);
        assert!(push(&app, &subject(1), &suspend).await);
        // It waits, and nothing was said yet.
        assert_eq!(states(&app, &subject(1)).await, [CallState::Waiting]);
        assert!(nas.packets().is_empty());
        assert_eq!(drain(&app).await, 1);
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!((call.state, call.attempts), (CallState::Done, 1));
        assert!(call.answer.ends_with("changed the session"), "{}", call.answer);
        assert_eq!(call.label, "suspend 10.0.0.5 of ann");
    }

    async fn calls_of_one_subject_are_made_in_order_and_say_what_each_action_means(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let actions = [RadiusAction::Activate, RadiusAction::Suspend, RadiusAction::Restore, RadiusAction::Disconnect];
        for action in actions {
            push(&app, &subject(1), &order(action, "ann")).await;
        }
        assert_eq!(drain(&app).await, 4);
        let said: Vec<_> = nas.packets().iter().map(|packet| (packet[0], value(packet, 11))).collect();
        assert_eq!(said, [
            (43, None),
            (43, Some(b"walled-garden".to_vec())),
            (43, Some(b"full".to_vec())),
            (40, None),
        ]);
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done; 4]);
    }

    async fn a_failing_call_holds_up_its_own_line_and_no_other(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        nas.behaves(Manner::Busy);
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        push(&app, &subject(1), &order(RadiusAction::Restore, "ann")).await;
        drain(&app).await;
        nas.behaves(Manner::Good);
        push(&app, &subject(2), &order(RadiusAction::Suspend, "bob")).await;
        drain(&app).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Waiting; 2]);
        assert_eq!(states(&app, &subject(2)).await, [CallState::Done]);
        app.pass(5);
        drain(&app).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done; 2]);
        let filters: Vec<_> = nas.packets().iter().filter(|p| value(p, 1).unwrap() == b"ann").map(|p| value(p, 11).unwrap()).collect();
        assert_eq!(filters, [b"walled-garden".to_vec(), b"walled-garden".to_vec(), b"full".to_vec()]);
    }

    async fn tries_come_later_each_time_and_the_last_leaves_a_dead_letter_that_can_be_tried_again(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        nas.behaves(Manner::Silent);
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let mut gaps = Vec::new();
        for _ in 0..2 {
            drain(&app).await;
            let call = calls(&app, &subject(1)).await.remove(0);
            assert_eq!(call.state, CallState::Waiting);
            assert!(call.error.contains("did not answer in time"), "{}", call.error);
            let gap = call.next_at.since(app.state.clock.now());
            gaps.push(gap);
            app.pass(gap - 1);
            assert_eq!(drain(&app).await, 0, "it was tried too early");
            app.pass(1);
        }
        assert!((3..=4).contains(&gaps[0]) && (5..=8).contains(&gaps[1]), "{gaps:?}");
        drain(&app).await;
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!((call.state, call.attempts), (CallState::Dead, 3));
        app.pass(100_000);
        assert_eq!(drain(&app).await, 0);
        nas.behaves(Manner::Good);
        let admin = app.signed_in("admin", Role::Admin).await;
        let page = admin.get("/outbox?state=dead").await;
        page.shows("suspend 10.0.0.5 of ann");
        page.shows("did not answer in time");
        let answer = admin.post(&format!("/outbox/{}/retry", call.id), &[]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        drain(&app).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done]);
        assert!(app.audit().await.contains(&"admin outbox.retried suspend 10.0.0.5 of ann".to_owned()));
    }

    async fn a_silent_nas_with_a_long_backlog_does_not_hold_up_another(app: TestApp) {
        let silent = Nas::start(Duration::ZERO).await;
        radius(&app, silent.port, NAS_SECRET).await;
        silent.behaves(Manner::Silent);
        let other = Nas::sharing("127.0.0.2".parse().unwrap(), "secret-of-core", Duration::ZERO).await;
        add_nas(&app, "core", "127.0.0.2", other.port, "secret-of-core").await;
        let mut change = app.state.change(&tester()).await.unwrap();
        for n in 0..300 {
            let suspend = order(RadiusAction::Suspend, &format!("user{n}"));
            outbox::push(&mut change, app.state.vault.entropy(), &subject(n), &suspend).await.unwrap();
        }
        change.commit_seen().await.unwrap();
        app.pass(1);
        let session = Session { user_name: Some("ann".to_owned()), nas: Some("127.0.0.2".parse().unwrap()), ..Session::default() };
        let suspend = RadiusOrder { action: RadiusAction::Suspend, session, leased: "10.0.0.6".parse().unwrap() };
        push(&app, &subject(1_000), &Order::Radius(suspend)).await;
        let runner = runner(&app);
        runner.drain().await.unwrap();
        assert_eq!((other.packets().len(), states(&app, &subject(1_000)).await), (1, vec![CallState::Done]));
        // Of the backlog as much was tried as is taken at once; the rest says what it waits for.
        let tried = "SELECT count(*) FROM outside_call WHERE attempts > 0 AND state = 'waiting'";
        assert_eq!(app.number(tried).await, 128);
        let waits = "SELECT count(*) FROM outside_call WHERE attempts = 0 AND error LIKE '%did not answer in time%'";
        assert_eq!(app.number(waits).await, 172);
        silent.behaves(Manner::Good);
        for _ in 0..3 {
            app.pass(10);
            runner.drain().await.unwrap();
        }
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE state <> 'done'").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM outside_call WHERE attempts > 2").await, 0);
    }

    /// While one tenant's NetBox says nothing, another tenant's is spoken to.
    async fn one_tenants_silent_netbox_does_not_hold_up_anothers(app: TestApp) {
        let (ours, theirs) = (Netbox::start().await, Netbox::start().await);
        let mut between = Troubled::before(ours.at).await;
        let acme = app.tenant("acme", "other").await;
        let actor = Actor { tenant: acme, ..tester() };
        crate::outside_netbox::netbox(&app, between.at).await;
        allow(&app, System::Netbox, theirs.at.port()).await;
        let mut change = app.state.change(&actor).await.unwrap();
        let url = Some(format!("http://{}", theirs.at).parse().unwrap());
        let settings = Settings::Netbox(setup::NetboxSetup { url, ..setup::NetboxSetup::default() });
        let secret = Some(Key::from(NETBOX_TOKEN.to_owned()));
        let edit = Edit { enabled: true, settings, secret };
        setup::configure(&mut change, &app.state.vault, 0, &edit).await.unwrap();
        change.commit().await.unwrap();
        between.let_happen(Mishap::Silent).await;
        let set = crate::outside_netbox::set("10.0.0.5", outbox::RecordStatus::Active);
        push(&app, &subject(1), &set).await;
        let (leave, left) = tokio::sync::watch::channel(false);
        let serving = tokio::spawn(runner(&app).run(left));
        while states(&app, &subject(1)).await != [CallState::Sending] {
            tokio::task::yield_now().await;
        }
        let mut change = app.state.change(&actor).await.unwrap();
        outbox::push(&mut change, app.state.vault.entropy(), &subject(2), &set).await.unwrap();
        change.commit_seen().await.unwrap();
        while theirs.all("ip-addresses").is_empty() {
            assert_eq!(states(&app, &subject(1)).await, [CallState::Sending], "it waited for the other");
            tokio::task::yield_now().await;
        }
        leave.send(true).unwrap();
        serving.await.unwrap();
    }

    async fn a_call_that_cannot_be_read_is_dead_and_holds_up_no_other(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        app.sql("UPDATE outside_call SET payload = '{\"order\":\"of another version\"}'").await;
        push(&app, &subject(2), &order(RadiusAction::Suspend, "bob")).await;
        drain(&app).await;
        assert_eq!(states(&app, &subject(2)).await, [CallState::Done]);
        let call = calls(&app, &subject(1)).await.remove(0);
        assert_eq!(call.state, CallState::Dead);
        assert!(call.error.contains("cannot be read"), "{}", call.error);
    }

    async fn of_a_long_life_the_newest_calls_are_shown(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let mut change = app.state.change(&tester()).await.unwrap();
        let suspend = order(RadiusAction::Suspend, "ann");
        for _ in 0..200 {
            outbox::push(&mut change, app.state.vault.entropy(), &subject(1), &suspend).await.unwrap();
        }
        change.commit_seen().await.unwrap();
        app.pass(1);
        push(&app, &subject(1), &order(RadiusAction::Disconnect, "ann")).await;
        let all = calls(&app, &subject(1)).await;
        assert_eq!((all.len(), all[199].label.as_str()), (200, "disconnect 10.0.0.5 of ann"));
    }

    async fn what_a_later_call_has_overtaken_is_not_sent_any_more(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        nas.behaves(Manner::Refuses);
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        nas.behaves(Manner::Good);
        push(&app, &subject(1), &order(RadiusAction::Restore, "ann")).await;
        drain(&app).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Dead, CallState::Done]);
        let admin = app.signed_in("admin", Role::Admin).await;
        let id = calls(&app, &subject(1)).await.remove(0).id;
        let answer = admin.post(&format!("/outbox/{id}/retry"), &[]).await;
        assert_eq!(answer.status, 409);
        answer.shows("a later call about the same thing was made already");
        admin.post("/outbox/retries", &[("system", "radius")]).await;
        assert_eq!(drain(&app).await, 0);
    }

    async fn a_call_can_be_given_up_with_a_reason(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let id = calls(&app, &subject(1)).await.remove(0).id;
        let admin = app.signed_in("admin", Role::Admin).await;
        let answer = admin.post(&format!("/outbox/{id}/drop"), &[("reason", " ")]).await;
        assert_eq!(answer.status, 422);
        answer.shows("say why it is given up");
        let answer = admin.post(&format!("/outbox/{id}/drop"), &[("reason", "<b>the NAS is gone</b>")]).await;
        assert_eq!(answer.status, 303);
        assert_eq!(drain(&app).await, 0);
        assert_eq!(states(&app, &subject(1)).await, [CallState::Dropped]);
        let page = admin.get("/outbox").await;
        page.shows("given up by admin: <b>the NAS is gone</b>");
        assert!(!page.text.contains("<b>the NAS"));
        let answer = admin.post(&format!("/outbox/{id}/retry"), &[]).await;
        assert_eq!(answer.status, 409);
    }

    /// A process claims calls and dies: before it made them, or after it made them and before it
    /// wrote that down. Both look the same afterwards, and both are settled by the next process.
    async fn what_a_dead_process_had_taken_is_made_by_another_and_is_the_same_packet(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        // As if the process had died between the answer and writing it down.
        app.sql("UPDATE outside_call SET state = 'sending', runner = 'dead', ended_at = NULL, answer = '', lease_until = created_at + 60").await;
        app.pass(30);
        runner(&app).tidy().await.unwrap();
        assert_eq!(drain(&app).await, 0, "its lease still runs");
        app.pass(31);
        runner(&app).tidy().await.unwrap();
        assert_eq!(drain(&app).await, 1);
        assert_eq!(states(&app, &subject(1)).await, [CallState::Done]);
        let packets = nas.packets();
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0], packets[1], "the NAS must be able to tell that it is the same");
        // A NAS would take so old a packet for a replay: it is made anew.
        app.sql("UPDATE outside_call SET state = 'waiting', ended_at = NULL").await;
        app.pass(300);
        drain(&app).await;
        let packets = nas.packets();
        assert_ne!(packets[1], packets[2]);
        let stamp = u32::from_be_bytes(value(&packets[2], 55).unwrap().try_into().unwrap());
        assert_eq!(i64::from(stamp), app.state.clock.now().0);
    }

    async fn a_process_that_was_taken_for_dead_writes_nothing_down(app: TestApp) {
        let nas = Nas::start(Duration::from_millis(100)).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let (slow, other) = (runner(&app), app.another().await);
        let sending = async { slow.drain().await.unwrap() };
        let stealing = async {
            while states(&other, &subject(1)).await != [CallState::Sending] {
                tokio::task::yield_now().await;
            }
            other.sql("UPDATE outside_call SET runner = 'another'").await;
        };
        futures_util::future::join(sending, stealing).await;
        assert_eq!(states(&app, &subject(1)).await, [CallState::Sending]);
    }

    async fn several_instances_make_each_call_once_and_keep_its_order(app: TestApp) {
        let nas = Nas::start(Duration::from_millis(5)).await;
        radius(&app, nas.port, NAS_SECRET).await;
        for n in 0..20 {
            for action in [RadiusAction::Suspend, RadiusAction::Restore] {
                push(&app, &subject(n), &order(action, &format!("user{n}"))).await;
            }
        }
        let mut instances = Vec::new();
        for _ in 0..3 {
            instances.push(app.another().await);
        }
        // So patient that nothing is said again because this machine is busy.
        let patient = |app: &TestApp| Runner::new(app.state.clone()).unwrap().with(BACKOFF, &[Duration::from_mins(1)]);
        let runners: Vec<Runner> = instances.iter().map(patient).collect();
        while app.number("SELECT count(*) FROM outside_call WHERE state <> 'done'").await > 0 {
            join_all(runners.iter().map(Runner::drain)).await.into_iter().for_each(|made| assert!(made.is_ok()));
        }
        let packets = nas.packets();
        assert_eq!(packets.len(), 40);
        for n in 0..20 {
            let of: Vec<_> = packets.iter().filter(|p| value(p, 1).unwrap() == format!("user{n}").into_bytes()).collect();
            let filters: Vec<_> = of.iter().map(|packet| value(packet, 11).unwrap()).collect();
            assert_eq!(filters, [b"walled-garden".to_vec(), b"full".to_vec()]);
        }
    }

    async fn while_a_system_is_off_its_calls_wait(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let mut setup = setup::get(&mut app.state.read().await.unwrap(), TenantId::DEFAULT, System::Radius).await.unwrap();
        configure(&app, setup.settings.clone(), None, false).await;
        assert_eq!(drain(&app).await, 0);
        setup = setup::get(&mut app.state.read().await.unwrap(), TenantId::DEFAULT, System::Radius).await.unwrap();
        configure(&app, setup.settings, None, true).await;
        assert_eq!(drain(&app).await, 1);
    }

    async fn what_is_long_over_is_forgotten_and_what_failed_is_not(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        drain(&app).await;
        nas.behaves(Manner::Refuses);
        push(&app, &subject(2), &order(RadiusAction::Suspend, "bob")).await;
        drain(&app).await;
        app.pass(31 * 24 * 3600);
        runner(&app).tidy().await.unwrap();
        assert!(states(&app, &subject(1)).await.is_empty());
        assert_eq!(states(&app, &subject(2)).await, [CallState::Dead]);
    }

    async fn a_fragment_and_a_call_show_how_a_subjects_calls_stand(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/outbox/of/assignment/1").await.shows("No system outside was told anything");
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let part = admin.get("/outbox/of/assignment/1").await;
        part.shows("waiting");
        assert!(part.text.contains("hx-get=\"/outbox/of/assignment/1\""), "it looks again by itself");
        drain(&app).await;
        let part = admin.get("/outbox/of/assignment/1").await;
        part.shows("changed the session");
        assert!(!part.text.contains("hx-get"));
        assert_eq!(admin.get("/outbox/of/assignment/..%2f").await.status, 404);
        let script = app.script(Role::Auditor).await;
        let list = script.get("/api/v1/outbox?system=radius&state=done").await.json();
        assert_eq!((list["total"].as_i64(), list["calls"][0]["subject"].as_str()), (Some(1), Some("assignment/1")));
        assert_eq!(script.get("/api/v1/outbox?state=lost").await.status, 422);
        let one = script.get(&format!("/api/v1/outbox/{}", list["calls"][0]["id"].as_str().unwrap())).await;
        assert_eq!(one.json()["state"], "done");
        let states = outbox::states(&mut app.state.read().await.unwrap(), TenantId::DEFAULT, &[subject(1), subject(9)]).await.unwrap();
        assert_eq!(states.len(), 1);
        assert_eq!(states["assignment/1"], [(System::Radius, CallState::Done)]);
    }

    async fn another_tenants_calls_are_not_there(app: TestApp) {
        let nas = Nas::start(Duration::ZERO).await;
        radius(&app, nas.port, NAS_SECRET).await;
        push(&app, &subject(1), &order(RadiusAction::Suspend, "ann")).await;
        let id = calls(&app, &subject(1)).await.remove(0).id;
        let nas_id = app.texts("SELECT id FROM outside_nas").await.remove(0);
        app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let before = app.contents().await;
        other.get("/outbox").await.hides("ann");
        other.get("/outbox/of/assignment/1").await.hides("ann");
        other.get("/settings/outside/radius").await.hides("127.0.0.1");
        assert_eq!(other.post(&format!("/outbox/{id}/retry"), &[]).await.status, 404);
        assert_eq!(other.post(&format!("/outbox/{id}/drop"), &[("reason", "x")]).await.status, 404);
        assert_eq!(other.get(&format!("/settings/outside/nas/{nas_id}")).await.status, 404);
        let form = [("name", "x"), ("address", "10.0.0.1"), ("port", "3799"), ("secret", "x")];
        assert_eq!(other.post(&format!("/settings/outside/nas/{nas_id}"), &form).await.status, 404);
        assert_eq!(other.post(&format!("/settings/outside/nas/{nas_id}/removal"), &[]).await.status, 404);
        assert_eq!(other.get("/settings/outside/allowed").await.status, 403);
        assert_eq!(other.post("/settings/outside/allowed", &[("system", "radius"), ("target", "10.0.0.0/8")]).await.status, 403);
        let token = app.token_of("other", Role::Admin, None).await;
        for (method, path, body) in [("GET", "", None), ("POST", "/retry", None), ("POST", "/drop", Some("x"))] {
            let path = format!("/api/v1/outbox/{id}{path}");
            let mut ask = app.ask(method, &path).token(&token);
            if let Some(reason) = body {
                ask = ask.json(&serde_json::json!({ "reason": reason }));
            }
            assert_eq!(ask.send().await.status, 404, "{method} {path}");
        }
        let after = app.contents().await;
        let without = |all: &str| all.lines().filter(|line| line.contains("outside") || line.contains(&id.to_string())).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without(&before), without(&after));
    }
}
