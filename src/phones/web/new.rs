//! Adding a phone, with its first line and its static address, in one step.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::LIST;
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::{ProfileId, SubnetId, UserId};
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::space::Space;
use crate::models::{Model, Vendor};
use crate::net::{Address, Mac};
use crate::phones::refusal::{Refusal, Sorted};
use crate::phones::types::{NewLine, NewPhone, Phone, Spec, Static};
use crate::phones::{create as create_phone, people, profiles};
use crate::text::Line;
use crate::users::{self, Email, NewUser, PersonName};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok};

/// Subnets a field proposes.
const PROPOSED: i64 = 100;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewForm {
    mac: Field,
    model: Field,
    label: Field,
    site: Field,
    profile: Field,
    /// `none`, `user` or `new`.
    who: String,
    extension: Field,
    name: Field,
    email: Field,
    /// `none`, `next` or `this`.
    address: String,
    subnet: Field,
    static_ip: Field,
}

/// Who is to have the first line.
enum Who {
    Nobody,
    User(UserId),
    New(NewUser),
}

/// What was typed, as far as it can be understood.
struct Wish {
    mac: Option<Mac>,
    model: Option<&'static Model>,
    label: Option<Line<60>>,
    site: Option<Line<60>>,
    profile: Option<Option<ProfileId>>,
    who: Option<Who>,
    subnet: Option<Option<SubnetId>>,
    address: Option<Static>,
}

impl Wish {
    /// Whether everything could be understood.
    fn is_whole(&self) -> bool {
        self.mac.is_some()
            && self.model.is_some()
            && self.label.is_some()
            && self.site.is_some()
            && self.profile.is_some()
            && self.who.is_some()
            && self.subnet.is_some()
            && self.address.is_some()
    }
}

impl NewForm {
    /// Understands every field before giving up, so that every error shows at once.
    async fn read(&mut self, tx: &mut Tx, by: &Operator) -> Result<Wish, Error> {
        let mac = self.mac.parse::<Mac>();
        Ok(Wish {
            mac,
            model: self.model(mac),
            label: self.label.parse(),
            site: self.site.parse(),
            profile: self.profile.parse_optional(),
            who: self.who(tx, by).await?,
            subnet: subnet(tx, by, &mut self.subnet).await?,
            address: self.address(),
        })
    }

    fn model(&mut self, mac: Option<Mac>) -> Option<&'static Model> {
        let text = self.model.value.clone();
        let Some((vendor, name)) = text.split_once('/') else {
            let maker = mac.and_then(Vendor::of);
            match maker {
                Some(maker) => self.model.reject(&format!(
                    "choose the model; by its MAC address it is a {}",
                    maker.title()
                )),
                None => self.model.reject(&"choose the model; it stands on the label"),
            }
            return None;
        };
        let found = vendor.parse::<Vendor>().map_err(|error| error.to_string());
        let found =
            found.and_then(|vendor| Model::find(vendor, name).map_err(|error| error.to_string()));
        found.map_err(|error| self.model.reject(&error)).ok()
    }

    async fn who(&mut self, tx: &mut Tx, by: &Operator) -> Result<Option<Who>, Error> {
        match self.who.as_str() {
            "new" => {
                let name = self.name.parse::<PersonName>();
                let email = self.email.parse::<Email>();
                let (Some(name), Some(email)) = (name, email) else { return Ok(None) };
                Ok(Some(Who::New(NewUser { name, email, number: None })))
            }
            "user" => {
                let user = person(tx, by, &mut self.extension).await?;
                if user == Some(None) {
                    self.extension.reject(&"enter a number or a name, or choose nobody");
                    return Ok(None);
                }
                Ok(user.flatten().map(Who::User))
            }
            _ => Ok(Some(Who::Nobody)),
        }
    }

    fn address(&mut self) -> Option<Static> {
        match self.address.as_str() {
            "next" if self.subnet.value.is_empty() => {
                self.subnet.reject(&Refusal::NoSubnetChosen);
                None
            }
            "next" => Some(Static::Next),
            "this" => self.static_ip.parse::<Address>().map(Static::This),
            _ => Some(Static::None),
        }
    }

    fn reject(&mut self, refusals: &[Refusal]) {
        for refusal in refusals {
            let field = match refusal.field().as_deref() {
                Some("mac") => &mut self.mac,
                Some("subnet") => &mut self.subnet,
                Some("profile") => &mut self.profile,
                Some("address") if self.address == "next" => &mut self.subnet,
                Some("address") => &mut self.static_ip,
                Some(line) if line.starts_with("line-") => &mut self.extension,
                _ => &mut self.model,
            };
            field.reject(refusal);
        }
    }

    /// Whose phone the MAC address stands for.
    fn maker(&self) -> Option<Vendor> {
        self.mac.value.parse::<Mac>().ok().and_then(Vendor::of)
    }
}

/// The one user a field means; nothing typed is `Some(None)`.
pub(super) async fn person(
    tx: &mut Tx,
    by: &Operator,
    field: &mut Field,
) -> Result<Option<Option<UserId>>, Error> {
    if field.value.is_empty() {
        return Ok(Some(None));
    }
    match people::user(tx, by.tenant(), &field.value).await? {
        Ok(user) => Ok(Some(Some(user))),
        Err(why) => {
            field.reject(&why);
            Ok(None)
        }
    }
}

