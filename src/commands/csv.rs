//! `patchbay import` and `patchbay export`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;

use super::Session;
use crate::audit::Page;
use crate::id::TenantId;
use crate::ipam::exchange::{self, Asked, Importer, Kind};
use crate::ipam::space::Space;
use crate::mirror;
use crate::phones;
use crate::users::{self, Filter, Sort, import};
use crate::web::csv;
use crate::web::sheet::{Part, Report, Sheet};

/// Adds what is in `file` to the default tenant; prints each fault as `line N, column: reason`.
pub async fn import(
    session: &Session,
    kind: &str,
    file: &Path,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    if kind == "leases" {
        return super::leases::import(session, file, dry_run).await;
    }
    let is_phones = kind == "phones";
    let kind = if is_phones { None } else { known(kind)? };
    let read =
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    // What was imported just before may be all there is, and nobody may be serving who looks.
    session.state.db.look_at_growth().await?;
    if is_phones {
        return Box::pin(import_phones(session, read, dry_run)).await;
    }
    let Some(kind) = kind else { return users(session, read, dry_run).await };
    let actor = crate::auth::local_actor();
    let called = file.file_name().unwrap_or_default().to_string_lossy();
    let importer = Importer {
        state: &session.state,
        actor: &actor,
        name: &actor.name,
        file: &called,
        part: Part::default(),
    };
    let report = importer.run(kind, Sheet::open(read), dry_run).await?;
    if is_refused(&report) {
        say!("nothing was imported");
        return Ok(ExitCode::FAILURE);
    }
    let (would, added) = (if dry_run { "would be " } else { "" }, report.added);
    let noun = kind.noun(added);
    say!(
        "{added} {noun} {would}added, {} changed, {} unchanged",
        report.changed,
        report.unchanged()
    );
    Ok(ExitCode::SUCCESS)
}

async fn users(session: &Session, file: std::fs::File, dry_run: bool) -> anyhow::Result<ExitCode> {
    let mut change = session.state.change(&crate::auth::local_actor()).await?;
    let (report, _) = import::run(&mut change, &session.state.vault, Sheet::open(file)).await?;
    if is_refused(&report) {
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

async fn import_phones(
    session: &Session,
    file: std::fs::File,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let vault = &session.state.vault;
    let mut change = session.state.change(&crate::auth::local_actor()).await?;
    let mut space = Space::open(&mut change, vault.entropy()).await?;
    let report = phones::import::run(&mut space, vault, Sheet::open(file)).await?;
    if is_refused(&report) {
        say!("nothing was imported");
        return Ok(ExitCode::FAILURE);
    }
    space.close().await?;
    if !dry_run {
        change.commit_if_any().await?;
    }
    let (would, added) = (if dry_run { "would be " } else { "" }, report.added);
    let noun = if added == 1 { "phone" } else { "phones" };
    say!(
        "{added} {noun} {would}added, {} changed, {} unchanged",
        report.changed,
        report.unchanged()
    );
    Ok(ExitCode::SUCCESS)
}

/// Prints what is wrong, if anything is.
fn is_refused(report: &Report) -> bool {
    for fault in &report.faults {
        say!("line {}, {}: {}", fault.line, fault.column, fault.reason);
    }
    if report.more > 0 {
        say!("and {} more", report.more);
    }
    !report.is_clean()
}

/// Prints everything of a kind in the default tenant.
pub async fn export(session: &Session, kind: &str) -> anyhow::Result<ExitCode> {
    if let Some(format) = kind.strip_prefix("dhcp-") {
        return export_dhcp(session, format).await;
    }
    if kind == "phones" {
        return export_phones(session).await;
    }
    let Some(kind) = known(kind)? else { return export_users(session).await };
    let moment = exchange::moment(&session.state).await?;
    let asked = Asked::default();
    let rows = exchange::rows(kind, moment, TenantId::DEFAULT, "", &asked).await??;
    let names: Vec<&str> = exchange::headings(kind).iter().map(|heading| heading.name).collect();
    let mut out = std::io::stdout();
    out.write_all(&csv::write(&names, [])?)?;
    let mut rows = std::pin::pin!(rows);
    while let Some(batch) = rows.next().await {
        out.write_all(&csv::rows(batch?)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the default tenant's static addresses for a DHCP server.
async fn export_dhcp(session: &Session, format: &str) -> anyhow::Result<ExitCode> {
    let Ok(format) = format.parse() else {
        bail!("KIND must be dhcp-kea, dhcp-dnsmasq or dhcp-isc, not {:?}", format!("dhcp-{format}"))
    };
    let text = mirror::export(&mut session.state.read().await?, TenantId::DEFAULT, format).await?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn export_users(session: &Session) -> anyhow::Result<ExitCode> {
    let mut tx = session.state.read().await?;
    let list =
        users::everybody(&mut tx, TenantId::DEFAULT, &Filter::default(), Sort::Number).await?;
    std::io::stdout().write_all(&users::web::to_csv(list)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn export_phones(session: &Session) -> anyhow::Result<ExitCode> {
    let everything = Page { offset: 0, limit: i64::MAX };
    let state = &session.state;
    let mut tx = state.read().await?;
    let (filter, sort) = (phones::Filter::default(), phones::Sort::Mac);
    let (list, _) =
        phones::list(&mut tx, &state.counted, TenantId::DEFAULT, &filter, sort, everything).await?;
    std::io::stdout().write_all(&phones::web::export::to_csv(list)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is asked for; none is users.
fn known(kind: &str) -> anyhow::Result<Option<Kind>> {
    match kind.parse() {
        Ok(kind) => Ok(Some(kind)),
        Err(_) if kind == "users" => Ok(None),
        Err(_) => bail!("KIND must be users, phones, subnets, addresses or hosts, not {kind:?}"),
    }
}
