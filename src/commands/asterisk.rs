//! `patchbay asterisk install`, `patchbay asterisk check` and `patchbay apply`.

use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::process::ExitCode;

use anyhow::Context as _;

use super::Session;
use crate::apply::{Applier, Reason, Request, SECRET_FILE, Source};
use crate::auth;

/// Shows what would be added to Asterisk's files, asks, and adds it.
pub async fn install(session: &Session, yes: bool) -> anyhow::Result<ExitCode> {
    let applier = Applier::new(&session.config, session.state.clone());
    let plan = applier.plan_installation()?;
    for sentence in &plan.by_hand {
        say!("by hand: {sentence}");
    }
    if plan.additions.is_empty() && applier.is_installed() {
        say!("Everything is there already.");
        return Ok(if plan.by_hand.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    say!("In {}:\n", applier.config_dir().display());
    for addition in &plan.additions {
        say!("add to {}:", addition.file);
        for line in addition.text.lines() {
            say!("    {}", if line.starts_with("secret = ") { "secret = (hidden)" } else { line });
        }
    }
    say!("make patchbay/ with an empty first release");
    if !yes && !agreed()? {
        say!("Nothing was changed.");
        return Ok(ExitCode::FAILURE);
    }
    if let Some(secret) = Applier::made_secret(&plan) {
        keep_secret(session, secret)?;
    }
    applier.install(&plan).await?;
    say!("\nDone. Restart Asterisk once, then: patchbay asterisk check");
    Ok(if plan.by_hand.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks whether to go on.
pub(super) fn agreed() -> anyhow::Result<bool> {
    say_on!("\nGo on? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes"))
}

/// Keeps the manager secret where only Patchbay reads it, before Asterisk knows it.
fn keep_secret(session: &Session, secret: &str) -> anyhow::Result<()> {
    let path = session.config.data_dir.join(SECRET_FILE);
    let mut beside = tempfile::NamedTempFile::new_in(&session.config.data_dir)?;
    writeln!(beside, "{secret}")?;
    // Root installs; whoever the data directory belongs to must read it.
    let (owner, file) = (std::fs::metadata(&session.config.data_dir)?, beside.as_file());
    if owner.uid() != file.metadata()?.uid() {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    beside.as_file().sync_all()?;
    beside.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::File::open(&session.config.data_dir)?.sync_all()?;
    Ok(())
}

/// Says what is there and what is missing; exit 1 if anything is missing.
pub async fn check(session: &Session) -> anyhow::Result<ExitCode> {
    let applier = Applier::new(&session.config, session.state.clone());
    let mut right = true;
    for (there, sentence) in applier.check().await? {
        say!("{} {sentence}", if there { "ok     " } else { "MISSING" });
        right &= there;
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the button does; exit 0 only if Asterisk was seen to run what was meant.
pub async fn apply(session: &Session, reason: Reason, overwrite: bool) -> anyhow::Result<ExitCode> {
    let applier = Applier::new(&session.config, session.state.clone());
    let request = Request { source: Source::Database, reason, overwrite };
    let run = applier.apply(&auth::local_actor(), &request).await?;
    say!("{}: {}", run.state.as_str(), run.detail);
    for module in run.modules() {
        say!("  {} ({}): {}", module.name, module.file, module.result);
    }
    for finding in run.findings() {
        say!("  {finding}");
    }
    say!("  took {}", run.took());
    Ok(if run.state.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the difference an apply would make; exit 0 if nothing stands in its way.
pub async fn preview(session: &Session) -> anyhow::Result<ExitCode> {
    let applier = Applier::new(&session.config, session.state.clone());
    let preview = applier.preview(Source::Database).await?;
    for (name, diff) in &preview.files {
        say_on!("{}", diff.to_text(name));
    }
    for line in
        preview.edited.iter().cloned().chain(preview.findings.iter().map(ToString::to_string))
    {
        eprintln!("{line}");
    }
    if preview.is_empty() {
        eprintln!("nothing would change");
    }
    Ok(if preview.is_blocked() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
