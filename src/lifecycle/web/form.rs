//! The form with which somebody gets an address or a prefix.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::LIST;
use crate::auth::Operator;
use crate::ipam::addresses::places::{self, Person};
use crate::ipam::addresses::{Holder, HolderKind, Hostname, Tenure};
use crate::ipam::prefixes::{self, PrefixLength};
use crate::ipam::space::Source;
use crate::ipam::subnets;
use crate::lifecycle::act::{self, Act};
use crate::lifecycle::types::{Family, How, Leased, Origin, Role, SubscriberId, Wanted};
use crate::lifecycle::{KINDS, Refusal};
use crate::net::{Address, Cidr, Mac};
use crate::text::Line;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, ok, respond};

/// Places a form offers.
const OFFERED: usize = 200;
/// People a form asks about.
const PEOPLE: i64 = 20;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewForm {
    family: Field,
    kind: String,
    holder: Field,
    /// The one chosen of several people.
    person: String,
    name: Field,
    role: Field,
    /// `subnet ID`, `pool ID` of prefixes, or nothing.
    from: Field,
    wish: Field,
    length: Field,
    hostname: Field,
    mac: Field,
    username: Field,
    #[serde(skip)]
    people: Vec<Person>,
}

impl NewForm {
    /// Parses every field before giving up, so that every error shows at once. The holder of a
    /// user is looked up afterwards.
    fn parse(&mut self) -> Option<(Wanted, How)> {
        let family = self.family.parse::<Family>();
        let role = self.role.parse_optional::<Role>();
        let length = self.length.parse_optional::<PrefixLength>();
        let (hostname, mac) = (self.hostname.parse::<Hostname>(), self.mac.parse_optional::<Mac>());
        let username = self.username.parse_optional::<SubscriberId>();
        let name = self.name.parse::<Line<100>>();
        let (from, wish) = (self.from(), self.wish());
        let holder = self.holder();
        let (family, length) = (family?, length?);
        if family != Family::Prefix && length.is_some() {
            self.length.reject(&"only a prefix has a length");
            return None;
        }
        let holder = Holder { name: name?.to_string(), ..holder? };
        let tenure = Tenure { hostname: hostname?, mac: mac?, ..Tenure::of(holder) };
        let role = role?.unwrap_or_default();
        let wanted = Wanted { family, tenure, role, from: from?, wish: wish?, length };
        Some((wanted, How { username: username?, ..How::default() }))
    }

    fn from(&mut self) -> Option<Origin> {
        let origin = match self.from.value.split_once(' ') {
            None if self.from.value.is_empty() => Some(Origin::Anywhere),
            Some(("subnet", id)) => id.parse().ok().map(|id| Origin::Addresses(Source::Subnet(id))),
            Some(("prefixes", id)) => id.parse().ok().map(Origin::Prefixes),
            _ => None,
        };
        if origin.is_none() {
            self.from.reject(&"choose where it is to come from");
        }
        origin
    }

    fn wish(&mut self) -> Option<Option<Leased>> {
        if self.wish.value.contains('/') {
            let wish = self.wish.parse_optional::<Cidr>()?;
            return Some(wish.map(Leased::Prefix));
        }
        Some(self.wish.parse_optional::<Address>()?.map(Leased::Address))
    }

    fn holder(&mut self) -> Option<Holder> {
        let kind = KINDS.into_iter().find(|kind| kind.as_str() == self.kind);
        let kind = kind.unwrap_or(HolderKind::External);
        if self.holder.value.trim().is_empty() {
            self.holder.reject(&"say who gets it");
            return None;
        }
        let id = if kind == HolderKind::User {
            self.holder.value.trim().to_owned()
        } else {
            self.holder.parse::<SubscriberId>()?.to_string()
        };
        Some(Holder { kind, id, name: String::new() })
    }

