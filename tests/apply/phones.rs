//! From the box to a call: seven makers' phones ask the running program for their files, register
//! at a real Asterisk with what stands in them, by `SIPp` and by a client of ours, and talk; and
//! everybody can see where they are.

use std::{net::IpAddr, time::Duration};

use patchbay::{
    id::SubnetId,
    ipam::{
        space::Space,
        subnets::{self, Spec},
    },
    lifecycle::{self, State},
    net::Address,
    registrations,
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    desk::Desk,
    office::{Office, Serving, on_both_databases},
    support::{
        server::free_port,
        sip::{Algorithm, Phone, talk},
        sipp::Sipp,
    },
    unboxed::{Account, DEVICES, Device, Home, Maker, Memory},
};

const PATIENCE: Duration = Duration::from_secs(40);
/// Where the phones are; of these addresses all lead back to this machine.
const NET: &str = "127.20.0.0/24";
/// What their owners are called: whatever else it is, it is a name.
const NAMES: [&str; 7] = [
    "Ann O'Neil",
    "Bob & Sons",
    "Zoë <b>Z</b>",
    "Dmitri \"D\" Petrov",
    "Émile; reg.1.address",
    "Fay = Fay",
    "Gus 100% #1",
];

/// A phone's way to its files.
struct Wire<'d> {
    device: &'d Device,
    client: reqwest::Client,
    home: Home,
    /// What it asked for, and the status of the answer.
    asked: Vec<(String, u16)>,
}

impl<'d> Wire<'d> {
    /// Plugged in where DHCP gives it `address`, and told where to ask.
    fn plug(device: &'d Device, address: &str, home: Home) -> Self {
        crate::support::trust();
        let client = reqwest::Client::builder().no_proxy();
        let from: IpAddr = address.parse().unwrap();
        let client = client.local_address(from).user_agent(device.agent).build().unwrap();
        Self { device, client, home, asked: Vec::new() }
    }

    /// Out of the box it knows the server and nothing else.
    fn unbox(device: &'d Device, address: &str, server: &str) -> Self {
        let url = format!("{server}/provision/");
        Self::plug(device, address, Home { url, user: String::new(), password: String::new() })
    }

    /// A file's text; nothing when there is none. Some phones say who they are unasked.
    async fn get(&mut self, url: &str) -> Option<String> {
        let unasked = matches!(self.device.maker, Maker::Snom | Maker::Grandstream);
        let known = !self.home.user.is_empty();
        let request = |sign: bool| {
            let request = self.client.get(url);
            let (user, password) = (&self.home.user, &self.home.password);
            if sign { request.basic_auth(user, Some(password)) } else { request }
        };
        let mut answer = request(unasked && known).send().await.unwrap();
        if answer.status() == 401 && known && !unasked {
            answer = request(true).send().await.unwrap();
        }
        let status = answer.status().as_u16();
        let length = answer.content_length();
        let text = answer.text().await.unwrap();
        self.asked.push((url.rsplit('/').next().unwrap().to_owned(), status));
        if status == 200 {
            assert_eq!(length, u64::try_from(text.len()).ok(), "phones choke on chunks");
            return Some(text);
        }
        assert_eq!((status, text.as_str()), (404, "There is no such file.\n"), "{url}");
        None
    }

    /// Starts: asks for everything phones of this make ask for, and understands what it gets.
    async fn start(&mut self) -> Memory {
        let (maker, mut memory) = (self.device.maker, Memory::default());
        let home = self.home.url.clone();
        if maker == Maker::Cisco && home.contains("$MA") {
            self.follow_rule(&mut memory, &home).await;
            return memory;
        }
        for name in self.device.names {
            let Some(file) = self.get(&format!("{home}{name}")).await else { continue };
            for more in memory.read(maker, &file) {
                let more = more.replace("[PHONE_MAC_ADDRESS]", self.device.mac);
                let url = if more.contains("://") { more.clone() } else { format!("{home}{more}") };
                match self.get(&url).await {
                    Some(file) => drop(memory.read(maker, &file)),
                    // A Snom reads the list twice; a Poly that misses one file takes none.
                    None => assert_ne!(maker, Maker::Poly, "{more} is missing"),
                }
            }
            // The first file of its own is all that these ask for.
            if matches!(maker, Maker::Poly | Maker::Grandstream) {
                break;
            }
        }
        match maker {
            Maker::Poly => {
                for rest in ["-phone.cfg", "-web.cfg", "-license.cfg"] {
                    let name = format!("{home}{}{rest}", self.device.mac);
                    assert_eq!(self.get(&name).await, None);
                }
            }
            Maker::Cisco if !memory.get("Profile_Rule").is_empty() => {
                let rule = memory.home(maker).url;
                self.follow_rule(&mut memory, &rule).await;
            }
            _ => {}
        }
        memory
    }

