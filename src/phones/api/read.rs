//! What calls say of a phone, understood: every field, before any is refused.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::shapes::{KeyFields, LineFields, PhoneFields};
use crate::api::Problem;
use crate::auth::Operator;
use crate::db::Tx;
use crate::id::UserId;
use crate::models::{Model, Vendor};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::phones::settings::Setting;
use crate::phones::types::{Dialled, Edit, KeyKind, NewLine, PhoneKey, Static};
use crate::phones::{get, people};
use crate::text::Line;
use crate::users;

/// What is wrong with each field.
type Errors = BTreeMap<String, String>;

/// A new phone.
pub(super) async fn new(by: &Operator, mut fields: PhoneFields) -> Result<(Mac, Edit), Problem> {
    let mut errors = Errors::new();
    let mac = if let Some(text) = fields.mac.take() {
        one::<Mac>("mac", text.trim(), &mut errors)
    } else {
        errors.insert("mac".to_owned(), "name the phone's MAC address".to_owned());
        None
    };
    let maker = mac.and_then(Vendor::of);
    if fields.model.is_none() {
        errors.insert("model".to_owned(), "name the model".to_owned());
    }
    let edit = edit(by, fields, maker, &mut errors).await?;
    match mac {
        Some(mac) if errors.is_empty() => Ok((mac, edit)),
        _ => Err(Problem::invalid(errors)),
    }
}

/// A phone to be changed.
pub(super) async fn changed(by: &Operator, mac: Mac, fields: PhoneFields) -> Result<Edit, Problem> {
    let mut errors = Errors::new();
    if fields.mac.as_ref().is_some_and(|text| text.parse() != Ok(mac)) {
        let why = "a phone keeps its MAC address; delete it and add the other one";
        errors.insert("mac".to_owned(), why.to_owned());
    }
    let known = get(&mut by.read().await?, by.tenant(), mac).await?;
    let edit = edit(by, fields, known.map(|phone| phone.vendor()), &mut errors).await?;
    if errors.is_empty() { Ok(edit) } else { Err(Problem::invalid(errors)) }
}

/// `next`, an address, or nothing.
pub(super) fn address(text: &str) -> Result<Static, String> {
    match text.trim() {
        "" => Ok(Static::None),
        "next" => Ok(Static::Next),
        text => text.parse::<Address>().map(Static::This).map_err(|error| error.to_string()),
    }
}

fn one<T: FromStr<Err: Display>>(name: &str, text: &str, errors: &mut Errors) -> Option<T> {
    text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
}

async fn edit(
    by: &Operator,
    fields: PhoneFields,
    maker: Option<Vendor>,
    errors: &mut Errors,
) -> Result<Edit, Problem> {
    let mut tx = by.read().await?;
    let model = model(fields.vendor.as_deref(), fields.model.as_deref(), maker, errors);
    let mut edit = Edit {
        model,
        label: fields.label.and_then(|text| one::<Line<60>>("label", &text, errors)),
        site: fields.site.and_then(|text| one::<Line<60>>("site", &text, errors)),
        notes: fields.notes.and_then(|text| one::<Line<500>>("notes", &text, errors)),
        keys: fields.keys.map(|keys| keys_of(keys, errors)),
        settings: settings(fields.settings, errors),
        ..Edit::default()
    };
    edit.profile = match fields.profile.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(text) => one("profile", text, errors).map(Some),
    };
    edit.address = fields.static_ip.and_then(|text| {
        address(&text).map_err(|why| errors.insert("static_ip".to_owned(), why)).ok()
    });
    edit.subnet = match fields.subnet.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(text) => match people::subnet(&mut tx, by.tenant(), text).await? {
            Ok(id) => Some(Some(id)),
            Err(why) => {
                errors.insert("subnet".to_owned(), why);
                None
            }
        },
    };
    if let Some(lines) = fields.lines {
        edit.lines = Some(lines_of(&mut tx, by, lines, errors).await?);
    }
    Ok(edit)
}

