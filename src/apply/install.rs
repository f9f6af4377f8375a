//! `patchbay asterisk install` and `check`: what Asterisk's own files need so that it reads ours.
//!
//! Hand-written files are only ever added to, after showing what, between two lines that say by
//! whom. The first release exists before anything names it: an include of nothing would make
//! Asterisk refuse the whole file.

use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use super::asterisk::Session;
use super::desired::Desired;
use super::render::{self, FILES};
use super::{Applier, ApplyError, log};
use crate::asterisk::access::Unusable;
use crate::asterisk::conf::{self, ConfigDir, Section, Tree};
use crate::phones::told::ToldOf;
use crate::tenants;
use crate::web::Error;

/// The object types of ours that must be loaded wholly or not at all.
const TYPES: [&str; 3] = ["endpoint", "auth", "aor"];
/// What must be there, however little is in it, for phones to be told to fetch their files: without
/// it Asterisk does not load `res_pjsip_notify`.
const NOTIFY: &str = "pjsip_notify.conf";
/// Modules that calls and picking them up need, and phones that register and are told to fetch their
/// files.
const MODULES: [&str; 9] = [
    "res_pjsip.so",
    "res_pjsip_registrar.so",
    "res_pjsip_notify.so",
    "chan_pjsip.so",
    "pbx_config.so",
    "app_dial.so",
    "app_directed_pickup.so",
    "func_sorcery.so",
    "func_pjsip_aor.so",
];

/// Lines to be added to one of Asterisk's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The file.
    pub file: &'static str,
    /// The lines.
    pub text: String,
}

/// What an installation would do.
#[derive(Debug, Default)]
pub struct Installation {
    /// What would be added, file by file.
    pub additions: Vec<Addition>,
    /// What has to be done by hand first.
    pub by_hand: Vec<String>,
    /// The manager secret to keep, when a new one was made.
    secret: Option<String>,
}

