//! Every page of the table of routes, of an empty installation and of a full one: by keyboard, in the light and in the
//! dark, on a desk and on a phone's screen, for those who have pages read to them, and on paper. A new page is looked at
//! because it is in the table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use patchbay::app::routes;
use patchbay::auth::access::Access;
use serde_json::{Value, json};

use crate::paper::{A4, is_numbered, pages, reach};
use crate::support::browser::{Browser, Look};
use crate::support::lab::Asterisk;
use crate::support::server::Server;
use crate::{add_user, begin};

const TAB: &str = "\u{e004}";

/// Pages that are others with a query, or none without one.
const QUERIES: [&str; 22] = [
    "/apply?release=1",
    "/ipam/addresses?subnet={subnet}&free=each",
    "/ipam/addresses/take?subnet={subnet}",
    "/ipam/report?report=utilisation",
    "/ipam/report?report=sites",
    "/ipam/report?report=reservations",
    "/ipam/report?report=conflicts",
    "/ipam/report?report=inactive",
    "/ipam/report?report=orphans",
    "/ipam/report?report=history&address=10.20.130.20",
    "/ipam/report?report=utilisation&subnet=10.20.0.1/16",
    "/ipam/report.csv?report=sites",
    "/ipam/report.xlsx?report=sites",
    "/ipam/subnets/find?within=10.20.0.0/16&length=24",
    "/lifecycle/workflows/new?kind=deprovision&user=1000",
    "/lifecycle/workflows/new?kind=suspend&user=1000",
    "/phones?q=berlin&state=unregistered",
    "/phones/handouts?mac=001565123456&mac=001565123457",
    "/phones/map?q=nobody",
    "/phones/map/history?q=1001",
    "/phones/new?mac=00:15:65:00:00:01",
    "/users?q=nobody",
];

/// What is only for scripts of pages: everybody else is sent to the page.
const FOR_SCRIPTS: [&str; 1] = ["/ipam/addresses/{address}/row"];

/// Of a page that is another for each of many things so many are looked at.
const OF_EACH: usize = 3;

/// What stands for the `{names}` of paths.
type Names = BTreeMap<&'static str, Vec<String>>;

/// The paths that can be read by whom `may` says, in the table's order.
fn paths(may: impl Fn(Access) -> bool) -> Vec<&'static str> {
    let all = routes();
    let wanted = all.iter().filter(|route| route.method == "GET" && may(route.access));
    wanted.map(|route| route.path).collect()
}

/// Everything a path may mean. Not every id is of the kind a path names: the others are not there.
fn meant(path: &str, names: &Names) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (name, after) = rest.split_once('}').unwrap();
    let Some(values) = names.get(name) else { panic!("say what {{{name}}} of {path} may be") };
    values.iter().flat_map(|value| meant(&format!("{before}{value}{after}"), names)).collect()
}

/// What is found at a path, without looking at it.
struct Found {
    path: String,
    /// A document of its own; not a part of a page, a file or figures.
    is_page: bool,
}

struct Walk<'a> {
    browser: &'a Browser,
    server: &'a Server,
    faults: Vec<String>,
    looked_at: usize,
}

impl<'a> Walk<'a> {
    fn new(browser: &'a Browser, server: &'a Server) -> Self {
        Self { browser, server, faults: Vec::new(), looked_at: 0 }
    }

    /// Looks at everything at a path that is a page; whether anything is there.
    async fn visit(&mut self, path: &str, names: &Names, closely: bool) -> bool {
        let own = self.found(&meant(path, names)).await;
        let is_its = |query: &&&str| query.split('?').next() == Some(path);
        let queries: Vec<_> =
            QUERIES.iter().filter(is_its).flat_map(|query| meant(query, names)).collect();
        let queries = self.found(&queries).await;
        let is_there = !own.is_empty() || !queries.is_empty();
        let own = own.into_iter().filter(|found| found.is_page).take(OF_EACH);
        for page in own.chain(queries.into_iter().filter(|found| found.is_page)) {
            self.look_at(&page.path, closely).await;
        }
        is_there
    }

