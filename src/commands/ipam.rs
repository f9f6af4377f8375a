//! `patchbay ipam populate`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::Session;
use crate::audit::Actor;
use crate::id::TenantId;
use crate::ipam::populate::{self, Clear, Figures};
use crate::{auth, tenants};

/// Brings the addresses of hosts up to date and prints the figures.
pub async fn populate(
    session: &Session,
    clear: Clear,
    yes: bool,
    slug: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let tenant = tenant(session, slug).await?;
    if clear != Clear::Nothing && !yes && !agreed(clear)? {
        say!("Nothing was changed.");
        return Ok(ExitCode::FAILURE);
    }
    let actor = Actor { tenant, ..auth::local_actor() };
    let mut change = session.state.change(&actor).await?;
    let figures = populate::run(&mut change, session.state.vault.entropy(), clear).await?;
    change.commit_if_any().await?;
    print(clear, &figures);
    Ok(ExitCode::SUCCESS)
}

async fn tenant(session: &Session, slug: Option<&str>) -> anyhow::Result<TenantId> {
    let Some(slug) = slug else { return Ok(TenantId::DEFAULT) };
    let all = tenants::all(&mut session.state.read().await?).await?;
    let found = all.into_iter().find(|tenant| tenant.slug == slug);
    found.map(|tenant| tenant.id).ok_or_else(|| anyhow!("--tenant: there is no tenant {slug:?}"))
}

/// Nobody is there to agree without a terminal: then it must have been said before.
fn agreed(clear: Clear) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("--clear removes records; add --yes if that is meant");
    }
    let kept = if clear == Clear::Everything { "" } else { " but reservations and quarantines" };
    say!("Every record{kept} is removed, and hosts get their addresses anew.");
    super::asterisk::agreed()
}

fn print(clear: Clear, figures: &Figures) {
    if clear != Clear::Nothing {
        say!("Cleared {} records", figures.cleared);
    }
    say!("Created {} static records", figures.created);
    say!("Updated {} records from hosts", figures.updated);
    say!("Created {} DHCP records", figures.created_elsewhere);
    let stats = &figures.stats;
    let quarantine = match stats.quarantine {
        0 => String::new(),
        some => format!(", {some} quarantine"),
    };
    say!(
        "Total: {} records ({} available, {} allocated, {} reserved{quarantine})",
        stats.all(),
        stats.available,
        stats.allocated,
        stats.reserved
    );
    if figures.conflicts > 0 {
        say!("Hosts with a conflict: {}", figures.conflicts);
    }
    if figures.orphans > 0 {
        say!("Hosts with an address in no subnet: {}", figures.orphans);
    }
}
