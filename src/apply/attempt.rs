//! The attempt itself, from the snapshot to the proof.

use tokio::task::JoinHandle;

use super::asterisk::Session;
use super::desired::{self, Desired};
use super::keep::{Kept, Packed, pack};
use super::lock::{Begun, Ending};
use super::log::Mark;
use super::preview;
use super::proof::{Known, OBJECTS, differences, doubts_of, reload};
use super::render::{self, File};
use super::types::{Module, Request, Source, State, Step};
use super::{Applier, ApplyError, blocking};
use crate::asterisk::access::Unusable;
use crate::asterisk::ami::AmiError;
use crate::asterisk::preflight::Severity;
use crate::secrets::VaultError;
use crate::web::Error;

/// What is to be put into force.
pub(super) struct Plan {
    pub files: Vec<File>,
    pub audit_seq: i64,
    pub users: Option<i64>,
}

/// An attempt that ended before its end: how.
pub(super) struct Stop {
    state: State,
    detail: String,
    findings: Vec<String>,
    modules: Vec<Module>,
    /// What Asterisk did not take, or was not told, to be looked at.
    files: Vec<Packed>,
}

impl Stop {
    fn refused(detail: impl Into<String>) -> Self {
        Self {
            state: State::Refused,
            detail: detail.into(),
            findings: Vec::new(),
            modules: Vec::new(),
            files: Vec::new(),
        }
    }

    fn because(detail: &str, findings: Vec<String>) -> Self {
        Self { findings, ..Self::refused(detail) }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        tracing::error!(error = %error, cause = std::error::Error::source(&error).map(ToString::to_string), "an apply failed");
        Self::refused(format!("Nothing was changed: {error}."))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::refused(format!(
            "Nothing was changed: the new release could not be written ({error})."
        ))
    }
}

impl From<Unusable> for Stop {
    fn from(error: Unusable) -> Self {
        let refused = Self::refused(format!("Nothing was changed: {error}."));
        Self { state: State::Unreachable, ..refused }
    }
}

impl From<AmiError> for Stop {
    fn from(error: AmiError) -> Self {
        Self::from(Unusable::from(error))
    }
}

/// What went well.
struct Done {
    state: State,
    detail: String,
    release: Option<i64>,
    modules: Vec<Module>,
    findings: Vec<String>,
    files: Vec<Packed>,
}

/// What an attempt is about.
#[derive(Default)]
pub(super) struct About {
    /// The newest change the release contains.
    audit_seq: i64,
    users: Option<i64>,
    /// What it says; nothing when it could not be rendered.
    files: Vec<File>,
}

/// A release that only waits to be put into force.
pub(super) struct Ready {
    files: Vec<File>,
    old: Vec<File>,
    /// Those that are not as before; nothing is written when there are none.
    changed: Vec<File>,
    /// Whether it is written.
    written: bool,
    findings: Vec<String>,
}

impl Applier {
    /// Tries; whatever happens, the answer says how it ended.
    pub(super) async fn attempt(
        &self,
        begun: &Begun,
        about: About,
        ready: Result<Ready, Stop>,
        session: Result<Session, Unusable>,
    ) -> Ending {
        let outcome = match (ready, session) {
            (Ok(ready), Ok(session)) => self.carry_out(begun, ready, session).await,
            (Err(stop), _) => Err(stop),
            (_, Err(error)) => Err(error.into()),
        };
        let About { audit_seq, users, files } = about;
        match outcome {
            Ok(done) => Ending {
                state: done.state,
                detail: done.detail,
                release: done.release,
                audit_seq,
                users,
                modules: done.modules,
                findings: done.findings,
                // Nothing to keep: the files are those of the release that was in force.
                kept: Kept {
                    same_as: begun.previous.filter(|_| done.files.is_empty()),
                    files: done.files,
                },
            },
            Err(mut stop) => {
                if matches!(stop.state, State::Refused | State::Unreachable) {
                    self.discard(begun);
                }
                let kept = self.keep_untold(begun, files, &mut stop).await;
                Ending {
                    state: stop.state,
                    detail: stop.detail,
                    // Not the one before, should the link not have let itself be put back.
                    release: self.releases.current().ok().flatten().or(begun.previous),
                    audit_seq,
                    users,
                    modules: stop.modules,
                    findings: stop.findings,
                    kept,
                }
            }
        }
    }

