//! Adding and changing hosts, on pages of their own and in the list's rows.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::super::types::{Host, HostName, Spec};
use super::super::{Refusal, Saved};
use super::{LIST, RowFragment, find};
use crate::auth::Operator;
use crate::id::HostId;
use crate::ipam::space::Space;
use crate::net::{Address, Mac};
use crate::text::Line;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct HostForm {
    hostname: Field,
    primary_ip: Field,
    nic_mac: Field,
    bmc_ip: Field,
    bmc_mac: Field,
    device_type: Field,
    manufacturer: Field,
    description: Field,
    version: i64,
}

fn shown(value: Option<impl ToString>) -> Field {
    value.map(|value| Field::holding(&value)).unwrap_or_default()
}

impl HostForm {
    fn of(host: &Host) -> Self {
        let spec = &host.spec;
        Self {
            hostname: Field::holding(&spec.hostname),
            primary_ip: shown(spec.primary_ip),
            nic_mac: shown(spec.nic_mac),
            bmc_ip: shown(spec.bmc_ip),
            bmc_mac: shown(spec.bmc_mac),
            device_type: Field::holding(&spec.device_type),
            manufacturer: Field::holding(&spec.manufacturer),
            description: Field::holding(&spec.description),
            version: host.version,
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self) -> Option<Spec> {
        let hostname = self.hostname.parse::<HostName>();
        let primary_ip = self.primary_ip.parse_optional::<Address>();
        let nic_mac = self.nic_mac.parse_optional::<Mac>();
        let bmc_ip = self.bmc_ip.parse_optional::<Address>();
        let bmc_mac = self.bmc_mac.parse_optional::<Mac>();
        let device_type = self.device_type.parse::<Line<100>>();
        let manufacturer = self.manufacturer.parse::<Line<100>>();
        let description = self.description.parse::<Line<500>>();
        Some(Spec {
            hostname: hostname?,
            primary_ip: primary_ip?,
            nic_mac: nic_mac?,
            bmc_ip: bmc_ip?,
            bmc_mac: bmc_mac?,
            device_type: device_type?,
            manufacturer: manufacturer?,
            description: description?,
        })
    }

    /// Puts a refusal beside the field it is about.
    fn reject(&mut self, refusal: &Refusal) {
        match refusal.field() {
            Some("primary_ip") => self.primary_ip.reject(refusal),
            Some("bmc_ip") => self.bmc_ip.reject(refusal),
            _ => self.hostname.reject(refusal),
        }
    }

    fn named(&self) -> [(&'static str, &Field); 8] {
        [
            ("Host name", &self.hostname),
            ("Primary IP", &self.primary_ip),
            ("NIC MAC", &self.nic_mac),
            ("BMC IP", &self.bmc_ip),
            ("BMC MAC", &self.bmc_mac),
            ("Device type", &self.device_type),
            ("Manufacturer", &self.manufacturer),
            ("Description", &self.description),
        ]
    }

    /// What of `theirs` is not what was typed here.
    fn differences(&self, theirs: &Host) -> Vec<(&'static str, String)> {
        let theirs = Self::of(theirs);
        let pairs = self.named().into_iter().zip(theirs.named());
        pairs
            .filter(|((_, mine), (_, other))| mine.value != other.value)
            .map(|((title, _), (_, other))| (title, other.value.clone()))
            .collect()
    }
}

#[derive(Template)]
#[template(path = "ipam/hosts/new.html")]
struct NewPage {
    shell: Shell,
    form: HostForm,
}

impl NewPage {
    async fn new(by: &Operator, form: HostForm) -> Result<Self, Error> {
        Ok(Self { shell: by.shell(&mut by.read().await?, LIST).await?, form })
    }
}

/// What a new host may begin with, from links on other pages.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Beginning {
    primary_ip: String,
}

pub(super) async fn new(by: Operator, query: web::Query<Beginning>) -> Answer {
    let primary_ip = Field::from(query.into_inner().primary_ip);
    ok(&NewPage::new(&by, HostForm { primary_ip, ..HostForm::default() }).await?)
}

/// Saves a new host, or `id` as it was at the form's version. Whether anything was different.
async fn save(
    by: &Operator,
    id: Option<(HostId, i64)>,
    spec: &Spec,
) -> Result<(Saved, bool), Refusal> {
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let saved = match id {
        None => super::super::create(&mut space, spec).await?,
        Some((id, version)) => super::super::update(&mut space, id, Some(version), spec).await?,
    };
    space.close().await?;
    let changed = change.commit_if_any().await?;
    Ok((saved, changed))
}

pub(super) async fn create(by: Operator, form: Form<HostForm>) -> Answer {
    let mut form = form.0;
    let Some(spec) = form.parse() else { return invalid(&NewPage::new(&by, form).await?) };
    match save(&by, None, &spec).await {
        Ok((saved, _)) => {
            let said = if saved.conflicts.is_empty() { "Added" } else { "Added, with a conflict" };
            Ok(flash::done(&format!("{LIST}/{}", saved.host.id), said))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            form.reject(&refusal);
            invalid(&NewPage::new(&by, form).await?)
        }
    }
}

/// What became of an edit.
enum Edited {
    /// The host, and whether anything was different.
    Done(Saved, bool),
    Refused(StatusCode, HostForm, Option<Vec<(&'static str, String)>>),
}

async fn apply_edit(by: &Operator, id: HostId, mut form: HostForm) -> Result<Edited, Error> {
    let Some(spec) = form.parse() else {
        // Somebody else's host, or none, is not there, whatever was typed.
        find(&mut by.read().await?, by, id).await?;
        return Ok(Edited::Refused(StatusCode::UNPROCESSABLE_ENTITY, form, None));
    };
    match save(by, Some((id, form.version)), &spec).await {
        Ok((saved, changed)) => Ok(Edited::Done(saved, changed)),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Stale(theirs)) => {
            // Saving once more is then meant to overwrite what was shown.
            form.version = theirs.version;
            let theirs = form.differences(&theirs);
            Ok(Edited::Refused(StatusCode::PRECONDITION_FAILED, form, Some(theirs)))
        }
        Err(refusal) => {
            form.reject(&refusal);
            Ok(Edited::Refused(StatusCode::UNPROCESSABLE_ENTITY, form, None))
        }
    }
}

#[derive(Template)]
#[template(path = "ipam/hosts/edit.html")]
struct EditPage {
    shell: Shell,
    id: HostId,
    form: HostForm,
    /// What somebody else made of the host meanwhile, as far as it is not what was typed.
    theirs: Option<Vec<(&'static str, String)>>,
}

pub(super) async fn edit_page(by: Operator, id: web::Path<HostId>) -> Answer {
    let mut tx = by.read().await?;
    let host = find(&mut tx, &by, *id).await?;
    let shell = by.shell(&mut tx, LIST).await?;
    ok(&EditPage { shell, id: *id, form: HostForm::of(&host), theirs: None })
}

pub(super) async fn update(by: Operator, id: web::Path<HostId>, form: Form<HostForm>) -> Answer {
    match apply_edit(&by, *id, form.0).await? {
        Edited::Done(saved, changed) => {
            let said = if saved.conflicts.is_empty() { "Saved" } else { "Saved, with a conflict" };
            Ok(flash::done_if(changed, &format!("{LIST}/{}", saved.host.id), said))
        }
        Edited::Refused(status, form, theirs) => {
            let shell = by.shell(&mut by.read().await?, LIST).await?;
            respond(status, &EditPage { shell, id: *id, form, theirs })
        }
    }
}

/// One row of the list as a form.
#[derive(Template)]
#[template(path = "ipam/hosts/row_edit.html")]
struct RowEditFragment {
    id: HostId,
    form: HostForm,
    theirs: Option<Vec<(&'static str, String)>>,
}

pub(super) async fn row_edit(by: Operator, id: web::Path<HostId>) -> Answer {
    let host = find(&mut by.read().await?, &by, *id).await?;
    ok(&RowEditFragment { id: *id, form: HostForm::of(&host), theirs: None })
}

pub(super) async fn row_update(
    by: Operator,
    id: web::Path<HostId>,
    form: Form<HostForm>,
) -> Answer {
    match apply_edit(&by, *id, form.0).await? {
        Edited::Done(saved, _) => ok(&RowFragment::new(&by, saved.host).await?),
        Edited::Refused(status, form, theirs) => {
            respond(status, &RowEditFragment { id: *id, form, theirs })
        }
    }
}
