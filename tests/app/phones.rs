//! Phones: their lines, keys, settings and addresses, as the database keeps them.

use patchbay::auth::Role;
use patchbay::id::{SubnetId, TenantId, UserId};
use patchbay::ipam::addresses;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools};
use patchbay::net::{Address, Mac};
use patchbay::phones::settings::Layer;
use patchbay::phones::{
    self, Edit, Filter, KeyKind, Kind, Model, NewLine, NewPhone, Only, Phone, PhoneKey, Refusals,
    Sort, Spec, Static, Vendor, profiles,
};
use patchbay::text::ByName as _;

use crate::registrations::contact;
use crate::support::app::{TestApp, both_databases, tester};

pub fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Address {
    text.parse().unwrap()
}

/// A subnet with these static pools; DHCP has the rest.
pub async fn subnet(app: &TestApp, name: &str, cidr: &str, statics: &str) -> SubnetId {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let mut spec = subnets::Spec::new(name.parse().unwrap(), cidr.parse().unwrap());
    spec.statics = statics.parse::<Pools>().unwrap();
    let made = subnets::create(&mut space, &spec, true, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id
}

/// A phone with these users on its lines, the first first.
pub fn new(mac_: &str, model: (Vendor, &str), users: &[&str]) -> NewPhone {
    let mut spec = Spec::new(Model::find(model.0, model.1).unwrap());
    let lines = users.iter().zip(1..).map(|(user, line)| NewLine {
        line,
        user: user.parse::<UserId>().unwrap(),
        label: String::new().try_into().unwrap(),
    });
    spec.lines = lines.collect();
    NewPhone { mac: mac(mac_), spec, address: Static::None }
}

pub const T46S: (Vendor, &str) = (Vendor::Yealink, "t46s");
pub const HT802: (Vendor, &str) = (Vendor::Grandstream, "ht802");

pub async fn add(app: &TestApp, new: &NewPhone) -> Result<Phone, Refusals> {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let phone = phones::create(&mut space, &app.state.vault, new).await?;
    space.close().await.unwrap();
    change.commit().await.unwrap();
    Ok(phone)
}

pub async fn edit(app: &TestApp, mac_: &str, edit: &Edit) -> Result<Phone, Refusals> {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let phone = phones::update(&mut space, mac(mac_), None, edit).await?;
    space.close().await.unwrap();
    change.commit_if_any().await.unwrap();
    Ok(phone)
}

pub async fn get(app: &TestApp, mac_: &str) -> Option<Phone> {
    let mut tx = app.state.read().await.unwrap();
    phones::get(&mut tx, TenantId::DEFAULT, mac(mac_)).await.unwrap()
}

async fn keeper(app: &TestApp, address: &str) -> String {
    let mut tx = app.state.read().await.unwrap();
    let record = addresses::get(&mut tx, TenantId::DEFAULT, at(address)).await.unwrap();
    record.map_or_else(|| "free".to_owned(), |record| record.keeper())
}

/// The titles a list shows.
async fn listed(app: &TestApp, filter: &Filter, sort: Sort) -> (Vec<String>, i64) {
    let mut tx = app.state.read().await.unwrap();
    let page = patchbay::audit::Page { offset: 0, limit: 25 };
    let (phones, all) =
        phones::list(&mut tx, &app.state.counted, TenantId::DEFAULT, filter, sort, page)
            .await
            .unwrap();
    (phones.iter().map(phones::Listed::title).collect(), all)
}

fn said(refusals: &Refusals) -> Vec<String> {
    refusals.0.iter().map(ToString::to_string).collect()
}

both_databases! {
    async fn a_phone_is_kept_with_all_that_belongs_to_it(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        let lab = subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut wished = new("00-15-65-12-34-56", T46S, &[&ann, &bob]);
        wished.spec.label = "Reception".parse().unwrap();
        wished.spec.site = "Lisbon".parse().unwrap();
        wished.spec.subnet = Some(lab);
        wished.spec.notes = "by the door".parse().unwrap();
        wished.spec.lines[1].label = "Bob's".parse().unwrap();
        wished.spec.keys = vec![PhoneKey {
            position: 3, kind: KeyKind::Blf, line: 1, value: Some("1001".parse().unwrap()), label: "Bob".parse().unwrap(),
        }];
        wished.spec.settings = Layer::from([("sip.port".to_owned(), "5070".to_owned())]);
        wished.address = Static::Next;
        let made = add(&app, &wished).await.unwrap();
        let kept = get(&app, "0015.6512.3456").await.unwrap();
        assert_eq!(made, kept);
        assert_eq!(kept.mac.hex(), "001565123456");
        assert_eq!((kept.title().as_str(), kept.lines.len(), kept.keys.len()), ("Reception", 2, 1));
        assert_eq!((kept.lines[0].number.to_string(), kept.lines[1].label.to_string()), ("1000".into(), "Bob's".into()));
        assert_eq!(kept.address, Some(at("10.0.0.10")));
        assert_eq!(keeper(&app, "10.0.0.10").await, "phone Reception");
        assert_eq!((kept.version, kept.seen.at), (1, None));

        // What it signs in with is there, sealed, and finds it.
        let mut tx = app.state.read().await.unwrap();
        let keys = phones::secrets(&mut tx, &app.state.vault, TenantId::DEFAULT, kept.mac).await.unwrap().unwrap();
        assert_eq!((keys.token.len(), keys.http_password.len(), keys.web_password.len()), (32, 24, 16));
        assert_eq!(phones::by_token(&mut tx, &keys.token).await.unwrap(), Some((TenantId::DEFAULT, kept.mac)));
        assert_eq!(phones::by_token(&mut tx, &keys.http_password).await.unwrap(), None);
        let stored = app.stored_bytes().await;
        for secret in [&keys.token, &keys.http_password, &keys.web_password] {
            assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        }
        assert_eq!(phones::of_user(&mut tx, TenantId::DEFAULT, bob.parse().unwrap()).await.unwrap().unwrap().mac, kept.mac);
    }

    async fn changing_one_thing_leaves_the_others_alone(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let lab = subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut wished = new("001565123456", T46S, &[&ann]);
        wished.spec.subnet = Some(lab);
        wished.spec.site = "Lisbon".parse().unwrap();
        wished.spec.settings = Layer::from([("sip.port".to_owned(), "5070".to_owned())]);
        wished.address = Static::This(at("10.0.0.15"));
        let before = add(&app, &wished).await.unwrap();
        assert_eq!(keeper(&app, "10.0.0.15").await, "phone 1000 Ann");
        let after = edit(&app, "001565123456", &Edit { label: Some("Desk".parse().unwrap()), ..Edit::default() }).await.unwrap();
        let expected = Phone { label: "Desk".parse().unwrap(), version: 2, updated_at: after.updated_at, ..before };
        assert_eq!(after, expected);
        assert_eq!(keeper(&app, "10.0.0.15").await, "phone Desk");
        // Nothing different is no change.
        let same = edit(&app, "001565123456", &Edit { label: Some("Desk".parse().unwrap()), ..Edit::default() }).await.unwrap();
        assert_eq!(same, after);
        let moved = edit(&app, "001565123456", &Edit { address: Some(Static::This(at("10.0.0.16"))), ..Edit::default() }).await.unwrap();
        assert_eq!((moved.address, moved.version), (Some(at("10.0.0.16")), 3));
        assert_eq!(keeper(&app, "10.0.0.15").await, "free");
        let cleared = edit(&app, "001565123456", &Edit { address: Some(Static::None), ..Edit::default() }).await.unwrap();
        assert_eq!((cleared.address, keeper(&app, "10.0.0.16").await.as_str()), (None, "free"));
    }

    async fn everything_in_the_way_is_said_at_once(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut first = new("001565000001", T46S, &[&ann]);
        first.address = Static::This(at("10.0.0.10"));
        add(&app, &first).await.unwrap();
        let mut second = new("001565000001", HT802, &[&bob, &ann]);
        second.spec.keys = vec![PhoneKey {
            position: 1, kind: KeyKind::Blf, line: 1, value: None, label: String::new().try_into().unwrap(),
        }];
        second.address = Static::This(at("10.0.0.10"));
        // Its own MAC is its own line and address.
        assert_eq!(said(&add(&app, &second).await.unwrap_err()), [
            "there is a phone with the MAC address 00:15:65:00:00:01 already",
            "Grandstream HT802 has no keys to give a function",
            "say which number",
        ]);
        second.mac = mac("001565000002");
        second.spec.keys.clear();
        assert_eq!(said(&add(&app, &second).await.unwrap_err()), [
            "1000 rings 1000 Ann; take it from there first",
            "10.0.0.10 is allocated: phone 1000 Ann; phone 1001 Bob cannot have it too",
        ]);
        for (address, why) in [
            ("10.0.0.100", "10.0.0.100 is in no static pool of Lab (10.0.0.0/24); choose one that is"),
            ("10.0.0.255", "10.0.0.255 is the broadcast address of Lab (10.0.0.0/24) and is never given out"),
            ("10.9.0.1", "10.9.0.1 lies in no subnet; create one around it first"),
        ] {
            second.spec.lines.truncate(1);
            second.address = Static::This(at(address));
            assert_eq!(said(&add(&app, &second).await.unwrap_err()), [why]);
        }
        second.address = Static::Next;
        assert_eq!(said(&add(&app, &second).await.unwrap_err()), ["choose the subnet whose next free address it is to have"]);
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 1);
    }

    async fn a_user_who_goes_or_is_renamed_takes_the_phone_along(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut wished = new("001565000001", HT802, &[&ann, &bob]);
        wished.address = Static::This(at("10.0.0.10"));
        add(&app, &wished).await.unwrap();
        let form = [("name", "Ann Smith"), ("email", "ann@example.com"), ("extension", "1007"), ("version", "1")];
        assert_eq!(admin.post(&format!("/users/{ann}"), &form).await.status, 303);
        assert_eq!(keeper(&app, "10.0.0.10").await, "phone 1007 Ann Smith");
        let smith = Filter { search: "smith".to_owned(), ..Filter::default() };
        assert_eq!(listed(&app, &smith, Sort::Title).await, (vec!["1007 Ann Smith".to_owned()], 1));

        admin.post("/users/deletion", &[("id", &ann), ("confirmed", "1")]).await;
        assert_eq!(keeper(&app, "10.0.0.10").await, "phone 1001 Bob");
        let left = get(&app, "001565000001").await.unwrap();
        assert_eq!((left.lines.len(), left.version), (1, 2));
        assert_eq!(listed(&app, &smith, Sort::Title).await.1, 0);
        admin.post("/users/deletion", &[("id", &bob), ("confirmed", "1")]).await;
        assert_eq!(keeper(&app, "10.0.0.10").await, "phone 00:15:65:00:00:01");
        assert!(app.audit().await.iter().any(|row| row == "admin phone.line_freed 1001 Bob"));
        // The number is free for another phone.
        let cid = admin.add("Cid", "cid@example.com", "1007").await;
        add(&app, &new("001565000002", T46S, &[&cid])).await.unwrap();
    }

    async fn deleting_a_phone_frees_its_lines_and_its_address(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut wished = new("001565000001", T46S, &[&ann]);
        wished.address = Static::This(at("10.0.0.10"));
        add(&app, &wished).await.unwrap();
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        phones::delete(&mut space, mac("001565000001")).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(keeper(&app, "10.0.0.10").await, "free");
        for table in ["phone", "phone_line", "phone_key", "phone_setting"] {
            assert_eq!(app.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        add(&app, &new("001565000002", T46S, &[&ann])).await.unwrap();
    }

    async fn a_search_that_finds_much_or_little_shows_each_phone_once_in_every_order(app: TestApp) {
        add(&app, &new("001565000001", T46S, &[])).await.unwrap();
        app.sql("INSERT INTO phone (mac, tenant_id, vendor, model, kind, label, site, site_key, notes, token, token_hash,
                http_password, web_password, search, title_sort, number_sort, created_at, updated_at)
            WITH RECURSIVE n (n) AS (SELECT 10001 UNION ALL SELECT n + 1 FROM n WHERE n < 20001)
            SELECT '0002000' || n, tenant_id, vendor, model, kind, 'Desk ' || n, '', '', '', token, CAST(n AS TEXT), http_password,
                web_password, 'desk ' || n, 'desk ' || n, 100000000, n, 1 FROM phone, n WHERE mac = '001565000001'").await;
        let tenant = TenantId::DEFAULT;
        for count in [10_001, 10_000, 9_999] {
            for sort in [Sort::Title, Sort::NumberDown, Sort::Address, Sort::FetchedDown] {
                let (mut seen, mut offset) = (std::collections::BTreeSet::new(), 0);
                let filter = Filter { search: "desk".to_owned(), ..Filter::default() };
                while offset < count {
                    let page = patchbay::audit::Page { offset, limit: 4_000 };
                    let mut tx = app.state.read().await.unwrap();
                    let (phones, all) = phones::list(&mut tx, &app.state.counted, tenant, &filter, sort, page).await.unwrap();
                    assert_eq!(all, count, "{sort:?} from {offset}");
                    seen.extend(phones.iter().map(|phone| phone.mac));
                    offset += 4_000;
                }
                assert_eq!(i64::try_from(seen.len()).unwrap(), count, "{sort:?}");
            }
            let beyond = patchbay::audit::Page { offset: 20_000, limit: 25 };
            for (search, state, all) in [("desk", Only::All, count), ("desk 1000", Only::All, 9), ("desk", Only::Registered, 0), ("desk", Only::NoLine, count)] {
                let filter = Filter { search: search.to_owned(), state, ..Filter::default() };
                let mut tx = app.state.read().await.unwrap();
                assert_eq!(phones::list(&mut tx, &app.state.counted, tenant, &filter, Sort::Title, beyond).await.unwrap(), (vec![], all), "{search} {state:?}");
                drop(tx);
                assert_eq!(listed(&app, &filter, Sort::Title).await.1, all, "{search} {state:?}");
            }
            app.sql(&format!("DELETE FROM phone WHERE search = 'desk {}'", 10_000 + count)).await;
        }
    }

    async fn pages_by_address_show_each_phone_once_and_those_without_one_last(app: TestApp) {
        subnet(&app, "Voice", "10.1.0.0/24", "10.1.0.10-250").await;
        subnet(&app, "Voice 6", "2001:db8:1::/64", "2001:db8:1::10-2001:db8:1::ff").await;
        let (none, macs) = (Static::None, (1..=9).map(|n| format!("00156500000{n}")).collect::<Vec<_>>());
        let addresses = ["10.1.0.40", "", "10.1.0.20", "", "10.1.0.30", "2001:db8:1::20", "", "10.1.0.50", ""];
        for (mac, address) in macs.iter().zip(addresses) {
            let address = if address.is_empty() { none } else { Static::This(at(address)) };
            add(&app, &NewPhone { address, ..new(mac, T46S, &[]) }).await.unwrap();
        }
        // One has two, of which the lower one counts.
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        let holder = addresses::Holder { kind: addresses::HolderKind::Phone, id: macs[0].clone(), name: macs[0].clone() };
        let (purpose, by) = (addresses::Purpose::Allocate(addresses::Tenure::of(holder)), addresses::Reserver { name: "tester".to_owned(), anybodys: true });
        addresses::assign(&mut space, at("2001:db8:1::10"), &purpose, &by).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        let up = [3, 5, 1, 8, 6, 2, 4, 7, 9].map(|n: usize| mac(&macs[n - 1]));
        let down = [6, 8, 1, 5, 3, 9, 7, 4, 2].map(|n: usize| mac(&macs[n - 1]));
        for (sort, right) in [(Sort::Address, up), (Sort::AddressDown, down)] {
            for limit in 1..=10 {
                let mut shown = Vec::new();
                for offset in (0..10).step_by(usize::try_from(limit).unwrap()) {
                    let (page, mut tx) = (patchbay::audit::Page { offset, limit }, app.state.read().await.unwrap());
                    let (phones, all) = phones::list(&mut tx, &app.state.counted, TenantId::DEFAULT, &Filter::default(), sort, page).await.unwrap();
                    assert_eq!(all, 9, "{sort:?} {limit} from {offset}");
                    shown.extend(phones.iter().map(|phone| phone.mac));
                }
                assert_eq!(shown, right, "{sort:?} {limit}");
            }
        }
        let filter = Filter { vendor: Some(Vendor::Yealink), ..Filter::default() };
        let page = patchbay::audit::Page { offset: 6, limit: 2 };
        let mut tx = app.state.read().await.unwrap();
        let (phones, all) = phones::list(&mut tx, &app.state.counted, TenantId::DEFAULT, &filter, Sort::Address, page).await.unwrap();
        assert_eq!((phones.iter().map(|phone| phone.mac).collect::<Vec<_>>(), all), (up[6..8].to_vec(), 9));
    }

    async fn pages_by_what_was_fetched_show_each_phone_once_and_those_that_fetched_nothing_last(app: TestApp) {
        let macs = (1..=9).map(|n| format!("00156500000{n}")).collect::<Vec<_>>();
        // Of two that fetched in the same second the lower MAC comes first; one only asked.
        let fetched = ["40", "", "20", "NULL", "30", "20", "", "50", ""];
        for (mac, at) in macs.iter().zip(fetched) {
            add(&app, &new(mac, T46S, &[])).await.unwrap();
            if !at.is_empty() {
                app.sql(&format!("INSERT INTO phone_seen (mac, tenant_id, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
                    SELECT mac, tenant_id, {at}, '', '', '', '', '' FROM phone WHERE mac = '{mac}'")).await;
            }
        }
        let up = [3, 6, 5, 1, 8, 2, 4, 7, 9].map(|n: usize| mac(&macs[n - 1]));
        let down = [8, 1, 5, 6, 3, 9, 7, 4, 2].map(|n: usize| mac(&macs[n - 1]));
        let yealink = Filter { vendor: Some(Vendor::Yealink), ..Filter::default() };
        for (sort, right) in [(Sort::Fetched, up), (Sort::FetchedDown, down)] {
            for (filter, limit) in [Filter::default(), yealink.clone()].iter().flat_map(|filter| (1..=10).map(move |limit| (filter, limit))) {
                let mut shown = Vec::new();
                for offset in (0..10).step_by(usize::try_from(limit).unwrap()) {
                    let (page, mut tx) = (patchbay::audit::Page { offset, limit }, app.state.read().await.unwrap());
                    let (phones, all) = phones::list(&mut tx, &app.state.counted, TenantId::DEFAULT, filter, sort, page).await.unwrap();
                    assert_eq!(all, 9, "{filter:?} {sort:?} {limit} from {offset}");
                    shown.extend(phones.iter().map(|phone| phone.mac));
                }
                assert_eq!(shown, right, "{filter:?} {sort:?} {limit}");
            }
        }
    }

    async fn how_many_there_are_follows_whatever_changes(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        let (bob, cyn) = (admin.add("Bob", "bob@example.com", "").await, admin.add("Cyn", "cyn@example.com", "").await);
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let fixed = NewPhone { address: Static::This(at("10.0.0.10")), ..new("001565000001", T46S, &[&ann]) };
        for phone in [fixed, new("001565000002", T46S, &[&bob, &cyn]), new("001565000003", T46S, &[])] {
            add(&app, &phone).await.unwrap();
        }
        // A page of one phone does not show how many there are: they are counted.
        let counts = async || {
            let mut counts = Vec::new();
            for state in [Only::All, Only::Registered, Only::Unregistered, Only::NeverFetched, Only::NoLine, Only::NoAddress] {
                let (filter, page) = (Filter { state, ..Filter::default() }, patchbay::audit::Page { offset: 0, limit: 1 });
                let mut tx = app.state.read().await.unwrap();
                let (_, count) = phones::list(&mut tx, &app.state.counted, TenantId::DEFAULT, &filter, Sort::Mac, page).await.unwrap();
                let totals = phones::totals(&mut tx, &app.state.counted, TenantId::DEFAULT).await.unwrap();
                match state {
                    Only::All => assert_eq!(totals.all, count),
                    Only::NeverFetched => assert_eq!(totals.never_fetched, count),
                    Only::NoLine => assert_eq!(totals.no_line, count),
                    _ => {}
                }
                counts.push(count);
            }
            counts
        };
        assert_eq!(counts().await, [3, 0, 2, 3, 1, 2]);
        let (of_ann, of_cyn) = (contact("1000", "10.0.0.10", "Softphone"), contact("1002", "10.0.0.11", "Softphone"));
        app.told(vec![of_ann.clone()]).await;
        assert_eq!(counts().await, [3, 1, 1, 3, 1, 2]);
        app.told(vec![of_ann.clone(), of_cyn]).await;
        assert_eq!(counts().await, [3, 2, 0, 3, 1, 2], "by its second line");
        app.told(vec![of_ann]).await;
        assert_eq!(counts().await, [3, 1, 1, 3, 1, 2]);
        app.sql("INSERT INTO phone_seen (mac, tenant_id, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
            SELECT mac, tenant_id, 5, '', '', '', '', '' FROM phone WHERE mac = '001565000003'").await;
        assert_eq!(counts().await, [3, 1, 1, 2, 1, 2]);
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
        phones::delete(&mut space, mac("001565000001")).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(counts().await, [2, 0, 1, 1, 1, 2]);
    }

    async fn the_list_is_searched_filtered_and_sorted(app: TestApp) {
        const ANN: &str = "1000 Ann";
        const LIFT: &str = "Lift 100%";
        const NOBODY: &str = "00:15:65:00:00:03";
        let admin = app.signed_in("admin", Role::Admin).await;
        let (ann, bob) = (admin.add("Ann", "ann@example.com", "").await, admin.add("Bob", "bob@example.com", "").await);
        subnet(&app, "Lab", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut first = new("001565000001", T46S, &[&ann]);
        first.address = Static::This(at("10.0.0.12"));
        first.spec.site = "Lisbon".parse().unwrap();
        add(&app, &first).await.unwrap();
        app.pass(10);
        let mut second = new("000b82000002", HT802, &[&bob]);
        second.spec.label = "Lift 100%".parse().unwrap();
        second.spec.notes = "ask the porter".parse().unwrap();
        add(&app, &second).await.unwrap();
        app.pass(10);
        add(&app, &new("001565000003", (Vendor::Yealink, "t23g"), &[])).await.unwrap();
        let tenant = TenantId::DEFAULT;
        app.sql("INSERT INTO phone_seen (mac, tenant_id, fetched_at, fetched_file, fetched_revision, user_agent, model, firmware)
            SELECT mac, tenant_id, 1700000000, 'x.cfg', 'abc', 'Yealink', '', '' FROM phone WHERE mac = '001565000001'").await;
        app.sql(&format!("INSERT INTO registration (tenant_id, number, contact, address, user_agent, mac, mac_source, present, first_seen, last_seen)
            SELECT '{tenant}', 1000, 'sip:1000@10.0.0.12', address, '', '', '', TRUE, 1, 1 FROM address WHERE holder_kind = 'phone'")).await;

        for (search, found) in [
            ("", vec![NOBODY, ANN, LIFT]), ("ann", vec![ANN]), ("ANN", vec![ANN]), ("1001", vec![LIFT]), ("00:15:65", vec![NOBODY, ANN]),
            ("0015.6500.0003", vec![NOBODY]), ("lisb", vec![ANN]), ("10.0.0.", vec![ANN]), ("10.0.0.12", vec![ANN]), ("10.0.0.13", vec![]),
            ("porter", vec![LIFT]), ("ht802", vec![LIFT]), ("grandstream", vec![LIFT]), ("t46", vec![ANN]), ("100%", vec![LIFT]),
            ("%", vec![LIFT]), ("_", vec![]), ("' OR 1=1 --", vec![]), ("\\", vec![]),
        ] {
            let filter = Filter { search: search.to_owned(), ..Filter::default() };
            let count = i64::try_from(found.len()).unwrap();
            assert_eq!(listed(&app, &filter, Sort::Title).await, (found.into_iter().map(ToOwned::to_owned).collect(), count), "{search:?}");
        }
        let only = |state| Filter { state, ..Filter::default() };
        for (filter, found) in [
            (only(Only::Registered), vec![ANN]), (only(Only::Unregistered), vec![LIFT]), (only(Only::NeverFetched), vec![NOBODY, LIFT]),
            (only(Only::NoLine), vec![NOBODY]), (only(Only::NoAddress), vec![NOBODY, LIFT]),
            (Filter { vendor: Some(Vendor::Yealink), ..Filter::default() }, vec![NOBODY, ANN]),
            (Filter { model: Some(Model::find(Vendor::Yealink, "t23g").unwrap()), ..Filter::default() }, vec![NOBODY]),
            (Filter { kind: Some(Kind::Ata), ..Filter::default() }, vec![LIFT]),
            (Filter { site: "LISBON".to_owned(), ..Filter::default() }, vec![ANN]),
        ] {
            assert_eq!(listed(&app, &filter, Sort::Title).await.0, found, "{filter:?}");
        }
        for (sort, found) in [
            (Sort::Title, [NOBODY, ANN, LIFT]), (Sort::Number, [ANN, LIFT, NOBODY]), (Sort::Mac, [LIFT, ANN, NOBODY]),
            (Sort::Address, [ANN, LIFT, NOBODY]), (Sort::Fetched, [ANN, LIFT, NOBODY]), (Sort::Created, [ANN, LIFT, NOBODY]),
            (Sort::CreatedDown, [NOBODY, LIFT, ANN]), (Sort::Model, [LIFT, NOBODY, ANN]),
        ] {
            assert_eq!(listed(&app, &Filter::default(), sort).await.0, found, "{sort:?}");
        }
        for &(sort, _) in Sort::ALL {
            assert_eq!(listed(&app, &Filter::default(), sort).await.1, 3, "{sort:?}");
        }
        let totals = phones::totals(&mut app.state.read().await.unwrap(), &app.state.counted, tenant).await.unwrap();
        assert_eq!((totals.all, totals.atas, totals.registered, totals.no_line, totals.never_fetched), (3, 1, 1, 1, 2));
        // A registration by another device is not this phone's.
        app.sql("UPDATE registration SET mac = '001565999999', mac_source = 'user_agent'").await;
        assert_eq!(listed(&app, &only(Only::Registered), Sort::Title).await.1, 0);
    }

    async fn settings_come_from_the_nearest_layer_that_says_something(app: TestApp) {
        let mut wished = new("001565000001", T46S, &[]);
        wished.spec.site = "Lisbon".parse().unwrap();
        let mut change = app.state.change(&tester()).await.unwrap();
        let mut chosen = None;
        for (name, scope, port) in [
            ("All", profiles::Scope::Tenant, "5001"),
            ("Here", profiles::Scope::Site("LISBON".parse().unwrap()), "5002"),
            ("Elsewhere", profiles::Scope::Site("Porto".parse().unwrap()), "5009"),
            ("T46", profiles::Scope::Model(wished.spec.model), "5003"),
            ("Mine", profiles::Scope::Chosen, "5004"),
        ] {
            let settings = Layer::from([("sip.port".to_owned(), port.to_owned())]);
            let spec = profiles::Spec { name: name.parse().unwrap(), scope, settings };
            let made = profiles::create(&mut change, &app.state.vault, &spec).await.unwrap();
            chosen = Some(made.id);
        }
        change.commit().await.unwrap();
        let mut phone = add(&app, &wished).await.unwrap();
        let own = |value: Option<&str>| Edit {
            settings: [("sip.port".to_owned(), value.map(ToOwned::to_owned))].into(), ..Edit::default()
        };
        let port = async |phone: &Phone| {
            let mut tx = app.state.read().await.unwrap();
            let resolved = phones::resolved(&mut tx, TenantId::DEFAULT, phone).await.unwrap();
            resolved.get("sip.port").to_owned()
        };
        assert_eq!(port(&phone).await, "5003");
        phone = edit(&app, "001565000001", &Edit { profile: Some(chosen), ..Edit::default() }).await.unwrap();
        assert_eq!(port(&phone).await, "5004");
        phone = edit(&app, "001565000001", &own(Some("5005"))).await.unwrap();
        assert_eq!(port(&phone).await, "5005");
        phone = edit(&app, "001565000001", &own(None)).await.unwrap();
        assert_eq!(port(&phone).await, "5004");
        let model = Some(Model::find(Vendor::Yealink, "t23g").unwrap());
        phone = edit(&app, "001565000001", &Edit { profile: Some(None), model, ..Edit::default() }).await.unwrap();
        assert_eq!(port(&phone).await, "5002");
        phone = edit(&app, "001565000001", &Edit { site: Some(String::new().try_into().unwrap()), ..Edit::default() }).await.unwrap();
        assert_eq!(port(&phone).await, "5001");
    }
}
