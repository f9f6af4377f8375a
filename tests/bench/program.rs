//! The program itself, as it is shipped, in a directory of its own.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::http::Client;
use crate::lab::Asterisk;
use crate::memory;

const PROGRAM: &str = env!("CARGO_BIN_EXE_patchbay");
/// Who signs in.
pub const NAME: &str = "bench";
pub const PASSWORD: &str = "correct horse battery";
/// Nothing takes longer to start.
const LONGEST_START: Duration = Duration::from_secs(20);

/// Where an installation lives and how it is set.
#[derive(Clone)]
pub struct Site {
    pub dir: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Site {
    /// An installation in `dir`; what is not set is as it comes.
    pub fn new(dir: &Path) -> Self {
        let data = dir.join("data");
        Self {
            dir: dir.to_owned(),
            settings: vec![("PATCHBAY_DATA_DIR", data.display().to_string())],
        }
    }

    /// The same with a database on a server.
    #[must_use]
    pub fn on(mut self, url: &str) -> Self {
        self.settings.push(("PATCHBAY_DATABASE_URL", url.to_owned()));
        self
    }

    /// The same beside an Asterisk.
    #[must_use]
    pub fn beside(mut self, asterisk: &Asterisk) -> Self {
        let config_dir = asterisk.config_dir.display().to_string();
        self.settings.push(("PATCHBAY_ASTERISK_CONFIG_DIR", config_dir));
        self.settings.push(("PATCHBAY_ASTERISK_AMI", format!("127.0.0.1:{}", asterisk.ami_port)));
        self
    }

    /// The settings, for calls into the library.
    pub fn config(&self) -> anyhow::Result<patchbay::config::Config> {
        let get = |name: &str| {
            let pair = self.settings.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| value.clone())
        };
        Ok(patchbay::config::Config::load(None, get)?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        let settings = self.settings.iter().map(|(key, value)| (key, value));
        command.env_clear().envs(settings).current_dir(&self.dir);
        // As the service of the README is run.
        command.env("MALLOC_ARENA_MAX", "2");
        command
    }

    /// Runs a subcommand and returns what it prints.
    pub fn run(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let piped = Stdio::piped;
        let mut child = self
            .command()
            .args(arguments)
            .stdin(piped())
            .stdout(piped())
            .stderr(piped())
            .spawn()?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "patchbay {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// As [`Self::run`] without input; also the most memory it took, in KiB.
    pub fn run_watched(&self, arguments: &[&str]) -> anyhow::Result<(String, u64)> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut most = 0;
        while child.try_wait()?.is_none() {
            most = most.max(memory::most(child.id()));
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "patchbay {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok((String::from_utf8(output.stdout)?, most))
    }

    /// Makes an administrator and returns a token of theirs.
    pub fn administrator(&self) -> anyhow::Result<String> {
        self.run(&["operator", "add", NAME, "--role", "admin"], PASSWORD)?;
        self.run(&["token", "add", "bench", "--operator", NAME], "")
    }

    /// Serves on a free port; returns once a page was answered.
    pub async fn serve(&self, label: &str) -> anyhow::Result<Program> {
        let address = free_address()?;
        let log = std::fs::File::create(self.dir.join("log"))?;
        let began = Instant::now();
        let child = self
            .command()
            .env("PATCHBAY_LISTEN", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut program =
            Program { child, address, label: label.to_owned(), started: Duration::ZERO };
        while began.elapsed() < LONGEST_START {
            if let Ok(answer) = Client::new(address).get("/login").await
                && answer.status == 200
            {
                program.started = began.elapsed();
                return Ok(program);
            }
            if program.child.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        bail!("the program did not start: {log}")
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A serving program. Dropped, it is ended as a power cut would.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    label: String,
    /// From its execution to its first page.
    pub started: Duration,
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in good order, noting the most memory it took.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        memory::note(&self.label, self.pid());
        let pid = self.pid().to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status()?;
        for _ in 0..1500 {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the program did not stop")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
