//! The same done to many assignments: first shown, then done.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::LIST;
use super::operation::{consequence, outside};
use crate::auth::Operator;
use crate::id::AssignmentId;
use crate::lifecycle::act::{self, Act};
use crate::lifecycle::effects;
use crate::lifecycle::state::Operation;
use crate::lifecycle::steps::legal;
use crate::lifecycle::types::{Assignment, How, Release, Step};
use crate::lifecycle::{Refusal, get};
use crate::text::Line;
use crate::web::form::{Field, Form, Tick};
use crate::web::list as pages;
use crate::web::{Answer, Error, Shell, flash, ok, respond, see_other};

/// Most at once.
const MOST: usize = 500;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BulkForm {
    id: Vec<String>,
    action: String,
    reason: Field,
    keep: Tick,
    confirmed: Tick,
    /// The list to go back to, with its filters.
    list: String,
}

/// One of those chosen, and what becomes of it.
struct Chosen {
    assignment: Assignment,
    outside: Vec<(&'static str, String)>,
    /// What becomes of its address.
    becomes: String,
    /// Why it cannot be done.
    refusal: Option<String>,
    /// Whether it was done.
    done: bool,
}

#[derive(Template)]
#[template(path = "lifecycle/bulk.html")]
struct BulkPage {
    shell: Shell,
    operation: Operation,
    chosen: Vec<Chosen>,
    consequence: String,
    form: BulkForm,
    list: String,
    /// Whether this is what came of it.
    result: bool,
}

impl BulkPage {
    /// Those it can be done to.
    fn able(&self) -> usize {
        self.chosen.iter().filter(|one| one.refusal.is_none()).count()
    }

    fn refused(&self) -> Vec<&Chosen> {
        self.chosen.iter().filter(|one| one.refusal.is_some()).collect()
    }

    fn done(&self) -> usize {
        self.chosen.iter().filter(|one| one.done).count()
    }
}

/// Suspends or revokes many: first shows which, and only when confirmed does it. Each is a change
/// of its own; what cannot be done to one is told, and does not keep the others.
pub(super) async fn bulk(by: Operator, form: Form<BulkForm>) -> Answer {
    let mut form = form.0;
    let list = pages::back(&form.list, LIST).to_owned();
    let operation = match form.action.as_str() {
        "suspend" => Operation::Suspend,
        "revoke" => Operation::Revoke,
        _ => return Err(Error::BadRequest("choose what to do: suspend or revoke")),
    };
    let ids: Result<Vec<AssignmentId>, _> = form.id.iter().map(|id| id.parse()).collect();
    let mut ids = ids.map_err(|_| Error::BadRequest("choose assignments from the list"))?;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(see_other(&list));
    }
    if ids.len() > MOST {
        return Err(Error::BadRequest("choose at most 500 at once"));
    }
    let chosen = preview(&by, ids, operation).await?;
    let reason = form.reason.parse::<Line<500>>();
    let mut tx = by.read().await?;
    let (hours, _) = crate::lifecycle::quarantine(&mut tx, by.tenant()).await?;
    let shell = by.shell(&mut tx, LIST).await?;
    drop(tx);
    let consequence = together(operation, hours);
    let confirmed = form.confirmed.0;
    let mut page = BulkPage { shell, operation, chosen, consequence, form, list, result: false };
    let Some(reason) = reason else {
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    if !confirmed {
        return ok(&page);
    }
    let keep = page.form.keep.0;
    run(&by, &mut page.chosen, operation, &reason, keep).await?;
    if page.refused().is_empty() {
        let said = format!("{} {}", page.done(), operation.done());
        return Ok(flash::done(&page.list, said));
    }
    ok(&BulkPage { result: true, ..page })
}

/// What becomes of all of them.
fn together(operation: Operation, quarantine: i64) -> String {
    match operation {
        Operation::Suspend => {
            "They keep their addresses, but may not use them until they are reactivated.".to_owned()
        }
        _ if quarantine > 0 => format!(
            "Their addresses are in quarantine for {quarantine} hours and then free for others. This cannot be undone."
        ),
        _ => "Their addresses are free for others. This cannot be undone.".to_owned(),
    }
}

async fn preview(
    by: &Operator,
    ids: Vec<AssignmentId>,
    operation: Operation,
) -> Result<Vec<Chosen>, Error> {
    let mut tx = by.read().await?;
    let on = effects::switched_on(&mut tx, by.tenant()).await?;
    let (hours, _) = crate::lifecycle::quarantine(&mut tx, by.tenant()).await?;
    let mut chosen = Vec::new();
    for id in ids {
        let Some(assignment) = get(&mut tx, by.tenant(), id).await? else { continue };
        let refusal = legal(&assignment, operation).err().map(|refusal| refusal.to_string());
        let outside = outside(&assignment, operation, &on);
        let becomes = consequence(&assignment, operation, hours);
        chosen.push(Chosen { assignment, outside, becomes, refusal, done: false });
    }
    Ok(chosen)
}

async fn run(
    by: &Operator,
    chosen: &mut [Chosen],
    operation: Operation,
    reason: &Line<500>,
    keep: bool,
) -> Result<(), Error> {
    for one in chosen.iter_mut().filter(|one| one.refusal.is_none()) {
        let step = if operation == Operation::Suspend {
            Step::Suspend(reason.clone())
        } else {
            Step::Revoke(if keep { Release::Keep } else { Release::Free })
        };
        match act::run(by, &Act::Step(one.assignment.id, step), &How::default()).await {
            Ok(_) => one.done = true,
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => one.refusal = Some(refusal.to_string()),
        }
    }
    Ok(())
}
