//! The life of an address as an administrator leads it, with the mouse and without JavaScript.

use crate::begin;
use crate::support::browser::{Browser, Look};
use crate::support::network::{change, subnet};
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
