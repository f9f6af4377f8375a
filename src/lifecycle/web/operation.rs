//! Asking before an operation: what it does here and outside; and doing it.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{LIST, find};
use crate::auth::Operator;
use crate::id::AssignmentId;
use crate::lifecycle::act::{self, Act};
use crate::lifecycle::effects;
use crate::lifecycle::state::{Operation, State};
use crate::lifecycle::steps::legal;
use crate::lifecycle::types::{Assignment, How, Release, Step, SubscriberId};
use crate::lifecycle::{Outcome, Refusal};
use crate::net::Address;
use crate::text::Line;
use crate::time::Timestamp;
use crate::web::form::{Field, Form, Tick};
use crate::web::list as pages;
use crate::web::{Answer, Error, Shell, flash, ok, respond};

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OperationForm {
    /// The list to go back to, with its filters.
    list: String,
    reason: Field,
    username: Field,
    nas_ip: Field,
    /// Whether RADIUS is told.
    radius: Tick,
    /// Whether the address is kept instead of going back to its pool.
    keep: Tick,
}

impl OperationForm {
    fn of(assignment: &Assignment, operation: Operation, list: String) -> Self {
        let said =
            |key: &str| Field::from(assignment.metadata.text(key).unwrap_or_default().to_owned());
        Self {
            list,
            username: said("username"),
            nas_ip: said("nas_ip"),
            radius: Tick(operation != Operation::Activate),
            ..Self::default()
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self, operation: Operation) -> Option<(Step, How)> {
        let reason = self.reason.parse::<Line<500>>();
        let username = self.username.parse_optional::<SubscriberId>();
        let nas = self.nas_ip.parse_optional::<Address>();
        let (reason, username, nas) = (reason?, username?, nas?);
        let release = if self.keep.0 { Release::Keep } else { Release::Free };
        let step = match operation {
            Operation::Activate | Operation::Allocate => Step::Activate,
            Operation::Suspend => Step::Suspend(reason),
            Operation::Reactivate => Step::Reactivate,
            Operation::Revoke | Operation::Complete => Step::Revoke(release),
            Operation::Retry => Step::Retry,
            Operation::Fail => Step::Fail(reason),
        };
        let how = How { username, nas, radius: Some(self.radius.0), ..How::default() };
        Some((step, how))
    }
}

/// What happens to the address itself, as a sentence.
pub(super) fn consequence(
    assignment: &Assignment,
    operation: Operation,
    quarantine: i64,
) -> String {
    let what = match assignment.leased {
        Some(leased) => leased.to_string(),
        None => format!("an {}", assignment.family.label()),
    };
    let early = matches!(assignment.state, State::Pending | State::Allocated);
    match operation {
        Operation::Allocate => format!("{what} is its own."),
        Operation::Activate => format!("{what} counts as in use."),
        Operation::Suspend => {
            format!("{what} stays its own, but may not be used until it is reactivated.")
        }
        Operation::Reactivate => format!("{what} may be used again."),
        Operation::Revoke | Operation::Complete if quarantine > 0 => {
            format!(
                "{what} is in quarantine for {quarantine} hours and then free. This cannot be undone."
            )
        }
        Operation::Revoke | Operation::Complete => {
            format!("{what} is free for others. This cannot be undone.")
        }
        Operation::Retry if assignment.held().is_some() => {
            format!("It is allocated again with {what}, which it has kept.")
        }
        Operation::Retry => format!(
            "It is allocated again: with {what} if that is free, else with another of its pool."
        ),
        Operation::Fail if early => format!("{what} is free for others; a retry may get another."),
        Operation::Fail => format!("{what} stays its own until somebody decides."),
    }
}

/// What outside systems are asked to do, each with its name.
pub(super) fn outside(
    assignment: &Assignment,
    operation: Operation,
    on: &[&str],
) -> Vec<(&'static str, String)> {
    let effects =
        effects::forecast(assignment, operation, &How { radius: Some(true), ..How::default() });
    let told = effects.iter().filter(|effect| on.contains(&effect.system()));
    told.map(|effect| (effect.system(), effect.sentence(assignment))).collect()
}

#[derive(Template)]
#[template(path = "lifecycle/operation.html")]
struct OperationPage {
    shell: Shell,
    assignment: Assignment,
    operation: Operation,
    form: OperationForm,
    consequence: String,
    outside: Vec<(&'static str, String)>,
    radius: bool,
    error: Option<String>,
}

impl OperationPage {
    async fn new(
        by: &Operator,
        id: AssignmentId,
        operation: Operation,
        form: Option<OperationForm>,
        list: String,
    ) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let assignment = find(&mut tx, by, id).await?;
        let (hours, _) = crate::lifecycle::quarantine(&mut tx, by.tenant()).await?;
        let on = effects::switched_on(&mut tx, by.tenant()).await?;
        let outside = outside(&assignment, operation, &on);
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            form: form.unwrap_or_else(|| OperationForm::of(&assignment, operation, list)),
            consequence: consequence(&assignment, operation, hours),
            radius: outside.iter().any(|(system, _)| *system == "RADIUS"),
            outside,
            error: None,
            assignment,
            operation,
        })
    }

    fn with_reason(&self) -> bool {
        matches!(self.operation, Operation::Suspend | Operation::Fail)
    }

    fn back(&self) -> String {
        if self.form.list.is_empty() {
            format!("{LIST}/{}", self.assignment.id)
        } else {
            pages::back(&self.form.list, LIST).to_owned()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AskQuery {
    list: String,
}

fn operation_of(word: &str) -> Result<Operation, Error> {
    word.parse().map_err(|_| Error::NotFound)
}

pub(super) async fn ask(
    by: Operator,
    path: web::Path<(AssignmentId, String)>,
    query: web::Query<AskQuery>,
) -> Answer {
    let (id, word) = path.into_inner();
    let operation = operation_of(&word)?;
    let list = query.into_inner().list;
    let page = OperationPage::new(&by, id, operation, None, list).await?;
    match legal(&page.assignment, operation) {
        Ok(()) => ok(&page),
        Err(refusal) => refused(page, &refusal),
    }
}

fn refused(page: OperationPage, refusal: &Refusal) -> Answer {
    let status = match refusal {
        Refusal::Field { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    respond(status, &OperationPage { error: Some(refusal.to_string()), ..page })
}

pub(super) async fn run(
    by: Operator,
    path: web::Path<(AssignmentId, String)>,
    form: Form<OperationForm>,
) -> Answer {
    let (id, word) = path.into_inner();
    let (operation, mut form) = (operation_of(&word)?, form.0);
    let Some((step, how)) = form.parse(operation) else {
        let page = OperationPage::new(&by, id, operation, Some(form), String::new()).await?;
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let done: Outcome<_> = act::run(&by, &Act::Step(id, step), &how).await;
    match done {
        Ok(done) => {
            let back = if form.list.is_empty() {
                format!("{LIST}/{id}")
            } else {
                pages::back(&form.list, LIST).to_owned()
            };
            Ok(flash::done_if(done.changed, &back, &said(operation, &done.assignment, done.calls)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::NotFound(_)) => Err(Error::NotFound),
        Err(refusal) => {
            let page = OperationPage::new(&by, id, operation, Some(form), String::new()).await?;
            refused(page, &refusal)
        }
    }
}

/// What was done, in a sentence.
fn said(operation: Operation, now: &Assignment, calls: usize) -> String {
    let what = now.label();
    let done = match (operation, now.state) {
        (Operation::Revoke, State::Revoking) => "is being revoked",
        (Operation::Retry, _) => "is allocated again",
        (operation, _) => operation.done(),
    };
    let outside = match calls {
        0 => String::new(),
        1 => "; one outside system is told".to_owned(),
        calls => format!("; {calls} outside systems are told"),
    };
    format!("{what}: {done}{outside}")
}

impl OperationPage {
    fn since(&self) -> String {
        let at: Timestamp = self.assignment.since;
        self.shell.time(&at)
    }
}
