//! The program itself, as an administrator would run it, in a directory of its own.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use super::lab::Asterisk;

pub struct Server {
    child: Child,
    /// Without a slash at the end.
    pub url: String,
    /// The link with which the first administrator begins; only on a new database.
    pub welcome: Option<String>,
    /// The environment it runs in, for commands beside it.
    pub env: Vec<(&'static str, String)>,
    pub data_dir: PathBuf,
    dir: tempfile::TempDir,
}

/// A port nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// On a new `SQLite` database, with nothing of Asterisk's.
    pub fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// As `start`, for `asterisk`, which is installed and restarted first.
    pub fn start_for(asterisk: &mut Asterisk) -> Self {
        let env = vec![
            ("PATCHBAY_ASTERISK_CONFIG_DIR", asterisk.config_dir.display().to_string()),
            ("PATCHBAY_ASTERISK_AMI", format!("127.0.0.1:{}", asterisk.ami_port)),
        ];
        let dir = tempfile::tempdir().unwrap();
        let mut all = env.clone();
        all.push(("PATCHBAY_DATA_DIR", dir.path().join("data").display().to_string()));
        let installed = command(&all, &["asterisk", "install", "--yes"]);
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        asterisk.restart();
        Self::start_in(dir, env)
    }

    pub fn start_with(env: Vec<(&'static str, String)>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), env)
    }

    fn start_in(dir: tempfile::TempDir, mut env: Vec<(&'static str, String)>) -> Self {
        let data_dir = dir.path().join("data");
        let port = free_port();
        env.push(("PATCHBAY_DATA_DIR", data_dir.display().to_string()));
        env.push(("PATCHBAY_LISTEN", format!("127.0.0.1:{port}")));
        let (child, welcome) = serve(dir.path(), &env, true);
        Self { child, url: format!("http://127.0.0.1:{port}"), welcome, env, data_dir, dir }
    }

    /// Its database and secret key, as the program itself would open them, `ago` seconds ago.
    pub async fn state(&self, ago: i64) -> patchbay::state::State {
        use patchbay::secrets::{Entropy, Vault};
        let path = self.data_dir.join("secret.key");
        let vault = Vault::open(&path, Entropy::system()).unwrap();
        let url = format!("sqlite:{}", self.data_dir.join("patchbay.db").display());
        let clock = patchbay::time::Clock::system();
        patchbay::state::State {
            db: patchbay::db::Db::connect(&url).await.unwrap(),
            clock: patchbay::time::Clock::of(move || clock.now().plus(-ago)),
            chain: patchbay::audit::ChainKey::of(&vault),
            vault,
            public_url: self.url.clone(),
            phones_url: self.url.clone(),
            proxies: [].into(),
            data_dir: self.data_dir.clone(),
            counted: patchbay::state::Counted::default(),
            bookmarks: patchbay::state::Bookmarks::default(),
        }
    }

    /// Stops it and starts it anew, with the same data and at the same address.
    pub fn restart(&mut self) {
        self.stop();
        self.child = serve(self.dir.path(), &self.env, false).0;
    }

    /// Runs a command of the program beside the one that serves.
    pub fn command(&self, arguments: &[&str]) -> Output {
        command(&self.env, arguments)
    }

    /// Makes an operator with a password nobody needs to know.
    pub fn add_operator(&self, name: &str, role: &str) -> bool {
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .envs(self.env.iter().cloned())
            .args(["operator", "add", name, "--role", role])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"four random words here").unwrap();
        child.wait().unwrap().success()
    }

    /// Everything it has logged so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) {
        let asked = Command::new("kill").args(["-s", "TERM", &self.pid().to_string()]).status();
        assert!(asked.unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Starts the program in a directory. On a new database it says two more things than where it
/// listens: a sentence, and the link to begin with.
fn serve(dir: &Path, env: &[(&'static str, String)], is_new: bool) -> (Child, Option<String>) {
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .envs(env.iter().cloned())
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_else(|| {
        panic!("it did not start: {}", std::fs::read_to_string(dir.join("log")).unwrap())
    });
    assert!(first.starts_with("Patchbay listens"), "{first}");
    let welcome = if is_new { lines.nth(1).map(|line| line.trim().to_owned()) } else { None };
    (child, welcome)
}

/// Runs a command of the program to its end.
pub fn command(env: &[(&'static str, String)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .envs(env.iter().cloned())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.logged();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("--- the program's log, the newest line first:\n{}", tail.join("\n"));
        }
    }
}
