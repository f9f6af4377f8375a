//! Systems outside, as tests need them: a NetBox stand-in, a RADIUS stand-in, and a way to put
//! every kind of failure between Patchbay and a server.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use patchbay::net::{Address, Cidr, Family};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// One request of HTTP, read whole; `None` when the caller is gone.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
            }
        }
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

fn answer(status: u16, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What stands between Patchbay and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// Nobody listens.
    Refuses,
    /// It takes the request and says nothing.
    Silent,
    /// It answers after a while.
    Slow,
    /// It is broken.
    ServerError,
    /// It answers something else.
    Garbage,
    /// It does what it was asked, and its answer breaks off.
    HalfAnswer,
    /// It is asked twice, as when a network repeats a request.
    Twice,
    /// It sends callers elsewhere.
    Redirects,
    /// It answers more than anybody wants to read.
    Endless,
    /// Whatever it is asked to change it changes, and says nothing of it.
    Swallows,
}

/// Whether a request changes something. Kea has no database here in which it could.
fn changes(head: &str, body: &[u8]) -> bool {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    match asked["command"].as_str() {
        Some(command) => {
            let there = asked["arguments"]["operation-target"] != "database";
            there && (command.ends_with("-add") || command.ends_with("-del"))
        }
        None => !head.starts_with("GET "),
    }
}

/// A server with mishaps in between.
pub struct Troubled {
    pub at: SocketAddr,
    upstream: SocketAddr,
    mishap: Arc<Mutex<Mishap>>,
    task: Option<JoinHandle<()>>,
}

impl Troubled {
    pub async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mishap = Arc::new(Mutex::new(Mishap::None));
        let task = Some(tokio::spawn(between(listener, upstream, Arc::clone(&mishap))));
        Self { at, upstream, mishap, task }
    }

    /// From now on this happens.
    pub async fn let_happen(&mut self, mishap: Mishap) {
        *self.mishap.lock().unwrap() = mishap;
        if mishap == Mishap::Refuses {
            if let Some(task) = self.task.take() {
                task.abort();
                let _ = task.await;
            }
        } else if self.task.is_none() {
            let listener = TcpListener::bind(self.at).await.unwrap();
            let task = between(listener, self.upstream, Arc::clone(&self.mishap));
            self.task = Some(tokio::spawn(task));
        }
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn between(listener: TcpListener, upstream: SocketAddr, mishap: Arc<Mutex<Mishap>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mishap = Arc::clone(&mishap);
        tokio::spawn(async move {
            let Some((head, body)) = request(&mut stream).await else { return };
            let now = *mishap.lock().unwrap();
            let reply = match now {
                Mishap::Silent => return std::future::pending().await,
                Mishap::ServerError => answer(503, &json!({ "detail": "SENTINEL-BODY" })),
                Mishap::Garbage => {
                    let page = "<html>SENTINEL-BODY</html>";
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len())
                        .into_bytes()
                }
                Mishap::Redirects => {
                    b"HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                        .to_vec()
                }
                Mishap::Endless => {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n")
                        .await;
                    while stream.write_all(&vec![b'x'; 65_536]).await.is_ok() {}
                    return;
                }
                Mishap::Swallows if changes(&head, &body) => {
                    forward(upstream, &head, &body).await;
                    return std::future::pending().await;
                }
                Mishap::Slow => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    forward(upstream, &head, &body).await
                }
                Mishap::Twice => {
                    forward(upstream, &head, &body).await;
                    forward(upstream, &head, &body).await
                }
                Mishap::HalfAnswer => {
                    let whole = forward(upstream, &head, &body).await;
                    whole[..whole.len() - 3.min(whole.len())].to_vec()
                }
                Mishap::None | Mishap::Refuses | Mishap::Swallows => {
                    forward(upstream, &head, &body).await
                }
            };
            let _ = stream.write_all(&reply).await;
        });
    }
}

/// A server on a socket of this machine with mishaps in between, which takes one JSON object and
/// answers until it closes.
pub struct TroubledSocket {
    pub at: PathBuf,
    upstream: PathBuf,
    mishap: Arc<Mutex<Mishap>>,
    task: Option<JoinHandle<()>>,
}

impl TroubledSocket {
    pub async fn before(upstream: PathBuf, at: PathBuf) -> Self {
        let mishap = Arc::new(Mutex::new(Mishap::None));
        let mut between = Self { at, upstream, mishap, task: None };
        between.let_happen(Mishap::None).await;
        between
    }