impl Applier {
    /// Looks at Asterisk's files and says what is missing. Nothing is written.
    pub fn plan_installation(&self) -> Result<Installation, ApplyError> {
        if !self.config_dir.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
            return Err(ApplyError::Directory { path: self.config_dir.clone(), source });
        }
        let source = ConfigDir::new(&self.config_dir);
        let mut plan = Installation::default();
        for (name, _) in FILES {
            let line = format!("patchbay/current/{name}");
            let tree = conf::parse(&source, name);
            if !tree.includes().iter().any(|include| !include.optional && include.target == line) {
                plan.additions.push(Addition { file: name, text: format!("#include {line}\n") });
            }
        }
        self.plan_manager(&conf::parse(&source, "manager.conf"), &mut plan)?;
        plan_sorcery(&conf::parse(&source, "sorcery.conf"), &mut plan);
        if !self.config_dir.join(NOTIFY).exists() {
            let text =
                "; Patchbay names the event of each NOTIFY itself; the file only has to be here.\n";
            plan.additions.push(Addition { file: NOTIFY, text: text.to_owned() });
        }
        Ok(plan)
    }

    fn plan_manager(&self, tree: &Tree, plan: &mut Installation) -> Result<(), ApplyError> {
        let known = match self.access.secret() {
            Ok(secret) => Some(secret),
            Err(Unusable::Unreadable { path, source }) => {
                return Err(ApplyError::Directory { path, source });
            }
            Err(_) => None,
        };
        let mut text = String::new();
        let general: Vec<_> =
            tree.sections().filter(|section| section.name() == b"general").collect();
        let enabled = general.iter().filter_map(|section| section.first("enabled")).next_back();
        if !enabled.is_some_and(is_yes) {
            let head = if general.is_empty() { "[general]" } else { "[general](+)" };
            text.push_str(head);
            text.push_str("\nenabled = yes\nbindaddr = 127.0.0.1\n");
        }
        let user = self.access.user.as_str();
        if !tree.sections().any(|section| section.name() == user.as_bytes()) {
            let secret = match &known {
                Some(secret) => secret.clone(),
                None => self.state.vault.entropy().text(32).map_err(Error::from)?,
            };
            text.push_str(&manager_user(user, &secret, &self.access.address));
            plan.secret = known.is_none().then_some(secret);
        } else if known.is_none() {
            plan.by_hand.push(format!(
                "manager.conf has a user {user} already: put its secret into asterisk.ami_secret"
            ));
        }
        if !text.is_empty() {
            plan.additions.push(Addition { file: "manager.conf", text });
        }
        Ok(())
    }

    /// Does it: the first release, then the lines, then the manager secret.
    pub async fn install(&self, plan: &Installation) -> Result<(), ApplyError> {
        let failed = |source| self.directory(source);
        let group =
            std::fs::metadata(self.config_dir.join("pjsip.conf")).map(|file| file.gid()).ok();
        self.releases.create(group).map_err(failed)?;
        if !self.releases.exists() {
            let mut tx = self.state.read().await?;
            let desired = Desired {
                audit_seq: 0,
                tenants: tenants::all(&mut tx).await?,
                active: Vec::new(),
                told: ToldOf::new(),
            };
            drop(tx);
            let fault = |error: render::RenderError| Error::Io(io::Error::other(error));
            let files = render::render(&desired, &self.state.vault).map_err(fault)?;
            self.releases.write(0, &files, &[], None).map_err(failed)?;
            self.releases.switch(0).map_err(failed)?;
        }
        for addition in &plan.additions {
            let path = self.config_dir.join(addition.file);
            append(&path, &addition.text)
                .map_err(|source| ApplyError::Directory { path, source })?;
        }
        Ok(())
    }

    /// The manager secret that [`Applier::install`] wrote into Asterisk's file and that must be
    /// kept; none when one is set.
    pub fn made_secret(plan: &Installation) -> Option<&str> {
        plan.secret.as_deref()
    }

    /// Everything an Apply needs, each with whether it is there.
    pub async fn check(&self) -> Result<Vec<(bool, String)>, ApplyError> {
        let plan = self.plan_installation()?;
        let mut seen = Vec::new();
        for file in ["pjsip.conf", "extensions.conf", "manager.conf", "sorcery.conf", NOTIFY] {
            let missing = plan.additions.iter().any(|addition| addition.file == file);
            let sentence = if file == NOTIFY {
                let there =
                    if missing { "is missing: run patchbay asterisk install" } else { "is there" };
                format!("{file} {there}")
            } else if missing {
                format!("{file} lacks Patchbay's lines: run patchbay asterisk install")
            } else {
                format!("{file} has Patchbay's lines")
            };
            seen.push((!missing, sentence));
        }
        seen.extend(plan.by_hand.into_iter().map(|sentence| (false, sentence)));
        let source = ConfigDir::new(&self.config_dir);
        let manager = conf::parse(&source, "manager.conf");
        seen.extend(lacking(&manager, &self.access.user).into_iter().map(|what| (false, what)));
        let transport = conf::parse(&source, "pjsip.conf").sections().any(|section| {
            !section.is_template()
                && section.first("type").is_some_and(|value| value == b"transport")
        });
        seen.push((transport, "pjsip.conf has a transport for phones to reach".to_owned()));
        seen.push(match self.releases.current().map_err(|source| self.directory(source))? {
            Some(release) => (true, format!("release {release} is in force")),
            None => (false, "no release is in force: run patchbay asterisk install".to_owned()),
        });
        seen.push(match log::find(&self.config_dir).filter(|path| std::fs::File::open(path).is_ok()) {
            Some(path) => (true, format!("Asterisk's log {} can be read", path.display())),
            None => (false, "Asterisk's log cannot be read: let logger.conf write warnings and errors to a file, and Patchbay's group read it".to_owned()),
        });
        self.check_running(&mut seen).await;
        Ok(seen)
    }

    async fn check_running(&self, seen: &mut Vec<(bool, String)>) {
        let mut session = match Session::open(&self.access).await {
            Ok(session) => session,
            Err(error) => {
                seen.push((false, error.to_string()));
                return;
            }
        };
        let (major, minor, patch) = session.version;
        seen.push((true, format!("Asterisk {major}.{minor}.{patch} answers")));
        seen.extend(session.advice().map(|advice| (true, advice)));
        for module in MODULES {
            match session.has_module(module).await {
                Ok(true) => {}
                Ok(false) => seen.push((
                    false,
                    format!("{module} is not loaded: add it to modules.conf and restart Asterisk"),
                )),
                Err(error) => seen.push((false, error.to_string())),
            }
        }
        if let Ok(release) = self.releases.current()
            && let Some(files) = release.and_then(|release| self.releases.read(release).ok())
        {
            for file in files {
                let missing = session.missing_canaries(&file).await.unwrap_or_default();
                seen.extend(
                    missing.into_iter().map(|what| (false, format!("{what}: restart Asterisk"))),
                );
            }
        }
    }
}

