//! `patchbay import` and `patchbay export`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::Session;
use crate::audit::Page;
use crate::id::TenantId;
use crate::users::{self, Filter, Sort, import};
use crate::web::sheet::Sheet;

/// Adds the users in `file` to the default tenant; prints each fault as `line N, column: reason`.
pub async fn import(
    session: &Session,
    kind: &str,
    file: &Path,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    if kind == "leases" {
        return super::leases::import(session, file, dry_run).await;
    }
    known(kind)?;
    let read =
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut change = session.state.change(&crate::auth::local_actor()).await?;
    let report = import::run(&mut change, &session.state.vault, Sheet::open(read)).await?;
    for fault in &report.faults {
        say!("line {}, {}: {}", fault.line, fault.column, fault.reason);
    }
    if report.more > 0 {
        say!("and {} more", report.more);
    }
    if !report.is_clean() {
        say!("nothing was added");
        return Ok(ExitCode::FAILURE);
    }
    if dry_run {
        say!("{} users would be added", report.added);
    } else {
        change.commit_if_any().await?;
        say!("{} users added", report.added);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the users of the default tenant.
pub async fn export(session: &Session, kind: &str) -> anyhow::Result<ExitCode> {
    known(kind)?;
    let everything = Page { offset: 0, limit: i64::MAX };
    let mut tx = session.state.read().await?;
    let (list, _) =
        users::list(&mut tx, TenantId::DEFAULT, &Filter::default(), Sort::Number, everything)
            .await?;
    std::io::stdout().write_all(&users::web::to_csv(list)?)?;
    Ok(ExitCode::SUCCESS)
}

fn known(kind: &str) -> anyhow::Result<()> {
    if kind == "users" { Ok(()) } else { bail!("KIND must be users, not {kind:?}") }
}
