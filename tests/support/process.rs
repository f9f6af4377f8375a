//! The program itself, as a process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;

use super::app::TestApp;

/// A serving program.
pub struct Patchbay {
    child: Mutex<Child>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// What it printed before it served.
    pub said: String,
    client: reqwest::Client,
}

/// The program with nothing in its environment but where things are.
pub fn patchbay(directory: &Path, database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
    command
        .env_clear()
        .current_dir(directory)
        .env("PATCHBAY_DATA_DIR", directory)
        .env("PATCHBAY_DATABASE_URL", database_url)
        .env("USER", "tester");
    command
}

/// What a command did with `input` on its standard input.
pub fn output(mut command: Command, input: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A command that wants no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

impl Patchbay {
    /// A command on the application's database.
    pub fn run(app: &TestApp, arguments: &[&str], input: &str) -> Output {
        let mut command = patchbay(&app.dir(), &app.url);
        command.args(arguments);
        output(command, input)
    }

    /// Serves the application's database on a free port.
    pub async fn serve(app: &TestApp) -> Self {
        Self::serve_saying(app, 1).await
    }

    /// As [`Self::serve`], reading the first `lines` it prints.
    pub async fn serve_saying(app: &TestApp, lines: usize) -> Self {
        Self::serve_told(app, lines, &[]).await
    }

    /// As [`Self::serve_saying`], with more in its environment.
    pub async fn serve_told(app: &TestApp, lines: usize, more: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = patchbay(&app.dir(), &app.url);
        command.env("PATCHBAY_LISTEN", format!("127.0.0.1:{port}")).envs(more.iter().copied());
        Self::begin(command, port, lines).await
    }

    /// Starts `command`, which listens on `port`, and returns when it is ready.
    async fn begin(mut command: Command, port: u16, count: usize) -> Self {
        let pipes = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = pipes.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        for _ in 0..count {
            lines.read_line(&mut said).unwrap();
        }
        assert!(said.contains("listens"), "it did not start: {said}");
        let url = format!("http://127.0.0.1:{port}");
        super::trust();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        while client.get(format!("{url}/readyz")).send().await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { child: Mutex::new(child), url, said, client }
    }

    /// As [`Self::serve`], on a port that is its own for longer than one life.
    pub async fn serve_at(app: &TestApp, port: u16) -> Self {
        let mut command = patchbay(&app.dir(), &app.url);
        command.env("PATCHBAY_LISTEN", format!("127.0.0.1:{port}"));
        Self::begin(command, port, 1).await
    }

    /// Creates a user; the number, or nothing when the program is gone.
    pub async fn create(&self, token: &str, body: &serde_json::Value) -> Option<i64> {
        let request = self.client.post(format!("{}/api/v1/users", self.url)).bearer_auth(token);
        let answer = request.json(body).send().await.ok()?;
        assert_eq!(answer.status(), 201);
        let made: serde_json::Value = answer.json().await.ok()?;
        made["extension"]["number"].as_i64()
    }

    /// A call with a body: the status and what came back, or nothing when the program is gone.
    pub async fn post(
        &self,
        token: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Option<(u16, serde_json::Value)> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.json(body).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// A call whose body is a table; nothing when the program is gone.
    pub async fn upload(
        &self,
        token: &str,
        path: &str,
        table: Vec<u8>,
    ) -> Option<(u16, serde_json::Value)> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.header("content-type", "text/csv").body(table).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    /// Ends it as a power cut would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to stop, and returns how it did.
    pub fn stop(&self) -> ExitStatus {
        self.ask_to_stop();
        self.stopped()
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let id = self.child.lock().unwrap().id();
        assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    }

    /// Waits until it has stopped; how it did.
    pub fn stopped(&self) -> ExitStatus {
        self.child.lock().unwrap().wait().unwrap()
    }
}

impl Drop for Patchbay {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
