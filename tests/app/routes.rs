//! Every route and everybody who may call it.

use patchbay::app::routes;
use patchbay::auth::access::{Access, Route};
use patchbay::auth::{Right, Role};

use crate::routes_around::has_security_headers;
use crate::routes_network::NETWORK;
use crate::routes_office::OFFICE;
use crate::routes_target::Target;
use crate::support::app::{Answer, Browser, PASSWORD, TestApp, both_databases, next};

/// Who calls, in the table's order. The last three send a token instead of a cookie.
const CALLERS: [&str; 9] = [
    "anonymous",
    "admin",
    "operator",
    "helpdesk",
    "auditor",
    "other",
    "admin's token",
    "auditor's token",
    "other's token",
];

/// What the tokens of the roles between may do; they follow those of the table among the callers.
/// Whatever asks for another right is refused them, the rest is answered as it is to `admin`.
const BETWEEN: [(&str, &[Right]); 2] = [
    (
        "operator's token",
        &[
            Right::Read,
            Right::EditUsers,
            Right::ManageUsers,
            Right::EditPhones,
            Right::ManagePhones,
            Right::ReserveAddresses,
            Right::ManageAddresses,
            Right::Reveal,
            Right::Apply,
        ],
    ),
    (
        "helpdesk's token",
        &[Right::Read, Right::EditUsers, Right::EditPhones, Right::ReserveAddresses],
    ),
];

/// A route and what each caller gets: method, path, form or JSON, answers. `other` is the
/// administrator of another tenant, so that what stands in that column for a path with an id is what
/// foreign ids get.
pub type Row = (&'static str, &'static str, &'static str, &'static str);

/// Every route.
fn table() -> impl Iterator<Item = &'static Row> {
    OFFICE.iter().chain(NETWORK)
}

/// A user of each kind and everything they carry.
struct Callers<'a> {
    browsers: Vec<Browser<'a>>,
    tokens: Vec<String>,
}

impl<'a> Callers<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let mut browsers = vec![app.browser()];
        for role in Role::ALL {
            browsers.push(app.signed_in(role.as_str(), role).await);
        }
        app.tenant("acme", "other").await;
        browsers.push(app.with_password("other").await);
        let tokens = vec![
            app.token_of("admin", Role::Admin, None).await,
            app.token_of("admin", Role::Auditor, None).await,
            app.token_of("other", Role::Admin, None).await,
            app.token_of("operator", Role::Operator, None).await,
            app.token_of("helpdesk", Role::Helpdesk, None).await,
        ];
        Self { browsers, tokens }
    }

    fn admin(&self) -> &Browser<'a> {
        &self.browsers[1]
    }

    async fn call(&self, who: usize, method: &str, to: &Target) -> Answer {
        let mut ask = match self.browsers.get(who) {
            Some(browser) => browser.ask(method, &to.path),
            None => self.admin().app.ask(method, &to.path).token(&self.tokens[who - 6]),
        };
        ask = ask.ours().at_peer(&format!("192.0.2.{}", next() % 250));
        if to.path.starts_with("/api/") {
            if !to.body.is_empty() {
                ask = ask.header("content-type", "application/json").body(to.body.clone());
            }
        } else if method != "GET" {
            let csrf = self.browsers.get(who).map(|b| b.csrf.borrow().clone()).unwrap_or_default();
            ask = ask
                .header("content-type", "application/x-www-form-urlencoded")
                .body(format!("{}&csrf={csrf}", to.body));
        }
        ask.send().await
    }
}

#[test]
fn the_table_names_every_route_once_and_none_besides() {
    let mut known: Vec<String> =
        table().map(|(method, path, ..)| format!("{method} {path}")).collect();
    let mut there: Vec<String> =
        routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    known.sort_unstable();
    there.sort_unstable();
    assert_eq!(known, there, "say in the table who may call the new route");
}