    /// Those of the paths where something is, and not only the way to something else.
    async fn found(&mut self, paths: &[String]) -> Vec<Found> {
        let script = "const [paths, done] = arguments; (async () => {
                const found = [];
                for (const path of paths) {
                    const answer = await fetch(path), text = await answer.text();
                    found.push([answer.status, answer.redirected, /<html[ >]/.test(text)]);
                }
                return found;
            })().then(done, error => done(String(error)));";
        let found = self.browser.driver.execute_async(script, vec![json!(paths)]).await.unwrap();
        let Some(answers) = found.json().as_array() else {
            panic!("{paths:?}: {:?}", found.json())
        };
        let mut there = Vec::new();
        for (path, answer) in paths.iter().zip(answers) {
            match (answer[0].as_u64().unwrap(), answer[1] == true) {
                // A page may also say what is wrong with what was asked.
                (200 | 409 | 422, false) => {
                    there.push(Found { path: path.clone(), is_page: answer[2] == true });
                }
                (200, true) | (404, _) => {}
                (status, _) => self.faults.push(format!("{path}: answered with {status}")),
            }
        }
        // Chromium says so of each that is not there.
        self.browser.complaints().await;
        there
    }

    /// Everything there is to find fault with in a page; in the dark and on paper only when it is looked at closely.
    async fn look_at(&mut self, path: &str, closely: bool) {
        self.looked_at += 1;
        self.browser.resize(1280).await;
        self.browser.show("", "dark").await;
        self.browser.go(&format!("{}{path}", self.server.url)).await;
        let mut faults = self.said(HEAD).await;
        // The field that is to have the focus gets it with the first picture, a little later.
        self.browser.find(HAS_FOCUS).await;
        self.said(BEFORE_EVERYTHING).await;
        self.browser.driver.active_element().await.unwrap().send_keys(TAB).await.unwrap();
        faults.extend(self.said(REACHED).await);
        if closely {
            faults.extend(self.on_screen(path, "wide-dark").await);
            faults.extend(self.on_paper(path).await);
        } else {
            faults.extend(self.said(TOO_WIDE).await);
        }
        self.browser.resize(375).await;
        self.browser.show("", "light").await;
        faults.extend(self.on_screen(path, "narrow-light").await);
        let complaints = self.browser.complaints().await;
        faults.extend(complaints.into_iter().filter(|line| !line.contains("the server responded")));
        self.faults.extend(faults.into_iter().map(|fault| format!("{path}: {fault}")));
    }

    async fn on_screen(&self, path: &str, look: &str) -> Vec<String> {
        let mut faults = self.said(TOO_WIDE).await;
        faults.extend(self.browser.obstacles().await);
        if let Some(folder) = std::env::var_os("PATCHBAY_LOOK").map(PathBuf::from) {
            self.browser.picture(&folder.join(format!("{}-{look}.png", file_name(path)))).await;
        }
        faults.into_iter().map(|fault| format!("{look}: {fault}")).collect()
    }

    /// No page of paper has anything on it that one could press, each has its number, and nothing is cut off.
    async fn on_paper(&self, path: &str) -> Vec<String> {
        self.browser.show("print", "light").await;
        let mut faults = self.said(ON_PAPER).await;
        self.browser.show("", "light").await;
        let pdf = self.browser.printed(A4.0, A4.1).await;
        let printed = pages(&pdf, &file_name(path));
        for (n, page) in (1..).zip(&printed) {
            if !is_numbered(page, n, printed.len()) {
                faults.push(format!("page {n} of {} has no number", printed.len()));
            }
            for control in ["Sign out", "Skip to", "Menu"] {
                if page.lines().any(|line| line.trim() == control) {
                    faults.push(format!("page {n} has {control:?}"));
                }
            }
        }
        for (n, (far, width)) in (1..).zip(reach(&pdf)) {
            if far > width - 20.0 {
                faults.push(format!("on page {n} something reaches {far} of {width}"));
            }
        }
        faults.into_iter().map(|fault| format!("paper: {fault}")).collect()
    }

    /// What a script finds.
    async fn said(&self, script: &str) -> Vec<String> {
        let found = self.browser.run(script).await;
        let found = found.as_array().into_iter().flatten();
        found.map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn found_no_fault(&self, at_least: usize) {
        assert!(self.faults.is_empty(), "{} faults: {:#?}", self.faults.len(), self.faults);
        assert!(self.looked_at >= at_least, "{} pages were looked at", self.looked_at);
    }
}

