//! The pages of templates.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::super::load;
use super::super::render::{BUILT_IN, BuiltIn, base, try_out};
use super::{PLACES, Refusal, Row, Version};
use crate::asterisk::diff::{DiffLine, FileDiff, LineKind, diff};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::net::Mac;
use crate::phones::{self, Vendor};
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

/// Bytes a form may have: a template whose every letter is percent-encoded.
const FORM: usize = 256 << 10;
/// Lines of a difference shown.
const SHOWN: usize = 2_000;
/// Phones offered for a preview.
const OFFERED: usize = 200;

/// The pages of templates.
pub fn routes() -> Vec<Route> {
    let (read, administer) = (Access::Page(Right::Read), Access::Page(Right::Administer));
    vec![
        Route::get("/phones/templates", read, index),
        Route::get("/phones/templates/{vendor}/{template}", read, show),
        Route::post("/phones/templates/{vendor}/{template}", administer, save).limit(FORM),
        Route::post("/phones/templates/{vendor}/{template}/restore", administer, restore),
    ]
}

/// A template in the list.
struct Listed {
    vendor: Vendor,
    name: String,
    title: String,
    /// Who made it the tenant's own; none for the built-in.
    own: Option<Version>,
}

#[derive(Template)]
#[template(path = "phones/templates/index.html")]
struct IndexPage {
    shell: Shell,
    templates: Vec<Listed>,
}

async fn index(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    let own = super::current(&mut tx, by.tenant()).await?;
    let of = |vendor: Vendor, name: &str| {
        let row = own.iter().find(|row| row.vendor == vendor && row.name == name)?;
        row.content.as_ref().map(|_| row.version.clone())
    };
    let mut templates: Vec<Listed> = BUILT_IN
        .iter()
        .map(|built_in| Listed {
            vendor: built_in.vendor,
            name: built_in.name.to_owned(),
            title: built_in.title.to_owned(),
            own: of(built_in.vendor, built_in.name),
        })
        .collect();
    let models = own.iter().filter(|row| BuiltIn::find(row.vendor, &row.name).is_none());
    templates.extend(models.filter(|row| row.content.is_some()).map(|row| Listed {
        vendor: row.vendor,
        name: row.name.clone(),
        title: format!("{} alone, its own file", row.name.to_uppercase()),
        own: Some(row.version.clone()),
    }));
    templates.sort_by_key(|listed| Vendor::ALL.iter().position(|vendor| *vendor == listed.vendor));
    ok(&IndexPage { shell: by.shell(&mut tx, "/phones/templates").await?, templates })
}

/// What a preview shows.
enum Preview {
    None,
    Made { phone: String, text: String },
    Broken { phone: String, why: String },
}

