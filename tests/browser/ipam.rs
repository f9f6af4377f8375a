//! The address side as help desk uses it: with the mouse, with the keyboard alone, and without
//! JavaScript.

use crate::support::browser::{Browser, Look};
use crate::support::network::{allocate, change, host, reserve, subnet};
use crate::support::server::Server;
use crate::{PASSWORD, begin};

const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

/// A subnet with something of everything in it.
async fn fill(server: &Server) -> String {
    let state = server.state(0).await;
    let id = change(&state, "ann", async |space| {
        let id = subnet(space, "Voice Berlin", "10.20.5.0/24", "Berlin").await;
        subnet(space, "Everything", "10.0.0.0/8", "").await;
        allocate(space, id, 3, "switch").await;
        reserve(space, id, 2, "ann", "desk phones", None).await;
        host(space, "gw-ber-1", "10.20.5.9").await;
        id
    })
    .await;
    state.db.close().await;
    id.to_string()
}

async fn sign_in(browser: &Browser, server: &Server, name: &str) {
    browser.go(&format!("{}/login", server.url)).await;
    browser.fill("name", name).await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.sees("Overview").await;
}

/// Nothing on the page keeps anybody from using it, and the console is silent.
async fn is_fit(browser: &Browser) {
    let at = browser.at().await;
    let obstacles = browser.obstacles().await;
    assert!(obstacles.is_empty(), "{at}: {obstacles:#?}");
    let complaints = browser.complaints().await;
    // The row that was opened takes the focus by script before the browser would.
    let grave: Vec<_> = complaints.iter().filter(|line| !line.contains("Autofocus")).collect();
    assert!(grave.is_empty(), "{at}: {grave:?}");
}

async fn key(browser: &Browser, keys: &str) {
    browser.driver.active_element().await.unwrap().send_keys(keys).await.unwrap();
}

