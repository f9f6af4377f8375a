//! Real registrations at a real Asterisk: who is there is known, through restarts of everything and
//! a manager interface that breaks off; and phones are told.

use std::time::Duration;

use patchbay::{
    asterisk::access::Access,
    id::NotificationId,
    notify::{self, Kind, New, Pause, PhoneState, Runner, WaveSize},
    phones::Vendor,
    registrations::{self, Feed, Registration, Subject, Tempo, map},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    office::{Office, Serving, on_both_databases},
    proxy::{Fault, Proxy},
    support::{
        server::free_port,
        sip::{Algorithm, Phone},
    },
};

const YEALINK: &str = "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab";
const PATIENCE: Duration = Duration::from_secs(40);

/// Somebody who listens to Asterisk.
struct Listening {
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    fn through(office: &Office, address: Option<String>) -> Self {
        let mut access: Access = office.applier.access().clone();
        if let Some(address) = address {
            access.address = address;
        }
        let tempo = Tempo {
            quiet: Duration::from_millis(50),
            whole: Duration::from_secs(5),
            retry: (Duration::from_millis(100), Duration::from_millis(500)),
            ..Tempo::default()
        };
        let feed = Feed::new(office.session.state.clone(), access).in_tempo(tempo);
        let (leave, leaving) = watch::channel(false);
        Self { leave, task: tokio::spawn(feed.run(leaving)) }
    }

    fn to(office: &Office) -> Self {
        Self::through(office, None)
    }

    async fn stop(self) {
        self.leave.send(true).unwrap();
        self.task.await.unwrap();
    }
}

impl Office {
    async fn known(&self, number: &str) -> Vec<Registration> {
        let mut tx = self.session.state.read().await.unwrap();
        let subject: Subject = number.parse().unwrap();
        let everything = patchbay::audit::Page { offset: 0, limit: 1_000 };
        registrations::history(&mut tx, self.actor.tenant, subject, everything).await.unwrap().0
    }

