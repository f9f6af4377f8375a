//! A SIP phone small enough to read: it registers, calls, answers, and watches a lamp, over UDP on loopback,
//! and authenticates with the digest it is told to prefer.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle, time::timeout};

/// Longer than any call of these tests rings.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long before an unanswered request is sent again.
const RESEND: Duration = Duration::from_millis(500);
/// What a packet of speech holds: 20 ms of PCMA.
const PACKET: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

pub struct Phone {
    socket: Arc<UdpSocket>,
    /// What came, but for what needs no thought.
    inbox: mpsc::UnboundedReceiver<Message>,
    reading: JoinHandle<()>,
    server: SocketAddr,
    local: SocketAddr,
    user: String,
    /// The name it signs in with; usually its user.
    auth: String,
    secret: String,
    algorithm: Algorithm,
    /// Where it speaks and listens, and where the other side does.
    media: UdpSocket,
    other: Option<SocketAddr>,
    /// What it calls itself; empty says nothing.
    user_agent: String,
    /// The call of the last NOTIFY that belonged to nothing else.
    told_in: Option<String>,
    cseq: u32,
    /// The calls it was rung for.
    calls: HashSet<String>,
    /// Requests that came while we waited for something else.
    waiting: VecDeque<Message>,
    /// The call we are in.
    dialog: Option<Dialog>,
}

struct Dialog {
    from: String,
    to: String,
    call_id: String,
    target: String,
    invite: Option<Message>,
}

impl Phone {
    pub async fn new(sip_port: u16, user: &str, secret: &str, algorithm: Algorithm) -> Self {
        Self::at("127.0.0.1", sip_port, user, secret, algorithm).await
    }

    /// One at an address of its own, of those that lead back to this machine (127.0.0.0/8).
    pub async fn at(
        address: &str,
        sip_port: u16,
        user: &str,
        secret: &str,
        algorithm: Algorithm,
    ) -> Self {
        let socket = Arc::new(UdpSocket::bind((address, 0)).await.unwrap());
        let media = UdpSocket::bind((address, 0)).await.unwrap();
        let local = socket.local_addr().unwrap();
        let (post, inbox) = mpsc::unbounded_channel();
        let contact = format!("<sip:{user}@{local}>");
        let offer = offer(media.local_addr().unwrap());
        Self {
            reading: tokio::spawn(read(Arc::clone(&socket), post, contact, offer)),
            inbox,
            local,
            user_agent: String::new(),
            told_in: None,
            server: SocketAddr::from(([127, 0, 0, 1], sip_port)),
            socket,
            media,
            other: None,
            user: user.to_owned(),
            auth: user.to_owned(),
            secret: secret.to_owned(),
            algorithm,
            cseq: 0,
            calls: HashSet::new(),
            waiting: VecDeque::new(),
            dialog: None,
        }
    }

    /// As it was, but signing in with another name than its user.
    #[must_use]
    pub fn signing_in_as(mut self, name: &str) -> Self {
        name.clone_into(&mut self.auth);
        self
    }

