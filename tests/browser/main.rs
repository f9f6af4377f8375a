//! What a person sees: the real program in a real browser, on a real Asterisk, with real phones.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::indexing_slicing
)]

#[path = "../support/mod.rs"]
mod support;

mod ipam;
mod lifecycle;
mod pages;
mod paper;
mod phones;
mod provision;
mod workflows;

use support::{
    browser::{Browser, Look},
    lab::Asterisk,
    server::Server,
    sip::{Algorithm, Phone},
    sipp::Sipp,
};

const PASSWORD: &str = "four random words here";

/// Follows the link printed at the first start and becomes the administrator.
async fn begin(browser: &Browser, server: &Server) {
    browser.go(server.welcome.as_ref().unwrap()).await;
    browser.fill("name", "ann").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", PASSWORD).await;
    browser.press("Begin").await;
    browser.sees("Overview").await;
}

/// Adds a user and returns the extension and the secret the page shows.
async fn add_user(browser: &Browser, server: &Server, name: &str, email: &str) -> (String, String) {
    browser.go(&format!("{}/users/new", server.url)).await;
    browser.fill("name", name).await;
    browser.fill("email", email).await;
    browser.press("Add user").await;
    let secret = browser.find("#secret").await.text().await.unwrap();
    let number = browser.find(".head .num").await.text().await.unwrap();
    (number, secret)
}

