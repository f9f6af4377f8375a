//! What phones asked for, of all and of one.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{NAV, PathMac};
use crate::audit::Page;
use crate::auth::{Operator, Right};
use crate::boot;
use crate::net::{Address, Mac};
use crate::phones::{self, Phone};
use crate::provision::queries::pages::{self, Failing, Filter, MOST_COUNTED, Row};
use crate::provision::throttle::Slowed;
use crate::provision::types::Outcome;
use crate::provision::windows::Length;
use crate::provision::{DAY, Provisioner};
use crate::time::{Timestamp, Zone};
use crate::web::form::Field;
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, csv, download, fragment, invalid, ok};

const LIST: &str = "/phones/requests";
/// Requests shown on a phone's page.
const NEWEST: i64 = 50;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    outcome: Field,
    mac: Field,
    address: Field,
    from: Field,
    until: Field,
    size: String,
    page: String,
}

/// A day of the calendar, `2026-11-20`.
struct Day(jiff::civil::Date);

impl std::str::FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "use a date such as 2026-11-20")
    }
}

impl ListQuery {
    /// `until` includes the day it names.
    fn filter(&mut self, zone: &Zone) -> Option<Filter> {
        let outcome = self.outcome.parse_optional::<Outcome>();
        let mac = self.mac.parse_optional::<Mac>();
        let address = self.address.parse_optional::<Address>();
        let from = self.from.parse_optional::<Day>();
        let until = self.until.parse_optional::<Day>();
        Some(Filter {
            outcome: outcome?,
            mac: mac?,
            address: address?,
            from: from?.and_then(|day| zone.midnight(day.0)),
            until: until?.and_then(|day| day.0.tomorrow().ok()).and_then(|day| zone.midnight(day)),
        })
    }

    fn kept(&self) -> Vec<(&'static str, String)> {
        vec![
            ("outcome", self.outcome.value.clone()),
            ("mac", self.mac.value.clone()),
            ("address", self.address.value.clone()),
            ("from", self.from.value.clone()),
            ("until", self.until.value.clone()),
        ]
    }

    fn errors(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("outcome", &self.outcome),
            ("mac", &self.mac),
            ("address", &self.address),
            ("from", &self.from),
            ("until", &self.until),
        ];
        let wrong =
            fields.into_iter().filter_map(|(name, field)| Some((name, field.error.as_deref()?)));
        wrong.collect()
    }
}

#[derive(Template)]
#[template(path = "provision/requests.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    rows: Vec<Row>,
    pager: Pager,
    failing: Vec<Failing>,
    slowed: Vec<Slowed>,
    everybody: Option<Timestamp>,
    broken: Vec<(Mac, String, Timestamp)>,
    aged: bool,
    bad: bool,
}

impl IndexPage {
    async fn new(
        by: &Operator,
        provisioner: &Provisioner,
        mut query: ListQuery,
    ) -> Result<Self, Error> {
        provisioner.flush().await?;
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let now = by.state().clock.now();
        let at = list::stretch(&query.page, list::size(&query.size));
        let filter = query.filter(by.zone());
        let (rows, total) = match &filter {
            Some(filter) => (
                pages::requests(&mut tx, tenant, filter, at).await?,
                pages::count_requests(&mut tx, tenant, filter).await?,
            ),
            None => (Vec::new(), 0),
        };
        let (slowed, everybody) = {
            let throttle = crate::provision::lock(&provisioner.throttle);
            (throttle.slowed(now), throttle.all_until(now))
        };
        Ok(Self {
            shell: by.shell(&mut tx, NAV).await?,
            pager: Pager::new(LIST, query.kept(), at, total),
            failing: pages::failing(&mut tx, tenant, now.plus(-DAY)).await?,
            // Whoever is slowed asks for nobody's phone in particular.
            slowed: if by.is_host() { slowed } else { Vec::new() },
            everybody,
            broken: pages::broken(&mut tx, tenant, now.plus(-7 * DAY)).await?,
            aged: provisioner.is_aged(),
            bad: filter.is_none(),
            query,
            rows,
        })
    }

    fn waits(&self, address: &Address) -> Option<&Slowed> {
        self.slowed.iter().find(|slowed| slowed.address == *address)
    }
}

pub(super) async fn index(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    query: web::Query<ListQuery>,
) -> Answer {
    let page = IndexPage::new(&by, &provisioner, query.into_inner()).await?;
    if page.bad { invalid(&page) } else { ok(&page) }
}