    /// What Asterisk did not take, or what would have been put into force.
    async fn keep_untold(&self, begun: &Begun, files: Vec<File>, stop: &mut Stop) -> Kept {
        if !stop.files.is_empty() {
            return Kept { files: std::mem::take(&mut stop.files), same_as: None };
        }
        match self.keep(begun.run, begun.previous, files).await {
            Ok(kept) => kept,
            Err(error) => {
                let sentence = format!("What was not put into force could not be kept: {error}.");
                stop.findings.push(sentence);
                Kept::default()
            }
        }
    }

    /// Removes what was written of a release that will not be put into force.
    pub(super) fn discard(&self, begun: &Begun) {
        if let Err(error) = self.releases.discard(begun.run) {
            tracing::warn!(error = %error, apply.run = begun.run, "a release that was not put into force could not be removed");
        }
    }

    /// Renders the database, or fetches an earlier release.
    pub(super) async fn plan(&self, source: Source) -> Result<Plan, Error> {
        match source {
            Source::Database => {
                let desired = desired::read(&self.state.db).await?;
                self.render(desired).await
            }
            Source::Release(run) => {
                let kept = self.run(run).await?.ok_or(Error::NotFound)?;
                let files = self.files_of(kept.release.unwrap_or(run)).await?;
                if files.is_empty() {
                    return Err(Error::NotFound);
                }
                Ok(Plan { files, audit_seq: kept.audit_seq, users: kept.users })
            }
        }
    }

    async fn render(&self, desired: Desired) -> Result<Plan, Error> {
        let vault = self.state.vault.clone();
        // Says which extension, so that somebody can put it right.
        let stop = |error: render::RenderError| Error::Conflict(error.to_string());
        blocking(move || {
            let files = render::render(&desired, &vault).map_err(stop)?;
            let users = i64::try_from(desired.active.len()).ok();
            Ok(Plan { files, audit_seq: desired.audit_seq, users })
        })
        .await?
    }

    /// Renders, checks and writes the release, which is no danger to anybody before the switch. All but the switch can be
    /// done before the lock is on record: the directory has the run's own number, and nobody else
    /// on this machine applies.
    pub(super) async fn get_ready(
        &self,
        begun: &Begun,
        request: &Request,
    ) -> (About, Result<Ready, Stop>) {
        self.step(begun.run, Step::Render);
        let plan = match self.plan(request.source).await {
            Ok(plan) => plan,
            Err(error) => return (About::default(), Err(error.into())),
        };
        let Plan { files, audit_seq, users } = plan;
        let ready = self.check_and_write(begun, request, files.clone()).await;
        (About { audit_seq, users, files }, ready)
    }

    async fn check_and_write(
        &self,
        begun: &Begun,
        request: &Request,
        files: Vec<File>,
    ) -> Result<Ready, Stop> {
        self.step(begun.run, Step::Check);
        let old = match begun.previous {
            Some(previous) => self.releases.read(previous)?,
            None => Vec::new(),
        };
        let edited = preview::edited_by_hand(&old, &self.state.vault);
        if !edited.is_empty() && !request.overwrite {
            let detail = "Nothing was changed: files Patchbay wrote were changed by hand. Look at the difference, then apply with \"overwrite\".";
            return Err(Stop::because(detail, edited));
        }
        let changed: Vec<File> = files.iter().filter(|file| !old.contains(file)).cloned().collect();
        let examining = self.examine(files.clone());
        let mut ready = Ready { files, old, changed, written: false, findings: Vec::new() };
        let needed = !ready.changed.is_empty() || !edited.is_empty();
        let writing = async { if needed { self.write(begun, &mut ready).await } else { Ok(()) } };
        let (examined, written) = tokio::join!(examining, writing);
        let findings = examined?;
        written?;
        Ok(Ready { findings, ..ready })
    }

    /// Writes the release beside the others. Files that did not change are those of the old one.
    async fn write(&self, begun: &Begun, ready: &mut Ready) -> Result<(), Stop> {
        self.step(begun.run, Step::Write);
        let same = |file: &&File| !ready.changed.iter().any(|new| new.name == file.name);
        let same: Vec<File> = ready.old.iter().filter(same).cloned().collect();
        let (releases, files) = (self.releases.clone(), self.tampered(&ready.files));
        let (run, previous) = (begun.run, begun.previous);
        blocking(move || releases.write(run, &files, &same, previous)).await??;
        ready.written = true;
        Ok(())
    }