    /// From now on this happens.
    pub async fn let_happen(&mut self, mishap: Mishap) {
        *self.mishap.lock().unwrap() = mishap;
        if mishap == Mishap::Refuses {
            if let Some(task) = self.task.take() {
                task.abort();
                let _ = task.await;
            }
        } else if self.task.is_none() {
            let _ = std::fs::remove_file(&self.at);
            let listener = UnixListener::bind(&self.at).unwrap();
            let (upstream, mishap) = (self.upstream.clone(), Arc::clone(&self.mishap));
            self.task = Some(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let now = *mishap.lock().unwrap();
                    tokio::spawn(on_socket(stream, upstream.clone(), now));
                }
            }));
        }
    }
}

impl Drop for TroubledSocket {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn on_socket(mut stream: UnixStream, upstream: PathBuf, now: Mishap) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    while serde_json::from_slice::<Value>(&asked).is_err() {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => asked.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let through = async || {
        let mut server = UnixStream::connect(&upstream).await.unwrap();
        server.write_all(&asked).await.unwrap();
        let mut whole = Vec::new();
        let _ = server.read_to_end(&mut whole).await;
        whole
    };
    let reply = match now {
        Mishap::Silent => return std::future::pending().await,
        Mishap::Garbage => b"<html>SENTINEL-BODY</html>".to_vec(),
        Mishap::Endless => {
            while stream.write_all(&vec![b'x'; 65_536]).await.is_ok() {}
            return;
        }
        Mishap::Slow => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            through().await
        }
        Mishap::Twice => {
            through().await;
            through().await
        }
        Mishap::HalfAnswer => {
            let whole = through().await;
            whole[..whole.len() / 2].to_vec()
        }
        _ => through().await,
    };
    let _ = stream.write_all(&reply).await;
}

async fn forward(upstream: SocketAddr, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(upstream).await.unwrap();
    let head: Vec<&str> =
        head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    let head = format!("{}\r\nconnection: close\r\n\r\n", head.join("\r\n"));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut whole = Vec::new();
    let _ = stream.read_to_end(&mut whole).await;
    // Whoever asked must know that this connection is closed now: Kea does not say so.
    let line = whole.windows(2).position(|two| two == b"\r\n").unwrap_or(whole.len());
    if line < whole.len() {
        whole.splice(line..line, *b"\r\nconnection: close");
    }
    whole
}

/// What a NetBox stand-in holds.
#[derive(Default)]
pub struct NetboxStore {
    next: i64,
    /// By kind (`ip-addresses`, `prefixes`) and number.
    pub objects: BTreeMap<(String, i64), Value>,
    pub tags: Vec<String>,
    /// `METHOD path` of every request.
    pub asked: Vec<String>,
    /// So many addresses are there beside the objects: 10.128.0.0 and on, all under the tag.
    pub many: usize,
    /// Refuses a second object with the same address, as `ENFORCE_GLOBAL_UNIQUE` does.
    pub unique: bool,
    /// Requests that have this in their path are answered with 503.
    pub failing: Option<String>,
}

impl NetboxStore {
    fn list(&self, kind: &str) -> Vec<Value> {
        let of = self.objects.iter().filter(|((known, _), _)| known == kind);
        of.map(|(_, object)| object.clone()).collect()
    }
}

/// NetBox as its REST interface is documented, as far as Patchbay uses it.
pub struct Netbox {
    pub at: SocketAddr,
    pub store: Arc<Mutex<NetboxStore>>,
    task: JoinHandle<()>,
}

impl Drop for Netbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The token it knows.
pub const NETBOX_TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

impl Netbox {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let store = Arc::new(Mutex::new(NetboxStore::default()));
        let held = Arc::clone(&store);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&held);
                tokio::spawn(async move {
                    let Some((head, body)) = request(&mut stream).await else { return };
                    let reply = serve(&mut kept.lock().unwrap(), &head, &body);
                    let _ = stream.write_all(&reply).await;
                });
            }
        });
        Self { at, store, task }
    }

    /// Every object of a kind.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.store.lock().unwrap().list(kind)
    }

    /// How often something was written.
    pub fn writes(&self) -> usize {
        let store = self.store.lock().unwrap();
        store.asked.iter().filter(|line| !line.starts_with("GET ")).count()
    }
}

