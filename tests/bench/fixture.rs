//! Installations the parts share, made when first asked for.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::http::Client;
use crate::program::{NAME, PASSWORD, Site};

/// The databases that are measured: both, unless one is named.
pub fn databases(wanted: &dyn Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
    let all = ["SQLite", "PostgreSQL"];
    let one = all.into_iter().find(|name| wanted(&format!("only-{}", name.to_lowercase())));
    all.into_iter().filter(move |name| one.is_none_or(|one| one == *name))
}

/// An installation with an administrator.
pub struct Filled {
    pub site: Site,
    pub token: String,
}

pub struct Fixtures {
    root: tempfile::TempDir,
    large: OnceCell<Filled>,
    count: std::cell::Cell<u32>,
}

impl Fixtures {
    pub fn new() -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("patchbay-bench-").tempdir()?;
        Ok(Self { root, large: OnceCell::new(), count: std::cell::Cell::new(0) })
    }

    /// A directory of one's own.
    pub fn directory(&self) -> anyhow::Result<PathBuf> {
        self.count.set(self.count.get() + 1);
        let directory = self.root.path().join(self.count.get().to_string());
        std::fs::create_dir(&directory)?;
        Ok(directory)
    }

    /// A new database with an administrator, and a token of theirs.
    pub fn empty(&self) -> anyhow::Result<(Site, String)> {
        let site = Site::new(&self.directory()?);
        let token = site.administrator()?;
        Ok((site, token))
    }

    /// The one with 10,000 users; made by the first who asks.
    pub fn large(&self) -> anyhow::Result<&Filled> {
        if self.large.get().is_none() {
            let (site, token) = self.empty()?;
            let made = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(fill(&site, 10_000))
            });
            made?;
            let _ = self.large.set(Filled { site, token });
        }
        self.large.get().context("made above")
    }
}

/// Fills an installation as an administrator would: widens the range, then imports a list.
pub async fn fill(site: &Site, users: usize) -> anyhow::Result<()> {
    if users > 1000 {
        widen(site).await?;
    }
    let file = site.dir.join("users.csv");
    std::fs::write(&file, csv(users))?;
    let said = site.run(&["import", "users", &file.display().to_string()], "")?;
    ensure!(said.contains(&users.to_string()), "{said}");
    Ok(())
}

async fn widen(site: &Site) -> anyhow::Result<()> {
    let program = site.serve("settings").await?;
    let mut browser = Client::signed_in(program.address, NAME, PASSWORD).await?;
    let page = browser.get("/settings").await?.text();
    let hidden = |name: &str| {
        let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let form = serde_html_form::to_string([
        ("csrf", hidden("csrf").context("no csrf token on the page")?),
        ("name", "Default".to_owned()),
        ("time_zone", "UTC".to_owned()),
        ("first", "10000".to_owned()),
        ("last", "29999".to_owned()),
        ("version", hidden("version").context("no version on the page")?),
    ])?;
    let answer = browser.form("/settings", &form).await?;
    ensure!(answer.status == 303, "settings: {} {}", answer.status, answer.text());
    program.stop().await
}

const FIRST: [&str; 20] = [
    "Ann", "Bob", "Chloé", "Dmitri", "Eve", "Fatima", "Günther", "Hana", "Igor", "Jane", "Kofi",
    "Léa", "Mary", "Noor", "Olga", "Pablo", "Quinn", "Rosa", "Søren", "Tomás",
];
const LAST: [&str; 25] = [
    "Abel", "Brown", "Costa", "Dvořák", "Evans", "Fischer", "García", "Haddad", "Ito", "Jansen",
    "Kowalski", "López", "Müller", "Nguyen", "O'Neil", "Petrov", "Quist", "Rossi", "Smith",
    "Tanaka", "Ueda", "Varga", "Weber", "Young", "Zhang",
];

fn csv(users: usize) -> String {
    let mut text = String::from("name,email\n");
    for user in 0..users {
        let (first, last) = (FIRST[user % 20], LAST[user / 20 % 25]);
        let _ = writeln!(text, "{first} {last} {user:05},user{user:05}@example.com");
    }
    text
}
