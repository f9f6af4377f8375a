//! A phone's page: what it is, who it rings for, where it is, and what it is told.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::edit::save;
use super::new::links;
use super::{LIST, find};
use crate::audit::{self, Page, Record};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::addresses::{self, Claim};
use crate::lifecycle::{self, Assignment, State};
use crate::models::Kind;
use crate::net::{Address, Mac};
use crate::phones::layer_form::{meaning, origin};
use crate::phones::list::{self, Filter};
use crate::phones::refusal::{Refusal, Sorted};
use crate::phones::settings::Resolved;
use crate::phones::types::{Edit, KeyKind, Keys, Phone, Static};
use crate::phones::{profiles, resolved};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, respond};

/// Lines of history a page shows.
const SHOWN: i64 = 20;

/// What a phone's page shows besides the phone.
pub(super) enum Shown {
    Plain,
    /// What it signs in with, just made.
    Renewed(Keys),
    /// What it signs in with, shown once more.
    Revealed(Keys),
    WrongPassword(String),
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AddressForm {
    /// `none`, `next` or `this`.
    address: String,
    subnet: Field,
    static_ip: Field,
}

#[derive(Template)]
#[template(path = "phones/show.html")]
pub(super) struct ShowPage {
    shell: Shell,
    phone: Phone,
    /// Which of its numbers are registered.
    registered: Vec<String>,
    place: Option<Place>,
    /// The subnet whose site the phone stands at.
    site_of: Option<Place>,
    profile: Option<String>,
    settings: Resolved,
    /// The life of its address.
    assignment: Option<Assignment>,
    /// Others who want its address.
    claims: Vec<Claim>,
    history: Vec<Record>,
    shown: Shown,
    /// Its provisioning URL up to the token.
    base: String,
    form: AddressForm,
    links: Vec<(String, String)>,
    may_edit: bool,
    may_manage: bool,
    may_reveal: bool,
}

impl ShowPage {
    pub(super) async fn new(by: &Operator, mac: Mac, shown: Shown) -> Result<Self, Error> {
        let (tenant, mut tx) = (by.tenant(), by.read().await?);
        let phone = find(&mut tx, by, mac).await?;
        let place = places::one(&mut tx, tenant, phone.subnet).await?;
        let site_of = places::one(&mut tx, tenant, phone.whereabouts.subnet).await?;
        let profile = match phone.profile {
            Some(id) => profiles::get(&mut tx, tenant, id).await?,
            None => None,
        };
        let (assignment, claims) = match phone.address {
            Some(address) => (
                lifecycle::at(&mut tx, tenant, address).await?,
                addresses::claims_on(&mut tx, tenant, address).await?,
            ),
            None => (None, Vec::new()),
        };
        let page = Page { offset: 0, limit: SHOWN };
        let form = AddressForm {
            subnet: place.as_ref().map(|place| Field::holding(&place.cidr)).unwrap_or_default(),
            ..AddressForm::default()
        };
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            registered: registered(&mut tx, by, mac).await?,
            settings: resolved(&mut tx, tenant, &phone).await?,
            history: audit::of(&mut tx, tenant, &mac.hex(), page).await?,
            profile: profile.map(|profile| profile.spec.name.to_string()),
            base: format!("{}/provision/", by.state().phones_url),
            links: Vec::new(),
            may_edit: by.may(Right::EditPhones),
            may_manage: by.may(Right::ManagePhones),
            may_reveal: by.may(Right::Reveal),
            phone,
            place,
            site_of,
            assignment,
            claims,
            shown,
            form,
        })
    }

    fn keys(&self) -> Option<&Keys> {
        match &self.shown {
            Shown::Renewed(keys) | Shown::Revealed(keys) => Some(keys),
            Shown::Plain | Shown::WrongPassword(_) => None,
        }
    }

    fn is_registered(&self, number: &impl ToString) -> bool {
        self.registered.contains(&number.to_string())
    }

    /// Each setting: what it is called, its value in words, where that comes from, and whether
    /// that is the phone itself.
    fn rows(&self) -> Vec<(&'static str, String, String, bool)> {
        let row = |(setting, valued): (&'static crate::phones::settings::Setting, _)| {
            let valued: &crate::phones::settings::Valued = valued;
            let own = valued.origin == crate::phones::settings::Origin::Phone;
            (setting.title, meaning(setting, &valued.value), origin(&valued.origin), own)
        };
        self.settings.iter().map(row).collect()
    }

    fn is_ata(&self) -> bool {
        self.phone.model.kind == Kind::Ata
    }
}

