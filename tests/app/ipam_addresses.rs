//! The pages and calls about addresses.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};
use serde_json::json;

use crate::support::app::{Answer, Browser, TestApp, both_databases, next, tester};

/// A subnet with static addresses `.10` to `.19`, the gateway `.1`, and DHCP for what is left.
pub async fn office(app: &TestApp) -> String {
    let mut spec = Spec::new("Voice Berlin".parse().unwrap(), "10.20.5.0/24".parse().unwrap());
    spec.gateway = Some("10.20.5.1".parse().unwrap());
    spec.statics = Pools::These(vec!["10.20.5.10-10.20.5.19".parse().unwrap()]);
    subnet(app, &spec).await
}

pub async fn subnet(app: &TestApp, spec: &Spec) -> String {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let made = subnets::create(&mut space, spec, false, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id.to_string()
}

pub fn someone(name: &str) -> Tenure {
    Tenure::of(Holder { kind: HolderKind::External, id: name.to_owned(), name: name.to_owned() })
}

/// A subnet of its own for each caller, of 256 addresses; its id.
pub async fn block(app: &TestApp, name: &str) -> String {
    let number = next();
    let cidr = format!("10.{}.{}.0/24", 100 + number / 256 % 100, number % 256);
    subnet(app, &Spec::new(name.parse().unwrap(), cidr.parse().unwrap())).await
}

/// A free address in such a subnet.
pub async fn free_address(app: &TestApp, name: &str) -> String {
    let id = block(app, name).await;
    let mut tx = app.state.read().await.unwrap();
    let id = id.parse().unwrap();
    let subnet = subnets::get(&mut tx, TenantId::DEFAULT, id).await.unwrap().unwrap();
    subnet.cidr.network().plus(7).unwrap().to_string()
}

/// Puts an address into a status, as `who`.
pub async fn put(app: &TestApp, address: &str, status: &str, who: &str) {
    let address = address.parse().unwrap();
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let by = Reserver { name: who.to_owned(), anybodys: true };
    match status {
        "available" => return,
        "allocated" => {
            let purpose = Purpose::Allocate(someone("Lift"));
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "reserved" => {
            let purpose = Purpose::Reserve { note: "Lobby phone".parse().unwrap(), until: None };
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "quarantine" => {
            let reason = "answers, nobody owns it".parse().unwrap();
            drop(addresses::quarantine(&mut space, address, &reason, None).await.unwrap());
        }
        other => panic!("{other}"),
    }
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

/// What is stored of an address: `status description`.
pub async fn stored(app: &TestApp, address: &str) -> String {
    let mut tx = app.state.read().await.unwrap();
    let found = addresses::get(&mut tx, TenantId::DEFAULT, address.parse().unwrap()).await.unwrap();
    found.map_or("available".to_owned(), |record| record.status.to_string())
}

/// The addresses a page of the list shows, in its order; a gap by its ends.
pub fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<tr id=\"a-").skip(1);
    let name = |row: &str| {
        let row = row.split("</tr>").next().unwrap();
        let gap = row.split_once("class=\"whole\"><span class=\"addr\">");
        let one = || row.split_once("<th scope=\"row\" class=\"addr\"><a href=\"/ipam/addresses/");
        gap.or_else(one).unwrap().1.split(['<', '"']).next().unwrap().to_owned()
    };
    rows.map(name).collect()
}

/// Markup that only a string that was not escaped could have brought in.
#[track_caller]
fn is_inert(page: &Answer) {
    for live in ["<script>alert", "\"the boss\" O'Neil", "Bob <1234>", "<&>\"'"] {
        assert!(!page.text.contains(live), "{live}: {}", page.text);
    }
}

/// Every status, and the word with which an address is brought into it.
const STATUSES: [(&str, &str); 4] = [
    ("available", "release"),
    ("allocated", "allocate"),
    ("reserved", "reserve"),
    ("quarantine", "quarantine"),
];

/// The nine transitions that are allowed.
fn legal(from: &str, to: &str) -> bool {
    matches!(
        (from, to),
        ("available", "allocated" | "reserved" | "quarantine")
            | ("reserved", "available" | "allocated" | "quarantine")
            | ("allocated", "available" | "quarantine")
            | ("quarantine", "available")
    )
}

/// Asks for a bulk change and confirms what is then shown.
pub async fn sure(by: &Browser<'_>, form: &[(&str, &str)]) -> Answer {
    let asked = by.post("/ipam/addresses/bulk", form).await;
    let seen = asked.between(r#"name="seen" value=""#, "\"").to_owned();
    let confirmed = [("confirmed", "1"), ("seen", seen.as_str())];
    by.post("/ipam/addresses/bulk", &[form, &confirmed[..]].concat()).await
}

/// Everything stored of addresses.
pub async fn rows(app: &TestApp) -> Vec<String> {
    let rows = "SELECT status || ' ' || description || ' ' || reason || ' ' || holder_name || ' ' || version
        FROM address ORDER BY address";
    let gaps = "SELECT CAST(count(*) AS TEXT) FROM gap";
    let audit = "SELECT CAST(count(*) AS TEXT) FROM audit_event";
    let mut all = app.texts(rows).await;
    all.extend(app.texts(gaps).await);
    all.extend(app.texts(audit).await);
    all
}

both_databases! {
    async fn every_transition_that_is_not_allowed_is_refused_everywhere(app: TestApp) {
        block(&app, "matrix").await;
        let subnet = app.texts("SELECT id FROM subnet").await[0].clone();
        let subnet = {
            let mut tx = app.state.read().await.unwrap();
            subnets::get(&mut tx, TenantId::DEFAULT, subnet.parse().unwrap()).await.unwrap().unwrap()
        };
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let mut at = subnet.cidr.network();
        for (from, _) in STATUSES {
            for (to, word) in STATUSES {
                for via in ["page", "htmx", "api", "bulk page", "bulk call"] {
                    at = at.next().unwrap();
                    let address = at.to_string();
                    put(&app, &address, from, "ann").await;
                    let before = rows(&app).await;
                    let stamp = script.get(&format!("/api/v1/addresses/{address}")).await.json()["version"].to_string();
                    let end = if from == "quarantine" && to == "available" { "end_quarantine" } else { word };
                    let status = match via {
                        "page" | "htmx" => {
                            let form = [("note", "x"), ("reason", "x"), ("kind", "external"), ("holder", "Bob"), ("stamp", stamp.as_str())];
                            let path = format!("/ipam/addresses/{address}/{word}");
                            if via == "page" {
                                admin.post(&path, &form).await.status
                            } else {
                                let csrf = admin.csrf.borrow().clone();
                                let ask = admin.ask("POST", &path).ours().header("hx-request", "true").header("x-csrf-token", &csrf);
                                ask.form(&form).send().await.status
                            }
                        }
                        "api" => {
                            let body = match to {
                                "allocated" => json!({ "holder": { "kind": "external", "name": "Bob" } }),
                                "reserved" => json!({ "note": "x" }),
                                "quarantine" => json!({ "reason": "x" }),
                                _ => json!({}),
                            };
                            script.send("POST", &format!("/api/v1/addresses/{address}/{word}"), &body).await.status
                        }
                        "bulk page" if to == "allocated" => continue,
                        "bulk page" => {
                            let form = [("action", end), ("id", address.as_str()), ("note", "x")];
                            sure(&admin, &form).await.status
                        }
                        _ => {
                            let mut body = json!({ "action": end, "addresses": [address], "note": "x", "reason": "x" });
                            if to == "allocated" {
                                body["holder"] = json!({ "kind": "external", "name": "Bob" });
                            }
                            script.send("POST", "/api/v1/addresses/bulk", &body).await.status
                        }
                    };
                    let what = format!("{from} to {to} by {via}");
                    if legal(from, to) {
                        assert!(matches!(status, 200 | 303), "{what}: {status}");
                        let now = if (from, to) == ("quarantine", "available") { "available" } else { to };
                        assert_eq!(stored(&app, &address).await, now, "{what}");
                    } else {
                        assert_eq!(status, if via == "htmx" { 422 } else { 409 }, "{what}");
                        assert_eq!(rows(&app).await, before, "{what}");
                    }
                }
            }
        }
    }

    async fn a_reservation_has_a_description_and_nothing_else_has(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let at = "/ipam/addresses/10.20.5.10";
        // The seed's third scenario: reserved with a description, then cleared.
        let done = admin.post(&format!("{at}/reserve"), &[("note", "Lobby phone & <i>")]).await;
        assert_eq!((done.status, done.location()), (303, at));
        let page = admin.get(at).await;
        page.shows("10.20.5.10 is reserved for you");
        page.shows("Lobby phone & <i>");
        assert!(!page.text.contains("<i>"));
        let api = script.get("/api/v1/addresses/10.20.5.10").await.json();
        assert_eq!((&api["status"], &api["description"], &api["reserved_by"]), (&json!("reserved"), &json!("Lobby phone & <i>"), &json!("admin")));
        assert_eq!(admin.post(&format!("{at}/release"), &[]).await.status, 303);
        let api = script.get("/api/v1/addresses/10.20.5.10").await.json();
        assert_eq!((&api["status"], &api["description"], &api["version"]), (&json!("available"), &json!(""), &json!(0)));
        // The same by calls.
        let path = "/api/v1/addresses/10.20.5.10";
        let kept = script.send("POST", &format!("{path}/reserve"), &json!({ "note": "Lobby phone" })).await;
        assert_eq!((kept.status, &kept.json()["status"], &kept.json()["description"]), (200, &json!("reserved"), &json!("Lobby phone")), "{kept:?}");
        let said = script.send("PATCH", path, &json!({ "description": "Lobby phone, second floor" })).await;
        assert_eq!((said.status, &said.json()["description"]), (200, &json!("Lobby phone, second floor")));
        admin.get(at).await.shows("Lobby phone, second floor");
        assert_eq!(script.send("PATCH", path, &json!({ "description": "" })).await.status, 422);
        assert_eq!(script.ask("POST", &format!("{path}/release")).send().await.status, 200);
        let api = script.get(path).await.json();
        assert_eq!((&api["status"], &api["description"], &api["reserved_by"]), (&json!("available"), &json!(""), &json!("")));

        put(&app, "10.20.5.11", "allocated", "ann").await;
        put(&app, "10.20.5.12", "quarantine", "ann").await;
        let before = rows(&app).await;
        for address in ["10.20.5.10", "10.20.5.11", "10.20.5.12"] {
            let form = [("description", "mine"), ("reason", if address.ends_with("12") { "odd" } else { "" })];
            let page = admin.post(&format!("/ipam/addresses/{address}/edit"), &form).await;
            assert_eq!(page.status, 422, "{address}");
            let answer = script.send("PATCH", &format!("/api/v1/addresses/{address}"), &json!({ "description": "mine" })).await;
            assert_eq!(answer.status, 422, "{address}");
            if !address.ends_with("10") {
                assert!(page.field_error("description").ends_with("only a reserved address has a description"));
                assert!(answer.json()["errors"]["description"].is_string(), "{answer:?}");
            }
        }
        put(&app, "10.20.5.13", "reserved", "ann").await;
        for (field, address) in [("reason", "10.20.5.13"), ("reason", "10.20.5.11"), ("until", "10.20.5.11")] {
            let mut patch = json!({});
            patch[field] = json!(if field == "until" { "2030-01-01" } else { "x" });
            let answer = script.send("PATCH", &format!("/api/v1/addresses/{address}"), &patch).await;
            assert_eq!(answer.status, 422, "{field} {address}: {answer:?}");
        }
        assert_eq!(rows(&app).await.len(), before.len() + 1);
        // A reservation does not lose its reason.
        let answer = script.send("PATCH", "/api/v1/addresses/10.20.5.13", &json!({ "description": "" })).await;
        assert_eq!(answer.status, 422);
        for note in ["", "  ", "a\nb", "a\u{202e}b", &"x".repeat(501)] {
            let page = admin.post("/ipam/addresses/10.20.5.14/reserve", &[("note", note)]).await;
            assert_eq!(page.status, 422, "{note:?}");
            assert!(!page.field_error("note").is_empty());
            let answer = script.send("POST", "/api/v1/addresses/10.20.5.14/reserve", &json!({ "note": note })).await;
            assert_eq!(answer.status, 422);
        }
    }

    async fn help_desk_reserves_and_releases_its_own_and_nothing_else(app: TestApp) {
        office(&app).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        put(&app, "10.20.5.11", "reserved", "ann").await;
        put(&app, "10.20.5.12", "allocated", "ann").await;
        put(&app, "10.20.5.13", "quarantine", "ann").await;
        assert_eq!(desk.post("/ipam/addresses/10.20.5.10/reserve", &[("note", "x")]).await.status, 303);
        for address in ["10.20.5.11", "10.20.5.12", "10.20.5.13"] {
            let before = rows(&app).await;
            let page = desk.post(&format!("/ipam/addresses/{address}/release"), &[]).await;
            assert_eq!(page.status, 403, "{address}");
            page.shows("only ");
            let edit = desk.post(&format!("/ipam/addresses/{address}/edit"), &[("description", "x"), ("reason", "x")]).await;
            assert_eq!(edit.status, 403, "{address}");
            assert_eq!(sure(&desk, &[("action", "release"), ("id", address)]).await.status, 409);
            assert_eq!(rows(&app).await, before);
        }
        for action in ["quarantine", "end_quarantine"] {
            let bulk = [("action", action), ("id", "10.20.5.10")];
            assert_eq!(desk.post("/ipam/addresses/bulk", &bulk).await.status, 403);
        }
        let script = app.token_of("desk", Role::Helpdesk, None).await;
        let id = app.texts("SELECT id FROM subnet").await[0].clone();
        let body = json!({ "holder": { "kind": "external", "name": "Bob" } });
        let answer = app.ask("POST", &format!("/api/v1/subnets/{id}/next-free")).token(&script).json(&body).send().await;
        assert_eq!(answer.status, 403);
        let page = desk.get("/ipam/addresses").await;
        assert_eq!(page.text.matches(">Release</a>").count(), 1);
        page.hides("Give to");
        assert_eq!(desk.post("/ipam/addresses/10.20.5.10/release", &[]).await.status, 303);
        assert_eq!(stored(&app, "10.20.5.10").await, "available");
    }

    async fn a_row_of_a_gap_becomes_an_address_and_the_rest_of_the_gap(app: TestApp) {
        office(&app).await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let csrf = desk.csrf.borrow().clone();
        let get = |path: &'static str| desk.ask("GET", path).header("hx-request", "true").send();
        let form = get("/ipam/addresses/10.20.5.10/reserve?gap=10.20.5.19").await;
        assert!(form.text.trim_start().starts_with("<tr id=\"a-10-20-5-10\" class=\"edit\">"), "{form:?}");
        form.shows("name=\"gap\" value=\"10.20.5.19\"");
        let post = |fields: &'static [(&'static str, &'static str)]| {
            let ask = desk.ask("POST", "/ipam/addresses/10.20.5.10/reserve").ours();
            ask.header("hx-request", "true").header("x-csrf-token", &csrf).form(fields).send()
        };
        let bad = post(&[("note", ""), ("gap", "10.20.5.19")]).await;
        assert_eq!(bad.status, 422);
        bad.shows("say why");
        let done = post(&[("note", "Lobby"), ("gap", "10.20.5.19")]).await;
        assert_eq!((done.status, done.header("hx-trigger")), (200, Some("addresses-changed")));
        assert_eq!(listed(&done), ["10.20.5.10", "10.20.5.11 - 10.20.5.19"]);
        let late = post(&[("note", "Mine"), ("gap", "10.20.5.19")]).await;
        assert_eq!(late.status, 422);
        late.shows("10.20.5.10 is reserved: desk (Lobby)");
        assert_eq!(listed(&get("/ipam/addresses/10.20.5.11/row?gap=10.20.5.19").await), ["10.20.5.11 - 10.20.5.19"]);
        assert_eq!(listed(&get("/ipam/addresses/10.20.5.10/row").await), ["10.20.5.10"]);
    }

    async fn of_two_editors_the_second_is_shown_what_the_first_made(app: TestApp) {
        office(&app).await;
        put(&app, "10.20.5.10", "reserved", "ann").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let at = "/ipam/addresses/10.20.5.10/edit";
        let stamp = admin.get(at).await.between(r#"name="stamp" value=""#, "\"").to_owned();
        let mine = [("description", "Mine"), ("stamp", stamp.as_str())];
        assert_eq!(admin.post(at, &[("description", "Theirs"), ("stamp", &stamp)]).await.status, 303);
        let page = admin.post(at, &mine).await;
        assert_eq!(page.status, 412);
        page.shows("ann (Theirs)");
        page.shows("value=\"Mine\"");
        let again = page.between(r#"name="stamp" value=""#, "\"").to_owned();
        assert_eq!(admin.post(at, &[("description", "Mine"), ("stamp", &again)]).await.status, 303);
        // Even when the address was free in between, and counts from one again.
        let path = "/api/v1/addresses/10.20.5.10";
        let old = script.get(path).await;
        let tag = old.header("etag").unwrap().to_owned();
        assert_eq!(script.send("POST", &format!("{path}/release"), &json!({})).await.status, 200);
        assert_eq!(script.send("POST", &format!("{path}/reserve"), &json!({ "note": "Bob's" })).await.status, 200);
        let late = script.ask("POST", &format!("{path}/release")).header("if-match", &tag).send().await;
        assert_eq!(late.status, 412, "{late:?}");
        let late = script.ask("PATCH", path).header("if-match", &tag).json(&json!({ "hostname": "x" })).send().await;
        assert_eq!(late.status, 412);
        assert_eq!(admin.post("/ipam/addresses/10.20.5.10/release", &[("stamp", &stamp)]).await.status, 412);
        assert_eq!(script.get(path).await.json()["description"], "Bob's");
    }

    async fn an_address_is_given_to_somebody_by_number_name_or_choice(app: TestApp) {
        office(&app).await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let ann = admin.add("Ann O'Neil", "ann@example.com", "").await;
        let ray = admin.add("Ann Ray", "ray@example.com", "").await;
        let at = |n: u8| format!("/ipam/addresses/10.20.5.{n}/allocate");
        let form = [("kind", "user"), ("holder", "1000"), ("hostname", "t46"), ("mac", "0015.6512.3456")];
        assert_eq!(admin.post(&at(10), &form).await.status, 303);
        let page = admin.get("/ipam/addresses/10.20.5.10").await;
        page.shows(&format!(r#"<a href="/users/{ann}">Ann O'Neil</a>"#));
        page.shows("00:15:65:12:34:56");
        let page = admin.post(&at(11), &[("kind", "user"), ("holder", "ann")]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("holder"), "who of them?");
        page.shows("Ann Ray");
        let form = [("kind", "user"), ("holder", "ann"), ("person", ray.as_str())];
        assert_eq!(admin.post(&at(11), &form).await.status, 303);
        let page = admin.post(&at(12), &[("kind", "user"), ("holder", "Zoë")]).await;
        assert!(page.field_error("holder").starts_with("no user has the number or name Zoë"));
        let page = admin.post(&at(12), &[("kind", "user"), ("holder", ""), ("mac", "x"), ("hostname", "a b")]).await;
        assert_eq!((page.status, page.field_error("holder")), (422, "say who gets it".to_owned()));
        assert_eq!(admin.post(&at(12), &[("kind", "external"), ("holder", "Lift company")]).await.status, 303);
        admin.get("/ipam/addresses?q=lift").await.shows("Lift company");
        admin.get("/ipam/addresses?q=00-15-65").await.shows("10.20.5.10");
    }

    async fn hostile_words_are_refused_or_inert_wherever_they_are_shown(app: TestApp) {
        let id = block(&app, "hostile").await;
        let admin = app.signed_in("admin", Role::Admin).await;
        let script = app.script(Role::Admin).await;
        let file: serde_json::Value = serde_json::from_str(include_str!("hostile-strings.json")).unwrap();
        let mut kept = 0;
        for entry in file.as_array().unwrap() {
            let input = entry["input"].as_str().unwrap();
            let form = [("subnet", id.as_str()), ("note", input)];
            let taken = admin.post("/ipam/addresses/take", &form).await;
            if taken.status != 201 {
                assert_eq!(taken.status, 422, "{input:?}");
                assert!(!taken.field_error("note").is_empty());
                is_inert(&taken);
                continue;
            }
            kept += 1;
            let address = taken.between(r#"id="taken">"#, "<").to_owned();
            let api = script.get(&format!("/api/v1/addresses/{address}")).await.json();
            assert_eq!(api["description"], input.trim());
            let path = format!("/ipam/addresses/{address}");
            let search = format!("/ipam/addresses?q={address}");
            for page in [path.clone(), format!("{path}/edit"), format!("{path}/release"), search] {
                let page = admin.get(&page).await;
                assert_eq!(page.status, 200);
                page.shows(input.trim());
                is_inert(&page);
            }
            let query = serde_html_form::to_string([("q", input)]).unwrap();
            let found = admin.get(&format!("/ipam/addresses?{query}")).await;
            assert!(matches!(found.status, 200 | 400), "{input:?}: {found:?}");
            is_inert(&found);
            let given = [("kind", "external"), ("holder", input), ("hostname", ""), ("mac", input)];
            let refused = admin.post(&format!("{path}/allocate"), &given).await;
            assert_eq!(refused.status, 422);
            is_inert(&refused);
            let holder = json!({ "holder": { "kind": "external", "name": input } });
            let called = script.send("POST", &format!("/api/v1/addresses/{address}/allocate"), &holder).await;
            assert!(matches!(called.status, 200 | 422), "{called:?}");
            is_inert(&admin.get(&path).await);
        }
        assert!(kept > 20, "{kept}");
    }
}
