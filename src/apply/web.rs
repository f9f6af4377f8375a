//! The Apply pages: what would change, the button, its progress, the history.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Request, Run, Source, State, Step};
use super::{Applier, ApplyError, Drift, Preview};
use crate::asterisk::diff::{DiffLine, FileDiff, LineKind};
use crate::asterisk::objects::{Change, ObjectChange, ObjectKind};
use crate::asterisk::preflight::Severity;
use crate::asterisk::secret::mask_line;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::web::form::{Form, Tick};
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, ok, respond, see_other};

/// Objects listed one by one.
const LISTED: usize = 200;

/// Every page of Apply.
pub fn routes() -> Vec<Route> {
    let (read, press) = (Access::HostPage(Right::Read), Access::HostPage(Right::Apply));
    vec![
        Route::get("/apply", read, index),
        Route::post("/apply", press, apply),
        Route::get("/apply/asterisk", read, asterisk),
        Route::get("/apply/runs/{run}", read, show),
        Route::get("/apply/runs/{run}/progress", read, progress),
        Route::get("/apply/runs/{run}/files/{name}", read, file),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IndexQuery {
    /// An earlier apply whose release is to be put back.
    release: Option<i64>,
    size: String,
    page: String,
}

#[derive(Template)]
#[template(path = "apply/index.html")]
struct IndexPage {
    shell: Shell,
    installed: bool,
    may_apply: bool,
    preview: Option<Preview>,
    /// The apply whose release would be put back.
    restore: Option<Run>,
    last: Option<Run>,
    running: Option<Run>,
    runs: Vec<Run>,
    pager: Pager,
    error: Option<String>,
    reason: String,
}

impl IndexPage {
    async fn new(by: &Operator, applier: &Applier, query: &IndexQuery) -> Result<Self, Error> {
        let restore = match query.release {
            Some(run) => Some(
                applier.run(run).await?.filter(|run| run.state.is_good()).ok_or(Error::NotFound)?,
            ),
            None => None,
        };
        let installed = applier.is_installed();
        let source = restore.as_ref().map_or(Source::Database, |run| Source::Release(run.id));
        let preview = if installed { Some(applier.preview(source).await?) } else { None };
        let at = list::stretch(&query.page, list::size(&query.size));
        let (runs, total) = applier.history(at).await?;
        Ok(Self {
            shell: by.shell(&mut by.read().await?, "/apply").await?,
            may_apply: by.may(Right::Apply),
            last: applier.last_good().await?,
            running: applier.busy().await?,
            pager: Pager::new("/apply", Vec::new(), at, total),
            installed,
            preview,
            restore,
            runs,
            error: None,
            reason: String::new(),
        })
    }

    /// What the button says.
    fn button(&self) -> String {
        match (&self.restore, &self.preview) {
            (Some(run), _) => {
                format!("Put release {} back into force", run.release.unwrap_or(run.id))
            }
            (None, Some(preview)) if preview.is_empty() => {
                "Verify that Asterisk has everything".to_owned()
            }
            (None, Some(preview)) => match preview.pending_total {
                0 => "Apply to Asterisk".to_owned(),
                1 => "Apply 1 change to Asterisk".to_owned(),
                many => format!("Apply {many} changes to Asterisk"),
            },
            (None, None) => String::new(),
        }
    }
}

/// One line about what happens to the objects of a preview.
fn summary(preview: &Preview) -> String {
    let endpoints = || preview.objects.iter().filter(|object| object.kind == ObjectKind::Endpoint);
    let added = endpoints().filter(|object| object.change == Change::Added).count();
    let removed = endpoints().filter(|object| object.change == Change::Removed).count();
    let mut changed: Vec<&str> = preview
        .objects
        .iter()
        .filter(|o| matches!(o.change, Change::Changed(_)))
        .map(owner)
        .collect();
    changed.sort_unstable();
    changed.dedup();
    let parts = [(added, "added"), (changed.len(), "changed"), (removed, "removed")];
    let parts = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"));
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "No phone changes".to_owned() } else { format!("Phones: {text}") }
}

/// The number an object belongs to: `1000-auth` is part of 1000.
fn owner(object: &ObjectChange) -> &str {
    object.id.strip_suffix("-auth").unwrap_or(&object.id)
}

/// The class and sign of a line of a difference.
fn mark(line: &DiffLine) -> (&'static str, &'static str) {
    match line.kind {
        LineKind::Hunk => ("at", ""),
        LineKind::Context => ("", " "),
        LineKind::Added => ("add", "+"),
        LineKind::Removed => ("del", "-"),
    }
}

/// How a state is shown: by shape, then by word.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
fn shape(state: &State) -> &'static str {
    match state {
        State::Verified | State::Unchanged => "on",
        State::Running => "half",
        State::Refused | State::Interrupted => "off",
        State::RolledBack | State::RollbackFailed => "bad",
    }
}

