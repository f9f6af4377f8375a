//! Real servers for tests: an Asterisk 22 and a `PostgreSQL` of one's own, on loopback, in directories of
//! their own. They end with the test process, however it ends: `tests/lab/*.sh` serve them for as
//! long as the pipe to this process is open.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// One of the lab's scripts, serving us over its stdin and stdout.
struct Served {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    about: HashMap<String, String>,
}

impl Served {
    fn run(script: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("patchbay-").tempdir().unwrap().keep();
        let mut child = Command::new(lab(script))
            .arg("run")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let words = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut served = Self { child, words, answers, about: HashMap::new() };
        served.read();
        served
    }

    fn say(&mut self, word: &str) {
        writeln!(self.words.as_mut().unwrap(), "{word}").unwrap();
        self.read();
    }

    /// One answer, `name=value name=value`, into `about`.
    fn read(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the lab's script ended; what it said is above");
        self.about.extend(
            line.split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
    }

    fn get(&self, name: &str) -> &str {
        &self.about[name]
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ = self.child.wait();
    }
}

fn lab(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(script)
}

/// An Asterisk with a plain administrator's configuration, and nothing of Patchbay's in it.
pub struct Asterisk {
    served: Served,
    /// What `asterisk.config_dir` would be.
    pub config_dir: PathBuf,
    /// `messages.log`, where notices, warnings and errors go.
    pub log: PathBuf,
    pub sip_port: u16,
    pub ami_port: u16,
    /// The words before a command of its command line.
    console: Vec<String>,
}

impl Asterisk {
    /// Writes the configuration, boots nothing: `restart` boots it.
    pub fn prepare() -> Self {
        let served = Served::run("asterisk.sh");
        let dir = Path::new(served.get("dir"));
        let console = Command::new(lab("asterisk.sh")).arg("console").arg(dir).output().unwrap();
        let console = String::from_utf8(console.stdout).unwrap();
        Self {
            console: console.lines().map(str::to_owned).collect(),
            config_dir: dir.join("etc"),
            log: dir.join("log/messages.log"),
            sip_port: served.get("sip").parse().unwrap(),
            ami_port: served.get("ami").parse().unwrap(),
            served,
        }
    }

    /// Boots one and returns when it is up.
    pub fn start() -> Self {
        let mut asterisk = Self::prepare();
        asterisk.served.say("start");
        asterisk
    }

    /// Stops it if it runs, and boots it.
    pub fn restart(&mut self) {
        self.served.say("restart");
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        self.served.say("stop");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.served.say("kill");
    }

    /// The process, to be stopped and continued by signals.
    pub fn pid(&self) -> u32 {
        self.served.get("pid").parse().unwrap()
    }

    /// What `asterisk -rx COMMAND` prints.
    pub fn cli(&self, command: &str) -> String {
        let (program, before) = self.console.split_first().unwrap();
        let output = Command::new(program).args(before).arg(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until what `asterisk -rx COMMAND` prints is `right`.
    pub fn until(&self, command: &str, right: impl Fn(&str) -> bool) {
        let begun = std::time::Instant::now();
        loop {
            let printed = self.cli(command);
            if right(&printed) {
                return;
            }
            assert!(begun.elapsed().as_secs() < 30, "{command}: {printed}");
        }
    }

    /// Everything it has logged so far.
    pub fn logged(&self) -> String {
        std::fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Asterisk's log:\n{}", self.logged());
        }
    }
}

/// A pair of Kea DHCP servers, one for each family.
pub struct Kea {
    served: Served,
    /// Where it keeps its files and sockets.
    pub dir: PathBuf,
    /// The ports of the control channels.
    pub v4: u16,
    pub v6: u16,
    /// Where the server for IPv4 listens for DHCP, and sends its answers to.
    pub dhcp4: u16,
    pub user: String,
    pub password: String,
}

impl Kea {
    pub fn start() -> Self {
        let mut served = Served::run("kea.sh");
        served.say("start");
        let port = |name: &str| served.get(name).parse().unwrap();
        Self {
            dir: served.get("dir").into(),
            v4: port("v4"),
            v6: port("v6"),
            dhcp4: port("dhcp4"),
            user: served.get("user").to_owned(),
            password: served.get("password").to_owned(),
            served,
        }
    }

    /// Forgets everything but its configuration.
    pub fn restart(&mut self) {
        self.served.say("restart");
    }

    pub fn stop(&mut self) {
        self.served.say("stop");
    }

    /// Whether Kea takes a file as its configuration; what it says.
    pub fn check(&self, file: &Path) -> (bool, String) {
        let checked =
            Command::new(lab("kea.sh")).arg("check").arg(&self.dir).arg(file).output().unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        (checked.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// A `FreeRADIUS` that listens for changes of sessions.
pub struct Radius {
    served: Served,
    /// Where it writes down what it took for good.
    packets: PathBuf,
    pub port: u16,
    pub secret: String,
}

impl Radius {
    pub fn start() -> Self {
        let mut served = Served::run("radius.sh");
        served.say("start");
        Self {
            packets: Path::new(served.get("dir")).join("packets"),
            port: served.get("port").parse().unwrap(),
            secret: served.get("secret").to_owned(),
            served,
        }
    }

    pub fn stop(&mut self) {
        self.served.say("stop");
    }

    /// What it took for good, as it reads it: attributes of one packet in each line.
    pub fn packets(&self) -> Vec<String> {
        let read = std::fs::read_to_string(&self.packets).unwrap();
        read.lines().map(str::to_owned).collect()
    }
}

/// A `PostgreSQL` cluster; most tests want `Postgres::database()`.
pub struct Postgres(Served);

impl Postgres {
    /// A cluster of the caller's own, to be stopped and killed.
    pub fn start() -> Self {
        let mut served = Served::run("postgres.sh");
        served.say("start");
        Self(served)
    }

    /// The URL of a new, empty database in the cluster this process shares.
    pub fn database() -> String {
        static SHARED: OnceLock<Mutex<Postgres>> = OnceLock::new();
        SHARED.get_or_init(|| Mutex::new(Self::start())).lock().unwrap().create_database()
    }

    /// The URL of a new, empty database.
    pub fn create_database(&mut self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.0.say(&format!("create {name}"));
        self.0.get("url").to_owned()
    }

    /// Nothing more fits into the tables of the database at `url`, for whoever connects from now on.
    pub fn fill(&mut self, url: &str) {
        self.0.say(&format!("full {}", url.rsplit('/').next().unwrap()));
    }

    /// There is space again.
    pub fn make_space(&mut self) {
        self.0.say("space");
    }

    pub fn restart(&mut self) {
        self.0.say("restart");
    }

    pub fn stop(&mut self) {
        self.0.say("stop");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.0.say("kill");
    }
}
