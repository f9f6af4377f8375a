//! What a phone is, where it stands and who has its lines.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::new::{catalogue, links, person, proposed, subnet};
use super::{LIST, find};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::id::ProfileId;
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::space::Space;
use crate::models::{Model, Vendor};
use crate::net::Mac;
use crate::phones::profiles;
use crate::phones::refusal::{Refusal, Refusals, Sorted};
use crate::phones::types::{Edit, NewLine, Phone};
use crate::text::Line;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, respond};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct EditForm {
    label: Field,
    site: Field,
    notes: Field,
    model: Field,
    subnet: Field,
    profile: Field,
    /// A number or a name for each line, the first first.
    line: Vec<Field>,
    line_label: Vec<Field>,
    version: i64,
}

impl EditForm {
    async fn of(tx: &mut Tx, by: &Operator, phone: &Phone) -> Result<Self, Error> {
        let place = places::one(tx, by.tenant(), phone.subnet).await?;
        let count = usize::from(phone.model.lines);
        let mut form = Self {
            label: Field::holding(&phone.label),
            site: Field::holding(&phone.site),
            notes: Field::holding(&phone.notes),
            model: Field::holding(&phone.model.key()),
            subnet: place.map(|place| Field::holding(&place.cidr)).unwrap_or_default(),
            profile: phone.profile.map(|id| Field::holding(&id)).unwrap_or_default(),
            line: vec![Field::default(); count],
            line_label: vec![Field::default(); count],
            version: phone.version,
        };
        for line in &phone.lines {
            let at = usize::from(line.line.saturating_sub(1));
            if let Some(field) = form.line.get_mut(at) {
                *field = Field::holding(&line.number);
            }
            if let Some(field) = form.line_label.get_mut(at) {
                *field = Field::holding(&line.label);
            }
        }
        Ok(form)
    }

    /// Understands every field before giving up. Who may only describe a phone changes nothing
    /// else, whatever was sent.
    async fn read(&mut self, tx: &mut Tx, by: &Operator) -> Result<Option<Edit>, Error> {
        let label = self.label.parse::<Line<60>>();
        let notes = self.notes.parse::<Line<500>>();
        if !by.may(Right::ManagePhones) {
            let edit = |label, notes| Edit { label, notes, ..Edit::default() };
            let whole = label.is_some() && notes.is_some();
            return Ok(whole.then(|| edit(label, notes)));
        }
        let site = self.site.parse::<Line<60>>();
        let model = self.model();
        let profile = self.profile.parse_optional::<ProfileId>();
        let subnet = subnet(tx, by, &mut self.subnet).await?;
        let lines = self.lines(tx, by).await?;
        let whole = label.is_some()
            && notes.is_some()
            && site.is_some()
            && model.is_some()
            && profile.is_some()
            && subnet.is_some()
            && lines.is_some();
        let edit = Edit { model, label, site, subnet, notes, profile, lines, ..Edit::default() };
        Ok(whole.then_some(edit))
    }

    fn model(&mut self) -> Option<&'static Model> {
        let text = self.model.value.clone();
        let (vendor, name) = text.split_once('/').unwrap_or((&text, ""));
        let found = vendor.parse::<Vendor>().map_err(|error| error.to_string());
        let found =
            found.and_then(|vendor| Model::find(vendor, name).map_err(|error| error.to_string()));
        found.map_err(|error| self.model.reject(&error)).ok()
    }

    async fn lines(&mut self, tx: &mut Tx, by: &Operator) -> Result<Option<Vec<NewLine>>, Error> {
        let mut lines = Vec::new();
        let mut whole = true;
        self.line_label.resize(self.line.len(), Field::default());
        for ((field, label), line) in self.line.iter_mut().zip(&mut self.line_label).zip(1_u8..) {
            let (user, label) = (person(tx, by, field).await?, label.parse::<Line<40>>());
            match (user, label) {
                (Some(Some(user)), Some(label)) => lines.push(NewLine { line, user, label }),
                (Some(None), Some(_)) => {}
                _ => whole = false,
            }
        }
        Ok(whole.then_some(lines))
    }

    fn reject(&mut self, refusals: &[Refusal]) {
        for refusal in refusals {
            let named = refusal.field().unwrap_or_default();
            let at = named.strip_prefix("line-").and_then(|line| line.parse::<usize>().ok());
            let line = at.and_then(|line| self.line.get_mut(line.saturating_sub(1)));
            let field = match (line, named.as_str()) {
                (Some(line), _) => line,
                (None, "subnet") => &mut self.subnet,
                (None, "profile") => &mut self.profile,
                (None, _) => &mut self.model,
            };
            field.reject(refusal);
        }
    }

    /// Each line: its number, who has it, and what stands beside it.
    fn rows(&self) -> impl Iterator<Item = (usize, &Field, &Field)> {
        let both = self.line.iter().zip(&self.line_label);
        both.enumerate().map(|(at, (line, label))| (at + 1, line, label))
    }
}

