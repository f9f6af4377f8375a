//! What phones get, what those who are none get, and what is left of both.

use futures_util::future::join_all;
use patchbay::auth::Role;
use patchbay::db::{Db, Server};
use patchbay::id::{SubnetId, TenantId};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools};
use patchbay::net::Mac;
use patchbay::phones::{self, Keys, Model, NewPhone, Spec, Static, Vendor};
use patchbay::secrets::hex;
use sha2::{Digest as _, Sha256};

use crate::support::app::{Answer, Ask, TestApp, both_databases, logged, tester};

const LOBBY: &str = "001565aabbcc";
const DESK: &str = "001565aabb01";
/// Where phones enrol in these tests, and a phone there.
const NET: &str = "192.0.2.0/24";
const THERE: &str = "192.0.2.77";
const ELSEWHERE: &str = "203.0.113.9";
const T46S: &str = "Yealink SIP-T46S 66.86.0.15 00:15:65:aa:bb:cc";

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

/// Adds a Yealink T46S and returns what it signs in with.
pub async fn phone(app: &TestApp, tenant: TenantId, mac: &str) -> Keys {
    phone_of(app, tenant, mac, (Vendor::Yealink, "t46s")).await
}

async fn phone_of(
    app: &TestApp,
    tenant: TenantId,
    mac_: &str,
    (vendor, model): (Vendor, &str),
) -> Keys {
    let spec = Spec::new(Model::find(vendor, model).unwrap());
    let new = NewPhone { mac: mac(mac_), spec, address: Static::None };
    let actor = patchbay::audit::Actor { tenant, ..tester() };
    let mut change = app.state.change(&actor).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    phones::create(&mut space, &app.state.vault, &new).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    let mut tx = app.state.read().await.unwrap();
    phones::secrets(&mut tx, &app.state.vault, tenant, mac(mac_)).await.unwrap().unwrap()
}

/// A subnet in which phones enrol.
pub async fn enrolling(app: &TestApp, cidr: &str) -> SubnetId {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let mut spec =
        subnets::Spec::new(format!("phones {cidr}").parse().unwrap(), cidr.parse().unwrap());
    let first = cidr.rsplit_once('.').unwrap().0;
    spec.statics = format!("{first}.10-{first}.50").parse::<Pools>().unwrap();
    let made = subnets::create(&mut space, &spec, true, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    app.sql(&format!("INSERT INTO enrolment_subnet (subnet_id, tenant_id) SELECT id, tenant_id FROM subnet WHERE id = '{}'", made.id)).await;
    made.id
}

async fn open(app: &TestApp, mac: &str) {
    let until = app.state.clock.now().0 + 900;
    app.sql(&format!("UPDATE phone SET enrol_until = {until} WHERE mac = '{mac}'")).await;
}

fn ask(app: &TestApp, path: &str) -> Ask {
    app.ask("GET", &format!("/provision/{path}")).header("user-agent", T46S).at_peer(THERE)
}

async fn get(app: &TestApp, path: &str) -> Answer {
    ask(app, path).send().await
}

/// Everything of an answer but its request's id.
fn whole(answer: &Answer) -> String {
    let headers = format!("{answer:?}");
    let id = answer.header("x-request-id").unwrap_or_default();
    headers.replace(id, "")
}

/// `outcome how mac path` of every request logged, the oldest first.
async fn log(app: &TestApp) -> Vec<String> {
    app.provisioner.flush().await.unwrap();
    app.texts(
        "SELECT outcome || ' ' || how || ' ' || mac || ' ' || path FROM boot_request ORDER BY id",
    )
    .await
}

fn is_nothing(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (404, "There is no such file.\n"),
        "{answer:?}"
    );
    assert_eq!(answer.header("set-cookie"), None);
}