fn serve(store: &mut NetboxStore, head: &str, body: &[u8]) -> Vec<u8> {
    let mut first = head.lines().next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    store.asked.push(format!("{method} {target}"));
    let known = format!("authorization: token {NETBOX_TOKEN}");
    if !head.to_ascii_lowercase().lines().any(|line| line == known) {
        return answer(403, &json!({ "detail": "Invalid token" }));
    }
    if store.failing.as_ref().is_some_and(|part| target.contains(part)) {
        return answer(503, &json!({ "detail": "Try again." }));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<(String, String)> = serde_html_form::from_str(query).unwrap();
    let asked =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["api", "status"]) => {
            answer(200, &json!({ "netbox-version": "4.4.2", "django-version": "5.2" }))
        }
        ("GET", ["api", "extras", "tags"]) => {
            let found: Vec<Value> = store
                .tags
                .iter()
                .filter(|tag| asked("slug").is_none_or(|slug| slug == **tag))
                .map(|tag| json!({ "id": 1, "name": tag, "slug": tag }))
                .collect();
            answer(200, &page(&found, 50, 0))
        }
        ("POST", ["api", "extras", "tags"]) => {
            let slug = body["slug"].as_str().unwrap().to_owned();
            if store.tags.contains(&slug) {
                return answer(400, &json!({ "slug": ["tag with this slug already exists."] }));
            }
            store.tags.push(slug.clone());
            answer(201, &json!({ "id": 1, "name": slug, "slug": slug }))
        }
        ("GET", ["api", "ipam", kind @ ("ip-addresses" | "prefixes")]) => {
            for name in ["tag", "tag__n"] {
                if let Some(tag) = asked(name).filter(|tag| !store.tags.contains(tag)) {
                    let said = format!(
                        "Select a valid choice. {tag} is not one of the available choices."
                    );
                    return answer(400, &json!({ name: [said] }));
                }
            }
            let tagged = |object: &Value, tag: &str| {
                object["tags"].as_array().unwrap().iter().any(|known| known["slug"] == tag)
            };
            let matches = |object: &Value| {
                asked("tag").is_none_or(|tag| tagged(object, &tag))
                    && asked("tag__n").is_none_or(|tag| !tagged(object, &tag))
                    && lies(object, &query)
                    // Without a mask the filter compares hosts only (net_in).
                    && asked("address").is_none_or(|address| {
                        object["address"].as_str().unwrap().split('/').next() == Some(&address)
                    })
                    && asked("prefix").is_none_or(|prefix| object["prefix"] == prefix.as_str())
            };
            let number = |name: &str, default: usize| {
                asked(name).and_then(|n| n.parse().ok()).unwrap_or(default)
            };
            let (limit, offset) = (number("limit", 50), number("offset", 0));
            let all = asked("address").is_none() && asked("parent").is_none();
            if store.many > 0 && *kind == "ip-addresses" && all {
                return answer(200, &many(store, limit, offset));
            }
            let found: Vec<Value> =
                store.list(kind).into_iter().filter(|object| matches(object)).collect();
            answer(200, &page(&found, limit, offset))
        }
        ("POST", ["api", "ipam", kind @ ("ip-addresses" | "prefixes")]) => {
            let key = if *kind == "prefixes" { "prefix" } else { "address" };
            let Some(tags) = tags(store, &body) else {
                return answer(
                    400,
                    &json!({ "tags": ["Related object not found using the provided attributes"] }),
                );
            };
            if body[key].as_str().is_none() {
                return answer(400, &json!({ key: ["This field is required."] }));
            }
            if store.unique && store.list(kind).iter().any(|object| object[key] == body[key]) {
                return answer(400, &json!({ key: [format!("Duplicate found: {}", body[key])] }));
            }
            store.next += 1;
            let id = store.next;
            let mut object = json!({ "id": id, "url": format!("http://netbox/api/ipam/{kind}/{id}/"), key: body[key],
                "status": status(&body), "description": body["description"].as_str().unwrap_or_default(), "tags": tags });
            if *kind == "ip-addresses" {
                object["dns_name"] = body["dns_name"].as_str().unwrap_or_default().into();
            }
            store.objects.insert(((*kind).to_owned(), id), object.clone());
            answer(201, &object)
        }
        (_, ["api", "ipam", kind, id]) => one(store, method, kind, id.parse().unwrap(), &body),
        _ => answer(404, &json!({ "detail": "Not found." })),
    }
}

