//! The list of addresses.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::lines::{Line, lines};
use super::{Act, LIST, Rights};
use crate::auth::Operator;
use crate::db::Tx;
use crate::id::SubnetId;
use crate::ipam::addresses::bulk::selects;
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::addresses::{
    Filter, Known, Sort, Standing, Stats, begins, label, list_known, standing,
};
use crate::ipam::class::{Kind, Status};
use crate::net::Address;
use crate::text::{ByName as _, grouped};
use crate::web::list::{self as pages, Pager};
use crate::web::{Answer, Error, Shell, fragment, ok, see_other};

/// So many subnets are offered for choice; where there are more, one is named.
const CHOICES: i64 = 100;
/// Subnets listed when a name could mean several.
const CANDIDATES: i64 = 12;

/// The list as its address in the browser says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    pub(super) q: String,
    pub(super) subnet: String,
    /// A subnet by its name or CIDR.
    #[serde(rename = "in")]
    pub(super) within: String,
    pub(super) status: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) active: String,
    pub(super) conflict: String,
    pub(super) mine: String,
    pub(super) orphans: String,
    pub(super) free: String,
    pub(super) sort: String,
    pub(super) size: String,
    pub(super) page: String,
}

fn word<T: std::str::FromStr>(text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| Error::BadRequest("there is no such filter; choose from the list"))
}

impl ListQuery {
    pub(super) fn filter(&self, name: &str) -> Result<Filter, Error> {
        let ticked = |text: &str| !text.is_empty();
        Ok(Filter {
            subnet: word::<SubnetId>(&self.subnet)?,
            status: word::<Status>(&self.status)?,
            kind: word::<Kind>(&self.kind)?,
            active: match self.active.as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
            conflict: ticked(&self.conflict).then_some(true),
            reserved_by: ticked(&self.mine).then(|| name.to_owned()),
            orphaned: ticked(&self.orphans),
            search: self.q.trim().to_owned(),
            expanded: self.free == "each",
        })
    }

    fn kept(&self) -> Vec<(&'static str, String)> {
        vec![
            ("q", self.q.trim().to_owned()),
            ("subnet", self.subnet.clone()),
            ("status", self.status.clone()),
            ("type", self.kind.clone()),
            ("active", self.active.clone()),
            ("conflict", self.conflict.clone()),
            ("mine", self.mine.clone()),
            ("orphans", self.orphans.clone()),
            ("free", self.free.clone()),
        ]
    }

    /// Whether anything but the subnet narrows the list.
    fn narrowed(&self) -> bool {
        let all = [&self.q, &self.status, &self.kind, &self.active, &self.conflict, &self.mine];
        all.iter().any(|text| !text.trim().is_empty()) || !self.orphans.is_empty()
    }
}

/// Where subnets are chosen.
pub(super) enum Choice {
    /// Among all there are.
    Among(Vec<Place>),
    /// By name; these could be meant.
    Named(Vec<Place>),
}

#[derive(Template)]
#[template(path = "ipam/addresses/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    sort: Sort,
    lines: Vec<Line>,
    pager: Pager,
    stats: Stats,
    /// How many a bulk change of all that match would change.
    selects: i128,
    place: Option<Place>,
    choice: Choice,
    /// What there is to say of the one address searched for.
    answer: Option<Exact>,
    no_subnets: bool,
    rights: Rights,
    /// Whether more match than were counted.
    more: bool,
    may_reserve: bool,
}

/// What a search for one address comes to.
struct Exact {
    sentence: String,
    /// Whether a subnet around it would help.
    missing: Option<Address>,
}

