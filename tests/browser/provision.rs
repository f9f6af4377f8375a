//! The pages about what phones fetch, in a real browser and on paper.

use std::net::IpAddr;

use patchbay::audit::{Actor, Via};
use patchbay::id::{TenantId, UserId};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets;
use patchbay::net::Mac;
use patchbay::phones::{self, Model, NewLine, NewPhone, Spec, Static, Vendor};
use patchbay::state::State;

use crate::begin;
use crate::paper::pages;
use crate::support::browser::{Browser, Look};
use crate::support::lab::Asterisk;
use crate::support::network::{change, subnet};
use crate::support::server::Server;
use crate::support::sip::{Algorithm, Phone};

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

pub async fn fetch(server: &Server, path: &str, agent: &str) -> u16 {
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
    let seen = ["phones/requests", "phones/001565aabbcc/requests", "phones/waiting"];
    pictures(&browser, &server, &seen).await;
    browser.go(&format!("{}/phones/waiting", server.url)).await;
    // On any screen, and with the keyboard.
    let fits = "return document.documentElement.scrollWidth <= innerWidth && \
                [...document.querySelectorAll('.act button, .act a')].every(one => one.getBoundingClientRect().right <= innerWidth)";
    for width in [1280, 375] {
        browser.resize(width).await;
        assert_eq!(browser.run(fits).await, true, "{width}");
        assert_eq!(browser.obstacles().await, Vec::<String>::new());
    }
    browser.find("#adopt-00156500000a").await.send_keys("\u{e007}").await.unwrap();
    browser.sees("added; it may fetch its file within the hour").await;
    browser.sees("Yealink SIP-T46S").await;
    browser.resize(Look::default().width).await;
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

const LOBBY: &str = "Yealink SIP-T46S 66.86.0.15 00:15:65:00:00:0a";

/// What the phone in the lobby gets at an URL, from its own address.
async fn file(url: &str) -> String {
    crate::support::trust();
    let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 10]));
    let client = client.user_agent(LOBBY).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.unwrap()
}

/// What a Yealink's file says of something.
fn says<'f>(file: &'f str, name: &str) -> &'f str {
    let mut settings = file.lines().filter_map(|line| line.split_once(" = "));
    settings.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {file}")).1
}

