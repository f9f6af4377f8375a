//! Changing many addresses.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{Errors, Given, NewHolder, field, until, word};
use crate::api::{self, Answer, Json, Problem};
use crate::auth::{Operator, Right};
use crate::id::SubnetId;
use crate::ipam::addresses::bulk::{Action, MOST, Selection, TooMany, Verb, Verdict, judge, run};
use crate::ipam::addresses::{FEW, Filter, Note};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::Space;
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::text::{Line, grouped};

/// What is to become of many addresses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressBulk {
    /// `release`, `reserve`, `quarantine`, `end_quarantine`, `allocate` or `edit`: what is said of
    /// reserved addresses and of those in quarantine.
    action: String,
    /// Which, at most 20,000; or else `matching`.
    #[serde(default)]
    addresses: Vec<String>,
    /// All that a list with this filter shows, at most 20,000.
    matching: Option<AddressFilter>,
    /// How many `matching` is to select: if it selects another number, nothing is changed.
    expected: Option<i64>,
    /// Why they are reserved; with `edit` also why they are in quarantine.
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

/// A filter, as for listing addresses.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AddressFilter {
    /// Part of an address, a CIDR, a MAC in any notation or part of one, part of a host name, a
    /// holder's name or a description.
    #[schema(required = false)]
    q: String,
    /// Only those inside this subnet: its id.
    #[schema(required = false)]
    subnet: String,
    /// `available`, `allocated`, `reserved` or `quarantine`; without one, free addresses of pools are
    /// not meant.
    #[schema(required = false)]
    status: String,
    /// `static` or `dhcp`.
    #[schema(required = false)]
    #[serde(rename = "type")]
    kind: String,
    /// Those seen of late, or the others.
    active: Option<bool>,
    /// Those two claim, or the others.
    conflict: Option<bool>,
    /// Those reserved by the token's owner.
    #[schema(required = false)]
    mine: bool,
    /// Those in no subnet.
    #[schema(required = false)]
    orphans: bool,
}

impl AddressFilter {
    fn parse(self, by: &Operator, errors: &mut Errors) -> Filter {
        let mut found = Errors::new();
        let filter = Filter {
            subnet: word::<SubnetId>("subnet", &self.subnet, &mut found),
            status: word::<Status>("status", &self.status, &mut found),
            kind: word::<Kind>("type", &self.kind, &mut found),
            active: self.active,
            conflict: self.conflict,
            reserved_by: self.mine.then(|| by.name().to_string()),
            orphaned: self.orphans,
            search: self.q.trim().to_owned(),
            expanded: false,
        };
        if filter == Filter::default() && found.is_empty() {
            errors.insert("matching".to_owned(), "say what all of them have in common".to_owned());
        }
        errors.extend(found.into_iter().map(|(name, why)| (format!("matching.{name}"), why)));
        filter
    }
}

/// The answer to a bulk change.
#[derive(Serialize, ToSchema)]
pub struct AddressesChanged {
    /// How many addresses were changed: all that were named.
    pub changed: i64,
}

/// What a body asks for, with why and how many it is to be done to.
struct Asked {
    action: Action,
    selection: Selection,
    expected: Option<i64>,
    why: Line<500>,
}

fn selection(
    addresses: Vec<String>,
    matching: Option<AddressFilter>,
    by: &Operator,
    errors: &mut Errors,
) -> Selection {
    if let Some(filter) = matching {
        if !addresses.is_empty() {
            let why = "name addresses, or say with matching which; not both".to_owned();
            errors.insert("addresses".to_owned(), why);
        }
        return Selection::Matching(filter.parse(by, errors));
    }
    if addresses.is_empty() {
        errors.insert("addresses".to_owned(), "name at least one address".to_owned());
    }
    let mut parsed = Vec::with_capacity(addresses.len());
    for text in addresses {
        match text.parse::<Address>() {
            Ok(address) => parsed.push(address),
            Err(error) => {
                let why = || format!("{text:.60}: {error}");
                errors.entry("addresses".to_owned()).or_insert_with(why);
            }
        }
    }
    Selection::These(parsed)
}

impl AddressBulk {
    fn parse(self, by: &Operator) -> Result<Asked, Problem> {
        let mut errors = Errors::new();
        let why = field::<Line<500>>("why", self.why, &mut errors).unwrap_or_default();
        let selection = selection(self.addresses, self.matching, by, &mut errors);
        let end = until(self.until, by.zone(), &mut errors);
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
            Some(Verb::Edit) => {
                let note =
                    self.note.and_then(|note| field::<Note>("note", Some(note), &mut errors));
                if note.is_none() && end.is_none() && errors.is_empty() {
                    let why = "write a note, or say until when".to_owned();
                    errors.insert("note".to_owned(), why);
                }
                Some(Action::Edit { note, until: end })
            }
            None => {
                let words: Vec<&str> = Verb::ALL.into_iter().map(|(_, word)| word).collect();
                errors.insert("action".to_owned(), format!("use {}", words.join(", ")));
                None
            }
        };
        match action {
            Some(action) if errors.is_empty() => {
                Ok(Asked { action, selection, expected: self.expected, why })
            }
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
    let Asked { action, selection, expected, why } = body.0.parse(&by)?;
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
    let verdict = judge(space.tx(), tenant, &selection, verb, &who).await?;
    refuse(&selection, expected, &verdict)?;
    if verdict.fit.is_empty() {
        return api::json(StatusCode::OK, &AddressesChanged { changed: 0 });
    }
    run(&mut space, &verdict.fit, &action, &who).await?;
    space.close().await?;
    change.commit().await?;
    let changed = i64::try_from(verdict.fit.len()).unwrap_or(i64::MAX);
    api::json(StatusCode::OK, &AddressesChanged { changed })
}

/// Why nothing is changed, if nothing is.
fn refuse(selection: &Selection, expected: Option<i64>, verdict: &Verdict) -> Result<(), Problem> {
    if let Some(too_many) = verdict.too_many {
        let (field, why) = match (selection, too_many) {
            (Selection::These(_), _) => {
                ("addresses", format!("name at most {} addresses at once", grouped(&MOST)))
            }
            (_, TooMany::Counted(count)) => (
                "matching",
                format!(
                    "{} match, at most {} are changed at once",
                    grouped(&count),
                    grouped(&MOST)
                ),
            ),
            (_, TooMany::Uncounted) => (
                "matching",
                format!("more than {} match: search for more of the word", grouped(&FEW)),
            ),
        };
        return Err(Problem::invalid([(field.to_owned(), why)].into()));
    }
    let selected = i64::try_from(verdict.selected()).unwrap_or(i64::MAX);
    if expected.is_some_and(|expected| expected != selected) {
        let title = format!("nothing was changed: {} are selected now", grouped(&selected));
        return Err(Problem::new(StatusCode::CONFLICT, title)
            .field("expected", &"it is another number now"));
    }
    if verdict.refused.is_empty() {
        return Ok(());
    }
    let count = grouped(&i64::try_from(verdict.refused.len()).unwrap_or(i64::MAX));
    let title = format!("nothing was changed: {count} of the addresses cannot be changed so");
    let refused = verdict.refused.iter().take(100);
    Err(refused.fold(Problem::new(StatusCode::CONFLICT, title), |problem, (address, why)| {
        problem.field(&address.to_string(), why)
    }))
}
