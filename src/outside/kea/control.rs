//! The channel: one command, one answer.

use std::fmt;
use std::io::ErrorKind;
use std::str::FromStr;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::net::Family;
use crate::outside::Fault;
use crate::outside::fault::quoted;
use crate::outside::guard::{Allowance, Allowed};
use crate::outside::http::{
    Authorities, BadBaseUrl, BaseUrl, Credentials, MOST, PATIENCE, Reach, Resolver, Server,
};

/// What Kea's results mean (Kea ARM, "Using the Control Channel").
const DONE: i64 = 0;
const FAILED: i64 = 1;
const UNKNOWN_COMMAND: i64 = 2;
const NOTHING: i64 = 3;

/// Bytes read of a whole configuration: every reservation stands in it.
const MOST_OF_ALL: usize = 64 << 20;

/// Where a server's control channel is: `http://…`, `https://…` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By HTTP.
    Url(BaseUrl),
    /// By a socket of this machine.
    Socket(String),
}

/// Not such a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// No socket.
    #[error("write the socket as unix:/run/kea/kea4.sock")]
    Socket,
    /// No address.
    #[error(transparent)]
    Url(#[from] BadBaseUrl),
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        match text.strip_prefix("unix:") {
            Some(path) if text.parse::<Allowance>().is_ok() => Ok(Self::Socket(path.to_owned())),
            Some(_) => Err(BadPlace::Socket),
            None => Ok(Self::Url(text.parse()?)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Socket(path) => write!(f, "unix:{path}"),
        }
    }
}

/// A server and how to get there.
#[derive(Clone, Debug)]
pub struct At {
    /// Where.
    pub place: Place,
    /// The family it serves.
    pub family: Family,
    /// With what it is told who calls.
    pub credentials: Credentials,
    /// Whose certificates are believed.
    pub authorities: Authorities,
}

/// An open channel to the server of one family.
#[derive(Debug)]
pub struct Channel {
    way: Way,
    /// Which family it serves.
    pub family: Family,
}

#[derive(Debug)]
enum Way {
    Http(Server),
    Socket(String),
}

/// What Kea answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer<T = Value> {
    /// It was done; with what it returned, if anything.
    Done(Option<T>),
    /// There is no such thing.
    Nothing,
    /// It does not know the command.
    UnknownCommand,
    /// It refuses, in its words.
    Refused(String),
}

/// An answer as it comes. What nobody asked for is not kept.
#[derive(Deserialize)]
struct Reply<T> {
    result: i64,
    text: Option<String>,
    arguments: Option<T>,
}

impl Channel {
    /// Looks the server up, and whether it may be called.
    pub async fn open(at: &At, allowed: &Allowed, resolver: &Resolver) -> Result<Self, Fault> {
        let way = match &at.place {
            Place::Socket(path) => {
                allowed.permits_socket(path)?;
                Way::Socket(path.clone())
            }
            Place::Url(url) => {
                let reach = Reach { allowed, resolver, ports: super::PORTS, kind: "Kea" };
                Way::Http(Server::open(url, at.credentials.clone(), &at.authorities, &reach).await?)
            }
        };
        Ok(Self { way, family: at.family })
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match &self.way {
            Way::Http(server) => server.name(),
            Way::Socket(path) => format!("Kea at {path}"),
        }
    }

    pub(super) fn garbage(&self) -> Fault {
        Fault::Garbage(self.name(), "Kea")
    }

    /// The number in the names of commands: `4` or `6`.
    pub fn digit(&self) -> char {
        match self.family {
            Family::V4 => '4',
            Family::V6 => '6',
        }
    }

    /// One command.
    pub(super) async fn command(&self, command: &str, arguments: Value) -> Result<Answer, Fault> {
        self.ask(command, arguments, MOST).await
    }