fn is_yes(value: &[u8]) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes.as_bytes()))
}

/// A manager user that may reload and look, from this machine alone.
fn manager_user(user: &str, secret: &str, address: &str) -> String {
    let local = ["127.", "localhost:", "[::1]:"].iter().any(|host| address.starts_with(host));
    let limits = if local {
        "deny = 0.0.0.0/0.0.0.0\npermit = 127.0.0.1/255.255.255.255\npermit = ::1/128\n"
    } else {
        ""
    };
    format!("[{user}]\nsecret = {secret}\n{limits}read = system\nwrite = system,reporting\n")
}

/// The manager user's rights that are missing, each as a sentence: `write = system,reporting` to
/// reload and to ask, `read = system` to hear of registrations the moment they change.
fn lacking(tree: &Tree, user: &str) -> Vec<String> {
    let sections: Vec<_> =
        tree.sections().filter(|section| section.name() == user.as_bytes()).collect();
    if sections.is_empty() {
        // That is said already.
        return Vec::new();
    }
    let given = |key: &str| -> String {
        let values = sections.iter().filter_map(|section| section.first(key));
        values.map(|value| conf::text(value).into_owned()).collect::<Vec<_>>().join(",")
    };
    let mut sentences = Vec::new();
    for (key, classes) in [("read", &["system"][..]), ("write", &["system", "reporting"][..])] {
        let given = given(key).to_ascii_lowercase();
        let has = |class: &str| {
            given.split(',').any(|one| matches!(one.trim(), one if one == class || one == "all"))
        };
        for class in classes.iter().filter(|class| !has(class)) {
            sentences.push(format!(
                "manager.conf, user {user}: {key} lacks {class}: add it and restart Asterisk"
            ));
        }
    }
    sentences
}

/// `integrity=file`: one bad object keeps all old ones of its type, instead of going missing alone.
fn plan_sorcery(tree: &Tree, plan: &mut Installation) {
    let sections: Vec<_> =
        tree.sections().filter(|section| section.name() == b"res_pjsip").collect();
    let mut lines = String::new();
    for kind in TYPES {
        let wanted = format!("config,pjsip.conf,criteria=type={kind},integrity=file");
        let mapped: Vec<_> = sections
            .iter()
            .flat_map(Section::variables)
            .filter(|variable| {
                variable.name.split(|byte| *byte == b'/').next() == Some(kind.as_bytes())
            })
            .collect();
        match mapped.first() {
            None => lines.extend([kind, " = ", &wanted, "\n"]),
            Some(variable) if conf::text(variable.value).contains("integrity=file") => {}
            Some(variable) => plan.by_hand.push(format!(
                "sorcery.conf, line {}, maps {kind}s already: make it {kind} = {wanted}",
                variable.line
            )),
        }
    }
    if !lines.is_empty() {
        let head = if sections.is_empty() { "[res_pjsip]" } else { "[res_pjsip](+)" };
        plan.additions.push(Addition { file: "sorcery.conf", text: format!("{head}\n{lines}") });
    }
}

/// Adds lines to the end of a hand-written file, keeping its owner and mode; the file changes at
/// once or not at all.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("/"));
    let (old, about) = match std::fs::metadata(&path) {
        Ok(about) => (std::fs::read(&path)?, about),
        // A new file is like its neighbours.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Vec::new(), std::fs::metadata(directory.join("pjsip.conf"))?)
        }
        Err(error) => return Err(error),
    };
    let mut beside = tempfile::NamedTempFile::new_in(directory)?;
    beside.write_all(&old)?;
    if !old.is_empty() && !old.ends_with(b"\n") {
        beside.write_all(b"\n")?;
    }
    write!(
        beside,
        "\n; --- added by patchbay asterisk install ---\n{text}; --- end of what patchbay added ---\n"
    )?;
    beside.as_file().set_permissions(about.permissions())?;
    chown(beside.path(), Some(about.uid()), Some(about.gid()))?;
    beside.as_file().sync_all()?;
    beside.persist(&path)?;
    std::fs::File::open(directory)?.sync_all()
}