both_databases! {
    async fn a_phone_gets_its_file_with_its_token_and_nobody_elses(app: TestApp) {
        let (lobby, desk) = (phone(&app, TenantId::DEFAULT, LOBBY).await, phone(&app, TenantId::DEFAULT, DESK).await);
        let file = get(&app, &format!("{}/{LOBBY}.cfg", lobby.token)).await;
        assert_eq!(file.status, 200, "{file:?}");
        assert!(file.header("content-type").unwrap().starts_with("text/plain"));
        assert!(file.text.starts_with("#!version:1.0.0.1\n"));
        file.shows(&lobby.token);
        assert!(file.header("etag").unwrap().len() == 14, "{file:?}");
        assert_eq!(file.header("set-cookie"), None);
        let common = get(&app, &format!("{}/y000000000066.cfg", lobby.token)).await;
        assert_eq!(common.status, 200);
        file.shows(&format!("/provision/{}/phonebook.xml", lobby.token));
        common.hides(&lobby.token);
        let book = get(&app, &format!("{}/phonebook.xml", lobby.token)).await;
        assert_eq!(book.status, 200, "{book:?}");
        for path in [
            format!("{}/{DESK}.cfg", lobby.token), format!("{}/{LOBBY}.cfg", desk.token),
            format!("{}/{LOBBY}.cfg", "x".repeat(32)), format!("{}/sip.rom", lobby.token),
            format!("{}/{LOBBY}.boot", lobby.token), format!("{}/..%2f{LOBBY}.cfg", lobby.token),
            format!("{LOBBY}.cfg"), format!("auth/../{LOBBY}.cfg"), format!("{}/", lobby.token),
        ] {
            let answer = get(&app, &path).await;
            is_nothing(&answer);
        }
        let log = log(&app).await;
        assert!(log.iter().any(|row| row == &format!("served token {LOBBY} {LOBBY}.cfg")), "{log:#?}");
        assert!(log.iter().any(|row| row == &format!("refused the token is 00:15:65:aa:bb:cc's {DESK} {DESK}.cfg")), "{log:#?}");
        let everything = format!("{log:?}{}", logged());
        for secret in [&lobby.token, &desk.token, &lobby.http_password] {
            assert!(!everything.contains(secret.as_str()));
        }
        let seen = app.texts("SELECT fetched_file || ' ' || fetched_revision || ' ' || model || ' ' || firmware FROM phone_seen").await;
        let revision = file.header("etag").unwrap().trim_matches('"');
        assert_eq!(seen, [format!("{LOBBY}.cfg {revision} T46S 66.86.0.15")]);
    }

    async fn who_may_have_nothing_learns_nothing(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        enrolling(&app, NET).await;
        phone(&app, TenantId::DEFAULT, DESK).await;
        open(&app, DESK).await;
        let known = whole(&get(&app, &format!("{LOBBY}.cfg")).await);
        for (peer, path) in [
            (THERE, "001565000001.cfg".to_owned()), (ELSEWHERE, format!("{LOBBY}.cfg")), (ELSEWHERE, format!("{DESK}.cfg")),
            (ELSEWHERE, "001565000001.cfg".to_owned()), (THERE, format!("{}/{LOBBY}.cfg", "y".repeat(32))),
            (THERE, format!("{}/{DESK}.cfg", keys.token)), (THERE, "%2e%2e/%2e%2e/etc/passwd".to_owned()),
            (THERE, "a/b/c/d".to_owned()), (THERE, String::new()), (THERE, "x".repeat(3000)), (THERE, "%00%ff".to_owned()),
            (THERE, format!("{}/{}", keys.token, "%2e%2e%2f")), (THERE, "y000000000066.cfg".to_owned()),
        ] {
            let answer = ask(&app, &path).at_peer(peer).send().await;
            assert_eq!(whole(&answer), known, "{peer} {path}");
        }
    }

    async fn a_second_fetch_costs_nothing_and_a_change_is_seen_at_once(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let path = format!("{}/y000000000066.cfg", keys.token);
        let first = get(&app, &path).await;
        let tag = first.header("etag").unwrap().to_owned();
        let again = ask(&app, &path).header("if-none-match", &tag).send().await;
        assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
        app.signed_in("ann", Role::Admin).await;
        assert_eq!(get(&app, &path).await.header("etag"), Some(tag.as_str()), "signing in changes no file");
        let settings = [("provision.interval".to_owned(), Some("60".to_owned()))].into();
        let edit = phones::Edit { settings, ..phones::Edit::default() };
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        phones::update(&mut space, mac(LOBBY), None, &edit).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let changed = ask(&app, &path).header("if-none-match", &tag).send().await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
        let mut change = app.state.change(&tester()).await.unwrap();
        phones::renew(&mut change, &app.state.vault, mac(LOBBY)).await.unwrap();
        change.commit().await.unwrap();
        is_nothing(&get(&app, &path).await);
    }

    async fn parts_heads_and_lengths_are_as_phones_expect(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let path = format!("{}/{LOBBY}.cfg", keys.token);
        let file = get(&app, &path).await;
        let part = ask(&app, &path).header("range", "bytes=2-8").send().await;
        assert_eq!((part.status, part.text.as_str()), (206, "version"));
        assert_eq!(part.header("content-range"), Some(format!("bytes 2-8/{}", file.bytes.len()).as_str()));
        let beyond = ask(&app, &path).header("range", "bytes=999999-").send().await;
        assert_eq!(beyond.status, 416);
        let head = app.ask("HEAD", &format!("/provision/{path}")).send().await;
        assert_eq!((head.status, head.header("etag")), (200, file.header("etag")));
        assert_eq!(app.ask("DELETE", &format!("/provision/{path}")).send().await.status, 405);
    }

    async fn a_placeholder_nobody_filled_in_is_answered_with_the_right_spelling(app: TestApp) {
        for path in ["%7Bmac%7D.cfg", "$mac.cfg", "sometoken/{MAC}.cfg", "{mac}.cfg"] {
            let answer = get(&app, path).await;
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.text.contains("Yealink"), "{}", answer.text);
        }
        let cisco = ask(&app, "$mac.xml").header("user-agent", "Cisco/SPA504G-7.4.8a (0002FDFF2103)(CBT141400UK)");
        cisco.send().await.shows("$MA.xml");
        assert!(log(&app).await[0].starts_with("placeholder"));
    }

    async fn a_plain_name_is_answered_once_in_the_window_and_the_subnet(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        enrolling(&app, NET).await;
        let path = format!("{LOBBY}.cfg");
        is_nothing(&get(&app, &path).await);
        open(&app, LOBBY).await;
        is_nothing(&ask(&app, &path).at_peer(ELSEWHERE).send().await);
        let other = ask(&app, &path).header("user-agent", "Yealink SIP-T46S 66.86.0.15 00:15:65:00:00:01");
        is_nothing(&other.send().await);
        let common = get(&app, "y000000000066.cfg").await;
        assert_eq!(common.status, 200, "only its own file ends the window");
        common.hides(&keys.token);
        let head = app.ask("HEAD", &format!("/provision/{path}")).header("user-agent", T46S).at_peer(THERE).send().await;
        assert_eq!(head.status, 200, "nor does asking how long it is");
        let file = ask(&app, &path).header("range", "bytes=0-1").send().await;
        assert_eq!(file.status, 200, "{file:?}");
        file.shows(&keys.token);
        is_nothing(&get(&app, &path).await);
        let audit = app.texts("SELECT action || ' ' || subject_id || ' ' || source FROM audit_event WHERE action LIKE 'enrolment%'").await;
        assert_eq!(audit, [format!("enrolment.used {LOBBY} {THERE}")]);
        open(&app, LOBBY).await;
        app.pass(901);
        is_nothing(&get(&app, &path).await);
    }

    async fn of_many_at_once_one_gets_the_file(app: TestApp) {
        phone(&app, TenantId::DEFAULT, LOBBY).await;
        enrolling(&app, NET).await;
        open(&app, LOBBY).await;
        let other = app.another().await;
        let path = format!("{LOBBY}.cfg");
        let asks = (0..10).map(|n| get(if n % 2 == 0 { &app } else { &other }, &path));
        let statuses: Vec<u16> = join_all(asks).await.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 9, "{statuses:?}");
    }

    async fn a_password_is_a_way_in_by_basic_and_by_digest(app: TestApp) {
        let (keys, desk) = (phone(&app, TenantId::DEFAULT, LOBBY).await, phone(&app, TenantId::DEFAULT, DESK).await);
        let path = format!("auth/{LOBBY}.cfg");
        let target = format!("/provision/{path}");
        let asked = get(&app, &path).await;
        assert_eq!(asked.status, 401);
        let nonce = asked.header("www-authenticate").unwrap().split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let digest = |password: &str, nc: &str, user: &str| {
            let hash = |text: String| hex(&Sha256::digest(text));
            let who = hash(format!("{user}:Patchbay phones:{password}"));
            let what = hash(format!("GET:{target}"));
            let response = hash(format!("{who}:{nonce}:{nc}:c:auth:{what}"));
            format!("Digest username=\"{user}\", realm=\"Patchbay phones\", nonce=\"{nonce}\", uri=\"{target}\", algorithm=SHA-256, qop=auth, nc={nc}, cnonce=\"c\", response=\"{response}\"")
        };
        let send = async |header: &str| ask(&app, &path).header("authorization", header).send().await;
        let right = digest(&keys.http_password, "00000001", LOBBY);
        assert_eq!(send(&right).await.status, 200);
        let replayed = send(&right).await;
        assert_eq!(replayed.status, 401);
        assert!(replayed.header("www-authenticate").unwrap().ends_with("stale=true"));
        assert_eq!(send(&digest(&keys.http_password, "00000002", LOBBY)).await.status, 200);
        assert_eq!(send(&digest(&desk.http_password, "00000003", DESK)).await.status, 401, "another's file");
        assert_eq!(send(&digest("wrong", "00000003", LOBBY)).await.status, 401);
        assert_eq!(send(&digest("wrong", "00000003", "001565000009")).await.status, 401);
        let basic = |user: &str, password: &str| {
            // base64 by hand, three bytes at a time
            const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let text = format!("{user}:{password}");
            let encoded: String = text.as_bytes().chunks(3).flat_map(|three| {
                let n = three.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
                (0..=three.len()).map(move |i| char::from(LETTERS[usize::try_from(n >> (18 - 6 * i) & 63).unwrap()]))
            }).collect();
            format!("Basic {encoded}")
        };
        let snom = ask(&app, &path).header("user-agent", "Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 x)").send().await;
        assert!(snom.header("www-authenticate").unwrap().starts_with("Basic "), "{snom:?}");
        assert_eq!(send(&basic(LOBBY, &keys.http_password)).await.status, 200);
        assert_eq!(send(&basic(LOBBY, "wrong")).await.status, 401);
        let plain = ask(&app, &format!("{LOBBY}.cfg")).header("authorization", &basic("00-15-65-AA-BB-CC", &keys.http_password));
        assert_eq!(plain.send().await.status, 200, "a phone that sends it unasked");
        is_nothing(&ask(&app, &format!("{LOBBY}.cfg")).header("authorization", &basic(LOBBY, "wrong")).send().await);
        assert!(!log(&app).await.join("\n").contains(&keys.http_password));
    }

    async fn a_guesser_is_slowed_and_shown_and_phones_are_not(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let (mut seen, mut looked, began) = (std::collections::BTreeMap::new(), 0, app.state.clock.now());
        let mut bodies = std::collections::BTreeSet::new();
        while looked < 10_000 {
            let answer = ask(&app, &format!("001565{looked:06x}.cfg")).at_peer(ELSEWHERE).send().await;
            *seen.entry(answer.status).or_insert(0) += 1;
            assert!(!answer.text.contains(&keys.token) && !answer.text.contains("version"));
            match answer.status {
                404 => {
                    bodies.insert(whole(&answer));
                    looked += 1;
                }
                429 => {
                    let wait: i64 = answer.header("retry-after").unwrap().parse().unwrap();
                    assert!(wait > 0);
                    app.pass(wait);
                }
                other => panic!("{other}"),
            }
            if looked % 1_000 == 0 {
                app.provisioner.flush().await.unwrap();
            }
        }
        assert_eq!(bodies.len(), 1, "all alike");
        assert!(app.state.clock.now().since(began) > 100 * 86_400, "{seen:?}");
        let path = format!("{}/{LOBBY}.cfg", keys.token);
        assert_eq!(ask(&app, &path).at_peer(ELSEWHERE).send().await.status, 200, "behind the same router");
        let fresh = app.signed_in("later", Role::Admin).await;
        let page = fresh.get("/phones/requests").await;
        page.shows(ELSEWHERE);
        page.shows("slowed");
        page.hides(&keys.token);
        drop(admin);
    }

    async fn passwords_and_tokens_are_no_easier_to_guess_by_one_name(app: TestApp) {
        phone(&app, TenantId::DEFAULT, LOBBY).await;
        // Each from an address of its own: a wrong password at a plain name, at one without a MAC, and
        // a wrong token, always for the same phone's file.
        for (peer, path, wrong) in [
            ("203.0.113.1", format!("{LOBBY}.cfg"), true), ("203.0.113.2", "y000000000066.cfg".to_owned(), true),
            ("203.0.113.3", String::new(), false),
        ] {
            let mut statuses = Vec::new();
            for n in 0..30 {
                let path = if path.is_empty() { format!("{n:032}/{LOBBY}.cfg") } else { path.clone() };
                let mut ask = ask(&app, &path).at_peer(peer);
                if wrong {
                    // Basic, `001565aabbcc:` and three letters nobody has.
                    ask = ask.header("authorization", &format!("Basic MDAxNTY1YWFiYmNjOn{}", ["h4eHg=", "l5eXk="][n % 2]));
                }
                statuses.push(ask.send().await.status);
            }
            assert_eq!((statuses[0], statuses[29]), (404, 429), "{peer} {statuses:?}");
        }
        // A phone whose token was taken away asks with it again and again: that guesses nothing.
        for _ in 0..30 {
            is_nothing(&ask(&app, &format!("{}/{LOBBY}.cfg", "x".repeat(32))).at_peer(ELSEWHERE).send().await);
        }
    }

    async fn what_anybody_may_send_leaves_few_rows(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        for path in ["%7Bmac%7D.cfg", "y000000000066.cfg", "001565000001.cfg", "nothing"] {
            for _ in 0..200 {
                get(&app, path).await;
            }
        }
        for _ in 0..30 {
            get(&app, &format!("{}/{LOBBY}.cfg", keys.token)).await;
        }
        assert_eq!(log(&app).await.len(), 20 + 30, "a phone's own are all written down");
        app.pass(60);
        get(&app, "001565000001.cfg").await;
        let last = log(&app).await.pop().unwrap();
        assert_eq!(last, "unknown no such phone; before it 780 more 001565000001 001565000001.cfg");
    }

    async fn a_token_without_a_slash_is_written_nowhere(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Auditor).await;
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        for path in [keys.token.clone(), format!("auth/{}", keys.token), format!("a/b/{}", keys.token), format!("{}{{mac}}.cfg", keys.token)] {
            let answer = get(&app, &path).await;
            assert!(matches!(answer.status, 400 | 401 | 404), "{answer:?}");
        }
        assert!(log(&app).await.iter().any(|row| row.ends_with("(not a file name)")));
        for text in [
            logged(), admin.get("/phones/requests").await.text, admin.get("/phones/requests.csv").await.text,
            script.get("/api/v1/phones/requests").await.text,
        ] {
            assert!(!text.contains(&keys.token));
        }
        let stored = app.stored_bytes().await;
        assert!(!stored.windows(32).any(|window| window == keys.token.as_bytes()));
    }

    async fn every_make_fetches_its_files_and_its_phone_book_as_what_they_are(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for n in 0..40 {
            let contact = [("name", format!("Place {n:02}")), ("number", format!("+3512100000{n:02}"))];
            let contact = contact.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(admin.post("/phones/contacts", &contact).await.status, 303);
        }
        let (text, xml) = ("text/plain; charset=utf-8", "application/xml");
        for (n, (of, files, books)) in [
            ((Vendor::Yealink, "t46s"), [("y000000000066.cfg", text), ("{mac}.cfg", text)], &["phonebook.xml"][..]),
            ((Vendor::Polycom, "vvx450"), [("{mac}-common.cfg", xml), ("{mac}-user.cfg", xml)], &["{mac}-directory.xml"]),
            ((Vendor::Grandstream, "gxp2170"), [("cfg{mac}.xml", xml), ("cfggxp2170.xml", xml)], &["phonebook.xml"]),
            ((Vendor::Snom, "d785"), [("snomD785.htm", xml), ("snom-general.xml", xml)], &["phonebook.xml"]),
            ((Vendor::Cisco, "spa504g"), [("spa504G.cfg", xml), ("{mac}.xml", xml)], &["phonebook.xml", "phonebook-2.xml"]),
            ((Vendor::Fanvil, "x6"), [("F0V00X600000.cfg", xml), ("{mac}.cfg", xml)], &["phonebook.xml"]),
            ((Vendor::Zultys, "zip33g"), [("{mac}.cfg", text), ("{mac}.cfg", text)], &["phonebook.xml"]),
        ].into_iter().enumerate() {
            let mac = format!("02000000aa{n:02x}");
            let keys = phone_of(&app, TenantId::DEFAULT, &mac, of).await;
            let fetch = async |name: &str| app.ask("GET", &format!("/provision/{}/{}", keys.token, name.replace("{mac}", &mac))).send().await;
            for (name, kind) in files {
                let file = fetch(name).await;
                assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{of:?} {name}: {file:?}");
            }
            let mut listed = 0;
            for name in books {
                let book = fetch(name).await;
                assert_eq!((book.status, book.header("content-type")), (200, Some(xml)), "{of:?} {name}: {book:?}");
                let document = roxmltree::Document::parse(&book.text).unwrap();
                let elements = ["DirectoryEntry", "item", "Contact"];
                listed += document.descendants().filter(|node| elements.contains(&node.tag_name().name())).count();
            }
            assert_eq!(listed, 40, "{of:?}");
            if of.0 == Vendor::Cisco {
                fetch("phonebook.xml").await.shows(&format!("/provision/{}/phonebook-2.xml", keys.token));
                fetch("phonebook-2.xml").await.shows("<Name>Place 39</Name>");
                is_nothing(&fetch("phonebook-3.xml").await);
            }
        }
    }

    async fn phone_books_are_not_kept_and_are_each_phones_own_choice(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Ann O'Neil", "ann@example.com", "").await;
        let (lobby, desk) = (phone(&app, TenantId::DEFAULT, LOBBY).await, phone(&app, TenantId::DEFAULT, DESK).await);
        app.sql(&format!("INSERT INTO phone_setting (mac, key, value) VALUES ('{DESK}', 'phonebook', 'off')")).await;
        let book = format!("{}/phonebook.xml", lobby.token);
        let first = get(&app, &book).await;
        assert!(first.text.contains("Ann O&#39;Neil"), "{first:?}");
        assert_eq!(get(&app, &book).await.text, first.text);
        is_nothing(&get(&app, &format!("{}/phonebook.xml", desk.token)).await);
        get(&app, &format!("{}/{LOBBY}.cfg", lobby.token)).await;
        app.provisioner.flush().await.unwrap();
        assert_eq!(app.texts("SELECT name FROM boot_file").await, [format!("{LOBBY}.cfg")]);
        admin.add("Bob", "bob@example.com", "").await;
        assert!(get(&app, &book).await.text.contains("Bob"), "a change is seen at once");
    }

    async fn a_proxy_we_trust_says_who_asks_and_nobody_else_does(app: TestApp) {
        phone(&app, TenantId::DEFAULT, LOBBY).await;
        enrolling(&app, NET).await;
        open(&app, LOBBY).await;
        let forwarded = |peer: &str| ask(&app, &format!("{LOBBY}.cfg")).at_peer(peer).header("x-forwarded-for", &format!("10.0.0.1, {THERE}"));
        is_nothing(&forwarded(ELSEWHERE).send().await);
        assert_eq!(forwarded("198.51.100.5").send().await.status, 200);
        log(&app).await;
        let form = [("name", "nobody"), ("password", "wrong wrong wrong")];
        let sign_in = |peer: &str, from: &str| app.ask("POST", "/login").ours().at_peer(peer).header("x-forwarded-for", from).form(&form);
        sign_in("198.51.100.5", "203.0.113.50").send().await;
        sign_in(ELSEWHERE, "203.0.113.51").send().await;
        let sources = app.texts("SELECT source FROM audit_event WHERE action = 'operator.sign_in_failed' ORDER BY seq").await;
        assert_eq!(sources, ["203.0.113.50", ELSEWHERE]);
    }

    async fn without_the_database_phones_get_the_files_as_last_rendered(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let desk = phone(&app, TenantId::DEFAULT, DESK).await;
        let path = format!("{}/{LOBBY}.cfg", keys.token);
        let fresh = get(&app, &path).await;
        app.sql("ALTER TABLE audit_head RENAME TO gone").await;
        app.pass(120);
        let aged = get(&app, &path).await;
        assert_eq!((aged.status, &aged.text), (200, &fresh.text));
        assert_eq!(aged.header("age"), Some("120"));
        assert!(aged.header("warning").unwrap().starts_with("110"));
        let never = get(&app, &format!("{}/{DESK}.cfg", desk.token)).await;
        assert_eq!(never.status, 503, "{never:?}");
        app.sql("ALTER TABLE gone RENAME TO audit_head").await;
        // It is asked again half a second later.
        let back = async {
            loop {
                let answer = get(&app, &path).await;
                if answer.header("age").is_none() {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let back = tokio::time::timeout(std::time::Duration::from_secs(10), back).await.unwrap();
        assert_eq!((back.status, back.header("warning")), (200, None));
        let log = log(&app).await;
        assert!(log.iter().any(|row| row.starts_with("aged token")), "{log:?}");
    }

    async fn with_every_connection_closed_phones_are_still_served(app: TestApp) {
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let path = format!("{}/{LOBBY}.cfg", keys.token);
        let fresh = get(&app, &path).await;
        match &app.state.db {
            Db::Sqlite { read, write, .. } => {
                read.close().await;
                write.pool().close().await;
            }
            Db::Postgres(Server { pool, .. }) => pool.close().await,
        }
        let aged = get(&app, &path).await;
        assert_eq!((aged.status, &aged.text), (200, &fresh.text));
        assert!(app.provisioner.is_aged());
        assert!(app.provisioner.flush().await.is_err(), "what cannot be written waits");
    }

    async fn a_template_that_breaks_later_leaves_the_last_good_file(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let path = format!("{}/{LOBBY}.cfg", keys.token);
        let good = get(&app, &path).await;
        app.provisioner.flush().await.unwrap();
        app.sql("INSERT INTO boot_template (tenant_id, vendor, name, version, content, created_at, created_by, note)
                 SELECT id, 'yealink', 'phone', 1, '{{ nothing_of_the_kind }}', 1, 'x', '' FROM tenant").await;
        // Whoever saves a template says so in the log.
        let form = [("name", "Default"), ("time_zone", "Europe/Lisbon"), ("first", "1000"), ("last", "1998"), ("version", "1")];
        admin.post("/settings", &form).await;
        let another = app.another().await;
        for instance in [&app, &another] {
            let answer = get(instance, &path).await;
            assert_eq!((answer.status, &answer.text), (200, &good.text));
            instance.provisioner.flush().await.unwrap();
        }
        let broken = app.texts("SELECT how FROM boot_request WHERE outcome = 'broken'").await;
        assert_eq!(broken.len(), 2);
        for page in ["/phones/requests", &format!("/phones/{LOBBY}/requests")] {
            let page = admin.get(page).await;
            assert_eq!(page.status, 200, "{page:?}");
            page.shows("cannot be rendered");
        }
        let stored = app.stored_bytes().await;
        let secret = keys.token.as_bytes();
        assert!(!stored.windows(secret.len()).any(|window| window == secret), "the file is sealed");
    }

    async fn what_a_phone_puts_is_taken_noted_and_never_given_out(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let spec = Spec::new(Model::find(Vendor::Polycom, "vvx450").unwrap());
        let new = NewPhone { mac: mac("0004f2aabbcc"), spec, address: Static::None };
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        phones::create(&mut space, &app.state.vault, &new).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let mut tx = app.state.read().await.unwrap();
        let keys = phones::secrets(&mut tx, &app.state.vault, TenantId::DEFAULT, new.mac).await.unwrap().unwrap();
        drop(tx);
        let put = |path: String, body: &str| app.ask("PUT", &format!("/provision/{path}")).at_peer(THERE).body(body.to_owned());
        let overrides = r#"<?xml version="1.0"?><PHONE_CONFIG><OVERRIDES a.b="1" c.d="2"/></PHONE_CONFIG>"#;
        let path = format!("{}/0004f2aabbcc-phone.cfg", keys.token);
        assert_eq!(put(path.clone(), overrides).send().await.status, 201);
        assert_eq!(put(format!("{}/0004f2aabbcc-app.log", keys.token), "log").send().await.status, 201);
        is_nothing(&get(&app, &path).await);
        let directory = format!("{}/0004f2aabbcc-directory.xml", keys.token);
        let company = get(&app, &directory).await;
        assert_eq!(put(directory.clone(), "<directory/>").send().await.status, 201);
        assert_eq!(get(&app, &directory).await.text, company.text, "what it put is not kept");
        for (path, body) in [
            (format!("{}/phonebook.xml", keys.token), "x"),
            (format!("{}/0004f2aabbcc-phone.cfg", "z".repeat(32)), "x"), ("0004f2aabbcc-phone.cfg".to_owned(), "x"),
            (format!("{}/0004f2aabbcc-user.cfg", keys.token), "x"), (format!("{}/0004f2000001-app.log", keys.token), "x"),
        ] {
            is_nothing(&put(path, body).send().await);
        }
        assert_eq!(put(path, &"x".repeat((1 << 20) + 1)).send().await.status, 413);
        let log = log(&app).await;
        assert!(log.contains(&"uploaded token: 2 settings made at the phone 0004f2aabbcc 0004f2aabbcc-phone.cfg".to_owned()), "{log:?}");
        admin.get("/phones/0004f2aabbcc/requests").await.shows("2 settings were made at the phone itself");
    }

    async fn a_tenant_sees_its_own_requests_and_the_host_nobodys(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let tenant = app.tenant("acme", "other").await;
        let other = app.with_password("other").await;
        let keys = phone(&app, TenantId::DEFAULT, LOBBY).await;
        let theirs = phone(&app, tenant, DESK).await;
        for path in [format!("{}/{LOBBY}.cfg", keys.token), format!("{}/{DESK}.cfg", theirs.token), "001565000001.cfg".to_owned()] {
            ask(&app, &path).header("user-agent", "a phone").send().await;
        }
        let (ours, its) = (admin.get("/phones/requests").await, other.get("/phones/requests").await);
        ours.shows("00:15:65:aa:bb:cc");
        ours.shows("00:15:65:00:00:01");
        ours.hides("00:15:65:aa:bb:01");
        its.shows("00:15:65:aa:bb:01");
        its.hides("00:15:65:aa:bb:cc");
        its.hides("00:15:65:00:00:01");
        for (browser, foreign) in [(&admin, DESK), (&other, LOBBY)] {
            for page in ["requests", "handout", "qr.svg"] {
                assert_eq!(browser.get(&format!("/phones/{foreign}/{page}")).await.status, 404, "{page}");
            }
            assert_eq!(browser.post(&format!("/phones/{foreign}/enrolment"), &[("length", "1h")]).await.status, 404);
            browser.get(&format!("/phones/handouts?mac={foreign}")).await.shows("No phone was chosen");
        }
    }

    async fn what_was_asked_for_is_forgotten_after_a_month(app: TestApp) {
        get(&app, "001565000001.cfg").await;
        app.provisioner.flush().await.unwrap();
        app.pass(31 * 86_400);
        get(&app, "001565000002.cfg").await;
        app.provisioner.flush().await.unwrap();
        patchbay::provision::tidy(&app.state).await.unwrap();
        assert_eq!(app.texts("SELECT mac FROM boot_request").await, ["001565000002"]);
    }

    async fn hostile_introductions_are_text_and_nothing_else(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        enrolling(&app, NET).await;
        let hostile = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\"><img src=x onerror=alert(1)>", "Yealink SIP-<b> <i> 00:15:65:00:00:0a"];
        for (n, agent) in hostile.iter().enumerate() {
            ask(&app, &format!("00156500010{n}.cfg")).header("user-agent", agent).send().await;
        }
        for page in ["/phones/requests", "/phones/waiting", "/phones/waiting/001565000100"] {
            let page = admin.get(page).await;
            assert_eq!(page.status, 200);
            for live in ["<script>alert", "<img src=x", "<b>", "<i>"] {
                assert!(!page.text.contains(live), "{live}");
            }
        }
        admin.get("/phones/requests").await.shows(hostile[0]);
        let file = admin.get("/phones/requests.csv").await;
        let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
        for record in reader.records() {
            assert!(record.unwrap().iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])));
        }
        let tokens = app.ask("GET", "/phones/requests?mac=%3Cscript%3E&from=x");
        drop(tokens);
        let page = admin.get("/phones/requests?mac=%3Cscript%3E&from=x&outcome=none").await;
        assert_eq!(page.status, 422);
        assert!(!page.text.contains("<script>") || page.text.matches("<script").count() == page.text.matches("<script src").count());
        assert!(!page.field_error("mac").is_empty() && !page.field_error("from").is_empty() && !page.field_error("outcome").is_empty());
    }
}