    async fn carry_out(
        &self,
        begun: &Begun,
        mut ready: Ready,
        mut session: Session,
    ) -> Result<Done, Stop> {
        ready.findings.extend(session.advice());
        let (unheld, foreign) = self.unheld(&mut session, &ready).await?;
        if !unheld.is_empty() {
            let again = "Asterisk did not run the release in force; it is told again.";
            ready.findings.push(again.to_owned());
            ready.changed.extend(unheld);
            self.write(begun, &mut ready).await?;
        } else if !ready.written {
            ready.findings.extend(foreign);
            let detail = "Nothing has changed; Asterisk was seen to run this release: every object was read back.";
            return Ok(Done {
                state: State::Unchanged,
                detail: detail.to_owned(),
                release: begun.previous,
                modules: ready.files.iter().map(untouched).collect(),
                findings: ready.findings,
                files: Vec::new(),
            });
        }
        self.put_into_force(begun, ready, session).await
    }

    /// Those of the files in force that stay, and that Asterisk does not run, or not all of: they are
    /// to be read once more. And what else was seen in its memory.
    async fn unheld(
        &self,
        session: &mut Session,
        ready: &Ready,
    ) -> Result<(Vec<File>, Vec<String>), Stop> {
        let stays = |file: &&File| !ready.changed.contains(file);
        let mut staying: Vec<File> = ready.files.iter().filter(stays).cloned().collect();
        let (mut unheld, mut findings) = (session.unheld(&staying).await?, Vec::new());
        staying.retain(|file| file.name == OBJECTS && !unheld.contains(file));
        if !staying.is_empty() {
            let (config_dir, files, old) =
                (self.config_dir.clone(), ready.files.clone(), ready.old.clone());
            let known = blocking(move || Known::new(&config_dir, &files, &old)).await?;
            let spare = Session::open_spare(&self.access).await;
            if !differences(session, spare, &[], &known, &mut findings).await?.is_empty() {
                unheld.extend(staying);
            }
        }
        Ok((unheld, findings))
    }

    /// Preflight. What blocks is the answer; what does not is passed on.
    async fn examine(&self, files: Vec<File>) -> Result<Vec<String>, Stop> {
        let config_dir = self.config_dir.clone();
        let found = blocking(move || preview::preflight(&config_dir, &files)).await?;
        let blocking = found.iter().any(|finding| finding.severity == Severity::Blocking);
        let findings = found.iter().map(ToString::to_string).collect();
        if blocking {
            return Err(Stop::because(
                "Nothing was changed: the files would not be read as they are meant.",
                findings,
            ));
        }
        Ok(findings)
    }

