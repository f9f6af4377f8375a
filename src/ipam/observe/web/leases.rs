//! A DHCP server's leases, checked and then taken.

use askama::Template;

use super::NAV;
use crate::auth::Operator;
use crate::ipam::observe::leases::{self, Summary};
use crate::web::sheet::{Source, Spool, Upload};
use crate::web::{Answer, Error, Shell, invalid, ok};

#[derive(Template)]
#[template(path = "ipam/observe/leases.html")]
struct LeasesPage {
    shell: Shell,
    summary: Option<Summary>,
    done: bool,
    text: String,
    kept: String,
    error: Option<String>,
}

impl LeasesPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let shell = by.shell(&mut by.read().await?, NAV).await?;
        let (text, kept) = (String::new(), String::new());
        Ok(Self { shell, summary: None, done: false, text, kept, error: None })
    }

    fn awaits(&self) -> bool {
        !self.done && self.summary.as_ref().is_some_and(|summary| summary.leases > 0)
    }
}

pub(super) async fn page(by: Operator) -> Answer {
    ok(&LeasesPage::new(&by).await?)
}

/// `lease` or `leases`.
pub fn word(count: &usize) -> &'static str {
    if *count == 1 { "lease" } else { "leases" }
}

/// The content of what was sent.
async fn content(source: &Source) -> Result<Vec<u8>, Error> {
    match source {
        Source::Text(text) => Ok(text.clone().into_bytes()),
        Source::File(file) => Ok(tokio::fs::read(file.path()).await?),
    }
}

pub(super) async fn import(by: Operator, mut upload: Upload) -> Answer {
    let spool = Spool::of(by.state());
    let mut page = LeasesPage::new(&by).await?;
    let Some(source) = upload.source(&spool, by.id())? else {
        page.error = Some(
            "the file is no longer here: a checked file is kept for one hour, and used once; choose it again"
                .to_owned(),
        );
        return invalid(&page);
    };
    let content = content(&source).await?;
    let mut change = by.long_change().await?;
    match leases::import(&mut change, by.state().vault.entropy(), &content).await {
        Ok(summary) if upload.is_confirmed() && summary.leases > 0 => {
            change.commit().await?;
            (page.summary, page.done) = (Some(summary), true);
        }
        Ok(summary) => {
            drop(change);
            page.summary = Some(summary);
            match source {
                Source::Text(text) => page.text = text,
                Source::File(file) if page.awaits() => page.kept = spool.keep(file, by.id())?,
                Source::File(_) => {}
            }
        }
        Err(leases::Refusal::Fault(error)) => return Err(error),
        Err(refusal) => {
            drop(change);
            page.error = Some(refusal.to_string());
            if let Source::Text(text) = source {
                page.text = text;
            }
            return invalid(&page);
        }
    }
    ok(&page)
}
