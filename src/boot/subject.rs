//! Everything a template may know of one phone.

use crate::net::{Address, Mac};
use crate::phones::settings::Resolved;
use crate::phones::{KeyKind, Model};
use crate::time::Zone;

/// One phone, as templates see it. Holds secrets: never printed.
#[derive(Clone)]
pub struct Subject {
    /// Its hardware address.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: String,
    /// Its lines, the first first. A phone without lines has a file all the same.
    pub lines: Vec<LineFacts>,
    /// Its keys, in their order.
    pub keys: Vec<KeyFacts>,
    /// Every setting's value.
    pub settings: Resolved,
    /// Where it registers: the setting, or the host of `url`.
    pub server: String,
    /// Its time zone: the setting, or the tenant's.
    pub zone: Zone,
    /// Its static address.
    pub address: Option<Address>,
    /// Where its own files are, without a slash at the end: `https://host/provision/<token>`.
    pub url: String,
    /// As whom and with what it may sign in for its files.
    pub http_user: String,
    /// The password to that.
    pub http_password: String,
    /// What its own web pages ask an administrator for.
    pub web_password: String,
}

/// One line.
#[derive(Clone)]
pub struct LineFacts {
    /// 1 is the first.
    pub line: u8,
    /// What it signs in to Asterisk as (`1000`, or `<prefix>-1000` in another tenant).
    pub sip_user: String,
    /// The secret to that.
    pub sip_secret: String,
    /// The number people dial.
    pub number: String,
    /// What callees see.
    pub name: String,
    /// What the phone writes beside it.
    pub label: String,
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// 1 is the first.
    pub position: u8,
    /// What it does.
    pub kind: KeyKind,
    /// The line it uses.
    pub line: u8,
    /// What it watches or dials; empty for a line.
    pub value: String,
    /// What the phone writes beside it; never empty.
    pub label: String,
}