    /// Waits until what is known of a number is `right`.
    async fn until(
        &self,
        number: &str,
        right: impl Fn(&[Registration]) -> bool,
    ) -> Vec<Registration> {
        let waiting = async {
            loop {
                let known = self.known(number).await;
                if right(&known) {
                    return known;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if let Ok(known) = timeout(PATIENCE, waiting).await {
            return known;
        }
        panic!("{:?}", self.known(number).await)
    }

    /// When Asterisk last told everything.
    async fn heard(&self) -> (i64, i64) {
        let mut tx = self.session.state.read().await.unwrap();
        let word = registrations::word(&mut tx).await.unwrap();
        (word.read_at.map_or(0, |at| at.0), word.changes)
    }

    /// Waits until what is written of why Asterisk does not tell is `right`.
    async fn until_said(&self, right: impl Fn(&str) -> bool) -> String {
        let waiting = async {
            loop {
                let mut tx = self.session.state.read().await.unwrap();
                let word = registrations::word(&mut tx).await.unwrap();
                if right(&word.error) {
                    return word.error;
                }
                drop(tx);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap()
    }

    async fn sip(&self, user: &str, secret: &str) -> Phone {
        Phone::new(self.asterisk.sip_port, user, secret, Algorithm::Sha256).await
    }
}

fn there(known: &[Registration]) -> bool {
    known.first().is_some_and(|one| one.present)
}

on_both_databases! {
    /// From its first REGISTER to its last, a phone is known with what it says of itself.
    async fn a_phone_that_registers_is_known_until_it_leaves(office: Office) {
        let (_, secret) = office.hire("Ann").await;
        let (_, other) = office.hire("Bob").await;
        assert!(office.apply().await.state.is_good());
        let listening = Listening::to(&office);
        let mut ann = office.sip("1000", secret.expose()).await.calling_itself(YEALINK);
        let mut bob = office.sip("1001", other.expose()).await.calling_itself("Softphone/1");
        assert_eq!((ann.register().await, bob.register().await), (200, 200));
        let known = office.until("1000", there).await;
        assert_eq!(known[0].contact, ann.contact());
        assert_eq!(known[0].address.unwrap().to_string(), "127.0.0.1");
        assert_eq!(known[0].mac.unwrap().to_string(), "80:5e:c0:12:34:ab");
        assert_eq!(known[0].user_agent, YEALINK);
        assert!(known[0].expires_at.unwrap() > known[0].first_seen);
        office.until("1001", there).await;
        // Another one that does not say its MAC keeps it; the other number is left alone.
        ann.call_itself("Yealink SIP-T46U 108.87");
        assert_eq!(ann.register().await, 200);
        let known = office.until("1000", |known| known[0].user_agent.ends_with("108.87")).await;
        assert_eq!(known[0].mac.unwrap().to_string(), "80:5e:c0:12:34:ab");
        assert_eq!(known.len(), 1);
        // The map shows both.
        let state = &office.session.state;
        let mut tx = map::read(state, office.actor.tenant).await.unwrap();
        let rows = map::of_number(&mut tx, office.actor.tenant, 1000.try_into().unwrap()).await.unwrap();
        assert!(rows[0].present && rows[0].mac == known[0].mac && rows[0].name == "Ann");
        drop(tx);
        assert_eq!(ann.unregister().await, 200);
        let known = office.until("1000", |known| !known[0].present).await;
        assert_eq!(known[0].mac.unwrap().to_string(), "80:5e:c0:12:34:ab");
        assert!(there(&office.known("1001").await));
        listening.stop().await;
    }

    /// Asterisk keeps its registrations through a restart; so does Patchbay, and hears what happened
    /// while it was away.
    async fn after_restarts_of_both_the_map_is_right(office: Office) {
        let mut office = office;
        let mut phones = Vec::new();
        for name in ["Ann", "Bob", "Cid"] {
            let (user, secret) = office.hire(name).await;
            phones.push((user.number.to_string(), secret));
        }
        assert!(office.apply().await.state.is_good());
        let mut devices = Vec::new();
        for (number, secret) in &phones {
            let mut device = office.sip(number, secret.expose()).await;
            assert_eq!(device.register().await, 200);
            devices.push(device);
        }
        let listening = Listening::to(&office);
        office.until("1002", there).await;
        let before = office.heard().await;
        office.asterisk.restart();
        // It is there again, and still knows everybody: nothing was written as ended and begun anew.
        office.until_said(|why| !why.is_empty()).await;
        office.until_said(str::is_empty).await;
        assert!(office.heard().await.0 >= before.0);
        for (number, _) in &phones {
            let known = office.known(number).await;
            assert!(known.len() == 1 && there(&known), "{known:?}");
        }
        assert_eq!(office.heard().await.1, before.1);
        listening.stop().await;
        // Nobody listens while one leaves and another moves.
        assert_eq!(devices[0].unregister().await, 200);
        let mut moved = office.sip("1001", phones[1].1.expose()).await;
        assert_eq!(moved.register().await, 200);
        let listening = Listening::to(&office);
        office.until("1000", |known| !there(known)).await;
        let bob = office.until("1001", |known| known.len() == 2).await;
        assert_eq!((bob[0].present, bob[0].contact.as_str()), (true, moved.contact().as_str()));
        assert!(!bob[1].present);
        assert!(there(&office.known("1002").await));
        // Down for good: what was known stays, and it is said since when it is old.
        office.asterisk.stop();
        let why = office.until_said(|why| !why.is_empty()).await;
        assert!(why.contains("start Asterisk") || why.contains("closed"), "{why}");
        assert!(there(&office.known("1002").await));
        listening.stop().await;
    }

    /// A list that breaks off is no list.
    async fn a_manager_interface_that_breaks_off_in_the_middle_of_the_list_loses_no_registration(office: Office) {
        let mut devices = Vec::new();
        for n in 0..20 {
            let (user, secret) = office.hire(&format!("Person {n}")).await;
            devices.push((user.number.to_string(), secret));
        }
        assert!(office.apply().await.state.is_good());
        let mut phones = Vec::new();
        for (number, secret) in &devices {
            let mut phone = office.sip(number, secret.expose()).await;
            assert_eq!(phone.register().await, 200);
            phones.push(phone);
        }
        let listening = Listening::to(&office);
        for (number, _) in &devices {
            office.until(number, there).await;
        }
        listening.stop().await;
        let before = office.heard().await;
        for fault in [Fault::Short(2_500), Fault::Short(200), Fault::Cut] {
            let proxy = Proxy::new(office.asterisk.ami_port, "ContactStatuses", fault, 3).await;
            // Somebody registers while it does not work.
            let listening = Listening::through(&office, Some(proxy.address()));
            assert_eq!(phones[0].register().await, 200);
            office.until_said(|why| !why.is_empty()).await;
            office.until_said(str::is_empty).await;
            listening.stop().await;
        }
        for (number, _) in &devices {
            let known = office.known(number).await;
            assert!(known.len() == 1 && there(&known), "{known:?}");
        }
        assert_eq!(office.heard().await.1, before.1, "nothing ended in between");
    }
}

fn telling(kind: Kind, macs: &[patchbay::net::Mac]) -> New {
    let phones = macs.iter().map(|mac| (*mac, String::new())).collect();
    let (wave_size, pause) = (WaveSize::try_from(2).unwrap(), Pause::try_from(1).unwrap());
    New { kind, reason: "a test".to_owned(), phones, wave_size, pause }
}

impl Office {
    async fn tell(&self, new: &New) -> NotificationId {
        let mut change = self.change().await;
        let id = notify::begin(&mut change, &self.session.state.vault, new).await.unwrap();
        change.commit().await.unwrap();
        id
    }

    /// The runner works until the run is over.
    async fn over(
        &self,
        runner: &Runner,
        id: NotificationId,
    ) -> (notify::Telling, Vec<notify::Told>) {
        let working = async {
            loop {
                runner.turn().await.unwrap();
                let mut tx = self.session.state.read().await.unwrap();
                let run = notify::get(&mut tx, self.actor.tenant, id).await.unwrap().unwrap();
                if !run.state.is_under_way() {
                    let everything = patchbay::audit::Page { offset: 0, limit: 100 };
                    return (
                        run,
                        notify::phones(&mut tx, self.actor.tenant, id, everything).await.unwrap(),
                    );
                }
                drop(tx);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, working).await.unwrap()
    }
}

on_both_databases! {
    /// One call, one phone, and its answer says what came of it.
    async fn a_script_restarts_a_phone_and_is_told_when_it_is_not_there(office: Office) {
        let (ann, secret) = office.hire("Ann").await;
        let (bob, _) = office.hire("Bob").await;
        office.phone("001565000001", Vendor::Yealink, "t46s", &[&ann]).await;
        office.phone("001565000002", Vendor::Yealink, "t46s", &[&bob]).await;
        assert!(office.apply().await.state.is_good());
        let mut phone = office.sip("1000", secret.expose()).await;
        assert_eq!(phone.register().await, 200);
        let serving = Serving::start(&office, free_port());
        let token = office.administrator("carol", "four random words here");
        crate::support::trust();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let restart = async |path: &str| {
            let request = client.post(format!("{}{path}", serving.url)).bearer_auth(&token);
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        for path in ["/api/phones", "/api/v1/phones"] {
            let expected = json!({ "success": true, "message": "Phone 1000 was told to restart" });
            assert_eq!(restart(&format!("{path}/1000/reboot")).await, (200, expected));
            assert_eq!(timeout(PATIENCE, phone.told()).await.unwrap(), "check-sync;reboot=true");
            let (status, problem) = restart(&format!("{path}/1001/reboot")).await;
            assert_eq!((status, &problem["detail"]), (400, &json!("it is not registered as 1001")), "{problem}");
        }
        serving.stop();
    }

    /// Each maker's phones are told in their own words; who is not there is named.
    async fn phones_are_told_in_their_makers_words(office: Office) {
        let makers = [
            ("001565000001", Vendor::Yealink, "t46s", "check-sync;reboot=false", "check-sync;reboot=true"),
            ("000413000002", Vendor::Snom, "d785", "check-sync;reboot=false", "check-sync;reboot=true"),
            ("0002fd000003", Vendor::Cisco, "spa504g", "resync", "reboot_now"),
            ("0004f2000004", Vendor::Polycom, "vvx450", "check-sync", "check-sync"),
            ("c074ad000005", Vendor::Grandstream, "gxp2170", "check-sync;reboot=false", "check-sync;reboot=true"),
            ("0c383e000006", Vendor::Fanvil, "x6", "check-sync;reboot=false", "check-sync;reboot=true"),
            ("001d1b000007", Vendor::Zultys, "zip37g", "check-sync;reboot=false", "check-sync;reboot=true"),
        ];
        let (mut devices, mut macs) = (Vec::new(), Vec::new());
        for (mac, vendor, model, resync, reboot) in makers {
            let model = patchbay::phones::Model::find(vendor, model).map_or_else(|_| vendor.models().next().unwrap().name, |model| model.name);
            let (user, secret) = office.hire(mac).await;
            macs.push(office.phone(mac, vendor, model, &[&user]).await);
            devices.push((user.number.to_string(), secret, resync, reboot));
        }
        // What a Poly does when it is told anything is in its file.
        office.set(macs[3], "notify.reboot", "reboot").await;
        let (absent, _) = office.hire("Absent").await;
        let away = office.phone("001565000008", Vendor::Yealink, "t46s", &[&absent]).await;
        let bare = office.phone("001565000009", Vendor::Yealink, "t46s", &[]).await;
        assert!(office.apply().await.state.is_good());
        let mut phones = Vec::new();
        for (number, secret, resync, reboot) in &devices {
            let mut phone = office.sip(number, secret.expose()).await;
            assert_eq!(phone.register().await, 200);
            phones.push((phone, *resync, *reboot));
        }
        let all: Vec<_> = macs.iter().copied().chain([away, bare]).collect();
        let runner = Runner::new(office.session.state.clone(), office.applier.access().clone()).unwrap();
        for kind in [Kind::Resync, Kind::Reboot] {
            let id = office.tell(&telling(kind, &all)).await;
            let (run, told) = office.over(&runner, id).await;
            assert_eq!((run.sent, run.failed, run.state), (7, 2, notify::State::Done), "{told:?}");
            assert_eq!(told.iter().filter(|phone| phone.state == PhoneState::Failed).count(), 2);
            let why = |mac| told.iter().find(|phone| phone.mac == mac).unwrap().error.clone();
            assert_eq!(why(away), format!("it is not registered as {}", absent.number));
            assert!(why(bare).starts_with("it has no line"));
            for (phone, resync, reboot) in &mut phones {
                let expected = if kind == Kind::Resync { *resync } else { *reboot };
                assert_eq!(timeout(PATIENCE, phone.told()).await.unwrap(), expected);
            }
        }
        // The module is gone: it is said, and what to do about it.
        office.asterisk.cli("module unload res_pjsip_notify.so");
        let id = office.tell(&telling(Kind::Resync, &macs[..1])).await;
        let (run, told) = office.over(&runner, id).await;
        assert_eq!((run.sent, run.failed), (0, 1));
        assert!(told[0].error.contains("res_pjsip_notify is not loaded"), "{}", told[0].error);
    }
}
