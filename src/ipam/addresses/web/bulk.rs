//! The same done to many addresses: first shows to which and to which not, and only when
//! confirmed does it.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::index::ListQuery;
use super::{LIST, Rights};
use crate::auth::Operator;
use crate::ipam::addresses::bulk::{
    Action, MOST, Selection, Target, TooMany, Verb, Verdict, judge, run,
};
use crate::ipam::addresses::{FEW, Note, Refusal};
use crate::ipam::space::Space;
use crate::ipam::web::end_of_day;
use crate::net::Address;
use crate::text::{Line, grouped};
use crate::time::Zone;
use crate::web::form::{Field, Form, Tick};
use crate::web::list;
use crate::web::{Answer, Error, Shell, flash, respond, see_other};

/// Addresses named one by one on the page that asks.
const NAMED: usize = 100;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BulkForm {
    action: String,
    id: Vec<String>,
    all: Tick,
    /// The list to go back to, with its filters; with `all` what matches them.
    list: String,
    confirmed: Tick,
    /// The set it was to be when somebody confirmed.
    seen: String,
    /// Whether those it does not fit are left out.
    skip: Tick,
    note: Field,
    until: Field,
}

#[derive(Template)]
#[template(path = "ipam/addresses/bulk.html")]
struct BulkPage {
    shell: Shell,
    verb: Verb,
    form: BulkForm,
    verdict: Verdict,
    /// What has changed since somebody confirmed.
    meanwhile: Option<String>,
}

impl BulkPage {
    fn fit(&self) -> usize {
        self.verdict.fit.len()
    }

    fn refused(&self) -> usize {
        self.verdict.refused.len()
    }

    fn some_fit(&self) -> Vec<&Target> {
        self.verdict.fit.iter().take(NAMED).collect()
    }

    fn some_refused(&self) -> Vec<&(Address, Refusal)> {
        self.verdict.refused.iter().take(NAMED).collect()
    }

    fn more_fit(&self) -> Option<String> {
        beyond(self.fit())
    }

    fn more_refused(&self) -> Option<String> {
        beyond(self.refused())
    }

    /// What is asked: `Release 12 addresses?`
    fn question(&self) -> String {
        let count = addresses(self.fit());
        match self.verb {
            Verb::Release => format!("Release {count}?"),
            Verb::EndQuarantine => format!("End the quarantine of {count}?"),
            Verb::Reserve => format!("Reserve {count}?"),
            Verb::Quarantine => format!("Put {count} in quarantine?"),
            Verb::Allocate => format!("Give {count} away?"),
            Verb::Edit => format!("Edit {count}?"),
        }
    }

    fn button(&self) -> String {
        let count = addresses(self.fit());
        match self.verb {
            Verb::Release => format!("Release {count}"),
            Verb::EndQuarantine => format!("End {} quarantines", grouped(&wide(self.fit()))),
            Verb::Reserve => format!("Reserve {count}"),
            Verb::Quarantine => format!("Quarantine {count}"),
            Verb::Allocate => format!("Give {count}"),
            Verb::Edit => format!("Edit {count}"),
        }
    }

    fn consequence(&self) -> &'static str {
        match self.verb {
            Verb::Release => "They are free at once, unless somebody else claims them.",
            Verb::EndQuarantine => {
                "They are free at once; whoever held one before the quarantine gets it back."
            }
            Verb::Reserve => {
                "They are kept for you until you release them, or until the day you name."
            }
            Verb::Quarantine => {
                "Nobody is given them. Whoever holds one now becomes a claimant and gets it back afterwards."
            }
            Verb::Edit => {
                "What you write stands in each of them instead of what is there now; what you leave empty stays."
            }
            Verb::Allocate => "",
        }
    }

    /// Whether a reason is asked for.
    fn asks(&self) -> bool {
        matches!(self.verb, Verb::Reserve | Verb::Quarantine)
    }

    /// Whether what is said of them is to be another.
    fn edits(&self) -> bool {
        self.verb == Verb::Edit
    }

    /// Why all of them cannot be changed at once.
    fn too_many(&self) -> Option<String> {
        Some(match self.verdict.too_many? {
            TooMany::Counted(count) => format!(
                "{} addresses match; at most {} are changed at once. Narrow the list first, to one subnet for instance.",
                grouped(&count),
                grouped(&MOST)
            ),
            TooMany::Uncounted => format!(
                "More than {} addresses match. A search for words lists no more than that, so nobody has seen which they all are. Search for more of the word, or choose addresses on the list.",
                grouped(&FEW)
            ),
        })
    }

    /// The addresses ticked, to be sent again.
    fn ids(&self) -> &[String] {
        if self.form.all.0 { &[] } else { &self.form.id }
    }
}

fn wide(count: usize) -> i128 {
    i128::try_from(count).unwrap_or(i128::MAX)
}

fn count(count: usize) -> String {
    grouped(&wide(count))
}

/// How many of so many are not named.
fn beyond(all: usize) -> Option<String> {
    Some(all.saturating_sub(NAMED)).filter(|more| *more > 0).map(count)
}

fn addresses(count: usize) -> String {
    match count {
        1 => "1 address".to_owned(),
        _ => format!("{} addresses", self::count(count)),
    }
}

