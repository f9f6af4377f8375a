//! An office to test in: an Asterisk of its own with Patchbay installed, and a database.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use patchbay::{
    apply::{Applier, Request, Run, Source},
    audit::{Actor, Change, Via},
    commands::Session,
    config::Config,
    ipam::space::Space,
    net::Mac,
    numbering::ExtensionRange,
    phones::{self, Model, NewLine, NewPhone, Spec, Static, Vendor},
    tenants::{self, Settings},
    users::{self, Edit, NewUser, SipSecret, User},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::support::lab::{Asterisk, Postgres};

/// Both are tested wherever the database matters.
#[derive(Clone, Copy)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Makes two tests of one, each with an installed and running office.
macro_rules! on_both_databases {
    ($($(#[$about:meta])* async fn $name:ident($office:ident: Office) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$about])*
            async fn run($office: Office) $body

            #[tokio::test]
            async fn on_sqlite() {
                run(Office::open($crate::office::Database::Sqlite).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                run(Office::open($crate::office::Database::Postgres).await).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

pub struct Office {
    pub asterisk: Asterisk,
    pub session: Session,
    pub applier: Applier,
    pub actor: Actor,
    dir: TempDir,
    database_url: String,
}

impl Office {
    /// Patchbay installed, Asterisk up, nobody there yet.
    pub async fn new() -> Self {
        Self::open(Database::Sqlite).await
    }

    pub async fn open(database: Database) -> Self {
        let mut office = Self::bare(database).await;
        let output = office.patchbay(&["asterisk", "install", "--yes"]);
        assert!(output.status.success(), "{output:?}");
        office.asterisk.restart();
        office.applier = office.applier_with(|_| ());
        office
    }

    /// An Asterisk that does not run and knows nothing of Patchbay.
    pub async fn bare(database: Database) -> Self {
        let asterisk = Asterisk::prepare();
        append(
            &asterisk.config_dir.join("manager.conf"),
            "\n[tester]\nsecret = tester\nread = system\nwrite = system,reporting,config\n",
        );
        let dir = tempfile::tempdir().unwrap();
        let database_url = match database {
            Database::Sqlite => format!("sqlite:{}", dir.path().join("patchbay.db").display()),
            Database::Postgres => Postgres::database(),
        };
        fs::write(dir.path().join("empty.toml"), "").unwrap();
        let config = config(dir.path(), &asterisk, &database_url);
        let session = Session::open(config).await.unwrap();
        let applier = Applier::new(&session.config, session.state.clone());
        let actor = Actor::local("ann", Via::CommandLine);
        Self { asterisk, session, applier, actor, dir, database_url }
    }

    /// An applier of this office's with other settings, as another process would have it.
    pub fn applier_with(&self, change: impl FnOnce(&mut Config)) -> Applier {
        let mut config = self.session.config.clone();
        change(&mut config);
        Applier::new(&config, self.session.state.clone())
    }

    /// The program itself, with this office's settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
        command.envs(self.environment());
        command
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(self.dir.path(), &self.asterisk, &self.database_url)
    }

    pub fn patchbay(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// A new administrator with this password; the token of a script of theirs.
    pub fn administrator(&self, name: &str, password: &str) -> String {
        let mut add = self.command();
        add.args(["operator", "add", name, "--role", "admin"]).stdin(Stdio::piped());
        let mut add = add.stdout(Stdio::null()).spawn().unwrap();
        add.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let token = self.patchbay(&["token", "add", "script", "--operator", name]);
        String::from_utf8(token.stdout).unwrap().trim().to_owned()
    }

    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn config_file(&self, name: &str) -> PathBuf {
        self.asterisk.config_dir.join(name)
    }

    /// The number of the release that `current` names.
    pub fn current(&self) -> i64 {
        let target = fs::read_link(self.config_file("patchbay/current")).unwrap();
        target.file_name().unwrap().to_str().unwrap().parse().unwrap()
    }

    /// The files in force, as Asterisk would read them.
    pub fn files(&self) -> Vec<String> {
        let read = |name| fs::read_to_string(self.config_file("patchbay/current").join(name));
        ["pjsip.conf", "extensions.conf"].map(|name| read(name).unwrap()).to_vec()
    }

    pub async fn change(&self) -> Change {
        self.session.state.change(&self.actor).await.unwrap()
    }

    pub async fn hire(&self, name: &str) -> (User, SipSecret) {
        let mut change = self.change().await;
        let hired = users::create(&mut change, &self.session.state.vault, &newcomer(name)).await;
        change.commit().await.unwrap();
        hired.unwrap()
    }

    pub async fn edit(&self, user: &User, edit: Edit) -> User {
        let mut change = self.change().await;
        let user = users::edit(&mut change, &self.session.state.vault, user.id, None, &edit)
            .await
            .unwrap();
        change.commit().await.unwrap();
        user
    }

    /// A phone with these people on its lines, the first first.
    pub async fn phone(&self, mac: &str, vendor: Vendor, model: &str, people: &[&User]) -> Mac {
        let lines = people.iter().zip(1..).map(|(user, line)| NewLine {
            line,
            user: user.id,
            label: String::new().try_into().unwrap(),
        });
        let mut spec = Spec::new(Model::find(vendor, model).unwrap());
        spec.lines = lines.collect();
        let new = NewPhone { mac: mac.parse().unwrap(), spec, address: Static::None };
        let vault = &self.session.state.vault;
        let mut change = self.change().await;
        let mut space = Space::open(&mut change, vault.entropy()).await.unwrap();
        phones::create(&mut space, vault, &new).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
        new.mac
    }

    /// Sets something for a phone.
    pub async fn set(&self, mac: Mac, key: &str, value: &str) {
        let settings = [(key.to_owned(), Some(value.to_owned()))].into();
        let edit = phones::Edit { settings, ..phones::Edit::default() };
        let mut change = self.change().await;
        let mut space = Space::open(&mut change, self.session.state.vault.entropy()).await.unwrap();
        phones::update(&mut space, mac, None, &edit).await.unwrap();
        space.close().await.unwrap();
        change.commit().await.unwrap();
    }

    pub async fn rename(&self, user: &User, name: &str) -> User {
        self.edit(user, Edit { name: Some(name.parse().unwrap()), ..Edit::default() }).await
    }

    pub async fn dismiss(&self, user: &User) {
        let mut change = self.change().await;
        users::delete(&mut change, &self.session.state.vault, user.id).await.unwrap();
        change.commit().await.unwrap();
    }

    /// Founds another tenant and goes to work there.
    pub async fn found(&mut self, slug: &str) {
        let settings = Settings {
            name: slug.parse().unwrap(),
            time_zone: "UTC".parse().unwrap(),
            range: range("1000-1999"),
        };
        let admin = format!("{slug}-admin").parse().unwrap();
        let mut change = self.change().await;
        let vault = &self.session.state.vault;
        tenants::create(&mut change, vault, &slug.parse().unwrap(), &settings, &admin)
            .await
            .unwrap();
        change.commit().await.unwrap();
        let mut tx = self.session.state.read().await.unwrap();
        let all = tenants::all(&mut tx).await.unwrap();
        self.actor.tenant = all.iter().find(|tenant| tenant.slug == slug).unwrap().id;
    }

    pub async fn apply(&self) -> Run {
        self.apply_with(&self.applier, Source::Database).await
    }

    pub async fn restore(&self, run: i64) -> Run {
        self.apply_with(&self.applier, Source::Release(run)).await
    }

    pub async fn apply_with(&self, applier: &Applier, source: Source) -> Run {
        applier.apply(&self.actor, &request(source)).await.unwrap()
    }

    /// Repairs, once the dead one's lock is let go.
    pub async fn repaired(&self) {
        loop {
            self.applier.repair().await.unwrap();
            if self.applier.busy().await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many changes wait for an Apply.
    pub async fn pending(&self) -> i64 {
        let mut tx = self.session.state.read().await.unwrap();
        patchbay::audit::count_pending(&mut tx, i64::MAX).await.unwrap()
    }

    pub async fn manager(&self) -> Manager {
        Manager::open(self.asterisk.ami_port).await
    }

    /// Everything Asterisk holds of ours, to be compared.
    pub async fn held(&self) -> Held {
        let mut manager = self.manager().await;
        let mut held = Held { dialplan: self.asterisk.cli("dialplan show"), ..Held::default() };
        // Which of equal registrars made it, and when, is of no matter.
        for action in ["PJSIPShowAuths", "PJSIPShowAors"] {
            held.objects
                .extend(manager.ask(&format!("Action: {action}")).await.into_iter().skip(1));
        }
        for endpoint in manager.ids("PJSIPShowEndpoints").await {
            held.objects.extend(manager.endpoint(&endpoint).await);
            held.endpoints.insert(endpoint);
        }
        held.objects = held.objects.iter().map(|object| lasting(object)).collect();
        held
    }
}

/// The program, serving an office's database.
pub struct Serving {
    child: Child,
    pub url: String,
}

impl Serving {
    pub fn start(office: &Office, port: u16) -> Self {
        Self::begin(office.command(), port)
    }

    /// As the command's environment says otherwise.
    pub fn begin(mut command: Command, port: u16) -> Self {
        command.env("PATCHBAY_LISTEN", format!("127.0.0.1:{port}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("Patchbay listens"), "{line}");
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        self.ask_to_stop();
        assert!(self.child.wait().unwrap().success());
    }

    /// Waits until it has stopped of itself; how it did.
    pub fn stopped(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Asterisk holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub endpoints: BTreeSet<String>,
    objects: BTreeSet<String>,
    pub dialplan: String,
}

impl Held {
    /// The endpoints without the canary.
    pub fn phones(&self) -> Vec<&str> {
        let phones = self.endpoints.iter().filter(|id| !id.starts_with("patchbay-"));
        phones.map(String::as_str).collect()
    }
}

/// An object without what changes by itself.
fn lasting(object: &str) -> String {
    let passing = [
        "ActionID",
        "DeviceState",
        "ActiveChannels",
        "Contacts",
        "ContactsRegistered",
        "TotalContacts",
        "EventList",
        "ListItems",
    ];
    let keep = |line: &&str| !passing.iter().any(|name| line.starts_with(&format!("{name}:")));
    object.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

pub fn request(source: Source) -> Request {
    Request { source, reason: "a test".parse().unwrap(), overwrite: false }
}

pub fn newcomer(name: &str) -> NewUser {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let email = format!("user{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed));
    NewUser { name: name.parse().unwrap(), email: email.parse().unwrap(), number: None }
}

pub fn range(text: &str) -> ExtensionRange {
    let (first, last) = text.split_once('-').unwrap();
    ExtensionRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
}

pub async fn set_range(office: &Office, text: &str) {
    let mut change = office.change().await;
    let tenant = tenants::get(change.tx(), office.actor.tenant).await.unwrap();
    let new = Settings { range: range(text), ..tenant.settings() };
    tenants::configure(&mut change, tenant.version, &new).await.unwrap();
    change.commit().await.unwrap();
}

pub fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, old + text).unwrap();
}

fn environment(dir: &Path, asterisk: &Asterisk, database: &str) -> Vec<(&'static str, String)> {
    vec![
        ("PATCHBAY_DATA_DIR", dir.display().to_string()),
        ("PATCHBAY_DATABASE_URL", database.to_owned()),
        ("PATCHBAY_ASTERISK_CONFIG_DIR", asterisk.config_dir.display().to_string()),
        ("PATCHBAY_ASTERISK_AMI", format!("127.0.0.1:{}", asterisk.ami_port)),
        ("RUST_LOG", "off".to_owned()),
        ("USER", "ann".to_owned()),
        ("SUDO_USER", "ann".to_owned()),
    ]
}

fn config(dir: &Path, asterisk: &Asterisk, database: &str) -> Config {
    let environment = environment(dir, asterisk, database);
    let env = |name: &str| {
        environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    };
    Config::load(Some(&dir.join("empty.toml")), env).unwrap()
}

/// Someone at the manager interface who looks.
pub struct Manager {
    stream: BufReader<TcpStream>,
    events: Vec<String>,
}

impl Manager {
    pub async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut manager = Self { stream: BufReader::new(stream), events: Vec::new() };
        let mut greeting = String::new();
        manager.stream.read_line(&mut greeting).await.unwrap();
        let login = "Action: Login\r\nUsername: tester\r\nSecret: tester\r\nEvents: system";
        let answer = manager.ask(login).await;
        assert!(answer[0].contains("Success"), "{answer:?}");
        manager
    }

    /// The messages of one answer.
    pub async fn ask(&mut self, action: &str) -> Vec<String> {
        let text = format!("{action}\r\nActionID: it\r\n\r\n");
        self.stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer: Vec<String> = Vec::new();
        loop {
            let message = self.message().await;
            if !message.contains("\nActionID: it\n") && !message.starts_with("ActionID: it\n") {
                self.events.push(message);
                continue;
            }
            if message.contains("\nEventList: Complete") {
                return answer;
            }
            let list = message.contains("\nEventList: start");
            answer.push(message);
            if !list && answer.len() == 1 {
                return answer;
            }
        }
    }

    async fn message(&mut self) -> String {
        let mut message = String::new();
        loop {
            let mut line = Vec::new();
            let read = self.stream.read_until(b'\n', &mut line).await.unwrap();
            assert_ne!(read, 0, "the manager interface hung up");
            let line = String::from_utf8_lossy(&line);
            match line.trim_end_matches(['\r', '\n']) {
                "" if message.is_empty() => {}
                "" => return message,
                line => message.extend([line, "\n"]),
            }
        }
    }

    pub async fn ids(&mut self, list: &str) -> Vec<String> {
        let answer = self.ask(&format!("Action: {list}")).await;
        let name = |message: &String| value(message, "ObjectName").map(str::to_owned);
        answer.iter().filter_map(name).collect()
    }

    /// An endpoint with its auths and aors; nothing when there is none.
    pub async fn endpoint(&mut self, id: &str) -> Vec<String> {
        let answer = self.ask(&format!("Action: PJSIPShowEndpoint\r\nEndpoint: {id}")).await;
        answer.into_iter().skip(1).collect()
    }

    pub async fn caller_id(&mut self, endpoint: &str) -> String {
        let parts = self.endpoint(endpoint).await;
        parts.iter().find_map(|part| value(part, "Callerid")).unwrap().to_owned()
    }

    /// The modules reloaded since this was asked last.
    pub async fn reloads(&mut self) -> Vec<String> {
        self.ask("Action: Ping").await;
        let events = std::mem::take(&mut self.events);
        let reloads = events.iter().filter(|event| event.starts_with("Event: Reload"));
        reloads.filter_map(|event| value(event, "Module").map(str::to_owned)).collect()
    }
}

/// A field of a message.
pub fn value<'m>(message: &'m str, field: &str) -> Option<&'m str> {
    message.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))
}
