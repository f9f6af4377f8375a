//! Phones nobody has added that asked for a file.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{NAV, PathMac};
use crate::audit::Page;
use crate::auth::{Operator, Right};
use crate::phones::{self, Model, Sorted, Vendor};
use crate::provision::Provisioner;
use crate::provision::adopt::{self, Wish};
use crate::provision::queries::pages::{self, Waiting};
use crate::provision::windows;
use crate::web::form::{Field, Form, Tick};
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, flash, ok, respond};

const LIST: &str = "/phones/waiting";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    size: String,
    page: String,
}

#[derive(Template)]
#[template(path = "provision/waiting.html")]
struct IndexPage {
    shell: Shell,
    waiting: Vec<Waiting>,
    pager: Pager,
    /// Whether there is a subnet in which phones may wait.
    anywhere: bool,
    may_manage: bool,
}

pub(super) async fn index(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    query: web::Query<ListQuery>,
) -> Answer {
    provisioner.flush().await?;
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let at = list::stretch(&query.page, list::size(&query.size));
    let total = pages::count_waiting(&mut tx, tenant).await?;
    let places = pages::places(&mut tx, tenant).await?;
    ok(&IndexPage {
        shell: by.shell(&mut tx, NAV).await?,
        waiting: pages::waiting(&mut tx, tenant, None, at).await?,
        pager: Pager::new(LIST, Vec::new(), at, total),
        anywhere: places.iter().any(|place| place.chosen),
        may_manage: by.may(Right::ManagePhones),
    })
}

// One of them

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AdoptForm {
    model: Field,
    label: Field,
    extension: Field,
    address: Tick,
    /// What stands in the way without being one field's fault.
    #[serde(skip)]
    error: Option<String>,
}

impl AdoptForm {
    fn of(waiting: &Waiting) -> Self {
        Self {
            model: Field::holding(&waiting.guess().map(Model::key).unwrap_or_default()),
            address: Tick(waiting.subnet.is_some()),
            ..Self::default()
        }
    }

    fn parse(&mut self) -> Option<Wish> {
        let model = match self.model.value.split_once('/') {
            Some((vendor, name)) => {
                vendor.parse::<Vendor>().ok().and_then(|vendor| Model::find(vendor, name).ok())
            }
            None => None,
        };
        if model.is_none() {
            self.model.reject(&"choose what it is");
        }
        let label = self.label.parse();
        let extension = self.extension.parse_optional();
        Some(Wish { model: model?, label: label?, extension: extension?, address: self.address.0 })
    }
}

#[derive(Template)]
#[template(path = "provision/adopt.html")]
struct AdoptPage {
    shell: Shell,
    waiting: Waiting,
    form: AdoptForm,
    models: Vec<(String, String)>,
}

impl AdoptPage {
    async fn new(by: &Operator, waiting: Waiting, form: AdoptForm) -> Result<Self, Error> {
        let vendor = waiting.vendor.parse::<Vendor>().ok();
        // Those of its make first.
        let mut models: Vec<&Model> = Vendor::ALL.into_iter().flat_map(Vendor::models).collect();
        models.sort_by_key(|model| Some(model.vendor) != vendor);
        let models = models.into_iter().map(|model| (model.key(), model.to_string())).collect();
        Ok(Self { shell: by.shell(&mut by.read().await?, NAV).await?, waiting, form, models })
    }
}

async fn find(by: &Operator, mac: PathMac) -> Result<Waiting, Error> {
    let one = Page { offset: 0, limit: 1 };
    let found = pages::waiting(&mut by.read().await?, by.tenant(), Some(mac.0), one).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

pub(super) async fn page(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<PathMac>,
) -> Answer {
    provisioner.flush().await?;
    let waiting = find(&by, *mac).await?;
    let form = AdoptForm::of(&waiting);
    ok(&AdoptPage::new(&by, waiting, form).await?)
}

/// Adds the phone, with a line and an address if wished, and opens its window, all at once. The list
/// sends what [`AdoptForm::of`] would hold; what stands in the way is shown with the form.
pub(super) async fn create(
    by: Operator,
    provisioner: web::Data<Provisioner>,
    mac: web::Path<PathMac>,
    form: Form<AdoptForm>,
) -> Answer {
    provisioner.flush().await?;
    let (waiting, mut form) = (find(&by, *mac).await?, form.0);
    let Some(wish) = form.parse() else {
        return respond(
            StatusCode::UNPROCESSABLE_ENTITY,
            &AdoptPage::new(&by, waiting, form).await?,
        );
    };
    let mut change = by.change().await?;
    match adopt::adopt(&mut change, &by.state().vault, &waiting, wish).await {
        Ok(phone) => {
            change.commit().await?;
            provisioner.forgive(waiting.address);
            let sentence =
                format!("{} added; it may fetch its file within the hour", phone.title());
            Ok(flash::done(&format!("/phones/{}", waiting.mac.hex()), sentence))
        }
        Err(refusals) => {
            drop(change);
            let refusals = match refusals.sorted() {
                Sorted::Fault(error) => return Err(error),
                Sorted::Missing | Sorted::Stale(_) => return Err(Error::NotFound),
                Sorted::Fields(refusals) => refusals,
            };
            let conflict = refusals.iter().any(phones::Refusal::is_conflict);
            for refusal in &refusals {
                match (refusal, refusal.field().as_deref()) {
                    (phones::Refusal::NoUser { .. }, _) => {
                        form.extension.reject(&"there is no user with this extension");
                    }
                    (_, Some("line-1")) => form.extension.reject(refusal),
                    _ => form.error = Some(refusal.to_string()),
                }
            }
            let status =
                if conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            respond(status, &AdoptPage::new(&by, waiting, form).await?)
        }
    }
}

pub(super) async fn dismiss(by: Operator, mac: web::Path<PathMac>) -> Answer {
    let mut change = by.change().await?;
    if !windows::dismiss(&mut change, mac.0).await? {
        return Err(Error::NotFound);
    }
    change.commit().await?;
    Ok(flash::done(LIST, format!("{} dismissed; it is back when it asks again", mac.0)))
}