async fn index(by: Operator, applier: web::Data<Applier>, query: web::Query<IndexQuery>) -> Answer {
    ok(&IndexPage::new(&by, &applier, &query).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApplyForm {
    reason: String,
    release: Option<i64>,
    overwrite: Tick,
}

/// Begins an Apply and leads to where one can watch it.
async fn apply(by: Operator, applier: web::Data<Applier>, form: Form<ApplyForm>) -> Answer {
    let ApplyForm { reason, release, overwrite } = form.0;
    let source = release.map_or(Source::Database, Source::Release);
    let request = Request { source, reason: reason.trim().to_owned(), overwrite: overwrite.0 };
    match applier.start(by.actor(), &request).await {
        Ok(run) => Ok(see_other(&format!("/apply/runs/{run}"))),
        Err(ApplyError::Fault(error)) => Err(error),
        Err(refusal) => {
            let query = IndexQuery { release, ..IndexQuery::default() };
            let mut page = IndexPage::new(&by, &applier, &query).await?;
            page.error = Some(refusal.to_string());
            page.reason = request.reason;
            respond(StatusCode::CONFLICT, &page)
        }
    }
}

#[derive(Template)]
#[template(path = "apply/run.html", blocks = ["progress"])]
struct RunPage {
    shell: Shell,
    run: Run,
    step: Option<Step>,
    files: Vec<(&'static str, FileDiff)>,
    may_apply: bool,
}

impl RunPage {
    async fn new(by: &Operator, applier: &Applier, run: i64) -> Result<Self, Error> {
        let step = applier.progress().filter(|(id, _)| *id == run).map(|(_, step)| step);
        let found = applier.run(run).await?.ok_or(Error::NotFound)?;
        let files = if found.state == State::Verified {
            applier.difference(run).await?
        } else {
            Vec::new()
        };
        let shell = by.shell(&mut by.read().await?, "/apply").await?;
        Ok(Self { shell, run: found, step, files, may_apply: by.may(Right::Apply) })
    }

    fn is_running(&self) -> bool {
        self.run.state == State::Running
    }

    /// How a usual step stands: done, under way, or still to come.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    fn stands(&self, step: &Step) -> &'static str {
        match self.step {
            _ if !self.is_running() => "ok",
            Some(now) if *step < now => "ok",
            Some(now) if *step == now => "now",
            _ => "",
        }
    }

    fn is_rolling_back(&self) -> bool {
        self.step == Some(Step::RollBack)
    }
}

async fn show(by: Operator, applier: web::Data<Applier>, run: web::Path<i64>) -> Answer {
    ok(&RunPage::new(&by, &applier, *run).await?)
}

/// The part of the page that changes while an Apply runs. When it is over the whole page is
/// fetched anew: the sidebar says what is pending.
async fn progress(by: Operator, applier: web::Data<Applier>, run: web::Path<i64>) -> Answer {
    let page = RunPage::new(&by, &applier, *run).await?;
    let mut answer = ok(&page.as_progress())?;
    if !page.is_running() {
        answer
            .headers_mut()
            .insert(HeaderName::from_static("hx-refresh"), HeaderValue::from_static("true"));
    }
    Ok(answer)
}

#[derive(Template)]
#[template(path = "apply/file.html")]
struct FilePage {
    shell: Shell,
    run: Run,
    name: String,
    sha256: String,
    lines: Vec<String>,
}

/// A file of a past release, its secrets hidden.
async fn file(by: Operator, applier: web::Data<Applier>, path: web::Path<(i64, String)>) -> Answer {
    let (id, name) = path.into_inner();
    let run = applier.run(id).await?.ok_or(Error::NotFound)?;
    let files = applier.files_of(id).await?;
    let file = files.into_iter().find(|file| file.name == name).ok_or(Error::NotFound)?;
    let lines = file.text.lines().map(|line| mask_line(line).into_owned()).collect();
    let shell = by.shell(&mut by.read().await?, "/apply").await?;
    ok(&FilePage { shell, run, name, sha256: file.sha256(), lines })
}

#[derive(Template)]
#[template(path = "apply/asterisk.html")]
struct AsteriskPage {
    shell: Shell,
    drift: Drift,
}

/// What Asterisk really runs. A page of its own, because Asterisk may be slow to answer.
async fn asterisk(by: Operator, applier: web::Data<Applier>) -> Answer {
    let drift = applier.drift().await?;
    ok(&AsteriskPage { shell: by.shell(&mut by.read().await?, "/apply").await?, drift })
}