/// Whether an object lies where it is asked for. `parent` may be there more than once and looks at
/// the host only; of `within_include`, as of every filter with one value, the last one counts.
fn lies(object: &Value, query: &[(String, String)]) -> bool {
    let text = object["address"].as_str().or(object["prefix"].as_str()).unwrap();
    let (first, length) = text.split_once('/').unwrap();
    let (first, length): (Address, u8) = (first.parse().unwrap(), length.parse().unwrap());
    let named = |name: &str| -> Vec<&str> {
        let values = query.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.as_str()).collect()
    };
    let block = |text: &str| text.parse::<Cidr>().unwrap();
    let number = |name: &str| named(name).last().map(|text| text.parse::<u8>().unwrap());
    let (parents, within) = (named("parent"), named("within_include"));
    let family = if first.family() == Family::V4 { 4 } else { 6 };
    (parents.is_empty() || parents.iter().any(|parent| block(parent).contains(first)))
        && within
            .last()
            .is_none_or(|text| block(text).contains(first) && block(text).length() <= length)
        && number("family").is_none_or(|asked| asked == family)
        && number("mask_length__gte").is_none_or(|least| least <= length)
}

fn one(store: &mut NetboxStore, method: &str, kind: &str, id: i64, body: &Value) -> Vec<u8> {
    let key = (kind.to_owned(), id);
    let Some(mut object) = store.objects.get(&key).cloned() else {
        return answer(404, &json!({ "detail": "No object matches the given query." }));
    };
    match method {
        "GET" => answer(200, &object),
        "DELETE" => {
            store.objects.remove(&key);
            answer(204, &Value::Null)
        }
        "PATCH" => {
            for (name, value) in body.as_object().unwrap() {
                object[name] = if name == "status" { status(body) } else { value.clone() };
            }
            store.objects.insert(key, object.clone());
            answer(200, &object)
        }
        _ => answer(405, &json!({ "detail": "Method not allowed." })),
    }
}

/// Lists come in pages, with links to the others.
fn page(all: &[Value], limit: usize, offset: usize) -> Value {
    let results: Vec<Value> = all.iter().skip(offset).take(limit).cloned().collect();
    let more = offset + results.len() < all.len();
    json!({ "count": all.len(), "next": more.then_some("http://netbox/next"), "previous": null, "results": results })
}

/// A page of very many addresses.
fn many(store: &NetboxStore, limit: usize, offset: usize) -> Value {
    let end = store.many.min(offset + limit);
    let first = u32::from(Ipv4Addr::new(10, 128, 0, 0));
    let results: Vec<Value> = (offset..end)
        .map(|n| {
            let number = u32::try_from(n).unwrap();
            let address = format!("{}/32", Ipv4Addr::from(first + number));
            json!({ "id": 1_000_000 + n, "address": address, "status": { "value": "active", "label": "Active" },
                "description": "", "dns_name": "", "tags": [{ "id": 1, "name": "patchbay", "slug": "patchbay" }] })
        })
        .collect();
    json!({ "count": store.many, "next": (end < store.many).then_some("http://netbox/next"), "previous": null, "results": results })
}

/// Choices are written as a word and read as an object.
fn status(body: &Value) -> Value {
    let word = body["status"].as_str().unwrap_or("active");
    json!({ "value": word, "label": word })
}

/// Tags are named by attributes, and must exist.
fn tags(store: &NetboxStore, body: &Value) -> Option<Vec<Value>> {
    let named = body["tags"].as_array().cloned().unwrap_or_default();
    let slugs: Vec<String> =
        named.iter().map(|tag| tag["slug"].as_str().unwrap().to_owned()).collect();
    let known = slugs.iter().all(|slug| store.tags.contains(slug));
    known.then(|| slugs.iter().map(|slug| json!({ "id": 1, "name": slug, "slug": slug })).collect())
}

/// How a NAS stand-in behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It does what it is asked.
    Good,
    /// It says nothing.
    Silent,
    /// It answers when the packet has come a second time.
    Slow,
    /// It has not the means (Error-Cause 506).
    Busy,
    /// It refuses for good (Error-Cause 407).
    Refuses,
    /// It answers what is no packet.
    Garbage,
    /// Its answers break off.
    HalfAnswer,
    /// It answers everything twice.
    Twice,
    /// It answers another packet first.
    OutOfOrder,
    /// It signs with another secret.
    OtherSecret,
}