/// The numbers of a phone that are registered.
async fn registered(tx: &mut Tx, by: &Operator, mac: Mac) -> Result<Vec<String>, Error> {
    let filter = Filter { search: mac.hex(), ..Filter::default() };
    let page = Page { offset: 0, limit: 25 };
    let (found, _) =
        list::list(tx, &by.state().counted, by.tenant(), &filter, list::Sort::Mac, page).await?;
    let own = found.into_iter().find(|phone| phone.mac == mac);
    let lines = own.into_iter().flat_map(|phone| phone.lines);
    Ok(lines.filter(|line| line.registered).map(|line| line.number.to_string()).collect())
}

pub(super) async fn show(by: Operator, mac: web::Path<Mac>) -> Answer {
    respond(StatusCode::OK, &ShowPage::new(&by, *mac, Shown::Plain).await?)
}

impl AddressForm {
    fn wish(&mut self) -> Option<Static> {
        match self.address.as_str() {
            "next" => Some(Static::Next),
            "this" => self.static_ip.parse::<Address>().map(Static::This),
            _ => Some(Static::None),
        }
    }

    fn reject(&mut self, refusals: &[Refusal]) {
        for refusal in refusals {
            let of_subnet = self.address == "next" || refusal.field().as_deref() == Some("subnet");
            let field = if of_subnet { &mut self.subnet } else { &mut self.static_ip };
            field.reject(refusal);
        }
    }
}

/// Gives a phone a static address, or takes it away.
pub(super) async fn address(by: Operator, mac: web::Path<Mac>, form: Form<AddressForm>) -> Answer {
    let mut form = form.0;
    let mut tx = by.read().await?;
    find(&mut tx, &by, *mac).await?;
    let wish = form.wish();
    let subnet = match form.address.as_str() {
        "next" => super::new::subnet(&mut tx, &by, &mut form.subnet).await?,
        _ => Some(None),
    };
    drop(tx);
    let (Some(wish), Some(subnet)) = (wish, subnet) else {
        let page = ShowPage { form, ..ShowPage::new(&by, *mac, Shown::Plain).await? };
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    // An address that is wished for names its subnet; the next one is that of the subnet named.
    let subnet = match wish {
        Static::Next => subnet.map(Some),
        Static::This(_) => Some(None),
        Static::None => None,
    };
    let edit = Edit { address: Some(wish), subnet, ..Edit::default() };
    match save(&by, *mac, None, &edit).await {
        Ok((phone, changed)) => {
            let said = match phone.address {
                Some(address) => format!("It has {address}"),
                None => "It has no static address any more".to_owned(),
            };
            Ok(flash::done_if(changed, &format!("{LIST}/{}", mac.hex()), &said))
        }
        Err(refusals) => match refusals.sorted() {
            Sorted::Fault(error) => Err(error),
            Sorted::Missing | Sorted::Stale(_) => Err(Error::NotFound),
            Sorted::Fields(fields) => {
                form.reject(&fields);
                let page = ShowPage::new(&by, *mac, Shown::Plain).await?;
                let page = ShowPage { form, links: links(&fields), ..page };
                respond(StatusCode::UNPROCESSABLE_ENTITY, &page)
            }
        },
    }
}