both_databases! {
    async fn every_route_answers_each_caller_as_the_table_says(app: TestApp) {
        let callers = Callers::new(&app).await;
        let mut wrong = Vec::new();
        for (method, path, body, answers) in table() {
            for (who, expected) in answers.split(' ').enumerate() {
                let target = Target::new(&app, callers.admin(), path, body).await;
                let answer = callers.call(who, method, &target).await;
                has_security_headers(&answer);
                if answer.status.to_string() != expected {
                    wrong.push(format!(
                        "{method} {path} as {}: {} instead of {expected}", CALLERS[who], answer.status
                    ));
                }
                if answer.status == 303 && (who == 0 || who > 5) {
                    assert!(answer.location().starts_with("/login"), "{answer:?}");
                }
                if *path == "/logout" && (1..6).contains(&who) {
                    let browser = &callers.browsers[who];
                    browser.cookie.take();
                    browser.csrf.take();
                    browser.sign_in(CALLERS[who], PASSWORD).await;
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    async fn the_tokens_of_operator_and_help_desk_may_what_their_roles_may(app: TestApp) {
        let callers = Callers::new(&app).await;
        let routes = routes();
        let (mut wrong, mut refused) = (Vec::new(), [0, 0]);
        for (method, path, body, answers) in table() {
            let is_it = |route: &&Route| route.method.as_str() == *method && route.path == *path;
            let access = routes.iter().find(is_it).unwrap().access;
            for (n, (caller, rights)) in BETWEEN.into_iter().enumerate() {
                let may = match access {
                    Access::Api(right) | Access::HostApi(right) => rights.contains(&right),
                    _ => true,
                };
                let expected = if may { answers.split(' ').nth(6).unwrap() } else { "403" };
                refused[n] += u32::from(!may);
                let target = Target::new(&app, callers.admin(), path, body).await;
                let answer = callers.call(CALLERS.len() + n, method, &target).await;
                if answer.status.to_string() != expected {
                    wrong.push(format!("{method} {path} as {caller}: {} instead of {expected}", answer.status));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(refused[0] > 0 && refused[1] > refused[0], "{refused:?}");
    }

    async fn no_page_changes_anything_without_the_token_or_from_another_site(app: TestApp) {
        let callers = Callers::new(&app).await;
        let admin = callers.admin();
        let csrf = admin.csrf.borrow().clone();
        for route in routes().iter().filter(|route| !route.method.is_safe()) {
            let page = matches!(route.access, Access::Page(_) | Access::HostPage(_));
            if !page && route.access != Access::Public {
                continue;
            }
            let (_, path, body, _) = table()
                .find(|(method, path, ..)| *method == route.method.as_str() && *path == route.path)
                .unwrap();
            let target = Target::new(&app, admin, path, body).await;
            let before = app.contents().await;
            let with = format!("{}&csrf={csrf}", target.body);
            let long = format!("{}&csrf={}", target.body, "x".repeat(43));
            let other = callers.browsers[2].csrf.borrow().clone();
            let others = format!("{}&csrf={other}", target.body);
            let attempts: [(&[(&str, &str)], &str, bool); 11] = [
                (&[("sec-fetch-site", "same-origin")], &target.body, page),
                (&[("sec-fetch-site", "same-origin")], "csrf=", page),
                (&[("sec-fetch-site", "same-origin")], &long, page),
                (&[("sec-fetch-site", "same-origin")], &others, page),
                (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", "x")], &with, page),
                (&[("sec-fetch-site", "cross-site")], &with, true),
                (&[("sec-fetch-site", "same-site"), ("origin", "http://patchbay.test")], &with, true),
                (&[("origin", "https://evil.example"), ("host", "patchbay.test")], &with, true),
                (&[("origin", "null")], &with, true),
                (&[("referer", "http://patchbay.test/users")], &with, true),
                (&[], &with, true),
            ];
            for (headers, body, refused) in attempts {
                if !refused {
                    continue;
                }
                let mut ask = admin
                    .ask(route.method.as_str(), &target.path)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body.to_owned());
                for (name, value) in headers {
                    ask = ask.header(name, value);
                }
                let answer = ask.send().await;
                assert_eq!(answer.status, 403, "{} {} with {headers:?} {body}", route.method, route.path);
                has_security_headers(&answer);
            }
            assert_eq!(app.contents().await, before, "{} {}", route.method, route.path);
        }
    }
}