const HEAD: &str = "const faults = [], heads = document.querySelectorAll('h1').length;
    if (!document.title.replace(/ - Patchbay$/, '').trim()) faults.push('it has no title');
    if (heads !== 1) faults.push(`it has ${heads} first headings`);
    return faults;";
/// A page once it has given the focus to the field that is to have it, if there is one.
const HAS_FOCUS: &str = "html:not(:has([autofocus])), [autofocus]:focus";
/// Puts the keyboard where it is when a page comes, whatever field has the focus already.
const BEFORE_EVERYTHING: &str = "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex');";
/// First comes the way past the navigation; where there is none, what the page is for.
const REACHED: &str = "const at = document.activeElement, box = at.getBoundingClientRect();
    const right = document.querySelector('nav.rail')
        ? at.matches('a.skip') && document.querySelector(at.getAttribute('href')) : at.closest('main');
    return right && box.top >= 0 && box.bottom <= innerHeight ? [] : [`the first Tab reaches ${at.outerHTML.slice(0, 150)}`];";
const TOO_WIDE: &str = "const beyond = document.documentElement.scrollWidth - innerWidth;
    return beyond > 0 ? [`it is ${beyond} pixels too wide`] : [];";
const ON_PAPER: &str = "const press = 'nav, button, .button, .skip, [type=submit], [type=file]';
    const left = [...document.querySelectorAll(press)].filter(control => control.checkVisibility());
    return left.map(control => `there is ${control.outerHTML.replace(/\\s+/g, ' ').slice(0, 150)}`);";

fn file_name(path: &str) -> String {
    path.trim_start_matches('/').replace(['/', '?', '&', '=', ':'], "-")
}

/// The program called by a script of the administrator's.
struct Script<'a> {
    server: &'a Server,
    token: String,
}

