//! The life of an address as an administrator leads it, with the mouse and without JavaScript.

use std::time::Duration;

use patchbay::outbox::System;
use patchbay::outbox::setup::{self, Edit, NewNas, RadiusSetup, Settings};
use patchbay::outside::Key;

use crate::begin;
use crate::support::app::tester;
use crate::support::browser::{Browser, Look};
use crate::support::network::{change, subnet};
use crate::support::outside::{Manner, NAS_SECRET, Nas};
use crate::support::server::Server;

async fn fill(server: &Server) {
    let state = server.state(0).await;
    change(&state, "ann", async |space| {
        subnet(space, "Voice Berlin", "10.20.5.0/24", "Berlin").await;
        let new = patchbay::ipam::prefixes::NewPool {
            name: "Customers".parse().unwrap(),
            cidr: "2001:db8::/40".parse().unwrap(),
            delegated: "56".parse().unwrap(),
        };
        patchbay::ipam::prefixes::create(space, &new).await.unwrap();
    })
    .await;
    state.db.close().await;
}

async fn is_fit(browser: &Browser, look: Look) {
    if !look.javascript {
        return;
    }
    let at = browser.at().await;
    let obstacles = browser.obstacles().await;
    assert!(obstacles.is_empty(), "{at}: {obstacles:#?}");
    let mut complaints = browser.complaints().await;
    // Chromium says so of every form that comes back.
    complaints.retain(|line| !line.contains("status of 422"));
    assert!(complaints.is_empty(), "{at}: {complaints:?}");
}

/// Keeps a picture, where somebody wants to look.
async fn picture(browser: &Browser, name: &str) {
    if let Ok(dir) = std::env::var("PATCHBAY_LOOK") {
        browser.picture(&std::path::Path::new(&dir).join(format!("{name}.png"))).await;
    }
}

/// The same by GraphQL, tried on its page: nothing is fetched from elsewhere.
async fn explore(browser: &Browser, server: &Server, look: Look, called: &str) {
    browser.go(&format!("{}/lifecycle", server.url)).await;
    browser.press("GraphQL").await;
    browser.sees("Look up a subscriber").await;
    is_fit(browser, look).await;
    browser.click("#try button.signal").await;
    let said = browser.find("#try pre").await.text().await.unwrap();
    assert!(said.contains("\"state\": \"REVOKED\""), "{said}");
    is_fit(browser, look).await;
    picture(browser, &format!("{called}-graphql")).await;
    browser.press("Allocate").await;
    browser.sees("allocateIPv4").await;
    browser.click("#try button.signal").await;
    let said = browser.find("#try pre").await.text().await.unwrap();
    assert!(said.contains("\"state\": \"ALLOCATED\""), "{said}");
    browser.fill("variables", "{ who: 1 }").await;
    browser.click("#try button.signal").await;
    browser.sees("this is not JSON").await;
    is_fit(browser, look).await;
    browser.fill("variables", "").await;
    browser.fill("query", "{ nothing }").await;
    browser.click("#try button.signal").await;
    browser.sees("refused").await;
    browser.sees("Unknown field").await;
    is_fit(browser, look).await;
    picture(browser, &format!("{called}-graphql-refused")).await;
}

