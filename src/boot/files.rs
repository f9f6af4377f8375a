//! The files one phone gets: their names, and what is in them with the secrets hidden. The real
//! ones are shown only to those who may see secrets, against their password.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::asked::{Part, What, asked};
use super::book;
use super::load;
use super::render::{RenderError, Rendered, Templates, names, render};
use super::subject::Subject;
use crate::audit::Event;
use crate::auth::access::{Access, Route};
use crate::auth::{self, Operator, Right, SignInError};
use crate::db::Tx;
use crate::net::Mac;
use crate::phones::{self, Phone};
use crate::web::form::{Form, Secret};
use crate::web::{Answer, Error, Shell, invalid, ok};

/// Bytes of a file shown on the page.
const SHOWN: usize = 256 << 10;

/// The pages of a phone's files.
pub fn routes() -> Vec<Route> {
    let (read, reveal) = (Access::Page(Right::Read), Access::Page(Right::Reveal));
    vec![
        Route::get("/phones/{mac}/files", read, index),
        Route::get("/phones/{mac}/files/{file}", read, show),
        Route::post("/phones/{mac}/files/{file}", reveal, download),
    ]
}

/// A file in the list.
struct Listed {
    name: String,
    what: &'static str,
    /// The template it is made from.
    template: Option<&'static str>,
    /// Whether the tenant's own template makes it.
    own: bool,
    /// Why it cannot be made.
    broken: Option<String>,
}

#[derive(Template)]
#[template(path = "phones/files/index.html")]
struct IndexPage {
    shell: Shell,
    phone: Phone,
    files: Vec<Listed>,
}

fn what(part: Part) -> &'static str {
    match part {
        Part::First => "leads to the others",
        Part::Common => "what its model has in common",
        Part::Own => "the phone's own",
        Part::Book(_) => "the phone book",
    }
}

async fn find(tx: &mut Tx, by: &Operator, mac: &str) -> Result<Phone, Error> {
    let mac: Mac = mac.parse().map_err(|_| Error::NotFound)?;
    phones::get(tx, by.tenant(), mac).await?.ok_or(Error::NotFound)
}

async fn index(by: Operator, mac: web::Path<String>) -> Answer {
    let mut tx = by.read().await?;
    let phone = find(&mut tx, &by, &mac).await?;
    let subject = load::hidden(&mut tx, by.tenant(), &phone, load::base_url(by.state())).await?;
    let templates = load::in_force(&mut tx, by.tenant()).await?;
    let listed = |(name, part): (String, Part)| {
        let template = templates.name(phone.model, part);
        let broken = match part {
            Part::Book(_) => None,
            part => render(&subject, part, &templates).err().map(|error| error.to_string()),
        };
        let own = template.is_some_and(|name| templates.own(phone.vendor(), name).is_some());
        Listed { name, what: what(part), template, own, broken }
    };
    let files = names(phone.model, phone.mac).into_iter().map(listed).collect();
    ok(&IndexPage { shell: by.shell(&mut tx, "/phones").await?, phone, files })
}

#[derive(Template)]
#[template(path = "phones/files/show.html")]
struct ShowPage {
    shell: Shell,
    phone: Phone,
    name: String,
    text: Result<String, String>,
    cut: bool,
    may_reveal: bool,
    wrong: Option<&'static str>,
}

/// The part of the phone's files that is called `name`.
fn part(phone: &Phone, name: &str) -> Result<Part, Error> {
    match asked(name, "").what(phone.vendor()) {
        What::File(part) => Ok(part),
        _ => Err(Error::NotFound),
    }
}

/// A file for a phone, the phone book among them.
async fn make(
    tx: &mut Tx,
    by: &Operator,
    subject: &Subject,
    part: Part,
    templates: &Templates,
) -> Result<Result<Rendered, RenderError>, Error> {
    let Part::Book(page) = part else { return Ok(render(subject, part, templates)) };
    let entries = load::entries(tx, by.tenant()).await?;
    let book = book::book(subject.model.vendor, &entries, page, &subject.url);
    Ok(book.ok_or(RenderError::NoSuchFile))
}

impl ShowPage {
    async fn new(by: &Operator, at: &(String, String)) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let phone = find(&mut tx, by, &at.0).await?;
        let part = part(&phone, &at.1)?;
        let base_url = load::base_url(by.state());
        let subject = load::hidden(&mut tx, by.tenant(), &phone, base_url).await?;
        let templates = load::in_force(&mut tx, by.tenant()).await?;
        let made = make(&mut tx, by, &subject, part, &templates).await?;
        if made == Err(RenderError::NoSuchFile) {
            return Err(Error::NotFound);
        }
        let text = made.map(|made| String::from_utf8_lossy(&made.bytes).into_owned());
        let mut text = text.map_err(|error| error.to_string());
        let mut cut = false;
        if let Ok(text) = &mut text {
            cut = text.len() > SHOWN;
            text.truncate(text.floor_char_boundary(SHOWN));
        }
        let shell = by.shell(&mut tx, "/phones").await?;
        let (name, may_reveal) = (at.1.clone(), by.may(Right::Reveal));
        Ok(Self { shell, phone, name, text, cut, may_reveal, wrong: None })
    }
}

async fn show(by: Operator, at: web::Path<(String, String)>) -> Answer {
    ok(&ShowPage::new(&by, &at).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DownloadForm {
    password: Secret,
}

/// The file with its secrets. That it was taken is noted like any change.
async fn download(
    by: Operator,
    at: web::Path<(String, String)>,
    form: Form<DownloadForm>,
) -> Answer {
    let mut page = ShowPage::new(&by, &at).await?;
    let (name, source) = (by.name().as_str(), &by.actor().source);
    match auth::confirm(by.state(), name, form.0.password.value, source).await {
        Ok(()) => {}
        Err(SignInError::Fault(error)) => return Err(error),
        Err(SignInError::Slow(seconds)) => return Err(Error::Slow(seconds)),
        Err(SignInError::Wrong) => {
            page.wrong = Some("this is not your password");
            return invalid(&page);
        }
    }
    let (phone, part) = (page.phone, part(&find(&mut by.read().await?, &by, &at.0).await?, &at.1)?);
    let mut change = by.change().await?;
    let (vault, base_url) = (&by.state().vault, load::base_url(by.state()));
    let subject = load::subject(change.tx(), vault, by.tenant(), phone.mac, base_url).await?;
    let subject = subject.ok_or(Error::NotFound)?;
    let templates = load::in_force(change.tx(), by.tenant()).await?;
    let made = make(change.tx(), &by, &subject, part, &templates).await?;
    let made = made.map_err(|_| Error::NotFound)?;
    let event = Event::new("phone.file_revealed", &phone.title(), &phone.mac);
    change.record(event.note(page.name.clone()));
    change.commit().await?;
    // The name is one that phones ask for: letters, digits, dots and hyphens.
    let disposition = format!("attachment; filename=\"{}\"", page.name);
    Ok(HttpResponse::Ok()
        .content_type(made.content_type)
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(made.bytes))
}