/// A server that holds sessions.
pub struct Nas {
    pub port: u16,
    manner: Arc<Mutex<Manner>>,
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Drop for Nas {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What it signs with.
pub const NAS_SECRET: &str = "not-a-good-one";

impl Nas {
    /// `delay` is how long it thinks about each packet.
    pub async fn start(delay: Duration) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, delay).await
    }

    /// At another address of this machine.
    pub async fn at(address: Ipv4Addr, delay: Duration) -> Self {
        Self::sharing(address, NAS_SECRET, delay).await
    }

    /// On a certain port.
    pub async fn on(port: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        Self::listening(socket, NAS_SECRET, Duration::ZERO)
    }

    /// With a secret of its own.
    pub async fn sharing(address: Ipv4Addr, secret: &'static str, delay: Duration) -> Self {
        Self::listening(UdpSocket::bind((address, 0)).await.unwrap(), secret, delay)
    }

    fn listening(socket: UdpSocket, secret: &'static str, delay: Duration) -> Self {
        let socket = Arc::new(socket);
        let port = socket.local_addr().unwrap().port();
        let manner = Arc::new(Mutex::new(Manner::Good));
        let packets = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let (how, seen) = (Arc::clone(&manner), Arc::clone(&packets));
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let mut known = HashSet::new();
            while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
                let packet = buffer[..count].to_vec();
                let again = !known.insert(packet.clone());
                seen.lock().unwrap().push(packet.clone());
                let (socket, how) = (Arc::clone(&socket), *how.lock().unwrap());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    for reply in replies(how, &packet, again, secret) {
                        let _ = socket.send_to(&reply, from).await;
                    }
                });
            }
        });
        Self { port, manner, packets, task }
    }

    pub fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Every packet that came, in order.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        self.packets.lock().unwrap().clone()
    }
}

fn replies(how: Manner, packet: &[u8], again: bool, secret: &str) -> Vec<Vec<u8>> {
    // What is signed with another secret is no packet: nothing is said to it.
    if !is_signed(packet, secret) {
        return Vec::new();
    }
    let good = signed(packet, packet[0] + 1, packet[1], &[], secret);
    let refusal = |cause: u32| {
        let attribute = [&[101, 6][..], &cause.to_be_bytes()].concat();
        signed(packet, packet[0] + 2, packet[1], &attribute, secret)
    };
    match how {
        Manner::Good => vec![good],
        Manner::Silent => Vec::new(),
        Manner::Slow => {
            if again {
                vec![good]
            } else {
                Vec::new()
            }
        }
        Manner::Busy => vec![refusal(506)],
        Manner::Refuses => vec![refusal(407)],
        Manner::Garbage => vec![b"what?".to_vec()],
        Manner::HalfAnswer => vec![good[..12].to_vec()],
        Manner::Twice => vec![good.clone(), good],
        Manner::OutOfOrder => {
            let other = signed(packet, packet[0] + 2, packet[1].wrapping_add(1), &[], secret);
            vec![other, good]
        }
        Manner::OtherSecret => vec![signed(packet, packet[0] + 1, packet[1], &[], "another")],
    }
}

/// Whether a request is signed as RFC 5176 says: MD5 over it with sixteen zeros in the
/// authenticator's place, and the secret.
fn is_signed(packet: &[u8], secret: &str) -> bool {
    let digest = Md5::new()
        .chain_update(&packet[..4])
        .chain_update([0; 16])
        .chain_update(&packet[20..])
        .chain_update(secret);
    digest.finalize()[..] == packet[4..20]
}

/// An answer, signed as RFC 5176 says.
fn signed(asked: &[u8], code: u8, identifier: u8, attributes: &[u8], secret: &str) -> Vec<u8> {
    let mut packet =
        [&[code, identifier, 0, 0][..], &asked[4..20], &[80, 18], &[0; 16], attributes].concat();
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    let mut mac = Hmac::<Md5>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(&packet);
    packet[22..38].copy_from_slice(&mac.finalize().into_bytes());
    let authenticator = Md5::new().chain_update(&packet).chain_update(secret).finalize();
    packet[4..20].copy_from_slice(&authenticator);
    packet
}

/// The attributes of a packet, by number.
pub fn attributes(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut found) = (20, Vec::new());
    while at < packet.len() {
        let length = usize::from(packet[at + 1]);
        found.push((packet[at], packet[at + 2..at + length].to_vec()));
        at += length;
    }
    found
}
