//! One assignment: what it is, what may be done with it, and its life so far.

use actix_web::web;
use askama::Template;

use super::{LIST, find};
use crate::audit::{self, Page, Record};
use crate::auth::{Operator, Right};
use crate::id::AssignmentId;
use crate::lifecycle::api::OutsideCall;
use crate::lifecycle::effects;
use crate::lifecycle::state::{Operation, State};
use crate::lifecycle::types::{Assignment, Family, Leased};
use crate::web::{Answer, Shell, ok};

/// Events a page shows.
const SHOWN: i64 = 200;

#[derive(Template)]
#[template(path = "lifecycle/show.html")]
struct ShowPage {
    shell: Shell,
    assignment: Assignment,
    operations: Vec<Operation>,
    history: Vec<Record>,
    calls: Vec<OutsideCall>,
    may_manage: bool,
}

/// One event of a life, as the time line shows it.
struct Moment {
    /// The state it led to, if it was a step.
    state: Option<State>,
    /// What happened.
    what: String,
}

impl ShowPage {
    fn ask(&self, operation: &Operation) -> String {
        format!("{LIST}/{}/{operation}", self.assignment.id)
    }

    /// Where the address or prefix is looked at.
    fn address_path(&self) -> Option<String> {
        match self.assignment.leased? {
            Leased::Address(address) => Some(format!("/ipam/addresses/{address}")),
            Leased::Prefix(_) => {
                self.assignment.pool.as_ref().map(|pool| format!("/ipam/prefixes/{pool}"))
            }
        }
    }

    /// What an audit record says of this life.
    fn moment(record: &Record) -> Moment {
        let changes = record.changes();
        let state = changes.iter().find(|(name, _, _)| name == "state");
        let state = state.and_then(|(_, _, after)| after.parse().ok());
        let what = record.action.strip_prefix("assignment.").unwrap_or(&record.action).to_owned();
        Moment { state, what }
    }

    /// What else changed with it.
    fn besides(record: &Record) -> Vec<(String, String, String)> {
        let changes = record.changes().into_iter();
        let told = |name: &str| !matches!(name, "state" | "reason" | "family" | "holder" | "role");
        let empty = |(name, before, after): &(String, String, String)| {
            name == "metadata" && after == "{}" && (before.is_empty() || before == "{}")
        };
        changes.filter(|change| told(&change.0) && !empty(change)).collect()
    }
}

pub(super) async fn show(by: Operator, id: web::Path<AssignmentId>) -> Answer {
    let mut tx = by.read().await?;
    let assignment = find(&mut tx, &by, *id).await?;
    let page = Page { offset: 0, limit: SHOWN };
    let history = audit::of(&mut tx, by.tenant(), &id.to_string(), page).await?;
    let may_manage = by.may(Right::ManageAddresses);
    ok(&ShowPage {
        calls: effects::outcomes(&mut tx, by.tenant(), *id).await?,
        operations: if may_manage { assignment.state.operations() } else { Vec::new() },
        shell: by.shell(&mut tx, LIST).await?,
        assignment,
        history,
        may_manage,
    })
}