impl<'a> Script<'a> {
    fn new(server: &'a Server) -> Self {
        let token = server.command(&["token", "add", "test", "--operator", "ann"]);
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Self { server, token }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        crate::support::trust();
        let request = reqwest::Client::new().post(format!("{}/api/v1/{path}", self.server.url));
        let answer = request.bearer_auth(&self.token).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The id of what is made.
    async fn made(&self, path: &str, body: Value) -> String {
        self.post(path, body).await["id"].as_str().unwrap().to_owned()
    }
}

/// Something of everything there is.
async fn fill(browser: &Browser, server: &Server) -> Names {
    let long = "A name as long as names can be, sixty characters of it here.";
    add_user(browser, server, long, "someone.with.a.long.address@a-long-domain-name.example.com")
        .await;
    crate::phones::fill(server);
    crate::ipam::fill_every_column(server);
    assert!(server.command(&["apply", "--reason", "first evening"]).status.success());
    crate::phones::plug_in(browser, server).await;
    assert!(server.add_operator("mia", "helpdesk"));
    let nas = crate::lifecycle::radius(server, crate::support::server::free_port()).await;

    let script = Script::new(server);
    // Words that fit no column.
    let endless = format!("No-blank-anywhere-{}", "x".repeat(80));
    let user = json!({ "name": "Mia Berg", "email": "mia@example.com" });
    let user = script.made("users", user).await;
    let profile =
        json!({ "name": "Reception", "scope": "chosen", "settings": { "phonebook": "off" } });
    let profile = script.made("phones/profiles", profile).await;
    let contact = json!({ "name": "Airport", "number": "+351218413500" });
    let contact = script.made("contacts", contact).await;
    // It claims what another host has.
    let host = json!({ "hostname": "wants-it", "primary_ip": "10.20.130.20" });
    let host = script.made("hosts", host).await;
    script.post("hosts", json!({ "hostname": "lost-and-found", "primary_ip": "192.0.2.77" })).await;
    let subnet = json!({ "name": endless, "cidr": "127.0.1.0/28", "site": "Porto" });
    let subnet = script.made("subnets", subnet).await;
    script.post(&format!("subnets/{subnet}/sweeps"), json!({})).await;
    script.post("addresses/10.20.130.30/reserve", json!({ "note": endless })).await;
    script.post("addresses/10.20.130.31/quarantine", json!({ "reason": endless })).await;
    let prefixes = json!({ "name": "Customers", "cidr": "2001:db8:f000::/40" });
    let prefixes = script.made("prefix-pools", prefixes).await;
    let prefix = json!({ "subscriber_id": "C-4711", "kind": "prefix" });
    script.post("network/ipv6-lifecycle/allocate", prefix).await;
    let whose = json!({ "subscriber_id": "C-4711" });
    let assignment = script.made("network/ipv4-lifecycle/allocate", whose.clone()).await;
    for step in ["activate", "suspend"] {
        script.post(&format!("network/ipv4-lifecycle/{step}"), whose.clone()).await;
    }
    let gone = json!({ "subscriber_id": "C-4712" });
    script.post("network/ipv4-lifecycle/allocate", gone.clone()).await;
    script.post("network/ipv4-lifecycle/revoke", gone).await;
    let workflow = json!({ "kind": "provision", "name": "Cid", "email": "cid@example.com" });
    let workflow = script.made("workflows", workflow).await;
    let told = json!({ "kind": "resync", "phones": ["001565123456"], "reason": endless });
    let told = script.made("phone-notifications", told).await;

    let asset = patchbay::web::assets::url("app.css").unwrap();
    let names = [
        ("subnet", vec![subnet.clone()]),
        ("id", vec![assignment, user, profile, contact, host, subnet, prefixes]),
        ("mac", vec!["001565123456".to_owned(), "00156500000a".to_owned()]),
        (
            "address",
            ["10.20.130.20", "10.20.130.30", "10.20.130.31", "10.20.130.40"]
                .map(str::to_owned)
                .to_vec(),
        ),
        ("operation", ["suspend", "reactivate", "revoke", "fail"].map(str::to_owned).to_vec()),
        ("name", vec!["pjsip.conf".to_owned(), asset.trim_start_matches("/static/").to_owned()]),
        ("file", ["001565123456.cfg", "phonebook.xml"].map(str::to_owned).to_vec()),
        ("vendor", vec!["yealink".to_owned()]),
        ("template", vec!["phone".to_owned()]),
        ("format", vec!["isc".to_owned()]),
        ("kind", vec!["assignment".to_owned()]),
        ("run", vec!["1".to_owned()]),
        ("workflow", vec![workflow]),
        ("notification", vec![told]),
        ("nas", vec![nas]),
    ];
    names.into()
}

fn is_for_operators(access: Access) -> bool {
    matches!(access, Access::Page(_) | Access::HostPage(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_fit_for_everybody_and_for_paper() {
    let mut asterisk = Asterisk::prepare();
    let server = Server::start_for(&mut asterisk);
    let browser = Browser::open(Look::default()).await;
    begin(&browser, &server).await;
    let names = fill(&browser, &server).await;
    let mut walk = Walk::new(&browser, &server);
    let paths = paths(is_for_operators);
    for path in &paths {
        let is_there = walk.visit(path, &names, true).await;
        if !is_there && !FOR_SCRIPTS.contains(path) {
            walk.faults.push(format!("{path}: it was not visited, nothing is there"));
        }
    }
    for query in QUERIES {
        assert!(paths.contains(&query.split('?').next().unwrap()), "nothing is at {query}");
    }
    walk.look_at("/nowhere", true).await;
    walk.found_no_fault(100);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_before_anybody_signs_in_and_before_there_is_anything() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    let welcome = server.welcome.as_deref().unwrap();
    browser.go(welcome).await;
    let asset = patchbay::web::assets::url("app.css").unwrap();
    let names = Names::from([
        ("token", vec![welcome.rsplit('/').next().unwrap().to_owned()]),
        ("name", vec![asset.trim_start_matches("/static/").to_owned()]),
    ]);
    let mut walk = Walk::new(&browser, &server);
    for path in paths(|access| access == Access::Public) {
        let is_there = walk.visit(path, &names, true).await;
        assert!(is_there, "nothing is at {path}");
    }
    begin(&browser, &server).await;
    for path in paths(is_for_operators).into_iter().filter(|path| !path.contains('{')) {
        walk.visit(path, &Names::from([("subnet", Vec::new())]), false).await;
    }
    walk.found_no_fault(60);
    browser.close().await;
}
