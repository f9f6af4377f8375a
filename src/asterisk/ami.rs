//! The manager interface (AMI) of Asterisk 22: what Apply asks and what comes back.
//!
//! One call is one action on the wire. Every wait has an end, every length a limit, and a connection that broke a rule is
//! not used again. We wrote this because 30,000 objects are read back on each Apply: messages are looked at where they
//! lie, and only what the caller asks for is kept.

mod calls;
mod heard;
mod wire;

use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use calls::{InboundContact, ReloadResult, Version};
use heard::Kept;
pub use heard::{Event, Heard};
pub use wire::Message;
use wire::{Exchange, Step, Wire};

/// The longest value of a field we send, in bytes.
pub const FIELD_BYTES: usize = 200;

/// Why a call has no answer. The sentence is for the operator.
#[derive(Debug, Error)]
pub enum AmiError {
    /// No connection.
    #[error(
        "Asterisk's manager interface does not answer: start Asterisk, or correct asterisk.ami"
    )]
    Refused(#[source] io::Error),
    /// User or secret is wrong.
    #[error(
        "Asterisk refuses the manager login: correct asterisk.ami_user and asterisk.ami_secret"
    )]
    BadLogin,
    /// The manager user lacks a class.
    #[error(
        "the manager user may not do this: give it read = system and write = system,reporting in manager.conf"
    )]
    PermissionDenied,
    /// Asterisk said no, in these words.
    #[error("Asterisk answered: {0}")]
    Failed(String),
    /// A field that would not be one field on the wire.
    #[error("the manager field {0} has a control character or over {FIELD_BYTES} bytes")]
    BadField(&'static str),
    /// No complete answer in time. The action may have been done.
    #[error("Asterisk did not answer in time")]
    Timeout,
    /// The connection ended, or was given up after an earlier error.
    #[error("the connection to Asterisk's manager interface is closed")]
    Closed,
    /// What came is not the manager protocol.
    #[error("the answer is not Asterisk's manager protocol: {0}")]
    Garbled(&'static str),
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection and the greeting.
    pub connect: Duration,
    /// For the whole answer to an action.
    pub answer: Duration,
    /// For the whole answer to a reload: Asterisk answers when it has read the files.
    pub reload: Duration,
    /// For the event that follows a reload's answer with its status.
    pub reload_event: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(3),
            answer: seconds(10),
            reload: seconds(60),
            reload_event: seconds(1),
        }
    }
}

/// An action and its fields. Built only from values that cannot end a line.
#[derive(Clone)]
pub struct Action {
    name: &'static str,
    fields: Vec<(&'static str, String)>,
}

/// Without the values: one of them is the manager's secret.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Action {
    /// An action without fields.
    pub fn new(name: &'static str) -> Self {
        Self { name, fields: Vec::new() }
    }

    /// Adds a field. Refuses a value with a control character (CR and LF begin a new field) or over [`FIELD_BYTES`].
    pub fn field(mut self, name: &'static str, value: &str) -> Result<Self, AmiError> {
        if value.len() > FIELD_BYTES || value.chars().any(char::is_control) {
            return Err(AmiError::BadField(name));
        }
        self.fields.push((name, value.to_owned()));
        Ok(self)
    }

