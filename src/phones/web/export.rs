//! The list as a file, as [`mod@crate::phones::import`] reads it.

use actix_web::web;

use super::ListQuery;
use crate::audit::Page;
use crate::auth::Operator;
use crate::phones::list::{Listed, list};
use crate::web::list::order;
use crate::web::{Answer, Error, csv as table, download};

pub(super) async fn csv(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let mut tx = by.read().await?;
    let everything = Page { offset: 0, limit: i64::MAX };
    let (phones, _) = list(
        &mut tx,
        &by.state().counted,
        by.tenant(),
        &query.filter(),
        order(&query.sort)?,
        everything,
    )
    .await?;
    Ok(download("phones.csv", "text/csv; charset=utf-8", to_csv(phones)?))
}

/// Phones as CSV.
pub fn to_csv(phones: Vec<Listed>) -> Result<Vec<u8>, Error> {
    const HEADER: [&str; 12] = [
        "mac",
        "vendor",
        "model",
        "label",
        "site",
        "extensions",
        "static_ip",
        "profile",
        "notes",
        "state",
        "last_fetched",
        "added",
    ];
    let rows = phones.into_iter().map(|phone| {
        let state = if phone.is_registered() { "registered" } else { "not registered" };
        vec![
            phone.mac.to_string(),
            phone.model.vendor.to_string(),
            phone.model.name.to_owned(),
            phone.label.clone(),
            phone.site.clone(),
            extensions(&phone),
            phone.address.map(|address| address.to_string()).unwrap_or_default(),
            phone.profile.clone(),
            phone.notes.clone(),
            state.to_owned(),
            phone.fetched_at.map(|at| at.to_string()).unwrap_or_default(),
            phone.created_at.to_string(),
        ]
    });
    table::write(&HEADER, rows).map_err(|error| Error::Io(std::io::Error::other(error)))
}

/// The numbers of a phone's lines, the first first; a line between without one is `none`.
fn extensions(phone: &Listed) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in &phone.lines {
        while words.len() + 1 < usize::from(line.line) {
            words.push("none".to_owned());
        }
        words.push(line.number.to_string());
    }
    words.join(" ")
}
