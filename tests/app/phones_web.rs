//! The pages of phones.

use std::cell::Cell;

use futures_util::future::join;
use patchbay::auth::Role;

use crate::phones::{HT802, T46S, add, at, get, new, subnet};
use crate::support::app::{Answer, PASSWORD, both_databases, logged, unescaped};

const FORM: [(&str, &str); 2] = [("mac", "00:15:65:12:34:56"), ("model", "yealink/t46s")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    FORM.iter().chain(more).copied().collect()
}

/// The phones a page of the list shows, in its order.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split(r#"<th scope="row" class="wrap"><a href="/phones/"#).skip(1);
    rows.map(|row| unescaped(row.split_once('>').unwrap().1.split_once('<').unwrap().0)).collect()
}

both_databases! {
    async fn a_phone_its_user_and_its_address_are_added_in_one_step(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let form = with(&[("who", "new"), ("name", "Ann O'Neil"), ("email", "ann@example.com"), ("address", "next"), ("subnet", "voice")]);
        let answer = admin.post("/phones", &form).await;
        assert_eq!((answer.status, answer.location()), (303, "/phones/001565123456"), "{answer:?}");
        let page = admin.get("/phones/001565123456").await;
        for text in ["Added; Ann O'Neil has extension 1000", "1000 Ann O'Neil", "10.0.0.10", "Yealink SIP-T46S", "phone.created"] {
            page.shows(text);
        }
        let user = app.texts("SELECT id FROM users").await[0].clone();
        admin.get(&format!("/users/{user}")).await.shows(r#"<a href="/phones/001565123456">1000 Ann O'Neil</a>"#);
        admin.get("/ipam/addresses/10.0.0.10").await.shows("/phones/001565123456");
        admin.get("/").await.shows("<b>1</b> phone");

        // Everything that stands in the way of another is said at once, and nothing is done.
        let before = app.contents().await;
        let form = with(&[("who", "new"), ("name", ""), ("email", "ann@example.com"), ("address", "this"), ("static_ip", "10.0.0.10"), ("label", "a\u{202e}b")]);
        let page = admin.post("/phones", &form).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("mac"), "there is a phone with the MAC address 00:15:65:12:34:56 already");
        assert_eq!(page.field_error("name"), "enter a name");
        assert_eq!(page.field_error("label"), "leave out line breaks and invisible characters");
        page.shows(r#"<a href="/phones/001565123456">Look there</a>"#);
        let form = [("mac", "00:15:65:12:34:57"), ("model", "yealink/t46s"), ("who", "new"), ("name", "Bob"), ("email", "ann@example.com"), ("address", "this"), ("static_ip", "10.0.0.10")];
        let page = admin.post("/phones", &form).await;
        assert_eq!(page.field_error("email"), "ann@example.com belongs to another user");
        assert_eq!(page.field_error("static_ip"), "10.0.0.10 is allocated: phone 1000 Ann O'Neil; phone 00:15:65:12:34:57 cannot have it too");
        assert_eq!(app.contents().await, before);
    }

    async fn the_mac_address_tells_whose_phone_it_is_and_is_read_in_four_notations(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (n, mac) in ["00-15-65-00-00-00", "0015.6500.0001", "001565000002", "00:15:65:00:00:03"].into_iter().enumerate() {
            let page = admin.post("/phones", &[("mac", mac), ("who", "none")]).await;
            assert_eq!(page.field_error("model"), "choose the model; by its MAC address it is a Yealink");
            let made = admin.post("/phones", &[("mac", mac), ("model", "yealink/t23g"), ("who", "none")]).await;
            assert_eq!(made.location(), format!("/phones/00156500000{n}"));
        }
        let page = admin.get("/phones/new?mac=000b82000001").await;
        page.shows("by its MAC address it is a Grandstream");
        assert!(page.text.find("HT802").unwrap() < page.text.find("SIP-T46S").unwrap(), "its maker's models come first");
        for bad in ["", "00:15:65", "zz:15:65:00:00:00", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
            let page = admin.post("/phones", &[("mac", bad), ("model", "yealink/t23g")]).await;
            assert!(!page.field_error("mac").is_empty(), "{bad}");
        }
        // One phone has one address.
        assert_eq!(admin.get("/phones/00:15:65:00:00:03").await.location(), "/phones/001565000003");
        assert_eq!(admin.get("/phones/001565000009").await.status, 404);
        assert_eq!(admin.get("/phones/nonsense").await.status, 404);
    }

    async fn lines_are_given_by_number_or_name_and_a_number_rings_one_phone(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann Abel", "ann@example.com", "").await;
        admin.add("Bob Abel", "bob@example.com", "").await;
        add(&app, &new("001565000001", T46S, &[&ann])).await.unwrap();
        add(&app, &new("000b82000002", HT802, &[])).await.unwrap();
        let base = [("model", "grandstream/ht802"), ("version", "1")];
        let post = async |lines: [&str; 2]| {
            let form: Vec<_> = base.into_iter().chain([("line", lines[0]), ("line_label", "first"), ("line", lines[1]), ("line_label", "")]).collect();
            admin.post("/phones/000b82000002", &form).await
        };
        let page = post(["1000", "abel"]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("line-2"), "several have this in their name: 1000 Ann Abel, 1001 Bob Abel; enter the number");
        let page = post(["1000", "1999"]).await;
        assert_eq!(page.field_error("line-2"), "no user has the number or name 1999");
        let page = post(["1000", "bob"]).await;
        assert_eq!(page.field_error("line-1"), "1000 rings 1000 Ann Abel; take it from there first");
        page.shows(r#"<a href="/phones/001565000001">Look there</a>"#);
        page.shows(r#"value="bob""#);
        assert_eq!(post(["", "bob"]).await.status, 303);
        let phone = get(&app, "000b82000002").await.unwrap();
        assert_eq!((phone.lines.len(), phone.lines[0].line, phone.lines[0].number.to_string().as_str()), (1, 2, "1001"));
        let user = app.texts("SELECT id FROM users WHERE name = 'Bob Abel'").await[0].clone();
        admin.get(&format!("/users/{user}")).await.shows("</a>, line 2");
    }

    async fn two_editors_are_told_of_each_other_and_may_still_save(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        add(&app, &new("001565000001", T46S, &[])).await.unwrap();
        let form = |label: &'static str, version: &'static str| [("label", label), ("model", "yealink/t46s"), ("version", version)];
        assert_eq!(admin.post("/phones/001565000001", &form("mine", "1")).await.status, 303);
        let page = admin.post("/phones/001565000001", &form("yours", "1")).await;
        assert_eq!(page.status, 412);
        page.shows("Somebody changed this phone meanwhile");
        page.shows(r#"value="yours""#);
        page.shows(r#"name="version" value="2""#);
        assert_eq!(admin.post("/phones/001565000001", &form("yours", "2")).await.status, 303);
        for (path, form) in [("keys", vec![("version", "1")]), ("settings", vec![("version", "1"), ("sip.port", "5070")])] {
            let form: Vec<_> = form.into_iter().chain([("kind", "blf"), ("value", "1000")]).collect();
            let page = admin.post(&format!("/phones/001565000001/{path}"), &form).await;
            assert_eq!(page.status, 412, "{path}");
            page.shows("Somebody changed this phone meanwhile");
        }
        assert_eq!(get(&app, "001565000001").await.unwrap().version, 3);
    }

    async fn the_help_desk_says_what_a_phone_is_called_and_its_keys_do_and_no_more(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        add(&app, &new("001565000001", T46S, &[&ann])).await.unwrap();
        let helpdesk = app.signed_in("hd", Role::Helpdesk).await;
        let page = helpdesk.get("/phones/001565000001/edit").await;
        page.hides(r#"name="line""#);
        page.hides(r#"name="model""#);
        let form = [("label", "Desk 7"), ("notes", "n"), ("site", "Porto"), ("model", "yealink/t23g"), ("line", ""), ("version", "1")];
        assert_eq!(helpdesk.post("/phones/001565000001", &form).await.status, 303);
        let phone = get(&app, "001565000001").await.unwrap();
        assert_eq!((phone.label.as_str(), phone.notes.as_str(), phone.site.as_str(), phone.model.name, phone.lines.len()), ("Desk 7", "n", "", "t46s", 1));
        let keys = [("kind", "blf"), ("value", "1000"), ("label", "Ann"), ("line", "1"), ("version", "2")];
        assert_eq!(helpdesk.post("/phones/001565000001/keys", &keys).await.status, 303);
        helpdesk.get("/phones/001565000001").await.shows("watches, calls and picks up");
        let keys = [("kind", "speed_dial"), ("value", "10x"), ("label", ""), ("line", "99"), ("version", "3")];
        let page = helpdesk.post("/phones/001565000001/keys", &keys).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("value-1"), "use 1 to 20 digits, * and #, perhaps a + first");
        let keys = [("kind", "speed_dial"), ("value", ""), ("label", ""), ("line", "99"), ("version", "3")];
        let page = helpdesk.post("/phones/001565000001/keys", &keys).await;
        assert!(!page.field_error("key-1").is_empty());
    }

    async fn each_setting_says_where_it_comes_from_and_can_be_left_to_the_profile(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        add(&app, &new("001565000001", T46S, &[])).await.unwrap();
        let form = [("name", "Everybody"), ("scope", "tenant"), ("sip.transport", "tcp"), ("sip.port", "5070"), ("voicemail.number", "*97")];
        assert_eq!(admin.post("/phones/profiles", &form).await.status, 303);
        admin.get("/phones/profiles").await.shows("SIP port: 5070");
        let page = admin.get("/phones/001565000001/settings").await;
        page.shows("5070");
        page.shows("profile Everybody");
        let form = [("sip.port", "5080"), ("sip.transport", ""), ("voicemail.number", ""), ("none:voicemail.number", "1"), ("time.server", ""), ("version", "1")];
        assert_eq!(admin.post("/phones/001565000001/settings", &form).await.status, 303);
        let phone = get(&app, "001565000001").await.unwrap();
        assert_eq!(phone.settings.into_iter().collect::<Vec<_>>(), [("sip.port".into(), "5080".into()), ("voicemail.number".into(), String::new())]);
        let page = unescaped(&admin.get("/phones/001565000001").await.text);
        for row in ["SIP port</th><td class=\"wrap later\">5080</td><td class=\"wrap later\"><b>this phone</b>",
            "Transport</th><td class=\"wrap later\">TCP</td><td class=\"wrap later\"><span class=\"soft\">profile Everybody</span>",
            "Voicemail number</th><td class=\"wrap later\">none</td><td class=\"wrap later\"><b>this phone</b>",
            "Codecs</th><td class=\"wrap later\">g722,alaw,ulaw</td><td class=\"wrap later\"><span class=\"soft\">usual</span>"] {
            assert!(page.contains(row), "{row} in {page}");
        }
        let form = [("sip.port", "0"), ("sip.server", "a b"), ("audio.codecs", "opus"), ("version", "2")];
        let page = admin.post("/phones/001565000001/settings", &form).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("sip.port"), "use a whole number from 1 to 65535");
        assert!(!page.field_error("sip.server").is_empty() && !page.field_error("audio.codecs").is_empty());
        page.shows(r#"value="a b""#);
        assert_eq!(admin.post("/phones/001565000001/settings", &[("sip.port", ""), ("voicemail.number", ""), ("version", "2")]).await.status, 303);
        assert!(get(&app, "001565000001").await.unwrap().settings.is_empty());
    }

    async fn profiles_are_for_somebody_and_one_that_phones_chose_stays(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (form, field, why) in [
            (vec![("name", ""), ("scope", "tenant")], "name", "enter a name, such as Reception"),
            (vec![("name", "x"), ("scope", "site"), ("site", "")], "site", "enter the site's name as it stands at its phones or subnets"),
            (vec![("name", "x"), ("scope", "model")], "model", "choose a model"),
            (vec![("name", "x"), ("scope", "nonsense")], "scope", "choose whose settings these are"),
        ] {
            let page = admin.post("/phones/profiles", &form).await;
            assert_eq!((page.status, page.field_error(field).as_str()), (422, why));
        }
        admin.post("/phones/profiles", &[("name", "Lisbon"), ("scope", "site"), ("site", "Lisbon")]).await;
        let page = admin.post("/phones/profiles", &[("name", "Other"), ("scope", "site"), ("site", "LISBON")]).await;
        assert_eq!(page.field_error("scope"), "Lisbon is for phones at LISBON already; change that one");
        let page = admin.post("/phones/profiles", &[("name", "LISBON"), ("scope", "chosen")]).await;
        assert_eq!(page.field_error("name"), "another profile is called LISBON");
        admin.post("/phones/profiles", &[("name", "Desk"), ("scope", "chosen")]).await;
        let id = app.texts("SELECT id FROM profile WHERE name = 'Desk'").await[0].clone();
        for mac in ["001565000001", "001565000002"] {
            add(&app, &new(mac, T46S, &[])).await.unwrap();
        }
        let both = [("id", "001565000001"), ("id", "00:15:65:00:00:02")];
        let page = admin.post("/phones/bulk", &both).await;
        page.shows("Change 2 phones");
        let form: Vec<_> = both.into_iter().chain([("confirmed", "1"), ("profile", id.as_str()), ("set_site", "1"), ("site", "Lisbon"), ("list", "/phones?q=00")]).collect();
        let answer = admin.post("/phones/bulk", &form).await;
        assert_eq!((answer.status, answer.location()), (303, "/phones?q=00"));
        assert_eq!(get(&app, "001565000002").await.unwrap().profile.unwrap().to_string(), id);
        assert_eq!(listed(&admin.get(&format!("/phones?profile={id}&site=lisbon")).await).len(), 2);
        let page = admin.post(&format!("/phones/profiles/{id}/deletion"), &[]).await;
        assert_eq!(page.status, 409);
        assert_eq!(page.field_error("scope"), "2 phones chose it; give them another profile first");
        let form: Vec<_> = both.into_iter().chain([("confirmed", "1"), ("profile", "none")]).collect();
        admin.post("/phones/bulk", &form).await;
        assert_eq!(admin.post(&format!("/phones/profiles/{id}/deletion"), &[]).await.status, 303);
        // Nothing chosen, or nothing to be different, is no change.
        let form: Vec<_> = both.into_iter().chain([("confirmed", "1"), ("profile", "keep")]).collect();
        assert_eq!(admin.post("/phones/bulk", &form).await.field_error("profile"), "choose a profile, or tick the site");
    }

    async fn a_static_address_is_changed_there_and_ended_from_either_side(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-11").await;
        add(&app, &new("001565000001", T46S, &[])).await.unwrap();
        add(&app, &new("001565000002", T46S, &[])).await.unwrap();
        let path = "/phones/001565000001/address";
        let answer = admin.post(path, &[("address", "next"), ("subnet", "10.0.0.0/24")]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(get(&app, "001565000001").await.unwrap().address, Some(at("10.0.0.10")));
        let page = admin.post("/phones/001565000002/address", &[("address", "this"), ("static_ip", "10.0.0.10")]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("static_ip"), "10.0.0.10 is allocated: phone 00:15:65:00:00:01; phone 00:15:65:00:00:02 cannot have it too");
        page.shows(r#"<a href="/phones/001565000001">Look there</a>"#);
        // In IPAM: it says where that is ended, and does not end it behind the assignment's back.
        admin.get("/ipam/addresses/10.0.0.10").await.shows("only the assignment can end this");
        assert_eq!(admin.post("/ipam/addresses/10.0.0.10/release", &[]).await.status, 409);
        assert_eq!(get(&app, "001565000001").await.unwrap().address, Some(at("10.0.0.10")));
        let assignment = &app.texts("SELECT id FROM assignment").await[0];
        assert_eq!(admin.post(&format!("/lifecycle/{assignment}/revoke"), &[("release", "free")]).await.status, 303);
        patchbay::lifecycle::job::complete_settled(&app.state).await.unwrap();
        assert_eq!(get(&app, "001565000001").await.unwrap().address, None);
        for (mac, address) in [("001565000001", "10.0.0.11"), ("001565000002", "10.0.0.10")] {
            let path = format!("/phones/{mac}/address");
            assert_eq!(admin.post(&path, &[("address", "this"), ("static_ip", address)]).await.status, 303);
        }
        add(&app, &new("001565000003", T46S, &[])).await.unwrap();
        let page = admin.post("/phones/001565000003/address", &[("address", "next"), ("subnet", "voice")]).await;
        assert_eq!(page.field_error("subnet"), "Voice (10.0.0.0/24) has no address free: 0 left");
        assert_eq!(admin.post(path, &[("address", "none")]).await.status, 303);
        assert_eq!(admin.post("/phones/001565000003/address", &[("address", "next"), ("subnet", "voice")]).await.status, 303);
        assert_eq!(get(&app, "001565000003").await.unwrap().address, Some(at("10.0.0.11")));
    }

    async fn two_who_want_one_number_or_address_at_once_get_one_and_a_reason(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        admin.add("Ann", "ann@example.com", "").await;
        let done = Cell::new(false);
        let post = async |mac: &'static str| {
            let form = [("mac", mac), ("model", "yealink/t46s"), ("who", "user"), ("extension", "1000"), ("address", "this"), ("static_ip", "10.0.0.10")];
            admin.post("/phones", &form).await
        };
        let (one, two) = join(post("001565000001"), post("001565000002")).await;
        done.set(true);
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 422], "{one:?} {two:?}");
        let refused = if one.status == 422 { one } else { two };
        assert_eq!(refused.field_error("extension"), "1000 rings 1000 Ann; take it from there first");
        assert!(refused.field_error("static_ip").contains("is allocated: phone 1000 Ann"));
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 1);
        assert_eq!(app.number("SELECT count(*) FROM phone_line").await, 1);
    }

    async fn what_a_phone_signs_in_with_is_shown_to_who_knows_their_password_and_made_anew(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        add(&app, &new("001565000001", T46S, &[])).await.unwrap();
        let page = admin.post("/phones/001565000001/reveal", &[("password", "wrong password")]).await;
        assert_eq!((page.status, page.field_error("password").as_str()), (422, "this is not your password"));
        let page = admin.post("/phones/001565000001/reveal", &[("password", PASSWORD)]).await;
        let url = |page: &Answer| page.between(r#"id="url">"#, "<").to_owned();
        let (first, http, web) = (url(&page), page.between(r#"id="http">"#, "<").to_owned(), page.between(r#"id="web">"#, "<").to_owned());
        assert!(first.starts_with("http://patchbay.test/provision/") && first.len() == 31 + 32 + 1, "{first}");
        let page = admin.post("/phones/001565000001/token", &[]).await;
        page.shows("The phone must be told");
        let second = url(&page);
        assert_ne!(first, second);
        assert_ne!(http, page.between(r#"id="http">"#, "<"));
        assert_eq!(web, page.between(r#"id="web">"#, "<"));
        assert_eq!(get(&app, "001565000001").await.unwrap().version, 2);
        let log = app.audit().await;
        for action in ["phone.secret_revealed", "phone.token_renewed"] {
            assert!(log.iter().any(|row| row.contains(action)), "{log:?}");
        }
        let (stored, logs) = (app.stored_bytes().await, logged());
        let mut listed = String::new();
        for path in ["/phones", "/phones.csv", "/phones/001565000001", "/audit"] {
            listed.push_str(&admin.get(path).await.text);
        }
        for secret in [&first[31..63], &second[31..63], &http, &web] {
            assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
            assert!(!logs.contains(secret) && !listed.contains(secret));
        }
    }

    async fn many_are_deleted_at_once_after_being_shown(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann", "ann@example.com", "").await;
        subnet(&app, "Voice", "10.0.0.0/24", "10.0.0.10-19").await;
        let mut first = new("001565000001", T46S, &[&ann]);
        first.address = patchbay::phones::Static::This(at("10.0.0.10"));
        add(&app, &first).await.unwrap();
        add(&app, &new("001565000002", T46S, &[])).await.unwrap();
        let both = [("id", "001565000001"), ("id", "001565000002"), ("list", "//evil.example")];
        let page = admin.post("/phones/deletion", &both).await;
        for text in ["Delete 2 phones?", "1000 Ann", "10.0.0.10", "00:15:65:00:00:02"] {
            page.shows(text);
        }
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 2);
        let form: Vec<_> = both.into_iter().chain([("confirmed", "1")]).collect();
        let answer = admin.post("/phones/deletion", &form).await;
        assert_eq!((answer.status, answer.location()), (303, "/phones"));
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM address").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM users").await, 1);
    }

    async fn the_list_has_its_filters_order_and_pages_in_the_url(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for n in 0..30 {
            let mut phone = new(&format!("0015650000{n:02x}"), if n % 2 == 0 { T46S } else { HT802 }, &[]);
            phone.spec.label = format!("Room {n:02}").parse().unwrap();
            add(&app, &phone).await.unwrap();
        }
        let page = admin.get("/phones?q=room&model=yealink&sort=-name&size=25").await;
        page.shows("<b>30</b> phones");
        page.shows("<b>15</b> match");
        assert_eq!(listed(&page)[..2], ["Room 28", "Room 26"]);
        page.shows(r#"aria-sort="descending""#);
        let page = admin.get("/phones?sort=mac&page=2").await;
        assert_eq!(listed(&page).len(), 5);
        page.shows("26-30 of 30");
        let part = admin.get("/phones/table?q=Room+07").await;
        assert_eq!((part.header("hx-push-url"), listed(&part)), (Some("/phones?q=Room+07"), vec!["Room 07".to_owned()]));
        part.hides("<html");
        assert_eq!(admin.get("/phones?sort=nonsense").await.status, 400);
        admin.get("/phones?q=nothing").await.shows("No phone matches.");
        admin.get("/phones?page=9").await.shows("The list ends before this page.");
        let file = admin.get("/phones.csv?model=grandstream/ht802&sort=mac").await;
        assert_eq!(file.text.lines().count(), 16);
        assert!(file.text.starts_with("mac,vendor,model,label,site,extensions,static_ip,profile,notes,state,"));
    }
}
