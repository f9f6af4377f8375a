//! The pages about what phones fetch, in a real browser and on paper.

use patchbay::audit::{Actor, Via};
use patchbay::id::{TenantId, UserId};
use patchbay::ipam::space::Space;
use patchbay::net::Mac;
use patchbay::phones::{self, Model, NewLine, NewPhone, Spec, Static, Vendor};
use patchbay::state::State;

use crate::begin;
use crate::paper::pages;
use crate::support::browser::{Browser, Look};
use crate::support::network::{change, subnet};
use crate::support::server::Server;

/// Adds a phone for the user with this extension, and returns its token.
async fn phone(state: &State, mac: &str, label: &str, user: Option<&str>) -> String {
    let mac: Mac = mac.parse().unwrap();
    let mut change = state.change(&Actor::local("tester", Via::CommandLine)).await.unwrap();
    let mut space = Space::open(&mut change, state.vault.entropy()).await.unwrap();
    let mut spec = Spec::new(Model::find(Vendor::Yealink, "t46s").unwrap());
    spec.label = label.parse().unwrap();
    spec.settings.insert("voicemail.number".to_owned(), "*97".to_owned());
    let line = |user: &str| NewLine {
        line: 1,
        user: user.parse::<UserId>().unwrap(),
        label: "".parse().unwrap(),
    };
    spec.lines = user.map(line).into_iter().collect();
    let new = NewPhone { mac, spec, address: Static::None };
    phones::create(&mut space, &state.vault, &new).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    let mut tx = state.read().await.unwrap();
    let keys = phones::secrets(&mut tx, &state.vault, TenantId::DEFAULT, mac).await.unwrap();
    keys.unwrap().token
}

async fn fetch(server: &Server, path: &str, agent: &str) -> u16 {
    crate::support::trust();
    let request = reqwest::Client::new().get(format!("{}/provision/{path}", server.url));
    request.header("user-agent", agent).send().await.unwrap().status().as_u16()
}

/// The id of the user on the page that is open.
async fn user_on(browser: &Browser) -> String {
    let script = "return document.querySelector('a[href^=\"/users/\"][href$=\"/edit\"]').getAttribute('href').split('/')[2]";
    browser.run(script).await.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_phone_is_adopted_fetches_and_gets_a_sheet_of_paper() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    let state = server.state(0).await;
    change(&state, "ann", async |space| {
        subnet(space, "Phones", "127.0.0.0/24", "Berlin").await;
    })
    .await;
    crate::add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    let ann = user_on(&browser).await;
    let token = phone(&state, "00:15:65:aa:bb:cc", "Reception", Some(&ann)).await;
    phone(&state, "00:15:65:aa:bb:cd", "Warehouse", None).await;
    let agent = "Yealink SIP-T46S 66.86.0.15 00:15:65:aa:bb:cc";
    assert_eq!(fetch(&server, &format!("{token}/001565aabbcc.cfg"), agent).await, 200);

    // Somebody chooses where phones enrol, and one comes.
    browser.go(&format!("{}/phones/enrolment", server.url)).await;
    browser.run("document.querySelector('input[name=id]').click()").await;
    browser.press("Save").await;
    browser.sees("Saved").await;
    let stranger = "Yealink SIP-T46S 66.86.0.15 00:15:65:00:00:0a";
    assert_eq!(fetch(&server, "00156500000a.cfg", stranger).await, 404);
    browser.go(&format!("{}/phones/waiting", server.url)).await;
    browser.sees("00:15:65:00:00:0a").await;
    picture(&browser, &server, "provision").await;
    browser.go(&format!("{}/phones/waiting/00156500000a", server.url)).await;
    browser.fill("label", "Lobby").await;
    browser.press("Adopt").await;
    browser.sees("Lobby").await;
    assert_eq!(fetch(&server, "00156500000a.cfg", stranger).await, 200);
    assert_eq!(fetch(&server, "00156500000a.cfg", stranger).await, 404);
    browser.go(&format!("{}/phones/00156500000a/requests", server.url)).await;
    browser.sees("has the current file").await;

    let sheets = "/phones/handouts?mac=001565aabbcc&mac=001565aabbcd";
    browser.go(&format!("{}{sheets}", server.url)).await;
    let paper = pages(&browser.printed(21.0, 29.7).await, "handout");
    assert_eq!(paper.len(), 1, "two sheets fit a page: {paper:#?}");
    for text in ["Ann O'Neil", "1000", "*97", "SIP-T46S", "Reception", "Warehouse"] {
        assert!(paper[0].contains(text), "{text}: {}", paper[0]);
    }
    for absent in ["Sign out", "Waiting", token.as_str()] {
        assert!(!paper[0].contains(absent), "{absent}");
    }
    browser.close().await;
}

/// With `PATCHBAY_LOOK` pictures of the pages stay there, to be looked at.
async fn picture(browser: &Browser, server: &Server, name: &str) {
    let Some(folder) = std::env::var_os("PATCHBAY_LOOK") else { return };
    for path in [
        "phones/waiting",
        "phones/waiting/00156500000a",
        "phones/requests",
        "phones/enrolment",
        "phones/dhcp",
        "phones/001565aabbcc/requests",
        "phones/handouts?mac=001565aabbcc&mac=001565aabbcd",
    ] {
        browser.go(&format!("{}/{path}", server.url)).await;
        let beyond =
            browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
        println!("{path}: {beyond} too wide");
        let file = format!("{name}-{}.png", path.replace(['/', '?', '&', '='], "-"));
        browser.picture(&std::path::Path::new(&folder).join(file)).await;
    }
}
