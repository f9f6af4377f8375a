//! The Apply pages: what would change, the button, its progress, the history.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::preview::caller_name;
use super::render::FILES;
use super::types::{Reason, Request, Run, Source, State, Step};
use super::{Applier, ApplyError, Drift, Preview};
use crate::asterisk::diff::{DiffLine, FileDiff, LineKind};
use crate::asterisk::objects::{Change, FieldChange, ObjectChange, ObjectKind};
use crate::asterisk::preflight::{Finding, Severity};
use crate::asterisk::secret::mask_line;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::web::form::{Field, Form, Tick};
use crate::web::list::{self, Pager};
use crate::web::{Answer, Error, Shell, invalid, ok, respond, see_other};

/// Phones, or differences, listed one by one.
const LISTED: usize = 200;
/// A difference of so many lines is shown at once, a longer one when it is opened.
const SHOWN: usize = 200;

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
    reason: Field,
    overwrite: Tick,
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
            reason: Field::default(),
            overwrite: Tick::default(),
        })
    }

    /// Why the button cannot be pressed now.
    fn obstacle(&self) -> Option<String> {
        if let Some(run) = &self.running {
            return Some(format!(
                "{} is applying right now. When that is done, load this page again.",
                run.actor
            ));
        }
        let blocking = |finding: &&Finding| finding.severity == Severity::Blocking;
        match self.preview.as_ref()?.findings.iter().filter(blocking).count() {
            0 => None,
            1 => Some("One thing in Asterisk's files stands in the way; it is named below. Put it right, then load this page again.".to_owned()),
            many => Some(format!("{many} things in Asterisk's files stand in the way; they are named below. Put them right, then load this page again.")),
        }
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

/// A phone that changes, whatever objects of Asterisk's it is made of.
struct Phone<'p> {
    /// Its endpoint, which is what it signs in as.
    id: &'p str,
    /// Whose it is, as others see it.
    name: &'p str,
    becomes: Becomes,
    objects: Vec<&'p ObjectChange>,
}

/// What becomes of a phone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Added,
    Changed,
    Removed,
}

impl Becomes {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Added => "on",
            Self::Changed => "half",
            Self::Removed => "bad",
        }
    }
}

impl Phone<'_> {
    fn fields(&self) -> impl Iterator<Item = &FieldChange> {
        self.objects.iter().flat_map(|object| match &object.change {
            Change::Changed(fields) => fields.as_slice(),
            Change::Added | Change::Removed => &[],
        })
    }

    /// The name others saw and the one they will see.
    fn renamed(&self) -> Option<(String, String)> {
        let field = self.fields().find(|field| field.name == "callerid")?;
        let name = |value: &Option<String>| value.as_deref().and_then(caller_name);
        let (old, new) = (name(&field.old)?, name(&field.new)?);
        (old != new).then_some((old, new))
    }

    /// Whether the phone must be given a new secret.
    fn has_new_secret(&self) -> bool {
        self.fields().any(|field| field.name == "password_digest")
    }

    /// The options that change and are not said in words already.
    fn others(&self) -> Vec<&FieldChange> {
        let renamed = self.renamed().is_some();
        let said = |name: &str| name == "password_digest" || (renamed && name == "callerid");
        self.fields().filter(|field| !said(&field.name)).collect()
    }
}

/// The phones that a preview changes, by their names in Asterisk.
fn phones(preview: &Preview) -> Vec<Phone<'_>> {
    let mut by_owner: BTreeMap<&str, Vec<&ObjectChange>> = BTreeMap::new();
    for object in &preview.objects {
        by_owner.entry(object.owner()).or_default().push(object);
    }
    let rows = by_owner.into_iter().map(|(id, objects)| {
        let endpoint = objects.iter().find(|object| object.kind == ObjectKind::Endpoint);
        let becomes = match endpoint.map(|object| &object.change) {
            Some(Change::Added) => Becomes::Added,
            Some(Change::Removed) => Becomes::Removed,
            Some(Change::Changed(_)) | None => Becomes::Changed,
        };
        let name = preview.names.get(id).map_or("", String::as_str);
        Phone { id, name, becomes, objects }
    });
    rows.collect()
}

/// What happens, in a sentence without its full stop.
fn summary(preview: &Preview, phones: &[Phone<'_>]) -> String {
    let count = |becomes| phones.iter().filter(|phone| phone.becomes == becomes).count();
    let mut parts: Vec<String> = Vec::new();
    for becomes in [Becomes::Added, Becomes::Changed, Becomes::Removed] {
        let noun = match (count(becomes), parts.is_empty()) {
            (0, _) => continue,
            (1, true) => "1 phone".to_owned(),
            (many, true) => format!("{many} phones"),
            (many, false) => many.to_string(),
        };
        parts.push(format!("{noun} {}", becomes.word()));
    }
    let mut text = parts.join(", ");
    let secrets = match phones.iter().filter(|phone| phone.has_new_secret()).count() {
        0 => String::new(),
        1 => "; 1 must be given its new secret".to_owned(),
        many => format!("; {many} must be given their new secrets"),
    };
    text.push_str(&secrets);
    if text.is_empty() {
        text.push_str("No phone changes");
    }
    if preview.modules.contains(&FILES[1].1) {
        text.push_str("; the rules for dialling change");
    }
    text
}

/// Whether reloading these modules leaves every call alone. Of those that read our files that is
/// known: an endpoint lives as long as a call has it, and a call keeps the place in the dialplan
/// it is at.
fn keeps_calls(preview: &Preview) -> bool {
    preview.modules.iter().all(|module| FILES.iter().any(|(_, known)| known == module))
}

/// What a module's file is about.
fn about(module: &str) -> &'static str {
    if module == FILES[0].1 { "the phones" } else { "the rules for dialling" }
}

