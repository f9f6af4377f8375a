//! Phones in a browser.

use crate::begin;
use crate::provision::fetch;
use crate::support::browser::{Browser, Look};
use crate::support::server::Server;

/// Phones, a profile and a subnet, as the command line brings them.
pub fn fill(server: &Server) {
    let write = |name: &str, text: &str| {
        let path = server.data_dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let subnets = write(
        "subnets.csv",
        "name,cidr,site,static_pools\nVoice Berlin,10.20.5.0/24,Berlin,10.20.5.10-10.20.5.99\n\
         Desks,127.0.0.0/24,Lisbon,127.0.0.10-127.0.0.50\n",
    );
    let users = write(
        "users.csv",
        "name,email,extension\nBob Ray,bob@example.com,1001\nChloé Weber,chloe@example.com,1002\nDmitri Petrov,dmitri@example.com,1003\n",
    );
    let phones = write(
        "phones.csv",
        "mac,vendor,model,label,site,extensions,subnet,static_ip,notes\n\
         00:15:65:12:34:56,yealink,t46s,,Berlin,1001,Voice Berlin,next,\n\
         00:15:65:12:34:57,yealink,t23g,\"Reception, ground floor\",Berlin,1002,Voice Berlin,next,by the door\n\
         00:0b:82:aa:bb:cc,grandstream,ht802,Lift and door,Lisbon,1003,,,analogue\n\
         00:04:f2:00:00:01,polycom,vvx450,,Lisbon,,,,spare\n",
    );
    for (kind, file) in [("subnets", subnets), ("users", users), ("phones", phones)] {
        let done = server.command(&["import", kind, &file]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
}

/// A phone waits, and somebody is in the phone book.
pub async fn plug_in(browser: &Browser, server: &Server) {
    browser.go(&format!("{}/phones/enrolment", server.url)).await;
    browser.click("input[aria-label='Phones enrol in Desks']").await;
    browser.press("Save").await;
    browser.sees("Saved").await;
    let stranger = "Yealink SIP-T46S 66.86.0.15 00:15:65:00:00:0a";
    assert_eq!(fetch(server, "00156500000a.cfg", stranger).await, 404);
    browser.go(&format!("{}/phones/contacts/new", server.url)).await;
    browser.fill("name", "Taxi Lisboa").await;
    browser.fill("number", "+351210000000").await;
    browser.press("Add contact").await;
    browser.sees("Taxi Lisboa").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_added_changed_and_deleted_without_javascript() {
    let server = Server::start();
    let browser = Browser::open(Look { javascript: false, ..Look::default() }).await;
    begin(&browser, &server).await;
    fill(&server);
    browser.go(&format!("{}/phones/new", server.url)).await;
    browser.fill("mac", "0015.6500.0001").await;
    browser.click("input[name=who][value=new]").await;
    browser.fill("name", "Ann O'Neil").await;
    browser.fill("email", "ann@example.com").await;
    browser.click("input[name=address][value=next]").await;
    browser.fill("subnet", "voice berlin").await;
    browser.press("Add phone").await;
    browser.sees("by its MAC address it is a Yealink").await;
    browser.click("#model option[value='yealink/t46s']").await;
    browser.press("Add phone").await;
    browser.sees("Added; Ann O'Neil has extension 1000").await;
    browser.sees("10.20.5.12").await;
    browser.press("Edit").await;
    browser.fill("label", "Window seat").await;
    browser.press("Save").await;
    browser.sees("Window seat").await;
    browser.press("New provisioning URL").await;
    browser.sees("The phone must be told").await;
    browser.press("Delete…").await;
    browser.sees("Delete this phone?").await;
    browser.press("Delete phone").await;
    browser.sees("Window seat deleted").await;
    browser.close().await;
}