    async fn follow_rule(&mut self, memory: &mut Memory, rule: &str) {
        if let Some(file) = self.get(&rule.replace("$MA", self.device.mac)).await {
            memory.read(Maker::Cisco, &file);
        }
    }

    fn statuses(&self) -> Vec<u16> {
        self.asked.iter().map(|(_, status)| *status).collect()
    }
}

/// A phone that works: what it is, whose, where, and its SIP half.
struct Working {
    device: &'static Device,
    number: String,
    name: &'static str,
    address: String,
    /// Whether it was given its address when it was adopted.
    clicked: bool,
    account: Account,
    sip: Phone,
}

impl Office {
    /// Where phones live: a subnet with a pool of static addresses.
    async fn wire_up(&self) -> SubnetId {
        let mut change = self.change().await;
        let entropy = self.session.state.vault.entropy();
        let mut space = Space::open(&mut change, entropy).await.unwrap();
        let mut spec = Spec::new("Voice".parse().unwrap(), NET.parse().unwrap());
        spec.site = "Berlin".parse().unwrap();
        spec.statics = "127.20.0.10-127.20.0.50".parse().unwrap();
        let made = subnets::create(&mut space, &spec, true, false).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        made.id
    }

    /// The state of the life that an address has.
    async fn life(&self, address: &str) -> State {
        let address: Address = address.parse().unwrap();
        let mut tx = self.session.state.read().await.unwrap();
        let life = lifecycle::at(&mut tx, self.actor.tenant, address).await.unwrap();
        life.unwrap().state
    }