async fn a_whole_life(look: Look, called: &str) {
    let server = Server::start();
    fill(&server).await;
    let browser = Browser::open(look).await;
    begin(&browser, &server).await;
    browser.complaints().await;

    browser.go(&format!("{}/lifecycle", server.url)).await;
    browser.sees("Nobody has an address by an assignment yet").await;
    browser.press("Allocate the first").await;
    browser.sees("Allocate an address").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-new")).await;
    browser.find("#kind option[value=external]").await.click().await.unwrap();
    browser.fill("holder", "C-4711").await;
    browser.click("main button.signal").await;
    browser.sees("allocated").await;
    browser.sees("10.20.5.").await;
    is_fit(&browser, look).await;
    for (word, state) in
        [("Activate", "active"), ("Suspend", "suspended"), ("Reactivate", "active")]
    {
        browser.press(word).await;
        browser.sees("No outside system is told").await;
        is_fit(&browser, look).await;
        if word == "Suspend" {
            browser.fill("reason", "Unpaid since May").await;
        }
        browser.click("#operation form button").await;
        browser.sees(state).await;
        browser.sees("Its life so far").await;
        is_fit(&browser, look).await;
    }
    picture(&browser, &format!("{called}-life")).await;

    // From the list, where the question appears above it.
    browser.go(&format!("{}/lifecycle", server.url)).await;
    browser.sees("C-4711").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-list")).await;
    browser.click("tbody .act a[href*='/revoke']").await;
    browser.sees("This cannot be undone").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-ask")).await;
    browser.click("#operation form button.danger").await;
    browser.sees("None matches").await;
    browser.go(&format!("{}/lifecycle?state=revoked", server.url)).await;
    browser.click("tbody th a").await;
    browser.sees("no longer its own").await;
    if look.javascript {
        let script = "return [...document.querySelectorAll('ol.life .life')].map(e => e.textContent).join(' ')";
        assert_eq!(browser.run(script).await, "revoked revoking active suspended active allocated");
    }
    is_fit(&browser, look).await;

    explore(&browser, &server, look, called).await;

    browser.go(&format!("{}/lifecycle/machine", server.url)).await;
    browser.sees("In words").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-machine")).await;
    for page in ["/ipam/prefixes", "/lifecycle/settings", "/settings/jobs"] {
        browser.go(&format!("{}{page}", server.url)).await;
        is_fit(&browser, look).await;
        picture(&browser, &format!("{called}{}", page.replace('/', "-"))).await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_allocated_used_suspended_and_revoked() {
    a_whole_life(Look::default(), "wide").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_on_a_phones_screen_in_the_dark() {
    a_whole_life(Look { width: 375, dark: true, ..Look::default() }, "narrow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_without_scripts() {
    a_whole_life(Look { javascript: false, ..Look::default() }, "plain").await;
}

/// Switches RADIUS on, with a NAS on loopback; its id.
pub async fn radius(server: &Server, port: u16) -> String {
    let state = server.state(0).await;
    let mut change = state.change(&tester()).await.unwrap();
    let place = format!("127.0.0.1:{port}").parse().unwrap();
    setup::allow(&mut change, System::Radius, &place).await.unwrap();
    let nas = NewNas {
        name: "edge".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        port,
        fallback: true,
        secret: Some(Key::from(NAS_SECRET.to_owned())),
    };
    let id = setup::add_nas(&mut change, &state.vault, &nas).await.unwrap();
    let settings = RadiusSetup {
        suspended_filter: "walled-garden".parse().unwrap(),
        usual_filter: "full".parse().unwrap(),
        ..RadiusSetup::default()
    };
    let edit = Edit { enabled: true, settings: Settings::Radius(settings), secret: None };
    setup::configure(&mut change, &state.vault, 0, &edit).await.unwrap();
    change.commit().await.unwrap();
    state.db.close().await;
    id.to_string()
}

/// Looks again until the page's signs of calls are these.
async fn signs(browser: &Browser, wanted: &str) {
    let script =
        "return [...document.querySelectorAll('td .st')].map(e => e.textContent).join(' ')";
    let mut seen = String::new();
    for _ in 0..300 {
        browser.run(script).await.as_str().unwrap().clone_into(&mut seen);
        if seen == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let at = browser.at().await;
        browser.go(&at).await;
    }
    panic!("{wanted:?} does not come: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outside_systems_are_told_is_watched_beside_it_and_tried_again() {
    let (server, look) = (Server::start(), Look::default());
    fill(&server).await;
    let nas = Nas::start(Duration::ZERO).await;
    radius(&server, nas.port).await;
    let browser = Browser::open(look).await;
    begin(&browser, &server).await;
    browser.complaints().await;
    browser.go(&format!("{}/lifecycle/new", server.url)).await;
    browser.find("#kind option[value=external]").await.click().await.unwrap();
    browser.fill("holder", "C-4711").await;
    browser.click("main button.signal").await;
    browser.sees("allocated").await;
    browser.press("Activate").await;
    browser.click("#operation form button").await;
    browser.sees("Its life so far").await;
    // A call that is made.
    browser.press("Suspend").await;
    browser.sees("the session of C-4711 is restricted (CoA)").await;
    browser.click("#operation form button").await;
    browser.sees("Outside systems").await;
    signs(&browser, "done").await;
    is_fit(&browser, look).await;
    // One that fails: the assignment is what it should be, and the page says what is the matter.
    nas.behaves(Manner::Refuses);
    browser.press("Reactivate").await;
    browser.click("#operation form button").await;
    browser.sees("Outside systems").await;
    signs(&browser, "done dead").await;
    browser.sees("active").await;
    is_fit(&browser, look).await;
    picture(&browser, "outbox-beside").await;
    // In the outbox it is tried again, when the server is itself again.
    nas.behaves(Manner::Good);
    browser.press("In the outbox").await;
    signs(&browser, "failed done").await;
    is_fit(&browser, look).await;
    browser.click("button[id^=retry-]").await;
    browser.sees("is tried again").await;
    signs(&browser, "done done").await;
    is_fit(&browser, look).await;
    let codes: Vec<u8> = nas.packets().iter().map(|packet| packet[0]).collect();
    assert_eq!(codes, [43, 43, 43]);
    browser.close().await;
}
