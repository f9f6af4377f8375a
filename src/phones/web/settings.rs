//! A phone's own settings, over what its profiles say.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;

use super::edit::save;
use super::{LIST, find};
use crate::auth::Operator;
use crate::db::Tx;
use crate::ipam::addresses::places::{self, Place};
use crate::net::Mac;
use crate::phones::layer_form::{self, SettingField};
use crate::phones::profiles;
use crate::phones::refusal::Sorted;
use crate::phones::settings::{Layer, Origin, Resolved};
use crate::phones::types::{Edit, Phone};
use crate::web::form::Form;
use crate::web::{Answer, Error, Shell, flash, respond};

#[derive(Template)]
#[template(path = "phones/settings.html")]
struct SettingsPage {
    shell: Shell,
    phone: Phone,
    /// The subnet whose site the phone stands at.
    site_of: Option<Place>,
    fields: Vec<SettingField>,
    version: i64,
    stale: bool,
}

/// What counts when the phone says nothing itself.
async fn under(tx: &mut Tx, by: &Operator, phone: &Phone) -> Result<Resolved, Error> {
    let layers = profiles::under(tx, by.tenant(), phone).await?;
    let layers: Vec<(Origin, &Layer)> =
        layers.iter().map(|(origin, layer)| (origin.clone(), layer)).collect();
    Ok(Resolved::of(&layers).fit(phone.model))
}

async fn answer(
    by: &Operator,
    status: StatusCode,
    phone: Phone,
    fields: Vec<SettingField>,
    (version, stale): (i64, bool),
) -> Answer {
    let mut tx = by.read().await?;
    let shell = by.shell(&mut tx, LIST).await?;
    let site_of = places::one(&mut tx, by.tenant(), phone.whereabouts.subnet).await?;
    respond(status, &SettingsPage { shell, phone, site_of, fields, version, stale })
}

pub(super) async fn page(by: Operator, mac: web::Path<Mac>) -> Answer {
    let mut tx = by.read().await?;
    let phone = find(&mut tx, &by, *mac).await?;
    let fields = layer_form::fields(&phone.settings, &under(&mut tx, &by, &phone).await?);
    let version = phone.version;
    answer(&by, StatusCode::OK, phone, fields, (version, false)).await
}

pub(super) async fn update(
    by: Operator,
    mac: web::Path<Mac>,
    form: Form<Vec<(String, String)>>,
) -> Answer {
    let sent = form.0;
    let version = sent.iter().find(|(name, _)| name == "version");
    let version = version.and_then(|(_, text)| text.parse::<i64>().ok());
    let mut tx = by.read().await?;
    let phone = find(&mut tx, &by, *mac).await?;
    let mut fields = layer_form::fields(&phone.settings, &under(&mut tx, &by, &phone).await?);
    drop(tx);
    let at = (version.unwrap_or(0), false);
    let Some(settings) = layer_form::parse(&mut fields, &sent) else {
        return answer(&by, StatusCode::UNPROCESSABLE_ENTITY, phone, fields, at).await;
    };
    let edit = Edit { settings, ..Edit::default() };
    // Without a version nothing would match it.
    match save(&by, *mac, Some(version.unwrap_or(0)), &edit).await {
        Ok((phone, changed)) => {
            Ok(flash::done_if(changed, &format!("{LIST}/{}", phone.mac.hex()), "Saved"))
        }
        Err(refusals) => match refusals.sorted() {
            Sorted::Fault(error) => Err(error),
            Sorted::Missing => Err(Error::NotFound),
            Sorted::Stale(now) => {
                let at = (now.version, true);
                answer(&by, StatusCode::PRECONDITION_FAILED, *now, fields, at).await
            }
            Sorted::Fields(refusals) => {
                for refusal in refusals {
                    let named = refusal.field().unwrap_or_default();
                    if let Some(field) = fields.iter_mut().find(|f| f.setting.key == named) {
                        field.error = Some(refusal.to_string());
                    }
                }
                answer(&by, StatusCode::UNPROCESSABLE_ENTITY, phone, fields, at).await
            }
        },
    }
}