/// What it means for phones, and what to do next.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
fn meaning(state: &State) -> &'static str {
    match state {
        State::Running => "",
        State::Verified => "Everything is in Asterisk: phones can use it now.",
        State::Unchanged => "Nothing changes for phones.",
        State::Refused | State::Unreachable | State::RolledBack => {
            "Nothing has changed for phones. When what is named here is put right, apply again."
        }
        State::RollbackFailed => {
            "Phones may not work. Whoever looks after Asterisk should look at it now; then apply again."
        }
        State::Interrupted => "What was to be applied is not in Asterisk: apply again.",
    }
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
        State::Refused | State::Unreachable | State::Interrupted => "off",
        State::RolledBack | State::RollbackFailed => "bad",
    }
}

async fn index(by: Operator, applier: web::Data<Applier>, query: web::Query<IndexQuery>) -> Answer {
    ok(&IndexPage::new(&by, &applier, &query).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApplyForm {
    reason: Field,
    release: Option<i64>,
    overwrite: Tick,
}

/// Begins an Apply and leads to where one can watch it.
async fn apply(by: Operator, applier: web::Data<Applier>, form: Form<ApplyForm>) -> Answer {
    let ApplyForm { mut reason, release, overwrite } = form.0;
    // Where Asterisk does not know Patchbay there is no field for an error to stand beside.
    let why = if applier.is_installed() { reason.parse() } else { Some(Reason::default()) };
    let refused = match why {
        None => None,
        Some(why) => {
            let source = release.map_or(Source::Database, Source::Release);
            let request = Request { source, reason: why, overwrite: overwrite.0 };
            match applier.start(by.actor(), &request).await {
                Ok(run) => return Ok(see_other(&format!("/apply/runs/{run}"))),
                Err(ApplyError::Fault(error)) => return Err(error),
                Err(refusal) => Some(refusal.to_string()),
            }
        }
    };
    let query = IndexQuery { release, ..IndexQuery::default() };
    let page = IndexPage::new(&by, &applier, &query).await?;
    let page = IndexPage { error: refused, reason, overwrite, ..page };
    if page.error.is_some() { respond(StatusCode::CONFLICT, &page) } else { invalid(&page) }
}

#[derive(Template)]
#[template(path = "apply/run.html", blocks = ["progress"])]
struct RunPage {
    shell: Shell,
    run: Run,
    step: Option<Step>,
    /// The names of the files that are kept.
    kept: Vec<String>,
    /// How they differ from the release before.
    files: Vec<(&'static str, FileDiff)>,
    may_apply: bool,
}

impl RunPage {
    async fn new(by: &Operator, applier: &Applier, run: i64) -> Result<Self, Error> {
        let step = applier.progress().filter(|(id, _)| *id == run).map(|(_, step)| step);
        let found = applier.run(run).await?.ok_or(Error::NotFound)?;
        let (kept, files) = (applier.file_names(run).await?, applier.difference(&found).await?);
        let shell = by.shell(&mut by.read().await?, "/apply").await?;
        Ok(Self { shell, run: found, step, kept, files, may_apply: by.may(Right::Apply) })
    }

    /// Whether there is something to look at that no module was told to read.
    fn is_untold(&self) -> bool {
        !self.kept.is_empty() && self.run.modules().is_empty()
    }

    fn is_running(&self) -> bool {
        self.run.state == State::Running
    }

    /// The steps, each with how it stands: done, under way, gone wrong or still to come.
    fn steps(&self) -> Vec<(&'static str, &'static str)> {
        let [render, check, write, ..] = Step::USUAL.map(|step| ("ok", step.title()));
        let (read_back, not_taken) =
            (("ok", Step::Verify.title()), ("bad", "not taken by Asterisk"));
        let put_back = Step::RollBack.title();
        match (self.run.state, self.step) {
            (State::Running, Some(Step::RollBack)) => {
                vec![render, check, write, not_taken, ("now", put_back)]
            }
            (State::Running, Some(now)) => {
                Step::USUAL.map(|step| (how(step, now), step.title())).to_vec()
            }
            (State::Verified, _) => Step::USUAL.map(|step| ("ok", step.title())).to_vec(),
            (State::Unchanged, _) => vec![render, check, ("ok", "nothing to change"), read_back],
            (State::RolledBack, _) => {
                vec![render, check, write, not_taken, ("ok", put_back), read_back]
            }
            (State::RollbackFailed, _) => {
                vec![render, check, write, not_taken, ("bad", "old release not seen to be back")]
            }
            // Another process runs it, or it never got to Asterisk.
            (State::Running, None)
            | (State::Refused | State::Unreachable | State::Interrupted, _) => Vec::new(),
        }
    }
}

/// How a step stands when the Apply is at `now`.
fn how(step: Step, now: Step) -> &'static str {
    match step.cmp(&now) {
        Ordering::Less => "ok",
        Ordering::Equal => "now",
        Ordering::Greater => "",
    }
}

/// A step's state for those who do not see its sign.
fn spoken(class: &str) -> &'static str {
    match class {
        "ok" => "done",
        "now" => "under way",
        "bad" => "went wrong",
        _ => "to come",
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

/// A file as a past apply put it into force, or would have, its secrets hidden.
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
