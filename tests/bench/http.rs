//! A small HTTP/1.1 client that keeps its connection, so that what is measured is the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// No answer takes longer.
const LONGEST: Duration = Duration::from_secs(90);
/// After so long without a request the server may have closed the connection.
const STALE: Duration = Duration::from_secs(3);

pub struct Client {
    address: SocketAddr,
    /// The address it has itself.
    own: IpAddr,
    /// Sent with every request: `Authorization`, `Cookie`.
    header: String,
    connection: Option<(BufReader<TcpStream>, Instant)>,
}

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

/// An answer that was read and not kept.
pub struct Streamed {
    /// Until its first bytes came.
    pub first: Duration,
    pub all: Duration,
    pub bytes: usize,
    pub lines: usize,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}: {}", self.status, self.text()))
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, own, header: String::new(), connection: None }
    }

    pub fn with_token(address: SocketAddr, token: &str) -> Self {
        Self { header: format!("Authorization: Bearer {token}\r\n"), ..Self::new(address) }
    }

    /// One that sends this line (`Name: value\r\n`) with every request.
    pub fn with_header(address: SocketAddr, line: &str) -> Self {
        Self { header: line.to_owned(), ..Self::new(address) }
    }

    /// One at an address of its own, of those that lead back to this machine.
    pub fn at(self, own: Ipv4Addr) -> Self {
        Self { own: IpAddr::V4(own), ..self }
    }

    /// Signs in as a browser does.
    pub async fn signed_in(
        address: SocketAddr,
        name: &str,
        password: &str,
    ) -> anyhow::Result<Self> {
        let mut client = Self::new(address);
        let form = serde_html_form::to_string([("name", name), ("password", password)])?;
        let answer = client.form("/login", &form).await?;
        ensure!(answer.status == 303, "sign-in: {} {}", answer.status, answer.text());
        let cookie = answer.header("set-cookie").context("no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { header: format!("Cookie: {cookie}\r\n"), ..Self::new(address) })
    }

    /// Another one who is signed in likewise, on a connection of its own.
    pub fn twin(&self) -> Self {
        Self { header: self.header.clone(), ..Self::new(self.address) }
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, "", "").await
    }

    pub async fn post(&mut self, path: &str, json: &serde_json::Value) -> anyhow::Result<Answer> {
        self.send("POST", path, "Content-Type: application/json\r\n", &json.to_string()).await
    }

    pub async fn patch(&mut self, path: &str, json: &serde_json::Value) -> anyhow::Result<Answer> {
        self.send("PATCH", path, "Content-Type: application/json\r\n", &json.to_string()).await
    }

    pub async fn delete(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("DELETE", path, "", "").await
    }

    /// Sends a file as the body.
    pub async fn upload(&mut self, path: &str, mime: &str, file: &Path) -> anyhow::Result<Answer> {
        let mut file = tokio::fs::File::open(file).await?;
        let length = file.metadata().await?.len();
        let mut stream =
            BufReader::with_capacity(64 << 10, TcpStream::connect(self.address).await?);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: {mime}\r\nContent-Length: {length}\r\n\r\n",
            self.address, self.header
        );
        stream.write_all(head.as_bytes()).await?;
        tokio::io::copy(&mut file, stream.get_mut()).await?;
        timeout(LONGEST * 4, read(&mut stream)).await.context("no answer")?
    }

    /// Reads an answer to its end without keeping it.
    pub async fn stream(&mut self, path: &str) -> anyhow::Result<Streamed> {
        let mut stream = TcpStream::connect(self.address).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n",
            self.address, self.header
        );
        let began = Instant::now();
        stream.write_all(head.as_bytes()).await?;
        let mut buffer = vec![0; 64 << 10];
        let mut streamed =
            Streamed { first: Duration::ZERO, all: Duration::ZERO, bytes: 0, lines: 0 };
        loop {
            let count =
                timeout(LONGEST * 4, stream.read(&mut buffer)).await.context("it stopped")??;
            if count == 0 {
                break;
            }
            if streamed.bytes == 0 {
                streamed.first = began.elapsed();
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
            }
            streamed.bytes += count;
            streamed.lines += buffer[..count].split(|byte| *byte == b'\n').count() - 1;
        }
        streamed.all = began.elapsed();
        Ok(streamed)
    }

    /// What a form of a page sends.
    pub async fn form(&mut self, path: &str, form: &str) -> anyhow::Result<Answer> {
        let header =
            "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n";
        self.send("POST", path, header, form).await
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        header: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        let fresh = self.connection.take().filter(|(_, used)| used.elapsed() < STALE);
        let mut stream = if let Some((stream, _)) = fresh {
            stream
        } else {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(self.own, 0))?;
            let stream = socket.connect(self.address).await?;
            stream.set_nodelay(true)?;
            BufReader::with_capacity(64 << 10, stream)
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}{header}Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.header,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = timeout(LONGEST, read(&mut stream)).await.context("no answer")??;
        self.connection = Some((stream, Instant::now()));
        Ok(answer)
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Answer> {
    let mut head = String::new();
    loop {
        let before = head.len();
        ensure!(stream.read_line(&mut head).await? > 0, "the connection was closed");
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let mut answer = Answer { status, head, body: Vec::new() };
    let Some(length) = answer.header("content-length") else {
        bail!("an answer without its length")
    };
    answer.body.resize(length.parse()?, 0);
    stream.read_exact(&mut answer.body).await?;
    Ok(answer)
}