    /// The user meant, if it can be only one; else the form asks who of them.
    fn choose(&mut self, people: Vec<Person>) -> Option<String> {
        let chosen = people.iter().find(|person| person.id.to_string() == self.person);
        match (chosen, people.as_slice()) {
            (Some(chosen), _) => Some(chosen.id.to_string()),
            (None, [only]) => Some(only.id.to_string()),
            (None, []) => {
                self.holder.reject(&"no user has this number, name or id");
                None
            }
            (None, _) => {
                self.holder.reject(&"who of them?");
                self.people = people;
                None
            }
        }
    }

    /// Puts a refusal beside the field it is about.
    fn reject(&mut self, refusal: &Refusal) {
        let field = match refusal.field() {
            Some("requested_address") => &mut self.wish,
            Some("pool_id" | "subnet_id") => &mut self.from,
            Some("hostname") => &mut self.hostname,
            _ => &mut self.holder,
        };
        field.reject(refusal);
    }
}

/// A place a form offers.
struct Offer {
    value: String,
    label: String,
}

#[derive(Template)]
#[template(path = "lifecycle/new.html")]
struct NewPage {
    shell: Shell,
    form: NewForm,
    offers: Vec<Offer>,
}

impl NewPage {
    async fn new(by: &Operator, form: NewForm) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let pools = subnets::all_pools(&mut tx, tenant).await?;
        let gives = |id| {
            pools.get(id).is_some_and(|pools: &Vec<subnets::Pool>| {
                pools.iter().any(|pool| pool.kind == subnets::PoolKind::Static)
            })
        };
        let subnets = subnets::all(&mut tx, tenant).await?;
        let mut offers: Vec<Offer> = prefixes::list(&mut tx, tenant)
            .await?
            .into_iter()
            .map(|pool| Offer {
                value: format!("prefixes {}", pool.id),
                label: format!("prefixes of {} ({})", pool.name, pool.cidr),
            })
            .collect();
        let more = subnets.iter().filter(|subnet| gives(&subnet.id)).map(|subnet| Offer {
            value: format!("subnet {}", subnet.id),
            label: format!("{} ({})", subnet.name, subnet.cidr),
        });
        offers.extend(more.take(OFFERED));
        Ok(Self { shell: by.shell(&mut tx, LIST).await?, form, offers })
    }

    fn offered(&self, offer: &Offer) -> bool {
        self.form.from.value == offer.value
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewQuery {
    kind: String,
    holder: String,
}

pub(super) async fn new(by: Operator, query: web::Query<NewQuery>) -> Answer {
    let query = query.into_inner();
    let kind = if query.kind.is_empty() { "user".to_owned() } else { query.kind };
    let holder = Field::from(query.holder);
    ok(&NewPage::new(&by, NewForm { kind, holder, ..NewForm::default() }).await?)
}

pub(super) async fn create(by: Operator, form: Form<NewForm>) -> Answer {
    let mut form = form.0;
    let Some((mut wanted, how)) = form.parse() else {
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &NewPage::new(&by, form).await?);
    };
    if wanted.tenure.holder.kind == HolderKind::User {
        let mut tx = by.read().await?;
        let people = places::people(&mut tx, by.tenant(), &wanted.tenure.holder.id, PEOPLE).await?;
        drop(tx);
        match form.choose(people) {
            Some(id) => wanted.tenure.holder.id = id,
            None => {
                return respond(StatusCode::UNPROCESSABLE_ENTITY, &NewPage::new(&by, form).await?);
            }
        }
    }
    match act::run(&by, &Act::Allocate(Box::new(wanted)), &how).await {
        Ok(done) => {
            let path = format!("{LIST}/{}", done.assignment.id);
            Ok(flash::done(&path, format!("{}: allocated", done.assignment.label())))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            form.reject(&refusal);
            let status = match refusal {
                Refusal::Field { .. } | Refusal::AddressNotInPool(_) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
                _ => StatusCode::CONFLICT,
            };
            respond(status, &NewPage::new(&by, form).await?)
        }
    }
}
