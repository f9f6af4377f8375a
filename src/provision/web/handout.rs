//! A sheet to lie beside a new phone: whose it is and how to use it, and no secret.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

use super::{NAV, PathMac};
use crate::auth::Operator;
use crate::db::Tx;
use crate::net::Mac;
use crate::numbering::PICKUP;
use crate::phones::{self, KeyKind, Phone};
use crate::web::form::Form;
use crate::web::{Answer, Error, Shell, ok};

/// Sheets printed at once.
const MOST: usize = 500;

/// One sheet.
struct Sheet {
    phone: Phone,
    /// What the message key dials; may be empty.
    voicemail: String,
}

impl Sheet {
    async fn new(by: &Operator, tx: &mut Tx, mac: Mac) -> Result<Option<Self>, Error> {
        let Some(phone) = phones::get(tx, by.tenant(), mac).await? else { return Ok(None) };
        let resolved = phones::resolved(tx, by.tenant(), &phone).await?;
        let voicemail = resolved.get("voicemail.number").to_owned();
        Ok(Some(Self { phone, voicemail }))
    }

    /// Whether it has a key whose lamp blinks while somebody else's phone rings.
    fn watches(&self) -> bool {
        self.phone.keys.iter().any(|key| key.kind == KeyKind::Blf)
    }
}

#[derive(Template)]
#[template(path = "provision/handout.html")]
struct HandoutPage {
    shell: Shell,
    sheets: Vec<Sheet>,
}

pub(super) async fn one(by: Operator, mac: web::Path<PathMac>) -> Answer {
    let mut tx = by.read().await?;
    let sheet = Sheet::new(&by, &mut tx, mac.0).await?.ok_or(Error::NotFound)?;
    ok(&HandoutPage { shell: by.shell(&mut tx, NAV).await?, sheets: vec![sheet] })
}

/// Phones by their MACs; lists call them `id`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    mac: Vec<String>,
    id: Vec<String>,
}

/// Those named in the address.
pub(super) async fn several(by: Operator, request: HttpRequest) -> Answer {
    let chosen = serde_html_form::from_str(request.query_string())
        .map_err(|_| Error::BadRequest("the address has parameters that cannot be read"))?;
    sheets(by, chosen).await
}

/// Those ticked in a list.
pub(super) async fn chosen(by: Operator, form: Form<Chosen>) -> Answer {
    sheets(by, form.0).await
}

async fn sheets(by: Operator, chosen: Chosen) -> Answer {
    let texts = chosen.mac.iter().chain(&chosen.id);
    let macs: Result<Vec<Mac>, _> = texts.map(|mac| mac.parse()).collect();
    let macs = macs.map_err(|_| Error::BadRequest("choose phones from the list"))?;
    if macs.len() > MOST {
        return Err(Error::BadRequest("choose at most 500 phones"));
    }
    let (mut tx, mut sheets) = (by.read().await?, Vec::new());
    for mac in macs {
        // One of another tenant is none.
        sheets.extend(Sheet::new(&by, &mut tx, mac).await?);
    }
    ok(&HandoutPage { shell: by.shell(&mut tx, NAV).await?, sheets })
}

/// The phone's page as a code to point a camera at. Whoever follows it has to sign in.
pub(super) async fn code(by: Operator, mac: web::Path<PathMac>) -> Answer {
    let phone = phones::get(&mut by.read().await?, by.tenant(), mac.0).await?;
    phone.ok_or(Error::NotFound)?;
    let url = format!("{}/phones/{}", by.state().public_url, mac.0.hex());
    let code =
        QrCode::new(url.as_bytes()).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(160, 160).build();
    Ok(HttpResponse::Ok().content_type("image/svg+xml").body(image))
}