#[derive(Template)]
#[template(path = "phones/templates/show.html")]
struct ShowPage {
    shell: Shell,
    vendor: Vendor,
    name: String,
    built_in: &'static BuiltIn,
    form: EditForm,
    /// What differs between the text shown and the built-in one.
    changes: FileDiff,
    versions: Vec<Row>,
    phones: Vec<(String, String)>,
    preview: Preview,
    may_edit: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct EditForm {
    source: Source,
    note: Field,
    version: i64,
    mac: Field,
    act: String,
}

/// The text of a template, blanks and all; browsers send CR LF for a line's end.
#[derive(Clone, Default, Deserialize)]
#[serde(from = "String")]
struct Source {
    text: String,
    error: Option<String>,
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self { text: text.replace("\r\n", "\n"), error: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShowQuery {
    mac: String,
    version: String,
}

/// The class and sign of a line of a difference.
fn mark(line: &DiffLine) -> (&'static str, &'static str) {
    match line.kind {
        LineKind::Hunk => ("at", ""),
        LineKind::Context => ("", " "),
        LineKind::Added => ("add", "+"),
        LineKind::Removed => ("del", "-"),
    }
}

impl ShowPage {
    async fn new(
        by: &Operator,
        tx: &mut Tx,
        (vendor, name): (Vendor, &str),
        form: Option<EditForm>,
        query: &ShowQuery,
    ) -> Result<Self, Error> {
        let built_in = base(vendor, name).ok_or(Error::NotFound)?;
        let versions = super::versions(tx, by.tenant(), vendor, name).await?;
        let typed = form.is_some();
        let form = form.unwrap_or_else(|| {
            let asked = query.version.parse::<i64>().ok();
            let shown = versions.iter().find(|row| Some(row.version.version) == asked);
            let text = shown.or(versions.first()).and_then(|row| row.content.clone());
            EditForm {
                source: Source::from(text.unwrap_or_else(|| built_in.source().to_owned())),
                version: versions.first().map_or(0, |row| row.version.version),
                mac: Field::from(query.mac.clone()),
                ..EditForm::default()
            }
        });
        let mut page = Self {
            shell: by.shell(tx, "/phones/templates").await?,
            vendor,
            name: name.to_owned(),
            built_in,
            changes: diff(built_in.source(), &form.source.text, SHOWN),
            versions,
            phones: Vec::new(),
            preview: Preview::None,
            may_edit: by.may(Right::Administer),
            form,
        };
        for mac in super::phones_of(tx, by.tenant(), vendor, name, OFFERED).await? {
            if let Some(phone) = phones::get(tx, by.tenant(), mac).await? {
                page.phones.push((mac.hex(), phone.title()));
            }
        }
        if !typed || page.form.act == "preview" {
            page.preview(by, tx).await?;
        }
        Ok(page)
    }

    /// The file the chosen phone would get, or the first one, its secrets hidden.
    async fn preview(&mut self, by: &Operator, tx: &mut Tx) -> Result<(), Error> {
        let chosen = self.form.mac.value.parse::<Mac>().ok();
        let first = || self.phones.first().and_then(|(mac, _)| mac.parse().ok());
        let Some(mac) = chosen.or_else(first) else { return Ok(()) };
        let Some(phone) = phones::get(tx, by.tenant(), mac).await? else { return Ok(()) };
        self.form.mac = Field::holding(&mac.hex());
        let subject = load::hidden(tx, by.tenant(), &phone, load::base_url(by.state())).await?;
        let phone = phone.title();
        let made = try_out(&subject, &self.form.source.text, self.built_in.format);
        self.preview = match made {
            Ok(text) => Preview::Made { phone, text },
            Err(broken) => Preview::Broken { phone, why: broken.to_string() },
        };
        Ok(())
    }

    /// Whether the text in force is the tenant's own.
    fn is_own(&self) -> bool {
        self.versions.first().is_some_and(|row| row.content.is_some())
    }

    fn placeholders() -> &'static [(&'static str, &'static str)] {
        PLACES
    }
}

type At = web::Path<(String, String)>;

fn place(at: &(String, String)) -> Result<(Vendor, &str), Error> {
    Ok((at.0.parse().map_err(|_| Error::NotFound)?, at.1.as_str()))
}

async fn show(by: Operator, at: At, query: web::Query<ShowQuery>) -> Answer {
    let mut tx = by.read().await?;
    ok(&ShowPage::new(&by, &mut tx, place(&at)?, None, &query).await?)
}

async fn again(by: &Operator, at: (Vendor, &str), form: EditForm) -> Result<ShowPage, Error> {
    let mut tx = by.read().await?;
    ShowPage::new(by, &mut tx, at, Some(form), &ShowQuery::default()).await
}

async fn save(by: Operator, at: At, form: Form<EditForm>) -> Answer {
    let (of, mut form) = (place(&at)?, form.0);
    base(of.0, of.1).ok_or(Error::NotFound)?;
    if form.act == "preview" {
        return ok(&again(&by, of, form).await?);
    }
    let Some(note) = form.note.parse() else { return invalid(&again(&by, of, form).await?) };
    let base_url = load::base_url(by.state());
    let source = form.source.text.clone();
    let saved = async {
        let checked =
            super::check(&mut by.read().await?, by.tenant(), of, &source, base_url).await?;
        let mut change = by.change().await?;
        super::save(&mut change, &checked, form.version, &note).await?;
        Ok(change.commit().await?)
    };
    match saved.await {
        Ok(()) => {
            let said = "Saved; phones get the new file when they next fetch";
            Ok(flash::done(&path(of), said))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(refusal) => {
            form.source.error = Some(refusal.to_string());
            let stale = matches!(refusal, Refusal::Stale);
            let mut page = again(&by, of, form).await?;
            if stale {
                page.form.version = page.versions.first().map_or(0, |row| row.version.version);
                return respond(StatusCode::PRECONDITION_FAILED, &page);
            }
            invalid(&page)
        }
    }
}

fn path((vendor, name): (Vendor, &str)) -> String {
    format!("/phones/templates/{vendor}/{name}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RestoreForm {
    version: i64,
}

/// Puts a version in force again, the built-in template (0) among them; whether it was not.
async fn again_in_force(by: &Operator, of: (Vendor, &str), wanted: i64) -> Result<bool, Refusal> {
    if wanted == 0 {
        let mut change = by.change().await?;
        super::reset(&mut change, of).await?;
        return Ok(change.commit_if_any().await?);
    }
    let (mut tx, base_url) = (by.read().await?, load::base_url(by.state()));
    let source = super::text_of(&mut tx, by.tenant(), of, wanted).await?;
    let checked = super::check(&mut tx, by.tenant(), of, &source, base_url).await?;
    drop(tx);
    let mut change = by.change().await?;
    super::restore(&mut change, &checked, wanted).await?;
    Ok(change.commit_if_any().await?)
}

async fn restore(by: Operator, at: At, form: Form<RestoreForm>) -> Answer {
    let of = place(&at)?;
    let wanted = form.0.version;
    match again_in_force(&by, of, wanted).await {
        Ok(changed) => {
            let said = if wanted == 0 {
                "The built-in template is in force again"
            } else {
                "That version is in force again"
            };
            Ok(flash::done_if(changed, &path(of), said))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(refusal) => {
            let query = ShowQuery { version: wanted.to_string(), ..ShowQuery::default() };
            let mut page = ShowPage::new(&by, &mut by.read().await?, of, None, &query).await?;
            page.form.source.error = Some(refusal.to_string());
            invalid(&page)
        }
    }
}
