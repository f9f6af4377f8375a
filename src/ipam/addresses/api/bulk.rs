//! Changing many addresses.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{Errors, Given, NewHolder, field, until};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::{Operator, Right};
use crate::ipam::addresses::Note;
use crate::ipam::addresses::bulk::{Action, MOST, Selection, Verb, judge, run};
use crate::ipam::space::Space;
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::text::{Line, grouped};
use crate::time::Zone;

/// What is to become of many addresses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressBulk {
    /// `release`, `reserve`, `quarantine`, `end_quarantine` or `allocate`.
    action: String,
    /// Which, at most 20,000.
    addresses: Vec<String>,
    /// Why they are reserved.
    note: Option<String>,
    /// Why they are in quarantine.
    reason: Option<String>,
    /// When that ends by itself: a moment (RFC 3339) or a day, which it includes.
    until: Option<String>,
    /// Who gets them.
    holder: Option<NewHolder>,
    /// Why all of it is done, for the history.
    why: Option<String>,
}

/// The answer to a bulk change.
#[derive(Serialize, ToSchema)]
pub struct AddressesChanged {
    /// How many addresses were changed: all that were named.
    pub changed: i64,
}

impl AddressBulk {
    fn parse(self, zone: &Zone) -> Result<(Action, Vec<Address>, Line<500>), Problem> {
        let mut errors = Errors::new();
        let why = field::<Line<500>>("why", self.why, &mut errors).unwrap_or_default();
        let mut addresses = Vec::with_capacity(self.addresses.len());
        for text in self.addresses {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) if errors.contains_key("addresses") => {}
                Err(error) => {
                    let error: crate::net::BadAddress = error;
                    errors.insert("addresses".to_owned(), format!("{text:.60}: {error}"));
                }
            }
        }
        if addresses.is_empty() && errors.is_empty() {
            errors.insert("addresses".to_owned(), "name at least one address".to_owned());
        }
        let end = until(self.until, zone, &mut errors);
        let action = match Verb::named(&self.action) {
            Some(Verb::Release) => Some(Action::Release),
            Some(Verb::EndQuarantine) => Some(Action::EndQuarantine),
            Some(Verb::Reserve) => {
                let note = field::<Note>("note", Some(self.note.unwrap_or_default()), &mut errors);
                note.map(|note| Action::Reserve { note, until: end })
            }
            Some(Verb::Quarantine) => {
                let why = Some(self.reason.unwrap_or_default());
                let reason = field::<Note>("reason", why, &mut errors);
                reason.map(|reason| Action::Quarantine { reason, until: end })
            }
            Some(Verb::Allocate) => {
                let given = Given { holder: self.holder, ..Given::default() };
                given.tenure(&mut errors).map(Action::Allocate)
            }
            None => {
                let words: Vec<&str> = Verb::ALL.into_iter().map(|(_, word)| word).collect();
                errors.insert("action".to_owned(), format!("use {}", words.join(", ")));
                None
            }
        };
        match action {
            Some(action) if errors.is_empty() => Ok((action, addresses, why)),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// Change many addresses
///
/// All of them, or none: if one cannot be changed so, the answer is 409 and says which and why.
#[utoipa::path(post, path = "/api/v1/addresses/bulk", operation_id = "changeAddresses", tag = "Addresses",
    request_body = AddressBulk,
    responses((status = 200, body = AddressesChanged), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change_addresses(by: Operator, body: Json<AddressBulk>) -> Answer {
    let (action, addresses, why) = body.0.parse(by.zone())?;
    let verb = action.verb();
    let managed = matches!(verb, Verb::Quarantine | Verb::EndQuarantine | Verb::Allocate);
    if managed && !by.may(Right::ManageAddresses) {
        return Err(Problem::forbidden());
    }
    let who = reserver(&by);
    let mut change = by.change().await?;
    change.explain(&why);
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let tenant = space.tenant();
    let selection = Selection::These(addresses);
    let verdict = judge(space.tx(), tenant, &selection, verb, &who).await?;
    if verdict.too_many.is_some() {
        let why = format!("name at most {} addresses at once", grouped(&MOST));
        return Err(Problem::invalid([("addresses".to_owned(), why)].into()));
    }
    if !verdict.refused.is_empty() {
        let count = grouped(&i64::try_from(verdict.refused.len()).unwrap_or(i64::MAX));
        let problem = Problem::new(
            StatusCode::CONFLICT,
            format!("nothing was changed: {count} of the addresses cannot be changed so"),
        );
        let refused = verdict.refused.iter().take(100);
        return Err(refused
            .fold(problem, |problem, (address, why)| problem.field(&address.to_string(), why)));
    }
    run(&mut space, &verdict.fit, &action, &who).await?;
    space.close().await?;
    change.commit().await?;
    let changed = i64::try_from(verdict.fit.len()).unwrap_or(i64::MAX);
    api::json(StatusCode::OK, &AddressesChanged { changed })
}