async fn sign_in(browser: &Browser, server: &Server) {
    browser.go(&format!("{}/login", server.url)).await;
    browser.fill("name", "ann").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.sees("Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_are_created_applied_and_their_phones_talk() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    let (one, first) = add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    let (two, second) = add_user(&browser, &server, "Bob <b>Ray</b>", "bob@example.com").await;
    assert_eq!((one.as_str(), two.as_str()), ("1000", "1001"));

    browser.go(&format!("{}/apply", server.url)).await;
    browser.sees("2 phones added").await;
    browser.sees("+[1000](patchbay-phone)").await;
    browser.sees("Ann O'Neil").await;
    browser.sees("runs release 0").await;
    assert!(!browser.text().await.contains(&first), "a secret is shown in the difference");
    browser.fill("reason", "new starters").await;
    browser.press("Apply 2 changes to Asterisk").await;
    browser.sees("every object was read back").await;
    browser.sees("verified").await;
    browser.sees("read back and compared: done").await;
    browser.go(&server.url).await;
    browser.sees("the last Apply").await;
    browser.sees("every object was read back").await;
    assert_eq!(browser.driver.title().await.unwrap(), "Overview - Patchbay");
    browser.go(&format!("{}/apply", server.url)).await;
    browser.sees("new starters").await;
    browser.sees("Nothing would change").await;

    let mut ann = Phone::new(asterisk.sip_port, &one, &first, Algorithm::Sha256).await;
    let mut bob = Phone::new(asterisk.sip_port, &two, &second, Algorithm::Md5).await;
    assert_eq!((ann.register().await, bob.register().await), (200, 200));
    let (answered, ()) = tokio::join!(ann.call(&two), bob.answer());
    assert_eq!(answered, 200);
    assert_eq!(ann.hang_up().await, 200);
    bob.hung_up().await;
    assert_eq!(ann.call("1002").await, 404);

    // The same with a SIP implementation that is not ours; its registration replaces the first.
    let (ann, bob) =
        (Sipp::new(asterisk.sip_port, &one, &first), Sipp::new(asterisk.sip_port, &two, &second));
    for phone in [&ann, &bob] {
        let registered = phone.register();
        assert!(registered.status.success(), "{registered:?}");
    }
    let answering = bob.answer();
    asterisk.until("pjsip show contacts", |contacts| {
        contacts.lines().any(|line| line.contains("1001/") && line.contains("Avail"))
    });
    let called = ann.call(&two);
    assert!(called.status.success(), "{called:?}");
    assert!(answering.over().status.success());
    assert!(!server.logged().contains(&first) && !server.logged().contains(&second));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_edited_in_place_with_the_keyboard() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    add_user(&browser, &server, "Bob Ray", "bob@example.com").await;
    browser.go(&format!("{}/users", server.url)).await;

    browser.click("tbody tr:first-child .act a").await;
    browser.fill("email", "bob@example.com").await;
    browser.find("tr.edit [name=email]").await.send_keys("\u{e007}").await.unwrap();
    browser.sees("belongs to another user").await;
    let typed = browser.find("tr.edit [name=email]").await.prop("value").await.unwrap();
    assert_eq!(typed.as_deref(), Some("bob@example.com"));

    browser.fill("email", "ann@example.org").await;
    browser.find("tr.edit [name=email]").await.send_keys("\u{e007}").await.unwrap();
    browser.sees("ann@example.org").await;
    assert!(browser.driver.find(thirtyfour::By::Css("tr.edit")).await.is_err());

    // Somebody else changes the user while the row is open: both values are shown.
    browser.click("tbody tr:first-child .act a").await;
    browser.find("tr.edit [name=name]").await;
    let id = browser.run("return document.querySelector('tr.edit').id.slice(5)").await;
    let token = server.command(&["token", "add", "test", "--operator", "ann"]);
    let token = String::from_utf8(token.stdout).unwrap();
    support::trust();
    let patched = reqwest::Client::new()
        .patch(format!("{}/api/v1/users/{}", server.url, id.as_str().unwrap()))
        .bearer_auth(token.trim())
        .json(&serde_json::json!({ "name": "Ann Smith" }))
        .send()
        .await
        .unwrap();
    assert_eq!(patched.status(), 200);
    browser.fill("name", "Ann Jones").await;
    browser.find("tr.edit [name=name]").await.send_keys("\u{e007}").await.unwrap();
    browser.sees("Ann Smith").await;
    let typed = browser.find("tr.edit [name=name]").await.prop("value").await.unwrap();
    assert_eq!(typed.as_deref(), Some("Ann Jones"));
    browser.find("tr.edit [name=name]").await.send_keys("\u{e00c}").await.unwrap();
    browser.sees("Ann Smith").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_searched_while_typing_and_the_address_says_what_is_shown() {
    let server = Server::start();
    let people: Vec<String> = (0..60).map(|n| format!("Person {n:02},p{n}@example.com")).collect();
    let file = server.data_dir.join("people.csv");
    std::fs::write(&file, format!("name,email\n{}\n", people.join("\n"))).unwrap();
    let imported = server.command(&["import", "users", file.to_str().unwrap()]);
    assert!(imported.status.success());
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    browser.go(&format!("{}/users", server.url)).await;
    browser.sees("1-25 of 60").await;
    browser.press("Next").await;
    browser.sees("26-50 of 60").await;
    browser.arrives("/users?page=2").await;
    browser.fill("q", "person 07").await;
    browser.sees("1-1 of 1").await;
    browser.arrives("/users?q=person+07").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_javascript() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    let browser = Browser::open(Look { javascript: false, ..Look::default() }).await;
    begin(&browser, &server).await;
    add_user(&browser, &server, "Ann O'Neil", "ann@example.com").await;
    browser.press("Edit").await;
    browser.fill("email", "nonsense@").await;
    browser.run_without_validation().await;
    browser.sees("enter an e-mail address").await;
    browser.fill("email", "ann@example.org").await;
    browser.press("Save").await;
    browser.sees("ann@example.org").await;
    browser.press("New secret").await;
    browser.sees("The secret is new").await;
    browser.go(&format!("{}/apply", server.url)).await;
    browser.click("button.big").await;
    browser.sees("every object was read back").await;
    browser.go(&format!("{}/users", server.url)).await;
    browser.click("tbody input[name=id]").await;
    browser.click(".bulk button").await;
    browser.sees("Delete this user?").await;
    browser.press("Delete user").await;
    browser.sees("1000 Ann O'Neil deleted").await;
    browser.sees("No users yet").await;
    browser.press("Sign out").await;
    sign_in(&browser, &server).await;
    browser.close().await;
}

/// Forty people who do not exist.
fn people() -> String {
    let first =
        ["Ann", "Priya", "Tomás", "Mei", "Jonas", "Fatima", "Luca", "Zoë", "Kwame", "Ingrid"];
    let last = ["O'Neil", "Raman", "Silva", "Berg"];
    let rows = last.iter().flat_map(|last| {
        first.iter().map(move |first| {
            let mail = format!("{first}.{last}").to_lowercase().replace(['\'', 'á', 'ë'], "");
            format!("{first} {last},{mail}@example.com\n")
        })
    });
    format!("name,email\n{}", rows.collect::<String>())
}

/// A phone for every other one of them, of several makers.
fn boxes() -> String {
    const MODELS: [&str; 6] = [
        "yealink,t46s",
        "polycom,vvx450",
        "snom,d785",
        "grandstream,gxp2170",
        "fanvil,x5u",
        "cisco,spa504g",
    ];
    const SITES: [&str; 3] = ["Lisbon", "Porto", "Faro"];
    let rows = (0..20).map(|n| {
        let (model, site) = (MODELS[n % MODELS.len()], SITES[n % SITES.len()]);
        format!("0015650000{n:02x},{model},{site},{}\n", 1000 + 2 * n)
    });
    format!("mac,vendor,model,site,extensions\n{}", rows.collect::<String>())
}

/// The README's pictures come from here: `make pictures`.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_running_program_show_the_users_and_the_apply_page() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    let file = server.data_dir.join("people.csv");
    std::fs::write(&file, people()).unwrap();
    assert!(server.command(&["import", "users", file.to_str().unwrap()]).status.success());
    std::fs::write(&file, boxes()).unwrap();
    assert!(server.command(&["import", "phones", file.to_str().unwrap()]).status.success());
    assert!(server.command(&["apply", "--reason", "first evening"]).status.success());
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    add_user(&browser, &server, "Bob Ray", "bob@example.com").await;
    browser.go(&format!("{}/users", server.url)).await;
    browser.sees("41").await;
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("PATCHBAY_PICTURES").map_or_else(
        || own.path().to_owned(),
        |folder| std::env::current_dir().unwrap().join(folder),
    );
    std::fs::create_dir_all(&folder).unwrap();
    browser.picture(&folder.join("users.png")).await;
    browser.go(&format!("{}/apply", server.url)).await;
    browser.sees("runs release 1").await;
    browser.sees("Apply 1 change to Asterisk").await;
    browser.picture(&folder.join("apply.png")).await;
    browser.fill("reason", "a new colleague").await;
    browser.press("Apply 1 change to Asterisk").await;
    browser.sees("every object was read back").await;
    browser.picture(&folder.join("verified.png")).await;
    browser.go(&format!("{}/phones", server.url)).await;
    browser.sees("SPA504G").await;
    browser.picture(&folder.join("phones.png")).await;
    for name in ["users", "apply", "verified", "phones"] {
        let picture = std::fs::read(folder.join(format!("{name}.png"))).unwrap();
        assert!(
            picture.len() > 20_000,
            "{name}.png shows next to nothing: {} bytes",
            picture.len()
        );
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}
