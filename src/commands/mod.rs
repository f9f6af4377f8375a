//! What the `patchbay` command can do besides answering requests.

/// Prints a line. Whoever stopped reading (`patchbay export users | head`) is not worth a panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
/// As [`say!`], and the line goes on.
macro_rules! say_on {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

pub mod asterisk;
pub mod backup;
pub mod check;
pub mod csv;
pub mod ipam;
pub mod leases;
pub mod operator;
pub mod serve;

use std::path::Path;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::audit::{self, Actor, ChainKey, Via};
use crate::config::Config;
use crate::db::Db;
use crate::secrets::{Entropy, Vault};
use crate::state::{Bookmarks, Counted, State};
use crate::time::Clock;

/// An open database and everything read from the settings.
pub struct Session {
    /// The settings.
    pub config: Config,
    /// Database, time, secrets.
    pub state: State,
}

impl Session {
    /// Opens the key and the database and brings the schema up to date.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let data_dir = &config.data_dir;
        make_private(data_dir)
            .with_context(|| format!("cannot use the data directory {}", data_dir.display()))?;
        let db = Db::connect(&config.database_url).await.context("cannot open the database")?;
        db.migrate().await.context("cannot bring the database up to date")?;
        let vault = vault(&config.secret_key_file, &db).await?;
        let state = State {
            chain: ChainKey::of(&vault),
            clock: Clock::system(),
            public_url: config.public_url.clone(),
            phones_url: config.phones.url.clone(),
            proxies: config.trusted_proxies.clone().into(),
            data_dir: config.data_dir.clone(),
            counted: Counted::default(),
            bookmarks: Bookmarks::default(),
            db,
            vault,
        };
        if audit::is_head_plain(&state.db).await? {
            let system = Actor::local("patchbay", Via::System);
            audit::mask_head(state.change(&system).await?).await?;
        }
        Ok(Self { config, state })
    }

    /// Finishes what is being written.
    pub async fn close(&self) {
        self.state.db.close().await;
    }
}

/// The key, made for a database nobody has written to. To one that was written with another key it
/// would be of no use, and whatever is sealed there would be lost without a word.
async fn vault(path: &Path, db: &Db) -> anyhow::Result<Vault> {
    let usable = || format!("cannot use the key file {}", path.display());
    let other = || {
        format!(
            "the database was written with another secret key than {}, or the end of its audit log was altered: put the right key file back (backups do not hold it)",
            path.display()
        )
    };
    if !path.exists() && audit::head_of_chain(db).await?.0 > 0 {
        anyhow::bail!(other());
    }
    let vault = Vault::open(path, Entropy::system()).with_context(usable)?;
    anyhow::ensure!(audit::is_of(db, &ChainKey::of(&vault)).await?, other());
    Ok(vault)
}

/// The directory, made if need be, for its owner alone.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Logs to standard error: text for a terminal, JSON otherwise. `RUST_LOG` chooses what.
pub fn start_logging() {
    use std::io::IsTerminal as _;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (in tests) keeps the first.
    if std::io::stderr().is_terminal() {
        let _ = logs.compact().try_init();
    } else {
        let _ = logs.json().flatten_event(true).try_init();
    }
}
