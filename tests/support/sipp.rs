//! Phones played by `SIPp`, an independent SIP implementation, with the scenarios of `tests/sip`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::server::free_port;

pub struct Sipp {
    user: String,
    /// The name it signs in with; usually its user.
    auth: String,
    secret: String,
    server: u16,
    /// Where it is: an address that leads back to this machine.
    address: String,
    port: u16,
    dir: tempfile::TempDir,
}

impl Sipp {
    /// A phone for the Asterisk at `server`.
    pub fn new(server: u16, user: &str, secret: &str) -> Self {
        let (user, secret, port) = (user.to_owned(), secret.to_owned(), free_port());
        let (auth, address, dir) =
            (user.clone(), "127.0.0.1".to_owned(), tempfile::tempdir().unwrap());
        Self { user, auth, secret, server, address, port, dir }
    }

    /// One that has this address, and signs in under a name that may not be its user's.
    pub fn at(self, address: &str, auth: &str) -> Self {
        Self { address: address.to_owned(), auth: auth.to_owned(), ..self }
    }

    fn scenario(&self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip");
        let text = std::fs::read_to_string(folder.join(format!("{name}.xml"))).unwrap();
        let text = text.replace("@USER@", &self.user).replace("@SECRET@", &self.secret);
        let text = text.replace("@AUTH@", &self.auth);
        let path = self.dir.path().join(format!("{name}.xml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, name: &str) -> Command {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/asterisk.sh");
        let mut command = Command::new(lab);
        command
            .args(["sipp", &format!("127.0.0.1:{}", self.server), "-sf"])
            .arg(self.scenario(name))
            .args(["-m", "1", "-i", &self.address, "-p", &self.port.to_string()])
            .args(["-nostdin", "-timeout", "90s", "-timeout_error", "-aa"])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Registers with the challenge Asterisk names first.
    pub fn register(&self) -> Output {
        self.command("register").output().unwrap()
    }

    /// Calls `number`, hears it answered, and hangs up.
    pub fn call(&self, number: &str) -> Output {
        self.command("call").args(["-s", number]).output().unwrap()
    }

    /// Waits for a call and answers it, until the caller hangs up.
    pub fn answer(&self) -> Answering {
        Answering(Some(self.command("answer").spawn().unwrap()))
    }
}

/// A phone that waits for a call; stopped when dropped.
pub struct Answering(Option<Child>);

impl Answering {
    /// How it went, once the caller has hung up.
    pub fn over(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
