//! `patchbay backup` and `patchbay restore`: one file that either database can be filled from.
//!
//! The file is gzip over JSON lines: a header, then for each table its name and columns, then its
//! rows. It is read from one snapshot, so it is consistent while Patchbay serves. Secrets in it
//! stay sealed: keep the key file too, but elsewhere.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::db::{Cell, TABLES, Table};

/// The file's format; another number is refused.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    patchbay_backup: u32,
    version: String,
    migration: i64,
    made_at: String,
}

#[derive(Serialize, Deserialize)]
struct Section {
    table: String,
    columns: Vec<String>,
}

/// Writes the backup; the file appears whole or not at all.
pub async fn backup(session: &Session, file: &Path) -> anyhow::Result<ExitCode> {
    if file.exists() {
        bail!("{} exists already", file.display());
    }
    let directory =
        file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::NamedTempFile::new_in(directory)
        .with_context(|| format!("cannot write in {}", directory.display()))?;
    let mut out = GzEncoder::new(std::io::BufWriter::new(beside), Compression::fast());
    let mut tx = session.state.read().await?;
    let header = Header {
        patchbay_backup: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        migration: tx.migration().await?,
        made_at: session.state.clock.now().to_string(),
    };
    line(&mut out, &header)?;
    let mut rows = 0_u64;
    for table in TABLES {
        let columns = table.columns.iter().map(ToString::to_string).collect();
        line(&mut out, &Section { table: table.name.to_owned(), columns })?;
        let mut offset = 0;
        loop {
            let page = tx.dump(table, offset).await?;
            if page.is_empty() {
                break;
            }
            offset += i64::try_from(page.len())?;
            for row in &page {
                line(&mut out, row)?;
                rows += 1;
            }
        }
    }
    let beside = out.finish()?.into_inner().context("cannot write the backup")?;
    beside.as_file().sync_all()?;
    beside.persist_noclobber(file).with_context(|| format!("cannot make {}", file.display()))?;
    std::fs::File::open(directory)?.sync_all()?;
    say!(
        "{rows} rows in {}; keep {} as well, elsewhere",
        file.display(),
        session.config.secret_key_file.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn line(out: &mut impl std::io::Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(out.write_all(b"\n")?)
}

/// Fills the database, which must hold nothing but what a new one holds, in one transaction.
pub async fn restore(session: &Session, file: &Path) -> anyhow::Result<ExitCode> {
    let source =
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = BufReader::new(GzDecoder::new(source)).lines();
    let header = lines.next().context("the file is empty")?.context("this is not a backup")?;
    let header: Header = serde_json::from_str(&header).context("this is not a backup")?;
    let mut tx = session.state.db.write().await?;
    let migration = tx.migration().await?;
    if header.patchbay_backup != FORMAT || header.migration != migration {
        bail!(
            "the backup is of Patchbay {}; restore it with that version, then upgrade",
            header.version
        );
    }
    if !tx.is_new().await? {
        bail!("the database is not empty; restore fills a new one only");
    }
    tx.empty().await?;
    let mut table: Option<&Table> = None;
    let mut rows = 0_u64;
    for text in lines {
        let text = text.context("the backup is damaged")?;
        if text.starts_with('{') {
            table = Some(section(&text)?);
            continue;
        }
        let row: Vec<Cell> = serde_json::from_str(&text).context("the backup is damaged")?;
        let table = table.context("the backup is damaged")?;
        tx.load(table, row)
            .await
            .with_context(|| format!("a row of {} does not fit", table.name))?;
        rows += 1;
    }
    tx.index_all_words().await?;
    tx.commit().await?;
    say!("{rows} rows restored");
    Ok(ExitCode::SUCCESS)
}

fn section(text: &str) -> anyhow::Result<&'static Table> {
    let section: Section = serde_json::from_str(text).context("the backup is damaged")?;
    let table = TABLES
        .iter()
        .find(|table| table.name == section.table && table.columns == section.columns.as_slice());
    table.with_context(|| {
        format!("the backup has a table {} this version does not know", section.table)
    })
}