    async fn put_into_force(
        &self,
        begun: &Begun,
        ready: Ready,
        mut session: Session,
    ) -> Result<Done, Stop> {
        let Ready { files, old, changed, mut findings, .. } = ready;
        let mark = Mark::now(&self.config_dir);
        if mark.is_none() {
            findings.push(
                "Asterisk's log cannot be read, so what it says of the reload is not known."
                    .to_owned(),
            );
        }
        if !self.holds(begun.run).await? {
            // Whoever took this run for dead has recorded it so.
            return Err(Stop::refused(
                "Nothing was changed: somebody else has begun to apply meanwhile.",
            ));
        }
        if let Err(error) = self.releases.point_to(begun.run) {
            return Err(self
                .roll_back(begun, &changed, &old, vec![error.to_string()], Vec::new(), findings)
                .await);
        }
        self.step(begun.run, Step::Reload);
        let preparing = self.prepare(begun, files.clone(), old.clone());
        let releases = self.releases.clone();
        let ((mut modules, mut doubts), spare, settled) = tokio::join!(
            reload(&mut session, &changed),
            Session::open_spare(&self.access),
            blocking(move || releases.settle()),
        );
        // The new release is in force: from here on whatever fails must put the old one back.
        if let Err(error) = settled.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            doubts
                .push(format!("the link to the release could not be brought to the disk: {error}"));
        }
        let prepared = preparing.await.ok().and_then(Result::ok);
        if prepared.is_none() {
            doubts.push("the release could not be kept to compare with".to_owned());
        }
        self.step(begun.run, Step::Verify);
        if let (Some(prepared), true) = (&prepared, doubts.is_empty()) {
            let known = &prepared.known;
            doubts = doubts_of(&mut session, spare, &files, known, mark, &mut findings).await;
        }
        let packed = prepared.map_or_else(Vec::new, |prepared| prepared.packed);
        if !doubts.is_empty() {
            let stop = self.roll_back(begun, &changed, &old, doubts, modules, findings).await;
            return Err(Stop { files: packed, ..stop });
        }
        modules.extend(files.iter().filter(|file| !changed.contains(file)).map(untouched));
        Ok(Done {
            state: State::Verified,
            detail: format!("Asterisk runs release {}: every object was read back.", begun.run),
            release: Some(begun.run),
            modules,
            findings,
            files: packed,
        })
    }

    /// What is written; the files themselves outside tests.
    fn tampered(&self, files: &[File]) -> Vec<File> {
        let written = |file: &File| File { text: (self.tamper)(file), ..file.clone() };
        files.iter().map(written).collect()
    }

    /// Does what is needed afterwards while Asterisk reads, one thing after the other to spare
    /// memory.
    fn prepare(
        &self,
        begun: &Begun,
        files: Vec<File>,
        old: Vec<File>,
    ) -> JoinHandle<Result<Prepared, VaultError>> {
        let (vault, config_dir) = (self.state.vault.clone(), self.config_dir.clone());
        let (releases, run, previous) = (self.releases.clone(), begun.run, begun.previous);
        tokio::task::spawn_blocking(move || {
            let kept: Vec<i64> = previous.into_iter().collect();
            if let Err(error) = releases.prune(&kept) {
                tracing::warn!(error = %error, "old releases could not be removed");
            }
            let packed = pack(&vault, run, &files)?;
            let known = Known::new(&config_dir, &files, &old);
            Ok(Prepared { packed, known })
        })
    }

    /// Puts the old release back, lets Asterisk read it, and looks.
    async fn roll_back(
        &self,
        begun: &Begun,
        changed: &[File],
        old: &[File],
        doubts: Vec<String>,
        modules: Vec<Module>,
        findings: Vec<String>,
    ) -> Stop {
        self.step(begun.run, Step::RollBack);
        let why = doubts.first().cloned().unwrap_or_default();
        let findings = doubts.into_iter().chain(findings).collect();
        let stop = |state, detail| Stop { state, detail, findings, modules, files: Vec::new() };
        let Some(previous) = begun.previous else {
            return stop(
                State::RollbackFailed,
                format!("Asterisk did not take the release ({why}), and there is none before it."),
            );
        };
        if let Err(error) = self.releases.switch(previous) {
            let detail = format!(
                "Asterisk did not take the release ({why}), and release {previous} could not be put back: {error}."
            );
            return stop(State::RollbackFailed, detail);
        }
        let affected: Vec<File> = old
            .iter()
            .filter(|file| changed.iter().any(|new| new.name == file.name))
            .cloned()
            .collect();
        // The connection may be what failed: ask anew.
        let unseen = match Session::open(&self.access).await {
            Ok(mut session) => self.reload_and_see(&mut session, &affected, changed).await,
            Err(error) => vec![error.to_string()],
        };
        match unseen.first() {
            None => stop(
                State::RolledBack,
                format!(
                    "Asterisk did not take the new release: {why}. Release {previous} is in force again and was read back."
                ),
            ),
            Some(unseen) => stop(
                State::RollbackFailed,
                format!(
                    "Asterisk did not take the new release: {why}. The files of release {previous} are back in place, but Asterisk could not be seen to run them: {unseen}."
                ),
            ),
        }
    }

    /// Reloads what reads `files`, which are in force again, and looks whether Asterisk holds all of
    /// them and nothing of `others`, which were; what speaks against it.
    pub(super) async fn reload_and_see(
        &self,
        session: &mut Session,
        files: &[File],
        others: &[File],
    ) -> Vec<String> {
        let (_, mut unseen) = reload(session, files).await;
        let seen = async {
            unseen.extend(session.all_missing_canaries(files).await?);
            if unseen.is_empty() && files.iter().any(|file| file.name == OBJECTS) {
                let known = Known::new(&self.config_dir, files, others);
                unseen = differences(session, None, &[], &known, &mut Vec::new()).await?;
            }
            Ok::<_, AmiError>(())
        };
        if let Err(error) = seen.await {
            unseen.push(error.to_string());
        }
        unseen
    }
}

/// What is made of the files while Asterisk reads them.
struct Prepared {
    /// Compressed and sealed, to be kept.
    packed: Vec<Packed>,
    known: Known,
}

fn untouched(file: &File) -> Module {
    Module {
        name: file.module.to_owned(),
        file: file.name.to_owned(),
        reloaded: false,
        result: "unchanged, not reloaded".to_owned(),
        duration_ms: 0,
    }
}

/// An attempt's faults are outcomes of it.
impl From<ApplyError> for Stop {
    fn from(error: ApplyError) -> Self {
        Self::refused(error.to_string())
    }
}