#[derive(Template)]
#[template(path = "phones/edit.html")]
struct EditPage {
    shell: Shell,
    phone: Phone,
    form: EditForm,
    makes: Vec<(Vendor, Vec<&'static Model>)>,
    profiles: Vec<(String, String)>,
    subnets: Vec<Place>,
    links: Vec<(String, String)>,
    /// Somebody changed the phone meanwhile.
    stale: bool,
    may_manage: bool,
}

impl EditPage {
    async fn new(by: &Operator, mac: Mac, form: Option<EditForm>) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let phone = find(&mut tx, by, mac).await?;
        let form = match form {
            Some(form) => form,
            None => EditForm::of(&mut tx, by, &phone).await?,
        };
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            makes: catalogue(Some(phone.vendor())),
            profiles: profiles::choices(&mut tx, by.tenant()).await?,
            subnets: proposed(&mut tx, by).await?,
            links: Vec::new(),
            stale: false,
            may_manage: by.may(Right::ManagePhones),
            phone,
            form,
        })
    }
}

pub(super) async fn page(by: Operator, mac: web::Path<Mac>) -> Answer {
    respond(StatusCode::OK, &EditPage::new(&by, *mac, None).await?)
}

pub(super) async fn update(by: Operator, mac: web::Path<Mac>, form: Form<EditForm>) -> Answer {
    let mut form = form.0;
    let mut tx = by.read().await?;
    find(&mut tx, &by, *mac).await?;
    let edit = form.read(&mut tx, &by).await?;
    drop(tx);
    let Some(edit) = edit else {
        return respond(
            StatusCode::UNPROCESSABLE_ENTITY,
            &EditPage::new(&by, *mac, Some(form)).await?,
        );
    };
    match save(&by, *mac, Some(form.version), &edit).await {
        Ok((phone, changed)) => {
            Ok(flash::done_if(changed, &format!("{LIST}/{}", phone.mac.hex()), "Saved"))
        }
        Err(refusals) => match refusals.sorted() {
            Sorted::Fault(error) => Err(error),
            Sorted::Missing => Err(Error::NotFound),
            Sorted::Stale(now) => {
                // Saving once more is then meant to overwrite what is shown.
                form.version = now.version;
                let page = EditPage { stale: true, ..EditPage::new(&by, *mac, Some(form)).await? };
                respond(StatusCode::PRECONDITION_FAILED, &page)
            }
            Sorted::Fields(fields) => {
                form.reject(&fields);
                let page = EditPage {
                    links: links(&fields),
                    ..EditPage::new(&by, *mac, Some(form)).await?
                };
                respond(StatusCode::UNPROCESSABLE_ENTITY, &page)
            }
        },
    }
}

/// Saves an edit; whether anything was different.
pub(super) async fn save(
    by: &Operator,
    mac: Mac,
    version: Option<i64>,
    edit: &Edit,
) -> Result<(Phone, bool), Refusals> {
    let mut change = by.change().await.map_err(Refusal::Fault)?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let phone = crate::phones::update(&mut space, mac, version, edit).await?;
    space.close().await?;
    let changed = change.commit_if_any().await?;
    Ok((phone, changed))
}