/// Presses Tab until the element that `script` describes has the focus.
async fn tab_to(browser: &Browser, is_there: &str) {
    for _ in 0..120 {
        let script = format!("const e = document.activeElement; return !!(e && ({is_there}))");
        if browser.run(&script).await == true {
            return;
        }
        key(browser, TAB).await;
    }
    panic!("the keyboard does not reach {is_there}:\n{}", browser.text().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_desk_reserves_edits_releases_many_and_follows_the_map() {
    let server = Server::start();
    let id = fill(&server).await;
    assert!(server.add_operator("mia", "helpdesk"));
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    browser.press("Sign out").await;
    sign_in(&browser, &server, "mia").await;
    browser.complaints().await;

    // From the tree into the map, and from the map to an address.
    browser.go(&format!("{}/ipam/subnets", server.url)).await;
    browser.sees("Voice Berlin").await;
    is_fit(&browser).await;
    browser.press("10.20.5.0/24").await;
    browser.sees("Map of").await;
    is_fit(&browser).await;
    browser.click(".map a[href='/ipam/addresses/10.20.5.77']").await;
    browser.sees("10.20.5.77").await;
    is_fit(&browser).await;

    // The large one is a map of blocks that leads there as well.
    browser.go(&format!("{}/ipam/subnets", server.url)).await;
    browser.press("10.0.0.0/8").await;
    browser.click(".map.blocks a[aria-label^='10.20.0.0']").await;
    browser.sees("10.20.5.0").await;

    // Take the next free one, then two more, and say what for.
    browser.go(&format!("{}/ipam/addresses?subnet={id}", server.url)).await;
    browser.sees("10.20.5.9").await;
    is_fit(&browser).await;
    browser.click("button.signal").await;
    browser.fill("note", "Lobby phone").await;
    browser.press("Take next free").await;
    browser.sees("10.20.5.6").await;
    for note in ["Printer, room 288", "Camera"] {
        browser.go(&format!("{}/ipam/addresses?subnet={id}", server.url)).await;
        browser.fill("note", note).await;
        browser.press("Take next free").await;
        browser.sees(note).await;
    }

    // Change the note in the row.
    browser.go(&format!("{}/ipam/addresses?subnet={id}&mine=1", server.url)).await;
    browser.sees("Camera").await;
    browser.click("tbody tr:last-child .act a[href$='/edit']").await;
    browser.fill("description", "Camera, east door").await;
    browser.find("tr.edit [name=description]").await.send_keys(ENTER).await.unwrap();
    browser.sees("Camera, east door").await;
    is_fit(&browser).await;

    // Release them all at once; what others reserved stays.
    browser.click("thead [data-all]").await;
    browser.click(".bulk button[value=release]").await;
    browser.sees("10.20.5.6").await;
    is_fit(&browser).await;
    browser.click("main form button.danger").await;
    browser.sees("You have reserved nothing").await;
    browser.go(&format!("{}/ipam/addresses?subnet={id}", server.url)).await;
    browser.sees("desk phones").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_is_swept_by_whoever_follows_the_links() {
    let server = Server::start();
    let id = fill(&server).await;
    for javascript in [true, false] {
        let browser = Browser::open(Look { javascript, ..Look::default() }).await;
        if javascript {
            begin(&browser, &server).await;
        } else {
            crate::sign_in(&browser, &server).await;
        }
        browser.go(&server.url).await;
        browser.click("nav a[href='/ipam/observe']").await;
        browser.sees("Observation").await;
        browser.click("nav a[href='/ipam/subnets']").await;
        browser.click(&format!("main a[href='/ipam/subnets/{id}']")).await;
        if javascript {
            browser.sees("Pings a second").await;
            is_fit(&browser).await;
        } else {
            browser.click("main a[href^='/ipam/observe/subnets/']").await;
        }
        browser.sees("Sweep now").await;
        // A sweep goes on for a while: the second begins it.
        if !javascript {
            browser.press("Sweep now").await;
            browser.sees("Observation of").await;
        }
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_reserved_and_released_with_the_keyboard_alone() {
    let server = Server::start();
    let id = fill(&server).await;
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    browser.go(&format!("{}/ipam/addresses?subnet={id}&free=each", server.url)).await;
    browser.sees("10.20.5.8").await;
    tab_to(&browser, "e.closest('tr') && e.closest('tr').innerText.includes('10.20.5.8') && e.href && e.href.endsWith('/reserve')").await;
    key(&browser, ENTER).await;
    browser.find("tr.edit [name=note]").await;
    tab_to(&browser, "e.name === 'note' && e.closest('tr.edit')").await;
    key(&browser, "Keyboard only").await;
    key(&browser, ENTER).await;
    browser.sees("Keyboard only").await;
    browser.go(&format!("{}/ipam/addresses/10.20.5.8", server.url)).await;
    browser.sees("Keyboard only").await;
    tab_to(&browser, "e.href && e.href.endsWith('/release')").await;
    key(&browser, ENTER).await;
    browser.sees("It is reserved").await;
    tab_to(&browser, "e.tagName === 'BUTTON' && e.innerText.trim() === 'Release'").await;
    key(&browser, ENTER).await;
    browser.sees("available").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_taken_changed_and_released_without_javascript() {
    let server = Server::start();
    let id = fill(&server).await;
    let browser = Browser::open(Look { javascript: false, ..Look::default() }).await;
    begin(&browser, &server).await;
    browser.go(&format!("{}/ipam/addresses?subnet={id}", server.url)).await;
    browser.fill("note", "No scripts").await;
    browser.press("Take next free").await;
    browser.sees("10.20.5.6").await;
    browser.go(&format!("{}/ipam/addresses/10.20.5.6/edit", server.url)).await;
    browser.fill("description", "Still none").await;
    browser.press("Save").await;
    browser.sees("Still none").await;
    browser.go(&format!("{}/ipam/addresses?subnet={id}&mine=1", server.url)).await;
    browser.click("tbody input[value='10.20.5.6']").await;
    browser.click(".bulk button[value=release]").await;
    browser.click("main form button.danger").await;
    browser.sees("1 address released").await;
    browser.go(&format!("{}/ipam/addresses/10.20.5.6", server.url)).await;
    browser.sees("available").await;
    browser.sees("Still none").await;
    browser.close().await;
}

/// The README's pictures of the network side: `make pictures`.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_running_program_show_addresses_and_the_map() {
    let server = Server::start();
    let id = fill(&server).await;
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("PATCHBAY_PICTURES").map_or_else(
        || own.path().to_owned(),
        |folder| std::env::current_dir().unwrap().join(folder),
    );
    std::fs::create_dir_all(&folder).unwrap();
    for (name, path) in [
        ("addresses", format!("/ipam/addresses?subnet={id}")),
        ("map", format!("/ipam/subnets/{id}#map")),
    ] {
        browser.go(&format!("{}{path}", server.url)).await;
        browser.sees("10.20.5.0/24").await;
        browser.picture(&folder.join(format!("{name}.png"))).await;
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

/// Rows with something in every column, as wide as they come.
pub fn fill_every_column(server: &Server) {
    let subnets = "name,cidr,site,vlan,gateway,static_pools,dhcp_pools\n\
         \"Office building, all floors\",10.20.0.0/16,Berlin-Adlershof,,,,\n\
         Voice on the third floor,10.20.130.0/24,Berlin-Adlershof,4094,10.20.130.254,10.20.130.10-99,10.20.130.100-200\n\
         Six,2001:db8:1000:2000::/64,Berlin-Adlershof,130,,2001:db8:1000:2000::10-2001:db8:1000:2000::ff,\n";
    let hosts = "hostname,primary_ip,nic_mac,bmc_ip,bmc_mac,device_type,manufacturer,description\n\
         session-border-controller-1,10.20.130.20,00:11:22:33:44:55,10.20.130.21,00:11:22:33:44:56,server,Supermicro,\"rack 12, upper half, behind the door\"\n\
         gw1,10.20.130.22,00:11:22:33:44:57,,,gateway,AudioCodes,\n";
    for (kind, text) in [("subnets", subnets), ("hosts", hosts)] {
        let file = server.data_dir.join(format!("{kind}.csv"));
        std::fs::write(&file, text).unwrap();
        let done = server.command(&["import", kind, &file.display().to_string()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_lists_fit_the_windows_people_use() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    fill_every_column(&server);
    for path in ["/ipam/subnets", "/ipam/addresses", "/ipam/hosts", "/lifecycle"] {
        browser.go(&format!("{}{path}", server.url)).await;
        for width in [1024, 1160, 1280, 1366, 1440, 1920] {
            browser.resize(width).await;
            let script = "return document.documentElement.scrollWidth - window.innerWidth";
            let beyond = browser.run(script).await.as_i64().unwrap();
            assert!(beyond <= 0, "{path} is {beyond} pixels too wide at {width}");
        }
    }
    browser.close().await;
}
