//! What a phone signs in with: made anew, or shown once more.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;

use super::find;
use super::show::{ShowPage, Shown};
use crate::auth::{self, Operator, SignInError};
use crate::net::Mac;
use crate::phones::refusal::{Refusals, Sorted};
use crate::phones::{renew as renew_keys, reveal as reveal_keys};
use crate::web::form::{Form, Secret};
use crate::web::{Answer, Error, respond};

fn missing(refusals: Refusals) -> Error {
    match refusals.sorted() {
        Sorted::Fault(error) => error,
        _ => Error::NotFound,
    }
}

pub(super) async fn renew(by: Operator, mac: web::Path<Mac>) -> Answer {
    let mut change = by.change().await?;
    let keys = renew_keys(&mut change, &by.state().vault, *mac).await.map_err(missing)?;
    change.commit().await?;
    respond(StatusCode::OK, &ShowPage::new(&by, *mac, Shown::Renewed(keys)).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RevealForm {
    password: Secret,
}

pub(super) async fn reveal(by: Operator, mac: web::Path<Mac>, form: Form<RevealForm>) -> Answer {
    find(&mut by.read().await?, &by, *mac).await?;
    let (name, source) = (by.name().as_str(), &by.actor().source);
    match auth::confirm(by.state(), name, form.0.password.value, source).await {
        Ok(()) => {}
        Err(SignInError::Fault(error)) => return Err(error),
        Err(SignInError::Slow(seconds)) => return Err(Error::Slow(seconds)),
        Err(SignInError::Wrong) => {
            let shown = Shown::WrongPassword("this is not your password".to_owned());
            let page = ShowPage::new(&by, *mac, shown).await?;
            return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    }
    let mut change = by.change().await?;
    let keys = reveal_keys(&mut change, &by.state().vault, *mac).await.map_err(missing)?;
    change.commit().await?;
    respond(StatusCode::OK, &ShowPage::new(&by, *mac, Shown::Revealed(keys)).await?)
}