/// The one subnet a field means; nothing typed is `Some(None)`.
pub(super) async fn subnet(
    tx: &mut Tx,
    by: &Operator,
    field: &mut Field,
) -> Result<Option<Option<SubnetId>>, Error> {
    if field.value.is_empty() {
        return Ok(Some(None));
    }
    match people::subnet(tx, by.tenant(), &field.value).await? {
        Ok(subnet) => Ok(Some(Some(subnet))),
        Err(why) => {
            field.reject(&why);
            Ok(None)
        }
    }
}

/// The subnets a field proposes.
pub(super) async fn proposed(tx: &mut Tx, by: &Operator) -> Result<Vec<Place>, Error> {
    Ok(places::first(tx, by.tenant(), PROPOSED).await?)
}

/// The makes, the one that is meant first, each with its models.
pub(super) fn catalogue(first: Option<Vendor>) -> Vec<(Vendor, Vec<&'static Model>)> {
    let others = Vendor::ALL.into_iter().filter(|vendor| Some(*vendor) != first);
    let all = first.into_iter().chain(others);
    all.map(|vendor| (vendor, vendor.models().collect())).collect()
}

#[derive(Template)]
#[template(path = "phones/new.html")]
struct NewPage {
    shell: Shell,
    form: NewForm,
    maker: Option<Vendor>,
    makes: Vec<(Vendor, Vec<&'static Model>)>,
    profiles: Vec<(String, String)>,
    subnets: Vec<Place>,
    /// What stands in the way and has a page of its own.
    links: Vec<(String, String)>,
    may_add_users: bool,
}

impl NewPage {
    async fn new(by: &Operator, form: NewForm, refusals: &[Refusal]) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let maker = form.maker();
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            maker,
            makes: catalogue(maker),
            profiles: profiles::choices(&mut tx, by.tenant()).await?,
            subnets: proposed(&mut tx, by).await?,
            links: links(refusals),
            may_add_users: by.may(Right::ManageUsers),
            form,
        })
    }
}

/// The sentences about what stands in the way, each with the page about it.
pub(super) fn links(refusals: &[Refusal]) -> Vec<(String, String)> {
    let linked = refusals.iter().filter_map(|refusal| Some((refusal, refusal.link()?)));
    linked.map(|(refusal, link)| (refusal.to_string(), link)).collect()
}

/// What a new phone may begin with, from links on other pages.
pub(super) async fn new(by: Operator, query: web::Query<NewForm>) -> Answer {
    ok(&NewPage::new(&by, query.into_inner(), &[]).await?)
}

pub(super) async fn create(by: Operator, form: Form<NewForm>) -> Answer {
    let mut form = form.0;
    let wish = form.read(&mut by.read().await?, &by).await?;
    let mut refusals = Vec::new();
    match attempt(&by, &mut form, wish, &mut refusals).await? {
        Some(phone) => {
            let said = match phone.lines.first() {
                Some(line) if form.who == "new" => {
                    format!("Added; {} has extension {}", line.name, line.number)
                }
                _ => "Added".to_owned(),
            };
            Ok(flash::done(&format!("{LIST}/{}", phone.mac.hex()), said))
        }
        None => invalid(&NewPage::new(&by, form, &refusals).await?),
    }
}

/// Adds the phone, and the user if there is to be a new one, in one transaction. Even if something
/// could not be understood the rest is tried, and taken back, so that everything that stands in
/// the way is known at once.
async fn attempt(
    by: &Operator,
    form: &mut NewForm,
    wish: Wish,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Phone>, Error> {
    let mut whole = wish.is_whole();
    let vault = &by.state().vault;
    let mut change = by.change().await?;
    let user = match wish.who {
        Some(Who::User(user)) => Some(user),
        Some(Who::New(_)) if !by.may(Right::ManageUsers) => return Err(Error::Forbidden),
        Some(Who::New(new)) => match users::create(&mut change, vault, &new).await {
            Ok((user, _)) => Some(user.id),
            Err(users::Refusal::Fault(error)) => return Err(error),
            Err(refusal) => {
                let is_email = refusal.field() == Some("email");
                let field = if is_email { &mut form.email } else { &mut form.name };
                field.reject(&refusal);
                whole = false;
                None
            }
        },
        Some(Who::Nobody) | None => None,
    };
    let (Some(mac), Some(model)) = (wish.mac, wish.model) else { return Ok(None) };
    let mut spec = Spec::new(model);
    spec.label = wish.label.unwrap_or_default();
    spec.site = wish.site.unwrap_or_default();
    spec.profile = wish.profile.flatten();
    spec.subnet = wish.subnet.flatten();
    spec.lines.extend(user.map(|user| NewLine { line: 1, user, label: Line::default() }));
    let new = NewPhone { mac, spec, address: wish.address.unwrap_or(Static::None) };
    let mut space = Space::open(&mut change, vault.entropy()).await?;
    match create_phone(&mut space, vault, &new).await {
        Ok(phone) if whole => {
            space.close().await?;
            change.commit().await?;
            Ok(Some(phone))
        }
        Ok(_) => Ok(None),
        Err(refused) => match refused.sorted() {
            Sorted::Fault(error) => Err(error),
            Sorted::Missing | Sorted::Stale(_) => Err(Error::NotFound),
            Sorted::Fields(fields) => {
                form.reject(&fields);
                *refusals = fields;
                Ok(None)
            }
        },
    }
}