impl BulkForm {
    fn selection(&self, by: &Operator) -> Result<Selection, Error> {
        if self.all.0 {
            let query = list::back(&self.list, LIST).split_once('?').map_or("", |(_, query)| query);
            let query: ListQuery = serde_html_form::from_str(query)
                .map_err(|_| Error::BadRequest("choose addresses from the list"))?;
            return Ok(Selection::Matching(query.filter(by.name().as_str())?));
        }
        let ids: Result<Vec<Address>, _> = self.id.iter().map(|id| id.parse()).collect();
        let ids = ids.map_err(|_| Error::BadRequest("choose addresses from the list"))?;
        Ok(Selection::These(ids))
    }

    fn parse(&mut self, verb: Verb, zone: &Zone) -> Option<(Action, Line<500>)> {
        // What is said of a reservation or a quarantine stands in it, the rest in the history.
        let why = match verb {
            Verb::Release | Verb::EndQuarantine => self.note.parse::<Line<500>>()?,
            _ => Line::default(),
        };
        let action = match verb {
            Verb::Release => Action::Release,
            Verb::EndQuarantine => Action::EndQuarantine,
            Verb::Reserve | Verb::Quarantine => {
                let (note, until) = (self.note.parse::<Note>(), end_of_day(&mut self.until, zone));
                let (note, until) = (note?, until?);
                if verb == Verb::Reserve {
                    Action::Reserve { note, until }
                } else {
                    Action::Quarantine { reason: note, until }
                }
            }
            Verb::Edit => {
                let note = self.note.parse_optional::<Note>();
                let until = end_of_day(&mut self.until, zone);
                let (note, until) = (note?, until?);
                if note.is_none() && until.is_none() {
                    self.note.reject(&"write a note, or choose a day");
                    return None;
                }
                Action::Edit { note, until }
            }
            Verb::Allocate => return None,
        };
        Some((action, why))
    }
}

pub(super) async fn bulk(by: Operator, form: Form<BulkForm>) -> Answer {
    let mut form = form.0;
    let verb = Verb::named(&form.action).filter(|verb| *verb != Verb::Allocate);
    let verb = verb.ok_or(Error::BadRequest("choose what to do with the addresses"))?;
    let rights = Rights::of(&by);
    if matches!(verb, Verb::Quarantine | Verb::EndQuarantine) && !rights.manage {
        return Err(Error::Forbidden);
    }
    let selection = form.selection(&by)?;
    if selection == Selection::These(Vec::new()) {
        return Ok(see_other(list::back(&form.list, LIST)));
    }
    if !form.confirmed.0 {
        return asked(&by, form, verb, &selection, None, StatusCode::OK).await;
    }
    let Some((action, why)) = form.parse(verb, by.zone()) else {
        return asked(&by, form, verb, &selection, None, StatusCode::UNPROCESSABLE_ENTITY).await;
    };
    done(&by, form, &action, &why, &selection).await
}

/// The page that asks.
async fn asked(
    by: &Operator,
    mut form: BulkForm,
    verb: Verb,
    selection: &Selection,
    meanwhile: Option<String>,
    status: StatusCode,
) -> Answer {
    let mut tx = by.read().await?;
    let who = Rights::of(by).by;
    let verdict = judge(&mut tx, by.tenant(), selection, verb, &who).await?;
    form.list = list::back(&form.list, LIST).to_owned();
    let status = if verdict.too_many.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { status };
    let shell = by.shell(&mut tx, LIST).await?;
    respond(status, &BulkPage { shell, verb, form, verdict, meanwhile })
}

/// All of it, or nothing.
async fn done(
    by: &Operator,
    mut form: BulkForm,
    action: &Action,
    why: &Line<500>,
    selection: &Selection,
) -> Answer {
    let (who, verb) = (Rights::of(by).by, action.verb());
    let mut change = by.change().await?;
    change.explain(why);
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let tenant = space.tenant();
    let verdict = judge(space.tx(), tenant, selection, verb, &who).await?;
    let fit = verdict.fit.len();
    let other = form.seen != verdict.digest();
    if verdict.too_many.is_some() || fit == 0 || other || (!form.skip.0 && fit < verdict.selected())
    {
        drop(space);
        drop(change);
        let meanwhile = other.then(|| "The list has changed since; look again.".to_owned());
        return asked(by, form, verb, selection, meanwhile, StatusCode::CONFLICT).await;
    }
    match run(&mut space, &verdict.fit, action, &who).await {
        Ok(()) => {
            space.close().await?;
            change.commit().await?;
            Ok(flash::done(list::back(&form.list, LIST), said(verb, fit)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(space);
            drop(change);
            let status = super::status_of(&refusal);
            if refusal.field() == Some("until") {
                form.until.reject(&"that day is over; choose a later one, or none");
            }
            asked(by, form, verb, selection, Some(format!("{refusal}.")), status).await
        }
    }
}

fn said(verb: Verb, fit: usize) -> String {
    let count = addresses(fit);
    match verb {
        Verb::Release => format!("{count} released"),
        Verb::EndQuarantine => format!("{count} taken out of quarantine"),
        Verb::Reserve => format!("{count} reserved"),
        Verb::Quarantine => format!("{count} put in quarantine"),
        Verb::Allocate => format!("{count} given"),
        Verb::Edit => format!("{count} changed"),
    }
}