    fn to_wire(&self, id: &str) -> String {
        let mut text = format!("Action: {}\r\nActionID: {id}\r\n", self.name);
        for (name, value) in &self.fields {
            // Writing to a String cannot fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

/// A connection to the manager interface.
#[derive(Debug)]
pub struct Ami {
    /// Nothing after an error that leaves unclear what the next bytes belong to.
    stream: Option<TcpStream>,
    wire: Wire,
    timeouts: Timeouts,
    actions: u64,
    /// Events that came unasked and are still to be handed out.
    kept: Kept,
}

impl Ami {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr, timeouts: Timeouts) -> Result<Self, AmiError> {
        let stream = timeout(timeouts.connect, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| AmiError::Timeout)?.map_err(AmiError::Refused)?;
        stream.set_nodelay(true).map_err(AmiError::Refused)?;
        let mut ami = Self {
            stream: Some(stream),
            wire: Wire::default(),
            timeouts,
            actions: 0,
            kept: Kept::default(),
        };
        match timeout(timeouts.connect, ami.greeting()).await.map_err(|_| AmiError::Timeout)?? {
            line if line.starts_with("Asterisk Call Manager/") => Ok(ami),
            _ => Err(AmiError::Garbled("it does not greet as Asterisk does")),
        }
    }

    /// Signs in, asking for events of the system class only: of those we need the one that ends a reload.
    pub async fn login(&mut self, user: &str, secret: &str) -> Result<(), AmiError> {
        let action = Action::new("Login").field("Username", user)?.field("Secret", secret)?;
        self.action(&action.field("Events", "system")?).await
    }

    /// Sends an action and waits for the end of its answer. Events of other origin are ignored.
    pub async fn action(&mut self, action: &Action) -> Result<(), AmiError> {
        self.ask(action, self.timeouts.answer, |_| ()).await
    }

    /// The same, showing each message of the answer (the response, and the events of a list but its last) as it comes.
    pub async fn list(
        &mut self,
        action: &Action,
        each: impl FnMut(Message<'_>),
    ) -> Result<(), AmiError> {
        self.ask(action, self.timeouts.answer, each).await
    }

    async fn ask(
        &mut self,
        action: &Action,
        wait: Duration,
        each: impl FnMut(Message<'_>),
    ) -> Result<(), AmiError> {
        let answer =
            timeout(wait, self.exchange(action, each)).await.unwrap_or(Err(AmiError::Timeout));
        self.give_up_after(answer)
    }

    /// After these errors the next bytes could belong to anything.
    fn give_up_after<T>(&mut self, answer: Result<T, AmiError>) -> Result<T, AmiError> {
        if let Err(
            AmiError::Timeout | AmiError::Closed | AmiError::Garbled(_) | AmiError::BadLogin,
        ) = answer
        {
            self.stream = None;
        }
        answer
    }

    async fn exchange(
        &mut self,
        action: &Action,
        mut each: impl FnMut(Message<'_>),
    ) -> Result<(), AmiError> {
        self.actions += 1;
        let id = self.actions.to_string();
        let stream = self.stream.as_mut().ok_or(AmiError::Closed)?;
        self.wire.begin();
        stream.write_all(action.to_wire(&id).as_bytes()).await.map_err(|_| AmiError::Closed)?;
        let mut exchange = Exchange::new(id);
        loop {
            while let Some(message) = self.wire.message()? {
                match exchange.take(message)? {
                    Step::Foreign => self.kept.offer(message),
                    Step::Part => each(message),
                    Step::Last => {
                        each(message);
                        return Ok(());
                    }
                }
            }
            self.receive().await?;
        }
    }

    /// From now on keeps events of these kinds until [`Ami::heard`] hands them out.
    pub fn follow(&mut self, kinds: &'static [&'static str]) {
        self.kept = Kept::of(kinds);
    }

    /// What came unasked since the last time; waits for something to come, but no longer than
    /// `wait`. May be given up at any moment without losing anything.
    pub async fn heard(&mut self, wait: Duration) -> Result<Heard, AmiError> {
        self.wire.begin();
        let heard = timeout(wait, async {
            loop {
                while let Some(message) = self.wire.message()? {
                    self.kept.offer(message);
                }
                if !self.kept.is_empty() {
                    return Ok(());
                }
                self.receive().await?;
            }
        });
        let heard = heard.await.unwrap_or(Ok(()));
        self.give_up_after(heard)?;
        Ok(self.kept.take())
    }

    /// Waits for an event of the system class, ignoring all else; nothing when it does not come.
    async fn event<T>(
        &mut self,
        wait: Duration,
        mut wanted: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Option<T> {
        let search = async {
            loop {
                while let Some(message) = self.wire.message()? {
                    if let Some(found) = wanted(message) {
                        return Ok(found);
                    }
                    self.kept.offer(message);
                }
                self.receive().await?;
            }
        };
        let found: Result<T, AmiError> = timeout(wait, search).await.ok()?;
        self.give_up_after(found).ok()
    }

    async fn greeting(&mut self) -> Result<String, AmiError> {
        loop {
            if let Some(line) = self.wire.greeting()? {
                return Ok(line);
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Result<(), AmiError> {
        let stream = self.stream.as_mut().ok_or(AmiError::Closed)?;
        match stream.read_buf(self.wire.space()).await {
            Ok(0) | Err(_) => Err(AmiError::Closed),
            Ok(bytes) => self.wire.received(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