    /// As it was, but calling itself so.
    #[must_use]
    pub fn calling_itself(mut self, user_agent: &str) -> Self {
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    /// Changes what it calls itself.
    pub fn call_itself(&mut self, user_agent: &str) {
        user_agent.clone_into(&mut self.user_agent);
    }

    /// Where Asterisk reaches it.
    pub fn contact(&self) -> String {
        format!("sip:{}@{}", self.user, self.local)
    }

    /// Waits for a NOTIFY that belongs to nothing else, answers it, and says of which event it is.
    pub async fn told(&mut self) -> String {
        loop {
            let notify = self.expect("NOTIFY").await;
            self.reply(&notify, "200 OK").await;
            // One that was not answered at once comes again.
            let call = notify.header("Call-ID").to_owned();
            if self.told_in.replace(call.clone()) != Some(call) {
                return notify.header("Event").to_owned();
            }
        }
    }

    /// Registers; the final status.
    pub async fn register(&mut self) -> u16 {
        self.register_for(600).await
    }

    pub async fn unregister(&mut self) -> u16 {
        self.register_for(0).await
    }

    async fn register_for(&mut self, seconds: u32) -> u16 {
        let uri = format!("sip:{}", self.server);
        let me = format!("<sip:{}@{}>", self.user, self.server);
        let said = match self.user_agent.as_str() {
            "" => String::new(),
            said => format!("User-Agent: {said}\r\n"),
        };
        let more = format!("Expires: {seconds}\r\n{said}");
        let from = format!("{me};tag={}", unique());
        self.request("REGISTER", &uri, &from, &me, &unique(), &more, "").await.status()
    }

    /// Calls a number; the final status. With 200 the call is up, until `hang_up` or `hung_up`.
    pub async fn call(&mut self, number: &str) -> u16 {
        let uri = format!("sip:{number}@{}", self.server);
        let from = format!("<sip:{}@{}>;tag={}", self.user, self.server, unique());
        let (to, call_id) = (format!("<{uri}>"), unique());
        let more = "Content-Type: application/sdp\r\n";
        let offer = self.offer();
        let answer = self.request("INVITE", &uri, &from, &to, &call_id, more, &offer).await;
        if answer.status() == 200 {
            self.other = media_at(&answer.body);
            let target = in_brackets(answer.header("Contact")).to_owned();
            let to = answer.header("To").to_owned();
            self.dialog = Some(Dialog { from, to, call_id, target, invite: None });
            self.acknowledge(self.cseq).await;
        }
        answer.status()
    }

    /// Waits for a call and rings.
    pub async fn ring(&mut self) {
        // One that was not answered at once comes again.
        let invite = loop {
            let invite = self.expect("INVITE").await;
            if self.calls.insert(invite.header("Call-ID").to_owned()) {
                break invite;
            }
        };
        self.other = media_at(&invite.body);
        let tag = format!("{};tag={}", invite.header("To"), unique());
        self.dialog = Some(Dialog {
            from: tag,
            to: invite.header("From").to_owned(),
            call_id: invite.header("Call-ID").to_owned(),
            target: in_brackets(invite.header("Contact")).to_owned(),
            invite: Some(invite),
        });
        self.respond("180 Ringing", "").await;
    }

    /// Waits for a call, rings, answers, and returns when the caller has acknowledged.
    pub async fn answer(&mut self) {
        self.ring().await;
        self.pick_up().await;
    }

    /// Answers the call that rings, and returns when the caller has acknowledged. Until then the
    /// answer is sent again (RFC 3261 §13.3.1.4).
    pub async fn pick_up(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            self.respond("200 OK", &self.offer()).await;
            if self.within(RESEND, "ACK").await.is_some() {
                return;
            }
            assert!(Instant::now() < until, "{} was not acknowledged", self.user);
        }
    }

    fn offer(&self) -> String {
        offer(self.media.local_addr().unwrap())
    }

    /// Sends its `n`-th packet of speech, all of it the same sound.
    async fn speak(&self, n: u16, sound: u8) {
        let mut packet = vec![0x80, 8];
        packet.extend(n.to_be_bytes());
        packet.extend((u32::from(n) * 160).to_be_bytes());
        packet.extend([0, 0, 0, sound]);
        packet.resize(packet.len() + PACKET, sound);
        self.media.send_to(&packet, self.other.expect("it is in no call")).await.unwrap();
    }

    /// Whether it has heard that sound by now.
    fn hears(&self, sound: u8) -> bool {
        let mut packet = [0; 2048];
        let mut heard = false;
        while let Ok(length) = self.media.try_recv(&mut packet) {
            let speech = packet.get(12..length).unwrap_or_default();
            heard |= speech.len() == PACKET && speech.iter().all(|byte| *byte == sound);
        }
        heard
    }

    /// Waits for a call and turns it down, as in `486 Busy Here`.
    pub async fn refuse(&mut self, status: &str) {
        self.ring().await;
        self.respond(status, "").await;
        self.expect("ACK").await;
        self.dialog = None;
    }

    /// Rings until the caller gives up.
    pub async fn ignore(&mut self) {
        self.ring().await;
        self.let_go().await;
    }

    /// It rings; waits until it need not any more.
    pub async fn let_go(&mut self) {
        let cancel = self.expect("CANCEL").await;
        self.reply(&cancel, "200 OK").await;
        self.respond("487 Request Terminated", "").await;
        self.expect("ACK").await;
        self.dialog = None;
    }

    /// Ends the call; the final status.
    pub async fn hang_up(&mut self) -> u16 {
        let Dialog { from, to, call_id, target, .. } = self.dialog.take().unwrap();
        self.request("BYE", &target, &from, &to, &call_id, "", "").await.status()
    }

    /// Waits for the other side to end the call.
    pub async fn hung_up(&mut self) {
        let bye = self.expect("BYE").await;
        self.reply(&bye, "200 OK").await;
        self.dialog = None;
    }

    /// Subscribes to a number's lamp; the final status. `lamp` waits for its states.
    pub async fn watch(&mut self, number: &str) -> u16 {
        let uri = format!("sip:{number}@{}", self.server);
        let from = format!("<sip:{}@{}>;tag={}", self.user, self.server, unique());
        let more = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n";
        self.request("SUBSCRIBE", &uri, &from, &format!("<{uri}>"), &unique(), more, "")
            .await
            .status()
    }

