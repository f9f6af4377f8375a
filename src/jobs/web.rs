//! The page of jobs: when each is due, how its last runs went, and a button.

use actix_web::web;
use askama::Template;
use serde_json::Value;

use super::{Job, Jobs, Row, Run};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::time::Timestamp;
use crate::web::{Answer, Error, Shell, flash, ok};

/// Runs shown of each job.
const SHOWN: i64 = 10;

/// Every page of jobs.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/settings/jobs", Access::HostPage(Right::Read), index),
        Route::post("/settings/jobs/{name}/run", Access::HostPage(Right::Administer), run),
    ]
}

struct Line {
    job: Job,
    row: Option<Row>,
    runs: Vec<Run>,
}

#[derive(Template)]
#[template(path = "jobs/index.html")]
struct IndexPage {
    shell: Shell,
    lines: Vec<Line>,
    may_run: bool,
    now: Timestamp,
}

impl Line {
    /// Whether somebody does it now.
    fn running(&self, now: &Timestamp) -> bool {
        self.row.as_ref().is_some_and(|row| !row.runner.is_empty() && row.lease_until > *now)
    }

    fn next(&self, now: &Timestamp) -> Timestamp {
        self.row.as_ref().map_or_else(|| self.job.schedule.next(*now), |row| row.next_at)
    }
}

impl Run {
    /// What it found, as `name: count`; what went wrong as it is.
    pub(crate) fn found(&self) -> String {
        let Ok(Value::Object(found)) = serde_json::from_str(&self.result) else {
            return self.result.clone();
        };
        let plain = found.iter().filter(|(_, value)| value.is_number() || value.is_string());
        let plain = plain.map(|(name, value)| format!("{}: {value}", name.replace('_', " ")));
        let told = plain.collect::<Vec<_>>().join(", ");
        if told.is_empty() { "counted".to_owned() } else { told }
    }

    /// How long it took, in words.
    pub(crate) fn took(&self) -> String {
        match self.finished_at.map(|end| end.since(self.started_at)) {
            None => "under way".to_owned(),
            Some(0) => "less than a second".to_owned(),
            Some(1) => "1 second".to_owned(),
            Some(seconds) => format!("{seconds} seconds"),
        }
    }

    /// The class of its badge.
    pub(crate) fn class(&self) -> &'static str {
        match self.state.as_str() {
            "done" => "on",
            "running" => "half",
            _ => "bad",
        }
    }
}

async fn index(by: Operator, jobs: web::Data<Jobs>) -> Answer {
    let mut tx = by.read().await?;
    let mut lines = Vec::new();
    for job in jobs.0.iter() {
        let (row, runs) = super::standing(&mut tx, job, SHOWN).await?;
        lines.push(Line { job: *job, row, runs });
    }
    ok(&IndexPage {
        shell: by.shell(&mut tx, "/settings").await?,
        may_run: by.may(Right::Administer),
        now: by.state().clock.now(),
        lines,
    })
}

async fn run(by: Operator, name: web::Path<String>, jobs: web::Data<Jobs>) -> Answer {
    let job = jobs.named(&name).ok_or(Error::NotFound)?;
    let mut change = by.change().await?;
    super::request(&mut change, job).await?;
    change.commit().await?;
    let said = format!("Asked for: {}. It begins within a second.", job.title);
    Ok(flash::done("/settings/jobs", said))
}
