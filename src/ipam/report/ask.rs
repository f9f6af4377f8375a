//! What somebody asks a report for: the URL's parameters, the same on pages, in files and the API.

use serde::Deserialize;

use super::queries;
use super::types::{Filter, Report, days_ago};
use crate::db::Tx;
use crate::id::{SubnetId, TenantId};
use crate::net::{Address, Cidr, Family, Range};
use crate::time::Timestamp;
use crate::web::Error;
use crate::web::form::{Field, Tick};

/// The value that stands for subnets without a site.
pub(super) const NO_SITE: &str = "(none)";
/// Days after which an address counts as inactive, if nobody says otherwise.
const DAYS: &str = "30";

/// The parameters.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    pub report: String,
    /// A subnet's name or id, or addresses.
    pub subnet: Field,
    pub site: String,
    pub family: String,
    pub days: Field,
    pub person: String,
    pub address: Field,
    pub sort: String,
    pub size: String,
    pub page: String,
    /// Every row, for paper.
    pub all: Tick,
}

/// A number of days.
struct Days(i64);

impl std::str::FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.parse().ok().filter(|days| (1..=3650).contains(days));
        days.map(Self).ok_or("use a number of days from 1 to 3650")
    }
}

impl Ask {
    /// The report asked for; none for the index.
    pub fn report(&self) -> Result<Option<Report>, Error> {
        match self.report.as_str() {
            "" => Ok(None),
            name => Report::named(name).map(Some).ok_or(Error::NotFound),
        }
    }

    /// What the report is narrowed to; none when a field needs correcting.
    pub async fn filter(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        report: Report,
        now: Timestamp,
    ) -> Result<Option<Filter>, Error> {
        let order = self.order(report)?;
        let family = match self.family.as_str() {
            "" => None,
            "4" => Some(Family::V4),
            "6" => Some(Family::V6),
            _ => return Err(Error::BadRequest("the family is 4 or 6")),
        };
        let mut filter = Filter { family, order, ..Filter::default() };
        if report.has_places() {
            filter.site = match self.site.trim() {
                "" => None,
                NO_SITE => Some(String::new()),
                site => Some(site.to_lowercase()),
            };
            filter.within = self.within(tx, tenant).await?;
        }
        if report == Report::Reservations {
            self.person.trim().clone_into(&mut filter.person);
        }
        if report == Report::Inactive {
            if self.days.value.is_empty() {
                DAYS.clone_into(&mut self.days.value);
            }
            let days = self.days.parse::<Days>();
            filter.unseen_since = days.map(|days| days_ago(now, days.0));
        }
        Ok((self.subnet.error.is_none() && self.days.error.is_none()).then_some(filter))
    }

    fn order(&self, report: Report) -> Result<&'static str, Error> {
        let orders = report.orders();
        let wanted = |order: &&&'static str| self.sort.is_empty() || **order == self.sort;
        orders
            .iter()
            .find(wanted)
            .copied()
            .ok_or(Error::BadRequest("there is no such order; sort by a column's heading"))
    }

    /// The addresses of the subnet that was named, or those written out.
    async fn within(&mut self, tx: &mut Tx, tenant: TenantId) -> Result<Option<Range>, Error> {
        let text = self.subnet.value.clone();
        if text.is_empty() {
            return Ok(None);
        }
        let id = text.parse::<SubnetId>().map(|id| id.to_string()).unwrap_or_default();
        let named = queries::range_of(tx, tenant, &text.to_lowercase(), &id).await?;
        if named.is_some() {
            return Ok(named);
        }
        match text.parse::<Cidr>() {
            Ok(cidr) => return Ok(Some(cidr.range())),
            Err(error) if text.contains('/') => self.subnet.reject(&error),
            Err(_) => match text.parse::<Range>() {
                Ok(range) => return Ok(Some(range)),
                Err(_) => self.subnet.reject(
                    &"no subnet is called so; use its name, or addresses such as 10.20.0.0/16",
                ),
            },
        }
        Ok(None)
    }

    /// The address whose history is asked for.
    pub fn address(&mut self) -> Option<Address> {
        self.address.parse_optional::<Address>().flatten()
    }

    /// What the report is narrowed to, in words.
    pub fn about(&self, report: Report) -> String {
        let mut words = Vec::new();
        if report.has_places() {
            words.extend(Some(self.subnet.value.clone()).filter(|subnet| !subnet.is_empty()));
            match self.site.trim() {
                "" => {}
                NO_SITE => words.push("without a site".to_owned()),
                site => words.push(format!("site {site}")),
            }
        }
        if report == Report::Reservations && !self.person.trim().is_empty() {
            words.push(format!("reserved by {}", self.person.trim()));
        }
        if report == Report::Inactive {
            words.push(format!("not seen for {} days", self.days.value));
        }
        match self.family.as_str() {
            "4" => words.push("IPv4".to_owned()),
            "6" => words.push("IPv6".to_owned()),
            _ => {}
        }
        words.join(", ")
    }

    /// The parameters but for the page.
    pub fn kept(&self, report: Report) -> Vec<(&'static str, String)> {
        let only = |yes: bool, text: &str| if yes { text.trim().to_owned() } else { String::new() };
        let usual = report.orders().first() == Some(&self.sort.as_str());
        vec![
            ("report", report.name().to_owned()),
            ("subnet", only(report.has_places(), &self.subnet.value)),
            ("site", only(report.has_places(), &self.site)),
            ("family", only(report != Report::History, &self.family)),
            ("days", only(report == Report::Inactive && self.days.value != DAYS, &self.days.value)),
            ("person", only(report == Report::Reservations, &self.person)),
            ("address", only(report == Report::History, &self.address.value)),
            ("sort", only(!usual, &self.sort)),
        ]
    }
}