    /// Waits until the lamp shows a state: `terminated` (off), `early` (rings) or `confirmed` (talks).
    pub async fn lamp(&mut self, state: &str) {
        let state = format!("<state>{state}<");
        while !self.notified().await.contains(&state) {}
    }

    /// The body of the next NOTIFY.
    async fn notified(&mut self) -> String {
        let notify = self.expect("NOTIFY").await;
        self.reply(&notify, "200 OK").await;
        notify.body
    }

    /// Sends a request and answers a challenge; the final response.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of a SIP request")]
    async fn request(
        &mut self,
        method: &str,
        uri: &str,
        from: &str,
        to: &str,
        call_id: &str,
        more: &str,
        body: &str,
    ) -> Message {
        let mut credentials = String::new();
        loop {
            self.cseq += 1;
            let cseq = self.cseq;
            let branch = unique();
            let head = |method: &str, to: &str| {
                format!(
                    "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{branch};rport\r\n\
                     Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
                     CSeq: {cseq} {method}\r\nContact: <sip:{}@{}>\r\n",
                    self.local, self.user, self.local,
                )
            };
            let request = format!(
                "{}{credentials}{more}Content-Length: {}\r\n\r\n{body}",
                head(method, to),
                body.len()
            );
            let acknowledgement =
                |to: &str| format!("{}Content-Length: 0\r\n\r\n", head("ACK", to));
            let answer = final_response(
                &self.socket,
                &mut self.inbox,
                self.server,
                &mut self.waiting,
                &request,
                &format!("{cseq} {method}"),
                call_id,
            )
            .await;
            if method == "INVITE" && answer.status() >= 300 {
                self.send(&acknowledgement(answer.header("To"))).await;
            }
            if !matches!(answer.status(), 401 | 407) || !credentials.is_empty() {
                return answer;
            }
            credentials = self.credentials(&answer, method, uri);
            if credentials.is_empty() {
                return answer;
            }
        }
    }

    /// The header that answers a challenge; empty when there is none for our algorithm.
    fn credentials(&self, challenge: &Message, method: &str, uri: &str) -> String {
        let (asked, answered) = match challenge.status() {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let algorithm = self.algorithm.name();
        let Some(offer) = challenge
            .all(asked)
            .find(|offer| parameter(offer, "algorithm").eq_ignore_ascii_case(algorithm))
        else {
            return String::new();
        };
        let (realm, nonce) = (parameter(offer, "realm"), parameter(offer, "nonce"));
        let (hash, cnonce) = (|text: &str| self.algorithm.hash(text), unique());
        let a1 = hash(&format!("{}:{realm}:{}", self.auth, self.secret));
        let a2 = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{a1}:{nonce}:00000001:{cnonce}:auth:{a2}"));
        let opaque = match parameter(offer, "opaque") {
            "" => String::new(),
            opaque => format!(", opaque=\"{opaque}\""),
        };
        format!(
            "{answered}: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={algorithm}, cnonce=\"{cnonce}\", qop=auth, nc=00000001{opaque}\r\n",
            self.auth
        )
    }

    async fn acknowledge(&self, cseq: u32) {
        let Dialog { from, to, call_id, target, .. } = self.dialog.as_ref().unwrap();
        self.send(&format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n",
            self.local,
            unique()
        ))
        .await;
    }

    /// Answers the call we were rung for.
    async fn respond(&self, status: &str, body: &str) {
        let dialog = self.dialog.as_ref().unwrap();
        self.answer_with(dialog.invite.as_ref().unwrap(), status, &dialog.from, body).await;
    }

    /// Answers a request with an empty body.
    async fn reply(&self, request: &Message, status: &str) {
        self.answer_with(request, status, request.header("To"), "").await;
    }

    async fn answer_with(&self, request: &Message, status: &str, to: &str, body: &str) {
        let contact = format!("<sip:{}@{}>", self.user, self.local);
        self.send(&response(request, status, to, &contact, body)).await;
    }

    /// Waits for a request of this method.
    async fn expect(&mut self, method: &str) -> Message {
        let found = self.within(PATIENCE, method).await;
        found.unwrap_or_else(|| panic!("{} waited for {method} in vain", self.user))
    }