pub(super) async fn table(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    query: web::Query<ListQuery>,
) -> Answer {
    let page = IndexPage::new(&by, &provisioner, query.into_inner()).await?;
    if page.bad { invalid(&page.as_table()) } else { fragment(&page.as_table(), &page.pager) }
}

pub(super) async fn export(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    query: web::Query<ListQuery>,
) -> Answer {
    let filter = query.into_inner().filter(by.zone());
    let filter = filter.ok_or(Error::BadRequest("the address has a filter that cannot be read"))?;
    provisioner.flush().await?;
    let all = Page { offset: 0, limit: MOST_COUNTED };
    let rows = pages::requests(&mut by.read().await?, by.tenant(), &filter, all).await?;
    let header =
        ["time", "mac", "address", "file", "outcome", "how", "revision", "bytes", "user_agent"];
    let cells = rows.into_iter().map(|row| {
        vec![
            Timestamp::to_string(&row.at),
            row.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            row.address.to_string(),
            row.path,
            row.outcome.to_string(),
            row.how,
            row.revision,
            row.bytes.to_string(),
            row.user_agent,
        ]
    });
    let bytes =
        csv::write(&header, cells).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Ok(download("requests.csv", "text/csv; charset=utf-8", bytes))
}

// One phone

/// What a phone has of its files, in words.
enum Standing {
    /// It never asked.
    Never,
    /// It has them as they are now.
    Current(Timestamp),
    /// It has an older one; since when there is another, if that is known.
    Behind(Timestamp, Option<Timestamp>),
    /// There is no file to compare with.
    Broken,
}

#[derive(Template)]
#[template(path = "provision/phone.html")]
struct PhonePage {
    shell: Shell,
    now: Timestamp,
    phone: Phone,
    standing: Standing,
    rows: Vec<Row>,
    /// How many settings somebody made at the phone itself, and when it last said so.
    overrides: Option<(String, Timestamp)>,
    /// What was wrong when it last asked for a file that cannot be rendered.
    broken: Option<String>,
    may_edit: bool,
}

impl PhonePage {
    fn is_broken(&self) -> bool {
        matches!(self.standing, Standing::Broken)
    }

    /// Until when the phone may enrol, if it may.
    fn open_until(&self) -> Option<&Timestamp> {
        self.phone.enrol_until.as_ref().filter(|until| **until > self.now)
    }
}

pub(super) async fn of_phone(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<PathMac>,
) -> Answer {
    provisioner.flush().await?;
    let (mut tx, tenant, mac) = (by.read().await?, by.tenant(), mac.0);
    let phone = phones::get(&mut tx, tenant, mac).await?.ok_or(Error::NotFound)?;
    let filter = Filter { mac: Some(mac), ..Filter::default() };
    let newest = Page { offset: 0, limit: NEWEST };
    let rows = pages::requests(&mut tx, tenant, &filter, newest).await?;
    let state = by.state();
    let would = boot::revisions(&mut tx, &state.vault, tenant, mac, &state.phones_url).await?;
    let standing = standing(&phone, would.as_ref());
    let broken = rows.iter().find(|row| row.outcome == Outcome::Broken).map(|row| row.how.clone());
    let overrides = rows.iter().find(|row| row.how.contains("settings made at the phone"));
    let overrides = overrides.filter(|row| !row.how.contains(": 0 ")).map(|row| {
        let count = row.how.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        (count.unwrap_or_default().to_owned(), row.at)
    });
    ok(&PhonePage {
        shell: by.shell(&mut tx, NAV).await?,
        now: state.clock.now(),
        phone,
        standing,
        rows,
        overrides,
        broken,
        may_edit: by.may(Right::EditPhones),
    })
}

/// `would` is what it would get now. What it has of its model's common file may not be known.
fn standing(phone: &Phone, would: Option<&boot::Revisions>) -> Standing {
    let Some(would) = would else { return Standing::Broken };
    let seen = &phone.seen;
    let common = seen.common.is_empty() || would.common.is_empty() || seen.common == would.common;
    match seen.at {
        None => Standing::Never,
        Some(at) if seen.revision == would.own && common => Standing::Current(at),
        Some(at) => Standing::Behind(at, Some(phone.updated_at).filter(|changed| *changed >= at)),
    }
}