fn model(
    vendor: Option<&str>,
    model: Option<&str>,
    maker: Option<Vendor>,
    errors: &mut Errors,
) -> Option<&'static Model> {
    let vendor = match vendor {
        Some(text) => Some(one::<Vendor>("vendor", text, errors)?),
        None => maker,
    };
    let Some(model) = model else {
        if vendor.is_some() && vendor != maker {
            errors.insert("model".to_owned(), "name the model too".to_owned());
        }
        return None;
    };
    let Some(vendor) = vendor else {
        let why = "name who made it; the MAC address does not tell";
        errors.insert("vendor".to_owned(), why.to_owned());
        return None;
    };
    Model::find(vendor, model)
        .map_err(|error| errors.insert("model".to_owned(), error.to_string()))
        .ok()
}

fn settings(
    said: BTreeMap<String, Option<String>>,
    errors: &mut Errors,
) -> BTreeMap<String, Option<String>> {
    let mut settings = BTreeMap::new();
    for (key, value) in said {
        let parsed = match (&value, Setting::find(&key)) {
            (_, Err(error)) => Err(error),
            (None, Ok(_)) => Ok(None),
            (Some(value), Ok(setting)) => setting.parse(value).map(Some),
        };
        match parsed {
            Ok(value) => drop(settings.insert(key, value)),
            Err(error) => drop(errors.insert(key, error.to_string())),
        }
    }
    settings
}

fn keys_of(keys: Vec<KeyFields>, errors: &mut Errors) -> Vec<PhoneKey> {
    let mut parsed = Vec::new();
    for key in keys {
        let name = format!("key-{}", key.position);
        let kind = one::<KeyKind>(&name, &key.kind, errors);
        let value = match key.value.as_deref() {
            None | Some("") => Some(None),
            Some(text) => one::<Dialled>(&name, text, errors).map(Some),
        };
        let label = one::<Line<40>>(&name, key.label.as_deref().unwrap_or_default(), errors);
        if let (Some(kind), Some(value), Some(label)) = (kind, value, label) {
            let (position, line) = (key.position, key.line.unwrap_or(1));
            parsed.push(PhoneKey { position, kind, line, value, label });
        }
    }
    parsed
}

async fn lines_of(
    tx: &mut Tx,
    by: &Operator,
    lines: Vec<LineFields>,
    errors: &mut Errors,
) -> Result<Vec<NewLine>, Problem> {
    let mut parsed = Vec::new();
    for fields in lines {
        let name = format!("line-{}", fields.line);
        let label = one::<Line<40>>(&name, fields.label.as_deref().unwrap_or_default(), errors);
        let user = match whose(tx, by, &fields).await? {
            Ok(user) => Some(user),
            Err(why) => {
                errors.insert(name, why);
                None
            }
        };
        if let (Some(user), Some(label)) = (user, label) {
            parsed.push(NewLine { line: fields.line, user, label });
        }
    }
    Ok(parsed)
}

async fn whose(
    tx: &mut Tx,
    by: &Operator,
    fields: &LineFields,
) -> Result<Result<UserId, String>, Problem> {
    let nobody = || "there is no user with this id or extension".to_owned();
    match (&fields.user_id, fields.extension) {
        (Some(id), _) => {
            let Ok(id) = id.parse::<UserId>() else { return Ok(Err(nobody())) };
            let user = users::get(tx, by.tenant(), id).await?;
            Ok(user.map(|user| user.id).ok_or_else(nobody))
        }
        (None, Some(number)) => match ExtensionNumber::try_from(number) {
            Ok(number) => Ok(people::user(tx, by.tenant(), &number.to_string()).await?),
            Err(error) => Ok(Err(error.to_string())),
        },
        (None, None) => Ok(Err("name an extension or a user".to_owned())),
    }
}