impl IndexPage {
    async fn new(by: &Operator, mut query: ListQuery) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let choice = choose(&mut tx, by, &mut query).await?;
        let filter = query.filter(by.name().as_str())?;
        let sort = pages::order(&query.sort)?;
        let at = pages::stretch(&query.page, pages::size(&query.size));
        let listing =
            list_known(&mut tx, Known::of(by.state()), by.tenant(), &filter, sort, at).await?;
        let ids: Vec<SubnetId> = filter.subnet.into_iter().collect();
        let place = places::named(&mut tx, by.tenant(), &ids).await?.pop();
        let rights = Rights::of(by);
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, query.kept(), at, listing.total).in_order(sort),
            lines: lines(&mut tx, by, listing.entries).await?,
            answer: exact(&mut tx, by, &filter).await?,
            no_subnets: matches!(&choice, Choice::Among(places) if places.is_empty()),
            selects: selects(&filter, &listing.stats),
            stats: listing.stats,
            more: listing.more,
            may_reserve: rights.reserve,
            rights,
            query,
            sort,
            place,
            choice,
        })
    }

    fn n(count: &i128) -> String {
        grouped(count)
    }

    /// The same list with each free address for itself, or without.
    fn toggled(&self) -> String {
        let mut query = self.query.clone();
        query.free = if query.free == "each" { String::new() } else { "each".to_owned() };
        query.page = String::new();
        let at = pages::stretch("1", self.pager.size);
        Pager::new(LIST, query.kept(), at, 0).in_order(self.sort).here()
    }

    /// Whether the word searched for is too short to be looked for everywhere.
    fn short(&self) -> bool {
        begins(&self.query.q)
    }

    /// Whether gaps are part of this list at all.
    fn has_gaps(&self) -> bool {
        self.query.status.is_empty()
            && self.lines.iter().any(|line| line.record.is_none() && !line.is_dhcp_space())
    }

    /// The parts of the bar: class, beginning and width, in hundredths.
    fn bar(&self) -> Vec<(&'static str, i128, i128)> {
        let parts =
            [("a", self.stats.allocated), ("r", self.stats.reserved), ("q", self.stats.quarantine)];
        let mut begin = 0;
        let mut bar = Vec::new();
        for (class, count) in parts {
            let mut width = self.stats.percent(count);
            if count > 0 {
                width = width.max(1);
            }
            bar.push((class, begin, width));
            begin += width;
        }
        bar
    }

    /// The bar in words.
    fn bar_label(&self) -> String {
        let percent = |count| self.stats.percent(count);
        format!(
            "{} % allocated, {} % reserved, {} % in quarantine",
            percent(self.stats.allocated),
            percent(self.stats.reserved),
            percent(self.stats.quarantine)
        )
    }

    /// What stands in the input for a subnet's name.
    fn within(&self) -> String {
        self.place
            .as_ref()
            .map_or_else(|| self.query.within.clone(), |place| place.cidr.to_string())
    }
}

/// Finds the subnet somebody names; what is left of the query says it by id only.
async fn choose(tx: &mut Tx, by: &Operator, query: &mut ListQuery) -> Result<Choice, Error> {
    let few = places::few(tx, by.tenant(), CHOICES).await?;
    let text = query.within.trim().to_owned();
    let mut meant = Vec::new();
    if !text.is_empty() {
        meant = places::meant(tx, by.tenant(), &text, CANDIDATES).await?;
        if let [only] = meant.as_slice() {
            query.subnet = only.id.to_string();
            query.within.clear();
            meant.clear();
        } else {
            query.subnet.clear();
        }
    }
    Ok(match few {
        Some(all) if query.within.trim().is_empty() => Choice::Among(all),
        _ => Choice::Named(meant),
    })
}

/// What there is to say when one address is searched for that has no row.
async fn exact(tx: &mut Tx, by: &Operator, filter: &Filter) -> Result<Option<Exact>, Error> {
    let Ok(address) = filter.search.parse::<Address>() else { return Ok(None) };
    let standing = standing(tx, by.tenant(), address).await?;
    let sentence = match &standing {
        Standing::Row(..) => return Ok(None),
        Standing::Free(subnet, Kind::Static) => format!("{address} is free in {}.", label(subnet)),
        Standing::Free(subnet, Kind::Dhcp) => {
            format!("{address} is free; the DHCP server of {} may give it out.", label(subnet))
        }
        Standing::Loose(subnet) => {
            format!(
                "{address} is in {} but in none of its pools; it can be reserved by hand.",
                label(subnet)
            )
        }
        Standing::Never(..) | Standing::Nowhere => {
            standing.obstacle(address).map(|refusal| format!("{refusal}.")).unwrap_or_default()
        }
    };
    let missing = matches!(standing, Standing::Nowhere).then_some(address);
    Ok(Some(Exact { sentence, missing }))
}

pub(super) async fn index(
    request: HttpRequest,
    by: Operator,
    query: web::Query<ListQuery>,
) -> Answer {
    let named = !query.within.trim().is_empty();
    let page = IndexPage::new(&by, query.into_inner()).await?;
    if named && page.query.within.is_empty() && !super::by_htmx(&request) {
        return Ok(see_other(&page.pager.here()));
    }
    ok(&page)
}

pub(super) async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}