    /// One command, of whose answer at most so many bytes are read.
    async fn ask<T: DeserializeOwned>(
        &self,
        command: &str,
        arguments: Value,
        most: usize,
    ) -> Result<Answer<T>, Fault> {
        let mut asked = json!({ "command": command });
        if let (Some(asked), false) = (asked.as_object_mut(), arguments.is_null()) {
            asked.insert("arguments".to_owned(), arguments);
        }
        let bytes = match &self.way {
            Way::Http(server) => server.read(Method::POST, "/", Some(&asked), most).await?.1,
            Way::Socket(path) => self.by_socket(path, &asked, most).await?,
        };
        let reply: Reply<T> = self.read(&bytes)?;
        match reply.result {
            DONE => Ok(Answer::Done(reply.arguments)),
            NOTHING => Ok(Answer::Nothing),
            UNKNOWN_COMMAND => Ok(Answer::UnknownCommand),
            FAILED => Ok(Answer::Refused(quoted(&reply.text.unwrap_or_default()))),
            401 => Err(Fault::Credentials(self.name())),
            _ => Err(self.garbage()),
        }
    }

    /// By HTTP the answer stands in a list, one for each server asked.
    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<Reply<T>, Fault> {
        let listed = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let read = if listed {
            serde_json::from_slice::<Vec<Reply<T>>>(bytes).map(|list| list.into_iter().next())
        } else {
            serde_json::from_slice(bytes).map(Some)
        };
        match read {
            Ok(Some(reply)) => Ok(reply),
            // By HTTP it is known how long the answer is.
            Err(error) if error.is_eof() && matches!(self.way, Way::Socket(_)) => {
                Err(Fault::Half(self.name()))
            }
            Ok(None) | Err(_) => Err(self.garbage()),
        }
    }

    /// As [`Self::command`], when anything but done or nothing is an error. Nothing is null.
    pub(super) async fn must(
        &self,
        command: &str,
        arguments: Value,
    ) -> Result<Option<Value>, Fault> {
        let done = self.done(command, self.command(command, arguments).await?)?;
        Ok(done.map(Option::unwrap_or_default))
    }

    /// The server's whole configuration, as far as `T` has it.
    pub(super) async fn configuration<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let command = "config-get";
        let answer = self.ask(command, Value::Null, MOST_OF_ALL).await?;
        self.done(command, answer)?.flatten().ok_or_else(|| self.garbage())
    }

    /// What was returned when it was done; none when there was nothing.
    pub(super) fn done<T>(
        &self,
        command: &str,
        answer: Answer<T>,
    ) -> Result<Option<Option<T>>, Fault> {
        match answer {
            Answer::Done(value) => Ok(Some(value)),
            Answer::Nothing => Ok(None),
            Answer::Refused(text) => {
                Err(Fault::Declined(format!("{} refuses {command}: {text}", self.name())))
            }
            Answer::UnknownCommand => Err(Fault::Never(format!(
                "{} does not know {command}; load the hooks libdhcp_host_cmds.so and libdhcp_lease_cmds.so",
                self.name()
            ))),
        }
    }

    async fn by_socket(&self, path: &str, asked: &Value, most: usize) -> Result<Vec<u8>, Fault> {
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let exchange = async {
            let mut stream = UnixStream::connect(path).await?;
            stream.write_all(asked.to_string().as_bytes()).await?;
            let mut bytes = Vec::new();
            (&mut stream).take(limit).read_to_end(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        let name = || self.name();
        let bytes = match timeout(PATIENCE, exchange).await {
            Err(_) => return Err(Fault::Silent(name())),
            Ok(Err(error)) => {
                return Err(match error.kind() {
                    ErrorKind::ConnectionRefused | ErrorKind::NotFound => Fault::Refused(name()),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Fault::Half(name()),
                    _ => Fault::Unreachable(name()),
                });
            }
            Ok(Ok(bytes)) => bytes,
        };
        if bytes.len() > most { Err(Fault::Long(name())) } else { Ok(bytes) }
    }
}
