//! Somebody is provisioned with the mouse; a step breaks, and one sees it undone. With scripts,
//! without, and on a phone's screen in the dark.

use crate::begin;
use crate::support::browser::{Browser, Look};
use crate::support::network::{change, subnet};
use crate::support::server::Server;

async fn is_fit(browser: &Browser, look: Look) {
    if !look.javascript {
        return;
    }
    let at = browser.at().await;
    let obstacles = browser.obstacles().await;
    assert!(obstacles.is_empty(), "{at}: {obstacles:#?}");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{at}: {complaints:?}");
}

/// Keeps a picture, where somebody wants to look.
async fn picture(browser: &Browser, name: &str) {
    if let Ok(dir) = std::env::var("PATCHBAY_LOOK") {
        browser.picture(&std::path::Path::new(&dir).join(format!("{name}.png"))).await;
    }
}

/// Waits until the page says how it ended; without scripts one looks again.
async fn until(browser: &Browser, look: Look, text: &str) {
    for _ in 0..100 {
        if browser.text().await.contains(text) {
            return;
        }
        if !look.javascript {
            let at = browser.at().await;
            browser.go(&at).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{text:?} does not come: {}", browser.text().await);
}

async fn provision(browser: &Browser, server: &Server, name: &str, mac: &str) {
    browser.go(&format!("{}/lifecycle/workflows/new?kind=provision", server.url)).await;
    browser.fill("name", name).await;
    browser.fill("email", &format!("{name}@example.com")).await;
    browser.fill("mac", mac).await;
    browser.find("#model option[value='yealink/t46s']").await.click().await.unwrap();
    // No Asterisk is beside this one.
    browser.click("input[name=apply]").await;
}

async fn comes_breaks_and_goes_on(look: Look, called: &str) {
    let server = Server::start();
    let state = server.state(0).await;
    change(&state, "ann", async |space| {
        subnet(space, "Voice Berlin", "10.20.5.0/24", "Berlin").await;
    })
    .await;
    state.db.close().await;
    let browser = Browser::open(look).await;
    begin(&browser, &server).await;
    browser.complaints().await;
    browser.go(&format!("{}/lifecycle", server.url)).await;
    browser.press("Workflows").await;
    browser.sees("No workflow has been begun yet").await;
    is_fit(&browser, look).await;

    // Everything is there.
    provision(&browser, &server, "Ann", "00:15:65:00:00:01").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflow-new")).await;
    browser.click("main button.signal").await;
    until(&browser, look, "Everything is done").await;
    browser.sees("10.20.5.").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflow-done")).await;

    // Nobody has prefixes to give: what was done before is undone, as one watches.
    provision(&browser, &server, "Bob", "00:15:65:00:00:02").await;
    browser.click("input[name=want_prefix]").await;
    browser.click("main button.signal").await;
    until(&browser, look, "Everything that was done is undone").await;
    for text in ["rolled back", "undone", "failed"] {
        browser.sees(text).await;
    }
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflow-undone")).await;
    browser.go(&format!("{}/users", server.url)).await;
    browser.sees("Ann").await;
    assert!(!browser.text().await.contains("Bob"), "nothing is left of him");

    // The same, but it waits; then it is cancelled.
    provision(&browser, &server, "Cid", "00:15:65:00:00:03").await;
    browser.click("input[name=want_prefix]").await;
    browser.click("details summary").await;
    browser.click("input[name=on_failure][value=wait]").await;
    is_fit(&browser, look).await;
    browser.click("main button.signal").await;
    until(&browser, look, "It waits for you").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflow-waits")).await;
    browser.press("Cancel and undo").await;
    until(&browser, look, "Everything that was done is undone").await;

    // Ann leaves.
    browser.go(&format!("{}/lifecycle/workflows/new?kind=deprovision&user=1000", server.url)).await;
    browser.click("input[name=delete_phone]").await;
    browser.click("input[name=apply]").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflow-leaves")).await;
    browser.click("main button.signal").await;
    until(&browser, look, "Everything is done").await;
    browser.go(&format!("{}/lifecycle/workflows", server.url)).await;
    browser.sees("rolled back").await;
    is_fit(&browser, look).await;
    picture(&browser, &format!("{called}-workflows")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_runs_breaks_and_is_undone_before_ones_eyes() {
    comes_breaks_and_goes_on(Look::default(), "wide").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phones_screen_in_the_dark() {
    comes_breaks_and_goes_on(Look { width: 375, dark: true, ..Look::default() }, "narrow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_without_scripts() {
    comes_breaks_and_goes_on(Look { javascript: false, ..Look::default() }, "plain").await;
}