    /// The next request of this method that comes within a time. What belongs to a call must be of
    /// the call we are in: one before it may have said it twice.
    async fn within(&mut self, patience: Duration, method: &str) -> Option<Message> {
        let call = self.dialog.as_ref().map(|dialog| dialog.call_id.clone());
        let call = call.filter(|_| matches!(method, "ACK" | "BYE" | "CANCEL"));
        let is_it = |message: &Message| {
            message.method() == method
                && call.as_ref().is_none_or(|call| message.header("Call-ID") == call)
        };
        if let Some(at) = self.waiting.iter().position(is_it) {
            return self.waiting.remove(at);
        }
        let waiting = async {
            loop {
                let message = self.inbox.recv().await.unwrap();
                if is_it(&message) {
                    return message;
                }
                if message.method() != "SIP/2.0" {
                    self.waiting.push_back(message);
                }
            }
        };
        timeout(patience, waiting).await.ok()
    }

    async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).await.unwrap();
    }
}

/// Two who are in a call with each other speak until each has heard the other.
pub async fn talk(one: &Phone, two: &Phone) {
    const SOUNDS: (u8, u8) = (0x35, 0x53);
    let both = async {
        let (mut first, mut second) = (false, false);
        for n in 0.. {
            one.speak(n, SOUNDS.0).await;
            two.speak(n, SOUNDS.1).await;
            first |= one.hears(SOUNDS.1);
            second |= two.hears(SOUNDS.0);
            if first && second {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, both).await.expect("they do not hear each other");
}

/// What a phone that listens there offers to talk.
fn offer(at: SocketAddr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n\
         m=audio {1} RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n",
        at.ip(),
        at.port()
    )
}

/// Where an offer wants speech sent to.
fn media_at(sdp: &str) -> Option<SocketAddr> {
    let line = |start: &str| sdp.lines().find_map(|line| line.strip_prefix(start));
    let address = line("c=IN IP4 ")?.trim().parse().ok()?;
    let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

/// Sends until something answers, then waits for the final answer.
async fn final_response(
    socket: &UdpSocket,
    inbox: &mut mpsc::UnboundedReceiver<Message>,
    server: SocketAddr,
    waiting: &mut VecDeque<Message>,
    request: &str,
    cseq: &str,
    call_id: &str,
) -> Message {
    let mut heard = false;
    timeout(PATIENCE, async {
        socket.send_to(request.as_bytes(), server).await.unwrap();
        loop {
            let received =
                if heard { Ok(inbox.recv().await) } else { timeout(RESEND, inbox.recv()).await };
            let Ok(message) = received.map(Option::unwrap) else {
                socket.send_to(request.as_bytes(), server).await.unwrap();
                continue;
            };
            if message.method() != "SIP/2.0" {
                waiting.push_back(message);
            } else if message.header("CSeq") == cseq && message.header("Call-ID") == call_id {
                heard = true;
                if message.status() >= 200 {
                    return message;
                }
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no answer to {cseq}"))
}

/// Reads as long as there is somebody to read for. Whether it is still there, a phone is asked at
/// any time, and it says so whatever else it does; that a call it is in goes on as it is, too.
async fn read(
    socket: Arc<UdpSocket>,
    post: mpsc::UnboundedSender<Message>,
    contact: String,
    offer: String,
) {
    let mut buffer = vec![0; 65_535];
    loop {
        // Nobody at the other end is no reason to stop.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let message = Message::parse(&String::from_utf8_lossy(&buffer[..length]));
        if message.method() == "OPTIONS" {
            let answer = response(&message, "200 OK", message.header("To"), "", "");
            let _ = socket.send_to(answer.as_bytes(), from).await;
        } else if message.method() == "INVITE" && message.header("To").contains(";tag=") {
            let answer = response(&message, "200 OK", message.header("To"), &contact, &offer);
            let _ = socket.send_to(answer.as_bytes(), from).await;
        } else if post.send(message).is_err() {
            return;
        }
    }
}

/// An answer to a request.
fn response(request: &Message, status: &str, to: &str, contact: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for via in request.all("Via") {
        write!(text, "Via: {via}\r\n").unwrap();
    }
    for (name, value) in [
        ("From", request.header("From")),
        ("To", to),
        ("Call-ID", request.header("Call-ID")),
        ("CSeq", request.header("CSeq")),
        ("Contact", contact),
        ("Content-Type", if body.is_empty() { "" } else { "application/sdp" }),
    ] {
        if !value.is_empty() {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    text
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

#[derive(Debug)]
struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        Self {
            start: lines.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// A request's method; `SIP/2.0` for a response.
    fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn header<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }
}

/// A parameter of a challenge: `name="value"` or `name=value`.
fn parameter<'a>(offer: &'a str, name: &str) -> &'a str {
    offer
        .trim_start_matches("Digest ")
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value.trim_matches('"'))
}

/// `sip:…` out of `"name" <sip:…>;parameters`.
fn in_brackets(address: &str) -> &str {
    address
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(address, |(uri, _)| uri)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A token no other phone on this machine uses.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
