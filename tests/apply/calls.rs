//! What it is all for: after an Apply phones register with the secrets that were shown, and talk.

use patchbay::{
    apply::RunState,
    users::{self, Edit, SipSecret},
};

use crate::{
    office::Office,
    support::sip::{Algorithm, Phone, talk},
};

async fn phone(office: &Office, number: &str, secret: &SipSecret, algorithm: Algorithm) -> Phone {
    Phone::new(office.asterisk.sip_port, number, secret.expose(), algorithm).await
}

#[tokio::test]
async fn people_who_were_applied_register_call_and_see_each_others_lamps() {
    let office = Office::new().await;
    let (_, ann) = office.hire("Ann").await;
    let (_, bob) = office.hire("Bob").await;
    let (_, desk) = office.hire("Reception").await;
    office.hire("On leave").await;
    let mut alice = phone(&office, "1000", &ann, Algorithm::Sha256).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let mut bob = phone(&office, "1001", &bob, Algorithm::Md5).await;
    let mut desk = phone(&office, "1002", &desk, Algorithm::Sha256).await;
    for phone in [&mut alice, &mut bob, &mut desk] {
        assert_eq!(phone.register().await, 200);
    }
    assert_eq!(alice.call("1999").await, 404, "a number nobody has");
    assert_eq!(alice.call("5551234").await, 404, "a number outside the range");
    assert_eq!(alice.call("1003").await, 480, "a phone that is not registered");
    let (status, ()) = tokio::join!(alice.call("1001"), bob.refuse("486 Busy Here"));
    assert_eq!(status, 486);

    assert_eq!(desk.watch("1001").await, 200);
    desk.lamp("terminated").await;
    let (status, ()) = tokio::join!(alice.call("1001"), async {
        bob.ring().await;
        desk.lamp("early").await;
        bob.pick_up().await;
        desk.lamp("confirmed").await;
    });
    assert_eq!(status, 200);

    let (status, ()) = tokio::join!(alice.hang_up(), bob.hung_up());
    assert_eq!(status, 200);
    desk.lamp("terminated").await;
}

#[tokio::test]
async fn a_call_nobody_answers_ends_when_the_time_is_up() {
    let office = Office::new().await;
    let (_, ann) = office.hire("Ann").await;
    let (_, bob) = office.hire("Bob").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    // Here they need not wait as long as elsewhere.
    let dialplan = office.config_file("patchbay/current/extensions.conf");
    let meant = std::fs::read_to_string(&dialplan).unwrap();
    assert_eq!(meant.matches("Dial(PJSIP/${EXTEN},25)").count(), 1, "{meant}");
    std::fs::write(&dialplan, meant.replace("${EXTEN},25)", "${EXTEN},1)")).unwrap();
    office.asterisk.cli("module reload pbx_config.so");
    let mut ann = phone(&office, "1000", &ann, Algorithm::Sha256).await;
    let mut bob = phone(&office, "1001", &bob, Algorithm::Sha256).await;
    assert_eq!((ann.register().await, bob.register().await), (200, 200));
    let (status, ()) = tokio::join!(ann.call("1001"), bob.ignore());
    assert_eq!(status, 480);
}

#[tokio::test]
async fn disabling_rotating_and_deleting_reach_the_phone_with_the_next_apply() {
    let office = Office::new().await;
    let (_, caller) = office.hire("Caller").await;
    let (bob, old) = office.hire("Bob").await;
    office.apply().await;
    let mut caller = phone(&office, "1000", &caller, Algorithm::Sha256).await;
    assert_eq!(caller.register().await, 200);
    let mut first = phone(&office, "1001", &old, Algorithm::Sha256).await;
    assert_eq!(first.register().await, 200);

    let mut change = office.change().await;
    let (_, new) = users::rotate(&mut change, &office.session.state.vault, bob.id).await.unwrap();
    change.commit().await.unwrap();
    let mut second = phone(&office, "1001", &new, Algorithm::Md5).await;
    assert_eq!((first.register().await, second.register().await), (200, 401), "until the Apply");
    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!((first.register().await, second.register().await), (401, 200));
    let (status, ()) = tokio::join!(caller.call("1001"), second.answer());
    assert_eq!(status, 200);
    let (status, ()) = tokio::join!(caller.hang_up(), second.hung_up());
    assert_eq!(status, 200);

    office.edit(&bob, Edit { enabled: Some(false), ..Edit::default() }).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    assert_eq!(second.register().await, 401, "disabled");
    assert_eq!(caller.call("1001").await, 404);
    office.edit(&bob, Edit { enabled: Some(true), ..Edit::default() }).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    assert_eq!(second.register().await, 200, "with the secret it had");

    office.dismiss(&bob).await;
    assert_eq!(caller.call("1999").await, 404);
    assert_eq!(office.apply().await.state, RunState::Verified);
    assert_eq!(caller.call("1001").await, 404, "deleted while registered");
    assert_eq!(second.register().await, 401);
}

