//! What the keys of a phone do.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::edit::save;
use super::{LIST, find};
use crate::auth::Operator;
use crate::net::Mac;
use crate::phones::refusal::{Refusal, Sorted};
use crate::phones::types::{Dialled, Edit, KeyKind, Phone, PhoneKey};
use crate::text::Line;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, respond};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeysForm {
    kind: Vec<String>,
    line: Vec<Field>,
    value: Vec<Field>,
    label: Vec<Field>,
    version: i64,
}

/// One key of the form.
#[derive(Clone, Default)]
struct KeyRow {
    position: u8,
    kind: String,
    line: Field,
    value: Field,
    label: Field,
    error: Option<String>,
}

impl KeyRow {
    fn parse(&mut self) -> Option<Option<PhoneKey>> {
        if self.kind.is_empty() {
            let typed = !self.value.value.is_empty() || !self.label.value.is_empty();
            if typed {
                self.error = Some("choose what the key does, or leave it empty".to_owned());
                return None;
            }
            return Some(None);
        }
        let kind: Result<KeyKind, _> = self.kind.parse();
        let kind = kind.map_err(|error| self.error = Some(error.to_string())).ok();
        let line = if self.line.value.is_empty() { Some(1) } else { self.line.parse::<u8>() };
        let value = self.value.parse_optional::<Dialled>();
        let label = self.label.parse::<Line<40>>();
        Some(Some(PhoneKey {
            position: self.position,
            kind: kind?,
            line: line?,
            value: value?,
            label: label?,
        }))
    }
}

/// A row for each key the phone has.
fn rows(phone: &Phone, form: Option<&KeysForm>) -> Vec<KeyRow> {
    let row = |position: u8| {
        let blank = KeyRow { position, ..KeyRow::default() };
        let at = usize::from(position - 1);
        if let Some(form) = form {
            let field = |fields: &[Field]| fields.get(at).cloned().unwrap_or_default();
            return KeyRow {
                kind: form.kind.get(at).cloned().unwrap_or_default(),
                line: field(&form.line),
                value: field(&form.value),
                label: field(&form.label),
                ..blank
            };
        }
        let Some(key) = phone.keys.iter().find(|key| key.position == position) else {
            return blank;
        };
        KeyRow {
            kind: key.kind.to_string(),
            line: Field::holding(&key.line),
            value: key.value.as_ref().map(Field::holding).unwrap_or_default(),
            label: Field::holding(&key.label),
            ..blank
        }
    };
    (1..=phone.model.keys).map(row).collect()
}

#[derive(Template)]
#[template(path = "phones/keys.html")]
struct KeysPage {
    shell: Shell,
    phone: Phone,
    rows: Vec<KeyRow>,
    version: i64,
    stale: bool,
}

async fn answer(
    by: &Operator,
    status: StatusCode,
    phone: Phone,
    rows: Vec<KeyRow>,
    (version, stale): (i64, bool),
) -> Answer {
    let shell = by.shell(&mut by.read().await?, LIST).await?;
    respond(status, &KeysPage { shell, phone, rows, version, stale })
}

pub(super) async fn page(by: Operator, mac: web::Path<Mac>) -> Answer {
    let phone = find(&mut by.read().await?, &by, *mac).await?;
    let (rows, version) = (rows(&phone, None), phone.version);
    answer(&by, StatusCode::OK, phone, rows, (version, false)).await
}

pub(super) async fn update(by: Operator, mac: web::Path<Mac>, form: Form<KeysForm>) -> Answer {
    let form = form.0;
    let phone = find(&mut by.read().await?, &by, *mac).await?;
    let mut rows = rows(&phone, Some(&form));
    let parsed: Vec<_> = rows.iter_mut().map(KeyRow::parse).collect();
    let keys: Option<Vec<Option<PhoneKey>>> = parsed.into_iter().collect();
    let Some(keys) = keys else {
        let at = (form.version, false);
        return answer(&by, StatusCode::UNPROCESSABLE_ENTITY, phone, rows, at).await;
    };
    let edit = Edit { keys: Some(keys.into_iter().flatten().collect()), ..Edit::default() };
    match save(&by, *mac, Some(form.version), &edit).await {
        Ok((phone, changed)) => {
            Ok(flash::done_if(changed, &format!("{LIST}/{}", phone.mac.hex()), "Saved"))
        }
        Err(refusals) => match refusals.sorted() {
            Sorted::Fault(error) => Err(error),
            Sorted::Missing => Err(Error::NotFound),
            Sorted::Stale(now) => {
                let at = (now.version, true);
                answer(&by, StatusCode::PRECONDITION_FAILED, *now, rows, at).await
            }
            Sorted::Fields(fields) => {
                for refusal in fields {
                    place(&mut rows, &refusal);
                }
                let at = (form.version, false);
                answer(&by, StatusCode::UNPROCESSABLE_ENTITY, phone, rows, at).await
            }
        },
    }
}

fn place(rows: &mut [KeyRow], refusal: &Refusal) {
    let named = refusal.field().unwrap_or_default();
    let position = named.strip_prefix("key-").and_then(|text| text.parse::<u8>().ok());
    if let Some(row) = rows.iter_mut().find(|row| Some(row.position) == position) {
        row.error = Some(refusal.to_string());
    }
}