    /// Waits until Asterisk reaches everybody: whom it asked in vain while this test stood still,
    /// it asks again within the minute.
    async fn reaches(&self, phones: &[Working]) {
        let waiting = async {
            loop {
                let contacts = self.asterisk.cli("pjsip show contacts");
                let there = |phone: &Working| {
                    let number = format!("{}/", phone.number);
                    contacts.lines().any(|line| line.contains(&number) && line.contains("Avail"))
                };
                if phones.iter().all(there) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        timeout(Duration::from_secs(90), waiting).await.expect("Asterisk does not reach everybody");
    }

    /// When Asterisk last told everything.
    async fn told_at(&self) -> Option<Timestamp> {
        let mut tx = self.session.state.read().await.unwrap();
        let word = registrations::word(&mut tx).await.unwrap();
        word.read_at.filter(|_| word.error.is_empty())
    }

    /// Waits until Asterisk has told everything anew after `since`.
    async fn told_anew(&self, since: Timestamp) {
        let waiting = async {
            while self.told_at().await.is_none_or(|at| at <= since) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("Asterisk tells nothing");
    }
}

/// Plugs a phone in, adopts it, and lets it start until it has what it registers with.
async fn bring_up(
    office: &Office,
    desk: &Desk,
    device: &'static Device,
    (nth, number, name): (usize, String, &'static str),
) -> Working {
    let lease = format!("127.20.0.{}", 200 + nth);
    // Nobody knows it: it gets nothing, and waits.
    let mut wire = Wire::unbox(device, &lease, &desk.url);
    wire.start().await;
    assert!(wire.statuses().iter().all(|status| *status == 404), "{:?}", wire.asked);
    let waiting = desk.page("/phones/waiting").await;
    for shown in [device.colons().as_str(), lease.as_str(), device.says.1] {
        assert!(waiting.contains(shown), "{shown} does not wait");
    }
    let adopt = format!("/phones/waiting/{}", device.mac);
    let page = desk.page(&adopt).await;
    assert!(page.contains(&format!("value=\"{}\" selected", device.model)), "{page}");
    // Every other one is given its address with the same click; the others by a script.
    let clicked = nth % 2 == 1;
    let mut form = vec![("model", device.model), ("extension", &number)];
    form.extend(clicked.then_some(("address", "1")));
    desk.post(&adopt, &form).await;
    if !clicked {
        let wanted = json!({ "subscriber_id": device.mac, "subscriber_kind": "phone" });
        let path = "/api/v1/network/ipv4-lifecycle/allocate";
        desk.call(reqwest::Method::POST, path, Some(wanted)).await;
    }
    let phone = format!("/api/v1/phones/{}", device.mac);
    let address = desk.look(&phone).await["static_ip"].as_str().unwrap().to_owned();
    assert_eq!(office.life(&address).await, State::Allocated);
    // It asks again, by the names it knows, and once that is enough.
    let mut wire = Wire::unbox(device, &lease, &desk.url);
    let memory = wire.start().await;
    let account = memory.account(device.maker);
    let mut again = Wire::unbox(device, &lease, &desk.url);
    again.start().await;
    assert!(again.statuses().iter().all(|status| *status == 404), "{:?}", again.asked);
    // It starts where it was told that its files are now, at its own address.
    let mut wire = Wire::plug(device, &address, memory.home(device.maker));
    let memory = wire.start().await;
    assert!(wire.statuses().contains(&200), "{:?}", wire.asked);
    assert_eq!(memory.account(device.maker), account, "{:?}", wire.asked);
    assert_eq!(memory.home(device.maker), wire.home);
    assert_eq!((account.name.as_str(), account.server.as_str()), (name, "127.0.0.1"));
    let sip = Phone::at(&address, account.port, &account.user, &account.secret, Algorithm::Md5);
    let sip = sip.await.signing_in_as(&account.auth).calling_itself(device.sip_agent);
    Working { device, number, name, address, clicked, account, sip }
}

impl Working {
    /// The same phone played by a SIP implementation that is not ours.
    fn sipp(&self) -> Sipp {
        let Account { port, user, auth, secret, .. } = &self.account;
        Sipp::new(*port, user, secret).at(&self.address, auth)
    }

    /// Everything that can be asked about it says where it is, by whatever it is asked for.
    async fn is_on_the_map(&self, desk: &Desk) {
        let device = self.device;
        let (vendor, model) = device.model.split_once('/').unwrap();
        let colons = device.colons();
        for asked in [&colons, &self.address, &self.number] {
            let path = format!("/api/phone-lookup/{asked}");
            let right = |found: &Value| found["registered_phone"]["registered"] == true;
            let found = desk.until(&path, right).await;
            let expected = json!({
                "matched": true, "extension": self.number, "name": self.name,
                "mac_address": colons, "ip_address": self.address, "static_ip": self.address,
                "subnet": "Voice", "vendor": vendor, "model": model, "flags": [],
            });
            assert_eq!(found["correlation"], expected, "{asked}");
            let phone = &found["registered_phone"];
            assert_eq!(phone["user_agent"], device.sip_agent);
            assert_eq!(phone["contact_uri"], self.sip.contact());
            let says = device.sip_agent.contains(device.mac);
            let source = if says { "user_agent" } else { "provisioning" };
            assert_eq!(phone["mac_source"], source, "{found:#}");
        }
    }

    /// IPAM knows that the address is in use, by what, and since when.
    async fn is_active(&self, office: &Office, desk: &Desk, since: Timestamp) {
        let path = format!("/api/v1/addresses/{}", self.address);
        let address = desk.until(&path, |address| address["active"] == true).await;
        assert_eq!(address["status"], "allocated");
        assert_eq!(address["holder"]["kind"], "phone");
        if self.clicked {
            assert_eq!(address["mac"], self.device.colons());
        }
        assert_eq!(
            (&address["conflict"], &address["subnet"]["cidr"]),
            (&json!(false), &json!(NET))
        );
        let seen = address["last_seen"].as_str().unwrap();
        assert!(seen >= since.to_string().as_str(), "{seen} is before {since}");
        assert_eq!(office.life(&self.address).await, State::Active);
    }

    /// Its own page and its record say what it fetched last, from where, and what it is.
    async fn was_provisioned(&self, desk: &Desk, since: Timestamp) {
        let (device, mac) = (self.device, self.device.mac);
        let phone = desk.look(&format!("/api/v1/phones/{mac}")).await;
        let at = phone["last_provisioned"].as_str().unwrap();
        assert!(at >= since.to_string().as_str(), "{phone:#}");
        assert_eq!(phone["last_provisioned_from"], self.address);
        let file = phone["last_provisioned_file"].as_str().unwrap().to_ascii_lowercase();
        assert!(file.contains(mac), "{file}");
        assert_eq!(phone["last_provisioned_revision"].as_str().unwrap().len(), 12);
        assert_eq!(phone["firmware"], device.says.1);
        let page = desk.page(&format!("/phones/{mac}")).await;
        let says = format!("{} {}", device.says.0, device.says.1);
        assert!(page.contains(&says), "{says}");
        assert!(page.contains(">registered<"), "{mac}");
        assert!(!page.contains(&self.account.secret), "a secret is shown");
    }
}

/// Everybody calls the next, and they hear each other.
async fn all_talk(phones: &mut [Working]) {
    for at in 0..phones.len() {
        phones.rotate_left(1);
        let (head, rest) = phones.split_at_mut(1);
        let (caller, called) = (&mut head[0], &mut rest[0]);
        let (status, ()) = tokio::join!(caller.sip.call(&called.number), called.sip.answer());
        assert_eq!(status, 200, "call {at}");
        talk(&caller.sip, &called.sip).await;
        let (status, ()) = tokio::join!(caller.sip.hang_up(), called.sip.hung_up());
        assert_eq!(status, 200, "call {at}");
    }
}

/// With what stands in its file each registers by `SIPp`, and calls the next.
fn all_talk_by_sipp(office: &Office, phones: &[Working]) {
    let played: Vec<Sipp> = phones.iter().map(Working::sipp).collect();
    let mut answering = Vec::new();
    for (phone, sipp) in phones.iter().zip(&played) {
        let registered = sipp.register();
        assert!(registered.status.success(), "{:?}: {registered:?}", phone.device.maker);
        // Asterisk asks at once whether it is there.
        answering.push(sipp.answer());
    }
    office.asterisk.until("pjsip show contacts", |contacts| {
        let there = |line: &&str| line.contains("Avail");
        contacts.lines().filter(there).count() == phones.len()
    });
    for (caller, called) in phones.iter().zip(phones.iter().cycle().skip(1)) {
        // From another port: at its own it waits for a call.
        let call = caller.sipp().call(&called.number);
        assert!(call.status.success(), "{:?}: {call:?}", caller.device.maker);
    }
    for (phone, answering) in phones.iter().zip(answering) {
        let over = answering.over();
        assert!(over.status.success(), "{:?}: {over:?}", phone.device.maker);
    }
}

on_both_databases! {
    /// Unboxed, waiting, adopted, fetched, registered, talking, and on the map; also after both
    /// ends were restarted.
    async fn seven_makers_phones_go_from_the_box_to_a_call(office: Office) {
        let (mut office, port) = (office, free_port());
        let serving = Serving::start(&office, port);
        let desk = Desk::sign_in(&office, &serving.url).await;
        let subnet = office.wire_up().await.to_string();
        desk.post("/phones/enrolment", &[("id", &subnet)]).await;
        let settings = json!({ "sip.port": office.asterisk.sip_port.to_string() });
        let profile = json!({ "name": "Everybody", "scope": "tenant", "settings": settings });
        desk.call(reqwest::Method::POST, "/api/v1/phones/profiles", Some(profile)).await;
        let since = office.session.state.clock.now();
        let (mut phones, mut people) = (Vec::new(), Vec::new());
        for (nth, (device, name)) in DEVICES.iter().zip(NAMES).enumerate() {
            let (user, _) = office.hire(name).await;
            let owner = (nth, user.number.to_string(), name);
            phones.push(bring_up(&office, &desk, device, owner).await);
            people.push(user);
        }
        assert!(office.apply().await.state.is_good());
        all_talk_by_sipp(&office, &phones);
        for phone in &mut phones {
            assert_eq!(phone.account.port, office.asterisk.sip_port);
            assert_eq!(phone.sip.register().await, 200, "{:?}", phone.device.maker);
        }
        office.reaches(&phones).await;
        all_talk(&mut phones).await;
        for phone in &phones {
            phone.is_on_the_map(&desk).await;
            phone.is_active(&office, &desk, since).await;
            phone.was_provisioned(&desk, since).await;
        }
        // Patchbay is away while one leaves; it notices as soon as it is back.
        serving.stop();
        assert_eq!(phones[0].sip.unregister().await, 200);
        let _serving = Serving::start(&office, port);
        let lookup = format!("/api/phone-lookup/{}", phones[0].number);
        desk.until(&lookup, |found| found["registered_phone"]["registered"] == false).await;
        assert_eq!(phones[0].sip.register().await, 200);
        phones[0].is_on_the_map(&desk).await;
        let now = office.session.state.clock.now();
        // What is told within this second may have been told before.
        while office.session.state.clock.now() <= now {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        office.asterisk.restart();
        office.told_anew(now).await;
        for phone in &phones {
            phone.is_on_the_map(&desk).await;
            phone.is_active(&office, &desk, since).await;
            phone.was_provisioned(&desk, since).await;
        }
        office.reaches(&phones).await;
        all_talk(&mut phones).await;

        // Nobody need be told now; after one is called something else, the page of the run that told
        // Asterisk leads to that one phone.
        let same = desk.page("/phones/notify").await;
        assert!(same.contains("Every phone that ever fetched its file has the one it would get now"));
        office.rename(&people[3], "Dmitri Petrov-Lang").await;
        let run = office.apply().await;
        let page = desk.page(&format!("/apply/runs/{}", run.id)).await;
        assert!(page.contains("<b>verified</b>") && page.contains(r#"<a href="/phones/notify">See whose file is another now"#), "{page}");
        let page = desk.page("/phones/notify").await;
        let listed = |phone: &&Working| page.contains(&format!(r#"name="mac" value="{}""#, phone.device.mac));
        let listed: Vec<&str> = phones.iter().filter(listed).map(|phone| phone.device.mac).collect();
        assert_eq!(listed, [phones[3].device.mac], "{page}");
        assert!(page.contains("<b>1</b> phone would get another file now"), "{page}");
    }
}