/// Where Asterisk of the lab listens, said once for all phones.
async fn say_port(server: &Server, port: u16) {
    let token = server.command(&["token", "add", "test", "--operator", "ann"]);
    let token = String::from_utf8(token.stdout).unwrap();
    let settings = serde_json::json!({ "sip.port": port.to_string() });
    let profile = serde_json::json!({ "name": "All", "scope": "tenant", "settings": settings });
    let request = reqwest::Client::new().post(format!("{}/api/v1/phones/profiles", server.url));
    let made = request.bearer_auth(token.trim()).json(&profile).send().await.unwrap();
    assert_eq!(made.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_phone_is_adopted_looked_at_applied_and_told() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    change(&server.state(0).await, "ann", async |space| {
        let mut spec =
            subnets::Spec::new("Desks".parse().unwrap(), "127.0.0.0/24".parse().unwrap());
        spec.statics = "127.0.0.10-127.0.0.50".parse().unwrap();
        subnets::create(space, &spec, true, true).await.unwrap();
    })
    .await;
    let (number, secret) =
        crate::add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    say_port(&server, asterisk.sip_port).await;
    browser.go(&format!("{}/phones/enrolment", server.url)).await;
    browser.click("input[name=id]").await;
    browser.press("Save").await;
    browser.sees("Saved").await;

    // It is plugged in, and adopted by whoever finds it waiting.
    assert_eq!(fetch(&server, "00156500000a.cfg", LOBBY).await, 404);
    browser.go(&format!("{}/phones", server.url)).await;
    browser.press("Waiting").await;
    browser.sees("00:15:65:00:00:0a").await;
    browser.click("#with-line-00156500000a").await;
    browser.fill("extension", &number).await;
    browser.fill("label", "Lobby").await;
    browser.press("Adopt").await;
    browser.sees("Lobby added; it may fetch its file within the hour").await;
    for shown in ["Ann O'Neil", "127.0.0.10", "not registered", "Yealink SIP-T46S"] {
        browser.sees(shown).await;
    }

    // Its file, as it will get it but for the secrets.
    browser.press("Files").await;
    browser.press("00156500000a.cfg").await;
    browser.sees("Secrets are hidden").await;
    browser.sees(&format!("account.1.user_name = {number}")).await;
    browser.sees("account.1.password = (hidden)").await;
    assert!(!browser.text().await.contains(&secret), "a secret is shown");

    browser.go(&format!("{}/apply", server.url)).await;
    browser.sees("1 phone added").await;
    browser.click("button.big").await;
    browser.sees("every object was read back").await;

    // It fetches by its plain name, once, and registers with what it got.
    let plain = file(&format!("{}/provision/00156500000a.cfg", server.url)).await;
    assert_eq!(fetch(&server, "00156500000a.cfg", LOBBY).await, 404);
    let (url, secret) =
        (says(&plain, "static.auto_provision.server.url"), says(&plain, "account.1.password"));
    let port = says(&plain, "account.1.sip_server.1.port").parse().unwrap();
    let user = says(&plain, "account.1.user_name");
    let sip = Phone::at("127.0.0.10", port, user, secret, Algorithm::Md5).await;
    let mut sip = sip.calling_itself("Yealink SIP-T46S 66.86.0.15");
    assert_eq!(sip.register().await, 200);
    let own = format!("{url}00156500000a.cfg");
    browser.go(&format!("{}/phones/map?q=lobby", server.url)).await;
    browser.sees("127.0.0.10").await;

    // Told from its own page, it fetches; the page shows so by itself.
    browser.go(&format!("{}/phones/00156500000a", server.url)).await;
    wait_registered(&browser).await;
    browser.press("Fetch now").await;
    browser.sees("Phones told to fetch their files").await;
    assert_eq!(sip.told().await, "check-sync;reboot=false");
    browser.sees("1 of 1 told; 0 have fetched since").await;
    assert_eq!(file(&own).await, plain);
    browser.sees("1 of 1 told; 1 has fetched since").await;
    browser.go(&format!("{}/phones/00156500000a", server.url)).await;
    browser.press("Restart").await;
    browser.sees("Phones told to restart").await;
    assert_eq!(sip.told().await, "check-sync;reboot=true");

    // A change makes its file another; it is told from the page that says so.
    browser.go(&format!("{}/phones/00156500000a/edit", server.url)).await;
    browser.fill("line_label", "Front desk").await;
    browser.press("Save").await;
    browser.sees("Front desk").await;
    browser.press("Phones").await;
    browser.press("Tell").await;
    browser.sees("1 phone would get another file now than it fetched last").await;
    pictures(&browser, &server, &["phones/notify", "phones/map", "phones/00156500000a"]).await;
    browser.go(&format!("{}/phones/notify", server.url)).await;
    browser.press("Tell it").await;
    assert_eq!(sip.told().await, "check-sync;reboot=false");
    browser.sees("0 have fetched since").await;
    let told = browser.at().await;
    let changed = file(&own).await;
    assert_eq!(says(&changed, "account.1.label"), "Front desk");
    browser.sees("1 has fetched since").await;
    pictures(&browser, &server, &[told.trim_start_matches(&format!("{}/", server.url))]).await;
    browser.go(&format!("{}/phones/notify", server.url)).await;
    browser.sees("Every phone that ever fetched its file has the one it would get now").await;
    assert!(!server.logged().contains(secret), "a secret is in the log");
    browser.close().await;
}

/// Types a line at the end of the template on the page.
async fn append(browser: &Browser, line: &str) {
    // Control and End; then neither.
    let keys = format!("\u{e009}\u{e010}\u{e000}\n{line}");
    browser.find("#source").await.send_keys(keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_edited_with_preview_and_difference_and_cannot_be_broken() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    let (number, secret) =
        crate::add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    let ann = user_on(&browser).await;
    let token = phone(&server.state(0).await, "00:15:65:aa:bb:cc", "Reception", Some(&ann)).await;
    let url = format!("{}/provision/{token}/001565aabbcc.cfg", server.url);
    let page = format!("{}/phones/templates/yealink/phone", server.url);
    browser.go(&page).await;
    browser.sees("built in").await;
    browser.sees("Placeholders").await;

    // What the phone would get, with nothing that is secret, and what is different are shown first.
    append(&browser, "# ours").await;
    browser.press("Preview").await;
    browser.sees("+# ours").await;
    let preview = browser.find("pre.text").await.text().await.unwrap();
    for shown in
        ["# ours", "account.1.password = (hidden)", &format!("account.1.user_name = {number}")]
    {
        assert!(preview.contains(shown), "{shown}: {preview}");
    }
    for hidden in [&secret, &token] {
        assert!(!browser.text().await.contains(hidden.as_str()), "a secret is shown");
    }
    let look = "const of = css => getComputedStyle(document.querySelector('pre.diff:not(.text) ' + css)).backgroundColor;\
                return of('.add') !== of('span:not([class])')";
    assert_eq!(browser.run(look).await, true, "what is new stands out");
    assert!(!file(&url).await.contains("# ours"), "nothing is saved");

    browser.fill("note", "a mark").await;
    browser.press("Save").await;
    browser.sees("Saved; phones get the new file when they next fetch").await;
    for shown in ["your own", "a mark", "+# ours"] {
        browser.sees(shown).await;
    }
    let saved = file(&url).await;
    assert!(saved.contains("# ours") && saved.contains(&secret));

    // One that does not render stays on the page with what is wrong with it, and is not saved.
    append(&browser, "x = {{ nobody }}").await;
    browser.press("Save").await;
    browser.sees("there is no placeholder").await;
    let typed = browser.find("#source[aria-invalid]").await.prop("value").await.unwrap();
    assert!(typed.unwrap().ends_with("x = {{ nobody }}"));
    assert_eq!(file(&url).await, saved);
    browser.go(&page).await;
    browser.sees("a mark").await;
    assert!(
        !browser.run("return document.body.innerHTML").await.as_str().unwrap().contains("nobody")
    );
    browser.close().await;
}

/// Waits until the phone's page says that its line is registered.
async fn wait_registered(browser: &Browser) {
    let begun = std::time::Instant::now();
    while browser.text().await.contains("not registered") {
        assert!(begun.elapsed().as_secs() < 20, "{}", browser.text().await);
        browser.driver.refresh().await.unwrap();
    }
}

/// With `PATCHBAY_LOOK` pictures of the pages stay there, to be looked at.
async fn pictures(browser: &Browser, server: &Server, pages: &[&str]) {
    let Some(folder) = std::env::var_os("PATCHBAY_LOOK") else { return };
    for path in pages {
        browser.go(&format!("{}/{path}", server.url)).await;
        browser.find("h1").await;
        let file = format!("at-work-{}.png", path.replace(['/', '?', '&', '='], "-"));
        browser.picture(&std::path::Path::new(&folder).join(file)).await;
    }
}
