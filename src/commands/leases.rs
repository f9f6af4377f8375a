//! `patchbay import leases FILE`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Session;
use crate::ipam::observe::leases;

/// Takes what the DHCP server's file says for the default tenant.
pub async fn import(session: &Session, file: &Path, dry_run: bool) -> anyhow::Result<ExitCode> {
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut change = session.state.change(&crate::auth::local_actor()).await?;
    let summary = leases::import(&mut change, session.state.vault.entropy(), &content).await?;
    for fault in &summary.faults {
        say!("line {}: {}", fault.line, fault.what);
    }
    if summary.faulty > summary.faults.len() {
        say!("and {} more", summary.faulty - summary.faults.len());
    }
    if !dry_run {
        change.commit().await?;
    }
    let found = summary.found;
    say!(
        "{} leases, {} running: {} new, {} over, {} in conflict, {} in no subnet{}",
        summary.leases,
        summary.running,
        found.leased,
        found.ended,
        found.conflicts,
        found.orphans,
        if dry_run { "; nothing was changed" } else { "" }
    );
    Ok(ExitCode::SUCCESS)
}