#[tokio::test]
async fn a_call_that_rings_at_a_colleagues_is_picked_up_and_nothing_else_is() {
    let mut office = Office::new().await;
    let mut secrets = Vec::new();
    for name in ["Ann", "Bob", "Cid"] {
        secrets.push(office.hire(name).await.1);
    }
    office.found("acme").await;
    for name in ["Wile", "Road", "Runner"] {
        secrets.push(office.hire(name).await.1);
    }
    assert_eq!(office.apply().await.state, RunState::Verified);
    let names = ["1000", "1001", "1002", "acme-1000", "acme-1001", "acme-1002"];
    let mut phones = Vec::new();
    for (name, secret) in names.iter().zip(&secrets) {
        let mut phone = phone(&office, name, secret, Algorithm::Sha256).await;
        assert_eq!(phone.register().await, 200);
        phones.push(phone);
    }
    let [ann, bob, cid, wile, road, runner] = phones.as_mut_slice() else { unreachable!() };

    assert_eq!(cid.watch("1001").await, 200);
    cid.lamp("terminated").await;
    assert_eq!(cid.call("*81001").await, 480, "nothing rings there");
    assert_eq!(cid.call("*81999").await, 480, "a number nobody has");
    assert_eq!(cid.call("*85551234").await, 404, "a number outside the range");

    let (status, ()) = tokio::join!(ann.call("1001"), async {
        bob.ring().await;
        cid.lamp("early").await;
        assert_eq!(cid.call("*81000").await, 480, "who calls does not ring");
        assert_eq!(wile.call("*81001").await, 480, "another tenant's call");
        let (status, ()) = tokio::join!(cid.call("*81001"), bob.let_go());
        assert_eq!(status, 200);
    });
    assert_eq!(status, 200);
    cid.lamp("terminated").await;
    talk(ann, cid).await;
    assert_eq!(wile.call("*81001").await, 480, "a call that is answered is nobody else's");
    let (status, ()) = tokio::join!(cid.hang_up(), ann.hung_up());
    assert_eq!(status, 200);

    let (status, ()) = tokio::join!(wile.call("1001"), async {
        road.ring().await;
        assert_eq!(cid.call("*81001").await, 480, "another tenant's call");
        let (status, ()) = tokio::join!(runner.call("*81001"), road.let_go());
        assert_eq!(status, 200);
    });
    assert_eq!(status, 200);
    talk(wile, runner).await;
    let (status, ()) = tokio::join!(wile.hang_up(), runner.hung_up());
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_tenants_phones_reach_their_own_and_nobody_elses() {
    let mut office = Office::new().await;
    let (_, ann) = office.hire("Ann").await;
    let (_, _) = office.hire("Bob").await;
    office.found("acme").await;
    let (_, wile) = office.hire("Wile").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let mut ann = phone(&office, "1000", &ann, Algorithm::Sha256).await;
    let mut wile = phone(&office, "acme-1000", &wile, Algorithm::Sha256).await;
    assert_eq!((ann.register().await, wile.register().await), (200, 200));
    assert_eq!(wile.call("1001").await, 404, "a number that only the other tenant has");
    assert_eq!(ann.call("acme-1000").await, 404, "theirs cannot be dialled by its inner name");
    assert_eq!(ann.call("1001").await, 480);
}
